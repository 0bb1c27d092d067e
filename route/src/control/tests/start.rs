//! Slow start: who is added or comes back gets its buckets bit by bit, and no flow moves for that.

use super::*;
use crate::nhgrp::{Failback, OptionsAsked, Recall};
use crate::nhop::{Admin, Health, PinState};

const ALL: usize = BUCKETS as usize;

fn slow(seconds: u32) -> OptionsAsked {
    OptionsAsked {
        slow_start: Some(seconds),
        ..OptionsAsked::default()
    }
}

impl Lab {
    fn with_options(paths: &[Path], asked: OptionsAsked) -> Self {
        let mut lab = Self::new();
        let net = net("10.0.0.0/8");
        lab.control.add_with(net, paths, asked, lab.now).unwrap();
        lab
    }

    fn tick(&mut self, seconds: u32) -> Vec<NhopIdx> {
        self.now.0 += seconds;
        let up = self.control.step_starts(self.now);
        self.control.tick(self.now);
        up
    }

    fn all_owners(&self) -> Vec<Option<u8>> {
        self.owners("10.0.0.1")
    }

    fn health(&self, host: u8) -> Health {
        self.control.nhop_info(self.idx(host)).unwrap().health
    }
}

#[test]
fn who_is_added_gets_its_buckets_bit_by_bit_and_all_in_time() {
    let mut lab = Lab::with_options(&[via(1), via(2), via(3)], slow(30));
    let before = lab.all_owners();
    assert_eq!(
        lab.path("10.0.0.0/8", 1).start,
        None,
        "nobody else was there"
    );
    lab.add("10.0.0.0/8", &[via(4)]);
    assert_eq!(lab.path("10.0.0.0/8", 4).start, Some((0, 30)));
    assert_eq!(lab.health(4), Health::Up, "it did not come back");
    let (mut last, mut owners) = (1, lab.all_owners());
    assert_eq!(count(&owners, 4), 1);
    for second in 1..=30 {
        lab.tick(1);
        let after = lab.all_owners();
        let has = count(&after, 4);
        assert!(
            has >= last && has <= 1 + ALL / 4 * second / 30,
            "{has} at {second} s"
        );
        for (b, a) in owners.iter().zip(&after) {
            assert!(a == b || *a == Some(4), "only its own buckets move");
        }
        (last, owners) = (has, after);
    }
    assert_eq!(last, ALL / 4);
    assert_eq!(moved(&before, &owners), ALL / 4);
    assert_eq!(lab.path("10.0.0.0/8", 4).start, None);
}

#[test]
fn a_slow_start_ends_where_a_quick_one_does() {
    for seed in 0..100 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let paths: Vec<Path> = (1..=5).map(|h| weighted(h, rng.u32(1..9))).collect();
        let mut at_once = Lab::with_options(&paths[..4], slow(0));
        let mut slowly = Lab::with_options(&paths[..4], slow(20));
        for lab in [&mut at_once, &mut slowly] {
            lab.add("10.0.0.0/8", &paths[4..]);
            lab.tick(25);
        }
        assert_eq!(at_once.all_owners(), slowly.all_owners(), "seed {seed}");
        let who = rng.u8(1..=5);
        for lab in [&mut at_once, &mut slowly] {
            let idx = lab.idx(who);
            lab.control.set_health(idx, Health::Dead, lab.now);
            lab.tick(3);
            lab.control.set_health(idx, Health::Up, lab.now);
            (0..20).for_each(|_| drop(lab.tick(1)));
        }
        assert_eq!(at_once.all_owners(), slowly.all_owners(), "seed {seed}");
    }
}

#[test]
fn who_comes_back_is_returning_until_it_has_its_own_back() {
    let mut lab = Lab::with_options(&[via(1), via(2), via(3)], slow(10));
    let (before, pin) = (lab.all_owners(), lab.pin(2));
    lab.control.set_health(pin.idx(), Health::Dead, lab.now);
    let during = lab.all_owners();
    lab.tick(5);
    assert!(lab.control.set_health(pin.idx(), Health::Up, lab.now));
    assert_eq!(
        (lab.health(2), lab.view.judge(pin)),
        (Health::Returning, PinState::Live)
    );
    assert!(
        !lab.control.set_health(pin.idx(), Health::Up, lab.now),
        "it knows"
    );
    assert_eq!(moved(&during, &lab.all_owners()), 1);
    assert_eq!(lab.tick(5), []);
    assert_eq!(lab.path("10.0.0.0/8", 2).start, Some((50, 5)));
    let half = lab.all_owners();
    assert_eq!(moved(&during, &half), count(&before, 2) / 2);
    assert_eq!(lab.tick(5), [pin.idx()]);
    assert_eq!((lab.health(2), lab.all_owners()), (Health::Up, before));
}

