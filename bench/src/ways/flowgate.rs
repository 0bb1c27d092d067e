//! `flowgate`: the very code that the gateway runs, not a copy of it.
//!
//! [`stack::path::Path::ready`] looks the flows of a burst up side by side, and [`Adjacencies::resolve`] takes a worker's
//! short way: it finds the flow in the thread's own slots, follows its TCP state, checks its pin by generation, state and
//! stamp, and has the link header that was made ready for the burst from the neighbour's word. A packet that is not in
//! the middle of its connection goes the long way, by [`stack::path::Path::resolve_ready`] and
//! [`stack::link::arpresolve`], as a worker's does. What a worker does once a burst (its quiescent point, its view of the
//! ports) is included. One routing view, one neighbour view and one flow table serve all threads; each thread writes only
//! the slots that are its own, and gets the flows that they own ([`crate::traffic`]).

use super::rtable::{FIRST_NHOP, PORT_MAC, mac_of_nhop};
use super::{Way, Worker};
use crate::gateway::{Gateway, PORT};
use crate::traffic::{Packet, Tick, Traffic};
use arc_swap::{ArcSwap, Cache};
use arp::Mac;
use flowtable::{L4, SLOTS, Seen, SlotNo};
use stack::Now;
use stack::counters::Counters;
use stack::link::{Link, arpresolve};
use stack::parse::{Addrs, IpMeta, Tuple};
use stack::path::{Outcome, Path, Ready};
use stack::ports::Ports;
use stack::worker::{Adjacencies, Resolved};
use std::sync::Arc;

/// The longest burst that is kept room for.
const BURST_MAX: usize = 64;
/// Ports that the counters tell apart.
const PORTS: usize = 1;
/// IPv4 flows of a gateway as it is configured out of the box; more only if the packets have more.
const CAPACITY: usize = 262_144;
/// What every packet of the benchmark is: a TCP segment in the middle of a connection.
const SEGMENT: L4 = L4::Tcp {
    flags: L4::ACK,
    seq: 1,
    ack: 1,
    window: 512,
    len: 26,
};
/// Its length as an IP packet.
const LENGTH: u16 = 66;

/// The world that all threads share.
pub(super) struct Flowgate {
    gateway: Gateway,
    threads: usize,
}

impl Flowgate {
    /// A gateway with one default route through `nhops` neighbours, for the threads of `traffic`.
    pub(super) fn new(traffic: &Traffic, nhops: usize) -> Self {
        let capacity = CAPACITY.max(2 * traffic.all_flows().count());
        let threads = traffic.threads();
        let nhops = FIRST_NHOP..FIRST_NHOP + nhops as u32;
        let macs: Vec<Mac> = nhops.map(|nhop| Mac(mac_of_nhop(nhop))).collect();
        Self {
            gateway: Gateway::new(threads, capacity, Mac(PORT_MAC), &macs),
            threads,
        }
    }
}

impl Way for Flowgate {
    fn worker(&self, thread: usize) -> Box<dyn Worker + '_> {
        let own = (0..SLOTS).filter(|slot| slot % self.threads == thread);
        let slots: Vec<SlotNo> = own.map(|slot| SlotNo(slot as u16)).collect();
        Box::new(Forwarder {
            path: self.gateway.path(&slots).with_bursts(BURST_MAX),
            ports: Cache::new(Arc::clone(&self.gateway.ports)),
            neigh: Arc::clone(&self.gateway.neigh),
            qsbr: self.gateway.view.qsbr().reader(thread),
            counters: Arc::new(Counters::new(PORTS)),
            adjacencies: Adjacencies::default(),
            metas: vec![(SlotNo(0), blank()); BURST_MAX],
            ready: Vec::with_capacity(BURST_MAX),
        })
    }

    fn change(&self, number: u64) -> Result<(), String> {
        self.gateway.change(number)
    }
}

