//! Memory before and after many updates, with a reader that holds old nodes back for a burst at a time.

use super::super::report::Report;
use super::super::router::Router;
use super::Bench;
use super::reader;
use crate::clock;
use crate::common::memory::Memory;
use crate::common::pair::{WARM, together};
use route::Family;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Updates between two reports of progress.
const STEP: usize = 1_000_000;

/// Makes the updates, and compares.
pub(super) fn measure(bench: &mut Bench<'_>, report: &mut Report) -> Result<(), String> {
    bench.churn.restore(&mut bench.router)?;
    let before = (bench.heap.now(), fibs(&bench.router));
    let updates = bench.args.soak;
    let (view, phase) = (Arc::clone(&bench.router.view), AtomicU32::new(WARM));
    let (router, churn, traffic) = (&mut bench.router, &mut bench.churn, &bench.traffic);
    let control = || {
        let began = clock::now();
        for number in 1..=updates {
            churn.step(router)?;
            if number % STEP == 0 {
                eprintln!("  {number} of {updates} updates");
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        churn.restore(router)?;
        Ok(seconds)
    };
    let read = || reader::run(&view, traffic, &phase);
    let (seconds, works) = together(&bench.cpus, &phase, control, read)?;
    let checked = reader::all_right(&works)?;
    drop(works);
    // The reader is gone: nothing is held back any more.
    bench.router.tick();
    let after = (bench.heap.now(), fibs(&bench.router));
    report.figure(
        "soak",
        "updates, beside a reader",
        updates as f64,
        "updates",
    );
    report.figure(
        "soak",
        "updates a second",
        updates as f64 / seconds,
        "updates/s",
    );
    report.figure(
        "soak",
        "answers checked, none wrong",
        checked as f64,
        "answers",
    );
    show(before, after, report);
    Ok(())
}

/// Bytes of both FIBs.
fn fibs(router: &Router) -> i64 {
    [Family::V4, Family::V6]
        .map(|family| router.fib_bytes(family))
        .iter()
        .sum()
}

/// Before, after, for each kind of memory.
fn show(before: (Memory, i64), after: (Memory, i64), report: &mut Report) {
    let kinds = [
        (
            "allocated (FIBs' reservation included)",
            before.0.heap,
            after.0.heap,
        ),
        ("FIBs", before.1, after.1),
        ("resident", before.0.resident, after.0.resident),
    ];
    for (kind, before, after) in kinds {
        report.figure("soak", format!("{kind} before"), before as f64 / 1e6, "MB");
        report.figure("soak", format!("{kind} after"), after as f64 / 1e6, "MB");
        report.figure(
            "soak",
            format!("{kind}, growth"),
            (after - before) as f64 / 1e3,
            "kB",
        );
    }
}
