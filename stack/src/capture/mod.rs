//! What the gateway keeps of the packets that it has seen: each worker's last drops, always; all of its packets, while
//! somebody asks for them.
//!
//! Both are rings that the worker alone writes ([`Ring`]): fixed memory, no allocation, nobody waited for. Who reads them
//! finds out what was overwritten meanwhile. A packet that goes on costs nothing for the ring of drops, and for that of all
//! packets, while it is off, one load a burst and one test of a register a packet. All of it is read by threads that serve
//! clients; no worker ever wakes anybody for it.

mod ring;

pub use ring::{Frame, Ring, RingWriter};

use crate::fate::DropReason;
use crate::pkt::PktBuf;
use crate::time::Now;
use crate::vlan::{ADDRESSES, TAG};
use route::PortId;
use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, OnceLock};

/// Drops that a worker remembers, and bytes of each.
pub const DROPS: usize = 1024;
/// See [`DROPS`].
pub const DROP_SNAP: usize = 104;

/// Packets in a worker's ring of all packets, and bytes of each.
pub const ALL: usize = 4096;
/// See [`ALL`].
pub const ALL_SNAP: usize = 232;

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Received, and sent on.
    Forward,
    /// Received, for our own sockets.
    Deliver,
    /// Received: an echo request, which was answered.
    Echo,
    /// Received: ARP or ND, for the host.
    Neighbour,
    /// Received, and dropped.
    Drop(DropReason),
    /// Sent: given to the device.
    Sent,
    /// To be sent, and refused by the device.
    Refused,
    /// Begun here, and never sent.
    Lost(DropReason),
}

impl Fate {
    /// The word of listings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Deliver => "deliver",
            Self::Echo => "echo",
            Self::Neighbour => "neighbour",
            Self::Drop(_) => "drop",
            Self::Sent => "sent",
            Self::Refused => "refused",
            Self::Lost(_) => "lost",
        }
    }

    /// Whether it came in; else it was to go out.
    pub const fn is_in(self) -> bool {
        !matches!(self, Self::Sent | Self::Refused | Self::Lost(_))
    }

    /// Why it went no further.
    pub const fn reason(self) -> Option<DropReason> {
        match self {
            Self::Drop(reason) | Self::Lost(reason) => Some(reason),
            _ => None,
        }
    }

    const fn number(self) -> u64 {
        match self {
            Self::Forward => 0,
            Self::Deliver => 1,
            Self::Echo => 2,
            Self::Neighbour => 3,
            Self::Sent => 4,
            Self::Refused => 5,
            Self::Drop(reason) => 6 | (reason as u64) << 8,
            Self::Lost(reason) => 7 | (reason as u64) << 8,
        }
    }

    fn of_number(number: u64) -> Self {
        let reason = DropReason::ALL.get(usize::from((number >> 8) as u8));
        let reason = reason.copied().unwrap_or(DropReason::Oversize);
        match number as u8 {
            0 => Self::Forward,
            1 => Self::Deliver,
            2 => Self::Echo,
            3 => Self::Neighbour,
            4 => Self::Sent,
            5 => Self::Refused,
            6 => Self::Drop(reason),
            _ => Self::Lost(reason),
        }
    }
}

/// A record, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number in its ring.
    pub number: u64,
    /// Whose ring.
    pub worker: usize,
    /// When: the time of the worker's burst.
    pub time: Now,
    /// The port that it came in by, or was to leave by; of one that was lost the port that it was about.
    pub port: PortId,
    /// What became of it.
    pub fate: Fate,
    /// Its length, bytes.
    pub len: usize,
    /// It begins with the IP header, whatever its port's frames begin with.
    pub bare: bool,
    /// Its first bytes.
    pub bytes: Vec<u8>,
    captured: usize,
}

impl Record {
    /// Whether it is IPv6. `ether`: frames of its port begin with an Ethernet header.
    pub fn is_v6(&self, ether: bool) -> bool {
        match ether && !self.bare {
            true => self.bytes.get(12..14) == Some(&[0x86, 0xdd]),
            false => self.bytes.first().is_some_and(|byte| byte >> 4 == 6),
        }
    }
}

