//! New flows at full speed against a gateway with established ones.
//!
//! The gateway's own path decides ([`stack::path::Path::resolve`]), over a default route with eight next hops. Segments
//! of established packets and of the attack's take turns on one thread, four of the attack's packets for each other one,
//! and are timed apart; the hand sweeps after each burst as a worker's does, and counts to the segment that it follows.
//! The uncached path beside it looks the route up and lets the group choose, and keeps nothing.

use super::args::Section;
use super::job::Job;
use super::report::{Sample, Series};
use super::trace::{self, Spread};
use super::world::{DATA, DATAGRAM, Packet, TCP, UDP, segment};
use crate::common::memory::Heap;
use crate::common::timing::Spent;
use crate::gateway::Gateway;
use arp::Mac;
use flowtable::{KeyV4, L4, PinWord, SLOTS, Seen, SlotNo, flow_hash};
use route::FibId;
use serde::{Deserialize, Serialize};
use stack::Now;
use stack::counters::Counters;
use stack::parse::{Addrs, IpMeta, Tuple};
use stack::path::{Path, Ready};
use std::hint::black_box;
use std::time::Duration;

/// Next hops of the default route.
const HOPS: u8 = 8;
/// Share of the table's places that established flows have.
const ESTABLISHED: f64 = 0.5;
/// Packets of a burst, and buckets that the hand visits after each at most, as a busy worker's does.
const BURST: usize = 32;
const HAND: usize = 2;
/// Packets of a segment: of established flows, of the attack.
const SEGMENT: usize = 256;
const ATTACK: usize = 1024;
/// Packets in a millisecond: what one core can take.
const PACKETS_A_MS: u64 = 5_000;
/// Packets of established flows whose order is ready; a multiple of a segment.
const KNOWN: usize = 1 << 20;
/// Flows of the attack have numbers from here on.
const ATTACKERS: u32 = 1 << 30;

/// What attacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Attack {
    /// TCP segments that open a connection.
    Openers,
    /// TCP segments of connections that nobody opened.
    Others,
    /// UDP.
    Datagrams,
}

impl Attack {
    pub(super) const ALL: [Self; 3] = [Self::Openers, Self::Others, Self::Datagrams];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Openers => "TCP openers",
            Self::Others => "TCP non-openers",
            Self::Datagrams => "UDP",
        }
    }

    fn packet(self) -> (u8, Seen) {
        match self {
            Self::Openers => (TCP, segment(L4::SYN)),
            Self::Others => (TCP, DATA),
            Self::Datagrams => (UDP, DATAGRAM),
        }
    }
}

/// A worker's part of a gateway, as far as it decides where packets go.
struct Victim {
    gateway: Gateway,
    path: Path,
    counters: Counters,
    /// Lookups of a burst that have been started.
    ready: Vec<Ready>,
    /// Packets so far: they are the clock.
    packets: u64,
}

/// How a packet's next hop is decided.
#[derive(Clone, Copy, PartialEq)]
enum Decide {
    /// Through the flow table.
    Cached,
    /// By the route alone.
    Uncached,
}

/// One kind of flood.
pub(super) fn measure(job: &Job, attack: Attack, heap: Heap) -> Result<Vec<Sample>, String> {
    let mut victim = Victim::new(job.flows);
    let established = (job.flows as f64 * ESTABLISHED) as u32;
    victim.establish(established);
    let before = victim.pins(established);
    let mut traffic = Traffic::new(job, attack, established);
    // The first time round is for the caches.
    victim.quiet(&mut traffic, job.least());
    let quiet = victim.quiet(&mut traffic, job.least());
    let uncached = victim.uncached(&mut traffic, job.least());
    // The buffers of the packets are there before memory is looked at.
    victim.turn(&mut traffic, &mut Default::default());
    let memory = heap.now();
    victim.fill(&mut traffic, 2 * job.flows as u64);
    let flooded = victim.flooded(&mut traffic, job.least());
    let grown = heap.now().since(memory).resident;
    let after = victim.pins(established);
    let lost = before.iter().zip(&after).filter(|(a, b)| a != b).count();
    let times = Times {
        quiet,
        uncached,
        flooded,
    };
    let mut samples = times.samples(job, attack);
    let stats = victim.gateway.tables.v4.stats();
    let found = |what: &str, unit: &str, value: f64| series(job, attack, what).unit(unit).is(value);
    samples.extend([
        found("established pins lost", "pins", lost as f64),
        found("established pins", "pins", before.len() as f64),
        found("resident memory grew by", "bytes", grown as f64),
        found(
            "flows evicted",
            "flows",
            stats.evicted.iter().sum::<u64>() as f64,
        ),
        found("flows refused", "flows", stats.refused as f64),
    ]);
    Ok(samples)
}

