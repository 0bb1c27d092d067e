//! A flood of new flows against a worker with established ones: what a packet of either takes of the whole worker, from a
//! received frame to a sent one. (What of it is deciding where packets go, the binary `flows` measures.)
//!
//! Three workers are timed in turns. Two have the same table and the same established flows; one of them meets four packets of
//! the attack for each established one, in segments that are timed apart. The third has no flow cache, so that its packets of
//! the attack go by the route alone: validated, looked up, chosen for and sent as the others are.

use super::{Job, Rig, frames};
use crate::common::stats::Summary;
use crate::common::timing::Spent;
use crate::rig::{Endless, Frames, L4, NOW};
use stack::Now;
use stack::io::Queue;
use std::mem::replace;

/// Places of the flow table, of which established flows have half.
const PLACES: usize = 1_000_000;
/// Packets of a segment: of established flows, of the attack.
const KNOWN: usize = 256;
const ATTACK: usize = 1024;
/// Segments of each in a turn.
const SEGMENTS: usize = 200;
/// Packets in a millisecond: they are the clock.
const PACKETS_A_MS: u64 = 5_000;
const ATTACKS: [(&str, L4); 3] = [
    ("TCP openers", L4::Opener),
    ("TCP non-openers", L4::Segment),
    ("UDP", L4::Udp),
];

/// Places of the table of a run that is counted, not timed.
const FEW_PLACES: usize = 16_384;
/// Packets that are ready for it; more begin again.
const COUNTED: usize = 1 << 16;

/// Forwards so many packets that open a connection each, through a table that is full of such, and half of which
/// established flows have.
pub(super) fn forward(packets: usize, size: usize) -> Result<(), String> {
    let mut victim = Victim::new(size, L4::Opener, FEW_PLACES)?;
    victim.flood(4 * FEW_PLACES / ATTACK);
    victim.forward(packets)
}

/// The same by a worker without a flow cache.
pub(super) fn forward_uncached(packets: usize, size: usize) -> Result<(), String> {
    Victim::uncached(size, L4::Opener, FEW_PLACES)?.forward(packets)
}

/// Measures and prints a line for each kind of attack.
pub(super) fn measure(job: &Job) -> Result<(), String> {
    println!(
        "one worker, frames of {} bytes, {PLACES} places, half of them established; CPU time, medians of {} turns",
        job.size, job.runs
    );
    println!(
        "{:>16} {:>9} {:>12} {:>18} {:>15} {:>12} {:>18}",
        "attack",
        "quiet, ns",
        "in flood, ns",
        "times (aim: 1.10)",
        "attack's, ns",
        "uncached, ns",
        "times (aim: 1.25)"
    );
    for (name, l4) in ATTACKS {
        let [quiet, known, times, attack, uncached, cached] = attacked(job, l4)?;
        println!(
            "{name:>16} {quiet:>9.1} {known:>12.1} {times:>18.2} {attack:>15.1} {uncached:>12.1} {cached:>18.2}"
        );
    }
    Ok(())
}

/// Medians: an established packet quiet and in the flood, how many times that is; one of the attack and one of the same
/// uncached, how many times that is.
fn attacked(job: &Job, l4: L4) -> Result<[f64; 6], String> {
    let mut quiet = Victim::new(job.size, l4, PLACES)?;
    let mut flooded = Victim::new(job.size, l4, PLACES)?;
    let mut uncached = Victim::uncached(job.size, l4, PLACES)?;
    quiet.quiet(SEGMENTS);
    flooded.flood(2 * PLACES / ATTACK);
    let mut turns: [Vec<f64>; 6] = Default::default();
    for _ in 0..job.runs {
        let alone = quiet.quiet(SEGMENTS).cpu_ns();
        let (known, attack) = flooded.flood(SEGMENTS);
        let (known, attack) = (known.cpu_ns(), attack.cpu_ns());
        let (_, bare) = uncached.flood(SEGMENTS);
        let bare = bare.cpu_ns();
        let turn = [alone, known, known / alone, attack, bare, attack / bare];
        turns
            .iter_mut()
            .zip(turn)
            .for_each(|(all, one)| all.push(one));
    }
    for victim in [&quiet, &flooded, &uncached] {
        victim.rig.all_passed()?;
    }
    uncached.rig.none_pinned()?;
    Ok(turns.map(|all| Summary::of(&all).map_or(f64::NAN, |all| all.median)))
}

