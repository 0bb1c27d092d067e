//! One XDP socket, as a [`Queue`].

use super::memory::Shared;
use super::ring::Desc;
use super::socket::{Rings, place_of};
use super::{CHUNK, FRAMES, Held, RX_FRAMES, TX_FRAMES, partial};
use crate::io::packet::ring::get;
use crate::io::{Queue, Tx};
use crate::pkt::{Pkt, Pool};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// The kernel is asked what it has dropped after so many frames, and at every so many sleeps.
const ASK_FRAMES: usize = 512;
const ASK_SLEEPS: u32 = 16;

/// One socket of an XDP port. Non-blocking.
///
/// Each frame of its memory is in one place: a receiving one in *fill*, with the kernel, in *rx* or on the stack of
/// [`Queue::rx_burst`]; a sending one in `spare`, *tx*, with the kernel, or in *completion*.
#[derive(Debug)]
pub struct XdpQueue {
    rings: Rings,
    frames: Shared,
    socket: OwnedFd,
    /// Frames that the next to be sent can have.
    spare: Vec<Desc>,
    /// Frames in *tx* that the kernel has not been shown.
    staged: u32,
    zero_copy: bool,
    truncated: u64,
    missed: Cell<u64>,
    /// Frames, and sleeps, since the kernel was asked what it has dropped.
    since: usize,
    sleeps: Cell<u32>,
    /// The interface is down, as the kernel said last.
    down: bool,
    /// The interface was deleted.
    gone: Cell<bool>,
    /// The program; let go as soon as the interface is, which may have moved elsewhere.
    held: RefCell<Option<Arc<Held>>>,
}

impl XdpQueue {
    pub(super) fn new(
        socket: OwnedFd,
        frames: Shared,
        rings: Rings,
        zero_copy: bool,
        held: Arc<Held>,
    ) -> Self {
        Self {
            rings,
            frames,
            socket,
            spare: (RX_FRAMES..FRAMES).map(place_of).collect(),
            staged: 0,
            zero_copy,
            truncated: 0,
            missed: Cell::new(0),
            since: 0,
            sleeps: Cell::new(0),
            down: false,
            gone: Cell::new(false),
            held: RefCell::new(Some(held)),
        }
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn is_zero_copy(&self) -> bool {
        self.zero_copy
    }

    /// Copies a frame into `pkt`; `false` if it does not fit.
    #[inline]
    fn read(&self, frame: Desc, pkt: &mut Pkt) -> bool {
        let (at, len) = (frame.at as usize, frame.len as usize);
        let Some(room) = pkt.space().get_mut(..len) else {
            return false;
        };
        if !self.frames.read(at, room) {
            return false;
        }
        pkt.filled(len);
        if !self.zero_copy {
            pkt.offload.csum = partial::of(pkt.bytes());
        }
        true
    }

    /// A frame for the next that is sent; the kernel is called if all are on their way.
    fn free(&mut self) -> Option<Desc> {
        if self.spare.is_empty() {
            self.reclaim();
        }
        if self.spare.is_empty() {
            self.show();
            self.reclaim();
        }
        self.spare.pop()
    }

    /// Takes back frames that were sent.
    fn reclaim(&mut self) {
        while let Some(Desc { at, .. }) = self.rings.completion.pop() {
            // They are ours, each once: there is room.
            if self.spare.len() < TX_FRAMES as usize {
                self.spare.push(first_byte(at));
            }
        }
        self.rings.completion.release();
    }

    /// Shows the kernel what was sent since the last time, and calls it if it wants that.
    fn show(&mut self) {
        let shown = std::mem::take(&mut self.staged);
        self.rings.tx.submit();
        if self.rings.tx.wants_a_call() {
            self.call_to_send(shown);
        }
    }

    /// Has the kernel send what is in *tx*, as much of it as it takes at once.
    fn call_to_send(&mut self, mut shown: u32) {
        let mut left = self.rings.tx.waiting();
        loop {
            match call(self.socket.as_fd()) {
                Err(Errno::ENETDOWN) => return self.hold_back(shown),
                Err(Errno::ENXIO | Errno::ENODEV | Errno::EBADF) => return self.lose(),
                // EAGAIN: more than it takes in one call, or the device is full. EBUSY, ENOBUFS: a frame was lost on the way.
                Ok(()) | Err(_) => {}
            }
            // Now it has seen them.
            shown = 0;
            let now = self.rings.tx.waiting();
            if now == 0 || now == left {
                return;
            }
            left = now;
        }
    }

    /// The interface is down: what it was shown last is not sent, so that it does not come late. Where the kernel copies, it
    /// reads *tx* in our calls only, and in this one it has not come to that; a card's driver may have read it.
    fn hold_back(&mut self, shown: u32) {
        self.down = true;
        if !self.zero_copy {
            let Self { rings, spare, .. } = self;
            spare.extend(rings.tx.take_back(shown).map(|frame| first_byte(frame.at)));
        }
    }

    /// The interface is no more, here.
    #[cold]
    fn lose(&self) {
        self.gone.set(true);
        drop(self.held.take());
    }

    /// Whether the interface still is what it was when something was refused last.
    #[cold]
    fn is_down(&mut self) -> bool {
        self.down = call(self.socket.as_fd()) == Err(Errno::ENETDOWN);
        self.down
    }

    /// Frames that can be sent, and that lie ready for the kernel: all of them, when nothing is on its way.
    #[cfg(test)]
    pub(super) fn at_rest(&mut self) -> (u32, u32) {
        self.reclaim();
        (self.spare.len() as u32, self.rings.fill.waiting())
    }

    /// Asks how many frames found no room, or had none in a frame.
    #[cold]
    pub(super) fn count_missed(&self) {
        let none = libc::xdp_statistics {
            rx_dropped: 0,
            rx_invalid_descs: 0,
            tx_invalid_descs: 0,
            rx_ring_full: 0,
            rx_fill_ring_empty_descs: 0,
            tx_ring_empty_descs: 0,
        };
        let socket = self.socket.as_fd();
        if let Ok(told) = get(socket, libc::SOL_XDP, libc::XDP_STATISTICS, none) {
            self.missed.set(told.rx_dropped + told.rx_ring_full);
        }
    }

    fn count(&mut self, frames: usize) {
        self.since += frames;
        if self.since >= ASK_FRAMES {
            self.since = 0;
            self.count_missed();
        }
    }
}

/// The kernel tells of a frame by where its bytes are in it.
fn first_byte(at: u64) -> Desc {
    Desc {
        at: at & !(CHUNK as u64 - 1),
        len: 0,
    }
}

/// Has the kernel look at *tx*.
fn call(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    send(socket.as_raw_fd(), &[], MsgFlags::MSG_DONTWAIT).map(drop)
}

impl Queue for XdpQueue {
    fn rx_burst(&mut self, pool: &mut Pool, out: &mut Vec<Pkt>, max: usize) -> io::Result<usize> {
        let (before, mut taken) = (out.len(), 0);
        while taken < max && self.rings.rx.is_ready() {
            let Some(mut pkt) = pool.take_for_rx() else {
                break;
            };
            let Some(frame) = self.rings.rx.pop() else {
                pool.put(pkt);
                break;
            };
            taken += 1;
            if self.read(frame, &mut pkt) {
                out.push(pkt);
            } else {
                self.truncated += 1;
                pool.put(pkt);
            }
            // There is room for all frames.
            let _ = self.rings.fill.push(first_byte(frame.at));
        }
        if taken > 0 {
            self.rings.rx.release();
            self.rings.fill.submit();
            self.count(taken);
            if self.rings.fill.wants_a_call() {
                // What it says of the interface is found out elsewhere.
                let _ = recv(self.socket.as_raw_fd(), &mut [], MsgFlags::MSG_DONTWAIT);
            }
        } else if self.gone.get() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(out.len() - before)
    }

