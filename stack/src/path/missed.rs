//! The routes of a burst's flows that have no entry, looked up side by side: all stamps, then all routes, then all buckets,
//! whose memory is asked for.
//!
//! Each stamp is read before the lookup that it vouches for, as for a flow alone (see the head of [`path`](super)).

use super::Shared;
use crate::routed::{Routed, bucket_hashed};
use flowtable::{Burst, Flow};
use route::GroupId;

/// What was looked up for a packet before its turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) stamp: u32,
    pub(super) group: Option<GroupId>,
    pub(super) bucket: u32,
}

/// Fewer flows are looked up one by one, each when it is its turn.
const FEW: usize = 4;

/// The ways of a burst, of one family: room that is kept from one to the next.
pub(super) struct Ways<K: Routed> {
    /// By the flow's place in the burst.
    ways: Vec<Option<Way>>,
    flows: Vec<(u32, Flow<K>, u64)>,
    stamps: Vec<u32>,
    dsts: Vec<K::Addr>,
    groups: Vec<Option<GroupId>>,
}

impl<K: Routed> Ways<K> {
    /// Room for `most` packets.
    pub(super) fn new(most: usize) -> Self {
        Self {
            ways: Vec::with_capacity(most),
            flows: Vec::with_capacity(most),
            stamps: Vec::with_capacity(most),
            dsts: Vec::with_capacity(most),
            groups: Vec::with_capacity(most),
        }
    }

    /// The way of one flow, if it was looked up.
    #[inline]
    pub(super) fn get(&self, which: u32) -> Option<Way> {
        *self.ways.get(which as usize)?
    }

    /// Looks up the flows of a burst of which `missed` were not found.
    #[inline]
    pub(super) fn find(&mut self, burst: &mut Burst<K>, missed: usize, s: &Shared) {
        self.ways.clear();
        if missed >= FEW {
            self.find_all(burst, s);
        }
    }

    #[inline(never)]
    fn find_all(&mut self, burst: &mut Burst<K>, s: &Shared) {
        self.flows.clear();
        self.dsts.clear();
        self.stamps.clear();
        self.ways.resize(burst.len(), None);
        let mut fib = None;
        burst.missed(&s.secret, |which, flow, hash| {
            // Those of another FIB than the first are left to themselves.
            if *fib.get_or_insert_with(|| flow.key.fib()) == flow.key.fib() {
                let dst = flow.key.dst(flow.dir);
                self.stamps.push(flow.key.stamp(&s.view, dst));
                self.dsts.push(dst);
                self.flows.push((which, *flow, hash));
            }
        });
        let Some((_, first, _)) = self.flows.first() else {
            return;
        };
        self.groups.resize(self.dsts.len(), None);
        first
            .key
            .lookup_burst(&s.view, &self.dsts, &mut self.groups);
        let found = self.flows.iter().zip(&self.stamps).zip(&self.groups);
        for (((which, flow, hash), stamp), id) in found {
            let mut bucket = 0;
            if let Some(id) = id {
                let group = s.view.group(*id);
                bucket = bucket_hashed(&group, &s.secret, (&flow.key, flow.dir), *hash);
                group.prefetch(bucket);
            }
            if let Some(way) = self.ways.get_mut(*which as usize) {
                *way = Some(Way {
                    stamp: *stamp,
                    group: *id,
                    bucket,
                });
            }
        }
    }
}

#[cfg(test)]
#[path = "missed_tests.rs"]
mod tests;
