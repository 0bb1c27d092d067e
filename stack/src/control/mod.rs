//! Control: the truth about routes, next hops and ports, and everything an operator may ask.
//!
//! One thread owns it. It writes what workers read (FIB, groups, next-hop words, the published ports) and
//! never waits for them. The host reports neighbours and health checks; control decides what that means for
//! next hops. Files: `recursive` (next hops found through other routes), `routes` (add, change, delete, get), `batch` (many routes as one), `health`, `flows`, `report` (status, fills), and
//! `switch` (ports up and down), `mtu` (interfaces that take less), `moves` (which flows a change of a route moves), `reader`, by which other threads read flows and counters without control,
//! and `explain` (what becomes of a packet, and why).

mod batch;
mod error;
mod explain;
mod flows;
mod get;
mod groups;
mod health;
mod links;
mod moves;
mod mtu;
mod reader;
mod recursive;
mod report;
mod routes;
mod switch;
mod templates;
mod timeouts;
mod workers;

pub use batch::{BatchDone, BatchEnd, RouteBatch, RouteSet};
pub use error::ControlError;
pub use explain::{
    Explanation, Found, Framing, LONGEST, PacketAsk, Stage, Step, TupleAsk, Turn, Verdict, Way,
};
pub use flows::{FlowRow, FlowSide};
pub use get::{Chosen, RouteGet, Why};
pub use health::{DownCause, NhopHealth};
pub use moves::{
    DUE_LIMIT, Follow, Followed, Forecast, Foresight, GroupOrder, LoggedMoves, MoveLog, MoveOf,
    MovePlan, MoveRow, MoveWhy, Obeyed, RouteOrder, Subject,
};
pub use reader::{Indebted, Reader};
pub use report::{Leaving, PortReport, WorkerReport};
pub use routes::{GatewaySpec, PathKind, RouteSpec};
pub use templates::{TemplateFilter, TemplateRow};
pub use timeouts::TimeoutsInfo;
pub use workers::{WorkersReport, WorkersSet};

use crate::capture::Rings;
use crate::counters::Counters;
use crate::host::{HostCmd, HostEvent, HostLink, HostReply};
use crate::io::wake::Waker;
use crate::links::WorkerCmd;
use crate::marks::Marks;
use crate::parse::{Addrs, Tuple};
use crate::path::FlowTables;
use crate::ports::{DeviceState, Ports, is_link_local};
use crate::slots::Slots;
use crate::time::Now;
use arc_swap::ArcSwap;
use error::of_fib;
use flowtable::{GroupSecret, SlotNo, TemplateWriter};
use hashbrown::{HashMap, HashSet};
use health::Down;
use route::{
    Change, GroupChange, NhopGen, NhopIdx, NhopKey, Pin, PortId, Prefix, RouteError, Secs,
    StickyOf, View,
};
use rtrb::Producer;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use switch::Switch;
use workers::Resizing;

/// Drains that came to their deadline and are remembered, at most, until somebody asks.
const ENDED: usize = 256;

/// Something that `route monitor` shows.
#[derive(Clone, Debug)]
pub enum ControlEvent {
    /// A route was added, changed or deleted.
    Route(Change),
    /// A group that has a number was made, changed or deleted.
    Group(GroupChange),
    /// So many routes were changed as one that each is not told.
    Batch(BatchDone),
    /// A next hop died, came back, drains or is drained.
    Health(NhopHealth),
    /// The host saw something worth telling.
    Host(HostEvent),
    /// A port's device changed. If that takes the port up or down, this is told next.
    Device {
        /// The port's name.
        name: String,
        /// What its device is now.
        state: DeviceState,
    },
    /// A port went up or down.
    Port {
        /// Its name.
        name: String,
        /// Whether it is up now.
        up: bool,
    },
}

/// Control's ends of one worker.
pub struct WorkerHandle {
    /// The worker's counters.
    pub counters: Arc<Counters>,
    /// What it keeps of packets.
    pub captures: Arc<Rings>,
    /// Its notes of remembered owners.
    pub marks: Arc<Marks>,
    /// Commands to it.
    pub mailbox: Producer<WorkerCmd>,
    /// Rings it.
    pub waker: Waker,
}

