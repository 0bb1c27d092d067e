use super::*;
use crate::fixture::{Rig, SLOT, START, UDP, at, key, pin_of, syn, tcp};
use crate::insert::Refused;
use crate::key::Dir::{Fwd, Rev};
use crate::kind::Kind;
use crate::state::{L4, Seen, State};
use crate::writer::Entry;

#[test]
fn two_way_flows_fill_nine_tenths_of_a_slot_before_one_is_refused() {
    for buckets in [64, 1024] {
        let mut rig = Rig::new(buckets);
        let fitted = rig.fill(0, Class::TwoWay, START);
        assert!(
            fitted as usize >= buckets * PLACES * 9 / 10,
            "{fitted} of {}",
            buckets * PLACES
        );
        assert!(rig.table.stats().displaced > 0);
        (0..fitted).for_each(|n| assert!(rig.lookup(n, START).is_some(), "flow {n} is lost"));
        rig.check_books();
    }
}

#[test]
fn a_flood_of_new_udp_flows_takes_nothing_from_established_ones() {
    flood(|_, n| (key(n), UDP));
}

#[test]
fn a_flood_of_syns_takes_nothing_from_established_ones() {
    flood(|_, n| {
        let (key, _) = crate::KeyV4::new(0, 6, n, 1, 0xc000_0201, 80);
        (key, syn())
    });
}

fn flood(packet: impl Fn(&Rig, u32) -> (crate::KeyV4, Seen)) {
    let mut rig = Rig::new(64);
    let old = 300;
    for n in 0..old {
        rig.insert_as(n, Class::TwoWay, START).expect("room");
    }
    let mut refused = 0;
    for n in 0..20_000 {
        let now = Tick(START.0 + n / 1000);
        let (key, seen) = packet(&rig, 1_000_000 + n);
        let hash = crate::flow_hash(rig.table.secret(), &key);
        refused += u64::from(
            rig.writer
                .insert(SLOT, hash, &key, Fwd, &seen, now)
                .is_err(),
        );
        if n % 100 == 0 {
            rig.writer.sweep(2, now);
        }
    }
    for n in 0..old {
        let entry = rig
            .lookup(n, Tick(START.0 + 20))
            .expect("an established flow has lost its pin");
        assert_eq!(rig.writer.pin(entry, Fwd), pin_of(n));
    }
    let stats = rig.table.stats();
    assert_eq!(stats.refused, refused);
    // Nobody on probation lives for a second here, so most are not let in.
    assert!(
        stats.evicted[Class::Probation as usize] > 1000 && stats.flooded > 10_000,
        "{stats:?}"
    );
    rig.check_books();
}

#[test]
fn a_slot_full_of_established_flows_refuses_and_counts() {
    let mut rig = Rig::new(2);
    let first_refused = rig.fill(0, Class::TwoWay, START);
    let before = rig.table.stats();
    // Every bucket must be full for a refusal to be certain.
    for n in first_refused..first_refused + 1000 {
        let _ = rig.insert_as(n, Class::TwoWay, START);
    }
    assert_eq!(rig.writer.len(), 2 * PLACES);
    assert_eq!(rig.insert(5000, &UDP, START), Err(Refused));
    let after = rig.table.stats();
    assert!(after.refused > before.refused && after.used == after.capacity);
    rig.check_books();
}

#[test]
fn the_oldest_flow_on_probation_makes_room() {
    let mut rig = Rig::new(2);
    let mut n = 0;
    while rig.writer.len() < 2 * PLACES {
        // Two-way flows that cannot be evicted would refuse; flows on probation come one a tick.
        let _ = rig.insert(n, &UDP, Tick(START.0 + n));
        n += 1;
    }
    let now = Tick(START.0 + n);
    let by_age = |rig: &Rig| {
        let mut all: Vec<_> = rig.table.entries().map(|e| (e.last_use, e.key)).collect();
        all.sort_by_key(|e| e.0);
        all
    };
    let before = by_age(&rig);
    let candidates = rig.table.range(SLOT).candidates(rig.hash(n));
    rig.insert(n, &UDP, now).unwrap();
    let gone: Vec<_> = before
        .iter()
        .filter(|e| !by_age(&rig).contains(e))
        .collect();
    assert_eq!(gone.len(), 1);
    if candidates[0] != candidates[1] {
        assert_eq!(*gone[0], before[0]);
    }
    assert_eq!(
        rig.table.stats().evicted[Class::Probation as usize] as u32,
        n + 1 - 2 * PLACES as u32
    );
}

/// Two buckets: everything competes for the same places.
fn full_of(class: Class, debt: bool, now: Tick) -> (Rig, u32) {
    let mut rig = Rig::new(2);
    let mut n = 0;
    while rig.writer.len() < 2 * PLACES {
        if let Ok(entry) = rig.insert_as(n, class, now) {
            rig.writer.set_debt(entry, debt);
        }
        n += 1;
        assert!(n < 10_000, "it does not fill up");
    }
    (rig, n)
}

