//! The Internet checksum: whole (RFC 1071) and by difference (RFC 1624).
//!
//! One's complement arithmetic has two zeros, `0x0000` and `0xffff`. A sum is `0x0000` only when every
//! byte is zero, so a header's checksum field, being the complement, is never `0xffff`. [`adjust`] uses
//! RFC 1624's equation 3, which keeps that law; equation 4 of RFC 1141 did not.
//!
//! Pure functions; called by `ip_input`, `ip_output`, ICMP and fragmentation on any worker.

use crate::parse::{Addrs, proto};

/// Folded one's complement sum of `bytes`, not inverted: `0xffff` over a valid header.
///
/// An odd last byte counts as the high half of a word (RFC 1071 §4.1).
#[inline]
pub fn sum(bytes: &[u8]) -> u16 {
    fold(add(bytes))
}

/// Whether the IPv4 header or IPv4 ICMP message in `bytes` has a right checksum.
///
/// `0x0000`, the sum of nothing but zeros, is refused as RFC 1071's receivers do.
pub fn valid(bytes: &[u8]) -> bool {
    sum(bytes) == 0xffff
}

/// Whether an IPv4 header without options has a right checksum. Of its five 32-bit words the first is not zero.
#[inline]
pub(crate) fn is_valid(header: [u32; 5]) -> bool {
    let sum: u64 = header.iter().copied().map(u64::from).sum();
    // One's complement sums count modulo 0xffff, and the sum of what is not all zeros is never 0.
    sum.is_multiple_of(0xffff)
}

/// `checksum` after a 16-bit word under it changed from `old` to `new` (RFC 1624, equation 3).
///
/// Equal to a full recomputation wherever the bytes under the checksum are not all zero afterwards,
/// which an IP header or a pseudo header makes sure of.
pub fn adjust(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(u64::from(!checksum) + u64::from(!old) + u64::from(new))
}

/// Takes one from the TTL or hop limit; IPv4's checksum follows by difference.
///
/// The caller has seen a limit above 1: at 0, or in fewer bytes than the fields need, nothing is written.
#[inline(always)]
pub fn ip_ttl_dec(packet: &mut [u8], v6: bool) {
    if v6 {
        if let Some(limit) = packet.get_mut(7) {
            *limit = limit.saturating_sub(1);
        }
    } else if let Some(header) = packet.first_chunk_mut::<12>()
        && header[8] > 0
    {
        header[8] -= 1;
        // The word of the TTL fell by 0x0100, so the checksum rises by that, end around (RFC 1624, equation 3).
        let sum = u32::from(u16::from_be_bytes([header[10], header[11]])) + 0x0100;
        let checksum = (sum + u32::from(sum >= 0xffff)) as u16;
        [header[10], header[11]] = checksum.to_be_bytes();
    }
}

/// Sets an IPv4 packet's TTL; its header checksum follows by difference.
pub(crate) fn set_ttl(packet: &mut [u8], ttl: u8) {
    let Some(header) = packet.first_chunk_mut::<12>() else {
        return;
    };
    let old = u16::from_be_bytes([header[8], header[9]]);
    let new = u16::from_be_bytes([ttl, header[9]]);
    let checksum = adjust(u16::from_be_bytes([header[10], header[11]]), old, new);
    header[8] = ttl;
    [header[10], header[11]] = checksum.to_be_bytes();
}

/// Writes the checksum of an IPv4 header of `hlen` bytes (a multiple of 4, at least 20) in full.
pub(crate) fn fill_header(packet: &mut [u8], hlen: usize) {
    let Some(header) = packet.get_mut(..hlen) else {
        return;
    };
    if let Some([hi, lo]) = header.get_mut(10..12) {
        (*hi, *lo) = (0, 0);
    }
    let checksum = !sum(header);
    if let Some(field) = header.get_mut(10..12) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}

