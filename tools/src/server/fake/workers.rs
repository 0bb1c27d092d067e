//! The fake's four workers, two of which own slots.

use crate::server::Answer;
use crate::server::Reading;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::workers::WorkerSlots;
use crate::wire::workers::Workers;
use crate::wire::workers::WorkersDone;
use crate::wire::workers::WorkersSet;

pub(super) fn shown() -> Reading<Workers> {
    let each = |worker: u16| WorkerSlots {
        worker,
        cpu: Some(worker.into()),
        slots: if worker < 2 { 128 } else { 0 },
        flows: if worker < 2 { 3 } else { 0 },
        packets: if worker < 2 { 1000 } else { 0 },
        handed_off: if worker < 2 { 25 } else { 0 },
    };
    let workers = Workers {
        workers: 2,
        most: 4,
        moving: 3,
        moved: 125,
        parked: 5,
        parked_in_all: 40,
        parked_dropped: 0,
        each: (0..4).map(each).collect(),
    };
    Box::new(|| workers)
}

pub(super) fn set(ask: &WorkersSet) -> Answer<WorkersDone> {
    match ask.workers {
        workers @ 1..=4 => Ok(WorkersDone {
            before: 2,
            workers,
            moves: if workers == 2 { 0 } else { 128 },
        }),
        wrong => Err(CallError::refused(
            Reason::Invalid,
            format!("{wrong} workers: this gateway can have 1 to 4"),
        )),
    }
}
