//! Checksums that a software device hands over unfinished.
//!
//! A packet that a local kernel sends into a veth has the pseudo header's sum in its checksum field, and a note beside it, that
//! the rest is to be summed by who puts it on a wire. An XDP socket gets the frame without the note. So the field itself is asked:
//! is it the sum of the packet's own pseudo header? For one finished packet in 65,536 it is so by chance; and finishing that again
//! gives the same checksum, if it was right. A packet that was damaged on a wire can pass for whole by it no more often than by
//! any checksum of 16 bits.

use crate::checksum;
use crate::offload::Partial;
use crate::parse::{Addrs, proto};

/// Length of an Ethernet header and of a VLAN tag.
const ETHER: usize = 14;
const TAG: usize = 4;

/// Where the checksum of a frame is, if it is one of TCP or UDP that is not finished.
#[inline]
pub(super) fn of(frame: &[u8]) -> Option<Partial> {
    let (mut ip, mut kind) = (ETHER, half(frame, ETHER - 2)?);
    while matches!(kind, 0x8100 | 0x88a8) && ip < ETHER + 2 * TAG {
        kind = half(frame, ip + 2)?;
        ip += TAG;
    }
    let packet = frame.get(ip..)?;
    let (addrs, protocol, l4, end) = match kind {
        0x0800 => v4(packet)?,
        0x86dd => v6(packet)?,
        _ => return None,
    };
    let offset = match protocol {
        proto::TCP => 16,
        proto::UDP => 6,
        _ => return None,
    };
    let len = end.checked_sub(l4)?;
    if end > packet.len() || len < offset + 2 {
        return None;
    }
    let field = half(packet, l4 + offset)?;
    (field == checksum::pseudo_sum(&addrs, protocol, len)).then_some(Partial {
        start: (ip + l4) as u16,
        offset: offset as u16,
    })
}

/// Addresses, protocol, where the transport header begins and where the packet ends; `None` for a piece of a datagram, whose
/// checksum is never left undone.
fn v4(packet: &[u8]) -> Option<(Addrs, u8, usize, usize)> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let [a, b, c, d, e, f, g, h] = *header.last_chunk()?;
    let l4 = usize::from(header[0] & 15) * 4;
    let is_piece = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
    let end = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let addrs = Addrs::V4 {
        src: u32::from_be_bytes([a, b, c, d]),
        dst: u32::from_be_bytes([e, f, g, h]),
    };
    (header[0] >> 4 == 4 && l4 >= 20 && !is_piece).then_some((addrs, header[9], l4, end))
}

/// Extension headers that are gone over, at most: as many as the packet path lets through.
const EXTENSIONS: usize = 8;

/// The same, behind hop-by-hop options, routing headers and destination options (RFC 8200 §4). A fragment header ends the
/// search: it is a piece.
fn v6(packet: &[u8]) -> Option<(Addrs, u8, usize, usize)> {
    let header: &[u8; 40] = packet.first_chunk()?;
    let end = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
    let address = |at: usize| header.get(at..at + 16)?.first_chunk().copied();
    let addrs = Addrs::V6 {
        src: u128::from_be_bytes(address(8)?),
        dst: u128::from_be_bytes(address(24)?),
    };
    let (mut next, mut l4) = (header[6], 40);
    for _ in 0..EXTENSIONS {
        if !matches!(next, 0 | 43 | 60) {
            break;
        }
        let [following, words] = *packet.get(l4..)?.first_chunk()?;
        (next, l4) = (following, l4 + 8 + usize::from(words) * 8);
    }
    (header[0] >> 4 == 6).then_some((addrs, next, l4, end))
}

