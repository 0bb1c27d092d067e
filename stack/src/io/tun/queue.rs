//! One queue of a TUN or TAP device: reading and writing.

use super::super::{Queue, Tx};
use crate::fate::DropReason;
use crate::offload::{Caps, Offload, VNET_HDR};
use crate::pkt::{Pkt, Pool};
use nix::errno::Errno;
use nix::sys::uio::{readv, writev};
use nix::unistd::write;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Large packets in a burst at most: beyond that they would leave the CPU's nearest caches before they are sent.
const LARGE_BURST: usize = 8;

/// One queue of a TUN or TAP device. Non-blocking.
#[derive(Debug)]
pub struct TunQueue {
    fd: OwnedFd,
    truncated: u64,
    /// What the kernel takes unfinished, if each frame has a virtio header.
    offloads: Option<Caps>,
}

/// What one read of the device gave.
enum Read {
    /// So many bytes, all of the packet.
    Packet(usize),
    /// A packet longer than the buffer; the rest of it is lost.
    Truncated,
    /// Nothing there.
    Nothing,
}

/// Reads one packet into what is given, and says how many bytes.
fn read_into(fd: &OwnedFd, parts: &mut [IoSliceMut<'_>]) -> Result<usize, Errno> {
    loop {
        match readv(fd, parts) {
            Err(Errno::EAGAIN) => return Ok(0),
            Err(Errno::EINTR) => {}
            done => return done,
        }
    }
}

/// Reads one packet. The kernel cuts a packet that does not fit and says only how much it copied,
/// so a spare byte behind the buffer tells "exactly full" from "cut".
fn read_packet(fd: &OwnedFd, room: &mut [u8]) -> Result<Read, Errno> {
    let len = room.len();
    let mut spare = [0];
    let mut parts = [IoSliceMut::new(room), IoSliceMut::new(&mut spare)];
    Ok(match read_into(fd, &mut parts)? {
        0 => Read::Nothing,
        read if read > len => Read::Truncated,
        read => Read::Packet(read),
    })
}

/// What became of a write.
fn written(done: Result<usize, Errno>) -> Option<Tx> {
    match done {
        Ok(_) => Some(Tx::Sent),
        Err(Errno::EINTR) => None,
        // EBADFD: the device was deleted; the others: not a TUN queue any more.
        Err(Errno::EBADFD | Errno::EBADF | Errno::ENODEV | Errno::ENXIO) => {
            Some(Tx::Gone(io::ErrorKind::NotFound))
        }
        // EAGAIN, ENOBUFS, ENOMEM: full. EIO: down. EINVAL: not a packet.
        Err(_) => Some(Tx::Refused),
    }
}

impl TunQueue {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            truncated: 0,
            offloads: None,
        }
    }

    /// The device has a virtio header in front of each frame, and takes this.
    pub(super) fn leave_undone(&mut self, caps: Caps) {
        self.offloads = Some(caps);
    }

    /// The descriptor by which its device is asked for things.
    pub(in crate::io) fn device(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// A burst of frames without virtio header.
    fn rx_plain(&mut self, pool: &mut Pool, out: &mut Vec<Pkt>, max: usize) -> Result<(), Errno> {
        for _ in 0..max {
            let Some(mut pkt) = pool.take() else { break };
            match read_packet(&self.fd, pkt.space()) {
                Ok(Read::Packet(len)) => {
                    pkt.filled(len);
                    out.push(pkt);
                }
                Ok(Read::Truncated) => {
                    self.truncated += 1;
                    pool.put(pkt);
                }
                Ok(Read::Nothing) => {
                    pool.put(pkt);
                    break;
                }
                Err(errno) => {
                    pool.put(pkt);
                    return Err(errno);
                }
            }
        }
        Ok(())
    }

    /// A burst of frames with virtio header. What does not fit an ordinary packet goes on in a large one that is kept ready;
    /// while all of those are in use, what would need one is dropped, so that the others can pass.
    fn rx_virtio(&mut self, pool: &mut Pool, out: &mut Vec<Pkt>, max: usize) -> Result<(), Errno> {
        let (mut spare, mut large) = (pool.take_large(), 0);
        let mut done = Ok(());
        for _ in 0..max {
            let Some(pkt) = pool.take() else { break };
            match self.read_virtio(pkt, &mut spare, pool) {
                Ok(Some(pkt)) => out.push(pkt),
                Ok(None) => break,
                Err(errno) => {
                    done = Err(errno);
                    break;
                }
            }
            if out.last().is_some_and(|pkt| pkt.is_large()) {
                large += 1;
                spare = pool.take_large();
                if large == LARGE_BURST || spare.is_none() {
                    break;
                }
            }
        }
        if let Some(spare) = spare {
            pool.put(spare);
        }
        done
    }

    /// Reads one frame into `pkt`, or into `pkt` and `spare`, which is taken then.
    fn read_virtio(
        &self,
        mut pkt: Pkt,
        spare: &mut Option<Pkt>,
        pool: &mut Pool,
    ) -> Result<Option<Pkt>, Errno> {
        let (mut header, mut byte) = ([0; VNET_HDR], [0]);
        let size = pkt.capacity();
        let rest = spare
            .as_mut()
            .and_then(|large| large.space().get_mut(size..))
            .unwrap_or(&mut byte);
        let mut parts = [
            IoSliceMut::new(&mut header),
            IoSliceMut::new(pkt.space()),
            IoSliceMut::new(rest),
        ];
        let read = read_into(&self.fd, &mut parts);
        let len = match read {
            Ok(read) if read > VNET_HDR => read - VNET_HDR,
            read => {
                pool.put(pkt);
                return read.map(|_| None);
            }
        };
        let offload = Offload::decode(&header, len);
        let mut fault = offload.is_err().then_some(DropReason::OffloadBad);
        if len > size {
            match spare.take() {
                Some(large) => pkt = joined(pkt, large, len, pool),
                None => fault = Some(DropReason::LargeFull),
            }
        }
        pkt.filled(len);
        pkt.offload = offload.unwrap_or_default();
        pkt.fault = fault;
        Ok(Some(pkt))
    }
}

