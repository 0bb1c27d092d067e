//! Echo: the one ICMP request a router answers on its own (RFC 1812 §4.3.3.6, RFC 4443 §4.2).

use super::TTL;
use crate::checksum;
use crate::fate::DropReason;
use crate::parse::{IpMeta, Role, proto};

/// Turns an echo request for one of our addresses into its reply, in place.
///
/// The addresses are exchanged, type and TTL set, checksums follow by difference; identifier, sequence,
/// payload, IPv4 options, DSCP and IPv4 identification stay; the reserved flag does not. `meta` is that of the request and is stale after.
/// The caller has seen that the destination is a unicast address of ours and the source one host.
///
/// * `Ok(true)`: `packet` is the reply.
/// * `Ok(false)`: not an echo request, a fragment of one, or one with IPv6 extension headers: untouched.
/// * `Err(IcmpSum)`: an echo request with a bad checksum, untouched.
pub fn echo_reply(packet: &mut [u8], meta: &IpMeta) -> Result<bool, DropReason> {
    echo_reply_to(packet, meta, usize::from(meta.len))
}

/// As [`echo_reply`], of a packet that ends at `end`: put together from pieces, one of IPv6 can be longer than [`IpMeta`] says.
pub(crate) fn echo_reply_to(
    packet: &mut [u8],
    meta: &IpMeta,
    end: usize,
) -> Result<bool, DropReason> {
    let v6 = meta.addrs.is_v6();
    let (proto, request, reply) = if v6 {
        (proto::ICMP6, 128, 129)
    } else {
        (proto::ICMP, 8, 0)
    };
    if meta.proto != proto || meta.role != Role::Own || meta.fragment.is_some() {
        return Ok(false);
    }
    let at = usize::from(meta.l4_off);
    let Some(message) = packet.get(at..end) else {
        return Ok(false);
    };
    if message.first() != Some(&request) || (v6 && at != 40) {
        return Ok(false);
    }
    if !checksum::transport_valid(&meta.addrs, proto, message) {
        return Err(DropReason::IcmpSum);
    }
    Ok(exchange_ends(packet, v6) && answer(&mut packet[at..end], reply))
}

/// Sets the type of a whole, valid message. The pseudo header's sum is the same from both ends.
fn answer(message: &mut [u8], reply: u8) -> bool {
    let Some(header) = message.first_chunk_mut::<4>() else {
        return false;
    };
    let old = u16::from_be_bytes([header[0], header[1]]);
    let new = u16::from_be_bytes([reply, header[1]]);
    let mut checksum = checksum::adjust(u16::from_be_bytes([header[2], header[3]]), old, new);
    header[0] = reply;
    // In ICMP without a pseudo header the reply may be all zeros: then the right checksum is the other zero.
    if checksum == 0 {
        [header[2], header[3]] = [0, 0];
        checksum = if message.iter().all(|&b| b == 0) {
            0xffff
        } else {
            0
        };
    }
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    true
}

/// Exchanges source and destination and sets a fresh TTL.
fn exchange_ends(packet: &mut [u8], v6: bool) -> bool {
    let (at, size) = if v6 { (8, 16) } else { (12, 4) };
    let Some(ends) = packet.get_mut(at..at + 2 * size) else {
        return false;
    };
    ends.rotate_left(size);
    if v6 {
        packet[7] = TTL;
    } else {
        checksum::set_ttl(packet, TTL);
        clear_reserved_flag(packet);
    }
    true
}

/// RFC 791 §3.1: "reserved, must be zero", in what we send.
fn clear_reserved_flag(packet: &mut [u8]) {
    let Some(header) = packet.first_chunk_mut::<20>().filter(|h| h[6] & 0x80 != 0) else {
        return;
    };
    let (old, checksum) = (
        u16::from_be_bytes([header[6], header[7]]),
        u16::from_be_bytes([header[10], header[11]]),
    );
    let adjusted = checksum::adjust(checksum, old, old & 0x7fff);
    header[6] &= 0x7f;
    header[10..12].copy_from_slice(&adjusted.to_be_bytes());
}
