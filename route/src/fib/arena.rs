//! Blocks of words: where nodes live, and how they come back.
//!
//! One zeroed allocation of the largest size, of which the system gives only the pages that are written. Its
//! length is a power of two and more words follow, so that any index, masked, is one of a whole node: a reader
//! that outstays its grace period reads a wrong word, never memory that is not there. Blocks are handed out by
//! exact size (a node has 1 to 64 entries), from the free list of that size or the end; a block that readers
//! may still walk waits for its grace period.

use super::HEAD;
use crate::qsbr::Qsbr;
use crate::sync::{AtomicU32, Ordering};

/// The largest node.
const ENTRIES_MAX: usize = 64;

/// Words behind the last index, so that a node that begins there is whole.
const BEHIND: usize = HEAD as usize + ENTRIES_MAX;

/// The words, as readers see them.
#[derive(Debug)]
pub(super) struct Arena {
    words: Box<[AtomicU32]>,
    mask: u32,
    /// Words that reachable nodes may take when a prefix is added.
    limit: usize,
}

impl Arena {
    /// Room for nodes of `limit` words, and as much again: a removal needs room before it gives any back, and
    /// must not fail because the table is full.
    pub(super) fn new(limit: usize) -> Self {
        let len = (2 * limit).next_power_of_two().clamp(64, 1 << 30);
        Self {
            words: zeroed(len + BEHIND),
            mask: len as u32 - 1,
            limit,
        }
    }

    /// Words that reachable nodes may take when a prefix is added.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// Every word; a node is whole at any index that [`Self::mask`] lets through.
    pub(super) const fn words(&self) -> &[AtomicU32] {
        &self.words
    }

    /// What makes any word an index into the arena.
    pub(super) const fn mask(&self) -> u32 {
        self.mask
    }

    #[inline]
    fn load(&self, index: u32) -> u32 {
        let word = self.words.get(index as usize);
        word.map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// The entry of child `child` in the node at `block`.
    #[inline]
    pub(super) fn entry(&self, block: u32, child: u32) -> u32 {
        let block = block & self.mask;
        let runs = runs(self.bitmap(block), child);
        // Entries begin after the bitmap, and the first run is number 1.
        self.load(block + HEAD - 1 + runs)
    }

    /// Where runs of equal entries start in the node at `block`.
    #[inline]
    pub(super) fn bitmap(&self, block: u32) -> u64 {
        u64::from(self.load(block)) | u64::from(self.load(block + 1)) << 32
    }

    /// Stores one entry: the one store that publishes a change below or in this node.
    pub(super) fn publish(&self, block: u32, rank: u32, entry: u32) {
        self.store(block + HEAD + rank, entry);
    }

    /// The entry of run `rank`.
    pub(super) fn at(&self, block: u32, rank: u32) -> u32 {
        self.load(block + HEAD + rank)
    }

    fn store(&self, index: u32, value: u32) {
        if let Some(word) = self.words.get(index as usize) {
            word.store(value, Ordering::Release);
        }
    }
}

#[cfg(not(loom))]
fn zeroed(len: usize) -> Box<[AtomicU32]> {
    bytemuck::zeroed_slice_box(len)
}

#[cfg(loom)]
fn zeroed(len: usize) -> Box<[AtomicU32]> {
    (0..len).map(|_| AtomicU32::new(0)).collect()
}

/// Runs that start at child `child` or before it.
#[inline]
pub(super) const fn runs(bitmap: u64, child: u32) -> u32 {
    (bitmap << (63 - (child & 63))).count_ones()
}

/// The writer's books of the arena.
#[derive(Debug)]
pub(super) struct Blocks {
    free: Vec<Vec<u32>>,
    end: u32,
    /// Given back since the last reclaim.
    retired: Vec<(u32, u8)>,
    /// Waiting for their epoch to pass.
    waiting: std::collections::VecDeque<(u64, Vec<(u32, u8)>)>,
    used_words: usize,
}

impl Default for Blocks {
    fn default() -> Self {
        Self {
            free: vec![Vec::new(); ENTRIES_MAX + 1],
            end: 0,
            retired: Vec::new(),
            waiting: std::collections::VecDeque::new(),
            used_words: 0,
        }
    }
}

impl Blocks {
    /// A block filled with a node, not yet reachable; `None` if the arena is full.
    pub(super) fn make(&mut self, arena: &Arena, bitmap: u64, entries: &[u32]) -> Option<u32> {
        let block = self.take(arena, entries.len())?;
        arena.store(block, bitmap as u32);
        arena.store(block + 1, (bitmap >> 32) as u32);
        for (rank, entry) in entries.iter().enumerate() {
            arena.publish(block, rank as u32, *entry);
        }
        self.used_words += HEAD as usize + entries.len();
        Some(block)
    }

    fn take(&mut self, arena: &Arena, entries: usize) -> Option<u32> {
        if let Some(block) = self.free.get_mut(entries)?.pop() {
            return Some(block);
        }
        let block = self.end;
        let end = block + HEAD + entries as u32;
        if end > arena.mask {
            return None;
        }
        self.end = end;
        Some(block)
    }

    /// A block is no longer reachable; readers may still be in it.
    pub(super) fn retire(&mut self, block: u32, entries: usize) {
        self.retired.push((block, entries as u8));
        self.used_words -= HEAD as usize + entries;
    }

    /// Makes blocks usable again that every reader has left.
    pub(super) fn reclaim(&mut self, qsbr: &Qsbr) {
        if !self.retired.is_empty() {
            let epoch = qsbr.advance();
            self.waiting
                .push_back((epoch, std::mem::take(&mut self.retired)));
        }
        while let Some((epoch, _)) = self.waiting.front()
            && qsbr.passed(*epoch)
        {
            for (block, entries) in self
                .waiting
                .pop_front()
                .into_iter()
                .flat_map(|(_, blocks)| blocks)
            {
                self.free[usize::from(entries)].push(block);
            }
        }
    }

    /// Blocks not yet usable again.
    #[cfg(all(test, not(loom)))]
    pub(super) fn pending(&self) -> usize {
        self.retired.len()
            + self
                .waiting
                .iter()
                .map(|(_, blocks)| blocks.len())
                .sum::<usize>()
    }

    /// Words that nodes have ever taken: pages up to here may be present.
    #[cfg(all(test, not(loom)))]
    pub(super) const fn touched_words(&self) -> usize {
        self.end as usize
    }

    /// Words of reachable nodes.
    pub(super) fn used_words(&self) -> usize {
        self.used_words
    }
}
