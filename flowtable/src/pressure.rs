//! Lifetimes under pressure (design section 5): the fuller a slot's sub-table, the sooner flows go that have
//! not proved to be real on both sides.
//!
//! Up to four fifths full a flow lives for its state's idle timeout. From there to full, the lifetimes of
//! probation and one-way flows shrink in proportion to the room left, down to a floor. Those of two-way flows do
//! so only once their connection is over: who opens and closes many really, one after the other, holds no more than the
//! seconds in which something late may come.

use crate::state::{Class, State};
use crate::time::Tick;

/// Pressure starts when less than one part in this many is free.
const ROOM_PARTS: u64 = 5;

/// Ticks that a flow lives idle at least, whatever the pressure.
const PROBATION_FLOOR: u32 = Tick::PER_SECOND;
const ONE_WAY_FLOOR: u32 = 30 * Tick::PER_SECOND;
const OVER_FLOOR: u32 = 3 * Tick::PER_SECOND;
/// Ticks for which a pin that nobody could choose again is safe (design section 4, pin debt).
pub(crate) const DEBT_SAFE: u32 = 3 * Tick::PER_SECOND;

/// How full a slot's sub-table is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fill {
    pub(crate) used: u32,
    pub(crate) capacity: usize,
}

impl Fill {
    /// Whether lifetimes shrink, and networks are held to their share.
    #[inline]
    pub(crate) fn presses(self) -> bool {
        let capacity = self.capacity as u64;
        capacity.saturating_sub(u64::from(self.used)) * ROOM_PARTS < capacity
    }

    /// Whether less than one place in 64 is free.
    #[inline]
    pub(crate) fn is_brim(self) -> bool {
        let free = (self.capacity as u64).saturating_sub(u64::from(self.used));
        free * 64 < self.capacity as u64
    }

    /// Ticks that an idle flow of this class and state lives, of the `full` ticks of its state's timeout.
    pub(crate) fn lifetime(self, full: u32, class: Class, state: State, debt: bool) -> u32 {
        let floor = match class {
            Class::Probation if debt => DEBT_SAFE,
            Class::Probation => PROBATION_FLOOR,
            _ if state.is_over() => OVER_FLOOR,
            Class::OneWay => ONE_WAY_FLOOR,
            Class::TwoWay => full,
        };
        let capacity = self.capacity as u64;
        if !self.presses() {
            return full;
        }
        let room = capacity.saturating_sub(u64::from(self.used)) * ROOM_PARTS;
        let shrunk = u64::from(full) * room / capacity;
        (shrunk as u32).max(floor.min(full))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: State = State::Established;

    fn at(used: u32) -> Fill {
        Fill {
            used,
            capacity: 1000,
        }
    }

    #[test]
    fn nothing_shrinks_up_to_four_fifths() {
        for class in Class::ALL {
            assert_eq!(at(0).lifetime(3000, class, OPEN, false), 3000);
            assert_eq!(at(800).lifetime(3000, class, OPEN, false), 3000);
        }
    }

    #[test]
    fn lifetimes_shrink_with_the_room_left_but_not_below_their_floor() {
        assert_eq!(at(900).lifetime(3000, Class::Probation, OPEN, false), 1500);
        assert_eq!(at(990).lifetime(3000, Class::OneWay, OPEN, false), 300);
        assert_eq!(
            at(1000).lifetime(3000, Class::OneWay, OPEN, false),
            ONE_WAY_FLOOR
        );
        assert_eq!(
            at(1000).lifetime(3000, Class::Probation, OPEN, false),
            PROBATION_FLOOR
        );
        assert_eq!(
            at(1000).lifetime(3000, Class::Probation, OPEN, true),
            DEBT_SAFE
        );
        assert_eq!(at(1000).lifetime(5, Class::OneWay, OPEN, false), 5);
    }

    #[test]
    fn a_connection_that_is_over_lasts_as_long_as_something_late_may_come() {
        for class in [Class::OneWay, Class::TwoWay] {
            for state in [State::Closed, State::Reset] {
                assert_eq!(at(800).lifetime(600, class, state, false), 600);
                assert_eq!(at(900).lifetime(600, class, state, false), 300);
                assert_eq!(at(1000).lifetime(600, class, state, false), OVER_FLOOR);
            }
        }
        let half = at(1000).lifetime(600, Class::TwoWay, State::FinWait, false);
        assert_eq!(half, 600, "one side may still send");
    }

    #[test]
    fn two_way_flows_never_shrink() {
        assert_eq!(
            at(1000).lifetime(74_400, Class::TwoWay, OPEN, false),
            74_400
        );
    }
}
