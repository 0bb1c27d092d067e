//! Packets for the gateway itself that come in pieces, and what its own sockets answer: the host's part of C46, C50 and C51.

use crate::echo::{looks_for, reply_to};
use flowgate_tests::case;
use flowgate_tests::conform::{Case, Error, Growth, WEST_MAC, error, from_rack, to_rack};
use flowgate_tests::frames::{ether, ip_packet, udp};
use flowgate_tests::net::craft::{echo_request, fix_header, is_v6, pieces};
use flowgate_tests::net::{BOTH, Scene};
use flowgate_tests::rack::{CLIENTS, Family, GATEWAY_MAC, RACK, server_mac};
use flowgate_tests::sim::ip;
use smoltcp::wire::IpProtocol;
use std::net::SocketAddr;

/// The gateway's address on `clients`.
fn own(family: Family) -> &'static str {
    match family {
        Family::V4 => "10.0.0.1",
        Family::V6 => "fd10::1",
    }
}

fn client(family: Family) -> &'static str {
    match family {
        Family::V4 => "10.3.3.3",
        Family::V6 => "fd10::3",
    }
}

/// A datagram to a port of ours that nobody listens on.
fn to_closed(family: Family, from: &str) -> Vec<u8> {
    let (src, dst) = (
        SocketAddr::new(ip(from), 4000),
        SocketAddr::new(ip(own(family)), 9),
    );
    udp(src, dst, b"anybody?")
}

#[test]
fn c46_an_error_of_our_own_sockets_is_marked_like_any_other() {
    for family in BOTH {
        let packet = to_closed(family, client(family));
        let kind = if family == Family::V4 { (3, 3) } else { (1, 4) };
        let told = Error {
            from: own(family),
            kind,
            rest: 0,
            no: 1,
        };
        case!("RFC 1122 4.1.3.1, RFC 4443 3.1: port unreachable; RFC 1812 4.3.2.5: precedence 6")
            .of(family)
            .arrives(CLIENTS, &packet)
            .delivered()
            .counts("originated", 1)
            .counts("icmp_sent", 1)
            .leaves(CLIENTS, &error(told, &packet))
            .holds();
    }
}

#[test]
fn c46_errors_of_our_own_sockets_are_limited_by_source_and_in_all() {
    for family in BOTH {
        // All of the clients' IPv6 network is one source.
        let many = if family == Family::V4 { 400 } else { 100 };
        for (sources, at_most) in [(1u16, 100), (1000, many)] {
            let mut scene = Scene::new(1, Scene::setup(2), 46);
            scene.know_servers();
            let growth = Growth::of(&mut scene.net);
            let from = |n: u16| match family {
                Family::V4 => format!("10.99.{}.{}", (n % sources) / 256, n % sources % 256),
                Family::V6 => format!("fd10::99:{:x}", n % sources),
            };
            for n in 0..2000 {
                scene.net.send(CLIENTS, to_closed(family, &from(n)));
                if n % 50 == 49 {
                    scene.net.settle();
                }
            }
            scene.net.run_for(10);
            let sent = scene.net.take_caught().len() as u64;
            let what = format!("{family:?}, {sources} sources");
            assert!((10..=at_most).contains(&sent), "{what}: {sent} sent");
            let growth = growth.delivered(family, 2000).errors(sent);
            growth
                .counts("icmp_limited", 2000 - sent)
                .holds(&mut scene.net, &what);
            // It opens again with time.
            let growth = Growth::of(&mut scene.net);
            scene.net.run_for(5000);
            scene.net.send(CLIENTS, to_closed(family, &from(9)));
            scene.net.run_for(10);
            assert_eq!(scene.net.take_caught().len(), 1, "{what}");
            let growth = growth.delivered(family, 1).errors(1);
            growth.holds(&mut scene.net, &what);
            scene.finish();
        }
    }
}

/// An IPv6 packet to the gateway's address on `clients` in pieces: behind the fragment header `next` and `payload`.
fn in_pieces(next: u8, payload: &[u8]) -> Vec<Vec<u8>> {
    pieces(&whole6(next, payload), 77, 16)
}

