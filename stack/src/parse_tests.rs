//! Every header cut at every length, every field at its extremes; options and transports.

#[path = "parse_tests/chance.rs"]
mod chance;
#[path = "parse_tests/extensions.rs"]
mod extensions;
#[path = "parse_tests/pieces.rs"]
mod pieces;
#[path = "parse_tests/quotes.rs"]
mod quotes;

use super::*;
use DropReason as D;

const SRC4: [u8; 4] = [192, 0, 2, 1];
const DST4: [u8; 4] = [198, 51, 100, 2];
const SRC6: u128 = 0x2001_0db8_0001 << 80 | 1;
const DST6: u128 = 0x2001_0db8_0002 << 80 | 2;

/// Changes an IPv4 packet and makes its header checksum right again.
fn with(packet: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut packet = packet.to_vec();
    change(&mut packet);
    let hlen = usize::from(packet[0] & 15) * 4;
    crate::checksum::fill_header(&mut packet, hlen);
    packet
}

fn ip4_options(proto: u8, options: &[u8], l4: &[u8]) -> Vec<u8> {
    let hlen = 20 + options.len();
    let mut p = vec![0; 20];
    p[0] = 0x40 | (hlen / 4) as u8;
    p[2..4].copy_from_slice(&((hlen + l4.len()) as u16).to_be_bytes());
    p[4..6].copy_from_slice(&[0xab, 0xcd]);
    (p[8], p[9]) = (63, proto);
    p[12..16].copy_from_slice(&SRC4);
    p[16..20].copy_from_slice(&DST4);
    p.extend_from_slice(options);
    p.extend_from_slice(l4);
    with(&p, |_| ())
}

fn ip4(proto: u8, l4: &[u8]) -> Vec<u8> {
    ip4_options(proto, &[], l4)
}

/// A piece: `word` is IPv4's flags and offset.
fn piece4(proto: u8, word: u16, l4: &[u8]) -> Vec<u8> {
    with(&ip4(proto, l4), |p| {
        p[6..8].copy_from_slice(&word.to_be_bytes())
    })
}

fn ip6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0x60, 0, 0, 0];
    p.extend((payload.len() as u16).to_be_bytes());
    p.extend([next, 62]);
    p.extend(SRC6.to_be_bytes());
    p.extend(DST6.to_be_bytes());
    p.extend_from_slice(payload);
    p
}

/// A fragment header: `word` is IPv6's offset and M bit.
fn fragment6(next: u8, word: u16, rest: &[u8]) -> Vec<u8> {
    let [hi, lo] = word.to_be_bytes();
    [&[next, 0, hi, lo, 0xde, 0xad, 0xbe, 0xef], rest].concat()
}

fn tcp(flags: u8, payload: usize) -> Vec<u8> {
    let mut h = vec![
        0x30, 0x39, 0x01, 0xbb, 1, 2, 3, 4, 5, 6, 7, 8, 0x50, flags, 0x20, 0, 0, 0, 0, 0,
    ];
    h.resize(20 + payload, 0x55);
    h
}

fn udp() -> Vec<u8> {
    vec![0x30, 0x39, 0x01, 0xbb, 0, 12, 0, 0, 1, 2, 3, 4]
}

fn echo(kind: u8) -> Vec<u8> {
    vec![kind, 0, 0, 0, 0x12, 0x34, 0, 1, b'h', b'i']
}

/// An ICMP error with its 8-byte header.
fn error(kind: u8, quote: &[u8]) -> Vec<u8> {
    [&[kind, 0, 0, 0, 0, 0, 0, 0], quote].concat()
}

fn addrs(v6: bool) -> Addrs {
    if v6 {
        Addrs::V6 {
            src: SRC6,
            dst: DST6,
        }
    } else {
        Addrs::V4 {
            src: u32::from_be_bytes(SRC4),
            dst: u32::from_be_bytes(DST4),
        }
    }
}

fn refused(packet: &[u8]) -> Option<DropReason> {
    read(packet).err()
}

