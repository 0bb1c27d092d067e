//! Next hops that other routes lead to: their flows stay with them while the way there changes, and move only when there
//! is none.

mod plans;
mod taken;
mod ways;

use flowgate_tests::net::watch::FlowId;
use flowgate_tests::net::{BOTH, NodeSpec, SERVICE, SERVICE6, Scene};
use flowgate_tests::rack::{Family, GATEWAY_MAC, RACK, server_mac};
use flowgate_tests::sim::{ip, port};
use route::{NhopInfo, Pin, PortId, Prefix};
use stack::Setup;
use stack::control::{ControlError, DownCause, GatewaySpec, PathKind, RouteSpec};
use stack::flows::FlowFilter;
use stack::ports::{Layer, Ports};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A second segment; a server has an address on both.
const SPARE: usize = 2;

const V4: Family = Family::V4;
const V6: Family = Family::V6;

/// Far gateway `n`, which no port reaches.
fn far(n: usize, family: Family) -> String {
    match family {
        Family::V4 => format!("172.16.{n}.1"),
        Family::V6 => format!("fd16:{n}::1"),
    }
}

/// The network that it is in.
fn far_net(n: usize, family: Family) -> String {
    match family {
        Family::V4 => format!("172.16.{n}.0/24"),
        Family::V6 => format!("fd16:{n}::/32"),
    }
}

/// Server `n` on the rack, or on the spare segment.
fn near(n: usize, segment: usize, family: Family) -> String {
    match (family, segment) {
        (Family::V4, RACK) => format!("192.0.2.{}", 11 + n),
        (Family::V4, _) => format!("198.51.100.{}", 11 + n),
        (Family::V6, RACK) => format!("fd00:2::{:x}", 0x11 + n),
        (Family::V6, _) => format!("fd00:3::{:x}", 0x11 + n),
    }
}

fn service_of(family: Family) -> &'static str {
    match family {
        Family::V4 => SERVICE,
        Family::V6 => SERVICE6,
    }
}

/// Clients, a rack of servers that all serve, and no route.
fn scene(servers: usize, seed: u64) -> Scene {
    let rack = [("192.0.2.1", 24), ("fd00:2::1", 64)];
    let spare = [("198.51.100.1", 24), ("fd00:3::1", 64)];
    let clients = [("10.0.0.1", 8), ("fd10::1", 32)];
    let ports = Ports(vec![
        port(0, "clients", Layer::L3, &clients),
        port(1, "rack", Layer::L2(GATEWAY_MAC), &rack),
        port(2, "spare", Layer::L2(GATEWAY_MAC), &spare),
    ]);
    let setup = Setup {
        ports,
        ..Scene::setup(2)
    };
    let mut scene = Scene::with_ports(0, setup, seed);
    for n in 0..servers {
        let on = |segment, family, len| (ip(&near(n, segment, family)), len);
        scene.net.add(NodeSpec {
            name: format!("server{n}"),
            port: RACK,
            mac: Some(server_mac(n)),
            addrs: vec![
                on(RACK, V4, 24),
                on(SPARE, V4, 24),
                (ip(SERVICE), 32),
                on(RACK, V6, 64),
                on(SPARE, V6, 64),
                (ip(SERVICE6), 128),
            ],
            gateways: vec![ip("192.0.2.1"), ip("fd00:2::1")],
        });
    }
    scene
}

/// The service by so many far gateways, each behind the server of its number.
fn far_scene(servers: usize, seed: u64) -> Scene {
    let mut scene = scene(servers, seed);
    for family in BOTH {
        for n in 0..servers {
            add(
                &mut scene,
                &far_net(n, family),
                by(&[&near(n, RACK, family)]),
            );
        }
        let all: Vec<String> = (0..servers).map(|n| far(n, family)).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        add(&mut scene, service_of(family), recursive(&all));
    }
    scene.net.run_for(2000);
    scene
}

/// The same when its start is forgotten: new flows are known to be new.
fn old_scene(servers: usize, seed: u64) -> Scene {
    let mut scene = far_scene(servers, seed);
    scene.net.step_ms = 1000;
    scene.net.run_for(320_000);
    scene.net.step_ms = 100;
    scene
}

