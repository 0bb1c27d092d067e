//! Random and damaged packets, and the same packets read by others.

use super::*;
use fastrand::Rng;

/// Packets to begin with when bytes are changed by chance.
fn seeds() -> Vec<Vec<u8>> {
    let mut all = vec![
        ip4_options(proto::TCP, &[7, 7, 4, 0, 0, 0, 0, 1], &tcp(16, 30)),
        piece4(proto::UDP, 0x2000, &[&udp()[..], &[0; 4]].concat()),
        ip6(
            0,
            &[
                extension(43, 2),
                extension(44, 1),
                fragment6(60, 1, &extension(6, 1)),
                tcp(2, 4),
            ]
            .concat(),
        ),
    ];
    for v6 in [false, true] {
        for (proto, l4, _) in quotable(v6) {
            let whole = if v6 { ip6(proto, &l4) } else { ip4(proto, &l4) };
            let message = error(3, &back(&whole));
            all.push(if v6 {
                ip6(proto::ICMP6, &message)
            } else {
                ip4(proto::ICMP, &message)
            });
            all.push(whole);
        }
    }
    all
}

/// What must hold of whatever was accepted.
fn check(meta: &IpMeta, bytes: &[u8]) {
    let (off, len) = (usize::from(meta.l4_off), usize::from(meta.len));
    assert!(off <= len && len <= bytes.len());
    assert_eq!(meta.addrs.is_v6(), bytes[0] >> 4 == 6);
    let later = meta.fragment.is_some_and(|f| f.offset != 0);
    assert_eq!(meta.role == Role::Piece, later);
    if meta.role != Role::Quoting {
        assert_eq!(
            (meta.tuple.addrs, meta.tuple.proto),
            (meta.addrs, meta.proto)
        );
    }
    is_icmp_error(meta, bytes);
}

/// Ports as etherparse reads them.
fn their_ports(proto: u8, l4: &[u8]) -> Option<(u16, u16)> {
    match proto {
        proto::TCP => etherparse::TcpSlice::from_slice(l4)
            .ok()
            .map(|t| (t.source_port(), t.destination_port())),
        proto::UDP => etherparse::UdpHeaderSlice::from_slice(l4)
            .ok()
            .map(|u| (u.source_port(), u.destination_port())),
        _ => Some((0, 0)),
    }
}

#[test]
fn random_bytes_never_panic_and_what_is_accepted_is_sound() {
    let seed = 0x9a45_0001;
    let mut rng = Rng::with_seed(seed);
    let mut accepted = 0;
    for round in 0..400_000 {
        let mut bytes: Vec<u8> = (0..rng.usize(0..160)).map(|_| rng.u8(..)).collect();
        if let Some(first) = bytes.first_mut() {
            *first = [0x45, 0x46, 0x4f, 0x60, rng.u8(..)][rng.usize(..5)];
        }
        // Lengths and the sum are never right by chance.
        if let (4, 20..) = (bytes.first().map_or(0, |b| b >> 4), bytes.len()) {
            let hlen = usize::from(bytes[0] & 15) * 4;
            let len = rng.usize(..=bytes.len()) as u16;
            bytes[2..4].copy_from_slice(&len.to_be_bytes());
            crate::checksum::fill_header(&mut bytes, hlen);
        } else if bytes.len() >= 40 {
            let len = rng.usize(..=bytes.len() - 40) as u16;
            bytes[4..6].copy_from_slice(&len.to_be_bytes());
            bytes[6] = [0, 43, 44, 60, 6, 17, 58, rng.u8(..)][rng.usize(..8)];
        }
        if let Ok(meta) = read(&bytes) {
            accepted += 1;
            let sound = std::panic::catch_unwind(|| check(&meta, &bytes));
            assert!(sound.is_ok(), "seed {seed:#x}, round {round}: {bytes:x?}");
        }
    }
    assert!(accepted > 20_000, "only {accepted} were worth reading");
}

#[test]
fn packets_changed_by_chance_never_panic_and_what_is_accepted_is_sound() {
    let seed = 0x9a45_0002;
    let mut rng = Rng::with_seed(seed);
    let seeds = seeds();
    for round in 0..400_000 {
        let mut bytes = seeds[rng.usize(..seeds.len())].clone();
        for _ in 0..rng.usize(1..5) {
            let at = rng.usize(..bytes.len());
            bytes[at] = [0, 1, 4, 8, 43, 44, 60, 0xff, rng.u8(..)][rng.usize(..9)];
        }
        if rng.bool() {
            bytes.truncate(rng.usize(..=bytes.len()));
        }
        if bytes.len() >= 20 && bytes[0] >> 4 == 4 {
            let hlen = usize::from(bytes[0] & 15) * 4;
            crate::checksum::fill_header(&mut bytes, hlen);
        }
        if let Ok(meta) = read(&bytes) {
            let sound = std::panic::catch_unwind(|| check(&meta, &bytes));
            assert!(sound.is_ok(), "seed {seed:#x}, round {round}: {bytes:x?}");
        }
    }
}

