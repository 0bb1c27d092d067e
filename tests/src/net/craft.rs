//! Packets that no ordinary socket sends: pieces of datagrams, ICMP errors, echoes, any TTL. And the way back:
//! pieces put together.

use crate::frames::ip_packet;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv4Packet, Ipv6Packet,
};
use std::net::IpAddr;

/// IPv6's next header for a fragment header.
const FRAGMENT: u8 = 44;

/// Whether a packet is IPv6.
pub fn is_v6(packet: &[u8]) -> bool {
    packet.first().is_some_and(|b| b >> 4 == 6)
}

/// Writes an IPv4 header's checksum, after it was changed.
pub fn fix_header(packet: &mut [u8]) {
    if !is_v6(packet) {
        Ipv4Packet::new_unchecked(packet).fill_checksum();
    }
}

/// The same packet with another TTL or hop limit.
pub fn with_ttl(mut packet: Vec<u8>, ttl: u8) -> Vec<u8> {
    let at = if is_v6(&packet) { 7 } else { 8 };
    packet[at] = ttl;
    fix_header(&mut packet);
    packet
}

/// The same IPv4 packet with its DF bit set or clear.
pub fn with_df(mut packet: Vec<u8>, df: bool) -> Vec<u8> {
    packet[6] = if df { 0x40 } else { 0 };
    fix_header(&mut packet);
    packet
}

/// TTL or hop limit.
pub fn ttl(packet: &[u8]) -> u8 {
    packet[if is_v6(packet) { 7 } else { 8 }]
}

/// Cuts a packet into pieces of `size` bytes of payload (a multiple of 8), in order.
pub fn pieces(packet: &[u8], id: u32, size: usize) -> Vec<Vec<u8>> {
    let header = if is_v6(packet) { 40 } else { 20 };
    let payload = &packet[header..];
    let chunks = payload.chunks(size).enumerate();
    let piece = |(i, chunk): (usize, &[u8])| {
        let (offset, more) = (i * size, (i + 1) * size < payload.len());
        if is_v6(packet) {
            piece6(packet, chunk, id, offset, more)
        } else {
            piece4(packet, chunk, id, offset, more)
        }
    };
    chunks.map(piece).collect()
}

fn piece4(whole: &[u8], chunk: &[u8], id: u32, offset: usize, more: bool) -> Vec<u8> {
    let mut piece = [&whole[..20], chunk].concat();
    let word = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
    piece[2..4].copy_from_slice(&((20 + chunk.len()) as u16).to_be_bytes());
    piece[4..6].copy_from_slice(&(id as u16).to_be_bytes());
    piece[6..8].copy_from_slice(&word.to_be_bytes());
    fix_header(&mut piece);
    piece
}

fn piece6(whole: &[u8], chunk: &[u8], id: u32, offset: usize, more: bool) -> Vec<u8> {
    let mut header = [whole[6], 0, 0, 0, 0, 0, 0, 0];
    header[2..4].copy_from_slice(&(offset as u16 | u16::from(more)).to_be_bytes());
    header[4..].copy_from_slice(&id.to_be_bytes());
    let mut piece = [&whole[..40], &header, chunk].concat();
    piece[4..6].copy_from_slice(&((8 + chunk.len()) as u16).to_be_bytes());
    piece[6] = FRAGMENT;
    piece
}

/// Whether a packet is a piece of a datagram.
pub fn is_piece(packet: &[u8]) -> bool {
    if is_v6(packet) {
        packet[6] == FRAGMENT
    } else {
        let ip = Ipv4Packet::new_unchecked(packet);
        ip.more_frags() || ip.frag_offset() != 0
    }
}

/// The payload that pieces make, whatever their order.
///
/// # Panics
/// If one is missing or they overlap.
pub fn reassemble(pieces: &[&[u8]]) -> Vec<u8> {
    let mut parts: Vec<(usize, bool, &[u8])> = pieces.iter().map(|p| part(p)).collect();
    parts.sort_unstable_by_key(|part| part.0);
    let mut whole = Vec::new();
    let last = parts.len() - 1;
    for (i, (offset, more, bytes)) in parts.into_iter().enumerate() {
        assert_eq!(offset, whole.len(), "piece {i}");
        assert_eq!(more, i != last, "piece {i}");
        whole.extend_from_slice(bytes);
    }
    whole
}