/// An extension header of `units` times 8 bytes.
fn extension(next: u8, units: usize) -> Vec<u8> {
    let mut ext = vec![1; units * 8];
    (ext[0], ext[1], ext[2], ext[3]) = (next, (units - 1) as u8, 1, 0);
    ext
}

/// The packets an error can quote, sent by the error's receiver, and the ports of each.
fn quotable(v6: bool) -> Vec<(u8, Vec<u8>, (u16, u16))> {
    let query = if v6 {
        (proto::ICMP6, 128)
    } else {
        (proto::ICMP, 8)
    };
    let ports = (12_345, 443);
    let mut all = vec![
        (proto::TCP, tcp(2, 40), ports),
        (proto::UDP, udp(), ports),
        (proto::SCTP, [udp(), vec![0; 8]].concat(), ports),
        (proto::DCCP, udp(), ports),
        (proto::UDPLITE, udp(), ports),
        (query.0, echo(query.1), (0x1234, 0x1234)),
        (47, vec![7; 12], (0, 0)),
    ];
    if !v6 {
        all.push((proto::ICMP, echo(13), (0x1234, 0x1234)));
        all.push((proto::ICMP, echo(10), (0, 0)));
    }
    all
}

/// `packet` with its ends exchanged: an error about it goes where [`addrs`] says.
fn back(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    match packet[0] >> 4 {
        4 => packet[12..20].rotate_left(4),
        _ => packet[8..40].rotate_left(16),
    }
    packet
}

#[test]
fn c01_c05_a_frame_cut_anywhere_is_refused_for_the_header_it_was_cut_in() {
    let plain = ip4(proto::TCP, &tcp(2, 10));
    let optioned = ip4_options(proto::TCP, &[0x94, 4, 0, 0], &tcp(2, 10));
    for (packet, hlen) in [(plain, 20), (optioned, 24)] {
        assert_eq!(refused(&packet), None);
        for len in 0..packet.len() {
            let expected = match len {
                0..20 => D::IpShort,
                20.. if len < hlen => D::IpHeaderLen,
                _ => D::IpLen,
            };
            assert_eq!(
                refused(&packet[..len]),
                Some(expected),
                "{len} of {} bytes",
                packet.len()
            );
        }
    }
    let packet = ip6(proto::TCP, &tcp(2, 10));
    for len in 0..packet.len() {
        let expected = if len < 40 { D::IpShort } else { D::IpLen };
        assert_eq!(
            refused(&packet[..len]),
            Some(expected),
            "{len} bytes of IPv6"
        );
    }
}

#[test]
fn a_datagram_too_short_for_its_transport_header_is_refused_by_that_headers_name() {
    let cases: [(u8, Vec<u8>, usize, D); 7] = [
        (proto::TCP, tcp(16, 0), 20, D::TcpHeader),
        (proto::UDP, udp(), 8, D::UdpHeader),
        (proto::UDPLITE, udp(), 8, D::UdpHeader),
        (proto::DCCP, udp(), 8, D::UdpHeader),
        (proto::SCTP, vec![0; 12], 12, D::UdpHeader),
        (proto::ICMP, echo(8), 8, D::IcmpHeader),
        (47, vec![9; 30], 0, D::IcmpHeader),
    ];
    for (proto, l4, needed, reason) in cases {
        for len in 0..l4.len() {
            let expected = (len < needed).then_some(reason);
            assert_eq!(
                refused(&ip4(proto, &l4[..len])),
                expected,
                "protocol {proto}, {len} bytes"
            );
            let proto = if proto == proto::ICMP {
                proto::ICMP6
            } else {
                proto
            };
            assert_eq!(
                refused(&ip6(proto, &l4[..len])),
                expected,
                "protocol {proto}, {len} bytes, IPv6"
            );
            // RFC 1858 §3, RFC 7112: as a first piece it hides what it is.
            let expected = match len / 8 * 8 {
                0 => Some(D::FragmentBad),
                n => (n < needed).then_some(D::FragmentTiny),
            };
            let first = ip6(44, &fragment6(proto, 1, &l4[..len / 8 * 8]));
            assert_eq!(
                refused(&first),
                expected,
                "protocol {proto}, first piece of {len}"
            );
        }
    }
    for cut in (8..20).step_by(8) {
        assert_eq!(
            refused(&piece4(proto::TCP, 0x2000, &tcp(2, 0)[..cut])),
            Some(D::FragmentTiny)
        );
    }
}

