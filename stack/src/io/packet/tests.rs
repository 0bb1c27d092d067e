//! Cables in a namespace of their own: what the kernel does to frames on their way, and what is refused.

use super::*;
use crate::io::netns::{in_child_namespace, sysctl_write};
use crate::io::poll::Poller;
use crate::io::steer::{SteerError, Steering};
use crate::io::{Queue, Tx};
use crate::offload::{Gso, GsoKind, Offload, Partial};
use crate::parse::{self, Addrs};
use crate::pkt::{Pkt, Pool};
use crate::slots::even_slots;
use flowtable::{OwnerHash, TableSecret};

/// A cable whose ends hear nothing but each other.
fn cable() {
    let _ = sysctl_write("net/ipv6/conf/default/disable_ipv6", "1");
    let netlink = Netlink::open().unwrap();
    netlink.veth("near", "far").unwrap();
}

fn end(name: &str, queues: usize) -> Vec<PacketQueue> {
    let spec = PacketSpec {
        queues,
        ..PacketSpec::new(name)
    };
    open(&spec, None).unwrap().queues
}

/// The next packets of all queues, until `n` are there; with the queue of each.
fn receive(queues: &mut [PacketQueue], n: usize) -> Vec<(usize, Pkt)> {
    let (mut pool, mut out, mut got) = (Pool::new(n, 70_000), Vec::new(), Vec::new());
    let mut poller = Poller::new();
    while got.len() < n {
        let fds = queues.iter().filter_map(PacketQueue::fd);
        let ready = poller.wait_each(fds, Some(10_000)).unwrap();
        assert!(ready > 0, "{} of {n} came", got.len());
        for (index, queue) in queues.iter_mut().enumerate() {
            queue.rx_burst(&mut pool, &mut out, n).unwrap();
            got.extend(out.drain(..).map(|pkt| (index, pkt)));
        }
    }
    got
}

fn one(queues: &mut [PacketQueue]) -> Pkt {
    receive(queues, 1).remove(0).1
}

/// A UDP packet's frame with `len` bytes of payload, its checksum left at the pseudo header's sum (here nought).
fn udp(sport: u16, len: usize) -> Vec<u8> {
    let mut frame = arp::ether_header(Mac([2; 6]), Mac([4; 6]), 0x0800).to_vec();
    let total = (28 + len) as u16;
    frame.extend([
        0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ]);
    frame[16..18].copy_from_slice(&total.to_be_bytes());
    crate::checksum::fill_header(&mut frame[14..], 20);
    frame.extend(sport.to_be_bytes());
    frame.extend([0, 9]);
    frame.extend((total - 20).to_be_bytes());
    frame.extend([0, 0]);
    frame.resize(14 + usize::from(total), 7);
    frame
}

#[test]
fn a_tag_that_the_kernel_takes_off_is_put_back() {
    let test = "io::packet::tests::a_tag_that_the_kernel_takes_off_is_put_back";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    cable();
    let (mut near, mut far) = (end("near", 1), end("far", 1));
    let plain = udp(1, 100);
    let tagged = |tci: [u8; 2]| [&plain[..12], &[0x81, 0], &tci, &plain[12..]].concat();
    // Of two the kernel takes the outer one off, as a TAP does not: both bring the same frame.
    let behind_priority = [&plain[..12], &[0x81, 0, 0xe0, 0], &tagged([0, 5])[12..]].concat();
    for (sent, came) in [
        (tagged([0, 5]), tagged([0, 5])),
        (tagged([0xe0, 5]), tagged([0xe0, 5])),
        (tagged([0xe0, 0]), tagged([0xe0, 0])),
        (behind_priority.clone(), behind_priority),
        (plain.clone(), plain.clone()),
    ] {
        assert_eq!(far[0].tx(&sent), Tx::Sent);
        assert_eq!(one(&mut near).bytes(), came);
    }
}

#[test]
fn super_packets_and_unfinished_checksums_pass_as_they_are() {
    let test = "io::packet::tests::super_packets_and_unfinished_checksums_pass_as_they_are";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    cable();
    let (mut near, mut far) = (end("near", 1), end("far", 1));
    let csum = Some(Partial {
        start: 34,
        offset: 6,
    });
    let gso = |size| {
        Some(Gso {
            kind: GsoKind::Udp,
            size,
            ecn: false,
        })
    };
    // Small, larger than a slot, and small again: in their order.
    let sent = [
        (udp(1, 1000), Offload { gso: None, csum }),
        (
            udp(2, 30_000),
            Offload {
                gso: gso(1000),
                csum,
            },
        ),
        (udp(3, 1000), Offload { gso: None, csum }),
    ];
    for (frame, offload) in &sent {
        if offload.gso.is_some() && !far[0].offloads().uso {
            continue;
        }
        assert_eq!(far[0].tx_offload(frame, offload), Tx::Sent);
        let pkt = one(&mut near);
        assert_eq!((pkt.bytes(), pkt.offload), (&frame[..], *offload));
        assert_eq!(pkt.fault, None);
    }
    assert_eq!(near[0].truncated(), 0);
}

