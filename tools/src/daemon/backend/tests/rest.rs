//! How long control's turns are: a second at rest, less while something is under way.

use super::super::turn::REST_TURN;
use super::super::turn::TURN;
use super::*;
use crate::daemon::state::Keeper;
use crate::testing::Directory;
use crate::wire::options::Options;
use crate::wire::template::TemplateFilter;
use crate::wire::timeout::FlowTimeoutDelete;
use crate::wire::timeout::FlowTimeoutSet;
use route::TimeoutClass;

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
        mtu: None,
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

#[test]
fn templates_are_swept_a_piece_a_turn_and_are_no_rest() {
    let mut rig = templates::rig_with_a_template();
    until(&mut rig, |rig| (turn(rig) == TURN).then_some(()));
    let all = TemplateFilter {
        client: Some(prefix("10.99.0.0/28")),
        ..TemplateFilter::default()
    };
    assert_eq!(rig.live.template_flush(all).unwrap().flushed, 1);
    comes_to_rest(&mut rig);
}

#[test]
fn timeouts_on_their_way_out_are_no_rest() {
    let (mut rig, _) = rig_with_a_flow();
    comes_to_rest(&mut rig);
    let class: TimeoutClass = "dns".parse().unwrap();
    let set = FlowTimeoutSet {
        name: "udp-one-way".into(),
        seconds: 10,
        class: Some(class),
    };
    rig.live.timeout_set(set).unwrap();
    comes_to_rest(&mut rig);
    rig.live
        .timeout_delete(FlowTimeoutDelete { class })
        .unwrap();
    assert_eq!(turn(&mut rig), TURN);
}

#[test]
fn groups_that_are_to_be_kept_are_read_soon() {
    let mut rig = rig();
    let options = Options {
        buckets: Some(65_536),
        ..Options::default()
    };
    let route = RouteAdd {
        options,
        ..add(SERVICE, &["192.0.2.11", "192.0.2.12"])
    };
    rig.live.route_add(route).unwrap();
    comes_to_rest(&mut rig);
    let directory = Directory::new();
    let keeper = Keeper::start(directory.join("state")).unwrap();
    rig.live.keep_state(keeper.at_once());
    let mut waits = Duration::ZERO;
    loop {
        match turn(&mut rig) {
            REST_TURN => break,
            wait => waits += wait,
        }
    }
    assert!(waits < Duration::from_secs(1), "{waits:?}");
}

#[test]
fn a_devices_news_that_is_due_is_no_rest() {
    let mut rig = rig();
    comes_to_rest(&mut rig);
    let news = DeviceNews::Partly(PortId(0), None);
    rig.live.device_news_due.push_back(news);
    assert!(!rig.live.rests(rig.live.now()));
}
