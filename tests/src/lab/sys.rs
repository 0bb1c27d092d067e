//! The one `unsafe` block of the laboratory: what a child does between fork and exec.

#![allow(unsafe_code)]

use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has the child enter `netns`, if there is one, and die with the thread that starts it.
pub(super) fn arrange(command: &mut Command, netns: Option<OwnedFd>) {
    let hook = move || {
        if let Some(netns) = &netns {
            setns(netns, CloneFlags::CLONE_NEWNET)?;
        }
        set_pdeathsig(Signal::SIGKILL)?;
        Ok(())
    };
    // SAFETY: the hook makes two system calls on a descriptor that it owns; it neither allocates nor
    // locks (an errno becomes an io::Error without allocation) and touches no memory of the parent's.
    unsafe { command.pre_exec(hook) };
}
