//! C48: redirects of ICMP and of neighbour discovery. Host 1 of `rack` sends to what host 0 leads to.

use arp::Mac;
use flowgate_tests::case;
use flowgate_tests::conform::{
    Case, Error, Growth, datagram_of, error, from_rack, hop, to_rack, to_west,
};
use flowgate_tests::frames::{ether, ip_packet, udp};
use flowgate_tests::net::craft::{destination, icmp_error, source, with_ttl};
use flowgate_tests::net::{BOTH, Echo, Scene};
use flowgate_tests::rack::{Family, GATEWAY_MAC, RACK, server_mac};
use flowgate_tests::sim::ip;
use smoltcp::wire::{Icmpv6Packet, IpProtocol};
use stack::control::RouteSpec;
use stack::fate::DropReason::{NoRoute, TtlExpired};
use std::net::IpAddr;

const WEST: usize = 2;

fn from_host_1(packet: &[u8]) -> Vec<u8> {
    ether(GATEWAY_MAC, server_mac(1), packet)
}

/// A redirect of the gateway to host 1: the `no`th ICMP message.
fn redirect(to: [u8; 4], no: u16, about: &[u8]) -> Vec<u8> {
    let told = Error {
        from: "192.0.2.1",
        kind: (5, 1),
        rest: u32::from_be_bytes(to),
        no,
    };
    ether(server_mac(1), GATEWAY_MAC, &error(told, about))
}

fn octets(addr: IpAddr) -> [u8; 16] {
    match addr {
        IpAddr::V6(addr) => addr.octets(),
        IpAddr::V4(_) => panic!("{addr} is not IPv6"),
    }
}

/// RFC 4861 4.5: from the link-local address of `rack` to host 1, about a packet of its: `target` is at `mac`.
fn redirect6(target: &str, mac: Option<Mac>, about: &[u8]) -> Vec<u8> {
    let mut message = vec![137, 0, 0, 0, 0, 0, 0, 0];
    message.extend(octets(ip(target)));
    message.extend(octets(destination(about)));
    if let Some(mac) = mac {
        message.extend([2, 1]);
        message.extend(mac.0);
    }
    let words = about.len().min(1280 - 40 - message.len() - 8) / 8;
    message.extend([4, words as u8 + 1, 0, 0, 0, 0, 0, 0]);
    message.extend(&about[..8 * words]);
    let (from, to) = (ip("fe80::1"), source(about));
    let (IpAddr::V6(from6), IpAddr::V6(to6)) = (from, to) else {
        panic!("{to} is not IPv6");
    };
    Icmpv6Packet::new_unchecked(&mut message[..]).fill_checksum(&from6, &to6);
    let mut packet = ip_packet(from, to, IpProtocol::Icmpv6, 255, &message);
    packet[0] = 0x6c;
    ether(server_mac(1), GATEWAY_MAC, &packet)
}

/// A network behind the router fe80::11, which is host 0.
const BEHIND: &str = "route add 2001:db8:48::/48 fe80::11%rack";

fn on(case: Case) -> Case {
    case.set("redirects rack")
}

#[test]
fn c48_a_host_with_a_shorter_way_is_told_and_its_packet_goes_on() {
    let packet = datagram_of("192.0.2.12", "203.0.113.10");
    let near = datagram_of("192.0.2.12", "192.0.2.11");
    on(case!("RFC 1812 5.2.7.2: host redirects alone (5/1), of the next hop, or of the destination if it is a neighbour"))
        .arrives(RACK, &from_host_1(&packet))
        .redirect(RACK, &redirect([192, 0, 2, 11], 1, &packet))
        .goes_on(RACK, &to_rack(&hop(&packet)))
        .arrives(RACK, &from_host_1(&near))
        .redirect(RACK, &redirect([192, 0, 2, 11], 2, &near))
        .goes_on(RACK, &to_rack(&hop(&near)))
        .holds();
}

