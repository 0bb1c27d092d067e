//! The command line of `devices`.

use crate::common::cli::{Refusal, refusal, within};
use clap::{Parser, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  devices                          everything: five turns of ten seconds each
  devices --quick                  the same in two turns of a second: whether it works
  devices --only tcp,small         iperf3, and what a small packet costs
  devices --only tcp --no-offload  without offloads, packet by packet
  devices --only connections       new TCP connections a second: wrk asks nginx
  devices --only latency           there and back of one small datagram
  devices --only idle              CPU time of a gateway that has nothing to do
  devices --only start             from 'flowgate run' to its first forwarded packet
  devices --only start --tables 0,64000000     the same with larger tables
  devices --device packet          two cables (veth), packet sockets on their near ends
  devices --device xdp             the same by XDP sockets (root)

Needs the right to make devices in a network namespace of its own, iperf3 for tcp, wrk and nginx for connections, and for idle and start
the program 'flowgate' beside this one (cargo build --release --bin flowgate). On cables DPDK's testpmd is measured too, where it is
installed (Debian: dpdk-dev).";

/// What the devices are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Of {
    /// TUN devices
    Tun,
    /// Cables (veth), by packet sockets
    Packet,
    /// Cables (veth), by XDP sockets
    Xdp,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum What {
    /// iperf3
    Tcp,
    /// What a small packet costs more than in the bare loop
    Small,
    /// New TCP connections a second, wrk to nginx
    Connections,
    /// Ping-pong of a small datagram
    Latency,
    /// CPU time of a gateway at rest
    Idle,
    /// From the daemon's start to its first forwarded packet
    Start,
}

/// From device to device: through Flowgate, through a bare loop over the same devices, and through the kernel's own forwarding.
#[derive(Debug, Parser)]
#[command(name = "devices", version, after_help = EXAMPLES)]
pub struct Job {
    /// What the two devices are
    #[arg(long, value_name = "TYPE", default_value = "tun")]
    pub(super) device: Of,

    /// Turns of each; medians are told
    #[arg(long, value_name = "N", default_value = "5", value_parser = |s: &str| within(s, 1, 99))]
    pub(super) turns: usize,

    /// Seconds of each measurement
    #[arg(long, value_name = "S", default_value = "10", value_parser = |s: &str| within(s, 1, 600))]
    pub(super) seconds: usize,

    /// Two turns of a second
    #[arg(long)]
    quick: bool,

    /// Streams of iperf3
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "1,8",
          value_parser = |s: &str| within(s, 1, 128))]
    pub(super) streams: Vec<usize>,

    /// Workers, and threads of the bare loop; each has a queue of both devices
    #[arg(long, value_name = "N", default_value = "1", value_parser = |s: &str| within(s, 1, 64))]
    pub(super) workers: usize,

    /// What to measure; left out: all that can be measured here
    #[arg(long, value_name = "WHAT,..", value_delimiter = ',')]
    pub(super) only: Vec<What>,

    /// Pairs of turns of the small packets
    #[arg(long, value_name = "N", default_value = "41", value_parser = |s: &str| within(s, 1, 999))]
    pub(super) pairs: usize,

    /// What each of those turns takes, ms
    #[arg(long, value_name = "MS", default_value = "250", value_parser = |s: &str| within(s, 10, 60_000))]
    pub(super) turn_ms: usize,

    /// Flows of the small packets
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "1,1000",
          value_parser = |s: &str| within(s, 1, 1_000_000))]
    pub(super) flows: Vec<usize>,

    /// IPv4 connections that the tables of 'start' have room for; 0: the daemon's default
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "0,1000000,10000000",
          value_parser = |s: &str| within(s, 0, 1 << 30))]
    pub(super) tables: Vec<usize>,

    /// Both TUN devices without offloads; cables have those of their kernels
    #[arg(long, conflicts_with = "device")]
    pub(super) no_offload: bool,

    /// Every number goes to this file, a line each
    #[arg(long, value_name = "FILE", default_value = "devices.csv")]
    pub(super) csv: PathBuf,
}

impl Job {
    /// What is to be measured, in this order; whether it was asked for by name.
    pub(super) fn whats(&self) -> (Vec<What>, bool) {
        match self.only.is_empty() {
            true => (What::value_variants().to_vec(), false),
            false => (self.only.clone(), true),
        }
    }
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
            seconds: 1,
            pairs: 3,
            ..job
        },
        false => job,
    })
}
