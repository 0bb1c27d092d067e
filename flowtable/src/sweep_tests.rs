use super::*;
use crate::bucket::PLACES;
use crate::fixture::{Rig, START, UDP, at, key};
use crate::key::Dir::Fwd;
use crate::state::Class;
use crate::timeouts::TimeoutsNo;
use std::collections::HashSet;

#[test]
fn the_hand_frees_everything_that_has_expired_in_one_round_and_nothing_else() {
    let mut rig = Rig::new(64);
    rig.insert_all(0..100, START);
    rig.insert_all(100..150, at(1));
    assert_eq!(rig.writer.sweep(64, Tick(at(300).0 - 1)), 0);
    let freed: usize = (0..16).map(|_| rig.writer.sweep(4, at(300))).sum();
    assert_eq!((freed, rig.writer.len()), (100, 50));
    assert_eq!(rig.writer.sweep(1_000_000, at(301)), 50);
    assert!(rig.writer.is_empty());
    rig.check_books();
}

#[test]
fn a_call_of_the_hand_visits_as_many_buckets_as_it_was_told() {
    let mut rig = Rig::new(64);
    let fitted = rig.fill(0, Class::Probation, START);
    let mut sizes: Vec<usize> = Vec::new();
    while !rig.writer.is_empty() {
        sizes.push(rig.writer.sweep(3, at(400)));
        assert!(sizes.len() < 64, "the hand leaves buckets out");
    }
    assert!(
        sizes.len() >= 64 / 3 && sizes.iter().all(|n| *n <= 3 * PLACES),
        "{sizes:?}"
    );
    assert_eq!(sizes.iter().sum::<usize>(), fitted as usize);
}

#[test]
fn over_a_table_without_entries_the_hand_goes_as_far_as_it_would_have_swept() {
    let (mut swept, mut passed) = (Rig::new(50), Rig::new(50));
    swept.insert_all(0..1, START);
    for buckets in [0, 1, 3, 49, 50, 51, 1_000_000, 7] {
        swept.writer.sweep(buckets, START);
        passed.writer.sweep(buckets, START);
        assert_eq!(swept.writer.hand.0, passed.writer.hand.0, "{buckets}");
    }
    assert_eq!((swept.writer.len(), passed.writer.len()), (1, 0));
    // A thread without slots has no buckets.
    let mut idle = passed.table.writer(std::iter::empty());
    idle.sweep(7, START);
    assert_eq!(idle.hand.0, 0);
}

#[test]
fn under_load_the_hand_goes_round_once_in_ten_seconds_however_often_it_is_called() {
    let mut rig = Rig::new(50);
    rig.insert_all(0..500, START);
    let mut visited = 0;
    for tick in 0..300 {
        // Everything has expired, and comes back: who is freed was visited.
        let now = Tick(at(300).0 + tick);
        for _ in 0..20 {
            let before = rig.writer.hand;
            rig.writer.sweep_paced(2, now);
            visited += (rig.writer.hand.0 + 50 - before.0) % 50;
        }
        // The first lap begins long ago, at tick 0, so it is overdue; from then on it is 5 buckets a second.
        let late = visited as i64 - 50 - i64::from(tick) / 2;
        assert!((-50..=2).contains(&late), "{visited} after {tick} ticks");
    }
    assert!(visited >= 150 && rig.writer.is_empty());
    // Called too seldom, it does what it may and goes on where it was.
    assert!(rig.writer.lap.due(50, at(10_000)) <= 50);
    rig.check_books();
}

