//! A worker: the one thread that writes its flow-table slots, its counters and its queues.
//!
//! [`Worker::poll`] is one burst, without I/O of its own and without a clock: it takes queues and `now`.
//! The order within a burst is the design's: commands, the rings of other workers, packets whose wait is
//! over, what the host wants sent, then the own queues. A packet that another worker owns goes to that
//! worker's ring before any own packet is processed. Files: `input` (to the owner), `forward` (the owner's
//! work), `output` (link and device), `plain` and `adjacency` (the short way
//! through both), `wait` (packets that wait), `answer` (ICMP), `flush`, `moving` (slots that change
//! their owner), `rest` (idle and asleep).

mod adjacency;
mod answer;
mod flush;
mod forward;
mod input;
mod moving;
mod output;
mod plain;
mod rest;
mod transmit;
mod wait;

pub use adjacency::{Adjacencies, Resolved};
pub use moving::Shared;
pub use wait::{NeighUse, UNKNOWN_MAX};

use crate::capture::{Recorder, Rings};
use crate::collector::Collector;
use crate::counters::Counters;
use crate::fate::DropReason;
use crate::host::Roll;
use crate::icmp::Limits;
use crate::io::Queue;
use crate::io::wake::Waker;
use crate::links::WorkerLinks;
use crate::ours::Ours;
use crate::path::{Path, Ready};
use crate::pkt::{HEADROOM, Pkt, Pool};
use crate::ports::Ports;
use crate::slots::Slots;
use crate::slots::follow::Following;
use crate::time::Now;
use crate::vlan::Vlans;
use arc_swap::{ArcSwap, Cache};
use flowtable::Tick;
use flush::Flushing;
use moving::Moving;
use route::{PortId, Secs};
use std::sync::Arc;
use wait::{Waiting, ask_limits};

/// Packets taken from one queue in one burst.
pub const BURST: usize = 32;

/// Bursts that a worker that is behind with its queues may take to answer the roll: in overload it always is.
const LONG_BEHIND: u8 = 64;

/// Buckets that the hand visits in a burst at most.
const SWEEP_BUSY: usize = 2;

/// Buckets whose flows are counted again in a burst, after slots have changed their owner.
const RECOUNT_BUSY: usize = 1;

/// Bursts between two buckets whose flows the other hand visits, and while there are affinity templates.
const VISIT_BURSTS: u32 = 96;
const VISIT_BURSTS_STICKY: u32 = 24;

/// What a worker is made of.
pub struct Parts {
    /// Which worker this is.
    pub id: usize,
    /// Its flow cache.
    pub path: Path,
    /// Neighbours.
    pub neigh: Arc<arp::View>,
    /// Who owns which slot.
    pub slots: Arc<Slots>,
    /// Its rings.
    pub links: WorkerLinks,
    /// Every worker's waker, the host's last.
    pub wakers: Vec<Waker>,
    /// Ports, published by control.
    pub ports: Arc<ArcSwap<Ports>>,
    /// Its counters.
    pub counters: Arc<Counters>,
    /// What it keeps of packets.
    pub captures: Arc<Rings>,
    /// Where it notes which neighbours it used.
    pub used: Arc<NeighUse>,
    /// Its stock of packets.
    pub pool: Pool,
    /// The limits that workers share.
    pub shared: Shared,
    /// Its datagram collector.
    pub collector: Collector,
    /// The most pieces that the collector lets go at once.
    pub pieces_max: usize,
    /// Seed that names the collector of a datagram; the same on all workers.
    pub fragment_seed: u64,
    /// Packets held for neighbours: per neighbour, in all.
    pub hold: (usize, usize),
    /// Packets parked for slots that are not open yet.
    pub parking: usize,
    /// For what is to look random.
    pub seed: u64,
    /// Its quiescence.
    pub qsbr: route::Reader,
    /// By which it says that it is there.
    pub roll: Arc<Roll>,
}

