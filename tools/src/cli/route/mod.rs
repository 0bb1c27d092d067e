//! `route`: FreeBSD's route(8) against a flowgate.
//!
//! [`parse`] turns words into a [`parse::Command`]; this module carries it out; the tables and blocks that it prints are
//! in [`get`] and [`monitor`], the routing table itself in `netstat`.

mod export;
mod get;
mod load;
mod monitor;
pub(in crate::cli) mod moves;
pub(super) mod parse;
mod progress;

use super::exit::Failure;
use super::names;
use super::netstat::routes;
use super::session::Session;
use super::words::Words;
use crate::client::Error;
use crate::wire::message::CallError;
use crate::wire::moves::Asked;
use crate::wire::moves::How;
use crate::wire::moves::RouteChanged;
use crate::wire::route::Flushed;
use crate::wire::route::PathSpec;
use crate::wire::route::RouteDone;
use crate::wire::route::RouteFamily;
use crate::wire::route::path_name;
use parse::Command;
use parse::Destination;
use serde::Serialize;
use std::io::Write;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
route: show and change the routes of a running flowgate

usage: route [-46nqv] command [[modifiers] args]

  route [-n] add    [-net|-host] DEST[/LEN] GATEWAY [-weight N] [GATEWAY [-weight N]]...
  route [-n] change DEST[/LEN] GATEWAY [-weight N]... [-deadline SECONDS]
  route [-n] delete DEST[/LEN] [GATEWAY]        (del is short for delete)
  route [-n] get    DEST                        the route there; of a prefix: its own or a covering one
  route [-n] get    PROTO SRC:PORT DST:PORT     the next hop of one flow, and why
  route [-n] show   [-4|-6] [DEST]              the table; of a prefix: its own route only
  route [-n] flush  [-4|-6]                     all that was added; -v names each
  route      load   FILE [-gateway GW[*N][,GW...]]... [-replace] [-4|-6] [-peer N]
  route      export [-4|-6] [FILE]
  route      monitor
  route      moves                              the flows that the last changes had to move

DEST is an address, a prefix (10.0.0.0/8, 10/8, -net 10, 2001:db8::/32) or 'default'; an address alone is
always a host. Several gateways share the prefix's flows by their weights (ECMP). GATEWAY is an address; a
link-local one needs its port, and that an fe80:: address of its own: fe80::1%rack (alone it will do where
one port only has such an address). IPv4 routes may have IPv6 gateways (RFC 8950).

load changes many routes as one, all or nothing. FILE (- is standard input) is text, a route a line as
export writes it, or an MRT table (TABLE_DUMP_V2), each plain or gzip-compressed:
  10.0.0.0/8    192.0.2.11,192.0.2.12*3          gateways, weights behind *
  10.1.0.0/16   192.0.2.11 192.0.2.12 -weight 3  the same
  10.5.0.0/16   192.0.2.11*3@1400,192.0.2.12     the MTU of one of them behind @; -mtu N: of all others
  10.2.0.0/16   -blackhole                       or -reject, or -iface PORT
  10.4.0.0/16   172.16.0.9 -recursive            a gateway that other routes lead to
  10.3.0.0/16                                    by the gateways of -gateway
  -gateway GW,GW...      the gateways of prefixes that stand alone, and of an MRT table instead of its own
                         next hops; once for each family (with -4, IPv6 gateways are for IPv4)
  -replace               what was added and is not in FILE goes, of the families that FILE has (or -4, -6)
  -peer N                of an MRT table take peer N's routes, not the first of each prefix
  -recursive             its gateways may be on no port's network: other routes lead to them

add, change and delete with --plan change nothing and say which live flows would move at their next
packet, by next hops and reason, with their clients and bytes per second. Without it they say how many
flows have to move, if any has; 'moves' says later how many have moved, and how many ended before.

