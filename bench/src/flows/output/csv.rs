//! Comma-separated values: one line for each number, the same columns in every section.

use super::super::args::Section;
use super::super::report::Report;
use crate::common::text::{field, optional};

/// The names of the columns.
const HEADER: &str =
    "section,what,traffic,way,detail,flows,value,unit,min,max,runs,cpu_share,times_flowgate";

/// The rows of a section.
pub(super) fn render(report: &Report, section: Section) -> String {
    let mut out = format!("{HEADER}\n");
    for row in report.of(section) {
        let series = &row.series;
        let names = [&series.what, &series.traffic, &series.way, &series.detail];
        let names = names.map(|name| field(name)).join(",");
        let summary = &row.summary;
        out += &format!(
            "{},{names},{},{:.3},{},{:.3},{:.3},{},{},{}\n",
            section.name(),
            series.flows,
            summary.median,
            series.unit,
            summary.min,
            summary.max,
            row.runs.len(),
            optional(row.cpu_share),
            optional(row.times_flowgate),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::super::report::tests::sample;
    use super::*;

    #[test]
    fn a_section_has_its_rows_with_what_is_not_known_left_empty() {
        let text = render(&sample(), Section::Hit);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 1 + 3);
        assert_eq!(
            lines[1],
            "hit,a packet,uniform,flowgate,bursts of 1,1000,21.000,ns,20.000,22.000,2,,"
        );
        assert_eq!(
            lines[3],
            "hit,a packet,uniform,\"slow, map\",its own hash,1000,44.000,ns,40.000,48.000,2,0.500,4.000"
        );
        assert_eq!(lines[0].split(',').count(), lines[1].split(',').count());
    }
}
