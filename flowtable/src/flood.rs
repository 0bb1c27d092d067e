//! Whether new flows come so fast that they push each other out before any can prove to be real.
//!
//! Then most of that is work for nothing: an entry that lives for a second vouches for nobody. So victims vote, 256 at a
//! time: if most had been idle for less than [`YOUNG`], only half as many new flows may push others out from then on,
//! down to one in [`MOST`]; if few, twice as many, and twice as many also for every second without such a vote. Whose turn
//! it is changes every tenth of a second, so a flow that lasts is pinned within seconds. The others are forwarded without
//! a pin, as if there were no table: they go where the bucket's memory says, all packets alike.
//!
//! One that is turned away costs what a lookup costs: its loss is not noted at its bucket but once for its slot.

use crate::hash::FlowHash;
use crate::time::Tick;
use std::cell::Cell;

/// An evicted flow was young if it was used within so many ticks: the time in which an honest one proves itself.
const YOUNG: u32 = 2 * Tick::PER_SECOND;
/// Victims of a vote.
const VOTES: u32 = 256;
/// Of so many new flows one is inserted at the least; a power of two.
const MOST: u32 = 64;

/// What one writer's evictions say.
#[derive(Debug)]
pub(crate) struct Flood {
    /// Of so many new flows one is inserted, a power of two.
    one_in: Cell<u32>,
    /// Victims since the last vote, and how many of them were young.
    votes: Cell<(u32, u32)>,
    /// The last vote, or what made up for one.
    voted: Cell<Tick>,
    /// The time that was last told.
    now: Cell<Tick>,
}

impl Default for Flood {
    fn default() -> Self {
        Self {
            one_in: Cell::new(1),
            votes: Cell::default(),
            voted: Cell::new(Tick(0)),
            now: Cell::new(Tick(0)),
        }
    }
}

impl Flood {
    /// A flow on probation was evicted that had been idle for so many ticks.
    #[inline]
    pub(crate) fn evicted(&self, idle: u32, now: Tick) {
        let (all, young) = self.votes.get();
        let (all, young) = (all + 1, young + u32::from(idle < YOUNG));
        if all < VOTES {
            return self.votes.set((all, young));
        }
        self.votes.set((0, 0));
        self.voted.set(now);
        let one_in = self.one_in.get();
        if young > VOTES / 4 * 3 {
            self.one_in.set((one_in * 2).min(MOST));
        } else if young < VOTES / 4 {
            self.one_in.set((one_in / 2).max(1));
        }
    }

    /// It is now so late.
    #[inline]
    pub(crate) fn pass_to(&self, now: Tick) {
        self.now.set(now);
        let seconds = now.since(self.voted.get()) / Tick::PER_SECOND;
        if self.one_in.get() > 1 && seconds > 0 {
            self.voted.set(now);
            self.one_in
                .set((self.one_in.get() >> seconds.min(31)).max(1));
        }
    }

    /// Whether a new flow may push another out, at the time that was last told.
    #[inline]
    pub(crate) fn lets_in(&self, hash: FlowHash) -> bool {
        // Bits that decide neither bucket nor tag.
        let turn = (hash.0 >> 16) as u32 ^ self.now.get().0;
        turn & (self.one_in.get() - 1) == 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn let_in(flood: &Flood, now: u32) -> usize {
        flood.pass_to(Tick(now));
        let lets_in = |n: &u64| flood.lets_in(FlowHash(*n << 16));
        (0..6400).filter(lets_in).count()
    }

    fn vote(flood: &Flood, young: u32, now: u32) {
        (0..VOTES).for_each(|n| flood.evicted(if n < young { 0 } else { YOUNG }, Tick(now)));
    }

    #[test]
    fn young_victims_let_in_half_as_many_and_old_ones_twice() {
        let flood = Flood::default();
        assert_eq!(let_in(&flood, 1), 6400);
        for want in [3200, 1600, 800, 400, 200, 100, 100] {
            vote(&flood, VOTES, 1);
            assert_eq!(let_in(&flood, 1), want);
        }
        vote(&flood, VOTES / 2, 1);
        assert_eq!(let_in(&flood, 1), 100, "neither most nor few");
        vote(&flood, 0, 1);
        assert_eq!(let_in(&flood, 1), 200);
    }

    #[test]
    fn without_victims_a_flood_is_over_within_seconds() {
        let flood = Flood::default();
        (0..6).for_each(|_| vote(&flood, VOTES, 1));
        assert_eq!(let_in(&flood, 10), 100);
        for (second, want) in [
            (1, 200),
            (2, 400),
            (3, 800),
            (4, 1600),
            (5, 3200),
            (6, 6400),
        ] {
            assert_eq!(let_in(&flood, 1 + 10 * second), want);
        }
        (0..6).for_each(|_| vote(&flood, VOTES, 100));
        assert_eq!(let_in(&flood, 160), 6400, "in one step");
    }

    #[test]
    fn a_flow_that_lasts_gets_its_turn() {
        let flood = Flood::default();
        (0..6).for_each(|_| vote(&flood, VOTES, 0));
        for n in 0..1000 {
            // One vote after the other, so that it stays as it is.
            let turn = |tick| {
                vote(&flood, VOTES / 2, tick);
                flood.pass_to(Tick(tick));
                flood.lets_in(FlowHash(n << 16))
            };
            assert_eq!((0..64).filter(|tick| turn(*tick)).count(), 1);
        }
    }
}
