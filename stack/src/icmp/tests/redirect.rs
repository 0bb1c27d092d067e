//! Who is told of a better first hop, and what the conformance cases do not show of the message.

use super::*;
use crate::offload::Partial;
use crate::ports::{Layer, Port, PortAddr};
use arp::{Mac, View};
use route::{FibId, PortId};
use std::sync::Arc;

const OURS: Mac = Mac([2, 0, 0, 0, 0, 1]);
const ROUTER: Mac = Mac([2, 0, 0, 0, 1, 0]);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A port on 192.0.2.0/24 and fd00:2::/64.
fn port(redirects: bool, link_local: bool) -> Port {
    let addrs = [("192.0.2.1", 24), ("fd00:2::1", 64), ("fe80::1", 64)];
    let addrs = &addrs[..if link_local { 3 } else { 2 }];
    let own = |&(addr, len): &(&str, u8)| PortAddr {
        addr: ip(addr),
        len,
    };
    Port {
        id: PortId(1),
        name: "rack".into(),
        fib: FibId(0),
        layer: Layer::L2(OURS),
        mtu: 1500,
        narrowed: None,
        up: true,
        addrs: addrs.iter().map(own).collect(),
        rules: Rules {
            redirects,
            ..Rules::default()
        },
        vlan: None,
    }
}

/// Who is known there: a router by both of its addresses.
fn neighbours() -> Arc<View> {
    let (mut table, view) = arp::new(arp::Config::default(), 1);
    let info = arp::PortInfo {
        port: arp::PortId(1),
        mac: OURS,
        addrs: vec![(ip("fd00:2::1"), 64), (ip("fe80::1"), 64)],
        up: true,
        advertise: None,
    };
    table.set_port(info, 0, &mut Vec::new());
    for addr in ["fd00:2::11", "fe80::11"] {
        let set = table.set_static(arp::PortId(1), ip(addr), ROUTER, false);
        set.unwrap();
    }
    view
}

fn addrs(src: &str, dst: &str) -> Addrs {
    match (ip(src), ip(dst)) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => addrs4(src, dst),
        (IpAddr::V6(src), IpAddr::V6(dst)) => addrs6(src, dst),
        _ => panic!("{src} and {dst} are of two families"),
    }
}

#[test]
fn a_sender_is_told_of_a_better_first_hop_on_its_own_link_alone() {
    let tell = |better, mac| Advice::Tell {
        better: ip(better),
        mac,
    };
    let far = "2001:db8::9";
    let cases = [
        (
            "192.0.2.12",
            "203.0.113.1",
            "192.0.2.11",
            tell("192.0.2.11", None),
        ),
        ("192.0.2.11", "203.0.113.1", "192.0.2.11", Advice::Itself),
        ("198.51.100.1", "203.0.113.1", "192.0.2.11", Advice::Apart),
        ("192.0.2.12", "203.0.113.1", "fe80::11", Advice::Apart),
        (
            "fd00:2::12",
            far,
            "fe80::11",
            tell("fe80::11", Some(ROUTER)),
        ),
        ("fd00:2::12", far, "fe80::12", tell("fe80::12", None)),
        (
            "fd00:2::12",
            "fd00:2::11",
            "fd00:2::11",
            tell("fd00:2::11", Some(ROUTER)),
        ),
        // On-link by a route alone.
        ("fd00:2::12", far, far, tell(far, None)),
        (
            "fe80::12",
            "fe80::11",
            "fe80::11",
            tell("fe80::11", Some(ROUTER)),
        ),
        (
            "fd00:2::12",
            far,
            "fd00:2::11",
            Advice::NotLinkLocal(ip("fd00:2::11")),
        ),
        ("fd00:2::11", far, "fe80::11", Advice::Itself),
        ("fd00:3::12", far, "fe80::11", Advice::Apart),
    ];
    let neigh = neighbours();
    for (src, dst, better, expected) in cases {
        let addrs = addrs(src, dst);
        let ask = |port: Port| advice(&port, &neigh, &addrs, ip(better));
        assert_eq!(ask(port(true, true)), expected, "{src} {dst} {better}");
        assert_eq!(ask(port(false, true)), Advice::Off);
    }
    let from_none = advice(
        &port(true, false),
        &neigh,
        &addrs("fd00:2::12", far),
        ip("fe80::11"),
    );
    assert_eq!(from_none, Advice::NoSource);
}

/// A redirect about `packet`, and where its quote begins.
fn redirect(packet: &[u8], mac: Option<Mac>) -> (Pkt, Error) {
    let error = Error::Redirect {
        gateway: ip("fe80::11"),
        mac,
    };
    let mut out = Pkt::with_size(2048);
    out.space().fill(0xa5);
    assert!(build_error(
        error,
        packet,
        &meta(packet),
        ip("fe80::1"),
        1,
        &mut out
    ));
    (out, error)
}

#[test]
fn an_unknown_link_layer_address_is_left_out_and_gives_its_room_to_the_quote() {
    let packet = ip6(CLIENT6, SERVER6, proto::UDP, &udp(1400));
    for (mac, at) in [(None, 48), (Some(ROUTER), 56)] {
        let (out, _) = redirect(&packet, mac);
        let bytes = out.bytes();
        assert_eq!((bytes.len(), bytes[7], bytes[40]), (1280, 255, 137));
        assert_eq!(bytes[40 + at..], packet[..1240 - at]);
        let words = (1240 - at + 8) / 8;
        assert_eq!(bytes[40 + at - 8..][..2], [4, words as u8]);
        let m = meta(bytes);
        assert_eq!(checksum::transport(&m.addrs, proto::ICMP6, &bytes[40..]), 0);
    }
}

#[test]
fn a_redirect_does_not_fit_where_there_is_no_room_and_ipv4_has_no_such_message() {
    let packet = ip6(CLIENT6, SERVER6, proto::UDP, &udp(8));
    let v4 = ip4(CLIENT4, SERVER4, proto::UDP, &[], &udp(8));
    let error = Error::Redirect {
        gateway: ip("fe80::11"),
        mac: None,
    };
    let mut small = Pkt::with_size(100);
    for (packet, from) in [(&packet, ip("fe80::1")), (&v4, ip("192.0.2.1"))] {
        let built = build_error(error, packet, &meta(packet), from, 1, &mut small);
        assert!(!built && small.is_empty());
    }
}

#[test]
fn what_came_unfinished_is_quoted_finished() {
    for mac in [None, Some(ROUTER)] {
        let whole = ip6(CLIENT6, SERVER6, proto::UDP, &udp(21));
        let m = meta(&whole);
        let mut finished = whole.clone();
        finished[46..48].fill(0);
        let sum = checksum::transport(&m.addrs, proto::UDP, &finished[40..]);
        let begun = checksum::pseudo_sum(&m.addrs, proto::UDP, 21);
        let mut unfinished = finished.clone();
        unfinished[46..48].copy_from_slice(&begun.to_be_bytes());
        finished[46..48].copy_from_slice(&sum.to_be_bytes());
        let (mut out, error) = redirect(&unfinished, mac);
        let left = Partial {
            start: 40,
            offset: 6,
        };
        finish_quote(&mut out, &error, &unfinished, left);
        assert_eq!(out.bytes(), redirect(&finished, mac).0.bytes());
    }
}
