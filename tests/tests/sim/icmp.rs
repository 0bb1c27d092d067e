//! ICMP: errors of the gateway and who gets none, errors of others about flows, echo, the end of a TTL.

use flowgate_tests::frames::{ether, udp};
use flowgate_tests::net::craft::{
    self, echo_request, icmp_error, pieces, read_icmp_error, with_df, with_ttl,
};
use flowgate_tests::net::watch::FlowId;
use flowgate_tests::net::{Echo, Scene, destination, to_clients, to_rack};
use flowgate_tests::rack::{CLIENTS, Family, RACK, server_mac};
use flowgate_tests::sim::ip;
use stack::fate::DropReason;
use std::net::SocketAddr;

#[test]
fn a_big_packet_that_may_not_be_fragmented_is_answered_with_the_mtu_and_its_own_bytes() {
    let mut scene = Scene::new(3, Scene::setup(2), 78);
    for (family, from, kind) in [
        (Family::V4, ip("10.0.0.1"), (3, 4)),
        (Family::V6, ip("fd10::1"), (2, 0)),
    ] {
        let flow = Scene::udp_flow(family, 3);
        let mut whole = udp(flow.src, flow.dst, &[0x5a; 1700]);
        if family == Family::V4 {
            whole = with_df(whole, true);
        }
        scene.net.send(CLIENTS, whole.clone());
        scene.net.run_for(10);
        let caught = scene.net.take_caught();
        let errors: Vec<_> = to_clients(&caught).filter_map(read_icmp_error).collect();
        assert_eq!(errors.len(), 1);
        assert_eq!(
            (errors[0].from, errors[0].kind, errors[0].rest),
            (from, kind, 1500)
        );
        let quoted = errors[0].quote.len();
        assert!(quoted >= 500, "{quoted} bytes quoted");
        assert_eq!(
            errors[0].quote,
            whole[..quoted],
            "the bytes that came, TTL and all"
        );
    }
    scene.net.assert_drops(&[(DropReason::TooBig, 2)]);
    scene.finish();
}

/// The packet that a server sends to the flow's client.
fn answer_of(flow: &FlowId) -> Vec<u8> {
    udp(flow.dst, flow.src, b"an answer that meets a closed port")
}

#[test]
fn icmp_errors_about_a_flow_reach_the_server_that_has_it_and_leave_no_trace() {
    let mut scene = Scene::new(5, Scene::setup(3), 79);
    let flows = Scene::udp_flows(0, 60);
    let first = scene.ask_all(&flows);
    let entries = scene.flows();
    // Now some pins are no longer what the buckets say.
    scene.weight(1, 0, None);
    scene.weight(2, 5, None);
    scene.serve(Echo::Silent);
    for (i, (flow, server)) in flows.iter().zip(&first).enumerate() {
        let v6 = flow.src.is_ipv6();
        let router = ip(if v6 { "fd10::9:9" } else { "10.9.9.9" });
        let (kind, code) = if v6 { (1, 4) } else { (3, 3) };
        let error = icmp_error(router, &answer_of(flow), kind, code, 0);
        for queue in 0..3 {
            scene.net.take_tap();
            scene.net.inject(CLIENTS, queue, &error);
            scene.net.run_for(3);
            let sent = scene.net.take_tap();
            let got = to_rack(&sent);
            assert_eq!(got.len(), 1, "flow {i}, queue {queue}");
            assert_eq!(got[0].0, *server, "flow {i}, queue {queue}");
            assert_eq!(
                got[0].1,
                with_ttl(error.clone(), 63),
                "nothing but the TTL changed"
            );
        }
    }
    assert_eq!(scene.flows(), entries);
    scene.net.assert_drops(&[]);
    scene.net.assert_moves(&[]);
    scene.finish();
}

