//! Packets that arrive by another queue than before: the flow, its datagrams and the errors about it stay where they were.

use flowgate_tests::frames::{mac_dst, udp};
use flowgate_tests::net::craft::{icmp_error, pieces};
use flowgate_tests::net::watch::FlowId;
use flowgate_tests::net::{Echo, Scene, to_rack};
use flowgate_tests::rack::{CLIENTS, RACK, Rack, server_mac};
use flowgate_tests::sim::ip;
use route::Prefix;
use stack::Setup;
use std::net::SocketAddr;

const WORKERS: usize = 4;
const SERVERS: usize = 7;
const FLOWS: usize = 100_000;

fn flow(n: usize) -> (SocketAddr, SocketAddr) {
    let (src, dst) = if n.is_multiple_of(4) {
        (
            format!("fd10::{:x}:{:x}", 2 + (n >> 16), n & 0xffff),
            "[2001:db8:113::10]:80",
        )
    } else {
        (
            format!("10.{}.{}.{}", 1 + (n >> 16), (n >> 8) & 255, n & 255),
            "203.0.113.10:80",
        )
    };
    let port = 1024 + (n % 60_000) as u16;
    (
        SocketAddr::new(ip(&src), port),
        dst.parse().expect("an address"),
    )
}

/// Sends a packet of each flow by the queue that `steer` says, and returns the server that each got.
fn send_all(rack: &mut Rack, steer: impl Fn(usize) -> usize) -> Vec<usize> {
    let mut servers = vec![usize::MAX; FLOWS];
    for first in (0..FLOWS).step_by(2000) {
        for n in first..(first + 2000).min(FLOWS) {
            let (src, dst) = flow(n);
            let packet = udp(src, dst, &(n as u32).to_be_bytes());
            rack.sim.put(CLIENTS, steer(n), &packet);
        }
        for sent in rack.sim.settle() {
            assert!(sent.port == RACK && FlowId::of(&sent.bytes[14..]).is_some());
            let n = sent.bytes.last_chunk().map(|b| u32::from_be_bytes(*b));
            let mac = mac_dst(&sent.bytes);
            let server = (0..SERVERS).find(|server| Some(server_mac(*server)) == mac);
            servers[n.expect("a number") as usize] = server.expect("a server's frame");
        }
    }
    servers
}

#[test]
fn a_hundred_thousand_flows_that_arrive_by_another_queue_keep_their_pins() {
    let setup = Setup {
        workers: WORKERS,
        flows_v4: 200_000,
        flows_v6: 100_000,
        buffers: 4096,
        ..Setup::default()
    };
    let mut rack = Rack::new(SERVERS, setup);
    let prefixes = ["203.0.113.10/32", "2001:db8:113::10/128"].map(|p| p.parse::<Prefix>());
    for prefix in prefixes.clone() {
        let half: Vec<(usize, u32)> = (0..3).map(|server| (server, 1)).collect();
        rack.add_all(prefix.expect("a prefix"), &half);
    }
    let first = send_all(&mut rack, |n| n % WORKERS);
    let before = rack.sim.gateway.control.totals().handed_off;
    // What the buckets say now is not what the pins say.
    for prefix in prefixes {
        let prefix = prefix.expect("a prefix");
        (3..SERVERS).for_each(|server| rack.add(prefix, server, 3));
        rack.weight(prefix, 0, 0);
    }
    for round in 1..=WORKERS {
        let servers = send_all(&mut rack, |n| (n + round) % WORKERS);
        let moved = servers.iter().zip(&first).filter(|(now, then)| now != then);
        assert_eq!(moved.count(), 0, "round {round}");
    }
    let totals = rack.sim.gateway.control.totals();
    assert_eq!(totals.moved.iter().sum::<u64>(), 0, "{totals:?}");
    assert_eq!((totals.unpinned, totals.dropped()), (0, 0), "{totals:?}");
    let stats = rack.sim.gateway.control.reader().flow_stats();
    assert_eq!(stats[0].inserts + stats[1].inserts, FLOWS as u64);
    // Each flow met each queue: of its packets by all four, one came to its owner.
    assert_eq!(totals.handed_off - before, 3 * FLOWS as u64);
    assert_eq!(totals.handed_off, totals.taken_over);
    rack.sim.assert_books();
}

/// An ICMP error about a flow, itself in pieces, the first one last, each piece by any queue.
#[test]
fn errors_in_pieces_go_to_the_flow_that_they_quote_by_whatever_queues() {
    let mut scene = Scene::new(5, Scene::setup(4), 91);
    let flows = Scene::udp_flows(0, 24);
    let first = scene.ask_all(&flows);
    let entries = scene.flows();
    scene.weight(1, 0, None);
    scene.weight(2, 5, None);
    scene.serve(Echo::Silent);
    let mut rng = fastrand::Rng::with_seed(92);
    for (no, (flow, server)) in flows.iter().zip(&first).enumerate() {
        let v6 = flow.src.is_ipv6();
        let router = ip(if v6 { "fd10::9:9" } else { "10.9.9.9" });
        let (kind, code) = if v6 { (1, 4) } else { (3, 3) };
        let about = udp(flow.dst, flow.src, &[9; 600]);
        let error = icmp_error(router, &about, kind, code, 0);
        for queue in 0..4 {
            let mut cut = pieces(&error, (no * 4 + queue) as u32 + 1, 136);
            rng.shuffle(&mut cut[1..]);
            // The first one by each queue in turn.
            let head = cut.remove(0);
            scene.net.take_tap();
            for piece in &cut {
                scene.net.inject(CLIENTS, rng.usize(..4), piece);
                scene.net.run_for(rng.u64(..20));
            }
            scene.net.inject(CLIENTS, queue, &head);
            scene.net.run_for(5);
            let sent = scene.net.take_tap();
            let got = to_rack(&sent);
            assert_eq!(got.len(), cut.len() + 1, "flow {no}, queue {queue}");
            assert!(
                got.iter().all(|(to, _)| to == server),
                "flow {no}, queue {queue}"
            );
        }
    }
    assert_eq!(scene.flows(), entries, "errors make no entries");
    assert_eq!(scene.net.totals().fragments_blind, 0);
    scene.net.assert_drops(&[]);
    scene.net.assert_moves(&[]);
    scene.finish();
}
