//! Time passes: questions are repeated, neighbours fail, answers grow old.
//!
//! Only entries that somebody reserved, asked for or told us of have timers. The next question
//! counts from when the last one was really sent, so a host that was held up never takes its
//! own delay for a neighbour's silence, provided it hands in waiting frames before it polls. Whoever
//! gets its frames from other threads may be deaf without being late: it asks what is due
//! ([`Table::poll_in_doubt`]), finds out whether they have listened, and says so ([`Table::judge`]).

use crate::entry::{Due, Entry};
use crate::wire::{self, Body};
use crate::{Config, Frame, Mac, NeighIdx, Table};

/// Entries handled in one call at most.
const POLL_LIMIT: usize = 256;

impl Table {
    /// Handles what is due at `now`, at most 256 entries; with more due,
    /// [`next_deadline`](Self::next_deadline) stays in the past. Hand in received frames first: what has not answered
    /// by now is silent.
    pub fn poll(&mut self, now: u64, out: &mut Vec<Frame>) {
        self.poll_in_doubt(now, out);
        self.judge(true, now, out);
    }

    /// The same, but for neighbours whose answers are overdue: they wait for [`judge`](Self::judge). Returns how many do.
    pub fn poll_in_doubt(&mut self, now: u64, out: &mut Vec<Frame>) -> usize {
        self.tick(now);
        self.advertise(now, out);
        for _ in 0..POLL_LIMIT {
            let Some(idx) = self.order.due(now) else {
                break;
            };
            self.fire(idx, out, |entry, cfg| entry.on_timer(cfg, now));
        }
        self.overdue.len()
    }

    /// Goes on with those whose answers are overdue and have not come in meanwhile, at most 256; returns how many are left.
    /// `heard`: what came from the neighbours until they were overdue has been handed in, so their questions are
    /// unanswered; if not, these are asked once more and do not count, but for at most four times in a row.
    pub fn judge(&mut self, heard: bool, now: u64, out: &mut Vec<Frame>) -> usize {
        self.tick(now);
        for _ in 0..POLL_LIMIT {
            let Some(idx) = self.overdue.pop_front() else {
                break;
            };
            self.amend(idx, |entry, _| entry.unnote());
            let overdue = self.entry(idx).filter(|entry| entry.is_overdue());
            let Some(may_excuse) = overdue.map(Entry::may_excuse) else {
                continue;
            };
            let excused = !heard && may_excuse;
            self.stats.unheard += u64::from(excused);
            self.fire(idx, out, |entry, cfg| entry.judge(excused, cfg, now));
        }
        self.overdue.len()
    }

    /// When [`poll`](Self::poll) is to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let adverts = self.ports.values().filter(|port| port.up);
        let adverts = adverts.filter_map(|port| port.adverts.map(|a| a.next()));
        self.order.next_deadline().into_iter().chain(adverts).min()
    }

    fn fire(
        &mut self,
        idx: NeighIdx,
        out: &mut Vec<Frame>,
        moves_on: impl FnOnce(&mut Entry, &Config) -> Due,
    ) {
        if self.source_for(idx).is_none() {
            return self.let_go(idx);
        }
        match self.amend(idx, moves_on) {
            Some(Due::Ask(to)) => self.send_question(idx, to, out),
            Some(Due::Overdue) => self.overdue.push_back(idx),
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
