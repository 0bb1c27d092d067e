//! A flood of new flows against a worker with established ones: what a packet of either takes of the whole worker, from a
//! received frame to a sent one. (What of it is deciding where packets go, the binary `flows` measures.)
//!
//! Two workers have the same table and the same established flows, and are timed in turns; one of them meets four packets of the
//! attack for each established one, in segments that are timed apart.

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

/// Measures and prints a line for each kind of attack.
pub(super) fn measure(job: &Job) -> Result<(), String> {
    println!(
        "one worker, frames of {} bytes, {PLACES} places, half of them established; CPU time, medians of {} turns",
        job.size, job.runs
    );
    println!(
        "{:>16} {:>9} {:>12} {:>18} {:>15}",
        "attack", "quiet, ns", "in flood, ns", "times (aim: 1.10)", "attack's, ns"
    );
    for (name, l4) in ATTACKS {
        let [quiet, known, attack, times] = attacked(job, l4)?;
        println!("{name:>16} {quiet:>9.1} {known:>12.1} {times:>18.2} {attack:>15.1}");
    }
    Ok(())
}

/// Medians: an established packet quiet, in the flood, the attack's; how many times quiet it is in the flood.
fn attacked(job: &Job, l4: L4) -> Result<[f64; 4], String> {
    let mut quiet = Victim::new(job.size, l4)?;
    let mut flooded = Victim::new(job.size, l4)?;
    quiet.quiet(SEGMENTS);
    flooded.flood(2 * PLACES / ATTACK);
    let mut turns: [Vec<f64>; 4] = Default::default();
    for _ in 0..job.runs {
        let alone = quiet.quiet(SEGMENTS).cpu_ns();
        let (known, attack) = flooded.flood(SEGMENTS);
        let turn = [
            alone,
            known.cpu_ns(),
            attack.cpu_ns(),
            known.cpu_ns() / alone,
        ];
        turns
            .iter_mut()
            .zip(turn)
            .for_each(|(all, one)| all.push(one));
    }
    quiet.rig.all_passed()?;
    flooded.rig.all_passed()?;
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
    fn new(size: usize, attack: L4) -> Result<Self, String> {
        let [there, back] = frames(PLACES / 2, size);
        let mut rig = Rig::new(there, back, PLACES)?;
        rig.learn()?;
        // From now on all comes by the first port.
        rig.queues[1] = Box::new(Endless::new(Frames::new(size)));
        Ok(Self {
            rig,
            attack,
            size,
            packets: 0,
            flows: 0,
        })
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
            let new: Box<dyn Queue> = Box::new(Endless::new(self.new_flows()));
            let established = replace(&mut self.rig.queues[0], new);
            self.turn(ATTACK, &mut attack);
            self.rig.queues[0] = established;
            self.turn(KNOWN, &mut known);
        }
        (known, attack)
    }

    fn turn(&mut self, packets: usize, spent: &mut Spent) {
        let now = Now(NOW.0 + self.packets / PACKETS_A_MS);
        spent.on(|| self.rig.turn_at(now, packets));
        self.packets += packets as u64;
    }

    /// Frames of flows that never were before.
    fn new_flows(&mut self) -> Frames {
        let mut frames = Frames::new(self.size);
        for _ in 0..ATTACK {
            let flow = self.flows;
            self.flows = flow.wrapping_add(1);
            // From anywhere: nobody asks here whether the way back leads there.
            let from = (0x2d00_0000 + (flow >> 8)).into();
            frames.push_as(
                self.attack,
                (from, 1024 + (flow & 0xff) as u16),
                ([20, 0, 0, 1].into(), 80),
            );
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::args;

    #[test]
    fn new_flows_and_established_ones_are_forwarded() {
        let mut victim = Victim {
            rig: {
                let [there, back] = frames(100, 60);
                Rig::new(there, back, 65_536).expect("a rig")
            },
            attack: ATTACKS[0].1,
            size: 60,
            packets: 0,
            flows: 0,
        };
        let (known, attack) = victim.flood(2);
        assert!(known.pieces >= 2 * KNOWN as u64 && attack.pieces >= 2 * ATTACK as u64);
        victim.rig.all_passed().expect("all passed");
        assert_eq!(victim.flows, 2 * ATTACK as u32);
        assert!(args(["core", "--flood"].map(Into::into).into_iter()).is_ok());
    }
}
