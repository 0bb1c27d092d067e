//! `poll-known`, `poll-new`: whole workers of one gateway, everything that [`stack::Worker::poll`] does.
//!
//! Frames come by ports in memory ([`crate::rig`]), are validated, found or pinned, get the header of their next hop's
//! neighbour and a TTL less, and are sent; with what a worker does once a burst: quiescent state, rings, mailbox and roll,
//! both hands over the flows, fills, counters. TCP and UDP, IPv4 and IPv6 come mixed. Each worker gets the flows that its
//! slots own. These are there to be single-stepped, and to be compared with nothing: the benchmark does not measure them.

use super::{BURST, Way, Worker};
use crate::rig::{Endless, Frames, L4, NOW, gateway_of_both};
use crate::traffic::{Packet, TABLE_SECRET, Tick, Traffic};
use flowtable::{KeyV4, SlotNo, Table, owner_slot4, owner_slot6};
use stack::io::Queue;
use stack::{Gateway, Now, Setup};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

/// Bytes of a frame: an IPv6 segment's headers, and some.
const SIZE: usize = 80;
/// Places in each flow table: two buckets a slot, so that the hands meet flows.
const PLACES: usize = 2 * Table::<KeyV4>::ROUND;
/// Packets of a burst from each port: a packet takes thousands of steps.
const EACH: usize = 16;
/// Once in so many bursts the hand comes by that asks what flows owe: in the one that is stepped.
const VISIT: usize = 96;
/// Between two times that a worker is asked for all its packets, ms: the hand that frees has buckets to visit.
const PAUSE: u64 = 1000;

/// What the packets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flows {
    /// Of flows that are known, in both directions.
    Known,
    /// Each of another new flow.
    New,
}

/// A gateway, whose workers wait for their threads.
pub(super) struct Polled {
    gateway: Mutex<Gateway>,
    threads: usize,
    flows: usize,
    kind: Flows,
}

impl Polled {
    /// For the threads of `traffic`, with as many flows.
    ///
    /// # Panics
    /// If the gateway refuses so small a configuration: then there is nothing to step.
    pub(super) fn new(traffic: &Traffic, kind: Flows) -> Self {
        let setup = Setup {
            workers: traffic.threads(),
            flows_v4: PLACES,
            flows_v6: PLACES,
            table_secret: TABLE_SECRET,
            ..Setup::default()
        };
        Self {
            gateway: Mutex::new(gateway_of_both(setup).expect("a gateway")),
            threads: traffic.threads(),
            flows: traffic.flows_of(0).len(),
            kind,
        }
    }

    /// What comes to `thread`, by its first port and by its second.
    fn frames(&self, thread: usize) -> [Frames; 2] {
        let own = all_flows().filter(|flow| usize::from(flow.slot.0) % self.threads == thread);
        let [mut there, mut back] = [Frames::new(SIZE), Frames::new(SIZE)];
        match self.kind {
            Flows::New => own.take(2 * VISIT * EACH).for_each(|flow| {
                there.push_out(flow.l4(L4::Opener), flow.client, flow.server);
            }),
            Flows::Known => own.take(self.flows).for_each(|flow| {
                there.push_out(flow.l4(L4::Segment), flow.client, flow.server);
                back.push_in(flow.l4(L4::Segment), flow.server, flow.client);
            }),
        }
        [there, back]
    }

    /// Bursts before those of the stepper's warming-up.
    fn bursts_before(&self) -> usize {
        VISIT.saturating_sub(1 + 2 * self.flows.div_ceil(BURST))
    }
}

/// A client behind the first port, a server in the Internet.
struct Flow {
    tcp: bool,
    client: SocketAddr,
    server: SocketAddr,
    slot: SlotNo,
}

impl Flow {
    /// What a packet of it is; `tcp`, if it is of TCP.
    fn l4(&self, tcp: L4) -> L4 {
        if self.tcp { tcp } else { L4::Udp }
    }
}

/// TCP and UDP, IPv4 and IPv6 in turns.
fn all_flows() -> impl Iterator<Item = Flow> {
    (2..).flat_map(|n| [v4(true, n), v6(true, n), v4(false, n), v6(false, n)])
}

/// The ports of every client and every server.
const PORTS: (u16, u16) = (2000, 443);

fn v4(tcp: bool, n: u32) -> Flow {
    let (client, server) = (0x0a00_0000 + n, 0xc633_6401);
    let (proto, (from, to)) = (protocol(tcp), PORTS);
    let at = |addr, port| SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(addr)), port);
    Flow {
        tcp,
        client: at(client, from),
        server: at(server, to),
        slot: owner_slot4(&TABLE_SECRET, proto, client, from, server, to),
    }
}

fn v6(tcp: bool, n: u32) -> Flow {
    let client = 0xfd10 << 112 | u128::from(n);
    let server = 0x2001_0db8_0113 << 80 | 0x10;
    let (proto, (from, to)) = (protocol(tcp), PORTS);
    let at = |addr, port| SocketAddr::new(IpAddr::V6(Ipv6Addr::from_bits(addr)), port);
    Flow {
        tcp,
        client: at(client, from),
        server: at(server, to),
        slot: owner_slot6(&TABLE_SECRET, proto, client, from, server, to),
    }
}

fn protocol(tcp: bool) -> u8 {
    if tcp { 6 } else { 17 }
}

impl Way for Polled {
    fn worker(&self, thread: usize) -> Box<dyn Worker + '_> {
        let mut gateway = self.gateway.lock().unwrap_or_else(PoisonError::into_inner);
        let place = gateway.workers.iter().position(|w| w.id() == thread);
        let worker = gateway.workers.remove(place.expect("it is asked for once"));
        drop(gateway);
        let [there, back] = self.frames(thread);
        let mut polling = Polling {
            worker,
            queues: [there, back].map(queue).into(),
            kind: self.kind,
        };
        for _ in 0..self.bursts_before() {
            polling.poll(NOW);
        }
        Box::new(polling)
    }

    fn change(&self, _: u64) -> Result<(), String> {
        Ok(())
    }
}

fn queue(frames: Frames) -> Box<dyn Queue> {
    Box::new(Endless::new(frames).at_most(EACH))
}

/// One worker and its ports.
struct Polling {
    worker: stack::Worker,
    queues: Vec<Box<dyn Queue>>,
    kind: Flows,
}

impl Polling {
    /// One burst. Returns how many packets were forwarded, and how many of them by a pin that was there.
    fn poll(&mut self, now: Now) -> (u64, u64) {
        let pinned = self.worker.counters().pinned.get();
        let moved = self.worker.poll(now, &mut self.queues) as u64;
        let counters = self.worker.counters();
        let (received, forwarded) = (counters.rx.get(), counters.forwarded.get());
        assert_eq!(
            (received, counters.unpinned.get()),
            (forwarded, 0),
            "packets are dropped, handed to another worker, or get no pin"
        );
        (moved, counters.pinned.get() - pinned)
    }
}

impl Worker for Polling {
    /// One burst of its own frames, whatever packets it is asked for.
    fn burst(&mut self, _: &mut [Packet], now: Tick) {
        let found = self.poll(Now(NOW.0 + u64::from(now) * PAUSE));
        let each = EACH as u64;
        match self.kind {
            Flows::Known => assert_eq!(found, (2 * each, 2 * each), "not known"),
            Flows::New => assert_eq!(found, (each, 0), "not new"),
        }
    }
}
