//! `flowgate`: the very code that the gateway runs, not a copy of it.
//!
//! [`stack::path::Path::ready`] looks the flows of a burst up side by side, and
//! [`stack::path::Path::resolve_ready`] finds the flow in the thread's own slots, follows its TCP state, and checks
//! its pin by generation, state and stamp; [`stack::link::arpresolve`] reads the neighbour's word and makes
//! the link header. That is what `ip_forward` and `ip_output` of a worker do to know where a packet goes,
//! with what a worker does once a burst (its quiescent point, its view of the ports) included. One routing
//! view, one neighbour view and one flow table serve all threads; each thread writes only the slots that are
//! its own, and gets the flows that they own ([`crate::traffic`]).

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
            metas: Vec::with_capacity(BURST_MAX),
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
    /// The burst: each packet's slot and what was read of it, and its lookup.
    metas: Vec<(SlotNo, IpMeta)>,
    ready: Vec<Ready>,
}

impl Worker for Forwarder {
    fn burst(&mut self, packets: &mut [Packet], now: Tick) {
        self.qsbr.quiescent();
        let ports: &Ports = self.ports.load();
        let now = Now(u64::from(now) * 100);
        let Self {
            path,
            metas,
            ready,
            counters,
            neigh,
            ..
        } = self;
        metas.clear();
        metas.extend(packets.iter().map(|packet| {
            let meta = meta(packet);
            (path.slot(&meta.tuple), meta)
        }));
        path.ready(
            metas.iter().map(|(slot, meta)| Some((*slot, meta))),
            now,
            ready,
        );
        for ((packet, (_, meta)), ready) in packets.iter_mut().zip(&*metas).zip(ready.drain(..)) {
            let seen = Seen {
                l4: meta.l4,
                bytes: u32::from(meta.len),
                in_port: PORT.0 as u8,
            };
            let outcome = path.resolve_ready(ready, meta.role, &seen, now, counters);
            let Some(Outcome::Via(hop)) = outcome else {
                continue;
            };
            let link = arpresolve(ports, neigh, &hop.attrs, &meta.addrs.dst());
            let Link::Header(_, header) = link else {
                continue;
            };
            packet.nhop = hop.pin.idx().0;
            packet.link = header;
        }
    }
}

/// What `ip_input` would have read of the packet.
#[inline]
fn meta(packet: &Packet) -> IpMeta {
    let tuple = packet.tuple;
    let addrs = Addrs::V4 {
        src: tuple.src,
        dst: tuple.dst,
    };
    IpMeta {
        addrs,
        tuple: Tuple {
            addrs,
            sport: tuple.sport,
            dport: tuple.dport,
            proto: tuple.proto,
        },
        proto: tuple.proto,
        ttl: 64,
        l4_off: 20,
        len: LENGTH,
        l4: SEGMENT,
        ..IpMeta::default()
    }
}
