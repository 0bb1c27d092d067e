//! `arp` and `ndp`: the neighbours, in FreeBSD's formats.
//!
//! Both tools have nearly the same words (`-a -n -s -S -f -d -i`); `-c` is ndp's flush. Hosts are addresses: flowgate asks no name
//! server, so a name is always `?`.

mod file;

use super::exit::Failure;
use super::exit::usage;
use super::names;
use super::session::Session;
use super::words::Words;
use super::words::read_own;
use crate::client::Error;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::neighbour::Deleted;
use crate::wire::neighbour::Neighbour;
use crate::wire::neighbour::NeighbourDelete;
use crate::wire::neighbour::NeighbourFilter;
use crate::wire::neighbour::NeighbourSet;
use crate::wire::neighbour::NeighbourState;
use crate::wire::neighbour::Neighbours;
use crate::wire::route::Family;
use ::arp::Mac;
use serde_json::Value;
use std::io;
use std::io::Write;
use std::net::IpAddr;

/// What `arp --help` prints.
pub(crate) const ARP_HELP: &str = "\
arp: show and change the IPv4 neighbours of a running flowgate

usage:
  arp [-n] [-i PORT] -a                  all entries
  arp [-n] [-i PORT] HOST                one entry
  arp [-i PORT] -s HOST MAC [temp] [pub] state an entry; temp: it expires; pub: answer for it (proxy ARP)
  arp [-i PORT] -S HOST MAC [temp] [pub] the same, and what was there of it is deleted first
  arp [-i PORT] -f FILE                  state the entries of a file, HOST MAC [temp] [pub] a line
  arp [-i PORT] -d HOST                  delete an entry; a next hop's gateway is asked for again at once
  arp [-i PORT] -d -a                    delete all that nothing reserves or states

An entry 'expires in N seconds', is 'permanent' (stated), 'expired' (nobody has answered), or
'watched': a next hop needs it, so it never expires; flowgate asks for it again by itself.

options:
  -n  numbers only (always)
  --json         machine-readable, see docs/CONTROL.md
  --socket PATH  the gateway's control socket (or FLOWGATE_SOCKET)

examples:
  arp -an
  arp -an -i rack
  arp -s 192.0.2.50 02:00:00:00:00:50 pub
  arp -d 192.0.2.11

exit status: 0 done; 1 no such entry, or refused; 64 usage; 65, 66 a file that is wrong, cannot be read;
69 no flowgate at the socket
";

/// What `ndp --help` prints.
pub(crate) const NDP_HELP: &str = "\
ndp: show and change the IPv6 neighbours of a running flowgate

usage:
  ndp [-n] [-i PORT] -a                    all entries
  ndp [-n] [-i PORT] HOST                  one entry
  ndp [-i PORT] -s HOST MAC [temp] [proxy] state an entry; temp: it expires; proxy: answer for it
  ndp [-i PORT] -S HOST MAC [temp] [proxy] the same, and what was there of it is deleted first
  ndp [-i PORT] -f FILE                    state the entries of a file, HOST MAC [temp] [proxy] a line
  ndp [-i PORT] -d HOST                    delete an entry; a next hop's gateway is asked for again at once
  ndp [-i PORT] -c                         delete all that nothing reserves or states

The state S is N (not answered yet), R (reachable), S (stale), P (being asked again), F (failed).
The flag p marks entries that flowgate answers for. Expire is 'permanent' of a stated entry, and
'watched' of one that a next hop needs: it never expires, flowgate asks for it again by itself.

options:
  -n  numbers only (always)
  --json         machine-readable, see docs/CONTROL.md
  --socket PATH  the gateway's control socket (or FLOWGATE_SOCKET)

examples:
  ndp -an
  ndp -s 2001:db8::50 02:00:00:00:00:50
  ndp -d fe80::1%rack

exit status: 0 done; 1 no such entry, or refused; 64 usage; 65, 66 a file that is wrong, cannot be read;
69 no flowgate at the socket
";

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    List(NeighbourFilter),
    Set(NeighbourSet),
    /// What is there is deleted first.
    Replace(NeighbourSet),
    /// Those of a file.
    SetAll(Vec<NeighbourSet>),
    Delete(NeighbourDelete),
    Flush(NeighbourFilter),
}

