//! Fragments of both families: their place, their bounds, and who shows ports.

use super::*;

#[test]
fn a_piece_shows_its_place_and_only_the_first_shows_ports() {
    let first = read(&piece4(proto::UDP, 0x2000, &[&udp()[..], &[0; 4]].concat())).unwrap();
    assert_eq!(
        first.fragment,
        Some(Fragment {
            id: 0xabcd,
            offset: 0,
            more: true
        })
    );
    assert_eq!(
        (first.role, first.tuple.dport, first.l4),
        (Role::Own, 443, L4::Udp)
    );
    for (word, more) in [
        (0x2001, true),
        (0x0001, false),
        (0x4001, false),
        (0x3000, true),
    ] {
        let meta = read(&piece4(proto::UDP, word, &[0xff; 16])).unwrap();
        let offset = (word & 0x1fff) * 8;
        assert_eq!(
            meta.fragment,
            Some(Fragment {
                id: 0xabcd,
                offset,
                more
            })
        );
        assert_eq!(
            (meta.role, meta.tuple.sport, meta.tuple.proto),
            (Role::Piece, 0, proto::UDP)
        );
        assert_eq!(meta.l4, L4::Other);
    }
    for (word, more) in [(8 | 1, true), (8, false), (0xfff0, false)] {
        let meta = read(&ip6(44, &fragment6(proto::TCP, word, &[0xff; 8]))).unwrap();
        let offset = word & 0xfff8;
        assert_eq!(
            meta.fragment,
            Some(Fragment {
                id: 0xdead_beef,
                offset,
                more
            })
        );
        assert_eq!(
            (meta.role, meta.proto, meta.l4_off),
            (Role::Piece, proto::TCP, 48)
        );
    }
    let first = read(&ip6(44, &fragment6(proto::TCP, 1, &tcp(2, 4)))).unwrap();
    assert_eq!((first.role, first.tuple.dport), (Role::Own, 443));
}

#[test]
fn an_atomic_fragment_is_a_whole_datagram() {
    let meta = read(&ip6(44, &fragment6(proto::UDP, 0, &udp()))).unwrap();
    assert_eq!(
        (meta.fragment, meta.role, meta.tuple.dport),
        (None, Role::Own, 443)
    );
    // RFC 8200 §4.5: bits 1 and 2 are reserved and say nothing.
    let meta = read(&ip6(44, &fragment6(proto::UDP, 6, &udp()))).unwrap();
    assert_eq!((meta.fragment, meta.tuple.dport), (None, 443));
}

#[test]
fn pieces_that_cannot_be_part_of_any_datagram_are_refused() {
    // Not a multiple of 8 and not the last; nothing at all.
    for len in 0..40usize {
        let expected = (len % 8 != 0 || len == 0).then_some(D::FragmentBad);
        assert_eq!(
            refused(&piece4(99, 0x2001, &vec![0; len])),
            expected,
            "{len} bytes"
        );
        assert_eq!(
            refused(&ip6(44, &fragment6(99, 9, &vec![0; len]))),
            expected,
            "{len} bytes"
        );
        let expected = (len == 0).then_some(D::FragmentBad);
        assert_eq!(
            refused(&piece4(99, 0x0001, &vec![0; len])),
            expected,
            "last of {len}"
        );
    }
    // "Ping of death": header, offset and payload must fit the length field together.
    for (hlen, options) in [(20, &[][..]), (60, &[1; 40][..])] {
        for offset in (65_400..65_536).step_by(8) {
            for len in 1..130 {
                let packet = ip4_options(99, options, &vec![0; len]);
                let word = (offset / 8) as u16;
                let packet = with(&packet, |p| p[6..8].copy_from_slice(&word.to_be_bytes()));
                let expected = (hlen + offset + len > 65_535).then_some(D::FragmentBad);
                assert_eq!(refused(&packet), expected, "{hlen} + {offset} + {len}");
            }
        }
    }
    for (before, len, expected) in [
        (0, 7, None),
        (0, 8, Some(D::FragmentBad)),
        (8, 7, Some(D::FragmentBad)),
    ] {
        let piece = fragment6(99, 0xfff8, &vec![0; len]);
        let packet = match before {
            0 => ip6(44, &piece),
            _ => ip6(60, &[&[44, 0, 1, 4, 0, 0, 0, 0], &piece[..]].concat()),
        };
        assert_eq!(
            refused(&packet),
            expected,
            "{before} bytes before, {len} at the end"
        );
    }
}
