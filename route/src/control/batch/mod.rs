//! A batch: many routes changed as one, all or nothing, in slices between other work.
//!
//! 1. *Plan* (`plan`): the batch is compared with the routes that there are, and the groups that it needs are made.
//!    Readers see none of that, so a refusal up to here has changed nothing.
//! 2. *Apply* (`apply`): prefixes get their groups, and only then do those go that are to go: no address is ever
//!    without a route that has one before and after.
//! 3. *Undo*, if a prefix finds no room: everything back, in reverse order. Old groups are kept until the end, with
//!    their buckets and histories, so that what comes back is what was there.
//! 4. *Settle*: old groups are released, and next hops that nobody names any more end.
//!
//! What is equal is not touched. A route that gets other paths gets a copy of its group with those as members
//! ([`Control::part`]'s rule), one copy for all routes that make the same change: members that stay keep their
//! flows and, as far as weights allow, their buckets.
//!
//! Between two steps nobody else may change routes; next hops may die and return.

mod apply;
mod plan;

use super::{Control, Ended};
use crate::error::RouteError;
use crate::ids::{FibId, GroupId, GroupNo, NhopIdx, Secs};
use crate::info::Change;
use crate::nhgrp::OptionsAsked;
use crate::nhop::{NhopKey, Path};
use crate::prefix::Prefix;
use hashbrown::{HashMap, HashSet};

/// Batches of so few changes tell each of them.
const TOLD_ONE_BY_ONE: usize = 1024;

/// Paths that routes of a batch share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchSet {
    /// The paths. A weight of 0 drains.
    pub paths: Vec<Path>,
    /// How the routes treat flows.
    pub options: OptionsAsked,
}

/// What is to be.
#[derive(Debug, Default)]
pub struct BatchSpec {
    /// The FIB whose routes it changes.
    pub fib: FibId,
    /// The different sets of paths.
    pub sets: Vec<BatchSet>,
    /// Which set each prefix of that FIB gets: ascending by prefix, none twice.
    pub routes: Vec<(Prefix, u32)>,
    /// Whether other IPv4 routes go.
    pub replace_v4: bool,
    /// Whether other IPv6 routes go.
    pub replace_v6: bool,
    /// Routes that do not go, though no set is named for them.
    pub keep: HashSet<Prefix>,
}

impl BatchSpec {
    fn replaces(&self, prefix: &Prefix) -> bool {
        if prefix.addr().is_ipv4() {
            self.replace_v4
        } else {
            self.replace_v6
        }
    }
}

/// What a batch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchDone {
    /// The FIB that it changed.
    pub fib: FibId,
    /// Prefixes that are new.
    pub added: u64,
    /// Prefixes that have other paths.
    pub changed: u64,
    /// Prefixes that are gone.
    pub deleted: u64,
}

/// Where a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchState {
    /// Nothing is published yet.
    Planning,
    /// The groups are made, and their next hops can be judged before anything is published.
    Planned,
    /// Prefixes change, or what was changed is taken back, or what is left over is released.
    Working,
    /// It has ended: all was done, or nothing.
    Ended,
}

/// Which part of the work is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Compare,
    Doomed,
    Planned,
    Apply,
    Undo,
    Settle,
    Release,
    Ended,
}

/// One prefix's change; group 0: no route.
#[derive(Clone, Copy, Debug)]
struct Op {
    prefix: Prefix,
    old: GroupId,
    new: GroupId,
}

/// No group: the prefix has no route.
const NONE: GroupId = GroupId(0);

/// What routes have in common that get the same group: the group that they have, the set, if they are new, which
/// group they had before a restart, and whether they are IPv6 and name a group.
type TargetKey = (GroupId, u32, Option<u32>, bool);

