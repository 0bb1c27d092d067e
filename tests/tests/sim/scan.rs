//! Somebody walks through a network of ours: what it may cost the segment, and who must not notice.

use flowgate_tests::frames::udp;
use flowgate_tests::net::{BOTH, Scene};
use flowgate_tests::rack::{CLIENTS, Family, RACK, server_addr};
use flowgate_tests::sim::ip;
use stack::fate::DropReason::{
    HoldFull, NeighbourDisplaced, NeighbourFailed, NeighbourFull, NeighbourLimited,
};
use stack::host::{HostCmd, HostLink, HostReply};
use std::net::{IpAddr, SocketAddr};

fn stats(scene: &mut Scene) -> arp::ArpStats {
    match scene.net.sim.gateway.host.call(HostCmd::NeighStats) {
        HostReply::NeighStats(stats, _) => *stats,
        other => panic!("the host answers {other:?}"),
    }
}

/// A packet to each of `count` addresses on the rack where nobody is, `every` so many of them at once each 10 ms.
fn scan(scene: &mut Scene, count: u32, at_once: u32) {
    let src = Scene::udp_flow(Family::V6, 1).src;
    for n in 0..count {
        let dst = SocketAddr::new(ip(&format!("fd00:2::1:{n:x}")), 9);
        scene.net.send(CLIENTS, udp(src, dst, b"anybody?"));
        if n % at_once == at_once - 1 {
            scene.net.run_for(10);
        }
    }
}

fn reaches(scene: &mut Scene, addr: IpAddr) -> bool {
    let family = if addr.is_ipv6() {
        Family::V6
    } else {
        Family::V4
    };
    scene.net.take_tap();
    let src = Scene::udp_flow(family, 2).src;
    let packet = udp(src, SocketAddr::new(addr, 4000), b"to a server itself");
    scene.net.send(CLIENTS, packet);
    scene.net.run_for(50);
    let sent = scene.net.take_tap();
    let packets = sent.iter().filter(|s| s.port == RACK);
    packets
        .filter(|s| arp::is_neighbour_frame(&s.bytes).is_none())
        .any(|s| s.bytes.ends_with(b"to a server itself"))
}

#[test]
fn a_scan_is_asked_about_as_often_as_an_address_deserves_and_no_more() {
    let mut scene = Scene::new(2, Scene::setup(2), 61);
    let before = stats(&mut scene);
    scan(&mut scene, 1200, 1);
    scene.net.run_until_idle(10_000);
    let after = stats(&mut scene);
    let asked = after.tx_neighbor_solicit - before.tx_neighbor_solicit;
    // Three times each (RFC 4861 §10), and the gateways' probes.
    assert!(
        asked <= 3 * 1200 + 100,
        "{asked} questions for 1200 addresses"
    );
    let evicted = after.evicted - before.evicted;
    assert!(evicted <= 1200, "{evicted} evicted");
    let totals = scene.net.totals();
    assert!(totals.dropped_for(NeighbourDisplaced) > 0, "{totals:?}");
    let reasons = [HoldFull, NeighbourFailed, NeighbourFull, NeighbourDisplaced];
    scene.net.assert_only_dropped(&reasons);
    scene.net.sim.assert_books();
}

#[test]
fn a_fast_scan_asks_no_faster_than_the_limit_and_next_hops_do_not_notice() {
    let mut scene = Scene::new(2, Scene::setup(2), 62);
    let flows = Scene::udp_flows(0, 10);
    let servers = scene.ask_all(&flows);
    let before = stats(&mut scene);
    // 5000 a second for two seconds.
    scan(&mut scene, 10_000, 50);
    let asked = stats(&mut scene).tx_neighbor_solicit - before.tx_neighbor_solicit;
    // A burst, two seconds' worth, each perhaps again after a second; the gateways' probes.
    assert!(asked <= 2 * (256 + 2 * 256) + 100, "{asked} questions");
    let totals = scene.net.totals();
    assert!(totals.dropped_for(NeighbourLimited) > 5000, "{totals:?}");
    assert_eq!(scene.ask_all(&flows), servers);
    scene.net.run_until_idle(10_000);
    assert_eq!(scene.net.totals().waiting_unknown, 0);
    scene.net.sim.assert_books();
}

#[test]
fn a_new_neighbour_is_found_during_a_slow_scan() {
    let mut scene = Scene::without_routes(8, Scene::setup(2), 63);
    scan(&mut scene, 600, 1);
    for (server, family) in (0..8).flat_map(|server| BOTH.map(|family| (server, family))) {
        scan(&mut scene, 20, 1);
        assert!(
            reaches(&mut scene, server_addr(server, family)),
            "{server} {family:?}: {:?}",
            scene.net.totals()
        );
    }
}
