//! The orders in which entries come due and have to go.
//!
//! Three sorted sets over the entries: by deadline, by who is evicted first, and the
//! unanswered ones of each port by age. An entry is filed by [`Order::put`] and taken out by
//! [`Order::take`] around every change, so the sets always agree with the entries. All
//! operations cost O(log n).

use std::collections::BTreeSet;

use hashbrown::HashMap;

use crate::entry::Entry;
use crate::{NeighIdx, PortId};

/// Who may have to go for another, first to last. Everybody else stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Evictable {
    /// Did not answer.
    Failed,
    /// Heard of, never used.
    Unused,
    /// Asked, no answer yet.
    Unanswered,
}

#[derive(Debug, Default)]
pub(crate) struct Order {
    due: BTreeSet<(u64, NeighIdx)>,
    evictable: BTreeSet<(Evictable, u64, NeighIdx)>,
    unanswered: HashMap<PortId, BTreeSet<(u64, NeighIdx)>>,
}

impl Order {
    /// Files an entry.
    pub(crate) fn put(&mut self, idx: NeighIdx, entry: &Entry) {
        if let Some(deadline) = entry.deadline() {
            self.due.insert((deadline, idx));
        }
        if let Some(class) = entry.evictable() {
            self.evictable.insert((class, entry.since(), idx));
            if class == Evictable::Unanswered {
                let of_port = self.unanswered.entry(entry.key.port).or_default();
                of_port.insert((entry.since(), idx));
            }
        }
    }

    /// Takes out an entry that is as it was when it was filed.
    pub(crate) fn take(&mut self, idx: NeighIdx, entry: &Entry) {
        if let Some(deadline) = entry.deadline() {
            self.due.remove(&(deadline, idx));
        }
        if let Some(class) = entry.evictable() {
            self.evictable.remove(&(class, entry.since(), idx));
            if let Some(of_port) = self.unanswered.get_mut(&entry.key.port) {
                of_port.remove(&(entry.since(), idx));
            }
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.due.first().map(|&(deadline, _)| deadline)
    }

    /// The entry most overdue at `now`.
    pub(crate) fn due(&self, now: u64) -> Option<NeighIdx> {
        self.due
            .first()
            .filter(|&&(deadline, _)| deadline <= now)
            .map(|&(_, idx)| idx)
    }

    /// The oldest entry of the first class that has any, not beyond `last`; unanswered ones
    /// only if asked at `asked_by` or before.
    pub(crate) fn victim(&self, last: Evictable, asked_by: u64) -> Option<NeighIdx> {
        let &(class, since, idx) = self.evictable.first()?;
        let young = class == Evictable::Unanswered && since > asked_by;
        (class <= last && !young).then_some(idx)
    }

    /// The oldest of the port's unanswered entries, if there are `limit` or more.
    pub(crate) fn oldest_unanswered(&self, port: PortId, limit: usize) -> Option<(u64, NeighIdx)> {
        let of_port = self
            .unanswered
            .get(&port)
            .filter(|of_port| of_port.len() >= limit)?;
        of_port.first().copied()
    }

    /// Forgets a port that has no entries left.
    pub(crate) fn forget_port(&mut self, port: PortId) {
        if self.unanswered.get(&port).is_some_and(BTreeSet::is_empty) {
            self.unanswered.remove(&port);
        }
    }
}
