//! Adding, changing and deleting routes.
//!
//! A change to a group that other routes share is made to a copy of it, so that no route disturbs another.
//! Stamps are bumped when pins may have to be judged anew: a route came or went, or a member left its group.
//! A path that is added or gets another weight bumps nothing: pinned flows are to stay.

use super::named::{check_buckets, check_joining, check_members, idle_warning, reweighted};
use super::regroup::idxs;
use super::{Control, Ended, shared};
use crate::error::{GroupError, KindError, MAX_WEIGHT, RouteError};
use crate::ids::{GroupId, GroupNo, NhopIdx, Secs};
use crate::info::{Change, ChangeKind, NhopKeyMatch, PathInfo};
use crate::nhgrp::{Options, OptionsAsked, Wanted};
use crate::nhop::{NhopKey, NhopKind, Path};
use crate::prefix::Prefix;
use std::sync::Arc;

impl Control {
    /// Adds a route, or paths to one that is there.
    ///
    /// # Errors
    /// If a path is there already, cannot be, or a table is full; then nothing was changed.
    pub fn add(&mut self, prefix: Prefix, paths: &[Path], now: Secs) -> Result<Change, RouteError> {
        self.add_with(prefix, paths, OptionsAsked::default(), now)
    }

    /// As [`Self::add`], and says how the route treats flows.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_with(
        &mut self,
        prefix: Prefix,
        paths: &[Path],
        asked: OptionsAsked,
        now: Secs,
    ) -> Result<Change, RouteError> {
        self.at(now);
        self.check_fib(prefix.fib())?;
        // Members may be left out where a group with a number has them.
        let has_them = |number| paths.is_empty() && self.named.get(number).is_some();
        match asked.group.filter(|number| !has_them(*number)) {
            Some(number) if paths.is_empty() => {
                return Err(RouteError::Group(number, GroupError::None));
            }
            Some(number) => check_members(number, paths, 1)?,
            None if asked.group.is_some() => {}
            None => check_paths(prefix, paths, 1)?,
        }
        match self.rib.get(&prefix) {
            None => self.add_route(prefix, paths, &asked),
            Some(group) => self.add_to(prefix, group, paths, asked),
        }
    }

    fn add_to(
        &mut self,
        prefix: Prefix,
        group: GroupId,
        paths: &[Path],
        asked: OptionsAsked,
    ) -> Result<Change, RouteError> {
        let differs = |option| Err(RouteError::Options { prefix, option });
        if asked.group.is_some() {
            return differs("is there already".to_owned());
        }
        let asked = self.check_fixed(&prefix.to_string(), group, asked)?;
        let is = self.groups.get(group).map(|group| group.options);
        match is.and_then(|options| options.unlike(&asked)) {
            Some(option) => differs(option),
            None => self.add_paths(prefix, group, paths),
        }
    }

    /// As [`Self::change`], and says how the route treats flows from now on. Pinned flows stay where they are; flows
    /// without a pin may move. Without paths it says no more than that.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub fn change_with(
        &mut self,
        prefix: Prefix,
        paths: &[Path],
        asked: OptionsAsked,
        deadline: Option<Secs>,
        now: Secs,
    ) -> Result<Change, RouteError> {
        self.at(now);
        let Some(group) = self.rib.get(&prefix) else {
            return Err(RouteError::NotFound { prefix });
        };
        let present = self.groups.get(group);
        let was = present.map_or_else(Options::default, |group| group.options);
        let users = present.map_or(0, |group| group.users());
        match asked.group {
            Some(number) if was.group != Some(number) => {
                return self.rename(prefix, number, paths, &asked, deadline);
            }
            // Others use it too, so it is not this route's to change.
            Some(number) if users > 1 || paths.is_empty() => {
                self.check_same(number, group, paths, &asked)?;
                return Ok(unchanged(prefix, self.paths(group)));
            }
            _ => {}
        }
        let asked = self.check_fixed(&prefix.to_string(), group, asked)?;
        self.set_options(prefix, asked.over(was), now)?;
        if paths.is_empty() && asked != OptionsAsked::default() {
            let own = self.rib.get(&prefix).unwrap_or(group);
            let parted = self.parted(prefix, group).filter(|_| own != group);
            return Ok(Change {
                warning: parted,
                ..unchanged(prefix, self.paths(own))
            });
        }
        self.change(prefix, paths, deadline, now).inspect_err(|_| {
            // Its group is its own by now: this needs no room.
            let _ = self.set_options(prefix, was, now);
        })
    }

    fn set_options(
        &mut self,
        prefix: Prefix,
        options: Options,
        now: Secs,
    ) -> Result<(), RouteError> {
        self.at(now);
        let group = self
            .rib
            .get(&prefix)
            .ok_or(RouteError::NotFound { prefix })?;
        let Some(present) = self.groups.get(group) else {
            return Ok(());
        };
        if present.options == options {
            return Ok(());
        }
        let (shared_by, wanted) = (present.users(), present.wanted());
        let (own, options) = if shared_by > 1 {
            let own = self.part(prefix, group, &wanted)?;
            (own, options.unnamed())
        } else {
            (group, options)
        };
        let view = Arc::clone(&self.view);
        self.groups
            .set_options(shared(&view), &self.nhops, own, options, prefix, self.now);
        Ok(())
    }

    /// Changes a route. If every path names a member, the weights of those change (0 drains: until `deadline`, or
    /// until a weight is given again), and nothing else. Otherwise the paths become the whole set; members
    /// that are in it keep their buckets as far as weights allow.
    ///
    /// # Errors
    /// If there is no such route, a path cannot be, or a table is full; then nothing was changed.
    pub fn change(
        &mut self,
        prefix: Prefix,
        paths: &[Path],
        deadline: Option<Secs>,
        now: Secs,
    ) -> Result<Change, RouteError> {
        self.at(now);
        let group = self
            .rib
            .get(&prefix)
            .ok_or(RouteError::NotFound { prefix })?;
        check_paths(prefix, paths, 0)?;
        let members = self.wanted(group);
        match self.known(&members, paths) {
            Some(known) => self.reweight(prefix, group, paths, &known, deadline),
            None => self.replace(prefix, group, paths, deadline),
        }
    }

    /// The next hops of paths, if all of them are members.
    pub(super) fn known(&self, members: &[Wanted], paths: &[Path]) -> Option<Vec<NhopIdx>> {
        let member = |key| {
            self.nhops
                .idx(key)
                .filter(|idx| members.iter().any(|m| m.idx == *idx))
        };
        paths.iter().map(|p| member(&p.key)).collect()
    }

    /// Deletes a path of a route, and with its last path the route. `which` may be left out if there is but
    /// one, or if the route names a group: then the route goes, and the group stays.
    ///
    /// # Errors
    /// If there is no such route or path, or several match.
    pub fn delete(
        &mut self,
        prefix: Prefix,
        which: Option<&NhopKeyMatch>,
        now: Secs,
    ) -> Result<Change, RouteError> {
        self.at(now);
        let group = self
            .rib
            .get(&prefix)
            .ok_or(RouteError::NotFound { prefix })?;
        let all = self.paths(group);
        let names_group = self
            .groups
            .get(group)
            .is_some_and(|g| g.options.group.is_some());
        if names_group && which.is_none() {
            return self.delete_whole(prefix, group);
        }
        let any = NhopKeyMatch::default();
        let which = which.unwrap_or(&any);
        let hit: Vec<&PathInfo> = all.iter().filter(|p| which.matches(&p.key)).collect();
        match hit.as_slice() {
            [] => Err(RouteError::NoSuchPath {
                prefix,
                paths: names(all.iter()),
            }),
            [path] => self.delete_paths(prefix, group, &[path.idx]),
            several => Err(RouteError::Ambiguous {
                prefix,
                paths: names(several.iter().copied()),
            }),
        }
    }

    fn add_route(
        &mut self,
        prefix: Prefix,
        paths: &[Path],
        asked: &OptionsAsked,
    ) -> Result<Change, RouteError> {
        check_buckets(asked)?;
        let limit = self.cfg.max_routes as usize;
        if self.rib.len(prefix.family()) >= limit {
            return Err(RouteError::Full {
                what: "routes",
                limit: limit as u64,
            });
        }
        let warning = self.mtu_warning(paths);
        let is_there = |number: &GroupNo| self.named.get(*number).is_some();
        let (there, new) = match asked.group {
            Some(number) if is_there(&number) => (Some(number), None),
            new => (None, new),
        };
        let group = match there {
            Some(number) => self.join_named(prefix, number, paths, asked)?,
            None => self.make_for(prefix, paths, asked)?,
        };
        if let Err(full) = self.set_fib(&prefix, group) {
            let ended = self.release(group);
            self.end_unnamed(&ended);
            new.into_iter()
                .for_each(|number| drop(self.drop_named(number)));
            return Err(full.into());
        }
        self.point(prefix, Some(group));
        self.view.stamps.bump(&prefix);
        let paths = self.paths(group);
        let warning = warning.or_else(|| self.share_warning(&prefix.to_string(), group));
        Ok(Change {
            kind: ChangeKind::Added,
            prefix,
            paths,
            removed_nhops: Vec::new(),
            warning,
        })
    }

    /// The group of a new route, shared with others or new, with one more use. One that is to have a number gets it.
    fn make_for(
        &mut self,
        prefix: Prefix,
        paths: &[Path],
        asked: &OptionsAsked,
    ) -> Result<GroupId, RouteError> {
        let options = asked.over(Options::default());
        let wanted = self.intern(prefix, &[], paths, None, self.groups.size(options))?;
        let group = self.group_of_new(prefix, &wanted, options);
        let group = group.inspect_err(|_| {
            self.end_unnamed(&idxs(&wanted));
        })?;
        if let Some(number) = options.group {
            self.hold(number, group);
        }
        Ok(group)
    }

    fn add_paths(
        &mut self,
        prefix: Prefix,
        group: GroupId,
        paths: &[Path],
    ) -> Result<Change, RouteError> {
        let mut wanted = self.wanted(group);
        for path in paths {
            let idx = self.nhops.idx(&path.key);
            if wanted.iter().any(|m| Some(m.idx) == idx) {
                return Err(RouteError::Exists {
                    prefix,
                    key: path.key,
                });
            }
        }
        let alone = self
            .paths(group)
            .into_iter()
            .map(|p| p.key)
            .find(|key| !key.kind.balances());
        if let Some(key) =
            alone.or_else(|| paths.iter().map(|p| p.key).find(|k| !k.kind.balances()))
        {
            return Err(RouteError::Kind(KindError::Alone(key.kind.name()), prefix));
        }
        let warning = self.mtu_warning(paths);
        let size = self.groups.size_of(group);
        let new = self.intern(prefix, &wanted, paths, None, size)?;
        wanted.extend(&new);
        let change = self.commit(prefix, group, &wanted, &idxs(&new), warning)?;
        let kind = ChangeKind::Added;
        Ok(Change { kind, ..change })
    }

    fn reweight(
        &mut self,
        prefix: Prefix,
        group: GroupId,
        paths: &[Path],
        known: &[NhopIdx],
        deadline: Option<Secs>,
    ) -> Result<Change, RouteError> {
        let wanted = reweighted(self.wanted(group), paths, known, deadline);
        let warning = idle_warning(&wanted, &prefix.to_string());
        let all_end = wanted.iter().all(|m| m.deadline.is_some());
        let warning = warning.map(|line| match all_end {
            true => format!("{line}; when the last deadline comes, the route is deleted"),
            false => line,
        });
        let change = self.commit(prefix, group, &wanted, known, warning)?;
        for (path, idx) in paths.iter().zip(known) {
            self.nhops.set_mtu(&self.view.nhops, *idx, path.mtu);
        }
        Ok(change)
    }

    fn replace(
        &mut self,
        prefix: Prefix,
        group: GroupId,
        paths: &[Path],
        deadline: Option<Secs>,
    ) -> Result<Change, RouteError> {
        let warning = self.mtu_warning(paths);
        check_joining(self, &self.wanted(group), paths)?;
        let size = self.groups.size_of(group);
        let wanted = self.intern(prefix, &[], paths, deadline, size)?;
        self.commit(prefix, group, &wanted, &idxs(&wanted), warning)
    }

    /// Takes paths out of a route, and the route away with the last of them.
    pub(super) fn delete_paths(
        &mut self,
        prefix: Prefix,
        group: GroupId,
        gone: &[NhopIdx],
    ) -> Result<Change, RouteError> {
        let rest: Vec<Wanted> = self
            .wanted(group)
            .into_iter()
            .filter(|m| !gone.contains(&m.idx))
            .collect();
        let paths = self
            .paths(group)
            .into_iter()
            .filter(|p| gone.contains(&p.idx))
            .collect();
        let kind = ChangeKind::Deleted;
        if rest.is_empty() {
            return self.delete_whole(prefix, group);
        }
        let warning = idle_warning(&rest, &prefix.to_string());
        let change = self.commit(prefix, group, &rest, &[], warning)?;
        Ok(Change {
            kind,
            paths,
            ..change
        })
    }

    /// Deletes a route with all its paths.
    fn delete_whole(&mut self, prefix: Prefix, group: GroupId) -> Result<Change, RouteError> {
        let paths = self.paths(group);
        let removed_nhops = self.delete_route(prefix, group)?;
        Ok(Change {
            kind: ChangeKind::Deleted,
            prefix,
            paths,
            removed_nhops,
            warning: None,
        })
    }

    fn delete_route(&mut self, prefix: Prefix, group: GroupId) -> Result<Ended, RouteError> {
        self.remove_fib(&prefix)?;
        self.kept.forget(&prefix);
        self.point(prefix, None);
        self.view.stamps.bump(&prefix);
        let left = self.release(group);
        Ok(self.end_unnamed(&left))
    }

    /// What a route is told that leaves a group which others name too.
    fn parted(&self, prefix: Prefix, group: GroupId) -> Option<String> {
        let group = self.groups.get(group)?;
        let (number, others) = (group.options.group?, group.users());
        Some(format!(
            "{prefix} has a group of its own now: {others} others have group {number}, which 'group change {number}' \
             changes for all"
        ))
    }

    /// Gives a route the members that are wanted. Next hops that were interned for nothing are ended.
    fn commit(
        &mut self,
        prefix: Prefix,
        group: GroupId,
        wanted: &[Wanted],
        concerned: &[NhopIdx],
        warning: Option<String>,
    ) -> Result<Change, RouteError> {
        let (now_group, left) = self.regroup(prefix, group, wanted).inspect_err(|_| {
            self.end_unnamed(&idxs(wanted));
        })?;
        if !left.is_empty() {
            self.view.stamps.bump(&prefix);
        }
        self.unsettle_within(&prefix);
        let removed_nhops = self.end_unnamed(&left);
        match self.groups.get(now_group).and_then(|g| g.options.group) {
            Some(number) => self.note_deadlines(number, wanted),
            None => {
                let deadlines = wanted.iter().filter_map(|m| m.deadline);
                self.deadlines.extend(deadlines.map(|at| (at, prefix)));
            }
        }
        let paths = self.paths_of(now_group, concerned);
        // Who only leaves makes nobody's share smaller.
        let share = || self.share_warning(&prefix.to_string(), now_group);
        let parted = || self.parted(prefix, group).filter(|_| now_group != group);
        let warning = warning.or_else(parted);
        let warning = warning.or_else(|| share().filter(|_| !concerned.is_empty()));
        Ok(Change {
            kind: ChangeKind::Changed,
            prefix,
            paths,
            removed_nhops,
            warning,
        })
    }
}

