//! FIB: longest-prefix match that readers walk while control changes it.
//!
//! A direct table of the first 18 bits (IPv4) or 20 bits (IPv6 global unicast; 10 of the rest), then nodes of 6
//! bits each. A node is a block
//! of 32-bit words in one arena: a bitmap of 64 bits that marks where a run of equal entries starts, then one
//! entry a run. An entry is a group (leaf) or the index of a deeper node. A reader takes one table entry, then
//! per node the bitmap, a popcount and the entry. A burst is looked up in lockstep (`burst`).
//!
//! *Change.* Only nodes on the path of a prefix are touched. A node whose bitmap stays is changed entry by
//! entry in place; else a copy is made and one store of the entry that leads to it publishes it. The old block
//! is used again after every reader has passed a quiescent point. A reader therefore sees, for each address,
//! the route before or the route after a change, never a third. The default route is one word of its own (an
//! empty leaf means "see there"), so that it changes in one store.
//!
//! *Concurrency.* [`Fib`] is read by anyone; [`FibWriter`] is control's. All words are atomics: following a
//! stale index could at worst read a wrong word, never memory that is not there, and grace periods exclude it.

mod arena;
mod burst;
mod shadow;
mod simd;
#[cfg(all(test, not(loom)))]
mod tests;
mod writer;

pub(crate) use writer::{FibFull, FibWriter};

use crate::ids::GroupId;
use crate::sync::{AtomicU32, Ordering};
use arena::Arena;
use std::ops::Range;

/// Bits that a node consumes.
const STRIDE: u32 = 6;

/// Words of a node before its entries: the bitmap, low half first.
const HEAD: u32 = 2;

/// Set in an entry that leads to a node; the rest is its index. Clear: the rest is a group.
const NODE: u32 = 1 << 31;

/// An address that the FIB can look up. Bits are left-aligned in 128.
pub(crate) trait Addr: Copy + Eq + std::fmt::Debug {
    /// Entries of the direct table.
    const SLOTS: usize;
    /// The longest prefix that a slot stands for.
    const ROOT_MAX: u32;
    /// Bits of a key that name a slot among the first ones of the direct table.
    const KEY_ROOT: u32;
    /// The address.
    fn aligned(self) -> u128;
    /// 64 bits by which a burst finds its way, if it can: the first `KEY_ROOT` of them name the slot.
    fn key(self) -> Option<u64>;
    /// Where the walk of an address begins: its slot, and the bits that stands for.
    fn start(bits: u128) -> (usize, u32);
    /// The prefix that a slot stands for.
    fn home(slot: usize) -> (u128, u32);
    /// The slots below a prefix that is no longer than they are.
    fn slots(bits: u128, len: u32) -> [Range<usize>; 2];
}

const V4_ROOT: u32 = 18;

#[expect(clippy::use_self, reason = "a count of bits, not an address")]
impl Addr for u32 {
    const SLOTS: usize = 1 << V4_ROOT;
    const ROOT_MAX: u32 = V4_ROOT;
    const KEY_ROOT: u32 = V4_ROOT;

    fn aligned(self) -> u128 {
        u128::from(self) << 96
    }

    #[inline]
    fn key(self) -> Option<u64> {
        Some(u64::from(self) << 32)
    }

    #[inline]
    fn start(bits: u128) -> (usize, u32) {
        ((bits >> (128 - V4_ROOT)) as usize, V4_ROOT)
    }

    fn home(slot: usize) -> (u128, u32) {
        ((slot as u128) << (128 - V4_ROOT), V4_ROOT)
    }

    fn slots(bits: u128, len: u32) -> [Range<usize>; 2] {
        [below(Self::start(bits).0, V4_ROOT - len), 0..0]
    }
}

/// Bits of a slot of global unicast, 2000::/3: nearly every prefix there is. Its first three are not stored.
const GLOBAL_ROOT: u32 = 20;
const GLOBAL: u128 = 1 << 125;
const GLOBAL_LEN: u32 = 3;
const GLOBAL_SLOTS: usize = 1 << (GLOBAL_ROOT - GLOBAL_LEN);
/// Bits of any other slot.
const OTHER_ROOT: u32 = 10;

