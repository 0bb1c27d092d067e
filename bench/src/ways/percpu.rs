//! `pcpu-ref`: a flow cache for each thread, which nobody else reads, with next hops that are reference-counted.
//!
//! Looking a flow up touches nothing shared. But the packet holds its next hop while it is resolved, as a stack must whose
//! next hops are freed when their last reference goes (FreeBSD's flow table from 8.0 on cached such routes): the count
//! goes up and down once a packet, on a line that all threads share.

use super::cached::{Flow, Routes};
use super::{Way, Worker};
use crate::traffic::{FiveTuple, Packet, Tick, Traffic};
use crossbeam_utils::CachePadded;
use hashbrown::HashMap;
use std::sync::Arc;

/// What counts the packets that hold a next hop.
type Count = Arc<CachePadded<()>>;

/// The routes, and the flows that each thread will have.
#[derive(Debug)]
pub(super) struct PerCpu {
    routes: Routes,
    /// By next hop.
    counts: Vec<Count>,
    flows: Vec<Vec<FiveTuple>>,
}

impl PerCpu {
    /// Caches that hold every flow of `traffic`, each its thread's.
    pub(super) fn new(traffic: &Traffic, nhops: usize) -> Self {
        let flows = |thread| traffic.flows_of(thread).to_vec();
        Self {
            routes: Routes::new(nhops),
            counts: (0..=nhops).map(|_| Count::default()).collect(),
            flows: (0..traffic.threads()).map(flows).collect(),
        }
    }
}

impl Way for PerCpu {
    fn worker(&self, thread: usize) -> Box<dyn Worker + '_> {
        let flows = self.flows[thread].iter();
        Box::new(Cpu {
            net: self,
            cache: flows
                .map(|tuple| (*tuple, self.routes.flow(tuple)))
                .collect(),
        })
    }

    fn change(&self, number: u64) -> Result<(), String> {
        self.routes.change(number);
        Ok(())
    }
}

/// One thread with its cache.
struct Cpu<'a> {
    net: &'a PerCpu,
    cache: HashMap<FiveTuple, Flow>,
}

impl Worker for Cpu<'_> {
    fn burst(&mut self, packets: &mut [Packet], now: Tick) {
        for packet in packets {
            let Some(flow) = self.cache.get(&packet.tuple) else {
                continue;
            };
            if let Some(nhop) = self.net.routes.hit(flow, packet, now) {
                // Held until the packet is sent.
                drop(Count::clone(&self.net.counts[nhop as usize]));
            }
        }
    }
}
