//! Routes: add, change, delete, flush, show.

pub(super) mod mtu;
mod paths;

use super::{Control, ControlError};
use crate::host::{HostCmd, HostLink};
use crate::link::NO_NEIGH;
use crate::ports::{Port, is_link_local};
use crate::time::Now;
use route::{
    Change, FibId, GroupId, Health, NhopKey, NhopKeyMatch, NhopKind, OptionsAsked, Path, PathInfo,
    Prefix, RouteInfo, Secs,
};
use std::net::IpAddr;

/// The MTU of a path that has no port to bound it.
pub(super) const MTU_MOST: u32 = 65_535;

/// What a route leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// Routers or servers.
    Gateways(Vec<GatewaySpec>),
    /// A port whose network it is.
    Iface(String),
    /// Nothing, silently.
    Blackhole,
    /// Nothing, with an answer.
    Reject,
}

impl PathKind {
    /// Whether nothing is named: a group has its members, or the route keeps those it has.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Gateways(gateways) if gateways.is_empty())
    }
}

/// One gateway of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewaySpec {
    /// Its address.
    pub addr: IpAddr,
    /// Its weight; 1 if not given.
    pub weight: Option<u32>,
    /// The port, if the address alone does not say (link-local).
    pub port: Option<String>,
    /// It may be on no network of ours: other routes lead to it.
    pub recursive: bool,
    /// Largest packet, if another than the route says of all.
    pub mtu: Option<u32>,
}

/// A route as an operator writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSpec {
    /// The destination.
    pub prefix: Prefix,
    /// What it leads to.
    pub kind: PathKind,
    /// Largest packet, if smaller than the port's.
    pub mtu: Option<u32>,
    /// How long a drained next hop keeps its flows, s.
    pub deadline_s: Option<u32>,
    /// How its group treats flows.
    pub options: OptionsAsked,
}

impl RouteSpec {
    /// When a next hop that it drains must have lost its flows.
    pub(super) fn deadline(&self, now: Now) -> Option<Secs> {
        self.deadline_s.map(|s| now.deadline(s))
    }

    /// The MTU that all paths of a route are to have, where none is named.
    pub(super) fn mtu_alone(&self) -> Option<u32> {
        self.mtu.filter(|_| self.kind.is_empty())
    }
}

/// A change with one more warning, if there is none yet.
fn warned(change: Change, more: Option<String>) -> Change {
    let warning = change.warning.or(more);
    Change { warning, ..change }
}

/// The path of an own address.
pub(super) fn local_path(port: &Port) -> Path {
    let key = NhopKey {
        kind: NhopKind::Local,
        port: port.id,
        gateway: None,
    };
    Path {
        key,
        weight: 1,
        neigh: NO_NEIGH,
        mtu: port.mtu,
        through: None,
    }
}

/// The path of a network that is on-link.
pub(super) fn iface_path(port: &Port) -> Path {
    let key = NhopKey {
        kind: NhopKind::Iface,
        port: port.id,
        gateway: None,
    };
    Path {
        key,
        weight: 1,
        neigh: NO_NEIGH,
        mtu: port.mtu,
        through: None,
    }
}

/// Neighbours reserved for a change that may yet be refused.
pub(super) type Reserved = Vec<arp::NeighIdx>;

impl Control {
    /// `route add`: a new route, or more gateways for one that exists.
    pub fn route_add(
        &mut self,
        spec: &RouteSpec,
        host: &mut dyn HostLink,
        now: Now,
    ) -> Result<Change, ControlError> {
        self.refuse_in_batch()?;
        self.refuse_add(spec)?;
        let options = self.timed(spec.options)?;
        let (paths, reserved) = self.paths(spec, host)?;
        let clipped = self.clip_warning(spec, &paths);
        let added = self
            .routes
            .add_with(spec.prefix, &paths, options, now.secs());
        let added = self.committed(added, reserved, host, now);
        let added = self.settled(added, host, now);
        added.map(|change| warned(change, clipped))
    }

