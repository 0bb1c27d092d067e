//! The receive ring of a packet socket, shared with the kernel (`TPACKET_V2`), and the calls that `nix` lacks: the one
//! place of this module that is `unsafe`.
//!
//! The ring is an array of slots. A slot's first word says whose it is: the kernel's, or ours once a frame is in it. It
//! is read with Acquire before anything else of the slot and stored with Release after everything else, so that a slot
//! is touched by one side at a time.

#![allow(unsafe_code)]

use crate::offload::VNET_HDR;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// How the ring is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes of a slot, a power of two.
    pub(super) slot: usize,
    /// Slots in all, a power of two.
    pub(super) slots: usize,
}

/// Bytes that the kernel takes from a slot in front of a frame: its header, the sender's address, a virtio header, all
/// aligned.
const SLOT_HEAD: usize = 128;
/// Bytes of one piece of the kernel's memory, of which a ring is made.
const BLOCK: usize = 1 << 16;

impl Layout {
    /// So that a frame of `frame` bytes fits a slot; longer ones come by the socket itself.
    pub(super) fn of(frame: usize, slots: usize) -> Self {
        Self {
            slot: (SLOT_HEAD + frame).next_power_of_two().clamp(2048, BLOCK),
            slots: slots.next_power_of_two(),
        }
    }

    fn block(self) -> usize {
        BLOCK.min(self.bytes())
    }

    pub(super) fn bytes(self) -> usize {
        self.slot * self.slots
    }
}

/// A mapped ring.
#[derive(Debug)]
pub(super) struct Ring {
    memory: NonNull<u8>,
    layout: Layout,
    next: usize,
}

// SAFETY: the mapping belongs to this value alone, and the kernel does not mind which thread touches it.
unsafe impl Send for Ring {}

/// What the kernel says of the frame in a slot, and the frame with the virtio header in front of it.
pub(super) struct Slot<'a> {
    /// `tpacket2_hdr`, the parts that matter.
    pub(super) status: u32,
    /// The frame's length on the wire.
    pub(super) len: usize,
    /// The VLAN tag that was taken off, if `status` says so.
    pub(super) tci: u16,
    /// Its protocol.
    pub(super) tpid: u16,
    /// Whether it is one that this machine sends.
    pub(super) outgoing: bool,
    /// The virtio header.
    pub(super) virtio: [u8; VNET_HDR],
    /// As much of the frame as fitted the slot.
    pub(super) frame: &'a [u8],
}

impl Ring {
    /// Has the kernel make the ring of a socket that is not bound yet, and maps it.
    pub(super) fn make(socket: BorrowedFd<'_>, layout: Layout) -> Result<Self, Errno> {
        let request = libc::tpacket_req {
            tp_block_size: layout.block() as u32,
            tp_block_nr: (layout.bytes() / layout.block()) as u32,
            tp_frame_size: layout.slot as u32,
            tp_frame_nr: layout.slots as u32,
        };
        set(socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        // SAFETY: a new mapping of the socket's whole ring, where the kernel likes; nothing else is touched.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                layout.bytes(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let memory = NonNull::new(memory.cast()).ok_or(Errno::ENOMEM)?;
        Ok(Self {
            memory,
            layout,
            next: 0,
        })
    }

    /// The first byte of the slot that comes next.
    fn slot(&self) -> NonNull<u8> {
        // SAFETY: `next` is below `slots` (see `pass`), so this is within the mapping.
        unsafe { self.memory.add(self.next * self.layout.slot) }
    }

    fn status(&self) -> &AtomicU32 {
        // SAFETY: slots begin at multiples of 2048 bytes of a page, so aligned; the first word is only ever touched as an
        // atomic by us, and stays mapped as long as `self`.
        unsafe { self.slot().cast::<AtomicU32>().as_ref() }
    }

    /// Whether a frame is there.
    pub(super) fn is_ready(&self) -> bool {
        self.status().load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// The next frame; until [`Self::pass`] it comes again. `None` when there is none.
    pub(super) fn peek(&self) -> Option<Slot<'_>> {
        let status = self.status().load(Ordering::Acquire);
        if status & libc::TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: the slot is ours until `pass` gives it back (which takes `&mut self`, so not while this borrow lives): the
        // kernel does not write to it. All its bytes are mapped and initialised (the kernel hands out zeroed pages). The
        // first word is left out: it is touched as an atomic only.
        let rest = unsafe {
            let start = self.slot().add(4);
            std::slice::from_raw_parts(start.as_ptr(), self.layout.slot - 4)
        };
        Some(read(status, rest))
    }

    /// Gives the slot back to the kernel and goes on to the next.
    pub(super) fn pass(&mut self) {
        self.status()
            .store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) & (self.layout.slots - 1);
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: this very mapping, made in `make`; nothing borrows from it any more.
        let _ = unsafe { libc::munmap(self.memory.as_ptr().cast(), self.layout.bytes()) };
    }
}

/// Offset of the sender's address in a slot: behind the aligned header (`TPACKET2_HDRLEN` counts the address in).
const ADDRESS: usize = size_of::<libc::tpacket2_hdr>().next_multiple_of(16);
/// Offset of `sll_pkttype` in `sockaddr_ll`.
const PKTTYPE: usize = 10;

