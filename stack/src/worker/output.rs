//! `ip_output` and `ether_output`: TTL, size, link header, device.

use super::Worker;
use crate::capture::Fate;
use crate::checksum::{fill_header, ip_ttl_dec};
use crate::fate::DropReason;
use crate::frag;
use crate::icmp::Error;
use crate::link::{Link, arpresolve};
use crate::options;
use crate::path::Hop;
use crate::pkt::Pkt;
use crate::rules::OptionRule;
use arp::Mac;
use route::{NhopKind, PortId};
use std::net::IpAddr;

impl Worker {
    /// Sends a packet on to its next hop: everything that can refuse it is asked before it is changed.
    pub(super) fn ip_output(&mut self, mut pkt: Pkt, hop: Hop) {
        let broadcast =
            hop.attrs.kind == NhopKind::Iface && self.is_net_broadcast(&pkt, hop.attrs.port);
        if broadcast && !self.may_broadcast(&pkt, hop.attrs.port) {
            return self.drop_pkt(pkt, DropReason::IpMulticast);
        }
        let mtu = self.burst_ports.takes_by(hop.attrs.port, hop.attrs.mtu);
        let too_big = on_wire(&pkt) > mtu;
        if too_big && pkt.origin {
            self.ident = self.ident.wrapping_add(1);
            frag::let_split(pkt.bytes_mut(), self.ident);
        } else if too_big && pkt.meta.dont_fragment {
            return self.drop_with(pkt, DropReason::TooBig, Error::FragNeeded { mtu });
        }
        let link = match broadcast {
            true => self.broadcast_link(hop.attrs.port),
            false => self.link(&pkt, hop),
        };
        let Some((pkt_ready, header)) = self.linked(pkt, hop, link) else {
            return;
        };
        pkt = pkt_ready;
        if hop.attrs.port == pkt.in_port && !pkt.origin {
            self.redirect(&pkt, hop);
        }
        if self.recorder.is_on() {
            self.recorder.came(&pkt, Fate::Forward);
        }
        let v6 = pkt.meta.addrs.is_v6();
        if pkt.meta.l4_off != 20 && !v6 {
            self.work_on_options(&mut pkt, hop.attrs.port);
        }
        if !pkt.origin {
            ip_ttl_dec(pkt.bytes_mut(), v6);
            for forwarded in self.counters.forwarded_in(v6) {
                forwarded.bump();
            }
        }
        if too_big {
            return self.fragment(pkt, (hop.attrs.port, mtu), header);
        }
        self.ether_output(pkt, hop.attrs.port, header);
    }

    /// RFC 2644: a broadcast to a network of ours is not sent on, unless the operator wants it.
    fn is_net_broadcast(&self, pkt: &Pkt, port: PortId) -> bool {
        let dst = pkt.meta.addrs.dst();
        self.burst_ports
            .get(port)
            .is_some_and(|p| p.is_broadcast(&dst))
    }

    /// Whether the operator wants it. A network's zero address is nobody's in any case (RFC 1122 §3.3.6).
    #[cold]
    fn may_broadcast(&self, pkt: &Pkt, port: PortId) -> bool {
        let dst = pkt.meta.addrs.dst();
        let port = self.burst_ports.get(port);
        port.is_some_and(|port| port.rules.directed_broadcast && port.is_to_all(&dst))
    }

    /// To all stations.
    #[cold]
    fn broadcast_link(&self, port: PortId) -> Link {
        match self.burst_ports.get(port).filter(|port| port.up) {
            None => Link::Down,
            Some(port) => port.mac().map_or(Link::Bare, |mac| {
                Link::All(arp::ether_header(Mac::BROADCAST, mac, 0x0800))
            }),
        }
    }

    /// Record Route and Timestamp name the address that the packet leaves by (RFC 1812 §5.3.13.5).
    #[cold]
    fn work_on_options(&self, pkt: &mut Pkt, out: PortId) {
        let ports = &self.burst_ports;
        let rule = ports.get(pkt.in_port).map(|port| port.rules.options);
        let Some(IpAddr::V4(own)) = ports.answer_from(out, &pkt.meta.addrs.src()) else {
            return;
        };
        let (fib, end, now) = (pkt.meta.fib, usize::from(pkt.meta.l4_off), self.now.0);
        if let Some(header) = pkt
            .bytes_mut()
            .get_mut(..end)
            .filter(|_| rule == Some(OptionRule::Process))
            && options::work(
                header,
                own,
                |addr| ports.is_own(fib, &IpAddr::V4(addr)),
                now,
            )
        {
            fill_header(header, end);
        }
    }

