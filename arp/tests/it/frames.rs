//! Every frame that we send, byte for byte.

use std::net::IpAddr;

use arp::{Mac, PortInfo};

use crate::rig::{OUR, P0, Rig, advert, arp_frame, ip, mac, nd_frame, solicit};

/// Bytes from hexadecimal, spaces ignored.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|c| c.to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// The one frame sent since the last look.
fn only(rig: &mut Rig) -> Vec<u8> {
    let sent = std::mem::take(&mut rig.sent);
    assert_eq!(sent.len(), 1, "{sent:x?}");
    assert_eq!(sent[0].1.port, P0);
    sent.into_iter()
        .next()
        .map(|(_, frame)| frame.bytes)
        .unwrap_or_default()
}

#[test]
fn an_arp_request_is_broadcast_and_the_next_ones_go_to_the_known_mac() {
    let mut rig = Rig::new();
    rig.host("10.0.0.9", mac(9));
    rig.reserve("10.0.0.9");
    rig.run(0);
    let broadcast = hex("ffffffffffff 020000000001 0806 0001 0800 06 04 0001
         020000000001 0a000001 000000000000 0a000009");
    assert_eq!(only(&mut rig), broadcast);
    rig.run(1000);
    let unicast = hex("020000000109 020000000001 0806 0001 0800 06 04 0001
         020000000001 0a000001 020000000109 0a000009");
    assert_eq!(only(&mut rig), unicast);
}

#[test]
fn a_solicitation_goes_to_the_solicited_node_group_and_the_next_ones_to_the_known_mac() {
    let mut rig = Rig::new();
    rig.host("fd00::ab:cdef", mac(9));
    rig.reserve("fd00::ab:cdef");
    rig.run(0);
    let multicast = hex("3333ffabcdef 020000000001 86dd 60000000 0020 3a ff
         fd000000000000000000000000000001 ff0200000000000000000001ffabcdef
         87 00 e065 00000000 fd000000000000000000000000abcdef 01 01 020000000001");
    assert_eq!(only(&mut rig), multicast);
    rig.run(1000);
    let unicast = hex("020000000109 020000000001 86dd 60000000 0020 3a ff
         fd000000000000000000000000000001 fd000000000000000000000000abcdef
         87 00 e169 00000000 fd000000000000000000000000abcdef 01 01 020000000001");
    assert_eq!(only(&mut rig), unicast);
}

#[test]
fn a_request_for_our_address_is_answered_to_the_asker() {
    let mut rig = Rig::new();
    rig.accept(&arp_frame(
        true,
        Mac::BROADCAST,
        mac(9),
        "10.0.0.9",
        "10.0.0.1",
    ));
    let reply = hex("020000000109 020000000001 0806 0001 0800 06 04 0002
         020000000001 0a000001 020000000109 0a000009");
    assert_eq!(only(&mut rig), reply);
}

#[test]
fn a_probe_for_our_address_is_answered_with_its_zero_address() {
    let mut rig = Rig::new();
    rig.accept(&arp_frame(
        true,
        Mac::BROADCAST,
        mac(9),
        "0.0.0.0",
        "10.0.0.1",
    ));
    let reply = hex("020000000109 020000000001 0806 0001 0800 06 04 0002
         020000000001 0a000001 020000000109 00000000");
    assert_eq!(only(&mut rig), reply);
}

#[test]
fn a_link_local_arp_answer_is_broadcast() {
    let mut rig = Rig::new();
    let addrs = vec![(ip("169.254.0.1"), 16)];
    rig.set_port_to(PortInfo {
        addrs,
        ..Rig::info(true)
    });
    rig.sent.clear();
    rig.accept(&arp_frame(
        true,
        Mac::BROADCAST,
        mac(9),
        "169.254.0.9",
        "169.254.0.1",
    ));
    let reply = hex("ffffffffffff 020000000001 0806 0001 0800 06 04 0002
         020000000001 a9fe0001 020000000109 a9fe0009");
    assert_eq!(only(&mut rig), reply);
}

#[test]
fn a_published_address_is_answered_with_its_own_mac_from_ours() {
    let mut rig = Rig::new();
    rig.table
        .set_static(P0, ip("10.0.0.7"), mac(7), true)
        .unwrap();
    rig.accept(&arp_frame(
        true,
        Mac::BROADCAST,
        mac(9),
        "10.0.0.9",
        "10.0.0.7",
    ));
    let reply = hex("020000000109 020000000001 0806 0001 0800 06 04 0002
         020000000107 0a000007 020000000109 0a000009");
    assert_eq!(only(&mut rig), reply);
}

#[test]
fn a_solicitation_for_our_address_is_answered_from_that_address() {
    let mut rig = Rig::new();
    let to = Mac([0x33, 0x33, 0xff, 0, 0, 1]);
    let ns = solicit("fd00::1", Some(mac(9)));
    rig.accept(&nd_frame(to, mac(9), "fd00::9", "ff02::1:ff00:1", &ns));
    // Router, solicited, override.
    let reply = hex("020000000109 020000000001 86dd 60000000 0020 3a ff
         fd000000000000000000000000000001 fd000000000000000000000000000009
         88 00 9c94 e0000000 fd000000000000000000000000000001 02 01 020000000001");
    assert_eq!(only(&mut rig), reply);
}

#[test]
fn duplicate_address_detection_of_our_address_is_answered_to_all_nodes() {
    let mut rig = Rig::new();
    let to = Mac([0x33, 0x33, 0xff, 0, 0, 1]);
    let ns = solicit("fd00::1", None);
    rig.accept(&nd_frame(to, mac(9), "::", "ff02::1:ff00:1", &ns));
    // Router, override; not solicited.
    let reply = hex("333300000001 020000000001 86dd 60000000 0020 3a ff
         fd000000000000000000000000000001 ff020000000000000000000000000001
         88 00 da9a a0000000 fd000000000000000000000000000001 02 01 020000000001");
    assert_eq!(only(&mut rig), reply);
}

#[test]
fn a_published_ipv6_address_is_advertised_without_override() {
    let mut rig = Rig::new();
    rig.table
        .set_static(P0, ip("fd00::7"), mac(7), true)
        .unwrap();
    let to = Mac([0x33, 0x33, 0xff, 0, 0, 7]);
    let ns = solicit("fd00::7", Some(mac(9)));
    rig.accept(&nd_frame(to, mac(9), "fd00::9", "ff02::1:ff00:7", &ns));
    let reply = hex("020000000109 020000000001 86dd 60000000 0020 3a ff
         fd000000000000000000000000000007 fd000000000000000000000000000009
         88 00 bb82 c0000000 fd000000000000000000000000000007 02 01 020000000107");
    assert_eq!(only(&mut rig), reply);
}

#[test]
fn a_new_port_announces_each_address_and_later_only_new_ones() {
    let (mut table, _view) = arp::new(arp::Config::default(), 0);
    let mut out = Vec::new();
    let mut info = PortInfo {
        port: P0,
        mac: OUR,
        addrs: vec![(ip("10.0.0.1"), 8), (ip("fd00::1"), 64)],
        up: true,
        advertise: None,
    };
    table.set_port(info.clone(), 0, &mut out);
    let asked = hex("ffffffffffff 020000000001 0806 0001 0800 06 04 0001
         020000000001 00000000 000000000000 0a000001");
    let gratuitous = hex("ffffffffffff 020000000001 0806 0001 0800 06 04 0001
         020000000001 0a000001 000000000000 0a000001");
    let unsolicited = hex("333300000001 020000000001 86dd 60000000 0020 3a ff
         fd000000000000000000000000000001 ff020000000000000000000000000001
         88 00 da9a a0000000 fd000000000000000000000000000001 02 01 020000000001");
    let bytes: Vec<_> = out.drain(..).map(|frame| frame.bytes).collect();
    let group = Mac([0x33, 0x33, 0xff, 0, 0, 1]);
    let probe = nd_frame(
        group,
        OUR,
        "::",
        "ff02::1:ff00:1",
        &solicit("fd00::1", None),
    );
    assert_eq!(bytes, [asked, gratuitous, probe, unsolicited]);
    table.set_port(info.clone(), 0, &mut out);
    assert!(out.is_empty(), "nothing is new");
    info.addrs.push((ip("10.1.0.1"), 16));
    table.set_port(info.clone(), 0, &mut out);
    assert_eq!(out.len(), 2, "one address is new");
    info.mac = mac(77);
    table.set_port(info.clone(), 0, &mut out);
    assert_eq!(out.len(), 8, "all are, from another MAC");
    info.up = false;
    table.set_port(info.clone(), 0, &mut out);
    assert_eq!(out.len(), 8);
    info.up = true;
    table.set_port(info, 0, &mut out);
    assert_eq!(out.len(), 14, "and again when the port comes up");
    let stats = table.stats();
    assert_eq!((stats.announcements, stats.probes), (9, 9));
}

#[test]
fn a_link_header_is_destination_source_and_type() {
    let header = arp::ether_header(mac(9), OUR, 0x86dd);
    assert_eq!(header.to_vec(), hex("020000000109 020000000001 86dd"));
}

#[test]
fn workers_tell_questions_from_answers_and_both_from_the_rest() {
    use arp::{Kind, is_neighbour_frame};
    let to = Mac::BROADCAST;
    let kind = |frame: &[u8]| is_neighbour_frame(frame);
    assert_eq!(
        kind(&arp_frame(true, to, OUR, "10.0.0.1", "10.0.0.2")),
        Some(Kind::Request)
    );
    assert_eq!(
        kind(&arp_frame(false, to, OUR, "10.0.0.1", "10.0.0.2")),
        Some(Kind::Reply)
    );
    let nd = |repr| nd_frame(to, OUR, "fd00::1", "fd00::2", &repr);
    let na = nd(advert("fd00::1", crate::rig::SOLICITED, Some(OUR)));
    assert_eq!(kind(&nd(solicit("fd00::1", None))), Some(Kind::Request));
    assert_eq!(kind(&na), Some(Kind::Reply));
    for (icmp, expected) in [
        (128, None),
        (132, None),
        (133, Some(Kind::Request)),
        (134, Some(Kind::Request)),
        (137, Some(Kind::Request)),
        (138, None),
    ] {
        let mut frame = na.clone();
        frame[54] = icmp;
        assert_eq!(kind(&frame), expected, "ICMPv6 type {icmp}");
    }
    let mut udp = na.clone();
    udp[20] = 17;
    assert_eq!(kind(&udp), None);
    let mut ipv4 = na;
    ipv4[12..14].copy_from_slice(&[8, 0]);
    assert_eq!(kind(&ipv4), None);
    assert_eq!(kind(&[]), None);
}

#[test]
fn a_hop_limit_other_than_255_says_that_a_router_was_crossed() {
    let said = solicit("fd00::1", Some(mac(9)));
    let mut frame = nd_frame(OUR, mac(9), "fd00::9", "2001:db8::7", &said);
    assert_eq!(arp::crossed_a_router(&frame), None);
    for hops in [0, 1, 64, 254] {
        frame[21] = hops;
        let dst = arp::crossed_a_router(&frame).map(IpAddr::V6);
        assert_eq!(dst, Some(ip("2001:db8::7")), "{hops}");
    }
    for len in 0..54 {
        assert_eq!(arp::crossed_a_router(&frame[..len]), None, "{len} bytes");
    }
    frame[12..14].copy_from_slice(&[8, 0]);
    assert_eq!(arp::crossed_a_router(&frame), None);
}
