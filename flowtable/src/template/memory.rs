//! Buckets of places: six lines of words a bucket, a place a column.
//!
//! | line | what | written |
//! |---|---|---|
//! | 0 | fingerprint, 0: nobody's | by compare-and-swap from 0; to 0 by whoever closed the value |
//! | 1 | [`Value`] | by compare-and-swap; from closed to empty by whoever closed it |
//! | 2 to 4 | the client: affinity, address | by anyone who settles or renews the client's template |
//! | 5 | timeout 24, length 8, check 32 | likewise |
//!
//! Lines 2 to 5 say nothing that decides who a place belongs to. A thread that is held up long enough can write
//! them into the place of another client; then the check, or the fingerprint, does not agree with them, and the
//! next renewal writes them anew.

use super::client::Client;
use super::word::{MAX_TIMEOUT, Value};
use crate::memory::{LINE_WORDS, Words};
use crate::sync::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Places in a bucket.
pub(super) const PLACES: usize = if cfg!(loom) { 2 } else { 8 };

/// Lines of a bucket.
const LINES: usize = 6;

const PRINT: usize = 0;
const VALUE: usize = 1;
const CLIENT: [usize; 3] = [2, 3, 4];
const TERMS: usize = 5;

/// A bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BucketNo(usize);

/// A place in a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlaceNo(usize, usize);

impl BucketNo {
    /// Its places, the lowest first.
    pub(super) fn places(self) -> impl Iterator<Item = PlaceNo> {
        (0..PLACES).map(move |place| PlaceNo(self.0, place))
    }
}

impl PlaceNo {
    /// Whether it comes before another of its bucket.
    pub(super) fn below(self, other: Self) -> bool {
        self.1 < other.1
    }

    const fn word(self, line: usize) -> usize {
        (self.0 * LINES + line) * LINE_WORDS + self.1
    }
}

/// All places.
pub(super) struct Places {
    words: Words,
    buckets: usize,
}

impl Places {
    pub(super) fn new(buckets: usize) -> Self {
        Self {
            words: Words::new(buckets * LINES * LINE_WORDS, &|_| {}),
            buckets,
        }
    }

    /// How many templates fit.
    pub(super) fn len(&self) -> usize {
        self.buckets * PLACES
    }

    /// The bucket of a fingerprint.
    pub(super) fn bucket(&self, print: u64) -> BucketNo {
        BucketNo(((u128::from(print) * self.buckets as u128) >> 64) as usize)
    }

    /// `count` buckets from the one numbered `from` on, round and round, no bucket twice.
    pub(super) fn round(
        &self,
        from: usize,
        count: usize,
    ) -> impl Iterator<Item = BucketNo> + use<> {
        let all = self.buckets;
        (from..from.saturating_add(count.min(all))).map(move |bucket| BucketNo(bucket % all))
    }

    pub(super) fn print(&self, place: PlaceNo) -> u64 {
        self.words.at(place.word(PRINT)).load(Acquire)
    }

    /// Puts a fingerprint into a place that has none.
    pub(super) fn claim(&self, place: PlaceNo, print: u64) -> bool {
        let word = self.words.at(place.word(PRINT));
        word.compare_exchange(0, print, AcqRel, Acquire).is_ok()
    }

    pub(super) fn value(&self, place: PlaceNo) -> Value {
        Value(self.words.at(place.word(VALUE)).load(Acquire))
    }

    /// The value of a place if it has this fingerprint. Looked at before and after: the place may be freed, and
    /// another's, in between.
    pub(super) fn value_of(&self, place: PlaceNo, print: u64) -> Option<Value> {
        let before = self.print(place) == print;
        before
            .then(|| self.value(place))
            .filter(|_| self.print(place) == print)
    }

    pub(super) fn swap(&self, place: PlaceNo, from: Value, to: Value) -> bool {
        let word = self.words.at(place.word(VALUE));
        word.compare_exchange(from.0, to.0, AcqRel, Acquire).is_ok()
    }

    /// Frees a place whose value the caller closed: nobody else writes it until this is done.
    pub(super) fn free(&self, place: PlaceNo, closed: Value) {
        self.words.at(place.word(PRINT)).store(0, Release);
        let word = self.words.at(place.word(VALUE));
        word.store(closed.freed().0, Release);
    }

    /// Notes whose template is in a place, and for how long it outlives its last flow, unless that is there already.
    pub(super) fn describe(&self, place: PlaceNo, print: u64, client: &Client, timeout: u32) {
        let set = |line: usize, word: u64| {
            let at = self.words.at(place.word(line));
            if at.load(Relaxed) != word {
                at.store(word, Relaxed);
            }
        };
        CLIENT
            .into_iter()
            .zip(client.words())
            .for_each(|(line, word)| set(line, word));
        let timeout = u64::from(timeout.min(MAX_TIMEOUT));
        set(
            TERMS,
            timeout | u64::from(client.len()) << 24 | check(print),
        );
    }

    /// Whose template a place has, as far as it says so. The fingerprint tells whether it is true.
    pub(super) fn client(&self, place: PlaceNo) -> Client {
        let words = CLIENT.map(|line| self.words.load(place.word(line)));
        Client::from_words(words, (self.words.load(place.word(TERMS)) >> 24) as u8)
    }

    /// For how long the template of this fingerprint outlives its last flow, seconds; the longest there is as long as
    /// the place does not say so.
    pub(super) fn timeout(&self, place: PlaceNo, print: u64) -> u32 {
        let terms = self.words.load(place.word(TERMS));
        if terms & CHECK == check(print) {
            terms as u32 & 0xff_ffff
        } else {
            MAX_TIMEOUT
        }
    }
}

const CHECK: u64 = !0 << 32;

const fn check(print: u64) -> u64 {
    print << 32
}
