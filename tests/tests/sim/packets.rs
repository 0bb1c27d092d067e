//! Packets that are not ordinary: pieces of datagrams, packets too big for the way, protocols nobody knows.

use flowgate_tests::frames::{ether, ip_packet, tcp, tcp_segment, udp};
use flowgate_tests::net::craft::{self, is_piece, pieces, reassemble, with_df, with_ttl};
use flowgate_tests::net::{BOTH, Echo, Scene, to_rack};
use flowgate_tests::rack::{CLIENTS, Family, GATEWAY_MAC, RACK, server_addr, server_mac};
use smoltcp::wire::IpProtocol;
use stack::fate::DropReason;
use std::net::{IpAddr, SocketAddr};

#[test]
fn all_pieces_of_a_datagram_take_the_next_hop_of_its_flow_in_any_order_and_by_any_queue() {
    for seed in 70..74 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut scene = Scene::new(5, Scene::setup(3), seed);
        let flows = Scene::udp_flows(0, 20);
        let first = scene.ask_all(&flows);
        scene.serve(Echo::Silent);
        for (no, (flow, server)) in flows.iter().zip(&first).enumerate() {
            let data: Vec<u8> = (0..3000).map(|_| rng.u8(..)).collect();
            let whole = udp(flow.src, flow.dst, &data);
            let mut cut = pieces(&whole, no as u32 + 1, 800);
            match no % 3 {
                // The first piece last, the others the wrong way round, all at once or a while apart.
                0 => cut.reverse(),
                1 => rng.shuffle(&mut cut),
                _ => {}
            }
            scene.net.take_tap();
            for piece in &cut {
                scene.net.inject(CLIENTS, rng.usize(..3), piece);
                scene.net.run_for(rng.u64(..100));
            }
            scene.net.run_until_idle(400);
            let sent = scene.net.take_tap();
            let got = to_rack(&sent);
            assert_eq!(got.len(), cut.len(), "seed {seed}, datagram {no}");
            assert!(
                got.iter().all(|(s, p)| s == server && craft::ttl(p) == 63),
                "seed {seed}, datagram {no}"
            );
            let payloads: Vec<&[u8]> = got.iter().map(|(_, p)| *p).collect();
            let header = if craft::is_v6(&whole) { 40 } else { 20 };
            assert_eq!(
                reassemble(&payloads),
                whole[header..],
                "seed {seed}, datagram {no}"
            );
        }
        assert_eq!(
            scene.flows(),
            flows.len(),
            "pieces make no entries of their own"
        );
        assert_eq!(scene.net.totals().fragments_blind, 0);
        scene.net.assert_drops(&[]);
        scene.net.assert_moves(&[]);
        scene.net.assert_only_left(&[]);
        scene.finish();
    }
}

