//! Ordinary neighbours: asked for packets, retried by timer, refreshed while used, forgotten.

use arp::{NeighState, PortInfo};

use crate::rig::{FAMILIES, P0, Rig, advert, ip, mac, nd_frame};

const HOUR: u64 = 3_600_000;

#[test]
fn a_neighbour_that_answers_is_reachable_and_found_by_its_address() {
    for addr in FAMILIES {
        let mut rig = Rig::new();
        rig.host(addr, mac(9));
        let idx = rig.ask(addr);
        assert_eq!(rig.state(idx), NeighState::Incomplete);
        assert!(rig.sent.is_empty(), "questions go out with poll");
        rig.run(0);
        let word = rig.view.word(idx);
        assert_eq!(
            (word.state(), word.mac()),
            (NeighState::Reachable, mac(9)),
            "{addr}"
        );
        assert_eq!(rig.view.lookup(P0, &ip(addr)), Some(idx));
        assert!(rig.take_events().is_empty(), "events are about gateways");
    }
}

#[test]
fn questions_are_repeated_by_timer_once_a_second_however_many_packets_wait() {
    for addr in FAMILIES {
        let mut rig = Rig::new();
        let start = rig.now;
        let idx = rig.ask(addr);
        for _ in 0..3500 {
            assert_eq!(rig.ask(addr), idx);
            rig.run(1);
        }
        // The fourth is the failed one's, which packets still ask for.
        let expected = [(0, true), (1000, true), (2000, true), (3000, true)];
        let questions = rig.take_questions(start);
        assert_eq!(questions, expected, "{addr}");
        assert_eq!(rig.state(idx), NeighState::Failed);
    }
}

#[test]
fn a_neighbour_that_does_not_answer_fails_and_is_forgotten() {
    for addr in FAMILIES {
        let mut rig = Rig::new();
        let start = rig.now;
        let idx = rig.ask(addr);
        rig.run(2999);
        assert_eq!(rig.state(idx), NeighState::Incomplete);
        rig.run(1);
        assert_eq!(rig.state(idx), NeighState::Failed);
        rig.run(19_999);
        assert_eq!(rig.state(idx), NeighState::Failed);
        rig.run(1);
        assert_eq!(rig.state(idx), NeighState::Free);
        assert_eq!(rig.view.lookup(P0, &ip(addr)), None);
        assert_eq!(rig.take_questions(start).len(), 3);
        assert_eq!((rig.table.fills().0, rig.table.next_deadline()), (0, None));
        assert_eq!(
            (rig.table.stats().unanswered, rig.table.stats().timeouts),
            (1, 1)
        );
    }
}

#[test]
fn a_failed_neighbour_that_returns_is_found_within_a_second_of_traffic() {
    for addr in FAMILIES {
        let mut rig = Rig::new();
        let idx = rig.ask(addr);
        rig.run(5000);
        assert_eq!(rig.state(idx), NeighState::Failed);
        rig.host(addr, mac(9));
        rig.run(5000);
        assert_eq!(rig.state(idx), NeighState::Failed, "nobody asked for it");
        assert_eq!(rig.ask(addr), idx);
        rig.run(0);
        assert_eq!(rig.state(idx), NeighState::Reachable);
    }
}

#[test]
fn a_used_neighbour_is_asked_again_before_its_answer_lapses_for_hours() {
    for addr in FAMILIES {
        let mut rig = Rig::new();
        rig.host(addr, mac(9));
        let start = rig.now;
        let idx = rig.ask(addr);
        for _ in 0..10 * HOUR / 60_000 {
            rig.run(60_000);
            rig.table.used(idx, rig.now);
            assert!(rig.view.word(idx).usable());
        }
        // Asked 3 s before each 20 minutes are over, unicast.
        let questions = rig.take_questions(start);
        let period = 1_197_000;
        let expected: Vec<_> = (0..=10 * HOUR / period)
            .map(|round| (round * period, round == 0))
            .collect();
        assert_eq!(questions, expected, "{addr}");
    }
}