#[test]
fn pin_debt_on_probation_is_safe_for_three_seconds_and_then_goes_last() {
    let (mut rig, n) = full_of(Class::Probation, true, START);
    assert_eq!(rig.insert(n, &UDP, Tick(START.0 + 29)), Err(Refused));
    assert!(rig.insert(n, &UDP, Tick(START.0 + 30)).is_ok());
    // Newer flows without debt go before it.
    let newer = Tick(START.0 + 40);
    let without: Vec<_> = rig
        .table
        .entries()
        .filter(|e| !e.debt)
        .map(|e| e.key)
        .collect();
    assert_eq!(without, [key(n)]);
    for m in n + 1..n + 50 {
        let both = rig.table.range(SLOT).candidates(rig.hash(m));
        if both[0] != both[1] {
            rig.insert(m, &UDP, newer).unwrap();
        }
    }
    assert_eq!(
        rig.table.entries().filter(|e| e.debt).count(),
        2 * PLACES - 1
    );
}

#[test]
fn one_way_flows_make_room_only_past_their_shrunk_lifetime() {
    let (mut rig, n) = full_of(Class::OneWay, false, START);
    // A full slot has shrunk 300 s to the floor of 30 s.
    assert_eq!(rig.insert(n, &UDP, Tick(at(30).0 - 1)), Err(Refused));
    assert!(rig.insert(n, &UDP, at(30)).is_ok());
    assert_eq!(rig.table.stats().evicted, [0, 1, 0]);
    rig.check_books();
}

#[test]
fn two_way_flows_make_room_only_when_they_have_expired() {
    let (mut rig, n) = full_of(Class::TwoWay, false, START);
    assert_eq!(rig.insert(n, &UDP, Tick(at(300).0 - 1)), Err(Refused));
    assert!(rig.insert(n, &UDP, at(300)).is_ok());
    let stats = rig.table.stats();
    assert_eq!((stats.evicted, stats.expired), ([0; 3], [0, 0, 1]));
    rig.check_books();
}

#[test]
fn connections_that_are_over_make_room_after_some_seconds() {
    let mut rig = Rig::new(2);
    let mut made = 0;
    while let Ok(entry) = rig.insert(made, &tcp(L4::SYN), START) {
        for (dir, flags) in [
            (Rev, L4::SYN | L4::ACK),
            (Fwd, L4::ACK),
            (Fwd, L4::FIN | L4::ACK),
            (Rev, L4::FIN | L4::ACK),
        ] {
            let _ = rig.writer.observe(entry, dir, &tcp(flags), START);
        }
        let state = rig.table.entries.at(entry.0).life().state();
        assert_eq!(state, State::Closed);
        made += 1;
    }
    assert!(made as usize > PLACES);
    assert_eq!(rig.insert(made, &UDP, Tick(at(3).0 - 1)), Err(Refused));
    assert!(rig.insert(made, &UDP, at(3)).is_ok(), "its 60 s are over");
    assert_eq!(rig.table.stats().evicted, [0, 0, 1]);
    // The hand takes others, as long as there is little room.
    rig.writer.sweep(2, at(20));
    let left = rig.writer.len();
    assert!((PLACES..2 * PLACES - 3).contains(&left), "{left}");
    rig.check_balance();
}

#[test]
fn what_was_evicted_or_refused_is_not_proved_new_but_what_expired_or_was_removed_is() {
    let later = at(10_000);
    let (mut rig, n) = full_of(Class::Probation, false, later);
    let all: Vec<u32> = (0..n).filter(|n| rig.lookup(*n, later).is_some()).collect();
    assert!(
        rig.proves_new(n, 300, later),
        "flows on probation that fill it were made without a loss"
    );
    rig.insert(n, &UDP, later).unwrap();
    let evicted = all
        .iter()
        .copied()
        .find(|n| rig.lookup(*n, later).is_none())
        .unwrap();
    assert!(!rig.proves_new(evicted, 300, later));
    assert!(!rig.proves_new(evicted, 300, Tick(later.0 + 2999)));
    assert!(rig.proves_new(evicted, 300, Tick(later.0 + 3000)));

    let (mut rig, n) = full_of(Class::TwoWay, false, later);
    rig.table.buckets.line(BucketNo(0)).set_loss(START);
    rig.table.buckets.line(BucketNo(1)).set_loss(START);
    let kept = (0..n).find(|n| rig.lookup(*n, later).is_some()).unwrap();
    let entry = rig.lookup(kept, later).unwrap();
    rig.writer.remove(entry);
    assert!(rig.proves_new(kept, 300, later));
    rig.insert_as(kept, Class::TwoWay, later).unwrap();
    assert_eq!(rig.insert(n, &UDP, later), Err(Refused));
    assert!(!rig.proves_new(n, 300, later));

    let mut rig = Rig::new(2);
    rig.insert(0, &UDP, later).unwrap();
    assert_eq!(rig.lookup(0, Tick(later.0 + 3000)), None);
    assert!(rig.proves_new(0, 300, Tick(later.0 + 3000)));
}

