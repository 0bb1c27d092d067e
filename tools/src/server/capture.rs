//! `Capture`: reads on the client's own thread what workers keep, and asks control what has changed.

use super::client::End;
use super::client::Replies;
use super::control::Handle;
use crate::capture::Filter;
use crate::capture::headers;
use crate::wire::PAGE;
use crate::wire::capture::Capture;
use crate::wire::capture::CapturePort;
use crate::wire::capture::CaptureRecord;
use crate::wire::capture::Captured;
use crate::wire::explain::bytes_of_hex;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use std::time::Duration;

/// From one look at the rings to the next.
const LOOK: Duration = Duration::from_millis(50);

/// Tells what is remembered and what follows, until the client leaves or the gateway stops.
pub(super) fn run(ask: Capture, control: &Handle, out: &mut Replies<'_>) -> Result<(), End> {
    let (ask, filter) = ask.checked()?;
    out.expect_more()?;
    // Changes are no packets, so a filter wants none.
    let with_changes = ask.filter.is_none();
    let Capture { all, last, .. } = ask;
    let mut from = match all {
        true => control.call(|backend| backend.changes(u64::MAX))?.0,
        false => 0,
    };
    let mut look = control.call(move |backend| backend.capture(&ask))?;
    let (mut ports, mut begins) = (Vec::new(), true);
    loop {
        let mut found = look();
        if begins {
            ports.clone_from(&found.ports);
            check_names(&filter, &ports, control)?;
        }
        if with_changes {
            let (next, missed, changes) = control.call(move |backend| backend.changes(from))?;
            (from, found.changes) = (next, changes);
            found.missed += missed;
        } else {
            // A gateway that stops says so.
            control.call(|_| ())?;
        }
        found
            .records
            .retain(|record| wants(&filter, &ports, record));
        if begins || last || !found.is_empty() {
            send(found, last, out)?;
        }
        if last {
            return Ok(());
        }
        begins = false;
        if out.left_within(LOOK) {
            return Ok(());
        }
    }
}

/// Refuses ports and workers that are not there: nothing would ever be of them.
fn check_names(filter: &Filter, ports: &[CapturePort], control: &Handle) -> Result<(), End> {
    let most = control.call(|backend| backend.workers())?().most;
    let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
    let checked = filter.check_names(&names, most);
    checked.map_err(|line| CallError::refused(Reason::NotFound, line).into())
}

fn wants(filter: &Filter, ports: &[CapturePort], record: &CaptureRecord) -> bool {
    let ether = ports
        .iter()
        .any(|port| port.name == record.port && port.ether);
    let bytes = bytes_of_hex(&record.bytes).unwrap_or_default();
    filter.wants(record, &headers(&bytes, ether && !record.bare))
}

/// In answers of a page of packets each.
fn send(mut found: Captured, last: bool, out: &mut Replies<'_>) -> Result<(), End> {
    while found.records.len() + found.changes.len() > PAGE {
        let records = found
            .records
            .drain(..found.records.len().min(PAGE))
            .collect();
        let changes = match found.records.is_empty() {
            true => found
                .changes
                .drain(..found.changes.len().min(PAGE))
                .collect(),
            false => Vec::new(),
        };
        out.continued(&Captured {
            ports: std::mem::take(&mut found.ports),
            records,
            changes,
            missed: std::mem::take(&mut found.missed),
        })?;
    }
    match last {
        true => out.last(&found),
        false => out.continued(&found),
    }
}
