//! Redirects: whose sender is told of a better first hop, and neighbour discovery's message (RFC 1812 §5.2.7.2, RFC 4861 §8.2).
//!
//! [`advice`] is asked about a packet that leaves by the port that it came by, by the packet path and by `explain` alike. It
//! is pure; that a route has one way only, and the limits, are the caller's matter.

use super::error::{MAX_V6, TRAFFIC_CLASS};
use crate::checksum;
use crate::parse::{Addrs, proto};
use crate::ports::{Port, is_link_local};
use arp::Mac;
use std::net::{IpAddr, Ipv6Addr};

/// Type 137, and what it has before its options: ICMPv6 header, target, destination (RFC 4861 §4.5).
const KIND: u8 = 137;
const FIXED: usize = 8 + 16 + 16;
/// The options: target's link-layer address (RFC 4861 §4.6.1), redirected header (§4.6.3).
const TARGET_LLADDR: u8 = 2;
const REDIRECTED: u8 = 4;
const LLADDR_LEN: usize = 8;
const REDIRECTED_HEADER: usize = 8;
/// Who finds less has a packet that was forwarded (RFC 4861 §8.1).
const HOP_LIMIT: u8 = 255;

/// What a packet's sender is to hear of its way, which leads back by the port that it came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Redirects are off at that port.
    Off,
    /// Sender and next hop are not both on one network of the port.
    Apart,
    /// The sender is that next hop.
    Itself,
    /// The next hop is a router that is known by this address alone; a redirect must name its link-local one (RFC 4861 §4.5).
    NotLinkLocal(IpAddr),
    /// A redirect comes from a link-local address of ours (RFC 4861 §4.5), and the port has none.
    NoSource,
    /// This is the better first hop.
    Tell {
        /// A router, or the destination itself.
        better: IpAddr,
        /// Its hardware address, if it is known.
        mac: Option<Mac>,
    },
}

/// Whether the sender of a packet with these addresses, that came by `port` and goes to `better` by it again, is to be told.
pub fn advice(port: &Port, neigh: &arp::View, addrs: &Addrs, better: IpAddr) -> Advice {
    if !port.rules.redirects {
        return Advice::Off;
    }
    let (from, dst) = (addrs.src(), addrs.dst());
    let mac_of = |addr: &IpAddr| {
        let found = neigh.resolve(arp::PortId(port.id.0), addr);
        found
            .filter(|(_, word)| word.usable())
            .map(|(_, w)| w.mac())
    };
    if from == better {
        return Advice::Itself;
    }
    if from.is_ipv4() {
        return match better.is_ipv4() && port.joins(&from, &better) {
            true => Advice::Tell { better, mac: None },
            false => Advice::Apart,
        };
    }
    if better.is_ipv4() || !port.on_link(&from) {
        return Advice::Apart;
    }
    if better != dst && !is_link_local(&better) {
        return Advice::NotLinkLocal(better);
    }
    let mac = mac_of(&better);
    // A router sends by its global address, and is the next hop by its link-local one.
    if mac.is_some() && mac == mac_of(&from) {
        return Advice::Itself;
    }
    match port.link_local() {
        None => Advice::NoSource,
        Some(_) => Advice::Tell { better, mac },
    }
}

/// Bytes of a redirect's message before the packet that it quotes.
pub(super) fn quote_at(mac: Option<Mac>) -> usize {
    FIXED + mac.map_or(0, |_| LLADDR_LEN) + REDIRECTED_HEADER
}

/// Writes a redirect of neighbour discovery: from `from` to the source of `datagram`, about its destination, with as much of it
/// as 1280 bytes in all allow. Its length, or `None` if it does not fit into `space`.
///
/// An option's length counts words of eight bytes, and zeros behind the quote would pass for bytes of the packet: last bytes
/// that fill no word are left out.
pub(super) fn write6(
    (from, to): (Ipv6Addr, Ipv6Addr),
    (target, mac): (Ipv6Addr, Option<Mac>),
    datagram: &[u8],
    space: &mut [u8],
) -> Option<usize> {
    let at = quote_at(mac);
    let quote = &datagram[..datagram.len().min(MAX_V6 - 40 - at) & !7];
    let len = 40 + at + quote.len();
    let (header, message) = space.get_mut(..len)?.split_first_chunk_mut::<40>()?;
    write_header(header, message.len(), from, to);
    message.fill(0);
    message[0] = KIND;
    message[8..24].copy_from_slice(&target.octets());
    message[24..FIXED].copy_from_slice(datagram.get(24..40)?);
    if let Some(mac) = mac {
        message[FIXED..FIXED + 2].copy_from_slice(&[TARGET_LLADDR, 1]);
        message[FIXED + 2..FIXED + LLADDR_LEN].copy_from_slice(&mac.0);
    }
    let option = at - REDIRECTED_HEADER;
    let words = (message.len() - option) / 8;
    message[option..option + 2].copy_from_slice(&[REDIRECTED, words as u8]);
    message[at..].copy_from_slice(quote);
    let addrs = Addrs::V6 {
        src: from.to_bits(),
        dst: to.to_bits(),
    };
    let checksum = checksum::transport(&addrs, proto::ICMP6, message).to_be_bytes();
    message[2..4].copy_from_slice(&checksum);
    Some(len)
}

fn write_header(header: &mut [u8; 40], payload: usize, from: Ipv6Addr, to: Ipv6Addr) {
    let first = 6 << 28 | u32::from(TRAFFIC_CLASS) << 20;
    header[..4].copy_from_slice(&first.to_be_bytes());
    header[4..6].copy_from_slice(&(payload as u16).to_be_bytes());
    (header[6], header[7]) = (proto::ICMP6, HOP_LIMIT);
    header[8..24].copy_from_slice(&from.octets());
    header[24..40].copy_from_slice(&to.octets());
}
