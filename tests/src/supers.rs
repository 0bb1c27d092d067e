//! Super-packets and unfinished checksums as a kernel hands them over, and a judge of what was made of them: smoltcp's `wire`,
//! not Flowgate's own code.

use crate::frames::{tcp_segment, udp};
use smoltcp::wire::{IpAddress, Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket};
use stack::offload::{Gso, GsoKind, Offload, Partial};
use std::net::SocketAddr;

/// A packet and what is left to be done of it.
pub type Unfinished = (Vec<u8>, Offload);

/// TCP with PSH and ACK, `len` bytes of payload, to be cut every `size` bytes.
pub fn tcp_super(src: SocketAddr, dst: SocketAddr, len: usize, size: u16) -> Unfinished {
    const PSH_ACK: u8 = 0x18;
    let mut packet = tcp_segment(src, dst, PSH_ACK, 1000, 1, len);
    let l4 = l4_of(&packet);
    for (at, byte) in packet[l4 + 20..].iter_mut().enumerate() {
        *byte = (at % 251) as u8;
    }
    let kind = match src.is_ipv4() {
        true => GsoKind::Tcp4,
        false => GsoKind::Tcp6,
    };
    unfinished(packet, Some((kind, size)))
}

/// Datagrams of one sender to one receiver.
pub fn udp_super(src: SocketAddr, dst: SocketAddr, len: usize, size: u16) -> Unfinished {
    let payload: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
    unfinished(udp(src, dst, &payload), Some((GsoKind::Udp, size)))
}

/// A packet whose checksum is not finished, perhaps a super-packet.
pub fn unfinished(mut packet: Vec<u8>, gso: Option<(GsoKind, u16)>) -> Unfinished {
    let (l4, offset) = (l4_of(&packet), if proto_of(&packet) == 17 { 6 } else { 16 });
    let sum = pseudo_sum(&packet, l4);
    packet[l4 + offset..l4 + offset + 2].copy_from_slice(&sum.to_be_bytes());
    let csum = Partial {
        start: l4 as u16,
        offset: offset as u16,
    };
    let gso = gso.map(|(kind, size)| Gso {
        kind,
        size,
        ecn: false,
    });
    let offload = Offload {
        gso,
        csum: Some(csum),
    };
    (packet, offload)
}

/// The same behind a link header.
pub fn behind(header: &[u8], (packet, mut offload): Unfinished) -> Unfinished {
    if let Some(csum) = &mut offload.csum {
        csum.start += header.len() as u16;
    }
    ([header, &packet].concat(), offload)
}

/// The payload of a finished packet; panics if a length or a checksum of it is wrong.
pub fn judged(packet: &[u8]) -> Vec<u8> {
    let (src, dst): (IpAddress, IpAddress) = if packet[0] >> 4 == 4 {
        let ip = Ipv4Packet::new_checked(packet).expect("lengths that fit");
        assert!(ip.verify_checksum(), "the IP header's checksum");
        assert_eq!(usize::from(ip.total_len()), packet.len());
        (ip.src_addr().into(), ip.dst_addr().into())
    } else {
        let ip = Ipv6Packet::new_checked(packet).expect("lengths that fit");
        assert_eq!(ip.total_len(), packet.len());
        (ip.src_addr().into(), ip.dst_addr().into())
    };
    let l4 = &packet[l4_of(packet)..];
    match proto_of(packet) {
        6 => {
            let tcp = TcpPacket::new_checked(l4).expect("a TCP header");
            assert!(tcp.verify_checksum(&src, &dst), "TCP's checksum");
            tcp.payload().to_vec()
        }
        17 => {
            let udp = UdpPacket::new_checked(l4).expect("a UDP header");
            assert!(udp.verify_checksum(&src, &dst), "UDP's checksum");
            udp.payload().to_vec()
        }
        other => panic!("protocol {other}"),
    }
}

fn l4_of(packet: &[u8]) -> usize {
    if packet[0] >> 4 == 4 { 20 } else { 40 }
}

fn proto_of(packet: &[u8]) -> u8 {
    if packet[0] >> 4 == 4 {
        packet[9]
    } else {
        packet[6]
    }
}

/// The pseudo header's sum, word by word.
fn pseudo_sum(packet: &[u8], l4: usize) -> u16 {
    let ends = if packet[0] >> 4 == 4 { 12..20 } else { 8..40 };
    let mut words = packet[ends].to_vec();
    words.extend_from_slice(&((packet.len() - l4) as u32).to_be_bytes());
    words.extend_from_slice(&[0, proto_of(packet)]);
    let mut sum: u32 = words
        .chunks(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}
