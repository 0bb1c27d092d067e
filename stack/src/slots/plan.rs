//! Which slots move when the number of workers changes: as few as possible, to as even a map as there is.

use super::{Move, SlotMap};
use flowtable::SlotNo;

/// The moves from `map` to `active` workers, the workers with too many slots giving first those of the highest numbers.
pub(crate) fn moves(map: &SlotMap, active: usize) -> Vec<Move> {
    let quota = quotas(map, active.max(1));
    let mut has = counts(map, quota.len());
    let mut moves = Vec::new();
    for (slot, &from) in map.iter().enumerate().rev() {
        let giver = usize::from(from);
        if has[giver] <= quota[giver] {
            continue;
        }
        if let Some(to) = (0..quota.len()).find(|to| has[*to] < quota[*to]) {
            has[giver] -= 1;
            has[to] += 1;
            let (slot, to) = (SlotNo(slot as u16), to as u16);
            moves.push(Move { slot, from, to });
        }
    }
    moves
}

/// How many slots each worker is to have. Of the active ones those that have most keep one more, if it does not come out
/// even.
fn quotas(map: &SlotMap, active: usize) -> Vec<usize> {
    let workers = map.iter().map(|worker| usize::from(*worker) + 1).max();
    let has = counts(map, workers.unwrap_or(0).max(active));
    let mut order: Vec<usize> = (0..active).collect();
    order.sort_by_key(|worker| std::cmp::Reverse(has[*worker]));
    let mut quota = vec![0; has.len()];
    for (place, worker) in order.into_iter().enumerate() {
        quota[worker] = map.len() / active + usize::from(place < map.len() % active);
    }
    quota
}

/// How many slots each worker has.
pub(crate) fn counts(map: &SlotMap, workers: usize) -> Vec<usize> {
    let mut counts = vec![0; workers];
    for worker in map {
        if let Some(count) = counts.get_mut(usize::from(*worker)) {
            *count += 1;
        }
    }
    counts
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::slots::even_slots;

    fn apply(map: &mut SlotMap, moves: &[Move]) {
        for one in moves {
            let owner = &mut map[usize::from(one.slot.0)];
            assert_eq!(*owner, one.from);
            *owner = one.to;
        }
    }

    #[test]
    fn one_worker_more_takes_its_share_from_all_and_one_less_gives_it_to_all() {
        let mut map = even_slots(1);
        for workers in 2..=64 {
            let grown = moves(&map, workers);
            assert_eq!(grown.len(), 256 / workers);
            assert!(grown.iter().all(|m| usize::from(m.to) == workers - 1));
            apply(&mut map, &grown);
        }
        for workers in (1..64).rev() {
            let left = counts(&map, 64)[workers];
            let shrunk = moves(&map, workers);
            assert_eq!(shrunk.len(), left);
            assert!(shrunk.iter().all(|m| usize::from(m.from) == workers));
            apply(&mut map, &shrunk);
        }
        assert_eq!(map, even_slots(1));
    }

    #[test]
    fn any_change_ends_even_and_moves_no_slot_in_vain() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut map = even_slots(5);
        for _ in 0..500 {
            let workers = rng.usize(1..=64);
            let (before, moved) = (counts(&map, 64), moves(&map, workers));
            apply(&mut map, &moved);
            let after = counts(&map, 64);
            let (least, most) = (after[..workers].iter().min(), after[..workers].iter().max());
            assert!(most.unwrap() - least.unwrap() <= 1, "{after:?}");
            assert!(after[workers..].iter().all(|slots| *slots == 0));
            let gained = after.iter().zip(&before).map(|(a, b)| a.saturating_sub(*b));
            assert_eq!(gained.sum::<usize>(), moved.len());
            assert!(moves(&map, workers).is_empty());
        }
    }
}
