//! Pieces against a reassembling oracle, and the cases RFC 791 and RFC 1812 name.

use super::*;
use crate::parse::{self, Role};
use crate::pkt::LinkCast;
use fastrand::Rng;
use route::PortId;

/// A random IPv4 packet; `word` is its flags and offset.
fn packet(rng: &mut Rng, options: &[u8], payload: usize, word: u16) -> Vec<u8> {
    let hlen = 20 + options.len();
    let mut p = vec![0; 20];
    p[0] = 0x40 | (hlen / 4) as u8;
    p[1] = rng.u8(..);
    p[2..4].copy_from_slice(&((hlen + payload) as u16).to_be_bytes());
    p[4..6].copy_from_slice(&rng.u16(..).to_be_bytes());
    p[6..8].copy_from_slice(&word.to_be_bytes());
    (p[8], p[9]) = (rng.u8(..), 17);
    p[12..20].copy_from_slice(&[192, 0, 2, 1, 198, 51, 100, 2]);
    p.extend_from_slice(options);
    checksum::fill_header(&mut p, hlen);
    p.extend((0..payload).map(|_| rng.u8(..)));
    p
}

/// Well-formed options, padded to whole words, in random order.
fn options(rng: &mut Rng) -> Vec<u8> {
    let choices: [&[u8]; 6] = [
        &[1],
        &[0x94, 4, 0, 0],                       // router alert, copied
        &[7, 7, 4, 0, 0, 0, 0],                 // record route, not copied
        &[0x44, 8, 5, 0, 0, 0, 0, 0],           // timestamp, not copied
        &[0x86, 11, 0, 0, 0, 1, 1, 5, 0, 0, 0], // commercial security, copied
        &[0x1e, 3, 9],                          // experimental, not copied
    ];
    let mut out = Vec::new();
    for _ in 0..rng.usize(..5) {
        let option = choices[rng.usize(..choices.len())];
        if out.len() + option.len() <= 40 {
            out.extend_from_slice(option);
        }
    }
    out.resize(
        out.len().next_multiple_of(4),
        if rng.bool() { 0 } else { 1 },
    );
    out
}

/// The options of a header that must go with every piece.
fn copied(mut options: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(&kind) = options.first() {
        let len = match kind {
            0 => break,
            1 => 1,
            _ => usize::from(options[1]),
        };
        if kind & 0x80 != 0 {
            out.extend_from_slice(&options[..len]);
        }
        options = &options[len..];
    }
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn pool() -> Pool {
    Pool::new(64, 2048)
}

fn pkt(bytes: &[u8]) -> Pkt {
    let mut pkt = Pkt::with_size(bytes.len());
    assert!(pkt.copy_from(bytes));
    if let Ok(meta) = parse::read(bytes) {
        pkt.meta = meta;
    }
    pkt
}

fn split(bytes: &[u8], mtu: usize) -> Result<Vec<Pkt>, DropReason> {
    // Enough for the longest header in front of each piece.
    let pieces = bytes.len() / (mtu.saturating_sub(60) & !7).max(8) + 8;
    let mut pool = Pool::new(pieces, 128.max(mtu));
    let mut out = Vec::new();
    let n = fragment(pkt(bytes), mtu, &mut pool, &mut out)?;
    assert_eq!(n, out.len());
    Ok(out)
}

/// A fragment's header fields, read independently of the code under test.
struct Seen<'a> {
    hlen: usize,
    df: bool,
    more: bool,
    offset: usize,
    payload: &'a [u8],
}

fn see(piece: &[u8]) -> Seen<'_> {
    let hlen = usize::from(piece[0] & 15) * 4;
    let total = usize::from(piece[2]) << 8 | usize::from(piece[3]);
    assert_eq!(total, piece.len(), "total length");
    assert!(checksum::valid(&piece[..hlen]), "header checksum");
    let word = u16::from(piece[6]) << 8 | u16::from(piece[7]);
    Seen {
        hlen,
        df: word & 0x4000 != 0,
        more: word & 0x2000 != 0,
        offset: usize::from(word & 0x1fff) * 8,
        payload: &piece[hlen..],
    }
}

/// Checks the pieces of `whole` against each other and puts its payload together again.
fn reassemble(whole: &[u8], pieces: &[Pkt], mtu: usize) -> Vec<u8> {
    let of = see(whole);
    let mut payload = Vec::new();
    for (i, piece) in pieces.iter().enumerate() {
        let bytes = piece.bytes();
        let seen = see(bytes);
        let last = i + 1 == pieces.len();
        assert!(bytes.len() <= mtu, "piece {i} of {} bytes", bytes.len());
        assert_eq!(seen.offset, of.offset + payload.len(), "piece {i}");
        assert!(last || seen.payload.len().is_multiple_of(8), "piece {i}");
        assert_eq!(seen.more, !last || of.more, "piece {i}");
        assert_eq!(seen.df, of.df);
        // C32, C63: DSCP and ECN, identification, TTL, protocol, addresses.
        for same in [1..2, 4..6, 8..10, 12..20] {
            assert_eq!(bytes[same.clone()], whole[same], "piece {i}");
        }
        let expected = match i {
            0 => whole[20..of.hlen].to_vec(),
            _ => copied(&whole[20..of.hlen]),
        };
        assert_eq!(bytes[20..seen.hlen], expected, "options of piece {i}");
        payload.extend_from_slice(seen.payload);
    }
    payload
}

