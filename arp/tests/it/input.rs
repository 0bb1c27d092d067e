//! What frames may teach us, and why the rest is ignored.

use std::collections::HashSet;

use arp::{Config, Event, Ignored, Mac, NeighError, NeighState, PortId, PortInfo};
use smoltcp::wire::{NdiscNeighborFlags, NdiscRepr};

use crate::rig::{OUR, OVERRIDE, P0, Rig, SOLICITED, Seen, advert, arp_frame, ip, mac};
use crate::rig::{nd_frame, solicit};

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

#[test]
fn a_question_to_us_teaches_the_asker_and_is_merged_when_it_repeats() {
    for (frame, addr) in [
        (request(mac(9), "10.0.0.9", "10.0.0.1"), "10.0.0.9"),
        (
            nd_frame(
                GROUP,
                mac(9),
                "fd00::9",
                "ff02::1:ff00:1",
                &solicit("fd00::1", Some(mac(9))),
            ),
            "fd00::9",
        ),
    ] {
        let mut rig = Rig::new();
        rig.accept(&frame);
        rig.accept(&frame);
        assert_eq!(rig.sent.len(), 2, "answered each time");
        let (idx, word) = rig.view.resolve(P0, &ip(addr)).unwrap();
        assert_eq!((word.state(), word.mac()), (NeighState::Stale, mac(9)));
        rig.run(1_199_999);
        assert_eq!(rig.state(idx), NeighState::Stale);
        rig.run(1);
        assert_eq!(rig.state(idx), NeighState::Free, "never used, forgotten");
    }
}

#[test]
fn an_off_link_asker_is_answered_but_never_learned() {
    let mut rig = Rig::new();
    // A server that asks for its gateway from the service address.
    rig.ignore(&request(mac(9), "192.0.2.80", "10.0.0.1"), Ignored::OffLink);
    let ns = solicit("fd00::1", Some(mac(9)));
    let frame = nd_frame(GROUP, mac(9), "2001:db8::80", "ff02::1:ff00:1", &ns);
    rig.ignore(&frame, Ignored::OffLink);
    let sent = rig.take_sent();
    assert!(matches!(sent[0], Seen::ArpReply { to, .. } if to == mac(9)));
    assert!(matches!(sent[1], Seen::Advert { to, .. } if to == mac(9)));
    assert_eq!(rig.table.fills().0, 0);
}

#[test]
fn a_solicitation_without_link_address_is_answered_to_its_frames_sender() {
    let mut rig = Rig::new();
    rig.accept(&nd_frame(
        OUR,
        mac(9),
        "fd00::9",
        "fd00::1",
        &solicit("fd00::1", None),
    ));
    assert!(matches!(rig.take_sent()[..], [Seen::Advert { to, .. }] if to == mac(9)));
    assert_eq!(rig.table.fills().0, 0);
}

#[test]
fn probes_and_detection_are_answered_but_not_cached() {
    let mut rig = Rig::new();
    rig.accept(&request(mac(9), "0.0.0.0", "10.0.0.1"));
    rig.accept(&nd_frame(
        GROUP,
        mac(9),
        "::",
        "ff02::1:ff00:1",
        &solicit("fd00::1", None),
    ));
    assert_eq!((rig.sent.len(), rig.table.fills().0), (2, 0));
    assert!(rig.take_events().is_empty());
}

#[test]
fn gratuitous_arp_corrects_a_neighbour_at_once_and_creates_none() {
    let mut rig = Rig::new();
    rig.host("10.0.0.9", mac(9));
    let idx = rig.reserve("10.0.0.9");
    rig.run(0);
    rig.take_events();
    for (step, frame) in [
        request(mac(8), "10.0.0.9", "10.0.0.9"),
        arp_frame(false, ALL, mac(9), "10.0.0.9", "10.0.0.9"),
    ]
    .into_iter()
    .enumerate()
    {
        let before = rig.view.word(idx).mac();
        rig.accept(&frame);
        let word = rig.view.word(idx);
        assert!(word.usable());
        assert_ne!(word.mac(), before, "step {step}");
        assert_eq!(
            rig.take_events(),
            [Event::Moved {
                idx,
                from: before,
                to: word.mac()
            }]
        );
    }
    rig.ignore(&request(mac(5), "10.0.0.5", "10.0.0.5"), Ignored::NotOurs);
    assert_eq!(rig.table.stats().moved, 2);
}