fn series(job: &Job, attack: Attack, what: &str) -> Series {
    Series::new(Section::Flood, what, job.flows).traffic(attack.name())
}

/// What packets took.
struct Times {
    /// Established ones without a flood.
    quiet: Spent,
    /// The attack's by the route alone.
    uncached: Spent,
    /// In the flood: established ones, and the attack's.
    flooded: (Spent, Spent),
}

impl Times {
    fn samples(&self, job: &Job, attack: Attack) -> Vec<Sample> {
        let series = |what: &str| series(job, attack, what);
        let ratio = |what: &str, a: &Spent, b: &Spent| {
            let times = a.cpu_ns() / b.cpu_ns();
            series(what).unit("times").is(times)
        };
        let Self {
            quiet,
            uncached,
            flooded: (known, new),
        } = self;
        vec![
            series("an established packet, no flood").took(quiet),
            series("an established packet, in the flood").took(known),
            ratio(
                "established packet, in the flood against none (aim: 1.10)",
                known,
                quiet,
            ),
            series("a new flow's packet, uncached path").took(uncached),
            series("a new flow's packet, in the flood").took(new),
            ratio(
                "new flow's packet, in the flood against uncached (aim: 1.25)",
                new,
                uncached,
            ),
        ]
    }
}

/// Segments of packets, made before they are timed.
struct Traffic {
    known: Vec<Packet>,
    at: usize,
    attack: Attack,
    next: u32,
}

impl Traffic {
    fn new(job: &Job, attack: Attack, established: u32) -> Self {
        Self {
            known: trace::packets(established as usize, Spread::Uniform, KNOWN, job.run),
            at: 0,
            attack,
            next: ATTACKERS.wrapping_add((job.run as u32) << 24),
        }
    }

    /// Packets of established flows.
    fn known(&mut self) -> Vec<IpMeta> {
        let segment = &self.known[self.at..self.at + SEGMENT];
        self.at = (self.at + SEGMENT) % self.known.len();
        metas(segment, TCP, &DATA)
    }

    /// Packets of flows that never were before, and what the flow table learns from them.
    fn new_flows(&mut self) -> (Vec<IpMeta>, Seen) {
        let (proto, seen) = self.attack.packet();
        let first = self.next;
        self.next = first.wrapping_add(ATTACK as u32);
        let packet = |n| Packet::of(first.wrapping_add(n));
        let packets: Vec<_> = (0..ATTACK as u32).map(packet).collect();
        (metas(&packets, proto, &seen), seen)
    }
}

impl Victim {
    fn new(capacity: usize) -> Self {
        let hops: Vec<Mac> = (1..=HOPS).map(|n| Mac([2, 0, 0, 0, 2, n])).collect();
        let gateway = Gateway::new(1, capacity, Mac([2, 0, 0, 0, 1, 1]), &hops);
        let slots: Vec<SlotNo> = (0..SLOTS as u16).map(SlotNo).collect();
        let path = gateway.path(&slots).with_bursts(BURST);
        Self {
            gateway,
            path,
            counters: Counters::new(1),
            ready: Vec::with_capacity(BURST),
            packets: 0,
        }
    }

    /// Flows whose both sides have been heard, pinned both ways.
    fn establish(&mut self, flows: u32) {
        let opening = [
            (false, segment(L4::SYN)),
            (true, segment(L4::SYN | L4::ACK)),
            (false, DATA),
        ];
        for flow in 0..flows {
            let packet = Packet::of(flow);
            for (back, seen) in &opening {
                let packet = if *back { packet.reply() } else { packet };
                let slot = self.path.slot(&tuple(&packet, TCP));
                let (meta, now) = (meta(&packet, TCP, seen), self.now());
                black_box(self.path.resolve(slot, &meta, seen, now, &self.counters));
            }
        }
    }

    /// Established packets alone, for `least`.
    fn quiet(&mut self, traffic: &mut Traffic, least: Duration) -> Spent {
        let mut spent = Spent::default();
        while spent.wall < least {
            self.decide(&traffic.known(), &DATA, Decide::Cached, &mut spent);
        }
        spent
    }

    /// The attack's packets by the route alone, for `least`.
    fn uncached(&mut self, traffic: &mut Traffic, least: Duration) -> Spent {
        let mut spent = Spent::default();
        while spent.wall < least {
            let (metas, seen) = traffic.new_flows();
            self.decide(&metas, &seen, Decide::Uncached, &mut spent);
        }
        spent
    }

    /// At least `packets` of the attack's, so that the table is full of it.
    fn fill(&mut self, traffic: &mut Traffic, packets: u64) {
        let mut spent = (Spent::default(), Spent::default());
        while spent.1.pieces < packets {
            self.turn(traffic, &mut spent);
        }
    }

