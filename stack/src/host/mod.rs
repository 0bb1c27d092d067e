//! The host: neighbours, timers, and the box's own sockets.
//!
//! One thread owns it. It takes what workers punt, answers ARP and ND, keeps every next hop's neighbour
//! probed, runs smoltcp for health checks, pings, and sends through the same flow cache and `arpresolve`
//! as a worker does, with a small flow table of its own. What it learns of neighbours it writes into their
//! words; what that means for next hops it reports to control, which alone writes theirs.

mod checks;
mod commands;
mod device;
mod echo;
mod errors;
mod output;
mod pieces;
mod ping;
mod roll;
mod sockets;

pub use checks::{Check, CheckId, CheckState};
pub use commands::{HostCmd, HostLink, HostReply};
pub use echo::EchoError;
pub use pieces::DATAGRAMS;
pub use ping::{PINGS, PingEnd, PingOutcome, PingRefusal, PingSpec, largest_ping};
pub use roll::Roll;

use crate::counters::Counters;
use crate::icmp::{self, Limits, RateLimit, Rates};
use crate::io::wake::Waker;
use crate::links::{HostLinks, PktRx};
use crate::local6::{self, Fault};
use crate::path::Path;
use crate::pkt::{Pkt, Pool};
use crate::ports::{DeviceState, Ports};
use crate::time::Now;
use crate::worker::NeighUse;
use arc_swap::{ArcSwap, Cache};
use arp::{HoldQueue, NeighIdx};
use pieces::Pieces;
use ping::Moment;
use roll::{Hearing, RollCall};
use route::{PortId, Secs};
use sockets::Sockets;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// What the host tells control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostEvent {
    /// A neighbour answers.
    NeighUp(NeighIdx),
    /// A neighbour was probed and did not answer.
    NeighDown(NeighIdx),
    /// A neighbour answers from another hardware address.
    NeighMoved {
        /// The neighbour's address.
        addr: IpAddr,
        /// From where.
        from: arp::Mac,
        /// To where.
        to: arp::Mac,
    },
    /// Somebody else uses one of our addresses (RFC 5227).
    Conflict {
        /// The port.
        port: PortId,
        /// Our address.
        addr: IpAddr,
        /// Who uses it.
        mac: arp::Mac,
    },
    /// A health check changed its mind.
    Check {
        /// Which.
        id: CheckId,
        /// Whether the server answers.
        up: bool,
    },
    /// A port's device changed.
    Device {
        /// The port.
        port: PortId,
        /// What it is now.
        state: DeviceState,
    },
}

/// What a host is made of.
pub struct Parts {
    /// Its neighbours.
    pub table: arp::Table,
    /// The neighbours as workers see them.
    pub neigh: Arc<arp::View>,
    /// Its flow cache.
    pub path: Path,
    /// Its ends of each worker's rings.
    pub links: Vec<HostLinks>,
    /// Every worker's waker, the host's own last.
    pub wakers: Vec<Waker>,
    /// Control's waker.
    pub control_waker: Waker,
    /// Ports, published by control.
    pub ports: Arc<ArcSwap<Ports>>,
    /// Its counters: packets that found no way out.
    pub counters: Arc<Counters>,
    /// Where workers note which neighbours they used.
    pub used: Vec<Arc<NeighUse>>,
    /// Its stock of packets.
    pub pool: Pool,
    /// Reports to control.
    pub events: Sender<HostEvent>,
    /// Its quiescence.
    pub qsbr: route::Reader,
    /// By which workers say that they are there.
    pub roll: Arc<Roll>,
    /// Limits of its own ICMP errors.
    pub icmp: Rates,
    /// For smoltcp's sequence numbers and ports.
    pub seed: u64,
}

/// The host.
pub struct Host {
    table: arp::Table,
    neigh: Arc<arp::View>,
    path: Path,
    links: Vec<HostLinks>,
    wakers: Vec<Waker>,
    control_waker: Waker,
    ports: Cache<Arc<ArcSwap<Ports>>, Arc<Ports>>,
    counters: Arc<Counters>,
    used: Vec<Arc<NeighUse>>,
    pool: Pool,
    events: Sender<HostEvent>,
    qsbr: route::Reader,
    roll: RollCall,
    sockets: Sockets,
    hold: HoldQueue<Pkt>,
    released: Vec<Pkt>,
    frames: Vec<arp::Frame>,
    out: Vec<Pkt>,
    used_at: Secs,
    now: Now,
    us: u64,
    pieces: Pieces,
    /// Replies to echo requests that came in pieces.
    echoes: RateLimit,
    /// Of errors about packets for us.
    limits: Limits,
    /// Identification of our own IPv6 pieces.
    ident: u32,
}

