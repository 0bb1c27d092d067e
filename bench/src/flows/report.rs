//! Everything that was found; the files and the tables only write it out.

use super::args::{Args, Section};
use super::expiry::LONGEST_LIST;
use crate::common::machine::Machine;
use crate::common::stats::Summary;
use crate::common::timing::Spent;
use serde::{Deserialize, Serialize};

/// What a number is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Series {
    pub(super) section: Section,
    pub(super) what: String,
    /// How packets are spread over flows, or which packets they are.
    pub(super) traffic: String,
    pub(super) way: String,
    /// What is particular to the way: its burst, its hash.
    pub(super) detail: String,
    pub(super) flows: usize,
    pub(super) unit: String,
}

/// A number of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Sample {
    pub(super) series: Series,
    pub(super) value: f64,
    /// Share of the time in which it was measured that the thread had a CPU.
    pub(super) cpu_share: Option<f64>,
}

/// The name of the way that others are measured against.
pub(super) const OURS: &str = "flowgate";
/// The unit of times.
pub(super) const NS: &str = "ns";

impl Series {
    /// Of a section, about Flowgate's own table, in ns.
    pub(super) fn new(section: Section, what: &str, flows: usize) -> Self {
        Self {
            section,
            what: what.into(),
            traffic: String::new(),
            way: OURS.into(),
            detail: String::new(),
            flows,
            unit: NS.into(),
        }
    }

    pub(super) fn traffic(self, traffic: &str) -> Self {
        Self {
            traffic: traffic.into(),
            ..self
        }
    }

    pub(super) fn way(self, way: &str, detail: &str) -> Self {
        Self {
            way: way.into(),
            detail: detail.into(),
            ..self
        }
    }

    pub(super) fn unit(self, unit: &str) -> Self {
        Self {
            unit: unit.into(),
            ..self
        }
    }

    /// It has this value.
    pub(super) fn is(self, value: f64) -> Sample {
        Sample {
            series: self,
            value,
            cpu_share: None,
        }
    }

    /// A piece takes so much CPU time.
    pub(super) fn took(self, spent: &Spent) -> Sample {
        Sample {
            series: self,
            value: spent.cpu_ns(),
            cpu_share: Some(spent.share()),
        }
    }
}

/// A number of all runs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    pub(super) series: Series,
    pub(super) summary: Summary,
    pub(super) runs: Vec<f64>,
    /// The least share of a CPU that a run had.
    pub(super) cpu_share: Option<f64>,
    /// How many times Flowgate's best is this, where both are times or sizes.
    pub(super) times_flowgate: Option<f64>,
}

/// The whole result.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    pub(super) benchmark: &'static str,
    pub(super) command: String,
    pub(super) machine: Machine,
    pub(super) runs: usize,
    /// What to know before believing a number.
    pub(super) notes: Vec<String>,
    pub(super) rows: Vec<Row>,
}

/// The share of a CPU below which a thread was disturbed.
const UNDISTURBED: f64 = 0.95;

impl Report {
    /// Of all samples of all runs.
    /// `busy` CPUs had something else to do when it began.
    pub(super) fn new(args: &Args, machine: Machine, busy: f64, samples: Vec<Sample>) -> Self {
        let mut rows = rows(samples);
        let ratios: Vec<_> = rows.iter().map(|row| times_flowgate(&rows, row)).collect();
        for (row, ratio) in rows.iter_mut().zip(ratios) {
            row.times_flowgate = ratio;
        }
        let mut report = Self {
            benchmark: "flows",
            command: args.command.clone(),
            machine,
            runs: args.runs,
            notes: Vec::new(),
            rows,
        };
        report
            .notes
            .push(format!("load average {busy} when it began"));
        report.notes.extend(report.short_list());
        report.notes.extend(report.crowding(busy));
        report.notes.extend(report.disturbance());
        report
    }

    /// Why the sorted list is not measured with many flows.
    fn short_list(&self) -> Option<String> {
        self.of(Section::Expiry).next()?;
        Some(format!(
            "a sorted list is walked from its head, O(flows): it is measured to {LONGEST_LIST} flows only"
        ))
    }

    /// The warning when a writer and a reader cannot both have a CPU.
    fn crowding(&self, busy: f64) -> Option<String> {
        self.of(Section::Reader).next()?;
        let cpus = self.machine.cpus.len();
        (cpus as f64 - busy < 2.0).then(|| {
            format!(
                "WARNING: fewer than 2 of {cpus} CPUs were free: while readers read, the scheduler takes the writer's CPU \
                 away; its ns of CPU time say what readers cost it, its rate does not"
            )
        })
    }

