//! The short way of plain packets (see `crate::plain`) at their owner, from the flow to the frame.
//!
//! It only leaves out what cannot be: whatever is unusual about the flow, the next hop or the port, and every packet while
//! all are recorded, goes the long way through `forward` and `output`.

use super::Worker;
use crate::checksum::ip_ttl_dec;
use crate::ingress::ETHER_HDR;
use crate::link::NO_NEIGH;
use crate::path::{Ready, Told};
use crate::pkt::Pkt;
use crate::ports::Layer;
use arp::NeighIdx;
use route::NhopAttrs;

impl Worker {
    /// A plain packet: if it is in the middle of its connection and its pin holds, that is where it goes.
    #[inline(always)]
    pub(super) fn forward_plain(&mut self, pkt: Pkt, ready: Ready) {
        let seen = pkt.seen();
        let (path, now, counters) = (&mut self.path, self.now, &self.counters);
        match path.settled(ready, (&seen, self.tick), now, counters) {
            Some(told) => self.output_plain(pkt, told),
            None => self.forward_unsettled(pkt, ready),
        }
    }

    #[inline(never)]
    fn forward_unsettled(&mut self, pkt: Pkt, ready: Ready) {
        let (seen, role) = (pkt.seen(), pkt.meta.role);
        let (path, now, counters) = (&mut self.path, self.now, &self.counters);
        let outcome = match path.unsettled(ready, role, &seen, now, counters) {
            Some(told) => told.outcome(),
            None => path.resolve(pkt.slot, &pkt.meta, &seen, now, counters),
        };
        self.act(pkt, outcome);
    }

    #[inline(always)]
    fn output_plain(&mut self, mut pkt: Pkt, told: Told) {
        let to = told.gateway().filter(|to| self.link_plain(&mut pkt, to));
        match to {
            Some(to) => self.txq.push((to.port, pkt)),
            None => self.act(pkt, told.outcome()),
        }
    }

    /// Makes a packet ready for its device, if there is nothing to it but its TTL and a link header. `false`: there is more,
    /// and nothing was done.
    #[inline(always)]
    fn link_plain(&self, pkt: &mut Pkt, to: &NhopAttrs) -> bool {
        let Some(port) = self.burst_ports.get(to.port) else {
            return false;
        };
        let more = to.port == pkt.in_port || pkt.offload.gso.is_some() || self.recorder.is_on();
        if more || !port.up || u32::from(pkt.meta.len) > to.mtu {
            return false;
        }
        let v6 = pkt.meta.addrs.is_v6();
        let link = match port.layer {
            Layer::L3 => None,
            Layer::L2(src) => match self.neighbour_plain(to.neigh) {
                Some(dst) if pkt.headroom() >= ETHER_HDR => Some((dst, src)),
                _ => return false,
            },
        };
        ip_ttl_dec(pkt.bytes_mut(), v6);
        if let Some((dst, src)) = link {
            let ethertype = if v6 { 0x86dd } else { 0x0800 };
            let _there_is_room = pkt.push_ether(dst, src.to_bits(), ethertype);
        }
        for forwarded in self.counters.forwarded_in(v6) {
            forwarded.bump();
        }
        true
    }

    /// The link address of a gateway that may be sent to, and for which nobody waits.
    #[inline(always)]
    fn neighbour_plain(&self, neigh: u32) -> Option<u64> {
        let idx = NeighIdx(neigh);
        let word = self.neigh.word(idx);
        if neigh == NO_NEIGH || !word.usable() || self.waiting.waits_for(idx) {
            return None;
        }
        self.used.mark(idx, self.secs);
        Some(word.mac_bits())
    }
}
