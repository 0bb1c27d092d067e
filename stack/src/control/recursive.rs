//! Recursive next hops: their neighbours, and settling them after a change.
//!
//! `route` says where each has to go ([`route::Control::resolve`]); here the neighbour there is reserved before workers are
//! told of it, and the one before is let go once no worker can use it. A next hop to which no route leads is dead,
//! and returns as any other when one does. Pins are not touched: what changes is where packets go.

use super::batch::Planned;
use super::routes::{GatewaySpec, MTU_MOST, RouteSpec};
use super::{Control, ControlError, DownCause};
use crate::host::{HostCmd, HostLink, HostReply};
use crate::link::NO_NEIGH;
use crate::ports::{Layer, is_link_local};
use crate::time::Now;
use arp::NeighIdx;
use route::{
    Change, ChangeKind, FibId, GroupChange, MAX_CHAIN, NhopIdx, NhopInfo, NhopKey, PathInfo,
    PortId, Through,
};
use std::net::IpAddr;

/// Most gateways that a warning names.
const NAMED: usize = 4;

impl Control {
    /// Resolves recursive next hops anew, if anything has changed that they may depend on. Returns those that had a way and
    /// have none now.
    pub fn settle(&mut self, host: &mut dyn HostLink, now: Now) -> Vec<NhopKey> {
        let mut lost = Vec::new();
        // A neighbour that is dead already may close a way that others have found; more than that waits for a tick.
        for _ in 0..=MAX_CHAIN {
            if !self.routes.take_unsettled() {
                break;
            }
            let resolved = self.routes.resolve(|idx| self.may_pass(idx));
            for (idx, through) in resolved {
                lost.extend(self.settle_one(idx, through, host, now));
            }
        }
        lost
    }

    /// Whether others may go through a recursive next hop: nothing but its own resolution may speak against it.
    pub(super) fn may_pass(&self, idx: NhopIdx) -> bool {
        let causes = self.down_causes(idx);
        causes.iter().all(|cause| *cause == DownCause::Unresolved)
    }

    fn settle_one(
        &mut self,
        idx: NhopIdx,
        through: Option<Through>,
        host: &mut dyn HostLink,
        now: Now,
    ) -> Option<NhopKey> {
        let is = self.routes.nhop_info(idx)?;
        let lost = self.down_causes(idx).contains(&DownCause::Unresolved);
        if is.through == through && through.is_none() == lost {
            return None;
        }
        let neigh = through.map(|to| self.neighbour_for(&is, &to, host));
        match (through, neigh) {
            (Some(to), Some(Ok(neigh))) => {
                self.lead(&is, to, neigh, now);
                None
            }
            // Without room for its neighbour there is no way either.
            _ => {
                self.set_down(idx, |d| (d.unresolved, d.neigh) = (true, false), now);
                let before = self.routes.set_through(idx, None, NO_NEIGH);
                self.let_go(before);
                is.through.map(|_| is.key)
            }
        }
    }

    /// Sends the packets of a next hop there.
    fn lead(&mut self, is: &NhopInfo, to: Through, neigh: u32, now: Now) {
        let failed = to.on_link && self.has_failed(neigh);
        let before = self.routes.set_through(is.idx, Some(to), neigh);
        self.let_go(before.filter(|before| *before != neigh));
        self.set_down(is.idx, |d| (d.unresolved, d.neigh) = (false, failed), now);
        let health = self.routes.nhop_info(is.idx).map(|now| now.health);
        if health == Some(is.health) {
            // Nothing else tells that it goes another way.
            let down = self.down.get(&is.idx).copied().unwrap_or_default();
            self.tell_health(is.idx, down);
        }
        // Who waits for the neighbour before looks again.
        self.wake_workers();
    }

    /// The neighbour on a way, reserved for this next hop unless it has it already.
    fn neighbour_for(
        &self,
        is: &NhopInfo,
        to: &Through,
        host: &mut dyn HostLink,
    ) -> Result<u32, ()> {
        let same = |was: Through| (was.port, was.gateway) == (to.port, to.gateway);
        if is.through.is_some_and(same) {
            return Ok(is.neigh);
        }
        if !self.has_link(to.port) {
            return Ok(NO_NEIGH);
        }
        match host.call(HostCmd::Reserve(to.port, to.gateway)) {
            HostReply::Neigh(neigh) => Ok(neigh.0),
            _ => Err(()),
        }
    }

    /// Whether a port has neighbours.
    pub(super) fn has_link(&self, port: PortId) -> bool {
        let port = self.ports.get(port);
        port.is_some_and(|port| matches!(port.layer, Layer::L2(_)))
    }

