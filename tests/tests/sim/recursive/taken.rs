//! Which gateways routes may lead to, and how such routes come: one by one, or as a table.

use super::*;
use flowgate_tests::net::to_clients;
use stack::control::{RouteBatch, RouteSet};

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
