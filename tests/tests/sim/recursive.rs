//! Next hops that other routes lead to: their flows stay with them while the way there changes, and move only when there
//! is none.

use flowgate_tests::net::watch::FlowId;
use flowgate_tests::net::{BOTH, NodeSpec, SERVICE, SERVICE6, Scene, to_clients};
use flowgate_tests::rack::{Family, GATEWAY_MAC, RACK, server_mac};
use flowgate_tests::sim::{ip, port};
use route::{Admin, Health, NhopInfo, NhopKey, Pin, PortId, Prefix};
use stack::Setup;
use stack::control::{
    ControlError, ControlEvent, DownCause, Forecast, GatewaySpec, PathKind, RouteBatch, RouteOrder,
    RouteSet, RouteSpec,
};
use stack::fate::MoveReason;
use stack::flows::FlowFilter;
use stack::ports::{Layer, Ports};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A second segment; a server has an address on both.
const SPARE: usize = 2;

const V4: Family = Family::V4;
const V6: Family = Family::V6;

/// Far gateway `n`, which no port reaches.
fn far(n: usize, family: Family) -> String {
    match family {
        Family::V4 => format!("172.16.{n}.1"),
        Family::V6 => format!("fd16:{n}::1"),
    }
}

/// The network that it is in.
fn far_net(n: usize, family: Family) -> String {
    match family {
        Family::V4 => format!("172.16.{n}.0/24"),
        Family::V6 => format!("fd16:{n}::/32"),
    }
}

/// Server `n` on the rack, or on the spare segment.
fn near(n: usize, segment: usize, family: Family) -> String {
    match (family, segment) {
        (Family::V4, RACK) => format!("192.0.2.{}", 11 + n),
        (Family::V4, _) => format!("198.51.100.{}", 11 + n),
        (Family::V6, RACK) => format!("fd00:2::{:x}", 0x11 + n),
        (Family::V6, _) => format!("fd00:3::{:x}", 0x11 + n),
    }
}

fn service_of(family: Family) -> &'static str {
    match family {
        Family::V4 => SERVICE,
        Family::V6 => SERVICE6,
    }
}

/// Clients, a rack of servers that all serve, and no route.
fn scene(servers: usize, seed: u64) -> Scene {
    let rack = [("192.0.2.1", 24), ("fd00:2::1", 64)];
    let spare = [("198.51.100.1", 24), ("fd00:3::1", 64)];
    let clients = [("10.0.0.1", 8), ("fd10::1", 32)];
    let ports = Ports(vec![
        port(0, "clients", Layer::L3, &clients),
        port(1, "rack", Layer::L2(GATEWAY_MAC), &rack),
        port(2, "spare", Layer::L2(GATEWAY_MAC), &spare),
    ]);
    let setup = Setup {
        ports,
        ..Scene::setup(2)
    };
    let mut scene = Scene::with_ports(0, setup, seed);
    for n in 0..servers {
        let on = |segment, family, len| (ip(&near(n, segment, family)), len);
        scene.net.add(NodeSpec {
            name: format!("server{n}"),
            port: RACK,
            mac: Some(server_mac(n)),
            addrs: vec![
                on(RACK, V4, 24),
                on(SPARE, V4, 24),
                (ip(SERVICE), 32),
                on(RACK, V6, 64),
                on(SPARE, V6, 64),
                (ip(SERVICE6), 128),
            ],
            gateways: vec![ip("192.0.2.1"), ip("fd00:2::1")],
        });
    }
    scene
}

/// The service by so many far gateways, each behind the server of its number.
fn far_scene(servers: usize, seed: u64) -> Scene {
    let mut scene = scene(servers, seed);
    for family in BOTH {
        for n in 0..servers {
            add(
                &mut scene,
                &far_net(n, family),
                by(&[&near(n, RACK, family)]),
            );
        }
        let all: Vec<String> = (0..servers).map(|n| far(n, family)).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        add(&mut scene, service_of(family), recursive(&all));
    }
    scene.net.run_for(2000);
    scene
}

/// The same when its start is forgotten: new flows are known to be new.
fn old_scene(servers: usize, seed: u64) -> Scene {
    let mut scene = far_scene(servers, seed);
    scene.net.step_ms = 1000;
    scene.net.run_for(320_000);
    scene.net.step_ms = 100;
    scene
}

fn gateways(addrs: &[&str], recursive: bool) -> PathKind {
    let gateway = |addr: &&str| GatewaySpec {
        addr: ip(addr),
        weight: None,
        port: None,
        recursive,
    };
    PathKind::Gateways(addrs.iter().map(gateway).collect())
}

fn by(addrs: &[&str]) -> PathKind {
    gateways(addrs, false)
}

