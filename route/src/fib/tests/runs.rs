//! Prefixes that end in one node, changed at once.

use super::super::{Fib, FibWriter, Turn};
use super::{LIMIT, Num, Oracle, Pair, mask, random_bits};
use crate::ids::GroupId;
use crate::qsbr::Qsbr;
use std::collections::BTreeMap;

/// Ascending prefixes, many of them beside one another: new ones, and those that are there with another group or none.
fn random_turns<A: Num>(rng: &mut fastrand::Rng, oracle: &Oracle) -> BTreeMap<(u128, u8), u32> {
    let mut turns = BTreeMap::new();
    for _ in 0..rng.usize(1..6) {
        let (base, depth) = (random_bits(rng, mask(14)), rng.u8(0..=A::WIDTH as u8));
        for _ in 0..rng.usize(1..30) {
            let len = rng.u8(depth.saturating_sub(6)..=depth);
            let beside = rng.u128(..) & mask(depth) & !mask(depth.saturating_sub(6));
            turns.insert(((base ^ beside) & mask(len), len), rng.u32(1..6));
        }
    }
    let mut present = oracle.0.keys();
    while present.len() > 0 && rng.u8(..4) > 0 {
        let skip = rng.usize(..present.len());
        let known = present.by_ref().skip(skip).take(rng.usize(1..40));
        let goes = rng.bool();
        turns.extend(known.map(|key| (*key, if goes { 0 } else { 7 })));
    }
    turns
}

fn random_runs<A: Num>(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut pair = Pair::<A>::new();
    let (qsbr, mut longest) = (Qsbr::new(0), 0);
    for step in 0..70 {
        let turns = random_turns::<A>(&mut rng, &pair.oracle);
        let listed = turns.iter().map(|((net, len), group)| Turn {
            addr: A::from_aligned(*net),
            len: *len,
            group: Some(GroupId(*group)).filter(|group| group.0 > 0),
        });
        let mut left = listed.collect::<Vec<_>>();
        while !left.is_empty() {
            let changed = pair.writer.change_some(left.iter().copied()).unwrap();
            longest = longest.max(changed);
            left.drain(..changed);
        }
        for (key, group) in &turns {
            match group {
                0 => drop(pair.oracle.0.remove(key)),
                _ => drop(pair.oracle.0.insert(*key, *group)),
            }
        }
        let context = format!("seed {seed} step {step}");
        for (net, len) in turns.keys() {
            pair.check_borders(*net, *len, rng.u128(..), &context);
        }
        pair.writer.reclaim(&qsbr);
    }
    assert!(longest > 8, "{longest}");
    for (net, len) in pair.oracle.0.keys() {
        pair.check_borders(*net, *len, rng.u128(..), &format!("seed {seed} at the end"));
    }
    let all = std::mem::take(&mut pair.oracle.0);
    for (net, len) in all.into_keys() {
        pair.writer.remove(A::from_aligned(net), len).unwrap();
    }
    pair.writer.reclaim(&qsbr);
    assert_eq!(pair.writer.bytes(), FibWriter::<A>::new(LIMIT).0.bytes());
}

#[test]
fn neighbours_changed_at_once_answer_as_the_oracle_and_leave_nothing_behind() {
    for seed in 0..6 {
        random_runs::<u32>(seed);
        random_runs::<u128>(seed);
    }
}

#[test]
fn neighbours_that_find_no_room_leave_what_was_there() {
    let (mut writer, fib) = FibWriter::<u32>::new(1 << 12);
    let quad = |at: u32, group: u32| Turn {
        addr: 0x0a00_0000 + at * 4,
        len: 30,
        group: Some(GroupId(group)),
    };
    let node = |first: u32, group: u32| (0..60).step_by(2).map(move |at| quad(first + at, group));
    let of_node = |fib: &Fib<u32>, first: u32| -> Vec<Option<GroupId>> {
        let addrs = (first..first + 64).map(|at| quad(at, 0).addr);
        addrs.map(|addr| fib.lookup(addr)).collect()
    };
    // One is there before the others.
    let refused = (0..1000).find(|at| {
        let first = at * 64;
        let _ = writer.change_some(std::iter::once(quad(first + 8, 5)));
        let before = of_node(&fib, first);
        let changed = writer.change_some(node(first, 1 + at));
        if changed.is_err() {
            assert_eq!(of_node(&fib, first), before);
        } else {
            assert_eq!(changed, Ok(30));
        }
        changed.is_err()
    });
    let refused = refused.unwrap();
    assert!(refused > 3, "{refused}");
    for at in 0..refused {
        for turn in node(at * 64, 1 + at) {
            assert_eq!(fib.lookup(turn.addr), turn.group);
            assert_eq!(fib.lookup(turn.addr + 4), None);
        }
    }
}
