//! Where packets go by a pin, made ready once a burst: the next hop as it was judged, its port, and the link header.
//!
//! The packets of a burst have few next hops. What a pin led to holds for the rest of the burst: between two quiescent states
//! no slot of a next hop gets another owner, and who leaves by a next hop that died since does so as if it had come some
//! packets earlier. Stamps are still read for each packet. Nobody waits for the neighbour of one that is noted here, so who
//! begins to wait has all forgotten ([`forget`](Adjacencies::forget)): nobody overtakes.

use crate::ingress::ETHER_HDR;
use crate::link::NO_NEIGH;
use crate::path::Told;
use crate::pkt::{Pkt, PktBuf};
use crate::ports::Layer;
use crate::worker::Worker;
use arp::{Mac, NeighIdx};
use route::{NhopAttrs, Pin, PortId};

/// How many are noted: a group of eight and the way back from it, with room to spare.
const PLACES: usize = 16;

/// No pin's word, nor that of a flow without one.
const FREE: u64 = u64::MAX;
const _: () = assert!(Pin::BITS < 64);

/// Where the packets of a pin go.
#[derive(Clone, Copy)]
struct Adjacency {
    /// The pin's word; of a place that is free [`FREE`].
    pin: u64,
    told: Told,
    port: PortId,
    mtu: u32,
    /// What stands in front of an IPv4 packet, if anything does.
    header: Option<[u8; ETHER_HDR]>,
}

/// Which of them a packet goes by; good until they are forgotten.
#[derive(Clone, Copy)]
pub(super) struct By(usize);

/// Those of a burst.
pub(super) struct Adjacencies([Adjacency; PLACES]);

impl Adjacencies {
    pub(super) fn new() -> Self {
        Self(
            [Adjacency {
                pin: FREE,
                told: Told::NOBODY,
                port: PortId(0),
                mtu: 0,
                header: None,
            }; PLACES],
        )
    }

    /// What was noted of a pin that was found live in this burst.
    #[inline(always)]
    pub(super) fn find(&self, pin: Pin) -> Option<By> {
        let at = pin.raw() as usize % PLACES;
        (self.0[at].pin == pin.raw()).then_some(By(at))
    }

    /// Forgets all.
    #[inline]
    pub(super) fn forget(&mut self) {
        self.0.iter_mut().for_each(|place| place.pin = FREE);
    }

    #[inline(always)]
    fn get(&self, by: By) -> &Adjacency {
        &self.0[by.0 % PLACES]
    }
}

impl Adjacency {
    /// Makes a packet ready for its device, if there is nothing to it but its TTL and the link header. `false`: there is
    /// more, and nothing was done.
    #[inline(always)]
    fn link(&self, pkt: &mut PktBuf) -> bool {
        // A super-packet is longer than its way's MTU, or goes as what it is.
        if self.port == pkt.in_port || u32::from(pkt.meta.len) > self.mtu {
            return false;
        }
        let v6 = pkt.meta.addrs.is_v6();
        match &self.header {
            Some(header) => pkt.step_behind(header, v6),
            None => {
                pkt.step(v6);
                true
            }
        }
    }
}

impl Worker {
    /// Sends a plain packet where others of its burst went.
    #[inline(always)]
    pub(super) fn output_by(&mut self, mut pkt: Pkt, by: By) {
        let adjacency = self.adjacencies.get(by);
        if !adjacency.link(&mut pkt) {
            let told = adjacency.told;
            return self.output_odd(pkt, told);
        }
        for forwarded in self.counters.forwarded_in(pkt.meta.addrs.is_v6()) {
            forwarded.bump();
        }
        self.txq.push((adjacency.port, pkt));
    }

    /// Sends a plain packet for which the long way has found this: where others of its burst went, if any did.
    #[inline]
    pub(super) fn output_told(&mut self, pkt: Pkt, told: Told) {
        let gateway = told.gateway().is_some();
        match gateway.then(|| self.adjacencies.find(told.pin())).flatten() {
            Some(by) => self.output_by(pkt, by),
            None => self.output_first(pkt, told),
        }
    }

    /// The first plain packet of a burst by its next hop.
    #[inline(never)]
    pub(super) fn output_first(&mut self, pkt: Pkt, told: Told) {
        let known = told.gateway().and_then(|to| self.note(told, &to));
        match known {
            Some(by) => self.output_by(pkt, by),
            None => self.output_odd(pkt, told),
        }
    }

    #[inline(never)]
    fn output_odd(&mut self, pkt: Pkt, told: Told) {
        self.act(pkt, told.outcome());
    }

    /// Notes where a live next hop's packets go, unless something has to be asked of each of them.
    fn note(&mut self, told: Told, to: &NhopAttrs) -> Option<By> {
        let port = self.burst_ports.get(to.port)?;
        if !port.up || self.recorder.is_on() {
            return None;
        }
        let header = match port.layer {
            Layer::L3 => None,
            Layer::L2(src) => Some(ether(self.neighbour_plain(to.neigh)?, src)),
        };
        let pin = told.pin();
        let by = By(pin.raw() as usize % PLACES);
        self.adjacencies.0[by.0] = Adjacency {
            pin: pin.raw(),
            told,
            port: to.port,
            mtu: to.mtu,
            header,
        };
        Some(by)
    }

    /// The link address of a gateway that may be sent to, and for which nobody waits.
    fn neighbour_plain(&self, neigh: u32) -> Option<Mac> {
        let idx = NeighIdx(neigh);
        let word = self.neigh.word(idx);
        if neigh == NO_NEIGH || !word.usable() || self.waiting.waits_for(idx) {
            return None;
        }
        self.used.mark(idx, self.secs);
        Some(word.mac())
    }
}

/// The header of a frame that carries IPv4.
fn ether(dst: Mac, src: Mac) -> [u8; ETHER_HDR] {
    let mut header = [0; ETHER_HDR];
    header[..6].copy_from_slice(&dst.0);
    header[6..12].copy_from_slice(&src.0);
    header[12..].copy_from_slice(&[0x08, 0x00]);
    header
}
