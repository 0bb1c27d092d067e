//! The one writer of a set of slots: what a worker does with its flows.
//!
//! A [`Writer`] is handed packets' keys, hashes and `now`; it never waits, allocates or reads a clock. It can
//! move to another thread but not be shared. Its stores are relaxed; readers tell a torn copy by the
//! bucket's version (see `bucket`). How room is made for a new flow is in `room`, the hand and the flush
//! are in `sweep`.

use crate::bucket::{BucketNo, PlaceNo, Tag};
use crate::burst::{Flow, Probe};
use crate::entry::At;
use crate::flood::Flood;
use crate::handover::Counted;
use crate::hash::{FlowHash, SlotNo, flow_hash};
use crate::key::{BOTH, Dir, Key};
use crate::kind::{Cause, Freed, FreedList, Kind};
use crate::life::{Life, Side};
use crate::pin::PinWord;
use crate::round::{NOBODY, Round};
use crate::share::Shares;
use crate::standing::Standing;
use crate::state::{L4, Observed, Seen, State};
use crate::stats::Counters;
use crate::sweep::Lap;
use crate::table::Table;
use crate::tcp::moves_marks;
use crate::time::Tick;
use crate::timeouts::TimeoutsNo;
use crate::track::{Touch, When, follow_marks};
use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::sync::Arc;

/// An entry that a lookup or an insert found.
///
/// Good until the next [`insert`](Writer::insert), [`remove`](Writer::remove), [`sweep`](Writer::sweep) or
/// flush of the same writer, which can move or free entries: whoever keeps one longer looks up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry(pub(crate) PlaceNo);

