//! The routes of a burst's flows that have no entry, looked up side by side: all stamps, then all routes, then all buckets,
//! whose memory is asked for.
//!
//! Each stamp is read before the lookup that it vouches for, as for a flow alone (see the head of [`path`](super)).

use super::Shared;
use crate::routed::{Routed, bucket_of};
use flowtable::Burst;
use route::{GroupId, GroupRef, Pin, Selection, stamps_then_routes};

/// What was looked up for a packet before its turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) stamp: u32,
    pub(super) group: Option<GroupId>,
    pub(super) bucket: u32,
    /// Its group chooses by the whole tuple, and has no templates.
    pub(super) plain: bool,
    /// If it is to be turned away, and `plain`: whose its bucket is, dead or alive, if that remembers nobody else.
    pub(super) owner: Option<Pin>,
}

/// Fewer flows are looked up one by one, each when it is its turn.
const FEW: usize = 4;

/// The ways of a burst, of one family: room that is kept from one to the next.
pub(super) struct Ways<K: Routed> {
    /// By the flow's place in the burst.
    ways: Vec<Option<Way>>,
    /// Of the flows that were not found: which, the hash that groups choose by, and the stamp of where its packet goes.
    missed: Vec<(u32, u64, u32)>,
    dsts: Vec<K::Addr>,
    groups: Vec<Option<GroupId>>,
}

impl<K: Routed> Ways<K> {
    /// Room for `most` packets.
    pub(super) fn new(most: usize) -> Self {
        Self {
            ways: Vec::with_capacity(most),
            missed: Vec::with_capacity(most),
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
        self.ways.resize(burst.len(), None);
        let looked_up = stamps_then_routes(
            self,
            |ways| ways.read_stamps(burst, s),
            |ways, of| ways.look_up(of, s),
        );
        if looked_up {
            self.choose(burst, s);
        }
    }

    /// The stamps of the flows that were not found, and the first one's key.
    #[inline(always)]
    fn read_stamps(&mut self, burst: &mut Burst<K>, s: &Shared) -> Option<K> {
        self.missed.clear();
        self.dsts.clear();
        let mut of = None;
        burst.missed(&s.secret, |which, flow, hash| {
            // Those of another FIB than the first are left to themselves.
            let first = *of.get_or_insert(flow.key);
            if first.fib() == flow.key.fib() {
                let dst = flow.key.dst(flow.dir);
                let stamp = flow.key.stamp(&s.view, dst);
                self.missed.push((which, hash, stamp));
                self.dsts.push(dst);
            }
        });
        of
    }

    /// Their routes, in the FIB of the first one. `false`: there are none.
    #[inline(always)]
    fn look_up(&mut self, of: Option<K>, s: &Shared) -> bool {
        if let Some(of) = of {
            self.groups.resize(self.dsts.len(), None);
            of.lookup_burst(&s.view, &self.dsts, &mut self.groups);
        }
        of.is_some()
    }

    /// Finds the buckets of the flows whose groups are known.
    fn choose(&mut self, burst: &Burst<K>, s: &Shared) {
        let mut last = Last(None);
        for (&(which, hash, stamp), &id) in self.missed.iter().zip(&self.groups) {
            let (mut bucket, mut plain) = (0, false);
            if let Some(id) = id {
                let group = last.named(s, id);
                (bucket, plain) = (group.bucket(burst, which, hash, s), group.plain);
                group.group.prefetch(bucket);
            }
            if let Some(way) = self.ways.get_mut(which as usize) {
                *way = Some(Way {
                    stamp,
                    group: id,
                    bucket,
                    plain,
                    owner: None,
                });
            }
        }
        self.ask_owners(burst, s);
    }

    /// Looks into the buckets of those that are to be turned away.
    fn ask_owners(&mut self, burst: &Burst<K>, s: &Shared) {
        let mut last = Last(None);
        for (which, way) in (0..).zip(&mut self.ways) {
            if let Some(way) = way
                && let Some(id) = way.group
                && way.plain
                && burst.held_back(which).is_some()
            {
                way.owner = last.named(s, id).group.sole_owner(way.bucket);
            }
        }
    }
}

/// The group that was asked last: most flows of a burst have the same.
struct Last<'v>(Option<Named<'v>>);

impl<'v> Last<'v> {
    #[inline(always)]
    fn named(&mut self, s: &'v Shared, id: GroupId) -> &Named<'v> {
        if self.0.as_ref().is_none_or(|last| last.group.id() != id) {
            self.0 = None;
        }
        self.0.get_or_insert_with(|| Named::new(s, id))
    }
}

/// A group, and whether it chooses by the whole tuple.
#[derive(Clone, Copy)]
struct Named<'v> {
    group: GroupRef<'v>,
    plain: bool,
}

impl<'v> Named<'v> {
    fn new(s: &'v Shared, id: GroupId) -> Self {
        let group = s.view.group(id);
        let plain = group.selection() == Selection::Tuple && group.sticky().is_none();
        Self { group, plain }
    }

    /// The bucket of a flow that has this hash.
    #[inline]
    fn bucket<K: Routed>(&self, burst: &Burst<K>, which: u32, hash: u64, s: &Shared) -> u32 {
        if self.plain {
            return self.group.bucket(hash);
        }
        burst.get(which).map_or(0, |flow| {
            bucket_of(&self.group, &s.secret, &flow.key, flow.dir)
        })
    }
}

#[cfg(test)]
#[path = "missed_tests.rs"]
mod tests;
