//! The least that can be done: read a packet from one device with whatever is in front of it, write both to the other. Frames
//! get the addresses of their next link, and those that the other device does not take unfinished are finished.

use super::Forwarder;
use super::cable::Side;
use super::place::{End, Ends, said};
use nix::unistd::{read, write};
use stack::io::Queue;
use stack::io::poll::Poller;
use stack::io::tun::{Device, TunQueue};
use stack::offload::VNET_HDR;
use stack::pkt::{LARGE, Pkt, Pool};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

/// Packets from one device before the other's turn, as Flowgate's workers take them.
const BURST: usize = 32;

/// Threads that forward, each with a queue of both devices.
pub(super) struct Bare {
    stop: Arc<AtomicBool>,
    forwarded: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Bare {
    pub(super) fn start([one, other]: [Device; 2], offload: bool) -> Result<Self, String> {
        let mut bare = Self {
            stop: Arc::default(),
            forwarded: Arc::default(),
            threads: Vec::new(),
        };
        let size = if offload { 65_536 + VNET_HDR } else { 2048 };
        for (number, pair) in one.queues.into_iter().zip(other.queues).enumerate() {
            let (stop, forwarded) = (Arc::clone(&bare.stop), Arc::clone(&bare.forwarded));
            let thread = std::thread::Builder::new().name(format!("fg-bare{number}"));
            let thread = thread.spawn(move || forward(pair, size, &stop, &forwarded));
            bare.threads.push(thread.map_err(said)?);
        }
        Ok(bare)
    }
}

/// Addresses that a frame gets, and those that it had are lost.
type Header = [u8; 12];

impl Bare {
    /// The same for devices that carry frames. Nobody answers for the forwarder's addresses: both hosts are told them.
    pub(super) fn start_frames([one, other]: [Side; 2], ends: &Ends) -> Result<Self, String> {
        let mut bare = Self {
            stop: Arc::default(),
            forwarded: Arc::default(),
            threads: Vec::new(),
        };
        let there = header(&other, &ends.server)?;
        let back = header(&one, &ends.client)?;
        for (number, pair) in one.queues.into_iter().zip(other.queues).enumerate() {
            let (stop, forwarded) = (Arc::clone(&bare.stop), Arc::clone(&bare.forwarded));
            let thread = std::thread::Builder::new().name(format!("fg-bare{number}"));
            let thread =
                thread.spawn(move || forward_frames(pair, (there, back), &stop, &forwarded));
            bare.threads.push(thread.map_err(said)?);
        }
        Ok(bare)
    }
}

/// Tells the host behind `side` its router's address, and returns what frames to it begin with.
fn header(side: &Side, end: &End) -> Result<Header, String> {
    let (own, host) = (side.mac.unwrap_or_default(), end.mac()?);
    end.know(own)?;
    let mut header = [0; 12];
    header[..6].copy_from_slice(&host.0);
    header[6..].copy_from_slice(&own.0);
    Ok(header)
}

type FrameQueue = Box<dyn Queue>;

fn forward_frames(
    (mut one, mut other): (FrameQueue, FrameQueue),
    (there, back): (Header, Header),
    stop: &AtomicBool,
    forwarded: &AtomicU64,
) {
    let mut pool = Pool::new(256, 2048).with_large(64, LARGE);
    let (mut out, mut poller) = (Vec::with_capacity(BURST), Poller::new());
    while !stop.load(Relaxed) {
        let moved = burst_frames(&mut *one, &mut *other, &there, &mut pool, &mut out)
            + burst_frames(&mut *other, &mut *one, &back, &mut pool, &mut out);
        if moved > 0 {
            forwarded.fetch_add(moved, Relaxed);
        } else {
            let fds = [&one, &other].into_iter().filter_map(|queue| queue.fd());
            let _ = poller.wait_each(fds, Some(50));
        }
    }
}

fn burst_frames(
    from: &mut dyn Queue,
    to: &mut dyn Queue,
    header: &Header,
    pool: &mut Pool,
    out: &mut Vec<Pkt>,
) -> u64 {
    let moved = from.rx_burst(pool, out, BURST).unwrap_or(0);
    for mut pkt in out.drain(..) {
        if let Some(addresses) = pkt.bytes_mut().first_chunk_mut() {
            *addresses = *header;
        }
        // A device that is full loses packets, as Flowgate's does.
        let _ = match pkt.offload {
            left if left.is_none() => to.tx(pkt.bytes()),
            left if to.offloads().takes(&left) => to.tx_offload(pkt.bytes(), &left),
            _ => {
                pkt.finish();
                to.tx(pkt.bytes())
            }
        };
        pool.put(pkt);
    }
    to.flush();
    moved as u64
}

fn forward(
    (one, other): (TunQueue, TunQueue),
    size: usize,
    stop: &AtomicBool,
    forwarded: &AtomicU64,
) {
    let (mut buf, mut poller) = (vec![0; size], Poller::new());
    while !stop.load(Relaxed) {
        let moved = burst(&one, &other, &mut buf) + burst(&other, &one, &mut buf);
        if moved > 0 {
            forwarded.fetch_add(moved, Relaxed);
        } else {
            let fds = [&one, &other].into_iter().filter_map(Queue::fd);
            let _ = poller.wait_each(fds, Some(50));
        }
    }
}

fn burst(from: &TunQueue, to: &TunQueue, buf: &mut [u8]) -> u64 {
    let (Some(from), Some(to)) = (from.fd(), to.fd()) else {
        return 0;
    };
    for n in 0..BURST {
        let Ok(len @ 1..) = read(from, buf) else {
            return n as u64;
        };
        // A device that is full loses packets, as Flowgate's does.
        let _ = write(to, &buf[..len]);
    }
    BURST as u64
}

impl Forwarder for Bare {
    fn forwarded(&self) -> u64 {
        self.forwarded.load(Relaxed)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
