//! Neighbours through the simulated network: ARP and ND over links that lose, next hops that die, return, move.

use flowgate_tests::frames::udp;
use flowgate_tests::net::watch::FlowId;
use flowgate_tests::net::zoo::arp_frame;
use flowgate_tests::net::{BOTH, Conditions, NAME, Net, NodeSpec, Scene};
use flowgate_tests::rack::{CLIENTS, Family, GATEWAY_MAC, RACK, server_addr, server_mac};
use flowgate_tests::sim::{Sent, ip};
use smoltcp::wire::{Icmpv4DstUnreachable, Icmpv4Message, Icmpv4Packet, Ipv4Packet};
use smoltcp::wire::{Icmpv6DstUnreachable, Icmpv6Message, Icmpv6Packet, Ipv6Packet};
use stack::Setup;
use stack::control::{ControlEvent, GatewaySpec, PathKind, RouteSpec};
use stack::fate::{DropReason, MoveReason};
use stack::host::HostEvent;
use std::net::{IpAddr, SocketAddr};

/// A host on the rack's segment that is no next hop.
fn bystander(net: &mut Net, n: u8) -> [IpAddr; 2] {
    let addrs = [ip(&format!("192.0.2.{n}")), ip(&format!("fd00:2::{n:x}"))];
    net.add(NodeSpec {
        name: format!("bystander{n}"),
        port: RACK,
        mac: Some(arp::Mac([2, 0, 0, 0, 9, n])),
        addrs: vec![(addrs[0], 24), (addrs[1], 64)],
        gateways: vec![ip("192.0.2.1"), ip("fd00:2::1")],
    });
    addrs
}

fn client(family: Family, n: u16) -> SocketAddr {
    let addr = match family {
        Family::V4 => format!("10.7.{}.{}", n >> 8, n & 255),
        Family::V6 => format!("fd10::7:{n:x}"),
    };
    SocketAddr::new(ip(&addr), 7000)
}

/// The first payload byte of each UDP packet that left the rack's port.
fn payloads(sent: &[Sent]) -> Vec<u8> {
    let packets = sent
        .iter()
        .filter(|s| s.port == RACK)
        .map(|s| &s.bytes[14..]);
    let udp = packets.filter(|p| FlowId::of(p).is_some_and(|f| f.proto == 17));
    udp.map(|p| p[if p[0] >> 4 == 4 { 28 } else { 48 }])
        .collect()
}

/// How many ICMP or ICMPv6 host (address) unreachables are among them.
fn host_unreachables(sent: &[Sent]) -> usize {
    let is = |s: &&Sent| match s.bytes[0] >> 4 {
        4 => {
            let ip = Ipv4Packet::new_checked(&s.bytes[..]).expect("IPv4");
            let icmp = Icmpv4Packet::new_checked(ip.payload()).expect("ICMP");
            icmp.msg_type() == Icmpv4Message::DstUnreachable
                && icmp.msg_code() == u8::from(Icmpv4DstUnreachable::HostUnreachable)
        }
        _ => {
            let ip = Ipv6Packet::new_checked(&s.bytes[..]).expect("IPv6");
            let icmp = Icmpv6Packet::new_checked(ip.payload()).expect("ICMPv6");
            icmp.msg_type() == Icmpv6Message::DstUnreachable
                && icmp.msg_code() == u8::from(Icmpv6DstUnreachable::AddrUnreachable)
        }
    };
    sent.iter().filter(|s| s.port == CLIENTS).filter(is).count()
}

fn with(flows: &[FlowId], hosts: &[usize], host: usize) -> Vec<FlowId> {
    let both = flows.iter().zip(hosts);
    both.filter(|(_, h)| **h == host).map(|(f, _)| *f).collect()
}

#[test]
fn packets_held_for_a_neighbour_come_out_in_order_although_questions_are_lost() {
    for seed in 0..4 {
        let mut scene = Scene::without_routes(0, Scene::setup(2), seed);
        let addrs = bystander(&mut scene.net, 50);
        scene.net.set_link(
            RACK,
            Conditions {
                loss: 400,
                ..Conditions::GOOD
            },
        );
        scene.net.take_tap();
        let mut arrived = 0;
        for (family, addr) in BOTH.into_iter().zip(addrs) {
            for i in 0..10 {
                let packet = udp(client(family, 1), SocketAddr::new(addr, 9), &[i]);
                scene.net.inject(CLIENTS, 0, &packet);
            }
            scene.net.run_for(6000);
            let got = payloads(&scene.net.take_tap());
            assert!(got.is_sorted(), "seed {seed}: {got:?}");
            // Three questions may all be lost; then all packets were answered unreachable.
            assert!(got.is_empty() || got.len() == 10, "seed {seed}: {got:?}");
            arrived += got.len() as u64;
        }
        scene
            .net
            .assert_drops(&[(DropReason::NeighbourFailed, 20 - arrived)]);
        assert_eq!(scene.net.totals().waiting, 0);
        scene.finish();
    }
}

