//! The only place of this crate that reads the machine's clock or sleeps: it measures real time.
#![allow(clippy::disallowed_methods)]

use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// The time now.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Lets this thread wait for `span`.
pub(crate) fn sleep(span: Duration) {
    std::thread::sleep(span);
}

/// CPU time that the calling thread has had, or nothing where the system does not count it.
pub(crate) fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
