//! The command line of `contention`. Every value is checked here, before anything is measured.

use crate::common::cli::{Refusal, command_line, prepare, refusal, seconds, within};
use crate::step;
use crate::ways::{self, WAYS, WayInfo};
use clap::Parser;
use std::ffi::OsString;
use std::path::PathBuf;

/// The most threads that can be asked for: one for each owner slot.
const MAX_THREADS: usize = flowtable::SLOTS;
/// The most flows in all threads together, so that every client has an address of its own.
const MAX_FLOWS: usize = 8_000_000;

const EXAMPLES: &str = "Examples:
  contention --threads 1,2,4,8,16 --out results
  contention --threads 1,2 --ways freebsd8,flowgate --seconds-per-point 0.2 --out /tmp/c";

/// How ways of resolving a packet's output scale with threads: locks and reference counts against what
/// Flowgate does.
#[derive(Debug, Parser)]
#[command(name = "contention", version, after_help = EXAMPLES)]
struct Cli {
    /// Numbers of threads to measure; 1 is always among them, since efficiency is against it
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "1,2,4,8,16",
          value_parser = |s: &str| within(s, 1, MAX_THREADS))]
    threads: Vec<usize>,

    /// Flows a thread
    #[arg(long, value_name = "N", default_value = "10000", value_parser = |s: &str| within(s, 1, MAX_FLOWS))]
    flows: usize,

    /// Seconds that each way is measured at each number of threads in each run
    #[arg(long, value_name = "S", default_value = "1", value_parser = seconds)]
    seconds_per_point: f64,

    /// Runs; the table has their median and spread
    #[arg(long, value_name = "N", default_value = "3", value_parser = |s: &str| within(s, 1, 99))]
    runs: usize,

    /// Ways to measure [default: all]
    #[arg(long, value_name = "WAY,..", value_delimiter = ',', value_parser = way)]
    ways: Vec<&'static WayInfo>,

    /// Packets a thread that are single-stepped to count read-modify-writes; 0 counts none
    #[arg(long, value_name = "N", default_value_t = step::DEFAULT_PACKETS,
          value_parser = |s: &str| within(s, 0, 100_000))]
    count_packets: usize,

    /// Folder for contention.csv, .json, .svg and .png; made if it is not there
    #[arg(long, value_name = "DIR", required_unless_present = "traced_way")]
    out: Option<PathBuf>,

    /// Be the child that is single-stepped
    #[arg(long, hide = true, value_parser = way)]
    traced_way: Option<&'static WayInfo>,
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct Args {
    /// Numbers of threads, ascending, each once, 1 among them.
    pub threads: Vec<usize>,
    /// Flows a thread.
    pub flows: usize,
    /// Seconds that a point is measured in each run.
    pub seconds_per_point: f64,
    /// Number of runs.
    pub runs: usize,
    /// The ways, in the order of [`WAYS`].
    pub ways: Vec<&'static WayInfo>,
    /// Packets a thread to single-step; 0: count nothing.
    pub count_packets: usize,
    /// Where the files go.
    pub out: PathBuf,
    /// The command line, for the record.
    pub command: String,
}

/// What the command line asks for.
#[derive(Clone, Debug)]
pub enum Job {
    /// The benchmark.
    Measure(Args),
    /// To be single-stepped while resolving packets.
    Traced {
        /// How.
        way: &'static WayInfo,
        /// Flows a thread.
        flows: usize,
        /// Packets a thread.
        packets: usize,
    },
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// [`Refusal`] if there is nothing to do, or nothing that can be done.
pub fn parse(argv: &[OsString]) -> Result<Job, Refusal> {
    let cli = Cli::try_parse_from(argv).map_err(|error| refusal(&error))?;
    if let Some(way) = cli.traced_way {
        return Ok(Job::Traced {
            way,
            flows: cli.flows,
            packets: cli.count_packets,
        });
    }
    let threads = with_one(cli.threads);
    let most = threads.last().copied().unwrap_or(1);
    if cli.flows * most > MAX_FLOWS {
        let fits = MAX_FLOWS / most;
        return Err(Refusal::Wrong(format!(
            "error: {} flows for each of {most} threads are too many: --flows {fits} would fit",
            cli.flows
        )));
    }
    let out = cli.out.unwrap_or_default();
    prepare(&out)?;
    Ok(Job::Measure(Args {
        threads,
        flows: cli.flows,
        seconds_per_point: cli.seconds_per_point,
        runs: cli.runs,
        ways: in_order(&cli.ways),
        count_packets: cli.count_packets,
        out,
        command: command_line("contention", argv),
    }))
}

/// Sorted, each once, 1 among them.
fn with_one(mut threads: Vec<usize>) -> Vec<usize> {
    threads.push(1);
    threads.sort_unstable();
    threads.dedup();
    threads
}

/// The ways asked for, each once, oldest first; all if none was named.
fn in_order(asked: &[&'static WayInfo]) -> Vec<&'static WayInfo> {
    let wanted = |way: &&WayInfo| asked.is_empty() || asked.iter().any(|one| one.name == way.name);
    WAYS.iter().filter(wanted).collect()
}

fn way(text: &str) -> Result<&'static WayInfo, String> {
    let names = || {
        WAYS.iter()
            .map(|way| way.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    ways::by_name(text).ok_or_else(|| format!("there are: {}", names()))
}

#[cfg(test)]
mod tests;
