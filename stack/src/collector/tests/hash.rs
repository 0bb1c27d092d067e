//! The hash of a datagram: one for all its pieces, evenly spread.

use super::*;
use std::collections::HashSet;

#[test]
fn the_hash_is_the_same_for_all_pieces_and_another_for_another_datagram() {
    let seed = 5;
    let hash = |p: Piece| datagram_hash(seed, &p.pkt().meta);
    let mut seen = HashSet::new();
    for src in 0..30 {
        for id in 0..30 {
            assert!(seen.insert(hash(piece(0, src, id, 0))));
            for n in 1..4 {
                assert!(!seen.insert(hash(piece(0, src, id, n))));
            }
        }
    }
    let mut meta = piece(0, 1, 1, 1).pkt().meta;
    let tcp = IpMeta { proto: 6, ..meta };
    assert_ne!(
        datagram_hash(seed, &meta),
        datagram_hash(seed, &tcp),
        "IPv4 names the protocol"
    );
    assert_ne!(datagram_hash(seed, &meta), datagram_hash(seed + 1, &meta));
    // RFC 8200 §4.5: the next header of a later piece may differ from the first one's.
    meta.addrs = Addrs::V6 { src: 1, dst: 2 };
    let options = IpMeta { proto: 60, ..meta };
    assert_eq!(datagram_hash(seed, &meta), datagram_hash(seed, &options));
    let back = IpMeta {
        addrs: meta.addrs.exchanged(),
        ..meta
    };
    assert_ne!(
        datagram_hash(seed, &meta),
        datagram_hash(seed, &back),
        "a datagram has one direction"
    );
}

#[test]
fn datagrams_spread_evenly_over_workers() {
    let mut of = [0u32; 8];
    for id in 0..80_000 {
        of[(datagram_hash(77, &piece(0, 7, id, 0).pkt().meta) % 8) as usize] += 1;
    }
    assert!(of.iter().all(|n| (9_500..10_500).contains(n)), "{of:?}");
}