    /// `route change`: weights of members that are there, or another set of gateways.
    pub fn route_change(
        &mut self,
        spec: &RouteSpec,
        host: &mut dyn HostLink,
        now: Now,
    ) -> Result<Change, ControlError> {
        self.refuse_in_batch()?;
        self.refuse_change(spec)?;
        let options = self.timed(spec.options)?;
        if let Some(mtu) = spec.mtu_alone() {
            return self.route_mtu(spec, (mtu, options), host, now);
        }
        let (paths, reserved) = self.paths(spec, host)?;
        let clipped = self.clip_warning(spec, &paths);
        let (deadline, now_s) = (spec.deadline(now), now.secs());
        let changed = self
            .routes
            .change_with(spec.prefix, &paths, options, deadline, now_s);
        let changed = self.committed(changed, reserved, host, now);
        let changed = self.settled(changed, host, now);
        changed.map(|change| warned(change, clipped))
    }

    /// `route delete`: a route, or one gateway of it.
    pub fn route_delete(
        &mut self,
        prefix: Prefix,
        gateway: Option<IpAddr>,
        iface: Option<&str>,
        host: &mut dyn HostLink,
        now: Now,
    ) -> Result<Change, ControlError> {
        self.refuse_in_batch()?;
        self.refuse_connected(prefix)?;
        let which = self.which_path(gateway, iface)?;
        self.refuse_which_path(prefix, which.as_ref())?;
        let deleted = self.routes.delete(prefix, which.as_ref(), now.secs());
        let deleted = self.committed(deleted, Vec::new(), host, now);
        self.settled(deleted, host, now)
    }

    /// What an add refuses before its paths are looked at.
    pub(super) fn refuse_add(&self, spec: &RouteSpec) -> Result<(), ControlError> {
        if spec.kind.is_empty() && spec.options.group.is_none() {
            return Err(ControlError::NoTarget);
        }
        self.refuse_weight_zero(spec)?;
        self.refuse_connected(spec.prefix)
    }

    /// Nothing that is new can drain.
    pub(super) fn refuse_weight_zero(&self, spec: &RouteSpec) -> Result<(), ControlError> {
        match &spec.kind {
            PathKind::Gateways(gateways) if gateways.iter().any(|g| g.weight == Some(0)) => {
                Err(ControlError::WeightZero)
            }
            _ => Ok(()),
        }
    }

    /// What a change refuses before its paths are looked at.
    pub(super) fn refuse_change(&self, spec: &RouteSpec) -> Result<(), ControlError> {
        let prefix = spec.prefix;
        self.refuse_connected(prefix)?;
        let says_more = spec.mtu.is_some() || spec.options != OptionsAsked::default();
        if spec.kind.is_empty() && !says_more {
            return Err(ControlError::NoTarget);
        }
        if self.routes.get(prefix).is_none() {
            return Err(route::RouteError::NotFound { prefix }.into());
        }
        Ok(())
    }

    /// Which path of a route a delete means; `None`: its one path.
    pub(super) fn which_path(
        &self,
        gateway: Option<IpAddr>,
        iface: Option<&str>,
    ) -> Result<Option<NhopKeyMatch>, ControlError> {
        let port = iface.map(|name| self.port_named(name)).transpose()?;
        let port = port.map(|port| port.id);
        Ok((gateway.is_some() || port.is_some()).then_some(NhopKeyMatch { gateway, port }))
    }

    /// Paths by link-local gateways may differ by their ports alone, which the routes know as numbers: the names are told here.
    pub(super) fn refuse_which_path(
        &self,
        prefix: Prefix,
        which: Option<&NhopKeyMatch>,
    ) -> Result<(), ControlError> {
        let of_link = |key: &NhopKey| key.gateway.is_some_and(|g| is_link_local(&g));
        let Some(route) = self.routes.get(prefix) else {
            return Ok(());
        };
        let keys = route.paths.iter().map(|path| path.key);
        let meant: Vec<NhopKey> = keys
            .filter(|key| which.is_none_or(|which| which.matches(key)))
            .collect();
        let goes_whole = which.is_none() && route.options.group.is_some();
        if goes_whole || meant.len() < 2 || !meant.iter().any(of_link) {
            return Ok(());
        }
        let name = |key: &NhopKey| match of_link(key) {
            true => format!("{key}%{}", self.port_name(key.port)),
            false => key.to_string(),
        };
        let paths: Vec<String> = meant.iter().map(name).collect();
        let paths = paths.join(", ");
        Err(ControlError::WhichPath { prefix, paths })
    }

