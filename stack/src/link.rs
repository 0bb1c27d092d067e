//! `arpresolve`: the link header for a packet, from one atomic word of its neighbour.

use crate::ports::{Layer, Ports};
use arp::{NeighIdx, NeighState, NeighWord};
use route::{NhopAttrs, NhopKind};
use std::net::IpAddr;

/// A `neigh` of a next hop that has no fixed neighbour: on a port without a link layer, or on-link.
pub const NO_NEIGH: u32 = u32::MAX;

/// What `arpresolve` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// This header goes in front.
    Header(NeighIdx, [u8; 14]),
    /// This header goes in front: to all stations.
    All([u8; 14]),
    /// The port takes bare IP packets.
    Bare,
    /// The neighbour has not answered yet (or died, and control has not said so yet).
    Wait(NeighIdx),
    /// Nobody has asked for this neighbour yet.
    Unknown,
    /// The neighbour did not answer, and there is no other way to it.
    Failed,
    /// The port is down or gone.
    Down,
}

/// Resolves the link of a next hop for a packet to `dst`. Reads shared words, writes nothing.
pub fn arpresolve(ports: &Ports, neigh: &arp::View, attrs: &NhopAttrs, dst: &IpAddr) -> Link {
    let Some(port) = ports.get(attrs.port).filter(|p| p.up) else {
        return Link::Down;
    };
    let Layer::L2(src) = port.layer else {
        return Link::Bare;
    };
    let Some((idx, word)) = neighbour_of(neigh, attrs, dst) else {
        return Link::Unknown;
    };
    if word.usable() {
        let ethertype = if dst.is_ipv6() { 0x86dd } else { 0x0800 };
        return Link::Header(idx, arp::ether_header(word.mac(), src, ethertype));
    }
    match (word.state(), attrs.kind) {
        (NeighState::Failed, NhopKind::Iface) => Link::Failed,
        _ => Link::Wait(idx),
    }
}

/// The neighbour of a next hop and its word: its own, or that of the destination itself.
fn neighbour_of(
    neigh: &arp::View,
    attrs: &NhopAttrs,
    dst: &IpAddr,
) -> Option<(NeighIdx, NeighWord)> {
    if attrs.kind == NhopKind::Gateway && attrs.neigh != NO_NEIGH {
        let idx = NeighIdx(attrs.neigh);
        return Some((idx, neigh.word(idx)));
    }
    neigh.resolve(arp::PortId(attrs.port.0), dst)
}
