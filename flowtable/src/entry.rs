//! An entry's memory: one flow in 8 words (IPv4, one cache line) or 12 (IPv6).
//!
//! # Layout
//!
//! | word | bits | what |
//! |---|---|---|
//! | 0..K | 63..0 | the key, see [`key`](crate::key) |
//! | K-1 | 15..12 | in the key's last word: which set of idle timeouts, see [`Table::timeouts_of`](crate::Table::timeouts_of) |
//! | | 11..0 | tick of birth |
//! | K | 63..32 | *life*: tick of the last use |
//! | | 31..18 | change mark: tick at which state, class, pin, kind or place last changed |
//! | | 17..16 | kind, see [`kind`](crate::kind) |
//! | | 15..12, 11..10 | state, class |
//! | | 9 | pin debt |
//! | | 8 | direction of the opener |
//! | | 7..6, 5..4, 3..2 | for each direction: heard, mark known, FIN seen |
//! | | 1 | direction of the accepted RST |
//! | | 0 | stray: it lives in its second bucket |
//! | K+1, K+2 | 63..24 | *side*, forward and reverse: pin |
//! | | 23..16 | port it last came in by |
//! | | 15..0 | sequence mark, in 64 KiB |
//! | K+3 | 63..32, 31..0 | stamps, reverse and forward |
//! | K+4, K+5 | 63..34 | *count*, forward and reverse: packets |
//! | | 33..0 | bytes, in units of 16 |
//! | K+6 | 31..0 | aux index, of IPv6 entries of a kind; spare in plain ones |
//!
//! K is 2 for IPv4 and 5 for IPv6. The counts of an IPv4 entry of a kind are narrower, and hold the index:
//!
//! | word | bits | what |
//! |---|---|---|
//! | K+4, K+5 | 63..48 | aux index, low and high half |
//! | | 47..24 | packets |
//! | | 23..0 | bytes, in units of 1 KiB |
//!
//! # What was traded
//!
//! Counters saturate, at 1.07 G packets and 256 GiB a direction. Bytes are counted in units of 16, rounded
//! with a step that goes round with the packets: 16 packets of one size are counted exactly. The marks are
//! coarse (see `tcp`). Ages from the change mark are good for 27 minutes, because two of its bits went to the kind: an
//! exporter must scan more often than that. What an aux index costs an IPv4 entry is said in [`kind`](crate::kind).
//! Ages from the birth are good for 6.8 minutes, because four of its bits went to the set of timeouts. It is asked only
//! whether an entry is at least 0.1, 1 or 3 seconds old, to prove a flow or to let it be evicted; one that is older but
//! on probation still, and was used just now, may be told so wrongly for as long, each 6.8 minutes: it waits that much longer.
//!
//! # Who writes
//!
//! The slot's one writer, with relaxed stores. A word is read whole, so what stands in one word is always
//! consistent. Key, place and a pin with its stamp change only under the bucket's version.

use crate::bucket::PlaceNo;
use crate::count::Count;
use crate::key::{BOTH, Dir, KEY_MASK, Key, NOBODY};
use crate::kind::Kind;
use crate::life::{Life, Side};
use crate::machine::{Pages, Touched};
use crate::memory::{LINE_WORDS, Run, Words};
use crate::state::{Class, Seen, State};
use crate::sync::{AtomicU64, Ordering::Relaxed};
use crate::time::Tick;
use crate::timeouts::TimeoutsNo;
use crate::track::Track;
use std::marker::PhantomData;

/// Words of an entry after its key.
pub(crate) const BODY_WORDS: usize = 6;
const LIFE: usize = 0;
const SIDES: usize = 1;
const STAMPS: usize = 3;
const COUNTS: usize = 4;

/// In the key's last word, below the key: the birth,
const BIRTH_MASK: u64 = 0xfff;
/// and above that which timeouts.
const TIMEOUTS_SHIFT: u32 = 12;

const _: () = {
    assert!(KEY_MASK == !0xffff && TimeoutsNo::COUNT == 1 << (16 - TIMEOUTS_SHIFT));
    assert!(BIRTH_MASK == (1 << TIMEOUTS_SHIFT) - 1);
    use crate::key::{KeyV4, KeyV6};
    assert!(KeyV4::WORDS + BODY_WORDS == KeyV4::ENTRY_WORDS);
    assert!(KeyV6::WORDS + BODY_WORDS <= KeyV6::ENTRY_WORDS);
    assert!(KeyV4::ENTRY_WORDS == LINE_WORDS && KeyV4::ENTRY_WORDS * 8 == 64);
    assert!(KeyV6::ENTRY_WORDS * 8 == 96);
    assert!(COUNTS + 2 == BODY_WORDS);
    assert!(Class::Probation as u64 == 0);
    assert!(State::COUNT <= 1 << 4 && Class::ALL.len() <= 1 << 2);
    // IPv6 entries have a word for the aux index; IPv4 ones keep it in their counts.
    assert!(At::<KeyV6>::HAS_SPARE && !At::<KeyV4>::HAS_SPARE);
    assert!(KeyV6::WORDS + BODY_WORDS < KeyV6::ENTRY_WORDS);
    assert!(Kind::COUNT == 1 << (Life::CHANGED - Life::KIND) && Life::KIND == 16);
};

