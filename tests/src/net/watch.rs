//! Who gets which flow, seen from outside: the judge of collateral moves.
//!
//! Keyed by the flow's 5-tuple, it remembers the host that got the flow's last packet. The gateway's own counters
//! say why flows moved; this says that they did.

use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv6Packet};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// A flow in one direction: protocol, source, destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId {
    /// IP protocol number.
    pub proto: u8,
    /// Source.
    pub src: SocketAddr,
    /// Destination.
    pub dst: SocketAddr,
}

impl FlowId {
    /// The flow of a TCP or UDP packet; `None` for any other, and for pieces.
    pub fn of(packet: &[u8]) -> Option<Self> {
        let (proto, src, dst, payload): (_, IpAddr, IpAddr, _) = match packet.first()? >> 4 {
            4 => {
                let ip = Ipv4Packet::new_checked(packet).ok()?;
                if ip.more_frags() || ip.frag_offset() != 0 {
                    return None;
                }
                let at = usize::from(ip.header_len());
                let ends = (ip.src_addr(), ip.dst_addr());
                (
                    ip.next_header(),
                    ends.0.into(),
                    ends.1.into(),
                    &packet[at..],
                )
            }
            6 => {
                let ip = Ipv6Packet::new_checked(packet).ok()?;
                let ends = (ip.src_addr(), ip.dst_addr());
                (
                    ip.next_header(),
                    ends.0.into(),
                    ends.1.into(),
                    &packet[40..],
                )
            }
            _ => return None,
        };
        if !matches!(proto, IpProtocol::Tcp | IpProtocol::Udp) {
            return None;
        }
        let port = |at: usize| {
            Some(u16::from_be_bytes([
                *payload.get(at)?,
                *payload.get(at + 1)?,
            ]))
        };
        Some(Self {
            proto: proto.into(),
            src: SocketAddr::new(src, port(0)?),
            dst: SocketAddr::new(dst, port(2)?),
        })
    }
}

/// A flow that went to another host than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// When, ms.
    pub at: u64,
    /// The flow.
    pub flow: FlowId,
    /// When the host that had it got its last packet, ms.
    pub since: u64,
    /// The host that had it.
    pub from: usize,
    /// The host that has it now.
    pub to: usize,
}

/// The memory.
#[derive(Debug, Default)]
pub struct Watch {
    with: HashMap<FlowId, (usize, u64)>,
    /// Every move, in order.
    pub moves: Vec<Move>,
}

impl Watch {
    pub(super) fn saw(&mut self, now: u64, packet: &[u8], node: usize) {
        let Some(flow) = FlowId::of(packet) else {
            return;
        };
        match self.with.insert(flow, (node, now)) {
            Some((from, since)) if from != node => self.moves.push(Move {
                at: now,
                flow,
                since,
                from,
                to: node,
            }),
            _ => {}
        }
    }

    /// The host that got the flow's last packet.
    pub fn host_of(&self, flow: &FlowId) -> Option<usize> {
        self.with.get(flow).map(|(node, _)| *node)
    }

    /// Flows by host, for hosts that have any.
    pub fn flows_of(&self, node: usize) -> impl Iterator<Item = &FlowId> {
        self.with
            .iter()
            .filter(move |(_, (at, _))| *at == node)
            .map(|(flow, _)| flow)
    }

    /// Forgets flows of which no packet was seen since then.
    pub fn forget_before(&mut self, at: u64) {
        self.with.retain(|_, (_, seen)| *seen >= at);
    }

    /// How many flows were seen.
    pub fn len(&self) -> usize {
        self.with.len()
    }

    /// Whether none was seen.
    pub fn is_empty(&self) -> bool {
        self.with.is_empty()
    }
}