const fn is_global(bits: u128) -> bool {
    bits >> (128 - GLOBAL_LEN) == GLOBAL >> (128 - GLOBAL_LEN)
}

impl Addr for u128 {
    const SLOTS: usize = GLOBAL_SLOTS + (1 << OTHER_ROOT);
    const ROOT_MAX: u32 = GLOBAL_ROOT;
    const KEY_ROOT: u32 = GLOBAL_ROOT - GLOBAL_LEN;

    fn aligned(self) -> u128 {
        self
    }

    #[inline]
    fn key(self) -> Option<u64> {
        is_global(self).then_some((self >> (64 - GLOBAL_LEN)) as u64)
    }

    #[inline]
    fn start(bits: u128) -> (usize, u32) {
        if is_global(bits) {
            let slot = (bits >> (128 - GLOBAL_ROOT)) as usize & (GLOBAL_SLOTS - 1);
            return (slot, GLOBAL_ROOT);
        }
        let slot = (bits >> (128 - OTHER_ROOT)) as usize;
        (GLOBAL_SLOTS + slot, OTHER_ROOT)
    }

    fn home(slot: usize) -> (u128, u32) {
        match slot.checked_sub(GLOBAL_SLOTS) {
            None => (GLOBAL | (slot as Self) << (128 - GLOBAL_ROOT), GLOBAL_ROOT),
            Some(slot) => ((slot as Self) << (128 - OTHER_ROOT), OTHER_ROOT),
        }
    }

    fn slots(bits: u128, len: u32) -> [Range<usize>; 2] {
        let first = Self::start(bits).0;
        if is_global(bits) && len >= GLOBAL_LEN {
            return [below(first, GLOBAL_ROOT - len), 0..0];
        }
        let others = below(first, OTHER_ROOT - len);
        let covers_global = len < GLOBAL_LEN && (bits ^ GLOBAL) >> (128 - len) == 0;
        [others, if covers_global { 0..GLOBAL_SLOTS } else { 0..0 }]
    }
}

const fn below(first: usize, bits: u32) -> Range<usize> {
    first..first + (1 << bits)
}

/// The reader's side.
#[derive(Debug)]
pub(crate) struct Fib<A: Addr> {
    root: Box<[AtomicU32]>,
    arena: Arena,
    default: AtomicU32,
    _family: std::marker::PhantomData<fn(A)>,
}

impl<A: Addr> Fib<A> {
    fn new(limit_words: usize) -> Self {
        Self {
            root: (0..A::SLOTS).map(|_| AtomicU32::new(0)).collect(),
            arena: Arena::new(limit_words),
            default: AtomicU32::new(0),
            _family: std::marker::PhantomData,
        }
    }

    /// The group of the longest prefix that covers `addr`.
    #[inline]
    pub(crate) fn lookup(&self, addr: A) -> Option<GroupId> {
        self.group(self.walk(addr))
    }

    /// The entry that an address ends at.
    #[inline]
    fn walk(&self, addr: A) -> u32 {
        let bits = addr.aligned();
        let (slot, used) = A::start(bits);
        let mut rest = bits << used;
        let root = self.root.get(slot);
        let mut entry = root.map_or(0, |entry| entry.load(Ordering::Acquire));
        while entry & NODE != 0 {
            let child = (rest >> (128 - STRIDE)) as u32;
            entry = self.arena.entry(entry & !NODE, child);
            rest <<= STRIDE;
        }
        entry
    }

    /// What a leaf means.
    #[inline]
    fn group(&self, leaf: u32) -> Option<GroupId> {
        let group = if leaf == 0 {
            self.default.load(Ordering::Acquire)
        } else {
            leaf
        };
        (group != 0).then_some(GroupId(group))
    }
}
