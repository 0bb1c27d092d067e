//! The command line of `flows`. Every value is checked here, before anything is measured.

use super::job::Job;
use super::peers;
use super::report::OURS;
use crate::common::cli::{Refusal, command_line, prepare, refusal, seconds, within};
use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::PathBuf;

/// The most flows that other maps are measured with: beyond, Flowgate's table alone.
const PEERS_TO: usize = 10_000_000;
/// Flows are numbered with 32 bits, and new ones must be left.
const MAX_FLOWS: usize = 1_000_000_000;

const EXAMPLES: &str = "Examples:
  flows --out results
  flows --only hit --flows 100m --runs 3
  flows --only hit --ways flowgate,papaya --flows 1m
  flows --only expiry --flows 1k,10k,100k,1m,10m --out results
  flows --quick

Exit status: 0 measured; 1 something failed, or there is not the memory for it; 2 the command line is wrong.";

/// The flow table beside other maps: hits, inserts, lifetimes, floods, readers.
#[derive(Debug, Parser)]
#[command(name = "flows", version, after_help = EXAMPLES)]
struct Cli {
    /// Flows in the table, like 64k, 10m [default: hit 64k,1m,10m; insert 1m,10m; expiry 1k to 10m; others 1m]
    #[arg(long, value_name = "N,..", value_delimiter = ',', value_parser = flows)]
    flows: Vec<usize>,

    /// Sections to measure [default: all]
    #[arg(long, value_name = "SECTION,..", value_delimiter = ',')]
    only: Vec<Section>,

    /// Tables to measure in hit and insert [default: all]
    #[arg(long, value_name = "WAY,..", value_delimiter = ',', value_parser = way)]
    ways: Vec<String>,

    /// Runs of each measurement, in turns; the tables have their median [default: 5; quick: 3]
    #[arg(long, value_name = "N", value_parser = |s: &str| within(s, 1, 99))]
    runs: Option<usize>,

    /// Seconds of each measurement in each run [default: 0.3; quick: 0.02]
    #[arg(long, value_name = "S", value_parser = seconds)]
    seconds: Option<f64>,

    /// Small tables and short measurements: shows that it works, not how fast
    #[arg(long)]
    quick: bool,

    /// Folder for flows.json, flows-SECTION.csv, flows-expiry.svg and .png; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Be a child that measures one thing once
    #[arg(long, hide = true, value_name = "JSON")]
    job: Option<String>,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Section {
    /// What a packet of a known flow costs, and what a connection takes of memory.
    Hit,
    /// What a new flow costs, and how many find no place.
    Insert,
    /// What lifetimes cost a packet, beside timers.
    Expiry,
    /// New flows at full speed: what they cost, and what they cost the others.
    Flood,
    /// New flows for ten minutes: whether anything stops, and how soon all is as before.
    Sustained,
    /// What readers cost the writer.
    Reader,
}

impl Section {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Self; 6] = [
        Self::Hit,
        Self::Insert,
        Self::Expiry,
        Self::Flood,
        Self::Sustained,
        Self::Reader,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Insert => "insert",
            Self::Expiry => "expiry",
            Self::Flood => "flood",
            Self::Sustained => "sustained",
            Self::Reader => "reader",
        }
    }

    /// Flows that it is measured with unless told otherwise.
    fn sizes(self, quick: bool) -> &'static [usize] {
        match (self, quick) {
            (Self::Hit, false) => &[64_000, 1_000_000, 10_000_000],
            (Self::Insert, false) => &[1_000_000, 10_000_000],
            (Self::Expiry, false) => &[1_000, 10_000, 100_000, 1_000_000, 10_000_000],
            (Self::Flood | Self::Sustained | Self::Reader, false) => &[1_000_000],
            (Self::Expiry, true) => &[1_000, 4_000, 16_000],
            (Self::Hit, true) => &[4_000, 64_000],
            (_, true) => &[64_000],
        }
    }
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct Args {
    /// Sections, and with how many flows each.
    pub plan: Vec<(Section, Vec<usize>)>,
    /// Tables of hit and insert.
    pub ways: Vec<String>,
    /// Number of runs.
    pub runs: usize,
    /// Seconds of a measurement.
    pub seconds: f64,
    /// Where the files go, if anywhere.
    pub out: Option<PathBuf>,
    /// The command line, for the record.
    pub command: String,
}

impl Args {
    /// Whether a table is measured with so many flows.
    pub(super) fn wants(&self, way: &str, flows: usize) -> bool {
        self.ways.iter().any(|one| one == way) && (way == OURS || flows <= PEERS_TO)
    }
}

