//! What the host sends: packets of its own sockets, through the flow cache and `arpresolve` like any other, and the
//! frames of the neighbour table.

use super::Host;
use super::pieces;
use crate::link::{Link, arpresolve};
use crate::parse::{self, IpMeta};
use crate::path::Outcome;
use crate::pkt::Pkt;
use arp::NeighIdx;
use flowtable::Seen;
use route::PortId;
use std::sync::Arc;

impl Host {
    /// A packet of our own that may be larger than its way takes. One with options or extension headers is left out.
    pub(super) fn send_in_pieces(&mut self, packet: &[u8], meta: &IpMeta, port: PortId) {
        let plain = if meta.addrs.is_v6() { 40 } else { 20 };
        let mtu = self.ports.load().get(port).map(|port| port.mtu as usize);
        let Some(mtu) = mtu.filter(|_| meta.l4_off == plain) else {
            return;
        };
        self.ident = self.ident.wrapping_add(1);
        for piece in pieces::cut(packet, mtu, self.ident) {
            let Some(mut pkt) = self.pool.take() else {
                return;
            };
            if pkt.copy_from(&piece) {
                self.ip_output(pkt);
            } else {
                self.pool.put(pkt);
            }
        }
    }

    /// A packet of our own sockets: the same flow cache and `arpresolve` as a forwarded one.
    pub(super) fn ip_output(&mut self, mut pkt: Pkt) {
        pkt.origin = true;
        let Ok(meta) = parse::read(pkt.bytes()) else {
            return self.lost(pkt);
        };
        pkt.meta = meta;
        pkt.meta.fib = self.ports.load().fib_from(&meta.addrs.src());
        let meta = pkt.meta;
        let seen = Seen {
            l4: meta.l4,
            bytes: u32::from(meta.len),
            in_port: 0,
        };
        let slot = self.path.slot(&meta.tuple);
        match self
            .path
            .resolve(slot, &meta, &seen, self.now, &self.counters)
        {
            Outcome::Via(hop) => {
                let ports = Arc::clone(self.ports.load());
                match arpresolve(&ports, &self.neigh, &hop.attrs, &meta.addrs.dst()) {
                    Link::Header(idx, _) if !self.hold.is_empty() && self.hold.waits_for(idx) => {
                        self.hold_own(idx, pkt);
                    }
                    Link::Header(_, header) => {
                        let fits = pkt.push(&header);
                        self.finish(pkt, hop.attrs.port, fits);
                    }
                    Link::Bare => {
                        self.finish(pkt, hop.attrs.port, true);
                    }
                    Link::Wait(idx) => self.hold_own(idx, pkt),
                    Link::Unknown => self.ask_own(pkt, hop.attrs.port),
                    Link::Failed | Link::Down | Link::All(_) => self.lost(pkt),
                }
            }
            Outcome::Local | Outcome::Unroutable(_) => self.lost(pkt),
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
        let Outcome::Via(hop) = self
            .path
            .route_only(pkt.meta.fib, &pkt.meta.tuple, self.now)
        else {
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
