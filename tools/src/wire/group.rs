//! Groups on the wire: next hops that routes share by a number which the operator gave.

use super::options::Options;
use super::route::Path;
use super::route::PathKind;
use super::route::PathSpec;
use super::route::is_first_fib;
use super::text;
use serde::Deserialize;
use serde::Serialize;
use std::net::IpAddr;

/// Parameters of `GroupList`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupsOf {
    /// One group, by its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// One group, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// Groups without a number too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// Parameters of `GroupAdd`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupAdd {
    /// Its number, from 1.
    pub group: u32,
    /// On which FIB's ports gateways are looked for; 0 when left out.
    #[serde(default, skip_serializing_if = "is_first_fib")]
    pub fib: u8,
    /// Its members, or more of them: gateways.
    #[serde(deserialize_with = "text::object::list")]
    pub paths: Vec<PathSpec>,
    /// How it treats flows.
    #[serde(
        default,
        deserialize_with = "text::object::one",
        skip_serializing_if = "Options::is_empty"
    )]
    pub options: Options,
}

/// Parameters of `GroupChange`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupChange {
    /// Its number.
    pub group: u32,
    /// On which FIB's ports gateways are looked for. When left out, members are known by their address, and others looked
    /// for in FIB 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fib: Option<u8>,
    /// Present members only: their weights change. Others: the whole new set. None: its options change alone.
    #[serde(default, deserialize_with = "text::object::list")]
    pub paths: Vec<PathSpec>,
    /// With weight 0: seconds until the flows that are left must move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u32>,
    /// How it treats flows from now on.
    #[serde(
        default,
        deserialize_with = "text::object::one",
        skip_serializing_if = "Options::is_empty"
    )]
    pub options: Options,
}

/// Parameters of `GroupDelete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupDelete {
    /// Its number.
    pub group: u32,
    /// A member; the group when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// The member's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
}

/// What a change of a group did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDone {
    /// Its number.
    pub group: u32,
    /// Its id.
    pub index: u32,
    /// The members concerned.
    pub paths: Vec<Path>,
    /// What the caller should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMember {
    /// Its next hop; its `buckets` are those that it owns.
    pub path: Path,
    /// Buckets that are its by weight, once slow starts are over; none while it is dead or drains.
    pub due: u32,
    /// Buckets that remember it as an earlier owner.
    pub remembered: u32,
}

/// A group as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupState {
    /// Its number, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// Its id.
    pub index: u32,
    /// Its buckets.
    pub buckets: u32,
    /// Buckets that it has, or gets with a second member.
    pub size: u32,
    /// Buckets that nobody owns.
    pub ownerless: u32,
    /// Routes that use it.
    pub routes: u32,
    /// Buckets that remember an earlier owner.
    pub remembering: u32,
    /// Most earlier owners that one of them remembers.
    pub depth: u32,
    /// How it treats flows: `select` always, the others where they are not as by default.
    pub options: Options,
    /// Its members.
    pub members: Vec<GroupMember>,
    /// Who is due so few buckets that its share may be off by more than one percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// A page of `GroupList`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Groups {
    /// Those with a number by that, then the others by their id.
    pub groups: Vec<GroupState>,
}

/// Parameters of `GroupExport`: one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupOf {
    /// The group's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// Or its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
}

/// A next hop of a layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutName {
    /// What it does.
    pub kind: PathKind,
    /// The neighbour, for a gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// The port's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Its weight; absent: it has left, and may return to its buckets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}

/// An earlier owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutLost {
    /// Its place among the names.
    pub name: u16,
    /// Seconds since it lost the bucket, or since unpinned packets last took it.
    pub ago: u32,
}

/// Neighbouring buckets that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutRun {
    /// How many.
    pub buckets: u32,
    /// Who held them, by places among the names: the latest first.
    pub holders: Vec<u16>,
    /// Who owns them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<u16>,
    /// Whom they remember: who lost them first, first.
    pub remembered: Vec<LayoutLost>,
}

/// A page of `GroupExport`: the names are those of the whole group in the first page, and in no other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GroupLayout {
    /// Next hops: members, and behind them who has left and may return.
    pub names: Vec<LayoutName>,
    /// All buckets in order.
    pub runs: Vec<LayoutRun>,
}
