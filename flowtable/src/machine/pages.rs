//! Where the table's memory comes from: anonymous pages, huge ones where the system has them, all touched at start.
//!
//! A table of millions of flows is read at random. On 4 KiB pages nearly every read also misses the TLB and walks
//! page tables that are themselves out of the cache; on 2 MiB pages it does not. So a region of 2 MiB or more asks
//! for transparent huge pages, and [`Pages`] says how much of it got them.

use crate::sync::AtomicU64;

/// On what pages a piece of memory is, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// All of it.
    pub bytes: u64,
    /// The part on huge pages, as far as the system says.
    pub huge: u64,
}

impl Pages {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes + other.bytes,
            huge: self.huge + other.huge,
        }
    }
}

/// Told how many bytes more were touched, by any thread.
pub type Touched<'a> = &'a (dyn Fn(u64) + Sync);

/// Asks for the line of a word, some time before it is read.
#[inline]
pub(crate) fn prefetch(word: &AtomicU64) {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing as far as the program can tell, and the address is that of a live word. No
        // test can fail without it but `flows` in `bench`, which takes two to three times as long beyond the caches.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(word).cast()) }
    }
    #[cfg(not(all(target_arch = "x86_64", not(loom))))]
    let _ = word;
}

#[cfg(not(loom))]
pub(crate) use mapped::Region;
#[cfg(loom)]
pub(crate) use modelled::Region;

#[cfg(not(loom))]
mod mapped {
    use super::{Pages, Touched};
    use crate::sync::{AtomicU64, Ordering::Relaxed};
    use memmap2::{MmapMut, MmapOptions, MmapRaw};
    use std::num::NonZero;
    use std::thread;

    const WORD: usize = size_of::<AtomicU64>();
    const PAGE: usize = 4096;
    /// The size of a huge page, and the alignment that one needs.
    const HUGE: usize = 2 << 20;
    /// What one thread touches at least; less is not worth a thread.
    const SHARE: usize = 64 << 20;
    /// More threads than this only wait for each other in the system.
    const THREADS_MAX: usize = 16;

    /// Words that the system gave us, zero at first.
    pub(crate) struct Region {
        /// Inside `map`, which lives as long as this does.
        words: &'static [AtomicU64],
        map: MmapRaw,
    }

    impl Region {
        /// `words` words, aligned to a huge page if there are as many, every page touched: by several threads if it
        /// pays.
        ///
        /// # Panics
        /// If the system has no such memory. Who sizes tables asks first, see the gateway's check.
        pub(crate) fn new(words: usize, touched: Touched<'_>) -> Self {
            let bytes = words * WORD;
            let align = if bytes >= HUGE { HUGE } else { PAGE };
            let map = anonymous(bytes + align);
            if bytes >= HUGE {
                // No huge pages, no harm: `pages` tells.
                #[cfg(target_os = "linux")]
                let _ = map.advise(memmap2::Advice::HugePage);
            }
            let start = map.as_mut_ptr();
            let skip = start.align_offset(align);
            debug_assert!(skip <= align);
            // SAFETY: `skip + bytes` lies within the mapping of `bytes + align`, is aligned to a page and so to a
            // word, is zeroed by the system, and is only ever reached through these atomics. The mapping is
            // dropped with `self`, and `words` is handed out only for as long as `self` is borrowed.
            // `a_region_is_aligned_zero_and_all_there` fails on a wrong start or length.
            let words = unsafe {
                std::slice::from_raw_parts(start.add(skip).cast::<AtomicU64>().cast_const(), words)
            };
            touch(words, touched);
            Self { words, map }
        }

        /// The words.
        #[inline]
        pub(crate) fn words(&self) -> &[AtomicU64] {
            self.words
        }

        /// On what pages they are, as the system says it now.
        pub(crate) fn pages(&self) -> Pages {
            let bytes = size_of_val(self.words) as u64;
            let huge = if bytes < HUGE as u64 {
                0
            } else {
                huge_at(self.map.as_ptr() as usize)
            };
            Pages {
                bytes,
                huge: huge.min(bytes),
            }
        }
    }

    fn anonymous(bytes: usize) -> MmapRaw {
        let mapped: std::io::Result<MmapMut> = MmapOptions::new().len(bytes).map_anon();
        mapped.map_or_else(
            |error| panic!("no memory for a table of {bytes} bytes: {error}"),
            MmapRaw::from,
        )
    }

