//! What the ways with a flow cache of their own kind have in common: the routes behind the cache, and what an entry
//! of the cache knows.
//!
//! A hit checks the flow's pin as the gateway does (generation of the next hop's slot, then the neighbour's word) and
//! notes its last use inside the entry. Those words are read-mostly and shared by plain loads. A change of a route,
//! whichever it is, raises one version, and every entry that has an older one asks the table again: what a cache does
//! that does not know which of its entries a change concerns (Linux's routing cache did so, by `rt_genid`).

use super::rtable::{FIRST_NHOP, Rtable, mac_of, mac_of_nhop, mac_word, write_link};
use crate::traffic::{FiveTuple, Packet, Tick};
use crossbeam_utils::CachePadded;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{PoisonError, RwLock};

/// A flow: where it goes, as of which version of the routes, and when it was last seen.
#[derive(Debug)]
pub(super) struct Flow {
    nhop: AtomicU32,
    generation: u32,
    version: AtomicU32,
    last_use: AtomicU32,
}

/// A next hop: its slot's generation and its neighbour's address, replaced in place.
#[derive(Debug)]
struct Nhop {
    generation: AtomicU32,
    neighbour: AtomicU64,
}

/// The routes behind a cache.
#[derive(Debug)]
pub(super) struct Routes {
    table: RwLock<Rtable>,
    version: CachePadded<AtomicU32>,
    /// By index.
    nhops: Vec<CachePadded<Nhop>>,
}

impl Routes {
    /// One default route over `nhops` next hops.
    pub(super) fn new(nhops: usize) -> Self {
        let nhop = |nhop| {
            CachePadded::new(Nhop {
                generation: AtomicU32::new(1),
                neighbour: AtomicU64::new(mac_word(mac_of_nhop(nhop))),
            })
        };
        Self {
            table: RwLock::new(Rtable::with_default_route(nhops)),
            version: CachePadded::new(AtomicU32::new(0)),
            nhops: (0..FIRST_NHOP + nhops as u32).map(nhop).collect(),
        }
    }

    /// The entry of a new flow.
    pub(super) fn flow(&self, tuple: &FiveTuple) -> Flow {
        Flow {
            nhop: AtomicU32::new(self.lookup(tuple)),
            generation: 1,
            version: AtomicU32::new(self.version.load(Acquire)),
            last_use: AtomicU32::new(0),
        }
    }

    /// Change of a route number `number`.
    pub(super) fn change(&self, number: u64) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.change(number);
        let next = self.version.load(Relaxed).wrapping_add(1);
        self.version.store(next, Release);
    }

    /// A hit: pin check, link header. A flow whose next hop is gone is left alone. The next hop that it took.
    #[inline]
    pub(super) fn hit(&self, flow: &Flow, packet: &mut Packet, now: Tick) -> Option<u32> {
        flow.last_use.store(now, Relaxed);
        let version = self.version.load(Acquire);
        if flow.version.load(Relaxed) != version {
            flow.nhop.store(self.lookup(&packet.tuple), Relaxed);
            flow.version.store(version, Relaxed);
        }
        let index = flow.nhop.load(Relaxed);
        let nhop = self.nhops.get(index as usize)?;
        if nhop.generation.load(Acquire) != flow.generation {
            return None;
        }
        packet.nhop = index;
        write_link(&mut packet.link, mac_of(nhop.neighbour.load(Acquire)));
        Some(index)
    }

    /// The table's answer; 0, which is no next hop, if there is no route.
    #[cold]
    fn lookup(&self, tuple: &FiveTuple) -> u32 {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.lookup(tuple).unwrap_or(0)
    }
}
