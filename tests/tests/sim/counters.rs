//! What `netstat -s` says of each family: totals that include the bad packets, drops under their own family.

use flowgate_tests::frames::{ether, udp};
use flowgate_tests::net::craft::{with_df, with_ttl};
use flowgate_tests::net::{BOTH, Scene};
use flowgate_tests::rack::{CLIENTS, Family, GATEWAY_MAC, RACK, server_mac};
use flowgate_tests::sim::ip;
use route::Prefix;
use stack::Setup;
use stack::control::{GatewaySpec, PathKind, RouteSpec};
use stack::fate::{DropReason, Proto};
use std::net::SocketAddr;

fn sixth(family: Family) -> bool {
    family == Family::V6
}

/// Every packet of a family has one fate, so far as IP itself decides it.
fn assert_family(scene: &Scene, family: Family, received: u64, forwarded: u64, dropped: u64) {
    let totals = scene.net.totals();
    let v6 = sixth(family);
    let (got, sent) = if v6 {
        (totals.ip6_received, totals.ip6_forwarded)
    } else {
        (totals.ip4_received, totals.ip4_forwarded)
    };
    let protos = [Proto::Inet, if v6 { Proto::Ip6 } else { Proto::Ip }];
    let drops = DropReason::ALL
        .iter()
        .filter(|reason| protos.contains(&reason.proto()));
    let drops: u64 = drops.map(|reason| totals.dropped_in(*reason, v6)).sum();
    assert_eq!(
        (got, sent, drops),
        (received, forwarded, dropped),
        "{family:?}: {totals:?}"
    );
}

/// Nobody is behind these addresses, and no route leads there.
fn nowhere(family: Family) -> SocketAddr {
    let addr = match family {
        Family::V4 => ip("198.18.0.1"),
        Family::V6 => ip("2001:db8:ffff::1"),
    };
    SocketAddr::new(addr, 9)
}

#[test]
fn drops_are_counted_under_their_own_family_and_totals_include_them() {
    let mut scene = Scene::without_routes(1, Scene::setup(2), 51);
    let before = scene.net.totals();
    assert_eq!((before.ip4_received, before.ip6_received), (0, 0));
    for (family, times) in BOTH.into_iter().zip([3, 5]) {
        let src = Scene::udp_flow(family, 1).src;
        let lost = udp(src, nowhere(family), b"where to?");
        for _ in 0..times {
            scene.net.send(CLIENTS, lost.clone());
            scene.net.send(CLIENTS, with_ttl(lost.clone(), 1));
            // Cut short, by a device and by a link.
            scene.net.send(CLIENTS, lost[..18].to_vec());
            let frame = ether(GATEWAY_MAC, server_mac(0), &lost[..18]);
            scene.net.inject(RACK, 0, &frame);
        }
    }
    scene.net.run_until_idle(1000);
    assert_family(&scene, Family::V4, 12, 0, 12);
    assert_family(&scene, Family::V6, 20, 0, 20);
    let totals = scene.net.totals();
    for (reason, four, six) in [
        (DropReason::NoRoute, 3, 5),
        (DropReason::TtlExpired, 3, 5),
        (DropReason::IpShort, 6, 10),
    ] {
        assert_eq!(totals.dropped_in(reason, false), four, "{reason:?}");
        assert_eq!(totals.dropped_in(reason, true), six, "{reason:?}");
        assert_eq!(totals.dropped_for(reason), four + six);
    }
    scene.net.sim.assert_books();
}

#[test]
fn a_packet_that_could_not_be_fragmented_was_not_forwarded() {
    let setup = Setup {
        // Fewer than the pieces that it would be cut into.
        buffers: 16,
        ..Scene::setup(1)
    };
    let mut scene = Scene::without_routes(1, setup, 52);
    let gateway = GatewaySpec {
        addr: flowgate_tests::rack::server_addr(0, Family::V4),
        weight: None,
        port: None,
        recursive: false,
        mtu: None,
    };
    let spec = RouteSpec {
        prefix: Prefix::new(ip("198.18.0.0"), 16).expect("a prefix"),
        kind: PathKind::Gateways(vec![gateway]),
        mtu: Some(68),
        deadline_s: None,
        options: Default::default(),
    };
    let (now, gw) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    gw.control
        .route_add(&spec, &mut gw.host, now)
        .expect("a route is added");
    scene.net.run_for(2000);
    let before = scene.net.totals();
    let src = Scene::udp_flow(Family::V4, 1).src;
    let big = with_df(udp(src, nowhere(Family::V4), &[7; 1400]), false);
    scene.net.send(CLIENTS, big);
    scene.net.run_for(100);
    let totals = scene.net.totals();
    assert_eq!(
        totals.dropped_for(DropReason::FragmentFailed),
        1,
        "{totals:?}"
    );
    assert_eq!(totals.forwarded, before.forwarded);
    assert_eq!(totals.ip4_forwarded, before.ip4_forwarded);
    assert_eq!(totals.ip4_received, before.ip4_received + 1);
    let reader = scene.net.sim.gateway.control.reader();
    assert_eq!(reader.port_reports()[CLIENTS].totals.rx_dropped, 1);
    scene.net.sim.assert_books();
}