/// `arp`.
///
/// # Errors
/// What is to be printed, and the exit status with it.
pub(crate) fn arp(words: Words, session: &mut Session<'_>) -> Result<(), Failure> {
    run(parse(words, Family::Inet)?, Family::Inet, session)
}

/// `ndp`.
///
/// # Errors
/// What is to be printed, and the exit status with it.
pub(crate) fn ndp(words: Words, session: &mut Session<'_>) -> Result<(), Failure> {
    run(parse(words, Family::Inet6)?, Family::Inet6, session)
}

/// What the words have said.
#[derive(Debug, Default)]
struct Said {
    all: bool,
    set: bool,
    replace: bool,
    delete: bool,
    file: Option<String>,
    port: Option<String>,
    plain: Vec<String>,
}

fn parse(mut words: Words, family: Family) -> Result<Command, Failure> {
    let mut said = Said::default();
    while let Some(word) = words.next() {
        let Some(options) = word.strip_prefix('-').filter(|options| !options.is_empty()) else {
            said.plain.push(word);
            continue;
        };
        for option in options.chars() {
            match option {
                'a' => said.all = true,
                's' => said.set = true,
                'S' => said.replace = true,
                'f' => said.file = Some(words.value("-f")?),
                'd' => said.delete = true,
                // ndp's flush is arp's "-d -a".
                'c' if family == Family::Inet6 => (said.all, said.delete) = (true, true),
                'i' => said.port = Some(words.value("-i")?),
                'n' => {}
                _ => {
                    return usage(format!("unknown option -{option}: see --help"));
                }
            }
        }
    }
    said.command(family)
}

impl Said {
    fn command(self, family: Family) -> Result<Command, Failure> {
        let Self {
            all,
            set,
            replace,
            delete,
            file,
            port,
            plain,
        } = self;
        // Of these one is said, or none.
        let others = usize::from(set) + usize::from(replace) + usize::from(delete || all);
        if let (Some(name), 0, true) = (&file, others, plain.is_empty()) {
            return file::read(name, port.as_ref(), family).map(Command::SetAll);
        }
        if file.is_some() || others > 1 {
            return one_of(family);
        }
        let plain: Vec<&str> = plain.iter().map(String::as_str).collect();
        let filter = NeighbourFilter {
            family: Some(family),
            port: port.clone(),
            address: None,
        };
        match (set, delete, all, plain.as_slice()) {
            (false, true, true, []) => Ok(Command::Flush(filter)),
            (false, false, true, []) => Ok(Command::List(filter)),
            (false, false, false, [host]) if !replace => {
                let (address, port) = address(host, port, family)?;
                Ok(Command::List(NeighbourFilter {
                    port,
                    address: Some(address),
                    ..filter
                }))
            }
            (false, true, false, [host]) => {
                let (address, port) = address(host, port, family)?;
                Ok(Command::Delete(NeighbourDelete { address, port }))
            }
            (true, false, false, words @ [_, _, ..]) => {
                stated_words(words, port, family).map(Command::Set)
            }
            (false, false, false, words @ [_, _, ..]) if replace => {
                stated_words(words, port, family).map(Command::Replace)
            }
            _ => one_of(family),
        }
    }
}

fn one_of<T>(family: Family) -> Result<T, Failure> {
    usage(match family {
        Family::Inet => "say one of: -a, HOST, -s HOST MAC, -S HOST MAC, -f FILE, -d HOST, -d -a",
        Family::Inet6 => "say one of: -a, HOST, -s HOST MAC, -S HOST MAC, -f FILE, -d HOST, -c",
    })
}

/// `HOST MAC [temp] [pub]`, of a command line or of a file's line.
fn stated_words(
    words: &[&str],
    port: Option<String>,
    family: Family,
) -> Result<NeighbourSet, Failure> {
    let [host, mac, rest @ ..] = words else {
        return usage(match family {
            Family::Inet => "write HOST MAC [temp] [pub]",
            Family::Inet6 => "write HOST MAC [temp] [proxy]",
        });
    };
    let (address, port) = address(host, port, family)?;
    stated(address, read_own(mac)?, port, rest)
}

