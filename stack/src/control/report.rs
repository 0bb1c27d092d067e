//! Status and counters.

use super::Control;
use crate::counters::{PortTotals, Totals};
use crate::host::{HostCmd, HostLink, HostReply};
use crate::time::Now;
use route::{Admin, NhopInfo};

/// How full a table is, and what happens when it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The table.
    pub name: String,
    /// Entries in use.
    pub used: u64,
    /// Entries it can hold.
    pub limit: u64,
    /// What happens beyond.
    pub policy: &'static str,
    /// The setting that raises the limit.
    pub setting: &'static str,
}

/// One worker.
#[derive(Clone, Debug)]
pub struct WorkerReport {
    /// Its number.
    pub id: usize,
    /// Its counters.
    pub totals: Totals,
}

/// One port.
#[derive(Clone, Debug)]
pub struct PortReport {
    /// The port.
    pub port: crate::ports::Port,
    /// What went through it.
    pub totals: PortTotals,
}

/// The answer to `status`.
#[derive(Clone, Debug)]
pub struct Status {
    /// Since start, ms.
    pub uptime_ms: u64,
    /// Workers.
    pub workers: Vec<WorkerReport>,
    /// All workers together.
    pub totals: Totals,
    /// The host's own.
    pub host: Totals,
    /// Tables.
    pub fills: Vec<Fill>,
    /// Next hops that drain: which, flows left, idle time of the oldest in ms.
    pub draining: Vec<(NhopInfo, u64, u64)>,
}

impl Control {
    /// The sum of all workers' counters.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for worker in &self.workers {
            totals.add(&worker.counters);
        }
        totals
    }

    /// Counters of one worker after the other.
    pub fn worker_reports(&self) -> Vec<WorkerReport> {
        let report = |(id, w): (usize, &super::WorkerHandle)| {
            let mut totals = Totals::default();
            totals.add(&w.counters);
            WorkerReport { id, totals }
        };
        self.workers.iter().enumerate().map(report).collect()
    }

    /// Every port with its counters.
    pub fn port_reports(&self) -> Vec<PortReport> {
        let report = |port: &crate::ports::Port| {
            let mut totals = PortTotals::default();
            for worker in &self.workers {
                if let Some(counters) = worker.counters.port(port.id) {
                    totals.add(counters);
                }
            }
            PortReport {
                port: port.clone(),
                totals,
            }
        };
        self.ports.0.iter().map(report).collect()
    }

    /// Everything at a glance.
    pub fn status(&self, host: &mut dyn HostLink, now: Now) -> Status {
        let mut own = Totals::default();
        own.add(&self.host_counters);
        Status {
            uptime_ms: now.0.saturating_sub(self.started.0),
            workers: self.worker_reports(),
            totals: self.totals(),
            host: own,
            fills: self.fills(host),
            draining: self.draining(now),
        }
    }

    fn draining(&self, now: Now) -> Vec<(NhopInfo, u64, u64)> {
        let drained: Vec<NhopInfo> = self.draining_nhops();
        if drained.is_empty() {
            return Vec::new();
        }
        let counts = self.flows_by_nhop(now);
        let left = |n: NhopInfo| {
            let (flows, oldest) = counts.get(&n.idx).copied().unwrap_or_default();
            (n, flows, oldest)
        };
        drained.into_iter().map(left).collect()
    }

    /// Next hops that drain everywhere, or have weight 0 in some route.
    fn draining_nhops(&self) -> Vec<NhopInfo> {
        let mut all: Vec<NhopInfo> = self
            .routes
            .nhops()
            .filter(|n| n.admin == Admin::Draining)
            .collect();
        for route in self.routes.routes() {
            for path in route.paths.iter().filter(|p| p.weight == 0) {
                if !all.iter().any(|n| n.idx == path.idx) {
                    all.extend(self.routes.nhop_info(path.idx));
                }
            }
        }
        all
    }

    /// Next hops.
    pub fn nhops(&self) -> Vec<NhopInfo> {
        self.routes.nhops().collect()
    }

    /// Counters of ARP and ND.
    pub fn neigh_stats(&self, host: &mut dyn HostLink) -> Option<Box<arp::ArpStats>> {
        match host.call(HostCmd::NeighStats) {
            HostReply::NeighStats(stats, _) => Some(stats),
            _ => None,
        }
    }

    /// The fill of every table.
    pub fn fills(&self, host: &mut dyn HostLink) -> Vec<Fill> {
        let mut fills = Vec::new();
        let mut add = |name: &str, used: u64, limit: u64, policy, setting| {
            fills.push(Fill {
                name: name.to_owned(),
                used,
                limit,
                policy,
                setting,
            });
        };
        for ((name, stats), setting) in self.flow_stats().into_iter().zip([
            "tables.flows-v4",
            "tables.flows-v6",
            "fixed",
            "fixed",
        ]) {
            let policy = "new flows replace unconfirmed ones, else go unpinned";
            add(name, stats.used, stats.capacity, policy, setting);
        }
        for fill in self.routes.fills() {
            add(
                fill.name,
                fill.used,
                fill.limit,
                "further adds are refused",
                fill.setting,
            );
        }
        if let HostReply::NeighStats(_, (used, limit)) = host.call(HostCmd::NeighStats) {
            let policy = "unresolved entries are replaced first, next hops never";
            add(
                "neighbours",
                used as u64,
                limit as u64,
                policy,
                "tables.neighbours",
            );
        }
        let totals = self.totals();
        let workers = self.workers.len() as u64;
        let waiting = totals.waiting + totals.origin_waiting;
        let room = (self.bounds.held + self.bounds.pieces) as u64 * workers;
        add(
            "waiting packets",
            waiting,
            room,
            "the oldest are dropped",
            "tables.held-packets",
        );
        let in_rings = totals.handed_off.saturating_sub(totals.taken_over);
        let pairs = workers * workers.saturating_sub(1);
        let policy = "the sender drops and counts";
        add(
            "hand-off rings",
            in_rings,
            self.bounds.handoff as u64 * pairs,
            policy,
            "fixed",
        );
        fills
    }
}
