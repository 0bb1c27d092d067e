use super::*;
use crate::fixture::{SECRET, START, UDP, at, key, pin_of};
use crate::hash::flow_hash;
use crate::key::{Dir, KeyV4};
use std::sync::Arc;

const SLOTS: u16 = 4;

/// The slot of a test's flow.
fn slot(n: u32) -> SlotNo {
    SlotNo((n % u32::from(SLOTS)) as u16)
}

fn insert(writer: &mut Writer<KeyV4>, n: u32) {
    let hash = flow_hash(&SECRET, &key(n));
    let entry = writer.insert(slot(n), hash, &key(n), Dir::Fwd, &UDP, at(1));
    writer.set_pin(entry.expect("room"), Dir::Fwd, pin_of(n), n);
}

fn remove(writer: &mut Writer<KeyV4>, n: u32) {
    let entry = writer.lookup(slot(n), flow_hash(&SECRET, &key(n)), &key(n), at(1));
    writer.remove(entry.expect("it is there"));
}

fn pinned(writer: &Writer<KeyV4>, n: u32) -> bool {
    let entry = writer.lookup(slot(n), flow_hash(&SECRET, &key(n)), &key(n), at(1));
    entry.is_some_and(|entry| writer.pin(entry, Dir::Fwd) == pin_of(n))
}

/// Two writers, each with half the slots.
fn rig(buckets: usize) -> (Arc<Table<KeyV4>>, [Writer<KeyV4>; 2]) {
    let table = Table::with_geometry(usize::from(SLOTS), buckets, SECRET, (START, &|_| {}));
    table.set_source_share(100);
    let writers = [0..2, 2..SLOTS].map(|slots| table.writer(slots.map(SlotNo)));
    (table, writers)
}

/// What a source network holds, as the writer counts it, and as it is.
fn held(writer: &Writer<KeyV4>, network: u64) -> (u32, u32) {
    let places = writer
        .slots
        .iter()
        .flat_map(|slot| writer.table.places(*slot));
    let of = places.filter(|place| source(&writer.table.entries.at(*place)) == network);
    (writer.shares.of(network).flows(), of.count() as u32)
}

fn network() -> u64 {
    key(0).network(Dir::Fwd)
}

#[test]
fn a_slot_goes_over_with_its_flows_and_their_pins() {
    let (table, [mut one, mut two]) = rig(8);
    (0..100).for_each(|n| insert(if slot(n).0 < 2 { &mut one } else { &mut two }, n));
    assert!(!two.take(SlotNo(1), at(1)), "it has a writer");
    one.give(SlotNo(1), at(1));
    assert_eq!(one.len(), 25);
    assert!(two.take(SlotNo(1), at(1)));
    assert_eq!(two.len(), 75);
    assert!((0..100).filter(|n| slot(*n).0 > 0).all(|n| pinned(&two, n)));
    assert!(
        (0..100)
            .filter(|n| slot(*n).0 == 0)
            .all(|n| pinned(&one, n))
    );
    assert_eq!(table.stats().used, 100);
    assert!(!one.take(SlotNo(1), at(1)));
    drop(two);
    assert!(one.take(SlotNo(1), at(1)), "who ends gives all up");
}

#[test]
fn the_hands_go_round_what_a_writer_has_and_nothing_else() {
    let (_, [mut one, mut two]) = rig(8);
    (0..100).for_each(|n| insert(if slot(n).0 < 2 { &mut one } else { &mut two }, n));
    assert_eq!(one.table.visited_since(), Some(at(1)));
    one.sweep(13, at(1));
    [0, 1]
        .into_iter()
        .for_each(|slot| one.give(SlotNo(slot), at(1)));
    assert!(one.is_empty());
    assert_eq!(
        (one.sweep(100, at(9000)), one.sweep_paced(9, at(9000))),
        (0, 0)
    );
    assert!(two.take(SlotNo(0), at(1)));
    // Nobody knows when the flows that came were visited, until all have been.
    two.visit(3 * 8 - 1, at(5), |_| false);
    assert_eq!(two.table.visited_since(), Some(Tick(0)));
    two.visit(1, at(6), |_| false);
    assert_eq!(two.table.visited_since(), Some(at(1)));
    assert_eq!(two.sweep(3 * 8, at(9000)), 75);
    assert!(two.is_empty());
    assert!(two.take(SlotNo(1), at(9000)));
    assert_eq!((two.len(), two.sweep(4 * 8, at(9000))), (25, 25));
}

/// Whatever happens between the steps: what is counted is never more than there is, and exact in the end.
#[test]
fn source_networks_are_counted_again_while_flows_come_and_go() {
    let mut rng = fastrand::Rng::with_seed(5);
    for _ in 0..50 {
        let (_, [mut one, mut two]) = rig(4);
        let mut flows: Vec<u32> = Vec::new();
        let mut next = 0;
        let mut given = false;
        for step in 0..400 {
            let taken = |n: &u32| slot(*n).0 == 1 && given;
            if rng.bool() && flows.len() < 280 {
                insert(
                    if slot(next).0 < 2 && !taken(&next) {
                        &mut one
                    } else {
                        &mut two
                    },
                    next,
                );
                flows.push(next);
                next += 1;
            } else if !flows.is_empty() {
                let n = flows.swap_remove(rng.usize(..flows.len()));
                remove(
                    if slot(n).0 < 2 && !taken(&n) {
                        &mut one
                    } else {
                        &mut two
                    },
                    n,
                );
            }
            if step == 200 {
                one.give(SlotNo(1), at(1));
                assert!(two.take(SlotNo(1), at(1)));
                given = true;
            }
            if step > 200 && rng.u8(..8) == 0 {
                one.recount(1);
                two.recount(1);
            }
            for writer in [&one, &two] {
                let (counted, all) = held(writer, network());
                assert!(counted <= all, "step {step}: {counted} of {all}");
            }
        }
        while one.recount(3) | two.recount(3) {}
        for writer in [&one, &two] {
            let (counted, all) = held(writer, network());
            assert_eq!(counted, all);
        }
    }
}

#[test]
fn a_flow_that_a_flood_turned_away_is_not_proved_new_by_the_next_writer() {
    let table: Arc<Table<KeyV4>> = Table::with_geometry(2, 1, SECRET, (Tick(1), &|_| {}));
    let now = Tick(100_000);
    let (mut old, mut new) = (
        table.writer([SlotNo(0)].into_iter()),
        table.writer([SlotNo(1)].into_iter()),
    );
    table.note_turned_away(SlotNo(0), now);
    let hash = old.hash(&key(1));
    let proved = |writer: &Writer<KeyV4>, slot, later| {
        writer.proves_new(SlotNo(slot), hash, 300, Tick(now.0 + later))
    };
    assert!(
        !proved(&old, 0, 0) && proved(&new, 1, 0),
        "it is the slot's"
    );
    old.give(SlotNo(0), now);
    assert!(new.take(SlotNo(0), now));
    assert!(!proved(&new, 0, 2_999) && proved(&new, 0, 3_000));
}
