//! Super-packets of chance, cut here and put together again by who knows nothing of it; and what does not fit.

use super::*;
use crate::parse::{self, IpMeta};
use etherparse::{PacketBuilder, SlicedPacket, TransportSlice};
use fastrand::Rng;

const FIN: u8 = 1;
const PSH: u8 = 8;
const ACK: u8 = 16;
const CWR: u8 = 128;

/// A super-packet as a kernel would hand it over.
#[derive(Debug)]
struct Super {
    packet: Vec<u8>,
    payload: Vec<u8>,
    offload: Offload,
    headers: usize,
}

/// The pseudo header's sum, word by word (RFC 9293 §3.1, RFC 8200 §8.1).
fn pseudo_sum(packet: &[u8], l4: usize, proto: u8) -> u16 {
    let ends = if packet[0] >> 4 == 4 { 12..20 } else { 8..40 };
    let mut words = packet[ends].to_vec();
    words.extend_from_slice(&((packet.len() - l4) as u32).to_be_bytes());
    words.extend_from_slice(&[0, proto]);
    let sum = words
        .chunks(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum::<u32>();
    let once = (sum & 0xffff) + (sum >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}

fn random(rng: &mut Rng, kind: GsoKind) -> Super {
    let v6 = kind == GsoKind::Tcp6 || (kind == GsoKind::Udp && rng.bool());
    let (size, count) = (rng.u16(1..1500), rng.usize(2..40));
    let whole = usize::from(size) * count - rng.usize(..usize::from(size));
    let payload: Vec<u8> = (0..whole).map(|_| rng.u8(..)).collect();
    let ip = if v6 {
        PacketBuilder::ipv6(std::array::from_fn(|_| rng.u8(..)), [0x20; 16], 64)
    } else {
        PacketBuilder::ipv4([10, 0, 0, rng.u8(1..)], [198, 51, 100, rng.u8(1..)], 64)
    };
    let mut packet = Vec::new();
    if kind == GsoKind::Udp {
        let udp = ip.udp(rng.u16(1..), rng.u16(1..));
        udp.write(&mut packet, &payload).unwrap();
    } else {
        let mut tcp = ip
            .tcp(rng.u16(1..), rng.u16(1..), rng.u32(..), 1000)
            .ack(rng.u32(..));
        if rng.bool() {
            tcp = tcp
                .options_raw(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2])
                .unwrap();
        }
        tcp.write(&mut packet, &payload).unwrap();
    }
    let headers = packet.len() - payload.len();
    let l4 = if v6 { 40 } else { 20 };
    let (proto, field) = if kind == GsoKind::Udp {
        (17, 6)
    } else {
        (6, 16)
    };
    let ecn = kind != GsoKind::Udp && rng.bool();
    if !v6 {
        packet[4..6].copy_from_slice(&rng.u16(..).to_be_bytes());
        checksum::fill_header(&mut packet, 20);
    }
    if proto == 6 {
        packet[l4 + 13] = ACK | rng.u8(..) & (FIN | PSH) | if ecn { CWR } else { 0 };
    }
    let partial = pseudo_sum(&packet, l4, proto);
    packet[l4 + field..l4 + field + 2].copy_from_slice(&partial.to_be_bytes());
    let csum = Partial {
        start: l4 as u16,
        offset: field as u16,
    };
    Super {
        packet,
        payload,
        offload: Offload {
            gso: Some(Gso { kind, size, ecn }),
            csum: Some(csum),
        },
        headers,
    }
}

fn segments(of: &Super, link: &[u8]) -> Vec<Vec<u8>> {
    let frame = [link, &of.packet].concat();
    let mut offload = of.offload;
    if let Some(csum) = &mut offload.csum {
        csum.start += link.len() as u16;
    }
    let cut = Cut::of(&frame, link.len(), &offload).expect("a super-packet");
    let mut out = vec![0xee; 4096];
    let written = |at| {
        let len = cut.write(&frame, at, &mut out)?;
        assert!(
            out[len..].iter().all(|&byte| byte == 0xee),
            "beyond its end"
        );
        let segment = out[..len].to_vec();
        out.fill(0xee);
        assert_eq!(segment[..link.len()], *link);
        Some(segment[link.len()..].to_vec())
    };
    let all: Vec<_> = (0..cut.count()).map_while(written).collect();
    assert_eq!(all.len(), cut.count());
    assert_eq!(cut.write(&frame, cut.count(), &mut [0; 4096]), None);
    all
}

/// The payload of a finished packet whose every length and checksum is right, and TCP's sequence and flags.
fn judged(segment: &[u8]) -> (Vec<u8>, Option<(u32, u8)>) {
    let sliced = SlicedPacket::from_ip(segment).expect("lengths that fit");
    let ip = sliced.net.expect("an IP header");
    if let etherparse::NetSlice::Ipv4(v4) = &ip {
        let header = v4.header().to_header();
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        assert_eq!(usize::from(header.total_len), segment.len());
    }
    let ends4 = |v4: &etherparse::Ipv4Slice<'_>| (v4.header().source(), v4.header().destination());
    match sliced.transport.expect("a transport header") {
        TransportSlice::Tcp(tcp) => {
            let checksum = match &ip {
                etherparse::NetSlice::Ipv4(v4) => {
                    let (from, to) = ends4(v4);
                    tcp.calc_checksum_ipv4(from, to).unwrap()
                }
                etherparse::NetSlice::Ipv6(v6) => {
                    let header = v6.header();
                    tcp.calc_checksum_ipv6(header.source(), header.destination())
                        .unwrap()
                }
                _ => panic!("no IP"),
            };
            // One's complement has two zeros.
            assert_eq!(tcp.checksum() % 0xffff, checksum % 0xffff);
            let flags = tcp.slice()[13];
            (tcp.payload().to_vec(), Some((tcp.sequence_number(), flags)))
        }
        TransportSlice::Udp(udp) => {
            let (header, payload) = (udp.to_header(), udp.payload());
            let checksum = match &ip {
                etherparse::NetSlice::Ipv4(v4) => {
                    let (from, to) = ends4(v4);
                    header.calc_checksum_ipv4_raw(from, to, payload).unwrap()
                }
                etherparse::NetSlice::Ipv6(v6) => {
                    let (from, to) = (v6.header().source(), v6.header().destination());
                    header.calc_checksum_ipv6_raw(from, to, payload).unwrap()
                }
                _ => panic!("no IP"),
            };
            assert_eq!(header.checksum, checksum);
            assert_eq!(usize::from(header.length), 8 + payload.len());
            (payload.to_vec(), None)
        }
        _ => panic!("another protocol"),
    }
}

#[test]
fn segments_carry_the_payload_in_order_and_are_right_to_the_last_checksum() {
    let seed = 0x5eed_5e91;
    let mut rng = Rng::with_seed(seed);
    for round in 0..3_000 {
        let kind = [GsoKind::Tcp4, GsoKind::Tcp6, GsoKind::Udp][round % 3];
        let whole = random(&mut rng, kind);
        let size = usize::from(whole.offload.gso.unwrap().size);
        let link: &[u8] = if rng.bool() { &[7; 14] } else { &[] };
        let segments = segments(&whole, link);
        let (mut joined, count) = (Vec::new(), segments.len());
        let l4 = usize::from(whole.offload.csum.unwrap().start);
        let (flags, seq) = (
            whole.packet[l4 + 13],
            parse::be32(&whole.packet, l4 + 4).unwrap(),
        );
        for (at, segment) in segments.iter().enumerate() {
            let (payload, tcp) = judged(segment);
            assert_eq!(
                payload.len(),
                size.min(whole.payload.len() - joined.len()),
                "seed {seed:#x}, round {round}"
            );
            if kind == GsoKind::Tcp4 {
                let id = |p: &[u8]| parse::be16(p, 4).unwrap();
                assert_eq!(id(segment), id(&whole.packet).wrapping_add(at as u16));
            }
            if let Some((has, is)) = tcp {
                assert_eq!(has, seq.wrapping_add(joined.len() as u32));
                let last = if at + 1 == count { FIN | PSH } else { 0 };
                let first = if at == 0 { CWR } else { 0 };
                assert_eq!(is, flags & (ACK | last | first), "segment {at} of {count}");
            }
            joined.extend(payload);
        }
        assert!(joined == whole.payload, "seed {seed:#x}, round {round}");
    }
}

fn meta(packet: &[u8]) -> IpMeta {
    parse::read(packet).expect("a packet")
}

#[test]
fn a_super_packet_finished_whole_is_right_too() {
    let mut rng = Rng::with_seed(7);
    for kind in [GsoKind::Tcp4, GsoKind::Tcp6, GsoKind::Udp] {
        let mut whole = random(&mut rng, kind);
        let csum = whole.offload.csum.unwrap();
        finish(&mut whole.packet, csum.start.into(), csum.offset.into());
        assert_eq!(judged(&whole.packet).0, whole.payload);
    }
}

#[test]
fn what_fits_is_as_long_on_the_wire_as_its_first_segment() {
    let mut rng = Rng::with_seed(8);
    for kind in [GsoKind::Tcp4, GsoKind::Tcp6, GsoKind::Udp] {
        let whole = random(&mut rng, kind);
        let (meta, size) = (meta(&whole.packet), whole.offload.gso.unwrap().size);
        assert_eq!(whole.offload.fit(&meta, &whole.packet), Some(whole.offload));
        let wire = whole.offload.wire_len(&whole.packet);
        assert_eq!(wire, whole.headers + usize::from(size));
        assert_eq!(segments(&whole, &[])[0].len(), wire);
        let csum = Offload {
            gso: None,
            ..whole.offload
        };
        assert_eq!(csum.wire_len(&whole.packet), whole.packet.len());
    }
}

#[test]
fn one_segment_is_no_super_packet() {
    let mut rng = Rng::with_seed(9);
    let mut whole = random(&mut rng, GsoKind::Tcp4);
    let gso = whole.offload.gso.as_mut().unwrap();
    gso.size = whole.payload.len() as u16;
    let fits = whole
        .offload
        .fit(&meta(&whole.packet), &whole.packet)
        .unwrap();
    assert_eq!((fits.gso, fits.csum), (None, whole.offload.csum));
}

#[test]
fn what_does_not_fit_its_packet_is_refused() {
    let mut rng = Rng::with_seed(10);
    let whole = random(&mut rng, GsoKind::Tcp4);
    let good = (whole.offload.gso.unwrap(), whole.offload.csum.unwrap());
    let kind = |kind| Gso { kind, ..good.0 };
    let start = |start| Partial { start, ..good.1 };
    let offset = |offset| Partial { offset, ..good.1 };
    let beyond = (whole.packet.len() - 20) as u16;
    let refused = [
        ("another family", Some(kind(GsoKind::Tcp6)), good.1),
        ("another protocol", Some(kind(GsoKind::Udp)), good.1),
        ("a checksum from elsewhere", Some(good.0), start(22)),
        ("another field", Some(good.0), offset(14)),
        ("within the IP header", None, start(12)),
        ("beyond the packet", None, offset(beyond)),
        ("between two words", None, offset(15)),
    ];
    let meta = meta(&whole.packet);
    for (what, gso, csum) in refused {
        let offload = Offload {
            gso,
            csum: Some(csum),
        };
        assert_eq!(offload.fit(&meta, &whole.packet), None, "{what}");
    }
    let nothing = Offload {
        csum: None,
        ..whole.offload
    };
    assert_eq!(nothing.fit(&meta, &whole.packet), None, "a finished one");
    let piece = parse::Fragment {
        id: 1,
        offset: 0,
        more: true,
    };
    let piece = IpMeta {
        fragment: Some(piece),
        ..meta
    };
    assert_eq!(whole.offload.fit(&piece, &whole.packet), None, "a piece");
    let mut opener = whole.packet.clone();
    opener[33] |= 2;
    assert_eq!(whole.offload.fit(&meta, &opener), None, "a SYN");
    let mut dust = whole.offload;
    dust.gso.as_mut().unwrap().size = 1;
    let many = whole.payload.len() > MAX_SEGMENTS;
    assert_eq!(dust.fit(&meta, &whole.packet).is_none(), many, "dust");
}

#[test]
fn any_offload_on_any_packet_is_refused_or_cut_without_harm() {
    let seed = 0x5eed_f17a;
    let mut rng = Rng::with_seed(seed);
    let (mut fit, mut out) = (0, vec![0; 70_000]);
    for round in 0..20_000 {
        let kind = [GsoKind::Tcp4, GsoKind::Tcp6, GsoKind::Udp][rng.usize(..3)];
        let mut whole = random(&mut rng, kind);
        for _ in 0..rng.usize(..3) {
            let at = rng.usize(..whole.headers);
            whole.packet[at] = rng.u8(..);
        }
        let csum = whole.offload.csum.as_mut().unwrap();
        if rng.u8(..4) == 0 {
            (csum.start, csum.offset) = (rng.u16(..80), rng.u16(..40));
        }
        whole.offload.gso.as_mut().unwrap().size = rng.u16(1..);
        let Ok(meta) = parse::read(&whole.packet) else {
            continue;
        };
        let packet = &whole.packet[..usize::from(meta.len)];
        let Some(offload) = whole.offload.fit(&meta, packet) else {
            continue;
        };
        fit += 1;
        assert!(offload.wire_len(packet) <= packet.len());
        if let Some(cut) = Cut::of(packet, 0, &offload) {
            let lens = (0..cut.count()).map(|at| cut.write(packet, at, &mut out));
            let all: Option<Vec<usize>> = lens.collect();
            let longest = all.and_then(|lens| lens.into_iter().max());
            assert_eq!(
                longest,
                Some(offload.wire_len(packet)),
                "seed {seed:#x}, round {round}"
            );
        }
    }
    assert!(fit > 1_000, "{fit}");
}
