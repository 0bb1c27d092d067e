//! `arc`: a reference-counted table in a shared slot, cloned and dropped for each packet.
//!
//! The slot is a `RwLock<Arc<table>>`, held only while the `Arc` is cloned: what a program does that wants
//! to replace its table without making readers wait. Four read-modify-writes a packet: lock, count up,
//! unlock, count down.

use super::rtable::Rtable;
use super::{Way, Worker};
use crate::traffic::{Packet, Tick};
use std::sync::{Arc, PoisonError, RwLock};

/// The slot.
#[derive(Debug)]
pub(super) struct Counted {
    slot: RwLock<Arc<Rtable>>,
}

impl Counted {
    /// One default route over `nhops` next hops.
    pub(super) fn new(nhops: usize) -> Self {
        Self {
            slot: RwLock::new(Arc::new(Rtable::with_default_route(nhops))),
        }
    }
}

impl Way for Counted {
    fn worker(&self, _thread: usize) -> Box<dyn Worker + '_> {
        Box::new(Reader { slot: &self.slot })
    }

    fn change(&self, number: u64) -> Result<(), String> {
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        let mut table = Rtable::clone(&slot);
        table.change(number);
        *slot = Arc::new(table);
        Ok(())
    }
}

/// One thread that reads.
struct Reader<'a> {
    slot: &'a RwLock<Arc<Rtable>>,
}

impl Worker for Reader<'_> {
    fn burst(&mut self, packets: &mut [Packet], _now: Tick) {
        for packet in packets {
            let table = Arc::clone(&self.slot.read().unwrap_or_else(PoisonError::into_inner));
            table.resolve(packet);
        }
    }
}
