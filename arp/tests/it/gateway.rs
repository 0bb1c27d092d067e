//! Reserved neighbours: next hops' gateways, probed for ever, with a health.

use arp::{Config, Event, Mac, NeighState, PortInfo};

use crate::rig::{FAMILIES, OUR, P0, Rig, Seen, arp_frame, ip, mac};

const HOUR: u64 = 3_600_000;

/// A gateway that answers, and the rig with nothing pending to look at.
fn answering(addr: &str) -> (Rig, arp::NeighIdx) {
    let mut rig = Rig::new();
    rig.host(addr, mac(9));
    let idx = rig.reserve(addr);
    rig.run(0);
    assert_eq!(rig.take_events(), [Event::Up { idx }]);
    assert_eq!(rig.state(idx), NeighState::Reachable);
    rig.sent.clear();
    (rig, idx)
}

#[test]
fn a_gateway_is_asked_at_once_and_then_every_second_unicast_for_hours() {
    for addr in FAMILIES {
        let (mut rig, idx) = answering(addr);
        let start = rig.now;
        for _ in 0..2 {
            rig.run(HOUR);
            assert_eq!(rig.state(idx), NeighState::Reachable);
        }
        let expected: Vec<_> = (1..=2 * HOUR / 1000).map(|s| (s * 1000, false)).collect();
        assert_eq!(rig.take_questions(start), expected, "{addr}");
        assert!(rig.take_events().is_empty());
    }
}

#[test]
fn a_gateway_is_down_after_three_unanswered_questions_and_up_when_it_answers() {
    for addr in FAMILIES {
        let (mut rig, idx) = answering(addr);
        let start = rig.now;
        rig.hosts[0].alive = false;
        rig.run(2499);
        assert!(rig.view.word(idx).usable(), "usable while it is asked");
        assert!(rig.take_events().is_empty());
        rig.run(1);
        assert_eq!(rig.take_events(), [Event::Down { idx }]);
        assert_eq!(rig.state(idx), NeighState::Failed);
        rig.run(HOUR);
        assert_eq!(rig.state(idx), NeighState::Failed);
        let questions = rig.take_questions(start);
        assert_eq!(questions[..3], [(1000, false), (1500, false), (2000, true)]);
        let dead: Vec<_> = (0..questions.len() as u64 - 3)
            .map(|s| (3000 + s * 1000, true))
            .collect();
        assert_eq!(questions[3..], dead, "{addr}: every second, to everybody");
        assert!(questions.len() > 3600);
        rig.hosts[0].alive = true;
        rig.run(1000);
        assert_eq!(rig.take_events(), [Event::Up { idx }]);
        assert_eq!(rig.table.is_up(idx), Some(true));
    }
}

#[test]
fn questions_whose_answers_could_not_be_heard_do_not_count() {
    for addr in FAMILIES {
        let (mut rig, idx) = answering(addr);
        let (start, mut out) = (rig.now + 1000, Vec::new());
        rig.table.poll_in_doubt(start, &mut out);
        // Four that do not, and who never hears is believed in the end.
        for asked in 1..=7 {
            let now = start + asked * 500;
            assert_eq!(rig.table.events().next(), None);
            assert_eq!(rig.table.poll_in_doubt(now - 1, &mut out), 0);
            assert_eq!(rig.table.poll_in_doubt(now, &mut out), 1);
            assert_eq!(rig.table.next_deadline(), None, "it waits to be judged");
            rig.table.judge(false, now, &mut out);
            assert_eq!(rig.table.stats().unheard, asked.min(4));
        }
        assert_eq!(rig.table.events().next(), Some(Event::Down { idx }));
        assert_eq!((out.len(), rig.table.stats().unanswered), (7, 1));
    }
}

#[test]
fn an_answer_in_the_last_moment_is_an_answer() {
    for addr in FAMILIES {
        let (mut rig, idx) = answering(addr);
        rig.hosts[0].alive = false;
        rig.run(2499);
        let question = Seen::read(&rig.sent.last().expect("a question").1.bytes);
        let answer = rig.hosts[0].answer(&question).expect("its host's answer");
        rig.now += 1;
        let mut out = Vec::new();
        assert_eq!(rig.table.poll_in_doubt(rig.now, &mut out), 1);
        rig.accept(&answer);
        rig.table.judge(true, rig.now, &mut out);
        assert!(rig.take_events().is_empty());
        assert_eq!(rig.state(idx), NeighState::Reachable);
    }
}

