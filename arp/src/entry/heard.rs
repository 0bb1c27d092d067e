//! What an entry makes of what it hears, and whether it believes another MAC.

use super::Entry;
use crate::{Config, Mac, NeighState};

/// What somebody was heard to say about a neighbour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    /// Its MAC; an advertisement may leave it out.
    pub(crate) mac: Option<Mac>,
    /// It is an answer to us, if we asked.
    pub(crate) answer: bool,
    /// It may replace another MAC (RFC 4861's override flag; ARP always may).
    pub(crate) overrides: bool,
}

/// What hearing it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The neighbour is confirmed.
    Answered,
    /// Noted, nothing confirmed.
    Noted,
    /// Another MAC without override: not believed, to be verified.
    NoOverride,
    /// Another MAC, to be verified first.
    Claimed,
    /// The neighbour is confirmed where it was: the move that somebody claimed is none.
    Kept,
    /// Another MAC for a permanent neighbour.
    Static,
    /// No MAC said and none known.
    NoLinkAddress,
}

impl Entry {
    /// Somebody speaks about it. RFC 826's merge and RFC 4861 §7.2.3, §7.2.5 in one.
    pub(crate) fn hear(&mut self, said: &Said, cfg: &Config, now: u64) -> Heard {
        if self.is_permanent() {
            let same = said.mac.is_none_or(|mac| mac == self.mac);
            return if same { Heard::Noted } else { Heard::Static };
        }
        let unknown = matches!(self.state, NeighState::Incomplete | NeighState::Failed);
        let Some(mac) = said.mac.or_else(|| (!unknown).then_some(self.mac)) else {
            return Heard::NoLinkAddress;
        };
        let other = !unknown && mac != self.mac;
        let in_doubt = unknown || self.asked_all;
        if other && !said.overrides && !in_doubt {
            self.doubt(cfg, now);
            return Heard::NoOverride;
        }
        if other && cfg.verify_moves && !in_doubt {
            self.verify(cfg, now);
            return Heard::Claimed;
        }
        self.mac = mac;
        self.claimed &= !other;
        if said.answer && self.tries > 0 {
            let kept = self.claimed;
            self.confirm(cfg, now);
            return if kept { Heard::Kept } else { Heard::Answered };
        }
        if unknown {
            self.hint(cfg, now);
        } else if other {
            self.doubt(cfg, now);
        }
        Heard::Noted
    }

    /// It told a MAC while we knew none. What is heard unasked never revives a gateway: it is
    /// only asked sooner. An ordinary one may be used, while it is asked.
    fn hint(&mut self, cfg: &Config, now: u64) {
        if self.state == NeighState::Failed {
            self.wanted = true;
            if !self.is_reserved() {
                self.tries = 0;
            }
        }
        if !(self.is_reserved() && self.state == NeighState::Failed) {
            self.state = NeighState::Probe;
        }
        self.hurry(cfg, now);
    }

    /// Its MAC changed, or somebody claims so: usable, to be verified.
    fn doubt(&mut self, cfg: &Config, now: u64) {
        match self.state {
            NeighState::Probe => self.hurry(cfg, now),
            _ if self.is_reserved() => {
                self.state = NeighState::Probe;
                self.hurry(cfg, now);
            }
            _ => self.become_stale(cfg, now),
        }
    }

    /// Another MAC claims to be it, and moves are verified: packets go on to the one that we know while that is asked,
    /// as for an advertisement without override. All are asked only if it is silent.
    fn verify(&mut self, cfg: &Config, now: u64) {
        let asked = self.awaits_answer();
        self.state = NeighState::Probe;
        self.claimed = true;
        // Claims put off neither the answer nor the judgement of who does not answer.
        if !asked {
            self.hurry(cfg, now);
        }
    }
}
