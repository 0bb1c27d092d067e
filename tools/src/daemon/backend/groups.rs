//! Groups that have a number: made, changed, deleted, listed, written out.

use super::Answer;
use super::Live;
use super::options::options_of;
use super::refusal::refused;
use super::routes::kind;
use super::spec::spec_with;
use crate::wire::group as wire;
use crate::wire::limits::check_deadline;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::options::Options;
use crate::wire::route::News;
use crate::wire::route::PathSpec;
use route::ChangeKind;
use route::FibId;
use route::GroupChange;
use route::GroupId;
use route::GroupInfo;
use route::GroupNo;
use route::NhopKeyMatch;
use route::Prefix;
use route::SavedName;
use route::SavedRun;
use stack::control::RouteSpec;
use std::net::IpAddr;

impl Live {
    pub(super) fn add_group(&mut self, ask: &wire::GroupAdd) -> Answer<wire::GroupDone> {
        let now = self.now();
        let (number, spec) = spec_to_add(ask)?;
        let done = self.control.group_add(number, &spec, &mut self.host, now);
        let done = done.map_err(|error| refused(&error))?;
        Ok(self.group_done(done))
    }

    pub(super) fn change_group(&mut self, ask: &wire::GroupChange) -> Answer<wire::GroupDone> {
        let now = self.now();
        let (number, spec) = self.asked_change(ask)?;
        let done = self
            .control
            .group_change(number, &spec, &mut self.host, now);
        let done = done.map_err(|error| refused(&error))?;
        Ok(self.group_done(done))
    }

    pub(super) fn delete_group(&mut self, ask: &wire::GroupDelete) -> Answer<wire::GroupDone> {
        let now = self.now();
        let (number, which) = self.which_member(ask)?;
        let done = self
            .control
            .group_delete(number, which.as_ref(), &mut self.host, now);
        let done = done.map_err(|error| refused(&error))?;
        Ok(self.group_done(done))
    }

    /// Which group a delete means, and which member of it; `None`: all of it.
    pub(super) fn which_member(
        &self,
        ask: &wire::GroupDelete,
    ) -> Answer<(GroupNo, Option<NhopKeyMatch>)> {
        let port = match &ask.port {
            None => None,
            Some(name) => match self.control.ports().named(name) {
                Some(port) => Some(port.id),
                None => return Err(self.no_such_port(name)),
            },
        };
        let gateway = ask.gateway;
        let named = gateway.is_some() || port.is_some();
        Ok((
            GroupNo(ask.group),
            named.then_some(NhopKeyMatch { gateway, port }),
        ))
    }

    /// What a change asks for, as control takes it.
    pub(super) fn asked_change(&self, ask: &wire::GroupChange) -> Answer<(GroupNo, RouteSpec)> {
        let (number, spec) = spec_to_change(ask)?;
        let spec = match ask.fib {
            Some(_) => self.control.in_said_fib(number, &spec),
            None => Ok(spec),
        };
        Ok((number, spec.map_err(|error| refused(&error))?))
    }

    fn group_done(&self, change: GroupChange) -> wire::GroupDone {
        let now = self.now();
        wire::GroupDone {
            group: change.number.0,
            index: change.group.0,
            paths: change
                .paths
                .iter()
                .map(|path| self.path(path, now))
                .collect(),
            warning: change.warning,
        }
    }

    /// A change, for monitors and the log.
    pub(super) fn group_news(&self, change: GroupChange) -> News {
        let what = change.kind;
        let done = self.group_done(change);
        let members: Vec<String> = done.paths.iter().map(|path| path.name()).collect();
        let (group, members) = (done.group, members.join(" "));
        match what {
            ChangeKind::Added => {
                tracing::info!(group, members, "group: members added");
                News::GroupAdded(done)
            }
            ChangeKind::Changed => {
                // What holds for the whole group names none of them.
                let members = (!members.is_empty()).then_some(members);
                tracing::info!(group, members, "group changed");
                News::GroupChanged(done)
            }
            ChangeKind::Deleted => {
                tracing::info!(group, members, "group: members deleted");
                News::GroupDeleted(done)
            }
        }
    }

    /// The groups that are meant: those with a number by that, then others by their id.
    pub(super) fn which_groups(&self, of: wire::GroupsOf) -> Answer<Vec<u32>> {
        if of.group.is_some() || of.index.is_some() {
            let wire::GroupsOf { group, index, .. } = of;
            return Ok(vec![self.group_id(wire::GroupOf { group, index })?.0]);
        }
        let mut ids: Vec<u32> = self.control.numbered_groups().map(|(_, id)| id.0).collect();
        if of.all {
            let mut numbered = ids.clone();
            numbered.sort_unstable();
            let others = self.control.group_ids().map(|id| id.0);
            ids.extend(others.filter(|id| numbered.binary_search(id).is_err()));
        }
        Ok(ids)
    }

