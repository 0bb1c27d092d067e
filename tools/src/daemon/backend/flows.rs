//! Flows: listed and counted by whoever asks, flushed by the workers.

use super::Live;
use super::refusal::refused;
use super::routes::kind;
use super::routes::pin_state;
use crate::server::Answer;
use crate::server::Pending;
use crate::server::ready;
use crate::wire::flow as wire;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::protocol;
use crate::wire::timeout;
use crate::wire::timeout::FlowTimeoutDelete;
use crate::wire::timeout::FlowTimeoutSet;
use crate::wire::timeout::FlowTimeouts;
use crate::wire::timeout::TIMEOUT_MAX;
use crate::wire::timeout::TimedRoute;
use crate::wire::timeout::TimeoutsOf;
use flowtable::Class;
use flowtable::Pages;
use flowtable::Shape;
use flowtable::State;
use flowtable::Stats;
use route::GroupId;
use route::GroupNo;
use route::NhopKey;
use route::Pin;
use route::PinState;
use stack::control::FlowRow;
use stack::control::FlowSide;
use stack::control::Indebted;
use stack::control::Reader;
use stack::control::TimeoutsInfo;
use stack::counters::Totals;
use stack::fate::MoveReason;
use stack::flows::FlowFilter;
use stack::flows::FlushJob;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc;

/// The tables of [`Reader::flow_stats`], in its order.
pub(super) const TABLES: [&str; 4] = ["flows-v4", "flows-v6", "own-flows-v4", "own-flows-v6"];

/// The numbers of groups that have one, by their ids.
pub(super) type GroupNumbers = BTreeMap<GroupId, GroupNo>;

/// A flush that workers are at, and who waits for its end.
pub(super) struct Flushing {
    job: Arc<FlushJob>,
    caller: mpsc::SyncSender<Answer<wire::FlowsFlushed>>,
}

impl Flushing {
    /// Whether it is over; then the caller was told.
    pub(super) fn tell_if_done(&self) -> bool {
        let is_done = self.job.done();
        if is_done {
            // A caller that went away misses nothing.
            let _ = self.caller.try_send(Ok(wire::FlowsFlushed {
                flushed: self.job.removed(),
            }));
        }
        is_done
    }
}

impl Live {
    pub(super) fn list_flows(
        &mut self,
        filter: &wire::FlowFilter,
    ) -> Answer<Box<dyn Iterator<Item = wire::Flow> + Send>> {
        let filter = self.filter(filter)?;
        let (reader, now) = (self.control.reader(), self.now());
        let names = reader.clone();
        Ok(Box::new(
            reader.flows(filter, now).map(move |row| flow(&row, &names)),
        ))
    }

    pub(super) fn flush_flows(&mut self, filter: &wire::FlowFilter) -> Pending<wire::FlowsFlushed> {
        let job = self.filter(filter).and_then(|filter| {
            self.control
                .flow_flush(filter)
                .map_err(|error| refused(&error))
        });
        match job {
            Err(error) => ready(Err(error)),
            Ok(job) => {
                let (caller, answer) = mpsc::sync_channel(1);
                self.flushing.push(Flushing { job, caller });
                answer
            }
        }
    }

    pub(super) fn set_timeout(&mut self, ask: &FlowTimeoutSet) -> Answer<FlowTimeouts> {
        let invalid = |parameter: &str, message| CallError::InvalidParameter {
            parameter: parameter.into(),
            message,
        };
        let state = timeout::state(&ask.name).map_err(|message| invalid("name", message))?;
        if !(1..=TIMEOUT_MAX).contains(&ask.seconds) {
            let message = format!("{} seconds: write 1 to {TIMEOUT_MAX}", ask.seconds);
            return Err(invalid("seconds", message));
        }
        let class = ask.class.unwrap_or_default();
        timeout::class(&class.to_string()).map_err(|message| invalid("class", message))?;
        let set = self.control.set_class_timeout(class, state, ask.seconds);
        set.map_err(|error| refused(&error))?;
        let (timeout, seconds, class) = (&ask.name, ask.seconds, class.to_string());
        tracing::info!(timeout, seconds, class, "timeout changed");
        Ok(self.all_timeouts())
    }