fn part(piece: &[u8]) -> (usize, bool, &[u8]) {
    if is_v6(piece) {
        let word = u16::from_be_bytes([piece[42], piece[43]]);
        (usize::from(word & !7), word & 1 != 0, &piece[48..])
    } else {
        let ip = Ipv4Packet::new_unchecked(piece);
        (usize::from(ip.frag_offset()), ip.more_frags(), &piece[20..])
    }
}

/// An echo request.
pub fn echo_request(src: IpAddr, dst: IpAddr, ident: u16, seq_no: u16, data: &[u8]) -> Vec<u8> {
    let checksums = ChecksumCapabilities::default();
    match (src, dst) {
        (IpAddr::V4(_), _) => {
            let repr = Icmpv4Repr::EchoRequest {
                ident,
                seq_no,
                data,
            };
            let mut bytes = vec![0; repr.buffer_len()];
            repr.emit(&mut Icmpv4Packet::new_unchecked(&mut bytes[..]), &checksums);
            ip_packet(src, dst, IpProtocol::Icmp, 64, &bytes)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let repr = Icmpv6Repr::EchoRequest {
                ident,
                seq_no,
                data,
            };
            let mut bytes = vec![0; repr.buffer_len()];
            let mut packet = Icmpv6Packet::new_unchecked(&mut bytes[..]);
            repr.emit(&from, &to, &mut packet, &checksums);
            ip_packet(src, dst, IpProtocol::Icmpv6, 64, &bytes)
        }
        _ => panic!("{src} and {dst} are of different families"),
    }
}

/// An ICMP error of `kind` and `code` from a router about a packet, to the packet's source.
pub fn icmp_error(from: IpAddr, about: &[u8], kind: u8, code: u8, rest: u32) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0];
    message.extend_from_slice(&rest.to_be_bytes());
    message.extend_from_slice(&about[..about.len().min(512)]);
    let to = source(about);
    match (from, to) {
        (IpAddr::V6(from6), IpAddr::V6(to6)) => {
            Icmpv6Packet::new_unchecked(&mut message[..]).fill_checksum(&from6, &to6);
            ip_packet(from, to, IpProtocol::Icmpv6, 64, &message)
        }
        _ => {
            Icmpv4Packet::new_unchecked(&mut message[..]).fill_checksum();
            ip_packet(from, to, IpProtocol::Icmp, 64, &message)
        }
    }
}

/// A packet's source.
pub fn source(packet: &[u8]) -> IpAddr {
    if is_v6(packet) {
        Ipv6Packet::new_unchecked(packet).src_addr().into()
    } else {
        Ipv4Packet::new_unchecked(packet).src_addr().into()
    }
}

/// A packet's destination.
pub fn destination(packet: &[u8]) -> IpAddr {
    if is_v6(packet) {
        Ipv6Packet::new_unchecked(packet).dst_addr().into()
    } else {
        Ipv4Packet::new_unchecked(packet).dst_addr().into()
    }
}

/// An ICMP error taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// Who sent it.
    pub from: IpAddr,
    /// Type and code.
    pub kind: (u8, u8),
    /// The 32 bits behind the checksum.
    pub rest: u32,
    /// What it quotes.
    pub quote: Vec<u8>,
}

/// Reads a packet as an ICMP error, if it is one.
pub fn read_icmp_error(packet: &[u8]) -> Option<IcmpError> {
    let (proto, at) = if is_v6(packet) {
        (packet[6], 40)
    } else {
        (packet[9], 20)
    };
    let message = packet.get(at..).filter(|m| m.len() >= 8)?;
    let is_error = match proto {
        1 => matches!(message[0], 3 | 11 | 12),
        58 => message[0] < 128,
        _ => false,
    };
    is_error.then(|| IcmpError {
        from: source(packet),
        kind: (message[0], message[1]),
        rest: u32::from_be_bytes([message[4], message[5], message[6], message[7]]),
        quote: message[8..].to_vec(),
    })
}
