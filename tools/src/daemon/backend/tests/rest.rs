//! How long control's turns are: a second at rest, less while something is under way.

use super::*;
use crate::wire::options::Options;

/// The next turn, once what was begun has been done.
fn turn(rig: &mut Rig) -> Duration {
    rig.live.poll(&mut Vec::new())
}

fn comes_to_rest(rig: &mut Rig) {
    until(rig, |rig| (turn(rig) == REST_TURN).then_some(()));
}

fn drain(rig: &mut Rig, seconds: u32) {
    let ask = NexthopSet {
        gateway: "192.0.2.11".parse().unwrap(),
        order: NexthopOrder::Drain,
        deadline: Some(seconds),
        plan: false,
    };
    rig.live.nexthop_set(ask).unwrap();
}

#[test]
fn a_gateway_with_routes_and_flows_is_at_rest() {
    let (mut rig, _) = rig_with_a_flow();
    comes_to_rest(&mut rig);
}

#[test]
fn a_drain_is_no_rest_when_its_deadline_is_near() {
    let mut rig = rig();
    let route = add(SERVICE, &["192.0.2.11", "192.0.2.12"]);
    rig.live.route_add(route).unwrap();
    drain(&mut rig, 600);
    comes_to_rest(&mut rig);
    drain(&mut rig, 2);
    assert!(turn(&mut rig) < REST_TURN);
    comes_to_rest(&mut rig);
}

#[test]
fn a_paths_own_drain_is_no_rest_when_its_deadline_is_near() {
    let mut rig = rig();
    let route = add(SERVICE, &["192.0.2.11", "192.0.2.12"]);
    rig.live.route_add(route).unwrap();
    let change = RouteChange {
        fib: 0,
        options: Default::default(),
        destination: prefix(SERVICE),
        paths: vec![via("192.0.2.11", Some(0))],
        deadline: Some(2),
    };
    rig.live.route_change(change).unwrap();
    assert!(turn(&mut rig) < REST_TURN);
    comes_to_rest(&mut rig);
}

#[test]
fn a_slow_start_is_no_rest_until_its_end() {
    let mut rig = rig();
    let options = Options {
        slow_start: Some(1),
        ..Options::default()
    };
    let route = RouteAdd {
        options,
        ..add(SERVICE, &["192.0.2.11", "192.0.2.12"])
    };
    rig.live.route_add(route).unwrap();
    comes_to_rest(&mut rig);
    rig.live.route_add(add(SERVICE, &["192.0.2.13"])).unwrap();
    assert!(turn(&mut rig) < REST_TURN);
    comes_to_rest(&mut rig);
}
