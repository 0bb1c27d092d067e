//! The box's own sockets in the simulated network: health checks over TCP, and ping.

use flowgate_tests::net::craft::{echo_request, pieces, reassemble};
use flowgate_tests::net::watch::FlowId;
use flowgate_tests::net::{BOTH, ECHO, Echo, SERVICE, SERVICE6, Scene, client_addr};
use flowgate_tests::rack::{CLIENTS, RACK, server_addr};
use flowgate_tests::sim::ip;
use route::NhopKey;
use stack::control::{ControlEvent, DownCause};
use stack::fate::MoveReason;
use stack::host::{Check, CheckId, HostCmd, HostLink, HostReply, PingEnd, PingOutcome, PingSpec};
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{TryRecvError, sync_channel};

/// A check a second of every server, in both families.
fn checks(servers: usize) -> Vec<Check> {
    let all = (0..servers).flat_map(|server| BOTH.map(|family| server_addr(server, family)));
    let check = |(id, gateway): (usize, IpAddr)| Check {
        id: CheckId(id as u32),
        gateway,
        server: SocketAddr::new(gateway, ECHO),
        interval_ms: 1000,
        timeout_ms: 700,
        tries: 3,
    };
    all.enumerate().map(check).collect()
}

fn causes(scene: &Scene, server: usize) -> Vec<Vec<DownCause>> {
    let control = &scene.net.sim.gateway.control;
    let is = |key: &NhopKey| {
        BOTH.iter()
            .any(|f| key.gateway == Some(server_addr(server, *f)))
    };
    let nhops = control.nhops().into_iter().filter(|n| is(&n.key));
    nhops.map(|n| control.down_causes(n.idx)).collect()
}

fn checked_scene(seed: u64) -> Scene {
    let mut scene = Scene::new(3, Scene::setup(2), seed);
    let gateway = &mut scene.net.sim.gateway;
    gateway.control.set_checks(checks(3), &mut gateway.host);
    scene.net.run_for(3000);
    (0..3).for_each(|s| assert_eq!(causes(&scene, s), vec![vec![]; 2], "server {s}"));
    scene
}

