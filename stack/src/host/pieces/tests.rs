use super::*;

/// An IPv4 or IPv6 packet of a protocol without header, of `len` bytes of payload.
fn packet(v6: bool, len: usize) -> Vec<u8> {
    let mut packet = vec![0; if v6 { 40 } else { 20 }];
    let header = packet.len();
    if v6 {
        (packet[0], packet[6], packet[7]) = (0x60, 253, 64);
        (packet[8], packet[24]) = (0xfd, 0xfd);
    } else {
        (packet[0], packet[8], packet[9]) = (0x45, 64, 253);
        (packet[4], packet[12], packet[16]) = (7, 10, 10);
    }
    packet.extend((0..len).map(|i| (i * 7) as u8));
    assert!(set_length(&mut packet, v6, header));
    packet
}

fn take(pieces: &mut Pieces, piece: &[u8], now: u64) -> Option<Vec<u8>> {
    pieces.expire(now);
    pieces.take(&received(piece).unwrap(), now)
}

fn received(piece: &[u8]) -> Option<Pkt> {
    let mut pkt = Pkt::with_size(5000);
    assert!(pkt.copy_from(piece));
    pkt.meta = parse::read(piece).ok()?;
    Some(pkt)
}

#[test]
fn what_is_cut_is_put_together_in_any_order() {
    let mut random = fastrand::Rng::with_seed(51);
    for round in 0..400 {
        let (v6, len) = (round % 2 == 1, random.usize(1500..20_000));
        let whole = packet(v6, len);
        let mut parts = cut(&whole, random.usize(576..1500), 9);
        assert!(parts.len() > 1);
        random.shuffle(&mut parts);
        let mut pieces = Pieces::default();
        let last = parts.pop().unwrap();
        for part in &parts {
            assert_eq!(take(&mut pieces, part, 0), None);
            assert_eq!(take(&mut pieces, part, 0), None, "twice is once");
        }
        assert_eq!(take(&mut pieces, &last, 0), Some(whole));
        assert!(pieces.waiting.is_empty());
        let Seen { whole, dropped, .. } = pieces.seen;
        assert_eq!((whole, dropped), (1, parts.len() as u64));
    }
}

#[test]
fn the_longest_datagram_of_each_family_becomes_whole_and_none_that_is_longer() {
    for (v6, most) in [(false, LONGEST - 20), (true, LONGEST)] {
        let whole = packet(v6, most);
        let mut pieces = Pieces::default();
        let mut parts = cut(&whole, 1500, 9);
        let last = parts.pop().unwrap();
        assert!(
            parts
                .iter()
                .all(|part| take(&mut pieces, part, 0).is_none())
        );
        assert_eq!(take(&mut pieces, &last, 0).as_ref(), Some(&whole));
        let meta = read(&whole).unwrap();
        assert_eq!((meta.proto, usize::from(meta.len)), (253, LONGEST));
        let mut longer = whole.clone();
        longer.push(0);
        assert!(!set_length(&mut longer, v6, whole.len() - most));
    }
}

#[test]
fn overlapping_pieces_end_their_datagram() {
    for v6 in [false, true] {
        let (wide, narrow) = (
            cut(&packet(v6, 3000), 1400, 9),
            cut(&packet(v6, 3000), 1000, 9),
        );
        let mut pieces = Pieces::default();
        assert_eq!(take(&mut pieces, &wide[0], 0), None);
        assert_eq!(take(&mut pieces, &narrow[1], 0), None);
        assert!(pieces.waiting.is_empty());
        assert_eq!((pieces.seen.whole, pieces.seen.dropped), (0, 2));
    }
}

#[test]
fn datagrams_wait_a_minute_and_no_more_than_there_is_room_for() {
    let mut pieces = Pieces::default();
    let parts = cut(&packet(false, 3000), 1400, 9);
    take(&mut pieces, &parts[0], 0);
    take(&mut pieces, &parts[1], 59_999);
    assert_eq!(take(&mut pieces, &parts[2], 60_000), None);
    for n in 0..100u8 {
        let mut other = parts[0].clone();
        // Of one source each: nobody has more than his share.
        other[15] = n;
        checksum::fill_header(&mut other, 20);
        take(&mut pieces, &other, 60_000);
        assert!(pieces.waiting.len() <= DATAGRAMS);
    }
    assert_eq!(pieces.waiting.len(), DATAGRAMS);
    let Seen {
        displaced,
        dropped,
        late,
        ..
    } = pieces.seen;
    // The last piece, which came too late, waits with the first of the same number: 100 datagrams, one of two pieces.
    assert_eq!((late, displaced, dropped), (2, 84, 85));
}

/// The first piece of datagram `id` from 10.0.0.`from`.
fn first_of(from: u8, id: u8) -> Vec<u8> {
    let mut part = cut(&packet(false, 3000), 1400, 9).swap_remove(0);
    part[5] = id;
    part[12..16].copy_from_slice(&[10, 0, 0, from]);
    checksum::fill_header(&mut part, 20);
    part
}

#[test]
fn nobody_pushes_out_datagrams_of_who_has_fewer() {
    let mut pieces = Pieces::default();
    take(&mut pieces, &first_of(3, 0), 0);
    for id in 0..200 {
        take(&mut pieces, &first_of(9, id), 0);
        assert!(pieces.waiting.len() <= 1 + SHARE);
    }
    let held = |pieces: &Pieces, from: u8| {
        let of = |d: &&Datagram| d.key.src == IpAddr::from([10, 0, 0, from]);
        pieces.waiting.iter().filter(of).count()
    };
    assert_eq!((held(&pieces, 3), held(&pieces, 9)), (1, SHARE));
    // Full by then; who has most makes room, whoever comes.
    for from in 10..17 {
        for id in 0..2 {
            take(&mut pieces, &first_of(from, id), 0);
        }
    }
    assert_eq!(pieces.waiting.len(), DATAGRAMS);
    assert_eq!(held(&pieces, 3), 1);
    let most = (0..=255).map(|from| held(&pieces, from)).max();
    assert!(most <= Some(2), "{most:?}");
}

#[test]
fn a_network_of_ipv6_has_one_share() {
    let host = |low: u16| IpAddr::from([0x2001, 0xdb8, 1, 2, 3, 4, 5, low]);
    assert_eq!(network(host(1)), network(host(2)));
    assert_ne!(
        network(host(1)),
        network(IpAddr::from([0x2001, 0xdb8, 1, 3, 3, 4, 5, 1]))
    );
    assert_ne!(network([10, 0, 0, 1].into()), network([10, 0, 0, 2].into()));
}

#[test]
fn any_pieces_are_taken_without_harm() {
    let mut random = fastrand::Rng::with_seed(52);
    let mut pieces = Pieces::default();
    for round in 0..100_000u64 {
        let v6 = random.bool();
        let mut parts = cut(
            &packet(v6, random.usize(600..4000)),
            random.usize(200..1500),
            random.u32(..3),
        );
        let mut part = parts.swap_remove(random.usize(..parts.len()));
        let at = random.usize(..part.len().min(60));
        part[at] = random.u8(..);
        if !v6 {
            checksum::fill_header(&mut part, 20);
        }
        pieces.expire(round);
        if let Some(pkt) = received(&part)
            && let Some(whole) = pieces.take(&pkt, round)
        {
            assert!(whole.len() <= LONGEST + if v6 { 40 } else { 0 });
        }
    }
}
