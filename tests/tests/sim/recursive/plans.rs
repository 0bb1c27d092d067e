//! What is foreseen of a change that concerns a way, or a route by far gateways.

use super::*;
use route::NhopKey;
use stack::control::{Forecast, RouteOrder};
use stack::fate::MoveReason;

/// A change, tried out.
fn foresee(scene: &mut Scene, order: &RouteOrder) -> Forecast {
    let (now, control) = (scene.net.sim.now, &mut scene.net.sim.gateway.control);
    let mut foresight = control.foresee(order, now).expect("a plan");
    while let Some(group) = foresight.wants() {
        let copy = control.group_sketch(group);
        copy.into_iter().for_each(|copy| foresight.include(copy));
    }
    foresight.try_out().expect("a plan")
}

#[test]
fn a_change_that_takes_the_way_from_a_next_hop_says_so_and_its_plan_too() {
    let mut scene = far_scene(2, 219);
    let delete_of = |prefix: &str| RouteOrder::Delete {
        prefix: prefix.parse().expect("a prefix"),
        gateway: None,
        iface: None,
    };
    let warning = |scene: &mut Scene, order: &RouteOrder| {
        let forecast = foresee(scene, order);
        forecast.change().warning().map(str::to_owned)
    };
    let line = "no route leads to gateway 172.16.0.1 after this: all its flows move, those of other routes too";
    let way = far_net(0, V4);
    assert_eq!(warning(&mut scene, &delete_of(&way)).as_deref(), Some(line));
    let hole = |prefix: &str| RouteOrder::Add(spec(prefix, PathKind::Blackhole));
    assert_eq!(
        warning(&mut scene, &hole("172.16.0.0/25")).as_deref(),
        Some(line)
    );
    assert_eq!(warning(&mut scene, &hole("172.16.0.128/25")), None);
    assert_eq!(
        warning(&mut scene, &hole("172.16.0.0/16")),
        None,
        "a longer route leads there"
    );
    let other = RouteOrder::Change(spec(&way, by(&["192.0.2.12"])));
    assert_eq!(warning(&mut scene, &other), None);
    // Another route would lead there.
    add(&mut scene, "172.16.0.0/16", by(&["192.0.2.12"]));
    assert_eq!(warning(&mut scene, &delete_of(&way)), None);
    assert_eq!(delete(&mut scene, &way), None);
    assert_eq!(delete(&mut scene, "172.16.0.0/16").as_deref(), Some(line));
    assert_eq!(causes(&scene, &far(0, V4)), [DownCause::Unresolved]);
    scene.finish();
}

#[test]
fn a_plan_knows_a_recursive_next_hop_as_the_change_does() {
    let mut scene = far_scene(2, 218);
    add(&mut scene, &far_net(7, V4), by(&["192.0.2.11"]));
    let flows = Scene::udp_flows(0, 40);
    ask(&mut scene, &flows);
    let order = |n| RouteOrder::Change(spec(SERVICE, recursive(&[&far(n, V4)])));
    let plan = |scene: &mut Scene, order: &RouteOrder| {
        let now = scene.net.sim.now;
        let mut forecast = foresee(scene, order);
        forecast.look(now);
        forecast.plan()
    };
    let planned = plan(&mut scene, &order(7));
    let key = NhopKey::recursive(route::FibId(0), ip(&far(7, V4)));
    assert!(planned.rows.iter().all(|row| row.to == Some(key)));
    let due: u64 = planned.rows.iter().map(|row| row.flows).sum();
    assert_eq!(due, 40);
    // One to which nothing leads would lose them.
    let lost = plan(&mut scene, &order(8));
    assert!(lost.rows.iter().all(|row| row.to.is_none()));
    change(&mut scene, SERVICE, recursive(&[&far(7, V4)]));
    ask(&mut scene, &flows);
    scene.net.assert_moves(&[(MoveReason::Policy, 40)]);
    scene.net.assert_drops(&[]);
    scene.finish();
}
