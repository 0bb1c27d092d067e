//! `tx_burst`: packets to devices, and what is left to be done of one that its device does not do.

use super::Worker;
use crate::capture::{Copied, Fate, Frame};
use crate::io::{Queue, Tx};
use crate::offload::Cut;
use crate::pkt::Pkt;
use crate::vlan::TAG;
use route::PortId;

/// Where a frame leaves.
#[derive(Clone, Copy)]
struct Exit {
    port: PortId,
    /// The port by whose queue it goes: another if the port is a VLAN.
    by: PortId,
}

/// Frames for one port, one after the other: how many were sent, of how many bytes, and how many refused.
#[derive(Clone, Copy, Default)]
struct Run {
    port: PortId,
    frames: u64,
    bytes: u64,
    refused: u64,
}

impl Run {
    fn by(port: PortId) -> Self {
        Self {
            port,
            ..Self::default()
        }
    }

    #[inline(always)]
    fn count(&mut self, bytes: u64, sent: bool) {
        if sent {
            self.frames += 1;
            self.bytes += bytes;
        } else {
            self.refused += 1;
        }
    }
}

impl Worker {
    /// Gives everything that is ready to its device.
    pub(super) fn flush_tx(&mut self, queues: &mut [Box<dyn Queue>]) {
        if self.txq.is_empty() {
            return;
        }
        let mut txq = std::mem::take(&mut self.txq);
        let mut run = Run::default();
        for (port, mut pkt) in txq.drain(..) {
            match queues.get_mut(usize::from(port.0)) {
                Some(queue) if pkt.offload.is_none() && !self.recorder.is_on() => {
                    if port != run.port {
                        self.count_run(std::mem::replace(&mut run, Run::by(port)));
                    }
                    let (bytes, sent) = (pkt.len() as u64, queue.tx_pkt(&mut pkt) == Tx::Sent);
                    run.count(bytes, sent);
                    self.pool.put(pkt);
                }
                _ => self.transmit(port, pkt, queues),
            }
        }
        self.count_run(run);
        self.txq = txq;
        for queue in queues {
            queue.flush();
        }
    }

    /// A frame with more to it: its port is a VLAN, something is left to be done of it, or all frames are recorded.
    #[inline(never)]
    fn transmit(&mut self, port: PortId, mut pkt: Pkt, queues: &mut [Box<dyn Queue>]) {
        let mut exit = Exit { port, by: port };
        if usize::from(port.0) >= queues.len() {
            exit.by = self.vlan_output(port, &mut pkt);
        }
        let sent = match queues.get_mut(usize::from(exit.by.0)) {
            None => Some(false),
            Some(queue) if pkt.offload.is_none() => Some(queue.tx_pkt(&mut pkt) == Tx::Sent),
            Some(queue) => self.tx_unfinished(exit, &mut pkt, &mut **queue),
        };
        if let Some(sent) = sent {
            let mut run = Run::by(port);
            run.count(pkt.len() as u64, sent);
            self.count_tx(exit, run);
            self.record_tx(exit, pkt.bytes(), sent);
        }
        self.pool.put(pkt);
    }

    /// A port without queues: its frame gets its tag, and goes by its parent. Returns the port itself if it cannot.
    #[inline(never)]
    fn vlan_output(&self, port: PortId, pkt: &mut Pkt) -> PortId {
        match self.vlans.of_port(port) {
            Some(vlan) if pkt.tag(vlan.vid) => vlan.parent,
            _ => port,
        }
    }

    /// Sends a packet that is not finished: as it is if the device takes that, else finished. `None`: it was cut, and each
    /// segment has been counted.
    fn tx_unfinished(&mut self, exit: Exit, pkt: &mut Pkt, queue: &mut dyn Queue) -> Option<bool> {
        let offload = pkt.offload;
        if queue.offloads().takes(&offload) {
            let sent = queue.tx_pkt(pkt) == Tx::Sent;
            if sent && offload.gso.is_some() {
                self.counters.super_sent.bump();
            }
            return Some(sent);
        }
        let link = pkt.len().saturating_sub(usize::from(pkt.meta.len));
        match Cut::of(pkt.bytes(), link, &offload) {
            Some(cut) => {
                self.tx_segments(exit, pkt, cut, queue);
                None
            }
            None => {
                self.finish(pkt);
                Some(queue.tx(pkt.bytes()) == Tx::Sent)
            }
        }
    }

    /// Sends a super-packet in segments, one after the other from one place: a whole burst of them needs no buffers.
    fn tx_segments(&mut self, exit: Exit, pkt: &Pkt, cut: Cut, queue: &mut dyn Queue) {
        self.counters.super_cut.bump();
        self.counters.extra_pieces.add(cut.count() as u64 - 1);
        let mut place = std::mem::take(&mut self.segment);
        for at in 0..cut.count() {
            let written = cut.write(pkt.bytes(), at, &mut place);
            let segment = written.and_then(|len| place.get(..len));
            let sent = segment.is_some_and(|segment| queue.tx(segment) == Tx::Sent);
            let segment = segment.unwrap_or_default();
            let mut run = Run::by(exit.port);
            run.count(segment.len() as u64, sent);
            self.count_tx(exit, run);
            self.record_tx(exit, segment, sent);
        }
        self.segment = place;
    }

    /// A frame of a VLAN is recorded as that port's, without its tag, as it is when it comes in.
    #[inline]
    fn record_tx(&mut self, exit: Exit, frame: &[u8], sent: bool) {
        if self.recorder.is_on() {
            let fate = if sent { Fate::Sent } else { Fate::Refused };
            if exit.port == exit.by {
                self.recorder.seen(exit.port, fate, Frame::of(frame));
            } else {
                let untagged = Copied::untagged(frame);
                self.recorder.seen(exit.port, fate, untagged.frame());
            }
        }
    }

    fn count_run(&self, run: Run) {
        let (port, by) = (run.port, run.port);
        self.count_tx(Exit { port, by }, run);
    }

    fn count_tx(&self, exit: Exit, run: Run) {
        self.counters.tx.add(run.frames);
        self.counters.tx_bytes.add(run.bytes);
        self.counters.refused.add(run.refused);
        self.count_tx_of(exit.by, run);
        if exit.port != exit.by {
            let bytes = run.bytes.saturating_sub(run.frames * TAG as u64);
            self.count_tx_of(exit.port, Run { bytes, ..run });
        }
    }

    fn count_tx_of(&self, port: PortId, run: Run) {
        if let Some(port) = self.counters.port(port) {
            port.tx.add(run.frames);
            port.tx_bytes.add(run.bytes);
            port.refused.add(run.refused);
        }
    }
}
