//! The one writer of a set of slots: what a worker does with its flows.
//!
//! A [`Writer`] is handed packets' keys, hashes and `now`; it never waits, allocates or reads a clock. It can
//! move to another thread but not be shared. Its stores are relaxed; readers tell a torn copy by the
//! bucket's version (see `bucket`). What a packet does to its flow is in `touch`, how room is made for a new one in
//! `insert` and `room`, how one goes in `leave`; the hand and the flush are in `sweep`.

use crate::bucket::PlaceNo;
use crate::burst::Probe;
use crate::entry::At;
use crate::flood::Flood;
use crate::handover::Counted;
use crate::hash::{FlowHash, SlotNo, flow_hash};
use crate::key::{Dir, Key};
use crate::kind::{Cause, Freed, FreedList, Kind};
use crate::pin::PinWord;
use crate::round::{NOBODY, Round};
use crate::share::Shares;
use crate::standing::Standing;
use crate::state::L4;
use crate::stats::Counters;
use crate::sweep::Lap;
use crate::table::Table;
use crate::time::Tick;
use crate::timeouts::TimeoutsNo;
use crossbeam_utils::CachePadded;
use std::cell::Cell;
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
    pub(crate) len: Cell<usize>,
    pub(crate) hand: Position,
    pub(crate) lap: Lap,
    /// The hand that visits flows, see [`visit`](Self::visit), and its round.
    pub(crate) visiting: Position,
    pub(crate) round: Cell<Round>,
    /// The round of `hand`.
    pub(crate) swept: Cell<Round>,
    /// An entry that the last insert moved to its other bucket.
    pub(crate) moved: Cell<Option<PlaceNo>>,
    /// How many flows each source network holds here.
    pub(crate) shares: Shares,
    /// Of which of the slots' buckets.
    pub(crate) counted: Counted,
    /// Until when a source network may still hold more than its share.
    pub(crate) crowded_until: Cell<Tick>,
    pub(crate) flood: Flood,
    /// Aux indexes of entries that went.
    pub(crate) freed: FreedList,
    /// A flush is under way: nothing is displaced, so that no entry slips behind it.
    pub(crate) flushing: bool,
}