#[test]
fn c48_an_ipv6_host_with_a_shorter_way_is_told_and_its_packet_goes_on() {
    let packet = datagram_of("fd00:2::12", "2001:db8:48::10");
    let near = datagram_of("fd00:2::12", "fd00:2::11");
    let mac = Some(server_mac(0));
    on(case!("RFC 4861 4.5, 8.2: of the router's link-local address, or of the destination if it is a neighbour; from ours, hop limit 255"))
        .told(BEHIND)
        .arrives(RACK, &from_host_1(&packet))
        .redirect(RACK, &redirect6("fe80::11", mac, &packet))
        .goes_on(RACK, &to_rack(&hop(&packet)))
        .arrives(RACK, &from_host_1(&near))
        .redirect(RACK, &redirect6("fd00:2::11", mac, &near))
        .goes_on(RACK, &to_rack(&hop(&near)))
        .holds();
}

#[test]
fn c48_an_ipv6_redirect_quotes_what_1280_bytes_allow() {
    let sized = |len: usize| {
        let ends = ["[fd00:2::12]:4000", "[2001:db8:48::10]:53"];
        let [from, to] = ends.map(|end| end.parse().expect("an end"));
        udp(from, to, &vec![0x5a; len - 48])
    };
    let case = on(case!(
        "RFC 4861 4.6.3, 8.2: as much of the packet as fits; an option is whole words of eight bytes, and has nothing but the packet's"
    ));
    // 1184 bytes are all that fits beside the option of the link-layer address.
    [48, 49, 1183, 1184, 1185, 1500]
        .iter()
        .fold(case.told(BEHIND), |case, &len| {
            // Of one destination a host is told once a second.
            let case = case.wait(1000);
            let (packet, mac) = (sized(len), Some(server_mac(0)));
            case.arrives(RACK, &from_host_1(&packet))
                .redirect(RACK, &redirect6("fe80::11", mac, &packet))
                .goes_on(RACK, &to_rack(&hop(&packet)))
        })
        // One flow.
        .counts("pinned", 5)
        .holds();
    let longest = redirect6("fe80::11", Some(server_mac(0)), &sized(1500));
    assert_eq!(longest.len(), 14 + 1280);
}

#[test]
fn c48_redirects_are_off_by_default() {
    let packet = datagram_of("192.0.2.12", "203.0.113.10");
    let packet6 = datagram_of("fd00:2::12", "2001:db8:48::10");
    case!("RFC 1812 5.2.7.2 has a switch: a host that is told keeps to one gateway of several")
        .told(BEHIND)
        .arrives(RACK, &from_host_1(&packet))
        .goes_on(RACK, &to_rack(&hop(&packet)))
        .arrives(RACK, &from_host_1(&packet6))
        .goes_on(RACK, &to_rack(&hop(&packet6)))
        .holds();
}

#[test]
fn c48_who_has_no_shorter_way_is_told_nothing() {
    let (far, out) = (
        datagram_of("198.18.0.9", "203.0.113.10"),
        datagram_of("192.0.2.12", "198.18.0.9"),
    );
    on(case!("RFC 1812 5.2.7.2: not to a sender that is not on that network, not if the packet leaves by another interface"))
        .called("v4")
        .arrives(RACK, &from_rack(&far))
        .goes_on(RACK, &to_rack(&hop(&far)))
        .arrives(RACK, &from_host_1(&out))
        .goes_on(WEST, &to_west(&hop(&out)))
        .holds();
    let (far, out) = (
        datagram_of("2001:db8:18::9", "2001:db8:48::10"),
        datagram_of("fd00:2::12", "2001:db8:18::9"),
    );
    on(case!("RFC 4861 8.2: not to a sender that is no neighbour, not if the packet leaves by another interface"))
        .called("v6")
        .told(BEHIND)
        .arrives(RACK, &from_rack(&far))
        .goes_on(RACK, &to_rack(&hop(&far)))
        .arrives(RACK, &from_host_1(&out))
        .goes_on(WEST, &to_west(&hop(&out)))
        .holds();
}

