//! What a device and its other side leave to each other: checksums that are not finished yet, and super-packets, which are
//! many segments of one flow behind one header.
//!
//! An [`Offload`] travels with its packet ([`crate::pkt::PktBuf::offload`]) from the device that it came by to the device
//! that it leaves by; a way out that cannot take it ([`Caps`]) gets finished packets. On the wire between a device and its
//! driver it is the 10 bytes of a virtio network header (virtio 1.2 §5.1.6; `struct virtio_net_hdr` of Linux), in the
//! machine's own byte order, as TUN, TAP and packet sockets have it.
//!
//! Nothing in such a header is believed: [`Offload::decode`] refuses what cannot be, `hdr_len` is not read at all, and
//! whether the rest fits the packet is asked again when the packet has been parsed.

mod fit;
mod header;
#[cfg(test)]
mod header_tests;
mod segment;
#[cfg(test)]
mod tests;

pub use header::{BadHeader, VNET_HDR};
pub use segment::{Cut, MAX_SEGMENTS};

use crate::checksum;

/// What kind of segments a super-packet is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsoKind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP datagrams over either (Linux's UDP GSO, virtio's USO). Not UFO, which makes pieces of one datagram.
    Udp,
}

/// How a super-packet is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gso {
    /// What it is made of.
    pub kind: GsoKind,
    /// Bytes of payload in each segment but the last; never 0.
    pub size: u16,
    /// TCP: CWR is set, for the first segment alone (RFC 3168 §6.1.2).
    pub ecn: bool,
}

/// A transport checksum of which only the pseudo header's part is there: the field holds that sum, not inverted, and what
/// finishes it is the sum of all bytes from `start` to the end of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// Where summing begins (the transport header), from the first byte of what the packet's buffer holds now: a link header
    /// taken off or put in front moves it.
    pub start: u16,
    /// Where the field is, from `start`.
    pub offset: u16,
}

/// What a packet leaves to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// It is a super-packet.
    pub gso: Option<Gso>,
    /// Its transport checksum is not finished.
    pub csum: Option<Partial>,
}

impl Offload {
    /// A finished packet.
    pub const NONE: Self = Self {
        gso: None,
        csum: None,
    };

    /// Whether it is a finished packet.
    pub fn is_none(&self) -> bool {
        self.csum.is_none() && self.gso.is_none()
    }
}

/// Finishes the checksum of `packet`: sums from `start` to its end, the pseudo header's sum in the field included, and writes
/// the result `offset` behind `start`. Zero becomes `0xffff`, as UDP's zero means "none" (RFC 768) and others take either.
pub fn finish(packet: &mut [u8], start: usize, offset: usize) {
    let finished = finished(packet, start);
    if let Some(field) = packet.get_mut(start + offset..start + offset + 2) {
        field.copy_from_slice(&finished.to_be_bytes());
    }
}

/// The checksum that [`finish`] writes.
pub fn finished(packet: &[u8], start: usize) -> u16 {
    match !checksum::sum(packet.get(start..).unwrap_or_default()) {
        0 => 0xffff,
        checksum => checksum,
    }
}

/// What a queue's device takes unfinished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// Checksums.
    pub csum: bool,
    /// TCP over IPv4 in super-packets; these and all others need `csum` too.
    pub tso4: bool,
    /// TCP over IPv6.
    pub tso6: bool,
    /// TCP with CWR set.
    pub ecn: bool,
    /// UDP.
    pub uso: bool,
}

impl Caps {
    /// A device that takes finished packets only.
    pub const NONE: Self = Self {
        csum: false,
        tso4: false,
        tso6: false,
        ecn: false,
        uso: false,
    };

    /// A device that takes whatever there is.
    pub const ALL: Self = Self {
        csum: true,
        tso4: true,
        tso6: true,
        ecn: true,
        uso: true,
    };

    /// What there is, each by a word.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            (self.csum, "csum"),
            (self.tso4, "tso4"),
            (self.tso6, "tso6"),
            (self.ecn, "ecn"),
            (self.uso, "uso"),
        ];
        all.into_iter()
            .filter_map(|(has, word)| has.then_some(word))
    }

    /// Whether a packet may be handed over as it is.
    pub fn takes(&self, offload: &Offload) -> bool {
        let cut = offload.gso.is_none_or(|gso| self.cuts(gso));
        cut && (self.csum || offload.csum.is_none())
    }

    fn cuts(&self, gso: Gso) -> bool {
        let kind = match gso.kind {
            GsoKind::Tcp4 => self.tso4,
            GsoKind::Tcp6 => self.tso6,
            GsoKind::Udp => self.uso,
        };
        kind && (self.ecn || !gso.ecn)
    }
}
