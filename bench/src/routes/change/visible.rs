//! How soon a reader obeys a change.
//!
//! The reader looks up bursts, one lane of which is an address whose answer control will change. It notes
//! the time at the end of the first burst that gives the new answer: so each number has up to one burst in it
//! that began before the change.

use super::super::report::Report;
use super::super::router::Router;
use super::super::table::Route;
use super::Bench;
use super::reader::{BURST, Traffic};
use crate::clock;
use crate::common::pair::{STOP, WARM, together};
use crate::prefixes::address_in;
use fastrand::Rng;
use route::{GroupId, View};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::{Duration, Instant};

/// Most routes that are tried.
const PROBES: usize = 2000;
/// The longest pause before a change, so that it falls anywhere in a burst.
const PAUSE_NS: u64 = 20_000;
/// A change that is not obeyed by then never will be.
const PATIENCE: Duration = Duration::from_secs(2);
/// Looks at a word before the CPU is offered to others.
const SPINS: u32 = 10_000;

/// A route, and an address that has another answer without it.
struct Probe {
    route: Route,
    addr: IpAddr,
}

/// Words between the two threads. Changes are numbered from 1.
struct Shared {
    phase: AtomicU32,
    base: Instant,
    /// The change that the reader is to watch for.
    asked: AtomicUsize,
    /// The reader knows the answer before that change.
    armed: AtomicUsize,
    /// The change was obeyed, at that time.
    obeyed: AtomicUsize,
    at_ns: AtomicU64,
}

/// One change, in microseconds.
struct Seen {
    call: f64,
    from_start: f64,
    from_return: f64,
}

/// Deletes and adds routes one by one.
pub(super) fn measure(bench: &mut Bench<'_>, report: &mut Report) -> Result<(), String> {
    let probes = probes(
        bench.churn.pool(),
        &mut bench.router,
        bench.args.visible / 2,
    )?;
    if probes.is_empty() {
        report.skip("visibility: no route changes an answer".into());
        return Ok(());
    }
    let shared = Shared {
        phase: AtomicU32::new(WARM),
        base: clock::now(),
        asked: AtomicUsize::new(0),
        armed: AtomicUsize::new(0),
        obeyed: AtomicUsize::new(0),
        at_ns: AtomicU64::new(0),
    };
    let (view, router, changes) = (
        Arc::clone(&bench.router.view),
        &mut bench.router,
        bench.args.visible,
    );
    let control = || shared.change_all(router, &probes, changes);
    let read = || shared.read(&view, &bench.traffic, &probes);
    let (seen, ()) = together(&bench.cpus, &shared.phase, control, read)?;
    let all = |of: fn(&Seen) -> f64| seen.iter().map(of).collect::<Vec<f64>>();
    report.percentiles("visibility", "the call itself", all(|seen| seen.call), "us");
    report.percentiles(
        "visibility",
        "obeyed after the call began",
        all(|seen| seen.from_start),
        "us",
    );
    report.percentiles(
        "visibility",
        "obeyed after the call returned",
        all(|seen| seen.from_return),
        "us",
    );
    Ok(())
}

/// Routes whose removal changes an answer. Nobody reads yet.
fn probes(pool: &[Route], router: &mut Router, wanted: usize) -> Result<Vec<Probe>, String> {
    let mut rng = Rng::with_seed(13);
    let mut probes = Vec::new();
    for route in pool.iter().take(4 * PROBES) {
        if probes.len() >= wanted.clamp(1, PROBES) {
            break;
        }
        let addr = address_in(&(route.prefix.addr(), route.prefix.len()), &mut rng);
        let with = answer(&router.view, addr);
        router.delete(route)?;
        let without = answer(&router.view, addr);
        router.add(route)?;
        if with != without {
            probes.push(Probe {
                route: *route,
                addr,
            });
        }
    }
    router.tick();
    Ok(probes)
}

fn answer(view: &View, addr: IpAddr) -> Option<GroupId> {
    match addr {
        IpAddr::V4(addr) => view.lookup4(addr.to_bits()),
        IpAddr::V6(addr) => view.lookup6(addr.to_bits()),
    }
}

