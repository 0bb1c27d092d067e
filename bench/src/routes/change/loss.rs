//! What one reader loses while control changes routes: phases in turns, again and again.

use super::super::args::Args;
use super::super::report::{Report, UNDISTURBED};
use super::Bench;
use super::churn::{Churn, Updates};
use super::reader::{self, Work};
use crate::clock;
use crate::common::pace::Pace;
use crate::common::pair::{WARM, together};
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
    fn drive(
        self,
        router: &mut impl Updates,
        churn: &mut Churn,
        span: Duration,
    ) -> Result<u64, String> {
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

/// What the figures of a section are called.
pub(super) struct Named {
    pub(super) section: &'static str,
    /// What is done, such as lookups.
    pub(super) done: &'static str,
    /// The unit of millions of these a second.
    pub(super) rate: &'static str,
    pub(super) checked: &'static str,
}

/// A reader's.
const READER: Named = Named {
    section: "reader",
    done: "lookups",
    rate: "M/s",
    checked: "answers checked, none wrong",
};

/// Measures what a reader loses.
pub(super) fn measure(bench: &mut Bench<'_>, report: &mut Report) -> Result<(), String> {
    let (view, phase) = (Arc::clone(&bench.router.view), AtomicU32::new(WARM));
    let traffic = &bench.traffic;
    let read = || reader::run(&view, traffic, &phase);
    let on = Phases {
        named: &READER,
        args: bench.args,
        cpus: &bench.cpus,
        phase: &phase,
    };
    on.measure(&mut bench.churn, &mut bench.router, read, report)
}

/// Phases in turns, and what is done in them.
pub(super) struct Phases<'a> {
    pub(super) named: &'a Named,
    pub(super) args: &'a Args,
    pub(super) cpus: &'a [usize],
    /// The word that says which phase it is.
    pub(super) phase: &'a AtomicU32,
}

impl Phases<'_> {
    /// Measures every phase in every run: what `read` does while routes of `router` change.
    pub(super) fn measure(
        &self,
        churn: &mut Churn,
        router: &mut (impl Updates + Send),
        read: impl FnOnce() -> Vec<Work> + Send,
        report: &mut Report,
    ) -> Result<(), String> {
        let (runs, named) = (self.args.runs, self.named);
        let control = || self.drive(churn, router);
        let (updates, works) = together(self.cpus, self.phase, control, read)?;
        let checked = reader::all_right(&works)?;
        for one in [Phase::Paced, Phase::Full] {
            let rates: Vec<f64> = updates.iter().filter(|u| u.0 == one).map(|u| u.1).collect();
            let what = format!("updates made ({})", one.name());
            report.runs(named.section, what, &rates, "updates/s");
        }
        show(named, runs, &works, report);
        report.figure(named.section, named.checked, checked as f64, "answers");
        Ok(())
    }

    /// Control's side. Returns the updates a second of each phase of each run.
    fn drive(
        &self,
        churn: &mut Churn,
        router: &mut impl Updates,
    ) -> Result<Vec<(Phase, f64)>, String> {
        let span = Duration::from_secs_f64(self.args.phase);
        clock::sleep(span / 2);
        let mut updates = Vec::new();
        for run in 0..self.args.runs {
            for one in PHASES {
                self.phase.store(number(run, one), Release);
                let began = clock::now();
                let number = one.drive(router, churn, span)?;
                updates.push((one, number as f64 / began.elapsed().as_secs_f64()));
            }
        }
        self.phase.store(WARM, Release);
        churn.restore(router)?;
        Ok(updates)
    }
}

/// Rates and losses.
fn show(named: &Named, runs: usize, works: &[Work], report: &mut Report) {
    let of = |run, phase| works.iter().find(|work| work.phase == number(run, phase));
    let each = |phase, number: &dyn Fn(&Work, &Work) -> f64, against| -> Vec<f64> {
        let one = |run| Some(number(of(run, phase)?, of(run, against)?));
        (0..runs).filter_map(one).collect()
    };
    for phase in PHASES {
        let mlps = each(phase, &|work, _| work.rate() / 1e6, Phase::Quiet);
        let what = format!("{}, {}", named.done, phase.name());
        report.runs(named.section, what, &mlps, named.rate);
    }
    let lost =
        |rate: fn(&Work) -> f64| move |work: &Work, quiet: &Work| loss(rate(work), rate(quiet));
    for phase in [Phase::Busy, Phase::Paced, Phase::Full] {
        let (wall, cpu) = (lost(Work::rate), lost(Work::cpu_rate));
        let name = phase.name();
        report.runs(
            named.section,
            format!("loss, {name}"),
            &each(phase, &wall, Phase::Quiet),
            "%",
        );
        report.runs(
            named.section,
            format!("loss by CPU time, {name}"),
            &each(phase, &cpu, Phase::Quiet),
            "%",
        );
        if phase != Phase::Busy {
            let what = format!("loss, {name}, against control busy");
            report.runs(named.section, what, &each(phase, &wall, Phase::Busy), "%");
        }
    }
    let share = |work: &Work| 100.0 * work.cpu.as_secs_f64() / work.wall.as_secs_f64();
    let measured = works.iter().filter(|work| work.phase != WARM);
    let least = measured.map(share).fold(100.0, f64::min);
    report.figure(
        named.section,
        "the reader's least share of a CPU",
        least,
        "%",
    );
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
        show(&READER, 2, &works, &mut report);
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
