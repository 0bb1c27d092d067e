//! One bucket: a cache line with its owner and up to four owners it had before.
//!
//! A history word is one atomic {pin, 24-bit second at which its clock started}, so it is never torn. The
//! places are in the order of loss, the oldest first, without regard to restarted clocks: a packet without
//! a pin must get the same answer as the one before it.
//!
//! Control alone writes, workers read at any time:
//! - a loss is pushed before the new owner is stored (Release), and a reader loads the owner (Acquire)
//!   before the history: who sees the new owner sees whom it replaced;
//! - places close up downwards (copy, then clear), and a reader scans from the last place to the first: an
//!   entry that moves is met at its old place or at its new one.

use super::layout::Stance;
use crate::ids::{Pin, Secs};
use crate::sync::{AtomicU64, Ordering};

/// Earlier owners that a bucket remembers.
pub(crate) const PLACES: usize = 4;
const CLOCK_BITS: u32 = 24;
const CLOCK_MASK: u32 = (1 << CLOCK_BITS) - 1;

/// A cache line of the group arena: a bucket, or eight member pins.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Line(pub(super) [AtomicU64; 8]);

const _: () = assert!(cfg!(loom) || size_of::<Line>() == 64);

/// Set in the owner's word if it stands in for one who died, or is that one, come back.
const STAND_IN: u64 = 1 << 62;
const BACK: u64 = 1 << 63;

/// An owner, and what it is to flows that a death sent away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) pin: Pin,
    pub(crate) stance: Stance,
}

impl Owner {
    const fn word(self) -> u64 {
        self.pin.raw()
            | match self.stance {
                Stance::Own => 0,
                Stance::StandIn => STAND_IN,
                Stance::Back => BACK,
            }
    }

    const fn from_word(word: u64) -> Self {
        let stance = match (word & STAND_IN, word & BACK) {
            (0, 0) => Stance::Own,
            (0, _) => Stance::Back,
            _ => Stance::StandIn,
        };
        Self {
            pin: Pin::from_raw(word),
            stance,
        }
    }
}

/// A remembered owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost(u64);

impl Lost {
    const NONE: Self = Self(0);

    /// `pin` lost the bucket at `at`, or was last used unpinned then.
    pub(crate) const fn new(pin: Pin, at: Secs) -> Self {
        Self(pin.raw() | ((at.0 & CLOCK_MASK) as u64) << Pin::BITS)
    }

    /// Who.
    pub(crate) const fn pin(self) -> Pin {
        Pin::from_raw(self.0)
    }

    /// Seconds that its clock has run at `now`. Control forgets it long before the clock could wrap.
    pub(crate) const fn age(self, now: Secs) -> u32 {
        let age = now.0.wrapping_sub((self.0 >> Pin::BITS) as u32) & CLOCK_MASK;
        // A clock that is a little ahead of the reader's is one that just started.
        if age > CLOCK_MASK / 2 { 0 } else { age }
    }
}

impl Line {
    fn history(&self, place: usize) -> Lost {
        Lost(
            self.0
                .get(place + 1)
                .map_or(0, |word| word.load(Ordering::Acquire)),
        )
    }

    fn set_history(&self, place: usize, lost: Lost) {
        if let Some(word) = self.0.get(place + 1) {
            word.store(lost.0, Ordering::Release);
        }
    }

    /// Whose it is: none, or a next hop that may have died meanwhile.
    #[inline]
    pub(crate) fn owner(&self) -> Pin {
        self.owned().pin
    }

    /// As [`Self::owner`], and what it is to flows that a death sent away: one word.
    #[inline]
    pub(crate) fn owned(&self) -> Owner {
        Owner::from_word(self.0[0].load(Ordering::Acquire))
    }

