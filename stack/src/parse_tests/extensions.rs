//! IPv6 extension headers: followed, cut, repeated, in the wrong order.

use super::*;

#[test]
fn extension_headers_are_followed_to_the_transport_header() {
    for units in [1, 2, 3, 31, 256] {
        let chain = [
            extension(43, units),
            extension(60, 1),
            extension(proto::UDP, 2),
            udp(),
        ]
        .concat();
        let meta = read(&ip6(0, &chain)).unwrap();
        assert_eq!(usize::from(meta.l4_off), 40 + 8 * (units + 3));
        assert_eq!((meta.proto, meta.tuple.dport), (proto::UDP, 443));
    }
    let behind = [
        fragment6(60, 1, &extension(proto::UDP, 1)),
        udp(),
        vec![0; 4],
    ]
    .concat();
    let meta = read(&ip6(44, &behind)).unwrap();
    assert_eq!(
        (meta.proto, meta.l4_off, meta.tuple.dport),
        (proto::UDP, 56, 443)
    );
    // A later piece: what its fragment header names is not there to be followed.
    let meta = read(&ip6(44, &fragment6(60, 8, &[0xff; 8]))).unwrap();
    assert_eq!((meta.proto, meta.l4_off, meta.role), (60, 48, Role::Piece));
}

#[test]
fn a_chain_cut_anywhere_is_refused_and_so_is_one_too_long() {
    let chain = [
        extension(43, 2),
        extension(44, 1),
        fragment6(60, 0, &extension(proto::UDP, 1)),
        udp(),
    ];
    let chain = chain.concat();
    assert_eq!(refused(&ip6(0, &chain)), None);
    for len in 0..chain.len() - 4 {
        let expected = if len < 40 {
            D::Ip6Extension
        } else {
            D::UdpHeader
        };
        assert_eq!(
            refused(&ip6(0, &chain[..len])),
            Some(expected),
            "{len} bytes of the chain"
        );
    }
    for headers in 1..20 {
        let mut chain: Vec<u8> = (1..headers).flat_map(|_| extension(60, 1)).collect();
        chain.extend(extension(proto::UDP, 1));
        chain.extend(udp());
        let expected = (headers > EXTENSIONS_MAX).then_some(D::Ip6Extension);
        assert_eq!(refused(&ip6(60, &chain)), expected, "{headers} headers");
    }
}

#[test]
fn a_first_piece_without_its_whole_chain_is_tiny() {
    let chain = fragment6(
        60,
        1,
        &[
            extension(43, 2),
            extension(proto::UDP, 1),
            udp(),
            vec![0; 4],
        ]
        .concat(),
    );
    assert_eq!(refused(&ip6(44, &chain)), None);
    for len in (8..40).step_by(8) {
        let cut = ip6(44, &chain[..len]);
        assert_eq!(refused(&cut), Some(D::FragmentTiny), "{len} bytes");
    }
}

#[test]
fn hop_by_hop_elsewhere_than_first_and_a_second_fragment_header_are_refused() {
    let late = [extension(0, 1), extension(proto::UDP, 1), udp()].concat();
    assert_eq!(refused(&ip6(60, &late)), Some(D::Ip6Extension));
    for (outer, inner) in [(1, 0), (0, 1), (0, 0), (1, 9), (0, 9)] {
        let nested = fragment6(
            44,
            outer,
            &fragment6(proto::UDP, inner, &[udp(), vec![0; 4]].concat()),
        );
        assert_eq!(
            refused(&ip6(44, &nested)),
            Some(D::Ip6Extension),
            "{outer} around {inner}"
        );
    }
}

#[test]
fn c67_only_a_type_0_routing_header_with_segments_left_is_refused() {
    for kind in 0..=255u8 {
        for left in [0, 1, 255] {
            let mut ext = extension(proto::UDP, 3);
            (ext[2], ext[3]) = (kind, left);
            let expected = (kind == 0 && left > 0).then_some(D::Ip6Routing);
            assert_eq!(
                refused(&ip6(43, &[ext, udp()].concat())),
                expected,
                "type {kind}, {left} left"
            );
        }
    }
}
