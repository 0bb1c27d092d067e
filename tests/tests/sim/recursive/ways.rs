//! Flows, while the ways of their next hops change, end and come back.

use super::*;
use route::{Admin, Health};
use stack::control::ControlEvent;
use stack::fate::MoveReason;
use std::collections::BTreeSet;

#[test]
fn connections_go_on_while_the_way_to_their_next_hop_changes_and_moves_to_another_port() {
    let mut scene = far_scene(2, 210);
    let client = scene.client(1);
    scene.talk(client, 1, 24, 50);
    scene.net.run_for(3000);
    let (first, before) = (pins(&mut scene), rounds(&scene, client));
    assert_eq!(first.len(), 24);
    assert_eq!(
        way(&scene, &far(0, V4)),
        Some((PortId(1), ip("192.0.2.11")))
    );
    // Longer routes, and shorter ones, to the same server: nobody notices.
    for family in BOTH {
        add(&mut scene, &far(0, family), by(&[&near(0, RACK, family)]));
        delete(&mut scene, &far_net(0, family));
    }
    scene.net.run_for(1000);
    // Its cable goes into another port, where it has another address.
    scene.net.nodes[0].spec.port = SPARE;
    for family in BOTH {
        change(&mut scene, &far(0, family), by(&[&near(0, SPARE, family)]));
    }
    let told = scene.net.sim.gateway.control.take_events();
    let ways = told.iter().filter_map(|event| match event {
        ControlEvent::Health(of) => of.through,
        _ => None,
    });
    let ways: Vec<IpAddr> = ways.collect();
    assert!(
        ways.ends_with(&[ip("198.51.100.11"), ip("fd00:3::11")]),
        "{ways:?}"
    );
    scene.net.take_tap();
    scene.net.run_for(5000);
    let there = scene.net.take_tap();
    let mac = server_mac(0).0;
    let to_it = there.iter().filter(|sent| sent.bytes[..6] == mac);
    assert!(to_it.clone().count() > 100 && to_it.clone().all(|sent| sent.port == SPARE));
    assert!(rounds(&scene, client) > before + 24 * 20);
    assert_eq!(pins(&mut scene), first, "slot and generation as before");
    assert_eq!(
        way(&scene, &far(0, V4)),
        Some((PortId(2), ip("198.51.100.11")))
    );
    let held = [
        (1, ip("192.0.2.12")),
        (1, ip("fd00:2::12")),
        (2, ip("198.51.100.11")),
        (2, ip("fd00:3::11")),
    ];
    assert_eq!(reserved(&mut scene), held, "the old neighbours are let go");
    scene.net.assert_moves(&[]);
    scene.net.assert_drops(&[]);
    scene.net.assert_only_left(&[]);
    scene.finish();
}

