//! What a template is for: a client network under an affinity.

use crate::hash::{TableSecret, sip13};
use std::net::{IpAddr, Ipv6Addr};

/// A client network, and the affinity by which its flows share a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    affinity: u64,
    /// An IPv4 network is kept as `::ffff:0:0/96` has it.
    net: u128,
    len: u8,
}

/// Where IPv4 lies among IPv6 addresses (RFC 4291 §2.5.5.2).
const MAPPED_BITS: u8 = 96;

impl Client {
    /// The network of `len` bits (at most the family's) that `addr` is in.
    pub fn new(affinity: u64, addr: IpAddr, len: u8) -> Self {
        let (addr, len) = match addr {
            IpAddr::V4(addr) => (addr.to_ipv6_mapped().to_bits(), MAPPED_BITS + len.min(32)),
            IpAddr::V6(addr) => (addr.to_bits(), len.min(128)),
        };
        let host = u128::MAX.checked_shr(u32::from(len)).unwrap_or(0);
        Self {
            affinity,
            net: addr & !host,
            len,
        }
    }

    /// The affinity.
    pub const fn affinity(&self) -> u64 {
        self.affinity
    }

    /// The network's address and length.
    pub fn network(&self) -> (IpAddr, u8) {
        let addr = Ipv6Addr::from_bits(self.net);
        match (addr.to_ipv4_mapped(), self.len.checked_sub(MAPPED_BITS)) {
            (Some(addr), Some(len)) => (IpAddr::V4(addr), len),
            _ => (IpAddr::V6(addr), self.len),
        }
    }

    /// A keyed hash of all of it; never 0.
    pub(super) fn fingerprint(&self, secret: &TableSecret) -> u64 {
        let [affinity, high, low] = self.words();
        sip13(&secret.0, &[affinity, high, low, u64::from(self.len)]).max(1)
    }

    /// Affinity, and the two halves of the network's address.
    pub(super) const fn words(&self) -> [u64; 3] {
        [self.affinity, (self.net >> 64) as u64, self.net as u64]
    }

    /// The client that [`words`](Self::words) and [`len`](Self::len) are of.
    pub(super) fn from_words([affinity, high, low]: [u64; 3], len: u8) -> Self {
        Self {
            affinity,
            net: u128::from(high) << 64 | u128::from(low),
            len,
        }
    }

    /// Its length, as it is kept.
    pub(super) const fn len(&self) -> u8 {
        self.len
    }
}