/// One worker.
pub struct Worker {
    id: usize,
    path: Path,
    neigh: Arc<arp::View>,
    moving: Moving,
    links: WorkerLinks,
    wakers: Vec<Waker>,
    ports: Cache<Arc<ArcSwap<Ports>>, Arc<Ports>>,
    /// The burst's view of the ports.
    burst_ports: Arc<Ports>,
    vlans: Vlans,
    /// Which sources may be theirs.
    ours: Ours,
    counters: Arc<Counters>,
    recorder: Recorder,
    used: Arc<NeighUse>,
    pool: Pool,
    limits: Limits,
    collector: Collector,
    fragment_seed: u64,
    waiting: Waiting,
    adjacencies: Adjacencies,
    qsbr: route::Reader,
    roll: Arc<Roll>,
    /// The call at which the burst began, and the one that has been answered.
    called: u64,
    answered: u64,
    /// A queue or ring may hold more than the burst has taken; bursts for which the answer has waited for that.
    behind: bool,
    behind_for: u8,
    flushing: Option<Flushing>,
    now: Now,
    /// The same, as the flow tables and the neighbours count.
    tick: Tick,
    secs: Secs,
    /// Datagram identification of our own ICMP errors.
    ident: u16,
    /// Ports whose device failed, until they have another.
    gone: Vec<bool>,
    /// When the hand may go on while idle, ms, and pieces of work that it has left until then.
    idle_at: u64,
    idle_left: u8,
    /// Bursts until the other hand visits a bucket.
    visit_in: u32,
    rung: Vec<bool>,
    rx: Vec<Pkt>,
    own: Vec<Pkt>,
    /// The lookups of `own`.
    ready: Vec<Ready>,
    pieces: Vec<Pkt>,
    evicted: Vec<Pkt>,
    txq: Vec<(PortId, Pkt)>,
    /// Where segments are written.
    segment: Box<[u8]>,
}

impl Worker {
    /// Puts a worker together.
    pub fn new(parts: Parts) -> Self {
        let mut ports = Cache::new(parts.ports);
        let burst_ports = Arc::clone(ports.load());
        let (wakers, ports_count) = (parts.wakers.len(), burst_ports.0.len());
        let own = parts.shared.part(parts.id, parts.slots.active());
        let asks = ask_limits(own.neighbours, burst_ports.0.len(), parts.seed);
        // A burst of our own, or one from every other worker.
        let own_max = BURST * parts.links.from.len().max(4);
        let fills = parts.collector.fills();
        let packet_size = parts.pool.packet_size();
        let follow = Following::new(parts.slots, parts.id);
        let leaving = parts.hold.1 + UNKNOWN_MAX + fills.datagrams_limit + fills.pieces_limit;
        Self {
            id: parts.id,
            path: parts.path.with_bursts(own_max),
            neigh: parts.neigh,
            moving: Moving::new(follow, parts.shared, parts.parking, (own_max, leaving)),
            links: parts.links,
            wakers: parts.wakers,
            ports,
            vlans: Vlans::of(&burst_ports),
            ours: Ours::of(&burst_ports),
            burst_ports,
            counters: parts.counters,
            recorder: Recorder::new(parts.captures),
            used: parts.used,
            waiting: Waiting::new(parts.hold.0, parts.hold.1, asks),
            adjacencies: Adjacencies::default(),
            pool: parts.pool,
            limits: Limits::new(own.icmp, parts.seed),
            collector: parts.collector,
            fragment_seed: parts.fragment_seed,
            qsbr: parts.qsbr,
            roll: parts.roll,
            called: 0,
            answered: 0,
            behind: false,
            behind_for: 0,
            flushing: None,
            now: Now(0),
            tick: Now(0).tick(),
            secs: Now(0).secs(),
            ident: 0,
            gone: vec![false; ports_count],
            idle_at: 0,
            idle_left: 0,
            visit_in: VISIT_BURSTS,
            rung: vec![false; wakers],
            rx: Vec::with_capacity(BURST * 2),
            own: Vec::with_capacity(own_max),
            ready: Vec::with_capacity(own_max),
            // The collector can let everything go at once; fragmenting a packet makes fewer pieces.
            pieces: Vec::with_capacity(parts.pieces_max),
            evicted: Vec::with_capacity(parts.pieces_max),
            txq: Vec::with_capacity(BURST * 8),
            segment: vec![0; HEADROOM + packet_size].into_boxed_slice(),
        }
    }

