//! The short way of plain packets (`stack/src/plain.rs`) and the long one are one: while all packets are recorded every packet goes
//! the long way out, and everything that is sent and counted is the same. With other ports, rules and changes: `plain_ports`.

use flowgate_tests::frames::{ether, tcp, tcp_segment, udp};
use flowgate_tests::net::craft::{with_df, with_ttl};
use flowgate_tests::net::zoo;
use flowgate_tests::rack::{CLIENTS, GATEWAY_MAC, RACK, Rack, server_mac};
use flowgate_tests::sim::{Sent, ip};
use stack::Setup;
use stack::capture::{Fate, Record};
use stack::fate::DropReason;
use stack::offload::{Offload, Partial};
use std::net::SocketAddr;

const PREFIXES: [&str; 2] = ["203.0.113.10/32", "2001:db8:113::10/128"];

/// A rack of three servers, and default ways back to the clients.
fn rack(recorded: bool) -> Rack {
    let mut rack = Rack::new(
        3,
        Setup {
            workers: 2,
            flows_v4: 4096,
            flows_v6: 4096,
            buffers: 512,
            ..Setup::default()
        },
    );
    for prefix in PREFIXES {
        rack.add_all(prefix.parse().expect("a prefix"), &[(0, 1), (1, 2), (2, 1)]);
    }
    let rings = rack.sim.gateway.control.captures();
    rings.iter().for_each(|rings| rings.want(recorded.into()));
    rack.sim.settle();
    rack
}

/// What comes at once: port, queue, frame, what is unfinished of it.
type Frame = (usize, usize, Vec<u8>, Offload);

fn ends(rng: &mut fastrand::Rng) -> (SocketAddr, SocketAddr) {
    let (client, service) = match rng.bool() {
        true => ("10.1.0.2", "203.0.113.10"),
        false => ("fd10::7", "2001:db8:113::10"),
    };
    let client = SocketAddr::new(ip(client), 1000 + rng.u16(..300));
    (client, SocketAddr::new(ip(service), 80))
}

/// A packet of a connection, one way or the other; seldom one with something special about it.
fn packet(rng: &mut fastrand::Rng) -> (bool, Vec<u8>) {
    let ((client, service), there) = (ends(rng), rng.bool());
    let (from, to) = if there {
        (client, service)
    } else {
        (service, client)
    };
    let payload = [7; 1500];
    let packet = match rng.u8(..8) {
        0 => tcp_segment(from, to, tcp::SYN, 1, 0, 0),
        1 => tcp_segment(from, to, tcp::FIN | tcp::ACK, 5, 1, 0),
        2..=4 => tcp_segment(from, to, tcp::ACK, 2, 1, rng.usize(..1000)),
        _ => udp(from, to, &payload[..rng.usize(..1472)]),
    };
    let packet = match rng.u8(..10) {
        0 => with_ttl(packet, rng.u8(..3)),
        1 => with_df(packet, rng.bool()),
        _ => packet,
    };
    (there, packet)
}

fn frame(rng: &mut fastrand::Rng, zoo: &[zoo::Kind]) -> Frame {
    let queue = rng.usize(..2);
    if rng.u8(..10) == 0 {
        let kind = &zoo[rng.usize(..zoo.len())];
        return (CLIENTS, queue, kind.bytes.clone(), Offload::NONE);
    }
    let (there, packet) = packet(rng);
    if there {
        let v6 = packet[0] >> 4 == 6;
        let (proto, start) = if v6 { (packet[6], 40) } else { (packet[9], 20) };
        let offset = if proto == 6 { 16 } else { 6 };
        // Good or not: a partial sum that does not fit is for whoever gets it.
        let csum = (rng.u8(..6) == 0).then_some(Partial { start, offset });
        return (CLIENTS, queue, packet, Offload { gso: None, csum });
    }
    let mac = match rng.u8(..12) {
        0 => arp::Mac::BROADCAST,
        1 => arp::Mac([2, 0, 0, 0, 9, 9]),
        _ => GATEWAY_MAC,
    };
    let server = server_mac(rng.usize(..3));
    (RACK, queue, ether(mac, server, &packet), Offload::NONE)
}

fn sent_of(rack: &mut Rack, frames: &[Frame]) -> Vec<Sent> {
    for (port, queue, bytes, offload) in frames {
        rack.sim
            .put_unfinished(*port, *queue, &(bytes.clone(), *offload));
    }
    rack.sim.settle()
}

