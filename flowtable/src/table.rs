//! The table of pins, and its readers' side.
//!
//! [`SLOTS`] equal sub-tables, one for each owner slot, in one piece of memory that is allocated and touched
//! at start and never grows. Each sub-table is written by the one [`Writer`] that claimed its slot, with
//! plain stores; anyone may read all of it at any time, without stopping anybody. No two slots share a
//! cache line.

use crate::bucket::{self, BUCKET_WORDS, BucketNo, Buckets, PLACES, PlaceNo, Range, Tag};
use crate::entry::{At, Entries};
use crate::hash::{FlowHash, OwnerHash, SLOTS, SlotNo, TableSecret};
use crate::key::Key;
use crate::machine::{Pages, Touched};
use crate::pressure::Fill;
use crate::shared::Shared;
use crate::stats::{Counters, Stats};
use crate::sync::wait_a_moment;
use crate::sync::{AtomicBool, AtomicU32, Ordering::AcqRel, Ordering::Relaxed, Ordering::Release};
use crate::time::Tick;
use crate::timeouts::{Timeouts, TimeoutsNo};
use crate::view::EntryView;
use crate::writer::Writer;
use crossbeam_utils::CachePadded;
use std::sync::{Arc, Mutex, PoisonError};

/// A sub-table's head.
struct Slot {
    claimed: AtomicBool,
    /// Live entries; written by the slot's writer.
    used: AtomicU32,
    /// When a flood last turned a new flow of this slot away; 0: never. Written by the slot's writer, and here so that
    /// the next one knows.
    turned_away: AtomicU32,
}

/// How a table's entries lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// How many buckets have so many entries: none, one, and so on to full.
    pub buckets: [u64; PLACES + 1],
    /// Flows in their second bucket: a lookup reads two lines of tags for each, and for flows of their first bucket that
    /// are nowhere.
    pub strays: u64,
}

impl Shape {
    /// Entries by how many buckets a lookup of each reads: one, two.
    pub fn probes(&self) -> [u64; 2] {
        let fills = self.buckets.iter().zip(0..);
        let used: u64 = fills.map(|(buckets, entries)| buckets * entries).sum();
        [used.saturating_sub(self.strays), self.strays]
    }
}

/// A flow table of one address family.
pub struct Table<K: Key> {
    secret: TableSecret,
    owner: OwnerHash,
    timeouts: [Timeouts; TimeoutsNo::COUNT],
    /// Sets whose entries are to have the default instead, a bit each.
    ended: AtomicU32,
    /// Percent of a writer's places that one source network may hold under pressure.
    source_share: AtomicU32,
    /// Buckets of one slot.
    slot_buckets: usize,
    slots: Box<[CachePadded<Slot>]>,
    /// Counters of every writer there has been; locked when one starts and to sum them, never for a packet.
    counters: Mutex<Vec<Arc<CachePadded<Counters>>>>,
    pub(crate) buckets: Buckets,
    pub(crate) entries: Entries<K>,
    /// The file that its memory is, if it is one.
    pub(crate) shared: Option<Shared>,
}

impl<K: Key> Table<K> {
    /// Entries of one bucket in every slot: the capacity is a multiple of this.
    pub const ROUND: usize = SLOTS * PLACES;
    /// Bytes that an entry takes, its share of its bucket included, times 3.
    const THREE_ENTRIES: usize = 3 * K::ENTRY_WORDS * 8 + 3 * BUCKET_WORDS * 8 / PLACES;

    /// Percent of the places that one source network may hold under pressure, if nobody says otherwise.
    pub const SOURCE_SHARE: u32 = 25;

    /// Bytes that a table of this capacity takes.
    pub const fn bytes(capacity: usize) -> usize {
        capacity.div_ceil(Self::ROUND) * Self::ROUND / 3 * Self::THREE_ENTRIES
    }

    /// On what pages its memory is.
    pub fn pages(&self) -> Pages {
        let both = self.buckets.pages().plus(self.entries.pages());
        let head = self.shared.as_ref().map(Shared::pages);
        both.plus(head.unwrap_or_default())
    }

    /// A table of at least `capacity` entries in all (rounded up to whole buckets in every slot: a multiple of
    /// [`ROUND`](Self::ROUND)), empty at `start`. Its memory is mapped and touched here.
    pub fn new(capacity: usize, secret: TableSecret, start: Tick) -> Arc<Self> {
        Self::new_touched(capacity, secret, start, &|_| {})
    }