#[test]
fn c29_pieces_of_any_packet_at_any_mtu_make_the_packet_again() {
    let seed = 0xf7a6_0001;
    let mut rng = Rng::with_seed(seed);
    for round in 0..3_000 {
        let options = options(&mut rng);
        let df = if rng.bool() { 0x4000 } else { 0 };
        let size = if rng.u8(..10) == 0 {
            rng.usize(1..65_000)
        } else {
            rng.usize(1..3_000)
        };
        let whole = packet(&mut rng, &options, size, df);
        let mtu = if size > 5_000 {
            rng.usize(576..9_000)
        } else {
            rng.usize(68..1_600)
        };
        let pieces = split(&whole, mtu).unwrap_or_else(|e| panic!("{e:?}, seed {seed:#x} {round}"));
        let hlen = see(&whole).hlen;
        assert_eq!(
            reassemble(&whole, &pieces, mtu),
            whole[hlen..],
            "seed {seed:#x}, round {round}"
        );
        assert_eq!(pieces.len() == 1, whole.len() <= mtu);
    }
}

#[test]
fn c30_pieces_of_pieces_fit_together_as_if_split_once() {
    let seed = 0xf7a6_0002;
    let mut rng = Rng::with_seed(seed);
    for round in 0..500 {
        let options = options(&mut rng);
        let size = rng.usize(1..4_000);
        let whole = packet(&mut rng, &options, size, 0);
        let (wide, narrow) = (rng.usize(300..1_500), rng.usize(68..300));
        let mut payload = Vec::new();
        let pieces = split(&whole, wide).unwrap();
        for (i, piece) in pieces.iter().enumerate() {
            let smaller = split(piece.bytes(), narrow).unwrap();
            payload.extend(reassemble(piece.bytes(), &smaller, narrow));
            let last = see(smaller[smaller.len() - 1].bytes());
            assert_eq!(
                last.more,
                i + 1 != pieces.len(),
                "only the very last piece ends it"
            );
        }
        assert_eq!(
            payload,
            whole[see(&whole).hlen..],
            "seed {seed:#x}, round {round}"
        );
    }
}

#[test]
fn c33_the_smallest_mtus_work_with_the_longest_header() {
    let mut rng = Rng::with_seed(3);
    let longest = [0x94; 1]
        .into_iter()
        .chain([40])
        .chain([7; 38])
        .collect::<Vec<u8>>();
    for mtu in [68, 576, 1280] {
        for len in [mtu - 61, mtu - 60, mtu - 59, 2_000] {
            let whole = packet(&mut rng, &longest, len, 0);
            let pieces = split(&whole, mtu).unwrap();
            assert_eq!(reassemble(&whole, &pieces, mtu), whole[60..]);
            assert_eq!(pieces.len() == 1, whole.len() <= mtu);
        }
    }
}

#[test]
fn each_piece_carries_what_its_packet_carried_and_says_where_it_stands() {
    let mut rng = Rng::with_seed(4);
    let whole = packet(&mut rng, &[7, 3, 4, 0], 3_000, 0);
    let mut original = pkt(&whole);
    original.in_port = PortId(5);
    original.cast = LinkCast::Multicast;
    let meta = original.meta;
    let mut out = Vec::new();
    assert_eq!(fragment(original, 1_500, &mut pool(), &mut out), Ok(3));
    let id = u32::from(whole[4]) << 8 | u32::from(whole[5]);
    for (i, piece) in out.iter().enumerate() {
        let seen = see(piece.bytes());
        let Fragment { offset, more, .. } = piece.meta.fragment.unwrap();
        assert_eq!((usize::from(offset), more), (seen.offset, seen.more));
        assert_eq!(piece.meta.fragment.map(|f| f.id), Some(id));
        assert_eq!(usize::from(piece.meta.len), piece.len());
        assert_eq!(usize::from(piece.meta.l4_off), seen.hlen);
        assert_eq!((piece.meta.tuple, piece.meta.role), (meta.tuple, Role::Own));
        assert_eq!(
            (piece.in_port, piece.cast),
            (PortId(5), LinkCast::Multicast)
        );
        let reread = parse::read(piece.bytes()).unwrap();
        assert_eq!(reread.fragment, piece.meta.fragment, "piece {i}");
        assert_eq!(
            (reread.len, reread.l4_off),
            (piece.meta.len, piece.meta.l4_off)
        );
    }
}

