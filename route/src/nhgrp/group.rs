//! A group as control keeps it.

use super::Groups;
use super::affinity::StickyOf;
use super::buddy::Block;
use super::ctl::Paths;
use super::layout::{self, Layout};
use super::options::{Failback, Options};
use super::selection::{Selection, Shape};
use super::start::Start;
use crate::ids::{NhopIdx, Pin, Secs};
use hashbrown::HashMap;

/// A next hop in a group, as it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) idx: NhopIdx,
    /// 0 drains it.
    pub(crate) weight: u32,
    /// When it leaves.
    pub(crate) deadline: Option<Secs>,
}

/// A next hop in a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) is: Wanted,
    pub(crate) pin: Pin,
    /// Its number in the layout.
    pub(crate) name: layout::Member,
}

/// One group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) members: Vec<Member>,
    /// Who uses it: routes, and who holds on to it (see [`Group::users`]).
    pub(crate) routes: u32,
    /// By what it tells flows apart.
    pub(crate) options: Options,
    /// If it is sticky: the one route that uses it, or its number.
    pub(super) owner: Option<StickyOf>,
    /// With [`Selection::ModN`]: whose turn it is in each bucket, by their numbers in the layout.
    pub(super) turns: Vec<layout::Member>,
    pub(super) layout: Layout,
    pub(super) buckets: Block,
    /// Lines of the published members, and how many they are.
    pub(super) pins: Option<(Block, u32)>,
    /// Who left lately because its drain came to its deadline: the latest last.
    pub(super) over: Vec<Pin>,
    /// Whether any member may take flows, as published.
    pub(super) alive: bool,
    /// Members were all away: who comes back first has everything for a moment, see [`REVIVAL`].
    pub(super) outage: bool,
    /// When the first of them came back.
    pub(super) revived: Option<Secs>,
    /// Under which paths new routes find it.
    pub(super) shared_as: Option<Paths>,
    /// When remembered owners whose clock was restarted really lost their bucket.
    pub(super) restarted: HashMap<(u32, Pin), Secs>,
    /// When history may be due to be forgotten.
    pub(super) forget_at: Option<Secs>,
    /// Members that have not all of their buckets yet.
    pub(super) starts: Vec<Start>,
    /// When they get more.
    pub(super) step_at: Option<Secs>,
}

/// Seconds after a group's first member came back in which others follow: what a port, a switch or a route took down
/// together comes up together, one after the other. Who stands in for them meanwhile is not remembered: it had their
/// buckets for no time worth the name, and packets without a pin would take it for an owner of old.
pub(super) const REVIVAL: u32 = 3;

/// Whom the buckets of a group remember.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    /// How many remember each pin.
    pub(crate) by_pin: HashMap<Pin, u32>,
    /// How many remember anybody.
    pub(crate) remembering: u32,
    /// Most that one remembers.
    pub(crate) depth: u32,
}

impl Group {
    /// The member in a slot.
    pub(crate) fn member(&self, idx: NhopIdx) -> Option<&Member> {
        self.members.iter().find(|m| m.is.idx == idx)
    }

    /// Notes whether any member may take flows now.
    pub(super) fn note_outage(&mut self, alive: bool, now: Secs) {
        if alive && self.outage {
            self.revived = Some(now);
        }
        self.outage = !alive && !self.members.is_empty();
    }

    /// Whether the first member came back a moment ago.
    pub(super) fn is_reviving(&self, now: Secs) -> bool {
        self.revived
            .is_some_and(|at| now.0.saturating_sub(at.0) <= REVIVAL)
    }

    /// Number of buckets.
    pub(crate) fn buckets(&self) -> u32 {
        self.layout.buckets()
    }

    /// Routes that use it. One use of a group that has a number is that number's.
    pub(crate) fn users(&self) -> u32 {
        self.routes
            .saturating_sub(u32::from(self.options.group.is_some()))
    }

    /// Members, each with the buckets that it owns.
    pub(crate) fn owned(&self) -> impl Iterator<Item = (&Member, u32)> {
        let owned = match self.options.selection {
            Selection::ModN => self.turned(),
            _ => self.layout.owned(),
        };
        self.members
            .iter()
            .map(move |m| (m, owned.get(m.name).copied().unwrap_or(0)))
    }

    /// How many buckets each member owns when they take turns.
    fn turned(&self) -> Vec<u32> {
        let names = self.turns.iter().map(|name| name + 1).max().unwrap_or(0);
        let mut owned = vec![0; names];
        let turns = self.turns.iter().cycle().take(self.buckets() as usize);
        turns.for_each(|name| owned[*name] += 1);
        owned
    }

    pub(super) fn shape(&self) -> Shape {
        Shape {
            base: self.buckets.base,
            order: self.buckets.order,
            selection: self.options.selection,
            takers: self.turns.len() as u16,
            returns: self.options.failback == Failback::Return,
            timeouts: self.options.timeouts.number(),
        }
    }

    /// Whom its buckets remember.
    pub(crate) fn history(&self, groups: &Groups) -> Remembered {
        let mut sum = Remembered::default();
        let lines = (self.buckets.base..self.buckets.end()).filter_map(|line| groups.line(line));
        for line in lines {
            let mut depth = 0;
            for lost in line.remembered() {
                depth += 1;
                *sum.by_pin.entry(lost.pin()).or_insert(0) += 1;
            }
            sum.remembering += u32::from(depth > 0);
            sum.depth = sum.depth.max(depth);
        }
        sum
    }

    /// The wish that describes it as it is.
    pub(crate) fn wanted(&self) -> Vec<Wanted> {
        self.members.iter().map(|m| m.is).collect()
    }
}