#[test]
fn a_gateway_that_never_answered_is_down_after_three_questions_to_everybody() {
    for addr in FAMILIES {
        let mut rig = Rig::new();
        let start = rig.now;
        let idx = rig.reserve(addr);
        rig.run(1499);
        assert_eq!(rig.table.is_up(idx), None);
        rig.run(1);
        assert_eq!(rig.take_events(), [Event::Down { idx }]);
        assert_eq!(
            rig.take_questions(start),
            [(0, true), (500, true), (1000, true)]
        );
    }
}

#[test]
fn one_answer_to_three_questions_keeps_a_gateway_up() {
    for addr in FAMILIES {
        let (mut rig, idx) = answering(addr);
        for _ in 0..1000 {
            rig.hosts[0].alive = false;
            rig.run(1600); // two questions lost
            rig.hosts[0].alive = true;
            rig.run(400);
        }
        assert_eq!(rig.table.is_up(idx), Some(true));
        assert!(rig.take_events().is_empty(), "{addr}");
    }
}

#[test]
fn a_host_thread_that_was_held_up_does_not_take_its_delay_for_silence() {
    let (mut rig, idx) = answering("10.0.0.9");
    // Polled every 10 s only: each poll sends a question, and the answer is read before the next.
    for _ in 0..100 {
        rig.now += 10_000;
        rig.poll();
        assert_eq!(rig.table.is_up(idx), Some(true));
    }
    assert!(rig.take_events().is_empty());
}

#[test]
fn a_gateway_with_a_new_mac_moves_without_going_down() {
    for addr in FAMILIES {
        let (mut rig, idx) = answering(addr);
        rig.hosts[0].mac = mac(10);
        rig.run(2000);
        assert_eq!(
            rig.take_events(),
            [Event::Moved {
                idx,
                from: mac(9),
                to: mac(10)
            }],
            "{addr}"
        );
        let word = rig.view.word(idx);
        assert_eq!((word.state(), word.mac()), (NeighState::Reachable, mac(10)));
    }
}

#[test]
fn a_dead_gateway_that_speaks_is_asked_sooner_but_only_its_answer_revives_it() {
    let (mut rig, idx) = answering("10.0.0.9");
    rig.hosts[0].alive = false;
    rig.run(10_000);
    assert_eq!(rig.take_events(), [Event::Down { idx }]);
    rig.run(600);
    rig.sent.clear();
    rig.accept(&arp_frame(
        true,
        Mac::BROADCAST,
        mac(9),
        "10.0.0.9",
        "10.0.0.9",
    ));
    assert_eq!(rig.state(idx), NeighState::Failed);
    assert!(rig.take_events().is_empty());
    rig.hosts[0].alive = true;
    rig.run(0);
    assert_eq!(rig.take_events(), [Event::Up { idx }]);
}

#[test]
fn announcements_do_not_keep_a_dead_gateway_up() {
    let (mut rig, idx) = answering("10.0.0.9");
    rig.hosts[0].alive = false;
    for _ in 0..40 {
        rig.input(&arp_frame(
            true,
            Mac::BROADCAST,
            mac(9),
            "10.0.0.9",
            "10.0.0.9",
        ));
        rig.run(100);
    }
    assert_eq!(rig.take_events(), [Event::Down { idx }]);
}

#[test]
fn a_flood_of_changing_announcements_does_not_cause_a_flood_of_questions() {
    let (mut rig, _) = answering("10.0.0.9");
    let start = rig.now;
    for step in 0..10_000u32 {
        let from = mac(100 + (step % 2) as u8);
        rig.input(&arp_frame(
            true,
            Mac::BROADCAST,
            from,
            "10.0.0.9",
            "10.0.0.9",
        ));
        rig.run(1);
    }
    let questions = rig.take_questions(start).len();
    assert!(questions <= 21, "{questions} questions in 10 s");
}

