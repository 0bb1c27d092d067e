//! Stamps: how a pinned flow learns that a route which may concern it has changed (design section 4).
//!
//! A pin keeps the stamp that was read before its route was looked up. A stamp is the 32-bit sum of the
//! counter of its destination's region (an IPv4 /16, or an IPv6 /32 hashed into 2^16 counters; salted by FIB) and of
//! the global counter of its family and FIB. Control publishes a change first and then bumps every counter that the changed
//! prefix covers, up to [`MOST_BUMPS`]; a shorter prefix bumps the global counter. So an unrelated change
//! costs most flows nothing, and no change is missed: a reader that sees the new stamp sees the new route.
//!
//! Control alone writes.

use crate::ids::FibId;
use crate::prefix::Prefix;
use crate::sync::{AtomicU32, Ordering};
use std::net::IpAddr;

/// Counters a family.
const REGIONS: usize = if cfg!(loom) { 2 } else { 1 << 16 };
/// FIBs that have a global counter of their own.
const FIBS: usize = if cfg!(loom) { 2 } else { FibId::MOST as usize };
/// Most counters that one change bumps one by one.
const MOST_BUMPS: u32 = 4096;

/// The counters of both families.
#[derive(Debug)]
pub(crate) struct Stamps {
    v4: Counters,
    v6: Counters,
}

#[derive(Debug)]
struct Counters {
    /// By FIB.
    globals: [AtomicU32; FIBS],
    regions: Box<[AtomicU32]>,
}

impl Counters {
    fn new() -> Self {
        Self {
            globals: std::array::from_fn(|_| AtomicU32::new(0)),
            regions: (0..REGIONS).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    #[inline]
    fn read(&self, fib: FibId, region: u16) -> u32 {
        let read = |counter: &AtomicU32| counter.load(Ordering::Acquire);
        let own = self.regions.get(usize::from(region ^ salt(fib)));
        let global = self.globals.get(usize::from(fib.0));
        own.map_or(0, read).wrapping_add(global.map_or(0, read))
    }

    fn bump_one(&self, fib: FibId, region: u16) {
        if let Some(counter) = self.regions.get(usize::from(region ^ salt(fib))) {
            bump(counter);
        }
    }

    fn bump_global(&self, fib: FibId) {
        if let Some(counter) = self.globals.get(usize::from(fib.0)) {
            bump(counter);
        }
    }
}

fn bump(counter: &AtomicU32) {
    // Release: what the stamp tells of was published before.
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Release,
    );
}

/// FIBs share the counters of regions, shifted against each other: a change in one seldom looks like one in another.
const fn salt(fib: FibId) -> u16 {
    (fib.0 as u16).wrapping_mul(0x9e37)
}

/// The counter of an IPv4 destination.
const fn region4(dst: u32) -> u16 {
    (dst >> 16) as u16
}

/// The counter of an IPv6 destination: its /32, hashed by a multiplication.
const fn region6(dst: u128) -> u16 {
    (((dst >> 96) as u32).wrapping_mul(0x9e37_79b1) >> 16) as u16
}

impl Stamps {
    pub(crate) fn new() -> Self {
        Self {
            v4: Counters::new(),
            v6: Counters::new(),
        }
    }

    /// The stamp of an IPv4 destination in a FIB.
    #[inline]
    pub(crate) fn read4(&self, fib: FibId, dst: u32) -> u32 {
        self.v4.read(fib, region4(dst))
    }

    /// The stamp of an IPv6 destination in a FIB.
    #[inline]
    pub(crate) fn read6(&self, fib: FibId, dst: u128) -> u32 {
        self.v6.read(fib, region6(dst))
    }

