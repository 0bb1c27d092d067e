//! What must fit together in a configuration, when each key by itself is right.

use super::Address;
use super::Config;
use super::GatewayOf;
use super::Group;
use super::HealthCheck;
use super::Located;
use super::Port;
use super::PortType;
use super::Problems;
use super::Route;
use super::vlans;
use crate::wire::limits::MIN_MTU_V6;
use crate::wire::limits::check_mtu;
use crate::wire::route::PathKind;
use route::FibId;
use route::Prefix;
use route::TimeoutClass;
use stack::io::xdp;
use std::collections::HashMap;
use std::net::IpAddr;

/// Checks everything, and adds what is wrong.
pub(super) fn config(config: &Config, problems: &mut Problems) {
    fibs(config, problems);
    timeouts(config, problems);
    names(&config.ports, problems);
    networks(&config.ports, problems);
    adverts(&config.ports, problems);
    vlans::check(&config.ports, problems);
    own_addresses(&config.ports, problems);
    for port in &config.ports {
        self::port(port, config, problems);
    }
    groups(config, problems);
    let mut seen = HashMap::new();
    for route in &config.routes {
        let destination = &route.destination;
        if let Some(first) = seen.insert(destination.value, destination.line) {
            problems.add(
                destination.line,
                format!(
                    "{} has a route already, in line {first}: name all its gateways there",
                    destination.value
                ),
            );
        }
        self::route(route, config, problems);
    }
    for check in &config.health {
        health(check, config, problems);
    }
}

/// Classes of timeouts must be there, and not be too many.
fn timeouts(config: &Config, problems: &mut Problems) {
    let most = usize::from(TimeoutClass::MOST) - 1;
    if let Some(beyond) = config.timeout_classes.get(most) {
        let message = format!(
            "[timeouts.{}] is one too many: there may be {most}",
            beyond.name.value
        );
        problems.add(beyond.name.line, message);
    }
    let of_groups = config.groups.iter();
    let of_groups = of_groups.map(|of| (of.options.timeouts, of.number.line));
    let of_routes = config.routes.iter();
    let of_routes = of_routes.map(|of| (of.options.timeouts, of.destination.line));
    for (name, line) in of_groups.chain(of_routes) {
        let there = |name: &TimeoutClass| {
            let mut names = config.timeout_classes.iter().map(|class| class.name.value);
            name.is_default() || names.any(|is| is == *name)
        };
        if let Some(name) = name.filter(|name| !there(name)) {
            let message =
                format!("timeouts = \"{name}\": there is no [timeouts.{name}]: write one");
            problems.add(line, message);
        }
    }
}

/// FIBs must be there.
fn fibs(config: &Config, problems: &mut Problems) {
    let count = config.gateway.fibs.unwrap_or(1);
    let of_ports = config
        .ports
        .iter()
        .map(|port| (port.fib.value, port.fib.line));
    let of_routes = config.routes.iter().map(|route| &route.destination);
    let of_routes = of_routes.map(|to| (to.value.fib().0, to.line));
    let of_groups = config.groups.iter().map(|group| &group.fib);
    let of_groups = of_groups.map(|fib| (fib.value, fib.line));
    for (fib, line) in of_ports.chain(of_groups).chain(of_routes) {
        if !has_fib(config, FibId(fib)) {
            problems.add(
                line,
                format!(
                    "fib = {fib}: there are {count}, from 0: write fibs = {} under [gateway]",
                    fib + 1
                ),
            );
        }
    }
}

/// Whether there is such a FIB.
fn has_fib(config: &Config, fib: FibId) -> bool {
    fib.0 < config.gateway.fibs.unwrap_or(1)
}

/// The ports of a FIB.
fn ports_of(config: &Config, fib: FibId) -> impl Iterator<Item = &Port> {
    config
        .ports
        .iter()
        .filter(move |port| port.fib.value == fib.0)
}

/// Words that stand for more than one port: Linux refuses devices of these names.
const TAKEN: [&str; 2] = ["all", "default"];

