//! Packets that wait: for a neighbour's answer, or for the first piece of their datagram.
//!
//! Whatever waits carries its key and no result of a lookup. Released, it starts again at the flow lookup, so
//! a next hop that died meanwhile is not used, and a packet is answered with an ICMP error only if no member is
//! alive (design section 5).

use super::Worker;
use crate::fate::DropReason;
use crate::icmp::{Rate, RateLimit};
use crate::links::Ask;
use crate::path::Ready;
use crate::pkt::Pkt;
use arp::{HoldQueue, NeighIdx};
use flowtable::SlotNo;
use route::{PortId, Secs};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Longest wait for a neighbour, ms: longer than the retries of an ordinary entry take.
const WAIT_MS: u64 = 5_000;

/// Packets whose neighbour has no entry yet, a worker.
pub const UNKNOWN_MAX: usize = 64;

/// How long a packet waits for its neighbour's entry, ms. The host makes one within some bursts; a neighbour that has
/// none by then was refused one.
const UNKNOWN_WAIT_MS: u64 = 1_000;

/// A packet whose neighbour has no entry yet.
struct Unknown {
    port: PortId,
    addr: IpAddr,
    until_ms: u64,
    pkt: Pkt,
}

/// What waits at a worker.
pub(super) struct Waiting {
    hold: HoldQueue<Pkt>,
    unknown: VecDeque<Unknown>,
    /// For each port, how many new neighbours may be asked for.
    asks: Vec<RateLimit>,
    ready: Vec<Pkt>,
    next_deadline: Option<u64>,
}

impl Waiting {
    pub(super) fn new(per_neigh: usize, total: usize, asks: Vec<RateLimit>) -> Self {
        Self {
            hold: HoldQueue::new(per_neigh, total),
            unknown: VecDeque::with_capacity(UNKNOWN_MAX),
            asks,
            ready: Vec::with_capacity(total + UNKNOWN_MAX),
            next_deadline: None,
        }
    }

    #[inline]
    pub(super) fn waits_for(&self, idx: NeighIdx) -> bool {
        !self.hold.is_empty() && self.hold.waits_for(idx)
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        let unknown = self.unknown.iter().map(|wait| wait.until_ms).min();
        let held = self.next_deadline.filter(|_| !self.hold.is_empty());
        unknown.into_iter().chain(held).min()
    }

    /// Whether one more packet must wait for this neighbour's entry, though there may be one by now: those before it have not
    /// left yet.
    pub(super) fn queues_for(&self, port: PortId, addr: IpAddr) -> bool {
        self.unknown.len() < UNKNOWN_MAX && self.asked(port, addr)
    }

    /// Whether a packet waits for this neighbour's entry: then it has been asked for.
    fn asked(&self, port: PortId, addr: IpAddr) -> bool {
        self.unknown
            .iter()
            .any(|wait| (wait.port, wait.addr) == (port, addr))
    }

    /// How many may be asked for, from now on.
    pub(super) fn set_rate(&mut self, rate: Rate) {
        self.asks.iter_mut().for_each(|limit| limit.set_rate(rate));
    }

    /// Whether one more new neighbour may be asked for on that port.
    fn may_ask(&mut self, port: PortId, now_ms: u64) -> bool {
        let limit = self.asks.get_mut(usize::from(port.0));
        limit.is_some_and(|limit| limit.allow(now_ms))
    }
}

/// A worker's limits of new neighbours, one a port.
pub(super) fn ask_limits(rate: Rate, ports: usize, seed: u64) -> Vec<RateLimit> {
    let of_port = |port| RateLimit::new(rate.per_second, rate.burst, seed.wrapping_add(port));
    (0..ports as u64).map(of_port).collect()
}

/// When each neighbour was last used by a worker: written by that worker alone, read by the host, which
/// refreshes entries that are in use before they expire.
pub struct NeighUse(Box<[AtomicU32]>);

impl NeighUse {
    /// For `limit` neighbours.
    pub fn new(limit: usize) -> Self {
        Self((0..limit).map(|_| AtomicU32::new(0)).collect())
    }

    #[inline]
    pub(super) fn mark(&self, idx: NeighIdx, now: Secs) {
        if let Some(cell) = self.0.get(idx.0 as usize)
            && cell.load(Relaxed) != now.0
        {
            cell.store(now.0, Relaxed);
        }
    }

    /// Neighbours used since `since`; any thread.
    pub fn since(&self, since: Secs) -> impl Iterator<Item = NeighIdx> + '_ {
        let used = self
            .0
            .iter()
            .enumerate()
            .filter(move |(_, at)| at.load(Relaxed) >= since.0);
        used.map(|(i, _)| NeighIdx(i as u32))
    }
}

