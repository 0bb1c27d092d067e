//! SipHash of eight keys side by side, in the widest registers that the machine has.

use crate::sip::sip13_lanes;

/// Keys that are hashed together.
pub(crate) const LANES: usize = 8;

/// The hashes of eight sequences of `W` words; `words[i]` holds word `i` of each.
#[inline]
pub(crate) fn sip13_wide<const W: usize>(
    secret: &[u8; 16],
    words: &[[u64; LANES]; W],
) -> [u64; LANES] {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the machine has what `avx512` is compiled for; the standard library keeps the answer.
        // `tests::wide_and_narrow_hashes_are_equal` fails without it.
        return unsafe { avx512(secret, words) };
    }
    sip13_lanes(secret, words.iter().copied(), W)
}

/// A rotation is one instruction here, and four words of state for eight keys are four registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512<const W: usize>(secret: &[u8; 16], words: &[[u64; LANES]; W]) -> [u64; LANES] {
    sip13_lanes(secret, words.iter().copied(), W)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sip::sip13;

    #[test]
    fn wide_and_narrow_hashes_are_equal() {
        let mut rng = fastrand::Rng::with_seed(14);
        for _ in 0..10_000 {
            let secret = rng.u128(..).to_le_bytes();
            let words: [[u64; LANES]; 5] =
                std::array::from_fn(|_| std::array::from_fn(|_| rng.u64(..)));
            let wide = sip13_wide(&secret, &words);
            for (lane, hash) in wide.into_iter().enumerate() {
                assert_eq!(hash, sip13(&secret, &words.map(|word| word[lane])));
            }
        }
    }
}
