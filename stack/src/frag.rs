//! Fragmentation of IPv4 on the forwarding path (RFC 791 §3.2, RFC 1812 §4.2.2.7).
//!
//! [`fragment`] is called by `ip_output` on the worker that owns the flow, with the packet as it is to
//! leave: TTL decremented, no link header. Whether the packet *may* be split (DF) was decided before; IPv6
//! is by its source alone (`own`). Identification, DF, DSCP and ECN of every piece are the packet's own (RFC 6864 §4.1).
//! Nothing allocates as long as `out` has room.

mod own;

pub(crate) use own::{fragment6, let_split};

use crate::checksum;
use crate::fate::DropReason;
use crate::offload::Cut;
use crate::parse::{Fragment, IpMeta};
use crate::pkt::{Pkt, Pool};

/// Longest IPv4 header.
const HEADER_MAX: usize = 60;
/// Offsets count in units of this many bytes.
const UNIT: usize = 8;

/// An IPv4 header on the stack.
struct Header {
    bytes: [u8; HEADER_MAX],
    len: usize,
}

impl Header {
    /// The header that later pieces carry: the fixed part, and the options with the copied flag (RFC 791 §3.1).
    fn for_later_pieces(&self) -> Self {
        let mut later = Self {
            bytes: [0; HEADER_MAX],
            len: 20,
        };
        later.bytes[..20].copy_from_slice(&self.bytes[..20]);
        let mut options = self.bytes.get(20..self.len).unwrap_or_default();
        while let Some((&kind, rest)) = options.split_first() {
            let len = match (kind, rest.first()) {
                (0, _) | (_, None) => break,
                (1, _) => 1,
                (_, Some(&len)) => usize::from(len),
            };
            let Some((option, rest)) = options.split_at_checked(len).filter(|_| len > 0) else {
                break;
            };
            if kind & 0x80 != 0 {
                later.bytes[later.len..later.len + len].copy_from_slice(option);
                later.len += len;
            }
            options = rest;
        }
        // What is left of the last word stays 0: end of option list.
        later.len = later.len.next_multiple_of(4);
        later.bytes[0] = 0x40 | (later.len / 4) as u8;
        later
    }

    /// Writes this header into the front of `piece`, as that of the piece at `offset` (bytes) of the datagram.
    fn write(&self, piece: &mut [u8], offset: usize, more: bool) {
        let total = piece.len() as u16;
        let Some(front) = piece.get_mut(..self.len) else {
            return;
        };
        front.copy_from_slice(&self.bytes[..self.len]);
        let flags = u16::from_be_bytes([front[6], front[7]]) & 0xc000;
        let word = flags | u16::from(more) << 13 | (offset / UNIT) as u16;
        front[2..4].copy_from_slice(&total.to_be_bytes());
        front[6..8].copy_from_slice(&word.to_be_bytes());
        checksum::fill_header(front, self.len);
    }
}

/// How a packet is to be split.
struct Plan {
    first: Header,
    later: Header,
    /// Length of the packet by its header.
    len: usize,
    /// Offset of its payload in the datagram, bytes; not 0 if it is itself a piece.
    offset: usize,
    /// Whether the packet itself has MF.
    more: bool,
    /// Payload of the first piece, and of each later one but the last.
    first_size: usize,
    later_size: usize,
}

/// Splits `pkt` into pieces of at most `mtu` bytes, pushed to `out` in order, and returns their number.
///
/// The first piece is `pkt` itself; the others come from `pool`. Each has the marks and the
/// meta of `pkt`, with its own length, header length and place. A packet that fits goes out as it is.
///
/// # Errors
/// [`DropReason::FragmentFailed`]: the pool or its buffers are too small, `mtu` leaves no room for 8 bytes
/// of payload, or this is no IPv4 packet. All packets are back in the pool, and `out` is as it was.
pub fn fragment(
    mut pkt: Pkt,
    mtu: usize,
    pool: &mut Pool,
    out: &mut Vec<Pkt>,
) -> Result<usize, DropReason> {
    let Some(plan) = plan(pkt.bytes(), mtu) else {
        pool.put(pkt);
        return Err(DropReason::FragmentFailed);
    };
    pkt.truncate(plan.len);
    let base = out.len();
    out.push(pkt);
    if plan.len <= mtu {
        return Ok(1);
    }
    let mut start = plan.first.len + plan.first_size;
    while start < plan.len {
        let end = plan.len.min(start + plan.later_size);
        let Some(piece) = later_piece(&out[base], &plan, start, end, pool) else {
            out.drain(base..).for_each(|pkt| pool.put(pkt));
            return Err(DropReason::FragmentFailed);
        };
        out.push(piece);
        start = end;
    }
    cut_first(&mut out[base], &plan);
    Ok(out.len() - base)
}