/// `-s HOST MAC [temp] [pub]`; ndp's word for `pub` is `proxy`.
fn stated(
    address: IpAddr,
    mac: Mac,
    port: Option<String>,
    rest: &[&str],
) -> Result<NeighbourSet, Failure> {
    let mut ask = NeighbourSet {
        address,
        mac,
        port,
        temporary: false,
        published: false,
    };
    for word in rest {
        match *word {
            "temp" => ask.temporary = true,
            "pub" | "proxy" => ask.published = true,
            _ => {
                let published = if address.is_ipv4() { "pub" } else { "proxy" };
                return usage(format!(
                    "bad keyword: {word}: write temp, {published} or nothing"
                ));
            }
        }
    }
    Ok(ask)
}

/// A host of the tool's family, a link-local one with its port.
fn address(
    word: &str,
    port: Option<String>,
    family: Family,
) -> Result<(IpAddr, Option<String>), Failure> {
    let (text, zone) = match word.split_once('%') {
        Some((text, zone)) => (text, Some(zone.to_owned())),
        None => (word, None),
    };
    let right = match family {
        Family::Inet => "an IPv4 address (ndp is for IPv6)",
        Family::Inet6 => "an IPv6 address (arp is for IPv4)",
    };
    match text.parse::<IpAddr>() {
        Ok(address) if Family::of(address) == family => Ok((address, port.or(zone))),
        _ => usage(format!("{word}: write {right}")),
    }
}

fn run(command: Command, family: Family, session: &mut Session<'_>) -> Result<(), Failure> {
    match command {
        Command::List(filter) if session.json => list_json(&filter, session),
        Command::List(filter) => list(&filter, family, session),
        Command::Set(ask) => set(&ask, session),
        Command::Replace(ask) => {
            delete_before(&ask, session)?;
            set(&ask, session)
        }
        Command::SetAll(all) => all.iter().try_for_each(|ask| set(ask, session)),
        Command::Delete(ask) => {
            let deleted = session.call::<Deleted>("NeighbourDelete", &ask);
            match deleted {
                Ok(deleted) => print_deleted(&deleted, session),
                Err(Error::Call(error @ CallError::Refused(Reason::NotFound, _))) => {
                    Err(Failure::Refused {
                        line: no_entry(ask.address),
                        error,
                    })
                }
                Err(error) => Err(error.into()),
            }
        }
        Command::Flush(filter) => {
            let deleted: Deleted = session.call("NeighbourFlush", &filter)?;
            print_deleted(&deleted, session)
        }
    }
}

fn set(ask: &NeighbourSet, session: &mut Session<'_>) -> Result<(), Failure> {
    let done: Value = session.call("NeighbourSet", ask)?;
    match session.json {
        true => session.print_json(&done),
        false => Ok(()),
    }
}

