//! Hostile packets: cut at every length, every byte at its extremes, noise. Never a panic, both books balance, every
//! drop has its reason, nothing malformed leaves a trace in a table, nobody takes our addresses.

use flowgate_tests::frames::{ether, ip_packet, tcp, tcp_segment, udp};
use flowgate_tests::net::craft::{echo_request, fix_header, pieces};
use flowgate_tests::net::zoo::{
    self, Kind, STRANGER_MAC, advertisement, arp_frame, solicitation, with_extension, with_options,
};
use flowgate_tests::net::{BOTH, Echo, Scene, Transport};
use flowgate_tests::rack::{CLIENTS, Family, GATEWAY_MAC, RACK, server_addr, server_mac};
use flowgate_tests::sim::ip;
use smoltcp::wire::IpProtocol;
use stack::Setup;
use stack::counters::Totals;
use stack::fate::DropReason;
use stack::links::Depths;
use std::net::SocketAddr;

/// Two servers that listen to ARP and ND only, whatever garbage is sent on to them.
fn target(workers: usize, seed: u64) -> Scene {
    let mut scene = Scene::new(2, Scene::setup(workers), seed);
    scene.net.transport = Transport::Ignored;
    for server in &mut scene.net.nodes {
        server.echo = Echo::Silent;
    }
    scene
}

/// A packet as it arrives by a port.
fn framed(port: usize, packet: &[u8]) -> Vec<u8> {
    if port == RACK {
        ether(GATEWAY_MAC, STRANGER_MAC, packet)
    } else {
        packet.to_vec()
    }
}

/// Every frame that can be made of the zoo, by port.
fn zoo_frames() -> Vec<(usize, Kind)> {
    let both = |kind: Kind| {
        [CLIENTS, RACK].map(|port| {
            let bytes = framed(port, &kind.bytes);
            let name = kind.name;
            (port, Kind { name, bytes })
        })
    };
    let neighbours = zoo::neighbour_frames(GATEWAY_MAC)
        .into_iter()
        .map(|k| (RACK, k));
    zoo::packets()
        .into_iter()
        .flat_map(both)
        .chain(neighbours)
        .collect()
}

/// Injects a burst and lets the gateway deal with it.
fn burst(scene: &mut Scene, frames: &[(usize, Vec<u8>)]) {
    let queues = scene.net.sim.peers[0].len();
    for (i, (port, frame)) in frames.iter().enumerate() {
        scene.net.inject(*port, i % queues, frame);
    }
    scene.net.run_for(2);
    scene.net.take_caught();
    scene.net.sim.assert_books();
}

fn all(scene: &mut Scene, frames: impl Iterator<Item = (usize, Vec<u8>)>) -> u64 {
    let (mut chunk, mut count) = (Vec::new(), 0);
    for frame in frames {
        chunk.push(frame);
        count += 1;
        if chunk.len() == 128 {
            burst(scene, &chunk);
            chunk.clear();
        }
    }
    burst(scene, &chunk);
    count
}

fn neighbour_count(scene: &mut Scene) -> usize {
    scene.neighbours().len()
}

#[test]
fn a_packet_cut_short_anywhere_is_dropped_and_leaves_no_trace() {
    for workers in [1, 3] {
        let mut scene = target(workers, 90);
        let (before, known) = (scene.net.totals(), neighbour_count(&mut scene));
        let is_packet = |kind: &Kind| arp::is_neighbour_frame(&kind.bytes).is_none();
        let (packets, neighbours): (Vec<_>, Vec<_>) = zoo_frames()
            .into_iter()
            .partition(|(_, kind)| is_packet(kind));
        let count = all(&mut scene, packets.iter().flat_map(cuts));
        let after = scene.net.totals();
        assert!(count > 4000, "{count}");
        assert_eq!(after.dropped() - before.dropped(), count);
        assert_eq!(after.forwarded, before.forwarded);

        all(&mut scene, neighbours.iter().flat_map(cuts));
        assert_eq!(scene.net.totals().forwarded, before.forwarded);
        assert_eq!(scene.flows(), 0);
        assert_eq!(
            neighbour_count(&mut scene),
            known,
            "{:?}",
            scene.neighbours()
        );
        scene.net.run_until_idle(6000);
        scene.finish();
    }
}

/// Everything that cutting a frame short can make of it.
fn cuts((port, kind): &(usize, Kind)) -> Vec<(usize, Vec<u8>)> {
    (0..kind.bytes.len())
        .map(|len| (*port, kind.bytes[..len].to_vec()))
        .collect()
}

