//! What the demo prints in the end: the table, or the same as JSON.
//!
//! Pure: reports in, text out.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::compare::Compared;
use super::judge::Breaks;
use super::stage::EventReport;

/// The whole demo's result.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) has_v6: bool,
    pub(crate) connections: usize,
    pub(crate) workers: usize,
    pub(crate) events: Vec<EventReport>,
    /// From the first connection to the last event, in milliseconds.
    pub(crate) took_ms: u64,
}

impl Report {
    /// Whether no flow of a next hop that stays moved or broke, and the books agree.
    pub(crate) fn is_good(&self) -> bool {
        self.failures().next().is_none()
    }

    /// What must not be, each with its event.
    pub(crate) fn failures(&self) -> impl Iterator<Item = String> + '_ {
        self.events.iter().flat_map(|event| {
            event
                .outcome
                .failures
                .iter()
                .map(move |line| format!("{}: {line}", event.title))
        })
    }

    /// The table, and the verdict below it.
    pub(crate) fn table(&self) -> String {
        let mut rows = vec![headings()];
        rows.extend(self.events.iter().map(row));
        let mut text = align(&BANDS, &rows);
        let staying = self.events.iter().map(|event| &event.outcome.staying);
        let collateral: usize = staying.map(|s| s.moved + sum(&s.broke)).sum();
        let _ = writeln!(
            text,
            "\n{} kernel TCP connections ({}), {} workers, {} events in {:.1} s: \
             {collateral} flows moved or broke although their next hop stays.",
            self.connections,
            if self.has_v6 {
                "half of them IPv6"
            } else {
                "IPv4 only"
            },
            self.workers,
            self.events.len(),
            self.took_ms as f64 / 1000.0,
        );
        for line in self.failures() {
            let _ = writeln!(text, "FAILED {line}");
        }
        text
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        json!({
            "ok": self.is_good(),
            "ipv6": self.has_v6,
            "connections": self.connections,
            "workers": self.workers,
            "milliseconds": self.took_ms,
            "events": self.events.iter().map(event_json).collect::<Vec<_>>(),
            "failures": self.failures().collect::<Vec<_>>(),
        })
    }
}

/// The line that tells an event's outcome while the demo goes on.
pub(crate) fn outcome_line(event: &EventReport) -> String {
    let (staying, leaving) = (&event.outcome.staying, &event.outcome.leaving);
    let mut line = format!(
        "  {} of {} flows stayed (slowest answer {} ms)",
        staying.stayed, staying.flows, staying.slowest_ms
    );
    if let Some(server) = event.leaves {
        let how = leaving.broke.keys().copied().collect::<Vec<_>>().join(", ");
        let _ = write!(
            line,
            "; of {server}'s own {}: {} moved ({}), {} broke as they must ({how}), {} silent",
            leaving.flows,
            leaving.moved,
            reasons(event),
            sum(&leaving.broke),
            leaving.silent
        );
    }
    let fresh: Vec<String> = event
        .fresh
        .iter()
        .map(|(no, n)| format!("{no} {n}"))
        .collect();
    let _ = write!(line, "\n  new flows: {}", fresh.join(", "));
    for failure in &event.outcome.failures {
        let _ = write!(line, "\n  FAILED {failure}");
    }
    line
}

/// The upper line of the heading: a title over so many columns each.
const BANDS: [(&str, usize); 4] = [
    ("", 1),
    ("flows whose next hop stays", 5),
    ("flows of the one that left", 5),
    ("others move needlessly", 3),
];

fn headings() -> Vec<String> {
    let words = [
        "event",
        "flows",
        "stayed",
        "moved",
        "broke",
        "slowest",
        "flows",
        "silent",
        "moved",
        "why",
        "broke",
        "mod n",
        "RFC 2992",
        "resilient",
    ];
    words.map(str::to_owned).to_vec()
}

