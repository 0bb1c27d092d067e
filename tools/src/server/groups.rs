//! `Group...`: groups that have a number.

use super::client::End;
use super::client::Replies;
use super::control::Handle;
use super::methods::PAGE_PATHS;
use super::methods::pages;
use crate::wire::INTERFACE;
use crate::wire::group::GroupLayout;
use crate::wire::group::GroupOf;
use crate::wire::group::GroupState;
use crate::wire::group::Groups;
use crate::wire::group::GroupsOf;
use crate::wire::group::LayoutRun;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::message::parameters;
use serde_json::Value;

/// Buckets taken from the control thread at a time: a small slice of its time.
const SLICE: u32 = 2048;

/// How often an export begins anew because some group has changed, before it takes the whole group at once.
const TRIES: usize = 4;

/// Runs of buckets in a page at most, so that its JSON stays below the message limit.
const PAGE_RUNS: usize = 4096;

pub(super) fn answer(
    name: &str,
    given: Value,
    control: &Handle,
    out: &mut Replies<'_>,
) -> Result<(), End> {
    match name {
        "GroupList" => list(parameters(given)?, control, out),
        "GroupExport" => export(parameters(given)?, control, out),
        _ => Err(CallError::MethodNotFound(format!("{INTERFACE}.{name}")).into()),
    }
}

/// One group after the other: looking into all the buckets of one is a slice of control's time.
fn list(of: GroupsOf, control: &Handle, out: &mut Replies<'_>) -> Result<(), End> {
    let ids = control.call(move |backend| backend.groups(of))??;
    // One that is gone by now is none.
    let state = |id: u32| control.call(move |backend| backend.group(id)).transpose();
    let weigh = |group: &GroupState| group.members.len() + 4;
    let wrap = |groups| Groups { groups };
    pages(
        ids.into_iter().filter_map(state),
        weigh,
        PAGE_PATHS,
        out,
        wrap,
    )
}

fn export(of: GroupOf, control: &Handle, out: &mut Replies<'_>) -> Result<(), End> {
    let GroupOf { group, index } = of;
    let all = false;
    let of = GroupsOf { group, index, all };
    if group.is_some() == index.is_some() {
        let line = "say a group's number (group) or its id (index), and one of them only";
        return Err(CallError::refused(Reason::Invalid, line).into());
    }
    let ids = control.call(move |backend| backend.groups(of))??;
    let whole = match ids.first() {
        Some(id) => whole(*id, control)?,
        None => GroupLayout::default(),
    };
    let mut names = Some(whole.names);
    let mut pages = whole.runs.chunks(PAGE_RUNS).peekable();
    let page = |names: &mut Option<_>, runs: &[LayoutRun]| GroupLayout {
        names: names.take().unwrap_or_default(),
        runs: runs.to_vec(),
    };
    while let Some(runs) = pages.next() {
        let page = page(&mut names, runs);
        if pages.peek().is_none() {
            return out.last(&page);
        }
        out.continued(&page)?;
    }
    out.last(&page(&mut names, &[]))
}

/// A group's layout as it was at one moment.
fn whole(index: u32, control: &Handle) -> Result<GroupLayout, CallError> {
    for _ in 0..TRIES {
        if let Some(layout) = in_slices(index, control)? {
            return Ok(layout);
        }
    }
    let (_, layout) = control.call(move |backend| backend.group_export(index, 0, u32::MAX))?;
    Ok(layout)
}

/// Read out slice by slice; nothing, if any group has changed meanwhile.
fn in_slices(index: u32, control: &Handle) -> Result<Option<GroupLayout>, CallError> {
    let (mut whole, mut from, mut first) = (GroupLayout::default(), 0, None);
    loop {
        let slice = control.call(move |backend| backend.group_export(index, from, SLICE))?;
        let (version, GroupLayout { names, runs }) = slice;
        if *first.get_or_insert(version) != version {
            return Ok(None);
        }
        let buckets = runs.iter().map(|run| run.buckets).sum::<u32>();
        from += buckets;
        whole.names.extend(names);
        whole.runs.extend(runs);
        if buckets < SLICE {
            return Ok(Some(whole));
        }
    }
}