#[test]
fn the_other_hand_says_of_every_entry_whether_it_owes() {
    let mut rig = Rig::new(64);
    rig.insert_all(0..100, START);
    let owes = |view: &EntryView<crate::key::KeyV4>| {
        let (client, _) = view.key.ends();
        matches!(client.ip(), std::net::IpAddr::V4(addr) if addr.to_bits().is_multiple_of(2))
    };
    let debts = |rig: &Rig| {
        let places = (0..64).flat_map(|b| {
            let bucket = rig.writer.bucket_at(Position(b));
            let used = rig.table.buckets.line(bucket).tags().used();
            used.map(move |p| bucket.place(p)).collect::<Vec<_>>()
        });
        let with = |place: &PlaceNo| {
            let (view, life) = (rig.table.view(*place), rig.table.entries.at(*place).life());
            assert!(!life.debt() || owes(&view), "{view:?}");
            life.debt()
        };
        places.filter(with).count()
    };
    assert_eq!(debts(&rig), 0);
    (0..16).for_each(|_| rig.writer.visit(4, START, owes));
    let owing = debts(&rig);
    assert!(owing > 0, "half of them owe");
    rig.writer.visit(64, START, |_| false);
    assert_eq!(debts(&rig), 0);
}

#[test]
fn an_ended_set_of_timeouts_has_no_entry_once_a_round_that_began_later_is_over() {
    let mut rig = Rig::new(64);
    let (kept, ended) = (TimeoutsNo::new(3), TimeoutsNo::new(5));
    rig.insert_all(0..100, START);
    for n in 0..100 {
        let entry = rig.lookup(n, START).unwrap();
        let set = if n % 2 == 0 { kept } else { ended };
        rig.writer.set_timeouts(entry, set);
    }
    let with = |rig: &Rig, set| rig.table.entries().filter(|e| e.timeouts == set).count();
    rig.table.end_timeouts(ended);
    rig.table.end_timeouts(TimeoutsNo::DEFAULT);
    // The round that is under way does not count: it may have passed some.
    rig.writer.sweep(64, at(1));
    assert_eq!(rig.table.swept_since(), Some(START));
    assert_eq!(with(&rig, ended), 0);
    rig.writer.sweep(63, at(2));
    assert_eq!(rig.table.swept_since(), Some(START));
    rig.writer.sweep(1, at(3));
    assert_eq!(rig.table.swept_since(), Some(at(1)));
    assert_eq!(
        (with(&rig, kept), with(&rig, TimeoutsNo::DEFAULT)),
        (50, 50)
    );
    rig.table.begin_timeouts(ended);
    let entry = rig.lookup(1, at(3)).unwrap();
    rig.writer.set_timeouts(entry, ended);
    rig.writer.sweep(64, at(4));
    assert_eq!(with(&rig, ended), 1);
    // Nobody there: nothing to wait for.
    rig.writer.sweep(64, at(400));
    assert_eq!((rig.writer.len(), rig.table.swept_since()), (0, None));
    rig.check_books();
}

#[test]
fn an_entry_that_is_displaced_behind_the_hand_loses_an_ended_set_on_the_way() {
    let mut rig = Rig::new(64);
    let ended = TimeoutsNo::new(9);
    let full = rig.fill(0, Class::TwoWay, START);
    for n in 0..full {
        if let Some(entry) = rig.lookup(n, START) {
            rig.writer.set_timeouts(entry, ended);
        }
    }
    rig.table.end_timeouts(ended);
    let (before, mut n) = (rig.table.stats().displaced, 1_000_000);
    let mut marked: HashSet<_> = rig.table.entries().map(|e| e.key).collect();
    while n < 1_000_500 {
        let _ = rig.insert_as(n, Class::TwoWay, at(1));
        // Who was moved has the default now.
        if let Some(moved) = rig.writer.moved() {
            assert_eq!(moved.timeouts, TimeoutsNo::DEFAULT);
            marked.remove(&moved.key);
        }
        n += 1;
    }
    assert!(rig.table.stats().displaced > before);
    let still = rig.table.entries().filter(|e| e.timeouts == ended);
    assert!(still.map(|e| e.key).all(|key| marked.contains(&key)));
}

