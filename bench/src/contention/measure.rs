//! One point: a way, a number of threads, how many packets a second they resolve together.
//!
//! Threads are pinned, start together behind a barrier, warm up, are measured and stop on a word that
//! the main thread stores. Each thread measures its own time with its own clock reads and counts whole
//! bursts, so a thread that starts late or is displaced counts neither time nor packets that it did not
//! have. CPU time is measured beside it, so that what other programs took shows. The word and the coarse time share a line that is written ten times a second and read once a
//! burst, as in the gateway.

use super::args::Args;
use crate::clock;
use crate::traffic::{Packet, Tick, Traffic};
use crate::ways::{BURST, Way, Worker, is_resolved};
use crossbeam_utils::CachePadded;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::sync::Barrier;
use std::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::Duration;

/// One unit of the coarse time.
const TICK: Duration = Duration::from_millis(100);

/// Time before a point is measured: a fifth of the measurement, at least 50 ms.
pub(super) fn warm_up(args: &Args) -> Duration {
    Duration::from_secs_f64((args.seconds_per_point / 5.0).max(0.05))
}

const WARM: u32 = 0;
const MEASURE: u32 = 1;
const STOP: u32 = 2;

/// What the main thread tells the others.
#[derive(Debug, Default)]
struct Pulse {
    phase: AtomicU32,
    tick: AtomicU32,
}

impl Pulse {
    /// Lets `span` pass, and time with it.
    fn pass(&self, span: Duration) {
        let end = clock::now() + span;
        loop {
            let left = end.saturating_duration_since(clock::now());
            if left.is_zero() {
                return;
            }
            clock::sleep(left.min(TICK));
            self.tick.store(self.tick.load(Relaxed) + 1, Relaxed);
        }
    }
}

/// What a run of a point gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    /// Million packets a second of all threads together.
    pub(super) mpps: f64,
    /// Nanoseconds of CPU time a packet.
    pub(super) cpu_ns: f64,
    /// CPU time that the threads had, as a share of the time that passed; less than 1 if they had to wait.
    pub(super) cpu_share: f64,
}

impl Run {
    /// Of all threads' work together.
    fn of(threads: &[Work]) -> Self {
        let sum = |of: fn(&Work) -> f64| threads.iter().map(of).sum::<f64>();
        let packets = sum(|work| work.packets as f64);
        let cpu = sum(|work| work.cpu.as_secs_f64());
        Self {
            mpps: sum(|work| work.packets as f64 / work.wall.as_secs_f64() / 1e6),
            cpu_ns: cpu / packets * 1e9,
            cpu_share: cpu / sum(|work| work.wall.as_secs_f64()),
        }
    }
}

/// What one thread did.
#[derive(Clone, Copy, Debug)]
struct Work {
    packets: u64,
    wall: Duration,
    cpu: Duration,
}

/// One run with the threads of `traffic`.
///
/// Thread `i` runs on `cpus[i % cpus.len()]`.
pub(super) fn point(
    way: &dyn Way,
    traffic: &Traffic,
    cpus: &[usize],
    args: &Args,
) -> Result<Run, String> {
    let pulse = CachePadded::new(Pulse::default());
    let start = Barrier::new(traffic.threads() + 1);
    std::thread::scope(|scope| {
        let spawn = |thread: usize| {
            let (pulse, start) = (&pulse, &start);
            let cpu = cpus[thread % cpus.len()];
            scope.spawn(move || one_thread(way, traffic, thread, cpu, start, pulse))
        };
        let threads: Vec<_> = (0..traffic.threads()).map(spawn).collect();
        start.wait();
        pulse.pass(warm_up(args));
        pulse.phase.store(MEASURE, Release);
        pulse.pass(Duration::from_secs_f64(args.seconds_per_point));
        pulse.phase.store(STOP, Release);
        let joined = |handle: std::thread::ScopedJoinHandle<'_, _>| {
            handle
                .join()
                .map_err(|_| String::from("a thread panicked"))?
        };
        let works: Result<Vec<Work>, String> = threads.into_iter().map(joined).collect();
        Ok(Run::of(&works?))
    })
}

