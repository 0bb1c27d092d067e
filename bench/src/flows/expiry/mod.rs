//! What it costs a packet that flows have lifetimes.
//!
//! Every way does the same with a packet: it finds the flow in Flowgate's table and follows it, in bursts. Then it keeps
//! the flow's lifetime:
//! - [`Keeper::Hand`]: nothing more. The entry knows when it was last used, and a hand frees what has expired, a few
//!   buckets a burst, as a worker's does.
//! - the others have a timer for each flow, re-armed by each packet (if that changes when it fires), in a sorted list, a
//!   hierarchical wheel or a binary heap, and fire what is due after each burst.
//!
//! Time passes as at a million packets a second; timers have milliseconds.

mod heap;
mod list;
mod wheel;

use super::args::Section;
use super::job::Job;
use super::ours::{BURST, capacity, establish_all, stages, table};
use super::report::{OURS, Sample, Series};
use super::trace::{self, Spread};
use super::world::{DATA, Packet, START, TCP, Truth};
use crate::common::timing::repeat;
use flowtable::{Burst, KeyV4, Tick, Writer};
use serde::{Deserialize, Serialize};

/// The number that no flow has.
const NOBODY: u32 = u32::MAX;
/// Packets in a millisecond.
const PACKETS_A_MS: usize = 1000;
/// Buckets that the hand visits a burst at most, as a busy worker does.
const HAND: usize = 2;
/// Packets whose order is ready.
const PACKETS: usize = 1 << 21;
/// Pieces of packets before time is taken.
const WARM: usize = PACKETS >> 13;
/// A sorted list is walked from its head: beyond so many flows that takes too long to wait for.
pub(super) const LONGEST_LIST: usize = 10_000;
/// Lifetimes of flows, ms: those of a closed and an opening connection, of UDP and of an established one.
const LIFETIMES: [u32; 4] = [60_000, 75_000, 300_000, 7_440_000];

/// How lifetimes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Keeper {
    /// Not at all: what the rest costs.
    Nobody,
    /// Last use in the entry, and a hand.
    Hand,
    List,
    Wheel,
    Heap,
}

impl Keeper {
    pub(super) const ALL: [Self; 5] = [
        Self::Nobody,
        Self::Hand,
        Self::List,
        Self::Wheel,
        Self::Heap,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nobody => "no lifetimes",
            Self::Hand => OURS,
            Self::List => "sorted list",
            Self::Wheel => "timer wheel",
            Self::Heap => "binary heap",
        }
    }

    /// Packets between two looks at the clock: few of what is slow.
    fn piece(self) -> usize {
        if self == Self::List { 1 << 8 } else { 1 << 13 }
    }

    fn timers(self, flows: usize) -> Option<Box<dyn Timers>> {
        match self {
            Self::Nobody | Self::Hand => None,
            Self::List => Some(Box::new(list::List::new(flows))),
            Self::Wheel => Some(Box::new(wheel::Wheel::new(flows))),
            Self::Heap => Some(Box::new(heap::Heap::new(flows))),
        }
    }

    /// Whether so many flows can be waited for.
    pub(super) fn bears(self, flows: usize) -> bool {
        self != Self::List || flows <= LONGEST_LIST
    }
}

/// A timer for each flow.
trait Timers {
    /// The flow's timer will fire at `at`, ms, whatever it was before.
    fn arm(&mut self, flow: u32, at: u32);
    /// Fires what is due at `now`; how many.
    fn advance(&mut self, now: u32) -> usize;
}

/// When a flow's timer fires if it has a packet now.
fn deadline(flow: u32, now: u32) -> u32 {
    now + LIFETIMES[flow as usize % LIFETIMES.len()]
}

/// Times one way.
pub(super) fn measure(job: &Job, keeper: Keeper) -> Result<Vec<Sample>, String> {
    let mut lives = Lives::new(job, keeper);
    let piece = keeper.piece();
    let number = (4 * job.flows).next_multiple_of(piece).min(PACKETS);
    let packets = trace::packets(job.flows, Spread::Uniform, number, job.run);
    // Once round first, as far as that is quick: caches, the wheel's levels and the heap's order are then as they will
    // be.
    packets
        .chunks(piece)
        .take(WARM)
        .for_each(|piece| lives.bursts(piece));
    let mut pieces = packets.chunks_exact(piece).cycle();
    let spent = repeat(job.least(), || {
        let piece = pieces.next().unwrap_or_default();
        lives.bursts(piece);
        piece.len() as u64
    });
    let series = Series::new(Section::Expiry, "a packet", job.flows);
    let detail = if keeper == Keeper::Hand { "hand" } else { "" };
    Ok(vec![series.way(keeper.name(), detail).took(&spent)])
}

