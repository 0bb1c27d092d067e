//! The least that can be done: read a packet from one device with whatever is in front of it, write both to the other.

use super::Forwarder;
use super::place::said;
use nix::unistd::{read, write};
use stack::io::Queue;
use stack::io::poll::Poller;
use stack::io::tun::{Device, TunQueue};
use stack::offload::VNET_HDR;
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
