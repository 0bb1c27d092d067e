//! What must fit together in a configuration, when each key by itself is right.

mod ports;
mod routes;

use super::Config;
use super::Port;
use super::Problems;
use super::vlans;
use route::FibId;
use route::TimeoutClass;
use std::collections::HashMap;

/// Checks everything, and adds what is wrong.
pub(super) fn config(config: &Config, problems: &mut Problems) {
    fibs(config, problems);
    timeouts(config, problems);
    ports::names(&config.ports, problems);
    ports::networks(&config.ports, problems);
    ports::adverts(&config.ports, problems);
    vlans::check(&config.ports, problems);
    ports::own_addresses(&config.ports, problems);
    for port in &config.ports {
        ports::port(port, config, problems);
    }
    routes::groups(config, problems);
    let mut seen = HashMap::new();
    for route in &config.routes {
        let destination = &route.destination;
        if let Some(first) = seen.insert(destination.value, destination.line) {
            problems.add(
                destination.line,
                format!(
                    "{} has a route already, in line {first}: name all its gateways there",
                    destination.value
                ),
            );
        }
        routes::route(route, config, problems);
    }
    for check in &config.health {
        routes::health(check, config, problems);
    }
}

/// Classes of timeouts must be there, and not be too many.
fn timeouts(config: &Config, problems: &mut Problems) {
    let most = usize::from(TimeoutClass::MOST) - 1;
    if let Some(beyond) = config.timeout_classes.get(most) {
        let message = format!(
            "[timeouts.{}] is one too many: there may be {most}",
            beyond.name.value
        );
        problems.add(beyond.name.line, message);
    }
    let of_groups = config.groups.iter();
    let of_groups = of_groups.map(|of| (of.options.timeouts, of.number.line));
    let of_routes = config.routes.iter();
    let of_routes = of_routes.map(|of| (of.options.timeouts, of.destination.line));
    for (name, line) in of_groups.chain(of_routes) {
        let there = |name: &TimeoutClass| {
            let mut names = config.timeout_classes.iter().map(|class| class.name.value);
            name.is_default() || names.any(|is| is == *name)
        };
        if let Some(name) = name.filter(|name| !there(name)) {
            let message =
                format!("timeouts = \"{name}\": there is no [timeouts.{name}]: write one");
            problems.add(line, message);
        }
    }
}

/// FIBs must be there.
fn fibs(config: &Config, problems: &mut Problems) {
    let count = config.gateway.fibs.unwrap_or(1);
    let of_ports = config
        .ports
        .iter()
        .map(|port| (port.fib.value, port.fib.line));
    let of_routes = config.routes.iter().map(|route| &route.destination);
    let of_routes = of_routes.map(|to| (to.value.fib().0, to.line));
    let of_groups = config.groups.iter().map(|group| &group.fib);
    let of_groups = of_groups.map(|fib| (fib.value, fib.line));
    for (fib, line) in of_ports.chain(of_groups).chain(of_routes) {
        if !has_fib(config, FibId(fib)) {
            problems.add(
                line,
                format!(
                    "fib = {fib}: there are {count}, from 0: write fibs = {} under [gateway]",
                    fib + 1
                ),
            );
        }
    }
}

/// Whether there is such a FIB.
fn has_fib(config: &Config, fib: FibId) -> bool {
    fib.0 < config.gateway.fibs.unwrap_or(1)
}

/// The ports of a FIB.
fn ports_of(config: &Config, fib: FibId) -> impl Iterator<Item = &Port> {
    config
        .ports
        .iter()
        .filter(move |port| port.fib.value == fib.0)
}
