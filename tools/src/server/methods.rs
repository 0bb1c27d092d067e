//! From a method's name to the backend's method and back: the table of calls.
//!
//! Lists go out in pages that stay well below the message limit; a client that did not ask for `more` gets its one reply if
//! one page holds all, else `ExpectedMore`.

use super::Answer;
use super::batch;
use super::batch::Upload;
use super::capture;
use super::client::End;
use super::client::Replies;
use super::control::Handle;
use super::groups;
use super::truth;
use crate::wire::INTERFACE;
use crate::wire::PAGE;
use crate::wire::explain::Explain;
use crate::wire::flow::FlowFilter;
use crate::wire::flow::Flows;
use crate::wire::idl;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::message::parameters;
use crate::wire::moves::RouteMoves;
use crate::wire::moves::RouteMovesList;
use crate::wire::neighbour::Neighbours;
use crate::wire::nexthop::NexthopSet;
use crate::wire::ping::Ping;
use crate::wire::route::Flushed;
use crate::wire::route::OfFib;
use crate::wire::route::Route;
use crate::wire::route::RouteFamily;
use crate::wire::route::Routes;
use crate::wire::stats::Group;
use crate::wire::stats::Nexthops;
use crate::wire::template::Templates;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// How often a call without end looks whether its client is still there.
const LOOK: Duration = Duration::from_millis(500);

/// How long another thread may take to answer: less than a client waits, so that it is told.
const PENDING: Duration = Duration::from_secs(8);

/// Routes taken from, or flushed by, the control thread at a time: a small slice of its time.
const ROUTE_SLICE: usize = 64;

/// Paths in a page at most (one route can have 1,024), so that its JSON stays below the message limit.
pub(super) const PAGE_PATHS: usize = 1024;

/// Parameters of a method that has none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Answers one call.
pub(super) fn answer(
    method: &str,
    given: Value,
    control: &Handle,
    upload: &mut Option<Upload>,
    out: &mut Replies<'_>,
) -> Result<(), End> {
    let unknown = || CallError::MethodNotFound(method.to_owned());
    let (interface, name) = method.rsplit_once('.').ok_or_else(unknown)?;
    match interface {
        INTERFACE if name.starts_with("RouteBatch") => {
            route_batch(name, given, control, upload, out)
        }
        INTERFACE => own(name, given, control, out),
        idl::SERVICE_INTERFACE => service(name, given, out),
        _ => Err(CallError::InterfaceNotFound(interface.to_owned()).into()),
    }
}

/// The calls of the interface, by what they are about.
fn own(name: &str, given: Value, control: &Handle, out: &mut Replies<'_>) -> Result<(), End> {
    match name {
        "RouteAdd" | "RouteChange" | "RouteDelete" | "GroupAdd" | "GroupChange" | "GroupDelete" => {
            truth::change(name, given, control, out)
        }
        "NexthopList" => {
            let Nothing {} = parameters(given)?;
            nexthop_list(control, out)
        }
        "NexthopSet" => {
            let ask = parameters::<NexthopSet>(given)?.checked()?;
            truth::nexthop(ask, control, out)
        }
        "Capture" => capture::run(parameters(given)?, control, out),
        "Explain" => {
            let ask = parameters::<Explain>(given)?.checked()?;
            out.last(&control.call(|backend| backend.explain(ask))??)
        }
        "Ping" => ping(parameters(given)?, control, out),
        _ if name.starts_with("Route") => route(name, given, control, out),
        _ if name.starts_with("Group") => groups::answer(name, given, control, out),
        _ if name.starts_with("Neighbour") => neighbour(name, given, control, out),
        _ if name.starts_with("Flow") => flow(name, given, control, out),
        _ if name.starts_with("Template") => template(name, given, control, out),
        _ => gateway(name, given, control, out),
    }
}

fn unknown(name: &str) -> Result<(), End> {
    Err(CallError::MethodNotFound(format!("{INTERFACE}.{name}")).into())
}

