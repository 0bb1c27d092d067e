//! What a change of a group that has a number moves, of all the routes that name it.

use super::*;
use route::Failback;

#[test]
fn what_a_change_of_a_group_moves_is_foreseen_for_all_its_routes_and_for_no_others() {
    let mut t = with_groups(740);
    let number = GroupNo(7);
    let with_1 = t.pins.iter().filter(|pin| **pin == Some(1)).count() as u64;
    let member = route::NhopKeyMatch {
        gateway: Some(server_addr(1, Family::V6)),
        port: None,
    };
    let order = GroupOrder::Delete(number, Some(member));
    let plan = t.play(&order, "delete").expect("a member goes");
    assert!(with_1 > 10, "{with_1}");
    assert_eq!((plan.flows, plan.staying), (with_1, 120 - with_1));
    assert_eq!(why(&plan), [POLICY]);
    let order = GroupOrder::Change(number, of_group(number, &[(0, 5)]));
    let plan = t.play(&order, "a weight").expect("a weight");
    assert_eq!((plan.flows, plan.staying), (0, 120));
    let order = GroupOrder::Add(number, of_group(number, &[(4, 1)]));
    assert_eq!(t.play(&order, "add").expect("a member comes").flows, 0);
    // Group 8 has routes, but no flow goes by them.
    let order = GroupOrder::Change(GroupNo(8), of_group(GroupNo(8), &[(0, 1)]));
    let plan = t.play(&order, "another").expect("a change");
    assert_eq!((plan.flows, plan.staying), (0, 0));
    let refused = t.play(&GroupOrder::Delete(number, None), "in use");
    let refused = refused.expect_err("routes name it");
    assert!(refused.contains('2'), "{refused}");
    let made = GroupOrder::Add(GroupNo(9), of_group(GroupNo(9), &[(0, 1), (1, 1)]));
    assert_eq!(t.play(&made, "a new one").expect("a group").flows, 0);
    t.scene.finish();
}

/// A change of a group, or of a route that names one.
fn any_group_order(t: &mut Theatre, rng: &mut fastrand::Rng, at: &str) -> Result<MovePlan, String> {
    let number = GroupNo(rng.u32(7..10));
    let mut servers: Vec<usize> = (0..SERVERS).collect();
    rng.shuffle(&mut servers);
    servers.truncate(rng.usize(1..4));
    let members: Vec<(usize, u32)> = servers.iter().map(|s| (*s, rng.u32(1..4))).collect();
    let weight = (servers[0], rng.u32(0..3));
    let prefix = [
        "203.0.113.0/24",
        "0.0.0.0/0",
        "2001:db8::/32",
        "2001:db8:113::/48",
    ];
    let prefix = prefix[rng.usize(..4)];
    let which = route::NhopKeyMatch {
        gateway: Some(server_addr(servers[0], Family::V6)),
        port: None,
    };
    let failback = [Failback::Stay, Failback::Return][rng.usize(..2)];
    let mut calling = of_group(number, &[]);
    calling.options.failback = Some(failback);
    let order = match rng.u8(0..12) {
        0 | 1 => GroupOrder::Add(number, of_group(number, &members[..1])),
        2..=4 => GroupOrder::Change(number, of_group(number, &members)),
        5 | 6 => GroupOrder::Change(number, of_group(number, &[weight])),
        7 => GroupOrder::Change(number, calling),
        8 => GroupOrder::Delete(number, Some(which)),
        9 => GroupOrder::Delete(number, None),
        10 => return t.play(&RouteOrder::Change(naming(prefix, number)), at),
        _ => return t.play(&RouteOrder::Change(evenly(prefix, &servers)), at),
    };
    t.play(&order, at)
}

#[test]
fn whatever_is_changed_of_groups_the_plan_is_what_happens() {
    let (mut moved, mut made) = (0, 0);
    for seed in 741..747 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut t = with_groups(seed);
        for step in 0..60 {
            if rng.u8(..4) == 0 {
                let server = rng.usize(..SERVERS);
                for family in BOTH {
                    let (now, addr) = (t.scene.net.sim.now, server_addr(server, family));
                    let control = &mut t.scene.net.sim.gateway.control;
                    let _ = control.set_gateway_down(addr, rng.bool(), now);
                }
                t.scene.net.settle();
                t.send_all();
            }
            let played = any_group_order(&mut t, &mut rng, &format!("seed {seed} step {step}"));
            made += u32::from(played.is_ok());
            moved += played.map_or(0, |plan| plan.flows);
        }
        t.scene.finish();
    }
    assert!(moved > 500 && made > 100, "{moved} moves, {made} changes");
}
