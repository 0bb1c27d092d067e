//! Before and after a change of a route or a group, the truth: which live flows it moves, and whether they have moved.
//!
//! 1. [`Control::foresee`](super::Control::foresee) takes what control alone knows: a sketch of the routes concerned.
//! 2. [`Foresight`] tries the change out on the sketch, on the thread of who asked.
//! 3. [`Forecast`], told which longer routes are not concerned, goes over the flow tables and judges each pin by the rules of design section 4, as the routes are and
//!    as they would be: what a worker would do with the flow's next packet. A second look gives rates.
//! 4. [`Follow`] takes the flows that were found due and looks them up again, by key, after the change was made.
//!
//! A flow is counted once for each direction that has a pin: each may go its own way. Nothing here writes to a flow, asks
//! a worker or takes control's time.

mod due;
mod follow;
mod forecast;
mod foresee;
mod log;
mod scope;

pub use follow::{Follow, Followed, Obeyed};
pub use forecast::{Forecast, MovePlan};
pub use foresee::{Foresight, GroupOrder, RouteOrder};
pub use log::{LoggedMoves, MoveLog, MoveOf};

use crate::fate::{DropReason, MoveReason};
use route::{GroupNo, NhopKey, Prefix};

/// Flows that are remembered one by one, for rates and to be followed: about 40 bytes each (IPv4; 64 IPv6).
pub const DUE_LIMIT: usize = 1 << 20;

/// Kinds of moves that are told one by one.
const ROWS_LIMIT: usize = 1024;

/// What a change is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A route.
    Route(Prefix),
    /// A group that has a number.
    Group(GroupNo),
    /// A next hop, in all groups.
    Nexthop(NhopKey),
}

impl Subject {
    /// The route's prefix.
    pub const fn prefix(self) -> Option<Prefix> {
        match self {
            Self::Route(prefix) => Some(prefix),
            Self::Group(_) | Self::Nexthop(_) => None,
        }
    }
}

/// Why a flow's next packet does not go where the one before went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MoveWhy {
    /// It goes to another next hop.
    Moved(MoveReason),
    /// It goes nowhere. The pin stays as it is.
    Lost(DropReason),
    /// Its destination is one of our own addresses.
    Local,
}

impl MoveWhy {
    /// The word that listings use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Moved(reason) => reason.name(),
            Self::Lost(DropReason::NoRoute) => "no-route",
            Self::Lost(DropReason::Blackhole) => "blackhole",
            Self::Lost(DropReason::Reject) => "reject",
            Self::Lost(_) => "no-nexthop",
            Self::Local => "local",
        }
    }

    /// Whether the flow has another next hop by it.
    pub const fn moves(self) -> bool {
        matches!(self, Self::Moved(_))
    }
}

/// Flows that move alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveRow {
    /// The next hop that they leave; `None`: it is no more.
    pub from: Option<NhopKey>,
    /// The one that they go to; `None`: they go nowhere.
    pub to: Option<NhopKey>,
    /// Why.
    pub why: MoveWhy,
    /// How many.
    pub flows: u64,
    /// Addresses that opened them.
    pub clients: u64,
    /// Bytes per second, once they were measured.
    pub bytes_per_s: Option<u64>,
}
