//! Changes of one route or group with the truth before and after: which flows they would move, and which they have moved.
//!
//! The control thread gives away a copy of the groups concerned and makes the change; all that goes over flows runs on
//! the client's thread, between the two.

use super::Answer;
use super::Backend;
use super::client::End;
use super::client::Replies;
use super::control::Handle;
use super::control::unix_ms;
use crate::wire::group::GroupAdd;
use crate::wire::group::GroupChange;
use crate::wire::group::GroupDelete;
use crate::wire::message::parameters;
use crate::wire::moves::Changed;
use crate::wire::moves::How;
use crate::wire::moves::MovePlan;
use crate::wire::moves::RouteMoves;
use crate::wire::nexthop::NexthopSet;
use crate::wire::route::RouteAdd;
use crate::wire::route::RouteChange;
use crate::wire::route::RouteDelete;
use route::GroupId;
use route::GroupSketch;
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

/// A change of one route or group.
#[derive(Debug, Clone)]
pub enum Order {
    /// `RouteAdd`.
    Add(RouteAdd),
    /// `RouteChange`.
    Change(RouteChange),
    /// `RouteDelete`.
    Delete(RouteDelete),
    /// `GroupAdd`.
    GroupAdd(GroupAdd),
    /// `GroupChange`.
    GroupChange(GroupChange),
    /// `GroupDelete`.
    GroupDelete(GroupDelete),
}

impl Order {
    fn read(method: &str, given: Value) -> Answer<Self> {
        Ok(match method {
            "RouteAdd" => Self::Add(parameters(given)?),
            "RouteChange" => Self::Change(parameters(given)?),
            "RouteDelete" => Self::Delete(parameters(given)?),
            "GroupAdd" => Self::GroupAdd(parameters(given)?),
            "GroupChange" => Self::GroupChange(parameters(given)?),
            _ => Self::GroupDelete(parameters(given)?),
        })
    }

    fn make(self, backend: &mut dyn Backend) -> Answer<Changed> {
        Ok(match self {
            Self::Add(ask) => backend.route_add(ask)?.into(),
            Self::Change(ask) => backend.route_change(ask)?.into(),
            Self::Delete(ask) => backend.route_delete(ask)?.into(),
            Self::GroupAdd(ask) => backend.group_add(ask)?.into(),
            Self::GroupChange(ask) => backend.group_change(ask)?.into(),
            Self::GroupDelete(ask) => backend.group_delete(ask)?.into(),
        })
    }
}

/// A change that is foreseen on the client's own thread.
pub trait Foreseen: Send {
    /// The route that is to be changed, if it is one.
    fn prefix(&self) -> Option<Prefix>;

    /// Whether it can move no flow, whatever the tables hold.
    fn moves_nothing(&self) -> bool;

    /// Takes longer prefixes inside it, all of them and in order: the change does not concern them.
    fn exclude(&mut self, longer: &[Prefix]);

    /// Goes over all flows.
    fn look(&mut self);

    /// Flows that it would move.
    fn due(&self) -> u64;

    /// Flows that the end of the drain would move that it begins.
    fn due_at_end(&self) -> u64;

    /// Looks at their bytes once more.
    fn measure(&mut self);

    /// What it would do.
    fn plan(&self) -> Changed;

    /// Which flows it would move.
    fn moves(&self) -> MovePlan;

    /// The change was made at `time`: the flows are followed from now on.
    fn follow(self: Box<Self>, obeyed: Obeyed, time: u64) -> RouteMoves;
}

/// Gives a copy of a group, if that is still there.
pub type Copying<'a> = dyn FnMut(GroupId) -> Answer<Option<GroupSketch>> + 'a;

/// What a change is foreseen by, given copies of further groups that it asks for: refused, if the change would be.
pub type Foreseeing = Box<dyn FnOnce(&mut Copying<'_>) -> Answer<Box<dyn Foreseen>> + Send>;

/// `RouteAdd`, `RouteChange`, `RouteDelete`, and the same of groups.
pub(super) fn change(
    name: &str,
    mut given: Value,
    control: &Handle,
    out: &mut Replies<'_>,
) -> Result<(), End> {
    let how = How::take(&mut given)?;
    let order = Order::read(name, given)?;
    let changed = if how.plan {
        plan(order, control)?
    } else {
        make(order, how.truth, control)?
    };
    out.last(&changed)
}

fn plan(order: Order, control: &Handle) -> Answer<Changed> {
    let mut foreseen = foresee(order, control)?;
    look_twice(&mut *foreseen, control)?;
    Ok(foreseen.plan())
}

fn look_twice(foreseen: &mut dyn Foreseen, control: &Handle) -> Answer<()> {
    look(foreseen, control)?;
    if foreseen.due() > 0 || foreseen.due_at_end() > 0 {
        wait(BETWEEN);
        foreseen.measure();
    }
    Ok(())
}

/// `NexthopSet`: an order, or what a drain would move.
pub(super) fn nexthop(ask: NexthopSet, control: &Handle, out: &mut Replies<'_>) -> Result<(), End> {
    let foreseeing = match ask.plan {
        true => {
            let ask = ask.clone();
            Some(control.call(|backend| backend.foresee_drain(ask))??)
        }
        false => None,
    };
    let mut set = control.call(|backend| backend.nexthop_set(ask))??;
    if let Some(foreseeing) = foreseeing {
        let mut foreseen = tried(foreseeing, control)?;
        look_twice(&mut *foreseen, control)?;
        set.plan = Some(foreseen.moves());
    }
    out.last(&set)
}

fn make(order: Order, truth: bool, control: &Handle) -> Answer<Changed> {
    // What speaks against the change is said by the change.
    let foreseen = truth.then(|| movers(order.clone(), control).ok().flatten());
    let (done, obeyed) = control.call(|backend| {
        let done = order.make(backend);
        done.map(|done| (done, backend.obeyed()))
    })??;
    let moves = foreseen.flatten().map(|it| it.follow(obeyed, unix_ms()));
    Ok(done.with_moves(moves))
}

/// The flows that a change moves, if it moves any.
fn movers(order: Order, control: &Handle) -> Answer<Option<Box<dyn Foreseen>>> {
    let mut foreseen = foresee(order, control)?;
    if foreseen.moves_nothing() {
        return Ok(None);
    }
    look(&mut *foreseen, control)?;
    Ok(Some(foreseen).filter(|foreseen| foreseen.due() > 0))
}

fn foresee(order: Order, control: &Handle) -> Answer<Box<dyn Foreseen>> {
    let foreseeing = control.call(|backend| backend.foresee(order))??;
    tried(foreseeing, control)
}

/// Groups are copied one by one: each is a slice of control's time.
fn tried(foreseeing: Foreseeing, control: &Handle) -> Answer<Box<dyn Foreseen>> {
    foreseeing(&mut |group| control.call(move |backend| backend.group_sketch(group)))
}

fn look(foreseen: &mut dyn Foreseen, control: &Handle) -> Answer<()> {
    let mut after = None;
    loop {
        let Some(prefix) = foreseen.prefix() else {
            foreseen.look();
            return Ok(());
        };
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