/// A frame with each byte at each extreme, and once more with a good IPv4 header checksum.
fn extremes((port, kind): &(usize, Kind)) -> Vec<(usize, Vec<u8>)> {
    let mut all = Vec::new();
    for at in 0..kind.bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = kind.bytes.clone();
            bytes[at] = value;
            all.push((*port, bytes.clone()));
            if let Some(fixed) = with_good_header(*port, bytes) {
                all.push((*port, fixed));
            }
        }
    }
    all
}

/// The frame with its IPv4 header's checksum made right, if it has such a header.
fn with_good_header(port: usize, mut frame: Vec<u8>) -> Option<Vec<u8>> {
    let at = if port == RACK { 14 } else { 0 };
    let packet = frame.get_mut(at..)?;
    let words = usize::from(packet.first()? & 15) * 4;
    if packet[0] >> 4 != 4 || words < 20 || packet.len() < words {
        return None;
    }
    fix_header(packet);
    Some(frame)
}

#[test]
fn every_byte_at_its_extremes_upsets_nobody() {
    for workers in [1, 3] {
        let mut scene = target(workers, 91);
        let frames = zoo_frames();
        let count = all(&mut scene, frames.iter().flat_map(extremes));
        assert!(count > 20_000, "{count}");
        scene.net.run_for(6000);
        scene.net.run_until_idle(6000);
        assert_still_works(&mut scene);
        scene.finish();
    }
}

/// After all that, the servers are there and a new client is served.
fn assert_still_works(scene: &mut Scene) {
    scene.net.transport = Transport::Checked;
    for server in &mut scene.net.nodes {
        server.echo = Echo::Open;
    }
    for family in BOTH {
        let flows: Vec<_> = (900..940).map(|i| Scene::udp_flow(family, i)).collect();
        let first = scene.ask_all(&flows);
        assert!(first.contains(&0) && first.contains(&1), "{first:?}");
        assert_eq!(scene.ask_all(&flows), first);
    }
    let gateways = [Family::V4, Family::V6].map(|f| [server_addr(0, f), server_addr(1, f)]);
    for neighbour in scene.neighbours().iter().filter(|n| n.reserved) {
        assert!(gateways.as_flattened().contains(&neighbour.addr));
        let macs = [server_mac(0), server_mac(1)];
        assert!(
            neighbour.mac.is_some_and(|mac| macs.contains(&mac)),
            "{neighbour:?}"
        );
    }
}

/// Noise that gets past the first look: a zoo packet with some bytes changed, or random bytes behind a header's start.
fn noise(rng: &mut fastrand::Rng, zoo: &[(usize, Kind)]) -> (usize, Vec<u8>) {
    let (port, kind) = &zoo[rng.usize(..zoo.len())];
    if rng.u8(..4) == 0 {
        return (*port, random_frame(rng, *port));
    }
    let mut bytes = kind.bytes.clone();
    for _ in 0..rng.usize(1..6) {
        let at = rng.usize(..bytes.len());
        bytes[at] = rng.u8(..);
    }
    if rng.u8(..4) == 0 {
        bytes.resize(rng.usize(..bytes.len() + 40), 0xaa);
    }
    if rng.bool()
        && let Some(fixed) = with_good_header(*port, bytes.clone())
    {
        bytes = fixed;
    }
    (*port, bytes)
}

fn random_frame(rng: &mut fastrand::Rng, port: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..rng.usize(..200)).map(|_| rng.u8(..)).collect();
    let starts: [&[u8]; 4] = [&[0x45], &[0x4f], &[0x60], &[]];
    let start = starts[rng.usize(..4)];
    bytes.splice(..0, start.iter().copied());
    if port == RACK && rng.u8(..8) != 0 {
        let types = [0x0800, 0x86dd, 0x0806, 0x8100];
        let header = arp::ether_header(GATEWAY_MAC, STRANGER_MAC, types[rng.usize(..4)]);
        bytes.splice(..0, header);
    }
    bytes
}

