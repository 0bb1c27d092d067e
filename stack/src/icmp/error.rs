//! Building ICMP errors about packets in transit, and the rules when none may be sent.

use super::{Class, TTL, redirect};
use crate::checksum;
use crate::martian::{self, Dest};
use crate::offload::{self, Partial};
use crate::parse::{self, Addrs, IpMeta, proto};
use crate::pkt::{LinkCast, Pkt};
use arp::Mac;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest IPv4 error, in all (RFC 1812 §4.3.2.3).
const MAX_V4: usize = 576;
/// Longest IPv6 error, in all: the minimum MTU (RFC 4443 §2.4 (c)).
pub(super) const MAX_V6: usize = 1280;
/// Bytes of IPv4 and ICMP header in front of the quote.
const FRONT_V4: usize = 20 + ICMP_HEADER;
/// Bytes of IPv6 and ICMPv6 header in front of the quote.
const FRONT_V6: usize = 40 + ICMP_HEADER;
const ICMP_HEADER: usize = 8;
/// DSCP CS6, no ECN: precedence 6, "internetwork control" (RFC 1812 §4.3.2.5); the same in IPv6.
pub(super) const TRAFFIC_CLASS: u8 = 0xc0;

/// What is wrong with a packet in transit. The numbers are {type/code} in ICMP and in ICMPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// TTL or hop limit used up in transit: 11/0, 3/0.
    TimeExceeded,
    /// The rest of a datagram for us did not come: 11/1 (RFC 1122 §3.3.2), 3/1 (RFC 8200 §4.5).
    ReassemblyTime,
    /// No route: 3/0 (RFC 1812 §5.2.7.1), 1/0.
    NetUnreachable,
    /// The neighbour does not answer, or no next hop is alive: 3/1, 1/3.
    HostUnreachable,
    /// A source route that is not obeyed: 3/5 (RFC 1812 §5.2.7.1). IPv6 has no such message.
    SourceRouteFailed,
    /// A reject route: 3/1 as FreeBSD answers it, 1/6 (RFC 4443 §3.1).
    Rejected,
    /// Too big for the way out: 3/4 (RFC 1191 §4), packet too big 2/0.
    FragNeeded {
        /// MTU of the way out, bytes of IP.
        mtu: u32,
    },
    /// A link-local source would leave its link: 1/2 (RFC 4443 §3.1). IPv4 has no such message.
    BeyondScope,
    /// Somebody on the sender's own link is the better first hop for this destination: 5/1 (RFC 1812 §5.2.7.2), neighbour
    /// discovery's 137/0 (RFC 4861 §4.5).
    Redirect {
        /// Who that is.
        gateway: IpAddr,
        /// His hardware address, if it is known; only neighbour discovery tells it.
        mac: Option<Mac>,
    },
    /// The first piece of an IPv6 datagram lacks a part of its headers: 4/3 (RFC 7112 §6). IPv4 has no such message.
    HeadersCut,
    /// A header field makes no sense: 12/0, 4/0.
    ParamProblem {
        /// Offset of the first bad byte from the start of the IP header.
        pointer: u32,
    },
    /// An IPv6 option that is not known here: 4/2.
    UnknownOption {
        /// Offset of its type from the start of the IP header.
        pointer: u32,
    },
}

impl Error {
    /// The rate limiter's class.
    pub fn class(&self) -> Class {
        match self {
            Self::TimeExceeded | Self::ReassemblyTime => Class::TimeExceeded,
            Self::FragNeeded { .. } => Class::TooBig,
            Self::HeadersCut | Self::ParamProblem { .. } | Self::UnknownOption { .. } => {
                Class::Param
            }
            Self::Redirect { .. } => Class::Redirect,
            Self::NetUnreachable
            | Self::HostUnreachable
            | Self::SourceRouteFailed
            | Self::Rejected
            | Self::BeyondScope => Class::Unreachable,
        }
    }

    /// What it says, for listings.
    pub fn words(&self) -> String {
        match self {
            Self::TimeExceeded => "time exceeded in transit".to_owned(),
            Self::ReassemblyTime => "time exceeded in reassembly".to_owned(),
            Self::NetUnreachable => "network unreachable".to_owned(),
            Self::HostUnreachable => "host unreachable".to_owned(),
            Self::SourceRouteFailed => "source route failed".to_owned(),
            Self::Rejected => "host unreachable (reject route)".to_owned(),
            Self::FragNeeded { mtu } => format!("packet too big, MTU {mtu}"),
            Self::BeyondScope => "beyond scope of source address".to_owned(),
            Self::Redirect { gateway, .. } => format!("redirect to {gateway}"),
            Self::HeadersCut => "first piece without all headers".to_owned(),
            Self::ParamProblem { pointer } => format!("parameter problem at byte {pointer}"),
            Self::UnknownOption { pointer } => format!("unknown option at byte {pointer}"),
        }
    }