impl Shared {
    /// Control: deletes and adds each probe's route in turn, `changes` in all.
    fn change_all(
        &self,
        router: &mut Router,
        probes: &[Probe],
        changes: usize,
    ) -> Result<Vec<Seen>, String> {
        let mut rng = Rng::with_seed(14);
        let mut seen = Vec::with_capacity(changes);
        for number in 1..=changes.next_multiple_of(2) {
            let route = &probes[probe_of(number, probes.len())].route;
            self.asked.store(number, Release);
            self.wait(&self.armed, number)?;
            let until = clock::now() + Duration::from_nanos(rng.u64(..PAUSE_NS));
            while clock::now() < until {
                std::hint::spin_loop();
            }
            let began = clock::now();
            match number % 2 {
                1 => router.delete(route)?,
                _ => router.add(route)?,
            }
            let returned = clock::now();
            self.wait(&self.obeyed, number)?;
            let at = self.base + Duration::from_nanos(self.at_ns.load(Relaxed));
            let us =
                |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64() * 1e6;
            seen.push(Seen {
                call: us(began, returned),
                from_start: us(began, at),
                from_return: us(returned, at),
            });
        }
        router.tick();
        Ok(seen)
    }

    /// Until a word has reached a number.
    fn wait(&self, word: &AtomicUsize, number: usize) -> Result<(), String> {
        let (began, mut spins) = (clock::now(), 0);
        while word.load(Acquire) != number {
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
                continue;
            }
            std::thread::yield_now();
            if began.elapsed() > PATIENCE {
                return Err(format!(
                    "change {number} was not obeyed in {} s",
                    PATIENCE.as_secs()
                ));
            }
        }
        Ok(())
    }

    /// The reader: bursts of the family of the probe that is asked for.
    fn read(&self, view: &View, traffic: &Traffic, probes: &[Probe]) {
        let reader = view.qsbr().reader(0);
        let mut lanes = Lanes::new(traffic);
        while self.phase.load(Relaxed) != STOP {
            reader.quiescent();
            let asked = self.asked.load(Acquire);
            if asked == 0 {
                continue;
            }
            let addr = probes[probe_of(asked, probes.len())].addr;
            let before = lanes.burst(view, addr);
            self.armed.store(asked, Release);
            loop {
                reader.quiescent();
                if lanes.burst(view, addr) != before {
                    let at = clock::now().saturating_duration_since(self.base);
                    self.at_ns.store(at.as_nanos() as u64, Relaxed);
                    self.obeyed.store(asked, Release);
                    break;
                }
                if self.phase.load(Relaxed) == STOP {
                    return;
                }
            }
            // What follows is asked for soon; bursts go on meanwhile.
            while self.asked.load(Relaxed) == asked && self.phase.load(Relaxed) != STOP {
                reader.quiescent();
                lanes.burst(view, addr);
            }
        }
    }
}

/// The probe of a change: two changes each, a removal and an addition.
const fn probe_of(change: usize, probes: usize) -> usize {
    (change - 1) / 2 % probes
}

/// The reader's bursts.
struct Lanes<'a> {
    traffic: &'a Traffic,
    at: usize,
    v4: [u32; BURST],
    v6: [u128; BURST],
    groups: [Option<GroupId>; BURST],
}

impl<'a> Lanes<'a> {
    const fn new(traffic: &'a Traffic) -> Self {
        Self {
            traffic,
            at: 0,
            v4: [0; BURST],
            v6: [0; BURST],
            groups: [None; BURST],
        }
    }

    /// Looks up a burst with `addr` in its first lane; returns the answer there.
    fn burst(&mut self, view: &View, addr: IpAddr) -> Option<GroupId> {
        let lanes = self.at..self.at + BURST;
        self.at = (self.at + BURST) % self.traffic.v4().len();
        match addr {
            IpAddr::V4(addr) => {
                self.v4.copy_from_slice(&self.traffic.v4()[lanes]);
                self.v4[0] = addr.to_bits();
                view.lookup4_burst(&self.v4, &mut self.groups);
            }
            IpAddr::V6(addr) => {
                self.v6.copy_from_slice(&self.traffic.v6()[lanes]);
                self.v6[0] = addr.to_bits();
                view.lookup6_burst(&self.v6, &mut self.groups);
            }
        }
        self.groups[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_probe_has_a_removal_and_an_addition() {
        let probes: Vec<usize> = (1..=8).map(|change| probe_of(change, 3)).collect();
        assert_eq!(probes, [0, 0, 1, 1, 2, 2, 0, 0]);
    }
}
