//! Load on real devices. By itself, so that nothing else takes its processors.

mod programs;
mod rate;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// To be held by each test while it runs: they would take each other's processors.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
