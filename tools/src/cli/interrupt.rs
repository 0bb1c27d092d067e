//! Ctrl-C in a command that waits for a gateway: its connection is closed, so that it ends in its own way.
//!
//! The signal is blocked in the calling thread and read by a helper, which lives until [`Watch::end`] and no longer.

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
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

/// Waits for Ctrl-C beside a connection.
pub(super) struct Watch {
    set: SigSet,
    stream: UnixStream,
    helper: JoinHandle<bool>,
}

impl Watch {
    /// Starts to; `stream` is the connection, or a copy of it.
    ///
    /// # Errors
    /// The system gives no descriptor or no thread.
    pub(super) fn start(stream: UnixStream) -> io::Result<Self> {
        let set: SigSet = [Signal::SIGINT].into_iter().collect();
        set.thread_block()?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)?;
        let own = stream.try_clone()?;
        let helper = std::thread::Builder::new().spawn(move || interrupted(&fd, &own))?;
        Ok(Self {
            set,
            stream,
            helper,
        })
    }

    /// Closes the connection; true if Ctrl-C has done that before.
    pub(super) fn end(self) -> bool {
        // An error says that it is closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
        let interrupted = self.helper.join().unwrap_or(false);
        let _ = self.set.thread_unblock();
        interrupted
    }
}

/// Until the signal comes, which closes the connection, or the connection is closed.
fn interrupted(fd: &SignalFd, stream: &UnixStream) -> bool {
    let closed = PollFlags::empty();
    loop {
        let mut fds = [
            PollFd::new(fd.as_fd(), PollFlags::POLLIN),
            PollFd::new(stream.as_fd(), closed),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            Err(_) => return false,
            Ok(_) => {}
        }
        let signalled = fds[0].any().unwrap_or(false);
        if signalled && matches!(fd.read_signal(), Ok(Some(_))) {
            let _ = stream.shutdown(Shutdown::Both);
            return true;
        }
        if fds[1].any().unwrap_or(true) {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::raise;
    use std::io::Read;

    #[test]
    fn ctrl_c_closes_the_connection_and_is_told() {
        // `raise` is for the calling thread alone, so the helper's work is done here.
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let set: SigSet = [Signal::SIGINT].into_iter().collect();
        set.thread_block().unwrap();
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC).unwrap();
        raise(Signal::SIGINT).unwrap();
        assert!(interrupted(&fd, &ours));
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
        set.thread_unblock().unwrap();
    }

    #[test]
    fn the_helper_ends_with_the_connection_whoever_closes_it() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(!Watch::start(ours).unwrap().end());
        let watch = Watch::start(theirs).unwrap();
        assert!(watch.helper.join().is_ok_and(|interrupted| !interrupted));
    }
}