/// Flows with lifetimes.
struct Lives {
    writer: Writer<KeyV4>,
    flows: Burst<KeyV4>,
    timers: Option<Box<dyn Timers>>,
    /// Buckets that the hand visits a burst.
    hand: usize,
    /// Packets so far: they are the clock.
    packets: usize,
}

impl Lives {
    /// A table of connections, and a timer for each if they are kept so.
    fn new(job: &Job, keeper: Keeper) -> Self {
        let (_, mut writer) = table(capacity(job.flows));
        establish_all(&mut writer, 0..job.flows as u32, &Truth::new(), START);
        let mut timers = keeper.timers(job.flows);
        if let Some(timers) = &mut timers {
            (0..job.flows as u32).for_each(|flow| timers.arm(flow, deadline(flow, 0)));
        }
        Self {
            writer,
            flows: Burst::new(BURST),
            timers,
            hand: if keeper == Keeper::Hand { HAND } else { 0 },
            packets: 0,
        }
    }

    /// Packets, in bursts.
    fn bursts(&mut self, packets: &[Packet]) {
        for burst in packets.as_chunks::<BURST>().0 {
            self.packets += BURST;
            let ms = (self.packets / PACKETS_A_MS) as u32;
            let now = Tick(START.0 + ms / 100);
            stages(&self.writer, &mut self.flows, burst, TCP, now);
            for (which, packet) in (0..).zip(burst) {
                let flow = self.flows.get(which);
                std::hint::black_box(flow.map(|flow| self.writer.touch(&flow, &DATA, now)));
                if let Some(timers) = &mut self.timers {
                    timers.arm(packet.flow, deadline(packet.flow, ms));
                }
            }
            if let Some(timers) = &mut self.timers {
                std::hint::black_box(timers.advance(ms));
            }
            if self.hand > 0 {
                self.writer.sweep_paced(self.hand, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::args::tests::measured;
    use fastrand::Rng;

    /// Every way fires each timer once, at its time, whatever was armed before.
    fn obeys(timers: &mut dyn Timers) {
        let mut rng = Rng::with_seed(5);
        let mut due = vec![0; 200];
        let mut fired = 0;
        for now in 1..20_000 {
            for _ in 0..3 {
                let flow = rng.usize(..due.len());
                due[flow] = now + rng.u32(1..9_000);
                timers.arm(flow as u32, due[flow]);
            }
            let expected = due.iter().filter(|at| **at == now).count();
            due.iter_mut()
                .filter(|at| **at == now)
                .for_each(|at| *at = 0);
            assert_eq!(timers.advance(now), expected, "at {now}");
            fired += expected;
        }
        assert!(fired > 50, "{fired}");
    }

    #[test]
    fn a_list_a_wheel_and_a_heap_fire_each_timer_when_it_is_due() {
        obeys(&mut list::List::new(200));
        obeys(&mut wheel::Wheel::new(200));
        obeys(&mut heap::Heap::new(200));
    }

    #[test]
    fn timers_that_were_never_armed_again_fire_too() {
        for timers in [
            &mut list::List::new(9) as &mut dyn Timers,
            &mut wheel::Wheel::new(9),
            &mut heap::Heap::new(9),
        ] {
            (0..9).for_each(|flow| timers.arm(flow, deadline(flow, 0)));
            let fired: usize = (1..=7_440)
                .map(|second| timers.advance(second * 1000))
                .sum();
            assert_eq!(fired, 9);
        }
    }

    #[test]
    fn every_way_is_measured() {
        let job = Job::all(&measured("--only expiry --flows 1k --seconds 0.01"), 1).remove(0);
        for keeper in Keeper::ALL {
            let samples = measure(&job, keeper).expect("measured");
            assert!(samples[0].value > 0.0, "{samples:?}");
        }
    }
}
