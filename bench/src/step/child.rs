//! The traced side of counting: a copy of this program that resolves packets between two marks.
//!
//! It speaks with the tracer in lines: it prints the two threads' ids and the marks' addresses; each
//! line that it then reads opens the next thread's gate, and is answered. When its input ends it ends,
//! so it never outlives a tracer that died.

use crate::traffic::{Packet, Traffic};
use crate::ways::{BURST, Scene, WayInfo, Worker};
use std::hint::black_box;
use std::io::{self, BufRead, Write};
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};
use std::sync::mpsc;

/// Threads that are compared; two are enough to see what is shared.
pub(super) const THREADS: usize = 2;

/// Counting begins when a thread comes here.
#[inline(never)]
fn mark_begin() {
    black_box(1_u32);
}

/// Counting ends when a thread comes here. Its body differs from the other's, lest the two be merged.
#[inline(never)]
fn mark_end() {
    black_box(2_u64);
}

/// Resolves `packets` packets of `way` a thread as the tracer asks, then returns.
pub fn serve(way: &WayInfo, scene: Scene, packets: usize) -> io::Result<()> {
    let traffic = Traffic::new(scene.flows, THREADS);
    let world = (way.build)(&traffic, scene.nexthops);
    let gates: [AtomicBool; THREADS] = Default::default();
    let (report, reports) = mpsc::channel();
    std::thread::scope(|scope| {
        for (thread, gate) in gates.iter().enumerate() {
            let (world, report) = (&*world, report.clone());
            let mut batch = traffic.packets_of(thread);
            scope.spawn(move || {
                let mut worker = world.worker(thread);
                (1..=2).for_each(|now| resolve(&mut *worker, &mut batch, now));
                // The main thread waits for as many reports as there are threads.
                let _ = report.send((thread, thread_id()));
                while !gate.load(Acquire) {
                    std::thread::yield_now();
                }
                let end = packets.min(batch.len());
                mark_begin();
                resolve(&mut *worker, &mut batch[..end], 3);
                mark_end();
            });
        }
        drop(report);
        let spoken = converse(&reports, &gates);
        gates.iter().for_each(|gate| gate.store(true, Release));
        spoken
    })
}

/// All packets, burst by burst.
fn resolve(worker: &mut dyn Worker, packets: &mut [Packet], now: u32) {
    packets
        .chunks_mut(BURST)
        .for_each(|burst| worker.burst(burst, now));
}

/// Introduces the threads, then opens their gates one by one, as asked; waits for the end of input.
fn converse(reports: &mpsc::Receiver<(usize, i32)>, gates: &[AtomicBool]) -> io::Result<()> {
    let mut threads: Vec<_> = reports.iter().take(THREADS).collect();
    threads.sort_unstable();
    let mut out = io::stdout().lock();
    for (_, id) in threads {
        write!(out, "{id} ")?;
    }
    writeln!(
        out,
        "{} {}",
        mark_begin as *const () as usize, mark_end as *const () as usize
    )?;
    out.flush()?;
    let mut lines = io::stdin().lock().lines();
    for gate in gates {
        let Some(Ok(_)) = lines.next() else {
            return Ok(());
        };
        gate.store(true, Release);
        writeln!(out, "open")?;
        out.flush()?;
    }
    lines.for_each(drop);
    Ok(())
}

/// The kernel's id of this thread.
#[cfg(target_os = "linux")]
fn thread_id() -> i32 {
    nix::unistd::gettid().as_raw()
}

/// The kernel's id of this thread: not asked for where nothing is traced.
#[cfg(not(target_os = "linux"))]
fn thread_id() -> i32 {
    0
}
