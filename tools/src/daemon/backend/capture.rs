//! `Capture`: what workers keep of packets, read on the client's thread; what has changed, kept by control.
//!
//! A client's thread reads the rings every so often and asks control for the changes; no worker is woken, asked or waited
//! for. All packets are recorded while somebody asks for them: each who asks holds a [`Wish`], and the last to go takes the
//! order back.

use super::Live;
use crate::server::Capturing;
use crate::server::unix_ms;
use crate::wire::capture::Capture;
use crate::wire::capture::CaptureChange;
use crate::wire::capture::CapturePort;
use crate::wire::capture::CaptureRecord;
use crate::wire::capture::Captured;
use crate::wire::capture::Direction;
use crate::wire::route::Admin;
use crate::wire::route::Health;
use crate::wire::route::News;
use crate::wire::route::Path;
use crate::wire::route::RouteDone;
use crate::wire::stats::Table;
use stack::Now;
use stack::capture::Record;
use stack::capture::Rings;
use stack::control::ControlEvent;
use stack::host::HostEvent;
use stack::io::poll::Clock;
use stack::ports::DeviceState;
use stack::ports::Layer;
use stack::ports::Ports;
use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Changes that are remembered.
pub(super) const CHANGES: usize = 1024;

/// Changes that have been seen, the latest.
#[derive(Debug, Default)]
pub(super) struct Changes {
    last: VecDeque<CaptureChange>,
    /// How many there were before the first of these.
    before: u64,
}

impl Changes {
    /// Something has changed.
    pub(super) fn note(&mut self, text: String) {
        if self.last.len() == CHANGES {
            self.last.pop_front();
            self.before += 1;
        }
        let time = unix_ms();
        self.last.push_back(CaptureChange { time, text });
    }

    /// Those from number `from` on; the number of the next to come, and how many of them are forgotten.
    pub(super) fn since(&self, from: u64) -> (u64, u64, Vec<CaptureChange>) {
        let missed = self.before.saturating_sub(from);
        let skip = usize::try_from(from.saturating_sub(self.before)).unwrap_or(usize::MAX);
        let next = self.before + self.last.len() as u64;
        (next, missed, self.last.iter().skip(skip).cloned().collect())
    }

    /// How full it is.
    pub(super) fn table(&self) -> Table {
        Table {
            name: "capture-changes".into(),
            used: self.last.len() as u64,
            limit: CHANGES as u64,
            policy: "the oldest is overwritten".into(),
            overflows: self.before,
        }
    }
}

/// News in a line.
pub(super) fn told(news: &News) -> String {
    match news {
        News::RouteAdded(done) => format!("route added: {}", of_route(done)),
        News::RouteChanged(done) => format!("route changed: {}", of_route(done)),
        News::RouteDeleted(done) => format!("route deleted: {}", of_route(done)),
        News::RoutesChanged {
            fib,
            added,
            changed,
            deleted,
        } => format!("routes of FIB {fib}: {added} added, {changed} changed, {deleted} deleted"),
        News::GroupAdded(done) => format!("group {} added or extended", done.group),
        News::GroupChanged(done) => format!("group {} changed", done.group),
        News::GroupDeleted(done) => format!("group {} or members of it deleted", done.group),
        News::Nexthop {
            name,
            port,
            admin,
            health,
            ..
        } => {
            let port = port
                .as_ref()
                .map_or_else(String::new, |port| format!(" on {port}"));
            format!("nexthop {name}{port}: {}", state(*admin, *health))
        }
        News::Port { port, up } => format!("port {port}: {}", if *up { "up" } else { "down" }),
    }
}

const fn state(admin: Admin, health: Health) -> &'static str {
    match (health, admin) {
        (Health::Dead, _) => "dead",
        (Health::Returning, _) => "returning",
        (Health::Up, Admin::Draining) => "draining",
        (Health::Up, Admin::Drained) => "drained",
        (Health::Up, Admin::In) => "up",
    }
}

fn of_route(done: &RouteDone) -> String {
    let paths: Vec<_> = done.paths.iter().map(Path::name).collect();
    let fib = match done.fib {
        0 => String::new(),
        fib => format!(" in FIB {fib}"),
    };
    format!("{}{fib} by {}", done.destination, paths.join(", "))
}

impl Live {
    /// What the host tells of neighbours and control of devices, which no monitor is told.
    pub(super) fn note_host(&mut self, event: &ControlEvent) {
        let text = match event {
            ControlEvent::Host(HostEvent::NeighMoved { addr, from, to }) => {
                format!("neighbour {addr}: moved from {from} to {to}")
            }
            ControlEvent::Host(HostEvent::Conflict { port, addr, mac }) => {
                let port = self.port_name(*port);
                format!("neighbour {mac} on {port}: uses our address {addr}")
            }
            ControlEvent::Device { name, state } => {
                format!("device of {name}: {}", device(*state))
            }
            _ => return,
        };
        self.changes.note(text);
    }
}

