//! Router advertisements: what is in them, when they come, and that a port that does not advertise says nothing.

use crate::rig::{OUR, P0, ip, mac, nd_frame};
use arp::{Advertise, Fate, Frame, Ignored, Mac, PortInfo, Table};
use smoltcp::wire::{Icmpv6Packet, Ipv6Packet, NdiscRepr};

const ROUTERS: Mac = Mac([0x33, 0x33, 0, 0, 0, 2]);

fn info(advertise: Option<Advertise>) -> PortInfo {
    PortInfo {
        port: P0,
        mac: OUR,
        addrs: vec![
            (ip("10.0.0.1"), 8),
            (ip("fe80::1"), 64),
            (ip("fd00::1"), 64),
            (ip("2001:db8:0:10::1"), 60),
            (ip("2001:db8::1"), 128),
        ],
        up: true,
        advertise,
    }
}

const WHAT: Advertise = Advertise {
    lifetime_s: 1800,
    interval_s: 600,
    mtu: 1400,
};

fn advertising() -> (Table, Vec<Frame>) {
    let (mut table, _view) = arp::new(arp::Config::default(), 7);
    let mut out = Vec::new();
    table.set_port(info(Some(WHAT)), 0, &mut out);
    out.clear();
    table.poll(0, &mut out);
    (table, out)
}

fn solicitation(src: &str, lladdr: Option<Mac>) -> Vec<u8> {
    let lladdr = lladdr.map(|mac| smoltcp::wire::RawHardwareAddress::from_bytes(&mac.0));
    nd_frame(
        ROUTERS,
        mac(9),
        src,
        "ff02::2",
        &NdiscRepr::RouterSolicit { lladdr },
    )
}

/// Every advertisement from now until then, with its time.
fn until(table: &mut Table, end: u64) -> Vec<(u64, Vec<u8>)> {
    let mut sent = Vec::new();
    while let Some(at) = table.next_deadline().filter(|&at| at <= end) {
        let mut out = Vec::new();
        table.poll(at, &mut out);
        sent.extend(out.into_iter().map(|frame| (at, frame.bytes)));
    }
    sent
}