#[test]
fn an_unused_neighbour_lapses_after_twenty_minutes_unasked() {
    for addr in FAMILIES {
        let mut rig = Rig::new();
        rig.host(addr, mac(9));
        let idx = rig.ask(addr);
        rig.run(1_199_999);
        assert_eq!(rig.state(idx), NeighState::Reachable);
        assert_eq!(rig.table.list(rig.now)[0].expires_ms, Some(1));
        rig.run(1);
        assert_eq!(rig.state(idx), NeighState::Free);
        assert_eq!(rig.table.stats().unanswered, 0);
    }
}

#[test]
fn a_use_in_the_last_seconds_still_refreshes() {
    for addr in FAMILIES {
        let mut rig = Rig::new();
        rig.host(addr, mac(9));
        let idx = rig.ask(addr);
        rig.run(1_198_000);
        rig.table.used(idx, rig.now);
        rig.run(HOUR / 6);
        assert_eq!(rig.state(idx), NeighState::Reachable);
    }
}

#[test]
fn a_used_neighbour_that_is_gone_stays_usable_while_it_is_asked_and_then_fails() {
    for addr in FAMILIES {
        let mut rig = Rig::new();
        rig.host(addr, mac(9));
        let idx = rig.ask(addr);
        rig.run(10);
        rig.table.used(idx, rig.now);
        rig.hosts[0].alive = false;
        rig.sent.clear();
        let start = rig.now - 10 + 1_197_000;
        rig.run(1_197_000 - 10 + 2999);
        assert_eq!(rig.state(idx), NeighState::Probe);
        assert!(rig.view.word(idx).usable());
        rig.run(1);
        assert_eq!(rig.state(idx), NeighState::Failed);
        // The last question goes to everybody.
        assert_eq!(
            rig.take_questions(start),
            [(0, false), (1000, false), (2000, true)]
        );
    }
}

#[test]
fn a_neighbour_that_came_back_with_another_mac_is_found_by_the_last_question() {
    for addr in FAMILIES {
        let mut rig = Rig::new();
        rig.host(addr, mac(9));
        let idx = rig.ask(addr);
        rig.run(10);
        rig.table.used(idx, rig.now);
        rig.hosts[0].mac = mac(10);
        rig.run(1_200_000);
        let word = rig.view.word(idx);
        assert_eq!(
            (word.state(), word.mac()),
            (NeighState::Reachable, mac(10)),
            "{addr}"
        );
        let moved = arp::Event::Moved {
            idx,
            from: mac(9),
            to: mac(10),
        };
        assert_eq!(rig.take_events(), [moved]);
    }
}

#[test]
fn a_reused_slot_has_another_generation() {
    let (mut table, view) = arp::new(
        arp::Config {
            limit: 1,
            ..Default::default()
        },
        1,
    );
    let mut out = Vec::new();
    table.set_port(Rig::info(true), 0, &mut out);
    let first = table.ask(P0, ip("10.0.0.9"), 0).unwrap();
    let before = view.word(first);
    table.delete(None, &ip("10.0.0.9")).unwrap();
    assert_eq!(view.word(first).state(), NeighState::Free);
    let second = table.ask(P0, ip("10.0.0.10"), 0).unwrap();
    assert_eq!(first, second);
    assert_ne!(before.generation(), view.word(second).generation());
    assert_eq!(view.lookup(P0, &ip("10.0.0.9")), None);
}