    /// The oldest loss that `counts`, with its place. The owner was loaded before.
    #[inline]
    pub(crate) fn oldest(&self, counts: impl Fn(Lost) -> bool) -> Option<(u8, Pin)> {
        let mut oldest = None;
        for place in (0..PLACES).rev() {
            let lost = self.history(place);
            if lost.pin() != Pin::NONE && counts(lost) {
                oldest = Some((place as u8, lost.pin()));
            }
        }
        oldest
    }

    /// Whether anything is remembered. The owner was loaded before.
    #[inline]
    pub(crate) fn remembers(&self) -> bool {
        // From the last place to the first, as all readers do; all of them, as that is cheaper than to ask each.
        let words = self.0[1..=PLACES].iter().rev();
        words.fold(0, |all, word| all | word.load(Ordering::Acquire)) != 0
    }

    /// What is remembered, oldest first. Control only, or to be shown.
    pub(crate) fn remembered(&self) -> impl Iterator<Item = Lost> {
        (0..PLACES)
            .map(|place| self.history(place))
            .filter(|lost| *lost != Lost::NONE)
    }

    /// What a place remembers. Control only.
    pub(crate) fn at_place(&self, place: u8) -> Option<Lost> {
        Some(self.history(usize::from(place))).filter(|lost| *lost != Lost::NONE)
    }

    /// Restarts the clock of a place. Control only.
    pub(crate) fn restart(&self, place: u8, at: Secs) {
        if let Some(lost) = self.at_place(place) {
            self.set_history(usize::from(place), Lost::new(lost.pin(), at));
        }
    }

    /// Gives the bucket to `owner`. Whoever had it is remembered if `remember` says so. Control only.
    pub(crate) fn give(&self, owner: Owner, remember: bool, now: Secs) {
        let before = self.owner();
        if remember && before != Pin::NONE && before != owner.pin {
            self.push(before, now);
        }
        self.0[0].store(owner.word(), Ordering::Release);
    }

    /// Remembers a loss. One that is remembered already keeps its place: it stays the answer it was.
    fn push(&self, pin: Pin, now: Secs) {
        let lost = Lost::new(pin, now);
        if let Some(place) = (0..PLACES).find(|p| self.history(*p).pin() == pin) {
            return self.set_history(place, lost);
        }
        let taken = self.remembered().count();
        if taken == PLACES {
            // The one whose clock has run longest: nobody was seen to take it for that long. Of equals the latest,
            // since packets without a pin take the oldest.
            let longest = (0..PLACES)
                .max_by_key(|p| self.history(*p).age(now))
                .unwrap_or(0);
            self.set_history(longest, Lost::NONE);
            self.close_up();
        }
        self.set_history(taken.min(PLACES - 1), lost);
    }

    /// Forgets losses that do not pass `keep`. Control only. Returns whether any went.
    pub(crate) fn retain(&self, keep: impl Fn(Lost) -> bool) -> bool {
        let mut erased = false;
        for place in 0..PLACES {
            let lost = self.history(place);
            if lost != Lost::NONE && !keep(lost) {
                self.set_history(place, Lost::NONE);
                erased = true;
            }
        }
        if erased {
            self.close_up();
        }
        erased
    }

    /// Moves losses down over empty places, keeping their order.
    fn close_up(&self) {
        let mut to = 0;
        for from in 0..PLACES {
            let lost = self.history(from);
            if lost == Lost::NONE {
                continue;
            }
            if from != to {
                self.set_history(to, lost);
                self.set_history(from, Lost::NONE);
            }
            to += 1;
        }
    }

    /// Makes an unpublished line what it was in an earlier life. Control only.
    pub(crate) fn restore(&self, owner: Owner, lost: &[Lost]) {
        self.0[0].store(owner.word(), Ordering::Relaxed);
        for (word, lost) in self.0.iter().skip(1).take(PLACES).zip(lost) {
            word.store(lost.0, Ordering::Relaxed);
        }
    }

