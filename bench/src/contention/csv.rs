//! The report as comma-separated values: one line a point. The first three columns are fixed.

use super::report::{Report, Row, Series};
use crate::ways::Scene;
use std::fmt::Write;

/// The names of the columns.
const HEADER: &str = "way,threads,mpps,mpps_min,mpps_max,ns_per_packet,cpu_ns_per_packet,cpu_share,efficiency,spread_percent,runs,\
                      shared_rmw_per_packet,shared_stores_per_packet,locked_per_packet,\
                      instructions_per_packet,oversubscribed,flows_per_thread,next_hops,churn_per_second,changes_per_second,\
                      usl_sigma,usl_kappa,usl_residual_percent";

/// Header and one line a point. What was not counted is empty.
pub(super) fn render(reports: &[Report]) -> String {
    let mut out = format!("{HEADER}\n");
    for report in reports {
        for (series, row) in report.rows() {
            // Writing to a String cannot fail.
            let _ = write_row(&mut out, report.scene, series, row);
        }
    }
    out
}

fn write_row(out: &mut String, scene: Scene, series: &Series, row: &Row) -> std::fmt::Result {
    write!(
        out,
        "{},{},{:.4},{:.4},{:.4},{:.3},{:.3},{:.3},{:.4},{:.2},{}",
        series.way.name,
        row.threads,
        row.mpps.median,
        row.mpps.min,
        row.mpps.max,
        row.ns_per_packet,
        row.cpu_ns,
        row.cpu_share,
        row.efficiency,
        row.mpps.spread_percent(),
        row.runs.len(),
    )?;
    match &series.counts {
        Ok(c) => write!(
            out,
            ",{:.4},{:.4},{:.4},{:.1}",
            c.shared_rmw, c.shared_stores, c.locked, c.instructions
        )?,
        Err(_) => write!(out, ",,,,")?,
    }
    write_scene(out, scene, series, row)
}

/// What packets and routes were like, and the model.
fn write_scene(out: &mut String, scene: Scene, series: &Series, row: &Row) -> std::fmt::Result {
    let Scene {
        flows,
        nexthops,
        churn,
    } = scene;
    let changes = row.changes;
    let oversubscribed = row.oversubscribed;
    write!(
        out,
        ",{oversubscribed},{flows},{nexthops},{churn},{changes:.1}"
    )?;
    match &series.usl {
        Ok(law) => writeln!(
            out,
            ",{:.5},{:.6},{:.2}",
            law.sigma, law.kappa, law.residual_percent
        ),
        Err(_) => writeln!(out, ",,,"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::*;

    #[test]
    fn the_columns_begin_with_way_threads_and_mpps() {
        let csv = render(&[sample()]);
        let mut lines = csv.lines();
        assert!(
            lines
                .next()
                .is_some_and(|header| header.starts_with("way,threads,mpps,"))
        );
        assert!(
            lines
                .next()
                .is_some_and(|row| row.starts_with("freebsd8,1,10.0000,9.0000,11.0000,"))
        );
    }

    #[test]
    fn every_line_has_as_many_fields_as_the_header() {
        let csv = render(&[sample()]);
        assert_eq!(csv.lines().count(), 1 + 6);
        let fields = |line: &str| line.split(',').count();
        assert!(csv.lines().all(|line| fields(line) == fields(HEADER)));
    }

    #[test]
    fn what_was_not_counted_is_empty_and_not_zero() {
        let csv = render(&[sample()]);
        let row = csv
            .lines()
            .find(|line| line.starts_with("rwlock,4,"))
            .expect("a row");
        assert!(row.ends_with(",,,,,true,10,8,200,0.0,,,"), "{row}");
    }
}
