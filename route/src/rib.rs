//! RIB: which prefixes there are and which group each one has. Control alone uses it.

use crate::ids::{FibId, GroupId};
use crate::prefix::{Family, Prefix};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Bound;

/// Every route, by FIB, IPv4 before IPv6, by address, then length.
#[derive(Debug)]
pub(crate) struct Rib {
    routes: BTreeMap<Prefix, GroupId>,
    /// By FIB.
    lengths: Vec<Lengths>,
}

/// Routes of each length, so that a lookup tries only lengths that there are.
#[derive(Clone, Debug)]
struct Lengths {
    v4: [usize; 33],
    v6: [usize; 129],
}

impl Lengths {
    const NONE: Self = Self {
        v4: [0; 33],
        v6: [0; 129],
    };

    fn of(&self, family: Family) -> &[usize] {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

impl Rib {
    /// No routes, in so many FIBs.
    pub(crate) fn new(fibs: u8) -> Self {
        Self {
            routes: BTreeMap::new(),
            lengths: vec![Lengths::NONE; usize::from(fibs)],
        }
    }

    fn of_length(&mut self, prefix: &Prefix) -> Option<&mut usize> {
        let lengths = self.lengths.get_mut(usize::from(prefix.fib().0))?;
        let len = usize::from(prefix.len());
        match prefix.family() {
            Family::V4 => lengths.v4.get_mut(len),
            Family::V6 => lengths.v6.get_mut(len),
        }
    }

    /// How many FIBs there are.
    pub(crate) fn fibs(&self) -> u8 {
        self.lengths.len() as u8
    }

    /// Routes of a family, in all FIBs.
    pub(crate) fn len(&self, family: Family) -> usize {
        let of = |lengths: &Lengths| lengths.of(family).iter().sum::<usize>();
        self.lengths.iter().map(of).sum()
    }

    /// Bytes that the routes take, by a model of the map: std's B-tree has nodes of 11 entries, and one that is filled in order
    /// leaves 6 of them in each. A table that came in another order takes up to a third less.
    pub(crate) fn bytes(&self) -> usize {
        const PLACES: usize = 11;
        const FILLED: usize = 6;
        let entry = size_of::<Prefix>() + size_of::<GroupId>();
        // A node has a parent and two counts; an inner one a child more than entries. Each node but the last of a level
        // has an entry of the level above behind it.
        let leaf = (PLACES * entry + 12).next_multiple_of(8);
        let inner = leaf + (PLACES + 1) * size_of::<usize>();
        let leaves = self.routes.len().div_ceil(FILLED + 1);
        let inners = leaves / FILLED;
        leaves * leaf + inners * inner
    }

    /// The group of exactly this prefix.
    pub(crate) fn get(&self, prefix: &Prefix) -> Option<GroupId> {
        self.routes.get(prefix).copied()
    }

    /// Inserts a route, or gives it another group. Returns the one that it had.
    pub(crate) fn set(&mut self, prefix: Prefix, group: GroupId) -> Option<GroupId> {
        let before = self.routes.insert(prefix, group);
        if before.is_none()
            && let Some(count) = self.of_length(&prefix)
        {
            *count += 1;
        }
        before
    }

    /// Removes a route. Returns the group that it had.
    pub(crate) fn remove(&mut self, prefix: &Prefix) -> Option<GroupId> {
        let before = self.routes.remove(prefix);
        if before.is_some()
            && let Some(count) = self.of_length(prefix)
        {
            *count -= 1;
        }
        before
    }

    /// The longest prefix of a FIB that contains `addr`.
    pub(crate) fn lookup(&self, fib: FibId, addr: IpAddr) -> Option<(Prefix, GroupId)> {
        let lengths = self.lengths.get(usize::from(fib.0))?;
        let lengths = lengths.of(Family::of(&addr)).iter().enumerate().rev();
        lengths
            .filter(|(_, count)| **count > 0)
            .find_map(|(len, _)| {
                let prefix = Prefix::masked(addr, len as u8).in_fib(fib);
                self.get(&prefix).map(|group| (prefix, group))
            })
    }

    /// The longest route of its FIB that covers all of a prefix and is shorter than it.
    pub(crate) fn covering(&self, prefix: &Prefix) -> Option<(Prefix, GroupId)> {
        let lengths = self.lengths.get(usize::from(prefix.fib().0))?;
        let lengths = lengths.of(prefix.family()).iter().enumerate();
        lengths
            .take(usize::from(prefix.len()))
            .rev()
            .filter(|(_, count)| **count > 0)
            .find_map(|(len, _)| {
                let shorter = Prefix::masked(prefix.addr(), len as u8);
                let shorter = shorter.in_fib(prefix.fib());
                self.get(&shorter).map(|group| (shorter, group))
            })
    }

    /// The routes of a FIB that follow a prefix of it, or all, in order.
    pub(crate) fn of_fib(
        &self,
        fib: FibId,
        after: Option<Prefix>,
    ) -> impl Iterator<Item = (Prefix, GroupId)> + '_ {
        let first = Prefix::masked(IpAddr::from([0; 4]), 0).in_fib(fib);
        let begin = after.map_or(Bound::Included(first), Bound::Excluded);
        self.routes
            .range((begin, Bound::Unbounded))
            .map(|(prefix, group)| (*prefix, *group))
            .take_while(move |(prefix, _)| prefix.fib() == fib)
    }

    /// The routes that follow a prefix, which need not be there itself, in order.
    pub(crate) fn after(&self, prefix: Prefix) -> impl Iterator<Item = (Prefix, GroupId)> + '_ {
        let behind = (Bound::Excluded(prefix), Bound::Unbounded);
        self.routes
            .range(behind)
            .map(|(prefix, group)| (*prefix, *group))
    }