/// What the command line asks for.
#[derive(Clone, Debug)]
pub enum Wish {
    /// The benchmark.
    Measure(Args),
    /// One measurement of it, in a process of its own.
    Serve(Job),
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// [`Refusal`] if there is nothing to do, or nothing that can be done.
pub fn parse(argv: &[OsString]) -> Result<Wish, Refusal> {
    let cli = Cli::try_parse_from(argv).map_err(|error| refusal(&error))?;
    if let Some(job) = &cli.job {
        let job = serde_json::from_str(job);
        return job
            .map(Wish::Serve)
            .map_err(|error| Refusal::Wrong(format!("error: --job: {error}")));
    }
    if let Some(out) = &cli.out {
        prepare(out)?;
    }
    let wanted = |section: &Section| cli.only.is_empty() || cli.only.contains(section);
    let sizes = |section: Section| match cli.flows.is_empty() {
        true => (section, section.sizes(cli.quick).to_vec()),
        false => (section, cli.flows.clone()),
    };
    let ways = std::iter::once(OURS).chain(peers::NAMES);
    let measured = |way: &&str| cli.ways.is_empty() || cli.ways.iter().any(|one| one == way);
    Ok(Wish::Measure(Args {
        plan: Section::ALL.into_iter().filter(wanted).map(sizes).collect(),
        ways: ways.filter(measured).map(String::from).collect(),
        runs: cli.runs.unwrap_or(if cli.quick { 3 } else { 5 }),
        seconds: cli.seconds.unwrap_or(if cli.quick { 0.02 } else { 0.3 }),
        out: cli.out,
        command: command_line("flows", argv),
    }))
}

/// A number of flows: `4096`, `64k`, `10m`.
fn flows(text: &str) -> Result<usize, String> {
    let lower = text.to_ascii_lowercase();
    let (digits, factor) = match (lower.strip_suffix('k'), lower.strip_suffix('m')) {
        (Some(digits), _) => (digits, 1_000),
        (_, Some(digits)) => (digits, 1_000_000),
        _ => (lower.as_str(), 1),
    };
    let number: Option<usize> = digits.parse().ok();
    number
        .and_then(|number| number.checked_mul(factor))
        .filter(|number| (1_000..=MAX_FLOWS).contains(number))
        .ok_or_else(|| "must be a number of flows from 1k to 1000m, like 64k or 10m".into())
}

fn way(text: &str) -> Result<String, String> {
    let names = [&[OURS][..], &peers::NAMES].concat();
    names
        .contains(&text)
        .then(|| text.into())
        .ok_or_else(|| format!("there are: {}", names.join(", ")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Wish, Refusal> {
        let argv: Vec<OsString> = std::iter::once("flows")
            .chain(words.split_whitespace())
            .map(OsString::from)
            .collect();
        parse(&argv)
    }

    /// What a command line asks to measure.
    pub(in crate::flows) fn measured(words: &str) -> Args {
        match parsed(words) {
            Ok(Wish::Measure(args)) => args,
            other => panic!("'{words}' gives {other:?}"),
        }
    }

    #[test]
    fn without_flags_every_section_is_measured_with_its_own_sizes() {
        let args = measured("");
        let sections: Vec<_> = args.plan.iter().map(|(section, _)| *section).collect();
        assert_eq!(sections, Section::ALL);
        assert_eq!(args.plan[0].1, [64_000, 1_000_000, 10_000_000]);
        assert_eq!((args.runs, args.ways.len()), (5, 5));
    }

    #[test]
    fn numbers_of_flows_are_written_short_and_hold_for_every_section() {
        let args = measured("--flows 64k,10M,4096 --only insert,hit");
        assert_eq!(args.plan[0], (Section::Hit, vec![64_000, 10_000_000, 4096]));
        assert_eq!(args.plan[1].0, Section::Insert);
    }

    #[test]
    fn other_maps_are_measured_to_ten_million_flows_only() {
        let args = measured("--flows 100m --ways papaya,flowgate");
        assert!(args.wants("flowgate", 100_000_000) && args.wants("papaya", 10_000_000));
        assert!(!args.wants("papaya", 100_000_000) && !args.wants("scc", 1000));
    }

    #[test]
    fn quick_changes_what_was_not_given() {
        let args = measured("--quick --runs 2");
        assert_eq!((args.runs, args.seconds), (2, 0.02));
        assert!(
            args.plan
                .iter()
                .all(|(_, sizes)| *sizes.iter().max().unwrap() <= 64_000)
        );
    }

    #[test]
    fn what_cannot_be_is_refused_in_one_line() {
        let cases = [
            ("--flows 10", "from 1k to 1000m"),
            ("--flows 2000m", "from 1k to 1000m"),
            ("--flows many", "like 64k"),
            ("--ways cuckoo", "there are: flowgate, hashbrown"),
            ("--only hits", "hits"),
            ("--runs 0", "from 1 to 99"),
            ("--seconds 0", "from 0.01"),
            ("--job {}", "--job"),
            ("--out /dev/null/here", "must be a folder"),
        ];
        for (words, expected) in cases {
            match parsed(words) {
                Err(Refusal::Wrong(line)) => {
                    assert!(
                        line.contains(expected) && line.lines().count() == 1,
                        "{line}"
                    );
                }
                other => panic!("'{words}' gives {other:?}"),
            }
        }
    }

    #[test]
    fn help_has_examples_and_exit_statuses() {
        let Err(Refusal::Told(text)) = parsed("--help") else {
            panic!("help is told");
        };
        assert!(
            text.contains("Examples:") && text.contains("Exit status:"),
            "{text}"
        );
    }
}
