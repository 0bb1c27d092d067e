//! Whether the machine stood still for a moment.
//!
//! Then an answer may be late that was not lost, and what is about time goes otherwise. What fails while the machine ran
//! has failed.

use stack::io::poll::pin_to_cpu;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a watcher sleeps, and from which delay on the machine stood still.
const NAP: Duration = Duration::from_millis(5);
const STILL: Duration = Duration::from_millis(25);

/// A thread on each CPU that sees how late it wakes.
struct Watch {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Duration>>,
}

impl Watch {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let watcher = |cpu| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                // On another CPU, if this one is not ours, it still sees some of it.
                let _ = pin_to_cpu(cpu);
                longest_delay(&stop)
            })
        };
        let threads = (0..cpus).map(watcher).collect();
        Self { stop, threads }
    }

    /// Whether a watcher woke late since the start.
    fn stood_still(self) -> bool {
        self.stop.store(true, Relaxed);
        let delays = self.threads.into_iter().map(JoinHandle::join);
        delays.flatten().max().is_some_and(|delay| delay >= STILL)
    }
}

fn longest_delay(stop: &AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    while !stop.load(Relaxed) {
        let before = Instant::now();
        std::thread::sleep(NAP);
        longest = longest.max(before.elapsed().saturating_sub(NAP));
    }
    longest
}

/// Tries something `sure` times, and up to `most` times as long as the machine stood still meanwhile.
///
/// # Errors
/// How it went the last time, if never well.
pub fn try_again<T>(
    sure: usize,
    most: usize,
    mut went: impl FnMut() -> Result<T, String>,
) -> Result<T, String> {
    let mut tries = 0;
    loop {
        let watch = Watch::start();
        let result = went();
        let still = watch.stood_still();
        tries += 1;
        let again = tries < sure || (tries < most && still);
        match result {
            Err(how) if again => println!("try {tries}, the machine stood still: {still}: {how}"),
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_tried_again_as_often_as_it_may_be() {
        let failing = |sure, most, good_at| {
            let mut tries = 0;
            let went = || {
                tries += 1;
                let good = tries == good_at;
                good.then_some(tries).ok_or_else(|| tries.to_string())
            };
            try_again(sure, most, went)
        };
        assert_eq!(failing(1, 1, 1), Ok(1));
        assert_eq!(failing(3, 3, 3), Ok(3));
        assert_eq!(failing(3, 3, 4), Err("3".into()));
        assert_eq!(failing(1, 1, 2), Err("1".into()));
    }
}