/// The checksum of the transport header and payload in `l4`, whose own checksum field holds zero.
///
/// With the pseudo header of RFC 9293 §3.1 or RFC 8200 §8.1; ICMP for IPv4 has none. UDP's zero means
/// "no checksum", so it comes as `0xffff` (RFC 768). UDP-Lite's partial coverage is not known here.
pub fn transport(addrs: &Addrs, proto: u8, l4: &[u8]) -> u16 {
    match !fold(pseudo(addrs, proto, l4.len()) + add(l4)) {
        0 if proto == proto::UDP => 0xffff,
        checksum => checksum,
    }
}

/// Whether `l4`, its checksum field as received, is intact. UDP over IPv4 without a checksum is the caller's matter.
pub fn transport_valid(addrs: &Addrs, proto: u8, l4: &[u8]) -> bool {
    fold(pseudo(addrs, proto, l4.len()) + add(l4)) == 0xffff
}

/// The folded sum of a pseudo header alone, not inverted: what is in the field of a checksum that is to be finished.
pub(crate) fn pseudo_sum(addrs: &Addrs, proto: u8, len: usize) -> u16 {
    fold(pseudo(addrs, proto, len))
}

fn pseudo(addrs: &Addrs, proto: u8, len: usize) -> u64 {
    let ends = match *addrs {
        Addrs::V4 { .. } if proto == proto::ICMP => return 0,
        Addrs::V4 { src, dst } => u64::from(src) + u64::from(dst),
        Addrs::V6 { src, dst } => add(&src.to_be_bytes()) + add(&dst.to_be_bytes()),
    };
    ends + u64::from(proto) + len as u64
}

