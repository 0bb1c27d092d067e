//! Batches of routes on their way in, and the table on its way out.
//!
//! A batch belongs to the connection that began it and is gathered by that client's own thread; the control thread
//! hears of it at its beginning (there is one at a time) and at its commit. A client that leaves before that takes its
//! batch along; after it, the batch is completed whoever listens.

use super::Answer;
use super::client::End;
use super::client::Replies;
use super::control::Handle;
use crate::wire::batch::BatchAdd;
use crate::wire::batch::BatchAdded;
use crate::wire::batch::BatchBegin;
use crate::wire::batch::BatchBegun;
use crate::wire::batch::BatchDone;
use crate::wire::batch::BatchOf;
use crate::wire::batch::Exported;
use crate::wire::batch::PathSet;
use crate::wire::batch::read_routes;
use crate::wire::batch::write_route;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::route::Family;
use crate::wire::route::RouteFamily;
use route::Prefix;
use std::sync::Arc;
use std::sync::mpsc;

/// Paths that a batch's sets may have in all.
const PATHS: usize = 1 << 20;

/// Routes taken from the control thread at a time: a small slice of its time, and a page below the message limit.
const EXPORT_SLICE: usize = 4096;

/// The right to gather a batch, as long as it is kept.
#[derive(Debug)]
pub struct Ticket {
    /// The batch's number.
    pub batch: u64,
    /// Most routes that it can have.
    pub limit: usize,
    /// Held by the client's thread.
    pub held: Arc<()>,
}

/// A batch that is whole: what the backend is to make true.
#[derive(Debug, Default)]
pub struct Batch {
    /// The sets of paths.
    pub sets: Vec<PathSet>,
    /// The first IPv4 and the first IPv6 route of each set.
    pub firsts: Vec<[Option<Prefix>; 2]>,
    /// Each prefix with its set: ascending, none twice.
    pub routes: Vec<(Prefix, u32)>,
    /// Families of which the batch is all.
    pub replace: Vec<Family>,
    /// The FIB whose routes they are; the prefixes do not say it.
    pub fib: u8,
}

/// What is told of a batch under way.
#[derive(Debug)]
pub enum BatchNews {
    /// How far it is.
    Progress(BatchDone),
    /// It has ended: nothing follows.
    Ended(Answer<BatchDone>),
}

/// Routes of the table, with the sets of paths that they have.
#[derive(Debug, Default)]
pub struct Slice {
    /// The sets.
    pub sets: Vec<PathSet>,
    /// The operator's routes, each with its set.
    pub routes: Vec<(Prefix, u32)>,
    /// The last route that was looked at; `None`: there are no more.
    pub last: Option<Prefix>,
}

/// A batch that is being gathered.
#[derive(Debug)]
pub(super) struct Upload {
    ticket: Ticket,
    batch: Batch,
    paths: usize,
}

fn invalid(message: impl Into<String>) -> CallError {
    CallError::refused(Reason::Invalid, message)
}

pub(super) fn begin(
    upload: &mut Option<Upload>,
    ask: BatchBegin,
    control: &Handle,
    out: &mut Replies<'_>,
) -> Result<(), End> {
    // A connection has one: its next takes the place of one that it forgot.
    *upload = None;
    let ticket = control.call(|backend| backend.batch_begin())??;
    let batch = ticket.batch;
    *upload = Some(Upload {
        ticket,
        batch: Batch {
            replace: ask.replace,
            fib: ask.fib,
            ..Batch::default()
        },
        paths: 0,
    });
    out.last(&BatchBegun { batch })
}

fn of(upload: &mut Option<Upload>, batch: u64) -> Result<&mut Upload, CallError> {
    let known = upload.as_mut().filter(|up| up.ticket.batch == batch);
    known.ok_or_else(|| {
        CallError::refused(
            Reason::NotFound,
            format!("this connection has no batch {batch}: begin one with RouteBatchBegin"),
        )
    })
}

pub(super) fn add(
    upload: &mut Option<Upload>,
    ask: BatchAdd,
    out: &mut Replies<'_>,
) -> Result<(), End> {
    let of = of(upload, ask.batch)?;
    match of.take(ask) {
        Ok(routes) => out.last(&BatchAdded { routes }),
        Err(error) => {
            // Half a piece is in it: it is not to be committed by mistake.
            *upload = None;
            Err(error.into())
        }
    }
}

