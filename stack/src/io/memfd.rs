//! The flow tables' memory: memfds that a later process can open, where the system has huge pages for them, or anonymous
//! memory.
//!
//! A table is read at random, and on 4 KiB pages nearly every packet also walks page tables. The system has two kinds of
//! huge pages for a memfd: those of its pool (`vm.nr_hugepages`), which are there for nobody else, and transparent ones,
//! if it was told to give them to shared memory (`shmem_enabled`). Anonymous memory usually gets transparent ones. So
//! unless told otherwise a memfd is taken where it gets huge pages, and anonymous memory elsewhere; what became of it is
//! said with the reason and the remedy.

use super::poll::Clock;
use crate::path::FlowTables;
use crate::time::Now;
use flowtable::{Origin, TableSecret, Touched};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::time::ClockId;
use std::fs::{self, File};
use std::io;

/// Bytes of a huge page.
const HUGE: u64 = 2 << 20;
/// What the pool has, in pages.
const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";
/// Whom the system gives transparent huge pages among shared memory.
const SHMEM: &str = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

/// Which memory the tables are to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Memory {
    /// A memfd if it gets huge pages, else anonymous memory.
    #[default]
    Auto,
    /// A memfd, on whatever pages.
    Memfd,
    /// Anonymous memory.
    Anonymous,
}

/// Which pages a memfd may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pages {
    /// Huge ones of the pool.
    Pool,
    /// Transparent huge ones.
    Transparent,
    /// Small ones.
    Small,
}

/// What the system has for a memfd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct System {
    /// Huge pages in the pool: in all, and not spoken for.
    pool: (u64, u64),
    /// The word that is in force in [`SHMEM`].
    shmem: String,
}

/// The flow tables, and what is to be said of their memory.
pub struct Taken {
    /// They.
    pub tables: FlowTables,
    /// On what memory they are, and why no better: one line.
    pub how: String,
}

/// What tables are made with.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Entries, IPv4 and IPv6.
    pub flows: (usize, usize),
    /// Places flows.
    pub secret: TableSecret,
    /// On which memory.
    pub memory: Memory,
}

/// Makes the flow tables, their memory touched.
///
/// # Errors
/// A memfd was asked for, and the system makes none.
pub fn flow_tables(asked: &Asked, clock: &Clock, touched: Touched<'_>) -> io::Result<Taken> {
    let bytes: u64 = file_bytes(asked).iter().sum();
    let system = System::look();
    let mut tried = Vec::new();
    for pages in system.choices(asked.memory, bytes) {
        match in_memfds(asked, pages, clock, touched) {
            Ok(tables) if is_huge(&tables, pages) => {
                let how = format!("memfd on {}", pages.words());
                return Ok(Taken { tables, how });
            }
            Ok(tables) if asked.memory == Memory::Memfd => {
                let why = system.why_not(bytes);
                let how = format!("memfd on small pages, slower where tables are large: {why}");
                return Ok(Taken { tables, how });
            }
            Ok(_) => tried.push(format!("{} were asked for and not given", pages.words())),
            Err(error) => tried.push(format!("a memfd on {} was refused: {error}", pages.words())),
        }
    }
    if asked.memory == Memory::Memfd {
        return Err(io::Error::other(tried.join("; ")));
    }
    let (v4, v6) = asked.flows;
    let tables = FlowTables::new(v4, v6, asked.secret, Now(clock.ms()), touched);
    let why = match (asked.memory, tried.is_empty()) {
        (Memory::Anonymous, _) => "asked for".to_owned(),
        (_, true) => system.why_not(bytes),
        (_, false) => tried.join("; "),
    };
    let how = format!("anonymous, another process cannot take it over: {why}");
    Ok(Taken { tables, how })
}

/// Bytes that the pool of huge pages has for these tables: all or nothing of what they take, as a part is of no use.
pub fn of_pool(asked: &Asked) -> u64 {
    let bytes: u64 = file_bytes(asked).iter().sum();
    let choices = System::look().choices(asked.memory, bytes);
    if choices.first() == Some(&Pages::Pool) {
        bytes
    } else {
        0
    }
}