    /// This worker's number.
    pub fn id(&self) -> usize {
        self.id
    }

    /// A worker without a flow cache, see [`Path::uncached`].
    #[must_use]
    pub fn uncached(mut self) -> Self {
        self.path = self.path.uncached();
        self
    }

    /// Its counters.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// One burst. `queues[p]` is this worker's queue of port `p`; VLANs have none. Returns how many packets it moved; 0 means
    /// that it may sleep until its waker rings, a queue becomes readable or [`Self::timeout_ms`] passes.
    pub fn poll(&mut self, now: Now, queues: &mut [Box<dyn Queue>]) -> usize {
        self.begin(now);
        let mut work = self.run_commands(queues);
        work += self.drain_rings();
        self.flush_tx(queues);
        work += self.let_parked_go(queues);
        work += self.release_waiting();
        work += self.send_for_host();
        self.flush_tx(queues);
        for port in 0..queues.len() {
            let read = self.rx_port(port, queues);
            self.behind |= read >= BURST;
            work += read;
            self.flush_tx(queues);
        }
        if work > 0 {
            self.path.sweep_paced(SWEEP_BUSY, now);
            self.path.recount(RECOUNT_BUSY);
            self.visit(now);
        }
        self.show_fills();
        self.answer_roll();
        self.ring();
        work
    }

    /// Every so many bursts the other hand visits one bucket: each of its entries costs a route lookup or two.
    fn visit(&mut self, now: Now) {
        self.visit_in = self.visit_in.saturating_sub(1);
        if self.visit_in == 0 {
            self.path.visit(1, now);
            self.visit_in = if self.path.has_templates() {
                VISIT_BURSTS_STICKY
            } else {
                VISIT_BURSTS
            };
        }
    }

    /// Whoever called when this burst began may know that it has been through all its queues, or long at it.
    fn answer_roll(&mut self) {
        if self.answered == self.called {
            return;
        }
        if self.behind && self.behind_for < LONG_BEHIND {
            self.behind_for += 1;
            return;
        }
        (self.answered, self.behind_for) = (self.called, 0);
        self.roll.answer(self.id, self.called);
        self.ring_host();
    }

    /// How full the collector and the stock of large buffers are, for who looks.
    fn show_fills(&self) {
        let large = self.pool.large_used();
        self.counters.large_used.set(large as u64);
        let fills = self.collector.fills();
        self.counters.pieces_waiting.set(fills.pieces as u64);
        self.counters.datagrams.set(fills.datagrams as u64);
        let forgotten = self.collector.stats().forgotten;
        self.counters.datagrams_forgotten.set(forgotten);
    }

    fn begin(&mut self, now: Now) {
        self.qsbr.quiescent();
        self.called = self.roll.called();
        self.behind = false;
        (self.now, self.tick, self.secs) = (now, now.tick(), now.secs());
        self.recorder.begin(now);
        self.counters.bursts.bump();
        let current = self.ports.load();
        if !Arc::ptr_eq(current, &self.burst_ports) {
            // Control keeps every retired object until workers have moved on, so this never frees.
            self.burst_ports = Arc::clone(current);
            self.ours = Ours::of(&self.burst_ports);
        }
        for link in self.links.to.iter_mut().flatten() {
            while let Some(pkt) = link.reclaim() {
                self.pool.put(pkt);
            }
        }
        for link in [&mut self.links.confirm, &mut self.links.ask] {
            while let Some(pkt) = link.reclaim() {
                self.pool.put(pkt);
            }
        }
    }