#[test]
fn reserves_are_counted_and_the_last_release_makes_it_ordinary() {
    for addr in FAMILIES {
        let (mut rig, idx) = answering(addr);
        assert_eq!(rig.reserve(addr), idx);
        rig.table.release(idx, rig.now);
        rig.run(10_000);
        assert_eq!(rig.take_questions(rig.now - 10_000).len(), 10);
        rig.table.release(idx, rig.now);
        assert_eq!(rig.table.is_up(idx), None);
        rig.table.release(idx, rig.now); // one too many does nothing
        rig.run(1_199_999);
        assert_eq!(rig.state(idx), NeighState::Reachable);
        assert!(rig.take_questions(0).is_empty());
        rig.run(1);
        assert_eq!(rig.state(idx), NeighState::Free);
    }
}

#[test]
fn a_released_dead_gateway_is_forgotten_after_the_hold_time() {
    let mut rig = Rig::new();
    let idx = rig.reserve("10.0.0.9");
    rig.run(60_000);
    rig.table.release(idx, rig.now);
    rig.run(20_000);
    assert_eq!(rig.state(idx), NeighState::Free);
    assert_eq!(rig.table.next_deadline(), None);
}

#[test]
fn an_ordinary_neighbour_that_becomes_a_gateway_is_asked_at_once_and_reported() {
    for addr in FAMILIES {
        let mut rig = Rig::new();
        rig.host(addr, mac(9));
        let idx = rig.ask(addr);
        rig.run(100_000);
        assert!(rig.take_events().is_empty());
        assert_eq!(rig.reserve(addr), idx);
        assert_eq!(rig.state(idx), NeighState::Reachable, "packets flow on");
        rig.run(0);
        assert_eq!(rig.take_events(), [Event::Up { idx }]);
    }
}

#[test]
fn a_port_that_goes_down_takes_its_gateways_down_and_brings_them_back() {
    for addr in FAMILIES {
        let (mut rig, idx) = answering(addr);
        rig.set_port(false);
        assert_eq!(rig.take_events(), [Event::Down { idx }]);
        assert_eq!(rig.state(idx), NeighState::Failed);
        rig.run(HOUR);
        assert!(rig.sent.is_empty(), "nobody is asked through a dead port");
        assert_eq!(rig.table.next_deadline(), None);
        rig.set_port(true);
        rig.run(0);
        assert_eq!(rig.take_events(), [Event::Up { idx }], "{addr}");
        rig.table.remove_port(P0);
        assert_eq!(rig.take_events(), [Event::Down { idx }]);
        rig.set_port(true);
        rig.run(0);
        assert_eq!(rig.take_events(), [Event::Up { idx }]);
    }
}

#[test]
fn a_gateway_reserved_on_a_port_that_is_down_waits_for_it() {
    let mut rig = Rig::new();
    rig.host("10.0.0.9", mac(9));
    rig.set_port(false);
    let idx = rig.reserve("10.0.0.9");
    rig.run(10_000);
    assert_eq!(rig.take_events(), [Event::Down { idx }]);
    rig.sent.clear();
    rig.set_port(true);
    rig.run(0);
    assert_eq!(rig.take_events(), [Event::Up { idx }]);
}

#[test]
fn a_link_local_gateway_is_asked_from_our_link_local_address() {
    let mut rig = Rig::new();
    rig.host("fe80::9", mac(9));
    let idx = rig.reserve("fe80::9");
    rig.run(0);
    assert_eq!(rig.take_events(), [Event::Up { idx }]);
    let sent = rig.take_sent();
    let Seen::Solicit { src, dst, .. } = sent[0] else {
        panic!("{sent:?}")
    };
    assert_eq!(
        (src.to_string(), dst.to_string()),
        ("fe80::1".into(), "ff02::1:ff00:9".into())
    );
}

#[test]
fn a_deleted_gateway_is_emptied_and_asked_again() {
    let (mut rig, idx) = answering("10.0.0.9");
    assert_eq!(rig.table.delete(Some(P0), &ip("10.0.0.9")), Ok(1));
    let word = rig.view.word(idx);
    assert_eq!(
        (word.state(), word.mac()),
        (NeighState::Incomplete, Mac::ZERO)
    );
    rig.run(0);
    assert_eq!(rig.state(idx), NeighState::Reachable);
    assert!(rig.take_events().is_empty(), "it never was down");
}

