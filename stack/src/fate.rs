//! Why a packet was dropped: one closed list, one counter each, no "other".
//!
//! Each received frame has exactly one fate (design section 6). A variant here is one of them; the
//! name is FreeBSD's counter where it has one, and the text is what `netstat -s` prints behind the number.

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = ($proto:ident, $name:literal, $text:literal);)+) => {
        /// Why a received frame was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum DropReason { $($(#[doc = $doc])+ $variant,)+ }

        impl DropReason {
            /// Every reason, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The counter's name, FreeBSD's where it has one.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What `netstat -s` prints behind the number.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The counter's name for the packets of one family, where both are counted apart: `ips_noroute`, `ip6s_noroute`.
            pub fn name_in(self, v6: bool) -> String {
                match (self.proto(), v6) {
                    (Proto::Inet, true) => self.name().replacen("ips_", "ip6s_", 1),
                    _ => self.name().to_owned(),
                }
            }

            /// The protocol under which `netstat -s` lists it.
            pub const fn proto(self) -> Proto {
                match self { $(Self::$variant => Proto::$proto,)+ }
            }
        }
    };
}

/// The protocol that a counter belongs to, as `netstat -p` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Proto {
    /// The link layer.
    Ether,
    /// ARP and ND frames on their way to the host.
    Arp,
    /// IPv4 alone.
    Ip,
    /// IPv6 alone.
    Ip6,
    /// IPv4 and IPv6, each counted under its own protocol.
    Inet,
    /// TCP, UDP and ICMP headers.
    Transport,
    /// Flowgate's own queues and tables.
    Flowgate,
}

