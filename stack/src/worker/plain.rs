//! The short way of plain packets (see `crate::plain`) at their owner, from the flow to the frame.
//!
//! It only leaves out what cannot be: whatever is unusual about the flow, the next hop or the port, and every packet while
//! all are recorded, goes the long way through `forward` and `output`.

use super::Worker;
use crate::path::{Ready, Settled};
use crate::pkt::Pkt;

impl Worker {
    /// A plain packet: if it is in the middle of its connection and its pin holds, that is where it goes.
    #[inline(always)]
    pub(super) fn forward_plain(&mut self, pkt: Pkt, ready: Ready) {
        let seen = pkt.seen();
        let (path, now, counters) = (&mut self.path, self.now, &self.counters);
        let known = |pin| self.adjacencies.find(pin);
        match path.settled(ready, (&seen, self.tick), (now, counters), known) {
            Some(Settled::Known(by)) => self.output_by(pkt, by),
            Some(Settled::Told(told)) => self.output_first(pkt, told),
            None => self.forward_unsettled(pkt, ready),
        }
    }

    #[inline(never)]
    fn forward_unsettled(&mut self, pkt: Pkt, ready: Ready) {
        let (path, now, counters) = (&mut self.path, self.now, &self.counters);
        let known = |pin| self.adjacencies.find(pin);
        match path.held_back(ready, self.tick, counters, known) {
            Some(Settled::Known(by)) => return self.output_by(pkt, by),
            Some(Settled::Told(told)) => return self.output_first(pkt, told),
            None => {}
        }
        let (seen, role) = (pkt.seen(), pkt.meta.role);
        match path.unsettled(ready, role, &seen, now, counters) {
            Some(told) => self.output_told(pkt, told),
            None => {
                let outcome = path.resolve(pkt.slot, &pkt.meta, &seen, now, counters);
                self.act(pkt, outcome);
            }
        }
    }
}
