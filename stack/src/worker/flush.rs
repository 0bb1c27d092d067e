//! `flow flush`: a worker removes its own matching flows, a few buckets a burst.

use super::Worker;
use crate::fate::MoveReason;
use crate::flows::FlushJob;
use crate::io::Queue;
use crate::io::devices::Replacement;
use crate::links::WorkerCmd;
use crate::routed::{PathView, Routed, debts};
use crate::time::Now;
use flowtable::{FlushCursor, Writer};
use std::sync::Arc;

/// Buckets visited in a burst while a flush is under way.
const FLUSH_BUCKETS: usize = 86;

/// A flush that this worker has not finished.
pub(super) struct Flushing {
    job: Arc<FlushJob>,
    v4: Option<FlushCursor>,
    v6: Option<FlushCursor>,
    removed: u64,
}

impl Flushing {
    fn new(job: Arc<FlushJob>) -> Self {
        Self {
            job,
            v4: Some(FlushCursor::default()),
            v6: Some(FlushCursor::default()),
            removed: 0,
        }
    }
}

impl Worker {
    /// Takes the new queue of a port whose device came back.
    #[cold]
    fn replace(&mut self, replacement: &Replacement, queues: &mut [Box<dyn Queue>]) {
        let port = usize::from(replacement.port.0);
        if let Some(queue) = queues.get_mut(port) {
            replacement.exchange(self.id, queue);
        }
        if let Some(gone) = self.gone.get_mut(port) {
            *gone = false;
        }
    }

    /// Takes commands, and goes on with the one in progress. Returns the work done.
    pub(super) fn run_commands(&mut self, queues: &mut [Box<dyn Queue>]) -> usize {
        // A flush takes many bursts; new queues do not wait for its end unless another flush is before them.
        while self.flushing.is_none()
            || matches!(self.links.mailbox.peek(), Ok(WorkerCmd::Replace(_)))
        {
            match self.links.mailbox.pop() {
                Ok(WorkerCmd::Flush(job)) => self.flushing = Some(Flushing::new(job)),
                Ok(WorkerCmd::Replace(replacement)) => self.replace(&replacement, queues),
                Err(_) => break,
            }
        }
        let Some(mut flushing) = self.flushing.take() else {
            return 0;
        };
        let (removed, moved) = self.flush_slice(&mut flushing);
        flushing.removed += removed;
        self.counters.moved_many(MoveReason::Flushed, moved);
        if flushing.v4.is_none() && flushing.v6.is_none() {
            flushing.job.worker_done(flushing.removed);
        } else {
            self.flushing = Some(flushing);
        }
        1
    }

    /// One slice of both tables: how many flows went, and how many of their pins were not what a packet
    /// without an entry gets.
    fn flush_slice(&mut self, flushing: &mut Flushing) -> (u64, u64) {
        let (id, now, job) = (self.id, self.now, &flushing.job);
        let (view, secret) = (Arc::clone(self.path.view()), *self.path.group_secret());
        let at = PathView {
            view: &view,
            secret: &secret,
        };
        let (flows4, flows6) = self.path.writers();
        let (removed4, moved4) = slice(flows4, &mut flushing.v4, job, id, &at, now);
        let (removed6, moved6) = slice(flows6, &mut flushing.v6, job, id, &at, now);
        (removed4 + removed6, moved4 + moved6)
    }
}

/// One slice of one table. Its cursor is taken away at the end of the table.
fn slice<K: Routed>(
    flows: &mut Writer<K>,
    cursor: &mut Option<FlushCursor>,
    job: &FlushJob,
    worker: usize,
    at: &PathView<'_>,
    now: Now,
) -> (u64, u64) {
    let (mut removed, mut moved) = (0, 0);
    let Some(place) = cursor else {
        return (0, 0);
    };
    let ended = flows.drain_matching(
        place,
        FLUSH_BUCKETS,
        now.tick(),
        |entry| job.filter.matches(entry, worker),
        |entry| {
            removed += 1;
            moved += debts(entry, at, now);
        },
    );
    if ended {
        *cursor = None;
    }
    (removed, moved)
}
