use super::*;
use crate::bucket::PlaceNo;
use crate::key::{KeyV4, KeyV6};
use crate::pin::PinWord;
use crate::track::Dirs;

fn random_track(rng: &mut fastrand::Rng) -> Track {
    let mut dirs = || Dirs::from_bits(rng.u64(..));
    let (heard, known, fin) = (dirs(), dirs(), dirs());
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

fn fresh(now: Tick) -> Fresh {
    let seen = Seen {
        l4: crate::L4::Udp,
        bytes: 100,
        in_port: 0,
    };
    Fresh::of(&Track::first(Dir::Fwd, &seen), Dir::Fwd, &seen, now)
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
        for (i, key) in keys.iter().enumerate() {
            let now = Tick(70_000 + i as u32);
            entries.at(PlaceNo(i)).write(key, &fresh(now), now);
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
            assert_eq!(at.count(Dir::Fwd), Count::default().plus(100));
        }
    }
    check([1, 2, 3].map(|n| KeyV4::new(0, 6, n, 1, u32::MAX, 2).0));
    check([1, 2, 3].map(|n| KeyV6::new(0, 6, 5, n, u128::MAX, 2).0));
}

#[test]
fn an_age_wraps_but_is_no_less_than_the_time_since_the_last_use() {
    let entries = Entries::<KeyV4>::new(1, &|_| {});
    let (at, now) = (entries.at(PlaceNo(0)), Tick(70_000));
    at.write(&KeyV4::new(0, 6, 1, 1, 2, 2).0, &fresh(now), now);
    at.set_timeouts(TimeoutsNo::new(15));
    for ticks in [0, 1, 10, 4095, 4096, 5000] {
        assert_eq!(at.age(at.life(), Tick(70_000 + ticks)), ticks);
    }
    at.set_life(at.life().with_last_use(Tick(74_000)));
    assert_eq!(at.age(at.life(), Tick(74_000)), 4000);
    // Older than 6.8 minutes, and used just now.
    assert_eq!(at.age(at.life(), Tick(74_098)), 98);
}