modifiers:
  -fib N                 the table of routes, from 0 (which it is when left out); also before the command
  -4 -inet, -6 -inet6    the family, for 'default', show and flush; behind DEST, that of the gateways
  -net, -host            DEST is a network, is one host
  -netmask MASK, -prefixlen N   the length, where DEST has none; MASK as 255.255.0.0, 0xffff0000, ffff::
  -weight N              share of the gateway before it, 1 to 16777215; with change, 0 drains it:
                         its flows stay, new ones go elsewhere
  -select WHAT           by what flows are told apart: 5-tuple, source, source-destination, or, to compare,
                         mod-n; pinned flows stay where they are
  -sticky src[/LEN]      all flows of a client network keep one next hop; 'off' ends that
  -sticky-timeout N      for N seconds beyond the last of them (1800)
  -failback WHAT         of flows whose next hop died and has come back: stay (as they are), or return
  -group N               the members of group N (group --help), and no gateway need be named; with gateways
                         it is made of them, if it is not there
  -buckets N             how finely flows are divided: a power of two, 1 to 65536, fixed when it is made
  -slow-start N          a next hop that is new or comes back gets its share within N seconds (0: at once)
  -timeouts NAME         how long its new flows may be silent: timeouts that 'flow timeout --class' or the
                         configuration made; 'default' are those of all others
  -deadline SECONDS      with change -weight 0: then the flows that are left move
  -iface PORT            out of a port, without a gateway
  -ifp PORT              the port of the gateway before it
  -blackhole, -reject    drop what goes there, silently, or with 'host unreachable'; no gateway
  -mtu N                 the MTU of the gateway before it; behind the last, where no other has one, of all;
                         with change and no gateway, of all that the route has. It is the next hop's: all
                         routes by that have it, and no more than its port takes
  -recursive             the gateways may be on no port's network: other routes lead to them, now or later
  -proto P -src A[:PORT] with get: the rest of the flow's 5-tuple

options:
  -n  numbers only (always: flowgate asks no name server)   -q  say nothing   -v  say more
  --json         machine-readable, see docs/CONTROL.md
  --socket PATH  the gateway's control socket (or FLOWGATE_SOCKET)

examples:
  route add 203.0.113.0/24 192.0.2.11 192.0.2.12 -weight 3
  route change 203.0.113.0/24 192.0.2.11 -weight 0 -deadline 600
  route delete 203.0.113.0/24 192.0.2.11
  route delete --plan 203.0.113.0/24 192.0.2.12
  route moves
  route add 198.51.100.0/24 -group 7
  route get tcp 10.99.0.2:40000 203.0.113.10:80
  route get udp [2001:db8:9::2]:40000 [2001:db8::10]:53
  route add -6 default fe80::1%uplink
  route add 198.51.100.0/24 172.16.0.9 -recursive
  route add -inet 10.0.0.0/8 -inet6 fe80::1%uplink
  route monitor --json
  route -fib 1 add default 10.2.0.1
  route load table.txt.gz -gateway 192.0.2.11,192.0.2.12 -gateway fd00:2::11 -replace
  route export backup.txt

exit status: 0 done; 1 refused; 64 usage; 65, 66 a file that is wrong, cannot be read;
69 no flowgate at the socket
";

/// Carries out one command line.
///
/// # Errors
/// What is to be printed, and the exit status with it.
pub(crate) fn run(words: Words, session: &mut Session<'_>) -> Result<(), Failure> {
    let parse::Line {
        command,
        quiet,
        verbose,
        plan,
        warning,
        note,
    } = parse::parse(words)?;
    let said = Told {
        quiet,
        verbose,
        plan,
    };
    carry_out(command, said, session)?;
    if let Some(note) = note.filter(|_| !quiet) {
        // With standard error closed there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "route: {note}");
    }
    match warning.filter(|_| !quiet && !session.json) {
        Some(warning) => Ok(writeln!(session.out, "route: {warning}")?),
        None => Ok(()),
    }
}

/// What is to be told, of whatever it is.
#[derive(Clone, Copy)]
struct Told {
    quiet: bool,
    verbose: bool,
    plan: bool,
}

