//! `tx_burst`: packets to devices, and what is left to be done of one that its device does not do.

use super::Worker;
use crate::capture::{Fate, Frame};
use crate::io::{Queue, Tx};
use crate::offload::Cut;
use crate::pkt::Pkt;
use route::PortId;

impl Worker {
    /// Gives everything that is ready to its device.
    pub(super) fn flush_tx(&mut self, queues: &mut [Box<dyn Queue>]) {
        let mut txq = std::mem::take(&mut self.txq);
        for (port, mut pkt) in txq.drain(..) {
            let sent = match queues.get_mut(usize::from(port.0)) {
                None => false,
                Some(queue) if pkt.offload.is_none() => queue.tx(pkt.bytes()) == Tx::Sent,
                Some(queue) => match self.tx_unfinished(port, &mut pkt, &mut **queue) {
                    Some(sent) => sent,
                    None => {
                        self.pool.put(pkt);
                        continue;
                    }
                },
            };
            self.count_tx(port, pkt.len() as u64, sent);
            self.record_tx(port, pkt.bytes(), sent);
            self.pool.put(pkt);
        }
        self.txq = txq;
    }

    /// Sends a packet that is not finished: as it is if the device takes that, else finished. `None`: it was cut, and each
    /// segment has been counted.
    #[cold]
    fn tx_unfinished(
        &mut self,
        port: PortId,
        pkt: &mut Pkt,
        queue: &mut dyn Queue,
    ) -> Option<bool> {
        let offload = pkt.offload;
        if queue.offloads().takes(&offload) {
            let sent = queue.tx_offload(pkt.bytes(), &offload) == Tx::Sent;
            if sent && offload.gso.is_some() {
                self.counters.super_sent.bump();
            }
            return Some(sent);
        }
        let link = pkt.len().saturating_sub(usize::from(pkt.meta.len));
        match Cut::of(pkt.bytes(), link, &offload) {
            Some(cut) => {
                self.tx_segments(port, pkt, cut, queue);
                None
            }
            None => {
                self.finish(pkt);
                Some(queue.tx(pkt.bytes()) == Tx::Sent)
            }
        }
    }

    /// Sends a super-packet in segments, one after the other from one place: a whole burst of them needs no buffers.
    fn tx_segments(&mut self, port: PortId, pkt: &Pkt, cut: Cut, queue: &mut dyn Queue) {
        self.counters.super_cut.bump();
        self.counters.extra_pieces.add(cut.count() as u64 - 1);
        let mut place = std::mem::take(&mut self.segment);
        for at in 0..cut.count() {
            let written = cut.write(pkt.bytes(), at, &mut place);
            let segment = written.and_then(|len| place.get(..len));
            let sent = segment.is_some_and(|segment| queue.tx(segment) == Tx::Sent);
            self.count_tx(
                port,
                segment.map_or(0, |segment| segment.len() as u64),
                sent,
            );
            self.record_tx(port, segment.unwrap_or_default(), sent);
        }
        self.segment = place;
    }

    #[inline]
    fn record_tx(&mut self, port: PortId, frame: &[u8], sent: bool) {
        if self.recorder.is_on() {
            let fate = if sent { Fate::Sent } else { Fate::Refused };
            self.recorder.seen(port, fate, Frame::of(frame));
        }
    }

    fn count_tx(&self, port: PortId, bytes: u64, sent: bool) {
        let of_port = self.counters.port(port);
        if sent {
            self.counters.tx.bump();
            self.counters.tx_bytes.add(bytes);
        } else {
            self.counters.refused.bump();
        }
        match of_port {
            Some(port) if sent => {
                port.tx.bump();
                port.tx_bytes.add(bytes);
            }
            Some(port) => port.refused.bump(),
            None => {}
        }
    }
}
