//! Stamps: how a pinned flow learns that a route which may concern it has changed (design section 4).
//!
//! A pin keeps the stamp that was read before its route was looked up. A stamp is the 32-bit sum of three counters of its
//! destination: that of its net (IPv4 /24, IPv6 /48), that of its region (/16, /32) and the global one of its family and
//! FIB. Control publishes a change first and then bumps the counters of the nets that the changed prefix covers if they are
//! few, else those of its regions, else the global one. So an unrelated change costs most flows nothing, and no change is
//! missed: a reader that sees the new stamp sees the new route.
//!
//! A region says whether any net in it was ever counted (its lowest bit), so that where routes are few or short the
//! nets are not read. Nets and IPv6 regions are hashed, and all salted by FIB; what shares a counter is looked up once too often. With the
//! regions alone a change in a full table was felt by 3 of 32,768 IPv4 flows and by 84 IPv6 flows, for a few /32s hold
//! thousands of routes; with the nets by 1 and by 5.
//!
//! Control alone writes.

use crate::ids::FibId;
use crate::prefix::Prefix;
use crate::sync::{AtomicU32, Ordering};
use std::net::IpAddr;

/// Counters of regions, and of nets, a family.
const REGIONS: u32 = if cfg!(loom) { 1 } else { 16 };
const NETS: u32 = if cfg!(loom) { 1 } else { 17 };
/// FIBs that have a global counter of their own.
const FIBS: usize = if cfg!(loom) { 2 } else { FibId::MOST as usize };
/// Most counters of regions that one change bumps one by one.
const MOST_REGIONS: u8 = 12;

/// In a region's counter: its nets count too. The counter goes up by the step above it.
const HAS_NETS: u32 = 1;
const REGION_STEP: u32 = 2;

/// Reads stamps, of one flow or of all of a burst, and only then looks up the routes that they are to vouch for; `routes` is
/// given what `stamps` read, so it cannot come first.
///
/// Every pin with a stamp is chosen through here, and the model of a burst beside a change of routes runs it too.
#[inline(always)]
pub fn stamps_then_routes<W: ?Sized, S, R>(
    world: &mut W,
    stamps: impl FnOnce(&mut W) -> S,
    routes: impl FnOnce(&mut W, S) -> R,
) -> R {
    let read = stamps(world);
    routes(world, read)
}

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
    nets: Box<[AtomicU32]>,
}

/// Where the counters of a destination are.
#[derive(Clone, Copy)]
struct Place {
    region: u32,
    net: u32,
}

/// How a family is divided.
struct Scale {
    /// Prefix lengths of a region and of a net.
    region: u8,
    net: u8,
    /// A change bumps up to two to the power of this many nets.
    most_nets: u8,
}

/// /20 and longer are changes of nets: most of a full table.
const V4: Scale = Scale {
    region: 16,
    net: 24,
    most_nets: 4,
};
/// /42 and longer.
const V6: Scale = Scale {
    region: 32,
    net: 48,
    most_nets: 6,
};

/// Whose counters a change bumps.
enum Reach {
    /// This many nets from the first.
    Nets(u32),
    Regions(u32),
    All,
}

impl Scale {
    fn reach(&self, len: u8) -> Reach {
        let (nets, regions) = (
            self.net.saturating_sub(len),
            self.region.saturating_sub(len),
        );
        if nets <= self.most_nets {
            Reach::Nets(1 << nets)
        } else if regions <= MOST_REGIONS {
            Reach::Regions(1 << regions)
        } else {
            Reach::All
        }
    }
}

impl Reach {
    /// How far apart two neighbouring nets or regions are in an address of `bits` bits, as a power of two.
    const fn step(&self, bits: u32, scale: &Scale) -> u32 {
        match self {
            Self::Nets(_) => bits - scale.net as u32,
            Self::Regions(_) | Self::All => bits - scale.region as u32,
        }
    }
}

impl Counters {
    fn new() -> Self {
        let counters = |bits| (0..1u32 << bits).map(|_| AtomicU32::new(0)).collect();
        Self {
            globals: std::array::from_fn(|_| AtomicU32::new(0)),
            regions: counters(REGIONS),
            nets: counters(NETS),
        }
    }

