//! Routes: add, change, delete, flush, show.

use super::batch::Planned;
use super::{Control, ControlError};
use crate::host::{HostCmd, HostLink};
use crate::link::NO_NEIGH;
use crate::ports::{Layer, Port, is_link_local};
use crate::time::Now;
use route::{
    Change, FibId, GroupId, Health, NhopKey, NhopKeyMatch, NhopKind, OptionsAsked, Path, PathInfo,
    Prefix, RouteInfo, Secs,
};
use std::net::IpAddr;

/// Largest weight.
const WEIGHT_MAX: u32 = (1 << 24) - 1;

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
        let added = self
            .routes
            .add_with(spec.prefix, &paths, options, now.secs());
        let added = self.committed(added, reserved, host, now);
        self.settled(added, host, now)
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
        let (paths, reserved) = self.paths(spec, host)?;
        let (deadline, now_s) = (spec.deadline(now), now.secs());
        let changed = self
            .routes
            .change_with(spec.prefix, &paths, options, deadline, now_s);
        let changed = self.committed(changed, reserved, host, now);
        self.settled(changed, host, now)
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
        if spec.kind.is_empty() && spec.options == OptionsAsked::default() {
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

    /// The paths of a spec, with a neighbour reserved for each gateway that is not a next hop yet.
    pub(super) fn paths(
        &mut self,
        spec: &RouteSpec,
        host: &mut dyn HostLink,
    ) -> Result<(Vec<Path>, Reserved), ControlError> {
        let planned = self.led(spec)?;
        let (mut paths, mut reserved) = (Vec::with_capacity(planned.len()), Vec::new());
        for plan in planned {
            let neigh = match self.known_neigh(&plan.key) {
                Some(neigh) => neigh,
                None => match plan.reserve(host) {
                    Ok(neigh) => {
                        reserved.extend(neigh);
                        neigh.map_or(NO_NEIGH, |idx| idx.0)
                    }
                    Err(refused) => {
                        for idx in reserved {
                            host.call(HostCmd::Release(idx));
                        }
                        return Err(refused);
                    }
                },
            };
            paths.push(plan.path(neigh));
        }
        Ok((paths, reserved))
    }

    /// The neighbour of a next hop that there is.
    pub(super) fn known_neigh(&self, key: &NhopKey) -> Option<u32> {
        let idx = self.routes.nhop(key)?;
        self.routes.nhop_info(idx).map(|info| info.neigh)
    }

    /// The paths of a spec, before their neighbours are known, and the ways of recursive ones.
    pub(super) fn planned(&self, spec: &RouteSpec) -> Result<Vec<Planned>, ControlError> {
        let single = |kind| {
            let key = NhopKey {
                kind,
                port: route::PortId(0),
                gateway: None,
            };
            let mtu = spec.mtu.unwrap_or(65_535);
            vec![Planned::alone(key, mtu)]
        };
        match &spec.kind {
            PathKind::Blackhole => Ok(single(NhopKind::Blackhole)),
            PathKind::Reject => Ok(single(NhopKind::Reject)),
            PathKind::Iface(name) => {
                let port = self.port_named(name)?;
                let Path { key, mtu, .. } = iface_path(port);
                Ok(vec![Planned::alone(
                    key,
                    spec.mtu.map_or(mtu, |m| m.min(mtu)),
                )])
            }
            PathKind::Gateways(gateways) => self.planned_gateways(spec, gateways),
        }
    }

    fn planned_gateways(
        &self,
        spec: &RouteSpec,
        gateways: &[GatewaySpec],
    ) -> Result<Vec<Planned>, ControlError> {
        let mut planned = Vec::with_capacity(gateways.len());
        for (i, gateway) in gateways.iter().enumerate() {
            let same = |g: &GatewaySpec| g.addr == gateway.addr && g.port == gateway.port;
            if gateways[..i].iter().any(same) {
                return Err(ControlError::TwiceNamed(gateway.addr));
            }
            let weight = gateway.weight.unwrap_or(1);
            if weight > WEIGHT_MAX {
                return Err(ControlError::Weight(weight));
            }
            let port = match self.port_of(spec.prefix, gateway) {
                Ok(port) => port,
                Err(off_link) => {
                    let plan = self.planned_recursive(spec, gateway, weight, off_link)?;
                    planned.push(plan);
                    continue;
                }
            };
            let mtu = spec.mtu.map_or(port.mtu, |m| m.min(port.mtu));
            let key = NhopKey {
                kind: NhopKind::Gateway,
                port: port.id,
                gateway: Some(gateway.addr),
            };
            let link = matches!(port.layer, Layer::L2(_));
            planned.push(Planned {
                key,
                weight,
                mtu,
                link,
                through: None,
            });
        }
        Ok(planned)
    }

    /// Whether a port of the FIB reaches a gateway.
    pub(super) fn reaches(&self, prefix: Prefix, gateway: &GatewaySpec) -> bool {
        self.port_of(prefix, gateway).is_ok()
    }

    /// The port by which a gateway is reached.
    pub(super) fn port_of(
        &self,
        prefix: Prefix,
        gateway: &GatewaySpec,
    ) -> Result<&Port, ControlError> {
        let addr = gateway.addr;
        // RFC 8950: an IPv6 next hop carries IPv4; the other way round nobody has defined anything.
        if prefix.addr().is_ipv6() && addr.is_ipv4() {
            return Err(ControlError::Family {
                prefix,
                gateway: addr,
            });
        }
        let named = gateway.port.as_deref().map(|name| self.port_named(name));
        let named = named.transpose()?;
        // A port that is named may be of another FIB: the route leaks there.
        let fib = named.map_or_else(|| prefix.fib(), |port| port.fib);
        let own = match named {
            // Another link may well have a host of that address.
            Some(port) if is_link_local(&addr) => Some(port).filter(|port| port.has(&addr)),
            _ => self.ports.owning(fib, &addr),
        };
        if let Some(own) = own {
            return Err(ControlError::OwnGateway {
                gateway: addr,
                port: own.name.clone(),
            });
        }
        self.refuse_no_host(fib, addr)?;
        let Some(port) = named else {
            return self
                .ports
                .reaching(fib, &addr)
                .ok_or_else(|| ControlError::NoPort {
                    fib,
                    gateway: addr,
                    ports: self.port_names(),
                });
        };
        if !port.on_link(&addr) && !crate::ports::is_link_local(&addr) {
            return Err(ControlError::OffLink {
                gateway: addr,
                port: port.name.clone(),
                ports: self.port_names(),
            });
        }
        if !port.on_link(&addr) && matches!(port.layer, Layer::L2(_)) {
            return Err(ControlError::NoLinkLocal {
                gateway: addr,
                port: port.name.clone(),
            });
        }
        Ok(port)
    }

    fn port_named(&self, name: &str) -> Result<&Port, ControlError> {
        let port = self.ports.named(name);
        port.ok_or_else(|| self.no_such_port(name))
    }

    /// The first and the last address of an IPv4 network are nobody's.
    fn refuse_no_host(&self, fib: FibId, gateway: IpAddr) -> Result<(), ControlError> {
        let IpAddr::V4(v4) = gateway else {
            return Ok(());
        };
        for port in self.ports.of_fib(fib) {
            let near = port.addrs.iter().filter_map(|own| own.network());
            for network in near.filter(|n| n.len() < 31 && n.contains(gateway)) {
                let host = u32::MAX.checked_shr(network.len().into()).unwrap_or(0);
                let what = match v4.to_bits() & host {
                    0 => "network",
                    bits if bits == host => "broadcast",
                    _ => continue,
                };
                let port = port.name.clone();
                return Err(ControlError::NoHost {
                    gateway,
                    what,
                    port,
                    network,
                });
            }
        }
        Ok(())
    }
}
