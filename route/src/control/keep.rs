//! Groups over a restart: read out between other work, and given to the routes that had them.

use super::{Control, shared};
use crate::error::RouteError;
use crate::ids::{GroupId, Secs};
use crate::nhgrp::{Options, Wanted};
use crate::nhop::NhopKey;
use crate::prefix::Prefix;
use crate::saved::{Kept, MAX_SAVED_ROUTES, SavedGroup};
use hashbrown::HashMap;
use std::sync::Arc;

/// Groups being read out.
#[derive(Debug, Default)]
pub struct Saving {
    behind: Option<Prefix>,
    /// The first destinations of each group.
    routes: HashMap<GroupId, Vec<Prefix>>,
    /// Groups that are to be read; `None`: the destinations are not all known yet.
    ids: Option<Vec<GroupId>>,
    /// The group that is being read, with the state of all groups when that began.
    part: Option<(GroupId, u64, SavedGroup)>,
    groups: Vec<SavedGroup>,
}

/// A bucket is as much work as so many destinations, about.
const BUCKET_UNITS: u32 = 4;

impl Saving {
    /// Reads about `units` destinations' worth more. Returns the groups, once all are read.
    pub fn step(&mut self, control: &Control, units: u32) -> Option<Vec<SavedGroup>> {
        let mut left = (units / BUCKET_UNITS).max(1);
        while left > 0 {
            if let Some(part) = self.part.take() {
                left = left.saturating_sub(self.read(control, part, left));
                continue;
            }
            let Some(ids) = &mut self.ids else {
                self.find_routes(control, units);
                return None;
            };
            let Some(id) = ids.pop() else {
                return Some(std::mem::take(&mut self.groups));
            };
            let begun = control.groups.save(id);
            self.part = begun.map(|group| (id, control.layouts(), group));
            left = left.saturating_sub(1);
        }
        None
    }

    /// Reads up to `most` buckets more of a group. Returns how many. If any group has changed since, from the first.
    fn read(
        &mut self,
        control: &Control,
        (id, at, mut group): (GroupId, u64, SavedGroup),
        most: u32,
    ) -> u32 {
        if at != control.layouts() {
            self.part = control.groups.save(id).map(|g| (id, control.layouts(), g));
            return 1;
        }
        let (on, before) = (shared(&control.view), group.buckets());
        let range = (before, most);
        control
            .groups
            .save_buckets(on, id, range, control.now, &mut group);
        let (has, all) = (group.buckets(), control.groups.get(id).map(|g| g.buckets()));
        if all.is_some_and(|all| has < all) {
            self.part = Some((id, at, group));
        } else {
            group.routes = self.routes.remove(&id).unwrap_or_default();
            let uses_it = |prefix: &Prefix| control.rib.get(prefix) == Some(id);
            group.routes.retain(uses_it);
            self.groups.push(group);
        }
        (has - before).max(1)
    }

    fn find_routes(&mut self, control: &Control, most: u32) {
        let mut seen = 0;
        for (prefix, id) in control.prefixes_after(self.behind).take(most as usize) {
            seen += 1;
            self.behind = Some(prefix);
            let routes = self.routes.entry(id).or_default();
            if routes.len() < MAX_SAVED_ROUTES {
                routes.push(prefix);
            }
        }
        if seen < most {
            let several = |id: &GroupId| control.groups.get(*id).is_some_and(|g| g.buckets() > 1);
            self.ids = Some(control.groups.ids().filter(several).collect());
        }
    }
}

impl Control {
    /// Changes whenever a group does: what was saved before is old.
    pub const fn layouts(&self) -> u64 {
        self.groups.version()
    }

    /// A group as it is saved, with up to `most` of its buckets from `from` on, and without its destinations. `None`: there
    /// is no such group, or it has but one bucket.
    pub fn group_layout(&self, id: GroupId, from: u32, most: u32) -> Option<SavedGroup> {
        let mut group = self.groups.save(id)?;
        let on = shared(&self.view);
        self.groups
            .save_buckets(on, id, (from, most), self.now, &mut group);
        Some(group)
    }

