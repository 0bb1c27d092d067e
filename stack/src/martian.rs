//! Addresses that no packet in transit may carry ("martians", RFC 1812 §5.3.7).
//!
//! Two tables of prefixes say what each special block means as a source and as a destination; what no
//! row names is an ordinary unicast address. Documentation and benchmark blocks (RFC 6890) are not
//! named: laboratories route them. Neighbour discovery is taken out before this check: duplicate address
//! detection sends from `::`, and that is right there and nowhere else.
//!
//! Pure; `ip_input` asks on any worker for each packet.

use crate::parse::Addrs;

/// What a destination address asks of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dest {
    /// A unicast address that may be forwarded to.
    Ok,
    /// An address that no packet on a wire may carry: dropped.
    Bad,
    /// Multicast or limited broadcast: never forwarded as unicast (RFC 1812 §5.2.1.1, §5.3.5).
    Multicast,
    /// Of one link only: ours to accept, never to forward (RFC 3927 §7, RFC 4291 §2.5.6).
    LinkLocal,
}

/// One special block: first address, prefix length, meaning as a source and as a destination.
struct Row<A>(A, u32, bool, Dest);

const BAD: bool = true;
const FINE: bool = false;

/// IPv4's special blocks, the more specific first.
const V4: [Row<u32>; 6] = [
    Row(0x0000_0000, 8, BAD, Dest::Bad), // 0/8, "this network" (RFC 1122 §3.2.1.3)
    Row(0x7f00_0000, 8, BAD, Dest::Bad), // 127/8, loopback (RFC 1122 §3.2.1.3)
    Row(0xa9fe_0000, 16, FINE, Dest::LinkLocal), // 169.254/16 (RFC 3927)
    Row(0xffff_ffff, 32, BAD, Dest::Multicast), // limited broadcast (RFC 1812 §5.3.5.1)
    Row(0xe000_0000, 4, BAD, Dest::Multicast), // 224/4 (RFC 1112)
    Row(0xf000_0000, 4, BAD, Dest::Bad), // 240/4, reserved (RFC 1112 §4)
];

/// IPv6's special blocks.
const V6: [Row<u128>; 5] = [
    Row(0, 128, BAD, Dest::Bad),                   // :: (RFC 4291 §2.5.2)
    Row(1, 128, BAD, Dest::Bad),                   // ::1 (RFC 4291 §2.5.3)
    Row(0xffff_0000_0000, 96, BAD, Dest::Bad),     // ::ffff:0:0/96, IPv4-mapped (RFC 6890 table 20)
    Row(0xfe80 << 112, 10, FINE, Dest::LinkLocal), // fe80::/10 (RFC 4007 §9, RFC 4291 §2.5.6)
    Row(0xff00 << 112, 8, BAD, Dest::Multicast),   // ff00::/8 (RFC 4291 §2.7)
];

/// The first octets of all blocks: of most addresses no more is asked.
const FIRST4: [u64; 4] = {
    let (mut bits, mut at) = ([0; 4], 0);
    while at < V4.len() {
        bits = with_octets(bits, (V4[at].0 >> 24) as usize, V4[at].1);
        at += 1;
    }
    bits
};
const FIRST6: [u64; 4] = {
    let (mut bits, mut at) = ([0; 4], 0);
    while at < V6.len() {
        bits = with_octets(bits, (V6[at].0 >> 120) as usize, V6[at].1);
        at += 1;
    }
    bits
};

/// With the first octets of a block that begins with `octet`.
const fn with_octets(mut bits: [u64; 4], octet: usize, len: u32) -> [u64; 4] {
    let octets = if len < 8 { 1 << (8 - len) } else { 1 };
    let mut at = octet;
    while at < octet + octets {
        bits[at / 64] |= 1 << (at % 64);
        at += 1;
    }
    bits
}

#[inline]
const fn begins_none(first: &[u64; 4], octet: u8) -> bool {
    first[(octet / 64) as usize] >> (octet % 64) & 1 == 0
}

#[inline]
fn row4(addr: u32) -> Option<&'static Row<u32>> {
    if begins_none(&FIRST4, (addr >> 24) as u8) {
        return None;
    }
    V4.iter().find(|row| (addr ^ row.0) >> (32 - row.1) == 0)
}

#[inline]
fn row6(addr: u128) -> Option<&'static Row<u128>> {
    if begins_none(&FIRST6, (addr >> 120) as u8) {
        return None;
    }
    V6.iter().find(|row| (addr ^ row.0) >> (128 - row.1) == 0)
}

/// Whether no special block begins like either: there is nothing to be asked of them then.
#[inline]
pub(crate) fn are_ordinary4(src: u32, dst: u32) -> bool {
    [src, dst]
        .iter()
        .all(|addr| begins_none(&FIRST4, (addr >> 24) as u8))
}

/// The same of IPv6.
#[inline]
pub(crate) fn are_ordinary6(src: u128, dst: u128) -> bool {
    [src, dst]
        .iter()
        .all(|addr| begins_none(&FIRST6, (addr >> 120) as u8))
}

/// Whether the source is no single host: the packet is dropped, and never answered.
///
/// A link-local source is good (ours to accept); [`link_local_source`] says that it must not be forwarded.
#[inline]
pub fn bad_source(addrs: &Addrs) -> bool {
    match *addrs {
        Addrs::V4 { src, .. } => row4(src).is_some_and(|row| row.2),
        Addrs::V6 { src, .. } => row6(src).is_some_and(|row| row.2),
    }
}

