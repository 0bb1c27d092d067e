//! VLANs (IEEE 802.1Q) of a port: each a port of its own, whose frames bear a tag on their parent's device.

use arp::Mac;
use flowgate_tests::frames::{ether, ip_packet, tcp_segment, udp};
use flowgate_tests::net::check::{Transport, packet as check_packet};
use flowgate_tests::rack::GATEWAY_MAC;
use flowgate_tests::sim::{Sent, SimGateway, ip, port};
use flowgate_tests::supers::{Unfinished, behind, judged, tcp_super, udp_super};
use route::PortId;
use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, IpProtocol, Ipv4Packet};
use stack::capture::Fate;
use stack::control::{Framing, GatewaySpec, PacketAsk, PathKind, RouteSpec, Verdict};
use stack::counters::{PortTotals, Totals};
use stack::fate::DropReason;
use stack::host::{HostCmd, HostLink};
use stack::offload::Caps;
use stack::ports::{DeviceState, Layer, Port, Ports, Vlan};
use stack::rules::Rpf;
use stack::{Setup, checksum};
use std::net::{IpAddr, SocketAddr};

const CLIENTS: usize = 0;
const TRUNK: usize = 1;
const RED: usize = 2;
const BLUE: usize = 3;

/// A host of each port but the TUN: its address, its second address, its hardware address.
const HOSTS: [(usize, &str, &str, Mac); 3] = [
    (
        TRUNK,
        "192.0.2.11",
        "fd00:2::11",
        Mac([2, 0, 0, 0, 2, 0x11]),
    ),
    (
        RED,
        "192.0.100.11",
        "fd00:100::11",
        Mac([2, 0, 0, 0, 100, 0x11]),
    ),
    (
        BLUE,
        "192.0.200.11",
        "fd00:200::11",
        Mac([2, 0, 0, 0, 200, 0x11]),
    ),
];

fn vlan_port(id: usize, name: &str, vid: u16, addrs: &[(&str, u8)]) -> Port {
    let parent = PortId(TRUNK as u16);
    Port {
        vlan: Some(Vlan { parent, vid }),
        ..port(id as u16, name, Layer::L2(GATEWAY_MAC), addrs)
    }
}

/// A TUN, a trunk whose own frames are untagged, and two VLANs on it.
fn ports() -> Ports {
    Ports(vec![
        port(0, "clients", Layer::L3, &[("10.0.0.1", 8), ("fd10::1", 32)]),
        port(
            1,
            "trunk",
            Layer::L2(GATEWAY_MAC),
            &[("192.0.2.1", 24), ("fd00:2::1", 64)],
        ),
        vlan_port(RED, "red", 100, &[("192.0.100.1", 24), ("fd00:100::1", 64)]),
        vlan_port(
            BLUE,
            "trunk.200",
            200,
            &[("192.0.200.1", 24), ("fd00:200::1", 64)],
        ),
    ])
}

fn setup(ports: Ports) -> Setup {
    Setup {
        ports,
        buffers: 512,
        large_buffers: 8,
        flows_v4: 16_384,
        flows_v6: 16_384,
        ..Setup::default()
    }
}

/// The hosts' hardware addresses are known.
fn introduce(sim: &mut SimGateway) {
    for (port, v4, v6, mac) in HOSTS {
        for addr in [v4, v6] {
            sim.gateway.host.call(HostCmd::SetStatic {
                port: PortId(port as u16),
                addr: ip(addr),
                mac,
                published: false,
            });
        }
    }
    sim.settle();
}

fn gateway() -> SimGateway {
    let mut sim = SimGateway::new(setup(ports()));
    introduce(&mut sim);
    sim
}

fn host(port: usize, v6: bool) -> (IpAddr, Mac) {
    let (_, four, six, mac) = HOSTS[port - TRUNK];
    (ip(if v6 { six } else { four }), mac)
}

/// The tag that frames of a port bear on the wire.
fn tag(port: usize) -> &'static [u8] {
    match port {
        RED => &[0x81, 0, 0, 100],
        BLUE => &[0x81, 0, 0, 200],
        _ => &[],
    }
}

fn tagged(tag: &[u8], frame: &[u8]) -> Vec<u8> {
    [&frame[..12], tag, &frame[12..]].concat()
}

/// A frame of the host behind a port, as it comes in.
fn from(port: usize, packet: &[u8]) -> Vec<u8> {
    match port {
        CLIENTS => packet.to_vec(),
        _ => tagged(tag(port), &ether(GATEWAY_MAC, host(port, false).1, packet)),
    }
}

