//! The lockstep walk with AVX-512: the one module of this crate that needs `unsafe`.
#![cfg(all(target_arch = "x86_64", not(loom)))]
#![allow(unsafe_code)]

use super::arena::{NODE_WORDS, Nodes};
use super::burst::Way;
use super::{Addr, Fib, HEAD, NODE, STRIDE, levels};
use crate::ids::GroupId;
use crate::sync::AtomicU32;
use core::arch::x86_64::{
    __m256i, __m512i, _mm_cvtsi32_si128, _mm256_and_si256, _mm256_movepi32_mask, _mm256_set1_epi32,
    _mm256_setzero_si256, _mm512_add_epi64, _mm512_cvtepu32_epi64, _mm512_i64gather_epi32,
    _mm512_mask_i64gather_epi32, _mm512_mask_i64gather_epi64, _mm512_permutex2var_epi64,
    _mm512_popcnt_epi64, _mm512_set1_epi64, _mm512_setr_epi64, _mm512_setzero_si512,
    _mm512_sll_epi64, _mm512_slli_epi64, _mm512_sllv_epi64, _mm512_srl_epi64, _mm512_srli_epi64,
    _mm512_xor_si512,
};

/// Asks for the line of a cell, some time before it is read.
#[inline]
pub(crate) fn prefetch<T>(cell: &T) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing as far as the program can tell, and the address is that of a live cell. No test can
    // fail without it but the flood of the bench `flows`, whose packets wait for their group's memory then.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(cell).cast()) }
}

/// Lanes of a register.
const LANES: usize = 8;

/// Proof that this machine has AVX-512 and what of its extensions is used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

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
}