    pub(super) fn group_id(&self, of: wire::GroupOf) -> Answer<GroupId> {
        match (of.group, of.index) {
            (Some(number), None) => {
                let id = self.control.group_numbered(GroupNo(number));
                id.map_err(|error| refused(&error))
            }
            (None, Some(index)) if self.control.group_info(GroupId(index)).is_some() => {
                Ok(GroupId(index))
            }
            (None, Some(index)) => {
                let line = format!("there is no group with the id {index}");
                Err(CallError::refused(Reason::NotFound, line))
            }
            _ => {
                let line = "say a group's number (group) or its id (index), and one of them only";
                Err(CallError::refused(Reason::Invalid, line))
            }
        }
    }

    pub(super) fn group_state(&self, index: u32) -> Option<wire::GroupState> {
        let info = self.control.group_info(GroupId(index))?;
        let GroupInfo {
            id,
            options,
            buckets,
            size,
            remembering,
            depth,
            warning,
            ownerless,
            routes,
            members,
        } = info;
        let now = self.now();
        let member = |member: &route::MemberInfo| wire::GroupMember {
            path: self.path(&member.path, now),
            due: member.due,
            remembered: member.remembered,
        };
        Some(wire::GroupState {
            group: options.group.map(|number| number.0),
            index: id.0,
            buckets,
            size,
            ownerless,
            routes,
            remembering,
            depth,
            options: Options {
                group: None,
                ..options_of(options)
            },
            members: members.iter().map(member).collect(),
            warning,
        })
    }

    /// Up to `most` buckets from `from` on; names with the first alone. A group of one bucket has no layout.
    pub(super) fn group_layout(&self, index: u32, from: u32, most: u32) -> wire::GroupLayout {
        let layout = self.control.group_layout(GroupId(index), from, most);
        let layout = layout.unwrap_or_default();
        let names = layout.names.iter().map(|name| self.layout_name(name));
        wire::GroupLayout {
            names: if from == 0 {
                names.collect()
            } else {
                Vec::new()
            },
            runs: layout.runs.into_iter().map(run).collect(),
        }
    }

    fn layout_name(&self, name: &SavedName) -> wire::LayoutName {
        wire::LayoutName {
            kind: kind(name.key.kind),
            gateway: name.key.gateway,
            port: self.port_of(name.key.kind, name.key.port),
            weight: name.weight,
        }
    }
}

fn run(run: SavedRun) -> wire::LayoutRun {
    let lost = |(name, ago)| wire::LayoutLost { name, ago };
    wire::LayoutRun {
        buckets: run.buckets,
        holders: run.claims,
        owner: run.owner,
        remembered: run.remembered.into_iter().map(lost).collect(),
    }
}

/// What an add asks for, as control takes it.
pub(in crate::daemon) fn spec_to_add(ask: &wire::GroupAdd) -> Answer<(GroupNo, RouteSpec)> {
    let spec = spec(ask.group, ask.fib, &ask.paths, None, &ask.options)?;
    Ok((GroupNo(ask.group), spec))
}

fn spec_to_change(ask: &wire::GroupChange) -> Answer<(GroupNo, RouteSpec)> {
    check_change(ask).map_err(|line| CallError::Refused(Reason::Invalid, line))?;
    let fib = ask.fib.unwrap_or(0);
    let spec = spec(ask.group, fib, &ask.paths, ask.deadline, &ask.options)?;
    Ok((GroupNo(ask.group), spec))
}

/// Refuses a change of nothing.
fn check_change(ask: &wire::GroupChange) -> Result<(), String> {
    check_deadline(ask.deadline, &ask.paths)?;
    if ask.paths.is_empty() && ask.options.is_empty() {
        return Err("nothing to change: name gateways, or options such as failback".into());
    }
    Ok(())
}

/// What is asked for, as control takes it: a route's paths and options, and its FIB.
fn spec(
    group: u32,
    fib: u8,
    paths: &[PathSpec],
    deadline: Option<u32>,
    options: &Options,
) -> Answer<RouteSpec> {
    if options.group.is_some() {
        let line = "options.group is for routes: of a group its own number is all";
        return Err(CallError::refused(Reason::Invalid, line));
    }
    let anywhere = Prefix::masked(IpAddr::from([0; 4]), 0).in_fib(FibId(fib));
    let options = Options {
        group: Some(group),
        // A route's family bounds it, and a group's routes may be of both.
        sticky: options.sticky,
        ..*options
    };
    spec_with(anywhere, paths, deadline, &options)
}
