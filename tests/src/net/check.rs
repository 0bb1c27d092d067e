//! Every frame that leaves the gateway is read with smoltcp's `wire`: lengths, checksums, TTL, link header.

use smoltcp::wire::{
    ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv4Packet,
    Icmpv6Packet, IpAddress, IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket,
};
use stack::ports::Layer;

/// How much of a packet's transport is judged. The gateway forwards a payload as it came, so what a test sent
/// broken leaves broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Checksums must be right.
    Checked,
    /// Not looked at.
    Ignored,
}

/// Says what is wrong with a frame that left a port of this kind.
pub fn frame(bytes: &[u8], layer: Layer, mtu: u32, transport: Transport) -> Result<(), String> {
    match layer {
        Layer::L3 => packet(bytes, mtu, transport),
        Layer::L2(mac) => ether(bytes, mac, mtu, transport),
    }
}

fn ether(bytes: &[u8], ours: arp::Mac, mtu: u32, transport: Transport) -> Result<(), String> {
    let frame = EthernetFrame::new_checked(bytes).map_err(|_| "no Ethernet header")?;
    if frame.src_addr() != EthernetAddress(ours.0) {
        return Err(format!("sent from {}", frame.src_addr()));
    }
    let payload = frame.payload();
    match frame.ethertype() {
        EthernetProtocol::Arp => {
            let packet = ArpPacket::new_checked(payload).map_err(|_| "short ARP")?;
            ArpRepr::parse(&packet).map_err(|_| "no ARP of Ethernet and IPv4")?;
            Ok(())
        }
        EthernetProtocol::Ipv4 if payload.first().map(|b| b >> 4) == Some(4) => {
            // The networks of all tests are /24: a broadcast to one may go to all stations (RFC 2644).
            if payload.get(19) != Some(&255) || !frame.dst_addr().is_broadcast() {
                unicast(frame.dst_addr())?;
            }
            self::packet(payload, mtu, transport)
        }
        EthernetProtocol::Ipv6 if payload.first().map(|b| b >> 4) == Some(6) => {
            self::packet(payload, mtu, transport)
        }
        other => Err(format!("EtherType {other} before {:02x?}", payload.first())),
    }
}

fn unicast(dst: EthernetAddress) -> Result<(), String> {
    if dst.is_unicast() && dst != EthernetAddress([0; 6]) {
        Ok(())
    } else {
        Err(format!("IPv4 to {dst}"))
    }
}

/// Says what is wrong with an IP packet.
pub fn packet(bytes: &[u8], mtu: u32, transport: Transport) -> Result<(), String> {
    if bytes.len() > mtu as usize {
        return Err(format!("{} bytes, the MTU is {mtu}", bytes.len()));
    }
    match bytes.first().map(|b| b >> 4) {
        Some(4) => v4(bytes, transport),
        Some(6) => v6(bytes, transport),
        version => Err(format!("IP version {version:?}")),
    }
}

fn v4(bytes: &[u8], transport: Transport) -> Result<(), String> {
    let ip = Ipv4Packet::new_checked(bytes).map_err(|_| "IPv4 lengths")?;
    if usize::from(ip.total_len()) != bytes.len() {
        return Err(format!("length {} of {}", ip.total_len(), bytes.len()));
    }
    if !ip.verify_checksum() {
        return Err("IPv4 header checksum".to_owned());
    }
    if ip.hop_limit() == 0 {
        return Err("TTL 0".to_owned());
    }
    let whole = !ip.more_frags() && ip.frag_offset() == 0;
    if !whole || transport == Transport::Ignored {
        return Ok(());
    }
    let ends = (ip.src_addr().into(), ip.dst_addr().into());
    payload(ip.next_header(), ip.payload(), ends)
}

fn v6(bytes: &[u8], transport: Transport) -> Result<(), String> {
    let ip = Ipv6Packet::new_checked(bytes).map_err(|_| "IPv6 lengths")?;
    if ip.total_len() != bytes.len() {
        return Err(format!("length {} of {}", ip.total_len(), bytes.len()));
    }
    if ip.hop_limit() == 0 {
        return Err("hop limit 0".to_owned());
    }
    if transport == Transport::Ignored {
        return Ok(());
    }
    let ends = (ip.src_addr().into(), ip.dst_addr().into());
    payload(ip.next_header(), ip.payload(), ends)
}

fn payload(
    proto: IpProtocol,
    bytes: &[u8],
    (src, dst): (IpAddress, IpAddress),
) -> Result<(), String> {
    let right = match proto {
        IpProtocol::Tcp => TcpPacket::new_checked(bytes).map(|p| p.verify_checksum(&src, &dst)),
        IpProtocol::Udp => UdpPacket::new_checked(bytes).map(|p| p.verify_checksum(&src, &dst)),
        IpProtocol::Icmp => Icmpv4Packet::new_checked(bytes).map(|p| p.verify_checksum()),
        IpProtocol::Icmpv6 => match (src, dst) {
            (IpAddress::Ipv6(src), IpAddress::Ipv6(dst)) => {
                Icmpv6Packet::new_checked(bytes).map(|p| p.verify_checksum(&src, &dst))
            }
            _ => Ok(false),
        },
        _ => Ok(true),
    };
    match right {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{proto} checksum")),
        Err(_) => Err(format!("{proto} header")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::udp;

    #[test]
    fn a_good_packet_passes_and_each_fault_is_seen() {
        let (src, dst) = ("10.0.0.2:7".parse(), "203.0.113.10:53".parse());
        let good = udp(src.expect("a source"), dst.expect("a server"), b"hello");
        assert_eq!(packet(&good, 1500, Transport::Checked), Ok(()));
        assert!(packet(&good, 32, Transport::Checked).is_err());
        for at in [2, 8, 10, 12, 21, 28] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(
                packet(&bad, 1500, Transport::Checked).is_err(),
                "a fault in byte {at} passed"
            );
        }
        assert!(packet(&good[..30], 1500, Transport::Ignored).is_err());
    }
}
