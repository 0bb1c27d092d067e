//! What a packet would do to its flow, and what a flow without an entry would find: for who explains, not for who
//! forwards.
//!
//! All of it is a reader's: nothing is written, counted, refreshed or freed. A writer may go on meanwhile, so that the
//! packet itself, a moment later, can meet something else.

use crate::bucket::PlaceNo;
use crate::hash::{FlowHash, SlotNo};
use crate::key::{BOTH, Dir, Key};
use crate::pressure::Fill;
use crate::state::{Observed, Seen};
use crate::table::Table;
use crate::time::Tick;
use crate::touch::when;
use crate::track::Touch;
use crate::view::EntryView;

/// Whether a flow without an entry would get one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// One of its places is free.
    Free,
    /// Somebody else would have to make room: that depends on what its writer has seen lately.
    Contested,
}

impl<K: Key> Table<K> {
    /// A flow's entry, and what this packet would do to it. `None`: the flow has none, or one that the packet would find
    /// expired.
    pub fn foresee(
        &self,
        (slot, hash): (SlotNo, FlowHash),
        key: &K,
        dir: Dir,
        seen: &Seen,
        now: Tick,
    ) -> Option<(EntryView<K>, Observed)> {
        let found = self.consistent(slot, hash, key, |place| {
            (self.view(place), self.stepped(place, dir, seen, now))
        });
        found.filter(|(entry, _)| !entry.expired(now))
    }

    /// What a packet would do to the entry at a place. A reader brackets this with the bucket's version.
    fn stepped(&self, place: PlaceNo, dir: Dir, seen: &Seen, now: Tick) -> Observed {
        let at = self.entries.at(place);
        let life = at.life();
        let mut track = life.track(BOTH.map(|way| at.side(way).mark()));
        match track.step(dir, seen, when(&at, life, now)) {
            Touch::Reopened => Observed::Reopened,
            Touch::Counted | Touch::Used => Observed::Normal,
        }
    }

    /// Whether a flow without an entry is proved to be new, see [`Writer::proves_new`](crate::Writer::proves_new).
    pub fn proves_new(&self, slot: SlotNo, hash: FlowHash, idle_s: u32, now: Tick) -> bool {
        let idle = idle_s.saturating_mul(Tick::PER_SECOND);
        if self.turned_away_within(slot, idle, now) {
            return false;
        }
        let first = self.range(slot).first(hash);
        now.since(self.buckets.line(first).loss()) >= idle
    }

    /// Whether a flow without an entry would get one.
    pub fn room(&self, slot: SlotNo, hash: FlowHash) -> Room {
        let (used, capacity) = (self.used(slot), self.slot_capacity());
        let candidates = self.range(slot).candidates(hash);
        let pressed = Fill { used, capacity }.presses();
        let free = |bucket| self.buckets.line(bucket).tags().free().is_some();
        if !pressed && candidates.into_iter().any(free) {
            Room::Free
        } else {
            Room::Contested
        }
    }
}

#[cfg(all(test, not(loom)))]
#[path = "peek_tests.rs"]
mod tests;
