//! C39 to C47: what is answered with an ICMP error, what is not, and how the error looks.

use flowgate_tests::case;
use flowgate_tests::conform::{
    Case, Error, GATEWAY, GATEWAY6, Growth, client, datagram, datagram_of, error, from_rack, ip4,
    to_rack,
};
use flowgate_tests::frames::{ether, ip_packet, udp};
use flowgate_tests::net::craft::{echo_request, fix_header, icmp_error, is_v6, pieces, with_ttl};
use flowgate_tests::net::{BOTH, Scene};
use flowgate_tests::rack::{CLIENTS, Family, RACK, server_mac};
use flowgate_tests::sim::ip;
use smoltcp::wire::IpProtocol;
use stack::fate::DropReason::{
    self, Blackhole, IpBadSource, IpLinkCast, IpMulticast, IpOptions, NoRoute, Reject, TooBig,
    TtlExpired,
};
use std::net::SocketAddr;

/// Where no route leads.
fn nowhere(family: Family) -> SocketAddr {
    let addr = match family {
        Family::V4 => "100.64.99.9",
        Family::V6 => "2001:db8:99::9",
    };
    SocketAddr::new(ip(addr), 53)
}

/// A datagram of the client to nowhere.
fn lost(family: Family) -> Vec<u8> {
    udp(client(family), nowhere(family), b"conformance")
}

/// The gateway's answer to a packet that came from the clients: the `no`th error.
fn told(kind: (u8, u8), no: u16, about: &[u8]) -> Vec<u8> {
    let from = if is_v6(about) { GATEWAY6 } else { GATEWAY };
    error(
        Error {
            from,
            kind,
            rest: 0,
            no,
        },
        about,
    )
}

/// An ICMP error of somebody else's that comes from the clients' side, about a packet of the server's.
fn another(family: Family, kind: u8) -> Vec<u8> {
    let about = udp(nowhere(family), client(family), b"x");
    let from = match family {
        Family::V4 => ip("10.9.9.9"),
        Family::V6 => ip("fd10::9"),
    };
    icmp_error(from, &about, kind, 0, 0)
}

#[test]
fn c39_never_about_an_icmp_error() {
    let mut case = case!("RFC 1122 3.2.2, RFC 1812 4.3.2.7: no error about an error, whose time is up or that has no route").called("v4");
    for kind in [3, 4, 5, 11, 12] {
        let packet = another(Family::V4, kind);
        let reason = NoRoute;
        case = case
            .arrives(CLIENTS, &packet)
            .dropped(reason)
            .unanswered()
            .arrives(CLIENTS, &with_ttl(packet, 1))
            .dropped(TtlExpired)
            .unanswered();
    }
    // About what is no error there may be one: a query, and a type that nobody knows (RFC 1122 3.2.2 knows all types).
    let query = echo_request(
        client(Family::V4).ip(),
        nowhere(Family::V4).ip(),
        1,
        1,
        b"x",
    );
    case.arrives(CLIENTS, &query)
        .dropped(NoRoute)
        .error(CLIENTS, &told((3, 0), 1, &query))
        .holds();
    let mut case = case!(
        "RFC 4443 2.4 (e.1), (e.2): no error about an error, known or not, nor about a redirect"
    )
    .called("v6");
    for kind in [1, 2, 3, 4, 100, 127, 137] {
        let packet = another(Family::V6, kind);
        case = case
            .arrives(CLIENTS, &packet)
            .dropped(NoRoute)
            .unanswered()
            .arrives(CLIENTS, &with_ttl(packet, 1))
            .dropped(TtlExpired)
            .unanswered();
    }
    case.holds();
}

#[test]
fn c40_not_about_a_piece_that_is_not_the_first() {
    for family in BOTH {
        let whole = udp(client(family), nowhere(family), &[7; 800]);
        let parts = pieces(&whole, 0x1234, 304);
        let kind = if family == Family::V4 { (3, 0) } else { (1, 0) };
        case!("RFC 1122 3.2.2, RFC 1812 4.3.2.7: the first piece is answered, the others are not")
            .of(family)
            .arrives(CLIENTS, &parts[0])
            .dropped(NoRoute)
            .error(CLIENTS, &told(kind, 1, &parts[0]))
            .arrives(CLIENTS, &parts[1])
            .dropped(NoRoute)
            .unanswered()
            .arrives(CLIENTS, &parts[2])
            .dropped(NoRoute)
            .unanswered()
            .holds();
    }
}