/// What tells this layout of an entry from others, for a table in shared memory.
pub(crate) const LAYOUT: u64 = crate::shared::hash(&[
    LIFE as u64,
    SIDES as u64,
    STAMPS as u64,
    COUNTS as u64,
    BODY_WORDS as u64,
    BIRTH_MASK,
    TIMEOUTS_SHIFT as u64,
    Life::LAST_USE as u64,
    Life::CHANGED as u64,
    Life::KIND as u64,
    Life::STATE as u64,
    Life::CLASS as u64,
    Life::DEBT as u64,
    Life::OPENER as u64,
    Life::HEARD as u64,
    Life::KNOWN as u64,
    Life::FIN as u64,
    Life::RST_BY as u64,
    Life::STRAY as u64,
    State::COUNT as u64,
    Side::PIN as u64,
    Side::IN_PORT as u64,
    Count::PACKETS as u64,
    Count::UNIT_SHIFT as u64,
    crate::kind::LAYOUT,
]);

/// The entry memory of a table, typed by its key.
pub(crate) struct Entries<K> {
    words: Words,
    key: PhantomData<K>,
}

impl<K: Key> Entries<K> {
    pub(crate) fn new(entries: usize, touched: Touched<'_>) -> Self {
        Self::of(Words::new(entries * K::ENTRY_WORDS, touched))
    }

    /// Entries in these words.
    pub(crate) fn of(words: Words) -> Self {
        let key = PhantomData;
        Self { words, key }
    }

    /// On what pages they are.
    pub(crate) fn pages(&self) -> Pages {
        self.words.pages()
    }

    /// The entry at a place.
    #[inline]
    pub(crate) fn at(&self, place: PlaceNo) -> At<'_, K> {
        At {
            words: self.words.run(place.0 * K::ENTRY_WORDS, K::ENTRY_WORDS),
            key: PhantomData,
        }
    }

    /// Asks for the entry's lines, some time before it is read.
    #[inline]
    pub(crate) fn prefetch(&self, place: PlaceNo) {
        Self::ask_for(self.words.all(), place);
    }

    /// Their words, for a loop.
    #[inline]
    pub(crate) fn all(&self) -> Run<'_> {
        self.words.all()
    }

    /// [`prefetch`](Self::prefetch) of an entry of [`all`](Self::all).
    #[inline]
    pub(crate) fn ask_for(all: Run<'_>, place: PlaceNo) {
        let first = place.0 * K::ENTRY_WORDS;
        all.prefetch(first);
        if K::ENTRY_WORDS > LINE_WORDS {
            all.prefetch(first + K::ENTRY_WORDS - 1);
        }
    }

    /// Copies a whole entry. Under both buckets' versions.
    pub(crate) fn copy(&self, from: PlaceNo, to: PlaceNo) {
        let (from, to) = (self.at(from), self.at(to));
        for (from, to) in from.words.iter().zip(to.words) {
            to.store(from.load(Relaxed), Relaxed);
        }
    }
}

/// One entry's words.
#[derive(Clone, Copy)]
pub(crate) struct At<'a, K> {
    words: &'a [AtomicU64],
    key: PhantomData<K>,
}

