//! New flows at full speed against a gateway with established ones.
//!
//! Segments of established packets and of the attack's take turns on one thread, four of the attack's packets for each
//! other one, and are timed apart; the hand sweeps after each burst, and counts to the segment that it follows.
//! The uncached path beside it looks the route up and lets the group choose, and keeps nothing: for the attack's packets
//! alone, and in the same turns with the established ones, which shows what any work between their segments costs them.

use super::args::Section;
use super::job::Job;
use super::report::{Sample, Series};
use super::trace::{self, Spread};
use super::victim::{Decide, Victim, metas};
use super::world::{DATA, DATAGRAM, Packet, TCP, UDP, segment};
use crate::common::memory::Heap;
use crate::common::timing::Spent;
use flowtable::{L4, Seen};
use serde::{Deserialize, Serialize};
use stack::parse::IpMeta;
use std::time::Duration;

/// Share of the table's places that established flows have.
const ESTABLISHED: f64 = 0.5;
/// Packets of a segment: of established flows, of the attack.
const SEGMENT: usize = 256;
const ATTACK: usize = 1024;
/// Packets of established flows whose order is ready; a multiple of a segment.
const KNOWN: usize = 1 << 20;
/// Flows of the attack have numbers from here on.
pub(super) const ATTACKERS: u32 = 1 << 30;

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
    victim.turn(&mut traffic, Decide::Cached, &mut Default::default());
    let memory = heap.now();
    let (beside, _) = victim.flooded(&mut traffic, Decide::Uncached, job.least());
    victim.fill(&mut traffic, 2 * job.flows as u64);
    let flooded = victim.flooded(&mut traffic, Decide::Cached, job.least());
    let grown = heap.now().since(memory).resident;
    let after = victim.pins(established);
    let lost = before.iter().zip(&after).filter(|(a, b)| a != b).count();
    let times = Times {
        quiet,
        uncached,
        beside,
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
    /// Established ones beside the attack's by the route alone.
    beside: Spent,
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
            beside,
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
            series("an established packet, beside the same packets uncached").took(beside),
            ratio(
                "established packet, in the flood against beside it uncached",
                known,
                beside,
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
            self.turn(traffic, Decide::Cached, &mut spent);
        }
    }

    /// Both in turns, until the established ones have had `least`; the attack's go this way.
    fn flooded(&mut self, traffic: &mut Traffic, how: Decide, least: Duration) -> (Spent, Spent) {
        let mut spent = (Spent::default(), Spent::default());
        while spent.0.wall < least {
            self.turn(traffic, how, &mut spent);
        }
        spent
    }

    fn turn(&mut self, traffic: &mut Traffic, how: Decide, spent: &mut (Spent, Spent)) {
        let (metas, seen) = traffic.new_flows();
        self.decide(&metas, &seen, how, &mut spent.1);
        self.decide(&traffic.known(), &DATA, Decide::Cached, &mut spent.0);
    }
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
}
