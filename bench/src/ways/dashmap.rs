//! `dashmap`: one flow table for all threads, a sharded map with a readers-writer lock a shard.
//!
//! A hit checks the flow's pin as the gateway does (generation of the next hop's slot, then the
//! neighbour's word) and notes its last use inside the entry. The words are read-mostly and shared by
//! plain loads; only the map's locks are read-modify-writes.

use super::rtable::{GATEWAY_MAC, GATEWAY_NHOP, mac_of, mac_word, write_link};
use super::{Way, Worker};
use crate::traffic::{FiveTuple, Packet, Tick, Traffic};
use crossbeam_utils::CachePadded;
use dashmap::DashMap;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed},
};

/// A flow: where it goes, and when it was last seen.
#[derive(Debug)]
struct Flow {
    nhop: u32,
    generation: u32,
    last_use: AtomicU32,
}

/// A next hop: its slot's generation and its neighbour's address, replaced in place.
#[derive(Debug, Default)]
struct Nhop {
    generation: AtomicU32,
    neighbour: AtomicU64,
}

/// The shared table.
#[derive(Debug)]
pub(super) struct SharedFlows {
    flows: DashMap<FiveTuple, Flow>,
    nhops: [CachePadded<Nhop>; 2],
}

impl SharedFlows {
    /// A table that holds every flow of `traffic`.
    pub(super) fn new(traffic: &Traffic) -> Self {
        let flow = || Flow {
            nhop: GATEWAY_NHOP,
            generation: 1,
            last_use: AtomicU32::new(0),
        };
        let nhop = Nhop {
            generation: AtomicU32::new(1),
            neighbour: AtomicU64::new(mac_word(GATEWAY_MAC)),
        };
        Self {
            flows: traffic.all_flows().map(|tuple| (*tuple, flow())).collect(),
            nhops: [CachePadded::default(), CachePadded::new(nhop)],
        }
    }

    /// Hit, pin check, link header. A flow that is not there or whose next hop is gone is left alone.
    #[inline]
    fn resolve(&self, packet: &mut Packet, now: Tick) {
        let Some(flow) = self.flows.get(&packet.tuple) else {
            return;
        };
        flow.last_use.store(now, Relaxed);
        let Some(nhop) = self.nhops.get(flow.nhop as usize) else {
            return;
        };
        if nhop.generation.load(Acquire) != flow.generation {
            return;
        }
        packet.nhop = flow.nhop;
        write_link(&mut packet.link, mac_of(nhop.neighbour.load(Acquire)));
    }
}

impl Way for SharedFlows {
    fn worker(&self, _thread: usize) -> Box<dyn Worker + '_> {
        Box::new(Sharer { table: self })
    }
}

/// One thread that looks up.
struct Sharer<'a> {
    table: &'a SharedFlows,
}

impl Worker for Sharer<'_> {
    fn burst(&mut self, packets: &mut [Packet], now: Tick) {
        for packet in packets {
            self.table.resolve(packet, now);
        }
    }
}