#[test]
fn c41_not_about_broadcast_and_multicast_of_link_or_ip() {
    let broadcast = |packet: &[u8]| ether(arp::Mac::BROADCAST, server_mac(0), packet);
    let to = |dst: &str| with_ttl(datagram_of("198.18.0.9", dst), 1);
    case!("RFC 1122 3.2.2, RFC 1812 4.3.2.7: whatever else is wrong with it")
        .called("v4")
        .arrives(RACK, &broadcast(&to("100.64.99.9")))
        .dropped(IpLinkCast)
        .arrives(RACK, &from_rack(&to("239.1.2.3")))
        .dropped(IpMulticast)
        .arrives(RACK, &from_rack(&to("255.255.255.255")))
        .dropped(IpMulticast)
        .arrives(
            CLIENTS,
            &with_ttl(datagram_of("10.3.3.3", "192.0.2.255"), 1),
        )
        .dropped(TtlExpired)
        .unanswered()
        .arrives(CLIENTS, &datagram_of("10.3.3.3", "192.0.2.255"))
        .dropped(IpMulticast)
        .holds();
    let group = arp::Mac([0x33, 0x33, 0, 0, 0, 1]);
    let to = |dst: &str| with_ttl(datagram_of("2001:db8:18::9", dst), 1);
    case!("RFC 4443 2.4 (e.3), (e.4), (e.5): the same for IPv6")
        .called("v6")
        .arrives(RACK, &ether(group, server_mac(0), &to("2001:db8:99::9")))
        .dropped(IpLinkCast)
        .arrives(RACK, &from_rack(&to("ff0e::5")))
        .dropped(IpMulticast)
        .holds();
}

#[test]
fn c42_not_to_a_source_that_is_no_single_host() {
    let mut case = case!(
        "RFC 1122 3.2.2, RFC 1812 4.3.2.7: none to nobody, to a group, to everybody, to loopback"
    )
    .called("v4");
    for src in [
        "0.0.0.0",
        "127.0.0.1",
        "224.0.0.9",
        "255.255.255.255",
        "240.0.0.1",
    ] {
        let packet = with_ttl(datagram_of(src, "100.64.99.9"), 1);
        case = case.arrives(CLIENTS, &packet).dropped(IpBadSource);
    }
    case.holds();
    let mut case = case!("RFC 4443 2.4 (e.6): the same for IPv6").called("v6");
    for src in ["::", "::1", "ff02::9"] {
        let packet = with_ttl(datagram_of(src, "2001:db8:99::9"), 1);
        case = case.arrives(CLIENTS, &packet).dropped(IpBadSource);
    }
    case.holds();
}

#[test]
fn c43_quotes_the_header_and_as_much_as_576_bytes_allow() {
    let mut case = case!(
        "RFC 1812 4.3.2.3: the datagram as it came, TTL and checksum too, the error 576 bytes at most"
    );
    for (n, len) in (1..).zip([0, 1, 8, 519, 520, 521, 1400]) {
        let packet = udp(client(Family::V4), nowhere(Family::V4), &vec![0x5a; len]);
        let answer = told((3, 0), n, &packet);
        assert_eq!(answer.len(), (28 + packet.len()).min(576));
        case = case
            .arrives(CLIENTS, &packet)
            .dropped(NoRoute)
            .error(CLIENTS, &answer);
    }
    // A protocol with less than 8 bytes behind the header: all there is.
    let bare = {
        let (src, dst) = (client(Family::V4).ip(), nowhere(Family::V4).ip());
        ip_packet(src, dst, IpProtocol::from(200), 64, b"abc")
    };
    case.arrives(CLIENTS, &bare)
        .dropped(NoRoute)
        .error(CLIENTS, &told((3, 0), 8, &bare))
        .holds();
}

#[test]
fn c44_comes_from_an_address_of_the_interface_that_it_leaves_by_with_a_fresh_ttl() {
    for (family, by_rack, src) in [
        (Family::V4, "192.0.2.1", "192.0.2.11"),
        (Family::V6, "fd00:2::1", "fd00:2::11"),
    ] {
        let from_clients = with_ttl(lost(family), 3);
        let from_server = with_ttl(datagram_of(src, &nowhere(family).ip().to_string()), 7);
        let kind = if family == Family::V4 { (3, 0) } else { (1, 0) };
        let by_rack = Error {
            from: by_rack,
            kind,
            rest: 0,
            no: 2,
        };
        case!("RFC 1812 4.3.2.4, 4.3.2.5, RFC 4443 2.2 (b): the sending interface's address, TTL 64, precedence 6")
            .of(family)
            .arrives(CLIENTS, &from_clients)
            .dropped(NoRoute)
            .error(CLIENTS, &told(kind, 1, &from_clients))
            .arrives(RACK, &from_rack(&from_server))
            .dropped(NoRoute)
            .error(RACK, &to_rack(&error(by_rack, &from_server)))
            .holds();
    }
}

fn is_told(case: Case, packet: &[u8], reason: DropReason, kind: (u8, u8)) {
    case.arrives(CLIENTS, packet)
        .dropped(reason)
        .error(CLIENTS, &told(kind, 1, packet))
        .holds();
}

