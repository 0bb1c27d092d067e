//! Batches of routes: loaded in slices between control's other work, all or nothing.
//!
//! [`Control::batch_start`] takes the whole table, [`Control::batch_step`] does a slice of it. First every set of paths
//! is resolved (ports found, neighbours reserved, once a gateway however many routes have it), then
//! [`route::Batch`] compares, changes and, if need be, undoes. While a batch is under way every other change of
//! routes is refused, and drains that come to their deadline wait for its end.
//!
//! Neighbours balance: a gateway that is a next hop in the end keeps its one reserve until that next hop ends; any
//! other reserve of the batch is given back with the batch.

use super::routes::RouteSpec;
use super::{Control, ControlError, ControlEvent};
use crate::host::{HostCmd, HostLink, HostReply};
use crate::link::NO_NEIGH;
use crate::time::Now;
use arp::NeighIdx;
use hashbrown::HashMap;
use route::{BatchSet, BatchSpec, BatchState, FibId, NhopKey, Path, Prefix, RouteError, Through};
use std::collections::BTreeSet;
use std::net::IpAddr;

pub use route::BatchDone;

/// How many routes' worth of work it is to ask the host for a neighbour.
const RESERVE_UNITS: usize = 64;

/// Paths that routes of a batch share.
#[derive(Clone, Debug)]
pub struct RouteSet {
    /// What they are, with the first route that has them.
    pub spec: RouteSpec,
    /// If that is an IPv4 route: the first IPv6 route that has them too.
    pub ipv6: Option<Prefix>,
}

/// A whole table of routes.
#[derive(Debug, Default)]
pub struct RouteBatch {
    /// The FIB whose routes they are.
    pub fib: FibId,
    /// The different sets of paths; `None`: no route has it.
    pub sets: Vec<Option<RouteSet>>,
    /// Which set each prefix has: ascending by prefix, none twice.
    pub routes: Vec<(Prefix, u32)>,
    /// Whether the operator's other IPv4 routes go.
    pub replace_v4: bool,
    /// Whether the operator's other IPv6 routes go.
    pub replace_v6: bool,
}

/// The batch under way.
pub(super) struct Loading {
    sets: std::vec::IntoIter<Option<RouteSet>>,
    spec: BatchSpec,
    batch: Option<route::Batch>,
    reserved: HashMap<NhopKey, NeighIdx>,
    /// Its recursive next hops.
    recursive: BTreeSet<NhopKey>,
    /// A port takes less than an MTU that was said.
    clipped: Option<String>,
}

/// How a batch ended.
pub type BatchEnd = Result<(BatchDone, Option<String>), ControlError>;

impl Control {
    /// Takes a batch to be loaded by [`Self::batch_step`].
    ///
    /// # Errors
    /// If there is one under way, or it names a connected route.
    pub fn batch_start(&mut self, batch: RouteBatch) -> Result<(), ControlError> {
        self.refuse_in_batch()?;
        self.routes.check_fib(batch.fib)?;
        let routes = &batch.routes;
        let named = |prefix: &&Prefix| routes.binary_search_by_key(prefix, |r| &r.0).is_ok();
        if let Some(prefix) = self.connected.iter().find(named) {
            return self.refuse_connected(*prefix);
        }
        let spec = BatchSpec {
            fib: batch.fib,
            sets: Vec::with_capacity(batch.sets.len()),
            routes: batch.routes,
            replace_v4: batch.replace_v4,
            replace_v6: batch.replace_v6,
            keep: self.connected.clone(),
        };
        self.batch = Some(Box::new(Loading {
            sets: batch.sets.into_iter(),
            spec,
            batch: None,
            reserved: HashMap::new(),
            recursive: BTreeSet::new(),
            clipped: None,
        }));
        Ok(())
    }

