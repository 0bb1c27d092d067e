//! What an operator does while packets flow: routes beside and above each other, flushes, changes in the middle of a
//! burst, a small table of neighbours; and connections that end and begin again on the same ports.

use flowgate_tests::frames::{ether, tcp, tcp_segment, udp};
use flowgate_tests::net::craft::read_icmp_error;
use flowgate_tests::net::watch::FlowId;
use flowgate_tests::net::{Echo, Scene, service, to_clients};
use flowgate_tests::rack::{CLIENTS, Family, GATEWAY_MAC, RACK, server_addr, server_mac};
use flowgate_tests::sim::ip;
use route::Prefix;
use stack::Setup;
use stack::control::{GatewaySpec, PathKind, RouteSpec};
use stack::fate::{DropReason, MoveReason};
use stack::flows::FlowFilter;
use std::net::SocketAddr;

fn add_route(scene: &mut Scene, prefix: &str, kind: PathKind) {
    let prefix = prefix.parse().expect("a prefix");
    let spec = RouteSpec {
        prefix,
        kind,
        mtu: None,
        deadline_s: None,
        options: Default::default(),
    };
    let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    gw.control
        .route_add(&spec, &mut gw.host, now)
        .expect("a route is added");
    scene.net.settle();
}

fn delete_route(scene: &mut Scene, prefix: &str) {
    let prefix: Prefix = prefix.parse().expect("a prefix");
    let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    gw.control
        .route_delete(prefix, None, None, &mut gw.host, now)
        .expect("a route is deleted");
    scene.net.settle();
}

fn via(server: usize, family: Family) -> PathKind {
    let addr = server_addr(server, family);
    PathKind::Gateways(vec![GatewaySpec {
        addr,
        weight: None,
        port: None,
        recursive: false,
        mtu: None,
    }])
}

/// A start that is forgotten: new flows are known to be new.
fn old_scene(servers: usize, seed: u64) -> Scene {
    let mut scene = Scene::new(servers, Scene::setup(2), seed);
    scene.net.step_ms = 1000;
    scene.net.run_for(320_000);
    scene.net.step_ms = 100;
    scene
}

