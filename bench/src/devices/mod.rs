//! What Flowgate adds to reading and writing its devices (binary `devices`): two kernels, each behind a TUN device, talk through
//! the gateway, through a bare loop that reads one device and writes the other, and through a kernel that forwards.
//!
//! The three take turns, so that what the machine does meanwhile is all theirs.

mod bare;
mod gateway;
mod iperf;
mod kernel;
mod place;
mod report;

use crate::common::cli::{Refusal, refusal, within};
use clap::Parser;
use iperf::Run;
use report::Report;
use stack::io::netns::enter_private;
use std::ffi::OsString;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  devices                          five turns of ten seconds each
  devices --quick                  two turns of two seconds: whether it works
  devices --no-offload             the same without offloads, packet by packet

Needs iperf3, and the right to make devices in a network namespace of its own.";

/// TUN to TUN: iperf3 through Flowgate, through a bare loop over the same devices, and through the kernel's own forwarding.
#[derive(Debug, Parser)]
#[command(name = "devices", version, after_help = EXAMPLES)]
pub struct Job {
    /// Turns of each; medians are told
    #[arg(long, value_name = "N", default_value = "5", value_parser = |s: &str| within(s, 1, 99))]
    turns: usize,

    /// Seconds of each measurement
    #[arg(long, value_name = "S", default_value = "10", value_parser = |s: &str| within(s, 1, 600))]
    seconds: usize,

    /// Two turns of two seconds
    #[arg(long)]
    quick: bool,

    /// Streams of iperf3
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "1,8",
          value_parser = |s: &str| within(s, 1, 128))]
    streams: Vec<usize>,

    /// Workers, and threads of the bare loop; each has a queue of both devices
    #[arg(long, value_name = "N", default_value = "1", value_parser = |s: &str| within(s, 1, 64))]
    workers: usize,

    /// Both devices without offloads
    #[arg(long)]
    no_offload: bool,

    /// Every measurement goes to this file, a line each
    #[arg(long, value_name = "FILE", default_value = "devices.csv")]
    csv: PathBuf,
}

/// Reads the command line.
///
/// # Errors
/// Help that was asked for, or one line about what is wrong.
pub fn args(argv: impl Iterator<Item = OsString>) -> Result<Job, Refusal> {
    let job = Job::try_parse_from(argv).map_err(|error| refusal(&error))?;
    Ok(match job.quick {
        true => Job {
            turns: 2,
            seconds: 2,
            ..job
        },
        false => job,
    })
}

/// Who forwards between the two kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Bare,
    Flowgate,
    Kernel,
}

impl Way {
    const ALL: [Self; 3] = [Self::Bare, Self::Flowgate, Self::Kernel];

    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare loop",
            Self::Flowgate => "flowgate",
            Self::Kernel => "kernel",
        }
    }
}

/// What forwards, until it is dropped.
trait Forwarder {
    /// Packets, super-packets as one, that it has forwarded.
    fn forwarded(&self) -> u64;
}

/// Measures and prints. The namespace is entered first, while there is one thread.
///
/// # Errors
/// What could not be made or measured, in one line.
pub fn run(job: &Job) -> Result<(), String> {
    enter_private().map_err(|error| error.to_string())?;
    let mut report = Report::create(&job.csv)?;
    let runs = runs(job);
    for turn in 0..job.turns {
        for way in Way::ALL {
            let (ends, forwarder) = start(way, job)?;
            for run in &runs {
                let before = (forwarder.forwarded(), report::cpu_ns());
                let got = iperf::measure(&ends, run)?;
                let packets = forwarder.forwarded() - before.0;
                let ns = report::cpu_ns().saturating_sub(before.1);
                report.add(turn, way, run, &got, (packets, ns))?;
            }
        }
    }
    report.print(&runs);
    Ok(())
}

/// TCP with each number of streams, both ways; then small datagrams.
fn runs(job: &Job) -> Vec<Run> {
    let seconds = job.seconds;
    let tcp = |&streams: &usize| {
        [false, true].map(|back| Run {
            streams,
            back,
            small: false,
            seconds,
        })
    };
    let mut runs: Vec<Run> = job.streams.iter().flat_map(tcp).collect();
    runs.push(Run {
        streams: 1,
        back: false,
        small: true,
        seconds,
    });
    runs
}

fn start(way: Way, job: &Job) -> Result<(place::Ends, Box<dyn Forwarder>), String> {
    let ends = place::Ends::new()?;
    let forwarder: Box<dyn Forwarder> = match way {
        Way::Kernel => Box::new(kernel::Kernel::start(&ends)?),
        Way::Bare => {
            let devices = place::devices(&ends, job.workers, !job.no_offload)?;
            Box::new(bare::Bare::start(devices, !job.no_offload)?)
        }
        Way::Flowgate => {
            let devices = place::devices(&ends, job.workers, !job.no_offload)?;
            Box::new(gateway::Flowgate::start(devices)?)
        }
    };
    iperf::wait(&ends)?;
    Ok((ends, forwarder))
}
