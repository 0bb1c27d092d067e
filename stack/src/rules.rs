//! What a port lets through, and what the gateway does for the packets that come by it: the operator's switches.

/// Whether the routes must lead back to a packet's source (RFC 3704).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rpf {
    /// Not asked.
    #[default]
    Off,
    /// By the port that it came by: some member of the source's route leaves there (RFC 3704 §2.2, §2.3).
    Strict,
    /// By any port; a blackhole or a reject is no way (RFC 3704 §2.4).
    Loose,
    /// As [`Self::Loose`], but a default route is no way (RFC 3704 §2.5).
    LooseNoDefault,
}

/// What becomes of a packet with IPv4 options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OptionRule {
    /// Record Route and Timestamp are filled in, the others left alone (RFC 1812 §5.3.13).
    #[default]
    Process,
    /// All are left alone (RFC 7126 calls it "forward as if the packet did not contain the option").
    Ignore,
    /// It is dropped.
    Drop,
}

/// What becomes of a packet with an IPv4 source route. None is obeyed (RFC 7126 §4.3, §4.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceRoutes {
    /// It is dropped without a word.
    #[default]
    Drop,
    /// It is dropped, and its sender told that its source route failed (RFC 1812 §5.2.7.1).
    Refuse,
}

/// What a port tells IPv6 hosts of itself (RFC 4861 §6.2.1); its prefixes are those of its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adverts {
    /// How long hosts may take us for a default router, in seconds; 0: not at all.
    pub lifetime_s: u16,
    /// Most seconds between two that nobody asked for.
    pub interval_s: u16,
}

/// A port's switches. The default is a router's that is careful: everything off that RFC 1812 does not demand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Whether sources are checked.
    pub rpf: Rpf,
    /// Whether a broadcast to a network of this port is sent out by it (RFC 2644).
    pub directed_broadcast: bool,
    /// Whether 240/4 is as good as any other address, for what comes by this port.
    pub class_e: bool,
    /// Whether a host that had a shorter way is told so (RFC 1812 §5.2.7.2, RFC 4861 §8.2).
    pub redirects: bool,
    /// Router advertisements, if hosts there are to have them.
    pub adverts: Option<Adverts>,
    /// What becomes of IPv4 options of packets that come by this port.
    pub options: OptionRule,
    /// What becomes of packets with a source route that come by this port.
    pub source_routes: SourceRoutes,
}
