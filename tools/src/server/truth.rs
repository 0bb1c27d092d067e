//! Changes of one route with the truth before and after: which flows they would move, and which they have moved.
//!
//! The control thread gives away a copy of the routes concerned and makes the change; all that goes over flows runs on
//! the client's thread, between the two.

use super::Answer;
use super::Reading;
use super::client::End;
use super::client::Replies;
use super::control::Handle;
use super::control::unix_ms;
use crate::wire::message::parameters;
use crate::wire::moves::How;
use crate::wire::moves::RouteChanged;
use crate::wire::moves::RouteMoves;
use crate::wire::route::RouteAdd;
use crate::wire::route::RouteChange;
use crate::wire::route::RouteDelete;
use route::Prefix;
use serde_json::Value;
use std::sync::mpsc;
use std::time::Duration;

/// Between the two looks at flows that give their bytes per second.
const BETWEEN: Duration = Duration::from_millis(500);

/// Prefixes taken from the control thread at a time: a small slice of its time.
const SLICE: usize = 4096;

/// Says whether every worker obeys what was changed before it was made.
pub type Obeyed = Box<dyn Fn() -> bool + Send>;

/// A change of one route.
#[derive(Debug, Clone)]
pub enum RouteOrder {
    /// `RouteAdd`.
    Add(RouteAdd),
    /// `RouteChange`.
    Change(RouteChange),
    /// `RouteDelete`.
    Delete(RouteDelete),
}

/// A change that is foreseen on the client's own thread.
pub trait Foreseen: Send {
    /// The route that is to be changed.
    fn prefix(&self) -> Prefix;

    /// Whether it can move no flow, whatever the tables hold.
    fn moves_nothing(&self) -> bool;

    /// Takes longer prefixes inside it, all of them and in order: the change does not concern them.
    fn exclude(&mut self, longer: &[Prefix]);

    /// Goes over all flows.
    fn look(&mut self);

    /// Flows that it would move.
    fn due(&self) -> u64;

    /// Looks at their bytes once more.
    fn measure(&mut self);

    /// What it would do.
    fn plan(&self) -> RouteChanged;

    /// The change was made at `time`: the flows are followed from now on.
    fn follow(self: Box<Self>, obeyed: Obeyed, time: u64) -> RouteMoves;
}

/// What a change is foreseen by: refused, if the change would be.
pub type Foreseeing = Reading<Answer<Box<dyn Foreseen>>>;

/// `RouteAdd`, `RouteChange`, `RouteDelete`.
pub(super) fn change(
    name: &str,
    mut given: Value,
    control: &Handle,
    out: &mut Replies<'_>,
) -> Result<(), End> {
    let how = How::take(&mut given)?;
    let order = match name {
        "RouteAdd" => RouteOrder::Add(parameters(given)?),
        "RouteChange" => RouteOrder::Change(parameters(given)?),
        _ => RouteOrder::Delete(parameters(given)?),
    };
    let changed = if how.plan {
        plan(order, control)?
    } else {
        make(order, how.truth, control)?
    };
    out.last(&changed)
}

fn plan(order: RouteOrder, control: &Handle) -> Answer<RouteChanged> {
    let mut foreseen = control.call(|backend| backend.foresee(order))??()?;
    look(&mut *foreseen, control)?;
    if foreseen.due() > 0 {
        wait(BETWEEN);
        foreseen.measure();
    }
    Ok(foreseen.plan())
}

fn make(order: RouteOrder, truth: bool, control: &Handle) -> Answer<RouteChanged> {
    // What speaks against the change is said by the change.
    let foreseen = truth.then(|| movers(order.clone(), control).ok().flatten());
    let (done, obeyed) = control.call(|backend| {
        let done = match order {
            RouteOrder::Add(ask) => backend.route_add(ask),
            RouteOrder::Change(ask) => backend.route_change(ask),
            RouteOrder::Delete(ask) => backend.route_delete(ask),
        };
        done.map(|done| (done, backend.obeyed()))
    })??;
    let moves = foreseen.flatten().map(|it| it.follow(obeyed, unix_ms()));
    Ok(RouteChanged {
        moves,
        ..done.into()
    })
}

/// The flows that a change moves, if it moves any.
fn movers(order: RouteOrder, control: &Handle) -> Answer<Option<Box<dyn Foreseen>>> {
    let mut foreseen = control.call(|backend| backend.foresee(order))??()?;
    if foreseen.moves_nothing() {
        return Ok(None);
    }
    look(&mut *foreseen, control)?;
    Ok(Some(foreseen).filter(|foreseen| foreseen.due() > 0))
}

fn look(foreseen: &mut dyn Foreseen, control: &Handle) -> Answer<()> {
    let (prefix, mut after) = (foreseen.prefix(), None);
    loop {
        let longer = control.call(move |backend| backend.routes_within(prefix, after, SLICE))?;
        foreseen.exclude(&longer);
        after = longer.last().copied();
        if longer.len() < SLICE {
            foreseen.look();
            return Ok(());
        }
    }
}

/// Waits; nobody rings.
fn wait(time: Duration) {
    let (_keep, silent) = mpsc::channel::<()>();
    let _ = silent.recv_timeout(time);
}