    /// Writes to every page, so that no worker is the first to.
    fn touch(words: &[AtomicU64], touched: Touched<'_>) {
        let most = thread::available_parallelism()
            .map_or(1, NonZero::get)
            .min(THREADS_MAX);
        let threads = (size_of_val(words) / SHARE).clamp(1, most);
        let share = words.len().div_ceil(threads).next_multiple_of(HUGE / WORD);
        let write = |part: &[AtomicU64]| {
            for piece in part.chunks(SHARE / WORD) {
                let pages = piece.iter().step_by(PAGE / WORD);
                pages.for_each(|word| word.store(0, Relaxed));
                touched(size_of_val(piece) as u64);
            }
        };
        if threads == 1 {
            return write(words);
        }
        thread::scope(|scope| {
            for part in words.chunks(share) {
                scope.spawn(move || write(part));
            }
        });
    }

    /// How much of the mapping with this address is on huge pages, by the system's own account.
    fn huge_at(address: usize) -> u64 {
        let Ok(maps) = std::fs::read_to_string("/proc/self/smaps") else {
            return 0;
        };
        let mut inside = false;
        for line in maps.lines() {
            if let Some((start, end)) = bounds(line) {
                inside = (start..end).contains(&address);
            } else if inside && let Some(rest) = line.strip_prefix("AnonHugePages:") {
                let kib = rest.trim().trim_end_matches("kB").trim();
                return kib.parse::<u64>().unwrap_or(0) * 1024;
            }
        }
        0
    }

    /// The bounds of a mapping, of the line that begins its account.
    fn bounds(line: &str) -> Option<(usize, usize)> {
        let (range, _) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let hex = |text| usize::from_str_radix(text, 16).ok();
        Some((hex(start)?, hex(end)?))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_region_is_aligned_zero_and_all_there() {
            for words in [8, 512, 513, HUGE / WORD, 5 * HUGE / WORD + 8] {
                let told = AtomicU64::new(0);
                let count = |bytes| {
                    told.fetch_add(bytes, Relaxed);
                };
                let region = Region::new(words, &count);
                assert_eq!(told.load(Relaxed), (words * WORD) as u64);
                assert_eq!(region.words().len(), words);
                let align = if words * WORD >= HUGE { HUGE } else { PAGE };
                assert!(region.words().as_ptr().addr().is_multiple_of(align));
                assert!(region.words().iter().all(|word| word.load(Relaxed) == 0));
                region
                    .words()
                    .iter()
                    .enumerate()
                    .for_each(|(i, word)| word.store(i as u64, Relaxed));
                let mut all = region.words().iter().enumerate();
                assert!(all.all(|(i, word)| word.load(Relaxed) == i as u64));
                let pages = region.pages();
                assert!(pages.bytes == (words * WORD) as u64 && pages.huge <= pages.bytes);
            }
        }

        #[test]
        fn regions_share_no_memory() {
            let (one, other) = (
                Region::new(HUGE / WORD, &|_| {}),
                Region::new(HUGE / WORD, &|_| {}),
            );
            one.words().iter().for_each(|word| word.store(1, Relaxed));
            assert!(other.words().iter().all(|word| word.load(Relaxed) == 0));
        }

        /// Minor page faults of this thread so far (proc(5), field 10 of stat).
        fn faults() -> u64 {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("procfs");
            let after_name = stat.rsplit_once(')').expect("a name in parentheses").1;
            after_name
                .split_whitespace()
                .nth(7)
                .and_then(|n| n.parse().ok())
                .expect("a number")
        }

        #[test]
        fn who_uses_the_words_later_takes_no_page_fault() {
            let region = Region::new(64 * HUGE / WORD, &|_| {});
            let before = faults();
            region
                .words()
                .iter()
                .step_by(PAGE / WORD)
                .for_each(|word| word.store(1, Relaxed));
            let taken = faults() - before;
            assert!(taken < 64, "{taken} faults on {} pages", 64 * HUGE / PAGE);
        }

        #[test]
        fn the_account_of_a_mapping_is_read() {
            assert_eq!(
                bounds("7f00-7fff rw-p 00000000 00:00 0"),
                Some((0x7f00, 0x7fff))
            );
            assert_eq!(bounds("AnonHugePages:      2048 kB"), None);
            assert_eq!(bounds("VmFlags: rd wr"), None);
        }
    }
}

#[cfg(loom)]
mod modelled {
    use super::{Pages, Touched};
    use crate::sync::AtomicU64;

    /// Words of a model.
    pub(crate) struct Region(Box<[AtomicU64]>);

    impl Region {
        pub(crate) fn new(words: usize, _: Touched<'_>) -> Self {
            Self((0..words).map(|_| AtomicU64::new(0)).collect())
        }

        pub(crate) fn words(&self) -> &[AtomicU64] {
            &self.0
        }

        pub(crate) fn pages(&self) -> Pages {
            Pages::default()
        }
    }
}
