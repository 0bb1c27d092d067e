//! One reader: bursts of lookups of both families, quiescent before each, as a worker.
//!
//! Addresses lie in random prefixes. Where the longest of them is a route that never changes, the answer is
//! known and is checked, in one burst of sixteen, all the time.

use super::super::patterns::in_prefix;
use super::super::router::Router;
use super::churn::Churn;
use crate::clock;
use crate::common::pair::STOP;
use crate::prefixes::Prefixes;
use route::{GroupId, View};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed},
};
use std::time::Duration;

/// Addresses a burst.
pub(super) const BURST: usize = 64;
/// Of how many bursts one is checked.
const CHECKED: usize = 16;
/// Addresses of each family; a multiple of the burst.
const ADDRESSES: usize = 1 << 16;

/// What the reader looks up, and the answers that must not change.
pub(super) struct Traffic {
    v4: Vec<u32>,
    v6: Vec<u128>,
    /// Nothing where the answer may change.
    expected4: Vec<Option<GroupId>>,
    expected6: Vec<Option<GroupId>>,
}

/// What the reader did in one phase.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    pub(super) phase: u32,
    pub(super) lookups: u64,
    pub(super) checked: u64,
    pub(super) wrong: u64,
    pub(super) wall: Duration,
    pub(super) cpu: Duration,
}

impl Work {
    /// Lookups a second.
    pub(super) fn rate(&self) -> f64 {
        self.lookups as f64 / self.wall.as_secs_f64()
    }

    /// Lookups a second of CPU time.
    pub(super) fn cpu_rate(&self) -> f64 {
        self.lookups as f64 / self.cpu.as_secs_f64()
    }
}

impl Traffic {
    /// For a router that has all of `prefixes`, of which `churn` will change some.
    pub(super) fn new(prefixes: &Prefixes, router: &Router, churn: &Churn) -> Result<Self, String> {
        let mut rng = fastrand::Rng::with_seed(12);
        let changing = churn.prefixes();
        let v4: Vec<u32> = in_prefix(&prefixes.v4, ADDRESSES, &mut rng);
        let v6: Vec<u128> = in_prefix(&prefixes.v6, ADDRESSES, &mut rng);
        let expected = |addr: IpAddr| {
            let route = router.control.lookup(addr);
            let fixed = route.filter(|route| !changing.contains(&route.prefix));
            fixed.map(|route| route.group)
        };
        let expected4 = v4
            .iter()
            .map(|a| expected(Ipv4Addr::from_bits(*a).into()))
            .collect();
        let expected6 = v6
            .iter()
            .map(|a| expected(Ipv6Addr::from_bits(*a).into()))
            .collect();
        let traffic = Self {
            v4,
            v6,
            expected4,
            expected6,
        };
        let mut work = Work::default();
        let mut groups = [None; BURST];
        for at in (0..ADDRESSES).step_by(BURST) {
            traffic.burst(&router.view, at, true, &mut groups, &mut work);
        }
        match work {
            Work {
                wrong: 0,
                checked: 1..,
                ..
            } => Ok(traffic),
            _ => Err(format!(
                "{} of {} answers are wrong",
                work.wrong, work.checked
            )),
        }
    }

    /// The IPv4 addresses.
    pub(super) fn v4(&self) -> &[u32] {
        &self.v4
    }

    /// The IPv6 addresses.
    pub(super) fn v6(&self) -> &[u128] {
        &self.v6
    }

    /// A burst of each family that starts at address `at`.
    fn burst(
        &self,
        view: &View,
        at: usize,
        check: bool,
        groups: &mut [Option<GroupId>; BURST],
        work: &mut Work,
    ) {
        let lanes = at..at + BURST;
        view.lookup4_burst(&self.v4[lanes.clone()], groups);
        std::hint::black_box(&mut *groups);
        if check {
            compare(groups, &self.expected4[lanes.clone()], work);
        }
        view.lookup6_burst(&self.v6[lanes.clone()], groups);
        std::hint::black_box(&mut *groups);
        if check {
            compare(groups, &self.expected6[lanes], work);
        }
        work.lookups += 2 * BURST as u64;
    }
}

/// Counts answers that are known and those that are wrong.
fn compare(groups: &[Option<GroupId>], expected: &[Option<GroupId>], work: &mut Work) {
    for (group, expected) in groups.iter().zip(expected) {
        work.checked += u64::from(expected.is_some());
        work.wrong += u64::from(expected.is_some() && group != expected);
    }
}

/// Looks up until the phase is [`STOP`]; what it did in each phase.
pub(super) fn run(view: &View, traffic: &Traffic, phase: &AtomicU32) -> Vec<Work> {
    let reader = view.qsbr().reader(0);
    let (mut works, mut groups, mut burst) = (Vec::with_capacity(1024), [None; BURST], 0usize);
    loop {
        let now = phase.load(Acquire);
        if now == STOP {
            return works;
        }
        let mut work = Work {
            phase: now,
            ..Work::default()
        };
        let (began, cpu) = (clock::now(), clock::thread_cpu());
        while phase.load(Relaxed) == now {
            reader.quiescent();
            let at = burst * BURST % ADDRESSES;
            traffic.burst(
                view,
                at,
                burst.is_multiple_of(CHECKED),
                &mut groups,
                &mut work,
            );
            burst += 1;
        }
        (work.wall, work.cpu) = (began.elapsed(), clock::thread_cpu() - cpu);
        works.push(work);
    }
}

/// Refuses work that gave a wrong answer; returns how many answers were checked.
pub(super) fn all_right(works: &[Work]) -> Result<u64, String> {
    let sum = |of: fn(&Work) -> u64| works.iter().map(of).sum::<u64>();
    match sum(|work| work.wrong) {
        0 => Ok(sum(|work| work.checked)),
        wrong => Err(format!(
            "{wrong} of {} answers are WRONG",
            sum(|work| work.checked)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_not_the_expected_one_is_wrong() {
        let group = |id| Some(GroupId(id));
        let mut work = Work::default();
        compare(
            &[group(1), group(2), None],
            &[group(1), None, group(3)],
            &mut work,
        );
        assert_eq!((work.checked, work.wrong), (2, 1));
        assert!(all_right(&[Work::default(), work]).is_err());
        assert_eq!(all_right(&[Work::default()]), Ok(0));
    }

    #[test]
    fn rates_are_by_time_and_by_cpu_time() {
        let work = Work {
            lookups: 1_000,
            wall: Duration::from_secs(2),
            cpu: Duration::from_secs(1),
            ..Work::default()
        };
        assert_eq!((work.rate(), work.cpu_rate()), (500.0, 1000.0));
    }
}