const fn device(state: DeviceState) -> &'static str {
    match state {
        DeviceState::Up => "up",
        DeviceState::Down => "down",
        DeviceState::Deleted => "deleted",
        DeviceState::Moved => "moved to another network namespace",
    }
}

/// How full the rings of drops are.
pub(super) fn table(rings: &[Arc<Rings>]) -> Table {
    let sum = |of: &dyn Fn(&Rings) -> u64| rings.iter().map(|rings| of(rings)).sum();
    Table {
        name: "capture-drops".into(),
        used: sum(&|rings| rings.drops.written().min(rings.drops.limit())),
        limit: sum(&|rings| rings.drops.limit()),
        policy: "the oldest is overwritten".into(),
        overflows: sum(&|rings| rings.drops.overwritten()),
    }
}

/// Who asks for all packets, and one in how many.
#[derive(Debug, Default)]
pub(super) struct Wishes(Mutex<Vec<u32>>);

/// One who asks for all packets.
struct Wish {
    rings: Vec<Arc<Rings>>,
    wishes: Arc<Wishes>,
    one_in: u32,
}

impl Wish {
    fn new(rings: Vec<Arc<Rings>>, wishes: Arc<Wishes>, one_in: u32) -> Self {
        let wish = Self {
            rings,
            wishes,
            one_in,
        };
        wish.change(|all| all.push(one_in));
        wish
    }

    /// The most that anybody asks for is what is recorded.
    fn change(&self, change: impl FnOnce(&mut Vec<u32>)) {
        let mut all = self.wishes.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut all);
        let most = all.iter().min().copied().unwrap_or(0);
        self.rings.iter().for_each(|rings| rings.want(most));
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        let one_in = self.one_in;
        self.change(|all| {
            if let Some(at) = all.iter().position(|wish| *wish == one_in) {
                all.swap_remove(at);
            }
        });
    }
}

/// A capture under way.
struct Under {
    rings: Vec<Arc<Rings>>,
    /// The next record of each ring.
    next: Vec<u64>,
    wish: Option<Wish>,
    ports: Ports,
    clock: Clock,
    begun: bool,
}

impl Live {
    pub(super) fn start_capture(&mut self, ask: &Capture) -> Capturing {
        let rings = self.control.captures();
        let wish = ask.all.then(|| {
            let (rings, wishes) = (rings.clone(), Arc::clone(&self.wishes));
            Wish::new(rings, wishes, ask.sample.unwrap_or(1))
        });
        // All packets are told from now on; of drops, those that are remembered too.
        let written = |rings: &Arc<Rings>| rings.all().map_or(0, |all| all.written());
        let next = match ask.all {
            true => rings.iter().map(written).collect(),
            false => vec![0; rings.len()],
        };
        let mut under = Under {
            rings,
            next,
            wish,
            ports: self.control.ports().clone(),
            clock: self.clock,
            begun: false,
        };
        Box::new(move || under.look())
    }
}

impl Under {
    /// What has come since the last look.
    fn look(&mut self) -> Captured {
        let (mut records, mut missed) = (Vec::new(), 0);
        for (worker, (rings, next)) in self.rings.iter().zip(&mut self.next).enumerate() {
            let ring = match self.wish {
                Some(_) => rings.all(),
                None => Some(&rings.drops),
            };
            if let Some(ring) = ring {
                let (then, lost) = ring.read_from(*next, worker, &mut records);
                (*next, missed) = (then, missed + lost);
            }
        }
        records.sort_by_key(|record| record.time.0);
        let begins = !std::mem::replace(&mut self.begun, true);
        let ports = self.ports.0.iter().filter(|_| begins);
        let zero = unix_ms().saturating_sub(self.clock.ms());
        Captured {
            ports: ports.map(port).collect(),
            records: records
                .iter()
                .map(|record| self.record(record, zero))
                .collect(),
            changes: Vec::new(),
            missed,
        }
    }

    fn record(&self, of: &Record, zero: u64) -> CaptureRecord {
        let port = self.ports.get(of.port);
        let v6 = of.is_v6(port.is_some_and(|port| matches!(port.layer, Layer::L2(_))));
        let Now(time) = of.time;
        CaptureRecord {
            time: zero + time,
            worker: u16::try_from(of.worker).unwrap_or(u16::MAX),
            port: port.map_or_else(|| format!("port{}", of.port.0), |port| port.name.clone()),
            direction: if of.fate.is_in() {
                Direction::In
            } else {
                Direction::Out
            },
            verdict: of.fate.name().into(),
            reason: of.fate.reason().map(|reason| reason.name_in(v6)),
            length: of.len as u64,
            bytes: hex(&of.bytes),
            bare: of.bare,
        }
    }
}

fn port(of: &stack::ports::Port) -> CapturePort {
    CapturePort {
        name: of.name.clone(),
        ether: matches!(of.layer, Layer::L2(_)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // A String takes everything.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