/// A batch under way.
#[derive(Debug)]
pub struct Batch {
    spec: BatchSpec,
    phase: Phase,
    /// How far the phase is: in the batch's routes, or in the changes.
    next: usize,
    /// Where the search for doomed routes is.
    behind: Option<Prefix>,
    /// The group that routes of a group get with a set; `None`: the one they have.
    targets: HashMap<TargetKey, Option<GroupId>>,
    /// Groups that the batch holds on to by one use.
    held: Vec<GroupId>,
    /// Numbers that it gave to groups: taken back if it is refused.
    numbers: Vec<GroupNo>,
    ops: Vec<Op>,
    done: BatchDone,
    refused: Option<RouteError>,
    /// The route that was refused, if it was one.
    refused_at: Option<Prefix>,
    told: Option<Vec<Change>>,
    ended: Ended,
    warning: Option<String>,
}

impl Batch {
    /// A batch of which nothing is done yet.
    pub fn new(spec: BatchSpec) -> Self {
        let done = BatchDone {
            fib: spec.fib,
            ..BatchDone::default()
        };
        Self {
            spec,
            phase: Phase::Compare,
            next: 0,
            behind: None,
            targets: HashMap::new(),
            held: Vec::new(),
            numbers: Vec::new(),
            ops: Vec::new(),
            done,
            refused: None,
            refused_at: None,
            told: None,
            ended: Vec::new(),
            warning: None,
        }
    }

    /// Does about `units` routes' worth of work.
    pub fn step(&mut self, control: &mut Control, units: usize, now: Secs) -> BatchState {
        control.at(now);
        match self.phase {
            Phase::Compare => self.compare(control, units),
            Phase::Doomed => self.find_doomed(control, units),
            Phase::Planned => self.phase = Phase::Apply,
            Phase::Apply => self.apply(control, units),
            Phase::Undo => self.undo(control, units),
            Phase::Settle => self.settle(control, units),
            Phase::Release => self.release(control),
            Phase::Ended => {}
        }
        self.state()
    }

    /// Where it is.
    pub const fn state(&self) -> BatchState {
        match self.phase {
            Phase::Compare | Phase::Doomed => BatchState::Planning,
            Phase::Planned => BatchState::Planned,
            Phase::Apply | Phase::Undo | Phase::Settle | Phase::Release => BatchState::Working,
            Phase::Ended => BatchState::Ended,
        }
    }

    /// Routes compared and changed so far, and how many there may be.
    pub fn progress(&self) -> (usize, usize) {
        let (routes, ops) = (self.spec.routes.len(), self.ops.len());
        match self.phase {
            Phase::Compare => (self.next, 2 * routes),
            Phase::Doomed | Phase::Planned => (routes, routes + routes.max(ops)),
            Phase::Apply | Phase::Undo => (routes + self.next, routes + ops),
            Phase::Settle | Phase::Release | Phase::Ended => (routes + ops, routes + ops),
        }
    }

    /// The groups that it made or will use.
    pub fn groups(&self) -> &[GroupId] {
        &self.held
    }

    /// How it ended; each prefix's change, if they are few; and one line that the operator should read.
    ///
    /// # Errors
    /// Why it was refused; then nothing is changed.
    pub fn outcome(&mut self) -> Result<(BatchDone, Option<Vec<Change>>), RouteError> {
        match self.refused.take() {
            Some(error) => Err(error),
            None => Ok((self.done, self.told.take())),
        }
    }

    /// The route for which it was refused, if it was for one.
    pub const fn refused_at(&self) -> Option<Prefix> {
        self.refused_at
    }

    /// One line that the operator should read.
    pub fn take_warning(&mut self) -> Option<String> {
        self.warning.take()
    }

    /// Next hops that ended with it, each with its identity and its neighbour.
    pub fn take_ended(&mut self) -> Vec<(NhopIdx, NhopKey, u32)> {
        std::mem::take(&mut self.ended)
    }

    fn go_on(&mut self, phase: Phase, next: usize) {
        self.phase = phase;
        self.next = next;
    }

    /// Lets go of groups that the batch held on to, and ends next hops that nobody else names.
    fn release(&mut self, control: &mut Control) {
        for group in std::mem::take(&mut self.held) {
            let left = control.release(group);
            self.ended.extend(control.end_unnamed(&left));
        }
        for number in std::mem::take(&mut self.numbers) {
            if self.refused.is_some() {
                self.ended.extend(control.drop_named(number));
            }
        }
        control.reclaim();
        self.go_on(Phase::Ended, 0);
    }
}
