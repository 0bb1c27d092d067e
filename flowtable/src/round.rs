//! When a writer's hand has been everywhere.
//!
//! The hand of [`Writer::visit`](crate::Writer::visit) goes round and round. Each time that it has met every bucket
//! since a round began, the tick of that beginning is published: every flow that lived all that time was visited
//! since then. A writer without flows has nothing to visit. The hand of [`Writer::sweep`](crate::Writer::sweep) has
//! rounds of the same kind.

use crate::key::Key;
use crate::stats::Counters;
use crate::sync::{AtomicU32, Ordering::Relaxed};
use crate::table::Table;
use crate::time::Tick;
use std::sync::PoisonError;

/// Published by a writer that has no flows.
pub(crate) const NOBODY: u32 = u32::MAX;

/// The round that a hand is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    /// When it began.
    pub(crate) since: Tick,
    /// Buckets to visit before it is whole.
    left: usize,
}

impl Round {
    /// A round that has just begun.
    pub(crate) const fn new(since: Tick, buckets: usize) -> Self {
        Self {
            since,
            left: buckets,
        }
    }

    /// A bucket was visited. After the last one a round of `buckets` begins, and the whole one is published.
    pub(crate) fn visited(&mut self, buckets: usize, now: Tick, published: &AtomicU32) {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            published.store(self.since.0, Relaxed);
            *self = Self::new(now, buckets);
        }
    }
}

impl<K: Key> Table<K> {
    /// When the oldest of all writers' last whole rounds began (see [`Writer::visit`](crate::Writer::visit)); `None`
    /// if there are no flows.
    pub fn visited_since(&self) -> Option<Tick> {
        self.oldest_round(|counters| &counters.round)
    }

    /// The same of the hand that frees what has expired (see [`Writer::sweep`](crate::Writer::sweep)).
    pub fn swept_since(&self) -> Option<Tick> {
        self.oldest_round(|counters| &counters.swept)
    }

    fn oldest_round(&self, of: impl Fn(&Counters) -> &AtomicU32) -> Option<Tick> {
        let all = self
            .writers()
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let rounds = all.iter().map(|counters| of(counters).load(Relaxed));
        rounds.filter(|round| *round != NOBODY).min().map(Tick)
    }
}