/// One worker thread, as far as it resolves output.
struct Forwarder {
    path: Path,
    ports: Cache<Arc<ArcSwap<Ports>>, Arc<Ports>>,
    neigh: Arc<arp::View>,
    qsbr: route::Reader,
    counters: Arc<Counters>,
    adjacencies: Adjacencies,
    /// The burst: each packet's slot and what was read of it, and its lookup.
    metas: Vec<(SlotNo, IpMeta)>,
    ready: Vec<Ready>,
}

impl Worker for Forwarder {
    fn burst(&mut self, packets: &mut [Packet], now: Tick) {
        let now = Now(u64::from(now) * 100);
        for burst in packets.chunks_mut(BURST_MAX) {
            self.qsbr.quiescent();
            self.begin(burst, now);
            self.resolve(burst, now);
        }
    }
}

impl Forwarder {
    /// Names the flows of a burst and starts their lookups.
    fn begin(&mut self, packets: &[Packet], now: Now) {
        for ((slot, meta), packet) in self.metas.iter_mut().zip(packets) {
            read(packet, meta);
            *slot = self.path.slot(&meta.tuple);
        }
        let flows = self.metas.iter().map(|(slot, meta)| Some((*slot, meta)));
        self.path
            .ready(flows.take(packets.len()), now, &mut self.ready);
    }

    /// The next hop and the link header of each.
    fn resolve(&mut self, packets: &mut [Packet], now: Now) {
        let Self {
            path,
            ports,
            neigh,
            counters,
            adjacencies,
            metas,
            ready,
            ..
        } = self;
        let (ports, tick): (&Ports, _) = (ports.load(), now.tick());
        adjacencies.forget();
        for ((packet, (_, meta)), ready) in packets.iter_mut().zip(&*metas).zip(ready.drain(..)) {
            let seen = seen(meta);
            let short =
                adjacencies.resolve(path, (ready, &seen), (now, tick), counters, (ports, neigh));
            let outcome = match short {
                Some(Resolved::Link(pin, Some(header))) => {
                    (packet.nhop, packet.link) = (pin.idx().0, header);
                    continue;
                }
                Some(Resolved::Link(..)) => continue,
                Some(Resolved::Odd(outcome)) => Some(outcome),
                None => path.resolve_ready(ready, meta.role, &seen, now, counters),
            };
            link(packet, meta, outcome, (ports, neigh));
        }
    }
}

/// The long way's end: a next hop's link header.
#[inline(never)]
fn link(
    packet: &mut Packet,
    meta: &IpMeta,
    outcome: Option<Outcome>,
    (ports, neigh): (&Ports, &arp::View),
) {
    if let Some(Outcome::Via(hop)) = outcome
        && let Link::Header(_, header) = arpresolve(ports, neigh, &hop.attrs, &meta.addrs.dst())
    {
        (packet.nhop, packet.link) = (hop.pin.idx().0, header);
    }
}

/// What a packet tells its flow.
#[inline]
fn seen(meta: &IpMeta) -> Seen {
    Seen {
        l4: meta.l4,
        bytes: u32::from(meta.len),
        in_port: PORT.0 as u8,
    }
}

/// What `ip_input` reads of every packet of the benchmark alike.
fn blank() -> IpMeta {
    IpMeta {
        ttl: 64,
        l4_off: 20,
        len: LENGTH,
        l4: SEGMENT,
        plain: true,
        ..IpMeta::default()
    }
}

/// The rest of what `ip_input` would have read.
#[inline]
fn read(packet: &Packet, meta: &mut IpMeta) {
    let tuple = packet.tuple;
    meta.proto = tuple.proto;
    meta.addrs = Addrs::V4 {
        src: tuple.src,
        dst: tuple.dst,
    };
    meta.tuple = Tuple {
        addrs: meta.addrs,
        sport: tuple.sport,
        dport: tuple.dport,
        proto: tuple.proto,
    };
}
