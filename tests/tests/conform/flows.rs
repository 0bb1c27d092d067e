//! C62 and C72 to C76: flows and what belongs to them.

use flowgate_tests::case;
use flowgate_tests::conform::{Arp, Growth, client, datagram_of, hop};
use flowgate_tests::frames::{ether, ip_packet, tcp, tcp_segment, udp};
use flowgate_tests::net::craft::{icmp_error, pieces, with_ttl};
use flowgate_tests::net::{BOTH, Echo, NAME, Scene, service, to_rack};
use flowgate_tests::rack::{CLIENTS, Family, GATEWAY_MAC, RACK, server_addr, server_mac};
use flowgate_tests::sim::ip;
use smoltcp::wire::IpProtocol;
use stack::flows::FlowFilter;
use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, SocketAddr};

#[test]
fn c62_a_new_mac_switches_all_flows_without_a_route_change() {
    let (host, old, new) = ("192.0.2.50", server_mac(9), server_mac(10));
    let asks = |sha| {
        Arp {
            to: arp::Mac::BROADCAST,
            sha,
            spa: host,
            tha: arp::Mac::ZERO,
            tpa: "192.0.2.1",
        }
        .request()
    };
    let reply = |to| {
        Arp {
            to,
            sha: GATEWAY_MAC,
            spa: "192.0.2.1",
            tha: to,
            tpa: host,
        }
        .reply()
    };
    let announced = Arp {
        to: arp::Mac::BROADCAST,
        sha: new,
        spa: host,
        tha: arp::Mac::ZERO,
        tpa: host,
    }
    .request();
    let mut case = case!("RFC 826, RFC 5227 3: the host is another station now, says its announcement; no pin moves, no route is looked up")
        .arrives(RACK, &asks(old))
        .heard("arp requests received")
        .says("arp replies sent", RACK, &reply(old));
    let packet = |n: u8| datagram_of(&format!("10.3.3.{n}"), host);
    for n in 1..9 {
        case = case
            .arrives(CLIENTS, &packet(n))
            .goes_on(RACK, &ether(old, GATEWAY_MAC, &hop(&packet(n))));
    }
    case = case
        .arrives(RACK, &announced)
        .heard("arp requests received")
        .counts("neighbours moved", 1);
    for n in 1..9 {
        case = case
            .arrives(CLIENTS, &packet(n))
            .counts("pinned", 1)
            .goes_on(RACK, &ether(new, GATEWAY_MAC, &hop(&packet(n))));
    }
    case.holds();
}

/// Flows with pins of which some are not what their buckets would choose now.
fn with_pins(seed: u64) -> (Scene, Vec<flowgate_tests::net::watch::FlowId>, Vec<usize>) {
    let mut scene = Scene::new(5, Scene::setup(3), seed);
    let flows = Scene::udp_flows(0, 40);
    let servers = scene.ask_all(&flows);
    scene.weight(1, 0, None);
    scene.weight(3, 7, None);
    scene.serve(Echo::Silent);
    scene.know_servers();
    scene.net.take_tap();
    (scene, flows, servers)
}

#[test]
fn c72_all_pieces_take_the_pin_of_their_datagrams_flow() {
    let (mut scene, flows, servers) = with_pins(172);
    let (mut growth, mut all) = (Growth::of(&mut scene.net), 0);
    for (n, (flow, server)) in flows.iter().zip(&servers).enumerate() {
        let mut cut = pieces(
            &udp(flow.src, flow.dst, &[n as u8; 2400]),
            n as u32 + 1,
            800,
        );
        // In order, the first last, the first in the middle; each by another queue.
        cut.rotate_left(n % 3);
        for (queue, piece) in cut.iter().enumerate() {
            scene.net.inject(CLIENTS, queue % 3, piece);
        }
        scene.net.run_until_idle(100);
        let sent = scene.net.take_tap();
        let got = to_rack(&sent);
        assert_eq!(got.len(), cut.len(), "datagram {n}");
        assert!(
            got.iter().all(|(s, _)| s == server),
            "datagram {n}: {got:?}, not {server}"
        );
        let family = BOTH[usize::from(flow.src.is_ipv6())];
        growth = growth.forwarded(family, cut.len() as u64);
        all += cut.len();
    }
    assert_eq!(scene.flows(), flows.len());
    growth
        .counts("pinned", all as u64)
        .holds(&mut scene.net, "pieces with their first");
    scene.net.assert_drops(&[]);
    scene.net.assert_moves(&[]);
    scene.finish();
}

