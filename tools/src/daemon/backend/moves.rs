//! Which flows a change of a route or a group would move, and which it has moved: found on the thread of whoever asks.

use super::Live;
use super::groups;
use super::refusal::refused;
use super::routes::kind;
use super::routes::path;
use super::spec::spec_to_add;
use crate::server::Answer;
use crate::server::Foreseeing;
use crate::server::Foreseen;
use crate::server::Obeyed;
use crate::server::Order;
use crate::server::Reading;
use crate::wire::group::GroupDone;
use crate::wire::moves as wire;
use crate::wire::nexthop::NexthopSet;
use crate::wire::route::Path;
use crate::wire::route::RouteDone;
use route::Changed;
use route::FibId;
use route::NhopKey;
use route::PathInfo;
use route::Prefix;
use stack::Now;
use stack::control;
use stack::control::Forecast;
use stack::control::Foresight;
use stack::control::LoggedMoves;
use stack::control::MoveLog;
use stack::control::Reader;
use stack::control::Subject;
use stack::io::poll::Clock;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// The last changes that moved flows. Clients' threads share it; control never waits for it.
#[derive(Clone, Default)]
pub(super) struct Moves(Arc<Mutex<MoveLog>>);

impl Moves {
    /// A look at it cannot leave it half done, whatever ended the thread that had it.
    pub(super) fn lock(&self) -> MutexGuard<'_, MoveLog> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    pub(super) fn foresee_order(&mut self, order: &Order) -> Answer<Foreseeing> {
        let now = self.now();
        let (name, order) = self.order_of(order)?;
        let foresight = match &order {
            Ordered::Route(order) => self.control.foresee(order, now),
            Ordered::Group(order) => self.control.foresee_group(order, now),
        };
        let foresight = foresight.map_err(|error| refused(&error))?;
        Ok(self.foreseeing(name, foresight))
    }

    pub(super) fn foresee_drain_of(&mut self, ask: &NexthopSet) -> Answer<Foreseeing> {
        let (now, deadline) = (self.now(), ask.deadline);
        let deadline = deadline.map(|seconds| now.deadline(seconds));
        let foresight = self.control.foresee_drain(ask.gateway, deadline, now);
        Ok(self.foreseeing("drain", foresight.map_err(|error| refused(&error))?))
    }

    fn foreseeing(&self, name: &'static str, mut foresight: Foresight) -> Foreseeing {
        let (now, clock, log) = (self.now(), self.clock, self.moves.clone());
        Box::new(move |copying| {
            while let Some(group) = foresight.wants() {
                if let Some(copy) = copying(group)? {
                    foresight.include(copy);
                }
            }
            let forecast = foresight.try_out().map_err(|error| refused(&error))?;
            Ok(Box::new(Foretold {
                forecast,
                name,
                looked: now,
                clock,
                log,
            }))
        })
    }

    /// An order as control takes it, with its name.
    fn order_of(&self, order: &Order) -> Answer<(&'static str, Ordered)> {
        use control::{GroupOrder, RouteOrder};
        let route = |name, order| (name, Ordered::Route(order));
        let group = |name, order| (name, Ordered::Group(order));
        Ok(match order {
            Order::Add(ask) => route("add", RouteOrder::Add(spec_to_add(ask)?)),
            Order::Change(ask) => route("change", RouteOrder::Change(self.asked_of_route(ask)?)),
            Order::Delete(ask) => {
                let order = RouteOrder::Delete {
                    prefix: ask.destination.in_fib(FibId(ask.fib)),
                    gateway: ask.gateway,
                    iface: ask.port.clone(),
                };
                route("delete", order)
            }
            Order::GroupAdd(ask) => {
                let (number, spec) = groups::spec_to_add(ask)?;
                group("add", GroupOrder::Add(number, spec))
            }
            Order::GroupChange(ask) => {
                let (number, spec) = self.asked_change(ask)?;
                group("change", GroupOrder::Change(number, spec))
            }
            Order::GroupDelete(ask) => {
                let (number, which) = self.which_member(ask)?;
                group("delete", GroupOrder::Delete(number, which))
            }
        })
    }

    pub(super) fn read_moves(&mut self) -> Reading<Vec<wire::RouteMoves>> {
        let (reader, clock, log) = (self.control.reader(), self.clock, self.moves.clone());
        Box::new(move || {
            let seen = log.lock().look(Now(clock.ms()));
            seen.iter().map(|change| logged(change, &reader)).collect()
        })
    }
}

/// An order as control takes it.
enum Ordered {
    Route(control::RouteOrder),
    Group(control::GroupOrder),
}

/// A change that was tried out.
struct Foretold {
    forecast: Forecast,
    name: &'static str,
    looked: Now,
    clock: Clock,
    log: Moves,
}

impl Foretold {
    fn now(&self) -> Now {
        Now(self.clock.ms())
    }