/// A packet as it leaves to the host behind a port.
fn to(port: usize, packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let v6 = packet[0] >> 4 == 6;
    checksum::ip_ttl_dec(&mut packet, v6);
    match port {
        CLIENTS => packet,
        _ => tagged(tag(port), &ether(host(port, false).1, GATEWAY_MAC, &packet)),
    }
}

/// The device that a port's frames go by.
fn device(port: usize) -> usize {
    port.min(TRUNK)
}

fn address(port: usize, v6: bool) -> IpAddr {
    match (port, v6) {
        (CLIENTS, false) => ip("10.0.0.5"),
        (CLIENTS, true) => ip("fd10::5"),
        _ => host(port, v6).0,
    }
}

fn datagram(source: usize, destination: usize, v6: bool) -> Vec<u8> {
    let (src, dst) = (address(source, v6), address(destination, v6));
    udp(
        SocketAddr::new(src, 1000),
        SocketAddr::new(dst, 53),
        b"across",
    )
}

/// Its header's checksum made anew.
fn resum(packet: &mut [u8]) {
    Ipv4Packet::new_unchecked(packet).fill_checksum();
}

fn totals(sim: &SimGateway) -> Totals {
    sim.assert_books();
    sim.gateway.control.totals()
}

fn of_port(sim: &mut SimGateway, port: usize) -> PortTotals {
    sim.gateway.control.reader().port_reports()[port].totals
}

/// The drops by reason, those that happened.
fn drops(totals: &Totals) -> Vec<(DropReason, u64)> {
    let all = DropReason::ALL.iter().map(|r| (*r, totals.dropped_for(*r)));
    all.filter(|(_, count)| *count > 0).collect()
}

fn one(sent: Vec<Sent>) -> Sent {
    let [one] = <[Sent; 1]>::try_from(sent).expect("one frame");
    one
}

#[test]
fn packets_go_between_vlans_their_trunk_and_other_ports_with_the_right_tag_and_no_other() {
    for v6 in [false, true] {
        let mut sim = gateway();
        let before = totals(&sim);
        for source in CLIENTS..=BLUE {
            for destination in (CLIENTS..=BLUE).filter(|d| *d != source) {
                let packet = datagram(source, destination, v6);
                sim.put(device(source), 0, &from(source, &packet));
                let sent = one(sim.settle());
                assert_eq!(sent.port, device(destination), "{source} to {destination}");
                assert_eq!(sent.bytes, to(destination, &packet));
            }
        }
        let after = totals(&sim);
        let sent = after.tx - before.tx;
        assert_eq!((after.rx, after.forwarded, sent), (12, 12, 12));
        assert_eq!(drops(&after), []);
    }
}

#[test]
fn each_port_counts_its_own_frames_and_the_trunk_all_of_them() {
    let mut sim = gateway();
    let counted = |sim: &mut SimGateway| {
        [TRUNK, RED, BLUE].map(|port| {
            let p = of_port(sim, port);
            [p.rx, p.rx_bytes, p.tx, p.tx_bytes, p.rx_dropped, p.refused]
        })
    };
    let before = (totals(&sim), counted(&mut sim));
    let packet = datagram(RED, BLUE, false);
    let untagged = packet.len() as u64 + 14;
    let tagged = untagged + 4;
    sim.put(TRUNK, 0, &from(RED, &packet));
    sim.settle();
    let after = (totals(&sim), counted(&mut sim));
    let bytes = |totals: &Totals| (totals.rx_bytes, totals.tx_bytes);
    let (sent, start) = (bytes(&after.0), bytes(&before.0));
    assert_eq!((sent.0 - start.0, sent.1 - start.1), (tagged, tagged));
    let grew: Vec<[u64; 6]> = std::iter::zip(after.1, before.1)
        .map(|(after, before)| std::array::from_fn(|at| after[at] - before[at]))
        .collect();
    let wanted = [
        [1, tagged, 1, tagged, 0, 0],
        [1, untagged, 0, 0, 0, 0],
        [0, 0, 1, untagged, 0, 0],
    ];
    assert_eq!(grew, wanted);
    // A drop is the VLAN's.
    let mut expired = packet.clone();
    expired[8] = 0;
    resum(&mut expired);
    sim.put(TRUNK, 0, &from(RED, &expired));
    let answer = one(sim.settle());
    assert_eq!(answer.bytes[12..16], *tag(RED));
    assert_eq!(of_port(&mut sim, RED).rx_dropped, 1);
    assert_eq!(of_port(&mut sim, TRUNK).rx_dropped, 0);
}

