//! Everything that was found; the files and the tables only write it out.

use super::args::Args;
use super::percentile::Percentiles;
use crate::common::machine::{Machine, load_average};
use crate::common::stats::Summary;
use serde::Serialize;

/// The whole result.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    pub(super) benchmark: &'static str,
    /// The command line.
    pub(super) command: String,
    /// Where it ran.
    pub(super) machine: Machine,
    /// Which table was used.
    pub(super) table: String,
    /// Interleaved runs of each measurement.
    pub(super) runs: usize,
    /// What to know about the machine before believing a number.
    pub(super) notes: Vec<String>,
    /// What was not measured, and why.
    pub(super) skipped: Vec<String>,
    pub(super) lookups: Vec<LookupRow>,
    pub(super) memory: Vec<MemoryRow>,
    pub(super) change: Vec<Figure>,
}

/// A way with a pattern.
#[derive(Clone, Debug, Serialize)]
pub(super) struct LookupRow {
    pub(super) size: &'static str,
    pub(super) model: &'static str,
    pub(super) family: &'static str,
    pub(super) routes: usize,
    pub(super) pattern: &'static str,
    pub(super) way: &'static str,
    /// Whether it is another project's.
    pub(super) is_crate: bool,
    /// Nanoseconds a lookup, over the runs.
    pub(super) ns: Summary,
    pub(super) times: Times,
}

/// Nanoseconds a lookup, run by run.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Times {
    /// That passed.
    pub(super) ns: Vec<f64>,
    /// Of CPU time.
    pub(super) cpu_ns: Vec<f64>,
}

/// What a table takes.
#[derive(Clone, Debug, Serialize)]
pub(super) struct MemoryRow {
    pub(super) size: &'static str,
    pub(super) model: &'static str,
    pub(super) family: &'static str,
    pub(super) way: &'static str,
    /// Which part of it.
    pub(super) what: &'static str,
    /// Allocated (of Flowgate's FIB: in use, of a larger reservation).
    pub(super) bytes: i64,
    /// Growth of the process's resident memory, where it was looked at.
    pub(super) resident: Option<i64>,
    pub(super) routes: usize,
}

/// A number about changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Figure {
    pub(super) section: &'static str,
    pub(super) what: String,
    /// The median, if it was measured in several runs.
    pub(super) value: f64,
    pub(super) unit: &'static str,
    /// The least and the most of the runs.
    pub(super) ends: Option<(f64, f64)>,
}

impl Times {
    /// The least share of a CPU that a run had, in percent.
    pub(super) fn least_share(&self) -> f64 {
        let shares = self
            .cpu_ns
            .iter()
            .zip(&self.ns)
            .map(|(cpu, ns)| 100.0 * cpu / ns);
        shares.fold(100.0, f64::min)
    }
}

/// The share of a CPU, in percent, below which a thread was disturbed.
pub(super) const UNDISTURBED: f64 = 95.0;

impl Report {
    /// Nothing found yet.
    pub(super) fn new(args: &Args, machine: Machine, table: String) -> Self {
        Self {
            benchmark: "routes",
            command: args.command.clone(),
            machine,
            table,
            runs: args.runs,
            notes: Vec::new(),
            skipped: Vec::new(),
            lookups: Vec::new(),
            memory: Vec::new(),
            change: Vec::new(),
        }
    }

    /// What to know about this machine now.
    pub(super) fn surroundings(&self) -> Vec<String> {
        let cpus = self.machine.cpus.len();
        let busy = load_average();
        let vector = if avx512() { "with" } else { "without" };
        let mut notes = vec![format!(
            "bursts are looked up {vector} AVX-512; load average {busy}"
        )];
        if cpus < 2 {
            notes.push(
                "WARNING: only 1 CPU: reader and control take turns; what a reader loses, and when it obeys a \
                 change, say nothing"
                    .into(),
            );
        } else if cpus as f64 - busy < 2.0 {
            notes.push(format!(
                "WARNING: fewer than 2 of {cpus} CPUs were free: what a reader loses, and when it obeys a change, \
                 have other programs in them"
            ));
        }
        notes
    }

