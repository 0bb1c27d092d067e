//! C23 to C27, C63 and C64: what a hop costs a packet, and that nothing else in it changes.

use flowgate_tests::case;
use flowgate_tests::conform::{
    Error, GATEWAY, GATEWAY6, bare, datagram, error, from_rack, hop, to_rack,
};
use flowgate_tests::net::BOTH;
use flowgate_tests::net::craft::{echo_request, fix_header, is_v6, ttl, with_ttl};
use flowgate_tests::rack::{CLIENTS, Family, RACK};
use flowgate_tests::sim::ip;
use stack::fate::DropReason::{IpMulticast, TtlExpired};

/// The gateway's "time exceeded" about a packet that came from the clients.
fn exceeded(about: &[u8], no: u16) -> Vec<u8> {
    let (from, kind) = if is_v6(about) {
        (GATEWAY6, (3, 0))
    } else {
        (GATEWAY, (11, 0))
    };
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

fn is_answered(family: Family, about: &str) {
    let (one, zero) = (with_ttl(datagram(family), 1), with_ttl(datagram(family), 0));
    let case = flowgate_tests::conform::Case::new(
        about,
        "RFC 1812 5.3.1, RFC 8200 3: a packet whose time is up is not forwarded, its sender is told, with the bytes that came",
    );
    case.arrives(CLIENTS, &one)
        .dropped(TtlExpired)
        .error(CLIENTS, &exceeded(&one, 1))
        .arrives(CLIENTS, &zero)
        .dropped(TtlExpired)
        .error(CLIENTS, &exceeded(&zero, 2))
        .holds();
}

#[test]
fn c23_ttl_1_is_answered_and_not_forwarded() {
    is_answered(Family::V4, "c23_ttl_1_is_answered_and_not_forwarded::here");
}

#[test]
fn c64_hop_limit_1_is_answered_and_not_forwarded() {
    is_answered(
        Family::V6,
        "c64_hop_limit_1_is_answered_and_not_forwarded::here",
    );
}

#[test]
fn c24_ttl_goes_down_by_exactly_one() {
    for family in BOTH {
        let mut case = case!("RFC 1812 5.3.1, RFC 8200 3: one less, never none").of(family);
        for (n, ttl) in [255, 128, 65, 64, 3, 2].into_iter().enumerate() {
            let packet = with_ttl(datagram(family), ttl);
            case = case
                .arrives(CLIENTS, &packet)
                .goes_on(RACK, &to_rack(&with_ttl(packet.clone(), ttl - 1)))
                .counts("pinned", u64::from(n > 0));
        }
        case.holds();
    }
}

#[test]
fn c25_ttl_1_to_an_own_address_is_accepted() {
    for (family, client, own) in [
        (Family::V4, "10.3.3.3", "192.0.2.1"),
        (Family::V6, "fd10::3", "fd00:2::1"),
    ] {
        let mut case =
            case!("RFC 1122 3.2.1.7, RFC 1812 5.3.1: the last hop does not count").of(family);
        for left in [1, 0] {
            let request = with_ttl(
                echo_request(ip(client), ip(own), 7, 9, b"conformance"),
                left,
            );
            let reply = reply_to(&request);
            case = case.arrives(CLIENTS, &request).echo(CLIENTS, &reply);
        }
        case.holds();
    }
}

/// The reply to an echo request, in the same bytes.
fn reply_to(request: &[u8]) -> Vec<u8> {
    use smoltcp::wire::{Icmpv4Packet, Icmpv6Packet, Ipv6Packet};
    let mut reply = with_ttl(request.to_vec(), 64);
    if is_v6(request) {
        reply[8..40].rotate_left(16);
        let ends = Ipv6Packet::new_unchecked(&reply[..]);
        let (src, dst) = (ends.src_addr(), ends.dst_addr());
        reply[40] = 129;
        Icmpv6Packet::new_unchecked(&mut reply[40..]).fill_checksum(&src, &dst);
    } else {
        reply[12..20].rotate_left(4);
        reply[20] = 0;
        Icmpv4Packet::new_unchecked(&mut reply[20..]).fill_checksum();
        fix_header(&mut reply);
    }
    reply
}

#[test]
fn c26_ttl_1_to_a_group_is_not_answered() {
    for (family, src, dst) in [
        (Family::V4, "10.3.3.3", "239.1.2.3"),
        (Family::V6, "fd10::3", "ff0e::5"),
    ] {
        let packet = with_ttl(flowgate_tests::conform::datagram_of(src, dst), 1);
        case!("RFC 1122 3.2.2, RFC 4443 2.4 (e.3): no time exceeded about multicast (OVN's fault 98e57ea)")
            .of(family)
            .arrives(CLIENTS, &packet)
            .dropped(IpMulticast)
            .arrives(RACK, &from_rack(&packet))
            .dropped(IpMulticast)
            .holds();
    }
}

#[test]
fn c27_checksum_by_difference_equals_the_full_one() {
    // Every sum that the rest of a header can have, times every TTL: RFC 1624 with its corner of two zeros.
    let mut header = datagram(Family::V4)[..20].to_vec();
    for id in 0..=u16::MAX {
        header[4..6].copy_from_slice(&id.to_be_bytes());
        header[8] = u8::MAX;
        fix_header(&mut header);
        for ttl in (0..u8::MAX).rev() {
            stack::checksum::ip_ttl_dec(&mut header, false);
            let by_difference = [header[10], header[11]];
            fix_header(&mut header);
            assert_eq!(
                (header[8], [header[10], header[11]]),
                (ttl, by_difference),
                "identification {id}"
            );
        }
    }
}

#[test]
fn c27_checksum_at_both_zeros_is_right_on_the_wire() {
    let mut case = case!(
        "RFC 1624: headers whose checksum is next to 0x0000 and 0xffff, before the hop or after it"
    );
    let mut first = true;
    for wanted in [0x0000u16, 0x0001, 0x00ff, 0x0100, 0xfeff, 0xff00, 0xfffe] {
        let packet = with_checksum(wanted);
        case = case
            .arrives(CLIENTS, &packet)
            .goes_on(RACK, &to_rack(&hop(&packet)))
            .counts("pinned", u64::from(!std::mem::take(&mut first)));
    }
    case.holds();
}

/// The datagram, with the identification that gives its header this checksum.
fn with_checksum(wanted: u16) -> Vec<u8> {
    let mut packet = datagram(Family::V4);
    for id in 0..=u16::MAX {
        packet[4..6].copy_from_slice(&id.to_be_bytes());
        fix_header(&mut packet);
        if packet[10..12] == wanted.to_be_bytes() {
            return packet;
        }
    }
    panic!("no identification gives {wanted:04x}");
}

#[test]
fn c63_dscp_and_ecn_are_copied_unchanged() {
    for family in BOTH {
        let mut case =
            case!("RFC 2474, RFC 3168: traffic class and flow label stay as they are").of(family);
        for (n, class) in [0x00u8, 0x01, 0x03, 0x2e << 2 | 2, 0xb8, 0xff]
            .into_iter()
            .enumerate()
        {
            let mut packet = datagram(family);
            match family {
                Family::V4 => packet[1] = class,
                Family::V6 => {
                    packet[..4].copy_from_slice(
                        &(6 << 28 | u32::from(class) << 20 | 0xabcde).to_be_bytes(),
                    );
                }
            }
            fix_header(&mut packet);
            case = case
                .arrives(CLIENTS, &packet)
                .goes_on(RACK, &to_rack(&hop(&packet)))
                .counts("pinned", u64::from(n > 0));
        }
        case.holds();
    }
}

#[test]
fn the_helpers_do_what_they_say() {
    let packet = datagram(Family::V4);
    assert_eq!(ttl(&hop(&packet)), 63);
    assert_eq!(bare(&to_rack(&packet)), packet);
}
