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

/// What tracking knows of a connection. Pairs are indexed by [`Dir`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Track {
    pub(crate) state: State,
    pub(crate) class: Class,
    /// The direction of the connection's opener: of its SYN if that or its answer was seen, else of the
    /// first packet.
    pub(crate) opener: Dir,
    /// A credible packet came this way.
    pub(crate) heard: [bool; 2],
    /// TCP: the mark of this direction means something.
    pub(crate) known: [bool; 2],
    /// TCP: a credible FIN came this way.
    pub(crate) fin: [bool; 2],
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

/// The marks of a settled flow (see [`Life::settled_tcp`](crate::entry::Life::settled)) after a packet in the
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
    pub(crate) fn blank(state: State, dir: Dir) -> Self {
        let mut heard = [false; 2];
        heard[dir as usize] = true;
        Self {
            state,
            class: Class::Probation,
            opener: dir,
            heard,
            known: [false; 2],
            fin: [false; 2],
            rst_by: dir,
            marks: [0; 2],
        }
    }

    /// The flow that starts with this packet.
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
        self.heard[dir as usize] = true;
        if self.heard == [true; 2] {
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
