//! Flows through the simulated network: TCP over links that lose, copy and reorder, UDP, floods, drains, hand-off.

use flowgate_tests::frames::{tcp, tcp_segment, udp};
use flowgate_tests::net::watch::FlowId;
use flowgate_tests::net::{BOTH, Conditions, Echo, Net, Scene, client_addr, service};
use flowgate_tests::rack::{CLIENTS, Family, RACK};
use flowgate_tests::sim::{Sent, ip};
use flowtable::{GroupSecret, State, TableSecret, Timeouts};
use route::Selection;
use stack::Setup;
use stack::fate::{DropReason, MoveReason};
use stack::flows::FlowFilter;
use stack::links::Depths;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

fn count(hosts: &[usize], host: usize) -> u64 {
    hosts.iter().filter(|h| **h == host).count() as u64
}

/// The server of each of client 1's connections, by local port.
fn servers_of_talks(net: &Net, flows: u16) -> Vec<usize> {
    let of = |i: u16| {
        let family = BOTH[usize::from(i % 2)];
        let flow = FlowId {
            proto: 6,
            src: SocketAddr::new(client_addr(1, family), 5000 + i),
            dst: service(family, 80),
        };
        net.watch.host_of(&flow).expect("a server")
    };
    (0..flows).map(of).collect()
}

#[test]
fn connections_over_bad_links_survive_what_happens_to_other_servers() {
    const FLOWS: u16 = 32;
    for seed in 20..22 {
        // Three lost answers in a row would be a death on such links.
        let neigh = arp::Config {
            gateway_tries: 10,
            ..arp::Config::default()
        };
        let setup = Setup {
            neigh,
            ..Scene::setup(2)
        };
        let mut scene = Scene::without_routes(5, setup, seed);
        for family in BOTH {
            scene.route(family, &[0, 1, 2, 3]);
        }
        scene.net.run_for(2000);
        let client = scene.client(1);
        scene.talk(client, 1, FLOWS, 150);
        scene.net.run_for(3000);
        let first = servers_of_talks(&scene.net, FLOWS);
        scene.net.set_link(CLIENTS, Conditions::BAD);
        scene.net.set_link(RACK, Conditions::BAD);

        scene.net.run_for(5000);
        scene.add(4);
        scene.net.run_for(5000);
        scene.weight(3, 0, None);
        scene.net.run_for(5000);
        scene.weight(0, 7, None);
        scene.net.run_for(5000);
        scene.net.assert_moves(&[]);
        assert_eq!(servers_of_talks(&scene.net, FLOWS), first, "seed {seed}");
        scene.delete(2);
        scene.net.run_for(10_000);
        scene.kill(1);
        let rounds: Vec<u64> = talks(&scene, client).map(|t| t.1).collect();
        scene.net.run_for(10_000);
        // Who lost his server repeats himself at growing intervals, and is told by a stranger's RST.
        scene.net.set_link(CLIENTS, Conditions::GOOD);
        scene.net.set_link(RACK, Conditions::GOOD);
        scene.net.run_for(120_000);

        scene.net.assert_only_left(&[1, 2]);
        for ((i, rounds_now, broken, garbled), server) in talks(&scene, client).zip(&first) {
            let doomed = [1, 2].contains(server);
            let context = format!("seed {seed}: connection {i} of server {server}");

            assert_eq!(broken, doomed, "{context}");
            assert!(doomed || rounds_now > rounds[i], "{context} stalled");
            assert!(!garbled, "{context}");
        }
        assert!(
            scene.net.lost() > 500,
            "the links were good: {}",
            scene.net.lost()
        );
        scene.net.assert_drops(&[]);
        scene.finish();
    }
}

/// Place, rounds, broken, garbled of each of a host's connections.
fn talks(scene: &Scene, host: usize) -> impl Iterator<Item = (usize, u64, bool, bool)> {
    let all = scene.net.nodes[host].talks().enumerate();
    all.map(|(i, (_, talk))| (i, talk.rounds, talk.broken, talk.garbled))
}

/// A table that has just started proves no flow new: what it knew before may be lost (design section 4).
fn let_the_start_be_forgotten(scene: &mut Scene) {
    let step = std::mem::replace(&mut scene.net.step_ms, 1000);
    scene.net.run_for(320_000);
    scene.net.step_ms = step;
}

