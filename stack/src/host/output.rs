//! What the host sends: packets of its own sockets, through the flow cache and `arpresolve` like any other, and the
//! frames of the neighbour table.

use super::Host;
use super::pieces;
use crate::link::{Link, arpresolve};
use crate::parse::{self, IpMeta, Role, Tuple};
use crate::path::{Hop, Outcome};
use crate::pkt::Pkt;
use crate::ports::is_link_local;
use arp::NeighIdx;
use route::PortId;
use std::sync::Arc;

impl Host {
    /// A packet of our own, perhaps longer than its way takes or than any packet is; it answers what came by `by`. One with
    /// options or extension headers is left out.
    pub(super) fn send_whole(&mut self, packet: &[u8], by: PortId) {
        let plain = |meta: &IpMeta| meta.l4_off == if meta.addrs.is_v6() { 40 } else { 20 };
        let Some(meta) = pieces::read(packet).filter(plain) else {
            return self.counters.origin_lost.bump();
        };
        let meta = self.of_ours(meta, Some(by));
        match self.way_alone(&meta, Some(by)) {
            Outcome::Via(hop) => self.send_pieces(packet, hop, Some(by)),
            _ => self.counters.origin_lost.bump(),
        }
    }

    /// A packet in pieces that its way takes, all by that way; one that fits is its only piece.
    fn send_pieces(&mut self, packet: &[u8], hop: Hop, by: Option<PortId>) {
        self.ident = self.ident.wrapping_add(1);
        let mtu = self.takes(&hop);
        for piece in pieces::cut(packet, mtu, self.ident) {
            let Some(mut pkt) = self.pool.take() else {
                return self.counters.origin_lost.bump();
            };
            let read = parse::read(&piece).ok().filter(|_| pkt.copy_from(&piece));
            let Some(meta) = read else {
                self.lost(pkt);
                continue;
            };
            (pkt.origin, pkt.asked) = (true, by);
            pkt.meta = self.of_ours(meta, by);
            self.ether_output(pkt, hop);
        }
    }

    /// The largest packet that its way takes, bytes.
    fn takes(&mut self, hop: &Hop) -> usize {
        let ports = self.ports.load();
        ports.takes_by(hop.attrs.port, hop.attrs.mtu) as usize
    }

    /// A packet of our own sockets: the same flow cache and `arpresolve` as a forwarded one.
    pub(super) fn ip_output(&mut self, mut pkt: Pkt) {
        pkt.origin = true;
        let Ok(meta) = parse::read(pkt.bytes()) else {
            return self.lost(pkt);
        };
        pkt.meta = self.of_ours(meta, pkt.asked);
        let Outcome::Via(hop) = self.way_of(&pkt) else {
            return self.lost(pkt);
        };
        // Who sets DF asks whether it fits (RFC 1191 §3); a piece was cut for the way that it had.
        let whole = meta.fragment.is_none() && (meta.addrs.is_v6() || !meta.dont_fragment);
        if pkt.len() <= self.takes(&hop) {
            self.ether_output(pkt, hop);
        } else if whole {
            let packet = pkt.bytes().to_vec();
            self.send_pieces(&packet, hop, pkt.asked);
            self.pool.put(pkt);
        } else {
            self.lost(pkt);
        }
    }

    /// What was read of a packet of ours, in the FIB of the port that what it answers came by, else in that of its source.
    fn of_ours(&mut self, meta: IpMeta, by: Option<PortId>) -> IpMeta {
        let ports = self.ports.load();
        let fib = match by {
            Some(port) => ports.fib_of(port),
            None => ports.fib_from(&meta.addrs.src()),
        };
        IpMeta { fib, ..meta }
    }

    /// The way of a packet of ours, by its flow if it has one.
    fn way_of(&mut self, pkt: &Pkt) -> Outcome {
        let meta = &pkt.meta;
        if meta.role == Role::Quoting || is_link_local(&meta.addrs.dst()) {
            return self.way_alone(meta, pkt.asked);
        }
        let (slot, seen) = (self.path.slot(&meta.tuple), pkt.seen());
        self.path
            .resolve(slot, meta, &seen, self.now, &self.counters)
    }

