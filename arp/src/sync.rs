//! Atomics: `std`'s, or loom's in a model (`cfg(loom)`).
//!
//! All that the writer shares with readers goes through here, so that the models in `view.rs`
//! run the very code that workers run:
//! `RUSTFLAGS="--cfg loom" cargo test -p flowgate-arp --release --lib view`.

#[cfg(loom)]
pub(crate) use loom::{
    hint::spin_loop,
    sync::atomic::{AtomicU64, Ordering, fence},
};
#[cfg(not(loom))]
pub(crate) use std::{
    hint::spin_loop,
    sync::atomic::{AtomicU64, Ordering, fence},
};
