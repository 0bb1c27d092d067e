//! Ports whose devices go down, come back, or are no more; the operator's word is another matter.

use flowgate_tests::net::{BOTH, Scene};
use flowgate_tests::rack::RACK;
use route::{Health, PortId};
use stack::Setup;
use stack::control::{ControlEvent, DownCause};
use stack::ports::DeviceState::{self, Deleted, Down, Moved, Up};

const RACK_PORT: PortId = PortId(RACK as u16);

fn device(scene: &mut Scene, port: PortId, state: DeviceState) {
    scene.net.sim.gateway.host.device(port, state);
    scene.net.settle();
}

/// What was told of ports and devices since the last call, as a monitor and the log have it.
fn told(scene: &mut Scene) -> Vec<String> {
    let events = scene.net.sim.gateway.control.take_events();
    let line = |event: ControlEvent| match event {
        ControlEvent::Port { name, up } => Some(format!("{name} {up}")),
        ControlEvent::Device { name, state } => Some(format!("{name} {state:?}")),
        _ => None,
    };
    events.into_iter().filter_map(line).collect()
}

/// Next hops on the port that are dead because of it, and how many there are.
fn dead(scene: &Scene, port: PortId) -> (usize, usize) {
    let control = &scene.net.sim.gateway.control;
    let nhops = control.nhops();
    // An own address is reached without any port.
    let there = nhops.iter().filter(|n| {
        n.key.port == port
            && matches!(
                n.key.kind,
                route::NhopKind::Gateway | route::NhopKind::Iface
            )
    });
    let by_port = there.clone().filter(|n| {
        n.health == Health::Dead && control.down_causes(n.idx).contains(&DownCause::Port)
    });
    (by_port.count(), there.count())
}

fn is_up(scene: &Scene) -> bool {
    scene.net.sim.gateway.control.ports().0[RACK].up
}

fn set_port(scene: &mut Scene, up: bool) {
    let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    gw.control
        .set_port("rack", up, &mut gw.host, now)
        .expect("there is such a port");
    scene.net.settle();
}

#[test]
fn a_device_that_goes_down_takes_its_next_hops_along_and_brings_them_back() {
    let mut scene = Scene::new(3, Scene::setup(2), 41);
    told(&mut scene);
    assert_eq!(dead(&scene, RACK_PORT).0, 0);
    device(&mut scene, RACK_PORT, Down);
    assert_eq!(told(&mut scene), ["rack Down", "rack false"]);
    let (down, all) = dead(&scene, RACK_PORT);
    // Three gateways and the connected network, twice; the connected ones have one next hop.
    assert!(down == all && all >= 7, "{down} of {all}");
    assert_eq!(dead(&scene, PortId(0)).0, 0, "the clients' port is another");
    let before = scene.net.totals().forwarded;
    for family in BOTH {
        scene.send_udp(&Scene::udp_flow(family, 1));
    }
    scene.net.run_until_idle(1000);
    assert_eq!(scene.net.totals().forwarded, before);
    device(&mut scene, RACK_PORT, Down);
    assert!(told(&mut scene).is_empty(), "nothing new");

    device(&mut scene, RACK_PORT, Up);
    assert_eq!(told(&mut scene), ["rack Up", "rack true"]);
    scene.net.run_for(3000);
    assert_eq!(dead(&scene, RACK_PORT).0, 0);
    scene.ask_all(&Scene::udp_flows(0, 20));
    scene.finish();
}

#[test]
fn a_deleted_device_keeps_its_port_down_and_a_moved_one_does_not() {
    let mut scene = Scene::new(1, Scene::setup(1), 42);
    told(&mut scene);
    device(&mut scene, RACK_PORT, Down);
    device(&mut scene, RACK_PORT, Deleted);
    assert_eq!(
        told(&mut scene),
        ["rack Down", "rack false", "rack Deleted"]
    );
    set_port(&mut scene, true);
    assert!(!is_up(&scene), "the operator's word makes no device");
    assert!(told(&mut scene).is_empty());

    device(&mut scene, PortId(0), Down);
    device(&mut scene, PortId(0), Moved);
    assert_eq!(
        told(&mut scene),
        [
            "clients Down",
            "clients false",
            "clients Moved",
            "clients true"
        ]
    );
    scene.finish();
}

#[test]
fn the_operators_word_and_the_devices_state_are_kept_apart() {
    let mut scene = Scene::new(2, Scene::setup(1), 43);
    told(&mut scene);
    set_port(&mut scene, false);
    device(&mut scene, RACK_PORT, Down);
    device(&mut scene, RACK_PORT, Up);
    assert!(!is_up(&scene), "the operator took it down");
    assert_eq!(told(&mut scene), ["rack false", "rack Down", "rack Up"]);
    device(&mut scene, RACK_PORT, Down);
    set_port(&mut scene, true);
    assert!(!is_up(&scene), "its device is down");
    device(&mut scene, RACK_PORT, Up);
    assert!(is_up(&scene));
    scene.finish();
}

#[test]
fn a_port_that_is_configured_down_has_no_live_next_hop_from_the_start() {
    let mut ports = flowgate_tests::sim::client_and_rack(flowgate_tests::rack::GATEWAY_MAC);
    ports.0[RACK].up = false;
    let sim = flowgate_tests::sim::SimGateway::new(Setup {
        ports,
        ..Scene::setup(1)
    });
    let control = &sim.gateway.control;
    let connected =
        |n: &&route::NhopInfo| n.key.port == RACK_PORT && n.key.kind == route::NhopKind::Iface;
    let nhops = control.nhops();
    assert!(nhops.iter().any(|n| connected(&n)));
    assert!(
        nhops
            .iter()
            .filter(connected)
            .all(|n| n.health == Health::Dead)
    );
}
