//! C50: echo. The gateway's addresses answer, whatever port the request comes by.

use flowgate_tests::case;
use flowgate_tests::conform::{Error, Nd, error, from_rack, to_rack};
use flowgate_tests::frames::{ether, ip_packet};
use flowgate_tests::net::BOTH;
use flowgate_tests::net::craft::{echo_request, fix_header, is_v6, pieces, with_ttl};
use flowgate_tests::net::zoo::{with_extension, with_options};
use flowgate_tests::rack::{CLIENTS, Family, RACK, server_mac};
use flowgate_tests::sim::ip;
use smoltcp::wire::{Icmpv4Packet, Icmpv6Packet, IpProtocol, Ipv6Packet};
use stack::fate::DropReason::{
    FragmentBad, FragmentTiny, IcmpSum, Ip6Unknown, IpLinkCast, IpMulticast,
};

/// The reply to an echo request: ends exchanged, TTL 64, everything else as it was.
pub(crate) fn reply_to(request: &[u8]) -> Vec<u8> {
    let mut reply = with_ttl(request.to_vec(), 64);
    if is_v6(request) {
        reply[8..40].rotate_left(16);
        let ends = Ipv6Packet::new_unchecked(&reply[..]);
        let (src, dst) = (ends.src_addr(), ends.dst_addr());
        reply[40] = 129;
        Icmpv6Packet::new_unchecked(&mut reply[40..]).fill_checksum(&src, &dst);
    } else {
        let at = usize::from(reply[0] & 15) * 4;
        reply[12..20].rotate_left(4);
        reply[at] = 0;
        Icmpv4Packet::new_unchecked(&mut reply[at..]).fill_checksum();
        fix_header(&mut reply);
    }
    reply
}

#[test]
fn c50_echo_is_answered_from_the_address_that_was_asked() {
    for family in BOTH {
        let (client, own) = match family {
            Family::V4 => ("10.3.3.3", ["10.0.0.1", "192.0.2.1", "198.51.100.1"]),
            Family::V6 => ("fd10::3", ["fd10::1", "fd00:2::1", "fd00:3::1"]),
        };
        let mut case = case!("RFC 1122 3.2.2.6, RFC 4443 4.2: source is the destination of the request; identifier, sequence and data intact").of(family);
        for (n, own) in (0..).zip(own) {
            for data in [&b""[..], b"x", &[0xff; 64], &[0x5a; 1400]] {
                let request = echo_request(ip(client), ip(own), 0xbeef, n, data);
                case = case
                    .arrives(CLIENTS, &request)
                    .echo(CLIENTS, &reply_to(&request));
            }
        }
        let (server, own) = match family {
            Family::V4 => ("192.0.2.11", "10.0.0.1"),
            Family::V6 => ("fd00:2::11", "fd10::1"),
        };
        let request = echo_request(ip(server), ip(own), 7, 7, b"from the rack");
        case.arrives(RACK, &from_rack(&request))
            .echo(RACK, &to_rack(&reply_to(&request)))
            .holds();
    }
}

#[test]
fn c50_echo_to_a_broadcast_or_group_is_ignored() {
    let mut case =
        case!("RFC 1122 3.2.2.6, FreeBSD's net.inet.icmp.bmcastecho=0: not answered").called("v4");
    for dst in ["192.0.2.255", "255.255.255.255", "224.0.0.1"] {
        let request = echo_request(ip("192.0.2.11"), ip(dst), 7, 7, b"all of you");
        case = case
            .arrives(RACK, &from_rack(&request))
            .dropped(IpMulticast)
            .arrives(RACK, &ether(arp::Mac::BROADCAST, server_mac(0), &request))
            .dropped(if dst == "192.0.2.255" {
                IpLinkCast
            } else {
                IpMulticast
            });
    }
    case.holds();
    let request = echo_request(ip("fd00:2::11"), ip("ff02::1"), 7, 7, b"all of you");
    case!("RFC 4443 4.2 allows an answer; a router is no target of a scan by groups")
        .called("v6")
        .arrives(
            RACK,
            &ether(arp::Mac([0x33, 0x33, 0, 0, 0, 1]), server_mac(0), &request),
        )
        .dropped(IpMulticast)
        .holds();
}

