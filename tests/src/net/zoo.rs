//! One packet of every kind, good as it is: what hostile packets are made from.

use super::craft::{echo_request, fix_header, icmp_error, pieces};
use crate::frames::{ip_packet, tcp, tcp_segment, udp};
use crate::sim::ip;
use smoltcp::wire::IpProtocol;
use std::net::SocketAddr;

/// A packet or frame and what it is called.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Its name, for messages.
    pub name: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

fn kind(name: &'static str, bytes: Vec<u8>) -> Kind {
    Kind { name, bytes }
}

fn socket(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

/// IP packets of both families from a client to the service (and some to the gateway itself).
pub fn packets() -> Vec<Kind> {
    [v4(), v6()].concat()
}

fn v4() -> Vec<Kind> {
    let (src, dst) = (socket("10.3.3.3:4000"), socket("203.0.113.10:53"));
    let datagram = udp(src, dst, &[0x42; 64]);
    let cut = pieces(&datagram, 99, 32);
    let with = |options: &[u8]| with_options(&datagram, options);
    vec![
        kind("TCP SYN", tcp_segment(src, dst, tcp::SYN, 1, 0, 0)),
        kind("TCP data", tcp_segment(src, dst, tcp::ACK, 1, 1, 16)),
        kind("UDP", datagram.clone()),
        kind(
            "SCTP INIT",
            ip_packet(src.ip(), dst.ip(), IpProtocol::from(132), 64, &sctp_init()),
        ),
        kind(
            "GRE",
            ip_packet(src.ip(), dst.ip(), IpProtocol::from(47), 64, &[0; 24]),
        ),
        kind("ICMP echo", echo_request(src.ip(), dst.ip(), 5, 6, b"echo")),
        kind(
            "ICMP echo to us",
            echo_request(src.ip(), ip("10.0.0.1"), 5, 6, b"echo"),
        ),
        kind(
            "ICMP error",
            icmp_error(ip("10.9.9.9"), &udp(dst, src, b"quoted"), 3, 3, 0),
        ),
        kind(
            "ICMP error to us",
            icmp_error(
                ip("10.9.9.9"),
                &udp(socket("10.0.0.1:5"), src, b"q"),
                11,
                0,
                0,
            ),
        ),
        kind(
            "TCP to us",
            tcp_segment(src, socket("10.0.0.1:80"), tcp::SYN, 1, 0, 0),
        ),
        kind("UDP to us", udp(src, socket("192.0.2.1:53"), b"query")),
        kind("record route", with(&[7, 7, 4, 0, 0, 0, 0, 0])),
        kind(
            "timestamp and padding",
            with(&[1, 68, 8, 5, 0, 0, 0, 0, 0, 0, 0, 0]),
        ),
        kind("router alert", with(&[148, 4, 0, 0])),
        kind("first piece", cut[0].clone()),
        kind("later piece", cut[1].clone()),
        kind("last piece", cut[2].clone()),
    ]
}

fn v6() -> Vec<Kind> {
    let (src, dst) = (socket("[fd10::3]:4000"), socket("[2001:db8:113::10]:53"));
    let datagram = udp(src, dst, &[0x42; 64]);
    let cut = pieces(&datagram, 99, 32);
    let behind = |first: u8, ext: &[u8]| with_extension(&datagram, first, ext);
    let atomic = with_extension(&datagram, 44, &[17, 0, 0, 0, 0, 0, 0, 9]);
    vec![
        kind("TCP SYN, IPv6", tcp_segment(src, dst, tcp::SYN, 1, 0, 0)),
        kind("UDP, IPv6", datagram.clone()),
        kind(
            "ICMPv6 echo",
            echo_request(src.ip(), dst.ip(), 5, 6, b"echo"),
        ),
        kind(
            "ICMPv6 echo to us",
            echo_request(src.ip(), ip("fd10::1"), 5, 6, b"echo"),
        ),
        kind(
            "ICMPv6 error",
            icmp_error(ip("fd10::9"), &udp(dst, src, b"quoted"), 1, 4, 0),
        ),
        kind(
            "packet too big",
            icmp_error(ip("fd10::9"), &udp(dst, src, b"quoted"), 2, 0, 1280),
        ),
        kind(
            "UDP to us, IPv6",
            udp(src, socket("[fd00:2::1]:53"), b"query"),
        ),
        kind("hop-by-hop", behind(0, &[17, 0, 1, 4, 0, 0, 0, 0])),
        kind(
            "routing header",
            behind(
                43,
                &[
                    17, 2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
                ],
            ),
        ),
        kind(
            "destination options",
            behind(60, &[17, 0, 1, 4, 0, 0, 0, 0]),
        ),
        kind("atomic fragment", atomic),
        kind("first piece, IPv6", cut[0].clone()),
        kind("later piece, IPv6", cut[1].clone()),
        kind("no next header", behind(59, &[0; 8])),
    ]
}

fn sctp_init() -> Vec<u8> {
    let mut bytes = vec![0; 32];
    bytes[..4].copy_from_slice(&[0x0f, 0xa0, 0, 80]);
    bytes[12] = 1;
    bytes[15] = 20;
    bytes
}

/// An IPv4 packet with options (a multiple of four bytes).
pub fn with_options(packet: &[u8], options: &[u8]) -> Vec<u8> {
    let mut bytes = [&packet[..20], options, &packet[20..]].concat();
    bytes[0] = 0x45 + (options.len() / 4) as u8;
    let len = bytes.len() as u16;
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    fix_header(&mut bytes);
    bytes
}

/// An IPv6 packet with this extension header, of kind `first`, in front of its payload.
pub fn with_extension(packet: &[u8], first: u8, ext: &[u8]) -> Vec<u8> {
    let mut bytes = [&packet[..40], ext, &packet[40..]].concat();
    let len = (bytes.len() - 40) as u16;
    bytes[4..6].copy_from_slice(&len.to_be_bytes());
    bytes[6] = first;
    bytes
}

/// Who speaks in [`neighbour_frames`]: a host of the segment that nobody knows yet.
pub const STRANGER_MAC: arp::Mac = arp::Mac([2, 0, 0, 0, 7, 7]);

/// ARP and ND frames from a stranger to the gateway.
pub fn neighbour_frames(gateway: arp::Mac) -> Vec<Kind> {
    vec![
        kind(
            "ARP request",
            arp_frame(1, "192.0.2.60", "192.0.2.1", arp::Mac::BROADCAST),
        ),
        kind(
            "ARP reply",
            arp_frame(2, "192.0.2.60", "192.0.2.1", gateway),
        ),
        kind(
            "gratuitous ARP",
            arp_frame(1, "192.0.2.60", "192.0.2.60", arp::Mac::BROADCAST),
        ),
        kind(
            "solicitation",
            solicitation("fd00:2::60", "fd00:2::1", gateway),
        ),
        kind("advertisement", advertisement("fd00:2::60", gateway, 0x60)),
    ]
}

/// An ARP frame of the stranger.
pub fn arp_frame(operation: u8, sender: &str, target: &str, to: arp::Mac) -> Vec<u8> {
    let octets = |text: &str| match ip(text) {
        std::net::IpAddr::V4(addr) => addr.octets(),
        std::net::IpAddr::V6(_) => panic!("{text} is not IPv4"),
    };
    let mut frame = arp::ether_header(to, STRANGER_MAC, 0x0806).to_vec();
    frame.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, operation]);
    frame.extend_from_slice(&STRANGER_MAC.0);
    frame.extend_from_slice(&octets(sender));
    frame.extend_from_slice(&[0; 6]);
    frame.extend_from_slice(&octets(target));
    frame
}

