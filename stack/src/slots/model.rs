//! A slot changes its writer, in every order that loom can think of: control, the old owner and the new one, which also
//! gets the flow's packets from outside. `RUSTFLAGS="--cfg loom" cargo test -p flowgate-stack --lib --release loom_`

use super::actors::{Actor, Packet, SubTable, rings};
use super::{Acquire, AtomicU32, Move, Owner, Slots};
use flowtable::SlotNo;
use loom::sync::Arc;
use loom::thread;
use route::Qsbr;

const SLOT: SlotNo = SlotNo(0);
/// Not the number that a worker starts with for whom a slot came from.
const OLD: usize = 1;
const NEW: usize = 0;
/// Packets of the one flow, all by the new owner's queue.
const PACKETS: usize = 3;

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

fn bounded() -> loom::model::Builder {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.max_branches = 10_000;
    model
}

/// Some turns of all three in any order; then one after the other, until all has arrived.
fn model(waits: Waits) {
    bounded().check(move || {
        let slots = std::sync::Arc::new(Slots::new(&[OLD as u16], 2, 2));
        let qsbr = Qsbr::new(2);
        let (tables, rings) = (Arc::new(vec![SubTable::new(2)]), rings(2));
        let mut workers = [0, 1].map(|id| Actor::new(id, &slots, qsbr.reader(id), &tables, &rings));
        workers[NEW].queue = (1..=PACKETS).map(packet).collect();
        let mut control = Control {
            slots,
            qsbr,
            stage: Stage::Before,
            waits,
        };
        // The first packet is on its way before anything changes.
        workers[NEW].burst(1);
        // One a burst, so that a ring can hold more than a burst takes.
        let threads = workers.map(|mut worker| {
            thread::spawn(move || {
                (0..3).for_each(|_| worker.burst(1));
                worker
            })
        });
        (0..4).for_each(|_| control.step());
        let mut workers = threads.map(|thread| thread.join().unwrap());
        for _ in 0..20 {
            control.step();
            workers.iter_mut().for_each(|worker| worker.burst(1));
        }
        assert_eq!(tables[0].seen(NEW), PACKETS, "a packet is lost");
        for worker in &workers {
            assert_eq!(worker.follow.owner(SLOT), Some(NEW as u16));
            assert!(worker.follow.calm);
        }
    });
}

fn packet(no: usize) -> Packet {
    let (slot, queue) = (SLOT, NEW);
    Packet { slot, queue, no }
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

/// Control publishes two versions while a reader takes what is there.
fn read_while_control_publishes(read: fn(&Slots) -> (u32, Vec<u16>)) {
    bounded().check(move || {
        let slots = Arc::new(Slots::new(&[0, 0], 2, 2));
        let reader = Arc::clone(&slots);
        let reader = thread::spawn(move || {
            let (version, owners) = read(&reader);
            // Each version gives both slots to the same worker: the first to 0, the next to 1.
            let owner = (version - 1) as u16;
            assert_eq!(owners, [owner, owner], "torn");
        });
        for (from, to) in [(0, 1), (1, 2)] {
            let give = |slot| Move {
                slot: SlotNo(slot),
                from,
                to,
            };
            slots.open(&[give(0), give(1)]);
        }
        reader.join().unwrap();
    });
}

#[test]
fn loom_what_is_read_of_the_slots_is_one_version_whole() {
    read_while_control_publishes(|slots| {
        let now = slots.snapshot();
        let owners = now.owners().map(|(_, owner)| owner.worker);
        (now.version, owners.collect())
    });
}

#[test]
#[should_panic(expected = "torn")]
fn loom_slots_that_are_read_without_another_look_at_the_version_are_found() {
    read_while_control_publishes(|slots| {
        let version = slots.version();
        let owner = |word: &AtomicU32| Owner::of(word.load(Acquire)).worker;
        let words = slots.copy(version).words.iter();
        (version, words.map(owner).collect())
    });
}
