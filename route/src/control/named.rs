//! Groups that have a number: objects of their own, which routes name and an operator changes for all of them at once.
//!
//! A number holds on to its group by one use, so the group is there without routes too. A change is one change of one
//! group, whatever the number of its routes: buckets move as for any group, and if a member leaves, the stamps of the
//! routes are bumped, or, if these are many, all.
//!
//! A route that is to differ from a group that others use too gets a copy of it, layout and history, without a number.

mod check;
mod join;
mod users;

pub(super) use check::{check_buckets, check_joining, check_members, idle_warning, reweighted};
pub(super) use users::Named;

use super::change::names;
use super::regroup::idxs;
use super::{Control, Ended, shared};
use crate::error::{GroupError, RouteError};
use crate::ids::{GroupId, GroupNo, NhopIdx, Secs};
use crate::info::{ChangeKind, GroupChange, NhopKeyMatch};
use crate::nhgrp::{Options, OptionsAsked, Wanted};
use crate::nhop::Path;
use crate::prefix::Prefix;
use check::of_group;
use std::net::IpAddr;
use std::sync::Arc;

/// A change that a group is to get.
struct Wish {
    wanted: Vec<Wanted>,
    options: Options,
}

impl Control {
    /// The group that has a number.
    pub fn group_numbered(&self, number: GroupNo) -> Option<GroupId> {
        self.named.get(number)
    }

