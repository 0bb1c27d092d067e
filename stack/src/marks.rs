//! Where a worker notes that an unpinned packet took a remembered owner (design section 4, *no pin, no break*).
//!
//! Fixed memory, written by one worker with plain stores, read by control about once a second, which then
//! restarts that remembered owner's clock. Two notes may fall on one place: the later one stays, and the
//! earlier one is written again by its flow's next packet.

use route::{GroupId, Secs};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const PLACES: usize = 4096;

/// One worker's notes.
pub struct Marks(Box<[AtomicU64]>);

/// One note, read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The group.
    pub group: GroupId,
    /// The bucket in it.
    pub bucket: u32,
    /// The place in the bucket's history.
    pub place: u8,
    /// When a packet took it.
    pub at: Secs,
}

impl Default for Marks {
    fn default() -> Self {
        Self((0..PLACES).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Marks {
    /// Notes that a packet took history place `place` of a bucket. Owner thread only.
    pub fn mark(&self, group: GroupId, bucket: u32, place: u8, at: Secs) {
        let word = (u64::from(group.0) & 0xf_ffff) << 44
            | (u64::from(bucket) & 0xf_ffff) << 24
            | u64::from(at.0 & 0x3f_ffff) << 2
            | u64::from(place & 3);
        let spread = group.0.wrapping_mul(0x9e37_79b1) ^ bucket.wrapping_mul(0x85eb_ca6b);
        if let Some(cell) = self.0.get(spread as usize % PLACES)
            && cell.load(Relaxed) != word
        {
            cell.store(word, Relaxed);
        }
    }

    /// Every note made since `since`; any thread.
    pub fn since(&self, since: Secs) -> impl Iterator<Item = Mark> + '_ {
        self.0.iter().filter_map(move |cell| {
            let word = cell.load(Relaxed);
            let at = Secs((word >> 2) as u32 & 0x3f_ffff);
            (word != 0 && at.0 >= since.0 & 0x3f_ffff).then_some(Mark {
                group: GroupId((word >> 44) as u32),
                bucket: (word >> 24) as u32 & 0xf_ffff,
                place: word as u8 & 3,
                at,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_back_as_it_was_written() {
        let marks = Marks::default();
        marks.mark(GroupId(77), 65_535, 3, Secs(1234));
        let expected = Mark {
            group: GroupId(77),
            bucket: 65_535,
            place: 3,
            at: Secs(1234),
        };
        assert_eq!(marks.since(Secs(1234)).collect::<Vec<_>>(), [expected]);
        assert_eq!(marks.since(Secs(1235)).count(), 0);
    }
}
