//! Puts a gateway together: control, host and workers, joined by their rings, without starting anything.
//!
//! What comes out is sans-I/O: the daemon gives each part a thread and devices ([`crate::io::run`]), a test
//! polls them by hand in virtual time.

mod build;

pub use build::build;

use crate::control::Control;
use crate::host::Host;
use crate::icmp::{Rate, Rates};
use crate::io::wake::Waker;
use crate::links::Depths;
use crate::path::FlowTables;
use crate::ports::Ports;
use crate::worker::Worker;
use flowtable::{GroupSecret, TableSecret};

/// Everything a gateway is built from. The defaults are the daemon's.
pub struct Setup {
    /// Threads that forward, at the start.
    pub workers: usize,
    /// The most that there may be later: so many are made, and queue *i* of each port is worker *i*'s. 0: as many as at
    /// the start.
    pub max_workers: usize,
    /// Ports, in the order of their indexes.
    pub ports: Ports,
    /// IPv4 flows in all.
    pub flows_v4: usize,
    /// IPv6 flows in all.
    pub flows_v6: usize,
    /// The tables of these, made before; left out, they are made here.
    pub tables: Option<FlowTables>,
    /// Affinity templates: client networks of sticky routes.
    pub templates: usize,
    /// Limits of the route tables; the number of readers is set here.
    pub route: route::Config,
    /// Limits and timers of the neighbour table.
    pub neigh: arp::Config,
    /// Ring depths.
    pub depths: Depths,
    /// Packet buffers a worker.
    pub buffers: usize,
    /// Bytes in a packet buffer: the largest MTU and a link header.
    pub packet_size: usize,
    /// Buffers for super-packets, a worker; 0 where no port receives any.
    pub large_buffers: usize,
    /// Packets held for one neighbour, and in all, a worker.
    pub hold: (usize, usize),
    /// Datagrams and pieces in the fragment collector, a worker.
    pub fragments: (usize, usize),
    /// ICMP limits, all workers together.
    pub icmp: Rates,
    /// New neighbours asked for on one port, all workers together: a scan of a network asks no faster.
    pub new_neighbours: Rate,
    /// Fresh at each start.
    pub table_secret: TableSecret,
    /// The installation's.
    pub group_secret: GroupSecret,
    /// For everything that is to look random without being secret.
    pub seed: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            workers: 1,
            max_workers: 0,
            ports: Ports::default(),
            flows_v4: 262_144,
            flows_v6: 131_072,
            tables: None,
            templates: 65_536,
            route: route::Config::default(),
            neigh: arp::Config::default(),
            depths: Depths::default(),
            buffers: 4096,
            packet_size: 2048,
            large_buffers: 0,
            hold: (16, 512),
            fragments: (256, 512),
            icmp: Rates::default(),
            // A burst fills the unanswered ones that a port may have.
            new_neighbours: Rate {
                per_second: 256,
                burst: 256,
            },
            table_secret: TableSecret([0; 16]),
            group_secret: GroupSecret([0; 16]),
            seed: 0,
        }
    }
}

impl Setup {
    /// Workers that are made, whether they own slots or not.
    pub fn all_workers(&self) -> usize {
        self.workers.max(self.max_workers)
    }
}

/// Whom to wake; [`Waker::null`] in a simulation.
pub struct Wakers {
    /// One a worker.
    pub workers: Vec<Waker>,
    /// The host's.
    pub host: Waker,
    /// Control's.
    pub control: Waker,
}

impl Wakers {
    /// Wakers that wake nobody.
    pub fn null(workers: usize) -> Self {
        let workers = (0..workers).map(|_| Waker::null()).collect();
        Self {
            workers,
            host: Waker::null(),
            control: Waker::null(),
        }
    }

    /// Real ones.
    pub fn new(workers: usize) -> std::io::Result<Self> {
        let workers = (0..workers)
            .map(|_| Waker::new())
            .collect::<Result<_, _>>()?;
        Ok(Self {
            workers,
            host: Waker::new()?,
            control: Waker::new()?,
        })
    }
}

/// A gateway, ready to be polled.
pub struct Gateway {
    /// The truth.
    pub control: Control,
    /// Neighbours and own sockets.
    pub host: Host,
    /// The packet path.
    pub workers: Vec<Worker>,
}
