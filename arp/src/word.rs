//! The neighbour's atomic word: all that a worker needs to send, in 64 bits.
//!
//! Layout, high to low: MAC (48 bits), state (4), generation (12). One load gives a MAC and a
//! state that belong together, and a generation that tells a reused slot from the old one.

use crate::Mac;

/// A neighbour's slot in the table. Stable while it is reserved; another neighbour may get the
/// slot of one that is not, and then the word's generation differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NeighIdx(pub u32);

/// Where a neighbour is in its life. RFC 4861 §7.3.2, with FreeBSD's "failed" made a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum NeighState {
    /// The slot belongs to nobody.
    Free = 0,
    /// Asked for, never answered: packets wait.
    Incomplete = 1,
    /// Answered our question, lately.
    Reachable = 2,
    /// We know a MAC that it did not give in answer to us: usable, verified on first use.
    Stale = 3,
    /// Usable, and being asked again.
    Probe = 4,
    /// Did not answer: packets for it are unreachable.
    Failed = 5,
    /// Set by the operator; never asked, never changed by what is heard.
    Permanent = 6,
}

impl NeighState {
    /// Whether packets may be sent to a neighbour in this state.
    #[must_use]
    pub const fn usable(self) -> bool {
        matches!(
            self,
            Self::Reachable | Self::Stale | Self::Probe | Self::Permanent
        )
    }

    const fn from_bits(bits: u64) -> Self {
        match bits & 0xf {
            1 => Self::Incomplete,
            2 => Self::Reachable,
            3 => Self::Stale,
            4 => Self::Probe,
            5 => Self::Failed,
            6 => Self::Permanent,
            _ => Self::Free,
        }
    }
}

/// {MAC, state, small generation}: what workers load, once, to send to a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighWord(u64);

impl NeighWord {
    /// The largest generation; the next one is 0 again.
    pub const MAX_GENERATION: u16 = 0xfff;

    /// Packs a word. Only the low 12 bits of `generation` count.
    #[must_use]
    pub const fn new(mac: Mac, state: NeighState, generation: u16) -> Self {
        let generation = (generation & Self::MAX_GENERATION) as u64;
        Self(mac.to_bits() << 16 | (state as u64) << 12 | generation)
    }

    /// The link address; zero as long as none is known.
    #[must_use]
    pub const fn mac(self) -> Mac {
        Mac::from_bits(self.0 >> 16)
    }

    /// The same as a number, see [`Mac::to_bits`].
    #[must_use]
    #[inline]
    pub const fn mac_bits(self) -> u64 {
        self.0 >> 16
    }

    /// The state that goes with that MAC.
    #[must_use]
    pub const fn state(self) -> NeighState {
        NeighState::from_bits(self.0 >> 12)
    }

    /// Whether packets may be sent to [`mac`](Self::mac): reachable, stale, probe or permanent.
    #[must_use]
    pub const fn usable(self) -> bool {
        self.state().usable()
    }

    /// Differs from the slot's former neighbour's (modulo 4096).
    #[must_use]
    pub const fn generation(self) -> u16 {
        (self.0 & Self::MAX_GENERATION as u64) as u16
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_gives_back_what_was_packed() {
        let states = [
            (NeighState::Free, false),
            (NeighState::Incomplete, false),
            (NeighState::Reachable, true),
            (NeighState::Stale, true),
            (NeighState::Probe, true),
            (NeighState::Failed, false),
            (NeighState::Permanent, true),
        ];
        for (state, usable) in states {
            for mac in [Mac::ZERO, Mac::BROADCAST, Mac([2, 1, 2, 3, 4, 5])] {
                let word = NeighWord::new(mac, state, 0xabc);
                assert_eq!(
                    (word.mac(), word.state(), word.generation()),
                    (mac, state, 0xabc)
                );
                assert_eq!(word.usable(), usable, "{state:?}");
            }
        }
        assert_eq!(
            NeighWord::new(Mac::ZERO, NeighState::Free, 0x1001).generation(),
            1
        );
    }
}
