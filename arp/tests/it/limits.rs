//! Scans and floods: what is bounded, who goes, and who never does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arp::{Config, Ignored, Mac, NeighError, NeighIdx, NeighState};

use crate::rig::{OUR, P0, Rig, arp_frame, ip, mac};

/// Three gateways, dead and alive, and twenty hosts that answered.
fn populated() -> (Rig, Vec<NeighIdx>) {
    let mut rig = Rig::new();
    let mut kept = Vec::new();
    for host in 2..22 {
        let addr = format!("10.0.0.{host}");
        rig.host(&addr, mac(host));
        kept.push(rig.ask(&addr));
    }
    rig.host("10.0.1.1", mac(101));
    rig.host("fd00::101", mac(101));
    kept.push(rig.reserve("10.0.1.1"));
    kept.push(rig.reserve("fd00::101"));
    kept.push(rig.reserve("10.0.1.2"));
    rig.run(2000);
    rig.take_events();
    rig.sent.clear();
    (rig, kept)
}

/// Asks for an address after another, `per_ms` a millisecond, for `ms`.
fn scan(rig: &mut Rig, ms: u64, per_ms: u32, addr: impl Fn(u32) -> IpAddr) -> u64 {
    let mut number = 0;
    let mut refused = 0;
    for _ in 0..ms {
        for _ in 0..per_ms {
            match rig.table.ask(P0, addr(number), rig.now) {
                Ok(_) => {}
                Err(NeighError::PortBusy(P0)) => refused += 1,
                Err(other) => panic!("{other}"),
            }
            number += 1;
        }
        rig.run(1);
    }
    refused
}

#[test]
fn a_scan_of_a_slash_8_or_a_slash_64_displaces_nobody_that_answered() {
    let v4 = |number: u32| Ipv4Addr::from_bits(0x0a80_0000 + number).into();
    let v6 = |number: u32| {
        Ipv6Addr::from_bits(0xfd00_0000_0000_0000_0000_00aa_0000_0000 + u128::from(number)).into()
    };
    let families: [&dyn Fn(u32) -> IpAddr; 2] = [&v4, &v6];
    for family in families {
        let (mut rig, kept) = populated();
        let before: Vec<_> = kept.iter().map(|&idx| rig.view.word(idx)).collect();
        let refused = scan(&mut rig, 10_000, 10, family);
        let after: Vec<_> = kept.iter().map(|&idx| rig.view.word(idx)).collect();
        assert_eq!(before, after);
        assert!(rig.take_events().is_empty(), "no gateway flapped");
        let (used, limit) = rig.table.fills();
        assert!(used <= limit && used <= 256 + 23, "{used} used");
        // 256 questions every 100 ms, whatever the scan's rate, and the gateways' own.
        assert!(
            refused > 0 && rig.sent.len() < 26_000,
            "{} sent",
            rig.sent.len()
        );
        assert_eq!(rig.table.stats().refused_busy, refused);
    }
}

#[test]
fn a_host_that_answers_is_found_in_the_middle_of_a_scan() {
    let (mut rig, _) = populated();
    rig.host("10.9.9.9", mac(99));
    for round in 0..100u32 {
        let _ = scan(&mut rig, 20, 20, |n| {
            Ipv4Addr::from_bits(0x0a80_0000 + round * 400 + n).into()
        });
        // Refused while the scan fills the port, but never for long: a hundred milliseconds.
        let found = (0..200).any(|_| {
            rig.run(1);
            rig.table.ask(P0, ip("10.9.9.9"), rig.now).is_ok()
        });
        assert!(found, "round {round}");
        rig.run(0);
        let (_, word) = rig.view.resolve(P0, &ip("10.9.9.9")).unwrap();
        assert_eq!(word.state(), NeighState::Reachable);
        rig.table.delete(None, &ip("10.9.9.9")).unwrap();
    }
}

#[test]
fn a_full_table_lets_failed_go_before_unused_before_unanswered() {
    let cfg = Config {
        limit: 4,
        incomplete_limit_per_port: 100,
        ..Config::default()
    };
    let mut rig = Rig::with(cfg);
    let gateway = rig.reserve("10.0.0.2");
    let failed = rig.ask("10.0.0.3");
    rig.run(5000);
    assert_eq!(rig.state(failed), NeighState::Failed);
    rig.accept(&arp_frame(true, OUR, mac(4), "10.0.0.4", "10.0.0.1"));
    let unused = rig.table.list(rig.now)[2].idx;
    assert_eq!(rig.state(unused), NeighState::Stale);
    let first = rig.ask("10.0.0.5");
    rig.run(50);
    assert_eq!(rig.ask("10.0.0.6"), failed);
    assert_eq!(rig.ask("10.0.0.7"), unused);
    rig.run(60);
    assert_eq!(rig.ask("10.0.0.8"), first, "asked 110 ms ago");
    // The others have not had their hundred milliseconds.
    let refused = rig.table.ask(P0, ip("10.0.0.9"), rig.now);
    assert_eq!(refused, Err(NeighError::Full));
    assert_eq!(
        rig.table.reserve(P0, ip("10.0.0.9"), rig.now),
        Err(NeighError::Full)
    );
    assert_eq!(rig.table.stats().refused_full, 2);
    assert_eq!(rig.table.stats().evicted, 3);
    assert_eq!(rig.state(gateway), NeighState::Failed);
    assert_eq!(rig.table.fills(), (4, 4));
}

