//! The updates that one router's peer sent in an hour, second by second, beside a reader.
//!
//! Some prefixes take all of them. A withdrawal deletes a route; an announcement brings back the one that is
//! gone for the longest time, or gives a route another next hop.

use super::super::report::Report;
use super::super::router::Router;
use super::super::table::{HOPS, Route};
use super::Bench;
use super::loss::loss;
use super::reader::{self, Work};
use crate::clock;
use crate::common::pace::schedule;
use crate::common::pair::{WARM, together};
use fastrand::Rng;
use flate2::read::GzDecoder;
use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Release};
use std::time::{Duration, Instant};

/// Prefixes that took the recorded updates.
const PREFIXES: usize = 3_551;
/// Control sleeps if the next update is further away than this.
const NAP: Duration = Duration::from_micros(300);
/// As fast as it was, and ten times.
const SPEEDS: [f64; 2] = [1.0, 10.0];
/// What the reader calls the times before and in a replay.
const QUIET: u32 = 1;
const REPLAY: u32 = 2;

/// What was recorded of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Second {
    updates: u32,
    withdrawals: u32,
}

/// What a replay gave, in microseconds an update.
struct Played {
    updates: Vec<f64>,
    late: Vec<f64>,
}

/// Plays the recording at both speeds.
pub(super) fn measure(bench: &mut Bench<'_>, report: &mut Report) -> Result<(), String> {
    let file = &bench.args.replay;
    let recorded = match read(file) {
        Ok(recorded) => recorded,
        Err(why) => {
            report.skip(format!(
                "replay: {}: {why} (--replay names another file)",
                file.display()
            ));
            return Ok(());
        }
    };
    for speed in SPEEDS {
        let seconds = match bench.args.replay_seconds {
            0 => recorded.len(),
            seconds => (seconds as f64 * speed) as usize,
        };
        let part = busiest(&recorded, seconds);
        eprintln!(
            "  {} recorded seconds, {speed} times as fast ...",
            part.len()
        );
        play(bench, part, speed, report)?;
    }
    Ok(())
}

/// Plays a part beside a reader, after a while without updates to compare with.
fn play(
    bench: &mut Bench<'_>,
    part: &[Second],
    speed: f64,
    report: &mut Report,
) -> Result<(), String> {
    let quiet = Duration::from_secs_f64(2.0 * bench.args.phase);
    let mut flaps = Flaps::new(bench.churn.pool());
    let (view, phase) = (Arc::clone(&bench.router.view), AtomicU32::new(WARM));
    let (router, traffic) = (&mut bench.router, &bench.traffic);
    let control = || {
        clock::sleep(quiet / 4);
        phase.store(QUIET, Release);
        clock::sleep(quiet);
        phase.store(REPLAY, Release);
        let played = flaps.play(router, part, speed)?;
        phase.store(WARM, Release);
        flaps.restore(router)?;
        Ok(played)
    };
    let read = || reader::run(&view, traffic, &phase);
    let (played, works) = together(&bench.cpus, &phase, control, read)?;
    reader::all_right(&works)?;
    let name = format!("x{speed}");
    let updates = played.updates.len();
    let in_all = format!("{name}: updates of {} recorded seconds", part.len());
    report.figure("replay", in_all, updates as f64, "updates");
    report.percentiles(
        "replay",
        &format!("{name}: an update"),
        played.updates,
        "us",
    );
    report.percentiles(
        "replay",
        &format!("{name}: behind its time"),
        played.late,
        "us",
    );
    let of = |number| works.iter().find(|work| work.phase == number);
    if let (Some(quiet), Some(replay)) = (of(QUIET), of(REPLAY)) {
        let lost = |rate: fn(&Work) -> f64| loss(rate(replay), rate(quiet));
        report.figure(
            "replay",
            format!("{name}: the reader's loss"),
            lost(Work::rate),
            "%",
        );
        report.figure(
            "replay",
            format!("{name}: loss by CPU time"),
            lost(Work::cpu_rate),
            "%",
        );
    }
    Ok(())
}