/// What is sent is dropped for one reason, and nothing else happens.
fn refused(frame: &[u8], reason: DropReason) {
    let mut sim = gateway();
    let ask = PacketAsk {
        port: PortId(TRUNK as u16),
        framing: Framing::Ether,
        bytes: frame,
    };
    let before = totals(&sim).tx;
    let explained = sim
        .gateway
        .control
        .explain(&ask, sim.now)
        .expect("a port of ours");
    assert_eq!(
        explained.verdict,
        Verdict::Drop {
            reason,
            answer: None
        }
    );
    sim.put(TRUNK, 0, frame);
    assert_eq!(sim.settle(), []);
    let totals = totals(&sim);
    assert_eq!(drops(&totals), [(reason, 1)], "{frame:02x?}");
    assert_eq!((totals.rx, totals.tx), (1, before));
    assert_eq!(of_port(&mut sim, TRUNK).rx_dropped, 1);
}

#[test]
fn a_tag_that_no_port_has_a_second_tag_and_half_a_tag_are_dropped_by_name() {
    let frame = ether(GATEWAY_MAC, host(RED, false).1, &datagram(RED, BLUE, false));
    for vid in [1, 99, 101, 300, 4094, 4095] {
        let tag = [&[0x81, 0], &u16::to_be_bytes(vid)[..]].concat();
        refused(&tagged(&tag, &frame), DropReason::UnknownVlan);
    }
    for second in [[0x81, 0, 0, 200], [0x88, 0xa8, 0, 200], [0x81, 0, 0, 0]] {
        let both = [tag(RED), &second].concat();
        refused(&tagged(&both, &frame), DropReason::SecondTag);
    }
    // Priority in front of a VLAN's tag is a second tag too.
    refused(
        &tagged(&[0x81, 0, 0xe0, 0, 0x81, 0, 0, 100], &frame),
        DropReason::SecondTag,
    );
    refused(
        &tagged(&[0x88, 0xa8, 0, 100], &frame),
        DropReason::EtherType,
    );
    for len in 14..18 {
        refused(&from(RED, &[])[..len], DropReason::EtherShort);
    }
    // Behind a good tag everything is asked that is asked without.
    let mut stranger = from(RED, &datagram(RED, BLUE, false));
    stranger[5] ^= 1;
    refused(&stranger, DropReason::EtherNotOurs);
}

#[test]
fn faults_behind_a_tag_are_the_vlan_s() {
    let mut sim = gateway();
    let mut frame = from(RED, &datagram(RED, BLUE, false));
    frame[16..18].copy_from_slice(&[0x12, 0x34]);
    sim.put(TRUNK, 0, &frame);
    sim.put(TRUNK, 0, &from(RED, &datagram(RED, BLUE, false))[..30]);
    assert_eq!(sim.settle(), []);
    let wanted = [(DropReason::EtherType, 1), (DropReason::IpShort, 1)];
    assert_eq!(drops(&totals(&sim)), wanted);
    assert_eq!(of_port(&mut sim, RED).rx_dropped, 2);
}

#[test]
fn priority_alone_is_the_port_s_own_and_priority_is_not_passed_on() {
    let mut sim = gateway();
    for priority in [0, 0x20, 0xe0, 0xf0] {
        let packet = datagram(TRUNK, RED, false);
        let frame = tagged(&[0x81, 0, priority, 0], &from(TRUNK, &packet));
        sim.put(TRUNK, 0, &frame);
        assert_eq!(one(sim.settle()).bytes, to(RED, &packet));
        let packet = datagram(BLUE, RED, false);
        let mut frame = from(BLUE, &packet);
        frame[14] |= priority;
        sim.put(TRUNK, 0, &frame);
        assert_eq!(one(sim.settle()).bytes, to(RED, &packet));
    }
    assert_eq!(of_port(&mut sim, TRUNK).rx, 8);
    assert_eq!(of_port(&mut sim, BLUE).rx, 4);
    assert_eq!(drops(&totals(&sim)), []);
}