    pub(super) fn delete_timeouts(&mut self, ask: &FlowTimeoutDelete) -> Answer<FlowTimeouts> {
        let deleted = self.control.delete_timeouts(ask.class);
        deleted.map_err(|error| refused(&error))?;
        tracing::info!(class = ask.class.to_string(), "timeouts deleted");
        Ok(self.all_timeouts())
    }

    /// The idle timeouts, of all classes.
    pub(super) fn all_timeouts(&mut self) -> FlowTimeouts {
        let reader = self.control.reader();
        let mut all = FlowTimeouts::of(|state| reader.timeout(state));
        let classes = self.control.timeouts().into_iter();
        all.classes = classes.map(|info| timeouts_of(info, &all)).collect();
        all
    }

    pub(super) fn group_numbers(&self) -> GroupNumbers {
        let groups = self.control.numbered_groups();
        groups.map(|(number, id)| (id, number)).collect()
    }

    fn filter(&mut self, filter: &wire::FlowFilter) -> Answer<FlowFilter> {
        let workers = self.control.reader().workers();
        if let Some(worker) = filter
            .worker
            .filter(|worker| usize::from(*worker) >= workers)
        {
            let last = workers.saturating_sub(1);
            let message = format!("no worker {worker}: the workers are 0 to {last}");
            return Err(CallError::Refused(Reason::NotFound, message));
        }
        let via = filter
            .nexthop
            .map(|gateway| self.control.nhops_via(gateway))
            .transpose();
        Ok(FlowFilter {
            addr: filter.address.map(|prefix| (prefix.addr(), prefix.len())),
            port: filter.port,
            proto: filter
                .protocol
                .as_deref()
                .map(protocol_number)
                .transpose()?,
            nhops: via.map_err(|error| refused(&error))?,
            worker: filter.worker.map(usize::from),
            state: filter.state.clone(),
        })
    }
}

/// A protocol by its name on the wire, or its number.
pub(super) fn protocol_number(name: &str) -> Answer<u8> {
    protocol::number(name).map_err(|message| CallError::InvalidParameter {
        parameter: "protocol".into(),
        message,
    })
}

fn flow(row: &FlowRow, reader: &Reader) -> wire::Flow {
    let (a, b) = row.ends;
    let [from_a, from_b] = &row.sides;
    let is_from_a = row.opener as usize == 0;
    let (client, server) = if is_from_a { (a, b) } else { (b, a) };
    let (forward, reverse) = if is_from_a {
        (from_a, from_b)
    } else {
        (from_b, from_a)
    };
    wire::Flow {
        protocol: protocol::name(row.proto),
        client,
        server,
        state: row.state.name().into(),
        class: row.class.name().into(),
        idle: row.idle_ms,
        expires: row.expires_ms,
        forward: direction(forward, reader),
        reverse: direction(reverse, reader),
        worker: u16::try_from(row.worker).unwrap_or(u16::MAX),
        slot: row.slot,
        fib: row.fib.0,
        timeouts: row.timeouts.map(|class| class.to_string()),
        kind: row.kind.map(|(kind, _)| kind),
        aux: row.kind.map(|(_, aux)| aux),
    }
}

fn direction(side: &FlowSide, reader: &Reader) -> wire::FlowDirection {
    wire::FlowDirection {
        nexthop: side.pin.map(|pin| {
            let state = side.state.unwrap_or(PinState::Gone);
            nexthop(pin, side.nhop, state, reader)
        }),
        packets: side.packets,
        bytes: side.bytes,
    }
}

/// What a pin names.
pub(super) fn nexthop(
    pin: Pin,
    nhop: Option<NhopKey>,
    state: PinState,
    reader: &Reader,
) -> wire::FlowNexthop {
    // A next hop that is no more has a place, but no name.
    let of = |key: NhopKey| (kind(key.kind), key.gateway, reader.port_of_pin(pin, &key));
    let (kind, gateway, port) = nhop.map_or_else(Default::default, of);
    wire::FlowNexthop {
        kind,
        gateway,
        port,
        nexthop: pin.idx().0,
        generation: pin.generation().0,
        state: pin_state(state).into(),
    }
}

