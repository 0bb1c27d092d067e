//! The grammar of `route`: modifiers anywhere, a destination, gateways.
//!
//! `-weight`, `-mtu` and `-ifp` belong to the gateway before them, or, before the first one, to all; an `-mtu` behind the
//! last one alone to all too. The family comes from the addresses; only `default`, `show` and `flush` need to be told.

mod destination;
mod heed;

use super::export;
use super::export::Export;
use super::load;
use super::load::Load;
use crate::cli::exit::Failure;
use crate::cli::exit::usage;
use crate::cli::names;
use crate::cli::tuple;
use crate::cli::words::Words;
use crate::wire::limits::check_deadline;
use crate::wire::limits::check_mtu;
use crate::wire::options::Options;
use crate::wire::route::Family;
use crate::wire::route::PathKind;
use crate::wire::route::PathSpec;
use crate::wire::route::RouteAdd;
use crate::wire::route::RouteChange;
use crate::wire::route::RouteDelete;
use crate::wire::route::RouteFamily;
use crate::wire::route::RouteGet;
use crate::wire::route::check_weight;
use destination::Length;
pub(super) use heed::one_fib;
use route::Prefix;
use std::fmt;
use std::net::IpAddr;

/// A whole command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) command: Command,
    pub(super) quiet: bool,
    /// Tell each route of a flush.
    pub(super) verbose: bool,
    /// Say what it would do, and do nothing.
    pub(super) plan: bool,
    /// What was said and has no effect.
    pub(super) warning: Option<String>,
    /// What may be meant otherwise; for standard error.
    pub(super) note: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Add(Destination, RouteAdd),
    Change(Destination, RouteChange),
    Delete(Destination, RouteDelete),
    Get(RouteGet),
    /// The route of this very prefix.
    Exact(RouteGet, Prefix),
    Show(RouteFamily),
    Flush(RouteFamily),
    Load(Load),
    Export(Export),
    /// Of all FIBs, or of one.
    Monitor(Option<u8>),
    /// Of all FIBs, or of one.
    Moves(Option<u8>),
}

/// A destination as FreeBSD's messages name it: `net 10.0.0.0`, `host 10.0.0.1`, `net default`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Destination(Prefix);

impl Destination {
    pub(super) fn of(prefix: Prefix) -> Self {
        Self(prefix)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.0.is_host() { "host" } else { "net" };
        write!(f, "{kind} {}", names::network(self.0))
    }
}

/// What the words have said so far.
#[derive(Debug, Default)]
struct Said {
    fib_said: Option<u8>,
    quiet: bool,
    verbose: bool,
    plan: bool,
    v4: bool,
    v6: bool,
    /// What was said behind the destination, and how many gateways stood before it.
    of_gateways: Option<(Family, usize)>,
    net: bool,
    host: bool,
    length: Option<Length>,
    kind: Option<PathKind>,
    deadline: Option<u32>,
    /// Gateways may be on no port's network.
    recursive: bool,
    options: Options,
    protocol: Option<String>,
    source: Option<String>,
    /// For the gateways that do not say otherwise.
    defaults: PathSpec,
    destination: Option<String>,
    paths: Vec<PathSpec>,
    /// All words that are no options, as they came: what `get` reads.
    plain: Vec<String>,
}

