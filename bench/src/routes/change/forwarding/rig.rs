//! A gateway in memory with every route of the table.

use super::super::super::table::{HOPS, Route};
use super::super::churn::Updates;
use super::queues::{ANY, FRAME, Shared, Sink, Source};
use crate::clock;
use crate::prefixes::address_in;
use arp::Mac;
use etherparse::PacketBuilder;
use fastrand::Rng;
use route::{Family, PortId};
use stack::Now;
use stack::control::{GatewaySpec, PathKind, RouteBatch, RouteSet, RouteSpec};
use stack::gateway::{Gateway, Setup, Wakers, build};
use stack::host::{HostCmd, HostLink, HostReply};
use stack::io::Queue;
use stack::ports::{Layer, Port, PortAddr, Ports};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// Flows of each family.
const FLOWS: u16 = 1 << 15;
/// Routes' worth of work in a slice of the load.
const SLICE: usize = 4096;
/// When the gateway starts, ms.
const START: u64 = 10_000;
const LAN: Mac = Mac([2, 0, 0, 0, 1, 1]);
const WAN: Mac = Mac([2, 0, 0, 0, 2, 1]);
const CLIENT: Mac = Mac([2, 0, 0, 0, 1, 2]);

/// Control's side of the gateway.
pub(super) struct Rig {
    gateway: Gateway,
    base: Instant,
}

/// The worker with its ports.
pub(super) struct Worker {
    worker: stack::worker::Worker,
    queues: Vec<Box<dyn Queue>>,
    shared: Arc<Shared>,
    base: Instant,
}

/// Next hop number `hop` of a family.
fn gateway_addr(family: Family, hop: u16) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(0xac10_0100 + u32::from(hop)).into(),
        Family::V6 => Ipv6Addr::from_bits((0xfd00 << 112) + 0x100 + u128::from(hop)).into(),
    }
}

fn hop_mac(family: Family, hop: u16) -> Mac {
    let [high, low] = hop.to_be_bytes();
    Mac([2, 0, 0, if family == Family::V4 { 4 } else { 6 }, high, low])
}

/// The next hop that a frame is sent to.
pub(super) fn hop_of(frame: &[u8]) -> u16 {
    u16::from_be_bytes([frame[4], frame[5]])
}

/// Whether a frame is IPv4.
pub(super) fn is_v4(frame: &[u8]) -> bool {
    frame[12..14] == [8, 0]
}

fn port(id: u16, name: &str, mac: Mac, addrs: &[(&str, u8)]) -> Port {
    let addr = |(addr, len): &(&str, u8)| {
        let addr = addr.parse().ok()?;
        Some(PortAddr { addr, len: *len })
    };
    Port {
        fib: route::FibId(0),
        id: PortId(id),
        name: name.into(),
        layer: Layer::L2(mac),
        mtu: 1500,
        narrowed: None,
        up: true,
        rules: Default::default(),
        vlan: None,
        addrs: addrs.iter().filter_map(addr).collect(),
    }
}

/// A frame of flow number `flow` to `dst`: the least that has ports.
pub(super) fn frame(flow: u16, dst: IpAddr) -> Result<[u8; FRAME], String> {
    let link = PacketBuilder::ethernet2(CLIENT.0, LAN.0);
    let [high, low] = flow.to_be_bytes();
    let (builder, headers) = match dst {
        IpAddr::V4(dst) => (link.ipv4([10, 0, high, low], dst.octets(), 64), 42),
        IpAddr::V6(dst) => {
            let src = (0xfd01 << 112) + u128::from(flow);
            (link.ipv6(src.to_be_bytes(), dst.octets(), 64), 62)
        }
    };
    let mut bytes = Vec::with_capacity(FRAME);
    let payload = vec![0; FRAME - headers];
    let written = builder.udp(5000, 443).write(&mut bytes, &payload);
    written.map_err(|error| error.to_string())?;
    bytes.try_into().map_err(|_| "a frame is too long".into())
}

