//! Whether new flows come so fast that they push each other out before any can prove to be real.
//!
//! Then most of that is work for nothing: an entry that lives for less than a second vouches for nobody. While it goes
//! on like that, of the new flows that find no free place one in sixteen is inserted, another sixteenth every tenth of a second, and the others are
//! forwarded without a pin, as if there were no table: they go where the bucket's memory says, all packets alike. A flow
//! that lasts is pinned within some seconds; those that only come once cost little more than without a table.

use crate::hash::FlowHash;
use crate::time::Tick;
use std::cell::Cell;

/// An evicted flow was young if it was used within so many ticks.
const YOUNG: u32 = Tick::PER_SECOND;
/// So many young ones in a row are a flood.
const RUN: u32 = 256;
/// Of so many new flows one is inserted then.
const ONE_IN: u32 = 16;

/// What one writer's evictions say.
#[derive(Debug, Default)]
pub(crate) struct Flood {
    young: Cell<u32>,
}

impl Flood {
    /// A flow on probation was evicted that had been idle for so many ticks.
    pub(crate) fn evicted(&self, idle: u32) {
        let young = if idle < YOUNG {
            self.young.get().saturating_add(1)
        } else {
            0
        };
        self.young.set(young);
    }

    /// Whether a new flow is to be inserted.
    #[inline]
    pub(crate) fn lets_in(&self, hash: FlowHash, now: Tick) -> bool {
        // Bits that decide neither bucket nor tag.
        let turn = (hash.0 >> 16) as u32 ^ now.0;
        self.young.get() < RUN || turn.is_multiple_of(ONE_IN)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_young_victims_is_a_flood_and_one_old_one_ends_it() {
        let flood = Flood::default();
        let let_in = |now| {
            (0..8000)
                .filter(|n| flood.lets_in(FlowHash(n << 16), Tick(now)))
                .count()
        };
        (1..RUN).for_each(|_| flood.evicted(YOUNG - 1));
        assert_eq!(let_in(1), 8000);
        flood.evicted(0);
        assert_eq!(let_in(1), 500);
        flood.evicted(YOUNG);
        assert_eq!(let_in(1), 8000);
    }

    #[test]
    fn a_flow_that_lasts_gets_its_turn() {
        let flood = Flood::default();
        (0..RUN).for_each(|_| flood.evicted(0));
        for n in 0..1000 {
            let turns = (0..16).filter(|tick| flood.lets_in(FlowHash(n << 16), Tick(*tick)));
            assert_eq!(turns.count(), 1);
        }
    }
}
