//! The report as text, comma-separated values, JSON and a picture.

mod csv;
mod plot;
pub(super) mod text;

use super::args::Section;
use super::report::Report;
use crate::chart;
use std::io;
use std::path::Path;

/// Writes `flows.json`, a CSV for each section that was measured, and the picture of lifetimes if they were measured
/// at several sizes; says so.
pub(super) fn write_files(report: &Report, out: &Path) -> io::Result<()> {
    let json = serde_json::to_string_pretty(report)? + "\n";
    let mut files = vec![(String::from("flows.json"), json.into_bytes())];
    for section in Section::ALL {
        if report.of(section).next().is_some() {
            let name = format!("flows-{}.csv", section.name());
            files.push((name, csv::render(report, section).into_bytes()));
        }
    }
    if let Some(chart) = plot::expiry(report) {
        let svg = chart::render(&chart).map_err(io::Error::other)?;
        let png = chart::png(&svg).map_err(io::Error::other)?;
        files.push(("flows-expiry.svg".into(), svg.into_bytes()));
        files.push(("flows-expiry.png".into(), png));
    }
    for (name, bytes) in files {
        std::fs::write(out.join(&name), bytes)?;
        println!("wrote {}", out.join(&name).display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::*;

    #[test]
    fn every_file_is_written_and_the_document_has_the_machine_and_every_run() {
        let out = std::env::temp_dir().join(format!("flowgate-flows-{}", std::process::id()));
        std::fs::create_dir_all(&out).expect("a folder");
        write_files(&sample(), &out).expect("written");
        let text = std::fs::read_to_string(out.join("flows.json")).expect("there");
        let written = std::fs::read_dir(&out).expect("a folder").count();
        std::fs::remove_dir_all(&out).expect("ours");
        assert_eq!(written, 5);
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert!(document["machine"]["model"].is_string());
        assert_eq!(document["rows"][0]["runs"], serde_json::json!([20.0, 22.0]));
        assert_eq!(document["rows"][0]["section"], "hit");
    }
}