#[test]
fn c06_padding_behind_the_datagram_changes_nothing() {
    for packet in [ip4(proto::UDP, &udp()), ip6(proto::TCP, &tcp(16, 3))] {
        let bare = read(&packet).unwrap();
        let mut padded = packet.clone();
        padded.extend([0xff; 40]);
        let meta = read(&padded).unwrap();
        assert_eq!(
            (meta.len, meta.l4, meta.tuple),
            (bare.len, bare.l4, bare.tuple)
        );
        assert_eq!(usize::from(meta.len), packet.len());
    }
}

#[test]
fn c03_every_other_version_is_refused() {
    for version in 0..16u8 {
        let mut packet = ip4(proto::UDP, &udp());
        packet[0] = version << 4 | 5;
        let expected = match version {
            4 => None,
            6 => Some(D::IpShort),
            _ => Some(D::IpVersion),
        };
        assert_eq!(refused(&packet), expected, "version {version}");
    }
}

#[test]
fn c04_each_header_length_below_five_words_or_beyond_the_frame_is_refused() {
    for words in 0..16u8 {
        // NOPs behind the header, so that any longer header is well-formed.
        let mut packet = ip4(99, &[1; 20]);
        packet[0] = 0x40 | words;
        let hlen = usize::from(words) * 4;
        if (20..=40).contains(&hlen) {
            crate::checksum::fill_header(&mut packet, hlen);
        }
        let expected = (!(20..=40).contains(&hlen)).then_some(D::IpHeaderLen);
        assert_eq!(refused(&packet), expected, "{words} words");
    }
}

#[test]
fn c05_a_total_length_below_the_header_or_beyond_the_frame_is_refused() {
    let packet = ip4(99, &[0; 30]);
    for len in 0..=u16::MAX {
        let bytes = with(&packet, |p| p[2..4].copy_from_slice(&len.to_be_bytes()));
        let expected = (!(20..=50).contains(&len)).then_some(D::IpLen);
        assert_eq!(refused(&bytes), expected, "total length {len}");
    }
    let packet = ip6(99, &[0; 30]);
    for len in 0..=u16::MAX {
        let mut bytes = packet.clone();
        bytes[4..6].copy_from_slice(&len.to_be_bytes());
        assert_eq!(
            refused(&bytes),
            (len > 30).then_some(D::IpLen),
            "payload length {len}"
        );
    }
}

#[test]
fn an_ipv6_datagram_longer_than_any_buffer_is_refused_not_cut() {
    let longest = ip6(99, &vec![0; 65_495]);
    assert_eq!(read(&longest).unwrap().len, 65_535);
    assert_eq!(refused(&ip6(99, &vec![0; 65_496])), Some(D::IpLen));
}

#[test]
fn c02_a_flipped_bit_anywhere_in_an_ipv4_header_is_seen() {
    let packet = ip4_options(proto::UDP, &[1, 1, 1, 0], &udp());
    for bit in 0..24 * 8 {
        let mut bad = packet.clone();
        bad[bit / 8] ^= 0x80 >> (bit % 8);
        let expected = match bit {
            // Version, header length, and total length are judged before the sum. One word more is all
            // that the frame has room for.
            2 => D::IpShort, // version 6: 40 bytes at least
            0..4 => D::IpVersion,
            4..8 if bad[0] & 15 > 9 || bad[0] & 15 < 5 => D::IpHeaderLen,
            16..32 if bad[2] != 0 || bad[3] > 36 || bad[3] < 24 => D::IpLen,
            _ => D::IpSum,
        };
        assert_eq!(refused(&bad), Some(expected), "bit {bit}");
    }
}

