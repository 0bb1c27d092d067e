//! Affinity templates: which next hop the flows of a client network share.
//!
//! A template is a client network under an affinity (a sticky route), and a pin. It is looked up only where a
//! next hop is chosen, and written once for a new client, once for each round that a hand makes over live
//! flows, and when its pin no longer holds: never for a packet. There is no reference count. While hands keep
//! finding flows of a client, its template lives; when every hand has been round without finding one, its clock
//! starts, and when that has run for the template's timeout, its place is free.
//!
//! This is the one table that several threads write, by compare-and-swap:
//!
//! - `word`: the value of a place, its state and its time in one word.
//! - `client`: what a template is for. `memory`: buckets of places.
//! - `take`: finding, claiming, replacing a pin. `clock`: idle, expired, forgotten.
//! - `stats`: fill and counters.

mod client;
mod clock;
mod memory;
mod stats;
mod take;
mod word;

pub use client::Client;
pub use clock::TemplateView;
pub use stats::TemplateStats;
pub use take::{TemplateWriter, Term};

use crate::hash::TableSecret;
use crate::sync::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crossbeam_utils::CachePadded;
use memory::{BucketNo, Places};
use stats::Counters;
use std::sync::{Arc, Mutex, PoisonError};

/// The templates of a gateway.
pub struct Templates {
    secret: TableSecret,
    places: Places,
    /// Second at which the oldest of all hands' last whole rounds began: what lives was renewed since.
    horizon: CachePadded<AtomicU32>,
    /// The most templates seen at once, and how many there were when control last looked.
    seen: CachePadded<[AtomicU64; 2]>,
    /// Counters of every writer there has been; locked when one starts and to sum them, never for a packet.
    counters: Mutex<Vec<Arc<CachePadded<Counters>>>>,
}

impl Templates {
    /// Room for at least `capacity` templates (rounded up to whole buckets of 8), allocated and touched here. The
    /// secret keys which place a client gets.
    pub fn new(capacity: usize, secret: TableSecret) -> Arc<Self> {
        Arc::new(Self {
            secret,
            places: Places::new(capacity.div_ceil(memory::PLACES).max(1)),
            horizon: CachePadded::new(AtomicU32::new(0)),
            seen: CachePadded::new([AtomicU64::new(0), AtomicU64::new(0)]),
            counters: Mutex::default(),
        })
    }

    /// One thread's way to write it.
    pub fn writer(self: &Arc<Self>) -> TemplateWriter {
        let counters = Arc::new(CachePadded::new(Counters::new()));
        let mut all = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(&counters));
        drop(all);
        TemplateWriter::new(Arc::clone(self), counters)
    }

    /// Whether there are any, or were when control last looked.
    #[inline]
    pub fn in_use(&self) -> bool {
        self.seen[1].load(Relaxed) > 0
    }

    /// There is one now. Control's count follows.
    fn note_use(&self) {
        if !self.in_use() {
            self.seen[1].store(1, Relaxed);
        }
    }

    /// Fill and counters.
    pub fn stats(&self) -> TemplateStats {
        let mut stats = TemplateStats {
            capacity: self.places.len() as u64,
            ..TemplateStats::default()
        };
        let all = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().for_each(|counters| stats.add(counters));
        stats.high_water = stats.used.max(self.seen[0].load(Relaxed));
        stats
    }

    /// The fingerprint of a client, never 0, and the bucket that it has.
    fn place_of(&self, client: &Client) -> (u64, BucketNo) {
        let print = client.fingerprint(&self.secret);
        (print, self.places.bucket(print))
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;
