//! What a monitor sees: routes, groups, next hops and ports that changed.

use super::Admin;
use super::Health;
use super::RouteDone;
use super::is_first_fib;
use crate::wire::group::GroupDone;
use serde::Deserialize;
use serde::Serialize;
use std::net::IpAddr;

/// Something that a monitor is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When: milliseconds since 1970, UTC.
    pub time: u64,
    /// What happened.
    #[serde(flatten)]
    pub news: News,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum News {
    /// Paths were added to a prefix.
    RouteAdded(RouteDone),
    /// A route's paths or weights changed.
    RouteChanged(RouteDone),
    /// Paths, or the whole route, were deleted.
    RouteDeleted(RouteDone),
    /// So many routes were changed as one that each is not told.
    RoutesChanged {
        /// In which FIB; 0 when left out.
        #[serde(default, skip_serializing_if = "is_first_fib")]
        fib: u8,
        /// Prefixes that are new.
        added: u64,
        /// Prefixes that have other paths.
        changed: u64,
        /// Prefixes that are gone.
        deleted: u64,
    },
    /// A group that has a number was made, or has more members.
    GroupAdded(GroupDone),
    /// A group that has a number has other members, weights or options.
    GroupChanged(GroupDone),
    /// A group that has a number, or members of it, are gone.
    GroupDeleted(GroupDone),
    /// A next hop's health or admin state changed.
    Nexthop {
        /// The next hop's place.
        nexthop: u32,
        /// The next hop's name.
        name: String,
        /// Its port.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<String>,
        /// Whether it takes new flows.
        admin: Admin,
        /// Whether it answers.
        health: Health,
        /// Of a recursive one: the neighbour that its packets go to now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        through: Option<IpAddr>,
    },
    /// A port went up or down.
    Port {
        /// The port's name.
        port: String,
        /// Its state now.
        up: bool,
    },
}

impl News {
    /// The FIB in which it happened, if it happened in one.
    pub const fn fib(&self) -> Option<u8> {
        match self {
            Self::RouteAdded(done) | Self::RouteChanged(done) | Self::RouteDeleted(done) => {
                Some(done.fib)
            }
            Self::RoutesChanged { fib, .. } => Some(*fib),
            Self::GroupAdded(_)
            | Self::GroupChanged(_)
            | Self::GroupDeleted(_)
            | Self::Nexthop { .. }
            | Self::Port { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_flat_object() {
        let event = Event {
            time: 5,
            news: News::Port {
                port: "rack".into(),
                up: false,
            },
        };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            text,
            r#"{"time":5,"event":"port","port":"rack","up":false}"#
        );
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}
