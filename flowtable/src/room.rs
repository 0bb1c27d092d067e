//! Room for a new flow: a free place, an expired one, one displacement, or an eviction by class.
//!
//! The steps are tried in this order. All of them together read the lines of the two candidate buckets, at most
//! [`LOOKS`] entries of theirs and the lines of at most [`MOVES`] other buckets, so that a new flow costs the same
//! in a full table, attacked or not. A flow that finds no room is refused: it is forwarded without a pin, and its
//! first bucket remembers that.
//!
//! *Who may be evicted* (design section 5): probation freely, the oldest of those looked at first; one-way only past
//! its shrunk lifetime; two-way never, unless its connection is over: then as one-way ones do. Within a class an entry in pin debt goes last, and in probation's first 3 s
//! not at all. Under pressure a source network that holds its share of the places gets no new ones, and its flows on
//! probation make room before those of others. The buckets know how their flows stand, so that those on probation are looked at first, without debt
//! before those in debt; which of many, the new flow's hash decides.

use crate::bucket::{BucketNo, PLACES, PlaceNo, Standing, Tag};
use crate::burst::{NO_HINT, Probe};
use crate::entry::{At, Life};
use crate::hash::{FlowHash, SlotNo};
use crate::key::{Dir, Key};
use crate::kind::Cause;
use crate::pressure::{DEBT_SAFE, Fill};
use crate::state::{Class, Seen};
use crate::time::Tick;
use crate::track::Track;
use crate::writer::{Entry, Writer, source};

/// Entries that are looked at to evict one, at most.
const LOOKS: usize = 4;

/// The same if hardly any place is free.
const NEAR: usize = 2;

/// Buckets that are looked at to displace an entry, at most.
const MOVES: usize = 8;

/// Ticks after a source network met its share for which its flows make room before others'.
const CROWDED: u32 = 10 * Tick::PER_SECOND;

/// There is no room for the flow; it is forwarded without a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room in the flow table for this flow")]
pub struct Refused;

impl<K: Key> Writer<K> {
    /// Makes an entry for a flow whose packet `seen` travels in `dir`. It has no pins yet.
    ///
    /// If the flow has an entry after all, that is the answer, and the packet is observed there.
    ///
    /// # Errors
    ///
    /// [`Refused`] if there is no room, see the module's head.
    pub fn insert(
        &mut self,
        slot: SlotNo,
        hash: FlowHash,
        key: &K,
        dir: Dir,
        seen: &Seen,
        now: Tick,
    ) -> Result<Entry, Refused> {
        let range = self.table.range(slot);
        if let Some(place) = self.table.locate(range, hash, key)
            && !self.free_if_expired(place, now)
        {
            let _ = self.observe(Entry(place), dir, seen, now);
            return Ok(Entry(place));
        }
        self.insert_missed(slot, hash, key, dir, seen, now)
    }

    /// As [`insert`](Self::insert), of a flow that a lookup has missed since the writer was last given anything else to
    /// do: it is not looked up again.
    ///
    /// # Errors
    ///
    /// [`Refused`] if there is no room, see the module's head.
    pub fn insert_missed(
        &mut self,
        slot: SlotNo,
        hash: FlowHash,
        key: &K,
        dir: Dir,
        seen: &Seen,
        now: Tick,
    ) -> Result<Entry, Refused> {
        self.moved.set(None);
        let candidates = self.table.range(slot).candidates(hash);
        let fill = self.fill(slot);
        if self.turns_away(slot, hash, now) {
            return Err(Refused);
        }
        let track = Track::first(dir, seen);
        let network = key.network(track.opener);
        if fill.presses() && self.is_over_share(network) {
            self.counters.over_share.bump();
            self.crowded_until.set(Tick(now.0.saturating_add(CROWDED)));
            return Err(self.refuse(candidates[0], now));
        }
        let Some(vacancy) = self.place_for(candidates, hash, fill, now) else {
            return Err(self.refuse(candidates[0], now));
        };
        self.count_move(vacancy, network, slot, now);
        self.move_in(vacancy, candidates[0], Tag::of(hash), |at| {
            at.write(key, &track, now);
            at.set_side(dir, at.side(dir).with_in_port(seen.in_port));
            at.set_count(dir, at.count(dir).plus(seen.bytes));
            Standing::of(track.class, track.state, false)
        });
        Ok(Entry(vacancy.place))
    }

    /// The flow goes on without a pin: its first bucket remembers that.
    fn refuse(&self, first: BucketNo, now: Tick) -> Refused {
        self.table.buckets.set_loss(first, now);
        self.counters.refused.bump();
        Refused
    }

