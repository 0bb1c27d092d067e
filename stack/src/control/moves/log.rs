//! The last changes that moved flows.

use super::follow::{Follow, Followed};
use super::{DUE_LIMIT, Subject};
use crate::time::Now;
use std::collections::VecDeque;

/// Changes that are remembered.
const CHANGES: usize = 32;

/// A change that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveOf {
    /// Its number, from 1.
    pub number: u64,
    /// When, by the clock of whoever asks; opaque here.
    pub time: u64,
    /// What it was: `add`, `change`, `delete`.
    pub order: &'static str,
    /// Of what.
    pub subject: Subject,
}

/// A change with what has become of the flows that it was to move.
#[derive(Clone, Debug)]
pub struct LoggedMoves {
    /// Which change.
    pub of: MoveOf,
    /// Flows that were due.
    pub due: u64,
    /// By next hops and reason.
    pub rows: Vec<Followed>,
    /// Flows of theirs that are not followed.
    pub unfollowed: u64,
}

impl LoggedMoves {
    /// Flows that had no packet yet, or are not followed.
    pub fn left(&self) -> u64 {
        let gone = |row: &Followed| row.due - row.left();
        self.due - self.rows.iter().map(gone).sum::<u64>()
    }

    fn of(of: MoveOf, follow: &Follow) -> Self {
        Self {
            of,
            due: follow.due(),
            rows: follow.rows().to_vec(),
            unfollowed: follow.unfollowed(),
        }
    }
}

/// The last [`CHANGES`] changes that moved flows. All together follow [`DUE_LIMIT`] flows at most: the flows of the oldest
/// changes are given up for those of a new one, and counted.
#[derive(Default)]
pub struct MoveLog {
    changes: VecDeque<(MoveOf, Follow)>,
    last: u64,
    given_up: u64,
}

impl MoveLog {
    /// Takes a change, looks once, and returns what it saw.
    pub fn add(
        &mut self,
        order: &'static str,
        subject: Subject,
        time: u64,
        follow: Follow,
        now: Now,
    ) -> LoggedMoves {
        self.last += 1;
        let of = MoveOf {
            number: self.last,
            time,
            order,
            subject,
        };
        self.changes.push_back((of, follow));
        if self.changes.len() > CHANGES {
            self.changes.pop_front();
        }
        self.give_up_oldest();
        let seen = self.changes.back_mut().map(|(of, follow)| {
            follow.refresh(now);
            LoggedMoves::of(*of, follow)
        });
        seen.unwrap_or(LoggedMoves {
            of,
            due: 0,
            rows: Vec::new(),
            unfollowed: 0,
        })
    }

    fn give_up_oldest(&mut self) {
        let mut followed = self.followed();
        for (_, follow) in &mut self.changes {
            if followed <= DUE_LIMIT {
                return;
            }
            followed -= follow.followed();
            self.given_up += follow.followed() as u64;
            follow.give_up();
        }
    }

    /// Every change, the oldest first, after another look.
    pub fn look(&mut self, now: Now) -> Vec<LoggedMoves> {
        let look = |(of, follow): &mut (MoveOf, Follow)| {
            follow.refresh(now);
            LoggedMoves::of(*of, follow)
        };
        self.changes.iter_mut().map(look).collect()
    }

    /// Flows that are followed.
    pub fn followed(&self) -> usize {
        self.changes
            .iter()
            .map(|(_, follow)| follow.followed())
            .sum()
    }

    /// Flows that were followed and given up for others.
    pub const fn given_up(&self) -> u64 {
        self.given_up
    }
}
