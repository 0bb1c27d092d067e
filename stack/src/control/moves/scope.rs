//! Which destinations a change concerns: of a route its prefix, without the longer ones inside it; of a group those of
//! the routes that have it.

use crate::routed::Routed;
use flowtable::Dir;
use route::{GroupId, Prefix, View};
use std::net::IpAddr;

/// Which destinations a change concerns.
#[derive(Clone, Debug)]
pub(super) enum Scope {
    /// A route's.
    Route(Holed),
    /// A group's; `None`: it is not there yet.
    Group(Option<GroupId>),
}

impl Scope {
    /// Whether it is empty.
    pub(super) const fn is_nobody(&self) -> bool {
        matches!(self, Self::Group(None))
    }

    /// Whether the change concerns packets of this direction, by the routes as workers read them.
    pub(super) fn has<K: Routed>(&self, view: &View, key: &K, dir: Dir) -> bool {
        match self {
            Self::Route(holed) => {
                let (a, b) = key.ends();
                let to = match dir {
                    Dir::Fwd => b.ip(),
                    Dir::Rev => a.ip(),
                };
                key.fib() == holed.prefix.fib().0 && holed.has(to)
            }
            Self::Group(None) => false,
            Self::Group(group) => key.lookup(view, key.dst(dir)) == *group,
        }
    }

    /// Takes longer prefixes out of a route's. They come in the order of prefixes.
    pub(super) fn exclude(&mut self, longer: &[Prefix]) {
        if let Self::Route(holed) = self {
            holed.exclude(longer);
        }
    }
}

/// A prefix with holes.
#[derive(Clone, Debug)]
pub(super) struct Holed {
    prefix: Prefix,
    /// First and last address of each hole, ascending, none beside another.
    holes: Vec<(u128, u128)>,
}

impl Holed {
    pub(super) const fn of(prefix: Prefix) -> Self {
        let holes = Vec::new();
        Self { prefix, holes }
    }

    fn exclude(&mut self, longer: &[Prefix]) {
        for prefix in longer {
            let first = bits(prefix.addr());
            let host = prefix.family().bits() - prefix.len();
            let last = first | ones(host);
            match self.holes.last_mut() {
                Some(hole) if first <= hole.1.saturating_add(1) => hole.1 = hole.1.max(last),
                _ => self.holes.push((first, last)),
            }
        }
    }

    /// Whether it holds this address, in its FIB.
    fn has(&self, addr: IpAddr) -> bool {
        if !self.prefix.contains(addr) {
            return false;
        }
        let addr = bits(addr);
        let behind = self.holes.partition_point(|hole| hole.0 <= addr);
        let hole = behind.checked_sub(1).and_then(|at| self.holes.get(at));
        hole.is_none_or(|hole| hole.1 < addr)
    }
}

fn bits(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn ones(count: u8) -> u128 {
    u128::MAX.checked_shr(128 - u32::from(count)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn holes_are_out_to_their_last_address_and_nested_ones_are_one() {
        let mut scope = Holed::of(net("10.0.0.0/8"));
        let inside = [
            "10.0.0.0/24",
            "10.1.0.0/16",
            "10.1.2.0/24",
            "10.2.0.0/16",
            "10.255.255.255/32",
        ];
        scope.exclude(&inside.map(net));
        assert_eq!(scope.holes.len(), 3, "{scope:?}");
        let has = |text: &str| scope.has(text.parse().unwrap());
        for out in [
            "10.0.0.0",
            "10.0.0.255",
            "10.1.0.0",
            "10.1.3.0",
            "10.2.255.255",
            "10.255.255.255",
            "9.9.9.9",
            "::1",
        ] {
            assert!(!has(out), "{out}");
        }
        for within in ["10.0.1.0", "10.0.255.255", "10.3.0.0", "10.255.255.254"] {
            assert!(has(within), "{within}");
        }
    }

    #[test]
    fn scopes_are_exact_against_a_linear_look_in_both_families() {
        for seed in 0..300 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let v6 = rng.bool();
            let addr = |rng: &mut fastrand::Rng| -> IpAddr {
                if v6 {
                    IpAddr::V6(
                        (u128::from(rng.u8(..)) << 120 | u128::MAX >> rng.u32(8..128)).into(),
                    )
                } else {
                    IpAddr::V4((u32::from(rng.u8(..)) << 24 | u32::MAX >> rng.u32(8..32)).into())
                }
            };
            let whole = if v6 { 128 } else { 32 };
            let of = Prefix::masked(addr(&mut rng), rng.u8(0..6));
            let mut longer: Vec<Prefix> = (0..rng.usize(0..20))
                .map(|_| Prefix::masked(addr(&mut rng), rng.u8(of.len() + 1..=whole)))
                .filter(|p| of.contains(p.addr()))
                .collect();
            longer.sort_unstable();
            let mut scope = Holed::of(of);
            let (some, rest) = longer.split_at(longer.len() / 2);
            scope.exclude(some);
            scope.exclude(rest);
            for _ in 0..200 {
                let at = addr(&mut rng);
                let want = of.contains(at) && !longer.iter().any(|p| p.contains(at));
                assert_eq!(scope.has(at), want, "seed {seed} {at} {of} {longer:?}");
            }
        }
    }
}
