//! Whole tables replaced under traffic, slice by slice: flows keep their pins, or move for the reason that the new table
//! gives, and never otherwise.

use flowgate_tests::net::{BOTH, Scene};
use flowgate_tests::rack::Server;
use route::Prefix;
use stack::fate::MoveReason;

/// Flows of each family.
const FLOWS: u32 = 200;
/// Routes' worth of work in a slice: few, so that traffic meets the table half changed.
const SLICE: usize = 64;

/// So many routes of each family around the service's own, some of them over and beside it; `shift` gives them other servers.
fn others(count: u32, shift: usize) -> Vec<(Prefix, Server)> {
    let mut all: Vec<(Prefix, Server)> = Vec::new();
    let mut put = |text: String, at: usize| {
        let prefix = text.parse().expect("a prefix");
        all.push((prefix, (at + shift) % 4));
    };
    for text in [
        "203.0.113.0/24",
        "203.0.0.0/16",
        "2001:db8:113::/48",
        "2001:db8::/32",
    ] {
        put(text.into(), 0);
    }
    for at in 0..count as usize {
        put(format!("203.{}.{}.0/24", 1 + at / 256, at % 256), at);
        put(format!("2001:db9:{at:x}::/48"), at);
    }
    all
}

fn scene() -> Scene {
    let mut scene = Scene::without_routes(5, Scene::setup(2), 41);
    for family in BOTH {
        scene.route(family, &[0, 1, 2, 3]);
    }
    scene.net.run_for(2000);
    scene
}

#[test]
fn a_replaced_table_with_the_same_service_moves_no_flow_and_no_connection() {
    let mut scene = scene();
    let client = scene.client(1);
    scene.talk(client, 1, 32, 5);
    let flows = Scene::udp_flows(0, FLOWS);
    let first = scene.ask_all(&flows);
    for round in 0..4 {
        let done = scene.replace_table(
            &[0, 1, 2, 3],
            &others(300 + 100 * round, round as usize),
            SLICE,
        );
        assert!(done.added > 0, "{done:?}");
        assert_eq!(scene.ask_all(&flows), first, "round {round}");
    }
    let done = scene.replace_table(&[0, 1, 2, 3], &[], SLICE);
    assert!(done.deleted >= 1200, "{done:?}");
    assert_eq!(scene.ask_all(&flows), first);
    scene.net.run_for(3000);
    scene.net.assert_moves(&[]);
    scene.net.assert_drops(&[]);
    assert!(
        scene.net.nodes[client]
            .talks()
            .all(|(_, talk)| !talk.broken)
    );
    scene.finish();
}

#[test]
fn a_table_without_a_server_moves_that_server_s_flows_and_no_other() {
    let mut scene = scene();
    let flows = Scene::udp_flows(0, FLOWS);
    let first = scene.ask_all(&flows);
    scene.replace_table(&[0, 1, 3], &others(200, 0), SLICE);
    let then = scene.ask_all(&flows);
    let moved = first.iter().filter(|server| **server == 2).count() as u64;
    for (before, now) in first.iter().zip(&then) {
        assert!(
            *before == 2 && *now != 2 || before == now,
            "{before} to {now}"
        );
    }
    scene.net.assert_moves(&[(MoveReason::Policy, moved)]);
    // It comes back: nobody who is somewhere leaves, and another server is taken in as well.
    scene.replace_table(&[0, 1, 2, 3, 4], &others(200, 1), SLICE);
    assert_eq!(scene.ask_all(&flows), then);
    scene.net.assert_moves(&[(MoveReason::Policy, moved)]);
    scene.finish();
}