#[inline]
fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offload;

    /// A frame of UDP or TCP with `len` bytes behind the IP header, its checksum nought.
    fn frame(v6: bool, protocol: u8, tags: usize, len: usize) -> (Vec<u8>, usize, Addrs) {
        let mut frame = vec![2; 12];
        for _ in 0..tags {
            frame.extend([0x81, 0, 0, 5]);
        }
        let addrs = if v6 {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend((len as u16).to_be_bytes());
            frame.extend([protocol, 64]);
            frame.extend([0xfd; 16]);
            frame.extend([0xfc; 16]);
            Addrs::V6 {
                src: u128::from_be_bytes([0xfd; 16]),
                dst: u128::from_be_bytes([0xfc; 16]),
            }
        } else {
            frame.extend([8, 0, 0x46, 0]);
            frame.extend((24 + len as u16).to_be_bytes());
            frame.extend([0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 9, 0, 2]);
            frame.extend([1, 1, 1, 1]);
            Addrs::V4 {
                src: 0x0a00_0001,
                dst: 0x0a09_0002,
            }
        };
        let l4 = frame.len();
        frame.extend((0..len).map(|n| (n * 37) as u8));
        let at = l4 + offset(protocol);
        frame[at..at + 2].fill(0);
        (frame, l4, addrs)
    }

    fn offset(protocol: u8) -> usize {
        if protocol == proto::TCP { 16 } else { 6 }
    }

    #[test]
    fn what_is_unfinished_is_found_and_finishing_it_makes_it_right() {
        for (v6, protocol, tags, pad) in [
            (false, proto::TCP, 0, 0),
            (false, proto::UDP, 1, 7),
            (true, proto::TCP, 2, 0),
            (true, proto::UDP, 0, 3),
        ] {
            let (mut bytes, l4, addrs) = frame(v6, protocol, tags, 101);
            let right = checksum::transport(&addrs, protocol, &bytes[l4..]);
            let field = l4 + offset(protocol)..l4 + offset(protocol) + 2;
            bytes[field.clone()].copy_from_slice(&right.to_be_bytes());
            assert_eq!(of(&bytes), None, "finished");
            let pseudo = checksum::pseudo_sum(&addrs, protocol, 101);
            bytes[field.clone()].copy_from_slice(&pseudo.to_be_bytes());
            bytes.resize(bytes.len() + pad, 0);
            let found = of(&bytes).expect("unfinished");
            assert_eq!(usize::from(found.start), l4);
            assert_eq!(usize::from(found.offset), offset(protocol));
            bytes.truncate(bytes.len() - pad);
            offload::finish(&mut bytes, found.start.into(), found.offset.into());
            assert_eq!(bytes[field], right.to_be_bytes());
        }
    }

    /// The frame with these extension headers, each by its number and length in bytes, in front of its transport header.
    fn behind(frame: &[u8], headers: &[(u8, usize)]) -> Vec<u8> {
        let mut frame = frame.to_vec();
        for &(number, len) in headers.iter().rev() {
            let mut header = vec![0; len];
            (header[0], header[1]) = (frame[20], (len / 8 - 1) as u8);
            frame[20] = number;
            frame.splice(54..54, header);
        }
        let payload = (frame.len() - 54) as u16;
        frame[18..20].copy_from_slice(&payload.to_be_bytes());
        frame
    }

    #[test]
    fn extension_headers_are_gone_over_and_a_fragment_header_is_not() {
        let (mut bytes, l4, addrs) = frame(true, proto::TCP, 0, 101);
        let pseudo = checksum::pseudo_sum(&addrs, proto::TCP, 101);
        bytes[l4 + 16..l4 + 18].copy_from_slice(&pseudo.to_be_bytes());
        let many = vec![(60, 8); EXTENSIONS];
        for headers in [&[(0, 8)][..], &[(0, 16), (43, 24), (60, 8)], &many] {
            let (long, more) = (
                behind(&bytes, headers),
                headers.iter().map(|(_, len)| len).sum::<usize>(),
            );
            let found = of(&long).expect("unfinished");
            assert_eq!(usize::from(found.start), l4 + more);
            for len in 0..long.len() {
                assert_eq!(of(&long[..len]), None, "{len} bytes of it");
            }
        }
        assert_eq!(of(&behind(&bytes, &[(44, 8)])), None, "a piece");
        assert_eq!(of(&behind(&bytes, &[&many[..], &[(60, 8)]].concat())), None);
        let long = behind(&bytes, &[(0, 8), (60, 2048)]);
        for words in 0..=255 {
            let mut other = long.clone();
            other[63] = words;
            let _ = of(&other);
        }
    }

    #[test]
    fn a_finished_one_that_looks_unfinished_stays_what_it_is() {
        // The payload's last two bytes run through all values: for one of them the right checksum is the pseudo header's sum.
        let (mut bytes, l4, addrs) = frame(false, proto::UDP, 0, 40);
        let mut chance = 0;
        let end = bytes.len();
        for last in 0..=u16::MAX {
            bytes[l4 + 6..l4 + 8].fill(0);
            bytes[end - 2..].copy_from_slice(&last.to_be_bytes());
            let right = checksum::transport(&addrs, proto::UDP, &bytes[l4..]);
            bytes[l4 + 6..l4 + 8].copy_from_slice(&right.to_be_bytes());
            if let Some(found) = of(&bytes) {
                chance += 1;
                offload::finish(&mut bytes, found.start.into(), found.offset.into());
                assert_eq!(bytes[l4 + 6..l4 + 8], right.to_be_bytes());
            }
        }
        assert_eq!(chance, 1);
    }

    #[test]
    fn what_has_no_such_checksum_has_none() {
        let unfinished = |v6, protocol| {
            let (mut bytes, l4, addrs) = frame(v6, protocol, 0, 60);
            let pseudo = checksum::pseudo_sum(&addrs, protocol, 60);
            let at = l4 + offset(protocol);
            bytes[at..at + 2].copy_from_slice(&pseudo.to_be_bytes());
            bytes
        };
        let right = unfinished(false, proto::TCP);
        assert!(of(&right).is_some());
        let mut piece = right.clone();
        piece[20] = 0x20;
        assert_eq!(of(&piece), None, "a piece of a datagram");
        assert_eq!(of(&unfinished(false, proto::SCTP)), None);
        assert_eq!(of(&unfinished(true, proto::ICMP6)), None);
        for len in 0..right.len() {
            assert_eq!(of(&right[..len]), None, "{len} bytes of it");
        }
        for at in 0..right.len().min(24) {
            for value in 0..=255 {
                let mut other = right.clone();
                other[at] = value;
                let _ = of(&other);
            }
        }
    }
}
