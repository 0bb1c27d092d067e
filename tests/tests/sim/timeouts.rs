//! Idle timeouts by route: new flows get those of their route's class, and leave at their own time.

use flowgate_tests::net::{BOTH, Scene};
use flowgate_tests::rack::Family;
use flowtable::State;
use route::{OptionsAsked, TimeoutClass};
use stack::ControlError;
use stack::flows::FlowFilter;

const UDP: [State; 2] = [State::UdpOneWay, State::UdpTwoWay];

fn class(name: &str) -> TimeoutClass {
    name.parse().expect("a name")
}

fn set(scene: &mut Scene, name: &str, seconds: u32) {
    let control = &mut scene.net.sim.gateway.control;
    for state in UDP {
        control
            .set_class_timeout(class(name), state, seconds)
            .expect("room");
    }
}

fn timed(name: &str) -> OptionsAsked {
    OptionsAsked {
        timeouts: Some(class(name)),
        ..OptionsAsked::default()
    }
}

/// IPv4 by a group of two servers, IPv6 by one server alone: flows of the first live 20 s, of the second 60 s.
fn scene() -> Scene {
    let mut scene = Scene::without_routes(2, Scene::setup(2), 73);
    scene.route(Family::V4, &[0, 1]);
    scene.route(Family::V6, &[0]);
    set(&mut scene, "short", 20);
    set(&mut scene, "long", 60);
    scene.options_in(Family::V4, &[0, 1], timed("short"));
    scene.options_in(Family::V6, &[0], timed("long"));
    scene.net.run_for(2000);
    scene
}

/// Live flows by the timeouts that they have, in all.
fn live(scene: &mut Scene, name: &str) -> usize {
    let now = scene.net.sim.now;
    let reader = scene.net.sim.gateway.control.reader();
    let rows = reader.flows(FlowFilter::default(), now);
    let of = |name: Option<TimeoutClass>| name.unwrap_or_default().to_string();
    rows.filter(|row| row.expires_ms > 0 && of(row.timeouts) == name)
        .count()
}

/// Seconds pass.
fn pass(scene: &mut Scene, seconds: u64) {
    let step = std::mem::replace(&mut scene.net.step_ms, 500);
    scene.net.run_for(seconds * 1000);
    scene.net.step_ms = step;
}

#[test]
fn flows_of_two_routes_leave_each_at_its_own_time() {
    let mut scene = scene();
    scene.ask_all(&Scene::udp_flows(0, 30));
    let both = |scene: &mut Scene| (live(scene, "short"), live(scene, "long"));
    assert_eq!((both(&mut scene), scene.flows()), ((30, 30), 60));
    pass(&mut scene, 18);
    assert_eq!(both(&mut scene), (30, 30));
    pass(&mut scene, 3);
    assert_eq!(both(&mut scene), (0, 30));
    // The hand has been round.
    pass(&mut scene, 12);
    assert_eq!(scene.flows(), 30);
    // A change holds for old flows: these have been silent for longer than that.
    set(&mut scene, "long", 25);
    assert_eq!(both(&mut scene), (0, 0));
    pass(&mut scene, 12);
    assert_eq!(scene.flows(), 0);
    scene.net.assert_moves(&[]);
    scene.finish();
}

#[test]
fn a_route_s_change_of_timeouts_is_for_new_flows() {
    let mut scene = scene();
    let old = scene.ask_all(&Scene::udp_flows(0, 30));
    scene.options_in(Family::V4, &[0, 1], timed("default"));
    scene.options_in(Family::V6, &[0], timed("short"));
    scene.ask_all(&Scene::udp_flows(100, 10));
    let counts = ["default", "short", "long"].map(|name| live(&mut scene, name));
    assert_eq!(counts, [10, 40, 30]);
    // No flow moves for it, and none changes its own.
    assert_eq!(scene.ask_all(&Scene::udp_flows(0, 30)), old);
    let counts = ["default", "short", "long"].map(|name| live(&mut scene, name));
    assert_eq!(counts, [10, 40, 30]);
    scene.net.assert_moves(&[]);
    scene.finish();
}

#[test]
fn a_class_follows_the_default_where_it_says_nothing() {
    let mut scene = scene();
    let control = &mut scene.net.sim.gateway.control;
    let of = |control: &stack::Control, name: &str, state| {
        let all = control.timeouts();
        let info = all.into_iter().find(|info| info.name.to_string() == name);
        let found = info.unwrap().timeouts.into_iter().find(|t| t.0 == state);
        found.unwrap().1
    };
    control.set_timeout(State::Established, 999);
    control.set_timeout(State::UdpTwoWay, 888);
    assert_eq!(of(control, "short", State::Established), 999);
    assert_eq!(of(control, "short", State::UdpTwoWay), 20);
    // One that is made later too.
    control.add_timeouts(class("later")).unwrap();
    assert_eq!(of(control, "later", State::UdpTwoWay), 888);
    scene.finish();
}

