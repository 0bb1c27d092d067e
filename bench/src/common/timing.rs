//! How long a piece of work takes, again and again.

use crate::clock;
use std::time::Duration;

/// Time that pieces of work took, all together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spent {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// How many pieces.
    pub(crate) pieces: u64,
}

impl Spent {
    /// What passes for a piece, ns.
    pub(crate) fn ns(&self) -> f64 {
        self.wall.as_secs_f64() * 1e9 / self.pieces as f64
    }

    /// What a piece takes of CPU time, ns.
    pub(crate) fn cpu_ns(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e9 / self.pieces as f64
    }

    /// Share of the time in which the thread had a CPU.
    pub(crate) fn share(&self) -> f64 {
        self.cpu.as_secs_f64() / self.wall.as_secs_f64()
    }

    /// More of the same.
    pub(crate) fn add(&mut self, other: &Self) {
        self.wall += other.wall;
        self.cpu += other.cpu;
        self.pieces += other.pieces;
    }

    /// Does `work`, which says how many pieces it was, and adds its time.
    pub(crate) fn on(&mut self, work: impl FnOnce() -> u64) {
        let (began, cpu) = (clock::now(), clock::thread_cpu());
        self.pieces += work();
        self.wall += began.elapsed();
        self.cpu += clock::thread_cpu().saturating_sub(cpu);
    }
}

/// Does `work` until `least` has passed, at least once.
pub(crate) fn repeat(least: Duration, mut work: impl FnMut() -> u64) -> Spent {
    let mut all = Spent::default();
    all.on(|| {
        let (began, mut pieces) = (clock::now(), 0);
        while pieces == 0 || began.elapsed() < least {
            pieces += work();
        }
        pieces
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_shared_out_over_the_pieces() {
        let spent = Spent {
            wall: Duration::from_micros(4),
            cpu: Duration::from_micros(2),
            pieces: 8,
        };
        assert_eq!(
            (spent.ns(), spent.cpu_ns(), spent.share()),
            (500.0, 250.0, 0.5)
        );
    }

    #[test]
    fn work_is_done_once_at_least_and_its_pieces_are_counted() {
        let mut calls = 0;
        let spent = repeat(Duration::ZERO, || {
            calls += 1;
            10
        });
        assert_eq!((spent.pieces, calls), (10, 1));
    }
}
