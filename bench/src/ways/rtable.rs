//! The routes and neighbours that the ways without a flow table look up: small, plain and immutable.
//!
//! One default route, as in the report. The lookup is as cheap as a lookup can be, so that what is
//! compared is the sharing. Invariant: routes are sorted longest prefix first.

use crate::traffic::Packet;

/// The index of the only next hop.
pub(super) const GATEWAY_NHOP: u32 = 1;
/// The gateway's hardware address.
pub(super) const GATEWAY_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
/// The hardware address of the port that leads to it.
pub(super) const PORT_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xfe];

/// What every packet's link header must become.
pub(super) fn gateway_link() -> [u8; 14] {
    let mut link = [0; 14];
    write_link(&mut link, GATEWAY_MAC);
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
    nhop: u32,
}

/// A table of routes, and the neighbour behind each next hop.
#[derive(Clone, Debug)]
pub(super) struct Rtable {
    routes: Vec<Route>,
    /// By next hop index.
    neighbours: Vec<[u8; 6]>,
}

impl Rtable {
    /// One default route through one gateway.
    pub(super) fn with_default_route() -> Self {
        Self {
            routes: vec![Route {
                prefix: 0,
                mask: 0,
                nhop: GATEWAY_NHOP,
            }],
            neighbours: vec![[0; 6], GATEWAY_MAC],
        }
    }

    /// Longest match: the next hop for `dst`.
    #[inline]
    pub(super) fn lookup(&self, dst: u32) -> Option<u32> {
        let route = self
            .routes
            .iter()
            .find(|route| dst & route.mask == route.prefix)?;
        Some(route.nhop)
    }

    /// Next hop, then neighbour, then link header, written into `packet`. A packet without a route is
    /// left as it is.
    #[inline]
    pub(super) fn resolve(&self, packet: &mut Packet) {
        let Some(nhop) = self.lookup(packet.tuple.dst) else {
            return;
        };
        let Some(mac) = self.neighbours.get(nhop as usize) else {
            return;
        };
        packet.nhop = nhop;
        write_link(&mut packet.link, *mac);
    }
}