    /// Every route, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Prefix, GroupId)> {
        self.routes.iter().map(|(prefix, group)| (*prefix, *group))
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins_until_it_is_gone() {
        let mut rib = Rib::new(2);
        let net = |text: &str| text.parse::<Prefix>().unwrap();
        for (i, text) in ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3"]
            .iter()
            .enumerate()
        {
            rib.set(net(text), GroupId(i as u32 + 1));
        }
        let find = |rib: &Rib, addr: &str| {
            rib.lookup(FibId(0), addr.parse().unwrap())
                .map(|(_, g)| g.0)
        };
        assert_eq!(find(&rib, "10.1.2.3"), Some(4));
        assert_eq!(find(&rib, "10.1.2.4"), Some(3));
        assert_eq!(find(&rib, "10.2.0.0"), Some(2));
        assert_eq!(find(&rib, "11.0.0.0"), Some(1));
        assert_eq!(find(&rib, "::1"), None);
        rib.remove(&net("10.1.0.0/16"));
        rib.remove(&net("10.1.0.0/16"));
        assert_eq!(find(&rib, "10.1.2.4"), Some(2));
        assert_eq!((rib.len(Family::V4), rib.len(Family::V6)), (3, 0));
        let other = net("10.0.0.0/8").in_fib(FibId(1));
        rib.set(other, GroupId(9));
        let find = |fib| rib.lookup(FibId(fib), "10.9.9.9".parse().unwrap());
        assert_eq!(find(1), Some((other, GroupId(9))));
        assert_eq!(find(0), Some((net("10.0.0.0/8"), GroupId(2))));
        assert_eq!((find(2), rib.fibs()), (None, 2));
        let own: Vec<_> = rib.of_fib(FibId(0), None).collect();
        assert_eq!((own.len(), rib.of_fib(FibId(1), None).count()), (3, 1));
        let behind = rib.of_fib(FibId(0), Some(own[0].0));
        assert_eq!(behind.collect::<Vec<_>>(), own[1..]);
        assert_eq!(rib.len(Family::V4), 4);
    }

    #[test]
    fn a_listing_goes_on_behind_a_prefix_even_if_that_is_gone() {
        let mut rib = Rib::new(2);
        let net = |text: &str| text.parse::<Prefix>().unwrap();
        let all = ["10.0.0.0/8", "10.0.0.0/16", "10.1.0.0/16", "::/0"].map(net);
        for prefix in all {
            rib.set(prefix, GroupId(1));
        }
        let after = |rib: &Rib, prefix| rib.after(prefix).map(|(p, _)| p).collect::<Vec<_>>();
        assert_eq!(after(&rib, all[0]), all[1..]);
        rib.remove(&all[1]);
        assert_eq!(after(&rib, all[1]), all[2..]);
        assert_eq!(after(&rib, all[3]), []);
    }
}
