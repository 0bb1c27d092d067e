//! The one writer of a set of slots: what a worker does with its flows.
//!
//! A [`Writer`] is handed packets' keys, hashes and `now`; it never waits, allocates or reads a clock. It can
//! move to another thread but not be shared. Its stores are relaxed; readers tell a torn copy by the
//! bucket's version (see `bucket`). How room is made for a new flow is in `room`, the hand and the flush
//! are in `sweep`.

use crate::bucket::{PlaceNo, Tag};
use crate::entry::{Count, Life};
use crate::hash::{FlowHash, SlotNo};
use crate::key::{BOTH, Dir, Key};
use crate::pin::PinWord;
use crate::pressure::Fill;
use crate::round::{NOBODY, Round};
use crate::state::{L4, Observed, Seen, State};
use crate::stats::Counters;
use crate::sync::Ordering::Relaxed;
use crate::table::Table;
use crate::time::Tick;
use crate::track::{Touch, When};
use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;

/// An entry that a lookup or an insert found.
///
/// Good until the next [`insert`](Writer::insert), [`remove`](Writer::remove), [`sweep`](Writer::sweep) or
/// flush of the same writer, which can move or free entries: whoever keeps one longer looks up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry(pub(crate) PlaceNo);

/// Where the hand of a writer, or a flush, has got to: buckets of the writer's slots, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position(pub(crate) usize);

/// The writer of the slots that it has claimed.
pub struct Writer<K: Key> {
    pub(crate) table: Arc<Table<K>>,
    pub(crate) slots: Vec<SlotNo>,
    pub(crate) counters: Arc<CachePadded<Counters>>,
    /// Live entries in all its slots. The cell also keeps a writer from being shared.
    len: Cell<usize>,
    pub(crate) hand: Position,
    /// The hand that visits flows, see [`visit`](Self::visit), and its round.
    pub(crate) visiting: Position,
    pub(crate) round: Cell<Round>,
    /// An entry that the last insert moved to its other bucket.
    pub(crate) moved: Cell<Option<PlaceNo>>,
    /// A flush is under way: nothing is displaced, so that no entry slips behind it.
    pub(crate) flushing: bool,
}

impl<K: Key> Writer<K> {
    pub(crate) fn new(
        table: Arc<Table<K>>,
        slots: Vec<SlotNo>,
        counters: Arc<CachePadded<Counters>>,
    ) -> Self {
        let len = slots.iter().map(|slot| table.used(*slot) as usize).sum();
        counters.high_water.raise(len as u64);
        if len > 0 {
            // Flows that nobody has visited yet.
            counters.round.store(0, Relaxed);
        }
        let buckets = slots.len() * table.slot_buckets();
        Self {
            table,
            slots,
            counters,
            len: Cell::new(len),
            hand: Position(0),
            visiting: Position(0),
            round: Cell::new(Round::new(Tick(0), buckets)),
            moved: Cell::new(None),
            flushing: false,
        }
    }

    /// The table that it writes.
    pub fn table(&self) -> &Arc<Table<K>> {
        &self.table
    }

    /// Live entries in its slots. Expired ones count until they are met or the hand comes by.
    pub fn len(&self) -> usize {
        self.len.get()
    }

    /// Whether its slots hold no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Finds a flow. One that has expired is freed and not found.
    #[inline]
    pub fn lookup(&self, slot: SlotNo, hash: FlowHash, key: &K, now: Tick) -> Option<Entry> {
        let candidates = self.table.range(slot).candidates(hash);
        let found = self.table.locate(candidates, Tag::of(hash), key);
        let live = found.filter(|place| !self.free_if_expired(*place, now));
        if live.is_some() {
            &self.counters.hits
        } else {
            &self.counters.misses
        }
        .bump();
        live.map(Entry)
    }

