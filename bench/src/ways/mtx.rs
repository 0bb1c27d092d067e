//! The two locks of the FreeBSD 8 routing code, as atomics: `mtx(9)` and `rwlock(9)`.
//!
//! Both take and release with one compare-and-swap when nobody else wants them, as FreeBSD's inline fast
//! paths do (release too: a waiter may have marked the word meanwhile). FreeBSD's adaptive mutex spins
//! while the owner runs on another CPU and sleeps otherwise. A process cannot ask whether the owner runs,
//! so here a waiter spins a short while and then yields its CPU, again and again. They guard by
//! convention only: what they protect are atomics, read and written relaxed by the lock's owner.

use crossbeam_utils::Backoff;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// A thread as a lock's word names its owner; never 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Curthread(u64);

impl Curthread {
    /// The name of thread number `thread`.
    pub(super) const fn new(thread: usize) -> Self {
        Self(thread as u64 + 1)
    }
}

/// `MTX_UNOWNED`.
const UNOWNED: u64 = 0;

/// An adaptive mutex, `mtx(9)`.
#[derive(Debug, Default)]
pub(super) struct Mtx {
    owner: AtomicU64,
}

/// Holds a [`Mtx`] until dropped.
#[must_use]
pub(super) struct MtxGuard<'a> {
    mtx: &'a Mtx,
    td: Curthread,
}

impl Mtx {
    /// `mtx_lock`.
    #[inline]
    pub(super) fn lock(&self, td: Curthread) -> MtxGuard<'_> {
        if self
            .owner
            .compare_exchange(UNOWNED, td.0, Acquire, Relaxed)
            .is_err()
        {
            self.lock_contested(td);
        }
        MtxGuard { mtx: self, td }
    }

    /// Spins, then yields, until the lock was taken.
    #[cold]
    fn lock_contested(&self, td: Curthread) {
        let backoff = Backoff::new();
        loop {
            // Read before trying: waiters share the line instead of fighting for it.
            let free = self.owner.load(Relaxed) == UNOWNED;
            if free
                && self
                    .owner
                    .compare_exchange_weak(UNOWNED, td.0, Acquire, Relaxed)
                    .is_ok()
            {
                return;
            }
            backoff.snooze();
        }
    }
}

impl Drop for MtxGuard<'_> {
    /// `mtx_unlock`: a compare-and-swap, as `_release_lock_quick` is.
    #[inline]
    fn drop(&mut self) {
        let released = self
            .mtx
            .owner
            .compare_exchange(self.td.0, UNOWNED, Release, Relaxed);
        debug_assert!(
            released.is_ok(),
            "released by a thread that does not own it"
        );
    }
}

/// One more reader in a [`Rwlock`]'s word.
const ONE_READER: u64 = 2;
/// A writer has the [`Rwlock`].
const WRITER: u64 = 1;

/// A readers-writer lock, `rwlock(9)`.
#[derive(Debug, Default)]
pub(super) struct Rwlock {
    word: AtomicU64,
}

/// A reader's or the writer's hold on a [`Rwlock`], until dropped.
#[must_use]
pub(super) struct RwGuard<'a> {
    lock: &'a Rwlock,
    held: u64,
}

impl Rwlock {
    /// `rw_rlock`.
    #[inline]
    pub(super) fn rlock(&self) -> RwGuard<'_> {
        let backoff = Backoff::new();
        loop {
            let word = self.word.load(Relaxed);
            let free = word & WRITER == 0;
            if free
                && self
                    .word
                    .compare_exchange_weak(word, word + ONE_READER, Acquire, Relaxed)
                    .is_ok()
            {
                return RwGuard {
                    lock: self,
                    held: ONE_READER,
                };
            }
            backoff.snooze();
        }
    }

    /// `rw_wlock`. A route change takes it; no packet does.
    pub(super) fn wlock(&self) -> RwGuard<'_> {
        let backoff = Backoff::new();
        while self
            .word
            .compare_exchange_weak(0, WRITER, Acquire, Relaxed)
            .is_err()
        {
            backoff.snooze();
        }
        RwGuard {
            lock: self,
            held: WRITER,
        }
    }
}

impl Drop for RwGuard<'_> {
    /// `rw_runlock`: a compare-and-swap that is tried again when another reader came between.
    #[inline]
    fn drop(&mut self) {
        let mut word = self.lock.word.load(Relaxed);
        while let Err(seen) =
            self.lock
                .word
                .compare_exchange_weak(word, word - self.held, Release, Relaxed)
        {
            word = seen;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds to a counter that only the lock protects: a lost update shows that two were inside.
    fn add_under(lock: impl Fn() + Sync) {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..20_000).for_each(|_| lock()));
            }
        });
    }

    #[test]
    fn a_mutex_lets_one_thread_in_at_a_time() {
        let (mtx, count) = (Mtx::default(), AtomicU64::new(0));
        add_under(|| {
            let _held = mtx.lock(Curthread::new(7));
            count.store(count.load(Relaxed) + 1, Relaxed);
        });
        assert_eq!(count.load(Relaxed), 80_000);
        assert_eq!(mtx.owner.load(Relaxed), UNOWNED);
    }

    #[test]
    fn writers_of_a_rwlock_exclude_each_other_and_readers_see_whole_writes() {
        let (lock, a, b) = (Rwlock::default(), AtomicU64::new(0), AtomicU64::new(0));
        add_under(|| {
            {
                let _held = lock.wlock();
                a.store(a.load(Relaxed) + 1, Relaxed);
                b.store(b.load(Relaxed) + 1, Relaxed);
            }
            let _held = lock.rlock();
            assert_eq!(a.load(Relaxed), b.load(Relaxed));
        });
        assert_eq!(a.load(Relaxed), 80_000);
        assert_eq!(lock.word.load(Relaxed), 0);
    }

    #[test]
    fn two_readers_hold_a_rwlock_at_once() {
        let lock = Rwlock::default();
        let (first, second) = (lock.rlock(), lock.rlock());
        assert_eq!(lock.word.load(Relaxed), 2 * ONE_READER);
        drop((first, second));
        assert_eq!(lock.word.load(Relaxed), 0);
    }
}