#[test]
fn every_ttl_protocol_and_flag_is_read_as_it_stands() {
    for byte in 0..=255u8 {
        let meta = read(&with(&ip4(99, &[0; 8]), |p| p[8] = byte)).unwrap();
        assert_eq!(meta.ttl, byte);
        let mut packet = ip6(99, &[0; 8]);
        packet[7] = byte;
        assert_eq!(read(&packet).unwrap().ttl, byte);
    }
    for df in [false, true] {
        let packet = piece4(99, if df { 0x4000 } else { 0 }, &[0; 8]);
        let meta = read(&packet).unwrap();
        assert_eq!((meta.dont_fragment, meta.fragment), (df, None));
    }
    assert!(read(&ip6(99, &[0; 8])).unwrap().dont_fragment);
    // The reserved bit is nobody's business in transit (RFC 791 §3.1).
    assert_eq!(read(&piece4(99, 0x8000, &[0; 8])).unwrap().fragment, None);
}

#[test]
fn each_transport_shows_its_ports_and_what_it_is() {
    let init = [vec![0x30, 0x39, 0x01, 0xbb], vec![0; 8], vec![1, 0, 0, 20]].concat();
    let other_chunk = [vec![0x30, 0x39, 0x01, 0xbb], vec![0; 8], vec![0, 3, 0, 20]].concat();
    let segment = L4::Tcp {
        flags: 0x12,
        seq: 0x0102_0304,
        ack: 0x0506_0708,
        window: 0x2000,
        len: 7,
    };
    let (ports, id, none) = ((12_345, 443), (0x1234, 0x1234), (0, 0));
    let cases = [
        (proto::TCP, tcp(0x12, 7), ports, segment),
        (proto::UDP, udp(), ports, L4::Udp),
        (proto::UDPLITE, udp(), ports, L4::Udp),
        (proto::DCCP, udp(), ports, L4::Udp),
        (proto::SCTP, init, ports, L4::Opener),
        (proto::SCTP, other_chunk, ports, L4::Other),
        (
            proto::SCTP,
            [vec![0x30, 0x39, 0x01, 0xbb], vec![0; 8]].concat(),
            ports,
            L4::Other,
        ),
        (47, tcp(0, 0), none, L4::Other),
        (59, vec![], none, L4::Other),
    ];
    for v6 in [false, true] {
        let packet = |proto, l4: &[u8]| if v6 { ip6(proto, l4) } else { ip4(proto, l4) };
        for (proto, l4, (sport, dport), kind) in &cases {
            let meta = read(&packet(*proto, l4)).unwrap();
            let tuple = Tuple {
                addrs: addrs(v6),
                sport: *sport,
                dport: *dport,
                proto: *proto,
            };
            assert_eq!(
                (meta.tuple, meta.l4, meta.role),
                (tuple, *kind, Role::Own),
                "{proto}"
            );
            assert_eq!(meta.addrs, addrs(v6));
        }
        let (icmp, request) = if v6 {
            (proto::ICMP6, 128)
        } else {
            (proto::ICMP, 8)
        };
        let meta = read(&packet(icmp, &echo(request))).unwrap();
        assert_eq!(
            ((meta.tuple.sport, meta.tuple.dport), meta.l4),
            (id, L4::Icmp)
        );
        // The other family's ICMP is a protocol like any other.
        let other = if v6 { proto::ICMP } else { proto::ICMP6 };
        let meta = read(&packet(other, &echo(request))).unwrap();
        assert_eq!(
            ((meta.tuple.sport, meta.tuple.dport), meta.l4),
            (none, L4::Other)
        );
    }
}