fn spec(prefix: route::Prefix, hop: u16) -> RouteSpec {
    let gateway = GatewaySpec {
        addr: gateway_addr(prefix.family(), hop),
        weight: None,
        port: None,
        recursive: false,
        mtu: None,
    };
    RouteSpec {
        prefix,
        kind: PathKind::Gateways(vec![gateway]),
        mtu: None,
        deadline_s: None,
        options: Default::default(),
    }
}

/// Shown to an operator, and so to who runs the benchmark.
fn said(error: impl ToString) -> String {
    error.to_string()
}

impl Rig {
    /// A gateway with `routes`, and its worker with a pinned flow for each of its frames. Flows whose route is one
    /// of `changing` may leave by any next hop.
    pub(super) fn new(
        routes: &[Route],
        changing: HashSet<route::Prefix>,
        shared: &Arc<Shared>,
    ) -> Result<(Self, Worker), String> {
        let lan = port(0, "lan", LAN, &[("10.0.0.1", 16), ("fd01::ffff:1", 64)]);
        let wan = port(1, "wan", WAN, &[("172.16.0.1", 12), ("fd00::1", 64)]);
        let setup = Setup {
            workers: 1,
            ports: Ports(vec![lan, wan]),
            route: route::Config {
                max_routes: 1 << 22,
                ..route::Config::default()
            },
            ..Setup::default()
        };
        let mut gateway = build(setup, &Wakers::null(1), Now(START)).map_err(said)?;
        let worker = gateway.workers.remove(0);
        let base = clock::now();
        let mut rig = Self { gateway, base };
        rig.meet_neighbours()?;
        rig.load(routes)?;
        let (source, sink) = rig.traffic(routes, &changing, shared)?;
        let mut worker = Worker {
            worker,
            queues: vec![Box::new(source), Box::new(sink)],
            shared: Arc::clone(shared),
            base,
        };
        let mut seen = 0;
        while seen < 4 * usize::from(FLOWS) {
            seen += worker.burst();
        }
        worker.all_forwarded()?;
        Ok((rig, worker))
    }

    /// Every next hop's link address is known.
    fn meet_neighbours(&mut self) -> Result<(), String> {
        for family in [Family::V4, Family::V6] {
            for hop in 0..HOPS as u16 {
                let neighbour = HostCmd::SetStatic {
                    port: PortId(1),
                    addr: gateway_addr(family, hop),
                    mac: hop_mac(family, hop),
                    published: false,
                };
                if !matches!(self.gateway.host.call(neighbour), HostReply::Done) {
                    return Err(format!("neighbour {hop} was refused"));
                }
            }
        }
        Ok(())
    }

    /// The whole table as one batch.
    fn load(&mut self, routes: &[Route]) -> Result<(), String> {
        let mut batch = RouteBatch::default();
        for family in [Family::V4, Family::V6] {
            for hop in 0..HOPS {
                let of = |r: &&Route| r.hop == hop && r.prefix.family() == family;
                let set = routes.iter().find(of).map(|first| RouteSet {
                    spec: spec(first.prefix, hop as u16),
                    ipv6: None,
                });
                batch.sets.push(set);
            }
        }
        let set = |r: &Route| {
            r.hop
                + if r.prefix.family() == Family::V4 {
                    0
                } else {
                    HOPS
                }
        };
        batch.routes = routes.iter().map(|r| (r.prefix, set(r))).collect();
        let now = self.now();
        let Gateway { control, host, .. } = &mut self.gateway;
        control.batch_start(batch).map_err(said)?;
        loop {
            if let Some(end) = control.batch_step(SLICE, host, now) {
                end.map_err(said)?;
                break;
            }
        }
        self.tick();
        Ok(())
    }

