//! Routes and groups: that they lead somewhere, by whom, and who of these has a health check.

use super::has_fib;
use super::ports::is_link_local;
use super::ports_of;
use crate::config::Address;
use crate::config::Config;
use crate::config::GatewayOf;
use crate::config::Group;
use crate::config::HealthCheck;
use crate::config::Located;
use crate::config::Port;
use crate::config::Problems;
use crate::config::Route;
use crate::wire::limits::check_mtu;
use crate::wire::route::PathKind;
use route::FibId;
use route::Prefix;
use std::collections::HashMap;
use std::net::IpAddr;

/// Each number once, with gateways; and a route that leaves its gateways to a group comes after what makes that.
pub(super) fn groups(config: &Config, problems: &mut Problems) {
    let mut made = HashMap::new();
    for group in &config.groups {
        let Located {
            value: number,
            line,
        } = group.number;
        if let Some(first) = made.insert(number, line) {
            let line_of =
                format!("group {number} is there already, in line {first}: choose another number");
            problems.add(line, line_of);
        }
        self::group(group, config, problems);
    }
    for route in &config.routes {
        let Some(number) = route.options.group else {
            continue;
        };
        if !route.gateways.is_empty() {
            made.entry(number).or_insert(route.destination.line);
        } else if route.kind == PathKind::Gateway && !made.contains_key(&number) {
            problems.add(
                route.destination.line,
                format!("there is no group {number}: write a [[group]] with number = {number}, or gateways here"),
            );
        }
    }
}

fn group(group: &Group, config: &Config, problems: &mut Problems) {
    let Located {
        value: number,
        line,
    } = group.number;
    // Routes of both families may name it.
    let anywhere = Prefix::masked(IpAddr::from([0; 4]), 0).in_fib(FibId(group.fib.value));
    if group.gateways.is_empty() {
        let wrong = format!("group {number} has no gateway: write gateways = [...]");
        problems.add(line, wrong);
    }
    let options = group.options.check(anywhere);
    for wrong in [options, check_mtu(anywhere, group.mtu)]
        .into_iter()
        .filter_map(Result::err)
    {
        problems.add(line, wrong);
    }
    for gateway in &group.gateways {
        self::gateway(gateway, (anywhere, group.recursive), config, problems);
    }
    twice(&group.gateways, problems);
}

pub(super) fn route(route: &Route, config: &Config, problems: &mut Problems) {
    let Located {
        value: destination,
        line,
    } = &route.destination;
    not_connected(*destination, *line, config, problems);
    if let Err(wrong) = route.options.check(*destination) {
        problems.add(*line, wrong);
    }
    if route.recursive && route.gateways.is_empty() {
        problems.add(
            *line,
            format!("recursive = true goes with gateways, and the route to {destination} has none"),
        );
    }
    if let Err(wrong) = check_mtu(*destination, route.mtu) {
        problems.add(*line, wrong);
    }
    leads(route, config, problems);
}

/// What a port has by itself, no route may have.
fn not_connected(destination: Prefix, line: usize, config: &Config, problems: &mut Problems) {
    let fib = destination.fib();
    let connected = ports_of(config, fib).find(|port| {
        port.addresses
            .iter()
            .any(|address| address.value.network().in_fib(fib) == destination)
    });
    if let Some(port) = connected {
        let name = &port.name.value;
        problems.add(line, format!("{destination} is the network of port {name}: its route is there by itself, leave this one out"));
    }
    let own = |port: &&Port| {
        let mut own = port.addresses.iter().map(|own| own.value.address);
        destination.is_host() && own.any(|own| own == destination.addr())
    };
    if let Some(port) = ports_of(config, fib)
        .find(own)
        .filter(|_| connected.is_none())
    {
        let name = &port.name.value;
        problems.add(line, format!("{destination} is our own address on port {name}: its route is there by itself, leave this one out"));
    }
}

/// A route leads somewhere, and to one kind of place.
fn leads(route: &Route, config: &Config, problems: &mut Problems) {
    let Located {
        value: destination,
        line,
    } = &route.destination;
    match (route.kind, route.gateways.as_slice(), &route.iface) {
        (PathKind::Gateway, [], None) if route.options.group.is_some() => {}
        (PathKind::Gateway, [], None) => problems.add(
            *line,
            format!("the route to {destination} leads nowhere: write gateways = [...], iface = \"...\" or kind = \"blackhole\""),
        ),
        (PathKind::Blackhole | PathKind::Reject, [], None) => {}
        (PathKind::Blackhole | PathKind::Reject, ..) => {
            problems.add(*line, format!("the route to {destination} has a kind: leave gateways and iface out"));
        }
        (_, [_, ..], Some(iface)) => problems.add(
            iface.line,
            format!("the route to {destination} has gateways: leave iface out, or name a gateway's port with {{ address = ..., port = ... }}"),
        ),
        (_, [], Some(iface)) => known_port(&iface.value, iface.line, config, problems),
        (_, gateways, None) => {
            for gateway in gateways {
                self::gateway(gateway, (*destination, route.recursive), config, problems);
            }
            twice(gateways, problems);
        }
    }
}