#[test]
fn each_tcp_data_offset_below_five_words_or_beyond_the_segment_is_refused() {
    for words in 0..16u8 {
        let mut segment = tcp(16, 12);
        segment[12] = words << 4;
        let inside = (5..=8).contains(&words);
        for packet in [ip4(proto::TCP, &segment), ip6(proto::TCP, &segment)] {
            match read(&packet) {
                Ok(meta) => {
                    let left = 32 - u32::from(words) * 4;
                    assert!(
                        inside && matches!(meta.l4, L4::Tcp { len, .. } if len == left),
                        "{words}"
                    );
                }
                Err(reason) => assert_eq!((reason, inside), (D::TcpHeader, false), "{words} words"),
            }
        }
    }
}

#[test]
fn an_identifier_is_read_from_each_icmp_query_and_from_no_other_message() {
    for kind in 0..=255 {
        let meta = read(&ip4(proto::ICMP, &echo(kind))).unwrap();
        let query = matches!(kind, 0 | 8 | 13..=18);
        assert_eq!(
            meta.tuple.sport,
            if query { 0x1234 } else { 0 },
            "ICMP type {kind}"
        );
        let meta = read(&ip6(proto::ICMP6, &echo(kind))).unwrap();
        let query = matches!(kind, 128 | 129);
        assert_eq!(
            meta.tuple.sport,
            if query { 0x1234 } else { 0 },
            "ICMPv6 type {kind}"
        );
        assert_eq!((meta.tuple.sport, meta.role), (meta.tuple.dport, Role::Own));
    }
}

#[test]
fn c34_c37_c38_options_are_passed_or_refused_by_their_form() {
    let pass: [&[u8]; 8] = [
        &[0, 0xff, 0xff, 0xff], // behind the end of the list nothing is read
        &[1, 1, 1, 1],
        &[7, 3, 4, 0],       // record route, full
        &[0x44, 4, 5, 0xf0], // timestamp, overflow counter at its end
        &[0x94, 4, 0, 0],    // router alert
        &[0x9e, 2, 0x5e, 2], // unknown
        &[1, 7, 3, 4],
        &[0, 131, 3, 4], // a source route behind the end
    ];
    for options in pass {
        assert_eq!(
            refused(&ip4_options(99, options, &[])),
            None,
            "{options:x?}"
        );
    }
    let malformed: [&[u8]; 6] = [
        &[7, 0, 0, 0],
        &[7, 1, 0, 0],
        &[7, 5, 4, 0],
        &[1, 1, 1, 7],
        &[0x9e, 255, 0, 0],
        &[7, 3, 4, 131],
    ];
    for options in malformed {
        assert_eq!(
            refused(&ip4_options(99, options, &[])),
            Some(D::IpOptions),
            "{options:x?}"
        );
    }
    for kind in [131, 137] {
        for options in [
            vec![kind, 3, 4, 0],
            vec![1, kind, 3, 4],
            vec![kind, 7, 4, 1, 2, 3, 4, 0],
        ] {
            let packet = ip4_options(99, &options, &[]);
            assert_eq!(refused(&packet), Some(D::IpSourceRoute), "{options:?}");
        }
    }
    assert_eq!(
        read(&ip4_options(proto::UDP, &[1; 40], &udp()))
            .unwrap()
            .l4_off,
        60
    );
}

#[test]
fn every_kind_and_length_of_one_option_gets_the_verdict_of_rfc_7126() {
    for kind in 0..=255u8 {
        for len in 0..=9u8 {
            let options = [kind, len, 0, 0, 0, 0, 0, 0];
            let expected = match (kind, len) {
                (0, _) => None,
                // NOP: then `len` is a kind of its own, with a length of 0.
                (1, 0 | 1) => None,
                (1, _) => Some(D::IpOptions),
                (_, 0 | 1 | 9) => Some(D::IpOptions),
                (131 | 137, _) => Some(D::IpSourceRoute),
                _ => None,
            };
            assert_eq!(
                refused(&ip4_options(99, &options, &[])),
                expected,
                "kind {kind}, length {len}"
            );
        }
    }
}
