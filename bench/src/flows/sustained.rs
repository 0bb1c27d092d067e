//! New flows for ten simulated minutes, a thousand or a million a second: whether anything stops, and how soon all is as
//! it was when they end.
//!
//! Established flows, a tenth of the table, send all the time. Bursts come millisecond by millisecond of simulated time
//! and are timed one by one (CPU time of the thread, so that the machine's other work is not taken for a stall).

use super::args::Section;
use super::flood::ATTACKERS;
use super::job::Job;
use super::report::{Sample, Series};
use super::trace::{self, Spread};
use super::victim::{BURST, Decide, Victim, metas};
use super::world::{DATA, Packet, TCP, segment};
use crate::common::memory::Heap;
use crate::common::timing::Spent;
use flowtable::{L4, Seen};
use stack::Now;

/// New flows a second.
pub(super) const RATES: [u64; 2] = [1_000, 1_000_000];
/// Simulated seconds for each second that measurements are asked to take: ten minutes by default.
const SIMULATED: f64 = 2_000.0;
/// Seconds in which the hand must have been everywhere: two buckets a burst, a burst a millisecond, and a round that had
/// begun before; a table of a hundred million takes an hour.
const ROUND_MAX_S: u64 = 2 * 3600;
/// Packets of established flows in a millisecond.
const KNOWN_A_MS: usize = 10;
const ESTABLISHED: usize = 10;
/// What is said of the hand.
const ROUND: &str = "the hand had been round after";
/// When it begins, ms.
const START: u64 = 1_000;

/// One rate.
pub(super) fn measure(job: &Job, rate: u64, heap: Heap) -> Result<Vec<Sample>, String> {
    let established = (job.flows / ESTABLISHED) as u32;
    let seconds = (job.seconds * SIMULATED).clamp(1.0, 600.0) as u64;
    let mut run = Run::new(job, established);
    let pins = run.victim.pins(established);
    let before = run.quiet(job, START);
    let memory = heap.now();
    let end = START + seconds * 1000;
    (START..end).for_each(|ms| run.millisecond(ms, rate));
    let grown = heap.now().since(memory).resident;
    let stats = run.victim.gateway.tables.v4.stats();
    let (flood, longest) = (run.new, run.longest);
    let round = run.round_after(end)?;
    let after = run.quiet(job, round);
    let left = run.victim.pins(established);
    let lost = pins.iter().zip(&left).filter(|(a, b)| a != b).count();
    let found = |what: &str, unit: &str, value: f64| {
        let series = Series::new(Section::Sustained, what, job.flows);
        series
            .traffic(&format!("{rate} a second"))
            .unit(unit)
            .is(value)
    };
    Ok(vec![
        found("simulated", "s", seconds as f64),
        found("a new flow's packet, on average", "ns", flood.cpu_ns()),
        found("the longest burst of 32", "us", longest / 1000.0),
        found("established packet before", "ns", before.cpu_ns()),
        found("established packet one sweep after", "ns", after.cpu_ns()),
        found(ROUND, "s", (round - end) as f64 / 1000.0),
        found("established pins lost", "pins", lost as f64),
        found("resident memory grew by", "bytes", grown as f64),
        found("entries when it ended", "flows", stats.used as f64),
        found(
            "entries evicted",
            "flows",
            stats.evicted.iter().sum::<u64>() as f64,
        ),
        found("new flows refused", "flows", stats.refused as f64),
    ])
}

struct Run {
    victim: Victim,
    known: Vec<Packet>,
    at: usize,
    next: u32,
    new: Spent,
    /// CPU time of the longest burst, ns.
    longest: f64,
}

impl Run {
    fn new(job: &Job, established: u32) -> Self {
        let mut victim = Victim::new(job.flows);
        victim.set_clock(Now(START));
        victim.establish(established);
        Self {
            victim,
            known: trace::packets(established as usize, Spread::Uniform, 1 << 18, job.run),
            at: 0,
            next: ATTACKERS,
            new: Spent::default(),
            longest: 0.0,
        }
    }

