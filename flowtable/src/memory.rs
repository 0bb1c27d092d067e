//! The table's memory: a fixed run of atomic words in whole cache lines.
//!
//! All words are allocated and touched once, at start. Whoever is given a range of whole lines shares no
//! line with anyone else; that is how two slots' sub-tables stay apart. Indexing is checked, and every
//! index is made from a masked or reduced hash, so no packet can reach the check's panic.

use crate::sync::{AtomicU64, Ordering::Relaxed};

/// Words in a cache line.
pub(crate) const LINE_WORDS: usize = 8;

#[repr(align(64))]
struct Line([AtomicU64; LINE_WORDS]);

#[cfg(not(loom))]
const _: () = assert!(size_of::<Line>() == 64 && align_of::<Line>() == 64);

/// Words of the table, all zero at first.
pub(crate) struct Words(Box<[Line]>);

impl Words {
    /// Allocates `words` (rounded up to whole lines) and touches every page of them.
    pub(crate) fn new(words: usize) -> Self {
        let lines: Box<[Line]> = (0..words.div_ceil(LINE_WORDS))
            .map(|_| Line(std::array::from_fn(|_| AtomicU64::new(0))))
            .collect();
        // The compiler may turn zeroing into a request for zeroed memory, which the system maps only when
        // it is written; an atomic store is a write that stays.
        lines
            .iter()
            .step_by(4096 / 64)
            .for_each(|line| line.0[0].store(0, Relaxed));
        Self(lines)
    }

    /// The word at `index`.
    #[inline]
    pub(crate) fn at(&self, index: usize) -> &AtomicU64 {
        &self.0[index / LINE_WORDS].0[index % LINE_WORDS]
    }

    /// Reads the word at `index`.
    #[inline]
    pub(crate) fn load(&self, index: usize) -> u64 {
        self.at(index).load(Relaxed)
    }

    /// Writes the word at `index`. Only its one writer may.
    #[inline]
    pub(crate) fn store(&self, index: usize, word: u64) {
        self.at(index).store(word, Relaxed);
    }
}
