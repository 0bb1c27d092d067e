//! The whole table through `Control::add`; then updates with nobody reading.

use super::super::args::{Args, Section};
use super::super::report::Report;
use super::super::router::Router;
use super::super::table::Route;
use super::Bench;
use super::churn::Did;
use crate::clock;
use crate::common::memory::Heap;
use route::Family;
use std::time::Duration;

/// Most loads that are timed.
const LOADS: usize = 3;
/// Updates that are timed one by one.
const TIMED: usize = 50_000;

/// A router with all of `routes`; how long that took if it was asked for.
pub(super) fn load(
    args: &Args,
    routes: &[Route],
    heap: Heap,
    report: &mut Report,
) -> Result<Router, String> {
    let timed = args.wants(Section::Load);
    let loads = if timed { args.runs.min(LOADS) } else { 1 };
    let (mut router, mut seconds, mut books) = (Router::empty(), Vec::new(), 0);
    for number in 1..=loads {
        eprintln!("load {number} of {loads} ...");
        // The one before is gone before memory is counted.
        drop(std::mem::replace(&mut router, Router::empty()));
        let before = heap.now();
        let began = clock::now();
        router.load(routes)?;
        seconds.push(began.elapsed().as_secs_f64());
        books = heap.now().since(before).heap;
    }
    if timed {
        let rates: Vec<f64> = seconds.iter().map(|s| routes.len() as f64 / s).collect();
        report.runs(
            "load",
            format!("{} routes through Control::add", routes.len()),
            &seconds,
            "s",
        );
        report.runs("load", "routes a second", &rates, "routes/s");
        memory(&router, books, routes.len(), report);
    }
    Ok(router)
}

/// RIB and FIB, by route.
fn memory(router: &Router, heap: i64, routes: usize, report: &mut Report) {
    let [fib4, fib6] = [Family::V4, Family::V6].map(|family| router.fib_bytes(family));
    let each = |bytes: i64| bytes as f64 / routes as f64;
    report.figure("load", "FIBs", (fib4 + fib6) as f64 / 1e6, "MB");
    report.figure("load", "FIBs, each route", each(fib4 + fib6), "B");
    report.figure("load", "RIB and books of control", heap as f64 / 1e6, "MB");
    report.figure("load", "RIB and books, each route", each(heap), "B");
}

/// Updates as fast as one thread makes them.
pub(super) fn updates(bench: &mut Bench<'_>, report: &mut Report) -> Result<(), String> {
    let span = Duration::from_secs_f64(bench.args.phase);
    let mut rates = Vec::new();
    for _ in 0..bench.args.runs {
        let (began, mut updates) = (clock::now(), 0);
        while began.elapsed() < span {
            bench.churn.step(&mut bench.router)?;
            updates += 1;
        }
        rates.push(f64::from(updates) / began.elapsed().as_secs_f64());
    }
    report.runs("updates", "one thread, no reader", &rates, "updates/s");
    let (mut adds, mut deletes) = (Vec::new(), Vec::new());
    let number = if bench.args.quick { TIMED / 10 } else { TIMED };
    for _ in 0..number {
        let began = clock::now();
        let did = bench.churn.step(&mut bench.router)?;
        let us = began.elapsed().as_secs_f64() * 1e6;
        match did {
            Did::Added => adds.push(us),
            Did::Deleted => deletes.push(us),
        }
    }
    report.percentiles("updates", "an add", adds, "us");
    report.percentiles("updates", "a delete", deletes, "us");
    bench.churn.restore(&mut bench.router)
}