    fn tx(&mut self, frame: &[u8]) -> Tx {
        if self.gone.get() {
            return Tx::Gone(io::ErrorKind::NotFound);
        }
        if frame.len() > CHUNK || (self.down && self.is_down()) {
            return Tx::Refused;
        }
        let Some(Desc { at, .. }) = self.free() else {
            return Tx::Refused;
        };
        let len = frame.len() as u32;
        if !self.frames.write(at as usize, frame) || !self.rings.tx.push(Desc { at, len }) {
            // Neither can be: the frame is one of ours, and *tx* has room for all.
            self.spare.push(Desc { at, len: 0 });
            return Tx::Refused;
        }
        self.staged += 1;
        Tx::Sent
    }

    fn flush(&mut self) {
        if self.staged > 0 {
            self.show();
            self.reclaim();
        }
    }

    /// Who asks is about to sleep: what the device was too full for goes now, if it can, and whether the interface is gone is
    /// found out, as nothing wakes who sleeps on its socket.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        let socket = self.socket.as_fd();
        if self.rings.tx.waiting() > 0 && self.rings.tx.wants_a_call() {
            let _ = call(socket);
        }
        if get(socket, libc::SOL_SOCKET, libc::SO_ERROR, 0) != Ok(0) {
            self.lose();
        }
        let sleeps = self.sleeps.get().wrapping_add(1);
        self.sleeps.set(sleeps);
        if sleeps.is_multiple_of(ASK_SLEEPS) {
            self.count_missed();
        }
        Some(socket)
    }

    fn truncated(&self) -> u64 {
        self.truncated
    }

    fn missed(&self) -> u64 {
        self.missed.get()
    }
}
