//! What the host that an IPv6 packet is addressed to asks of its extension headers (RFC 8200 §4.2, §4.4, §4.7), before the
//! gateway's own sockets and its echo see the packet. A packet in transit is not asked: its options are its destination's
//! business.

use crate::icmp::Error;
use crate::parse::IpMeta;
use crate::pkt::Pkt;

/// What a packet for us is refused for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Discarded without a word: an option says so, or there is nothing behind the headers.
    Silent,
    /// Its sender is told.
    Told(Error),
}

const HEADER: usize = 40;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const NO_NEXT: u8 = 59;
const DESTINATION: u8 = 60;

/// Looks through the extension headers of a whole packet for us, which `parse::read` has accepted.
pub(crate) fn check(packet: &[u8], meta: &IpMeta) -> Result<(), Fault> {
    let l4 = usize::from(meta.l4_off);
    let (mut next, mut at) = (packet.get(6).copied().unwrap_or(NO_NEXT), HEADER);
    while at < l4 {
        let ext = packet.get(at..l4).unwrap_or_default();
        let Some(&[following, units, _, left, ..]) = ext.first_chunk::<8>() else {
            return Err(Fault::Silent);
        };
        let len = match next {
            FRAGMENT => 8,
            _ => 8 + usize::from(units) * 8,
        };
        match next {
            HOP_BY_HOP | DESTINATION => check_options(ext.get(..len).unwrap_or(ext), at)?,
            // No type of routing is done here; one whose work is done says nothing any more.
            ROUTING if left != 0 => return Err(problem(at + 2)),
            _ => {}
        }
        (next, at) = (following, at + len);
    }
    if next == NO_NEXT {
        return Err(Fault::Silent);
    }
    Ok(())
}

fn problem(pointer: usize) -> Fault {
    Fault::Told(Error::ParamProblem {
        pointer: pointer as u32,
    })
}

/// The options of a header that begins at `at` of its packet: none is known here, so the two highest bits of its type say
/// what is to be done (RFC 8200 §4.2).
fn check_options(header: &[u8], at: usize) -> Result<(), Fault> {
    let mut i = 2;
    while let Some(&kind) = header.get(i) {
        if kind == 0 {
            i += 1;
            continue;
        }
        let end = header.get(i + 1).map(|&len| i + 2 + usize::from(len));
        let Some(end) = end.filter(|&end| end <= header.len()) else {
            return Err(problem(at + i));
        };
        match kind >> 6 {
            0 => {}
            1 => return Err(Fault::Silent),
            // To several or to one: it has come to a unicast address of ours.
            _ => {
                let pointer = (at + i) as u32;
                return Err(Fault::Told(Error::UnknownOption { pointer }));
            }
        }
        i = end;
    }
    Ok(())
}

/// Takes the extension headers off a packet whose headers [`check`] has passed: nobody behind reads them, and an answer has
/// none of them.
pub(crate) fn strip(pkt: &mut Pkt) {
    let cut = usize::from(pkt.meta.l4_off).saturating_sub(HEADER);
    let (proto, len) = (pkt.meta.proto, pkt.meta.len.saturating_sub(cut as u16));
    if !move_header(pkt.bytes_mut(), cut, proto, len) {
        return;
    }
    pkt.pull(cut);
    pkt.stripped = true;
    (pkt.meta.l4_off, pkt.meta.len) = (HEADER as u16, len);
}

/// The same of a datagram that was put together from pieces, of which `meta` was read.
pub(crate) fn strip_whole(whole: &mut Vec<u8>, meta: &mut IpMeta) {
    let cut = usize::from(meta.l4_off).saturating_sub(HEADER);
    // One that was longer than any packet can be can still be too long.
    let len = whole.len().saturating_sub(cut);
    let counted = len.min(usize::from(u16::MAX)) as u16;
    if !move_header(whole, cut, meta.proto, counted) {
        return;
    }
    whole.drain(..cut);
    (meta.l4_off, meta.len) = (HEADER as u16, counted);
}

