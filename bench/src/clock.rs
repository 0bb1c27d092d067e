//! The only place of this crate that reads the machine's clock or sleeps: it measures real time.
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

/// The time now.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Lets this thread wait for `span`.
pub(crate) fn sleep(span: Duration) {
    std::thread::sleep(span);
}
