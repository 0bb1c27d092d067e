//! The ways of looking up, all with the same face: so that one loop times them all.
//!
//! Every way sums its answers, so that no lookup can be left out.

use super::patterns::Key;
use route::{GroupId, View};
use std::hint::black_box;
use std::sync::Arc;

/// A table of one family under test. An answer is the value of the longest prefix; 0 is none.
pub(super) trait Way<A> {
    /// Looks up every address, independently. The sum of the answers.
    fn pass(&self, addrs: &[A]) -> u64;
    /// Looks up every address, each one combined with the bits of the answer before it that `mask` has (none,
    /// but only the caller knows). Nothing if this way takes many at a time.
    fn chain(&self, addrs: &[A], mask: u32) -> Option<u64>;
    /// The answers themselves.
    fn answers(&self, addrs: &[A]) -> Vec<u32>;
}

/// A way with its name and whether it is another project's.
pub(super) struct Entry<A> {
    pub(super) name: &'static str,
    pub(super) is_crate: bool,
    pub(super) way: Box<dyn Way<A>>,
}

/// One address at a time.
pub(super) struct Single<F>(pub(super) F);

impl<A: Key, F: Fn(A) -> u32> Way<A> for Single<F> {
    fn pass(&self, addrs: &[A]) -> u64 {
        addrs.iter().map(|addr| u64::from((self.0)(*addr))).sum()
    }

    fn chain(&self, addrs: &[A], mask: u32) -> Option<u64> {
        let (mut last, mut sum) = (0, 0);
        for addr in addrs {
            last = (self.0)(*addr ^ A::from(last & mask));
            sum += u64::from(last);
        }
        Some(sum)
    }

    fn answers(&self, addrs: &[A]) -> Vec<u32> {
        addrs.iter().map(|addr| (self.0)(*addr)).collect()
    }
}

/// Bursts of `N`.
pub(super) struct Burst<F, const N: usize>(pub(super) F);

impl<A: Key, F: Fn(&[A], &mut [Option<GroupId>]), const N: usize> Way<A> for Burst<F, N> {
    fn pass(&self, addrs: &[A]) -> u64 {
        let (mut groups, mut sum) = ([None; N], 0);
        for addrs in addrs.chunks(N) {
            (self.0)(addrs, &mut groups[..addrs.len()]);
            let answers = groups[..addrs.len()].iter().map(|group| value(*group));
            sum += answers.map(u64::from).sum::<u64>();
        }
        sum
    }

    fn chain(&self, _: &[A], _: u32) -> Option<u64> {
        None
    }

    fn answers(&self, addrs: &[A]) -> Vec<u32> {
        let mut groups = vec![None; addrs.len()];
        for (addrs, groups) in addrs.chunks(N).zip(groups.chunks_mut(N)) {
            (self.0)(addrs, groups);
        }
        groups.into_iter().map(value).collect()
    }
}

/// A group as an answer.
fn value(group: Option<GroupId>) -> u32 {
    group.map_or(0, |group| group.0)
}

/// Nothing, which the compiler does not know.
pub(super) fn unknown_zero() -> u32 {
    black_box(0)
}

fn own<A>(name: &'static str, way: impl Way<A> + 'static) -> Entry<A> {
    Entry {
        name,
        is_crate: false,
        way: Box::new(way),
    }
}

/// Flowgate's ways for IPv4. The first is the one that the others are measured against.
pub(super) fn flowgate4(view: &Arc<View>) -> Vec<Entry<u32>> {
    let [a, b, c, d] = [(); 4].map(|()| Arc::clone(view));
    vec![
        own(
            "flowgate",
            Burst::<_, 64>(move |dsts: &[u32], out: &mut [_]| a.lookup4_burst(dsts, out)),
        ),
        own(
            "flowgate-32",
            Burst::<_, 32>(move |dsts: &[u32], out: &mut [_]| b.lookup4_burst(dsts, out)),
        ),
        own("flowgate-single", Single(move |dst| value(c.lookup4(dst)))),
        own(
            "flowgate-portable",
            Burst::<_, 64>(move |dsts: &[u32], out: &mut [_]| d.lookup4_burst_portable(dsts, out)),
        ),
    ]
}

/// As [`flowgate4`], for IPv6.
pub(super) fn flowgate6(view: &Arc<View>) -> Vec<Entry<u128>> {
    let [a, b, c, d] = [(); 4].map(|()| Arc::clone(view));
    vec![
        own(
            "flowgate",
            Burst::<_, 64>(move |dsts: &[u128], out: &mut [_]| a.lookup6_burst(dsts, out)),
        ),
        own(
            "flowgate-32",
            Burst::<_, 32>(move |dsts: &[u128], out: &mut [_]| b.lookup6_burst(dsts, out)),
        ),
        own("flowgate-single", Single(move |dst| value(c.lookup6(dst)))),
        own(
            "flowgate-portable",
            Burst::<_, 64>(move |dsts: &[u128], out: &mut [_]| d.lookup6_burst_portable(dsts, out)),
        ),
    ]
}