    /// Acts on what `arpresolve` said: the packet and its header, or `None` if it waits or is gone.
    fn linked(&mut self, mut pkt: Pkt, hop: Hop, link: Link) -> Option<(Pkt, Option<[u8; 14]>)> {
        match link {
            Link::Header(_, header) => return Some((pkt, Some(header))),
            Link::All(header) => return Some((pkt, Some(header))),
            Link::Bare => return Some((pkt, None)),
            Link::Wait(idx) => {
                if hop.attrs.kind == NhopKind::Iface {
                    pkt.asked = Some(hop.attrs.port);
                }
                self.hold(pkt, idx);
            }
            Link::Unknown => {
                let dst = pkt.meta.addrs.dst();
                self.hold_unknown(pkt, hop.attrs.port, dst);
            }
            Link::Failed => self.unreachable(pkt, DropReason::NeighbourFailed),
            Link::Down => self.drop_pkt(pkt, DropReason::PortDown),
        }
        None
    }

    /// The link of a packet. While others wait for its neighbour it queues behind them (design section 5).
    fn link(&self, pkt: &Pkt, hop: Hop) -> Link {
        let dst = pkt.meta.addrs.dst();
        if hop.attrs.kind == NhopKind::Iface && self.waiting.queues_for(hop.attrs.port, dst) {
            return Link::Unknown;
        }
        match arpresolve(&self.burst_ports, &self.neigh, &hop.attrs, &dst) {
            Link::Header(idx, _) if self.waiting.waits_for(idx) => Link::Wait(idx),
            Link::Header(idx, header) => {
                self.used.mark(idx, self.now.secs());
                Link::Header(idx, header)
            }
            link => link,
        }
    }

    /// RFC 791 fragmentation on the way out; each piece beyond the first has its own place in the books.
    fn fragment(&mut self, pkt: Pkt, (port, mtu): (PortId, u32), header: Option<[u8; 14]>) {
        let (origin, in_port, v6) = (pkt.origin, pkt.in_port, pkt.v6);
        let cut = pkt.offload.gso.is_some();
        let mut pieces = std::mem::take(&mut self.pieces);
        match self.fragments(pkt, mtu as usize, &mut pieces) {
            Ok(n) => {
                self.counters.fragmented.bump();
                self.counters.super_cut.add(cut.into());
                self.counters.extra_pieces.add(n.saturating_sub(1) as u64);
                for piece in pieces.drain(..) {
                    self.ether_output(piece, port, header);
                }
            }
            Err(_) if origin => self.counters.origin_lost.bump(),
            Err(reason) => self.unforwarded(in_port, v6, reason),
        }
        self.pieces = pieces;
    }

    /// The fragments of a packet, or of each segment of a super-packet; of IPv6 of one of ours alone.
    fn fragments(
        &mut self,
        mut pkt: Pkt,
        mtu: usize,
        pieces: &mut Vec<Pkt>,
    ) -> Result<usize, DropReason> {
        if pkt.offload.gso.is_some() {
            return frag::fragment_super(pkt, mtu, &mut self.pool, pieces);
        }
        self.finish(&mut pkt);
        if pkt.meta.addrs.is_v6() {
            // Another than other workers', and not to be foreseen (RFC 7739).
            let own = (self.id as u32) << 16 | u32::from(self.ident);
            let id = own ^ self.fragment_seed as u32;
            return frag::fragment6(pkt, mtu, id, &mut self.pool, pieces);
        }
        frag::fragment(pkt, mtu, &mut self.pool, pieces)
    }

    /// Finishes a packet's checksum where that is not done by the way out.
    pub(super) fn finish(&self, pkt: &mut Pkt) {
        if !pkt.offload.is_none() {
            self.counters.checksums_finished.bump();
            pkt.finish();
        }
    }

    /// Takes back a forward that came to nothing.
    fn unforwarded(&mut self, in_port: PortId, v6: bool, reason: DropReason) {
        self.recorder.dropped_unseen(in_port, reason);
        for forwarded in self.counters.forwarded_in(v6) {
            forwarded.sub(1);
        }
        self.counters.count_drop(reason, v6);
        if let Some(port) = self.counters.port(in_port) {
            port.rx_dropped.bump();
        }
    }

    fn ether_output(&mut self, mut pkt: Pkt, port: PortId, header: Option<[u8; 14]>) {
        if let Some(header) = header
            && !pkt.push(&header)
        {
            // The headroom holds any link header we know; a packet without it is one too many here.
            self.counters.refused.bump();
            self.pool.put(pkt);
            return;
        }
        self.txq.push((port, pkt));
    }

    /// Frames that the host built (ARP, ND) or routed (own sockets), complete with their link header.
    pub(super) fn send_for_host(&mut self) -> usize {
        let mut n = 0;
        while n < super::BURST * 2 {
            let Some(pkt) = self.links.host_tx.recv() else {
                break;
            };
            self.counters.originated.bump();
            self.txq.push((pkt.in_port, pkt));
            n += 1;
        }
        // They are still in `txq`.
        self.links.host_tx.repay(&mut self.pool);
        n
    }
}

/// Length of the longest packet that this one will be on the wire.
fn on_wire(pkt: &Pkt) -> u32 {
    match pkt.offload.gso {
        None => u32::from(pkt.meta.len),
        Some(_) => pkt.offload.wire_len(pkt.bytes()) as u32,
    }
}
