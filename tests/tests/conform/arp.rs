//! C52 to C62: ARP. Host 9 of `rack` is 192.0.2.50, whom nobody knows at first.

use arp::{Ignored, Mac};
use flowgate_tests::case;
use flowgate_tests::conform::{Arp, Case, Error, GATEWAY, counted, datagram_of, error, hop};
use flowgate_tests::frames::ether;
use flowgate_tests::rack::{CLIENTS, GATEWAY_MAC, RACK, server_mac};
use flowgate_tests::sim::ip;
use stack::fate::DropReason::{HoldFull, NeighbourFailed};

const HOST: &str = "192.0.2.50";
const OURS: &str = "192.0.2.1";

fn host_mac() -> Mac {
    server_mac(9)
}

/// What the gateway asks for a neighbour.
fn question(target: &str) -> Vec<u8> {
    Arp {
        to: Mac::BROADCAST,
        sha: GATEWAY_MAC,
        spa: OURS,
        tha: Mac::ZERO,
        tpa: target,
    }
    .request()
}

/// The same of one station alone.
fn question_to(mac: Mac) -> Vec<u8> {
    Arp {
        to: mac,
        sha: GATEWAY_MAC,
        spa: OURS,
        tha: mac,
        tpa: HOST,
    }
    .request()
}

/// What a neighbour answers to it.
fn answer(spa: &str, sha: Mac) -> Vec<u8> {
    reply_of(spa, sha).reply()
}

fn reply_of(spa: &str, sha: Mac) -> Arp<'_> {
    Arp {
        to: GATEWAY_MAC,
        sha,
        spa,
        tha: GATEWAY_MAC,
        tpa: OURS,
    }
}

/// A request of a station, to all.
fn asks(sha: Mac, spa: &str, tpa: &str) -> Vec<u8> {
    Arp {
        to: Mac::BROADCAST,
        sha,
        spa,
        tha: Mac::ZERO,
        tpa,
    }
    .request()
}

/// The gateway's answer to a station.
fn answers(to: Mac, tpa: &str) -> Vec<u8> {
    Arp {
        to,
        sha: GATEWAY_MAC,
        spa: OURS,
        tha: to,
        tpa,
    }
    .reply()
}

fn to_host(n: u8) -> Vec<u8> {
    datagram_of(&format!("10.3.3.{n}"), HOST)
}

/// The packet on its way to a station.
fn sent_to(mac: Mac, packet: &[u8]) -> Vec<u8> {
    ether(mac, GATEWAY_MAC, &hop(packet))
}

/// A packet for the host comes, and the gateway asks.
fn is_asked(case: Case, packet: &[u8]) -> Case {
    // It waits for an entry first, is looked up again, and waits for the answer.
    case.arrives(CLIENTS, packet).counts("pinned", 1).says(
        "arp requests sent",
        RACK,
        &question(HOST),
    )
}

#[test]
fn c52_a_question_for_us_makes_an_entry_one_for_others_does_not() {
    let packet = to_host(3);
    case!("RFC 826, packet reception: the sender of a request for us is learned, and needs not be asked")
        .called("for_us")
        .arrives(RACK, &asks(host_mac(), HOST, OURS))
        .heard("arp requests received")
        .says("arp replies sent", RACK, &answers(host_mac(), HOST))
        .arrives(CLIENTS, &packet)
        .goes_on(RACK, &sent_to(host_mac(), &packet))
        .holds();
    let case = case!("RFC 826: the sender of a request for somebody else is not learned")
        .called("for_others")
        .arrives(RACK, &asks(host_mac(), HOST, "192.0.2.60"))
        .heard("arp requests received")
        .ignored(Ignored::NotOurs);
    is_asked(case, &packet).counts("waiting", 1).holds();
}

