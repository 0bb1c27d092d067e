//! Packets and reasons in words; nothing here knows the gateway.

use super::{Framing, PacketAsk};
use crate::fate::DropReason;
use crate::ingress::ETHER_HDR;
use crate::parse::{self, IpMeta, Tuple, proto};
use crate::pkt::LinkCast;
use crate::vlan;
use flowtable::L4;
use std::fmt::Write;
use std::net::SocketAddr;

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A String takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// So many of something.
pub(super) fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

pub(super) const fn cast(cast: LinkCast) -> &'static str {
    match cast {
        LinkCast::Unicast => "our station",
        LinkCast::Broadcast => "broadcast",
        LinkCast::Multicast => "multicast",
    }
}

pub(super) const fn neighbour_frame(kind: arp::Kind) -> &'static str {
    match kind {
        arp::Kind::Request => "ARP or ND, a question: to the host by its ask queue",
        arp::Kind::Reply => "ARP or ND, an answer: to the host by its confirm queue",
    }
}

/// The protocol's name, or its number.
fn protocol(number: u8) -> String {
    let name = match number {
        proto::ICMP => "icmp",
        proto::TCP => "tcp",
        proto::UDP => "udp",
        proto::ICMP6 => "icmp6",
        proto::SCTP => "sctp",
        proto::DCCP => "dccp",
        proto::UDPLITE => "udplite",
        number => return format!("protocol {number}"),
    };
    name.to_owned()
}

/// A flow in a direction.
pub(super) fn tuple(tuple: &Tuple) -> String {
    let (src, dst) = (tuple.addrs.src(), tuple.addrs.dst());
    let name = protocol(tuple.proto);
    match (tuple.sport, tuple.dport) {
        (0, 0) => format!("{name} {src} > {dst}"),
        (id, other) if matches!(tuple.proto, proto::ICMP | proto::ICMP6) && id == other => {
            format!("{name} {src} > {dst} id {id}")
        }
        (sport, dport) => {
            let (from, to) = (SocketAddr::new(src, sport), SocketAddr::new(dst, dport));
            format!("{name} {from} > {to}")
        }
    }
}

/// A packet in a line.
pub(super) fn packet(ask: &PacketAsk<'_>) -> String {
    let ip = match ask.framing {
        Framing::Ip => ask.bytes,
        Framing::Ether => {
            let tag = matches!(vlan::of_frame(ask.bytes), Ok(Some(_)));
            let link = if tag {
                ETHER_HDR + vlan::TAG
            } else {
                ETHER_HDR
            };
            ask.bytes.get(link..).unwrap_or_default()
        }
    };
    match parse::read(ip) {
        Ok(meta) => {
            let own = Tuple {
                addrs: meta.addrs,
                proto: meta.proto,
                ..own_ports(&meta)
            };
            format!(
                "{}{}, {} bytes, TTL {}",
                tuple(&own),
                flags(&meta.l4),
                meta.len,
                meta.ttl
            )
        }
        Err(_) => format!(
            "{} bytes that are no packet which a router takes",
            ask.bytes.len()
        ),
    }
}

/// The packet's own ports, not those of what it quotes.
fn own_ports(meta: &IpMeta) -> Tuple {
    match meta.tuple.proto == meta.proto && meta.tuple.addrs == meta.addrs {
        true => meta.tuple,
        false => Tuple::default(),
    }
}

/// TCP's flags as tcpdump writes them.
fn flags(l4: &L4) -> String {
    let L4::Tcp { flags, .. } = *l4 else {
        return String::new();
    };
    let letters = [(2, 'S'), (1, 'F'), (4, 'R'), (8, 'P'), (16, '.')];
    let set = letters.iter().filter(|(bit, _)| flags & bit != 0);
    let set: String = set.map(|(_, letter)| *letter).collect();
    format!(" [{}]", if set.is_empty() { "none" } else { &set })
}

/// What `parse::read` found in order.
pub(super) fn sound(meta: &IpMeta) -> String {
    let (family, checked) = match meta.addrs.is_v6() {
        false => ("IPv4", "version, lengths, header checksum"),
        true => ("IPv6", "version, lengths, extension headers"),
    };
    let df = match (meta.addrs.is_v6(), meta.dont_fragment) {
        (false, true) => ", DF",
        _ => "",
    };
    format!(
        "{family}, {} bytes, TTL {}{df}, {}: {checked} and transport header are good",
        meta.len,
        meta.ttl,
        protocol(meta.proto)
    )
}

/// What a reason means, and whose rule it is.
pub(super) fn refused(reason: DropReason, is_v6: bool) -> String {
    let rule = if is_v6 { rule_v6(reason) } else { rule(reason) };
    match rule {
        Some(rule) => format!("{} ({rule})", text(reason)),
        None => text(reason).to_owned(),
    }
}

