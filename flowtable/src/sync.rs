//! The atomics of this crate: the standard library's, or loom's when a model is checked.
//!
//! Nothing else in the crate names `std::sync::atomic`, so that `--cfg loom` replaces all of it. Build the
//! models with `RUSTFLAGS="--cfg loom" cargo test -p flowgate-flowtable --release loom_`.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

/// What a reader does before it tries again: the writer is in the middle of a change of a few stores.
pub(crate) fn wait_a_moment() {
    #[cfg(not(loom))]
    std::thread::yield_now();
    #[cfg(loom)]
    loom::thread::yield_now();
}