/// What [`Writer::touch`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The flow's entry.
    pub entry: Entry,
    /// What the packet did to the flow.
    pub observed: Observed,
    /// The pin of the packet's direction; [`PinWord::NONE`] if it has none.
    pub pin: PinWord,
    /// The stamp beside it.
    pub stamp: u32,
}

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

    /// [`lookup`](Self::lookup), [`observe`](Self::observe) and the pin of a flow whose lookup [`start`](Self::start) has
    /// begun. What was seen before is only a hint, and compared again.
    ///
    /// A packet in the middle of a connection takes the short way here, past one look at the entry.
    #[inline]
    pub fn touch(&mut self, flow: &Flow<K>, seen: &Seen, now: Tick) -> Option<Hit> {
        let settled = self.touch_settled(flow, seen, now);
        settled.or_else(|| self.touch_anew(flow, seen, now))
    }

    /// The short way of [`touch`](Self::touch) alone. `None` says nothing: it may be a packet that changes more, or a flow
    /// that is elsewhere or nowhere. Nothing has been done then.
    #[inline(always)]
    pub fn touch_settled(&mut self, flow: &Flow<K>, seen: &Seen, now: Tick) -> Option<Hit> {
        let Flow { probe, key, dir } = flow;
        let place = probe.place()?;
        let at = self.table.entries.at(place);
        let life = at.life();
        // No timeout is shorter than a second.
        let live = now.since(life.last_use()) < Tick::PER_SECOND;
        // Who leaves a place takes its key away from there, so the key alone says whose it is.
        if !(at.is(key) && live && is_settled(life, *dir, seen)) {
            return None;
        }
        self.counters.hits.bump();
        at.set_count(*dir, at.count(*dir).plus(seen.bytes));
        let own = self.pass(&at, life, *dir, seen, now);
        Some(Hit {
            entry: Entry(place),
            observed: Observed::Normal,
            pin: own.pin(),
            stamp: at.stamp(*dir),
        })
    }

    /// The long way alone: the flow is elsewhere or nowhere, or its packet changes more.
    #[inline]
    pub fn touch_anew(&mut self, flow: &Flow<K>, seen: &Seen, now: Tick) -> Option<Hit> {
        if flow.probe.place().is_none() && self.is_absent(&flow.probe) {
            self.counters.misses.bump();
            return None;
        }
        let entry = self.lookup_probed(&flow.probe, &flow.key, now)?;
        let observed = self.observe(entry, flow.dir, seen, now);
        Some(Hit {
            entry,
            observed,
            pin: self.pin(entry, flow.dir),
            stamp: self.stamp(entry, flow.dir),
        })
    }

    /// Whether a flow is in neither of its buckets, as the first alone can say of most.
    #[inline]
    pub(crate) fn is_absent(&self, probe: &Probe) -> bool {
        let (buckets, tag) = (&self.table.buckets, Tag::of(probe.hash));
        let line = buckets.line(self.table.range(probe.slot).first(probe.hash));
        !line.classes().has_strays(tag) && line.tags().matching(tag).next().is_none()
    }

    /// Counts a packet of a flow and moves the flow's state, class and last use on. To be called for each
    /// packet, before its pin is used.
    #[inline]
    pub fn observe(&mut self, e: Entry, dir: Dir, seen: &Seen, now: Tick) -> Observed {
        let at = self.table.entries.at(e.0);
        let life = at.life();
        if !is_settled(life.as_plain(), dir, seen) {
            return self.track(e.0, dir, seen, now);
        }
        at.count_packet(dir, life, seen.bytes);
        self.pass(&at, life, dir, seen, now);
        Observed::Normal
    }

    /// A packet, counted already, that can change no more than marks and last use; gives its side as it was.
    #[inline]
    fn pass(&self, at: &At<'_, K>, life: Life, dir: Dir, seen: &Seen, now: Tick) -> Side {
        let own = at.side(dir);
        let moves = own.in_port() != seen.in_port
            || moves_marks(&seen.l4, own.mark(), at.side(dir.flip()).mark());
        if moves {
            follow(*at, dir, seen);
        }
        if life.last_use() != now {
            at.set_life(life.with_last_use(now));
        }
        own
    }

    /// What a packet that may change more than marks and last use does to its flow.
    #[inline(never)]
    fn track(&self, place: PlaceNo, dir: Dir, seen: &Seen, now: Tick) -> Observed {
        let at = self.table.entries.at(place);
        let life = at.life();
        let sides = BOTH.map(|way| at.side(way));
        let before = life.track(sides.map(Side::mark));
        let mut track = before;
        let touch = track.step(dir, seen, when(&at, life, now));
        if touch == Touch::Reopened {
            self.start_anew(&at, life, now);
        }
        at.count_packet(dir, life, seen.bytes);
        if touch == Touch::Counted {
            return Observed::Normal;
        }
        set_sides(&at, sides, track.marks, dir, seen.in_port);
        let mut life = life.with_track(&track).with_last_use(now);
        if (track.state, track.class) != (before.state, before.class) {
            life = life.with_changed(now);
            let standing = Standing::of(track.class, track.state, life.debt());
            self.table.buckets.set_standing(place, standing);
        }
        if track.opener != before.opener && self.counts(place) {
            let key = at.key();
            self.shares.of(key.network(before.opener)).remove();
            self.shares.of(key.network(track.opener)).add();
        }
        at.set_life(life);
        if touch == Touch::Reopened {
            Observed::Reopened
        } else {
            Observed::Normal
        }
    }

    /// The entry becomes a new connection's: its age and counters start again. What it is besides it stays.
    fn start_anew(&self, at: &At<'_, K>, life: Life, now: Tick) {
        self.counters.reopened.bump();
        at.set_birth(now);
        at.count_anew(life);
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

    /// Whether an entry can go now, if it has to: its aux index must find room among those that were freed.
    #[inline]
    pub(crate) fn may_go(&self, life: Life) -> bool {
        life.kind().is_plain() || self.can_give_back()
    }

    #[cold]
    fn can_give_back(&self) -> bool {
        let room = self.freed.room() > 0;
        if !room {
            self.counters.kept.bump();
        }
        room
    }

    /// The entry's aux index is its owner's again.
    #[inline]
    pub(crate) fn give_back(&self, at: &At<'_, K>, cause: Cause) {
        let life = at.life();
        if !life.kind().is_plain() {
            let (kind, aux) = (life.kind(), at.aux(life));
            self.freed.push(Freed { kind, aux, cause });
        }
    }

    /// Removes an entry on request. This is not a loss: its flow will be taken for new. One that is not plain stays while
    /// nobody takes what was freed before. Returns whether it went.
    pub fn remove(&mut self, e: Entry) -> bool {
        if !self.may_go(self.table.entries.at(e.0).life()) {
            return false;
        }
        self.counters.removed.bump();
        self.free(e.0, Cause::Removed);
        true
    }

    /// Frees an entry whose idle timeout has passed. Returns whether it did.
    #[inline]
    pub(crate) fn free_if_expired(&self, place: PlaceNo, now: Tick) -> bool {
        let at = self.table.entries.at(place);
        let expires = self.expires(place, &at, at.life(), now);
        if expires {
            self.free(place, Cause::Expired);
        }
        expires
    }

    /// Whether the idle timeout of an entry has passed and it may go. Then it has been counted, and is to go now.
    #[inline]
    pub(crate) fn expires(&self, place: PlaceNo, at: &At<'_, K>, life: Life, now: Tick) -> bool {
        let idle = now.since(life.last_use());
        // No timeout is shorter than a second, and most packets follow another within one.
        let live = idle < Tick::PER_SECOND || idle < self.timeout(at, life.state());
        !live && self.count_expired(place, life, now)
    }

    #[cold]
    fn count_expired(&self, place: PlaceNo, life: Life, now: Tick) -> bool {
        if !self.may_go(life) {
            return false;
        }
        // A flow picked up midstream may be older and idle for longer than we give it.
        if life.state() == State::Midstream {
            self.note_loss(place, now);
        }
        self.counters.expired.bump(life.class());
        true
    }

    /// The idle timeout of an entry in this state, in ticks.
    #[inline]
    pub(crate) fn timeout(&self, at: &At<'_, K>, state: State) -> u32 {
        self.table
            .timeouts_of(at.timeouts())
            .get(state)
            .saturating_mul(Tick::PER_SECOND)
    }

    /// Notes at an entry's first bucket that its live pin is lost.
    #[inline(always)]
    pub(crate) fn note_loss(&self, place: PlaceNo, now: Tick) {
        let first = if self.table.entries.at(place).life().stray() {
            self.home(place, self.table.buckets.tag(place))
        } else {
            place.bucket()
        };
        self.table.buckets.line(first).set_loss(now);
    }

    /// The first bucket of a stray with this tag.
    #[inline]
    pub(crate) fn home(&self, place: PlaceNo, tag: Tag) -> BucketNo {
        let range = self.table.range(self.table.slot_of(place.bucket()));
        range.other(place.bucket(), tag)
    }

    /// Makes a place free. Who lives there may go, see [`may_go`](Self::may_go).
    pub(crate) fn free(&self, place: PlaceNo, cause: Cause) {
        let at = self.table.entries.at(place);
        self.give_back(&at, cause);
        if self.counts(place) {
            self.shares.of(source(&at)).remove();
        }
        let (bucket, in_bucket) = (place.bucket(), place.in_bucket());
        let line = self.table.buckets.line(bucket);
        let tag = line.tag(in_bucket);
        line.begin();
        line.set_tag(in_bucket, Tag::FREE);
        at.vacate();
        line.end();
        if at.life().stray() {
            let home = self.home(place, tag);
            self.table.buckets.line(home).unstray(tag);
        }
        let slot = self.table.slot_of(bucket);
        self.table
            .set_used(slot, self.table.used(slot).saturating_sub(1));
        self.len.set(self.len.get().saturating_sub(1));
        if self.len.get() == 0 {
            self.counters.set_rounds(NOBODY);
        }
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

/// Whether a packet can change no more of its flow, a plain one, than counters, marks and last use.
#[inline]
fn is_settled(life: Life, dir: Dir, seen: &Seen) -> bool {
    match &seen.l4 {
        L4::Tcp { flags, .. } => flags & (L4::SYN | L4::FIN | L4::RST) == 0 && life.settled(dir),
        _ => life.proved(dir),
    }
}

/// What a packet in the middle of a connection may change besides its last use: marks, and the port it comes by.
#[inline(never)]
fn follow<K: Key>(at: At<'_, K>, dir: Dir, seen: &Seen) {
    let sides = BOTH.map(|way| at.side(way));
    let marks = follow_marks(dir, seen, sides.map(Side::mark));
    set_sides(&at, sides, marks, dir, seen.in_port);
}

/// The network that an entry's flow was opened from.
#[inline]
pub(crate) fn source<K: Key>(at: &At<'_, K>) -> u64 {
    at.key().network(at.life().opener())
}

/// When a packet comes, from its flow's point of view.
pub(crate) fn when<K: Key>(at: &At<'_, K>, life: Life, now: Tick) -> When {
    When {
        age: at.age(life, now),
        idle: now.since(life.last_use()),
        packets: BOTH
            .map(|way| at.counted(way, life).packets)
            .into_iter()
            .sum(),
    }
}

/// Stores what has changed of both sides: their marks, and the port that `dir` last came in by.
fn set_sides<K: Key>(at: &At<'_, K>, sides: [Side; 2], marks: [u16; 2], dir: Dir, port: u8) {
    for (way, side) in BOTH.into_iter().zip(sides) {
        let next = side.with_mark(marks[way as usize]);
        let next = if way == dir {
            next.with_in_port(port)
        } else {
            next
        };
        if next != side {
            at.set_side(way, next);
        }
    }
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
