//! The hand and the flush: what visits entries without a packet asking for them.
//!
//! Both go through the writer's own slots in the order of memory, a few buckets a call, so that no burst
//! waits for them. There is no timer and no list: an entry that no packet meets is freed when the hand comes
//! by.

use crate::bucket::{BucketNo, PLACES, PlaceNo};
use crate::key::Key;
use crate::kind::Cause;
use crate::time::Tick;
use crate::view::EntryView;
use crate::writer::{Entry, Position, Writer};

/// How far a flush has got. A new one starts at the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlushCursor(Position);

/// The hand's way round all buckets, if it does not hurry.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lap {
    since: Tick,
    done: usize,
}

/// Ticks that it takes.
const LAP: u32 = 10 * Tick::PER_SECOND;

impl Lap {
    /// Buckets that the hand should have visited by now, and has not. A lap that is done in time is followed by the
    /// next one when its time is over.
    fn due(&mut self, all: usize, now: Tick) -> usize {
        if self.done >= all && now.since(self.since) >= LAP {
            *self = Self {
                since: now,
                done: 0,
            };
        }
        let gone = now.since(self.since).min(LAP);
        let target = all as u64 * u64::from(gone) / u64::from(LAP);
        (target as usize).saturating_sub(self.done)
    }
}

impl<K: Key> Writer<K> {
    /// The hand: visits the next few buckets and frees what has expired, and under pressure what has outlived
    /// its shrunk lifetime; what has an ended set of timeouts gets the default (see [`Table::end_timeouts`]). Returns how
    /// many entries went. Costs as much as `buckets` says, whatever the table's size; without an entry it reads nothing.
    pub fn sweep(&mut self, buckets: usize, now: Tick) -> usize {
        if self.is_empty() {
            self.pass_over(buckets);
            return 0;
        }
        let all = self.bucket_count();
        let mut freed = 0;
        for _ in 0..buckets.min(all) {
            freed += self.sweep_bucket(self.bucket_at(self.hand), now);
            self.hand.0 = (self.hand.0 + 1) % all;
            if !self.is_empty() {
                let mut round = self.swept.get();
                round.visited(all, now, &self.counters.swept);
                self.swept.set(round);
            }
        }
        freed
    }

    /// The hand goes as far as it would have swept, so that what comes later is swept when it would have been.
    fn pass_over(&mut self, buckets: usize) {
        let all = self.bucket_count();
        // Without slots there are no buckets.
        if let Some(at) = (self.hand.0 + buckets.min(all)).checked_rem(all) {
            self.hand.0 = at;
        }
    }

    /// The hand under load: as [`sweep`](Self::sweep), at most `most` buckets, but no faster than once round all buckets
    /// in 10 s, so that a small table is not gone through again and again while packets wait.
    pub fn sweep_paced(&mut self, most: usize, now: Tick) -> usize {
        let all = self.bucket_count();
        let buckets = self.lap.due(all, now).min(most);
        self.lap.done += buckets;
        // As in most bursts.
        if buckets == 0 {
            return 0;
        }
        self.sweep(buckets, now)
    }

    /// Another hand: shows every entry in the next few buckets to `owes`, which says whether it owes: whether one of
    /// its pins is not what a packet without an entry would get (see [`set_debt`](Self::set_debt)).
    pub fn visit(&mut self, buckets: usize, now: Tick, owes: impl Fn(&EntryView<K>) -> bool) {
        let all = self.bucket_count();
        let mut round = self.round.get();
        for _ in 0..buckets.min(all) {
            let bucket = self.bucket_at(self.visiting);
            self.visiting.0 = (self.visiting.0 + 1) % all;
            for place in self.table.buckets.line(bucket).tags().used() {
                let place = bucket.place(place);
                let (view, life) = (self.table.view(place), self.table.entries.at(place).life());
                let debt = owes(&view);
                if debt != life.debt() {
                    self.set_debt(Entry(place), debt);
                }
            }
            if !self.is_empty() {
                round.visited(all, now, &self.counters.round);
            }
        }
        self.round.set(round);
    }

    /// When the round began that [`visit`](Self::visit) is in.
    pub fn round_since(&self) -> Tick {
        self.round.get().since
    }

    /// The entry that the last [`insert`](Self::insert) moved to its other bucket, if it moved one: the hand of
    /// [`visit`](Self::visit) may miss it in this round.
    pub fn moved(&self) -> Option<EntryView<K>> {
        self.moved.get().map(|place| self.table.view(place))
    }

    fn sweep_bucket(&self, bucket: BucketNo, now: Tick) -> usize {
        let used = self.table.buckets.line(bucket).tags().used();
        used.filter(|place| self.sweep_place(bucket.place(*place), now))
            .count()
    }

    fn sweep_place(&self, place: PlaceNo, now: Tick) -> bool {
        if self.free_if_expired(place, now) {
            return true;
        }
        let at = self.table.entries.at(place);
        let life = at.life();
        let fill = self.table.fill(self.table.slot_of(place.bucket()));
        let lifetime = self.lifetime(&at, life, fill);
        if now.since(life.last_use()) < lifetime || !self.may_go(life) {
            self.table.leave_ended(&at);
            return false;
        }
        self.note_loss(place, now);
        self.counters.shrunk.bump(life.class());
        self.free(place, Cause::Shrunk);
        true
    }

    /// Removes the entries that `pred` chooses, in slices of `buckets` buckets; `removed` is told of each.
    /// Returns whether the flush is complete; it goes no further while what was freed is not taken
    /// ([`take_freed`](Self::take_freed)). Until it is, nothing is displaced, so an entry that was there at the start is
    /// visited exactly once unless it goes before.
    pub fn drain_matching(
        &mut self,
        at: &mut FlushCursor,
        buckets: usize,
        now: Tick,
        mut pred: impl FnMut(&EntryView<K>) -> bool,
        mut removed: impl FnMut(&EntryView<K>),
    ) -> bool {
        let all = self.bucket_count();
        let end = at.0.0.saturating_add(buckets).min(all);
        while at.0.0 < end && self.freed.room() >= PLACES {
            let bucket = self.bucket_at(at.0);
            for place in self
                .table
                .buckets
                .line(bucket)
                .tags()
                .used()
                .map(|p| bucket.place(p))
            {
                let view = self.table.view(place);
                if pred(&view) {
                    // Its flow may go on: without a pin it takes the stateless answer, not the owner.
                    self.note_loss(place, now);
                    self.remove(Entry(place));
                    removed(&view);
                }
            }
            at.0.0 += 1;
        }
        self.flushing = at.0.0 < all;
        !self.flushing
    }

    pub(crate) fn bucket_count(&self) -> usize {
        self.slots.len() * self.table.slot_buckets()
    }

    fn bucket_at(&self, position: Position) -> BucketNo {
        let (slot, bucket) = (
            position.0 / self.table.slot_buckets(),
            position.0 % self.table.slot_buckets(),
        );
        BucketNo(self.table.range(self.slots[slot]).start + bucket)
    }
}

#[cfg(all(test, not(loom)))]
#[path = "sweep_tests.rs"]
mod tests;
