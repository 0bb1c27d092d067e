//! Connection tracking: what a packet changes in a flow's state and class.
//!
//! [`Track`] is the unpacked part of an entry that packets change; [`Track::first`] makes it from the packet
//! that creates the entry, [`Track::step`] moves it on. Both are pure, and tested as tables. TCP is in `tcp`;
//! everything else is here: such a flow has a state for one direction seen and one for both.

use crate::key::Dir;
use crate::state::{Class, L4, Seen, State};
use crate::tcp::Segment;

/// Packets and ticks after which a flow other than TCP is taken for real though it is one-way.
const ONE_WAY_PACKETS: u64 = 3;
const ONE_WAY_TICKS: u32 = 10;

/// Directions of which something is true: forward in bit 0, reverse in bit 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dirs(u8);

impl Dirs {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const BOTH: Self = Self(3);

    /// One alone.
    #[inline]
    pub(crate) fn of(dir: Dir) -> Self {
        Self(1 << dir as u8)
    }

    /// Those with a bit in the lowest two of `bits`.
    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits as u8 & Self::BOTH.0)
    }

    #[inline]
    pub(crate) fn bits(self) -> u64 {
        u64::from(self.0)
    }

    #[inline]
    pub(crate) fn has(self, dir: Dir) -> bool {
        self.0 & Self::of(dir).0 != 0
    }

    #[inline]
    pub(crate) fn with(self, dir: Dir) -> Self {
        Self(self.0 | Self::of(dir).0)
    }

    #[inline]
    pub(crate) fn without(self, dir: Dir) -> Self {
        Self(self.0 & !Self::of(dir).0)
    }
}

/// What tracking knows of a connection. Marks are indexed by [`Dir`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Track {
    pub(crate) state: State,
    pub(crate) class: Class,
    /// The direction of the connection's opener: of its SYN if that or its answer was seen, else of the
    /// first packet.
    pub(crate) opener: Dir,
    /// A credible packet came these ways.
    pub(crate) heard: Dirs,
    /// TCP: the marks of these directions mean something.
    pub(crate) known: Dirs,
    /// TCP: a credible FIN came these ways.
    pub(crate) fin: Dirs,
    /// TCP: the direction of the accepted RST, in state `Reset`.
    pub(crate) rst_by: Dir,
    /// TCP: the highest sequence number of this direction, in units of 64 KiB.
    pub(crate) marks: [u16; 2],
}

/// When a packet comes, from its flow's point of view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct When {
    /// Ticks since the entry's birth, see [`At::age`](crate::entry::At::age).
    pub(crate) age: u32,
    /// Ticks since its last use.
    pub(crate) idle: u32,
    /// Packets of both directions before this one.
    pub(crate) packets: u64,
}

/// How much a packet does to its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    /// It may be forged: it is counted, and nothing else.
    Counted,
    /// It is a use of the flow.
    Used,
    /// It opens a new connection on the old tuple.
    Reopened,
}

/// The marks of a settled flow (see [`Life::settled`](crate::life::Life::settled)) after a packet in the
/// middle: what [`Track::step`] would do to them, which is all that it would do.
#[inline]
pub(crate) fn follow_marks(dir: Dir, seen: &Seen, marks: [u16; 2]) -> [u16; 2] {
    match seen.l4 {
        L4::Tcp { .. } => Segment::of(&seen.l4).follow_marks(dir, marks),
        _ => marks,
    }
}

impl Track {
    /// A flow of which nothing is known but that a packet came this way.
    #[inline(always)]
    pub(crate) fn blank(state: State, dir: Dir) -> Self {
        Self {
            state,
            class: Class::Probation,
            opener: dir,
            heard: Dirs::of(dir),
            known: Dirs::NONE,
            fin: Dirs::NONE,
            rst_by: dir,
            marks: [0; 2],
        }
    }

    /// The flow that starts with this packet.
    #[inline(always)]
    pub(crate) fn first(dir: Dir, seen: &Seen) -> Self {
        match seen.l4 {
            L4::Tcp { .. } => Self::first_tcp(dir, &Segment::of(&seen.l4)),
            L4::Udp => Self::blank(State::UdpOneWay, dir),
            L4::Icmp => Self::blank(State::IcmpOneWay, dir),
            L4::Opener | L4::Other => Self::blank(State::OtherOneWay, dir),
        }
    }

    /// The flow after one more packet.
    pub(crate) fn step(&mut self, dir: Dir, seen: &Seen, when: When) -> Touch {
        if let L4::Tcp { .. } = seen.l4 {
            return self.step_tcp(dir, &Segment::of(&seen.l4), when);
        }
        self.heard = self.heard.with(dir);
        if self.heard == Dirs::BOTH {
            self.state = self.state.both_ways();
            self.class = Class::TwoWay;
        } else if when.packets + 1 >= ONE_WAY_PACKETS && when.age >= ONE_WAY_TICKS {
            self.class = self.class.max(Class::OneWay);
        }
        Touch::Used
    }
}

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;
