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
use crate::state::{Class, State};
use crate::sync::{Ordering::Acquire, Ordering::Relaxed, Ordering::Release, fence};
use crate::time::Tick;

/// Places in a bucket.
pub(crate) const PLACES: usize = 24;
/// Words in a bucket: a line.
pub(crate) const BUCKET_WORDS: usize = 8;

const TAG_WORDS: usize = 6;
const VERSION_WORD: usize = 6;
const CLASS_WORD: usize = 7;
const VERSION_SHIFT: u32 = 32;
const STRAYS_SHIFT: u32 = 48;
const CLASS_BITS: usize = 2;
const TAG_BITS: usize = 16;
const TAGS_A_WORD: usize = 64 / TAG_BITS;
const _: () = {
    assert!(TAG_WORDS * TAGS_A_WORD == PLACES && BUCKET_WORDS == crate::memory::LINE_WORDS);
    assert!(PLACES * CLASS_BITS <= STRAYS_SHIFT as usize);
};
const STRAY_BITS: u32 = 4;
/// A count of strays that has come this far stays there: the bucket is never again taken for one without such.
const STRAYS_MAX: u64 = (1 << STRAY_BITS) - 1;
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
    fn stray_shift(self) -> u32 {
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
    pub(crate) fn from(self, start: usize) -> impl Iterator<Item = usize> {
        let ahead = self.0 >> start << start;
        Self(ahead).chain(Self(self.0 & !ahead))
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

    /// The tag at `place`.
    #[inline]
    pub(crate) fn at(self, place: usize) -> Tag {
        Tag((self.0[place / TAGS_A_WORD] >> (place % TAGS_A_WORD * TAG_BITS)) as u16)
    }
}

/// How soon a flow makes room for another: its class, and on probation also whether it is in pin debt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Probation = 0,
    OneWay = 1,
    TwoWay = 2,
    InDebt = 3,
}

impl Standing {
    /// Who is looked at first.
    pub(crate) const ORDER: [Self; 4] = [Self::Probation, Self::InDebt, Self::OneWay, Self::TwoWay];

    /// That of a flow of this class, that has this state.
    pub(crate) fn of(class: Class, state: State, debt: bool) -> Self {
        match class {
            Class::Probation if debt => Self::InDebt,
            Class::Probation => Self::Probation,
            // Of a connection that is over its class is all that is left.
            Class::TwoWay if state.is_over() => Self::OneWay,
            Class::OneWay => Self::OneWay,
            Class::TwoWay => Self::TwoWay,
        }
    }
}

/// The standings of a bucket's flows, and how many of its own live elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Classes(u64);

impl Classes {
    /// Places whose flow has this standing. What a free place has means nothing.
    pub(crate) fn of(self, standing: Standing) -> Places {
        const EVEN: u64 = 0x5555_5555_5555;
        let differs = self.0 ^ (standing as u64 * EVEN);
        let equal = !(differs | differs >> 1) & EVEN;
        Places(squeeze(equal))
    }

    /// Whether a flow with this tag whose first candidate this bucket is may live in its second.
    #[inline]
    pub(crate) fn has_strays(self, tag: Tag) -> bool {
        self.strays_like(tag) != 0
    }

    /// How many live in their second in all.
    pub(crate) fn strays(self) -> u64 {
        let count = |n: u32| self.0 >> (STRAYS_SHIFT + n * STRAY_BITS) & STRAYS_MAX;
        (0..(64 - STRAYS_SHIFT) / STRAY_BITS).map(count).sum()
    }

    #[inline]
    fn strays_like(self, tag: Tag) -> u64 {
        self.0 >> tag.stray_shift() & STRAYS_MAX
    }

    fn with(self, place: usize, standing: Standing) -> Self {
        let shift = place * CLASS_BITS;
        Self(self.0 & !(3 << shift) | (standing as u64) << shift)
    }

    fn with_strays(self, tag: Tag, strays: u64) -> Self {
        let shift = tag.stray_shift();
        Self(self.0 & !(STRAYS_MAX << shift) | strays << shift)
    }
}