fn whole6(next: u8, payload: &[u8]) -> Vec<u8> {
    let proto = IpProtocol::from(next);
    ip_packet(ip("fd10::3"), ip("fd10::1"), proto, 64, payload)
}

fn arrive(case: Case, parts: &[Vec<u8>]) -> Case {
    parts
        .iter()
        .fold(case, |case, part| case.arrives(CLIENTS, part).delivered())
}

#[test]
fn c51_headers_of_a_datagram_in_pieces_are_looked_at_like_those_of_a_whole_one() {
    // What is wrong; the header in front of an echo request, and its number; code and pointer of the answer.
    let rows = [
        (
            "an_option_to_be_silent_about",
            60,
            [58, 0, 0x5e, 4, 0, 0, 0, 0],
            None,
        ),
        (
            "an_option_to_be_told_of",
            60,
            [58, 0, 0x9e, 4, 0, 0, 0, 0],
            Some((2, 42)),
        ),
        (
            "a_route_with_segments_left",
            43,
            [58, 0, 4, 1, 0, 0, 0, 0],
            Some((0, 42)),
        ),
        (
            "nothing_behind_the_headers",
            60,
            [59, 0, 1, 4, 0, 0, 0, 0],
            None,
        ),
        ("nothing_behind_no_header", 59, [0; 8], None),
    ];
    for (name, next, header, answer) in rows {
        let echo = echo_request(ip("fd10::3"), ip("fd10::1"), 7, 7, b"fine");
        let payload = [&header[..], &echo[40..]].concat();
        let mut case = arrive(
            case!("RFC 8200 4.2, 4.4, 4.7: as of a packet that came whole; nothing is answered where that says so")
                .called(name),
            &in_pieces(next, &payload),
        )
        .counts("own_pieces_dropped", 1);
        if let Some((code, pointer)) = answer {
            let told = Error {
                from: "fd10::1",
                kind: (4, code),
                rest: pointer,
                no: 0,
            };
            case = case
                .counts("originated", 1)
                .counts("icmp_sent", 1)
                .leaves(CLIENTS, &error(told, &whole6(next, &payload)));
        }
        case.holds();
    }
}

#[test]
fn c51_nothing_is_answered_about_an_error_in_pieces() {
    let about = udp(
        "[fd10::1]:9".parse().expect("ours"),
        "[fd10::3]:9".parse().expect("theirs"),
        b"a quote",
    );
    let message = [
        &[58, 0, 1, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0][..],
        &about,
    ]
    .concat();
    arrive(
        case!("RFC 4443 2.4 (e.1): padding, then a destination unreachable"),
        &in_pieces(60, &message),
    )
    .counts("reassembled", 1)
    .holds();
}

#[test]
fn c51_padding_in_front_of_an_echo_request_in_pieces_does_no_harm() {
    let echo = echo_request(ip("fd10::3"), ip("fd10::1"), 7, 7, b"fine");
    let payload = [&[58, 0, 1, 4, 0, 0, 0, 0][..], &echo[40..]].concat();
    arrive(
        case!("RFC 8200 4.2, RFC 4443 4.2: answered without the options"),
        &in_pieces(60, &payload),
    )
    .counts("reassembled", 1)
    .counts("originated", 1)
    .leaves(CLIENTS, &reply_to(&echo))
    .holds();
}

#[test]
fn c50_a_request_in_pieces_to_an_address_of_one_link_is_answered_on_that_link() {
    for (port, name, mac, host) in [(RACK, "rack", GATEWAY_MAC, 0), (2, "west", WEST_MAC, 2)] {
        let request = echo_request(ip("fe80::99"), ip("fe80::1"), 7, 7, &[0x5a; 2000]);
        let (question, answer) = looks_for(mac, host);
        let mut case = case!("RFC 4007 6, 9: by the port that it came by").called(name);
        for part in pieces(&request, 5, 1448) {
            let frame = ether(mac, server_mac(host), &part);
            case = case.arrives(port, &frame).delivered();
        }
        case = case
            .counts("reassembled", 1)
            .says("solicitations sent", port, &question.solicit())
            .arrives(port, &answer.advert())
            .heard("advertisements received");
        for piece in pieces(&reply_to(&request), 1, 1448) {
            let frame = ether(server_mac(host), mac, &piece);
            case = case.counts("originated", 1).leaves(port, &frame);
        }
        case.holds();
    }
}