#[test]
fn c72_pieces_without_their_first_go_by_the_3_tuple_and_are_counted() {
    let mut scene = Scene::new(5, Scene::setup(3), 173);
    scene.serve(Echo::Silent);
    scene.know_servers();
    scene.net.take_tap();
    let growth = Growth::of(&mut scene.net);
    let mut of_client = Vec::new();
    for round in 0..6u16 {
        for family in BOTH {
            // One client's datagrams, from another port each time: addresses and protocol are the same.
            let src = SocketAddr::new(client(family).ip(), 1000 + round);
            let cut = pieces(
                &udp(src, service(family, NAME), &[7; 2392]),
                u32::from(round) + 1,
                800,
            );
            cut[1..]
                .iter()
                .for_each(|piece| scene.net.inject(CLIENTS, 0, piece));
            scene.net.run_for(400);
            assert!(
                to_rack(&scene.net.take_tap()).is_empty(),
                "they wait for the first"
            );
            scene.net.run_for(200);
            let sent = scene.net.take_tap();
            let servers: HashSet<usize> = to_rack(&sent).iter().map(|(s, _)| *s).collect();
            assert_eq!((to_rack(&sent).len(), servers.len()), (2, 1));
            of_client.push((family == Family::V6, servers.into_iter().next()));
        }
    }
    let ways: HashSet<_> = of_client.into_iter().collect();
    assert_eq!(ways.len(), 2, "one way a family: {ways:?}");
    // All but the first of a family find the pin of their addresses and protocol.
    growth
        .forwarded(Family::V4, 12)
        .forwarded(Family::V6, 12)
        .counts("fragments_blind", 24)
        .counts("pinned", 22)
        .holds(&mut scene.net, "pieces without their first");
    scene.net.assert_drops(&[]);
    scene.finish();
}

/// The ICMP error of a router on the clients' side about the server's answer in a flow.
fn error_about(flow: &flowgate_tests::net::watch::FlowId) -> Vec<u8> {
    let about = udp(flow.dst, flow.src, b"an answer");
    let (router, kind) = match flow.src {
        SocketAddr::V4(_) => (ip("10.9.9.9"), (3, 1)),
        SocketAddr::V6(_) => (ip("fd10::9"), (1, 3)),
    };
    icmp_error(router, &about, kind.0, kind.1, 0)
}

#[test]
fn c73_icmp_errors_go_by_what_they_quote_with_the_ends_exchanged() {
    let (mut scene, flows, servers) = with_pins(174);
    let entries = scene.flows();
    let growth = Growth::of(&mut scene.net);
    for (n, (flow, server)) in flows.iter().zip(&servers).enumerate() {
        let error = error_about(flow);
        scene.net.inject(CLIENTS, n % 3, &error);
        scene.net.run_for(3);
        let sent = scene.net.take_tap();
        let arrived = with_ttl(error, 63);
        assert_eq!(to_rack(&sent), [(*server, &arrived[..])], "flow {n}");
    }
    assert_eq!(scene.flows(), entries);
    growth
        .forwarded(Family::V4, 40)
        .forwarded(Family::V6, 40)
        .holds(&mut scene.net, "errors");
    scene.net.assert_drops(&[]);
    scene.net.assert_moves(&[]);
    scene.finish();
}

#[test]
fn c73_an_icmp_error_creates_refreshes_and_shortens_nothing() {
    let mut scene = Scene::new(3, Scene::setup(1), 175);
    scene.net.step_ms = 1000;
    scene.serve(Echo::Silent);
    scene.know_servers();
    let growth = Growth::of(&mut scene.net);
    let (known, unknown) = (
        Scene::udp_flow(Family::V4, 1),
        Scene::udp_flow(Family::V4, 2),
    );
    scene.net.send(CLIENTS, error_about(&unknown));
    scene.net.run_for(10);
    assert_eq!(scene.flows(), 0, "not created");
    // One packet: a flow that nobody has confirmed.
    scene.ask_all(&[known]);
    let lives = lifetime(&mut scene, |_| {});
    scene.ask_all(&[known]);
    let about = error_about(&known);
    let with_errors = lifetime(&mut scene, |scene| scene.net.send(CLIENTS, about.clone()));
    // A second's rounding: refreshed it would not end at all.
    assert!(
        lives.abs_diff(with_errors) <= 1,
        "{lives} s and {with_errors} s"
    );
    // The flow's packet twice, an error about another, one each second about it.
    growth
        .forwarded(Family::V4, 3 + u64::from(with_errors))
        .holds(&mut scene.net, "errors");
    scene.net.assert_drops(&[]);
    scene.finish();
}

