//! Packets and frames for tests: built with smoltcp's `wire`, so that Flowgate's own code is not its own judge.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr, TcpPacket, UdpPacket,
    UdpRepr,
};
use std::net::{IpAddr, SocketAddr};

/// TCP flag bits as on the wire.
pub mod tcp {
    /// No more data.
    pub const FIN: u8 = 1;
    /// Opens.
    pub const SYN: u8 = 2;
    /// Breaks off.
    pub const RST: u8 = 4;
    /// Acknowledges.
    pub const ACK: u8 = 16;
}

/// An IP packet with `payload` as its transport part.
pub fn ip_packet(src: IpAddr, dst: IpAddr, proto: IpProtocol, ttl: u8, payload: &[u8]) -> Vec<u8> {
    match (src, dst) {
        (IpAddr::V4(src_addr), IpAddr::V4(dst_addr)) => {
            let repr = Ipv4Repr {
                src_addr,
                dst_addr,
                next_header: proto,
                payload_len: payload.len(),
                hop_limit: ttl,
            };
            let mut bytes = vec![0; 20 + payload.len()];
            repr.emit(
                &mut Ipv4Packet::new_unchecked(&mut bytes[..]),
                &ChecksumCapabilities::default(),
            );
            bytes[20..].copy_from_slice(payload);
            bytes
        }
        (IpAddr::V6(src_addr), IpAddr::V6(dst_addr)) => {
            let repr = Ipv6Repr {
                src_addr,
                dst_addr,
                next_header: proto,
                payload_len: payload.len(),
                hop_limit: ttl,
            };
            let mut bytes = vec![0; 40 + payload.len()];
            repr.emit(&mut Ipv6Packet::new_unchecked(&mut bytes[..]));
            bytes[40..].copy_from_slice(payload);
            bytes
        }
        _ => panic!("{src} and {dst} are of different families"),
    }
}

/// A UDP packet.
pub fn udp(src: SocketAddr, dst: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let repr = UdpRepr {
        src_port: src.port(),
        dst_port: dst.port(),
    };
    let mut bytes = vec![0; 8 + payload.len()];
    repr.emit(
        &mut UdpPacket::new_unchecked(&mut bytes[..]),
        &IpAddress::from(src.ip()),
        &IpAddress::from(dst.ip()),
        payload.len(),
        |room| room.copy_from_slice(payload),
        &ChecksumCapabilities::default(),
    );
    ip_packet(src.ip(), dst.ip(), IpProtocol::Udp, 64, &bytes)
}

/// A TCP segment with these flags and numbers and `len` bytes of payload.
pub fn tcp_segment(
    src: SocketAddr,
    dst: SocketAddr,
    flags: u8,
    seq: u32,
    ack: u32,
    len: usize,
) -> Vec<u8> {
    let mut bytes = vec![0; 20 + len];
    bytes[0..2].copy_from_slice(&src.port().to_be_bytes());
    bytes[2..4].copy_from_slice(&dst.port().to_be_bytes());
    bytes[4..8].copy_from_slice(&seq.to_be_bytes());
    bytes[8..12].copy_from_slice(&ack.to_be_bytes());
    bytes[12] = 5 << 4;
    bytes[13] = flags;
    bytes[14..16].copy_from_slice(&65_535u16.to_be_bytes());
    TcpPacket::new_unchecked(&mut bytes[..])
        .fill_checksum(&IpAddress::from(src.ip()), &IpAddress::from(dst.ip()));
    ip_packet(src.ip(), dst.ip(), IpProtocol::Tcp, 64, &bytes)
}

/// An Ethernet frame around an IP packet.
pub fn ether(dst: arp::Mac, src: arp::Mac, packet: &[u8]) -> Vec<u8> {
    let ethertype = if packet.first().is_some_and(|b| b >> 4 == 6) {
        0x86dd
    } else {
        0x0800
    };
    let mut frame = arp::ether_header(dst, src, ethertype).to_vec();
    frame.extend_from_slice(packet);
    frame
}

/// The destination hardware address of a frame.
pub fn mac_dst(frame: &[u8]) -> Option<arp::Mac> {
    Some(arp::Mac(frame.get(..6)?.try_into().ok()?))
}