    /// `route flush`: up to `max` of the routes that an operator made in a FIB, of these families. Returns what was
    /// deleted; nothing, when
    /// none is left.
    ///
    /// # Errors
    /// While a batch is under way.
    pub fn route_flush(
        &mut self,
        fib: FibId,
        (v4, v6): (bool, bool),
        max: usize,
        host: &mut dyn HostLink,
        now: Now,
    ) -> Result<Vec<Change>, ControlError> {
        self.refuse_in_batch()?;
        self.routes.check_fib(fib)?;
        let doomed: Vec<RouteInfo> = self
            .routes
            .routes_of(fib, None)
            .filter(|r| !self.connected.contains(&r.prefix))
            .filter(|r| if r.prefix.addr().is_ipv4() { v4 } else { v6 })
            .take(max)
            .collect();
        let mut changes = Vec::new();
        for route in doomed {
            if route.options.group.is_some() {
                // The route goes, and the group that it names stays as it is.
                let deleted = self.routes.delete(route.prefix, None, now.secs());
                changes.extend(self.committed(deleted, Vec::new(), host, now));
                continue;
            }
            for path in &route.paths {
                let which = NhopKeyMatch {
                    gateway: path.key.gateway,
                    port: Some(path.key.port),
                };
                let deleted = self.routes.delete(route.prefix, Some(&which), now.secs());
                // It was listed a moment ago, and deleting needs no room.
                changes.extend(self.committed(deleted, Vec::new(), host, now));
            }
        }
        self.settle(host, now);
        Ok(changes)
    }

    /// The routes of a FIB that follow a prefix of it, or all: IPv4, then IPv6, by address, then length.
    pub fn routes_of(
        &self,
        fib: FibId,
        after: Option<Prefix>,
    ) -> impl Iterator<Item = RouteInfo> + '_ {
        self.routes.routes_of(fib, after)
    }

    /// The same, prefixes and groups alone.
    pub fn prefixes_of(
        &self,
        fib: FibId,
        after: Option<Prefix>,
    ) -> impl Iterator<Item = (Prefix, GroupId)> + '_ {
        self.routes.prefixes_of(fib, after)
    }

    /// Every route, in order.
    pub fn routes(&self) -> impl Iterator<Item = RouteInfo> + '_ {
        self.routes.routes()
    }

    /// Whether the route comes with a port's address.
    pub fn is_connected(&self, prefix: &Prefix) -> bool {
        self.connected.contains(prefix)
    }

    /// The route of exactly this prefix.
    pub fn route_exact(&self, prefix: Prefix) -> Option<RouteInfo> {
        self.routes.get(prefix)
    }

    /// Accepts or takes back a change.
    fn committed(
        &mut self,
        result: Result<Change, route::RouteError>,
        reserved: Reserved,
        host: &mut dyn HostLink,
        now: Now,
    ) -> Result<Change, ControlError> {
        let change = match result {
            Ok(change) => change,
            Err(error) => {
                for idx in reserved {
                    host.call(HostCmd::Release(idx));
                }
                return Err(error.into());
            }
        };
        self.after_change(host, change.clone());
        self.judge_paths(&change.paths, now);
        Ok(change)
    }

    /// A next hop that was just made may be on a port that is down, or fail its check already.
    pub(super) fn judge_paths(&mut self, paths: &[PathInfo], now: Now) {
        for path in paths {
            let (port_down, check_down) = self.speaks_against(&path.key);
            let lives = path.health != Health::Dead || path.key.resolved().is_some();
            if lives && (port_down || check_down) {
                self.set_down(
                    path.idx,
                    |d| {
                        d.port = port_down;
                        d.check = check_down;
                    },
                    now,
                );
            }
        }
    }

    /// Whether the port of a next hop is down, and whether its check fails.
    pub(super) fn speaks_against(&self, key: &NhopKey) -> (bool, bool) {
        let port_down = self.ports.get(key.port).is_some_and(|p| !p.up);
        let mut checks = self.checks.values();
        let fails = |g| checks.any(|(gateway, up)| *gateway == g && *up == Some(false));
        (port_down, key.gateway.is_some_and(fails))
    }

    pub(super) fn refuse_connected(&self, prefix: Prefix) -> Result<(), ControlError> {
        self.routes.check_fib(prefix.fib())?;
        if !self.connected.contains(&prefix) {
            return Ok(());
        }
        let port = self
            .routes
            .get(prefix)
            .and_then(|r| r.paths.first().map(|p| p.key.port));
        Err(ControlError::Connected {
            prefix,
            port: port.map_or_else(String::new, |p| self.port_name(p)),
        })
    }
}
