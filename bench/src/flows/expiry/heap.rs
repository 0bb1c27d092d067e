//! A binary heap: the next to fire is at its top, and every flow knows its timer's place.

use super::{NOBODY, Timers};

/// The heap.
pub(super) struct Heap {
    /// When, and whose; no timer is due before the one at half its place.
    timers: Vec<(u32, u32)>,
    /// Each flow's place.
    places: Vec<u32>,
}

impl Heap {
    /// Of this many flows; none is armed.
    pub(super) fn new(flows: usize) -> Self {
        Self {
            timers: Vec::with_capacity(flows),
            places: vec![NOBODY; flows],
        }
    }

    fn put(&mut self, place: usize, timer: (u32, u32)) {
        self.timers[place] = timer;
        self.places[timer.1 as usize] = place as u32;
    }

    /// Moves what is at `place` to where it belongs.
    fn settle(&mut self, mut place: usize) {
        let timer = self.timers[place];
        while place > 0 && timer.0 < self.timers[(place - 1) / 2].0 {
            self.put(place, self.timers[(place - 1) / 2]);
            place = (place - 1) / 2;
        }
        loop {
            let children = 2 * place + 1..(2 * place + 3).min(self.timers.len());
            let Some(least) = children.min_by_key(|child| self.timers[*child].0) else {
                break;
            };
            if timer.0 <= self.timers[least].0 {
                break;
            }
            self.put(place, self.timers[least]);
            place = least;
        }
        self.put(place, timer);
    }

    /// Takes the first away.
    fn pop(&mut self) {
        let Some(last) = self.timers.pop() else {
            return;
        };
        match self.timers.first() {
            None => self.places[last.1 as usize] = NOBODY,
            Some(first) => {
                self.places[first.1 as usize] = NOBODY;
                self.timers[0] = last;
                self.settle(0);
            }
        }
    }
}

impl Timers for Heap {
    fn arm(&mut self, flow: u32, at: u32) {
        let place = match self.places[flow as usize] {
            NOBODY => {
                self.timers.push((at, flow));
                self.timers.len() - 1
            }
            place if self.timers[place as usize].0 == at => return,
            place => place as usize,
        };
        self.timers[place].0 = at;
        self.settle(place);
    }

    fn advance(&mut self, now: u32) -> usize {
        let mut fired = 0;
        while self.timers.first().is_some_and(|first| first.0 <= now) {
            self.pop();
            fired += 1;
        }
        fired
    }
}
