//! Groups that have a number: made, changed for all their routes at once, listed, written out.

use super::routes::Reserved;
use super::{Control, ControlError, ControlEvent, PathKind, RouteSpec};
use crate::host::{HostCmd, HostLink};
use crate::time::Now;
use route::{
    FibId, GroupChange, GroupId, GroupInfo, GroupNo, NhopKey, NhopKeyMatch, Path, RouteError,
    SavedGroup,
};

/// A change with one more warning, if there is none yet.
fn warned(change: GroupChange, more: Option<String>) -> GroupChange {
    let warning = change.warning.or(more);
    GroupChange { warning, ..change }
}

impl Control {
    /// `group add`: a new group, or more members for one that exists. Of `spec` the destination says the FIB on whose
    /// ports gateways are looked for, and nothing else.
    ///
    /// # Errors
    /// A line that says what would be right.
    pub fn group_add(
        &mut self,
        number: GroupNo,
        spec: &RouteSpec,
        host: &mut dyn HostLink,
        now: Now,
    ) -> Result<GroupChange, ControlError> {
        self.refuse_in_batch()?;
        self.refuse_weight_zero(spec)?;
        let options = self.timed(spec.options)?;
        let (paths, reserved) = self.member_paths(spec, host)?;
        let clipped = self.clip_warning(spec, &paths);
        let added = self.routes.group_add(number, &paths, options, now.secs());
        let added = self.group_committed(added, reserved, host, now);
        added.map(|change| warned(change, clipped))
    }

    /// `group change`: weights of members that are there, or another set of them; for all routes that name the group.
    ///
    /// # Errors
    /// A line that says what would be right.
    pub fn group_change(
        &mut self,
        number: GroupNo,
        spec: &RouteSpec,
        host: &mut dyn HostLink,
        now: Now,
    ) -> Result<GroupChange, ControlError> {
        self.refuse_in_batch()?;
        let spec = &self.with_ports_of_members(number, spec);
        let options = self.timed(spec.options)?;
        let (paths, reserved) = self.member_paths(spec, host)?;
        let clipped = self.clip_warning(spec, &paths);
        let (deadline, now_s) = (spec.deadline(now), now.secs());
        let changed = self
            .routes
            .group_change(number, &paths, options, deadline, now_s);
        let changed = self.group_committed(changed, reserved, host, now);
        changed.map(|change| warned(change, clipped))
    }

    /// `group delete`: a member, or, if none is named, the group, which no route uses.
    ///
    /// # Errors
    /// A line that says what would be right.
    pub fn group_delete(
        &mut self,
        number: GroupNo,
        which: Option<&NhopKeyMatch>,
        host: &mut dyn HostLink,
        now: Now,
    ) -> Result<GroupChange, ControlError> {
        self.refuse_in_batch()?;
        let deleted = self.routes.group_delete(number, which, now.secs());
        self.group_committed(deleted, Vec::new(), host, now)
    }

    /// A member is known by its address alone, on whatever FIB's port it is: unless a FIB is said, where it is another's.
    pub(super) fn with_ports_of_members(&self, number: GroupNo, spec: &RouteSpec) -> RouteSpec {
        let mut spec = spec.clone();
        let (PathKind::Gateways(gateways), Some(group)) =
            (&mut spec.kind, self.routes.group_numbered(number))
        else {
            return spec;
        };
        let paths = self.routes.group_paths(group);
        for gateway in gateways.iter_mut().filter(|gateway| gateway.port.is_none()) {
            let is = |key: &&NhopKey| key.gateway == Some(gateway.addr);
            let mut keys = paths.iter().map(|path| &path.key).filter(is);
            let (Some(key), None) = (keys.next(), keys.next()) else {
                continue;
            };
            let other = spec.prefix.fib() != FibId(0) && self.reaches(spec.prefix, gateway);
            if key.resolved().is_none() && !other {
                gateway.port = Some(self.port_name(key.port));
            }
        }
        spec
    }

    /// The same where the FIB was said: a gateway that this FIB's ports reach is that one, and a recursive member of
    /// another FIB is not meant.
    ///
    /// # Errors
    /// As of a gateway that no port reaches.
    pub fn in_said_fib(
        &self,
        number: GroupNo,
        spec: &RouteSpec,
    ) -> Result<RouteSpec, ControlError> {
        let mut spec = spec.clone();
        let fib = spec.prefix.fib();
        let group = self.routes.group_numbered(number);
        let paths = group.map_or_else(Vec::new, |group| self.routes.group_paths(group));
        let PathKind::Gateways(gateways) = &mut spec.kind else {
            return Ok(spec);
        };
        for gateway in gateways.iter_mut().filter(|gateway| gateway.port.is_none()) {
            let resolved = paths.iter().filter_map(|path| path.key.resolved());
            let mut fibs = resolved.filter(|of| of.1 == gateway.addr).map(|of| of.0);
            let elsewhere = fibs.clone().next().is_some() && !fibs.any(|of| of == fib);
            match self.port_of(spec.prefix, gateway) {
                Ok(port) => gateway.port = Some(port.name.clone()),
                Err(error) if elsewhere && !gateway.recursive => return Err(error),
                Err(_) => {}
            }
        }
        Ok(spec)
    }

    fn member_paths(
        &mut self,
        spec: &RouteSpec,
        host: &mut dyn HostLink,
    ) -> Result<(Vec<Path>, Reserved), ControlError> {
        self.routes.check_fib(spec.prefix.fib())?;
        self.paths(spec, host)
    }

    /// Accepts or takes back a change.
    fn group_committed(
        &mut self,
        result: Result<GroupChange, RouteError>,
        reserved: Reserved,
        host: &mut dyn HostLink,
        now: Now,
    ) -> Result<GroupChange, ControlError> {
        let change = match result {
            Ok(change) => change,
            Err(error) => {
                for idx in reserved {
                    host.call(HostCmd::Release(idx));
                }
                return Err(error.into());
            }
        };
        self.after_group(host, change.clone());
        self.judge_paths(&change.paths, now);
        Ok(self.group_settled(change, host, now))
    }

    pub(super) fn after_group(&mut self, host: &mut dyn HostLink, change: GroupChange) {
        self.release_ended(host, &change.removed_nhops);
        self.told.push(ControlEvent::Group(change));
    }

    /// The group that has a number.
    ///
    /// # Errors
    /// There is none.
    pub fn group_numbered(&self, number: GroupNo) -> Result<GroupId, ControlError> {
        let none = || RouteError::Group(number, route::GroupError::None).into();
        self.routes.group_numbered(number).ok_or_else(none)
    }

    /// Groups that have a number, by that.
    pub fn numbered_groups(&self) -> impl Iterator<Item = (GroupNo, GroupId)> + '_ {
        self.routes.numbered_groups()
    }

    /// Every group's id, ascending.
    pub fn group_ids(&self) -> impl Iterator<Item = GroupId> + '_ {
        self.routes.groups()
    }

    /// All that is known of a group. Looks into every bucket.
    pub fn group_info(&self, id: GroupId) -> Option<GroupInfo> {
        self.routes.group_info(id)
    }

    /// Up to `most` of a group's buckets, from `from` on, as they are kept over a restart; `None`: there is no such group.
    pub fn group_layout(&self, id: GroupId, from: u32, most: u32) -> Option<SavedGroup> {
        self.routes.group_layout(id, from, most)
    }
}
