//! Buckets: one cache line each, with 24 tagged places, their classes, a version, and the time of the last lost pin.
//!
//! # Layout
//!
//! | word | bits | what |
//! |---|---|---|
//! | 0 to 5 | 24 x 16 | tags of the places; 0 is a free place |
//! | 6 | 63..32 | version: odd while the writer changes which flow is where |
//! | 6 | 31..0 | tick of the last loss of a live pin whose first candidate this bucket was |
//! | 7 | 63..48 | 4 x 4: *strays*, flows whose first candidate this is and that live in their second, by two bits of the tag |
//! | 7 | 47..0 | 24 x 2: [`Standing`] of the flow in each place, for who makes room |
//!
//! That is 2.7 bytes a place. A flow that is where it belongs costs one line here and its own; a flow that is
//! nowhere costs one line, unless this bucket has strays whose tags begin like its own: under a flood that has filled the
//! table about one bucket in three of those looked at, where a single count would be above zero in four of five.
//!
//! # The two candidates
//!
//! A flow's first bucket comes from the upper half of its hash, its tag from the lowest 16 bits, and its
//! second bucket is `fold(tag) - first` modulo the number of buckets. That is its own inverse, so the other
//! candidate of any place is known from the tag alone, with any number of buckets. Both can be one bucket. A flow
//! lives in its first bucket while there is room; large buckets make that true of at least 9 flows in 10 at four fifths
//! of the table (`room_tests`).
//!
//! # Versions
//!
//! The one writer makes the version odd, writes, and makes it even again. A reader takes the version before,
//! copies, and takes it again after: an odd or a different one means that the copy may be torn. Writer:
//! odd store, release fence, stores, even store with release. Reader: acquire load, loads, acquire fence,
//! load. If a reader sees any store of a change, the fences make it also see that change's odd version.
//! What a packet changes in an entry (counters, last use) is in words that stand for themselves and leaves
//! the version alone.

use crate::hash::{FlowHash, SlotNo};
use crate::machine::{Pages, Touched, equal_lanes};
use crate::memory::{Run, Words};
use crate::standing::{Classes, Standing};
use crate::sync::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, fence};
use crate::time::Tick;

/// Places in a bucket.
pub(crate) const PLACES: usize = 24;
/// Words in a bucket: a line.
pub(crate) const BUCKET_WORDS: usize = 8;

const TAG_WORDS: usize = 6;
const VERSION_WORD: usize = 6;
const CLASS_WORD: usize = 7;
const VERSION_SHIFT: u32 = 32;
pub(crate) const STRAYS_SHIFT: u32 = 48;
pub(crate) const CLASS_BITS: usize = 2;
const TAG_BITS: usize = 16;
const TAGS_A_WORD: usize = 64 / TAG_BITS;
const _: () = {
    assert!(TAG_WORDS * TAGS_A_WORD == PLACES && BUCKET_WORDS == crate::memory::LINE_WORDS);
    assert!(PLACES * CLASS_BITS <= STRAYS_SHIFT as usize);
};
pub(crate) const STRAY_BITS: u32 = 4;
/// A count of strays that has come this far stays there: the bucket is never again taken for one without such.
pub(crate) const STRAYS_MAX: u64 = (1 << STRAY_BITS) - 1;
/// What tells this layout of a bucket from others, for a table in shared memory.
pub(crate) const LAYOUT: u64 = crate::shared::hash(&[
    TAG_WORDS as u64,
    VERSION_WORD as u64,
    CLASS_WORD as u64,
    VERSION_SHIFT as u64,
    STRAYS_SHIFT as u64,
    STRAY_BITS as u64,
    CLASS_BITS as u64,
    TAG_BITS as u64,
]);

/// 16 bits of a flow's hash; never 0 for a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(pub(crate) u16);

impl Tag {
    pub(crate) const FREE: Self = Self(0);

