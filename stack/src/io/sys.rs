//! Every `unsafe` block of the I/O edge: the calls that neither `std` nor `nix` wraps safely.
//!
//! Each function here is safe to call with any argument; why, its `SAFETY` line says.

#![allow(unsafe_code)]

use nix::errno::Errno;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `TUNSETIFF`: attaches `fd` (an open `/dev/net/tun`) to the device `name`, making it if there is
/// none. Returns the name that the kernel gave it. `name` is cut at 15 bytes.
pub(super) fn tun_set_iff(fd: BorrowedFd<'_>, name: &str, flags: u16) -> Result<String, Errno> {
    // SAFETY: `ifreq` is plain C data for which all zeros is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name[..room].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = flags.cast_signed();
    // SAFETY: the descriptor is open (borrowed) and TUNSETIFF reads and writes one `ifreq`, which
    // outlives the call; other kinds of descriptor answer ENOTTY.
    let done = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) };
    Errno::result(done)?;
    let given = request
        .ifr_name
        .iter()
        .take_while(|&&c| c != 0)
        .map(|&c| c as u8);
    Ok(String::from_utf8_lossy(&given.collect::<Vec<u8>>()).into_owned())
}

/// Asks a netlink socket to explain its refusals in words (`NETLINK_EXT_ACK`). Best effort: an old
/// kernel does not know it.
pub(super) fn netlink_explain(fd: BorrowedFd<'_>) {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open (borrowed); the option's value is one `c_int` that outlives
    // the call and whose size is given.
    let _ = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_EXT_ACK,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
}

/// poll(2) over descriptors collected by the caller. A descriptor that is not open comes back
/// marked `POLLNVAL`.
pub(super) fn poll(set: &mut [libc::pollfd], timeout_ms: libc::c_int) -> Result<usize, Errno> {
    // SAFETY: pointer and length describe one live, exclusively borrowed slice.
    let ready = unsafe { libc::poll(set.as_mut_ptr(), set.len() as libc::nfds_t, timeout_ms) };
    Errno::result(ready).map(|n| n.unsigned_abs() as usize)
}

/// Has `hook` run in the child between fork and exec.
///
/// `hook` must call nothing but system calls: between fork and exec of a process with threads an
/// allocation or a lock may never return. Every caller is in this module's parent; keep it so.
pub(super) fn before_exec(
    command: &mut Command,
    hook: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: the hooks given (netns::child) only make system calls on strings formatted before the
    // fork: they neither allocate nor lock, and they touch no memory shared with the parent.
    unsafe { command.pre_exec(hook) };
}
