//! The overall state: workers, the fill and limit of every table, moved flows, who leaves.

use super::About;
use super::Live;
use super::flows::COLLATERAL;
use super::flows::TABLES;
use super::flows::moved;
use super::flows::overflows;
use super::moves::Moves;
use super::routes::admin;
use super::routes::health;
use super::routes::kind;
use crate::server::Reading;
use crate::wire::route::path_name;
use crate::wire::stats::Leaving;
use crate::wire::stats::Memory;
use crate::wire::stats::Status;
use crate::wire::stats::Table;
use crate::wire::stats::Worker;
use route::FibId;
use stack::Now;
use stack::control::Bounds;
use stack::control::DUE_LIMIT;
use stack::control::Reader;
use stack::control::WorkerReport;
use stack::counters::Totals;
use stack::fate::DropReason;
use stack::host::HostCmd;
use stack::host::HostLink;
use stack::host::HostReply;
use stack::icmp::Class;
use stack::io::run::HostThread;
use std::sync::Arc;

/// What control knows of the status; the rest is read by who asked.
struct Seen {
    reader: Reader,
    moves: Moves,
    host: HostThread,
    about: Arc<About>,
    now: Now,
    uptime_ms: u64,
    routes: Vec<route::Fill>,
    bounds: Bounds,
    leaving: Vec<stack::control::Leaving>,
    memory: [route::RouteMemory; 5],
    captures: Table,
    changes: Table,
}

impl Live {
    pub(super) fn read_status(&mut self) -> Reading<Status> {
        let now = self.now();
        let seen = Seen {
            reader: self.control.reader(),
            moves: self.moves.clone(),
            host: self.host.clone(),
            about: Arc::clone(&self.about),
            now,
            uptime_ms: self.control.uptime_ms(now),
            routes: self.control.route_fills(),
            memory: self.control.route_memory(),
            bounds: self.control.bounds(),
            leaving: self.control.leaving(now),
            captures: super::capture::table(&self.control.captures()),
            changes: self.changes.table(),
        };
        Box::new(|| seen.status())
    }
}