#[test]
fn a_waiting_packet_may_go_when_the_neighbour_asks_us_itself() {
    let mut rig = Rig::new();
    let idx = rig.ask("10.0.0.9");
    rig.run(100);
    rig.accept(&request(mac(9), "10.0.0.9", "10.0.0.1"));
    let word = rig.view.word(idx);
    assert_eq!((word.state(), word.mac()), (NeighState::Probe, mac(9)));
    rig.host("10.0.0.9", mac(9));
    rig.run(1000);
    assert_eq!(rig.state(idx), NeighState::Reachable);
}

#[test]
fn an_advertisement_without_override_is_doubted_not_believed() {
    let mut rig = Rig::new();
    rig.host("fd00::9", mac(9));
    let idx = rig.ask("fd00::9");
    rig.run(0);
    rig.ignore(&na("fd00::9", SOLICITED, Some(mac(8))), Ignored::NoOverride);
    let word = rig.view.word(idx);
    assert_eq!(
        (word.state(), word.mac()),
        (NeighState::Stale, mac(9)),
        "RFC 4861 7.2.5"
    );
    assert!(rig.take_events().is_empty());
}

#[test]
fn an_advertisement_without_link_address_confirms_only_a_known_one() {
    let mut rig = Rig::new();
    let idx = rig.reserve("fd00::9");
    rig.run(0);
    rig.ignore(&na("fd00::9", SOLICITED, None), Ignored::NoLinkAddress);
    assert_eq!(rig.state(idx), NeighState::Incomplete);
    rig.accept(&na("fd00::9", SOLICITED, Some(mac(9))));
    rig.run(1000);
    rig.accept(&na("fd00::9", SOLICITED, None));
    rig.run(900);
    assert_eq!(rig.state(idx), NeighState::Reachable);
    assert_eq!(rig.take_events(), [Event::Up { idx }]);
}

#[test]
fn an_unsolicited_advertisement_resolves_but_does_not_confirm() {
    let mut rig = Rig::new();
    let idx = rig.reserve("fd00::9");
    rig.run(0);
    rig.accept(&na("fd00::9", OVERRIDE, Some(mac(9))));
    assert_eq!(rig.state(idx), NeighState::Probe);
    assert!(rig.take_events().is_empty());
}

#[test]
fn an_answer_that_nobody_waits_for_confirms_nothing() {
    let mut rig = Rig::new();
    rig.host("10.0.0.9", mac(9));
    let idx = rig.ask("10.0.0.9");
    rig.run(1_000_000);
    rig.accept(&reply(mac(9), "10.0.0.9"));
    rig.run(200_000);
    assert_eq!(
        rig.state(idx),
        NeighState::Free,
        "it lapses as if nothing had been said"
    );
}

#[test]
fn a_static_neighbour_wins() {
    let mut rig = Rig::new();
    let v4 = rig
        .table
        .set_static(P0, ip("10.0.0.9"), mac(9), false)
        .unwrap();
    let v6 = rig
        .table
        .set_static(P0, ip("fd00::9"), mac(9), false)
        .unwrap();
    rig.ignore(&reply(mac(8), "10.0.0.9"), Ignored::Static);
    rig.ignore(&request(mac(8), "10.0.0.9", "10.0.0.1"), Ignored::Static);
    rig.ignore(
        &na("fd00::9", SOLICITED | OVERRIDE, Some(mac(8))),
        Ignored::Static,
    );
    rig.accept(&reply(mac(9), "10.0.0.9"));
    for idx in [v4, v6] {
        assert_eq!(
            (rig.state(idx), rig.view.word(idx).mac()),
            (NeighState::Permanent, mac(9))
        );
    }
    rig.run(100_000_000);
    let lines = rig.table.list(rig.now);
    assert!(
        lines
            .iter()
            .all(|line| line.permanent && line.expires_ms.is_none())
    );
    assert_eq!(rig.table.delete(Some(P0), &ip("10.0.0.9")), Ok(1));
    assert_eq!(rig.state(v4), NeighState::Free);
}

