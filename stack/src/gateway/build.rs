//! Joins the parts: what all threads share, then a worker each, the host, and control, which publishes the first ports.

use super::{Gateway, Setup, Wakers};
use crate::capture::Rings;
use crate::collector::Collector;
use crate::control::{self, Bounds, Control, ControlError, WorkerHandle};
use crate::counters::Counters;
use crate::host::{self, Host, HostEvent, Roll};
use crate::io::wake::Waker;
use crate::links::{HostLinks, WorkerCmd, WorkerLinks, connect};
use crate::marks::Marks;
use crate::path::{FlowTables, Path};
use crate::pkt::Pool;
use crate::ports::Ports;
use crate::slots::{SlotMap, Slots, even_slots};
use crate::time::Now;
use crate::worker::{self, NeighUse, Worker};
use arc_swap::ArcSwap;
use flowtable::{SLOTS, SlotNo, State, Templates};
use route::View;
use rtrb::Producer;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};

/// Flows of the host's own sockets.
const HOST_FLOWS: usize = 4096;

/// Packet buffers of the host.
const HOST_BUFFERS: usize = 1024;

/// How long a fragment waits for its datagram's first piece, and how long that piece is remembered, ms.
const PIECE_WAIT_MS: u64 = 500;
const PIECE_KEEP_MS: u64 = 30_000;

/// What the threads of a gateway share.
struct Common {
    view: Arc<View>,
    neigh: Arc<arp::View>,
    tables: FlowTables,
    templates: Arc<Templates>,
    /// Which worker owns which slot at the start, and as it is told to all.
    map: SlotMap,
    slots: Arc<Slots>,
    published: Arc<ArcSwap<Ports>>,
    /// One a worker, the host's last.
    wakers: Vec<Waker>,
    roll: Arc<Roll>,
}

impl Common {
    /// With the two of its parts that one thread alone writes: control's and the host's.
    fn new(setup: &Setup, wakers: &Wakers, now: Now) -> (Self, route::Control, arp::Table) {
        let tables = setup.tables.clone().unwrap_or_else(|| {
            let (v4, v6) = (setup.flows_v4, setup.flows_v6);
            FlowTables::new(v4, v6, setup.table_secret, now, &|_| {})
        });
        let workers = setup.all_workers();
        let (routes, view) = route::new(route::Config {
            readers: workers + 1,
            // A bucket remembers earlier owners for as long as a flow of any class may be silent.
            idle: setup
                .route
                .idle
                .max(tables.v4.timeouts().get(State::Established)),
            ..setup.route
        });
        let (neighbours, neigh) = arp::new(setup.neigh.clone(), setup.seed);
        let map = even_slots(setup.workers);
        let common = Self {
            view,
            neigh,
            tables,
            templates: Templates::new(setup.templates, setup.table_secret),
            slots: Arc::new(Slots::new(&map, workers, setup.workers)),
            map,
            published: Arc::new(ArcSwap::from_pointee(setup.ports.clone())),
            wakers: wakers
                .workers
                .iter()
                .chain([&wakers.host])
                .cloned()
                .collect(),
            roll: Roll::new(workers),
        };
        (common, routes, neighbours)
    }

    /// The flow cache of a thread that owns these slots of these tables.
    fn path(
        &self,
        setup: &Setup,
        tables: &FlowTables,
        slots: &[SlotNo],
        marks: &Arc<Marks>,
    ) -> Path {
        let view = Arc::clone(&self.view);
        Path::new(view, tables, slots, setup.group_secret, Arc::clone(marks))
    }
}

/// Builds a gateway.
///
/// # Errors
/// Ports that cannot be, in one line.
pub fn build(setup: Setup, wakers: &Wakers, now: Now) -> Result<Gateway, ControlError> {
    let (common, routes, neighbours) = Common::new(&setup, wakers, now);
    let (worker_links, host_links, mailboxes) = connect(setup.all_workers(), setup.depths);
    let (mut workers, mut handles, mut used) = (Vec::new(), Vec::new(), Vec::new());
    for ((id, links), mailbox) in worker_links.into_iter().enumerate().zip(mailboxes) {
        let (made, handle, uses) = worker(&setup, &common, id, links, mailbox);
        workers.push(made);
        handles.push(handle);
        used.push(uses);
    }
    let (events_tx, events) = mpsc::channel();
    let by_host = ByHost::new(&setup, now);
    let (links, control_waker) = (host_links, wakers.control.clone());
    let mut host = host(
        &setup,
        &common,
        &by_host,
        (neighbours, links, used),
        (events_tx, control_waker),
    );
    let bounds = bounds(&setup);
    let control = Control::new(
        control::Parts {
            routes,
            view: common.view,
            ports: setup.ports,
            published: common.published,
            workers: handles,
            host_counters: by_host.counters,
            host_marks: by_host.marks,
            tables: common.tables,
            host_tables: by_host.tables,
            templates: common.templates.writer(),
            slots: common.slots,
            events,
            group_secret: setup.group_secret,
            neigh: common.neigh,
            fragment_seed: setup.seed,
            bounds,
        },
        &mut host,
        now,
    )?;
    Ok(Gateway {
        control,
        host,
        workers,
    })
}

