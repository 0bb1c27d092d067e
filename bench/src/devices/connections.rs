//! New TCP connections a second: one a request, through each of the three in turns.

use super::nginx::{Nginx, wrk};
use super::place::Ends;
use super::report::{At, Report};
use super::{Forwarder, Job, Way, cpu, start};

/// Connections that are open at a time.
const AT_ONCE: usize = 64;

/// What the run and its numbers are called.
const RUN: &str = "connections";
const RATE: &str = "connections_s";
const ERRORS: &str = "errors";
const CPU: &str = "cpu_ns_a_connection";

/// One forwarder between wrk and nginx.
struct Lane {
    way: Way,
    ends: Ends,
    _forwarder: Box<dyn Forwarder>,
    _nginx: Nginx,
}

/// Measures every turn and prints the table.
///
/// # Errors
/// Something could not be started, or wrk tells of errors.
pub(super) fn measure(job: &Job, report: &mut Report) -> Result<(), String> {
    for group in Way::groups(job) {
        let lanes = group.into_iter().map(|way| Lane::new(way, job));
        let lanes = lanes.collect::<Result<Vec<_>, _>>()?;
        for turn in 0..job.turns {
            for lane in &lanes {
                lane.turn(turn, job.seconds, report)?;
            }
        }
    }
    print(report, &Way::groups(job).concat())
}

impl Lane {
    fn new(way: Way, job: &Job) -> Result<Self, String> {
        let (ends, forwarder) = start(way, job)?;
        let nginx = Nginx::start(&ends)?;
        Ok(Self {
            way,
            ends,
            _forwarder: forwarder,
            _nginx: nginx,
        })
    }

    fn turn(&self, turn: usize, seconds: usize, report: &mut Report) -> Result<(), String> {
        let before = cpu::forwarding_ns(self.way);
        let asked = wrk(&self.ends, seconds, AT_ONCE)?;
        let ns = cpu::forwarding_ns(self.way).saturating_sub(before);
        let mut numbers = vec![(RATE, asked.a_second), (ERRORS, asked.errors as f64)];
        if ns > 0 {
            numbers.push((CPU, ns as f64 / asked.requests.max(1) as f64));
        }
        let (way, run) = (self.way.name(), RUN);
        report.add(At { turn, way, run }, &numbers)
    }
}

/// Medians, shares and errors; errors are a failure.
fn print(report: &Report, ways: &[Way]) -> Result<(), String> {
    let rate = |way: Way| report.median(way.name(), RUN, RATE);
    println!(
        "\n{:<12} {:>16} {:>9} {:>10} {:>8} {:>22}",
        RUN, "new a second", "of bare", "of kernel", "errors", "CPU ns a connection"
    );
    let mut wrong = Vec::new();
    for &way in ways {
        let name = way.name();
        let errors: f64 = report.all(name, RUN, ERRORS).iter().sum();
        // A kernel's forwarding is in nobody's time.
        let cpu = report.summary(name, RUN, CPU);
        let cpu = cpu.map_or_else(|| "-".into(), |cpu| format!("{:.0}", cpu.median));
        println!(
            "{name:<12} {:>16.0} {:>9.2} {:>10.2} {errors:>8} {cpu:>22}",
            rate(way),
            rate(way) / rate(Way::Bare),
            rate(way) / rate(Way::Kernel),
        );
        if errors > 0.0 {
            wrong.push(format!("{errors} through {name}"));
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(format!("wrk tells of errors: {}", wrong.join(", "))),
    }
}
