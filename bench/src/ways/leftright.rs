//! `left-right`: two tables; readers use one of them while changes go into the other, then they swap.
//!
//! A reader enters for each packet: an addition to an epoch of its own thread, before and after, so nothing that
//! another packet touches is written. What it costs is memory (two tables) and a writer that waits for readers.

use super::rtable::Rtable;
use super::{Way, Worker};
use crate::traffic::{Packet, Tick};
use left_right::{Absorb, ReadHandle, ReadHandleFactory, WriteHandle};
use std::sync::{Mutex, PoisonError};

/// Change of a route, by its number.
struct Change(u64);

impl Absorb<Change> for Rtable {
    fn absorb_first(&mut self, change: &mut Change, _other: &Self) {
        self.change(change.0);
    }

    fn sync_with(&mut self, first: &Self) {
        self.clone_from(first);
    }
}

/// The two tables.
pub(super) struct TwoTables {
    write: Mutex<WriteHandle<Rtable, Change>>,
    read: ReadHandleFactory<Rtable>,
}

impl TwoTables {
    /// One default route over `nhops` next hops.
    pub(super) fn new(nhops: usize) -> Self {
        let (mut write, read) = left_right::new_from_empty(Rtable::with_default_route(nhops));
        write.publish();
        Self {
            write: Mutex::new(write),
            read: read.factory(),
        }
    }
}

impl Way for TwoTables {
    fn worker(&self, _thread: usize) -> Box<dyn Worker + '_> {
        Box::new(Reader {
            table: self.read.handle(),
        })
    }

    fn change(&self, number: u64) -> Result<(), String> {
        let mut write = self.write.lock().unwrap_or_else(PoisonError::into_inner);
        write.append(Change(number)).publish();
        Ok(())
    }
}

/// One thread that reads.
struct Reader {
    table: ReadHandle<Rtable>,
}

impl Worker for Reader {
    fn burst(&mut self, packets: &mut [Packet], _now: Tick) {
        for packet in packets {
            if let Some(table) = self.table.enter() {
                table.resolve(packet);
            }
        }
    }
}
