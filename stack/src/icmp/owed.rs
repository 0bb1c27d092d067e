//! Errors owed about packets that `parse::read` refuses.

use super::Error;
use crate::fate::DropReason;
use crate::parse::{Addrs, Fragment, IpMeta, be32, be128, proto};
use crate::rules::{OptionRule, Rules, SourceRoutes};
use std::net::IpAddr;

/// The error owed about a packet that `parse::read` refused for `reason` on a port with these rules, with as much of its meta
/// as can be trusted.
///
/// Malformed IPv4 options point at the option (RFC 1812 §5.2.6 and conformance C38) where options are worked on, a type 0
/// routing header at its type (RFC 5095 §3). Of a source route its sender is told if the port does so. Of a bad piece of an
/// IPv6 datagram it is told if that is for us, as `is_ours` says of its destination (RFC 8200 §4.5). `None`: no error is owed.
/// Ask [`may_answer`](super::may_answer) as for any other.
pub fn owed(
    bytes: &[u8],
    reason: DropReason,
    rules: &Rules,
    is_ours: impl FnOnce(&IpAddr) -> bool,
) -> Option<(Error, IpMeta)> {
    let (pointer, meta) = match reason {
        DropReason::FragmentBad | DropReason::FragmentTiny => {
            let owed = piece6(bytes, reason).filter(|(_, meta)| is_ours(&meta.addrs.dst()));
            return owed.filter(|_| !is_error6(bytes));
        }
        DropReason::IpOptions if rules.options == OptionRule::Process => refused4(bytes)?,
        DropReason::Ip6Routing => refused6(bytes).filter(|_| !is_error6(bytes))?,
        DropReason::IpSourceRoute if rules.source_routes == SourceRoutes::Refuse => {
            return Some((Error::SourceRouteFailed, fixed4(bytes)?));
        }
        _ => return None,
    };
    let pointer = pointer as u32;
    Some((Error::ParamProblem { pointer }, meta))
}

/// What an IPv4 packet's fixed header says.
fn fixed4(bytes: &[u8]) -> Option<IpMeta> {
    let header = bytes.first_chunk::<20>()?;
    let frag = u16::from_be_bytes([header[6], header[7]]);
    let fragment = (frag & 0x3fff != 0).then(|| Fragment {
        id: u32::from(u16::from_be_bytes([header[4], header[5]])),
        offset: (frag & 0x1fff) * 8,
        more: frag & 0x2000 != 0,
    });
    Some(IpMeta {
        addrs: Addrs::V4 {
            src: be32(header, 12)?,
            dst: be32(header, 16)?,
        },
        proto: header[9],
        ttl: header[8],
        l4_off: u16::from(header[0] & 15) * 4,
        len: u16::from_be_bytes([header[2], header[3]]),
        dont_fragment: frag & 0x4000 != 0,
        fragment,
        ..IpMeta::default()
    })
}

/// Offset of the malformed option, and the fixed header's fields.
fn refused4(bytes: &[u8]) -> Option<(usize, IpMeta)> {
    let meta = fixed4(bytes)?;
    let hlen = usize::from(meta.l4_off);
    let options = bytes.get(20..hlen)?;
    let mut at = 0;
    while let Some(&kind) = options.get(at) {
        match (kind, options.get(at + 1)) {
            (0, _) => return None,
            (1, _) => at += 1,
            (_, Some(&len)) if len >= 2 && at + usize::from(len) <= options.len() => {
                at += usize::from(len);
            }
            _ => return Some((20 + at, meta)),
        }
    }
    None
}

/// What an IPv6 packet's fixed header says.
fn fixed6(bytes: &[u8]) -> Option<IpMeta> {
    let header = bytes.first_chunk::<40>().filter(|h| h[0] >> 4 == 6)?;
    Some(IpMeta {
        addrs: Addrs::V6 {
            src: be128(header, 8)?,
            dst: be128(header, 24)?,
        },
        ttl: header[7],
        len: u16::from_be_bytes([header[4], header[5]]).checked_add(40)?,
        dont_fragment: true,
        ..IpMeta::default()
    })
}

/// The first of an IPv6 packet's extension headers of which `is` says so: where it begins, and its first eight bytes.
fn extension(bytes: &[u8], is: impl Fn(u8, &[u8; 8]) -> bool) -> Option<(usize, &[u8; 8])> {
    let (mut next, mut at) = (*bytes.get(6)?, 40);
    while matches!(next, 0 | 60 | 43 | 44) {
        let ext = bytes.get(at..)?.first_chunk::<8>()?;
        if is(next, ext) {
            return Some((at, ext));
        }
        at += match next {
            44 => 8,
            _ => 8 + usize::from(ext[1]) * 8,
        };
        next = ext[0];
    }
    None
}

/// Offset of the routing header's type field, and the fixed header's fields.
fn refused6(bytes: &[u8]) -> Option<(usize, IpMeta)> {
    let meta = fixed6(bytes)?;
    let (at, _) = extension(bytes, |kind, ext| kind == 43 && ext[2] == 0 && ext[3] != 0)?;
    Some((at + 2, meta))
}

/// What is wrong with a piece of an IPv6 datagram (RFC 8200 §4.5), and the fixed header's fields: those of a piece, which must
/// not be known for one, as ICMPv6 answers about later pieces too.
fn piece6(bytes: &[u8], reason: DropReason) -> Option<(Error, IpMeta)> {
    let meta = fixed6(bytes)?;
    if reason == DropReason::FragmentTiny {
        return Some((Error::HeadersCut, meta));
    }
    let (at, ext) = extension(bytes, |kind, _| kind == 44)?;
    let word = u16::from_be_bytes([ext[2], ext[3]]);
    let payload = usize::from(meta.len).checked_sub(at + 8)?;
    // The payload length, or the fragment offset.
    let pointer = if word & 1 != 0 && !payload.is_multiple_of(8) {
        4
    } else if at - 40 + usize::from(word & 0xfff8) + payload > 65_535 {
        at as u32 + 2
    } else {
        return None;
    };
    Some((Error::ParamProblem { pointer }, meta))
}

/// Whether it begins an ICMPv6 error or a redirect, about which none may be sent (RFC 4443 §2.4 (e)).
fn is_error6(bytes: &[u8]) -> bool {
    let (Some(&(mut next)), mut at) = (bytes.get(6), 40) else {
        return false;
    };
    while matches!(next, 0 | 60 | 43 | 44) {
        let Some(ext) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) else {
            return false;
        };
        let later = u16::from_be_bytes([ext[2], ext[3]]) & 0xfff8 != 0;
        at += match next {
            44 if later => return false,
            44 => 8,
            _ => 8 + usize::from(ext[1]) * 8,
        };
        next = ext[0];
    }
    let kind = bytes.get(at).filter(|_| next == proto::ICMP6);
    kind.is_some_and(|kind| *kind < 128 || *kind == 137)
}