    /// Whether a new flow gets no entry, as most do in a flood: nothing but its first bucket is looked at. Then it has been
    /// counted and noted; else it is to be inserted.
    #[inline]
    pub fn turns_away(&mut self, slot: SlotNo, hash: FlowHash, now: Tick) -> bool {
        let first = self.table.range(slot).first(hash);
        let away = self.fill(slot).presses()
            && !self.flood.lets_in(hash, now)
            && self.free_in(first).is_none();
        if away {
            self.table.turn_away(slot, now);
            self.counters.flooded.bump();
            self.counters.refused.bump();
        }
        away
    }

    /// As [`turns_away`](Self::turns_away), of a burst's flow that may have an entry: `true` only if its buckets' tags say
    /// that it has none.
    #[inline]
    pub fn turns_away_absent(&mut self, probe: &Probe, now: Tick) -> bool {
        let away = probe.hint == NO_HINT
            && self.is_nowhere(probe)
            && self.turns_away(probe.slot, probe.hash, now);
        if away {
            self.counters.misses.bump();
        }
        away
    }

    /// Whether a slot's new flows are turned away, most of them: an answer for some packets to come, and no promise.
    #[inline]
    pub fn floods(&self, slot: SlotNo) -> bool {
        self.flood.is_on() && self.fill(slot).presses()
    }

    /// Whether a source network holds its share of this writer's places, or more.
    fn is_over_share(&self, network: u64) -> bool {
        let percent = u64::from(self.table.source_share());
        let places = (self.slots.len() * self.table.slot_capacity()) as u64;
        percent < 100 && u64::from(self.shares.of(network)) >= (places * percent / 100).max(1)
    }

    /// Counts who goes, if anybody does, and who comes.
    fn count_move(&self, vacancy: Vacancy, network: u64, slot: SlotNo, now: Tick) {
        let Vacancy { place, tenant } = vacancy;
        let counts = self.counts(place);
        if let Some(cause) = tenant {
            let at = self.table.entries.at(place);
            self.give_back(&at, cause);
            if counts {
                self.shares.remove(source(&at));
            }
        } else {
            self.count_one_more(slot, now);
        }
        if counts {
            self.shares.add(network);
        }
        self.counters.inserts.bump();
    }