/// One worker, how control knows it, and where it notes which neighbours it used.
fn worker(
    setup: &Setup,
    common: &Common,
    id: usize,
    links: WorkerLinks,
    mailbox: Producer<WorkerCmd>,
) -> (Worker, WorkerHandle, Arc<NeighUse>) {
    let (counters, marks) = counted(setup);
    let captures = Arc::new(Rings::default());
    let used = Arc::new(NeighUse::new(setup.neigh.limit));
    let slots = slots_of(&common.map, id);
    let path = common
        .path(setup, &common.tables, &slots, &marks)
        .with_templates(common.templates.writer());
    let made = Worker::new(worker::Parts {
        id,
        path,
        neigh: Arc::clone(&common.neigh),
        slots: Arc::clone(&common.slots),
        links,
        wakers: common.wakers.clone(),
        ports: Arc::clone(&common.published),
        counters: Arc::clone(&counters),
        captures: Arc::clone(&captures),
        used: Arc::clone(&used),
        pool: pool(setup),
        shared: shared(setup),
        collector: collector(setup),
        pieces_max: setup.fragments.1 + 1,
        fragment_seed: setup.seed,
        hold: setup.hold,
        parking: setup.depths.handoff,
        seed: setup.seed.wrapping_add(id as u64),
        qsbr: common.view.qsbr().reader(id),
        roll: Arc::clone(&common.roll),
    });
    let handle = WorkerHandle {
        counters,
        captures,
        marks,
        mailbox,
        waker: common.wakers[id].clone(),
    };
    (made, handle, used)
}

/// What workers have parts of.
fn shared(setup: &Setup) -> worker::Shared {
    worker::Shared {
        icmp: setup.icmp,
        neighbours: setup.new_neighbours,
    }
}

/// What a thread that forwards writes for others to read.
fn counted(setup: &Setup) -> (Arc<Counters>, Arc<Marks>) {
    let counters = Counters::new(setup.ports.0.len());
    (Arc::new(counters), Arc::new(Marks::default()))
}

/// A worker's packet buffers.
fn pool(setup: &Setup) -> Pool {
    let workers = setup.all_workers();
    // No more than a pool again, whatever the rings hold: what is owed is given back first.
    let room = setup.depths.owed_to_others(workers).min(setup.buffers);
    Pool::with_room(setup.buffers, setup.packet_size, room)
        .with_large(setup.large_buffers, setup.large_buffers * workers)
}

fn collector(setup: &Setup) -> Collector {
    let (datagrams, pieces) = setup.fragments;
    Collector::new(datagrams, pieces, PIECE_WAIT_MS, PIECE_KEEP_MS, setup.seed)
}

/// What the host writes, and control reads.
struct ByHost {
    tables: FlowTables,
    counters: Arc<Counters>,
    marks: Arc<Marks>,
}

impl ByHost {
    fn new(setup: &Setup, now: Now) -> Self {
        let (counters, marks) = counted(setup);
        let tables = FlowTables::new(HOST_FLOWS, HOST_FLOWS, setup.table_secret, now, &|_| {});
        Self {
            tables,
            counters,
            marks,
        }
    }
}

fn host(
    setup: &Setup,
    common: &Common,
    by_host: &ByHost,
    (table, links, used): (arp::Table, Vec<HostLinks>, Vec<Arc<NeighUse>>),
    (events, control_waker): (Sender<HostEvent>, Waker),
) -> Host {
    let every: Vec<SlotNo> = (0..SLOTS as u16).map(SlotNo).collect();
    Host::new(host::Parts {
        table,
        neigh: Arc::clone(&common.neigh),
        path: common.path(setup, &by_host.tables, &every, &by_host.marks),
        links,
        wakers: common.wakers.clone(),
        control_waker,
        ports: Arc::clone(&common.published),
        counters: Arc::clone(&by_host.counters),
        used,
        pool: Pool::with_room(HOST_BUFFERS, setup.packet_size, HOST_BUFFERS),
        events,
        qsbr: common.view.qsbr().reader(setup.all_workers()),
        roll: Arc::clone(&common.roll),
        // As much as a worker has.
        icmp: shared(setup).part(0, setup.workers).icmp,
        seed: setup.seed,
    })
}

/// What control tells of limits.
fn bounds(setup: &Setup) -> Bounds {
    Bounds {
        held: setup.hold.1,
        unknown: worker::UNKNOWN_MAX,
        pieces: setup.fragments.1,
        datagrams: setup.fragments.0,
        icmp: setup.icmp,
        punt: setup.depths.punt,
        buffers: setup.buffers,
        large_buffers: setup.large_buffers,
        handoff: setup.depths.handoff,
        parked: setup.depths.handoff,
    }
}

fn slots_of(slots: &SlotMap, worker: usize) -> Vec<SlotNo> {
    let mine = slots
        .iter()
        .enumerate()
        .filter(|(_, w)| usize::from(**w) == worker);
    mine.map(|(slot, _)| SlotNo(slot as u16)).collect()
}
