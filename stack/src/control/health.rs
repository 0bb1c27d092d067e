//! What reports about neighbours, checks, ports and operators' words mean for next hops.
//!
//! A next hop is dead while anything says so. Its generation never changes for that: when the last cause is
//! gone it is up again, and the flows that were silent meanwhile are still pinned to it.

use super::{Control, ControlError, ControlEvent, Subject};
use crate::host::{Check, CheckId, HostCmd, HostEvent, HostLink};
use crate::time::Now;
use route::{Admin, Health, NhopIdx, NhopKey, NhopKind, Pin, PortId, Secs};
use std::net::IpAddr;

/// What speaks against a next hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Down {
    pub(super) neigh: bool,
    pub(super) check: bool,
    pub(super) port: bool,
    pub(super) told: bool,
    /// It is recursive, and no route leads to it.
    pub(super) unresolved: bool,
}

impl Down {
    fn any(self) -> bool {
        self.neigh || self.check || self.port || self.told || self.unresolved
    }

    fn causes(self) -> Vec<DownCause> {
        let all = [
            (self.neigh, DownCause::Neighbour),
            (self.check, DownCause::Check),
            (self.port, DownCause::Port),
            (self.told, DownCause::Operator),
            (self.unresolved, DownCause::Unresolved),
        ];
        all.into_iter()
            .filter_map(|(is, cause)| is.then_some(cause))
            .collect()
    }
}

/// Why a next hop is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownCause {
    /// It does not answer ARP or ND.
    Neighbour,
    /// Its health check fails.
    Check,
    /// Its port is down.
    Port,
    /// The operator said so.
    Operator,
    /// It is recursive, and no route leads to it.
    Unresolved,
}

impl DownCause {
    /// The word for it in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Neighbour => "neighbour",
            Self::Check => "check",
            Self::Port => "port",
            Self::Operator => "operator",
            Self::Unresolved => "unresolved",
        }
    }
}

/// A change of a next hop's state.
#[derive(Clone, Debug)]
pub struct NhopHealth {
    /// Which.
    pub idx: NhopIdx,
    /// Its identity.
    pub key: NhopKey,
    /// Its health now.
    pub health: Health,
    /// Its administrative state now.
    pub admin: Admin,
    /// If it is recursive: the neighbour that its packets go to now.
    pub through: Option<IpAddr>,
    /// What speaks against it.
    pub causes: Vec<DownCause>,
}

impl Control {
    /// Takes a report of the host.
    pub(super) fn host_event(&mut self, event: HostEvent, host: &mut dyn HostLink, now: Now) {
        match event {
            HostEvent::NeighUp(idx) => self.neigh_health(idx, false, now),
            HostEvent::NeighDown(idx) => self.neigh_health(idx, true, now),
            HostEvent::Check { id, up } => self.check_health(id, up, now),
            HostEvent::Device { port, state } => self.device_changed(port, state, host, now),
            HostEvent::NeighMoved { .. } | HostEvent::Conflict { .. } => {
                self.told.push(ControlEvent::Host(event));
            }
        }
    }

    fn neigh_health(&mut self, neigh: arp::NeighIdx, down: bool, now: Now) {
        let hit: Vec<NhopIdx> = self
            .routes
            .nhops()
            .filter(|n| n.key.kind == NhopKind::Gateway && n.neigh == neigh.0)
            // A recursive one goes another way if the next hop dies that it goes through.
            .filter(|n| n.through.is_none_or(|through| through.on_link))
            .map(|n| n.idx)
            .collect();
        for idx in hit {
            self.set_down(idx, |d| d.neigh = down, now);
        }
    }

    fn check_health(&mut self, id: CheckId, up: bool, now: Now) {
        let Some((gateway, state)) = self.checks.get_mut(&id) else {
            return;
        };
        *state = Some(up);
        let gateway = *gateway;
        for idx in self.nhops_of(gateway) {
            let failing = self
                .checks
                .values()
                .any(|(g, up)| *g == gateway && *up == Some(false));
            self.set_down(idx, |d| d.check = failing, now);
        }
    }

    pub(super) fn port_health(&mut self, port: PortId, up: bool, now: Now) {
        let hit: Vec<NhopIdx> = self
            .routes
            .nhops()
            .filter(|n| {
                n.key.port == port && matches!(n.key.kind, NhopKind::Gateway | NhopKind::Iface)
            })
            .map(|n| n.idx)
            .collect();
        for idx in hit {
            self.set_down(idx, |d| d.port = !up, now);
        }
    }

    pub(super) fn nhops_of(&self, gateway: IpAddr) -> Vec<NhopIdx> {
        self.routes
            .nhops()
            .filter(|n| n.key.gateway == Some(gateway))
            .map(|n| n.idx)
            .collect()
    }

    /// Changes what speaks against a next hop, and its word if that changes the sum.
    pub(super) fn set_down(&mut self, idx: NhopIdx, change: impl FnOnce(&mut Down), now: Now) {
        let down = self.down.entry(idx).or_default();
        change(down);
        let now_down = *down;
        if !now_down.any() {
            self.down.remove(&idx);
        }
        let health = if now_down.any() {
            Health::Dead
        } else {
            Health::Up
        };
        if self.routes.set_health(idx, health, now.secs()) {
            self.tell_health(idx, now_down);
            self.wake_workers();
        }
    }

    /// Next hops that start slowly get more buckets; who came back and has all of its own is told.
    pub(super) fn step_starts(&mut self, now: Now) {
        for idx in self.routes.step_starts(now.secs()) {
            self.tell_health(idx, Down::default());
        }
    }

