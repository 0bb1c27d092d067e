//! The command line of `routes`. Every value is checked here, before anything is measured.

use crate::common::cli::{Refusal, command_line, prepare, refusal, seconds, within};
use clap::{Parser, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// Where the recorded updates lie beside a checkout.
const REPLAY: &str = "../shared/data/bgp/updates_per_second_linx_2014-12-17.txt.gz";

const EXAMPLES: &str = "Examples:
  routes --table ../shared/data/bgp/prefixes.txt.gz --grow --model markov,iid --out results
  routes --quick
  routes --only soak --soak 10000000";

/// Longest-prefix match beside other tables, and what changes of routes cost readers.
#[derive(Debug, Parser)]
#[command(name = "routes", version, after_help = EXAMPLES)]
struct Cli {
    /// Table to use, one prefix a line, plain or gzip [default: FLOWGATE_BGP, else one is made]
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,

    /// Interleaved runs of each measurement; the tables have their median [default: 5; quick: 3]
    #[arg(long, value_name = "N", value_parser = |s: &str| within(s, 1, 99))]
    runs: Option<usize>,

    /// Sections to measure; `change` is all but lookup [default: all]
    #[arg(long, value_name = "SECTION,..", value_delimiter = ',')]
    only: Vec<Wanted>,

    /// A tenth of the table and short measurements: shows that it works, not how fast
    #[arg(long)]
    quick: bool,

    /// Measure lookups in a table grown to today's size too (IPv4 x 1.25, IPv6 x 1.6)
    #[arg(long)]
    grow: bool,

    /// Next hops of the table: markov is like a real view, iid the worst case; the first is used for changes
    #[arg(
        long,
        value_name = "MODEL,..",
        value_delimiter = ',',
        default_value = "markov"
    )]
    model: Vec<Model>,

    /// Addresses of each pattern [default: 1048576; quick: 65536]
    #[arg(long, value_name = "N", value_parser = |s: &str| within(s, 1024, 1 << 26))]
    addresses: Option<usize>,

    /// Seconds of each phase of updates [default: 1; quick: 0.1]
    #[arg(long, value_name = "S", value_parser = seconds)]
    seconds_per_phase: Option<f64>,

    /// Changes whose visibility is timed [default: 20000; quick: 1000]
    #[arg(long, value_name = "N", value_parser = |s: &str| within(s, 2, 10_000_000))]
    visible: Option<usize>,

    /// Updates of the soak [default: 1000000; quick: 50000]
    #[arg(long, value_name = "N", value_parser = |s: &str| within(s, 1, 1_000_000_000))]
    soak: Option<usize>,

    /// Recorded updates a second: lines of second, updates, withdrawals; plain or gzip
    #[arg(long, value_name = "FILE", default_value = REPLAY)]
    replay: PathBuf,

    /// Seconds that each replay takes, around the busiest second; 0: all of the recording [default: 20; quick: 1]
    #[arg(long, value_name = "S", value_parser = |s: &str| within(s, 0, 100_000))]
    replay_seconds: Option<usize>,

    /// Folder for routes.json and routes-{lookup,memory,change}.csv; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What `--only` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wanted {
    Lookup,
    Change,
    Load,
    Updates,
    Reader,
    Visibility,
    Forwarding,
    Soak,
    Replay,
    Death,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Lookups beside other tables, and their memory.
    Lookup,
    /// Loading the whole table.
    Load,
    /// Updates with no reader.
    Updates,
    /// What a reader loses to updates.
    Reader,
    /// When a reader obeys a change.
    Visibility,
    /// What a gateway that forwards loses to updates, and when it obeys a change.
    Forwarding,
    /// Memory before and after many updates.
    Soak,
    /// The recorded updates.
    Replay,
    /// A next hop of many routes dies.
    Death,
}

impl Section {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Self; 9] = [
        Self::Lookup,
        Self::Load,
        Self::Updates,
        Self::Reader,
        Self::Visibility,
        Self::Forwarding,
        Self::Soak,
        Self::Replay,
        Self::Death,
    ];

    /// Whether it is about changes of routes.
    pub fn is_change(self) -> bool {
        self != Self::Lookup
    }
}

impl Wanted {
    fn covers(self, section: Section) -> bool {
        match self {
            Self::Change => section.is_change(),
            Self::Lookup => section == Section::Lookup,
            Self::Load => section == Section::Load,
            Self::Updates => section == Section::Updates,
            Self::Reader => section == Section::Reader,
            Self::Visibility => section == Section::Visibility,
            Self::Forwarding => section == Section::Forwarding,
            Self::Soak => section == Section::Soak,
            Self::Replay => section == Section::Replay,
            Self::Death => section == Section::Death,
        }
    }
}

