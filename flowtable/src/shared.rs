//! A table whose memory is a file's (a memfd), so that another mapping of it, in another process too, can read it.
//!
//! Inside there are indexes only, never pointers, and a head that says what it is (design section 8):
//!
//! | word | what |
//! |---|---|
//! | 0 | `FLOWGATE` in ASCII, stored last: all else is there |
//! | 1 | version |
//! | 2 | hash of the layout: widths, shifts, orders of everything that the entries and buckets hold |
//! | 3 | bytes of the file |
//! | 4 | buckets of a slot |
//! | 5 | 63..32 the first slot, 31..0 how many |
//! | 6 | clock base: `CLOCK_MONOTONIC` in ms at tick 0 |
//! | 7 | tick at which it was made |
//! | 8, 9 | the table secret |
//!
//! Then come the buckets, then the entries, each from a huge page on. Who opens a table checks all of this first, reads
//! it as any reader does, by the buckets' versions, and writes nothing: its writers are those of whoever made it.

use crate::bucket::{self, BUCKET_WORDS, Buckets, PLACES};
use crate::entry::{self, Entries};
use crate::hash::{SLOTS, SlotNo, TableSecret};
use crate::key::Key;
use crate::machine::{Pages, Touched};
use crate::memory::Words;
use crate::sync::Ordering::{Acquire, Relaxed, Release};
use crate::table::Table;
use crate::time::Tick;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Raised when words get another meaning that widths and shifts do not show: the head's, the order of states, a hash.
const VERSION: u64 = 1;
const MAGIC: u64 = u64::from_be_bytes(*b"FLOWGATE");
/// Words of the head: a line or two; it has a huge page of its own.
const HEAD_WORDS: usize = 16;

const AT_MAGIC: usize = 0;
const AT_VERSION: usize = 1;
const AT_LAYOUT: usize = 2;
const AT_BYTES: usize = 3;
const AT_BUCKETS: usize = 4;
const AT_SLOTS: usize = 5;
const AT_CLOCK: usize = 6;
const AT_START: usize = 7;
const AT_SECRET: usize = 8;

/// The file that a table's memory is, and its head.
pub(crate) struct Shared {
    head: Words,
    file: File,
}

impl Shared {
    pub(crate) fn pages(&self) -> Pages {
        self.head.pages()
    }
}

/// When and with what a table was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Places flows.
    pub secret: TableSecret,
    /// `CLOCK_MONOTONIC` in ms at tick 0.
    pub clock_base_ms: u64,
    /// The tick at which it was made.
    pub start: Tick,
}

/// Why a file cannot be opened as a table. One line each.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refuses.
    #[error("the table's memory cannot be mapped: {0}")]
    Map(#[from] io::Error),
    /// Something else, or not whole yet.
    #[error("this memory holds no flow table: name that of a running flowgate")]
    NoTable,
    /// Another version.
    #[error(
        "the flow table in this memory has version {0}, and this flowgate reads version {VERSION}: use the same release on both \
         sides"
    )]
    Version(u64),
    /// The same version, but another family or other words.
    #[error(
        "the flow table in this memory is laid out otherwise ({is:016x}, here {want:016x}): it is of the other address family, or of \
         another build of flowgate"
    )]
    Layout {
        /// The hash there.
        is: u64,
        /// The hash of what was asked for.
        want: u64,
    },
    /// Its head and its size contradict each other.
    #[error(
        "the flow table in this memory says that it has {says} bytes, and there are {is}: it is not whole"
    )]
    Size {
        /// By its head.
        says: u64,
        /// In the file.
        is: u64,
    },
}

impl<K: Key> Table<K> {
    /// What tells this layout from any other.
    pub const LAYOUT: u64 = hash(&[
        K::WORDS as u64,
        K::ENTRY_WORDS as u64,
        SLOTS as u64,
        PLACES as u64,
        BUCKET_WORDS as u64,
        bucket::LAYOUT,
        entry::LAYOUT,
    ]);

    /// Bytes of a file that holds a table of this capacity: whole huge pages.
    pub const fn file_bytes(capacity: usize) -> u64 {
        let buckets = capacity.div_ceil(Self::ROUND);
        let buckets = if buckets == 0 { 1 } else { buckets };
        Self::bytes_of(SLOTS, buckets)
    }

    const fn bytes_of(slots: usize, slot_buckets: usize) -> u64 {
        let [buckets, entries] = Self::words_of(slots, slot_buckets);
        Words::in_file(HEAD_WORDS) + Words::in_file(buckets) + Words::in_file(entries)
    }

    /// Words of the buckets and of the entries.
    const fn words_of(slots: usize, slot_buckets: usize) -> [usize; 2] {
        let buckets = slots * slot_buckets;
        [buckets * BUCKET_WORDS, buckets * PLACES * K::ENTRY_WORDS]
    }

    /// As [`new_touched`](Self::new_touched), in the memory of a file of [`file_bytes`](Self::file_bytes) that is all
    /// zero, and that nobody makes shorter (a sealed memfd).
    ///
    /// # Errors
    /// The file is too short, or the system cannot map it: it has not so many huge pages, say.
    pub fn new_in(
        file: &File,
        capacity: usize,
        origin: &Origin,
        touched: Touched<'_>,
    ) -> io::Result<Arc<Self>> {
        let slot_buckets = capacity.div_ceil(Self::ROUND).max(1);
        let [head, buckets, entries] = Self::map(file, SLOTS, slot_buckets)?;
        buckets.touch(touched);
        entries.touch(touched);
        let all = SLOTS * slot_buckets;
        let memory = (
            Buckets::fresh(buckets, all, origin.start),
            Entries::of(entries),
        );
        write_head::<K>(&head, slot_buckets, origin);
        let file = file.try_clone()?;
        let mut table = Self::made_of(SLOTS, slot_buckets, origin.secret, memory);
        table.shared = Some(Shared { head, file });
        Ok(Arc::new(table))
    }

