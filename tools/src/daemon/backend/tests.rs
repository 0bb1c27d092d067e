//! The backend over a real gateway: one worker, two ports in memory, the host's own thread.

use super::spec::spec_of;
use super::*;
use crate::wire::flow::FlowFilter;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::neighbour::NeighbourFilter;
use crate::wire::neighbour::NeighbourSet;
use crate::wire::nexthop::NexthopOrder;
use crate::wire::nexthop::NexthopSet;
use crate::wire::route::Family;
use crate::wire::route::FlowOf;
use crate::wire::route::Health;
use crate::wire::route::PathKind;
use crate::wire::route::PathSpec;
use crate::wire::route::RouteAdd;
use crate::wire::route::RouteChange;
use crate::wire::route::RouteDelete;
use crate::wire::route::RouteGet;
use crate::wire::stats::CountersOf;
use arp::Mac;
use route::PortId;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::IpProtocol;
use smoltcp::wire::Ipv4Packet;
use smoltcp::wire::Ipv4Repr;
use smoltcp::wire::UdpPacket;
use smoltcp::wire::UdpRepr;
use stack::Setup;
use stack::Wakers;
use stack::fate::DropReason;
use stack::io::Queue;
use stack::io::mem;
use stack::io::mem::MemPeer;
use stack::io::run;
use stack::io::run::RunConfig;
use stack::io::run::Running;
use stack::offload::Caps;
use stack::ports::Layer;
use stack::ports::Port;
use stack::ports::PortAddr;
use stack::ports::Ports;
use std::net::Ipv4Addr;

mod asks;
mod batch;
mod explain;
mod fibs;
mod flows;
mod groups;
mod limits;
mod misses;
mod moves;
mod mtu;
mod narrowed;
mod neighbours;
mod ping;
mod recursive;
mod rest;
mod routes;
mod templates;
mod timeouts;
mod zones;