/// The large packet whose first part was read into the ordinary one.
fn joined(mut first: Pkt, mut large: Pkt, len: usize, pool: &mut Pool) -> Pkt {
    let size = first.capacity();
    if let Some(front) = large.space().get_mut(..size) {
        front.copy_from_slice(first.space());
    }
    large.filled(len);
    pool.put(first);
    large
}

impl Queue for TunQueue {
    fn rx_burst(&mut self, pool: &mut Pool, out: &mut Vec<Pkt>, max: usize) -> io::Result<usize> {
        let before = out.len();
        let done = match self.offloads {
            None => self.rx_plain(pool, out, max),
            Some(_) => self.rx_virtio(pool, out, max),
        };
        match done {
            // After some packets it comes again at the next call.
            Err(errno) if out.len() == before => Err(errno.into()),
            _ => Ok(out.len() - before),
        }
    }

    fn tx(&mut self, frame: &[u8]) -> Tx {
        if self.offloads.is_some() {
            return self.tx_offload(frame, &Offload::NONE);
        }
        loop {
            if let Some(tx) = written(write(&self.fd, frame)) {
                return tx;
            }
        }
    }

    fn offloads(&self) -> Caps {
        self.offloads.unwrap_or(Caps::NONE)
    }

    fn tx_offload(&mut self, frame: &[u8], offload: &Offload) -> Tx {
        let header = offload.encode(frame);
        let parts = [IoSlice::new(&header), IoSlice::new(frame)];
        loop {
            if let Some(tx) = written(writev(&self.fd, &parts)) {
                return tx;
            }
        }
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }

    fn truncated(&self) -> u64 {
        self.truncated
    }
}
