//! The flow table's benchmark: hits and inserts beside other maps, lifetimes beside timers, floods, readers.
//!
//! ```text
//! args ─▶ job, again and again ─▶ a child each ─┬─▶ hit (ours, peers), insert     ─┐
//!                                               ├─▶ expiry (list, wheel, heap)     ─┼─▶ report ─▶ output
//!                                               └─▶ flood, sustained, reader       ─┘
//! ```
//! Every measurement of every run is done in a process of its own, so that no table lies in memory that another has
//! used; runs take turns, so that a machine that grows slower spoils all ways alike. Flows are numbers ([`world`]) and
//! packets come in an order that is ready before anything is timed ([`trace`]).

pub mod args;
mod expiry;
mod flood;
mod hit;
pub(crate) mod insert;
mod job;
mod ours;
mod output;
mod peers;
mod reader;
mod report;
mod sustained;
mod trace;
mod victim;
mod world;

use crate::common::machine::{Machine, load_average};
use crate::common::memory::Heap;
use args::{Args, Wish};
use job::Job;
use report::Report;

/// Measures what `wish` asks for, prints the tables, writes the files. `heap` tells how many bytes are allocated now.
///
/// # Errors
/// No memory for so many flows, a child that fails, a table that loses pins, a file that cannot be written.
pub fn run(wish: &Wish, heap: fn() -> usize) -> Result<(), String> {
    match wish {
        Wish::Measure(args) => measure(args),
        Wish::Serve(job) => {
            let samples = job.serve(Heap(heap))?;
            let text = serde_json::to_string(&samples).map_err(|error| error.to_string())?;
            println!("{text}");
            Ok(())
        }
    }
}

fn measure(args: &Args) -> Result<(), String> {
    let machine = Machine::detect()?;
    let busy = load_average();
    eprintln!("{}", machine.line());
    Job::all(args, 1).iter().try_for_each(Job::fits)?;
    let mut samples = Vec::new();
    for run in 1..=args.runs {
        for job in Job::all(args, run as u64) {
            eprintln!("run {run} of {}: {} ...", args.runs, job.name());
            samples.extend(job.delegate()?);
        }
    }
    let wanted = |section| args.plan.iter().any(|(one, _)| *one == section);
    samples.retain(|sample| wanted(sample.series.section));
    let report = Report::new(args, machine, busy, samples);
    print!("{}", output::text::render(&report));
    match &args.out {
        Some(out) => {
            output::write_files(&report, out).map_err(|error| format!("{}: {error}", out.display()))
        }
        None => Ok(()),
    }
}
