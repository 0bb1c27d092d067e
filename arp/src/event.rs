//! What the table says: events, the fate of a frame, errors, listings.

use std::net::IpAddr;

use thiserror::Error;

use crate::{Mac, NeighIdx, NeighState, PortId};

/// A complete Ethernet frame to send (without padding and FCS: the device's matter).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where it goes out.
    pub port: PortId,
    /// The frame, from its destination MAC on.
    pub bytes: Vec<u8>,
}

/// What control must hear of. `Up` and `Down` are about reserved neighbours (gateways), and
/// only on a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A gateway answered; it never had, or was down.
    Up {
        /// The gateway.
        idx: NeighIdx,
    },
    /// A gateway did not answer `gateway_tries` questions that were really sent, or its port
    /// went down or lost the address that reaches it.
    Down {
        /// The gateway.
        idx: NeighIdx,
    },
    /// A neighbour has another MAC than before. Workers see it in the word already.
    Moved {
        /// The neighbour.
        idx: NeighIdx,
        /// The MAC it had.
        from: Mac,
        /// The MAC it has.
        to: Mac,
    },
    /// Another host uses an address of ours (told once per `defend_ms` and address).
    Conflict {
        /// Where it was heard.
        port: PortId,
        /// The address, ours.
        addr: IpAddr,
        /// Who claims it.
        mac: Mac,
    },
}

/// What became of a frame, and how many events it caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// Taken or ignored.
    pub fate: Fate,
    /// Events that this frame added to those that [`Table::events`](crate::Table::events) gives.
    pub events: usize,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was valid, and about something we know or were asked for.
    Accepted,
    /// Nothing was learned from it, for this reason.
    Ignored(Ignored),
}

/// Why nothing was learned from a frame. Each has a counter in [`ArpStats`](crate::ArpStats).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Ignored {
    /// Neither ARP nor neighbour discovery.
    NotNeighbour,
    /// Shorter than its headers or lengths say.
    Truncated,
    /// ARP's types or address lengths are not Ethernet's and IPv4's, or no IPv6 header.
    BadHeader,
    /// An ARP operation that is neither request nor reply.
    BadOperation,
    /// An IPv6 hop limit other than 255: it crossed a router (RFC 4861 §7.1).
    BadHopLimit,
    /// A wrong ICMPv6 checksum.
    BadChecksum,
    /// An ICMPv6 code other than 0.
    BadCode,
    /// Neighbour discovery options that do not parse.
    BadOption,
    /// Fields that contradict each other (RFC 4861 §7.1.1, §7.1.2).
    BadCombination,
    /// A sender that no host can be: group or zero MAC, group or loopback address.
    BadSender,
    /// A target that no host can be.
    BadTarget,
    /// One of our own frames came back.
    OwnFrame,
    /// The Ethernet destination is another host.
    NotForUs,
    /// No such port in the table.
    UnknownPort,
    /// The port is down.
    PortDown,
    /// The sender's address is not of this link: never learned (a rack's shared service
    /// address, say). A question for an address of ours is answered all the same.
    OffLink,
    /// A question about others by somebody we have nothing to do with.
    NotOurs,
    /// An answer that nobody asked for, about somebody unknown.
    NotAsked,
    /// An advertisement without a link address, about somebody whose MAC we do not know.
    NoLinkAddress,
    /// Another MAC without the override flag (RFC 4861 §7.2.5): doubted, not believed.
    NoOverride,
    /// Another MAC for a neighbour that the operator has set.
    Static,
    /// The sender uses an address of ours; see [`Event::Conflict`].
    Conflict,
    /// A question taught us a neighbour, but there was no room for it (it was answered).
    NoRoom,
    /// A router advertisement, or a solicitation where we do not advertise.
    RouterMessage,
    /// A redirect: a router does not obey them (RFC 4861 §8.2).
    Redirect,
    /// Another MAC for a usable neighbour, while moves are verified: the known one is asked first.
    Claim,
}

impl Ignored {
    /// Every reason, in the order of the counters.
    pub const ALL: [Self; 26] = [
        Self::NotNeighbour,
        Self::Truncated,
        Self::BadHeader,
        Self::BadOperation,
        Self::BadHopLimit,
        Self::BadChecksum,
        Self::BadCode,
        Self::BadOption,
        Self::BadCombination,
        Self::BadSender,
        Self::BadTarget,
        Self::OwnFrame,
        Self::NotForUs,
        Self::UnknownPort,
        Self::PortDown,
        Self::OffLink,
        Self::NotOurs,
        Self::NotAsked,
        Self::NoLinkAddress,
        Self::NoOverride,
        Self::Static,
        Self::Conflict,
        Self::NoRoom,
        Self::RouterMessage,
        Self::Redirect,
        Self::Claim,
    ];

    /// A short name for counters and listings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotNeighbour => "not ARP or ND",
            Self::Truncated => "truncated",
            Self::BadHeader => "bad header",
            Self::BadOperation => "bad operation",
            Self::BadHopLimit => "hop limit not 255",
            Self::BadChecksum => "bad checksum",
            Self::BadCode => "bad code",
            Self::BadOption => "bad option",
            Self::BadCombination => "contradictory fields",
            Self::BadSender => "bad sender",
            Self::BadTarget => "bad target",
            Self::OwnFrame => "own frame",
            Self::NotForUs => "for another host",
            Self::UnknownPort => "unknown port",
            Self::PortDown => "port down",
            Self::OffLink => "sender off-link",
            Self::NotOurs => "about others",
            Self::NotAsked => "unsolicited",
            Self::NoLinkAddress => "no link address",
            Self::NoOverride => "no override",
            Self::Static => "contradicts permanent entry",
            Self::Conflict => "duplicate IP address",
            Self::NoRoom => "no room",
            Self::RouterMessage => "router solicitation or advertisement",
            Self::Redirect => "redirect",
            Self::Claim => "move to be verified",
        }
    }
}

/// Why the table refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NeighError {
    /// No such port has been set.
    #[error("no such port: {0}")]
    UnknownPort(PortId),
    /// The port is down, so nobody can be asked.
    #[error("port {0} is down")]
    PortDown(PortId),
    /// No address of the port has this one on its link.
    #[error("{addr} is not on the link of port {port}")]
    OffLink {
        /// The port.
        port: PortId,
        /// The address.
        addr: IpAddr,
    },
    /// Not the address of one host.
    #[error("{0} is not a unicast address")]
    NotUnicast(IpAddr),
    /// It is ours.
    #[error("{0} is an address of this host")]
    OwnAddress(IpAddr),
    /// Not the MAC of one host.
    #[error("{0} is not a unicast Ethernet address")]
    BadMac(Mac),
    /// The table is full of neighbours that must not be displaced.
    #[error("the neighbour table is full")]
    Full,
    /// The port has as many young unanswered questions as it may.
    #[error("port {0} has too many unanswered neighbours")]
    PortBusy(PortId),
    /// No such neighbour.
    #[error("{0}: no such neighbour")]
    NotFound(IpAddr),
}

/// One line of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its slot.
    pub idx: NeighIdx,
    /// Its port.
    pub port: PortId,
    /// Its address.
    pub addr: IpAddr,
    /// Its MAC, the last one known if it failed; `None` as long as it never was known.
    pub mac: Option<Mac>,
    /// Its state.
    pub state: NeighState,
    /// Milliseconds until it lapses; `None` for one that does not by itself.
    pub expires_ms: Option<u64>,
    /// Set by the operator.
    pub permanent: bool,
    /// We answer questions for it (proxy).
    pub published: bool,
    /// A next hop's gateway.
    pub reserved: bool,
}