/// The stranger's neighbour solicitation, with its link-layer address.
pub fn solicitation(src: &str, target: &str, to: arp::Mac) -> Vec<u8> {
    nd_frame(135, 0, 1, src, target, target, to)
}

/// The stranger's advertisement of `target`, to the gateway, with flags (R 0x80, S 0x40, O 0x20).
pub fn advertisement(target: &str, to: arp::Mac, flags: u8) -> Vec<u8> {
    nd_frame(136, flags, 2, "fd00:2::60", "fd00:2::1", target, to)
}

fn nd_frame(
    kind: u8,
    flags: u8,
    option: u8,
    src: &str,
    dst: &str,
    target: &str,
    to: arp::Mac,
) -> Vec<u8> {
    let std::net::IpAddr::V6(target) = ip(target) else {
        panic!("{target} is not IPv6");
    };
    let mut message = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    message.extend_from_slice(&target.octets());
    message.extend_from_slice(&[option, 1]);
    message.extend_from_slice(&STRANGER_MAC.0);
    let (src, dst) = (ip(src), ip(dst));
    if let (std::net::IpAddr::V6(src), std::net::IpAddr::V6(dst)) = (src, dst) {
        smoltcp::wire::Icmpv6Packet::new_unchecked(&mut message[..]).fill_checksum(&src, &dst);
    }
    let packet = ip_packet(src, dst, IpProtocol::Icmpv6, 255, &message);
    let mut frame = arp::ether_header(to, STRANGER_MAC, 0x86dd).to_vec();
    frame.extend_from_slice(&packet);
    frame
}