/// Every second bit of 48, side by side.
fn squeeze(even: u64) -> u32 {
    let two = (even | even >> 1) & 0x3333_3333_3333;
    let four = (two | two >> 2) & 0x0f0f_0f0f_0f0f;
    let eight = (four | four >> 4) & 0x00ff_00ff_00ff;
    let sixteen = eight | eight >> 8;
    (sixteen & 0xffff | (sixteen >> 32 & 0xff) << 16) as u32
}

/// Buckets, borrowed.
#[derive(Clone, Copy)]
pub(crate) struct Lines<'a>(Run<'a>);

impl Lines<'_> {
    /// The tags of a bucket.
    #[inline]
    pub(crate) fn tags(self, bucket: BucketNo) -> Tags {
        let line = self.0.line(bucket.0);
        Tags(std::array::from_fn(|word| line[word].load(Relaxed)))
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
        (0..buckets).for_each(|b| all.set_loss(BucketNo(b), start));
        all
    }

    /// Buckets that others have written.
    pub(crate) fn of(words: Words) -> Self {
        Self(words)
    }

    /// The tags of a bucket.
    #[inline]
    pub(crate) fn tags(&self, bucket: BucketNo) -> Tags {
        self.lines().tags(bucket)
    }

    /// All of them, for a loop.
    #[inline]
    pub(crate) fn lines(&self) -> Lines<'_> {
        Lines(self.0.all())
    }

    /// The standings of a bucket's flows. For the writer; a reader asks only for strays, between looks at the version.
    #[inline]
    pub(crate) fn classes(&self, bucket: BucketNo) -> Classes {
        Classes(self.0.line(bucket.0)[CLASS_WORD].load(Relaxed))
    }

    /// Notes the standing of the flow in a place.
    pub(crate) fn set_standing(&self, place: PlaceNo, standing: Standing) {
        let bucket = place.bucket();
        let classes = self.classes(bucket).with(place.in_bucket(), standing);
        self.0.line(bucket.0)[CLASS_WORD].store(classes.0, Relaxed);
    }

    /// One more flow whose first candidate this is lives in its second. Before it can be found there.
    pub(crate) fn stray(&self, bucket: BucketNo, tag: Tag) {
        let classes = self.classes(bucket);
        let strays = (classes.strays_like(tag) + 1).min(STRAYS_MAX);
        self.0.line(bucket.0)[CLASS_WORD].store(classes.with_strays(tag, strays).0, Relaxed);
    }

    /// One less. After it is there no more.
    pub(crate) fn unstray(&self, bucket: BucketNo, tag: Tag) {
        let classes = self.classes(bucket);
        let strays = classes.strays_like(tag);
        if strays < STRAYS_MAX {
            let strays = strays.saturating_sub(1);
            self.0.line(bucket.0)[CLASS_WORD].store(classes.with_strays(tag, strays).0, Relaxed);
        }
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

    /// The tag of a place.
    #[inline]
    pub(crate) fn tag(&self, place: PlaceNo) -> Tag {
        let at = place.in_bucket();
        let word = self
            .0
            .load(place.bucket().0 * BUCKET_WORDS + at / TAGS_A_WORD);
        Tag((word >> (at % TAGS_A_WORD * TAG_BITS)) as u16)
    }

    /// Writes the tag of a place. Between [`begin`](Self::begin) and [`end`](Self::end).
    pub(crate) fn set_tag(&self, place: PlaceNo, tag: Tag) {
        let at = place.in_bucket();
        let index = place.bucket().0 * BUCKET_WORDS + at / TAGS_A_WORD;
        let shift = at % TAGS_A_WORD * TAG_BITS;
        let word = self.0.load(index) & !(0xffff << shift) | u64::from(tag.0) << shift;
        self.0.store(index, word);
    }

    /// When this bucket last lost a live pin.
    #[inline]
    pub(crate) fn loss(&self, bucket: BucketNo) -> Tick {
        Tick(self.0.load(version_index(bucket)) as u32)
    }

    /// A live pin whose first candidate this bucket was is lost.
    pub(crate) fn set_loss(&self, bucket: BucketNo, at: Tick) {
        let index = version_index(bucket);
        let version = self.0.load(index) >> VERSION_SHIFT << VERSION_SHIFT;
        self.0.store(index, version | u64::from(at.0));
    }

    /// The writer starts to change which flow is where in this bucket.
    pub(crate) fn begin(&self, bucket: BucketNo) {
        let index = version_index(bucket);
        let word = self.0.load(index).wrapping_add(1 << VERSION_SHIFT);
        self.0.store(index, word);
        fence(Release);
    }

    /// The change that [`begin`](Self::begin) started is complete.
    pub(crate) fn end(&self, bucket: BucketNo) {
        let index = version_index(bucket);
        let word = self.0.load(index).wrapping_add(1 << VERSION_SHIFT);
        self.0.at(index).store(word, Release);
    }

    /// A reader's version before a copy; `None` while a change is under way.
    pub(crate) fn version(&self, bucket: BucketNo) -> Option<Version> {
        let word = self.0.at(version_index(bucket)).load(Acquire);
        let version = (word >> VERSION_SHIFT) as u32;
        version.is_multiple_of(2).then_some(Version(version))
    }

    /// Whether nothing has changed since `version`; call [`read_done`] once before.
    pub(crate) fn unchanged(&self, bucket: BucketNo, version: Version) -> bool {
        (self.0.load(version_index(bucket)) >> VERSION_SHIFT) as u32 == version.0
    }
}

