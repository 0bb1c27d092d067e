//! Packets of our own that their way does not take whole: their source may split them, also in IPv6 (RFC 8200 §5).

use super::copy_marks;
use crate::checksum;
use crate::fate::DropReason;
use crate::parse::IpMeta;
use crate::pkt::{Pkt, Pool};

const HEADER: usize = 40;
const FRAGMENT_HEADER: usize = 8;
/// Its number.
const FRAGMENT: u8 = 44;

/// Lets an IPv4 packet of ours be split: DF off, and an identification if it has none, as one that is never split may
/// (RFC 6864 §4.1).
pub(crate) fn let_split(packet: &mut [u8], ident: u16) {
    let Some(front) = packet.first_chunk_mut::<20>() else {
        return;
    };
    let (set, header) = (front[6] & 0x40 != 0, usize::from(front[0] & 15) * 4);
    if set && front[0] >> 4 == 4 {
        front[6] &= !0x40;
        if front[4..6] == [0, 0] {
            front[4..6].copy_from_slice(&ident.to_be_bytes());
        }
        checksum::fill_header(packet, header);
    }
}

/// Splits an IPv6 packet of ours without extension headers into pieces of at most `mtu` bytes, all of them from `pool`, pushed to
/// `out` in order; their number.
///
/// # Errors
/// [`DropReason::FragmentFailed`]: the pool or its buffers are too small, or `mtu` leaves no room. All packets are back in the
/// pool, and `out` is as it was.
pub(crate) fn fragment6(
    whole: Pkt,
    mtu: usize,
    id: u32,
    pool: &mut Pool,
    out: &mut Vec<Pkt>,
) -> Result<usize, DropReason> {
    let base = out.len();
    let done = pieces6(&whole, mtu, id, pool, out);
    pool.put(whole);
    if done.is_none() {
        out.drain(base..).for_each(|pkt| pool.put(pkt));
        return Err(DropReason::FragmentFailed);
    }
    Ok(out.len() - base)
}

fn pieces6(whole: &Pkt, mtu: usize, id: u32, pool: &mut Pool, out: &mut Vec<Pkt>) -> Option<()> {
    let (header, payload) = whole.bytes().split_first_chunk::<HEADER>()?;
    let room = mtu.checked_sub(HEADER + FRAGMENT_HEADER)? / 8 * 8;
    if room == 0 || header[0] >> 4 != 6 {
        return None;
    }
    let mut offset = 0;
    for part in payload.chunks(room) {
        let more = offset + part.len() < payload.len();
        let mut piece = pool.take()?;
        let Some(len) = write(piece.space(), header, part, (offset, more), id) else {
            pool.put(piece);
            return None;
        };
        piece.filled(len);
        copy_marks(whole, &mut piece);
        let meta = whole.meta;
        piece.meta = IpMeta {
            len: len as u16,
            ..meta
        };
        out.push(piece);
        offset += part.len();
    }
    Some(())
}

fn write(
    space: &mut [u8],
    header: &[u8; HEADER],
    part: &[u8],
    (offset, more): (usize, bool),
    id: u32,
) -> Option<usize> {
    let len = HEADER + FRAGMENT_HEADER + part.len();
    let piece = space.get_mut(..len)?;
    let (front, rest) = piece.split_first_chunk_mut::<HEADER>()?;
    let (fragment, body) = rest.split_first_chunk_mut::<FRAGMENT_HEADER>()?;
    *front = *header;
    front[4..6].copy_from_slice(&((len - HEADER) as u16).to_be_bytes());
    front[6] = FRAGMENT;
    *fragment = [header[6], 0, 0, 0, 0, 0, 0, 0];
    let word = offset as u16 | u16::from(more);
    fragment[2..4].copy_from_slice(&word.to_be_bytes());
    fragment[4..].copy_from_slice(&id.to_be_bytes());
    body.copy_from_slice(part);
    Some(len)
}