fn route(name: &str, given: Value, control: &Handle, out: &mut Replies<'_>) -> Result<(), End> {
    match name {
        "RouteMoves" => {
            let of: OfFib = parameters(given)?;
            has_fib(of, control)?;
            let mut changes = control.call(|backend| backend.route_moves())?();
            changes.retain(|change| is_of(of, change.destination.map(|_| change.fib)));
            let weigh = |change: &RouteMoves| change.moves.len() + 1;
            let wrap = |changes| RouteMovesList { changes };
            pages(changes.into_iter().map(Ok), weigh, PAGE_PATHS, out, wrap)
        }
        "RouteGet" => {
            let ask = parameters(given)?;
            out.last(&control.call(|backend| backend.route_get(ask))??)
        }
        "RouteList" => route_list(parameters(given)?, control, out),
        "RouteFlush" => route_flush(parameters(given)?, control, out),
        "RouteExport" => batch::export(parameters(given)?, control, out),
        "RouteMonitor" => route_monitor(parameters(given)?, control, out),
        _ => unknown(name),
    }
}

fn neighbour(name: &str, given: Value, control: &Handle, out: &mut Replies<'_>) -> Result<(), End> {
    match name {
        "NeighbourList" => {
            let filter = parameters(given)?;
            let all = control.call_pending(PENDING, |backend| backend.neighbours(filter))?;
            let wrap = |neighbours| Neighbours { neighbours };
            pages(all.into_iter().map(Ok), |_| 1, PAGE, out, wrap)
        }
        "NeighbourSet" => {
            let ask = parameters(given)?;
            control.call_pending(PENDING, |backend| backend.neighbour_set(ask))?;
            out.last(&json!({}))
        }
        "NeighbourDelete" => {
            let ask = parameters(given)?;
            out.last(&control.call_pending(PENDING, |backend| backend.neighbour_delete(ask))?)
        }
        "NeighbourFlush" => {
            let filter = parameters(given)?;
            out.last(&control.call_pending(PENDING, |backend| backend.neighbour_flush(filter))?)
        }
        _ => unknown(name),
    }
}

fn flow(name: &str, given: Value, control: &Handle, out: &mut Replies<'_>) -> Result<(), End> {
    match name {
        "FlowList" => flow_list(parameters(given)?, control, out),
        "FlowFlush" => {
            let filter = parameters::<FlowFilter>(given)?.normal()?;
            out.last(&control.call_pending(PENDING, |backend| backend.flow_flush(filter))?)
        }
        "FlowStats" => {
            let Nothing {} = parameters(given)?;
            out.last(&control.call(|backend| backend.flow_stats())?())
        }
        "FlowTimeouts" => {
            let Nothing {} = parameters(given)?;
            out.last(&control.call(|backend| backend.timeouts())?)
        }
        "FlowTimeoutSet" => {
            let ask = parameters(given)?;
            out.last(&control.call(|backend| backend.timeout_set(ask))??)
        }
        "FlowTimeoutDelete" => {
            let ask = parameters(given)?;
            out.last(&control.call(|backend| backend.timeout_delete(ask))??)
        }
        _ => unknown(name),
    }
}

fn template(name: &str, given: Value, control: &Handle, out: &mut Replies<'_>) -> Result<(), End> {
    match name {
        "TemplateList" => {
            let filter = parameters(given)?;
            let all = control.call(|backend| backend.templates(filter))??();
            let wrap = |templates| Templates { templates };
            pages(all.into_iter().map(Ok), |_| 1, PAGE, out, wrap)
        }
        "TemplateFlush" => {
            let filter = parameters(given)?;
            out.last(&control.call(|backend| backend.template_flush(filter))??)
        }
        _ => unknown(name),
    }
}

