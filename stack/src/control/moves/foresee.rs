//! What a change of a route or a group needs of control to be foreseen, and trying it out.

use super::super::routes::RouteSpec;
use super::super::routes::mtu::{Mtus, change_mtu};
use super::super::{Control, ControlError, Reader};
use super::Subject;
use super::follow::Obeyed;
use super::forecast::{Ending, Forecast};
use super::scope::{Holed, Scope};
use crate::link::NO_NEIGH;
use crate::time::Now;
use flowtable::GroupSecret;
use route::{
    Admin, Change, ChangeKind, Changed, GroupChange, GroupError, GroupId, GroupNo, GroupSketch,
    Health, NhopIdx, NhopKey, NhopKeyMatch, OptionsAsked, Path, PathInfo, PortId, Prefix, Preview,
    RouteError, Secs, Sketch, Through, Way,
};
use std::net::IpAddr;
use std::sync::Arc;

/// Groups of which copies are taken for one change, at most: with 4,096 buckets half a megabyte each.
const MOST_GROUPS: usize = 256;

/// A change of one route, as an operator asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteOrder {
    /// `route add`.
    Add(RouteSpec),
    /// `route change`.
    Change(RouteSpec),
    /// `route delete`.
    Delete {
        /// The destination.
        prefix: Prefix,
        /// The path's gateway, if that is said.
        gateway: Option<IpAddr>,
        /// The path's port, if that is said.
        iface: Option<String>,
    },
}

impl RouteOrder {
    /// The destination.
    pub const fn prefix(&self) -> Prefix {
        match self {
            Self::Add(spec) | Self::Change(spec) => spec.prefix,
            Self::Delete { prefix, .. } => *prefix,
        }
    }
}

/// A change of a group that has a number, as an operator asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupOrder {
    /// `group add`.
    Add(GroupNo, RouteSpec),
    /// `group change`.
    Change(GroupNo, RouteSpec),
    /// `group delete`.
    Delete(GroupNo, Option<NhopKeyMatch>),
}

impl GroupOrder {
    /// The group's number.
    pub const fn number(&self) -> GroupNo {
        match self {
            Self::Add(number, _) | Self::Change(number, _) | Self::Delete(number, _) => *number,
        }
    }
}

/// The change as route tables take it.
enum Step {
    Add(Vec<Path>, OptionsAsked),
    Change(Vec<Path>, OptionsAsked, Option<Secs>),
    /// A change of all MTUs, and of options.
    Mtu(Mtus, OptionsAsked),
    Delete(Option<NhopKeyMatch>),
    /// A drain comes to its deadline.
    Expire(Secs),
    /// The same of a next hop's drain everywhere.
    Drained(NhopIdx),
    /// Next hops begin to drain everywhere, until then if that is said.
    Drain(Vec<NhopIdx>, Option<Secs>),
}

impl Step {
    /// The paths that it names, and the options.
    fn names(&self) -> (&[Path], OptionsAsked) {
        match self {
            Self::Add(paths, options) | Self::Change(paths, options, _) => (paths, *options),
            Self::Mtu(_, options) => (&[], *options),
            Self::Delete(_) | Self::Expire(_) | Self::Drained(_) | Self::Drain(..) => {
                (&[], OptionsAsked::default())
            }
        }
    }

    /// When the drain ends that it begins.
    const fn ends(&self) -> Option<Secs> {
        match self {
            Self::Change(_, _, at) | Self::Drain(_, at) => *at,
            _ => None,
        }
    }

    /// The drain that it begins ends. Where no line is left for fewer members it goes on.
    fn end(&self, routes: &mut route::Control, subject: Subject, at: Secs) {
        match subject {
            Subject::Route(prefix) => drop(routes.expire_route(prefix, at)),
            Subject::Group(number) => drop(routes.expire_one_group(number, at)),
            Subject::Nexthop(_) => self.admit(routes, Admin::Drained, at),
        }
    }

    /// The next hops of a drain everywhere get another state.
    fn admit(&self, routes: &mut route::Control, admin: Admin, now: Secs) {
        let Self::Drain(idxs, _) = self else {
            return;
        };
        for idx in idxs {
            routes.set_admin(*idx, admin, now);
        }
    }

    fn make(
        &self,
        routes: &mut route::Control,
        subject: Subject,
        now: Secs,
    ) -> Result<Changed, RouteError> {
        match subject {
            Subject::Route(prefix) => self.of_route(routes, prefix, now).map(Changed::Route),
            Subject::Group(number) => self.of_group(routes, number, now).map(Changed::Group),
            Subject::Nexthop(_) => self.of_nexthop(routes, now).map(Changed::Route),
        }
    }