#[test]
fn an_advertisement_says_who_for_how_long_and_which_networks() {
    let (table, out) = advertising();
    let [Frame { bytes, .. }] = &out[..] else {
        panic!("{out:?}");
    };
    // To all nodes; hop limit 255.
    assert_eq!(
        bytes[..14],
        [0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd]
    );
    let packet = Ipv6Packet::new_checked(&bytes[14..]).expect("IPv6");
    assert_eq!(packet.hop_limit(), 255);
    let (src, dst) = (packet.src_addr(), packet.dst_addr());
    assert_eq!(
        (src.to_string(), dst.to_string()),
        ("fe80::1".into(), "ff02::1".into())
    );
    let icmp = Icmpv6Packet::new_checked(packet.payload()).expect("ICMPv6");
    assert!(icmp.verify_checksum(&src, &dst));
    let body = packet.payload();
    // Type 134, hop limit 64, no flags, 1800 s; the router's address; an MTU of 1400.
    assert_eq!(
        (&body[..2], &body[4..16]),
        (&[134, 0][..], &[64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0][..])
    );
    assert_eq!(body[16..24], [1, 1, 2, 0, 0, 0, 0, 1]);
    assert_eq!(body[24..32], [5, 1, 0, 0, 0, 0, 5, 0x78]);
    // 2001:db8:0:10::/60 is on link, fd00::/64 also good for autoconfiguration; 30 and 7 days.
    let days = [0, 0x27, 0x8d, 0, 0, 9, 0x3a, 0x80, 0, 0, 0, 0];
    let (one, two) = (&body[32..64], &body[64..]);
    assert_eq!((&one[..4], &one[4..16]), (&[3, 4, 60, 0x80][..], &days[..]));
    assert_eq!(
        one[16..],
        [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!((&two[..4], &two[4..16]), (&[3, 4, 64, 0xc0][..], &days[..]));
    assert_eq!(
        two[16..],
        [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(table.stats().tx_router_advert, 1);
}

#[test]
fn a_solicitation_is_answered_soon_but_not_within_three_seconds_of_the_last() {
    let (mut table, _) = advertising();
    let mut out = Vec::new();
    assert_eq!(
        until(&mut table, 100_000).len(),
        2,
        "the other two of the first three"
    );
    for (asked, src) in [(150_000, "::"), (150_100, "fe80::9"), (150_200, "fd00::9")] {
        let lladdr = (src != "::").then_some(mac(9));
        let fate = table
            .input(P0, &solicitation(src, lladdr), asked, &mut out)
            .fate;
        assert_eq!(fate, Fate::Accepted);
    }
    let answers = until(&mut table, 156_000);
    assert_eq!(answers.len(), 1, "one for all");
    assert!(
        (150_000..=150_500).contains(&answers[0].0),
        "{}",
        answers[0].0
    );
    table.input(P0, &solicitation("::", None), answers[0].0 + 1, &mut out);
    let again = until(&mut table, 156_000);
    let after = again[0].0 - answers[0].0;
    assert!((3000..=3501).contains(&after), "{after}");
    assert_eq!(table.stats().rx_router_solicit, 4);
    assert!(out.is_empty());
    assert_eq!(table.fills().0, 0, "nobody is learned from asking");
}

#[test]
fn for_hours_they_come_a_third_to_all_of_the_interval_apart() {
    let (mut table, _) = advertising();
    let times: Vec<u64> = until(&mut table, 36_000_000)
        .iter()
        .map(|sent| sent.0)
        .collect();
    let apart: Vec<u64> = times.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(apart[0] <= 16_000);
    assert!(
        apart[1..].iter().all(|ms| (200_000..=600_000).contains(ms)),
        "{apart:?}"
    );
    let mut distinct = apart.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert!(distinct.len() > apart.len() / 2, "not all alike: {apart:?}");
}

/// The MTU that an advertisement tells.
fn mtu_of(frame: &[u8]) -> u32 {
    let option = &frame[54 + 24..54 + 32];
    assert_eq!(option[..4], [5, 1, 0, 0]);
    u32::from_be_bytes([option[4], option[5], option[6], option[7]])
}

#[test]
fn what_changes_is_told_soon_and_three_times() {
    let (mut table, _) = advertising();
    until(&mut table, 1_000_000);
    for (mtu, told) in [(1300, 1300), (1000, 1280), (1400, 1400)] {
        let now = table.next_deadline().expect("the next one") - 100_000;
        let what = Advertise { mtu, ..WHAT };
        table.set_port(info(Some(what)), now, &mut Vec::new());
        let sent = until(&mut table, now + 40_000);
        assert_eq!((sent.len(), sent[0].0), (3, now));
        assert!(sent.iter().all(|(_, frame)| mtu_of(frame) == told));
        let next = table.next_deadline();
        table.set_port(info(Some(what)), now + 40_000, &mut Vec::new());
        assert_eq!(table.next_deadline(), next, "nothing is new");
    }
    // Soon after one that was sent, they wait for the three seconds.
    let now = until(&mut table, 10_000_000).pop().expect("the last").0;
    let what = Advertise { mtu: 1500, ..WHAT };
    table.set_port(info(Some(what)), now + 2, &mut Vec::new());
    assert_eq!(until(&mut table, now + 5000)[0].0, now + 3000);
}

#[test]
fn who_stops_says_so_once() {
    let (mut table, _) = advertising();
    let mut out = Vec::new();
    table.farewell(&mut out);
    table.set_port(info(None), 1000, &mut out);
    assert_eq!(out.len(), 2);
    for frame in out.drain(..) {
        assert_eq!(
            (frame.bytes[54], &frame.bytes[60..62]),
            (134, &[0, 0][..]),
            "a lifetime of 0"
        );
    }
    table.set_port(info(None), 2000, &mut out);
    assert!(out.is_empty() && until(&mut table, 10_000_000).is_empty());
    let fate = table
        .input(P0, &solicitation("::", None), 3000, &mut out)
        .fate;
    assert_eq!(fate, Fate::Ignored(Ignored::RouterMessage));
    table.set_port(info(Some(WHAT)), 4000, &mut out);
    table.set_port(
        PortInfo {
            up: false,
            ..info(Some(WHAT))
        },
        4000,
        &mut out,
    );
    assert!(
        until(&mut table, 10_000_000).is_empty(),
        "not while it is down"
    );
    table.set_port(info(Some(WHAT)), 10_000_000, &mut out);
    assert_eq!(until(&mut table, 10_000_000).len(), 1, "anew when it is up");
}

#[test]
fn solicitations_that_contradict_themselves_are_ignored() {
    let (mut table, mut out) = advertising();
    let mut ignored = |frame: &[u8]| table.input(P0, frame, 5000, &mut out).fate;
    assert_eq!(
        ignored(&solicitation("::", Some(mac(9)))),
        Fate::Ignored(Ignored::BadCombination)
    );
    assert_eq!(
        ignored(&solicitation("ff02::9", None)),
        Fate::Ignored(Ignored::BadSender)
    );
    let mut crossed = solicitation("fe80::9", None);
    crossed[21] = 254;
    assert_eq!(ignored(&crossed), Fate::Ignored(Ignored::BadHopLimit));
}
