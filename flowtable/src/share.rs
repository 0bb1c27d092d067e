//! How many flows each source network holds, so that one cannot take a table that is under pressure for itself.
//!
//! A network is a /24 of IPv4, a /56 of IPv6. There are too many for a counter each: a network has two of some
//! thousands, placed by keyed hashes, and holds at most what the smaller one says. So a count is never too small, and
//! whoever does not know the keys cannot make another's count large by choosing networks that share both counters.
//! The counters are the writer's own; a flow's source is its opener.

use crate::hash::TableSecret;
use crate::sip::halves;
use std::cell::Cell;

/// Log2 of the counters in a row.
const BITS: u32 = 13;

/// Counters of a row.
const COUNTERS: usize = 1 << BITS;

/// Counts of flows by source network, of one writer.
pub(crate) struct Shares {
    rows: [Box<[Cell<u32>; COUNTERS]>; 2],
    keys: [(u64, u64); 2],
}

impl Shares {
    /// No flows yet. The keys come from the table's secret.
    pub(crate) fn new(secret: &TableSecret) -> Self {
        let (k0, k1) = halves(&secret.0);
        let row = || Box::new([const { Cell::new(0) }; COUNTERS]);
        let key = |n: u64| {
            let add = mix(k0 ^ n).wrapping_add(mix(k1.rotate_left(17) ^ !n));
            (add, mix(add ^ k1) | 1)
        };
        Self {
            rows: [row(), row()],
            keys: [key(0x51), key(0x52)],
        }
    }

    /// No flows again.
    pub(crate) fn clear(&self) {
        let cells = self.rows.iter().flat_map(|row| row.iter());
        cells.for_each(|cell| cell.set(0));
    }

    /// What a network holds.
    #[inline]
    pub(crate) fn of(&self, network: u64) -> Held<'_> {
        Held(std::array::from_fn(|row| {
            let (add, odd) = self.keys[row];
            let mixed = network.wrapping_add(add).wrapping_mul(odd);
            // Every bit of the network reaches the high ones after the second multiplication.
            let mixed = (mixed ^ mixed >> 32).wrapping_mul(odd);
            &self.rows[row][(mixed >> (64 - BITS)) as usize]
        }))
    }
}

/// A network's counters.
#[derive(Clone, Copy)]
pub(crate) struct Held<'s>([&'s Cell<u32>; 2]);

impl Held<'_> {
    /// At most how many flows the network has.
    #[inline]
    pub(crate) fn flows(self) -> u32 {
        let [a, b] = self.0.map(Cell::get);
        a.min(b)
    }

    /// It has one more.
    #[inline]
    pub(crate) fn add(self) {
        for cell in self.0 {
            cell.set(cell.get().saturating_add(1));
        }
    }

    /// One less.
    #[inline]
    pub(crate) fn remove(self) {
        for cell in self.0 {
            cell.set(cell.get().saturating_sub(1));
        }
    }
}

fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    word ^ word >> 29
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_count_is_never_too_small_and_seldom_too_large() {
        let shares = Shares::new(&TableSecret([3; 16]));
        let (mut rng, mut truth) = (fastrand::Rng::with_seed(41), HashMap::<u64, u32>::new());
        for _ in 0..50_000 {
            let network = rng.u64(0..2000) << 3;
            let held = truth.entry(network).or_default();
            if rng.u8(..3) == 0 && *held > 0 {
                *held -= 1;
                shares.of(network).remove();
            } else {
                *held += 1;
                shares.of(network).add();
            }
        }
        let over = |(network, held): (&u64, &u32)| {
            assert!(shares.of(*network).flows() >= *held);
            shares.of(*network).flows() - held
        };
        let wrong = truth.iter().map(over).filter(|over| *over > 0).count();
        assert!(wrong * 10 < truth.len(), "{wrong} of {}", truth.len());
        for (network, held) in truth {
            (0..held).for_each(|_| shares.of(network).remove());
        }
        let empty = |row: &[Cell<u32>; COUNTERS]| row.iter().all(|cell| cell.get() == 0);
        assert!(shares.rows.iter().all(|row| empty(row)));
    }

    #[test]
    fn another_secret_places_networks_elsewhere() {
        let (one, other) = (
            Shares::new(&TableSecret([1; 16])),
            Shares::new(&TableSecret([2; 16])),
        );
        (0..1000).for_each(|network| {
            one.of(network).add();
            other.of(network).add();
        });
        let counts =
            |shares: &Shares| -> Vec<u32> { shares.rows[0].iter().map(Cell::get).collect() };
        assert_ne!(counts(&one), counts(&other));
    }
}

#[cfg(all(test, not(loom)))]
#[path = "share_tests.rs"]
mod share_tests;
