//! Addresses and neighbours: announced, asked, told and answered in their own VLAN alone.

use super::*;
use flowgate_tests::frames::ip_packet;
use flowgate_tests::net::check::{Transport, packet as check_packet};
use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, IpProtocol};

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
