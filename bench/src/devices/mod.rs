//! What Flowgate adds to reading and writing its devices (binary `devices`): two kernels, each behind a TUN device or a cable, talk
//! through the gateway, through a bare loop that reads one device and writes the other, and through a kernel that forwards.
//!
//! The three take turns, so that what the machine does meanwhile is all theirs.

mod bare;
mod cable;
mod gateway;
mod iperf;
mod kernel;
mod place;
mod report;
mod small;

use crate::common::cli::{Refusal, refusal, within};
use cable::Side;
use clap::{Parser, ValueEnum};
use iperf::Run;
use report::Report;
use stack::io::netns::enter_private;
use std::ffi::OsString;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  devices                          five turns of ten seconds each
  devices --quick                  two turns of two seconds: whether it works
  devices --no-offload             the same without offloads, packet by packet
  devices --device packet          two cables (veth), packet sockets on their near ends
  devices --device xdp             the same by XDP sockets (root)

Needs iperf3, and the right to make devices in a network namespace of its own.";

/// What the devices are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Of {
    /// TUN devices
    Tun,
    /// Cables (veth), by packet sockets
    Packet,
    /// Cables (veth), by XDP sockets
    Xdp,
}

/// From device to device: iperf3 through Flowgate, through a bare loop over the same devices, and through the kernel's own forwarding.
#[derive(Debug, Parser)]
#[command(name = "devices", version, after_help = EXAMPLES)]
pub struct Job {
    /// What the two devices are
    #[arg(long, value_name = "TYPE", default_value = "tun")]
    device: Of,

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

    /// What to measure: tcp (iperf3), small (what a small packet costs more than in the bare loop)
    #[arg(
        long,
        value_name = "WHAT,..",
        value_delimiter = ',',
        default_value = "tcp,small"
    )]
    only: Vec<What>,

    /// Pairs of turns of the small packets
    #[arg(long, value_name = "N", default_value = "41", value_parser = |s: &str| within(s, 1, 999))]
    pairs: usize,

    /// What each of those turns takes, ms
    #[arg(long, value_name = "MS", default_value = "250", value_parser = |s: &str| within(s, 10, 60_000))]
    turn_ms: usize,

    /// Flows of the small packets
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "1,1000",
          value_parser = |s: &str| within(s, 1, 1_000_000))]
    flows: Vec<usize>,

    /// Both TUN devices without offloads; cables have those of their kernels
    #[arg(long, conflicts_with = "device")]
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
            pairs: 3,
            ..job
        },
        false => job,
    })
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Tcp,
    Small,
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
    if job.only.contains(&What::Tcp) {
        tcp(job)?;
    }
    if job.only.contains(&What::Small) {
        for &flows in &job.flows {
            small::measure(job, flows)?.print();
        }
    }
    Ok(())
}

fn tcp(job: &Job) -> Result<(), String> {
    let mut report = Report::create(&job.csv)?;
    let runs = runs(job);
    for turn in 0..job.turns {
        for way in Way::ALL {
            let (ends, forwarder) = start(way, job)?;
            for run in &runs {
                let before = (forwarder.forwarded(), small::cpu_ns(way));
                let got = iperf::measure(&ends, run)?;
                let packets = forwarder.forwarded() - before.0;
                let ns = small::cpu_ns(way).saturating_sub(before.1);
                report.add(turn, way, run, &got, (packets, ns))?;
            }
        }
    }
    report.print(&runs);
    Ok(())
}

/// TCP with each number of streams, both ways.
fn runs(job: &Job) -> Vec<Run> {
    let seconds = job.seconds;
    let tcp = |&streams: &usize| {
        [false, true].map(|back| Run {
            streams,
            back,
            seconds,
        })
    };
    job.streams.iter().flat_map(tcp).collect()
}

/// The devices, with their queues as Flowgate takes them.
fn sides(ends: &place::Ends, job: &Job) -> Result<[Side; 2], String> {
    if job.device == Of::Tun {
        let devices = place::devices(ends, job.workers, !job.no_offload)?;
        return Ok(devices.map(Side::of_tun));
    }
    cable::cables(ends, job.device, job.workers)
}

fn start(way: Way, job: &Job) -> Result<(place::Ends, Box<dyn Forwarder>), String> {
    let ends = place::Ends::new()?;
    let forwarder: Box<dyn Forwarder> = match way {
        Way::Kernel => Box::new(kernel::Kernel::start(&ends)?),
        Way::Bare if job.device == Of::Tun => {
            let devices = place::devices(&ends, job.workers, !job.no_offload)?;
            Box::new(bare::Bare::start(devices, !job.no_offload)?)
        }
        Way::Bare => {
            let cables = cable::cables(&ends, job.device, job.workers)?;
            Box::new(bare::Bare::start_frames(cables, &ends)?)
        }
        Way::Flowgate => Box::new(gateway::Flowgate::start(sides(&ends, job)?)?),
    };
    iperf::wait(&ends)?;
    Ok((ends, forwarder))
}
