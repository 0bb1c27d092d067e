//! C65 to C71: IPv6 and neighbour discovery. Host 9 of `rack` is fd00:2::50, whom nobody knows at first.

use arp::{Ignored, Mac};
use flowgate_tests::case;
use flowgate_tests::conform::{
    Case, Error, GATEWAY6, Growth, Nd, bare, client, counted, datagram, datagram_of, error,
    from_rack, hop, to_rack,
};
use flowgate_tests::frames::{ether, udp};
use flowgate_tests::net::Scene;
use flowgate_tests::net::craft::{is_piece, pieces};
use flowgate_tests::net::zoo::with_extension;
use flowgate_tests::rack::{CLIENTS, Family, GATEWAY_MAC, RACK, server_mac};
use flowgate_tests::sim::ip;
use stack::fate::DropReason::{
    Ip6Routing, IpBadDest, IpBadSource, IpMulticast, NeighbourFailed, NeighbourLimited, NoRoute,
    TooBig,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;

pub(super) const HOST: &str = "fd00:2::50";
pub(super) const OURS: &str = "fd00:2::1";

/// The group of those whose address ends so.
pub(super) fn solicited(last: u8) -> (Mac, String) {
    (
        Mac([0x33, 0x33, 0xff, 0, 0, last]),
        format!("ff02::1:ff00:{last:x}"),
    )
}

pub(super) fn host_mac() -> Mac {
    server_mac(9)
}

fn told(kind: (u8, u8), rest: u32, about: &[u8]) -> Vec<u8> {
    error(
        Error {
            from: GATEWAY6,
            kind,
            rest,
            no: 0,
        },
        about,
    )
}

fn sized(dst: &str, len: usize) -> Vec<u8> {
    udp(
        client(Family::V6),
        SocketAddr::new(ip(dst), 53),
        &vec![0x5a; len - 48],
    )
}

#[test]
fn c65_packet_too_big_and_never_cut() {
    let (fits, over) = (
        sized("2001:db8:1280::10", 1280),
        sized("2001:db8:1280::10", 1281),
    );
    let wide = sized("2001:db8:113::10", 1501);
    case!(
        "RFC 8200 5, RFC 4443 3.2: 2/0 with the MTU of the way out; a router never fragments IPv6"
    )
    .called("whole")
    .arrives(CLIENTS, &fits)
    .goes_on(RACK, &to_rack(&hop(&fits)))
    .arrives(CLIENTS, &over)
    .counts("pinned", 1)
    .dropped(TooBig)
    .error(CLIENTS, &told((2, 0), 1280, &over))
    .arrives(CLIENTS, &wide)
    .dropped(TooBig)
    .error(CLIENTS, &told((2, 0), 1500, &wide))
    .holds();
    let parts = pieces(&sized("2001:db8:1280::10", 2100), 7, 1400);
    assert!(is_piece(&parts[0]));
    case!("RFC 8200 4.5: nor a piece of a datagram")
        .called("piece")
        .arrives(CLIENTS, &parts[0])
        .dropped(TooBig)
        .error(CLIENTS, &told((2, 0), 1280, &parts[0]))
        .holds();
}

#[test]
fn c66_link_local_source_is_beyond_scope() {
    let packet = datagram_of("fe80::99", "2001:db8:113::10");
    case!("RFC 4007 9, RFC 4443 3.1: not forwarded, 1/2 to the sender, on its link")
        .arrives(CLIENTS, &packet)
        .dropped(IpBadSource)
        .error(CLIENTS, &told((1, 2), 0, &packet))
        .holds();
}

#[test]
fn c66_link_local_destination_is_not_forwarded() {
    case!("RFC 4291 2.5.6: dropped and counted. 1/2 would say that the source's scope is too small, which is not so")
        .arrives(CLIENTS, &datagram_of("fd10::3", "fe80::11"))
        .dropped(IpBadDest)
        .arrives(RACK, &from_rack(&datagram_of("fd00:2::11", "fe80::12")))
        .dropped(IpBadDest)
        // The gateway's own, of another link.
        .arrives(CLIENTS, &datagram_of("fd10::3", "fe80::1"))
        .dropped(IpBadDest)
        .holds();
}

#[test]
fn c67_routing_header_0_with_segments_left_is_a_parameter_problem() {
    let rh0 = |left: u8| {
        let mut ext = vec![17, 2, 0, left, 0, 0, 0, 0];
        ext.extend_from_slice(&[0x20, 1, 0xd, 0xb8, 1, 0x13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11]);
        with_extension(&datagram(Family::V6), 43, &ext)
    };
    let (refused, done) = (rh0(1), rh0(0));
    case!("RFC 5095 3: 4/0 with the pointer at the routing type; with no segments left it is an ordinary packet")
        .arrives(CLIENTS, &refused)
        .dropped(Ip6Routing)
        .error(CLIENTS, &told((4, 0), 42, &refused))
        .arrives(CLIENTS, &done)
        .goes_on(RACK, &to_rack(&hop(&done)))
        .holds();
}

#[test]
fn c68_errors_are_1280_bytes_at_most() {
    let mut case = case!("RFC 4443 2.4 (c): as much of the packet as 1280 bytes allow");
    for len in [48, 49, 1231, 1232, 1233, 1500] {
        let packet = sized("2001:db8:99::9", len);
        let answer = told((1, 0), 0, &packet);
        assert_eq!(answer.len(), (48 + len).min(1280));
        case = case
            .arrives(CLIENTS, &packet)
            .dropped(NoRoute)
            .error(CLIENTS, &answer);
    }
    case.holds();
}

#[test]
fn c68_errors_about_multicast_are_suppressed() {
    // Packet too big to a group is allowed by RFC 4443 §2.4 (e.3), for routers that forward multicast: this one has no way
    // out for it, so no MTU to tell.
    case!("RFC 4443 2.4 (e.3): nothing about multicast")
        .arrives(CLIENTS, &sized("ff0e::5", 1500))
        .dropped(IpMulticast)
        .holds();
}

pub(super) fn question(target: &str, last: u8) -> Vec<u8> {
    let (to, dst) = solicited(last);
    Nd {
        to,
        from: GATEWAY_MAC,
        ends: (OURS, &dst),
        target,
        lladdr: Some(GATEWAY_MAC),
        flags: 0,
        hops: 255,
    }
    .solicit()
}

/// The host's answer, with flags and hop limit.
pub(super) fn answer(flags: u8, hops: u8) -> Vec<u8> {
    Nd {
        to: GATEWAY_MAC,
        from: host_mac(),
        ends: (HOST, OURS),
        target: HOST,
        lladdr: Some(host_mac()),
        flags,
        hops,
    }
    .advert()
}

pub(super) fn is_asked(case: Case, packet: &[u8]) -> Case {
    case.arrives(CLIENTS, packet).counts("pinned", 1).says(
        "solicitations sent",
        RACK,
        &question(HOST, 0x50),
    )
}

#[test]
fn c69_messages_that_crossed_a_router_are_ignored() {
    let packet = datagram_of("fd10::3", HOST);
    is_asked(
        case!("RFC 4861 7.1.1, 7.1.2: a hop limit other than 255 was on another link"),
        &packet,
    )
    .arrives(RACK, &answer(0x60, 254))
    .counts("consumed", 1)
    .counts("consumed_arp", 1)
    .ignored(Ignored::BadHopLimit)
    .arrives(RACK, &answer(0x60, 255))
    .heard("advertisements received")
    .counts("pinned", 1)
    .goes_on(RACK, &ether(host_mac(), GATEWAY_MAC, &hop(&packet)))
    .holds();
}

#[test]
fn c69_discovery_that_crossed_a_router_and_is_for_others_is_forwarded() {
    let transit = |dst, hops| Nd {
        to: GATEWAY_MAC,
        from: host_mac(),
        ends: (HOST, dst),
        target: OURS,
        lladdr: Some(host_mac()),
        flags: 0,
        hops,
    };
    let mut case = case!(
        "RFC 4861 6.1, 7.1: what is not sent with hop limit 255 is no discovery, but a packet like others"
    );
    for (n, frame) in [
        transit("fd10::3", 64).solicit(),
        transit("fd10::3", 254).advert(),
    ]
    .iter()
    .enumerate()
    {
        case = case
            .arrives(RACK, frame)
            .goes_on(CLIENTS, &hop(&bare(frame)))
            .counts("pinned", n as u64);
    }
    // To us and to groups it is not passed on, nor learned from.
    let (group, dst) = solicited(1);
    let to_group = Nd {
        to: group,
        ..transit(&dst, 64)
    };
    for frame in [transit(OURS, 64).solicit(), to_group.solicit()] {
        case = case
            .arrives(RACK, &frame)
            .counts("consumed", 1)
            .counts("consumed_arp", 1)
            .ignored(Ignored::BadHopLimit);
    }
    case.holds();
}

#[test]
fn c69_somebody_elses_duplicate_address_detection_is_answered() {
    let (to, dst) = solicited(1);
    let probe = Nd {
        to,
        from: host_mac(),
        ends: ("::", &dst),
        target: OURS,
        lladdr: None,
        flags: 0,
        hops: 255,
    };
    let all = Mac([0x33, 0x33, 0, 0, 0, 1]);
    let defence = Nd {
        to: all,
        from: GATEWAY_MAC,
        ends: (OURS, "ff02::1"),
        target: OURS,
        lladdr: Some(GATEWAY_MAC),
        flags: 0xa0,
        hops: 255,
    };
    case!(
        "RFC 4862 5.4.3, RFC 4861 7.2.4: our address is ours: to all nodes, R and O set, S clear"
    )
    .arrives(RACK, &probe.solicit())
    .heard("solicitations received")
    .says("advertisements sent", RACK, &defence.advert())
    .holds();
}

#[test]
fn c69_our_addresses_are_probed_when_they_are_announced() {
    let (mut table, _view) = arp::new(arp::Config::default(), 69);
    let mut out = Vec::new();
    let port = |up| arp::PortInfo {
        port: arp::PortId(1),
        mac: GATEWAY_MAC,
        addrs: vec![(ip(OURS), 64)],
        up,
        advertise: None,
    };
    table.set_port(port(true), 0, &mut out);
    let (group, dst) = solicited(1);
    // RFC 4862 5.4.2: from nobody, to who would have it too, without a link address.
    let probe = Nd {
        to: group,
        from: GATEWAY_MAC,
        ends: ("::", &dst),
        target: OURS,
        lladdr: None,
        flags: 0,
        hops: 255,
    };
    assert_eq!(out[0].bytes, probe.solicit());
    let counts = |counts: &[(&str, u64)]| {
        let counts = counts.iter().map(|(name, n)| ((*name).to_owned(), *n));
        counts.collect::<BTreeMap<_, _>>()
    };
    let announced = counts(&[("announcements", 1), ("probes", 1)]);
    assert_eq!((out.len(), counted(table.stats())), (2, announced));
    // Somebody has it: RFC 4862 5.4.4.
    let answer = Nd {
        to: Mac([0x33, 0x33, 0, 0, 0, 1]),
        from: host_mac(),
        ends: (OURS, "ff02::1"),
        target: OURS,
        lladdr: Some(host_mac()),
        flags: 0x20,
        hops: 255,
    };
    table.input(arp::PortId(1), &answer.advert(), 10, &mut out);
    let told: Vec<arp::Event> = table.events().collect();
    let conflict = arp::Event::Conflict {
        port: arp::PortId(1),
        addr: ip(OURS),
        mac: host_mac(),
    };
    assert_eq!(told, [conflict]);
    let heard = |announced| {
        counts(&[
            ("advertisements received", 1),
            ("announcements", announced),
            ("defences", 1),
            ("duplicate addresses", 1),
            ("ignored: duplicate IP address", 1),
            ("probes", announced),
        ])
    };
    assert_eq!(counted(table.stats()), heard(1));
    // Again when the link was away; not because something else changed.
    table.set_port(port(true), 20, &mut out);
    assert_eq!(counted(table.stats()), heard(1));
    table.set_port(port(false), 30, &mut out);
    table.set_port(port(true), 40, &mut out);
    assert_eq!(counted(table.stats()), heard(2));
}

#[test]
fn c69_a_router_says_so() {
    let (to, dst) = solicited(1);
    let asked = Nd {
        to,
        from: host_mac(),
        ends: (HOST, &dst),
        target: OURS,
        lladdr: Some(host_mac()),
        flags: 0,
        hops: 255,
    };
    let told = Nd {
        to: host_mac(),
        from: GATEWAY_MAC,
        ends: (OURS, HOST),
        target: OURS,
        lladdr: Some(GATEWAY_MAC),
        flags: 0xe0,
        hops: 255,
    };
    let packet = datagram_of("fd10::3", HOST);
    case!("RFC 4861 4.4, 7.2.4: R, S and O set; who asks is known from then on (7.2.3)")
        .arrives(RACK, &asked.solicit())
        .heard("solicitations received")
        .says("advertisements sent", RACK, &told.advert())
        .arrives(CLIENTS, &packet)
        .goes_on(RACK, &ether(host_mac(), GATEWAY_MAC, &hop(&packet)))
        .holds();
}

#[test]
fn c70_failed_discovery_is_address_unreachable() {
    let packet = datagram_of("fd10::3", HOST);
    is_asked(
        case!("RFC 4861 7.2.2, 10: three questions a second apart, then 1/3 for what waited"),
        &packet,
    )
    .wait(999)
    .wait(1)
    .says("solicitations sent", RACK, &question(HOST, 0x50))
    .wait(1000)
    .says("solicitations sent", RACK, &question(HOST, 0x50))
    .wait(999)
    .wait(1)
    .counts("neighbours unanswered", 1)
    .counts("pinned", 1)
    .dropped(NeighbourFailed)
    .error(CLIENTS, &told((1, 3), 0, &packet))
    .holds();
}

#[test]
fn c71_a_scan_has_a_limit() {
    let mut scene = Scene::new(2, Scene::setup(2), 71);
    let flows = Scene::udp_flows(0, 20);
    let servers = scene.ask_all(&flows);
    scene.know_servers();
    scene.net.take_tap();
    let (growth, scanned) = (Growth::of(&mut scene.net), 5000);
    for n in 0..scanned {
        let dst = SocketAddr::new(ip(&format!("fd00:2::7:{n:x}")), 9);
        scene
            .net
            .send(CLIENTS, udp(client(Family::V6), dst, b"anybody?"));
    }
    scene.net.run_for(10);
    let (used, limit) = scene.net.sim.gateway.host.neighbours().fills();
    assert!(
        used <= 256 + 16 && used < limit,
        "{used} of {limit} neighbours"
    );
    // Whom the gateway asks for waits, in a flow that is looked up again once there is an entry. A few more were let through
    // in these 10 ms, to a table that has no place for them.
    let asked = scene.net.take_tap().len() as u64;
    let busy = scene.net.totals().waiting_unknown;
    assert_eq!(asked, 256, "questions");
    assert!(busy <= 4, "{busy} beyond them");
    growth
        .received(Family::V6, asked + busy)
        .dropped(NeighbourLimited, Family::V6, scanned - asked - busy)
        .begun(asked)
        .counts("solicitations sent", asked)
        .counts("pinned", asked)
        .counts("waiting", asked + busy)
        .counts("waiting_unknown", busy)
        .counts("neighbours refused: busy", busy)
        .holds(&mut scene.net, "a scan");
    // Nobody else notices.
    assert_eq!(scene.ask_all(&flows), servers);
    scene.net.assert_moves(&[]);
    scene.finish();
}