    #[inline]
    pub(crate) fn of(hash: FlowHash) -> Self {
        Self((hash.0 as u16).max(1))
    }

    /// Where strays with this tag are counted in a bucket's last word.
    #[inline]
    pub(crate) fn stray_shift(self) -> u32 {
        STRAYS_SHIFT + u32::from(self.0 >> (TAG_BITS as u32 - 2)) * STRAY_BITS
    }
}

/// Number of a bucket in the whole table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BucketNo(pub(crate) usize);

/// Number of an entry in the whole table: its bucket and place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlaceNo(pub(crate) usize);

impl BucketNo {
    #[inline]
    pub(crate) fn place(self, place: usize) -> PlaceNo {
        PlaceNo(self.0 * PLACES + place)
    }
}

impl PlaceNo {
    #[inline]
    pub(crate) fn bucket(self) -> BucketNo {
        BucketNo(self.0 / PLACES)
    }

    #[inline]
    pub(crate) fn in_bucket(self) -> usize {
        self.0 % PLACES
    }
}

/// The buckets of one slot's sub-table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) start: usize,
    pub(crate) len: usize,
}

impl Range {
    /// Where a flow lives if there is room.
    #[inline]
    pub(crate) fn first(self, hash: FlowHash) -> BucketNo {
        BucketNo(self.start + reduce(hash.0 >> 32, self.len))
    }

    /// Where flows of the slots of a table live that has `len` buckets a slot.
    #[inline(always)]
    pub(crate) fn firsts<const N: usize>(
        len: u32,
        slots: &[SlotNo; N],
        hashes: &[u64; N],
    ) -> [BucketNo; N] {
        let len = u64::from(len);
        std::array::from_fn(|lane| {
            let start = u64::from(slots[lane].0) * len;
            let nth = ((hashes[lane] >> 32) * len) >> 32;
            BucketNo((start + nth) as usize)
        })
    }

    /// Both candidates of a flow.
    #[inline]
    pub(crate) fn candidates(self, hash: FlowHash) -> [BucketNo; 2] {
        let first = self.first(hash);
        [first, self.other(first, Tag::of(hash))]
    }

    /// The other candidate of a flow with this tag that lives in `bucket`.
    #[inline]
    pub(crate) fn other(self, bucket: BucketNo, tag: Tag) -> BucketNo {
        // An odd multiplier near the golden ratio spreads the 16 bits over 32.
        let sum = reduce(
            u64::from(u32::from(tag.0).wrapping_mul(0x9e37_79b1)),
            self.len,
        );
        let here = bucket.0 - self.start;
        BucketNo(
            self.start
                + if sum >= here {
                    sum - here
                } else {
                    sum + self.len - here
                },
        )
    }
}

/// A 32-bit value to below `len`, evenly.
#[inline]
fn reduce(value: u64, len: usize) -> usize {
    ((value * len as u64) >> 32) as usize
}

/// A set of places of one bucket, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Places(u32);

/// Every place.
const ALL_PLACES: u32 = (1 << PLACES) - 1;

impl Places {
    /// The places from `start` on, round and round.
    #[inline]
    pub(crate) fn from(self, start: usize) -> Turned<1> {
        Turned::new(u64::from(self.0), start)
    }
}

impl Iterator for Places {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let place = self.0.trailing_zeros() as usize;
        self.0 &= self.0.wrapping_sub(1);
        (place < PLACES).then_some(place)
    }
}

/// A set of places of one bucket, `BITS` bits each with the lowest saying whether it is in the set, gone through from
/// `start` on, round and round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turned<const BITS: usize> {
    /// Turned so that `start` is lowest.
    bits: u64,
    start: usize,
}

impl<const BITS: usize> Turned<BITS> {
    #[inline]
    pub(crate) fn new(bits: u64, start: usize) -> Self {
        const { assert!(BITS * PLACES < 64) };
        let by = start * BITS;
        let turned = bits >> by | bits << (PLACES * BITS - by);
        Self {
            bits: turned & ((1 << (PLACES * BITS)) - 1),
            start,
        }
    }
}

