//! What `route get` prints: FreeBSD's block, and for a whole flow the next hop that it takes, and why.

use crate::cli::names;
use crate::wire::route::Choice;
use crate::wire::route::Path;
use crate::wire::route::Route;
use crate::wire::route::RouteAnswer;
use std::io;
use std::io::Write;

pub(super) fn print(out: &mut dyn Write, answer: &RouteAnswer) -> io::Result<()> {
    let RouteAnswer {
        destination,
        route,
        choice,
    } = answer;
    writeln!(out, "   route to: {destination}")?;
    writeln!(out, "destination: {}", names::network(route.destination))?;
    if !route.destination.is_host() {
        writeln!(out, "       mask: {}", names::mask(route.destination))?;
    }
    let chosen = choice.as_ref().and_then(|choice| choice.path.as_ref());
    match (chosen, route.paths.as_slice()) {
        (Some(path), _) | (None, [path]) => writeln!(out, "    gateway: {}", path.name())?,
        (None, paths) => paths
            .iter()
            .try_for_each(|path| print_member(out, route, path))?,
    }
    writeln!(out, "        fib: 0")?;
    if let Some(path) = chosen.or_else(|| route.paths.first()) {
        print_path(out, route, path)?;
    }
    choice
        .as_ref()
        .map_or(Ok(()), |choice| print_choice(out, route, choice))
}

/// A line for each of several gateways.
fn print_member(out: &mut dyn Write, route: &Route, path: &Path) -> io::Result<()> {
    writeln!(
        out,
        "    gateway: {} (weight {}, {} of {} buckets, {})",
        path.name(),
        path.weight,
        path.buckets,
        route.buckets,
        names::state(path.admin, path.health)
    )
}

fn print_path(out: &mut dyn Write, route: &Route, path: &Path) -> io::Result<()> {
    if let Some(port) = &path.port {
        writeln!(out, "  interface: {port}")?;
    }
    let host = route.destination.is_host();
    writeln!(
        out,
        "      flags: {}",
        names::flag_words(host, route.is_static, path)
    )?;
    writeln!(
        out,
        " recvpipe  sendpipe  ssthresh  rtt,msec    mtu        weight    expire"
    )?;
    let expire = path.deadline.unwrap_or(0);
    writeln!(
        out,
        "{:8}  {:8}  {:8}  {:8}  {:8}  {:8}  {expire:8} ",
        0, 0, 0, 0, path.mtu, path.weight
    )
}

fn print_choice(out: &mut dyn Write, route: &Route, choice: &Choice) -> io::Result<()> {
    writeln!(out, "     prefix: {}", route.destination)?;
    let members = route.paths.len();
    let plural = if members == 1 { "" } else { "s" };
    writeln!(
        out,
        "      group: {} ({members} member{plural}, {} buckets, by {})",
        route.group,
        route.buckets,
        names::select(route.select)
    )?;
    writeln!(out, "     bucket: {}", choice.bucket)?;
    match &choice.pin {
        Some(pin) => writeln!(
            out,
            "        pin: {} (next hop {}, generation {}: {})",
            pin.name.as_deref().unwrap_or("-"),
            pin.nexthop,
            pin.generation,
            pin.state
        )?,
        None => writeln!(out, "        pin: none")?,
    }
    match &choice.path {
        Some(path) => writeln!(
            out,
            "   next hop: {} on {}",
            path.name(),
            path.port.as_deref().unwrap_or("-")
        )?,
        None => writeln!(out, "   next hop: none alive")?,
    }
    writeln!(out, "        why: {}", choice.why)
}