/// Reads a command line.
pub(super) fn parse(mut words: Words) -> Result<Line, Failure> {
    let mut said = Said::default();
    let verb = verb(&mut words, &mut said)?;
    let of_files = match verb.as_str() {
        "load" => Some(Command::Load(load::parse(
            &mut words,
            said.table(),
            said.fib_said,
            said.quiet,
        )?)),
        "export" => Some(Command::Export(export::parse(
            &mut words,
            said.table(),
            said.fib_said,
        )?)),
        _ => None,
    };
    if let Some(command) = of_files {
        return Ok(Line {
            command,
            quiet: said.quiet,
            verbose: said.verbose,
            plan: false,
            warning: None,
            note: None,
        });
    }
    while let Some(word) = words.next() {
        match word.strip_prefix('-') {
            Some(option) => modifier(option, &mut words, &mut said)?,
            None => said.plain(word, &verb)?,
        }
    }
    let (quiet, verbose, plan) = (said.quiet, said.verbose, said.plan);
    if plan && !["add", "change", "delete", "del"].contains(&verb.as_str()) {
        return usage(PLAN);
    }
    said.refuse_options(&verb)?;
    said.refuse_unheeded(&verb)?;
    let warning = said.unused_gateway();
    let note = match verb.as_str() {
        "add" => said.looks_like_a_network(said.destination()?),
        _ => None,
    };
    let command = match verb.as_str() {
        "add" => said.add()?,
        "change" => said.change()?,
        "delete" | "del" => said.delete()?,
        "get" => said.get()?,
        "show" if said.plain.is_empty() => Command::Show(said.table()),
        "show" => said.show()?,
        "flush" | "monitor" | "moves" if !said.plain.is_empty() => {
            return usage(format!("{verb} takes no {}", said.plain.join(" ")));
        }
        "flush" => Command::Flush(said.table()),
        "moves" => Command::Moves(said.fib_said),
        _ => Command::Monitor(said.fib_said),
    };
    Ok(Line {
        command,
        quiet,
        verbose,
        plan,
        warning,
        note,
    })
}

/// Where a plan can be had.
pub(super) const PLAN: &str = "--plan goes with add, change and delete of one route: what a load, a flush or an export would \
                               move is not foreseen";

/// What a group's members have is not a route's to say.
const OF_MEMBERS: &str = "-weight, -mtu, -ifp and -recursive go with a gateway: name it; to say them of a group's member, \
                          use 'group change N GATEWAY -weight ...'";

/// What a number of seconds may be.
pub(in crate::cli) const SECONDS: &str = "a number of seconds, 0 to 4294967295";

/// What follows `-fib`; whether the gateway has so many it says itself.
pub(in crate::cli) fn fib(words: &mut Words) -> Result<u8, Failure> {
    words.parse("-fib", "a FIB's number, 0 to 15 at most")
}

/// The options before the command, and the command.
fn verb(words: &mut Words, said: &mut Said) -> Result<String, Failure> {
    let commands = [
        "add", "change", "delete", "del", "get", "show", "flush", "load", "export", "monitor",
        "moves",
    ];
    while let Some(word) = words.next() {
        let Some(options) = word.strip_prefix('-').filter(|options| !options.is_empty()) else {
            if commands.contains(&word.as_str()) {
                return Ok(word);
            }
            let known = "add, change, delete, get, show, flush, load, export, monitor and moves";
            return usage(format!("bad keyword: {word}: the commands are {known}"));
        };
        if options == "fib" {
            said.fib_said = Some(one_fib(said.fib_said, fib(words)?)?);
            continue;
        }
        for option in options.chars() {
            match option {
                'n' | 'd' => {}
                'v' => said.verbose = true,
                'q' => said.quiet = true,
                '4' => said.v4 = true,
                '6' => said.v6 = true,
                _ => return usage(format!("unknown option -{option}: see route --help")),
            }
        }
    }
    usage("no command: say add, change, delete, get, show, flush, load, export, monitor or moves")
}