impl<const BITS: usize> Iterator for Turned<BITS> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.bits == 0 {
            return None;
        }
        let place = self.start + self.bits.trailing_zeros() as usize / BITS;
        self.bits &= self.bits - 1;
        Some(if place < PLACES {
            place
        } else {
            place - PLACES
        })
    }
}

/// The tags of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tags([u64; TAG_WORDS]);

impl Tags {
    /// Places that hold `tag`.
    #[inline]
    pub(crate) fn matching(self, tag: Tag) -> Places {
        Places(equal_lanes(&self.0, tag.0))
    }

    /// Places that hold a flow.
    #[inline]
    pub(crate) fn used(self) -> Places {
        Places(!self.matching(Tag::FREE).0 & ALL_PLACES)
    }

    /// The first free place.
    #[inline]
    pub(crate) fn free(self) -> Option<usize> {
        self.matching(Tag::FREE).next()
    }
}

/// Buckets, borrowed.
#[derive(Clone, Copy)]
pub(crate) struct Lines<'a>(Run<'a>);

impl<'a> Lines<'a> {
    /// One of them.
    #[inline]
    pub(crate) fn line(self, bucket: BucketNo) -> Line<'a> {
        Line(self.0.line(bucket.0))
    }

    /// Asks for a bucket's line.
    #[inline]
    pub(crate) fn prefetch(self, bucket: BucketNo) {
        self.0.prefetch(bucket.0 * BUCKET_WORDS);
    }
}

/// The bucket memory of a table.
pub(crate) struct Buckets(Words);

impl Buckets {
    /// `buckets` empty buckets that have all lost pins at `start`: nothing is known of the time before.
    pub(crate) fn new(buckets: usize, start: Tick, touched: Touched<'_>) -> Self {
        Self::fresh(Words::new(buckets * BUCKET_WORDS, touched), buckets, start)
    }

    /// The same in words that are all zero.
    pub(crate) fn fresh(words: Words, buckets: usize, start: Tick) -> Self {
        let all = Self(words);
        (0..buckets).for_each(|b| all.line(BucketNo(b)).set_loss(start));
        all
    }

    /// Buckets that others have written.
    pub(crate) fn of(words: Words) -> Self {
        Self(words)
    }

    /// One of them.
    #[inline]
    pub(crate) fn line(&self, bucket: BucketNo) -> Line<'_> {
        self.lines().line(bucket)
    }

    /// All of them, for a loop.
    #[inline]
    pub(crate) fn lines(&self) -> Lines<'_> {
        Lines(self.0.all())
    }

    /// The tag of a place.
    #[inline]
    pub(crate) fn tag(&self, place: PlaceNo) -> Tag {
        self.line(place.bucket()).tag(place.in_bucket())
    }

    /// Notes the standing of the flow in a place.
    #[inline]
    pub(crate) fn set_standing(&self, place: PlaceNo, standing: Standing) {
        self.line(place.bucket())
            .set_standing(place.in_bucket(), standing);
    }

    /// On what pages they are.
    pub(crate) fn pages(&self) -> Pages {
        self.0.pages()
    }

    /// Asks for a bucket's line.
    #[inline]
    pub(crate) fn prefetch(&self, bucket: BucketNo) {
        self.lines().prefetch(bucket);
    }
}

/// One bucket.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a>(&'a [AtomicU64; BUCKET_WORDS]);

