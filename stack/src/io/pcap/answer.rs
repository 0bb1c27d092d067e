//! Neighbours that are not there: an off-line gateway's questions are answered for whoever it asks for, by ARP and ND, from
//! a hardware address made of the one asked for.

use crate::checksum;
use crate::parse::{Addrs, proto};
use crate::vlan::{ADDRESSES, TAG, TPID, without_tag};
use arp::{Mac, ether_header};
use std::net::Ipv6Addr;

const ETHER: usize = 14;
/// Neighbour solicitation, neighbour advertisement (RFC 4861 §4.3, §4.4).
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// The hardware address of whoever has an address: locally administered, its last four bytes those of the address.
pub(super) fn station(addr: &[u8]) -> Mac {
    match addr {
        [.., a, b, c, d] => Mac([2, 0xfe, *a, *b, *c, *d]),
        _ => Mac([2, 0xfe, 0, 0, 0, 0]),
    }
}

/// The answer to a frame, if it asks for a neighbour: with the VLAN tag that the question has.
pub(super) fn answer(frame: &[u8]) -> Option<Vec<u8>> {
    let Some(tag) = frame
        .get(ADDRESSES..ADDRESSES + TAG)
        .filter(|tag| tag.starts_with(&TPID))
    else {
        return untagged(frame);
    };
    let mut reply = untagged(&without_tag(frame))?;
    reply.splice(ADDRESSES..ADDRESSES, tag.iter().copied());
    Some(reply)
}

fn untagged(frame: &[u8]) -> Option<Vec<u8>> {
    match frame.get(12..ETHER)? {
        [0x08, 0x06] => arp(frame),
        [0x86, 0xdd] => nd(frame),
        _ => None,
    }
}

/// To an ARP request (RFC 826) for another address than the sender's own.
fn arp(frame: &[u8]) -> Option<Vec<u8>> {
    let packet = frame.get(ETHER..ETHER + 28)?;
    let (asks, sender, target) = (packet.get(..8)?, packet.get(8..18)?, packet.get(24..28)?);
    if asks != [0, 1, 8, 0, 6, 4, 0, 1] || sender.get(6..)? == target {
        return None;
    }
    let (to, from) = (Mac(*sender.first_chunk::<6>()?), station(target));
    let mut reply = ether_header(to, from, 0x0806).to_vec();
    reply.extend([0, 1, 8, 0, 6, 4, 0, 2]);
    reply.extend(from.0);
    reply.extend(target);
    reply.extend(sender);
    Some(reply)
}

/// To a neighbour solicitation that is no duplicate address detection.
fn nd(frame: &[u8]) -> Option<Vec<u8>> {
    let packet = frame.get(ETHER..)?;
    let (message, next) = (packet.get(40..64)?, *packet.get(6)?);
    if next != proto::ICMP6 || *message.first()? != SOLICITATION {
        return None;
    }
    let asker = Ipv6Addr::from(*packet.get(8..24)?.first_chunk::<16>()?);
    let target = *message.get(8..24)?.first_chunk::<16>()?;
    if asker.is_unspecified() || asker.octets() == target {
        return None;
    }
    let (to, from) = (
        Mac(*frame.get(6..12)?.first_chunk::<6>()?),
        station(&target),
    );
    let mut body = vec![ADVERTISEMENT, 0, 0, 0, 0x60, 0, 0, 0];
    body.extend(target);
    body.extend([2, 1]);
    body.extend(from.0);
    let addrs = Addrs::V6 {
        src: u128::from_be_bytes(target),
        dst: asker.to_bits(),
    };
    let sum = checksum::transport(&addrs, proto::ICMP6, &body);
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut reply = ether_header(to, from, 0x86dd).to_vec();
    reply.extend([0x60, 0, 0, 0, 0, body.len() as u8, proto::ICMP6, 255]);
    reply.extend(target);
    reply.extend(asker.octets());
    reply.extend(body);
    Some(reply)
}
