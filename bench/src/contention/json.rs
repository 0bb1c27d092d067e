//! The report as JSON: the machine, the command, every run of every point.

use super::report::{Report, Row, Series};
use super::usl::Usl;
use crate::common::machine::Machine;
use crate::step::Counts;
use serde::Serialize;
use std::io;

#[derive(Serialize)]
struct Document<'a> {
    benchmark: &'static str,
    command: &'a str,
    machine: &'a Machine,
    seconds_per_point: f64,
    scenes: Vec<ScenePart<'a>>,
}

#[derive(Serialize)]
struct ScenePart<'a> {
    flows_per_thread: usize,
    next_hops: usize,
    churn_per_second: usize,
    ways: Vec<WayPart<'a>>,
}

#[derive(Serialize)]
struct WayPart<'a> {
    way: &'static str,
    about: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_packet: Option<&'a Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_counted: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usl: Option<&'a Usl>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_fitted: Option<&'a str>,
    points: Vec<PointPart<'a>>,
}

#[derive(Serialize)]
struct PointPart<'a> {
    threads: usize,
    mpps: f64,
    ns_per_packet: f64,
    cpu_ns_per_packet: f64,
    cpu_share: f64,
    efficiency: f64,
    spread_percent: f64,
    mpps_runs: &'a [f64],
    changes_per_second: f64,
    oversubscribed: bool,
}

/// An indented document, ending with a newline.
///
/// # Errors
/// Without any report there is nothing to write.
pub(super) fn render(reports: &[Report]) -> io::Result<String> {
    let first = reports.first().ok_or(io::ErrorKind::InvalidInput)?;
    let document = Document {
        benchmark: "contention",
        command: &first.args.command,
        machine: &first.machine,
        seconds_per_point: first.args.seconds_per_point,
        scenes: reports.iter().map(scene_part).collect(),
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn scene_part(report: &Report) -> ScenePart<'_> {
    ScenePart {
        flows_per_thread: report.scene.flows,
        next_hops: report.scene.nexthops,
        churn_per_second: report.scene.churn,
        ways: report.series.iter().map(way_part).collect(),
    }
}

fn way_part(series: &Series) -> WayPart<'_> {
    WayPart {
        way: series.way.name,
        about: series.way.about,
        per_packet: series.counts.as_ref().ok(),
        not_counted: series.counts.as_ref().err().map(String::as_str),
        usl: series.usl.as_ref().ok(),
        not_fitted: series.usl.as_ref().err().map(String::as_str),
        points: series.rows.iter().map(point_part).collect(),
    }
}

fn point_part(row: &Row) -> PointPart<'_> {
    PointPart {
        threads: row.threads,
        mpps: row.mpps.median,
        ns_per_packet: row.ns_per_packet,
        cpu_ns_per_packet: row.cpu_ns,
        cpu_share: row.cpu_share,
        efficiency: row.efficiency,
        spread_percent: row.mpps.spread_percent(),
        mpps_runs: &row.runs,
        changes_per_second: row.changes,
        oversubscribed: row.oversubscribed,
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::*;

    #[test]
    fn every_run_and_the_machine_are_in_the_document() {
        let text = render(&[sample()]).expect("serializable");
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(document["machine"]["cores"], 2);
        let ways = document["scenes"][0]["ways"].as_array().expect("a list");
        assert_eq!(
            ways[0]["points"][0]["mpps_runs"],
            serde_json::json!([10.0, 9.0, 11.0])
        );
        assert_eq!(ways[0]["per_packet"]["shared_rmw"], 10.0);
        assert_eq!(ways[1]["not_counted"], "no ptrace");
        assert!(ways[0]["not_fitted"].is_string(), "two CPUs are too few");
        assert_eq!(document["scenes"][0]["churn_per_second"], 200);
    }
}