    /// Whether a neighbour is known not to answer: the host tells that once, to those that had it then.
    fn has_failed(&self, neigh: u32) -> bool {
        let watches = |n: &NhopInfo| n.through.is_none_or(|through| through.on_link);
        let mut others = self.routes.nhops().filter(|n| n.neigh == neigh);
        neigh != NO_NEIGH
            && others.any(|n| {
                let failed = || self.down_causes(n.idx).contains(&DownCause::Neighbour);
                watches(&n) && failed()
            })
    }

    /// Where neighbours are known not to answer.
    pub(in crate::control) fn failed_places(&self) -> Vec<(PortId, IpAddr)> {
        let failed = |n: &NhopInfo| {
            let causes = self.down_causes(n.idx);
            let watches = n.through.is_none_or(|through| through.on_link);
            watches && causes.contains(&DownCause::Neighbour)
        };
        let place = |n: NhopInfo| match n.through {
            Some(through) => Some((through.port, through.gateway)),
            None => Some((n.key.port, n.key.gateway?)),
        };
        self.routes
            .nhops()
            .filter(failed)
            .filter_map(place)
            .collect()
    }

    fn let_go(&mut self, neigh: Option<u32>) {
        if let Some(neigh) = neigh.filter(|neigh| *neigh != NO_NEIGH) {
            let epoch = self.view.qsbr().advance();
            self.let_go.push((epoch, NeighIdx(neigh)));
        }
    }

    /// Gives back neighbours that no worker can use any more.
    pub(super) fn release_passed(&mut self, host: &mut dyn HostLink) {
        let view = &self.view;
        self.let_go.retain(|(epoch, neigh)| {
            let passed = view.qsbr().passed(*epoch);
            if passed {
                host.call(HostCmd::Release(*neigh));
            }
            !passed
        });
    }

    /// The identity of a gateway that is on no port's network.
    fn recursive_key(fib: FibId, gateway: IpAddr) -> Option<NhopKey> {
        let is_router = match gateway {
            IpAddr::V4(v4) => !v4.is_broadcast() && !v4.is_multicast(),
            IpAddr::V6(v6) => !v6.is_multicast(),
        };
        let nobody = gateway.is_unspecified() || gateway.is_loopback() || is_link_local(&gateway);
        (is_router && !nobody).then(|| NhopKey::recursive(fib, gateway))
    }

    /// A change of which recursive next hops are resolved, with a word about those that cannot be.
    pub(super) fn settled(
        &mut self,
        change: Result<Change, ControlError>,
        host: &mut dyn HostLink,
        now: Now,
    ) -> Result<Change, ControlError> {
        let lost = self.settle(host, now);
        let mut change = change?;
        if change.warning.is_none() {
            let way = || Self::way_warning(&lost);
            change.warning = self.lost_warning(change.kind, &change.paths).or_else(way);
        }
        Ok(change)
    }

    /// The path by a gateway that no port reaches, if it is to be found through routes; `off_link` says why no port does.
    pub(super) fn planned_recursive(
        &self,
        spec: &RouteSpec,
        gateway: &GatewaySpec,
        weight: u32,
        off_link: ControlError,
    ) -> Result<Planned, ControlError> {
        let ControlError::NoPort { fib, .. } = off_link else {
            return Err(off_link);
        };
        let key = match self.recursive_member(spec, fib, gateway) {
            Some(key) => key,
            None if !gateway.recursive => return Err(off_link),
            None => Self::recursive_key(fib, gateway.addr)
                .ok_or(ControlError::NotRecursive(gateway.addr))?,
        };
        Ok(Planned {
            key,
            weight,
            mtu: self.mtu_of(&key, gateway.mtu.or(spec.mtu), MTU_MOST),
            link: false,
            through: None,
        })
    }

    /// The recursive next hop of this address that the group or route has: of this FIB, or, if neither a FIB nor
    /// `-recursive` is said, the only one.
    fn recursive_member(
        &self,
        spec: &RouteSpec,
        fib: FibId,
        gateway: &GatewaySpec,
    ) -> Option<NhopKey> {
        let named = spec.options.group;
        let group = named.and_then(|number| self.routes.group_numbered(number));
        let of_group = group.map(|id| self.routes.group_paths(id));
        let of_route = || self.routes.get(spec.prefix).map(|route| route.paths);
        let keys = of_group.or_else(of_route)?.into_iter().map(|path| path.key);
        let is = |key: &NhopKey| key.resolved().is_some_and(|(_, of)| of == gateway.addr);
        let same: Vec<NhopKey> = keys.filter(is).collect();
        let here = Self::recursive_key(fib, gateway.addr).filter(|key| same.contains(key));
        let anywhere = fib == FibId(0) && !gateway.recursive;
        let only = || same.first().filter(|_| anywhere && same.len() == 1);
        here.or_else(|| only().copied())
    }