    #[inline]
    fn read(&self, fib: FibId, at: Place) -> u32 {
        let read = |counter: Option<&AtomicU32>| counter.map_or(0, |c| c.load(Ordering::Acquire));
        let region = read(self.regions.get(at.region as usize));
        let net = match region & HAS_NETS {
            0 => 0,
            _ => read(self.nets.get(at.net as usize)),
        };
        let global = read(self.globals.get(usize::from(fib.0)));
        region.wrapping_add(net).wrapping_add(global)
    }

    /// Bumps what a change reaches; `place` tells the place of the destination that is so many nets or regions after
    /// the first.
    fn bump(&self, fib: FibId, reach: &Reach, place: impl Fn(u32) -> Place) {
        match *reach {
            Reach::Nets(n) => {
                (0..n).for_each(|i| bump(self.nets.get(place(i).net as usize), 1));
                self.tell_of_nets(place(0).region);
            }
            Reach::Regions(n) => {
                (0..n).for_each(|i| bump(self.regions.get(place(i).region as usize), REGION_STEP));
            }
            Reach::All => bump(self.globals.get(usize::from(fib.0)), 1),
        }
    }

    /// Has readers read the nets of this region too. The first time the bit is a change of the whole region's stamp: who
    /// read it before looks its route up once more.
    fn tell_of_nets(&self, region: u32) {
        let region = self.regions.get(region as usize);
        if region.is_some_and(|r| r.load(Ordering::Relaxed) & HAS_NETS == 0) {
            bump(region, HAS_NETS);
        }
    }
}

fn bump(counter: Option<&AtomicU32>, by: u32) {
    if let Some(counter) = counter {
        // Release: what the stamp tells of was published before.
        let next = counter.load(Ordering::Relaxed).wrapping_add(by);
        counter.store(next, Ordering::Release);
    }
}

/// FIBs share the counters, shifted against each other: a change in one seldom looks like one in another.
const fn salt(fib: FibId) -> u32 {
    (fib.0 as u32).wrapping_mul(0x9e37) & 0xffff
}

/// The first `bits` of a multiplicative hash.
const fn hashed(number: u64, bits: u32) -> u32 {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as u32
}

#[inline]
const fn place4(fib: FibId, dst: u32) -> Place {
    Place {
        region: dst >> 16 ^ salt(fib),
        net: hashed((dst >> 8) as u64, NETS) ^ salt(fib),
    }
}

