//! The picture of lifetimes: what a packet costs over the number of flows, for each way of keeping them.

use super::super::args::Section;
use super::super::report::{OURS, Report, Row};
use crate::chart::{Chart, Line};
use crate::common::text::{short, significant};

/// What is drawn; nothing if lifetimes were not measured at two sizes or more.
pub(super) fn expiry(report: &Report) -> Option<Chart> {
    let rows: Vec<&Row> = report.of(Section::Expiry).collect();
    let mut sizes: Vec<usize> = rows.iter().map(|row| row.series.flows).collect();
    sizes.sort_unstable();
    sizes.dedup();
    if sizes.len() < 2 {
        return None;
    }
    let mut ways: Vec<&str> = Vec::new();
    for row in &rows {
        if !ways.contains(&row.series.way.as_str()) {
            ways.push(&row.series.way);
        }
    }
    Some(Chart {
        title: "What it costs a packet that flows have lifetimes".into(),
        how: vec![
            format!(
                "Nanoseconds for a packet of a random flow: found and followed in Flowgate's table, its lifetime kept \
                 in each way. Median of {} run(s); bars: least and most. Lower is better.",
                report.runs
            ),
            "flowgate: last use in the entry, and a hand. Others: a timer for each flow, re-armed by each packet; \
             the sorted list, walked from its head, to 10,000 flows only."
                .into(),
            report.machine.line(),
        ],
        warning: report.notes.iter().find(|note| note.starts_with("WARNING")).cloned(),
        across: "flows in the table (log scale)".into(),
        upright: "nanoseconds of CPU time a packet (log scale)".into(),
        ticks: sizes.iter().map(|size| (*size as f64, short(*size))).collect(),
        lines: ways.iter().map(|way| line(&rows, way)).collect(),
        ideal: None,
        shade: None,
    })
}

fn line(rows: &[&Row], way: &str) -> Line {
    let mut own: Vec<&&Row> = rows.iter().filter(|row| row.series.way == way).collect();
    own.sort_by_key(|row| row.series.flows);
    let note = own.last().map_or_else(String::new, |row| {
        let (ns, flows) = (significant(row.summary.median), short(row.series.flows));
        format!("{ns} ns a packet at {flows} flows")
    });
    Line {
        name: way.into(),
        note,
        ours: way == OURS,
        points: own
            .iter()
            .map(|row| (row.series.flows as f64, row.summary))
            .collect(),
        fit: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::report::tests::sample;
    use super::*;

    #[test]
    fn each_way_has_a_line_with_its_sizes() {
        let chart = expiry(&sample()).expect("two sizes");
        let names: Vec<_> = chart.lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, [OURS, "wheel"]);
        assert_eq!(chart.lines[1].note, "30.0 ns a packet at 10k flows");
        assert_eq!(chart.ticks.len(), 2);
    }

    #[test]
    fn one_size_is_no_picture() {
        let mut report = sample();
        report.rows.retain(|row| row.series.flows == 1000);
        assert!(expiry(&report).is_none());
    }
}
