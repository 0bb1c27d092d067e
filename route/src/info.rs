//! What control tells about routes: listings, the effect of a change, how full its tables are.

use crate::ids::{FibId, GroupId, GroupNo, NhopGen, NhopIdx, Pin, PortId, Secs};
use crate::nhgrp::Options;
use crate::nhop::{Admin, Health, NhopKey, NhopKind, Through};
use crate::prefix::Prefix;
use std::net::IpAddr;

/// Which path of a route is meant. What is `None` does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NhopKeyMatch {
    /// Its gateway.
    pub gateway: Option<IpAddr>,
    /// Its port.
    pub port: Option<PortId>,
}

impl NhopKeyMatch {
    /// Whether `key` is meant.
    pub fn matches(&self, key: &NhopKey) -> bool {
        self.gateway
            .is_none_or(|gateway| key.gateway == Some(gateway))
            && self.port.is_none_or(|port| key.port == port)
    }
}

/// A path of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathInfo {
    /// Its next hop.
    pub key: NhopKey,
    /// Its weight in this route; 0 drains it.
    pub weight: u32,
    /// The next hop's slot.
    pub idx: NhopIdx,
    /// The slot's generation.
    pub generation: NhopGen,
    /// What the operator wants of the next hop.
    pub admin: Admin,
    /// Whether the next hop can be reached.
    pub health: Health,
    /// When it leaves this route, if it drains with a deadline.
    pub deadline: Option<Secs>,
    /// Buckets of this route's group that it owns.
    pub buckets: u32,
    /// Largest packet as it was asked for, bytes.
    pub mtu: u32,
    /// Its neighbour.
    pub neigh: u32,
    /// If its next hop is recursive: where packets go at present.
    pub through: Option<Through>,
    /// If it starts slowly: percent of its time, and the seconds left.
    pub start: Option<(u8, u32)>,
}

impl PathInfo {
    /// What flows that chose it are pinned to.
    pub const fn pin(&self) -> Pin {
        Pin::new(self.idx, self.generation)
    }

    /// By which port its packets go.
    pub fn port(&self) -> PortId {
        self.through.map_or(self.key.port, |through| through.port)
    }

    /// The largest packet that goes there now, bytes.
    pub fn mtu_now(&self) -> u32 {
        let there = self.through.map_or(u32::MAX, |through| through.mtu);
        self.mtu.min(there)
    }
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteInfo {
    /// Its destination.
    pub prefix: Prefix,
    /// The group that chooses for it.
    pub group: GroupId,
    /// Buckets of that group.
    pub buckets: u32,
    /// How that group treats flows.
    pub options: Options,
    /// What its first path does.
    pub kind: NhopKind,
    /// Its paths, in the order of their addition.
    pub paths: Vec<PathInfo>,
}

/// What was done to paths of a route: each is a route message of its own, as in FreeBSD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// They are new, and the route too if it had none.
    Added,
    /// They are others than before, or have other weights.
    Changed,
    /// They are gone, and the route with its last one.
    Deleted,
}

/// The effect of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What was done.
    pub kind: ChangeKind,
    /// To which route.
    pub prefix: Prefix,
    /// The paths concerned: as they are now, or as they were if they are gone.
    pub paths: Vec<PathInfo>,
    /// Next hops that ended with this, each with its identity and its neighbour.
    pub removed_nhops: Vec<(NhopIdx, NhopKey, u32)>,
    /// One line that the operator should read.
    pub warning: Option<String>,
}

/// The effect of a change of a group that has a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupChange {
    /// What was done; deleted members of a group that stays are a deletion too.
    pub kind: ChangeKind,
    /// To which group.
    pub number: GroupNo,
    /// Its id.
    pub group: GroupId,
    /// The members concerned: as they are now, or as they were if they are gone.
    pub paths: Vec<PathInfo>,
    /// Next hops that ended with this, each with its identity and its neighbour.
    pub removed_nhops: Vec<(NhopIdx, NhopKey, u32)>,
    /// One line that the operator should read.
    pub warning: Option<String>,
}

/// The effect of a change of a route or of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Of a route.
    Route(Change),
    /// Of a group that has a number.
    Group(GroupChange),
}

impl From<Change> for Changed {
    fn from(change: Change) -> Self {
        Self::Route(change)
    }
}

impl Changed {
    /// What was done.
    pub const fn kind(&self) -> ChangeKind {
        match self {
            Self::Route(change) => change.kind,
            Self::Group(change) => change.kind,
        }
    }

    /// The paths concerned.
    pub fn paths(&self) -> &[PathInfo] {
        match self {
            Self::Route(change) => &change.paths,
            Self::Group(change) => &change.paths,
        }
    }

    /// One line that the operator should read.
    pub fn warning(&self) -> Option<&str> {
        match self {
            Self::Route(change) => change.warning.as_deref(),
            Self::Group(change) => change.warning.as_deref(),
        }
    }

    /// The same, to be written.
    pub const fn warning_mut(&mut self) -> &mut Option<String> {
        match self {
            Self::Route(change) => &mut change.warning,
            Self::Group(change) => &mut change.warning,
        }
    }
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberInfo {
    /// Its path.
    pub path: PathInfo,
    /// Buckets that are its by weight, as its health and orders are, once its slow start is over.
    pub due: u32,
    /// Buckets that remember it as an earlier owner.
    pub remembered: u32,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// Its id.
    pub id: GroupId,
    /// How it treats flows, and its number.
    pub options: Options,
    /// Its buckets.
    pub buckets: u32,
    /// Buckets that it has, or gets with a second member.
    pub size: u32,
    /// Buckets that remember an earlier owner.
    pub remembering: u32,
    /// Most earlier owners that a bucket of it remembers.
    pub depth: u32,
    /// Its warning about members that are due few buckets, if there are such.
    pub warning: Option<String>,
    /// Buckets that have no owner.
    pub ownerless: u32,
    /// Routes that use it.
    pub routes: u32,
    /// Its members.
    pub members: Vec<MemberInfo>,
}

/// Memory that grows with routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteMemory {
    /// What it is.
    pub name: &'static str,
    /// Its bytes.
    pub bytes: u64,
    /// How many routes it is for.
    pub routes: u64,
}

/// How full a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Which table.
    pub name: &'static str,
    /// Of which FIB, if each has one.
    pub fib: FibId,
    /// Entries (or bytes) in use, with those that readers may still look at.
    pub used: u64,
    /// What it can hold.
    pub limit: u64,
    /// The setting that raises the limit.
    pub setting: &'static str,
}