/// A gateway whose control is the test's own thread.
struct Rig {
    live: Live,
    running: Option<Running>,
    uplink: MemPeer,
    rack: MemPeer,
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

fn port(id: u16, name: &str, layer: Layer, addrs: &[(&str, u8)]) -> Port {
    let addr = |(addr, len): &(&str, u8)| PortAddr {
        addr: addr.parse().unwrap(),
        len: *len,
    };
    Port {
        id: PortId(id),
        name: name.into(),
        fib: route::FibId(0),
        layer,
        mtu: 1500,
        narrowed: None,
        up: true,
        addrs: addrs.iter().map(addr).collect(),
        rules: Default::default(),
        vlan: None,
    }
}

fn rig() -> Rig {
    with_fibs(1)
}

fn with_fibs(fibs: u8) -> Rig {
    let rack = [("192.0.2.1", 24), ("fd00:2::1", 64)];
    let ports = Ports(vec![
        port(
            0,
            "uplink",
            Layer::L3,
            &[("10.99.0.1", 24), ("fd99::1", 64)],
        ),
        port(1, "rack", Layer::L2(Mac([2, 0, 0, 0, 0, 1])), &rack),
    ]);
    with_ports(fibs, ports)
}

/// Two ports, uplink and rack.
fn with_ports(fibs: u8, ports: Ports) -> Rig {
    let setup = Setup {
        route: route::Config {
            fibs,
            ..route::Config::default()
        },
        ports,
        flows_v4: 4096,
        flows_v6: 4096,
        buffers: 256,
        ..Setup::default()
    };
    let (uplink, mut uplink_peers) = mem::try_pair(1, 64, 1500).unwrap();
    let (rack, mut rack_peers) = mem::try_pair(1, 64, 1500).unwrap();
    let both = |(uplink, rack)| -> Vec<Box<dyn Queue>> { vec![Box::new(uplink), Box::new(rack)] };
    let queues = uplink.into_iter().zip(rack).map(both).collect();
    let wakers = Wakers::new(1).unwrap();
    let clock = Clock::start();
    let gateway = stack::build(setup, &wakers, Now(clock.ms())).unwrap();
    let config = RunConfig::default();
    let running = run::start(gateway.workers, queues, gateway.host, clock, &config).unwrap();
    let about = About {
        kinds: vec!["mem", "mem"],
        offloads: vec![Caps::NONE, Caps::ALL],
        devices: Vec::new(),
        cpus: vec![],
        steering: String::new(),
        flow_memory: "anonymous: asked for".into(),
        sandbox: "off: a test".into(),
    };
    Rig {
        live: Live::new(gateway.control, running.host.clone(), clock, about),
        running: Some(running),
        uplink: uplink_peers.remove(0),
        rack: rack_peers.remove(0),
    }
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn via(gateway: &str, weight: Option<u32>) -> PathSpec {
    PathSpec {
        gateway: Some(gateway.parse().unwrap()),
        weight,
        ..PathSpec::default()
    }
}

fn add(destination: &str, gateways: &[&str]) -> RouteAdd {
    RouteAdd {
        fib: 0,
        options: Default::default(),
        destination: prefix(destination),
        paths: gateways.iter().map(|gateway| via(gateway, None)).collect(),
    }
}

fn delete(destination: &str, gateway: Option<&str>) -> RouteDelete {
    RouteDelete {
        fib: 0,
        destination: prefix(destination),
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        port: None,
    }
}

fn refusal<T: std::fmt::Debug>(answer: Answer<T>) -> (Reason, String) {
    match answer.unwrap_err() {
        CallError::Refused(reason, message) => (reason, message),
        other => panic!("{other:?}"),
    }
}

/// The answer of the host's thread.
fn heard<T>(pending: Pending<T>) -> Answer<T> {
    pending.recv_timeout(Duration::from_secs(10)).unwrap()
}

/// Turns control until `done` gives something.
fn until<T>(rig: &mut Rig, mut done: impl FnMut(&mut Rig) -> Option<T>) -> T {
    let clock = Clock::start();
    while clock.ms() < 10_000 {
        rig.live.poll(&mut Vec::new());
        if let Some(found) = done(rig) {
            return found;
        }
        std::thread::yield_now();
    }
    panic!("it did not come to pass in ten seconds");
}

const SERVICE: &str = "203.0.113.10/32";

fn stated(address: &str, port: Option<&str>) -> NeighbourSet {
    NeighbourSet {
        address: address.parse().unwrap(),
        mac: Mac([2, 0, 0, 0, 0, 0x11]),
        port: port.map(Into::into),
        temporary: false,
        published: false,
    }
}

#[test]
fn every_reason_for_a_drop_has_a_line_and_no_block_has_a_name_twice() {
    let mut rig = rig();
    let all = rig.live.counters(CountersOf::default()).unwrap()();
    let mut names = Vec::new();
    for block in &all.blocks {
        let of_block: Vec<&str> = block.counters.iter().map(|c| c.name.as_str()).collect();
        let different: std::collections::HashSet<_> = of_block.iter().collect();
        assert_eq!(different.len(), of_block.len(), "{}", block.protocol);
        names.extend(of_block);
    }
    for reason in DropReason::ALL {
        assert!(names.contains(&reason.name()), "{}", reason.name());
    }
    let of = |name: &str| CountersOf {
        protocol: Some(name.into()),
    };
    let arp = rig.live.counters(of("arp")).unwrap()();
    assert_eq!(arp.blocks.len(), 1);
    assert!(names.contains(&"moves_refused") && names.contains(&"ignored_move_to_be_verified"));
    assert!(rig.live.counters(of("ipx")).is_err());
}

/// A UDP packet from 10.99.0.2:4000 to the service.
fn packet() -> Vec<u8> {
    let src = Ipv4Addr::new(10, 99, 0, 2);
    let dst = Ipv4Addr::new(203, 0, 113, 10);
    let udp = UdpRepr {
        src_port: 4000,
        dst_port: 53,
    };
    let ip = Ipv4Repr {
        src_addr: src,
        dst_addr: dst,
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + 4,
        hop_limit: 64,
    };
    let mut bytes = vec![0; ip.buffer_len() + ip.payload_len];
    let checks = ChecksumCapabilities::default();
    ip.emit(&mut Ipv4Packet::new_unchecked(&mut bytes), &checks);
    let mut segment = UdpPacket::new_unchecked(&mut bytes[20..]);
    let (from, to) = (src.into(), dst.into());
    udp.emit(&mut segment, &from, &to, 4, |data| data.fill(7), &checks);
    bytes
}

fn to_server() -> FlowFilter {
    FlowFilter {
        nexthop: "192.0.2.11".parse().ok(),
        ..FlowFilter::default()
    }
}

/// A rig with one flow, pinned to the one next hop of the service.
fn rig_with_a_flow() -> (Rig, wire::flow::Flow) {
    let mut rig = rig();
    heard(rig.live.neighbour_set(stated("192.0.2.11", None))).unwrap();
    rig.live.route_add(add(SERVICE, &["192.0.2.11"])).unwrap();
    assert!(rig.uplink.tx(&packet()));
    let flow = until(&mut rig, |rig| rig.live.flows(to_server()).unwrap().next());
    (rig, flow)
}
