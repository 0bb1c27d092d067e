//! Atomics: `std`'s, or loom's in a model (`cfg(loom)`).
//!
//! Everything that control shares with readers goes through here, so that a loom model runs the very code
//! that ships. Sharing itself (`std::sync::Arc`, `OnceLock`) is not modelled: a cell is filled before
//! anything is published that leads a reader to it.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
