use super::*;
use crate::bucket::{PLACES, PlaceNo};
use crate::entry::{Entries, Fresh};
use crate::fixture::{Rig, SLOT, START, UDP, at, key, pin_of};
use crate::key::Dir::{Fwd, Rev};
use crate::key::{KeyV4, KeyV6};
use crate::pin::PinWord;
use crate::state::{Class, Seen};
use crate::sweep::FlushCursor;
use crate::time::Tick;
use crate::track::Track;
use std::collections::HashSet;

const NAT: Kind = Kind::new(1);

#[test]
fn an_index_and_the_counts_beside_it_come_back_and_disturb_nothing_else() {
    fn check<K: Key>(keys: [K; 3], exact: bool) {
        let entries = Entries::new(3, &|_| {});
        let mut rng = fastrand::Rng::with_seed(17);
        let fresh = Fresh::of(&Track::first(Fwd, &UDP), Fwd, &UDP, Tick(7));
        for (i, key) in keys.iter().enumerate() {
            let at = entries.at(PlaceNo(i));
            at.write(key, &fresh, Tick(7));
            at.count_anew(at.life());
        }
        let at = entries.at(PlaceNo(1));
        let (mut packets, mut bytes) = ([0; 2], [0_u64; 2]);
        for _ in 0..20_000 {
            let dir = if rng.bool() { Fwd } else { Rev };
            match rng.u8(..) {
                0..20 => {
                    let (kind, aux) = (Kind::new(rng.u8(..)), rng.u32(..));
                    at.set_kind(kind, aux, at.life());
                    let aux = if kind.is_plain() { 0 } else { aux };
                    assert_eq!((at.life().kind(), at.aux(at.life())), (kind, aux));
                }
                20..30 => at.set_stamp(dir, rng.u32(..)),
                30 => {
                    at.count_anew(at.life());
                    (packets, bytes) = ([0; 2], [0; 2]);
                }
                _ => {
                    let before = (at.life(), at.aux(at.life()), at.stamp(Fwd), at.stamp(Rev));
                    let size = rng.u32(20..2000);
                    at.count_packet(dir, at.life(), size);
                    packets[dir as usize] += 1;
                    bytes[dir as usize] += u64::from(size);
                    let after = (at.life(), at.aux(at.life()), at.stamp(Fwd), at.stamp(Rev));
                    assert_eq!(before, after);
                }
            }
            for dir in BOTH {
                let counted = at.counted(dir, at.life());
                assert_eq!(counted.packets, packets[dir as usize]);
                let unit = if exact { 16 } else { 1024 };
                // A unit a packet at most, and one each time that the kind changes.
                let off = counted.bytes.abs_diff(bytes[dir as usize]);
                assert!(off <= unit * (packets[dir as usize] + 2_000), "{off}");
            }
        }
        for other in [0, 2] {
            let at = entries.at(PlaceNo(other));
            assert!(at.is(&keys[other]) && at.life().kind().is_plain());
            assert_eq!(at.counted(Fwd, at.life()), Counted::default());
        }
        assert!(at.is(&keys[1]));
    }
    check(
        [1, 2, 3].map(|n| KeyV4::new(0, 6, n, 1, u32::MAX, 2).0),
        false,
    );
    check(
        [1, 2, 3].map(|n| KeyV6::new(0, 6, 5, n, u128::MAX, 2).0),
        true,
    );
}

#[test]
fn a_narrow_count_is_exact_after_1024_packets_of_a_size_and_saturates_beside_its_half_index() {
    for size in [0, 1, 64, 576, 1500, 65_535] {
        let start = NarrowCount::new(0xbeef, 0, 0);
        let count = (0..1024).fold(start, |count, _| count.plus(size));
        assert_eq!(count.half(), 0xbeef);
        assert_eq!(
            (count.packets(), count.bytes()),
            (1024, 1024 * u64::from(size))
        );
    }
    let full = NarrowCount(u64::MAX);
    assert_eq!(full.plus(1500), full);
    assert_eq!(
        (full.packets(), full.bytes() >> 10),
        (16_777_215, 16_777_215)
    );
    let many = NarrowCount::new(0, u64::MAX, 0).plus(4096);
    assert_eq!(
        (many.half(), many.packets(), many.bytes()),
        (0, 16_777_215, 4096)
    );
    assert_eq!(Count::new(u64::MAX, u64::MAX).packets(), (1 << 30) - 1);
    assert_eq!(Count::new(3, 1600).bytes(), 1600);
}

