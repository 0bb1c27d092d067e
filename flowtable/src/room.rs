//! Room for a new flow: a free place, an expired one, one displacement, or an eviction by class.
//!
//! The steps are tried in this order, and all of them together look at no more than the two candidate
//! buckets, their entries, and the other candidates of those. A flow that finds no room is refused: it is
//! forwarded without a pin, and its candidate buckets remember that.
//!
//! *Who may be evicted* (design section 5): probation freely, oldest first; one-way only past its shrunk
//! lifetime; two-way never. Within a class an entry in pin debt goes last, and in probation's first 3 s not
//! at all.

use crate::bucket::{BucketNo, PLACES, PlaceNo, Tag};
use crate::entry::Life;
use crate::hash::{FlowHash, SlotNo};
use crate::key::{Dir, Key};
use crate::pressure::{DEBT_SAFE, Fill};
use crate::state::{Class, Seen};
use crate::time::Tick;
use crate::track::Track;
use crate::writer::{Entry, Writer};

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
        let candidates = self.table.range(slot).candidates(hash);
        let tag = Tag::of(hash);
        self.moved.set(None);
        if let Some(place) = self.table.locate(candidates, tag, key)
            && !self.free_if_expired(place, now)
        {
            let _ = self.observe(Entry(place), dir, seen, now);
            return Ok(Entry(place));
        }
        let Some(place) = self.room(candidates, now) else {
            for bucket in candidates {
                self.table.buckets.set_loss(bucket, now);
            }
            self.counters.refused.bump();
            return Err(Refused);
        };
        self.fill_place(place, tag, key, (dir, seen), now);
        self.count_insert(slot, now);
        Ok(Entry(place))
    }

    fn fill_place(&self, place: PlaceNo, tag: Tag, key: &K, (dir, seen): (Dir, &Seen), now: Tick) {
        let (buckets, entries) = (&self.table.buckets, &self.table.entries);
        buckets.begin(place.bucket());
        entries.write(place, key, &Track::first(dir, seen), now);
        entries.set_side(
            place,
            dir,
            entries.side(place, dir).with_in_port(seen.in_port),
        );
        entries.set_count(place, dir, entries.count(place, dir).plus(seen.bytes));
        buckets.set_tag(place, tag);
        buckets.end(place.bucket());
    }

    /// A free place in one of the candidates, made if need be.
    fn room(&self, candidates: [BucketNo; 2], now: Tick) -> Option<PlaceNo> {
        if let Some(place) = self.free_place(candidates) {
            return Some(place);
        }
        let victim = match self.oldest(candidates, now) {
            Oldest::Freed(place) => return Some(place),
            Oldest::Live(victim) => victim,
        };
        if let Some(place) = self.displace(candidates, now) {
            return Some(place);
        }
        let (place, class) = victim?;
        self.note_loss(place, now);
        self.counters.evicted.bump(class);
        self.free(place);
        Some(place)
    }

    /// A free place in the emptier candidate.
    fn free_place(&self, candidates: [BucketNo; 2]) -> Option<PlaceNo> {
        let [first, second] = candidates.map(|bucket| (bucket, self.table.buckets.tags(bucket)));
        let emptier = if second.1.used().count() < first.1.used().count() {
            second
        } else {
            first
        };
        emptier.1.free().map(|place| emptier.0.place(place))
    }

    /// The first expired entry of two full buckets, freed; else who would be evicted.
    fn oldest(&self, candidates: [BucketNo; 2], now: Tick) -> Oldest {
        let fill = self.fill(self.table.slot_of(candidates[0]));
        let mut victim: Option<(Rank, PlaceNo)> = None;
        for place in candidates
            .into_iter()
            .flat_map(|b| (0..PLACES).map(move |p| b.place(p)))
        {
            if self.free_if_expired(place, now) {
                return Oldest::Freed(place);
            }
            let life = self.table.entries.life(place);
            let rank = (life.class(), life.debt(), life.last_use());
            if self.evictable(place, life, fill, now) && victim.is_none_or(|(v, _)| rank < v) {
                victim = Some((rank, place));
            }
        }
        Oldest::Live(victim.map(|((class, ..), place)| (place, class)))
    }

    fn evictable(&self, place: PlaceNo, life: Life, fill: Fill, now: Tick) -> bool {
        match life.class() {
            Class::Probation => {
                let age = now.low().wrapping_sub(self.table.entries.birth(place));
                !life.debt() || u32::from(age) >= DEBT_SAFE
            }
            Class::OneWay => {
                let full = self.timeout(life.state());
                now.since(life.last_use()) >= fill.lifetime(full, Class::OneWay, life.debt())
            }
            Class::TwoWay => false,
        }
    }

    /// Moves one entry of two full buckets to its other candidate. Returns the place it left.
    fn displace(&self, candidates: [BucketNo; 2], now: Tick) -> Option<PlaceNo> {
        if self.flushing {
            return None;
        }
        let range = self.table.range(self.table.slot_of(candidates[0]));
        for from in candidates {
            let tags = self.table.buckets.tags(from);
            for place in 0..PLACES {
                let to = range.other(from, tags.at(place));
                if let Some(free) = self.table.buckets.tags(to).free() {
                    self.relocate(from.place(place), to.place(free), tags.at(place), now);
                    self.moved.set(Some(to.place(free)));
                    return Some(from.place(place));
                }
            }
        }
        None
    }

    /// Copies, then clears, with both versions odd meanwhile: a reader that looks at both buckets finds the
    /// entry in one of them or looks again.
    pub(crate) fn relocate(&self, from: PlaceNo, to: PlaceNo, tag: Tag, now: Tick) {
        let (buckets, entries) = (&self.table.buckets, &self.table.entries);
        buckets.begin(from.bucket());
        buckets.begin(to.bucket());
        entries.copy(from, to);
        entries.set_life(to, entries.life(to).with_changed(now));
        buckets.set_tag(to, tag);
        buckets.set_tag(from, Tag::FREE);
        buckets.end(to.bucket());
        buckets.end(from.bucket());
        self.counters.displaced.bump();
    }
}

/// The order of eviction: class, pin debt last, least recently used first.
type Rank = (Class, bool, Tick);

enum Oldest {
    /// This place was expired, and is free now.
    Freed(PlaceNo),
    /// None was; this one may be evicted.
    Live(Option<(PlaceNo, Class)>),
}

#[cfg(all(test, not(loom)))]
#[path = "room_tests.rs"]
mod tests;
