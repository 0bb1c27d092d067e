//! The table's memory: a fixed run of atomic words in whole cache lines.
//!
//! All words are mapped and touched once, at start. Whoever is given a range of whole lines shares no
//! line with anyone else; that is how two slots' sub-tables stay apart. Indexing is checked, and every
//! index is made from a masked or reduced hash, so no packet can reach the check's panic.

use crate::machine::{HUGE, Pages, Region, Touched, prefetch};
use crate::sync::{AtomicU64, Ordering::Relaxed};
use std::fs::File;
use std::io;

/// Words in a cache line.
pub(crate) const LINE_WORDS: usize = 8;

/// Words of the table, all zero at first.
pub(crate) struct Words(Region);

impl Words {
    /// Maps `words` (rounded up to whole lines) and touches every page of them.
    pub(crate) fn new(words: usize, touched: Touched<'_>) -> Self {
        Self(Region::new(words.next_multiple_of(LINE_WORDS), touched))
    }

    /// Words of a file from `offset` on, as they are there. How many bytes of the file they take is
    /// [`in_file`](Self::in_file).
    pub(crate) fn of_file(file: &File, offset: u64, words: usize) -> io::Result<Self> {
        Region::of_file(file, offset, words.next_multiple_of(LINE_WORDS)).map(Self)
    }

    /// Bytes of a file that so many words take: whole huge pages.
    pub(crate) const fn in_file(words: usize) -> u64 {
        (words * 8).next_multiple_of(HUGE) as u64
    }

    /// Writes 0 to every page.
    pub(crate) fn touch(&self, touched: Touched<'_>) {
        self.0.touch(touched);
    }

    /// On what pages they are.
    pub(crate) fn pages(&self) -> Pages {
        self.0.pages()
    }

    /// All of them.
    #[inline]
    pub(crate) fn all(&self) -> Run<'_> {
        Run(self.0.words())
    }

    /// `len` words from `from` on.
    #[inline]
    pub(crate) fn run(&self, from: usize, len: usize) -> &[AtomicU64] {
        &self.0.words()[from..from + len]
    }

    /// The word at `index`.
    #[inline]
    pub(crate) fn at(&self, index: usize) -> &AtomicU64 {
        &self.0.words()[index]
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

/// Words, borrowed: a loop over them has their place and length at hand.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a>(&'a [AtomicU64]);

impl<'a> Run<'a> {
    /// The words of a line.
    #[inline]
    pub(crate) fn line(self, line: usize) -> &'a [AtomicU64; LINE_WORDS] {
        let words = &self.0[line * LINE_WORDS..][..LINE_WORDS];
        words.first_chunk().expect("a run of a line's words")
    }

    /// Asks for the line of a word, some time before it is read.
    #[inline]
    pub(crate) fn prefetch(self, index: usize) {
        prefetch(&self.0[index]);
    }
}
