//! Puts a gateway together: control, host and workers, joined by their rings, without starting anything.
//!
//! What comes out is sans-I/O: the daemon gives each part a thread and devices ([`crate::io::run`]), a test
//! polls them by hand in virtual time.

use crate::capture::Rings;
use crate::collector::Collector;
use crate::control::{self, Bounds, Control, ControlError, WorkerHandle};
use crate::counters::Counters;
use crate::host::{self, Host};
use crate::icmp::{Rate, Rates};
use crate::io::wake::Waker;
use crate::links::{Depths, connect};
use crate::marks::Marks;
use crate::path::{FlowTables, Path};
use crate::pkt::Pool;
use crate::ports::Ports;
use crate::slots::{SlotMap, Slots, even_slots};
use crate::time::Now;
use crate::worker::{self, NeighUse, Worker};
use arc_swap::ArcSwap;
use flowtable::{GroupSecret, SLOTS, SlotNo, State, TableSecret, Templates};
use std::sync::Arc;
use std::sync::mpsc;

/// Everything a gateway is built from. The defaults are the daemon's.
pub struct Setup {
    /// Threads that forward, at the start.
    pub workers: usize,
    /// The most that there may be later: so many are made, and queue *i* of each port is worker *i*'s. 0: as many as at
    /// the start.
    pub max_workers: usize,
    /// Ports, in the order of their indexes.
    pub ports: Ports,
    /// IPv4 flows in all.
    pub flows_v4: usize,
    /// IPv6 flows in all.
    pub flows_v6: usize,
    /// The tables of these, made before; left out, they are made here.
    pub tables: Option<FlowTables>,
    /// Affinity templates: client networks of sticky routes.
    pub templates: usize,
    /// Limits of the route tables; the number of readers is set here.
    pub route: route::Config,
    /// Limits and timers of the neighbour table.
    pub neigh: arp::Config,
    /// Ring depths.
    pub depths: Depths,
    /// Packet buffers a worker.
    pub buffers: usize,
    /// Bytes in a packet buffer: the largest MTU and a link header.
    pub packet_size: usize,
    /// Buffers for super-packets, a worker; 0 where no port receives any.
    pub large_buffers: usize,
    /// Packets held for one neighbour, and in all, a worker.
    pub hold: (usize, usize),
    /// Datagrams and pieces in the fragment collector, a worker.
    pub fragments: (usize, usize),
    /// ICMP limits, all workers together.
    pub icmp: Rates,
    /// New neighbours asked for on one port, all workers together: a scan of a network asks no faster.
    pub new_neighbours: Rate,
    /// Fresh at each start.
    pub table_secret: TableSecret,
    /// The installation's.
    pub group_secret: GroupSecret,
    /// For everything that is to look random without being secret.
    pub seed: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            workers: 1,
            max_workers: 0,
            ports: Ports::default(),
            flows_v4: 262_144,
            flows_v6: 131_072,
            tables: None,
            templates: 65_536,
            route: route::Config::default(),
            neigh: arp::Config::default(),
            depths: Depths::default(),
            buffers: 4096,
            packet_size: 2048,
            large_buffers: 0,
            hold: (16, 512),
            fragments: (256, 512),
            icmp: Rates::default(),
            // A burst fills the unanswered ones that a port may have.
            new_neighbours: Rate {
                per_second: 256,
                burst: 256,
            },
            table_secret: TableSecret([0; 16]),
            group_secret: GroupSecret([0; 16]),
            seed: 0,
        }
    }
}

impl Setup {
    /// Workers that are made, whether they own slots or not.
    pub fn all_workers(&self) -> usize {
        self.workers.max(self.max_workers)
    }
}

/// Whom to wake; [`Waker::null`] in a simulation.
pub struct Wakers {
    /// One a worker.
    pub workers: Vec<Waker>,
    /// The host's.
    pub host: Waker,
    /// Control's.
    pub control: Waker,
}

impl Wakers {
    /// Wakers that wake nobody.
    pub fn null(workers: usize) -> Self {
        let workers = (0..workers).map(|_| Waker::null()).collect();
        Self {
            workers,
            host: Waker::null(),
            control: Waker::null(),
        }
    }

    /// Real ones.
    pub fn new(workers: usize) -> std::io::Result<Self> {
        let workers = (0..workers)
            .map(|_| Waker::new())
            .collect::<Result<_, _>>()?;
        Ok(Self {
            workers,
            host: Waker::new()?,
            control: Waker::new()?,
        })
    }
}

/// A gateway, ready to be polled.
pub struct Gateway {
    /// The truth.
    pub control: Control,
    /// Neighbours and own sockets.
    pub host: Host,
    /// The packet path.
    pub workers: Vec<Worker>,
}

/// Flows of the host's own sockets.
const HOST_FLOWS: usize = 4096;

/// Packet buffers of the host.
const HOST_BUFFERS: usize = 1024;

/// How long a fragment waits for its datagram's first piece, and how long that piece is remembered, ms.
const PIECE_WAIT_MS: u64 = 500;
const PIECE_KEEP_MS: u64 = 30_000;

