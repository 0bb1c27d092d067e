//! Whole tables of routes on the wire: sent in pieces, then committed as one; and the same form to read them.
//!
//! A piece names its sets of paths as JSON and its routes as words in one string, `10.0.0.0/8=0 10.1.0.0/16`: a prefix
//! and the number of its set; without a number it has the set of the word before. So a million routes are some
//! twenty messages, and equal sets of paths are looked at once.

use super::options::Options;
use super::route::Family;
use super::route::PathSpec;
use super::route::is_first_fib;
use super::text;
use route::Prefix;
use serde::Deserialize;
use serde::Serialize;
use std::fmt::Write;

/// Parameters of `RouteBatchBegin`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchBegin {
    /// Families of which the batch is to be all: the operator's other routes go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replace: Vec<Family>,
    /// The FIB whose routes they are; 0 when left out.
    #[serde(default, skip_serializing_if = "is_first_fib")]
    pub fib: u8,
}

/// What `RouteBatchBegin` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchBegun {
    /// The batch's number, for the calls that follow on the same connection.
    pub batch: u64,
}

/// Paths that routes share.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathSet {
    /// The paths. A gateway of weight 0 drains.
    #[serde(deserialize_with = "text::object::list")]
    pub paths: Vec<PathSpec>,
    /// How the routes treat flows.
    #[serde(
        default,
        deserialize_with = "text::object::one",
        skip_serializing_if = "Options::is_empty"
    )]
    pub options: Options,
}

/// Parameters of `RouteBatchAdd`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchAdd {
    /// The batch.
    pub batch: u64,
    /// More sets; the batch's are numbered from 0 in the order in which they came.
    #[serde(
        default,
        deserialize_with = "text::object::list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub sets: Vec<PathSet>,
    /// More routes: `PREFIX=SET`, or `PREFIX` for the set of the route before, with blanks between.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub routes: String,
}

/// What `RouteBatchAdd` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchAdded {
    /// Routes in the batch so far.
    pub routes: u64,
}

/// Parameters of `RouteBatchCommit` and `RouteBatchDrop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchOf {
    /// The batch.
    pub batch: u64,
}

/// What `RouteBatchCommit` answers: how far it is, and at last what it did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BatchDone {
    /// Units of work done.
    pub done: u64,
    /// Units of work there are, as far as is known.
    pub total: u64,
    /// Prefixes that are new; 0 until the end.
    pub added: u64,
    /// Prefixes that have other paths; 0 until the end.
    pub changed: u64,
    /// Prefixes that are gone; 0 until the end.
    pub deleted: u64,
    /// What the caller should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// A page of `RouteExport`; sets are numbered anew in each.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Exported {
    /// The sets of paths that the page's routes have.
    pub sets: Vec<PathSet>,
    /// The routes: `PREFIX=SET`, or `PREFIX` for the set of the route before.
    pub routes: String,
}

/// Appends a route to a string of routes; `last` is the set of the one before.
pub fn write_route(routes: &mut String, prefix: Prefix, set: u32, last: &mut Option<u32>) {
    if !routes.is_empty() {
        routes.push(' ');
    }
    prefix.append(routes);
    if last.replace(set) != Some(set) {
        // A string takes whatever it is given.
        let _ = write!(routes, "={set}");
    }
}

/// The routes of a string, each with its set; `last` is the set of the one before, if there was one.
///
/// # Errors
/// One line that names the word that is wrong.
pub fn read_routes(
    routes: &str,
    mut last: Option<u32>,
) -> impl Iterator<Item = Result<(Prefix, u32), String>> {
    routes.split_ascii_whitespace().map(move |word| {
        let (prefix, set) = match word.split_once('=') {
            Some((prefix, set)) => {
                let wrong = |_| format!("{word}: write PREFIX=SET, with the number of a set");
                (prefix, Some(set.parse().map_err(wrong)?))
            }
            None => (word, None),
        };
        last = set.or(last);
        let set = last.ok_or_else(|| format!("{word}: the first route needs its set: {word}=0"))?;
        let prefix = prefix.parse().map_err(|error| format!("{error}"))?;
        Ok((prefix, set))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_read_back_as_they_are_written() {
        let routes = [("10.0.0.0/8", 0), ("10.1.0.0/16", 0), ("2001:db8::/32", 7)];
        let routes = routes.map(|(text, set)| (text.parse::<Prefix>().unwrap(), set));
        let (mut text, mut last) = (String::new(), None);
        for (prefix, set) in routes {
            write_route(&mut text, prefix, set, &mut last);
        }
        assert_eq!(text, "10.0.0.0/8=0 10.1.0.0/16 2001:db8::/32=7");
        let read: Result<Vec<_>, _> = read_routes(&text, None).collect();
        assert_eq!(read.unwrap(), routes);
    }

    #[test]
    fn a_wrong_word_is_named() {
        for (text, line) in [
            (
                "10.0.0.0/8",
                "10.0.0.0/8: the first route needs its set: 10.0.0.0/8=0",
            ),
            (
                "10.0.0.0/8=x",
                "10.0.0.0/8=x: write PREFIX=SET, with the number of a set",
            ),
            (
                "10.0.0.1/8=0",
                "10.0.0.1/8 has host bits set: write 10.0.0.0/8",
            ),
        ] {
            let error = read_routes(text, None).collect::<Result<Vec<_>, _>>();
            assert_eq!(error.unwrap_err(), line);
        }
        let read: Result<Vec<_>, _> = read_routes("10.0.0.0/8", Some(3)).collect();
        assert_eq!(read.unwrap()[0].1, 3);
    }
}
