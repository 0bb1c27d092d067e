//! Next hops: where a packet goes next, as one slot with one atomic word that says whether it may.
//!
//! - `word`: the word {generation, admin, health} and what a pin reads from it.
//! - `slots`: what workers read: word and attributes of every slot.
//! - `ctl`: control's side: identities, generations, which groups name a next hop, reuse of slots.
//!
//! Equal [`NhopKey`]s share one slot, so killing or draining a next hop is one store however many routes
//! and flows use it. A slot's identity ends when the last group that names it has left.

mod ctl;
mod slots;
mod word;

pub(crate) use ctl::{Nhop, NhopCtl};
pub(crate) use slots::Slots;
pub use slots::{NhopAttrs, NhopRef};
pub use word::{NhopWord, PinState};

use crate::ids::{FibId, NhopGen, NhopIdx, PortId};
use std::fmt;
use std::net::IpAddr;

/// What a next hop does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NhopKind {
    /// Sends it to a router or server.
    Gateway,
    /// Sends it to its destination, which is on-link.
    Iface,
    /// Drops it silently.
    Blackhole,
    /// Drops it and says so.
    Reject,
    /// Delivers it to the host: the destination is an own address.
    Local,
}

impl NhopKind {
    /// Whether several of this kind can share a route.
    pub const fn balances(self) -> bool {
        matches!(self, Self::Gateway)
    }

    /// FreeBSD's word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Iface => "interface",
            Self::Blackhole => "blackhole",
            Self::Reject => "reject",
            Self::Local => "local",
        }
    }
}

/// A next hop's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NhopKey {
    /// What it does.
    pub kind: NhopKind,
    /// By which port. Of a recursive one the routes say that: see [`NhopKey::recursive`].
    pub port: PortId,
    /// To which router or server; its family need not be the route's.
    pub gateway: Option<IpAddr>,
}

impl NhopKey {
    /// A gateway on no network of ours, which the routes of a FIB lead to. They may change: this is who it is all the
    /// same.
    pub const fn recursive(fib: FibId, gateway: IpAddr) -> Self {
        Self {
            kind: NhopKind::Gateway,
            port: PortId::found_in(fib),
            gateway: Some(gateway),
        }
    }

    /// The FIB that resolves it and the address to resolve, if it is recursive.
    pub const fn resolved(&self) -> Option<(FibId, IpAddr)> {
        match (self.port.finder(), self.gateway) {
            (Some(fib), Some(gateway)) => Some((fib, gateway)),
            _ => None,
        }
    }
}

/// What a recursive next hop is resolved to: where its packets go at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Through {
    /// By which port.
    pub port: PortId,
    /// To which neighbour there.
    pub gateway: IpAddr,
    /// Largest packet on that way, bytes.
    pub mtu: u32,
    /// The way ends at an interface, so the neighbour is a gateway that recursive next hops alone know. Otherwise it is
    /// that of another next hop, whose health is what says whether there is a way.
    pub on_link: bool,
    /// Recursive next hops on the way, itself counted.
    pub chain: u8,
}

impl fmt::Display for NhopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.gateway {
            Some(gateway) => write!(f, "gateway {gateway}"),
            None => f.write_str(self.kind.name()),
        }
    }
}

/// One next hop of a route, as it is added or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Which next hop.
    pub key: NhopKey,
    /// Its share of new flows.
    pub weight: u32,
    /// Its neighbour: opaque here, handed to workers.
    pub neigh: u32,
    /// Largest packet, bytes.
    pub mtu: u32,
    /// Of a recursive next hop that is new: where its packets go at first. Without it it begins dead.
    pub through: Option<Through>,
}

/// What the operator wants of a next hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Admin {
    /// Takes flows, old and new.
    #[default]
    In,
    /// Keeps its flows and gets no new ones.
    Draining,
    /// Has none: its drain is over.
    Drained,
}

/// Whether a next hop can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Health {
    /// Yes.
    #[default]
    Up,
    /// No.
    Dead,
    /// Again, since a short while.
    Returning,
}

/// A next hop as listings show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NhopInfo {
    /// Its slot.
    pub idx: NhopIdx,
    /// The slot's generation.
    pub generation: NhopGen,
    /// Its identity.
    pub key: NhopKey,
    /// Its neighbour.
    pub neigh: u32,
    /// Largest packet as it was asked for, bytes.
    pub mtu: u32,
    /// If it is recursive: where its packets go at present.
    pub through: Option<Through>,
    /// What the operator wants of it.
    pub admin: Admin,
    /// Whether it can be reached.
    pub health: Health,
    /// Groups that name it.
    pub groups: usize,
}

impl NhopInfo {
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
