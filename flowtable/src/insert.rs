//! A new flow's entry: whether it gets one, and how it is written.
//!
//! Most that come in a flood get none, and are told so before anything but their first bucket is looked at. Where the
//! others go is in [`room`](crate::room); one that takes a live flow's place is written over it, so that a reader finds
//! the one or the other.

use crate::bucket::{BucketNo, Line, PlaceNo, Tag};
use crate::entry::Fresh;
use crate::hash::{FlowHash, SlotNo};
use crate::key::{Dir, Key};
use crate::kind::Cause;
use crate::pressure::Fill;
use crate::share::Held;
use crate::standing::Standing;
use crate::state::Seen;
use crate::table::Table;
use crate::time::Tick;
use crate::track::Track;
use crate::writer::{Entry, Writer, source};

/// Ticks after a source network met its share for which its flows make room before others'.
const CROWDED: u32 = 10 * Tick::PER_SECOND;

/// There is no room for the flow; it is forwarded without a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room in the flow table for this flow")]
pub struct Refused;

/// Where a new flow goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vacancy {
    place: PlaceNo,
    /// Why the flow goes that lives there, if one does.
    tenant: Option<Cause>,
}

impl Vacancy {
    #[inline]
    pub(crate) fn free(place: PlaceNo) -> Self {
        let tenant = None;
        Self { place, tenant }
    }

    #[inline]
    pub(crate) fn of(place: PlaceNo, goes: Cause) -> Self {
        let tenant = Some(goes);
        Self { place, tenant }
    }
}

/// A new flow that looks for a place.
#[derive(Clone, Copy)]
pub(crate) struct Newcomer<'t> {
    pub(crate) slot: SlotNo,
    pub(crate) hash: FlowHash,
    pub(crate) first: BucketNo,
    /// Its first bucket's.
    pub(crate) line: Line<'t>,
    /// Of its slot.
    pub(crate) fill: Fill,
}

impl<'t> Newcomer<'t> {
    #[inline]
    pub(crate) fn new<K: Key>(table: &'t Table<K>, slot: SlotNo, hash: FlowHash) -> Self {
        let first = table.range(slot).first(hash);
        Self {
            slot,
            hash,
            first,
            line: table.buckets.line(first),
            fill: table.fill(slot),
        }
    }

    #[inline]
    pub(crate) fn tag(&self) -> Tag {
        Tag::of(self.hash)
    }

    /// A free place in its first bucket.
    #[inline]
    pub(crate) fn free(&self) -> Option<PlaceNo> {
        let place = self.line.tags().free()?;
        Some(self.first.place(place))
    }
}

