//! Code for the widest registers that the machine has.

/// Keys that are hashed together.
pub(crate) const LANES: usize = 8;

/// Runs `f`, compiled for AVX-512 if the machine has it, else for AVX2 if it has that. What `f` calls must be inlined into
/// it, or it is what it was.
#[inline]
pub(crate) fn widest<R>(f: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    if has_avx512() {
        // SAFETY: the machine has what `avx512` is compiled for. `tests::wide_and_narrow_hashes_are_equal` runs it.
        return unsafe { avx512(f) };
    } else if has_avx2() {
        // SAFETY: the machine has what `avx2` is compiled for. `tests::wide_and_narrow_hashes_are_equal` runs it.
        return unsafe { avx2(f) };
    }
    f()
}

/// The standard library keeps the answers.
#[cfg(target_arch = "x86_64")]
#[inline]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
}

/// A rotation is one instruction here, and four words of a hash's state for eight keys are four registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2")]
fn avx512<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// Here a rotation is two shifts, and a word of the state two registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn avx2<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sip::{sip13, sip13_lanes};

    /// What a machine without AVX-512 runs, on one that has it.
    fn halfway<R>(f: impl FnOnce() -> R) -> R {
        #[cfg(target_arch = "x86_64")]
        if has_avx2() {
            // SAFETY: the machine has what `avx2` is compiled for.
            return unsafe { avx2(f) };
        }
        f()
    }

    #[test]
    fn wide_and_narrow_hashes_are_equal() {
        let mut rng = fastrand::Rng::with_seed(14);
        for _ in 0..10_000 {
            let secret = rng.u128(..).to_le_bytes();
            let words: [[u64; LANES]; 5] =
                std::array::from_fn(|_| std::array::from_fn(|_| rng.u64(..)));
            let hashes = || sip13_lanes(&secret, words.iter().copied(), 5);
            for wide in [widest(hashes), halfway(hashes), hashes()] {
                for (lane, hash) in wide.into_iter().enumerate() {
                    assert_eq!(hash, sip13(&secret, &words.map(|word| word[lane])));
                }
            }
        }
    }
}