    /// What a packet of an established flow costs when there is nothing else.
    fn quiet(&mut self, job: &Job, ms: u64) -> Spent {
        self.victim.set_clock(Now(ms));
        let mut spent = Spent::default();
        while spent.wall < job.least() {
            let packets = self.known(256);
            self.victim
                .decide(&packets, &DATA, Decide::Cached, &mut spent);
        }
        spent
    }

    fn known(&mut self, packets: usize) -> Vec<stack::parse::IpMeta> {
        self.at = if self.at + packets > self.known.len() {
            0
        } else {
            self.at
        };
        let from = self.at;
        self.at += packets;
        metas(&self.known[from..from + packets], TCP, &DATA)
    }

    /// A millisecond with its share of `rate` new flows a second.
    fn millisecond(&mut self, ms: u64, rate: u64) {
        self.victim.set_clock(Now(ms));
        let known = self.known(KNOWN_A_MS);
        let mut spent = Spent::default();
        self.burst(&known, &DATA, &mut spent);
        let new = (rate / 1000) as u32;
        let (first, syn) = (self.next, segment(L4::SYN));
        self.next = first.wrapping_add(new);
        for from in (0..new).step_by(BURST) {
            let to = (from + BURST as u32).min(new);
            let packets: Vec<_> = (from..to)
                .map(|n| Packet::of(first.wrapping_add(n)))
                .collect();
            let metas = metas(&packets, TCP, &syn);
            let mut spent = Spent::default();
            self.burst(&metas, &syn, &mut spent);
            self.new.add(&spent);
        }
    }

    /// Established flows alone, from `end` on, until the hand has made a whole round that began later. When that was.
    fn round_after(&mut self, end: u64) -> Result<u64, String> {
        let over = Now(end).tick();
        for ms in end..end + ROUND_MAX_S * 1000 {
            self.millisecond(ms, 0);
            let swept = self.victim.gateway.tables.v4.swept_since();
            if swept.is_some_and(|since| since > over) {
                return Ok(ms);
            }
        }
        Err("the hand never came round".to_owned())
    }

    fn burst(&mut self, metas: &[stack::parse::IpMeta], seen: &Seen, spent: &mut Spent) {
        self.victim.decide(metas, seen, Decide::Cached, spent);
        self.longest = self.longest.max(spent.cpu_ns() * spent.pieces as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::args::tests::measured;

    #[test]
    fn a_flood_that_lasts_takes_no_pin_and_fills_what_it_may() {
        let mut job = Job::all(&measured("--only sustained --flows 16k"), 1).remove(0);
        job.seconds = 0.002;
        for rate in RATES {
            let samples = measure(&job, rate, Heap(|| 0)).expect("measured");
            let value = |what: &str| {
                let found = samples.iter().find(|sample| sample.series.what == what);
                found.expect("it is there").value
            };
            assert_eq!(value("established pins lost"), 0.0);
            // These are timed.
            assert!(value("established packet one sweep after") > 0.0);
            assert!(value("the longest burst of 32") > 0.0);
            let seconds = value("simulated");
            assert_eq!(seconds, 4.0);
            let (stayed, evicted) = (value("entries when it ended"), value("entries evicted"));
            let refused = value("new flows refused");
            let (few, established) = (rate == 1_000, (job.flows / ESTABLISHED) as f64);
            assert_eq!(stayed == established + 4000.0, few);
            assert_eq!(evicted == 0.0, few);
            assert_eq!(refused > 0.0, rate == 1_000_000);
            // At the pace of once in ten seconds, and what was left of the round before.
            let round = value(ROUND);
            assert!((10.0..=21.0).contains(&round), "{round} s");
        }
    }

    #[test]
    fn a_hand_that_is_slower_than_its_pace_is_waited_for() {
        // 25,088 buckets, two a millisecond: 12.5 s a round.
        let mut job = Job::all(&measured("--only sustained --flows 600k"), 1).remove(0);
        job.seconds = 0.0005;
        let mut run = Run::new(&job, 1000);
        let end = START + 1000;
        (START..end).for_each(|ms| run.millisecond(ms, 1000));
        let round = run.round_after(end).expect("it comes round") - end;
        assert!((12_544..=25_300).contains(&round), "{round} ms");
    }
}