/// A thread's part of a run.
fn one_thread(
    way: &dyn Way,
    traffic: &Traffic,
    thread: usize,
    cpu: usize,
    start: &Barrier,
    pulse: &Pulse,
) -> Result<Work, String> {
    let pinned = pin(cpu);
    // Made here, so that the memory is this CPU's.
    let mut batch = traffic.packets_of(thread);
    let mut worker = way.worker(thread);
    start.wait();
    pinned?;
    let mut feed = Feed {
        packets: &mut batch,
        at: 0,
    };
    feed.run(&mut *worker, pulse, WARM);
    let (began, cpu) = (clock::now(), clock::thread_cpu());
    let packets = feed.run(&mut *worker, pulse, MEASURE);
    let work = Work {
        packets,
        wall: began.elapsed(),
        cpu: clock::thread_cpu() - cpu,
    };
    verify(&mut *worker, &mut batch, pulse.tick.load(Relaxed))?;
    Ok(work)
}

/// Lets the calling thread run on `cpu` only.
fn pin(cpu: usize) -> Result<(), String> {
    let mut set = CpuSet::new();
    let pinned = set
        .set(cpu)
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
    pinned.map_err(|error| format!("cannot run on CPU {cpu}: {error}"))
}

/// A thread's packets, burst after burst, round and round.
struct Feed<'p> {
    packets: &'p mut [Packet],
    at: usize,
}

impl Feed<'_> {
    /// Resolves bursts until the phase is another; returns the number of packets.
    fn run(&mut self, worker: &mut dyn Worker, pulse: &Pulse, phase: u32) -> u64 {
        let mut resolved = 0;
        while pulse.phase.load(Acquire) == phase {
            let end = (self.at + BURST).min(self.packets.len());
            worker.burst(&mut self.packets[self.at..end], pulse.tick.load(Relaxed));
            resolved += (end - self.at) as u64;
            self.at = if end == self.packets.len() { 0 } else { end };
        }
        resolved
    }
}

/// Whether the worker really resolves: every packet, emptied before, once more.
fn verify(worker: &mut dyn Worker, packets: &mut [Packet], now: Tick) -> Result<(), String> {
    for packet in &mut *packets {
        (packet.nhop, packet.link) = (0, [0; 14]);
    }
    packets
        .chunks_mut(BURST)
        .for_each(|burst| worker.burst(burst, now));
    match packets.iter().filter(|packet| !is_resolved(packet)).count() {
        0 => Ok(()),
        wrong => Err(format!(
            "{wrong} of {} packets were not resolved",
            packets.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker that resolves nothing.
    struct Idle;

    impl Worker for Idle {
        fn burst(&mut self, _packets: &mut [Packet], _now: Tick) {}
    }

    #[test]
    fn a_run_adds_rates_and_shares_out_cpu_time() {
        let work = |packets, cpu| Work {
            packets,
            wall: Duration::from_secs(2),
            cpu: Duration::from_secs(cpu),
        };
        let run = Run::of(&[work(4_000_000, 2), work(8_000_000, 1)]);
        assert_eq!(
            run,
            Run {
                mpps: 6.0,
                cpu_ns: 250.0,
                cpu_share: 0.75
            }
        );
    }

    #[test]
    fn a_worker_that_does_not_resolve_is_found_out() {
        let mut packets = vec![Packet::default(); 40];
        let found = verify(&mut Idle, &mut packets, 0);
        assert_eq!(found, Err("40 of 40 packets were not resolved".into()));
    }

    #[test]
    fn bursts_go_round_and_do_not_run_over_the_end() {
        /// Counts bursts and stops after four.
        struct Four<'a>(&'a Pulse, Vec<usize>);
        impl Worker for Four<'_> {
            fn burst(&mut self, packets: &mut [Packet], _now: Tick) {
                self.1.push(packets.len());
                if self.1.len() == 4 {
                    self.0.phase.store(STOP, Release);
                }
            }
        }
        let pulse = Pulse::default();
        let mut packets = vec![Packet::default(); BURST + 8];
        let mut worker = Four(&pulse, Vec::new());
        let resolved = Feed {
            packets: &mut packets,
            at: 0,
        }
        .run(&mut worker, &pulse, WARM);
        assert_eq!(worker.1, [BURST, 8, BURST, 8]);
        assert_eq!(resolved, 2 * (BURST as u64 + 8));
    }
}
