//! The report as text for a terminal: a table for each thing that was measured, a column for each number of flows.

use super::super::args::Section;
use super::super::report::{Report, Row};
use crate::common::text::{short, significant};
use std::fmt::Write;

/// The whole report, ending with a newline.
pub(in crate::flows) fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, report);
    out
}

fn write_all(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(out, "\n{}", report.machine.line())?;
    writeln!(
        out,
        "median of {} run(s), (least to most); ns: of CPU time; x: times Flowgate's best",
        report.runs
    )?;
    for note in &report.notes {
        writeln!(out, "{note}")?;
    }
    for section in Section::ALL {
        let rows: Vec<&Row> = report.of(section).collect();
        for about in unique(rows.iter().map(|row| about(row))) {
            let own: Vec<&Row> = rows
                .iter()
                .copied()
                .filter(|row| self::about(row) == about)
                .collect();
            write_table(out, section, &about, &own)?;
        }
    }
    Ok(())
}

/// Whether a section is about Flowgate alone: then its lines are what was measured.
fn alone(section: Section) -> bool {
    matches!(section, Section::Flood | Section::Reader)
}

/// What a table is about: the same for all of its rows.
fn about(row: &Row) -> String {
    let series = &row.series;
    if alone(series.section) {
        return series.traffic.clone();
    }
    let traffic = match series.traffic.as_str() {
        "" => String::new(),
        traffic => format!(", {traffic}"),
    };
    format!("{}{traffic}, {}", series.what, series.unit)
}

/// The name of a row's line.
fn label(row: &Row) -> String {
    let series = &row.series;
    match alone(series.section) {
        true => format!("{}, {}", series.what, series.unit),
        false => format!("{} {}", series.way, series.detail)
            .trim_end()
            .into(),
    }
}

fn write_table(out: &mut String, section: Section, about: &str, rows: &[&Row]) -> std::fmt::Result {
    let mut sizes: Vec<usize> = rows.iter().map(|row| row.series.flows).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let title = format!("{}: {about}", section.name());
    writeln!(out, "\n{}", title.trim_end_matches(": "))?;
    let labels = unique(rows.iter().map(|row| label(row)));
    let width = labels.iter().map(String::len).max().unwrap_or(0);
    let headings: String = sizes
        .iter()
        .map(|size| format!("{:>32}", short(*size)))
        .collect();
    writeln!(out, "{:<width$}{headings}", "")?;
    for name in labels {
        let cell = |size: &usize| {
            let found = rows
                .iter()
                .find(|row| row.series.flows == *size && label(row) == name);
            format!("{:>32}", found.map_or_else(|| "-".into(), |row| cell(row)))
        };
        writeln!(
            out,
            "{name:<width$}{}",
            sizes.iter().map(cell).collect::<String>()
        )?;
    }
    Ok(())
}

/// Median, least and most, ratio.
fn cell(row: &Row) -> String {
    let [median, min, max] =
        [row.summary.median, row.summary.min, row.summary.max].map(significant);
    let ratio = row
        .times_flowgate
        .map_or_else(String::new, |ratio| format!(" x{}", significant(ratio)));
    format!("{median} ({min} to {max}){ratio}")
}

/// Each once, in the order of their first.
fn unique(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for one in all {
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::super::report::tests::sample;
    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_way_with_its_ratio() {
        let text = render(&sample());
        assert!(text.contains("hit: a packet, uniform, ns"), "{text}");
        let line = text
            .lines()
            .find(|line| line.starts_with("slow, map its own"));
        let words: Vec<_> = line.expect("a line").split_whitespace().collect();
        assert_eq!(
            words[5..],
            ["44.0", "(40.0", "to", "48.0)", "x4.00"],
            "{words:?}"
        );
        assert!(text.contains("WARNING"));
    }

    #[test]
    fn sizes_are_columns() {
        let text = render(&sample());
        let at = text.find("expiry: a packet, ns").expect("a table");
        let mut lines = text[at..].lines().skip(1);
        let headings: Vec<_> = lines.next().expect("headings").split_whitespace().collect();
        assert_eq!(headings, ["1k", "10k"]);
    }
}