#[test]
fn c52_an_entry_is_corrected_by_any_frame_of_its_host() {
    let packet = to_host(3);
    let moved = server_mac(10);
    case!("RFC 826, merge flag: what is known is updated, whoever was asked for")
        .arrives(RACK, &asks(host_mac(), HOST, OURS))
        .heard("arp requests received")
        .says("arp replies sent", RACK, &answers(host_mac(), HOST))
        .arrives(RACK, &asks(moved, HOST, "192.0.2.60"))
        .heard("arp requests received")
        .counts("neighbours moved", 1)
        .arrives(CLIENTS, &packet)
        .goes_on(RACK, &sent_to(moved, &packet))
        .holds();
}

#[test]
fn c53_packets_are_held_and_the_latest_kept() {
    let mut case = is_asked(
        case!("RFC 1122 2.3.2.2: at least the latest packet waits; here 16, the oldest goes first"),
        &to_host(0),
    );
    for n in 1..16 {
        case = case.arrives(CLIENTS, &to_host(n));
    }
    for n in 16..20 {
        case = case.arrives(CLIENTS, &to_host(n)).dropped(HoldFull);
    }
    case = case
        .arrives(RACK, &answer(HOST, host_mac()))
        .heard("arp replies received");
    for n in 4..20 {
        case = case.goes_on(RACK, &sent_to(host_mac(), &to_host(n)));
    }
    // Each had been routed when it came, and was looked up again.
    case.counts("pinned", 16).holds();
}

#[test]
fn c54_one_question_a_second_for_a_neighbour() {
    let packet = to_host(3);
    let mut case = is_asked(
        case!(
            "RFC 1122 2.3.2.1: at most one request a second for a destination, however many packets there are"
        ),
        &packet,
    );
    for _ in 0..9 {
        case = case.wait(100).arrives(CLIENTS, &packet).counts("pinned", 1);
    }
    case.wait(99)
        .wait(1)
        .says("arp requests sent", RACK, &question(HOST))
        .wait(999)
        .wait(1)
        .says("arp requests sent", RACK, &question(HOST))
        .counts("waiting", 10)
        .holds();
}

#[test]
fn c55_unreachable_only_when_the_retries_have_failed() {
    let packet = to_host(3);
    let told = Error {
        from: GATEWAY,
        kind: (3, 1),
        rest: 0,
        no: 1,
    };
    is_asked(case!("RFC 1122 2.3.2.2, RFC 1812 3.3.2: not a word while it is asked, then 3/1 for the packet that waited"), &packet)
        .wait(1000)
        .says("arp requests sent", RACK, &question(HOST))
        .wait(1000)
        .says("arp requests sent", RACK, &question(HOST))
        .wait(999)
        .wait(1)
        .counts("neighbours unanswered", 1)
        .dropped(NeighbourFailed)
        .error(CLIENTS, &error(told, &packet))
        .counts("pinned", 1)
        .holds();
}

#[test]
fn c56_a_group_or_nobody_is_no_sender() {
    let mut case = case!(
        "RFC 1812 3.3.2: an ARP reply must not name a broadcast or multicast address; zeros are nobody's"
    );
    let group = Mac([1, 0, 0x5e, 0, 0, 1]);
    for mac in [Mac::BROADCAST, group, Mac::ZERO] {
        case = case
            .arrives(RACK, &answer(HOST, mac))
            .counts("consumed", 1)
            .counts("consumed_arp", 1)
            .counts("arp received", 1)
            .ignored(Ignored::BadSender);
        let mut hidden = asks(host_mac(), HOST, OURS);
        hidden[22..28].copy_from_slice(&mac.0);
        case = case
            .arrives(RACK, &hidden)
            .counts("consumed", 1)
            .counts("consumed_arp", 1)
            .counts("arp received", 1)
            .ignored(Ignored::BadSender);
    }
    case.holds();
}

#[test]
fn c57_an_unsolicited_reply_makes_no_entry() {
    let case = case!("RFC 826, RFC 5227 3: an answer that nobody asked for is not learned")
        .arrives(RACK, &answer(HOST, host_mac()))
        .heard("arp replies received")
        .ignored(Ignored::NotAsked);
    is_asked(case, &to_host(3)).counts("waiting", 1).holds();
}

