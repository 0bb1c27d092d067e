//! Files of routes: text, or MRT as route collectors write it, either of them also gzip-compressed.
//!
//! | file | what it reads |
//! |---|---|
//! | `text` | `PREFIX GATEWAY[*WEIGHT][,GATEWAY...]`, a route a line; `write` makes it |
//! | `mrt` | `TABLE_DUMP_V2` (RFC 6396): a table as a BGP router sees it |
//! | `attributes` | the next hop among a BGP path's attributes |
//!
//! What a file is, its first bytes say. Whatever they are, reading ends with routes or with one line that says where
//! what is wrong; no input makes it panic, and no input makes it keep more than its routes and one record.
//! Equal sets of gateways become one [`PathSet`].

mod attributes;
mod mrt;
#[cfg(test)]
mod tests;
mod text;
pub mod write;

use crate::wire::batch::PathSet;
use crate::wire::route::Family;
use flate2::bufread::MultiGzDecoder;
use route::Prefix;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Cursor;
use std::io::Read;

/// Gateways with commas between, as `-gateway` takes them.
///
/// # Errors
/// One line that says what would be right.
pub fn read_gateways(word: &str) -> Result<PathSet, String> {
    let mut set = PathSet::default();
    text::add_gateways(word, &mut set.paths)?;
    text::normal(set)
}

/// Bytes by which a format is known.
const HEAD: usize = 12;

/// What the command line says about a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The gateways of IPv4 and of IPv6 routes for which the file names none, or, of MRT, instead of those it names.
    pub gateways: [Option<PathSet>; 2],
    /// Take the routes of one family only.
    pub family: Option<Family>,
    /// Of an MRT table, take the routes of this peer instead of the first of each prefix.
    pub peer: Option<u16>,
    /// All gateways, those of an MRT table too, may be on no port's network.
    pub recursive: bool,
}

/// Where in a file something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In this line.
    Line(u64),
    /// In this record of an MRT file, which begins at this byte.
    Record(u64, u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "{line}"),
            Self::Record(record, byte) => write!(f, "record {record} at byte {byte}"),
        }
    }
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// Something in it cannot be read.
    #[error("{0}: {1}")]
    At(Place, String),
    /// It cannot be read at all.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// One route of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its prefix.
    pub prefix: Prefix,
    /// Its set of paths.
    pub set: u32,
    /// Where it stands.
    pub place: Place,
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct RouteFile {
    /// The different sets of paths.
    pub sets: Vec<PathSet>,
    /// The routes; [`read`] returns them sorted, none twice.
    pub routes: Vec<Entry>,
    /// MRT records of kinds that are no unicast routes.
    pub skipped: u64,
    known: HashMap<PathSet, u32>,
}

impl RouteFile {
    /// The number of a set.
    fn intern(&mut self, set: PathSet) -> u32 {
        let next = self.sets.len() as u32;
        let number = *self.known.entry(set.clone()).or_insert(next);
        if number == next {
            self.sets.push(set);
        }
        number
    }

    /// Sorts the routes.
    ///
    /// # Errors
    /// If a prefix stands twice.
    fn sort(&mut self) -> Result<(), Wrong> {
        if self.routes.is_sorted_by(|a, b| a.prefix < b.prefix) {
            return Ok(());
        }
        self.routes
            .sort_unstable_by_key(|entry| (entry.prefix, entry.place));
        let mut pairs = self.routes.windows(2);
        match pairs.find(|pair| pair[0].prefix == pair[1].prefix) {
            Some([first, again]) => {
                let place = match first.place {
                    Place::Line(line) => format!("line {line}"),
                    record @ Place::Record(..) => record.to_string(),
                };
                let line = format!("{} is there already, in {place}", again.prefix);
                Err(Wrong::At(again.place, line))
            }
            _ => Ok(()),
        }
    }

    /// How many routes are of which family.
    pub fn counts(&self) -> (usize, usize) {
        let v4 = self
            .routes
            .iter()
            .filter(|e| e.prefix.addr().is_ipv4())
            .count();
        (v4, self.routes.len() - v4)
    }
}

/// Reads a whole file, of whichever format; `each` is told now and then how many routes there are so far.
///
/// # Errors
/// What is wrong, and where.
pub fn read(
    input: impl Read,
    options: &Options,
    each: &mut dyn FnMut(usize),
) -> Result<RouteFile, Wrong> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let head = head(&mut input)?;
    let whole = Cursor::new(head.clone()).chain(input);
    if !head.starts_with(&[0x1f, 0x8b]) {
        return read_plain(&head, whole, options, each);
    }
    let mut input = BufReader::with_capacity(1 << 16, MultiGzDecoder::new(whole));
    let head = self::head(&mut input)?;
    read_plain(&head, Cursor::new(head.clone()).chain(input), options, each)
}

fn read_plain(
    head: &[u8],
    input: impl BufRead,
    options: &Options,
    each: &mut dyn FnMut(usize),
) -> Result<RouteFile, Wrong> {
    // The type of an MRT record is a small number in 16 bits: a zero byte, which no text has.
    let mut file = if head.get(4) == Some(&0) {
        mrt::read(input, options, each)?
    } else if options.peer.is_some() {
        return Err(no_peers(head));
    } else {
        text::read(input, options, each)?
    };
    if options.recursive {
        let paths = file.sets.iter_mut().flat_map(|set| &mut set.paths);
        let by_gateway = paths.filter(|path| path.gateway.is_some());
        by_gateway.for_each(|path| path.recursive = true);
    }
    file.sort()?;
    Ok(file)
}

/// Why a file has no routes of a peer.
fn no_peers(head: &[u8]) -> Wrong {
    let of_record = |line: String| Wrong::At(Place::Record(1, 0), line);
    match head.len() {
        0 => {
            of_record("the file is empty: an MRT table, which alone has peers, has records".into())
        }
        // Too few to say what it is.
        bytes @ 1..=4 => of_record(format!(
            "the file has {bytes} bytes: no MRT table, which alone has peers, or one that is cut short"
        )),
        _ => {
            let line = "this is text and no MRT table, which alone has peers: leave -peer out";
            Wrong::At(Place::Line(1), line.into())
        }
    }
}

/// The first bytes, fewer if there are no more.
fn head(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    input.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Whether a prefix is of the family that is wanted.
fn is_wanted(prefix: &Prefix, options: &Options) -> bool {
    options
        .family
        .is_none_or(|family| family == Family::of(prefix.addr()))
}

/// The gateways that the command line names for a prefix's family.
fn given<'a>(prefix: &Prefix, options: &'a Options) -> Option<&'a PathSet> {
    options.gateways[usize::from(prefix.addr().is_ipv6())].as_ref()
}
