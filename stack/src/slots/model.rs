//! A slot changes its writer, in every order that loom can think of: control, the old owner and the new one, which also
//! gets the flow's packets from outside. `RUSTFLAGS="--cfg loom" cargo test -p flowgate-stack --lib --release loom_`

use super::follow::{Following, PARKS};
use super::{Move, Slots};
use flowtable::SlotNo;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use loom::sync::{Arc, Mutex};
use loom::thread;
use route::{Qsbr, Reader};
use std::collections::VecDeque;

const SLOT: SlotNo = SlotNo(0);
const OLD: usize = 0;
const NEW: usize = 1;
/// Packets of the one flow, all by the new owner's queue.
const PACKETS: usize = 3;

/// The sub-table: one writer at a time, which sees all that the one before it wrote; and packets in their order.
struct SubTable {
    busy: AtomicBool,
    seen: AtomicUsize,
}

impl SubTable {
    fn process(&self, packet: usize) {
        assert!(!self.busy.swap(true, Relaxed), "two writers");
        let seen = self.seen.load(Relaxed);
        assert_eq!(seen + 1, packet, "out of order");
        self.seen.store(packet, Relaxed);
        self.busy.store(false, Relaxed);
    }
}

type Ring = Arc<Mutex<VecDeque<usize>>>;

struct Worker {
    table: Arc<SubTable>,
    follow: Following,
    qsbr: Reader,
    id: usize,
    /// From the other, and to it.
    rings: [Ring; 2],
    queue: VecDeque<usize>,
    parked: [VecDeque<usize>; 2],
}

impl Worker {
    fn burst(&mut self) {
        self.qsbr.quiescent();
        let other = 1 - self.id;
        // One a burst, so that a ring can hold more than a burst takes.
        let taken = self.rings[0].lock().unwrap().pop_front();
        for ring in [OLD, NEW] {
            let end = if ring < other {
                0
            } else {
                usize::from(taken.is_some())
            };
            self.follow.end(ring, end);
        }
        if self.follow.reload() {
            self.follow.gone.clear();
            let waiting = [OLD, NEW].map(|ring| {
                if ring == self.id {
                    0
                } else {
                    self.rings[0].lock().unwrap().len()
                }
            });
            self.follow.count_down(waiting.into_iter());
        }
        let other = 1 - self.id;
        taken
            .into_iter()
            .for_each(|packet| self.pass_on(packet, Some(other)));
        if !self.follow.settled {
            self.follow.settle(|_| true);
        }
        if std::mem::take(&mut self.follow.opened) {
            for queue in 0..2 {
                while let Some(packet) = self.parked[queue].pop_front() {
                    self.pass_on(packet, None);
                }
            }
        }
        if let Some(packet) = self.queue.pop_front() {
            self.pass_on(packet, None);
        }
    }

    fn pass_on(&mut self, packet: usize, ring: Option<usize>) {
        let owner = self.follow.owner(SLOT).unwrap();
        if usize::from(owner) == self.id {
            self.table.process(packet);
        } else if owner & PARKS != 0 {
            let old = ring.is_some_and(|ring| self.follow.is_old_owner(SLOT, ring));
            self.parked[usize::from(!old)].push_back(packet);
        } else {
            self.rings[1].lock().unwrap().push_back(packet);
        }
    }

    fn bursts(mut self, bursts: usize) -> Self {
        (0..bursts).for_each(|_| self.burst());
        self
    }
}

/// What control waits for before it opens the slot.
#[derive(Clone, Copy, PartialEq)]
enum Waits {
    ForAll,
    /// Not for the old owner to have drained its rings.
    NotForRings,
    /// Not even for anybody to be quiescent.
    ForNobody,
}

enum Stage {
    Before,
    Closed(u64),
    Marked(u32),
    Open,
}

struct Control {
    slots: std::sync::Arc<Slots>,
    qsbr: Qsbr,
    stage: Stage,
    waits: Waits,
}

const MOVES: [Move; 1] = [Move {
    slot: SLOT,
    from: OLD as u16,
    to: NEW as u16,
}];

impl Control {
    fn step(&mut self) {
        match self.stage {
            Stage::Before => {
                self.slots.close(&MOVES);
                self.stage = Stage::Closed(self.qsbr.advance());
            }
            Stage::Closed(epoch) if self.waits == Waits::ForNobody || self.qsbr.passed(epoch) => {
                self.stage = Stage::Marked(self.slots.mark());
            }
            Stage::Marked(version)
                if self.waits != Waits::ForAll || self.slots.has_drained(OLD as u16, version) =>
            {
                self.slots.open(&MOVES);
                self.stage = Stage::Open;
            }
            _ => {}
        }
    }
}

/// Some turns of all three in any order; then one after the other, until all has arrived.
fn model(waits: Waits) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.max_branches = 10_000;
    model.check(move || {
        let slots = std::sync::Arc::new(Slots::new(&[OLD as u16], 2, 2));
        let qsbr = Qsbr::new(2);
        let table = SubTable {
            busy: AtomicBool::new(false),
            seen: AtomicUsize::new(0),
        };
        let table = Arc::new(table);
        let rings: [Ring; 2] = std::array::from_fn(|_| Ring::default());
        let mut workers = [OLD, NEW].map(|id| Worker {
            follow: Following::new(std::sync::Arc::clone(&slots), id),
            table: Arc::clone(&table),
            qsbr: qsbr.reader(id),
            id,
            rings: [rings[1 - id].clone(), rings[id].clone()],
            queue: (1..=PACKETS).filter(|_| id == NEW).collect(),
            parked: Default::default(),
        });
        let mut control = Control {
            slots,
            qsbr,
            stage: Stage::Before,
            waits,
        };
        // The first packet is on its way before anything changes.
        workers[NEW].burst();
        let threads = workers.map(|worker| thread::spawn(move || worker.bursts(3)));
        (0..4).for_each(|_| control.step());
        let mut workers = threads.map(|thread| thread.join().unwrap());
        for _ in 0..20 {
            control.step();
            workers.iter_mut().for_each(Worker::burst);
        }
        assert_eq!(table.seen.load(Relaxed), PACKETS, "a packet is lost");
        assert_eq!(
            workers.each_ref().map(|w| w.follow.owner(SLOT)),
            [Some(NEW as u16); 2]
        );
        assert!(workers.iter().all(|worker| worker.follow.calm));
    });
}

#[test]
fn loom_a_slot_changes_its_writer_and_its_packets_keep_their_order() {
    model(Waits::ForAll);
}

#[test]
#[should_panic(expected = "out of order")]
fn loom_a_slot_that_opens_before_its_old_owner_has_drained_its_rings_is_found() {
    model(Waits::NotForRings);
}

#[test]
#[should_panic(expected = "out of order")]
fn loom_a_slot_that_opens_before_anybody_is_quiescent_is_found() {
    model(Waits::ForNobody);
}