#[test]
fn each_address_is_announced_in_its_own_vlan() {
    let mut sim = SimGateway::new(setup(ports()));
    let sent = sim.settle();
    for (port, v4, v6) in [
        (TRUNK, [192, 0, 2, 1], "fd00:2::1"),
        (RED, [192, 0, 100, 1], "fd00:100::1"),
        (BLUE, [192, 0, 200, 1], "fd00:200::1"),
    ] {
        let header = [tag(port), &[0x08, 0x06]].concat();
        let own = sent
            .iter()
            .filter(|one| one.bytes[12..].starts_with(&header));
        let told = own.map(|one| one.bytes[12 + header.len() + 14..][..4].to_vec());
        assert_eq!(
            told.collect::<Vec<_>>(),
            [[0; 4], v4],
            "ARP probe and announcement of {port}"
        );
        let header = [tag(port), &[0x86, 0xdd]].concat();
        let IpAddr::V6(addr) = ip(v6) else { panic!() };
        let own = sent
            .iter()
            .filter(|one| one.bytes[12..].starts_with(&header));
        let own: Vec<_> = own.collect();
        assert!(!own.is_empty());
        let names = |one: &&&Sent| one.bytes.windows(16).any(|at| at == addr.octets());
        assert_eq!(own.iter().filter(names).count(), own.len(), "ND of {port}");
    }
    let trunk = sent.iter().filter(|one| one.port == TRUNK).count();
    assert_eq!(trunk, sent.len());
}

fn arp_frame(operation: ArpOperation, (from, mac): (IpAddr, Mac), target: &str) -> Vec<u8> {
    let v4 = |addr| match addr {
        IpAddr::V4(v4) => v4,
        IpAddr::V6(_) => panic!("ARP is of IPv4"),
    };
    let to = match operation {
        ArpOperation::Reply => GATEWAY_MAC,
        _ => Mac::BROADCAST,
    };
    let repr = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: smoltcp::wire::EthernetAddress(mac.0),
        source_protocol_addr: v4(from),
        target_hardware_addr: smoltcp::wire::EthernetAddress(GATEWAY_MAC.0),
        target_protocol_addr: v4(ip(target)),
    };
    let mut frame = arp::ether_header(to, mac, 0x0806).to_vec();
    frame.resize(14 + repr.buffer_len(), 0);
    repr.emit(&mut ArpPacket::new_unchecked(&mut frame[14..]));
    frame
}

#[test]
fn neighbours_are_asked_and_answered_by_their_vlan_alone() {
    let mut sim = SimGateway::new(setup(ports()));
    sim.settle();
    let packet = datagram(CLIENTS, RED, false);
    sim.put(CLIENTS, 0, &packet);
    let question = one(sim.settle());
    assert_eq!(question.port, TRUNK);
    assert_eq!(question.bytes[..6], [0xff; 6]);
    assert_eq!(question.bytes[6..12], GATEWAY_MAC.0);
    assert_eq!(question.bytes[12..18], [0x81, 0, 0, 100, 0x08, 0x06]);
    assert_eq!(
        question.bytes[32..36],
        [192, 0, 100, 1],
        "asked from its own address there"
    );
    assert_eq!(question.bytes[42..46], [192, 0, 100, 11]);

    let reply = arp_frame(ArpOperation::Reply, host(RED, false), "192.0.100.1");
    sim.put(TRUNK, 0, &reply);
    sim.put(TRUNK, 0, &tagged(tag(BLUE), &reply));
    assert_eq!(sim.settle(), [], "an answer by another link is none");
    sim.put(TRUNK, 0, &tagged(tag(RED), &reply));
    assert_eq!(one(sim.settle()).bytes, to(RED, &packet));
}

#[test]
fn our_address_is_told_in_its_vlan_and_nowhere_else() {
    let mut sim = SimGateway::new(setup(ports()));
    let announced = sim.settle().len() as u64;
    let question = arp_frame(ArpOperation::Request, host(RED, false), "192.0.100.1");
    sim.put(TRUNK, 0, &tagged(tag(BLUE), &question));
    sim.put(TRUNK, 0, &question);
    assert_eq!(sim.settle(), []);
    sim.put(TRUNK, 0, &tagged(tag(RED), &question));
    let reply = one(sim.settle());
    assert_eq!((reply.port, &reply.bytes[12..16]), (TRUNK, tag(RED)));
    let arp = ArpPacket::new_checked(&reply.bytes[18..]).unwrap();
    assert_eq!(arp.operation(), ArpOperation::Reply);
    assert_eq!(arp.source_hardware_addr(), GATEWAY_MAC.0);
    assert_eq!(arp.source_protocol_addr(), [192, 0, 100, 1]);
    let totals = totals(&sim);
    let originated = totals.originated - announced;
    assert_eq!((totals.consumed_arp, originated), (3, 1));
}