#[test]
fn c58_a_probe_is_answered_and_not_learned() {
    let case = case!("RFC 5227 2.1.1, 2.5: a question from 0.0.0.0 for our address is answered, its sender is nobody yet")
        .arrives(RACK, &asks(host_mac(), "0.0.0.0", OURS))
        .heard("arp requests received")
        .says("arp replies sent", RACK, &answers(host_mac(), "0.0.0.0"))
        // And one about another's is that other's matter.
        .arrives(RACK, &asks(host_mac(), "0.0.0.0", HOST))
        .heard("arp requests received")
        .ignored(Ignored::NotOurs);
    is_asked(case, &to_host(3)).counts("waiting", 1).holds();
}

#[test]
fn c58_our_own_addresses_are_probed_when_they_are_announced() {
    let (mut table, _view) = arp::new(arp::Config::default(), 58);
    let (id, mut out) = (arp::PortId(1), Vec::new());
    let port = arp::PortInfo {
        port: id,
        mac: GATEWAY_MAC,
        addrs: vec![(ip(OURS), 24)],
        up: true,
        advertise: None,
    };
    table.set_port(port, 0, &mut out);
    let sent: Vec<_> = out.drain(..).map(|frame| frame.bytes).collect();
    // RFC 5227 2.1.1: from nobody, so that nobody learns from it; then 2.3.
    let probe = asks(GATEWAY_MAC, "0.0.0.0", OURS);
    assert_eq!(sent, [probe, asks(GATEWAY_MAC, OURS, OURS)]);
    // Somebody has it, and answers as he does a host that asks for him.
    let has = Arp {
        tpa: "0.0.0.0",
        ..reply_of(OURS, host_mac())
    };
    table.input(id, &has.reply(), 10, &mut out);
    let told: Vec<arp::Event> = table.events().collect();
    let (addr, mac) = (ip(OURS), host_mac());
    let conflict = arp::Event::Conflict {
        port: id,
        addr,
        mac,
    };
    assert_eq!(told, [conflict]);
    let once = [
        "announcements",
        "arp received",
        "arp replies received",
        "defences",
        "duplicate addresses",
        "ignored: duplicate IP address",
        "probes",
    ];
    assert_eq!(
        counted(table.stats()),
        once.map(|name| (name.to_owned(), 1)).into()
    );
}

#[test]
fn c59_a_conflict_is_answered_once_in_ten_seconds() {
    let claim = asks(host_mac(), OURS, OURS);
    let defence = asks(GATEWAY_MAC, OURS, OURS);
    let conflict = |case: Case| {
        case.arrives(RACK, &claim)
            .heard("arp requests received")
            .counts("duplicate addresses", 1)
            .ignored(Ignored::Conflict)
    };
    let defended = |case: Case| case.says("defences", RACK, &defence);
    let case = case!(
        "RFC 5227 2.4 (c): the address is kept, and defended by an announcement, at most once in 10 s"
    );
    let case = defended(conflict(case));
    let case = conflict(case.wait(10)).wait(9989);
    let case = conflict(case).wait(1);
    defended(conflict(case)).holds();
}

#[test]
fn c60_a_static_entry_wins() {
    // 192.0.2.11 is host 0, the operator says.
    let packet = datagram_of("10.3.3.3", "192.0.2.11");
    case!("RFC 1812 3.3.2, FreeBSD's arp -s: no frame changes what the operator has set")
        .arrives(RACK, &asks(host_mac(), "192.0.2.11", OURS))
        .heard("arp requests received")
        .says("arp replies sent", RACK, &answers(host_mac(), "192.0.2.11"))
        .ignored(Ignored::Static)
        .arrives(RACK, &answer("192.0.2.11", host_mac()))
        .heard("arp replies received")
        .ignored(Ignored::Static)
        .arrives(CLIENTS, &packet)
        .goes_on(RACK, &sent_to(server_mac(0), &packet))
        .holds();
}