#[test]
fn a_permanent_gateway_is_up_and_never_asked() {
    let mut rig = Rig::new();
    let idx = rig
        .table
        .set_static(P0, ip("10.0.0.9"), mac(9), false)
        .unwrap();
    assert_eq!(rig.reserve("10.0.0.9"), idx);
    rig.run(HOUR);
    assert_eq!(rig.take_events(), [Event::Up { idx }]);
    assert!(rig.sent.is_empty());
    // Deleting the operator's word makes it an ordinary gateway, which does not answer.
    rig.table.delete(None, &ip("10.0.0.9")).unwrap();
    rig.run(1500);
    assert_eq!(rig.take_events(), [Event::Down { idx }]);
    // And setting it anew brings it up.
    rig.table
        .set_static(P0, ip("10.0.0.9"), mac(9), false)
        .unwrap();
    assert_eq!(rig.take_events(), [Event::Up { idx }]);
}

#[test]
fn a_gateway_with_one_try_is_asked_unicast() {
    let mut rig = Rig::with(Config {
        gateway_tries: 1,
        ..Config::default()
    });
    rig.host("10.0.0.9", mac(9));
    let idx = rig.reserve("10.0.0.9");
    rig.run(0);
    rig.sent.clear();
    let start = rig.now;
    rig.hosts[0].alive = false;
    rig.run(1500);
    assert_eq!(rig.take_questions(start), [(1000, false)]);
    assert_eq!(rig.take_events(), [Event::Up { idx }, Event::Down { idx }]);
}

#[test]
fn a_gateway_whose_address_becomes_ours_is_down() {
    let (mut rig, idx) = answering("10.0.0.9");
    let mut info = Rig::info(true);
    info.addrs.push((ip("10.0.0.9"), 8));
    rig.set_port_to(PortInfo { mac: OUR, ..info });
    assert_eq!(rig.take_events(), [Event::Down { idx }]);
    rig.set_port(true);
    rig.run(0);
    assert_eq!(rig.take_events(), [Event::Up { idx }]);
}

#[test]
fn questions_that_were_not_sent_are_no_silence() {
    for addr in FAMILIES {
        let (mut rig, idx) = answering(addr);
        for _ in 0..100 {
            rig.run(100); // nobody answers in time: what is sent here is refused below
            rig.hosts[0].alive = false;
            for (_, frame) in std::mem::take(&mut rig.sent) {
                rig.table.unsent(&frame);
            }
        }
        assert!(rig.take_events().is_empty());
        assert_eq!(rig.table.is_up(idx), Some(true), "{addr}");
        rig.run(3000);
        assert_eq!(
            rig.take_events(),
            [Event::Down { idx }],
            "really sent, really silent"
        );
    }
}

#[test]
fn a_gateway_released_while_its_port_is_down_or_gone_is_forgotten_too() {
    for gone in [false, true] {
        let (mut rig, idx) = answering("10.0.0.9");
        if gone {
            rig.table.remove_port(P0);
        } else {
            rig.set_port(false);
        }
        rig.table.release(idx, rig.now);
        rig.run(20_000);
        assert_eq!((rig.table.fills().0, rig.table.next_deadline()), (0, None));
    }
}

#[test]
fn one_that_is_overdue_and_spoken_of_waits_once() {
    let addr = FAMILIES[0];
    let (mut rig, _) = answering(addr);
    let (start, mut out) = (rig.now + 1000, Vec::new());
    rig.table.poll_in_doubt(start, &mut out);
    rig.now = start + 500;
    assert_eq!(rig.table.poll_in_doubt(rig.now, &mut out), 1);
    // Somebody claims its address again and again.
    for n in 0..100 {
        let claim = arp_frame(true, Mac::BROADCAST, mac(100 + n), addr, addr);
        rig.input(&claim);
        assert_eq!(rig.table.poll_in_doubt(rig.now, &mut out), 1, "claim {n}");
    }
}

