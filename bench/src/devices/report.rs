//! The file with every number, and their medians.

use super::place::said;
use crate::common::stats::Summary;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Whose numbers, and in which turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    pub(super) turn: usize,
    /// Who forwards.
    pub(super) way: &'a str,
    /// What is measured.
    pub(super) run: &'a str,
}

/// One number.
struct Row {
    way: String,
    run: String,
    what: &'static str,
    value: f64,
}

pub(super) struct Report {
    file: File,
    rows: Vec<Row>,
}

impl Report {
    pub(super) fn create(path: &Path) -> Result<Self, String> {
        let named = |error| format!("{}: {error}", path.display());
        let mut file = File::create(path).map_err(named)?;
        writeln!(file, "turn,way,run,what,value").map_err(named)?;
        let rows = Vec::new();
        Ok(Self { file, rows })
    }

    /// What one measurement gave: each number with its name, whose end is its unit.
    pub(super) fn add(
        &mut self,
        at: At<'_>,
        numbers: &[(&'static str, f64)],
    ) -> Result<(), String> {
        let At { turn, way, run } = at;
        let told: Vec<String> = numbers
            .iter()
            .map(|(what, number)| format!("{what} {number:.3}"))
            .collect();
        println!("turn {turn}, {way}, {run}: {}", told.join(", "));
        self.add_quietly(at, numbers)
    }

    /// The same, into the file alone.
    pub(super) fn add_quietly(
        &mut self,
        at: At<'_>,
        numbers: &[(&'static str, f64)],
    ) -> Result<(), String> {
        let At { turn, way, run } = at;
        for &(what, value) in numbers {
            writeln!(self.file, "{turn},{way},{run},{what},{value:.3}").map_err(said)?;
            self.rows.push(Row {
                way: way.to_owned(),
                run: run.to_owned(),
                what,
                value,
            });
        }
        Ok(())
    }

    /// All turns' numbers of one kind.
    pub(super) fn all(&self, way: &str, run: &str, what: &str) -> Vec<f64> {
        let wanted = |row: &&Row| (&*row.way, &*row.run, row.what) == (way, run, what);
        self.rows
            .iter()
            .filter(wanted)
            .map(|row| row.value)
            .collect()
    }

    /// The middle and the ends; none if nothing was measured.
    pub(super) fn summary(&self, way: &str, run: &str, what: &str) -> Option<Summary> {
        Summary::of(&self.all(way, run, what))
    }

    /// 0 if nothing was measured.
    pub(super) fn median(&self, way: &str, run: &str, what: &str) -> f64 {
        self.summary(way, run, what).map_or(0.0, |all| all.median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_apart_by_way_run_and_name_and_each_has_a_line() {
        let path = std::env::temp_dir().join(format!("flowgate-report-{}", std::process::id()));
        let mut report = Report::create(&path).expect("a file");
        for (turn, value) in [(0, 1.0), (1, 5.0)] {
            let at = |way| At {
                turn,
                way,
                run: "r",
            };
            report
                .add(at("a"), &[("x_ns", value), ("y", 9.0)])
                .expect("a");
            report.add(at("b"), &[("x_ns", 7.0)]).expect("b");
        }
        assert_eq!(report.all("a", "r", "x_ns"), [1.0, 5.0]);
        assert_eq!(report.median("a", "r", "x_ns"), 3.0);
        assert_eq!(report.median("a", "other", "x_ns"), 0.0);
        let text = std::fs::read_to_string(&path).expect("the file");
        let _ = std::fs::remove_file(&path);
        assert_eq!(text.lines().count(), 7);
        assert_eq!(text.lines().nth(1), Some("0,a,r,x_ns,1.000"));
    }
}
