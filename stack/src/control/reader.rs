//! What other threads than control's may read, at any time and without stopping anybody.
//!
//! A [`Reader`] is made by control in a moment and handed to whoever asked: it shares the tables and counters, which
//! workers go on writing, and has a copy of what only control knows (next hops' names, ports). So a listing of
//! millions of flows costs control nothing. It may be a little out of date, never torn.

use super::flows::{FlowRow, FlowSide};
use super::report::{Leaving, PortReport, WorkerReport};
use crate::counters::{Counters, PortTotals, Totals};
use crate::flows::{FlowFilter, pins_of};
use crate::icmp::{Class, Rates};
use crate::path::FlowTables;
use crate::ports::Ports;
use crate::routed::Routed;
use crate::slots::SlotMap;
use crate::time::Now;
use flowtable::{
    Dir, EntryView, Key, Pages, SLOTS, Shape, State, Stats, Table, Templates, TimeoutsNo,
};
use hashbrown::HashMap;
use route::{
    FibId, GroupId, NhopGen, NhopIdx, NhopKey, NhopKind, Pin, PinState, PortId, StickyOf,
    TimeoutClass, View,
};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// A view of the running gateway. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    pub(super) tables: FlowTables,
    pub(super) host_tables: FlowTables,
    pub(super) templates: Arc<Templates>,
    pub(super) affinities: Arc<HashMap<u64, StickyOf>>,
    pub(super) workers: Arc<[Arc<Counters>]>,
    pub(super) host: Arc<Counters>,
    pub(super) slots: SlotMap,
    /// Workers that own slots.
    pub(super) active: u64,
    pub(super) view: Arc<View>,
    pub(super) nhops: Arc<HashMap<NhopIdx, (NhopGen, NhopKey)>>,
    pub(super) ports: Arc<Ports>,
    pub(super) classes: [Option<TimeoutClass>; TimeoutsNo::COUNT],
}

impl Reader {
    /// Flows that match, in the order of the tables.
    pub fn flows(self, filter: FlowFilter, now: Now) -> impl Iterator<Item = FlowRow> + Send {
        let (reader, other) = (self.clone(), filter.clone());
        let (v4, v6) = (Arc::clone(&self.tables.v4), Arc::clone(&self.tables.v6));
        let v4 = v4
            .into_entries()
            .filter_map(move |e| self.matching(&e, &filter, now));
        let v6 = v6
            .into_entries()
            .filter_map(move |e| reader.matching(&e, &other, now));
        v4.chain(v6)
    }

    fn matching<K: Key>(&self, e: &EntryView<K>, filter: &FlowFilter, now: Now) -> Option<FlowRow> {
        let worker = self.worker_of(e.slot.0);
        filter.matches(e, worker).then(|| self.row(e, worker, now))
    }

    fn worker_of(&self, slot: u16) -> usize {
        usize::from(self.slots[usize::from(slot) % SLOTS])
    }