pub(super) fn drop_it(
    upload: &mut Option<Upload>,
    ask: BatchOf,
    out: &mut Replies<'_>,
) -> Result<(), End> {
    of(upload, ask.batch)?;
    *upload = None;
    out.last(&serde_json::json!({}))
}

pub(super) fn commit(
    upload: &mut Option<Upload>,
    ask: BatchOf,
    control: &Handle,
    out: &mut Replies<'_>,
) -> Result<(), End> {
    of(upload, ask.batch)?;
    let Some(Upload { ticket, batch, .. }) = upload.take() else {
        return Ok(());
    };
    let batch = batch.whole()?;
    let news = control.call(move |backend| backend.batch_commit(batch))??;
    let told = tell(&news, control, out);
    drop(ticket);
    told
}

/// Tells how far it is, and the end. A client that is gone, or takes one answer only, misses nothing but that.
fn tell(
    news: &mpsc::Receiver<BatchNews>,
    control: &Handle,
    out: &mut Replies<'_>,
) -> Result<(), End> {
    loop {
        match news.recv() {
            Ok(BatchNews::Progress(_)) if out.expect_more().is_err() => {}
            Ok(BatchNews::Progress(done)) => out.continued(&done)?,
            Ok(BatchNews::Ended(answer)) => return out.last(&answer?),
            Err(mpsc::RecvError) => {
                control.call(|_| ())?;
                return Err(CallError::refused(Reason::Stopping, "the batch has no end").into());
            }
        }
    }
}

impl Upload {
    fn take(&mut self, ask: BatchAdd) -> Result<u64, CallError> {
        let Batch { sets, routes, .. } = &mut self.batch;
        self.paths += ask
            .sets
            .iter()
            .map(|set| 1 + set.paths.len())
            .sum::<usize>();
        if self.paths > PATHS {
            return Err(invalid(format!(
                "a batch names {PATHS} paths at most: split it"
            )));
        }
        sets.extend(ask.sets);
        let last = routes.last().map(|(_, set)| *set);
        for route in read_routes(&ask.routes, last) {
            let route = route.map_err(invalid)?;
            if route.1 as usize >= sets.len() {
                let line = format!(
                    "{}={}: the batch has no such set: send it first",
                    route.0, route.1
                );
                return Err(invalid(line));
            }
            routes.push(route);
        }
        let limit = self.ticket.limit;
        if routes.len() > limit {
            let line =
                format!("the table of routes is full: it holds {limit}; raise tables.routes");
            return Err(CallError::refused(Reason::TableFull, line));
        }
        Ok(routes.len() as u64)
    }
}

impl Batch {
    /// Sorts the routes, and finds each set's first.
    fn whole(mut self) -> Result<Self, CallError> {
        if !self.routes.is_sorted_by(|a, b| a.0 < b.0) {
            self.routes.sort_unstable();
            if let Some(twice) = self.routes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(invalid(format!("{}: the batch names it twice", twice[0].0)));
            }
        }
        self.firsts = vec![[None; 2]; self.sets.len()];
        for (prefix, set) in &self.routes {
            if let Some(first) = self.firsts.get_mut(*set as usize) {
                let family = usize::from(prefix.addr().is_ipv6());
                first[family].get_or_insert(*prefix);
            }
        }
        Ok(self)
    }
}

/// The operator's routes, in pages of the form in which batches come.
pub(super) fn export(ask: RouteFamily, control: &Handle, out: &mut Replies<'_>) -> Result<(), End> {
    control.call(move |backend| backend.has_fib(ask.fib))??;
    let mut after = None;
    loop {
        let slice = control.call(move |backend| backend.route_export(ask, after, EXPORT_SLICE))?;
        let (mut routes, mut set_before) = (String::new(), None);
        for (prefix, set) in slice.routes {
            write_route(&mut routes, prefix, set, &mut set_before);
        }
        let sets = slice.sets;
        let page = Exported { sets, routes };
        match slice.last {
            Some(last) => after = Some(last),
            None => return out.last(&page),
        }
        if !page.routes.is_empty() {
            out.continued(&page)?;
        }
    }
}