    /// Asks for the tags that a lookup of this hash will read, some time before it does.
    ///
    /// Safe Rust has no prefetch instruction: these are two plain loads of which nobody waits for the value.
    #[inline]
    pub fn prefetch(&self, slot: SlotNo, hash: FlowHash) {
        let [first, second] = self.table.range(slot).candidates(hash);
        black_box((
            self.table.buckets.loss(first),
            self.table.buckets.loss(second),
        ));
    }

    /// Counts a packet of a flow and moves the flow's state, class and last use on. To be called for each
    /// packet, before its pin is used.
    pub fn observe(&mut self, e: Entry, dir: Dir, seen: &Seen, now: Tick) -> Observed {
        let (entries, place) = (&self.table.entries, e.0);
        let life = entries.life(place);
        let sides = BOTH.map(|way| entries.side(place, way));
        let before = life.track(sides);
        let mut track = before;
        let touch = track.step(dir, seen, self.when(place, life, now));
        if touch == Touch::Reopened {
            self.start_anew(place, now);
        }
        entries.set_count(place, dir, entries.count(place, dir).plus(seen.bytes));
        if touch == Touch::Counted {
            return Observed::Normal;
        }
        for (way, side) in BOTH.into_iter().zip(sides) {
            let port = if way == dir {
                seen.in_port
            } else {
                side.in_port()
            };
            let next = side.with_mark(track.marks[way as usize]).with_in_port(port);
            if next != side {
                entries.set_side(place, way, next);
            }
        }
        let mut life = life.with_track(&track).with_last_use(now);
        if (track.state, track.class) != (before.state, before.class) {
            life = life.with_changed(now);
        }
        entries.set_life(place, life);
        if touch == Touch::Reopened {
            Observed::Reopened
        } else {
            Observed::Normal
        }
    }

    fn when(&self, place: PlaceNo, life: Life, now: Tick) -> When {
        let entries = &self.table.entries;
        When {
            age: now.low().wrapping_sub(entries.birth(place)),
            idle: now.since(life.last_use()),
            packets: BOTH
                .map(|way| entries.count(place, way).packets())
                .into_iter()
                .sum(),
        }
    }

    /// The entry becomes a new connection's: its age and counters start again.
    fn start_anew(&self, place: PlaceNo, now: Tick) {
        self.counters.reopened.bump();
        self.table.entries.set_birth(place, now);
        for way in BOTH {
            self.table.entries.set_count(place, way, Count::default());
        }
    }

    /// Whether a flow without an entry is proved to be new (design section 4): its pin cannot have been lost
    /// within `idle_s` seconds, by eviction, refusal, shrunk lifetime or start.
    ///
    /// Every such loss is noted at both candidate buckets of the flow that suffers it. So if only one of
    /// this flow's candidates has lost nothing, this flow has lost nothing.
    pub fn proves_new(&self, slot: SlotNo, hash: FlowHash, idle_s: u32, now: Tick) -> bool {
        let idle = idle_s.saturating_mul(Tick::PER_SECOND);
        let clean = |bucket| now.since(self.table.buckets.loss(bucket)) >= idle;
        self.table
            .range(slot)
            .candidates(hash)
            .into_iter()
            .any(clean)
    }

    /// The pin of a direction; [`PinWord::NONE`] if it has none.
    #[inline]
    pub fn pin(&self, e: Entry, dir: Dir) -> PinWord {
        self.table.entries.side(e.0, dir).pin()
    }

    /// The stamp of a direction.
    #[inline]
    pub fn stamp(&self, e: Entry, dir: Dir) -> u32 {
        self.table.entries.stamp(e.0, dir)
    }

    /// Pins a direction, with the stamp that vouches for the pin.
    pub fn set_pin(&mut self, e: Entry, dir: Dir, pin: PinWord, stamp: u32) {
        let (entries, place) = (&self.table.entries, e.0);
        self.table.buckets.begin(place.bucket());
        entries.set_side(place, dir, entries.side(place, dir).with_pin(pin));
        entries.set_stamp(place, dir, stamp);
        let life = entries.life(place);
        entries.set_life(place, life.with_changed(life.last_use()));
        self.table.buckets.end(place.bucket());
    }