#[test]
fn a_temporary_neighbour_is_as_one_that_was_learned() {
    let mut rig = Rig::new();
    let addr = ip("10.0.0.9");
    rig.table.set_static(P0, addr, mac(9), true).unwrap();
    let idx = rig.table.set_temporary(P0, addr, mac(8)).unwrap();
    assert_eq!(
        (rig.state(idx), rig.view.word(idx).mac()),
        (NeighState::Reachable, mac(8))
    );
    let line = rig.table.list(rig.now)[0];
    assert!(!line.permanent && !line.published);
    assert_eq!(
        line.expires_ms,
        Some(u64::from(rig.table.config().reachable_ms))
    );
    rig.accept(&request(mac(7), "10.0.0.9", "10.0.0.1"));
    assert_eq!(rig.view.word(idx).mac(), mac(7), "it speaks for itself");
    assert_eq!(rig.state(idx), NeighState::Stale);
    rig.run(100_000_000);
    assert_eq!(rig.state(idx), NeighState::Free);
    let nobody = rig.table.set_temporary(P0, addr, Mac([0xff; 6]));
    assert_eq!(nobody, Err(NeighError::BadMac(Mac([0xff; 6]))));
}

#[test]
fn a_published_address_is_not_answered_to_itself_nor_in_an_announcement() {
    let mut rig = Rig::new();
    rig.table
        .set_static(P0, ip("10.0.0.7"), mac(7), true)
        .unwrap();
    rig.accept(&request(mac(7), "10.0.0.7", "10.0.0.7"));
    rig.ignore(&request(mac(8), "10.0.0.7", "10.0.0.7"), Ignored::Static);
    rig.ignore(&request(mac(7), "0.0.0.0", "10.0.0.7"), Ignored::NotOurs);
    assert!(rig.sent.is_empty());
    rig.accept(&request(mac(9), "10.0.0.9", "10.0.0.7"));
    assert_eq!(rig.sent.len(), 1);
    assert_eq!(
        rig.view.lookup(P0, &ip("10.0.0.9")),
        None,
        "the question was not for us"
    );
    rig.table
        .set_static(P0, ip("10.0.0.7"), mac(7), false)
        .unwrap();
    rig.ignore(&request(mac(9), "10.0.0.9", "10.0.0.7"), Ignored::NotOurs);
    assert_eq!(rig.sent.len(), 1, "published no more");
}

#[test]
fn a_published_gateway_that_is_deleted_is_published_no_more() {
    let mut rig = Rig::new();
    rig.table
        .set_static(P0, ip("10.0.0.7"), mac(7), true)
        .unwrap();
    rig.reserve("10.0.0.7");
    rig.table.delete(None, &ip("10.0.0.7")).unwrap();
    let question = request(mac(9), "10.0.0.9", "10.0.0.7");
    rig.ignore(&question, Ignored::NotOurs);
    assert!(rig.sent.is_empty());
}

#[test]
fn a_solicitation_for_a_published_address_is_answered_and_teaches_nothing() {
    let mut rig = Rig::new();
    rig.table
        .set_static(P0, ip("fd00::7"), mac(7), true)
        .unwrap();
    let ns = solicit("fd00::7", Some(mac(9)));
    rig.accept(&nd_frame(GROUP, mac(9), "fd00::9", "ff02::1:ff00:7", &ns));
    assert_eq!(rig.sent.len(), 1);
    assert_eq!(rig.view.lookup(P0, &ip("fd00::9")), None);
}

#[test]
fn an_announcement_by_reply_is_no_answer_to_an_open_question() {
    let mut rig = Rig::new();
    let idx = rig.reserve("10.0.0.9");
    rig.run(0);
    rig.accept(&arp_frame(false, ALL, mac(9), "10.0.0.9", "10.0.0.9"));
    assert_eq!(rig.state(idx), NeighState::Probe);
    assert!(rig.take_events().is_empty(), "not up");
}

#[test]
fn a_conflict_is_counted_told_and_defended_at_most_every_ten_seconds() {
    let cases = [
        request(mac(9), "10.0.0.1", "10.0.0.1"),
        na("fd00::1", OVERRIDE, Some(mac(9))),
    ];
    for frame in cases {
        let mut rig = Rig::new();
        for _ in 0..250 {
            rig.ignore(&frame, Ignored::Conflict);
            rig.run(100);
        }
        let events = rig.take_events();
        assert_eq!(events.len(), 3, "at 0, 10 and 20 s");
        assert!(matches!(events[0], Event::Conflict { port: P0, mac: by, .. } if by == mac(9)));
        assert_eq!(
            rig.sent
                .iter()
                .map(|(at, _)| at - 1_000_000)
                .collect::<Vec<_>>(),
            [0, 10_000, 20_000]
        );
        let stats = rig.table.stats();
        assert_eq!(
            (stats.dupips, stats.defences, stats.announcements),
            (250, 3, 3)
        );
        assert_eq!(rig.table.fills().0, 0, "never cached");
    }
}

