//! A slot changes its writer: the one gives it up, the other claims it, and no entry moves.
//!
//! Whoever calls these sees to it that the one has given a slot up, visibly to the other, before the other takes it; the
//! claim refuses if not. What a writer keeps beside the table is made anew: the numbers of its flows at once, how many
//! each source network holds bucket by bucket ([`Writer::recount`]). Until a bucket is counted its flows count for
//! nobody, so that for a while a network may hold more than its share; nobody is refused for flows that it has not.

use crate::bucket::{BucketNo, PlaceNo};
use crate::hash::SlotNo;
use crate::key::Key;
use crate::round::{NOBODY, Round};
use crate::table::Table;
use crate::time::Tick;
use crate::writer::{Writer, source};
use std::cell::Cell;

/// How many buckets of each slot have their flows counted by source network: those before that many.
pub(crate) struct Counted {
    of: Box<[Cell<u32>]>,
    /// Whether some slot of the writer has buckets that are not.
    behind: Cell<bool>,
}

impl Counted {
    /// All buckets of all slots.
    pub(crate) fn all<K: Key>(table: &Table<K>) -> Self {
        let all = table.slot_buckets() as u32;
        Self {
            of: (0..table.slots()).map(|_| Cell::new(all)).collect(),
            behind: Cell::new(false),
        }
    }

    fn forget(&self, slot: SlotNo) {
        self.behind.set(true);
        if let Some(counted) = self.of.get(usize::from(slot.0)) {
            counted.set(0);
        }
    }
}

impl<K: Key> Writer<K> {
    /// Gives a slot up, entries and all: this writer touches it no more. Not while a flush is under way.
    pub fn give(&mut self, slot: SlotNo, now: Tick) {
        let Some(at) = self.slots.iter().position(|mine| *mine == slot) else {
            return;
        };
        self.slots.swap_remove(at);
        let used = self.table.used(slot) as usize;
        self.len.set(self.len.get().saturating_sub(used));
        self.shares.clear();
        self.slots
            .iter()
            .for_each(|mine| self.counted.forget(*mine));
        self.moved.set(None);
        self.start_round(now);
        self.table.release(slot);
    }

    /// Takes a slot that another writer has given up. `false`: it has not.
    #[must_use]
    pub fn take(&mut self, slot: SlotNo, now: Tick) -> bool {
        if !self.table.claim(slot) {
            return false;
        }
        self.slots.push(slot);
        let used = self.table.used(slot) as usize;
        self.len.set(self.len.get() + used);
        self.counters.high_water.raise(self.len.get() as u64);
        self.counted.forget(slot);
        self.moved.set(None);
        self.start_round(now);
        true
    }

    /// Counts the flows of the next few buckets by source network, until those of all slots are. Returns whether there
    /// are more.
    pub fn recount(&mut self, buckets: usize) -> bool {
        if !self.counted.behind.get() {
            return false;
        }
        let all = self.table.slot_buckets() as u32;
        for _ in 0..buckets {
            let counted = |slot: &SlotNo| self.counted.of.get(usize::from(slot.0));
            let mut left = self
                .slots
                .iter()
                .filter_map(|slot| Some((slot, counted(slot)?)));
            let Some((slot, done)) = left.find(|(_, done)| done.get() < all) else {
                self.counted.behind.set(false);
                return false;
            };
            let bucket = BucketNo(self.table.range(*slot).start + done.get() as usize);
            for place in self.table.buckets.line(bucket).tags().used() {
                let at = self.table.entries.at(bucket.place(place));
                self.shares.of(source(&at)).add();
            }
            done.set(done.get() + 1);
        }
        self.counted.behind.get()
    }

    /// Whether the flow in this place is among those that are counted by source network.
    #[inline]
    pub(crate) fn counts(&self, place: PlaceNo) -> bool {
        !self.counted.behind.get() || self.is_counted(place)
    }

    #[cold]
    fn is_counted(&self, place: PlaceNo) -> bool {
        let slot = self.table.slot_of(place.bucket());
        let counted = self.counted.of.get(usize::from(slot.0));
        let in_slot = place.bucket().0 - self.table.range(slot).start;
        counted.is_some_and(|counted| in_slot < counted.get() as usize)
    }

    /// The hands begin their rounds again: of the flows that came nobody here knows when they were visited.
    fn start_round(&mut self, now: Tick) {
        let buckets = self.bucket_count();
        (self.hand.0, self.visiting.0) = (
            self.hand.0 % buckets.max(1),
            self.visiting.0 % buckets.max(1),
        );
        self.round.set(Round::new(now, buckets));
        self.swept.set(Round::new(now, buckets));
        let visited = if self.is_empty() { NOBODY } else { 0 };
        self.counters.set_rounds(visited);
    }
}

#[cfg(all(test, not(loom)))]
#[path = "handover_tests.rs"]
mod tests;