    fn map(file: &File, slots: usize, slot_buckets: usize) -> io::Result<[Words; 3]> {
        let [buckets, entries] = Self::words_of(slots, slot_buckets);
        let first = Words::in_file(HEAD_WORDS);
        let second = first + Words::in_file(buckets);
        Ok([
            Words::of_file(file, 0, HEAD_WORDS)?,
            Words::of_file(file, first, buckets)?,
            Words::of_file(file, second, entries)?,
        ])
    }

    /// Opens the table whose memory a file is, for reading: with it come listings, searches and fills. Its writers go on
    /// and know nothing of it. They must live: a bucket that one left in the middle of a change, dying, is waited for for
    /// ever.
    ///
    /// # Errors
    /// It is not such a table, whole and laid out as this one, or cannot be mapped.
    pub fn open(file: &File) -> Result<Arc<Self>, OpenError> {
        let is = file.metadata()?.len();
        if is < Words::in_file(HEAD_WORDS) {
            return Err(OpenError::NoTable);
        }
        let head = Words::of_file(file, 0, HEAD_WORDS)?;
        let slot_buckets = check_head::<K>(&head, is)?;
        let [head, buckets, entries] = Self::map(file, SLOTS, slot_buckets)?;
        let origin = origin(&head);
        let memory = (Buckets::of(buckets), Entries::of(entries));
        let file = file.try_clone()?;
        let mut table = Self::made_of(SLOTS, slot_buckets, origin.secret, memory);
        table.shared = Some(Shared { head, file });
        for slot in (0..SLOTS as u16).map(SlotNo) {
            // They have writers elsewhere.
            table.claim(slot);
            table.set_used(slot, table.places(slot).count() as u32);
        }
        Ok(Arc::new(table))
    }

    /// The file that its memory is, to be given to whoever is to [`open`](Self::open) it, and how it was made. `None`: it
    /// is nobody else's memory.
    pub fn file(&self) -> Option<(&File, Origin)> {
        let shared = self.shared.as_ref()?;
        Some((&shared.file, origin(&shared.head)))
    }
}

fn write_head<K: Key>(head: &Words, slot_buckets: usize, origin: &Origin) {
    let secret = u128::from_le_bytes(origin.secret.0);
    let words = [
        (AT_VERSION, VERSION),
        (AT_LAYOUT, Table::<K>::LAYOUT),
        (AT_BYTES, Table::<K>::bytes_of(SLOTS, slot_buckets)),
        (AT_BUCKETS, slot_buckets as u64),
        (AT_SLOTS, SLOTS as u64),
        (AT_CLOCK, origin.clock_base_ms),
        (AT_START, u64::from(origin.start.0)),
        (AT_SECRET, secret as u64),
        (AT_SECRET + 1, (secret >> 64) as u64),
    ];
    words
        .into_iter()
        .for_each(|(at, word)| head.store(at, word));
    // Release: who finds this finds all the rest, the empty buckets too.
    head.at(AT_MAGIC).store(MAGIC, Release);
}

/// Buckets of a slot, if the head is right.
fn check_head<K: Key>(head: &Words, is: u64) -> Result<usize, OpenError> {
    if head.at(AT_MAGIC).load(Acquire) != MAGIC {
        return Err(OpenError::NoTable);
    }
    let version = head.load(AT_VERSION);
    if version != VERSION {
        return Err(OpenError::Version(version));
    }
    let (layout, want) = (head.load(AT_LAYOUT), Table::<K>::LAYOUT);
    if layout != want || head.load(AT_SLOTS) != SLOTS as u64 {
        return Err(OpenError::Layout { is: layout, want });
    }
    let (says, slot_buckets) = (head.load(AT_BYTES), head.load(AT_BUCKETS));
    // So small that no product of it overflows.
    let sane = slot_buckets >= 1 && slot_buckets <= is / (SLOTS * BUCKET_WORDS * 8) as u64;
    if says != is || !sane || Table::<K>::bytes_of(SLOTS, slot_buckets as usize) != is {
        return Err(OpenError::Size { says, is });
    }
    Ok(slot_buckets as usize)
}

fn origin(head: &Words) -> Origin {
    let secret = [AT_SECRET, AT_SECRET + 1].map(|at| u128::from(head.at(at).load(Relaxed)));
    Origin {
        secret: TableSecret((secret[0] | secret[1] << 64).to_le_bytes()),
        clock_base_ms: head.load(AT_CLOCK),
        start: Tick(head.load(AT_START) as u32),
    }
}

/// FNV-1a over words: tells layouts apart, keeps nobody from anything.
pub(crate) const fn hash(words: &[u64]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < words.len() {
        let bytes = words[at].to_le_bytes();
        let mut byte = 0;
        while byte < bytes.len() {
            hash = (hash ^ bytes[byte] as u64).wrapping_mul(0x0100_0000_01b3);
            byte += 1;
        }
        at += 1;
    }
    hash
}

#[cfg(all(test, not(loom)))]
#[path = "shared_tests.rs"]
mod tests;
