//! The bounded rings between threads: hand-off, punt, host transmit, and the mailbox (design section 2, 4 to 6).
//!
//! Each ring has one producer and one consumer. A packet's buffer goes along, and an empty one comes back in
//! the twin ring, so that no pool runs dry and nothing is allocated. A full ring refuses; the sender counts.

use crate::flows::FlushJob;
use crate::io::devices::Replacement;
use crate::pkt::{Pkt, Pool};
use crossbeam_utils::CachePadded;
use route::PortId;
use rtrb::{Consumer, Producer, RingBuffer};
use std::net::IpAddr;
use std::sync::Arc;

/// The sending end of a packet ring and its twin.
pub struct PktTx {
    ring: Producer<Pkt>,
    empties: Consumer<Pkt>,
}

/// The receiving end of a packet ring and its twin.
pub struct PktRx {
    ring: Consumer<Pkt>,
    empties: Producer<Pkt>,
    /// Buffers taken and not yet repaid: ordinary, large.
    owed: [usize; 2],
}

/// A ring for `depth` packets with its twin for the empties.
pub fn packet_ring(depth: usize) -> (PktTx, PktRx) {
    let (ring_tx, ring_rx) = RingBuffer::new(depth);
    let (empty_tx, empty_rx) = RingBuffer::new(depth);
    (
        PktTx {
            ring: ring_tx,
            empties: empty_rx,
        },
        PktRx {
            ring: ring_rx,
            empties: empty_tx,
            owed: [0; 2],
        },
    )
}

impl PktTx {
    /// Sends a packet, or gives it back if the ring is full.
    pub fn send(&mut self, pkt: Pkt) -> Result<(), Pkt> {
        self.ring
            .push(pkt)
            .map_err(|rtrb::PushError::Full(pkt)| pkt)
    }

    /// Whether the next packet would find no room.
    pub fn is_full(&self) -> bool {
        self.ring.is_full()
    }

    /// An empty buffer that came back.
    pub fn reclaim(&mut self) -> Option<Pkt> {
        self.empties.pop().ok()
    }
}

impl PktRx {
    /// The next packet. Its buffer is owed until [`Self::repay`] or [`Self::give_back`].
    pub fn recv(&mut self) -> Option<Pkt> {
        let pkt = self.ring.pop().ok()?;
        self.owed[usize::from(pkt.is_large())] += 1;
        Some(pkt)
    }

    /// Packets in the ring now.
    pub fn waiting(&self) -> usize {
        self.ring.slots()
    }

    /// Gives a buffer back, emptied; `Err` if the sender has not taken back those before it.
    pub fn give_back(&mut self, mut pkt: Pkt) -> Result<(), Pkt> {
        let owed = &mut self.owed[usize::from(pkt.is_large())];
        pkt.reset();
        self.empties
            .push(pkt)
            .map_err(|rtrb::PushError::Full(pkt)| pkt)?;
        *owed = owed.saturating_sub(1);
        Ok(())
    }

    /// Repays buffers that were kept with empty ones of `pool`, large ones with large ones, as far as it has them.
    pub fn repay(&mut self, pool: &mut Pool) {
        while self.owed[0] > 0
            && let Some(pkt) = pool.take()
        {
            if let Err(pkt) = self.give_back(pkt) {
                return pool.put(pkt);
            }
        }
        while self.owed[1] > 0
            && let Some(pkt) = pool.take_large()
        {
            if let Err(pkt) = self.give_back(pkt) {
                return pool.put(pkt);
            }
        }
    }
}

/// A question of a worker to the host that is not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The port on which the neighbour would be.
    pub port: PortId,
    /// Its address.
    pub addr: IpAddr,
}

/// A command to a worker.
#[derive(Clone)]
pub enum WorkerCmd {
    /// Remove the flows that match.
    Flush(Arc<FlushJob>),
    /// A port has a new device.
    Replace(Arc<Replacement>),
}

/// A worker's ends of its rings. An end is written at every look at an empty ring, so none shares a line with another worker's.
pub struct WorkerLinks {
    /// To each other worker (`None` at its own place).
    pub to: Vec<Option<CachePadded<PktTx>>>,
    /// From each other worker.
    pub from: Vec<Option<CachePadded<PktRx>>>,
    /// Punt *confirm*: answers of neighbours, packets for open sockets.
    pub confirm: PktTx,
    /// Punt *ask*: everything else for the host.
    pub ask: PktTx,
    /// Neighbours to be resolved.
    pub asks: Producer<Ask>,
    /// Frames that the host wants sent.
    pub host_tx: PktRx,
    /// Commands.
    pub mailbox: Consumer<WorkerCmd>,
}

/// The host's ends of one worker's rings.
pub struct HostLinks {
    /// Punt *confirm*.
    pub confirm: PktRx,
    /// Punt *ask*.
    pub ask: PktRx,
    /// Neighbours to be resolved.
    pub asks: Consumer<Ask>,
    /// Frames to be sent.
    pub host_tx: PktTx,
}

/// How deep the rings are, in packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depths {
    /// Each hand-off ring.
    pub handoff: usize,
    /// Each punt queue.
    pub punt: usize,
    /// Each worker's host-transmit ring.
    pub host_tx: usize,
}

impl Depths {
    /// Buffers of other threads that a worker may have in place of its own.
    pub fn owed_to_others(&self, workers: usize) -> usize {
        self.handoff * workers.saturating_sub(1) + self.host_tx
    }
}

impl Default for Depths {
    fn default() -> Self {
        Self {
            handoff: 1024,
            punt: 512,
            host_tx: 512,
        }
    }
}

/// Commands that a mailbox holds.
const MAILBOX: usize = 64;

/// All rings between `workers` workers, the host and control.
pub fn connect(
    workers: usize,
    depths: Depths,
) -> (Vec<WorkerLinks>, Vec<HostLinks>, Vec<Producer<WorkerCmd>>) {
    let mut to: Vec<Vec<_>> = (0..workers).map(|_| none(workers)).collect();
    let mut from: Vec<Vec<_>> = (0..workers).map(|_| none(workers)).collect();
    for i in 0..workers {
        for j in (0..workers).filter(|&j| j != i) {
            let (tx, rx) = packet_ring(depths.handoff);
            to[i][j] = Some(CachePadded::new(tx));
            from[j][i] = Some(CachePadded::new(rx));
        }
    }
    let mut ends = (Vec::new(), Vec::new(), Vec::new());
    for (to, from) in to.into_iter().zip(from) {
        let (confirm, host_confirm) = packet_ring(depths.punt);
        let (ask, host_ask) = packet_ring(depths.punt);
        let (asks, host_asks) = RingBuffer::new(depths.punt);
        let (host_tx, worker_tx) = packet_ring(depths.host_tx);
        let (commands, mailbox) = RingBuffer::new(MAILBOX);
        ends.0.push(WorkerLinks {
            to,
            from,
            confirm,
            ask,
            asks,
            host_tx: worker_tx,
            mailbox,
        });
        ends.1.push(HostLinks {
            confirm: host_confirm,
            ask: host_ask,
            asks: host_asks,
            host_tx,
        });
        ends.2.push(commands);
    }
    ends
}

fn none<T>(n: usize) -> Vec<Option<T>> {
    (0..n).map(|_| None).collect()
}
