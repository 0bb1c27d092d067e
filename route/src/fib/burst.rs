//! Many lookups at once, in lockstep: one level of every address, then the next.
//!
//! A single lookup waits for each load and guesses where it ends. In lockstep the loads of all lanes are under
//! way together, and no branch depends on one address. With AVX-512 eight lanes are one register; without,
//! the same steps are taken lane by lane. Only 64 bits of an address take part: the few lanes that are still at a
//! node then (IPv6 prefixes longer than /62), or are of no use from the start (IPv6 addresses that are not global
//! unicast), are walked singly.

use super::{Addr, Fib, NODE, STRIDE};
use crate::ids::GroupId;
use crate::sync::Ordering;

/// Lanes of the blocks that a burst is cut into, the widest first.
const WIDE: usize = 64;
const MIDDLE: usize = 32;
const NARROW: usize = 16;

/// How a block of lanes is looked up: keys in, entries out.
trait Way {
    fn walk<const N: usize>(&self, keys: &[u64; N]) -> [u32; N];
}

/// Lane by lane, on any machine.
struct Portable<'a, A: Addr>(&'a Fib<A>);

impl<A: Addr> Way for Portable<'_, A> {
    #[inline]
    fn walk<const N: usize>(&self, keys: &[u64; N]) -> [u32; N] {
        let mut entries = keys.map(|key| self.0.root_entry(key));
        let mut rest = keys.map(|key| key << A::KEY_ROOT);
        for _ in 0..levels::<A>() {
            if entries.iter().fold(0, |any, entry| any | entry) & NODE == 0 {
                break;
            }
            for (entry, rest) in entries.iter_mut().zip(&mut rest) {
                let is_node = *entry & NODE != 0;
                // A lane that has ended reads the first node, and keeps what it has.
                let block = if is_node { *entry & !NODE } else { 0 };
                let next = self.0.arena.entry(block, (*rest >> (64 - STRIDE)) as u32);
                *entry = if is_node { next } else { *entry };
                *rest <<= STRIDE;
            }
        }
        entries
    }
}

/// Eight lanes a register.
#[cfg(all(target_arch = "x86_64", not(loom)))]
struct Vector<'a, A: Addr>(&'a Fib<A>, super::simd::Avx512);

#[cfg(all(target_arch = "x86_64", not(loom)))]
impl<A: Addr> Way for Vector<'_, A> {
    #[inline]
    fn walk<const N: usize>(&self, keys: &[u64; N]) -> [u32; N] {
        let mut entries = [0; N];
        self.1.walk(self.0, levels::<A>(), keys, &mut entries);
        entries
    }
}

/// Levels of nodes that 64 bits lead through.
const fn levels<A: Addr>() -> u32 {
    (64 - A::KEY_ROOT) / STRIDE
}

impl<A: Addr> Fib<A> {
    /// The groups of a burst of addresses.
    pub(crate) fn lookup_burst(&self, addrs: &[A], groups: &mut [Option<GroupId>]) {
        #[cfg(all(target_arch = "x86_64", not(loom)))]
        if let Some(avx512) = super::simd::Avx512::detect() {
            return self.burst(&Vector(self, avx512), addrs, groups);
        }
        self.lookup_burst_portable(addrs, groups);
    }

    /// As [`Self::lookup_burst`], without vector instructions.
    pub(crate) fn lookup_burst_portable(&self, addrs: &[A], groups: &mut [Option<GroupId>]) {
        self.burst(&Portable(self), addrs, groups);
    }

    fn burst(&self, way: &impl Way, addrs: &[A], groups: &mut [Option<GroupId>]) {
        let mut groups = groups.iter_mut();
        let mut rest = addrs;
        while rest.len() > MIDDLE {
            rest = self.block::<WIDE>(way, rest, &mut groups);
        }
        while rest.len() > NARROW {
            rest = self.block::<MIDDLE>(way, rest, &mut groups);
        }
        while !rest.is_empty() {
            rest = self.block::<NARROW>(way, rest, &mut groups);
        }
    }

    /// Looks up to `N` addresses up; lanes too many look the zero address up. Returns those that are left.
    #[inline]
    fn block<'a, 'b, const N: usize>(
        &self,
        way: &impl Way,
        addrs: &'b [A],
        groups: &mut impl Iterator<Item = &'a mut Option<GroupId>>,
    ) -> &'b [A] {
        let (now, rest) = addrs.split_at(addrs.len().min(N));
        let mut keys = [0; N];
        for (key, addr) in keys.iter_mut().zip(now) {
            *key = addr.key().unwrap_or(0);
        }
        self.finish(now, &way.walk(&keys), groups);
        rest
    }

    fn finish<'a>(
        &self,
        addrs: &[A],
        entries: &[u32],
        groups: &mut impl Iterator<Item = &'a mut Option<GroupId>>,
    ) {
        for ((addr, entry), group) in addrs.iter().zip(entries).zip(groups) {
            *group = if entry & NODE == 0 && addr.key().is_some() {
                self.group(*entry)
            } else {
                self.lookup(*addr)
            };
        }
    }

    /// The direct table's entry for an address that begins with `key`.
    #[inline]
    fn root_entry(&self, key: u64) -> u32 {
        let entry = self.root.get((key >> (64 - A::KEY_ROOT)) as usize);
        entry.map_or(0, |entry| entry.load(Ordering::Acquire))
    }
}
