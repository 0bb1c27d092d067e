//! What must hold whatever happens.
//!
//! Books, ports' sums and tables' limits are [`Net::assert_kept`]'s, lengths and checksums of what leaves `net/check.rs`'s.
//! Here: each packet leaves with one less of the TTL that it says it was sent with, and a flow that goes on leaves its
//! server only if something happened since that is a reason: the next hop died, was drained to the end, left the route,
//! the route itself changed, the flow was flushed or asked back. One more gateway, another weight, another
//! worker, a neighbour's new address, an unrelated route are none.

use super::place::{Place, Server};
use super::traffic::{Traffic, told_ttl};
use crate::net::Net;
use crate::net::watch::Move;
use crate::rack::Family;
use crate::sim::Sent;
use route::{Admin, ChangeKind, Health, Prefix};
use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv6Packet};
use stack::control::ControlEvent;
use stack::fate::MoveReason;
use stack::ports::{Layer, Port};
use std::net::IpAddr;

/// No flow's entry expires in so little time, ms: the shortest timeout is 10 s (a reset connection).
const SILENT_MS: u64 = 8000;

/// For whom there is a reason to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Concerns {
    /// Flows to this prefix.
    Route(Prefix),
    /// Those of them that this host has.
    Member(Prefix, usize),
    /// Flows of a family that this host has.
    Host(usize, Family),
    /// All.
    All,
}

/// The judge's memory.
pub(super) struct Judge {
    ports: Vec<Port>,
    servers: Vec<Server>,
    dirty: bool,
    tight: bool,
    reasons: Vec<(u64, Concerns)>,
    /// Flows asked back or moved with a template, by the gateway's count.
    asked: u64,
    moves: u64,
    digest: u64,
}