#[test]
fn what_finds_the_ring_full_is_counted_and_what_is_sent_does_not_come_back() {
    let test = "io::packet::tests::what_finds_the_ring_full_is_counted_and_what_is_sent_does_not_come_back";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    cable();
    let (mut near, mut far) = (end("near", 1), end("far", 1));
    let frame = udp(1, 100);
    for _ in 0..10 {
        assert_eq!(near[0].tx(&frame), Tx::Sent);
    }
    let many = SLOTS + 100;
    for _ in 0..many {
        assert_eq!(far[0].tx(&frame), Tx::Sent);
    }
    let got = receive(&mut near, SLOTS).len();
    assert_eq!(got, SLOTS, "the ring's worth");
    assert_eq!(near[0].missed(), 0, "not told yet");
    assert_eq!(far[0].tx(&frame), Tx::Sent);
    let _ = one(&mut near);
    assert_eq!(near[0].missed(), 100);
}

#[test]
fn steered_each_flow_comes_by_its_owners_socket() {
    let test = "io::packet::tests::steered_each_flow_comes_by_its_owners_socket";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    const QUEUES: usize = 4;
    cable();
    let owner = OwnerHash::new(&TableSecret([7; 16]));
    let slots = even_slots(QUEUES);
    let steering = match Steering::load(&owner, &slots) {
        // Root of a container, say.
        Err(SteerError::NotAllowed) => return,
        other => other.unwrap(),
    };
    let spec = PacketSpec {
        queues: QUEUES,
        ..PacketSpec::new("near")
    };
    let mut far = end("far", 1);
    let opened = open(&spec, Some(steering.programs())).unwrap();
    assert_eq!(opened.warnings, Vec::<String>::new());
    let mut near = opened.queues;
    for port in 0..200 {
        assert_eq!(far[0].tx(&udp(1000 + port, 10)), Tx::Sent);
    }
    for (queue, pkt) in receive(&mut near, 200) {
        let meta = parse::read(&pkt.bytes()[14..]).unwrap();
        let tuple = meta.tuple;
        let Addrs::V4 { src, dst } = tuple.addrs else {
            panic!("IPv4 was sent");
        };
        let slot = owner.slot4(tuple.proto, src, tuple.sport, dst, tuple.dport);
        assert_eq!(queue, usize::from(slots[usize::from(slot.0)]), "{tuple:?}");
    }
}

#[test]
fn an_interface_that_can_be_no_port_is_refused_with_the_remedy() {
    let test = "io::packet::tests::an_interface_that_can_be_no_port_is_refused_with_the_remedy";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    cable();
    let refusal = |spec: &PacketSpec| {
        assert_eq!(check(spec), open(spec, None).map(drop));
        check(spec).unwrap_err().to_string()
    };
    let none = refusal(&PacketSpec::new("eth7"));
    assert!(none.starts_with("there is no interface 'eth7'"), "{none}");
    let lo = refusal(&PacketSpec::new("lo"));
    assert!(lo.contains("has no Ethernet address"), "{lo}");
    let large = refusal(&PacketSpec {
        mtu: 9000,
        ..PacketSpec::new("near")
    });
    assert!(large.contains("write mtu = 1500"), "{large}");
}

#[test]
fn a_kernel_that_is_in_the_way_is_warned_of() {
    let test = "io::packet::tests::a_kernel_that_is_in_the_way_is_warned_of";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    cable();
    let netlink = Netlink::open().unwrap();
    let warned = |mac| {
        let spec = PacketSpec {
            mac,
            ..PacketSpec::new("near")
        };
        open(&spec, None).unwrap().warnings
    };
    assert_eq!(warned(None), Vec::<String>::new());
    sysctl_write("net/ipv4/conf/near/forwarding", "1").unwrap();
    assert!(warned(None)[0].contains("forwards"), "{:?}", warned(None));
    assert_eq!(warned(Some(Mac([2; 6]))), Vec::<String>::new());
    sysctl_write("net/ipv4/conf/near/forwarding", "0").unwrap();
    let near = netlink.link_index("near").unwrap();
    netlink
        .addr_add(near, "10.0.0.1".parse().unwrap(), 24)
        .unwrap();
    let line = warned(None).remove(0);
    assert!(
        line.contains("10.0.0.1") && line.contains("ip addr flush dev near"),
        "{line}"
    );
}

#[test]
fn who_has_ipv6_addresses_joins_the_groups_of_those_who_ask() {
    let addrs: Vec<IpAddr> = ["10.0.0.1", "fd00::1:2:3", "fe80::2:3", "2001:db8::4"]
        .map(|text| text.parse().unwrap())
        .to_vec();
    let wanted = [
        [0x33, 0x33, 0, 0, 0, 1],
        [0x33, 0x33, 0, 0, 0, 2],
        [0x33, 0x33, 0xff, 2, 0, 3],
        [0x33, 0x33, 0xff, 0, 0, 4],
    ];
    assert_eq!(groups(&addrs), wanted.map(Mac));
    assert_eq!(groups(&addrs[..1]), []);
}
