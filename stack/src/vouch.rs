//! What vouches for a pin: the stamp that was read before its route was looked up, and whether the next hop stood in
//! for a dead one then.
//!
//! Both are one word of the flow table, which knows nothing of either. The stamp gives its highest bit for that:
//! 2^31 changes near a destination, exactly, between two packets of a flow would be needed for one to be missed.

/// The word beside a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vouch(u32);

const STANDS_IN: u32 = 1 << 31;

impl Vouch {
    pub(crate) const fn new(stamp: u32, stands_in: bool) -> Self {
        Self(stamp & !STANDS_IN | if stands_in { STANDS_IN } else { 0 })
    }

    pub(crate) const fn from_word(word: u32) -> Self {
        Self(word)
    }

    pub(crate) const fn word(self) -> u32 {
        self.0
    }

    /// Whether nothing has changed near the destination since.
    #[inline]
    pub(crate) const fn holds(self, stamp: u32) -> bool {
        (self.0 ^ stamp) & !STANDS_IN == 0
    }

    /// Whether the flow goes back once its own next hop is back.
    pub(crate) const fn stands_in(self) -> bool {
        self.0 & STANDS_IN != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_gives_back_the_stamp_and_the_mark() {
        for stamp in [0, 1, 7, u32::MAX >> 1, u32::MAX] {
            for stands_in in [false, true] {
                let vouch = Vouch::from_word(Vouch::new(stamp, stands_in).word());
                assert_eq!(vouch.stands_in(), stands_in);
                assert!(vouch.holds(stamp) && !vouch.holds(stamp.wrapping_add(1)));
            }
        }
    }
}
