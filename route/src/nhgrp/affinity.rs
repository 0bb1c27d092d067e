//! Under which id the clients of a sticky route, or of a sticky group that routes name, have their templates.
//!
//! It is made of the route's destination alone, or of the group's number, so it is the same after a change, after a restart
//! and on every gateway that has the route.

use crate::ids::GroupNo;
use crate::prefix::Prefix;
use std::net::IpAddr;

/// Whose clients have templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StickyOf {
    /// The route's to this destination.
    Route(Prefix),
    /// Those of all routes that name this group.
    Group(GroupNo),
}

/// The id of its templates; never 0.
pub(crate) fn of(owner: &StickyOf) -> u64 {
    match owner {
        StickyOf::Route(prefix) => of_route(prefix),
        // No route has a family of 0.
        StickyOf::Group(number) => mix(mix(u64::from(number.0))).max(1),
    }
}

fn of_route(prefix: &Prefix) -> u64 {
    let (family, addr) = match prefix.addr() {
        IpAddr::V4(addr) => (4, u128::from(addr.to_bits())),
        IpAddr::V6(addr) => (6, addr.to_bits()),
    };
    let words = [
        u64::from(prefix.fib().0) << 16 | family << 8 | u64::from(prefix.len()),
        (addr >> 64) as u64,
        addr as u64,
    ];
    let id = words.into_iter().fold(0, |id, word| mix(id ^ word));
    id.max(1)
}

/// Spreads every bit of a word over all of it. One to one, so that routes of a family and length keep apart.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ word >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let word = (word ^ word >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word ^ word >> 32
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::{StickyOf, of, of_route};
    use crate::ids::{FibId, GroupNo};
    use crate::prefix::Prefix;
    use std::collections::HashSet;

    #[test]
    fn destinations_have_ids_of_their_own_that_stay() {
        let lengths = (8..=32).map(|len| format!("10.0.0.0/{len}"));
        let hosts = (0..1000).map(|n| format!("192.0.{}.{}", n / 256, n % 256));
        let six = (0..=128).map(|len| format!("::/{len}"));
        let all: Vec<String> = lengths.chain(hosts).chain(six).collect();
        let id = |text: &String| of(&StickyOf::Route(text.parse().unwrap()));
        let groups = (1..1000).map(|n| of(&StickyOf::Group(GroupNo(n))));
        let ids: HashSet<u64> = all.iter().map(id).chain(groups).collect();
        assert_eq!(ids.len(), all.len() + 999);
        let net = "10.0.0.0/8".parse::<Prefix>().unwrap();
        assert_ne!(of_route(&net), of_route(&net.in_fib(FibId(1))));
        // Gateways of a pair, and of two releases, agree.
        assert_eq!(id(&"203.0.113.10".to_owned()), KNOWN);
    }

    const KNOWN: u64 = 16_598_711_199_404_880_211;
}