    /// Type, code, and the 32 bits behind the checksum, in ICMP (RFC 792, 1191).
    fn wire4(self) -> Option<(u8, u8, u32)> {
        Some(match self {
            Self::TimeExceeded => (11, 0, 0),
            Self::ReassemblyTime => (11, 1, 0),
            Self::NetUnreachable => (3, 0, 0),
            Self::HostUnreachable | Self::Rejected => (3, 1, 0),
            Self::SourceRouteFailed => (3, 5, 0),
            Self::FragNeeded { mtu } => (3, 4, mtu.min(0xffff)),
            Self::BeyondScope | Self::HeadersCut | Self::UnknownOption { .. } => return None,
            Self::Redirect {
                gateway: IpAddr::V4(gateway),
                ..
            } => (5, 1, gateway.to_bits()),
            Self::Redirect { .. } => return None,
            Self::ParamProblem { pointer } => (12, 0, u32::from(u8::try_from(pointer).ok()?) << 24),
        })
    }

    /// Type, code, and the 32 bits behind the checksum, in ICMPv6 (RFC 4443 §3).
    fn wire6(self) -> Option<(u8, u8, u32)> {
        Some(match self {
            Self::Redirect { .. } | Self::SourceRouteFailed => return None,
            Self::TimeExceeded => (3, 0, 0),
            Self::ReassemblyTime => (3, 1, 0),
            Self::NetUnreachable => (1, 0, 0),
            Self::HostUnreachable => (1, 3, 0),
            Self::Rejected => (1, 6, 0),
            // Below the minimum a host would answer with atomic fragments (RFC 8021); no link has less.
            Self::FragNeeded { mtu } => (2, 0, mtu.max(MAX_V6 as u32)),
            Self::BeyondScope => (1, 2, 0),
            Self::ParamProblem { pointer } => (4, 0, pointer),
            Self::UnknownOption { pointer } => (4, 2, pointer),
            Self::HeadersCut => (4, 3, 0),
        })
    }

    /// Whether it is neighbour discovery's: from a link-local address, to the link that it is about.
    pub fn is_of_the_link(&self) -> bool {
        matches!(self, Self::Redirect { gateway, .. } if gateway.is_ipv6())
    }

    /// Where the quote begins in the message.
    fn quote_at(&self) -> usize {
        match self {
            Self::Redirect { mac, .. } if self.is_of_the_link() => redirect::quote_at(*mac),
            _ => ICMP_HEADER,
        }
    }
}

/// Writes into `out` the ICMP error about `offending`, from `source` to the offender's source.
///
/// `offending` are the packet's bytes *as they were received*, from the IP header on (padding behind
/// `meta.len` is left out); `ident` is the new packet's IPv4 identification. The quote is verbatim and as
/// long as 576 or 1280 bytes in all allow. TTL 64 (neighbour discovery's 255), DF clear, checksums complete; `out.meta` is not
/// set.
///
/// Returns `false`, `out` empty, if the family has no such message, `source` is of the other family, the
/// offender lacks its IP header, or the error does not fit into `out`. Ask [`may_answer`] first.
#[must_use]
pub fn build_error(
    error: Error,
    offending: &[u8],
    meta: &IpMeta,
    source: IpAddr,
    ident: u16,
    out: &mut Pkt,
) -> bool {
    out.reset();
    let datagram = &offending[..offending.len().min(usize::from(meta.len))];
    let written = match (source, meta.addrs) {
        (IpAddr::V4(from), Addrs::V4 { src, .. }) => write4(
            error,
            datagram,
            from,
            Ipv4Addr::from_bits(src),
            ident,
            out.space(),
        ),
        (IpAddr::V6(from), Addrs::V6 { src, .. }) => {
            write6(error, datagram, from, Ipv6Addr::from_bits(src), out.space())
        }
        _ => None,
    };
    out.filled(written.unwrap_or(0));
    written.is_some()
}

