//! Recursive next hops: gateways on no network of ours, to which other routes lead.
//!
//! Such a next hop is found by the longest match of its address in its FIB, in what workers read. The route that matches
//! may have several members: one of them is taken, by a rendezvous of the address with the members' identities, so
//! different next hops spread over them by weight, and one of them goes another way only if its member leaves or a
//! new one draws it. A member that is recursive itself counts once it is resolved, so chains are found the
//! shortest first, end within [`MAX_CHAIN`] and never go in a circle. A blackhole, a reject or an own address is no way.
//!
//! A next hop keeps slot, generation and so its pins whatever it is resolved to. Nothing is kept per route: what changes is
//! noted in one flag, and settling costs a lookup per recursive next hop.

use super::Control;
use crate::ids::{FibId, GroupId, NhopIdx};
use crate::nhgrp::Member;
use crate::nhop::{Admin, Nhop, NhopKey, NhopKind, Through};
use crate::prefix::Prefix;
use hashbrown::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

/// Most recursive next hops on the way to a neighbour.
pub const MAX_CHAIN: u8 = 4;

/// Recursive next hops, each with where its packets have to go; `None`: no route leads to it.
pub type Resolved = Vec<(NhopIdx, Option<Through>)>;

/// Recursive next hops that have a way.
pub(super) type Known = HashMap<NhopIdx, Through>;

impl Control {
    /// Whether something has changed since this was last asked that recursive next hops may depend on.
    pub fn take_unsettled(&mut self) -> bool {
        std::mem::take(&mut self.unsettled)
    }

    /// Resolves all recursive next hops by the routes as they are. Nothing is changed by that. `usable` says whether one
    /// of them may be gone through: whether anything but its own resolution speaks against it.
    pub fn resolve(&self, usable: impl Fn(NhopIdx) -> bool) -> Resolved {
        let all = self.nhops.recursive();
        let mut known = Known::new();
        for _ in 0..MAX_CHAIN {
            let unknown = all.iter().filter(|(_, idx)| !known.contains_key(*idx));
            let found: Vec<(NhopIdx, Through)> = unknown
                .filter_map(|((fib, addr), idx)| {
                    Some((*idx, self.way(*fib, *addr, &known, &usable)?))
                })
                .collect();
            if found.is_empty() {
                break;
            }
            known.extend(found);
        }
        let of = |idx: &NhopIdx| (*idx, known.get(idx).copied());
        all.values().map(of).collect()
    }

    /// Where the packets of a recursive next hop would go that a route to `prefix` is to have. One that there is has what
    /// it has; a new one is resolved through the others as they are.
    pub fn resolve_new(
        &self,
        prefix: &Prefix,
        key: &NhopKey,
        usable: impl Fn(NhopIdx) -> bool,
    ) -> Option<Through> {
        if let Some(nhop) = self.nhops.idx(key).and_then(|idx| self.nhops.get(idx)) {
            return nhop.through;
        }
        let (fib, addr) = key.resolved()?;
        let through_itself = prefix.fib() == fib && prefix.contains(addr);
        if through_itself && self.rib.lookup(fib, addr)?.0.len() <= prefix.len() {
            return None;
        }
        let present = self.nhops.recursive().values();
        let known: Known = present
            .filter_map(|idx| Some((*idx, self.nhops.get(*idx)?.through?)))
            .collect();
        self.way(fib, addr, &known, &usable)
    }

    /// Lets the packets of a recursive next hop go another way from the next packet on; its pins stay as they are. With no
    /// way it has to be dead first. Returns the neighbour that it had, which workers may use for a grace period more.
    pub fn set_through(
        &mut self,
        idx: NhopIdx,
        through: Option<Through>,
        neigh: u32,
    ) -> Option<u32> {
        self.nhops
            .set_through(&self.view.nhops, idx, through, neigh)
    }

    /// Something that any recursive next hop may depend on has changed.
    pub(super) fn unsettle(&mut self) {
        self.unsettled |= !self.nhops.recursive().is_empty();
    }