impl<K: Key> Writer<K> {
    pub(crate) fn new(
        table: Arc<Table<K>>,
        mut slots: Vec<SlotNo>,
        counters: Arc<CachePadded<Counters>>,
    ) -> Self {
        // Room for all, so that taking one allocates nothing.
        slots.reserve_exact(table.slots().saturating_sub(slots.len()));
        let len = slots.iter().map(|slot| table.used(*slot) as usize).sum();
        counters.high_water.raise(len as u64);
        if len > 0 {
            // Flows that nobody has visited yet.
            counters.set_rounds(0);
        }
        let buckets = slots.len() * table.slot_buckets();
        let shares = Shares::new(table.secret());
        if len > 0 {
            let held = slots.iter().flat_map(|slot| table.places(*slot));
            held.for_each(|place| shares.of(source(&table.entries.at(place))).add());
        }
        Self {
            shares,
            counted: Counted::all(&table),
            crowded_until: Cell::new(Tick(0)),
            flood: Flood::default(),
            freed: FreedList::new(),
            table,
            slots,
            counters,
            len: Cell::new(len),
            hand: Position(0),
            lap: Lap::default(),
            visiting: Position(0),
            round: Cell::new(Round::new(Tick(0), buckets)),
            swept: Cell::new(Round::new(Tick(0), buckets)),
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

    /// The hash of a key in this table.
    #[inline]
    pub fn hash(&self, key: &K) -> FlowHash {
        flow_hash(self.table.secret(), key)
    }

    /// Finds a flow. One that has expired is freed and not found.
    #[inline]
    pub fn lookup(&self, slot: SlotNo, hash: FlowHash, key: &K, now: Tick) -> Option<Entry> {
        self.found(self.table.locate(self.table.range(slot), hash, key), now)
    }

    /// The last step of a lookup that [`start`](Self::start) has begun, which does what [`lookup`](Self::lookup) does: what
    /// was seen before is only a hint, and compared again.
    #[inline]
    pub fn lookup_probed(&self, probe: &Probe, key: &K, now: Tick) -> Option<Entry> {
        // Who leaves a place takes its key away from there, so the key alone says whose it is.
        if let Some(place) = probe.place()
            && self.table.entries.at(place).is(key)
        {
            return self.found(Some(place), now);
        }
        self.lookup(probe.slot, probe.hash, key, now)
    }

    #[inline]
    fn found(&self, place: Option<PlaceNo>, now: Tick) -> Option<Entry> {
        let Some(place) = place else {
            self.counters.misses.bump();
            return None;
        };
        if self.free_if_expired(place, now) {
            self.counters.misses.bump();
            self.counters.missed_expired.bump();
            return None;
        }
        self.counters.hits.bump();
        Some(Entry(place))
    }

    /// Whether a flow without an entry is proved to be new (design section 4): its pin cannot have been lost
    /// within `idle_s` seconds, by eviction, refusal, shrunk lifetime or start.
    ///
    /// Every such loss is noted at the first bucket of the flow that suffers it, or in a flood for all flows of the slot.
    pub fn proves_new(&self, slot: SlotNo, hash: FlowHash, idle_s: u32, now: Tick) -> bool {
        self.table.proves_new(slot, hash, idle_s, now)
    }

    /// The pin of a direction; [`PinWord::NONE`] if it has none.
    #[inline]
    pub fn pin(&self, e: Entry, dir: Dir) -> PinWord {
        self.table.entries.at(e.0).side(dir).pin()
    }

    /// The stamp of a direction.
    #[inline]
    pub fn stamp(&self, e: Entry, dir: Dir) -> u32 {
        self.table.entries.at(e.0).stamp(dir)
    }

    /// Pins a direction, with the stamp that vouches for the pin.
    #[inline]
    pub fn set_pin(&mut self, e: Entry, dir: Dir, pin: PinWord, stamp: u32) {
        let at = self.table.entries.at(e.0);
        let line = self.table.buckets.line(e.0.bucket());
        line.begin();
        at.set_side(dir, at.side(dir).with_pin(pin));
        at.set_stamp(dir, stamp);
        let life = at.life();
        at.set_life(life.with_changed(life.last_use()));
        line.end();
    }

    /// Renews the stamp of a direction whose pin was found to be still right.
    pub fn set_stamp(&mut self, e: Entry, dir: Dir, stamp: u32) {
        self.table.entries.at(e.0).set_stamp(dir, stamp);
    }

    /// Says whether one of the entry's pins is not what a packet without an entry would get.
    #[inline]
    pub fn set_debt(&mut self, e: Entry, debt: bool) {
        let at = self.table.entries.at(e.0);
        let life = at.life().with_debt(debt);
        at.set_life(life);
        let standing = Standing::of(life.class(), life.state(), debt);
        self.table.buckets.set_standing(e.0, standing);
    }

    /// The idle timeout for the stateless answer of a packet like this, whose route gives its flows this set of
    /// timeouts, seconds: the longest of its protocol, see [`Timeouts::idle`](crate::Timeouts::idle).
    pub fn idle_timeout(&self, l4: &L4, of: TimeoutsNo) -> u32 {
        self.table.timeouts_of(of).idle(l4)
    }

    /// Gives an entry that was just made, or is a new connection's, another set of idle timeouts than the default.
    #[inline]
    pub fn set_timeouts(&mut self, e: Entry, of: TimeoutsNo) {
        let at = self.table.entries.at(e.0);
        if at.timeouts() != of {
            at.set_timeouts(of);
        }
    }

    /// What an entry is, and its aux index.
    pub fn kind(&self, e: Entry) -> (Kind, u32) {
        let at = self.table.entries.at(e.0);
        let life = at.life();
        (life.kind(), at.aux(life))
    }

    /// Makes an entry one of this kind with this aux index. Of another kind or index that it had its owner is told
    /// ([`take_freed`](Self::take_freed)). Returns whether it did: not while nobody takes what was freed before.
    #[must_use]
    pub fn set_kind(&mut self, e: Entry, kind: Kind, aux: u32) -> bool {
        let aux = if kind.is_plain() { 0 } else { aux };
        if self.kind(e) == (kind, aux) {
            return true;
        }
        let at = self.table.entries.at(e.0);
        if !self.may_go(at.life()) {
            return false;
        }
        self.give_back(&at, Cause::Removed);
        self.table.buckets.line(e.0.bucket()).begin();
        let life = at.life();
        at.set_kind(kind, aux, life.with_changed(life.last_use()));
        self.table.buckets.line(e.0.bucket()).end();
        true
    }

    /// The next aux index that no entry has any more, for the owner of the side table: to be asked until there is none,
    /// after each burst. While nobody asks, entries that are not plain stay (`kept` in [`Stats`](crate::Stats)).
    pub fn take_freed(&mut self) -> Option<Freed> {
        self.freed.pop()
    }

    /// Counts an entry in a place that was free.
    #[inline]
    pub(crate) fn count_one_more(&self, slot: SlotNo, now: Tick) {
        self.table.set_used(slot, self.table.used(slot) + 1);
        if self.len.get() == 0 {
            // Until now there was nobody to visit.
            self.round.set(Round::new(now, self.bucket_count()));
            self.swept.set(self.round.get());
            self.counters.set_rounds(now.0);
        }
        self.len.set(self.len.get() + 1);
        self.counters.high_water.raise(self.len.get() as u64);
    }
}

/// The network that an entry's flow was opened from.
#[inline]
pub(crate) fn source<K: Key>(at: &At<'_, K>) -> u64 {
    at.key().network(at.life().opener())
}

impl<K: Key> Drop for Writer<K> {
    fn drop(&mut self) {
        self.counters.set_rounds(NOBODY);
        self.slots.iter().for_each(|slot| self.table.release(*slot));
    }
}

#[cfg(all(test, not(loom)))]
#[path = "writer_tests.rs"]
mod tests;