    /// Bumps the stamp of every destination in `prefix` (and, hashed or sharing a region, of some others).
    /// Control only, after the change has been published.
    pub(crate) fn bump(&self, prefix: &Prefix) {
        let fib = prefix.fib();
        match prefix.addr() {
            IpAddr::V4(addr) => {
                let covered = 1u32 << 16u8.saturating_sub(prefix.len());
                if covered > MOST_BUMPS {
                    return self.v4.bump_global(fib);
                }
                let first = region4(addr.to_bits());
                (0..covered).for_each(|i| self.v4.bump_one(fib, first.wrapping_add(i as u16)));
            }
            IpAddr::V6(addr) => {
                let covered = 1u64 << 32u8.saturating_sub(prefix.len());
                if covered > u64::from(MOST_BUMPS) {
                    return self.v6.bump_global(fib);
                }
                let first = addr.to_bits();
                (0..covered)
                    .for_each(|i| self.v6.bump_one(fib, region6(first | u128::from(i) << 96)));
            }
        }
    }

    /// Bumps the stamp of every destination of both families in all FIBs: a change that concerns many prefixes.
    pub(crate) fn bump_all(&self) {
        self.v4.globals.iter().for_each(bump);
        self.v6.globals.iter().for_each(bump);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    fn net(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    const FIB: FibId = FibId(0);

    #[test]
    fn fibs_have_counters_of_their_own_but_for_what_the_salt_brings_together() {
        let stamps = Stamps::new();
        stamps.bump(&net("10.1.2.3").in_fib(FibId(3)));
        stamps.bump(&net("0.0.0.0/0").in_fib(FibId(3)));
        stamps.bump(&net("::/0").in_fib(FibId(3)));
        for fib in (0..FibId::MOST).map(FibId) {
            let changed = u32::from(fib == FibId(3));
            assert_eq!(stamps.read4(fib, 0x0a01_0000), 2 * changed, "{fib}");
            assert_eq!(stamps.read6(fib, 7), changed, "{fib}");
        }
        assert_eq!(stamps.read4(FibId(200), 0), 0, "no such FIB");
    }

    #[test]
    fn a_host_route_bumps_its_own_region_only() {
        let stamps = Stamps::new();
        stamps.bump(&net("10.1.2.3"));
        assert_eq!(stamps.read4(FIB, 0x0a01_ffff), 1);
        assert_eq!(stamps.read4(FIB, 0x0a02_0000), 0);
        stamps.bump(&net("2001:db8::/48"));
        assert_eq!(stamps.read6(FIB, 0x2001_0db8 << 96 | 7), 1);
        assert_eq!(stamps.read6(FIB, 0x2001_0db9 << 96), 0);
    }

    #[test]
    fn every_address_of_a_changed_prefix_gets_a_new_stamp() {
        let mut rng = fastrand::Rng::with_seed(4);
        for len in 0..=128u8 {
            let addr6 = rng.u128(..);
            let prefix6 = Prefix::masked(IpAddr::V6(addr6.into()), len);
            let stamps = Stamps::new();
            stamps.bump(&prefix6);
            for _ in 0..64 {
                let inside = addr6 ^ (rng.u128(..) & !crate::prefix::mask6(len));
                assert_eq!(stamps.read6(FIB, inside), 1, "{prefix6}");
            }
            if len <= 32 {
                let addr4 = addr6 as u32;
                let prefix4 = Prefix::masked(IpAddr::V4(addr4.into()), len);
                stamps.bump(&prefix4);
                for _ in 0..64 {
                    let inside = addr4 ^ (rng.u32(..) & !crate::prefix::mask4(len));
                    assert_eq!(stamps.read4(FIB, inside), 1, "{prefix4}");
                }
            }
        }
    }

    #[test]
    fn a_prefix_that_covers_4096_regions_leaves_the_others_alone() {
        let stamps = Stamps::new();
        stamps.bump(&net("16.0.0.0/4"));
        assert_eq!(
            (
                stamps.read4(FIB, 0x1fff_ffff),
                stamps.read4(FIB, 0x2000_0000)
            ),
            (1, 0)
        );
        stamps.bump(&net("0.0.0.0/3"));
        assert_eq!(
            (
                stamps.read4(FIB, 0x1fff_ffff),
                stamps.read4(FIB, 0xffff_ffff)
            ),
            (2, 1)
        );
        assert_eq!(stamps.read6(FIB, 0), 0, "the other family");
        stamps.bump_all();
        assert_eq!((stamps.read4(FIB, 0), stamps.read6(FIB, 0)), (2, 1));
    }
}
