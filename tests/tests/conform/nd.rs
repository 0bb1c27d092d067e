//! C53 to C62 for neighbour discovery: what is asked of ARP is asked of it too. Host 9 of `rack` is fd00:2::50, whom nobody knows
//! at first.

use super::ipv6::{HOST, OURS, answer, host_mac, is_asked, question, solicited};
use arp::{Ignored, Mac};
use flowgate_tests::case;
use flowgate_tests::conform::{Case, Nd, datagram_of, hop};
use flowgate_tests::frames::ether;
use flowgate_tests::rack::{CLIENTS, GATEWAY_MAC, RACK, server_mac};
use stack::fate::DropReason::HoldFull;

const ALL_NODES: (Mac, &str) = (Mac([0x33, 0x33, 0, 0, 0, 1]), "ff02::1");

fn to_host(n: u8) -> Vec<u8> {
    datagram_of(&format!("fd10::3:{n:x}"), HOST)
}

/// The packet on its way to a station.
fn sent_to(mac: Mac, packet: &[u8]) -> Vec<u8> {
    ether(mac, GATEWAY_MAC, &hop(packet))
}

/// A station asks for an address that ends so.
fn asks(mac: Mac, as_whom: &str, (target, last): (&str, u8)) -> Vec<u8> {
    let (to, group) = solicited(last);
    Nd {
        to,
        from: mac,
        ends: (as_whom, &group),
        target,
        lladdr: (as_whom != "::").then_some(mac),
        flags: 0,
        hops: 255,
    }
    .solicit()
}

/// The gateway's answer to a station that asked for its address.
fn answers(to: Mac, asker: &str) -> Vec<u8> {
    Nd {
        to,
        from: GATEWAY_MAC,
        ends: (OURS, asker),
        target: OURS,
        lladdr: Some(GATEWAY_MAC),
        flags: 0xe0,
        hops: 255,
    }
    .advert()
}

/// A station tells all that it has an address.
fn announces(from: Mac, addr: &str, flags: u8) -> Vec<u8> {
    Nd {
        to: ALL_NODES.0,
        from,
        ends: (addr, ALL_NODES.1),
        target: addr,
        lladdr: Some(from),
        flags,
        hops: 255,
    }
    .advert()
}

/// The question to one station alone.
fn question_to(mac: Mac) -> Vec<u8> {
    Nd {
        to: mac,
        from: GATEWAY_MAC,
        ends: (OURS, HOST),
        target: HOST,
        lladdr: Some(GATEWAY_MAC),
        flags: 0,
        hops: 255,
    }
    .solicit()
}

/// The host is known, and another station advertises with the override flag that it is the host.
fn is_claimed(case: Case, packet: &[u8], other: Mac) -> Case {
    let claim = Nd {
        to: GATEWAY_MAC,
        from: other,
        ends: (HOST, OURS),
        target: HOST,
        lladdr: Some(other),
        flags: 0x20,
        hops: 255,
    };
    is_asked(case, packet)
        .arrives(RACK, &answer(0x60, 255))
        .heard("advertisements received")
        .counts("pinned", 1)
        .goes_on(RACK, &ether(host_mac(), GATEWAY_MAC, &hop(packet)))
        .wait(1000)
        .arrives(RACK, &claim.advert())
        .heard("advertisements received")
}

#[test]
fn c53_packets_are_held_and_the_latest_kept_nd() {
    let mut case = is_asked(
        case!(
            "RFC 4861 7.2.2: at least one packet waits, the latest; here 16, the oldest goes first"
        ),
        &to_host(0),
    );
    for n in 1..16 {
        case = case.arrives(CLIENTS, &to_host(n));
    }
    for n in 16..20 {
        case = case.arrives(CLIENTS, &to_host(n)).dropped(HoldFull);
    }
    case = case
        .arrives(RACK, &answer(0x60, 255))
        .heard("advertisements received");
    for n in 4..20 {
        case = case.goes_on(RACK, &sent_to(host_mac(), &to_host(n)));
    }
    // Each had been routed when it came, and was looked up again.
    case.counts("pinned", 16).holds();
}

