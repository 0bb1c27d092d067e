//! Ports without devices: one that has frames without end, one that looks where each frame goes.
//!
//! The number of a frame's flow is in the low bits of its source address, its next hop in the link address that
//! it is sent to.

use super::rig::{hop_of, is_v4};
use crate::clock;
use stack::io::{Queue, Tx};
use stack::pkt::{Pkt, Pool};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::Instant;

/// Bytes of a frame: a header of either family with ports, and no more.
pub(super) const FRAME: usize = 64;
/// Of how many frames the exit of one is checked.
const CHECKED: u64 = 16;
/// The exit of a flow whose route comes and goes.
pub(super) const ANY: u16 = u16::MAX;
/// The numbers of flows that changes are watched by: no burst that is under way is taken for a later change's.
const PROBES: u16 = 0xfe00;

/// The number of the flow that a change is watched by: two changes each have the same.
pub(super) const fn probe_flow(change: usize) -> u16 {
    PROBES | (change.wrapping_sub(1) / 2) as u8 as u16
}

/// Words between the worker's ports and control. Changes are numbered from 1.
pub(super) struct Shared {
    pub(super) base: Instant,
    /// The change that is watched for; 0: none.
    pub(super) asked: AtomicUsize,
    /// The exit before that change is known.
    pub(super) armed: AtomicUsize,
    /// The change was obeyed, at that time.
    pub(super) obeyed: AtomicUsize,
    pub(super) at_ns: AtomicU64,
    /// Exits that were looked at, and wrong ones.
    pub(super) checked: AtomicU64,
    pub(super) wrong: AtomicU64,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            base: clock::now(),
            asked: AtomicUsize::new(0),
            armed: AtomicUsize::new(0),
            obeyed: AtomicUsize::new(0),
            at_ns: AtomicU64::new(0),
            checked: AtomicU64::new(0),
            wrong: AtomicU64::new(0),
        }
    }
}

/// The clients' port.
pub(super) struct Source {
    pub(super) frames: Vec<[u8; FRAME]>,
    pub(super) at: usize,
    /// Frames of the flows that changes are watched by, in turn for two changes each.
    pub(super) probes: Vec<[u8; FRAME]>,
    pub(super) shared: Arc<Shared>,
}

impl Source {
    /// The frame that leads a burst while a change is watched for.
    fn probe(&self) -> Option<&[u8; FRAME]> {
        let asked = self.shared.asked.load(Acquire).checked_sub(1)?;
        self.probes.get((asked / 2).checked_rem(self.probes.len())?)
    }
}

impl Queue for Source {
    fn rx_burst(&mut self, pool: &mut Pool, out: &mut Vec<Pkt>, max: usize) -> io::Result<usize> {
        for done in 0..max {
            let Some(mut pkt) = pool.take() else {
                return Ok(done);
            };
            let probe = self.probe().filter(|_| done == 0);
            pkt.copy_from(probe.unwrap_or(&self.frames[self.at]));
            self.at = (self.at + 1) % self.frames.len();
            out.push(pkt);
        }
        Ok(max)
    }

    fn tx(&mut self, _frame: &[u8]) -> Tx {
        Tx::Sent
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn truncated(&self) -> u64 {
        0
    }
}

/// The routers' port.
pub(super) struct Sink {
    /// By flow: where it has to leave, or [`ANY`].
    pub(super) exits4: Vec<u16>,
    pub(super) exits6: Vec<u16>,
    pub(super) shared: Arc<Shared>,
    pub(super) sent: u64,
    pub(super) watched: (usize, u16),
}

impl Sink {
    /// Looks at a frame of the flow that a change is watched by.
    fn watch(&mut self, flow: u16, hop: u16) {
        let asked = self.shared.asked.load(Relaxed);
        if probe_flow(asked) != flow {
            return;
        }
        if self.watched.0 != asked {
            self.watched = (asked, hop);
            self.shared.armed.store(asked, Release);
        } else if self.watched.1 != hop && self.shared.obeyed.load(Relaxed) != asked {
            let at = clock::now().saturating_duration_since(self.shared.base);
            self.shared.at_ns.store(at.as_nanos() as u64, Relaxed);
            self.shared.obeyed.store(asked, Release);
        }
    }

    fn check(&self, frame: &[u8], flow: u16) {
        let exits = if is_v4(frame) {
            &self.exits4
        } else {
            &self.exits6
        };
        let exit = exits.get(usize::from(flow)).copied().unwrap_or(ANY);
        if exit != ANY {
            let bump = |word: &AtomicU64, n| word.store(word.load(Relaxed) + n, Relaxed);
            bump(&self.shared.checked, 1);
            bump(&self.shared.wrong, u64::from(exit != hop_of(frame)));
        }
    }
}

impl Queue for Sink {
    fn rx_burst(&mut self, _: &mut Pool, _: &mut Vec<Pkt>, _: usize) -> io::Result<usize> {
        Ok(0)
    }

    fn tx(&mut self, frame: &[u8]) -> Tx {
        self.sent += 1;
        let last = if is_v4(frame) { 28 } else { 36 };
        let flow = u16::from_be_bytes([frame[last], frame[last + 1]]);
        if flow >= PROBES {
            self.watch(flow, hop_of(frame));
        } else if self.sent.is_multiple_of(CHECKED) {
            self.check(frame, flow);
        }
        Tx::Sent
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn truncated(&self) -> u64 {
        0
    }
}
