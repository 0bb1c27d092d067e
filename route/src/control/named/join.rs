//! Routes and the groups that they name: one is joined if it is as the route says, or made of the route's own.

use super::super::Control;
use super::super::regroup::idxs;
use super::{check_buckets, check_joining, check_members};
use crate::error::{GroupError, RouteError};
use crate::ids::{GroupId, GroupNo, NhopIdx, Secs};
use crate::info::{Change, ChangeKind};
use crate::nhgrp::{OptionsAsked, StickyAsked, Wanted};
use crate::nhop::{NhopKey, Path};
use crate::prefix::Prefix;
use std::net::IpAddr;

impl Control {
    /// The group that a route names, with one more use. What the route says of members and options must be what the
    /// group has; it may say nothing of either.
    ///
    /// # Errors
    /// If there is no such group, or it is another than the route says.
    pub(in crate::control) fn join_named(
        &mut self,
        prefix: Prefix,
        number: GroupNo,
        paths: &[Path],
        asked: &OptionsAsked,
    ) -> Result<GroupId, RouteError> {
        let group = self.numbered(number)?;
        self.check_same(number, group, paths, asked)?;
        let keys = self.paths(group).into_iter().map(|path| path.key);
        let mut v4 = keys.filter_map(|key| key.gateway).filter(IpAddr::is_ipv4);
        if let Some(gateway) = v4.next().filter(|_| prefix.addr().is_ipv6()) {
            return Err(RouteError::Group(number, GroupError::Four(gateway)));
        }
        self.groups.use_group(group);
        Ok(group)
    }

    /// Refuses what a route says otherwise of a group than it is.
    pub(in crate::control) fn check_same(
        &self,
        number: GroupNo,
        group: GroupId,
        paths: &[Path],
        asked: &OptionsAsked,
    ) -> Result<(), RouteError> {
        let refused = |what| Err(RouteError::Group(number, GroupError::Differs(what)));
        let asked = self.check_fixed(&format!("group {number}"), group, *asked)?;
        let Some(is) = self.groups.get(group) else {
            return Ok(());
        };
        if !paths.is_empty() && !self.has_paths(group, paths) {
            return refused("members");
        }
        match is.options.unlike(&asked) {
            Some(_) => refused("options"),
            None => Ok(()),
        }
    }

    /// Whether these, with these weights, are the members of a group.
    pub(in crate::control) fn has_paths(&self, group: GroupId, paths: &[Path]) -> bool {
        let Some(group) = self.groups.get(group) else {
            return false;
        };
        let weight = |key: &NhopKey| {
            let idx = self.nhops.idx(key)?;
            group.member(idx).map(|member| member.is.weight)
        };
        group.members.len() == paths.len()
            && paths
                .iter()
                .all(|path| weight(&path.key) == Some(path.weight))
    }

    /// Refuses another number of buckets than a group has, and a time for clients that it does not tell apart. What is left
    /// of the options asked for may change.
    pub(in crate::control) fn check_fixed(
        &self,
        what: &str,
        group: GroupId,
        asked: OptionsAsked,
    ) -> Result<OptionsAsked, RouteError> {
        check_buckets(&asked)?;
        let is_sticky = self.options_of(group).sticky.is_some();
        if !is_sticky && asked.sticky.is_some_and(StickyAsked::is_time_alone) {
            let what = what.to_owned();
            return Err(RouteError::NotSticky { what });
        }
        let has = self.groups.size_of(group);
        match asked.buckets.filter(|asked| *asked != has) {
            Some(asked) => Err(RouteError::FixedBuckets {
                what: what.to_owned(),
                has,
                asked,
            }),
            None => Ok(OptionsAsked {
                buckets: None,
                ..asked
            }),
        }
    }

    /// Gives a route that is there the group that it names, or makes that of the route's: with its layout and history.
    pub(in crate::control) fn rename(
        &mut self,
        prefix: Prefix,
        number: GroupNo,
        paths: &[Path],
        asked: &OptionsAsked,
        deadline: Option<Secs>,
    ) -> Result<Change, RouteError> {
        let from = self.rib.get(&prefix);
        let from = from.ok_or(RouteError::NotFound { prefix })?;
        let before = self.wanted(from);
        let is_new = self.named.get(number).is_none();
        let target = if is_new {
            self.name_copy(prefix, (from, number), paths, asked, deadline)?
        } else {
            self.join_named(prefix, number, paths, asked)?
        };
        if let Err(full) = self.repoint(prefix, from, target) {
            if is_new {
                self.drop_named(number);
            }
            return Err(full);
        }
        let members = self.wanted(target);
        let gone = |m: &&Wanted| members.iter().all(|w| w.idx != m.idx);
        let left: Vec<NhopIdx> = before.iter().filter(gone).map(|m| m.idx).collect();
        if !left.is_empty() {
            self.view.stamps.bump(&prefix);
        }
        Ok(Change {
            kind: ChangeKind::Changed,
            prefix,
            paths: self.paths(target),
            removed_nhops: self.end_unnamed(&left),
            warning: self.share_warning(&prefix.to_string(), target),
        })
    }

    /// A copy of a route's group that gets a number and other members, with one use by the route.
    fn name_copy(
        &mut self,
        prefix: Prefix,
        (from, number): (GroupId, GroupNo),
        paths: &[Path],
        asked: &OptionsAsked,
        deadline: Option<Secs>,
    ) -> Result<GroupId, RouteError> {
        if paths.is_empty() {
            return Err(RouteError::Group(number, GroupError::None));
        }
        check_members(number, paths, 0)?;
        check_joining(self, &self.wanted(from), paths)?;
        let asked = self.check_fixed(&prefix.to_string(), from, *asked)?;
        let options = asked.over(self.options_of(from));
        let wanted = self.intern(prefix, &[], paths, deadline, self.groups.size_of(from))?;
        let made = self.copy_with(prefix, from, &wanted, options);
        let made = made.inspect_err(|_| {
            self.end_unnamed(&idxs(&wanted));
        })?;
        self.hold(number, made);
        self.note_deadlines(number, &wanted);
        Ok(made)
    }

    /// A group that was just made has a number from now on, and a use by that.
    pub(in crate::control) fn hold(&mut self, number: GroupNo, group: GroupId) {
        self.groups.use_group(group);
        self.named.insert(number, group);
    }

    /// Gives a route its group in the RIB, or takes it away.
    pub(in crate::control) fn point(&mut self, prefix: Prefix, to: Option<GroupId>) {
        let from = match to {
            Some(group) => self.rib.set(prefix, group),
            None => self.rib.remove(&prefix),
        };
        self.named.moved(prefix, from, to);
    }
}
