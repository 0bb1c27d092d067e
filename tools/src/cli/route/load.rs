//! `route load` and `route flush`: a whole table as one, all or nothing.
//!
//! The file is read here, not by the gateway, and sent in pieces; only the commit at the end changes anything.

use super::parse::fib;
use super::parse::one_fib;
use super::progress::Progress;
use super::refused;
use crate::cli::exit::Failure;
use crate::cli::exit::usage;
use crate::cli::session::Session;
use crate::cli::words::Words;
use crate::client::Client;
use crate::client::Error;
use crate::routefile;
use crate::routefile::Entry;
use crate::routefile::Options;
use crate::routefile::RouteFile;
use crate::routefile::Wrong;
use crate::wire::batch::BatchAdd;
use crate::wire::batch::BatchAdded;
use crate::wire::batch::BatchBegin;
use crate::wire::batch::BatchBegun;
use crate::wire::batch::BatchDone;
use crate::wire::batch::BatchOf;
use crate::wire::batch::PathSet;
use crate::wire::batch::write_route;
use crate::wire::route::Family;
use crate::wire::route::RouteFamily;
use route::Prefix;
use serde::Serialize;
use std::fs::File;
use std::io::stdin;

/// About so many bytes of JSON go in a piece, which is to stay below the message limit.
const PIECE: usize = 512 << 10;

/// About so many bytes of JSON a path takes.
const PATH: usize = 128;