/// What control is made of.
pub struct Parts {
    /// The routes' truth.
    pub routes: route::Control,
    /// What workers read of it.
    pub view: Arc<View>,
    /// The ports.
    pub ports: Ports,
    /// Where they are published.
    pub published: Arc<ArcSwap<Ports>>,
    /// Workers.
    pub workers: Vec<WorkerHandle>,
    /// The host's counters.
    pub host_counters: Arc<Counters>,
    /// The host's notes.
    pub host_marks: Arc<Marks>,
    /// Workers' flow tables.
    pub tables: FlowTables,
    /// The host's flow tables.
    pub host_tables: FlowTables,
    /// The affinity templates, to start their clocks and to end them.
    pub templates: TemplateWriter,
    /// Who owns which slot.
    pub slots: Arc<Slots>,
    /// Reports of the host.
    pub events: Receiver<HostEvent>,
    /// By which groups choose.
    pub group_secret: GroupSecret,
    /// Neighbours as workers see them.
    pub neigh: Arc<arp::View>,
    /// The seed that names the collector of a datagram.
    pub fragment_seed: u64,
    /// The neighbour table's limit and other bounds that status shows.
    pub bounds: Bounds,
}

/// Limits of tables that only threads other than control can look into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Packets held for neighbours, a worker.
    pub held: usize,
    /// Packets whose neighbour has no entry yet, a worker.
    pub unknown: usize,
    /// Pieces waiting for their first piece, a worker.
    pub pieces: usize,
    /// Datagrams that are remembered, a worker.
    pub datagrams: usize,
    /// ICMP limits of all workers together.
    pub icmp: crate::icmp::Rates,
    /// Each of the two queues to the host, a worker.
    pub punt: usize,
    /// Packet buffers, a worker.
    pub buffers: usize,
    /// Buffers for super-packets, a worker.
    pub large_buffers: usize,
    /// Hand-off ring, packets a pair.
    pub handoff: usize,
    /// Packets whose flows are changing workers, a worker.
    pub parked: usize,
}

/// Control.
pub struct Control {
    routes: route::Control,
    view: Arc<View>,
    ports: Ports,
    switches: Vec<Switch>,
    published: Arc<ArcSwap<Ports>>,
    retired: Vec<(u64, Arc<Ports>)>,
    connected: HashSet<Prefix>,
    workers: Vec<WorkerHandle>,
    host_counters: Arc<Counters>,
    host_marks: Arc<Marks>,
    tables: FlowTables,
    host_tables: FlowTables,
    templates: TemplateWriter,
    classes: timeouts::Classes,
    slots: Arc<Slots>,
    resizing: Resizing,
    events: Receiver<HostEvent>,
    group_secret: GroupSecret,
    neigh: Arc<arp::View>,
    fragment_seed: u64,
    down: HashMap<NhopIdx, Down>,
    /// When drained next hops must have lost their flows.
    drains: Vec<(Secs, Pin)>,
    /// Drains whose deadline came, until somebody asks: the latest.
    ended: Vec<Subject>,
    checks: HashMap<crate::host::CheckId, (IpAddr, Option<bool>)>,
    told: Vec<ControlEvent>,
    marks_at: Secs,
    /// When templates are swept next.
    sweep_at: Now,
    /// Neighbours that recursive next hops had, and since when no worker is told of them any more.
    let_go: Vec<(u64, arp::NeighIdx)>,
    bounds: Bounds,
    started: Now,
    /// Next hops' identities for readers; `None` after a change.
    names: Option<Arc<HashMap<NhopIdx, (NhopGen, NhopKey)>>>,
    /// Sticky routes by their affinity, likewise.
    affinities: Option<Arc<HashMap<u64, StickyOf>>>,
    /// The batch of routes under way.
    batch: Option<Box<batch::Loading>>,
}

