//! Blocks of words: where nodes live, and how they come back.
//!
//! A block never straddles a chunk. Blocks are handed out by exact size (a node has 1 to 64 entries), from
//! the free list of that size or the end; a block that readers may still walk waits for its grace period.

use super::HEAD;
use crate::chunks::Chunks;
use crate::qsbr::Qsbr;
use crate::sync::{AtomicU32, Ordering};

/// Words in a chunk: 256 KiB.
const CHUNK_SHIFT: u32 = 16;
const CHUNK: u32 = 1 << CHUNK_SHIFT;

/// The largest node.
const ENTRIES_MAX: usize = 64;

/// The words, as readers see them.
#[derive(Debug)]
pub(super) struct Arena {
    words: Chunks<AtomicU32, CHUNK_SHIFT>,
    /// Words that reachable nodes may take when a prefix is added.
    limit: usize,
}

impl Arena {
    /// Room for nodes of `limit` words, and as much again: a removal needs room before it gives any back, and
    /// must not fail because the table is full.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            words: Chunks::new(2 * limit),
            limit,
        }
    }

    /// Words that reachable nodes may take when a prefix is added.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    fn load(&self, index: u32) -> Option<u32> {
        self.words
            .get(index)
            .map(|word| word.load(Ordering::Acquire))
    }

    /// The entry of child `child` in the node at `block`.
    #[inline]
    pub(super) fn entry(&self, block: u32, child: u32) -> Option<u32> {
        let rank = rank(self.bitmap(block)?, child);
        self.load(block + HEAD + rank)
    }

    /// Where runs of equal entries start in the node at `block`.
    #[inline]
    pub(super) fn bitmap(&self, block: u32) -> Option<u64> {
        Some(u64::from(self.load(block)?) | u64::from(self.load(block + 1)?) << 32)
    }

    /// Stores one entry: the one store that publishes a change below or in this node.
    pub(super) fn publish(&self, block: u32, rank: u32, entry: u32) {
        self.store(block + HEAD + rank, entry);
    }

    /// The entry of run `rank`.
    pub(super) fn at(&self, block: u32, rank: u32) -> Option<u32> {
        self.load(block + HEAD + rank)
    }

    fn store(&self, index: u32, value: u32) {
        if let Some(word) = self.words.get(index) {
            word.store(value, Ordering::Release);
        }
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn bytes(&self) -> usize {
        self.words.bytes()
    }
}

/// Which run child `child` belongs to.
#[inline]
pub(super) fn rank(bitmap: u64, child: u32) -> u32 {
    (bitmap & (u64::MAX >> (63 - (child & 63))))
        .count_ones()
        .wrapping_sub(1)
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
        let words = HEAD + entries as u32;
        if self.end % CHUNK + words > CHUNK {
            self.end = (self.end / CHUNK + 1) * CHUNK;
        }
        let end = self.end.checked_add(words)?;
        if !arena.words.grow(end as usize) {
            return None;
        }
        let block = self.end;
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

    /// Words of reachable nodes.
    pub(super) fn used_words(&self) -> usize {
        self.used_words
    }
}
