//! The one clock reading of a burst, in the units that the tables use.

use flowtable::Tick;
use route::Secs;

/// Milliseconds since the gateway started. Handed in; the core never asks a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now(pub u64);

/// Neither seconds nor ticks start at 0, so that "never" can be told from "at the start".
const ORIGIN_SECS: u64 = 1;

impl Now {
    /// The flow table's coarse time.
    pub fn tick(self) -> Tick {
        Tick(((self.0 / 100) + ORIGIN_SECS * 10) as u32)
    }

    /// The route tables' coarse time.
    pub fn secs(self) -> Secs {
        Secs((self.0 / 1000 + ORIGIN_SECS) as u32)
    }

    /// Whole seconds until then: never more than [`Now::deadline`] was asked for.
    pub fn left(self, until: Secs) -> u32 {
        let by = Self(self.0.next_multiple_of(1000)).secs();
        until.0.saturating_sub(by.0)
    }

    /// The first whole second that is not before `seconds` have passed; now, if that is none.
    pub fn deadline(self, seconds: u32) -> Secs {
        let ends = if seconds == 0 {
            self
        } else {
            Self(self.0.next_multiple_of(1000))
        };
        ends.secs().after(seconds)
    }
}
