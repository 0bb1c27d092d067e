//! What a change of routes costs: control, and a reader beside it.
//!
//! - `load`: the whole table; updates with nobody reading.
//! - `loss`: what one reader loses to updates.
//! - `visible`: how soon a reader obeys a change.
//! - `forwarding`: both, of a whole gateway that forwards.
//! - `soak`: memory before and after many updates.
//! - `replay`: the updates that a real router saw.
//! - `death`: a next hop of many routes dies.
//!
//! `churn` makes the updates, `reader` the lookups, `pair` the two threads.

mod churn;
mod death;
mod forwarding;
mod load;
mod loss;
mod reader;
mod replay;
mod soak;
mod visible;

use super::args::{Args, Section};
use super::report::Report;
use super::router::Router;
use super::table::{Route, Routes};
use crate::common::memory::Heap;
use churn::Churn;
use reader::Traffic;

/// What all sections share.
struct Bench<'a> {
    args: &'a Args,
    heap: Heap,
    /// Usable CPUs: the reader has the first, control the second.
    cpus: Vec<usize>,
    routes: Vec<Route>,
    router: Router,
    churn: Churn,
    traffic: Traffic,
}

/// A section, and what measures it.
type Part = (
    Section,
    fn(&mut Bench<'_>, &mut Report) -> Result<(), String>,
);

const PARTS: [Part; 7] = [
    (Section::Updates, load::updates),
    (Section::Reader, loss::measure),
    (Section::Visibility, visible::measure),
    (Section::Forwarding, forwarding::measure),
    (Section::Soak, soak::measure),
    (Section::Replay, replay::measure),
    (Section::Death, death::measure),
];

/// Measures every section about changes that was asked for.
pub(super) fn measure(
    args: &Args,
    routes: &Routes,
    heap: Heap,
    report: &mut Report,
) -> Result<(), String> {
    let with_hops = routes.with_hops(args.models[0])?;
    let router = load::load(args, &with_hops, heap, report)?;
    let churn = Churn::new(&with_hops);
    let traffic = Traffic::new(&routes.prefixes, &router, &churn)?;
    let mut bench = Bench {
        args,
        heap,
        cpus: report.machine.cpus.clone(),
        routes: with_hops,
        router,
        churn,
        traffic,
    };
    for (section, part) in PARTS {
        if args.wants(section) {
            eprintln!("{section:?} ...");
            part(&mut bench, report)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::args::tests::parsed;
    use crate::routes::report::tests::empty;
    use crate::routes::table::tests::small;

    #[test]
    fn every_section_gives_numbers_and_no_answer_is_wrong() {
        let args = parsed(
            "--only change --runs 1 --seconds-per-phase 0.02 --visible 8 --soak 5000 --replay /nowhere",
        );
        let mut report = empty();
        measure(&args.expect("flags"), &small(), Heap(|| 0), &mut report).expect("measured");
        for section in [
            "load",
            "updates",
            "reader",
            "visibility",
            "forwarding",
            "soak",
            "death",
        ] {
            assert!(
                report.change.iter().any(|figure| figure.section == section),
                "{section}"
            );
        }
        assert!(
            report.skipped.iter().any(|what| what.contains("/nowhere")),
            "{:?}",
            report.skipped
        );
    }
}
