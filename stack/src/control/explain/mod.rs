//! `explain`: every decision about one packet with its cause, in the order in which a worker makes them.
//!
//! It asks what workers ask, of the same memory, and writes nothing: no entry is made or used, no template taken, no
//! counter of the packet path counts, nobody is asked for a neighbour. What is pure in the packet path is called here as
//! it is (`ingress`, `parse`, `arpresolve`, `icmp`); what writes there is retraced, and a test in the simulated network
//! holds the two together: explained first, sent then.
//!
//! What only a worker knows of itself it cannot say, and says so: what waits in its collector and its rings, whom its
//! limits refuse, whether a contested place of the flow table goes to this flow.
//!
//! Files: `arrival` (link, `ip_input`, owner), `follow` (the flow, its route, its next hop), `leave` (`ip_output`), `tell`, `tuple`
//! (a packet for a 5-tuple), `words`. Everything on control's thread, for it alone knows which prefix matched and what is
//! called what.

mod arrival;
mod follow;
mod leave;
mod tell;
mod tuple;
mod words;

pub use tuple::{TupleAsk, Turn};

use super::{Control, ControlError};
use crate::fate::DropReason;
use crate::icmp::Error;
use crate::pkt::LinkCast;
use crate::ports::Port;
use crate::time::Now;
use flowtable::SlotNo;
use route::{GroupId, NhopIdx, Pin, PortId, Prefix};

/// The longest packet that is explained, bytes: what a buffer can hold at most.
pub const LONGEST: usize = 65_535 + 14;

/// What the bytes of a packet begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// An Ethernet header.
    Ether,
    /// The IP header.
    Ip,
}

/// A packet to be explained.
#[derive(Clone, Copy, Debug)]
pub struct PacketAsk<'a> {
    /// The port by which it comes in.
    pub port: PortId,
    /// What it begins with.
    pub framing: Framing,
    /// Its bytes.
    pub bytes: &'a [u8],
}

macro_rules! stages {
    ($($(#[doc = $doc:literal])+ $stage:ident = $name:literal,)+) => {
        /// What is decided at a step.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Stage { $($(#[doc = $doc])+ $stage,)+ }

        impl Stage {
            /// Every stage, in the order in which a packet can meet them.
            pub const ALL: &'static [Self] = &[$(Self::$stage,)+];

            /// Its word.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$stage => $name,)+ }
            }
        }
    };
}

stages! {
    /// The port that it comes in by.
    Port = "port",
    /// Its link header.
    Ether = "ether",
    /// `ip_input`: lengths, checksum, the headers behind.
    Ip = "ip",
    /// Its addresses: martians, our own, reverse path.
    Addresses = "addresses",
    /// IPv4 options.
    Options = "options",
    /// Pieces: the collector of its datagram.
    Fragment = "fragment",
    /// The slot and the worker of its flow.
    Owner = "owner",
    /// Whether it may be forwarded at all: TTL, addresses of one link.
    Transit = "transit",
    /// The flow's entry.
    Flow = "flow",
    /// The entry's pin in this direction.
    Pin = "pin",
    /// The FIB.
    Route = "route",
    /// The group's bucket.
    Bucket = "bucket",
    /// Its client's affinity template.
    Template = "template",
    /// The next hop, and why this one.
    Nexthop = "nexthop",
    /// Our own address.
    Local = "local",
    /// A network's broadcast address.
    Broadcast = "broadcast",
    /// Its size against the way out.
    Mtu = "mtu",
    /// The neighbour and its hardware address.
    Neighbour = "neighbour",
    /// Whether its sender is told of a shorter way.
    Redirect = "redirect",
    /// What it leaves with.
    Output = "output",
    /// The answer to its sender.
    Icmp = "icmp",
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was decided.
    pub stage: Stage,
    /// Whether the packet goes on. The last step of one that is dropped is the one that drops it.
    pub goes_on: bool,
    /// What was found, and why.
    pub cause: String,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It is sent on.
    Forward(Way),
    /// It is for our own sockets: the host gets it.
    Deliver,
    /// It is an echo request to us, and becomes its reply.
    Echo,
    /// It is ARP or ND: the host gets it.
    Neighbour,
    /// It waits for its next hop's hardware address, at most 5 s, and starts again at the flow.
    Hold,
    /// A piece that waits for its datagram's first piece, or goes where that went.
    Collect,
    /// It is dropped.
    Drop {
        /// Why.
        reason: DropReason,
        /// What its sender is told, if it is told anything and no limit stands against it.
        answer: Option<Error>,
    },
}

impl Verdict {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forward(_) => "forward",
            Self::Deliver => "deliver",
            Self::Echo => "echo",
            Self::Neighbour => "neighbour",
            Self::Hold => "hold",
            Self::Collect => "collect",
            Self::Drop { .. } => "drop",
        }
    }
}