    /// A route has changed: that concerns recursive next hops in its prefix.
    pub(super) fn unsettle_within(&mut self, prefix: &Prefix) {
        let all = self.nhops.recursive();
        if self.unsettled || all.is_empty() {
            return;
        }
        let fib = prefix.fib();
        let next = all.range((fib, prefix.addr())..).next();
        self.unsettled = next.is_some_and(|((of, addr), _)| *of == fib && prefix.contains(*addr));
    }

    /// The way to an address: through the member of its route that the address draws, of those that take flows; if
    /// none does, of those that keep theirs.
    fn way(
        &self,
        fib: FibId,
        addr: IpAddr,
        known: &Known,
        usable: &impl Fn(NhopIdx) -> bool,
    ) -> Option<Through> {
        self.way_in(self.in_fib_of(fib, addr)?, addr, known, usable)
    }

    /// The same, if that route's group is known.
    pub(super) fn way_in(
        &self,
        group: GroupId,
        addr: IpAddr,
        known: &Known,
        usable: &impl Fn(NhopIdx) -> bool,
    ) -> Option<Through> {
        let group = self.groups.get(group)?;
        let alone = group.members.len() == 1;
        let mut drawn: Option<((bool, f64), Through)> = None;
        for member in &group.members {
            let Some((takes, through)) = self.through(member, addr, known, usable) else {
                continue;
            };
            let nhop = self.nhops.get(member.is.idx)?;
            let lot = || luck(addr, &nhop.key, member.is.weight);
            let rank = (takes, if alone { 0.0 } else { lot() });
            if drawn.is_none_or(|(best, _)| rank > best) {
                drawn = Some((rank, through));
            }
        }
        drawn.map(|(_, through)| through)
    }

    /// The group that workers find for an address.
    pub(super) fn in_fib_of(&self, fib: FibId, addr: IpAddr) -> Option<GroupId> {
        let fib = self.view.fib(fib);
        match addr {
            IpAddr::V4(addr) => fib.lookup4(addr.to_bits()),
            IpAddr::V6(addr) => fib.lookup6(addr.to_bits()),
        }
    }

    /// Where packets to `addr` go by a member, and whether that takes new flows.
    fn through(
        &self,
        member: &Member,
        addr: IpAddr,
        known: &Known,
        usable: &impl Fn(NhopIdx) -> bool,
    ) -> Option<(bool, Through)> {
        let idx = member.is.idx;
        let nhop = self.nhops.get(idx)?;
        if nhop.key.resolved().is_some() {
            let there = known.get(&idx).filter(|_| usable(idx))?;
            let through = Through {
                mtu: there.mtu.min(nhop.mtu),
                chain: there.chain + 1,
                ..*there
            };
            let lives = nhop.admin != Admin::Drained && through.chain <= MAX_CHAIN;
            let takes = nhop.admin == Admin::In && member.is.weight > 0;
            return lives.then_some((takes, through));
        }
        let takes = nhop.takes_buckets() && member.is.weight > 0;
        let through = ends(nhop, addr).filter(|_| nhop.keeps_flows())?;
        Some((takes, through))
    }
}

/// Where packets to `addr` go by an ordinary next hop, if it sends them anywhere.
fn ends(nhop: &Nhop, addr: IpAddr) -> Option<Through> {
    let NhopKey {
        kind,
        port,
        gateway,
    } = nhop.key;
    let (gateway, on_link) = match (kind, gateway) {
        (NhopKind::Gateway, Some(gateway)) => (gateway, false),
        (NhopKind::Iface, _) => (addr, true),
        _ => return None,
    };
    Some(Through {
        port,
        gateway,
        mtu: nhop.mtu,
        on_link,
        chain: 1,
    })
}

/// The lot of a member in the rendezvous for an address: the greatest draws it. Weighted as usual: a logarithm of an
/// even draw from 0 to 1, divided by the weight, so that shares are as weights are and only a member's own lot changes with
/// its weight.
fn luck(addr: IpAddr, key: &NhopKey, weight: u32) -> f64 {
    let mut hasher = DefaultHasher::new();
    (addr, key).hash(&mut hasher);
    let even = ((hasher.finish() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    even.ln() / f64::from(weight.max(1))
}