#[test]
fn without_a_way_a_next_hop_is_dead_its_flows_move_and_silent_ones_find_it_again() {
    let mut scene = old_scene(3, 211);
    let flows = Scene::udp_flows(0, 60);
    let first = ask(&mut scene, &flows);
    let of = |hosts: &[usize], n| hosts.iter().filter(|h| **h == n).count();
    assert!((0..3).all(|n| of(&first, n) >= 20));
    for family in BOTH {
        delete(&mut scene, &far_net(1, family));
        let gateway = far(1, family);
        assert_eq!(nhop(&scene, &gateway).health, Health::Dead);
        assert_eq!(causes(&scene, &gateway), [DownCause::Unresolved]);
        assert_eq!(way(&scene, &gateway), None);
    }
    // Every other flow has something to say meanwhile.
    let (loud, silent): (Vec<_>, Vec<_>) = flows
        .iter()
        .zip(&first)
        .enumerate()
        .partition(|(i, _)| i % 2 == 0);
    let (loud, was): (Vec<FlowId>, Vec<usize>) =
        loud.into_iter().map(|(_, (f, h))| (*f, *h)).unzip();
    let now = ask(&mut scene, &loud);
    assert!(
        was.iter()
            .zip(&now)
            .all(|(was, now)| *now != 1 && (*was == 1 || was == now))
    );
    let moved = of(&was, 1) as u64;
    scene.net.assert_moves(&[(MoveReason::Dead, moved)]);
    scene.net.assert_only_left(&[1]);
    assert!(
        !reserved(&mut scene)
            .iter()
            .any(|(_, addr)| *addr == ip("192.0.2.12"))
    );

    for family in BOTH {
        add(
            &mut scene,
            &far_net(1, family),
            by(&[&near(1, RACK, family)]),
        );
        assert_eq!(nhop(&scene, &far(1, family)).health, Health::Up);
        assert_eq!(causes(&scene, &far(1, family)), []);
    }
    scene.net.run_for(2000);
    assert_eq!(ask(&mut scene, &loud), now, "who moved stays");
    let (silent, was): (Vec<FlowId>, Vec<usize>) =
        silent.into_iter().map(|(_, (f, h))| (*f, *h)).unzip();
    assert_eq!(ask(&mut scene, &silent), was, "who was silent has its pin");
    let new = ask(&mut scene, &Scene::udp_flows(1000, 60));
    assert!(of(&new, 1) >= 20, "and new ones choose it again");
    scene.net.assert_moves(&[(MoveReason::Dead, moved)]);
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn one_of_several_ways_that_dies_is_left_for_another_and_no_pin_moves() {
    let mut scene = scene(3, 212);
    for family in BOTH {
        let (a, b) = (near(0, RACK, family), near(1, RACK, family));
        add(&mut scene, &far_net(1, family), by(&[&a, &b]));
        add(
            &mut scene,
            service_of(family),
            recursive(&[&far(1, family)]),
        );
    }
    scene.net.run_for(2000);
    let flows = Scene::udp_flows(0, 20);
    let first = ask(&mut scene, &flows);
    let by_family = [first[0], first[20]];
    assert!(
        first[..20].iter().all(|h| *h == first[0]),
        "one way for all of it"
    );
    let before = pins(&mut scene);
    let generation = |scene: &Scene| BOTH.map(|family| nhop(scene, &far(1, family)).generation);
    let generations = generation(&scene);
    for server in by_family {
        scene.kill(server);
    }
    if by_family[0] != by_family[1] {
        // One family's way is the other's spare.
        scene.revive(by_family[1]);
    }
    scene.net.run_for(10_000);
    let other = |server: usize| 1 - server;
    assert_eq!(ask(&mut scene, &flows[..20]), vec![other(by_family[0]); 20]);
    assert_eq!(pins(&mut scene), before);
    assert_eq!(generation(&scene), generations);
    assert_eq!(nhop(&scene, &far(1, V4)).health, Health::Up);
    // All of them gone: no way, until one is back.
    scene.kill(0);
    scene.kill(1);
    scene.net.run_for(10_000);
    assert_eq!(causes(&scene, &far(1, V4)), [DownCause::Unresolved]);
    scene.revive(by_family[0]);
    scene.net.run_for(10_000);
    assert_eq!(causes(&scene, &far(1, V4)), []);
    assert_eq!(ask(&mut scene, &flows[..20]), first[..20]);
    assert_eq!(pins(&mut scene), before);
    scene.net.assert_moves(&[]);
    // Seen from outside packets took other ways; no pin did.
    scene.net.watch.moves.clear();
    scene.finish();
}

#[test]
fn a_port_that_goes_down_closes_the_ways_by_it() {
    let mut scene = old_scene(2, 213);
    for family in BOTH {
        change(
            &mut scene,
            &far_net(1, family),
            by(&[&near(1, SPARE, family)]),
        );
    }
    scene.net.nodes[1].spec.port = SPARE;
    scene.net.run_for(2000);
    let set_port = |scene: &mut Scene, up| {
        let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
        gw.control
            .set_port("spare", up, &mut gw.host, now)
            .expect("a port");
    };
    set_port(&mut scene, false);
    assert_eq!(causes(&scene, &far(1, V4)), [DownCause::Unresolved]);
    assert_eq!(causes(&scene, &far(0, V4)), []);
    set_port(&mut scene, true);
    assert_eq!(causes(&scene, &far(1, V6)), []);
    scene.net.run_for(2000);
    assert!(ask(&mut scene, &Scene::udp_flows(0, 30)).contains(&1));
    scene.finish();
}

#[test]
fn what_an_operator_says_of_it_holds_whatever_routes_say() {
    let mut scene = far_scene(2, 214);
    let tell = |scene: &mut Scene, down| {
        let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
        gw.control
            .set_gateway_down(ip(&far(0, V4)), down, now)
            .expect("a next hop");
        scene.net.settle();
    };
    tell(&mut scene, true);
    delete(&mut scene, &far_net(0, V4));
    assert_eq!(
        causes(&scene, &far(0, V4)),
        [DownCause::Operator, DownCause::Unresolved]
    );
    add(&mut scene, &far_net(0, V4), by(&["192.0.2.11"]));
    assert_eq!(causes(&scene, &far(0, V4)), [DownCause::Operator]);
    assert_eq!(nhop(&scene, &far(0, V4)).health, Health::Dead);
    tell(&mut scene, false);
    assert_eq!(nhop(&scene, &far(0, V4)).health, Health::Up);
    let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    gw.control
        .drain_gateway(ip(&far(0, V4)), None, now)
        .expect("a next hop");
    assert_eq!(nhop(&scene, &far(0, V4)).admin, Admin::Draining);
    scene.finish();
}

#[test]
fn random_changes_of_ways_break_no_flow_that_has_one() {
    for seed in 0..6 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut scene = far_scene(3, 300 + seed);
        let mut leads = [[Some(0), Some(1), Some(2)]; 2];
        let flows = Scene::udp_flows(0, 30);
        ask(&mut scene, &flows);
        let mut dead = 0;
        for _ in 0..25 {
            let (f, n) = (rng.usize(..2), rng.usize(..3));
            let (family, alive) = (BOTH[f], leads[f].iter().flatten().count());
            let to = rng.usize(..3);
            let at = &mut leads[f][n];
            let net = far_net(n, family);
            match *at {
                Some(_) if alive > 1 && rng.u8(..3) == 0 => {
                    delete(&mut scene, &net);
                    *at = None;
                }
                Some(_) => {
                    change(&mut scene, &net, by(&[&near(to, RACK, family)]));
                    *at = Some(to);
                }
                None => {
                    add(&mut scene, &net, by(&[&near(to, RACK, family)]));
                    *at = Some(to);
                }
            }
            let before = pins(&mut scene);
            let hosts = ask(&mut scene, &flows);
            let after = pins(&mut scene);
            let idx = |f: usize, n: usize| nhop(&scene, &far(n, BOTH[f])).idx;
            let place: BTreeMap<_, _> = (0..2)
                .flat_map(|f| (0..3).map(move |n| (f, n)))
                .map(|(f, n)| (idx(f, n), (f, n)))
                .collect();
            for (flow, was) in &before {
                let (f, n) = place[&was.idx()];
                let stays = leads[f][n].is_some();
                assert_eq!(after[flow] == *was, stays, "seed {seed}: {flow}");
                dead += u64::from(!stays);
            }
            // Each is answered by whom its next hop's way leads to.
            for (flow, host) in flows.iter().zip(&hosts) {
                let pin = after
                    .iter()
                    .find(|(name, _)| name.contains(&format!("{}", flow.src)));
                let (f, n) = place[&pin.expect("a pin").1.idx()];
                assert_eq!(leads[f][n], Some(*host), "seed {seed}: {flow:?}");
            }
            scene.net.assert_moves(&[(MoveReason::Dead, dead)]);
            let held: BTreeSet<(u16, IpAddr)> = (0..2)
                .flat_map(|f| leads[f].iter().flatten().map(move |n| (f, *n)))
                .map(|(f, n)| (1, ip(&near(n, RACK, BOTH[f]))))
                .collect();
            assert_eq!(reserved(&mut scene), held.into_iter().collect::<Vec<_>>());
        }
        scene.net.assert_drops(&[]);
        scene.net.watch.moves.clear();
        scene.finish();
    }
}
