//! Groups as they are kept over a restart: who held and owned each bucket, whom it remembers.
//!
//! Indices, generations and times of a running gateway mean nothing to the next, so next hops are named by what they
//! are, and times by how long ago they were.

use crate::ids::{GroupNo, Secs};
use crate::nhgrp::{MAX_BUCKETS, MAX_MEMBERS, Options};
use crate::nhop::NhopKey;
use crate::prefix::Prefix;
use hashbrown::HashSet;

/// Most destinations that a saved group names; one that more routes use is known by its paths beside these.
pub const MAX_SAVED_ROUTES: usize = 16;

/// Most next hops that a saved group names: members, and who may come back.
const MAX_NAMES: usize = 2 * MAX_MEMBERS;

/// Most that a bucket keeps of claims, and of earlier owners.
const MAX_PLACES: usize = 4;

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedGroup {
    /// The first destinations of the routes that use it.
    pub routes: Vec<Prefix>,
    /// How many routes use it.
    pub uses: u32,
    /// How it treats flows.
    pub options: Options,
    /// Its members, and behind them who has left and may return: who left first, first.
    pub names: Vec<SavedName>,
    /// Its buckets in order; neighbours that are alike together.
    pub runs: Vec<SavedRun>,
}

/// A next hop of a saved group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedName {
    /// Which.
    pub key: NhopKey,
    /// Its weight; `None`: it has left.
    pub weight: Option<u32>,
}

/// Buckets that are alike. Next hops are places in the group's names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedRun {
    /// How many.
    pub buckets: u32,
    /// Who held them: the latest first.
    pub claims: Vec<u16>,
    /// Who owned them.
    pub owner: Option<u16>,
    /// Whom they remember, and for how many seconds already; the first to lose them first.
    pub remembered: Vec<(u16, u32)>,
}

impl SavedGroup {
    /// How many buckets it has.
    pub fn buckets(&self) -> u32 {
        let sum = |sum: u32, run: &SavedRun| sum.saturating_add(run.buckets);
        self.runs.iter().fold(0, sum)
    }

    /// Whether every part of it can be.
    pub fn is_whole(&self) -> bool {
        let buckets = self.buckets();
        let (names, mut keys) = (self.names.len(), HashSet::new());
        let is_known = |name: &u16| usize::from(*name) < names;
        let is_member = |name: &u16| {
            let name = self.names.get(usize::from(*name));
            name.is_some_and(|name| name.weight.is_some())
        };
        let is_right = |run: &SavedRun| {
            let mut claims = HashSet::new();
            let mut lost = HashSet::new();
            run.buckets > 0
                && run.claims.len() <= MAX_PLACES
                && run.claims.iter().all(|c| is_known(c) && claims.insert(*c))
                && run.owner.is_none_or(|owner| is_member(&owner))
                && run.remembered.len() <= MAX_PLACES
                && run
                    .remembered
                    .iter()
                    .all(|(name, _)| is_member(name) && lost.insert(*name))
        };
        let left = |name: &SavedName| name.weight.is_none();
        buckets.is_power_of_two()
            && (2..=MAX_BUCKETS).contains(&buckets)
            && names <= MAX_NAMES
            && self.names.is_sorted_by_key(left)
            && self.names.iter().all(|name| keys.insert(name.key))
            && self.routes.len() <= MAX_SAVED_ROUTES
            && self.runs.iter().all(is_right)
    }
}

/// What was saved, until routes ask for it.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) groups: Vec<KeptGroup>,
    by_prefix: hashbrown::HashMap<Prefix, u32>,
    /// Seconds that had passed since it was saved, when it was handed in.
    elapsed: u32,
    /// When that was.
    since: Secs,
}

#[derive(Debug)]
pub(crate) struct KeptGroup {
    pub(crate) saved: SavedGroup,
    /// Groups that were made of it.
    pub(crate) made: Vec<crate::ids::GroupId>,
}

/// For how long routes may ask for what was saved, seconds.
const KEPT_S: u32 = 3600;

impl Kept {
    /// Takes what was saved `elapsed` seconds before `now`, as far as it is whole. A destination belongs to one group.
    pub(crate) fn new(groups: Vec<SavedGroup>, elapsed: u32, now: Secs) -> Self {
        let whole = groups.into_iter().filter(SavedGroup::is_whole);
        let groups: Vec<KeptGroup> = whole
            .map(|saved| KeptGroup {
                saved,
                made: Vec::new(),
            })
            .collect();
        let named = (0..).zip(&groups);
        let by_prefix = named
            .flat_map(|(at, group)| group.saved.routes.iter().map(move |prefix| (*prefix, at)))
            .collect();
        Self {
            groups,
            by_prefix,
            elapsed,
            since: now,
        }
    }

    /// Which group a destination's route had, if that is said.
    pub(crate) fn named(&self, prefix: &Prefix) -> Option<u32> {
        if self.by_prefix.is_empty() {
            return None;
        }
        self.by_prefix.get(prefix).copied()
    }

    /// What was saved of the group that has a number.
    pub(crate) fn numbered(&self, number: GroupNo) -> Option<u32> {
        let has = |group: &KeptGroup| group.saved.options.group == Some(number);
        let mut numbered = (0..).zip(&self.groups).filter(|(_, group)| has(group));
        numbered.next().map(|(at, _)| at)
    }

    /// The one group of more routes than it names that `is_like` is true of; `None`, if there are several: nobody gets
    /// another group's.
    pub(crate) fn like(&self, is_like: impl Fn(&SavedGroup) -> bool) -> Option<u32> {
        let many = |saved: &SavedGroup| saved.uses as usize > saved.routes.len();
        let like = |(_, group): &(u32, &KeptGroup)| many(&group.saved) && is_like(&group.saved);
        let mut like = (0..).zip(&self.groups).filter(like);
        match (like.next(), like.next()) {
            (Some((at, _)), None) => Some(at),
            _ => None,
        }
    }

    /// What a change of one destination's route may ask for.
    pub(crate) fn of(&self, prefix: &Prefix, number: Option<GroupNo>) -> Vec<SavedGroup> {
        let named = number.map_or_else(|| self.named(prefix), |number| self.numbered(number));
        let group = named.and_then(|at| self.groups.get(at as usize));
        group.map(|group| group.saved.clone()).into_iter().collect()
    }

    /// A destination's route has its group, or is deleted: what was saved is not its any more.
    pub(crate) fn forget(&mut self, prefix: &Prefix) {
        if !self.by_prefix.is_empty() {
            self.by_prefix.remove(prefix);
        }
    }

    /// Seconds since it was saved.
    pub(crate) fn age(&self, now: Secs) -> u32 {
        self.elapsed
            .saturating_add(now.0.saturating_sub(self.since.0))
    }

    /// Nobody asks any more after an hour.
    pub(crate) fn expire(&mut self, now: Secs) {
        if !self.groups.is_empty() && now.0.saturating_sub(self.since.0) >= KEPT_S {
            *self = Self::default();
        }
    }
}
