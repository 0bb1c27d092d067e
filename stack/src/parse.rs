//! `ip_input`'s reading of a packet: validation and the flow it belongs to, in one pass.
//!
//! [`read`] looks at each header once, checks what RFC 1812 §5.2.2 and RFC 8200 demand of a router, and
//! returns an [`IpMeta`] that travels with the packet, so nothing is parsed twice. It never looks beyond
//! the bytes it was given, and each refusal is a [`DropReason`]. The flow tuple of an ICMP error is that
//! of the packet it quotes *with its ends exchanged* (design section 3), so that the error finds the pin of
//! the direction it travels in.

mod icmp;

pub use icmp::is_icmp_error;

use crate::checksum;
use crate::fate::DropReason;
use flowtable::L4;
use icmp::read_icmp;
use route::FibId;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IANA protocol numbers that the path treats by name.
pub mod proto {
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMP for IPv6.
    pub const ICMP6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// DCCP.
    pub const DCCP: u8 = 33;
    /// UDP-Lite.
    pub const UDPLITE: u8 = 136;
}

/// Source and destination, in host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addrs {
    /// IPv4.
    V4 {
        /// Source.
        src: u32,
        /// Destination.
        dst: u32,
    },
    /// IPv6.
    V6 {
        /// Source.
        src: u128,
        /// Destination.
        dst: u128,
    },
}

impl Default for Addrs {
    fn default() -> Self {
        Self::V4 { src: 0, dst: 0 }
    }
}

impl Addrs {
    /// Whether this is IPv6.
    pub fn is_v6(&self) -> bool {
        matches!(self, Self::V6 { .. })
    }

    /// The source address.
    pub fn src(&self) -> IpAddr {
        match *self {
            Self::V4 { src, .. } => IpAddr::V4(Ipv4Addr::from_bits(src)),
            Self::V6 { src, .. } => IpAddr::V6(Ipv6Addr::from_bits(src)),
        }
    }

    /// The destination address.
    pub fn dst(&self) -> IpAddr {
        match *self {
            Self::V4 { dst, .. } => IpAddr::V4(Ipv4Addr::from_bits(dst)),
            Self::V6 { dst, .. } => IpAddr::V6(Ipv6Addr::from_bits(dst)),
        }
    }

    /// The same pair seen from the other end.
    #[must_use]
    pub fn exchanged(self) -> Self {
        match self {
            Self::V4 { src, dst } => Self::V4 { src: dst, dst: src },
            Self::V6 { src, dst } => Self::V6 { src: dst, dst: src },
        }
    }
}

/// Where a fragment stands in its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The datagram's identification.
    pub id: u32,
    /// Offset of this piece, in bytes.
    pub offset: u16,
    /// Whether more pieces follow.
    pub more: bool,
}

/// What the packet is to its flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// An ordinary packet: `tuple` is its own.
    #[default]
    Own,
    /// An ICMP error: `tuple` is what it quotes, ends exchanged. It never creates, refreshes or shortens an entry.
    Quoting,
    /// A fragment whose ports are not known yet: the datagram's collector must be asked first.
    Piece,
}

/// The 5-tuple by which a packet's flow is found. ICMP echo carries its identifier as both ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuple {
    /// Ends' addresses.
    pub addrs: Addrs,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// Transport protocol.
    pub proto: u8,
}

impl Tuple {
    /// The same flow seen from the other end.
    #[must_use]
    pub fn exchanged(self) -> Self {
        Self {
            addrs: self.addrs.exchanged(),
            sport: self.dport,
            dport: self.sport,
            ..self
        }
    }
}

