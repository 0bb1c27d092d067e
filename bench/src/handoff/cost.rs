//! Workers on ports in memory that never run dry: the CPU time of a packet that comes to its owner's queue, and of one
//! that comes to another's and is handed off. The workers take their bursts in step, or the faster would only fill the
//! others' rings; what is counted is the time in bursts.

use crate::clock::thread_cpu;
use crate::rig::{Endless, Frames, NOW, gateway};
use flowtable::{OwnerHash, TableSecret};
use stack::io::poll::pin_to_cpu;
use stack::{Setup, Worker};
use std::sync::Barrier;
use std::time::Duration;

/// Flows of each worker.
const FLOWS: usize = 10_000;
const POLLS: usize = 20_000;
const WARM: usize = 2_000;

/// Frames of flows that this one of so many workers owns.
fn frames(worker: usize, workers: usize) -> Frames {
    let owner = OwnerHash::new(&TableSecret([0; 16]));
    let mut rng = fastrand::Rng::with_seed(17);
    let mut frames = Frames::new(64);
    while frames.len() < FLOWS {
        let (src, dst) = (
            0x0a00_0002 + rng.u32(..60_000),
            rng.u32(0x1400_0000..0x6400_0000),
        );
        let slot = owner.slot4(17, src, 5000, dst, 443);
        if usize::from(slot.0) % workers == worker {
            frames.push((src.into(), 5000), (dst.into(), 443));
        }
    }
    frames
}

/// One worker's thread: nanoseconds of CPU, packets forwarded, packets dropped.
fn drive(worker: &mut Worker, frames: Frames, start: &Barrier) -> (f64, u64, u64) {
    // Where a CPU cannot be had the system chooses.
    let _ = pin_to_cpu(worker.id());
    let mut queues = Endless::pair(frames, Frames::new(64));
    for _ in 0..WARM {
        start.wait();
        worker.poll(NOW, &mut queues);
    }
    let done = |worker: &Worker| {
        let counters = worker.counters();
        let full = counters.dropped(stack::fate::DropReason::HandoffFull);
        (counters.forwarded.get(), full)
    };
    let (before, mut spent) = (done(worker), Duration::ZERO);
    for _ in 0..POLLS {
        start.wait();
        let began = thread_cpu();
        worker.poll(NOW, &mut queues);
        spent += thread_cpu().saturating_sub(began);
    }
    let after = done(worker);
    (
        spent.as_secs_f64() * 1e9,
        after.0 - before.0,
        after.1 - before.1,
    )
}

/// Nanoseconds a forwarded packet, and the share that was dropped, if each worker gets the packets of `of(worker)`.
fn measure(workers: usize, of: impl Fn(usize) -> usize) -> Result<(f64, f64), String> {
    let setup = Setup {
        workers,
        ..Setup::default()
    };
    let mut gateway = gateway(setup)?;
    let start = Barrier::new(workers);
    let sums = std::thread::scope(|scope| {
        let threads: Vec<_> = gateway
            .workers
            .iter_mut()
            .map(|worker| {
                let (frames, start) = (frames(of(worker.id()), workers), &start);
                scope.spawn(move || drive(worker, frames, start))
            })
            .collect();
        let each = threads.into_iter().map(|thread| thread.join());
        each.collect::<Result<Vec<_>, _>>()
    });
    let sums = sums.map_err(|_| "a worker's thread has ended by a fault")?;
    let (ns, packets, dropped) = sums.iter().fold((0.0, 0, 0), |sum, one| {
        (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2)
    });
    let all = (packets + dropped).max(1) as f64;
    Ok((ns / packets.max(1) as f64, dropped as f64 / all))
}

/// Measures both kinds in turn at each number of workers, and prints the medians.
pub(super) fn run(runs: usize, workers: &[usize]) -> Result<(), String> {
    println!(
        "\n{FLOWS} flows a worker, frames of 64 bytes, ports in memory; CPU ns a forwarded packet, median of {runs}"
    );
    println!(
        "{:>8} {:>15} {:>20} {:>15} {:>12}",
        "workers", "by their owner", "by another's queue", "a hand-off", "ring full, %"
    );
    workers.iter().try_for_each(|workers| row(runs, *workers))
}

fn row(runs: usize, workers: usize) -> Result<(), String> {
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        own.push(measure(workers, |worker| worker)?);
        other.push(measure(workers, |worker| (worker + 1) % workers)?);
    }
    let ((own, _), (other, dropped)) = (median(own), median(other));
    println!(
        "{workers:>8} {own:>15.1} {other:>20.1} {:>15.1} {:>12.2}",
        other - own,
        dropped * 100.0
    );
    Ok(())
}

fn median(mut of: Vec<(f64, f64)>) -> (f64, f64) {
    of.sort_by(|a, b| a.0.total_cmp(&b.0));
    of.get(of.len() / 2).copied().unwrap_or_default()
}