impl Way for Avx512 {
    #[inline]
    fn block<A: Addr, const N: usize>(
        self,
        fib: &Fib<A>,
        addrs: &[A; N],
        groups: &mut [Option<GroupId>; N],
    ) {
        const { assert!(N.is_multiple_of(LANES) && N <= 64) }
        // SAFETY: `self` exists only if `detect` found every feature that `block` is compiled for.
        unsafe { block(fib, addrs, groups) }
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512vpopcntdq")]
fn block<A: Addr, const N: usize>(fib: &Fib<A>, addrs: &[A; N], groups: &mut [Option<GroupId>; N]) {
    let entries = walk(fib, addrs);
    fib.finish(addrs, &entries, groups);
}

/// Eight lanes on their way.
#[derive(Clone, Copy)]
struct Lanes {
    entries: __m256i,
    /// Bits of the addresses that are still to be consumed, left-aligned.
    rest: __m512i,
}

impl Lanes {
    /// Which lanes are at a node.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512vpopcntdq")]
    fn at_node(&self) -> u8 {
        _mm256_movepi32_mask(self.entries)
    }

    /// The blocks that entries lead to.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512vpopcntdq")]
    fn blocks(&self, nodes: Nodes<'_>) -> __m512i {
        let index = _mm256_set1_epi32((nodes.mask & !NODE) as i32);
        _mm512_cvtepu32_epi64(_mm256_and_si256(self.entries, index))
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512vpopcntdq")]
fn walk<A: Addr, const N: usize>(fib: &Fib<A>, addrs: &[A; N]) -> [u32; N] {
    let nodes = fib.arena.nodes();
    let (addrs, _) = addrs.as_chunks::<LANES>();
    let mut lanes = [Lanes {
        entries: _mm256_setzero_si256(),
        rest: _mm512_setzero_si512(),
    }; 8];
    let lanes = &mut lanes[..N / LANES];
    for (lanes, addrs) in lanes.iter_mut().zip(addrs) {
        *lanes = start::<A>(&fib.root, keys(addrs));
    }
    if A::PAGE > 0 {
        for lanes in lanes.iter_mut() {
            turn_page::<A>(nodes, lanes);
        }
    }
    for lanes in lanes.iter_mut() {
        // A node counts from its last child, as bits are shifted out of its bitmap from there.
        lanes.rest = _mm512_xor_si512(lanes.rest, _mm512_set1_epi64(-1));
    }
    let mut at = [_mm512_setzero_si512(); 8];
    for _ in 0..levels::<A>() {
        if lanes.iter().fold(0, |any, lanes| any | lanes.at_node()) == 0 {
            break;
        }
        // All bitmaps, then all entries: no gather waits long for the one before it.
        for (lanes, at) in lanes.iter_mut().zip(&mut at) {
            *at = find(nodes, lanes);
        }
        for (lanes, at) in lanes.iter_mut().zip(&at) {
            step(nodes, lanes, *at);
        }
    }
    let mut entries = [0; N];
    for (lanes, out) in lanes.iter().zip(entries.as_chunks_mut::<LANES>().0) {
        *out = bytemuck::must_cast(lanes.entries);
    }
    entries
}

/// The keys of eight addresses. Those of IPv6 are every second of 64 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512vpopcntdq")]
fn keys<A: Addr>(addrs: &[A; LANES]) -> __m512i {
    if size_of::<A>() == size_of::<u128>() {
        let [low, high] = bytemuck::cast::<[A; LANES], [__m512i; 2]>(*addrs);
        let odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
        return _mm512_permutex2var_epi64(low, odd, high);
    }
    bytemuck::must_cast(addrs.map(A::key))
}

/// Takes the entries of the direct table.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512vpopcntdq")]
fn start<A: Addr>(root: &[AtomicU32], keys: __m512i) -> Lanes {
    assert!(root.len() >= 1 << A::ROOT);
    let slots = _mm512_srl_epi64(keys, _mm_cvtsi32_si128(64 - A::ROOT as i32));
    // SAFETY: a slot is a number of `ROOT` bits, and the table has as many entries. An entry is an aligned
    // word that control stores whole, and on x86-64 a gather loads an aligned word whole, as an acquire.
    let entries = unsafe { _mm512_i64gather_epi32::<4>(slots, root.as_ptr().cast()) };
    let rest = _mm512_sll_epi64(keys, _mm_cvtsi32_si128(A::ROOT as i32));
    Lanes { entries, rest }
}

/// Takes the entries of pages in every lane that is at one.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512vpopcntdq")]
fn turn_page<A: Addr>(nodes: Nodes<'_>, lanes: &mut Lanes) {
    debug_assert!(nodes.words.len() >= nodes.mask as usize + (1 << A::PAGE));
    let child = _mm512_srl_epi64(lanes.rest, _mm_cvtsi32_si128(64 - A::PAGE as i32));
    let at = _mm512_add_epi64(lanes.blocks(nodes), child);
    let (had, page) = (lanes.entries, lanes.at_node());
    // SAFETY: `mask` bounds the index, whatever was read, and a whole page follows every index that it lets
    // through. An entry is an aligned word that is stored and loaded whole.
    lanes.entries =
        unsafe { _mm512_mask_i64gather_epi32::<4>(had, page, at, nodes.words.as_ptr().cast()) };
    lanes.rest = _mm512_sll_epi64(lanes.rest, _mm_cvtsi32_si128(A::PAGE as i32));
}

/// Finds which entry of its node is next in every lane that is at one: its index, less that of the first entry
/// and one. Bits of the addresses are inverted.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512vpopcntdq")]
fn find(nodes: Nodes<'_>, lanes: &mut Lanes) -> __m512i {
    debug_assert!(nodes.words.len() >= nodes.mask as usize + NODE_WORDS);
    let (block, none) = (lanes.blocks(nodes), _mm512_setzero_si512());
    let below = _mm512_srli_epi64::<{ 64 - STRIDE }>(lanes.rest);
    lanes.rest = _mm512_slli_epi64::<STRIDE>(lanes.rest);
    let base = nodes.words.as_ptr().cast();
    // SAFETY: `mask` bounds the index, whatever was read, and a whole node follows every index that it lets
    // through. A bitmap does not change while a reader can reach it.
    let bitmap = unsafe { _mm512_mask_i64gather_epi64::<4>(none, lanes.at_node(), block, base) };
    _mm512_add_epi64(block, _mm512_popcnt_epi64(_mm512_sllv_epi64(bitmap, below)))
}

/// Takes the entries that [`find`] found.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512vpopcntdq")]
fn step(nodes: Nodes<'_>, lanes: &mut Lanes, at: __m512i) {
    let (had, at_node) = (lanes.entries, lanes.at_node());
    // SAFETY: as in `find`: a node has two words of bitmap, then at most 64 runs, the first of which is number
    // 1. An entry is an aligned word that is stored and loaded whole.
    lanes.entries = unsafe {
        let first = nodes.words.as_ptr().add(HEAD as usize - 1).cast();
        _mm512_mask_i64gather_epi32::<4>(had, at_node, at, first)
    };
}