const TIME_BITS: u32 = 48;
const _: () = assert!(DropReason::ALL.len() <= 256);

impl Record {
    /// When, and what became of it: {fate 16, ms 48}. Where, and how much: {bare 8, length 24, captured 16, port 16}.
    fn words(
        now: Now,
        port: PortId,
        fate: Fate,
        (bare, captured, len): (bool, usize, usize),
    ) -> [u64; 2] {
        let time = now.0 & ((1 << TIME_BITS) - 1);
        let len = len.min((1 << 24) - 1) as u64;
        [
            time | fate.number() << TIME_BITS,
            u64::from(port.0)
                | (captured as u64 & 0xffff) << 16
                | len << 32
                | u64::from(bare) << 56,
        ]
    }

    fn of_words([when, place]: [u64; 2]) -> Self {
        let captured = usize::from((place >> 16) as u16);
        Self {
            number: 0,
            worker: 0,
            time: Now(when & ((1 << TIME_BITS) - 1)),
            port: PortId(place as u16),
            fate: Fate::of_number(when >> TIME_BITS),
            len: (place >> 32) as usize & ((1 << 24) - 1),
            bare: place >> 56 != 0,
            bytes: Vec::new(),
            captured,
        }
    }
}

/// One worker's rings.
#[derive(Debug)]
pub struct Rings {
    /// Its last drops.
    pub drops: Arc<Ring>,
    all: OnceLock<Arc<Ring>>,
    /// Who asks for all packets: 0 for nobody, else one packet in so many is recorded.
    one_in: AtomicU32,
}

impl Default for Rings {
    fn default() -> Self {
        Self {
            drops: Ring::new(DROPS, DROP_SNAP),
            all: OnceLock::new(),
            one_in: AtomicU32::new(0),
        }
    }
}

impl Rings {
    /// From its next burst on the worker records one packet in so many; 0: none. The ring's memory is made when it is
    /// asked for the first time, and kept.
    pub fn want(&self, one_in: u32) {
        if one_in > 0 {
            self.all.get_or_init(|| Ring::new(ALL, ALL_SNAP));
        }
        self.one_in.store(one_in, Release);
    }

    /// One packet in so many is recorded; 0: none.
    pub fn wanted(&self) -> u32 {
        self.one_in.load(Acquire)
    }

    /// The ring of all packets, once somebody has asked for them.
    pub fn all(&self) -> Option<&Arc<Ring>> {
        self.all.get()
    }
}

/// A worker's hand on its rings.
#[derive(Debug)]
pub(crate) struct Recorder {
    rings: Arc<Rings>,
    drops: RingWriter,
    all: Option<RingWriter>,
    /// One packet in so many; 0: none.
    one_in: u32,
    /// Packets until the next one.
    until: u32,
    now: Now,
}

impl Recorder {
    pub(crate) fn new(rings: Arc<Rings>) -> Self {
        Self {
            drops: RingWriter::new(Arc::clone(&rings.drops)),
            rings,
            all: None,
            one_in: 0,
            until: 0,
            now: Now(0),
        }
    }

    /// A burst begins.
    #[inline]
    pub(crate) fn begin(&mut self, now: Now) {
        self.now = now;
        let wanted = self.rings.wanted();
        if wanted != self.one_in {
            self.switch(wanted);
        }
    }

    #[cold]
    fn switch(&mut self, wanted: u32) {
        self.one_in = wanted;
        self.until = 0;
        if self.all.is_none() {
            self.all = self.rings.all().cloned().map(RingWriter::new);
        }
    }

    /// Whether all packets are asked for.
    #[inline]
    pub(crate) const fn is_on(&self) -> bool {
        self.one_in != 0
    }

