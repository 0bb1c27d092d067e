//! What other gateways would have done: three ways to choose a next hop, as pure functions.
//!
//! They are asked about the very flows of the demo, before and after the very same change, and only
//! counted for flows whose next hop stays: a flow of a next hop that is gone must move anyhow.
//!
//! - [`mod_n`]: FreeBSD's RADIX_MPATH, `(src xor dst) mod Σ weights`, addresses only.
//! - [`hash_threshold`]: RFC 2992: the hash's range cut into one region a next hop.
//! - [`Resilient`]: Linux's resilient groups: a fixed table of buckets; a bucket whose next hop stays moves only
//!   after 120 s without a packet (`idle_timer`), never by force (`unbalanced_timer` 0, both the defaults).

use std::net::{IpAddr, SocketAddr};

use super::addressing::ServerNo;

/// A connection's two ends as the gateway sees them: client, service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tuple {
    pub(crate) client: SocketAddr,
    pub(crate) service: SocketAddr,
}

/// A next hop of the route, with its weight (at least 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) server: ServerNo,
    pub(crate) weight: u32,
}

/// FreeBSD's choice: both addresses folded to 32 bits, xor, modulo the sum of the weights, then a walk over
/// the weights. Ports take no part. `None` without members.
pub(crate) fn mod_n(tuple: &Tuple, members: &[Member]) -> Option<ServerNo> {
    let hash = fold(tuple.client.ip()) ^ fold(tuple.service.ip());
    let total: u32 = members.iter().map(|m| m.weight).sum();
    let mut rest = hash.checked_rem(total)?;
    for member in members {
        match rest.checked_sub(member.weight) {
            Some(left) => rest = left,
            None => return Some(member.server),
        }
    }
    None
}

/// RFC 2992's choice: next hop `i` of `n` has the region of hashes between `i` and `i + 1` parts of `n`; with
/// weights, the regions are as wide as the weights. `None` without members.
pub(crate) fn hash_threshold(tuple: &Tuple, members: &[Member]) -> Option<ServerNo> {
    let total: u64 = members.iter().map(|m| u64::from(m.weight)).sum();
    let key = u64::from(tuple_hash(tuple));
    let mut upto = 0;
    members.iter().find_map(|member| {
        upto += u64::from(member.weight);
        // key / 2^32 < upto / total
        (key * total < upto << 32).then_some(member.server)
    })
}

/// Linux's resilient group: buckets with a memory.
#[derive(Clone, Debug)]
pub(crate) struct Resilient {
    buckets: Vec<Option<ServerNo>>,
}

impl Resilient {
    /// A group of `buckets` buckets, dealt to `members` by weight.
    pub(crate) fn new(buckets: usize, members: &[Member]) -> Self {
        let mut group = Self {
            buckets: vec![None; buckets],
        };
        group.change(members, &[]);
        group
    }

    /// The next hop of `tuple`'s bucket.
    pub(crate) fn place(&self, tuple: &Tuple) -> Option<ServerNo> {
        self.buckets.get(self.bucket(tuple)).copied().flatten()
    }

    /// The group gets these `members`; `flows` had a packet within the idle timer, so their buckets are
    /// busy: they stay where they are as long as that next hop is a member. Other buckets of a next hop
    /// that has too many, and all of one that is gone, go to those that have too few.
    pub(crate) fn change(&mut self, members: &[Member], flows: &[Tuple]) {
        let mut is_busy = vec![false; self.buckets.len()];
        for flow in flows {
            is_busy[self.bucket(flow)] = true;
        }
        let mut short = self.shortage(members);
        for (bucket, busy) in self.buckets.iter_mut().zip(is_busy) {
            let from = bucket.and_then(|server| members.iter().position(|m| m.server == server));
            if from.is_some_and(|i| busy || short[i] >= 0) {
                continue;
            }
            let Some(to) = short.iter().position(|&missing| missing > 0) else {
                continue;
            };
            *bucket = Some(members[to].server);
            short[to] -= 1;
            if let Some(from) = from {
                short[from] += 1;
            }
        }
    }

