//! What `capture` sees of a packet: its headers as far as they were kept, which filter wants it, and a line for it.

mod filter;
mod line;

pub use filter::Filter;
pub use line::clock;
pub use line::line;

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// Bytes of an Ethernet header, and of a VLAN tag behind it.
const ETHER: usize = 14;
const VLAN: usize = 4;
/// What a tag begins with: one of IEEE 802.1Q, one of 802.1ad.
const CUSTOMER: u16 = 0x8100;
const PROVIDER: u16 = 0x88a8;
/// Tags that are read: a service provider's and a customer's.
const TAGS: usize = 2;

/// The headers of a packet, as far as they are there. Nothing is checked: a packet that was dropped may be wrong anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Headers {
    /// What the link header says follows; of bare IP what its first byte says.
    pub ethertype: u16,
    /// The addresses of an IP packet.
    pub ends: Option<(IpAddr, IpAddr)>,
    /// Its transport protocol.
    pub protocol: Option<u8>,
    /// Source and destination port of TCP, UDP, SCTP.
    pub ports: Option<(u16, u16)>,
    /// TCP's flags.
    pub flags: Option<u8>,
    /// The type and code of an ICMP message.
    pub icmp: Option<(u8, u8)>,
    /// Whether it is a piece of a datagram but the first.
    pub piece: bool,
    /// Its VLAN tags, the outer one first.
    pub vlans: [Option<Tag>; TAGS],
}

/// A VLAN tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// Whether it is a service provider's (IEEE 802.1ad, 0x88a8); else one of IEEE 802.1Q.
    pub provider: bool,
    /// The VLAN; 0 is priority alone.
    pub vid: u16,
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Reads what is there. `ether`: the bytes begin with an Ethernet header.
pub fn headers(bytes: &[u8], ether: bool) -> Headers {
    if !ether {
        let ethertype = match bytes.first().map(|first| first >> 4) {
            Some(4) => 0x0800,
            Some(6) => 0x86dd,
            _ => 0,
        };
        return ip(bytes, ethertype);
    }
    let (mut at, mut vlans) = (ETHER, [None; TAGS]);
    let mut ethertype = be16(bytes, at - 2).unwrap_or(0);
    for vlan in &mut vlans {
        let (Some(tag), Some(next)) = (be16(bytes, at), be16(bytes, at + 2)) else {
            break;
        };
        if !matches!(ethertype, CUSTOMER | PROVIDER) {
            break;
        }
        *vlan = Some(Tag {
            provider: ethertype == PROVIDER,
            vid: tag & 0xfff,
        });
        ethertype = next;
        at += VLAN;
    }
    Headers {
        vlans,
        ..ip(bytes.get(at..).unwrap_or_default(), ethertype)
    }
}

fn ip(bytes: &[u8], ethertype: u16) -> Headers {
    let bare = Headers {
        ethertype,
        ..Headers::default()
    };
    let read = match ethertype {
        0x0800 => v4(bytes, bare),
        0x86dd => v6(bytes, bare),
        _ => None,
    };
    read.unwrap_or(bare)
}

fn v4(bytes: &[u8], bare: Headers) -> Option<Headers> {
    let src: [u8; 4] = *bytes.get(12..)?.first_chunk()?;
    let dst: [u8; 4] = *bytes.get(16..)?.first_chunk()?;
    let of = Headers {
        ends: Some((Ipv4Addr::from(src).into(), Ipv4Addr::from(dst).into())),
        protocol: bytes.get(9).copied(),
        piece: be16(bytes, 6)? & 0x1fff != 0,
        ..bare
    };
    let header = usize::from(bytes.first()? & 15) * 4;
    Some(transport(
        of,
        bytes.get(header.max(20)..).unwrap_or_default(),
    ))
}

fn v6(bytes: &[u8], bare: Headers) -> Option<Headers> {
    let src: [u8; 16] = *bytes.get(8..)?.first_chunk()?;
    let dst: [u8; 16] = *bytes.get(24..)?.first_chunk()?;
    let (mut next, mut at, mut piece) = (*bytes.get(6)?, 40, false);
    // Hop-by-hop, routing, fragment and destination options, as many as a packet that is let through may have.
    for _ in 0..8 {
        let Some(ext) = bytes
            .get(at..at + 4)
            .filter(|_| matches!(next, 0 | 43 | 44 | 60))
        else {
            break;
        };
        piece |= next == 44 && be16(ext, 2).unwrap_or(0) & 0xfff8 != 0;
        at += if next == 44 {
            8
        } else {
            8 + usize::from(ext[1]) * 8
        };
        next = ext[0];
    }
    let of = Headers {
        ends: Some((Ipv6Addr::from(src).into(), Ipv6Addr::from(dst).into())),
        protocol: Some(next),
        piece,
        ..bare
    };
    Some(transport(of, bytes.get(at..).unwrap_or_default()))
}

fn transport(of: Headers, l4: &[u8]) -> Headers {
    match of.protocol {
        _ if of.piece => of,
        Some(6 | 17 | 33 | 132 | 136) => Headers {
            ports: be16(l4, 0).zip(be16(l4, 2)),
            flags: l4.get(13).copied().filter(|_| of.protocol == Some(6)),
            ..of
        },
        Some(1 | 58) => Headers {
            icmp: l4.first().copied().zip(l4.get(1).copied()),
            ..of
        },
        _ => of,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A TCP segment from 10.0.0.2:1234 to 203.0.113.10:80.
    pub(crate) fn segment() -> Vec<u8> {
        let mut bytes = vec![
            0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 2, 203, 0, 113, 10,
        ];
        bytes.extend([
            4, 210, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0,
        ]);
        bytes
    }

    #[test]
    fn headers_are_read_as_far_as_they_are_there() {
        let packet = segment();
        let of = headers(&packet, false);
        assert_eq!(of.ports, Some((1234, 80)));
        assert_eq!((of.protocol, of.flags), (Some(6), Some(2)));
        let tagged = [&[2; 12][..], &[0x81, 0, 0, 7, 8, 0], &packet].concat();
        let tag = Tag {
            provider: false,
            vid: 7,
        };
        let vlans = [Some(tag), None];
        assert_eq!(headers(&tagged, true), Headers { vlans, ..of });
        for cut in 0..packet.len() {
            let _ = headers(&packet[..cut], false);
            let _ = headers(&packet[..cut], true);
        }
        assert_eq!(headers(&packet[..22], false).ports, None);
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let noise: Vec<u8> = (0..rng.usize(..80)).map(|_| rng.u8(..)).collect();
            let _ = headers(&noise, rng.bool());
            let mut six = [&[0x60, 0, 0, 0, 0, 0][..], &noise].concat();
            six.truncate(rng.usize(..90));
            let _ = headers(&six, false);
        }
    }

    #[test]
    fn ports_behind_extension_headers_are_found_and_later_pieces_have_none() {
        let mut six = vec![0x60, 0, 0, 0, 0, 16, 60, 64];
        six.extend([0; 31]);
        six.push(1);
        six.extend([17, 0, 0, 0, 0, 0, 0, 0, 0, 53, 0, 99, 0, 8, 0, 0]);
        assert_eq!(headers(&six, false).ports, Some((53, 99)));
        let mut piece = segment();
        piece[7] = 5;
        let of = headers(&piece, false);
        assert!(of.piece && of.ports.is_none() && of.ends.is_some());
    }
}
