//! Four workers and control in random order, part of a burst by part of a burst, some of them asleep or not on a CPU for
//! long: no packet overtakes another of its flow, and no sub-table has two writers. The models of loom look at every order of
//! two workers and what a processor may do; this, at long histories of more.

use super::actors::{Actor, Packet, SubTable, rings};
use super::{Move, Slots, even_slots};
use fastrand::Rng;
use flowtable::{SLOTS, SlotNo};
use route::Qsbr;
use std::sync::Arc;

const WORKERS: usize = 4;
/// Slots that have flows: of every worker's.
const BUSY: usize = 8;
/// Slots that move in one step.
const STEP: usize = 3;
/// Packets of one ring in one burst.
const BURST: usize = 2;

enum Stage {
    Closed(u64),
    Marked(u32),
    Opened(u32),
}

struct Control {
    slots: Arc<Slots>,
    qsbr: Qsbr,
    step: Option<(Stage, Vec<Move>)>,
    steps: usize,
}

impl Control {
    /// One look at how far the workers are, as `step_ended` of `control/workers.rs` has it, but that it waits for the old
    /// owners' rings alone, not for everyone's: here are no pieces, and for whole packets that is enough.
    fn step(&mut self, rng: &mut Rng) {
        let slots = &self.slots;
        let Some((stage, moved)) = self.step.take() else {
            return self.begin(rng);
        };
        let drained = |worker, version| slots.has_drained(worker, version);
        let next = match stage {
            Stage::Closed(epoch) if self.qsbr.passed(epoch) => Stage::Marked(slots.mark()),
            Stage::Marked(version) if moved.iter().all(|m| drained(m.from, version)) => {
                Stage::Opened(slots.open(&moved))
            }
            Stage::Opened(version) if moved.iter().all(|m| drained(m.to, version)) => {
                self.steps += 1;
                return;
            }
            waits => waits,
        };
        self.step = Some((next, moved));
    }

    /// Some slots that have flows, each to some other worker.
    fn begin(&mut self, rng: &mut Rng) {
        let map = self.slots.map();
        let slots = rng.choose_multiple(0..BUSY as u16, STEP).into_iter();
        let next = slots.map(|slot| {
            let from = map[usize::from(slot)];
            let to = (from + rng.u16(1..WORKERS as u16)) % WORKERS as u16;
            let slot = SlotNo(slot);
            Move { slot, from, to }
        });
        let next = next.collect::<Vec<_>>();
        self.slots.close(&next);
        self.step = Some((Stage::Closed(self.qsbr.advance()), next));
    }
}

struct World {
    rng: Rng,
    control: Control,
    workers: Vec<Actor>,
    /// How many turns each is to stand still.
    still: Vec<usize>,
    tables: Arc<Vec<SubTable>>,
    sent: [[usize; WORKERS]; BUSY],
}

impl World {
    fn new(seed: u64) -> Self {
        let slots = Arc::new(Slots::new(&even_slots(WORKERS), WORKERS, WORKERS));
        let qsbr = Qsbr::new(WORKERS);
        let tables = (0..SLOTS).map(|_| SubTable::new(WORKERS)).collect();
        let (tables, rings) = (Arc::new(tables), rings(WORKERS));
        let worker = |id| Actor::new(id, &slots, qsbr.reader(id), &tables, &rings);
        Self {
            rng: Rng::with_seed(seed),
            workers: (0..WORKERS).map(worker).collect(),
            still: vec![0; WORKERS],
            control: Control {
                slots,
                qsbr,
                step: None,
                steps: 0,
            },
            tables,
            sent: Default::default(),
        }
    }

    fn send(&mut self, worker: usize) {
        let slot = self.rng.usize(..BUSY);
        self.sent[slot][worker] += 1;
        let no = self.sent[slot][worker];
        let slot = SlotNo(slot as u16);
        let queue = worker;
        self.workers[worker]
            .queue
            .push_back(Packet { slot, queue, no });
    }

    fn turn(&mut self) {
        let at = self.rng.usize(..=WORKERS);
        if at == WORKERS {
            return self.control.step(&mut self.rng);
        }
        if self.still[at] > 0 {
            self.still[at] -= 1;
            return;
        }
        let worker = &mut self.workers[at];
        let rests = worker.step(BURST);
        match self.rng.u32(..100) {
            0 => self.still[at] = self.rng.usize(..200),
            1..5 if rests => {
                worker.sleep();
                self.still[at] = self.rng.usize(..50);
            }
            5..60 if rests => self.send(at),
            _ => {}
        }
    }

    /// What was sent arrives.
    fn finish(&mut self) {
        self.still.fill(0);
        for _ in 0..5000 {
            if self.workers.iter().all(Actor::is_idle) && self.arrived() {
                return;
            }
            for worker in &mut self.workers {
                worker.burst(BURST);
            }
            if self.control.step.is_some() {
                self.control.step(&mut self.rng);
            }
        }
        panic!("packets are lost");
    }

    fn arrived(&self) -> bool {
        let flows = self.sent.iter().zip(self.tables.iter());
        let mut flows = flows.flat_map(|(sent, table)| sent.iter().enumerate().zip([table; 4]));
        flows.all(|((queue, sent), table)| table.seen(queue) == *sent)
    }
}

#[test]
fn packets_keep_their_order_in_any_order_of_workers_and_control() {
    let mut steps = 0;
    for seed in 0..200 {
        let mut world = World::new(seed);
        (0..20_000).for_each(|_| world.turn());
        world.finish();
        steps += world.control.steps;
    }
    assert!(steps > 2000, "{steps} steps of moves");
}
