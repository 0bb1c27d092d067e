//! How many buckets each member is due, and who gets or gives which.
//!
//! Pure arithmetic over member numbers; `layout` says which buckets may move. Nothing here moves a bucket
//! unless its owner left or has more than is due to it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Divides `buckets` among `weights`: to each its quota rounded down or up, and of the odd buckets one to each whose
/// `weight / (quota rounded down + 1/2)` is largest (Webster's, or Sainte-Laguë's, method). Every weight of 1 or more
/// gets at least one (there must be that many buckets), weight 0 gets none. Where that leaves a choice, who now
/// `holds` the odd bucket keeps it.
///
/// With largest remainders, the odd buckets of others would change hands when a member comes or goes. With this
/// everybody else only gains or only loses, but for weights so rare that 1 in thousands of changes has them, for which
/// no method exists that keeps to the quota (Balinski and Young).
pub(crate) fn apportion(buckets: u32, weights: &[u32], holds: &[u32]) -> Vec<u32> {
    let mut due: Vec<u32> = weights.iter().map(|w| u32::from(*w > 0)).collect();
    // Members whose quota is below one have their one; the others share the rest by weight.
    let mut sharing: Vec<usize> = (0..weights.len()).filter(|m| weights[*m] > 0).collect();
    let mut left = u64::from(buckets);
    let mut total: u64 = weights.iter().map(|w| u64::from(*w)).sum();
    loop {
        let before = sharing.len();
        let (pool, sum) = (left, total);
        sharing.retain(|m| {
            let weight = u64::from(weights[*m]);
            let whole = pool * weight >= sum;
            if !whole {
                left = left.saturating_sub(1);
                total -= weight;
            }
            whole
        });
        if sharing.len() == before {
            break;
        }
    }
    let quota = |m: usize| left * u64::from(weights[m]);
    let mut odd = left;
    for m in &sharing {
        due[*m] = (quota(*m) / total) as u32;
        odd -= u64::from(due[*m]);
    }
    // Where there is an odd bucket, more members have a remainder than there are odd buckets.
    let claim = |m: usize| (u64::from(weights[m]), 2 * u64::from(due[m]) + 1);
    let order = |a: &usize, b: &usize| {
        let whole = |m: usize| quota(m) % total == 0;
        let ((wa, da), (wb, db)) = (claim(*a), claim(*b));
        whole(*a)
            .cmp(&whole(*b))
            .then_with(|| (wb * da).cmp(&(wa * db)))
            .then_with(|| (holds[*a] <= due[*a]).cmp(&(holds[*b] <= due[*b])))
            .then_with(|| a.cmp(b))
    };
    sharing.sort_by(order);
    sharing.iter().take(odd as usize).for_each(|m| due[*m] += 1);
    due
}

/// What each member has and is due.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) has: Vec<u32>,
    pub(crate) due: Vec<u32>,
}

impl Tally {
    /// Counts what members have, and what `weights` give them.
    pub(crate) fn new(buckets: u32, weights: &[u32], owners: impl Iterator<Item = usize>) -> Self {
        let mut has = vec![0; weights.len()];
        for owner in owners {
            has[owner] += 1;
        }
        let due = apportion(buckets, weights, &has);
        Self { has, due }
    }

    /// Buckets that a member is short of (negative: has too many).
    pub(crate) fn short(&self, member: usize) -> i64 {
        i64::from(self.due[member]) - i64::from(self.has[member])
    }

    /// Hands every one of `orphans` to the member that is shortest of its due.
    pub(crate) fn spread(
        &mut self,
        orphans: impl Iterator<Item = u32>,
        weights: &[u32],
        mut give: impl FnMut(u32, usize),
    ) {
        let members = (0..weights.len()).filter(|m| weights[*m] > 0);
        let mut heap: BinaryHeap<_> = members.map(|m| (self.short(m), Reverse(m))).collect();
        for bucket in orphans {
            let Some(mut top) = heap.peek_mut() else {
                return;
            };
            let member = top.1.0;
            give(bucket, member);
            self.has[member] += 1;
            top.0 -= 1;
        }
    }

    /// Whether everybody has its due.
    pub(crate) fn is_even(&self) -> bool {
        self.has == self.due
    }

