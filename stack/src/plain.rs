//! Packets that are like most, read in one short pass.
//!
//! *Plain* is a whole TCP or UDP packet without IPv4 options or IPv6 extension headers, between ordinary unicast addresses of
//! which the source is certainly not ours, with time left to be sent on: nothing that a router asks of a packet can go wrong
//! with it. Of any other these functions say nothing; [`parse`](crate::parse) and [`ingress`](crate::ingress) look at it
//! closely, and name what is wrong. A property test holds that both read plain packets the same.

use crate::checksum;
use crate::martian;
use crate::ours::Ours;
use crate::parse::{Addrs, IpMeta, Role, Tuple, proto, tcp};
use flowtable::L4;
use route::FibId;

/// Bytes of an IPv4 header without options.
const HEADER4: usize = 20;
/// Bytes of an IPv6 header.
const HEADER6: usize = 40;
/// The least that follows: all of UDP's header, the ports of TCP's.
const PORTS: usize = 8;

/// Reads a plain packet of `fib`, which its link may have padded, into `meta`. `false`: look at it closely; nothing was written.
#[inline(always)]
pub(crate) fn read_into(bytes: &[u8], fib: FibId, ours: &Ours, meta: &mut IpMeta) -> bool {
    let read = match bytes.first() {
        Some(0x45) => read4(bytes, ours, meta),
        Some(first) if first >> 4 == 6 => read6(bytes, ours, meta),
        _ => None,
    };
    if read.is_some() {
        (meta.fib, meta.plain) = (fib, true);
    }
    read.is_some()
}

#[inline(always)]
fn read4(bytes: &[u8], ours: &Ours, meta: &mut IpMeta) -> Option<()> {
    let header = bytes.first_chunk::<{ HEADER4 + PORTS }>()?;
    let [a, b, c, src, dst, ports] = std::array::from_fn(|n| {
        let (words, _) = header.as_chunks::<4>();
        u32::from_be_bytes(words[n])
    });
    // Neither a piece nor the first of some: offset and "more" are clear.
    let whole = b & 0x3fff == 0;
    let ttl = (c >> 24) as u8;
    if !whole || ttl <= 1 || !checksum::is_valid([a, b, c, src, dst]) {
        return None;
    }
    if !martian::are_ordinary4(src, dst) || ours.may_have4(src) {
        return None;
    }
    let (len, proto) = (usize::from(a as u16), (c >> 16) as u8);
    transport(bytes, (HEADER4, len), proto, meta)?;
    write(meta, Addrs::V4 { src, dst }, ports, proto);
    (meta.ttl, meta.dont_fragment) = (ttl, b & 0x4000 != 0);
    (meta.l4_off, meta.len) = (HEADER4 as u16, len as u16);
    Some(())
}

#[inline(always)]
fn read6(bytes: &[u8], ours: &Ours, meta: &mut IpMeta) -> Option<()> {
    let header = bytes.first_chunk::<{ HEADER6 + PORTS }>()?;
    let (src, rest) = header[8..].split_first_chunk::<16>()?;
    let (dst, rest) = rest.split_first_chunk::<16>()?;
    let (src, dst) = (u128::from_be_bytes(*src), u128::from_be_bytes(*dst));
    let (proto, ttl) = (header[6], header[7]);
    if ttl <= 1 || !martian::are_ordinary6(src, dst) || ours.may_have6(src) {
        return None;
    }
    let len = HEADER6 + usize::from(u16::from_be_bytes([header[4], header[5]]));
    let ports = u32::from_be_bytes(*rest.first_chunk::<4>()?);
    transport(bytes, (HEADER6, len), proto, meta)?;
    write(meta, Addrs::V6 { src, dst }, ports, proto);
    (meta.ttl, meta.dont_fragment) = (ttl, true);
    (meta.l4_off, meta.len) = (HEADER6 as u16, len as u16);
    Some(())
}

/// What the flow table learns from the header at `off` of a datagram of `len` bytes: written last of what can fail.
#[inline(always)]
fn transport(bytes: &[u8], (off, len): (usize, usize), proto: u8, meta: &mut IpMeta) -> Option<()> {
    // A longer datagram than IPv4's length field can say is looked at closely.
    if len < off + PORTS || len > bytes.len() || len > 65_535 {
        return None;
    }
    match proto {
        proto::UDP => meta.l4 = L4::Udp,
        proto::TCP => meta.l4 = tcp(bytes.get(off..len)?)?,
        _ => return None,
    }
    Some(())
}

#[inline(always)]
fn write(meta: &mut IpMeta, addrs: Addrs, ports: u32, proto: u8) {
    meta.addrs = addrs;
    meta.tuple = Tuple {
        addrs,
        sport: (ports >> 16) as u16,
        dport: ports as u16,
        proto,
    };
    (meta.role, meta.proto, meta.fragment) = (Role::Own, proto, None);
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;
