//! Flows: flush, and what a listing says of one.

use super::{Control, ControlError};
use crate::flows::{FlowFilter, FlushJob};
use crate::links::WorkerCmd;
use flowtable::{Class, Dir, State};
use route::{FibId, NhopIdx, NhopKey, Pin, PinState, TimeoutClass};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// One direction of a flow.
#[derive(Clone, Debug)]
pub struct FlowSide {
    /// The pin; `None` if no packet went this way yet.
    pub pin: Option<Pin>,
    /// What the flow's next packet would find about it.
    pub state: Option<PinState>,
    /// The next hop it is pinned to, if that still exists.
    pub nhop: Option<NhopKey>,
    /// The port by which it last came in.
    pub in_port: Option<String>,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A flow as `flow list` shows it. `sides[0]` is from `ends.0` to `ends.1`.
#[derive(Clone, Debug)]
pub struct FlowRow {
    /// The FIB of the port that it came in by.
    pub fib: FibId,
    /// Transport protocol.
    pub proto: u8,
    /// The two ends; the first is the one with the smaller address.
    pub ends: (SocketAddr, SocketAddr),
    /// The direction that opened it, as far as that was seen.
    pub opener: Dir,
    /// Connection state.
    pub state: State,
    /// Class.
    pub class: Class,
    /// Which timeouts it has; `None`: the default, or of a class that is no more.
    pub timeouts: Option<TimeoutClass>,
    /// What it is besides, and its index in the side table of that; `None`: nothing.
    pub kind: Option<(u8, u32)>,
    /// Since its last packet, ms.
    pub idle_ms: u64,
    /// Until it expires, ms.
    pub expires_ms: u64,
    /// Both directions.
    pub sides: [FlowSide; 2],
    /// The worker that owns it.
    pub worker: usize,
    /// Its owner slot.
    pub slot: u16,
}

impl Control {
    /// `flow flush`: every worker removes its own. The job says when it is done.
    pub fn flow_flush(&mut self, filter: FlowFilter) -> Result<Arc<FlushJob>, ControlError> {
        // All mailboxes must have room, or the job would never be done.
        if let Some(busy) = self.workers.iter().position(|w| w.mailbox.is_full()) {
            return Err(ControlError::WorkerBusy(busy));
        }
        let job = Arc::new(FlushJob::new(filter, self.workers.len()));
        if self.flush_may_begin(&job) {
            self.begin_flush(&job);
        }
        Ok(job)
    }

    pub(super) fn begin_flush(&mut self, job: &Arc<FlushJob>) {
        for worker in &mut self.workers {
            // Has room, and nobody else sends.
            let _ = worker.mailbox.push(WorkerCmd::Flush(Arc::clone(job)));
            worker.waker.wake();
        }
    }

    /// Next hops with this gateway address, for filters.
    pub fn nhops_via(&self, gateway: IpAddr) -> Result<Vec<NhopIdx>, ControlError> {
        let hit = self.nhops_of(gateway);
        if hit.is_empty() {
            return Err(ControlError::NoSuchNhop(gateway.to_string()));
        }
        Ok(hit)
    }

    /// Percent of a worker's flows that one source network may hold when the table fills up, see
    /// [`Table::set_source_share`](flowtable::Table::set_source_share).
    pub fn set_source_share(&self, percent: u32) {
        self.tables.v4.set_source_share(percent);
        self.tables.v6.set_source_share(percent);
    }
}