#[test]
fn a_class_that_is_not_there_and_one_in_use_are_refused() {
    let mut scene = scene();
    let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    let mut spec = Scene::spec(Family::V4, &[(0, 1), (1, 1)], None);
    spec.options = timed("nobody");
    let wrong = gw.control.route_change(&spec, &mut gw.host, now);
    let line = wrong.unwrap_err().to_string();
    assert!(
        line.starts_with("no timeouts are called nobody: there are default, short, long;"),
        "{line}"
    );
    let control = &mut gw.control;
    let used = control.delete_timeouts(class("short")).unwrap_err();
    assert_eq!(
        used.to_string(),
        "timeouts short are those of 1 route: change these first, with -timeouts default, say"
    );
    let default = control.delete_timeouts(class("default"));
    assert!(matches!(default, Err(ControlError::TimeoutsDefault)));
    for n in 2..15 {
        control.add_timeouts(class(&format!("t{n}"))).unwrap();
    }
    let full = control.add_timeouts(class("t15"));
    assert!(matches!(full, Err(ControlError::TimeoutsFull)));
    assert_eq!(control.timeouts().len(), 15);
    control.delete_timeouts(class("t7")).unwrap();
    let again = control.delete_timeouts(class("t7"));
    assert!(matches!(again, Err(ControlError::NoTimeouts { .. })));
    for family in BOTH {
        let servers: &[_] = if family == Family::V4 { &[0, 1] } else { &[0] };
        scene.options_in(family, servers, timed("default"));
    }
    let control = &mut scene.net.sim.gateway.control;
    control.delete_timeouts(class("short")).unwrap();
    scene.finish();
}

/// Classes until there is no number for one more.
fn fill_classes(scene: &mut Scene) -> ControlError {
    let control = &mut scene.net.sim.gateway.control;
    let mut names = (0..).map(|n| class(&format!("fill{n}")));
    let full = names.find_map(|name| control.add_timeouts(name).err());
    full.expect("there are 15 at most")
}

#[test]
fn the_number_of_a_deleted_class_is_given_again_when_no_flow_has_it() {
    let mut scene = scene();
    // 30 flows of each, which the hand must find in the middle of their lives.
    scene.ask_all(&Scene::udp_flows(0, 30));
    scene.options_in(Family::V6, &[0], timed("default"));
    scene
        .net
        .sim
        .gateway
        .control
        .delete_timeouts(class("long"))
        .unwrap();
    let full = fill_classes(&mut scene);
    let line = full.to_string();
    assert!(
        matches!(
            full,
            ControlError::TimeoutsEnding {
                there: 14,
                deleted: 1
            }
        ),
        "{line}"
    );
    assert_eq!(
        (live(&mut scene, "long"), live(&mut scene, "default")),
        (0, 30)
    );
    // The hand goes round in ten seconds, and the round that counts begins after that.
    for _ in 0..4 {
        pass(&mut scene, 10);
        scene.ask_all(&Scene::udp_flows(0, 30));
    }
    set(&mut scene, "new", 5);
    assert!(matches!(
        fill_classes(&mut scene),
        ControlError::TimeoutsFull
    ));
    assert_eq!(
        (live(&mut scene, "new"), live(&mut scene, "default")),
        (0, 30)
    );
    pass(&mut scene, 8);
    assert_eq!(
        live(&mut scene, "default"),
        30,
        "old flows follow the new class"
    );
    scene.net.assert_moves(&[]);
    scene.finish();
}

#[test]
fn the_number_of_a_deleted_class_waits_for_slots_on_their_way_and_for_every_worker() {
    let setup = stack::Setup {
        workers: 2,
        max_workers: 3,
        ..Scene::setup(2)
    };
    let mut scene = Scene::without_routes(2, setup, 79);
    BOTH.into_iter()
        .for_each(|family| scene.route(family, &[0, 1]));
    set(&mut scene, "long", 600);
    scene.options_in(Family::V4, &[0, 1], timed("long"));
    scene.net.run_for(2000);
    scene.ask_all(&Scene::udp_flows(0, 60));
    scene.options_in(Family::V4, &[0, 1], timed("default"));
    let control = &mut scene.net.sim.gateway.control;
    control.delete_timeouts(class("long")).unwrap();
    control.set_workers(3).unwrap();
    fill_classes(&mut scene);
    let seconds = (1..60).find(|_| {
        pass(&mut scene, 1);
        let control = &mut scene.net.sim.gateway.control;
        control.add_timeouts(class("new")).is_ok()
    });
    assert!(seconds.is_some(), "the number is never free again");
    assert_eq!(live(&mut scene, "default"), 120);
    assert_eq!(live(&mut scene, "new"), 0);
    scene.net.assert_moves(&[]);
    scene.finish();
}