fn gateways(addrs: &[&str], recursive: bool) -> PathKind {
    let gateway = |addr: &&str| GatewaySpec {
        addr: ip(addr),
        weight: None,
        port: None,
        recursive,
        mtu: None,
    };
    PathKind::Gateways(addrs.iter().map(gateway).collect())
}

fn by(addrs: &[&str]) -> PathKind {
    gateways(addrs, false)
}

fn recursive(addrs: &[&str]) -> PathKind {
    gateways(addrs, true)
}

fn spec(prefix: &str, kind: PathKind) -> RouteSpec {
    RouteSpec {
        prefix: prefix.parse().expect("a prefix"),
        kind,
        mtu: None,
        deadline_s: None,
        options: Default::default(),
    }
}

fn try_add(scene: &mut Scene, spec: &RouteSpec) -> Result<route::Change, ControlError> {
    let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    let done = gw.control.route_add(spec, &mut gw.host, now);
    scene.net.settle();
    done
}

fn add(scene: &mut Scene, prefix: &str, kind: PathKind) -> route::Change {
    try_add(scene, &spec(prefix, kind)).expect("a route is added")
}

fn change(scene: &mut Scene, prefix: &str, kind: PathKind) {
    let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    gw.control
        .route_change(&spec(prefix, kind), &mut gw.host, now)
        .expect("a route is changed");
    scene.net.settle();
}

fn delete(scene: &mut Scene, prefix: &str) -> Option<String> {
    let prefix: Prefix = prefix.parse().expect("a prefix");
    let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    let deleted = gw
        .control
        .route_delete(prefix, None, None, &mut gw.host, now);
    scene.net.settle();
    deleted.expect("a route is deleted").warning
}

fn nhop(scene: &Scene, gateway: &str) -> NhopInfo {
    let mut all = scene.net.sim.gateway.control.nhops().into_iter();
    all.find(|n| n.key.gateway == Some(ip(gateway)))
        .expect("a next hop")
}

fn causes(scene: &Scene, gateway: &str) -> Vec<DownCause> {
    let idx = nhop(scene, gateway).idx;
    scene.net.sim.gateway.control.down_causes(idx)
}

/// By which port and to whom packets of a far gateway go.
fn way(scene: &Scene, gateway: &str) -> Option<(PortId, IpAddr)> {
    let through = nhop(scene, gateway).through;
    through.map(|to| (to.port, to.gateway))
}

/// The pin to the service of each flow.
fn pins(scene: &mut Scene) -> BTreeMap<String, Pin> {
    let now = scene.net.sim.now;
    let flows = scene.net.sim.gateway.control.reader();
    let mut pins = BTreeMap::new();
    for flow in flows.flows(FlowFilter::default(), now) {
        for (side, to) in flow.sides.iter().zip([flow.ends.1, flow.ends.0]) {
            if let Some(pin) = side
                .pin
                .filter(|_| [ip(SERVICE), ip(SERVICE6)].contains(&to.ip()))
            {
                pins.insert(format!("{} {:?}", flow.proto, flow.ends), pin);
            }
        }
    }
    pins
}

/// Neighbours that next hops have reserved.
fn reserved(scene: &mut Scene) -> Vec<(u16, IpAddr)> {
    let all = scene.neighbours().into_iter().filter(|n| n.reserved);
    let mut all: Vec<_> = all.map(|n| (n.port.0, n.addr)).collect();
    all.sort_unstable();
    all
}

/// Talks go on unbroken; how many messages were answered.
fn rounds(scene: &Scene, host: usize) -> u64 {
    let talks = scene.net.nodes[host].talks();
    let mut sum = 0;
    for (local, talk) in talks {
        assert!(!talk.broken && !talk.garbled, "{local}: {talk:?}");
        sum += talk.rounds;
    }
    sum
}

/// Asks for each flow, and who was asked.
fn ask(scene: &mut Scene, flows: &[FlowId]) -> Vec<usize> {
    scene.ask_all(flows)
}