#[test]
fn who_dies_on_the_way_gives_only_its_own_and_starts_anew() {
    let mut lab = Lab::with_options(&[via(1), via(2), via(3)], slow(10));
    let before = lab.all_owners();
    let idx = lab.idx(2);
    lab.control.set_health(idx, Health::Dead, lab.now);
    lab.control.set_health(idx, Health::Up, lab.now);
    lab.tick(5);
    let half = lab.all_owners();
    lab.control.set_health(idx, Health::Dead, lab.now);
    let dead = lab.all_owners();
    assert_eq!(moved(&half, &dead), count(&half, 2));
    lab.tick(20);
    assert_eq!((lab.all_owners(), lab.health(2)), (dead, Health::Dead));
    lab.control.set_health(idx, Health::Up, lab.now);
    assert_eq!(count(&lab.all_owners(), 2), 1);
    lab.tick(10);
    assert_eq!(lab.all_owners(), before);
}

#[test]
fn nobody_starts_slowly_while_nobody_else_takes_flows() {
    let mut lab = Lab::with_options(&[via(1), via(2)], slow(10));
    let before = lab.all_owners();
    for host in [1, 2] {
        lab.control.set_health(lab.idx(host), Health::Dead, lab.now);
    }
    lab.control.set_health(lab.idx(1), Health::Up, lab.now);
    assert_eq!(lab.all_owners(), vec![Some(1); ALL], "all of them at once");
    lab.tick(0);
    assert_eq!(lab.health(1), Health::Up);
    lab.control.set_health(lab.idx(2), Health::Up, lab.now);
    assert_eq!(count(&lab.all_owners(), 2), 1);
    // The one that had all dies: the other has them, ready or not.
    lab.control.set_health(lab.idx(1), Health::Dead, lab.now);
    assert_eq!(lab.all_owners(), vec![Some(2); ALL]);
    lab.control.set_health(lab.idx(1), Health::Up, lab.now);
    lab.tick(10);
    assert_eq!(lab.all_owners(), before);
}

#[test]
fn a_drain_that_is_taken_back_starts_slowly_too_everywhere_and_in_one_route() {
    let mut lab = Lab::with_options(&[via(1), via(2), via(3)], slow(10));
    let before = lab.all_owners();
    lab.control.set_admin(lab.idx(2), Admin::Draining, lab.now);
    lab.control.set_admin(lab.idx(2), Admin::In, lab.now);
    assert_eq!(
        (lab.health(2), count(&lab.all_owners(), 2)),
        (Health::Returning, 1)
    );
    assert_eq!(lab.tick(10), [lab.idx(2)]);
    assert_eq!(lab.all_owners(), before);
    lab.change("10.0.0.0/8", &[weighted(3, 0)]);
    lab.change("10.0.0.0/8", &[via(3)]);
    assert_eq!(
        (lab.health(3), count(&lab.all_owners(), 3)),
        (Health::Up, 1)
    );
    lab.tick(10);
    assert_eq!(lab.all_owners(), before);
}

#[test]
fn two_groups_start_the_same_next_hop_each_in_its_time() {
    let mut lab = Lab::with_options(&[via(1), via(2)], slow(10));
    let prefix = net("11.0.0.0/8");
    let paths = [via(1), via(2)];
    lab.control
        .add_with(prefix, &paths, slow(20), lab.now)
        .unwrap();
    lab.control.set_health(lab.idx(2), Health::Dead, lab.now);
    lab.control.set_health(lab.idx(2), Health::Up, lab.now);
    assert_eq!(lab.tick(10), []);
    assert_eq!(count(&lab.owners("10.0.0.1"), 2), ALL / 2);
    assert_eq!(count(&lab.owners("11.0.0.1"), 2), ALL / 4);
    assert_eq!(lab.health(2), Health::Returning);
    assert_eq!(lab.tick(10), [lab.idx(2)]);
    assert_eq!(count(&lab.owners("11.0.0.1"), 2), ALL / 2);
}

#[test]
fn random_histories_with_slow_starts_keep_every_rule_and_settle() {
    for seed in 0..150 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut lab = Lab::with_options(&[via(1), via(2), via(3), via(4)], slow(8));
        for step in 0..60 {
            let at = format!("seed {seed} step {step}");
            let before = lab.all_owners();
            let host = rng.u8(1..=4);
            let idx = lab.idx(host);
            let starting = |lab: &Lab, h: u8| lab.path("10.0.0.0/8", h).start.is_some();
            let starts: Vec<u8> = (1..=4).filter(|h| starting(&lab, *h)).collect();
            let what = rng.u8(..4);
            match what {
                0 => drop(lab.control.set_health(idx, Health::Dead, lab.now)),
                1 => drop(lab.control.set_health(idx, Health::Up, lab.now)),
                2 => drop(lab.change("10.0.0.0/8", &[weighted(host, rng.u32(1..4))])),
                _ => drop(lab.tick(rng.u32(1..4))),
            }
            let after = lab.all_owners();
            let alive: Vec<u8> = (1..=4).filter(|h| lab.health(*h) != Health::Dead).collect();
            if alive.is_empty() {
                continue;
            }
            assert!(after.iter().all(|o| alive.contains(&o.unwrap())), "{at}");
            assert!(alive.iter().all(|h| count(&after, *h) > 0), "{at}");
            let evened = alive.len() < 4 && (1..=4).all(|h| !starting(&lab, h));
            let moves = before.iter().zip(&after).filter(|(b, a)| b != a);
            for (from, to) in moves.map(|(b, a)| (*b, a.unwrap())) {
                let others_ready = alive.iter().any(|h| *h != host && !starts.contains(h));
                match what {
                    0 if others_ready => assert_eq!(from, Some(host), "{at}"),
                    1 if others_ready => assert_eq!(to, host, "{at}"),
                    // At the end of the last start, what others stand in for is evened out.
                    3 => assert!(starts.contains(&to) || evened, "{at}"),
                    _ => {}
                }
            }
        }
        for host in 1..=4 {
            lab.control.set_health(lab.idx(host), Health::Up, lab.now);
        }
        lab.tick(8);
        for host in 1..=4 {
            assert_eq!(lab.path("10.0.0.0/8", host).start, None);
            assert_eq!(lab.health(host), Health::Up);
        }
    }
}

