//! The packets. Each says in its payload with which TTL it was sent, in every 8 bytes, so that pieces say it too.

use super::event::{prefixes, service};
use crate::frames::{ether, udp};
use crate::net::craft::{echo_request, fix_header, icmp_error, pieces, with_ttl};
use crate::net::watch::FlowId;
use crate::net::zoo::{self, STRANGER_MAC};
use crate::net::{NAME, Net};
use crate::rack::Family;
use crate::sim::ip;
use route::Prefix;
use stack::ports::{Layer, Port};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Flows that go on all the time: those whose server is judged.
const STEADY: usize = 48;

/// What marks a payload, before the TTL.
const MARK: [u8; 7] = *b"chaos1:";

/// A payload of so many bytes that tells the TTL.
fn payload(len: usize, ttl: u8) -> Vec<u8> {
    let word: Vec<u8> = MARK.iter().copied().chain([ttl]).collect();
    word.into_iter().cycle().take(len).collect()
}

/// The TTL that a payload tells.
pub(super) fn told_ttl(payload: &[u8]) -> Option<u8> {
    payload.strip_prefix(&MARK)?.first().copied()
}

/// A flow that goes on.
struct Steady {
    id: FlowId,
    every_ms: u64,
    at: u64,
    len: usize,
}

/// What is sent.
pub(super) struct Traffic {
    steady: Vec<Steady>,
    piece_id: u32,
    fresh: u32,
}

/// An address in a prefix, the `n`th.
fn within(prefix: Prefix, n: u32) -> IpAddr {
    let host = u64::from(n);
    match prefix.addr() {
        IpAddr::V4(net) => {
            let keep = u32::MAX.checked_shr(prefix.len().into()).unwrap_or(0);
            Ipv4Addr::from(u32::from(net) | (n & keep)).into()
        }
        IpAddr::V6(net) => {
            let keep = u128::MAX.checked_shr(prefix.len().into()).unwrap_or(0);
            Ipv6Addr::from(u128::from(net) | (u128::from(host) & keep)).into()
        }
    }
}

fn source(family: Family, n: u32) -> IpAddr {
    match family {
        Family::V4 => ip(&format!("10.0.{}.{}", 2 + ((n >> 8) & 127), n & 255)),
        Family::V6 => ip(&format!("fd10::2:{:x}", n & 0xffff)),
    }
}

fn family_of(prefix: &Prefix) -> Family {
    super::event::family(prefix.addr())
}

/// A UDP packet that tells its TTL.
fn datagram(id: &FlowId, len: usize, ttl: u8) -> Vec<u8> {
    with_ttl(udp(id.src, id.dst, &payload(len, ttl)), ttl)
}

impl Traffic {
    pub(super) fn new(rng: &mut fastrand::Rng) -> Self {
        let to = prefixes();
        let steady = (0..STEADY).map(|n| Steady::draw(n as u32, &to, rng));
        Self {
            steady: steady.collect(),
            piece_id: 0,
            fresh: 0,
        }
    }

    /// Whether this is a steady flow.
    pub(super) fn is_steady(id: &FlowId) -> bool {
        id.proto == 17 && (2000..2000 + STEADY as u16).contains(&id.src.port())
    }

    /// When one of them sends next.
    pub(super) fn next_at(&self) -> u64 {
        let times = self.steady.iter().map(|flow| flow.at);
        times.min().unwrap_or(u64::MAX)
    }

    /// No more of them.
    pub(super) fn stop(&mut self) {
        self.steady.clear();
    }

    /// Those whose time has come send.
    pub(super) fn send_due(&mut self, net: &mut Net, rng: &mut fastrand::Rng) {
        let now = net.now();
        for flow in &mut self.steady {
            if flow.at <= now {
                flow.at = now + rng.u64(1..=flow.every_ms);
                net.send(0, datagram(&flow.id, flow.len, rng.u8(2..=255)));
            }
        }
    }

    /// New flows of one packet each.
    pub(super) fn flood(&mut self, net: &mut Net, count: u16, rng: &mut fastrand::Rng) {
        for _ in 0..count {
            let packet = datagram(&self.fresh(rng), 16, 64);
            net.send(0, packet);
        }
    }

    /// A flow that was not there before (until 65,536 others were).
    fn fresh(&mut self, rng: &mut fastrand::Rng) -> FlowId {
        self.fresh += 1;
        let all = prefixes();
        let prefix = all[rng.usize(..all.len())];
        FlowId {
            proto: 17,
            src: SocketAddr::new(
                source(family_of(&prefix), self.fresh),
                9000 + (self.fresh % 7) as u16,
            ),
            dst: SocketAddr::new(within(prefix, 7), NAME),
        }
    }

    /// Packets to addresses that nobody has.
    pub(super) fn scan(&mut self, net: &mut Net, port: &Port, count: u16, rng: &mut fastrand::Rng) {
        for _ in 0..count {
            let host = 64 + rng.u32(..180);
            let family = if rng.bool() { Family::V4 } else { Family::V6 };
            let ends = port.addrs.iter().filter_map(|a| a.network());
            let Some(net_of) = ends.into_iter().find(|p| family_of(p) == family) else {
                continue;
            };
            let id = FlowId {
                proto: 17,
                src: SocketAddr::new(source(family, 1), 9100),
                dst: SocketAddr::new(within(net_of, host), 9),
            };
            net.send(0, datagram(&id, 16, 64));
        }
    }