#[test]
fn a_judgement_is_bounded_as_a_poll_is() {
    let mut rig = Rig::new();
    let mut out = Vec::new();
    for n in 0..1000u32 {
        let addr = format!("10.0.{}.{}", 1 + n / 200, 1 + n % 200);
        rig.table.reserve(P0, ip(&addr), rig.now).expect("room");
    }
    let start = rig.now;
    for _ in 0..10 {
        rig.table.poll_in_doubt(start, &mut out);
    }
    for _ in 0..10 {
        rig.table.poll_in_doubt(start + 500, &mut out);
    }
    out.clear();
    rig.table.judge(true, start + 3500, &mut out);
    assert!(out.len() <= 256, "{} questions in one turn", out.len());
}

#[test]
fn nobody_waits_for_ever_whatever_happens_while_an_answer_is_overdue() {
    let mut seed = 7u64;
    let mut rnd = move |n: u64| {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (seed >> 33) % n
    };
    for round in 0..300 {
        let cfg = Config {
            limit: 6,
            ..Config::default()
        };
        let mut rig = Rig::with(cfg);
        let mut out = Vec::new();
        let mut held: Vec<arp::NeighIdx> = Vec::new();
        for _ in 0..120 {
            rig.now += [0, 1, 100, 400, 500, 1000, 25_000][rnd(7) as usize];
            let addr = format!("10.0.0.{}", 2 + rnd(9));
            let a = ip(&addr);
            let now = rig.now;
            match rnd(14) {
                0 => held.extend(rig.table.reserve(P0, a, now)),
                1 if !held.is_empty() => {
                    let at = rnd(held.len() as u64) as usize;
                    let idx = held.swap_remove(at);
                    rig.table.release(idx, now);
                }
                2 => drop(rig.table.ask(P0, a, now)),
                3 => drop(rig.table.set_static(P0, a, mac(rnd(9) as u8), false)),
                4 => drop(rig.table.set_temporary(P0, a, mac(rnd(9) as u8))),
                5 => drop(rig.table.delete(None, &a)),
                6 => rig.table.set_port(Rig::info(rnd(3) > 0), now, &mut out),
                7 => drop(rig.input(&arp_frame(false, OUR, mac(rnd(9) as u8), &addr, "10.0.0.1"))),
                8 => drop(rig.input(&arp_frame(
                    true,
                    Mac([0xff; 6]),
                    mac(rnd(9) as u8),
                    &addr,
                    "10.0.0.1",
                ))),
                9 => drop(rig.input(&arp_frame(
                    true,
                    Mac([0xff; 6]),
                    mac(rnd(9) as u8),
                    &addr,
                    &addr,
                ))),
                10 | 11 => drop(rig.table.poll_in_doubt(now, &mut out)),
                12 => {
                    rig.table.poll_in_doubt(now, &mut out);
                    rig.table.judge(rnd(2) == 0, now, &mut out);
                }
                _ => {
                    if let Some(frame) = out.pop() {
                        rig.table.unsent(&frame);
                    }
                }
            }
        }
        rig.table.set_port(Rig::info(true), rig.now, &mut out);
        // Everybody is silent from now on, and heard.
        for _ in 0..200 {
            rig.now += 250;
            let n = rig.table.poll_in_doubt(rig.now, &mut out);
            if n > 0 {
                rig.table.judge(true, rig.now + 1, &mut out);
            }
            assert_eq!(
                rig.table.poll_in_doubt(rig.now, &mut out),
                0,
                "round {round}"
            );
            rig.table.judge(true, rig.now + 1, &mut out);
            assert!(
                rig.table.next_deadline().is_none_or(|at| at > rig.now),
                "round {round}"
            );
        }
        for line in rig.table.list(rig.now) {
            if line.permanent {
                continue;
            }
            if line.reserved {
                assert_eq!(line.state, NeighState::Failed, "round {round}: {line:?}");
                assert_eq!(
                    rig.table.is_up(line.idx),
                    Some(false),
                    "round {round}: {line:?}"
                );
            } else {
                assert!(
                    !matches!(line.state, NeighState::Incomplete | NeighState::Probe),
                    "round {round}: {line:?}"
                );
            }
        }
        let asked = out.len();
        rig.table.poll(rig.now + 1000, &mut out);
        let dead = rig
            .table
            .list(rig.now)
            .iter()
            .filter(|l| l.reserved && !l.permanent)
            .count();
        assert!(
            out.len() - asked >= dead,
            "round {round}: the dead are asked again"
        );
    }
}