/// A server answers ARP and ND, but its service is `ill`: dead as *check*, and back when it serves again.
fn an_ill_server_is_dead_until_it_serves(ill: Echo, seed: u64) {
    let mut scene = checked_scene(seed);
    let flows = Scene::udp_flows(0, 60);
    let first = scene.ask_all(&flows);
    let of_one: Vec<FlowId> = flows
        .iter()
        .zip(&first)
        .filter(|(_, h)| **h == 1)
        .map(|(f, _)| *f)
        .collect();
    assert!(of_one.len() > 10);
    let (talking, silent) = of_one.split_at(of_one.len() / 2);

    scene.net.nodes[1].echo = ill;
    scene.net.run_for(6000);
    assert_eq!(causes(&scene, 1), vec![vec![DownCause::Check]; 2]);
    assert_eq!(causes(&scene, 0), vec![vec![]; 2]);
    let moved = scene.ask_all(talking);
    assert!(!moved.contains(&1), "{moved:?}");
    scene
        .net
        .assert_moves(&[(MoveReason::Dead, talking.len() as u64)]);

    scene.net.nodes[1].echo = Echo::Open;
    scene.net.run_for(3000);
    assert_eq!(causes(&scene, 1), vec![vec![]; 2]);
    assert_eq!(scene.ask_all(silent), vec![1; silent.len()]);
    assert_eq!(scene.ask_all(talking), moved);
    scene
        .net
        .assert_moves(&[(MoveReason::Dead, talking.len() as u64)]);
    scene.net.assert_only_left(&[1]);
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn a_server_that_refuses_connections_is_dead_until_it_serves() {
    an_ill_server_is_dead_until_it_serves(Echo::Refusing, 60);
}

#[test]
fn a_server_that_swallows_connections_is_dead_until_it_serves() {
    an_ill_server_is_dead_until_it_serves(Echo::Silent, 61);
}

#[test]
fn a_server_whose_cable_is_out_is_dead_for_two_reasons_and_back_when_both_have_gone() {
    let mut scene = checked_scene(62);
    scene.kill(2);
    scene.net.run_for(8000);
    let both = vec![DownCause::Neighbour, DownCause::Check];
    assert_eq!(causes(&scene, 2), vec![both; 2]);
    scene.net.nodes[2].echo = Echo::Refusing;
    scene.revive(2);
    scene.net.run_for(8000);
    assert_eq!(causes(&scene, 2), vec![vec![DownCause::Check]; 2]);
    scene.net.nodes[2].echo = Echo::Open;
    scene.net.run_for(3000);
    assert_eq!(causes(&scene, 2), vec![vec![]; 2]);
    scene.net.assert_drops(&[]);
    scene.net.assert_moves(&[]);
    scene.finish();
}

#[test]
fn servers_do_not_die_of_a_worker_that_was_held_up() {
    for worker in 0..2 {
        let mut scene = checked_scene(66);
        for held_up in [700, 1600, 2900, 8000] {
            scene.net.sim.held_up = Some(worker);
            scene.net.run_for(held_up);
            scene.net.sim.held_up = None;
            scene.net.run_for(1000);
            for server in 0..3 {
                assert_eq!(causes(&scene, server), vec![vec![]; 2], "{held_up} ms");
            }
        }
        let dead = |e: &ControlEvent| matches!(e, ControlEvent::Health(n) if !n.causes.is_empty());
        let events = scene.net.sim.gateway.control.take_events();
        assert!(!events.iter().any(dead), "{events:?}");
        let stats = scene.net.sim.gateway.host.neighbours().stats();
        assert_eq!(stats.unanswered, 0);
        // Worker 0 sends and hears all of it here.
        assert_eq!(stats.unheard > 0, worker == 0, "{stats:?}");
        // Ears that were stopped hear again.
        scene.kill(2);
        scene.net.run_for(8000);
        let both = vec![DownCause::Neighbour, DownCause::Check];
        assert_eq!(causes(&scene, 2), vec![both; 2]);
    }
}

#[test]
fn a_worker_that_hangs_hides_no_death() {
    let mut scene = checked_scene(67);
    scene.net.sim.held_up = Some(1);
    scene.kill(2);
    scene.net.run_for(15_000);
    let both = vec![DownCause::Neighbour, DownCause::Check];
    assert_eq!(causes(&scene, 2), vec![both; 2]);
}

/// A worker that gets time once in so many ms (throttled, or beside something of higher priority) answers each roll late.
#[test]
fn a_worker_that_is_always_late_hides_no_death() {
    for period in [250, 350, 1000] {
        let mut scene = checked_scene(68);
        scene.kill(2);
        for _ in 0..20_000 / period {
            scene.net.sim.held_up = Some(1);
            scene.net.run_for(period - 1);
            scene.net.sim.held_up = None;
            scene.net.run_for(1);
        }
        let both = vec![DownCause::Neighbour, DownCause::Check];
        assert_eq!(causes(&scene, 2), vec![both; 2], "{period} ms");
        assert_eq!(causes(&scene, 1), vec![vec![]; 2], "{period} ms");
    }
}

/// Whether a server is called dead whose check may fail once, if a worker is held up for longer than that may take, from a
/// moment on, with so many frames before the answer in its queue.
fn dies(from_ms: u64, frames: usize) -> bool {
    let mut scene = Scene::new(3, Scene::setup(2), 66);
    let gateway = &mut scene.net.sim.gateway;
    let mut all = checks(3);
    all.iter_mut()
        .for_each(|check| (check.tries, check.timeout_ms) = (1, 300));
    gateway.control.set_checks(all, &mut gateway.host);
    scene.net.run_for(3000 + from_ms);
    scene.net.sim.gateway.control.take_events();
    scene.net.sim.held_up = Some(0);
    let mut frame = vec![0x02u8; 60];
    (frame[12], frame[13]) = (0x99, 0x99);
    (0..frames).for_each(|_| scene.net.sim.put(RACK, 0, &frame));
    scene.net.run_for(310);
    scene.net.sim.held_up = None;
    scene.net.run_for(1000);
    let dead = |e: &ControlEvent| matches!(e, ControlEvent::Health(n) if !n.causes.is_empty());
    let events = scene.net.sim.gateway.control.take_events();
    events.iter().any(dead)
}

#[test]
fn an_answer_that_lies_in_a_queue_when_the_roll_is_called_is_heard() {
    let alive: Vec<u64> = (995..1010).filter(|&from| !dies(from, 0)).collect();
    assert!(alive.contains(&1000), "{alive:?}");
    let dead: Vec<_> = alive.iter().filter(|&&from| dies(from, 100)).collect();
    assert!(dead.is_empty(), "{dead:?} of {alive:?}");
}

#[test]
fn checks_go_on_for_hours_without_a_false_alarm_or_a_leak() {
    let mut scene = checked_scene(63);
    scene.net.step_ms = 1000;
    scene.net.run_for(3_600_000);
    (0..3).for_each(|s| assert_eq!(causes(&scene, s), vec![vec![]; 2]));
    let HostReply::Checks(states) = scene.net.sim.gateway.host.call(HostCmd::Checks) else {
        panic!("the host lists no checks");
    };
    for (id, state) in states {
        assert_eq!(state.failures, 0, "{id:?}");
        assert!(state.successes > 3000, "{id:?}: {}", state.successes);
    }
    scene.net.assert_drops(&[]);
    scene.finish();
}

/// Pings to the end; how each request ended.
fn ping(scene: &mut Scene, addr: IpAddr, count: u64) -> Vec<PingOutcome> {
    let spec = PingSpec {
        addr,
        port: None,
        source: None,
        count: Some(count),
        interval_ms: 100,
        wait_ms: 1000,
        size: 56,
    };
    let (told, outcomes) = sync_channel(64);
    let host = &mut scene.net.sim.gateway.host;
    let HostReply::PingStarted(_) = host.call(HostCmd::Ping(spec, told)) else {
        panic!("no ping was started");
    };
    scene.net.run_for(count * 100 + 4000);
    let ends = outcomes.try_iter().collect();
    assert_eq!(outcomes.try_recv(), Err(TryRecvError::Disconnected));
    ends
}

/// Every request was answered, in order, after `rtt_us`.
fn assert_answered(ends: &[PingOutcome], count: u64, rtt_us: u64) {
    let answered = |sequence| PingOutcome {
        sequence,
        end: PingEnd::Reply {
            bytes: 64,
            rtt_us,
            ttl: 64,
        },
    };
    assert_eq!(ends, (0..count).map(answered).collect::<Vec<_>>());
}

#[test]
fn the_box_pings_servers_and_clients_and_hears_nothing_from_nobody() {
    let mut scene = Scene::new(2, Scene::setup(2), 64);
    scene.client(7);
    for family in BOTH {
        for addr in [server_addr(1, family), client_addr(7, family)] {
            assert_answered(&ping(&mut scene, addr, 5), 5, 2000);
        }
    }
    let nobody = [ip("192.0.2.99"), ip("fd00:2::99"), ip("198.51.100.1")];
    for addr in nobody {
        let ends = ping(&mut scene, addr, 3);
        let timeouts = ends.iter().filter(|o| o.end == PingEnd::Timeout).count();
        assert_eq!((ends.len(), timeouts), (3, 3), "{addr}: {ends:?}");
    }
    // Six for the two silent neighbours, three without a route.
    let own = scene.net.sim.gateway.control.reader().host_totals();
    assert_eq!(own.origin_lost, 9);
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn a_service_that_is_pinged_through_the_gateway_answers_from_the_flows_server() {
    let mut scene = Scene::new(3, Scene::setup(2), 65);
    for service in [SERVICE, SERVICE6] {
        assert_answered(&ping(&mut scene, ip(service), 5), 5, 2000);
    }
    scene.finish();
}

#[test]
fn a_ping_that_is_stopped_sends_no_more_and_is_told_no_more() {
    let mut scene = Scene::new(1, Scene::setup(1), 66);
    let spec = PingSpec {
        addr: server_addr(0, BOTH[0]),
        port: None,
        source: None,
        count: None,
        interval_ms: 100,
        wait_ms: 1000,
        size: 56,
    };
    let (told, outcomes) = sync_channel(64);
    let host = &mut scene.net.sim.gateway.host;
    let HostReply::PingStarted(id) = host.call(HostCmd::Ping(spec, told)) else {
        panic!("no ping was started");
    };
    scene.net.run_for(1000);
    assert_eq!(outcomes.try_iter().count(), 10);
    scene.net.sim.gateway.host.call(HostCmd::PingStop(id));
    scene.net.run_for(1000);
    assert!(outcomes.try_iter().count() <= 1);
    assert_eq!(outcomes.try_recv(), Err(TryRecvError::Disconnected));
    scene.finish();
}

/// RFC 8200 §4.5: 65,535 bytes behind the 40 of the header.
#[test]
fn the_longest_echo_request_that_comes_in_pieces_is_answered() {
    let mut scene = Scene::new(1, Scene::setup(2), 65);
    for (own, longest) in [("10.0.0.1", 65_507), ("fd10::1", 65_527)] {
        let own = ip(own);
        let client = ip(if own.is_ipv6() { "fd10::5" } else { "10.5.5.5" });
        let data: Vec<u8> = (0..longest).map(|b| (b * 31) as u8).collect();
        let request = echo_request(client, own, 7, 7, &data);
        for piece in pieces(&request, 9, 1400) {
            scene.net.inject(CLIENTS, 0, &piece);
        }
        scene.net.run_for(10);
        let caught = scene.net.take_caught();
        let replies: Vec<&[u8]> = caught.iter().map(|sent| &*sent.bytes).collect();
        assert!(!replies.is_empty(), "{own}");
        let reply = reassemble(&replies);
        assert_eq!(reply[4..], request[request.len() - longest - 4..], "{own}");
    }
    scene.net.assert_drops(&[]);
    scene.finish();
}
