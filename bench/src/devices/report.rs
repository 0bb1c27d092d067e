//! The table that is told, and the file with every measurement.

use super::Way;
use super::iperf::{Got, Run};
use super::place::said;
use crate::common::stats::Summary;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// One measurement.
struct Row {
    way: Way,
    run: Run,
    gbit: f64,
    again: u64,
    /// CPU time of the forwarding threads for each packet, ns; where there are such threads.
    ns: Option<f64>,
}

pub(super) struct Report {
    file: File,
    rows: Vec<Row>,
}

impl Report {
    pub(super) fn create(path: &Path) -> Result<Self, String> {
        let named = |error| format!("{}: {error}", path.display());
        let mut file = File::create(path).map_err(named)?;
        writeln!(
            file,
            "turn,way,run,gbit_s,sent_again,packets,cpu_ns_a_packet"
        )
        .map_err(named)?;
        Ok(Self {
            file,
            rows: Vec::new(),
        })
    }

    pub(super) fn add(
        &mut self,
        turn: usize,
        way: Way,
        run: &Run,
        got: &Got,
        (packets, ns): (u64, u64),
    ) -> Result<(), String> {
        let ns = (packets > 0).then(|| ns as f64 / packets as f64);
        let (name, what) = (way.name(), run.name());
        let each = ns.map_or_else(String::new, |ns| format!("{ns:.0}"));
        let line = format!(
            "{turn},{name},{what},{:.3},{},{packets},{each}",
            got.gbit, got.again
        );
        println!("{line}");
        self.rows.push(Row {
            way,
            run: *run,
            gbit: got.gbit,
            again: got.again,
            ns,
        });
        writeln!(self.file, "{line}").map_err(said)
    }

    fn of(&self, way: Way, run: &Run) -> impl Iterator<Item = &Row> {
        let (way, run) = (way, *run);
        self.rows
            .iter()
            .filter(move |row| row.way == way && row.run == run)
    }

    fn median(&self, way: Way, run: &Run, of: impl Fn(&Row) -> Option<f64>) -> Option<f64> {
        let numbers: Vec<f64> = self.of(way, run).filter_map(of).collect();
        Summary::of(&numbers).map(|summary| summary.median)
    }

    /// Medians, and what share of the others' Flowgate reaches.
    pub(super) fn print(&self, runs: &[Run]) {
        println!(
            "\n{:<20} {:>10} {:>10} {:>10} {:>9} {:>9}   sent again",
            "Gbit/s, medians", "bare loop", "flowgate", "kernel", "of bare", "of kernel"
        );
        for run in runs {
            let [bare, flowgate, kernel] =
                Way::ALL.map(|way| self.median(way, run, |row| Some(row.gbit)).unwrap_or(0.0));
            let again: u64 = self.of(Way::Flowgate, run).map(|row| row.again).sum();
            println!(
                "{:<20} {bare:>10.2} {flowgate:>10.2} {kernel:>10.2} {:>9.2} {:>9.2}   {again}",
                run.name(),
                flowgate / bare,
                flowgate / kernel
            );
        }
        for run in runs {
            let [bare, flowgate] = [Way::Bare, Way::Flowgate]
                .map(|way| self.median(way, run, |row| row.ns).unwrap_or(0.0));
            println!(
                "CPU a packet, {}: bare loop {bare:.0} ns, flowgate {flowgate:.0} ns, more by {:.0} ns",
                run.name(),
                flowgate - bare
            );
        }
    }
}
