//! ARP and ND: what is malformed creates no entry, and nobody takes the addresses of the gateway or the service.

use super::{neighbour_count, target};
use flowgate_tests::net::zoo::{advertisement, arp_frame, solicitation};
use flowgate_tests::net::{BOTH, Scene};
use flowgate_tests::rack::{GATEWAY_MAC, RACK};

/// What the table ignored, whatever the reason.
fn ignored(scene: &Scene) -> u64 {
    let stats = scene.net.sim.gateway.host.neighbours().stats();
    stats.reasons().map(|(_, n)| n).sum()
}

#[test]
fn malformed_arp_and_nd_create_no_entry() {
    let mut scene = target(1, 98);
    let known = neighbour_count(&mut scene);
    let request = arp_frame(1, "192.0.2.60", "192.0.2.1", arp::Mac::BROADCAST);
    let solicit = solicitation("fd00:2::60", "fd00:2::1", GATEWAY_MAC);
    let at = |frame: &[u8], at: usize, value: u8| {
        let mut frame = frame.to_vec();
        frame[at] = value;
        frame
    };
    let mut own_mac = request.clone();
    own_mac[22..28].copy_from_slice(&GATEWAY_MAC.0);
    let cases = [
        ("an ARP of another hardware", at(&request, 15, 6)),
        ("an ARP of another protocol", at(&request, 16, 9)),
        ("a hardware length of 5", at(&request, 18, 5)),
        ("a protocol length of 16", at(&request, 19, 16)),
        ("operation 3", at(&request, 21, 3)),
        ("a sender with a multicast MAC", at(&request, 22, 3)),
        ("a sender with our MAC", own_mac),
        (
            "a sender of another network",
            arp_frame(1, "192.0.3.60", "192.0.2.1", arp::Mac::BROADCAST),
        ),
        ("a solicitation that was routed", at(&solicit, 14 + 7, 254)),
        (
            "a solicitation with a bad checksum",
            at(&solicit, 14 + 43, solicit[14 + 43] ^ 1),
        ),
        ("a solicitation with code 1", at(&solicit, 14 + 41, 1)),
        (
            "a solicitation with an option of length 0",
            at(&solicit, 14 + 65, 0),
        ),
        (
            "an answer that nobody asked for",
            arp_frame(2, "192.0.2.60", "192.0.2.1", GATEWAY_MAC),
        ),
        (
            "an advertisement that nobody asked for",
            advertisement("fd00:2::60", GATEWAY_MAC, 0x60),
        ),
        (
            "a gratuitous ARP",
            arp_frame(1, "192.0.2.60", "192.0.2.60", arp::Mac::BROADCAST),
        ),
    ];
    for (what, frame) in &cases {
        let before = (ignored(&scene), scene.net.totals());
        scene.net.inject(RACK, 0, frame);
        scene.net.settle();
        assert_eq!(
            neighbour_count(&mut scene),
            known,
            "{what}: {:?}",
            scene.neighbours()
        );
        let after = scene.net.totals();
        let refused = ignored(&scene) - before.0 + after.dropped() - before.1.dropped();
        assert_eq!(refused, 1, "{what} was taken for good");
    }
    // The same, sound: so the cases above failed for their faults.
    scene.net.inject(RACK, 0, &request);
    scene.net.inject(RACK, 0, &solicit);
    scene.net.settle();
    assert_eq!(neighbour_count(&mut scene), known + 2);
    scene.finish();
}

#[test]
fn nobody_takes_the_gateways_or_the_services_address() {
    let mut scene = Scene::new(2, Scene::setup(2), 99);
    let flows: Vec<_> = (0..40)
        .map(|i| Scene::udp_flow(BOTH[i % 2], i as u32))
        .collect();
    let first = scene.ask_all(&flows);
    let (before, known) = (scene.neighbours(), scene.flows());
    let (all, us) = (arp::Mac::BROADCAST, GATEWAY_MAC);
    let lies = [
        arp_frame(1, "192.0.2.1", "192.0.2.1", all),
        arp_frame(2, "192.0.2.1", "192.0.2.1", all),
        arp_frame(2, "192.0.2.1", "192.0.2.11", us),
        arp_frame(1, "203.0.113.10", "203.0.113.10", all),
        arp_frame(2, "203.0.113.10", "192.0.2.1", us),
        arp_frame(1, "203.0.113.10", "192.0.2.1", all),
        arp_frame(1, "10.0.0.1", "192.0.2.1", all),
        advertisement("fd00:2::1", us, 0x60),
        advertisement("fe80::1", us, 0x20),
        advertisement("2001:db8:113::10", us, 0x60),
        solicitation("fd00:2::1", "fd00:2::1", us),
        solicitation("2001:db8:113::10", "fd00:2::1", us),
    ];
    for lie in &lies {
        scene.net.inject(RACK, 1, lie);
        scene.net.run_for(20);
    }
    let mac_of =
        |all: &[arp::Neighbour]| -> Vec<_> { all.iter().map(|n| (n.addr, n.mac)).collect() };
    assert_eq!(mac_of(&scene.neighbours()), mac_of(&before));
    let stats = scene.net.sim.gateway.host.neighbours().stats();
    // Three ARP frames, two advertisements and a solicitation spoke for an address of this port's.
    assert_eq!(stats.dupips, 6, "{stats:?}");
    assert!(stats.defences >= 2, "{stats:?}");
    assert_eq!(scene.ask_all(&flows), first);
    assert_eq!(scene.flows(), known);
    scene.net.assert_drops(&[]);
    scene.net.assert_moves(&[]);
    scene.finish();
}