fn recursive(addrs: &[&str]) -> PathKind {
    gateways(addrs, true)
}

fn spec(prefix: &str, kind: PathKind) -> RouteSpec {
    RouteSpec {
        prefix: prefix.parse().expect("a prefix"),
        kind,
        mtu: None,
        deadline_s: None,
        options: Default::default(),
    }
}

fn try_add(scene: &mut Scene, spec: &RouteSpec) -> Result<route::Change, ControlError> {
    let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    let done = gw.control.route_add(spec, &mut gw.host, now);
    scene.net.settle();
    done
}

fn add(scene: &mut Scene, prefix: &str, kind: PathKind) -> route::Change {
    try_add(scene, &spec(prefix, kind)).expect("a route is added")
}

fn change(scene: &mut Scene, prefix: &str, kind: PathKind) {
    let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    gw.control
        .route_change(&spec(prefix, kind), &mut gw.host, now)
        .expect("a route is changed");
    scene.net.settle();
}

fn delete(scene: &mut Scene, prefix: &str) -> Option<String> {
    let prefix: Prefix = prefix.parse().expect("a prefix");
    let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    let deleted = gw
        .control
        .route_delete(prefix, None, None, &mut gw.host, now);
    scene.net.settle();
    deleted.expect("a route is deleted").warning
}

fn nhop(scene: &Scene, gateway: &str) -> NhopInfo {
    let mut all = scene.net.sim.gateway.control.nhops().into_iter();
    all.find(|n| n.key.gateway == Some(ip(gateway)))
        .expect("a next hop")
}

fn causes(scene: &Scene, gateway: &str) -> Vec<DownCause> {
    let idx = nhop(scene, gateway).idx;
    scene.net.sim.gateway.control.down_causes(idx)
}

/// By which port and to whom packets of a far gateway go.
fn way(scene: &Scene, gateway: &str) -> Option<(PortId, IpAddr)> {
    let through = nhop(scene, gateway).through;
    through.map(|to| (to.port, to.gateway))
}

/// The pin to the service of each flow.
fn pins(scene: &mut Scene) -> BTreeMap<String, Pin> {
    let now = scene.net.sim.now;
    let flows = scene.net.sim.gateway.control.reader();
    let mut pins = BTreeMap::new();
    for flow in flows.flows(FlowFilter::default(), now) {
        for (side, to) in flow.sides.iter().zip([flow.ends.1, flow.ends.0]) {
            if let Some(pin) = side
                .pin
                .filter(|_| [ip(SERVICE), ip(SERVICE6)].contains(&to.ip()))
            {
                pins.insert(format!("{} {:?}", flow.proto, flow.ends), pin);
            }
        }
    }
    pins
}

/// Neighbours that next hops have reserved.
fn reserved(scene: &mut Scene) -> Vec<(u16, IpAddr)> {
    let all = scene.neighbours().into_iter().filter(|n| n.reserved);
    let mut all: Vec<_> = all.map(|n| (n.port.0, n.addr)).collect();
    all.sort_unstable();
    all
}

/// Talks go on unbroken; how many messages were answered.
fn rounds(scene: &Scene, host: usize) -> u64 {
    let talks = scene.net.nodes[host].talks();
    let mut sum = 0;
    for (local, talk) in talks {
        assert!(!talk.broken && !talk.garbled, "{local}: {talk:?}");
        sum += talk.rounds;
    }
    sum
}

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