#[test]
fn c48_no_ipv6_redirect_to_a_router_that_is_known_by_no_link_local_address() {
    let packet = datagram_of("fd00:2::12", "2001:db8:113::10");
    on(case!("RFC 4861 4.5: a router is named by its link-local address, which a next hop fd00:2::11 does not tell; 8.2: routes are to say it"))
        .arrives(RACK, &from_host_1(&packet))
        .goes_on(RACK, &to_rack(&hop(&packet)))
        .holds();
}

#[test]
fn c48_neither_of_itself_nor_of_one_way_among_several() {
    let own = datagram_of("192.0.2.11", "203.0.113.10");
    on(case!(
        "RFC 1812 5.2.7.2: who is the next hop itself has no shorter way"
    ))
    .called("itself")
    .arrives(RACK, &from_rack(&own))
    .goes_on(RACK, &to_rack(&hop(&own)))
    .holds();
    // The router fe80::11 sends by its other address: its hardware address says who it is.
    let own = datagram_of("fd00:2::11", "2001:db8:48::10");
    on(case!(
        "RFC 4861 8.2: who is the next hop itself has no better one"
    ))
    .called("itself_v6")
    .told(BEHIND)
    .arrives(RACK, &from_rack(&own))
    .goes_on(RACK, &to_rack(&hop(&own)))
    .holds();
    let case = on(case!(
        "a host that is told keeps to one gateway: not where several share a route"
    ))
    .called("several")
    .told("route add 203.0.113.0/24 192.0.2.12");
    let packet = datagram_of("192.0.2.13", "203.0.113.10");
    case.arrives(RACK, &ether(GATEWAY_MAC, server_mac(2), &packet))
        .goes_on(RACK, &ether(server_mac(0), GATEWAY_MAC, &hop(&packet)))
        .holds();
}

#[test]
fn c48_not_about_errors_and_packets_that_end_here() {
    let about = udp(
        "203.0.113.10:9".parse().expect("a server"),
        "192.0.2.12:9".parse().expect("a host"),
        b"x",
    );
    let mut packet = icmp_error(ip("192.0.2.12"), &about, 3, 3, 0);
    packet[16..20].copy_from_slice(&[203, 0, 113, 10]);
    flowgate_tests::net::craft::fix_header(&mut packet);
    let ended = with_ttl(datagram_of("192.0.2.12", "203.0.113.10"), 1);
    let told = Error {
        from: "192.0.2.1",
        kind: (11, 0),
        rest: 0,
        no: 1,
    };
    on(case!("RFC 1122 3.2.2: none about an ICMP error; one about a packet that is not sent on would be idle"))
        .arrives(RACK, &from_host_1(&packet))
        .unanswered()
        .goes_on(RACK, &to_rack(&hop(&packet)))
        .arrives(RACK, &from_host_1(&ended))
        .dropped(TtlExpired)
        .error(RACK, &ether(server_mac(1), GATEWAY_MAC, &error(told, &ended)))
        .holds();
}

#[test]
fn c48_no_ipv6_redirect_about_errors_and_packets_that_end_here() {
    let about = udp(
        "[2001:db8:48::10]:9".parse().expect("a server"),
        "[fd00:2::12]:9".parse().expect("a host"),
        b"x",
    );
    let packet = icmp_error(ip("fd00:2::12"), &about, 1, 4, 0);
    let ended = with_ttl(datagram_of("fd00:2::12", "2001:db8:48::10"), 1);
    let told = Error {
        from: "fd00:2::1",
        kind: (3, 0),
        rest: 0,
        no: 0,
    };
    on(case!("RFC 4443 2.4 (e): no message about an ICMPv6 error; RFC 4861 8.2: about packets that are forwarded"))
        .told(BEHIND)
        .arrives(RACK, &from_host_1(&packet))
        .unanswered()
        .goes_on(RACK, &to_rack(&hop(&packet)))
        .arrives(RACK, &from_host_1(&ended))
        .dropped(TtlExpired)
        .error(RACK, &ether(server_mac(1), GATEWAY_MAC, &error(told, &ended)))
        .holds();
}