    /// Lets takers that are short take from who has too many: from each donor the buckets in `offers`, last first.
    pub(crate) fn fill(
        &mut self,
        takes: impl Fn(usize) -> bool,
        offers: &mut [Vec<u32>],
        mut give: impl FnMut(u32, usize, usize),
    ) {
        let members = 0..self.has.len();
        let mut takers: BinaryHeap<_> = members
            .clone()
            .filter(|m| takes(*m) && self.short(*m) > 0)
            .map(|m| (self.short(m), Reverse(m)))
            .collect();
        let mut donors: BinaryHeap<_> = members
            .filter(|m| self.short(*m) < 0)
            .map(|m| (-self.short(m), Reverse(m)))
            .collect();
        while let (Some(&(_, Reverse(taker))), Some(&(_, Reverse(donor)))) =
            (takers.peek(), donors.peek())
        {
            let Some(bucket) = offers[donor].pop() else {
                donors.pop();
                continue;
            };
            give(bucket, donor, taker);
            self.has[taker] += 1;
            self.has[donor] -= 1;
            step(&mut takers);
            step(&mut donors);
        }
    }
}

/// The first in line has one less to take, or to give.
fn step(heap: &mut BinaryHeap<(i64, Reverse<usize>)>) {
    if let Some((left, member)) = heap.pop()
        && left > 1
    {
        heap.push((left - 1, member));
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    fn fresh(buckets: u32, weights: &[u32]) -> Vec<u32> {
        apportion(buckets, weights, &vec![0; weights.len()])
    }

    #[test]
    fn remainders_go_to_the_largest() {
        assert_eq!(fresh(4096, &[1, 1, 1]), [1366, 1365, 1365]);
        assert_eq!(fresh(10, &[3, 0, 1]), [8, 0, 2]);
        assert_eq!(fresh(16, &[0, 0]), [0, 0]);
        assert_eq!(fresh(8, &[]), [0; 0]);
        assert_eq!(fresh(1, &[7]), [1]);
    }

    #[test]
    fn a_small_weight_beside_a_large_one_still_gets_a_bucket() {
        assert_eq!(fresh(64, &[1, 100]), [1, 63]);
        assert_eq!(fresh(16, &[1, 1, 1, (1 << 24) - 1]), [1, 1, 1, 13]);
        assert_eq!(fresh(4, &[1, 1, 1, 1 << 20]), [1, 1, 1, 1]);
    }

    #[test]
    fn who_holds_the_odd_bucket_keeps_it() {
        assert_eq!(apportion(16, &[1, 1, 1], &[5, 6, 5]), [5, 6, 5]);
        assert_eq!(apportion(16, &[1, 1, 1], &[5, 5, 6]), [5, 5, 6]);
    }

    #[test]
    fn shares_are_complete_and_off_by_less_than_one() {
        for seed in 0..1000 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let weights: Vec<u32> = (0..rng.usize(1..80)).map(|_| rng.u32(0..50_000)).collect();
            let total: u32 = weights.iter().sum();
            if total == 0 {
                continue;
            }
            let due = fresh(4096, &weights);
            assert_eq!(due.iter().sum::<u32>(), 4096, "seed {seed}");
            for (w, d) in weights.iter().zip(&due) {
                assert_eq!(*w > 0, *d > 0, "seed {seed}");
            }
            // Who is due less than one has one; the others divide the rest.
            let rest = |least: u32| {
                let others = weights.iter().zip(&due).filter(|(w, _)| **w >= least);
                others.fold((0, 0), |(ws, ds), (w, d)| (ws + w, ds + d))
            };
            let has_one = |w: u32| rest(w).1 * w < rest(w).0;
            for (w, d) in weights.iter().zip(&due).filter(|(w, _)| **w > 0) {
                let least = weights.iter().filter(|w| **w > 0 && !has_one(**w)).min();
                let (sum, pool) = rest(*least.unwrap());
                let quota = f64::from(*w) * f64::from(pool) / f64::from(sum);
                let off = (f64::from(*d) - quota).abs();
                assert!(off < 1.0 && (quota >= 1.0 || *d == 1), "seed {seed}");
            }
        }
    }
}
