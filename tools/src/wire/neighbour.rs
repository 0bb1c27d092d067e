//! Neighbours on the wire, both families: ARP's and ND's entries.

use super::route::Family;
use super::text;
use arp::Mac;
use serde::Deserialize;
use serde::Serialize;
use std::net::IpAddr;

/// Parameters of `NeighbourList` and `NeighbourFlush`: which entries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeighbourFilter {
    /// One family only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// One port only, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// One address only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

/// Parameters of `NeighbourSet`: an entry that somebody states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeighbourSet {
    /// The neighbour.
    pub address: IpAddr,
    /// Its link address.
    #[serde(with = "text")]
    pub mac: Mac,
    /// The port; found by the address when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// It expires as a learned one does.
    #[serde(default)]
    pub temporary: bool,
    /// Answer for it (proxy ARP, proxy ND).
    #[serde(default)]
    pub published: bool,
}

/// Parameters of `NeighbourDelete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeighbourDelete {
    /// The neighbour.
    pub address: IpAddr,
    /// The port; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
}

/// The state of an entry, by RFC 4861's names where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NeighbourState {
    /// Asked for, not answered yet.
    Incomplete,
    /// Confirmed lately.
    Reachable,
    /// Known, not confirmed lately.
    Stale,
    /// Known, being asked again.
    Probe,
    /// Asked for in vain.
    Failed,
    /// Stated, does not expire.
    Permanent,
}

/// An entry of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// The neighbour.
    pub address: IpAddr,
    /// The port's name.
    pub port: String,
    /// Its link address, once known.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub mac: Option<Mac>,
    /// The entry's state.
    pub state: NeighbourState,
    /// Milliseconds until it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// The gateway answers for it.
    pub published: bool,
    /// A next hop's gateway: watched for ever, never displaced.
    pub reserved: bool,
}

/// A page of `NeighbourList`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Neighbours {
    /// By port, then address.
    pub neighbours: Vec<Neighbour>,
}

/// What `NeighbourDelete` and `NeighbourFlush` answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Deleted {
    /// The entries that were deleted.
    pub deleted: Vec<Neighbour>,
}