#[test]
fn under_pressure_the_hand_frees_idle_flows_early_by_class_and_notes_the_loss() {
    let mut rig = Rig::new(21);
    let now = at(10_000);
    let early = Tick(now.0 + 1000);
    for n in 0..150 {
        rig.insert_as(n, Class::TwoWay, now).unwrap();
        rig.insert_as(1000 + n, Class::OneWay, now).unwrap();
        let debt = rig.insert_as(2000 + n, Class::Probation, now).unwrap();
        rig.writer.set_debt(debt, n % 2 == 0);
    }
    // 450 of 504 are 89 %: lifetimes of 300 s have shrunk to about 160 s.
    assert_eq!(rig.writer.sweep(21, early), 0);
    let freed = rig.writer.sweep(21, Tick(now.0 + 2900));
    let stats = rig.table.stats();
    assert_eq!(stats.shrunk.iter().sum::<u64>() as usize, freed);
    assert!(
        stats.shrunk[0] > 0 && stats.shrunk[1] > 0 && stats.shrunk[2] == 0,
        "{stats:?}"
    );
    // It stops when the pressure is gone.
    assert!(rig.writer.len() >= 504 * 4 / 5 - 8, "{}", rig.writer.len());
    let lost = (1000..1150)
        .find(|n| rig.lookup(*n, early).is_none())
        .unwrap();
    assert!(!rig.proves_new(lost, 300, Tick(now.0 + 2900)));
    rig.check_books();
}

#[test]
fn a_flush_removes_what_it_was_told_and_reports_each_once() {
    let mut rig = Rig::new(64);
    rig.insert_all(0..200, START);
    let odd: HashSet<_> = (0..200).filter(|n| n % 2 == 1).map(key).collect();
    let (mut at, mut gone, mut calls) = (FlushCursor::default(), Vec::new(), 0);
    while !rig.writer.drain_matching(
        &mut at,
        10,
        START,
        |e| odd.contains(&e.key),
        |e| gone.push(e.key),
    ) {
        calls += 1;
    }
    assert_eq!(calls, 6, "64 buckets are 7 slices of 10");
    assert_eq!(
        (gone.len(), gone.into_iter().collect::<HashSet<_>>()),
        (100, odd)
    );
    assert_eq!((rig.writer.len(), rig.table.stats().removed), (100, 100));
    rig.check_books();
}

#[test]
fn no_entry_slips_behind_a_flush_while_new_flows_press_for_room() {
    let mut rig = Rig::new(64);
    let old = rig.fill(0, Class::TwoWay, START);
    let (mut cursor, mut n) = (FlushCursor::default(), 1_000_000);
    let is_old = |e: &crate::EntryView<crate::KeyV4>| e.last_use == START;
    let displaced = rig.table.stats().displaced;
    while !rig
        .writer
        .drain_matching(&mut cursor, 4, at(1), is_old, |_| {})
    {
        for _ in 0..50 {
            let _ = rig.insert_as(n, Class::TwoWay, at(1));
            n += 1;
        }
    }
    assert!(old > 400 && rig.table.entries().all(|e| !is_old(&e)));
    assert_eq!(rig.table.stats().displaced, displaced);
    // Afterwards there is displacement again.
    rig.fill(n, Class::TwoWay, at(1));
    assert!(rig.table.stats().displaced > displaced);
    rig.check_books();
}

#[test]
fn a_flow_used_this_very_moment_is_flushed_like_any_other() {
    let mut rig = Rig::new(2);
    let entry = rig.insert(1, &UDP, START).unwrap();
    rig.touch(entry, Fwd, at(5));
    assert!(
        rig.writer
            .drain_matching(&mut FlushCursor::default(), 64, at(5), |_| true, |_| {})
    );
    assert_eq!(rig.lookup(1, at(5)), None);
    // It may go on, so its place must not call it new.
    assert!(!rig.proves_new(1, 2, at(6)) && rig.proves_new(1, 2, at(8)));
}
