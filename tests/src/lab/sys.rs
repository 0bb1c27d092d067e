//! Every `unsafe` block of the tests: what a child does between fork and exec, and packet sockets, whose addresses nobody
//! wraps.

#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
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

/// A socket that receives every frame that comes in by an interface, and none that goes out by it.
pub(crate) fn packet_socket(index: u32) -> Result<OwnedFd, Errno> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
    let fd = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::EthAll,
    )?;
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open; the option's value is one `c_int` that outlives the call and whose size is given.
    let done = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_IGNORE_OUTGOING,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    Errno::result(done)?;
    let addr = link_addr(index, libc::ETH_P_ALL as u16);
    // SAFETY: the descriptor is open; the address is one live `sockaddr_ll`, whose size is given.
    let done = unsafe {
        libc::bind(
            fd.as_raw_fd(),
            (&raw const addr).cast(),
            size_of_val(&addr) as libc::socklen_t,
        )
    };
    Errno::result(done)?;
    Ok(fd)
}

/// Sends a frame out by an interface, as one of this protocol.
pub(crate) fn packet_send(
    fd: BorrowedFd<'_>,
    index: u32,
    protocol: u16,
    frame: &[u8],
) -> Result<(), Errno> {
    let addr = link_addr(index, protocol);
    // SAFETY: the descriptor is open; frame and address are live, and their sizes are given.
    let sent = unsafe {
        libc::sendto(
            fd.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            0,
            (&raw const addr).cast(),
            size_of_val(&addr) as libc::socklen_t,
        )
    };
    Errno::result(sent).map(drop)
}

fn link_addr(index: u32, protocol: u16) -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: index.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}