#[test]
fn c61_proxy_answers_for_published_addresses_alone() {
    let published = "192.0.2.77";
    let reply = Arp {
        to: host_mac(),
        sha: server_mac(7),
        spa: published,
        tha: host_mac(),
        tpa: HOST,
    }
    .reply();
    let mut reply = reply;
    reply[6..12].copy_from_slice(&GATEWAY_MAC.0);
    case!("RFC 1027, FreeBSD's arp -s ... pub: answered with the hardware address that was published; nothing is learned of who asks")
        .told("publish rack 192.0.2.77 02:00:00:00:01:07")
        .arrives(RACK, &asks(host_mac(), HOST, published))
        .heard("arp requests received")
        .says("arp replies sent", RACK, &reply)
        // Nobody's, and a neighbour's that is not published.
        .arrives(RACK, &asks(host_mac(), HOST, "192.0.2.78"))
        .heard("arp requests received")
        .ignored(Ignored::NotOurs)
        .arrives(RACK, &asks(host_mac(), HOST, "192.0.2.11"))
        .heard("arp requests received")
        .ignored(Ignored::NotOurs)
        // Its owner itself: not told that it is somebody else.
        .arrives(RACK, &asks(server_mac(7), "0.0.0.0", published))
        .heard("arp requests received")
        .ignored(Ignored::NotOurs)
        .holds();
}

#[test]
fn c61_nothing_is_proxied_by_default() {
    let mut case =
        case!("RFC 1812 3.3.2: proxy ARP is off, also for networks that the gateway has routes to");
    for target in ["203.0.113.10", "10.3.3.3", "198.51.100.11", "192.0.2.60"] {
        case = case
            .arrives(RACK, &asks(host_mac(), HOST, target))
            .heard("arp requests received")
            .ignored(Ignored::NotOurs);
    }
    case.holds();
}

/// The host is known, and another station claims to be it.
fn is_claimed(case: Case, other: Mac) -> Case {
    case.set("verify-moves")
        .arrives(RACK, &asks(host_mac(), HOST, OURS))
        .heard("arp requests received")
        .says("arp replies sent", RACK, &answers(host_mac(), HOST))
        .arrives(RACK, &asks(other, HOST, HOST))
        .heard("arp requests received")
        .ignored(Ignored::Claim)
        .says("arp requests sent", RACK, &question_to(host_mac()))
}

#[test]
fn c62_a_claimed_mac_is_verified_first_where_that_is_set() {
    let (packet, other) = (to_host(3), server_mac(10));
    let case = case!(
        "RFC 826 believes at once; verified as RFC 4861 7.2.5 has it: who is known is asked, answers, and keeps its packets"
    );
    is_claimed(case.called("forged"), other)
        .arrives(CLIENTS, &packet)
        .goes_on(RACK, &sent_to(host_mac(), &packet))
        .arrives(RACK, &answer(HOST, host_mac()))
        .heard("arp replies received")
        .counts("moves refused", 1)
        .arrives(CLIENTS, &packet)
        .counts("pinned", 1)
        .goes_on(RACK, &sent_to(host_mac(), &packet))
        .holds();
    let case = case!(
        "RFC 826, verified: who is known is silent, all are asked, and who answers is believed"
    );
    is_claimed(case.called("moved"), other)
        .wait(1000)
        .says("arp requests sent", RACK, &question_to(host_mac()))
        .arrives(CLIENTS, &packet)
        .goes_on(RACK, &sent_to(host_mac(), &packet))
        .wait(1000)
        .says("arp requests sent", RACK, &question(HOST))
        .arrives(RACK, &answer(HOST, other))
        .heard("arp replies received")
        .counts("neighbours moved", 1)
        .arrives(CLIENTS, &packet)
        .counts("pinned", 1)
        .goes_on(RACK, &sent_to(other, &packet))
        .holds();
}
