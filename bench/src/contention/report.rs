//! Everything that was found, with what is derived from it; the files and the table only write it out.

use super::args::Args;
use super::measure::Run;
use super::usl::{self, Usl};
use crate::common::machine::Machine;
use crate::common::stats::Summary;
use crate::step::Counts;
use crate::ways::{Scene, WayInfo};

/// A way at a number of threads.
#[derive(Clone, Debug)]
pub(super) struct Point {
    /// The way.
    pub(super) way: &'static WayInfo,
    /// The number of threads.
    pub(super) threads: usize,
    /// What its runs gave.
    pub(super) runs: Vec<Run>,
}

impl Point {
    /// A point without runs for each way and number of threads.
    pub(super) fn all(ways: &[&'static WayInfo], threads: &[usize]) -> Vec<Self> {
        let of = |way| {
            threads.iter().map(move |n| Self {
                way,
                threads: *n,
                runs: Vec::new(),
            })
        };
        ways.iter().copied().flat_map(of).collect()
    }
}

/// A point as it is shown.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The number of threads.
    pub(super) threads: usize,
    /// Million packets a second of all threads together.
    pub(super) mpps: Summary,
    /// Each run's million packets a second.
    pub(super) runs: Vec<f64>,
    /// Nanoseconds that pass for one thread with a packet.
    pub(super) ns_per_packet: f64,
    /// Nanoseconds of CPU time a packet: what it costs, whatever else the CPUs do.
    pub(super) cpu_ns: f64,
    /// Share of the time that passed in which the threads had a CPU.
    pub(super) cpu_share: f64,
    /// Share of what as many times the one thread would be.
    pub(super) efficiency: f64,
    /// More threads than CPUs: says little about sharing.
    pub(super) oversubscribed: bool,
    /// Route changes a second that were made meanwhile.
    pub(super) changes: f64,
}

impl Row {
    /// Whether other programs took so much of the CPUs that the rate says more about them.
    pub(super) fn disturbed(&self) -> bool {
        !self.oversubscribed && self.cpu_share < UNDISTURBED
    }
}

/// The least share of its CPUs that a run needs to count as undisturbed.
const UNDISTURBED: f64 = 0.95;

/// A way's rows and counts.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// The way.
    pub(super) way: &'static WayInfo,
    /// By number of threads, ascending.
    pub(super) rows: Vec<Row>,
    /// What one packet does to memory, or why that is not known.
    pub(super) counts: Result<Counts, String>,
    /// How it scales where every thread has a CPU, or why that cannot be said.
    pub(super) usl: Result<Usl, String>,
}

/// The result of a scene.
#[derive(Clone, Debug)]
pub(super) struct Report {
    /// What was asked for.
    pub(super) args: Args,
    /// Where it ran.
    pub(super) machine: Machine,
    /// What packets and routes were like.
    pub(super) scene: Scene,
    /// By way.
    pub(super) series: Vec<Series>,
}

impl Report {
    /// From measured points (at least one run each) and the counts of each way of `args`.
    pub(super) fn new(
        args: &Args,
        machine: Machine,
        scene: Scene,
        points: Vec<Point>,
        counts: Vec<Result<Counts, String>>,
    ) -> Self {
        let cpus = machine.cpus.len();
        let series = args.ways.iter().zip(counts).map(|(way, counts)| {
            let own = points.iter().filter(|point| point.way.name == way.name);
            let rows = rows(own, cpus);
            Series {
                way,
                usl: law(&rows),
                rows,
                counts,
            }
        });
        let series = series.collect();
        Self {
            args: args.clone(),
            machine,
            scene,
            series,
        }
    }

    /// All rows, way by way.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Series, &Row)> {
        self.series
            .iter()
            .flat_map(|series| series.rows.iter().map(move |row| (series, row)))
    }
}

/// One way's rows; the first of its points has one thread.
fn rows<'a>(points: impl Iterator<Item = &'a Point>, cpus: usize) -> Vec<Row> {
    let mut one_thread = None;
    let row = |point: &Point| {
        let median = |of: fn(&Run) -> f64| {
            Summary::of(&point.runs.iter().map(of).collect::<Vec<_>>())
                .map(|summary| summary.median)
        };
        let runs: Vec<f64> = point.runs.iter().map(|run| run.mpps).collect();
        let mpps = Summary::of(&runs)?;
        let one = *one_thread.get_or_insert(mpps.median / point.threads as f64);
        Some(Row {
            threads: point.threads,
            mpps,
            runs,
            cpu_ns: median(|run| run.cpu_ns)?,
            cpu_share: median(|run| run.cpu_share)?,
            ns_per_packet: 1e3 * point.threads as f64 / mpps.median,
            efficiency: mpps.median / (one * point.threads as f64),
            oversubscribed: point.threads > cpus,
            changes: median(|run| run.changes)?,
        })
    };
    points.filter_map(row).collect()
}