fn carry_out(command: Command, told: Told, session: &mut Session<'_>) -> Result<(), Failure> {
    let Told { quiet, verbose, .. } = told;
    match command {
        Command::Add(to, ask) => change(("add", "RouteAdd"), &to, &ask.paths, &ask, told, session),
        Command::Change(to, ask) => {
            let method = ("change", "RouteChange");
            change(method, &to, &ask.paths, &ask, told, session)
        }
        Command::Delete(to, ask) => {
            let named = PathSpec {
                gateway: ask.gateway,
                port: ask.port.clone(),
                ..PathSpec::default()
            };
            let named = [named];
            let paths = if ask.gateway.is_some() || ask.port.is_some() {
                &named[..]
            } else {
                &[]
            };
            change(("delete", "RouteDelete"), &to, paths, &ask, told, session)
        }
        Command::Get(ask) => get::run(&ask, None, session),
        Command::Exact(ask, prefix) => get::run(&ask, Some(prefix), session),
        Command::Show(of) => routes::run(of, true, session),
        Command::Flush(of) if session.json || verbose => flush(of, quiet, session),
        Command::Flush(of) => load::flush(of, quiet, session),
        Command::Load(load) => load::run(&load, session),
        Command::Export(export) => export::run(&export, session),
        Command::Monitor(fib) => monitor::run(fib, session),
        Command::Moves(fib) => moves::run(fib, session),
    }
}

/// Makes the complete line of a refusal; other failures pass.
pub(super) fn refused(error: Error, line: impl FnOnce(&str) -> String) -> Failure {
    match error {
        Error::Call(CallError::Refused(reason, message)) => Failure::Refused {
            line: line(&message),
            error: CallError::Refused(reason, message),
        },
        other => other.into(),
    }
}

/// add, change and delete: the same line for all of them, `add net 10.0.0.0: gateway 10.1.1.1`, one for each gateway.
fn change(
    (verb, method): (&str, &str),
    to: &Destination,
    paths: &[PathSpec],
    ask: &impl Serialize,
    told: Told,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let what = format!("{verb} {to}");
    let how = How {
        plan: told.plan,
        // Who wants nothing told need not wait for it to be found.
        truth: session.json || !told.quiet,
    };
    let ask = Asked { ask, how };
    let done = session
        .call::<RouteChanged>(method, &ask)
        .map_err(|error| {
            refused(error, |message| {
                let gateways: Vec<_> = paths.iter().filter_map(to_gateway).collect();
                if gateways.is_empty() {
                    format!("{what}: {message}")
                } else {
                    format!("{what}: gateway {}: {message}", gateways.join(" "))
                }
            })
        })?;
    if session.json {
        return session.print_json(&done);
    }
    if !told.quiet || told.plan {
        let what = if told.plan {
            format!("plan: {what}")
        } else {
            what
        };
        print_done(session.out, &what, &done.done)?;
        let moved = (done.plan.as_ref(), done.moves.as_ref());
        moves::print(session.out, &what, moved)?;
    }
    Ok(())
}

/// What follows `gateway` in a message; nothing for a blackhole.
fn to_gateway(path: &PathSpec) -> Option<String> {
    let name = path_name(path.kind, path.gateway, path.port.as_deref());
    shown_gateway(&name)
}

fn shown_gateway(name: &str) -> Option<String> {
    match name {
        "blackhole" | "reject" | "local" => None,
        _ => Some(name.trim_start_matches("link#").to_owned()),
    }
}

fn print_done(out: &mut dyn Write, what: &str, done: &RouteDone) -> std::io::Result<()> {
    let fib = names::in_fib(" fib ", done.fib);
    for path in &done.paths {
        match shown_gateway(&path.name()) {
            Some(gateway) => writeln!(out, "{what}: gateway {gateway}{fib}")?,
            None => writeln!(out, "{what}{fib}")?,
        }
    }
    match &done.warning {
        Some(warning) => writeln!(out, "{what}: {warning}"),
        None => Ok(()),
    }
}

fn flush(ask: RouteFamily, quiet: bool, session: &mut Session<'_>) -> Result<(), Failure> {
    if session.json {
        return session.print_reply("RouteFlush", &ask);
    }
    session.pages(
        "RouteFlush",
        &ask,
        |_| Ok(()),
        |out, page: Flushed| {
            for done in page.deleted.iter().filter(|_| !quiet) {
                print_done(
                    out,
                    &format!("delete {}", Destination::of(done.destination)),
                    done,
                )?;
            }
            Ok(())
        },
    )
}

#[cfg(test)]
mod tests;
