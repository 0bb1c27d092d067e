//! Ctrl-C and SIGTERM: noticed wherever the demo waits, so that it unwinds and leaves nothing behind.
//!
//! Both signals are blocked before any thread starts (threads inherit that) and read from a signalfd. The
//! main thread never sleeps any other way than [`Interrupts::rest`], so it answers at once.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The demo was asked to end by this signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interrupted(pub(crate) Signal);

impl Interrupted {
    /// The exit status that says so to a shell: 128 and the signal's number.
    pub(crate) fn exit_status(self) -> u8 {
        128 + self.0 as u8
    }
}

/// Why the demo ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It was asked to.
    Interrupted(Interrupted),
    /// The system does not let it; one line that says what to do.
    Forbidden(String),
    /// It cannot go on; one line.
    Failed(String),
}

impl From<Interrupted> for Stop {
    fn from(interrupted: Interrupted) -> Self {
        Self::Interrupted(interrupted)
    }
}

impl From<String> for Stop {
    fn from(line: String) -> Self {
        Self::Failed(line)
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The signals that end the demo, as a descriptor.
pub(crate) struct Interrupts {
    set: SigSet,
    fd: SignalFd,
}

impl Interrupts {
    /// Blocks the signals for this thread and all that it starts. Call it before any thread is started.
    pub(crate) fn install() -> nix::Result<Self> {
        let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
            .into_iter()
            .collect();
        set.thread_block()?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { set, fd })
    }

    /// Sleeps for `ms` milliseconds.
    ///
    /// # Errors
    /// A signal came, before or meanwhile.
    pub(crate) fn rest(&self, ms: u16) -> Result<(), Interrupted> {
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(ms)) {
            Ok(0) | Err(Errno::EINTR) => Ok(()),
            _ => self.pending().map_or(Ok(()), Err),
        }
    }

    /// Starts a child process that is to have the signals unblocked, as programs expect.
    pub(crate) fn unblocked<T>(&self, start: impl FnOnce() -> T) -> T {
        let _ = self.set.thread_unblock();
        let result = start();
        let _ = self.set.thread_block();
        result
    }

    fn pending(&self) -> Option<Interrupted> {
        let info = self.fd.read_signal().ok().flatten()?;
        let number = i32::try_from(info.ssi_signo).ok()?;
        Signal::try_from(number).ok().map(Interrupted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::raise;

    #[test]
    fn a_signal_ends_a_rest_and_is_told_with_its_exit_status() {
        // `raise` is for the calling thread, the one where it is blocked.
        let interrupts = Interrupts::install().unwrap();
        assert_eq!(interrupts.rest(0), Ok(()));
        raise(Signal::SIGHUP).unwrap();
        assert_eq!(interrupts.rest(10_000), Err(Interrupted(Signal::SIGHUP)));
        assert_eq!(interrupts.rest(0), Ok(()));
        assert_eq!(Interrupted(Signal::SIGINT).exit_status(), 130);
    }
}
