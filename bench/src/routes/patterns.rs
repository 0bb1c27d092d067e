//! Which addresses are looked up.
//!
//! - *in-prefix*: a random address inside a random prefix: uses all of the table.
//! - *uniform*: over the whole of IPv4, over 2000::/3 for IPv6 (where most answers are "no route": alone it is
//!   no test).
//! - *zipf*: a million destinations inside prefixes, the k-th as popular as 1/k.

use crate::common::zipf::Zipf;
use crate::prefixes::{Prefix, address_in};
use fastrand::Rng;
use std::net::IpAddr;
use std::ops::BitXor;

/// An address as tables take it.
pub(super) trait Key:
    Copy + PartialEq + Send + Sync + BitXor<Output = Self> + From<u32>
{
    /// Of an address of this family; of the other's, nothing useful.
    fn of(addr: IpAddr) -> Self;
    /// As people write it.
    fn addr(self) -> IpAddr;
    /// Anywhere that a packet may be sent to.
    fn anywhere(rng: &mut Rng) -> Self;
}

impl Key for u32 {
    fn of(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(addr) => addr.to_bits(),
            IpAddr::V6(_) => 0,
        }
    }
    fn addr(self) -> IpAddr {
        std::net::Ipv4Addr::from_bits(self).into()
    }
    fn anywhere(rng: &mut Rng) -> Self {
        rng.u32(..)
    }
}

impl Key for u128 {
    fn of(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V6(addr) => addr.to_bits(),
            IpAddr::V4(_) => 0,
        }
    }
    fn addr(self) -> IpAddr {
        std::net::Ipv6Addr::from_bits(self).into()
    }
    fn anywhere(rng: &mut Rng) -> Self {
        rng.u128(..) >> 3 | 0x2 << 124
    }
}

/// Addresses, and whether each lookup waits for the one before.
pub(super) struct Pattern<A> {
    pub(super) name: &'static str,
    pub(super) dependent: bool,
    pub(super) addrs: Vec<A>,
}

/// Destinations of the Zipf pattern.
const DESTINATIONS: usize = 1_000_000;

/// Every pattern, `number` addresses each, over the prefixes of one family.
pub(super) fn all<A: Key>(prefixes: &[Prefix], number: usize) -> Vec<Pattern<A>> {
    let mut rng = Rng::with_seed(10);
    let inside = in_prefix(prefixes, number, &mut rng);
    let pattern = |name, addrs| Pattern {
        name,
        dependent: false,
        addrs,
    };
    vec![
        pattern("in-prefix", inside.clone()),
        pattern(
            "uniform",
            (0..number).map(|_| A::anywhere(&mut rng)).collect(),
        ),
        pattern("zipf", zipf(prefixes, number, &mut rng)),
        Pattern {
            name: "dependent",
            dependent: true,
            addrs: inside,
        },
    ]
}

/// Random addresses inside random prefixes.
pub(super) fn in_prefix<A: Key>(prefixes: &[Prefix], number: usize, rng: &mut Rng) -> Vec<A> {
    let one = |_| A::of(address_in(&prefixes[rng.usize(..prefixes.len())], rng));
    (0..number).map(one).collect()
}

/// Destinations inside prefixes, few of them popular.
fn zipf<A: Key>(prefixes: &[Prefix], number: usize, rng: &mut Rng) -> Vec<A> {
    let destinations: Vec<A> = in_prefix(prefixes, DESTINATIONS, rng);
    let ranks = Zipf::new(destinations.len());
    (0..number).map(|_| destinations[ranks.pick(rng)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::table::tests::small;

    #[test]
    fn patterns_have_as_many_addresses_as_asked_for_where_they_belong() {
        let prefixes = small().prefixes;
        let v6 = all::<u128>(&prefixes.v6, 500);
        assert!(v6.iter().all(|pattern| pattern.addrs.len() == 500));
        assert!(v6[1].addrs.iter().all(|addr| addr >> 125 == 1), "2000::/3");
        assert!(v6[0].addrs == v6[3].addrs && v6[3].dependent);
        let v4 = all::<u32>(&prefixes.v4, 500);
        let covered = |addr: &u32| {
            prefixes.v4.iter().any(|(net, len)| {
                u32::of(*net) ^ addr <= u32::MAX.checked_shr((*len).into()).unwrap_or(0)
            })
        };
        assert!(v4[0].addrs.iter().all(covered) && v4[2].addrs.iter().all(covered));
    }
}