#[test]
fn an_unrelated_route_costs_each_flow_near_it_one_lookup_and_the_others_none() {
    let mut scene = Scene::new(3, Scene::setup(2), 110);
    let flows = Scene::udp_flows(0, 50);
    let first = scene.ask_all(&flows);
    let (v4, v6) = flows.split_at(50);
    let revalidated = |scene: &Scene| scene.net.totals().revalidated;
    let start = revalidated(&scene);
    add_route(&mut scene, "198.51.100.0/24", PathKind::Blackhole);
    assert_eq!(scene.ask_all(&flows), first);
    add_route(&mut scene, "203.0.112.0/24", PathKind::Blackhole);
    add_route(&mut scene, "2001:db8:7777::/48", PathKind::Blackhole);
    assert_eq!(scene.ask_all(&flows), first);
    assert_eq!(revalidated(&scene), start, "other nets");
    add_route(&mut scene, "203.0.112.0/23", via(2, Family::V4));
    assert_eq!(scene.ask_all(v4), first[..50]);
    assert_eq!(revalidated(&scene), start + 50, "the same /24, once each");
    assert_eq!(scene.ask_all(&flows), first);
    assert_eq!(revalidated(&scene), start + 50, "and not again");
    add_route(&mut scene, "2001:db8::/40", via(1, Family::V6));
    assert_eq!(scene.ask_all(v6), first[50..]);
    assert_eq!(revalidated(&scene), start + 100, "the same /32");
    delete_route(&mut scene, "203.0.112.0/23");
    assert_eq!(scene.ask_all(&flows), first);
    scene.net.assert_moves(&[]);
    scene.net.assert_only_left(&[]);
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn a_route_above_or_below_takes_its_flows_as_policy() {
    let mut scene = Scene::new(3, Scene::setup(2), 111);
    let to = |n: u16, host: u8| FlowId {
        proto: 17,
        src: SocketAddr::new(ip(&format!("10.3.0.{}", n + 1)), 3000),
        dst: SocketAddr::new(ip(&format!("198.51.100.{host}")), 53),
    };
    add_route(&mut scene, "198.51.100.0/24", via(0, Family::V4));
    let flows: Vec<FlowId> = (0..40)
        .map(|n| to(n, if n % 4 == 0 { 7 } else { 8 }))
        .collect();
    assert_eq!(scene.ask_all(&flows), vec![0; 40]);
    add_route(&mut scene, "198.51.100.7/32", via(1, Family::V4));
    let expected: Vec<usize> = (0..40).map(|n| usize::from(n % 4 == 0)).collect();
    assert_eq!(scene.ask_all(&flows), expected);
    scene.net.assert_moves(&[(MoveReason::Policy, 10)]);
    delete_route(&mut scene, "198.51.100.7/32");
    assert_eq!(scene.ask_all(&flows), vec![0; 40]);
    scene.net.assert_moves(&[(MoveReason::Policy, 20)]);
    delete_route(&mut scene, "198.51.100.0/24");
    scene.net.take_caught();
    flows.iter().for_each(|f| scene.send_udp(f));
    scene.net.run_for(10);
    let caught = scene.net.take_caught();
    let unreachable = to_clients(&caught).filter_map(read_icmp_error);
    assert_eq!(unreachable.filter(|e| e.kind == (3, 0)).count(), 40);
    scene.net.assert_drops(&[(DropReason::NoRoute, 40)]);
    scene.net.assert_moves(&[(MoveReason::Policy, 20)]);
    scene.finish();
}

#[test]
fn a_blackhole_is_silent_and_a_reject_route_is_not() {
    let mut scene = Scene::new(1, Scene::setup(1), 112);
    add_route(&mut scene, "198.51.100.0/25", PathKind::Blackhole);
    add_route(&mut scene, "198.51.100.128/25", PathKind::Reject);
    add_route(&mut scene, "3fff::/64", PathKind::Blackhole);
    add_route(&mut scene, "3fff:1::/64", PathKind::Reject);
    for (dst, answer) in [
        ("198.51.100.1:9", None),
        ("198.51.100.200:9", Some((3, 1))),
        ("[3fff::1]:9", None),
        ("[3fff:1::1]:9", Some((1, 6))),
    ] {
        let dst: SocketAddr = dst.parse().expect("an address");
        let src = ip(if dst.is_ipv6() {
            "fd10::44"
        } else {
            "10.4.4.4"
        });
        scene
            .net
            .send(CLIENTS, udp(SocketAddr::new(src, 9), dst, b"x"));
        scene.net.run_for(5);
        let caught = scene.net.take_caught();
        let kinds: Vec<_> = to_clients(&caught)
            .filter_map(read_icmp_error)
            .map(|e| e.kind)
            .collect();
        assert_eq!(kinds, answer.into_iter().collect::<Vec<_>>(), "{dst}");
    }
    scene
        .net
        .assert_drops(&[(DropReason::Blackhole, 2), (DropReason::Reject, 2)]);
    assert_eq!(scene.flows(), 0);
    scene.finish();
}

fn flush(scene: &mut Scene) -> u64 {
    let control = &mut scene.net.sim.gateway.control;
    let job = control
        .flow_flush(FlowFilter::default())
        .expect("a flush begins");
    scene.net.run_for(1000);
    assert!(job.done(), "the flush never ends");
    job.removed()
}

#[test]
fn flushed_flows_stay_where_they_are_as_long_as_buckets_remember_and_move_as_flushed_later() {
    let mut scene = old_scene(4, 113);
    scene.delete(3);
    scene.net.step_ms = 1000;
    // What the fourth server left behind in buckets is forgotten too.
    scene.net.run_for(40_000_000);
    let flows = Scene::udp_flows(0, 100);
    let first = scene.ask_all(&flows);
    scene.add(3);
    scene.net.run_for(1000);
    assert_eq!(flush(&mut scene), 200);
    assert_eq!(scene.flows(), 0);
    assert_eq!(
        scene.ask_all(&flows),
        first,
        "the buckets remember the earlier owners"
    );
    scene.net.assert_moves(&[]);

    // Beyond the flows' idle timeout nothing unpinned can still be theirs.
    for _ in 0..20 {
        scene.net.run_for(20_000);
        assert_eq!(scene.ask_all(&flows), first);
    }
    assert_eq!(flush(&mut scene), 200);
    let last = scene.ask_all(&flows);
    let moved = first.iter().zip(&last).filter(|(a, b)| a != b);
    let moved: Vec<usize> = moved.map(|(_, to)| *to).collect();
    assert!(
        moved.len() > 20 && moved.iter().all(|to| *to == 3),
        "{moved:?}"
    );
    scene
        .net
        .assert_moves(&[(MoveReason::Flushed, moved.len() as u64)]);
    scene.net.assert_drops(&[]);
    scene.finish();
}

/// One TCP segment of a connection, from the client or from the server that has it.
fn segment(
    scene: &mut Scene,
    client: SocketAddr,
    server: Option<usize>,
    flags: u8,
    seq: u32,
    ack: u32,
) {
    let at = service(
        if client.is_ipv6() {
            Family::V6
        } else {
            Family::V4
        },
        80,
    );
    match server {
        None => scene
            .net
            .inject(CLIENTS, 0, &tcp_segment(client, at, flags, seq, ack, 0)),
        Some(server) => {
            let bytes = tcp_segment(at, client, flags, seq, ack, 0);
            scene
                .net
                .inject(RACK, 1, &ether(GATEWAY_MAC, server_mac(server), &bytes));
        }
    }
    scene.net.run_for(2);
    scene.net.take_caught();
}

fn holder(scene: &Scene, client: SocketAddr) -> usize {
    let dst = service(
        if client.is_ipv6() {
            Family::V6
        } else {
            Family::V4
        },
        80,
    );
    let flow = FlowId {
        proto: 6,
        src: client,
        dst,
    };
    scene.net.watch.host_of(&flow).expect("a server")
}

fn open(scene: &mut Scene, client: SocketAddr, seq: u32) -> usize {
    segment(scene, client, None, tcp::SYN, seq, 0);
    let server = holder(scene, client);
    segment(
        scene,
        client,
        Some(server),
        tcp::SYN | tcp::ACK,
        900,
        seq + 1,
    );
    segment(scene, client, None, tcp::ACK, seq + 1, 901);
    server
}

#[test]
fn a_new_connection_on_old_ports_goes_to_the_owner_and_a_forged_syn_goes_nowhere_new() {
    let mut scene = Scene::new(3, Scene::setup(2), 114);
    scene.serve(Echo::Silent);
    let clients: Vec<SocketAddr> = (0..30u16)
        .flat_map(|n| [format!("10.6.0.{}", n + 1), format!("fd10::6:{:x}", n + 1)])
        .map(|addr| SocketAddr::new(ip(&addr), 6000))
        .collect();
    let first: Vec<usize> = clients.iter().map(|c| open(&mut scene, *c, 100)).collect();
    let of_one = first.iter().filter(|s| **s == 1).count() as u64;
    assert!(of_one > 8);
    scene.weight(1, 0, None);

    for (client, server) in clients.iter().zip(&first) {
        segment(&mut scene, *client, None, tcp::SYN, 7_777_777, 0);
        assert_eq!(
            holder(&scene, *client),
            *server,
            "a SYN in a live connection"
        );
        segment(&mut scene, *client, None, tcp::ACK, 101, 901);
        assert_eq!(holder(&scene, *client), *server);
    }
    scene.net.assert_moves(&[]);

    for (client, server) in clients.iter().zip(&first) {
        segment(&mut scene, *client, None, tcp::FIN | tcp::ACK, 101, 901);
        segment(
            &mut scene,
            *client,
            Some(*server),
            tcp::FIN | tcp::ACK,
            901,
            102,
        );
        segment(&mut scene, *client, None, tcp::ACK, 102, 902);
        assert_eq!(
            holder(&scene, *client),
            *server,
            "the end goes to the same server"
        );
    }
    for (client, server) in clients.iter().zip(&first) {
        let now_at = open(&mut scene, *client, 50_000);
        assert!(
            now_at == *server || *server == 1,
            "{client} from {server} to {now_at}"
        );
        assert_ne!(now_at, 1, "a draining server gets nothing new");
    }
    scene.net.assert_moves(&[(MoveReason::Reopened, of_one)]);
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn changes_in_the_middle_of_a_burst_lose_and_disturb_nothing() {
    for seed in 120..124 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut scene = Scene::new(4, Scene::setup(3), seed);
        scene.serve(Echo::Silent);
        let flows = Scene::udp_flows(0, 60);
        let first = scene.ask_all(&flows);
        let mut sent = flows.len() as u64;
        for _ in 0..100 {
            for _ in 0..rng.u32(1..100) {
                let flow = &flows[rng.usize(..flows.len())];
                let packet = udp(flow.src, flow.dst, b"x");
                scene.net.inject(CLIENTS, rng.usize(..3), &packet);
                sent += 1;
            }
            // Some packets are in rings, some in queues, when control writes.
            for _ in 0..rng.u8(..4) {
                scene.net.sim.poll_workers();
            }
            match rng.u8(..4) {
                0 => scene.weight(3, rng.u32(0..5), None),
                1 => scene.weight(2, rng.u32(1..5), None),
                2 => add_route(&mut scene, "203.0.113.0/26", PathKind::Reject),
                _ => {}
            }
            scene.net.run_for(rng.u64(1..5));
            if scene
                .net
                .sim
                .gateway
                .control
                .route_exact("203.0.113.0/26".parse().expect("a prefix"))
                .is_some()
            {
                delete_route(&mut scene, "203.0.113.0/26");
            }
            scene.net.sim.assert_books();
        }
        scene.net.run_until_idle(1000);
        let host = |f: &FlowId| scene.net.watch.host_of(f).expect("a server");
        assert_eq!(
            flows.iter().map(host).collect::<Vec<_>>(),
            first,
            "seed {seed}"
        );
        assert_eq!(scene.net.totals().forwarded, sent, "seed {seed}");
        scene.net.assert_drops(&[]);
        scene.net.assert_moves(&[]);
        scene.net.assert_only_left(&[]);
        scene.finish();
    }
}

#[test]
fn next_hops_keep_their_places_in_a_full_table_of_neighbours() {
    let neigh = arp::Config {
        limit: 12,
        incomplete_limit_per_port: 6,
        ..arp::Config::default()
    };
    let mut scene = Scene::new(
        4,
        Setup {
            neigh,
            ..Scene::setup(2)
        },
        115,
    );
    let flows = Scene::udp_flows(0, 40);
    let first = scene.ask_all(&flows);
    for n in 0..600u16 {
        let target = SocketAddr::new(ip(&format!("192.0.2.{}", 100 + n % 150)), 9);
        let src = SocketAddr::new(ip(&format!("10.8.{}.{}", n >> 8, n & 255)), 9);
        scene.net.send(CLIENTS, udp(src, target, b"scan"));
        scene.net.run_for(20);
        let (used, limit) = scene.net.sim.gateway.host.neighbours().fills();
        assert!(used <= limit && limit == 12);
    }
    assert_eq!(scene.ask_all(&flows), first);
    assert_eq!(scene.neighbours().iter().filter(|n| n.reserved).count(), 8);
    let stats = scene.net.sim.gateway.host.neighbours().stats();
    assert!(
        stats.refused_busy + stats.refused_full + stats.evicted > 100,
        "{stats:?}"
    );
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
    assert_eq!(scene.net.totals().dropped(), 600);
    scene.net.assert_moves(&[]);
    // A route to a server for which there is a place, and one for which there is none.
    let more = RouteSpec {
        prefix: "198.51.100.0/24".parse().expect("a prefix"),
        kind: PathKind::Gateways(
            (200..206)
                .map(|n| GatewaySpec {
                    addr: ip(&format!("192.0.2.{n}")),
                    weight: None,
                    port: None,
                    recursive: false,
                    mtu: None,
                })
                .collect(),
        ),
        mtu: None,
        deadline_s: None,
        options: Default::default(),
    };
    let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    let refused = gw.control.route_add(&more, &mut gw.host, now);
    assert!(refused.is_err(), "{refused:?}");
    scene.net.run_for(1000);
    assert_eq!(
        scene.neighbours().iter().filter(|n| n.reserved).count(),
        8,
        "what was taken is given back"
    );
    // The same when it is the routes that refuse.
    add_route(&mut scene, "198.51.100.0/24", PathKind::Blackhole);
    let spec = RouteSpec {
        kind: PathKind::Gateways(vec![GatewaySpec {
            addr: ip("192.0.2.200"),
            weight: None,
            port: None,
            recursive: false,
            mtu: None,
        }]),
        ..more
    };
    let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    let refused = gw.control.route_add(&spec, &mut gw.host, now);
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(scene.neighbours().iter().filter(|n| n.reserved).count(), 8);
    assert_eq!(scene.ask_all(&flows), first);
    scene.finish();
}

#[test]
fn a_next_hop_drained_everywhere_keeps_its_flows_until_the_deadline_or_is_taken_in_again() {
    let mut scene = Scene::new(3, Scene::setup(2), 71);
    // After a start any flow may be an old one, and a draining next hop's.
    let step = std::mem::replace(&mut scene.net.step_ms, 1000);
    scene.net.run_for(320_000);
    scene.net.step_ms = step;
    let flows = Scene::udp_flows(0, 80);
    let first = scene.ask_all(&flows);
    let of_one = first.iter().filter(|s| **s == 1).count() as u64;
    scene.drain_everywhere(1, Some(30));
    scene.undrain(1);
    scene.net.run_for(40_000);
    assert_eq!(
        scene.ask_all(&flows),
        first,
        "a drain taken back has no end"
    );
    scene.drain_everywhere(1, Some(30));
    scene.net.run_for(20_000);
    assert_eq!(scene.ask_all(&flows), first, "until the deadline they stay");
    let new = scene.ask_all(&Scene::udp_flows(2000, 60));
    assert!(new.iter().all(|s| *s != 1), "no new flow chooses it");
    scene.net.assert_moves(&[]);
    scene.net.run_for(15_000);
    let last = scene.ask_all(&flows);
    assert!(last.iter().all(|s| *s != 1));
    scene.net.assert_moves(&[(MoveReason::Deadline, of_one)]);
    scene.finish();
}

#[test]
fn a_next_hop_declared_dead_is_dead_though_it_answers_and_gets_its_silent_flows_back() {
    let mut scene = Scene::new(3, Scene::setup(2), 72);
    let flows = Scene::udp_flows(0, 60);
    let first = scene.ask_all(&flows);
    scene.declare(1, true);
    let (asked, silent) = flows.split_at(60);
    let away = scene.ask_all(asked);
    assert!(away.iter().all(|s| *s != 1));
    scene.net.run_for(10_000);
    let still = scene.ask_all(asked);
    assert_eq!(still, away, "it answers ARP and ND, and stays dead");
    scene.declare(1, false);
    assert_eq!(
        scene.ask_all(silent),
        first[60..],
        "silent flows find it again"
    );
    let moved = first[..60].iter().filter(|s| **s == 1).count() as u64;
    scene.net.assert_moves(&[(MoveReason::Dead, moved)]);
    scene.finish();
}