/// Of the gateway as a whole.
fn gateway(name: &str, given: Value, control: &Handle, out: &mut Replies<'_>) -> Result<(), End> {
    match name {
        "PortList" => {
            let Nothing {} = parameters(given)?;
            out.last(&control.call(|backend| backend.ports())?())
        }
        "CounterList" => {
            let of = parameters(given)?;
            out.last(&control.call(|backend| backend.counters(of))??())
        }
        "Workers" => {
            let Nothing {} = parameters(given)?;
            out.last(&control.call(|backend| backend.workers())?())
        }
        "WorkersSet" => {
            let ask = parameters(given)?;
            out.last(&control.call(|backend| backend.workers_set(ask))??)
        }
        "Status" => {
            let Nothing {} = parameters(given)?;
            out.last(&control.call(|backend| backend.status())?())
        }
        _ => unknown(name),
    }
}

/// Calls that share a connection's batch.
fn route_batch(
    name: &str,
    given: Value,
    control: &Handle,
    upload: &mut Option<Upload>,
    out: &mut Replies<'_>,
) -> Result<(), End> {
    match name {
        "RouteBatchBegin" => batch::begin(upload, parameters(given)?, control, out),
        "RouteBatchAdd" => batch::add(upload, parameters(given)?, out),
        "RouteBatchCommit" => batch::commit(upload, parameters(given)?, control, out),
        "RouteBatchDrop" => batch::drop_it(upload, parameters(given)?, out),
        _ => unknown(name),
    }
}

fn service(name: &str, given: Value, out: &mut Replies<'_>) -> Result<(), End> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Which {
        interface: String,
    }
    match name {
        "GetInfo" => {
            let Nothing {} = parameters(given)?;
            out.last(&json!({
                "vendor": "Flowgate", "product": "flowgate", "version": env!("CARGO_PKG_VERSION"), "url": "",
                "interfaces": [idl::SERVICE_INTERFACE, INTERFACE],
            }))
        }
        "GetInterfaceDescription" => {
            let Which { interface } = parameters(given)?;
            let description = match interface.as_str() {
                INTERFACE => idl::DESCRIPTION,
                idl::SERVICE_INTERFACE => idl::SERVICE_DESCRIPTION,
                _ => return Err(CallError::InterfaceNotFound(interface).into()),
            };
            out.last(&json!({ "description": description }))
        }
        _ => Err(CallError::MethodNotFound(format!("{}.{name}", idl::SERVICE_INTERFACE)).into()),
    }
}

/// Sends items in pages of `limit` by weight; the last page, perhaps empty, ends the call, and so does an error.
pub(super) fn pages<T, P: Serialize>(
    items: impl IntoIterator<Item = Answer<T>>,
    weigh: impl Fn(&T) -> usize,
    limit: usize,
    out: &mut Replies<'_>,
    wrap: impl Fn(Vec<T>) -> P,
) -> Result<(), End> {
    let mut page = Vec::new();
    let mut weight = 0;
    for item in items {
        let item = item?;
        let more = weigh(&item);
        if weight + more > limit && !page.is_empty() {
            out.continued(&wrap(std::mem::take(&mut page)))?;
            weight = 0;
        }
        weight += more;
        page.push(item);
    }
    out.last(&wrap(page))
}

fn route_weight(route: &Route) -> usize {
    // 4: a route with no path still takes a quarter of the room that four paths take.
    (PAGE_PATHS / PAGE).max(route.paths.len())
}

fn route_list(ask: RouteFamily, control: &Handle, out: &mut Replies<'_>) -> Result<(), End> {
    control.call(move |backend| backend.has_fib(ask.fib))??;
    let mut after = None;
    let mut ended = false;
    let slices = std::iter::from_fn(|| {
        if ended {
            return None;
        }
        let slice = control.call(move |backend| backend.routes(ask, after, ROUTE_SLICE));
        after = slice
            .as_ref()
            .ok()
            .and_then(|slice| slice.last())
            .map(|last| last.destination);
        ended = after.is_none();
        Some(match slice {
            Ok(routes) => routes.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        })
    });
    pages(slices.flatten(), route_weight, PAGE_PATHS, out, |routes| {
        Routes { routes }
    })
}

