//! The ways of resolving a packet's output that the contention benchmark compares.
//!
//! The work of each is the same: given a packet's 5-tuple, find its next hop (one default route over one
//! gateway or several) and write the 14 bytes of its link header into the packet. They differ in how they share
//! what they read. Each file's head says which steps it takes and why these.
//!
//! A [`Way`] is the world that all threads share; a [`Worker`] is one thread's hand on it. Workers are
//! called by burst, so that the indirect call is not part of what is compared.

mod arc;
mod arcswap;
mod cached;
mod dashmap;
mod flowgate;
mod freebsd8;
mod leftright;
mod mtx;
mod papaya;
mod percpu;
mod poll;
mod rtable;
mod rwlock;
#[cfg(test)]
mod tests;

use crate::traffic::{Packet, Tick, Traffic};
use poll::{Flows, Polled};

/// Packets that a worker gets at once.
pub const BURST: usize = 32;

/// What packets and routes are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// Flows a thread.
    pub flows: usize,
    /// Next hops of the default route.
    pub nexthops: usize,
    /// Route changes a second, none of which concerns a packet.
    pub churn: usize,
}

/// The most next hops of a scene.
pub const MAX_NEXTHOPS: usize = rtable::MAX_NHOPS;

/// One way of resolving output: what all threads share.
pub trait Way: Sync {
    /// The hand of thread `thread` on the shared world. Called once for each thread.
    fn worker(&self, thread: usize) -> Box<dyn Worker + '_>;

    /// Change of a route number `number`, from 0: a prefix that no packet matches is added, or deleted again.
    /// One thread makes all changes, while workers go on.
    ///
    /// # Errors
    /// One line that says why it was not made.
    fn change(&self, number: u64) -> Result<(), String>;
}

/// One thread's part of a way.
pub trait Worker {
    /// Resolves each packet: sets its `nhop` and `link`.
    fn burst(&mut self, packets: &mut [Packet], now: Tick);
}

/// A way as the command line, the tables and the plot know it.
#[derive(Clone, Copy, Debug)]
pub struct WayInfo {
    /// Its name.
    pub name: &'static str,
    /// What it does for each packet, in a few words.
    pub about: &'static str,
    /// Makes the world for these flows and so many next hops.
    pub build: fn(&Traffic, usize) -> Box<dyn Way>,
}

/// All ways, in the order of the tables: oldest first.
pub const WAYS: &[WayInfo] = &[
    WayInfo {
        name: "freebsd8",
        about: "rwlock, four mutexes, reference count",
        build: |_, hops| Box::new(freebsd8::Freebsd8::new(hops)),
    },
    WayInfo {
        name: "rwlock",
        about: "RwLock<table> read",
        build: |_, hops| Box::new(rwlock::Locked::new(hops)),
    },
    WayInfo {
        name: "arc",
        about: "RwLock<Arc<table>> read, Arc clone and drop",
        build: |_, hops| Box::new(arc::Counted::new(hops)),
    },
    WayInfo {
        name: "arcswap",
        about: "ArcSwap<table> load",
        build: |_, hops| Box::new(arcswap::Swapped::new(hops)),
    },
    WayInfo {
        name: "left-right",
        about: "left-right table, entered for each packet",
        build: |_, hops| Box::new(leftright::TwoTables::new(hops)),
    },
    WayInfo {
        name: "pcpu-ref",
        about: "a flow cache a thread, shared next hop counted up and down",
        build: |traffic, hops| Box::new(percpu::PerCpu::new(traffic, hops)),
    },
    WayInfo {
        name: "dashmap",
        about: "one shared DashMap of flows",
        build: |traffic, hops| Box::new(dashmap::SharedFlows::new(traffic, hops)),
    },
    WayInfo {
        name: "papaya",
        about: "one shared papaya map of flows",
        build: |traffic, hops| Box::new(papaya::SharedFlows::new(traffic, hops)),
    },
    WayInfo {
        name: "flowgate",
        about: "the gateway's own code: a flow table a thread",
        build: |traffic, hops| Box::new(flowgate::Flowgate::new(traffic, hops)),
    },
];

/// What can be single-stepped beside the ways: whole workers. They resolve no packet for the benchmark.
pub const POLLED: &[WayInfo] = &[
    WayInfo {
        name: "poll-known",
        about: "the gateway's whole worker, packets of known flows",
        build: |traffic, _| Box::new(Polled::new(traffic, Flows::Known)),
    },
    WayInfo {
        name: "poll-new",
        about: "the gateway's whole worker, packets of new flows",
        build: |traffic, _| Box::new(Polled::new(traffic, Flows::New)),
    },
];

/// What is single-stepped under this name: a way, or whole workers.
pub fn to_step(name: &str) -> Option<&'static WayInfo> {
    by_name(name).or_else(|| POLLED.iter().find(|way| way.name == name))
}

/// The way called `name`.
pub fn by_name(name: &str) -> Option<&'static WayInfo> {
    WAYS.iter().find(|way| way.name == name)
}

/// Whether a way did its work on `packet`: one of the next hops, and that neighbour's header.
pub fn is_resolved(packet: &Packet, nexthops: usize) -> bool {
    let known = rtable::FIRST_NHOP..rtable::FIRST_NHOP + nexthops as u32;
    known.contains(&packet.nhop) && packet.link == rtable::link_by(packet.nhop)
}
