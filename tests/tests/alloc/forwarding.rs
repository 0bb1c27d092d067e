//! Forwarding allocates nothing: not on a hit, not on a miss, not on a hand-off, not on a drop or an ICMP error.

use flowgate_tests::counting::counted;
use flowgate_tests::frames::{ether, tcp, tcp_segment, udp};
use flowgate_tests::rack::{GATEWAY_MAC, RACK, Rack, server_mac};
use flowgate_tests::sim::{SimGateway, client_and_rack, ip, port};
use flowgate_tests::supers::{tcp_super, udp_super};
use stack::Setup;
use stack::fate::DropReason;
use stack::host::{HostCmd, HostLink};
use stack::offload::Caps;
use stack::ports::{Layer, Port, Vlan};
use std::net::SocketAddr;

fn socket(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn rack(workers: usize) -> Rack {
    let mut rack = Rack::new(
        4,
        Setup {
            workers,
            buffers: 2048,
            ..Setup::default()
        },
    );
    for server in 0..4 {
        rack.add("203.0.113.10/32".parse().expect("a prefix"), server, 1);
        rack.add("2001:db8:113::10/128".parse().expect("a prefix"), server, 1);
    }
    rack.sim.settle();
    rack
}

/// Runs `packets` through the workers and returns what the workers allocated.
fn allocations(rack: &mut Rack, packets: &[Vec<u8>]) -> u64 {
    let mut total = 0;
    for chunk in packets.chunks(16) {
        for (i, packet) in chunk.iter().enumerate() {
            let queues = rack.sim.peers[0].len();
            rack.sim.put(0, i % queues, packet);
        }
        total += counted(|| while rack.sim.poll_workers() > 0 {});
        rack.sim.settle();
    }
    total
}

#[test]
fn the_counter_counts() {
    assert!(counted(|| drop(std::hint::black_box(vec![1u8; 100]))) > 0);
}

#[test]
fn forwarding_allocates_nothing() {
    for workers in [1, 3] {
        let mut rack = rack(workers);
        let service = [socket("203.0.113.10:80"), socket("[2001:db8:113::10]:80")];
        let client = |i: u16| {
            if i.is_multiple_of(2) {
                SocketAddr::new(
                    ip(&format!("10.1.{}.{}", i / 200 + 1, i % 200 + 1)),
                    2000 + i,
                )
            } else {
                SocketAddr::new(ip(&format!("fd10::{:x}", i + 1)), 2000 + i)
            }
        };
        let segments = |flags: u8, first: u16| -> Vec<Vec<u8>> {
            (first..first + 600)
                .map(|i| tcp_segment(client(i), service[usize::from(i % 2)], flags, 5, 5, 100))
                .collect()
        };
        // Warm up: lists reach the size they keep.
        allocations(&mut rack, &segments(tcp::SYN, 0));
        let before = rack.sim.gateway.control.totals();
        assert_eq!(
            allocations(&mut rack, &segments(tcp::ACK, 0)),
            0,
            "hits, {workers} workers"
        );
        assert_eq!(
            allocations(&mut rack, &segments(tcp::SYN, 1000)),
            0,
            "misses, {workers} workers"
        );
        let after = rack.sim.gateway.control.totals();
        assert_eq!(after.forwarded - before.forwarded, 1200);
        assert!(after.pinned - before.pinned >= 600);
        assert_eq!(workers > 1, after.handed_off > before.handed_off);
        rack.sim.assert_books();
    }
}

#[test]
fn drops_and_their_icmp_errors_allocate_nothing() {
    let mut rack = rack(2);
    let nowhere: Vec<Vec<u8>> = (0..100)
        .map(|i| {
            udp(
                SocketAddr::new(ip(&format!("10.2.0.{}", i + 1)), 99),
                socket("198.51.100.1:9"),
                b"x",
            )
        })
        .collect();
    allocations(&mut rack, &nowhere);
    let before = rack.sim.gateway.control.totals();
    assert_eq!(allocations(&mut rack, &nowhere), 0);
    let after = rack.sim.gateway.control.totals();
    assert!(after.icmp_sent > before.icmp_sent);
    assert!(after.dropped() >= before.dropped() + 100);
}

#[test]
fn super_packets_allocate_nothing_whole_or_cut() {
    for rack in [Caps::ALL, Caps::NONE] {
        let setup = Setup {
            ports: client_and_rack(GATEWAY_MAC),
            workers: 2,
            buffers: 512,
            large_buffers: 32,
            ..Setup::default()
        };
        let mut sim = SimGateway::with_offloads(setup, &[Caps::ALL, rack]);
        sim.gateway.host.call(HostCmd::SetStatic {
            port: route::PortId(RACK as u16),
            addr: ip("192.0.2.11"),
            mac: server_mac(0),
            published: false,
        });
        let (client, server) = (socket("10.0.0.5:5000"), socket("192.0.2.11:80"));
        let supers = [
            tcp_super(client, server, 60_000, 1400),
            udp_super(client, server, 60_000, 1400),
        ];
        let mut round = || {
            for (queue, whole) in supers.iter().enumerate() {
                sim.put_unfinished(0, queue, whole);
            }
            let allocated = counted(|| while sim.poll_workers() > 0 {});
            sim.settle();
            allocated
        };
        round();
        assert_eq!(round() + round(), 0, "{rack:?}");
        let totals = sim.gateway.control.totals();
        assert_eq!(totals.super_sent + totals.super_cut, 6);
    }
}

#[test]
fn tagged_frames_allocate_nothing_whether_they_go_on_or_not() {
    let mut ports = client_and_rack(GATEWAY_MAC);
    let parent = route::PortId(RACK as u16);
    ports.0.push(Port {
        vlan: Some(Vlan { parent, vid: 7 }),
        ..port(2, "rack.7", Layer::L2(GATEWAY_MAC), &[("192.0.7.1", 24)])
    });
    let mut sim = SimGateway::new(Setup {
        ports,
        workers: 2,
        buffers: 512,
        ..Setup::default()
    });
    sim.gateway.host.call(HostCmd::SetStatic {
        port: route::PortId(2),
        addr: ip("192.0.7.11"),
        mac: server_mac(0),
        published: false,
    });
    let (client, server) = (socket("10.0.0.5:5000"), socket("192.0.7.11:80"));
    let back = ether(GATEWAY_MAC, server_mac(0), &udp(server, client, b"back"));
    let tagged = |tag: [u8; 4]| [&back[..12], &tag, &back[12..]].concat();
    let frames = [[0x81, 0, 0, 7], [0x81, 0, 0, 8], [0x81, 0, 0, 0]].map(tagged);
    let mut round = || {
        sim.put(0, 0, &udp(client, server, b"there"));
        for (at, frame) in frames.iter().enumerate() {
            sim.put(RACK, at % 2, frame);
        }
        let allocated = counted(|| while sim.poll_workers() > 0 {});
        sim.settle();
        allocated
    };
    round();
    assert_eq!(round() + round(), 0);
    let totals = sim.gateway.control.totals();
    let unknown = totals.dropped_for(DropReason::UnknownVlan);
    assert_eq!((unknown, totals.forwarded >= 6), (3, true), "{totals:?}");
}
