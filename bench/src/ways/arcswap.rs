//! `arcswap`: the table in an `arc_swap::ArcSwap`, loaded for each packet.
//!
//! A load writes into a debt slot of its own thread, so it scales; its read-modify-writes are real and
//! cost time all the same, but they touch no line that another thread uses while nothing is swapped.

use super::rtable::Rtable;
use super::{Way, Worker};
use crate::traffic::{Packet, Tick};
use arc_swap::ArcSwap;
use std::sync::Arc;

/// The slot.
#[derive(Debug)]
pub(super) struct Swapped {
    table: ArcSwap<Rtable>,
}

impl Swapped {
    /// One default route over `nhops` next hops.
    pub(super) fn new(nhops: usize) -> Self {
        Self {
            table: ArcSwap::from_pointee(Rtable::with_default_route(nhops)),
        }
    }
}

impl Way for Swapped {
    fn worker(&self, _thread: usize) -> Box<dyn Worker + '_> {
        Box::new(Reader { table: &self.table })
    }

    fn change(&self, number: u64) -> Result<(), String> {
        let mut table = Rtable::clone(&self.table.load());
        table.change(number);
        self.table.store(Arc::new(table));
        Ok(())
    }
}

/// One thread that reads.
struct Reader<'a> {
    table: &'a ArcSwap<Rtable>,
}

impl Worker for Reader<'_> {
    fn burst(&mut self, packets: &mut [Packet], _now: Tick) {
        for packet in packets {
            self.table.load().resolve(packet);
        }
    }
}