/// What `ip_input` read of a packet.
#[derive(Clone, Copy, Debug)]
pub struct IpMeta {
    /// The packet's own addresses.
    pub addrs: Addrs,
    /// The flow it belongs to.
    pub tuple: Tuple,
    /// What it is to that flow.
    pub role: Role,
    /// Transport protocol of the packet itself (after extension headers).
    pub proto: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Offset of the transport header from the start of the IP header.
    pub l4_off: u16,
    /// Length of the datagram by its header, bytes.
    pub len: u16,
    /// Whether IPv4's DF bit is set (IPv6: always).
    pub dont_fragment: bool,
    /// Set on every piece of a fragmented datagram.
    pub fragment: Option<Fragment>,
    /// What the flow table learns from it.
    pub l4: L4,
    /// The FIB of the port it came by: whoever takes it in says which.
    pub fib: FibId,
    /// There is nothing unusual about it: a received TCP or UDP packet that can be sent on, see `plain`.
    pub plain: bool,
}

impl Default for IpMeta {
    fn default() -> Self {
        Self {
            addrs: Addrs::default(),
            tuple: Tuple::default(),
            role: Role::Own,
            proto: 0,
            ttl: 0,
            l4_off: 0,
            len: 0,
            dont_fragment: false,
            fragment: None,
            l4: L4::Other,
            fib: FibId(0),
            plain: false,
        }
    }
}

/// Big-endian 16 bits at `off`.
pub(crate) fn be16(b: &[u8], off: usize) -> Option<u16> {
    b.get(off..off + 2)
        .map(|s| u16::from_be_bytes([s[0], s[1]]))
}

/// Big-endian 32 bits at `off`.
pub(crate) fn be32(b: &[u8], off: usize) -> Option<u32> {
    b.get(off..off + 4)
        .map(|s| u32::from_be_bytes([s[0], s[1], s[2], s[3]]))
}

pub(crate) fn be128(b: &[u8], off: usize) -> Option<u128> {
    b.get(off..off + 16)
        .and_then(|s| s.try_into().ok())
        .map(u128::from_be_bytes)
}

/// Reads an IP packet of either family. The frame may be longer than the datagram (padding).
pub fn read(bytes: &[u8]) -> Result<IpMeta, DropReason> {
    let mut meta = IpMeta::default();
    read_into(bytes, FibId(0), &mut meta).map(|()| meta)
}

/// The same, into its place: a packet's meta is long, and copying it right after it was written costs more than reading a packet.
/// After an error `meta` says nothing.
pub(crate) fn read_into(bytes: &[u8], fib: FibId, meta: &mut IpMeta) -> Result<(), DropReason> {
    *meta = IpMeta::default();
    meta.fib = fib;
    match bytes.first().map(|b| b >> 4) {
        Some(4) => read4(bytes, meta),
        Some(6) => read6(bytes, meta),
        Some(_) => Err(DropReason::IpVersion),
        None => Err(DropReason::IpShort),
    }
}

fn read4(b: &[u8], meta: &mut IpMeta) -> Result<(), DropReason> {
    let header = b.first_chunk::<20>().ok_or(DropReason::IpShort)?;
    let hlen = usize::from(header[0] & 15) * 4;
    let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if hlen < 20 || hlen > b.len() {
        return Err(DropReason::IpHeaderLen);
    }
    if len < hlen || len > b.len() {
        return Err(DropReason::IpLen);
    }
    // A header without options, as nearly all are, is summed without a loop.
    let sum = match hlen {
        20 => checksum::sum(header),
        _ => checksum::sum(&b[..hlen]),
    };
    if sum != 0xffff {
        return Err(DropReason::IpSum);
    }
    if hlen > 20 {
        check_options(&b[20..hlen])?;
    }
    (meta.ttl, meta.proto, meta.len) = (header[8], header[9], len as u16);
    meta.addrs = addrs4(header).ok_or(DropReason::IpShort)?;
    meta.l4_off = hlen as u16;
    let frag = u16::from_be_bytes([header[6], header[7]]);
    meta.dont_fragment = frag & 0x4000 != 0;
    let (more, offset) = (frag & 0x2000 != 0, (frag & 0x1fff) * 8);
    if more || offset != 0 {
        let id = u32::from(u16::from_be_bytes([header[4], header[5]]));
        meta.fragment = Some(Fragment { id, offset, more });
        check_fragment(meta.fragment, hlen, len - hlen)?;
    }
    read_transport(&b[..len], meta)
}