#[test]
fn c54_one_question_a_second_for_a_neighbour_nd() {
    let packet = to_host(3);
    let mut case = is_asked(
        case!(
            "RFC 4861 7.2.2, 10: at most one solicitation a second, however many packets there are"
        ),
        &packet,
    );
    for _ in 0..9 {
        case = case.wait(100).arrives(CLIENTS, &packet).counts("pinned", 1);
    }
    let asked = |case: Case| case.says("solicitations sent", RACK, &question(HOST, 0x50));
    case = asked(case.wait(99).wait(1));
    asked(case.wait(999).wait(1)).counts("waiting", 10).holds();
}

#[test]
fn c59_a_conflict_is_answered_once_in_ten_seconds_nd() {
    let claim = announces(host_mac(), OURS, 0x20);
    let defence = announces(GATEWAY_MAC, OURS, 0xa0);
    let conflict = |case: Case| {
        case.arrives(RACK, &claim)
            .heard("advertisements received")
            .counts("duplicate addresses", 1)
            .ignored(Ignored::Conflict)
    };
    let defended = |case: Case| case.says("defences", RACK, &defence);
    let case = case!(
        "RFC 4862 5.4.4 leaves it open; as RFC 5227 2.4 (c) has it: the address is kept, and defended at most once in 10 s"
    );
    let case = defended(conflict(case));
    let case = conflict(case.wait(10)).wait(9989);
    let case = conflict(case).wait(1);
    defended(conflict(case)).holds();
}

#[test]
fn c60_a_static_entry_wins_nd() {
    // fd00:2::11 is host 0, the operator says.
    let (known, packet) = ("fd00:2::11", datagram_of("fd10::3", "fd00:2::11"));
    let claim = Nd {
        to: GATEWAY_MAC,
        from: host_mac(),
        ends: (known, OURS),
        target: known,
        lladdr: Some(host_mac()),
        flags: 0x60,
        hops: 255,
    };
    case!("FreeBSD's ndp -s: no frame changes what the operator has set")
        .arrives(RACK, &asks(host_mac(), known, (OURS, 1)))
        .heard("solicitations received")
        .says("advertisements sent", RACK, &answers(host_mac(), known))
        .ignored(Ignored::Static)
        .arrives(RACK, &claim.advert())
        .heard("advertisements received")
        .ignored(Ignored::Static)
        .arrives(CLIENTS, &packet)
        .goes_on(RACK, &sent_to(server_mac(0), &packet))
        .holds();
}

#[test]
fn c61_proxy_answers_for_published_addresses_alone_nd() {
    let published = "fd00:2::77";
    // RFC 4861 7.2.8: without the override flag, whoever has it itself goes before.
    let told = Nd {
        to: host_mac(),
        from: GATEWAY_MAC,
        ends: (published, HOST),
        target: published,
        lladdr: Some(server_mac(7)),
        flags: 0xc0,
        hops: 255,
    };
    let nobody = |case: Case, frame: Vec<u8>| {
        case.arrives(RACK, &frame)
            .heard("solicitations received")
            .ignored(Ignored::NotOurs)
    };
    let case = case!("RFC 4861 7.2.8, FreeBSD's ndp -s ... proxy: answered with the hardware address that was published; nothing is learned of who asks")
        .told("publish rack fd00:2::77 02:00:00:00:01:07")
        .arrives(RACK, &asks(host_mac(), HOST, (published, 0x77)))
        .heard("solicitations received")
        .says("advertisements sent", RACK, &told.advert());
    // Nobody's, and a neighbour's that is not published.
    let case = nobody(case, asks(host_mac(), HOST, ("fd00:2::78", 0x78)));
    let case = nobody(case, asks(host_mac(), HOST, ("fd00:2::11", 0x11)));
    // Its owner itself: not told that it is somebody else.
    nobody(case, asks(server_mac(7), "::", (published, 0x77))).holds();
}