/// A change that asks for what there is.
pub(super) const fn unchanged(prefix: Prefix, paths: Vec<PathInfo>) -> Change {
    Change {
        kind: ChangeKind::Changed,
        prefix,
        paths,
        removed_nhops: Vec::new(),
        warning: None,
    }
}

pub(super) fn names<'a>(paths: impl Iterator<Item = &'a PathInfo>) -> String {
    paths
        .map(|p| p.key.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Refuses paths that cannot be: of the wrong shape, named twice, or with a weight below `least`.
pub(super) fn check_paths(prefix: Prefix, paths: &[Path], least: u32) -> Result<(), RouteError> {
    if paths.is_empty() {
        return Err(RouteError::Kind(KindError::NoPath, prefix));
    }
    let mut keys: Vec<NhopKey> = paths.iter().map(|p| p.key).collect();
    keys.sort_unstable();
    if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(RouteError::Exists {
            prefix,
            key: twice[0],
        });
    }
    for Path { key, weight, .. } in paths {
        let kind = match (key.kind, key.gateway) {
            (NhopKind::Gateway, None) => Some(KindError::NoGateway),
            (NhopKind::Gateway, Some(_)) => None,
            (other, Some(_)) => Some(KindError::HasGateway(other.name())),
            (other, None) if paths.len() > 1 && !other.balances() => {
                Some(KindError::Alone(other.name()))
            }
            (_, None) => None,
        };
        if let Some(kind) = kind {
            return Err(RouteError::Kind(kind, prefix));
        }
        if !(least..=MAX_WEIGHT).contains(weight) {
            return Err(RouteError::BadWeight { weight: *weight });
        }
    }
    Ok(())
}