fn returning(slow_start: u32) -> OptionsAsked {
    OptionsAsked {
        failback: Some(Failback::Return),
        ..slow(slow_start)
    }
}

#[test]
fn only_who_died_calls_its_flows_back() {
    let mut lab = Lab::with_options(&[via(1), via(2), via(3)], returning(0));
    let (before, pin, stamp) = (lab.all_owners(), lab.pin(2), lab.stamp("10.0.0.1"));
    let bucket = before.iter().position(|o| *o == Some(2)).unwrap() as u32;
    let chosen = |lab: &Lab| lab.group("10.0.0.1").unwrap().chosen(bucket).unwrap();
    let recall = |lab: &Lab, of| lab.group("10.0.0.1").unwrap().recall(bucket, of);
    assert!(!chosen(&lab).stands_in);
    lab.control.set_health(pin.idx(), Health::Dead, lab.now);
    let instead = chosen(&lab);
    assert!(instead.stands_in && instead.pin != pin);
    assert_eq!(recall(&lab, instead.pin), Recall::Wait);
    assert_eq!(lab.stamp("10.0.0.1"), stamp);
    lab.control.set_health(pin.idx(), Health::Up, lab.now);
    assert_ne!(lab.stamp("10.0.0.1"), stamp, "flows look again");
    assert_eq!(recall(&lab, instead.pin), Recall::Return);
    assert_eq!(recall(&lab, pin), Recall::Never);
    assert_eq!(
        lab.stateless("10.0.0.1", 300),
        before,
        "flows without a pin go back too"
    );
    // A drain sends no flow away, so its end calls none back.
    let stamp = lab.stamp("10.0.0.1");
    lab.control.set_admin(lab.idx(1), Admin::Draining, lab.now);
    let of_1 = before.iter().position(|o| *o == Some(1)).unwrap() as u32;
    let group = lab.group("10.0.0.1").unwrap();
    assert!(!group.chosen(of_1).unwrap().stands_in);
    lab.control.set_admin(lab.idx(1), Admin::In, lab.now);
    assert_eq!(lab.stamp("10.0.0.1"), stamp);
}

#[test]
fn with_a_slow_start_flows_are_called_back_as_buckets_return() {
    let mut lab = Lab::with_options(&[via(1), via(2)], returning(8));
    let idx = lab.idx(2);
    lab.control.set_health(idx, Health::Dead, lab.now);
    lab.control.set_health(idx, Health::Up, lab.now);
    for _ in 0..8 {
        let (stamp, before) = (lab.stamp("10.0.0.1"), lab.all_owners());
        lab.tick(1);
        let after = lab.all_owners();
        assert_ne!(lab.stamp("10.0.0.1"), stamp);
        let group = lab.group("10.0.0.1").unwrap();
        for bucket in 0..ALL {
            let is_back = group.recall(bucket as u32, lab.pin(1)) == Recall::Return;
            assert_eq!(is_back, after[bucket] == Some(2));
            let waits = group.chosen(bucket as u32).unwrap().stands_in;
            assert!(!waits || after[bucket] == Some(1) && before[bucket] == Some(1));
        }
    }
    assert_eq!(count(&lab.all_owners(), 2), ALL / 2);
}

#[test]
fn a_bucket_that_weights_gave_to_another_calls_nobody_back() {
    let mut lab = Lab::with_options(&[via(1), via(2), via(3)], returning(0));
    let before = lab.all_owners();
    lab.control.set_health(lab.idx(2), Health::Dead, lab.now);
    let during = lab.all_owners();
    lab.change("10.0.0.0/8", &[weighted(3, 9)]);
    lab.control.set_health(lab.idx(2), Health::Up, lab.now);
    let after = lab.all_owners();
    let group = lab.group("10.0.0.1").unwrap();
    for bucket in 0..ALL {
        let with = |host: u8| group.recall(bucket as u32, lab.pin(host));
        if before[bucket] != Some(2) {
            assert!(with(1) != Recall::Return && with(3) != Recall::Return);
        } else if after[bucket] == Some(2) {
            assert_eq!(with(during[bucket].unwrap()), Recall::Return);
        } else {
            assert_eq!(with(during[bucket].unwrap()), Recall::Never);
        }
    }
}
