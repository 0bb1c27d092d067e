//! RIB: which prefixes there are and which group each one has. Control alone uses it.

use crate::ids::{FibId, GroupId};
use crate::prefix::{Family, Prefix};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Bound;

/// Every route, by FIB, IPv4 before IPv6, by address, then length.
#[derive(Debug)]
pub(crate) struct Rib {
    fibs: Vec<Routes>,
}

/// The routes of a FIB. Keys are numbers in the order of prefixes: a comparison is an instruction or two.
#[derive(Clone, Debug)]
struct Routes {
    v4: BTreeMap<u64, GroupId>,
    v6: BTreeMap<Key6, GroupId>,
    lengths: Lengths,
}

/// An IPv6 prefix: the halves of its address, then its length.
type Key6 = (u64, u64, u8);

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

    fn of_prefix(&mut self, prefix: &Prefix) -> Option<&mut usize> {
        let len = usize::from(prefix.len());
        match prefix.family() {
            Family::V4 => self.v4.get_mut(len),
            Family::V6 => self.v6.get_mut(len),
        }
    }
}

/// A prefix as its family's map has it.
enum Key {
    V4(u64),
    V6(Key6),
}

impl Key {
    const fn of(prefix: &Prefix) -> Self {
        let len = prefix.len();
        match prefix.addr() {
            IpAddr::V4(addr) => Self::V4((addr.to_bits() as u64) << 8 | len as u64),
            IpAddr::V6(addr) => {
                let bits = addr.to_bits();
                Self::V6(((bits >> 64) as u64, bits as u64, len))
            }
        }
    }
}

fn prefix4(key: u64, fib: FibId) -> Prefix {
    Prefix::masked(IpAddr::from(((key >> 8) as u32).to_be_bytes()), key as u8).in_fib(fib)
}

fn prefix6((high, low, len): Key6, fib: FibId) -> Prefix {
    let addr = Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low));
    Prefix::masked(addr.into(), len).in_fib(fib)
}

impl Routes {
    const NONE: Self = Self {
        v4: BTreeMap::new(),
        v6: BTreeMap::new(),
        lengths: Lengths::NONE,
    };

    /// The routes that follow a prefix, or all, in order.
    fn after(
        &self,
        fib: FibId,
        after: Option<Prefix>,
    ) -> impl Iterator<Item = (Prefix, GroupId)> + '_ {
        let (from4, from6) = match after.as_ref().map(Key::of) {
            None => (Bound::Unbounded, Bound::Unbounded),
            Some(Key::V4(key)) => (Bound::Excluded(key), Bound::Unbounded),
            // Behind all of IPv4.
            Some(Key::V6(key)) => (Bound::Excluded(u64::MAX), Bound::Excluded(key)),
        };
        let v4 = self.v4.range((from4, Bound::Unbounded));
        let v6 = self.v6.range((from6, Bound::Unbounded));
        let v4 = v4.map(move |(key, group)| (prefix4(*key, fib), *group));
        v4.chain(v6.map(move |(key, group)| (prefix6(*key, fib), *group)))
    }
}

/// Bytes that a map of so many entries of `entry` bytes takes, by a model: std's B-tree has nodes of 11 entries, and one that
/// is filled in order leaves 6 of them in each. A table that came in another order takes up to a third less.
fn map_bytes(entries: usize, entry: usize) -> usize {
    const PLACES: usize = 11;
    const FILLED: usize = 6;
    // A node has a parent and two counts; an inner one a child more than entries. Each node but the last of a level
    // has an entry of the level above behind it.
    let leaf = (PLACES * entry + 12).next_multiple_of(8);
    let inner = leaf + (PLACES + 1) * size_of::<usize>();
    let leaves = entries.div_ceil(FILLED + 1);
    let inners = leaves / FILLED;
    leaves * leaf + inners * inner
}

impl Rib {
    /// No routes, in so many FIBs.
    pub(crate) fn new(fibs: u8) -> Self {
        Self {
            fibs: vec![Routes::NONE; usize::from(fibs)],
        }
    }

    fn of(&self, fib: FibId) -> Option<&Routes> {
        self.fibs.get(usize::from(fib.0))
    }

    fn of_mut(&mut self, prefix: &Prefix) -> Option<&mut Routes> {
        self.fibs.get_mut(usize::from(prefix.fib().0))
    }

    /// How many FIBs there are.
    pub(crate) fn fibs(&self) -> u8 {
        self.fibs.len() as u8
    }

    /// Routes of a family, in all FIBs.
    pub(crate) fn len(&self, family: Family) -> usize {
        let of = |routes: &Routes| match family {
            Family::V4 => routes.v4.len(),
            Family::V6 => routes.v6.len(),
        };
        self.fibs.iter().map(of).sum()
    }

    /// Bytes that the routes take, about.
    pub(crate) fn bytes(&self) -> usize {
        let of = |routes: &Routes| {
            let v4 = map_bytes(routes.v4.len(), size_of::<u64>() + size_of::<GroupId>());
            v4 + map_bytes(routes.v6.len(), size_of::<Key6>() + size_of::<GroupId>())
        };
        self.fibs.iter().map(of).sum()
    }

    /// The group of exactly this prefix.
    pub(crate) fn get(&self, prefix: &Prefix) -> Option<GroupId> {
        let routes = self.of(prefix.fib())?;
        match Key::of(prefix) {
            Key::V4(key) => routes.v4.get(&key).copied(),
            Key::V6(key) => routes.v6.get(&key).copied(),
        }
    }

    /// Inserts a route, or gives it another group. Returns the one that it had.
    pub(crate) fn set(&mut self, prefix: Prefix, group: GroupId) -> Option<GroupId> {
        let routes = self.of_mut(&prefix)?;
        let before = match Key::of(&prefix) {
            Key::V4(key) => routes.v4.insert(key, group),
            Key::V6(key) => routes.v6.insert(key, group),
        };
        if before.is_none()
            && let Some(count) = routes.lengths.of_prefix(&prefix)
        {
            *count += 1;
        }
        before
    }

    /// Removes a route. Returns the group that it had.
    pub(crate) fn remove(&mut self, prefix: &Prefix) -> Option<GroupId> {
        let routes = self.of_mut(prefix)?;
        let before = match Key::of(prefix) {
            Key::V4(key) => routes.v4.remove(&key),
            Key::V6(key) => routes.v6.remove(&key),
        };
        if before.is_some()
            && let Some(count) = routes.lengths.of_prefix(prefix)
        {
            *count -= 1;
        }
        before
    }

    /// The longest prefix of a FIB that contains `addr`.
    pub(crate) fn lookup(&self, fib: FibId, addr: IpAddr) -> Option<(Prefix, GroupId)> {
        let lengths = &self.of(fib)?.lengths;
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
        let lengths = &self.of(prefix.fib())?.lengths;
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
        let routes = self.of(fib).into_iter();
        routes.flat_map(move |routes| routes.after(fib, after))
    }

    /// The routes that follow a prefix, which need not be there itself, in order.
    pub(crate) fn after(&self, prefix: Prefix) -> impl Iterator<Item = (Prefix, GroupId)> + '_ {
        let fib = prefix.fib();
        let others = (fib.0.saturating_add(1)..self.fibs()).map(FibId);
        let others = others.flat_map(|fib| self.of_fib(fib, None));
        self.of_fib(fib, Some(prefix)).chain(others)
    }

    /// Every route, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Prefix, GroupId)> + '_ {
        let fibs = (0..self.fibs()).map(FibId);
        fibs.flat_map(|fib| self.of_fib(fib, None))
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