impl Control {
    /// Puts control together and installs the ports' own and connected routes.
    pub fn new(parts: Parts, host: &mut dyn HostLink, now: Now) -> Result<Self, ControlError> {
        let mut control = Self {
            routes: parts.routes,
            view: parts.view,
            switches: Switch::of(&parts.ports),
            ports: parts.ports,
            published: parts.published,
            retired: Vec::new(),
            connected: HashSet::new(),
            workers: parts.workers,
            host_counters: parts.host_counters,
            host_marks: parts.host_marks,
            tables: parts.tables,
            host_tables: parts.host_tables,
            templates: parts.templates,
            classes: timeouts::Classes::default(),
            slots: parts.slots,
            resizing: Resizing::default(),
            events: parts.events,
            group_secret: parts.group_secret,
            neigh: parts.neigh,
            fragment_seed: parts.fragment_seed,
            down: HashMap::new(),
            drains: Vec::new(),
            ended: Vec::new(),
            checks: HashMap::new(),
            told: Vec::new(),
            marks_at: now.secs(),
            sweep_at: now,
            let_go: Vec::new(),
            bounds: parts.bounds,
            started: now,
            names: None,
            affinities: None,
            batch: None,
        };
        control.start_vlans();
        control.install_ports(host, now)?;
        let ports = control.ports.clone();
        for port in ports.0.iter().filter(|port| !port.up) {
            control.port_health(port.id, false, now);
        }
        control.told.clear();
        Ok(control)
    }

    /// VLANs of a port that is down from the start are down too.
    fn start_vlans(&mut self) {
        let ids: Vec<_> = self.ports.0.iter().map(|port| port.id).collect();
        let down = ids.into_iter().filter(|id| self.follow_switch(*id));
        if down.count() > 0 {
            self.publish_ports();
        }
    }

    /// Each port is made known to the host, and its networks and own addresses to the routes.
    fn install_ports(&mut self, host: &mut dyn HostLink, now: Now) -> Result<(), ControlError> {
        let ports = self.ports.clone();
        for port in &ports.0 {
            if matches!(host.call(HostCmd::SetPort(port.clone())), HostReply::Gone) {
                return Err(ControlError::HostGone);
            }
            for addr in &port.addrs {
                let full = if addr.addr.is_ipv4() { 32 } else { 128 };
                if let Ok(own) = Prefix::new(addr.addr, full) {
                    let own = own.in_fib(port.fib);
                    self.install_connected(own, routes::local_path(port), now)?;
                }
                if let Some(net) = addr.network().filter(|_| addr.len < full) {
                    let net = net.in_fib(port.fib);
                    self.install_connected(net, routes::iface_path(port), now)?;
                }
            }
        }
        Ok(())
    }

