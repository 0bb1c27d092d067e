//! Why a change of routes is refused. Each message is one line that also says what would be right.

use crate::ids::{FibId, GroupNo};
use crate::nhop::NhopKey;
use crate::prefix::Prefix;
use std::net::IpAddr;

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
    /// A number of buckets that no group can have.
    #[error(
        "{0} buckets are out of range: write a power of two, 1 to {most}",
        most = crate::MAX_BUCKETS
    )]
    BadBuckets(u32),
    /// A group has another number of buckets.
    #[error(
        "{what} has {has} buckets, fixed when it was made: delete it and add it again to have {asked}"
    )]
    FixedBuckets {
        /// Which route or group.
        what: String,
        /// Buckets that it has, or will have with several members.
        has: u32,
        /// Buckets asked for.
        asked: u32,
    },
    /// How long clients are remembered was changed, where none are.
    #[error(
        "{what} is not sticky: write -sticky src, or -sticky src/LENGTH, beside -sticky-timeout"
    )]
    NotSticky {
        /// Which route or group.
        what: String,
    },
    /// About a group that has a number.
    #[error("group {0} {1}")]
    Group(GroupNo, GroupError),
}

/// What speaks against a change of a group that has a number, or against naming it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// There is none.
    #[error("is not there: 'group add' makes it, and so does a route that names its gateways too")]
    None,
    /// It has this member already.
    #[error("has {0} already: use change to set its weight")]
    Has(NhopKey),
    /// It has no such member.
    #[error("has no such member: its members are {0}")]
    NoSuchMember(String),
    /// Several members are meant, and one must be named.
    #[error("has several such members: name the port too; they are {0}")]
    Several(String),
    /// No group is without members.
    #[error("has no other member: name another first, or delete the group")]
    Last,
    /// Routes use it.
    #[error(
        "is used by {routes}: delete {them}, or give {them} another group, first",
        routes = routes(.0, ""), them = them(.0)
    )]
    InUse(u32),
    /// A route says otherwise of its members or options.
    #[error("has other {0}: leave them out, or change them for all its routes with 'group change'")]
    Differs(&'static str),
    /// Something else than gateways, or nobody.
    #[error("needs gateways as members: name one or several")]
    Gateways,
    /// A member stands twice.
    #[error("has {0} twice: name it once, with its weight")]
    Twice(NhopKey),
    /// More members than it can have.
    #[error("would have {0} members: the most is {1}")]
    TooMany(usize, usize),
    /// An IPv6 route and an IPv4 member.
    #[error(
        "has the IPv4 gateway {0}: an IPv6 route needs IPv6 gateways (IPv4 routes may have either)"
    )]
    Four(IpAddr),
    /// IPv6 routes and an IPv4 gateway.
    #[error(
        "is used by {routes}, and gateway {1} is IPv4: an IPv6 route needs IPv6 gateways",
        routes = routes(.0, "IPv6 ")
    )]
    Six(u32, IpAddr),
}

fn routes(count: &u32, which: &str) -> String {
    format!("{count} {which}route{}", if *count == 1 { "" } else { "s" })
}

const fn them(count: &u32) -> &'static str {
    if *count == 1 { "it" } else { "them" }
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
