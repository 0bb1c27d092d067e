//! The ways of resolving a packet's output that the contention benchmark compares.
//!
//! The work of each is the same: given a packet's 5-tuple, find its next hop (one default route over one
//! gateway) and write the 14 bytes of its link header into the packet. They differ in how they share
//! what they read. Each file's head says which steps it takes and why these.
//!
//! A [`Way`] is the world that all threads share; a [`Worker`] is one thread's hand on it. Workers are
//! called by burst, so that the indirect call is not part of what is compared.

mod arc;
mod arcswap;
mod dashmap;
mod flowgate;
mod freebsd8;
mod mtx;
mod rtable;
mod rwlock;
#[cfg(test)]
mod tests;

use crate::traffic::{Packet, Tick, Traffic};

/// Packets that a worker gets at once.
pub const BURST: usize = 32;

/// One way of resolving output: what all threads share.
pub trait Way: Sync {
    /// The hand of thread `thread` on the shared world. Called once for each thread.
    fn worker(&self, thread: usize) -> Box<dyn Worker + '_>;
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
    /// Makes the world for these flows.
    pub build: fn(&Traffic) -> Box<dyn Way>,
}

/// All ways, in the order of the tables: oldest first.
pub const WAYS: &[WayInfo] = &[
    WayInfo {
        name: "freebsd8",
        about: "rwlock, four mutexes, reference count",
        build: |_| Box::new(freebsd8::Freebsd8::new()),
    },
    WayInfo {
        name: "rwlock",
        about: "RwLock<table> read",
        build: |_| Box::new(rwlock::Locked::new()),
    },
    WayInfo {
        name: "arc",
        about: "RwLock<Arc<table>> read, Arc clone and drop",
        build: |_| Box::new(arc::Counted::new()),
    },
    WayInfo {
        name: "arcswap",
        about: "ArcSwap<table> load",
        build: |_| Box::new(arcswap::Swapped::new()),
    },
    WayInfo {
        name: "dashmap",
        about: "one shared DashMap of flows",
        build: |traffic| Box::new(dashmap::SharedFlows::new(traffic)),
    },
    WayInfo {
        name: "flowgate",
        about: "the gateway's own code: a flow table a thread",
        build: |traffic| Box::new(flowgate::Flowgate::new(traffic)),
    },
];

/// The way called `name`.
pub fn by_name(name: &str) -> Option<&'static WayInfo> {
    WAYS.iter().find(|way| way.name == name)
}

/// Whether a way did its work on `packet`: the one next hop, the one neighbour's header.
pub fn is_resolved(packet: &Packet) -> bool {
    packet.nhop == rtable::GATEWAY_NHOP && packet.link == rtable::gateway_link()
}