/// The words of `route load`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Load {
    file: String,
    fib: u8,
    options: Options,
    replace: bool,
    pub(super) quiet: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Loaded {
    routes: usize,
    ipv4: usize,
    ipv6: usize,
    skipped_records: u64,
    added: u64,
    changed: u64,
    deleted: u64,
    milliseconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

/// Reads the words behind `load`.
pub(super) fn parse(
    words: &mut Words,
    of: RouteFamily,
    mut fib_said: Option<u8>,
    quiet: bool,
) -> Result<Load, Failure> {
    let (mut file, mut load) = (None, Load::new(of, quiet));
    while let Some(word) = words.next() {
        match word.as_str() {
            "-4" | "-inet" => load.options.family = Some(Family::Inet),
            "-6" | "-inet6" => load.options.family = Some(Family::Inet6),
            "-q" => load.quiet = true,
            "-n" | "-v" => {}
            "-fib" => {
                load.fib = one_fib(fib_said, fib(words)?)?;
                fib_said = Some(load.fib);
            }
            "-replace" => load.replace = true,
            "-recursive" => load.options.recursive = true,
            "-gateway" => load.gateway(&words.value("-gateway")?)?,
            "-peer" => {
                load.options.peer = Some(words.parse("-peer", "a peer's number, from 0")?);
            }
            "-plan" => return usage(super::parse::PLAN),
            option if option.starts_with('-') && option != "-" => {
                return usage(format!("bad keyword: {option}: see route --help"));
            }
            _ if file.is_some() => return usage(format!("load takes one file, and no {word}")),
            _ => file = Some(word),
        }
    }
    load.ipv4_by_ipv6();
    match file {
        Some(file) => Ok(Load { file, ..load }),
        None => usage("load needs a file, or - for standard input"),
    }
}

impl Load {
    fn new(of: RouteFamily, quiet: bool) -> Self {
        let options = Options {
            family: of.family,
            ..Options::default()
        };
        Self {
            file: String::new(),
            fib: of.fib,
            options,
            replace: false,
            quiet,
        }
    }

    /// Gateways for routes of their family.
    fn gateway(&mut self, word: &str) -> Result<(), Failure> {
        let set =
            routefile::read_gateways(word).or_else(|line| usage(format!("-gateway {line}")))?;
        let mut families = set.paths.iter().filter_map(|path| path.gateway);
        let is_v6 = families.next().is_some_and(|first| first.is_ipv6());
        if families.any(|gateway| gateway.is_ipv6() != is_v6) {
            return usage(format!(
                "-gateway {word}: give -gateway twice, once for each family"
            ));
        }
        match self.options.gateways[usize::from(is_v6)].replace(set) {
            None => Ok(()),
            Some(_) => usage("-gateway was given twice for one family: name all with commas"),
        }
    }

    /// With `-4`, IPv6 gateways can only be meant for IPv4 routes (RFC 8950).
    fn ipv4_by_ipv6(&mut self) {
        let [v4, v6] = &mut self.options.gateways;
        if self.options.family == Some(Family::Inet) && v4.is_none() {
            *v4 = v6.take();
        }
    }

    fn read(&self, progress: &mut Progress) -> Result<RouteFile, Failure> {
        let mut each = |routes| progress.count("reading", routes);
        let read = if self.file == "-" {
            routefile::read(stdin().lock(), &self.options, &mut each)
        } else {
            let file = File::open(&self.file).map_err(Wrong::Io);
            file.and_then(|file| routefile::read(file, &self.options, &mut each))
        };
        read.map_err(|wrong| self.wrong(&wrong))
    }

    /// The line that names the file, and where in it.
    fn wrong(&self, wrong: &Wrong) -> Failure {
        let name = if self.file == "-" {
            "standard input"
        } else {
            &self.file
        };
        match wrong {
            Wrong::At(routefile::Place::Line(_), _) => Failure::Data(format!("{name}:{wrong}")),
            Wrong::At(..) => Failure::Data(format!("{name}: {wrong}")),
            Wrong::Io(_) => Failure::NoInput(format!("{name} {wrong}")),
        }
    }

    /// A refusal of the gateway that begins with a prefix is one about a line of the file.
    fn refused(&self, error: Error, routes: &[Entry]) -> Failure {
        refused(error, |message| {
            let named = first_prefix(message).and_then(|prefix| {
                let at = routes.binary_search_by_key(&prefix, |e| e.prefix).ok()?;
                Some(Wrong::At(routes[at].place, message.to_owned()))
            });
            match named {
                Some(wrong) => format!("route: {}", self.wrong(&wrong)),
                None => format!("route: load {}: {message}", self.file),
            }
        })
    }

    /// The families of which the file is to be all.
    fn replaced(&self, file: &RouteFile) -> Vec<Family> {
        let (v4, v6) = file.counts();
        let of_file = |family| match family {
            Family::Inet => v4 > 0,
            Family::Inet6 => v6 > 0,
        };
        let mut families = vec![Family::Inet, Family::Inet6];
        families.retain(|family| match self.options.family {
            Some(only) => only == *family,
            None => of_file(*family),
        });
        families.retain(|_| self.replace);
        families
    }
}

/// The prefix that a message begins with: `10.0.0.0/8: no ...`, or `10.0.0.0/8 is ...`.
fn first_prefix(message: &str) -> Option<Prefix> {
    let word = message.split(' ').next()?;
    let word = word.strip_suffix(':').unwrap_or(word);
    // An address alone is a gateway.
    word.contains('/').then(|| word.parse().ok())?
}

/// Carries out `route load`.
pub(super) fn run(load: &Load, session: &mut Session<'_>) -> Result<(), Failure> {
    let mut progress = Progress::new(load.quiet);
    let outcome = perform(load, session, &mut progress);
    progress.clear();
    let (loaded, seconds) = (outcome?, progress.seconds());
    if session.json {
        return session.print_json(&loaded);
    }
    if load.quiet {
        return Ok(());
    }
    let Loaded {
        routes,
        ipv4,
        ipv6,
        added,
        changed,
        deleted,
        ..
    } = loaded;
    writeln!(
        session.out,
        "loaded {routes} routes ({ipv4} IPv4, {ipv6} IPv6) in {seconds}: {added} added, {changed} changed, {deleted} deleted"
    )?;
    if loaded.skipped_records > 0 {
        let skipped = loaded.skipped_records;
        writeln!(session.out, "{skipped} records of other kinds were skipped")?;
    }
    match loaded.warning {
        Some(warning) => Ok(writeln!(session.out, "{warning}")?),
        None => Ok(()),
    }
}

fn perform(load: &Load, session: &Session<'_>, progress: &mut Progress) -> Result<Loaded, Failure> {
    // A gateway that is not there is told before a long file is read.
    let mut client = session.client()?;
    let file = load.read(progress)?;
    let begin = BatchBegin {
        replace: load.replaced(&file),
        fib: load.fib,
    };
    let done = send(&mut client, &file, &begin, progress)
        .map_err(|error| load.refused(error, &file.routes))?;
    let (ipv4, ipv6) = file.counts();
    Ok(Loaded {
        routes: file.routes.len(),
        ipv4,
        ipv6,
        skipped_records: file.skipped,
        added: done.added,
        changed: done.changed,
        deleted: done.deleted,
        milliseconds: progress.ms(),
        warning: done.warning,
    })
}

/// Sends a file's routes as one batch, and has it made true.
fn send(
    client: &mut Client,
    file: &RouteFile,
    begin: &BatchBegin,
    progress: &mut Progress,
) -> Result<BatchDone, Error> {
    let BatchBegun { batch } = client.call("RouteBatchBegin", begin)?;
    let mut pieces = Pieces {
        file,
        batch,
        set: 0,
        at: 0,
    };
    let mut is_ahead = false;
    while let Some(piece) = pieces.next() {
        // One piece is written while the gateway reads the one before.
        client.send_ahead("RouteBatchAdd", &piece)?;
        if std::mem::replace(&mut is_ahead, true) {
            client.answer::<BatchAdded>()?;
        }
        progress.count("sending", pieces.at);
    }
    if is_ahead {
        client.answer::<BatchAdded>()?;
    }
    commit(client, batch, file.routes.len() as u64, "loading", progress)
}

/// Has a batch made true, and shows how far it is.
fn commit(
    client: &mut Client,
    batch: u64,
    routes: u64,
    what: &str,
    progress: &mut Progress,
) -> Result<BatchDone, Error> {
    let (mut last, from) = (BatchDone::default(), progress.ms());
    client.call_more(
        "RouteBatchCommit",
        &BatchOf { batch },
        |told: BatchDone, _| {
            let routes = if routes > 0 { routes } else { told.total };
            progress.share(what, told.done, told.total, routes, from);
            last = told;
            true
        },
    )?;
    Ok(last)
}

/// A file's sets and routes, in pieces.
struct Pieces<'a> {
    file: &'a RouteFile,
    batch: u64,
    /// Sets and routes that were sent.
    set: usize,
    at: usize,
}

