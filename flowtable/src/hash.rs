//! The three hashes of a flow, and the two secrets that key them.
//!
//! | hash | keyed by | decides | covers |
//! |---|---|---|---|
//! | [`flow_hash`] | table secret | the place in the table and its tag | the whole key |
//! | [`bucket_hash`] | group secret | the bucket of a next-hop group | the key without the FIB |
//! | [`OwnerHash`] | table secret | the owner slot, hence the worker | the 5-tuple, either way round |
//!
//! The first two are SipHash-1-3 over the canonical key's words in little-endian order, so a bucket is the
//! same on every machine and after every restart as long as the group secret is. The owner hash is a keyed
//! multiply and shift of a symmetric sum over the two ends, simple enough for a kernel to run it as a
//! steering program; an attacker who could steer it would gain no more than an unevenly loaded worker.
//! Its keys are mixed out of the table secret, so that seeing who owns what is not seeing the secret.

use crate::key::{FIB_MASK, Key};
use crate::sip::halves;
pub(crate) use crate::sip::sip13;
use std::fmt::{self, Debug, Formatter};

/// Keys the place of flows in the table; fresh at every start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TableSecret(pub [u8; 16]);

/// Keys the choice of a group's bucket; generated once per installation and kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GroupSecret(pub [u8; 16]);

impl Debug for TableSecret {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("TableSecret(..)")
    }
}

impl Debug for GroupSecret {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("GroupSecret(..)")
    }
}

/// The hash that places a flow in its slot's sub-table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowHash(pub u64);

/// Owner slots: each has a sub-table of its own and maps to one worker.
pub const SLOTS: usize = 256;

/// An owner slot, below [`SLOTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotNo(pub u16);

/// Hashes a canonical key for its place in the table.
#[inline]
pub fn flow_hash<K: Key>(secret: &TableSecret, key: &K) -> FlowHash {
    FlowHash(sip13(&secret.0, key.words().as_ref()))
}

/// Hashes a canonical key for its bucket in a next-hop group. The FIB is left out: a group is one choice
/// whichever table led to it.
#[inline]
pub fn bucket_hash<K: Key>(secret: &GroupSecret, key: &K) -> u64 {
    let mut words = key.words();
    if let Some(last) = words.as_mut().last_mut() {
        *last &= !FIB_MASK;
    }
    sip13(&secret.0, words.as_ref())
}

/// The keys of the owner function, derived once from the table secret.
///
/// `slot = top 8 bits of (f(a, port a) + f(b, port b) + protocol) * last`, all modulo 2^64, where
/// `f(addr, port) = x ^ x >> 32` with `x = (word(addr) + addr_key) * (port + port_key)`; `word` is the
/// identity for IPv4 and `high * high_key + low * low_key` for IPv6. The xor is there because without it the
/// keys would cancel out in a pair of ends of which one rises by what the other falls.
#[derive(Clone, Copy)]
pub struct OwnerHash {
    addr: u64,
    port: u64,
    high: u64,
    low: u64,
    last: u64,
}

impl OwnerHash {
    /// Derives the keys.
    #[inline]
    pub fn new(secret: &TableSecret) -> Self {
        let (k0, k1) = halves(&secret.0);
        // Neither half of the secret can be had from one key: each mixes both.
        let key = |n: u64| mix(k0 ^ n).wrapping_add(mix(k1.rotate_left(32) ^ !n));
        Self {
            addr: key(1),
            port: key(2),
            high: key(3) | 1,
            low: key(4) | 1,
            last: key(5) | 1,
        }
    }

    /// The keys, for a program that computes the same elsewhere: of addresses, ports, an IPv6 address's high and low
    /// half, and the last one. They are as secret as the function.
    pub fn keys(&self) -> [u64; 5] {
        [self.addr, self.port, self.high, self.low, self.last]
    }

    /// The owner slot of an IPv4 flow; the same for both directions.
    #[inline]
    pub fn slot4(&self, proto: u8, a: u32, ap: u16, b: u32, bp: u16) -> SlotNo {
        self.slot(proto, (u64::from(a), ap), (u64::from(b), bp))
    }

    /// The owner slot of an IPv6 flow; the same for both directions.
    #[inline]
    pub fn slot6(&self, proto: u8, a: u128, ap: u16, b: u128, bp: u16) -> SlotNo {
        self.slot(proto, (self.word(a), ap), (self.word(b), bp))
    }

    fn word(&self, addr: u128) -> u64 {
        let (high, low) = ((addr >> 64) as u64, addr as u64);
        high.wrapping_mul(self.high)
            .wrapping_add(low.wrapping_mul(self.low))
    }

    fn slot(&self, proto: u8, a: (u64, u16), b: (u64, u16)) -> SlotNo {
        let sum = self
            .end(a)
            .wrapping_add(self.end(b))
            .wrapping_add(u64::from(proto));
        SlotNo((sum.wrapping_mul(self.last) >> (64 - SLOTS.trailing_zeros())) as u16)
    }

    fn end(&self, (addr, port): (u64, u16)) -> u64 {
        let x = addr
            .wrapping_add(self.addr)
            .wrapping_mul(u64::from(port).wrapping_add(self.port));
        x ^ x >> 32
    }
}

/// Spreads every bit of a word over all of it (two rounds of multiply and xor-shift).
fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let word = (word ^ word >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word ^ word >> 32
}

/// The owner slot of an IPv4 flow (design section 3): symmetric in the two ends, without the FIB.
#[inline]
pub fn owner_slot4(secret: &TableSecret, proto: u8, a: u32, ap: u16, b: u32, bp: u16) -> SlotNo {
    OwnerHash::new(secret).slot4(proto, a, ap, b, bp)
}

/// As [`owner_slot4`], for IPv6.
#[inline]
pub fn owner_slot6(secret: &TableSecret, proto: u8, a: u128, ap: u16, b: u128, bp: u16) -> SlotNo {
    OwnerHash::new(secret).slot6(proto, a, ap, b, bp)
}

#[cfg(test)]
#[path = "hash_tests.rs"]
mod tests;
