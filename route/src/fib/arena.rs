//! Blocks of words: where nodes live, and how they come back.
//!
//! One zeroed allocation of the largest size, of which the system gives only the pages that are written. Its
//! length is a power of two and more words follow, so that any index, masked, is one of a whole block: a reader
//! that outstays its grace period reads a wrong word, never memory that is not there. Blocks are handed out by
//! exact size (a node has 1 to 64 entries, a page 256), from the free list of that size or the end; a block that readers
//! may still walk waits for its grace period.

use super::{HEAD, NODE};
use crate::qsbr::Qsbr;
use crate::sync::{AtomicU32, Ordering};

/// Words of the largest node.
pub(super) const NODE_WORDS: usize = HEAD as usize + 64;

/// Words of the largest block, a page.
const WORDS_MAX: usize = 256;

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
            words: zeroed(len + WORDS_MAX),
            mask: len as u32 - 1,
            limit,
        }
    }

    /// Words that reachable nodes may take when a prefix is added.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// The words as a walk needs them.
    #[inline]
    pub(super) fn nodes(&self) -> Nodes<'_> {
        Nodes {
            words: &self.words,
            mask: self.mask,
        }
    }

    fn load(&self, index: u32) -> u32 {
        let word = self.words.get(index as usize);
        word.map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Whether the node at `block` begins with the bitmap with which `words` do.
    pub(super) fn has_bitmap(&self, block: u32, words: &[u32]) -> bool {
        let head = words.iter().take(HEAD as usize);
        (block..)
            .zip(head)
            .all(|(index, word)| self.load(index) == *word)
    }

    /// Where the entry of `child` is in the node at `block`, if a deeper node is there.
    pub(super) fn deeper(&self, block: u32, child: u8) -> Option<u32> {
        let bitmap = u64::from(self.load(block)) | u64::from(self.load(block + 1)) << 32;
        let index = block + HEAD - 1 + runs(bitmap, child.into());
        let starts_here = bitmap >> (child & 63) & 1 != 0;
        self.node_at(index).filter(|_| starts_here)
    }

    /// The index itself, if the entry there leads to a node.
    pub(super) fn node_at(&self, index: u32) -> Option<u32> {
        (self.load(index) & NODE != 0).then_some(index)
    }

    /// Stores those of `entries` that differ, beginning at word `first`: each the one store that publishes a
    /// change at or below it.
    pub(super) fn publish(&self, first: u32, entries: &[u32]) {
        for (index, entry) in (first..).zip(entries) {
            if self.load(index) != *entry {
                self.store(index, *entry);
            }
        }
    }

    fn store(&self, index: u32, value: u32) {
        if let Some(word) = self.words.get(index as usize) {
            word.store(value, Ordering::Release);
        }
    }
}

/// The arena in the registers of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nodes<'a> {
    /// Every word; a block is whole at any index that `mask` lets through.
    pub(super) words: &'a [AtomicU32],
    /// What makes any word an index.
    pub(super) mask: u32,
}

impl Nodes<'_> {
    /// The entry of child `child` in the page that `entry` leads to; some word if it is a leaf.
    #[inline(always)]
    pub(super) fn in_page(self, entry: u32, child: u64) -> u32 {
        let word = self
            .words
            .get((entry & self.mask) as usize + child as usize);
        word.map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// The entry of child `child`, up to 63, in the node that `entry` leads to; some word if it is a leaf.
    #[inline(always)]
    pub(super) fn in_node(self, entry: u32, child: u64) -> u32 {
        let block = (entry & self.mask) as usize;
        let words = self.words.get(block..block + NODE_WORDS);
        let node: Option<&[AtomicU32; NODE_WORDS]> = words.and_then(|words| words.try_into().ok());
        node.map_or(0, |node| {
            let half = |half: usize| u64::from(node[half].load(Ordering::Acquire));
            // Entries begin after the bitmap, and the first run is number 1.
            let run = runs(half(0) | half(1) << 32, child);
            node[HEAD as usize - 1 + run as usize].load(Ordering::Acquire)
        })
    }
}

/// The bits of each child and of those before it. A table, as it is there before the bitmap is.
static UP_TO: [u64; 64] = {
    let mut masks = [0; 64];
    let mut child = 0;
    while child < 64 {
        masks[child] = u64::MAX >> (63 - child);
        child += 1;
    }
    masks
};

/// Runs that start at child `child` or before it.
#[inline(always)]
fn runs(bitmap: u64, child: u64) -> u32 {
    (bitmap & UP_TO[child as usize & 63]).count_ones()
}

#[cfg(not(loom))]
fn zeroed(len: usize) -> Box<[AtomicU32]> {
    bytemuck::zeroed_slice_box(len)
}

#[cfg(loom)]
fn zeroed(len: usize) -> Box<[AtomicU32]> {
    (0..len).map(|_| AtomicU32::new(0)).collect()
}

/// The writer's books of the arena.
#[derive(Debug)]
pub(super) struct Blocks {
    /// By words.
    free: Vec<Vec<u32>>,
    end: u32,
    /// Given back since the last reclaim: index and words.
    retired: Vec<(u32, u16)>,
    /// Waiting for their epoch to pass.
    waiting: std::collections::VecDeque<(u64, Vec<(u32, u16)>)>,
    used_words: usize,
}

impl Default for Blocks {
    fn default() -> Self {
        Self {
            free: vec![Vec::new(); WORDS_MAX + 1],
            end: 0,
            retired: Vec::new(),
            waiting: std::collections::VecDeque::new(),
            used_words: 0,
        }
    }
}

impl Blocks {
    /// A block filled with `words`, not yet reachable; `None` if the arena is full.
    pub(super) fn make(&mut self, arena: &Arena, words: &[u32]) -> Option<u32> {
        let block = self.take(arena, words.len())?;
        for (index, word) in (block..).zip(words) {
            arena.store(index, *word);
        }
        self.used_words += words.len();
        Some(block)
    }

    fn take(&mut self, arena: &Arena, words: usize) -> Option<u32> {
        if let Some(block) = self.free.get_mut(words)?.pop() {
            return Some(block);
        }
        let block = self.end;
        let end = block + words as u32;
        if end > arena.mask {
            return None;
        }
        self.end = end;
        Some(block)
    }

    /// A block is no longer reachable; readers may still be in it.
    pub(super) fn retire(&mut self, block: u32, words: u16) {
        self.retired.push((block, words));
        self.used_words -= usize::from(words);
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
            for (block, words) in self
                .waiting
                .pop_front()
                .into_iter()
                .flat_map(|(_, blocks)| blocks)
            {
                self.free[usize::from(words)].push(block);
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