fn names(ports: &[Port], problems: &mut Problems) {
    let mut seen = HashMap::new();
    for port in ports {
        let Located { value: name, line } = &port.name;
        let fits = (1..=15).contains(&name.len());
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if let Some(vlan) = port
            .vlan
            .as_ref()
            .filter(|vlan| !fits && *name == vlan.name())
        {
            // Nobody has written it.
            let wrong = format!(
                "a VLAN is called after its parent, and \"{name}\" is longer than 15 characters: write name = \"vlan{}\", say",
                vlan.vid.value
            );
            problems.add(*line, wrong);
        } else if !fits || !name.chars().all(allowed) || name.starts_with(['.', '-']) {
            problems.add(
                *line,
                format!("name = \"{name}\": write 1 to 15 letters, digits, '-', '_' or '.', such as \"rack\", with no '-' or '.' in front"),
            );
        }
        if TAKEN.contains(&name.as_str()) {
            let wrong = format!(
                "name = \"{name}\": in Linux and on the command line that means any port: choose another, such as \"rack\""
            );
            problems.add(*line, wrong);
        }
        if let Some(first) = seen.insert(name, *line) {
            problems.add(
                *line,
                format!("port {name} is there already, in line {first}: choose another name"),
            );
        }
    }
}

/// Router advertisements are for Ethernet, and come from a link-local address (RFC 4861 §4.2).
fn adverts(ports: &[Port], problems: &mut Problems) {
    for port in ports.iter().filter(|port| port.rules.adverts.is_some()) {
        let line = port.name.line;
        if port.kind == PortType::Tun {
            let message = "router-advertisements: a TUN has no hosts to tell: leave it out, or write type = \"tap\"";
            problems.add(line, message.to_owned());
        } else if !port.addresses.iter().any(|own| {
            let addr = own.value.address;
            addr.is_ipv6() && is_link_local(addr)
        }) {
            let message = "router-advertisements come from a link-local address: add one to addresses, such as \"fe80::1/64\"";
            problems.add(line, message.to_owned());
        }
    }
}

/// No network on two ports of a FIB: nobody could say by which one its hosts are reached. Link-local ones are on every link.
fn networks(ports: &[Port], problems: &mut Problems) {
    let mut seen = HashMap::new();
    for port in ports {
        let name = &port.name.value;
        for Located {
            value: address,
            line,
        } in &port.addresses
        {
            let network = address.network().in_fib(FibId(port.fib.value));
            match seen.insert(network, name) {
                Some(other)
                    if other != name && !network.is_host() && !is_link_local(network.addr()) =>
                {
                    problems.add(
                        *line,
                        format!(
                            "{network} is on port {other} already: give port {name} another network"
                        ),
                    )
                }
                _ => {}
            }
        }
    }
}

/// No address twice in a FIB, wherever it stands; the kernel has one table for the addresses that it is given. A link-local one
/// is its link's.
fn own_addresses(ports: &[Port], problems: &mut Problems) {
    let mut seen = HashMap::new();
    let all = ports.iter().flat_map(|port| {
        let all = port.addresses.iter().chain(&port.host_addresses);
        let place = |address: &Located<Address>| {
            let one_link = is_link_local(address.value.address);
            (port.fib.value, one_link.then_some(port.name.value.as_str()))
        };
        all.map(move |address| (place(address), address))
    });
    for (place, of_port) in all {
        let Located {
            value: Address { address, length },
            line,
        } = of_port;
        if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
            problems.add(
                *line,
                format!("{address} cannot be a port's address: write a unicast address"),
            );
        }
        if let Some(network) = is_no_host(*address, *length) {
            problems.add(*line, format!("{address}/{length} is the {network} address of its network: write a host's, such as {}", first_host(*address, *length)));
        }
        if let Some(first) = seen.insert((place, *address), *line) {
            problems.add(
                *line,
                format!("{address} is an address already, in line {first}: write another"),
            );
        }
    }
}

/// The zero and the broadcast address of an IPv4 network are nobody's.
fn is_no_host(address: IpAddr, length: u8) -> Option<&'static str> {
    let IpAddr::V4(v4) = address else { return None };
    let host = u32::MAX.checked_shr(length.into()).unwrap_or(0);
    match v4.to_bits() & host {
        _ if length >= 31 => None,
        0 => Some("zero"),
        bits if bits == host => Some("broadcast"),
        _ => None,
    }
}

