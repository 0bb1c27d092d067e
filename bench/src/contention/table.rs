//! The report as text for a terminal.

use super::report::{Report, Row, Series, disturbance, oversubscription};
use crate::step::Counts;
use std::fmt::Write;

/// The whole report, ending with a newline.
pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, report);
    out
}

fn write_all(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(out, "\n{}", report.machine.line())?;
    writeln!(
        out,
        "{}; median of {} run(s) of {} s\n",
        super::described(report.scene),
        report.args.runs,
        report.args.seconds_per_point
    )?;
    writeln!(
        out,
        "{:<10} {:>8} {:>9} {:>10} {:>8} {:>11} {:>7} {:>11} {:>14}",
        "way",
        "threads",
        "Mpps",
        "ns/packet",
        "CPU ns",
        "efficiency",
        "spread",
        "shared RMW",
        "shared stores"
    )?;
    for (series, row) in report.rows() {
        write_row(out, series, row)?;
    }
    write_notes(out, report)
}

fn write_row(out: &mut String, series: &Series, row: &Row) -> std::fmt::Result {
    let count = |of: fn(&Counts) -> f64| match &series.counts {
        Ok(counts) => format!("{:.2}", of(counts)),
        Err(_) => "-".into(),
    };
    writeln!(
        out,
        "{:<10} {:>7}{} {:>9.2} {:>10.1} {:>8.1} {:>11.2} {:>6.0}% {:>11} {:>14}",
        series.way.name,
        row.threads,
        mark(row),
        row.mpps.median,
        row.ns_per_packet,
        row.cpu_ns,
        row.efficiency,
        row.mpps.spread_percent(),
        count(|counts| counts.shared_rmw),
        count(|counts| counts.shared_stores),
    )
}

/// How each way scales, by the model, and where route changes could not keep up.
fn write_models(out: &mut String, report: &Report) -> std::fmt::Result {
    for series in &report.series {
        match &series.usl {
            Ok(law) => writeln!(out, "{:<10} {}", series.way.name, law.line())?,
            Err(why) => {
                writeln!(out, "no model (USL) is fitted: {why}")?;
                break;
            }
        }
    }
    for (series, row) in report.rows().filter(|(_, row)| lags(report, row)) {
        writeln!(
            out,
            "{:<10} x {}: only {:.0} of {} route changes a second were made",
            series.way.name, row.threads, row.changes, report.scene.churn
        )?;
    }
    Ok(())
}

/// Whether route changes could not keep up.
fn lags(report: &Report, row: &Row) -> bool {
    row.changes < 0.9 * report.scene.churn as f64
}

/// One letter that says what to think of a row.
fn mark(row: &Row) -> char {
    match row {
        row if row.oversubscribed => '*',
        row if row.disturbed() => '!',
        _ => ' ',
    }
}

fn write_notes(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(
        out,
        "\nMpps: all threads together. ns/packet: one thread's; CPU ns: of CPU time.\n\
         efficiency: of as many times one thread. spread: least to most of the runs.\n\
         shared RMW, stores: a packet, on cache lines that another thread touches too, counted by\n\
         single-stepping the code that was measured."
    )?;
    for series in &report.series {
        match &series.counts {
            Ok(counts) => writeln!(
                out,
                "{:<10} {}: {:.0} instructions a packet, {:.2} of them locked",
                series.way.name, series.way.about, counts.instructions, counts.locked
            )?,
            Err(why) => writeln!(
                out,
                "{:<10} {}: not counted: {why}",
                series.way.name, series.way.about
            )?,
        }
    }
    write_models(out, report)?;
    let crowded = oversubscription(&report.args.threads, report.machine.cpus.len());
    for warning in [crowded, disturbance(report)].into_iter().flatten() {
        writeln!(out, "\n{warning}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::*;

    #[test]
    fn a_row_has_each_number_under_its_heading() {
        let text = render(&sample());
        let row = text
            .lines()
            .find(|line| line.starts_with("freebsd8 "))
            .expect("a row");
        let words: Vec<_> = row.split_whitespace().collect();
        assert_eq!(
            words,
            [
                "freebsd8", "1", "10.00", "100.0", "90.0", "1.00", "20%", "10.00", "0.00"
            ]
        );
    }

    #[test]
    fn what_does_not_fit_the_machine_is_marked_and_warned_of() {
        let text = render(&sample());
        assert_eq!(text.matches(" 4*").count(), 2);
        assert!(text.contains("WARNING: only 2 CPU(s)"));
        assert_eq!(text.matches(" 2!").count(), 1);
        assert!(text.contains("WARNING: the machine was busy"));
    }

    #[test]
    fn what_was_not_counted_says_why() {
        let text = render(&sample());
        assert!(text.contains("not counted: no ptrace"));
        assert!(
            text.contains("no model (USL) is fitted: 2 number(s)"),
            "{text}"
        );
        assert!(text.contains("only 0 of 200 route changes"), "{text}");
    }
}