#[inline]
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// Sum of 32-bit words, unfolded; as 2^16 is 1 modulo 0xffff it folds to that of the 16-bit words.
#[inline]
fn add(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let total: u64 = words
        .iter()
        .map(|&word| u64::from(u32::from_be_bytes(word)))
        .sum();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    total + u64::from(u32::from_be_bytes(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071 §4.1 word by word, the slow way.
    fn slow_sum(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    fn header(ttl: u8, ident: u16) -> [u8; 20] {
        let mut h = [0; 20];
        h[0] = 0x45;
        [h[4], h[5]] = ident.to_be_bytes();
        h[8] = ttl;
        h[9] = 17;
        fill_header(&mut h, 20);
        h
    }

    #[test]
    fn the_sum_is_that_of_16_bit_words_at_every_length_and_alignment() {
        let seed = 0x5eed_0001;
        let mut rng = fastrand::Rng::with_seed(seed);
        let bytes: Vec<u8> = (0..600).map(|_| rng.u8(..)).collect();
        for from in 0..4 {
            for to in from..bytes.len() {
                let part = &bytes[from..to];
                assert_eq!(
                    sum(part),
                    slow_sum(part),
                    "seed {seed:#x}, bytes {from}..{to}"
                );
            }
        }
        assert_eq!(sum(&[0xff; 65_535]), slow_sum(&[0xff; 65_535]));
        assert_eq!(sum(&[]), 0);
    }

    #[test]
    fn the_example_of_rfc_1071_section_3_sums_to_ddf2() {
        assert_eq!(
            sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            0xddf2
        );
    }

    #[test]
    fn the_example_of_rfc_1624_section_4_gives_0000_not_ffff() {
        assert_eq!(adjust(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn c27_a_ttl_decrement_equals_a_full_recomputation_for_each_checksum_and_ttl() {
        let mut checksums = vec![false; 65_536];
        for ident in 0..=u16::MAX {
            for ttl in 1..=u8::MAX {
                let mut h = [
                    0x45, 0, 0, 0, 0, 0, 0, 0, ttl, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                ];
                [h[4], h[5]] = ident.to_be_bytes();
                let whole = |ttl: u8| {
                    let sum = 0x4500 + u32::from(ident) + (u32::from(ttl) << 8) + 17;
                    let once = (sum & 0xffff) + (sum >> 16);
                    !((once & 0xffff) + (once >> 16)) as u16
                };
                let before = whole(ttl);
                checksums[usize::from(before)] = true;
                [h[10], h[11]] = before.to_be_bytes();
                ip_ttl_dec(&mut h, false);
                assert_eq!(h[8], ttl - 1);
                let after = u16::from_be_bytes([h[10], h[11]]);
                assert_eq!(after, whole(ttl - 1), "ident {ident:#x}, ttl {ttl}");
            }
        }
        let never: Vec<usize> = (0..65_536).filter(|&c| !checksums[c]).collect();
        assert_eq!(never, [0xffff], "every checksum a header can have was met");
    }

    #[test]
    fn a_received_checksum_of_ffff_is_taken_for_the_zero_it_means() {
        let mut h = header(64, 0);
        let rest = sum(&h[..10]);
        // Makes all but the checksum sum to 0xffff, so that 0x0000 and 0xffff both verify.
        [h[4], h[5]] = (0xffff - rest).to_be_bytes();
        [h[10], h[11]] = [0xff, 0xff];
        assert!(valid(&h));
        ip_ttl_dec(&mut h, false);
        assert!(valid(&h));
    }

    #[test]
    fn a_hop_limit_is_decremented_and_nothing_else_is_touched() {
        let mut packet = [0xa5; 40];
        packet[7] = 64;
        ip_ttl_dec(&mut packet, true);
        assert_eq!(packet[7], 63);
        packet[7] = 0xa5;
        assert_eq!(packet, [0xa5; 40]);
    }

    #[test]
    fn a_limit_of_zero_and_a_cut_header_are_left_alone() {
        let mut dead = header(0, 1);
        let before = dead;
        ip_ttl_dec(&mut dead, false);
        assert_eq!(dead, before);
        for len in 0..12 {
            let mut cut = vec![0x11; len];
            ip_ttl_dec(&mut cut, false);
            assert_eq!(cut, vec![0x11; len]);
            ip_ttl_dec(&mut vec![0x11; len.min(7)], true);
        }
    }

    #[test]
    fn a_transport_checksum_put_in_verifies_and_any_flipped_bit_is_seen() {
        let seed = 0x5eed_0002;
        let mut rng = fastrand::Rng::with_seed(seed);
        for round in 0..2_000 {
            let addrs = if rng.bool() {
                Addrs::V4 {
                    src: rng.u32(..),
                    dst: rng.u32(..),
                }
            } else {
                Addrs::V6 {
                    src: rng.u128(..),
                    dst: rng.u128(..),
                }
            };
            let proto = [proto::TCP, proto::UDP, proto::ICMP, proto::ICMP6][rng.usize(..4)];
            let at = [16, 6, 2, 2][[6, 17, 1, 58].iter().position(|&p| p == proto).unwrap()];
            let mut l4: Vec<u8> = (0..rng.usize(20..200)).map(|_| rng.u8(..)).collect();
            l4[at..at + 2].fill(0);
            let checksum = transport(&addrs, proto, &l4);
            l4[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
            assert!(
                transport_valid(&addrs, proto, &l4),
                "seed {seed:#x}, round {round}"
            );
            let bit = rng.usize(..l4.len() * 8);
            l4[bit / 8] ^= 1 << (bit % 8);
            assert!(
                !transport_valid(&addrs, proto, &l4),
                "seed {seed:#x}, round {round}, bit {bit}"
            );
        }
    }

    #[test]
    fn udp_never_carries_the_checksum_that_means_none() {
        // Chosen so that everything sums to 0xffff: proto 17 + length 8 twice + one word.
        let addrs = Addrs::V4 { src: 0, dst: 0 };
        let word = 0xffff - 17 - 8 - 8u16;
        let mut udp = [0, 0, 0, 0, 0, 8, 0, 0];
        [udp[0], udp[1]] = word.to_be_bytes();
        assert_eq!(transport(&addrs, proto::UDP, &udp), 0xffff);
    }
}
