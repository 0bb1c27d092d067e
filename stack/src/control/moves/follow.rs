//! After a change: which of the flows that were due have moved.

use super::super::Reader;
use super::due::{DueList, Settled, State};
use super::{MoveRow, MoveWhy};
use crate::time::Now;
use route::NhopKey;

/// Whether every worker obeys a change.
pub type Obeyed = Box<dyn Fn() -> bool + Send>;

/// Flows that were due alike, and what has become of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The next hop that they leave; `None`: it is no more.
    pub from: Option<NhopKey>,
    /// The one that they go to; `None`: they go nowhere.
    pub to: Option<NhopKey>,
    /// Why.
    pub why: MoveWhy,
    /// How many were due.
    pub due: u64,
    /// Have another next hop, or had a packet that went nowhere.
    pub moved: u64,
    /// Ended (or lost their place) before a packet came.
    pub expired: u64,
    /// Had a packet that went where the ones before went: a later change gave them their next hop back.
    pub stayed: u64,
}

impl Followed {
    /// Have had no packet yet, or are not followed any more.
    pub const fn left(&self) -> u64 {
        self.due - self.moved - self.expired - self.stayed
    }
}

/// The flows that a change was to move, followed until each has moved or ended.
pub struct Follow {
    reader: Reader,
    rows: Vec<Followed>,
    list: DueList,
    /// Flows that were due and are not followed: there were too many.
    unfollowed: u64,
    due: u64,
    obeyed: Obeyed,
    settled: Settled,
}

impl Follow {
    pub(super) fn new(
        reader: Reader,
        rows: Vec<MoveRow>,
        list: DueList,
        due: u64,
        obeyed: Obeyed,
    ) -> Self {
        let row = |row: MoveRow| Followed {
            from: row.from,
            to: row.to,
            why: row.why,
            due: row.flows,
            moved: 0,
            expired: 0,
            stayed: 0,
        };
        Self {
            reader,
            rows: rows.into_iter().map(row).collect(),
            unfollowed: due - list.len() as u64,
            list,
            due,
            obeyed,
            settled: Settled::NotYet,
        }
    }

    /// Looks up those that are left: about 100 ns each, on the caller's thread.
    pub fn refresh(&mut self, now: Now) {
        if self.settled == Settled::NotYet && (self.obeyed)() {
            self.settled = Settled::Now;
        }
        let rows = &mut self.rows;
        self.list
            .look(&self.reader, now, self.settled, |row, state| {
                let Some(row) = rows.get_mut(row as usize) else {
                    return;
                };
                match state {
                    State::Left => {}
                    State::Expired => row.expired += 1,
                    State::Used if row.why.moves() => row.stayed += 1,
                    State::Moved | State::Used => row.moved += 1,
                }
            });
        if self.settled == Settled::Now {
            self.settled = Settled::Before;
        }
    }

    /// How they moved, by next hops and reason.
    pub fn rows(&self) -> &[Followed] {
        &self.rows
    }

    /// Flows that were due, also of kinds too many to be told.
    pub const fn due(&self) -> u64 {
        self.due
    }

    /// Flows that are followed still.
    pub fn followed(&self) -> usize {
        self.list.len()
    }

    /// Flows that were due and are not followed.
    pub const fn unfollowed(&self) -> u64 {
        self.unfollowed
    }

    /// Follows nobody any more.
    pub(super) fn give_up(&mut self) {
        self.unfollowed += self.list.len() as u64;
        self.list = DueList::default();
    }
}
