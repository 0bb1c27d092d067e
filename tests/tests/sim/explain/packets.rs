//! Packets of chance: to and from addresses of every kind, some of them spoilt.

use super::*;
use flowgate_tests::frames::{ether, udp};
use flowgate_tests::net::craft::{
    echo_request, fix_header, icmp_error, is_v6, pieces, with_df, with_ttl,
};
use flowgate_tests::rack::GATEWAY_MAC;
use std::net::IpAddr;

impl World {
    fn source(&mut self, v6: bool) -> IpAddr {
        let n = self.rng.u16(..40);
        match (self.rng.u32(..30), v6) {
            (0, false) => ip("127.0.0.1"),
            (1, false) => ip("10.0.0.1"),
            (2, false) => ip("10.255.255.255"),
            (3, false) => ip("169.254.1.1"),
            (4, false) => ip("172.16.3.4"),
            (5, false) => ip("251.1.1.1"),
            (6, false) => ip("198.51.100.200"),
            (7, false) => ip("100.64.1.1"),
            (_, false) => ip(&format!("10.1.0.{}", n + 1)),
            (0, true) => ip("::1"),
            (1, true) => ip("fd10::1"),
            (2, true) => ip("fe80::77"),
            (3, true) => ip("fd16::5"),
            (4, true) => ip("2001:db8:ffff::1"),
            (_, true) => ip(&format!("fd10::1:{:x}", n + 1)),
        }
    }

    fn destination(&mut self, v6: bool) -> IpAddr {
        let n = self.rng.usize(..3);
        match (self.rng.u32(..36), v6) {
            (0, false) => ip("203.0.114.1"),
            (1, false) => ip("203.0.115.1"),
            (2 | 3, false) => ip("203.0.116.1"),
            (4, false) => ip("203.0.117.9"),
            (5, false) => ip("192.0.2.1"),
            (6, false) => ip("10.0.0.1"),
            (7, false) => ip("192.0.2.255"),
            (8, false) => ip("198.51.100.255"),
            (9, false) => ip("198.51.100.0"),
            (10, false) => ip("224.0.0.5"),
            (11, false) => ip("8.8.8.8"),
            (12, false) => ip("250.1.1.1"),
            (13, false) => ip("169.254.9.9"),
            (14, false) => ip("198.51.100.9"),
            (15, false) => ip(&format!("192.0.2.{}", self.rng.u8(200..))),
            (16, false) => ip("10.1.0.3"),
            (17, false) => ip("172.16.9.9"),
            (_, false) => ip(SERVICES[n][0]),
            (0 | 1, true) => ip("2001:db8:115::1"),
            (2 | 3, true) => ip("2001:db8:116::1"),
            (4, true) => ip("fd00:2::1"),
            (5, true) => ip("fe80::1"),
            (6, true) => ip("fe80::99"),
            (7, true) => ip("ff02::5"),
            (8, true) => ip("2001:db8:dead::1"),
            (9, true) => ip(&format!("fd00:2::{:x}", self.rng.u16(0x200..))),
            (10, true) => ip("fd10::1:3"),
            (_, true) => ip(SERVICES[n][1]),
        }
    }

    /// A packet of chance, from its IP header on.
    pub(super) fn packet(&mut self) -> Vec<u8> {
        let v6 = self.rng.bool();
        let (src, dst) = (self.source(v6), self.destination(v6));
        let ports = [80, 53, 1024 + self.rng.u16(..4)];
        let from = SocketAddr::new(src, 5000 + self.rng.u16(..6));
        let to = SocketAddr::new(dst, ports[self.rng.usize(..3)]);
        let (seq, len) = (self.rng.u32(..4) << 17, self.rng.usize(..60));
        let flags = [
            tcp::SYN,
            tcp::SYN,
            tcp::ACK,
            tcp::ACK,
            tcp::FIN | tcp::ACK,
            tcp::RST,
        ];
        let flags = flags[self.rng.usize(..flags.len())];
        let packet = match self.rng.u32(..14) {
            0..=4 => tcp_segment(from, to, flags, seq, seq, len),
            5..=7 => udp(from, to, &vec![7; len]),
            8 => {
                let large = vec![1; self.rng.usize(1200..1500)];
                let packet = udp(from, to, &large);
                if v6 {
                    packet
                } else {
                    with_df(packet, self.rng.bool())
                }
            }
            9 => echo_request(src, dst, self.rng.u16(..4), 1, &[1, 2, 3]),
            10 | 11 => {
                // About a flow that goes the other way.
                let about = udp(to, SocketAddr::new(src, from.port()), b"quoted");
                let about = if self.rng.bool() {
                    about
                } else {
                    tcp_segment(to, from, tcp::ACK, 0, 0, 8)
                };
                let (kind, code) = if v6 { (1, 4) } else { (3, 3) };
                let mut error = icmp_error(
                    ip(if v6 { "fd10::1:9" } else { "10.1.0.9" }),
                    &about,
                    kind,
                    code,
                    0,
                );
                if self.rng.u32(..4) == 0 {
                    error.truncate(error.len() - 3);
                }
                error
            }
            12 => {
                let all = pieces(&udp(from, to, &[3; 200]), self.rng.u32(..50), 64);
                all[self.rng.usize(..all.len())].clone()
            }
            _ => with_ttl(udp(from, to, b"old"), self.rng.u8(..3)),
        };
        self.spoilt(packet)
    }

