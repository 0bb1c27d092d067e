//! What Flowgate adds to reading and writing its devices (binary `devices`): two kernels, each behind a TUN device or a cable, talk
//! through the gateway, through a bare loop that reads one device and writes the other, and through a kernel that forwards.
//!
//! The three take turns, so that what the machine does meanwhile is all theirs.

mod args;
mod bare;
mod cable;
mod connections;
mod cpu;
mod daemon;
mod gateway;
mod idle;
mod iperf;
mod kernel;
mod latency;
mod nginx;
mod place;
mod report;
mod small;
mod start;
mod tcp;
mod testpmd;
mod tool;

use crate::common::machine::{Machine, load_average};
use args::{Of, What};
use cable::Side;
use report::Report;
use stack::io::netns::enter_private;

pub use args::{Job, args};

/// Who forwards between the two kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Bare,
    Flowgate,
    Kernel,
    /// DPDK's, on cables alone.
    Testpmd,
}

impl Way {
    /// Those that are there for all devices.
    const ALL: [Self; 3] = [Self::Bare, Self::Flowgate, Self::Kernel];

    /// Those of this run. Each group takes turns of its own: testpmd would take a CPU from those beside it.
    fn groups(job: &Job) -> Vec<Vec<Self>> {
        let mut groups = vec![Self::ALL.to_vec()];
        if job.device != Of::Tun && testpmd::tool().is_ok() {
            groups.push(vec![Self::Testpmd]);
        }
        groups
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare loop",
            Self::Flowgate => "flowgate",
            Self::Kernel => "kernel",
            Self::Testpmd => "testpmd",
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
    println!(
        "{}; load before: {}",
        Machine::detect()?.line(),
        load_average()
    );
    if job.device != Of::Tun
        && let Err(line) = testpmd::tool()
    {
        println!("not compared with testpmd: {line}");
    }
    let mut report = Report::create(&job.csv)?;
    let (whats, asked_for) = job.whats();
    for what in whats {
        match needs(what) {
            // Where everything is wanted, a missing program does not keep the rest from being measured.
            Err(line) if !asked_for => println!("not measured: {line}"),
            there => there.and_then(|()| measure(what, job, &mut report))?,
        }
    }
    Ok(())
}

/// The programs that it takes, or which is missing.
fn needs(what: What) -> Result<(), String> {
    match what {
        What::Tcp => tool::find("iperf3", "iperf3").map(drop),
        What::Connections => nginx::tools(),
        What::Idle | What::Start => daemon::binary().map(drop),
        What::Small | What::Latency => Ok(()),
    }
}

fn measure(what: What, job: &Job, report: &mut Report) -> Result<(), String> {
    match what {
        What::Tcp => tcp::measure(job, report),
        What::Small => small::measure(job, report),
        What::Connections => connections::measure(job, report),
        What::Latency => latency::measure(job, report),
        What::Idle => idle::measure(job, report),
        What::Start => start::measure(job, report),
    }
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
        Way::Testpmd => Box::new(testpmd::Testpmd::start(&ends, job.device)?),
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