#[test]
fn too_many_held_packets_drop_the_oldest() {
    for (family, which) in BOTH.into_iter().zip([0, 1]) {
        let mut scene = Scene::without_routes(0, Scene::setup(1), 3);
        let addr = bystander(&mut scene.net, 50)[which];
        scene.net.set_link(RACK, Conditions::CUT);
        scene.net.take_tap();
        for i in 0..20 {
            let packet = udp(client(family, 1), SocketAddr::new(addr, 9), &[i]);
            scene.net.inject(CLIENTS, 0, &packet);
            scene.net.run_for(5);
        }
        assert_eq!(scene.net.totals().waiting, 16);
        scene.net.set_link(RACK, Conditions::GOOD);
        scene.net.run_for(4000);
        let got = payloads(&scene.net.take_tap());
        assert_eq!(got, (4..20).collect::<Vec<u8>>());
        scene.net.assert_drops(&[(DropReason::HoldFull, 4)]);
        scene.finish();
    }
}

#[test]
fn a_packet_that_comes_with_the_neighbours_answer_does_not_overtake_those_that_waited() {
    let setup = Setup {
        hold: (128, 512),
        ..Scene::setup(2)
    };
    let mut scene = Scene::without_routes(0, setup, 12);
    let flows: Vec<SocketAddr> = (0..16).map(|n| client(Family::V4, n)).collect();
    let to = SocketAddr::new(ip("192.0.2.60"), 9);
    let say = |scene: &mut Scene, no: u8| {
        for flow in &flows {
            // By the queue that is not first polled, so that half of them are handed to the worker that is.
            scene.net.inject(CLIENTS, 1, &udp(*flow, to, &[no]));
        }
    };
    (0..5).for_each(|no| say(&mut scene, no));
    scene.net.run_for(100);
    assert_eq!(
        scene.net.totals().waiting,
        64 + 16,
        "held, and all that an unknown one may hold"
    );
    scene.net.take_tap();
    let answer = arp_frame(2, "192.0.2.60", "192.0.2.1", GATEWAY_MAC);
    scene.net.inject(RACK, 0, &answer);
    say(&mut scene, 5);
    scene.net.settle();
    let sent = scene.net.take_tap();
    for flow in &flows {
        let mine = |s: &&Sent| FlowId::of(&s.bytes[14..]).is_some_and(|f| f.src == *flow);
        let mine: Vec<Sent> = sent.iter().filter(mine).cloned().collect();
        assert_eq!(payloads(&mine), [0, 1, 2, 3, 4, 5], "{flow}");
    }
    scene.finish();
}

#[test]
fn a_host_that_never_answers_costs_one_unreachable_for_each_packet() {
    let mut scene = Scene::without_routes(0, Scene::setup(2), 4);
    for (family, addr) in BOTH.into_iter().zip([ip("192.0.2.99"), ip("fd00:2::99")]) {
        for i in 0..5 {
            let packet = udp(
                client(family, 20 + i),
                SocketAddr::new(addr, 9),
                b"anybody?",
            );
            scene.net.send(CLIENTS, packet);
        }
    }
    scene.net.run_until_idle(6000);
    let caught = scene.net.take_caught();
    assert_eq!(host_unreachables(&caught), 10);
    scene.net.assert_drops(&[(DropReason::NeighbourFailed, 10)]);
    assert_eq!(scene.net.totals().icmp_sent, 10);
    // Once more at once: it is known to be silent, nobody waits for it.
    let packet = udp(
        client(Family::V4, 30),
        SocketAddr::new(ip("192.0.2.99"), 9),
        b"!",
    );
    scene.net.send(CLIENTS, packet);
    scene.net.run_for(10);
    assert_eq!(host_unreachables(&scene.net.take_caught()), 1);
    scene.net.assert_drops(&[(DropReason::NeighbourFailed, 11)]);
    scene.finish();
}

