//! `papaya`: one flow table for all threads, a map without locks.
//!
//! A hit writes nothing but its entry's last use; what guards the memory that is read is entered once a burst, which
//! is as cheap as it gets. What a hit does besides is in [`super::cached`].

use super::cached::{Flow, Routes};
use super::{Way, Worker};
use crate::traffic::{FiveTuple, Packet, Tick, Traffic};
use papaya::HashMap;

/// The shared map.
#[derive(Debug)]
pub(super) struct SharedFlows {
    flows: HashMap<FiveTuple, Flow>,
    routes: Routes,
}

impl SharedFlows {
    /// A map that holds every flow of `traffic`.
    pub(super) fn new(traffic: &Traffic, nhops: usize) -> Self {
        let routes = Routes::new(nhops);
        let flows = traffic.all_flows();
        Self {
            flows: flows.map(|tuple| (*tuple, routes.flow(tuple))).collect(),
            routes,
        }
    }
}

impl Way for SharedFlows {
    fn worker(&self, _thread: usize) -> Box<dyn Worker + '_> {
        Box::new(Sharer { shared: self })
    }

    fn change(&self, number: u64) -> Result<(), String> {
        self.routes.change(number);
        Ok(())
    }
}

/// One thread that looks up.
struct Sharer<'a> {
    shared: &'a SharedFlows,
}

impl Worker for Sharer<'_> {
    fn burst(&mut self, packets: &mut [Packet], now: Tick) {
        let SharedFlows { flows, routes } = self.shared;
        let flows = flows.pin();
        for packet in packets {
            if let Some(flow) = flows.get(&packet.tuple) {
                routes.hit(flow, packet, now);
            }
        }
    }
}
