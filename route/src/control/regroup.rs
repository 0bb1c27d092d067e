//! Which group a route has: shared with others, its own, or a copy when it is about to differ.

use super::change::unchanged;
use super::{Control, shared};
use crate::error::RouteError;
use crate::ids::{GroupId, NhopIdx, Secs};
use crate::info::Change;
use crate::nhgrp::{GroupCtl, Options, Wanted};
use crate::nhop::Path;
use crate::prefix::Prefix;
use std::sync::Arc;

/// Buckets of which one more or less is one percent: who is due so many has its share to within that.
const EXACT_BUCKETS: u64 = 100;

impl Control {
    /// Returns the route's group afterwards, and who left it.
    pub(super) fn regroup(
        &mut self,
        prefix: Prefix,
        group: GroupId,
        wanted: &[Wanted],
    ) -> Result<(GroupId, Vec<NhopIdx>), RouteError> {
        let before = self.wanted(group);
        if before == wanted {
            return Ok((group, Vec::new()));
        }
        let left = || -> Vec<NhopIdx> {
            let gone = |m: &&Wanted| wanted.iter().all(|w| w.idx != m.idx);
            before.iter().filter(gone).map(|m| m.idx).collect()
        };
        let Some(present) = self.groups.get(group) else {
            return Err(RouteError::NotFound { prefix });
        };
        if let ([old], [new]) = (before.as_slice(), wanted)
            && present.buckets() == 1
            && present.options.group.is_none()
            && old.idx != new.idx
            && new.weight > 0
        {
            // Nothing of a single next hop's group is worth keeping when that next hop leaves.
            let target = self.group_for(prefix, wanted, present.options)?;
            self.repoint(prefix, group, target)?;
            return Ok((target, left()));
        }
        if present.users() > 1 {
            return Ok((self.part(prefix, group, wanted)?, left()));
        }
        let view = Arc::clone(&self.view);
        let on = shared(&view);
        let left = self
            .groups
            .set_members(on, &mut self.nhops, group, wanted, self.now)?;
        Ok((group, left))
    }

    /// Gives a route that shares its group one of its own, with other members. Returns that.
    pub(super) fn part(
        &mut self,
        prefix: Prefix,
        group: GroupId,
        wanted: &[Wanted],
    ) -> Result<GroupId, RouteError> {
        let present = self.groups.get(group);
        let options = present.map_or_else(Options::default, |group| group.options.unnamed());
        let own = self.copy_with(prefix, group, wanted, options)?;
        self.repoint(prefix, group, own)?;
        Ok(own)
    }

    /// A copy of a group, history and all, with other members and one use: by `prefix`, and by others unless it is
    /// sticky.
    pub(super) fn copy_with(
        &mut self,
        prefix: Prefix,
        from: GroupId,
        wanted: &[Wanted],
        options: Options,
    ) -> Result<GroupId, RouteError> {
        let view = Arc::clone(&self.view);
        let on = shared(&view);
        let own = self.groups.fork(on, &mut self.nhops, from, self.now)?;
        self.groups.use_group(own);
        let set = self
            .groups
            .set_members(on, &mut self.nhops, own, wanted, self.now);
        if let Err(full) = set {
            self.release(own);
            return Err(full.into());
        }
        self.groups
            .set_options(on, &self.nhops, own, options, prefix, self.now);
        Ok(own)
    }

    /// Moves a route to another group, of which it is a user already; takes that back if it cannot.
    pub(super) fn repoint(
        &mut self,
        prefix: Prefix,
        from: GroupId,
        to: GroupId,
    ) -> Result<(), RouteError> {
        if let Err(full) = self.set_fib(&prefix, to) {
            self.release(to);
            return Err(full.into());
        }
        self.point(prefix, Some(to));
        self.release(from);
        Ok(())
    }

    /// A group with these members, shared or new, with one more route that uses it: `prefix`, and others unless it is
    /// sticky.
    pub(super) fn group_for(
        &mut self,
        prefix: Prefix,
        wanted: &[Wanted],
        options: Options,
    ) -> Result<GroupId, RouteError> {
        let view = Arc::clone(&self.view);
        let group = match self.groups.find(&self.nhops, wanted, options) {
            Some(group) => group,
            None => {
                self.groups
                    .create(shared(&view), &mut self.nhops, wanted, options, self.now)?
            }
        };
        self.groups.use_group(group);
        self.stick(prefix, group, options);
        Ok(group)
    }

    /// Tells workers under which id a sticky route's clients have templates. Its group is its own.
    pub(super) fn stick(&mut self, prefix: Prefix, group: GroupId, options: Options) {
        if options.sticky.is_some() {
            let view = Arc::clone(&self.view);
            let (on, nhops) = (shared(&view), &self.nhops);
            self.groups
                .set_options(on, nhops, group, options, prefix, self.now);
        }
    }

