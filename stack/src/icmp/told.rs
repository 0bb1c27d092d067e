//! Who was told lately of a shorter way: a host that does not listen is told of one destination seldom (RFC 4861 §8.2).
//!
//! A table of a fixed size, by a keyed hash. Overflow: the later pair takes the place, and the earlier one may be told again
//! early; the buckets of [`super::Limits`] bound what comes of that.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;
use std::net::IpAddr;

/// Pairs of a host and a destination that are remembered at most.
const PAIRS: usize = 512;

/// A host and a destination, as the table knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair(u64);

/// The pairs of one worker.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// The pair, and until when it is not told again, ms.
    slots: Box<[(Pair, u64)]>,
    pause_ms: u64,
    seed: u64,
}

impl Told {
    /// Nobody was told; `seed` decides which pairs share a place.
    pub(super) fn new(pause_ms: u64, seed: u64) -> Self {
        Self {
            slots: vec![(Pair(0), 0); PAIRS].into(),
            pause_ms,
            seed,
        }
    }

    /// Another pause for those that are told from now on.
    pub(super) fn set_pause(&mut self, ms: u64) {
        self.pause_ms = ms;
    }

    pub(super) fn pair(&self, host: IpAddr, dst: IpAddr) -> Pair {
        let mut hasher = SipHasher13::new_with_keys(self.seed, u64::from(host.is_ipv6()));
        for addr in [host, dst] {
            match addr {
                IpAddr::V4(addr) => hasher.write_u32(addr.to_bits()),
                IpAddr::V6(addr) => hasher.write(&addr.octets()),
            }
        }
        Pair(hasher.finish())
    }

    /// Whether that host was told of that destination lately.
    pub(super) fn lately(&self, pair: Pair, now_ms: u64) -> bool {
        let (known, until) = self.slots[Self::place(pair)];
        known == pair && now_ms < until
    }

    /// It is told now.
    pub(super) fn note(&mut self, pair: Pair, now_ms: u64) {
        self.slots[Self::place(pair)] = (pair, now_ms.saturating_add(self.pause_ms));
    }

    fn place(pair: Pair) -> usize {
        (pair.0 % PAIRS as u64) as usize
    }
}
