//! Routes and next hops: calls to control and back, and what a monitor is told.

use super::Live;
use super::flows::protocol_number;
use super::options::options_of;
use super::refusal::refused;
use super::spec::spec_to_add;
use crate::server::Answer;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::route as wire;
use crate::wire::route::News;
use crate::wire::route::PathKind;
use route::Admin;
use route::Change;
use route::ChangeKind;
use route::FibId;
use route::Health;
use route::NhopIdx;
use route::NhopKind;
use route::PathInfo;
use route::PinState;
use route::PortId;
use route::Prefix;
use route::RouteInfo;
use stack::Now;
use stack::control::Chosen;
use stack::control::DownCause;
use stack::control::NhopHealth;
use stack::control::Why;
use stack::parse::Addrs;
use stack::parse::Tuple;
use stack::ports::Port;
use stack::ports::Ports;
use stack::ports::is_link_local;
use std::net::IpAddr;

impl Live {
    pub(super) fn add(&mut self, ask: &wire::RouteAdd) -> Answer<wire::RouteDone> {
        let now = self.now();
        let spec = spec_to_add(ask)?;
        let change = self.control.route_add(&spec, &mut self.host, now);
        change
            .map(|change| self.done(change, now))
            .map_err(|error| refused(&error))
    }

    pub(super) fn change(&mut self, ask: &wire::RouteChange) -> Answer<wire::RouteDone> {
        let now = self.now();
        let spec = self.asked_of_route(ask)?;
        let change = self.control.route_change(&spec, &mut self.host, now);
        change
            .map(|change| self.done(change, now))
            .map_err(|error| refused(&error))
    }

    pub(super) fn delete(&mut self, ask: &wire::RouteDelete) -> Answer<wire::RouteDone> {
        let (now, port) = (self.now(), ask.port.as_deref());
        let host = &mut self.host;
        let prefix = ask.destination.in_fib(FibId(ask.fib));
        let change = self
            .control
            .route_delete(prefix, ask.gateway, port, host, now);
        change
            .map(|change| self.done(change, now))
            .map_err(|error| refused(&error))
    }

    pub(super) fn list_routes(
        &mut self,
        of: wire::RouteFamily,
        after: Option<Prefix>,
        max: usize,
    ) -> Vec<wire::Route> {
        let now = self.now();
        let of_family = |route: &RouteInfo| is_of(of, route.prefix);
        let routes = self
            .control
            .routes_of(FibId(of.fib), behind(of, after))
            .take_while(of_family)
            .take(max);
        routes
            .map(|route| self.route(self.control.with_links(route), now))
            .collect()
    }

    pub(super) fn flush_routes(
        &mut self,
        of: wire::RouteFamily,
        max: usize,
    ) -> Answer<Vec<wire::RouteDone>> {
        let now = self.now();
        let families = (
            of.family != Some(wire::Family::Inet6),
            of.family != Some(wire::Family::Inet),
        );
        let (fib, host) = (FibId(of.fib), &mut self.host);
        let changes = self.control.route_flush(fib, families, max, host, now);
        let changes = changes.map_err(|error| refused(&error))?;
        Ok(changes
            .into_iter()
            .map(|change| self.done(change, now))
            .collect())
    }

    pub(super) fn get(&mut self, ask: &wire::RouteGet) -> Answer<wire::RouteAnswer> {
        let tuple = ask
            .flow
            .as_ref()
            .map(|flow| tuple(ask.destination, flow))
            .transpose()?;
        let now = self.now();
        if let Some(length) = ask.length {
            return self.get_prefix(ask, length, now);
        }
        if let Some(port) = &ask.port {
            let port = self.on_link(port, ask.destination)?.id;
            if ask.destination.is_ipv6() && is_link_local(&ask.destination) {
                return self.get_on_link(port, ask.destination, now);
            }
        }
        let fib = FibId(ask.fib);
        let alone = self.control.refuse_which_link(fib, ask.destination);
        alone.map_err(|error| refused(&error))?;
        let got = self
            .control
            .route_get(fib, ask.destination, tuple.as_ref(), now);
        let got = got.map_err(|error| refused(&error))?;
        let choice = got.chosen.map(|chosen| self.choice(chosen, now));
        let route = self.route(got.route, now);
        Ok(wire::RouteAnswer {
            destination: ask.destination,
            route,
            choice,
        })
    }