#[test]
fn c50_echo_with_a_bad_checksum_is_dropped() {
    for (family, client, own) in [
        (Family::V4, "10.3.3.3", "10.0.0.1"),
        (Family::V6, "fd10::3", "fd10::1"),
    ] {
        let mut request = echo_request(ip(client), ip(own), 7, 7, b"conformance");
        let last = request.len() - 1;
        request[last] ^= 1;
        case!("RFC 1122 3.2.2: a message whose checksum is wrong is discarded")
            .of(family)
            .arrives(CLIENTS, &request)
            .dropped(IcmpSum)
            .holds();
    }
}

#[test]
fn c50_options_stay_in_the_reply() {
    let request = with_options(
        &echo_request(ip("10.3.3.3"), ip("10.0.0.1"), 7, 7, b"label"),
        &[130, 4, 0xab, 0xcd],
    );
    case!("RFC 1122 3.2.2.6: options that need no work of the gateway come back")
        .arrives(CLIENTS, &request)
        .echo(CLIENTS, &reply_to(&request))
        .holds();
}

#[test]
fn c50_the_reserved_flag_does_not_come_back() {
    let request = echo_request(ip("10.3.3.3"), ip("10.0.0.1"), 7, 7, b"evil");
    let reply = reply_to(&request);
    let mut flagged = request;
    flagged[6] |= 0x80;
    fix_header(&mut flagged);
    case!("RFC 791 3.1: reserved, must be zero")
        .arrives(CLIENTS, &flagged)
        .echo(CLIENTS, &reply)
        .holds();
}

/// An echo request to the gateway with one extension header.
fn extended(number: u8, ext: [u8; 8]) -> Vec<u8> {
    let request = echo_request(ip("fd10::3"), ip("fd10::1"), 7, 7, b"extended");
    with_extension(&request, number, &ext)
}

#[test]
fn c50_extension_headers_that_ask_for_nothing_are_left_out_of_the_reply() {
    let plain = echo_request(ip("fd10::3"), ip("fd10::1"), 7, 7, b"extended");
    let mut case = case!(
        "RFC 8200 4.1, 4.2, 4.4: padding, options that may be skipped, a routing header that has done its work, an atomic fragment"
    );
    for (number, ext) in [
        (0, [58, 0, 1, 4, 0, 0, 0, 0]),
        (60, [58, 0, 0x1e, 4, 1, 2, 3, 4]),
        (43, [58, 0, 2, 0, 0, 0, 0, 0]),
        (44, [58, 0, 0, 0, 0, 0, 0, 7]),
    ] {
        case = case
            .arrives(CLIENTS, &extended(number, ext))
            .echo(CLIENTS, &reply_to(&plain));
    }
    case.holds();
}

#[test]
fn c50_extension_headers_that_ask_for_more_are_answered_or_not_as_they_say() {
    let mut case = case!(
        "RFC 8200 4.2: an unknown option of class 01 is discarded silently, of 10 and 11 answered 4/2 with a pointer to it; 4.4: an unknown routing type with segments left 4/0; 4.7: no next header, nothing"
    );
    for (number, ext, answer) in [
        (60, [58, 0, 0x5e, 4, 0, 0, 0, 0], None),
        (60, [58, 0, 0x9e, 4, 0, 0, 0, 0], Some((2, 42))),
        (0, [58, 0, 0xc2, 4, 0, 1, 0, 0], Some((2, 42))),
        (0, [58, 0, 1, 9, 0, 0, 0, 0], Some((0, 42))),
        (43, [58, 0, 2, 1, 0, 0, 0, 0], Some((0, 42))),
        (60, [59, 0, 1, 4, 0, 0, 0, 0], None),
    ] {
        let request = extended(number, ext);
        case = case.arrives(CLIENTS, &request).dropped(Ip6Unknown);
        if let Some((code, rest)) = answer {
            let told = Error {
                from: "fd10::1",
                kind: (4, code),
                rest,
                no: 0,
            };
            case = case.error(CLIENTS, &error(told, &request));
        }
    }
    case.holds();
}

