//! One queue of a TUN or TAP device: reading and writing.

use super::super::{Queue, Tx};
use crate::fate::DropReason;
use crate::offload::{Caps, Offload, VNET_HDR};
use crate::pkt::{Pkt, Pool};
use rustix::io::{Errno, read, write, writev};
use std::io::{self, IoSlice};
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

/// Reads one packet with what is in front of it, and says how many bytes; 0: there is none. The kernel cuts a packet that does
/// not fit and says only how much it copied, so the room ends with a spare byte ([`Pkt::space_behind`]).
///
/// By `rustix`, whose system calls are instructions here and not calls into the C library, which asks at each read and write
/// whether the thread is being cancelled.
fn read_into(fd: &OwnedFd, room: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match read(fd, &mut *room) {
            Err(Errno::AGAIN) => return Ok(0),
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

/// What became of a write.
fn written(done: Result<usize, Errno>) -> Option<Tx> {
    match done {
        Ok(_) => Some(Tx::Sent),
        Err(Errno::INTR) => None,
        // EBADFD: the device was deleted; the others: not a TUN queue any more.
        Err(Errno::BADFD | Errno::BADF | Errno::NODEV | Errno::NXIO) => {
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
            let Some(mut pkt) = pool.take_for_rx() else {
                break;
            };
            match read_into(&self.fd, pkt.space_behind(0)) {
                Ok(len @ 1..) if len <= pkt.capacity() => {
                    pkt.filled(len);
                    out.push(pkt);
                }
                done => {
                    pool.put(pkt);
                    match done? {
                        0 => break,
                        _ => self.truncated += 1,
                    }
                }
            }
        }
        Ok(())
    }

    /// A burst of frames with virtio header. Each is read into the large packet that is kept ready, and what fits an ordinary
    /// one is copied there: a super-packet is not known before it is read, and one read of one place costs less than one of
    /// several. While all large ones are in use, what would need one is dropped, so that the others can pass.
    fn rx_virtio(&mut self, pool: &mut Pool, out: &mut Vec<Pkt>, max: usize) -> Result<(), Errno> {
        let (mut ready, mut large) = (pool.take_large(), 0);
        let mut done = Ok(());
        for _ in 0..max {
            let Some(pkt) = pool.take_for_rx() else { break };
            match self.read_virtio(pkt, &mut ready, pool) {
                Ok(Some(pkt)) => out.push(pkt),
                Ok(None) => break,
                Err(errno) => {
                    done = Err(errno);
                    break;
                }
            }
            if out.last().is_some_and(|pkt| pkt.is_large()) {
                large += 1;
                ready = pool.take_large();
                if large == LARGE_BURST || ready.is_none() {
                    break;
                }
            }
        }
        if let Some(ready) = ready {
            pool.put(ready);
        }
        done
    }

    /// Reads one frame into `large`, which is taken if it needs that, else into `pkt`.
    fn read_virtio(
        &self,
        mut pkt: Pkt,
        large: &mut Option<Pkt>,
        pool: &mut Pool,
    ) -> Result<Option<Pkt>, Errno> {
        let room = large.as_mut().unwrap_or(&mut pkt).space_behind(VNET_HDR);
        let (header, len) = match read_into(&self.fd, room) {
            Ok(read) if read > VNET_HDR => (room.first_chunk(), read - VNET_HDR),
            read => {
                pool.put(pkt);
                return read.map(|_| None);
            }
        };
        let offload = header.map_or(Ok(Offload::NONE), |header| Offload::decode(header, len));
        let mut fault = offload.is_err().then_some(DropReason::OffloadBad);
        if len > pkt.capacity() {
            match large.take() {
                Some(large) => pool.put(std::mem::replace(&mut pkt, large)),
                None => fault = Some(DropReason::LargeFull),
            }
            pkt.filled(len);
        } else if let Some(large) = large {
            pkt.copy_from(large.space().get(..len).unwrap_or_default());
        } else {
            pkt.filled(len);
        }
        pkt.offload = offload.unwrap_or_default();
        pkt.fault = fault;
        Ok(Some(pkt))
    }

    fn write(&self, frame: &[u8]) -> Tx {
        loop {
            if let Some(tx) = written(write(&self.fd, frame)) {
                return tx;
            }
        }
    }
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
        self.write(frame)
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

    fn tx_pkt(&mut self, pkt: &mut Pkt) -> Tx {
        if self.offloads.is_none() {
            return self.write(pkt.bytes());
        }
        let header = pkt.offload.encode(pkt.bytes());
        match pkt.behind(&header) {
            Some(whole) => self.write(whole),
            None => self.tx_offload(pkt.bytes(), &pkt.offload),
        }
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }

    fn truncated(&self) -> u64 {
        self.truncated
    }
}