/// Own packets that wait for a neighbour: for one, in all.
const HOLD: (usize, usize) = (16, 64);

/// Replies to echo requests in pieces: a second, and at once.
const ECHOES: (u32, u32) = (100, 50);

/// Punted packets taken from one worker in one turn.
const PUNT_BURST: usize = 64;

impl Host {
    /// Puts a host together.
    pub fn new(parts: Parts) -> Self {
        Self {
            sockets: Sockets::new(parts.seed, parts.pool.packet_size()),
            table: parts.table,
            neigh: parts.neigh,
            path: parts.path,
            links: parts.links,
            wakers: parts.wakers,
            control_waker: parts.control_waker,
            ports: Cache::new(parts.ports),
            counters: parts.counters,
            used: parts.used,
            pool: parts.pool,
            events: parts.events,
            qsbr: parts.qsbr,
            roll: RollCall::new(parts.roll),
            hold: HoldQueue::new(HOLD.0, HOLD.1),
            released: Vec::new(),
            frames: Vec::new(),
            out: Vec::new(),
            used_at: Secs(0),
            now: Now(0),
            us: 0,
            pieces: Pieces::default(),
            echoes: RateLimit::new(ECHOES.0, ECHOES.1, parts.seed),
            limits: Limits::new(parts.icmp, parts.seed.rotate_left(32)),
            ident: parts.seed as u32,
        }
    }

    /// Tells the time of the next turn in microseconds: round trips are as exact as what is told here, else whole
    /// milliseconds.
    pub fn set_micros(&mut self, us: u64) {
        self.us = us;
    }

    /// One turn. Returns how much it did; 0 means that it may sleep until [`Self::deadline_ms`] or its waker.
    pub fn poll(&mut self, now: Now) -> usize {
        self.qsbr.quiescent();
        self.now = now;
        self.us = self.us.max(now.0.saturating_mul(1000));
        let mut work = self.take_empties();
        self.expire_pieces();
        // Before the rings are emptied: they hold all that the roll stands for.
        let hearing = self.roll.hearing(now.0);
        work += self.take_punts(hearing);
        self.report_use();
        let (told, neighbours) = self.run_timers(hearing);
        work += told;
        work += self.report_events();
        let (sent, checks) = self.run_sockets(hearing);
        work += sent;
        work += self.call_the_roll(hearing, neighbours || checks);
        work += self.release_held();
        work += self.send_frames();
        self.path.sweep(2, now);
        work
    }