#[test]
fn etherparse_reads_the_same_of_every_packet_that_both_accept() {
    let seed = 0x9a45_0003;
    let mut rng = Rng::with_seed(seed);
    let (seeds, mut compared) = (seeds(), 0);
    for round in 0..100_000 {
        let mut bytes = seeds[rng.usize(..seeds.len())].clone();
        for _ in 0..rng.usize(..4) {
            let at = rng.usize(..bytes.len());
            // Not 51: an authentication header is the end of the chain for a router, and not for etherparse.
            bytes[at] = [0, 1, 8, 43, 44, 60, rng.u8(..50)][rng.usize(..7)];
        }
        if bytes[0] >> 4 == 4 {
            let hlen = usize::from(bytes[0] & 15) * 4;
            crate::checksum::fill_header(&mut bytes, hlen);
        }
        let (Ok(ours), Ok(theirs)) = (read(&bytes), etherparse::IpSlice::from_slice(&bytes)) else {
            continue;
        };
        let payload = theirs.payload();
        // Two readings of its own: mobility and the like are extension headers, an IPv6 length of 0 is jumbo.
        if matches!(ours.proto, 51 | 135 | 139 | 140) || (ours.addrs.is_v6() && ours.len == 40) {
            continue;
        }
        compared += 1;
        let context = format!("seed {seed:#x}, round {round}: {bytes:x?}");
        assert_eq!(
            (ours.addrs.src(), ours.addrs.dst()),
            (theirs.source_addr(), theirs.destination_addr())
        );
        assert_eq!(ours.fragment.is_some(), payload.fragmented, "{context}");
        let at = payload.payload.as_ptr() as usize - bytes.as_ptr() as usize;
        if ours.fragment.is_none() {
            assert_eq!(
                (ours.proto, usize::from(ours.l4_off)),
                (payload.ip_number.0, at),
                "{context}"
            );
            assert_eq!(
                usize::from(ours.len) - at,
                payload.payload.len(),
                "{context}"
            );
            let transport = matches!(ours.proto, proto::TCP | proto::UDP);
            if let Some(ports) = their_ports(ours.proto, payload.payload).filter(|_| transport) {
                assert_eq!((ours.tuple.sport, ours.tuple.dport), ports, "{context}");
            }
        }
    }
    assert!(compared > 40_000, "only {compared} were compared");
}

#[test]
fn smoltcp_reads_the_same_of_ipv4_and_tcp() {
    use smoltcp::wire::{Ipv4Packet, TcpPacket};
    let seed = 0x9a45_0004;
    let mut rng = Rng::with_seed(seed);
    for round in 0..20_000 {
        let mut segment = tcp(rng.u8(..), rng.usize(..40));
        segment[..12].fill_with(|| rng.u8(..));
        segment[12] = rng.u8(5..8) << 4;
        segment.resize(segment.len().max(32), 0);
        let packet = with(&ip4(proto::TCP, &segment), |p| {
            (p[6], p[8]) = (rng.u8(..) & 0x40, rng.u8(..))
        });
        let meta = read(&packet).unwrap();
        let ip = Ipv4Packet::new_checked(&packet[..]).unwrap();
        let tcp = TcpPacket::new_checked(ip.payload()).unwrap();
        assert!(ip.verify_checksum());
        assert_eq!(
            (meta.ttl, meta.dont_fragment, meta.len),
            (ip.hop_limit(), ip.dont_frag(), ip.total_len())
        );
        assert_eq!(
            (meta.tuple.sport, meta.tuple.dport),
            (tcp.src_port(), tcp.dst_port())
        );
        let L4::Tcp {
            flags,
            seq,
            ack,
            window,
            len,
        } = meta.l4
        else {
            panic!("round {round}")
        };
        assert_eq!(
            (seq as i32, ack as i32),
            (tcp.seq_number().0, tcp.ack_number().0),
            "seed {seed:#x}"
        );
        assert_eq!(
            (window, len as usize),
            (tcp.window_len(), tcp.payload().len())
        );
        let bits = [
            tcp.fin(),
            tcp.syn(),
            tcp.rst(),
            tcp.psh(),
            tcp.ack(),
            tcp.urg(),
        ];
        for (i, bit) in bits.into_iter().enumerate() {
            assert_eq!(flags >> i & 1 == 1, bit, "flag {i}");
        }
    }
}
