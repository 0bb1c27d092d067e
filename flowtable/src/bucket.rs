//! Buckets: eight tagged places each, a version, and the time of the last lost pin.
//!
//! # Layout
//!
//! | word | bits | what |
//! |---|---|---|
//! | 0 | 8 x 16, with word 1 | tags of places 0 to 3; 0 is a free place |
//! | 1 | | tags of places 4 to 7 |
//! | 2 | 63..32 | version: odd while the writer changes which flow is where |
//! | 2 | 31..0 | tick of the last loss of a live pin that had this bucket as a candidate |
//! | 3 | 63..0 | spare |
//!
//! # The two candidates
//!
//! A flow's first bucket comes from the upper half of its hash, its tag from the lowest 16 bits, and its
//! second bucket is `fold(tag) - first` modulo the number of buckets. That is its own inverse, so the other
//! candidate of any place is known from the tag alone, with any number of buckets. Both can be one bucket.
//!
//! # Versions
//!
//! The one writer makes the version odd, writes, and makes it even again. A reader takes the version before,
//! copies, and takes it again after: an odd or a different one means that the copy may be torn. Writer:
//! odd store, release fence, stores, even store with release. Reader: acquire load, loads, acquire fence,
//! load. If a reader sees any store of a change, the fences make it also see that change's odd version.
//! What a packet changes in an entry (counters, last use) is in words that stand for themselves and leaves
//! the version alone.

use crate::hash::FlowHash;
use crate::memory::Words;
use crate::sync::{Ordering::Acquire, Ordering::Release, fence};
use crate::time::Tick;

/// Places in a bucket.
pub(crate) const PLACES: usize = 8;
/// Words in a bucket; two buckets fill a line.
pub(crate) const BUCKET_WORDS: usize = 4;

const VERSION_WORD: usize = 2;
const VERSION_SHIFT: u32 = 32;
const TAG_BITS: usize = 16;
const TAGS_A_WORD: usize = 64 / TAG_BITS;
const _: () = assert!(2 * TAGS_A_WORD == PLACES && VERSION_WORD < BUCKET_WORDS);

/// 16 bits of a flow's hash; never 0 for a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(pub(crate) u16);

impl Tag {
    pub(crate) const FREE: Self = Self(0);

    #[inline]
    pub(crate) fn of(hash: FlowHash) -> Self {
        Self((hash.0 as u16).max(1))
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
    /// Both candidates of a flow.
    #[inline]
    pub(crate) fn candidates(self, hash: FlowHash) -> [BucketNo; 2] {
        let first = BucketNo(self.start + reduce(hash.0 >> 32, self.len));
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

/// A set of places of one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Places(u8);

impl Iterator for Places {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let place = self.0.trailing_zeros() as usize;
        self.0 &= self.0.wrapping_sub(1);
        (place < PLACES).then_some(place)
    }
}

/// The eight tags of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tags([u64; 2]);

impl Tags {
    /// Places that hold `tag`.
    #[inline]
    pub(crate) fn matching(self, tag: Tag) -> Places {
        let spread = u64::from(tag.0) * 0x0001_0001_0001_0001;
        Places(zero_lanes(self.0[0] ^ spread) | zero_lanes(self.0[1] ^ spread) << TAGS_A_WORD)
    }

    /// Places that hold a flow.
    #[inline]
    pub(crate) fn used(self) -> Places {
        Places(!self.matching(Tag::FREE).0)
    }

    /// The first free place.
    #[inline]
    pub(crate) fn free(self) -> Option<usize> {
        self.matching(Tag::FREE).next()
    }

    /// The tag at `place`.
    #[inline]
    pub(crate) fn at(self, place: usize) -> Tag {
        let word = if place < TAGS_A_WORD {
            self.0[0]
        } else {
            self.0[1]
        };
        Tag((word >> (place % TAGS_A_WORD * TAG_BITS)) as u16)
    }
}

/// One bit for each of the four 16-bit lanes that is zero.
#[inline]
fn zero_lanes(word: u64) -> u8 {
    const LOW: u64 = 0x7fff_7fff_7fff_7fff;
    // The top bit of a lane ends up set if any of its bits was; no carry crosses a lane.
    let set = (((word & LOW) + LOW) | word) & !LOW;
    let zero = !set & !LOW;
    // Gathers bits 15, 31, 47, 63 into 0..=3.
    ((zero >> 15).wrapping_mul(0x1000_2000_4000_8000) >> 60) as u8
}

/// The bucket memory of a table.
pub(crate) struct Buckets(Words);

impl Buckets {
    /// `buckets` empty buckets that have all lost pins at `start`: nothing is known of the time before.
    pub(crate) fn new(buckets: usize, start: Tick) -> Self {
        let all = Self(Words::new(buckets * BUCKET_WORDS));
        (0..buckets).for_each(|b| all.set_loss(BucketNo(b), start));
        all
    }

    /// The tags of a bucket.
    #[inline]
    pub(crate) fn tags(&self, bucket: BucketNo) -> Tags {
        let word = bucket.0 * BUCKET_WORDS;
        Tags([self.0.load(word), self.0.load(word + 1)])
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

    /// A live pin that had this bucket as a candidate was lost.
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
            let word = |half: &[u16]| {
                half.iter()
                    .rev()
                    .fold(0_u64, |w, t| w << 16 | u64::from(*t))
            };
            let packed = Tags([word(&tags[..4]), word(&tags[4..])]);
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
        let buckets = Buckets::new(2, Tick(42));
        let (b, other) = (BucketNo(1), BucketNo(0));
        let before = buckets.version(b).unwrap();
        buckets.set_loss(b, Tick(u32::MAX));
        assert!(buckets.unchanged(b, before));
        buckets.begin(b);
        assert_eq!(buckets.version(b), None);
        for place in 0..PLACES {
            buckets.set_tag(b.place(place), Tag(100 + place as u16));
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
    fn a_hash_with_a_zero_tag_still_has_one() {
        assert_eq!(Tag::of(FlowHash(0xffff_0000)), Tag(1));
    }
}