#[test]
fn nd_goes_by_the_vlan_too() {
    let mut sim = SimGateway::new(setup(ports()));
    sim.settle();
    sim.put(CLIENTS, 0, &datagram(CLIENTS, BLUE, true));
    let question = one(sim.settle());
    assert_eq!(question.bytes[..4], [0x33, 0x33, 0xff, 0]);
    assert_eq!(question.bytes[12..18], [0x81, 0, 0, 200, 0x86, 0xdd]);
    check_packet(&question.bytes[18..], 1500, Transport::Checked).unwrap();
    assert_eq!(question.bytes[18 + 40], 135, "a neighbour solicitation");
}

#[test]
fn an_echo_request_is_answered_with_the_tag_that_it_came_with() {
    let mut sim = gateway();
    let mut echo = vec![8, 0, 0, 0, 0, 7, 0, 1, 1, 2, 3, 4];
    let sum = !checksum::sum(&echo);
    echo[2..4].copy_from_slice(&sum.to_be_bytes());
    let (src, _) = host(BLUE, false);
    let packet = ip_packet(src, ip("192.0.100.1"), IpProtocol::Icmp, 64, &echo);
    sim.put(TRUNK, 0, &from(BLUE, &packet));
    let reply = one(sim.settle());
    assert_eq!(reply.bytes[12..16], *tag(BLUE));
    check_packet(&reply.bytes[18..], 1500, Transport::Checked).unwrap();
    assert_eq!(reply.bytes[18 + 20], 0, "an echo reply");
}

fn route_by(sim: &mut SimGateway, prefix: &str, gateways: &[(&str, Option<&str>)]) {
    let gateway = |(addr, port): &(&str, Option<&str>)| GatewaySpec {
        addr: ip(addr),
        weight: None,
        port: port.map(str::to_owned),
        recursive: false,
    };
    let spec = RouteSpec {
        prefix: prefix.parse().expect("a prefix"),
        kind: PathKind::Gateways(gateways.iter().map(gateway).collect()),
        mtu: None,
        deadline_s: None,
        options: Default::default(),
    };
    let (gw, now) = (&mut sim.gateway, sim.now);
    gw.control
        .route_add(&spec, &mut gw.host, now)
        .expect("a route");
    sim.settle();
}

#[test]
fn a_vlan_goes_down_and_comes_back_with_its_trunk_and_alone() {
    let mut sim = gateway();
    route_by(&mut sim, "203.0.113.0/24", &[("192.0.100.11", None)]);
    let dst = ip("203.0.113.9");
    let packet = udp(
        SocketAddr::new(ip("10.0.0.5"), 1),
        SocketAddr::new(dst, 2),
        b"x",
    );
    let up = |sim: &SimGateway| {
        let ports = &sim.gateway.control.ports().0;
        [TRUNK, RED, BLUE].map(|port| ports[port].up)
    };
    let passes = |sim: &mut SimGateway| {
        sim.put(CLIENTS, 0, &packet);
        // Without a next hop its sender is told so.
        sim.settle().iter().any(|sent| sent.port == TRUNK)
    };
    assert!(passes(&mut sim));
    let trunk = PortId(TRUNK as u16);
    for state in [DeviceState::Down, DeviceState::Deleted] {
        let (gw, now) = (&mut sim.gateway, sim.now);
        gw.control.device_changed(trunk, state, &mut gw.host, now);
        sim.settle();
        assert_eq!(up(&sim), [false; 3]);
        assert!(!passes(&mut sim));
        let (gw, now) = (&mut sim.gateway, sim.now);
        gw.control
            .device_changed(trunk, DeviceState::Up, &mut gw.host, now);
        sim.settle();
        assert_eq!(up(&sim), [true; 3]);
        assert!(passes(&mut sim));
    }
    let tell = |sim: &mut SimGateway, name, up| {
        let (gw, now) = (&mut sim.gateway, sim.now);
        gw.control.set_port(name, up, &mut gw.host, now).unwrap();
        sim.settle();
    };
    tell(&mut sim, "red", false);
    assert_eq!(up(&sim), [true, false, true]);
    assert!(!passes(&mut sim));
    sim.put(TRUNK, 0, &from(RED, &datagram(RED, BLUE, false)));
    assert_eq!(sim.settle(), []);
    assert_eq!(totals(&sim).dropped_for(DropReason::PortDown), 1);
    sim.put(TRUNK, 0, &from(BLUE, &datagram(BLUE, TRUNK, false)));
    one(sim.settle());
    tell(&mut sim, "trunk", false);
    tell(&mut sim, "red", true);
    assert_eq!(up(&sim), [false; 3]);
    tell(&mut sim, "trunk", true);
    assert_eq!(up(&sim), [true; 3]);
    assert!(passes(&mut sim));
}

