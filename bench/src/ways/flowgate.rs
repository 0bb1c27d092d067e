//! `flowgate`: the very code that the gateway runs, not a copy of it.
//!
//! [`stack::path::Path::resolve`] finds the flow in the thread's own slots, follows its TCP state, and checks
//! its pin by generation, state and stamp; [`stack::link::arpresolve`] reads the neighbour's word and makes
//! the link header. That is what `ip_forward` and `ip_output` of a worker do to know where a packet goes,
//! with what a worker does once a burst (its quiescent point, its view of the ports) included. One routing
//! view, one neighbour view and one flow table serve all threads; each thread writes only the slots that are
//! its own, and gets the flows that they own ([`crate::traffic`]).

use super::rtable::{GATEWAY_MAC, PORT_MAC};
use super::{Way, Worker};
use crate::traffic::{Packet, TABLE_SECRET, Tick, Traffic};
use arc_swap::{ArcSwap, Cache};
use arp::{Mac, PortInfo};
use flowtable::{GroupSecret, L4, SLOTS, Seen, SlotNo, Table};
use route::{Health, NhopKey, NhopKind, PortId, Secs};
use stack::Now;
use stack::counters::Counters;
use stack::link::{Link, arpresolve};
use stack::marks::Marks;
use stack::parse::{Addrs, IpMeta, Tuple};
use stack::path::{FlowTables, Outcome, Path};
use stack::ports::{Layer, Port, PortAddr, Ports};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// The only port, our address on it, and the gateway behind it.
const PORT: PortId = PortId(0);
const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254));
const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const MTU: u32 = 1500;
/// Ports that the counters tell apart.
const PORTS: usize = 1;
/// IPv4 flows of a gateway as it is configured out of the box; more only if the packets have more.
const CAPACITY: usize = 262_144;
/// The IPv6 table must be there; nothing is put into it.
const CAPACITY_V6: usize = 4096;
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

/// The world: routes, neighbours, ports, flow tables.
pub(super) struct Flowgate {
    /// Keeps the truth alive behind its view.
    _routes: route::Control,
    view: Arc<route::View>,
    neigh: Arc<arp::View>,
    ports: Arc<ArcSwap<Ports>>,
    tables: FlowTables,
    threads: usize,
}

impl Flowgate {
    /// A gateway with one default route through one neighbour, for the threads of `traffic`.
    ///
    /// # Panics
    /// If the gateway's own parts refuse so small a configuration: then there is nothing to measure.
    pub(super) fn new(traffic: &Traffic) -> Self {
        let (neigh, neighbour) = neighbours();
        let (routes, view) = routes(traffic.threads(), neighbour);
        let flows = traffic.all_flows().count();
        let start = Now(0).tick();
        Self {
            _routes: routes,
            view,
            neigh,
            ports: Arc::new(ArcSwap::from_pointee(Ports(vec![port()]))),
            tables: FlowTables {
                v4: Table::new(CAPACITY.max(2 * flows), TABLE_SECRET, start),
                v6: Table::new(CAPACITY_V6, TABLE_SECRET, start),
            },
            threads: traffic.threads(),
        }
    }
}

/// The gateway's neighbour, known for good, and its place in the view.
fn neighbours() -> (Arc<arp::View>, u32) {
    let (mut table, view) = arp::new(arp::Config::default(), 1);
    let port = PortInfo {
        port: arp::PortId(PORT.0),
        mac: Mac(PORT_MAC),
        addrs: vec![(OWN, 24)],
        up: true,
    };
    table.set_port(port, 0, &mut Vec::new());
    let idx = table.set_static(arp::PortId(PORT.0), GATEWAY, Mac(GATEWAY_MAC), false);
    (
        view,
        idx.expect("an empty table has room for a neighbour").0,
    )
}

/// `default` through the neighbour, which is up.
fn routes(threads: usize, neighbour: u32) -> (route::Control, Arc<route::View>) {
    let config = route::Config {
        readers: threads,
        ..route::Config::default()
    };
    let (mut routes, view) = route::new(config);
    let key = NhopKey {
        kind: NhopKind::Gateway,
        port: PORT,
        gateway: Some(GATEWAY),
    };
    let path = route::Path {
        key,
        weight: 1,
        neigh: neighbour,
        mtu: MTU,
    };
    let default = "0.0.0.0/0".parse().expect("a prefix");
    let added = routes.add(default, &[path], Secs(0));
    added.expect("an empty table has room for a route");
    let nhop = routes
        .nhop(&key)
        .expect("the route that was added has a next hop");
    routes.set_health(nhop, Health::Up, Secs(0));
    (routes, view)
}

/// An Ethernet port on the gateway's network.
fn port() -> Port {
    Port {
        fib: route::FibId(0),
        id: PORT,
        name: "wan".into(),
        layer: Layer::L2(Mac(PORT_MAC)),
        mtu: MTU,
        up: true,
        addrs: vec![PortAddr { addr: OWN, len: 24 }],
    }
}

impl Way for Flowgate {
    fn worker(&self, thread: usize) -> Box<dyn Worker + '_> {
        let own = (0..SLOTS).filter(|slot| slot % self.threads == thread);
        let slots: Vec<SlotNo> = own.map(|slot| SlotNo(slot as u16)).collect();
        let marks = Arc::new(Marks::default());
        let secret = GroupSecret([0x67; 16]);
        Box::new(Forwarder {
            path: Path::new(Arc::clone(&self.view), &self.tables, &slots, secret, marks),
            ports: Cache::new(Arc::clone(&self.ports)),
            neigh: Arc::clone(&self.neigh),
            qsbr: self.view.qsbr().reader(thread),
            counters: Arc::new(Counters::new(PORTS)),
        })
    }
}

/// One worker thread, as far as it resolves output.
struct Forwarder {
    path: Path,
    ports: Cache<Arc<ArcSwap<Ports>>, Arc<Ports>>,
    neigh: Arc<arp::View>,
    qsbr: route::Reader,
    counters: Arc<Counters>,
}

impl Worker for Forwarder {
    fn burst(&mut self, packets: &mut [Packet], now: Tick) {
        self.qsbr.quiescent();
        let ports: &Ports = self.ports.load();
        let now = Now(u64::from(now) * 100);
        for packet in packets {
            let meta = meta(packet);
            let seen = Seen {
                l4: meta.l4,
                bytes: u32::from(meta.len),
                in_port: PORT.0 as u8,
            };
            let slot = self.path.slot(&meta.tuple);
            let outcome = self.path.resolve(slot, &meta, &seen, now, &self.counters);
            let Outcome::Via(hop) = outcome else { continue };
            let link = arpresolve(ports, &self.neigh, &hop.attrs, &meta.addrs.dst());
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
