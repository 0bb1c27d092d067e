//! Why control refuses, as the wire has it. FreeBSD's words where the command line prints FreeBSD's line.

use crate::wire::message::CallError;
use crate::wire::message::Reason;
use arp::NeighError;
use route::GroupError;
use route::Prefix;
use route::RouteError;
use stack::ControlError;

/// A refusal of control.
pub(super) fn refused(error: &ControlError) -> CallError {
    let (reason, message) = match error {
        ControlError::Route(error) => of_route(error),
        ControlError::Neighbour(error) => (of_neighbour(error), error.to_string()),
        ControlError::NoPort { .. }
        | ControlError::OffLink { .. }
        | ControlError::NoLinkLocal { .. } => (Reason::Unreachable, error.to_string()),
        ControlError::WhichLink { .. } | ControlError::WhichPath { .. } => {
            (Reason::Ambiguous, error.to_string())
        }
        ControlError::NoHost { .. } => (Reason::Invalid, error.to_string()),
        // FreeBSD's route(8) says this for ESRCH.
        ControlError::NoRoute(_) => (Reason::NotFound, "route has not been found".into()),
        ControlError::NoSuchPort { .. }
        | ControlError::NoSuchNhop(_)
        | ControlError::NoTimeouts { .. } => (Reason::NotFound, error.to_string()),
        ControlError::TimeoutsFull => (Reason::TableFull, error.to_string()),
        ControlError::HostGone => (Reason::Stopping, error.to_string()),
        ControlError::InRoute { prefix, error } => {
            return in_route(*prefix, refused(error));
        }
        ControlError::WorkerBusy(_)
        | ControlError::InBatch { .. }
        | ControlError::TimeoutsEnding { .. } => (Reason::Busy, error.to_string()),
        ControlError::OwnGateway { .. }
        | ControlError::PortOfFib { .. }
        | ControlError::WhichPort(_)
        | ControlError::NotRecursive(_)
        | ControlError::Family { .. }
        | ControlError::Connected { .. }
        | ControlError::NoTarget
        | ControlError::TwiceNamed(_)
        | ControlError::Workers { .. }
        | ControlError::TimeoutsInUse { .. }
        | ControlError::TimeoutsDefault
        | ControlError::Weight(_)
        | ControlError::WeightZero => (Reason::Invalid, error.to_string()),
    };
    CallError::Refused(reason, message)
}

/// A refusal that names the route of a batch which it is about.
pub(super) fn in_route(prefix: Prefix, refusal: CallError) -> CallError {
    match refusal {
        CallError::Refused(reason, line) => CallError::Refused(reason, format!("{prefix}: {line}")),
        other => other,
    }
}

fn of_route(error: &RouteError) -> (Reason, String) {
    match error {
        RouteError::Exists { .. } => (Reason::AlreadyExists, "route already in table".into()),
        RouteError::NotFound { .. } => (Reason::NotFound, "not in table".into()),
        RouteError::NoSuchPath { paths, .. } => (
            Reason::NotFound,
            format!("not in table; the route's paths are {paths}"),
        ),
        RouteError::Ambiguous { .. } => (Reason::Ambiguous, error.to_string()),
        RouteError::Full { .. } => (Reason::TableFull, error.to_string()),
        RouteError::Group(_, what) => (of_group(what), error.to_string()),
        RouteError::NoFib { .. }
        | RouteError::BadBuckets(_)
        | RouteError::FixedBuckets { .. }
        | RouteError::NotSticky { .. }
        | RouteError::BadWeight { .. }
        | RouteError::TooManyMembers { .. }
        | RouteError::Options { .. }
        | RouteError::Kind(..) => (Reason::Invalid, error.to_string()),
    }
}

const fn of_group(error: &GroupError) -> Reason {
    match error {
        GroupError::None | GroupError::NoSuchMember(_) => Reason::NotFound,
        GroupError::Has(_) => Reason::AlreadyExists,
        GroupError::Several(_) => Reason::Ambiguous,
        GroupError::InUse(_)
        | GroupError::Last
        | GroupError::Differs(_)
        | GroupError::Gateways
        | GroupError::Twice(_)
        | GroupError::TooMany(..)
        | GroupError::Four(_)
        | GroupError::Six(..) => Reason::Invalid,
    }
}

/// The reason of a refusal of the neighbour table.
pub(super) fn of_neighbour(error: &NeighError) -> Reason {
    match error {
        NeighError::NotFound(_) => Reason::NotFound,
        NeighError::Full | NeighError::PortBusy(_) => Reason::TableFull,
        NeighError::OffLink { .. } | NeighError::PortDown(_) => Reason::Unreachable,
        NeighError::UnknownPort(_)
        | NeighError::NotUnicast(_)
        | NeighError::OwnAddress(_)
        | NeighError::BadMac(_) => Reason::Invalid,
    }
}
