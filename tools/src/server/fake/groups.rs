//! Group 7 of two members, which one route uses.

use super::gateway;
use super::not_found;
use super::path;
use crate::server::Answer;
use crate::wire::group::*;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::options::Options;
use crate::wire::route::PathKind;
use crate::wire::route::PathSpec;

pub(super) fn state() -> GroupState {
    let member = |(spec, due): (PathSpec, u32)| GroupMember {
        path: path(&spec, 1),
        due,
        remembered: 5,
    };
    let members = [
        (gateway("192.0.2.11", 1), 1024),
        (gateway("192.0.2.12", 3), 3072),
    ];
    GroupState {
        group: Some(7),
        index: 3,
        buckets: 4096,
        size: 4096,
        ownerless: 0,
        routes: 1,
        remembering: 10,
        depth: 2,
        options: Options {
            slow_start: Some(30),
            ..Options::default()
        },
        members: members.map(member).into(),
        warning: None,
    }
}

pub(super) fn done(group: u32, paths: &[PathSpec]) -> Answer<GroupDone> {
    if group != 7 {
        let line = format!("group {group} is not there: 'group add' makes it");
        return Err(CallError::refused(Reason::NotFound, line));
    }
    Ok(GroupDone {
        group,
        index: 3,
        paths: (1..).zip(paths).map(|(at, spec)| path(spec, at)).collect(),
        warning: None,
    })
}

pub(super) fn which(of: GroupsOf) -> Answer<Vec<u32>> {
    match (of.group, of.index) {
        (Some(7) | None, None) | (None, Some(3)) => Ok(vec![3]),
        _ => Err(not_found()),
    }
}

/// Ten buckets, no two neighbours alike.
pub(super) fn layout(from: u32, most: u32) -> (u64, GroupLayout) {
    let name = |host: &str| LayoutName {
        kind: PathKind::Gateway,
        gateway: host.parse().ok(),
        port: Some("rack".into()),
        weight: Some(1),
    };
    let run = |at: u32| LayoutRun {
        buckets: 1,
        holders: vec![(at % 2) as u16],
        owner: Some((at % 2) as u16),
        remembered: Vec::new(),
    };
    let names = ["192.0.2.11", "192.0.2.12"].map(name);
    let layout = GroupLayout {
        names: if from == 0 { names.into() } else { Vec::new() },
        runs: (from..from.saturating_add(most).min(10)).map(run).collect(),
    };
    (1, layout)
}