drop_reasons! {
    /// Shorter than an Ethernet header.
    EtherShort = (Ether, "if_tooshort", "frames shorter than an Ethernet header, or its VLAN tag");
    /// Addressed to another station.
    EtherNotOurs = (Ether, "if_notours", "frames for another station");
    /// An EtherType that is neither IP nor ARP.
    EtherType = (Ether, "if_noproto", "frames of an unknown protocol");
    /// The port is administratively down.
    PortDown = (Ether, "if_down", "packets for or from a port that is down");
    /// The queue of questions to the host is full (design section 2, punt *ask*).
    AskFull = (Arp, "arps_askfull", "ARP/ND frames dropped because the ask queue was full");
    /// The queue of neighbours' answers to the host is full (punt *confirm*).
    ConfirmFull = (Arp, "arps_confirmfull", "ARP/ND frames dropped because the confirm queue was full");
    /// Fewer bytes than an IP header.
    IpShort = (Inet, "ips_tooshort", "packets with data size < data length or < header");
    /// IP version is neither 4 nor 6, or not the one the link announced.
    IpVersion = (Inet, "ips_badvers", "packets with incorrect version number");
    /// IPv4 header length below 5 words or beyond the data.
    IpHeaderLen = (Ip, "ips_badhlen", "packets with header length < data size or > data length");
    /// Total length below the header or beyond the frame.
    IpLen = (Inet, "ips_badlen", "packets with data length < header length or > frame");
    /// Bad IPv4 header checksum.
    IpSum = (Ip, "ips_badsum", "packets with bad header checksum");
    /// A source that no host may use (RFC 1812 §5.3.7, RFC 6890): multicast, broadcast, loopback, 0/8, 240/4.
    IpBadSource = (Inet, "ips_badsrc", "packets with an invalid source address");
    /// A destination that is not forwarded: 0/8, loopback, 240/4, link-local.
    IpBadDest = (Inet, "ips_baddst", "packets with an invalid destination address");
    /// Source is one of our own addresses, but it came in from outside.
    IpOwnSource = (Inet, "ips_ownsrc", "packets from outside with one of our own addresses as source");
    /// Multicast or limited broadcast, which this router does not forward.
    IpMulticast = (Inet, "ips_cantforward", "multicast and broadcast packets not forwardable");
    /// Came in a link broadcast or multicast, yet has a unicast destination (RFC 1812 §5.3.4).
    IpLinkCast = (Inet, "ips_linkcast", "unicast packets in a link broadcast");
    /// No route leads back to its source, or none by the port that it came by (RFC 3704).
    ReversePath = (Inet, "ips_rpf", "packets whose source is not reached by the port that they came by");
    /// IPv4 options, which the operator does not let through.
    IpOptionsRefused = (Ip, "ips_options", "packets with options refused by the operator");
    /// Source route option (RFC 7126: refused).
    IpSourceRoute = (Ip, "ips_sourceroute", "packets with a source route option refused");
    /// Malformed IPv4 options.
    IpOptions = (Ip, "ips_badoptions", "packets with malformed options");
    /// No route to the destination.
    NoRoute = (Inet, "ips_noroute", "packets not forwardable for want of a route");
    /// The route is a blackhole: silently discarded.
    Blackhole = (Inet, "ips_blackhole", "packets discarded by a blackhole route");
    /// The route is a reject route: answered unreachable.
    Reject = (Inet, "ips_reject", "packets refused by a reject route");
    /// Each next hop of the route is dead or drained.
    NoNexthop = (Inet, "ips_nonhop", "packets for which no next hop was alive");
    /// TTL or hop limit used up in transit.
    TtlExpired = (Inet, "ips_ttlexpired", "packets with time to live exceeded");
    /// Too big for the way out, and not to be fragmented.
    TooBig = (Inet, "ips_cantfrag", "packets too big that may not be fragmented");
    /// Fragmentation needed a buffer or a header that was not to be had.
    FragmentFailed = (Ip, "ips_odropped", "packets that could not be fragmented for want of a buffer");
    /// A fragment with an impossible offset or length (beyond 65,535 bytes, or not a multiple of 8).
    FragmentBad = (Inet, "ips_badfrags", "malformed fragments");
    /// A first fragment too small for its transport header (RFC 1858, RFC 7112).
    FragmentTiny = (Inet, "ips_tinyfrags", "first fragments without the transport header");
    /// No room among the fragments that wait for their first piece.
    FragmentFull = (Inet, "ips_fragoverflow", "fragments dropped for want of space");
    /// An IPv6 extension header that is cut short, out of order or one too many.
    Ip6Extension = (Ip6, "ip6s_badoptions", "packets with malformed extension headers");
    /// A packet for us that asks for what is not done here: an option, a routing header; or that has nothing in it.
    Ip6Unknown = (Ip6, "ip6s_unknown", "packets for us with an option or header that we do not know");
    /// A type 0 routing header with segments left (RFC 5095).
    Ip6Routing = (Ip6, "ip6s_rthdr0", "packets with a type 0 routing header");
    /// TCP header cut short or its data offset impossible.
    TcpHeader = (Transport, "tcps_rcvshort", "packets with a TCP header cut short");
    /// UDP (or SCTP, DCCP, UDP-Lite) header cut short.
    UdpHeader = (Transport, "udps_hdrops", "packets with a UDP or SCTP header cut short");
    /// ICMP or ICMPv6 message cut short.
    IcmpHeader = (Transport, "icps_tooshort", "packets with an ICMP message cut short");
    /// Bad ICMP checksum in a message for ourselves.
    IcmpSum = (Transport, "icps_checksum", "ICMP messages for us with a bad checksum");
    /// The queue of local packets to the host is full.
    LocalFull = (Flowgate, "fg_localfull", "packets for our own sockets dropped because the queue was full");
    /// The packet waited for a neighbour and a newer one took its place, or super-packets that wait hold half their buffers.
    HoldFull = (Flowgate, "fg_holdfull", "packets without room to wait for a neighbour");
    /// The neighbour did not answer and no other next hop was alive.
    NeighbourFailed = (Flowgate, "fg_hostdown", "packets whose neighbour did not answer");
    /// No room among the packets that wait for an unknown neighbour.
    NeighbourFull = (Flowgate, "fg_neighfull", "packets dropped because too many neighbours are unresolved");
    /// More new neighbours a second on a port than are asked for.
    NeighbourLimited = (Flowgate, "fg_neighlimited", "packets dropped because too many new neighbours were to be asked for");
    /// The neighbour had not answered when newer ones took its place in the table: it is not asked again.
    NeighbourDisplaced = (Flowgate, "fg_neighdisplaced", "packets whose unanswered neighbour was displaced by newer ones");
    /// The owner's ring was full (design section 2, hand-off).
    HandoffFull = (Flowgate, "fg_handofffull", "packets dropped because the owner's ring was full");
    /// The place where packets of a slot wait that is changing its worker was full (design section 3).
    ParkFull = (Flowgate, "fg_parkfull", "packets dropped because their flows were changing workers and too many waited");
    /// A VLAN tag that no port has: nobody's, or the reserved 4095 (IEEE 802.1Q 9.6).
    UnknownVlan = (Flowgate, "fg_unknownvlan", "frames of a VLAN that no port has");
    /// A second tag behind the first (IEEE 802.1ad): not supported.
    SecondTag = (Flowgate, "fg_secondtag", "frames with a second VLAN tag");
    /// A frame larger than a buffer.
    Oversize = (Flowgate, "fg_oversize", "frames larger than a packet buffer");
    /// All buffers for super-packets are in use: packets wait, for a neighbour or another worker.
    LargeFull = (Flowgate, "fg_superfull", "super-packets dropped because all buffers for them were in use");
    /// A virtio header that makes no sense, or does not fit its packet.
    OffloadBad = (Flowgate, "fg_badoffload", "frames whose virtio header is malformed");
}

/// Number of drop reasons.
pub const DROP_REASONS: usize = DropReason::ALL.len();

/// Why a live flow's pin changed: the closed list of design section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum MoveReason {
    /// Its next hop died.
    Dead,
    /// Its route leads elsewhere: the next hop left the group, or another route covers the destination.
    Policy,
    /// Its next hop was drained and the deadline passed.
    Deadline,
    /// The operator asked for flows to return.
    Failback,
    /// The operator flushed it.
    Flushed,
    /// Its affinity template changed.
    Template,
    /// A new connection on an old tuple.
    Reopened,
}

impl MoveReason {
    /// Every reason, in the order of their counters.
    pub const ALL: [Self; 7] = [
        Self::Dead,
        Self::Policy,
        Self::Deadline,
        Self::Failback,
        Self::Flushed,
        Self::Template,
        Self::Reopened,
    ];

    /// The word that listings and counters use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Policy => "policy",
            Self::Deadline => "deadline",
            Self::Failback => "failback",
            Self::Flushed => "flushed",
            Self::Template => "template",
            Self::Reopened => "reopened",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_name_and_its_index_is_its_place() {
        let mut names = std::collections::HashSet::new();
        for (i, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, i);
            assert!(names.insert(reason.name_in(false)), "{reason:?} twice");
            if reason.proto() == Proto::Inet {
                assert!(names.insert(reason.name_in(true)), "{reason:?} twice");
            }
            assert!(!reason.text().is_empty());
        }
        for (i, reason) in MoveReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, i);
        }
    }
}
