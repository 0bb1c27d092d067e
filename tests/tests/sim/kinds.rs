//! Kinds of route through the simulated network: IPv4 by IPv6 gateways (RFC 8950).

use flowgate_tests::frames::{ether, udp};
use flowgate_tests::net::craft::{read_icmp_error, with_ttl};
use flowgate_tests::net::watch::FlowId;
use flowgate_tests::net::{NAME, Net, SERVICE, Scene, client_addr, service, to_rack};
use flowgate_tests::rack::{CLIENTS, Family, GATEWAY_MAC, RACK, Server, server_mac};
use flowgate_tests::sim::{client_and_rack, ip};
use route::Prefix;
use stack::ControlError;
use stack::Setup;
use stack::control::{GatewaySpec, PathKind, RouteSpec};
use stack::fate::DropReason;
use std::net::SocketAddr;

/// A route by gateways, each `ADDRESS` or `ADDRESS%PORT`.
fn spec(prefix: &str, gateways: &[&str]) -> RouteSpec {
    let gateway = |text: &&str| {
        let (addr, port) = text.split_once('%').unzip();
        GatewaySpec {
            addr: ip(addr.unwrap_or(text)),
            weight: None,
            port: port.map(str::to_owned),
            recursive: false,
            mtu: None,
        }
    };
    RouteSpec {
        prefix: prefix.parse::<Prefix>().expect("a prefix"),
        kind: PathKind::Gateways(gateways.iter().map(gateway).collect()),
        mtu: None,
        deadline_s: None,
        options: Default::default(),
    }
}

fn add(net: &mut Net, prefix: &str, gateways: &[&str]) -> Result<(), ControlError> {
    let (now, gw) = (net.sim.now, &mut net.sim.gateway);
    let added = gw
        .control
        .route_add(&spec(prefix, gateways), &mut gw.host, now);
    net.settle();
    added.map(drop)
}

fn flows(first: u32, count: u32) -> Vec<FlowId> {
    let all = first..first + count;
    all.map(|i| Scene::udp_flow(Family::V4, i)).collect()
}

/// Three servers with IPv6 gateways of all kinds, and one by IPv4.
fn by_ipv6(seed: u64) -> Scene {
    let mut scene = Scene::without_routes(4, Scene::setup(2), seed);
    let gateways = ["fd00:2::11", "fe80::12%rack", "fd00:2::13", "192.0.2.14"];
    add(&mut scene.net, SERVICE, &gateways).expect("both families");
    scene.net.run_for(2000);
    scene
}

#[test]
fn ipv4_flows_go_by_ipv6_gateways_and_move_only_with_their_own() {
    let mut scene = by_ipv6(90);
    // A table that has just started proves no flow new (design section 4).
    scene.net.step_ms = 1000;
    scene.net.run_for(320_000);
    scene.net.step_ms = 100;
    let client = scene.client(1);
    for i in 0..24 {
        let local = SocketAddr::new(client_addr(1, Family::V4), 5000 + i);
        let (now, to) = (scene.net.now(), service(Family::V4, 80));
        scene.net.nodes[client].connect(local, to, 200, now);
    }
    scene.net.take_tap();
    let udp_flows = flows(0, 120);
    let first = scene.ask_all(&udp_flows);
    for server in 0..4 {
        assert!(first.contains(&server), "server {server} has no flow");
    }
    let sent = scene.net.take_tap();
    let to_rack = to_rack(&sent);
    assert!(to_rack.len() > 100);
    assert!(to_rack.iter().all(|(_, packet)| packet[0] >> 4 == 4));

    scene.kill(1);
    scene.net.run_for(10_000);
    let second = scene.ask_all(&udp_flows);
    for (before, after) in first.iter().zip(&second) {
        assert!(*after != 1 && (*before == 1 || before == after));
    }
    scene.net.assert_only_left(&[1]);
    scene.revive(1);
    scene.net.run_for(5000);
    assert_eq!(scene.ask_all(&udp_flows), second, "nobody is pulled back");
    assert!(scene.ask_all(&flows(5000, 120)).contains(&1));
    let talks = scene.net.nodes[client].talks();
    let stay = talks.filter(|(_, talk)| !talk.broken && talk.rounds > 50);
    assert!(
        (8..24).contains(&stay.count()),
        "three of four servers live"
    );
    scene.finish();
}