/// Orders a reader's copy before its second look at the versions.
pub(crate) fn read_done() {
    fence(Acquire);
}

/// A bucket's version as a reader saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version(u32);

fn version_index(bucket: BucketNo) -> usize {
    bucket.0 * BUCKET_WORDS + VERSION_WORD
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn matching_finds_exactly_the_lanes_that_are_equal() {
        let mut rng = fastrand::Rng::with_seed(5);
        for _ in 0..20_000 {
            // Few values, so that equal, adjacent and borrow-prone lanes all occur.
            let tags: [u16; PLACES] =
                std::array::from_fn(|_| [0, 1, 2, 0x7fff, 0x8000, 0xffff][rng.usize(..6)]);
            let word = |four: &[u16]| {
                four.iter()
                    .rev()
                    .fold(0_u64, |w, t| w << 16 | u64::from(*t))
            };
            let packed = Tags(std::array::from_fn(|i| word(&tags[4 * i..4 * i + 4])));
            for tag in [0, 1, 2, 0x7fff, 0x8000, 0xffff] {
                let want: Vec<usize> = (0..PLACES).filter(|p| tags[*p] == tag).collect();
                assert_eq!(
                    packed.matching(Tag(tag)).collect::<Vec<_>>(),
                    want,
                    "{tags:x?} {tag:x}"
                );
            }
            assert_eq!(
                packed.used().count(),
                tags.iter().filter(|t| **t != 0).count()
            );
            (0..PLACES).for_each(|p| assert_eq!(packed.at(p).0, tags[p]));
        }
    }

    #[test]
    fn the_other_of_the_other_candidate_is_the_first_for_any_number_of_buckets() {
        let mut rng = fastrand::Rng::with_seed(6);
        for len in [1, 2, 3, 6, 250, 48_828, 1 << 20] {
            let range = Range {
                start: 7 * len,
                len,
            };
            for _ in 0..1000 {
                let hash = FlowHash(rng.u64(..));
                let [a, b] = range.candidates(hash);
                assert!((range.start..range.start + len).contains(&a.0));
                assert!((range.start..range.start + len).contains(&b.0));
                assert_eq!(range.other(a, Tag::of(hash)), b);
                assert_eq!(range.other(b, Tag::of(hash)), a);
            }
        }
    }

    #[test]
    fn second_candidates_are_spread_over_all_buckets() {
        let mut rng = fastrand::Rng::with_seed(7);
        let range = Range { start: 0, len: 100 };
        let mut counts = [0_u32; 100];
        (0..100_000).for_each(|_| counts[range.candidates(FlowHash(rng.u64(..)))[1].0] += 1);
        assert!(counts.iter().all(|n| (850..1150).contains(n)), "{counts:?}");
    }

    #[test]
    fn tags_versions_and_losses_do_not_disturb_each_other() {
        let buckets = Buckets::new(2, Tick(42), &|_| {});
        let (b, other) = (BucketNo(1), BucketNo(0));
        let before = buckets.version(b).unwrap();
        buckets.set_loss(b, Tick(u32::MAX));
        assert!(buckets.unchanged(b, before));
        buckets.begin(b);
        assert_eq!(buckets.version(b), None);
        for place in 0..PLACES {
            buckets.set_tag(b.place(place), Tag(100 + place as u16));
            buckets.set_standing(b.place(place), Standing::TwoWay);
        }
        buckets.end(b);
        assert!(!buckets.unchanged(b, before));
        assert_eq!(buckets.loss(b), Tick(u32::MAX));
        (0..PLACES).for_each(|p| assert_eq!(buckets.tags(b).at(p).0, 100 + p as u16));
        assert_eq!(
            (buckets.loss(other), buckets.tags(other).used().count()),
            (Tick(42), 0)
        );
    }

    #[test]
    fn standings_and_strays_do_not_disturb_each_other() {
        let mut rng = fastrand::Rng::with_seed(8);
        let buckets = Buckets::new(1, Tick(1), &|_| {});
        let bucket = BucketNo(0);
        let (mut all, mut strays) = ([Standing::Probation; PLACES], [0_u64; 4]);
        for _ in 0..20_000 {
            let (place, tag) = (rng.usize(..PLACES), Tag(rng.u16(..)));
            let like = &mut strays[usize::from(tag.0) / 0x4000];
            match rng.u8(..3) {
                0 => {
                    all[place] = Standing::ORDER[rng.usize(..4)];
                    buckets.set_standing(bucket.place(place), all[place]);
                }
                1 if *like < STRAYS_MAX - 1 => {
                    buckets.stray(bucket, tag);
                    *like += 1;
                }
                2 if *like > 0 => {
                    buckets.unstray(bucket, tag);
                    *like -= 1;
                }
                _ => {}
            }
            let now = buckets.classes(bucket);
            assert_eq!(now.has_strays(tag), strays[usize::from(tag.0) / 0x4000] > 0);
            assert_eq!(now.strays(), strays.iter().sum::<u64>());
            for one in Standing::ORDER {
                let want: Vec<usize> = (0..PLACES).filter(|p| all[*p] == one).collect();
                assert_eq!(now.of(one).collect::<Vec<_>>(), want);
            }
        }
    }

    #[test]
    fn too_many_strays_are_strays_for_ever() {
        let buckets = Buckets::new(1, Tick(1), &|_| {});
        let (tag, other) = (Tag(0x8001), Tag(0x7fff));
        (0..=STRAYS_MAX).for_each(|_| buckets.stray(BucketNo(0), tag));
        (0..=STRAYS_MAX).for_each(|_| buckets.unstray(BucketNo(0), tag));
        assert!(buckets.classes(BucketNo(0)).has_strays(tag));
        assert!(!buckets.classes(BucketNo(0)).has_strays(other));
        assert_eq!(
            buckets.classes(BucketNo(0)).of(Standing::Probation).count(),
            PLACES
        );
    }

    #[test]
    fn places_are_gone_through_from_any_start() {
        let places = Places(0b1000_0000_0000_0010_0100_0001);
        assert_eq!(places.from(0).collect::<Vec<_>>(), [0, 6, 9, 23]);
        assert_eq!(places.from(7).collect::<Vec<_>>(), [9, 23, 0, 6]);
        assert_eq!(places.from(23).collect::<Vec<_>>(), [23, 0, 6, 9]);
    }

    #[test]
    fn a_hash_with_a_zero_tag_still_has_one() {
        assert_eq!(Tag::of(FlowHash(0xffff_0000)), Tag(1));
    }
}