    fn row<K: Key>(&self, entry: &EntryView<K>, worker: usize, now: Now) -> FlowRow {
        let idle = idle_ms(entry, now);
        let lives = u64::from(entry.timeout_s) * 1000;
        FlowRow {
            fib: FibId(entry.key.fib()),
            proto: entry.key.proto(),
            ends: entry.key.ends(),
            opener: entry.opener,
            state: entry.state,
            class: entry.class,
            timeouts: self.classes[usize::from(entry.timeouts.get())],
            kind: (!entry.kind.is_plain()).then(|| (entry.kind.get(), entry.aux)),
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
        let in_port = PortId(u16::from(entry.in_ports[at]));
        FlowSide {
            pin,
            state: pin.map(|p| self.view.judge(p)),
            nhop: pin.and_then(|p| self.nhop(p)),
            in_port: (entry.packets[at] > 0).then(|| self.port_name(in_port)),
            packets: entry.packets[at],
            bytes: entry.bytes[at],
        }
    }

    /// The next hop that a pin names, if it is still the one that it was.
    pub fn nhop(&self, pin: Pin) -> Option<NhopKey> {
        let (generation, key) = self.nhops.get(&pin.idx())?;
        (*generation == pin.generation()).then_some(*key)
    }

    /// What a worker would find about a pin's next hop.
    pub fn judge(&self, pin: Pin) -> PinState {
        self.view.judge(pin)
    }

    /// The name of the port by which a next hop sends; `None`: it has none, or is a recursive one that is no more or never
    /// had a way.
    pub fn port_of(&self, key: &NhopKey) -> Option<String> {
        let idx = || {
            let mut named = self.nhops.iter();
            named.find(|(_, (_, is))| is == key).map(|(idx, _)| *idx)
        };
        self.port_at(key, idx)
    }

    /// The same of the next hop that a pin names.
    pub fn port_of_pin(&self, pin: Pin, key: &NhopKey) -> Option<String> {
        self.port_at(key, || Some(pin.idx()))
    }

    /// Of a recursive one its slot knows.
    fn port_at(&self, key: &NhopKey, idx: impl FnOnce() -> Option<NhopIdx>) -> Option<String> {
        let port = match (key.kind, key.resolved()) {
            (NhopKind::Blackhole | NhopKind::Reject, _) => return None,
            (_, None) => key.port,
            (_, Some(_)) => self.view.attrs(idx()?).port,
        };
        (port < PortId::END).then(|| self.port_name(port))
    }

    /// A port's name.
    pub fn port_name(&self, id: PortId) -> String {
        let port = self.ports.get(id);
        port.map_or_else(|| format!("port{}", id.0), |port| port.name.clone())
    }

    /// The ports.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Counters and fills of the flow tables: IPv4 and IPv6 of the workers, then of the host.
    pub fn flow_stats(&self) -> [Stats; 4] {
        let (workers, host) = (&self.tables, &self.host_tables);
        [
            workers.v4.stats(),
            workers.v6.stats(),
            host.v4.stats(),
            host.v6.stats(),
        ]
    }

    /// On what memory the same tables are, and how their entries lie.
    pub fn flow_memory(&self) -> [(Pages, Shape); 4] {
        let (workers, host) = (&self.tables, &self.host_tables);
        [
            (workers.v4.pages(), workers.v4.shape()),
            (workers.v6.pages(), workers.v6.shape()),
            (host.v4.pages(), host.v4.shape()),
            (host.v6.pages(), host.v6.shape()),
        ]
    }

    /// Entries of the same tables in pin debt, in all and by group, see [`Indebted`]. Goes through every entry.
    pub fn flow_debts(&self) -> [Indebted; 4] {
        let (workers, host) = (&self.tables, &self.host_tables);
        [
            indebted(&workers.v4, &self.view),
            indebted(&workers.v6, &self.view),
            indebted(&host.v4, &self.view),
            indebted(&host.v6, &self.view),
        ]
    }

    /// Idle timeout of a state, seconds.
    pub fn timeout(&self, state: State) -> u32 {
        self.tables.v4.timeouts().get(state)
    }

    /// Flows that each worker owns.
    pub fn flows_by_worker(&self) -> Vec<u64> {
        let mut counts = vec![0; self.workers.len()];
        let mut add = |slot: flowtable::SlotNo, used: u32| {
            if let Some(count) = counts.get_mut(self.worker_of(slot.0)) {
                *count += u64::from(used);
            }
        };
        for slot in (0..SLOTS as u16).map(flowtable::SlotNo) {
            add(slot, self.tables.v4.used(slot));
            add(slot, self.tables.v6.used(slot));
        }
        counts
    }

    /// Counts the flows that are still pinned to each of these.
    pub fn count_left(&self, leaving: &mut [Leaving], now: Now) {
        let mut of: HashMap<NhopIdx, Vec<usize>> = HashMap::new();
        for (at, one) in leaving.iter().enumerate() {
            of.entry(one.nhop.idx).or_default().push(at);
        }
        if !of.is_empty() {
            count_in(&self.tables.v4, &self.view, &of, leaving, now);
            count_in(&self.tables.v6, &self.view, &of, leaving, now);
        }
    }

    /// The sum of all workers' counters.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.workers
            .iter()
            .for_each(|counters| totals.add(counters));
        totals
    }

    /// ICMP messages of all workers that their limits have not got back yet: errors of all kinds, echo replies, redirects.
    pub fn icmp_spent(&self, rates: Rates, now: Now) -> [u64; 3] {
        let mut spent = [0; 3];
        for (class, full_at) in self.workers.iter().flat_map(|w| w.icmp_full_at()) {
            let (at, rate) = match class {
                Class::Echo => (1, rates.echo),
                Class::Redirect => (2, rates.errors),
                _ => (0, rates.errors),
            };
            // Each worker has its part of the rate.
            let rate = u64::from(rate.per_second) / self.active.max(1);
            spent[at] += (full_at.saturating_sub(now.0) * rate).div_ceil(1000);
        }
        spent
    }