    fn of_route(
        &self,
        routes: &mut route::Control,
        prefix: Prefix,
        now: Secs,
    ) -> Result<Change, RouteError> {
        match self {
            Self::Add(paths, options) => routes.add_with(prefix, paths, *options, now),
            Self::Change(paths, options, deadline) => {
                routes.change_with(prefix, paths, *options, *deadline, now)
            }
            Self::Mtu(mtus, options) => change_mtu(routes, prefix, (mtus, *options), now),
            Self::Delete(which) => routes.delete(prefix, which.as_ref(), now),
            Self::Expire(at) => {
                let expired = routes.expire_route(prefix, *at);
                expired.ok_or(RouteError::NotFound { prefix })
            }
            Self::Drained(_) | Self::Drain(..) => Err(RouteError::NotFound { prefix }),
        }
    }

    fn of_group(
        &self,
        routes: &mut route::Control,
        number: GroupNo,
        now: Secs,
    ) -> Result<GroupChange, RouteError> {
        match self {
            Self::Add(paths, options) => routes.group_add(number, paths, *options, now),
            Self::Change(paths, options, deadline) => {
                routes.group_change(number, paths, *options, *deadline, now)
            }
            Self::Delete(which) => routes.group_delete(number, which.as_ref(), now),
            Self::Expire(at) => {
                let expired = routes.expire_one_group(number, *at);
                expired.ok_or(RouteError::Group(number, GroupError::None))
            }
            Self::Mtu(..) | Self::Drained(_) | Self::Drain(..) => {
                Err(RouteError::Group(number, GroupError::None))
            }
        }
    }

    /// A next hop drains, or has drained, everywhere: that is no change of a route, and told as one of no paths.
    fn of_nexthop(&self, routes: &mut route::Control, now: Secs) -> Result<Change, RouteError> {
        let prefix = anywhere();
        match self {
            Self::Drained(idx) => drop(routes.set_admin(*idx, Admin::Drained, now)),
            Self::Drain(..) => self.admit(routes, Admin::Draining, now),
            _ => return Err(RouteError::NotFound { prefix }),
        }
        Ok(Change {
            kind: ChangeKind::Changed,
            prefix,
            paths: Vec::new(),
            removed_nhops: Vec::new(),
            warning: None,
        })
    }
}

/// A prefix that stands for none.
fn anywhere() -> Prefix {
    Prefix::masked(IpAddr::from([0; 4]), 0)
}

/// What it takes to foresee a change without control.
pub struct Foresight {
    sketch: Sketch,
    step: Step,
    /// Next hops of the change that would be dead as soon as they are.
    dead: Vec<NhopKey>,
    /// Recursive next hops whose ways the change concerns.
    ways: Vec<Way>,
    /// Where nobody answers.
    failed: Vec<(PortId, IpAddr)>,
    /// Groups of which copies are wanted, and of how many more none is.
    more: Vec<GroupId>,
    beyond: usize,
    subject: Subject,
    scope: Scope,
    reader: Reader,
    secret: GroupSecret,
}

impl Control {
    /// Takes what is needed to foresee a change of a route. Nothing is changed, no neighbour reserved.
    ///
    /// # Errors
    /// As the change itself would be refused before it is tried.
    pub fn foresee(&mut self, order: &RouteOrder, now: Now) -> Result<Foresight, ControlError> {
        self.refuse_in_batch()?;
        let step = match order {
            RouteOrder::Add(spec) => {
                self.refuse_add(spec)?;
                Step::Add(self.foreseen_paths(spec)?, self.timed(spec.options)?)
            }
            RouteOrder::Change(spec) => {
                self.refuse_change(spec)?;
                let options = self.timed(spec.options)?;
                match spec.mtu_alone() {
                    Some(mtu) => Step::Mtu(self.mtus_of(spec.prefix, mtu).0, options),
                    None => Step::Change(self.foreseen_paths(spec)?, options, spec.deadline(now)),
                }
            }
            RouteOrder::Delete {
                prefix,
                gateway,
                iface,
            } => {
                self.refuse_connected(*prefix)?;
                let which = self.which_path(*gateway, iface.as_deref())?;
                self.refuse_which_path(*prefix, which.as_ref())?;
                Step::Delete(which)
            }
        };
        let (prefix, (paths, options)) = (order.prefix(), step.names());
        let sketch = self.routes.sketch(prefix, paths, options, now.secs());
        let ways = self.routes.ways(Some(prefix), None);
        let subject = (Subject::Route(prefix), Scope::Route(Holed::of(prefix)));
        Ok(self.foresight(subject, sketch, step, ways))
    }

