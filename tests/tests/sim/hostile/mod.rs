//! Hostile packets: cut at every length, every byte at its extremes, noise. Never a panic, both books balance, every
//! drop has its reason, nothing malformed leaves a trace in a table, nobody takes our addresses.

mod faults;
mod floods;
mod neighbours;
mod noise;

use flowgate_tests::frames::ether;
use flowgate_tests::net::zoo::STRANGER_MAC;
use flowgate_tests::net::{BOTH, Echo, Scene, Transport};
use flowgate_tests::rack::{GATEWAY_MAC, RACK, server_addr, server_mac};

/// Two servers that listen to ARP and ND only, whatever garbage is sent on to them.
fn target(workers: usize, seed: u64) -> Scene {
    let mut scene = Scene::new(2, Scene::setup(workers), seed);
    scene.net.transport = Transport::Ignored;
    scene.serve(Echo::Silent);
    scene
}

/// A packet as it arrives by a port.
fn framed(port: usize, packet: &[u8]) -> Vec<u8> {
    if port == RACK {
        ether(GATEWAY_MAC, STRANGER_MAC, packet)
    } else {
        packet.to_vec()
    }
}

fn neighbour_count(scene: &mut Scene) -> usize {
    scene.neighbours().len()
}

/// After all that, the servers are there and a new client is served.
fn assert_still_works(scene: &mut Scene) {
    scene.net.transport = Transport::Checked;
    scene.serve(Echo::Open);
    for family in BOTH {
        let flows: Vec<_> = (900..940).map(|i| Scene::udp_flow(family, i)).collect();
        let first = scene.ask_all(&flows);
        assert!(first.contains(&0) && first.contains(&1), "{first:?}");
        assert_eq!(scene.ask_all(&flows), first);
    }
    let gateways = BOTH.map(|f| [server_addr(0, f), server_addr(1, f)]);
    for neighbour in scene.neighbours().iter().filter(|n| n.reserved) {
        assert!(gateways.as_flattened().contains(&neighbour.addr));
        let macs = [server_mac(0), server_mac(1)];
        assert!(
            neighbour.mac.is_some_and(|mac| macs.contains(&mac)),
            "{neighbour:?}"
        );
    }
}