    /// The route of a prefix, or the longest that covers all of it.
    fn get_prefix(&self, ask: &wire::RouteGet, length: u8, now: Now) -> Answer<wire::RouteAnswer> {
        let invalid = |line: String| CallError::Refused(Reason::Invalid, line);
        let destination = ask.destination;
        let prefix =
            Prefix::new(destination, length).map_err(|error| invalid(error.to_string()))?;
        if ask.flow.is_some() || ask.port.is_some() {
            return Err(invalid(format!(
                "a flow or a port goes with an address, not with {prefix}"
            )));
        }
        let mut covering = (0..=length)
            .rev()
            .map(|length| Prefix::masked(destination, length).in_fib(FibId(ask.fib)));
        let route = covering.find_map(|prefix| self.control.route_exact(prefix));
        let no_route = || refused(&stack::ControlError::NoRoute(destination));
        Ok(wire::RouteAnswer {
            destination,
            route: self.route(self.control.with_links(route.ok_or_else(no_route)?), now),
            choice: None,
        })
    }

    /// A link-local address, on the link of its port. No flow chooses there.
    fn get_on_link(
        &self,
        port: PortId,
        destination: IpAddr,
        now: Now,
    ) -> Answer<wire::RouteAnswer> {
        let route = self.control.link_route(port, destination);
        let no_route = || refused(&stack::ControlError::NoRoute(destination));
        Ok(wire::RouteAnswer {
            destination,
            route: self.route(route.ok_or_else(no_route)?, now),
            choice: None,
        })
    }

    /// A link-local address is one on its port only.
    pub(super) fn on_link(&self, name: &str, address: IpAddr) -> Answer<&Port> {
        let Some(port) = self.control.ports().named(name) else {
            return Err(self.no_such_port(name));
        };
        if port.on_link(&address) {
            return Ok(port);
        }
        let remedy = format!("give port {name} an fe80:: address with /64");
        let message = format!("{address} is not on the network of port {name}: {remedy}");
        Err(CallError::Refused(Reason::NotFound, message))
    }

    fn choice(&mut self, chosen: Chosen, now: Now) -> wire::Choice {
        let reader = self.control.reader();
        let pin = chosen.pin.map(|pin| wire::Pin {
            nexthop: pin.idx().0,
            generation: pin.generation().0,
            name: reader.nhop(pin).map(|key| {
                let port = reader.port_of_pin(pin, &key);
                wire::path_name(kind(key.kind), key.gateway, port.as_deref())
            }),
            state: pin_state(reader.judge(pin)).into(),
        });
        wire::Choice {
            bucket: chosen.bucket,
            pin,
            path: chosen.nhop.as_ref().map(|path| self.path(path, now)),
            why: match (&chosen.nhop, chosen.why) {
                (None, Why::Rechosen) => {
                    "the flow's pin does not hold any more, and no member is alive"
                }
                (None, _) => "no pin, and no member is alive: its packets are dropped",
                (Some(_), reason) => why(reason),
            }
            .into(),
        }
    }

    fn done(&self, change: Change, now: Now) -> wire::RouteDone {
        wire::RouteDone {
            destination: change.prefix.in_fib(FibId(0)),
            fib: change.prefix.fib().0,
            paths: change
                .paths
                .iter()
                .map(|path| self.path(path, now))
                .collect(),
            warning: change.warning,
        }
    }

    fn route(&self, route: RouteInfo, now: Now) -> wire::Route {
        wire::Route {
            destination: route.prefix.in_fib(FibId(0)),
            group: route.group.0,
            buckets: route.buckets,
            options: options_of(route.options),
            is_static: !self.control.is_connected(&route.prefix),
            fib: route.prefix.fib().0,
            paths: route
                .paths
                .iter()
                .map(|path| self.path(path, now))
                .collect(),
        }
    }