/// Routes that are withdrawn and announced.
struct Flaps {
    /// As they were at first.
    routes: Vec<Route>,
    /// As they are announced now; meaningless while withdrawn.
    hops: Vec<u32>,
    withdrawn: VecDeque<usize>,
    is_withdrawn: Vec<bool>,
    rng: Rng,
}

impl Flaps {
    fn new(pool: &[Route]) -> Self {
        let routes: Vec<Route> = pool.iter().take(PREFIXES).copied().collect();
        Self {
            hops: routes.iter().map(|route| route.hop).collect(),
            is_withdrawn: vec![false; routes.len()],
            withdrawn: VecDeque::new(),
            routes,
            rng: Rng::with_seed(15),
        }
    }

    /// Every update at its time, or as soon after as control can.
    fn play(&mut self, router: &mut Router, part: &[Second], speed: f64) -> Result<Played, String> {
        let counts: Vec<u32> = part.iter().map(|second| second.updates).collect();
        let (mut updates, mut late) = (Vec::new(), Vec::new());
        let (base, mut due_withdrawals) = (clock::now(), 0);
        for (second, due) in schedule(&counts, speed) {
            let began = until(base + due);
            late.push(began.saturating_duration_since(base + due).as_secs_f64() * 1e6);
            // As many of a second's updates are withdrawals as were, evenly spread.
            due_withdrawals += part[second].withdrawals;
            let withdraw = due_withdrawals >= part[second].updates;
            due_withdrawals -= if withdraw { part[second].updates } else { 0 };
            self.update(router, withdraw)?;
            updates.push(began.elapsed().as_secs_f64() * 1e6);
        }
        // The recording's last second ends, too.
        until(base + Duration::from_secs_f64(part.len() as f64 / speed));
        Ok(Played { updates, late })
    }

    fn update(&mut self, router: &mut Router, withdraw: bool) -> Result<(), String> {
        let start = self.rng.usize(..self.routes.len());
        let there = |index: &usize| !self.is_withdrawn[*index];
        let present = (start..self.routes.len()).chain(0..start).find(there);
        match (withdraw, present) {
            (true, Some(index)) => {
                router.delete(&self.routes[index])?;
                self.is_withdrawn[index] = true;
                self.withdrawn.push_back(index);
            }
            (false, Some(index)) if self.withdrawn.is_empty() => {
                self.hops[index] = (self.hops[index] + self.rng.u32(1..HOPS)) % HOPS;
                router.change(&self.now(index))?;
            }
            _ => self.announce_oldest(router)?,
        }
        Ok(())
    }

    fn announce_oldest(&mut self, router: &mut Router) -> Result<(), String> {
        let Some(index) = self.withdrawn.front().copied() else {
            return Ok(());
        };
        router.add(&self.now(index))?;
        self.withdrawn.pop_front();
        self.is_withdrawn[index] = false;
        Ok(())
    }

    /// A route as it is announced now.
    fn now(&self, index: usize) -> Route {
        Route {
            hop: self.hops[index],
            ..self.routes[index]
        }
    }

    /// Everything as it was at first.
    fn restore(&mut self, router: &mut Router) -> Result<(), String> {
        while !self.withdrawn.is_empty() {
            self.announce_oldest(router)?;
        }
        for (index, route) in self.routes.iter().enumerate() {
            if self.hops[index] != route.hop {
                router.change(route)?;
                self.hops[index] = route.hop;
            }
        }
        router.tick();
        Ok(())
    }
}

/// Waits for a moment, asleep if it is far away; returns the time then.
fn until(moment: Instant) -> Instant {
    loop {
        let now = clock::now();
        let left = moment.saturating_duration_since(now);
        if left.is_zero() {
            return now;
        }
        if left > NAP {
            clock::sleep(left - NAP / 2);
        } else {
            std::hint::spin_loop();
        }
    }
}