    /// What the change would answer.
    fn done(&self) -> wire::Changed {
        let change = self.forecast.change();
        let paths = change.paths().iter().map(|info| self.path(info)).collect();
        match change {
            Changed::Route(change) => RouteDone {
                destination: change.prefix.in_fib(FibId(0)),
                fib: change.prefix.fib().0,
                paths,
                warning: change.warning.clone(),
            }
            .into(),
            Changed::Group(change) => GroupDone {
                group: change.number.0,
                index: change.group.0,
                paths,
                warning: change.warning.clone(),
            }
            .into(),
        }
    }

    /// A path as it would be. A next hop that is not there yet has no place.
    fn path(&self, info: &PathInfo) -> Path {
        let path = path(info, self.forecast.reader().ports(), self.looked);
        if self.forecast.exists(info.pin()) {
            return path;
        }
        Path {
            nexthop: 0,
            generation: 0,
            ..path
        }
    }
}

impl Foreseen for Foretold {
    fn prefix(&self) -> Option<Prefix> {
        self.forecast.subject().prefix()
    }

    fn moves_nothing(&self) -> bool {
        self.forecast.moves_nothing()
    }

    fn exclude(&mut self, longer: &[Prefix]) {
        self.forecast.exclude(longer);
    }

    fn look(&mut self) {
        self.looked = self.now();
        self.forecast.look(self.looked);
    }

    fn due(&self) -> u64 {
        self.forecast.due()
    }

    fn due_at_end(&self) -> u64 {
        self.forecast.due_at_end()
    }

    fn measure(&mut self) {
        let now = self.now();
        self.forecast
            .measure(now.0.saturating_sub(self.looked.0), now);
    }

    fn plan(&self) -> wire::Changed {
        self.done().with_plan(self.moves())
    }

    fn moves(&self) -> wire::MovePlan {
        let (plan, reader) = (self.forecast.plan(), self.forecast.reader());
        let row = |row: &control::MoveRow| wire::Move {
            from: nexthop(row.from, reader),
            to: nexthop(row.to, reader),
            reason: row.why.name().into(),
            flows: row.flows,
            clients: row.clients,
            bytes_per_second: row.bytes_per_s.unwrap_or(0),
        };
        wire::MovePlan {
            flows: plan.flows,
            clients: plan.clients,
            bytes_per_second: plan.bytes_per_s.unwrap_or(0),
            sampled: plan.sampled,
            staying: plan.staying,
            at_deadline: plan.at_deadline,
            already_due: plan.already_due,
            unlisted: plan.unlisted,
            moves: plan.rows.iter().map(row).collect(),
            deadline_moves: plan.at_deadline_rows.iter().map(row).collect(),
        }
    }

    fn follow(self: Box<Self>, obeyed: Obeyed, time: u64) -> wire::RouteMoves {
        let now = self.now();
        let Self {
            forecast,
            name,
            log,
            ..
        } = *self;
        let (subject, reader) = (forecast.subject(), forecast.reader().clone());
        let follow = forecast.follow(obeyed);
        let seen = log.lock().add(name, subject, time, follow, now);
        logged(&seen, &reader)
    }
}

fn nexthop(key: Option<NhopKey>, reader: &Reader) -> Option<wire::MoveNexthop> {
    key.map(|key| wire::MoveNexthop {
        kind: kind(key.kind),
        gateway: key.gateway,
        port: reader.port_of(&key),
    })
}

fn logged(seen: &LoggedMoves, reader: &Reader) -> wire::RouteMoves {
    let sum = |of: fn(&control::Followed) -> u64| seen.rows.iter().map(of).sum();
    let row = |row: &control::Followed| wire::MoveState {
        from: nexthop(row.from, reader),
        to: nexthop(row.to, reader),
        reason: row.why.name().into(),
        due: row.due,
        moved: row.moved,
        expired: row.expired,
        stayed: row.stayed,
        left: row.left(),
    };
    let prefix = seen.of.subject.prefix();
    wire::RouteMoves {
        change: seen.of.number,
        time: seen.of.time,
        order: seen.of.order.into(),
        destination: prefix.map(|prefix| prefix.in_fib(FibId(0))),
        group: match seen.of.subject {
            Subject::Group(number) => Some(number.0),
            Subject::Route(_) | Subject::Nexthop(_) => None,
        },
        nexthop: match seen.of.subject {
            Subject::Nexthop(key) => nexthop(Some(key), reader),
            Subject::Route(_) | Subject::Group(_) => None,
        },
        fib: prefix.map_or(0, |prefix| prefix.fib().0),
        due: seen.due,
        moved: sum(|row| row.moved),
        expired: sum(|row| row.expired),
        stayed: sum(|row| row.stayed),
        left: seen.left(),
        unfollowed: seen.unfollowed,
        moves: seen.rows.iter().map(row).collect(),
    }
}