fn row(event: &EventReport) -> Vec<String> {
    let (staying, leaving) = (&event.outcome.staying, &event.outcome.leaving);
    let mut cells = vec![event.title.clone()];
    let counts = [
        staying.flows,
        staying.stayed,
        staying.moved,
        sum(&staying.broke),
    ];
    cells.extend(counts.map(|n| n.to_string()));
    cells.push(format!("{} ms", staying.slowest_ms));
    if event.leaves.is_some() {
        cells.extend([leaving.flows, leaving.silent, leaving.moved].map(|n| n.to_string()));
        cells.extend([reasons(event), sum(&leaving.broke).to_string()]);
    } else {
        cells.extend(["-"; 5].map(str::to_owned));
    }
    cells.extend(event.others.iter().map(share));
    cells
}

fn sum(breaks: &Breaks) -> usize {
    breaks.values().sum()
}

/// The reasons of the moves: `dead`, or `dead 3, policy 1`.
fn reasons(event: &EventReport) -> String {
    let reasons = &event.outcome.reasons;
    match reasons.len() {
        0 => "-".into(),
        1 => reasons.keys().cloned().collect(),
        _ => reasons
            .iter()
            .map(|(why, n)| format!("{why} {n}"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

fn share(compared: &Compared) -> String {
    let percent = 100.0 * compared.moved as f64 / compared.of.max(1) as f64;
    format!("{} ({percent:.0} %)", compared.moved)
}

/// Rows in columns, the first to the left and the others to the right, under the bands' titles.
fn align(bands: &[(&str, usize)], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let mut widths: Vec<usize> = (0..).map_while(width).collect();
    let (mut upper, mut column) = (String::new(), 0);
    for (title, columns) in bands {
        let band = widths.get_mut(column..column + columns).unwrap_or_default();
        let missing = title
            .len()
            .saturating_sub(band.iter().sum::<usize>() + 2 * (columns - 1));
        if let Some(first) = band.first_mut() {
            *first += missing;
        }
        let span = band.iter().sum::<usize>() + 2 * (columns - 1);
        let _ = write!(
            upper,
            "{}{title:^span$}",
            if column > 0 { " | " } else { "" }
        );
        column += columns;
    }
    let starts: Vec<usize> = bands
        .iter()
        .scan(0, |at, (_, columns)| {
            *at += columns;
            Some(*at)
        })
        .collect();
    let mut text = format!("{}\n", upper.trim_end());
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 => write!(text, "{cell:<width$}"),
                _ if starts.contains(&column) => write!(text, " | {cell:>width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        text.push('\n');
    }
    text
}

fn event_json(event: &EventReport) -> Value {
    let (staying, leaving) = (&event.outcome.staying, &event.outcome.leaving);
    let fresh: serde_json::Map<String, Value> = event
        .fresh
        .iter()
        .map(|(no, &n)| (no.to_string(), n.into()))
        .collect();
    let others: Vec<Value> = event
        .others
        .iter()
        .map(|c| json!({ "model": c.model, "moved": c.moved, "of": c.of }))
        .collect();
    json!({
        "event": event.title,
        "staying": {
            "flows": staying.flows, "stayed": staying.stayed, "moved": staying.moved,
            "broke": staying.broke, "slowest_answer_milliseconds": staying.slowest_ms,
        },
        "leaving": event.leaves.map(|server| json!({
            "nexthop": server.to_string(), "flows": leaving.flows, "silent": leaving.silent,
            "moved": leaving.moved, "broke": leaving.broke,
        })),
        "reasons": event.outcome.reasons,
        "new_flows": fresh,
        "others": others,
        "failures": event.outcome.failures,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::addressing::ServerNo;
    use crate::demo::judge::{Leaving, Outcome, Staying};
    use std::collections::BTreeMap;

    fn report(failures: &[&str]) -> Report {
        let others =
            ["(src xor dst) mod n", "hash-threshold", "resilient buckets"].map(|model| Compared {
                model,
                moved: 531,
                of: 853,
            });
        let outcome = Outcome {
            staying: Staying {
                flows: 853,
                stayed: 853,
                moved: 0,
                broke: Breaks::new(),
                slowest_ms: 61,
            },
            leaving: Leaving {
                flows: 147,
                silent: 40,
                moved: 107,
                broke: Breaks::from([("reset", 107)]),
            },
            reasons: BTreeMap::from([("dead".to_owned(), 107)]),
            failures: failures.iter().map(|&line| line.to_owned()).collect(),
        };
        let fresh = BTreeMap::from([(ServerNo(0), 120), (ServerNo(3), 80)]);
        let killed = EventReport {
            title: "srv3 killed".into(),
            leaves: Some(ServerNo(2)),
            outcome,
            others,
            fresh,
        };
        let mut added = killed.clone();
        added.title = "srv6 added".into();
        added.leaves = None;
        added.outcome.reasons.clear();
        added.outcome.failures.clear();
        let events = vec![added, killed];
        Report {
            has_v6: true,
            connections: 1000,
            workers: 2,
            events,
            took_ms: 12_345,
        }
    }

    #[test]
    fn the_table_has_a_line_an_event_with_its_columns_below_their_headings() {
        let expected = "\
            |           flows whose next hop stays           |     flows of the one that left     | others move needlessly
event       | flows  stayed  moved  broke  slowest | flows  silent  moved   why  broke | mod n    RFC 2992   resilient
";
        let table = report(&[]).table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 6, "{table}");
        let bars = |line: &str| {
            line.match_indices('|')
                .map(|(at, _)| at)
                .collect::<Vec<_>>()
        };
        assert!(
            lines[..4].iter().all(|line| bars(line) == bars(lines[0])),
            "{table}"
        );
        assert_eq!(bars(lines[0]).len(), 3, "{table}");
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(lines[1]), words(expected.lines().nth(1).unwrap()));
        assert_eq!(
            words(lines[3]),
            "srv3 killed | 853 853 0 0 61 ms | 147 40 107 dead 107 | 531 (62 %) 531 (62 %) 531 (62 %)"
        );
        assert!(lines[2].contains("|     -"), "{table}");
        assert!(
            lines[5].ends_with("in 12.3 s: 0 flows moved or broke although their next hop stays.")
        );
    }

    #[test]
    fn failures_are_told_below_the_table_and_make_the_report_bad() {
        assert!(report(&[]).is_good());
        let bad = report(&["c7 broke although srv1 stays: reset"]);
        assert!(!bad.is_good());
        assert!(
            bad.table()
                .ends_with("FAILED srv3 killed: c7 broke although srv1 stays: reset\n")
        );
    }

    #[test]
    fn the_json_says_the_same() {
        let json = report(&["x"]).json();
        assert_eq!(json["ok"], false);
        assert_eq!(json["failures"][0], "srv3 killed: x");
        assert_eq!(json["events"][0]["leaving"], Value::Null);
        assert_eq!(json["events"][1]["leaving"]["nexthop"], "srv3");
        assert_eq!(json["events"][1]["reasons"]["dead"], 107);
        assert_eq!(json["events"][1]["new_flows"]["srv4"], 80);
        assert_eq!(json["events"][1]["others"][0]["of"], 853);
    }

    #[test]
    fn an_outcome_line_tells_what_left_only_when_something_did() {
        let report = report(&[]);
        let added = outcome_line(&report.events[0]);
        assert!(!added.contains("own"), "{added}");
        let killed = outcome_line(&report.events[1]);
        assert!(
            killed.contains(
                "of srv3's own 147: 107 moved (dead), 107 broke as they must (reset), 40"
            ),
            "{killed}"
        );
        assert!(killed.contains("new flows: srv1 120, srv4 80"), "{killed}");
    }
}