    /// As [`new`](Self::new), telling how many bytes more were touched, of [`bytes`](Self::bytes) in all. Large tables
    /// take some tenths of a second a gigabyte; several threads touch them.
    pub fn new_touched(
        capacity: usize,
        secret: TableSecret,
        start: Tick,
        touched: Touched<'_>,
    ) -> Arc<Self> {
        let buckets = capacity.div_ceil(Self::ROUND).max(1);
        Self::with_geometry(SLOTS, buckets, secret, (start, touched))
    }

    /// A table of any shape.
    pub(crate) fn with_geometry(
        slots: usize,
        slot_buckets: usize,
        secret: TableSecret,
        (start, touched): (Tick, Touched<'_>),
    ) -> Arc<Self> {
        let memory = (
            Buckets::new(slots * slot_buckets, start, touched),
            Entries::new(slots * slot_buckets * PLACES, touched),
        );
        Arc::new(Self::made_of(slots, slot_buckets, secret, memory))
    }

    /// A table of memory that was made for it.
    pub(crate) fn made_of(
        slots: usize,
        slot_buckets: usize,
        secret: TableSecret,
        (buckets, entries): (Buckets, Entries<K>),
    ) -> Self {
        let slot = || {
            CachePadded::new(Slot {
                claimed: false.into(),
                used: AtomicU32::new(0),
                turned_away: AtomicU32::new(0),
            })
        };
        Self {
            secret,
            owner: OwnerHash::new(&secret),
            timeouts: std::array::from_fn(|_| Timeouts::default()),
            ended: AtomicU32::new(0),
            source_share: AtomicU32::new(Self::SOURCE_SHARE),
            slot_buckets,
            slots: (0..slots).map(|_| slot()).collect(),
            counters: Mutex::default(),
            buckets,
            entries,
            shared: None,
        }
    }

    /// Claims slots for a new writer. They are free again when it is dropped.
    ///
    /// # Panics
    ///
    /// If a slot has a writer already or does not exist: two threads would write the same memory.
    pub fn writer(self: &Arc<Self>, slots: impl Iterator<Item = SlotNo>) -> Writer<K> {
        let slots: Vec<SlotNo> = slots.collect();
        for slot in &slots {
            assert!(
                self.claim(*slot),
                "slot {} of the flow table has a writer already",
                slot.0
            );
        }
        let counters = Arc::new(CachePadded::new(Counters::new()));
        let mut all = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(&counters));
        drop(all);
        Writer::new(Arc::clone(self), slots, counters)
    }

    /// Makes the caller the slot's writer, if it has none.
    pub(crate) fn claim(&self, slot: SlotNo) -> bool {
        !self.slots[usize::from(slot.0)].claimed.swap(true, AcqRel)
    }