    /// Renews the stamp of a direction whose pin was found to be still right.
    pub fn set_stamp(&mut self, e: Entry, dir: Dir, stamp: u32) {
        self.table.entries.set_stamp(e.0, dir, stamp);
    }

    /// Says whether one of the entry's pins is not what a packet without an entry would get.
    pub fn set_debt(&mut self, e: Entry, debt: bool) {
        let life = self.table.entries.life(e.0);
        self.table.entries.set_life(e.0, life.with_debt(debt));
    }

    /// The class idle timeout for the stateless answer of a packet like this, seconds: the longest of its
    /// protocol, see [`Timeouts::idle`](crate::Timeouts::idle).
    pub fn idle_timeout(&self, l4: &L4) -> u32 {
        self.table.timeouts().idle(l4)
    }

    /// Removes an entry on request. This is not a loss: its flow will be taken for new.
    pub fn remove(&mut self, e: Entry) {
        self.counters.removed.bump();
        self.free(e.0);
    }

    /// Frees an entry whose idle timeout has passed. Returns whether it did.
    pub(crate) fn free_if_expired(&self, place: PlaceNo, now: Tick) -> bool {
        let life = self.table.entries.life(place);
        if now.since(life.last_use()) < self.timeout(life.state()) {
            return false;
        }
        // A flow picked up midstream may be older and idle for longer than we give it.
        if life.state() == State::Midstream {
            self.note_loss(place, now);
        }
        self.counters.expired.bump(life.class());
        self.free(place);
        true
    }

    /// The idle timeout of a state, in ticks.
    pub(crate) fn timeout(&self, state: State) -> u32 {
        self.table
            .timeouts()
            .get(state)
            .saturating_mul(Tick::PER_SECOND)
    }

    /// Notes at both candidate buckets of an entry that its live pin is lost.
    pub(crate) fn note_loss(&self, place: PlaceNo, now: Tick) {
        let bucket = place.bucket();
        let tag = self.table.buckets.tags(bucket).at(place.in_bucket());
        let range = self.table.range(self.table.slot_of(bucket));
        self.table.buckets.set_loss(bucket, now);
        self.table.buckets.set_loss(range.other(bucket, tag), now);
    }

    /// Makes a place free.
    pub(crate) fn free(&self, place: PlaceNo) {
        let bucket = place.bucket();
        self.table.buckets.begin(bucket);
        self.table.buckets.set_tag(place, Tag::FREE);
        self.table.buckets.end(bucket);
        let slot = self.table.slot_of(bucket);
        self.table
            .set_used(slot, self.table.used(slot).saturating_sub(1));
        self.len.set(self.len.get().saturating_sub(1));
        if self.len.get() == 0 {
            self.counters.round.store(NOBODY, Relaxed);
        }
    }

    /// Counts an entry that was made.
    pub(crate) fn count_insert(&self, slot: SlotNo, now: Tick) {
        self.table.set_used(slot, self.table.used(slot) + 1);
        if self.len.get() == 0 {
            // Until now there was nobody to visit.
            self.round.set(Round::new(now, self.bucket_count()));
            self.counters.round.store(now.0, Relaxed);
        }
        self.len.set(self.len.get() + 1);
        self.counters.inserts.bump();
        self.counters.high_water.raise(self.len.get() as u64);
    }

    /// How full a slot is.
    pub(crate) fn fill(&self, slot: SlotNo) -> Fill {
        Fill {
            used: self.table.used(slot),
            capacity: self.table.slot_capacity(),
        }
    }
}

impl<K: Key> Drop for Writer<K> {
    fn drop(&mut self) {
        self.counters.round.store(NOBODY, Relaxed);
        self.slots.iter().for_each(|slot| self.table.release(*slot));
    }
}

#[cfg(all(test, not(loom)))]
#[path = "writer_tests.rs"]
mod tests;