#[test]
fn vlans_of_a_trunk_that_is_down_from_the_start_are_down() {
    let mut all = ports();
    all.0[TRUNK].up = false;
    let mut sim = SimGateway::new(setup(all));
    assert!(
        [TRUNK, RED, BLUE]
            .iter()
            .all(|p| !sim.gateway.control.ports().0[*p].up)
    );
    sim.put(CLIENTS, 0, &datagram(CLIENTS, RED, false));
    let answer = one(sim.settle());
    assert_eq!(answer.port, CLIENTS);
    let (gw, now) = (&mut sim.gateway, sim.now);
    gw.control
        .set_port("trunk", true, &mut gw.host, now)
        .unwrap();
    introduce(&mut sim);
    sim.put(CLIENTS, 0, &datagram(CLIENTS, RED, false));
    assert_eq!(one(sim.settle()).bytes[12..16], *tag(RED));
}

#[test]
fn a_vlan_s_mtu_is_its_own_and_pieces_and_answers_have_its_tag() {
    let mut all = ports();
    all.0[RED].mtu = 1400;
    let mut sim = SimGateway::new(setup(all));
    introduce(&mut sim);
    let (src, dst) = (address(BLUE, false), address(RED, false));
    let (src, dst) = (SocketAddr::new(src, 1), SocketAddr::new(dst, 2));
    let mut big = udp(src, dst, &[7; 1472]);
    sim.put(TRUNK, 0, &from(BLUE, &big));
    let told = one(sim.settle());
    assert_eq!(told.bytes[12..16], *tag(BLUE));
    assert_eq!(
        told.bytes[18 + 20..18 + 28],
        [3, 4, told.bytes[40], told.bytes[41], 0, 0, 5, 120]
    );
    check_packet(&told.bytes[18..], 1500, Transport::Checked).unwrap();

    big[6] = 0;
    resum(&mut big);
    sim.put(TRUNK, 0, &from(BLUE, &big));
    let pieces = sim.settle();
    assert_eq!(pieces.len(), 2);
    let header = to(RED, &big)[..18].to_vec();
    for piece in &pieces {
        assert_eq!(piece.bytes[..18], header);
        check_packet(&piece.bytes[18..], 1400, Transport::Ignored).unwrap();
    }
    let payload: usize = pieces.iter().map(|piece| piece.bytes.len() - 38).sum();
    assert_eq!(payload, 1480);

    // Pieces that come in tagged go on with the other's tag.
    for piece in pieces {
        let mut back = from(RED, &piece.bytes[18..]);
        back[18 + 12..18 + 16].copy_from_slice(&[192, 0, 100, 11]);
        back[18 + 16..18 + 20].copy_from_slice(&[192, 0, 200, 11]);
        resum(&mut back[18..]);
        sim.put(TRUNK, 0, &back);
        let on = one(sim.settle());
        assert_eq!(on.bytes, to(BLUE, &back[18..]));
    }
    totals(&sim);
}

fn supers(source: usize, destination: usize) -> Vec<Unfinished> {
    let of = |v6| {
        let src = SocketAddr::new(address(source, v6), 5000);
        let dst = SocketAddr::new(address(destination, v6), 80);
        [
            tcp_super(src, dst, 60_000, 1400),
            udp_super(src, dst, 30_000, 1200),
        ]
    };
    [of(false), of(true)].concat()
}

fn with_offloads(trunk: Caps) -> SimGateway {
    let mut sim = SimGateway::with_offloads(setup(ports()), &[Caps::ALL, trunk]);
    introduce(&mut sim);
    sim
}

/// A super-packet behind the header of the host of a port.
fn super_from(port: usize, (packet, offload): Unfinished) -> Unfinished {
    let framed = from(port, &packet);
    let header = framed[..framed.len() - packet.len()].to_vec();
    behind(&header, (packet, offload))
}

fn super_to(port: usize, (mut packet, offload): Unfinished) -> Unfinished {
    let framed = to(port, &packet);
    let header = framed[..framed.len() - packet.len()].to_vec();
    let v6 = packet[0] >> 4 == 6;
    checksum::ip_ttl_dec(&mut packet, v6);
    behind(&header, (packet, offload))
}

