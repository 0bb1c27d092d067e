//! Slow start: a member that is added, or comes back, gets its buckets bit by bit.
//!
//! The part that it owns grows with the time since it came, in up to 64 steps, until after the group's
//! `slow_start` seconds it owns all that it holds. What it does not own yet stays with whoever had it. No flow
//! is moved by that: buckets choose for new flows alone.
//!
//! Nobody starts slowly while nobody else may take flows.

use super::ctl::{GroupCtl, Shared};
use super::group::Group;
use super::layout::{self, Part};
use super::selection::Selection;
use crate::ids::{GroupId, NhopIdx, Secs};
use crate::nhop::NhopCtl;

/// Steps in which a member gets its buckets, at most.
const STEPS: u32 = 64;

/// Buckets looked at in one call of [`GroupCtl::step_starts`], about: groups beyond that wait for the next.
const BUDGET: u32 = 1 << 16;

/// A member that has not all of its buckets yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) name: layout::Member,
    since: Secs,
    /// Whether it had died.
    died: bool,
}

impl Group {
    /// Notes that a member starts now, if members of the group start slowly.
    pub(super) fn start(&mut self, name: layout::Member, died: bool, now: Secs) {
        self.starts.retain(|start| start.name != name);
        if self.options.slow_start > 0 && self.options.selection != Selection::ModN {
            self.starts.push(Start {
                name,
                since: now,
                died,
            });
        }
    }

    /// The part of its buckets that a member may own; `None`: all.
    pub(super) fn part(&self, name: layout::Member, now: Secs) -> Option<Part> {
        let start = self.starts.iter().find(|start| start.name == name)?;
        Some(Part {
            done: now.0.saturating_sub(start.since.0),
            of: self.options.slow_start,
            died: start.died,
        })
    }

    /// Ends the starts of whoever takes no flows now or has all of its time behind it, and of all, if there is nobody
    /// else: these have all their buckets. Returns who has come to the end of its time.
    pub(super) fn end_starts(
        &mut self,
        takes_flows: impl Fn(layout::Member) -> bool,
        now: Secs,
    ) -> Vec<layout::Member> {
        if self.starts.is_empty() {
            return Vec::new();
        }
        self.starts.retain(|start| takes_flows(start.name));
        let whole = self.options.slow_start;
        let is_over = |start: &Start| now.0.saturating_sub(start.since.0) >= whole;
        let over: Vec<Start> = self.starts.iter().filter(|s| is_over(s)).copied().collect();
        self.starts.retain(|start| !is_over(start));
        let others = self.members.iter().map(|m| m.name);
        let is_new = |name| self.starts.iter().any(|start| start.name == name);
        if others.filter(|m| takes_flows(*m)).all(is_new) {
            self.starts.clear();
        }
        over.iter().map(|start| start.name).collect()
    }

    /// How far a member is: percent of its time, and the seconds left.
    pub(crate) fn started(&self, name: layout::Member, now: Secs) -> Option<(u8, u32)> {
        let part = self.part(name, now)?;
        let percent = part.of(100).min(99) as u8;
        Some((percent, part.of.saturating_sub(part.done)))
    }
}

impl GroupCtl {
    /// Whether a member of a group has not all of its buckets yet.
    pub(crate) fn is_starting(&self, id: GroupId, idx: NhopIdx) -> bool {
        let starts = |group: &Group| {
            let member = group.member(idx);
            member.is_some_and(|m| group.starts.iter().any(|start| start.name == m.name))
        };
        self.get(id).is_some_and(starts)
    }

    /// Notes when a group's members get more of their buckets next.
    pub(super) fn start_from(&mut self, id: GroupId, now: Secs) {
        let Some(group) = self.get_mut(id) else {
            return;
        };
        if group.starts.is_empty() || group.step_at.is_some() {
            return;
        }
        let at = now.after((group.options.slow_start / STEPS).max(1));
        group.step_at = Some(at);
        self.starting.insert((at, id));
    }

    /// Whether some group's slow start goes on.
    pub(crate) fn has_starts(&self) -> bool {
        !self.starting.is_empty()
    }

    /// Gives members that start slowly what is due to them now.
    pub(crate) fn step_starts(&mut self, on: Shared<'_>, nhops: &NhopCtl, now: Secs) {
        let mut done = 0;
        while let Some(&(at, id)) = self.starting.first().filter(|(at, _)| *at <= now) {
            if done >= BUDGET {
                return;
            }
            self.starting.remove(&(at, id));
            let Some(group) = self.get_mut(id) else {
                continue;
            };
            group.step_at = None;
            done += group.buckets();
            self.settle(on, nhops, id, &|_| false, now);
        }
    }
}
