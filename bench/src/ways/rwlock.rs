//! `rwlock`: the table behind one `std::sync::RwLock`, read-locked while a packet is resolved.
//!
//! No clone, no reference count: only the lock's own word is written, twice a packet.

use super::rtable::Rtable;
use super::{Way, Worker};
use crate::traffic::{Packet, Tick};
use std::sync::{PoisonError, RwLock};

/// The table and its lock.
#[derive(Debug)]
pub(super) struct Locked {
    table: RwLock<Rtable>,
}

impl Locked {
    /// One default route over `nhops` next hops.
    pub(super) fn new(nhops: usize) -> Self {
        Self {
            table: RwLock::new(Rtable::with_default_route(nhops)),
        }
    }
}

impl Way for Locked {
    fn worker(&self, _thread: usize) -> Box<dyn Worker + '_> {
        Box::new(Reader { table: &self.table })
    }

    fn change(&self, number: u64) -> Result<(), String> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.change(number);
        Ok(())
    }
}

/// One thread that reads.
struct Reader<'a> {
    table: &'a RwLock<Rtable>,
}

impl Worker for Reader<'_> {
    fn burst(&mut self, packets: &mut [Packet], _now: Tick) {
        for packet in packets {
            self.table
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .resolve(packet);
        }
    }
}