#[test]
fn a_loss_is_noted_at_the_first_bucket_of_who_lost_wherever_it_lived() {
    let now = at(1000);
    for displaced in [false, true] {
        let mut rig = Rig::new(64);
        let n = (0..)
            .find(|n| {
                let [first, second] = rig.table.range(SLOT).candidates(rig.hash(*n));
                first != second
            })
            .unwrap();
        let [lost, second] = rig.table.range(SLOT).candidates(rig.hash(n));
        let entry = rig.insert(n, &UDP, now).unwrap();
        let place = if displaced {
            let to = second.place(3);
            rig.writer.relocate(entry.0, to, Tag::of(rig.hash(n)), now);
            to
        } else {
            entry.0
        };
        rig.writer.note_loss(place, now);
        let mut same = 0;
        for other in 0..10_000 {
            let first = rig.table.range(SLOT).first(rig.hash(other));
            assert_eq!(rig.proves_new(other, 300, now), first != lost, "{other}");
            same += u32::from(first == lost);
        }
        assert!(same > 50);
    }
}

#[test]
fn nothing_is_proved_new_within_the_idle_timeout_after_the_start() {
    let rig = Rig::new(8);
    (0..100).for_each(|n| {
        assert!(!rig.proves_new(n, 300, Tick(at(300).0 - 1)));
        assert!(rig.proves_new(n, 300, at(300)));
    });
}

#[test]
fn a_midstream_flow_that_expires_may_be_older_and_is_not_proved_new() {
    let mut rig = Rig::new(2);
    let now = at(8000);
    let (key, _) = crate::KeyV4::new(0, 6, 1, 1, 2, 2);
    let hash = crate::flow_hash(rig.table.secret(), &key);
    rig.writer
        .insert(SLOT, hash, &key, Fwd, &tcp(L4::ACK), now)
        .unwrap();
    assert_eq!(
        rig.table.find(SLOT, hash, &key).unwrap().state,
        State::Midstream
    );
    assert!(rig.writer.proves_new(SLOT, hash, 7440, at(8240)));
    assert_eq!(rig.writer.sweep(2, at(8240)), 1);
    assert!(!rig.writer.proves_new(SLOT, hash, 7440, at(8240)));
}

#[test]
fn a_flow_that_is_inserted_twice_has_one_entry_and_is_observed() {
    let mut rig = Rig::new(2);
    let first = rig.insert(1, &UDP, START).unwrap();
    let hash = rig.hash(1);
    let second = rig
        .writer
        .insert(SLOT, hash, &key(1), Rev, &UDP, START)
        .unwrap();
    assert_eq!(first, second);
    let view = rig.table.find(SLOT, hash, &key(1)).unwrap();
    assert_eq!(
        (view.packets, view.class, view.pins[0]),
        ([1, 1], Class::TwoWay, pin_of(1))
    );
    assert_eq!(rig.table.stats().inserts, 1);
}

#[test]
fn a_flow_that_expired_and_comes_back_starts_anew() {
    let mut rig = Rig::new(2);
    rig.insert_as(1, Class::TwoWay, START).unwrap();
    let hash = rig.hash(1);
    let entry = rig
        .writer
        .insert(SLOT, hash, &key(1), Fwd, &UDP, at(300))
        .unwrap();
    assert_eq!(rig.writer.pin(entry, Fwd), crate::PinWord::NONE);
    let view = rig.table.find(SLOT, hash, &key(1)).unwrap();
    assert_eq!((view.packets, view.class), ([1, 0], Class::Probation));
    rig.check_books();
}

#[test]
fn a_displaced_entry_keeps_everything_but_its_place_and_change_mark() {
    let mut rig = Rig::new(2);
    let entry = rig.insert_as(1, Class::TwoWay, START).unwrap();
    rig.writer
        .set_pin(entry, Rev, crate::PinWord((1 << 40) - 1), u32::MAX);
    rig.writer.set_debt(entry, true);
    let hash = rig.hash(1);
    let before = rig.table.find(SLOT, hash, &key(1)).unwrap();
    let [first, second] = rig.table.range(SLOT).candidates(hash);
    let to = if entry.0.bucket() == first {
        second
    } else {
        first
    };
    let now = Tick(START.0 + 5);
    rig.writer
        .relocate(entry.0, to.place(5), Tag::of(hash), now);
    let after = rig.table.find(SLOT, hash, &key(1)).unwrap();
    assert_eq!(
        after,
        crate::EntryView {
            changed: now.low(),
            ..before
        }
    );
    assert_eq!(rig.lookup(1, now), Some(Entry(to.place(5))));
    rig.check_books();
}

