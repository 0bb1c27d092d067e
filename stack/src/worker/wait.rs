//! Packets that wait: for a neighbour's answer, or for the first piece of their datagram.
//!
//! Whatever waits carries its key and no result of a lookup. Released, it starts again at the flow lookup, so
//! a next hop that died meanwhile is not used, and a packet is answered with an ICMP error only if no member is
//! alive (design section 5).

use super::Worker;
use crate::fate::DropReason;
use crate::links::Ask;
use crate::pkt::Pkt;
use arp::{HoldQueue, NeighIdx};
use route::{PortId, Secs};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Longest wait for a neighbour, ms: longer than the retries of an ordinary entry take.
const WAIT_MS: u64 = 5_000;

/// Packets whose neighbour has no entry yet.
const UNKNOWN_MAX: usize = 64;

/// What waits at a worker.
pub(super) struct Waiting {
    hold: HoldQueue<Pkt>,
    unknown: VecDeque<(PortId, IpAddr, Pkt)>,
    ready: Vec<Pkt>,
    next_deadline: Option<u64>,
}

impl Waiting {
    pub(super) fn new(per_neigh: usize, total: usize) -> Self {
        Self {
            hold: HoldQueue::new(per_neigh, total),
            unknown: VecDeque::with_capacity(UNKNOWN_MAX),
            ready: Vec::with_capacity(total + UNKNOWN_MAX),
            next_deadline: None,
        }
    }

    pub(super) fn waits_for(&self, idx: NeighIdx) -> bool {
        !self.hold.is_empty() && self.hold.waits_for(idx)
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        (!self.hold.is_empty() || !self.unknown.is_empty()).then_some(self.next_deadline?)
    }
}

/// When each neighbour was last used by a worker: written by that worker alone, read by the host, which
/// refreshes entries that are in use before they expire.
pub struct NeighUse(Box<[AtomicU32]>);

impl NeighUse {
    /// For `limit` neighbours.
    pub fn new(limit: usize) -> Self {
        Self((0..limit).map(|_| AtomicU32::new(0)).collect())
    }

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
        self.count_waiting(&pkt);
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
        if self.waiting.unknown.len() >= UNKNOWN_MAX {
            return self.drop_pkt(pkt, DropReason::NeighbourFull);
        }
        let asked = self
            .waiting
            .unknown
            .iter()
            .any(|(p, a, _)| (*p, *a) == (port, addr));
        if !asked {
            // Full: the next packet for it asks again.
            let _ = self.links.asks.push(Ask { port, addr });
            self.ring_host();
        }
        self.count_waiting(&pkt);
        self.waiting.unknown.push_back((port, addr, pkt));
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
        for _ in 0..self.waiting.unknown.len() {
            let Some((port, addr, pkt)) = self.waiting.unknown.pop_front() else {
                break;
            };
            let known = self.neigh.lookup(arp::PortId(port.0), &addr).is_some();
            if known || pkt.deadline_ms <= self.now.0 {
                ready.push(pkt);
            } else {
                self.waiting.unknown.push_back((port, addr, pkt));
            }
        }
        for pkt in ready.drain(..) {
            self.count_released(&pkt);
            self.owner_input(pkt);
        }
        self.waiting.ready = ready;
        self.release_pieces();
        before.saturating_sub(self.waiting_packets())
    }

    fn waiting_packets(&self) -> usize {
        self.waiting.hold.len() + self.waiting.unknown.len() + self.collector.waiting()
    }

    /// A fragment meets the other pieces of its datagram here.
    pub(super) fn collect(&mut self, pkt: Pkt) {
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
            if self.owner_of(&pkt) == self.id {
                self.ip_forward(pkt);
            } else {
                self.hand_over(pkt);
            }
        }
    }
}
