//! The gateway, polled by hand through the captures' time.

use super::AllPlayed;
use stack::Gateway;
use stack::Now;
use stack::io::Queue;
use stack::io::pcap::PlayTime;
use stack::io::pcap::Played;
use stack::io::poll::Clock;
use stack::io::poll::Poller;
use std::sync::PoisonError;

/// Virtual time before the first record, in which next hops are asked for, and after the last, in which what waits leaves;
/// ms.
const BEFORE_MS: u64 = 2_000;
const AFTER_MS: u64 = 2_000;
/// Timers of workers are served at least so often, ms.
const IDLE_MS: u64 = 100;
/// So long after a record time goes by the timers, ms; where nothing comes for longer, in strides of a part of the silence so
/// far, so that a gap of years takes no longer than one of hours.
const EXACT_MS: u64 = 1_800_000;
const STRIDE_PART: u64 = 64;
/// So long before the next record it goes by the timers again, ms: what they had to do is done by then.
const AGAIN_MS: u64 = 120_000;
/// Bursts at one moment, at most: a gateway that never comes to rest does not hold the play up.
const BURSTS: usize = 10_000;

const MS: u64 = 1_000_000;

/// A play.
pub(super) struct Player {
    pub(super) gateway: Gateway,
    queues: Vec<Box<dyn Queue>>,
    pub(super) played: AllPlayed,
    time: PlayTime,
    now: u64,
    /// What was gone through in strides, ms.
    strided: u64,
    /// When the first record was captured, ns since 1970.
    base_ns: u64,
    /// The clock by which records wait for their time.
    real: Option<Clock>,
    poller: Poller,
}

impl Player {
    pub(super) fn new(
        gateway: Gateway,
        queues: Vec<Box<dyn Queue>>,
        played: AllPlayed,
        time: PlayTime,
        realtime: bool,
    ) -> Self {
        Self {
            gateway,
            queues,
            played,
            time,
            now: 0,
            strided: 0,
            base_ns: 0,
            real: realtime.then(Clock::start),
            poller: Poller::new(),
        }
    }

    /// What became of each port's records.
    pub(super) fn outcome(&self) -> Vec<Played> {
        let lock = |played: &std::sync::Arc<std::sync::Mutex<Played>>| {
            let played = played.lock().unwrap_or_else(PoisonError::into_inner);
            played.clone()
        };
        self.played.iter().map(lock).collect()
    }

    /// Virtual time since the first record, ms.
    pub(super) fn lasted_ms(&self) -> u64 {
        self.now.saturating_sub(BEFORE_MS + AFTER_MS)
    }

    /// Of that, what was gone through in strides as nothing came, ms.
    pub(super) fn strided_ms(&self) -> u64 {
        self.strided
    }

    /// Plays everything.
    pub(super) fn play(&mut self) {
        self.base_ns = self.next_ns().unwrap_or(BEFORE_MS * MS);
        self.go_to(BEFORE_MS);
        let began = self.real.map_or(0, |clock| clock.us());
        while let Some(ns) = self.next_ns() {
            let since = ns.saturating_sub(self.base_ns);
            self.wait(began + since / 1000);
            let at = BEFORE_MS + since / MS;
            if at > self.now {
                self.go_to(at);
            }
            self.time.set(ns);
            self.burst();
        }
        self.go_to(self.now + AFTER_MS);
    }

    fn next_ns(&self) -> Option<u64> {
        let next = self.played.iter().filter_map(|played| {
            let played = played.lock().unwrap_or_else(PoisonError::into_inner);
            played.next_ns
        });
        next.min()
    }

    /// Sleeps until a moment of the real clock, if the play goes by that.
    fn wait(&mut self, until_us: u64) {
        while let Some(left) = self
            .real
            .and_then(|clock| until_us.checked_sub(clock.us()))
            .filter(|left| *left > 0)
        {
            // Nothing to poll: it only sleeps, to the millisecond.
            let _ = self.poller.wait_each([], Some(left.div_ceil(1000)));
        }
    }

    /// Runs timers up to a moment, and all that happens at it.
    fn go_to(&mut self, end: u64) {
        let from = self.now;
        loop {
            self.set_time();
            self.settle();
            if self.now >= end {
                return;
            }
            let stride = stride(self.now - from, end - self.now);
            self.strided += stride;
            let host = self.gateway.host.deadline_ms();
            let next = match stride {
                0 => host.min(self.now + IDLE_MS),
                _ => self.now + stride,
            };
            self.now = next.clamp(self.now + 1, end);
        }
    }

    fn set_time(&mut self) {
        let ns = self.now.saturating_mul(MS).saturating_add(self.base_ns);
        let ns = ns.saturating_sub(BEFORE_MS * MS);
        // A record that is due comes by its own step.
        self.time.set(
            ns.min(
                self.next_ns()
                    .map_or(u64::MAX, |next| next.saturating_sub(1)),
            ),
        );
        self.gateway.host.set_micros(self.now * 1000);
    }

    /// Everything at the present moment, until nothing moves.
    fn settle(&mut self) {
        let now = Now(self.now);
        for worker in &mut self.gateway.workers {
            worker.idle(now);
        }
        for _ in 0..BURSTS {
            let mut work = self.poll_workers();
            work += self.gateway.host.poll(now);
            let Gateway { control, host, .. } = &mut self.gateway;
            control.tick(host, now);
            if work == 0 {
                return;
            }
        }
    }

    /// A record's burst; the others only if it gave them something to do.
    fn burst(&mut self) {
        while self.poll_workers() > 0 {}
        if self.gateway.host.poll(Now(self.now)) > 0 {
            self.settle();
        }
    }

    fn poll_workers(&mut self) -> usize {
        let (now, queues) = (Now(self.now), &mut self.queues);
        let workers = self.gateway.workers.iter_mut();
        workers.map(|worker| worker.poll(now, queues)).sum()
    }
}

/// How far time goes at once in a silence that has lasted for `quiet` ms and lasts for `left` more; 0: by the timers.
fn stride(quiet: u64, left: u64) -> u64 {
    match left.checked_sub(AGAIN_MS) {
        Some(left) if quiet >= EXACT_MS => left.min(quiet / STRIDE_PART),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of a gap that are strides, and how long what is left is.
    fn strides(gap: u64) -> (u32, u64) {
        let (mut at, mut steps) = (EXACT_MS, 0);
        loop {
            match stride(at, gap - at) {
                0 => return (steps, gap - at),
                by => (at, steps) = (at + by, steps + 1),
            }
        }
    }

    #[test]
    fn a_long_silence_is_gone_through_in_few_strides_and_its_ends_are_not() {
        assert_eq!(stride(EXACT_MS - 1, u64::MAX / 2), 0);
        assert_eq!(stride(u64::MAX / 2, AGAIN_MS), 0);
        assert_eq!(strides(EXACT_MS + AGAIN_MS), (0, AGAIN_MS));
        let day = 86_400_000;
        for (gap, most) in [(day, 400), (400 * day, 800), (30_000 * day, 1200)] {
            let (steps, left) = strides(gap);
            assert!((1..most).contains(&steps), "{gap}: {steps}");
            assert_eq!(left, AGAIN_MS);
        }
    }
}