fn first_host(address: IpAddr, length: u8) -> String {
    match (Address { address, length }).network().addr() {
        IpAddr::V4(network) => format!(
            "{}/{length}",
            std::net::Ipv4Addr::from(network.to_bits() | 1)
        ),
        IpAddr::V6(network) => format!(
            "{}/{length}",
            std::net::Ipv6Addr::from(network.to_bits() | 1)
        ),
    }
}

fn port(port: &Port, config: &Config, problems: &mut Problems) {
    let name = &port.name.value;
    let has_v6 = port
        .addresses
        .iter()
        .any(|address| address.value.address.is_ipv6());
    let mtu = &port.mtu;
    if has_v6 && mtu.value < MIN_MTU_V6 {
        problems.add(
            mtu.line,
            format!(
                "mtu = {}: port {name} has an IPv6 address: write at least {MIN_MTU_V6}",
                mtu.value
            ),
        );
    }
    let gateway = &config.gateway;
    if port.kind == PortType::Vlan {
        return;
    }
    if let (Some(queues), Some(workers)) = (&port.queues, gateway.max_workers.or(gateway.workers))
        && queues.value != workers
    {
        problems.add(
            queues.line,
            format!(
                "queues = {}: each worker has one queue of every port: leave queues out, or write {workers}",
                queues.value
            ),
        );
    }
    of_found(port, problems);
    of_xdp(port, problems);
    if let Some(Located { value: mac, line }) = &port.mac {
        if port.kind == PortType::Tun {
            problems.add(
                *line,
                "mac: a TUN port has no hardware address: leave mac out, or write type = \"tap\"",
            );
        } else if !mac.is_unicast() {
            problems.add(*line, format!("mac = \"{mac}\" is no station's address: write one with an even first byte, such as \"02:00:00:00:00:0a\""));
        }
    }
}

/// What goes with interfaces that are there alone, and what does not.
fn of_found(port: &Port, problems: &mut Problems) {
    let name = &port.name.value;
    if !port.kind.is_found() {
        if let Some(promiscuous) = &port.promiscuous {
            problems.add(
                promiscuous.line,
                "promiscuous goes with type = \"packet\" and \"xdp\": leave it out",
            );
        }
        return;
    }
    let is_packet = port.kind == PortType::Packet;
    let offload = port.offload.as_ref().filter(|offload| !offload.value);
    if let Some(offload) = offload.filter(|_| is_packet) {
        problems.add(
            offload.line,
            format!("offload = \"off\": interface {name}'s offloads are its own ('ethtool -K {name} gro off tx off'): leave it out"),
        );
    }
    if let Some(first) = port.host_addresses.first() {
        problems.add(
            first.line,
            format!("host-addresses: interface {name} is the gateway's alone, the kernel must have no address on it: leave it out"),
        );
    }
}

/// What goes with XDP sockets alone, and what does not.
fn of_xdp(port: &Port, problems: &mut Problems) {
    if port.kind != PortType::Xdp {
        if let Some(mode) = &port.xdp_mode {
            problems.add(mode.line, "xdp-mode goes with type = \"xdp\": leave it out");
        }
        return;
    }
    if let Some(offload) = &port.offload {
        problems.add(
            offload.line,
            "offload: XDP sockets leave nothing undone to the card, nor it to them: leave it out",
        );
    }
    let (mtu, most) = (&port.mtu, xdp::MTU_MOST);
    if mtu.value > most {
        problems.add(
            mtu.line,
            format!(
                "mtu = {}: a frame of type xdp has room for {most}: write {most} or less, or type = \"packet\"",
                mtu.value
            ),
        );
    }
}

/// Each number once, with gateways; and a route that leaves its gateways to a group comes after what makes that.
fn groups(config: &Config, problems: &mut Problems) {
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

fn route(route: &Route, config: &Config, problems: &mut Problems) {
    let Located {
        value: destination,
        line,
    } = &route.destination;
    let fib = destination.fib();
    let connected = ports_of(config, fib).find(|port| {
        port.addresses
            .iter()
            .any(|address| address.value.network().in_fib(fib) == *destination)
    });
    if let Some(port) = connected {
        let name = &port.name.value;
        problems.add(*line, format!("{destination} is the network of port {name}: its route is there by itself, leave this one out"));
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
        problems.add(*line, format!("{destination} is our own address on port {name}: its route is there by itself, leave this one out"));
    }
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

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
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

fn health(check: &HealthCheck, config: &Config, problems: &mut Problems) {
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