#[test]
fn super_packets_pass_whole_with_and_without_a_tag() {
    let mut sim = with_offloads(Caps::ALL);
    for (source, destination) in [(CLIENTS, RED), (RED, CLIENTS), (RED, BLUE), (TRUNK, BLUE)] {
        for whole in supers(source, destination) {
            sim.put_unfinished(device(source), 0, &super_from(source, whole.clone()));
            let sent = one(sim.settle());
            let wanted = super_to(destination, whole);
            assert_eq!((sent.port, sent.offload), (device(destination), wanted.1));
            assert!(
                sent.bytes == wanted.0,
                "every byte, {source} to {destination}"
            );
        }
    }
    let totals = totals(&sim);
    assert_eq!(
        (totals.super_sent, totals.super_cut, totals.large_used),
        (16, 0, 0)
    );
}

#[test]
fn a_device_that_does_not_cut_gets_finished_segments_each_with_the_tag() {
    let csum = Caps {
        csum: true,
        ..Caps::NONE
    };
    for caps in [Caps::NONE, csum] {
        let mut sim = with_offloads(caps);
        for whole in supers(CLIENTS, BLUE) {
            let before = of_port(&mut sim, BLUE);
            sim.put_unfinished(CLIENTS, 0, &whole);
            let sent = sim.settle();
            let header = super_to(BLUE, whole.clone()).0[..18].to_vec();
            let payload = sent.iter().flat_map(|one| {
                assert_eq!((one.port, &one.bytes[..18]), (TRUNK, &header[..]));
                assert!(one.offload.is_none());
                judged(&one.bytes[18..])
            });
            let payload: Vec<u8> = payload.collect();
            assert!(payload.len().is_multiple_of(10_000) && whole.0.ends_with(&payload));
            let after = of_port(&mut sim, BLUE);
            assert_eq!(after.tx - before.tx, sent.len() as u64);
            let bytes: usize = sent.iter().map(|one| one.bytes.len() - 4).sum();
            assert_eq!(after.tx_bytes - before.tx_bytes, bytes as u64);
        }
        totals(&sim);
    }
}

#[test]
fn a_checksum_that_would_begin_within_the_tag_is_a_fault() {
    let mut sim = with_offloads(Caps::ALL);
    let (frame, mut offload) = super_from(RED, supers(RED, CLIENTS).remove(0));
    offload.csum.as_mut().unwrap().start = 3;
    sim.put_unfinished(TRUNK, 0, &(frame, offload));
    assert_eq!(sim.settle(), []);
    assert_eq!(drops(&totals(&sim)), [(DropReason::OffloadBad, 1)]);
}

#[test]
fn sources_are_checked_and_hosts_redirected_by_the_vlan() {
    let mut all = ports();
    for port in [RED, BLUE] {
        all.0[port].rules.rpf = Rpf::Strict;
        all.0[port].rules.redirects = true;
    }
    let mut sim = SimGateway::new(setup(all));
    introduce(&mut sim);
    // The address of a host of the other VLAN.
    sim.put(TRUNK, 0, &from(RED, &datagram(BLUE, CLIENTS, false)));
    assert_eq!(sim.settle(), []);
    assert_eq!(drops(&totals(&sim)), [(DropReason::ReversePath, 1)]);
    // Out by the same device but another VLAN: no shorter way.
    sim.put(TRUNK, 0, &from(RED, &datagram(RED, BLUE, false)));
    one(sim.settle());
    // Out by the same VLAN: there is one.
    route_by(&mut sim, "203.0.113.0/24", &[("192.0.100.11", None)]);
    let src = SocketAddr::new(ip("192.0.100.77"), 5);
    let packet = udp(src, SocketAddr::new(ip("203.0.113.9"), 6), b"long way");
    sim.gateway.host.call(HostCmd::SetStatic {
        port: PortId(RED as u16),
        addr: src.ip(),
        mac: Mac([2, 0, 0, 0, 100, 0x77]),
        published: false,
    });
    sim.put(TRUNK, 0, &from(RED, &packet));
    let sent = sim.settle();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|one| one.bytes[12..16] == *tag(RED)));
    let redirects = sent.iter().filter(|one| one.bytes[18 + 9] == 1);
    let redirect = redirects
        .map(|one| &one.bytes[18 + 20..18 + 28])
        .next()
        .unwrap();
    assert_eq!((redirect[0], &redirect[4..8]), (5, &[192, 0, 100, 11][..]));
}

