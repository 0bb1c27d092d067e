//! What a packet costs without devices (binary `core`): one worker, from a received frame to a sent one, both
//! directions of flows that are all known and established.
//!
//! Everything that a packet meets is there: the copy into a buffer, validation, owner, flow table, the checks of generation and
//! stamp, TTL and checksum, neighbour, link header, counters. What the port in memory takes of that (a buffer from the pool, the
//! copy, the buffer back) is measured beside it, in turns with it.

mod bare;
pub mod count;
mod flood;

use crate::common::cli::{Refusal, refusal, within};
use crate::common::stats::Summary;
use crate::common::timing::Spent;
use crate::flows::insert;
use crate::rig::{Endless, Frames, NOW, gateway};
use bare::Bare;
use clap::{Parser, ValueEnum};
use stack::io::Queue;
use stack::{Now, Setup, Worker};
use std::ffi::OsString;

const EXAMPLES: &str = "Examples:
  core                             64 k, 1 M and 10 M flows
  core --flows 65536 --runs 3
  core --flood                     what new flows at full speed cost established ones
  core --packets 100000            forwards so many packets of 1,024 flows and ends: for valgrind --tool=callgrind, which
                                   .ci/instructions runs
  core --packets 100000 --counted attack";

/// What a packet of a known flow costs one worker, without devices.
#[derive(Debug, Parser)]
#[command(name = "core", version, after_help = EXAMPLES)]
pub struct Job {
    /// Flows, all known
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "65536,1000000,10000000",
          value_parser = |s: &str| within(s, 1, 100_000_000))]
    flows: Vec<usize>,

    /// Bytes of a frame, without its checksum
    #[arg(long, value_name = "BYTES", default_value = "60", value_parser = |s: &str| within(s, 60, 1514))]
    size: usize,

    /// Turns of each; medians are told
    #[arg(long, value_name = "N", default_value = "15", value_parser = |s: &str| within(s, 1, 999))]
    runs: usize,

    /// Measure nothing: forward so many packets
    #[arg(long, value_name = "N", value_parser = |s: &str| within(s, 0, 1_000_000_000))]
    packets: Option<usize>,

    /// Which packets these are
    #[arg(long, value_enum, requires = "packets", default_value = "known")]
    counted: Counted,

    /// Established flows beside a flood of new ones
    #[arg(long, conflicts_with_all = ["flows", "packets"])]
    flood: bool,
}

/// What a run that is counted consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Counted {
    /// Packets of known flows.
    Known,
    /// Packets that each open another connection, at full speed into a full flow table: most get no entry.
    Attack,
    /// The same of a worker without a flow cache.
    Uncached,
    /// New flows in the flow table alone, no flood: each is looked up, inserted in another's place, and pinned.
    New,
}

/// Reads the command line.
///
/// # Errors
/// Help that was asked for, or one line about what is wrong.
pub fn args(argv: impl Iterator<Item = OsString>) -> Result<Job, Refusal> {
    Job::try_parse_from(argv).map_err(|error| refusal(&error))
}

/// Measures and prints. `allocated` says how many bytes have ever been allocated.
///
/// # Errors
/// What could not be made or measured, in one line.
pub fn run(job: &Job, allocated: impl Fn() -> usize) -> Result<(), String> {
    if let Some(packets) = job.packets {
        return match job.counted {
            Counted::Known => count::forward(packets, job.size),
            Counted::Attack => flood::forward(packets, job.size),
            Counted::Uncached => flood::forward_uncached(packets, job.size),
            Counted::New => insert::evict(packets),
        };
    }
    if job.flood {
        return flood::measure(job);
    }
    println!(
        "one worker, frames of {} bytes, medians of {} turns",
        job.size, job.runs
    );
    println!(
        "{:>10} {:>11} {:>9} {:>11} {:>22} {:>10}",
        "flows", "ns/packet", "least", "port alone", "without the port, ns", "allocated"
    );
    for &flows in &job.flows {
        measure(job, flows, &allocated)?;
    }
    Ok(())
}

