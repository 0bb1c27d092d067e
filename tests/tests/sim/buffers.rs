//! Packet buffers go from thread to thread with their packets, and as many come back: none is ever lost.

use flowgate_tests::net::{Scene, Steer};
use flowgate_tests::rack::RACK;
use stack::Setup;
use stack::links::Depths;

const WORKERS: usize = 6;

fn small() -> Setup {
    Setup {
        buffers: 96,
        depths: Depths {
            handoff: 32,
            ..Depths::default()
        },
        ..Scene::setup(WORKERS)
    }
}

/// Packets of many flows by any queue, so that each worker has most of its packets from others.
fn flood(scene: &mut Scene) {
    let flows = Scene::udp_flows(0, 400);
    for _ in 0..8 {
        for flow in &flows {
            scene.send_udp(flow);
        }
        scene.net.run_for(20);
    }
    scene.net.run_until_idle(10_000);
}

#[test]
fn a_worker_that_hands_off_and_takes_over_has_all_its_buffers_in_the_end() {
    let mut scene = Scene::new(4, small(), 71);
    scene.net.steer = Steer::Random;
    flood(&mut scene);
    let totals = scene.net.totals();
    assert!(totals.handed_off > 3000, "{totals:?}");
    scene.net.assert_buffers();
    scene.finish();
}

#[test]
fn dropped_held_and_collected_packets_give_their_buffers_back() {
    let mut scene = Scene::new(4, small(), 72);
    scene.net.steer = Steer::Random;
    let set = |scene: &mut Scene, up| {
        let (now, gateway) = (scene.net.sim.now, &mut scene.net.sim.gateway);
        let done = gateway.control.set_port("rack", up, &mut gateway.host, now);
        done.expect("a port");
    };
    // Nobody answers: packets are held, then answered with errors. Then nothing leaves at all.
    for server in 0..4 {
        scene.kill(server);
    }
    flood(&mut scene);
    set(&mut scene, false);
    flood(&mut scene);
    set(&mut scene, true);
    scene.net.run_for(10_000);
    scene.net.run_until_idle(10_000);
    scene.net.assert_buffers();
    // What a worker without buffers could not: its neighbours are heard, and the service is there.
    for server in 0..4 {
        scene.revive(server);
    }
    scene.net.run_for(5000);
    let known = scene.neighbours();
    let there = known
        .iter()
        .filter(|n| usize::from(n.port.0) == RACK && n.mac.is_some());
    assert_eq!(there.count(), 8, "{known:?}");
    scene.net.assert_buffers();
    scene.finish();
}