#[test]
fn c48_redirects_are_limited() {
    for (family, packet) in [
        (Family::V4, datagram_of("192.0.2.12", "192.0.2.11")),
        (Family::V6, datagram_of("fd00:2::12", "fd00:2::11")),
    ] {
        let mut scene = told_of_shorter_ways();
        scene.serve(Echo::Silent);
        scene.know_servers();
        let growth = Growth::of(&mut scene.net);
        for _ in 0..1000 {
            scene.net.inject(RACK, 0, &from_host_1(&packet));
        }
        scene.net.run_for(10);
        assert_eq!(redirects(&scene), [1, 999], "RFC 4861 8.2: of one way");
        scene.net.run_for(1000);
        scene.net.inject(RACK, 0, &from_host_1(&packet));
        scene.net.run_for(10);
        assert_eq!(redirects(&scene), [2, 999]);
        growth
            .forwarded(family, 1001)
            .counts("pinned", 1000)
            .errors(2)
            .counts("redirects_sent", 2)
            .counts("icmp_limited", 999)
            .counts("redirects_limited", 999)
            .holds(&mut scene.net, "redirects");
        scene.net.assert_sound();
    }
}

#[test]
fn c48_redirects_leave_their_addressee_its_errors() {
    // One IPv4 host, and hosts of one /64.
    let ways: [fn(u16) -> (String, String); 2] = [
        |n| ("192.0.2.12".into(), format!("203.0.113.{}", 20 + n)),
        |n| (format!("fd00:2::{:x}", 0x100 + n), "fd00:2::11".into()),
    ];
    let nowhere = ["198.18.200.1", "2001:db8:ff::1"];
    for ((way, nowhere), family) in ways.into_iter().zip(nowhere).zip(BOTH) {
        let mut scene = told_of_shorter_ways();
        scene.serve(Echo::Silent);
        scene.know_servers();
        (0..200).for_each(|n| scene.know(ip(&way(n).0), server_mac(1)));
        let growth = Growth::of(&mut scene.net);
        for n in 0..200 {
            let (from, to) = way(n);
            let packet = datagram_of(&from, &to);
            scene.net.inject(RACK, 0, &from_host_1(&packet));
        }
        scene.net.run_for(10);
        let [sent, limited] = redirects(&scene);
        assert!((10..=100).contains(&sent), "{sent} redirects to one host");
        assert_eq!(sent + limited, 200);
        let before = scene.net.totals().icmp_sent;
        let packet = datagram_of(&way(7).0, nowhere);
        scene.net.inject(RACK, 0, &from_host_1(&packet));
        scene.net.run_for(10);
        assert_eq!(scene.net.totals().icmp_sent, before + 1, "RFC 4443 2.4 (f)");
        growth
            .forwarded(family, 200)
            .dropped(NoRoute, family, 1)
            .errors(sent + 1)
            .counts("redirects_sent", sent)
            .counts("icmp_limited", limited)
            .counts("redirects_limited", limited)
            .holds(&mut scene.net, "redirects and an error");
        scene.net.assert_sound();
    }
}

/// Redirects that were sent, and that their limits kept back.
fn redirects(scene: &Scene) -> [u64; 2] {
    let totals = scene.net.totals();
    [totals.redirects_sent, totals.redirects_limited]
}

/// A gateway that redirects on `rack`.
fn told_of_shorter_ways() -> Scene {
    let mut ports = flowgate_tests::sim::client_and_rack(GATEWAY_MAC);
    ports.0[1].rules.redirects = true;
    let setup = stack::Setup {
        ports,
        ..Scene::setup(1)
    };
    let mut scene = Scene::with_ports(2, setup, 48);
    for family in BOTH {
        scene.route(family, &[0]);
    }
    let behind = RouteSpec {
        prefix: "203.0.113.0/24".parse().expect("a network"),
        ..Scene::spec(Family::V4, &[(0, 1)], None)
    };
    let (now, gateway) = (scene.net.sim.now, &mut scene.net.sim.gateway);
    let added = gateway.control.route_add(&behind, &mut gateway.host, now);
    added.expect("a route is added");
    scene.net.run_for(2000);
    scene
}