    /// Takes what is needed to foresee a change of a group that has a number.
    ///
    /// # Errors
    /// As the change itself would be refused before it is tried.
    pub fn foresee_group(
        &mut self,
        order: &GroupOrder,
        now: Now,
    ) -> Result<Foresight, ControlError> {
        self.refuse_in_batch()?;
        let number = order.number();
        let step = match order {
            GroupOrder::Add(_, spec) => {
                self.refuse_weight_zero(spec)?;
                self.check_fib(spec.prefix.fib())?;
                Step::Add(self.foreseen_paths(spec)?, self.timed(spec.options)?)
            }
            GroupOrder::Change(_, spec) => {
                let spec = &self.with_ports_of_members(number, spec);
                self.check_fib(spec.prefix.fib())?;
                let paths = self.foreseen_paths(spec)?;
                Step::Change(paths, self.timed(spec.options)?, spec.deadline(now))
            }
            GroupOrder::Delete(_, which) => Step::Delete(*which),
        };
        let (paths, _) = step.names();
        let sketch = self.routes.sketch_group(number, paths, now.secs());
        let group = self.routes.group_numbered(number);
        let ways = self.routes.ways(None, group);
        let subject = (Subject::Group(number), Scope::Group(group));
        Ok(self.foresight(subject, sketch, step, ways))
    }

    fn foresight(
        &mut self,
        (subject, scope): (Subject, Scope),
        sketch: Sketch,
        step: Step,
        mut ways: Vec<Way>,
    ) -> Foresight {
        for way in &mut ways {
            way.passable = self.may_pass(way.idx);
        }
        let groups = ways.iter().flat_map(|way| self.routes.groups_of(way.idx));
        let more: Vec<GroupId> = groups.collect();
        let failed = match ways.is_empty() {
            true => Vec::new(),
            false => self.failed_places(),
        };
        let is_dead = |key: &NhopKey| {
            let (port_down, check_down) = self.speaks_against(key);
            port_down || check_down
        };
        let (paths, _) = step.names();
        let dead = paths.iter().map(|path| path.key).filter(is_dead).collect();
        let mut foresight = Foresight {
            sketch,
            step,
            dead,
            ways,
            failed,
            more: Vec::new(),
            beyond: 0,
            subject,
            scope,
            reader: self.reader(),
            secret: self.group_secret,
        };
        foresight.want(more);
        foresight
    }

    /// Takes what is needed to foresee what a drain moves whose deadline comes at `at`.
    pub fn foresee_ending(&mut self, of: Subject, at: Secs, now: Now) -> Option<Foresight> {
        let (step, now) = (Step::Expire(at), now.secs());
        let (sketch, scope, ways) = match of {
            Subject::Route(prefix) => {
                // It has a group of its own: a path of it drains.
                let group = self.routes.get(prefix)?.group;
                let sketch = self
                    .routes
                    .sketch(prefix, &[], OptionsAsked::default(), now);
                let ways = self.routes.ways(Some(prefix), None);
                (sketch, Scope::Group(Some(group)), ways)
            }
            Subject::Group(number) => {
                let group = self.routes.group_numbered(number)?;
                let sketch = self.routes.sketch_group(number, &[], now);
                let ways = self.routes.ways(None, Some(group));
                (sketch, Scope::Group(Some(group)), ways)
            }
            Subject::Nexthop(key) => return self.foresee_drained(key, now),
        };
        Some(self.foresight((of, scope), sketch, step, ways))
    }

    fn foresee_drained(&mut self, key: NhopKey, now: Secs) -> Option<Foresight> {
        let idx = self.routes.nhop(&key)?;
        Some(self.foresight_of(key, &[idx], Step::Drained(idx), now))
    }

    /// Takes what is needed to foresee what a drain of a gateway everywhere moves, at its deadline if there is one. What
    /// it means for recursive next hops beyond it is not foreseen.
    ///
    /// # Errors
    /// No route names the gateway.
    pub fn foresee_drain(
        &mut self,
        gateway: IpAddr,
        deadline: Option<Secs>,
        now: Now,
    ) -> Result<Foresight, ControlError> {
        let idxs = self.named_nhops(gateway)?;
        let first = idxs.first().and_then(|idx| self.routes.nhop_info(*idx));
        let none = || ControlError::NoSuchNhop(gateway.to_string());
        let key = first.ok_or_else(none)?.key;
        let step = Step::Drain(idxs.clone(), deadline);
        Ok(self.foresight_of(key, &idxs, step, now.secs()))
    }