#[test]
fn at_four_fifths_nine_flows_in_ten_live_in_their_first_bucket() {
    let mut rig = Rig::new(1000);
    let flows = 1000 * PLACES as u32 * 4 / 5;
    rig.insert_all(0..flows, START);
    let strays = rig.table.shape().strays;
    assert!(
        strays > 0 && strays * 10 < u64::from(flows),
        "{strays} of {flows}"
    );
}

#[test]
fn in_a_flood_whoever_finds_a_free_place_in_its_first_bucket_is_inserted_and_after_it_in_either() {
    let mut rig = Rig::new(40);
    let old = rig.fill(0, Class::TwoWay, START);
    // Established flows leave little; the flood pushes itself out of it until it is held back.
    let gone: Vec<u32> = (0..old).filter(|n| n % 8 == 0).collect();
    let leave = |rig: &mut Rig, n: u32| {
        let entry = rig.lookup(n, START).expect("established");
        rig.writer.remove(entry);
    };
    gone.iter().take(60).for_each(|n| leave(&mut rig, *n));
    for n in 0..20_000 {
        let _ = rig.insert(1_000_000 + n, &UDP, START);
    }
    let flooded = rig.table.stats().flooded;
    assert!(flooded > 1000, "{:?}", rig.table.stats());
    // It is over, some established flows end, and the table is still fuller than four fifths.
    gone.iter().skip(60).for_each(|n| leave(&mut rig, *n));
    assert!(rig.table.fill(SLOT).presses());
    for (first, buckets, now) in [(2_000_000, 1, START), (3_000_000, 2, at(10))] {
        let (mut room, mut refused) = (0, 0);
        for n in first..first + 100 {
            let free = |b: BucketNo| rig.table.buckets.line(b).tags().free().is_some();
            let candidates = rig.table.range(SLOT).candidates(rig.hash(n));
            let has_room = candidates.into_iter().take(buckets).any(free);
            let inserted = rig.insert(n, &UDP, now).is_ok();
            assert!(inserted || !has_room, "flow {n}: refused beside a place");
            room += u32::from(has_room);
            refused += u32::from(!inserted);
        }
        assert!(room > 10, "{room} had room, {refused} were refused");
    }
    rig.check_books();
}

/// A table after a mix of what happens to flows on probation: they come, come again, prove themselves, owe, and make room.
fn mixed(crowded_until: Tick) -> Rig {
    let mut rig = Rig::new(24);
    rig.writer.crowded_until.set(crowded_until);
    let mut rng = fastrand::Rng::with_seed(17);
    let mut next = 0;
    for step in 0..60_000 {
        // Slowly enough that most who make room are no longer young, so that newcomers are let in; now and then so late
        // that those who are there have expired.
        let now = Tick(START.0 + step / 20 + step / 2000 * 4000);
        if step % 20_000 == 0 {
            // Until then those of a kind stay, once there is no room for what they leave.
            while rig.writer.take_freed().is_some() {}
        }
        let recent = next - rng.u32(..300).min(next);
        let what = rng.u32(..160);
        let found = (1..60)
            .contains(&what)
            .then(|| rig.lookup(recent, now))
            .flatten();
        match (what, found) {
            (0, _) => drop(rig.insert_as(recent, Class::TwoWay, now)),
            (1..5, Some(entry)) => _ = rig.writer.remove(entry),
            (5..30, Some(entry)) => _ = rig.writer.set_kind(entry, Kind::new(1), recent),
            (30..40, Some(entry)) => rig.writer.set_debt(entry, recent % 2 == 0),
            (40..60, Some(entry)) => rig.touch(entry, Fwd, now),
            _ => {
                next += 1;
                let _ = rig.insert(next, &UDP, now);
            }
        }
    }
    rig
}

#[test]
fn who_makes_room_is_the_same_by_the_short_way_and_by_the_search() {
    // While somebody may hold more than its share nobody is taken without the search; here nobody does.
    let (short, searched) = (mixed(Tick(0)), mixed(Tick(u32::MAX)));
    let (a, b) = (short.table.stats(), searched.table.stats());
    assert_eq!(format!("{a:?}"), format!("{b:?}"));
    assert!(a.evicted[Class::Probation as usize] > 5_000, "{a:?}");
    assert!(
        a.expired.iter().sum::<u64>() > 1_000 && a.kept > 10,
        "{a:?}"
    );
    let all =
        |rig: &Rig| -> Vec<String> { rig.table.entries().map(|e| format!("{e:?}")).collect() };
    assert_eq!(all(&short), all(&searched));
    short.check_balance();
}
