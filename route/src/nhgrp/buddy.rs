//! Which lines of the group arena are free: a buddy allocator over powers of two.
//!
//! Groups come in few sizes (one bucket, or some thousands; members in a line or a few), and blocks given
//! back must be able to become large ones again. Control alone uses it; nothing here is shared.

use std::collections::BTreeSet;

/// A run of `1 << order` lines, aligned to its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) base: u32,
    pub(crate) order: u8,
}

impl Block {
    /// Lines in it.
    pub(crate) const fn lines(self) -> u32 {
        1 << self.order
    }

    /// The line behind its last.
    pub(crate) const fn end(self) -> u32 {
        self.base + self.lines()
    }
}

/// The free lines.
#[derive(Debug)]
pub(crate) struct Buddy {
    /// Free blocks of each order.
    free: Vec<BTreeSet<u32>>,
    used: u32,
    limit: u32,
}

impl Buddy {
    /// `limit` lines, rounded down to a power of two, all free.
    pub(crate) fn new(limit: u32) -> Self {
        let top = limit.max(1).ilog2();
        let mut free = vec![BTreeSet::new(); top as usize + 1];
        free[top as usize].insert(0);
        Self {
            free,
            used: 0,
            limit: 1 << top,
        }
    }

    /// Lines that are taken.
    pub(crate) const fn used(&self) -> u32 {
        self.used
    }

    /// All lines.
    pub(crate) const fn limit(&self) -> u32 {
        self.limit
    }

    /// The lowest block of at least `lines` lines.
    pub(crate) fn take(&mut self, lines: u32) -> Option<Block> {
        let order = lines.max(1).checked_next_power_of_two()?.ilog2() as usize;
        let fits = (order..self.free.len()).filter(|o| !self.free[*o].is_empty());
        let (base, mut at) = fits
            .filter_map(|o| Some((*self.free[o].first()?, o)))
            .min()?;
        self.free[at].remove(&base);
        while at > order {
            at -= 1;
            self.free[at].insert(base + (1 << at));
        }
        self.used += 1 << order;
        Some(Block {
            base,
            order: order as u8,
        })
    }

    /// Gives a block back, joining it with its free neighbours.
    pub(crate) fn give(&mut self, block: Block) {
        self.used -= block.lines();
        let (mut base, mut order) = (block.base, usize::from(block.order));
        while order + 1 < self.free.len() && self.free[order].remove(&(base ^ (1 << order))) {
            base &= !(1 << order);
            order += 1;
        }
        self.free[order].insert(base);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn blocks_never_overlap_and_all_come_back_as_one() {
        let mut rng = fastrand::Rng::with_seed(5);
        let mut buddy = Buddy::new(1 << 10);
        let mut taken: Vec<Block> = Vec::new();
        for _ in 0..20_000 {
            if rng.bool() {
                if let Some(block) = buddy.take(rng.u32(1..=80)) {
                    assert_eq!(block.base % block.lines(), 0);
                    assert!(block.end() <= buddy.limit());
                    assert!(
                        taken
                            .iter()
                            .all(|b| b.end() <= block.base || block.end() <= b.base)
                    );
                    taken.push(block);
                }
            } else if !taken.is_empty() {
                buddy.give(taken.swap_remove(rng.usize(..taken.len())));
            }
            assert_eq!(buddy.used(), taken.iter().map(|b| b.lines()).sum::<u32>());
        }
        taken.into_iter().for_each(|block| buddy.give(block));
        assert_eq!(buddy.take(1 << 10), Some(Block { base: 0, order: 10 }));
        assert_eq!(buddy.take(1), None);
    }

    #[test]
    fn too_large_a_wish_is_refused() {
        assert_eq!(Buddy::new(64).take(65), None);
        assert_eq!(Buddy::new(64).take(u32::MAX), None);
    }
}
