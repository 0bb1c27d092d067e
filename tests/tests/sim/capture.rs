//! What workers keep of packets: each drop with its reason and its bytes; all packets, once at their fate and once when
//! sent, while somebody asks; nothing otherwise.

use flowgate_tests::frames::{ether, tcp, tcp_segment, udp};
use flowgate_tests::net::craft::{echo_request, with_df, with_ttl};
use flowgate_tests::rack::{CLIENTS, GATEWAY_MAC, RACK, Rack};
use flowgate_tests::sim::ip;
use route::PortId;
use stack::Setup;
use stack::capture::{ALL_SNAP, DROP_SNAP, DROPS, Fate, Record};
use stack::fate::DropReason;
use std::net::SocketAddr;

const SERVICE: &str = "203.0.113.10";
/// Packets of chance.
const PUT: u64 = 300;

fn setup() -> Setup {
    Setup {
        flows_v4: 4096,
        flows_v6: 4096,
        buffers: 256,
        ..Setup::default()
    }
}

fn rack(workers: usize) -> Rack {
    let mut rack = Rack::new(3, Setup { workers, ..setup() });
    let prefix = format!("{SERVICE}/32").parse().expect("a prefix");
    rack.add_all(prefix, &[(0, 1), (1, 1), (2, 1)]);
    rack.sim.settle();
    rack
}

fn ends(n: u16) -> (SocketAddr, SocketAddr) {
    let from = SocketAddr::new(ip("10.1.0.2"), 1000 + n);
    (from, SocketAddr::new(ip(SERVICE), 80))
}

/// The drops of all workers.
fn drops(rack: &Rack) -> Vec<Record> {
    let mut out = Vec::new();
    for (worker, rings) in rack.sim.gateway.control.captures().iter().enumerate() {
        let (_, missed) = rings.drops.read_from(0, worker, &mut out);
        assert_eq!(missed, 0);
    }
    out
}

/// All packets of all workers since they were asked for.
fn all(rack: &Rack) -> Vec<Record> {
    let mut out = Vec::new();
    for (worker, rings) in rack.sim.gateway.control.captures().iter().enumerate() {
        rings
            .all()
            .expect("asked for")
            .read_from(0, worker, &mut out);
    }
    out
}

fn want(rack: &Rack, one_in: u32) {
    let rings = rack.sim.gateway.control.captures();
    rings.iter().for_each(|rings| rings.want(one_in));
}

#[test]
fn a_drop_is_kept_with_its_reason_and_the_bytes_that_came() {
    let mut rack = rack(2);
    let (from, to) = ends(1);
    let expired = with_ttl(udp(from, to, &[7; 200]), 1);
    rack.sim.put(CLIENTS, 0, &expired);
    rack.sim.settle();
    let nowhere = SocketAddr::new(ip("8.8.8.8"), 53);
    let lost = udp(SocketAddr::new(ip("192.0.2.77"), 9), nowhere, b"x");
    let frame = ether(GATEWAY_MAC, arp::Mac([2, 0, 0, 0, 9, 9]), &lost);
    rack.sim.put(RACK, 1, &frame);
    rack.sim.put(RACK, 0, &frame[..9]);
    rack.sim.settle();
    let found = drops(&rack);
    let one = |reason| {
        let mut of = found
            .iter()
            .filter(|record| record.fate == Fate::Drop(reason));
        let first = of
            .next()
            .unwrap_or_else(|| panic!("{reason:?} in {found:#?}"));
        assert!(of.next().is_none());
        first
    };
    let of = one(DropReason::TtlExpired);
    assert_eq!(
        (of.port, of.len, of.bare),
        (PortId(CLIENTS as u16), expired.len(), false)
    );
    assert_eq!(of.bytes, expired[..DROP_SNAP]);
    assert_eq!(of.time, rack.sim.now);
    let of = one(DropReason::NoRoute);
    assert_eq!(
        (of.port, &of.bytes),
        (PortId(RACK as u16), &frame),
        "with its link header"
    );
    assert_eq!(one(DropReason::EtherShort).bytes, frame[..9]);
    let dropped = rack.sim.gateway.control.totals().dropped();
    assert_eq!(found.len() as u64, dropped, "{found:#?}");
}

