//! Comma-separated values, one file for each kind of number.

use super::super::report::Report;
use super::ratios;
use crate::common::stats::Summary;
use crate::common::text::{field, optional};

/// One line for each way and pattern.
pub(super) fn lookups(report: &Report) -> String {
    let mut out = String::from(
        "size,model,family,routes,pattern,way,ns,ns_min,ns_max,cpu_ns,times_best_crate,times_dir_24_8,runs\n",
    );
    for row in &report.lookups {
        let ratios = ratios(report, row);
        let cpu = Summary::of(&row.times.cpu_ns).map(|summary| summary.median);
        let scene = [row.size, row.model, row.family].map(field).join(",");
        let numbers = [row.ns.median, row.ns.min, row.ns.max]
            .map(|ns| format!("{ns:.3}"))
            .join(",");
        out += &format!(
            "{scene},{},{},{},{numbers},{},{},{},{}\n",
            row.routes,
            row.pattern,
            row.way,
            optional(cpu),
            optional(ratios.best_crate),
            optional(ratios.dir24),
            row.times.ns.len()
        );
    }
    out
}

/// One line for each table.
pub(super) fn memory(report: &Report) -> String {
    let mut out =
        String::from("size,model,family,way,what,routes,bytes,bytes_per_route,resident\n");
    for row in &report.memory {
        let scene = [row.size, row.model, row.family, row.way, row.what]
            .map(field)
            .join(",");
        let each = row.bytes as f64 / row.routes as f64;
        let resident = row
            .resident
            .map_or_else(String::new, |bytes| bytes.to_string());
        out += &format!(
            "{scene},{},{},{each:.2},{resident}\n",
            row.routes, row.bytes
        );
    }
    out
}

/// One line for each number about changes.
pub(super) fn change(report: &Report) -> String {
    let mut out = String::from("section,what,value,unit,min,max\n");
    for figure in &report.change {
        let what = field(&figure.what);
        let (min, max) = figure.ends.unzip();
        out += &format!(
            "{},{what},{:.4},{},{},{}\n",
            figure.section,
            figure.value,
            figure.unit,
            optional(min),
            optional(max)
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::super::report::tests::sample;
    use super::*;

    #[test]
    fn every_line_has_as_many_fields_as_the_header() {
        let report = sample();
        for text in [lookups(&report), memory(&report)] {
            let fields = |line: &str| line.split(',').count();
            let header = text.lines().next().map_or(0, fields);
            assert!(text.lines().count() > 1);
            assert!(text.lines().all(|line| fields(line) == header), "{text}");
        }
    }

    #[test]
    fn texts_with_commas_are_quoted() {
        let text = change(&sample());
        assert!(
            text.contains("updates,\"updates, no reader\",2.0000,updates/s,1.000,3.000\n"),
            "{text}"
        );
        assert!(
            text.contains("visibility,\"obeyed, p50 of 2\",5.0000,us,,\n"),
            "{text}"
        );
    }

    #[test]
    fn a_table_that_is_not_there_has_no_ratio() {
        let mut report = sample();
        report.lookups.retain(|row| row.way == "flowgate");
        assert!(
            lookups(&report).ends_with(",4.000,,,3\n"),
            "{}",
            lookups(&report)
        );
    }
}
