//! The routes and neighbours that the ways without a flow table look up: small, plain and immutable.
//!
//! One default route, as in the report, over one next hop or several. The lookup is as cheap as a lookup can be,
//! so that what is compared is the sharing. Invariant: routes are sorted longest prefix first.

use crate::traffic::{FiveTuple, Packet};

/// The index of the first next hop; the others follow.
pub(super) const FIRST_NHOP: u32 = 1;
/// The most next hops that there can be.
pub(crate) const MAX_NHOPS: usize = 64;
/// The prefix that route changes add and delete: no packet of the benchmark matches it.
const UNUSED: Route = Route {
    prefix: 0xf000_0000,
    mask: 0xffff_ff00,
    nhop: FIRST_NHOP,
    nhops: 1,
};
/// The hardware address of the port that leads to the next hops.
pub(super) const PORT_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xfe];

/// The hardware address of a next hop.
pub(super) const fn mac_of_nhop(nhop: u32) -> [u8; 6] {
    [0x02, 0, 0, 0, 0, nhop as u8]
}

/// What the link header of a packet by this next hop must become.
pub(super) fn link_by(nhop: u32) -> [u8; 14] {
    let mut link = [0; 14];
    write_link(&mut link, mac_of_nhop(nhop));
    link
}

/// Writes an Ethernet header for IPv4: destination, source, type.
#[inline]
pub(super) fn write_link(link: &mut [u8; 14], to: [u8; 6]) {
    link[..6].copy_from_slice(&to);
    link[6..12].copy_from_slice(&PORT_MAC);
    link[12..].copy_from_slice(&[0x08, 0x00]);
}

/// A hardware address as the low 48 bits of a word, so that it fits one atomic.
#[inline]
pub(super) const fn mac_word(mac: [u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = mac;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

/// The hardware address in the low 48 bits of `word`.
#[inline]
pub(super) const fn mac_of(word: u64) -> [u8; 6] {
    let [a, b, c, d, e, f, _, _] = word.to_le_bytes();
    [a, b, c, d, e, f]
}

/// A route: where packets for a prefix go.
#[derive(Clone, Copy, Debug)]
struct Route {
    prefix: u32,
    mask: u32,
    /// The first of its next hops, and how many there are.
    nhop: u32,
    nhops: u32,
}

/// A table of routes, and the neighbour behind each next hop.
#[derive(Clone, Debug)]
pub(super) struct Rtable {
    routes: Vec<Route>,
    /// By next hop index.
    neighbours: Vec<[u8; 6]>,
}

impl Rtable {
    /// One default route over the first `nhops` next hops.
    pub(super) fn with_default_route(nhops: usize) -> Self {
        let nhops = nhops as u32;
        Self {
            routes: vec![Route {
                prefix: 0,
                mask: 0,
                nhop: FIRST_NHOP,
                nhops,
            }],
            neighbours: (0..FIRST_NHOP + nhops).map(mac_of_nhop).collect(),
        }
    }

    /// Change of a route number `number`: one that no packet matches is added, or deleted again.
    pub(super) fn change(&mut self, number: u64) {
        if is_added(number) {
            self.routes.insert(0, UNUSED);
        } else {
            self.routes.retain(|route| route.mask != UNUSED.mask);
        }
    }

    /// Longest match: the next hop for a packet. One of several is chosen by the flow.
    #[inline]
    pub(super) fn lookup(&self, tuple: &FiveTuple) -> Option<u32> {
        let dst = tuple.dst;
        let route = self
            .routes
            .iter()
            .find(|route| dst & route.mask == route.prefix)?;
        Some(match route.nhops {
            1 => route.nhop,
            several => route.nhop + tuple.spread() % several,
        })
    }

    /// Next hop, then neighbour, then link header, written into `packet`. A packet without a route is
    /// left as it is.
    #[inline]
    pub(super) fn resolve(&self, packet: &mut Packet) {
        let Some(nhop) = self.lookup(&packet.tuple) else {
            return;
        };
        let Some(mac) = self.neighbours.get(nhop as usize) else {
            return;
        };
        packet.nhop = nhop;
        write_link(&mut packet.link, *mac);
    }
}

/// Whether change number `number` adds the route, or deletes it.
pub(super) fn is_added(number: u64) -> bool {
    number.is_multiple_of(2)
}

/// Whether the route of the changes matches `dst`. For a table that keeps it elsewhere.
#[inline]
pub(super) fn is_unused(dst: u32) -> bool {
    dst & UNUSED.mask == UNUSED.prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_are_spread_over_all_next_hops_and_changes_concern_none() {
        let mut table = Rtable::with_default_route(8);
        let flow = |n: u32| FiveTuple {
            src: 0x0a00_0000 + n,
            dst: 0x2000_0000,
            ..FiveTuple::default()
        };
        let hops = |table: &Rtable| (0..800).map(|n| table.lookup(&flow(n))).collect::<Vec<_>>();
        let before = hops(&table);
        for nhop in 1..=8 {
            let share = before.iter().filter(|hop| **hop == Some(nhop)).count();
            assert!((50..150).contains(&share), "{nhop}: {share}");
        }
        for number in 0..3 {
            table.change(number);
            assert_eq!(hops(&table), before);
        }
        assert_eq!(table.routes.len(), 2);
    }
}
