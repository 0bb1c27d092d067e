//! A port in memory: what one side sends, the other receives. For the demo's rack, for tests, and
//! for benches.
//!
//! Each direction of each queue is two single-producer rings: one carries full buffers over, its
//! twin brings the empty ones back. All buffers are made at the start and only move, so a frame
//! costs two copies and no allocation, no lock, and a full ring is seen as an empty twin. One
//! thread owns a [`MemQueue`], one a [`MemPeer`].
//!
//! A side that sleeps is rung by the first frame sent to it ([`super::wake`]); with
//! [`pair_without_fds`] nobody sleeps and nobody rings, so that virtual time may rule.

use super::wake::Waker;
use super::{Queue, Tx};
use crate::offload::{Caps, Offload};
use crate::pkt::{Pkt, Pool};
use rtrb::{Consumer, Producer, RingBuffer};
use std::cell::Cell;
use std::io;
use std::os::fd::BorrowedFd;

/// Room in each buffer beyond the MTU: an Ethernet header and one VLAN tag.
pub const LINK_ROOM: usize = 18;

/// A buffer on its way: the first `len` bytes count.
#[derive(Debug)]
struct Frame {
    buf: Box<[u8]>,
    len: usize,
    offload: Offload,
}

/// The sending half of one direction.
#[derive(Debug)]
struct Sender {
    full: Producer<Frame>,
    empty: Consumer<Frame>,
    longest: usize,
    bell: Waker,
}

/// The receiving half of one direction.
#[derive(Debug)]
struct Receiver {
    full: Consumer<Frame>,
    empty: Producer<Frame>,
    bell: Waker,
}

/// One direction: `depth` buffers of `longest` bytes, all of them empty on the sender's side.
fn direction(depth: usize, longest: usize, bell: Waker) -> (Sender, Receiver) {
    let (full_in, full_out) = RingBuffer::new(depth);
    let (mut empty_in, empty_out) = RingBuffer::new(depth);
    for _ in 0..depth {
        let frame = Frame {
            buf: vec![0; longest].into_boxed_slice(),
            len: 0,
            offload: Offload::NONE,
        };
        // The ring has room for exactly these.
        let _ = empty_in.push(frame);
    }
    let sender = Sender {
        full: full_in,
        empty: empty_out,
        longest,
        bell: bell.clone(),
    };
    (
        sender,
        Receiver {
            full: full_out,
            empty: empty_in,
            bell,
        },
    )
}

impl Sender {
    fn send(&mut self, bytes: &[u8], offload: Offload) -> Tx {
        if self.full.is_abandoned() {
            return Tx::Gone(io::ErrorKind::BrokenPipe);
        }
        if bytes.len() > self.longest {
            return Tx::Refused;
        }
        let Ok(mut frame) = self.empty.pop() else {
            return Tx::Refused;
        };
        if let Some(room) = frame.buf.get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
        }
        (frame.len, frame.offload) = (bytes.len(), offload);
        // There are as many places as buffers, so a buffer in hand has a place.
        let _ = self.full.push(frame);
        self.bell.wake();
        Tx::Sent
    }
}

impl Receiver {
    /// Takes the oldest frame, lets `take` read it, and sends its buffer home.
    fn receive<R>(&mut self, take: impl FnOnce(&[u8], Offload) -> R) -> Option<R> {
        let frame = self.full.pop().ok()?;
        let bytes = frame.buf.get(..frame.len).unwrap_or_default();
        let taken = take(bytes, frame.offload);
        // As many places as buffers; refused only when the sender is gone, and then no loss.
        let _ = self.empty.push(frame);
        Some(taken)
    }

    fn is_empty(&self) -> bool {
        self.full.is_empty()
    }

    /// Whether the oldest frame is longer than so many bytes.
    fn is_longer(&self, than: usize) -> bool {
        self.full.peek().is_ok_and(|frame| frame.len > than)
    }
}

/// The gateway's side of one queue.
#[derive(Debug)]
pub struct MemQueue {
    tx: Sender,
    rx: Receiver,
    /// Whether [`Queue::fd`] told the other side that we sleep, and nothing was received since.
    announced: Cell<bool>,
    truncated: u64,
    caps: Caps,
}

impl MemQueue {
    /// The same queue, whose other side takes unfinished packets of these kinds.
    #[must_use]
    pub fn with_offloads(self, caps: Caps) -> Self {
        Self { caps, ..self }
    }

    /// An empty packet that the oldest frame fits into, if there is one.
    fn room(&self, pool: &mut Pool) -> Option<Pkt> {
        let large = self.rx.is_longer(pool.packet_size());
        large
            .then(|| pool.take_large())
            .flatten()
            .or_else(|| pool.take_for_rx())
    }
}

impl Queue for MemQueue {
    fn rx_burst(&mut self, pool: &mut Pool, out: &mut Vec<Pkt>, max: usize) -> io::Result<usize> {
        if self.announced.replace(false) {
            self.rx.bell.awake();
        }
        let before = out.len();
        for _ in 0..max {
            if self.rx.is_empty() {
                break;
            }
            let Some(mut pkt) = self.room(pool) else {
                break;
            };
            let take = |bytes: &[u8], offload| {
                pkt.offload = offload;
                pkt.copy_from(bytes)
            };
            match self.rx.receive(take) {
                Some(true) => out.push(pkt),
                Some(false) => {
                    self.truncated += 1;
                    pool.put(pkt);
                }
                None => pool.put(pkt),
            }
        }
        Ok(out.len() - before)
    }

