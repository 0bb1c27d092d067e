//! Another MAC for a neighbour: believed at once, or verified first (`verify_moves`).

use arp::{Config, Event, Fate, Ignored, Mac, NeighIdx, NeighState};

use crate::rig::{FAMILIES, OUR, OVERRIDE, Rig, SOLICITED, advert, arp_frame, ip, mac, nd_frame};

const KNOWN: Mac = mac_of(9);
const OTHER: Mac = mac_of(8);

const fn mac_of(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 1, last])
}

fn rig(verify_moves: bool) -> Rig {
    Rig::with(Config {
        verify_moves,
        ..Config::default()
    })
}

/// "`addr` is at `from`", to all and unasked: gratuitous ARP, or an advertisement with the override flag.
fn claim(addr: &str, from: Mac) -> Vec<u8> {
    if ip(addr).is_ipv4() {
        return arp_frame(true, Mac::BROADCAST, from, addr, addr);
    }
    let all = Mac([0x33, 0x33, 0, 0, 0, 1]);
    let said = advert(addr, OVERRIDE, Some(from));
    nd_frame(all, from, addr, "ff02::1", &said)
}

/// The same to us alone, as if we had asked.
fn answer(addr: &str, from: Mac) -> Vec<u8> {
    if ip(addr).is_ipv4() {
        return arp_frame(false, OUR, from, addr, "10.0.0.1");
    }
    let said = advert(addr, SOLICITED | OVERRIDE, Some(from));
    nd_frame(OUR, from, addr, "fd00::1", &said)
}

/// A neighbour at [`KNOWN`] that answers, a gateway or not; and when that was.
fn known(rig: &mut Rig, addr: &str, gateway: bool) -> (NeighIdx, u64) {
    rig.host(addr, KNOWN);
    let idx = if gateway {
        rig.reserve(addr)
    } else {
        rig.ask(addr)
    };
    rig.run(700);
    rig.sent.clear();
    rig.take_events();
    assert_eq!(rig.state(idx), NeighState::Reachable);
    (idx, rig.now)
}

/// Every family, an ordinary neighbour and a gateway.
fn each(verify_moves: bool, scenario: impl Fn(&mut Rig, &str, NeighIdx, u64)) {
    for addr in FAMILIES {
        for gateway in [false, true] {
            let mut rig = rig(verify_moves);
            let (idx, start) = known(&mut rig, addr, gateway);
            scenario(&mut rig, addr, idx, start);
        }
    }
}

fn is_at(rig: &Rig, idx: NeighIdx, mac: Mac) -> bool {
    let word = rig.view.word(idx);
    word.usable() && word.mac() == mac
}

fn moves(rig: &Rig) -> (u64, u64, u64) {
    let stats = rig.table.stats();
    let claims = stats.ignored(Ignored::Claim);
    (stats.moved, stats.moves_refused, claims)
}

#[test]
fn a_claim_is_believed_at_once_unless_moves_are_verified() {
    assert!(!Config::default().verify_moves, "FreeBSD's way");
    each(false, |rig, addr, idx, _| {
        rig.accept(&claim(addr, OTHER));
        assert!(is_at(rig, idx, OTHER), "{addr}");
        let (from, to) = (KNOWN, OTHER);
        assert_eq!(rig.take_events(), [Event::Moved { idx, from, to }]);
        rig.accept(&answer(addr, KNOWN));
        assert!(is_at(rig, idx, KNOWN), "{addr}");
        assert_eq!(moves(rig), (2, 0, 0), "{addr}");
    });
}

#[test]
fn a_forged_claim_moves_nobody_who_still_answers() {
    each(true, |rig, addr, idx, start| {
        for frame in [claim(addr, OTHER), answer(addr, OTHER)] {
            rig.ignore(&frame, Ignored::Claim);
            assert!(is_at(rig, idx, KNOWN), "{addr}: packets go on to it");
        }
        assert_eq!(rig.state(idx), NeighState::Probe, "{addr}");
        rig.run(400);
        let asked = rig.take_questions(start);
        assert!(matches!(asked[..], [(_, false)]), "{addr}: {asked:?}");
        assert!(is_at(rig, idx, KNOWN), "{addr}");
        assert_eq!(rig.state(idx), NeighState::Reachable, "{addr}");
        assert_eq!(moves(rig), (0, 1, 2), "{addr}");
        assert!(rig.take_events().is_empty(), "{addr}");
    });
}

#[test]
fn who_really_moved_is_found_when_all_are_asked() {
    each(true, |rig, addr, idx, start| {
        rig.hosts[0].mac = OTHER;
        rig.ignore(&claim(addr, OTHER), Ignored::Claim);
        rig.run(3000);
        let asked = rig.take_questions(start);
        let all: Vec<bool> = asked.iter().take(3).map(|(_, all)| *all).collect();
        assert_eq!(all, [false, false, true], "{addr}: {asked:?}");
        assert!(is_at(rig, idx, OTHER), "{addr}");
        let (from, to) = (KNOWN, OTHER);
        assert_eq!(rig.take_events(), [Event::Moved { idx, from, to }]);
        assert_eq!(moves(rig), (1, 0, 1), "{addr}");
    });
}

#[test]
fn claims_without_end_cost_no_more_questions_and_hide_no_dead_neighbour() {
    each(true, |rig, addr, idx, start| {
        rig.hosts[0].alive = false;
        let unanswered = |rig: &Rig| rig.table.stats().unanswered;
        while unanswered(rig) == 0 && rig.now < start + 10_000 {
            let input = rig.input(&claim(addr, OTHER));
            let all_asked = rig.view.word(idx).mac() == OTHER;
            let fate = Fate::Ignored(Ignored::Claim);
            assert!(all_asked || input.fate == fate, "{addr}: {input:?}");
            rig.run(10);
        }
        let all = rig.take_questions(start);
        let all: Vec<bool> = all.iter().map(|(_, all)| *all).collect();
        assert_eq!(all, [false, false, true], "{addr}");
        assert_eq!(unanswered(rig), 1, "{addr}");
    });
}

#[test]
fn an_unused_neighbour_is_asked_as_well() {
    for addr in FAMILIES {
        let mut rig = rig(true);
        rig.host(addr, KNOWN);
        let idx = rig.ask(addr);
        rig.run(60_000);
        rig.ignore(&claim(addr, OTHER), Ignored::Claim);
        rig.run(0);
        assert!(is_at(&rig, idx, KNOWN), "{addr}");
        assert_eq!(moves(&rig), (0, 1, 1), "{addr}");
    }
}

#[test]
fn a_mac_for_one_that_has_none_is_no_move() {
    for addr in FAMILIES {
        let mut rig = rig(true);
        let idx = rig.ask(addr);
        rig.run(0);
        rig.accept(&answer(addr, mac(7)));
        assert!(is_at(&rig, idx, mac(7)), "{addr}");
        assert_eq!(moves(&rig), (0, 0, 0), "{addr}");
    }
}

#[test]
fn the_operators_word_is_neither_asked_nor_moved() {
    for addr in FAMILIES {
        let mut rig = rig(true);
        let set = rig.table.set_static(crate::rig::P0, ip(addr), KNOWN, true);
        let idx = set.expect("set");
        rig.ignore(&claim(addr, OTHER), Ignored::Static);
        rig.run(5000);
        assert_eq!(rig.state(idx), NeighState::Permanent);
        assert!(is_at(&rig, idx, KNOWN) && rig.sent.is_empty(), "{addr}");
    }
}
