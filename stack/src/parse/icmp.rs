//! ICMP: queries by their identifier, errors by what they quote.

use super::{Addrs, IpMeta, Role, Tuple, addrs4, be16, be128, proto, walk_extensions};
use crate::fate::DropReason;
use flowtable::L4;

pub(super) fn read_icmp(l4: &[u8], meta: &mut IpMeta, v6: bool) -> Result<(), DropReason> {
    let h = l4.get(..8).ok_or(DropReason::IcmpHeader)?;
    meta.l4 = L4::Icmp;
    let (query, error) = icmp_kind(h[0], v6);
    if query {
        let id = u16::from_be_bytes([h[4], h[5]]);
        (meta.tuple.sport, meta.tuple.dport) = (id, id);
    } else if error
        && let Some(quoted) = read_quote(&l4[8..], v6)
        // An error goes to who sent what it quotes; anything else is somebody's invention.
        && quoted.addrs.src() == meta.addrs.dst()
    {
        meta.tuple = quoted.exchanged();
        meta.role = Role::Quoting;
    }
    Ok(())
}

/// (query or answer with an identifier, error that quotes a packet) by ICMP type (RFC 792, 950, 4443).
fn icmp_kind(kind: u8, v6: bool) -> (bool, bool) {
    if v6 {
        (matches!(kind, 128 | 129), kind < 128)
    } else {
        (
            matches!(kind, 0 | 8 | 13..=18),
            matches!(kind, 3 | 4 | 5 | 11 | 12),
        )
    }
}

/// Whether the ICMP message that starts at `l4` is an error (never to be answered with one, RFC 1122 §3.2.2).
pub fn is_icmp_error(meta: &IpMeta, packet: &[u8]) -> bool {
    let Some(&kind) = packet.get(usize::from(meta.l4_off)) else {
        return false;
    };
    match meta.proto {
        _ if meta.fragment.is_some_and(|f| f.offset != 0) => false,
        proto::ICMP if !meta.addrs.is_v6() => icmp_kind(kind, false).1,
        // RFC 4443 §2.4 (e): redirects are treated like errors.
        proto::ICMP6 if meta.addrs.is_v6() => kind < 128 || kind == 137,
        _ => false,
    }
}

/// The tuple of a quoted packet, or `None` if the quote is cut short: then the error is an ordinary packet.
fn read_quote(b: &[u8], v6: bool) -> Option<Tuple> {
    let mut meta = IpMeta::default();
    if v6 {
        if b.first()? >> 4 != 6 {
            return None;
        }
        meta.addrs = Addrs::V6 {
            src: be128(b, 8)?,
            dst: be128(b, 24)?,
        };
        walk_extensions(b, *b.get(6)?, &mut meta).ok()?;
    } else {
        let header = b.get(..20)?;
        let hlen = usize::from(header[0] & 15) * 4;
        if header[0] >> 4 != 4 || hlen < 20 {
            return None;
        }
        meta.addrs = addrs4(header)?;
        meta.proto = header[9];
        meta.l4_off = hlen as u16;
        if u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0 {
            return None;
        }
    }
    quoted_ports(b, &meta)
}

fn quoted_ports(b: &[u8], meta: &IpMeta) -> Option<Tuple> {
    if meta.fragment.is_some_and(|f| f.offset != 0) {
        return None;
    }
    let (off, v6) = (usize::from(meta.l4_off), meta.addrs.is_v6());
    let (sport, dport) = match meta.proto {
        proto::TCP | proto::UDP | proto::SCTP | proto::DCCP | proto::UDPLITE => {
            (be16(b, off)?, be16(b, off + 2)?)
        }
        proto::ICMP if !v6 => quoted_id(b.get(off..)?, v6)?,
        proto::ICMP6 if v6 => quoted_id(b.get(off..)?, v6)?,
        _ => (0, 0),
    };
    Some(Tuple {
        addrs: meta.addrs,
        sport,
        dport,
        proto: meta.proto,
    })
}

/// The identifier of a quoted ICMP query, as both ports; zeros for any other message.
fn quoted_id(l4: &[u8], v6: bool) -> Option<(u16, u16)> {
    let id = if icmp_kind(*l4.first()?, v6).0 {
        be16(l4, 4)?
    } else {
        0
    };
    Some((id, id))
}
