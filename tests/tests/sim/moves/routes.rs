//! What a change of a route moves: its own flows, those of no longer route, and no others.

use super::*;
use flowgate_tests::sim::ip;
use route::{Failback, Selection};
use stack::fate::DropReason;
use std::net::SocketAddr;

#[test]
fn a_member_that_goes_takes_its_own_flows_and_one_that_comes_none() {
    let mut t = theatre(700, &[0, 1, 2, 3]);
    for family in BOTH {
        let host = host(family);
        let with_3 = (0..t.flows.len())
            .filter(|i| {
                t.pins[*i] == Some(3) && t.flows[*i].dst.is_ipv4() == (family == Family::V4)
            })
            .count() as u64;
        let plan = t.delete(&host, Some(3));
        assert_eq!(
            (plan.flows, plan.clients, plan.sampled),
            (with_3, with_3, with_3)
        );
        assert_eq!((plan.staying, plan.already_due), (150 - with_3, 0));
        assert!(
            with_3 > 15 && plan.rows.len() == 3 && why(&plan) == [POLICY],
            "{plan:?}"
        );
        let plan = t.add(evenly(&host, &[3]));
        assert_eq!((plan.flows, plan.staying), (0, 150));
        let plan = t.change(via(&host, &[(0, 9)]));
        assert_eq!((plan.flows, plan.staying), (0, 150));
        let drain = RouteSpec {
            deadline_s: Some(600),
            ..via(&host, &[(1, 0)])
        };
        assert_eq!(t.change(drain).flows, 0, "a drain moves nobody");
        assert_eq!(t.change(via(&host, &[(1, 0)])).flows, 0);
        let plan = t.change(evenly(&host, &[2, 4]));
        assert!(plan.flows > 30 && plan.staying > 15 && why(&plan) == [POLICY]);
    }
    t.scene.net.assert_drops(&[]);
    t.scene.finish();
}

#[test]
fn routes_above_and_below_take_and_give_back_what_no_longer_one_has() {
    let to = |i: u32| FlowId {
        proto: 17,
        src: SocketAddr::new(ip(&format!("10.3.{}.{}", i / 100, i % 100 + 1)), 3000),
        dst: SocketAddr::new(ip(&format!("198.51.100.{}", i % 200)), 53),
    };
    let routes = [
        evenly("198.51.100.0/24", &[0, 1]),
        // Shares its group.
        evenly("198.51.100.64/26", &[0, 1]),
        evenly("198.51.100.7/32", &[2]),
    ];
    let mut t = Theatre::new(701, (0..200).map(to).collect(), &routes);
    let plan = t.change(evenly("198.51.100.0/24", &[1, 3]));
    let concerned = (200 - 64 - 1) as u64;
    assert_eq!(plan.flows + plan.staying, concerned, "{plan:?}");
    assert!(plan.flows > 30 && plan.staying > 30);
    let plan = t.add(evenly("198.51.100.0/28", &[4]));
    assert_eq!(
        (plan.flows, plan.staying),
        (15, 0),
        "without the host route's"
    );
    assert_eq!(
        t.add(spec("198.51.100.128/25", PathKind::Blackhole)).flows,
        72
    );
    let plan = t.delete("198.51.100.128/25", None);
    // What a blackhole swallows keeps its pin, and goes on by it.
    assert_eq!((plan.flows, plan.already_due), (0, 72));
    let plan = t.delete("198.51.100.0/28", None);
    assert_eq!(plan.flows + plan.staying, 15);
    assert_eq!(t.delete("198.51.100.7/32", None).flows, 1);
    let plan = t.change(spec("198.51.100.64/26", PathKind::Reject));
    assert_eq!(
        (plan.flows, why(&plan)),
        (64, vec![MoveWhy::Lost(DropReason::Reject)])
    );
    t.play(&delete("198.51.100.0/24", Some(1)), "one of two")
        .expect("a delete");
    let plan = t.delete("198.51.100.0/24", None);
    assert_eq!(
        (plan.flows, why(&plan)),
        (136, vec![MoveWhy::Lost(DropReason::NoRoute)])
    );
    let plan = t.add(evenly("198.51.0.0/16", &[2]));
    assert_eq!(
        (plan.flows, why(&plan)),
        (136, vec![POLICY]),
        "found a way again: {plan:?}"
    );
    t.scene.finish();
}

#[test]
fn packets_of_a_changed_route_are_judged_by_what_it_tells_flows_apart() {
    for (seed, way) in (710..).zip(Selection::ALL) {
        let mut t = theatre(seed, &[0, 1, 2]);
        for family in BOTH {
            let selecting = RouteSpec {
                options: way.into(),
                ..evenly(&host(family), &[0, 1, 2])
            };
            assert_eq!(t.change(selecting).flows, 0, "{way:?}");
            assert!(t.delete(&host(family), Some(2)).flows > 20, "{way:?}");
        }
        t.scene.finish();
    }
}

/// A change of one of a few routes that lie in each other.
fn any_order(rng: &mut fastrand::Rng) -> RouteOrder {
    let prefixes = [
        "203.0.113.10/32",
        "203.0.113.0/24",
        "203.0.0.0/16",
        "0.0.0.0/0",
        "2001:db8:113::10/128",
        "2001:db8::/32",
        "::/0",
    ];
    let prefix = prefixes[rng.usize(..prefixes.len())];
    let mut servers: Vec<usize> = (0..SERVERS).collect();
    rng.shuffle(&mut servers);
    servers.truncate(rng.usize(1..4));
    let members: Vec<(usize, u32)> = servers.iter().map(|s| (*s, rng.u32(1..4))).collect();
    let failback = rng
        .bool()
        .then(|| [Failback::Stay, Failback::Return][rng.usize(..2)]);
    let options = OptionsAsked {
        failback,
        ..OptionsAsked::default()
    };
    let changed = RouteSpec {
        options,
        ..via(prefix, &members)
    };
    match rng.u8(0..12) {
        0..=3 => RouteOrder::Add(via(prefix, &members)),
        4 | 5 => RouteOrder::Change(changed),
        6 => RouteOrder::Change(via(prefix, &[(servers[0], rng.u32(0..3))])),
        7 => RouteOrder::Change(spec(prefix, PathKind::Blackhole)),
        8 => RouteOrder::Add(spec(prefix, PathKind::Reject)),
        9 => delete(prefix, None),
        _ => delete(prefix, Some(servers[0])),
    }
}

#[test]
fn whatever_is_changed_the_plan_is_what_happens() {
    let mut moved = 0;
    for seed in 720..728 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let routes = [
            evenly("0.0.0.0/0", &[0, 1]),
            evenly("::/0", &[0, 1]),
            evenly("203.0.113.0/24", &[0, 1, 2]),
            evenly("2001:db8::/32", &[2, 3, 4]),
        ];
        let mut t = Theatre::new(seed, Scene::udp_flows(0, 60), &routes);
        for step in 0..60 {
            if rng.u8(..4) == 0 {
                // Everyone who is sent away by it is gone when the next change is foreseen.
                let server = rng.usize(..SERVERS);
                for family in BOTH {
                    let (now, addr) = (t.scene.net.sim.now, server_addr(server, family));
                    let control = &mut t.scene.net.sim.gateway.control;
                    let _ = control.set_gateway_down(addr, rng.bool(), now);
                }
                t.scene.net.settle();
                t.send_all();
            }
            let order = any_order(&mut rng);
            let played = t.play(&order, &format!("seed {seed} step {step}"));
            moved += played.map_or(0, |plan| plan.flows);
        }
        t.scene.finish();
    }
    assert!(moved > 1000, "{moved} moves were foreseen");
}