/// How next hops are spread over the sorted prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Model {
    /// The predecessor's with probability 0.75, else a Zipf choice of 512.
    Markov,
    /// Any of 512, independently.
    Iid,
}

impl Model {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Markov => "markov 0.75 over 512",
            Self::Iid => "i.i.d. over 512",
        }
    }
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct Args {
    /// The table's file, if one was named.
    pub table: Option<PathBuf>,
    /// Number of interleaved runs.
    pub runs: usize,
    /// Sections to measure.
    pub only: Vec<Section>,
    /// Little of everything.
    pub quick: bool,
    /// The grown table too.
    pub grow: bool,
    /// Models of next hops, at least one.
    pub models: Vec<Model>,
    /// Addresses of each pattern.
    pub addresses: usize,
    /// Seconds of each phase of updates.
    pub phase: f64,
    /// Changes whose visibility is timed.
    pub visible: usize,
    /// Updates of the soak.
    pub soak: usize,
    /// The recording.
    pub replay: PathBuf,
    /// Seconds of each replay; 0 is all.
    pub replay_seconds: usize,
    /// Where the files go, if anywhere.
    pub out: Option<PathBuf>,
    /// The command line, for the record.
    pub command: String,
}

impl Args {
    /// Whether a section was asked for.
    pub fn wants(&self, section: Section) -> bool {
        self.only.contains(&section)
    }
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// [`Refusal`] if there is nothing to do, or nothing that can be done.
pub fn parse(argv: &[OsString]) -> Result<Args, Refusal> {
    let cli = Cli::try_parse_from(argv).map_err(|error| refusal(&error))?;
    if let Some(out) = &cli.out {
        prepare(out)?;
    }
    let or =
        |given: Option<usize>, full, quick| given.unwrap_or(if cli.quick { quick } else { full });
    let wanted =
        |section: &Section| cli.only.is_empty() || cli.only.iter().any(|one| one.covers(*section));
    Ok(Args {
        runs: or(cli.runs, 5, 3),
        only: Section::ALL.into_iter().filter(wanted).collect(),
        addresses: or(cli.addresses, 1 << 20, 1 << 16),
        phase: cli
            .seconds_per_phase
            .unwrap_or(if cli.quick { 0.1 } else { 1.0 }),
        visible: or(cli.visible, 20_000, 1_000),
        soak: or(cli.soak, 1_000_000, 50_000),
        replay_seconds: or(cli.replay_seconds, 20, 1),
        table: cli.table,
        quick: cli.quick,
        grow: cli.grow,
        models: cli.model,
        replay: cli.replay,
        out: cli.out,
        command: command_line("routes", argv),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What a command line asks for.
    pub(in crate::routes) fn parsed(words: &str) -> Result<Args, Refusal> {
        let argv: Vec<OsString> = std::iter::once("routes")
            .chain(words.split_whitespace())
            .map(OsString::from)
            .collect();
        parse(&argv)
    }

    #[test]
    fn without_flags_everything_is_measured_on_one_model() {
        let args = parsed("").expect("nothing is needed");
        assert_eq!(args.only, Section::ALL);
        assert_eq!(args.models, [Model::Markov]);
        assert_eq!(
            (args.runs, args.soak, args.addresses),
            (5, 1_000_000, 1 << 20)
        );
    }

    #[test]
    fn change_names_every_section_but_lookup() {
        let args = parsed("--only change").expect("a section");
        assert_eq!(args.only, Section::ALL[1..]);
        let args = parsed("--only soak,lookup --soak 10000000").expect("sections");
        assert_eq!(args.only, [Section::Lookup, Section::Soak]);
        assert_eq!(args.soak, 10_000_000);
    }

    #[test]
    fn quick_changes_what_was_not_given() {
        let args = parsed("--quick --runs 2").expect("flags");
        assert_eq!((args.runs, args.soak, args.replay_seconds), (2, 50_000, 1));
    }

    #[test]
    fn what_cannot_be_is_refused_in_one_line() {
        for words in ["--runs 0", "--only lookups", "--model fair", "--soak x"] {
            match parsed(words) {
                Err(Refusal::Wrong(line)) => assert_eq!(line.lines().count(), 1, "{line}"),
                other => panic!("'{words}' gives {other:?}"),
            }
        }
    }
}
