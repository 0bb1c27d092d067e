//! `route get`: the route to a destination, and for one flow the next hop that it takes and why.

use super::{Control, ControlError};
use crate::affinity::told;
use crate::parse::{Addrs, Tuple};
use crate::routed::bucket_of;
use crate::time::Now;
use crate::vouch::Vouch;
use flowtable::{Dir, Key, KeyV4, KeyV6, Table, flow_hash};
use route::{FibId, GroupId, PathInfo, Pin, PinState, Recall, RouteInfo};
use std::net::IpAddr;
use std::sync::Arc;

/// Timeout that `route get` assumes for a packet of which it knows nothing, s.
const GET_IDLE_S: u32 = 300;

/// Why a next hop was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The flow is pinned to it.
    Pinned,
    /// It owns the flow's bucket.
    Owner,
    /// The bucket's owner is dead: it owns the next bucket with a live owner.
    NextOwner,
    /// The flow has no pin, and its client's affinity template says so.
    Template,
    /// It owned the bucket before, and old flows may still be with it.
    Remembered,
    /// The flow is pinned, but the pin will be chosen again at its next packet.
    Rechosen,
}

/// A next hop that `route get` found for a flow.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The bucket.
    pub bucket: u32,
    /// Buckets in the group.
    pub buckets: u32,
    /// The pin in the flow table, if there is one.
    pub pin: Option<Pin>,
    /// The next hop it would take now.
    pub nhop: Option<PathInfo>,
    /// Why that one.
    pub why: Why,
    /// The worker that owns the flow.
    pub worker: usize,
}

/// The answer to `route get`.
#[derive(Clone, Debug)]
pub struct RouteGet {
    /// The route.
    pub route: RouteInfo,
    /// Its group.
    pub group: GroupId,
    /// For a 5-tuple: the next hop.
    pub chosen: Option<Chosen>,
    /// Source address that the box itself would use.
    pub source: Option<IpAddr>,
}

impl Control {
    /// `route get`: the route to a destination in a FIB, and for a 5-tuple the next hop it takes and why.
    pub fn route_get(
        &self,
        fib: FibId,
        dst: IpAddr,
        tuple: Option<&Tuple>,
        now: Now,
    ) -> Result<RouteGet, ControlError> {
        self.routes.check_fib(fib)?;
        let route = self.routes.lookup_in(fib, dst);
        let route = route.ok_or(ControlError::NoRoute(dst))?;
        let chosen = tuple.map(|t| self.chosen(&route, t, now));
        let near = self.ports.reaching(fib, &dst);
        let source = near.and_then(|p| p.own_addr(&dst));
        let first_port = route.paths.first().map(route::PathInfo::port);
        let source = source.or_else(|| first_port.and_then(|p| self.ports.answer_from(p, &dst)));
        Ok(RouteGet {
            group: route.group,
            route,
            chosen,
            source,
        })
    }

    fn chosen(&self, route: &RouteInfo, tuple: &Tuple, now: Now) -> Chosen {
        let Tuple {
            addrs,
            sport,
            dport,
            proto,
        } = *tuple;
        let fib = route.prefix.fib().0;
        match addrs {
            Addrs::V4 { src, dst } => {
                let (key, dir) = KeyV4::new(fib, proto, src, sport, dst, dport);
                let slot =
                    flowtable::owner_slot4(self.tables.v4.secret(), proto, src, sport, dst, dport);
                self.chosen_in(&self.tables.v4, route, &key, dir, slot, now)
            }
            Addrs::V6 { src, dst } => {
                let (key, dir) = KeyV6::new(fib, proto, src, sport, dst, dport);
                let slot =
                    flowtable::owner_slot6(self.tables.v6.secret(), proto, src, sport, dst, dport);
                self.chosen_in(&self.tables.v6, route, &key, dir, slot, now)
            }
        }
    }

    fn chosen_in<K: Key>(
        &self,
        table: &Arc<Table<K>>,
        route: &RouteInfo,
        key: &K,
        dir: Dir,
        slot: flowtable::SlotNo,
        now: Now,
    ) -> Chosen {
        let group = self.view.group(route.group);
        let bucket = bucket_of(&group, &self.group_secret, key, dir);
        let entry = table.find(slot, flow_hash(table.secret(), key), key);
        let pin = entry
            .as_ref()
            .map(|e| Pin::from_raw(e.pins[dir as usize].0))
            .filter(|p| *p != Pin::NONE);
        let vouch = entry.map(|e| Vouch::from_word(e.stamps[dir as usize]));
        let stands_in = vouch.is_some_and(Vouch::stands_in);
        let kept = pin.is_some_and(|p| {
            let called_back = stands_in && group.recall(bucket, p) == Recall::Return;
            self.view.judge(p) == PinState::Live && group.has_member(p) && !called_back
        });
        let place = (&group, bucket);
        let told = told(self.templates.table(), &self.view, place, key, dir).map(|told| told.pin);
        let answer = group.stateless(bucket, now.secs(), GET_IDLE_S);
        let owner = group.owner(bucket);
        let (taken, why) = match (pin, &answer) {
            (Some(pin), _) if kept => (Some(pin), Why::Pinned),
            (Some(_), _) => (told.or(owner), Why::Rechosen),
            (None, _) if told.is_some() => (told, Why::Template),
            (None, Some(a)) if a.remembered.is_some() => (Some(a.pin), Why::Remembered),
            (None, _) => (owner, self.owner_why(route, owner, bucket)),
        };
        let nhop = taken.and_then(|p| route.paths.iter().find(|path| path.idx == p.idx()).cloned());
        let worker = usize::from(self.slots.owner(slot));
        Chosen {
            bucket,
            buckets: group.buckets(),
            pin,
            nhop,
            why,
            worker,
        }
    }

    /// Whether the owner is the bucket's own, or stands in for a dead one.
    fn owner_why(&self, route: &RouteInfo, owner: Option<Pin>, bucket: u32) -> Why {
        let own = self.view.group(route.group).raw_owner(bucket);
        if owner.is_none() || own == owner {
            Why::Owner
        } else {
            Why::NextOwner
        }
    }
}