    fn tx(&mut self, frame: &[u8]) -> Tx {
        self.tx.send(frame, Offload::NONE)
    }

    fn offloads(&self) -> Caps {
        self.caps
    }

    fn tx_offload(&mut self, frame: &[u8], offload: &Offload) -> Tx {
        self.tx.send(frame, *offload)
    }

    /// Asking for it announces the sleep; if there is something to receive already (a burst ended at
    /// its maximum, or at an empty pool), it is readable at once.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        let fd = self.rx.bell.fd()?;
        self.rx.bell.prepare_sleep();
        self.announced.set(true);
        if !self.rx.is_empty() {
            self.rx.bell.wake();
        }
        Some(fd)
    }

    fn truncated(&self) -> u64 {
        self.truncated
    }
}

/// The other side of one queue: a host, a rack of hosts, a test.
#[derive(Debug)]
pub struct MemPeer {
    tx: Sender,
    rx: Receiver,
    truncated: u64,
}

impl MemPeer {
    /// Receives one frame into `buf` and says how long it is; `None` when there is none. A frame
    /// longer than `buf` is dropped and counted in [`Self::truncated`].
    pub fn rx(&mut self, buf: &mut [u8]) -> Option<usize> {
        self.rx_offload(buf).map(|(len, _)| len)
    }

    /// As [`Self::rx`]; also says what the gateway left undone.
    pub fn rx_offload(&mut self, buf: &mut [u8]) -> Option<(usize, Offload)> {
        loop {
            let copied = self.rx.receive(|bytes, offload| {
                buf.get_mut(..bytes.len())?.copy_from_slice(bytes);
                Some((bytes.len(), offload))
            })?;
            match copied {
                Some(copied) => return Some(copied),
                None => self.truncated += 1,
            }
        }
    }

    /// Sends one frame; `false` if the gateway does not take its frames fast enough, the frame is
    /// too long, or the gateway's side is gone.
    #[must_use]
    pub fn tx(&mut self, frame: &[u8]) -> bool {
        self.tx_offload(frame, Offload::NONE)
    }

    /// As [`Self::tx`], of a frame that is not finished.
    #[must_use]
    pub fn tx_offload(&mut self, frame: &[u8], offload: Offload) -> bool {
        self.tx.send(frame, offload) == Tx::Sent
    }

    /// Whether there is nothing to receive.
    pub fn is_empty(&self) -> bool {
        self.rx.is_empty()
    }

    /// Readable once the gateway sent something after [`Self::prepare_sleep`]. `None` without fds.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.rx.bell.fd()
    }

    /// As [`Waker::prepare_sleep`]: then look with [`Self::rx`] or [`Self::is_empty`] once more,
    /// then poll [`Self::fd`], then [`Self::awake`].
    pub fn prepare_sleep(&self) {
        self.rx.bell.prepare_sleep();
    }

    /// As [`Waker::awake`].
    pub fn awake(&self) {
        self.rx.bell.awake();
    }

    /// Frames dropped because they were longer than the buffer given to [`Self::rx`].
    pub fn truncated(&self) -> u64 {
        self.truncated
    }
}

/// A port with `queues` queues and its other side. Each direction of a queue holds up to `depth`
/// frames of up to `mtu` bytes and a link header ([`LINK_ROOM`]).
///
/// # Panics
/// If the process has no descriptor left for the eventfds (two a queue); [`try_pair`] returns that.
pub fn pair(queues: usize, depth: usize, mtu: usize) -> (Vec<MemQueue>, Vec<MemPeer>) {
    match try_pair(queues, depth, mtu) {
        Ok(ends) => ends,
        Err(error) => panic!("no descriptor left for a port in memory: {error}"),
    }
}

/// As [`pair`].
///
/// # Errors
/// No descriptor left for the eventfds.
pub fn try_pair(
    queues: usize,
    depth: usize,
    mtu: usize,
) -> io::Result<(Vec<MemQueue>, Vec<MemPeer>)> {
    let mut ends = (Vec::with_capacity(queues), Vec::with_capacity(queues));
    for _ in 0..queues {
        let (queue, peer) = join(depth, mtu, Waker::new()?, Waker::new()?);
        ends.0.push(queue);
        ends.1.push(peer);
    }
    Ok(ends)
}

/// As [`pair`], without eventfds: nobody can sleep on it and sending makes no system call. For
/// virtual time, and for benches.
pub fn pair_without_fds(queues: usize, depth: usize, mtu: usize) -> (Vec<MemQueue>, Vec<MemPeer>) {
    (0..queues)
        .map(|_| join(depth, mtu, Waker::null(), Waker::null()))
        .unzip()
}

fn join(depth: usize, mtu: usize, ours: Waker, theirs: Waker) -> (MemQueue, MemPeer) {
    let longest = mtu + LINK_ROOM;
    let (to_peer, peer_rx) = direction(depth, longest, theirs);
    let (to_queue, queue_rx) = direction(depth, longest, ours);
    let queue = MemQueue {
        tx: to_peer,
        rx: queue_rx,
        announced: Cell::new(false),
        truncated: 0,
        caps: Caps::NONE,
    };
    (
        queue,
        MemPeer {
            tx: to_queue,
            rx: peer_rx,
            truncated: 0,
        },
    )
}

#[cfg(test)]
mod tests;
