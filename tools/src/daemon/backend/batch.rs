//! Batches of routes over the running gateway: a slice of about a millisecond between the control thread's other work.

use super::Live;
use super::options::options_of;
use super::refusal::in_route;
use super::refusal::refused;
use super::routes::behind;
use super::routes::is_of;
use super::spec::spec_with;
use crate::server::Answer;
use crate::server::Batch;
use crate::server::BatchNews;
use crate::server::Slice;
use crate::server::Ticket;
use crate::wire::batch::BatchDone;
use crate::wire::batch::PathSet;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::options::Options;
use crate::wire::route::Family;
use crate::wire::route::PathSpec;
use crate::wire::route::RouteFamily;
use route::FibId;
use route::GroupId;
use route::NhopKind;
use route::PathInfo;
use route::Prefix;
use route::RouteInfo;
use stack::control::BatchEnd;
use stack::control::RouteBatch;
use stack::control::RouteSet;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::mpsc;

/// How long a slice lasts, in microseconds, and how many routes' work passes between two looks at the clock.
const SLICE_US: u64 = 1000;
const SLICE_UNITS: usize = 128;

/// How often progress is told, in microseconds.
const TELL_US: u64 = 50_000;

/// Paths that the sets of one slice of an export have at most, so that its JSON stays below the message limit.
const EXPORT_PATHS: usize = 1024;

/// MTU of a path that leads nowhere.
const NO_PORT_MTU: u32 = 65_535;

/// Which batch is gathered, and who is told of the one under way.
#[derive(Debug, Default)]
pub(super) struct Batches {
    /// The last batch's number.
    last: u64,
    /// Alive while a client gathers one.
    gathering: Weak<()>,
    /// Who is told of the one under way.
    told: Option<mpsc::Sender<BatchNews>>,
    /// When progress was told last.
    told_at: u64,
}

impl Live {
    pub(super) fn begin_batch(&mut self) -> Answer<Ticket> {
        if self.batches.gathering.strong_count() > 0 {
            let line = "another client is loading routes: try again when it has ended";
            return Err(CallError::refused(Reason::Busy, line));
        }
        let held = Arc::new(());
        self.batches.gathering = Arc::downgrade(&held);
        self.batches.last += 1;
        let fills = self.control.route_fills();
        let routes = fills.iter().filter(|fill| fill.setting == "tables.routes");
        let limit = routes.map(|fill| fill.limit).sum::<u64>();
        Ok(Ticket {
            batch: self.batches.last,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            held,
        })
    }

    pub(super) fn commit_batch(&mut self, batch: Batch) -> Answer<mpsc::Receiver<BatchNews>> {
        let mut sets = Vec::with_capacity(batch.sets.len());
        let fib = FibId(batch.fib);
        for (set, firsts) in batch.sets.iter().zip(&batch.firsts) {
            let firsts = firsts.map(|first| first.map(|prefix| prefix.in_fib(fib)));
            sets.push(route_set(set, firsts)?);
        }
        let routes = batch.routes.into_iter();
        let replace = batch.replace;
        let replaces = |family| replace.contains(&family);
        let start = self.control.batch_start(RouteBatch {
            fib,
            sets,
            replace_v4: replaces(Family::Inet),
            replace_v6: replaces(Family::Inet6),
            routes: routes
                .map(|(prefix, set)| (prefix.in_fib(fib), set))
                .collect(),
        });
        start.map_err(|error| refused(&error))?;
        let (sender, news) = mpsc::channel();
        self.batches.told = Some(sender);
        self.batches.told_at = self.clock.us();
        Ok(news)
    }

    /// A slice of the batch under way, if there is one. Returns whether more of it is left.
    pub(super) fn load_slice(&mut self) -> bool {
        let start = self.clock.us();
        while self.control.batch_progress().is_some() {
            let (now, host) = (self.now(), &mut self.host);
            if let Some(end) = self.control.batch_step(SLICE_UNITS, host, now) {
                self.end_batch(end);
                return false;
            }
            if self.clock.us().saturating_sub(start) >= SLICE_US {
                self.tell_progress();
                return true;
            }
        }
        false
    }