impl<K: Key> Writer<K> {
    /// Makes an entry for a flow whose packet `seen` travels in `dir`. It has no pins yet.
    ///
    /// If the flow has an entry after all, that is the answer, and the packet is observed there.
    ///
    /// # Errors
    ///
    /// [`Refused`] if there is no room, see the head of `room`.
    #[inline]
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
    /// [`Refused`] if there is no room, see the head of `room`.
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
        let new = Newcomer::new(&self.table, slot, hash);
        if self.is_away(&new, now) {
            return Err(Refused);
        }
        let track = Track::first(dir, seen);
        let network = self.shares.of(key.network(track.opener));
        if new.fill.presses() && self.is_over_share(network) {
            self.counters.over_share.bump();
            self.crowded_until.set(Tick(now.0.saturating_add(CROWDED)));
            return Err(self.refuse(&new, now));
        }
        let Some(vacancy) = self.place_for(&new, now) else {
            return Err(self.refuse(&new, now));
        };
        self.count_move(vacancy, network, slot, now);
        self.move_in(vacancy, &new, key, Fresh::of(&track, dir, seen, now), now);
        Ok(Entry(vacancy.place))
    }

    /// The flow goes on without a pin: its first bucket remembers that.
    #[cold]
    fn refuse(&self, new: &Newcomer<'_>, now: Tick) -> Refused {
        new.line.set_loss(now);
        self.counters.refused.bump();
        Refused
    }

    /// Whether a new flow gets no entry, as most do in a flood: nothing but its first bucket is looked at. Then it has been
    /// counted and noted; else it is to be inserted.
    #[inline]
    pub fn turns_away(&mut self, slot: SlotNo, hash: FlowHash, now: Tick) -> bool {
        self.is_away(&Newcomer::new(&self.table, slot, hash), now)
    }

    #[inline]
    fn is_away(&self, new: &Newcomer<'_>, now: Tick) -> bool {
        self.flood.pass_to(now);
        let away = self.shuts_out(new.hash, new.fill) && new.free().is_none();
        if away {
            self.count_away(new.slot, now);
        }
        away
    }

    /// Counts and notes a flow that [`Burst::held_back`] names, as [`turns_away`](Self::turns_away) those that it turns away:
    /// nothing is looked at.
    ///
    /// [`Burst::held_back`]: crate::Burst::held_back
    #[inline]
    pub fn count_held_back(&mut self, slot: SlotNo, now: Tick) {
        self.counters.misses.bump();
        self.count_away(slot, now);
    }

    #[inline]
    fn count_away(&self, slot: SlotNo, now: Tick) {
        self.table.note_turned_away(slot, now);
        self.counters.flooded.bump();
        self.counters.refused.bump();
    }

    /// Whether a new flow of a slot that is so full is turned away if its first bucket is full, at the time that the flood was
    /// last told.
    #[inline]
    pub(crate) fn shuts_out(&self, hash: FlowHash, fill: Fill) -> bool {
        !self.flood.lets_in(hash) && fill.presses()
    }

    /// Whether a source network holds its share of this writer's places, or more.
    #[inline]
    pub(crate) fn is_over_share(&self, network: Held<'_>) -> bool {
        let percent = u64::from(self.table.source_share());
        let places = (self.slots.len() * self.table.slot_capacity()) as u64;
        percent < 100 && u64::from(network.flows()) >= (places * percent / 100).max(1)
    }

    /// Counts who goes, if anybody does, and who comes.
    #[inline(always)]
    fn count_move(&self, vacancy: Vacancy, network: Held<'_>, slot: SlotNo, now: Tick) {
        let Vacancy { place, tenant } = vacancy;
        let counts = self.counts(place);
        if let Some(cause) = tenant {
            let at = self.table.entries.at(place);
            self.give_back(&at, cause);
            if counts {
                self.shares.of(source(&at)).remove();
            }
        } else {
            self.count_one_more(slot, now);
        }
        if counts {
            network.add();
        }
        self.counters.inserts.bump();
    }

    /// Writes a new entry over who lived there, if anybody did.
    #[inline(always)]
    fn move_in(&self, vacancy: Vacancy, new: &Newcomer<'_>, key: &K, fresh: Fresh, now: Tick) {
        let Vacancy { place, tenant } = vacancy;
        let (buckets, at) = (&self.table.buckets, self.table.entries.at(place));
        let (line, in_bucket) = (buckets.line(place.bucket()), place.in_bucket());
        let strays = place.bucket() != new.first;
        line.begin();
        // Who goes first: at its largest a count of strays stays what it is.
        if tenant.is_some() && at.life().stray() {
            let old = line.tag(in_bucket);
            buckets.line(self.home(place, old)).unstray(old);
        }
        if strays {
            new.line.stray(new.tag());
        }
        at.write(key, &fresh.in_its_second(strays), now);
        line.set_standing(in_bucket, Standing::Probation);
        line.set_tag(in_bucket, new.tag());
        line.end();
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use crate::key::KeyV4;
    use crate::loom_tests::{SLOT, UDP, one_flow};
    use crate::pin::PinWord;
    use crate::state::Class;
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
            let fresh = Fresh::of(&Track::first(Dir::Fwd, &UDP), Dir::Fwd, &UDP, Tick(2));
            let vacancy = writer.evict(entry.0, Class::Probation, Tick(1), Tick(2));
            let network = writer.shares.of(other.network(Dir::Fwd));
            let new = Newcomer::new(&writer.table, SLOT, hash);
            writer.count_move(vacancy, network, SLOT, Tick(2));
            writer.move_in(vacancy, &new, &other, fresh, Tick(2));
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
                assert_eq!((view.pins[0], view.packets[0]), (PinWord::NONE, 1));
            }
        });
    }
}
