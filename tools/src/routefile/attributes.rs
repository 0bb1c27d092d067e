//! The next hop among the attributes of a BGP path, as MRT tables hold them (RFC 4271 section 4.3, RFC 6396 section 4.3.4).

use super::mrt::Bytes;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// Attribute types.
const NEXT_HOP: u8 = 3;
const MP_REACH_NLRI: u8 = 14;

/// Flag: the length has two bytes.
const EXTENDED: u8 = 0x10;

/// The next hop of a path to a prefix of the family that `is_v4` tells; `None` if the attributes name none.
///
/// # Errors
/// An attribute ends before its length says.
pub(super) fn next_hop(attributes: &[u8], is_v4: bool) -> Result<Option<IpAddr>, String> {
    let mut bytes = Bytes::new(attributes);
    let (mut plain, mut multi) = (None, None);
    while !bytes.is_empty() {
        let (flags, kind) = (bytes.u8()?, bytes.u8()?);
        let length = if flags & EXTENDED == 0 {
            usize::from(bytes.u8()?)
        } else {
            usize::from(bytes.u16()?)
        };
        let value = bytes.take(length)?;
        match kind {
            NEXT_HOP => plain = Some(address(value)?),
            MP_REACH_NLRI => multi = Some(reach(value)?),
            _ => {}
        }
    }
    Ok(if is_v4 { plain.or(multi) } else { multi })
}

/// `MP_REACH_NLRI`: in tables only its next hop's length and the next hop. Some writers leave it whole, with the
/// family before: that begins with a zero byte, which no length of a next hop is.
fn reach(value: &[u8]) -> Result<IpAddr, String> {
    let mut bytes = Bytes::new(value);
    if value.first() == Some(&0) {
        bytes.take(3)?;
    }
    let length = usize::from(bytes.u8()?);
    address(bytes.take(length)?)
}

/// A next hop; of two (global, then link-local) the first.
fn address(value: &[u8]) -> Result<IpAddr, String> {
    let v4 = <[u8; 4]>::try_from(value).map(Ipv4Addr::from);
    if let Ok(v4) = v4 {
        return Ok(v4.into());
    }
    let first = value.get(..16).filter(|_| matches!(value.len(), 16 | 32));
    let v6 = first.and_then(|first| <[u8; 16]>::try_from(first).ok());
    v6.map(|v6| Ipv6Addr::from(v6).into())
        .ok_or_else(|| format!("a next hop of {} bytes: 4, 16 or 32 are right", value.len()))
}