    /// One route less uses the group. Returns whom it named, if it ended.
    pub(super) fn release(&mut self, group: GroupId) -> Vec<NhopIdx> {
        let view = Arc::clone(&self.view);
        self.groups.release(shared(&view), &mut self.nhops, group)
    }

    /// The members as they are wanted now.
    pub(super) fn wanted(&self, group: GroupId) -> Vec<Wanted> {
        self.groups.get(group).map_or_else(Vec::new, |g| g.wanted())
    }

    /// The next hops of paths, made where there are none, for a group of so many buckets (if it has several members) that
    /// has `others` already. On failure none is left behind.
    pub(super) fn intern(
        &mut self,
        prefix: Prefix,
        others: &[Wanted],
        paths: &[Path],
        deadline: Option<Secs>,
        size: u32,
    ) -> Result<Vec<Wanted>, RouteError> {
        let (count, limit) = (others.len() + paths.len(), GroupCtl::max_members(size));
        if count > limit {
            return Err(RouteError::TooManyMembers {
                prefix,
                count,
                limit,
            });
        }
        self.nhops.reclaim(&self.view.qsbr);
        let mut wanted = Vec::with_capacity(paths.len());
        for path in paths {
            // A recursive one that is new has to be resolved.
            self.unsettled |= path.key.resolved().is_some() && self.nhops.idx(&path.key).is_none();
            let Some(idx) = self.nhops.intern(&self.view.nhops, path) else {
                self.end_unnamed(&idxs(&wanted));
                let limit = u64::from(self.nhops.max());
                return Err(RouteError::Full {
                    what: "next hops",
                    limit,
                });
            };
            let deadline = deadline.filter(|_| path.weight == 0);
            wanted.push(Wanted {
                idx,
                weight: path.weight,
                deadline,
            });
        }
        Ok(wanted)
    }

    /// A member's buckets are off its share by up to one: that is felt by who is due few.
    pub(super) fn share_warning(&self, what: &str, group: GroupId) -> Option<String> {
        let group = self.groups.get(group)?;
        let members = group.members.iter().map(|m| m.is).filter(|m| m.weight > 0);
        let total: u64 = members.clone().map(|m| u64::from(m.weight)).sum();
        let least = members.clone().min_by_key(|m| m.weight)?;
        let (buckets, weight) = (u64::from(group.buckets()), u64::from(least.weight));
        let by_default = group.options.buckets == 0;
        if members.count() < 2 || buckets * weight >= EXACT_BUCKETS * total {
            return None;
        }
        let key = self.nhops.get(least.idx)?.key;
        let due = (buckets * weight) as f64 / total as f64;
        let due = if due < 0.05 {
            "fewer than 0.1".to_owned()
        } else {
            format!("{due:.1}")
        };
        let more = match buckets {
            _ if buckets >= u64::from(crate::MAX_BUCKETS) => "",
            _ if by_default => "raise buckets in [tables], or ",
            _ => "give it more buckets when it is made, or ",
        };
        Some(format!(
            "{what}: {key} is due {due} of {buckets} buckets, and its share may be off by up to one: {more}name \
             fewer gateways, or weights that differ less"
        ))
    }

    /// Changes the MTU of next hops of a route, and with it that of every route by them. Nothing else changes.
    ///
    /// # Errors
    /// If there is no such route.
    pub fn change_mtu(
        &mut self,
        prefix: Prefix,
        mtus: &[(NhopIdx, u32)],
    ) -> Result<Change, RouteError> {
        let group = self.rib.get(&prefix);
        let group = group.ok_or(RouteError::NotFound { prefix })?;
        for (idx, mtu) in mtus {
            self.nhops.set_mtu(&self.view.nhops, *idx, *mtu);
        }
        Ok(unchanged(prefix, self.paths(group)))
    }

    /// Equal keys share one slot, and a slot has one MTU.
    pub(super) fn mtu_warning(&self, paths: &[Path]) -> Option<String> {
        let differs = |path: &Path| {
            let nhop = self.nhops.get(self.nhops.idx(&path.key)?)?;
            Some(nhop.mtu).filter(|mtu| *mtu != path.mtu)
        };
        let (path, mtu) = paths.iter().find_map(|path| Some((path, differs(path)?)))?;
        Some(format!(
            "{} keeps its MTU of {mtu}: other routes use it; change one of them to set {}",
            path.key, path.mtu
        ))
    }
}

pub(super) fn idxs(wanted: &[Wanted]) -> Vec<NhopIdx> {
    wanted.iter().map(|w| w.idx).collect()
}