    /// The host's own counters.
    pub fn host_totals(&self) -> Totals {
        let mut totals = Totals::default();
        totals.add(&self.host);
        totals
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Counters of one worker after the other.
    pub fn worker_reports(&self, now: Now) -> Vec<WorkerReport> {
        let report = |(id, counters): (usize, &Arc<Counters>)| {
            let since = counters.asleep_since.get();
            let this_sleep = if since == 0 {
                0
            } else {
                (now.0 + 1).saturating_sub(since)
            };
            let mut totals = Totals::default();
            totals.add(counters);
            WorkerReport {
                id,
                slept_ms: totals.slept_ms + this_sleep,
                totals,
            }
        };
        self.workers.iter().enumerate().map(report).collect()
    }

    /// Every port with its counters.
    pub fn port_reports(&self) -> Vec<PortReport> {
        let report = |port: &crate::ports::Port| {
            let mut totals = PortTotals::default();
            let counters = self.workers.iter().filter_map(|w| w.port(port.id));
            counters.for_each(|counters| totals.add(counters));
            PortReport {
                port: port.clone(),
                totals,
            }
        };
        self.ports.0.iter().map(report).collect()
    }
}

fn idle_ms<K: Key>(entry: &EntryView<K>, now: Now) -> u64 {
    u64::from(now.tick().0.saturating_sub(entry.last_use.0)) * 100
}

/// Entries in pin debt: one of their pins is not what a packet without an entry would get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Indebted {
    /// How many.
    pub entries: u64,
    /// By the group of a direction's destination, of directions whose group has several buckets: an entry both of
    /// whose directions have one is in both.
    pub groups: BTreeMap<GroupId, u64>,
}

fn indebted<K: Routed>(table: &Table<K>, view: &View) -> Indebted {
    let mut found = Indebted::default();
    for entry in table.indebted() {
        found.entries += 1;
        let chosen = |dir: Dir| {
            let pinned = pins_of(&entry)[dir as usize] != Pin::NONE;
            let group = pinned.then(|| entry.key.lookup(view, entry.key.dst(dir)))??;
            (view.group(group).buckets() > 1).then_some(group)
        };
        let [to, back] = [Dir::Fwd, Dir::Rev].map(chosen);
        for group in to.into_iter().chain(back.filter(|_| back != to)) {
            *found.groups.entry(group).or_default() += 1;
        }
    }
    found
}

/// Counts entries of one family for [`Reader::count_left`].
fn count_in<K: Key>(
    table: &Table<K>,
    view: &View,
    of: &HashMap<NhopIdx, Vec<usize>>,
    leaving: &mut [Leaving],
    now: Now,
) {
    // What has expired is pinned no more, though the hand has not been there yet.
    for entry in table.entries().filter(|e| !e.expired(now.tick())) {
        let (a, b) = entry.key.ends();
        for (pin, to) in pins_of(&entry).into_iter().zip([b.ip(), a.ip()]) {
            let fib = view.fib(FibId(entry.key.fib()));
            let group = || match to {
                IpAddr::V4(to) => fib.lookup4(to.to_bits()),
                IpAddr::V6(to) => fib.lookup6(to.to_bits()),
            };
            for at in of.get(&pin.idx()).into_iter().flatten() {
                let one = leaving.get_mut(*at).filter(|one| one.keeps(pin, to, group));
                if let Some(one) = one {
                    one.flows += 1;
                    one.oldest_ms = one.oldest_ms.max(idle_ms(&entry, now));
                }
            }
        }
    }
}

impl Leaving {
    /// Whether a pin of a flow to `to` is one that has to go with it.
    fn keeps(&self, pin: Pin, to: IpAddr, group: impl Fn() -> Option<GroupId>) -> bool {
        let here = self.destination.is_none_or(|prefix| prefix.contains(to));
        let here = here && self.group.is_none_or(|(_, id)| group() == Some(id));
        here && pin.generation() == self.nhop.generation
    }
}
