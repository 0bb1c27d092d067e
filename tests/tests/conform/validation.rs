//! C01 to C06: what `ip_input` refuses before it looks at anything else. None of it is answered.

use flowgate_tests::case;
use flowgate_tests::conform::{datagram, from_rack, hop, to_rack};
use flowgate_tests::net::BOTH;
use flowgate_tests::net::craft::{fix_header, is_v6};
use flowgate_tests::rack::{CLIENTS, Family, RACK};
use stack::fate::DropReason::{IpHeaderLen, IpLen, IpShort, IpSum, IpVersion};

/// The datagram with one of its bytes changed, and its checksum right again.
fn with(mut packet: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    packet[at] = byte;
    fix_header(&mut packet);
    packet
}

#[test]
fn c01_runt_is_dropped_silently() {
    for family in BOTH {
        let whole = datagram(family);
        let header = if is_v6(&whole) { 40 } else { 20 };
        case!("RFC 1812 5.2.2 (1), RFC 8200 3: fewer bytes than a header are no packet; nobody is told")
            .of(family)
            .arrives(CLIENTS, &whole[..header - 1])
            .dropped(IpShort)
            .arrives(RACK, &from_rack(&whole[..header - 1]))
            .dropped(IpShort)
            .arrives(CLIENTS, &whole[..1])
            .dropped(IpShort)
            .holds();
    }
}

#[test]
fn c02_bad_checksum_is_dropped_silently() {
    let good = datagram(Family::V4);
    let mut case = case!(
        "RFC 1812 5.2.2 (2): a header whose checksum is wrong, by one bit in any byte, is dropped; nobody is told"
    );
    // Version, header length and total length have checks of their own that come first.
    for at in [1, 5, 7, 8, 9, 10, 12, 19] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        case = case.arrives(CLIENTS, &bad).dropped(IpSum);
    }
    case.holds();
}

#[test]
fn c03_version_that_is_not_the_links_is_dropped_silently() {
    let (v4, v6) = (datagram(Family::V4), datagram(Family::V6));
    let mut lies4 = from_rack(&v4);
    (lies4[12], lies4[13]) = (0x86, 0xdd);
    let mut lies6 = from_rack(&v6);
    (lies6[12], lies6[13]) = (0x08, 0x00);
    let five = with(v4, 0, 0x55);
    case!("RFC 1812 5.2.2 (3): a version that is neither 4 nor 6, or not what the frame's type says; nobody is told")
        .arrives(CLIENTS, &five)
        .dropped(IpVersion)
        .arrives(RACK, &from_rack(&five))
        .dropped(IpVersion)
        .arrives(RACK, &lies4)
        .dropped(IpVersion)
        .arrives(RACK, &lies6)
        .dropped(IpVersion)
        .holds();
}

#[test]
fn c04_header_length_below_five_words_or_beyond_the_data_is_dropped_silently() {
    let good = datagram(Family::V4);
    let mut long = good[..24].to_vec();
    (long[0], long[3]) = (0x4f, 24);
    case!("RFC 1812 5.2.2 (4): IHL below 5, or beyond the bytes that came; nobody is told")
        .arrives(CLIENTS, &with(good.clone(), 0, 0x44))
        .dropped(IpHeaderLen)
        .arrives(CLIENTS, &with(good, 0, 0x43))
        .dropped(IpHeaderLen)
        .arrives(CLIENTS, &long)
        .dropped(IpHeaderLen)
        .holds();
}

#[test]
fn c05_total_length_below_the_header_or_beyond_the_frame_is_dropped_silently() {
    let good = datagram(Family::V4);
    let len = good.len() as u8;
    case!("RFC 1812 5.2.2 (5): total length below the header's, or one byte more than came; nobody is told")
        .called("v4")
        .arrives(CLIENTS, &with(good.clone(), 3, 19))
        .dropped(IpLen)
        .arrives(CLIENTS, &with(good.clone(), 3, len + 1))
        .dropped(IpLen)
        .arrives(RACK, &from_rack(&with(good, 3, len + 1)))
        .dropped(IpLen)
        .holds();
    let mut long = datagram(Family::V6);
    long[5] += 1;
    case!("RFC 8200 3: payload length one byte more than came; nobody is told")
        .called("v6")
        .arrives(CLIENTS, &long)
        .dropped(IpLen)
        .arrives(RACK, &from_rack(&long))
        .dropped(IpLen)
        .holds();
}

#[test]
fn c06_padding_behind_the_datagram_is_trimmed() {
    for family in BOTH {
        let whole = datagram(family);
        let padded = [&whole[..], &[0xa5; 17]].concat();
        case!("RFC 1812 5.2.2, RFC 894: what the link put behind the datagram is not sent on")
            .of(family)
            .arrives(CLIENTS, &padded)
            .goes_on(RACK, &to_rack(&hop(&whole)))
            .arrives(RACK, &from_rack(&padded))
            .counts("pinned", 1)
            .goes_on(RACK, &to_rack(&hop(&whole)))
            .holds();
    }
}
