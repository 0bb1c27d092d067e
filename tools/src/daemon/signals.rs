//! SIGTERM, SIGINT and SIGHUP as a descriptor that the main thread reads; SIGUSR1 and SIGUSR2, which are taken and
//! forgotten.
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
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// They end nothing.
const IGNORED: [Signal; 2] = [Signal::SIGUSR1, Signal::SIGUSR2];

/// The signals that end the daemon, and those that must not.
pub(super) struct Signals {
    ending: SigSet,
    fd: SignalFd,
}

impl Signals {
    /// Blocks them, for this thread and all that it will start.
    pub(super) fn block() -> nix::Result<Self> {
        let mut ending: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
        // nohup(1) starts programs that are to outlive their terminal.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        if !ignores_hangup(&status) {
            ending.add(Signal::SIGHUP);
        }
        let mut set = ending;
        set.extend(IGNORED);
        set.thread_block()?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { ending, fd })
    }

    /// Lets a later one end the process at once; those that end nothing stay blocked. What comes within `pause` means the
    /// same end as the first did: timeout(1) signals its child, and then the child's group.
    ///
    /// # Errors
    /// No thread: no signal hurries the end then.
    pub(super) fn hurry_after(self, pause: Duration) -> io::Result<()> {
        let hurry = move || {
            self.forget_for(pause);
            // In this thread alone, which takes them from here on, for as long as the process lasts.
            if self.ending.thread_unblock().is_ok() {
                loop {
                    std::thread::park();
                }
            }
        };
        let thread = std::thread::Builder::new().name("fg-signals".into());
        thread.spawn(hurry).map(drop)
    }

    /// Takes and forgets what comes for so long.
    #[allow(clippy::disallowed_methods)] // the I/O edge, at the end
    fn forget_for(&self, pause: Duration) {
        std::thread::sleep(pause);
        while self.wait(0).is_some() {}
    }

    /// The name of an ending signal that has come, or comes within `ms` milliseconds.
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
        let signal = Signal::try_from(number).ok()?;
        (!IGNORED.contains(&signal)).then(|| signal.as_str())
    }
}

/// Whether this process was started with SIGHUP ignored, by what the kernel says of it.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Signal 1 is the lowest bit.
    mask.is_some_and(|mask| mask & 1 == 1)
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
        raise(Signal::SIGHUP).unwrap();
        assert_eq!(signals.wait(10_000), Some("SIGHUP"));
        for harmless in IGNORED {
            raise(harmless).unwrap();
            assert_eq!(signals.wait(10_000), None);
        }
        // What comes soon after the first is no second one.
        raise(Signal::SIGINT).unwrap();
        raise(Signal::SIGTERM).unwrap();
        signals.forget_for(Duration::ZERO);
        assert_eq!(signals.wait(0), None);
    }

    #[test]
    fn nohup_is_seen() {
        assert!(ignores_hangup("SigBlk:\t00\nSigIgn:\t0000000000000001\n"));
        assert!(!ignores_hangup("SigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup(""));
    }
}
