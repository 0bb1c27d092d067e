//! What questions, announcements and answers teach, and whom they confirm.

use super::*;
use crate::rig::{OVERRIDE, P0, Rig, SOLICITED, Seen, ip, solicit};
use arp::{Event, Ignored, NeighState};

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
fn an_announcement_by_reply_is_no_answer_to_an_open_question() {
    let mut rig = Rig::new();
    let idx = rig.reserve("10.0.0.9");
    rig.run(0);
    rig.accept(&arp_frame(false, ALL, mac(9), "10.0.0.9", "10.0.0.9"));
    assert_eq!(rig.state(idx), NeighState::Probe);
    assert!(rig.take_events().is_empty(), "not up");
}