fn file_bytes(asked: &Asked) -> [u64; 2] {
    FlowTables::file_bytes(asked.flows.0, asked.flows.1)
}

fn in_memfds(
    asked: &Asked,
    pages: Pages,
    clock: &Clock,
    touched: Touched<'_>,
) -> io::Result<FlowTables> {
    let [v4, v6] = file_bytes(asked);
    let files = [
        memfd(c"flowgate-flows-v4", v4, pages)?,
        memfd(c"flowgate-flows-v6", v6, pages)?,
    ];
    let now = clock.ms();
    let origin = Origin {
        secret: asked.secret,
        clock_base_ms: monotonic_ms()?.saturating_sub(now),
        start: Now(now).tick(),
    };
    FlowTables::new_in(&files, asked.flows, &origin, touched)
}

/// A memfd of so many bytes, which nobody can make shorter or longer.
fn memfd(name: &std::ffi::CStr, bytes: u64, pages: Pages) -> io::Result<File> {
    let mut flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    if pages == Pages::Pool {
        flags |= MFdFlags::MFD_HUGETLB | MFdFlags::MFD_HUGE_2MB;
    }
    let file = File::from(memfd_create(name, flags)?);
    file.set_len(bytes)?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file)
}

fn monotonic_ms() -> io::Result<u64> {
    let now = ClockId::CLOCK_MONOTONIC.now()?;
    let ms = now.tv_sec().saturating_mul(1000) + now.tv_nsec() / 1_000_000;
    Ok(u64::try_from(ms).unwrap_or(0))
}

/// Whether the tables have the huge pages that they were to have: most of them, as the system rounds.
fn is_huge(tables: &FlowTables, pages: Pages) -> bool {
    let got = tables.pages();
    pages != Pages::Small && got.huge >= got.bytes / 2
}

impl Pages {
    const fn words(self) -> &'static str {
        match self {
            Self::Pool => "huge pages of the pool",
            Self::Transparent => "transparent huge pages",
            Self::Small => "small pages",
        }
    }
}

impl System {
    fn look() -> Self {
        let pages = |name: &str| {
            let text = fs::read_to_string(format!("{POOL}/{name}")).unwrap_or_default();
            text.trim().parse().unwrap_or(0)
        };
        let (all, free): (u64, u64) = (pages("nr_hugepages"), pages("free_hugepages"));
        let spoken_for: u64 = pages("resv_hugepages");
        Self {
            pool: (all, free.saturating_sub(spoken_for)),
            shmem: in_force(&fs::read_to_string(SHMEM).unwrap_or_default()).to_owned(),
        }
    }

    /// The pages with which a memfd is tried, best first.
    fn choices(&self, memory: Memory, bytes: u64) -> Vec<Pages> {
        if memory == Memory::Anonymous {
            return Vec::new();
        }
        let pool = (self.pool.1 >= bytes.div_ceil(HUGE)).then_some(Pages::Pool);
        let transparent = self.gives_shmem().then_some(Pages::Transparent);
        let small = (memory == Memory::Memfd).then_some(Pages::Small);
        [pool, transparent, small].into_iter().flatten().collect()
    }

    fn gives_shmem(&self) -> bool {
        ["always", "within_size", "advise", "force"].contains(&self.shmem.as_str())
    }

    /// Why a memfd gets no huge pages, and what would give it some.
    fn why_not(&self, bytes: u64) -> String {
        let (all, free) = self.pool;
        let wants = bytes.div_ceil(HUGE);
        let enough = all + wants.saturating_sub(free);
        format!(
            "shared memory gets no huge pages here: write {enough} to /proc/sys/vm/nr_hugepages ({free} of the {wants} that the \
             tables take are free), or advise to {SHMEM}"
        )
    }
}

/// The word in brackets.
fn in_force(text: &str) -> &str {
    let word = text.split_whitespace().find_map(|word| {
        let word = word.strip_prefix('[')?;
        word.strip_suffix(']')
    });
    word.unwrap_or_default()
}

#[cfg(test)]
#[path = "memfd/tests.rs"]
mod tests;