#[test]
fn etherparse_agrees_on_every_field_of_a_piece() {
    let mut rng = Rng::with_seed(5);
    let whole = packet(&mut rng, &[0x94, 4, 0, 0, 7, 3, 4, 1], 2_000, 0x4000);
    for (i, piece) in split(&whole, 700).unwrap().iter().enumerate() {
        let (header, rest) = etherparse::Ipv4Header::from_slice(piece.bytes()).unwrap();
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        assert_eq!(usize::from(header.total_len), piece.len());
        assert_eq!(
            usize::from(header.fragment_offset.value()) * 8,
            see(piece.bytes()).offset
        );
        assert!(header.dont_fragment);
        let expected: &[u8] = if i == 0 {
            &whole[20..28]
        } else {
            &[0x94, 4, 0, 0]
        };
        assert_eq!(header.options.as_slice(), expected);
        assert_eq!(rest, see(piece.bytes()).payload);
    }
}

#[test]
fn behind_the_end_of_the_option_list_nothing_is_copied() {
    let mut rng = Rng::with_seed(10);
    let whole = packet(&mut rng, &[0, 1, 0x94, 4, 0, 0, 0, 0], 1_000, 0);
    let pieces = split(&whole, 600).unwrap();
    assert_eq!(reassemble(&whole, &pieces, 600), whole[28..]);
    assert_eq!(see(pieces[1].bytes()).hlen, 20);
}

#[test]
fn link_padding_does_not_reach_the_last_piece() {
    let mut rng = Rng::with_seed(6);
    let mut whole = packet(&mut rng, &[], 1_000, 0);
    let len = whole.len();
    whole.resize(len + 30, 0xee);
    let pieces = split(&whole, 600).unwrap();
    assert_eq!(reassemble(&whole[..len], &pieces, 600), whole[20..len]);
    let fitting = split(&whole, 1_500).unwrap();
    assert_eq!(fitting[0].bytes(), &whole[..len]);
}

#[test]
fn a_short_pool_gives_everything_back_and_leaves_out_as_it_was() {
    let mut rng = Rng::with_seed(7);
    let whole = packet(&mut rng, &[], 4_000, 0);
    for available in 0..6 {
        let mut pool = Pool::new(6, 4_096);
        let mut used: Vec<Pkt> = (available..6).filter_map(|_| pool.take()).collect();
        let mut pkt = used.pop().unwrap();
        assert!(pkt.copy_from(&whole));
        let mut out: Vec<Pkt> = used.drain(..).take(1).collect();
        let waiting = out.len();
        let result = fragment(pkt, 1_000, &mut pool, &mut out);
        if available < 4 {
            assert_eq!(result, Err(DropReason::FragmentFailed), "{available}");
            assert_eq!((out.len(), pool.available()), (waiting, available + 1));
        } else {
            assert_eq!(result, Ok(5));
            assert_eq!((out.len(), pool.available()), (waiting + 5, available - 4));
        }
    }
}

#[test]
fn buffers_too_small_for_the_pieces_are_a_failure_not_a_cut() {
    let mut rng = Rng::with_seed(8);
    let whole = packet(&mut rng, &[], 4_000, 0);
    let mut small = Pool::new(16, 500);
    let (mut big, mut out) = (Pool::new(1, 4_096), Vec::new());
    let mut pkt = big.take().unwrap();
    assert!(pkt.copy_from(&whole));
    while small.available() > 8 {
        small.take();
    }
    assert_eq!(
        fragment(pkt, 1_000, &mut small, &mut out),
        Err(DropReason::FragmentFailed)
    );
    assert_eq!((out.len(), small.available()), (0, 9));
}

#[test]
fn an_mtu_without_room_and_a_datagram_beyond_its_length_field_fail() {
    let mut rng = Rng::with_seed(9);
    let whole = packet(&mut rng, &[], 100, 0);
    for mtu in 0..28 {
        assert_eq!(
            split(&whole, mtu).unwrap_err(),
            DropReason::FragmentFailed,
            "mtu {mtu}"
        );
    }
    assert_eq!(split(&whole, 28).unwrap().len(), 13);
    let beyond = packet(&mut rng, &[], 100, 0x1fff);
    assert_eq!(split(&beyond, 60).unwrap_err(), DropReason::FragmentFailed);
}

#[test]
fn what_is_no_ipv4_packet_is_refused_at_every_length_without_panic() {
    let seed = 0xf7a6_000a;
    let mut rng = Rng::with_seed(seed);
    let whole = packet(&mut rng, &[0x94, 4, 0, 0], 200, 0);
    for len in 0..whole.len() {
        assert_eq!(
            split(&whole[..len], 100).unwrap_err(),
            DropReason::FragmentFailed
        );
    }
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..rng.usize(1..6) {
            let at = rng.usize(..28);
            bytes[at] = rng.u8(..);
        }
        let mtu = rng.usize(..300);
        if let Ok(pieces) = split(&bytes, mtu) {
            assert!(
                pieces.iter().all(|p| p.len() <= mtu),
                "seed {seed:#x}: {bytes:x?}"
            );
        }
    }
}
