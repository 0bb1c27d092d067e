//! What `route get` prints: FreeBSD's block, and for a whole flow the next hop that it takes, and why.

use super::refused;
use crate::cli::exit::Failure;
use crate::cli::names;
use crate::cli::session::Session;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::route::Choice;
use crate::wire::route::Health;
use crate::wire::route::Path;
use crate::wire::route::Route;
use crate::wire::route::RouteAnswer;
use crate::wire::route::RouteGet;
use ::route::Prefix;
use std::io;
use std::io::Write;

/// Asks, and prints what comes; `exact`: only the route of this very prefix will do.
pub(super) fn run(
    ask: &RouteGet,
    exact: Option<Prefix>,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let to = asked(ask);
    let line = |message: &str| format!("route: {to}: {message}");
    let answer: RouteAnswer = session
        .call("RouteGet", ask)
        .map_err(|error| refused(error, line))?;
    if exact.is_some_and(|prefix| prefix != answer.route.destination) {
        let error = CallError::refused(Reason::NotFound, "not in table");
        return Err(refused(error.into(), line));
    }
    if session.json {
        return session.print_json(&answer);
    }
    Ok(print(session.out, &to, &answer)?)
}

/// What was asked for, as it is printed.
fn asked(ask: &RouteGet) -> String {
    let address = ask.destination;
    match (ask.length, &ask.port) {
        (Some(0), _) => "default".into(),
        (_, Some(port)) => format!("{address}%{port}"),
        _ => address.to_string(),
    }
}

fn print(out: &mut dyn Write, to: &str, answer: &RouteAnswer) -> io::Result<()> {
    let RouteAnswer { route, choice, .. } = answer;
    writeln!(out, "   route to: {to}")?;
    writeln!(out, "destination: {}", names::network(route.destination))?;
    if !route.destination.is_host() {
        writeln!(out, "       mask: {}", names::mask(route.destination))?;
    }
    let chosen = choice.as_ref().and_then(|choice| choice.path.as_ref());
    match (chosen, route.paths.as_slice()) {
        (Some(path), _) => writeln!(out, "    gateway: {}", path.name())?,
        (None, [path]) if path.health == Health::Dead => {
            writeln!(out, "    gateway: {} ({})", path.name(), why_dead(path))?;
        }
        (None, [path]) => writeln!(out, "    gateway: {}", path.name())?,
        (None, paths) => paths
            .iter()
            .try_for_each(|path| print_member(out, route, path))?,
    }
    writeln!(out, "        fib: {}", route.fib)?;
    if let Some(number) = route.options.group {
        writeln!(out, "      group: {number} (id {})", route.group)?;
    }
    if let Some(options) = names::special(&route.options) {
        writeln!(out, "    options: {options}")?;
    }
    if let Some(path) = chosen.or_else(|| route.paths.first()) {
        print_path(out, route, path)?;
    }
    choice
        .as_ref()
        .map_or(Ok(()), |choice| print_choice(out, route, choice))
}

/// A line for each of several gateways. A dead one has buckets to come back to and takes nothing meanwhile.
fn print_member(out: &mut dyn Write, route: &Route, path: &Path) -> io::Result<()> {
    if path.health == Health::Dead {
        return writeln!(
            out,
            "    gateway: {} ({}: takes nothing; weight {}, {})",
            path.name(),
            why_dead(path),
            path.weight,
            on_return(route, path),
        );
    }
    writeln!(
        out,
        "    gateway: {} (weight {}, {} of {} buckets, {}{})",
        path.name(),
        path.weight,
        path.buckets,
        route.buckets,
        names::path_state(path),
        path.through
            .map_or_else(String::new, |through| format!(", through {through}"))
    )
}

/// What a dead member gets when it returns: its buckets at once, or bit by bit its share.
fn on_return(route: &Route, path: &Path) -> String {
    let Some(seconds) = route.options.slow_start.filter(|seconds| *seconds > 0) else {
        return format!(
            "{} of {} buckets when it returns",
            path.buckets, route.buckets
        );
    };
    let takes = |p: &&Path| p.health != Health::Dead || p.nexthop == path.nexthop;
    let weights = route.paths.iter().filter(takes);
    let all: u64 = weights.map(|path| u64::from(path.weight)).sum();
    let share = u64::from(route.buckets) * u64::from(path.weight) / all.max(1);
    format!(
        "about {share} of {} buckets {seconds} s after it returns",
        route.buckets
    )
}

/// "dead", and why, if that is known.
fn why_dead(path: &Path) -> String {
    let causes = path.causes.iter().map(|cause| format!(", {cause}"));
    format!("dead{}", causes.collect::<String>())
}

fn print_path(out: &mut dyn Write, route: &Route, path: &Path) -> io::Result<()> {
    if let Some(through) = path.through {
        writeln!(out, "    through: {through}")?;
    }
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
        route.options.select.unwrap_or_default().name()
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
