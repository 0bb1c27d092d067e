//! What status and counters are made of.

use super::{Control, Reader, WorkerHandle};
use crate::capture::Rings;
use crate::counters::{PortTotals, Totals};
use crate::time::Now;
use hashbrown::HashMap;
use route::{
    Admin, GroupId, GroupNo, Health, NhopGen, NhopIdx, NhopInfo, NhopKey, PathInfo, Prefix,
};
use std::sync::Arc;

/// One worker.
#[derive(Clone, Debug)]
pub struct WorkerReport {
    /// Its number.
    pub id: usize,
    /// Its counters.
    pub totals: Totals,
    /// Milliseconds that it slept, with the sleep that it is in now.
    pub slept_ms: u64,
}

/// One port.
#[derive(Clone, Debug)]
pub struct PortReport {
    /// The port.
    pub port: crate::ports::Port,
    /// What went through it.
    pub totals: PortTotals,
}

/// A next hop that takes no new flows, or does not answer.
#[derive(Clone, Debug)]
pub struct Leaving {
    /// Which.
    pub nhop: NhopInfo,
    /// The route that it leaves; `None`: all.
    pub destination: Option<Prefix>,
    /// Or the group with a number that it leaves.
    pub group: Option<(GroupNo, GroupId)>,
    /// Seconds until its flows must move.
    pub deadline_s: Option<u32>,
    /// Flows left there; counted by [`Reader::count_left`].
    pub flows: u64,
    /// How long the one that was silent longest has been, ms; likewise.
    pub oldest_ms: u64,
}

impl Control {
    /// What other threads may read of the gateway as it is now.
    pub fn reader(&mut self) -> Reader {
        let (nhops, affinities) = (self.names(), self.affinities());
        Reader {
            tables: self.tables.clone(),
            host_tables: self.host_tables.clone(),
            templates: Arc::clone(self.templates.table()),
            affinities,
            workers: self
                .workers
                .iter()
                .map(|w| Arc::clone(&w.counters))
                .collect(),
            host: Arc::clone(&self.host_counters),
            slots: self.slots.map(),
            active: self.slots.active() as u64,
            view: Arc::clone(&self.view),
            nhops,
            ports: self.published.load_full(),
            classes: self.classes.names(),
        }
    }

    /// Which next hop is what: made anew for the first reader after a change.
    fn names(&mut self) -> Arc<HashMap<NhopIdx, (NhopGen, NhopKey)>> {
        let routes = &self.routes;
        let named = |n: NhopInfo| (n.idx, (n.generation, n.key));
        let make = || Arc::new(routes.nhops().map(named).collect());
        Arc::clone(self.names.get_or_insert_with(make))
    }

    /// What each worker keeps of packets.
    pub fn captures(&self) -> Vec<Arc<Rings>> {
        let rings = |worker: &WorkerHandle| Arc::clone(&worker.captures);
        self.workers.iter().map(rings).collect()
    }

    /// The sum of all workers' counters.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for worker in &self.workers {
            totals.add(&worker.counters);
        }
        totals
    }

    /// Since start, ms.
    pub fn uptime_ms(&self, now: Now) -> u64 {
        now.0.saturating_sub(self.started.0)
    }

    /// Next hops that are dead, drain everywhere, or have weight 0 in some route. Nothing is counted yet.
    pub fn leaving(&self, now: Now) -> Vec<Leaving> {
        let gone = |n: &NhopInfo| n.admin != Admin::In || n.health == Health::Dead;
        let everywhere = self
            .routes
            .nhops()
            .filter(gone)
            .map(|n| leaving(n, None, None));
        let mut all: Vec<Leaving> = everywhere.collect();
        for (prefix, path) in self.routes.draining_paths() {
            let left = path.deadline.map(|at| now.left(at));
            let nhop = self.routes.nhop_info(path.idx);
            all.extend(nhop.map(|n| leaving(n, Some(prefix), left)));
        }
        for (number, id, path) in self.routes.draining_members() {
            let left = path.deadline.map(|at| now.left(at));
            let nhop = self.routes.nhop_info(path.idx);
            let of_group = |leaving| Leaving {
                group: Some((number, id)),
                ..leaving
            };
            all.extend(nhop.map(|n| of_group(leaving(n, None, left))));
        }
        all
    }

    /// Next hops.
    pub fn nhops(&self) -> Vec<NhopInfo> {
        self.routes.nhops().collect()
    }

    /// The next hop in a slot.
    pub fn nhop(&self, idx: NhopIdx) -> Option<NhopInfo> {
        self.routes.nhop_info(idx)
    }

    /// Groups: id, buckets, members.
    pub fn groups(&self) -> impl Iterator<Item = (GroupId, u32, Vec<PathInfo>)> + '_ {
        let ids = self.routes.groups();
        ids.map(|id| {
            (
                id,
                self.view.group(id).buckets(),
                self.routes.group_paths(id),
            )
        })
    }

    /// Packets, pieces, buffers and hand-off places that there is room for.
    pub fn bounds(&self) -> super::Bounds {
        self.bounds
    }

    /// Changes whenever a group does: what was saved before is old.
    pub const fn layouts(&self) -> u64 {
        self.routes.layouts()
    }

    /// Reads about `units` destinations' worth more of the groups, for the next gateway. Returns them once all are read.
    pub fn save_step(
        &self,
        saving: &mut route::Saving,
        units: u32,
    ) -> Option<Vec<route::SavedGroup>> {
        saving.step(&self.routes, units)
    }

    /// Takes the groups that an earlier gateway saved `elapsed` seconds ago, for routes that are made from now on. Returns
    /// how many are whole.
    pub fn restore(&mut self, groups: Vec<route::SavedGroup>, elapsed: u32, now: Now) -> usize {
        let groups = self.timed_groups(groups);
        self.routes.restore(groups, elapsed, now.secs())
    }

    /// What the routes take of memory.
    pub fn route_memory(&self) -> [route::RouteMemory; 5] {
        self.routes.memory()
    }

    /// The fills of the route tables.
    pub fn route_fills(&self) -> Vec<route::Fill> {
        self.routes.fills()
    }
}

fn leaving(nhop: NhopInfo, destination: Option<Prefix>, deadline_s: Option<u32>) -> Leaving {
    Leaving {
        nhop,
        destination,
        group: None,
        deadline_s,
        flows: 0,
        oldest_ms: 0,
    }
}