#[test]
fn hours_pass_and_neighbours_in_use_are_refreshed_without_losing_a_packet() {
    let mut scene = Scene::new(3, Scene::setup(2), 5);
    scene.net.step_ms = 1000;
    let addrs = bystander(&mut scene.net, 50);
    let flows = Scene::udp_flows(0, 5);
    let first = scene.ask_all(&flows);
    let greet = |scene: &mut Scene| {
        for (family, addr) in BOTH.into_iter().zip(addrs) {
            let packet = udp(client(family, 1), SocketAddr::new(addr, NAME), b"?");
            scene.net.send(CLIENTS, packet);
        }
    };
    greet(&mut scene);
    scene.net.run_for(1000);
    let mut answers = 0;
    scene.net.take_caught();
    for _ in 0..300 {
        assert_eq!(scene.ask_all(&flows), first);
        scene.net.take_tap();
        greet(&mut scene);
        scene.net.run_for(1);
        assert_eq!(payloads(&scene.net.take_tap()), b"??", "nobody waits");
        scene.net.run_for(30_000);
        answers += scene.net.take_caught().len();
    }
    assert!(scene.net.now() > 9_000_000, "two and a half hours");
    assert_eq!(answers, 300 * (flows.len() + 2));
    let all = scene.neighbours();
    let reachable = |n: &arp::Neighbour| n.mac.is_some() && n.state != arp::NeighState::Failed;
    assert!(all.iter().filter(|n| n.reserved).all(reachable), "{all:?}");
    assert_eq!(all.iter().filter(|n| n.reserved).count(), 6);
    assert_eq!(
        scene.net.sim.gateway.host.neighbours().stats().unanswered,
        0
    );
    scene.net.assert_drops(&[]);
    scene.net.assert_moves(&[]);
    scene.net.assert_only_left(&[]);
    scene.finish();
}