#[test]
fn c61_nothing_is_proxied_by_default_nd() {
    let mut case =
        case!("RFC 4861 7.2.8: proxy is off, also for networks that the gateway has routes to");
    for target in [
        ("2001:db8:113::10", 0x10),
        ("fd10::3", 3),
        ("fd00:3::11", 0x11),
        ("fd00:2::60", 0x60),
    ] {
        case = case
            .arrives(RACK, &asks(host_mac(), HOST, target))
            .heard("solicitations received")
            .ignored(Ignored::NotOurs);
    }
    case.holds();
}

#[test]
fn c62_a_new_mac_switches_all_flows_without_a_route_change_nd() {
    let (old, new) = (host_mac(), server_mac(10));
    let mut case = case!("RFC 4861 7.2.6: the host is another station now, says its unsolicited advertisement; no pin moves, no route is looked up")
        .arrives(RACK, &asks(old, HOST, (OURS, 1)))
        .heard("solicitations received")
        .says("advertisements sent", RACK, &answers(old, HOST));
    for n in 1..9 {
        case = case
            .arrives(CLIENTS, &to_host(n))
            .goes_on(RACK, &sent_to(old, &to_host(n)));
    }
    case = case
        .arrives(RACK, &announces(new, HOST, 0x20))
        .heard("advertisements received")
        .counts("neighbours moved", 1);
    for n in 1..9 {
        case = case
            .arrives(CLIENTS, &to_host(n))
            .counts("pinned", 1)
            .goes_on(RACK, &sent_to(new, &to_host(n)));
    }
    case.holds();
}

#[test]
fn c62_an_advertised_mac_is_verified_first_where_that_is_set() {
    let (packet, other) = (datagram_of("fd10::3", HOST), server_mac(10));
    let at = |mac| ether(mac, GATEWAY_MAC, &hop(&packet));
    let case = case!("RFC 4861 7.2.5: an advertisement with the override flag is believed at once");
    is_claimed(case.called("at_once"), &packet, other)
        .counts("neighbours moved", 1)
        .says("solicitations sent", RACK, &question_to(other))
        .arrives(CLIENTS, &packet)
        .counts("pinned", 1)
        .goes_on(RACK, &at(other))
        .holds();
    let case = case!(
        "RFC 4861 7.2.5, verified: as if the override flag were clear; who is known is asked, answers, and keeps its packets"
    );
    is_claimed(case.called("forged").set("verify-moves"), &packet, other)
        .ignored(Ignored::Claim)
        .says("solicitations sent", RACK, &question_to(host_mac()))
        .arrives(CLIENTS, &packet)
        .counts("pinned", 1)
        .goes_on(RACK, &at(host_mac()))
        .arrives(RACK, &answer(0x60, 255))
        .heard("advertisements received")
        .counts("moves refused", 1)
        .arrives(CLIENTS, &packet)
        .counts("pinned", 1)
        .goes_on(RACK, &at(host_mac()))
        .holds();
}

#[test]
fn c62_who_answers_for_a_silent_neighbour_is_believed_nd() {
    let (packet, other) = (to_host(3), server_mac(10));
    let asked = |case: Case, mac| case.says("solicitations sent", RACK, &question_to(mac));
    let goes_to = |case: Case, mac| {
        case.arrives(CLIENTS, &packet)
            .counts("pinned", 1)
            .goes_on(RACK, &sent_to(mac, &packet))
    };
    let found = Nd {
        to: GATEWAY_MAC,
        from: other,
        ends: (HOST, OURS),
        target: HOST,
        lladdr: Some(other),
        flags: 0x60,
        hops: 255,
    };
    let case = case!("RFC 4861 7.2.5, verified: who is known is silent, all are asked, and who answers is believed")
        .set("verify-moves");
    let case = is_claimed(case, &packet, other).ignored(Ignored::Claim);
    let case = asked(asked(case, host_mac()).wait(1000), host_mac());
    let case = goes_to(case, host_mac())
        .wait(1000)
        .says("solicitations sent", RACK, &question(HOST, 0x50))
        .arrives(RACK, &found.advert())
        .heard("advertisements received")
        .counts("neighbours moved", 1);
    goes_to(case, other).holds();
}