/// Asks for each flow, and who was asked.
fn ask(scene: &mut Scene, flows: &[FlowId]) -> Vec<usize> {
    scene.ask_all(flows)
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
fn without_the_word_a_gateway_off_link_is_refused_as_ever_and_told_of_it() {
    let mut scene = scene(1, 215);
    let refusal =
        |scene: &mut Scene, spec: &RouteSpec| try_add(scene, spec).unwrap_err().to_string();
    let line = refusal(&mut scene, &spec(SERVICE, by(&["172.16.0.1"])));
    let begin = "Network is unreachable: no port has an address in the network of 172.16.0.1; ports: clients (";
    assert!(line.starts_with(begin), "{line}");
    assert!(
        line.ends_with("or say -recursive to have other routes lead to it"),
        "{line}"
    );
    for nobody in [
        "224.0.0.1",
        "255.255.255.255",
        "127.0.0.1",
        "0.0.0.0",
        "169.254.1.1",
    ] {
        let line = refusal(&mut scene, &spec(SERVICE, recursive(&[nobody])));
        assert!(line.contains("cannot be found through routes"), "{line}");
    }
    for nobody in ["ff02::1", "::1", "::", "fe80::1"] {
        let line = refusal(&mut scene, &spec(SERVICE6, recursive(&[nobody])));
        assert!(line.contains("cannot be found through routes"), "{line}");
    }
    let own = refusal(&mut scene, &spec(SERVICE, recursive(&["192.0.2.1"])));
    assert!(own.contains("our own address"), "{own}");
    let family = refusal(&mut scene, &spec(SERVICE6, recursive(&["172.16.0.1"])));
    assert!(family.contains("needs an IPv6 gateway"), "{family}");
    // On-link it is an ordinary one, whatever was said.
    add(&mut scene, SERVICE, recursive(&["192.0.2.11"]));
    assert_eq!(nhop(&scene, "192.0.2.11").key.resolved(), None);
    assert_eq!(nhop(&scene, "192.0.2.11").port(), PortId(1));
    // Nobody leads there: taken, told, dead.
    let change = add(&mut scene, SERVICE, recursive(&["172.16.0.1"]));
    assert!(
        change
            .warning
            .expect("a word about it")
            .starts_with("172.16.0.1 is dead as yet")
    );
    assert_eq!(causes(&scene, "172.16.0.1"), [DownCause::Unresolved]);
    // A member is known: a weight needs no word.
    let mut weight = spec(SERVICE, by(&["172.16.0.1"]));
    if let PathKind::Gateways(gateways) = &mut weight.kind {
        gateways[0].weight = Some(3);
    }
    let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    let changed = gw.control.route_change(&weight, &mut gw.host, now);
    assert_eq!(changed.expect("a weight").paths[0].weight, 3);
    scene.finish();
}

#[test]
fn a_way_may_end_at_an_interface_or_lead_through_its_own_route() {
    let mut scene = scene(1, 216);
    add(
        &mut scene,
        "172.16.9.0/24",
        PathKind::Iface("clients".into()),
    );
    add(&mut scene, "198.18.0.0/15", recursive(&["172.16.9.9"]));
    assert_eq!(
        way(&scene, "172.16.9.9"),
        Some((PortId(0), ip("172.16.9.9")))
    );
    let flow = FlowId {
        proto: 17,
        src: "10.3.0.1:3000".parse().expect("an address"),
        dst: "198.18.0.7:53".parse().expect("an address"),
    };
    scene.send_udp(&flow);
    scene.net.run_for(10);
    let caught = scene.net.take_caught();
    assert_eq!(
        to_clients(&caught).count(),
        1,
        "it left by the port of bare IP"
    );
    // A route that covers its own gateway leads nowhere.
    add(&mut scene, "172.20.0.0/16", recursive(&["172.20.0.1"]));
    assert_eq!(causes(&scene, "172.20.0.1"), [DownCause::Unresolved]);
    scene.finish();
}

fn load(scene: &mut Scene, routes: Vec<RouteSpec>) {
    let mut batch = RouteBatch {
        replace_v4: true,
        replace_v6: true,
        ..RouteBatch::default()
    };
    for (set, spec) in (0..).zip(routes) {
        batch.routes.push((spec.prefix, set));
        batch.sets.push(Some(RouteSet { spec, ipv6: None }));
    }
    batch.routes.sort_unstable();
    let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    gw.control.batch_start(batch).expect("a batch begins");
    loop {
        let gw = &mut scene.net.sim.gateway;
        if let Some(end) = gw.control.batch_step(1, &mut gw.host, now) {
            end.expect("a table is loaded");
            return scene.net.settle();
        }
        scene.net.settle();
    }
}

#[test]
fn a_table_is_loaded_with_both_a_recursive_next_hop_and_the_way_to_it() {
    let mut scene = scene(2, 217);
    let table = |server: usize| {
        let mut routes = vec![spec("192.0.3.0/24", by(&["192.0.2.12"]))];
        for family in BOTH {
            let near = near(server, RACK, family);
            routes.push(spec(&far_net(5, family), by(&[&near])));
            routes.push(spec(service_of(family), recursive(&[&far(5, family)])));
        }
        routes
    };
    load(&mut scene, table(0));
    scene.net.run_for(2000);
    let flows = Scene::udp_flows(0, 20);
    assert_eq!(ask(&mut scene, &flows), vec![0; 40]);
    let before = pins(&mut scene);
    load(&mut scene, table(1));
    scene.net.run_for(2000);
    assert_eq!(ask(&mut scene, &flows), vec![1; 40], "another way");
    assert_eq!(pins(&mut scene), before, "the same next hop");
    assert_eq!(
        reserved(&mut scene),
        [(1, ip("192.0.2.12")), (1, ip("fd00:2::12"))]
    );
    scene.net.assert_moves(&[]);
    scene.net.assert_drops(&[]);
    load(&mut scene, Vec::new());
    assert_eq!(reserved(&mut scene), []);
    scene.net.watch.moves.clear();
    scene.finish();
}

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
