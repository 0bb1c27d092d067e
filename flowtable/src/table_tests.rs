use super::*;
use crate::bucket::BUCKET_WORDS;
use crate::fixture::{Rig, SECRET, SLOT, START, UDP, key};
use crate::key::Dir::{Fwd, Rev};
use crate::key::{KeyV4, KeyV6};
use crate::pin::PinWord;
use std::collections::HashSet;
use std::sync::atomic::AtomicBool as Flag;

#[test]
fn a_table_has_at_least_the_capacity_asked_for_and_slots_share_no_line() {
    let round = Table::<KeyV6>::ROUND;
    for asked in [0, 1, round, round + 1, 100_000] {
        let table: Arc<Table<KeyV6>> = Table::new(asked, SECRET, START);
        let stats = table.stats();
        assert!(stats.capacity as usize >= asked && stats.capacity as usize <= asked + round);
        assert_eq!(stats.slot_capacity * SLOTS as u64, stats.capacity);
        for slot in 0..SLOTS {
            let range = table.range(SlotNo(slot as u16));
            assert_eq!(range.start * BUCKET_WORDS % 8, 0);
            assert_eq!(range.start * PLACES * KeyV6::ENTRY_WORDS % 8, 0);
            assert_eq!(
                table.slot_of(BucketNo(range.start + range.len - 1)).0 as usize,
                slot
            );
        }
    }
}

#[test]
#[should_panic(expected = "slot 7 of the flow table has a writer already")]
fn a_slot_has_one_writer() {
    let table: Arc<Table<KeyV4>> = Table::new(1, SECRET, START);
    let _first = table.writer([SlotNo(6), SlotNo(7)].into_iter());
    let _second = table.writer([SlotNo(8), SlotNo(7)].into_iter());
}

#[test]
fn a_listing_gives_every_entry_once_with_its_slot() {
    let table: Arc<Table<KeyV4>> = Table::new(1, SECRET, START);
    let mut writers = [0, 1].map(|w| table.writer((0..128).map(|s| SlotNo(s * 2 + w))));
    for n in 0..1000 {
        let slot = SlotNo((n % 256) as u16);
        let hash = crate::flow_hash(&SECRET, &key(n));
        writers[n as usize % 2]
            .insert(slot, hash, &key(n), Fwd, &UDP, START)
            .unwrap();
    }
    let seen: HashSet<_> = table.entries().map(|e| (e.key, e.slot)).collect();
    let want: HashSet<_> = (0..1000)
        .map(|n| (key(n), SlotNo((n % 256) as u16)))
        .collect();
    assert_eq!((seen, table.entries().count()), (want.clone(), 1000));
    let some = |key: &KeyV4| key.addresses_xor().is_multiple_of(3);
    let seen: HashSet<_> = table.entries_of(some).map(|e| (e.key, e.slot)).collect();
    let want: HashSet<_> = want.into_iter().filter(|(key, _)| some(key)).collect();
    assert!(seen == want && !want.is_empty() && want.len() < 1000);
    let stats = table.stats();
    assert_eq!(
        (
            stats.used,
            stats.inserts,
            stats.high_water,
            stats.fullest_slot
        ),
        (1000, 1000, 1000, 4)
    );
}

#[test]
fn the_shape_says_how_full_buckets_are_and_who_is_astray() {
    let mut rig = Rig::new(40);
    let fitted = rig.fill(0, crate::Class::TwoWay, START) as u64;
    let shape = rig.table.shape();
    assert_eq!(shape.buckets.iter().sum::<u64>(), 40);
    let entries = shape.buckets.iter().enumerate();
    assert_eq!(
        entries.map(|(used, n)| used as u64 * n).sum::<u64>(),
        fitted
    );
    let home = |n: &u32| {
        let entry = rig.lookup(*n, START).expect("it fitted");
        entry.0.bucket() == rig.table.range(SLOT).first(rig.hash(*n))
    };
    let away = (0..fitted as u32).filter(|n| !home(n)).count() as u64;
    assert!(away > 0);
    assert_eq!(shape.strays, away);
    assert_eq!(shape.probes(), [fitted - away, away]);
    // All strays are forgotten with their entries.
    while !rig.writer.is_empty() {
        rig.writer.sweep(40, crate::fixture::at(1000));
    }
    assert_eq!(
        (rig.table.shape().strays, rig.table.shape().buckets[0]),
        (0, 40)
    );
}

#[test]
fn entries_in_debt_are_listed_by_themselves() {
    let mut rig = Rig::new(40);
    rig.fill(0, crate::Class::OneWay, START);
    let all: Vec<u32> = (0..100).collect();
    for n in &all {
        let entry = rig.lookup(*n, START).expect("it fitted");
        rig.writer.set_debt(entry, n % 3 == 0);
    }
    let owing: HashSet<_> = rig.table.indebted().map(|e| (e.key, e.debt)).collect();
    let want: HashSet<_> = (0..100).step_by(3).map(|n| (key(n), true)).collect();
    assert_eq!(owing, want);
}

#[test]
fn every_counter_has_a_name_of_its_own() {
    let rig = Rig::new(2);
    let names: HashSet<_> = rig.table.stats().named().map(|(name, _)| name).collect();
    assert_eq!(names.len(), rig.table.stats().named().count());
}