    /// Makes an unpublished line a copy of another. Control only.
    pub(crate) fn copy_from(&self, other: &Self) {
        for (to, from) in self.0.iter().zip(&other.0) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Empties an unpublished line. Control only.
    pub(crate) fn clear(&self) {
        self.0
            .iter()
            .for_each(|word| word.store(0, Ordering::Relaxed));
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::ids::{NhopGen, NhopIdx};

    fn pin(n: u32) -> Pin {
        Pin::new(NhopIdx(n), NhopGen::FIRST)
    }

    fn own(n: u32) -> Owner {
        Owner {
            pin: pin(n),
            stance: Stance::Own,
        }
    }

    fn pins(line: &Line) -> Vec<u32> {
        line.remembered().map(|lost| lost.pin().idx().0).collect()
    }

    #[test]
    fn losses_are_remembered_in_their_order() {
        let line = Line::default();
        (1..=5).for_each(|n| line.give(own(n), true, Secs(n * 10)));
        assert_eq!((line.owner(), pins(&line)), (pin(5), vec![1, 2, 3, 4]));
        assert_eq!(line.oldest(|_| true), Some((0, pin(1))));
        assert_eq!(
            line.oldest(|lost| lost.age(Secs(50)) < 30),
            Some((1, pin(2)))
        );
        assert_eq!(line.oldest(|lost| lost.age(Secs(90)) < 30), None);
    }

    #[test]
    fn a_fifth_loss_displaces_the_one_that_was_used_longest_ago() {
        let line = Line::default();
        (1..=5).for_each(|n| line.give(own(n), true, Secs(n * 10)));
        line.restart(0, Secs(60));
        line.give(own(6), true, Secs(70));
        assert_eq!(
            pins(&line),
            [1, 3, 4, 5],
            "unpinned packets were still taking 1"
        );
    }

    #[test]
    fn of_losses_in_the_same_second_the_oldest_stays_the_answer() {
        let line = Line::default();
        (1..=6).for_each(|n| line.give(own(n), true, Secs(10)));
        assert_eq!(pins(&line), [1, 2, 3, 5]);
    }

    #[test]
    fn a_second_loss_restarts_the_clock_but_not_the_order() {
        let line = Line::default();
        line.give(own(1), true, Secs(1));
        line.give(own(2), true, Secs(10));
        line.give(own(1), true, Secs(20));
        line.give(own(2), true, Secs(30));
        assert_eq!(pins(&line), [1, 2]);
        assert_eq!(line.at_place(0).unwrap().age(Secs(35)), 5);
        assert_eq!(line.at_place(1).unwrap().age(Secs(35)), 15);
    }

    #[test]
    fn who_is_not_to_be_remembered_is_not_and_the_rest_close_up() {
        let line = Line::default();
        (1..=4).for_each(|n| line.give(own(n), true, Secs(n)));
        line.give(own(9), false, Secs(9));
        assert_eq!(pins(&line), [1, 2, 3]);
        assert!(line.retain(|lost| lost.pin() != pin(2)));
        assert_eq!(pins(&line), [1, 3]);
        assert_eq!(line.at_place(1).map(Lost::pin), Some(pin(3)));
        assert!(!line.retain(|_| true));
    }

    #[test]
    fn a_clock_survives_the_wrap_of_its_bits() {
        let lost = Lost::new(pin(1), Secs(0x00ff_fffe));
        assert_eq!(lost.age(Secs(0x0100_0003)), 5);
        assert_eq!(lost.age(Secs(0x00ff_fffd)), 0, "a reader a second behind");
        assert_eq!(lost.pin(), pin(1));
    }

    #[test]
    fn an_owner_s_word_says_what_it_is_to_flows_that_a_death_sent_away() {
        let line = Line::default();
        for stance in [Stance::Own, Stance::StandIn, Stance::Back] {
            let owner = Owner {
                pin: pin(7),
                stance,
            };
            line.give(owner, true, Secs(1));
            assert_eq!((line.owned(), line.owner()), (owner, pin(7)));
        }
        assert_eq!(pins(&line), [], "nobody lost it");
    }
}
