use super::*;
use crate::fixture::{Rig, SLOT, START, UDP, at, key, started};
use crate::key::Dir::Fwd;
use crate::state::Class;
use crate::writer::Entry;

#[test]
fn a_probe_finds_what_a_lookup_finds_whatever_happened_in_between() {
    let mut rng = fastrand::Rng::with_seed(31);
    let mut rig = Rig::new(3);
    for _ in 0..20_000 {
        let flows: Vec<u32> = (0..rng.u32(1..20)).map(|_| rng.u32(0..100)).collect();
        let burst = started(&rig, &flows, START);
        for (which, n) in (0..).zip(&flows) {
            let Flow { key, dir, probe } = burst.get(which).unwrap();
            assert_eq!(
                (key, dir, probe.slot()),
                (crate::fixture::key(*n), Fwd, SLOT)
            );
            assert_eq!(probe.hash(), rig.hash(*n));
            // Entries come, go and are displaced between the steps.
            let other = rng.u32(0..100);
            match rig.lookup(other, START) {
                Some(entry) => drop(rig.writer.remove(entry)),
                None => drop(rig.insert_as(other, Class::TwoWay, START)),
            }
            let found = rig.writer.lookup_probed(&probe, &key, START);
            assert_eq!(found, rig.lookup(*n, START), "flow {n}");
        }
    }
    assert!(rig.table.stats().displaced > 100, "{:?}", rig.table.stats());
    rig.check_books();
}

#[test]
fn a_probe_does_not_find_what_has_expired() {
    let mut rig = Rig::new(1);
    rig.insert(1, &UDP, START).unwrap();
    let probe = started(&rig, &[1], START).get(0).unwrap().probe;
    assert_eq!(rig.writer.lookup_probed(&probe, &key(1), at(300)), None);
    assert_eq!(rig.table.stats().expired, [1, 0, 0]);
    assert_eq!(rig.writer.lookup_probed(&probe, &key(1), START), None);
}

#[test]
fn who_is_held_back_when_a_burst_starts_is_who_would_be_turned_away() {
    let mut rng = fastrand::Rng::with_seed(83);
    let mut rig = Rig::new(8);
    let old = rig.fill(0, Class::TwoWay, START) / 2;
    for n in old..2 * old {
        let gone = rig.lookup(n, START).filter(|_| rng.u8(..4) != 0);
        gone.into_iter()
            .for_each(|entry| assert!(rig.writer.remove(entry)));
    }
    let (mut held, mut free, mut next) = ([0, 0], 0, 1_000_000);
    for step in 0..2_000 {
        // Fast at first, so that it is a flood; then so slowly that it is none.
        let now = Tick(START.0 + if step < 1_000 { step / 100 } else { 30 * step });
        let flows: Vec<u32> = (0..32)
            .map(|_| match rng.u8(..4) {
                0 => rng.u32(..old),
                _ => rng.u32(next..next + 40),
            })
            .collect();
        next += 30;
        let burst = started(&rig, &flows, now);
        for (which, n) in (0..).zip(&flows) {
            let probe = burst.get(which).unwrap().probe;
            let first = rig.table.range(SLOT).first(rig.hash(*n));
            free += usize::from(rig.table.buckets.line(first).tags().free().is_some());
            let away = probe.place().is_none() && rig.writer.turns_away(SLOT, rig.hash(*n), now);
            assert_eq!(burst.held_back(which).is_some(), away, "flow {n} in {step}");
            held[usize::from(step < 1_000)] += usize::from(away);
        }
        for n in flows {
            let _ = rig.insert(n, &UDP, now);
        }
    }
    assert!(
        held[0] == 0 && held[1] > 10_000 && free > 100,
        "{held:?} {free}"
    );
}

#[test]
fn who_is_held_back_is_counted_as_any_flow_that_is_turned_away() {
    let mut rig = Rig::new(1);
    let before = rig.table.stats();
    rig.writer.count_held_back(SLOT, at(1));
    let after = rig.table.stats();
    let more = |of: fn(&crate::Stats) -> u64| of(&after) - of(&before);
    assert_eq!(
        (more(|s| s.misses), more(|s| s.refused), more(|s| s.flooded)),
        (1, 1, 1)
    );
    assert!(!rig.proves_new(7, 60, at(2)), "its loss is noted");
    let mut burst = started(&rig, &[1, 2], START);
    assert_eq!(burst.held_back(0), None);
    assert_eq!(burst.hold_all_back(), 2);
    assert_eq!(
        [0, 1, 2].map(|which| burst.held_back(which)),
        [Some(SLOT), Some(SLOT), None]
    );
}

#[test]
fn nobody_is_held_back_from_a_free_place_nor_in_a_table_that_has_room() {
    let mut rig = Rig::new(8);
    for n in (0..rig.fill(0, Class::TwoWay, START)).step_by(2) {
        let entry = rig.lookup(n, START).expect("established");
        assert!(rig.writer.remove(entry));
    }
    (3_000_000..3_020_000).for_each(|n| _ = rig.insert(n, &UDP, START));
    let strays = |bucket: &BucketNo| rig.table.buckets.line(*bucket).classes().strays() > 0;
    let home = (0..8).map(BucketNo).find(strays).expect("strays");
    let held = |rig: &Rig| {
        let range = rig.table.range(SLOT);
        let new: Vec<u32> = (1_000_000..1_002_000)
            .filter(|n| range.first(rig.hash(*n)) == home)
            .collect();
        let burst = started(rig, &new, START);
        let held = (0..new.len() as u32).filter(|n| burst.held_back(*n).is_some());
        (held.count(), new.len())
    };
    let leave = |rig: &mut Rig, places: Vec<PlaceNo>| {
        for place in places {
            assert!(rig.writer.remove(Entry(place)));
        }
    };
    let live = |rig: &Rig, here: bool| -> Vec<PlaceNo> {
        let places = rig.table.places(SLOT);
        places
            .filter(|place| (place.bucket() == home) == here)
            .collect()
    };
    let (most, all) = held(&rig);
    assert!(
        most > all / 2 && all > 100,
        "{most} of {all}: it is a flood"
    );
    let one = live(&rig, true)[..1].to_vec();
    leave(&mut rig, one);
    assert_eq!(held(&rig).0, 0, "there is a place");
    (4_000_000..4_020_000).for_each(|n| _ = rig.insert(n, &UDP, START));
    assert!(held(&rig).0 > 0);
    let others = live(&rig, false);
    leave(&mut rig, others);
    assert_eq!(held(&rig).0, 0, "there is room");
}