    /// Buckets that each member is short of (negative: has too many), rounded as Linux does it: each
    /// member's share ends at the rounded sum of the weights up to it.
    fn shortage(&self, members: &[Member]) -> Vec<i64> {
        let total: u64 = members.iter().map(|m| u64::from(m.weight)).sum();
        let (mut weights, mut dealt) = (0, 0);
        let share = |member: &Member| {
            weights += u64::from(member.weight);
            let upto = (self.buckets.len() as u64 * weights + total / 2) / total.max(1);
            let wanted = upto - dealt;
            dealt = upto;
            let has = self
                .buckets
                .iter()
                .filter(|&&b| b == Some(member.server))
                .count();
            wanted as i64 - has as i64
        };
        members.iter().map(share).collect()
    }

    fn bucket(&self, tuple: &Tuple) -> usize {
        tuple_hash(tuple) as usize % self.buckets.len().max(1)
    }
}

/// An address in 32 bits: IPv6 by the xor of its four words.
fn fold(addr: IpAddr) -> u32 {
    match addr {
        IpAddr::V4(addr) => u32::from(addr),
        IpAddr::V6(addr) => {
            let bits = u128::from(addr);
            [96, 64, 32, 0]
                .iter()
                .fold(0, |folded, shift| folded ^ (bits >> shift) as u32)
        }
    }
}

/// A well-mixed hash of the whole tuple, for the two models that hash ports too: both ends through the
/// finaliser of splitmix64, word by word.
fn tuple_hash(tuple: &Tuple) -> u32 {
    let mut hash = 0;
    for end in [tuple.client, tuple.service] {
        let addr = match end.ip() {
            IpAddr::V4(addr) => u128::from(u32::from(addr)),
            IpAddr::V6(addr) => u128::from(addr),
        };
        for word in [(addr >> 64) as u64, addr as u64, u64::from(end.port())] {
            hash = mix(hash ^ word);
        }
    }
    (hash >> 32) as u32
}

fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::addressing::{ECHO_PORT, SERVICE4, SERVICE6, client4, client6};

    fn members(servers: impl IntoIterator<Item = u8>) -> Vec<Member> {
        servers
            .into_iter()
            .map(|no| Member {
                server: ServerNo(no),
                weight: 1,
            })
            .collect()
    }

    fn tuples(n: u32) -> Vec<Tuple> {
        let v4 = (0..n / 2).map(|i| Tuple {
            client: (client4(i), 40_000 + i as u16).into(),
            service: (SERVICE4, ECHO_PORT).into(),
        });
        let v6 = (0..n / 2).map(|i| Tuple {
            client: (client6(i), 40_000 + i as u16).into(),
            service: (SERVICE6, ECHO_PORT).into(),
        });
        v4.chain(v6).collect()
    }

    /// Percent of the flows that move between two member lists, of those whose next hop is in both.
    fn moved(
        tuples: &[Tuple],
        place: impl Fn(&Tuple, &[Member]) -> Option<ServerNo>,
        before: &[Member],
        after: &[Member],
    ) -> (f64, f64) {
        let stays = |s: Option<ServerNo>| after.iter().any(|m| Some(m.server) == s);
        let all = tuples
            .iter()
            .filter(|t| place(t, before) != place(t, after))
            .count();
        let kept: Vec<_> = tuples.iter().filter(|t| stays(place(t, before))).collect();
        let of_kept = kept
            .iter()
            .filter(|t| place(t, before) != place(t, after))
            .count();
        let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole as f64;
        (percent(all, tuples.len()), percent(of_kept, kept.len()))
    }

    #[test]
    fn mod_n_moves_three_quarters_of_all_flows_from_four_next_hops_to_three() {
        let (all, kept) = moved(&tuples(4000), mod_n, &members(0..4), &members(0..3));
        assert!((all - 75.0).abs() < 3.0, "{all} %");
        assert!(
            (kept - 200.0 / 3.0).abs() < 3.0,
            "{kept} % of those whose next hop stays"
        );
    }

    #[test]
    fn mod_n_is_the_remainder_of_the_xored_addresses() {
        let tuple = Tuple {
            client: "0.0.0.12:1".parse().unwrap(),
            service: "0.0.0.1:2".parse().unwrap(),
        };
        assert_eq!(mod_n(&tuple, &members(0..5)), Some(ServerNo(13 % 5)));
        let v6 = Tuple {
            client: "1:2::7:1:0:8"
                .parse::<std::net::Ipv6Addr>()
                .map(|a| (a, 1).into())
                .unwrap(),
            service: "[::1]:2".parse().unwrap(),
        };
        let folded = 0x0001_0002 ^ 0x0007_0001 ^ 0x0008 ^ 0x0001;
        assert_eq!(
            mod_n(&v6, &members(0..5)),
            Some(ServerNo((folded % 5) as u8))
        );
        assert_eq!(mod_n(&tuple, &[]), None);
    }

    #[test]
    fn mod_n_walks_the_weights() {
        let weighted = [
            Member {
                server: ServerNo(0),
                weight: 3,
            },
            Member {
                server: ServerNo(1),
                weight: 1,
            },
        ];
        for last in 0..8u32 {
            let tuple = Tuple {
                client: (std::net::Ipv4Addr::from(last), 1).into(),
                service: "0.0.0.0:2".parse().unwrap(),
            };
            let expected = if last % 4 < 3 {
                ServerNo(0)
            } else {
                ServerNo(1)
            };
            assert_eq!(mod_n(&tuple, &weighted), Some(expected));
        }
    }

    #[test]
    fn hash_threshold_moves_between_a_quarter_and_a_half_as_rfc_2992_says() {
        let tuples = tuples(20_000);
        // RFC 2992 section 2: adding at an end disrupts 1/2 of all, in the middle 1/4 + 1/(4n).
        let (end, _) = moved(&tuples, hash_threshold, &members(0..5), &members(0..6));
        assert!((end - 50.0).abs() < 2.0, "{end} %");
        let middle = members([0, 1, 5, 2, 3]);
        let (all, _) = moved(&tuples, hash_threshold, &members([0, 1, 2, 3]), &middle);
        assert!((all - 30.0).abs() < 2.0, "{all} %");
    }

    #[test]
    fn hash_threshold_gives_regions_by_weight_and_nothing_to_nobody() {
        let tuples = tuples(20_000);
        let mut weighted = members(0..2);
        weighted[0].weight = 3;
        let first = tuples
            .iter()
            .filter(|t| hash_threshold(t, &weighted) == Some(ServerNo(0)))
            .count();
        assert!(
            (first as f64 / 20_000.0 - 0.75).abs() < 0.02,
            "{first} of 20000"
        );
        assert_eq!(hash_threshold(&tuples[0], &[]), None);
    }

    #[test]
    fn resilient_buckets_are_dealt_by_weight() {
        let mut weighted = members(0..3);
        weighted[1].weight = 2;
        let group = Resilient::new(128, &weighted);
        let count = |no| {
            group
                .buckets
                .iter()
                .filter(|&&b| b == Some(ServerNo(no)))
                .count()
        };
        assert_eq!([count(0), count(1), count(2)], [32, 64, 32]);
    }

    #[test]
    fn resilient_buckets_keep_busy_flows_while_their_next_hop_is_a_member() {
        let flows = tuples(400);
        let mut group = Resilient::new(128, &members(0..5));
        let before: Vec<_> = flows.iter().map(|t| group.place(t)).collect();
        group.change(&members(0..6), &flows);
        assert!(flows.iter().zip(&before).all(|(t, &b)| group.place(t) == b));
        let added = group
            .buckets
            .iter()
            .filter(|&&b| b == Some(ServerNo(5)))
            .count();
        assert!(
            added > 0 && added < 128 / 6,
            "idle buckets move, busy ones do not: {added}"
        );
        group.change(&members([0, 1, 2, 3, 5]), &flows);
        for (flow, &before) in flows.iter().zip(&before) {
            assert_eq!(group.place(flow) == before, before != Some(ServerNo(4)));
        }
    }

    #[test]
    fn a_resilient_group_without_members_places_nothing() {
        let flows = tuples(2);
        assert_eq!(Resilient::new(128, &[]).place(&flows[0]), None);
        assert_eq!(Resilient::new(0, &members(0..2)).place(&flows[0]), None);
    }
}
