//! Every `unsafe` block of the I/O edge: the calls that neither `std` nor `nix` wraps safely.
//!
//! Each function here is safe to call with any argument; why, its `SAFETY` line says.

#![allow(unsafe_code)]

use nix::errno::Errno;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
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

/// What the kernel may hand us, and takes from us, unfinished (`TUN_F_*` of `linux/if_tun.h`).
pub(super) const TUN_F_CSUM: libc::c_ulong = 1;
pub(super) const TUN_F_TSO: libc::c_ulong = 2 | 4 | 8;
pub(super) const TUN_F_USO: libc::c_ulong = 0x20 | 0x40;

/// `TUNSETVNETHDRSZ`: how long the virtio header in front of each frame is.
pub(super) fn tun_set_header(fd: BorrowedFd<'_>, bytes: usize) -> Result<(), Errno> {
    const TUNSETVNETHDRSZ: libc::c_ulong = 0x4004_54d8;
    let bytes = bytes as libc::c_int;
    // SAFETY: the descriptor is open (borrowed) and TUNSETVNETHDRSZ reads one `c_int`, which outlives the call; other kinds of
    // descriptor answer ENOTTY.
    let done = unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETVNETHDRSZ as _, &raw const bytes) };
    Errno::result(done).map(drop)
}

/// `TUNSETOFFLOAD`: what the kernel may hand over unfinished, for all queues of the device.
pub(super) fn tun_set_offload(fd: BorrowedFd<'_>, flags: libc::c_ulong) -> Result<(), Errno> {
    const TUNSETOFFLOAD: libc::c_ulong = 0x4004_54d0;
    // SAFETY: the descriptor is open (borrowed) and TUNSETOFFLOAD takes a number, no address; other kinds of descriptor
    // answer ENOTTY.
    let done = unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETOFFLOAD as _, flags) };
    Errno::result(done).map(drop)
}

/// `TUNSETSTEERINGEBPF` (`linux/if_tun.h`), which `libc` lacks.
const TUNSETSTEERINGEBPF: libc::c_ulong = 0x8004_54e0;

/// Has the device of `fd` (a queue of it) ask `program` for the queue of each packet.
pub(super) fn tun_set_steering(fd: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), Errno> {
    let program: libc::c_int = program.as_raw_fd();
    // SAFETY: the descriptor is open (borrowed) and TUNSETSTEERINGEBPF reads one `c_int`, which outlives the call; other
    // kinds of descriptor answer ENOTTY.
    let done = unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETSTEERINGEBPF as _, &raw const program) };
    Errno::result(done).map(drop)
}

// Commands and kinds of bpf(2) (`linux/bpf.h`), which `libc` lacks.
const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_MAP_TYPE_XSKMAP: u32 = 17;
const BPF_XDP: u32 = 37;

/// The kinds of programs that are loaded here.
#[derive(Clone, Copy)]
pub(super) enum Program {
    SocketFilter = 1,
    Xdp = 6,
}

/// What `BPF_MAP_CREATE` reads; the kernel takes what is left out for zeros.
#[repr(C)]
struct MapAttr {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
}

/// What `BPF_MAP_UPDATE_ELEM` reads. Pointers are 64 bits on every machine.
#[repr(C)]
struct SetAttr {
    map: u32,
    unused: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// What `BPF_PROG_LOAD` reads.
#[repr(C)]
struct LoadAttr {
    kind: u32,
    count: u32,
    insns: u64,
    license: u64,
}

/// bpf(2) with attributes that the caller has filled in for this command.
fn bpf<A>(command: libc::c_int, attr: &A) -> Result<libc::c_long, Errno> {
    // SAFETY: the attributes are one live value of plain integers, whose size is given; every address in them is that of
    // a value that the caller keeps alive over the call, as long as the command reads.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            &raw const *attr,
            size_of::<A>() as libc::c_uint,
        )
    };
    Errno::result(done)
}

fn owned(fd: libc::c_long) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) }
}

/// An array of `entries` 32-bit numbers for eBPF programs, all 0.
pub(super) fn bpf_array(entries: u32) -> Result<OwnedFd, Errno> {
    bpf_map(BPF_MAP_TYPE_ARRAY, entries)
}

/// Room for `entries` XDP sockets, none yet; [`bpf_set`] takes their descriptors.
pub(super) fn bpf_sockets(entries: u32) -> Result<OwnedFd, Errno> {
    bpf_map(BPF_MAP_TYPE_XSKMAP, entries)
}

fn bpf_map(map_type: u32, entries: u32) -> Result<OwnedFd, Errno> {
    let attr = MapAttr {
        map_type,
        key_size: 4,
        value_size: 4,
        max_entries: entries,
    };
    bpf(BPF_MAP_CREATE, &attr).map(owned)
}