    /// How many slots there are.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn release(&self, slot: SlotNo) {
        self.slots[usize::from(slot.0)]
            .claimed
            .store(false, Release);
    }

    /// The secret that places flows.
    pub fn secret(&self) -> &TableSecret {
        &self.secret
    }

    /// The owner function with its keys derived: what [`owner_slot4`](crate::owner_slot4) derives each time.
    pub fn owner(&self) -> &OwnerHash {
        &self.owner
    }

    /// Idle timeouts of flows of which nobody says otherwise; may be changed at any time.
    pub fn timeouts(&self) -> &Timeouts {
        self.timeouts_of(TimeoutsNo::DEFAULT)
    }

    /// The same of flows that have another set.
    #[inline]
    pub fn timeouts_of(&self, which: TimeoutsNo) -> &Timeouts {
        // The index is below 16 by its type: no check is left of this.
        &self.timeouts[usize::from(which.get()) % TimeoutsNo::COUNT]
    }

    /// Nobody gives new flows this set any more: hands give the default to the entries that have it. Once a round of all
    /// that began after this has ended ([`swept_since`](Self::swept_since)), no entry has it. For the one thread that
    /// gives sets to routes.
    pub fn end_timeouts(&self, which: TimeoutsNo) {
        self.ended
            .store(self.ended.load(Relaxed) | 1 << which.get() & !1, Relaxed);
    }

    /// The set may be given to flows again.
    pub fn begin_timeouts(&self, which: TimeoutsNo) {
        self.ended
            .store(self.ended.load(Relaxed) & !(1 << which.get()), Relaxed);
    }

    /// An entry with an ended set gets the default. For the slot's writer.
    #[inline]
    pub(crate) fn leave_ended(&self, at: &At<'_, K>) {
        if self.ended.load(Relaxed) >> at.timeouts().get() & 1 == 1 {
            at.set_timeouts(TimeoutsNo::DEFAULT);
        }
    }

    /// Percent of the places that one source network (IPv4 /24, IPv6 /56) may hold while lifetimes shrink, 1 to 100;
    /// 100: as many as it likes.
    pub fn set_source_share(&self, percent: u32) {
        self.source_share.store(percent.clamp(1, 100), Relaxed);
    }

    /// The same.
    #[inline]
    pub fn source_share(&self) -> u32 {
        self.source_share.load(Relaxed)
    }

    /// Finds a flow and copies its entry. Never misses one that is there, even while it is displaced.
    pub fn find(&self, slot: SlotNo, hash: FlowHash, key: &K) -> Option<EntryView<K>> {
        self.consistent(slot, hash, key, |place| self.view(place))
    }

    /// What `copy` reads of a flow's entry at one moment: it is called again as long as the writer comes between.
    pub(crate) fn consistent<T>(
        &self,
        slot: SlotNo,
        hash: FlowHash,
        key: &K,
        copy: impl Fn(PlaceNo) -> T,
    ) -> Option<T> {
        let range = self.range(slot);
        let candidates = range.candidates(hash);
        loop {
            if let [Some(a), Some(b)] = candidates.map(|bucket| self.buckets.line(bucket).version())
            {
                let found = self.locate(range, hash, key).map(&copy);
                bucket::read_done();
                let [first, second] = candidates;
                if self.buckets.line(first).unchanged(a) && self.buckets.line(second).unchanged(b) {
                    return found;
                }
            }
            wait_a_moment();
        }
    }

    /// All entries, in the order of their memory, copied bucket by bucket while writers go on.
    ///
    /// Each copy is consistent. An entry that lives from before the call until after the end is given once,
    /// unless it is displaced meanwhile: then it can be given twice or not at all, and its change mark is
    /// newer than the listing's start.
    pub fn entries(&self) -> impl Iterator<Item = EntryView<K>> {
        self.entries_of(|_| true)
    }

    /// As [`entries`](Self::entries), those with a key that is `wanted`: of the others nothing more is read.
    pub fn entries_of(&self, wanted: impl Fn(&K) -> bool) -> impl Iterator<Item = EntryView<K>> {
        let all = 0..self.bucket_count();
        let wanted = move |at: &At<'_, K>| wanted(&at.key());
        all.flat_map(move |bucket| self.copy_bucket(BucketNo(bucket), &wanted))
    }

    /// As [`entries`](Self::entries), those in pin debt: of the others no more than a word is read.
    pub fn indebted(&self) -> impl Iterator<Item = EntryView<K>> {
        let all = 0..self.bucket_count();
        all.flat_map(move |bucket| self.copy_bucket(BucketNo(bucket), &|at| at.life().debt()))
    }

    /// As [`entries`](Self::entries), for a reader that takes the table along to another thread.
    pub fn into_entries(self: Arc<Self>) -> impl Iterator<Item = EntryView<K>> + use<K> {
        (0..self.bucket_count())
            .flat_map(move |bucket| self.copy_bucket(BucketNo(bucket), &|_| true))
    }

    /// Fill and counters.
    pub fn stats(&self) -> Stats {
        let used = || {
            self.slots
                .iter()
                .map(|slot| u64::from(slot.used.load(Relaxed)))
        };
        let mut stats = Stats {
            capacity: (self.bucket_count() * PLACES) as u64,
            used: used().sum(),
            slot_capacity: self.slot_capacity() as u64,
            fullest_slot: used().max().unwrap_or(0),
            ..Stats::default()
        };
        let all = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().for_each(|counters| stats.add(counters));
        stats
    }

    /// How its entries lie, looked up bucket by bucket while writers go on: not of one moment.
    pub fn shape(&self) -> Shape {
        let mut shape = Shape::default();
        for bucket in (0..self.bucket_count()).map(BucketNo) {
            let used = self.buckets.line(bucket).tags().used().count();
            shape.buckets[used] += 1;
            shape.strays += self.buckets.line(bucket).classes().strays();
        }
        shape
    }

    /// What each writer there has been counts.
    pub(crate) fn writers(&self) -> &Mutex<Vec<Arc<CachePadded<Counters>>>> {
        &self.counters
    }

    fn copy_bucket<W: Fn(&At<'_, K>) -> bool>(
        &self,
        bucket: BucketNo,
        wanted: &W,
    ) -> impl Iterator<Item = EntryView<K>> + use<K, W> {
        loop {
            if let Some(version) = self.buckets.line(bucket).version() {
                let mut copies = [None; PLACES];
                for place in self.buckets.line(bucket).tags().used() {
                    let at = bucket.place(place);
                    copies[place] = wanted(&self.entries.at(at)).then(|| self.view(at));
                }
                bucket::read_done();
                if self.buckets.line(bucket).unchanged(version) {
                    return copies.into_iter().flatten();
                }
            }
            wait_a_moment();
        }
    }

    /// Copies one entry. A reader brackets this with the bucket's version.
    pub(crate) fn view(&self, place: PlaceNo) -> EntryView<K> {
        let timeouts = self.timeouts_of(self.entries.at(place).timeouts());
        EntryView::copy(&self.entries, place, self.slot_of(place.bucket()), timeouts)
    }

    /// Finds a flow. For the slot's writer, or between looks at both versions.
    #[inline]
    pub(crate) fn locate(&self, range: Range, hash: FlowHash, key: &K) -> Option<PlaceNo> {
        let (first, tag) = (range.first(hash), Tag::of(hash));
        self.locate_in(first, tag, key).or_else(|| {
            let strays = self.buckets.line(first).classes().has_strays(tag);
            strays
                .then(|| self.locate_in(range.other(first, tag), tag, key))
                .flatten()
        })
    }

    #[inline]
    fn locate_in(&self, bucket: BucketNo, tag: Tag, key: &K) -> Option<PlaceNo> {
        self.buckets
            .line(bucket)
            .tags()
            .matching(tag)
            .map(|place| bucket.place(place))
            .find(|place| self.entries.at(*place).is(key))
    }

    /// The places of a slot that hold a flow.
    pub(crate) fn places(&self, slot: SlotNo) -> impl Iterator<Item = PlaceNo> + '_ {
        let Range { start, len } = self.range(slot);
        (start..start + len).map(BucketNo).flat_map(|bucket| {
            let used = self.buckets.line(bucket).tags().used();
            used.map(move |place| bucket.place(place))
        })
    }

    /// The buckets of a slot.
    #[inline]
    pub(crate) fn range(&self, slot: SlotNo) -> Range {
        Range {
            start: usize::from(slot.0) * self.slot_buckets,
            len: self.slot_buckets,
        }
    }

    #[inline]
    pub(crate) fn slot_of(&self, bucket: BucketNo) -> SlotNo {
        SlotNo((bucket.0 / self.slot_buckets) as u16)
    }

    #[inline]
    pub(crate) fn slot_buckets(&self) -> usize {
        self.slot_buckets
    }

    #[inline]
    pub(crate) fn slot_capacity(&self) -> usize {
        self.slot_buckets * PLACES
    }

    /// Live entries of a slot.
    #[inline]
    pub fn used(&self, slot: SlotNo) -> u32 {
        self.slots[usize::from(slot.0)].used.load(Relaxed)
    }

    /// How full a slot is.
    #[inline]
    pub(crate) fn fill(&self, slot: SlotNo) -> Fill {
        Fill {
            used: self.used(slot),
            capacity: self.slot_capacity(),
        }
    }

    /// Sets the count of live entries. Only the slot's writer may.
    #[inline]
    pub(crate) fn set_used(&self, slot: SlotNo, used: u32) {
        self.slots[usize::from(slot.0)].used.store(used, Relaxed);
    }

    /// A new flow of this slot was turned away. Only the slot's writer may say so.
    #[inline]
    pub(crate) fn note_turned_away(&self, slot: SlotNo, now: Tick) {
        let at = &self.slots[usize::from(slot.0)].turned_away;
        at.store(now.0.max(1), Relaxed);
    }

    /// Whether a flow of this slot that has no entry may have been turned away within so many ticks.
    #[inline]
    pub(crate) fn turned_away_within(&self, slot: SlotNo, ticks: u32, now: Tick) -> bool {
        let last = self.slots[usize::from(slot.0)].turned_away.load(Relaxed);
        last != 0 && now.since(Tick(last)) < ticks
    }

    fn bucket_count(&self) -> usize {
        self.slots.len() * self.slot_buckets
    }
}

#[cfg(all(test, not(loom)))]
#[path = "table_tests.rs"]
mod tests;