    /// The way to a packet's destination, without a flow: to an address of one link by the port that what it answers came by
    /// (RFC 4007 §6).
    fn way_alone(&mut self, meta: &IpMeta, by: Option<PortId>) -> Outcome {
        let one_link = is_link_local(&meta.addrs.dst());
        let port = by.filter(|_| one_link);
        if let Some(port) = port.and_then(|port| self.ports.load().get(port)) {
            return Outcome::Via(Hop::on_link(port));
        }
        let tuple = match meta.role {
            // That of its own addresses, whatever it quotes.
            Role::Quoting => Tuple {
                addrs: meta.addrs,
                sport: 0,
                dport: 0,
                proto: meta.proto,
            },
            _ => meta.tuple,
        };
        self.path.route_only(meta.fib, &tuple, self.now)
    }

    fn ether_output(&mut self, mut pkt: Pkt, hop: Hop) {
        let ports = Arc::clone(self.ports.load());
        let port = hop.attrs.port;
        match arpresolve(&ports, &self.neigh, &hop.attrs, &pkt.meta.addrs.dst()) {
            Link::Header(idx, _) if !self.hold.is_empty() && self.hold.waits_for(idx) => {
                self.hold_own(idx, pkt);
            }
            Link::Header(_, header) => {
                let fits = pkt.push(&header);
                self.finish(pkt, port, fits);
            }
            Link::Bare => {
                self.finish(pkt, port, true);
            }
            Link::Wait(idx) => self.hold_own(idx, pkt),
            Link::Unknown => self.ask_own(pkt, port),
            Link::Failed | Link::Down | Link::All(_) => self.lost(pkt),
        }
    }

    fn hold_own(&mut self, idx: NeighIdx, pkt: Pkt) {
        if let Some(older) = self.hold.push(idx, pkt) {
            self.lost(older);
        }
    }

    fn ask_own(&mut self, pkt: Pkt, port: PortId) {
        match self
            .table
            .ask(arp::PortId(port.0), pkt.meta.addrs.dst(), self.now.0)
        {
            Ok(idx) => self.hold_own(idx, pkt),
            Err(_) => self.lost(pkt),
        }
    }

    fn lost(&mut self, pkt: Pkt) {
        self.counters.origin_lost.bump();
        self.pool.put(pkt);
    }

    /// A finished frame goes to worker 0: a device queue has one writer. `false` if there was no room.
    fn finish(&mut self, mut pkt: Pkt, port: PortId, fits: bool) -> bool {
        pkt.in_port = port;
        let sent = match self.links.first_mut() {
            Some(link) if fits => link.host_tx.send(pkt),
            _ => Err(pkt),
        };
        match sent {
            Ok(()) => {
                self.wakers[0].wake();
                true
            }
            Err(pkt) => {
                self.lost(pkt);
                false
            }
        }
    }

    pub(super) fn release_held(&mut self) -> usize {
        if self.hold.is_empty() {
            return 0;
        }
        let mut released = std::mem::take(&mut self.released);
        self.hold.ready(&self.neigh, &mut released);
        let n = released.len();
        for pkt in released.drain(..) {
            let failed = self.neigh_failed(&pkt);
            if failed {
                self.lost(pkt)
            } else {
                self.ip_output(pkt)
            }
        }
        self.released = released;
        n
    }

    /// Own packets to a neighbour that failed are lost; the socket sends again.
    fn neigh_failed(&mut self, pkt: &Pkt) -> bool {
        let Outcome::Via(hop) = self.way_alone(&pkt.meta, pkt.asked) else {
            return true;
        };
        let ports = Arc::clone(self.ports.load());
        !matches!(
            arpresolve(&ports, &self.neigh, &hop.attrs, &pkt.meta.addrs.dst()),
            Link::Header(..) | Link::Bare
        )
    }

    /// ARP and ND frames that the table wants sent.
    pub(super) fn send_frames(&mut self) -> usize {
        let mut frames = std::mem::take(&mut self.frames);
        let n = frames.len();
        for frame in frames.drain(..) {
            if !self.send_frame(&frame) {
                // A question that never left must not count as unanswered.
                self.table.unsent(&frame);
            }
        }
        self.frames = frames;
        n
    }

    fn send_frame(&mut self, frame: &arp::Frame) -> bool {
        let Some(mut pkt) = self.pool.take() else {
            return false;
        };
        let fits = pkt.copy_from(&frame.bytes);
        self.finish(pkt, PortId(frame.port.0), fits)
    }
}
