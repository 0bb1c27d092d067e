//! Cells that readers reach by index while control adds more of them.
//!
//! The table of chunks has its full length from the start and each chunk is filled in once, so growth moves
//! nothing and a reader needs no new view of it. Memory of chunks never given out is never touched. Control
//! alone grows, before it publishes any index that leads into the new chunk; cells are atomics.

use std::sync::OnceLock;

/// Cells in chunks of `1 << SHIFT`.
#[derive(Debug)]
pub(crate) struct Chunks<T, const SHIFT: u32> {
    chunks: Box<[OnceLock<Box<[T]>>]>,
}

impl<T: Default, const SHIFT: u32> Chunks<T, SHIFT> {
    /// Room for `limit` cells, rounded up to whole chunks, none present.
    pub(crate) fn new(limit: usize) -> Self {
        let chunks = limit.div_ceil(1 << SHIFT);
        Self {
            chunks: (0..chunks).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Cells that there can be.
    #[cfg(all(test, not(loom)))]
    fn limit(&self) -> usize {
        self.chunks.len() << SHIFT
    }

    /// Makes cells `0..count` present. Returns whether the limit allows it. Control only.
    pub(crate) fn grow(&self, count: usize) -> bool {
        let wanted = count.div_ceil(1 << SHIFT);
        let Some(chunks) = self.chunks.get(..wanted) else {
            return false;
        };
        for chunk in chunks
            .iter()
            .rev()
            .take_while(|chunk| chunk.get().is_none())
        {
            chunk.get_or_init(|| (0..1usize << SHIFT).map(|_| T::default()).collect());
        }
        true
    }

    /// The cell at `index`, if it is present.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let index = index as usize;
        self.chunks
            .get(index >> SHIFT)?
            .get()?
            .get(index & ((1 << SHIFT) - 1))
    }

    /// Bytes held by cells that are present.
    #[cfg(all(test, not(loom)))]
    fn bytes(&self) -> usize {
        let present = self
            .chunks
            .iter()
            .filter(|chunk| chunk.get().is_some())
            .count();
        (present << SHIFT) * size_of::<T>()
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::sync::AtomicU32;

    #[test]
    fn cells_appear_in_whole_chunks_up_to_the_limit() {
        let cells = Chunks::<AtomicU32, 4>::new(40);
        assert_eq!((cells.limit(), cells.bytes()), (48, 0));
        assert!(cells.get(0).is_none());
        assert!(cells.grow(17));
        assert!(cells.get(31).is_some() && cells.get(32).is_none());
        assert_eq!(cells.bytes(), 32 * 4);
        assert!(cells.grow(48) && !cells.grow(49));
        assert!(cells.get(47).is_some() && cells.get(48).is_none());
    }
}
