//! A hierarchical timer wheel (Varghese and Lauck): four levels of 64 slots, a list in each slot.
//!
//! A timer that fires within 64 ms lies in the slot of its millisecond; a later one in a slot of a coarser level, whose
//! timers are moved down when its turn comes.

use super::{NOBODY, Timers};

const LEVELS: u32 = 4;
const BITS: u32 = 6;
const SLOTS: u32 = 1 << BITS;

/// A flow's timer. Not in the wheel: `at` is 0.
#[derive(Clone, Copy)]
struct Node {
    at: u32,
    prev: u32,
    next: u32,
    /// The slot whose list it is in.
    slot: u32,
}

/// The wheel.
pub(super) struct Wheel {
    nodes: Vec<Node>,
    /// The first of each slot's list, level by level.
    heads: Vec<u32>,
    now: u32,
}

impl Wheel {
    /// Of this many flows; none is armed. It is time 0.
    pub(super) fn new(flows: usize) -> Self {
        let idle = Node {
            at: 0,
            prev: NOBODY,
            next: NOBODY,
            slot: 0,
        };
        Self {
            nodes: vec![idle; flows],
            heads: vec![NOBODY; (LEVELS * SLOTS) as usize],
            now: 0,
        }
    }

    /// Where a timer that fires at `at` lies now.
    fn slot(&self, at: u32) -> u32 {
        let differs = (at ^ self.now).max(1);
        let level = ((31 - differs.leading_zeros()) / BITS).min(LEVELS - 1);
        level * SLOTS + (at >> (level * BITS)) % SLOTS
    }

    fn link(&mut self, flow: u32, at: u32) {
        let slot = self.slot(at);
        let next = self.heads[slot as usize];
        self.nodes[flow as usize] = Node {
            at,
            prev: NOBODY,
            next,
            slot,
        };
        if next != NOBODY {
            self.nodes[next as usize].prev = flow;
        }
        self.heads[slot as usize] = flow;
    }

    fn unlink(&mut self, flow: u32) {
        let Node {
            prev, next, slot, ..
        } = self.nodes[flow as usize];
        match prev {
            NOBODY => self.heads[slot as usize] = next,
            prev => self.nodes[prev as usize].next = next,
        }
        if next != NOBODY {
            self.nodes[next as usize].prev = prev;
        }
        self.nodes[flow as usize].at = 0;
    }

    /// One millisecond more.
    fn step(&mut self) -> usize {
        self.now += 1;
        for level in (1..LEVELS).rev() {
            if self.now.is_multiple_of(1 << (level * BITS)) {
                self.move_down(level * SLOTS + (self.now >> (level * BITS)) % SLOTS);
            }
        }
        let mut fired = 0;
        let slot = (self.now % SLOTS) as usize;
        while self.heads[slot] != NOBODY {
            self.unlink(self.heads[slot]);
            fired += 1;
        }
        fired
    }

    /// The timers of a slot whose turn has come.
    fn move_down(&mut self, slot: u32) {
        let mut flow = std::mem::replace(&mut self.heads[slot as usize], NOBODY);
        while flow != NOBODY {
            let Node { at, next, .. } = self.nodes[flow as usize];
            self.link(flow, at);
            flow = next;
        }
    }
}

impl Timers for Wheel {
    fn arm(&mut self, flow: u32, at: u32) {
        match self.nodes[flow as usize].at {
            old if old == at => return,
            0 => {}
            _ => self.unlink(flow),
        }
        self.link(flow, at);
    }

    fn advance(&mut self, now: u32) -> usize {
        let mut fired = 0;
        while self.now < now {
            fired += self.step();
        }
        fired
    }
}