impl Worker {
    /// The neighbour has not answered yet: the packet waits in its queue.
    pub(super) fn hold(&mut self, mut pkt: Pkt, idx: NeighIdx) {
        if self.gave_up(&mut pkt) {
            return self.unreachable(pkt, DropReason::NeighbourFailed);
        }
        if !self.may_wait(&pkt) {
            return self.drop_pkt(pkt, DropReason::HoldFull);
        }
        self.count_waiting(&pkt);
        self.adjacencies.forget();
        if let Some(older) = self.waiting.hold.push(idx, pkt) {
            self.count_released(&older);
            self.drop_pkt(older, DropReason::HoldFull);
        }
    }

    /// Nobody knows the neighbour: the host is asked, the packet waits for its entry.
    pub(super) fn hold_unknown(&mut self, mut pkt: Pkt, port: PortId, addr: IpAddr) {
        if self.gave_up(&mut pkt) {
            return self.unreachable(pkt, DropReason::NeighbourFailed);
        }
        if pkt.asked.replace(port) == Some(port) {
            return self.drop_pkt(pkt, DropReason::NeighbourDisplaced);
        }
        if self.waiting.unknown.len() >= UNKNOWN_MAX {
            return self.drop_pkt(pkt, DropReason::NeighbourFull);
        }
        if !self.may_wait(&pkt) {
            return self.drop_pkt(pkt, DropReason::HoldFull);
        }
        if !self.waiting.asked(port, addr)
            && let Err(reason) = self.ask(port, addr)
        {
            return self.drop_pkt(pkt, reason);
        }
        self.count_waiting(&pkt);
        self.counters.waiting_unknown.bump();
        self.waiting.unknown.push_back(Unknown {
            port,
            addr,
            until_ms: self.now.0 + UNKNOWN_WAIT_MS,
            pkt,
        });
    }

    /// Super-packets that wait keep half the large buffers at most: whoever scans addresses with them takes none from others.
    fn may_wait(&self, pkt: &Pkt) -> bool {
        !pkt.is_large() || self.pool.large_used() <= self.pool.large_total() / 2
    }

    /// Has the host ask for a new neighbour.
    fn ask(&mut self, port: PortId, addr: IpAddr) -> Result<(), DropReason> {
        if !self.waiting.may_ask(port, self.now.0) {
            return Err(DropReason::NeighbourLimited);
        }
        let asked = self.links.asks.push(Ask { port, addr });
        self.ring_host();
        asked.map_err(|_| DropReason::NeighbourFull)
    }

    /// Starts or checks the packet's wait.
    fn gave_up(&mut self, pkt: &mut Pkt) -> bool {
        if pkt.deadline_ms == 0 {
            pkt.deadline_ms = self.now.0 + WAIT_MS;
        }
        let over = pkt.deadline_ms <= self.now.0;
        if !over {
            // Conservative: the earliest possible end of any wait; a release recomputes nothing.
            let next = self.waiting.next_deadline.filter(|&at| at > self.now.0);
            self.waiting.next_deadline =
                Some(next.map_or(pkt.deadline_ms, |at| at.min(pkt.deadline_ms)));
        }
        over
    }

    fn count_waiting(&self, pkt: &Pkt) {
        (if pkt.origin {
            &self.counters.origin_waiting
        } else {
            &self.counters.waiting
        })
        .bump();
    }

    fn count_released(&self, pkt: &Pkt) {
        (if pkt.origin {
            &self.counters.origin_waiting
        } else {
            &self.counters.waiting
        })
        .sub(1);
    }

    /// Lets everything go whose wait may be over. Returns how many did not have to wait again.
    pub(super) fn release_waiting(&mut self) -> usize {
        let before = self.waiting_packets();
        let mut ready = std::mem::take(&mut self.waiting.ready);
        if !self.waiting.hold.is_empty() {
            self.waiting.hold.ready(&self.neigh, &mut ready);
            if self
                .waiting
                .next_deadline
                .is_some_and(|at| at <= self.now.0)
            {
                // The longest wait is over for some: let all start again, those still young wait on.
                self.waiting.next_deadline = None;
                self.waiting.hold.drain_all(&mut ready);
            }
        }
        self.release_unknown(&mut ready);
        for pkt in ready.drain(..) {
            self.count_released(&pkt);
            if pkt.origin || self.is_own(&pkt) {
                self.owner_input(pkt, Ready::Not);
            } else {
                self.pass_on(pkt, None);
            }
        }
        self.waiting.ready = ready;
        self.release_pieces();
        before.saturating_sub(self.waiting_packets())
    }