#[test]
fn packets_wait_for_nd_and_go_nowhere_when_it_has_no_answer() {
    let mut scene = Scene::without_routes(1, Scene::setup(1), 91);
    scene.kill(0);
    add(&mut scene.net, SERVICE, &["fd00:2::11"]).expect("an IPv6 gateway");
    scene.send_udp(&Scene::udp_flow(Family::V4, 1));
    scene.net.run_for(200);
    assert_eq!(scene.net.totals().waiting, 1);
    scene.revive(0);
    scene.net.run_until_idle(3000);
    assert_eq!(
        scene.net.watch.host_of(&Scene::udp_flow(Family::V4, 1)),
        Some(0)
    );

    scene.kill(0);
    scene.net.run_for(6000);
    scene.net.take_caught();
    scene.send_udp(&Scene::udp_flow(Family::V4, 2));
    scene.net.run_for(100);
    let caught = scene.net.take_caught();
    let errors: Vec<_> = caught
        .iter()
        .filter(|sent| sent.port == CLIENTS)
        .filter_map(|sent| read_icmp_error(&sent.bytes))
        .collect();
    assert_eq!(errors.len(), 1);
    assert_eq!((errors[0].from, errors[0].kind), (ip("10.0.0.1"), (3, 1)));
    scene.net.assert_drops(&[(DropReason::NoNexthop, 1)]);
    scene.finish();
}

/// The rack's port has no IPv4 address at all: the gateway's answers to IPv4 go by IPv6 gateways all the same.
#[test]
fn errors_of_our_own_go_by_ipv6_gateways() {
    let mut ports = client_and_rack(GATEWAY_MAC);
    ports.0[RACK].addrs.retain(|own| own.addr.is_ipv6());
    let setup = Setup {
        ports,
        ..Scene::setup(2)
    };
    let mut scene = Scene::with_ports(1, setup, 92);
    add(&mut scene.net, SERVICE, &["fe80::11%rack"]).expect("an IPv6 gateway");
    scene.net.run_for(2000);
    let to = SocketAddr::new(ip("10.1.0.1"), 4000);
    let packet = with_ttl(udp(service(Family::V4, NAME), to, b"late"), 1);
    let frame = ether(GATEWAY_MAC, server_mac(0), &packet);
    scene.net.take_tap();
    scene.net.inject(RACK, 0, &frame);
    scene.net.run_for(10);
    let sent = scene.net.take_tap();
    let [(server, bytes)] = to_rack(&sent)[..] else {
        panic!("{sent:02x?}");
    };
    let error = read_icmp_error(bytes).expect("an ICMP error");
    assert_eq!((server, error.kind), (0 as Server, (11, 0)));
    assert_eq!(error.from, ip("10.0.0.1"), "the gateway's one IPv4 address");
    scene.net.assert_drops(&[(DropReason::TtlExpired, 1)]);
    scene.finish();
}

#[test]
fn an_ipv6_route_needs_ipv6_gateways() {
    let mut scene = Scene::without_routes(2, Scene::setup(1), 93);
    let refused = add(
        &mut scene.net,
        "2001:db8:9::/48",
        &["fd00:2::11", "192.0.2.12"],
    );
    assert_eq!(
        refused.unwrap_err().to_string(),
        "2001:db8:9::/48 is IPv6 and gateway 192.0.2.12 is IPv4: an IPv6 route needs an IPv6 gateway (IPv4 routes may have either)"
    );
    assert!(scene.neighbours().is_empty(), "nothing is left of it");
    scene.finish();
}
