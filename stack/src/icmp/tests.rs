//! Packets that the tests of errors, echo and limits begin with.

mod echo;
mod error;
mod limit;
mod redirect;

use super::*;
use crate::checksum;
use crate::fate::DropReason;
use crate::parse::{self, Addrs, IpMeta, Role, proto};
use crate::pkt::{LinkCast, Pkt};
use crate::rules::{Rules, SourceRoutes};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const CLIENT4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const ROUTER4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const SERVER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 7);
const ROUTER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0xfe);

/// An IPv4 packet with options and payload.
fn ip4(src: Ipv4Addr, dst: Ipv4Addr, proto: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let hlen = 20 + options.len();
    let mut p = vec![0; 20];
    p[0] = 0x40 | (hlen / 4) as u8;
    p[1] = 0x2e;
    p[2..4].copy_from_slice(&((hlen + payload.len()) as u16).to_be_bytes());
    p[4..6].copy_from_slice(&0xbeef_u16.to_be_bytes());
    p[6] = 0x40;
    p[8] = 1;
    p[9] = proto;
    p[12..16].copy_from_slice(&src.octets());
    p[16..20].copy_from_slice(&dst.octets());
    p.extend_from_slice(options);
    checksum::fill_header(&mut p, hlen);
    p.extend_from_slice(payload);
    p
}

/// An IPv6 packet whose payload begins with headers of its own.
fn ip6(src: Ipv6Addr, dst: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0; 40];
    p[..4].copy_from_slice(&[0x6a, 0xb1, 0x23, 0x45]);
    p[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    p[6] = next;
    p[7] = 1;
    p[8..24].copy_from_slice(&src.octets());
    p[24..40].copy_from_slice(&dst.octets());
    p.extend_from_slice(payload);
    p
}

fn udp(len: usize) -> Vec<u8> {
    let mut p = vec![0x12, 0x34, 0, 53, 0, 0, 0, 0];
    p.extend((8..len).map(|i| i as u8));
    p[4..6].copy_from_slice(&(len as u16).to_be_bytes());
    p
}

/// An ICMP message with the right checksum.
fn icmp(addrs: &Addrs, proto: u8, mut message: Vec<u8>) -> Vec<u8> {
    message[2..4].fill(0);
    let checksum = checksum::transport(addrs, proto, &message);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    message
}

fn addrs4(src: Ipv4Addr, dst: Ipv4Addr) -> Addrs {
    Addrs::V4 {
        src: src.to_bits(),
        dst: dst.to_bits(),
    }
}

fn addrs6(src: Ipv6Addr, dst: Ipv6Addr) -> Addrs {
    Addrs::V6 {
        src: src.to_bits(),
        dst: dst.to_bits(),
    }
}

fn meta(packet: &[u8]) -> IpMeta {
    parse::read(packet).unwrap()
}