/// `seconds` of the recording around its busiest second.
fn busiest(recorded: &[Second], seconds: usize) -> &[Second] {
    let busiest = (0..recorded.len()).max_by_key(|second| recorded[*second].updates);
    let seconds = seconds.clamp(1, recorded.len());
    let start = busiest.unwrap_or(0).saturating_sub(seconds / 2);
    let start = start.min(recorded.len() - seconds);
    &recorded[start..start + seconds]
}

/// A recording: lines of second, updates, withdrawals; at least one. Seconds that are missing had none.
fn read(file: &Path) -> Result<Vec<Second>, String> {
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let read = if bytes.starts_with(&[0x1f, 0x8b]) {
        GzDecoder::new(&bytes[..]).read_to_string(&mut text)
    } else {
        (&bytes[..]).read_to_string(&mut text)
    };
    read.map_err(|error| error.to_string())?;
    parse(&text)
}

fn parse(text: &str) -> Result<Vec<Second>, String> {
    /// A recording of a day; more is no recording of seconds.
    const MOST: usize = 86_400;
    let mut recorded = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let words: Option<Vec<u32>> = line
            .split_whitespace()
            .map(|word| word.parse().ok())
            .collect();
        let Some([second, updates, withdrawals]) = words.as_deref() else {
            return Err(format!("'{line}' is not second, updates, withdrawals"));
        };
        let second = *second as usize;
        if second >= MOST || withdrawals > updates {
            return Err(format!("'{line}' cannot be"));
        }
        recorded.resize(recorded.len().max(second + 1), Second::default());
        recorded[second] = Second {
            updates: *updates,
            withdrawals: *withdrawals,
        };
    }
    Some(recorded)
        .filter(|recorded| !recorded.is_empty())
        .ok_or_else(|| "nothing in it".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::args::Model;
    use crate::routes::table::tests::small;

    const fn second(updates: u32, withdrawals: u32) -> Second {
        Second {
            updates,
            withdrawals,
        }
    }

    #[test]
    fn a_recording_is_read_with_its_gaps() {
        let expected = vec![second(98, 24), second(0, 0), second(7, 1)];
        assert_eq!(parse("0 98 24\n2 7 1\n"), Ok(expected));
        for wrong in ["", "0 1", "0 1 2", "99999 1 1", "a b c"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_part_played_is_around_the_busiest_second() {
        let recorded: Vec<_> = [1, 2, 9, 3, 4].map(|n| second(n, 0)).into();
        let counts = |part: &[Second]| part.iter().map(|s| s.updates).collect::<Vec<_>>();
        assert_eq!(counts(busiest(&recorded, 3)), [2, 9, 3]);
        assert_eq!(counts(busiest(&recorded, 99)), [1, 2, 9, 3, 4]);
        assert_eq!(counts(busiest(&recorded[..3], 2)), [2, 9]);
    }

    #[test]
    fn withdrawals_and_announcements_leave_the_routes_as_they_were() {
        let routes = small().with_hops(Model::Markov).expect("a table");
        let mut router = Router::loaded(&routes).expect("room");
        let paths = |router: &Router| -> Vec<_> {
            let key = |info: route::RouteInfo| (info.prefix, info.paths.first().map(|p| p.key));
            router.control.routes().map(key).collect()
        };
        let before = paths(&router);
        let mut flaps = Flaps::new(&routes);
        let part = [second(400, 100), second(300, 300)];
        let played = flaps.play(&mut router, &part, 100.0).expect("possible");
        assert_eq!(
            (played.updates.len(), flaps.withdrawn.len() > 200),
            (700, true)
        );
        assert_ne!(paths(&router), before);
        flaps.restore(&mut router).expect("possible");
        assert_eq!(paths(&router), before);
    }
}