fn timeouts_of(info: TimeoutsInfo, all: &FlowTimeouts) -> TimeoutsOf {
    let seconds = |state: State| {
        let of = info.timeouts.iter().find(|(of, _)| *of == state);
        of.map_or(0, |(_, seconds)| *seconds)
    };
    TimeoutsOf {
        class: info.name.numbered(0),
        routes: info.routes,
        groups: info.groups.iter().map(|number| number.0).collect(),
        first: info.first.iter().map(timed_route).collect(),
        timeouts: all.of_class(seconds),
    }
}

fn timed_route(prefix: &route::Prefix) -> TimedRoute {
    TimedRoute {
        destination: prefix.to_string(),
        fib: prefix.fib().0,
    }
}

/// The flow tables' counters. Goes through every entry.
pub(super) fn stats(reader: &Reader, numbers: &GroupNumbers) -> wire::FlowStats {
    let totals = reader.totals();
    let all = reader.flow_stats();
    let found = reader.flow_memory().into_iter().zip(reader.flow_debts());
    let tables = TABLES.into_iter().zip(all).zip(found);
    let tables = tables.map(|(of, (lie, debt))| table(of, lie, &debt, numbers));
    wire::FlowStats {
        tables: tables.collect(),
        misses: misses(&all, &totals),
        moved: moved(&totals),
        collateral: COLLATERAL,
        unpinned_packets: totals.unpinned,
    }
}

fn table(
    (name, stats): (&str, Stats),
    (pages, shape): (Pages, Shape),
    debt: &Indebted,
    numbers: &GroupNumbers,
) -> wire::FlowTable {
    let group = |(id, entries): (&GroupId, &u64)| wire::GroupDebt {
        index: id.0,
        group: numbers.get(id).map(|number| number.0),
        entries: *entries,
    };
    let counters = stats.named().map(|(name, count)| (name.into(), count));
    wire::FlowTable {
        name: name.into(),
        limit: stats.capacity,
        used: stats.used,
        high_water: stats.high_water,
        bytes: pages.bytes,
        huge_bytes: pages.huge,
        bucket_fill: shape.buckets.to_vec(),
        strays: shape.strays,
        probes: shape.probes().to_vec(),
        debt: debt.entries,
        debt_groups: debt.groups.iter().map(group).collect(),
        counters: counters.collect(),
    }
}

/// Packets that found no pin to go by, by cause.
fn misses(tables: &[Stats; 4], totals: &Totals) -> BTreeMap<String, u64> {
    let sum = |of: fn(&Stats) -> u64| tables.iter().map(of).sum::<u64>();
    let (expired, full) = (sum(|s| s.missed_expired), sum(|s| s.refused));
    let cold = sum(|s| s.misses).saturating_sub(expired + full);
    [
        ("cold", cold),
        ("expired", expired),
        ("full", full),
        ("stale_generation", totals.stale_generation),
        ("stale_stamp", totals.stale_stamp),
    ]
    .into_iter()
    .map(|(cause, count)| (cause.into(), count))
    .collect()
}

/// Flows that moved without a reason. It is not counted but proved: a worker stores another pin in one place only
/// (`rechoose` in `stack::path`), which takes a [`MoveReason`], a closed list, and the tests' oracle holds every
/// packet's next hop against the rules. So what could be counted here is 0.
pub(super) const COLLATERAL: u64 = 0;

pub(super) fn moved(totals: &Totals) -> BTreeMap<String, u64> {
    MoveReason::ALL
        .into_iter()
        .map(|why| (why.name().into(), totals.moved_for(why)))
        .collect()
}

/// Flows that found a table full: refused, or put out for another.
pub(super) fn overflows(stats: &Stats) -> u64 {
    let evicted: u64 = Class::ALL
        .iter()
        .map(|class| stats.evicted[*class as usize])
        .sum();
    stats.refused + evicted
}
