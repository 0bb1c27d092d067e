//! States and classes of flows, and what the table is told of a packet.
//!
//! A *state* follows the transport protocol and decides how long a silent flow is kept
//! ([`Timeouts`](crate::Timeouts)). A *class* says how well a flow has proved to be real, and decides who
//! makes room (design section 5). How a packet changes either is in `track` and `tcp`.

/// What the transport header of a packet says, as far as the table cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L4 {
    /// A TCP segment (RFC 9293).
    Tcp {
        /// Flags as on the wire: FIN 1, SYN 2, RST 4, PSH 8, ACK 16.
        flags: u8,
        /// Sequence number.
        seq: u32,
        /// Acknowledgement number; means nothing without ACK.
        ack: u32,
        /// Window as on the wire, unscaled.
        window: u16,
        /// Bytes of payload.
        len: u32,
    },
    /// UDP, UDP-Lite, DCCP.
    Udp,
    /// An ICMP or ICMPv6 query or reply.
    Icmp,
    /// A packet that can only open a flow, such as SCTP's INIT.
    Opener,
    /// Anything else.
    Other,
}

impl L4 {
    /// FIN as on the wire.
    pub const FIN: u8 = 1;
    /// SYN as on the wire.
    pub const SYN: u8 = 2;
    /// RST as on the wire.
    pub const RST: u8 = 4;
    /// ACK as on the wire.
    pub const ACK: u8 = 16;

    /// Whether only the first packet of a flow looks like this: a TCP SYN without ACK, FIN and RST, or a
    /// packet classified as [`L4::Opener`].
    pub fn opens(&self) -> bool {
        match self {
            Self::Tcp { flags, .. } => {
                flags & (Self::SYN | Self::ACK | Self::RST | Self::FIN) == Self::SYN
            }
            Self::Opener => true,
            _ => false,
        }
    }
}

/// What the table is told of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its transport header.
    pub l4: L4,
    /// Its length by the IP header, bytes.
    pub bytes: u32,
    /// The port that it came in by.
    pub in_port: u8,
}

/// What a packet did to its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Observed {
    /// It belongs to the flow as it was.
    Normal,
    /// It opens a new connection on the old tuple (SYN after FIN or accepted RST): the state starts anew;
    /// the pins are as they were, for the caller to choose again.
    Reopened,
}

macro_rules! states {
    ($($(#[$doc:meta])* $state:ident = $name:literal,)*) => {
        /// How far a flow's connection has come.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum State {
            $($(#[$doc])* $state,)*
        }

        impl State {
            /// Every state, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$state,)*];

            /// The name in listings.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$state => $name,)*
                }
            }
        }
    };
}

states! {
    /// TCP: the opener alone was seen.
    Syn = "SYN",
    /// TCP: the opener was answered.
    SynAck = "SYN_ACK",
    /// TCP: picked up without its opener (it is older than the table), nothing confirmed yet.
    Midstream = "MIDSTREAM",
    /// TCP: open, as far as can be seen.
    Established = "ESTABLISHED",
    /// TCP: one side has closed.
    FinWait = "FIN_WAIT",
    /// TCP: both sides have closed.
    Closed = "CLOSED",
    /// TCP: a RST with a credible sequence number was seen.
    Reset = "RESET",
    /// UDP: one direction seen.
    UdpOneWay = "UDP_ONE_WAY",
    /// UDP: both directions seen.
    UdpTwoWay = "UDP_TWO_WAY",
    /// ICMP query: one direction seen.
    IcmpOneWay = "ICMP_ONE_WAY",
    /// ICMP query: both directions seen.
    IcmpTwoWay = "ICMP_TWO_WAY",
    /// Another protocol: one direction seen.
    OtherOneWay = "OTHER_ONE_WAY",
    /// Another protocol: both directions seen.
    OtherTwoWay = "OTHER_TWO_WAY",
}

impl State {
    /// How many states there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The state of this number; a number that is none reads as the first state.
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self::ALL.get(bits as usize).copied().unwrap_or(Self::Syn)
    }

    /// Whether the connection has ended: only something late may come, or a new one on the same tuple.
    #[inline]
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Closed | Self::Reset)
    }

    /// The same flow once both directions were seen; TCP states stay.
    pub(crate) fn both_ways(self) -> Self {
        match self {
            Self::UdpOneWay => Self::UdpTwoWay,
            Self::IcmpOneWay => Self::IcmpTwoWay,
            Self::OtherOneWay => Self::OtherTwoWay,
            other => other,
        }
    }
}

/// How well a flow has proved to be real; the order is that of eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// Nothing confirmed it: a new flow may have its place.
    Probation,
    /// One side goes on: TCP whose first packet was continued at least a tick later, others with three
    /// packets over a second or more. Direct return never shows more.
    OneWay,
    /// Both sides were seen. Never evicted.
    TwoWay,
}

impl Class {
    /// Every class, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Probation, Self::OneWay, Self::TwoWay];

    /// The name in listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Probation => "probation",
            Self::OneWay => "one_way",
            Self::TwoWay => "two_way",
        }
    }

    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Self {
        match bits {
            1 => Self::OneWay,
            2 => Self::TwoWay,
            _ => Self::Probation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_syn_and_an_opener_open() {
        let tcp = |flags| L4::Tcp {
            flags,
            seq: 0,
            ack: 0,
            window: 0,
            len: 0,
        };
        assert!(tcp(L4::SYN).opens() && tcp(L4::SYN | 0xc0).opens() && L4::Opener.opens());
        for flags in [
            L4::SYN | L4::ACK,
            L4::SYN | L4::RST,
            L4::SYN | L4::FIN,
            L4::ACK,
            0,
        ] {
            assert!(!tcp(flags).opens(), "{flags}");
        }
        assert!(!L4::Udp.opens() && !L4::Icmp.opens() && !L4::Other.opens());
    }

    #[test]
    fn states_and_classes_come_back_from_their_numbers() {
        State::ALL
            .iter()
            .for_each(|s| assert_eq!(State::from_bits(*s as u64), *s));
        Class::ALL
            .iter()
            .for_each(|c| assert_eq!(Class::from_bits(*c as u64), *c));
        assert!(Class::Probation < Class::OneWay && Class::OneWay < Class::TwoWay);
    }
}