    /// A flow of each family to random addresses of random prefixes, and where they have to leave.
    fn traffic(
        &self,
        routes: &[Route],
        changing: &HashSet<route::Prefix>,
        shared: &Arc<Shared>,
    ) -> Result<(Source, Sink), String> {
        let mut rng = Rng::with_seed(15);
        let (v4, v6): (Vec<&Route>, Vec<&Route>) = routes
            .iter()
            .partition(|route| route.prefix.family() == Family::V4);
        let mut frames = Vec::with_capacity(2 * usize::from(FLOWS));
        let (mut exits4, mut exits6) = (Vec::new(), Vec::new());
        for flow in 0..FLOWS {
            for (of, exits) in [(&v4, &mut exits4), (&v6, &mut exits6)] {
                let route = of[rng.usize(..of.len())];
                let prefix = (route.prefix.addr(), route.prefix.len());
                let dst = address_in(&prefix, &mut rng);
                frames.push(frame(flow + 256, dst)?);
                exits.resize(usize::from(flow) + 256, ANY);
                exits.push(self.exit(dst, routes, changing));
            }
        }
        let source = Source {
            frames,
            at: 0,
            probes: Vec::new(),
            shared: Arc::clone(shared),
        };
        let sink = Sink {
            exits4,
            exits6,
            shared: Arc::clone(shared),
            sent: 0,
            watched: (0, 0),
        };
        Ok((source, sink))
    }

    /// By which next hop packets to `dst` leave, if that does not change.
    fn exit(&self, dst: IpAddr, routes: &[Route], changing: &HashSet<route::Prefix>) -> u16 {
        let bits = if dst.is_ipv4() { 32 } else { 128 };
        let longest = (0..=bits).rev().find_map(|len| {
            let prefix = route::Prefix::masked(dst, len);
            routes.binary_search_by_key(&prefix, |r| r.prefix).ok()
        });
        let route = longest.map(|at| &routes[at]);
        let fixed = route.filter(|route| !changing.contains(&route.prefix));
        fixed.map_or(ANY, |route| route.hop as u16)
    }

    pub(super) fn now(&self) -> Now {
        Now(START + self.base.elapsed().as_millis() as u64)
    }

    /// Gives a route another next hop.
    pub(super) fn change(&mut self, prefix: route::Prefix, hop: u16) -> Result<(), String> {
        let now = self.now();
        let Gateway { control, host, .. } = &mut self.gateway;
        let changed = control.route_change(&spec(prefix, hop), host, now);
        changed.map(drop).map_err(said)
    }
}

impl Updates for Rig {
    fn add(&mut self, route: &Route) -> Result<(), String> {
        let now = self.now();
        let Gateway { control, host, .. } = &mut self.gateway;
        let added = control.route_add(&spec(route.prefix, route.hop as u16), host, now);
        added.map(drop).map_err(said)
    }

    fn delete(&mut self, route: &Route) -> Result<(), String> {
        let now = self.now();
        let Gateway { control, host, .. } = &mut self.gateway;
        let deleted = control.route_delete(route.prefix, None, None, host, now);
        deleted.map(drop).map_err(said)
    }

    fn tick(&mut self) {
        let now = self.now();
        let Gateway { control, host, .. } = &mut self.gateway;
        host.poll(now);
        control.tick(host, now);
        drop(control.take_events());
    }
}

impl Worker {
    /// One burst. Returns the packets that it moved.
    pub(super) fn burst(&mut self) -> usize {
        let now = Now(START + self.base.elapsed().as_millis() as u64);
        self.worker.poll(now, &mut self.queues)
    }

    /// Other frames at the clients' port, to lead bursts while a change is watched for.
    pub(super) fn watch(&mut self, source: Source) {
        self.queues[0] = Box::new(source);
    }

    /// Exits looked at, and wrong ones.
    pub(super) fn checks(&self) -> (u64, u64) {
        let read = |word: &std::sync::atomic::AtomicU64| word.load(Relaxed);
        (read(&self.shared.checked), read(&self.shared.wrong))
    }

    /// Refuses to measure a gateway that drops.
    fn all_forwarded(&self) -> Result<(), String> {
        let counters = self.worker.counters();
        let (received, forwarded) = (counters.rx.get(), counters.forwarded.get());
        if received - forwarded > received / 100 {
            return Err(format!(
                "{} of {received} packets were not forwarded",
                received - forwarded
            ));
        }
        Ok(())
    }
}