    /// Writes a new entry, whose first bucket this is, over who lived there: a reader finds the one or the other.
    fn move_in(
        &self,
        Vacancy { place, tenant }: Vacancy,
        first: BucketNo,
        tag: Tag,
        write: impl FnOnce(&At<'_, K>) -> Standing,
    ) {
        let (buckets, at) = (&self.table.buckets, self.table.entries.at(place));
        let (bucket, strays) = (place.bucket(), place.bucket() != first);
        buckets.begin(bucket);
        // Who goes first: at its largest a count of strays stays what it is.
        if tenant.is_some() && at.life().stray() {
            let old = buckets.tag(place);
            buckets.unstray(self.home(place, old), old);
        }
        if strays {
            buckets.stray(first, tag);
        }
        let standing = write(&at);
        at.set_life(at.life().with_stray(strays));
        buckets.set_standing(place, standing);
        buckets.set_tag(place, tag);
        buckets.end(bucket);
    }

    /// A place for a new flow: a free one in its first bucket, where it is found soonest, else in its second; else one
    /// that is made free.
    fn place_for(
        &self,
        candidates: [BucketNo; 2],
        hash: FlowHash,
        fill: Fill,
        now: Tick,
    ) -> Option<Vacancy> {
        let start = hash.0 as usize % PLACES;
        let [first, second] = candidates;
        if let Some(place) = self.free_in(first) {
            return Some(Vacancy::free(place));
        }
        // With so little room, a search for some is in vain: better a flow on probation goes at once, and nothing but
        // the first bucket is looked at.
        if fill.is_brim()
            && let Some(vacancy) = self.take_from(first, start, fill, now)
        {
            return Some(vacancy);
        }
        let free = self.free_in(second).map(Vacancy::free);
        free.or_else(|| self.make_room(candidates, start, fill, now))
    }

    fn free_in(&self, bucket: BucketNo) -> Option<PlaceNo> {
        let place = self.table.buckets.tags(bucket).free()?;
        Some(bucket.place(place))
    }

    /// The place of a flow on probation, without debt, in a full bucket.
    fn take_from(&self, bucket: BucketNo, start: usize, fill: Fill, now: Tick) -> Option<Vacancy> {
        match self.oldest(&[bucket], NEAR, start, fill, now) {
            Oldest::Expired(place) => Some(Vacancy::of(place, Cause::Expired)),
            Oldest::Live(Some((place, Class::Probation)))
                if !self.table.entries.at(place).life().debt() =>
            {
                Some(self.evict(place, Class::Probation, now))
            }
            Oldest::Live(_) => None,
        }
    }

    /// A place in one of two full candidates.
    fn make_room(
        &self,
        candidates: [BucketNo; 2],
        start: usize,
        fill: Fill,
        now: Tick,
    ) -> Option<Vacancy> {
        let victim = match self.oldest(&candidates, LOOKS, start, fill, now) {
            Oldest::Expired(place) => return Some(Vacancy::of(place, Cause::Expired)),
            Oldest::Live(victim) => victim,
        };
        let doomed = victim.is_some_and(|(_, class)| class == Class::Probation) && fill.is_brim();
        if !doomed && let Some(place) = self.displace(candidates, start, now) {
            return Some(Vacancy::free(place));
        }
        let (place, class) = victim?;
        Some(self.evict(place, class, now))
    }

    /// A live flow makes room.
    fn evict(&self, place: PlaceNo, class: Class, now: Tick) -> Vacancy {
        if class == Class::Probation {
            let last = self.table.entries.at(place).life().last_use();
            self.flood.evicted(now.since(last), now);
        }
        self.note_loss(place, now);
        self.counters.evicted.bump(class);
        Vacancy::of(place, Cause::Evicted)
    }

    /// Of the first `most` entries of full buckets, in the order of their standing: one that has expired; else who would be
    /// evicted.
    fn oldest(
        &self,
        buckets: &[BucketNo],
        most: usize,
        start: usize,
        fill: Fill,
        now: Tick,
    ) -> Oldest {
        let crowded = now < self.crowded_until.get();
        let mut places = [PlaceNo(0); LOOKS];
        let looks = self.looks(buckets, start, &mut places[..most]);
        // Asked for together, or each would be waited for by itself.
        places[..looks]
            .iter()
            .for_each(|place| self.table.entries.prefetch(*place));
        let mut victim: Option<(Rank, PlaceNo)> = None;
        for &place in &places[..looks] {
            let at = self.table.entries.at(place);
            let life = at.life();
            if self.expires(place, &at, life, now) {
                return Oldest::Expired(place);
            }
            // Who holds more than its share makes room first within its class.
            let modest = !(crowded && self.is_over_share(source(&at)));
            let rank = (life.class(), modest, life.debt(), life.last_use());
            if self.evictable(place, life, fill, now) && victim.is_none_or(|(v, _)| rank < v) {
                victim = Some((rank, place));
            }
        }
        Oldest::Live(victim.map(|((class, ..), place)| (place, class)))
    }

    /// Who is looked at to make room in full buckets; how many.
    #[inline]
    fn looks(&self, buckets: &[BucketNo], start: usize, places: &mut [PlaceNo]) -> usize {
        let mut looks = 0;
        for standing in Standing::ORDER {
            for &bucket in buckets {
                let of = self.table.buckets.classes(bucket).of(standing);
                for place in of.from(start) {
                    if looks == places.len() {
                        return looks;
                    }
                    places[looks] = bucket.place(place);
                    looks += 1;
                }
            }
        }
        looks
    }

    /// Asks for what [`insert`](Self::insert) will look at, of a new flow whose first bucket is full.
    #[inline]
    pub(crate) fn ask_for_room(&self, slot: SlotNo, first: BucketNo, hash: FlowHash) {
        if !self.flood.may_let_in(hash) {
            return;
        }
        let (table, start) = (&self.table, hash.0 as usize % PLACES);
        let mut places = [PlaceNo(0); NEAR];
        let near = self.looks(&[first], start, &mut places);
        places[..near]
            .iter()
            .for_each(|place| table.entries.prefetch(*place));
        if !self.fill(slot).is_brim() {
            let second = table.range(slot).other(first, Tag::of(hash));
            table.buckets.prefetch(second);
        }
    }

    fn evictable(&self, place: PlaceNo, life: Life, fill: Fill, now: Tick) -> bool {
        if !self.may_go(life) {
            return false;
        }
        match life.class() {
            Class::Probation => {
                !life.debt() || self.table.entries.at(place).age(life, now) >= DEBT_SAFE
            }
            Class::TwoWay if !life.state().is_over() => false,
            Class::OneWay | Class::TwoWay => {
                let at = self.table.entries.at(place);
                now.since(life.last_use()) >= self.lifetime(&at, life, fill)
            }
        }
    }

    /// Ticks that an entry may be idle in a slot that is so full.
    pub(crate) fn lifetime(&self, at: &At<'_, K>, life: Life, fill: Fill) -> u32 {
        let full = self.timeout(at, life.state());
        fill.lifetime(full, life.class(), life.state(), life.debt())
    }

    /// Moves one entry of two full buckets to its other candidate. Returns the place it left.
    fn displace(&self, candidates: [BucketNo; 2], start: usize, now: Tick) -> Option<PlaceNo> {
        if self.flushing {
            return None;
        }
        let range = self.table.range(self.table.slot_of(candidates[0]));
        let places = candidates.into_iter().flat_map(|from| {
            let used = self.table.buckets.tags(from).used().from(start);
            used.map(move |place| from.place(place))
        });
        for from in places.take(MOVES) {
            let tag = self.table.buckets.tags(from.bucket()).at(from.in_bucket());
            let to = range.other(from.bucket(), tag);
            if let Some(free) = self.table.buckets.tags(to).free() {
                let to = to.place(free);
                self.relocate(from, to, tag, now);
                self.moved.set(Some(to));
                return Some(from);
            }
        }
        None
    }

    /// Copies, then clears, with both versions odd meanwhile: a reader that looks at both buckets finds the
    /// entry in one of them or looks again.
    pub(crate) fn relocate(&self, from: PlaceNo, to: PlaceNo, tag: Tag, now: Tick) {
        let (buckets, entries) = (&self.table.buckets, &self.table.entries);
        let life = entries.at(from).life();
        buckets.begin(from.bucket());
        buckets.begin(to.bucket());
        if life.stray() {
            buckets.unstray(to.bucket(), tag);
        } else {
            buckets.stray(from.bucket(), tag);
        }
        entries.copy(from, to);
        let stray = !life.stray();
        // The hand may miss it in this round.
        self.table.leave_ended(&entries.at(to));
        entries
            .at(to)
            .set_life(life.with_changed(now).with_stray(stray));
        buckets.set_standing(to, Standing::of(life.class(), life.state(), life.debt()));
        buckets.set_tag(to, tag);
        buckets.set_tag(from, Tag::FREE);
        entries.at(from).vacate();
        buckets.end(to.bucket());
        buckets.end(from.bucket());
        match (self.counts(from), self.counts(to)) {
            (true, false) => self.shares.remove(source(&entries.at(to))),
            (false, true) => self.shares.add(source(&entries.at(to))),
            _ => {}
        }
        self.counters.displaced.bump();
    }
}

/// The order of eviction: class, source networks over their share, pin debt last, least recently used first.
type Rank = (Class, bool, bool, Tick);

/// Where a new flow goes.
#[derive(Clone, Copy, Debug)]
struct Vacancy {
    place: PlaceNo,
    /// Why the flow goes that lives there, if one does.
    tenant: Option<Cause>,
}

impl Vacancy {
    fn free(place: PlaceNo) -> Self {
        let tenant = None;
        Self { place, tenant }
    }