#[inline]
const fn place6(fib: FibId, dst: u128) -> Place {
    Place {
        region: hashed((dst >> 96) as u64, REGIONS) ^ salt(fib),
        net: hashed((dst >> 80) as u64, NETS) ^ salt(fib),
    }
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
        self.v4.read(fib, place4(fib, dst))
    }

    /// The stamp of an IPv6 destination in a FIB.
    #[inline]
    pub(crate) fn read6(&self, fib: FibId, dst: u128) -> u32 {
        self.v6.read(fib, place6(fib, dst))
    }

    /// Bumps the stamp of every destination in `prefix` (and of some others: see the head of this file).
    /// Control only, after the change has been published.
    pub(crate) fn bump(&self, prefix: &Prefix) {
        let fib = prefix.fib();
        match prefix.addr() {
            IpAddr::V4(addr) => {
                let reach = V4.reach(prefix.len());
                let step = reach.step(32, &V4);
                self.v4
                    .bump(fib, &reach, |i| place4(fib, addr.to_bits() | i << step));
            }
            IpAddr::V6(addr) => {
                let reach = V6.reach(prefix.len());
                let step = reach.step(128, &V6);
                self.v6.bump(fib, &reach, |i| {
                    place6(fib, addr.to_bits() | u128::from(i) << step)
                });
            }
        }
    }

    /// Bumps the stamp of every destination of both families in all FIBs: a change that concerns many prefixes.
    pub(crate) fn bump_all(&self) {
        for counters in [&self.v4, &self.v6] {
            counters.globals.iter().for_each(|c| bump(Some(c), 1));
        }
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
            // The net, its region's first word of nets, and the FIB.
            assert_eq!(stamps.read4(fib, 0x0a01_0200), 3 * changed, "{fib}");
            assert_eq!(stamps.read6(fib, 7), changed, "{fib}");
        }
        assert_eq!(stamps.read4(FibId(200), 0), 0, "no such FIB");
    }

    #[test]
    fn a_region_is_asked_once_more_when_its_first_net_changes() {
        let stamps = Stamps::new();
        stamps.bump(&net("10.1.2.3"));
        assert_eq!(stamps.read4(FIB, 0x0a01_02ff), 2);
        assert_eq!(stamps.read4(FIB, 0x0a01_0300), 1);
        assert_eq!(stamps.read4(FIB, 0x0a02_0200), 0);
        stamps.bump(&net("10.1.2.0/24"));
        assert_eq!(stamps.read4(FIB, 0x0a01_02ff), 3);
        assert_eq!(stamps.read4(FIB, 0x0a01_0300), 1);
        stamps.bump(&net("2001:db8::/48"));
        assert_eq!(stamps.read6(FIB, 0x2001_0db8 << 96 | 7), 2);
        assert_eq!(stamps.read6(FIB, 0x2001_0db8_0001 << 80), 1);
    }

    #[test]
    fn a_prefix_of_many_nets_bumps_its_region() {
        let stamps = Stamps::new();
        stamps.bump(&net("10.1.0.0/19"));
        assert_eq!(stamps.read4(FIB, 0x0a01_ffff), REGION_STEP);
        assert_eq!(stamps.read4(FIB, 0x0a02_0000), 0);
        stamps.bump(&net("2001:db8::/41"));
        assert_eq!(stamps.read6(FIB, 0x2001_0db8_ffff << 80), REGION_STEP);
        assert_eq!(stamps.read6(FIB, 0x2001_0db9 << 96), 0);
    }

    #[test]
    fn one_change_of_a_full_table_is_felt_by_few_nets() {
        let stamps = Stamps::new();
        (0..1u32 << 16)
            .for_each(|n| stamps.bump(&Prefix::masked(IpAddr::V4((n << 16).into()), 24)));
        let all = || (0..1u32 << 20).map(|n| stamps.read4(FIB, n << 12));
        let before: Vec<u32> = all().collect();
        stamps.bump(&net("10.1.16.0/20"));
        let felt = all().zip(before).filter(|(now, before)| now != before);
        // 16 of 2^17 counters.
        let felt = felt.count();
        assert!((1..=256).contains(&felt), "{felt} of 2^20 nets");
    }

    #[test]
    fn every_address_of_a_changed_prefix_gets_a_new_stamp() {
        let mut rng = fastrand::Rng::with_seed(4);
        for len in 0..=128u8 {
            let addr6 = rng.u128(..);
            let prefix6 = Prefix::masked(IpAddr::V6(addr6.into()), len);
            let stamps = Stamps::new();
            // The first change of a region and later ones.
            for _ in 0..2 {
                let inside = [(); 64].map(|()| addr6 ^ (rng.u128(..) & !crate::prefix::mask6(len)));
                let before = inside.map(|addr| stamps.read6(FIB, addr));
                stamps.bump(&prefix6);
                for (addr, before) in inside.into_iter().zip(before) {
                    assert!(stamps.read6(FIB, addr) > before, "{prefix6}");
                }
            }
            if len <= 32 {
                let addr4 = addr6 as u32;
                let prefix4 = Prefix::masked(IpAddr::V4(addr4.into()), len);
                for _ in 0..2 {
                    let inside =
                        [(); 64].map(|()| addr4 ^ (rng.u32(..) & !crate::prefix::mask4(len)));
                    let before = inside.map(|addr| stamps.read4(FIB, addr));
                    stamps.bump(&prefix4);
                    for (addr, before) in inside.into_iter().zip(before) {
                        assert!(stamps.read4(FIB, addr) > before, "{prefix4}");
                    }
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
            (REGION_STEP, 0)
        );
        stamps.bump(&net("0.0.0.0/3"));
        assert_eq!(
            (
                stamps.read4(FIB, 0x1fff_ffff),
                stamps.read4(FIB, 0xffff_ffff)
            ),
            (REGION_STEP + 1, 1)
        );
        assert_eq!(stamps.read6(FIB, 0), 0, "the other family");
        stamps.bump_all();
        assert_eq!((stamps.read4(FIB, 0), stamps.read6(FIB, 0)), (2, 1));
    }
}