#[test]
fn explain_says_what_becomes_of_a_tagged_frame() {
    let mut sim = gateway();
    let frame = from(RED, &datagram(RED, BLUE, false));
    let ask = PacketAsk {
        port: PortId(TRUNK as u16),
        framing: Framing::Ether,
        bytes: &frame,
    };
    let said = sim.gateway.control.explain(&ask, sim.now).unwrap();
    let Verdict::Forward(way) = said.verdict else {
        panic!("{said:?}");
    };
    assert_eq!(way.port, PortId(BLUE as u16));
    assert!(
        said.packet
            .starts_with("udp 192.0.100.11:1000 > 192.0.200.11:53"),
        "{}",
        said.packet
    );
    let causes: Vec<&str> = said.steps.iter().map(|step| step.cause.as_str()).collect();
    for wanted in ["tag of VLAN 100: red", "in by red, which is up"] {
        assert!(causes.contains(&wanted), "{wanted}: {causes:?}");
    }
    let output = causes.last().unwrap();
    assert!(
        output.starts_with("out by trunk.200 (tagged 810000c8, by trunk), TTL 63"),
        "{output}"
    );
    sim.put(TRUNK, 0, &frame);
    let sent = one(sim.settle());
    let header = way.header.unwrap();
    assert_eq!(
        [&header[..12], tag(BLUE), &header[12..]].concat(),
        sent.bytes[..18]
    );
    // Asked of the VLAN itself, without a tag.
    let bare = ether(GATEWAY_MAC, host(RED, false).1, &datagram(RED, BLUE, false));
    let ask = PacketAsk {
        port: PortId(RED as u16),
        bytes: &bare,
        ..ask
    };
    let said = sim.gateway.control.explain(&ask, sim.now).unwrap();
    assert!(matches!(said.verdict, Verdict::Forward(way) if way.port == PortId(BLUE as u16)));
    // And with its tag, or another: such a frame has come by the trunk.
    for (port, vid, name) in [(RED, 100, "red"), (BLUE, 200, "trunk.200")] {
        let frame = from(port, &datagram(port, CLIENTS, false));
        let ask = PacketAsk {
            port: PortId(RED as u16),
            bytes: &frame,
            ..ask
        };
        let said = sim.gateway.control.explain(&ask, sim.now).unwrap();
        assert!(
            matches!(said.verdict, Verdict::Forward(way) if way.port == PortId(CLIENTS as u16)),
            "{said:?}"
        );
        let causes: Vec<&str> = said.steps.iter().map(|step| step.cause.as_str()).collect();
        let taken = "frames of red come by trunk with their tag: taken as come by trunk";
        let tag = format!("tag of VLAN {vid}: {name}");
        assert!(
            causes.contains(&taken) && causes.contains(&&*tag),
            "{causes:?}"
        );
    }
}

#[test]
fn captures_have_the_vlan_s_frames_without_its_tag() {
    let mut sim = gateway();
    let rings = sim.gateway.control.captures();
    rings.iter().for_each(|rings| rings.want(1));
    let packet = datagram(RED, BLUE, false);
    sim.put(TRUNK, 0, &from(RED, &packet));
    sim.settle();
    let mut read = Vec::new();
    rings[0].all().unwrap().read_from(0, 0, &mut read);
    let without = |frame: Vec<u8>| [&frame[..12], &frame[16..]].concat();
    let came = (
        PortId(RED as u16),
        Fate::Forward,
        without(from(RED, &packet)),
    );
    let left = (PortId(BLUE as u16), Fate::Sent, without(to(BLUE, &packet)));
    let read: Vec<_> = read
        .into_iter()
        .map(|r| (r.port, r.fate, r.bytes))
        .collect();
    assert_eq!(read, [came, left]);
}

#[test]
fn tagged_flows_reach_their_owners_and_leave_by_the_trunk_s_queue_of_their_worker() {
    let mut sim = SimGateway::new(Setup {
        workers: 3,
        ..setup(ports())
    });
    introduce(&mut sim);
    for port in 0..200 {
        let (src, dst) = (address(RED, false), address(BLUE, false));
        let (src, dst) = (SocketAddr::new(src, 1000 + port), SocketAddr::new(dst, 80));
        let there = tcp_segment(src, dst, 2, 1, 0, 0);
        let back = tcp_segment(dst, src, 18, 1, 2, 0);
        sim.put(TRUNK, usize::from(port) % 3, &from(RED, &there));
        let first = one(sim.settle());
        assert_eq!(first.bytes, to(BLUE, &there));
        sim.put(TRUNK, usize::from(port + 1) % 3, &from(BLUE, &back));
        let second = one(sim.settle());
        assert_eq!(second.bytes, to(RED, &back));
        assert_eq!(first.queue, second.queue, "both directions at one worker");
    }
    let totals = totals(&sim);
    assert!(totals.taken_over > 100, "{}", totals.taken_over);
    assert_eq!(drops(&totals), []);
}