    fn tell_progress(&mut self) {
        let (now, progress) = (self.clock.us(), self.control.batch_progress());
        if now.saturating_sub(self.batches.told_at) < TELL_US {
            return;
        }
        self.batches.told_at = now;
        if let (Some(told), Some((done, total))) = (&self.batches.told, progress) {
            let progress = BatchDone {
                done: done as u64,
                total: total as u64,
                ..BatchDone::default()
            };
            // The client may be gone; the batch is completed all the same.
            let _ = told.send(BatchNews::Progress(progress));
        }
    }

    fn end_batch(&mut self, end: BatchEnd) {
        match &end {
            Ok((done, _)) => tracing::info!(
                added = done.added,
                changed = done.changed,
                deleted = done.deleted,
                "routes loaded"
            ),
            Err(error) => tracing::warn!("a batch of routes was refused: {error}"),
        }
        let answer = end.map_err(|error| refused(&error));
        let answer = answer.map(|(done, warning)| {
            let units = done.added + done.changed + done.deleted;
            BatchDone {
                done: units,
                total: units,
                added: done.added,
                changed: done.changed,
                deleted: done.deleted,
                warning,
            }
        });
        if let Some(told) = self.batches.told.take() {
            // As above.
            let _ = told.send(BatchNews::Ended(answer));
        }
    }

    pub(super) fn export_routes(
        &self,
        of: RouteFamily,
        after: Option<Prefix>,
        max: usize,
    ) -> Slice {
        let mut slice = Slice::default();
        let (mut known, mut paths) = (HashMap::<GroupId, u32>::new(), 0);
        let of_family = |(prefix, _): &(Prefix, GroupId)| is_of(of, *prefix);
        let routes = self.control.prefixes_of(FibId(of.fib), behind(of, after));
        for (prefix, group) in routes.take_while(of_family).take(max) {
            if paths >= EXPORT_PATHS {
                break;
            }
            slice.last = Some(prefix.in_fib(FibId(0)));
            if self.control.is_connected(&prefix) {
                continue;
            }
            let set = *known.entry(group).or_insert_with(|| {
                let set = self
                    .control
                    .route_exact(prefix)
                    .map(|route| self.path_set(&route));
                let set = set.unwrap_or_default();
                paths += set.paths.len();
                slice.sets.push(set);
                slice.sets.len() as u32 - 1
            });
            slice.routes.push((prefix.in_fib(FibId(0)), set));
        }
        slice
    }

    /// A route's paths as somebody would state them.
    fn path_set(&self, route: &RouteInfo) -> PathSet {
        let options = options_of(route.options);
        PathSet {
            paths: route
                .paths
                .iter()
                .map(|path| self.path_spec(route.prefix.fib(), path))
                .collect(),
            options: Options {
                select: options.select.filter(|is| *is != Default::default()),
                ..options
            },
        }
    }

    fn path_spec(&self, fib: FibId, path: &PathInfo) -> PathSpec {
        // Of a recursive one there is none: that is for routes to say.
        let port = self.control.ports().get(path.key.port);
        let has_port = matches!(path.key.kind, NhopKind::Gateway | NhopKind::Iface);
        let own_mtu = port
            .filter(|_| has_port)
            .map_or(NO_PORT_MTU, |port| port.mtu);
        let is_local =
            matches!(path.key.gateway, Some(IpAddr::V6(v6)) if v6.is_unicast_link_local());
        let leaks = port.is_some_and(|port| port.fib != fib);
        let named = path.key.kind == NhopKind::Iface || is_local || leaks;
        PathSpec {
            kind: super::routes::kind(path.key.kind),
            gateway: path.key.gateway,
            port: port.filter(|_| named).map(|port| port.name.clone()),
            weight: Some(path.weight).filter(|weight| *weight != 1),
            mtu: Some(path.mtu).filter(|mtu| *mtu != own_mtu),
            recursive: path.key.resolved().is_some(),
        }
    }
}

/// A set as control takes it; `None` if no route has it.
fn route_set(set: &PathSet, [v4, v6]: [Option<Prefix>; 2]) -> Answer<Option<RouteSet>> {
    let Some(prefix) = v4.or(v6) else {
        return Ok(None);
    };
    let spec = spec_with(prefix, &set.paths, None, &set.options);
    let spec = spec.map_err(|error| in_route(prefix, error))?;
    Ok(Some(RouteSet {
        spec,
        ipv6: v4.and(v6),
    }))
}
