use super::*;
use crate::fixture::{Rig, SLOT, START, UDP, at, key, pin_of, syn, tcp};
use crate::insert::Refused;
use crate::key::Dir::{Fwd, Rev};
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

/// The key of UDP flow number `n` from a network.
fn from(network: u32, n: u32) -> crate::KeyV4 {
    let client = 0x0a00_0000 + (network << 8) + n % 256;
    crate::KeyV4::new(0, 17, client, (n / 256) as u16, 0xc000_0201, 53).0
}

fn insert_from(rig: &mut Rig, network: u32, n: u32, now: Tick) -> Result<Entry, Refused> {
    let key = from(network, n);
    let hash = crate::flow_hash(rig.table.secret(), &key);
    rig.writer.insert(SLOT, hash, &key, Fwd, &UDP, now)
}

/// Flows that a network holds, counted one by one.
fn held(rig: &Rig, network: u32) -> usize {
    let mine =
        |e: &crate::EntryView<crate::KeyV4>| e.key.network(Fwd) == u64::from(0x0a_0000 + network);
    rig.table.entries().filter(mine).count()
}

#[test]
fn under_pressure_a_source_network_gets_no_more_than_its_share() {
    let mut rig = Rig::new(40);
    rig.table.set_source_share(25);
    let places = 40 * PLACES as u32;
    // Nobody presses: one network may have three quarters.
    for n in 0..places * 3 / 4 {
        insert_from(&mut rig, 0, n, START).unwrap();
    }
    // Others fill it up to four fifths; from there on the first one gets nothing.
    for n in 0..places / 20 + 1 {
        insert_from(&mut rig, 1 + n % 50, n, START).unwrap();
    }
    let before = held(&rig, 0);
    for n in 0..100 {
        assert_eq!(insert_from(&mut rig, 0, 100_000 + n, at(1)), Err(Refused));
    }
    assert_eq!(held(&rig, 0), before);
    let stats = rig.table.stats();
    assert_eq!((stats.over_share, stats.refused), (100, 100));
    // Newcomers from everywhere are served, at the cost of the one that has too much.
    for n in 0..900 {
        insert_from(&mut rig, 100 + n % 200, n, at(2)).unwrap();
    }
    assert!(held(&rig, 0) <= before / 2, "{} of {before}", held(&rig, 0));
    assert!(held(&rig, 0) * 100 <= places as usize * 30);
    rig.check_books();
}

#[test]
fn what_was_lost_to_a_share_is_not_proved_new() {
    let mut rig = Rig::new(2);
    rig.table.set_source_share(10);
    let now = at(10_000);
    let mut n = 0;
    while insert_from(&mut rig, 0, n, now).is_ok() {
        n += 1;
    }
    assert_eq!(rig.table.stats().over_share, 1);
    let hash = crate::flow_hash(rig.table.secret(), &from(0, n));
    assert!(!rig.writer.proves_new(SLOT, hash, 300, now));
}

#[test]
fn shares_are_counted_by_the_opener_through_reopening_removal_and_a_new_writer() {
    let mut rig = Rig::new(4);
    let (key, dir) = crate::KeyV4::new(0, 6, 0x0a00_0001, 1, 0x0b00_0001, 2);
    let hash = crate::flow_hash(rig.table.secret(), &key);
    let (a, b) = (key.network(dir), key.network(dir.flip()));
    let count = |rig: &Rig| {
        (
            rig.writer.shares.of(a).flows(),
            rig.writer.shares.of(b).flows(),
        )
    };
    // A SYN-ACK says that the other side opened.
    let entry = rig
        .writer
        .insert(SLOT, hash, &key, dir, &tcp(L4::SYN | L4::ACK), START);
    let entry = entry.unwrap();
    assert_eq!(count(&rig), (0, 1));
    let _ = rig.writer.observe(entry, dir.flip(), &tcp(L4::ACK), START);
    let _ = rig
        .writer
        .observe(entry, dir, &tcp(L4::FIN | L4::ACK), START);
    let _ = rig
        .writer
        .observe(entry, dir.flip(), &tcp(L4::FIN | L4::ACK), START);
    // The next connection is opened from this side.
    let reopened = rig.writer.observe(entry, dir, &tcp(L4::SYN), START);
    assert_eq!(reopened, crate::Observed::Reopened);
    assert_eq!(count(&rig), (1, 0));
    rig.insert_all(0..50, START);
    drop(std::mem::replace(&mut rig.writer, Rig::new(1).writer));
    rig.writer = rig.table.writer([SLOT].into_iter());
    assert_eq!(count(&rig), (51, 0), "all clients are in one network");
    rig.writer.sweep(4, at(100_000));
    assert!(rig.writer.is_empty());
    assert_eq!(count(&rig), (0, 0));
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