/// Writes one number of an array.
pub(super) fn bpf_set(map: BorrowedFd<'_>, key: u32, value: u32) -> Result<(), Errno> {
    let attr = SetAttr {
        map: map.as_raw_fd().cast_unsigned(),
        unused: 0,
        key: (&raw const key) as u64,
        value: (&raw const value) as u64,
        flags: 0,
    };
    bpf(BPF_MAP_UPDATE_ELEM, &attr).map(drop)
}

/// Loads a program.
pub(super) fn bpf_load(kind: Program, insns: &[[u8; 8]]) -> Result<OwnedFd, Errno> {
    let license = c"BSD";
    let attr = LoadAttr {
        kind: kind as u32,
        count: insns.len() as u32,
        insns: insns.as_ptr() as u64,
        license: license.as_ptr() as u64,
    };
    bpf(BPF_PROG_LOAD, &attr).map(owned)
}

/// What `BPF_LINK_CREATE` reads, for XDP.
#[repr(C)]
struct LinkAttr {
    program: u32,
    ifindex: u32,
    kind: u32,
    flags: u32,
}

/// Has an interface run an XDP program for each frame that comes in, as long as the descriptor that is returned is open.
pub(super) fn bpf_link_xdp(
    program: BorrowedFd<'_>,
    ifindex: u32,
    flags: u32,
) -> Result<OwnedFd, Errno> {
    let attr = LinkAttr {
        program: program.as_raw_fd().cast_unsigned(),
        ifindex,
        kind: BPF_XDP,
        flags,
    };
    bpf(BPF_LINK_CREATE, &attr).map(owned)
}

/// What `BPF_PROG_TEST_RUN` reads and writes, up to its times.
#[cfg(test)]
#[repr(C)]
struct RunAttr {
    program: u32,
    result: u32,
    len_in: u32,
    len_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
}

/// Runs a program on a frame, and returns what it answers.
#[cfg(test)]
pub(super) fn bpf_run(program: BorrowedFd<'_>, frame: &[u8]) -> Result<u32, Errno> {
    const BPF_PROG_TEST_RUN: libc::c_int = 10;
    let mut attr = RunAttr {
        program: program.as_raw_fd().cast_unsigned(),
        result: 0,
        len_in: frame.len() as u32,
        len_out: 0,
        data_in: frame.as_ptr() as u64,
        data_out: 0,
        repeat: 1,
        duration: 0,
    };
    // SAFETY: as in `bpf`; the kernel writes into the attributes, which are exclusively ours, and with no room for
    // output nowhere else.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_TEST_RUN,
            &raw mut attr,
            size_of::<RunAttr>() as libc::c_uint,
        )
    };
    Errno::result(done).map(|_| attr.result)
}

/// `struct ethtool_channels` (`linux/ethtool.h`), which `libc` lacks.
#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    most: [u32; 4],
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

/// How many queues an interface receives by, and sends by (`ETHTOOL_GCHANNELS`). `socket` is any socket of its network
/// namespace; `name` is cut at 15 bytes. `EOPNOTSUPP`: its driver does not say.
pub(super) fn ethtool_queues(socket: BorrowedFd<'_>, name: &str) -> Result<(u32, u32), Errno> {
    const SIOCETHTOOL: libc::c_ulong = 0x8946;
    const ETHTOOL_GCHANNELS: u32 = 0x3c;
    let mut channels = Channels {
        command: ETHTOOL_GCHANNELS,
        ..Channels::default()
    };
    // SAFETY: `ifreq` is plain C data for which all zeros is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name[..room].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut channels).cast();
    // SAFETY: the descriptor is open (borrowed), SIOCETHTOOL reads one `ifreq` and, for this command, reads and writes one
    // `ethtool_channels`; both outlive the call. Other kinds of descriptor answer ENOTTY.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) };
    Errno::result(done)?;
    let Channels {
        rx, tx, combined, ..
    } = channels;
    Ok((rx.saturating_add(combined), tx.saturating_add(combined)))
}

/// An XDP socket without anything. Non-blocking.
pub(super) fn xdp_socket() -> Result<OwnedFd, Errno> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: three numbers.
    let fd = Errno::result(unsafe { libc::socket(libc::AF_XDP, kind, 0) })?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Binds it to one queue of an interface.
pub(super) fn xdp_bind(
    socket: BorrowedFd<'_>,
    ifindex: u32,
    queue: u32,
    flags: u16,
) -> Result<(), Errno> {
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: flags,
        sxdp_ifindex: ifindex,
        sxdp_queue_id: queue,
        sxdp_shared_umem_fd: 0,
    };
    // SAFETY: the address outlives the call and its size is given.
    let done = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of_val(&address) as libc::socklen_t,
        )
    };
    Errno::result(done).map(drop)
}