#[test]
fn c51_a_reply_is_cut_to_what_its_way_takes() {
    for (family, from, to) in [
        (Family::V4, "100.64.2.9", "192.0.2.1"),
        (Family::V6, "2001:db8:1280::10", "fd00:2::1"),
    ] {
        let mtu = if family == Family::V4 { 576 } else { 1280 };
        let request = echo_request(ip(from), ip(to), 7, 7, &[0x5a; 2000]);
        let reply = reply_to(&request);
        let mut case =
            case!("RFC 8200 5, RFC 1191 4: an MTU that is known is kept by our own packets too")
                .of(family);
        let parts = pieces(&request, 9, 1448);
        let last = parts.len() - 1;
        for (n, part) in parts.iter().enumerate() {
            case = case.arrives(RACK, &from_rack(part)).delivered();
            if n == last {
                case = case.counts("reassembled", 1);
                for piece in cut(&reply, mtu, if family == Family::V4 { 9 } else { 1 }) {
                    case = case.counts("originated", 1).leaves(RACK, &to_rack(&piece));
                }
            }
        }
        case.holds();
    }
}

fn cut(packet: &[u8], mtu: usize, id: u32) -> Vec<Vec<u8>> {
    let heads = if is_v6(packet) { 48 } else { 20 };
    pieces(packet, id, (mtu - heads) / 8 * 8)
}

#[test]
fn c51_a_reply_to_a_whole_request_is_cut_too() {
    for (family, from, to) in [
        (Family::V4, "100.64.2.9", "192.0.2.1"),
        (Family::V6, "2001:db8:1280::10", "fd00:2::1"),
    ] {
        let mtu = if family == Family::V4 { 576 } else { 1280 };
        let mut request = echo_request(ip(from), ip(to), 7, 7, &[0x5a; 1400]);
        let mut reply = reply_to(&request);
        if family == Family::V4 {
            // Who forbids splitting his request says nothing of the reply.
            request[4..8].copy_from_slice(&[0x12, 0x34, 0x40, 0]);
            fix_header(&mut request);
            reply[4..8].copy_from_slice(&[0x12, 0x34, 0, 0]);
            fix_header(&mut reply);
        }
        let parts = cut(&reply, mtu, if family == Family::V4 { 0x1234 } else { 1 });
        let mut case = case!("RFC 4443 4.2: every node answers; RFC 8200 5: the source splits")
            .of(family)
            .arrives(RACK, &from_rack(&request))
            .counts("consumed", 1)
            .counts("consumed_echo", 1)
            .counts("originated", 1)
            .counts("fragmented", 1)
            .counts("extra_pieces", parts.len() as u64 - 1);
        for part in parts {
            case = case.leaves(RACK, &to_rack(&part));
        }
        case.holds();
    }
}

#[test]
fn c51_who_sent_the_first_piece_of_what_did_not_become_whole_is_told() {
    for family in BOTH {
        let request = echo_request(ip(client(family)), ip(own(family)), 7, 7, &[0x5a; 2000]);
        let parts = pieces(&request, 9, 1448);
        let kind = if family == Family::V4 {
            (11, 1)
        } else {
            (3, 1)
        };
        let told = Error {
            from: own(family),
            kind,
            rest: 0,
            no: 1,
        };
        case!("RFC 1122 3.3.2, RFC 8200 4.5: after a minute")
            .called("with_the_first_piece")
            .of(family)
            .arrives(CLIENTS, &parts[0])
            .delivered()
            .wait(59_000)
            .wait(1_100)
            .counts("own_pieces_late", 1)
            .counts("originated", 1)
            .counts("icmp_sent", 1)
            .leaves(CLIENTS, &error(told, &parts[0]))
            .holds();
        case!("RFC 792, RFC 8200 4.5: nothing without the first piece")
            .called("without_it")
            .of(family)
            .arrives(CLIENTS, &parts[1])
            .delivered()
            .wait(61_000)
            .counts("fragments_blind", 1)
            .counts("own_pieces_late", 1)
            .holds();
    }
}