/// Seconds until the only flow has expired (the hand may come to it later), if this happens each second.
fn lifetime(scene: &mut Scene, each: impl Fn(&mut Scene)) -> u32 {
    for second in 0..1000 {
        let now = scene.net.sim.now;
        let reader = scene.net.sim.gateway.control.reader();
        let mut rows = reader.flows(FlowFilter::default(), now);
        if rows.all(|row| row.expires_ms == 0) {
            return second;
        }
        each(scene);
        scene.net.run_for(1000);
    }
    panic!("it lives for ever");
}

#[test]
fn c74_the_ways_there_and_back_need_not_match() {
    // There by the rack's server, back from another one that has the service's address too: both are forwarded, in one
    // entry, and neither changes the other's pin.
    let mut scene = Scene::new(3, Scene::setup(2), 176);
    scene.serve(Echo::Silent);
    scene.know_servers();
    scene.net.take_tap();
    let growth = Growth::of(&mut scene.net);
    for family in BOTH {
        let (src, dst) = (client(family), service(family, 80));
        let there = |flags| tcp_segment(src, dst, flags, 1, 1, 0);
        scene.net.inject(CLIENTS, 0, &there(tcp::SYN));
        scene.net.run_for(5);
        let first = to_rack(&scene.net.take_tap())[0].0;
        for server in 0..3 {
            let back = tcp_segment(dst, src, tcp::SYN | tcp::ACK, 1, 2, 0);
            scene
                .net
                .inject(RACK, 1, &ether(GATEWAY_MAC, server_mac(server), &back));
            scene.net.run_for(5);
            let sent = scene.net.take_tap();
            assert!(
                sent.iter()
                    .any(|s| s.port == CLIENTS && s.bytes == with_ttl(back.clone(), 63))
            );
            scene.net.inject(CLIENTS, 1, &there(tcp::ACK));
            scene.net.run_for(5);
            assert_eq!(
                to_rack(&scene.net.take_tap())[0].0,
                first,
                "there as before"
            );
        }
    }
    assert_eq!(scene.flows(), 2);
    // All but the first there and the first back of each family find their pin.
    growth
        .forwarded(Family::V4, 7)
        .forwarded(Family::V6, 7)
        .counts("pinned", 2 * 5)
        .holds(&mut scene.net, "there and back");
    scene.net.assert_drops(&[]);
    scene.net.assert_moves(&[]);
    scene.finish();
}

#[test]
fn c75_other_protocols_go_by_addresses_and_protocol() {
    for seed in 177..180 {
        let mut scene = Scene::new(5, Scene::setup(3), seed);
        scene.serve(Echo::Silent);
        scene.know_servers();
        scene.net.take_tap();
        let growth = Growth::of(&mut scene.net);
        // GRE, ESP, and a number that nobody has: the payload's first bytes look like other ports each time.
        for (proto, family) in [47, 50, 200].into_iter().flat_map(|p| BOTH.map(|f| (p, f))) {
            let mut ways = HashSet::new();
            for n in 0..20u8 {
                let payload = [n, n, n, n, 0, 0, 0, 0, 0, 0, 0, n];
                let (src, dst) = (client(family).ip(), service(family, 0).ip());
                let packet = ip_packet(src, dst, IpProtocol::from(proto), 64, &payload);
                scene.net.inject(CLIENTS, usize::from(n) % 3, &packet);
                scene.net.run_for(3);
                ways.insert(to_rack(&scene.net.take_tap())[0].0);
            }
            assert_eq!(ways.len(), 1, "protocol {proto}, {family:?}");
        }
        assert_eq!(scene.flows(), 6, "one for each protocol and family");
        growth
            .forwarded(Family::V4, 60)
            .forwarded(Family::V6, 60)
            .counts("pinned", 6 * 19)
            .holds(&mut scene.net, "other protocols");
        scene.net.assert_drops(&[]);
        scene.finish();
    }
}

/// What a packet of chance is: to the service, to servers, to nowhere, of any protocol, TTL and length.
fn of_chance(rng: &mut fastrand::Rng) -> Vec<u8> {
    let family = BOTH[rng.usize(..2)];
    let src = Scene::udp_flow(family, rng.u32(..3)).src;
    let src = SocketAddr::new(src.ip(), 1000 + rng.u16(..2));
    let dst: IpAddr = match rng.u8(..8) {
        0 => server_addr(rng.usize(..3), family),
        1 if family == Family::V4 => ip("100.64.99.9"),
        1 => ip("2001:db8:99::9"),
        _ => service(family, 0).ip(),
    };
    let dst = SocketAddr::new(dst, [53, 80][rng.usize(..2)]);
    let len = [0, 1, 100, 1300, 1600][rng.usize(..5)];
    let packet = match rng.u8(..4) {
        0 => tcp_segment(
            src,
            dst,
            [tcp::SYN, tcp::ACK, tcp::ACK | tcp::FIN][rng.usize(..3)],
            1,
            1,
            len,
        ),
        1 => ip_packet(
            src.ip(),
            dst.ip(),
            IpProtocol::from(50),
            64,
            &vec![9; len + 8],
        ),
        _ => udp(src, dst, &vec![7; len]),
    };
    with_ttl(packet, [64, 64, 64, 1, 2, 255][rng.usize(..6)])
}