impl Line<'_> {
    /// Its tags.
    #[inline]
    pub(crate) fn tags(self) -> Tags {
        Tags(std::array::from_fn(|word| self.0[word].load(Relaxed)))
    }

    /// The standings of its flows. For the writer; a reader asks only for strays, between looks at the version.
    #[inline]
    pub(crate) fn classes(self) -> Classes {
        Classes(self.0[CLASS_WORD].load(Relaxed))
    }

    #[inline]
    fn set_classes(self, classes: Classes) {
        self.0[CLASS_WORD].store(classes.0, Relaxed);
    }

    /// Notes the standing of the flow in a place.
    #[inline]
    pub(crate) fn set_standing(self, place: usize, standing: Standing) {
        self.set_classes(self.classes().with(place, standing));
    }

    /// One more flow whose first candidate this is lives in its second. Before it can be found there.
    #[inline]
    pub(crate) fn stray(self, tag: Tag) {
        let classes = self.classes();
        let strays = (classes.strays_like(tag) + 1).min(STRAYS_MAX);
        self.set_classes(classes.with_strays(tag, strays));
    }

    /// One less. After it is there no more.
    #[inline]
    pub(crate) fn unstray(self, tag: Tag) {
        let classes = self.classes();
        let strays = classes.strays_like(tag);
        if strays < STRAYS_MAX {
            self.set_classes(classes.with_strays(tag, strays.saturating_sub(1)));
        }
    }

    /// The tag of a place.
    #[inline]
    pub(crate) fn tag(self, place: usize) -> Tag {
        let word = self.0[place / TAGS_A_WORD % TAG_WORDS].load(Relaxed);
        Tag((word >> (place % TAGS_A_WORD * TAG_BITS)) as u16)
    }

    /// Writes the tag of a place. Between [`begin`](Self::begin) and [`end`](Self::end).
    #[inline]
    pub(crate) fn set_tag(self, place: usize, tag: Tag) {
        let (word, shift) = (
            &self.0[place / TAGS_A_WORD % TAG_WORDS],
            place % TAGS_A_WORD * TAG_BITS,
        );
        let others = word.load(Relaxed) & !(0xffff << shift);
        word.store(others | u64::from(tag.0) << shift, Relaxed);
    }

    /// When this bucket last lost a live pin.
    #[inline]
    pub(crate) fn loss(self) -> Tick {
        Tick(self.0[VERSION_WORD].load(Relaxed) as u32)
    }

    /// A live pin whose first candidate this bucket was is lost.
    #[inline]
    pub(crate) fn set_loss(self, at: Tick) {
        let version = self.0[VERSION_WORD].load(Relaxed) >> VERSION_SHIFT << VERSION_SHIFT;
        self.0[VERSION_WORD].store(version | u64::from(at.0), Relaxed);
    }

    /// The writer starts to change which flow is where in this bucket.
    #[inline]
    pub(crate) fn begin(self) {
        self.0[VERSION_WORD].store(self.next_version(), Relaxed);
        fence(Release);
    }

    /// The change that [`begin`](Self::begin) started is complete.
    #[inline]
    pub(crate) fn end(self) {
        self.0[VERSION_WORD].store(self.next_version(), Release);
    }

    #[inline]
    fn next_version(self) -> u64 {
        let word = self.0[VERSION_WORD].load(Relaxed);
        word.wrapping_add(1 << VERSION_SHIFT)
    }

    /// A reader's version before a copy; `None` while a change is under way.
    pub(crate) fn version(self) -> Option<Version> {
        let word = self.0[VERSION_WORD].load(Acquire);
        let version = (word >> VERSION_SHIFT) as u32;
        version.is_multiple_of(2).then_some(Version(version))
    }

    /// Whether nothing has changed since `version`; call [`read_done`] once before.
    pub(crate) fn unchanged(self, version: Version) -> bool {
        (self.0[VERSION_WORD].load(Relaxed) >> VERSION_SHIFT) as u32 == version.0
    }
}

/// Orders a reader's copy before its second look at the versions.
pub(crate) fn read_done() {
    fence(Acquire);
}

/// A bucket's version as a reader saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version(u32);

#[cfg(all(test, not(loom)))]
#[path = "bucket_tests.rs"]
mod tests;
