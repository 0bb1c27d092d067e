//! The packets that cases are made of, written with smoltcp's `wire`.

use crate::frames::{ether, ip_packet, udp};
use crate::net::craft::{self, is_v6, source, ttl, with_ttl};
use crate::rack::{Family, GATEWAY_MAC, server_mac};
use crate::sim::ip;
use arp::Mac;
use smoltcp::wire::{Icmpv4Packet, Icmpv6Packet, IpProtocol};
use std::net::{IpAddr, SocketAddr};

/// The gateway's hardware address on `west`.
pub const WEST_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);

/// The gateway's addresses towards the clients.
pub const GATEWAY: &str = "10.0.0.1";
/// See [`GATEWAY`].
pub const GATEWAY6: &str = "fd10::1";

/// The client, with its port.
pub fn client(family: Family) -> SocketAddr {
    SocketAddr::new(
        ip(match family {
            Family::V4 => "10.3.3.3",
            Family::V6 => "fd10::3",
        }),
        4000,
    )
}

/// The server that it talks to, behind host 0 of `rack`.
pub fn server(family: Family) -> SocketAddr {
    SocketAddr::new(
        ip(match family {
            Family::V4 => "203.0.113.10",
            Family::V6 => "2001:db8:113::10",
        }),
        53,
    )
}

/// A UDP datagram of the client to the server.
pub fn datagram(family: Family) -> Vec<u8> {
    udp(client(family), server(family), b"conformance")
}

/// A UDP datagram between any two, with the ports of client and server.
pub fn datagram_of(src: &str, dst: &str) -> Vec<u8> {
    let (src, dst) = (SocketAddr::new(ip(src), 4000), SocketAddr::new(ip(dst), 53));
    udp(src, dst, b"conformance")
}

/// An IPv4 packet of any protocol from the client to the server.
pub fn ip4(proto: u8, payload: &[u8]) -> Vec<u8> {
    let (src, dst) = (client(Family::V4).ip(), server(Family::V4).ip());
    ip_packet(src, dst, IpProtocol::from(proto), 64, payload)
}

/// The packet one hop later.
pub fn hop(packet: &[u8]) -> Vec<u8> {
    with_ttl(packet.to_vec(), ttl(packet) - 1)
}

/// A frame of host 0 of `rack` to the gateway.
pub fn from_rack(packet: &[u8]) -> Vec<u8> {
    ether(GATEWAY_MAC, server_mac(0), packet)
}

/// A frame of the gateway to host 0 of `rack`.
pub fn to_rack(packet: &[u8]) -> Vec<u8> {
    ether(server_mac(0), GATEWAY_MAC, packet)
}

/// A frame of the gateway to the host of `west`.
pub fn to_west(packet: &[u8]) -> Vec<u8> {
    ether(server_mac(2), WEST_MAC, packet)
}

/// The packet of a frame.
pub fn bare(frame: &[u8]) -> Vec<u8> {
    frame[14..].to_vec()
}

/// An ICMP or ICMPv6 error of the gateway.
#[derive(Clone, Copy, Debug)]
pub struct Error<'a> {
    /// From which of its addresses.
    pub from: &'a str,
    /// Type and code.
    pub kind: (u8, u8),
    /// The 32 bits behind the checksum.
    pub rest: u32,
    /// IPv4's identification: which error of the gateway it is.
    pub no: u16,
}