    /// Does about `units` routes' worth of the batch under way. Returns how it ended, once.
    pub fn batch_step(
        &mut self,
        units: usize,
        host: &mut dyn HostLink,
        now: Now,
    ) -> Option<BatchEnd> {
        let mut loading = self.batch.take()?;
        let ended = match &mut loading.batch {
            None => self.resolve(&mut loading, units, host).err().map(Err),
            Some(batch) => {
                let state = batch.step(&mut self.routes, units, now.secs());
                if state == BatchState::Planned {
                    self.judge_groups(batch.groups(), now);
                }
                self.settle(host, now);
                let clipped = &mut loading.clipped;
                let ended = state == BatchState::Ended;
                ended.then(|| self.outcome(batch, &loading.recursive, clipped.take()))
            }
        };
        match ended {
            Some(end) => {
                self.batch_ended(*loading, host, end.is_ok());
                Some(end)
            }
            None => {
                self.batch = Some(loading);
                None
            }
        }
    }

    /// Whether a batch is under way, and of how many units how many are done.
    pub fn batch_progress(&self) -> Option<(usize, usize)> {
        let loading = self.batch.as_ref()?;
        let none = || (0, 2 * loading.spec.routes.len());
        Some(loading.batch.as_ref().map_or_else(none, |b| b.progress()))
    }

    /// Routes stay as they are while a batch is under way.
    pub(super) fn refuse_in_batch(&self) -> Result<(), ControlError> {
        match self.batch_progress() {
            None => Ok(()),
            Some((done, of)) => Err(ControlError::InBatch {
                percent: 100 * done / of.max(1),
            }),
        }
    }

    /// Resolves sets of paths; behind the last, the batch can begin.
    fn resolve(
        &mut self,
        loading: &mut Loading,
        units: usize,
        host: &mut dyn HostLink,
    ) -> Result<(), ControlError> {
        let mut left = units;
        while left > 0 {
            let Some(set) = loading.sets.next() else {
                let spec = std::mem::take(&mut loading.spec);
                loading.batch = Some(route::Batch::new(spec));
                return Ok(());
            };
            let before = loading.reserved.len();
            let resolved = match &set {
                Some(set) => BatchSet {
                    paths: self.set_paths(set, &mut loading.reserved, host)?,
                    options: self
                        .timed(set.spec.options)
                        .map_err(|error| in_route(set.spec.prefix, error))?,
                },
                None => BatchSet::default(),
            };
            let clipped = set.and_then(|set| self.clip_warning(&set.spec, &resolved.paths));
            loading.clipped = loading.clipped.take().or(clipped);
            let keys = resolved.paths.iter().map(|path| path.key);
            let recursive = keys.filter(|key| key.resolved().is_some());
            loading.recursive.extend(recursive);
            loading.spec.sets.push(resolved);
            let asked = RESERVE_UNITS * (loading.reserved.len() - before);
            left = left.saturating_sub(1 + asked);
        }
        Ok(())
    }

    /// The paths of a set, with a neighbour reserved for each gateway that needs one and has none yet.
    fn set_paths(
        &mut self,
        set: &RouteSet,
        reserved: &mut HashMap<NhopKey, NeighIdx>,
        host: &mut dyn HostLink,
    ) -> Result<Vec<Path>, ControlError> {
        let in_route = |error| in_route(set.spec.prefix, error);
        if set.spec.kind.is_empty() && set.spec.options.group.is_none() {
            return Err(in_route(ControlError::NoTarget));
        }
        let planned = self.planned(&set.spec).map_err(in_route)?;
        let v4 = planned
            .iter()
            .filter_map(|p| p.key.gateway)
            .find(IpAddr::is_ipv4);
        if let (Some(prefix), Some(gateway)) = (set.ipv6, v4) {
            return Err(ControlError::Family { prefix, gateway });
        }
        let mut paths = Vec::with_capacity(planned.len());
        for (at, mut plan) in planned.into_iter().enumerate() {
            plan.mtu = self.mtu_in_table(&set.spec, at, &plan.key);
            let neigh = match (self.known_neigh(&plan.key), reserved.get(&plan.key)) {
                (Some(neigh), _) => neigh,
                (None, Some(neigh)) => neigh.0,
                // Resolved before anything is published, and with the routes of the batch again.
                (None, None) if plan.key.resolved().is_some() => {
                    paths.push(plan.path(NO_NEIGH));
                    continue;
                }
                (None, None) => match plan.reserve(host).map_err(in_route)? {
                    Some(neigh) => {
                        reserved.insert(plan.key, neigh);
                        neigh.0
                    }
                    None => NO_NEIGH,
                },
            };
            paths.push(plan.path(neigh));
        }
        Ok(paths)
    }

