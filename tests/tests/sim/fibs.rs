//! Several FIBs through the simulated network: tenants with the same addresses, each with racks and clients of its own.

use flowgate_tests::frames::{ether, udp};
use flowgate_tests::net::craft::{echo_request, pieces, read_icmp_error, with_ttl};
use flowgate_tests::net::{NAME, NodeSpec, SERVICE, Scene, service};
use flowgate_tests::rack::{CLIENTS, Family, GATEWAY_MAC, RACK, server_mac};
use flowgate_tests::sim::{Sent, ip, port};
use route::{FibId, Prefix};
use stack::Setup;
use stack::control::{GatewaySpec, PathKind, RouteSpec};
use stack::fate::DropReason;
use stack::flows::FlowFilter;
use stack::ports::{Layer, Ports};
use std::net::SocketAddr;

const TENANTS: usize = 2;
const RACK1: usize = 3;
const F1: FibId = FibId(1);
const RACK1_MAC: arp::Mac = arp::Mac([2, 0, 0, 0, 0, 9]);

/// Hardware address of server `n` of FIB 1.
fn other_mac(n: u8) -> arp::Mac {
    arp::Mac([2, 0, 0, 0, 7, n])
}

/// FIB 0 is the usual scene. FIB 1 has clients and servers with the very same addresses behind two other ports.
fn two_fibs(seed: u64) -> Scene {
    let rack = [("192.0.2.1", 24), ("fd00:2::1", 64)];
    let clients = [("10.0.0.1", 8), ("fd10::1", 32)];
    let mut ports = vec![
        port(0, "clients", Layer::L3, &clients),
        port(1, "rack", Layer::L2(GATEWAY_MAC), &rack),
        port(2, "tenants", Layer::L3, &clients),
        port(3, "rack1", Layer::L2(RACK1_MAC), &rack),
    ];
    ports[2].fib = F1;
    ports[3].fib = F1;
    let setup = Setup {
        ports: Ports(ports),
        route: route::Config {
            fibs: 2,
            ..route::Config::default()
        },
        ..Scene::setup(2)
    };
    let mut scene = Scene::with_ports(2, setup, seed);
    for n in 0..2 {
        scene.net.add(NodeSpec {
            name: format!("other{n}"),
            port: RACK1,
            mac: Some(other_mac(n)),
            addrs: vec![(ip(&format!("192.0.2.{}", 11 + n)), 24), (ip(SERVICE), 32)],
            gateways: vec![ip("192.0.2.1")],
        });
    }
    scene
}

fn add(scene: &mut Scene, fib: FibId, prefix: &str, kind: PathKind) {
    let spec = RouteSpec {
        prefix: prefix.parse::<Prefix>().expect("a prefix").in_fib(fib),
        kind,
        mtu: None,
        deadline_s: None,
        options: Default::default(),
    };
    let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    gw.control
        .route_add(&spec, &mut gw.host, now)
        .expect("a route");
    scene.net.settle();
}

fn by(gateway: &str, port: Option<&str>) -> PathKind {
    PathKind::Gateways(vec![GatewaySpec {
        addr: ip(gateway),
        weight: None,
        port: port.map(str::to_owned),
        recursive: false,
        mtu: None,
    }])
}

/// What left by which port for whom, answers of ARP and of servers left out.
fn to_servers(sent: &[Sent]) -> Vec<(usize, [u8; 6])> {
    let ip = |s: &&Sent| [RACK, RACK1].contains(&s.port) && s.bytes[12..14] == [8, 0];
    let mac = |s: &Sent| s.bytes[..6].try_into().expect("six bytes");
    sent.iter().filter(ip).map(|s| (s.port, mac(s))).collect()
}

fn client() -> SocketAddr {
    SocketAddr::new(ip("10.2.3.4"), 4000)
}

#[test]
fn equal_flows_of_two_fibs_go_to_their_own_servers_and_back() {
    let mut scene = two_fibs(95);
    add(&mut scene, FibId(0), SERVICE, by("192.0.2.11", None));
    add(&mut scene, F1, SERVICE, by("192.0.2.12", None));
    scene.net.run_for(2000);
    scene.net.take_tap();
    let packet = udp(client(), service(Family::V4, NAME), b"who are you?");
    for from in [CLIENTS, TENANTS, CLIENTS] {
        scene.net.send(from, packet.clone());
        scene.net.run_for(20);
    }
    let sent = scene.net.take_tap();
    let (own, other) = ((RACK, server_mac(0).0), (RACK1, other_mac(1).0));
    assert_eq!(to_servers(&sent), [own, other, own]);
    let answers = sent.iter().filter(|s| [CLIENTS, TENANTS].contains(&s.port));
    let answers: Vec<_> = answers.map(|s| (s.port, s.bytes[28..].to_vec())).collect();
    let name = |port, name: &str| (port, name.as_bytes().to_vec());
    assert_eq!(
        answers,
        [
            name(CLIENTS, "server0"),
            name(TENANTS, "other1"),
            name(CLIENTS, "server0")
        ]
    );
    let (reader, now) = (scene.net.sim.gateway.control.reader(), scene.net.sim.now);
    let mut fibs: Vec<FibId> = reader
        .flows(FlowFilter::default(), now)
        .map(|f| f.fib)
        .collect();
    fibs.sort_unstable();
    assert_eq!(fibs, [FibId(0), F1], "one entry each");
    // The route of one FIB goes: the other's flow does not even look it up again.
    let before = scene.net.totals().revalidated;
    let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    let prefix: Prefix = SERVICE.parse().expect("a prefix");
    gw.control
        .route_delete(prefix.in_fib(F1), None, None, &mut gw.host, now)
        .expect("it is there");
    scene.net.take_caught();
    for from in [CLIENTS, TENANTS] {
        scene.net.send(from, packet.clone());
        scene.net.run_for(20);
    }
    assert_eq!(to_servers(&scene.net.take_tap()), [own]);
    assert_eq!(scene.net.totals().revalidated, before);
    let caught = scene.net.take_caught();
    let errors: Vec<_> = caught
        .iter()
        .filter_map(|s| Some((s.port, read_icmp_error(&s.bytes)?)))
        .collect();
    assert_eq!(errors.len(), 1);
    assert_eq!((errors[0].0, errors[0].1.kind), (TENANTS, (3, 0)));
    scene.net.assert_drops(&[(DropReason::NoRoute, 1)]);
    scene.net.sim.assert_books();
}

