//! The contention benchmark: how each way of resolving output behaves as threads are added.
//!
//! ```text
//! args ─▶ measure (threads, pinned, started together) ─┐
//!         crate::step (shared read-modify-writes)     ─┼─▶ report::Report ─▶ table, csv, json, plot
//!         machine (what it ran on)                    ─┘
//! ```
//! Runs are interleaved (run 1 of every way at every number of threads, then run 2, ...), so that a
//! machine that grows slower spoils all ways alike and shows as spread.

pub mod args;
mod csv;
mod json;
mod measure;
mod plot;
mod report;
mod table;

use crate::common::machine::Machine;
use crate::step::{self, Counts};
use crate::traffic::Traffic;
use crate::ways::WayInfo;
use args::Args;
use report::{Point, Report};
use std::io;
use std::path::Path;

/// Measures what `args` asks for, prints the table, writes the files.
///
/// `args.out` must exist already (see [`Args::prepare_out`]).
///
/// # Errors
/// A file that cannot be written, a thread that cannot be pinned, a way that did not do its work.
pub fn run(args: &Args) -> Result<(), String> {
    let machine = Machine::detect()?;
    announce(args, &machine);
    let counts = count_all(args);
    let points = measure_all(args, &machine)?;
    let report = Report::new(args, machine, points, counts);
    print!("{}", table::render(&report));
    write_files(&report, &args.out).map_err(|error| format!("{}: {error}", args.out.display()))
}

/// Says before the wait what will be done, and what to think of it.
fn announce(args: &Args, machine: &Machine) {
    let points = args.ways.len() * args.threads.len() * args.runs;
    let seconds = points as f64 * (args.seconds_per_point + measure::warm_up(args).as_secs_f64());
    eprintln!("{}", machine.line());
    eprintln!(
        "{points} points of {} s, about {seconds:.0} s in all",
        args.seconds_per_point
    );
    if let Some(warning) = report::oversubscription(&args.threads, machine.cpus.len()) {
        eprintln!("{warning}");
    }
}

/// The counts of each way, or the reason why there are none.
fn count_all(args: &Args) -> Vec<Result<Counts, String>> {
    let count = |way: &&'static WayInfo| {
        if args.count_packets == 0 {
            return Err("not asked for".into());
        }
        eprintln!("counting {} ...", way.name);
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        step::count(&program, way.name, args.flows, args.count_packets)
    };
    args.ways.iter().map(count).collect()
}

/// Every way at every number of threads, `args.runs` times.
fn measure_all(args: &Args, machine: &Machine) -> Result<Vec<Point>, String> {
    let mut points = Point::all(&args.ways, &args.threads);
    for number in 1..=args.runs {
        for point in &mut points {
            eprintln!(
                "run {number} of {}: {} x {} ...",
                args.runs, point.way.name, point.threads
            );
            let traffic = Traffic::new(args.flows, point.threads);
            let world = (point.way.build)(&traffic);
            let run = measure::point(&*world, &traffic, &machine.cpus, args).map_err(|error| {
                format!("{} with {} threads: {error}", point.way.name, point.threads)
            })?;
            point.runs.push(run);
        }
    }
    Ok(points)
}

/// Writes `contention.{csv,json,svg,png}` into `out` and says so.
fn write_files(report: &Report, out: &Path) -> io::Result<()> {
    let svg = crate::chart::render(&plot::chart(report)).map_err(io::Error::other)?;
    let png = crate::chart::png(&svg).map_err(io::Error::other)?;
    let files = [
        ("contention.csv", csv::render(report).into_bytes()),
        ("contention.json", json::render(report)?.into_bytes()),
        ("contention.svg", svg.into_bytes()),
        ("contention.png", png),
    ];
    for (name, bytes) in files {
        std::fs::write(out.join(name), bytes)?;
        println!("wrote {}", out.join(name).display());
    }
    Ok(())
}