/// Builds a gateway.
pub fn build(setup: Setup, wakers: &Wakers, now: Now) -> Result<Gateway, ControlError> {
    let tables = setup.tables.clone().unwrap_or_else(|| {
        let (v4, v6) = (setup.flows_v4, setup.flows_v6);
        FlowTables::new(v4, v6, setup.table_secret, now, &|_| {})
    });
    let templates = Templates::new(setup.templates, setup.table_secret);
    let workers = setup.all_workers();
    let readers = workers + 1;
    let (routes, view) = route::new(route::Config {
        readers,
        // A bucket remembers earlier owners for as long as a flow of any class may be silent.
        idle: setup
            .route
            .idle
            .max(tables.v4.timeouts().get(State::Established)),
        ..setup.route
    });
    let neigh_limit = setup.neigh.limit;
    let (neighbours, neigh) = arp::new(setup.neigh.clone(), setup.seed);
    let control_neigh = Arc::clone(&neigh);
    let host_tables = FlowTables::new(HOST_FLOWS, HOST_FLOWS, setup.table_secret, now, &|_| {});
    let map = even_slots(setup.workers);
    let slots = Arc::new(Slots::new(&map, workers, setup.workers));
    let shared = worker::Shared {
        icmp: setup.icmp,
        neighbours: setup.new_neighbours,
    };
    let published = Arc::new(ArcSwap::from_pointee(setup.ports.clone()));
    let (worker_links, host_links, mailboxes) = connect(workers, setup.depths);
    let mut all_wakers = wakers.workers.clone();
    all_wakers.push(wakers.host.clone());

    // No more than a pool again, whatever the rings hold: what is owed is given back first.
    let room = setup.depths.owed_to_others(workers).min(setup.buffers);
    let roll = host::Roll::new(workers);
    let (mut made, mut handles, mut used) = (Vec::new(), Vec::new(), Vec::new());
    for ((id, links), mailbox) in worker_links.into_iter().enumerate().zip(mailboxes) {
        let marks = Arc::new(Marks::default());
        let counters = Arc::new(Counters::new(setup.ports.0.len()));
        let captures = Arc::new(Rings::default());
        let neigh_use = Arc::new(NeighUse::new(neigh_limit));
        let owned = slots_of(&map, id);
        let path = Path::new(
            Arc::clone(&view),
            &tables,
            &owned,
            setup.group_secret,
            Arc::clone(&marks),
        )
        .with_templates(templates.writer());
        handles.push(WorkerHandle {
            counters: Arc::clone(&counters),
            captures: Arc::clone(&captures),
            marks,
            mailbox,
            waker: all_wakers[id].clone(),
        });
        used.push(Arc::clone(&neigh_use));
        made.push(Worker::new(worker::Parts {
            id,
            path,
            neigh: Arc::clone(&neigh),
            slots: Arc::clone(&slots),
            links,
            wakers: all_wakers.clone(),
            ports: Arc::clone(&published),
            counters,
            captures,
            used: neigh_use,
            pool: Pool::with_room(setup.buffers, setup.packet_size, room)
                .with_large(setup.large_buffers, setup.large_buffers * workers),
            shared,
            collector: Collector::new(
                setup.fragments.0,
                setup.fragments.1,
                PIECE_WAIT_MS,
                PIECE_KEEP_MS,
                setup.seed,
            ),
            pieces_max: setup.fragments.1 + 1,
            fragment_seed: setup.seed,
            hold: setup.hold,
            parking: setup.depths.handoff,
            seed: setup.seed.wrapping_add(id as u64),
            qsbr: view.qsbr().reader(id),
            roll: Arc::clone(&roll),
        }));
    }

    let (events_tx, events) = mpsc::channel();
    let (host_counters, host_marks) = (
        Arc::new(Counters::new(setup.ports.0.len())),
        Arc::new(Marks::default()),
    );
    let every: Vec<SlotNo> = (0..SLOTS as u16).map(SlotNo).collect();
    let host_path = Path::new(
        Arc::clone(&view),
        &host_tables,
        &every,
        setup.group_secret,
        Arc::clone(&host_marks),
    );
    let mut host = Host::new(host::Parts {
        table: neighbours,
        neigh,
        path: host_path,
        links: host_links,
        wakers: all_wakers,
        control_waker: wakers.control.clone(),
        ports: Arc::clone(&published),
        counters: Arc::clone(&host_counters),
        used,
        pool: Pool::with_room(HOST_BUFFERS, setup.packet_size, HOST_BUFFERS),
        events: events_tx,
        qsbr: view.qsbr().reader(workers),
        roll,
        seed: setup.seed,
    });
    let control = Control::new(
        control::Parts {
            routes,
            view,
            ports: setup.ports,
            published,
            workers: handles,
            host_counters,
            host_marks,
            tables,
            host_tables,
            templates: templates.writer(),
            slots,
            events,
            group_secret: setup.group_secret,
            neigh: control_neigh,
            fragment_seed: setup.seed,
            bounds: Bounds {
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
            },
        },
        &mut host,
        now,
    )?;
    Ok(Gateway {
        control,
        host,
        workers: made,
    })
}

fn slots_of(slots: &SlotMap, worker: usize) -> Vec<SlotNo> {
    let mine = slots
        .iter()
        .enumerate()
        .filter(|(_, w)| usize::from(**w) == worker);
    mine.map(|(slot, _)| SlotNo(slot as u16)).collect()
}