    /// One in eight is not as it should be.
    fn spoilt(&mut self, mut packet: Vec<u8>) -> Vec<u8> {
        match self.rng.u32(..64) {
            0 => packet[10] ^= 0x55,
            1 => packet.truncate(self.rng.usize(..packet.len())),
            2 => packet[0] = self.rng.u8(..),
            3 => packet[2] ^= 1,
            4 => {
                let at = self.rng.usize(..packet.len().min(48));
                packet[at] ^= 1 << self.rng.u32(..8);
                fix_header(&mut packet);
            }
            5 | 6 if !is_v6(&packet) => packet = with_options(&packet, self.rng.u32(..4)),
            5 | 6 => packet = with_extension(&packet, self.rng.u8(..), self.rng.u8(..) < 64),
            7 => packet.extend([0; 9]),
            _ => {}
        }
        packet
    }

    pub(super) fn frame(&mut self, port: usize, packet: &[u8]) -> Vec<u8> {
        let ours = [arp::Mac::ZERO, GATEWAY_MAC, arp::Mac::ZERO, EDGE_MAC][port];
        if [CLIENTS, GUARDED].contains(&port) {
            return packet.to_vec();
        }
        let dst = match self.rng.u32(..20) {
            0 => arp::Mac::BROADCAST,
            1 => arp::Mac([1, 0, 0x5e, 0, 0, 1]),
            2 => arp::Mac([2, 9, 9, 9, 9, 9]),
            _ => ours,
        };
        let mut frame = ether(dst, arp::Mac([2, 0, 0, 0, 8, 8]), packet);
        match self.rng.u32(..40) {
            0 => frame[12] = 8,
            1 => frame.truncate(self.rng.usize(..20)),
            2 => (frame[12], frame[13]) = (0x88, 0xcc),
            3 => (frame[12], frame[13]) = (0x08, 0x06),
            _ => {}
        }
        frame
    }
}

/// Options in front of the payload: none at all, Record Route, one that is cut short, a source route.
fn with_options(packet: &[u8], which: u32) -> Vec<u8> {
    let options: [u8; 4] = match which {
        0 => [1, 1, 1, 0],
        1 => [7, 3, 4, 0],
        2 => [7, 9, 4, 0],
        _ => [131, 3, 4, 0],
    };
    let mut with = [&packet[..20], &options, &packet[20..]].concat();
    with[0] = 0x46;
    let len = (with.len() as u16).to_be_bytes();
    with[2..4].copy_from_slice(&len);
    fix_header(&mut with);
    with
}

/// An IPv6 packet with a destination option of this type, or a routing header, in front of its payload.
fn with_extension(packet: &[u8], kind: u8, routing: bool) -> Vec<u8> {
    let (number, ext) = match routing {
        true => (43, [packet[6], 0, 4, kind & 1, 0, 0, 0, 0]),
        false => (60, [packet[6], 0, kind, 4, 0, 0, 0, 0]),
    };
    let mut with = [&packet[..40], &ext, &packet[40..]].concat();
    with[6] = number;
    let len = ((with.len() - 40) as u16).to_be_bytes();
    with[4..6].copy_from_slice(&len);
    with
}
