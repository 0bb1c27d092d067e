//! Whether an offload fits the packet that it came with, asked once the packet has been parsed.

use super::segment::{MAX_SEGMENTS, transport_len};
use super::{Cut, Gso, GsoKind, Offload, Partial};
use crate::parse::{IpMeta, proto};

const SYN_RST: u8 = 0x06;

impl Offload {
    /// What is left to be done of `packet` (an IP packet from its first byte to its last, of which `meta` was read), or
    /// `None` if that makes no sense: a checksum of a piece of a datagram, within the IP header or beyond the packet; a super-packet
    /// of another protocol or family than it says, without payload, of more than [`MAX_SEGMENTS`], or a SYN.
    ///
    /// What would be one segment is no super-packet.
    pub fn fit(&self, meta: &IpMeta, packet: &[u8]) -> Option<Self> {
        let Some(csum) = self.csum else {
            return self.gso.is_none().then_some(*self);
        };
        let (start, offset) = (usize::from(csum.start), usize::from(csum.offset));
        let inside = start >= usize::from(meta.l4_off) && start + offset + 2 <= packet.len();
        if !inside || !offset.is_multiple_of(2) || meta.fragment.is_some() {
            return None;
        }
        match self.gso {
            Some(gso) => Self::fit_super(gso, csum, meta, packet),
            None => Some(*self),
        }
    }

    fn fit_super(gso: Gso, csum: Partial, meta: &IpMeta, packet: &[u8]) -> Option<Self> {
        let (proto, field) = match gso.kind {
            GsoKind::Tcp4 | GsoKind::Tcp6 => (proto::TCP, 16),
            GsoKind::Udp => (proto::UDP, 6),
        };
        let family = match gso.kind {
            GsoKind::Tcp4 => !meta.addrs.is_v6(),
            GsoKind::Tcp6 => meta.addrs.is_v6(),
            GsoKind::Udp => true,
        };
        let place = (csum.start, csum.offset) == (meta.l4_off, field);
        let l4 = usize::from(csum.start);
        let opens = proto == proto::TCP && packet.get(l4 + 13)? & SYN_RST != 0;
        if !family || !place || meta.proto != proto || opens {
            return None;
        }
        let headers = l4 + transport_len(gso.kind, packet, l4)?;
        let many = packet.len() > headers + usize::from(gso.size);
        let whole = Self {
            gso: many.then_some(gso),
            csum: Some(csum),
        };
        let cut = Cut::of(packet, 0, &whole);
        (!many || cut.is_some_and(|cut| cut.count() <= MAX_SEGMENTS)).then_some(whole)
    }

    /// Length of the longest packet that will be on a wire: of a super-packet its first segment. `packet` as for
    /// [`Self::fit`], which it has passed.
    pub fn wire_len(&self, packet: &[u8]) -> usize {
        let Some((gso, csum)) = self.gso.zip(self.csum) else {
            return packet.len();
        };
        let l4 = usize::from(csum.start);
        let transport = transport_len(gso.kind, packet, l4).unwrap_or(0);
        packet.len().min(l4 + transport + usize::from(gso.size))
    }
}