fn known_port(name: &str, line: usize, config: &Config, problems: &mut Problems) {
    if config.ports.iter().any(|port| port.name.value == name) {
        return;
    }
    let names: Vec<&str> = config
        .ports
        .iter()
        .map(|port| port.name.value.as_str())
        .collect();
    problems.add(
        line,
        format!("no port {name}: the ports are {}", names.join(", ")),
    );
}

fn gateway(
    gateway: &Located<GatewayOf>,
    (destination, recursive): (Prefix, bool),
    config: &Config,
    problems: &mut Problems,
) {
    let Located {
        value: GatewayOf { address, port, .. },
        line,
    } = gateway;
    if destination.addr().is_ipv6() && address.is_ipv4() {
        problems.add(*line, format!("{destination} is IPv6 and gateway {address} is IPv4: write an IPv6 gateway (IPv4 routes may have either)"));
        return;
    }
    let own = |port: &&Port| {
        port.addresses
            .iter()
            .any(|own| own.value.address == *address)
    };
    let of = |name: &String| config.ports.iter().find(|p| p.name.value == *name);
    let fib = port
        .as_ref()
        .and_then(of)
        .map_or_else(|| destination.fib(), |p| FibId(p.fib.value));
    if let Some(port) = ports_of(config, fib).find(own) {
        problems.add(
            *line,
            format!(
                "{address} is our own address on port {}: write the next router's or server's",
                port.name.value
            ),
        );
        return;
    }
    match port {
        Some(port) => known_port(port, *line, config, problems),
        None if is_link_local(*address) => {
            problems.add(*line, format!("{address} is link-local: say on which port: \"{address}%PORT\""));
        }
        // Of a FIB that there is not is said that there is none.
        None if recursive || !has_fib(config, fib) || reaches(config, fib, *address) => {}
        None => problems.add(
            *line,
            format!("no port has an address in the network of gateway {address}: give one such an address; ports: {}; or write recursive = true to have other routes lead to it", port_list(config)),
        ),
    }
}

fn reaches(config: &Config, fib: FibId, gateway: IpAddr) -> bool {
    let mut own = ports_of(config, fib).flat_map(|port| &port.addresses);
    own.any(|address| address.value.network().contains(gateway))
}

/// `rack (192.0.2.1/24 fd00::1/64), uplink (10.99.0.1/24)`
fn port_list(config: &Config) -> String {
    let of_port = |port: &Port| {
        let addresses: Vec<String> = port
            .addresses
            .iter()
            .map(
                |Located {
                     value: Address { address, length },
                     ..
                 }| format!("{address}/{length}"),
            )
            .collect();
        format!("{} ({})", port.name.value, addresses.join(" "))
    };
    config
        .ports
        .iter()
        .map(of_port)
        .collect::<Vec<_>>()
        .join(", ")
}

fn twice(gateways: &[Located<GatewayOf>], problems: &mut Problems) {
    let mut seen = HashMap::new();
    for Located {
        value: GatewayOf { address, port, .. },
        line,
    } in gateways
    {
        if seen.insert((address, port), line).is_some() {
            problems.add(
                *line,
                format!("gateway {address} stands here twice: name it once, with its weight"),
            );
        }
    }
}

pub(super) fn health(check: &HealthCheck, config: &Config, problems: &mut Problems) {
    let Located {
        value: gateway,
        line,
    } = &check.gateway;
    let of_routes = config.routes.iter().flat_map(|route| &route.gateways);
    let of_groups = config.groups.iter().flat_map(|group| &group.gateways);
    if of_routes
        .chain(of_groups)
        .all(|g| g.value.address != *gateway)
    {
        problems.add(
            *line,
            format!("{gateway} is no gateway of any [[route]] or [[group]]: write one that is"),
        );
    }
    if check.timeout_ms > check.interval_ms {
        problems.add(
            *line,
            format!(
                "timeout-ms = {} is longer than interval-ms = {}: write a shorter one",
                check.timeout_ms, check.interval_ms
            ),
        );
    }
}