#[test]
fn pieces_whose_first_one_is_lost_go_by_their_addresses_after_a_while() {
    let mut scene = Scene::new(4, Scene::setup(2), 75);
    scene.serve(Echo::Silent);
    let flows = Scene::udp_flows(0, 10);
    scene.net.take_tap();
    for (no, flow) in flows.iter().enumerate() {
        let whole = udp(flow.src, flow.dst, &[7; 3000]);
        for piece in &pieces(&whole, no as u32, 1000)[1..] {
            scene.net.inject(CLIENTS, no % 2, piece);
        }
    }
    scene.net.run_for(400);
    assert!(
        to_rack(&scene.net.take_tap()).is_empty(),
        "they wait for the first piece"
    );
    assert_eq!(scene.net.totals().waiting, 3 * 20);
    scene.net.run_for(300);
    let sent = scene.net.take_tap();
    let got = to_rack(&sent);
    assert_eq!(got.len(), 3 * 20);
    let mut of: std::collections::HashMap<IpAddr, usize> = Default::default();
    for (server, packet) in got {
        assert!(is_piece(packet));
        let server_before = *of.entry(craft::source(packet)).or_insert(server);
        assert_eq!(
            server, server_before,
            "pieces of one datagram stay together"
        );
    }
    assert_eq!(scene.net.totals().fragments_blind, 3 * 20);
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn too_many_waiting_pieces_drop_the_oldest_and_nothing_is_over_its_limit() {
    let setup = stack::Setup {
        fragments: (64, 32),
        ..Scene::setup(1)
    };
    let mut scene = Scene::new(2, setup, 76);
    scene.serve(Echo::Silent);
    for i in 0..200u32 {
        let flow = Scene::udp_flow(BOTH[i as usize % 2], i);
        let whole = udp(flow.src, flow.dst, &[7; 1600]);
        scene.net.inject(CLIENTS, 0, &pieces(&whole, i, 800)[1]);
        scene.net.run_for(1);
        assert!(scene.net.totals().waiting <= 32);
        scene.net.assert_sound();
    }
    let waiting = scene.net.totals().waiting;
    scene.net.run_until_idle(1000);
    scene
        .net
        .assert_drops(&[(DropReason::FragmentFull, 200 - waiting)]);
    assert_eq!(scene.net.totals().fragments_blind, waiting);
    scene.finish();
}

#[test]
fn a_big_ipv4_packet_that_may_be_fragmented_arrives_whole() {
    let mut scene = Scene::new(3, Scene::setup(2), 77);
    scene.serve(Echo::Silent);
    for i in 0..20 {
        let flow = Scene::udp_flow(Family::V4, i);
        let data: Vec<u8> = (0..1500 + i as usize * 20).map(|b| b as u8).collect();
        let whole = with_df(udp(flow.src, flow.dst, &data), false);
        scene.net.take_tap();
        scene.net.inject(CLIENTS, i as usize % 2, &whole);
        scene.net.run_for(10);
        let sent = scene.net.take_tap();
        let got = to_rack(&sent);
        assert_eq!(got.len(), 2);
        assert!(
            got.iter()
                .all(|(s, p)| *s == got[0].0 && p.len() <= 1500 && craft::ttl(p) == 63)
        );
        let payloads: Vec<&[u8]> = got.iter().map(|(_, p)| *p).collect();
        assert_eq!(reassemble(&payloads), whole[20..]);
    }
    let totals = scene.net.totals();
    assert_eq!((totals.fragmented, totals.extra_pieces), (20, 20));
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn unknown_protocols_and_both_directions_are_forwarded_with_only_the_ttl_changed() {
    let mut scene = Scene::new(2, Scene::setup(2), 86);
    scene.serve(Echo::Silent);
    for proto in [47, 50, 89, 132, 136, 200, 253] {
        for family in BOTH {
            let flow = Scene::udp_flow(family, 40);
            let packet = ip_packet(
                flow.src.ip(),
                flow.dst.ip(),
                IpProtocol::from(proto),
                33,
                &[9; 64],
            );
            scene.net.take_tap();
            scene.net.send(CLIENTS, packet.clone());
            scene.net.run_for(5);
            let sent = scene.net.take_tap();
            let got = to_rack(&sent);
            assert_eq!(got.len(), 1, "protocol {proto}");
            assert_eq!(got[0].1, with_ttl(packet, 32), "protocol {proto}");
            let back = ip_packet(
                flow.dst.ip(),
                flow.src.ip(),
                IpProtocol::from(proto),
                2,
                &[8; 64],
            );
            scene
                .net
                .inject(RACK, 1, &ether(GATEWAY_MAC, server_mac(got[0].0), &back));
            scene.net.run_for(5);
            let caught = scene.net.take_caught();
            assert_eq!(caught.len(), 1, "protocol {proto}");
            assert_eq!(caught[0].bytes, with_ttl(back, 1), "protocol {proto}");
        }
    }
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn a_server_speaks_from_its_own_address_too() {
    let mut scene = Scene::new(2, Scene::setup(2), 87);
    for family in BOTH {
        let src = SocketAddr::new(server_addr(1, family), 999);
        let dst = SocketAddr::new(Scene::udp_flow(family, 5).src.ip(), 25);
        let syn = tcp_segment(src, dst, tcp::SYN, 1, 0, 0);
        scene
            .net
            .inject(RACK, 0, &ether(GATEWAY_MAC, server_mac(1), &syn));
        scene.net.run_for(5);
        let caught = scene.net.take_caught();
        assert_eq!(caught.len(), 1);
        assert_eq!(caught[0].bytes, with_ttl(syn, 63));
    }
    scene.net.assert_drops(&[]);
    scene.finish();
}
