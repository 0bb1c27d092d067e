//! C48: ICMP redirects. Host 1 of `rack` sends to what host 0 leads to.

use flowgate_tests::case;
use flowgate_tests::conform::{Case, Error, datagram_of, error, from_rack, hop, to_rack, to_west};
use flowgate_tests::frames::{ether, udp};
use flowgate_tests::net::craft::{icmp_error, with_ttl};
use flowgate_tests::rack::{GATEWAY_MAC, RACK, server_mac};
use flowgate_tests::sim::ip;
use stack::fate::DropReason::TtlExpired;

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

fn on(case: Case) -> Case {
    case.set("redirects rack")
}

#[test]
fn c48_a_host_with_a_shorter_way_is_told_and_its_packet_goes_on() {
    let packet = datagram_of("192.0.2.12", "203.0.113.10");
    let near = datagram_of("192.0.2.12", "192.0.2.11");
    on(case!("RFC 1812 5.2.7.2: host redirects alone (5/1), of the next hop, or of the destination if it is a neighbour"))
        .arrives(RACK, &from_host_1(&packet))
        .error(RACK, &redirect([192, 0, 2, 11], 1, &packet))
        .goes_on(RACK, &to_rack(&hop(&packet)))
        .arrives(RACK, &from_host_1(&near))
        .error(RACK, &redirect([192, 0, 2, 11], 2, &near))
        .goes_on(RACK, &to_rack(&hop(&near)))
        .holds();
}

#[test]
fn c48_redirects_are_off_by_default() {
    let packet = datagram_of("192.0.2.12", "203.0.113.10");
    case!("RFC 1812 5.2.7.2 has a switch: a host that is told keeps to one gateway of several")
        .arrives(RACK, &from_host_1(&packet))
        .goes_on(RACK, &to_rack(&hop(&packet)))
        .holds();
}

#[test]
fn c48_who_has_no_shorter_way_is_told_nothing() {
    let (far, out) = (
        datagram_of("198.18.0.9", "203.0.113.10"),
        datagram_of("192.0.2.12", "198.18.0.9"),
    );
    let six = datagram_of("fd00:2::12", "2001:db8:113::10");
    on(case!("RFC 1812 5.2.7.2: not to a sender that is not on that network, not if the packet leaves by another interface; in IPv6 none is sent"))
        .arrives(RACK, &from_rack(&far))
        .goes_on(RACK, &to_rack(&hop(&far)))
        .arrives(RACK, &from_host_1(&out))
        .goes_on(WEST, &to_west(&hop(&out)))
        .arrives(RACK, &from_host_1(&six))
        .goes_on(RACK, &to_rack(&hop(&six)))
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
fn c48_redirects_are_limited() {
    let packet = datagram_of("192.0.2.12", "203.0.113.10");
    let mut scene = flowgate_tests::net::Scene::with_ports(
        2,
        stack::Setup {
            ports: {
                let mut ports = flowgate_tests::sim::client_and_rack(GATEWAY_MAC);
                ports.0[1].rules.redirects = true;
                ports
            },
            ..flowgate_tests::net::Scene::setup(1)
        },
        48,
    );
    scene.route(flowgate_tests::rack::Family::V4, &[0]);
    scene.net.run_for(2000);
    for _ in 0..1000 {
        scene.net.inject(RACK, 0, &from_host_1(&packet));
    }
    scene.net.run_for(10);
    let totals = scene.net.totals();
    assert!((10..=100).contains(&totals.icmp_sent), "{totals:?}");
    scene.net.assert_sound();
}
