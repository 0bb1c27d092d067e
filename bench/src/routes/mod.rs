//! The routing benchmark: lookups beside other tables, and what a change of routes costs.
//!
//! ```text
//! args ─▶ table (routes, next hops) ─┬─▶ lookup: ways x patterns, interleaved ─┐
//!                                    ├─▶ memory: heap and resident, of each    ─┼─▶ report ─▶ text, csv, json
//!                                    └─▶ change: load, updates, reader,         ─┘
//!                                                visibility, soak, replay, death
//! ```
//! Every way of looking up holds the same routes with the same values (Flowgate's group ids) and gets the
//! same addresses; before anything is timed all their answers are compared.

pub mod args;
mod change;
mod dir24;
mod lookup;
mod output;
mod patterns;
mod peers;
mod percentile;
mod report;
mod router;
mod table;
mod ways;

use crate::common::machine::Machine;
use crate::common::memory::Heap;
use args::{Args, Section};
use report::Report;
use table::Routes;

/// Measures what `args` asks for, prints the tables, writes the files. `heap` tells how many bytes are
/// allocated now.
///
/// # Errors
/// A table that cannot be read, ways that disagree, a thread that cannot be pinned, a file that cannot be
/// written.
pub fn run(args: &Args, heap: fn() -> usize) -> Result<(), String> {
    let machine = Machine::detect()?;
    eprintln!("{}", machine.line());
    let (routes, source) = Routes::load(args)?;
    eprintln!("{source}");
    let mut report = Report::new(args, machine, source);
    for note in report.surroundings() {
        eprintln!("{note}");
        report.notes.push(note);
    }
    let heap = Heap(heap);
    if args.wants(Section::Lookup) {
        lookup::measure(args, &routes, heap, &mut report)?;
    }
    if args.only.iter().any(|section| section.is_change()) {
        change::measure(args, &routes, heap, &mut report)?;
    }
    print!("{}", output::text::render(&report));
    match &args.out {
        Some(out) => {
            output::write_files(&report, out).map_err(|error| format!("{}: {error}", out.display()))
        }
        None => Ok(()),
    }
}