#[test]
fn own_addresses_and_what_the_gateway_sends_itself_are_of_the_port_s_fib() {
    let mut scene = two_fibs(96);
    let from = ip("10.9.9.9");
    scene
        .net
        .send(TENANTS, echo_request(from, ip("192.0.2.1"), 1, 1, b"here"));
    let late = with_ttl(udp(client(), service(Family::V4, NAME), b"late"), 1);
    scene.net.send(TENANTS, late);
    scene.net.run_for(20);
    let caught = scene.net.take_caught();
    assert_eq!(caught.len(), 2, "{caught:02x?}");
    assert!(caught.iter().all(|sent| sent.port == TENANTS));
    assert_eq!(caught[0].bytes[20], 0, "an echo reply");
    let error = read_icmp_error(&caught[1].bytes).expect("an error");
    assert_eq!((error.from, error.kind), (ip("10.0.0.1"), (11, 0)));
    scene.net.assert_drops(&[(DropReason::TtlExpired, 1)]);
    scene.net.sim.assert_books();
}

#[test]
fn what_our_own_sockets_answer_goes_by_the_fib_that_asked() {
    let mut scene = two_fibs(98);
    let from = ip("10.9.9.9");
    let request = echo_request(from, ip("10.0.0.1"), 1, 1, &[7; 2000]);
    let closed = udp(
        SocketAddr::new(from, 9),
        SocketAddr::new(ip("10.0.0.1"), 9),
        b"anybody?",
    );
    for port in [TENANTS, CLIENTS] {
        for piece in pieces(&request, 77, 1000) {
            scene.net.send(port, piece);
        }
        scene.net.send(port, closed.clone());
        scene.net.run_for(50);
        let caught = scene.net.take_caught();
        // Two pieces of the reply and a port unreachable.
        assert_eq!(caught.len(), 3, "{caught:02x?}");
        assert!(caught.iter().all(|sent| sent.port == port), "{caught:02x?}");
    }
    scene.net.sim.assert_books();
}

#[test]
fn pieces_of_equal_datagrams_of_two_fibs_do_not_meet() {
    let mut scene = two_fibs(97);
    add(&mut scene, FibId(0), SERVICE, by("192.0.2.11", None));
    add(&mut scene, F1, SERVICE, by("192.0.2.12", None));
    scene.net.run_for(2000);
    scene.net.take_tap();
    let packet = udp(client(), service(Family::V4, NAME), &[7; 2000]);
    let all = pieces(&packet, 77, 1000);
    // The last pieces come first, and wait.
    for piece in all.iter().rev() {
        for from in [CLIENTS, TENANTS] {
            scene.net.send(from, piece.clone());
            scene.net.run_for(2);
        }
    }
    scene.net.run_for(20);
    let sent = to_servers(&scene.net.take_tap());
    let of = |port, mac: arp::Mac| sent.iter().filter(|s| **s == (port, mac.0)).count();
    assert_eq!(of(RACK, server_mac(0)), all.len());
    assert_eq!(of(RACK1, other_mac(1)), all.len());
    assert_eq!(scene.net.totals().fragments_blind, 0);
    scene.net.sim.assert_books();
}

#[test]
fn a_route_leaks_to_a_port_of_another_fib_and_another_leaks_back() {
    let mut scene = two_fibs(98);
    // FIB 1 reaches a network behind the rack of FIB 0, and FIB 0 the tenants that FIB 1 has alone.
    add(
        &mut scene,
        F1,
        "198.51.100.0/24",
        by("192.0.2.11", Some("rack")),
    );
    add(
        &mut scene,
        FibId(0),
        "172.16.0.0/12",
        PathKind::Iface("tenants".into()),
    );
    scene.net.run_for(2000);
    scene.net.take_tap();
    let tenant = SocketAddr::new(ip("172.16.0.9"), 4000);
    let far = SocketAddr::new(ip("198.51.100.7"), 9);
    scene.net.send(TENANTS, udp(tenant, far, b"there"));
    scene.net.run_for(20);
    assert_eq!(to_servers(&scene.net.take_tap()), [(RACK, server_mac(0).0)]);
    let back = ether(GATEWAY_MAC, server_mac(0), &udp(far, tenant, b"and back"));
    scene.net.send(RACK, back);
    scene.net.run_for(20);
    let caught = scene.net.take_caught();
    let ports: Vec<usize> = caught.iter().map(|sent| sent.port).collect();
    assert_eq!(ports, [TENANTS]);
    assert_eq!(scene.flows(), 2, "two one-way entries");
    scene.net.assert_drops(&[]);
    scene.net.sim.assert_books();
}