#[test]
fn a_hundred_thousand_packets_of_noise_upset_nobody() {
    for (workers, seed) in [(1, 92), (3, 93)] {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut scene = target(workers, seed);
        let zoo = zoo_frames();
        let frames = std::iter::repeat_with(|| noise(&mut rng, &zoo)).take(60_000);
        all(&mut scene, frames);
        scene.net.assert_sound();
        // Neighbours that noise asked for are forgotten, and so are its flows.
        scene.net.step_ms = 1000;
        scene.net.run_for(10_000_000);
        scene.net.run_until_idle(6000);
        assert_eq!(scene.flows(), 0, "seed {seed}");
        assert_eq!(
            neighbour_count(&mut scene),
            4,
            "seed {seed}: {:?}",
            scene.neighbours()
        );
        assert_still_works(&mut scene);
        scene.finish();
    }
}

/// What a packet adds to the counters: one received, one dropped for `reason`, and nothing else but perhaps ICMP.
fn assert_one_drop(before: &Totals, after: &Totals, reason: DropReason, what: &str) {
    assert_eq!(after.rx - before.rx, 1, "{what}: received");
    for &other in DropReason::ALL {
        let got = after.dropped_for(other) - before.dropped_for(other);
        assert_eq!(got, u64::from(other == reason), "{what}: {}", other.name());
    }
    assert_eq!(after.forwarded, before.forwarded, "{what}: forwarded");
    assert_eq!(after.consumed, before.consumed, "{what}: consumed");
    assert_eq!(after.waiting, before.waiting, "{what}: waiting");
}

