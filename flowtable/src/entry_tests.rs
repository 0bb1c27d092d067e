use super::*;
use crate::bucket::PlaceNo;
use crate::key::{KeyV4, KeyV6};

fn random_track(rng: &mut fastrand::Rng) -> Track {
    let mut pair = || [rng.bool(), rng.bool()];
    let (heard, known, fin) = (pair(), pair(), pair());
    let mut dir = || if rng.bool() { Dir::Rev } else { Dir::Fwd };
    let (opener, rst_by) = (dir(), dir());
    let state = State::ALL[rng.usize(..State::COUNT)];
    let class = Class::ALL[rng.usize(..3)];
    Track {
        state,
        class,
        opener,
        heard,
        known,
        fin,
        rst_by,
        marks: [rng.u16(..), rng.u16(..)],
    }
}

#[test]
fn every_field_comes_back_and_disturbs_no_other() {
    let mut rng = fastrand::Rng::with_seed(11);
    for _ in 0..10_000 {
        let (track, now) = (random_track(&mut rng), Tick(rng.u32(..)));
        let (used, changed, debt) = (Tick(rng.u32(..)), Tick(rng.u32(..)), rng.bool());
        let life = Life::born(&random_track(&mut rng), now).with_debt(debt);
        let life = life
            .with_track(&track)
            .with_changed(changed)
            .with_last_use(used);
        let pins = [PinWord(rng.u64(..1 << 40)), PinWord(rng.u64(..1 << 40))];
        let ports = [rng.u8(..), rng.u8(..)];
        let sides = [0, 1].map(|i| {
            let side = Side(rng.u64(..)).with_mark(track.marks[i]);
            side.with_pin(pins[i]).with_in_port(ports[i])
        });
        assert_eq!(life.track(sides.map(Side::mark)), track);
        assert_eq!(
            (life.last_use(), life.changed(), life.debt()),
            (used, changed.low(), debt)
        );
        assert_eq!(
            (life.state(), life.class(), life.opener()),
            (track.state, track.class, track.opener)
        );
        assert_eq!(sides.map(Side::pin), pins);
        assert_eq!(sides.map(Side::in_port), ports);
    }
}

#[test]
fn an_entry_keeps_its_words_apart_from_its_neighbours() {
    fn check<K: Key>(keys: [K; 3]) {
        let entries = Entries::new(3, &|_| {});
        let track = Track::blank(State::UdpOneWay, Dir::Fwd);
        for (i, key) in keys.iter().enumerate() {
            entries
                .at(PlaceNo(i))
                .write(key, &track, Tick(70_000 + i as u32));
        }
        entries.at(PlaceNo(1)).set_stamp(Dir::Fwd, u32::MAX);
        entries.at(PlaceNo(1)).set_stamp(Dir::Rev, 7);
        entries.at(PlaceNo(1)).set_count(Dir::Rev, Count(u64::MAX));
        entries.at(PlaceNo(1)).set_timeouts(TimeoutsNo::new(2));
        entries.at(PlaceNo(1)).set_birth(Tick(99_999));
        entries.at(PlaceNo(1)).set_timeouts(TimeoutsNo::new(13));
        for (i, key) in keys.iter().enumerate() {
            let at = entries.at(PlaceNo(i));
            assert!(at.is(key) && at.key() == *key);
            assert_eq!(keys.iter().filter(|k| at.is(k)).count(), 1);
            let other = i != 1;
            assert_eq!(
                at.birth(),
                if other {
                    Tick(70_000 + i as u32)
                } else {
                    Tick(99_999)
                }
                .low()
                    & 0xfff
            );
            let of = if other { 0 } else { 13 };
            assert_eq!(at.timeouts(), TimeoutsNo::new(of));
            assert_eq!(at.stamp(Dir::Fwd), if other { 0 } else { u32::MAX });
            assert_eq!(at.stamp(Dir::Rev), if other { 0 } else { 7 });
            assert_eq!(at.life().last_use(), Tick(70_000 + i as u32));
            assert_eq!(at.count(Dir::Fwd), Count(0));
        }
    }
    check([1, 2, 3].map(|n| KeyV4::new(0, 6, n, 1, u32::MAX, 2).0));
    check([1, 2, 3].map(|n| KeyV6::new(0, 6, 5, n, u128::MAX, 2).0));
}

#[test]
fn sixteen_packets_of_one_size_are_counted_exactly() {
    for size in [0, 1, 20, 40, 64, 576, 1499, 1500, 65_535] {
        let count = (0..16).fold(Count::default(), |count, _| count.plus(size));
        assert_eq!(
            (count.packets(), count.bytes()),
            (16, 16 * u64::from(size)),
            "{size}"
        );
    }
}

#[test]
fn bytes_are_never_wrong_by_a_unit_a_packet() {
    let mut rng = fastrand::Rng::with_seed(12);
    let (mut count, mut exact) = (Count::default(), 0);
    for packets in 1..=10_000_u64 {
        let size = rng.u32(20..2000);
        count = count.plus(size);
        exact += u64::from(size);
        assert!(count.bytes().abs_diff(exact) < 16 * packets);
        assert_eq!(count.packets(), packets);
    }
    // On average the rounding cancels out.
    assert!(count.bytes().abs_diff(exact) < exact / 1000);
}

#[test]
fn counters_saturate_and_do_not_spill() {
    let full = Count(u64::MAX);
    assert_eq!(full.plus(1500), full);
    let packets_full = Count(Count::PACKETS_MAX << Count::PACKETS);
    assert_eq!(packets_full.plus(1600).packets(), (1 << 30) - 1);
    assert_eq!(packets_full.plus(1600).bytes(), 1600);
    let bytes_full = Count(Count::UNITS_MAX);
    assert_eq!(
        (bytes_full.plus(64).packets(), bytes_full.plus(64).bytes()),
        (1, 16 * Count::UNITS_MAX)
    );
}

#[test]
fn an_age_wraps_but_is_no_less_than_the_time_since_the_last_use() {
    let entries = Entries::<KeyV4>::new(1, &|_| {});
    let (at, track) = (
        entries.at(PlaceNo(0)),
        Track::blank(State::UdpOneWay, Dir::Fwd),
    );
    at.write(&KeyV4::new(0, 6, 1, 1, 2, 2).0, &track, Tick(70_000));
    at.set_timeouts(TimeoutsNo::new(15));
    for ticks in [0, 1, 10, 4095, 4096, 5000] {
        assert_eq!(at.age(at.life(), Tick(70_000 + ticks)), ticks);
    }
    at.set_life(at.life().with_last_use(Tick(74_000)));
    assert_eq!(at.age(at.life(), Tick(74_000)), 4000);
    // Older than 6.8 minutes, and used just now.
    assert_eq!(at.age(at.life(), Tick(74_098)), 98);
}
