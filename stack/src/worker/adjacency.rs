//! Where packets go by a pin, made ready once a burst: the next hop as it was judged, its port, and the link header.
//!
//! The packets of a burst have few next hops. What a pin led to holds for the rest of the burst: between two quiescent states
//! no slot of a next hop gets another owner, and who leaves by a next hop that died since does so as if it had come some
//! packets earlier. Stamps are still read for each packet. Nobody waits for the neighbour of one that is noted here, so who
//! begins to wait has all forgotten ([`forget`](Adjacencies::forget)): nobody overtakes.

use crate::counters::Counters;
use crate::ingress::ETHER_HDR;
use crate::link::NO_NEIGH;
use crate::path::{Outcome, Path, Ready, Settled, Told};
use crate::pkt::{Pkt, PktBuf};
use crate::ports::{Layer, Port, Ports};
use crate::time::Now;
use crate::worker::Worker;
use arp::{Mac, NeighIdx};
use flowtable::{Seen, Tick};
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
pub struct Adjacencies([Adjacency; PLACES]);

/// What a packet of a known flow is to be done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// It goes to this next hop, in a frame with this header in front of IPv4, if its port has such.
    Link(Pin, Option<[u8; ETHER_HDR]>),
    /// That has to be asked for: it is no plain case.
    Odd(Outcome),
}

impl Default for Adjacencies {
    /// Those of a burst that has not begun: none.
    fn default() -> Self {
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
}

impl Adjacencies {
    /// What a worker's short way finds of a plain packet whose lookup has begun with its burst's ([`Path::ready`]), for who
    /// measures that alone. `None`: it is not in the middle of its connection, and nothing was done.
    #[inline(always)]
    pub fn resolve(
        &mut self,
        path: &mut Path,
        (ready, seen): (Ready, &Seen),
        (now, tick): (Now, Tick),
        counters: &Counters,
        (ports, neigh): (&Ports, &arp::View),
    ) -> Option<Resolved> {
        let known = |pin| self.find(pin);
        let by = match path.settled(ready, (seen, tick), (now, counters), known)? {
            Settled::Known(by) => by,
            Settled::Told(told) => match self.first(told, ports, neigh) {
                Some(by) => by,
                None => return Some(Resolved::Odd(told.outcome())),
            },
        };
        let place = self.get(by);
        Some(Resolved::Link(Pin::from_raw(place.pin), place.header))
    }

    /// As [`Worker::note`].
    #[inline(never)]
    fn first(&mut self, told: Told, ports: &Ports, neigh: &arp::View) -> Option<By> {
        let to = told.gateway()?;
        let port = ports.get(to.port)?;
        let header = header_to(port, || usable(neigh, to.neigh))?;
        Some(self.put(told, (&to, port), header))
    }

    /// Notes where a pin's packets go.
    fn put(
        &mut self,
        told: Told,
        (to, port): (&NhopAttrs, &Port),
        header: Option<[u8; ETHER_HDR]>,
    ) -> By {
        let pin = told.pin();
        let by = By(pin.raw() as usize % PLACES);
        self.0[by.0] = Adjacency {
            pin: pin.raw(),
            told,
            port: to.port,
            mtu: port.takes().min(to.mtu),
            header,
        };
        by
    }

    /// What was noted of a pin that was found live in this burst.
    #[inline(always)]
    pub(super) fn find(&self, pin: Pin) -> Option<By> {
        let at = pin.raw() as usize % PLACES;
        (self.0[at].pin == pin.raw()).then_some(By(at))
    }

    /// Forgets all, as at the start of each burst.
    #[inline]
    pub fn forget(&mut self) {
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
        if self.recorder.is_on() {
            return None;
        }
        let port = self.burst_ports.get(to.port)?;
        let header = header_to(port, || self.neighbour_plain(to.neigh))?;
        Some(self.adjacencies.put(told, (to, port), header))
    }

    /// The link address of a gateway that may be sent to, and for which nobody waits.
    fn neighbour_plain(&self, neigh: u32) -> Option<Mac> {
        let mac = usable(&self.neigh, neigh)?;
        let idx = NeighIdx(neigh);
        if self.waiting.waits_for(idx) {
            return None;
        }
        self.used.mark(idx, self.secs);
        Some(mac)
    }
}

/// The link address of a neighbour that may be sent to.
fn usable(neigh: &arp::View, place: u32) -> Option<Mac> {
    let word = neigh.word(NeighIdx(place));
    (place != NO_NEIGH && word.usable()).then(|| word.mac())
}

/// What stands in front of an IPv4 packet that leaves by a port, if anything does there; `None` if none may leave so.
fn header_to(
    port: &Port,
    neighbour: impl FnOnce() -> Option<Mac>,
) -> Option<Option<[u8; ETHER_HDR]>> {
    match port.layer {
        _ if !port.up => None,
        Layer::L3 => Some(None),
        Layer::L2(src) => Some(Some(ether(neighbour()?, src))),
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
