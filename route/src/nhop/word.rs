//! The word of a next hop's slot, and what it means for a pin.

use super::{Admin, Health};
use crate::ids::{NhopGen, PIN_FIELD_BITS, Pin};

const ADMIN_SHIFT: u32 = PIN_FIELD_BITS;
const HEALTH_SHIFT: u32 = ADMIN_SHIFT + 2;

/// Generation, administrative state and health of a slot: one word, written by control alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NhopWord(pub(super) u64);

/// What a next hop's word says of a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinState {
    /// The next hop is up, returning or draining: the flow stays.
    Live,
    /// The generation differs: that next hop no longer exists.
    Gone,
    /// It cannot be reached.
    Dead,
    /// Its drain is over.
    Drained,
}

impl NhopWord {
    /// Puts a word together.
    pub const fn new(generation: NhopGen, admin: Admin, health: Health) -> Self {
        let admin = match admin {
            Admin::In => 0,
            Admin::Draining => 1,
            Admin::Drained => 2,
        };
        let health = match health {
            Health::Up => 0,
            Health::Dead => 1,
            Health::Returning => 2,
        };
        let generation = Pin::new(crate::ids::NhopIdx::NONE, generation).raw() >> PIN_FIELD_BITS;
        Self(generation | admin << ADMIN_SHIFT | health << HEALTH_SHIFT)
    }

    /// The slot's generation.
    pub const fn generation(self) -> NhopGen {
        NhopGen(self.0 as u32 & NhopGen::MAX.0)
    }

    /// What the operator wants.
    pub const fn admin(self) -> Admin {
        match (self.0 >> ADMIN_SHIFT) & 3 {
            0 => Admin::In,
            1 => Admin::Draining,
            _ => Admin::Drained,
        }
    }

    /// Whether it can be reached.
    pub const fn health(self) -> Health {
        match (self.0 >> HEALTH_SHIFT) & 3 {
            0 => Health::Up,
            1 => Health::Dead,
            _ => Health::Returning,
        }
    }

    /// What this word, read from the pin's slot, says of the pin.
    #[inline]
    pub const fn judge(self, pin: Pin) -> PinState {
        let pinned = pin.generation().0;
        if pinned == 0 || self.generation().0 != pinned {
            return PinState::Gone;
        }
        match (self.health(), self.admin()) {
            (Health::Dead, _) => PinState::Dead,
            (_, Admin::Drained) => PinState::Drained,
            _ => PinState::Live,
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::ids::NhopIdx;

    #[test]
    fn a_word_gives_back_its_parts_and_judges_by_them() {
        for admin in [Admin::In, Admin::Draining, Admin::Drained] {
            for health in [Health::Up, Health::Dead, Health::Returning] {
                for generation in [NhopGen::FIRST, NhopGen(77), NhopGen::MAX] {
                    let word = NhopWord::new(generation, admin, health);
                    assert_eq!(
                        (word.generation(), word.admin(), word.health()),
                        (generation, admin, health)
                    );
                    let expected = match (health, admin) {
                        (Health::Dead, _) => PinState::Dead,
                        (_, Admin::Drained) => PinState::Drained,
                        _ => PinState::Live,
                    };
                    assert_eq!(word.judge(Pin::new(NhopIdx(3), generation)), expected);
                    let other = NhopGen(generation.0 ^ 1);
                    assert_eq!(word.judge(Pin::new(NhopIdx(3), other)), PinState::Gone);
                }
            }
        }
    }

    #[test]
    fn no_pin_is_never_live() {
        let empty = NhopWord::new(NhopGen(0), Admin::In, Health::Up);
        assert_eq!(empty.judge(Pin::NONE), PinState::Gone);
    }
}
