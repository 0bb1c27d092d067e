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
use crate::wire::route::RouteFamily;
use crate::wire::stats::CountersOf;
use crate::wire::stats::PROTOCOLS;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
netstat: what a running flowgate has and has counted

usage:
  netstat -r [-4|-6] [-n] [-W] [-F FIB]
                                  the routing table; -W adds next hop, MTU, weight and state
  netstat -s [-s] [-p PROTOCOL]   the counters of a protocol, or of all; twice: only those that are not 0
  netstat -i [-4|-6]              the ports
  netstat -o [-4|-6]              the next hops
  netstat -O [-4|-6]              the next-hop groups

One of -r -s -i -o -O at a time; -4 and -6 together are both families. Next hops and groups are of their
gateways' families, ports without a gateway of both; of a port -4 and -6 choose the addresses.

flags in the table: U usable, G gateway, H host, S static, B blackhole, R reject.
PROTOCOL is ether, arp, nd6, ip, ip6, icmp, transport, flowgate or icmp6 (counted with icmp);
-4 and -6 stand for ip and ip6.

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
    Routes { of: RouteFamily, wide: bool },
    Counters { of: CountersOf, skip_zero: bool },
    Interfaces(Option<Family>),
    Nexthops(Option<Family>),
    Groups(Option<Family>),
}

/// Carries out one command line.
///
/// # Errors
/// What is to be printed, and the exit status with it.
pub(crate) fn run(words: Words, session: &mut Session<'_>) -> Result<(), Failure> {
    match parse(words)? {
        Command::Routes { of, wide } => routes::run(of, wide, session),
        Command::Counters { of, skip_zero } => counters::run(of, skip_zero, session),
        Command::Interfaces(family) => interfaces::run(family, session),
        Command::Nexthops(family) => nexthops::run(false, family, session),
        Command::Groups(family) => nexthops::run(true, family, session),
    }
}

/// What the options have said.
#[derive(Debug, Default)]
struct Said {
    /// The table: the first of `-r -s -i -o -O`.
    what: Option<char>,
    v4: bool,
    v6: bool,
    wide: bool,
    /// How often `-s` stood there.
    times: u32,
    protocol: Option<String>,
    fib: Option<u8>,
}

/// A block of `-s`; icmp6 is counted with icmp.
fn protocol(name: String) -> Result<String, Failure> {
    if name == "icmp6" || PROTOCOLS.contains(&name.as_str()) {
        return Ok(name);
    }
    let known = PROTOCOLS.join(", ");
    usage(format!("-p {name}: write one of {known} and icmp6"))
}

fn parse(mut words: Words) -> Result<Command, Failure> {
    let mut said = Said::default();
    while let Some(word) = words.next() {
        let Some(options) = word.strip_prefix('-').filter(|options| !options.is_empty()) else {
            return usage(format!("{word}: netstat takes options only"));
        };
        for option in options.chars() {
            said.option(option, &mut words)?;
        }
    }
    said.command()
}

impl Said {
    fn option(&mut self, option: char, words: &mut Words) -> Result<(), Failure> {
        match option {
            'r' | 'i' | 'o' | 'O' | 's' => {
                if let Some(other) = self.what.filter(|other| *other != option) {
                    return usage(format!("-{other} and -{option}: ask for one at a time"));
                }
                self.what = Some(option);
                self.times += 1;
            }
            'W' => self.wide = true,
            'n' | 'a' => {}
            '4' => self.v4 = true,
            '6' => self.v6 = true,
            'f' => match words.value("-f")?.as_str() {
                "inet" => self.v4 = true,
                "inet6" => self.v6 = true,
                other => return usage(format!("-f {other}: write inet or inet6")),
            },
            'F' => self.fib = Some(words.parse("-F", "a FIB's number, from 0")?),
            'p' => self.protocol = Some(protocol(words.value("-p")?)?),
            _ => return usage(format!("unknown option -{option}: see netstat --help")),
        }
        Ok(())
    }

    fn command(self) -> Result<Command, Failure> {
        let Self {
            what,
            v4,
            v6,
            wide,
            times,
            protocol,
            fib,
        } = self;
        if fib.is_some() && what != Some('r') {
            return usage("-F goes with -r");
        }
        // Both are all.
        let family = match (v4, v6) {
            (true, false) => Some(Family::Inet),
            (false, true) => Some(Family::Inet6),
            _ => None,
        };
        let of_family = family.map(|family| match family {
            Family::Inet => "ip".to_owned(),
            Family::Inet6 => "ip6".to_owned(),
        });
        match (what, protocol) {
            (Some('s') | None, Some(protocol)) => {
                agree(family, &protocol)?;
                Ok(Command::counters(Some(protocol), times))
            }
            (Some('s'), None) => Ok(Command::counters(of_family, times)),
            (Some('r'), None) => {
                let fib = fib.unwrap_or(0);
                let of = RouteFamily { family, fib };
                Ok(Command::Routes { of, wide })
            }
            (Some('i'), None) => Ok(Command::Interfaces(family)),
            (Some('o'), None) => Ok(Command::Nexthops(family)),
            (Some('O'), None) => Ok(Command::Groups(family)),
            (Some(_), Some(_)) => usage("-p goes with -s"),
            _ => usage(
                "say what to show: -r, -s, -i, -o or -O (flowgate's flows: 'flowgate flow list')",
            ),
        }
    }
}

/// A protocol of the family that was told; icmp counts both families' messages.
fn agree(family: Option<Family>, protocol: &str) -> Result<(), Failure> {
    let (option, others): (_, &[&str]) = match family {
        Some(Family::Inet) => ("-4", &["ip6", "nd6", "icmp6"]),
        Some(Family::Inet6) => ("-6", &["ip", "arp"]),
        None => return Ok(()),
    };
    match others.contains(&protocol) {
        true => usage(format!(
            "-p {protocol} and {option} contradict each other: leave one out"
        )),
        false => Ok(()),
    }
}

impl Command {
    /// `-s` once: all counters; more often: those that have counted.
    fn counters(protocol: Option<String>, times: u32) -> Self {
        Self::Counters {
            of: CountersOf { protocol },
            skip_zero: times > 1,
        }
    }
}

/// `nexthop show`.
///
/// # Errors
/// What is to be printed, and the exit status with it.
pub(super) fn show_nexthops(session: &mut Session<'_>) -> Result<(), Failure> {
    nexthops::run(false, None, session)
}

#[cfg(test)]
mod tests;
