//! C28 to C33: packets that are too big for their way, and pieces in transit.

use flowgate_tests::case;
use flowgate_tests::conform::{Error, GATEWAY, client, cut, error, hop, to_rack};
use flowgate_tests::frames::udp;
use flowgate_tests::net::craft::{fix_header, pieces, with_df};
use flowgate_tests::net::zoo::with_options;
use flowgate_tests::net::{BOTH, craft};
use flowgate_tests::rack::{CLIENTS, Family, RACK};
use flowgate_tests::sim::ip;
use stack::fate::DropReason::TooBig;
use std::net::SocketAddr;

/// A datagram of `len` bytes in all from the client, DF clear, identification 0x1234.
fn sized(dst: &str, len: usize) -> Vec<u8> {
    let (src, dst) = (client(Family::V4), SocketAddr::new(ip(dst), 53));
    let payload: Vec<u8> = (0..len - 28).map(|i| i as u8).collect();
    let mut packet = with_df(udp(src, dst, &payload), false);
    packet[4..6].copy_from_slice(&[0x12, 0x34]);
    fix_header(&mut packet);
    packet
}

/// Whose way has which MTU.
const NARROW: [(&str, usize); 3] = [
    ("100.64.1.10", 68),
    ("100.64.2.10", 576),
    ("100.64.3.10", 1280),
];

fn rack(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    packets.iter().map(|packet| to_rack(packet)).collect()
}

#[test]
fn c28_df_and_too_big_is_answered_with_the_mtu() {
    let mut case = case!(
        "RFC 1191 4, RFC 1812 4.3.3.3: 3/4, the next hop's MTU in the low 16 bits, the packet dropped"
    );
    for (n, (dst, mtu)) in (1..).zip(NARROW) {
        let packet = with_df(sized(dst, mtu + 1), true);
        let told = Error {
            from: GATEWAY,
            kind: (3, 4),
            rest: mtu as u32,
            no: n,
        };
        case = case
            .arrives(CLIENTS, &packet)
            .dropped(TooBig)
            .error(CLIENTS, &error(told, &packet));
    }
    case.holds();
}

#[test]
fn c29_without_df_a_big_packet_is_cut() {
    let packet = sized("100.64.2.10", 1500);
    case!("RFC 791 3.2, RFC 1812 4.2.2.7: offsets of whole 8-byte units, MF on all but the last, as few pieces as can be")
        .called("plain")
        .arrives(CLIENTS, &packet)
        .goes_on_in_pieces(RACK, &rack(&cut(&hop(&packet), 576)))
        .holds();
    // A security label (130, copied), a router alert (148, copied), an experiment (30, not copied), no operation.
    let options = [130, 4, 0xab, 0xcd, 148, 4, 0, 0, 30, 4, 1, 2, 1, 1, 1, 0];
    let packet = with_options(&sized("100.64.2.10", 1400), &options);
    let expected = cut(&hop(&packet), 576);
    assert_eq!(expected[0][0], 0x49);
    assert_eq!(expected[1][0], 0x47, "two options of four are copied");
    case!("RFC 791 3.1: options with the copied flag are in every piece, the others in the first alone")
        .called("options")
        .arrives(CLIENTS, &packet)
        .goes_on_in_pieces(RACK, &rack(&expected))
        .holds();
}

#[test]
fn c30_a_piece_is_cut_again() {
    let whole = sized("100.64.2.10", 2828);
    let parts = pieces(&whole, 0x1234, 1000);
    let mut case = case!(
        "RFC 791 3.2: pieces of a piece have offsets in the datagram, and MF as the piece had it"
    );
    for (n, part) in parts.iter().enumerate() {
        case = case
            .arrives(CLIENTS, part)
            .goes_on_in_pieces(RACK, &rack(&cut(&hop(part), 576)))
            .counts("pinned", u64::from(n > 0));
    }
    case.holds();
}

#[test]
fn c31_pieces_in_transit_are_not_put_together() {
    for family in BOTH {
        let whole = match family {
            Family::V4 => udp(
                client(family),
                "203.0.113.10:53".parse().expect("a server"),
                &[7; 900],
            ),
            Family::V6 => udp(
                client(family),
                "[2001:db8:113::10]:53".parse().expect("a server"),
                &[7; 900],
            ),
        };
        let mut case =
            case!("RFC 1812 5.2.6, RFC 8200 4.5: each piece goes on as it came").of(family);
        for (n, piece) in pieces(&whole, 0x1234, 304).iter().enumerate() {
            case = case
                .arrives(CLIENTS, piece)
                .goes_on(RACK, &to_rack(&hop(piece)))
                .counts("pinned", u64::from(n > 0));
        }
        case.holds();
    }
}

#[test]
fn c32_identification_and_df_are_not_touched() {
    let mut case = case!(
        "RFC 6864 4.1, RFC 791: identification, DF and the reserved flag stay, in pieces too"
    );
    let mut first = true;
    for (id, flags) in [
        (0u16, 0x40u8),
        (0xffff, 0x40),
        (0xbeef, 0x00),
        (0x0001, 0x80),
        (0x0002, 0xc0),
    ] {
        let mut packet = sized("203.0.113.10", 100);
        packet[4..6].copy_from_slice(&id.to_be_bytes());
        packet[6] = flags;
        fix_header(&mut packet);
        case = case
            .arrives(CLIENTS, &packet)
            .goes_on(RACK, &to_rack(&hop(&packet)))
            .counts("pinned", u64::from(!std::mem::take(&mut first)));
    }
    let big = sized("100.64.2.10", 1000);
    case.arrives(CLIENTS, &big)
        .goes_on_in_pieces(RACK, &rack(&cut(&hop(&big), 576)))
        .holds();
}

#[test]
fn c33_mtu_at_its_bounds() {
    let mut case = case!(
        "RFC 791 3.2, RFC 1812 4.2.2.7, RFC 8200 5: at 68, 576 and 1280 what just fits goes whole, one byte more in two pieces"
    );
    for (dst, mtu) in NARROW {
        let (fits, over) = (sized(dst, mtu), sized(dst, mtu + 1));
        case = case
            .arrives(CLIENTS, &fits)
            .goes_on(RACK, &to_rack(&hop(&fits)))
            .arrives(CLIENTS, &over)
            .counts("pinned", 1)
            .goes_on_in_pieces(RACK, &rack(&cut(&hop(&over), mtu)));
    }
    case.holds();
}

#[test]
fn c63_dscp_and_ecn_are_in_every_piece() {
    let mut packet = sized("100.64.2.10", 1500);
    packet[1] = 0xbb;
    fix_header(&mut packet);
    let expected = cut(&hop(&packet), 576);
    assert!(
        expected
            .iter()
            .all(|piece| piece[1] == 0xbb && craft::is_piece(piece))
    );
    case!("RFC 2474, RFC 3168 5.3: the traffic class is that of the packet")
        .arrives(CLIENTS, &packet)
        .goes_on_in_pieces(RACK, &rack(&expected))
        .holds();
}