fn route_flush(ask: RouteFamily, control: &Handle, out: &mut Replies<'_>) -> Result<(), End> {
    out.expect_more()?;
    loop {
        let deleted = control.call(move |backend| backend.route_flush(ask, ROUTE_SLICE))??;
        if deleted.is_empty() {
            return out.last(&Flushed { deleted });
        }
        out.continued(&Flushed { deleted })?;
    }
}

/// Refuses a FIB that is not there.
fn has_fib(of: OfFib, control: &Handle) -> Result<(), CallError> {
    of.fib.map_or(Ok(()), |fib| {
        control.call(move |backend| backend.has_fib(fib))?
    })
}

/// Whether what happened in a FIB, or in none, is asked for.
fn is_of(of: OfFib, fib: Option<u8>) -> bool {
    of.fib
        .is_none_or(|wanted| fib.is_none_or(|fib| fib == wanted))
}

/// Tells what changes until the client leaves, misses something, or the gateway stops.
fn route_monitor(of: OfFib, control: &Handle, out: &mut Replies<'_>) -> Result<(), End> {
    out.expect_more()?;
    has_fib(of, control)?;
    let events = control.monitor()?;
    loop {
        match events.recv_timeout(LOOK) {
            Ok(event) if is_of(of, event.news.fib()) => out.continued(&event)?,
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) if out.has_left() => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(end_of_queue(MISSED_EVENTS, control).into());
            }
        }
    }
}

const MISSED_EVENTS: &str = "events came faster than they were read and some are lost: start again, with 'route show' first";

const MISSED_REPLIES: &str =
    "replies came faster than they were read, and the ping was ended: start again";

/// The queue ended: either it overflowed, or the gateway is stopping.
fn end_of_queue(missed: &str, control: &Handle) -> CallError {
    match control.call(|_| ()) {
        Ok(()) => CallError::refused(Reason::Missed, missed),
        Err(stopping) => stopping,
    }
}

/// Tells how each request ends, until all have, the client leaves or does not read, or the gateway stops.
fn ping(ask: Ping, control: &Handle, out: &mut Replies<'_>) -> Result<(), End> {
    let ask = ask.checked()?;
    let count = ask.count;
    if count != Some(1) {
        out.expect_more()?;
    }
    let mut next = control.call_pending(PENDING, |backend| backend.ping(ask))?;
    let mut told = 0;
    loop {
        match next(LOOK) {
            Ok(result) => {
                told += 1;
                if count == Some(told) {
                    return out.last(&result);
                }
                out.continued(&result)?;
            }
            Err(RecvTimeoutError::Timeout) if out.has_left() => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(end_of_queue(MISSED_REPLIES, control).into());
            }
        }
    }
}

fn flow_list(filter: FlowFilter, control: &Handle, out: &mut Replies<'_>) -> Result<(), End> {
    let filter = filter.normal()?;
    let limit = filter.limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let flows = control.call(|backend| backend.flows(filter))??;
    pages(
        flows.take(limit).map(Ok),
        |_| 1,
        PAGE,
        out,
        |flows| Flows { flows },
    )
}

/// Next hops first, then groups, in one reply where both are few.
fn nexthop_list(control: &Handle, out: &mut Replies<'_>) -> Result<(), End> {
    let Nexthops { nexthops, groups } = control.call(|backend| backend.nexthops())?;
    let members: usize = groups.iter().map(|group| group.members.len()).sum();
    if nexthops.len() + groups.len() + members <= PAGE {
        return out.last(&Nexthops { nexthops, groups });
    }
    for page in nexthops.chunks(PAGE) {
        out.continued(&Nexthops {
            nexthops: page.to_vec(),
            groups: Vec::new(),
        })?;
    }
    let weigh = |group: &Group| group.members.len() + 1;
    let wrap = |groups| Nexthops {
        nexthops: Vec::new(),
        groups,
    };
    pages(groups.into_iter().map(Ok), weigh, PAGE_PATHS, out, wrap)
}
