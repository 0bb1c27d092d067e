//! A worker that has nothing to do: what it does meanwhile, how long it sleeps, and what wakes it.

use super::Worker;
use crate::time::Now;

/// Buckets that the hand visits when idle.
const SWEEP_IDLE: usize = 342;

/// Buckets that the other hand visits when idle, and while there are affinity templates.
const VISIT_IDLE: usize = 3;
const VISIT_IDLE_STICKY: usize = 86;

/// How often an idle worker with entries wakes to sweep, ms: waking costs more than the sweep.
const IDLE_SWEEP_MS: u64 = 1000;

/// In how many pieces it then does so, with a look at its queues after each.
const IDLE_PIECES: u8 = 10;

impl Worker {
    /// Work for a worker that found nothing to do: the hands go on, a piece a call, some pieces a second.
    pub fn idle(&mut self, now: Now) {
        if now.0 >= self.idle_at {
            self.idle_at = now.0 + IDLE_SWEEP_MS;
            self.idle_left = IDLE_PIECES;
        }
        if let Some(left) = self.idle_left.checked_sub(1) {
            self.idle_left = left;
            self.path.sweep_paced(SWEEP_IDLE, now);
            self.path.recount(SWEEP_IDLE);
            let buckets = if self.path.has_templates() {
                VISIT_IDLE_STICKY
            } else {
                VISIT_IDLE
            };
            self.path.visit(buckets, now);
        }
    }

    /// How long the worker may sleep, in ms; `None` until something wakes it.
    pub fn timeout_ms(&self, now: Now) -> Option<u64> {
        let sweep = (!self.path.is_empty()).then_some(match self.idle_left {
            0 => self.idle_at.saturating_sub(now.0).max(1),
            _ => 0,
        });
        let waiting = self
            .waiting
            .next_deadline()
            .map(|at| at.saturating_sub(now.0).max(1));
        let pieces = self
            .collector
            .next_deadline()
            .map(|at| at.saturating_sub(now.0).max(1));
        let flush = self.flushing.is_some().then_some(0);
        [sweep, waiting, pieces, flush].into_iter().flatten().min()
    }

    /// Tells everyone that this worker holds nothing shared while it sleeps.
    pub fn going_to_sleep(&mut self) {
        self.counters.sleeps.bump();
        self.qsbr.offline();
    }

    /// It woke up, after so many milliseconds.
    pub fn woke(&mut self, slept_ms: u64) {
        self.counters.slept_ms.add(slept_ms);
        self.qsbr.online();
    }

    /// Whether somebody wants something of this worker: asked between announcing sleep and sleeping.
    pub fn has_mail(&self) -> bool {
        !self.links.mailbox.is_empty()
            || self.roll.called() != self.answered
            || self.moving.follow.has_news()
            || self.links.host_tx.waiting() > 0
            || self
                .links
                .from
                .iter()
                .flatten()
                .any(|link| link.waiting() > 0)
    }
}
