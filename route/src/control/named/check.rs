//! What is asked of a group's members and options before it gets them.

use super::super::Control;
use super::super::change::check_paths;
use crate::error::{GroupError, RouteError};
use crate::ids::{GroupNo, NhopIdx, Secs};
use crate::nhgrp::{OptionsAsked, Wanted};
use crate::nhop::Path;
use crate::prefix::Prefix;
use std::net::IpAddr;

/// One line if no member is left that takes new flows.
pub(in crate::control) fn idle_warning(wanted: &[Wanted], what: &str) -> Option<String> {
    let idle = wanted.iter().all(|m| m.weight == 0);
    idle.then(|| format!("{what} takes no new flows: every member has weight 0"))
}

/// Members whose weights, and deadlines, change.
pub(in crate::control) fn reweighted(
    mut members: Vec<Wanted>,
    paths: &[Path],
    known: &[NhopIdx],
    deadline: Option<Secs>,
) -> Vec<Wanted> {
    for (path, idx) in paths.iter().zip(known) {
        for member in members.iter_mut().filter(|m| m.idx == *idx) {
            member.weight = path.weight;
            member.deadline = deadline.filter(|_| path.weight == 0);
        }
    }
    members
}

/// Who joins has no flows that could drain.
pub(in crate::control) fn check_joining(
    control: &Control,
    members: &[Wanted],
    paths: &[Path],
) -> Result<(), RouteError> {
    let joins = |path: &&Path| {
        let idx = control.nhops.idx(&path.key);
        members.iter().all(|m| Some(m.idx) != idx)
    };
    match paths.iter().filter(joins).find(|p| p.weight == 0) {
        Some(path) => Err(RouteError::BadWeight {
            weight: path.weight,
        }),
        None => Ok(()),
    }
}

/// Refuses a number of buckets that no group can have.
pub(in crate::control) fn check_buckets(asked: &OptionsAsked) -> Result<(), RouteError> {
    let can = |buckets: &u32| buckets.is_power_of_two() && *buckets <= crate::MAX_BUCKETS;
    match asked.buckets.filter(|buckets| !can(buckets)) {
        Some(buckets) => Err(RouteError::BadBuckets(buckets)),
        None => Ok(()),
    }
}

/// Refuses members that cannot be.
pub(in crate::control) fn check_members(
    number: GroupNo,
    paths: &[Path],
    least: u32,
) -> Result<(), RouteError> {
    let refused = |error| Err(RouteError::Group(number, error));
    if paths.is_empty() || paths.iter().any(|path| !path.key.kind.balances()) {
        return refused(GroupError::Gateways);
    }
    let nobody = Prefix::masked(IpAddr::from([0; 4]), 0);
    check_paths(nobody, paths, least).map_err(|error| of_group(number, error))
}

/// What is refused about a group's members is refused in the group's name.
pub(super) fn of_group(number: GroupNo, error: RouteError) -> RouteError {
    let error = match error {
        RouteError::Exists { key, .. } => GroupError::Twice(key),
        RouteError::TooManyMembers { count, limit, .. } => GroupError::TooMany(count, limit),
        other => return other,
    };
    RouteError::Group(number, error)
}
