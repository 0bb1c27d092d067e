//! How an entry goes: expired, removed or pushed out. What it leaves behind is its place, its owner's aux index, its source
//! network's share, and where its pin was lost a note of that.

use crate::bucket::{BucketNo, PlaceNo, Tag};
use crate::entry::At;
use crate::key::Key;
use crate::kind::{Cause, Freed};
use crate::life::Life;
use crate::round::NOBODY;
use crate::state::State;
use crate::time::Tick;
use crate::writer::{Entry, Writer, source};

impl<K: Key> Writer<K> {
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
}