    /// A packet was dropped, or one of our own was lost.
    #[cold]
    pub(crate) fn dropped(&mut self, pkt: &PktBuf, reason: DropReason) {
        let fate = match pkt.origin {
            true => Fate::Lost(reason),
            false => Fate::Drop(reason),
        };
        let frame = received(pkt);
        self.drops.write(self.now, pkt.in_port, fate, frame);
        if self.is_on() {
            self.seen(pkt.in_port, fate, frame);
        }
    }

    /// A frame of which nothing is left was dropped.
    #[cold]
    pub(crate) fn dropped_unseen(&mut self, port: PortId, reason: DropReason) {
        let frame = Frame {
            bytes: &[],
            len: 0,
            bare: true,
        };
        self.drops.write(self.now, port, Fate::Drop(reason), frame);
    }

    /// All packets are asked for, and this is one that came in.
    #[cold]
    pub(crate) fn came(&mut self, pkt: &PktBuf, fate: Fate) {
        if !pkt.origin {
            self.seen(pkt.in_port, fate, received(pkt));
        }
    }

    /// The same, of a frame.
    #[cold]
    pub(crate) fn seen(&mut self, port: PortId, fate: Fate, frame: Frame<'_>) {
        if self.until > 0 {
            self.until -= 1;
            return;
        }
        self.until = self.one_in.saturating_sub(1);
        if let Some(all) = &mut self.all {
            all.write(self.now, port, fate, frame);
        }
    }
}

/// A copy of what is kept of a packet that is going to be changed.
pub(crate) struct Copied {
    bytes: [u8; ALL_SNAP],
    captured: usize,
    len: usize,
    bare: bool,
}

impl Copied {
    /// Of a packet that came in.
    #[cold]
    pub(crate) fn of(pkt: &PktBuf) -> Self {
        let all = pkt.received();
        let captured = all.len().min(ALL_SNAP);
        let mut bytes = [0; ALL_SNAP];
        for (to, from) in bytes.iter_mut().zip(all) {
            *to = *from;
        }
        Self {
            bytes,
            captured,
            len: all.len(),
            bare: pkt.stripped,
        }
    }

    /// Of a frame that is sent with a VLAN tag, which is left out.
    #[cold]
    pub(crate) fn untagged(frame: &[u8]) -> Self {
        let (front, behind) = (frame.get(..ADDRESSES), frame.get(ADDRESSES + TAG..));
        let (front, behind) = (front.unwrap_or_default(), behind.unwrap_or_default());
        let mut bytes = [0; ALL_SNAP];
        for (to, from) in bytes.iter_mut().zip(front.iter().chain(behind)) {
            *to = *from;
        }
        let len = front.len() + behind.len();
        Self {
            bytes,
            captured: len.min(ALL_SNAP),
            len,
            bare: false,
        }
    }

    /// What was copied.
    pub(crate) fn frame(&self) -> Frame<'_> {
        Frame {
            bytes: self.bytes.get(..self.captured).unwrap_or_default(),
            len: self.len,
            bare: self.bare,
        }
    }
}

/// A packet with the link header that it came with, if it came with one. What begins here has none yet.
fn received(pkt: &PktBuf) -> Frame<'_> {
    let bytes = pkt.received();
    Frame {
        bytes,
        len: bytes.len(),
        bare: pkt.origin || pkt.stripped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fates_and_places_go_into_two_words_and_come_back() {
        let mut fates = vec![
            Fate::Forward,
            Fate::Deliver,
            Fate::Echo,
            Fate::Neighbour,
            Fate::Sent,
            Fate::Refused,
        ];
        for reason in DropReason::ALL {
            fates.extend([Fate::Drop(*reason), Fate::Lost(*reason)]);
        }
        for fate in fates {
            let (now, port) = (Now((1 << TIME_BITS) - 1), PortId(u16::MAX));
            let record = Record::of_words(Record::words(now, port, fate, (true, 232, 65_549)));
            assert_eq!((record.time, record.port, record.fate), (now, port, fate));
            assert_eq!(
                (record.captured, record.len, record.bare),
                (232, 65_549, true)
            );
        }
    }
}
