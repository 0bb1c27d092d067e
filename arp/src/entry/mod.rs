//! One neighbour's life: the state machine of both families, without frames or tables.
//!
//! [`Entry`] decides, [`Table`](crate::Table) acts. Each function takes what happened and moves
//! the entry on; timers come as [`Entry::on_timer`], whose answer says what is to be done. All
//! times are milliseconds of the table's clock.
//!
//! Two kinds of neighbours differ in their rhythm only. An *ordinary* one is asked when packets
//! wait for it or use it, at most once per `retrans_ms`, and is forgotten in the end. A
//! *reserved* one (a next hop's gateway) is asked for ever, is never forgotten, and has a health
//! that control hears about.

use crate::key::Key;
use crate::order::Evictable;
use crate::{Config, Mac, NeighState, NeighWord};

mod heard;

pub(crate) use heard::{Heard, Said};

/// Questions in a row that need not count at most, see [`Entry::judge`].
const EXCUSES: u8 = 4;

/// A neighbour. `since` is when it entered its state or was last used there: the age that
/// decides who goes first.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) state: NeighState,
    /// The last MAC known, [`Mac::ZERO`] if none ever was.
    pub(crate) mac: Mac,
    pub(crate) published: bool,
    /// Who reserved it, counted.
    pub(crate) reserved: u32,
    /// What control was last told of a reserved one; nothing yet.
    pub(crate) health: Option<bool>,
    generation: u16,
    /// Questions sent since the last answer.
    tries: u32,
    /// Questions since then that did not count.
    excused: u8,
    /// Its answer is overdue, and the table has noted it.
    noted: bool,
    /// The last question went to everybody: the known MAC is in doubt, any answer is believed.
    asked_all: bool,
    /// Somebody else claims to be it, and it is being asked itself.
    claimed: bool,
    sent_at: Option<u64>,
    /// When an ordinary one that nobody uses goes.
    expires: u64,
    /// Used since it was last answered; for a failed one, since it was last asked.
    wanted: bool,
    since: u64,
    deadline: Option<u64>,
}

/// What a timer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing now: the entry has set its next deadline.
    Nothing,
    /// Send a question: to this MAC, or to everybody.
    Ask(Option<Mac>),
    /// Its answer is overdue: [`Entry::judge`] goes on when it is known whether it could have been heard.
    Overdue,
    /// It has just failed.
    Failed,
    /// It is to be forgotten.
    Expired,
}

impl Entry {
    /// A neighbour that is to be asked at once.
    pub(crate) fn new(key: Key, generation: u16, now: u64) -> Self {
        Self {
            key,
            state: NeighState::Incomplete,
            mac: Mac::ZERO,
            published: false,
            reserved: 0,
            health: None,
            generation,
            tries: 0,
            excused: 0,
            noted: false,
            asked_all: false,
            claimed: false,
            sent_at: None,
            expires: 0,
            wanted: true,
            since: now,
            deadline: Some(now),
        }
    }

    /// One that told us its MAC unasked, in a question of its own.
    pub(crate) fn learned(key: Key, generation: u16, mac: Mac, cfg: &Config, now: u64) -> Self {
        let mut entry = Self::new(key, generation, now);
        entry.mac = mac;
        entry.wanted = false;
        entry.become_stale(cfg, now);
        entry
    }

    pub(crate) fn word(&self) -> NeighWord {
        NeighWord::new(self.mac, self.state, self.generation)
    }