impl Judge {
    pub(super) fn new(place: &Place) -> Self {
        Self {
            ports: place.ports.clone(),
            servers: place.servers.clone(),
            dirty: place.dirty,
            tight: place.tight,
            reasons: Vec::new(),
            asked: 0,
            moves: 0,
            digest: 0xcbf2_9ce4_8422_2325,
        }
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    pub(super) fn moves(&self) -> u64 {
        self.moves
    }

    /// A route came, went or has other members.
    pub(super) fn route(&mut self, now: u64, prefix: Prefix) {
        self.reasons.push((now, Concerns::Route(prefix)));
    }

    /// A member leaves a route.
    pub(super) fn member(&mut self, now: u64, prefix: Prefix, node: usize) {
        self.reasons.push((now, Concerns::Member(prefix, node)));
    }

    /// Everything may move.
    pub(super) fn all(&mut self, now: u64) {
        self.reasons.push((now, Concerns::All));
    }

    /// What the gateway says of itself: deaths, and drains at their deadlines.
    pub(super) fn told(&mut self, now: u64, event: &ControlEvent) {
        match event {
            ControlEvent::Health(h) if h.health == Health::Dead || h.admin == Admin::Drained => {
                let found = h.key.gateway.and_then(|addr| self.host_of(addr));
                self.reasons
                    .extend(found.map(|(n, f)| (now, Concerns::Host(n, f))));
            }
            ControlEvent::Route(change) if change.kind == ChangeKind::Deleted => {
                for path in &change.paths {
                    let gateway = path.key.gateway.and_then(|addr| self.host_of(addr));
                    let concerns = gateway.map_or(Concerns::Route(change.prefix), |(node, _)| {
                        Concerns::Member(change.prefix, node)
                    });
                    self.reasons.push((now, concerns));
                }
            }
            _ => {}
        }
    }

    fn host_of(&self, addr: IpAddr) -> Option<(usize, Family)> {
        let of = super::event::family(addr);
        let server = self.servers.iter().find(|s| s.addr(of) == addr)?;
        Some((server.node, of))
    }

    /// A frame left.
    pub(super) fn left(&mut self, now: u64, sent: &Sent) {
        let stamp = now.to_le_bytes().into_iter().chain([sent.port as u8]);
        for byte in stamp.chain(sent.bytes.iter().copied()) {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        let packet = match self.ports[sent.port].layer {
            Layer::L3 => &sent.bytes[..],
            Layer::L2(_) if arp::is_neighbour_frame(&sent.bytes).is_some() => return,
            Layer::L2(_) => &sent.bytes[14..],
        };
        if let Err(fault) = self.ttl(packet) {
            panic!("at {now} ms a packet left with {fault}: {sent:02x?}");
        }
    }

    /// Says what is wrong with a packet's TTL.
    fn ttl(&self, packet: &[u8]) -> Result<(), String> {
        let seen = Seen::of(packet).ok_or("a header that cannot be read")?;
        let ours = self.ports.iter().any(|port| port.has(&seen.src));
        let expected: &[u8] = match told_ttl(seen.payload) {
            Some(told) if !seen.echoes => &[told.wrapping_sub(1)],
            _ if ours => &[64, 255],
            // Everybody else begins with 64, if nobody's bytes were changed.
            _ if !self.dirty => &[63],
            _ => return Ok(()),
        };
        if expected.contains(&seen.ttl) {
            return Ok(());
        }
        Err(format!("TTL {}, not {expected:?}", seen.ttl))
    }

    /// Judges flows that were seen to move.
    pub(super) fn moved(&mut self, net: &mut Net) {
        let totals = net.totals();
        let asked = totals.moved_for(MoveReason::Failback) + totals.moved_for(MoveReason::Template);
        if asked != self.asked {
            self.asked = asked;
            self.all(net.now());
        }
        for moved in std::mem::take(&mut net.watch.moves) {
            let judged = Traffic::is_steady(&moved.flow) && moved.at - moved.since < SILENT_MS;
            // Without room there are no pins, and the memory of buckets has its bounds.
            if judged && !self.tight {
                self.moves += 1;
                assert!(self.has_reason(&moved), "collateral: {moved:?}, {totals:?}");
            }
        }
        let all: u64 = totals.moved.iter().sum();
        assert!(
            self.moves <= all,
            "{} flows moved, {all} for a reason",
            self.moves
        );
    }

    fn has_reason(&self, moved: &Move) -> bool {
        let dst = moved.flow.dst.ip();
        let of = super::event::family(dst);
        let covers = |p: &Prefix| p.contains(dst);
        let since = self
            .reasons
            .iter()
            .filter(|(at, _)| (moved.since..=moved.at).contains(at));
        since
            .map(|(_, concerns)| concerns)
            .any(|concerns| match concerns {
                Concerns::Route(prefix) => covers(prefix),
                Concerns::Member(prefix, node) => covers(prefix) && *node == moved.from,
                Concerns::Host(node, family) => *node == moved.from && *family == of,
                Concerns::All => true,
            })
    }

    /// Forgets what is too old to matter.
    pub(super) fn forget(&mut self, now: u64) {
        self.reasons.retain(|(at, _)| now - at <= 2 * SILENT_MS);
    }
}

/// What is looked at in a packet.
struct Seen<'a> {
    ttl: u8,
    src: IpAddr,
    /// What follows a UDP header or that of an echo, or the data of a piece.
    payload: &'a [u8],
    /// Whether its payload is somebody else's: an answer's.
    echoes: bool,
}

impl<'a> Seen<'a> {
    fn of(packet: &'a [u8]) -> Option<Self> {
        let (ttl, src, proto, at, data): (_, IpAddr, _, _, _) = match packet.first()? >> 4 {
            4 => {
                let ip = Ipv4Packet::new_checked(packet).ok()?;
                let at = usize::from(ip.header_len());
                let place = usize::from(ip.frag_offset());
                (
                    ip.hop_limit(),
                    ip.src_addr().into(),
                    ip.next_header(),
                    place,
                    at,
                )
            }
            _ => {
                let ip = Ipv6Packet::new_checked(packet).ok()?;
                let piece = ip.next_header() == IpProtocol::Ipv6Frag && packet.len() >= 48;
                let (proto, place, at) = if piece {
                    let word = u16::from_be_bytes([packet[42], packet[43]]);
                    (packet[40].into(), usize::from(word & !7), 48)
                } else {
                    (ip.next_header(), 0, 40)
                };
                (ip.hop_limit(), ip.src_addr().into(), proto, place, at)
            }
        };
        let data = packet.get(data..)?;
        let kind = data.first().copied();
        let header = match proto {
            _ if at > 0 => 0,
            IpProtocol::Udp | IpProtocol::Icmp | IpProtocol::Icmpv6 => 8,
            _ => 0,
        };
        let echo = matches!(
            (proto, kind),
            (IpProtocol::Icmp, Some(8)) | (IpProtocol::Icmpv6, Some(128))
        );
        let icmp = matches!(proto, IpProtocol::Icmp | IpProtocol::Icmpv6);
        Some(Self {
            ttl,
            src,
            payload: data.get(header..).unwrap_or_default(),
            echoes: icmp && !echo,
        })
    }
}