    /// Every group as it is saved.
    pub fn save(&self) -> Vec<SavedGroup> {
        let mut saving = Saving::default();
        loop {
            if let Some(groups) = saving.step(self, u32::MAX) {
                return groups;
            }
        }
    }

    /// Takes what a gateway saved `elapsed` seconds ago, as far as it is whole: routes that are made within an hour and
    /// had such a group get it back, with buckets, who may return to them, and history. Returns how many groups.
    pub fn restore(&mut self, groups: Vec<SavedGroup>, elapsed: u32, now: Secs) -> usize {
        self.at(now);
        self.kept = Kept::new(groups, elapsed, now);
        self.kept.groups.len()
    }

    /// The group of a new route, shared, given back or new, with one more route that uses it.
    pub(super) fn group_of_new(
        &mut self,
        prefix: Prefix,
        wanted: &[Wanted],
        options: Options,
    ) -> Result<GroupId, RouteError> {
        let group = match self.kept_of(&prefix, wanted, options) {
            Some(at) => self.group_back(prefix, at, wanted, options)?,
            None => return self.group_for(prefix, wanted, options),
        };
        if options.group.is_none() {
            self.kept.forget(&prefix);
        }
        self.groups.use_group(group);
        self.stick(prefix, group, options);
        Ok(group)
    }

    /// What was saved of a route's group.
    fn kept_of(&self, prefix: &Prefix, wanted: &[Wanted], options: Options) -> Option<u32> {
        if self.kept.groups.is_empty() {
            return None;
        }
        // The number of buckets is the operator's, if he said one.
        let sized = |at: &u32| {
            let saved = self.kept.groups.get(*at as usize);
            let has = saved.map_or(0, |kept| kept.saved.buckets());
            options.buckets == 0 || options.buckets == has
        };
        if let Some(number) = options.group {
            return self.kept.numbered(number).filter(sized);
        }
        let like = |saved: &SavedGroup| {
            let members = saved.names.iter().filter_map(|n| Some((n.key, n.weight?)));
            let mut members: Vec<(NhopKey, u32)> = members.collect();
            members.sort_unstable();
            saved.options == options && Some(members) == self.keys(wanted)
        };
        let kept = self.kept.named(prefix).or_else(|| self.kept.like(like));
        kept.filter(sized)
    }

    fn keys(&self, wanted: &[Wanted]) -> Option<Vec<(NhopKey, u32)>> {
        let key = |w: &Wanted| Some((self.nhops.get(w.idx)?.key, w.weight));
        let mut keys = wanted.iter().map(key).collect::<Option<Vec<_>>>()?;
        keys.sort_unstable();
        Some(keys)
    }

    /// A group made of what was saved, or one that was made of it before and is as wanted.
    fn group_back(
        &mut self,
        prefix: Prefix,
        at: u32,
        wanted: &[Wanted],
        options: Options,
    ) -> Result<GroupId, RouteError> {
        let Some(kept) = self.kept.groups.get(at as usize) else {
            return Err(RouteError::NotFound { prefix });
        };
        let is_as_wanted = |id: &&GroupId| {
            let group = self.groups.get(**id);
            // Clients of a sticky route have templates of their own, so it shares its group with nobody.
            let alike = options.sticky.is_none();
            alike && group.is_some_and(|group| group.options == options && group.wanted() == wanted)
        };
        if let Some(id) = kept.made.iter().find(is_as_wanted) {
            return Ok(*id);
        }
        let view = Arc::clone(&self.view);
        let age = (self.kept.age(self.now), self.now);
        let made = self.groups.restore(
            shared(&view),
            &mut self.nhops,
            &kept.saved,
            (wanted, options),
            age,
        )?;
        if let Some(kept) = self.kept.groups.get_mut(at as usize) {
            kept.made.push(made);
        }
        Ok(made)
    }

    /// Time passes: nobody asks any more for what was saved.
    pub(super) fn expire_kept(&mut self, now: Secs) {
        self.kept.expire(now);
    }
}