impl Seen {
    fn status(mut self) -> Status {
        let totals = self.reader.totals();
        self.reader.count_left(&mut self.leaving, self.now);
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            uptime: self.uptime_ms,
            workers: self.workers(),
            steering: self.about.steering.clone(),
            flow_memory: self.about.flow_memory.clone(),
            sandbox: self.about.sandbox.clone(),
            tables: self.tables(&totals),
            memory: self.memory.iter().map(memory).collect(),
            moved: moved(&totals),
            collateral: COLLATERAL,
            unpinned_packets: totals.unpinned,
            leaving: self
                .leaving
                .iter()
                .map(|one| leaving(one, &self.reader))
                .collect(),
        }
    }

    fn workers(&self) -> Vec<Worker> {
        let flows = self.reader.flows_by_worker();
        let reports = self.reader.worker_reports(self.now);
        reports
            .into_iter()
            .zip(flows)
            .map(|(report, flows)| self.worker(&report, flows))
            .collect()
    }

    fn worker(&self, report: &WorkerReport, flows: u64) -> Worker {
        let asleep = report.slept_ms.min(self.uptime_ms) * 1000;
        Worker {
            worker: u16::try_from(report.id).unwrap_or(u16::MAX),
            cpu: self.about.cpu_of(report.id),
            packets: report.totals.rx,
            handed_off: report.totals.handed_off,
            sleep_permille: u32::try_from(asleep / self.uptime_ms.max(1)).unwrap_or(1000),
            flows,
        }
    }

    fn tables(&mut self, totals: &Totals) -> Vec<Table> {
        let mut tables = self.flow_tables();
        tables.push(self.templates());
        tables.extend(self.routes.iter().map(route_table));
        tables.extend(self.neighbour_table());
        let workers = self.reader.workers() as u64;
        tables.push(self.captures.clone());
        tables.push(self.changes.clone());
        tables.push(held(totals, self.bounds, workers));
        tables.push(unknown(totals, self.bounds, workers));
        tables.push(fragments(totals, self.bounds, workers));
        tables.push(datagrams(totals, self.bounds, workers));
        tables.push(own_datagrams(&self.reader.host_totals()));
        tables.extend(self.punts(totals, workers));
        tables.extend(self.icmp(totals));
        tables.push(rings(totals, self.bounds, workers));
        tables.push(parking(totals, self.bounds, workers));
        tables.extend(super_buffers(totals, self.bounds, workers));
        tables.push(self.followed_flows());
        tables
    }

    fn flow_tables(&self) -> Vec<Table> {
        let policy = "new flows replace unconfirmed ones, else go without a pin";
        let stats = TABLES.into_iter().zip(self.reader.flow_stats());
        stats
            .map(|(name, s)| table(name, s.used, s.capacity, policy, overflows(&s)))
            .collect()
    }

    fn followed_flows(&self) -> Table {
        let log = self.moves.lock();
        let (used, policy) = (
            log.followed() as u64,
            "flows of the oldest change are given up",
        );
        let limit = DUE_LIMIT as u64;
        table("followed-flows", used, limit, policy, log.given_up())
    }

    fn templates(&self) -> Table {
        let s = self.reader.template_stats();
        let policy = "expired ones are replaced, else the client goes where its bucket does";
        table("templates", s.used, s.capacity, policy, s.full)
    }

    /// Frames and packets on their way to the host.
    fn punts(&self, totals: &Totals, workers: u64) -> [Table; 2] {
        let taken = self.reader.host_totals();
        let limit = self.bounds.punt as u64 * workers;
        let policy = "the newest packet is dropped";
        let row = |name, used: (u64, u64), lost| {
            table(name, used.0.saturating_sub(used.1), limit, policy, lost)
        };
        let confirm = (totals.punted_confirm, taken.punted_confirm);
        let ask = (totals.punted_ask, taken.punted_ask);
        // Packets for own sockets take either queue, and are counted once for both.
        let local = totals.dropped_for(DropReason::LocalFull);
        [
            row(
                "punt-confirm",
                confirm,
                totals.dropped_for(DropReason::ConfirmFull),
            ),
            row(
                "punt-ask",
                ask,
                totals.dropped_for(DropReason::AskFull) + local,
            ),
        ]
    }

    /// Messages that may be sent at once, of which some were.
    fn icmp(&self, totals: &Totals) -> [Table; 3] {
        let rates = self.bounds.icmp;
        let [errors, echo, redirects] = self.reader.icmp_spent(rates, self.now);
        // Echo and redirects have rows of their own.
        let kinds = Class::ALL.len() as u64 - 2;
        let of_errors = u64::from(rates.errors.burst) * kinds;
        // Those of our own sockets are the host's.
        let host = self.reader.host_totals();
        let others = totals.echo_limited + totals.redirects_limited + host.echo_limited;
        let limited = (totals.icmp_limited + host.icmp_limited).saturating_sub(others);
        let policy = "the packet gets no answer";
        let row = |name, used: u64, limit, lost| table(name, used.min(limit), limit, policy, lost);
        [
            row("icmp-errors", errors, of_errors, limited),
            row(
                "icmp-echo",
                echo,
                u64::from(rates.echo.burst),
                totals.echo_limited,
            ),
            row(
                "icmp-redirects",
                redirects,
                u64::from(rates.errors.burst),
                totals.redirects_limited,
            ),
        ]
    }

    /// Asked of the host, who answers within some bursts; missing when it has ended.
    fn neighbour_table(&mut self) -> Option<Table> {
        let HostReply::NeighStats(stats, (used, limit)) = self.host.call(HostCmd::NeighStats)
        else {
            return None;
        };
        let policy = "unanswered ones are replaced first, next hops' gateways never";
        let overflows = stats.refused_full + stats.refused_busy + stats.evicted;
        Some(table(
            "neighbours",
            used as u64,
            limit as u64,
            policy,
            overflows,
        ))
    }
}

fn table(name: &str, used: u64, limit: u64, policy: &str, overflows: u64) -> Table {
    Table {
        name: name.into(),
        used,
        limit,
        policy: policy.into(),
        overflows,
    }
}

fn route_table(fill: &route::Fill) -> Table {
    let name = match fill.name {
        "IPv4 routes" => "routes-v4",
        "IPv6 routes" => "routes-v6",
        "next-hop groups" => "groups",
        "IPv4 FIB bytes" => "fib-bytes-v4",
        "IPv6 FIB bytes" => "fib-bytes-v6",
        other => other,
    };
    let fib = match fill.fib {
        FibId(0) => String::new(),
        fib => format!("-fib{fib}"),
    };
    // Refusals are told to who asked, and change nothing: they are not counted.
    table(
        &(name.replace(' ', "-") + &fib),
        fill.used,
        fill.limit,
        "adds are refused",
        0,
    )
}

