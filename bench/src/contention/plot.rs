//! The report as a chart: million packets a second over threads, with what would be ideal, and each way's rate
//! and shared read-modify-writes at its line's end.

use super::report::{Report, Series, disturbance};
use super::usl::Usl;
use crate::chart::{Chart, Ideal, Line};

/// The way that is drawn thicker.
const OURS: &str = "flowgate";
/// Pieces of a model's curve.
const CURVE: u8 = 32;

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
            "The same work in each way: a packet's next hop and link header. {}. Median of {} run(s); bars: least \
             and most. Higher is better.",
            super::described(report.scene),
            report.args.runs
        ),
        model(report),
        report.machine.line(),
    ]
}

/// What the thin dashes are, and what is not claimed.
fn model(report: &Report) -> String {
    match report.series.iter().find_map(|series| series.usl.as_ref().err()) {
        None => "Thin dashes: the Universal Scalability Law, fitted where every thread has a CPU; nothing is drawn or \
                 claimed beyond what was measured."
            .into(),
        Some(why) => format!("No model is fitted: {why}."),
    }
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
        fit: series.usl.as_ref().map(curve).unwrap_or_default(),
    }
}

/// A law over the numbers of threads that it was fitted to, and no further.
fn curve(law: &Usl) -> Vec<(f64, f64)> {
    let most = (law.most_threads as f64).ln();
    let threads = (0..=CURVE).map(|i| (most * f64::from(i) / f64::from(CURVE)).exp());
    threads.map(|n| (n, law.rate(n))).collect()
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
        assert!(svg.contains("No model is fitted: 2 number(s)"));
    }

    #[test]
    fn a_law_is_drawn_as_far_as_it_was_fitted() {
        let law = Usl {
            one: 10.0,
            sigma: 0.1,
            kappa: 0.0,
            residual_percent: 1.0,
            most_threads: 8,
        };
        let curve = curve(&law);
        assert_eq!(curve.first(), Some(&(1.0, 10.0)));
        assert!(curve.last().is_some_and(|(n, _)| (n - 8.0).abs() < 1e-9));
    }
}
