//! How soon the worker sends a flow by a changed route.
//!
//! Each burst is led by a packet of one flow, whose route control gives another next hop. The port notes when the
//! first packet of it leaves by that: so each number has up to one burst in it that began before the change.

use super::super::super::report::Report;
use super::super::super::table::{HOPS, Route};
use super::super::Bench;
use super::super::churn::Updates;
use super::queues::{Shared, Source, probe_flow};
use super::rig::{Rig, Worker, frame};
use crate::clock;
use crate::common::pair::{STOP, WARM, together};
use crate::prefixes::address_in;
use fastrand::Rng;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::{Duration, Instant};

/// Most routes that are tried: as many as there are flows to watch.
const PROBES: usize = 256;
/// The longest pause before a change, so that it falls anywhere in a burst.
const PAUSE_NS: u64 = 20_000;
/// A change that is not obeyed by then never will be.
const PATIENCE: Duration = Duration::from_secs(2);
/// Looks at a word before the CPU is offered to others.
const SPINS: u32 = 10_000;

/// Changes routes to and fro, one by one.
pub(super) fn measure(
    bench: &Bench<'_>,
    rig: &mut Rig,
    worker: &mut Worker,
    shared: &Arc<Shared>,
    report: &mut Report,
) -> Result<(), String> {
    let probes = probes(&bench.routes, bench.args.visible / 2);
    worker.watch(source(&probes, shared)?);
    let phase = AtomicU32::new(WARM);
    let changes = bench.args.visible;
    let control = || change_all(rig, shared, &probes, changes);
    let work = || {
        while phase.load(Relaxed) != STOP {
            worker.burst();
        }
    };
    let (seen, ()) = together(&bench.cpus, &phase, control, work)?;
    let of = |at: usize| seen.iter().map(|one| one[at]).collect::<Vec<f64>>();
    let names = [
        "a change: the call itself",
        "a change obeyed after the call began",
        "a change obeyed after the call returned",
    ];
    for (at, name) in names.into_iter().enumerate() {
        report.percentiles("forwarding", name, of(at), "us");
    }
    Ok(())
}

/// Random routes into which no other one is nested, so that every address of theirs obeys them.
fn probes(routes: &[Route], wanted: usize) -> Vec<Route> {
    let mut rng = Rng::with_seed(16);
    let wanted = wanted.clamp(1, PROBES);
    let mut probes = Vec::with_capacity(wanted);
    for _ in 0..100 * wanted {
        let at = rng.usize(..routes.len());
        let (route, next) = (routes[at], routes.get(at + 1));
        let alone = next.is_none_or(|next| !route.prefix.contains(next.prefix.addr()));
        if alone && is_forwarded(route.prefix.addr()) {
            probes.push(route);
        }
        if probes.len() == wanted {
            break;
        }
    }
    probes
}

/// Whether packets to an address go by routes: a table that was made has prefixes that no router forwards to, and the
/// gateway has networks of its own.
fn is_forwarded(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => {
            let special = addr.is_loopback() || addr.is_private() || addr.is_link_local();
            !special && (1..224).contains(&addr.octets()[0])
        }
        IpAddr::V6(addr) => addr.segments()[0] >> 13 == 1,
    }
}

/// Frames of one flow to each probe, and of others behind them.
fn source(probes: &[Route], shared: &Arc<Shared>) -> Result<Source, String> {
    let mut rng = Rng::with_seed(17);
    let frame = |(at, route): (usize, &Route)| {
        let prefix = (route.prefix.addr(), route.prefix.len());
        frame(probe_flow(2 * at + 1), address_in(&prefix, &mut rng))
    };
    let frames = probes.iter().enumerate().map(frame);
    let probes: Vec<_> = frames.collect::<Result<_, _>>()?;
    Ok(Source {
        frames: probes.clone(),
        at: 0,
        probes,
        shared: Arc::clone(shared),
    })
}

/// Control: gives each probe's route another next hop and its own one again. Microseconds of each change.
fn change_all(
    rig: &mut Rig,
    shared: &Shared,
    probes: &[Route],
    changes: usize,
) -> Result<Vec<[f64; 3]>, String> {
    let mut rng = Rng::with_seed(18);
    let mut seen = Vec::with_capacity(changes + 1);
    for number in 1..=changes.next_multiple_of(2) {
        let Route { prefix, hop } = probes[(number - 1) / 2 % probes.len()];
        shared.asked.store(number, Release);
        wait(&shared.armed, number)
            .map_err(|error| format!("{prefix}, not forwarded before: {error}"))?;
        let until = clock::now() + Duration::from_nanos(rng.u64(..PAUSE_NS));
        while clock::now() < until {
            std::hint::spin_loop();
        }
        let to = if number % 2 == 1 {
            (hop + 1) % HOPS
        } else {
            hop
        };
        let began = clock::now();
        rig.change(prefix, to as u16)?;
        let returned = clock::now();
        wait(&shared.obeyed, number).map_err(|error| format!("{prefix}: {error}"))?;
        let at = shared.base + Duration::from_nanos(shared.at_ns.load(Relaxed));
        let us =
            |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64() * 1e6;
        seen.push([us(began, returned), us(began, at), us(returned, at)]);
        if number % 64 == 0 {
            rig.tick();
        }
    }
    Ok(seen)
}

/// Until a word has reached a number.
fn wait(word: &AtomicUsize, number: usize) -> Result<(), String> {
    let (began, mut spins) = (clock::now(), 0);
    while word.load(Acquire) != number {
        spins += 1;
        if spins < SPINS {
            std::hint::spin_loop();
            continue;
        }
        std::thread::yield_now();
        if began.elapsed() > PATIENCE {
            let seconds = PATIENCE.as_secs();
            return Err(format!("change {number} was not obeyed in {seconds} s"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_router_forwards_is_watched() {
        let is = |addr: &str| is_forwarded(addr.parse().expect("an address"));
        assert!(is("20.0.0.1") && is("223.255.0.1") && is("2001:db8::1"));
        for addr in [
            "0.1.0.0",
            "127.158.152.0",
            "172.16.0.1",
            "224.0.0.1",
            "fd00::1",
            "::1",
        ] {
            assert!(!is(addr), "{addr}");
        }
    }
}
