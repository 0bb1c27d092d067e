//! Flows on the wire: the entries of the flow tables, which of them, and what was counted.

use super::message::CallError;
use super::message::Reason;
use super::route::PathKind;
use super::route::is_first_fib;
use super::route::path_name;
use super::text;
use flowtable::State;
use route::Prefix;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::SocketAddr;

/// Parameters of `FlowList` and `FlowFlush`: which flows. What is left out matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowFilter {
    /// Either end lies in this prefix.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub address: Option<Prefix>,
    /// Either end's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// `tcp`, `udp`, `icmp`, `icmp6` or a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Pinned, in either direction, to the next hop with this gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nexthop: Option<IpAddr>,
    /// Owned by this worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<u16>,
    /// In this state, by its name in a listing; small letters and hyphens do too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// List at most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

impl FlowFilter {
    /// The same with its state in the spelling of a listing: `fin-wait` is `FIN_WAIT`.
    ///
    /// # Errors
    /// `Invalid`, when there is no such state.
    pub fn normal(mut self) -> Result<Self, CallError> {
        if let Some(state) = &self.state {
            let upper = state.to_uppercase().replace('-', "_");
            let mut names = State::ALL.iter().map(|state| state.name());
            if !names.any(|name| name == upper) {
                let names: Vec<_> = State::ALL.iter().map(|state| state.name()).collect();
                let message = format!("no state {state}: the states are {}", names.join(", "));
                return Err(CallError::refused(Reason::Invalid, message));
            }
            self.state = Some(upper);
        }
        Ok(self)
    }
}

/// The next hop that one direction of a flow is pinned to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowNexthop {
    /// What it does.
    pub kind: PathKind,
    /// The neighbour, for a gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// The port's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The next hop's place.
    pub nexthop: u32,
    /// Its generation when the flow was pinned.
    pub generation: u32,
    /// `live`, `gone`, `dead` or `drained`.
    pub state: String,
}

impl FlowNexthop {
    /// How a listing names it.
    pub fn name(&self) -> String {
        path_name(self.kind, self.gateway, self.port.as_deref())
    }
}

/// One direction of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowDirection {
    /// Its pin; absent while nothing went that way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nexthop: Option<FlowNexthop>,
    /// Packets that went that way.
    pub packets: u64,
    /// Their bytes, by the IP length.
    pub bytes: u64,
}

/// A flow: one entry of a flow table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// `tcp`, `udp`, `icmp`, `icmp6` or a number.
    pub protocol: String,
    /// The end that opened it, as far as that is known.
    pub client: SocketAddr,
    /// The other end.
    pub server: SocketAddr,
    /// The connection's state.
    pub state: String,
    /// `probation`, `one_way` or `two_way`: who is evicted first.
    pub class: String,
    /// Milliseconds since its last packet.
    pub idle: u64,
    /// Milliseconds until it expires if nothing comes.
    pub expires: u64,
    /// From the client to the server.
    pub forward: FlowDirection,
    /// From the server to the client.
    pub reverse: FlowDirection,
    /// The worker that owns it.
    pub worker: u16,
    /// Its owner slot.
    pub slot: u16,
    /// The FIB of the port that it came in by.
    #[serde(default, skip_serializing_if = "is_first_fib")]
    pub fib: u8,
    /// Whose idle timeouts it has; absent: the default's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<String>,
    /// What it is besides, 1 to 3; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<u8>,
    /// Its index in the side table of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aux: Option<u32>,
}

/// A page of `FlowList`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flows {
    /// In the tables' order.
    pub flows: Vec<Flow>,
}

/// What `FlowFlush` answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FlowsFlushed {
    /// How many flows lost their entry.
    pub flushed: u64,
}

/// Entries in pin debt by a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDebt {
    /// The group's id.
    pub index: u32,
    /// Its number, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// How many.
    pub entries: u64,
}

/// One flow table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowTable {
    /// `flows-v4` or `flows-v6`.
    pub name: String,
    /// Entries it can hold.
    pub limit: u64,
    /// Entries in it.
    pub used: u64,
    /// The most there ever were.
    pub high_water: u64,
    /// Its memory, bytes.
    pub bytes: u64,
    /// Of these on huge pages.
    pub huge_bytes: u64,
    /// How many buckets hold no entry, one, and so on to 24.
    pub bucket_fill: Vec<u64>,
    /// Entries in their second bucket.
    pub strays: u64,
    /// Entries by how many buckets a lookup of each reads: one, two.
    pub probes: Vec<u64>,
    /// Entries in pin debt: a packet that did not find its entry would not get its pin.
    pub debt: u64,
    /// The same by the group that the pin's route has, of groups with several buckets.
    pub debt_groups: Vec<GroupDebt>,
    /// Counters by name: inserts, refused, evicted, expired, hits, misses and so on.
    pub counters: BTreeMap<String, u64>,
}

/// What `FlowStats` answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FlowStats {
    /// One for each family.
    pub tables: Vec<FlowTable>,
    /// Packets that found no pin to go by, by cause: `cold` (no entry), `expired`, `full` (and no room for one),
    /// `stale_generation` (the next hop is no more), `stale_stamp` (routes near the destination changed).
    pub misses: BTreeMap<String, u64>,
    /// Flows that changed their next hop, by reason.
    pub moved: BTreeMap<String, u64>,
    /// Flows that moved for no reason in the list: always 0.
    pub collateral: u64,
    /// Packets forwarded without a pin.
    pub unpinned_packets: u64,
}