#[test]
fn packets_of_an_entry_with_a_kind_find_what_those_of_a_plain_one_do() {
    let mut rig = Rig::new(8);
    for n in [1, 2] {
        let entry = rig.insert_as(n, Class::TwoWay, START).unwrap();
        rig.writer.set_pin(entry, Rev, PinWord(77), 7);
    }
    let with = rig.lookup(1, START).unwrap();
    assert!(rig.writer.set_kind(with, NAT, 0xdead_beef));
    let seen = Seen { in_port: 5, ..UDP };
    for tick in 0..40 {
        let dir = if tick % 3 == 0 { Rev } else { Fwd };
        let now = Tick(START.0 + tick);
        let entries = [1, 2].map(|n| rig.lookup(n, now).unwrap());
        let [one, other] = entries.map(|e| {
            let observed = rig.writer.observe(e, dir, &seen, now);
            (observed, rig.writer.stamp(e, Rev), rig.writer.pin(e, Rev))
        });
        assert_eq!(one, other);
    }
    let view = |n| rig.table.find(SLOT, rig.hash(n), &key(n)).unwrap();
    let (one, other) = (view(1), view(2));
    assert_eq!((one.kind, one.aux), (NAT, 0xdead_beef));
    assert_eq!((other.kind, other.aux), (Kind::PLAIN, 0));
    assert_eq!((one.packets, one.state), (other.packets, other.state));
    assert_eq!(
        (one.in_ports, one.last_use),
        (other.in_ports, other.last_use)
    );
    assert_eq!((one.pins, one.stamps), ([pin_of(1), PinWord(77)], [1, 7]));
}

#[test]
fn an_index_is_given_back_once_with_the_cause() {
    let mut rig = Rig::new(21);
    let all = rig.fill(0, Class::Probation, START);
    for n in 0..=all {
        if let Some(entry) = rig.lookup(n, START) {
            assert!(rig.writer.set_kind(entry, NAT, n));
        }
    }
    let with = rig.writer.len();
    assert_eq!(rig.writer.take_freed(), None);
    let freed = |rig: &mut Rig| std::iter::from_fn(|| rig.writer.take_freed()).collect::<Vec<_>>();
    // Another index, then none.
    let entry = rig.lookup(0, START).unwrap();
    assert!(rig.writer.set_kind(entry, Kind::new(2), 0));
    assert!(rig.writer.set_kind(entry, Kind::new(2), 0));
    assert!(rig.writer.set_kind(entry, Kind::PLAIN, 9));
    let cause = Cause::Removed;
    let of = |kind, aux| Freed { kind, aux, cause };
    assert_eq!(freed(&mut rig), [of(NAT, 0), of(Kind::new(2), 0)]);
    let entry = rig.lookup(1, START).unwrap();
    assert!(rig.writer.remove(entry));
    assert_eq!(freed(&mut rig), [of(NAT, 1)]);
    // New flows push some out.
    for n in 0..10 {
        let _ = rig.insert(1_000_000 + n, &UDP, at(4));
    }
    let evicted = freed(&mut rig);
    assert!(!evicted.is_empty());
    assert!(
        evicted
            .iter()
            .all(|f| f.cause == Cause::Evicted && f.kind == NAT)
    );
    // Lifetimes shrink, then end.
    rig.writer.sweep(21, Tick(at(299).0));
    let shrunk = freed(&mut rig);
    assert!(!shrunk.is_empty() && shrunk.iter().all(|f| f.cause == Cause::Shrunk));
    rig.writer.sweep(21, at(1000));
    let expired = freed(&mut rig);
    assert!(!expired.is_empty() && expired.iter().all(|f| f.cause == Cause::Expired));
    assert!(rig.writer.is_empty());
    let given = [&evicted[..], &shrunk, &expired].concat();
    let given: HashSet<u32> = given.iter().map(|f| f.aux).collect();
    assert_eq!(given.len(), evicted.len() + shrunk.len() + expired.len());
    assert_eq!(given.len(), with - 2);
    rig.check_books();
}

#[test]
fn while_nobody_takes_what_was_freed_entries_of_a_kind_stay_and_no_index_is_lost() {
    let mut rig = Rig::new(64);
    let most = FreedList::ROOM as u32 + 200;
    for n in 0..most {
        let entry = rig.insert(n, &UDP, START).unwrap();
        assert!(rig.writer.set_kind(entry, NAT, n));
    }
    rig.insert_all(5000..5010, START);
    // Plain ones go, of the others as many as there is room for.
    rig.writer.sweep(64, at(400));
    assert_eq!(rig.writer.len(), 200);
    assert!(rig.table.stats().kept >= 200);
    let left: Vec<_> = rig.table.entries().map(|e| e.aux).collect();
    let entry = rig
        .lookup(left[0], at(400))
        .expect("it stays, and lives on");
    assert!(!rig.writer.remove(entry) && !rig.writer.set_kind(entry, Kind::PLAIN, 0));
    let mut cursor = FlushCursor::default();
    let mut flush = |rig: &mut Rig| {
        rig.writer
            .drain_matching(&mut cursor, 64, at(400), |_| true, |_| {})
    };
    assert!(!flush(&mut rig));
    assert_eq!(rig.writer.len(), 200);
    let mut back: Vec<u32> = Vec::new();
    while !flush(&mut rig) {
        let taken: Vec<_> = (0..PLACES)
            .filter_map(|_| rig.writer.take_freed())
            .collect();
        back.extend(taken.iter().map(|f| f.aux));
    }
    back.extend(std::iter::from_fn(|| rig.writer.take_freed()).map(|f| f.aux));
    back.sort_unstable();
    assert_eq!(back, (0..most).collect::<Vec<_>>());
    rig.check_books();
}
