//! What frames may teach us, and why the rest is ignored.

mod ignored;
mod learned;
mod ours;
mod stated;
mod told;

use crate::rig::{OUR, advert, arp_frame, mac, nd_frame};
use arp::Mac;
use smoltcp::wire::NdiscNeighborFlags;

const ALL: Mac = Mac::BROADCAST;
const GROUP: Mac = Mac([0x33, 0x33, 0xff, 0, 0, 1]);

fn request(from: Mac, spa: &str, tpa: &str) -> Vec<u8> {
    arp_frame(true, ALL, from, spa, tpa)
}

fn reply(from: Mac, spa: &str) -> Vec<u8> {
    arp_frame(false, OUR, from, spa, "10.0.0.1")
}

fn na(target: &str, flags: NdiscNeighborFlags, lladdr: Option<Mac>) -> Vec<u8> {
    nd_frame(
        OUR,
        mac(9),
        target,
        "fd00::1",
        &advert(target, flags, lladdr),
    )
}

/// Changes a frame at one place; ICMPv6 checksums are not repaired.
fn with(mut frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

/// Changes an ICMPv6 message and repairs its checksum.
fn with_icmp(frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = with(frame, at, bytes);
    let address = |at: usize| {
        let octets: [u8; 16] = frame[at..at + 16].try_into().expect("16 bytes");
        octets.into()
    };
    let (src, dst) = (address(22), address(38));
    smoltcp::wire::Icmpv6Packet::new_unchecked(&mut frame[54..]).fill_checksum(&src, &dst);
    frame
}
