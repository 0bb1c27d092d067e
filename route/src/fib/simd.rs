//! The lockstep walk with AVX-512: the one module of this crate that needs `unsafe`.
#![cfg(all(target_arch = "x86_64", not(loom)))]
#![allow(unsafe_code)]

use super::{Addr, Fib, HEAD, NODE, STRIDE};
use crate::sync::AtomicU32;
use core::arch::x86_64::{
    __m256i, __m512i, _mm_cvtsi32_si128, _mm256_and_si256, _mm256_movepi32_mask, _mm256_set1_epi32,
    _mm256_setzero_si256, _mm512_add_epi64, _mm512_cvtepu32_epi64, _mm512_i64gather_epi32,
    _mm512_mask_i64gather_epi32, _mm512_mask_i64gather_epi64, _mm512_popcnt_epi64,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_sll_epi64, _mm512_slli_epi64,
    _mm512_sllv_epi64, _mm512_srl_epi64, _mm512_srli_epi64, _mm512_sub_epi64,
};

/// Lanes of a register.
const LANES: usize = 8;

/// Proof that this machine has the instructions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

/// Eight lanes on their way.
#[derive(Clone, Copy)]
struct Lanes {
    entries: __m256i,
    /// Bits of the addresses that are still to be consumed, left-aligned.
    rest: __m512i,
    /// Which lanes are at a node.
    at_node: u8,
}

impl Avx512 {
    /// `None` where the machine lacks them. The answer is cached by the standard library.
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vpopcntdq");
        has.then_some(Self(()))
    }

    /// The entries at which `keys` end, after at most `levels` nodes. `N` is a multiple of eight, at most 64.
    #[inline]
    pub(super) fn walk<A: Addr, const N: usize>(
        self,
        fib: &Fib<A>,
        levels: u32,
        keys: &[u64; N],
        entries: &mut [u32; N],
    ) {
        const { assert!(N.is_multiple_of(LANES) && N <= 64) }
        // SAFETY: `self` exists only if `detect` found every feature that `walk` is compiled for.
        unsafe { walk(fib, levels, keys, entries) }
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512vpopcntdq")]
fn walk<A: Addr, const N: usize>(fib: &Fib<A>, levels: u32, keys: &[u64; N], out: &mut [u32; N]) {
    let (keys, _) = keys.as_chunks::<LANES>();
    let (out, _) = out.as_chunks_mut::<LANES>();
    let mut lanes = [Lanes {
        entries: _mm256_setzero_si256(),
        rest: _mm512_setzero_si512(),
        at_node: 0,
    }; 8];
    let lanes = &mut lanes[..keys.len()];
    let mut any = 0;
    for (lanes, keys) in lanes.iter_mut().zip(keys) {
        *lanes = start(&fib.root, A::KEY_ROOT, keys);
        any |= lanes.at_node;
    }
    for _ in 0..levels {
        if any == 0 {
            break;
        }
        any = 0;
        for lanes in lanes.iter_mut() {
            step(fib.arena.words(), fib.arena.mask(), lanes);
            any |= lanes.at_node;
        }
    }
    for (lanes, out) in lanes.iter().zip(out) {
        *out = bytemuck::must_cast(lanes.entries);
    }
}

/// Takes the entries of the direct table, which has at least `1 << bits` of them.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512vpopcntdq")]
fn start(root: &[AtomicU32], bits: u32, keys: &[u64; LANES]) -> Lanes {
    assert!(root.len() >= 1 << bits);
    let keys: __m512i = bytemuck::must_cast(*keys);
    let slots = _mm512_srl_epi64(keys, _mm_cvtsi32_si128(64 - bits as i32));
    // SAFETY: a slot is a number of `bits` bits, and the table has as many entries. An entry is an aligned
    // word that control stores whole, and on x86-64 a gather loads an aligned word whole, as an acquire.
    let entries = unsafe { _mm512_i64gather_epi32::<4>(slots, root.as_ptr().cast()) };
    Lanes {
        entries,
        rest: _mm512_sll_epi64(keys, _mm_cvtsi32_si128(bits as i32)),
        at_node: _mm256_movepi32_mask(entries),
    }
}

/// Goes through one node in every lane that is at one.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512vpopcntdq")]
fn step(words: &[AtomicU32], mask: u32, lanes: &mut Lanes) {
    debug_assert!(words.len() > mask as usize + HEAD as usize + 63);
    let index = _mm256_set1_epi32((mask & !NODE) as i32);
    let block = _mm512_cvtepu32_epi64(_mm256_and_si256(lanes.entries, index));
    let child = _mm512_srli_epi64::<{ 64 - STRIDE }>(lanes.rest);
    let below = _mm512_sub_epi64(_mm512_set1_epi64(63), child);
    let (none, base) = (_mm512_setzero_si512(), words.as_ptr());
    // SAFETY: `mask` bounds the index, whatever was read, and a whole node follows every index that it lets
    // through: two words of bitmap, then at most 64 runs, the first of which is number 1. A bitmap does not
    // change while a reader can reach it; an entry is an aligned word that is stored and loaded whole.
    let entries = unsafe {
        let bitmap = _mm512_mask_i64gather_epi64::<4>(none, lanes.at_node, block, base.cast());
        let run = _mm512_popcnt_epi64(_mm512_sllv_epi64(bitmap, below));
        let at = _mm512_add_epi64(block, run);
        let first = base.add(HEAD as usize - 1).cast();
        _mm512_mask_i64gather_epi32::<4>(lanes.entries, lanes.at_node, at, first)
    };
    lanes.entries = entries;
    lanes.rest = _mm512_slli_epi64::<STRIDE>(lanes.rest);
    lanes.at_node = _mm256_movepi32_mask(entries);
}
