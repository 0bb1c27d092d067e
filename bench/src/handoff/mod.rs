//! Packets that arrive at another worker than their flow's: how many, and what one costs (binary `handoff`).

mod cost;
mod share;

use crate::common::cli::{Refusal, refusal, within};
use clap::Parser;
use std::ffi::OsString;

const EXAMPLES: &str = "Examples:
  handoff                       what a handed-off packet costs, and the share on TUN and TAP
  handoff --runs 1 --flows 1000 --idle 0
  handoff --workers 2,4,8       the cost at more workers: more than there are CPUs take turns on them

The shares need the right to make devices in a network namespace of their own; steering needs root.";

/// What handing packets off costs, and which share of them TUN and TAP deliver to the wrong queue.
#[derive(Debug, Parser)]
#[command(name = "handoff", version, after_help = EXAMPLES)]
pub struct Job {
    /// Interleaved runs of the cost; the median is told
    #[arg(long, value_name = "N", default_value = "5", value_parser = |s: &str| within(s, 1, 99))]
    runs: usize,

    /// Workers of the cost; each gets all packets of the next one
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "2,4",
          value_parser = |s: &str| within(s, 2, 64))]
    workers: Vec<usize>,

    /// Flows of the shares
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "1000,100000",
          value_parser = |s: &str| within(s, 1, 1_000_000))]
    flows: Vec<usize>,

    /// Seconds of silence before an idle round; 0: no idle rounds
    #[arg(long, value_name = "S", default_value = "4", value_parser = |s: &str| within(s, 0, 60))]
    idle: usize,
}

/// Reads the command line.
///
/// # Errors
/// Help that was asked for, or one line about what is wrong.
pub fn args(argv: impl Iterator<Item = OsString>) -> Result<Job, Refusal> {
    Job::try_parse_from(argv).map_err(|error| refusal(&error))
}

/// Measures and prints. The namespace is entered first, while there is one thread.
///
/// # Errors
/// What could not be made or measured, in one line.
pub fn run(job: &Job) -> Result<(), String> {
    share::run(&job.flows, job.idle as u64)?;
    cost::run(job.runs, &job.workers)
}
