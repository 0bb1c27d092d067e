//! Cutting a super-packet in software, for a way out that takes finished packets only.
//!
//! Each segment has the headers of the whole with its own lengths, place and checksums (Linux's `tcp_gso_segment` and
//! `__udp_gso_segment` do the same): IPv4's identification counts up, TCP's sequence goes on, FIN and PSH are the last one's,
//! CWR the first one's (RFC 3168 §6.1.2). The pseudo header's sum is corrected by the lengths, not made anew, so that it
//! is right where a routing header's last address is in it.

use super::{GsoKind, Offload, finish};
use crate::checksum::{self, fill_header};

const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

/// Most segments of a super-packet. The kernel's smallest segment has 48 bytes (`TCP_MIN_SND_MSS`), so its own never have more.
pub const MAX_SEGMENTS: usize = 65_535_usize.div_ceil(48);

/// How a super-packet falls into segments. All offsets are from the frame's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    kind: GsoKind,
    v6: bool,
    /// Where the IP header is: the length of the link header.
    l3: usize,
    l4: usize,
    /// Where payload begins.
    headers: usize,
    size: usize,
    len: usize,
}

/// Length of the transport header at `l4`; `None` if it is not there.
pub(super) fn transport_len(kind: GsoKind, frame: &[u8], l4: usize) -> Option<usize> {
    let len = match kind {
        GsoKind::Udp => 8,
        GsoKind::Tcp4 | GsoKind::Tcp6 => usize::from(frame.get(l4 + 12)? >> 4) * 4,
    };
    (l4 + len <= frame.len()).then_some(len)
}

impl Cut {
    /// The plan for `frame`, with a link header of `link` bytes; `None` if it is no super-packet.
    pub fn of(frame: &[u8], link: usize, offload: &Offload) -> Option<Self> {
        let (gso, csum) = offload.gso.zip(offload.csum)?;
        let l4 = usize::from(csum.start);
        let headers = l4 + transport_len(gso.kind, frame, l4)?;
        let v6 = frame.get(link)? >> 4 == 6;
        let least = link + if v6 { 40 } else { 20 };
        (l4 >= least && headers < frame.len() && gso.size > 0).then_some(Self {
            kind: gso.kind,
            v6,
            l3: link,
            l4,
            headers,
            size: usize::from(gso.size),
            len: frame.len(),
        })
    }

    /// How many segments there are.
    pub const fn count(&self) -> usize {
        (self.len - self.headers).div_ceil(self.size)
    }

    /// Writes segment `at` of `frame` to the front of `out`, finished, with its link header, and returns its length.
    /// `None` if it does not fit, or there is no such segment.
    pub fn write(&self, frame: &[u8], at: usize, out: &mut [u8]) -> Option<usize> {
        let from = self.headers + at.checked_mul(self.size)?;
        let to = self.len.min(from + self.size);
        let payload = frame.get(from..to).filter(|part| !part.is_empty())?;
        let len = self.headers + payload.len();
        let out = out.get_mut(..len)?;
        let (headers, rest) = out.split_at_mut_checked(self.headers)?;
        headers.copy_from_slice(frame.get(..self.headers)?);
        rest.copy_from_slice(payload);
        self.write_ip(out.get_mut(self.l3..)?, at)?;
        self.write_transport(out.get_mut(self.l4..)?, at, to == self.len)?;
        Some(len)
    }

    fn write_ip(&self, packet: &mut [u8], at: usize) -> Option<()> {
        let len = packet.len() as u16;
        if self.v6 {
            let field = packet.get_mut(4..6)?;
            field.copy_from_slice(&len.checked_sub(40)?.to_be_bytes());
            return Some(());
        }
        let header = packet.first_chunk_mut::<20>()?;
        let id = u16::from_be_bytes([header[4], header[5]]).wrapping_add(at as u16);
        header[2..4].copy_from_slice(&len.to_be_bytes());
        header[4..6].copy_from_slice(&id.to_be_bytes());
        let hlen = usize::from(header[0] & 15) * 4;
        fill_header(packet, hlen);
        Some(())
    }

    fn write_transport(&self, l4: &mut [u8], at: usize, last: bool) -> Option<()> {
        let (len, whole) = (l4.len() as u16, (self.len - self.l4) as u16);
        let field = match self.kind {
            GsoKind::Udp => {
                l4.get_mut(4..6)?.copy_from_slice(&len.to_be_bytes());
                6
            }
            GsoKind::Tcp4 | GsoKind::Tcp6 => {
                let header = l4.first_chunk_mut::<20>()?;
                let seq = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
                let seq = seq.wrapping_add((at * self.size) as u32);
                header[4..8].copy_from_slice(&seq.to_be_bytes());
                header[13] &= if last { 0xff } else { !FIN_PSH };
                header[13] &= if at == 0 { 0xff } else { !CWR };
                16
            }
        };
        let sum = l4.get_mut(field..field + 2)?;
        let partial = u16::from_be_bytes([sum[0], sum[1]]);
        // The field is a sum, not its complement: the complement of what RFC 1624 adjusts.
        let partial = !checksum::adjust(!partial, whole, len);
        sum.copy_from_slice(&partial.to_be_bytes());
        finish(l4, 0, field);
        Some(())
    }
}
