//! How much memory something takes: what it allocates, and what becomes resident.

use std::fs;

/// Tells how many bytes are allocated now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heap(pub(crate) fn() -> usize);

/// Memory at a moment, or the growth from one to another. Bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Allocated.
    pub(crate) heap: i64,
    /// Resident, as the kernel counts it.
    pub(crate) resident: i64,
}

impl Heap {
    /// Memory now.
    pub(crate) fn now(self) -> Memory {
        Memory {
            heap: (self.0)() as i64,
            resident: resident().unwrap_or(0),
        }
    }

    /// What `build` makes, and by how much memory grew with it.
    pub(crate) fn growth<T, E>(
        self,
        build: impl FnOnce() -> Result<T, E>,
    ) -> Result<(T, Memory), E> {
        let before = self.now();
        let built = build()?;
        Ok((built, self.now().since(before)))
    }
}

impl Memory {
    /// The growth since an earlier moment.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            heap: self.heap - before.heap,
            resident: self.resident - before.resident,
        }
    }
}

/// Resident bytes of this process, where the kernel tells.
fn resident() -> Option<i64> {
    bytes_in("/proc/self/status", "VmRSS:")
}

/// Bytes that programs may still take on this machine, where the kernel tells.
pub(crate) fn available() -> Option<i64> {
    bytes_in("/proc/meminfo", "MemAvailable:")
}

/// A number of KiB on the line of `file` that starts with `name`, as bytes.
fn bytes_in(file: &str, name: &str) -> Option<i64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: i64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_of_what_was_built() {
        use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
        static BYTES: AtomicUsize = AtomicUsize::new(100);
        let heap = Heap(|| BYTES.load(Relaxed));
        let build = || {
            BYTES.store(70, Relaxed);
            Ok::<_, ()>(7)
        };
        let (built, grown) = heap.growth(build).expect("built");
        assert_eq!((built, grown.heap), (7, -30));
    }

    #[test]
    fn a_process_that_runs_is_resident() {
        assert!(resident().is_some_and(|bytes| bytes > 0));
        assert!(available().is_some_and(|bytes| bytes > 0));
    }
}