fn measure(job: &Job, flows: usize, allocated: &impl Fn() -> usize) -> Result<(), String> {
    let [there, back] = frames(flows, job.size);
    let mut bare = Bare::new(there.clone());
    let places = (flows * 5 / 4).max(65_536);
    let mut rig = Rig::new(there, back, places)?;
    rig.learn()?;
    // A turn passes over all flows where there are few, and over some millions where there are many.
    let packets = flows.clamp(1 << 20, 1 << 22);
    let mut whole = Vec::with_capacity(job.runs);
    let mut port = Vec::with_capacity(job.runs);
    bare.turn(packets);
    rig.turn(packets);
    let before = allocated();
    for _ in 0..job.runs {
        whole.push(timed(|| rig.turn(packets)));
        port.push(timed(|| bare.turn(packets)));
    }
    let new = allocated() - before;
    rig.all_passed()?;
    let (Some(whole), Some(port)) = (Summary::of(&whole), Summary::of(&port)) else {
        return Err("no turn".into());
    };
    println!(
        "{flows:>10} {:>11.1} {:>9.1} {:>11.1} {:>22.1} {:>8} B",
        whole.median,
        whole.min,
        port.median,
        whole.median - port.median,
        new
    );
    Ok(())
}

fn timed(turn: impl FnOnce() -> u64) -> f64 {
    let mut spent = Spent::default();
    spent.on(turn);
    spent.ns()
}

/// A frame of each flow there and one back, in no order.
pub(crate) fn frames(flows: usize, size: usize) -> [Frames; 2] {
    let mut rng = fastrand::Rng::with_seed(11);
    let mut frames = [Frames::new(size), Frames::new(size)];
    let mut order: Vec<u32> = (0..flows as u32).collect();
    for way in 0..2 {
        rng.shuffle(&mut order);
        for &flow in &order {
            // 60,000 clients, as many ports of each as it takes.
            let client = (0x0a00_0002 + flow % 60_000).into();
            let server = (0x1400_0000 + (flow.wrapping_mul(2_654_435_761) >> 4)).into();
            let ends = ((client, 5000 + (flow / 60_000) as u16), (server, 443));
            match way {
                0 => frames[0].push(ends.0, ends.1),
                _ => frames[1].push_back(ends.1, ends.0),
            }
        }
    }
    frames
}

/// A worker and its queues.
pub(crate) struct Rig {
    worker: Worker,
    queues: Vec<Box<dyn Queue>>,
    flows: usize,
    _rest: (stack::Control, stack::Host),
}

impl Rig {
    /// With so many places in its flow table.
    pub(crate) fn new(there: Frames, back: Frames, places: usize) -> Result<Self, String> {
        let setup = Setup {
            flows_v4: places,
            flows_v6: 1024,
            ..Setup::default()
        };
        let mut made = gateway(setup)?;
        let worker = made.workers.pop().ok_or("no worker")?;
        Ok(Self {
            worker,
            flows: there.len(),
            queues: Endless::pair(there, back),
            _rest: (made.control, made.host),
        })
    }

    /// Its worker without a flow cache.
    pub(crate) fn uncached(mut self) -> Self {
        self.worker = self.worker.uncached();
        self
    }

    /// Every flow gets its entry, and is seen both ways often enough to be in no hurry to change.
    pub(crate) fn learn(&mut self) -> Result<(), String> {
        self.turn(2 * 4 * self.flows);
        self.all_passed()
    }

    /// Forwards at least so many packets, and says how many.
    pub(crate) fn turn(&mut self, packets: usize) -> u64 {
        self.turn_at(NOW, packets)
    }

    fn turn_at(&mut self, now: Now, packets: usize) -> u64 {
        let mut done = 0;
        while done < packets {
            done += self.worker.poll(now, &mut self.queues);
        }
        done as u64
    }

    /// A bench of packets that were dropped says nothing.
    fn all_passed(&self) -> Result<(), String> {
        let counters = self.worker.counters();
        let (received, forwarded) = (counters.rx.get(), counters.forwarded.get());
        match received == forwarded {
            true => Ok(()),
            false => Err(format!("of {received} packets {forwarded} were forwarded")),
        }
    }

    /// Nor does one of a worker without a cache that has one.
    fn none_pinned(&self) -> Result<(), String> {
        let counters = self.worker.counters();
        let (forwarded, unpinned) = (counters.forwarded.get(), counters.unpinned.get());
        match forwarded == unpinned {
            true => Ok(()),
            false => Err(format!(
                "of {forwarded} packets {unpinned} went without a pin"
            )),
        }
    }
}
