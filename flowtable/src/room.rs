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

use crate::bucket::{BucketNo, Line, PLACES, PlaceNo, Tag};
use crate::entry::At;
use crate::hash::{FlowHash, SlotNo};
use crate::insert::{Newcomer, Vacancy};
use crate::key::Key;
use crate::kind::Cause;
use crate::life::Life;
use crate::pressure::{DEBT_SAFE, Fill};
use crate::standing::Standing;
use crate::state::Class;
use crate::time::Tick;
use crate::writer::{Writer, source};
use std::hint::select_unpredictable;

/// Entries that are looked at to evict one, at most.
const LOOKS: usize = 4;

/// The same if hardly any place is free.
const NEAR: usize = 2;

/// Buckets that are looked at to displace an entry, at most.
const MOVES: usize = 8;

impl Newcomer<'_> {
    /// Where in its buckets the search for room starts.
    #[inline]
    fn start(&self) -> usize {
        self.hash.0 as usize % PLACES
    }

    /// Those of its full first bucket that are looked at before all others, if enough are on probation without debt, as in
    /// a flood they are.
    #[inline]
    fn near(&self) -> Option<[PlaceNo; NEAR]> {
        let classes = self.line.classes();
        let mut places = classes.of(Standing::Probation, self.start());
        let mut next = || Some(self.first.place(places.next()?));
        Some([next()?, next()?])
    }
}

impl<K: Key> Writer<K> {
    /// A place for a new flow: a free one in its first bucket, where it is found soonest, else in its second; else one
    /// that is made free.
    #[inline(always)]
    pub(crate) fn place_for(&self, new: &Newcomer<'_>, now: Tick) -> Option<Vacancy> {
        if let Some(place) = new.free() {
            return Some(Vacancy::free(place));
        }
        // With so little room, a search for some is in vain: better a flow on probation goes at once, and nothing but
        // the first bucket is looked at.
        if new.fill.is_brim()
            && let Some(vacancy) = self.take_near(new, now)
        {
            return Some(vacancy);
        }
        let second = self.table.range(new.slot).other(new.first, new.tag());
        let free = self.free_in(second).map(Vacancy::free);
        free.or_else(|| self.make_room(new, second, now))
    }

    #[inline]
    fn free_in(&self, bucket: BucketNo) -> Option<PlaceNo> {
        let place = self.table.buckets.line(bucket).tags().free()?;
        Some(bucket.place(place))
    }

    /// The place of a flow on probation, without debt, in its full first bucket.
    #[inline(always)]
    fn take_near(&self, new: &Newcomer<'_>, now: Tick) -> Option<Vacancy> {
        if let Some(near) = new.near()
            && let Some(vacancy) = self.take_plain(near, now)
        {
            return Some(vacancy);
        }
        match self.oldest([(new.first, new.line)], NEAR, new, now) {
            Oldest::Expired(place) => Some(Vacancy::of(place, Cause::Expired)),
            Oldest::Live(Some((place, rank))) if rank.is_free_to_go() => {
                Some(self.evict(place, rank.class(), rank.last_use(), now))
            }
            Oldest::Live(_) => None,
        }
    }

    /// What [`oldest`](Self::oldest) comes to, of plain flows on probation without debt while nobody holds more than its
    /// share.
    #[inline(always)]
    fn take_plain(&self, near: [PlaceNo; NEAR], now: Tick) -> Option<Vacancy> {
        let lives = near.map(|place| self.table.entries.at(place).life());
        let plain = lives.iter().all(|life| life.kind().is_plain());
        if !plain || now < self.crowded_until.get() {
            return None;
        }
        for (place, life) in near.into_iter().zip(lives) {
            if self.expires(place, &self.table.entries.at(place), life, now) {
                return Some(Vacancy::of(place, Cause::Expired));
            }
        }
        let ([a, b], [place, other]) = (lives.map(Life::last_use), near);
        // Who is older is anybody's guess, a branch's too.
        let (place, last) = select_unpredictable(b < a, (other, b), (place, a));
        Some(self.evict(place, Class::Probation, last, now))
    }

