//! `ping`'s packets: the echo request that leaves, and what an ICMP message that came says about one.

use crate::checksum;
use crate::icmp::TTL;
use crate::parse::{self, IpMeta, Role};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv4Packet, Ipv4Repr,
    Ipv6Packet, Ipv6Repr,
};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of an echo message's header.
pub(super) const ECHO_HEADER: usize = 8;

/// The byte that fills requests.
const FILL: u8 = 0x66;

/// An ICMP error about an echo request: somebody on the way cannot send it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoError {
    /// Who says so.
    pub from: IpAddr,
    /// The message's type.
    pub kind: u8,
    /// The message's code.
    pub code: u8,
    /// For a packet that is too big: what would fit, bytes.
    pub mtu: u32,
}

/// In the words of FreeBSD's `ping`.
impl fmt::Display for EchoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match (self.from.is_ipv4(), self.kind, self.code) {
            (true, 3, 4) => return write!(f, "frag needed and DF set (MTU {})", self.mtu),
            (false, 2, _) => return write!(f, "Packet too big mtu = {}", self.mtu),
            (true, 3, 0) | (false, 1, 0) => "Destination Net Unreachable",
            (true, 3, 1) | (false, 1, 3) => "Destination Host Unreachable",
            (true, 3, 2) => "Destination Protocol Unreachable",
            (true, 3, 3) | (false, 1, 4) => "Destination Port Unreachable",
            (true, 3, 9 | 10 | 13) | (false, 1, 1 | 5 | 6) => "Communication prohibited by filter",
            (true, 11, 0) | (false, 3, 0) => "Time to live exceeded",
            (true, 3, _) | (false, 1, _) => "Destination Unreachable",
            _ => return write!(f, "ICMP error, type {} code {}", self.kind, self.code),
        };
        f.write_str(words)
    }
}

/// What an ICMP message says about a request of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It is the reply: so many bytes of ICMP, with this TTL or hop limit.
    Reply(usize, u8),
    /// It will not get there.
    Error(EchoError),
}

/// A message about the request with this identifier and sequence number, to this destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct About {
    pub(super) dst: IpAddr,
    pub(super) ident: u16,
    pub(super) seq: u16,
    pub(super) said: Said,
}

/// Reads an ICMP message that came for us; `None` if it is about no echo request, or damaged.
pub(super) fn read(meta: &IpMeta, packet: &[u8]) -> Option<About> {
    let proto = if meta.addrs.is_v6() { 58 } else { 1 };
    let message = packet.get(usize::from(meta.l4_off)..usize::from(meta.len))?;
    if meta.proto != proto
        || meta.fragment.is_some()
        || !checksum::transport_valid(&meta.addrs, proto, message)
    {
        return None;
    }
    let reply = if meta.addrs.is_v6() { 129 } else { 0 };
    match message.first() {
        Some(&kind) if kind == reply => Some(About {
            dst: meta.addrs.src(),
            ident: parse::be16(message, 4)?,
            seq: parse::be16(message, 6)?,
            said: Said::Reply(message.len(), meta.ttl),
        }),
        // `ip_input` found a whole quote in it.
        Some(_) if meta.role == Role::Quoting => error(meta, message),
        _ => None,
    }
}

/// An error quotes the request's own bytes behind its 8-byte header.
fn error(meta: &IpMeta, message: &[u8]) -> Option<About> {
    let v6 = meta.addrs.is_v6();
    let quote = message.get(ECHO_HEADER..)?;
    // Our requests have no extension headers.
    let header = match v6 {
        true => 40,
        false => usize::from(quote.first()? & 15) * 4,
    };
    let echo = quote.get(header..)?;
    let request = if v6 { 128 } else { 8 };
    let mtu = match v6 {
        true => parse::be32(message, 4)?,
        false => u32::from(parse::be16(message, 6)?),
    };
    let (kind, code) = (*message.first()?, *message.get(1)?);
    // The quote's ends are exchanged in the flow's tuple.
    (*echo.first()? == request).then_some(About {
        dst: meta.tuple.addrs.src(),
        ident: parse::be16(echo, 4)?,
        seq: parse::be16(echo, 6)?,
        said: Said::Error(EchoError {
            from: meta.addrs.src(),
            kind,
            code,
            mtu,
        }),
    })
}

/// Writes an echo request with `size` data bytes to the start of `room`; its length, or `None` if it does not fit.
/// IPv4's DF is set: a reply in pieces would find nobody here who puts it together.
pub(super) fn write(
    ends: (IpAddr, IpAddr),
    ident: u16,
    seq: u16,
    size: usize,
    room: &mut [u8],
) -> Option<usize> {
    match ends {
        (IpAddr::V4(src), IpAddr::V4(dst)) => write4(src, dst, ident, seq, size, room),
        (IpAddr::V6(src), IpAddr::V6(dst)) => write6(src, dst, ident, seq, size, room),
        _ => None,
    }
}

fn write4(
    src_addr: Ipv4Addr,
    dst_addr: Ipv4Addr,
    ident: u16,
    seq_no: u16,
    size: usize,
    room: &mut [u8],
) -> Option<usize> {
    let checksums = ChecksumCapabilities::default();
    let data = vec![FILL; size];
    let echo = Icmpv4Repr::EchoRequest {
        ident,
        seq_no,
        data: &data,
    };
    let ip = Ipv4Repr {
        src_addr,
        dst_addr,
        next_header: IpProtocol::Icmp,
        payload_len: echo.buffer_len(),
        hop_limit: TTL,
    };
    let len = ip.buffer_len() + echo.buffer_len();
    let room = room.get_mut(..len)?;
    ip.emit(&mut Ipv4Packet::new_unchecked(&mut *room), &checksums);
    let message = room.get_mut(ip.buffer_len()..)?;
    echo.emit(&mut Icmpv4Packet::new_unchecked(message), &checksums);
    Some(len)
}