#[test]
fn a_new_next_hop_is_used_at_once_by_new_flows_and_by_no_old_one() {
    let mut scene = Scene::without_routes(4, Scene::setup(2), 30);
    for family in BOTH {
        scene.route(family, &[0, 1, 2]);
    }
    scene.net.run_for(2000);
    let_the_start_be_forgotten(&mut scene);
    let old = Scene::udp_flows(0, 150);
    let first = scene.ask_all(&old);
    scene.add(3);
    // Its hardware address has to be found; a burst of more than 16 flows for it would not be held.
    scene.net.run_for(10);
    let new = scene.ask_all(&Scene::udp_flows(1000, 150));
    let share = count(&new, 3);
    assert!(
        (40..120).contains(&share),
        "{share} of 300 chose the fourth server"
    );
    assert_eq!(scene.ask_all(&old), first);
    scene.net.assert_moves(&[]);
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn idle_flows_expire_over_virtual_hours_and_busy_ones_do_not() {
    let mut scene = Scene::new(3, Scene::setup(2), 31);
    scene.net.step_ms = 1000;
    let (busy, idle) = (Scene::udp_flows(0, 10), Scene::udp_flows(500, 300));
    let first = scene.ask_all(&busy);
    scene.ask_all(&idle);
    assert_eq!(scene.flows(), 620);
    for minute in 0..180 {
        scene.net.run_for(60_000);
        assert_eq!(scene.ask_all(&busy), first, "minute {minute}");
        if minute > 6 {
            assert_eq!(scene.flows(), busy.len(), "minute {minute}");
        }
    }
    scene.net.assert_moves(&[]);
    scene.net.assert_drops(&[]);
    scene.finish();
}

/// The rack's answer to a SYN of the flood goes nowhere: nobody confirms anything.
fn flood(scene: &mut Scene, rng: &mut fastrand::Rng, packets: usize) {
    for _ in 0..packets / 100 {
        for _ in 0..100 {
            let src = SocketAddr::new(
                ip(&format!(
                    "10.{}.{}.{}",
                    rng.u8(20..),
                    rng.u8(..),
                    rng.u8(1..255)
                )),
                rng.u16(1024..),
            );
            let syn = tcp_segment(src, service(Family::V4, 81), tcp::SYN, rng.u32(..), 0, 0);
            let queue = rng.usize(..2);
            scene.net.inject(CLIENTS, queue, &syn);
        }
        scene.net.run_for(10);
        scene.net.take_caught();
    }
}

#[test]
fn established_flows_keep_their_pins_through_a_flood_that_fills_the_table() {
    let setup = Setup {
        flows_v4: 4096,
        flows_v6: 4096,
        ..Scene::setup(2)
    };
    let mut scene = Scene::without_routes(4, setup, 32);
    let mut rng = fastrand::Rng::with_seed(32);
    for family in BOTH {
        scene.route(family, &[0, 1, 2]);
    }
    scene.net.run_for(2000);
    let flows: Vec<FlowId> = (0..400).map(|i| Scene::udp_flow(Family::V4, i)).collect();
    let first = scene.ask_all(&flows);
    // Now a quarter of the pins are no longer what the buckets say.
    scene.add(3);
    scene.net.run_for(10);
    scene.serve(Echo::Silent);
    flood(&mut scene, &mut rng, 30_000);
    let totals = scene.net.totals();
    assert!(
        totals.unpinned > 0,
        "the flood did not fill the table: {totals:?}"
    );
    let (_, used, limit) = scene.net.fills()[0];
    assert!(used <= limit && used * 10 > limit * 9, "{used} of {limit}");
    scene.serve(Echo::Open);
    assert_eq!(
        scene.ask_all(&flows),
        first,
        "every two-way flow is where it was"
    );
    scene.net.assert_moves(&[]);

    // The flood ends. Openers are forgotten, and new flows are pinned as before.
    for _ in 0..4 {
        scene.net.run_for(60_000);
        assert_eq!(scene.ask_all(&flows), first);
    }
    assert_eq!(scene.flows(), flows.len());
    let before = scene.net.totals().unpinned;
    let new: Vec<FlowId> = (5000..5400)
        .map(|i| Scene::udp_flow(Family::V4, i))
        .collect();
    let at = scene.ask_all(&new);
    assert_eq!(scene.ask_all(&new), at);
    assert_eq!(scene.net.totals().unpinned, before);
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn a_table_full_of_two_way_flows_keeps_them_and_sends_new_ones_on_without_a_pin() {
    let setup = Setup {
        flows_v4: 4096,
        flows_v6: 4096,
        ..Scene::setup(2)
    };
    let mut scene = Scene::new(3, setup, 37);
    let flows: Vec<FlowId> = (0..8000).map(|i| Scene::udp_flow(Family::V4, i)).collect();
    let first: Vec<usize> = flows
        .chunks(40)
        .flat_map(|some| scene.ask_all(some))
        .collect();
    let (_, used, limit) = scene.net.fills()[0];
    assert!(used <= limit && used * 20 > limit * 19, "{used} of {limit}");
    let mut reader = || scene.net.sim.gateway.control.reader();
    let [_, one_way, two_way] = reader().flow_stats()[0].evicted;
    assert_eq!((one_way, two_way), (0, 0), "only who had no answer yet");
    let now = stack::Now(0);
    let held: HashSet<SocketAddr> = reader()
        .flows(FlowFilter::default(), now)
        .map(|row| row.ends.0)
        .collect();
    let ends = |f: &FlowId| held.contains(&f.src) || held.contains(&f.dst);
    let early = flows[..1500].iter().filter(|f| ends(f)).count();
    assert_eq!(early, 1500, "who came while there was room is there");
    assert!(scene.net.totals().unpinned > 3000);
    let again: Vec<usize> = flows
        .chunks(40)
        .flat_map(|some| scene.ask_all(some))
        .collect();
    assert_eq!(again, first);
    scene.net.assert_moves(&[]);
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn a_draining_next_hop_keeps_its_flows_until_the_deadline() {
    let mut scene = Scene::new(3, Scene::setup(2), 33);
    let_the_start_be_forgotten(&mut scene);
    let flows = Scene::udp_flows(0, 100);
    let first = scene.ask_all(&flows);
    let of_one = count(&first, 1);
    assert!(of_one > 30);
    scene.weight(1, 0, Some(60));
    for _ in 0..5 {
        scene.net.run_for(10_000);
        assert_eq!(scene.ask_all(&flows), first, "until the deadline they stay");
    }
    let new = scene.ask_all(&Scene::udp_flows(1000, 100));
    assert_eq!(count(&new, 1), 0, "no new flow chooses it");
    scene.net.assert_moves(&[]);
    scene.net.run_for(15_000);
    let last = scene.ask_all(&flows);
    assert_eq!(count(&last, 1), 0);
    for (before, after) in first.iter().zip(&last) {
        assert!(before == after || *before == 1);
    }
    scene.net.assert_moves(&[(MoveReason::Deadline, of_one)]);
    scene.net.assert_only_left(&[1]);
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn a_next_hop_without_weight_gets_it_back_and_with_it_new_flows_only() {
    let mut scene = Scene::new(3, Scene::setup(2), 34);
    let flows = Scene::udp_flows(0, 80);
    let first = scene.ask_all(&flows);
    scene.weight(2, 0, None);
    assert_eq!(scene.ask_all(&flows), first);
    scene.weight(2, 1, None);
    assert_eq!(scene.ask_all(&flows), first);
    let new = scene.ask_all(&Scene::udp_flows(1000, 80));
    assert!(count(&new, 2) > 20, "{new:?}");
    scene.net.assert_moves(&[]);
    scene.finish();
}

/// Sequence numbers of each flow's packets in the order in which they left towards the rack.
fn order_of(sent: &[Sent], flow: &FlowId) -> Vec<u32> {
    let packets = sent
        .iter()
        .filter(|s| s.port == RACK)
        .map(|s| &s.bytes[14..]);
    let mine = packets.filter(|p| FlowId::of(p).as_ref() == Some(flow));
    mine.map(|p| {
        u32::from_be_bytes([
            p[p.len() - 4],
            p[p.len() - 3],
            p[p.len() - 2],
            p[p.len() - 1],
        ])
    })
    .collect()
}

#[test]
fn packets_of_a_flow_that_came_by_one_queue_leave_in_the_order_they_came() {
    let mut scene = Scene::new(3, Scene::setup(3), 35);
    let flows = Scene::udp_flows(0, 8);
    scene.net.take_tap();
    for no in 0..50u32 {
        for (i, flow) in flows.iter().enumerate() {
            let packet = udp(flow.src, flow.dst, &no.to_be_bytes());
            scene.net.inject(CLIENTS, i % 3, &packet);
        }
    }
    scene.net.run_for(10);
    let sent = scene.net.take_tap();
    for flow in &flows {
        assert_eq!(
            order_of(&sent, flow),
            (0..50).collect::<Vec<_>>(),
            "{flow:?}"
        );
    }
    let totals = scene.net.totals();
    assert!(
        totals.handed_off > 0 && totals.handed_off == totals.taken_over,
        "{totals:?}"
    );
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn a_full_ring_drops_and_counts_and_nobody_waits() {
    let depths = Depths {
        handoff: 4,
        ..Depths::default()
    };
    let mut scene = Scene::new(
        3,
        Setup {
            depths,
            ..Scene::setup(3)
        },
        36,
    );
    let flows = Scene::udp_flows(0, 250);
    scene.serve(Echo::Silent);
    for flow in &flows {
        scene.net.inject(CLIENTS, 0, &udp(flow.src, flow.dst, b"x"));
    }
    scene.net.take_tap();
    scene.net.run_until_idle(1000);
    let arrived = scene
        .net
        .take_tap()
        .iter()
        .filter(|s| s.port == RACK && FlowId::of(&s.bytes[14..]).is_some())
        .count();
    let lost = scene.net.totals().dropped_for(DropReason::HandoffFull);
    assert!(lost > 0, "the ring never filled");
    assert_eq!(arrived as u64 + lost, flows.len() as u64);
    scene.net.assert_only_dropped(&[DropReason::HandoffFull]);
    scene.finish();
}

#[test]
fn two_gateways_with_one_group_secret_choose_alike() {
    let scene = |seed: u8, workers| {
        let setup = Setup {
            table_secret: TableSecret([seed; 16]),
            group_secret: GroupSecret([7; 16]),
            seed: u64::from(seed),
            ..Scene::setup(workers)
        };
        Scene::new(5, setup, u64::from(seed))
    };
    let flows = Scene::udp_flows(0, 250);
    let (mut one, mut two) = (scene(1, 1), scene(2, 3));
    let first = one.ask_all(&flows);
    assert_eq!(first, two.ask_all(&flows));
    // One of them restarts: it knows no flow, and sends each where it was.
    drop(two);
    assert_eq!(scene(3, 2).ask_all(&flows), first);
    one.kill(3);
    one.net.run_for(4000);
    let moved = one.ask_all(&flows);
    let mut three = scene(4, 2);
    three.kill(3);
    three.net.run_for(4000);
    assert_eq!(
        three.ask_all(&flows),
        moved,
        "and alike when a server is dead"
    );
    one.finish();
    three.finish();
}

/// When each server last was deleted, drained to its end or dead.
struct Disturbed(Vec<Option<u64>>);

impl Disturbed {
    fn explains(&self, server: usize, at: u64) -> bool {
        // A flow is asked every 300 ms at least; a death is noticed within 3 s.
        self.0[server].is_some_and(|since| at <= since + 10_000)
    }
}

#[test]
fn changes_at_any_moment_move_only_the_flows_that_must() {
    for seed in 40..44 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut scene = Scene::new(5, Scene::setup(1 + seed as usize % 3), seed);
        let flows = Scene::udp_flows(0, 40);
        scene.ask_all(&flows);
        let mut disturbed = Disturbed(vec![None; 5]);
        let (mut member, mut alive) = ([true; 5], [true; 5]);
        for step in 0..150 {
            let server = rng.usize(1..5);
            let now = scene.net.now();
            match rng.u8(..8) {
                0 if member[server] => {
                    (member[server], disturbed.0[server]) = (false, Some(now));
                    scene.delete(server);
                }
                1 | 2 if !member[server] => {
                    member[server] = true;
                    scene.add(server);
                }
                3 if member[server] => scene.weight(server, rng.u32(0..4), None),
                4 => {
                    alive[server] = !alive[server];
                    scene.net.nodes[server].alive = alive[server];
                }
                _ => {}
            }
            for (server, alive) in alive.iter().enumerate().filter(|(_, a)| !**a) {
                assert!(!alive);
                disturbed.0[server] = Some(now);
            }
            for flow in &flows {
                if rng.bool() {
                    scene.send_udp(flow);
                }
                if rng.u8(..20) == 0 {
                    scene.net.settle();
                }
            }
            scene.net.run_for(rng.u64(1..300));
            for moved in scene.net.watch.moves.drain(..) {
                let fine = disturbed.explains(moved.from, moved.at);
                assert!(fine, "seed {seed}, step {step}: collateral {moved:?}");
            }
            scene.net.sim.assert_books();
        }
        use MoveReason::{Dead, Policy};
        let totals = scene.net.totals();
        let explained = totals.moved_for(Dead) + totals.moved_for(Policy);
        assert!(explained > 0, "seed {seed}: nothing moved");
        assert_eq!(totals.moved.iter().sum::<u64>(), explained, "seed {seed}");
        scene.finish();
    }
}

/// Five UDP flows of each of `clients` clients of each family to the service.
fn flows_of_clients(clients: u32, first_port: u16) -> Vec<Vec<FlowId>> {
    let with_ports = |flow: FlowId| {
        let port = |i| FlowId {
            src: SocketAddr::new(flow.src.ip(), first_port + i),
            ..flow
        };
        (0..5).map(port).collect()
    };
    let clients = Scene::udp_flows(0, clients).into_iter();
    clients.map(with_ports).collect()
}

#[test]
fn a_route_that_selects_by_source_keeps_a_client_with_one_server_and_pins_hold_when_that_changes() {
    let mut scene = Scene::new(3, Scene::setup(2), 61);
    let before = Scene::udp_flows(500, 60);
    let first = scene.ask_all(&before);
    for (selection, port) in [
        (Selection::Source, 2000),
        (Selection::SourceDestination, 3000),
    ] {
        scene.select(selection);
        let mut used = HashSet::new();
        for flows in flows_of_clients(24, port) {
            let servers = scene.ask_all(&flows);
            assert!(servers.iter().all(|s| *s == servers[0]), "{servers:?}");
            used.insert(servers[0]);
        }
        assert_eq!(used.len(), 3, "{selection:?} spreads clients over all");
    }
    assert_eq!(scene.ask_all(&before), first, "pinned flows stay");
    scene.net.assert_moves(&[]);
    scene.finish();
}

#[test]
fn mod_n_moves_new_flows_when_one_server_more_takes_part_but_no_pinned_one() {
    let mut scene = Scene::new(4, Scene::setup(2), 62);
    scene.select(Selection::ModN);
    let flows = Scene::udp_flows(0, 100);
    let first = scene.ask_all(&flows);
    let expected = |flow: &FlowId| match (flow.src.ip(), flow.dst.ip()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Some((src.to_bits() ^ dst.to_bits()) as usize % 4),
        _ => None,
    };
    for (flow, server) in flows.iter().zip(&first) {
        assert!(
            expected(flow).is_none_or(|turn| turn == *server),
            "{flow:?}"
        );
    }
    scene.delete(3);
    let second = scene.ask_all(&flows);
    for (was, is) in first.iter().zip(&second) {
        assert!(
            was == is || *was == 3,
            "a pinned flow of a server that stays moved"
        );
    }
    scene
        .net
        .assert_moves(&[(MoveReason::Policy, count(&first, 3))]);
    scene.finish();
}

#[test]
fn an_idle_worker_with_flows_wakes_once_a_second_and_ends_them() {
    let mut scene = Scene::new(3, Scene::setup(1), 41);
    scene.serve(Echo::Silent);
    let worker = |scene: &mut Scene| scene.net.sim.gateway.workers[0].timeout_ms(scene.net.sim.now);
    scene.net.run_for(100);
    assert_eq!(worker(&mut scene), None, "nothing to do");
    scene.ask_all(&Scene::udp_flows(0, 100));
    let timeout = u64::from(Timeouts::default().get(State::UdpOneWay));
    let (mut wakes, mut pieces) = (0, 0);
    let began = scene.net.sim.now.0;
    // A second until it wakes, ten until the hand has been round.
    while scene.flows() > 0 {
        let sleep = worker(&mut scene).expect("it has flows");
        assert!(sleep <= 1000, "{sleep}");
        wakes += u32::from(sleep > 0);
        pieces += 1;
        assert!(pieces < 10_000, "it never sleeps, or never ends them");
        scene.net.sim.now.0 += sleep;
        let now = scene.net.sim.now;
        scene.net.sim.gateway.workers[0].idle(now);
    }
    let seconds = (scene.net.sim.now.0 - began).div_ceil(1000);
    assert!((timeout..=timeout + 11).contains(&seconds), "{seconds} s");
    assert!(u64::from(wakes) <= seconds + 1, "{wakes} in {seconds} s");
    assert!(pieces > wakes * 9, "{pieces} pieces in {wakes} wakes");
}
