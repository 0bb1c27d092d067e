//! Floods of packets that are good one by one, and a port that is down.

use super::{assert_still_works, framed, target};
use flowgate_tests::frames::{tcp, tcp_segment, udp};
use flowgate_tests::net::Scene;
use flowgate_tests::net::zoo::arp_frame;
use flowgate_tests::rack::{CLIENTS, RACK};
use flowgate_tests::sim::ip;
use stack::Setup;
use stack::fate::DropReason;
use stack::links::Depths;
use std::net::SocketAddr;

fn packet_to(dst: &str) -> Vec<u8> {
    let src = SocketAddr::new(ip("10.8.8.8"), 4000);
    udp(src, dst.parse().expect("an address"), b"hello")
}

#[test]
fn a_port_that_is_down_takes_and_gives_nothing() {
    let mut scene = target(1, 96);
    // No answer to a probe is on its way when the port goes down.
    scene.net.run_for(300);
    let set = |scene: &mut Scene, up| {
        let (now, gateway) = (scene.net.sim.now, &mut scene.net.sim.gateway);
        gateway
            .control
            .set_port("rack", up, &mut gateway.host, now)
            .expect("a port");
        scene.net.run_for(10);
    };
    set(&mut scene, false);
    scene
        .net
        .inject(RACK, 0, &framed(RACK, &packet_to("10.3.3.3:1")));
    scene.net.settle();
    scene.net.assert_drops(&[(DropReason::PortDown, 1)]);
    // Its next hops are dead, so a packet for the service has nowhere to go.
    scene.net.inject(CLIENTS, 0, &packet_to("203.0.113.10:53"));
    scene.net.settle();
    scene
        .net
        .assert_drops(&[(DropReason::PortDown, 1), (DropReason::NoNexthop, 1)]);
    set(&mut scene, true);
    // Until the start is forgotten, packets that open nothing follow what buckets remember: who came back first.
    scene.net.step_ms = 1000;
    scene.net.run_for(320_000);
    assert_still_works(&mut scene);
    scene.finish();
}

#[test]
fn full_queues_to_the_host_drop_and_count_and_answers_of_next_hops_still_come_in() {
    let depths = Depths {
        punt: 8,
        ..Depths::default()
    };
    let mut scene = Scene::new(
        2,
        Setup {
            depths,
            ..Scene::setup(1)
        },
        97,
    );
    let request = arp_frame(1, "192.0.2.60", "192.0.2.1", arp::Mac::BROADCAST);
    for round in 0..200 {
        for i in 0..60u16 {
            scene.net.inject(RACK, 0, &request);
            let src = SocketAddr::new(ip("10.3.3.3"), 1000 + i + round);
            let us = SocketAddr::new(ip("10.0.0.1"), 80);
            scene
                .net
                .inject(CLIENTS, 0, &tcp_segment(src, us, tcp::SYN, 1, 0, 0));
        }
        scene.net.run_for(50);
    }
    let totals = scene.net.totals();
    assert!(totals.dropped_for(DropReason::AskFull) > 1000, "{totals:?}");
    assert!(
        totals.dropped_for(DropReason::LocalFull) > 1000,
        "{totals:?}"
    );
    scene
        .net
        .assert_only_dropped(&[DropReason::AskFull, DropReason::LocalFull]);
    assert!(
        scene
            .net
            .sim
            .gateway
            .control
            .nhops()
            .iter()
            .all(|n| n.health == route::Health::Up)
    );
    scene.net.take_caught();
    assert_still_works(&mut scene);
    scene.finish();
}
