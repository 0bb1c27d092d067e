//! TCP, as far as a gateway that sees one or both directions can follow it.
//!
//! ```text
//!        SYN            SYN-ACK            ACK by the opener
//!   ───▶ Syn ─────────▶ SynAck ─────────▶ Established ── FIN ──▶ FinWait ── other FIN ──▶ Closed
//!         └── ACK by the opener (direct return) ──▶ ┘▲
//!   ───▶ Midstream ── a tick later, or both ways ────┘        credible RST, from any state ──▶ Reset
//! ```
//!
//! # What is believed
//!
//! Headers can be forged by anyone who knows the 5-tuple. A segment is *credible* if its sequence number, or
//! its acknowledgement number, lies near the flow's marks: the highest sequence number of each direction,
//! learnt from the segments of that direction and from the acknowledgements of the other. Marks are 16 bits
//! of 64 KiB units, and near means [`NEAR`] units, so a blind guess is right once in 7,000 tries.
//!
//! - A SYN on a live connection changes nothing. After a FIN of its own side, after both FINs or an accepted
//!   RST it opens a new connection; on a flow that has seen only a SYN it is a retransmission.
//! - A RST or FIN that is not credible changes nothing (RFC 5961 §3 goes further: it asks for the exact
//!   number; a gateway sees less than an end). A credible one shortens the lifetime and no more, and if the
//!   connection goes on after a RST, then that was forged after all and the connection is as before.
//! - Until a connection is established there is nothing to protect, and marks follow the opener.

use crate::key::Dir;
use crate::state::{Class, L4, State};
use crate::track::{Dirs, Touch, Track, When};

/// Marks are in units of 2^16 bytes.
const UNIT_SHIFT: u32 = 16;
/// How far from its mark a sequence number is credible, in units (256 KiB). It covers what may be in flight
/// between two segments that we see; more than that only costs a RST or FIN that is not believed.
const NEAR: u16 = 4;

/// Ticks after which a segment of the side that reset the connection shows that it did not. Less could be
/// an older segment overtaken by the RST.
const REVIVED_BY_RESETTER: u32 = 1;
/// The same for the other side, whose segments may have crossed the RST.
const REVIVED_BY_OTHER: u32 = 10;

/// The parts of a TCP header that tracking reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    flags: u8,
    seq: u32,
    /// The sequence number after this segment.
    end: u32,
    ack: u32,
}

impl Segment {
    /// The segment of a packet; of one that is not TCP, an empty one.
    #[inline]
    pub(crate) fn of(l4: &L4) -> Self {
        let L4::Tcp {
            flags,
            seq,
            ack,
            len,
            ..
        } = *l4
        else {
            return Self {
                flags: 0,
                seq: 0,
                end: 0,
                ack: 0,
            };
        };
        // RFC 9293 §3.4: SYN and FIN take a sequence number each.
        let marks = u32::from(flags & L4::SYN != 0) + u32::from(flags & L4::FIN != 0);
        Self {
            flags,
            seq,
            end: seq.wrapping_add(len).wrapping_add(marks),
            ack,
        }
    }

    /// The marks of a connection that knows both after this segment, if that is credible.
    #[inline]
    pub(crate) fn follow_marks(&self, dir: Dir, mut marks: [u16; 2]) -> [u16; 2] {
        let (own, other) = (dir as usize, dir.flip() as usize);
        let acks = self.has(L4::ACK);
        if near(self.seq, marks[own]) || acks && near(self.ack, marks[other]) {
            marks[own] = advanced(marks[own], self.end);
            if acks {
                marks[other] = advanced(marks[other], self.ack);
            }
        }
        marks
    }

    #[inline]
    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    #[inline]
    fn opens(&self) -> bool {
        self.flags & (L4::SYN | L4::ACK | L4::RST | L4::FIN) == L4::SYN
    }
}

/// Whether a segment without SYN and FIN can move the marks of its own and the other side: not if its numbers are in
/// the units that they name, as most are.
#[inline]
pub(crate) fn moves_marks(l4: &L4, own: u16, other: u16) -> bool {
    match *l4 {
        L4::Tcp {
            flags,
            seq,
            ack,
            len,
            ..
        } => unit(seq.wrapping_add(len)) != own || flags & L4::ACK != 0 && unit(ack) != other,
        _ => false,
    }
}

#[inline]
fn unit(number: u32) -> u16 {
    (number >> UNIT_SHIFT) as u16
}

#[inline]
fn near(number: u32, mark: u16) -> bool {
    unit(number).wrapping_sub(mark).wrapping_add(NEAR) <= 2 * NEAR
}

/// A known mark moved on to a number. One just below the mark is an old one; one that is far is vouched for by the
/// segment's other number.
#[inline]
fn advanced(mark: u16, number: u32) -> u16 {
    let old = mark.wrapping_sub(unit(number)) <= NEAR;
    if old { mark } else { unit(number) }
}

impl Track {
    /// The connection that starts, for us, with this segment.
    #[inline(always)]
    pub(crate) fn first_tcp(dir: Dir, segment: &Segment) -> Self {
        let state = if segment.has(L4::RST) {
            State::Reset
        } else if segment.opens() {
            State::Syn
        } else if segment.has(L4::SYN) {
            State::SynAck
        } else if segment.has(L4::FIN) {
            State::FinWait
        } else {
            State::Midstream
        };
        let mut track = Self::blank(state, dir);
        track.learn(dir, segment);
        if state == State::FinWait {
            track.fin = Dirs::of(dir);
        }
        if state == State::SynAck {
            track.opener = dir.flip();
        }
        track
    }

