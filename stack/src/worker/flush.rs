//! `flow flush`: a worker removes its own matching flows, a few buckets a burst.

use super::Worker;
use crate::fate::MoveReason;
use crate::flows::{FlushJob, pins_of};
use crate::links::WorkerCmd;
use crate::path::{Path, PathView};
use flowtable::{Dir, EntryView, FlushCursor, GroupSecret, KeyV4, KeyV6};
use route::Pin;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Buckets visited in a burst while a flush is under way.
const FLUSH_BUCKETS: usize = 256;

/// A flush that this worker has not finished.
pub(super) struct Flushing {
    job: Arc<FlushJob>,
    v4: Option<FlushCursor>,
    v6: Option<FlushCursor>,
    removed: u64,
}

impl Worker {
    /// Takes commands, and goes on with the one in progress. Returns the work done.
    pub(super) fn run_commands(&mut self) -> usize {
        if self.flushing.is_none()
            && let Ok(WorkerCmd::Flush(job)) = self.links.mailbox.pop()
        {
            let (v4, v6) = (Some(FlushCursor::default()), Some(FlushCursor::default()));
            self.flushing = Some(Flushing {
                job,
                v4,
                v6,
                removed: 0,
            });
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
        let (mut removed, mut moved) = (0, 0);
        let (flows4, flows6) = self.path.writers();
        if let Some(cursor) = &mut flushing.v4
            && flows4.drain_matching(cursor, FLUSH_BUCKETS, now.tick(), |e| job.filter.matches(e, id), |e| {
                removed += 1;
                moved += debts(e, |dst, pin| matches!(dst, IpAddr::V4(d) if Path::is_debt4(&at, &e.key, d.to_bits(), pin, now)));
            })
        {
            flushing.v4 = None;
        }
        if let Some(cursor) = &mut flushing.v6
            && flows6.drain_matching(cursor, FLUSH_BUCKETS, now.tick(), |e| job.filter.matches(e, id), |e| {
                removed += 1;
                moved += debts(e, |dst, pin| matches!(dst, IpAddr::V6(d) if Path::is_debt6(&at, &e.key, d.to_bits(), pin, now)));
            })
        {
            flushing.v6 = None;
        }
        (removed, moved)
    }
}

/// How many of an entry's two pins `differs` says are not what a packet without an entry gets.
fn debts<K: flowtable::Key>(entry: &EntryView<K>, differs: impl Fn(IpAddr, Pin) -> bool) -> u64 {
    let (a, b): (SocketAddr, SocketAddr) = entry.key.ends();
    let pins = pins_of(entry);
    let dst = |dir: Dir| if dir == Dir::Fwd { b.ip() } else { a.ip() };
    [Dir::Fwd, Dir::Rev]
        .into_iter()
        .filter(|&dir| pins[dir as usize] != Pin::NONE && differs(dst(dir), pins[dir as usize]))
        .count() as u64
}

// Both key types are named so that a change of either signature is seen here.
const _: fn(&PathView<'_>, &KeyV4, u32, Pin, crate::time::Now) -> bool = Path::is_debt4;
const _: fn(&PathView<'_>, &KeyV6, u128, Pin, crate::time::Now) -> bool = Path::is_debt6;
const _: usize = size_of::<GroupSecret>();