/// What leaves, without the station to which it goes: the only thing that a pin decides.
fn seen(sent: &[flowgate_tests::sim::Sent]) -> Vec<(usize, Vec<u8>)> {
    let ip = |s: &&flowgate_tests::sim::Sent| {
        s.port == CLIENTS || matches!(s.bytes[12..14], [8, 0] | [0x86, 0xdd])
    };
    let frames = sent.iter().filter(ip);
    let frames =
        frames.filter(|s| s.port == CLIENTS || arp::is_neighbour_frame(&s.bytes).is_none());
    frames
        .map(|s| {
            (
                s.port,
                if s.port == RACK {
                    s.bytes[6..].to_vec()
                } else {
                    s.bytes.clone()
                },
            )
        })
        .collect()
}

#[test]
fn c76_a_pinned_packet_differs_in_nothing_but_the_member_that_it_takes() {
    for seed in 0..4 {
        let mut rng = fastrand::Rng::with_seed(760 + seed);
        let setup = || stack::Setup {
            icmp: unlimited(),
            flows_v4: 1024,
            flows_v6: 1024,
            ..Scene::setup(1)
        };
        // The same packets twice: where flows keep their pins, and where each flow is forgotten after each packet.
        let mut pinned = Scene::new(3, setup(), seed);
        let mut forgetting = Scene::new(3, setup(), seed);
        for scene in [&mut pinned, &mut forgetting] {
            scene.serve(Echo::Silent);
            scene.net.transport = flowgate_tests::net::Transport::Ignored;
            scene.know_servers();
            scene.net.take_tap();
        }
        let growths = [&mut pinned, &mut forgetting].map(|scene| Growth::of(&mut scene.net));
        for n in 0..400 {
            let packet = of_chance(&mut rng);
            pinned.net.inject(CLIENTS, 0, &packet);
            forgetting.net.inject(CLIENTS, 0, &packet);
            pinned.net.run_for(2);
            forgetting.net.run_for(2);
            let (with, without) = (pinned.net.take_tap(), forgetting.net.take_tap());
            assert_eq!(seen(&with), seen(&without), "seed {seed}, packet {n}");
            if n % 100 == 50 {
                // Members come and go in both.
                for scene in [&mut pinned, &mut forgetting] {
                    scene.weight(1, rng_weight(n), None);
                }
            }
            forget(&mut forgetting);
        }
        let [mut a, mut b] = [
            growths[0].so_far(&mut pinned.net),
            growths[1].so_far(&mut forgetting.net),
        ];
        let [found, left] = [&mut a, &mut b].map(|counts| of_pins(counts)[0]);
        assert!(found > 100 && left < found / 2, "{found} and {left}");
        assert_eq!((a["rx"], &a), (400, &b), "seed {seed}");
        pinned.finish();
        forgetting.finish();
    }
}

/// Takes out what pins alone are counted by: found as they were, looked at again, chosen again for a new connection, gone with a flush.
fn of_pins(counts: &mut BTreeMap<String, u64>) -> [u64; 5] {
    let names = [
        "pinned",
        "stale_stamp",
        "revalidated",
        "moved: reopened",
        "moved: flushed",
    ];
    names.map(|name| counts.remove(name).unwrap_or_default())
}

fn rng_weight(n: u32) -> u32 {
    1 + n / 100
}

fn unlimited() -> stack::icmp::Rates {
    let rate = stack::icmp::Rate {
        per_second: 1_000_000,
        burst: 1_000_000,
    };
    stack::icmp::Rates {
        errors: rate,
        source: rate,
        redirects: rate,
        redirect_again_ms: 0,
        echo: rate,
    }
}

/// `flow flush`.
fn forget(scene: &mut Scene) {
    let control = &mut scene.net.sim.gateway.control;
    control
        .flow_flush(stack::flows::FlowFilter::default())
        .expect("a flush begins");
    scene.net.settle();
    assert_eq!(scene.flows(), 0);
}
