//! ICMP errors that the gateway's own sockets have written: which limit they are under, and the marks that all errors have.

use super::Class;
use super::error::TRAFFIC_CLASS;
use crate::checksum;
use crate::parse::{self, IpMeta};

/// The class of an ICMP error that begins here; `None` of any other packet.
pub(crate) fn class_of(packet: &[u8], meta: &IpMeta) -> Option<Class> {
    if !parse::is_icmp_error(meta, packet) {
        return None;
    }
    let kind = *packet.get(usize::from(meta.l4_off))?;
    Some(match (meta.addrs.is_v6(), kind) {
        (false, 11) | (true, 3) => Class::TimeExceeded,
        (false, 12) | (true, 4) => Class::Param,
        (true, 2) => Class::TooBig,
        _ => Class::Unreachable,
    })
}

/// Marks an error as those are that a worker sends: internetwork control (RFC 1812 §4.3.2.5), to be split where it must.
pub(crate) fn mark(packet: &mut [u8], ident: u16) {
    let Some(front) = packet.first_chunk_mut::<20>() else {
        return;
    };
    if front[0] >> 4 == 6 {
        front[0] = 0x60 | TRAFFIC_CLASS >> 4;
        front[1] = front[1] & 0x0f | TRAFFIC_CLASS << 4;
        return;
    }
    front[1] = TRAFFIC_CLASS;
    front[4..6].copy_from_slice(&ident.to_be_bytes());
    front[6..8].fill(0);
    let header = usize::from(front[0] & 15) * 4;
    checksum::fill_header(packet, header);
}
