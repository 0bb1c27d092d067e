//! The value of a place: pin, state and time in one word, so that whoever swaps it swaps all of it.
//!
//! | bits | what |
//! |---|---|
//! | 0 to 40 | the pin, while there is one, and a bit that is the caller's |
//! | 41, 42 | [`State`] |
//! | 43 to 63 | [`Stamp`]: when it was last renewed, or went idle; of a free place, when it was freed |
//!
//! A place that is freed gets a later stamp than it had. So a thread that was held up for long cannot swap its
//! pin into a place that meanwhile has another client: the word that it expects does not come again.

use crate::pin::PinWord;

/// A second, of which the low 21 bits are kept: 24 days, of which half are past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(u32);

const STAMP_MASK: u32 = (1 << 21) - 1;

/// The longest timeout, seconds: a week, which stamps can measure.
pub(super) const MAX_TIMEOUT: u32 = 7 * 86_400;

impl Stamp {
    pub(super) const fn of(seconds: u32) -> Self {
        Self(seconds & STAMP_MASK)
    }

    /// Seconds from this to `now`; 0 if it is not past.
    pub(super) const fn age(self, now: u32) -> u32 {
        let age = now.wrapping_sub(self.0) & STAMP_MASK;
        if age > STAMP_MASK / 2 { 0 } else { age }
    }

    /// The later of `now` and the second after this.
    const fn later(self, now: u32) -> Self {
        if self.age(now) > 0 {
            Self::of(now)
        } else {
            Self::of(self.0.wrapping_add(1))
        }
    }
}

/// What a place's word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No pin: nobody's, or a client's whose choice is not made yet.
    Empty = 0,
    /// A pin, renewed by a flow at the stamp.
    Live = 1,
    /// A pin of which no hand has found a flow in a whole round before the stamp.
    Idle = 2,
    /// Whoever put it into this state is about to free the place.
    Closed = 3,
}

/// The word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value(pub(super) u64);

const STATE: u32 = PinWord::BITS + 1;
const STAMP: u32 = STATE + 2;

impl Value {
    const fn new(pin: PinWord, state: State, stamp: Stamp) -> Self {
        let pin = pin.0 & ((1 << STATE) - 1);
        Self(pin | (state as u64) << STATE | (stamp.0 as u64) << STAMP)
    }

    pub(super) const fn pin(self) -> PinWord {
        PinWord(self.0 & ((1 << STATE) - 1))
    }

    pub(super) const fn state(self) -> State {
        match self.0 >> STATE & 3 {
            0 => State::Empty,
            1 => State::Live,
            2 => State::Idle,
            _ => State::Closed,
        }
    }

    pub(super) const fn stamp(self) -> Stamp {
        Stamp((self.0 >> STAMP) as u32)
    }

    pub(super) const fn has_pin(self) -> bool {
        matches!(self.state(), State::Live | State::Idle)
    }

    /// It has this pin, used now (never earlier than before: threads read their clocks at different times).
    pub(super) const fn used(self, pin: PinWord, now: u32) -> Self {
        let stamp = if self.stamp().age(now) > 0 {
            Stamp::of(now)
        } else {
            self.stamp()
        };
        Self::new(pin, State::Live, stamp)
    }

    /// It has its pin, and nobody uses it, since now.
    pub(super) const fn idle(self, now: u32) -> Self {
        Self::new(self.pin(), State::Idle, Stamp::of(now))
    }

    /// Its place is about to be freed.
    pub(super) const fn closed(self, now: u32) -> Self {
        Self::new(PinWord::NONE, State::Closed, self.stamp().later(now))
    }

    /// Its place is free.
    pub(super) const fn freed(self) -> Self {
        Self::new(PinWord::NONE, State::Empty, self.stamp())
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn a_word_keeps_its_parts_and_a_freed_place_never_shows_an_old_one() {
        let pin = PinWord((1 << 41) - 1);
        let empty = Value(0);
        let live = empty.used(pin, 77);
        assert_eq!((live.pin(), live.state()), (pin, State::Live));
        assert_eq!(live.used(pin, 70), live, "time never goes back");
        let idle = live.idle(90);
        assert_eq!((idle.pin(), idle.state()), (pin, State::Idle));
        let mut seen = vec![empty];
        let mut word = empty;
        for _ in 0..100 {
            word = word.used(pin, 5).closed(5).freed();
            assert!(!seen.contains(&word));
            seen.push(word);
        }
    }

    #[test]
    fn ages_hold_over_the_end_of_the_stamps() {
        let before = Stamp::of(STAMP_MASK - 2);
        assert_eq!(before.age(STAMP_MASK), 2);
        assert_eq!(before.age(STAMP_MASK + 8), 10);
        assert_eq!(before.age(STAMP_MASK - 3), 0, "not past");
        const { assert!(MAX_TIMEOUT < STAMP_MASK / 2) };
    }
}
