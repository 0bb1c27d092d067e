//! The workers: how many there are, what each owns, and a change of their number.

use super::About;
use super::Live;
use super::refusal::refused;
use crate::server::Answer;
use crate::server::Reading;
use crate::wire::workers::WorkerSlots;
use crate::wire::workers::Workers;
use crate::wire::workers::WorkersDone;
use crate::wire::workers::WorkersSet;
use stack::Now;
use stack::control::Reader;
use stack::control::WorkersReport;
use stack::fate::DropReason;
use std::sync::Arc;

impl Live {
    pub(super) fn change_workers(&mut self, ask: &WorkersSet) -> Answer<WorkersDone> {
        let set = self.control.set_workers(ask.workers.into());
        let set = set.map_err(|error| refused(&error))?;
        if set.moves > 0 {
            tracing::info!(
                before = set.before,
                workers = set.workers,
                slots = set.moves,
                "workers change"
            );
        }
        Ok(WorkersDone {
            before: short(set.before),
            workers: short(set.workers),
            moves: u32::try_from(set.moves).unwrap_or(u32::MAX),
        })
    }

    /// Slots that have changed their worker are steered there.
    pub(super) fn follow_slots(&mut self) {
        let Some(steering) = &mut self.steering else {
            return;
        };
        if let Err(error) = steering.update(&self.control.slots()) {
            tracing::error!("steering ends: {error}; packets of slots that move are handed off");
            self.steering = None;
        }
    }

    pub(super) fn read_workers(&mut self) -> Reading<Workers> {
        let (now, report) = (self.now(), self.control.workers_report());
        let (reader, about) = (self.control.reader(), Arc::clone(&self.about));
        Box::new(move || workers(&report, &reader, &about, now))
    }
}

fn workers(report: &WorkersReport, reader: &Reader, about: &About, now: Now) -> Workers {
    let totals = reader.totals();
    let flows = reader.flows_by_worker();
    let owns = report.slots.iter().zip(flows);
    let each = reader.worker_reports(now).into_iter().zip(owns);
    let each = each.map(|(worker, (slots, flows))| WorkerSlots {
        worker: short(worker.id),
        cpu: about.cpu_of(worker.id),
        slots: u32::try_from(*slots).unwrap_or(u32::MAX),
        flows,
        packets: worker.totals.rx,
        handed_off: worker.totals.handed_off,
    });
    Workers {
        workers: short(report.workers),
        most: short(report.most),
        moving: u32::try_from(report.moving).unwrap_or(u32::MAX),
        moved: report.moved,
        parked: totals.parked,
        parked_in_all: totals.parked_in_all,
        parked_dropped: totals.dropped_for(DropReason::ParkFull),
        each: each.collect(),
    }
}

fn short(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