fn modifier(option: &str, words: &mut Words, said: &mut Said) -> Result<(), Failure> {
    match option {
        "4" | "inet" => said.of_family_from_here(Family::Inet),
        "6" | "inet6" => said.of_family_from_here(Family::Inet6),
        "net" => said.net = true,
        "host" => said.host = true,
        "n" | "static" => {}
        "v" => said.verbose = true,
        "q" => said.quiet = true,
        "plan" | "-plan" => said.plan = true,
        "netmask" => {
            let mask = Length::of_mask(&words.value("-netmask")?)?;
            said.length = Some(mask.and(said.length.take())?);
        }
        "prefixlen" => {
            let bits = Length::of_bits(words.parse("-prefixlen", "a length, 0 to 128")?);
            said.length = Some(bits.and(said.length.take())?);
        }
        "weight" => {
            let right = "a number from 1 to 16777215, or with change 0 to drain";
            let weight = words.parse("-weight", right)?;
            said.of_path(|path| path.weight = Some(weight));
        }
        "mtu" => {
            let mtu = words.parse("-mtu", "a number of bytes, 68 to 65535")?;
            said.of_path(|path| path.mtu = Some(mtu));
        }
        "ifp" => {
            let port = words.value("-ifp")?;
            said.of_path(|path| path.port = Some(port));
        }
        "deadline" => said.deadline = Some(words.parse("-deadline", SECONDS)?),
        "iface" | "interface" => said.of_kind(PathKind::Interface)?,
        "recursive" => said.recursive = true,
        "blackhole" => said.of_kind(PathKind::Blackhole)?,
        "reject" => said.of_kind(PathKind::Reject)?,
        "proto" => said.protocol = Some(words.value("-proto")?),
        "src" => said.source = Some(words.value("-src")?),
        "fib" => said.fib_said = Some(one_fib(said.fib_said, fib(words)?)?),
        _ if Options::WORDS.contains(&option) => {
            let value = words.value(&format!("-{option}"))?;
            said.options.read(option, &value).or_else(usage)?;
        }
        _ => return usage(format!("bad keyword: -{option}: see route --help")),
    }
    Ok(())
}

impl Said {
    /// Says something of the last gateway, or of all when none was named yet.
    fn of_path(&mut self, say: impl FnOnce(&mut PathSpec)) {
        say(self.paths.last_mut().unwrap_or(&mut self.defaults));
    }

    /// A word that is no option: the destination first, then gateways, or ports behind `-iface`.
    fn plain(&mut self, word: String, verb: &str) -> Result<(), Failure> {
        if verb == "get" || verb == "show" || self.destination.is_none() {
            self.destination.get_or_insert_with(|| word.clone());
            self.plain.push(word);
            return Ok(());
        }
        let path = match self.kind {
            Some(PathKind::Interface) => PathSpec {
                kind: PathKind::Interface,
                port: Some(word),
                ..self.defaults.clone()
            },
            _ => gateway(&word, &self.defaults)?,
        };
        if let (Some((family, _)), Some(gateway)) = (self.of_gateways, path.gateway) {
            agree(family, gateway)?;
        }
        self.paths.push(path);
        Ok(())
    }

    /// `-4` or `-6`: before the destination its family, behind it that of the gateways to come (RFC 8950:
    /// `add -inet 10.0.0.0/8 -inet6 2001:db8::1`).
    fn of_family_from_here(&mut self, family: Family) {
        match family {
            _ if self.destination.is_some() => {
                self.of_gateways = Some((family, self.paths.len()));
            }
            Family::Inet => self.v4 = true,
            Family::Inet6 => self.v6 = true,
        }
    }

    /// The one family that was told; none and both are no choice. One behind everything is told of everything.
    fn family(&self) -> Option<Family> {
        let last = |(family, before)| (before == self.paths.len()).then_some(family);
        match (self.v4, self.v6) {
            (true, false) => Some(Family::Inet),
            (false, true) => Some(Family::Inet6),
            (false, false) => self.of_gateways.and_then(last),
            (true, true) => None,
        }
    }

    /// FreeBSD's syntax has a gateway that a blackhole or reject never uses; a loopback address says as much.
    fn unused_gateway(&self) -> Option<String> {
        let kind = self.kind.filter(|kind| *kind != PathKind::Interface)?;
        let word = heed::word(kind);
        let mut gateways = self.paths.iter().filter_map(|path| path.gateway);
        let unused = gateways.find(|gateway| !gateway.is_loopback())?;
        Some(format!(
            "gateway {unused} is not used: {word} drops what goes there"
        ))
    }

    /// Options of a route are no filter: `flush -sticky src` would flush everything.
    fn refuse_options(&self, verb: &str) -> Result<(), Failure> {
        if ["add", "change"].contains(&verb) {
            return Ok(());
        }
        let of_path = self.defaults.mtu.is_some() || self.defaults.weight.is_some();
        if self.options.is_empty() && !of_path && !self.recursive {
            return Ok(());
        }
        usage(format!(
            "{verb} takes no options of a route (-select, -sticky, -failback, -slow-start, -buckets, -group, -timeouts, -mtu, -weight, -recursive): they go with \
             add and change"
        ))
    }

