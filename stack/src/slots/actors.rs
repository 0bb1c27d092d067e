//! Workers as far as slots matter to them, for the models: rings, parking places and a table that knows its writer and the
//! order of its packets. A burst is made of parts, so that others can come between any two.

use super::Slots;
use super::follow::{Following, PARKS};
use flowtable::SlotNo;
#[cfg(loom)]
use loom::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};
use route::Reader;
use std::collections::VecDeque;
#[cfg(not(loom))]
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

/// A packet of the one flow that a slot has by each queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) slot: SlotNo,
    /// By which worker's queue it came.
    pub(super) queue: usize,
    /// From 1.
    pub(super) no: usize,
}

/// A sub-table: one writer at a time, which sees all that the one before it wrote; and packets in their order.
pub(super) struct SubTable {
    busy: AtomicBool,
    /// Of each queue's flow, the last packet.
    seen: Vec<AtomicUsize>,
}

impl SubTable {
    pub(super) fn new(queues: usize) -> Self {
        Self {
            busy: AtomicBool::new(false),
            seen: (0..queues).map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    fn process(&self, packet: Packet) {
        assert!(!self.busy.swap(true, Relaxed), "two writers");
        let seen = &self.seen[packet.queue];
        assert_eq!(seen.load(Relaxed) + 1, packet.no, "out of order");
        seen.store(packet.no, Relaxed);
        self.busy.store(false, Relaxed);
    }

    pub(super) fn seen(&self, queue: usize) -> usize {
        self.seen[queue].load(Relaxed)
    }
}

/// One worker to another.
pub(super) type Ring = Arc<Mutex<VecDeque<Packet>>>;

/// A ring from each of so many workers to each: `rings[from][to]`.
pub(super) fn rings(workers: usize) -> Vec<Vec<Ring>> {
    let row = |_| (0..workers).map(|_| Ring::default()).collect();
    (0..workers).map(row).collect()
}

pub(super) struct Actor {
    id: usize,
    tables: Arc<Vec<SubTable>>,
    pub(super) follow: Following,
    qsbr: Reader,
    rings: Vec<Vec<Ring>>,
    /// What its own port has for it.
    pub(super) queue: VecDeque<Packet>,
    /// What this burst has taken from each ring.
    arrived: Vec<(usize, Packet)>,
    parked: [VecDeque<Packet>; 2],
    part: usize,
}

impl Actor {
    pub(super) fn new(
        id: usize,
        slots: &std::sync::Arc<Slots>,
        qsbr: Reader,
        tables: &Arc<Vec<SubTable>>,
        rings: &[Vec<Ring>],
    ) -> Self {
        Self {
            id,
            tables: Arc::clone(tables),
            follow: Following::new(std::sync::Arc::clone(slots), id),
            qsbr,
            rings: rings.to_vec(),
            queue: VecDeque::new(),
            arrived: Vec::new(),
            parked: Default::default(),
            part: 0,
        }
    }

    /// The next part of a burst, in [`Worker::poll`](crate::Worker::poll)'s order. Whether it was the last.
    pub(super) fn step(&mut self, burst: usize) -> bool {
        match self.part {
            0 => self.qsbr.quiescent(),
            1 => self.take(burst),
            2 => self.reload(),
            3 => self.pass_arrived(),
            4 => self.settle(),
            5 => self.let_parked_go(),
            _ => self.receive(),
        }
        self.part = (self.part + 1) % 7;
        self.part == 0
    }

    pub(super) fn burst(&mut self, burst: usize) {
        while !self.step(burst) {}
    }

    /// Sleeps until its next step.
    pub(super) fn sleep(&self) {
        self.qsbr.offline();
    }

    pub(super) fn is_idle(&self) -> bool {
        let parked = self.parked.iter().all(VecDeque::is_empty);
        parked && self.queue.is_empty() && !self.follow.has_news()
    }

    fn take(&mut self, burst: usize) {
        for from in 0..self.rings.len() {
            for _ in 0..burst {
                let taken = self.rings[from][self.id].lock().unwrap().pop_front();
                self.arrived.extend(taken.map(|packet| (from, packet)));
            }
            self.follow.end(from, self.arrived.len());
        }
    }

    fn reload(&mut self) {
        if self.follow.reload() {
            self.follow.gone.clear();
            let rings = self.rings.iter().map(|from| &from[self.id]);
            let waiting = rings.map(|ring| ring.lock().unwrap().len());
            self.follow.count_down(waiting);
        }
    }

    fn pass_arrived(&mut self) {
        for (ring, packet) in std::mem::take(&mut self.arrived) {
            match self.follow.calm {
                true => self.tables[usize::from(packet.slot.0)].process(packet),
                false => self.pass_on(packet, Some(ring)),
            }
        }
    }

    fn pass_on(&mut self, packet: Packet, ring: Option<usize>) {
        let owner = self.follow.owner(packet.slot).unwrap();
        if usize::from(owner) == self.id {
            self.tables[usize::from(packet.slot.0)].process(packet);
        } else if owner & PARKS != 0 {
            let old = ring.is_some_and(|ring| self.follow.is_old_owner(packet.slot, ring));
            self.parked[usize::from(!old)].push_back(packet);
        } else {
            let to = &self.rings[self.id][usize::from(owner)];
            to.lock().unwrap().push_back(packet);
        }
    }

    fn settle(&mut self) {
        if !self.follow.settled {
            self.follow.settle(|_| true);
        }
    }

    fn let_parked_go(&mut self) {
        if !std::mem::take(&mut self.follow.opened) {
            return;
        }
        for place in 0..2 {
            for packet in std::mem::take(&mut self.parked[place]) {
                match self.follow.owner(packet.slot).unwrap() & PARKS {
                    0 => self.pass_on(packet, None),
                    _ => self.parked[place].push_back(packet),
                }
            }
        }
    }

    fn receive(&mut self) {
        if let Some(packet) = self.queue.pop_front() {
            self.pass_on(packet, None);
        }
    }
}