#[test]
fn c45_no_route_is_network_unreachable() {
    let case = case!("RFC 1812 5.2.7.1: 3/0; RFC 4443 3.1: 1/0");
    is_told(case.called("v4"), &lost(Family::V4), NoRoute, (3, 0));
    let case = case!("RFC 1812 5.2.7.1: 3/0; RFC 4443 3.1: 1/0");
    is_told(case.called("v6"), &lost(Family::V6), NoRoute, (1, 0));
}

#[test]
fn c45_a_reject_route_is_answered() {
    let packet = datagram_of("10.3.3.3", "100.64.9.9");
    is_told(
        case!("FreeBSD's -reject: 3/1").called("v4"),
        &packet,
        Reject,
        (3, 1),
    );
    let packet = datagram_of("fd10::3", "2001:db8:9::9");
    is_told(
        case!("RFC 4443 3.1: reject route to destination, 1/6").called("v6"),
        &packet,
        Reject,
        (1, 6),
    );
}

#[test]
fn c45_a_blackhole_is_silent() {
    case!("FreeBSD's -blackhole: silently discarded")
        .arrives(CLIENTS, &datagram_of("10.3.3.3", "100.64.8.8"))
        .dropped(Blackhole)
        .arrives(CLIENTS, &datagram_of("fd10::3", "2001:db8:8::8"))
        .dropped(Blackhole)
        .holds();
}

/// Packets that draw an error of one class each, from as many sources as asked.
fn drawing(class: &str, n: u32, one_source: bool) -> Vec<u8> {
    let n_src = if one_source { 1 } else { n };
    let src: SocketAddr = format!("10.77.{}.{}:4000", n_src >> 8, n_src & 255)
        .parse()
        .expect("a source");
    let to = |dst: &str| udp(src, SocketAddr::new(ip(dst), 53), &[0; 100]);
    match class {
        "unreachable" => to("100.64.99.9"),
        "time exceeded" => with_ttl(to("203.0.113.10"), 1),
        "too big" => udp(
            src,
            "203.0.113.10:53".parse().expect("a server"),
            &[0; 1600],
        ),
        "parameter problem" => {
            let mut packet =
                flowgate_tests::net::zoo::with_options(&to("203.0.113.10"), &[68, 1, 0, 0]);
            fix_header(&mut packet);
            packet
        }
        _ => panic!("no class is called {class}"),
    }
}

/// What such packets are dropped for.
fn dropped_for(class: &str) -> DropReason {
    match class {
        "unreachable" => NoRoute,
        "time exceeded" => TtlExpired,
        "too big" => TooBig,
        _ => IpOptions,
    }
}

#[test]
fn c46_every_class_of_errors_is_limited_in_all_and_by_source() {
    for class in [
        "unreachable",
        "time exceeded",
        "too big",
        "parameter problem",
    ] {
        for (one_source, at_most) in [(true, 100), (false, 400)] {
            limited(class, one_source, at_most);
        }
    }
}

fn limited(class: &str, one_source: bool, at_most: u64) {
    let mut scene = Scene::new(1, Scene::setup(2), 46);
    scene.know_servers();
    let (flood, reason) = (3000, dropped_for(class));
    let what = format!("{class}, one source: {one_source}");
    // Only a packet that is too big has been looked up before it is dropped: its flow is known from then on.
    let known = |again: u32| u64::from(again) * u64::from(reason == TooBig);
    let growth = Growth::of(&mut scene.net);
    for n in 0..flood {
        scene.net.send(CLIENTS, drawing(class, n, one_source));
    }
    scene.net.run_for(10);
    let sent = scene.net.take_caught().len() as u64;
    assert!((10..=at_most).contains(&sent), "{what}: {sent} sent");
    let growth = growth.dropped(reason, Family::V4, flood.into());
    let growth = growth.counts("icmp_limited", u64::from(flood) - sent);
    growth
        .errors(sent)
        .counts("pinned", known(if one_source { flood - 1 } else { 0 }))
        .holds(&mut scene.net, &what);
    // It opens again with time.
    let growth = Growth::of(&mut scene.net);
    scene.net.run_for(5000);
    scene.net.send(CLIENTS, drawing(class, 9, one_source));
    scene.net.run_for(10);
    assert_eq!(scene.net.take_caught().len(), 1, "{what}");
    let growth = growth.dropped(reason, Family::V4, 1).errors(1);
    growth
        .counts("pinned", known(1))
        .holds(&mut scene.net, &what);
    scene.finish();
}

