//! Memory that is shared with the kernel: an XDP socket's rings and its frames. The one place of this module that is
//! `unsafe`.
//!
//! No reference to shared bytes is ever made: words of a ring are atomics, and frames are copied by address. So the kernel
//! may write at any time without breaking a promise to the compiler; who owns a frame is the rings' matter, and a mistake
//! there can tear a frame, but not more.

#![allow(unsafe_code)]

use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// A mapping, shared with the kernel.
#[derive(Debug)]
pub(super) struct Shared {
    memory: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone, and the kernel does not mind which thread touches it.
unsafe impl Send for Shared {}

impl Shared {
    /// Fresh memory of our own, all of it there, zeroed.
    pub(super) fn fresh(len: usize) -> Result<Self, Errno> {
        // Shared, as the kernel's view of private memory would end with a fork.
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        Self::map(len, flags, -1, 0)
    }

    /// `len` bytes of what a socket offers at `offset`.
    pub(super) fn of(
        socket: BorrowedFd<'_>,
        len: usize,
        offset: libc::off_t,
    ) -> Result<Self, Errno> {
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        Self::map(len, flags, socket.as_raw_fd(), offset)
    }

    fn map(len: usize, flags: i32, fd: i32, offset: libc::off_t) -> Result<Self, Errno> {
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping where the kernel likes; nothing else is touched.
        let memory = unsafe { libc::mmap(std::ptr::null_mut(), len, rights, flags, fd, offset) };
        if memory == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let memory = NonNull::new(memory.cast()).ok_or(Errno::ENOMEM)?;
        Ok(Self { memory, len })
    }

    /// Where it begins, for the kernel.
    pub(super) fn address(&self) -> u64 {
        self.memory.as_ptr() as u64
    }

    /// Its length in bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The address of `size` bytes at `at`, if they are within.
    fn place(&self, at: usize, size: usize) -> Option<NonNull<u8>> {
        if at.checked_add(size)? > self.len {
            return None;
        }
        // SAFETY: within the mapping, as was just asked.
        Some(unsafe { self.memory.add(at) })
    }

    /// The 32-bit word at `at`; `None` if it is not within, or not aligned.
    #[inline]
    pub(super) fn word(&self, at: usize) -> Option<&AtomicU32> {
        let place = self.place(at, 4)?.cast::<AtomicU32>();
        if place.is_aligned() {
            // SAFETY: mapped as long as `self` and aligned; while this borrow lives nothing writes there but as an atomic (`write`
            // takes `&mut self`).
            Some(unsafe { place.as_ref() })
        } else {
            None
        }
    }

    /// The 64-bit word at `at`; `None` if it is not within, or not aligned.
    #[inline]
    pub(super) fn long(&self, at: usize) -> Option<&AtomicU64> {
        let place = self.place(at, 8)?.cast::<AtomicU64>();
        if place.is_aligned() {
            // SAFETY: as for `word`.
            Some(unsafe { place.as_ref() })
        } else {
            None
        }
    }

    /// Copies the bytes at `at` out; `false`, and nothing is copied, if they are not all within.
    #[inline]
    pub(super) fn read(&self, at: usize, into: &mut [u8]) -> bool {
        let Some(from) = self.place(at, into.len()) else {
            return false;
        };
        // SAFETY: both ranges are that long; `into` is exclusively ours and so no part of the mapping, to which there is no
        // reference. Any bytes are valid bytes.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), into.as_mut_ptr(), into.len()) };
        true
    }

    /// Copies bytes to `at`; `false`, and nothing is copied, if they are not all within.
    #[inline]
    pub(super) fn write(&mut self, at: usize, from: &[u8]) -> bool {
        let Some(to) = self.place(at, from.len()) else {
            return false;
        };
        // SAFETY: as in `read`, the other way round; the mapping is writable, and `&mut self` leaves no borrowed word.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to.as_ptr(), from.len()) };
        true
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: this very mapping, made in `map`; nothing borrows from it any more.
        let _ = unsafe { libc::munmap(self.memory.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn what_is_not_within_is_refused_and_nothing_is_copied() {
        let mut shared = Shared::fresh(4096).unwrap();
        assert!(shared.write(4093, b"abc"));
        assert!(!shared.write(4094, b"abc"));
        assert!(!shared.write(usize::MAX, b"abc"));
        let mut room = [7; 3];
        assert!(!shared.read(4094, &mut room));
        assert_eq!(room, [7; 3]);
        assert!(shared.read(4093, &mut room));
        assert_eq!(&room, b"abc");
        assert!(shared.read(4096, &mut []) && !shared.read(4097, &mut []));
    }

    #[test]
    fn a_word_is_within_and_aligned() {
        let shared = Shared::fresh(4096).unwrap();
        for (at, word, long) in [
            (0, true, true),
            (4, true, false),
            (2, false, false),
            (4088, true, true),
            (4092, true, false),
            (4096, false, false),
            (usize::MAX - 3, false, false),
        ] {
            assert_eq!(shared.word(at).is_some(), word, "{at}");
            assert_eq!(shared.long(at).is_some(), long, "{at}");
        }
        shared.word(8).unwrap().store(5, Ordering::Relaxed);
        let read = shared.long(8).unwrap().load(Ordering::Relaxed);
        assert_eq!(read.to_ne_bytes()[..4], 5_u32.to_ne_bytes());
    }
}