fn write4(
    error: Error,
    datagram: &[u8],
    from: Ipv4Addr,
    to: Ipv4Addr,
    ident: u16,
    space: &mut [u8],
) -> Option<usize> {
    let (kind, code, rest) = error.wire4()?;
    if datagram.len() < 20 {
        return None;
    }
    let quote = &datagram[..datagram.len().min(MAX_V4 - FRONT_V4)];
    let packet = space.get_mut(..FRONT_V4 + quote.len())?;
    let len = packet.len();
    let (header, message) = packet.split_first_chunk_mut::<20>()?;
    *header = [
        0x45,
        TRAFFIC_CLASS,
        0,
        0,
        0,
        0,
        0,
        0,
        TTL,
        proto::ICMP,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ];
    header[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    header[4..6].copy_from_slice(&ident.to_be_bytes());
    header[12..16].copy_from_slice(&from.octets());
    header[16..20].copy_from_slice(&to.octets());
    checksum::fill_header(header, 20);
    let addrs = Addrs::V4 {
        src: from.to_bits(),
        dst: to.to_bits(),
    };
    write_message(message, (kind, code, rest), quote, &addrs, proto::ICMP);
    Some(len)
}

fn write6(
    error: Error,
    datagram: &[u8],
    from: Ipv6Addr,
    to: Ipv6Addr,
    space: &mut [u8],
) -> Option<usize> {
    if datagram.len() < 40 {
        return None;
    }
    if let Error::Redirect {
        gateway: IpAddr::V6(target),
        mac,
    } = error
    {
        return redirect::write6((from, to), (target, mac), datagram, space);
    }
    let wire = error.wire6()?;
    let quote = &datagram[..datagram.len().min(MAX_V6 - FRONT_V6)];
    let packet = space.get_mut(..FRONT_V6 + quote.len())?;
    let len = packet.len();
    let (header, message) = packet.split_first_chunk_mut::<40>()?;
    let first = 6 << 28 | u32::from(TRAFFIC_CLASS) << 20;
    header[..4].copy_from_slice(&first.to_be_bytes());
    header[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes());
    (header[6], header[7]) = (proto::ICMP6, TTL);
    header[8..24].copy_from_slice(&from.octets());
    header[24..40].copy_from_slice(&to.octets());
    let addrs = Addrs::V6 {
        src: from.to_bits(),
        dst: to.to_bits(),
    };
    write_message(message, wire, quote, &addrs, proto::ICMP6);
    Some(len)
}

/// Fills `message`, whose length is that of the header and the quote.
fn write_message(
    message: &mut [u8],
    (kind, code, rest): (u8, u8, u32),
    quote: &[u8],
    addrs: &Addrs,
    proto: u8,
) {
    let Some((header, body)) = message.split_first_chunk_mut::<ICMP_HEADER>() else {
        return;
    };
    *header = [kind, code, 0, 0, 0, 0, 0, 0];
    header[4..].copy_from_slice(&rest.to_be_bytes());
    body.copy_from_slice(quote);
    let checksum = checksum::transport(addrs, proto, message).to_be_bytes();
    message[2..4].copy_from_slice(&checksum);
}

/// Finishes the checksum in the quote of `error`, that [`build_error`] wrote about `offending`, which came unfinished: a sender
/// quotes to itself what was to be on the wire.
pub fn finish_quote(out: &mut Pkt, error: &Error, offending: &[u8], csum: Partial) {
    let Ok(meta) = parse::read(out.bytes()) else {
        return;
    };
    let (start, l4) = (usize::from(csum.start), usize::from(meta.l4_off));
    let finished = offload::finished(offending, start).to_be_bytes();
    let Some(message) = out.bytes_mut().get_mut(l4..) else {
        return;
    };
    let field = error.quote_at() + start + usize::from(csum.offset);
    if let Some(field) = message.get_mut(field..field + 2) {
        field.copy_from_slice(&finished);
        message[2..4].fill(0);
        let checksum = checksum::transport(&meta.addrs, meta.proto, message).to_be_bytes();
        message[2..4].copy_from_slice(&checksum);
    }
}

/// Whether `error` may be sent about this packet (RFC 1812 §4.3.2.7, RFC 4443 §2.4 (e)).
///
/// Never about an ICMP error or redirect, a later piece of a datagram, a packet that came in a link
/// broadcast or multicast or goes to an IP one (save ICMPv6 packet too big), or from a source that is not
/// one host. Directed broadcasts are known to the routes, not here: the caller's matter.
pub fn may_answer(error: &Error, meta: &IpMeta, packet: &[u8], cast: LinkCast) -> bool {
    let v6 = meta.addrs.is_v6();
    if parse::is_icmp_error(meta, packet)
        || meta.fragment.is_some_and(|f| f.offset != 0)
        // 240/4 has come this far only where the operator lets it.
        || (martian::bad_source(&meta.addrs) && !martian::class_e_source(&meta.addrs))
        || (!v6 && *error == Error::BeyondScope)
    {
        return false;
    }
    // RFC 4443 §2.4 (e.3): path MTU discovery works for multicast too.
    let to_many = v6 && matches!(error, Error::FragNeeded { .. });
    to_many || (cast == LinkCast::Unicast && martian::bad_dest(&meta.addrs) != Dest::Multicast)
}