#[test]
fn c46_a_flood_of_one_class_does_not_silence_another() {
    let mut scene = Scene::new(1, Scene::setup(1), 47);
    scene.know_servers();
    let (growth, flood) = (Growth::of(&mut scene.net), 3000);
    for n in 0..flood {
        scene.net.send(CLIENTS, drawing("time exceeded", n, false));
    }
    scene.net.run_for(10);
    let sent = scene.net.take_caught().len() as u64;
    let packet = udp(
        "10.99.0.1:9".parse().expect("a source"),
        "100.64.99.9:9".parse().expect("nobody"),
        b"x",
    );
    scene.net.send(CLIENTS, packet);
    scene.net.run_for(10);
    assert_eq!(scene.net.take_caught().len(), 1);
    growth
        .dropped(TtlExpired, Family::V4, flood.into())
        .dropped(NoRoute, Family::V4, 1)
        .errors(sent + 1)
        .counts("icmp_limited", u64::from(flood) - sent)
        .holds(&mut scene.net, "two classes");
    scene.finish();
}

#[test]
fn c47_source_quench_is_never_sent_and_not_obeyed() {
    // However much there is: what the limits refuse is refused in silence.
    let mut scene = Scene::new(1, Scene::setup(1), 48);
    scene.know_servers();
    let (growth, flood) = (Growth::of(&mut scene.net), 3000);
    for n in 0..flood {
        scene.net.send(CLIENTS, drawing("unreachable", n, true));
    }
    scene.net.run_for(100);
    let sent = scene.net.take_caught();
    for sent in &sent {
        assert_eq!(
            (sent.bytes[9], sent.bytes[20]),
            (1, 3),
            "an unreachable and nothing else"
        );
    }
    let (sent, flood) = (sent.len() as u64, u64::from(flood));
    growth
        .dropped(NoRoute, Family::V4, flood)
        .errors(sent)
        .counts("icmp_limited", flood - sent)
        .holds(&mut scene.net, "no quench");
    // One that is for us changes nothing.
    let quench = icmp_error(
        ip("10.9.9.9"),
        &udp("10.0.0.1:9".parse().expect("us"), client(Family::V4), b"x"),
        4,
        0,
        0,
    );
    case!("RFC 6633: deprecated; one that is for the gateway is taken and forgotten")
        .arrives(CLIENTS, &{
            let mut packet = quench;
            packet[16..20].copy_from_slice(&[10, 0, 0, 1]);
            fix_header(&mut packet);
            packet
        })
        .delivered()
        .holds();
}

#[test]
fn c49_redirects_that_are_received_are_ignored() {
    // A host would learn that 203.0.113.10 is better reached by 192.0.2.12.
    let about = datagram(Family::V4);
    let mut redirect = icmp_error(
        ip("192.0.2.11"),
        &about,
        5,
        1,
        u32::from_be_bytes([192, 0, 2, 12]),
    );
    redirect[16..20].copy_from_slice(&[192, 0, 2, 1]);
    fix_header(&mut redirect);
    case!("RFC 1812 5.2.7.2: a router that forwards obeys no redirect; routes stay")
        .called("v4")
        .arrives(RACK, &from_rack(&redirect))
        .delivered()
        .arrives(CLIENTS, &about)
        .goes_on(RACK, &to_rack(&flowgate_tests::conform::hop(&about)))
        .holds();
    let about = datagram(Family::V6);
    let target = ["fd00:2::12", "2001:db8:113::10"];
    let mut body = vec![137, 0, 0, 0, 0, 0, 0, 0];
    for addr in target {
        let std::net::IpAddr::V6(addr) = ip(addr) else {
            panic!("no IPv6")
        };
        body.extend_from_slice(&addr.octets());
    }
    let (src, dst) = (
        "fe80::11".parse().expect("a router"),
        "fd00:2::1".parse().expect("us"),
    );
    smoltcp::wire::Icmpv6Packet::new_unchecked(&mut body[..]).fill_checksum(&src, &dst);
    let redirect = ip_packet(src.into(), dst.into(), IpProtocol::Icmpv6, 255, &body);
    case!("RFC 4861 8.2: a router does not update its routes by a redirect")
        .called("v6")
        .arrives(RACK, &from_rack(&redirect))
        .counts("consumed", 1)
        .counts("consumed_arp", 1)
        .ignored(arp::Ignored::Redirect)
        .arrives(CLIENTS, &about)
        .goes_on(RACK, &to_rack(&flowgate_tests::conform::hop(&about)))
        .holds();
}

#[test]
fn c45_protocols_that_nobody_knows_are_told_of_too() {
    let mut packet = ip4(200, b"conformance");
    packet[16..20].copy_from_slice(&[100, 64, 99, 9]);
    fix_header(&mut packet);
    is_told(
        case!("RFC 1812 5.2.7.1: whatever the packet carries"),
        &packet,
        NoRoute,
        (3, 0),
    );
}