    fn fib(&self) -> u8 {
        self.fib_said.unwrap_or(0)
    }

    /// The table that was told.
    fn table(&self) -> RouteFamily {
        RouteFamily {
            family: self.family(),
            fib: self.fib(),
        }
    }

    /// An address of the family that was told.
    fn of_family(&self, address: IpAddr) -> Result<(), Failure> {
        self.family().map_or(Ok(()), |told| agree(told, address))
    }

    fn destination(&self) -> Result<Prefix, Failure> {
        let prefix = self.prefix()?;
        self.of_family(prefix.addr())?;
        Ok(prefix)
    }

    /// The paths of an add or change.
    fn paths(&mut self, destination: Prefix, may_drain: bool) -> Result<Vec<PathSpec>, Failure> {
        check_mtu(destination, self.defaults.mtu).or_else(|line| usage(format!("-{line}")))?;
        let options = self.options.check(destination);
        options.or_else(|line| usage(format!("-{line}")))?;
        if self.recursive && self.kind.is_some() {
            return usage("-recursive goes with a gateway: leave it out, or name one");
        }
        if let Some(kind @ (PathKind::Blackhole | PathKind::Reject)) = self.kind {
            // FreeBSD wants a gateway here and never uses it: taken, and told.
            return Ok(vec![PathSpec {
                kind,
                gateway: None,
                ..self.defaults.clone()
            }]);
        }
        // A change may be of options alone, and a group has its members.
        let of_all = may_drain && (!self.options.is_empty() || self.mtu_of_all().is_some());
        let may_name_none = of_all || self.options.group.is_some();
        if self.paths.is_empty() && (!may_name_none || self.kind.is_some()) {
            return usage(
                "no gateway: name one or several, -group N, or -iface PORT, -blackhole or -reject",
            );
        }
        let mtu = self.mtu_of_all().filter(|_| may_drain);
        let of_all = PathSpec {
            mtu,
            ..PathSpec::default()
        };
        if self.paths.is_empty() && (self.recursive || self.defaults != of_all) {
            return usage(OF_MEMBERS);
        }
        last_mtu_for_all(&mut self.paths);
        for path in &mut self.paths {
            path.recursive = self.recursive;
            check_weight(path.weight.unwrap_or(1), may_drain).or_else(usage)?;
            check_mtu(destination, path.mtu).or_else(|line| usage(format!("-{line}")))?;
        }
        Ok(std::mem::take(&mut self.paths))
    }

    /// The MTU of a change that names no gateway: it is of all those that the route has, unless a group has them.
    fn mtu_of_all(&self) -> Option<u32> {
        let alone = self.paths.is_empty() && self.kind.is_none() && self.options.group.is_none();
        self.defaults.mtu.filter(|_| alone)
    }

    fn add(mut self) -> Result<Command, Failure> {
        let destination = self.destination()?;
        if self.deadline.is_some() {
            return usage(
                "-deadline belongs to change: route change ... -weight 0 -deadline SECONDS",
            );
        }
        let paths = self.paths(destination, false)?;
        self.options.check_whole().or_else(usage)?;
        Ok(Command::Add(
            Destination(destination),
            RouteAdd {
                destination,
                fib: self.fib(),
                paths,
                options: self.options,
            },
        ))
    }

    fn change(mut self) -> Result<Command, Failure> {
        let destination = self.destination()?;
        let mtu = self.mtu_of_all();
        let paths = self.paths(destination, true)?;
        check_deadline(self.deadline, &paths).or_else(usage)?;
        let ask = RouteChange {
            destination,
            fib: self.fib(),
            paths,
            deadline: self.deadline,
            options: self.options,
            mtu,
        };
        Ok(Command::Change(Destination(destination), ask))
    }

