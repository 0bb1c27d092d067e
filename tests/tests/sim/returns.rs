//! A next hop dies and comes back: flows stay where they are, or return, as the route says; slow start.

use flowgate_tests::net::Scene;
use flowgate_tests::net::watch::FlowId;
use route::{Failback, Health, OptionsAsked, Selection};
use stack::fate::MoveReason;

fn returning(slow_start: u32) -> OptionsAsked {
    OptionsAsked {
        failback: Some(Failback::Return),
        slow_start: Some(slow_start),
        ..OptionsAsked::default()
    }
}

fn count(hosts: &[usize], host: usize) -> u64 {
    hosts.iter().filter(|h| **h == host).count() as u64
}

fn scene(servers: usize, seed: u64, options: OptionsAsked) -> (Scene, Vec<FlowId>, Vec<usize>) {
    let mut scene = Scene::new(servers, Scene::setup(2), seed);
    scene.options(options);
    let flows = Scene::udp_flows(0, 100);
    let first = scene.ask_all(&flows);
    assert!((0..servers).all(|server| count(&first, server) > 20));
    (scene, flows, first)
}

/// Where flows are while a server is dead; they are asked once more, so that all have moved.
fn die(scene: &mut Scene, server: usize, flows: &[FlowId]) -> Vec<usize> {
    scene.declare(server, true);
    let during = scene.ask_all(flows);
    assert_eq!(count(&during, server), 0);
    during
}

#[test]
fn flows_that_a_death_sent_away_stay_by_default() {
    let (mut scene, flows, first) = scene(3, 60, OptionsAsked::default());
    let during = die(&mut scene, 1, &flows);
    scene.declare(1, false);
    scene.net.run_for(2000);
    assert_eq!(scene.ask_all(&flows), during);
    scene
        .net
        .assert_moves(&[(MoveReason::Dead, count(&first, 1))]);
    scene.finish();
}

#[test]
fn flows_that_a_death_sent_away_return_if_asked_and_no_other_flow_moves() {
    let (mut scene, flows, first) = scene(3, 61, returning(0));
    die(&mut scene, 1, &flows);
    let born = Scene::udp_flows(1000, 50);
    let born_at = scene.ask_all(&born);
    scene.declare(1, false);
    assert_eq!(scene.ask_all(&flows), first);
    // Who was born meanwhile in its buckets stood in there too.
    let born_now = scene.ask_all(&born);
    let moved = born_at.iter().zip(&born_now).filter(|(b, a)| b != a);
    assert!(moved.clone().count() > 5 && moved.clone().all(|(_, to)| *to == 1));
    let back = count(&first, 1);
    let moved = moved.count() as u64;
    scene.net.assert_moves(&[
        (MoveReason::Dead, back),
        (MoveReason::Failback, back + moved),
    ]);
    assert_eq!(scene.ask_all(&flows), first, "once");
    scene.finish();
}

#[test]
fn a_flow_that_was_silent_meanwhile_never_left() {
    let (mut scene, flows, first) = scene(3, 62, returning(0));
    scene.declare(1, true);
    scene.declare(1, false);
    assert_eq!(scene.ask_all(&flows), first);
    scene.net.assert_moves(&[]);
    scene.finish();
}

#[test]
fn flows_of_older_owners_stay_whatever_returns() {
    let mut scene = Scene::without_routes(4, Scene::setup(2), 63);
    for family in flowgate_tests::net::BOTH {
        scene.route(family, &[0, 1]);
    }
    scene.net.run_for(2000);
    for family in flowgate_tests::net::BOTH {
        scene.route(family, &[2, 3]);
        // With a fifth of the weight, so that buckets have moved away from flows of 0 and 1.
    }
    scene.options(returning(0));
    let old = Scene::udp_flows(0, 100);
    let first = scene.ask_all(&old);
    scene.weight(0, 9, None);
    scene.net.run_for(1000);
    // Buckets of 1, 2 and 3 are 0's now; their flows stay.
    assert_eq!(scene.ask_all(&old), first);
    let during = die(&mut scene, 0, &old);
    scene.weight(2, 5, None);
    let later = scene.ask_all(&old);
    assert_eq!(later, during);
    scene.declare(0, false);
    let after = scene.ask_all(&old);
    for ((first, during), after) in first.iter().zip(&during).zip(&after) {
        if *first == 0 {
            assert!(
                *after == 0 || after == during,
                "back, or its bucket is another's"
            );
        } else {
            assert_eq!(after, first, "never left");
        }
    }
    let back = after.iter().zip(&during).filter(|(a, d)| a != d).count() as u64;
    assert!(back > 0);
    scene.net.assert_moves(&[
        (MoveReason::Dead, count(&first, 0)),
        (MoveReason::Failback, back),
    ]);
    scene.finish();
}

#[test]
fn flows_return_step_by_step_with_a_slow_start() {
    let (mut scene, flows, first) = scene(3, 64, returning(10));
    let during = die(&mut scene, 1, &flows);
    scene.declare(1, false);
    let health = |scene: &Scene| {
        let nhops = scene.net.sim.gateway.control.nhops();
        nhops
            .iter()
            .filter(|n| n.health == Health::Returning)
            .count()
    };
    assert_eq!(health(&scene), 2, "in both families");
    let (mut last, all) = (0, count(&first, 1));
    for _ in 0..10 {
        scene.net.run_for(1000);
        let now = scene.ask_all(&flows);
        let back = count(&now, 1);
        assert!(back >= last && back <= all);
        for ((now, first), during) in now.iter().zip(&first).zip(&during) {
            assert!(now == first || now == during);
        }
        last = back;
    }
    scene.net.run_for(1500);
    assert_eq!(scene.ask_all(&flows), first);
    assert_eq!(health(&scene), 0);
    scene
        .net
        .assert_moves(&[(MoveReason::Dead, all), (MoveReason::Failback, all)]);
    scene.finish();
}

#[test]
fn a_slow_start_moves_no_flow_and_gives_new_ones_bit_by_bit() {
    let slow = OptionsAsked {
        slow_start: Some(20),
        ..OptionsAsked::from(Selection::Tuple)
    };
    let mut scene = Scene::without_routes(4, Scene::setup(2), 65);
    for family in flowgate_tests::net::BOTH {
        scene.route(family, &[0, 1, 2, 3]);
    }
    scene.net.run_for(2000);
    scene.options(slow);
    scene.delete(3);
    // A table that has just started proves no flow new.
    let step = std::mem::replace(&mut scene.net.step_ms, 1000);
    scene.net.run_for(320_000);
    scene.net.step_ms = step;
    let old = Scene::udp_flows(0, 50);
    let first = scene.ask_all(&old);
    scene.add(3);
    let mut shares = Vec::new();
    for turn in 1..=5 {
        scene.net.run_for(4900);
        let new = scene.ask_all(&Scene::udp_flows(1000 * turn, 100));
        shares.push(count(&new, 3));
        assert_eq!(scene.ask_all(&old), first);
    }
    assert!(shares[0] < 35 && shares[0] < shares[2], "{shares:?}");
    assert!((30..75).contains(&shares[4]), "{shares:?} of 200");
    scene.net.assert_moves(&[]);
    scene.finish();
}