/// How a packet leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The next hop; none for a broadcast to a network of ours.
    pub nhop: Pin,
    /// The port.
    pub port: PortId,
    /// The Ethernet header in front of it; none on a port of bare IP.
    pub header: Option<[u8; 14]>,
    /// In how many pieces.
    pub pieces: usize,
}

/// What was found on the way to a verdict, for who wants more than words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The owner slot, and the worker that has it.
    pub owner: Option<(SlotNo, usize)>,
    /// The route that covers the destination, its group.
    pub route: Option<(Option<Prefix>, GroupId)>,
    /// The flow's bucket, and of how many.
    pub bucket: Option<(u32, u32)>,
    /// The pin that the flow has in this direction.
    pub pin: Option<Pin>,
    /// The next hop.
    pub nhop: Option<NhopIdx>,
    /// What cannot be said for sure from outside the worker: the verdict may differ.
    pub unsure: bool,
}

/// A packet explained.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The packet in a line.
    pub packet: String,
    /// The port by which it comes in.
    pub port: PortId,
    /// Every decision, in order.
    pub steps: Vec<Step>,
    /// What becomes of it.
    pub verdict: Verdict,
    /// It is IPv6: under which family a drop is counted.
    pub v6: bool,
    /// What was found.
    pub found: Found,
}

impl Control {
    /// Explains a packet that comes in at `now`. `port` must be one of ours.
    ///
    /// # Errors
    /// No such port.
    pub fn explain(&self, ask: &PacketAsk<'_>, now: Now) -> Result<Explanation, ControlError> {
        let port = self.ports.get(ask.port);
        let port = port.ok_or_else(|| self.no_such_port(&format!("port{}", ask.port.0)))?;
        Ok(self.trace(port, ask, now))
    }

    fn trace(&self, port: &Port, ask: &PacketAsk<'_>, now: Now) -> Explanation {
        let mut tracing = Tracing::new(self, port, now);
        let verdict = tracing.arrive(ask);
        Explanation {
            packet: words::packet(ask),
            port: port.id,
            steps: tracing.steps,
            verdict,
            v6: tracing.v6,
            found: tracing.found,
        }
    }
}

/// An explanation under way.
struct Tracing<'c> {
    control: &'c Control,
    port: &'c Port,
    now: Now,
    cast: LinkCast,
    v6: bool,
    steps: Vec<Step>,
    found: Found,
}

impl<'c> Tracing<'c> {
    const fn new(control: &'c Control, port: &'c Port, now: Now) -> Self {
        Self {
            control,
            port,
            now,
            cast: LinkCast::Unicast,
            v6: false,
            steps: Vec::new(),
            found: Found {
                owner: None,
                route: None,
                bucket: None,
                pin: None,
                nhop: None,
                unsure: false,
            },
        }
    }

    /// It goes on.
    fn pass(&mut self, stage: Stage, cause: impl Into<String>) {
        self.steps.push(Step {
            stage,
            goes_on: true,
            cause: cause.into(),
        });
    }

    /// It does not.
    fn stop(&mut self, stage: Stage, cause: impl Into<String>) {
        self.steps.push(Step {
            stage,
            goes_on: false,
            cause: cause.into(),
        });
    }

    /// It is dropped, silently.
    fn drop(&mut self, stage: Stage, reason: DropReason, cause: impl Into<String>) -> Verdict {
        self.stop(stage, cause);
        Verdict::Drop {
            reason,
            answer: None,
        }
    }
}
