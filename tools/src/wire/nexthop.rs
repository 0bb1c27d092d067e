//! Orders about a next hop, wherever routes name it.

use super::message::CallError;
use super::message::Reason;
use super::moves::MovePlan;
use super::stats::Nexthop;
use serde::Deserialize;
use serde::Serialize;
use std::net::IpAddr;

/// What the operator wants of a next hop, in every route that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NexthopOrder {
    /// It is dead, whatever it answers: its flows move with their next packet.
    Down,
    /// It lives again, if nothing else says that it is dead.
    Up,
    /// It keeps its flows and takes no new ones, until the deadline if there is one.
    Drain,
    /// It takes new flows again.
    In,
}

/// Parameters of `NexthopSet`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NexthopSet {
    /// The next hop's gateway.
    pub gateway: IpAddr,
    /// What is wanted of it.
    pub order: NexthopOrder,
    /// With `drain`: seconds until the flows that are left must move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u32>,
    /// With `drain`: not at all, only say what it would do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plan: bool,
}

impl NexthopSet {
    /// The order, if its parts fit together.
    ///
    /// # Errors
    /// A deadline or a plan without a drain.
    pub fn checked(self) -> Result<Self, CallError> {
        if self.deadline.is_some() && self.order != NexthopOrder::Drain {
            let message = "a deadline goes with drain: it ends one";
            return Err(CallError::refused(Reason::Invalid, message));
        }
        if self.plan && self.order != NexthopOrder::Drain {
            let message = "plan goes with drain: what the other orders do is not foreseen";
            return Err(CallError::refused(Reason::Invalid, message));
        }
        Ok(self)
    }
}

/// The answer of `NexthopSet`: the next hops with that gateway, as they are now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NexthopsSet {
    /// The next hops.
    pub nexthops: Vec<Nexthop>,
    /// What the caller should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// What it would move, if that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<MovePlan>,
}
