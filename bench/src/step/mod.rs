//! Counts what resolving a packet does to memory, by single-stepping the machine code.
//!
//! The number of shared read-modify-writes a packet is the heart of the argument that the contention
//! benchmark settles, so it is not taken from reading source: library code, inlining and what the
//! compiler made of it are all included. How it is counted:
//!
//! 1. The program `contention` is started (it starts itself again) as a *traced child* ([`child`]). The child makes the same world
//!    as a timed run with two threads, and each thread's worker resolves all its packets twice to warm up.
//! 2. The parent ([`tracer`]) attaches to the first thread with `ptrace`, lets it resolve a few hundred
//!    packets one machine instruction at a time, and decodes each one ([`decode`]): whether it is locked
//!    (a `lock` prefix, or `xchg` with memory), and the addresses that it reads and writes. Then the
//!    second thread, the same way.
//! 3. A cache line (64 bytes) that *both* threads touched is shared ([`tally`]). Counted are the locked
//!    instructions on such lines (shared read-modify-writes), plain stores into such lines (shared
//!    stores), and all locked instructions wherever they point.
//!
//! The two threads do not run at the same time, so no lock is ever contended: the counts are what each
//! packet costs at least, and the same on every run. x86-64 Linux only; elsewhere, or where `ptrace` is
//! not allowed, the benchmark says that nothing was counted and why.

pub mod child;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod decode;
mod tally;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod tracer;

pub use tally::Counts;

use crate::ways::Scene;
use std::path::Path;

/// Packets that each of the two threads resolves under the single-stepper, unless asked otherwise.
pub const DEFAULT_PACKETS: usize = 512;

/// Counts for the way called `way`; `program` is the `contention` that is started as the traced child.
///
/// # Errors
/// One line that says why nothing could be counted.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub fn count(program: &Path, way: &str, scene: Scene, packets: usize) -> Result<Counts, String> {
    let counted = tracer::count(program, way, scene, packets);
    counted.map_err(|error| format!("cannot single-step {}: {error}", program.display()))
}

/// Counts for the way called `way`: not on this kind of machine.
///
/// # Errors
/// Always.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub fn count(
    _program: &Path,
    _way: &str,
    _scene: Scene,
    _packets: usize,
) -> Result<Counts, String> {
    Err("single-stepping is done on x86-64 Linux only".into())
}