    /// Next hops that were just made may be on a port that is down, or fail their check already.
    fn judge_groups(&mut self, groups: &[route::GroupId], now: Now) {
        for group in groups {
            let paths = self.routes.group_paths(*group);
            self.judge_paths(&paths, now);
        }
    }

    fn outcome(
        &mut self,
        batch: &mut route::Batch,
        recursive: &BTreeSet<NhopKey>,
        clipped: Option<String>,
    ) -> BatchEnd {
        let at = batch.refused_at();
        let (done, told) = batch.outcome().map_err(|error| about(at, error))?;
        match told {
            Some(changes) => self
                .told
                .extend(changes.into_iter().map(ControlEvent::Route)),
            None => self.told.push(ControlEvent::Batch(done)),
        }
        let lost = recursive.iter().filter(|key| self.is_lost(key)).copied();
        let dead = || Self::dead_warning(&lost.collect::<Vec<_>>());
        let warning = batch.take_warning().or(clipped);
        Ok((done, warning.or_else(dead)))
    }

    /// Neighbours that nobody needs are let go, and who waits looks again.
    fn batch_ended(&mut self, loading: Loading, host: &mut dyn HostLink, changed: bool) {
        let Loading {
            batch, reserved, ..
        } = loading;
        let ended = batch.map_or_else(Vec::new, |mut batch| batch.take_ended());
        for (idx, key, neigh) in ended {
            self.down.remove(&idx);
            if neigh != NO_NEIGH && !reserved.contains_key(&key) {
                host.call(HostCmd::Release(NeighIdx(neigh)));
            }
        }
        let unused =
            |(key, neigh): (NhopKey, NeighIdx)| self.routes.nhop(&key).is_none().then_some(neigh);
        for neigh in reserved.into_iter().filter_map(unused) {
            host.call(HostCmd::Release(neigh));
        }
        if changed {
            self.names = None;
            self.affinities = None;
            self.wake_workers();
        }
    }
}

/// A refusal that names the route which it is about.
fn in_route(prefix: Prefix, error: ControlError) -> ControlError {
    ControlError::InRoute {
        prefix,
        error: Box::new(error),
    }
}

/// The same for what routes refuse; some of it names the route already.
fn about(prefix: Option<Prefix>, error: RouteError) -> ControlError {
    let line = error.to_string();
    match prefix.filter(|prefix| !line.starts_with(&prefix.to_string())) {
        Some(prefix) => in_route(prefix, error.into()),
        None => error.into(),
    }
}

/// A path before its neighbour is known.
pub(super) struct Planned {
    pub(super) key: NhopKey,
    pub(super) weight: u32,
    pub(super) mtu: u32,
    /// Whether its port has neighbours.
    pub(super) link: bool,
    /// If it is recursive: where its packets go at first.
    pub(super) through: Option<Through>,
}

impl Planned {
    /// A path that stands alone and has no neighbour.
    pub(super) const fn alone(key: NhopKey, mtu: u32) -> Self {
        Self {
            key,
            weight: 1,
            mtu,
            link: false,
            through: None,
        }
    }

    /// Reserves its neighbour, if it has one.
    pub(super) fn reserve(
        &self,
        host: &mut dyn HostLink,
    ) -> Result<Option<NeighIdx>, ControlError> {
        let of_key = self.key.gateway.map(|gateway| (self.key.port, gateway));
        let there = self.through.map(|to| (to.port, to.gateway)).or(of_key);
        let Some((port, gateway)) = there.filter(|_| self.link) else {
            return Ok(None);
        };
        match host.call(HostCmd::Reserve(port, gateway)) {
            HostReply::Neigh(idx) => Ok(Some(idx)),
            HostReply::Refused(error) => Err(error.into()),
            _ => Err(ControlError::HostGone),
        }
    }

    /// The path, with its neighbour.
    pub(super) const fn path(&self, neigh: u32) -> Path {
        Path {
            key: self.key,
            weight: self.weight,
            neigh,
            mtu: self.mtu,
            through: self.through,
        }
    }
}