    fn of(place: PlaceNo, goes: Cause) -> Self {
        let tenant = Some(goes);
        Self { place, tenant }
    }
}

enum Oldest {
    /// Who lives here has expired, and been counted.
    Expired(PlaceNo),
    /// None was; this one may be evicted.
    Live(Option<(PlaceNo, Class)>),
}

#[cfg(all(test, not(loom)))]
#[path = "room_tests.rs"]
mod tests;

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use crate::key::KeyV4;
    use crate::loom_tests::{SLOT, UDP, one_flow};
    use crate::pin::PinWord;
    use loom::thread;

    /// A flow that takes another's place in the same bucket, with the same hash and so the same tag: only its key tells.
    fn takes_its_place(look: fn(&crate::Table<KeyV4>, FlowHash, &KeyV4, &KeyV4)) {
        // Two and three pass as well, in one minute and in three; without a bound it takes more than a quarter of an hour.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(1);
        model.check(move || {
            let (table, writer, key, hash, entry) = one_flow();
            let other = KeyV4::new(0, 17, 77, 1, 1 << 31, 2).0;
            let reader = thread::spawn(move || look(&table, hash, &key, &other));
            let track = Track::first(Dir::Fwd, &UDP);
            let vacancy = writer.evict(entry.0, Class::Probation, Tick(2));
            writer.count_move(vacancy, other.network(Dir::Fwd), SLOT, Tick(2));
            writer.move_in(vacancy, entry.0.bucket(), Tag::of(hash), |at| {
                at.write(&other, &track, Tick(2));
                Standing::Probation
            });
            reader.join().unwrap();
        });
    }

    #[test]
    fn loom_a_flow_that_makes_room_is_found_whole_or_not_at_all() {
        takes_its_place(|table, hash, key, _| {
            if let Some(view) = table.find(SLOT, hash, key) {
                let found = (view.pins[0], view.stamps[0], view.packets[0]);
                assert_eq!(found, (PinWord(5), 5, 1));
            }
        });
    }

    #[test]
    fn loom_a_flow_that_takes_anothers_place_has_nothing_of_it() {
        takes_its_place(|table, hash, _, other| {
            if let Some(view) = table.find(SLOT, hash, other) {
                assert_eq!((view.pins[0], view.packets[0]), (PinWord::NONE, 0));
            }
        });
    }
}