#[test]
fn packets_that_go_on_leave_no_record_while_nobody_asks() {
    let mut rack = rack(2);
    for n in 0..50 {
        let (from, to) = ends(n);
        rack.sim.put(
            CLIENTS,
            usize::from(n) % 2,
            &tcp_segment(from, to, tcp::SYN, 0, 0, 0),
        );
    }
    rack.sim.settle();
    assert_eq!(rack.sim.gateway.control.totals().forwarded, 50);
    assert_eq!(drops(&rack), []);
    let rings = rack.sim.gateway.control.captures();
    assert!(
        rings.iter().all(|rings| rings.all().is_none()),
        "no memory for it either"
    );
}

#[test]
fn the_last_drops_are_kept_and_the_others_counted() {
    let mut rack = rack(1);
    let (from, to) = ends(0);
    let expired = with_ttl(udp(from, to, b"x"), 1);
    let many = DROPS as u64 + 300;
    for _ in 0..many {
        rack.sim.put(CLIENTS, 0, &expired);
        if rack.sim.poll_workers() == 0 {
            rack.sim.settle();
        }
    }
    rack.sim.settle();
    let rings = &rack.sim.gateway.control.captures()[0];
    assert_eq!(
        (rings.drops.written(), rings.drops.overwritten()),
        (many, 300)
    );
    let mut out = Vec::new();
    assert_eq!(rings.drops.read_from(0, 0, &mut out), (many, 300));
    assert_eq!(out.len(), DROPS);
    assert_eq!(out[0].number, 300);
}

#[test]
fn each_packet_is_recorded_once_at_its_fate_and_once_when_it_is_sent() {
    for seed in 0..8 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let workers = rng.usize(1..4);
        let mut rack = rack(workers);
        want(&rack, 1);
        let before = rack.sim.gateway.control.totals();
        for _ in 0..PUT {
            let (from, to) = ends(rng.u16(..40));
            let packet = match rng.u32(..8) {
                0 => with_ttl(udp(from, to, b"old"), 1),
                1 => echo_request(from.ip(), ip("10.0.0.1"), 1, 1, b"ping"),
                2 => udp(from, SocketAddr::new(ip("10.0.0.1"), 53), b"local"),
                3 => udp(from, SocketAddr::new(ip("8.8.8.8"), 53), b"nowhere"),
                4 => with_df(udp(from, to, &[1; 1472]), false),
                _ => tcp_segment(from, to, tcp::ACK, 1, 1, rng.usize(..400)),
            };
            rack.sim.put(CLIENTS, rng.usize(..workers), &packet);
            rack.sim.settle();
        }
        let after = rack.sim.gateway.control.totals();
        let found = all(&rack);
        let count =
            |is: &dyn Fn(&Fate) -> bool| found.iter().filter(|r| is(&r.fate)).count() as u64;
        let more = |of: &dyn Fn(&stack::counters::Totals) -> u64| of(&after) - of(&before);
        assert_eq!(
            count(&|fate| fate.is_in()),
            PUT,
            "seed {seed}: one record for each that came"
        );
        assert_eq!(
            count(&|fate| *fate == Fate::Forward),
            more(&|t| t.forwarded)
        );
        assert_eq!(
            count(&|fate| *fate == Fate::Echo),
            more(&|t| t.consumed_echo)
        );
        assert_eq!(
            count(&|fate| *fate == Fate::Deliver),
            more(&|t| t.consumed_local)
        );
        assert_eq!(
            count(&|fate| matches!(fate, Fate::Drop(_))),
            more(&|t| t.dropped())
        );
        assert_eq!(count(&|fate| *fate == Fate::Sent), more(&|t| t.tx));
        assert!(found.iter().all(|r| r.bytes.len() == r.len.min(ALL_SNAP)));
        let echo = found
            .iter()
            .find(|r| r.fate == Fate::Echo)
            .expect("an echo");
        assert_eq!(echo.bytes[20], 8, "the request, not its reply");
        want(&rack, 0);
        let (from, to) = ends(1);
        rack.sim
            .put(CLIENTS, 0, &tcp_segment(from, to, tcp::ACK, 1, 1, 0));
        rack.sim.settle();
        assert_eq!(all(&rack).len(), found.len(), "off again");
    }
}

#[test]
fn a_sample_is_one_in_so_many() {
    let mut rack = rack(1);
    want(&rack, 10);
    for n in 0..500 {
        let (from, to) = ends(n);
        rack.sim.put(CLIENTS, 0, &udp(from, to, b"x"));
        rack.sim.settle();
    }
    // Each is seen when it is forwarded and when it is sent.
    assert_eq!(all(&rack).len(), 100);
}