/// A worker with established flows, and who attacks it.
struct Victim {
    rig: Rig,
    attack: L4,
    size: usize,
    /// Packets so far.
    packets: u64,
    /// Flows of the attack so far.
    flows: u32,
}

impl Victim {
    fn new(size: usize, attack: L4, places: usize) -> Result<Self, String> {
        let [there, back] = frames(places / 2, size);
        let mut rig = Rig::new(there, back, places)?;
        rig.learn()?;
        Ok(Self::of(rig, size, attack))
    }

    /// A worker without a flow cache.
    fn uncached(size: usize, attack: L4, places: usize) -> Result<Self, String> {
        // As many flows as the others have, so that as many frames are read.
        let [there, back] = frames(places / 2, size);
        let rig = Rig::new(there, back, FEW_PLACES)?.uncached();
        Ok(Self::of(rig, size, attack))
    }

    fn of(mut rig: Rig, size: usize, attack: L4) -> Self {
        // From now on all comes by the first port.
        rig.queues[1] = Box::new(Endless::new(Frames::new(size)));
        Self {
            rig,
            attack,
            size,
            packets: 0,
            flows: 0,
        }
    }

    /// Segments of established packets alone.
    fn quiet(&mut self, segments: usize) -> Spent {
        let mut spent = Spent::default();
        (0..segments).for_each(|_| self.turn(KNOWN, &mut spent));
        spent
    }

    /// Segments of both.
    fn flood(&mut self, segments: usize) -> (Spent, Spent) {
        let (mut known, mut attack) = (Spent::default(), Spent::default());
        for _ in 0..segments {
            self.attack(&mut attack);
            self.turn(KNOWN, &mut known);
        }
        (known, attack)
    }

    /// So many packets of the attack.
    fn forward(&mut self, packets: usize) -> Result<(), String> {
        // Made in any case, so that they do not count.
        let new = self.new_flows(COUNTED);
        self.rig.queues[0] = Box::new(Endless::new(new));
        for _ in 0..packets.div_ceil(ATTACK) {
            self.turn(ATTACK, &mut Spent::default());
        }
        self.rig.all_passed()
    }

    /// A segment of the attack.
    fn attack(&mut self, spent: &mut Spent) {
        let new: Box<dyn Queue> = Box::new(Endless::new(self.new_flows(ATTACK)));
        let established = replace(&mut self.rig.queues[0], new);
        self.turn(ATTACK, spent);
        self.rig.queues[0] = established;
    }

    fn turn(&mut self, packets: usize, spent: &mut Spent) {
        let now = Now(NOW.0 + self.packets / PACKETS_A_MS);
        spent.on(|| self.rig.turn_at(now, packets));
        self.packets += packets as u64;
    }

    /// So many frames of flows that never were before.
    fn new_flows(&mut self, frames: usize) -> Frames {
        let mut new = Frames::new(self.size);
        for _ in 0..frames {
            let flow = self.flows;
            self.flows = flow.wrapping_add(1);
            // From anywhere: nobody asks here whether the way back leads there.
            let from = (0x2d00_0000 + (flow >> 8)).into();
            new.push_as(
                self.attack,
                (from, 1024 + (flow & 0xff) as u16),
                ([20, 0, 0, 1].into(), 80),
            );
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::args;

    #[test]
    fn new_flows_and_established_ones_are_forwarded() {
        let [there, back] = frames(100, 60);
        let rig = Rig::new(there, back, 65_536).expect("a rig");
        let mut victim = Victim::of(rig, 60, ATTACKS[0].1);
        let (known, attack) = victim.flood(2);
        assert!(known.pieces >= 2 * KNOWN as u64 && attack.pieces >= 2 * ATTACK as u64);
        victim.rig.all_passed().expect("all passed");
        assert_eq!(victim.flows, 2 * ATTACK as u32);
        let mut uncached = Victim::uncached(60, ATTACKS[0].1, 1000).expect("a rig");
        let (_, attack) = uncached.flood(2);
        assert!(attack.pieces >= 2 * ATTACK as u64);
        uncached.rig.none_pinned().expect("none pinned");
        assert!(victim.rig.none_pinned().is_err());
        assert!(args(["core", "--flood"].map(Into::into).into_iter()).is_ok());
    }
}
