//! The report as text, comma-separated values and JSON.

mod csv;
pub(super) mod text;

use super::report::{LookupRow, Report};
use std::io;
use std::path::Path;

/// Writes `routes.json` and `routes-{lookup,memory,change}.csv` into `out`, and says so.
pub(super) fn write_files(report: &Report, out: &Path) -> io::Result<()> {
    let files = [
        ("routes.json", serde_json::to_string_pretty(report)? + "\n"),
        ("routes-lookup.csv", csv::lookups(report)),
        ("routes-memory.csv", csv::memory(report)),
        ("routes-change.csv", csv::change(report)),
    ];
    for (name, text) in files {
        std::fs::write(out.join(name), text)?;
        println!("wrote {}", out.join(name).display());
    }
    Ok(())
}

/// How many times the nanoseconds of `row` another way needs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Ratios {
    /// The fastest crate.
    best_crate: Option<f64>,
    dir24: Option<f64>,
}

fn ratios(report: &Report, row: &LookupRow) -> Ratios {
    let scene = |row: &LookupRow| (row.size, row.model, row.family, row.pattern);
    let beside = || {
        report
            .lookups
            .iter()
            .filter(|other| scene(other) == scene(row))
    };
    let times = |other: &LookupRow| other.ns.median / row.ns.median;
    Ratios {
        best_crate: beside()
            .filter(|other| other.is_crate)
            .map(times)
            .min_by(f64::total_cmp),
        dir24: beside().find(|other| other.way == "dir-24-8").map(times),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::*;

    #[test]
    fn ratios_are_against_ways_on_the_same_table_and_pattern() {
        let report = sample();
        let expected = Ratios {
            best_crate: Some(20.0),
            dir24: Some(0.5),
        };
        assert_eq!(ratios(&report, &report.lookups[0]), expected);
    }

    #[test]
    fn every_file_is_written_and_the_document_has_the_machine_and_every_run() {
        let out = std::env::temp_dir().join(format!("flowgate-routes-{}", std::process::id()));
        std::fs::create_dir_all(&out).expect("a folder");
        write_files(&sample(), &out).expect("written");
        let text = std::fs::read_to_string(out.join("routes.json")).expect("there");
        std::fs::remove_dir_all(&out).expect("ours");
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert!(document["machine"]["model"].is_string());
        assert_eq!(
            document["lookups"][0]["times"]["ns"],
            serde_json::json!([4.0, 5.0, 3.0])
        );
    }
}
