//! FIB: longest-prefix match that readers walk while control changes it.
//!
//! A direct table of the first bits (18 of IPv4, 16 of IPv6; for IPv6 then a direct page of 8 more), then nodes
//! of 6 bits each. A node is a block of 32-bit words in one arena: a bitmap of 64 bits that marks where a run of
//! equal entries starts, then one entry a run. An entry is a group (leaf) or the index of a deeper node. A page is
//! a block of one entry a child. A reader takes one entry of the table, one of the page if there is any, then per
//! node the bitmap, a popcount and the entry. A burst is looked up in lockstep (`burst`).
//!
//! *Change.* Only nodes on the path of a prefix are touched. A page, and a node whose bitmap stays, is changed
//! entry by entry in place; else a copy is made and one store of the entry that leads to it publishes it. The
//! old block is used again after every reader has passed a quiescent point. A reader therefore sees, for each
//! address, the route before or the route after a change, never a third. The default route is one word of its
//! own (an empty leaf means "see there", `fallback`), so that it changes in one store.
//!
//! *Concurrency.* [`Fib`] is read by anyone; [`FibWriter`] is control's. All words are atomics: following a
//! stale index could at worst read a wrong word, never memory that is not there, and grace periods exclude it.

mod arena;
mod burst;
mod fallback;
mod shadow;
pub(crate) mod simd;
#[cfg(all(test, not(loom)))]
mod tests;
mod turn;
mod way;
mod writer;

pub(crate) use fallback::Fallback;
pub(crate) use turn::Turn;
pub(crate) use writer::{FibFull, FibWriter};

use crate::ids::GroupId;
use crate::sync::{AtomicU32, Ordering};
use arena::{Arena, Nodes};
use std::hint::select_unpredictable;

/// Bits that a node consumes.
const STRIDE: u32 = 6;

/// Words of a node before its entries: the bitmap, low half first.
const HEAD: u32 = 2;

/// Set in an entry that leads to a node; the rest is its index. Clear: the rest is a group.
const NODE: u32 = 1 << 31;

/// An address that the FIB can look up.
pub(crate) trait Addr: Copy + Eq + Default + bytemuck::Pod + std::fmt::Debug {
    /// Bits of the direct table.
    const ROOT: u32;
    /// Bits of the pages below it; 0 is no pages.
    const PAGE: u32;

    /// The address, left-aligned in 128 bits.
    fn aligned(self) -> u128;
    /// Its first 64 bits: by them a burst finds its way.
    fn key(self) -> u64;
}

#[expect(clippy::use_self, reason = "a count of bits, not an address")]
impl Addr for u32 {
    const ROOT: u32 = 18;
    const PAGE: u32 = 0;

    fn aligned(self) -> u128 {
        u128::from(self) << 96
    }

    #[inline]
    fn key(self) -> u64 {
        u64::from(self) << 32
    }
}

/// Nearly all IPv6 prefixes lie in some 60 blocks of 16 bits, few are shorter than 24 bits, and half are of 48: a
/// table of 16 bits and pages of 8 are small, and four nodes lead from there to 48.
impl Addr for u128 {
    const ROOT: u32 = 16;
    const PAGE: u32 = 8;

    fn aligned(self) -> u128 {
        self
    }

    #[inline]
    fn key(self) -> u64 {
        (self >> 64) as u64
    }
}

/// Bits of the direct table and the pages.
const fn direct<A: Addr>() -> u32 {
    A::ROOT + A::PAGE
}

/// Nodes that the first 64 bits of an address lead through: all that there are, for IPv4.
const fn levels<A: Addr>() -> u32 {
    let (in_key, all) = (
        64 - direct::<A>(),
        size_of::<A>() as u32 * 8 - direct::<A>(),
    );
    if all < in_key {
        all.div_ceil(STRIDE)
    } else {
        in_key / STRIDE
    }
}

/// The reader's side.
#[derive(Debug)]
pub(crate) struct Fib<A: Addr> {
    root: Box<[AtomicU32]>,
    arena: Arena,
    default: Fallback,
    _family: std::marker::PhantomData<fn(A)>,
}

impl<A: Addr> Fib<A> {
    fn new(limit_words: usize) -> Self {
        Self {
            root: (0..1 << A::ROOT).map(|_| AtomicU32::new(0)).collect(),
            arena: Arena::new(limit_words),
            default: Fallback::new(),
            _family: std::marker::PhantomData,
        }
    }

    /// The group of the longest prefix that covers `addr`.
    #[inline]
    pub(crate) fn lookup(&self, addr: A) -> Option<GroupId> {
        self.group(self.default.under(|| self.walk(addr)))
    }

    /// As [`Self::lookup`], but a default route does not count.
    #[inline]
    pub(crate) fn lookup_specific(&self, addr: A) -> Option<GroupId> {
        self.group(self.walk(addr))
    }

    /// The entry that an address ends at.
    #[inline]
    fn walk(&self, addr: A) -> u32 {
        let (key, nodes) = (addr.key(), self.arena.nodes());
        let mut entry = self.direct_entry(key, nodes);
        let mut rest = key << direct::<A>();
        let mut level = 0;
        // A key is all of an IPv4 address: its walk ends by itself.
        while entry & NODE != 0 {
            if size_of::<A>() > size_of::<u64>() && level == levels::<A>() {
                return self.walk_on(addr, entry);
            }
            entry = nodes.in_node(entry, rest >> (64 - STRIDE));
            rest <<= STRIDE;
            level += 1;
        }
        entry
    }

    /// The rest of the way, beyond what a key leads to.
    #[cold]
    fn walk_on(&self, addr: A, mut entry: u32) -> u32 {
        let mut rest = addr.aligned() << (direct::<A>() + levels::<A>() * STRIDE);
        while entry & NODE != 0 {
            let child = (rest >> (128 - STRIDE)) as u64;
            entry = self.arena.nodes().in_node(entry, child);
            rest <<= STRIDE;
        }
        entry
    }

    /// The entry of the direct table, or of the page below it.
    #[inline(always)]
    fn direct_entry(&self, key: u64, nodes: Nodes<'_>) -> u32 {
        let root = self.root.get((key >> (64 - A::ROOT)) as usize);
        let entry = root.map_or(0, |entry| entry.load(Ordering::Acquire));
        if A::PAGE == 0 {
            return entry;
        }
        // A leaf's lane reads some word too, and keeps what it has: no branch depends on the address.
        let below = nodes.in_page(entry, key << A::ROOT >> (64 - A::PAGE));
        select_unpredictable(entry & NODE != 0, below, entry)
    }

    /// What a leaf, or the default, means.
    #[inline]
    fn group(&self, leaf: u32) -> Option<GroupId> {
        (leaf != 0).then_some(GroupId(leaf))
    }
}
