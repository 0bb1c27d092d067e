//! Every reason to ignore a frame, each for its case.

use super::*;
use crate::rig::{OVERRIDE, Rig, SOLICITED, solicit};
use arp::{Ignored, PortId};
use smoltcp::wire::NdiscRepr;
use std::collections::HashSet;

#[test]
fn every_reason_to_ignore_a_frame_is_given_for_its_case_and_nothing_is_learned() {
    use Ignored as I;
    let mut rig = Rig::new();
    let good = reply(mac(9), "10.0.0.9");
    let ns = nd_frame(
        GROUP,
        mac(9),
        "fd00::9",
        "ff02::1:ff00:1",
        &solicit("fd00::1", Some(mac(9))),
    );
    let dad = |dst: &str, lladdr| nd_frame(GROUP, mac(9), "::", dst, &solicit("fd00::1", lladdr));
    let to_group = nd_frame(
        GROUP,
        mac(9),
        "fd00::9",
        "ff02::1",
        &advert("fd00::9", SOLICITED, None),
    );
    let rs = nd_frame(
        OUR,
        mac(9),
        "fd00::9",
        "ff02::2",
        &NdiscRepr::RouterSolicit { lladdr: None },
    );
    let bogus_v6 = |src: &str| {
        nd_frame(
            OUR,
            mac(9),
            src,
            "fd00::1",
            &advert("fd00::9", SOLICITED, None),
        )
    };
    let mut cases = vec![
        (I::NotNeighbour, with(good.clone(), 12, &[0x08, 0x00])),
        (I::NotNeighbour, with_icmp(ns.clone(), 54, &[128])),
        (I::Truncated, good[..41].to_vec()),
        (I::Truncated, good[..13].to_vec()),
        (I::Truncated, ns[..85].to_vec()),
        (I::BadHeader, with(good.clone(), 14, &[0, 6])),
        (I::BadHeader, with(good.clone(), 16, &[0x86, 0xdd])),
        (I::BadHeader, with(good.clone(), 18, &[8])),
        (I::BadHeader, with(good.clone(), 19, &[16])),
        (I::BadHeader, with(ns.clone(), 14, &[0x45])),
        (I::BadOperation, with(good.clone(), 20, &[0, 3])),
        (I::BadOperation, with(good.clone(), 20, &[1, 1])),
        (I::BadHopLimit, with(ns.clone(), 21, &[254])),
        (I::BadHopLimit, with(ns.clone(), 21, &[0])),
        (I::BadChecksum, with(ns.clone(), 56, &[0, 0])),
        (I::BadCode, with_icmp(ns.clone(), 55, &[1])),
        (I::BadOption, with_icmp(ns.clone(), 79, &[0])),
        (I::BadOption, with_icmp(ns.clone(), 79, &[2])),
        (I::BadCombination, dad("fd00::1", None)),
        (I::BadCombination, dad("ff02::1:ff00:1", Some(mac(9)))),
        (I::BadCombination, to_group),
        (I::BadSender, reply(Mac::BROADCAST, "10.0.0.9")),
        (I::BadSender, with(good.clone(), 22, &Mac::ZERO.0)),
        (
            I::BadSender,
            with(good.clone(), 22, &[0x01, 0, 0x5e, 0, 0, 1]),
        ),
        (
            I::BadSender,
            with(good.clone(), 6, &[0x01, 0, 0x5e, 0, 0, 1]),
        ),
        (I::BadSender, reply(mac(9), "224.0.0.1")),
        (I::BadSender, reply(mac(9), "127.0.0.1")),
        (I::BadSender, reply(mac(9), "255.255.255.255")),
        (I::BadSender, na("fd00::9", SOLICITED, Some(Mac::BROADCAST))),
        (I::BadSender, bogus_v6("ff02::9")),
        (I::BadSender, bogus_v6("::")),
        (
            I::BadTarget,
            nd_frame(OUR, mac(9), "fd00::9", "fd00::1", &solicit("ff02::1", None)),
        ),
        (
            I::BadTarget,
            nd_frame(
                OUR,
                mac(9),
                "fd00::9",
                "fd00::1",
                &advert("::", SOLICITED, None),
            ),
        ),
        (I::OwnFrame, reply(OUR, "10.0.0.9")),
        (I::OwnFrame, with(good.clone(), 22, &OUR.0)),
        (
            I::NotForUs,
            arp_frame(false, mac(3), mac(9), "10.0.0.9", "10.0.0.1"),
        ),
        (I::NotForUs, with(ns.clone(), 0, &mac(3).0)),
        (I::OffLink, reply(mac(9), "192.0.2.1")),
        (I::OffLink, reply(mac(9), "10.255.255.255")),
        (I::OffLink, na("2001:db8::1", SOLICITED, Some(mac(9)))),
        (I::NotOurs, request(mac(9), "10.0.0.9", "10.0.0.3")),
        (I::NotOurs, request(mac(9), "0.0.0.0", "10.0.0.3")),
        (I::NotAsked, good.clone()),
        (
            I::NotAsked,
            na("fd00::9", SOLICITED | OVERRIDE, Some(mac(9))),
        ),
        (I::RouterMessage, rs.clone()),
        (I::RouterMessage, with_icmp(rs, 54, &[134])),
        (
            I::Redirect,
            with_icmp(na("fd00::9", SOLICITED, Some(mac(9))), 54, &[137]),
        ),
    ];
    // A router's messages and redirects are longer; what is cut short says so.
    cases.retain(|(reason, frame)| {
        let short =
            matches!(reason, I::Redirect) || (*reason == I::RouterMessage && frame[54] == 134);
        if short {
            let mut padded = frame.clone();
            padded.resize(frame.len() + 40, 0);
            padded[19] += 40;
            rig.ignore(&with_icmp(padded, 56, &[0, 0]), *reason);
        }
        !short
    });
    let mut seen: HashSet<_> = cases.iter().map(|(reason, _)| *reason).collect();
    for (reason, frame) in &cases {
        rig.ignore(frame, *reason);
        assert!(rig.sent.is_empty(), "{reason:?}");
    }
    assert_eq!(rig.table.fills().0, 0);
    let other = rig.table.input(PortId(9), &good, rig.now, &mut Vec::new());
    assert_eq!(other.fate, arp::Fate::Ignored(I::UnknownPort));
    rig.set_port(false);
    rig.ignore(&good, I::PortDown);
    // Those with a state of their own have a test of their own, below.
    seen.extend([I::UnknownPort, I::PortDown, I::Redirect]);
    seen.extend([
        I::NoLinkAddress,
        I::NoOverride,
        I::Static,
        I::Conflict,
        I::NoRoom,
        I::Claim,
    ]);
    let missing: Vec<_> = I::ALL
        .iter()
        .filter(|reason| !seen.contains(reason))
        .collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
    let counted: u64 = rig.table.stats().reasons().map(|(_, count)| count).sum();
    assert_eq!(counted, cases.len() as u64 + 4);
}
