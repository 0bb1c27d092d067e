//! `netstat`: the routing table, the ports, the counters, the next hops.

mod counters;
mod interfaces;
mod nexthops;
pub(super) mod routes;

use super::exit::Failure;
use super::exit::usage;
use super::session::Session;
use super::words::Words;
use crate::wire::route::Family;
use crate::wire::stats::CountersOf;

/// One line, as FreeBSD's usage message.
pub(crate) const USAGE: &str =
    "usage: netstat -r [-46nW] | -i [-n] | -s [-s] [-46] [-p protocol] | -o | -O";

/// What `--help` prints.
pub(crate) const HELP: &str = "\
netstat: what a running flowgate has and has counted

usage:
  netstat -r [-4|-6] [-n] [-W]    the routing table; -W adds next hop, MTU, weight and state
  netstat -s [-s] [-p PROTOCOL]   the counters of a protocol, or of all; twice: only those that are not 0
  netstat -i                      the ports
  netstat -o                      the next hops
  netstat -O                      the next-hop groups

flags in the table: U usable, G gateway, H host, S static, B blackhole, R reject.
PROTOCOL is ip, ip6, icmp, icmp6, arp, nd6 or flowgate; -4 and -6 stand for ip and ip6.

options:
  -n  numbers only (always)
  -f inet|inet6  the same as -4, -6
  --json         machine-readable, see docs/CONTROL.md
  --socket PATH  the gateway's control socket (or FLOWGATE_SOCKET)

examples:
  netstat -rn
  netstat -rnW -6
  netstat -ss -p ip
  netstat -i --json

exit status: 0 done; 1 refused; 64 usage; 69 no flowgate at the socket
";

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Routes { family: Option<Family>, wide: bool },
    Counters { of: CountersOf, skip_zero: bool },
    Interfaces,
    Nexthops,
    Groups,
}

/// Carries out one command line.
///
/// # Errors
/// What is to be printed, and the exit status with it.
pub(crate) fn run(words: Words, session: &mut Session<'_>) -> Result<(), Failure> {
    match parse(words)? {
        Command::Routes { family, wide } => routes::run(family, wide, session),
        Command::Counters { of, skip_zero } => counters::run(of, skip_zero, session),
        Command::Interfaces => interfaces::run(session),
        Command::Nexthops => nexthops::run(false, session),
        Command::Groups => nexthops::run(true, session),
    }
}

fn parse(mut words: Words) -> Result<Command, Failure> {
    let mut what = None;
    let mut family = None;
    let (mut wide, mut times) = (false, 0);
    let mut protocol = None;
    while let Some(word) = words.next() {
        let Some(options) = word.strip_prefix('-').filter(|options| !options.is_empty()) else {
            return usage(format!("{word}: netstat takes options only"));
        };
        for option in options.chars() {
            match option {
                'r' | 'i' | 'o' | 'O' => what = Some(what.unwrap_or(option)),
                's' => {
                    what = Some(what.unwrap_or(option));
                    times += 1;
                }
                'W' => wide = true,
                'n' | 'a' => {}
                '4' => family = Some(Family::Inet),
                '6' => family = Some(Family::Inet6),
                'f' => match words.value("-f")?.as_str() {
                    "inet" => family = Some(Family::Inet),
                    "inet6" => family = Some(Family::Inet6),
                    other => return usage(format!("-f {other}: write inet or inet6")),
                },
                'p' => protocol = Some(words.value("-p")?),
                _ => return usage(format!("unknown option -{option}")),
            }
        }
    }
    let of_family = family.map(|family| match family {
        Family::Inet => "ip".to_owned(),
        Family::Inet6 => "ip6".to_owned(),
    });
    let counters = |protocol| Command::Counters {
        of: CountersOf { protocol },
        skip_zero: times > 1,
    };
    match (what, protocol) {
        (Some('s') | None, Some(protocol)) => Ok(counters(Some(protocol))),
        (Some('s'), None) => Ok(counters(of_family)),
        (Some('r'), None) => Ok(Command::Routes { family, wide }),
        (Some('i'), None) => Ok(Command::Interfaces),
        (Some('o'), None) => Ok(Command::Nexthops),
        (Some('O'), None) => Ok(Command::Groups),
        (Some(_), Some(_)) => usage("-p goes with -s"),
        _ => {
            usage("say what to show: -r, -s, -i, -o or -O (flowgate's flows: 'flowgate flow list')")
        }
    }
}

#[cfg(test)]
mod tests;
