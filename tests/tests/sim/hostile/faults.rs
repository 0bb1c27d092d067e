//! One fault at a time: each is dropped for its own reason, and no other counter moves.

use super::{framed, target};
use flowgate_tests::frames::{ether, ip_packet, tcp, tcp_segment, udp};
use flowgate_tests::net::craft::{echo_request, fix_header, pieces};
use flowgate_tests::net::zoo::{STRANGER_MAC, with_extension, with_options};
use flowgate_tests::rack::{CLIENTS, GATEWAY_MAC, RACK, server_mac};
use flowgate_tests::sim::ip;
use smoltcp::wire::IpProtocol;
use stack::counters::Totals;
use stack::fate::DropReason;
use std::net::SocketAddr;

/// What a packet adds to the counters: one received, one dropped for `reason`, and nothing else but perhaps ICMP.
fn assert_one_drop(before: &Totals, after: &Totals, reason: DropReason, what: &str) {
    assert_eq!(after.rx - before.rx, 1, "{what}: received");
    for &other in DropReason::ALL {
        let got = after.dropped_for(other) - before.dropped_for(other);
        assert_eq!(got, u64::from(other == reason), "{what}: {}", other.name());
    }
    assert_eq!(after.forwarded, before.forwarded, "{what}: forwarded");
    assert_eq!(after.consumed, before.consumed, "{what}: consumed");
    assert_eq!(after.waiting, before.waiting, "{what}: waiting");
}

