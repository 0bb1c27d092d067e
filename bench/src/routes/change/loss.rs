//! What one reader loses while control changes routes: phases in turns, again and again.

use super::super::pace::Pace;
use super::super::report::{Report, UNDISTURBED};
use super::super::router::Router;
use super::Bench;
use super::churn::Churn;
use super::pair::{WARM, together};
use super::reader::{self, Work};
use crate::clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Release};
use std::time::Duration;

/// Updates a second that the design promises.
const PROMISED: f64 = 100_000.0;
/// What control does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It sleeps.
    Quiet,
    /// It keeps its CPU busy and changes nothing: what two busy CPUs cost each other anyway.
    Busy,
    /// Updates at the promised rate.
    Paced,
    /// Updates as fast as it can.
    Full,
}

const PHASES: [Phase; 4] = [Phase::Quiet, Phase::Busy, Phase::Paced, Phase::Full];

/// The number that the reader knows a phase of a run by.
fn number(run: usize, phase: Phase) -> u32 {
    1 + (PHASES.len() * run) as u32 + phase as u32
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::Quiet => "no updates",
            Self::Busy => "control busy, no updates",
            Self::Paced => "100,000 updates/s",
            Self::Full => "updates at full speed",
        }
    }

    /// Does that for `span`; returns the updates made.
    fn drive(self, router: &mut Router, churn: &mut Churn, span: Duration) -> Result<u64, String> {
        let (began, mut pace, mut updates) = (clock::now(), Pace::new(PROMISED), 0);
        if self == Self::Quiet {
            clock::sleep(span);
            return Ok(0);
        }
        loop {
            let elapsed = began.elapsed();
            if elapsed >= span {
                return Ok(updates);
            }
            if self == Self::Full || self == Self::Paced && pace.take(elapsed) {
                churn.step(router)?;
                updates += 1;
            } else {
                std::hint::spin_loop();
            }
        }
    }
}

/// Measures every phase in every run.
pub(super) fn measure(bench: &mut Bench<'_>, report: &mut Report) -> Result<(), String> {
    let (runs, span) = (bench.args.runs, Duration::from_secs_f64(bench.args.phase));
    let (view, phase) = (Arc::clone(&bench.router.view), AtomicU32::new(WARM));
    let (router, churn, traffic) = (&mut bench.router, &mut bench.churn, &bench.traffic);
    let control = || {
        clock::sleep(span / 2);
        let mut updates = Vec::new();
        for run in 0..runs {
            for one in PHASES {
                phase.store(number(run, one), Release);
                let began = clock::now();
                let number = one.drive(router, churn, span)?;
                updates.push((one, number as f64 / began.elapsed().as_secs_f64()));
            }
        }
        phase.store(WARM, Release);
        churn.restore(router)?;
        Ok(updates)
    };
    let read = || reader::run(&view, traffic, &phase);
    let (updates, works) = together(&bench.cpus, &phase, control, read)?;
    let checked = reader::all_right(&works)?;
    for one in [Phase::Paced, Phase::Full] {
        let rates: Vec<f64> = updates.iter().filter(|u| u.0 == one).map(|u| u.1).collect();
        report.runs(
            "reader",
            format!("updates made ({})", one.name()),
            &rates,
            "updates/s",
        );
    }
    show(runs, &works, report);
    report.figure(
        "reader",
        "answers checked, none wrong",
        checked as f64,
        "answers",
    );
    Ok(())
}

/// Rates and losses.
fn show(runs: usize, works: &[Work], report: &mut Report) {
    let of = |run, phase| works.iter().find(|work| work.phase == number(run, phase));
    let each = |phase, number: &dyn Fn(&Work, &Work) -> f64, against| -> Vec<f64> {
        let one = |run| Some(number(of(run, phase)?, of(run, against)?));
        (0..runs).filter_map(one).collect()
    };
    for phase in PHASES {
        let mlps = each(phase, &|work, _| work.rate() / 1e6, Phase::Quiet);
        report.runs("reader", format!("lookups, {}", phase.name()), &mlps, "M/s");
    }
    let lost =
        |rate: fn(&Work) -> f64| move |work: &Work, quiet: &Work| loss(rate(work), rate(quiet));
    for phase in [Phase::Busy, Phase::Paced, Phase::Full] {
        let (wall, cpu) = (lost(Work::rate), lost(Work::cpu_rate));
        let name = phase.name();
        report.runs(
            "reader",
            format!("loss, {name}"),
            &each(phase, &wall, Phase::Quiet),
            "%",
        );
        report.runs(
            "reader",
            format!("loss by CPU time, {name}"),
            &each(phase, &cpu, Phase::Quiet),
            "%",
        );
        if phase != Phase::Busy {
            let what = format!("loss, {name}, against control busy");
            report.runs("reader", what, &each(phase, &wall, Phase::Busy), "%");
        }
    }
    let share = |work: &Work| 100.0 * work.cpu.as_secs_f64() / work.wall.as_secs_f64();
    let measured = works.iter().filter(|work| work.phase != WARM);
    let least = measured.map(share).fold(100.0, f64::min);
    report.figure("reader", "the reader's least share of a CPU", least, "%");
    if least < UNDISTURBED {
        report.warn("other programs took the reader's CPU: believe the losses by CPU time only");
    }
}

/// How much less `rate` is, in percent.
pub(super) fn loss(rate: f64, without: f64) -> f64 {
    100.0 * (1.0 - rate / without)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::report::tests::empty;

    #[test]
    fn losses_are_against_the_same_run() {
        let work = |run, phase, lookups| Work {
            phase: number(run, phase),
            lookups,
            wall: Duration::from_secs(1),
            cpu: Duration::from_secs(1),
            ..Work::default()
        };
        let of_run = |run, scale: u64| {
            let lookups = [100, 90, 80, 50];
            PHASES
                .into_iter()
                .zip(lookups)
                .map(move |(phase, n)| work(run, phase, n * scale))
        };
        let works: Vec<Work> = of_run(0, 1_000_000).chain(of_run(1, 3_000_000)).collect();
        let mut report = empty();
        show(2, &works, &mut report);
        let value = |what: &str| {
            report
                .change
                .iter()
                .find(|f| f.what == what)
                .map(|f| f.value.round())
        };
        assert_eq!(value("loss, 100,000 updates/s"), Some(20.0));
        assert_eq!(value("loss, updates at full speed"), Some(50.0));
        assert_eq!(
            value("loss, 100,000 updates/s, against control busy"),
            Some(11.0)
        );
        assert_eq!(value("lookups, no updates"), Some(200.0));
    }
}
