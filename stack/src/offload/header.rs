//! The virtio network header (`struct virtio_net_hdr`): ten bytes in front of each frame.

use super::segment::transport_len;
use super::{Gso, GsoKind, Offload, Partial};

/// Its length, bytes.
pub const VNET_HDR: usize = 10;

// Its flags and kinds (`linux/virtio_net.h`).
const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// A header that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadHeader;

/// A header's fields, in its order; `hdr_len` is behind `kind`.
struct Fields {
    flags: u8,
    kind: u8,
    size: u16,
    start: u16,
    offset: u16,
}

impl Fields {
    fn read(header: &[u8; VNET_HDR]) -> Self {
        let [flags, kind, _, _, s0, s1, c0, c1, o0, o1] = *header;
        Self {
            flags,
            kind,
            size: u16::from_ne_bytes([s0, s1]),
            start: u16::from_ne_bytes([c0, c1]),
            offset: u16::from_ne_bytes([o0, o1]),
        }
    }

    fn gso(&self) -> Result<Option<Gso>, BadHeader> {
        let kind = match self.kind & !GSO_ECN {
            GSO_NONE if self.kind == GSO_NONE => return Ok(None),
            GSO_TCPV4 => GsoKind::Tcp4,
            GSO_TCPV6 => GsoKind::Tcp6,
            GSO_UDP_L4 => GsoKind::Udp,
            _ => return Err(BadHeader),
        };
        let ecn = self.kind & GSO_ECN != 0;
        if self.size == 0 || (ecn && kind == GsoKind::Udp) {
            return Err(BadHeader);
        }
        Ok(Some(Gso {
            kind,
            size: self.size,
            ecn,
        }))
    }
}

impl Offload {
    /// Reads the header in front of a frame of `len` bytes.
    ///
    /// # Errors
    /// [`BadHeader`]: a flag or kind that nobody agreed on (UFO among them), a super-packet without segment size or with a
    /// finished checksum (virtio 1.2 §5.1.6.2), a checksum field beyond the frame.
    pub fn decode(header: &[u8; VNET_HDR], len: usize) -> Result<Self, BadHeader> {
        if *header == [0; VNET_HDR] {
            return Ok(Self::NONE);
        }
        let fields = Fields::read(header);
        if fields.flags & !(NEEDS_CSUM | DATA_VALID) != 0 {
            return Err(BadHeader);
        }
        let gso = fields.gso()?;
        if fields.flags & NEEDS_CSUM == 0 {
            return if gso.is_none() {
                Ok(Self::NONE)
            } else {
                Err(BadHeader)
            };
        }
        let (start, offset) = (fields.start, fields.offset);
        if usize::from(start) + usize::from(offset) + 2 > len {
            return Err(BadHeader);
        }
        let csum = Some(Partial { start, offset });
        Ok(Self { gso, csum })
    }

    /// Writes the header for `frame`, whose first byte `csum` counts from. `hdr_len` says how much of a super-packet is
    /// headers, which spares the kernel from guessing.
    pub fn encode(&self, frame: &[u8]) -> [u8; VNET_HDR] {
        let Some(csum) = self.csum else {
            return [0; VNET_HDR];
        };
        let (mut kind, mut headers, mut size) = (GSO_NONE, 0, 0);
        if let Some(gso) = self.gso {
            kind = match gso.kind {
                GsoKind::Tcp4 => GSO_TCPV4,
                GsoKind::Tcp6 => GSO_TCPV6,
                GsoKind::Udp => GSO_UDP_L4,
            } | if gso.ecn { GSO_ECN } else { 0 };
            let transport = transport_len(gso.kind, frame, csum.start.into()).unwrap_or(0);
            headers = csum.start.saturating_add(transport as u16);
            size = gso.size;
        }
        let mut header = [0; VNET_HDR];
        (header[0], header[1]) = (NEEDS_CSUM, kind);
        header[2..4].copy_from_slice(&headers.to_ne_bytes());
        header[4..6].copy_from_slice(&size.to_ne_bytes());
        header[6..8].copy_from_slice(&csum.start.to_ne_bytes());
        header[8..].copy_from_slice(&csum.offset.to_ne_bytes());
        header
    }
}