/// What the destination asks for.
#[inline]
pub fn bad_dest(addrs: &Addrs) -> Dest {
    match *addrs {
        Addrs::V4 { dst, .. } => row4(dst).map_or(Dest::Ok, |row| row.3),
        Addrs::V6 { dst, .. } => row6(dst).map_or(Dest::Ok, |row| row.3),
    }
}

/// Whether the source has meaning on one link only: such a packet is not forwarded (RFC 3927 §2.7, RFC 4291 §2.5.6).
#[inline]
pub fn link_local_source(addrs: &Addrs) -> bool {
    let row = match *addrs {
        Addrs::V4 { src, .. } => row4(src).map(|row| row.3),
        Addrs::V6 { src, .. } => row6(src).map(|row| row.3),
    };
    row == Some(Dest::LinkLocal)
}

/// Whether the source is of 240/4, "reserved" (RFC 1112 §4), which an operator may let through.
pub fn class_e_source(addrs: &Addrs) -> bool {
    matches!(*addrs, Addrs::V4 { src, .. } if is_class_e(src))
}

/// As [`class_e_source`], of the destination.
pub fn class_e_dest(addrs: &Addrs) -> bool {
    matches!(*addrs, Addrs::V4 { dst, .. } if is_class_e(dst))
}

const fn is_class_e(addr: u32) -> bool {
    addr >= 0xf000_0000 && addr != u32::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn addrs(src: &str, dst: &str) -> Addrs {
        match (src.parse().unwrap(), dst.parse().unwrap()) {
            (IpAddr::V4(s), IpAddr::V4(d)) => Addrs::V4 {
                src: s.to_bits(),
                dst: d.to_bits(),
            },
            (IpAddr::V6(s), IpAddr::V6(d)) => Addrs::V6 {
                src: s.to_bits(),
                dst: d.to_bits(),
            },
            _ => panic!("mixed families"),
        }
    }

    /// Address, bad as a source, meaning as a destination: both ends of each block and their neighbours.
    const CASES: &[(&str, bool, Dest)] = &[
        ("0.0.0.0", true, Dest::Bad),
        ("0.255.255.255", true, Dest::Bad),
        ("1.0.0.0", false, Dest::Ok),
        ("10.0.0.1", false, Dest::Ok),
        ("126.255.255.255", false, Dest::Ok),
        ("127.0.0.0", true, Dest::Bad),
        ("127.255.255.255", true, Dest::Bad),
        ("128.0.0.0", false, Dest::Ok),
        ("169.253.255.255", false, Dest::Ok),
        ("169.254.0.0", false, Dest::LinkLocal),
        ("169.254.255.255", false, Dest::LinkLocal),
        ("169.255.0.0", false, Dest::Ok),
        ("192.0.2.1", false, Dest::Ok),
        ("198.18.0.1", false, Dest::Ok),
        ("223.255.255.255", false, Dest::Ok),
        ("224.0.0.0", true, Dest::Multicast),
        ("239.255.255.255", true, Dest::Multicast),
        ("240.0.0.0", true, Dest::Bad),
        ("255.255.255.254", true, Dest::Bad),
        ("255.255.255.255", true, Dest::Multicast),
        ("::", true, Dest::Bad),
        ("::1", true, Dest::Bad),
        ("::2", false, Dest::Ok),
        ("::fffe:ffff:ffff", false, Dest::Ok),
        ("::ffff:0.0.0.0", true, Dest::Bad),
        ("::ffff:10.0.0.1", true, Dest::Bad),
        ("::ffff:255.255.255.255", true, Dest::Bad),
        ("::1:0:0:0", false, Dest::Ok),
        ("64:ff9b::1", false, Dest::Ok),
        ("2001:db8::1", false, Dest::Ok),
        ("fc00::1", false, Dest::Ok),
        ("fe7f:ffff::1", false, Dest::Ok),
        ("fe80::", false, Dest::LinkLocal),
        (
            "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            false,
            Dest::LinkLocal,
        ),
        ("fec0::1", false, Dest::Ok),
        ("feff::1", false, Dest::Ok),
        ("ff00::", true, Dest::Multicast),
        (
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            true,
            Dest::Multicast,
        ),
    ];

    #[test]
    fn each_block_means_what_its_rfc_says_at_both_ends_and_beside_them() {
        for &(addr, source, dest) in CASES {
            let other = if addr.contains(':') {
                "2001:db8::2"
            } else {
                "10.9.9.9"
            };
            assert_eq!(bad_source(&addrs(addr, other)), source, "source {addr}");
            assert_eq!(bad_dest(&addrs(other, addr)), dest, "destination {addr}");
            assert!(
                !bad_source(&addrs(other, addr)),
                "the destination is not asked: {addr}"
            );
            assert_eq!(
                bad_dest(&addrs(addr, other)),
                Dest::Ok,
                "the source is not asked: {addr}"
            );
            let local = dest == Dest::LinkLocal;
            assert_eq!(
                link_local_source(&addrs(addr, other)),
                local,
                "link-local {addr}"
            );
        }
    }

    #[test]
    fn the_standard_library_agrees_on_every_ipv4_slash_16() {
        for high in 0..=u16::MAX {
            let addr = std::net::Ipv4Addr::from_bits(u32::from(high) << 16 | 0x0101);
            let dst = addr.to_bits();
            let expected = match addr {
                a if a.octets()[0] == 0 || a.is_loopback() || a.octets()[0] >= 240 => Dest::Bad,
                a if a.is_multicast() => Dest::Multicast,
                a if a.is_link_local() => Dest::LinkLocal,
                _ => Dest::Ok,
            };
            assert_eq!(bad_dest(&Addrs::V4 { src: 1, dst }), expected, "{addr}");
        }
    }
}