    pub(crate) fn generation(&self) -> u16 {
        self.generation
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    pub(crate) fn since(&self) -> u64 {
        self.since
    }

    pub(crate) fn is_reserved(&self) -> bool {
        self.reserved > 0
    }

    pub(crate) fn is_permanent(&self) -> bool {
        self.state == NeighState::Permanent
    }

    /// When it lapses, for listings.
    pub(crate) fn expires(&self) -> Option<u64> {
        let lapses = matches!(
            self.state,
            NeighState::Reachable | NeighState::Stale | NeighState::Failed
        );
        (lapses && !self.is_reserved()).then_some(self.expires)
    }

    /// Whether and how soon it has to go for another.
    pub(crate) fn evictable(&self) -> Option<Evictable> {
        match self.state {
            _ if self.is_reserved() => None,
            NeighState::Failed => Some(Evictable::Failed),
            NeighState::Stale => Some(Evictable::Unused),
            NeighState::Incomplete => Some(Evictable::Unanswered),
            _ => None,
        }
    }

    /// A next hop needs it: it is asked at once.
    pub(crate) fn reserve(&mut self, cfg: &Config, now: u64) {
        self.reserved = self.reserved.saturating_add(1);
        if self.reserved > 1 || self.is_permanent() {
            return;
        }
        self.state = match self.state {
            NeighState::Failed => NeighState::Incomplete,
            NeighState::Stale => NeighState::Probe,
            state => state,
        };
        self.tries = 0;
        self.since = now;
        self.deadline = Some(self.spaced(cfg, now));
    }

    /// A next hop needs it no more; the last one makes it an ordinary neighbour.
    pub(crate) fn release(&mut self, cfg: &Config, now: u64) {
        self.reserved = self.reserved.saturating_sub(1);
        if self.is_reserved() || self.is_permanent() {
            return;
        }
        self.health = None;
        self.since = now;
        match self.state {
            NeighState::Reachable => self.confirm(cfg, now),
            NeighState::Failed => self.fail(cfg, now),
            _ => self.deadline = Some(self.spaced(cfg, now)),
        }
    }

    /// A packet waits for it, or was sent to it.
    pub(crate) fn want(&mut self, cfg: &Config, now: u64) {
        self.wanted = true;
        if self.is_reserved() || self.is_permanent() {
            return;
        }
        let ask = match self.state {
            NeighState::Stale | NeighState::Failed => true,
            NeighState::Reachable => now.saturating_add(cfg.refresh_ms()) >= self.expires,
            _ => false,
        };
        if ask {
            self.hurry(cfg, now);
        }
    }

    /// The operator's word.
    pub(crate) fn set_permanent(&mut self, mac: Mac, published: bool, now: u64) {
        self.state = NeighState::Permanent;
        self.mac = mac;
        self.published = published;
        self.since = now;
        self.deadline = None;
    }

    /// The operator's word, which counts as an answer and no longer than one.
    pub(crate) fn set_temporary(&mut self, mac: Mac, cfg: &Config, now: u64) {
        self.mac = mac;
        self.published = false;
        self.confirm(cfg, now);
    }

    /// Forgets all that is known of a reserved one, and asks again.
    pub(crate) fn restart(&mut self, now: u64) {
        self.state = NeighState::Incomplete;
        self.mac = Mac::ZERO;
        self.published = false;
        self.tries = 0;
        self.asked_all = false;
        self.claimed = false;
        self.since = now;
        self.deadline = Some(now);
    }

    /// One that can be asked again (its port came up, its address is back).
    pub(crate) fn wake(&mut self, now: u64) {
        if !self.is_permanent() && self.deadline.is_none() {
            self.deadline = Some(now);
        }
    }

    /// A reserved one that nobody can be asked for: failed, without a timer.
    pub(crate) fn cut_off(&mut self) {
        if !self.is_permanent() {
            self.state = NeighState::Failed;
            self.tries = 0;
            self.claimed = false;
            self.deadline = None;
        }
    }

    /// The last question was not sent after all: it does not count as unanswered.
    pub(crate) fn unsent(&mut self) {
        self.tries = self.tries.saturating_sub(1);
    }

    /// Its deadline has come. A reserved one needs the caller to have a source to ask from.
    pub(crate) fn on_timer(&mut self, cfg: &Config, now: u64) -> Due {
        if !self.awaits_answer() {
            return self.go_on(cfg, now);
        }
        self.deadline = None;
        match std::mem::replace(&mut self.noted, true) {
            true => Due::Nothing,
            false => Due::Overdue,
        }
    }

    /// Whether its answer is overdue, and has not come in meanwhile.
    pub(crate) fn is_overdue(&self) -> bool {
        self.deadline.is_none() && self.awaits_answer()
    }

    /// The table notes it no more.
    pub(crate) fn unnote(&mut self) {
        self.noted = false;
    }

    /// Whether one more question need not count: who never listens must not hide for ever who is silent.
    pub(crate) fn may_excuse(&self) -> bool {
        self.excused < EXCUSES
    }

    /// Goes on with one whose answer is overdue: its last question counts as unanswered, or is excused.
    pub(crate) fn judge(&mut self, excused: bool, cfg: &Config, now: u64) -> Due {
        if excused {
            self.excused += 1;
            self.unsent();
        }
        self.go_on(cfg, now)
    }

    fn awaits_answer(&self) -> bool {
        let asked = match self.state {
            NeighState::Incomplete | NeighState::Probe => true,
            NeighState::Reachable => self.is_reserved(),
            _ => false,
        };
        asked && self.tries > 0
    }

    fn go_on(&mut self, cfg: &Config, now: u64) -> Due {
        match self.state {
            NeighState::Free | NeighState::Permanent => {
                self.deadline = None;
                Due::Nothing
            }
            NeighState::Incomplete | NeighState::Probe => self.ask_or_fail(cfg, now),
            NeighState::Reachable if self.is_reserved() => {
                if self.tries > 0 {
                    self.state = NeighState::Probe;
                }
                self.ask_or_fail(cfg, now)
            }
            NeighState::Reachable | NeighState::Stale => self.age(cfg, now),
            NeighState::Failed if self.is_reserved() => self.ask(None, now, cfg.gateway_probe_ms),
            NeighState::Failed => self.age_failed(cfg, now),
        }
    }

    fn ask_or_fail(&mut self, cfg: &Config, now: u64) -> Due {
        let (tries, retrans) = if self.is_reserved() {
            (cfg.gateway_tries, cfg.gateway_retrans_ms)
        } else {
            (cfg.max_tries, cfg.retrans_ms)
        };
        if self.tries >= tries {
            self.fail(cfg, now);
            return Due::Failed;
        }
        // The last try goes to everybody: the neighbour may be there with another MAC.
        let last = self.tries + 1 == tries && tries > 1;
        let known = self.state != NeighState::Incomplete && !last;
        self.ask(known.then_some(self.mac), now, retrans)
    }

    fn ask(&mut self, to: Option<Mac>, now: u64, again_ms: u32) -> Due {
        self.tries = self.tries.saturating_add(1);
        self.asked_all = to.is_none();
        self.sent_at = Some(now);
        self.deadline = Some(now.saturating_add(again_ms.into()));
        Due::Ask(to)
    }

    fn fail(&mut self, cfg: &Config, now: u64) {
        self.state = NeighState::Failed;
        self.wanted = false;
        self.claimed = false;
        self.since = now;
        self.expires = now.saturating_add(cfg.failed_hold_ms.into());
        self.deadline = Some(if self.is_reserved() {
            self.next_gateway_probe(cfg, now)
        } else {
            self.expires
        });
    }

    /// An ordinary one's answer grows old: asked again if it was used, else forgotten.
    fn age(&mut self, cfg: &Config, now: u64) -> Due {
        if self.wanted {
            self.state = NeighState::Probe;
            self.tries = 0;
            return self.ask_or_fail(cfg, now);
        }
        self.lapse(now)
    }

    fn age_failed(&mut self, cfg: &Config, now: u64) -> Due {
        if now < self.expires && self.wanted {
            self.wanted = false;
            let due = self.ask(None, now, cfg.retrans_ms);
            self.deadline = Some(self.expires);
            return due;
        }
        self.lapse(now)
    }

    fn lapse(&mut self, now: u64) -> Due {
        self.deadline = Some(self.expires);
        if now >= self.expires {
            Due::Expired
        } else {
            Due::Nothing
        }
    }

    /// It answered.
    fn confirm(&mut self, cfg: &Config, now: u64) {
        self.state = NeighState::Reachable;
        self.tries = 0;
        self.excused = 0;
        self.asked_all = false;
        self.claimed = false;
        self.wanted = false;
        self.since = now;
        self.expires = now.saturating_add(cfg.reachable_ms.into());
        let refresh = self.expires.saturating_sub(cfg.refresh_ms()).max(now);
        self.deadline = Some(if self.is_reserved() {
            self.next_gateway_probe(cfg, now)
        } else {
            refresh
        });
    }

    fn become_stale(&mut self, cfg: &Config, now: u64) {
        self.state = NeighState::Stale;
        self.tries = 0;
        self.since = now;
        self.expires = now.saturating_add(cfg.reachable_ms.into());
        self.deadline = Some(if self.wanted {
            self.spaced(cfg, now)
        } else {
            self.expires
        });
    }

    /// Brings the next question forward, as far as questions may follow each other.
    fn hurry(&mut self, cfg: &Config, now: u64) {
        let soon = self.spaced(cfg, now);
        self.deadline = Some(self.deadline.map_or(soon, |deadline| deadline.min(soon)));
    }

    /// The earliest time for the next question.
    fn spaced(&self, cfg: &Config, now: u64) -> u64 {
        let gap = if self.is_reserved() {
            cfg.gateway_retrans_ms
        } else {
            cfg.retrans_ms
        };
        self.sent_at
            .map_or(now, |sent| sent.saturating_add(gap.into()).max(now))
    }

    fn next_gateway_probe(&self, cfg: &Config, now: u64) -> u64 {
        let gap = u64::from(cfg.gateway_probe_ms);
        self.sent_at
            .map_or(now, |sent| sent.saturating_add(gap).max(now))
    }
}
