//! SIGTERM and SIGINT as a descriptor that the main thread reads.
//!
//! They are blocked before any thread starts, so every thread has them blocked and none is interrupted.

use nix::errno::Errno;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;
use nix::sys::signal::SigSet;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SfdFlags;
use nix::sys::signalfd::SignalFd;
use std::os::fd::AsFd;

/// The signals that end the daemon.
pub(super) struct Signals {
    set: SigSet,
    fd: SignalFd,
}

impl Signals {
    /// Blocks them, for this thread and all that it will start.
    pub(super) fn block() -> nix::Result<Self> {
        let set: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
        set.thread_block()?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { set, fd })
    }

    /// Lets the next one end the process at once.
    pub(super) fn unblock(&self) -> nix::Result<()> {
        self.set.thread_unblock()
    }

    /// The name of a signal that has come, or comes within `ms` milliseconds.
    pub(super) fn wait(&self, ms: u16) -> Option<&'static str> {
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(ms)) {
            Ok(0) | Err(Errno::EINTR) => None,
            _ => self.pending(),
        }
    }

    fn pending(&self) -> Option<&'static str> {
        let info = self.fd.read_signal().ok().flatten()?;
        let number = i32::try_from(info.ssi_signo).ok()?;
        Signal::try_from(number).ok().map(Signal::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::raise;

    #[test]
    fn a_signal_is_told_once_and_none_is_awaited_for_ever() {
        // `raise` is for the calling thread, where they are blocked.
        let signals = Signals::block().unwrap();
        assert_eq!(signals.wait(0), None);
        raise(Signal::SIGTERM).unwrap();
        assert_eq!(signals.wait(10_000), Some("SIGTERM"));
        assert_eq!(signals.wait(0), None);
        signals.unblock().unwrap();
    }
}
