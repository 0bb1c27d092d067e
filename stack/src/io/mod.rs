//! Ports: the one place where the gateway touches the operating system.
//!
//! A port has one [`Queue`] for each worker; worker *i* owns queue *i* of every port and nobody
//! else touches it, so nothing here locks. The core takes frames and gives frames; it never sees
//! a descriptor except to sleep on it.
//!
//! | file | what it is |
//! |---|---|
//! | [`device`] | what a port's device is to be, and how it is opened |
//! | [`devices`] | what becomes of them, and how they come back |
//! | [`tun`] | TUN and TAP devices of the kernel, with several queues |
//! | [`packet`] | interfaces that are there, by packet sockets |
//! | [`xdp`] | the same, by XDP sockets: frames pass the kernel's network stack by |
//! | [`pcap`] | captures, read and written |
//! | `asm` | an assembler for the two programs that the kernel is given |
//! | [`steer`] | a program by which TUN and TAP deliver each packet to its flow's worker |
//! | [`mem`] | a port in memory: two ends joined by lock-free rings |
//! | [`wake`] | how a sleeping thread is woken without a system call while it is awake |
//! | [`poll`] | sleeping, the clock, CPUs |
//! | [`memfd`] | the flow tables' memory |
//! | [`netlink`] | addresses, links and routes of the kernel |
//! | [`netns`] | private network namespaces, for the demo and for tests |
//! | `sys` | every `unsafe` block of this module |
//!
//! What is received, sent, truncated and refused per packet allocates nothing and logs nothing.

mod asm;
pub mod device;
pub mod devices;
pub mod mem;
pub mod memfd;
pub mod netlink;
pub mod netns;
pub mod packet;
pub mod pcap;
pub mod poll;
pub mod run;
pub mod steer;
mod sys;
pub mod tun;
pub mod wake;
pub mod xdp;

use crate::offload::{Caps, Offload};
use crate::pkt::{Pkt, Pool};
use std::io;
use std::os::fd::BorrowedFd;

/// What became of a frame handed to [`Queue::tx`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Tx {
    /// The device took it.
    Sent,
    /// The device is full, is down, or does not accept this frame. The next one may pass.
    Refused,
    /// The device is no more; nothing will ever pass again.
    Gone(io::ErrorKind),
}

/// One queue of one port, owned by one worker thread.
pub trait Queue: Send {
    /// Receives up to `max` packets: takes empty packets from `pool`, fills them, appends them to
    /// `out`, and says how many. Stops early when the device has none left or the pool is empty.
    ///
    /// A frame longer than a packet's buffer is dropped here and counted in [`Self::truncated`];
    /// it counts towards `max`, so that such frames cannot hold the worker. A packet that must be dropped for another
    /// reason is received with that as its fault; what its device left undone is its offload.
    ///
    /// # Errors
    /// The device is gone. An error that comes after some packets were received is kept for the
    /// next call, when it comes again.
    fn rx_burst(&mut self, pool: &mut Pool, out: &mut Vec<Pkt>, max: usize) -> io::Result<usize>;

    /// Sends one finished frame.
    fn tx(&mut self, frame: &[u8]) -> Tx;

    /// What [`Self::tx_offload`] takes; the same for the queue's whole life.
    fn offloads(&self) -> Caps {
        Caps::NONE
    }

    /// Sends one frame that is not finished, of a kind that [`Self::offloads`] takes; its checksum's place counts from the
    /// frame's first byte.
    fn tx_offload(&mut self, frame: &[u8], offload: &Offload) -> Tx {
        let _ = (frame, offload);
        Tx::Refused
    }

    /// Sends a packet, finished or of a kind that [`Self::offloads`] takes. It may write into the packet's headroom.
    fn tx_pkt(&mut self, pkt: &mut Pkt) -> Tx {
        match pkt.offload {
            Offload::NONE => self.tx(pkt.bytes()),
            offload => self.tx_offload(pkt.bytes(), &offload),
        }
    }

    /// Hands over what [`Self::tx`] took, where a device takes a burst of frames in one call; called when a burst is through.
    /// What a device took and cannot send after all is its loss, as a card's is.
    fn flush(&mut self) {}

    /// What to sleep on: readable when [`Self::rx_burst`] would find something. `None` for a port
    /// that cannot wake anybody (simulation). Ask for it anew before each sleep: a port in memory
    /// tells its other side at this moment that the owner is going to sleep.
    fn fd(&self) -> Option<BorrowedFd<'_>>;

    /// Frames dropped because they were longer than a packet's buffer.
    fn truncated(&self) -> u64;

    /// Frames that the device dropped because we did not take them fast enough, as far as it has told.
    fn missed(&self) -> u64 {
        0
    }
}