/// The gateway's question for fe80::99 by the port with this hardware address, and the host's answer.
pub(crate) fn looks_for(mac: arp::Mac, host: usize) -> (Nd<'static>, Nd<'static>) {
    let question = Nd {
        to: arp::Mac([0x33, 0x33, 0xff, 0, 0, 0x99]),
        from: mac,
        ends: ("fe80::1", "ff02::1:ff00:99"),
        target: "fe80::99",
        lladdr: Some(mac),
        flags: 0,
        hops: 255,
    };
    let answer = Nd {
        to: mac,
        from: server_mac(host),
        ends: ("fe80::99", "fe80::1"),
        target: "fe80::99",
        lladdr: Some(server_mac(host)),
        flags: 0x60,
        hops: 255,
    };
    (question, answer)
}

#[test]
fn c50_link_local_echo_is_answered_on_its_own_link() {
    // Both Ethernet ports have fe80::1.
    for (port, mac, host) in [
        (RACK, flowgate_tests::rack::GATEWAY_MAC, 0),
        (2, flowgate_tests::conform::WEST_MAC, 2),
    ] {
        let request = echo_request(ip("fe80::99"), ip("fe80::1"), 7, 7, b"neighbour");
        let (solicited, answer) = looks_for(mac, host);
        case!("RFC 4007 6, 9: an address of one link is asked for, answered and looked for on that link")
            .called(if port == RACK { "rack" } else { "west" })
            .arrives(port, &ether(mac, server_mac(host), &request))
            .says("solicitations sent", port, &solicited.solicit())
            .arrives(port, &answer.advert())
            .heard("advertisements received")
            .echo(port, &ether(server_mac(host), mac, &reply_to(&request)))
            .holds();
    }
}

#[test]
fn c51_an_echo_request_in_pieces_is_put_together_and_answered_in_pieces() {
    for (family, own) in [(Family::V4, "192.0.2.1"), (Family::V6, "fd00:2::1")] {
        let src = flowgate_tests::conform::client(family).ip();
        let data: Vec<u8> = (0..4000).map(|i| i as u8).collect();
        let whole = echo_request(src, ip(own), 7, 7, &data);
        let reply = reply_to(&whole);
        // In order, then the last first: the first piece that comes is what the others wait for.
        for (order, name) in [([0, 1, 2], "in_order"), ([2, 1, 0], "backwards")] {
            let id = 0x1234;
            let parts = pieces(&whole, id, 1448);
            let mut case = case!("RFC 1122 3.3.2, RFC 8200 4.5: whole again, whatever the order; the reply is cut to the MTU")
                .called(name)
                .of(family);
            for (n, at) in order.into_iter().enumerate() {
                case = case.arrives(CLIENTS, &parts[at]).delivered();
                if n == 2 {
                    case = case.counts("reassembled", 1);
                    // Room for 1480 or 1448 bytes in a piece of 1500.
                    let (id, room) = if is_v6(&whole) { (1, 1448) } else { (id, 1480) };
                    for piece in pieces(&reply, id, room) {
                        case = case.counts("originated", 1).leaves(CLIENTS, &piece);
                    }
                }
            }
            case.holds();
        }
    }
}

/// A piece of a datagram from host 0 of `rack` to `to`: its fragment header says `next` and `word` (offset and M), and there is
/// a destination options header in front of it, if `behind` says so.
fn piece6(to: &str, behind: bool, next: u8, word: u16, payload: &[u8]) -> Vec<u8> {
    let front: &[u8] = if behind {
        &[44, 0, 1, 4, 0, 0, 0, 0]
    } else {
        &[]
    };
    let [high, low] = word.to_be_bytes();
    let body = [front, &[next, 0, high, low, 0, 0, 0, 9], payload].concat();
    let first = if behind { 60 } else { 44 };
    ip_packet(ip("fd00:2::11"), ip(to), IpProtocol::from(first), 64, &body)
}