    /// A place in one of two full candidates.
    #[inline(never)]
    fn make_room(&self, new: &Newcomer<'_>, second: BucketNo, now: Tick) -> Option<Vacancy> {
        let both = [
            (new.first, new.line),
            (second, self.table.buckets.line(second)),
        ];
        // Together, or each would be waited for by itself.
        self.ask_for(both, LOOKS, new);
        let victim = match self.oldest(both, LOOKS, new, now) {
            Oldest::Expired(place) => return Some(Vacancy::of(place, Cause::Expired)),
            Oldest::Live(victim) => victim,
        };
        let on_probation = victim.is_some_and(|(_, rank)| rank.class() == Class::Probation);
        if !(on_probation && new.fill.is_brim())
            && let Some(place) = self.displace([new.first, second], new, now)
        {
            return Some(Vacancy::free(place));
        }
        let (place, rank) = victim?;
        Some(self.evict(place, rank.class(), rank.last_use(), now))
    }

    /// A live flow of this class and last use makes room.
    #[inline(always)]
    pub(crate) fn evict(&self, place: PlaceNo, class: Class, last: Tick, now: Tick) -> Vacancy {
        if class == Class::Probation {
            self.flood.evicted(now.since(last), now);
        }
        self.note_loss(place, now);
        self.counters.evicted.bump(class);
        Vacancy::of(place, Cause::Evicted)
    }

