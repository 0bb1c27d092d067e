//! Ports: their names, networks and addresses, and what goes with each type.

use crate::config::Address;
use crate::config::Config;
use crate::config::Located;
use crate::config::Port;
use crate::config::PortType;
use crate::config::Problems;
use crate::wire::limits::MIN_MTU_V6;
use route::FibId;
use stack::io::xdp;
use std::collections::HashMap;
use std::net::IpAddr;

/// Words that stand for more than one port: Linux refuses devices of these names.
const TAKEN: [&str; 2] = ["all", "default"];

pub(super) fn names(ports: &[Port], problems: &mut Problems) {
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
pub(super) fn adverts(ports: &[Port], problems: &mut Problems) {
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
pub(super) fn networks(ports: &[Port], problems: &mut Problems) {
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
pub(super) fn own_addresses(ports: &[Port], problems: &mut Problems) {
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

pub(super) fn port(port: &Port, config: &Config, problems: &mut Problems) {
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

pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}