/// A packet, what is wrong with it, and the reason for which it must be dropped.
type Case = (&'static str, Vec<u8>, DropReason);

fn client() -> SocketAddr {
    "10.3.3.3:4000".parse().expect("an address")
}

fn client6() -> SocketAddr {
    "[fd10::3]:4000".parse().expect("an address")
}

fn to(dst: &str) -> Vec<u8> {
    let dst: SocketAddr = dst.parse().expect("an address");
    udp(
        if dst.is_ipv6() { client6() } else { client() },
        dst,
        b"hello",
    )
}

fn from(src: &str) -> Vec<u8> {
    let src: SocketAddr = src.parse().expect("an address");
    let dst = if src.is_ipv6() {
        "[2001:db8:113::10]:53"
    } else {
        "203.0.113.10:53"
    };
    udp(src, dst.parse().expect("an address"), b"hello")
}

/// A good packet with some bytes changed, its IPv4 header's checksum good again.
fn changed(mut packet: Vec<u8>, changes: &[(usize, u8)]) -> Vec<u8> {
    for (at, value) in changes {
        packet[*at] = *value;
    }
    let words = usize::from(packet[0] & 15) * 4;
    if (20..=packet.len()).contains(&words) {
        fix_header(&mut packet);
    }
    packet
}

fn header_cases() -> Vec<Case> {
    use DropReason::*;
    let good = to("203.0.113.10:53");
    let mut bad_sum = good.clone();
    bad_sum[10] ^= 0x40;
    vec![
        ("nothing", vec![], IpShort),
        ("one byte", vec![0x45], IpShort),
        ("19 bytes", good[..19].to_vec(), IpShort),
        ("version 0", changed(good.clone(), &[(0, 0x05)]), IpVersion),
        ("version 5", changed(good.clone(), &[(0, 0x55)]), IpVersion),
        (
            "a header of 4 words",
            changed(good.clone(), &[(0, 0x44)]),
            IpHeaderLen,
        ),
        (
            "a header beyond the data",
            changed(good.clone(), &[(0, 0x4f)]),
            IpHeaderLen,
        ),
        (
            "a length below the header",
            changed(good.clone(), &[(2, 0), (3, 19)]),
            IpLen,
        ),
        (
            "a length beyond the frame",
            changed(good.clone(), &[(2, 1)]),
            IpLen,
        ),
        ("a bad checksum", bad_sum, IpSum),
        (
            "a loose source route",
            with_options(&good, &[131, 7, 4, 10, 0, 0, 9, 0]),
            IpSourceRoute,
        ),
        (
            "a strict source route",
            with_options(&good, &[1, 137, 7, 4, 10, 0, 0, 9]),
            IpSourceRoute,
        ),
        (
            "an option of length 1",
            with_options(&good, &[7, 1, 0, 0]),
            IpOptions,
        ),
        (
            "an option beyond the header",
            with_options(&good, &[7, 5, 0, 0]),
            IpOptions,
        ),
        (
            "an option without its length",
            with_options(&good, &[1, 1, 1, 7]),
            IpOptions,
        ),
    ]
}

fn address_cases() -> Vec<Case> {
    use DropReason::*;
    vec![
        ("from 0.0.0.0", from("0.0.0.0:1"), IpBadSource),
        ("from loopback", from("127.0.0.1:1"), IpBadSource),
        ("from multicast", from("224.0.0.1:1"), IpBadSource),
        ("from broadcast", from("255.255.255.255:1"), IpBadSource),
        ("from class E", from("240.0.0.1:1"), IpBadSource),
        ("from us", from("192.0.2.1:1"), IpOwnSource),
        ("to 0.0.0.0", to("0.0.0.0:1"), IpBadDest),
        ("to loopback", to("127.1.2.3:1"), IpBadDest),
        ("to class E", to("250.0.0.1:1"), IpBadDest),
        ("to link-local", to("169.254.1.1:1"), IpBadDest),
        ("from link-local", from("169.254.1.1:1"), IpBadSource),
        ("to multicast", to("239.1.2.3:1"), IpMulticast),
        ("to broadcast", to("255.255.255.255:1"), IpMulticast),
        ("to nowhere", to("198.51.100.1:1"), NoRoute),
        ("from ::", from("[::]:1"), IpBadSource),
        ("from ::1", from("[::1]:1"), IpBadSource),
        ("from ff02::1", from("[ff02::1]:1"), IpBadSource),
        (
            "from a mapped address",
            from("[::ffff:10.0.0.9]:1"),
            IpBadSource,
        ),
        ("from our IPv6 address", from("[fd00:2::1]:1"), IpOwnSource),
        ("to ::", to("[::]:1"), IpBadDest),
        ("to ::1", to("[::1]:1"), IpBadDest),
        ("to a mapped address", to("[::ffff:10.0.0.9]:1"), IpBadDest),
        ("to ff02::1", to("[ff02::1]:1"), IpMulticast),
        ("to an IPv6 nowhere", to("[3fff::1]:1"), NoRoute),
        ("to IPv6 link-local", to("[fe80::99]:1"), IpBadDest),
        ("from IPv6 link-local", from("[fe80::99]:1"), IpBadSource),
    ]
}

fn transport_cases() -> Vec<Case> {
    use DropReason::*;
    let (src, dst) = (client().ip(), ip("203.0.113.10"));
    let raw = |proto: u8, payload: &[u8]| ip_packet(src, dst, IpProtocol::from(proto), 64, payload);
    let raw6 = |proto: u8, payload: &[u8]| {
        let ends = (client6().ip(), ip("2001:db8:113::10"));
        ip_packet(ends.0, ends.1, IpProtocol::from(proto), 64, payload)
    };
    let syn = tcp_segment(
        client(),
        "203.0.113.10:80".parse().expect("an address"),
        tcp::SYN,
        1,
        0,
        0,
    );
    let mut bad_echo = echo_request(src, ip("10.0.0.1"), 1, 1, b"data");
    bad_echo[30] ^= 1;
    let mut bad_echo6 = echo_request(client6().ip(), ip("fd10::1"), 1, 1, b"data");
    bad_echo6[50] ^= 1;
    vec![
        ("TCP without ports", raw(6, &[0; 3]), TcpHeader),
        ("TCP of 19 bytes", raw(6, &[0; 19]), TcpHeader),
        (
            "a TCP offset of 4",
            changed(syn.clone(), &[(32, 0x40)]),
            TcpHeader,
        ),
        (
            "a TCP offset beyond the data",
            changed(syn, &[(32, 0x60)]),
            TcpHeader,
        ),
        ("UDP of 7 bytes", raw(17, &[0; 7]), UdpHeader),
        ("SCTP of 11 bytes", raw(132, &[0; 11]), UdpHeader),
        ("ICMP of 7 bytes", raw(1, &[8; 7]), IcmpHeader),
        ("TCP of 19 bytes, IPv6", raw6(6, &[0; 19]), TcpHeader),
        ("UDP of 7 bytes, IPv6", raw6(17, &[0; 7]), UdpHeader),
        ("ICMPv6 of 7 bytes", raw6(58, &[128; 7]), IcmpHeader),
        ("an echo to us with a bad checksum", bad_echo, IcmpSum),
        (
            "an ICMPv6 echo to us with a bad checksum",
            bad_echo6,
            IcmpSum,
        ),
    ]
}

fn piece_cases() -> Vec<Case> {
    use DropReason::*;
    let whole = udp(
        client(),
        "203.0.113.10:53".parse().expect("an address"),
        &[7; 100],
    );
    let whole6 = udp(
        client6(),
        "[2001:db8:113::10]:53".parse().expect("an address"),
        &[7; 100],
    );
    let segment = tcp_segment(
        client(),
        "203.0.113.10:80".parse().expect("an address"),
        tcp::SYN,
        1,
        0,
        50,
    );
    let cut = pieces(&whole, 7, 48);
    let ragged = pieces(&whole, 7, 41)[0].clone();
    let beyond = changed(cut[2].clone(), &[(6, 0x1f), (7, 0xff)]);
    let empty = changed(cut[2][..20].to_vec(), &[(2, 0), (3, 20)]);
    let mut beyond6 = pieces(&whole6, 7, 48)[2].clone();
    (beyond6[42], beyond6[43]) = (0xff, 0xf8);
    vec![
        (
            "a piece of 41 bytes that is not the last",
            ragged,
            FragmentBad,
        ),
        ("a piece beyond 65535 bytes", beyond, FragmentBad),
        ("a piece of nothing", empty, FragmentBad),
        ("an IPv6 piece beyond 65535 bytes", beyond6, FragmentBad),
        (
            "a first piece with half a TCP header",
            pieces(&segment, 8, 8)[0].clone(),
            FragmentTiny,
        ),
    ]
}

fn extension_cases() -> Vec<Case> {
    use DropReason::*;
    let good = to("[2001:db8:113::10]:53");
    let option = [17, 0, 1, 4, 0, 0, 0, 0];
    let chain = (0..9).fold(good.clone(), |p, i| {
        let next = if i == 0 { 17 } else { 60 };
        with_extension(&p, 60, &[next, 0, 1, 4, 0, 0, 0, 0])
    });
    let behind = with_extension(
        &with_extension(&good, 0, &option),
        60,
        &[0, 0, 1, 4, 0, 0, 0, 0],
    );
    let mut long = with_extension(&good, 60, &option);
    long[41] = 200;
    let mut length = good.clone();
    length[4] = 1;
    vec![
        ("39 bytes of IPv6", good[..39].to_vec(), IpShort),
        ("an IPv6 length beyond the frame", length, IpLen),
        (
            "a type 0 routing header",
            with_extension(
                &good,
                43,
                &[
                    17, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
                ],
            ),
            Ip6Routing,
        ),
        (
            "hop-by-hop options that are not the first",
            behind,
            Ip6Extension,
        ),
        ("nine extension headers", chain, Ip6Extension),
        ("an extension header beyond the packet", long, Ip6Extension),
    ]
}

#[test]
fn each_fault_is_dropped_for_its_own_reason_by_either_port() {
    for workers in [1, 3] {
        let mut scene = target(workers, 94);
        let cases = [
            header_cases(),
            address_cases(),
            transport_cases(),
            piece_cases(),
            extension_cases(),
        ]
        .concat();
        for (what, packet, reason) in &cases {
            for port in [CLIENTS, RACK] {
                let frame = framed(port, packet);
                // By Ethernet, a version that is not the EtherType's is the link's fault, and so is no version at all.
                let version = packet.first().map(|b| b >> 4);
                if port == RACK && !matches!(version, Some(4 | 6)) {
                    continue;
                }
                let before = scene.net.totals();
                scene.net.inject(port, workers - 1, &frame);
                scene.net.settle();
                assert_one_drop(&before, &scene.net.totals(), *reason, what);
            }
        }
        assert_eq!(scene.flows(), 0);
        scene.finish();
    }
}

#[test]
fn each_fault_of_a_frame_is_dropped_for_its_own_reason() {
    use DropReason::*;
    let mut scene = target(2, 95);
    let packet = to("203.0.113.10:53");
    let typed = |ethertype: u16, payload: &[u8]| {
        [
            &arp::ether_header(GATEWAY_MAC, STRANGER_MAC, ethertype)[..],
            payload,
        ]
        .concat()
    };
    let cases: Vec<Case> = vec![
        ("13 bytes", typed(0x0800, &[])[..13].to_vec(), EtherShort),
        (
            "for another station",
            ether(server_mac(5), STRANGER_MAC, &packet),
            EtherNotOurs,
        ),
        ("a VLAN tag", typed(0x8100, &packet), EtherType),
        ("an 802.3 length", typed(46, &packet), EtherType),
        ("IPv4 announced as IPv6", typed(0x86dd, &packet), IpVersion),
        (
            "IPv6 announced as IPv4",
            typed(0x0800, &to("[2001:db8:113::10]:53")),
            IpVersion,
        ),
        (
            "a unicast packet in a broadcast",
            ether(arp::Mac::BROADCAST, STRANGER_MAC, &packet),
            IpLinkCast,
        ),
        (
            "a unicast packet in a multicast",
            ether(arp::Mac([1, 0, 0x5e, 0, 0, 1]), STRANGER_MAC, &packet),
            IpLinkCast,
        ),
        (
            "longer than a buffer",
            typed(0x0800, &vec![0; 2048]),
            Oversize,
        ),
    ];
    for (what, frame, reason) in &cases {
        let before = scene.net.totals();
        scene.net.inject(RACK, 1, frame);
        scene.net.settle();
        assert_one_drop(&before, &scene.net.totals(), *reason, what);
    }
    scene.finish();
}

#[test]
fn a_port_that_is_down_takes_and_gives_nothing() {
    let mut scene = target(1, 96);
    // No answer to a probe is on its way when the port goes down.
    scene.net.run_for(300);
    let set = |scene: &mut Scene, up| {
        let (now, gateway) = (scene.net.sim.now, &mut scene.net.sim.gateway);
        gateway
            .control
            .set_port("rack", up, &mut gateway.host, now)
            .expect("a port");
        scene.net.run_for(10);
    };
    set(&mut scene, false);
    scene.net.inject(RACK, 0, &framed(RACK, &to("10.3.3.3:1")));
    scene.net.settle();
    scene.net.assert_drops(&[(DropReason::PortDown, 1)]);
    // Its next hops are dead, so a packet for the service has nowhere to go.
    scene.net.inject(CLIENTS, 0, &to("203.0.113.10:53"));
    scene.net.settle();
    scene
        .net
        .assert_drops(&[(DropReason::PortDown, 1), (DropReason::NoNexthop, 1)]);
    set(&mut scene, true);
    // Until the start is forgotten, packets that open nothing follow what buckets remember: who came back first.
    scene.net.step_ms = 1000;
    scene.net.run_for(320_000);
    assert_still_works(&mut scene);
    scene.finish();
}

#[test]
fn full_queues_to_the_host_drop_and_count_and_answers_of_next_hops_still_come_in() {
    let depths = Depths {
        punt: 8,
        ..Depths::default()
    };
    let mut scene = Scene::new(
        2,
        Setup {
            depths,
            ..Scene::setup(1)
        },
        97,
    );
    let request = arp_frame(1, "192.0.2.60", "192.0.2.1", arp::Mac::BROADCAST);
    for round in 0..200 {
        for i in 0..60u16 {
            scene.net.inject(RACK, 0, &request);
            let src = SocketAddr::new(client().ip(), 1000 + i + round);
            let us = SocketAddr::new(ip("10.0.0.1"), 80);
            scene
                .net
                .inject(CLIENTS, 0, &tcp_segment(src, us, tcp::SYN, 1, 0, 0));
        }
        scene.net.run_for(50);
    }
    let totals = scene.net.totals();
    assert!(totals.dropped_for(DropReason::AskFull) > 1000, "{totals:?}");
    assert!(
        totals.dropped_for(DropReason::LocalFull) > 1000,
        "{totals:?}"
    );
    scene
        .net
        .assert_only_dropped(&[DropReason::AskFull, DropReason::LocalFull]);
    assert!(
        scene
            .net
            .sim
            .gateway
            .control
            .nhops()
            .iter()
            .all(|n| n.health == route::Health::Up)
    );
    scene.net.take_caught();
    assert_still_works(&mut scene);
    scene.finish();
}

/// What the table ignored, whatever the reason.
fn ignored(scene: &Scene) -> u64 {
    let stats = scene.net.sim.gateway.host.neighbours().stats();
    stats.reasons().map(|(_, n)| n).sum()
}

#[test]
fn malformed_arp_and_nd_create_no_entry() {
    let mut scene = target(1, 98);
    let known = neighbour_count(&mut scene);
    let request = arp_frame(1, "192.0.2.60", "192.0.2.1", arp::Mac::BROADCAST);
    let solicit = solicitation("fd00:2::60", "fd00:2::1", GATEWAY_MAC);
    let at = |frame: &[u8], at: usize, value: u8| {
        let mut frame = frame.to_vec();
        frame[at] = value;
        frame
    };
    let mut own_mac = request.clone();
    own_mac[22..28].copy_from_slice(&GATEWAY_MAC.0);
    let cases = [
        ("an ARP of another hardware", at(&request, 15, 6)),
        ("an ARP of another protocol", at(&request, 16, 9)),
        ("a hardware length of 5", at(&request, 18, 5)),
        ("a protocol length of 16", at(&request, 19, 16)),
        ("operation 3", at(&request, 21, 3)),
        ("a sender with a multicast MAC", at(&request, 22, 3)),
        ("a sender with our MAC", own_mac),
        (
            "a sender of another network",
            arp_frame(1, "192.0.3.60", "192.0.2.1", arp::Mac::BROADCAST),
        ),
        ("a solicitation that was routed", at(&solicit, 14 + 7, 254)),
        (
            "a solicitation with a bad checksum",
            at(&solicit, 14 + 43, solicit[14 + 43] ^ 1),
        ),
        ("a solicitation with code 1", at(&solicit, 14 + 41, 1)),
        (
            "a solicitation with an option of length 0",
            at(&solicit, 14 + 65, 0),
        ),
        (
            "an answer that nobody asked for",
            arp_frame(2, "192.0.2.60", "192.0.2.1", GATEWAY_MAC),
        ),
        (
            "an advertisement that nobody asked for",
            advertisement("fd00:2::60", GATEWAY_MAC, 0x60),
        ),
        (
            "a gratuitous ARP",
            arp_frame(1, "192.0.2.60", "192.0.2.60", arp::Mac::BROADCAST),
        ),
    ];
    for (what, frame) in &cases {
        let before = (ignored(&scene), scene.net.totals());
        scene.net.inject(RACK, 0, frame);
        scene.net.settle();
        assert_eq!(
            neighbour_count(&mut scene),
            known,
            "{what}: {:?}",
            scene.neighbours()
        );
        let after = scene.net.totals();
        let refused = ignored(&scene) - before.0 + after.dropped() - before.1.dropped();
        assert_eq!(refused, 1, "{what} was taken for good");
    }
    // The same, sound: so the cases above failed for their faults.
    scene.net.inject(RACK, 0, &request);
    scene.net.inject(RACK, 0, &solicit);
    scene.net.settle();
    assert_eq!(neighbour_count(&mut scene), known + 2);
    scene.finish();
}

#[test]
fn nobody_takes_the_gateways_or_the_services_address() {
    let mut scene = Scene::new(2, Scene::setup(2), 99);
    let flows: Vec<_> = (0..40)
        .map(|i| Scene::udp_flow(BOTH[i % 2], i as u32))
        .collect();
    let first = scene.ask_all(&flows);
    let (before, known) = (scene.neighbours(), scene.flows());
    let (all, us) = (arp::Mac::BROADCAST, GATEWAY_MAC);
    let lies = [
        arp_frame(1, "192.0.2.1", "192.0.2.1", all),
        arp_frame(2, "192.0.2.1", "192.0.2.1", all),
        arp_frame(2, "192.0.2.1", "192.0.2.11", us),
        arp_frame(1, "203.0.113.10", "203.0.113.10", all),
        arp_frame(2, "203.0.113.10", "192.0.2.1", us),
        arp_frame(1, "203.0.113.10", "192.0.2.1", all),
        arp_frame(1, "10.0.0.1", "192.0.2.1", all),
        advertisement("fd00:2::1", us, 0x60),
        advertisement("fe80::1", us, 0x20),
        advertisement("2001:db8:113::10", us, 0x60),
        solicitation("fd00:2::1", "fd00:2::1", us),
        solicitation("2001:db8:113::10", "fd00:2::1", us),
    ];
    for lie in &lies {
        scene.net.inject(RACK, 1, lie);
        scene.net.run_for(20);
    }
    let mac_of =
        |all: &[arp::Neighbour]| -> Vec<_> { all.iter().map(|n| (n.addr, n.mac)).collect() };
    assert_eq!(mac_of(&scene.neighbours()), mac_of(&before));
    let stats = scene.net.sim.gateway.host.neighbours().stats();
    assert!(stats.dupips >= 4 && stats.defences >= 2, "{stats:?}");
    assert_eq!(scene.ask_all(&flows), first);
    assert_eq!(scene.flows(), known);
    scene.net.assert_drops(&[]);
    scene.net.assert_moves(&[]);
    scene.finish();
}