    /// Packets that others handed to us, before our own (design section 2, 4).
    fn drain_rings(&mut self) -> usize {
        let mut n = 0;
        for from in 0..self.links.from.len() {
            let before = self.own.len();
            for _ in 0..BURST {
                let Some(link) = self.links.from[from].as_mut() else {
                    break;
                };
                let Some(pkt) = link.recv() else { break };
                self.counters.taken_over.bump();
                self.own.push(pkt);
                n += 1;
            }
            self.behind |= self.own.len() - before >= BURST;
            self.moving.follow.end(from, self.own.len());
        }
        self.follow_slots();
        // The buffers stay with us, and as many empty ones of ours go back in the twin rings: at once, so that there is
        // room for these when they are done with; then those that we did not have before.
        self.repay();
        self.process_own();
        self.settle_slots();
        self.repay();
        n
    }

    fn repay(&mut self) {
        for link in self.links.from.iter_mut().flatten() {
            link.repay(&mut self.pool);
        }
    }

    /// Packet buffers that are free, and all.
    pub fn buffers(&self) -> (usize, usize) {
        (self.pool.available(), self.pool.total())
    }

    fn process_own(&mut self) {
        if self.own.is_empty() {
            return;
        }
        let mut own = std::mem::take(&mut self.own);
        let mut ready = std::mem::take(&mut self.ready);
        self.adjacencies.forget();
        self.path
            .ready(own.iter().map(|pkt| pkt.flow()), self.now, &mut ready);
        for (pkt, ready) in own.drain(..).zip(ready.drain(..)) {
            match pkt.meta.plain {
                true => self.forward_plain(pkt, ready),
                false => self.owner_input(pkt, ready),
            }
        }
        self.own = own;
        self.ready = ready;
    }

    /// Rings whoever got something to do in this burst.
    fn ring(&mut self) {
        for (waker, rung) in self.wakers.iter().zip(&mut self.rung) {
            if std::mem::take(rung) {
                waker.wake();
            }
        }
    }

    fn ring_later(&mut self, waker: usize) {
        if let Some(rung) = self.rung.get_mut(waker) {
            *rung = true;
        }
    }

    fn ring_host(&mut self) {
        self.ring_later(self.wakers.len() - 1);
    }

    /// Whether it owns slots, or will: one that does not only hands on what its queues bring.
    pub fn is_active(&self) -> bool {
        self.id < self.moving.follow.active
    }

    /// Whether a port's device failed on this worker's queue: there is nothing to wait for on it.
    pub fn is_gone(&self, port: usize) -> bool {
        self.gone.get(port).copied().unwrap_or_default()
    }

    /// Its own waker.
    pub fn waker(&self) -> &Waker {
        &self.wakers[self.id]
    }

    fn drop_pkt(&mut self, pkt: Pkt, reason: DropReason) {
        self.recorder.dropped(&pkt, reason);
        if pkt.origin {
            self.counters.origin_lost.bump();
        } else {
            self.counters.count_drop(reason, pkt.v6);
            if let Some(port) = self.counters.port(pkt.in_port) {
                port.rx_dropped.bump();
            }
        }
        self.pool.put(pkt);
    }

    /// So many frames came by a port, of so many bytes.
    fn count_rx(&self, port: PortId, frames: u64, bytes: u64) {
        self.counters.rx.add(frames);
        self.counters.rx_bytes.add(bytes);
        self.count_rx_of(port, frames, bytes);
    }

    /// As of a port alone: a VLAN's frame has been counted when it came by its parent.
    fn count_rx_of(&self, port: PortId, frames: u64, bytes: u64) {
        if let Some(port) = self.counters.port(port) {
            port.rx.add(frames);
            port.rx_bytes.add(bytes);
        }
    }
}
