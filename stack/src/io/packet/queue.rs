//! One socket of a packet port, as a [`Queue`].

use super::ring::{Ring, Slot, bound_to, get};
use crate::fate::DropReason;
use crate::io::{Queue, Tx};
use crate::offload::{Caps, Offload, VNET_HDR};
use crate::pkt::{Pkt, Pool};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, sendmsg};
use nix::sys::uio::readv;
use std::cell::Cell;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Both hardware addresses, behind which a VLAN tag stands.
const ADDRESSES: usize = 12;
/// Length of a VLAN tag.
const TAG: usize = 4;
/// Large packets in a burst at most, as of TUN: beyond that they would leave the CPU's nearest caches before they are sent.
const LARGE_BURST: usize = 8;

/// One socket of a packet port. Non-blocking.
#[derive(Debug)]
pub struct PacketQueue {
    // The ring goes before the socket that it is of.
    ring: Ring,
    socket: OwnedFd,
    caps: Caps,
    truncated: u64,
    missed: u64,
    /// The interface was deleted.
    gone: Cell<bool>,
}

/// What became of a frame in the ring.
enum Read {
    Packet,
    Truncated,
    NotOurs,
}

impl PacketQueue {
    pub(super) fn new(socket: OwnedFd, ring: Ring, caps: Caps) -> Self {
        Self {
            ring,
            socket,
            caps,
            truncated: 0,
            missed: 0,
            gone: Cell::new(false),
        }
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Copies the next frame of the ring into `pkt`.
    fn read_slot(&mut self, pkt: &mut Pkt) -> Option<Read> {
        let slot = self.ring.peek()?;
        let losing = slot.status & libc::TP_STATUS_LOSING != 0;
        let read = if slot.outgoing {
            Read::NotOurs
        } else if slot.status & libc::TP_STATUS_COPY != 0 {
            read_whole(&self.socket, &slot, pkt)
        } else if slot.len > slot.frame.len() {
            Read::Truncated
        } else {
            fill(&slot, pkt)
        };
        self.ring.pass();
        if losing {
            self.count_missed();
        }
        Some(read)
    }

    /// Asks the kernel how many frames found the ring full; asking sets it to nought.
    #[cold]
    fn count_missed(&mut self) {
        let none = libc::tpacket_stats {
            tp_packets: 0,
            tp_drops: 0,
        };
        let socket = self.socket.as_fd();
        if let Ok(stats) = get(socket, libc::SOL_PACKET, libc::PACKET_STATISTICS, none) {
            self.missed += u64::from(stats.tp_drops);
        }
    }

    /// An empty packet that the next frame fits into, if there is one: while all large ones are in use a frame that needs one
    /// is dropped, so that others can pass.
    fn room(&self, pool: &mut Pool) -> Option<Pkt> {
        let len = self.ring.peek().map_or(0, |slot| slot.len + TAG);
        let large = len > pool.packet_size();
        let large = large.then(|| pool.take_large()).flatten();
        large.or_else(|| pool.take_for_rx())
    }

    fn send(&self, header: &[u8; VNET_HDR], frame: &[u8]) -> Tx {
        let parts = [IoSlice::new(header), IoSlice::new(frame)];
        loop {
            let (fd, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
            match sendmsg::<()>(fd, &parts, &[], flags, None) {
                Ok(_) => return Tx::Sent,
                Err(Errno::EINTR) => {}
                Err(Errno::ENXIO | Errno::ENODEV | Errno::EBADF) => {
                    self.gone.set(true);
                    return Tx::Gone(io::ErrorKind::NotFound);
                }
                // EAGAIN, ENOBUFS, ENOMEM: full. ENETDOWN: down. EMSGSIZE, EINVAL: not a frame for it.
                Err(_) => return Tx::Refused,
            }
        }
    }
}

/// Puts what is in a slot into a packet.
fn fill(slot: &Slot<'_>, pkt: &mut Pkt) -> Read {
    let tag = tag(slot);
    let shift = tag.map_or(0, |tag| tag.len());
    let len = slot.frame.len();
    let Some(room) = pkt.space().get_mut(..len + shift) else {
        return Read::Truncated;
    };
    if shift == 0 {
        room.copy_from_slice(slot.frame);
    } else if let Some((addresses, rest)) = slot.frame.split_at_checked(ADDRESSES) {
        room[..ADDRESSES].copy_from_slice(addresses);
        room[ADDRESSES + shift..].copy_from_slice(rest);
    }
    finish(pkt, &slot.virtio, len, tag);
    Read::Packet
}

/// Reads a frame that did not fit its slot, a super-packet mostly, from the socket itself, where the kernel has put all of it.
fn read_whole(socket: &OwnedFd, slot: &Slot<'_>, pkt: &mut Pkt) -> Read {
    let tag = tag(slot);
    let shift = tag.map_or(0, |tag| tag.len());
    let (mut header, mut spare) = ([0; VNET_HDR], [0]);
    let Some(room) = pkt.space().get_mut(shift..) else {
        return Read::Truncated;
    };
    let most = room.len();
    let mut parts = [
        IoSliceMut::new(&mut header),
        IoSliceMut::new(room),
        IoSliceMut::new(&mut spare),
    ];
    let read = loop {
        match readv(socket, &mut parts) {
            Err(Errno::EINTR) => {}
            // The socket's error, if it has one, comes before what waits there: once.
            Err(Errno::ENETDOWN) => {}
            read => break read,
        }
    };
    let Ok(Some(len)) = read.map(|read| read.checked_sub(VNET_HDR)) else {
        return Read::Truncated;
    };
    if len > most {
        return Read::Truncated;
    }
    if let Some(room) = pkt
        .space()
        .get_mut(..ADDRESSES + shift)
        .filter(|_| shift > 0)
    {
        room.copy_within(shift.., 0);
    }
    finish(pkt, &header, len, tag);
    Read::Packet
}

/// The VLAN tag that the kernel took off a frame, as it stood there: one of VLAN 0 too, as another may follow.
fn tag(slot: &Slot<'_>) -> Option<[u8; 4]> {
    if slot.status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let known = slot.status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
    let tpid = if known { slot.tpid } else { 0x8100 };
    let [[a, b], [c, d]] = [tpid.to_be_bytes(), slot.tci.to_be_bytes()];
    Some([a, b, c, d])
}

/// Declares a packet of `len` bytes and its tag filled, and reads its virtio header.
fn finish(pkt: &mut Pkt, virtio: &[u8; VNET_HDR], len: usize, tag: Option<[u8; 4]>) {
    let shift = tag.map_or(0, |tag| tag.len());
    if let Some(tag) = tag
        && let Some(room) = pkt.space().get_mut(ADDRESSES..ADDRESSES + tag.len())
    {
        room.copy_from_slice(&tag);
    }
    pkt.filled(len + shift);
    match Offload::decode(virtio, len) {
        Ok(mut offload) => {
            if let Some(csum) = &mut offload.csum {
                csum.start = csum.start.saturating_add(shift as u16);
            }
            pkt.offload = offload;
        }
        Err(_) => pkt.fault = Some(DropReason::OffloadBad),
    }
}

impl Queue for PacketQueue {
    fn rx_burst(&mut self, pool: &mut Pool, out: &mut Vec<Pkt>, max: usize) -> io::Result<usize> {
        let (before, mut large) = (out.len(), 0);
        for _ in 0..max {
            if !self.ring.is_ready() {
                break;
            }
            let Some(mut pkt) = self.room(pool) else {
                break;
            };
            match self.read_slot(&mut pkt) {
                Some(Read::Packet) => {
                    large += usize::from(pkt.is_large());
                    out.push(pkt);
                    if large == LARGE_BURST {
                        break;
                    }
                    continue;
                }
                Some(Read::Truncated) => self.truncated += 1,
                Some(Read::NotOurs) | None => {}
            }
            pool.put(pkt);
        }
        if out.len() == before && self.gone.get() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(out.len() - before)
    }

    fn tx(&mut self, frame: &[u8]) -> Tx {
        self.send(&[0; VNET_HDR], frame)
    }

    fn offloads(&self) -> Caps {
        self.caps
    }

    fn tx_offload(&mut self, frame: &[u8], offload: &Offload) -> Tx {
        self.send(&offload.encode(frame), frame)
    }

    /// A socket whose interface went down is readable until its error was read, which is done here: who asks is about to
    /// sleep.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        let socket = self.socket.as_fd();
        let error = get(socket, libc::SOL_SOCKET, libc::SO_ERROR, 0);
        if error != Ok(0) && bound_to(socket).is_none() {
            self.gone.set(true);
        }
        Some(socket)
    }

    fn truncated(&self) -> u64 {
        self.truncated
    }

    fn missed(&self) -> u64 {
        self.missed
    }
}
