//! Which flows a change of a route or a group moves, on the wire: before it is made and after.

use super::group::GroupDone;
use super::message::CallError;
use super::message::parameters;
use super::route::PathKind;
use super::route::RouteDone;
use super::route::is_first_fib;
use super::route::path_name;
use super::text;
use route::Prefix;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;
use std::net::IpAddr;

/// How a change of a route or a group is to be made: parameters of `RouteAdd`, `RouteChange`, `RouteDelete`, `GroupAdd`,
/// `GroupChange` and `GroupDelete` beside what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct How {
    /// Not at all: only say what it would do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plan: bool,
    /// Whether the flows that it moves are looked for and followed; yes when left out.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub truth: bool,
}

const fn yes() -> bool {
    true
}

impl Default for How {
    fn default() -> Self {
        Self {
            plan: false,
            truth: true,
        }
    }
}

impl How {
    /// Takes these parameters out of all that were given.
    ///
    /// # Errors
    /// When one is of the wrong type.
    pub fn take(given: &mut Value) -> Result<Self, CallError> {
        let Some(object) = given.as_object_mut() else {
            return Ok(Self::default());
        };
        let mut own = Map::new();
        for name in ["plan", "truth"] {
            if let Some(value) = object.remove(name) {
                own.insert(name.into(), value);
            }
        }
        parameters(Value::Object(own))
    }
}

/// A change and how it is to be made.
#[derive(Debug, Serialize)]
pub struct Asked<'a, T> {
    /// The change.
    #[serde(flatten)]
    pub ask: &'a T,
    /// How.
    #[serde(flatten)]
    pub how: How,
}

/// A next hop that flows leave or go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveNexthop {
    /// What it does.
    pub kind: PathKind,
    /// The neighbour, for a gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// The port's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
}

impl MoveNexthop {
    /// How a table names it.
    pub fn name(&self) -> String {
        path_name(self.kind, self.gateway, self.port.as_deref())
    }
}

/// Flows that would move alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The next hop that they leave; absent: it is no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<MoveNexthop>,
    /// The one that they go to; absent: they go nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<MoveNexthop>,
    /// `policy`, `dead`, `deadline`; `no-route`, `no-nexthop`, `blackhole`, `reject`, `local`.
    pub reason: String,
    /// How many, each direction by itself.
    pub flows: u64,
    /// Addresses that opened them.
    pub clients: u64,
    /// Their bytes per second.
    pub bytes_per_second: u64,
}

/// What a change would move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovePlan {
    /// Flows that would move at their next packet, each direction by itself.
    pub flows: u64,
    /// Addresses that opened them.
    pub clients: u64,
    /// Their bytes per second.
    pub bytes_per_second: u64,
    /// Flows of which clients and bytes were taken. If fewer than `flows`, clients are a lower bound and bytes a share's.
    pub sampled: u64,
    /// Flows to the same destinations that stay.
    pub staying: u64,
    /// Those of them that the drain's deadline moves, if they live until then.
    #[serde(default)]
    pub at_deadline: u64,
    /// Flows that leave their next hop whatever is done, or have none: it is dead, or was taken away before.
    pub already_due: u64,
    /// Flows of `flows` that are of a kind too many to be told.
    pub unlisted: u64,
    /// By next hops and reason, the most flows first.
    pub moves: Vec<Move>,
    /// The flows of `at_deadline` likewise, as if the deadline were now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deadline_moves: Vec<Move>,
}

/// Flows that were due alike, and what has become of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveState {
    /// The next hop that they leave; absent: it is no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<MoveNexthop>,
    /// The one that they go to; absent: they go nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<MoveNexthop>,
    /// As in [`Move::reason`].
    pub reason: String,
    /// How many were due.
    pub due: u64,
    /// Have another next hop, or had a packet that went nowhere.
    pub moved: u64,
    /// Ended before a packet came.
    pub expired: u64,
    /// Were given their next hop back by a later change.
    pub stayed: u64,
    /// Had no packet yet, or are not followed.
    pub left: u64,
}

