//! Groups that have a number, through the simulated network: one change for all their routes, and only the flows that
//! have to go elsewhere do.

use flowgate_tests::net::watch::FlowId;
use flowgate_tests::net::{BOTH, Scene, service};
use flowgate_tests::rack::{Family, server_addr};
use flowgate_tests::sim::ip;
use route::{GroupNo, NhopKeyMatch, OptionsAsked, Prefix};
use stack::control::{GatewaySpec, PathKind, RouteSpec};
use stack::fate::MoveReason;

const SEVEN: GroupNo = GroupNo(7);
const EIGHT: GroupNo = GroupNo(8);

/// Members by their IPv6 addresses: routes of both families may name them (RFC 8950).
fn members(number: GroupNo, servers: &[(usize, u32)], deadline_s: Option<u32>) -> RouteSpec {
    let gateway = |(server, weight): &(usize, u32)| GatewaySpec {
        addr: server_addr(*server, Family::V6),
        weight: Some(*weight),
        port: None,
        recursive: false,
        mtu: None,
    };
    RouteSpec {
        prefix: Prefix::masked(ip("0.0.0.0"), 0),
        kind: PathKind::Gateways(servers.iter().map(gateway).collect()),
        mtu: None,
        deadline_s,
        options: OptionsAsked {
            group: Some(number),
            ..OptionsAsked::default()
        },
    }
}

fn all(servers: &[usize]) -> Vec<(usize, u32)> {
    servers.iter().map(|server| (*server, 1)).collect()
}

trait Groups {
    fn group_add(&mut self, number: GroupNo, servers: &[usize]);
    fn group_change(&mut self, number: GroupNo, servers: &[(usize, u32)], deadline_s: Option<u32>);
    fn join(&mut self, family: Family, number: GroupNo);
}

impl Groups for Scene {
    fn group_add(&mut self, number: GroupNo, servers: &[usize]) {
        let (now, gw) = (self.net.sim.now, &mut self.net.sim.gateway);
        let spec = members(number, &all(servers), None);
        gw.control
            .group_add(number, &spec, &mut gw.host, now)
            .expect("a group is made, or has more members");
    }

    fn group_change(&mut self, number: GroupNo, servers: &[(usize, u32)], deadline_s: Option<u32>) {
        let (now, gw) = (self.net.sim.now, &mut self.net.sim.gateway);
        let spec = members(number, servers, deadline_s);
        gw.control
            .group_change(number, &spec, &mut gw.host, now)
            .expect("a group is changed");
        // A new member's neighbour is found.
        self.net.run_for(1000);
    }

    /// The service's route in a family names the group.
    fn join(&mut self, family: Family, number: GroupNo) {
        let (now, gw) = (self.net.sim.now, &mut self.net.sim.gateway);
        let spec = RouteSpec {
            prefix: Prefix::host(service(family, 0).ip()),
            ..members(number, &[], None)
        };
        gw.control
            .route_add(&spec, &mut gw.host, now)
            .expect("a route names it");
    }
}

fn count(hosts: &[usize], host: usize) -> u64 {
    hosts.iter().filter(|h| **h == host).count() as u64
}

/// Four servers, of which three are group 7's; the service of both families names it, or that of IPv6 names group 8.
fn scene(seed: u64, groups: [GroupNo; 2]) -> (Scene, Vec<FlowId>, Vec<usize>) {
    let mut scene = Scene::without_routes(4, Scene::setup(2), seed);
    scene.group_add(SEVEN, &[0, 1, 2]);
    scene.group_add(EIGHT, &[0, 1]);
    for (family, group) in BOTH.into_iter().zip(groups) {
        scene.join(family, group);
    }
    scene.net.run_for(2000);
    // New flows' first packets are known for such only once nothing can be left of an earlier gateway.
    let step = std::mem::replace(&mut scene.net.step_ms, 500);
    scene.net.run_for(320_000);
    scene.net.step_ms = step;
    let flows = Scene::udp_flows(0, 100);
    let first = scene.ask_all(&flows);
    (scene, flows, first)
}

#[test]
fn a_member_replaced_moves_exactly_its_flows_of_every_route_that_names_the_group() {
    let (mut scene, flows, first) = scene(70, [SEVEN, SEVEN]);
    assert!((0..3).all(|server| count(&first, server) > 20));
    scene.group_change(SEVEN, &all(&[0, 2, 3]), None);
    let after = scene.ask_all(&flows);
    for (at, (was, is)) in first.iter().zip(&after).enumerate() {
        assert!(was == is || *was == 1, "{at}: {was} to {is}");
        assert_ne!(*is, 1, "{at}");
    }
    assert!(count(&after, 3) > 0);
    scene
        .net
        .assert_moves(&[(MoveReason::Policy, count(&first, 1))]);
    assert_eq!(scene.ask_all(&flows), after, "once");
    scene.finish();
}

#[test]
fn a_second_group_keeps_a_member_that_leaves_the_first() {
    let (mut scene, flows, first) = scene(71, [SEVEN, EIGHT]);
    scene.group_change(SEVEN, &all(&[0, 2, 3]), None);
    let after = scene.ask_all(&flows);
    // IPv4 flows come first.
    let (v4, v6) = (first.split_at(100), after.split_at(100));
    assert_eq!(v4.1, v6.1, "group 8's flows stay, those of server 1 too");
    let moved = count(v4.0, 1);
    assert!(moved > 20);
    scene.net.assert_moves(&[(MoveReason::Policy, moved)]);
    scene.finish();
}

#[test]
fn a_member_that_is_added_or_drained_moves_no_flow() {
    let (mut scene, flows, first) = scene(72, [SEVEN, SEVEN]);
    scene.group_add(SEVEN, &[3]);
    scene.group_change(SEVEN, &[(0, 0)], None);
    assert_eq!(scene.ask_all(&flows), first);
    let born = scene.ask_all(&Scene::udp_flows(1000, 100));
    assert_eq!(count(&born, 0), 0);
    assert!(count(&born, 3) > 20);
    scene.net.assert_moves(&[]);
    scene.finish();
}

#[test]
fn flows_that_the_deadline_moves_are_counted_so_though_another_group_has_the_next_hop() {
    let (mut scene, flows, first) = scene(74, [SEVEN, EIGHT]);
    scene.group_change(SEVEN, &[(1, 0)], Some(30));
    assert_eq!(scene.ask_all(&flows), first);
    scene.net.run_for(31_000);
    let after = scene.ask_all(&flows);
    let moved = count(&first[..100], 1);
    assert_eq!((count(&after[..100], 1), moved > 20), (0, true));
    assert_eq!(after[100..], first[100..]);
    scene.net.assert_moves(&[(MoveReason::Deadline, moved)]);
    scene.finish();
}

#[test]
fn a_route_that_leaves_its_group_takes_the_layout_along() {
    let (mut scene, flows, first) = scene(73, [SEVEN, SEVEN]);
    let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    let gateway = NhopKeyMatch {
        gateway: Some(server_addr(1, Family::V6)),
        port: None,
    };
    let to = Prefix::host(service(Family::V4, 0).ip());
    gw.control
        .route_delete(to, gateway.gateway, None, &mut gw.host, now)
        .unwrap();
    let after = scene.ask_all(&flows);
    for (at, (was, is)) in first.iter().zip(&after).enumerate() {
        assert!(was == is || *was == 1 && at < 100, "{at}: {was} to {is}");
    }
    scene
        .net
        .assert_moves(&[(MoveReason::Policy, count(&first[..100], 1))]);
    scene.finish();
}