#[test]
fn a_dead_next_hops_flows_move_and_its_silent_ones_come_back_to_it() {
    let mut scene = Scene::new(4, Scene::setup(2), 6);
    let flows = Scene::udp_flows(0, 100);
    let first = scene.ask_all(&flows);
    let of_one = with(&flows, &first, 1);
    assert!(of_one.len() > 20, "server 1 has {} flows", of_one.len());
    let (talking, silent) = of_one.split_at(of_one.len() / 2);

    scene.kill(1);
    scene.net.run_for(4000);
    let moved = scene.ask_all(talking);
    assert!(!moved.contains(&1), "{moved:?}");
    scene
        .net
        .assert_moves(&[(MoveReason::Dead, talking.len() as u64)]);
    scene.net.assert_only_left(&[1]);

    scene.revive(1);
    scene.net.run_for(4000);
    assert_eq!(scene.ask_all(silent), vec![1; silent.len()]);
    assert_eq!(scene.ask_all(talking), moved, "they stay where they are");
    let others: Vec<FlowId> = flows
        .iter()
        .filter(|f| !of_one.contains(f))
        .copied()
        .collect();
    let before: Vec<usize> = first.iter().copied().filter(|h| *h != 1).collect();
    assert_eq!(scene.ask_all(&others), before);
    scene
        .net
        .assert_moves(&[(MoveReason::Dead, talking.len() as u64)]);

    // All entries expire; then each flow is new, and finds the bucket that it found at first.
    scene.net.step_ms = 1000;
    scene.net.run_for(400_000);
    assert_eq!(scene.flows(), 0);
    scene.net.watch = Default::default();
    assert_eq!(scene.ask_all(&flows), first, "its own buckets are back");
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn a_next_hops_new_hardware_address_is_followed_by_all_its_flows() {
    let mut scene = Scene::new(3, Scene::setup(2), 7);
    let flows = Scene::udp_flows(0, 60);
    let first = scene.ask_all(&flows);
    assert!(first.contains(&2));
    let spare = arp::Mac([2, 0, 0, 0, 5, 5]);
    scene.net.nodes[2].set_mac(spare);
    scene.net.run_for(4000);
    assert_eq!(scene.ask_all(&flows), first);
    scene.net.assert_moves(&[]);
    scene.net.assert_only_left(&[]);
    let told = scene.net.sim.gateway.control.take_events();
    let followed = |family| {
        told.iter().any(|e| {
            matches!(e, ControlEvent::Host(HostEvent::NeighMoved { addr, from, to })
                if *addr == server_addr(2, family) && *from == server_mac(2) && *to == spare)
        })
    };
    assert!(BOTH.into_iter().all(followed), "{told:?}");
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn a_next_hop_that_flaps_for_hours_moves_nobody_elses_flows() {
    let seed = 8;
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut scene = Scene::new(4, Scene::setup(3), seed);
    scene.net.step_ms = 500;
    let flows = Scene::udp_flows(0, 30);
    scene.ask_all(&flows);
    let end = scene.net.now() + 2 * 3_600_000;
    while scene.net.now() < end {
        let alive = scene.net.nodes[0].alive;
        scene.net.nodes[0].alive = !alive;
        for _ in 0..rng.u32(1..6) {
            flows.iter().for_each(|f| scene.send_udp(f));
            scene.net.run_for(rng.u64(500..20_000));
        }
    }
    scene.net.assert_only_left(&[0]);
    let moved = scene.net.watch.moves.len() as u64;
    assert!(moved > 0, "nobody moved at all");
    scene.net.assert_moves(&[(MoveReason::Dead, moved)]);
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn a_next_hop_that_never_answers_gets_no_packet_and_loses_none() {
    let mut scene = Scene::without_routes(2, Scene::setup(2), 9);
    for (prefix, gateways) in [
        ("203.0.113.10/32", ["192.0.2.11", "192.0.2.77"]),
        ("2001:db8:113::10/128", ["fd00:2::11", "fd00:2::77"]),
    ] {
        let gateway = |addr| GatewaySpec {
            addr: ip(addr),
            weight: None,
            port: None,
            recursive: false,
            mtu: None,
        };
        let spec = RouteSpec {
            prefix: prefix.parse().expect("a prefix"),
            kind: PathKind::Gateways(gateways.map(gateway).to_vec()),
            mtu: None,
            deadline_s: None,
            options: Default::default(),
        };
        let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
        gw.control
            .route_add(&spec, &mut gw.host, now)
            .expect("a route");
    }
    let flows = Scene::udp_flows(0, 8);
    // Before anybody has answered: half of them wait for the one that never will, and then go to the other.
    let got = scene.ask_all(&flows);
    assert_eq!(got, vec![0; flows.len()]);
    scene.net.assert_drops(&[]);
    scene.net.run_for(60_000);
    let later = Scene::udp_flows(100, 50);
    assert_eq!(scene.ask_all(&later), vec![0; later.len()]);
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn with_everybody_dead_pins_stay_and_packets_are_answered_unreachable() {
    let mut scene = Scene::new(3, Scene::setup(2), 10);
    let flows = Scene::udp_flows(0, 30);
    let first = scene.ask_all(&flows);
    (0..3).for_each(|server| scene.kill(server));
    scene.net.run_for(5000);
    scene.net.take_caught();
    flows.iter().for_each(|f| scene.send_udp(f));
    scene.net.run_for(1000);
    assert_eq!(host_unreachables(&scene.net.take_caught()), flows.len());
    scene
        .net
        .assert_drops(&[(DropReason::NoNexthop, flows.len() as u64)]);
    (0..3).for_each(|server| scene.revive(server));
    scene.net.run_for(3000);
    assert_eq!(scene.ask_all(&flows), first, "everyone is where it was");
    scene.net.assert_moves(&[]);
    scene.net.assert_only_left(&[]);
    scene.finish();
}

#[test]
fn a_scan_of_the_segment_disturbs_neither_next_hops_nor_flows() {
    let mut scene = Scene::new(4, Scene::setup(2), 11);
    let flows = Scene::udp_flows(0, 40);
    let first = scene.ask_all(&flows);
    for round in 0..10u16 {
        for i in 0..200u16 {
            let n = round * 200 + i;
            let target = if i % 2 == 0 {
                ip(&format!("192.0.2.{}", 30 + n % 220))
            } else {
                ip(&format!("fd00:2::a:{n:x}"))
            };
            let family = BOTH[usize::from(i % 2)];
            let packet = udp(client(family, n), SocketAddr::new(target, 9), b"scan");
            scene.net.send(CLIENTS, packet);
        }
        flows.iter().for_each(|f| scene.send_udp(f));
        scene.net.run_for(300);
    }
    let host = |f: &FlowId| scene.net.watch.host_of(f).expect("a server");
    assert_eq!(flows.iter().map(host).collect::<Vec<_>>(), first);
    scene.net.run_until_idle(20_000);
    use DropReason::{
        HoldFull, NeighbourDisplaced, NeighbourFailed, NeighbourFull, NeighbourLimited,
    };
    scene.net.assert_only_dropped(&[
        HoldFull,
        NeighbourFailed,
        NeighbourFull,
        NeighbourLimited,
        NeighbourDisplaced,
    ]);
    let totals = scene.net.totals();
    assert!(totals.dropped_for(NeighbourLimited) > 0, "{totals:?}");
    assert_eq!(
        totals.dropped(),
        2000,
        "every packet of the scan has its end"
    );
    assert!(
        scene
            .neighbours()
            .iter()
            .filter(|n| n.reserved)
            .all(|n| n.mac.is_some())
    );
    scene.net.assert_moves(&[]);
    scene.net.assert_only_left(&[]);
    scene.finish();
}