impl<K: Key> At<'_, K> {
    /// Whether there is a word behind the others.
    pub(crate) const HAS_SPARE: bool = K::ENTRY_WORDS > K::WORDS + BODY_WORDS;

    /// That word. Only where there is one.
    pub(crate) fn spare(&self) -> u64 {
        self.load(K::WORDS + BODY_WORDS)
    }

    pub(crate) fn set_spare(&self, word: u64) {
        self.store(K::WORDS + BODY_WORDS, word);
    }

    #[inline]
    fn load(&self, word: usize) -> u64 {
        self.words[word].load(Relaxed)
    }

    #[inline]
    fn store(&self, word: usize, value: u64) {
        self.words[word].store(value, Relaxed);
    }

    /// Whether the entry has this key.
    #[inline]
    pub(crate) fn is(&self, key: &K) -> bool {
        let want = key.words();
        let differs = want.as_ref().iter().enumerate().fold(0, |acc, (i, word)| {
            let mask = if i + 1 == K::WORDS {
                KEY_MASK
            } else {
                u64::MAX
            };
            acc | ((self.load(i) ^ word) & mask)
        });
        differs == 0
    }

    #[inline]
    pub(crate) fn key(&self) -> K {
        let mut words = K::Words::default();
        for (i, word) in words.as_mut().iter_mut().enumerate() {
            *word = self.load(i);
        }
        K::from_words(&words)
    }

    /// It has no flow any more: a hint that leads here is found out. Under the bucket's version.
    #[inline]
    pub(crate) fn vacate(&self) {
        self.store(K::WORDS - 1, NOBODY);
    }

    /// The low bits of the tick at which the flow began.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn birth(&self) -> u16 {
        (self.load(K::WORDS - 1) & BIRTH_MASK) as u16
    }

    #[inline]
    pub(crate) fn set_birth(&self, now: Tick) {
        let word = self.load(K::WORDS - 1) & !BIRTH_MASK | u64::from(now.0) & BIRTH_MASK;
        self.store(K::WORDS - 1, word);
    }

    /// Ticks since the flow began: modulo 6.8 minutes, but no less than since its last use.
    #[inline]
    pub(crate) fn age(&self, life: Life, now: Tick) -> u32 {
        let age = u64::from(now.0).wrapping_sub(self.load(K::WORDS - 1)) & BIRTH_MASK;
        now.since(life.last_use()).max(age as u32)
    }

    /// Which set of idle timeouts the flow has.
    #[inline]
    pub(crate) fn timeouts(&self) -> TimeoutsNo {
        TimeoutsNo::new((self.load(K::WORDS - 1) >> TIMEOUTS_SHIFT) as u8)
    }

    #[inline]
    pub(crate) fn set_timeouts(&self, of: TimeoutsNo) {
        let kept = self.load(K::WORDS - 1) & (KEY_MASK | BIRTH_MASK);
        self.store(K::WORDS - 1, kept | u64::from(of.get()) << TIMEOUTS_SHIFT);
    }

    #[inline]
    pub(crate) fn life(&self) -> Life {
        Life(self.load(K::WORDS + LIFE))
    }

    #[inline]
    pub(crate) fn set_life(&self, life: Life) {
        self.store(K::WORDS + LIFE, life.0);
    }

    #[inline]
    pub(crate) fn side(&self, dir: Dir) -> Side {
        Side(self.load(K::WORDS + SIDES + dir as usize))
    }

    #[inline]
    pub(crate) fn set_side(&self, dir: Dir, side: Side) {
        self.store(K::WORDS + SIDES + dir as usize, side.0);
    }

    #[inline]
    pub(crate) fn stamp(&self, dir: Dir) -> u32 {
        (self.load(K::WORDS + STAMPS) >> (32 * dir as u32)) as u32
    }

    #[inline]
    pub(crate) fn set_stamp(&self, dir: Dir, stamp: u32) {
        let shift = 32 * dir as u32;
        let others = self.load(K::WORDS + STAMPS) & !(u64::from(u32::MAX) << shift);
        self.store(K::WORDS + STAMPS, others | u64::from(stamp) << shift);
    }

    #[inline]
    pub(crate) fn count(&self, dir: Dir) -> Count {
        Count(self.load(K::WORDS + COUNTS + dir as usize))
    }

    #[inline]
    pub(crate) fn set_count(&self, dir: Dir, count: Count) {
        self.store(K::WORDS + COUNTS + dir as usize, count.0);
    }

    /// Writes a whole new entry without pins. Under the bucket's version.
    #[inline(always)]
    pub(crate) fn write(&self, key: &K, fresh: &Fresh, now: Tick) {
        let words = key.words();
        debug_assert!(
            words
                .as_ref()
                .last()
                .is_some_and(|word| word & !KEY_MASK == 0)
        );
        for (i, word) in words.as_ref().iter().enumerate() {
            let birth = if i + 1 == K::WORDS {
                u64::from(now.0) & BIRTH_MASK
            } else {
                0
            };
            self.store(i, word | birth);
        }
        self.set_life(fresh.life);
        self.store(K::WORDS + STAMPS, 0);
        for dir in BOTH {
            self.set_side(dir, fresh.sides[dir as usize]);
            self.set_count(dir, fresh.counts[dir as usize]);
        }
    }
}

/// What a flow's first packet makes of its entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fresh {
    life: Life,
    sides: [Side; 2],
    counts: [Count; 2],
}

impl Fresh {
    /// Of a flow that starts with this packet, which goes in `dir`.
    #[inline(always)]
    pub(crate) fn of(track: &Track, dir: Dir, seen: &Seen, now: Tick) -> Self {
        let mut sides = track.marks.map(|mark| Side::default().with_mark(mark));
        let mut counts = [Count::default(); 2];
        let own = dir as usize;
        sides[own] = sides[own].with_in_port(seen.in_port);
        counts[own] = counts[own].plus(seen.bytes);
        let life = Life::born(track, now);
        Self {
            life,
            sides,
            counts,
        }
    }

    /// The same in the flow's second bucket, or its first.
    #[inline(always)]
    pub(crate) fn in_its_second(mut self, stray: bool) -> Self {
        self.life = self.life.with_stray(stray);
        self
    }
}

#[cfg(all(test, not(loom)))]
#[path = "entry_tests.rs"]
mod tests;