/// A packet, what is wrong with it, and the reason for which it must be dropped.
type Case = (&'static str, Vec<u8>, DropReason);

fn client() -> SocketAddr {
    "10.3.3.3:4000".parse().expect("an address")
}

fn client6() -> SocketAddr {
    "[fd10::3]:4000".parse().expect("an address")
}

fn to(dst: &str) -> Vec<u8> {
    let dst: SocketAddr = dst.parse().expect("an address");
    udp(
        if dst.is_ipv6() { client6() } else { client() },
        dst,
        b"hello",
    )
}

fn from(src: &str) -> Vec<u8> {
    let src: SocketAddr = src.parse().expect("an address");
    let dst = if src.is_ipv6() {
        "[2001:db8:113::10]:53"
    } else {
        "203.0.113.10:53"
    };
    udp(src, dst.parse().expect("an address"), b"hello")
}

/// A good packet with some bytes changed, its IPv4 header's checksum good again.
fn changed(mut packet: Vec<u8>, changes: &[(usize, u8)]) -> Vec<u8> {
    for (at, value) in changes {
        packet[*at] = *value;
    }
    let words = usize::from(packet[0] & 15) * 4;
    if (20..=packet.len()).contains(&words) {
        fix_header(&mut packet);
    }
    packet
}

fn header_cases() -> Vec<Case> {
    use DropReason::*;
    let good = to("203.0.113.10:53");
    let mut bad_sum = good.clone();
    bad_sum[10] ^= 0x40;
    vec![
        ("nothing", vec![], IpShort),
        ("one byte", vec![0x45], IpShort),
        ("19 bytes", good[..19].to_vec(), IpShort),
        ("version 0", changed(good.clone(), &[(0, 0x05)]), IpVersion),
        ("version 5", changed(good.clone(), &[(0, 0x55)]), IpVersion),
        (
            "a header of 4 words",
            changed(good.clone(), &[(0, 0x44)]),
            IpHeaderLen,
        ),
        (
            "a header beyond the data",
            changed(good.clone(), &[(0, 0x4f)]),
            IpHeaderLen,
        ),
        (
            "a length below the header",
            changed(good.clone(), &[(2, 0), (3, 19)]),
            IpLen,
        ),
        (
            "a length beyond the frame",
            changed(good.clone(), &[(2, 1)]),
            IpLen,
        ),
        ("a bad checksum", bad_sum, IpSum),
        (
            "a loose source route",
            with_options(&good, &[131, 7, 4, 10, 0, 0, 9, 0]),
            IpSourceRoute,
        ),
        (
            "a strict source route",
            with_options(&good, &[1, 137, 7, 4, 10, 0, 0, 9]),
            IpSourceRoute,
        ),
        (
            "an option of length 1",
            with_options(&good, &[7, 1, 0, 0]),
            IpOptions,
        ),
        (
            "an option beyond the header",
            with_options(&good, &[7, 5, 0, 0]),
            IpOptions,
        ),
        (
            "an option without its length",
            with_options(&good, &[1, 1, 1, 7]),
            IpOptions,
        ),
    ]
}

fn address_cases() -> Vec<Case> {
    use DropReason::*;
    vec![
        ("from 0.0.0.0", from("0.0.0.0:1"), IpBadSource),
        ("from loopback", from("127.0.0.1:1"), IpBadSource),
        ("from multicast", from("224.0.0.1:1"), IpBadSource),
        ("from broadcast", from("255.255.255.255:1"), IpBadSource),
        ("from class E", from("240.0.0.1:1"), IpBadSource),
        ("from us", from("192.0.2.1:1"), IpOwnSource),
        ("to 0.0.0.0", to("0.0.0.0:1"), IpBadDest),
        ("to loopback", to("127.1.2.3:1"), IpBadDest),
        ("to class E", to("250.0.0.1:1"), IpBadDest),
        ("to link-local", to("169.254.1.1:1"), IpBadDest),
        ("from link-local", from("169.254.1.1:1"), IpBadSource),
        ("to multicast", to("239.1.2.3:1"), IpMulticast),
        ("to broadcast", to("255.255.255.255:1"), IpMulticast),
        ("to nowhere", to("198.51.100.1:1"), NoRoute),
        ("from ::", from("[::]:1"), IpBadSource),
        ("from ::1", from("[::1]:1"), IpBadSource),
        ("from ff02::1", from("[ff02::1]:1"), IpBadSource),
        (
            "from a mapped address",
            from("[::ffff:10.0.0.9]:1"),
            IpBadSource,
        ),
        ("from our IPv6 address", from("[fd00:2::1]:1"), IpOwnSource),
        ("to ::", to("[::]:1"), IpBadDest),
        ("to ::1", to("[::1]:1"), IpBadDest),
        ("to a mapped address", to("[::ffff:10.0.0.9]:1"), IpBadDest),
        ("to ff02::1", to("[ff02::1]:1"), IpMulticast),
        ("to an IPv6 nowhere", to("[3fff::1]:1"), NoRoute),
        ("to IPv6 link-local", to("[fe80::99]:1"), IpBadDest),
        ("from IPv6 link-local", from("[fe80::99]:1"), IpBadSource),
    ]
}

fn transport_cases() -> Vec<Case> {
    use DropReason::*;
    let (src, dst) = (client().ip(), ip("203.0.113.10"));
    let raw = |proto: u8, payload: &[u8]| ip_packet(src, dst, IpProtocol::from(proto), 64, payload);
    let raw6 = |proto: u8, payload: &[u8]| {
        let ends = (client6().ip(), ip("2001:db8:113::10"));
        ip_packet(ends.0, ends.1, IpProtocol::from(proto), 64, payload)
    };
    let syn = tcp_segment(
        client(),
        "203.0.113.10:80".parse().expect("an address"),
        tcp::SYN,
        1,
        0,
        0,
    );
    let mut bad_echo = echo_request(src, ip("10.0.0.1"), 1, 1, b"data");
    bad_echo[30] ^= 1;
    let mut bad_echo6 = echo_request(client6().ip(), ip("fd10::1"), 1, 1, b"data");
    bad_echo6[50] ^= 1;
    vec![
        ("TCP without ports", raw(6, &[0; 3]), TcpHeader),
        ("TCP of 19 bytes", raw(6, &[0; 19]), TcpHeader),
        (
            "a TCP offset of 4",
            changed(syn.clone(), &[(32, 0x40)]),
            TcpHeader,
        ),
        (
            "a TCP offset beyond the data",
            changed(syn, &[(32, 0x60)]),
            TcpHeader,
        ),
        ("UDP of 7 bytes", raw(17, &[0; 7]), UdpHeader),
        ("SCTP of 11 bytes", raw(132, &[0; 11]), UdpHeader),
        ("ICMP of 7 bytes", raw(1, &[8; 7]), IcmpHeader),
        ("TCP of 19 bytes, IPv6", raw6(6, &[0; 19]), TcpHeader),
        ("UDP of 7 bytes, IPv6", raw6(17, &[0; 7]), UdpHeader),
        ("ICMPv6 of 7 bytes", raw6(58, &[128; 7]), IcmpHeader),
        ("an echo to us with a bad checksum", bad_echo, IcmpSum),
        (
            "an ICMPv6 echo to us with a bad checksum",
            bad_echo6,
            IcmpSum,
        ),
    ]
}

fn piece_cases() -> Vec<Case> {
    use DropReason::*;
    let whole = udp(
        client(),
        "203.0.113.10:53".parse().expect("an address"),
        &[7; 100],
    );
    let whole6 = udp(
        client6(),
        "[2001:db8:113::10]:53".parse().expect("an address"),
        &[7; 100],
    );
    let segment = tcp_segment(
        client(),
        "203.0.113.10:80".parse().expect("an address"),
        tcp::SYN,
        1,
        0,
        50,
    );
    let cut = pieces(&whole, 7, 48);
    let ragged = pieces(&whole, 7, 41)[0].clone();
    let beyond = changed(cut[2].clone(), &[(6, 0x1f), (7, 0xff)]);
    let empty = changed(cut[2][..20].to_vec(), &[(2, 0), (3, 20)]);
    let mut beyond6 = pieces(&whole6, 7, 48)[2].clone();
    (beyond6[42], beyond6[43]) = (0xff, 0xf8);
    vec![
        (
            "a piece of 41 bytes that is not the last",
            ragged,
            FragmentBad,
        ),
        ("a piece beyond 65535 bytes", beyond, FragmentBad),
        ("a piece of nothing", empty, FragmentBad),
        ("an IPv6 piece beyond 65535 bytes", beyond6, FragmentBad),
        (
            "a first piece with half a TCP header",
            pieces(&segment, 8, 8)[0].clone(),
            FragmentTiny,
        ),
    ]
}

fn extension_cases() -> Vec<Case> {
    use DropReason::*;
    let good = to("[2001:db8:113::10]:53");
    let option = [17, 0, 1, 4, 0, 0, 0, 0];
    let chain = (0..9).fold(good.clone(), |p, i| {
        let next = if i == 0 { 17 } else { 60 };
        with_extension(&p, 60, &[next, 0, 1, 4, 0, 0, 0, 0])
    });
    let behind = with_extension(
        &with_extension(&good, 0, &option),
        60,
        &[0, 0, 1, 4, 0, 0, 0, 0],
    );
    let mut long = with_extension(&good, 60, &option);
    long[41] = 200;
    let mut length = good.clone();
    length[4] = 1;
    vec![
        ("39 bytes of IPv6", good[..39].to_vec(), IpShort),
        ("an IPv6 length beyond the frame", length, IpLen),
        (
            "a type 0 routing header",
            with_extension(
                &good,
                43,
                &[
                    17, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
                ],
            ),
            Ip6Routing,
        ),
        (
            "hop-by-hop options that are not the first",
            behind,
            Ip6Extension,
        ),
        ("nine extension headers", chain, Ip6Extension),
        ("an extension header beyond the packet", long, Ip6Extension),
    ]
}

#[test]
fn each_fault_is_dropped_for_its_own_reason_by_either_port() {
    for workers in [1, 3] {
        let mut scene = target(workers, 94);
        let cases = [
            header_cases(),
            address_cases(),
            transport_cases(),
            piece_cases(),
            extension_cases(),
        ]
        .concat();
        for (what, packet, reason) in &cases {
            for port in [CLIENTS, RACK] {
                let frame = framed(port, packet);
                // By Ethernet, a version that is not the EtherType's is the link's fault, and so is no version at all.
                let version = packet.first().map(|b| b >> 4);
                if port == RACK && !matches!(version, Some(4 | 6)) {
                    continue;
                }
                let before = scene.net.totals();
                scene.net.inject(port, workers - 1, &frame);
                scene.net.settle();
                assert_one_drop(&before, &scene.net.totals(), *reason, what);
            }
        }
        assert_eq!(scene.flows(), 0);
        scene.finish();
    }
}

#[test]
fn each_fault_of_a_frame_is_dropped_for_its_own_reason() {
    use DropReason::*;
    let mut scene = target(2, 95);
    let packet = to("203.0.113.10:53");
    let typed = |ethertype: u16, payload: &[u8]| {
        [
            &arp::ether_header(GATEWAY_MAC, STRANGER_MAC, ethertype)[..],
            payload,
        ]
        .concat()
    };
    let cases: Vec<Case> = vec![
        ("13 bytes", typed(0x0800, &[])[..13].to_vec(), EtherShort),
        (
            "for another station",
            ether(server_mac(5), STRANGER_MAC, &packet),
            EtherNotOurs,
        ),
        ("a VLAN tag", typed(0x8100, &packet), UnknownVlan),
        ("a provider's VLAN tag", typed(0x88a8, &packet), EtherType),
        ("an 802.3 length", typed(46, &packet), EtherType),
        ("IPv4 announced as IPv6", typed(0x86dd, &packet), IpVersion),
        (
            "IPv6 announced as IPv4",
            typed(0x0800, &to("[2001:db8:113::10]:53")),
            IpVersion,
        ),
        (
            "a unicast packet in a broadcast",
            ether(arp::Mac::BROADCAST, STRANGER_MAC, &packet),
            IpLinkCast,
        ),
        (
            "a unicast packet in a multicast",
            ether(arp::Mac([1, 0, 0x5e, 0, 0, 1]), STRANGER_MAC, &packet),
            IpLinkCast,
        ),
        (
            "longer than a buffer",
            typed(0x0800, &vec![0; 2048]),
            Oversize,
        ),
    ];
    for (what, frame, reason) in &cases {
        let before = scene.net.totals();
        scene.net.inject(RACK, 1, frame);
        scene.net.settle();
        assert_one_drop(&before, &scene.net.totals(), *reason, what);
    }
    scene.finish();
}