    pub(super) fn path(&self, info: &PathInfo, now: Now) -> wire::Path {
        let causes = match (info.idx, info.health) {
            // A link without a next hop of its own in the table.
            (NhopIdx::NONE, Health::Dead) => vec![DownCause::Port.name().into()],
            (idx, _) => self.causes(idx),
        };
        wire::Path {
            causes,
            ..path(info, self.control.ports(), now)
        }
    }

    /// Why a next hop is dead.
    pub(super) fn causes(&self, idx: NhopIdx) -> Vec<String> {
        let causes = self.control.down_causes(idx);
        causes.iter().map(|cause| cause.name().into()).collect()
    }

    pub(super) fn port_name(&self, id: PortId) -> String {
        name_of(self.control.ports(), id)
    }

    /// The port of a next hop; none of one to which no route leads.
    pub(super) fn port_of(&self, kind: NhopKind, port: PortId) -> Option<String> {
        is_behind(kind, port).then(|| self.port_name(port))
    }

    /// A change, for monitors and the log.
    pub(super) fn route_news(&self, change: Change) -> News {
        let what = change.kind;
        let done = self.done(change, self.now());
        let paths: Vec<String> = done.paths.iter().map(wire::Path::name).collect();
        let (destination, paths) = (done.destination, paths.join(" "));
        if let Some(warning) = &done.warning {
            tracing::warn!(%destination, warning);
        }
        match what {
            ChangeKind::Added => {
                tracing::info!(%destination, paths, "route added");
                News::RouteAdded(done)
            }
            ChangeKind::Changed => {
                tracing::info!(%destination, paths, "route changed");
                News::RouteChanged(done)
            }
            ChangeKind::Deleted => {
                tracing::info!(%destination, paths, "route deleted");
                News::RouteDeleted(done)
            }
        }
    }

    /// A next hop's new state, for monitors and the log.
    pub(super) fn health_news(&self, of: NhopHealth) -> News {
        let is = self.control.nhop(of.idx);
        let port = is.map_or(of.key.port, |is| is.port());
        let port = self.port_of(of.key.kind, port);
        let name = wire::path_name(kind(of.key.kind), of.key.gateway, port.as_deref());
        let causes: Vec<&str> = of.causes.iter().map(|cause| cause.name()).collect();
        let because = causes.join(" ");
        let way = of.through.filter(|_| of.health == Health::Up);
        if let Some(through) = way {
            tracing::info!(nexthop = name, %through, "recursive next hop has a way");
        }
        match (of.health, of.admin) {
            (Health::Up, Admin::In) if way.is_some() => {}
            (Health::Dead, _) => tracing::warn!(nexthop = name, because, "next hop is dead"),
            (Health::Returning, _) => tracing::info!(nexthop = name, "next hop returns"),
            (Health::Up, Admin::In) => tracing::info!(nexthop = name, "next hop is up"),
            (Health::Up, Admin::Draining) => tracing::info!(nexthop = name, "next hop drains"),
            (Health::Up, Admin::Drained) => tracing::info!(nexthop = name, "next hop is drained"),
        }
        News::Nexthop {
            nexthop: of.idx.0,
            name,
            port,
            admin: admin(of.admin),
            health: health(of.health),
            through: of.through,
        }
    }
}

/// Where a listing goes on: behind a prefix, which IPv6 follows IPv4's last.
pub(super) fn behind(of: wire::RouteFamily, after: Option<Prefix>) -> Option<Prefix> {
    let last4 = Prefix::host(IpAddr::from([255; 4]));
    let begin = (of.family == Some(wire::Family::Inet6)).then_some(last4);
    let after = after.or(begin);
    after.map(|prefix| prefix.in_fib(FibId(of.fib)))
}

/// Whether a prefix is of the family that is listed.
pub(super) fn is_of(of: wire::RouteFamily, prefix: Prefix) -> bool {
    of.family
        .is_none_or(|family| family == wire::Family::of(prefix.addr()))
}

