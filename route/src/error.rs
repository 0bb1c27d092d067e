//! Why a change of routes is refused. Each message is one line that also says what would be right.

use crate::ids::FibId;
use crate::nhop::NhopKey;
use crate::prefix::Prefix;

/// Largest weight of a path.
pub const MAX_WEIGHT: u32 = (1 << 24) - 1;

/// A refused change; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The path is there already, or named twice.
    #[error("{key} is already a path of {prefix}: use change to set its weight")]
    Exists {
        /// The route.
        prefix: Prefix,
        /// The path.
        key: NhopKey,
    },
    /// There is no such FIB.
    #[error(
        "FIB {fib} is out of range: FIBs go from 0 to {last} (fibs in [gateway] says how many there are)"
    )]
    NoFib {
        /// The FIB asked for.
        fib: FibId,
        /// The last that there is.
        last: u8,
    },
    /// There is no such route.
    #[error("{prefix} is not in table: add it first")]
    NotFound {
        /// The destination asked for.
        prefix: Prefix,
    },
    /// The route has no such path.
    #[error("{prefix} has no such path: its paths are {paths}")]
    NoSuchPath {
        /// The route.
        prefix: Prefix,
        /// The paths that it has.
        paths: String,
    },
    /// Several paths are meant, and one must be named.
    #[error("{prefix} has several such paths: name the gateway; they are {paths}")]
    Ambiguous {
        /// The route.
        prefix: Prefix,
        /// The paths that match.
        paths: String,
    },
    /// A table is full.
    #[error("the table of {what} is full: it holds {limit}; raise that limit or delete something")]
    Full {
        /// Which.
        what: &'static str,
        /// What it can hold.
        limit: u64,
    },
    /// The route treats flows in another way: `{option}`, such as "selects by source".
    #[error("{prefix} {option}: use change to give it other options")]
    Options {
        /// The route.
        prefix: Prefix,
        /// What it does.
        option: String,
    },
    /// A weight out of range.
    #[error(
        "weight {weight} is out of range: 1 to {MAX_WEIGHT}, and 0 only to drain a path that is there"
    )]
    BadWeight {
        /// The weight given.
        weight: u32,
    },
    /// More paths than a group can have.
    #[error("{prefix} would have {count} paths: the most is {limit}")]
    TooManyMembers {
        /// The route.
        prefix: Prefix,
        /// Paths that it would have.
        count: usize,
        /// Most paths.
        limit: usize,
    },
    /// A path that cannot be.
    #[error("{prefix}: {0}", prefix = .1)]
    Kind(KindError, Prefix),
}

/// Why a path cannot be one, or not beside others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KindError {
    /// A route without a path.
    #[error("a route needs a path: name a gateway, an interface, blackhole or reject")]
    NoPath,
    /// A gateway path without a gateway.
    #[error("a gateway path needs the gateway's address")]
    NoGateway,
    /// Another kind with a gateway.
    #[error("paths of kind {0} have no gateway: leave the address out")]
    HasGateway(&'static str),
    /// A kind that does not balance, beside other paths.
    #[error("a path of kind {0} stands alone: use change to replace what is there")]
    Alone(&'static str),
}

/// A table is full, whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full {
    pub(crate) what: &'static str,
    pub(crate) limit: u64,
}

impl From<Full> for RouteError {
    fn from(Full { what, limit }: Full) -> Self {
        Self::Full { what, limit }
    }
}