/// The law of the rows with a CPU for each thread.
fn law(rows: &[Row]) -> Result<Usl, String> {
    let fits = rows.iter().filter(|row| !row.oversubscribed);
    let points: Vec<_> = fits
        .map(|row| usl::Point {
            threads: row.threads,
            median: row.mpps.median,
            runs: &row.runs,
        })
        .collect();
    Usl::fit(&points)
}

/// The warning when threads outnumber CPUs.
pub(super) fn oversubscription(threads: &[usize], cpus: usize) -> Option<String> {
    let over: Vec<_> = threads
        .iter()
        .filter(|n| **n > cpus)
        .map(ToString::to_string)
        .collect();
    (!over.is_empty()).then(|| {
        format!(
            "WARNING: only {cpus} CPU(s) can be used: with {} threads several share a CPU and take turns. \
             Those rows (*) show scheduling, not scaling.",
            over.join(", ")
        )
    })
}

/// The warning when other programs took CPU time from rows that had a CPU for each thread.
pub(super) fn disturbance(report: &Report) -> Option<String> {
    let rows = report.rows().filter(|(_, row)| row.disturbed());
    let least = rows.map(|(_, row)| row.cpu_share).min_by(f64::total_cmp)?;
    Some(format!(
        "WARNING: the machine was busy with something else: in rows marked ! threads had their CPUs only part of \
         the time (down to {:.0} %). Compare CPU ns there, or measure again on an idle machine.",
        100.0 * least
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ways::WAYS;

    const SCENE: Scene = Scene {
        flows: 10,
        nexthops: 8,
        churn: 200,
    };

    /// A report of two ways at 1, 2 and 4 threads on two CPUs.
    pub(in crate::contention) fn sample() -> Report {
        let ways = vec![&WAYS[0], &WAYS[1]];
        let args = Args {
            threads: vec![1, 2, 4],
            scenes: vec![SCENE],
            seconds_per_point: 1.0,
            runs: 3,
            ways: ways.clone(),
            count_packets: 8,
            out: "out".into(),
            command: "contention --out out".into(),
        };
        let machine = Machine {
            model: "Test CPU <1 & only>".into(),
            system: "Linux 6".into(),
            packages: 1,
            cores: 2,
            cpus: vec![0, 1],
            topology: Vec::new(),
            caches: vec!["L2 1M".into()],
            shared_caches: Vec::new(),
            virtual_machine: false,
        };
        let mut points = Point::all(&ways, &args.threads);
        let runs = [[10.0, 9.0, 11.0], [5.0, 5.0, 5.0], [4.0, 4.5, 3.5]];
        for (i, point) in points.iter_mut().enumerate() {
            let run = |mpps: &f64| Run {
                mpps: mpps * (i / 3 + 1) as f64,
                cpu_ns: 90.0,
                cpu_share: if i == 1 { 0.5 } else { 1.0 },
                changes: 0.0,
            };
            point.runs = runs[i % 3].iter().map(run).collect();
        }
        let counts = Counts {
            packets: 16,
            instructions: 80.5,
            locked: 10.0,
            shared_rmw: 10.0,
            shared_stores: 0.0,
        };
        Report::new(
            &args,
            machine,
            SCENE,
            points,
            vec![Ok(counts), Err("no ptrace".into())],
        )
    }

    #[test]
    fn efficiency_is_against_as_many_times_one_thread() {
        let report = sample();
        let rows = &report.series[0].rows;
        let efficiency: Vec<_> = rows.iter().map(|row| row.efficiency).collect();
        assert_eq!(efficiency, [1.0, 0.25, 0.1]);
        let ns: Vec<_> = rows.iter().map(|row| row.ns_per_packet).collect();
        assert_eq!(ns, [100.0, 400.0, 1000.0]);
    }

    #[test]
    fn rows_with_more_threads_than_cpus_are_marked() {
        let marked: Vec<_> = sample().series[1]
            .rows
            .iter()
            .map(|row| row.oversubscribed)
            .collect();
        assert_eq!(marked, [false, false, true]);
    }

    #[test]
    fn rows_that_had_no_whole_cpu_are_marked_and_warned_of() {
        let report = sample();
        let marked: Vec<_> = report.rows().map(|(_, row)| row.disturbed()).collect();
        assert_eq!(marked, [false, true, false, false, false, false]);
        assert!(disturbance(&report).is_some_and(|line| line.contains("down to 50 %")));
    }

    #[test]
    fn the_warning_names_the_thread_counts_that_do_not_fit() {
        assert_eq!(oversubscription(&[1, 2], 2), None);
        let warning = oversubscription(&[1, 2, 4, 8], 2).expect("4 and 8 do not fit");
        assert!(warning.contains("with 4, 8 threads"), "{warning}");
    }
}
