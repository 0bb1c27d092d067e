//! CPU time of threads, as the kernel accounts for it in `/proc`.

use super::Way;
use std::fs;
use std::path::Path;

/// What threads have had so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Had {
    /// CPU time, ns.
    pub(super) ns: u64,
    /// Times that they were put to sleep, and so woken up again.
    pub(super) wakes: u64,
}

impl Had {
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            ns: self.ns.saturating_sub(before.ns),
            wakes: self.wakes.saturating_sub(before.wakes),
        }
    }
}

/// CPU time that the threads which forward have had, ns.
pub(super) fn forwarding_ns(way: Way) -> u64 {
    let prefix = match way {
        Way::Bare => "fg-bare",
        Way::Flowgate => "fg-worker",
        // A kernel's forwarding is in nobody's time, and testpmd takes all that there is.
        Way::Kernel | Way::Testpmd => return 0,
    };
    of_threads("self", prefix).ns
}

/// All threads of a process (its id, or `self`) whose names begin so.
pub(super) fn of_threads(process: &str, prefix: &str) -> Had {
    let mut had = Had::default();
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    for thread in threads.into_iter().flatten().flatten() {
        // One that ends meanwhile is not counted.
        if let Some(of) = of_thread(&thread.path(), prefix) {
            had.ns += of.ns;
            had.wakes += of.wakes;
        }
    }
    had
}

fn of_thread(thread: &Path, prefix: &str) -> Option<Had> {
    let name = fs::read_to_string(thread.join("comm")).ok()?;
    if !name.starts_with(prefix) {
        return None;
    }
    let spent = fs::read_to_string(thread.join("schedstat")).ok()?;
    let status = fs::read_to_string(thread.join("status")).ok()?;
    let slept = |line: &str| {
        Some(
            line.strip_prefix("voluntary_ctxt_switches:")?
                .trim()
                .parse(),
        )
    };
    Some(Had {
        ns: spent.split(' ').next()?.parse().ok()?,
        wakes: status.lines().find_map(slept)?.ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_works_has_had_cpu_time_and_a_name_that_nobody_has_none() {
        let worked = std::thread::Builder::new().name("fg-test-cpu".into());
        let had = worked.spawn(|| {
            // The kernel adds it up at its ticks, and when a thread stops.
            let round = || {
                let sum: u64 = (0..3_000_000).map(|n| std::hint::black_box(n) / 3).sum();
                std::hint::black_box(sum);
                of_threads("self", "fg-test-cpu")
            };
            let mut rounds = std::iter::repeat_with(round).take(1000);
            rounds.find(|had| had.ns > 0).unwrap_or_default()
        });
        let had = had.expect("a thread").join().expect("its end");
        assert!(had.ns > 0);
        assert_eq!(of_threads("self", "nobody"), Had::default());
        assert_eq!(had.since(Had::default()), had);
    }
}