    /// Of the first `most` entries of full buckets, in the order of their standing: one that has expired; else who would
    /// be evicted.
    #[inline(never)]
    fn oldest<const BUCKETS: usize>(
        &self,
        buckets: [(BucketNo, Line<'_>); BUCKETS],
        most: usize,
        new: &Newcomer<'_>,
        now: Tick,
    ) -> Oldest {
        let crowded = now < self.crowded_until.get();
        let (mut places, mut looks, mut victim) = ([PlaceNo(0); LOOKS], 0, Rank::NOBODY);
        let mut expired = None;
        look_at(buckets, new.start(), most, |place| {
            let at = self.table.entries.at(place);
            let life = at.life();
            if self.expires(place, &at, life, now) {
                expired = Some(place);
                return false;
            }
            // Who holds more than its share makes room first within its class.
            let modest = !(crowded && self.is_over_share(self.shares.of(source(&at))));
            if self.evictable(&at, life, new.fill, now) {
                victim = victim.min(Rank::of(life, modest, looks));
            }
            places[looks % LOOKS] = place;
            looks += 1;
            true
        });
        match expired {
            Some(place) => Oldest::Expired(place),
            None if victim == Rank::NOBODY => Oldest::Live(None),
            None => Oldest::Live(Some((places[victim.look()], victim))),
        }
    }

    /// Asks for the entries that [`oldest`](Self::oldest) will look at.
    fn ask_for<const BUCKETS: usize>(
        &self,
        buckets: [(BucketNo, Line<'_>); BUCKETS],
        most: usize,
        new: &Newcomer<'_>,
    ) {
        look_at(buckets, new.start(), most, |place| {
            self.table.entries.prefetch(place);
            true
        });
    }

    /// Asks for what [`insert`](Self::insert) will look at, of a new flow whose first bucket is full.
    #[inline]
    pub(crate) fn ask_for_room(&self, slot: SlotNo, hash: FlowHash) {
        let new = Newcomer::new(&self.table, slot, hash);
        match new.near() {
            Some(near) => near
                .into_iter()
                .for_each(|place| self.table.entries.prefetch(place)),
            None => self.ask_for([(new.first, new.line)], NEAR, &new),
        }
        if !new.fill.is_brim() {
            let second = self.table.range(slot).other(new.first, new.tag());
            self.table.buckets.prefetch(second);
        }
    }

    #[inline(always)]
    fn evictable(&self, at: &At<'_, K>, life: Life, fill: Fill, now: Tick) -> bool {
        if !self.may_go(life) {
            return false;
        }
        match life.class() {
            Class::Probation => !life.debt() || at.age(life, now) >= DEBT_SAFE,
            Class::TwoWay if !life.state().is_over() => false,
            Class::OneWay | Class::TwoWay => {
                now.since(life.last_use()) >= self.lifetime(at, life, fill)
            }
        }
    }

    /// Ticks that an entry may be idle in a slot that is so full.
    pub(crate) fn lifetime(&self, at: &At<'_, K>, life: Life, fill: Fill) -> u32 {
        let full = self.timeout(at, life.state());
        fill.lifetime(full, life.class(), life.state(), life.debt())
    }

    /// Moves one entry of two full buckets to its other candidate. Returns the place it left.
    fn displace(
        &self,
        candidates: [BucketNo; 2],
        new: &Newcomer<'_>,
        now: Tick,
    ) -> Option<PlaceNo> {
        if self.flushing {
            return None;
        }
        let buckets = &self.table.buckets;
        let range = self.table.range(new.slot);
        let places = candidates.into_iter().flat_map(|from| {
            let used = buckets.line(from).tags().used().from(new.start());
            used.map(move |place| from.place(place))
        });
        for from in places.take(MOVES) {
            let tag = buckets.tag(from);
            let to = range.other(from.bucket(), tag);
            if let Some(to) = self.free_in(to) {
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
        let (left, entered) = (buckets.line(from.bucket()), buckets.line(to.bucket()));
        let life = entries.at(from).life();
        left.begin();
        entered.begin();
        if life.stray() {
            entered.unstray(tag);
        } else {
            left.stray(tag);
        }
        entries.copy(from, to);
        let stray = !life.stray();
        // The hand may miss it in this round.
        self.table.leave_ended(&entries.at(to));
        entries
            .at(to)
            .set_life(life.with_changed(now).with_stray(stray));
        let standing = Standing::of(life.class(), life.state(), life.debt());
        entered.set_standing(to.in_bucket(), standing);
        entered.set_tag(to.in_bucket(), tag);
        left.set_tag(from.in_bucket(), Tag::FREE);
        entries.at(from).vacate();
        entered.end();
        left.end();
        let network = || self.shares.of(source(&entries.at(to)));
        match (self.counts(from), self.counts(to)) {
            (true, false) => network().remove(),
            (false, true) => network().add(),
            _ => {}
        }
        self.counters.displaced.bump();
    }
}

/// The order of eviction: class, source networks over their share, pin debt last, least recently used first, looked at
/// first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank(u64);

impl Rank {
    /// After everybody.
    const NOBODY: Self = Self(u64::MAX);
    const CLASS: u32 = Self::MODEST + 1;
    const MODEST: u32 = Self::DEBT + 1;
    const DEBT: u32 = Self::LAST_USE + 32;
    const LAST_USE: u32 = LOOKS.ilog2();

    #[inline]
    fn of(life: Life, modest: bool, look: usize) -> Self {
        const { assert!(LOOKS.is_power_of_two()) };
        Self(
            life.class_bits() << Self::CLASS
                | u64::from(modest) << Self::MODEST
                | u64::from(life.debt()) << Self::DEBT
                | u64::from(life.last_use().0) << Self::LAST_USE
                | look as u64,
        )
    }

    /// Which of those looked at.
    #[inline]
    fn look(self) -> usize {
        self.0 as usize % LOOKS
    }

    #[inline]
    fn last_use(self) -> Tick {
        Tick((self.0 >> Self::LAST_USE) as u32)
    }

    #[inline]
    fn class(self) -> Class {
        Class::from_bits(self.0 >> Self::CLASS)
    }

    /// Whether it is on probation, without debt.
    #[inline]
    fn is_free_to_go(self) -> bool {
        self.0 & (3 << Self::CLASS | 1 << Self::DEBT) == 0
    }
}

enum Oldest {
    /// Who lives here has expired, and been counted.
    Expired(PlaceNo),
    /// None was; this one may be evicted.
    Live(Option<(PlaceNo, Rank)>),
}

/// Gives `most` places of full buckets to `each`, in the order of their standing, until it says `false`.
#[inline(always)]
fn look_at<const BUCKETS: usize>(
    buckets: [(BucketNo, Line<'_>); BUCKETS],
    start: usize,
    most: usize,
    mut each: impl FnMut(PlaceNo) -> bool,
) {
    let buckets = buckets.map(|(bucket, line)| (bucket, line.classes()));
    let mut left = most;
    for standing in Standing::ORDER {
        for (bucket, classes) in buckets {
            for place in classes.of(standing, start) {
                left -= 1;
                if !each(bucket.place(place)) || left == 0 {
                    return;
                }
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
#[path = "room_tests.rs"]
mod tests;