/// Moves an IPv6 header up to what is `cut` bytes behind it, as that of a packet of `len` bytes. `false`: nothing is between.
fn move_header(bytes: &mut [u8], cut: usize, proto: u8, len: u16) -> bool {
    if cut == 0 || bytes.len() < HEADER + cut {
        return false;
    }
    bytes.copy_within(..HEADER, cut);
    let payload = len.saturating_sub(HEADER as u16).to_be_bytes();
    bytes[cut + 4..cut + 6].copy_from_slice(&payload);
    bytes[cut + 6] = proto;
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use smoltcp::wire::IpProtocol;

    /// A packet whose extension headers are `chain`: the number of each and all its bytes but the first.
    fn packet(chain: &[(u8, &[u8])], last: u8) -> Vec<u8> {
        let mut numbers: Vec<u8> = chain.iter().map(|(number, _)| *number).collect();
        numbers.push(last);
        let mut body = Vec::new();
        for (i, (_, rest)) in chain.iter().enumerate() {
            body.push(numbers[i + 1]);
            body.extend_from_slice(rest);
        }
        body.extend_from_slice(&[0x30, 0x39, 0, 53, 0, 8, 0, 0]);
        let mut bytes = vec![0x60, 0, 0, 0, 0, body.len() as u8, numbers[0], 64];
        bytes.extend_from_slice(&[0x20; 32]);
        bytes.extend_from_slice(&body);
        bytes
    }

    fn checked(bytes: &[u8]) -> Result<(), Fault> {
        check(bytes, &parse::read(bytes).expect("well formed"))
    }

    fn udp() -> u8 {
        IpProtocol::Udp.into()
    }

    #[test]
    fn an_unknown_option_does_what_its_two_highest_bits_say() {
        for header in [HOP_BY_HOP, DESTINATION] {
            for (kind, expected) in [
                (0x1e, Ok(())),
                (0x5e, Err(Fault::Silent)),
                (0x9e, Err(Fault::Told(Error::UnknownOption { pointer: 44 }))),
                (0xde, Err(Fault::Told(Error::UnknownOption { pointer: 44 }))),
            ] {
                // Two bytes of padding in front of it.
                let ext = [0, 1, 0, kind, 2, 0, 0];
                assert_eq!(checked(&packet(&[(header, &ext)], udp())), expected);
            }
        }
    }

    #[test]
    fn an_option_that_ends_behind_its_header_is_pointed_at() {
        let ext = [0, 5, 2, 0, 0, 30, 1];
        let packet = packet(&[(DESTINATION, &ext)], udp());
        assert_eq!(checked(&packet), Err(problem(46)));
    }

    #[test]
    fn a_routing_header_must_have_done_its_work() {
        for kind in [2, 4, 253] {
            let chain = |left| packet(&[(ROUTING, &[0, kind, left, 0, 0, 0, 0])], udp());
            assert_eq!(checked(&chain(0)), Ok(()));
            assert_eq!(checked(&chain(1)), Err(problem(42)));
        }
    }

    #[test]
    fn nothing_behind_the_headers_is_nothing() {
        assert_eq!(checked(&packet(&[], NO_NEXT)), Err(Fault::Silent));
        let pad = (DESTINATION, &[0, 1, 4, 0, 0, 0, 0][..]);
        assert_eq!(checked(&packet(&[pad], NO_NEXT)), Err(Fault::Silent));
    }

    #[test]
    fn what_is_stripped_is_the_packet_without_its_extension_headers() {
        let pad = [0, 1, 4, 0, 0, 0, 0];
        let long = [1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let chain: [(u8, &[u8]); 3] = [
            (HOP_BY_HOP, &pad),
            (FRAGMENT, &[0; 7]),
            (DESTINATION, &long),
        ];
        let mut pkt = Pkt::with_size(256);
        assert!(pkt.copy_from(&packet(&chain, udp())));
        pkt.meta = parse::read(pkt.bytes()).expect("well formed");
        strip(&mut pkt);
        assert_eq!(pkt.bytes(), packet(&[], udp()));
        let read = parse::read(pkt.bytes()).expect("well formed");
        assert_eq!((pkt.meta.l4_off, pkt.meta.len), (read.l4_off, read.len));
        strip(&mut pkt);
        assert_eq!(pkt.bytes(), packet(&[], udp()));
    }

    #[test]
    fn no_bytes_make_it_read_beyond_them() {
        let mut rng = fastrand::Rng::with_seed(6);
        for _ in 0..200_000 {
            let mut bytes = packet(&[(rng.u8(..61), &[0; 7]), (rng.u8(..61), &[0; 7])], udp());
            for _ in 0..rng.usize(..6) {
                let at = rng.usize(6..bytes.len());
                bytes[at] = rng.u8(..);
            }
            if let Ok(meta) = parse::read(&bytes) {
                let _ = check(&bytes, &meta);
            }
        }
    }
}
