//! Adding, changing and deleting routes.
//!
//! A change to a group that other routes share is made to a copy of it, so that no route disturbs another.
//! Stamps are bumped when pins may have to be judged anew: a route came or went, or a member left its group.
//! A path that is added or gets another weight bumps nothing: pinned flows are to stay.

use super::regroup::idxs;
use super::{Control, Ended, shared};
use crate::error::{KindError, MAX_WEIGHT, RouteError};
use crate::ids::{GroupId, NhopIdx, Secs};
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
        check_paths(prefix, paths, 1)?;
        match self.rib.get(&prefix) {
            None => self.add_route(prefix, paths, asked.over(Options::default())),
            Some(group) => match self
                .groups
                .get(group)
                .and_then(|g| g.options.unlike(&asked))
            {
                Some(option) => Err(RouteError::Options { prefix, option }),
                None => self.add_paths(prefix, group, paths),
            },
        }
    }

    /// As [`Self::change`], and says how the route treats flows from now on. Pinned flows stay where they are; flows
    /// without a pin may move.
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
        let group = self.rib.get(&prefix).and_then(|id| self.groups.get(id));
        let was = group.map_or_else(Options::default, |group| group.options);
        self.set_options(prefix, asked.over(was), now)?;
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
        let (shared_by, wanted) = (present.routes, present.wanted());
        let own = if shared_by > 1 {
            self.part(prefix, group, &wanted)?
        } else {
            group
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
        let member = |key| {
            self.nhops
                .idx(key)
                .filter(|idx| members.iter().any(|m| m.idx == *idx))
        };
        let known: Option<Vec<NhopIdx>> = paths.iter().map(|p| member(&p.key)).collect();
        match known {
            Some(known) => self.reweight(prefix, group, paths, &known, deadline),
            None => self.replace(prefix, group, paths, deadline),
        }
    }

    /// Deletes a path of a route, and with its last path the route. `which` may be left out if there is but
    /// one.
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
        options: Options,
    ) -> Result<Change, RouteError> {
        let limit = self.cfg.max_routes as usize;
        if self.rib.len(prefix.family()) >= limit {
            return Err(RouteError::Full {
                what: "routes",
                limit: limit as u64,
            });
        }
        let warning = self.mtu_warning(paths);
        let wanted = self.intern(prefix, &[], paths, None)?;
        let idxs = idxs(&wanted);
        let group = self
            .group_of_new(prefix, &wanted, options)
            .inspect_err(|_| {
                self.end_unnamed(&idxs);
            })?;
        if let Err(full) = self.set_fib(&prefix, group) {
            self.release(group);
            self.end_unnamed(&idxs);
            return Err(full.into());
        }
        self.rib.set(prefix, group);
        self.view.stamps.bump(&prefix);
        let paths = self.paths(group);
        let warning = warning.or_else(|| self.share_warning(prefix, group));
        Ok(Change {
            kind: ChangeKind::Added,
            prefix,
            paths,
            removed_nhops: Vec::new(),
            warning,
        })
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
        let new = self.intern(prefix, &wanted, paths, None)?;
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
        let mut wanted = self.wanted(group);
        for (path, idx) in paths.iter().zip(known) {
            for member in wanted.iter_mut().filter(|m| m.idx == *idx) {
                member.weight = path.weight;
                member.deadline = deadline.filter(|_| path.weight == 0);
            }
        }
        let idle = wanted.iter().all(|m| m.weight == 0);
        let warning = idle.then(|| format!("{prefix} takes no new flows: every path has weight 0"));
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
        let members = self.wanted(group);
        let joins = |p: &&Path| {
            let idx = self.nhops.idx(&p.key);
            members.iter().all(|m| Some(m.idx) != idx)
        };
        if let Some(path) = paths.iter().filter(joins).find(|p| p.weight == 0) {
            return Err(RouteError::BadWeight {
                weight: path.weight,
            });
        }
        let wanted = self.intern(prefix, &[], paths, deadline)?;
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
            let removed_nhops = self.delete_route(prefix, group)?;
            return Ok(Change {
                kind,
                prefix,
                paths,
                removed_nhops,
                warning: None,
            });
        }
        let change = self.commit(prefix, group, &rest, &[], None)?;
        Ok(Change {
            kind,
            paths,
            ..change
        })
    }

    fn delete_route(&mut self, prefix: Prefix, group: GroupId) -> Result<Ended, RouteError> {
        self.remove_fib(&prefix)?;
        self.kept.forget(&prefix);
        self.rib.remove(&prefix);
        self.view.stamps.bump(&prefix);
        let left = self.release(group);
        Ok(self.end_unnamed(&left))
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
        let deadlines = wanted.iter().filter_map(|m| m.deadline);
        self.deadlines.extend(deadlines.map(|at| (at, prefix)));
        let mut paths = self.paths(now_group);
        paths.retain(|p| concerned.contains(&p.idx));
        // Who only leaves makes nobody's share smaller.
        let share = || self.share_warning(prefix, now_group);
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

fn names<'a>(paths: impl Iterator<Item = &'a PathInfo>) -> String {
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