    /// When the host has to be polled next, in ms since start.
    pub fn deadline_ms(&self) -> u64 {
        let held = (!self.hold.is_empty()).then_some(self.now.0 + 100);
        let next_use = self.now.0 + 1000;
        [
            self.table.next_deadline(),
            self.pieces.deadline_ms(),
            self.sockets.deadline_ms(),
            self.roll.deadline_ms(),
            held,
            Some(next_use),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(next_use)
    }

    /// Its own waker.
    pub fn waker(&self) -> &Waker {
        &self.wakers[self.wakers.len() - 1]
    }

    /// Whether a worker has something for the host.
    pub fn has_mail(&self) -> bool {
        let mut links = self.links.iter();
        links.any(|l| l.confirm.waiting() + l.ask.waiting() > 0 || !l.asks.is_empty())
            || self.roll.has_news(self.now.0)
    }

    /// Tells everyone that the host holds nothing shared while it sleeps.
    pub fn going_to_sleep(&mut self) {
        self.qsbr.offline();
    }

    /// It woke up.
    pub fn woke(&mut self) {
        self.qsbr.online();
    }

    /// Its counters.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Its neighbours.
    pub fn neighbours(&self) -> &arp::Table {
        &self.table
    }

    fn take_empties(&mut self) -> usize {
        for link in &mut self.links {
            while let Some(pkt) = link.host_tx.reclaim() {
                self.pool.put(pkt);
            }
            link.confirm.repay(&mut self.pool);
            link.ask.repay(&mut self.pool);
        }
        0
    }

    fn take_punts(&mut self, hearing: Hearing) -> usize {
        let (mut n, heard) = (0, self.neighbours_heard());
        for worker in 0..self.links.len() {
            // Who is about to be judged is heard to the end; no more comes in meanwhile than a ring holds.
            let answers = match hearing {
                Hearing::Unknown => 0,
                Hearing::Whole | Hearing::Patchy => self.links[worker].confirm.waiting(),
            };
            for _ in 0..PUNT_BURST.max(answers) {
                // Answers first: a flood of questions must not look like dead neighbours.
                let link = &mut self.links[worker];
                if let Some(pkt) = link.confirm.recv() {
                    self.counters.punted_confirm.bump();
                    self.punted(&pkt);
                    self.done_with(pkt, |links| &mut links.confirm, worker);
                } else if let Some(pkt) = link.ask.recv() {
                    self.counters.punted_ask.bump();
                    self.punted(&pkt);
                    self.done_with(pkt, |links| &mut links.ask, worker);
                } else if let Ok(ask) = link.asks.pop() {
                    // Refused when the table is full of better entries; counted there.
                    let _ = self
                        .table
                        .ask(arp::PortId(ask.port.0), ask.addr, self.now.0);
                    self.wake_workers();
                } else {
                    break;
                }
                n += 1;
            }
        }
        if self.neighbours_heard() > heard {
            // What they held for who has answered may go, and not only when they look the next time.
            self.wake_workers();
        }
        n
    }

    /// A worker's buffer goes back to it; if its twin ring is full, it stays here until another can go in its place.
    fn done_with(&mut self, pkt: Pkt, queue: fn(&mut HostLinks) -> &mut PktRx, worker: usize) {
        let Some(links) = self.links.get_mut(worker) else {
            return;
        };
        if let Err(pkt) = queue(links).give_back(pkt) {
            self.pool.put(pkt);
        }
    }

    /// Packet buffers that are free, and all.
    pub fn buffers(&self) -> (usize, usize) {
        (self.pool.available(), self.pool.total())
    }

    /// Answers of neighbours so far.
    fn neighbours_heard(&self) -> u64 {
        let stats = self.table.stats();
        stats.rxreplies + stats.rx_neighbor_advert
    }

    /// A frame about neighbours, or a packet for our own sockets (which `ip_input` has read).
    fn punted(&mut self, pkt: &Pkt) {
        if pkt.meta.fragment.is_some() {
            return self.piece(pkt);
        }
        if pkt.meta.len == 0 {
            self.table.input(
                arp::PortId(pkt.in_port.0),
                pkt.bytes(),
                self.now.0,
                &mut self.frames,
            );
        } else {
            self.sockets
                .input(&pkt.meta, pkt.bytes(), pkt.in_port, self.us);
        }
    }

    /// A piece of a datagram for us.
    fn piece(&mut self, pkt: &Pkt) {
        let whole = self.pieces.take(pkt, self.now.0);
        if let Some(whole) = whole
            && self.datagram(whole, pkt.in_port).is_none()
        {
            self.pieces.spoilt();
        }
        self.show_pieces();
    }

    /// A datagram for us that came in pieces, the last by `port`. `None`: it makes no sense.
    fn datagram(&mut self, mut whole: Vec<u8>, port: PortId) -> Option<()> {
        let mut meta = pieces::read(&whole)?;
        if meta.addrs.is_v6() {
            match local6::check(&whole, &meta) {
                Ok(()) => local6::strip_whole(&mut whole, &mut meta),
                Err(Fault::Silent) => return None,
                Err(Fault::Told(error)) => {
                    self.answer_error(error, &whole, &meta, port);
                    return None;
                }
            }
        }
        let end = whole.len();
        match icmp::echo_reply_to(&mut whole, &meta, end).ok()? {
            true if self.echoes.allow(self.now.0) => self.send_whole(&whole, port),
            true => {
                self.counters.icmp_limited.bump();
                self.counters.echo_limited.bump();
            }
            // Nothing else that is as long is for our sockets.
            false if end > pieces::LONGEST => {}
            false => self.sockets.input(&meta, &whole, port, self.us),
        }
        Some(())
    }

    fn show_pieces(&self) {
        let (counters, seen) = (&self.counters, self.pieces.seen);
        counters.datagrams.set(self.pieces.waiting() as u64);
        counters.datagrams_forgotten.set(seen.displaced);
        counters.reassembled.set(seen.whole);
        counters.own_pieces_dropped.set(seen.dropped);
        counters.own_pieces_late.set(seen.late);
    }

    /// Once a second: entries that workers use are refreshed before they expire.
    fn report_use(&mut self) {
        let secs = self.now.secs();
        if secs.0 <= self.used_at.0 {
            return;
        }
        for used in &self.used {
            for idx in used.since(self.used_at) {
                self.table.used(idx, self.now.0);
            }
        }
        self.used_at = secs;
    }

    /// Who did not answer is told of at once to workers that hold packets for it: they answer or choose again. Returns how
    /// many, and whether some are left of whom that is in doubt.
    fn run_timers(&mut self, hearing: Hearing) -> (usize, bool) {
        let before = self.table.stats().unanswered;
        let mut overdue = self.table.poll_in_doubt(self.now.0, &mut self.frames);
        if hearing != Hearing::Unknown {
            let heard = hearing == Hearing::Whole;
            overdue = self.table.judge(heard, self.now.0, &mut self.frames);
        }
        let failed = self.table.stats().unanswered - before;
        if failed > 0 {
            self.wake_workers();
        }
        (failed as usize, overdue > 0)
    }

    /// Has workers say whether they are there if an answer is overdue, until all that has been acted upon.
    fn call_the_roll(&mut self, hearing: Hearing, doubts: bool) -> usize {
        match (hearing, doubts) {
            (Hearing::Unknown, true) => self.roll.call(self.now.0),
            (Hearing::Unknown, false) => {}
            (_, true) => return 1,
            (_, false) => self.roll.done(),
        }
        let rings = self.roll.take_bell();
        if rings {
            self.wake_workers();
        }
        usize::from(rings)
    }

    fn report_events(&mut self) -> usize {
        let mut n = 0;
        let events: Vec<arp::Event> = self.table.events().collect();
        for event in events {
            n += 1;
            self.tell(match event {
                arp::Event::Up { idx } => HostEvent::NeighUp(idx),
                arp::Event::Down { idx } => HostEvent::NeighDown(idx),
                arp::Event::Moved { idx, from, to } => {
                    let Some(addr) = self.table.addr(idx) else {
                        continue;
                    };
                    HostEvent::NeighMoved { addr, from, to }
                }
                arp::Event::Conflict { port, addr, mac } => HostEvent::Conflict {
                    port: PortId(port.0),
                    addr,
                    mac,
                },
            });
        }
        if n > 0 {
            self.wake_workers();
        }
        n
    }

    /// Whoever watches the devices tells what became of one: it is passed on to control.
    pub fn device(&self, port: PortId, state: DeviceState) {
        self.tell(HostEvent::Device { port, state });
    }

    fn tell(&self, event: HostEvent) {
        // Control is gone only when the gateway ends.
        let _ = self.events.send(event);
        self.control_waker.wake();
    }

    /// Workers that hold packets look at their neighbours again.
    fn wake_workers(&self) {
        for waker in &self.wakers[..self.wakers.len() - 1] {
            waker.wake();
        }
    }

    fn run_sockets(&mut self, hearing: Hearing) -> (usize, bool) {
        let mut out = std::mem::take(&mut self.out);
        let ports = Arc::clone(self.ports.load());
        let (ms, us) = (self.now.0, self.us);
        let moment = Moment { ms, us };
        let turn = self
            .sockets
            .poll(moment, hearing, &ports, &mut self.pool, &mut out);
        self.counters.own_input_full.set(self.sockets.full());
        for (id, up) in turn.changed {
            self.tell(HostEvent::Check { id, up });
        }
        let sent = out.len();
        for pkt in out.drain(..) {
            self.send_of_sockets(pkt);
        }
        self.out = out;
        (sent, turn.overdue)
    }
}