/// The standard that asks for it of IPv6. RFC 1812 is about IPv4 alone.
const fn rule_v6(reason: DropReason) -> Option<&'static str> {
    Some(match reason {
        DropReason::IpShort | DropReason::IpVersion | DropReason::IpLen => "RFC 8200 3",
        DropReason::IpBadSource | DropReason::IpBadDest => "RFC 4291 2.5, 2.7",
        DropReason::IpMulticast => "RFC 4291 2.7",
        DropReason::TtlExpired => "RFC 8200 3, RFC 4443 3.3",
        DropReason::TooBig => "RFC 8200 5, RFC 4443 3.2",
        DropReason::FragmentBad => "RFC 8200 4.5",
        DropReason::FragmentTiny => "RFC 7112",
        DropReason::NoRoute => "RFC 4443 3.1",
        DropReason::IpOwnSource | DropReason::IpLinkCast => return None,
        other => return rule(other),
    })
}

/// The standard that asks for it, of IPv4 or of both.
const fn rule(reason: DropReason) -> Option<&'static str> {
    Some(match reason {
        DropReason::IpShort => "RFC 1812 5.2.2 (1)",
        DropReason::IpSum => "RFC 1812 5.2.2 (2)",
        DropReason::IpVersion => "RFC 1812 5.2.2 (3)",
        DropReason::IpHeaderLen => "RFC 1812 5.2.2 (4)",
        DropReason::IpLen => "RFC 1812 5.2.2 (5)",
        DropReason::IpBadSource | DropReason::IpBadDest => "RFC 1812 5.3.7",
        DropReason::IpOwnSource => "RFC 1812 5.3.8",
        DropReason::IpMulticast => "RFC 1812 5.3.5",
        DropReason::IpLinkCast => "RFC 1812 5.3.4",
        DropReason::ReversePath => "RFC 3704",
        DropReason::SecondTag => "IEEE 802.1ad is not supported",
        DropReason::IpSourceRoute => "RFC 7126 4.3",
        DropReason::IpOptions => "RFC 1812 5.2.6",
        DropReason::TtlExpired => "RFC 1812 5.3.1",
        DropReason::TooBig => "RFC 1191",
        DropReason::FragmentBad => "RFC 791, RFC 8200 4.5",
        DropReason::FragmentTiny => "RFC 1858, RFC 7112",
        DropReason::Ip6Extension => "RFC 8200 4",
        DropReason::Ip6Routing => "RFC 5095",
        DropReason::NoRoute => "RFC 1812 5.2.7.1",
        _ => return None,
    })
}

/// What one packet is, where the counter's text speaks of many.
const fn text(reason: DropReason) -> &'static str {
    match reason {
        DropReason::SecondTag => "a second VLAN tag behind the first",
        DropReason::IpShort => "fewer bytes than a header",
        DropReason::IpVersion => "neither version 4 nor 6, or not the one that the link announced",
        DropReason::IpHeaderLen => "header length below 20 bytes or beyond the data",
        DropReason::IpLen => "total length below the header or beyond the frame",
        DropReason::IpSum => "bad header checksum",
        DropReason::IpBadSource => "a source that no packet in transit may have",
        DropReason::IpBadDest => "a destination that is not forwarded to",
        DropReason::IpOwnSource => "nobody else sends from our own address",
        DropReason::IpMulticast => "multicast and broadcast are not forwarded",
        DropReason::IpLinkCast => "a unicast packet comes in a unicast frame",
        DropReason::ReversePath => "its source is not reached by this way",
        DropReason::IpSourceRoute => "source route options are refused",
        DropReason::IpOptions => "a malformed option",
        DropReason::TtlExpired => "its time to live is over",
        DropReason::FragmentBad => "a piece with an impossible offset or length",
        DropReason::FragmentTiny => "a first piece without its transport header",
        DropReason::Ip6Extension => "an extension header cut short, out of order or one too many",
        DropReason::Ip6Routing => "a type 0 routing header with segments left",
        DropReason::TcpHeader => "TCP header cut short",
        DropReason::UdpHeader => "UDP or SCTP header cut short",
        DropReason::IcmpHeader => "ICMP message cut short",
        other => other.text(),
    }
}

/// A neighbour's state, as `arp -a` has it.
pub(super) const fn neigh_state(state: arp::NeighState) -> &'static str {
    match state {
        arp::NeighState::Free => "no entry",
        arp::NeighState::Incomplete => "incomplete",
        arp::NeighState::Reachable => "reachable",
        arp::NeighState::Stale => "stale",
        arp::NeighState::Probe => "being probed",
        arp::NeighState::Failed => "failed",
        arp::NeighState::Permanent => "permanent",
    }
}
