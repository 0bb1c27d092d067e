//! Where the table's memory comes from: anonymous pages or a file's, huge ones where the system has them, all touched at
//! start.
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
pub(crate) use mapped::{HUGE, Region};
#[cfg(loom)]
pub(crate) use modelled::{HUGE, Region};

#[cfg(not(loom))]
mod mapped {
    use super::{Pages, Touched};
    use crate::sync::{AtomicU64, Ordering::Relaxed};
    use memmap2::{MmapMut, MmapOptions, MmapRaw};
    use std::fs::File;
    use std::io;
    use std::num::NonZero;
    use std::thread;

    const WORD: usize = size_of::<AtomicU64>();
    const PAGE: usize = 4096;
    /// The size of a huge page, and the alignment that one needs.
    pub(crate) const HUGE: usize = 2 << 20;
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
            let skip = map.as_mut_ptr().align_offset(align);
            let region = Self::of(map, skip, words);
            region.touch(touched);
            region
        }

        /// `words` words of a file from `offset` on, a multiple of a huge page, as they are: shared with everyone who
        /// maps the same. Nothing is touched.
        ///
        /// # Errors
        /// The file is shorter, or the system cannot map it: it has not so many huge pages, say.
        pub(crate) fn of_file(file: &File, offset: u64, words: usize) -> io::Result<Self> {
            let bytes = words * WORD;
            let whole = bytes.next_multiple_of(HUGE);
            // Beyond a file's end there is no memory, only a signal.
            if file.metadata()?.len() < offset.saturating_add(whole as u64) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let map = MmapOptions::new().offset(offset).len(whole).map_raw(file)?;
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::HugePage);
            Ok(Self::of(map, 0, words))
        }

        /// `words` words of a mapping, `skip` bytes behind its start.
        fn of(map: MmapRaw, skip: usize, words: usize) -> Self {
            let start = map.as_mut_ptr();
            let fits = words
                .checked_mul(WORD)
                .and_then(|bytes| bytes.checked_add(skip));
            assert!(fits.is_some_and(|end| end <= map.len()) && skip.is_multiple_of(PAGE));
            // SAFETY: `skip` and the words lie within the mapping, as was just asserted; its start and `skip` are aligned
            // to a page and so to a word. The memory is the system's, zero or what another mapping of the same file has
            // stored, and only ever reached through these atomics. The mapping is dropped with `self`, and `words` is
            // handed out only for as long as `self` is borrowed. A file does not become shorter: whoever made it sealed
            // it. `a_region_is_aligned_zero_and_all_there` and `two_mappings_of_a_file_are_one_memory` fail on a wrong
            // start or length.
            let words = unsafe {
                std::slice::from_raw_parts(start.add(skip).cast::<AtomicU64>().cast_const(), words)
            };
            Self { words, map }
        }

        /// Writes 0 to every page, so that no worker is the first to write there.
        pub(crate) fn touch(&self, touched: Touched<'_>) {
            touch(self.words, touched);
        }

        /// The words.
        #[inline]
        pub(crate) fn words(&self) -> &[AtomicU64] {
            self.words
        }

        /// On what pages they are, as the system says it now.
        pub(crate) fn pages(&self) -> Pages {
            let bytes = size_of_val(self.words) as u64;
            let huge = huge_at(self.map.as_ptr() as usize);
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
        let (mut inside, mut huge) = (false, 0);
        for line in maps.lines() {
            if let Some((start, end)) = bounds(line) {
                inside = (start..end).contains(&address);
            } else if inside {
                huge += huge_of(line);
            }
        }
        huge
    }

    /// Bytes on huge pages by a line of a mapping's account: transparent ones, of no file and of a memfd, and those of
    /// the system's pool, which stand apart from all others.
    fn huge_of(line: &str) -> u64 {
        const KINDS: [&str; 4] = [
            "AnonHugePages",
            "ShmemPmdMapped",
            "Shared_Hugetlb",
            "Private_Hugetlb",
        ];
        let kib = line
            .split_once(':')
            .filter(|(kind, _)| KINDS.contains(kind));
        let kib = kib.map(|(_, kib)| kib.trim().trim_end_matches("kB").trim());
        kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
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

        /// A file without a name that is as long as `bytes`.
        fn file(bytes: u64) -> File {
            let dir = std::env::temp_dir();
            let name = format!("flowtable-{}-{bytes}", std::process::id());
            let path = dir.join(name);
            let mut options = File::options();
            let file = options.read(true).write(true).create_new(true).open(&path);
            let file = file.expect("a directory for temporary files");
            std::fs::remove_file(&path).expect("it was made just now");
            file.set_len(bytes).expect("room");
            file
        }

        #[test]
        fn two_mappings_of_a_file_are_one_memory() {
            let file = file(3 * HUGE as u64);
            let words = HUGE / WORD + 8;
            let map = |offset| Region::of_file(&file, offset, words);
            let (one, other) = (map(HUGE as u64).unwrap(), map(HUGE as u64).unwrap());
            assert_eq!((one.words().len(), other.words().len()), (words, words));
            assert!(one.words().iter().all(|word| word.load(Relaxed) == 0));
            let mut all = one.words().iter().enumerate();
            all.by_ref()
                .for_each(|(i, word)| word.store(i as u64 + 1, Relaxed));
            let mut seen = other.words().iter().enumerate();
            assert!(seen.all(|(i, word)| word.load(Relaxed) == i as u64 + 1));
            // What lies before it is another's.
            let head = Region::of_file(&file, 0, HUGE / WORD).unwrap();
            assert!(head.words().iter().all(|word| word.load(Relaxed) == 0));
            // Beyond the end there is nothing to map.
            let beyond = map(2 * HUGE as u64).map(drop);
            assert_eq!(beyond.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
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
            assert_eq!(huge_of("AnonHugePages:      2048 kB"), 2 << 20);
            assert_eq!(huge_of("Private_Hugetlb:     4096 kB"), 4 << 20);
            assert_eq!(huge_of("Rss:      2048 kB"), 0);
            assert_eq!(bounds("VmFlags: rd wr"), None);
        }
    }
}

#[cfg(loom)]
mod modelled {
    use super::{Pages, Touched};
    use crate::sync::AtomicU64;

    /// As the system's.
    pub(crate) const HUGE: usize = 2 << 20;

    /// Words of a model.
    pub(crate) struct Region(Box<[AtomicU64]>);

    impl Region {
        pub(crate) fn new(words: usize, _: Touched<'_>) -> Self {
            Self((0..words).map(|_| AtomicU64::new(0)).collect())
        }

        pub(crate) fn of_file(_: &std::fs::File, _: u64, words: usize) -> std::io::Result<Self> {
            Ok(Self::new(words, &|_| {}))
        }

        pub(crate) fn touch(&self, _: Touched<'_>) {}

        pub(crate) fn words(&self) -> &[AtomicU64] {
            &self.0
        }

        pub(crate) fn pages(&self) -> Pages {
            Pages::default()
        }
    }
}
