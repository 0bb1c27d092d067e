//! One point: a way, a number of threads, how many packets a second they resolve together.
//!
//! Threads are pinned, resolve every packet once, warm up together, are measured and stop on a word that the
//! main thread stores. Each thread measures its own time with its own clock reads and counts whole bursts, so
//! a thread that starts late or is displaced counts neither time nor packets that it did not have. CPU time
//! is measured beside it, so that what other programs took shows. The word and the coarse time share a line
//! that is written ten times a second and read once a burst, as in the gateway; the packets of a burst are
//! the same few buffers each time, as in the gateway too.

use super::args::Args;
use crate::clock;
use crate::common::cpu;
use crate::common::pace::Pace;
use crate::traffic::{FiveTuple, Packet, Tick, Traffic};
use crate::ways::{BURST, Scene, Way, Worker, is_resolved};
use crossbeam_utils::CachePadded;
use std::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::mpsc::{self, Sender};
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
    /// Route changes a second that were really made.
    pub(super) changes: f64,
}

impl Run {
    /// Of all threads' work together.
    fn of(threads: &[Work], changes: f64) -> Self {
        let sum = |of: fn(&Work) -> f64| threads.iter().map(of).sum::<f64>();
        let packets = sum(|work| work.packets as f64);
        let cpu = sum(|work| work.cpu.as_secs_f64());
        Self {
            mpps: sum(|work| work.packets as f64 / work.wall.as_secs_f64() / 1e6),
            cpu_ns: cpu / packets * 1e9,
            cpu_share: cpu / sum(|work| work.wall.as_secs_f64()),
            changes,
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
/// Thread `i` runs on `cpus[i % cpus.len()]`; who changes routes runs where there is room.
pub(super) fn point(
    way: &dyn Way,
    traffic: &Traffic,
    scene: Scene,
    cpus: &[usize],
    args: &Args,
) -> Result<Run, String> {
    let pulse = CachePadded::new(Pulse::default());
    let (ready, readies) = mpsc::channel();
    std::thread::scope(|scope| {
        let spawn = |thread: usize| {
            let (pulse, ready) = (&pulse, ready.clone());
            let cpu = cpus[thread % cpus.len()];
            scope.spawn(move || {
                let place = Place {
                    thread,
                    cpu,
                    nexthops: scene.nexthops,
                };
                one_thread(way, traffic, place, ready, pulse)
            })
        };
        let threads: Vec<_> = (0..traffic.threads()).map(spawn).collect();
        drop(ready);
        let control = scope.spawn(|| change_routes(way, scene.churn, &pulse));
        // Fewer are ready only if one has failed: then there is nothing to wait for.
        if readies.iter().count() == threads.len() {
            pulse.pass(warm_up(args));
            pulse.phase.store(MEASURE, Release);
            pulse.pass(Duration::from_secs_f64(args.seconds_per_point));
        }
        pulse.phase.store(STOP, Release);
        let joined = |handle: std::thread::ScopedJoinHandle<'_, _>| {
            handle
                .join()
                .map_err(|_| String::from("a thread panicked"))?
        };
        // All are joined before the first failure counts: a scope must not meet a panic by itself.
        let works: Vec<Result<Work, String>> = threads.into_iter().map(joined).collect();
        let changes = control.join().map_err(|_| "control panicked")??;
        let works = works.into_iter().collect::<Result<Vec<Work>, String>>()?;
        Ok(Run::of(&works, changes))
    })
}

/// Changes routes until the run ends, `churn` times a second; how many a second were made.
fn change_routes(way: &dyn Way, churn: usize, pulse: &Pulse) -> Result<f64, String> {
    if churn == 0 {
        return Ok(0.0);
    }
    let (began, mut pace, mut made) = (clock::now(), Pace::new(churn as f64), 0);
    let pause = Duration::from_secs_f64(0.5 / churn as f64);
    while pulse.phase.load(Acquire) != STOP {
        if pace.take(began.elapsed()) {
            way.change(made)?;
            made += 1;
        } else {
            clock::sleep(pause);
        }
    }
    Ok(made as f64 / began.elapsed().as_secs_f64())
}

/// Which thread it is, and where.
#[derive(Clone, Copy)]
struct Place {
    thread: usize,
    cpu: usize,
    nexthops: usize,
}

/// A thread's part of a run.
fn one_thread(
    way: &dyn Way,
    traffic: &Traffic,
    place: Place,
    ready: Sender<()>,
    pulse: &Pulse,
) -> Result<Work, String> {
    let Place {
        thread,
        cpu,
        nexthops,
    } = place;
    cpu::pin(cpu)?;
    // Made here, so that the memory is this CPU's.
    let mut batch = traffic.packets_of(thread);
    let mut worker = way.worker(thread);
    verify(&mut *worker, &mut batch, nexthops, pulse.tick.load(Relaxed))?;
    // The main thread counts the readies; it is there as long as this thread is.
    let _ = ready.send(());
    drop(ready);
    let mut feed = Feed::of(traffic.flows_of(thread));
    feed.run(&mut *worker, pulse, WARM);
    let (began, cpu) = (clock::now(), clock::thread_cpu());
    let packets = feed.run(&mut *worker, pulse, MEASURE);
    let work = Work {
        packets,
        wall: began.elapsed(),
        cpu: clock::thread_cpu() - cpu,
    };
    verify(&mut *worker, &mut batch, nexthops, pulse.tick.load(Relaxed))?;
    Ok(work)
}

/// A thread's flows, a packet of each, burst after burst, round and round.
struct Feed<'t> {
    flows: &'t [FiveTuple],
    at: usize,
    burst: Vec<Packet>,
}

impl<'t> Feed<'t> {
    fn of(flows: &'t [FiveTuple]) -> Self {
        Self {
            flows,
            at: 0,
            burst: vec![Packet::default(); BURST],
        }
    }