/// A pin and stamp by which a reader knows whose they are and that they belong together.
fn mark(n: u32, round: u32) -> (PinWord, u32) {
    (
        PinWord(u64::from(n) << 20 | u64::from(round & 0xf_ffff)),
        n ^ round.wrapping_mul(0x9e37_79b9),
    )
}

fn check_mark(key_no: u32, pin: PinWord, stamp: u32) {
    let round = (pin.0 & 0xf_ffff) as u32;
    assert_eq!((pin, stamp), mark(key_no, round), "torn, or another flow's");
}

#[test]
fn readers_see_neither_torn_nor_missing_entries_while_the_writer_displaces_and_removes() {
    // 8 lasting flows are re-pinned all the time; the rest of 120 places churn, so that everything moves.
    let mut rig = Rig::new(5);
    let lasting = 8;
    for n in 0..lasting {
        let entry = rig.insert_as(n, crate::Class::TwoWay, START).unwrap();
        let (pin, stamp) = mark(n, 0);
        rig.writer.set_pin(entry, Fwd, pin, stamp);
    }
    let done = Flag::new(false);
    let table = Arc::clone(&rig.table);
    let number = |key: &KeyV4| (0..4096).find(|n| crate::fixture::key(*n) == *key).unwrap();
    std::thread::scope(|scope| {
        let finder = scope.spawn(|| {
            let mut finds = 0_u64;
            while !done.load(Relaxed) || finds == 0 {
                for n in 0..lasting {
                    let hash = crate::flow_hash(&SECRET, &key(n));
                    let view = table
                        .find(SLOT, hash, &key(n))
                        .expect("a lasting flow was not found");
                    check_mark(n, view.pins[0], view.stamps[0]);
                    finds += 1;
                }
            }
        });
        let lister = scope.spawn(|| {
            while !done.load(Relaxed) {
                for view in table.entries().filter(|e| e.stamps[0] != 0) {
                    check_mark(number(&view.key), view.pins[0], view.stamps[0]);
                }
            }
        });
        {
            let _done = Raise(&done);
            churn(&mut rig, lasting);
        }
        finder.join().unwrap();
        lister.join().unwrap();
    });
    assert!(rig.table.stats().displaced > 100, "{:?}", rig.table.stats());
    rig.check_books();
}

/// Raises a flag when it goes, also by a panic: or a failing test would wait for its readers for ever.
struct Raise<'a>(&'a Flag);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn churn(rig: &mut Rig, lasting: u32) {
    let mut rng = fastrand::Rng::with_seed(21);
    for round in 1..100_000 {
        let n = rng.u32(..lasting);
        let entry = rig.lookup(n, START).expect("a lasting flow");
        let (pin, stamp) = mark(n, round);
        rig.writer.set_pin(entry, Fwd, pin, stamp);
        let n = rng.u32(lasting..lasting + 200);
        if let Some(entry) = rig.lookup(n, START) {
            rig.writer.remove(entry);
        } else if let Ok(entry) = rig
            .writer
            .insert(SLOT, rig.hash(n), &key(n), Fwd, &UDP, START)
        {
            rig.touch(entry, Rev, START);
            let (pin, stamp) = mark(n, round);
            rig.writer.set_pin(entry, Fwd, pin, stamp);
        }
    }
}

#[test]
fn a_collision_set_made_without_the_secret_changes_nothing() {
    let (known, real) = (TableSecret([1; 16]), TableSecret([2; 16]));
    let new = |secret| {
        let table: Arc<Table<KeyV4>> = Table::new(60_000, secret, Tick(1));
        let writer = table.writer((0..crate::SLOTS as u16).map(SlotNo));
        (table, writer)
    };
    let insert = |writer: &mut crate::Writer<KeyV4>, n: u32| {
        let (src, dst) = (0x0a00_0000 + n, 0xc000_0201);
        let (key, dir) = KeyV4::new(0, 17, src, 9, dst, 53);
        let slot = writer.table().owner().slot4(17, src, 9, dst, 53);
        let hash = writer.hash(&key);
        writer.insert(slot, hash, &key, dir, &UDP, Tick(2)).is_ok()
    };
    // Flows of one slot, as far as the first secret says.
    let (table, mut at_known) = new(known);
    let slot = |n: u32| table.owner().slot4(17, 0x0a00_0000 + n, 9, 0xc000_0201, 53);
    let set: Vec<u32> = (0..400_000)
        .filter(|n| slot(*n) == slot(0))
        .take(1000)
        .collect();
    let placed =
        |writer: &mut crate::Writer<KeyV4>| set.iter().filter(|n| insert(writer, **n)).count();
    placed(&mut at_known);
    let full = table.stats();
    assert!(full.evicted[0] > 300, "the set does collide: {full:?}");
    let (table, mut writer) = new(real);
    assert_eq!(placed(&mut writer), set.len());
    let stats = table.stats();
    assert_eq!(
        (stats.evicted[0], stats.displaced, table.shape().strays),
        (0, 0, 0)
    );
    assert!(stats.fullest_slot < 20, "{stats:?}");
}
