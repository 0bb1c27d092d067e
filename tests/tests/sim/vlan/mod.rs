//! VLANs (IEEE 802.1Q) of a port: each a port of its own, whose frames bear a tag on their parent's device.

mod neighbours;
mod own;
mod seen;
mod supers;
mod tags;

use arp::Mac;
use flowgate_tests::frames::{ether, udp};
use flowgate_tests::rack::GATEWAY_MAC;
use flowgate_tests::sim::{Sent, SimGateway, ip, port};
use route::PortId;
use smoltcp::wire::Ipv4Packet;
use stack::control::{GatewaySpec, PathKind, RouteSpec};
use stack::counters::{PortTotals, Totals};
use stack::fate::DropReason;
use stack::host::{HostCmd, HostLink};
use stack::ports::{Layer, Port, Ports, Vlan};
use stack::{Setup, checksum};
use std::net::{IpAddr, SocketAddr};

const CLIENTS: usize = 0;
const TRUNK: usize = 1;
const RED: usize = 2;
const BLUE: usize = 3;

/// A host of each port but the TUN: its address, its second address, its hardware address.
const HOSTS: [(usize, &str, &str, Mac); 3] = [
    (
        TRUNK,
        "192.0.2.11",
        "fd00:2::11",
        Mac([2, 0, 0, 0, 2, 0x11]),
    ),
    (
        RED,
        "192.0.100.11",
        "fd00:100::11",
        Mac([2, 0, 0, 0, 100, 0x11]),
    ),
    (
        BLUE,
        "192.0.200.11",
        "fd00:200::11",
        Mac([2, 0, 0, 0, 200, 0x11]),
    ),
];

fn vlan_port(id: usize, name: &str, vid: u16, addrs: &[(&str, u8)]) -> Port {
    let parent = PortId(TRUNK as u16);
    Port {
        vlan: Some(Vlan { parent, vid }),
        ..port(id as u16, name, Layer::L2(GATEWAY_MAC), addrs)
    }
}

/// A TUN, a trunk whose own frames are untagged, and two VLANs on it.
fn ports() -> Ports {
    Ports(vec![
        port(0, "clients", Layer::L3, &[("10.0.0.1", 8), ("fd10::1", 32)]),
        port(
            1,
            "trunk",
            Layer::L2(GATEWAY_MAC),
            &[("192.0.2.1", 24), ("fd00:2::1", 64)],
        ),
        vlan_port(RED, "red", 100, &[("192.0.100.1", 24), ("fd00:100::1", 64)]),
        vlan_port(
            BLUE,
            "trunk.200",
            200,
            &[("192.0.200.1", 24), ("fd00:200::1", 64)],
        ),
    ])
}

fn setup(ports: Ports) -> Setup {
    Setup {
        ports,
        buffers: 512,
        large_buffers: 8,
        flows_v4: 16_384,
        flows_v6: 16_384,
        ..Setup::default()
    }
}

/// The hosts' hardware addresses are known.
fn introduce(sim: &mut SimGateway) {
    for (port, v4, v6, mac) in HOSTS {
        for addr in [v4, v6] {
            sim.gateway.host.call(HostCmd::SetStatic {
                port: PortId(port as u16),
                addr: ip(addr),
                mac,
                published: false,
            });
        }
    }
    sim.settle();
}

fn gateway() -> SimGateway {
    let mut sim = SimGateway::new(setup(ports()));
    introduce(&mut sim);
    sim
}

fn host(port: usize, v6: bool) -> (IpAddr, Mac) {
    let (_, four, six, mac) = HOSTS[port - TRUNK];
    (ip(if v6 { six } else { four }), mac)
}

/// The tag that frames of a port bear on the wire.
fn tag(port: usize) -> &'static [u8] {
    match port {
        RED => &[0x81, 0, 0, 100],
        BLUE => &[0x81, 0, 0, 200],
        _ => &[],
    }
}

fn tagged(tag: &[u8], frame: &[u8]) -> Vec<u8> {
    [&frame[..12], tag, &frame[12..]].concat()
}

/// A frame of the host behind a port, as it comes in.
fn from(port: usize, packet: &[u8]) -> Vec<u8> {
    match port {
        CLIENTS => packet.to_vec(),
        _ => tagged(tag(port), &ether(GATEWAY_MAC, host(port, false).1, packet)),
    }
}

/// A packet as it leaves to the host behind a port.
fn to(port: usize, packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let v6 = packet[0] >> 4 == 6;
    checksum::ip_ttl_dec(&mut packet, v6);
    match port {
        CLIENTS => packet,
        _ => tagged(tag(port), &ether(host(port, false).1, GATEWAY_MAC, &packet)),
    }
}

/// The device that a port's frames go by.
fn device(port: usize) -> usize {
    port.min(TRUNK)
}

fn address(port: usize, v6: bool) -> IpAddr {
    match (port, v6) {
        (CLIENTS, false) => ip("10.0.0.5"),
        (CLIENTS, true) => ip("fd10::5"),
        _ => host(port, v6).0,
    }
}

fn datagram(source: usize, destination: usize, v6: bool) -> Vec<u8> {
    let (src, dst) = (address(source, v6), address(destination, v6));
    udp(
        SocketAddr::new(src, 1000),
        SocketAddr::new(dst, 53),
        b"across",
    )
}

/// Its header's checksum made anew.
fn resum(packet: &mut [u8]) {
    Ipv4Packet::new_unchecked(packet).fill_checksum();
}

fn totals(sim: &SimGateway) -> Totals {
    sim.assert_books();
    sim.gateway.control.totals()
}

fn of_port(sim: &mut SimGateway, port: usize) -> PortTotals {
    sim.gateway.control.reader().port_reports()[port].totals
}

/// The drops by reason, those that happened.
fn drops(totals: &Totals) -> Vec<(DropReason, u64)> {
    let all = DropReason::ALL.iter().map(|r| (*r, totals.dropped_for(*r)));
    all.filter(|(_, count)| *count > 0).collect()
}

fn one(sent: Vec<Sent>) -> Sent {
    let [one] = <[Sent; 1]>::try_from(sent).expect("one frame");
    one
}

fn route_by(sim: &mut SimGateway, prefix: &str, gateways: &[(&str, Option<&str>)]) {
    let gateway = |(addr, port): &(&str, Option<&str>)| GatewaySpec {
        addr: ip(addr),
        weight: None,
        port: port.map(str::to_owned),
        recursive: false,
        mtu: None,
    };
    let spec = RouteSpec {
        prefix: prefix.parse().expect("a prefix"),
        kind: PathKind::Gateways(gateways.iter().map(gateway).collect()),
        mtu: None,
        deadline_s: None,
        options: Default::default(),
    };
    let (gw, now) = (&mut sim.gateway, sim.now);
    gw.control
        .route_add(&spec, &mut gw.host, now)
        .expect("a route");
    sim.settle();
}