    pub(super) fn tell_health(&mut self, idx: NhopIdx, down: Down) {
        let Some(info) = self.routes.nhop_info(idx) else {
            return;
        };
        self.told.push(ControlEvent::Health(NhopHealth {
            idx,
            key: info.key,
            health: info.health,
            admin: info.admin,
            through: info.through.map(|through| through.gateway),
            causes: down.causes(),
        }));
    }

    /// Why a next hop is dead; empty if it is not.
    pub fn down_causes(&self, idx: NhopIdx) -> Vec<DownCause> {
        self.down.get(&idx).map_or_else(Vec::new, |d| d.causes())
    }

    /// The operator declares a gateway dead, or takes that back.
    pub fn set_gateway_down(
        &mut self,
        gateway: IpAddr,
        down: bool,
        now: Now,
    ) -> Result<(), ControlError> {
        for idx in self.named_nhops(gateway)? {
            self.set_down(idx, |d| d.told = down, now);
        }
        Ok(())
    }

    /// Drains a gateway in every group, until a deadline if there is one: then its flows have to move.
    pub fn drain_gateway(
        &mut self,
        gateway: IpAddr,
        deadline: Option<Secs>,
        now: Now,
    ) -> Result<(), ControlError> {
        let hit = self.named_nhops(gateway)?;
        self.set_admin(&hit, Admin::Draining, now);
        self.drains.retain(|(_, pin)| !hit.contains(&pin.idx()));
        if let Some(at) = deadline {
            let pins = hit.iter().filter_map(|idx| self.pin_of(*idx));
            let ends: Vec<_> = pins.map(|pin| (at, pin)).collect();
            self.drains.extend(ends);
        }
        Ok(())
    }

    /// A gateway that was drained takes new flows again.
    pub fn undrain_gateway(&mut self, gateway: IpAddr, now: Now) -> Result<(), ControlError> {
        let hit = self.named_nhops(gateway)?;
        self.drains.retain(|(_, pin)| !hit.contains(&pin.idx()));
        self.set_admin(&hit, Admin::In, now);
        Ok(())
    }

    /// Ends the drains whose deadline has come.
    pub(super) fn end_drains(&mut self, now: Now) {
        let due = |(at, _): &(Secs, Pin)| *at <= now.secs();
        let ended: Vec<Pin> = self.drains.iter().filter(|d| due(d)).map(|d| d.1).collect();
        self.drains.retain(|d| !due(d));
        for pin in ended {
            // The slot may be another next hop's by now.
            if self.pin_of(pin.idx()) == Some(pin) {
                let key = self.routes.nhop_info(pin.idx()).map(|info| info.key);
                self.ended.extend(key.map(Subject::Nexthop));
                self.set_admin(&[pin.idx()], Admin::Drained, now);
            }
        }
    }

    /// Drains whose deadline comes by then, of a path of a route, a member of a group, or a next hop everywhere.
    pub fn endings(&self, by: Secs) -> Vec<(Secs, Subject)> {
        let routes = self.routes.deadlines(by);
        let routes = routes.map(|(at, prefix)| (at, Subject::Route(prefix)));
        let groups = self.routes.group_deadlines(by);
        let groups = groups.map(|(at, number)| (at, Subject::Group(number)));
        let due = self.drains.iter().filter(|(at, _)| *at <= by);
        let nhops = due.filter_map(|(at, pin)| {
            let info = self.routes.nhop_info(pin.idx())?;
            let same = info.generation == pin.generation();
            same.then_some((*at, Subject::Nexthop(info.key)))
        });
        routes.chain(groups).chain(nhops).collect()
    }

    /// Those whose deadline has come since the last call.
    pub fn take_ended(&mut self) -> Vec<Subject> {
        std::mem::take(&mut self.ended)
    }

    /// One line if routes by a gateway have no next hop that takes new flows, without this one if `without` is true; `ends`:
    /// a deadline ends its drain.
    pub fn idle_warning(&self, gateway: IpAddr, ends: bool, without: bool) -> Option<String> {
        let idxs = self.nhops_of(gateway);
        let routes = match self.routes.idle_routes(&idxs, without) {
            0 => return None,
            1 => "1 route has".into(),
            many => format!("{many} routes have"),
        };
        let then = match ends {
            true => "; when the deadline comes, flows that are left go nowhere",
            false => "",
        };
        Some(format!(
            "{routes} no next hop that takes new flows: all are drained or dead{then}"
        ))
    }

    pub(in crate::control) fn named_nhops(
        &self,
        gateway: IpAddr,
    ) -> Result<Vec<NhopIdx>, ControlError> {
        let hit = self.nhops_of(gateway);
        if hit.is_empty() {
            return Err(ControlError::NoSuchNhop(gateway.to_string()));
        }
        Ok(hit)
    }

    fn pin_of(&self, idx: NhopIdx) -> Option<Pin> {
        let info = self.routes.nhop_info(idx)?;
        Some(Pin::new(idx, info.generation))
    }

    fn set_admin(&mut self, hit: &[NhopIdx], admin: Admin, now: Now) {
        for &idx in hit {
            if self.routes.set_admin(idx, admin, now.secs()) {
                let down = self.down.get(&idx).copied().unwrap_or_default();
                self.tell_health(idx, down);
            }
        }
        self.wake_workers();
    }

    /// The health checks there are to be from now on.
    pub fn set_checks(&mut self, checks: Vec<Check>, host: &mut dyn HostLink) {
        self.checks = checks.iter().map(|c| (c.id, (c.gateway, None))).collect();
        host.call(HostCmd::SetChecks(checks));
    }
}
