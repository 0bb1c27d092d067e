//! Made-up routes: in a list, in the order in which they came.

use super::Fake;
use super::not_found;
use super::path;
use super::route;
use crate::server::Answer;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::route::*;
use route::Prefix;

pub(super) fn add(fake: &mut Fake, ask: RouteAdd) -> Answer<RouteDone> {
    for spec in &ask.paths {
        check_weight(spec.weight.unwrap_or(1), false)
            .map_err(|message| CallError::refused(Reason::Invalid, message))?;
        let far = "Network is unreachable: no port has an address in the network of 172.16.0.1; ports: rack 192.0.2.1/24";
        if spec.gateway == "172.16.0.1".parse().ok() {
            return Err(CallError::refused(Reason::Unreachable, far));
        }
    }
    let paths: Vec<Path> = (1..)
        .zip(&ask.paths)
        .map(|(at, spec)| path(spec, at))
        .collect();
    let destination = ask.destination;
    match fake.find(destination) {
        Some(old)
            if old
                .paths
                .iter()
                .any(|p| paths.iter().any(|q| q.gateway == p.gateway)) =>
        {
            return Err(CallError::refused(
                Reason::AlreadyExists,
                "route already in table",
            ));
        }
        Some(old) => old.paths.extend(paths.clone()),
        None => fake.routes.push(route(destination, paths.clone())),
    }
    let done = RouteDone {
        fib: 0,
        destination,
        paths,
        warning: None,
    };
    fake.news.push(News::RouteAdded(done.clone()));
    Ok(done)
}

pub(super) fn change(fake: &mut Fake, ask: RouteChange) -> Answer<RouteDone> {
    let destination = ask.destination;
    let old = fake.find(destination).ok_or_else(not_found)?;
    let changed: Vec<Path> = (1..)
        .zip(&ask.paths)
        .map(|(at, spec)| path(spec, at))
        .collect();
    for new in &changed {
        old.paths
            .iter_mut()
            .filter(|p| p.gateway == new.gateway)
            .for_each(|p| *p = new.clone());
    }
    let done = RouteDone {
        fib: 0,
        destination,
        paths: changed,
        warning: None,
    };
    fake.news.push(News::RouteChanged(done.clone()));
    Ok(done)
}

pub(super) fn delete(fake: &mut Fake, ask: RouteDelete) -> Answer<RouteDone> {
    let destination = ask.destination;
    let old = fake.find(destination).ok_or_else(not_found)?;
    let named = |p: &Path| ask.gateway.is_none() || p.gateway == ask.gateway;
    let paths: Vec<Path> = old.paths.iter().filter(|p| named(p)).cloned().collect();
    match paths.len() {
        0 => return Err(not_found()),
        1 => {}
        _ => {
            let message = "has several gateways: name one of 192.0.2.11, 192.0.2.12";
            return Err(CallError::refused(Reason::Ambiguous, message));
        }
    }
    old.paths.retain(|p| !named(p));
    fake.routes.retain(|route| !route.paths.is_empty());
    let done = RouteDone {
        fib: 0,
        destination,
        paths,
        warning: None,
    };
    fake.news.push(News::RouteDeleted(done.clone()));
    Ok(done)
}

pub(super) fn within(fake: &Fake, of: Prefix, after: Option<Prefix>, max: usize) -> Vec<Prefix> {
    let inside = |route: &Route| {
        let prefix = route.destination;
        prefix.len() > of.len() && of.contains(prefix.addr()) && Some(prefix) > after
    };
    let inside = fake.routes.iter().filter(|route| inside(route));
    inside.map(|route| route.destination).take(max).collect()
}

pub(super) fn get(fake: &Fake, ask: RouteGet) -> Answer<RouteAnswer> {
    let covers = |r: &&Route| {
        let is_longer = ask
            .length
            .is_some_and(|length| length < r.destination.len());
        r.destination.contains(ask.destination) && !is_longer
    };
    let found = fake.routes.iter().find(covers);
    let route = found.cloned().ok_or_else(not_found)?;
    let choice = ask.flow.map(|_| Choice {
        bucket: 17,
        pin: Some(Pin {
            nexthop: 1,
            generation: 7,
            name: Some("192.0.2.11".into()),
            state: "live".into(),
        }),
        path: route.paths.first().cloned(),
        why: "the flow is pinned to it, and the pin holds".into(),
    });
    Ok(RouteAnswer {
        destination: ask.destination,
        route,
        choice,
    })
}

pub(super) fn list(fake: &Fake, after: Option<Prefix>, max: usize) -> Vec<Route> {
    let at = fake
        .routes
        .iter()
        .position(|route| Some(route.destination) == after);
    fake.routes
        .iter()
        .skip(at.map_or(0, |at| at + 1))
        .take(max)
        .cloned()
        .collect()
}

pub(super) fn flush(fake: &mut Fake, max: usize) -> Answer<Vec<RouteDone>> {
    let some = fake.routes.drain(..max.min(fake.routes.len()));
    let done = some.map(|r| RouteDone {
        fib: 0,
        destination: r.destination,
        paths: r.paths,
        warning: None,
    });
    Ok(done.collect())
}
