//! What a gateway that has nothing to do takes of a CPU.
//!
//! Those that are compared rest at the same time, each measured over the same seconds.

use super::cpu::{Had, of_threads};
use super::daemon::{Daemon, Site};
use super::place::{Ends, said};
use super::report::{At, Report};
use super::{Forwarder, Job, Way, start};
use crate::clock::{now, sleep};
use std::time::Duration;

/// Flows that one of the daemons has.
const FLOWS: u16 = 1000;

/// Until what the start leaves behind is over.
const REST: Duration = Duration::from_secs(3);

/// Nobody answers within this: something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

const RUN: &str = "idle";
const SHARE: &str = "cpu_percent";
const WAKES: &str = "wakes_s";
const IN_PROCESS: &str = "gateway of the other runs";
const EMPTY: &str = "flowgate run";
const FULL: &str = "flowgate run, 1000 flows";

/// A gateway at rest.
struct Resting {
    name: &'static str,
    /// Its process, and what its threads' names begin with.
    process: String,
    threads: &'static str,
    _is: Is,
}

/// It ends with this.
enum Is {
    Ours {
        _it: Box<dyn Forwarder>,
        _ends: Ends,
    },
    Daemon {
        _it: Daemon,
        _site: Site,
    },
}

/// Measures every turn and prints the table.
pub(super) fn measure(job: &Job, report: &mut Report) -> Result<(), String> {
    let all = [
        ours(job)?,
        daemon(job, EMPTY, 0)?,
        daemon(job, FULL, FLOWS)?,
    ];
    sleep(REST);
    for turn in 0..job.turns {
        let before = all.each_ref().map(Resting::had);
        let began = now();
        sleep(Duration::from_secs(job.seconds as u64));
        for (one, before) in all.iter().zip(before) {
            let (had, span) = (one.had().since(before), began.elapsed().as_secs_f64());
            let share = had.ns as f64 / 1e9 / span * 100.0;
            let (way, run, wakes) = (one.name, RUN, had.wakes as f64 / span);
            report.add(At { turn, way, run }, &[(SHARE, share), (WAKES, wakes)])?;
        }
    }
    print(report, &all);
    Ok(())
}

impl Resting {
    fn had(&self) -> Had {
        of_threads(&self.process, self.threads)
    }
}

fn ours(job: &Job) -> Result<Resting, String> {
    let (_ends, _it) = start(Way::Flowgate, job)?;
    Ok(Resting {
        name: IN_PROCESS,
        process: "self".into(),
        threads: "fg-",
        _is: Is::Ours { _it, _ends },
    })
}

fn daemon(job: &Job, name: &'static str, flows: u16) -> Result<Resting, String> {
    let site = Site::new(job.device)?;
    let mut daemon = site.run(0)?;
    let began = now();
    while !daemon.serves()? {
        if began.elapsed() > PATIENCE {
            return Err("flowgate run does not serve".into());
        }
        sleep(Duration::from_millis(20));
    }
    if flows > 0 {
        let sender = site.sender()?;
        for port in 0..flows {
            sender
                .send_to(b"flow", site.to(20_000 + port))
                .map_err(said)?;
            // A burst that a queue does not take would be flows that are not there.
            if port % 32 == 0 {
                sleep(Duration::from_millis(1));
            }
        }
    }
    Ok(Resting {
        name,
        process: daemon.id(),
        threads: "",
        _is: Is::Daemon {
            _it: daemon,
            _site: site,
        },
    })
}

fn print(report: &Report, all: &[Resting]) {
    println!(
        "\n{:<28} {:>12} {:>10} {:>10} {:>14}",
        RUN, "% of a CPU", "least", "most", "wakes a second"
    );
    for one in all {
        if let Some(share) = report.summary(one.name, RUN, SHARE) {
            let wakes = report.median(one.name, RUN, WAKES);
            let (name, median) = (one.name, share.median);
            println!(
                "{name:<28} {median:>12.4} {:>10.4} {:>10.4} {wakes:>14.1}",
                share.min, share.max
            );
        }
    }
}