fn addrs4(header: &[u8]) -> Option<Addrs> {
    Some(Addrs::V4 {
        src: be32(header, 12)?,
        dst: be32(header, 16)?,
    })
}

/// IPv4 options: well formed, and no source route (RFC 7126 §4.3, §4.4).
fn check_options(mut options: &[u8]) -> Result<(), DropReason> {
    while let Some((&kind, rest)) = options.split_first() {
        match kind {
            0 => return Ok(()),
            1 => options = rest,
            _ => {
                let len = usize::from(*rest.first().ok_or(DropReason::IpOptions)?);
                if len < 2 || len > options.len() {
                    return Err(DropReason::IpOptions);
                }
                if matches!(kind, 131 | 137) {
                    return Err(DropReason::IpSourceRoute);
                }
                options = &options[len..];
            }
        }
    }
    Ok(())
}

/// A piece must be of whole 8-byte units unless it is the last (RFC 791, RFC 8200 §4.5), and what it is a
/// piece of must fit a length field: with `before`, the bytes that the field counts in front of the payload.
fn check_fragment(
    fragment: Option<Fragment>,
    before: usize,
    payload: usize,
) -> Result<(), DropReason> {
    let Some(Fragment { offset, more, .. }) = fragment else {
        return Ok(());
    };
    let ragged = more && !payload.is_multiple_of(8);
    if payload == 0 || ragged || before + usize::from(offset) + payload > 65_535 {
        return Err(DropReason::FragmentBad);
    }
    Ok(())
}

fn read6(b: &[u8], meta: &mut IpMeta) -> Result<(), DropReason> {
    let header = b.get(..40).ok_or(DropReason::IpShort)?;
    let len = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
    if len > b.len() || len > 65_535 {
        return Err(DropReason::IpLen);
    }
    (meta.ttl, meta.len, meta.dont_fragment) = (header[7], len as u16, true);
    let (src, dst) = be128(header, 8)
        .zip(be128(header, 24))
        .ok_or(DropReason::IpShort)?;
    meta.addrs = Addrs::V6 { src, dst };
    let body = walk_extensions(&b[..len], header[6], meta)?;
    // IPv6's length field counts extension headers in front of the fragment header, not these 48 bytes.
    check_fragment(meta.fragment, body.saturating_sub(48), len - body)?;
    read_transport(&b[..len], meta)
}

/// How many extension headers are followed before the packet is refused.
const EXTENSIONS_MAX: usize = 8;

/// Follows IPv6 extension headers to the transport header (RFC 8200 §4). Returns where the fragmentable
/// part begins: behind the fragment header, or at the transport header if there is none.
fn walk_extensions(b: &[u8], mut next: u8, meta: &mut IpMeta) -> Result<usize, DropReason> {
    let bad = DropReason::Ip6Extension;
    let (mut off, mut body) = (40, None);
    for _ in 0..=EXTENSIONS_MAX {
        if !matches!(next, 0 | 43 | 44 | 60) || meta.fragment.is_some_and(|f| f.offset != 0) {
            meta.proto = next;
            meta.l4_off = off as u16;
            return Ok(body.unwrap_or(off));
        }
        // RFC 7112: a first piece has the whole chain of headers.
        let cut = if meta.fragment.is_some() {
            DropReason::FragmentTiny
        } else {
            bad
        };
        let ext = b
            .get(off..)
            .and_then(|rest| rest.first_chunk::<8>())
            .ok_or(cut)?;
        match next {
            0 if off != 40 => return Err(bad),
            43 if ext[2] == 0 && ext[3] != 0 => return Err(DropReason::Ip6Routing),
            // One datagram, one identification: a fragment header inside a piece is nobody's honest work.
            44 if body.is_some() => return Err(bad),
            44 => {
                meta.fragment = read_fragment_header(ext);
                off += 8;
                body = Some(off);
            }
            _ => off += 8 + usize::from(ext[1]) * 8,
        }
        if off > b.len() {
            return Err(cut);
        }
        next = ext[0];
    }
    Err(bad)
}