    /// The connection after one more segment.
    pub(crate) fn step_tcp(&mut self, dir: Dir, segment: &Segment, when: When) -> Touch {
        if segment.has(L4::RST) {
            return self.on_rst(dir, segment);
        }
        if segment.opens() {
            return self.on_syn(dir, segment);
        }
        if segment.has(L4::SYN) {
            return self.on_syn_ack(dir, segment);
        }
        match self.state {
            State::Syn | State::SynAck => self.on_handshake(dir, segment, when),
            State::Reset => self.on_revival(dir, segment, when),
            _ if self.credible(dir, segment) => {
                self.follow(dir, segment, when);
                Touch::Used
            }
            // Perhaps we lost track: the connection must not expire for it.
            _ => Touch::Used,
        }
    }

    fn on_syn(&mut self, dir: Dir, segment: &Segment) -> Touch {
        match self.state {
            State::Syn if dir == self.opener => {
                self.learn(dir, segment);
                Touch::Used
            }
            State::FinWait if !self.fin.has(dir) => Touch::Counted,
            State::FinWait | State::Closed | State::Reset => {
                *self = Self::first_tcp(dir, segment);
                Touch::Reopened
            }
            _ => Touch::Counted,
        }
    }

    fn on_syn_ack(&mut self, dir: Dir, segment: &Segment) -> Touch {
        let answers = self.state == State::Syn && dir != self.opener;
        if !answers || !self.acks_known(dir, segment) {
            return Touch::Counted;
        }
        self.learn(dir, segment);
        self.heard = self.heard.with(dir);
        self.state = State::SynAck;
        Touch::Used
    }

    fn on_rst(&mut self, dir: Dir, segment: &Segment) -> Touch {
        // RFC 9293 §3.10.7.3: who has only seen a SYN resets by acknowledging it, with sequence number 0.
        let refuses =
            self.state == State::Syn && dir != self.opener && self.acks_known(dir, segment);
        let in_sequence = self.known.has(dir) && near(segment.seq, self.marks[dir as usize]);
        if self.state == State::Reset || !(refuses || in_sequence) {
            return Touch::Counted;
        }
        self.state = State::Reset;
        self.rst_by = dir;
        Touch::Used
    }

    /// A segment without SYN and RST before the connection is established.
    fn on_handshake(&mut self, dir: Dir, segment: &Segment, when: When) -> Touch {
        let credible = self.credible(dir, segment);
        if dir != self.opener && (self.state == State::Syn || !credible) {
            return Touch::Counted;
        }
        if !segment.has(L4::ACK) {
            return Touch::Counted;
        }
        if !credible {
            // What we knew of it was forged, or of an earlier attempt: the opener knows better.
            self.heard = self.heard.without(dir.flip());
            self.known = Dirs::NONE;
            self.learn(dir, segment);
        }
        self.state = State::Established;
        self.follow(dir, segment, when);
        Touch::Used
    }

    /// A segment after an accepted RST.
    fn on_revival(&mut self, dir: Dir, segment: &Segment, when: When) -> Touch {
        let wait = if dir == self.rst_by {
            REVIVED_BY_RESETTER
        } else {
            REVIVED_BY_OTHER
        };
        if when.idle < wait || !segment.has(L4::ACK) || !self.credible(dir, segment) {
            return Touch::Counted;
        }
        self.state = State::Established;
        self.follow(dir, segment, when);
        Touch::Used
    }

    /// A credible segment of a connection whose handshake is over, or was not seen.
    fn follow(&mut self, dir: Dir, segment: &Segment, when: When) {
        self.advance(dir, segment);
        self.heard = self.heard.with(dir);
        let both = self.heard == Dirs::BOTH;
        if self.state == State::Midstream && (both || when.age >= 1) {
            self.state = State::Established;
        }
        if segment.has(L4::FIN) {
            self.fin = self.fin.with(dir);
        }
        self.state = match self.fin {
            Dirs::BOTH => State::Closed,
            Dirs::NONE => self.state,
            _ => State::FinWait,
        };
        if both {
            self.class = Class::TwoWay;
        } else if when.age >= 1 {
            self.class = self.class.max(Class::OneWay);
        }
    }

    /// Whether the sender of a segment seems to know the connection.
    fn credible(&self, dir: Dir, segment: &Segment) -> bool {
        let in_sequence = self.known.has(dir) && near(segment.seq, self.marks[dir as usize]);
        in_sequence || self.acks_known(dir, segment)
    }

    fn acks_known(&self, dir: Dir, segment: &Segment) -> bool {
        let other = dir.flip();
        segment.has(L4::ACK)
            && self.known.has(other)
            && near(segment.ack, self.marks[other as usize])
    }

    /// Takes a segment's numbers for true.
    #[inline(always)]
    fn learn(&mut self, dir: Dir, segment: &Segment) {
        self.set_mark(dir, segment.end);
        if segment.has(L4::ACK) {
            self.set_mark(dir.flip(), segment.ack);
        }
    }

    /// Moves the marks on to a credible segment's numbers.
    fn advance(&mut self, dir: Dir, segment: &Segment) {
        self.advance_mark(dir, segment.end);
        if segment.has(L4::ACK) {
            self.advance_mark(dir.flip(), segment.ack);
        }
    }

    fn advance_mark(&mut self, dir: Dir, number: u32) {
        if self.known.has(dir) {
            let mark = &mut self.marks[dir as usize];
            *mark = advanced(*mark, number);
        } else {
            self.set_mark(dir, number);
        }
    }

    #[inline(always)]
    fn set_mark(&mut self, dir: Dir, number: u32) {
        self.marks[dir as usize] = unit(number);
        self.known = self.known.with(dir);
    }
}

#[cfg(test)]
#[path = "tcp_tests.rs"]
mod tests;
