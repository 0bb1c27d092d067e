//! What a change of a route needs of control to be foreseen, and trying it out.

use super::super::routes::RouteSpec;
use super::super::{Control, ControlError, Reader};
use super::follow::Obeyed;
use super::forecast::Forecast;
use super::scope::Scope;
use crate::link::NO_NEIGH;
use crate::time::Now;
use flowtable::GroupSecret;
use route::{
    Change, Health, NhopKey, NhopKeyMatch, OptionsAsked, Path, Prefix, RouteError, Secs, Sketch,
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

/// The change as route tables take it.
enum Step {
    Add(Vec<Path>, OptionsAsked),
    Change(Vec<Path>, OptionsAsked, Option<Secs>),
    Delete(Option<NhopKeyMatch>),
}

impl Step {
    fn make(
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
            Self::Delete(which) => routes.delete(prefix, which.as_ref(), now),
        }
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
    prefix: Prefix,
    reader: Reader,
    secret: GroupSecret,
}

impl Control {
    /// Takes what is needed to foresee a change. Nothing is changed, no neighbour reserved.
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
        let (paths, options) = match &step {
            Step::Add(paths, options) | Step::Change(paths, options, _) => (&paths[..], *options),
            Step::Delete(_) => (&[][..], OptionsAsked::default()),
        };
        let prefix = order.prefix();
        let is_dead = |key: &NhopKey| {
            let (port_down, check_down) = self.speaks_against(key);
            port_down || check_down
        };
        let dead = paths.iter().map(|path| path.key).filter(is_dead).collect();
        let sketch = self.routes.sketch(prefix, paths, options, now.secs());
        Ok(Foresight {
            sketch,
            step,
            dead,
            led: self.routes.led_by(&prefix),
            prefix,
            reader: self.reader(),
            secret: self.group_secret,
        })
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
            prefix,
            reader,
            secret,
        } = self;
        let mut preview = sketch.try_out(|routes, now| {
            let change = step.make(routes, prefix, now)?;
            let doomed = change.paths.iter().filter(|p| dead.contains(&p.key));
            for path in doomed.filter(|p| p.health != Health::Dead) {
                routes.set_health(path.idx, Health::Dead, now);
            }
            Ok(change)
        })?;
        if preview.change.warning.is_none() {
            let lost: Vec<NhopKey> = led
                .into_iter()
                .filter(|key| !preview.leads_to(key))
                .collect();
            preview.change.warning = Control::way_warning(&lost);
        }
        Ok(Forecast::new(preview, Scope::of(prefix), reader, secret))
    }
}