#[test]
fn a_stale_neighbour_is_usable_and_verified_once_it_is_used() {
    let mut rig = Rig::new();
    rig.host("fd00::9", mac(9));
    let idx = rig.ask("fd00::9");
    rig.run(0);
    // Another MAC, unsolicited, with override: believed, to be verified.
    let said = advert("fd00::9", crate::rig::OVERRIDE, Some(mac(8)));
    rig.accept(&nd_frame(
        arp::Mac([0x33, 0x33, 0, 0, 0, 1]),
        mac(8),
        "fd00::9",
        "ff02::1",
        &said,
    ));
    let word = rig.view.word(idx);
    assert_eq!((word.state(), word.mac()), (NeighState::Stale, mac(8)));
    rig.hosts[0].mac = mac(8);
    rig.run(60_000);
    assert_eq!(rig.state(idx), NeighState::Stale, "not used, not asked");
    rig.table.used(idx, rig.now);
    rig.run(0);
    assert_eq!(rig.state(idx), NeighState::Reachable);
}

#[test]
fn what_can_be_no_neighbour_is_refused() {
    use arp::NeighError as E;
    let mut rig = Rig::new();
    let cases = [
        ("10.0.0.1", E::OwnAddress(ip("10.0.0.1"))),
        ("fe80::1", E::OwnAddress(ip("fe80::1"))),
        ("224.0.0.1", E::NotUnicast(ip("224.0.0.1"))),
        ("ff02::1", E::NotUnicast(ip("ff02::1"))),
        ("0.0.0.0", E::NotUnicast(ip("0.0.0.0"))),
        (
            "10.255.255.255",
            E::OffLink {
                port: P0,
                addr: ip("10.255.255.255"),
            },
        ),
        (
            "192.0.2.1",
            E::OffLink {
                port: P0,
                addr: ip("192.0.2.1"),
            },
        ),
        (
            "2001:db8::1",
            E::OffLink {
                port: P0,
                addr: ip("2001:db8::1"),
            },
        ),
    ];
    for (addr, error) in cases {
        assert_eq!(rig.table.ask(P0, ip(addr), rig.now), Err(error));
        assert_eq!(rig.table.reserve(P0, ip(addr), rig.now), Err(error));
        assert_eq!(
            rig.table.set_static(P0, ip(addr), mac(1), false),
            Err(error)
        );
    }
    let other = arp::PortId(7);
    assert_eq!(
        rig.table.ask(other, ip("10.0.0.9"), rig.now),
        Err(E::UnknownPort(other))
    );
    let bad = rig
        .table
        .set_static(P0, ip("10.0.0.9"), arp::Mac::BROADCAST, false);
    assert_eq!(bad, Err(E::BadMac(arp::Mac::BROADCAST)));
    rig.set_port_to(PortInfo {
        up: false,
        ..Rig::info(true)
    });
    assert_eq!(
        rig.table.ask(P0, ip("10.0.0.9"), rig.now),
        Err(E::PortDown(P0))
    );
    assert_eq!(rig.table.fills().0, 0);
    assert_eq!(
        rig.table.delete(None, &ip("10.0.0.9")),
        Err(E::NotFound(ip("10.0.0.9")))
    );
}

#[test]
fn a_port_that_goes_down_or_loses_the_prefix_forgets_ordinary_neighbours() {
    let mut rig = Rig::new();
    rig.host("10.0.0.9", mac(9));
    rig.host("fd00::9", mac(9));
    let (v4, v6) = (rig.ask("10.0.0.9"), rig.ask("fd00::9"));
    let fixed = rig
        .table
        .set_static(P0, ip("10.0.0.5"), mac(5), false)
        .unwrap();
    rig.run(0);
    let only_v6 = Rig::info(true).addrs.split_off(1);
    rig.set_port_to(PortInfo {
        addrs: only_v6,
        ..Rig::info(true)
    });
    assert_eq!(rig.state(v4), NeighState::Free);
    assert_eq!(rig.state(v6), NeighState::Reachable);
    rig.set_port(false);
    assert_eq!(rig.state(v6), NeighState::Free);
    assert_eq!(rig.state(fixed), NeighState::Permanent);
    rig.table.remove_port(P0);
    assert_eq!(rig.table.fills().0, 0);
}