    /// Both in turns, until the established ones have had `least`.
    fn flooded(&mut self, traffic: &mut Traffic, least: Duration) -> (Spent, Spent) {
        let mut spent = (Spent::default(), Spent::default());
        while spent.0.wall < least {
            self.turn(traffic, &mut spent);
        }
        spent
    }

    fn turn(&mut self, traffic: &mut Traffic, spent: &mut (Spent, Spent)) {
        let (metas, seen) = traffic.new_flows();
        self.decide(&metas, &seen, Decide::Cached, &mut spent.1);
        self.decide(&traffic.known(), &DATA, Decide::Cached, &mut spent.0);
    }

    /// The time now: packets are the clock.
    fn now(&self) -> Now {
        Now(1000 + self.packets / PACKETS_A_MS)
    }

    /// A segment of packets, burst by burst, timed as a whole.
    fn decide(&mut self, metas: &[IpMeta], seen: &Seen, how: Decide, spent: &mut Spent) {
        spent.on(|| {
            for burst in metas.chunks(BURST) {
                let now = self.now();
                match how {
                    Decide::Cached => self.cached(burst, seen, now),
                    Decide::Uncached => {
                        for meta in burst {
                            black_box(self.path.route_only(FibId(0), &meta.tuple, now));
                        }
                    }
                }
                self.packets += burst.len() as u64;
            }
            metas.len() as u64
        });
    }

    /// A burst through the flow table, as a worker takes it: all lookups are started, then each packet is decided.
    fn cached(&mut self, burst: &[IpMeta], seen: &Seen, now: Now) {
        let slots: [SlotNo; BURST] = std::array::from_fn(|i| {
            burst
                .get(i)
                .map_or(SlotNo(0), |meta| self.path.slot(&meta.tuple))
        });
        let asked = slots
            .iter()
            .zip(burst)
            .map(|(slot, meta)| Some((*slot, meta)));
        self.path.ready(asked, &mut self.ready);
        for (ready, meta) in self.ready.drain(..).zip(burst) {
            let decided = self
                .path
                .resolve_ready(ready, meta.role, seen, now, &self.counters);
            black_box(decided);
        }
        self.path.sweep_paced(HAND, now);
    }

    /// Both pins of every established flow; none of one that is gone.
    fn pins(&self, flows: u32) -> Vec<Option<[PinWord; 2]>> {
        let table = &self.gateway.tables.v4;
        let pins = |flow| {
            let packet = Packet::of(flow);
            let (key, _): (KeyV4, _) = packet.key(TCP);
            let slot = self.path.slot(&tuple(&packet, TCP));
            Some(
                table
                    .find(slot, flow_hash(table.secret(), &key), &key)?
                    .pins,
            )
        };
        (0..flows).map(pins).collect()
    }
}

fn tuple(packet: &Packet, proto: u8) -> Tuple {
    Tuple {
        addrs: Addrs::V4 {
            src: packet.src,
            dst: packet.dst,
        },
        sport: packet.sport,
        dport: packet.dport,
        proto,
    }
}

/// What `ip_input` would have read of a packet.
fn meta(packet: &Packet, proto: u8, seen: &Seen) -> IpMeta {
    let tuple = tuple(packet, proto);
    IpMeta {
        addrs: tuple.addrs,
        tuple,
        proto,
        ttl: 64,
        l4_off: 20,
        len: seen.bytes as u16,
        l4: seen.l4,
        ..IpMeta::default()
    }
}

fn metas(packets: &[Packet], proto: u8, seen: &Seen) -> Vec<IpMeta> {
    packets
        .iter()
        .map(|packet| meta(packet, proto, seen))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::args::tests::measured;

    #[test]
    fn every_attack_is_measured_and_takes_no_established_pin() {
        let job = Job::all(&measured("--only flood --flows 16k --seconds 0.01"), 1).remove(0);
        for attack in Attack::ALL {
            let samples = measure(&job, attack, Heap(|| 0)).expect("measured");
            let value = |what: &str| {
                let found = samples.iter().find(|sample| sample.series.what == what);
                found.expect("it is there").value
            };
            assert_eq!(value("established pins"), 8_000.0);
            assert_eq!(value("established pins lost"), 0.0, "{attack:?}");
            assert!(value("a new flow's packet, in the flood") > 0.0);
        }
    }

    #[test]
    fn a_pin_that_is_lost_is_seen() {
        let mut victim = Victim::new(4096);
        victim.establish(100);
        let before = victim.pins(101);
        assert_eq!(before.iter().filter(|pins| pins.is_none()).count(), 1);
        assert_eq!(before, victim.pins(101));
    }
}