#[test]
fn setting_a_port_again_does_not_forget_when_it_defended() {
    let mut rig = Rig::new();
    let frame = request(mac(9), "10.0.0.1", "10.0.0.1");
    for _ in 0..10 {
        rig.ignore(&frame, Ignored::Conflict);
        rig.set_port(true);
    }
    assert_eq!(rig.sent.len(), 1);
}

#[test]
fn our_own_frame_heard_on_another_port_of_the_same_segment_is_ours() {
    let mut rig = Rig::new();
    let other = PortInfo {
        port: PortId(1),
        mac: mac(200),
        addrs: vec![(ip("10.1.0.1"), 24)],
        up: true,
        advertise: None,
    };
    rig.set_port_to(other);
    rig.ignore(
        &request(mac(200), "10.1.0.1", "10.0.0.1"),
        Ignored::OwnFrame,
    );
}

#[test]
fn one_host_on_two_ports_is_two_neighbours() {
    let mut rig = Rig::new();
    let second = PortInfo {
        port: PortId(1),
        mac: mac(200),
        addrs: vec![(ip("fe80::2"), 64)],
        up: true,
        advertise: None,
    };
    rig.set_port_to(second);
    let first = rig.ask("fe80::9");
    let second = rig.table.ask(PortId(1), ip("fe80::9"), rig.now).unwrap();
    assert_ne!(first, second);
    rig.run(0);
    rig.accept(&nd_frame(
        OUR,
        mac(9),
        "fe80::9",
        "fe80::1",
        &advert("fe80::9", SOLICITED, Some(mac(9))),
    ));
    assert_eq!(rig.state(first), NeighState::Reachable);
    assert_eq!(rig.state(second), NeighState::Incomplete);
    assert_eq!(rig.table.delete(None, &ip("fe80::9")), Ok(2));
}

#[test]
fn counters_say_what_was_sent_and_received() {
    let mut rig = Rig::new();
    rig.host("10.0.0.9", mac(9));
    rig.host("fd00::9", mac(9));
    rig.ask("10.0.0.9");
    rig.ask("fd00::9");
    rig.run(0);
    rig.accept(&request(mac(9), "10.0.0.9", "10.0.0.1"));
    let ns = solicit("fd00::1", Some(mac(9)));
    rig.accept(&nd_frame(GROUP, mac(9), "fd00::9", "ff02::1:ff00:1", &ns));
    rig.input(&[0; 60]);
    let stats = rig.table.stats();
    assert_eq!((stats.txrequests, stats.txreplies), (1, 1));
    assert_eq!(
        (stats.rxrequests, stats.rxreplies, stats.received),
        (1, 1, 2)
    );
    assert_eq!(
        (stats.tx_neighbor_solicit, stats.tx_neighbor_advert),
        (1, 1)
    );
    assert_eq!(
        (stats.rx_neighbor_solicit, stats.rx_neighbor_advert),
        (1, 1)
    );
    assert_eq!(stats.ignored(Ignored::NotNeighbour), 1);
}

#[test]
fn the_list_shows_each_kind_of_neighbour() {
    let mut rig = Rig::with(Config::default());
    rig.host("10.0.0.9", mac(9));
    rig.reserve("10.0.0.9");
    rig.ask("10.0.0.10");
    rig.table
        .set_static(P0, ip("10.0.0.7"), mac(7), true)
        .unwrap();
    rig.run(0);
    let lines = rig.table.list(rig.now);
    let brief: Vec<_> = lines
        .iter()
        .map(|l| {
            (
                l.addr.to_string(),
                l.mac,
                l.state,
                l.permanent,
                l.published,
                l.reserved,
            )
        })
        .collect();
    assert_eq!(
        brief,
        [
            (
                "10.0.0.7".into(),
                Some(mac(7)),
                NeighState::Permanent,
                true,
                true,
                false
            ),
            (
                "10.0.0.9".into(),
                Some(mac(9)),
                NeighState::Reachable,
                false,
                false,
                true
            ),
            (
                "10.0.0.10".into(),
                None,
                NeighState::Incomplete,
                false,
                false,
                false
            ),
        ]
    );
    assert!(lines.iter().all(|line| line.expires_ms.is_none()));
}
