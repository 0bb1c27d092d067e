//! Every `unsafe` block of the tests: what a child does between fork and exec, packet sockets and programs, whose calls nobody
//! wraps.

#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
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
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    // Of no protocol: until it is bound it would hear every interface.
    let fd = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        None,
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

/// Has a packet socket put the ten bytes of `struct virtio_net_hdr` before each frame, which say what of it is left to do.
pub(crate) fn with_virtio_header(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // `linux/if_packet.h`; `libc` lacks it.
    const PACKET_VNET_HDR: libc::c_int = 15;
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open; the option's value is one `c_int` that outlives the call and whose size is given.
    let done = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            PACKET_VNET_HDR,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    Errno::result(done).map(drop)
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

/// One instruction of eBPF.
type Insn = [u8; 8];

// Commands, a kind and places of bpf(2) (`linux/bpf.h`), which `libc` lacks.
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;

/// Where a program sees an interface's frames.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    /// When they come in.
    In = 46,
    /// When they go out.
    Out = 47,
}

/// What `BPF_PROG_LOAD` reads; the kernel takes what is left out for zeros.
#[repr(C)]
struct LoadAttr {
    kind: u32,
    count: u32,
    insns: u64,
    license: u64,
}

/// What `BPF_LINK_CREATE` reads for an interface.
#[repr(C)]
struct LinkAttr {
    program: u32,
    index: u32,
    side: u32,
    flags: u32,
    relative: u64,
    revision: u64,
}

/// Has a program see all frames of an interface for as long as what is returned is kept. Linux 6.6 or later, as root.
pub(crate) fn attach(index: u32, side: Side, insns: &[Insn]) -> Result<OwnedFd, Errno> {
    let load = LoadAttr {
        kind: BPF_PROG_TYPE_SCHED_CLS,
        count: insns.len() as u32,
        insns: insns.as_ptr() as u64,
        license: c"BSD".as_ptr() as u64,
    };
    let program = bpf(BPF_PROG_LOAD, &load)?;
    let link = LinkAttr {
        program: program.as_raw_fd().cast_unsigned(),
        index,
        side: side as u32,
        flags: 0,
        relative: 0,
        revision: 0,
    };
    bpf(BPF_LINK_CREATE, &link)
}

/// bpf(2), for commands that answer with a descriptor.
fn bpf<A>(command: libc::c_int, attr: &A) -> Result<OwnedFd, Errno> {
    let (attr, size) = (&raw const *attr, size_of::<A>() as libc::c_uint);
    // SAFETY: the attributes are one live value of plain integers, whose size is given; the addresses in it are those of
    // values that the caller keeps alive over the call, which reads them only.
    let done = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size) };
    let fd = Errno::result(done)? as libc::c_int;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