    /// Of a change of next hops in all groups that name them.
    fn foresight_of(&mut self, key: NhopKey, idxs: &[NhopIdx], step: Step, now: Secs) -> Foresight {
        let none = OptionsAsked::default();
        let sketch = self.routes.sketch(anywhere(), &[], none, now);
        let subject = (Subject::Nexthop(key), Scope::Group(None));
        let mut foresight = self.foresight(subject, sketch, step, Vec::new());
        let groups = idxs.iter().flat_map(|idx| self.routes.groups_of(*idx));
        foresight.want(groups.collect());
        foresight
    }

    /// A copy of a group that a foresight wants.
    pub fn group_sketch(&self, id: GroupId) -> Option<GroupSketch> {
        self.routes.group_sketch(id)
    }

    /// Says, asked later, whether every worker obeys what was changed up to now.
    pub fn obeyed(&self) -> Obeyed {
        let view = Arc::clone(&self.view);
        let epoch = view.qsbr().advance();
        Box::new(move || view.qsbr().passed(epoch))
    }

    /// Longer routes inside `of` that follow `after`, in order, up to `max`: they are not concerned by its changes. None
    /// left: empty.
    pub fn routes_within(&self, of: Prefix, after: Option<Prefix>, max: usize) -> Vec<Prefix> {
        self.routes.routes_within(of, after, max)
    }

    /// The paths of a spec, without reserving anything for them.
    fn foreseen_paths(&self, spec: &RouteSpec) -> Result<Vec<Path>, ControlError> {
        let planned = self.led(spec)?;
        let path = |plan: &super::super::batch::Planned| {
            plan.path(self.known_neigh(&plan.key).unwrap_or(NO_NEIGH))
        };
        Ok(planned.iter().map(path).collect())
    }
}

impl Foresight {
    /// Tries the change out.
    ///
    /// # Errors
    /// As the change would be refused.
    pub fn try_out(self) -> Result<Forecast, ControlError> {
        let (mut preview, lost) = self.tried(None)?;
        let warning = without_way(&preview.change).or_else(|| Control::way_warning(&lost));
        let warning = warning.or_else(|| beyond_warning(self.beyond));
        let of_change = preview.change.warning_mut();
        *of_change = of_change.take().or(warning);
        let ending = self.step.ends().and_then(|at| {
            let (preview, _) = self.tried(Some(at)).ok()?;
            Some(Ending::new(preview, at <= self.sketch.now()))
        });
        let Self {
            subject,
            scope,
            reader,
            secret,
            ..
        } = self;
        let previews = (preview, ending);
        Ok(Forecast::new(previews, (subject, scope), reader, secret))
    }

    /// The change, and the end of the drain that it begins, if that is to come too; and who has no way after it.
    fn tried(&self, ends: Option<Secs>) -> Result<(Preview, Vec<NhopKey>), RouteError> {
        let mut preview = self.sketch.try_out(|routes, now| {
            let change = self.step.make(routes, self.subject, now)?;
            let dead = |path: &&PathInfo| self.dead.contains(&path.key);
            let doomed = change.paths().iter().filter(dead);
            for path in doomed.filter(|p| p.health != Health::Dead) {
                routes.set_health(path.idx, Health::Dead, now);
            }
            if let Some(at) = ends {
                self.step.end(routes, self.subject, at);
            }
            Ok(change)
        })?;
        let fails = |to: &Through| to.on_link && self.failed.contains(&(to.port, to.gateway));
        let lost = preview.settle(&self.ways, fails);
        Ok((preview, lost))
    }

    /// Copies of these groups are wanted, as many as there may be.
    fn want(&mut self, mut groups: Vec<GroupId>) {
        groups.sort_unstable();
        groups.dedup();
        self.beyond = groups.len().saturating_sub(MOST_GROUPS);
        groups.truncate(MOST_GROUPS);
        self.more = groups;
    }

    /// A group of which a copy is wanted, before the change is tried out.
    pub fn wants(&mut self) -> Option<GroupId> {
        self.more.pop()
    }

    /// Takes such a copy.
    pub fn include(&mut self, group: GroupSketch) {
        self.sketch.include(group);
    }
}

/// One line if more groups have gateways that go another way than are looked at.
fn beyond_warning(groups: usize) -> Option<String> {
    (groups > 0)
        .then(|| format!("flows of {groups} more groups that this concerns are not counted"))
}

/// One line if a change has gateways to which no route leads.
fn without_way(change: &Changed) -> Option<String> {
    let paths = change.paths().iter();
    let lost = paths.filter(|path| path.key.resolved().is_some() && path.through.is_none());
    let lost: Vec<NhopKey> = lost.map(|path| path.key).collect();
    Control::dead_warning(&lost).filter(|_| change.kind() != ChangeKind::Deleted)
}