#[test]
fn what_is_sent_and_counted_is_the_same_whether_packets_take_the_short_way_or_the_long() {
    let mut rng = fastrand::Rng::with_seed(81);
    let mut racks = [rack(false), rack(true)];
    let zoo = zoo::packets();
    let (mut sent_in_all, mut recorded, mut read) = (0, 0, [0; 2]);
    for round in 0..400 {
        let frames: Vec<Frame> = (0..rng.usize(1..60))
            .map(|_| frame(&mut rng, &zoo))
            .collect();
        let [short, long] = racks.each_mut().map(|rack| sent_of(rack, &frames));
        sent_in_all += short.len();
        assert_eq!(format!("{short:?}"), format!("{long:?}"), "round {round}");
        let [short, long] = racks
            .each_ref()
            .map(|rack| rack.sim.gateway.control.totals());
        assert_eq!(short, long, "round {round}");
        recorded += forwarded(&racks[1], &mut read);
        assert_eq!(recorded, long.forwarded, "round {round}");
        change(&mut racks, rng.u8(..40), round);
    }
    let totals = racks[0].sim.gateway.control.totals();
    assert!(sent_in_all > 5_000 && totals.pinned > 3_000, "{totals:?}");
    racks.iter().for_each(|rack| rack.sim.assert_books());
}

/// Reads on where `read` says that each worker's records were read to: how many packets were recorded as forwarded.
fn forwarded(rack: &Rack, read: &mut [u64; 2]) -> u64 {
    let (rings, mut new) = (rack.sim.gateway.control.captures(), Vec::new());
    for (worker, (rings, read)) in rings.iter().zip(read).enumerate() {
        let ring = rings.all().expect("asked for");
        let (next, missed) = ring.read_from(*read, worker, &mut new);
        assert_eq!(missed, 0);
        *read = next;
    }
    let fate = |record: &&Record| record.fate == Fate::Forward;
    new.iter().filter(fate).count() as u64
}

/// Now and then something happens, to both.
fn change(racks: &mut [Rack; 2], what: u8, round: usize) {
    for rack in racks {
        let prefix = PREFIXES[round % 2].parse().expect("a prefix");
        match what {
            0 => rack.kill(round % 3, round % 5 < 2),
            1 => rack.weight(prefix, round % 3, 1 + round as u32 % 4),
            2..=8 => drop(rack.sim.advance(1_500, 500)),
            _ => {}
        }
        rack.sim.settle();
    }
}

#[test]
fn who_has_no_way_back_gets_nothing_by_a_way_that_others_took_before() {
    let mut rack = Rack::new(20, Setup::default());
    let all: Vec<(usize, u32)> = (0..20).map(|server| (server, 1)).collect();
    rack.add_all(PREFIXES[0].parse().expect("a prefix"), &all);
    let service = SocketAddr::new(ip("203.0.113.10"), 80);
    let back = |to| ether(GATEWAY_MAC, server_mac(0), &udp(service, to, b"back"));
    // Conversations with all servers: each next hop has been noted in some burst.
    for _ in 0..3 {
        for port in 1000..1400 {
            let client = SocketAddr::new(ip("10.1.0.2"), port);
            rack.sim.put(CLIENTS, 0, &udp(client, service, b"there"));
            rack.sim.put(RACK, 0, &back(client));
        }
        rack.sim.settle();
    }
    // No route ever led to this one, so the stamp of its way back has never changed.
    let stray = SocketAddr::new(ip("198.51.100.7"), 1);
    rack.sim.put(CLIENTS, 0, &udp(stray, service, b"there"));
    assert_eq!(rack.sim.settle().len(), 1);
    let before = rack.sim.gateway.control.totals();
    assert!(before.pinned > 1_000, "{before:?}");
    for _ in 0..4 {
        rack.sim.put(RACK, 0, &back(stray));
        let sent = rack.sim.settle();
        // At most an ICMP error, which leads to a server.
        assert!(sent.iter().all(|sent| sent.bytes[14 + 9] == 1), "{sent:x?}");
    }
    let after = rack.sim.gateway.control.totals();
    assert_eq!(
        (after.pinned, after.drops[DropReason::NoRoute as usize]),
        (before.pinned, 4)
    );
    rack.sim.assert_books();
}