fn told6(code: u8, pointer: u32, about: &[u8]) -> Vec<u8> {
    told6_by("fd00:2::1", code, pointer, about)
}

fn told6_by(from: &'static str, code: u8, pointer: u32, about: &[u8]) -> Vec<u8> {
    let told = Error {
        from,
        kind: (4, code),
        rest: pointer,
        no: 0,
    };
    to_rack(&error(told, about))
}

#[test]
fn c51_a_piece_for_us_that_fits_no_datagram_is_answered_with_a_pointer_to_why() {
    // 8 bytes at 65,528 are one too many, and so are 8 at 65,520 behind 8 more that the length counts.
    let pieces = [
        (piece6("fd00:2::1", false, 58, 1, &[0x80; 20]), 4),
        (piece6("fd00:2::1", true, 58, 1, &[0x80; 20]), 4),
        (piece6("fd00:2::1", false, 58, 65_528, &[0x80; 8]), 42),
        (piece6("fd00:2::1", true, 58, 65_520, &[0x80; 8]), 50),
    ];
    let elsewhere = piece6("fd10::1", false, 58, 1, &[0x80; 20]);
    let case = case!(
        "RFC 8200 4.5: a length that is no multiple of 8 with M set, 4/0 at the payload length; a datagram longer than 65,535, 4/0 at the fragment offset"
    );
    pieces
        .into_iter()
        .fold(case, |case, (piece, pointer)| {
            case.arrives(RACK, &from_rack(&piece))
                .dropped(FragmentBad)
                .error(RACK, &told6(0, pointer, &piece))
        })
        // RFC 4443 2.2 (a): from the address that it was sent to, by whichever port.
        .arrives(RACK, &from_rack(&elsewhere))
        .dropped(FragmentBad)
        .error(RACK, &told6_by("fd10::1", 0, 4, &elsewhere))
        // RFC 4443 2.4 (e): nothing about an error or a redirect.
        .arrives(
            RACK,
            &from_rack(&piece6("fd00:2::1", false, 58, 1, &[1; 20])),
        )
        .dropped(FragmentBad)
        .arrives(
            RACK,
            &from_rack(&piece6("fd00:2::1", true, 58, 1, &[137; 20])),
        )
        .dropped(FragmentBad)
        .holds();
}

#[test]
fn c51_a_first_piece_for_us_without_all_headers_is_answered() {
    // A TCP header of which four bytes are in another piece, and options that go on there.
    let tcp = piece6("fd00:2::1", false, 6, 1, &[0; 16]);
    let options = piece6("fd00:2::1", false, 60, 1, &[58, 1, 1, 4, 0, 0, 0, 0]);
    let case = case!("RFC 8200 4.5, RFC 7112 6: 4/3");
    [tcp, options]
        .into_iter()
        .fold(case, |case, piece| {
            case.arrives(RACK, &from_rack(&piece))
                .dropped(FragmentTiny)
                .error(RACK, &told6(3, 0, &piece))
        })
        .holds();
}

#[test]
fn c51_a_bad_piece_in_transit_or_of_ipv4_is_dropped_without_a_word() {
    let transit = "2001:db8:18::9";
    let case = case!(
        "RFC 8200 4.5 asks the destination for an answer, no router on the way; RFC 791 and 1122 ask for none"
    );
    let case = [
        (piece6(transit, false, 58, 1, &[0x5a; 20]), FragmentBad),
        (piece6(transit, false, 58, 65_528, &[0x5a; 8]), FragmentBad),
        (piece6(transit, false, 6, 1, &[0; 16]), FragmentTiny),
    ]
    .into_iter()
    .fold(case, |case, (piece, reason)| {
        case.arrives(RACK, &from_rack(&piece)).dropped(reason)
    });
    let mut v4 = ip_packet(
        ip("192.0.2.11"),
        ip("192.0.2.1"),
        IpProtocol::Icmp,
        64,
        &[0x5a; 20],
    );
    v4[6] = 0x20;
    fix_header(&mut v4);
    case.arrives(RACK, &from_rack(&v4))
        .dropped(FragmentBad)
        .holds();
}