    /// Every group that has a number, by that.
    pub fn numbered_groups(&self) -> impl Iterator<Item = (GroupNo, GroupId)> + '_ {
        self.named.all()
    }

    /// Makes a group with a number, that no route uses yet; it gets the layout back that it had before a restart. Or adds
    /// members to one that is there.
    ///
    /// # Errors
    /// If a member is one already or cannot be, options are others, or a table is full; then nothing was changed.
    pub fn group_add(
        &mut self,
        number: GroupNo,
        paths: &[Path],
        asked: OptionsAsked,
        now: Secs,
    ) -> Result<GroupChange, RouteError> {
        self.at(now);
        check_members(number, paths, 1)?;
        check_buckets(&asked)?;
        if let Some(group) = self.named.get(number) {
            return self.add_members(number, group, paths, &asked);
        }
        let options = OptionsAsked {
            group: Some(number),
            ..asked
        };
        let options = options.over(Options::default());
        let warning = self.mtu_warning(paths);
        let nobody = Prefix::masked(IpAddr::from([0; 4]), 0);
        let wanted = self.intern(nobody, &[], paths, None, self.groups.size(options));
        let wanted = wanted.map_err(|error| of_group(number, error))?;
        let group = self.group_of_new(nobody, &wanted, options);
        let group = group.inspect_err(|_| {
            self.end_unnamed(&idxs(&wanted));
        })?;
        // The one use that it has is the number's.
        self.named.insert(number, group);
        let warning = warning.or_else(|| self.share_warning(&format!("group {number}"), group));
        Ok(GroupChange {
            kind: ChangeKind::Added,
            number,
            group,
            paths: self.paths(group),
            removed_nhops: Vec::new(),
            warning,
        })
    }

    fn add_members(
        &mut self,
        number: GroupNo,
        group: GroupId,
        paths: &[Path],
        asked: &OptionsAsked,
    ) -> Result<GroupChange, RouteError> {
        self.check_same(number, group, &[], asked)?;
        let mut wanted = self.wanted(group);
        let is_member = |path: &&Path| {
            let idx = self.nhops.idx(&path.key);
            wanted.iter().any(|m| Some(m.idx) == idx)
        };
        if let Some(path) = paths.iter().find(is_member) {
            return Err(RouteError::Group(number, GroupError::Has(path.key)));
        }
        self.check_families(number, group, paths)?;
        let warning = self.mtu_warning(paths);
        let size = self.groups.size_of(group);
        let nobody = Prefix::masked(IpAddr::from([0; 4]), 0);
        let new = self.intern(nobody, &wanted, paths, None, size);
        let new = new.map_err(|error| of_group(number, error))?;
        wanted.extend(&new);
        let options = self.options_of(group);
        let concerned = idxs(&new);
        let wish = Wish { wanted, options };
        let removed_nhops = self.grant(number, group, &wish, options)?;
        let warning = warning.or_else(|| self.share_warning(&format!("group {number}"), group));
        Ok(GroupChange {
            kind: ChangeKind::Added,
            number,
            group,
            paths: self.paths_of(group, &concerned),
            removed_nhops,
            warning,
        })
    }

    fn options_of(&self, group: GroupId) -> Options {
        let group = self.groups.get(group);
        group.map_or_else(Options::default, |group| group.options)
    }

    /// Changes a group for all routes that name it, as [`Self::change`] changes a route: if every path names a member,
    /// the weights of those; otherwise the paths become the whole set. Without paths only the options change.
    ///
    /// # Errors
    /// If there is no such group, a member cannot be, or a table is full; then nothing was changed.
    pub fn group_change(
        &mut self,
        number: GroupNo,
        paths: &[Path],
        asked: OptionsAsked,
        deadline: Option<Secs>,
        now: Secs,
    ) -> Result<GroupChange, RouteError> {
        self.at(now);
        let group = self.numbered(number)?;
        let what = format!("group {number}");
        let asked = self.check_fixed(&what, group, asked)?;
        let was = self.options_of(group);
        let known = self.known(&self.wanted(group), paths);
        let warning = self.mtu_warning(paths).filter(|_| known.is_none());
        let (wanted, concerned) = self.wish(number, group, paths, deadline)?;
        let idle = idle_warning(&wanted, &what);
        let options = asked.over(was);
        let removed_nhops = self.grant(number, group, &Wish { wanted, options }, was)?;
        for (idx, path) in known.into_iter().flatten().zip(paths) {
            self.nhops.set_mtu(&self.view.nhops, idx, path.mtu);
        }
        let warning = idle.or(warning);
        let warning = warning.or_else(|| self.share_warning(&what, group));
        Ok(GroupChange {
            kind: ChangeKind::Changed,
            number,
            group,
            paths: self.paths_of(group, &concerned),
            removed_nhops,
            warning,
        })
    }

    /// Deletes a member of a group; or, if none is named, the group, which no route uses.
    ///
    /// # Errors
    /// If there is no such group or member, several match, it is the last one, or routes use the group.
    pub fn group_delete(
        &mut self,
        number: GroupNo,
        which: Option<&NhopKeyMatch>,
        now: Secs,
    ) -> Result<GroupChange, RouteError> {
        self.at(now);
        let group = self.numbered(number)?;
        if let Some(which) = which {
            return self.delete_member(number, group, which);
        }
        let routes = self.groups.get(group).map_or(0, |group| group.users());
        if routes > 0 {
            return Err(RouteError::Group(number, GroupError::InUse(routes)));
        }
        let paths = self.paths(group);
        Ok(GroupChange {
            kind: ChangeKind::Deleted,
            number,
            group,
            paths,
            removed_nhops: self.drop_named(number),
            warning: None,
        })
    }

    fn delete_member(
        &mut self,
        number: GroupNo,
        group: GroupId,
        which: &NhopKeyMatch,
    ) -> Result<GroupChange, RouteError> {
        let refused = |error| Err(RouteError::Group(number, error));
        let mut paths = self.paths(group);
        let all = names(paths.iter());
        paths.retain(|path| which.matches(&path.key));
        let gone = match paths.as_slice() {
            [] => return refused(GroupError::NoSuchMember(all)),
            [path] => path.idx,
            several => return refused(GroupError::Several(names(several.iter()))),
        };
        let mut wanted = self.wanted(group);
        wanted.retain(|m| m.idx != gone);
        if wanted.is_empty() {
            return refused(GroupError::Last);
        }
        let options = self.options_of(group);
        let warning = idle_warning(&wanted, &format!("group {number}"));
        let removed_nhops = self.grant(number, group, &Wish { wanted, options }, options)?;
        Ok(GroupChange {
            kind: ChangeKind::Deleted,
            number,
            group,
            paths,
            removed_nhops,
            warning,
        })
    }

    /// A group that nobody uses is no more.
    pub(super) fn drop_named(&mut self, number: GroupNo) -> Ended {
        let Some(group) = self.named.remove(number) else {
            return Vec::new();
        };
        let left = self.release(group);
        self.end_unnamed(&left)
    }

    /// Time passes: drained members whose deadline has come leave their groups. The last members of a group stay.
    pub fn expire_groups(&mut self, now: Secs) -> Vec<GroupChange> {
        self.at(now);
        let mut changes = Vec::new();
        while let Some(&(at, number)) = self.named.deadlines.first().filter(|d| d.0 <= self.now) {
            self.named.deadlines.remove(&(at, number));
            changes.extend(self.expire_group(number));
        }
        changes
    }

    /// Drains of members whose deadline comes by then: their groups.
    pub fn group_deadlines(&self, by: Secs) -> impl Iterator<Item = (Secs, GroupNo)> + '_ {
        let deadlines = self.named.deadlines.iter();
        deadlines.take_while(move |(at, _)| *at <= by).copied()
    }

    /// As [`Self::expire_groups`], of one group alone.
    pub fn expire_one_group(&mut self, number: GroupNo, now: Secs) -> Option<GroupChange> {
        self.at(now);
        self.expire_group(number)
    }

    fn expire_group(&mut self, number: GroupNo) -> Option<GroupChange> {
        let group = self.named.get(number)?;
        let is_due = |m: &Wanted| m.deadline.is_some_and(|at| at <= self.now);
        let members = self.wanted(group);
        let (due, rest): (Vec<Wanted>, Vec<Wanted>) = members.into_iter().partition(is_due);
        if due.is_empty() {
            return None;
        }
        let due = idxs(&due);
        let paths = self.paths_of(group, &due);
        let change = |removed_nhops, warning| GroupChange {
            kind: ChangeKind::Deleted,
            number,
            group,
            paths,
            removed_nhops,
            warning,
        };
        if rest.is_empty() {
            let line =
                format!("group {number}: its last members have drained and stay: name others");
            return Some(GroupChange {
                kind: ChangeKind::Changed,
                ..change(Vec::new(), Some(line))
            });
        }
        for idx in &due {
            self.nhops.drain_over(*idx, group, true);
        }
        let options = self.groups.get(group)?.options;
        let wish = Wish {
            wanted: rest,
            options,
        };
        self.groups.set_over(&due);
        let granted = self.grant(number, group, &wish, options);
        self.groups.set_over(&[]);
        match granted {
            Ok(ended) => Some(change(ended, None)),
            Err(_) => {
                // No line is left for the shorter list of members: tried again when some come free.
                for idx in due {
                    self.nhops.drain_over(idx, group, false);
                }
                self.named.deadlines.insert((self.now.after(1), number));
                None
            }
        }
    }

    /// Gives a group its members and options. Returns the next hops that ended.
    fn grant(
        &mut self,
        number: GroupNo,
        group: GroupId,
        wish: &Wish,
        was: Options,
    ) -> Result<Ended, RouteError> {
        let view = Arc::clone(&self.view);
        let (on, nobody) = (shared(&view), Prefix::masked(IpAddr::from([0; 4]), 0));
        self.groups
            .set_options(on, &self.nhops, group, wish.options, nobody, self.now);
        let mut left = Vec::new();
        if self.wanted(group) != wish.wanted {
            let set = self
                .groups
                .set_members(on, &mut self.nhops, group, &wish.wanted, self.now);
            left = set.inspect_err(|_| {
                self.groups
                    .set_options(on, &self.nhops, group, was, nobody, self.now);
                self.end_unnamed(&idxs(&wish.wanted));
            })?;
        }
        if !left.is_empty() {
            self.named.bump(group, &view.stamps);
        }
        self.unsettle();
        self.note_deadlines(number, &wish.wanted);
        Ok(self.end_unnamed(&left))
    }

    /// Remembers when drained members leave a group.
    pub(super) fn note_deadlines(&mut self, number: GroupNo, wanted: &[Wanted]) {
        let deadlines = wanted.iter().filter_map(|m| m.deadline);
        self.named
            .deadlines
            .extend(deadlines.map(|at| (at, number)));
    }

    /// The members that a change asks for, and which of them it is about.
    fn wish(
        &mut self,
        number: GroupNo,
        group: GroupId,
        paths: &[Path],
        deadline: Option<Secs>,
    ) -> Result<(Vec<Wanted>, Vec<NhopIdx>), RouteError> {
        let members = self.wanted(group);
        if paths.is_empty() {
            return Ok((members, Vec::new()));
        }
        check_members(number, paths, 0)?;
        self.check_families(number, group, paths)?;
        Ok(match self.known(&members, paths) {
            Some(known) => (reweighted(members, paths, &known, deadline), known),
            None => {
                check_joining(self, &members, paths)?;
                let size = self.groups.size_of(group);
                let nobody = Prefix::masked(IpAddr::from([0; 4]), 0);
                let wanted = self.intern(nobody, &[], paths, deadline, size);
                let wanted = wanted.map_err(|error| of_group(number, error))?;
                let concerned = idxs(&wanted);
                (wanted, concerned)
            }
        })
    }

    fn numbered(&self, number: GroupNo) -> Result<GroupId, RouteError> {
        let none = RouteError::Group(number, GroupError::None);
        self.named.get(number).ok_or(none)
    }

    /// An IPv6 route has no IPv4 next hop.
    fn check_families(
        &self,
        number: GroupNo,
        group: GroupId,
        paths: &[Path],
    ) -> Result<(), RouteError> {
        let mut v4 = paths.iter().filter_map(|path| path.key.gateway);
        let v4 = v4.find(IpAddr::is_ipv4);
        let six = self.named.used_by(group).1;
        match v4.filter(|_| six > 0) {
            Some(gateway) => Err(RouteError::Group(number, GroupError::Six(six, gateway))),
            None => Ok(()),
        }
    }
}