    /// Packets whose neighbour has an entry now go to `ready`; those that waited in vain are dropped.
    fn release_unknown(&mut self, ready: &mut Vec<Pkt>) {
        for _ in 0..self.waiting.unknown.len() {
            let Some(wait) = self.waiting.unknown.pop_front() else {
                return;
            };
            let port = arp::PortId(wait.port.0);
            let known = self.neigh.lookup(port, &wait.addr).is_some();
            if !known && wait.until_ms > self.now.0 {
                self.waiting.unknown.push_back(wait);
                continue;
            }
            self.counters.waiting_unknown.sub(1);
            if known {
                ready.push(wait.pkt);
            } else {
                self.count_released(&wait.pkt);
                self.drop_pkt(wait.pkt, DropReason::NeighbourFull);
            }
        }
    }

    fn waiting_packets(&self) -> usize {
        self.waiting.hold.len() + self.waiting.unknown.len() + self.collector.waiting()
    }

    /// Packets that wait for neighbours, of slots that are another's now.
    pub(super) fn take_out_waiting(&mut self, gone: &[SlotNo], out: &mut Vec<Pkt>) {
        let goes = |pkt: &Pkt| !pkt.origin && gone.contains(&pkt.slot);
        let before = out.len();
        self.waiting.hold.take_where(goes, out);
        for _ in 0..self.waiting.unknown.len() {
            match self.waiting.unknown.pop_front() {
                Some(mut wait) if goes(&wait.pkt) => {
                    self.counters.waiting_unknown.sub(1);
                    // The new owner has not asked for it.
                    wait.pkt.asked = None;
                    out.push(wait.pkt);
                }
                wait => self.waiting.unknown.extend(wait),
            }
        }
        let left = out.get(before..).unwrap_or_default();
        left.iter().for_each(|pkt| self.count_released(pkt));
    }

    fn is_own(&self, pkt: &Pkt) -> bool {
        usize::from(self.owner_of(pkt.slot)) == self.id
    }

    /// What another worker knew of a datagram.
    fn learn(&mut self, pkt: Pkt) {
        let mut evicted = std::mem::take(&mut self.pieces);
        let before = self.collector.waiting();
        self.collector.learn(&pkt, self.now.0, &mut evicted);
        self.counters
            .waiting
            .sub((before - self.collector.waiting()) as u64);
        for pkt in evicted.drain(..) {
            self.drop_pkt(pkt, DropReason::FragmentFull);
        }
        self.pieces = evicted;
        self.pool.put(pkt);
    }

    /// A fragment meets the other pieces of its datagram here.
    pub(super) fn collect(&mut self, pkt: Pkt) {
        if pkt.note {
            return self.learn(pkt);
        }
        let mut ready = std::mem::take(&mut self.evicted);
        let mut evicted = std::mem::take(&mut self.pieces);
        let before = self.collector.waiting();
        self.collector
            .take(pkt, self.now.0, &mut ready, &mut evicted);
        let after = self.collector.waiting() + evicted.len();
        self.counters
            .waiting
            .add((after as u64).wrapping_sub(before as u64));
        for pkt in evicted.drain(..) {
            self.counters.waiting.sub(1);
            self.drop_pkt(pkt, DropReason::FragmentFull);
        }
        self.pieces = evicted;
        self.pass_pieces(&mut ready);
        self.evicted = ready;
    }

    /// Pieces whose first piece did not come in time go by their addresses alone.
    fn release_pieces(&mut self) {
        if self
            .collector
            .next_deadline()
            .is_none_or(|at| at > self.now.0)
        {
            return;
        }
        let mut ready = std::mem::take(&mut self.evicted);
        let before = self.collector.waiting();
        self.collector.poll(self.now.0, &mut ready);
        self.counters
            .waiting
            .sub((before - self.collector.waiting()) as u64);
        self.counters.fragments_blind.add(ready.len() as u64);
        self.pass_pieces(&mut ready);
        self.evicted = ready;
    }

    /// Pieces that know their flow go on to its owner.
    fn pass_pieces(&mut self, ready: &mut Vec<Pkt>) {
        for mut pkt in ready.drain(..) {
            pkt.collected = true;
            pkt.slot = self.slot_of(&pkt);
            if self.is_own(&pkt) {
                self.ip_forward(pkt, Ready::Not);
            } else {
                self.pass_on(pkt, None);
            }
        }
    }
}
