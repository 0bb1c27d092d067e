//! What `ether_input` and `ip_input` ask of a frame before its flow is looked up. Pure: a worker asks it of each frame, and
//! `explain` of the one that it explains.

use crate::fate::DropReason;
use crate::martian::{self, Dest};
use crate::ours::Ours;
use crate::parse::{Addrs, IpMeta};
use crate::path::leads_back;
use crate::pkt::LinkCast;
use crate::ports::Ports;
use crate::rules::{Rpf, Rules};
use arp::{Kind, Mac};
use route::{PortId, View};
use std::net::IpAddr;

/// Bytes of an Ethernet header.
pub(crate) const ETHER_HDR: usize = 14;

/// How a station is addressed whose address is `ours`; `None`: it is not.
#[inline]
pub(crate) fn link_cast(dst: Mac, ours: Mac) -> Option<LinkCast> {
    match dst.0 {
        [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => Some(LinkCast::Broadcast),
        [first, ..] if first & 1 == 1 => Some(LinkCast::Multicast),
        _ => (dst == ours).then_some(LinkCast::Unicast),
    }
}

/// Whether a frame is addressed to the station `ours` alone, and says that it carries the IP version that `ip` has.
///
/// `ours` as [`Mac::to_bits`] gives it.
#[inline(always)]
pub(crate) fn is_ip_for(ours: u64, header: &[u8; ETHER_HDR], ip: &[u8]) -> bool {
    let [a, b, c, d, e, f, g, h, .., high, low] = *header;
    let dst = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 16;
    let version = match u16::from_be_bytes([high, low]) {
        0x0800 => 4,
        0x86dd => 6,
        _ => return false,
    };
    dst == ours && ip.first().is_some_and(|first| first >> 4 == version)
}

/// ARP, or discovery that is the host's to read; `None`: a packet like others, if it is one.
///
/// What crossed a router (its hop limit says so) is no discovery to whom it is not addressed (RFC 4861 §6.1, §7.1): it is on
/// its way to somebody else. To us or to a group it is the host's all the same, which names what is wrong with it.
#[inline]
pub(crate) fn neighbour_frame(frame: &[u8], is_ours: impl FnOnce(&IpAddr) -> bool) -> Option<Kind> {
    let kind = arp::is_neighbour_frame(frame)?;
    match arp::crossed_a_router(frame) {
        Some(dst) if !dst.is_multicast() && !is_ours(&dst.into()) => None,
        _ => Some(kind),
    }
}

/// Whether a frame of this type carries IP, of that version, as its first byte says.
#[inline]
pub(crate) fn check_ethertype(ethertype: [u8; 2], version: Option<u8>) -> Result<(), DropReason> {
    match (ethertype, version) {
        ([0x08, 0x00], Some(4)) | ([0x86, 0xdd], Some(6)) => Ok(()),
        ([0x08, 0x00] | [0x86, 0xdd], None) => Err(DropReason::IpShort),
        ([0x08, 0x00] | [0x86, 0xdd], Some(_)) => Err(DropReason::IpVersion),
        _ => Err(DropReason::EtherType),
    }
}

/// Where a packet came by, and what is let through there.
#[derive(Clone, Copy)]
pub(crate) struct Came {
    pub(crate) port: PortId,
    pub(crate) cast: LinkCast,
    pub(crate) rules: Rules,
}

/// Whether a packet with these addresses may come by its port.
#[inline]
pub(crate) fn check_source(
    (ports, ours): (&Ports, &Ours),
    view: &View,
    meta: &IpMeta,
    by: Came,
) -> Result<(), DropReason> {
    let (addrs, rules) = (&meta.addrs, by.rules);
    check_addresses(addrs, by.cast, rules.class_e)?;
    if ours.may_have_source(addrs) {
        check_ours(ports, meta, by.port)?;
    }
    // What is of one link only has come by it.
    let asked = rules.rpf != Rpf::Off && !martian::link_local_source(addrs);
    if asked && !leads_back(view, rules.rpf, meta, by.port) {
        return Err(DropReason::ReversePath);
    }
    Ok(())
}

/// The source is no address of ours, and not of all stations of a network of ours.
#[cold]
fn check_ours(ports: &Ports, meta: &IpMeta, port: PortId) -> Result<(), DropReason> {
    let source = meta.addrs.src();
    // RFC 1812 §5.3.8: nobody else sends from an address of ours.
    if ports.is_own_at(port, meta.fib, &source) {
        return Err(DropReason::IpOwnSource);
    }
    // RFC 1122 §3.2.1.3: a broadcast to a network that is ours to know comes from nobody, and would be answered to all.
    if ports.is_broadcast(meta.fib, &source) {
        return Err(DropReason::IpBadSource);
    }
    Ok(())
}

/// RFC 1812 §5.3.4, §5.3.7 and RFC 6890: addresses that no packet may carry through a router.
fn check_addresses(addrs: &Addrs, cast: LinkCast, class_e: bool) -> Result<(), DropReason> {
    if martian::bad_source(addrs) && !(class_e && martian::class_e_source(addrs)) {
        return Err(DropReason::IpBadSource);
    }
    match martian::bad_dest(addrs) {
        Dest::Bad if class_e && martian::class_e_dest(addrs) => check_cast(cast),
        Dest::Bad => Err(DropReason::IpBadDest),
        Dest::Multicast => Err(DropReason::IpMulticast),
        Dest::Ok | Dest::LinkLocal => check_cast(cast),
    }
}

/// A unicast packet comes in a unicast frame.
fn check_cast(cast: LinkCast) -> Result<(), DropReason> {
    match cast {
        LinkCast::Unicast => Ok(()),
        LinkCast::Broadcast | LinkCast::Multicast => Err(DropReason::IpLinkCast),
    }
}

/// Whether there is anything between the fixed part of an IPv4 header and its end.
#[inline]
pub(crate) fn has_options(meta: &IpMeta) -> bool {
    meta.l4_off != 20 && !meta.addrs.is_v6()
}