/// Reads a slot's header; `rest` is what is behind the first word, as offsets of `tpacket2_hdr` less 4. A slot that makes no
/// sense (none does) reads as an empty frame.
fn read(status: u32, rest: &[u8]) -> Slot<'_> {
    let word = |at: usize| rest.get(at - 4..)?.first_chunk().copied();
    let number = |at| word(at).map_or(0, u32::from_ne_bytes);
    let half = |at: usize| -> u16 {
        let bytes = rest.get(at - 4..).and_then(<[u8]>::first_chunk).copied();
        bytes.map_or(0, u16::from_ne_bytes)
    };
    let (len, kept, mac) = (number(4), number(8) as usize, usize::from(half(12)));
    let frame = mac.checked_sub(4).and_then(|at| rest.get(at..at + kept));
    let virtio = mac
        .checked_sub(4 + VNET_HDR)
        .and_then(|at| rest.get(at..)?.first_chunk().copied());
    Slot {
        status,
        len: len as usize,
        tci: half(24),
        tpid: half(26),
        outgoing: rest.get(ADDRESS + PKTTYPE - 4) == Some(&libc::PACKET_OUTGOING),
        virtio: virtio.unwrap_or_default(),
        frame: frame.unwrap_or_default(),
    }
}

/// A packet socket that hears nothing yet.
pub(in crate::io) fn socket() -> Result<OwnedFd, Errno> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: three numbers.
    let fd = Errno::result(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Binds it to all frames of an interface.
pub(super) fn bind(socket: BorrowedFd<'_>, ifindex: u32) -> Result<(), Errno> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: ifindex.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
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

/// The interface that it is bound to; `None` once that is no more.
pub(super) fn bound_to(socket: BorrowedFd<'_>) -> Option<u32> {
    // SAFETY: plain C data for which all zeros is a valid value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    let mut len = size_of_val(&address) as libc::socklen_t;
    // SAFETY: address and length outlive the call, which writes no more than the length says.
    let done = unsafe {
        let fd = socket.as_raw_fd();
        libc::getsockname(fd, (&raw mut address).cast(), &raw mut len)
    };
    let index = u32::try_from(address.sll_ifindex).ok();
    index.filter(|index| done == 0 && *index > 0)
}

/// Options' values: plain C data without padding that matters, which any bytes are valid for.
pub(in crate::io) trait Plain: Copy {}
impl Plain for libc::c_int {}
impl Plain for u32 {}
impl Plain for libc::tpacket_req {}
impl Plain for libc::tpacket_stats {}
impl Plain for libc::packet_mreq {}
impl Plain for libc::sock_fprog {}
impl Plain for libc::xdp_umem_reg {}
impl Plain for libc::xdp_mmap_offsets {}
impl Plain for libc::xdp_options {}
impl Plain for libc::xdp_statistics {}

/// Sets an option.
pub(in crate::io) fn set<T: Plain>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> Result<(), Errno> {
    // SAFETY: the value outlives the call and its size is given; an address in it (a filter's) is that of a value that the
    // caller keeps alive over the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const *value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    Errno::result(done).map(drop)
}

/// Reads an option; the value that is passed in is what the kernel leaves untouched.
pub(in crate::io) fn get<T: Plain>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    mut value: T,
) -> Result<T, Errno> {
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: value and length outlive the call, which writes no more than the length says; any bytes are a valid value.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw mut value).cast(),
            &raw mut len,
        )
    };
    Errno::result(done).map(|_| value)
}

/// Puts a filter on the socket that takes nothing, or takes it away again.
pub(super) fn deafen(socket: BorrowedFd<'_>, deaf: bool) -> Result<(), Errno> {
    if !deaf {
        return set(socket, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &0);
    }
    let mut nothing = [libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: 0,
    }];
    let program = libc::sock_fprog {
        len: 1,
        filter: nothing.as_mut_ptr(),
    };
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_hold_the_frame_and_the_kernels_part() {
        assert_eq!(
            Layout::of(1518, 1000),
            Layout {
                slot: 2048,
                slots: 1024
            }
        );
        assert_eq!(Layout::of(9018, 256).slot, 16_384);
        assert_eq!(Layout::of(100_000, 8).slot, BLOCK);
        let tiny = Layout::of(60, 1);
        assert_eq!((tiny.block(), tiny.bytes()), (2048, 2048));
    }

    #[test]
    fn a_slot_that_makes_no_sense_reads_as_an_empty_frame() {
        let mut slot = [0xff_u8; 2044];
        assert_eq!(read(1, &slot).frame, [0; 0]);
        slot[8..10].copy_from_slice(&3_u16.to_ne_bytes());
        assert_eq!(read(1, &slot).frame, [0; 0]);
        assert_eq!(read(1, &[]).frame, [0; 0]);
    }

    #[test]
    fn a_slot_is_read_as_the_kernel_lays_it_out() {
        let mut slot = [0_u8; 2048];
        let mut put = |at: usize, bytes: &[u8]| slot[at..at + bytes.len()].copy_from_slice(bytes);
        put(4, &70_000_u32.to_ne_bytes());
        put(8, &3_u32.to_ne_bytes());
        put(12, &82_u16.to_ne_bytes());
        put(24, &7_u16.to_ne_bytes());
        put(26, &0x8100_u16.to_ne_bytes());
        put(32 + 10, &[4]);
        put(72, &[1; VNET_HDR]);
        put(82, b"abc");
        let read = read(libc::TP_STATUS_USER, &slot[4..]);
        assert_eq!((read.len, read.tci, read.tpid), (70_000, 7, 0x8100));
        assert!(read.outgoing);
        assert_eq!((read.virtio, read.frame), ([1; VNET_HDR], &b"abc"[..]));
    }
}
