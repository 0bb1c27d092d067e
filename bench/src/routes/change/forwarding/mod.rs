//! What forwarding pays for changes of routes: a whole gateway in memory, its worker on one core, control on another.
//!
//! - `rig`: the gateway with the full table, and the calls of control that the benchmark makes.
//! - `queues`: its ports, which have frames without end, and look where those go that leave.
//! - `visible`: how soon the worker sends a flow by a changed route.
//!
//! This file: what the worker loses to updates, in the phases of `loss`.

mod queues;
mod rig;
mod visible;

use super::super::report::Report;
use super::Bench;
use super::loss::{Named, Phases};
use super::reader::Work;
use crate::clock;
use crate::common::pair::{STOP, WARM};
use queues::Shared;
use rig::{Rig, Worker};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed},
};

/// What the figures are called.
const NAMED: Named = Named {
    section: "forwarding",
    done: "packets",
    rate: "Mpps",
    checked: "exits checked, none wrong",
};

/// Builds the gateway, and measures both.
pub(super) fn measure(bench: &mut Bench<'_>, report: &mut Report) -> Result<(), String> {
    let shared = Arc::new(Shared::new());
    let (mut rig, mut worker) = Rig::new(&bench.routes, bench.churn.prefixes(), &shared)?;
    let phase = AtomicU32::new(WARM);
    let work = || run(&mut worker, &phase);
    let on = Phases {
        named: &NAMED,
        args: bench.args,
        cpus: &bench.cpus,
        phase: &phase,
    };
    on.measure(&mut bench.churn, &mut rig, work, report)?;
    visible::measure(bench, &mut rig, &mut worker, &shared, report)
}

/// Forwards until the phase is [`STOP`]; what it did in each phase.
fn run(worker: &mut Worker, phase: &AtomicU32) -> Vec<Work> {
    let mut works = Vec::with_capacity(1024);
    loop {
        let now = phase.load(Acquire);
        if now == STOP {
            return works;
        }
        let mut work = Work {
            phase: now,
            ..Work::default()
        };
        let before = worker.checks();
        let (began, cpu) = (clock::now(), clock::thread_cpu());
        while phase.load(Relaxed) == now {
            work.lookups += worker.burst() as u64;
        }
        (work.wall, work.cpu) = (began.elapsed(), clock::thread_cpu() - cpu);
        let after = worker.checks();
        (work.checked, work.wrong) = (after.0 - before.0, after.1 - before.1);
        works.push(work);
    }
}
