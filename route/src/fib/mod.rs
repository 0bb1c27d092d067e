//! FIB: longest-prefix match that readers walk while control changes it.
//!
//! A direct table of the first 18 bits (IPv4) or 16 bits (IPv6), then nodes of 6 bits each. A node is a block
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

/// Bits that a node consumes.
const STRIDE: u32 = 6;

/// Words of a node before its entries: the bitmap, low half first.
const HEAD: u32 = 2;

/// Set in an entry that leads to a node; the rest is its index. Clear: the rest is a group.
const NODE: u32 = 1 << 31;

/// An address that the FIB can look up.
pub(crate) trait Addr: Copy + Eq + std::fmt::Debug {
    /// Bits of the direct table.
    const ROOT: u32;
    /// The address as its leading bits, left-aligned in 128.
    fn aligned(self) -> u128;
    /// Its first 64 bits, left-aligned.
    fn top(self) -> u64 {
        (self.aligned() >> 64) as u64
    }
}

#[expect(clippy::use_self, reason = "a count of bits, not an address")]
impl Addr for u32 {
    const ROOT: u32 = 18;
    fn aligned(self) -> u128 {
        u128::from(self) << 96
    }
}

impl Addr for u128 {
    const ROOT: u32 = 16;
    fn aligned(self) -> u128 {
        self
    }
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
            root: (0..1usize << A::ROOT).map(|_| AtomicU32::new(0)).collect(),
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
        let slot = (bits >> (128 - A::ROOT)) as usize;
        let mut rest = bits << A::ROOT;
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