fn write6(
    src_addr: Ipv6Addr,
    dst_addr: Ipv6Addr,
    ident: u16,
    seq_no: u16,
    size: usize,
    room: &mut [u8],
) -> Option<usize> {
    let data = vec![FILL; size];
    let echo = Icmpv6Repr::EchoRequest {
        ident,
        seq_no,
        data: &data,
    };
    let ip = Ipv6Repr {
        src_addr,
        dst_addr,
        next_header: IpProtocol::Icmpv6,
        payload_len: echo.buffer_len(),
        hop_limit: TTL,
    };
    let len = ip.buffer_len() + echo.buffer_len();
    let room = room.get_mut(..len)?;
    ip.emit(&mut Ipv6Packet::new_unchecked(&mut *room));
    let mut message = Icmpv6Packet::new_unchecked(room.get_mut(ip.buffer_len()..)?);
    let checksums = ChecksumCapabilities::default();
    echo.emit(&src_addr, &dst_addr, &mut message, &checksums);
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::icmp::{Error, build_error, echo_reply};
    use crate::pkt::Pkt;

    const ENDS: [(&str, &str); 2] = [("192.0.2.1", "192.0.2.11"), ("fd00:2::1", "fd00:2::11")];

    fn request(ends: (&str, &str), size: usize) -> Vec<u8> {
        let ends = (ends.0.parse().unwrap(), ends.1.parse().unwrap());
        let mut room = vec![0xa5; 2000];
        let len = write(ends, 0x4601, 7, size, &mut room).unwrap();
        room.truncate(len);
        room
    }

    #[test]
    fn a_request_is_answered_and_its_reply_is_read() {
        for ends in ENDS {
            let mut packet = request(ends, 56);
            let meta = parse::read(&packet).unwrap();
            assert_eq!((meta.ttl, meta.dont_fragment), (TTL, true));
            assert_eq!(read(&meta, &packet), None, "a request is no answer");
            assert_eq!(echo_reply(&mut packet, &meta), Ok(true));
            let meta = parse::read(&packet).unwrap();
            let about = read(&meta, &packet).unwrap();
            assert_eq!(about.dst, ends.1.parse::<IpAddr>().unwrap());
            assert_eq!((about.ident, about.seq), (0x4601, 7));
            assert_eq!(about.said, Said::Reply(64, TTL));
            *packet.last_mut().unwrap() ^= 1;
            assert_eq!(read(&meta, &packet), None, "a damaged reply is none");
        }
    }

    #[test]
    fn an_error_names_the_request_that_it_quotes() {
        for ends in ENDS {
            let packet = request(ends, 1000);
            let meta = parse::read(&packet).unwrap();
            let from: IpAddr = if meta.addrs.is_v6() {
                "fd00:2::fe"
            } else {
                "192.0.2.254"
            }
            .parse()
            .unwrap();
            let mut out = Pkt::with_size(2000);
            let error = Error::HostUnreachable;
            assert!(build_error(error, &packet, &meta, from, 1, &mut out));
            let told = parse::read(out.bytes()).unwrap();
            let about = read(&told, out.bytes()).unwrap();
            assert_eq!(about.dst, ends.1.parse::<IpAddr>().unwrap());
            assert_eq!((about.ident, about.seq), (0x4601, 7));
            let Said::Error(said) = about.said else {
                panic!("{about:?}");
            };
            assert_eq!(said.from, from);
            assert_eq!(said.to_string(), "Destination Host Unreachable");
        }
    }

    #[test]
    fn what_does_not_fit_or_mixes_families_is_not_written() {
        let (v4, v6) = ("192.0.2.1".parse().unwrap(), "fd00::1".parse().unwrap());
        assert_eq!(write((v4, v4), 1, 1, 56, &mut [0; 83]), None);
        assert_eq!(write((v4, v4), 1, 1, 56, &mut [0; 84]), Some(84));
        assert_eq!(write((v4, v6), 1, 1, 56, &mut [0; 200]), None);
    }

    #[test]
    fn any_bytes_are_read_without_harm() {
        let mut random = fastrand::Rng::with_seed(7);
        for ends in ENDS {
            let packet = request(ends, 56);
            let meta = parse::read(&packet).unwrap();
            let mut out = Pkt::with_size(2000);
            let from = ends.1.parse().unwrap();
            assert!(build_error(
                Error::HostUnreachable,
                &packet,
                &meta,
                from,
                1,
                &mut out
            ));
            for _ in 0..20_000 {
                let mut bytes = out.bytes().to_vec();
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
                bytes.truncate(random.usize(..=bytes.len()));
                if let Ok(meta) = parse::read(&bytes) {
                    let l4 = usize::from(meta.l4_off);
                    let sum = checksum::transport(&meta.addrs, meta.proto, &bytes[l4..]);
                    if let Some(field) = bytes.get_mut(l4 + 2..l4 + 4) {
                        field.copy_from_slice(&sum.to_be_bytes());
                    }
                    let _ = read(&meta, &bytes);
                }
            }
        }
    }
}