/// Writes such an error about a packet, to its source: as much of it as 576 or 1280 bytes in all allow, TTL 64,
/// precedence 6.
pub fn error(error: Error<'_>, about: &[u8]) -> Vec<u8> {
    let v6 = is_v6(about);
    let room = if v6 { 1280 - 48 } else { 576 - 28 };
    let mut message = vec![error.kind.0, error.kind.1, 0, 0];
    message.extend_from_slice(&error.rest.to_be_bytes());
    message.extend_from_slice(&about[..about.len().min(room)]);
    let (from, to) = (ip(error.from), source(about));
    match (from, to) {
        (IpAddr::V6(from6), IpAddr::V6(to6)) => {
            Icmpv6Packet::new_unchecked(&mut message[..]).fill_checksum(&from6, &to6);
            let mut packet = ip_packet(from, to, IpProtocol::Icmpv6, 64, &message);
            packet[0] = 0x6c;
            packet
        }
        _ => {
            Icmpv4Packet::new_unchecked(&mut message[..]).fill_checksum();
            let mut packet = ip_packet(from, to, IpProtocol::Icmp, 64, &message);
            packet[1] = 0xc0;
            packet[4..6].copy_from_slice(&error.no.to_be_bytes());
            packet[6] = 0;
            craft::fix_header(&mut packet);
            packet
        }
    }
}

/// An ARP frame.
#[derive(Clone, Copy, Debug)]
pub struct Arp<'a> {
    /// To which station.
    pub to: Mac,
    /// Who sends it: the frame's source and `ar$sha`.
    pub sha: Mac,
    /// As whom.
    pub spa: &'a str,
    /// `ar$tha`.
    pub tha: Mac,
    /// About whom.
    pub tpa: &'a str,
}

impl Arp<'_> {
    /// As a request.
    pub fn request(self) -> Vec<u8> {
        self.frame(1)
    }

    /// As a reply.
    pub fn reply(self) -> Vec<u8> {
        self.frame(2)
    }

    /// With any operation.
    pub fn frame(self, operation: u8) -> Vec<u8> {
        let octets = |text: &str| match ip(text) {
            IpAddr::V4(addr) => addr.octets(),
            IpAddr::V6(_) => panic!("{text} is not IPv4"),
        };
        let mut frame = [
            &self.to.0[..],
            &self.sha.0,
            &[8, 6, 0, 1, 8, 0, 6, 4, 0, operation],
        ]
        .concat();
        frame.extend_from_slice(&self.sha.0);
        frame.extend_from_slice(&octets(self.spa));
        frame.extend_from_slice(&self.tha.0);
        frame.extend_from_slice(&octets(self.tpa));
        frame
    }
}

/// A neighbour solicitation or advertisement with a link-layer address.
#[derive(Clone, Copy, Debug)]
pub struct Nd<'a> {
    /// To which station.
    pub to: Mac,
    /// Who sends it.
    pub from: Mac,
    /// IPv6 source and destination.
    pub ends: (&'a str, &'a str),
    /// About whom.
    pub target: &'a str,
    /// The option's address, if there is one.
    pub lladdr: Option<Mac>,
    /// An advertisement's flags: R 0x80, S 0x40, O 0x20.
    pub flags: u8,
    /// 255 on the wire.
    pub hops: u8,
}

impl Nd<'_> {
    /// As a solicitation.
    pub fn solicit(self) -> Vec<u8> {
        self.frame(135, 0, 1)
    }

    /// As an advertisement.
    pub fn advert(self) -> Vec<u8> {
        self.frame(136, self.flags, 2)
    }

    fn frame(self, kind: u8, flags: u8, option: u8) -> Vec<u8> {
        let octets = |text: &str| match ip(text) {
            IpAddr::V6(addr) => addr.octets(),
            IpAddr::V4(_) => panic!("{text} is not IPv6"),
        };
        let mut message = vec![kind, 0, 0, 0, flags, 0, 0, 0];
        message.extend_from_slice(&octets(self.target));
        if let Some(mac) = self.lladdr {
            message.extend_from_slice(&[option, 1]);
            message.extend_from_slice(&mac.0);
        }
        let (src, dst) = (octets(self.ends.0).into(), octets(self.ends.1).into());
        Icmpv6Packet::new_unchecked(&mut message[..]).fill_checksum(&src, &dst);
        let packet = ip_packet(
            src.into(),
            dst.into(),
            IpProtocol::Icmpv6,
            self.hops,
            &message,
        );
        ether(self.to, self.from, &packet)
    }
}