    /// The next packets, "received" into the buffers of the burst.
    fn receive(&mut self) -> &mut [Packet] {
        let end = (self.at + BURST).min(self.flows.len());
        let flows = &self.flows[self.at..end];
        self.at = if end == self.flows.len() { 0 } else { end };
        let packets = &mut self.burst[..flows.len()];
        packets
            .iter_mut()
            .zip(flows)
            .for_each(|(packet, tuple)| packet.tuple = *tuple);
        packets
    }

    /// Resolves bursts until the phase is another; returns the number of packets.
    fn run(&mut self, worker: &mut dyn Worker, pulse: &Pulse, phase: u32) -> u64 {
        let mut resolved = 0;
        while pulse.phase.load(Acquire) == phase {
            let packets = self.receive();
            worker.burst(packets, pulse.tick.load(Relaxed));
            resolved += packets.len() as u64;
        }
        resolved
    }
}

/// Whether the worker really resolves: every packet, emptied before, once more.
fn verify(
    worker: &mut dyn Worker,
    packets: &mut [Packet],
    nexthops: usize,
    now: Tick,
) -> Result<(), String> {
    for packet in &mut *packets {
        (packet.nhop, packet.link) = (0, [0; 14]);
    }
    packets
        .chunks_mut(BURST)
        .for_each(|burst| worker.burst(burst, now));
    let wrong = |packet: &&Packet| !is_resolved(packet, nexthops);
    match packets.iter().filter(wrong).count() {
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
        let run = Run::of(&[work(4_000_000, 2), work(8_000_000, 1)], 200.0);
        assert_eq!(
            run,
            Run {
                mpps: 6.0,
                cpu_ns: 250.0,
                cpu_share: 0.75,
                changes: 200.0,
            }
        );
    }

    /// Two threads of a way, for as short a time as can be asked for.
    fn tried(way: &dyn Way) -> Result<Run, String> {
        let mut args = super::super::report::tests::sample().args;
        args.seconds_per_point = 0.01;
        let cpus = crate::common::machine::Machine::detect()?.cpus;
        let scene = Scene {
            flows: 40,
            nexthops: 2,
            churn: 1000,
        };
        point(way, &Traffic::new(40, 2), scene, &cpus, &args)
    }

    #[test]
    fn a_point_is_measured() {
        let way = crate::ways::by_name("arcswap").expect("a way");
        let run = tried(&*(way.build)(&Traffic::new(40, 2), 2)).expect("measured");
        assert!(
            run.mpps > 0.0 && run.cpu_ns > 0.0 && run.changes > 0.0,
            "{run:?}"
        );
    }

    #[test]
    fn a_thread_that_breaks_ends_the_point_and_holds_nobody_up() {
        /// Its second worker cannot be made.
        struct Broken;
        impl Way for Broken {
            fn worker(&self, thread: usize) -> Box<dyn Worker + '_> {
                assert_eq!(thread, 0, "made to fail");
                Box::new(Idle)
            }
            fn change(&self, _number: u64) -> Result<(), String> {
                Ok(())
            }
        }
        assert!(tried(&Broken).is_err());
    }

    #[test]
    fn a_change_that_is_refused_fails_the_point() {
        /// Resolves as a real one, and changes nothing.
        struct Stuck(Box<dyn Way>);
        impl Way for Stuck {
            fn worker(&self, thread: usize) -> Box<dyn Worker + '_> {
                self.0.worker(thread)
            }
            fn change(&self, _number: u64) -> Result<(), String> {
                Err("made to fail".into())
            }
        }
        let way = crate::ways::by_name("arcswap").expect("a way");
        let stuck = Stuck((way.build)(&Traffic::new(40, 2), 2));
        assert_eq!(tried(&stuck), Err("made to fail".into()));
    }

    #[test]
    fn a_worker_that_does_not_resolve_is_found_out() {
        let mut packets = vec![Packet::default(); 40];
        let found = verify(&mut Idle, &mut packets, 1, 0);
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
        let flows = vec![FiveTuple::default(); BURST + 8];
        let mut worker = Four(&pulse, Vec::new());
        let resolved = Feed::of(&flows).run(&mut worker, &pulse, WARM);
        assert_eq!(worker.1, [BURST, 8, BURST, 8]);
        assert_eq!(resolved, 2 * (BURST as u64 + 8));
    }
}