#[test]
fn icmp_errors_about_flows_that_nobody_knows_are_forwarded_and_create_nothing() {
    let mut scene = Scene::new(3, Scene::setup(2), 80);
    scene.serve(Echo::Silent);
    scene.net.take_tap();
    let flows = Scene::udp_flows(0, 20);
    for flow in &flows {
        let router = ip(if flow.src.is_ipv6() {
            "fd10::9:9"
        } else {
            "10.9.9.9"
        });
        let kind = if flow.src.is_ipv6() { 3 } else { 11 };
        scene
            .net
            .send(CLIENTS, icmp_error(router, &answer_of(flow), kind, 0, 0));
    }
    scene.net.run_for(10);
    assert_eq!(to_rack(&scene.net.take_tap()).len(), flows.len());
    assert_eq!(scene.flows(), 0);
    assert_eq!(
        scene.net.totals().unpinned,
        0,
        "an error is no packet of the flow"
    );
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn an_error_about_a_flow_neither_refreshes_nor_shortens_its_entry() {
    let mut scene = Scene::new(3, Scene::setup(1), 81);
    scene.net.step_ms = 1000;
    let flow = Scene::udp_flow(Family::V4, 1);
    scene.ask_all(&[flow]);
    let error = icmp_error(ip("10.9.9.9"), &answer_of(&flow), 3, 3, 0);
    // A UDP flow lives 300 s.
    for _ in 0..29 {
        scene.net.run_for(10_000);
        scene.net.send(CLIENTS, error.clone());
    }
    assert_eq!(scene.flows(), 1, "not shortened");
    scene.net.run_for(30_000);
    assert_eq!(scene.flows(), 0, "not refreshed");
    scene.finish();
}

#[test]
fn a_traceroute_sees_the_gateway_and_then_the_server() {
    let mut scene = Scene::new(3, Scene::setup(2), 82);
    for (family, from, kind) in [
        (Family::V4, ip("10.0.0.1"), (11, 0)),
        (Family::V6, ip("fd10::1"), (3, 0)),
    ] {
        let flow = Scene::udp_flow(family, 9);
        for hop in 1..=3 {
            let probe = with_ttl(udp(flow.src, flow.dst, b"where am I?"), hop);
            scene.net.take_tap();
            scene.net.send(CLIENTS, probe.clone());
            scene.net.run_for(10);
            let sent = scene.net.take_tap();
            let arrived = to_rack(&sent);
            if hop > 1 {
                assert_eq!(arrived.len(), 1);
                assert_eq!(craft::ttl(arrived[0].1), hop - 1);
                continue;
            }
            assert!(arrived.is_empty());
            let errors: Vec<_> = to_clients(&sent).filter_map(read_icmp_error).collect();
            assert_eq!(errors.len(), 1);
            assert_eq!(
                (errors[0].from, errors[0].kind, errors[0].rest),
                (from, kind, 0)
            );
            assert_eq!(errors[0].quote, probe, "TTL 1 as it came");
        }
    }
    scene.net.assert_drops(&[(DropReason::TtlExpired, 2)]);
    scene.finish();
}

#[test]
fn own_addresses_answer_echo_with_the_same_bytes() {
    let mut scene = Scene::new(1, Scene::setup(2), 83);
    let mut count = 0;
    for size in (0..1400).step_by(97) {
        for own in ["10.0.0.1", "192.0.2.1", "fd10::1", "fd00:2::1"] {
            let (own, seq) = (ip(own), size as u16);
            let client = ip(if own.is_ipv6() { "fd10::5" } else { "10.5.5.5" });
            let data: Vec<u8> = (0..size).map(|b| b as u8 ^ 0x35).collect();
            let request = echo_request(client, own, 77, seq, &data);
            scene.net.inject(CLIENTS, size % 2, &request);
            scene.net.run_for(5);
            let caught = scene.net.take_caught();
            assert_eq!(caught.len(), 1, "{own}, {size} bytes");
            let (reply, at) = (&caught[0].bytes, if own.is_ipv6() { 40 } else { 20 });
            assert_eq!(
                (craft::source(reply), destination(reply)),
                (own, Some(client))
            );
            assert_eq!(reply[at], if own.is_ipv6() { 129 } else { 0 });
            assert_eq!(reply[at + 4..], request[at + 4..], "{own}, {size} bytes");
            assert_eq!(craft::ttl(reply), 64);
            count += 1;
        }
    }
    assert_eq!(scene.net.totals().consumed_echo, count);
    assert_eq!(scene.flows(), 0, "an own address has no entry here");
    // TTL 1 is enough for what is ours.
    scene.net.send(
        CLIENTS,
        with_ttl(echo_request(ip("10.5.5.5"), ip("192.0.2.1"), 1, 1, b""), 1),
    );
    scene.net.run_for(5);
    assert_eq!(scene.net.take_caught().len(), 1);
    scene.net.assert_drops(&[]);
    scene.finish();
}

#[test]
fn icmp_errors_are_limited_by_addressee_and_in_all_and_every_refusal_is_counted() {
    let mut scene = Scene::new(1, Scene::setup(2), 84);
    let nowhere: SocketAddr = "198.51.100.7:9".parse().expect("an address");
    for i in 0..500u16 {
        let packet = udp(SocketAddr::new(ip("10.4.4.4"), 1000 + i), nowhere, b"x");
        scene.net.send(CLIENTS, packet);
    }
    scene.net.run_for(10);
    let to_one = scene.net.take_caught().len() as u64;
    assert!(
        (10..=100).contains(&to_one),
        "{to_one} errors to one addressee"
    );
    for i in 0..2000u16 {
        let src = ip(&format!("10.66.{}.{}", i >> 8, i & 255));
        scene
            .net
            .send(CLIENTS, udp(SocketAddr::new(src, 9), nowhere, b"x"));
    }
    scene.net.run_for(10);
    let to_many = scene.net.take_caught().len() as u64;
    assert!((100..=500).contains(&to_many), "{to_many} errors at once");
    let totals = scene.net.totals();
    assert_eq!(totals.icmp_sent, to_one + to_many);
    assert_eq!(totals.icmp_sent + totals.icmp_limited, 2500);
    // The bucket fills again.
    scene.net.run_for(5000);
    scene.net.send(
        CLIENTS,
        udp(SocketAddr::new(ip("10.4.4.4"), 1), nowhere, b"x"),
    );
    scene.net.run_for(10);
    assert_eq!(scene.net.take_caught().len(), 1);
    scene.net.assert_drops(&[(DropReason::NoRoute, 2501)]);
    scene.finish();
}

/// Packets that must be dropped without an answer: frame or packet, port, reason.
fn never_answered() -> Vec<(&'static str, usize, Vec<u8>, DropReason)> {
    let flow = Scene::udp_flow(Family::V4, 1);
    let flow6 = Scene::udp_flow(Family::V6, 1);
    let about = answer_of(&flow);
    let error = icmp_error(ip("10.9.9.9"), &about, 11, 0, 0);
    let error6 = icmp_error(ip("fd10::9"), &answer_of(&flow6), 3, 0, 0);
    let to = |dst: &str| {
        udp(
            "10.1.1.1:1".parse().expect("a source"),
            dst.parse().expect("a target"),
            b"x",
        )
    };
    let to6 = |dst: &str| {
        udp(
            "[fd10::2]:1".parse().expect("a source"),
            dst.parse().expect("a target"),
            b"x",
        )
    };
    let later_piece = pieces(&udp(flow.src, flow.dst, &[1; 1000]), 5, 512)[1].clone();
    let broadcast = ether(arp::Mac::BROADCAST, server_mac(0), &to("198.51.100.1:9"));
    let unroutable = SocketAddr::new(ip("198.51.100.9"), 4);
    let about_nowhere = udp(unroutable, flow.src, b"x");
    use DropReason::{IpLinkCast, IpMulticast, NoRoute, TtlExpired};
    vec![
        (
            "an ICMP error whose time is up",
            CLIENTS,
            with_ttl(error, 1),
            TtlExpired,
        ),
        (
            "an ICMPv6 error whose time is up",
            CLIENTS,
            with_ttl(error6, 1),
            TtlExpired,
        ),
        (
            "an ICMP error to nowhere",
            CLIENTS,
            icmp_error(ip("10.9.9.9"), &about_nowhere, 3, 3, 0),
            NoRoute,
        ),
        (
            "a later piece whose time is up",
            CLIENTS,
            with_ttl(later_piece, 1),
            TtlExpired,
        ),
        ("multicast", CLIENTS, to("224.0.0.5:9"), IpMulticast),
        ("IPv6 multicast", CLIENTS, to6("[ff0e::5]:9"), IpMulticast),
        (
            "limited broadcast",
            CLIENTS,
            to("255.255.255.255:9"),
            IpMulticast,
        ),
        (
            "a link broadcast of a unicast packet",
            RACK,
            broadcast,
            IpLinkCast,
        ),
        (
            "a directed broadcast",
            CLIENTS,
            to("192.0.2.255:9"),
            IpMulticast,
        ),
    ]
}

#[test]
fn no_error_is_sent_about_errors_pieces_multicast_and_broadcast() {
    let mut scene = Scene::new(1, Scene::setup(2), 85);
    let mut expected = std::collections::BTreeMap::new();
    for (what, port, bytes, reason) in never_answered() {
        scene.net.inject(port, 0, &bytes);
        // A piece first waits for the one that knows its ports.
        scene.net.run_for(1000);
        *expected.entry(reason).or_insert(0) += 1;
        let drops: Vec<_> = expected.iter().map(|(r, n)| (*r, *n)).collect();
        let caught = scene.net.take_caught();
        assert!(caught.is_empty(), "{what} was answered: {caught:02x?}");
        assert_eq!(scene.net.totals().icmp_sent, 0, "{what}");
        let got = scene.net.totals().dropped_for(reason);
        assert_eq!(got, expected[&reason], "{what}: {:?}", scene.net.totals());
        scene.net.assert_drops(&drops);
    }
    scene.finish();
}