/// Whether a next hop of this kind is behind a port. One to which no route leads is behind none.
fn is_behind(kind: NhopKind, port: PortId) -> bool {
    let drops = matches!(kind, NhopKind::Blackhole | NhopKind::Reject);
    !drops && port < PortId::END
}

fn name_of(ports: &Ports, id: PortId) -> String {
    let port = ports.get(id);
    port.map_or_else(|| format!("port{}", id.0), |port| port.name.clone())
}

/// What a next hop of this kind carries that is good for `mtu` bytes, as its port is at present.
pub(super) fn carried(ports: &Ports, kind: NhopKind, port: PortId, mtu: u32) -> u32 {
    match is_behind(kind, port) {
        true => ports.takes_by(port, mtu),
        false => mtu,
    }
}

/// A path, with its port's name.
pub(super) fn path(info: &PathInfo, ports: &Ports, now: Now) -> wire::Path {
    let (of, port) = (info.key.kind, info.port());
    wire::Path {
        kind: kind(of),
        gateway: info.key.gateway,
        port: is_behind(of, port).then(|| name_of(ports, port)),
        weight: info.weight,
        mtu: carried(ports, of, port, info.mtu_now()),
        nexthop: info.idx.0,
        generation: info.generation.0,
        admin: match (info.weight, info.admin) {
            (0, Admin::In) => wire::Admin::Draining,
            (_, all) => admin(all),
        },
        health: health(info.health),
        deadline: info.deadline.map(|at| now.left(at)),
        buckets: info.buckets,
        starting: info
            .start
            .map(|(percent, left)| wire::Starting { percent, left }),
        recursive: info.key.resolved().is_some(),
        through: info.through.map(|through| through.gateway),
        causes: Vec::new(),
    }
}

fn tuple(destination: IpAddr, flow: &wire::FlowOf) -> Answer<Tuple> {
    let addrs = match (flow.source, destination) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Addrs::V4 {
            src: src.to_bits(),
            dst: dst.to_bits(),
        },
        (IpAddr::V6(src), IpAddr::V6(dst)) => Addrs::V6 {
            src: src.to_bits(),
            dst: dst.to_bits(),
        },
        (source, _) => {
            let message = format!("{source} and {destination} are of different families");
            return Err(CallError::Refused(Reason::Invalid, message));
        }
    };
    let proto = protocol_number(&flow.protocol)?;
    Ok(Tuple {
        addrs,
        sport: flow.source_port,
        dport: flow.destination_port,
        proto,
    })
}

const fn why(why: Why) -> &'static str {
    match why {
        Why::Pinned => "the flow is pinned to it, and the pin holds",
        Why::Owner => "no pin: it owns the flow's bucket",
        Why::NextOwner => {
            "no pin: the bucket's owner is dead, and it owns the next bucket whose owner is alive"
        }
        Why::Template => "no pin: its client's affinity template says so",
        Why::Remembered => "no pin: it owned the bucket before, and old flows may still be with it",
        Why::Rechosen => "the flow's pin does not hold any more: it owns the bucket now",
    }
}

/// What a worker would find about a pin, in a word.
pub(super) const fn pin_state(state: PinState) -> &'static str {
    match state {
        PinState::Live => "live",
        PinState::Gone => "gone",
        PinState::Dead => "dead",
        PinState::Drained => "drained",
    }
}

pub(in crate::daemon) const fn kind(kind: NhopKind) -> PathKind {
    match kind {
        NhopKind::Gateway => PathKind::Gateway,
        NhopKind::Iface => PathKind::Interface,
        NhopKind::Blackhole => PathKind::Blackhole,
        NhopKind::Reject => PathKind::Reject,
        NhopKind::Local => PathKind::Local,
    }
}

pub(super) const fn admin(admin: Admin) -> wire::Admin {
    match admin {
        Admin::In => wire::Admin::In,
        Admin::Draining => wire::Admin::Draining,
        Admin::Drained => wire::Admin::Drained,
    }
}

pub(super) const fn health(health: Health) -> wire::Health {
    match health {
        Health::Up => wire::Health::Up,
        Health::Dead => wire::Health::Dead,
        Health::Returning => wire::Health::Returning,
    }
}
