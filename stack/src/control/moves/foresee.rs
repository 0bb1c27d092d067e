//! What a change of a route or a group needs of control to be foreseen, and trying it out.

use super::super::routes::RouteSpec;
use super::super::{Control, ControlError, Reader};
use super::Subject;
use super::follow::Obeyed;
use super::forecast::Forecast;
use super::scope::{Holed, Scope};
use crate::link::NO_NEIGH;
use crate::time::Now;
use flowtable::GroupSecret;
use route::{
    ChangeKind, Changed, GroupNo, Health, NhopKey, NhopKeyMatch, OptionsAsked, Path, Prefix,
    RouteError, Secs, Sketch,
};
use std::net::IpAddr;
use std::sync::Arc;

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
    Delete(Option<NhopKeyMatch>),
}

impl Step {
    /// The paths that it names, and the options.
    fn names(&self) -> (&[Path], OptionsAsked) {
        match self {
            Self::Add(paths, options) | Self::Change(paths, options, _) => (paths, *options),
            Self::Delete(_) => (&[], OptionsAsked::default()),
        }
    }

    fn make(
        &self,
        routes: &mut route::Control,
        subject: Subject,
        now: Secs,
    ) -> Result<Changed, RouteError> {
        Ok(match subject {
            Subject::Route(prefix) => Changed::Route(match self {
                Self::Add(paths, options) => routes.add_with(prefix, paths, *options, now)?,
                Self::Change(paths, options, deadline) => {
                    routes.change_with(prefix, paths, *options, *deadline, now)?
                }
                Self::Delete(which) => routes.delete(prefix, which.as_ref(), now)?,
            }),
            Subject::Group(number) => Changed::Group(match self {
                Self::Add(paths, options) => routes.group_add(number, paths, *options, now)?,
                Self::Change(paths, options, deadline) => {
                    routes.group_change(number, paths, *options, *deadline, now)?
                }
                Self::Delete(which) => routes.group_delete(number, which.as_ref(), now)?,
            }),
        })
    }
}

/// What it takes to foresee a change without control.
pub struct Foresight {
    sketch: Sketch,
    step: Step,
    /// Next hops of the change that would be dead as soon as they are.
    dead: Vec<NhopKey>,
    /// Recursive next hops to which the route leads, or may.
    led: Vec<NhopKey>,
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
                Step::Add(self.foreseen_paths(spec)?, spec.options)
            }
            RouteOrder::Change(spec) => {
                self.refuse_change(spec)?;
                let paths = self.foreseen_paths(spec)?;
                Step::Change(paths, spec.options, spec.deadline(now))
            }
            RouteOrder::Delete {
                prefix,
                gateway,
                iface,
            } => {
                self.refuse_connected(*prefix)?;
                Step::Delete(self.which_path(*gateway, iface.as_deref())?)
            }
        };
        let (prefix, (paths, options)) = (order.prefix(), step.names());
        let sketch = self.routes.sketch(prefix, paths, options, now.secs());
        let (led, scope) = (self.routes.led_by(&prefix), Scope::Route(Holed::of(prefix)));
        Ok(self.foresight((Subject::Route(prefix), scope), sketch, step, led))
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
                Step::Add(self.foreseen_paths(spec)?, spec.options)
            }
            GroupOrder::Change(_, spec) => {
                let spec = &self.with_ports_of_members(number, spec);
                self.check_fib(spec.prefix.fib())?;
                let paths = self.foreseen_paths(spec)?;
                Step::Change(paths, spec.options, spec.deadline(now))
            }
            GroupOrder::Delete(_, which) => Step::Delete(*which),
        };
        let (paths, _) = step.names();
        let sketch = self.routes.sketch_group(number, paths, now.secs());
        let group = self.routes.group_numbered(number);
        let led = group.map_or_else(Vec::new, |group| self.routes.led_by_group(group));
        let subject = (Subject::Group(number), Scope::Group(group));
        Ok(self.foresight(subject, sketch, step, led))
    }

    fn foresight(
        &mut self,
        (subject, scope): (Subject, Scope),
        sketch: Sketch,
        step: Step,
        led: Vec<NhopKey>,
    ) -> Foresight {
        let is_dead = |key: &NhopKey| {
            let (port_down, check_down) = self.speaks_against(key);
            port_down || check_down
        };
        let (paths, _) = step.names();
        let dead = paths.iter().map(|path| path.key).filter(is_dead).collect();
        Foresight {
            sketch,
            step,
            dead,
            led,
            subject,
            scope,
            reader: self.reader(),
            secret: self.group_secret,
        }
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
        let Self {
            sketch,
            step,
            dead,
            led,
            subject,
            scope,
            reader,
            secret,
        } = self;
        let mut preview = sketch.try_out(|routes, now| {
            let change = step.make(routes, subject, now)?;
            let doomed = change.paths().iter().filter(|p| dead.contains(&p.key));
            for path in doomed.filter(|p| p.health != Health::Dead) {
                routes.set_health(path.idx, Health::Dead, now);
            }
            Ok(change)
        })?;
        let lost = led.into_iter().filter(|key| !preview.leads_to(key));
        let lost: Vec<NhopKey> = lost.collect();
        let warning = without_way(&preview.change).or_else(|| Control::way_warning(&lost));
        let of_change = preview.change.warning_mut();
        *of_change = of_change.take().or(warning);
        Ok(Forecast::new(preview, (subject, scope), reader, secret))
    }
}

/// One line if a change has gateways to which no route leads.
fn without_way(change: &Changed) -> Option<String> {
    let paths = change.paths().iter();
    let lost = paths.filter(|path| path.key.resolved().is_some() && path.through.is_none());
    let lost: Vec<NhopKey> = lost.map(|path| path.key).collect();
    Control::dead_warning(&lost).filter(|_| change.kind() != ChangeKind::Deleted)
}
