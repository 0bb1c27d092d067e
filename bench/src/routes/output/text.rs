//! The report as text for a terminal.

use super::super::report::{Figure, LookupRow, MemoryRow, Report};
use super::ratios;
use crate::common::text::significant;
use std::fmt::Write;

/// The columns of a lookup table.
const PATTERNS: [&str; 4] = ["in-prefix", "uniform", "zipf", "dependent"];

/// The whole report, ending with a newline.
pub(in crate::routes) fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, report);
    out
}

fn write_all(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(out, "\n{}\n{}", report.machine.line(), report.table)?;
    for note in &report.notes {
        writeln!(out, "{note}")?;
    }
    for scene in scenes(&report.lookups) {
        write_lookups(out, report, scene)?;
    }
    if !report.memory.is_empty() {
        write_memory(out, &report.memory)?;
    }
    if !report.change.is_empty() {
        write_change(out, report)?;
    }
    for what in &report.skipped {
        writeln!(out, "\nSKIPPED {what}")?;
    }
    Ok(())
}

/// A table, a model of next hops, a family.
type Scene = (&'static str, &'static str, &'static str);

fn scene_of(row: &LookupRow) -> Scene {
    (row.size, row.model, row.family)
}

/// Each scene once, in order.
fn scenes(rows: &[LookupRow]) -> Vec<Scene> {
    let mut scenes: Vec<Scene> = rows.iter().map(scene_of).collect();
    scenes.dedup();
    scenes
}

fn write_lookups(out: &mut String, report: &Report, scene: Scene) -> std::fmt::Result {
    let rows: Vec<&LookupRow> = report
        .lookups
        .iter()
        .filter(|row| scene_of(row) == scene)
        .collect();
    let routes = rows.first().map_or(0, |row| row.routes);
    let (size, model, family) = scene;
    writeln!(
        out,
        "\n{family}, {routes} routes ({size}), next hops {model}: ns per lookup, median of {} run(s)",
        report.runs
    )?;
    let headings = PATTERNS.map(|pattern| format!("{pattern:>24}")).concat();
    writeln!(out, "{:<18}{headings}", "way")?;
    let mut ways: Vec<&str> = rows.iter().map(|row| row.way).collect();
    ways.sort_by_key(|way| rows.iter().position(|row| row.way == *way));
    ways.dedup();
    for way in ways {
        let cell = |pattern: &str| {
            let row = rows
                .iter()
                .find(|row| row.way == way && row.pattern == pattern);
            row.map_or_else(|| "-".into(), |row| lookup_cell(report, row))
        };
        let cells = PATTERNS
            .map(|pattern| format!("{:>24}", cell(pattern)))
            .concat();
        writeln!(out, "{way:<18}{cells}")?;
    }
    writeln!(out, "(times the best crate's speed, times dir-24-8's)")
}

fn lookup_cell(report: &Report, row: &LookupRow) -> String {
    let ratios = ratios(report, row);
    let times = |ratio: Option<f64>| ratio.map_or_else(|| "-".into(), significant);
    let ns = significant(row.ns.median);
    match ratios.dir24 {
        Some(_) => format!(
            "{ns} ({}, {})",
            times(ratios.best_crate),
            times(ratios.dir24)
        ),
        None => format!("{ns} ({})", times(ratios.best_crate)),
    }
}

fn write_memory(out: &mut String, rows: &[MemoryRow]) -> std::fmt::Result {
    writeln!(
        out,
        "\nMemory\n{:<18}{:<16}{:<7}{:>10}{:>10}{:>9}",
        "way", "what", "family", "routes", "MB", "B/route"
    )?;
    let mut last = None;
    for row in rows {
        if last.replace((row.size, row.model)) != Some((row.size, row.model)) {
            writeln!(out, "({}, {})", row.size, row.model)?;
        }
        writeln!(
            out,
            "{:<18}{:<16}{:<7}{:>10}{:>10.2}{:>9.1}",
            row.way,
            row.what,
            row.family,
            row.routes,
            row.bytes as f64 / 1e6,
            row.bytes as f64 / row.routes as f64
        )?;
    }
    Ok(())
}

fn write_change(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(
        out,
        "\nChange (median of {} run(s), least to most)",
        report.runs
    )?;
    let mut last = "";
    for figure in &report.change {
        let section = if figure.section == last {
            ""
        } else {
            figure.section
        };
        last = figure.section;
        writeln!(out, "{section:<11} {}", figure_line(figure))?;
    }
    Ok(())
}

fn figure_line(figure: &Figure) -> String {
    let ends = figure.ends.map_or_else(String::new, |(min, max)| {
        format!("  ({} to {})", significant(min), significant(max))
    });
    format!(
        "{:<58} {:>12} {}{ends}",
        figure.what,
        significant(figure.value),
        figure.unit
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::report::tests::sample;
    use super::*;

    #[test]
    fn a_way_has_its_time_and_ratios_under_each_pattern() {
        let text = render(&sample());
        let line = |start: &str| {
            text.lines()
                .find(|line| line.starts_with(start))
                .expect("a row")
        };
        let words: Vec<_> = line("flowgate ").split_whitespace().collect();
        assert_eq!(
            words,
            ["flowgate", "4.00", "(20.0,", "0.50)", "-", "-", "-"]
        );
        let words: Vec<_> = line("slow ").split_whitespace().collect();
        assert_eq!(words[..4], ["slow", "80.0", "(1.00,", "0.03)"]);
    }

    #[test]
    fn memory_and_changes_are_shown_with_what_was_skipped() {
        let mut report = sample();
        report.skipped.push("replay: no file".into());
        let text = render(&report);
        assert!(text.contains("33.70"), "{text}");
        assert!(text.contains("2.00 updates/s  (1.00 to 3.00)"), "{text}");
        assert!(text.ends_with("SKIPPED replay: no file\n"), "{text}");
    }
}
