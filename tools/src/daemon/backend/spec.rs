//! Routes as they are asked for, as control takes them.

use super::Live;
use super::options::asked;
use crate::server::Answer;
use crate::wire::limits::check_deadline;
use crate::wire::limits::check_mtu;
use crate::wire::limits::check_shared_mtu;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::options::Options;
use crate::wire::route as wire;
use crate::wire::route::PathKind;
use route::FibId;
use route::OptionsAsked;
use route::Prefix;
use stack::control::GatewaySpec;
use stack::control::RouteSpec;

impl Live {
    /// What a change asks for, as control takes it. An MTU for all paths must be one that each of them can have.
    pub(super) fn asked_of_route(&self, ask: &wire::RouteChange) -> Answer<RouteSpec> {
        let spec = spec_to_change(ask)?;
        let route = spec.mtu.and_then(|_| self.control.route_exact(spec.prefix));
        for path in route.into_iter().flat_map(|route| route.paths) {
            let path = wire::PathSpec {
                gateway: path.key.gateway,
                ..wire::PathSpec::default()
            };
            check_shared_mtu(&[path], spec.mtu)
                .map_err(|line| CallError::Refused(Reason::Invalid, line))?;
        }
        Ok(spec)
    }
}

/// What an add asks for, as control takes it.
pub(super) fn spec_to_add(ask: &wire::RouteAdd) -> Answer<RouteSpec> {
    let prefix = ask.destination.in_fib(FibId(ask.fib));
    spec_with(prefix, &ask.paths, None, &ask.options)
}

/// What a change asks for, as control takes it.
fn spec_to_change(ask: &wire::RouteChange) -> Answer<RouteSpec> {
    let prefix = ask.destination.in_fib(FibId(ask.fib));
    if ask.mtu.is_some() {
        return of_mtu(prefix, ask);
    }
    if ask.paths.is_empty() && !ask.options.is_empty() && ask.deadline.is_none() {
        return of_options(prefix, &ask.options);
    }
    spec_with(prefix, &ask.paths, ask.deadline, &ask.options)
}

/// What says an MTU of all paths that are there, and options maybe.
fn of_mtu(prefix: Prefix, ask: &wire::RouteChange) -> Answer<RouteSpec> {
    let invalid = |line: &str| Err(CallError::refused(Reason::Invalid, line));
    if !ask.paths.is_empty() || ask.deadline.is_some() {
        return invalid(
            "mtu is for a change without paths: say it of each path, and leave deadline to weights of 0",
        );
    }
    if ask.options.group.is_some() {
        return invalid("mtu goes with no group: say it of its members");
    }
    check_mtu(prefix, ask.mtu).map_err(|line| CallError::Refused(Reason::Invalid, line))?;
    let spec = of_options(prefix, &ask.options)?;
    Ok(RouteSpec {
        mtu: ask.mtu,
        ..spec
    })
}

/// What names options alone: the paths are those of a group, or stay.
fn of_options(prefix: Prefix, options: &Options) -> Answer<RouteSpec> {
    Ok(RouteSpec {
        prefix,
        kind: stack::control::PathKind::Gateways(Vec::new()),
        mtu: None,
        deadline_s: None,
        options: asked(prefix.in_fib(FibId(0)), options)?,
    })
}

/// A route with its options as control takes it. One that names a group may leave its paths to that.
///
/// # Errors
/// As [`spec_of`]; options that are out of bounds.
pub(crate) fn spec_with(
    prefix: Prefix,
    paths: &[wire::PathSpec],
    deadline_s: Option<u32>,
    options: &Options,
) -> Answer<RouteSpec> {
    if paths.is_empty() && options.group.is_some() {
        return of_options(prefix, options);
    }
    let options = asked(prefix.in_fib(FibId(0)), options)?;
    let spec = spec_of(prefix, paths, deadline_s)?;
    let drops =
        matches!(paths, [path] if matches!(path.kind, PathKind::Blackhole | PathKind::Reject));
    if drops && options.buckets.is_some() {
        let line = "-buckets goes with gateways: a blackhole or reject has none";
        return Err(CallError::refused(Reason::Invalid, line));
    }
    Ok(RouteSpec { options, ..spec })
}

/// A route as control takes it.
///
/// # Errors
/// Paths that do not go together, or are not whole.
pub(super) fn spec_of(
    prefix: Prefix,
    paths: &[wire::PathSpec],
    deadline_s: Option<u32>,
) -> Answer<RouteSpec> {
    let invalid = |message: &str| Err(CallError::refused(Reason::Invalid, message));
    let kind = match paths {
        [] => return invalid("a route needs a gateway, -iface PORT, -blackhole or -reject"),
        [one] if one.kind != PathKind::Gateway => {
            if one.recursive {
                return invalid("-recursive goes with a gateway");
            }
            if one.weight.is_some_and(|weight| weight != 1) {
                return invalid("-weight goes with a gateway");
            }
            single(one)?
        }
        all if all.iter().all(|path| path.kind == PathKind::Gateway) => {
            stack::control::PathKind::Gateways(all.iter().map(gateway).collect::<Answer<_>>()?)
        }
        _ => {
            return invalid(
                "only gateways share a route: add an interface, blackhole or reject alone",
            );
        }
    };
    check_mtus(prefix, paths)
        .and_then(|()| check_deadline(deadline_s, paths))
        .map_err(|line| CallError::Refused(Reason::Invalid, line))?;
    let alone = paths.first().filter(|path| path.kind != PathKind::Gateway);
    let mtu = alone.and_then(|path| path.mtu);
    Ok(RouteSpec {
        prefix,
        kind,
        mtu,
        deadline_s,
        options: OptionsAsked::default(),
    })
}

/// Each path's own MTU is checked.
fn check_mtus(prefix: Prefix, paths: &[wire::PathSpec]) -> Result<(), String> {
    paths.iter().try_for_each(|path| {
        check_mtu(prefix, path.mtu)?;
        check_shared_mtu(std::slice::from_ref(path), path.mtu)
    })
}

fn single(path: &wire::PathSpec) -> Answer<stack::control::PathKind> {
    let invalid = |message: &str| Err(CallError::refused(Reason::Invalid, message));
    match (path.kind, &path.port) {
        (PathKind::Blackhole, _) => Ok(stack::control::PathKind::Blackhole),
        (PathKind::Reject, _) => Ok(stack::control::PathKind::Reject),
        (PathKind::Interface, Some(port)) => Ok(stack::control::PathKind::Iface(port.clone())),
        (PathKind::Interface, None) => invalid("an interface path needs a port: -iface PORT"),
        (PathKind::Local, _) => invalid("own addresses are given to ports, not added as routes"),
        (PathKind::Gateway, _) => invalid("a gateway path needs the gateway's address"),
    }
}

fn gateway(path: &wire::PathSpec) -> Answer<GatewaySpec> {
    let Some(addr) = path.gateway else {
        let message = "a gateway path needs the gateway's address";
        return Err(CallError::refused(Reason::Invalid, message));
    };
    Ok(GatewaySpec {
        addr,
        weight: path.weight,
        port: path.port.clone(),
        recursive: path.recursive,
        mtu: path.mtu,
    })
}