/// RFC 6946: an atomic fragment is a whole datagram; it is forwarded by its own ports.
fn read_fragment_header(ext: &[u8; 8]) -> Option<Fragment> {
    let word = u16::from_be_bytes([ext[2], ext[3]]);
    let (offset, more) = (word & 0xfff8, word & 1 != 0);
    let id = u32::from_be_bytes([ext[4], ext[5], ext[6], ext[7]]);
    (more || offset != 0).then_some(Fragment { id, offset, more })
}

/// Reads ports, TCP state and ICMP quotes into `meta`.
fn read_transport(b: &[u8], meta: &mut IpMeta) -> Result<(), DropReason> {
    meta.tuple = Tuple {
        addrs: meta.addrs,
        sport: 0,
        dport: 0,
        proto: meta.proto,
    };
    if meta.fragment.is_some_and(|f| f.offset != 0) {
        meta.role = Role::Piece;
        return Ok(());
    }
    let l4 = &b[usize::from(meta.l4_off)..];
    let read = match meta.proto {
        proto::TCP => read_tcp(l4, meta),
        proto::UDP | proto::UDPLITE | proto::DCCP => read_udp(l4, meta, L4::Udp),
        proto::SCTP => read_sctp(l4, meta),
        proto::ICMP if !meta.addrs.is_v6() => read_icmp(l4, meta, false),
        proto::ICMP6 if meta.addrs.is_v6() => read_icmp(l4, meta, true),
        _ => Ok(()),
    };
    // A first piece without its transport header can hide what it is (RFC 1858 §3, RFC 7112).
    if meta.fragment.is_some() {
        read.map_err(|_| DropReason::FragmentTiny)
    } else {
        read
    }
}

fn read_tcp(l4: &[u8], meta: &mut IpMeta) -> Result<(), DropReason> {
    meta.l4 = tcp(l4).ok_or(DropReason::TcpHeader)?;
    set_ports(l4, meta);
    Ok(())
}

/// What the flow table learns of a TCP segment; `None`: its header is not whole.
#[inline(always)]
pub(crate) fn tcp(l4: &[u8]) -> Option<L4> {
    let h = l4.first_chunk::<20>()?;
    let offset = usize::from(h[12] >> 4) * 4;
    if offset < 20 || offset > l4.len() {
        return None;
    }
    Some(L4::Tcp {
        flags: h[13],
        seq: u32::from_be_bytes([h[4], h[5], h[6], h[7]]),
        ack: u32::from_be_bytes([h[8], h[9], h[10], h[11]]),
        window: u16::from_be_bytes([h[14], h[15]]),
        len: (l4.len() - offset) as u32,
    })
}

fn read_udp(l4: &[u8], meta: &mut IpMeta, kind: L4) -> Result<(), DropReason> {
    let h = l4.get(..8).ok_or(DropReason::UdpHeader)?;
    set_ports(h, meta);
    meta.l4 = kind;
    Ok(())
}

fn read_sctp(l4: &[u8], meta: &mut IpMeta) -> Result<(), DropReason> {
    let h = l4.get(..12).ok_or(DropReason::UdpHeader)?;
    set_ports(h, meta);
    // RFC 9260 §3.3.2: an INIT chunk opens an association and stands alone.
    meta.l4 = if l4.get(12) == Some(&1) {
        L4::Opener
    } else {
        L4::Other
    };
    Ok(())
}

fn set_ports(h: &[u8], meta: &mut IpMeta) {
    meta.tuple.sport = u16::from_be_bytes([h[0], h[1]]);
    meta.tuple.dport = u16::from_be_bytes([h[2], h[3]]);
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