    /// The warning when other programs took CPU time.
    fn disturbance(&self) -> Option<String> {
        let shares = self.rows.iter().filter_map(|row| row.cpu_share);
        let least = shares.min_by(f64::total_cmp)?;
        (least < UNDISTURBED).then(|| {
            format!(
                "WARNING: a thread had a CPU only {:.0} % of the time in some run: other programs are in these numbers",
                100.0 * least
            )
        })
    }

    /// The rows of a section.
    pub(super) fn of(&self, section: Section) -> impl Iterator<Item = &Row> {
        self.rows
            .iter()
            .filter(move |row| row.series.section == section)
    }
}

/// Samples of one series together, in the order in which series first appear.
fn rows(samples: Vec<Sample>) -> Vec<Row> {
    let mut grouped: Vec<(Series, Vec<Sample>)> = Vec::new();
    for sample in samples {
        match grouped
            .iter_mut()
            .find(|(series, _)| *series == sample.series)
        {
            Some((_, all)) => all.push(sample),
            None => grouped.push((sample.series.clone(), vec![sample])),
        }
    }
    let row = |(series, samples): (Series, Vec<Sample>)| {
        let runs: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
        let shares = samples.iter().filter_map(|sample| sample.cpu_share);
        Some(Row {
            series,
            summary: Summary::of(&runs)?,
            runs,
            cpu_share: shares.min_by(f64::total_cmp),
            times_flowgate: None,
        })
    };
    grouped.into_iter().filter_map(row).collect()
}

/// A row's median as a multiple of the least of Flowgate's rows about the same.
fn times_flowgate(rows: &[Row], row: &Row) -> Option<f64> {
    let about = |row: &Row| {
        let Series {
            section,
            what,
            traffic,
            flows,
            unit,
            ..
        } = &row.series;
        (
            *section,
            what.clone(),
            traffic.clone(),
            *flows,
            unit.clone(),
        )
    };
    if row.series.way == OURS {
        return None;
    }
    let ours = rows
        .iter()
        .filter(|other| other.series.way == OURS && about(other) == about(row));
    let best = ours
        .map(|other| other.summary.median)
        .min_by(f64::total_cmp)?;
    (best > 0.0).then_some(row.summary.median / best)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::flows::args::tests::measured;

    /// Two ways with two runs each, and a share that shows a disturbance.
    pub(in crate::flows) fn sample() -> Report {
        let hit = |detail: &str, value| {
            let series = Series::new(Section::Hit, "a packet", 1000);
            series.traffic("uniform").way(OURS, detail).is(value)
        };
        let peer = |value| Sample {
            cpu_share: Some(0.5),
            ..Series::new(Section::Hit, "a packet", 1000)
                .traffic("uniform")
                .way("slow, map", "its own hash")
                .is(value)
        };
        let curve = |way: &str, flows, value| {
            Series::new(Section::Expiry, "a packet", flows)
                .way(way, "")
                .is(value)
        };
        let samples = vec![
            hit("bursts of 1", 20.0),
            hit("bursts of 32", 10.0),
            peer(40.0),
            hit("bursts of 1", 22.0),
            hit("bursts of 32", 12.0),
            peer(48.0),
            curve(OURS, 1000, 10.0),
            curve(OURS, 10_000, 10.0),
            curve("wheel", 1000, 20.0),
            curve("wheel", 10_000, 30.0),
        ];
        let machine = Machine::detect().expect("a machine");
        Report::new(&measured(""), machine, 0.5, samples)
    }

    #[test]
    fn runs_of_a_series_become_one_row_against_our_best() {
        let report = sample();
        let medians: Vec<_> = report.of(Section::Hit).map(|r| r.summary.median).collect();
        assert_eq!(medians, [21.0, 11.0, 44.0]);
        let ratios: Vec<_> = report.of(Section::Hit).map(|r| r.times_flowgate).collect();
        assert_eq!(ratios, [None, None, Some(4.0)]);
    }

    #[test]
    fn a_run_without_a_whole_cpu_is_warned_of() {
        let report = sample();
        assert_eq!(report.notes.len(), 3);
        assert!(report.notes[2].contains("only 50 %"), "{:?}", report.notes);
    }
}