/// Packets held for a neighbour.
fn held(totals: &Totals, bounds: Bounds, workers: u64) -> Table {
    let lost = totals.dropped_for(DropReason::HoldFull);
    let limit = bounds.held as u64 * workers;
    // The counters are of slightly different moments.
    let others = totals.waiting_unknown + totals.parked + totals.pieces_waiting;
    let used = (totals.waiting + totals.origin_waiting).saturating_sub(others);
    table("held", used, limit, "the oldest packet is dropped", lost)
}

/// Pieces that wait for the first one of their datagram.
fn fragments(totals: &Totals, bounds: Bounds, workers: u64) -> Table {
    let limit = bounds.pieces as u64 * workers;
    let lost = totals.dropped_for(DropReason::FragmentFull);
    let policy = "the oldest datagram's pieces are dropped; a source over its share gets no place";
    table("fragments", totals.pieces_waiting, limit, policy, lost)
}

/// Datagrams whose first piece has told their flow, or is waited for.
fn datagrams(totals: &Totals, bounds: Bounds, workers: u64) -> Table {
    let limit = bounds.datagrams as u64 * workers;
    let policy = "the oldest is forgotten: its later pieces go by their addresses";
    table(
        "datagrams",
        totals.datagrams,
        limit,
        policy,
        totals.datagrams_forgotten,
    )
}

/// Datagrams for the gateway itself that wait for pieces.
fn own_datagrams(host: &Totals) -> Table {
    let limit = stack::host::DATAGRAMS as u64;
    let policy = "the oldest is forgotten; any after 60 s";
    table(
        "own-datagrams",
        host.datagrams,
        limit,
        policy,
        host.datagrams_forgotten,
    )
}

/// Packets whose neighbour nobody has asked for yet.
fn unknown(totals: &Totals, bounds: Bounds, workers: u64) -> Table {
    let limit = bounds.unknown as u64 * workers;
    let lost = totals.dropped_for(DropReason::NeighbourFull);
    let policy = "the newest packet is dropped";
    table(
        "unknown-neighbours",
        totals.waiting_unknown,
        limit,
        policy,
        lost,
    )
}

/// Packets on their way from one worker to another.
fn rings(totals: &Totals, bounds: Bounds, workers: u64) -> Table {
    let limit = bounds.handoff as u64 * workers * workers.saturating_sub(1);
    let used = totals.handed_off.saturating_sub(totals.taken_over);
    let lost = totals.dropped_for(DropReason::HandoffFull);
    table("hand-off", used, limit, "the sender drops the packet", lost)
}

/// Packets whose flows are changing workers.
fn parking(totals: &Totals, bounds: Bounds, workers: u64) -> Table {
    let limit = bounds.parked as u64 * workers;
    let lost = totals.dropped_for(DropReason::ParkFull);
    let policy = "the newest packet is dropped";
    table("parked", totals.parked, limit, policy, lost)
}

/// Buffers for super-packets, where a port brings any.
fn super_buffers(totals: &Totals, bounds: Bounds, workers: u64) -> Option<Table> {
    let limit = bounds.large_buffers as u64 * workers;
    let lost = totals.dropped_for(DropReason::LargeFull);
    let policy = "a packet that needs one is dropped";
    let used = totals.large_used;
    (limit > 0).then(|| table("super-buffers", used, limit, policy, lost))
}

fn memory(of: &route::RouteMemory) -> Memory {
    Memory {
        name: of.name.into(),
        bytes: of.bytes,
        routes: of.routes,
    }
}

fn leaving(one: &stack::control::Leaving, reader: &Reader) -> Leaving {
    let key = one.nhop.key;
    let port = reader.port_of(&key);
    let of_one = one.destination.is_some() || one.group.is_some();
    let drains = of_one && one.nhop.admin == route::Admin::In;
    Leaving {
        name: path_name(kind(key.kind), key.gateway, port.as_deref()),
        destination: one.destination.map(|prefix| prefix.to_string()),
        group: one.group.map(|(number, _)| number.0),
        fib: one.destination.map_or(0, |prefix| prefix.fib().0),
        admin: if drains {
            admin(route::Admin::Draining)
        } else {
            admin(one.nhop.admin)
        },
        health: health(one.nhop.health),
        flows: one.flows,
        deadline: one.deadline_s,
    }
}
