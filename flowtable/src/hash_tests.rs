use super::*;
use crate::key::{KeyV4, KeyV6};
use siphasher::sip::SipHasher13;

const TABLE: TableSecret =
    TableSecret(*b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f");
const GROUP: GroupSecret = GroupSecret(TABLE.0);

/// Computed by an implementation of SipHash-1-3 of its own.
const KNOWN_V4: u64 = 14_025_232_209_234_002_165;
const KNOWN_V6: u64 = 10_685_297_473_145_987_643;

/// Chi-square of `counts` against an even spread, as standard deviations from its mean.
fn unevenness(counts: &[u32]) -> f64 {
    let n: u32 = counts.iter().sum();
    let even = f64::from(n) / counts.len() as f64;
    let chi: f64 = counts
        .iter()
        .map(|c| (f64::from(*c) - even).powi(2) / even)
        .sum();
    let free = counts.len() as f64 - 1.0;
    (chi - free) / (2.0 * free).sqrt()
}

fn count(bins: usize, values: impl Iterator<Item = usize>) -> Vec<u32> {
    let mut counts = vec![0; bins];
    values.for_each(|v| counts[v] += 1);
    counts
}

#[test]
fn sip_hash_1_3_of_a_known_key_never_changes() {
    let bytes: Vec<u8> = (0..16).collect();
    let words = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
    assert_eq!(
        sip13(&TABLE.0, &words),
        SipHasher13::new_with_key(&TABLE.0).hash(&bytes)
    );
    // A bucket must be the same after every restart and on every gateway of a pair, for ever.
    let (key, _) = KeyV4::new(0, 6, 0x0a00_0001, 40_000, 0xc000_0201, 80);
    assert_eq!(bucket_hash(&GROUP, &key), KNOWN_V4);
    let (key, _) = KeyV6::new(0, 17, 1, 53, u128::MAX, 53);
    assert_eq!(bucket_hash(&GROUP, &key), KNOWN_V6);
}

#[test]
fn the_bucket_leaves_the_fib_out_and_the_place_does_not() {
    let (a, _) = KeyV4::new(0, 6, 1, 2, 3, 4);
    let (b, _) = KeyV4::new(1, 6, 1, 2, 3, 4);
    assert_eq!(bucket_hash(&GROUP, &a), bucket_hash(&GROUP, &b));
    assert_ne!(flow_hash(&TABLE, &a), flow_hash(&TABLE, &b));
}

#[test]
fn the_owner_is_the_same_for_both_directions() {
    let mut rng = fastrand::Rng::with_seed(3);
    for _ in 0..10_000 {
        let secret = TableSecret(rng.u128(..).to_le_bytes());
        let (p, a, ap, b, bp) = (
            rng.u8(..),
            rng.u32(..),
            rng.u16(..),
            rng.u32(..),
            rng.u16(..),
        );
        assert_eq!(
            owner_slot4(&secret, p, a, ap, b, bp),
            owner_slot4(&secret, p, b, bp, a, ap)
        );
        let (a, b) = (rng.u128(..), rng.u128(..));
        assert_eq!(
            owner_slot6(&secret, p, a, ap, b, bp),
            owner_slot6(&secret, p, b, bp, a, ap)
        );
    }
}

#[test]
fn every_end_matters_to_the_owner_not_only_the_sum_of_both() {
    // The sums of addresses and of ports are equal in all of these flows; the slots must not be.
    let slots = count(
        SLOTS,
        (0..4096_u16).map(|i| {
            let (a, b) = (0x0a00_0000 + u32::from(i), 0xc000_0000 - u32::from(i));
            usize::from(owner_slot4(&TABLE, 6, a, 1000, b, 80).0)
        }),
    );
    assert!(slots.iter().filter(|n| **n > 0).count() > SLOTS / 2);
}

/// Patterns of real traffic: one service and many clients, a port scan, random pairs.
#[test]
fn owners_are_spread_evenly_for_patterns_of_real_traffic() {
    let mut rng = fastrand::Rng::with_seed(4);
    for _ in 0..8 {
        let secret = TableSecret(rng.u128(..).to_le_bytes());
        let clients = count(
            SLOTS,
            (0..65_536_u32).map(|i| {
                let port = 1024 + fastrand::Rng::with_seed(u64::from(i)).u16(..50_000);
                usize::from(owner_slot4(&secret, 6, 0x0a00_0000 + i, port, 0xc000_0201, 443).0)
            }),
        );
        let random = count(
            SLOTS,
            (0..65_536).map(|_| {
                let slot = owner_slot6(
                    &secret,
                    17,
                    rng.u128(..),
                    rng.u16(..),
                    rng.u128(..),
                    rng.u16(..),
                );
                usize::from(slot.0)
            }),
        );
        assert!(
            unevenness(&clients) < 8.0,
            "{secret:?}: {}",
            unevenness(&clients)
        );
        assert!(
            unevenness(&random) < 8.0,
            "{secret:?}: {}",
            unevenness(&random)
        );
        // Consecutive ports are an arithmetic progression: spread, though not at random.
        let ports = count(
            SLOTS,
            (0..u16::MAX).map(|port| {
                usize::from(owner_slot4(&secret, 6, 0x0a00_0001, port, 0xc000_0201, 443).0)
            }),
        );
        assert!(ports.iter().all(|n| (1..=1024).contains(n)), "{ports:?}");
    }
}

#[test]
fn places_are_spread_evenly_for_consecutive_flows() {
    let hashes = (0..262_144_u32).map(|i| {
        flow_hash(
            &TABLE,
            &KeyV4::new(0, 6, 0x0a00_0000 + i, 1024, 0xc000_0201, 443).0,
        )
        .0
    });
    let high = count(1024, hashes.clone().map(|h| (h >> 54) as usize));
    let low = count(1024, hashes.map(|h| (h & 1023) as usize));
    assert!(unevenness(&high) < 6.0 && unevenness(&low) < 6.0);
}
