//! The command line of `contention`. Every value is checked here, before anything is measured.

use crate::common::cli::{Refusal, command_line, prepare, refusal, seconds, within};
use crate::common::memory::available;
use crate::step;
use crate::ways::{self, MAX_NEXTHOPS, Scene, WAYS, WayInfo};
use clap::Parser;
use std::ffi::OsString;
use std::path::PathBuf;

/// The most threads that can be asked for: one for each owner slot.
const MAX_THREADS: usize = flowtable::SLOTS;
/// The most flows in all threads together, so that every client has an address of its own.
const MAX_FLOWS: usize = 64 << 20;
/// Bytes that a flow takes at most while a point is measured: packets, both tables that are checked, a map's entry.
const FLOW_BYTES: usize = 400;
/// The most route changes a second.
const MAX_CHURN: usize = 100_000;

const EXAMPLES: &str = "Examples:
  contention --threads 1,2,4,8,16 --out results
  contention --threads 1,2 --ways freebsd8,flowgate --seconds-per-point 0.2 --out /tmp/c
  contention --threads 1,2,4,8 --flows 1,10000,1000000 --nexthops 1,8 --churn 0,200 --out results

Exit status: 0 measured; 1 something failed, or there is not the memory for it; 2 the command line is wrong.";

/// How ways of resolving a packet's output scale with threads: locks and reference counts against what
/// Flowgate does.
#[derive(Debug, Parser)]
#[command(name = "contention", version, after_help = EXAMPLES)]
struct Cli {
    /// Numbers of threads to measure; 1 is always among them, since efficiency is against it
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "1,2,4,8,16",
          value_parser = |s: &str| within(s, 1, MAX_THREADS))]
    threads: Vec<usize>,

    /// Flows a thread; several numbers are measured one after the other
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "10000",
          value_parser = |s: &str| within(s, 1, MAX_FLOWS))]
    flows: Vec<usize>,

    /// Next hops of the default route; several numbers are measured one after the other
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "1",
          value_parser = |s: &str| within(s, 1, MAX_NEXTHOPS))]
    nexthops: Vec<usize>,

    /// Route changes a second, of a prefix that no packet matches; several numbers are measured one after the other
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "0",
          value_parser = |s: &str| within(s, 0, MAX_CHURN))]
    churn: Vec<usize>,

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

    /// Folder for contention.csv, .json, .svg and .png (a picture for each scene); made if it is not there
    #[arg(long, value_name = "DIR", required_unless_present = "traced_way")]
    out: Option<PathBuf>,

    /// Be the child that is single-stepped
    #[arg(long, hide = true, value_parser = stepped)]
    traced_way: Option<&'static WayInfo>,
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct Args {
    /// Numbers of threads, ascending, each once, 1 among them.
    pub threads: Vec<usize>,
    /// Flows, next hops and route changes that are measured, one after the other.
    pub scenes: Vec<Scene>,
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
        /// With what.
        scene: Scene,
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
            scene: scenes(&cli)[0],
            packets: cli.count_packets,
        });
    }
    let scenes = scenes(&cli);
    let threads = with_one(cli.threads);
    let most = threads.last().copied().unwrap_or(1);
    let flows = scenes.iter().map(|scene| scene.flows).max().unwrap_or(1);
    let room = available().map_or(MAX_FLOWS, |bytes| bytes.max(0) as usize / FLOW_BYTES);
    let fits = room.min(MAX_FLOWS) / most;
    if flows > fits {
        return Err(Refusal::Wrong(format!(
            "error: {flows} flows for each of {most} threads are too many for this machine: --flows {fits} would fit"
        )));
    }
    let out = cli.out.unwrap_or_default();
    prepare(&out)?;
    Ok(Job::Measure(Args {
        threads,
        scenes,
        seconds_per_point: cli.seconds_per_point,
        runs: cli.runs,
        ways: in_order(&cli.ways),
        count_packets: cli.count_packets,
        out,
        command: command_line("contention", argv),
    }))
}

/// Every number of flows with every number of next hops and of changes.
fn scenes(cli: &Cli) -> Vec<Scene> {
    let mut scenes = Vec::new();
    for flows in &cli.flows {
        for nexthops in &cli.nexthops {
            scenes.extend(cli.churn.iter().map(|churn| Scene {
                flows: *flows,
                nexthops: *nexthops,
                churn: *churn,
            }));
        }
    }
    scenes
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

fn stepped(text: &str) -> Result<&'static WayInfo, String> {
    ways::to_step(text).ok_or_else(|| "nothing that is stepped is called so".to_owned())
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
