//! Sleeping until something is readable, the clock, and the CPUs of a thread.
//!
//! Used by the threads' outer loops only: once a burst or less, never per packet.

use super::sys;
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Instant;

/// poll(2) for reading, with its set of descriptors kept between calls: after the first few calls
/// it allocates nothing. One a thread.
#[derive(Debug, Default)]
pub struct Poller {
    set: Vec<libc::pollfd>,
}

impl Poller {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sleeps until one of `fds` is readable (or broken: a read will tell), a signal came, or
    /// `timeout_ms` milliseconds have passed; `None` is for ever, `Some(0)` only looks.
    ///
    /// # Errors
    /// More descriptors than the process may open (`EINVAL`), no memory.
    pub fn wait(&mut self, fds: &[BorrowedFd<'_>], timeout_ms: Option<u64>) -> io::Result<()> {
        self.wait_each(fds.iter().copied(), timeout_ms).map(drop)
    }

    /// As [`Self::wait`], for a caller who has no slice of them; says how many are ready, 0 after a
    /// timeout or a signal.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub fn wait_each<'fd>(
        &mut self,
        fds: impl IntoIterator<Item = BorrowedFd<'fd>>,
        timeout_ms: Option<u64>,
    ) -> io::Result<usize> {
        self.set.clear();
        let readable = |fd: BorrowedFd<'_>| libc::pollfd {
            fd: fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        self.set.extend(fds.into_iter().map(readable));
        let timeout = timeout_ms.map_or(-1, |ms| libc::c_int::try_from(ms).unwrap_or(i32::MAX));
        match sys::poll(&mut self.set, timeout) {
            Err(Errno::EINTR) => Ok(0),
            ready => Ok(ready?),
        }
    }
}

/// The monotonic clock (`CLOCK_MONOTONIC`) in milliseconds since it was started. The threads'
/// outer loops read it once a burst and hand the number in; the core has no clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that reads 0 now. Copies of it agree.
    #[allow(clippy::disallowed_methods)] // the I/O edge: here, and only here, the clock is read
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds since the start; never goes back.
    pub fn ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Microseconds since the start; never goes back.
    pub fn us(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Binds the calling thread to one CPU.
///
/// # Errors
/// `InvalidInput` for a CPU that does not exist or that this process may not use; [`cpus`] lists
/// those that it may.
pub fn pin_to_cpu(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// The CPUs that the calling thread may run on, ascending; never empty.
pub fn cpus() -> Vec<usize> {
    // It fails on machines with more CPUs than a CpuSet has bits; CPU 0 is a safe start there.
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else {
        return vec![0];
    };
    (0..CpuSet::count())
        .filter(|&cpu| set.is_set(cpu).unwrap_or(false))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::fd::AsFd as _;

    #[test]
    fn what_is_readable_ends_the_wait_and_what_is_not_does_not() {
        let (quiet, _kept) = std::io::pipe().unwrap();
        let (noisy, mut writer) = std::io::pipe().unwrap();
        let mut poller = Poller::new();
        assert_eq!(
            poller
                .wait_each([quiet.as_fd(), noisy.as_fd()], Some(0))
                .unwrap(),
            0
        );
        writer.write_all(b"x").unwrap();
        assert_eq!(
            poller
                .wait_each([quiet.as_fd(), noisy.as_fd()], None)
                .unwrap(),
            1
        );
        assert_eq!(poller.wait_each([quiet.as_fd()], Some(0)).unwrap(), 0);
        assert_eq!(poller.wait_each([], Some(1)).unwrap(), 0);
    }

    #[test]
    fn waiting_again_does_not_allocate() {
        let (quiet, _kept) = std::io::pipe().unwrap();
        let fds = [quiet.as_fd(); 9];
        let mut poller = Poller::new();
        poller.wait(&fds, Some(0)).unwrap();
        let place = (poller.set.as_ptr(), poller.set.capacity());
        poller.wait(&fds, Some(0)).unwrap();
        assert_eq!(place, (poller.set.as_ptr(), poller.set.capacity()));
    }

    #[test]
    fn a_thread_can_be_pinned_to_each_cpu_it_may_use_and_to_no_other() {
        std::thread::spawn(|| {
            let allowed = cpus();
            assert!(!allowed.is_empty());
            for &cpu in &allowed {
                pin_to_cpu(cpu).unwrap();
                assert_eq!(cpus(), [cpu]);
            }
            let none_such = pin_to_cpu(usize::MAX).unwrap_err();
            assert_eq!(none_such.kind(), io::ErrorKind::InvalidInput);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn the_clock_starts_at_nought_and_copies_agree() {
        let clock = Clock::start();
        let copy = clock;
        let (first, second) = (clock.ms(), copy.ms());
        assert!(first <= second);
        assert!(first < 60_000, "it counts from its own start");
    }
}
