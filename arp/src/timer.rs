//! Time passes: questions are repeated, neighbours fail, answers grow old.
//!
//! Only entries that somebody reserved, asked for or told us of have timers. The next question
//! counts from when the last one was really sent, so a host that was held up never takes its
//! own delay for a neighbour's silence, provided it hands in waiting frames before it polls.

use crate::entry::Due;
use crate::wire::{self, Body};
use crate::{Frame, Mac, NeighIdx, Table};

/// Entries handled in one call at most.
const POLL_LIMIT: usize = 256;

impl Table {
    /// Handles what is due at `now`, at most 256 entries; with more due,
    /// [`next_deadline`](Self::next_deadline) stays in the past. Hand in received frames first.
    pub fn poll(&mut self, now: u64, out: &mut Vec<Frame>) {
        self.tick(now);
        self.advertise(now, out);
        for _ in 0..POLL_LIMIT {
            let Some(idx) = self.order.due(now) else {
                return;
            };
            self.fire(idx, now, out);
        }
    }

    /// When [`poll`](Self::poll) is to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let adverts = self.ports.values().filter(|port| port.up);
        let adverts = adverts.filter_map(|port| port.adverts.map(|a| a.next()));
        self.order.next_deadline().into_iter().chain(adverts).min()
    }

    fn fire(&mut self, idx: NeighIdx, now: u64, out: &mut Vec<Frame>) {
        if self.source_for(idx).is_none() {
            return self.let_go(idx);
        }
        match self.amend(idx, |entry, cfg| entry.on_timer(cfg, now)) {
            Some(Due::Ask(to)) => self.send_question(idx, to, out),
            Some(Due::Failed) => {
                self.stats.unanswered += 1;
                self.report(idx, false);
            }
            Some(Due::Expired) => {
                self.stats.timeouts += 1;
                self.free(idx);
            }
            Some(Due::Nothing) | None => {}
        }
    }

    /// Takes back a question that was not sent: a queue on its way was full, or the device
    /// refused it. It is repeated in its time and does not count as unanswered. Other frames
    /// are none of the timers' business and change nothing.
    pub fn unsent(&mut self, frame: &Frame) {
        let target = match wire::parse(&frame.bytes).map(|message| message.body) {
            Ok(Body::Arp(arp)) if arp.request => arp.tpa.into(),
            Ok(Body::Solicit(ns)) => ns.target.into(),
            _ => return,
        };
        if let Some(idx) = self.find(frame.port, target) {
            self.amend(idx, |entry, _| entry.unsent());
        }
    }

    fn send_question(&mut self, idx: NeighIdx, to: Option<Mac>, out: &mut Vec<Frame>) {
        let (Some((mac, source)), Some(entry)) = (self.source_for(idx), self.entry(idx)) else {
            return;
        };
        let key = entry.key;
        let bytes = wire::question(mac, source, key.addr, to);
        out.push(Frame {
            port: key.port,
            bytes,
        });
        if key.addr.is_ipv4() {
            self.stats.txrequests += 1;
        } else {
            self.stats.tx_neighbor_solicit += 1;
        }
    }
}
