//! `flowgate workers`: the number of workers changes while they forward.
//!
//! Control moves slots in small steps, see [`crate::slots`] for what a step is. So the packets of a few slots only are
//! parked, for as long as the workers take to pass a burst. Flushes and steps go one after the other: a flush goes through
//! each worker's slots in their order.

use super::{Control, ControlError};
use crate::flows::FlushJob;
use crate::slots::plan::{counts, moves};
use crate::slots::{Move, SlotMap};
use std::sync::Arc;

/// Slots that move in one step.
const STEP: usize = 8;

/// Where a step is.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Closed: every worker is to be quiescent since this epoch.
    Closed(u64),
    /// All are to have drained their rings since this version: the old owners, through whom the packets of their slots come, and
    /// whoever may hold a piece that an old owner has found the flow of.
    Marked(u32),
    /// Open: the new owners are to have taken their slots, and to have drained their rings, since this version.
    Opened(u32),
}

/// What control knows of a change of the number of workers.
#[derive(Default)]
pub(super) struct Resizing {
    /// There are, or may be, slots that are to move.
    pending: bool,
    step: Option<(Stage, Vec<Move>)>,
    /// Slots moved since the start.
    moved: u64,
    /// Flushes that workers are at, and those that wait for a step's end.
    flushes: Vec<Arc<FlushJob>>,
    waiting: Vec<Arc<FlushJob>>,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkersSet {
    /// Workers that owned slots before, or were to.
    pub before: usize,
    /// Workers from now on.
    pub workers: usize,
    /// Slots that are to move.
    pub moves: usize,
}

/// The workers as `flowgate workers` shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkersReport {
    /// Workers that own slots, once those on their way have moved.
    pub workers: usize,
    /// Workers there may be.
    pub most: usize,
    /// Slots of each worker; those on their way are counted where they go.
    pub slots: Vec<usize>,
    /// Slots that have still to move.
    pub moving: usize,
    /// Slots moved since the start.
    pub moved: u64,
}

impl Control {
    /// Has `workers` workers own the slots from now on. Nothing stops meanwhile; [`Self::workers_report`] says how far it
    /// is.
    ///
    /// # Errors
    /// None, or more than were made.
    pub fn set_workers(&mut self, workers: usize) -> Result<WorkersSet, ControlError> {
        let most = self.slots.workers();
        if !(1..=most).contains(&workers) {
            let asked = workers;
            return Err(ControlError::Workers { asked, most });
        }
        let before = self.slots.active();
        if before != workers {
            self.slots.set_active(workers);
            self.resizing.pending = true;
            // Those that sleep read it too: their limits change.
            self.wake_workers();
            self.step_workers();
        }
        Ok(WorkersSet {
            before,
            workers,
            moves: self.workers_report().moving,
        })
    }

    /// How many workers there are, and what they own.
    pub fn workers_report(&self) -> WorkersReport {
        let (map, workers) = (self.slots.map(), self.slots.active());
        let step = self
            .resizing
            .step
            .as_ref()
            .map_or(0, |(_, moves)| moves.len());
        WorkersReport {
            workers,
            most: self.slots.workers(),
            slots: counts(&map, self.slots.workers()),
            moving: step + moves(&map, workers).len(),
            moved: self.resizing.moved,
        }
    }

    /// Who owns which slot, or gets it.
    pub fn slots(&self) -> SlotMap {
        self.slots.map()
    }

    /// Whether slots are on their way: then [`Self::step_workers`] should be called every millisecond or so.
    pub fn moves_slots(&self) -> bool {
        self.resizing.pending || self.resizing.step.is_some() || !self.resizing.waiting.is_empty()
    }

    /// Goes on with a change of the number of workers, as far as they have come. Waits for nobody.
    pub fn step_workers(&mut self) {
        while self.step_ended() && self.begin_step() {}
    }

    /// Whether there is no step under way (any more).
    fn step_ended(&mut self) -> bool {
        loop {
            let Some((stage, moves)) = self.resizing.step.take() else {
                return true;
            };
            let next = match stage {
                Stage::Closed(epoch) if self.view.qsbr().passed(epoch) => {
                    Some(Stage::Marked(self.slots.mark()))
                }
                Stage::Marked(version)
                    if self.have_drained(version, 0..self.slots.workers() as u16) =>
                {
                    Some(Stage::Opened(self.slots.open(&moves)))
                }
                Stage::Opened(version)
                    if self.have_drained(version, moves.iter().map(|m| m.to)) =>
                {
                    self.resizing.moved += moves.len() as u64;
                    return true;
                }
                _ => None,
            };
            self.resizing.step = Some((next.unwrap_or(stage), moves));
            if next.is_none() {
                return false;
            }
            self.wake_workers();
        }
    }

    fn have_drained(&self, version: u32, mut workers: impl Iterator<Item = u16>) -> bool {
        workers.all(|worker| self.slots.has_drained(worker, version))
    }

    /// Begins the next step, if there is one and no flush is under way. Flushes that waited go first.
    fn begin_step(&mut self) -> bool {
        self.resizing.flushes.retain(|job| !job.done());
        for job in std::mem::take(&mut self.resizing.waiting) {
            if self.flush_may_begin(&job) {
                self.begin_flush(&job);
            }
        }
        if !self.resizing.flushes.is_empty() {
            return false;
        }
        let mut moves = moves(&self.slots.map(), self.slots.active());
        moves.truncate(STEP);
        self.resizing.pending = !moves.is_empty();
        if moves.is_empty() {
            return false;
        }
        self.slots.close(&moves);
        let epoch = self.view.qsbr().advance();
        self.resizing.step = Some((Stage::Closed(epoch), moves));
        self.wake_workers();
        true
    }

    /// Whether a flush may begin now; else it begins when the step under way has ended.
    pub(super) fn flush_may_begin(&mut self, job: &Arc<FlushJob>) -> bool {
        let may = self.resizing.step.is_none()
            && self.workers.iter().all(|worker| !worker.mailbox.is_full());
        let list = if may {
            &mut self.resizing.flushes
        } else {
            &mut self.resizing.waiting
        };
        list.push(Arc::clone(job));
        may
    }
}