    fn install_connected(
        &mut self,
        prefix: Prefix,
        path: route::Path,
        now: Now,
    ) -> Result<(), ControlError> {
        if is_link_local(&prefix.addr()) && self.connected.contains(&prefix) {
            // Every link has this network, and may have this address. Workers ask the port, not the routes.
            return Ok(());
        }
        match self.routes.add(prefix, &[path], now.secs()) {
            Ok(change) => {
                self.connected.insert(prefix);
                self.told.push(ControlEvent::Route(change));
                Ok(())
            }
            // Two addresses of one network on a port: the network is there already.
            Err(RouteError::Exists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Control's regular turn: the host's reports, deadlines, history, retirement. About every 100 ms (every second while it
    /// [rests](Self::rests)), and whenever its waker rings.
    pub fn tick(&mut self, host: &mut dyn HostLink, now: Now) {
        while let Ok(event) = self.events.try_recv() {
            self.host_event(event, host, now);
        }
        self.refresh_history(now);
        self.sweep_templates(now);
        self.free_timeouts(now);
        let old = self.ended.len().saturating_sub(ENDED);
        self.ended.drain(..old);
        self.end_drains(now);
        self.step_starts(now);
        if self.batch.is_none() {
            for change in self.routes.tick(now.secs()) {
                self.ended.push(Subject::Route(change.prefix));
                self.after_change(host, change);
            }
            for change in self.routes.expire_groups(now.secs()) {
                self.ended.push(Subject::Group(change.number));
                self.after_group(host, change);
            }
        }
        self.settle(host, now);
        self.step_workers();
        self.release_passed(host);
        let view = Arc::clone(&self.view);
        self.retired
            .retain(|(epoch, _)| !view.qsbr().passed(*epoch));
    }

    /// Whether [`Self::tick`] has nothing to do soon that is not told by its waker: once a second is enough then. `by`: what
    /// has its time until then is to be done in time.
    pub fn rests(&self, by: Secs) -> bool {
        let is_calm = self.batch.is_none() && !self.moves_slots() && !self.ends_timeouts();
        let retires = !self.retired.is_empty() || !self.let_go.is_empty();
        let ends = self.drains.iter().any(|(at, _)| *at <= by);
        // Templates are swept a piece a turn.
        is_calm && !retires && !ends && !self.templates.table().in_use() && self.routes.rests(by)
    }

    /// Once a second: remembered owners that unpinned packets still take have their clocks restarted.
    fn refresh_history(&mut self, now: Now) {
        if now.secs().0 <= self.marks_at.0 {
            return;
        }
        let notes = self
            .workers
            .iter()
            .map(|w| &w.marks)
            .chain([&self.host_marks]);
        let marks: Vec<_> = notes.flat_map(|m| m.since(self.marks_at)).collect();
        for mark in marks {
            self.routes
                .remembered_used(mark.group, mark.bucket, mark.place, mark.at);
        }
        self.marks_at = now.secs();
    }

    /// After each change of routes: neighbours nobody needs are let go, who waits looks again, who watches is told.
    fn after_change(&mut self, host: &mut dyn HostLink, change: Change) {
        self.release_ended(host, &change.removed_nhops);
        self.told.push(ControlEvent::Route(change));
    }

    /// Neighbours of next hops that have ended are let go, and who waits looks again.
    fn release_ended(&mut self, host: &mut dyn HostLink, ended: &[(NhopIdx, NhopKey, u32)]) {
        for (idx, _, neigh) in ended {
            self.down.remove(idx);
            if *neigh != crate::link::NO_NEIGH {
                host.call(HostCmd::Release(arp::NeighIdx(*neigh)));
            }
        }
        self.names = None;
        self.affinities = None;
        self.wake_workers();
    }

    fn wake_workers(&self) {
        for worker in &self.workers {
            worker.waker.wake();
        }
    }

    /// What happened since the last call, for those who monitor.
    pub fn take_events(&mut self) -> Vec<ControlEvent> {
        std::mem::take(&mut self.told)
    }

    /// The ports as they are now.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    fn no_such_port(&self, name: &str) -> ControlError {
        ControlError::NoSuchPort {
            name: name.to_owned(),
            ports: self.port_names(),
        }
    }

    /// Whether there is such a FIB.
    ///
    /// # Errors
    /// There is not.
    pub fn check_fib(&self, fib: route::FibId) -> Result<(), ControlError> {
        Ok(self.routes.check_fib(fib)?)
    }

    /// How many FIBs there are.
    pub fn fibs(&self) -> u8 {
        self.routes.fibs()
    }

    /// "ports: tun0 (10.0.0.1/24), rack (192.0.2.1/24)", for messages.
    fn port_names(&self) -> String {
        let all: Vec<String> = self
            .ports
            .0
            .iter()
            .map(|p| {
                let addrs: Vec<String> = p
                    .addrs
                    .iter()
                    .map(|a| format!("{}/{}", a.addr, a.len))
                    .collect();
                let (name, addrs, fib) = (&p.name, addrs.join(" "), of_fib(p.fib));
                format!("{name} ({addrs}){fib}")
            })
            .collect();
        format!("ports: {}", all.join(", "))
    }

    /// The owner slot of a flow.
    fn slot_of(&self, tuple: &Tuple) -> SlotNo {
        let owner = self.tables.v4.owner();
        match tuple.addrs {
            Addrs::V4 { src, dst } => owner.slot4(tuple.proto, src, tuple.sport, dst, tuple.dport),
            Addrs::V6 { src, dst } => owner.slot6(tuple.proto, src, tuple.sport, dst, tuple.dport),
        }
    }

    fn port_name(&self, id: PortId) -> String {
        self.ports
            .get(id)
            .map_or_else(|| format!("port{}", id.0), |p| p.name.clone())
    }
}
