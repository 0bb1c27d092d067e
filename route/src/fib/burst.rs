//! Many lookups at once, in lockstep: one level of every address, then the next.
//!
//! A single lookup waits for each load and guesses where it ends. In lockstep the loads of all lanes are under
//! way together, and no branch depends on one address. With AVX-512 eight lanes are one register; without,
//! the same steps are taken lane by lane, with the instruction that counts bits where there is one. Only 64 bits
//! of an address take part: the few lanes that are still at a node then (IPv6 prefixes longer than /60) are
//! walked singly.

use super::{Addr, Fib, NODE, STRIDE, direct, levels};
use crate::ids::GroupId;
use std::hint::select_unpredictable;

/// Lanes of the blocks that a burst is cut into, the widest first.
const WIDE: usize = 64;
const MIDDLE: usize = 32;
const NARROW: usize = 16;

/// How a block of lanes is looked up.
pub(super) trait Way: Copy {
    fn block<A: Addr, const N: usize>(
        self,
        fib: &Fib<A>,
        addrs: &[A; N],
        groups: &mut [Option<GroupId>; N],
    );
}

/// Lane by lane, on any machine.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Way for Portable {
    #[inline]
    fn block<A: Addr, const N: usize>(
        self,
        fib: &Fib<A>,
        addrs: &[A; N],
        groups: &mut [Option<GroupId>; N],
    ) {
        let nodes = fib.arena.nodes();
        let keys = addrs.map(A::key);
        let mut entries = keys.map(|key| fib.direct_entry(key, nodes));
        let mut rest = keys.map(|key| key << direct::<A>());
        for _ in 0..levels::<A>() {
            if entries.iter().fold(0, |any, entry| any | entry) & NODE == 0 {
                break;
            }
            for (entry, rest) in entries.iter_mut().zip(&rest) {
                // A lane that has ended reads some word, and keeps what it has.
                let next = nodes.in_node(*entry, rest >> (64 - STRIDE));
                *entry = select_unpredictable(*entry & NODE != 0, next, *entry);
            }
            rest.iter_mut().for_each(|rest| *rest <<= STRIDE);
        }
        fib.finish(addrs, &entries, groups);
    }
}

impl<A: Addr> Fib<A> {
    /// The groups of a burst of addresses.
    pub(crate) fn lookup_burst(&self, addrs: &[A], groups: &mut [Option<GroupId>]) {
        #[cfg(all(target_arch = "x86_64", not(loom)))]
        if let Some(avx512) = super::simd::Avx512::detect() {
            return self.burst(avx512, addrs, groups);
        }
        self.lookup_burst_portable(addrs, groups);
    }

    /// As [`Self::lookup_burst`], without vector instructions.
    pub(crate) fn lookup_burst_portable(&self, addrs: &[A], groups: &mut [Option<GroupId>]) {
        self.burst(Portable, addrs, groups);
    }

    fn burst(&self, way: impl Way, addrs: &[A], groups: &mut [Option<GroupId>]) {
        let lanes = addrs.len().min(groups.len());
        let (whole, addrs) = addrs[..lanes].as_chunks::<WIDE>();
        let (whole_groups, groups) = groups[..lanes].as_chunks_mut::<WIDE>();
        for (addrs, groups) in whole.iter().zip(whole_groups) {
            self.block(way, addrs, groups);
        }
        match addrs.len() {
            0 => {}
            1..=NARROW => self.part::<NARROW>(way, addrs, groups),
            len if len <= MIDDLE => self.part::<MIDDLE>(way, addrs, groups),
            _ => self.part::<WIDE>(way, addrs, groups),
        }
    }

    /// Looks at most `N` addresses up; lanes too many look the zero address up.
    fn part<const N: usize>(&self, way: impl Way, addrs: &[A], groups: &mut [Option<GroupId>]) {
        if let (Some(addrs), Some(groups)) = (addrs.first_chunk(), groups.first_chunk_mut()) {
            return self.block::<N>(way, addrs, groups);
        }
        let (mut padded, mut found) = ([A::default(); N], [None; N]);
        for (lane, addr) in padded.iter_mut().zip(addrs) {
            *lane = *addr;
        }
        self.block(way, &padded, &mut found);
        for (group, found) in groups.iter_mut().zip(found) {
            *group = found;
        }
    }

    /// Looks a block up; one by one, if the default route changed meanwhile.
    #[inline]
    fn block<const N: usize>(
        &self,
        way: impl Way,
        addrs: &[A; N],
        groups: &mut [Option<GroupId>; N],
    ) {
        let default = self.default.before();
        way.block(self, addrs, groups);
        if self.default.after() != default {
            self.one_by_one(addrs, groups);
        }
    }

    #[cold]
    fn one_by_one(&self, addrs: &[A], groups: &mut [Option<GroupId>]) {
        for (group, addr) in groups.iter_mut().zip(addrs) {
            *group = self.lookup(*addr);
        }
    }

    /// What entries mean. Inlined into code for the instructions that the machine has.
    #[inline(always)]
    pub(super) fn finish<const N: usize>(
        &self,
        addrs: &[A; N],
        entries: &[u32; N],
        groups: &mut [Option<GroupId>; N],
    ) {
        // `block` sees to it that this is what it was, and is.
        let default = self.default.before();
        for (group, entry) in groups.iter_mut().zip(entries) {
            let leaf = if *entry == 0 { default } else { *entry };
            *group = (leaf != 0).then_some(GroupId(leaf));
        }
        if entries.iter().fold(0, |any, entry| any | entry) & NODE != 0 {
            self.finish_long(addrs, entries, groups);
        }
    }

    /// Lanes that 64 bits did not lead to an end.
    #[cold]
    fn finish_long(&self, addrs: &[A], entries: &[u32], groups: &mut [Option<GroupId>]) {
        for ((addr, entry), group) in addrs.iter().zip(entries).zip(groups) {
            if entry & NODE != 0 {
                *group = self.group(self.default.under(|| self.walk_on(*addr, *entry)));
            }
        }
    }
}
