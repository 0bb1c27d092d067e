//! Which of 24 lanes of 16 bits are equal to one: a bucket's tags compared at once.

/// One bit for each lane, the first lane lowest. SSE2, which every x86-64 has.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn equal_lanes(words: &[u64; 6], lane: u16) -> u32 {
    // SAFETY: SSE2 is part of the architecture that this is compiled for.
    // `bucket::tests::matching_finds_exactly_the_lanes_that_are_equal` fails without it.
    unsafe { sse2(words, lane) }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn sse2(words: &[u64; 6], lane: u16) -> u32 {
    use core::arch::x86_64::{
        __m128i, _mm_cmpeq_epi16, _mm_movemask_epi8, _mm_packs_epi16, _mm_set_epi64x,
        _mm_set1_epi16, _mm_setzero_si128,
    };
    let want = _mm_set1_epi16(lane.cast_signed());
    let equal = |low: u64, high: u64| -> __m128i {
        _mm_cmpeq_epi16(_mm_set_epi64x(high.cast_signed(), low.cast_signed()), want)
    };
    let [a, b, c, d, e, f] = *words;
    let low = _mm_movemask_epi8(_mm_packs_epi16(equal(a, b), equal(c, d)));
    let high = _mm_movemask_epi8(_mm_packs_epi16(equal(e, f), _mm_setzero_si128()));
    low.cast_unsigned() | high.cast_unsigned() << 16
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use portable as equal_lanes;

/// The same in 64-bit words, for other machines and to test against.
#[cfg(any(all(test, not(loom)), not(target_arch = "x86_64")))]
pub(crate) fn portable(words: &[u64; 6], lane: u16) -> u32 {
    let spread = u64::from(lane) * 0x0001_0001_0001_0001;
    let bits = |(i, word): (usize, &u64)| zero_lanes(word ^ spread) << (4 * i);
    words
        .iter()
        .enumerate()
        .map(bits)
        .fold(0, |all, four| all | four)
}

/// One bit for each of the four lanes of a word that is zero.
#[cfg(any(all(test, not(loom)), not(target_arch = "x86_64")))]
fn zero_lanes(word: u64) -> u32 {
    const LOW: u64 = 0x7fff_7fff_7fff_7fff;
    // The top bit of a lane ends up set if any of its bits was; no carry crosses a lane.
    let set = (((word & LOW) + LOW) | word) & !LOW;
    let zero = !set & !LOW;
    // Gathers bits 15, 31, 47, 63 into 0..=3.
    ((zero >> 15).wrapping_mul(0x1000_2000_4000_8000) >> 60) as u32
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_compare_say_the_same() {
        let mut rng = fastrand::Rng::with_seed(9);
        for _ in 0..100_000 {
            // Few values, so that equal, adjacent and borrow-prone lanes all occur.
            let mut lane = || [0_u64, 1, 2, 0x7fff, 0x8000, 0xffff][rng.usize(..6)];
            let words: [u64; 6] =
                std::array::from_fn(|_| (0..4).fold(0, |word, _| word << 16 | lane()));
            let want = lane() as u16;
            assert_eq!(
                equal_lanes(&words, want),
                portable(&words, want),
                "{words:x?} {want:x}"
            );
        }
    }
}
