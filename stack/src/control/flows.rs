//! Flows: list, flush, count.

use super::{Control, ControlError};
use crate::flows::{FlowFilter, FlushJob, pins_of};
use crate::links::WorkerCmd;
use crate::time::Now;
use flowtable::{Class, Dir, EntryView, Key, State, Stats, Table};
use route::{NhopIdx, Pin, PortId};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// One direction of a flow.
#[derive(Clone, Debug)]
pub struct FlowSide {
    /// The pin; `None` if no packet went this way yet.
    pub pin: Option<Pin>,
    /// The gateway it is pinned to, if it is one.
    pub gateway: Option<IpAddr>,
    /// The port by which this direction leaves.
    pub port: Option<String>,
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
    /// Transport protocol.
    pub proto: u8,
    /// The two ends; the first is the one with the smaller address.
    pub ends: (SocketAddr, SocketAddr),
    /// Connection state.
    pub state: State,
    /// Class.
    pub class: Class,
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
    /// Flows that match, up to `limit`, of workers' tables. Also says how many matched in all.
    pub fn flow_list(&self, filter: &FlowFilter, limit: usize, now: Now) -> (Vec<FlowRow>, usize) {
        let mut rows = Vec::new();
        let mut matched = self.collect_rows(&self.tables.v4, filter, limit, now, &mut rows);
        matched += self.collect_rows(&self.tables.v6, filter, limit, now, &mut rows);
        (rows, matched)
    }

    fn collect_rows<K: Key>(
        &self,
        table: &Arc<Table<K>>,
        filter: &FlowFilter,
        limit: usize,
        now: Now,
        rows: &mut Vec<FlowRow>,
    ) -> usize {
        let mut matched = 0;
        for entry in table.entries() {
            let worker = self.worker_of(entry.slot.0);
            if filter.matches(&entry, worker) {
                matched += 1;
                if rows.len() < limit {
                    rows.push(self.row(&entry, worker, now));
                }
            }
        }
        matched
    }

    fn worker_of(&self, slot: u16) -> usize {
        usize::from(self.slots[usize::from(slot) % self.slots.len()])
    }

    fn row<K: Key>(&self, entry: &EntryView<K>, worker: usize, now: Now) -> FlowRow {
        let idle = u64::from(now.tick().0.saturating_sub(entry.last_use.0)) * 100;
        let lives = u64::from(entry.timeout_s) * 1000;
        FlowRow {
            proto: entry.key.proto(),
            ends: entry.key.ends(),
            state: entry.state,
            class: entry.class,
            idle_ms: idle,
            expires_ms: lives.saturating_sub(idle),
            sides: [Dir::Fwd, Dir::Rev].map(|dir| self.side(entry, dir)),
            worker,
            slot: entry.slot.0,
        }
    }

    fn side<K: Key>(&self, entry: &EntryView<K>, dir: Dir) -> FlowSide {
        let at = dir as usize;
        let pin = Some(pins_of(entry)[at]).filter(|p| *p != Pin::NONE);
        let info = pin.and_then(|p| self.routes.nhop_info(p.idx()));
        FlowSide {
            pin,
            gateway: info.as_ref().and_then(|i| i.key.gateway),
            port: info.map(|i| self.port_name(i.key.port)),
            in_port: (entry.packets[at] > 0)
                .then(|| self.port_name(PortId(u16::from(entry.in_ports[at])))),
            packets: entry.packets[at],
            bytes: entry.bytes[at],
        }
    }

    /// `flow flush`: every worker removes its own. The job says when it is done.
    pub fn flow_flush(&mut self, filter: FlowFilter) -> Result<Arc<FlushJob>, ControlError> {
        // All mailboxes must have room, or the job would never be done.
        if let Some(busy) = self.workers.iter().position(|w| w.mailbox.is_full()) {
            return Err(ControlError::WorkerBusy(busy));
        }
        let job = Arc::new(FlushJob::new(filter, self.workers.len()));
        for worker in &mut self.workers {
            // Has room, and nobody else sends.
            let _ = worker.mailbox.push(WorkerCmd::Flush(Arc::clone(&job)));
            worker.waker.wake();
        }
        Ok(job)
    }

    /// Counters and fills of the flow tables: IPv4 and IPv6 of the workers, then of the host.
    pub fn flow_stats(&self) -> [(&'static str, Stats); 4] {
        [
            ("IPv4 flows", self.tables.v4.stats()),
            ("IPv6 flows", self.tables.v6.stats()),
            ("own IPv4 flows", self.host_tables.v4.stats()),
            ("own IPv6 flows", self.host_tables.v6.stats()),
        ]
    }

    /// Next hops with this gateway address (or on this port), for filters.
    pub fn nhops_named(&self, name: &str) -> Result<Vec<NhopIdx>, ControlError> {
        let addr: Option<IpAddr> = name.parse().ok();
        let port = self.ports.named(name).map(|p| p.id);
        let hit: Vec<NhopIdx> = self
            .routes
            .nhops()
            .filter(|n| (addr.is_some() && n.key.gateway == addr) || (port == Some(n.key.port)))
            .map(|n| n.idx)
            .collect();
        if hit.is_empty() {
            Err(ControlError::NoSuchNhop(name.to_owned()))
        } else {
            Ok(hit)
        }
    }

    /// Flows pinned to each next hop, and the longest any of them has been idle, ms.
    pub fn flows_by_nhop(&self, now: Now) -> hashbrown::HashMap<NhopIdx, (u64, u64)> {
        let mut counts = hashbrown::HashMap::new();
        let mut count = |pins: [Pin; 2], idle: u64| {
            for (i, pin) in pins.iter().enumerate().filter(|(_, p)| **p != Pin::NONE) {
                if i == 1 && pins[0].idx() == pin.idx() {
                    continue;
                }
                let (flows, oldest): &mut (u64, u64) = counts.entry(pin.idx()).or_default();
                *flows += 1;
                *oldest = (*oldest).max(idle);
            }
        };
        let idle = |last: flowtable::Tick| u64::from(now.tick().0.saturating_sub(last.0)) * 100;
        self.tables
            .v4
            .entries()
            .for_each(|e| count(pins_of(&e), idle(e.last_use)));
        self.tables
            .v6
            .entries()
            .for_each(|e| count(pins_of(&e), idle(e.last_use)));
        counts
    }
}