/// A change that was made, and what has become of the flows that it was to move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteMoves {
    /// Its number: from 1, of the changes that moved flows.
    pub change: u64,
    /// When: milliseconds since 1970, UTC.
    pub time: u64,
    /// `add`, `change` or `delete`; `deadline`, when a drain came to its end.
    pub order: String,
    /// The prefix, if it was of a route.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub destination: Option<Prefix>,
    /// The group's number, if it was of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// The next hop, if it was of one, in all routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nexthop: Option<MoveNexthop>,
    /// The prefix's FIB.
    #[serde(default, skip_serializing_if = "is_first_fib")]
    pub fib: u8,
    /// Flows that were due, each direction by itself.
    pub due: u64,
    /// Of all [`moves`](Self::moves).
    pub moved: u64,
    /// Likewise.
    pub expired: u64,
    /// Likewise.
    pub stayed: u64,
    /// Likewise.
    pub left: u64,
    /// Flows of `due` that are not followed: there were too many.
    pub unfollowed: u64,
    /// By next hops and reason.
    pub moves: Vec<MoveState>,
}

/// A page of `RouteMoves`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RouteMovesList {
    /// The oldest first.
    pub changes: Vec<RouteMoves>,
}

/// What `RouteAdd`, `RouteChange` and `RouteDelete` answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteChanged {
    /// What was done, or would be.
    #[serde(flatten)]
    pub done: RouteDone,
    /// With `plan`: the flows that would move. Nothing was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<MovePlan>,
    /// The flows that have to move, if any has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves: Option<RouteMoves>,
}

/// What `GroupAdd`, `GroupChange` and `GroupDelete` answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupChanged {
    /// What was done, or would be.
    #[serde(flatten)]
    pub done: GroupDone,
    /// With `plan`: the flows that would move. Nothing was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<MovePlan>,
    /// The flows that have to move, if any has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves: Option<RouteMoves>,
}

/// What a change of a route or a group answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Changed {
    /// Of a route.
    Route(RouteChanged),
    /// Of a group.
    Group(GroupChanged),
}

impl Changed {
    /// With what has become of the flows that it was to move.
    pub fn with_moves(mut self, followed: Option<RouteMoves>) -> Self {
        match &mut self {
            Self::Route(changed) => changed.moves = followed,
            Self::Group(changed) => changed.moves = followed,
        }
        self
    }

    /// With the flows that it would move.
    pub fn with_plan(mut self, foreseen: MovePlan) -> Self {
        match &mut self {
            Self::Route(changed) => changed.plan = Some(foreseen),
            Self::Group(changed) => changed.plan = Some(foreseen),
        }
        self
    }
}

impl From<RouteDone> for Changed {
    fn from(done: RouteDone) -> Self {
        Self::Route(done.into())
    }
}

impl From<GroupDone> for Changed {
    fn from(done: GroupDone) -> Self {
        Self::Group(GroupChanged {
            done,
            plan: None,
            moves: None,
        })
    }
}

impl From<RouteDone> for RouteChanged {
    fn from(done: RouteDone) -> Self {
        Self {
            done,
            plan: None,
            moves: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn how_is_taken_out_of_what_and_may_be_left_out() {
        let take = |mut given: Value| How::take(&mut given).map(|how| (how.plan, how.truth, given));
        let rest = json!({ "destination": "d" });
        let both = json!({ "destination": "d", "plan": true, "truth": false });
        assert_eq!(take(both), Ok((true, false, rest.clone())));
        // Nobody is to be taken at half a word and have made what he wanted foreseen.
        assert!(take(json!({ "destination": "d", "plan": null })).is_err());
        assert_eq!(take(rest.clone()), Ok((false, true, rest)));
        assert_eq!(take(Value::Null), Ok((false, true, Value::Null)));
        let wrong = take(json!({ "plan": "yes" })).unwrap_err();
        assert!(
            matches!(wrong, CallError::InvalidParameter { parameter, .. } if parameter == "plan")
        );
    }

    #[test]
    fn what_is_as_by_default_is_not_said() {
        let ask = json!({ "destination": "d" });
        let said = |plan, truth| {
            let how = How { plan, truth };
            serde_json::to_value(Asked { ask: &ask, how }).unwrap()
        };
        assert_eq!(said(false, true), ask);
        let all = json!({ "destination": "d", "plan": true, "truth": false });
        assert_eq!(said(true, false), all);
    }
}