#[test]
fn an_unanswered_question_may_wait_exactly_its_time() {
    for (limit, per_port) in [(1, 100), (100, 1)] {
        let cfg = Config {
            limit,
            incomplete_limit_per_port: per_port,
            ..Config::default()
        };
        let mut rig = Rig::with(cfg);
        rig.ask("10.0.0.2");
        rig.now += 99;
        assert!(rig.table.ask(P0, ip("10.0.0.3"), rig.now).is_err());
        rig.now += 1;
        assert!(rig.table.ask(P0, ip("10.0.0.3"), rig.now).is_ok());
        assert_eq!(rig.view.lookup(P0, &ip("10.0.0.2")), None);
    }
}

#[test]
fn the_slot_freed_last_is_used_again_last() {
    let mut rig = Rig::with(Config {
        limit: 8,
        ..Config::default()
    });
    let freed = rig.ask("10.0.0.2");
    rig.table.delete(None, &ip("10.0.0.2")).unwrap();
    for host in 3..10 {
        assert_ne!(rig.ask(&format!("10.0.0.{host}")), freed);
    }
    assert_eq!(rig.ask("10.0.0.10"), freed);
}

#[test]
fn a_table_full_of_unanswered_questions_learns_nobody_however_old_they_are() {
    let mut rig = Rig::with(Config {
        limit: 2,
        ..Config::default()
    });
    let asked = [rig.ask("10.0.0.2"), rig.ask("10.0.0.3")];
    rig.run(2000);
    let question = arp_frame(true, OUR, mac(4), "10.0.0.4", "10.0.0.1");
    rig.ignore(&question, Ignored::NoRoom);
    for idx in asked {
        assert_eq!(rig.state(idx), NeighState::Incomplete);
    }
}

#[test]
fn a_table_full_of_gateways_refuses_and_learns_nothing() {
    let mut rig = Rig::with(Config {
        limit: 2,
        ..Config::default()
    });
    rig.reserve("10.0.0.2");
    rig.reserve("10.0.0.3");
    rig.run(10_000);
    assert_eq!(
        rig.table.ask(P0, ip("10.0.0.4"), rig.now),
        Err(NeighError::Full)
    );
    rig.sent.clear();
    rig.ignore(
        &arp_frame(true, OUR, mac(4), "10.0.0.4", "10.0.0.1"),
        Ignored::NoRoom,
    );
    assert_eq!(rig.sent.len(), 1, "answered all the same");
}

#[test]
fn questions_to_us_from_a_whole_network_displace_no_question_of_ours() {
    let mut rig = Rig::with(Config {
        limit: 64,
        ..Config::default()
    });
    let asked: Vec<_> = (2..34)
        .map(|host| rig.ask(&format!("10.0.0.{host}")))
        .collect();
    rig.run(500);
    for number in 0..10_000u32 {
        let spa = Ipv4Addr::from_bits(0x0a80_0000 + number).to_string();
        let from = Mac([2, 9, 0, 0, (number >> 8) as u8, number as u8]);
        rig.input(&arp_frame(true, OUR, from, &spa, "10.0.0.1"));
    }
    for idx in asked {
        assert_eq!(rig.state(idx), NeighState::Incomplete);
    }
    assert_eq!(rig.table.fills(), (64, 64));
    // And they go first when we need room.
    assert!(rig.table.ask(P0, ip("10.0.0.50"), rig.now).is_ok());
}

#[test]
fn one_poll_does_bounded_work_and_says_when_there_is_more() {
    let cfg = Config {
        incomplete_limit_per_port: 4096,
        ..Config::default()
    };
    let mut rig = Rig::with(cfg);
    for number in 0..1000 {
        rig.table
            .ask(
                P0,
                Ipv4Addr::from_bits(0x0a80_0000 + number).into(),
                rig.now,
            )
            .unwrap();
    }
    let mut polls = 0;
    while rig.table.next_deadline().is_some_and(|at| at <= rig.now) {
        let before = rig.sent.len();
        rig.poll();
        assert!(rig.sent.len() - before <= 256);
        polls += 1;
    }
    assert_eq!((polls, rig.sent.len()), (4, 1000));
}

#[test]
fn events_that_anybody_can_cause_are_bounded_if_nobody_takes_them() {
    let mut rig = Rig::new();
    rig.host("10.0.0.9", mac(9));
    let idx = rig.reserve("10.0.0.9");
    rig.run(0);
    rig.take_events();
    for number in 0..10_000u32 {
        let from = mac(100 + (number % 2) as u8);
        let frame = arp_frame(true, Mac::BROADCAST, from, "10.0.0.9", "10.0.0.9");
        let _ = rig.table.input(P0, &frame, rig.now, &mut Vec::new());
    }
    assert_eq!(rig.table.events().count(), 4096);
    assert_eq!(rig.table.stats().events_lost, 10_000 - 4096);
    assert!(rig.view.word(idx).usable());
}
