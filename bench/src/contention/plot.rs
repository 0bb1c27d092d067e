//! The report as a chart: million packets a second over threads, with what would be ideal, and each way's rate
//! and shared read-modify-writes at its line's end.

use super::report::{Report, Series, disturbance};
use crate::chart::{Chart, Ideal, Line};

/// The way that is drawn thicker.
const OURS: &str = "flowgate";

/// What is drawn.
pub(super) fn chart(report: &Report) -> Chart {
    let cpus = report.machine.cpus.len();
    let busy = "The machine was busy with other programs while this was measured: the rates are too low. Measure \
                again.";
    Chart {
        title: "Resolving a packet's output: what sharing costs".into(),
        how: how(report),
        warning: disturbance(report).map(|_| busy.into()),
        across: "threads, each pinned to a CPU (log scale)".into(),
        upright: "million packets a second, all threads together (log scale)".into(),
        ticks: report
            .args
            .threads
            .iter()
            .map(|n| (*n as f64, n.to_string()))
            .collect(),
        lines: report.series.iter().map(line).collect(),
        ideal: ideal(report),
        shade: Some((cpus as f64, format!("more threads than CPUs ({cpus})"))),
    }
}

/// What is shown, how to read it, on what it ran.
fn how(report: &Report) -> Vec<String> {
    vec![
        format!(
            "The same work in each way: next hop and link header for a packet of one of {} flows a thread, one \
             default route. Median of {} run(s); bars: least and most. Higher is better.",
            report.args.flows, report.args.runs
        ),
        report.machine.line(),
    ]
}

/// What the fastest way on one thread would reach if every CPU added as much as the first.
fn ideal(report: &Report) -> Option<Ideal> {
    let one = best_of_one_thread(report)?;
    let cpus = report.machine.cpus.len();
    let point = |n: &usize| (*n as f64, one * (*n).min(cpus) as f64);
    Some(Ideal {
        name: "ideal: each CPU adds as much".into(),
        points: report.args.threads.iter().map(point).collect(),
    })
}

/// The highest rate of one thread among the ways.
fn best_of_one_thread(report: &Report) -> Option<f64> {
    let one = report
        .rows()
        .filter(|(_, row)| row.threads == 1)
        .map(|(_, row)| row.mpps.median);
    one.max_by(f64::total_cmp)
}

/// A way's line: its rate where every thread has a CPU, its cost.
fn line(series: &Series) -> Line {
    let fits = series.rows.iter().rfind(|row| !row.oversubscribed);
    let rate = fits.map_or(String::new(), |row| {
        let cpus = if row.threads == 1 { "CPU" } else { "CPUs" };
        format!(" · {:.1} Mpps on {} {cpus}", row.mpps.median, row.threads)
    });
    let cost = match &series.counts {
        Ok(counts) => format!(
            "{:.1} shared read-modify-writes a packet",
            counts.shared_rmw
        ),
        Err(_) => series.way.about.into(),
    };
    Line {
        name: format!("{}{rate}", series.way.name),
        note: cost,
        ours: series.way.name == OURS,
        points: series
            .rows
            .iter()
            .map(|row| (row.threads as f64, row.mpps))
            .collect(),
        fit: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::*;
    use crate::chart::render;

    #[test]
    fn the_picture_names_ways_machine_and_axes() {
        let svg = render(&chart(&sample())).expect("drawn");
        for words in [
            "freebsd8",
            "rwlock",
            "Test CPU",
            "threads",
            "million packets",
            "ideal",
            "was busy",
        ] {
            assert!(svg.contains(words), "{words} is missing");
        }
        assert!(svg.contains("than CPUs (2)"));
        assert!(svg.contains("5.0 Mpps on 2 CPUs"));
    }
}