    fn delete(self) -> Result<Command, Failure> {
        let destination = self.destination()?;
        let path = match self.paths.as_slice() {
            [] if self.kind.is_some() => return usage("-iface needs a port: write -iface PORT"),
            [] if self.defaults.port.is_some() => {
                return usage("-ifp goes with a gateway: name it");
            }
            [] => PathSpec::default(),
            [path] => path.clone(),
            _ => return usage("delete takes one gateway at a time"),
        };
        let ask = RouteDelete {
            destination,
            fib: self.fib(),
            gateway: path.gateway,
            port: path.port,
        };
        Ok(Command::Delete(Destination(destination), ask))
    }

    fn get(self) -> Result<Command, Failure> {
        let plain: Vec<&str> = self.plain.iter().map(String::as_str).collect();
        let (protocol, source, destination) = match plain.as_slice() {
            [_] if self.asks_for_a_prefix() => return self.of_prefix().map(Command::Get),
            [destination] => (
                self.protocol.as_deref(),
                self.source.as_deref(),
                *destination,
            ),
            [protocol, source, destination] => (Some(*protocol), Some(*source), *destination),
            _ => return usage("get takes a destination, or a flow: get tcp SRC:PORT DST:PORT"),
        };
        let ask = RouteGet {
            fib: self.fib(),
            ..tuple::query(protocol, source, destination)?
        };
        self.of_family(ask.destination)?;
        Ok(Command::Get(ask))
    }

    /// An address is looked up, as `get` does; a prefix is a route by itself.
    fn show(self) -> Result<Command, Failure> {
        if self.plain.len() == 1 && self.asks_for_a_prefix() {
            let ask = self.of_prefix()?;
            return Ok(Command::Exact(ask, self.destination()?));
        }
        self.get()
    }

    fn asks_for_a_prefix(&self) -> bool {
        let is_prefix = |text: &String| text == "default" || text.contains('/');
        self.length.is_some() || self.net || self.destination.as_ref().is_some_and(is_prefix)
    }

    fn of_prefix(&self) -> Result<RouteGet, Failure> {
        let prefix = self.destination()?;
        if self.protocol.is_some() || self.source.is_some() {
            return usage("a flow goes to an address: get tcp SRC:PORT DST:PORT");
        }
        Ok(RouteGet {
            length: Some(prefix.len()),
            fib: self.fib(),
            ..RouteGet::to(prefix.addr())
        })
    }
}

/// An address of the family that was told.
fn agree(told: Family, address: IpAddr) -> Result<(), Failure> {
    match (told, Family::of(address)) {
        (Family::Inet, Family::Inet6) => {
            usage(format!("{address} is an IPv6 address: leave -4 out"))
        }
        (Family::Inet6, Family::Inet) => {
            usage(format!("{address} is an IPv4 address: leave -6 out"))
        }
        _ => Ok(()),
    }
}

/// An MTU behind the last of several gateways is of all of them, if none has one of its own.
pub(in crate::cli) fn last_mtu_for_all(paths: &mut [PathSpec]) {
    let Some((last, others)) = paths.split_last_mut() else {
        return;
    };
    if others.iter().all(|path| path.mtu.is_none()) {
        others.iter_mut().for_each(|path| path.mtu = last.mtu);
    }
}

/// A gateway of a route.
fn gateway(word: &str, defaults: &PathSpec) -> Result<PathSpec, Failure> {
    member(word, defaults, "a gateway's address, or -iface PORT")
}

/// A gateway: an address, a link-local one with `%port`; `right` is what may stand there.
pub(in crate::cli) fn member(
    word: &str,
    defaults: &PathSpec,
    right: &str,
) -> Result<PathSpec, Failure> {
    let (address, port) = match word.split_once('%') {
        Some((address, port)) => (address, Some(port.to_owned())),
        None => (word, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return usage(format!("bad address: {word}: write {right}"));
    };
    let spec = defaults.clone();
    Ok(PathSpec {
        gateway: Some(address),
        port: port.or_else(|| spec.port.clone()),
        ..spec
    })
}

#[cfg(test)]
mod tests;