/// Cuts a super-packet into segments, and splits those: for a sender that forbids neither, on a way that takes neither. Returns the
/// number of pieces, all of them from `pool`.
///
/// # Errors
/// As [`fragment`].
pub fn fragment_super(
    whole: Pkt,
    mtu: usize,
    pool: &mut Pool,
    out: &mut Vec<Pkt>,
) -> Result<usize, DropReason> {
    let base = out.len();
    let done = fragment_segments(&whole, mtu, pool, out);
    pool.put(whole);
    if done.is_none() {
        out.drain(base..).for_each(|pkt| pool.put(pkt));
        return Err(DropReason::FragmentFailed);
    }
    Ok(out.len() - base)
}

fn fragment_segments(whole: &Pkt, mtu: usize, pool: &mut Pool, out: &mut Vec<Pkt>) -> Option<()> {
    let cut = Cut::of(whole.bytes(), 0, &whole.offload)?;
    for at in 0..cut.count() {
        let mut segment = pool.take()?;
        let Some(len) = cut.write(whole.bytes(), at, segment.space()) else {
            pool.put(segment);
            return None;
        };
        segment.filled(len);
        copy_marks(whole, &mut segment);
        segment.meta = IpMeta {
            len: len as u16,
            ..whole.meta
        };
        fragment(segment, mtu, pool, out).ok()?;
    }
    Some(())
}

fn copy_marks(whole: &Pkt, piece: &mut Pkt) {
    (piece.in_port, piece.cast, piece.origin) = (whole.in_port, whole.cast, whole.origin);
    (piece.collected, piece.deadline_ms) = (whole.collected, whole.deadline_ms);
}

fn plan(bytes: &[u8], mtu: usize) -> Option<Plan> {
    let fixed = bytes.first_chunk::<20>()?;
    let mut first = Header {
        bytes: [0; HEADER_MAX],
        len: usize::from(fixed[0] & 15) * 4,
    };
    let len = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    if fixed[0] >> 4 != 4 || first.len < 20 || len < first.len || len > bytes.len() {
        return None;
    }
    first.bytes[..first.len].copy_from_slice(&bytes[..first.len]);
    let later = first.for_later_pieces();
    let word = u16::from_be_bytes([fixed[6], fixed[7]]);
    let payload = |header: &Header| mtu.saturating_sub(header.len) / UNIT * UNIT;
    let plan = Plan {
        len,
        offset: usize::from(word & 0x1fff) * UNIT,
        more: word & 0x2000 != 0,
        first_size: payload(&first),
        later_size: payload(&later),
        first,
        later,
    };
    // An offset that does not fit its 13 bits any more would be a datagram beyond 65,535 bytes.
    let reach = plan.offset + len - plan.first.len;
    (len <= mtu || (plan.first_size > 0 && reach <= 0xffff)).then_some(plan)
}

/// The piece with bytes `start..end` of `whole`; `None` if the pool is empty or its buffers too small.
fn later_piece(whole: &Pkt, plan: &Plan, start: usize, end: usize, pool: &mut Pool) -> Option<Pkt> {
    let mut piece = pool.take()?;
    let header = plan.later.len;
    let size = header + end - start;
    let Some(space) = piece.space().get_mut(..size) else {
        pool.put(piece);
        return None;
    };
    let offset = plan.offset + start - plan.first.len;
    let more = plan.more || end < plan.len;
    space[header..].copy_from_slice(&whole.bytes()[start..end]);
    plan.later.write(space, offset, more);
    piece.filled(size);
    copy_marks(whole, &mut piece);
    piece.meta = place(&whole.meta, plan, &plan.later, size, offset, more);
    Some(piece)
}

fn cut_first(pkt: &mut Pkt, plan: &Plan) {
    let size = plan.first.len + plan.first_size;
    pkt.truncate(size);
    plan.first.write(pkt.bytes_mut(), plan.offset, true);
    pkt.meta = place(&pkt.meta, plan, &plan.first, size, plan.offset, true);
}

fn place(
    meta: &IpMeta,
    plan: &Plan,
    header: &Header,
    size: usize,
    offset: usize,
    more: bool,
) -> IpMeta {
    let id = u32::from(u16::from_be_bytes([
        plan.first.bytes[4],
        plan.first.bytes[5],
    ]));
    IpMeta {
        len: size as u16,
        l4_off: header.len as u16,
        fragment: Some(Fragment {
            id,
            offset: offset as u16,
            more,
        }),
        ..*meta
    }
}

#[cfg(test)]
mod tests;