    /// Warns of something, now and in the tables.
    pub(super) fn warn(&mut self, what: &str) {
        eprintln!("WARNING: {what}");
        self.notes.push(format!("WARNING: {what}"));
    }

    /// Notes that something was not measured; said at once, too.
    pub(super) fn skip(&mut self, what: String) {
        eprintln!("SKIPPED {what}");
        self.skipped.push(what);
    }

    /// Adds a number.
    pub(super) fn figure(
        &mut self,
        section: &'static str,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
    ) {
        self.change.push(Figure {
            section,
            what: what.into(),
            value,
            unit,
            ends: None,
        });
    }

    /// Adds the median of several runs, if there was one.
    pub(super) fn runs(
        &mut self,
        section: &'static str,
        what: impl Into<String>,
        runs: &[f64],
        unit: &'static str,
    ) {
        if let Some(summary) = Summary::of(runs) {
            self.change.push(Figure {
                section,
                what: what.into(),
                value: summary.median,
                unit,
                ends: Some((summary.min, summary.max)),
            });
        }
    }

    /// Adds percentiles, if anything was measured.
    pub(super) fn percentiles(
        &mut self,
        section: &'static str,
        what: &str,
        numbers: Vec<f64>,
        unit: &'static str,
    ) {
        if let Some(found) = Percentiles::of(numbers) {
            for (name, value) in [("p50", found.p50), ("p99", found.p99), ("max", found.max)] {
                self.figure(
                    section,
                    format!("{what}, {name} of {}", found.count),
                    value,
                    unit,
                );
            }
        }
    }
}

/// Whether the processor has what `route` looks for.
#[cfg(target_arch = "x86_64")]
fn avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vpopcntdq")
}

#[cfg(not(target_arch = "x86_64"))]
fn avx512() -> bool {
    false
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::routes::args::tests::parsed;

    /// A report of nothing yet, of this machine.
    pub(in crate::routes) fn empty() -> Report {
        let args = parsed("").expect("no flags");
        let machine = Machine::detect().expect("a machine");
        Report::new(&args, machine, "a table".into())
    }

    /// A report with two ways, a peer and some figures.
    pub(in crate::routes) fn sample() -> Report {
        let mut report = empty();
        for (way, is_crate, ns) in [
            ("flowgate", false, 4.0),
            ("dir-24-8", false, 2.0),
            ("slow", true, 80.0),
        ] {
            for pattern in ["in-prefix", "dependent"] {
                if way == "flowgate" && pattern == "dependent" {
                    continue;
                }
                let times = Times {
                    ns: vec![ns, ns + 1.0, ns - 1.0],
                    cpu_ns: vec![ns; 3],
                };
                let Some(ns) = Summary::of(&times.ns) else {
                    continue;
                };
                report.lookups.push(LookupRow {
                    size: "as given",
                    model: "markov",
                    family: "IPv4",
                    routes: 1000,
                    pattern,
                    way,
                    is_crate,
                    ns,
                    times,
                });
            }
        }
        report.memory.push(MemoryRow {
            size: "as given",
            model: "markov",
            family: "IPv4",
            way: "dir-24-8",
            what: "all",
            bytes: 33_700_000,
            resident: Some(33_000_000),
            routes: 1000,
        });
        report.runs(
            "updates",
            "updates, no reader",
            &[3.0, 1.0, 2.0],
            "updates/s",
        );
        report.percentiles("visibility", "obeyed", vec![5.0, 7.0], "us");
        report
    }

    #[test]
    fn runs_have_their_median_and_ends_and_percentiles_their_count() {
        let report = sample();
        assert_eq!(
            (report.change[0].value, report.change[0].ends),
            (2.0, Some((1.0, 3.0)))
        );
        let named: Vec<_> = report.change[1..]
            .iter()
            .map(|f| (f.what.as_str(), f.value))
            .collect();
        let expected = [
            ("obeyed, p50 of 2", 5.0),
            ("obeyed, p99 of 2", 7.0),
            ("obeyed, max of 2", 7.0),
        ];
        assert_eq!(named, expected);
    }
}