/// What there is of a neighbour goes; that there is none is as good.
fn delete_before(ask: &NeighbourSet, session: &Session<'_>) -> Result<(), Failure> {
    let doomed = NeighbourDelete {
        address: ask.address,
        port: ask.port.clone(),
    };
    match session.call::<Deleted>("NeighbourDelete", &doomed) {
        Ok(_) | Err(Error::Call(CallError::Refused(Reason::NotFound, _))) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A list may be empty; one neighbour that is asked for and not there is a refusal, as without `--json`.
fn list_json(filter: &NeighbourFilter, session: &mut Session<'_>) -> Result<(), Failure> {
    let found = session.reply("NeighbourList", filter)?;
    let none = found["neighbours"].as_array().is_none_or(Vec::is_empty);
    match filter.address {
        Some(address) if none => Err(Failure::Absent(no_entry(address))),
        _ => session.print_json(&found),
    }
}

/// FreeBSD's line for a neighbour that is not there; the first name is the host's, which is never looked up.
fn no_entry(address: IpAddr) -> String {
    format!("{address} ({address}) -- no entry")
}

fn print_deleted(deleted: &Deleted, session: &mut Session<'_>) -> Result<(), Failure> {
    if session.json {
        return session.print_json(deleted);
    }
    for neighbour in &deleted.deleted {
        writeln!(session.out, "{}", deleted_line(neighbour))?;
    }
    Ok(())
}

/// FreeBSD's line for a neighbour that was deleted; several links may have a link-local one.
fn deleted_line(neighbour: &Neighbour) -> String {
    let name = zoned(neighbour);
    format!("{name} ({name}) deleted")
}

/// A neighbour's address, with its port where it is link-local.
fn zoned(Neighbour { address, port, .. }: &Neighbour) -> String {
    match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => format!("{v6}%{port}"),
        other => other.to_string(),
    }
}

fn list(
    filter: &NeighbourFilter,
    family: Family,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let mut count = 0_usize;
    session.pages(
        "NeighbourList",
        filter,
        |_| Ok(()),
        |out, page: Neighbours| {
            // A list has its head even when it is empty; one neighbour that is not there has none.
            let is_list = filter.address.is_none();
            if family == Family::Inet6 && count == 0 && (is_list || !page.neighbours.is_empty()) {
                ndp_header(out)?;
            }
            count += page.neighbours.len();
            page.neighbours
                .iter()
                .try_for_each(|neighbour| match family {
                    Family::Inet => arp_line(out, neighbour),
                    Family::Inet6 => ndp_line(out, neighbour),
                })
        },
    )?;
    match filter.address {
        Some(address) if count == 0 => Err(Failure::Absent(no_entry(address))),
        _ => Ok(()),
    }
}

/// `? (10.0.0.1) at 00:11:22:33:44:55 on em0 expires in 1187 seconds [ethernet]`
fn arp_line(out: &mut dyn Write, neighbour: &Neighbour) -> io::Result<()> {
    let mac = neighbour
        .mac
        .map_or_else(|| "(incomplete)".into(), |mac| mac.to_string());
    let life = match (neighbour.state, neighbour.expires) {
        (NeighbourState::Permanent, _) => "permanent".into(),
        (_, Some(expires)) => format!("expires in {} seconds", expires / 1000),
        (NeighbourState::Incomplete | NeighbourState::Failed, None) => "expired".into(),
        (_, None) => "watched".into(),
    };
    let published = if neighbour.published {
        " published"
    } else {
        ""
    };
    let Neighbour { address, port, .. } = neighbour;
    writeln!(
        out,
        "? ({address}) at {mac} on {port} {life}{published} [ethernet]"
    )
}

fn ndp_header(out: &mut dyn Write) -> io::Result<()> {
    let columns = [
        "Neighbor",
        "Linklayer Address",
        "Netif",
        "Expire",
        "S",
        "Flags",
    ];
    ndp_columns(out, columns)
}

fn ndp_line(out: &mut dyn Write, neighbour: &Neighbour) -> io::Result<()> {
    let (name, port) = (zoned(neighbour), &neighbour.port);
    let mac = neighbour
        .mac
        .map_or_else(|| "(incomplete)".into(), |mac| mac.to_string());
    let expire = match (neighbour.state, neighbour.expires) {
        (NeighbourState::Permanent, _) => "permanent".into(),
        (_, Some(expires)) => names::duration(expires),
        (NeighbourState::Incomplete | NeighbourState::Failed, None) => "expired".into(),
        (_, None) => "watched".into(),
    };
    let state = match neighbour.state {
        NeighbourState::Incomplete => "N",
        NeighbourState::Reachable | NeighbourState::Permanent => "R",
        NeighbourState::Stale => "S",
        NeighbourState::Probe => "P",
        NeighbourState::Failed => "F",
    };
    let flags = if neighbour.published { "p" } else { "" };
    ndp_columns(out, [&name, &mac, port, &expire, state, flags])
}

fn ndp_columns(out: &mut dyn Write, columns: [&str; 6]) -> io::Result<()> {
    let [name, mac, port, expire, state, flags] = columns;
    let line = format!("{name:<36} {mac:<17} {port:>6} {expire:<9} {state} {flags}");
    writeln!(out, "{}", line.trim_end())
}

#[cfg(test)]
mod tests;