impl Pieces<'_> {
    /// Sets before the routes that have them.
    fn next(&mut self) -> Option<BatchAdd> {
        let mut piece = BatchAdd {
            batch: self.batch,
            sets: Vec::new(),
            routes: String::new(),
        };
        let mut size = 0;
        while let Some(set) = self.file.sets.get(self.set).filter(|_| size < PIECE) {
            size += PATH * (1 + set.paths.len());
            piece.sets.push(PathSet::clone(set));
            self.set += 1;
        }
        let mut last = None;
        if self.set == self.file.sets.len() {
            let rest = self.file.routes.get(self.at..).unwrap_or_default();
            for entry in rest {
                if size + piece.routes.len() >= PIECE {
                    break;
                }
                write_route(&mut piece.routes, entry.prefix, entry.set, &mut last);
                self.at += 1;
            }
        }
        (size > 0 || !piece.routes.is_empty()).then_some(piece)
    }
}

/// Carries out `route flush`: a batch without routes that is all of its families.
pub(super) fn flush(
    of: RouteFamily,
    quiet: bool,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let mut progress = Progress::new(quiet);
    let both = || vec![Family::Inet, Family::Inet6];
    let begin = BatchBegin {
        replace: of.family.map_or_else(both, |one| vec![one]),
        fib: of.fib,
    };
    let mut client = session.client()?;
    let begun: Result<BatchBegun, Error> = client.call("RouteBatchBegin", &begin);
    let done =
        begun.and_then(|begun| commit(&mut client, begun.batch, 0, "flushing", &mut progress));
    progress.clear();
    let done =
        done.map_err(|error| refused(error, |message| format!("route: flush: {message}")))?;
    if !quiet {
        let (deleted, seconds) = (done.deleted, progress.seconds());
        writeln!(session.out, "flushed {deleted} routes in {seconds}")?;
    }
    Ok(())
}