    /// The paths of a spec, with the ways of recursive next hops, before their neighbours are known.
    pub(super) fn led(&self, spec: &RouteSpec) -> Result<Vec<Planned>, ControlError> {
        let mut planned = self.planned(spec)?;
        for plan in planned.iter_mut().filter(|p| p.key.resolved().is_some()) {
            let may_pass = |idx| self.may_pass(idx);
            plan.through = self.routes.resolve_new(&spec.prefix, &plan.key, may_pass);
            plan.link = plan.through.is_some_and(|to| self.has_link(to.port));
        }
        Ok(planned)
    }

    /// The same for a change of a group.
    pub(super) fn group_settled(
        &mut self,
        mut change: GroupChange,
        host: &mut dyn HostLink,
        now: Now,
    ) -> GroupChange {
        let lost = self.settle(host, now);
        if change.warning.is_none() {
            let way = || Self::way_warning(&lost);
            change.warning = self.lost_warning(change.kind, &change.paths).or_else(way);
        }
        change
    }

    /// One line if a change has taken the way from recursive next hops.
    pub(in crate::control) fn way_warning(lost: &[NhopKey]) -> Option<String> {
        let names = named(lost)?;
        Some(format!(
            "no route leads to gateway {names} after this: all its flows move, those of other routes too"
        ))
    }

    /// One line if a change has gateways to which no route leads.
    fn lost_warning(&self, kind: ChangeKind, paths: &[PathInfo]) -> Option<String> {
        let keys = paths.iter().map(|path| path.key);
        let lost: Vec<NhopKey> = keys.filter(|key| self.is_lost(key)).collect();
        Self::dead_warning(&lost).filter(|_| kind != ChangeKind::Deleted)
    }

    /// Whether it is a recursive next hop to which no route leads.
    pub(super) fn is_lost(&self, key: &NhopKey) -> bool {
        let is = || self.routes.nhop_info(self.routes.nhop(key)?);
        key.resolved().is_some() && is().is_some_and(|is| is.through.is_none())
    }

    /// One line about gateways to which no route leads as yet.
    pub(in crate::control) fn dead_warning(lost: &[NhopKey]) -> Option<String> {
        let names = named(lost)?;
        let (are, them, lives) = match lost {
            [_] => ("is", "it", "it lives"),
            _ => ("are", "them", "they live"),
        };
        Some(format!(
            "{names} {are} dead as yet: no route leads to {them} but through {them} or a chain of more than \
             {MAX_CHAIN}; {lives} when one does"
        ))
    }
}

/// Some gateways by name, and how many others there are; `None`: there is none.
fn named(keys: &[NhopKey]) -> Option<String> {
    let gateways = keys.iter().filter_map(|key| key.gateway);
    let mut names: Vec<String> = gateways.map(|gateway| gateway.to_string()).collect();
    if let Some(more) = names.len().checked_sub(NAMED).filter(|more| *more > 0) {
        names.truncate(NAMED);
        names.push(format!("{more} more"));
    }
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_names_a_few_gateways_and_counts_the_others() {
        let key = |n| NhopKey::recursive(FibId(0), [172, 16, 0, n].into());
        let of = |n| Control::way_warning(&(1..=n).map(key).collect::<Vec<_>>());
        assert_eq!(of(0), None);
        let begins = |n, line: &str| of(n).is_some_and(|of| of.starts_with(line));
        assert!(begins(
            1,
            "no route leads to gateway 172.16.0.1 after this: "
        ));
        assert!(begins(
            4,
            "no route leads to gateway 172.16.0.1, 172.16.0.2, 172.16.0.3, 172.16.0.4 after"
        ));
        assert!(begins(
            6,
            "no route leads to gateway 172.16.0.1, 172.16.0.2, 172.16.0.3, 172.16.0.4, 2 more after"
        ));
        let dead = Control::dead_warning(&(1..=6).map(key).collect::<Vec<_>>());
        let line = "172.16.0.1, 172.16.0.2, 172.16.0.3, 172.16.0.4, 2 more are dead as yet: ";
        assert!(dead.is_some_and(|of| of.starts_with(line)));
    }
}