    /// Datagrams in pieces, in any order, some of them lost.
    pub(super) fn pieces(&mut self, net: &mut Net, count: u8, lost: u8, rng: &mut fastrand::Rng) {
        for _ in 0..count {
            let (id, len) = (self.fresh(rng), rng.usize(600..3000));
            self.piece_id += 1;
            let mut cut = pieces(
                &datagram(&id, len, 60),
                self.piece_id,
                8 * rng.usize(10..120),
            );
            rng.shuffle(&mut cut);
            for piece in cut {
                if rng.u8(..10) >= lost {
                    net.send(0, piece);
                }
            }
        }
    }

    /// Packets that come with the last of their TTL, and echoes to the gateway and through it.
    pub(super) fn expiring(&mut self, net: &mut Net, count: u8, rng: &mut fastrand::Rng) {
        for n in 0..count {
            let id = self.fresh(rng);
            net.send(0, datagram(&id, 16, rng.u8(1..=2)));
            let family = super::event::family(id.src.ip());
            let ours = ip(if family == Family::V4 {
                "10.0.0.1"
            } else {
                "fd10::1"
            });
            for dst in [ours, service(family).addr()] {
                let data = payload(32, 64);
                net.send(0, echo_request(id.src.ip(), dst, 7, u16::from(n), &data));
            }
        }
    }

    /// Errors about packets of steady flows, from where they went and from where they came.
    pub(super) fn errors(&mut self, net: &mut Net, count: u8, rng: &mut fastrand::Rng) {
        for _ in 0..count.min(self.steady.len() as u8) {
            let flow = &self.steady[rng.usize(..self.steady.len())];
            let v6 = flow.id.src.is_ipv6();
            let back = udp(flow.id.dst, flow.id.src, &payload(40, 64));
            let from = ip(if v6 { "fd10::9" } else { "10.0.1.9" });
            let kinds: &[(u8, u8)] = if v6 {
                &[(1, 4), (2, 0), (3, 0)]
            } else {
                &[(3, 3), (3, 4), (11, 0)]
            };
            let (kind, code) = kinds[rng.usize(..kinds.len())];
            net.send(0, icmp_error(from, &back, kind, code, 1300));
        }
    }

    /// Packets of every kind with some bytes changed, by any port.
    pub(super) fn noise(
        &mut self,
        net: &mut Net,
        ports: &[Port],
        count: u16,
        rng: &mut fastrand::Rng,
    ) {
        let zoo = zoo::packets();
        for _ in 0..count {
            let port = &ports[rng.usize(..ports.len())];
            let at = usize::from(port.id.0);
            let frame = match port.layer {
                Layer::L3 => zoo[rng.usize(..zoo.len())].bytes.clone(),
                Layer::L2(mac) if rng.u8(..4) == 0 => {
                    let all = zoo::neighbour_frames(mac);
                    all[rng.usize(..all.len())].bytes.clone()
                }
                Layer::L2(mac) => ether(mac, STRANGER_MAC, &zoo[rng.usize(..zoo.len())].bytes),
            };
            let start = if port.layer == Layer::L3 { 0 } else { 14 };
            net.send(at, mutilated(frame, start, rng));
        }
    }
}

/// A frame with some bytes changed, or cut, its header's checksum good again at times.
fn mutilated(mut frame: Vec<u8>, start: usize, rng: &mut fastrand::Rng) -> Vec<u8> {
    for _ in 0..rng.usize(..5) {
        let at = rng.usize(..frame.len());
        frame[at] = rng.u8(..);
    }
    if rng.u8(..4) == 0 {
        frame.truncate(rng.usize(..=frame.len()));
    }
    if let Some(packet) = frame.get_mut(start..)
        && rng.bool()
        && packet.first().is_some_and(|b| b >> 4 == 4)
        && packet.len() >= usize::from(packet[0] & 15).max(5) * 4
    {
        fix_header(packet);
    }
    frame
}

impl Steady {
    fn draw(n: u32, to: &[Prefix], rng: &mut fastrand::Rng) -> Self {
        // Half of them go to the service.
        let prefix = match n % 4 {
            0 => service(Family::V4),
            1 => service(Family::V6),
            _ => to[rng.usize(..to.len())],
        };
        let family = family_of(&prefix);
        let port = 2000 + n as u16;
        Self {
            id: FlowId {
                proto: 17,
                src: SocketAddr::new(source(family, 1000 + n), port),
                dst: SocketAddr::new(within(prefix, 7), NAME),
            },
            every_ms: rng.u64(200..4000),
            at: 0,
            len: rng.usize(8..1200),
        }
    }
}

impl Traffic {
    /// Flows to the service that come after everything.
    pub(super) fn after() -> Vec<FlowId> {
        let flow = |family| {
            move |n: u16| FlowId {
                proto: 17,
                src: SocketAddr::new(source(family, 4000 + u32::from(n)), 8000 + n),
                dst: SocketAddr::new(service(family).addr(), NAME),
            }
        };
        let of = |family| (0..20).map(flow(family));
        of(Family::V4).chain(of(Family::V6)).collect()
    }

    /// A packet of a flow.
    pub(super) fn packet(id: &FlowId) -> Vec<u8> {
        datagram(id, 16, 64)
    }
}
