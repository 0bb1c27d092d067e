//! Many lookups at once, in lockstep: one level of every address, then the next.
//!
//! A single lookup waits for each load and guesses where it ends. In lockstep the loads of all lanes are under
//! way together, and no branch depends on one address. With AVX-512 eight lanes are one register; without,
//! the same steps are taken lane by lane. Only the first 64 bits of an address take part: the few lanes that
//! are still at a node then (IPv6 prefixes longer than /64) are walked singly.

use super::{Addr, Fib, NODE, STRIDE};
use crate::ids::GroupId;
use crate::sync::Ordering;

/// Lanes of a wide step.
pub(super) const WIDE: usize = 64;

/// Lanes of a narrow step, and of a portable one.
pub(super) const NARROW: usize = 16;

/// How a block of lanes is looked up: keys in, entries out.
trait Way {
    fn wide(&self, keys: &[u64; WIDE]) -> [u32; WIDE];
    fn narrow(&self, keys: &[u64; NARROW]) -> [u32; NARROW];
}

/// Lane by lane, on any machine.
struct Portable<'a, A: Addr>(&'a Fib<A>);

impl<A: Addr> Way for Portable<'_, A> {
    fn wide(&self, keys: &[u64; WIDE]) -> [u32; WIDE] {
        let mut entries = [0; WIDE];
        for (keys, entries) in keys.chunks(NARROW).zip(entries.chunks_mut(NARROW)) {
            if let Ok(keys) = keys.try_into() {
                entries.copy_from_slice(&self.narrow(keys));
            }
        }
        entries
    }

    fn narrow(&self, keys: &[u64; NARROW]) -> [u32; NARROW] {
        let mut entries = keys.map(|key| self.0.root_entry(key));
        let mut rest = keys.map(|key| key << A::ROOT);
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
    fn wide(&self, keys: &[u64; WIDE]) -> [u32; WIDE] {
        let mut entries = [0; WIDE];
        self.1.walk(self.0, levels::<A>(), keys, &mut entries);
        entries
    }

    fn narrow(&self, keys: &[u64; NARROW]) -> [u32; NARROW] {
        let mut entries = [0; NARROW];
        self.1.walk(self.0, levels::<A>(), keys, &mut entries);
        entries
    }
}

/// Levels of nodes that 64 bits lead through.
const fn levels<A: Addr>() -> u32 {
    (64 - A::ROOT) / STRIDE
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
        let (wide, rest) = addrs.as_chunks::<WIDE>();
        let mut groups = groups.iter_mut();
        for addrs in wide {
            let entries = way.wide(&addrs.map(A::top));
            self.finish(addrs, &entries, &mut groups);
        }
        for addrs in rest.chunks(NARROW) {
            let mut keys = [0; NARROW];
            for (key, addr) in keys.iter_mut().zip(addrs) {
                *key = addr.top();
            }
            let entries = way.narrow(&keys);
            self.finish(addrs, &entries, &mut groups);
        }
    }

    fn finish<'a>(
        &self,
        addrs: &[A],
        entries: &[u32],
        groups: &mut impl Iterator<Item = &'a mut Option<GroupId>>,
    ) {
        for ((addr, entry), group) in addrs.iter().zip(entries).zip(groups) {
            *group = if entry & NODE == 0 {
                self.group(*entry)
            } else {
                self.lookup(*addr)
            };
        }
    }

    /// The direct table's entry for an address that begins with `key`.
    #[inline]
    fn root_entry(&self, key: u64) -> u32 {
        let entry = self.root.get((key >> (64 - A::ROOT)) as usize);
        entry.map_or(0, |entry| entry.load(Ordering::Acquire))
    }
}
