//! `explain` says what the gateway then does: packets of chance in states of chance, explained first and sent then. The
//! verdict, the reason, the answer to the sender, the port and the link header must be the same, and explaining must
//! leave no trace.

mod done;
mod packets;
mod world;

use done::Done;
use flowgate_tests::frames::{tcp, tcp_segment};
use flowgate_tests::rack::{Family, RACK};
use flowgate_tests::sim::{SimGateway, ip};
use route::PortId;
use stack::control::{Explanation, Framing, PacketAsk, TupleAsk, Verdict};
use stack::counters::Totals;
use std::collections::BTreeMap;
use std::net::SocketAddr;

const SERVERS: usize = 6;
/// The last one never answers ARP.
const SILENT: usize = SERVERS - 1;
const CLIENTS: usize = 0;
const GUARDED: usize = 2;
const EDGE: usize = 3;
const EDGE_MAC: arp::Mac = arp::Mac([2, 0, 0, 0, 0, 9]);
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// The services: by the rack's servers, sticky, and by fewer.
const SERVICES: [[&str; 2]; 3] = [
    ["203.0.113.10", "2001:db8:113::10"],
    ["203.0.113.20", "2001:db8:113::20"],
    ["203.0.113.30", "2001:db8:113::30"],
];

struct World {
    sim: SimGateway,
    rng: fastrand::Rng,
    workers: usize,
    seen: BTreeMap<&'static str, u64>,
    unsure: u64,
}

impl World {
    fn explain(&self, port: usize, framing: Framing, bytes: &[u8]) -> Explanation {
        let ask = PacketAsk {
            port: PortId(port as u16),
            framing,
            bytes,
        };
        let gw = &self.sim.gateway;
        gw.control
            .explain(&ask, self.sim.now)
            .expect("a port that is there")
    }

    /// Explains a packet, sends it, and compares.
    fn step(&mut self, context: &str) {
        let packet = self.packet();
        let port = [CLIENTS, CLIENTS, CLIENTS, RACK, GUARDED, EDGE][self.rng.usize(..6)];
        let frame = self.frame(port, &packet);
        let framing = match port {
            CLIENTS | GUARDED => Framing::Ip,
            _ => Framing::Ether,
        };
        let before = self.totals();
        let tables = self.sim.gateway.control.reader().flow_stats();
        let said = self.explain(port, framing, &frame);
        assert_eq!(self.totals(), before, "{context}: explaining counts");
        assert_eq!(
            self.sim.gateway.control.reader().flow_stats(),
            tables,
            "{context}"
        );
        let queue = self.rng.usize(..self.workers);
        self.sim.put(port, queue, &frame);
        let sent = self.sim.settle();
        let after = self.totals();
        *self.seen.entry(said.verdict.name()).or_default() += 1;
        self.unsure += u64::from(said.found.unsure);
        if !said.found.unsure {
            let done = Done {
                before: &before,
                after: &after,
                sent: &sent,
            };
            if let Err(wrong) = done.agrees(&said) {
                panic!(
                    "{context}: {wrong}\n{}\n{said:#?}\n{sent:?}\n{frame:02x?}",
                    done.drops()
                );
            }
        }
        self.sim.assert_books();
    }

    fn totals(&self) -> Totals {
        self.sim.gateway.control.totals()
    }
}

#[test]
fn what_is_explained_is_what_happens_then() {
    let (mut seen, mut unsure) = (BTreeMap::<_, u64>::new(), 0);
    for seed in 0..24 {
        let mut world = World::new(seed);
        for n in 0..700 {
            let context = format!("seed {seed} packet {n}");
            match world.rng.u32(..40) {
                0 => world.change(),
                1 => drop(world.sim.advance(world.rng.u64(..30_000), 1000)),
                2..=10 => drop(world.sim.advance(world.rng.u64(..300), 100)),
                _ => {}
            }
            world.step(&context);
        }
        unsure += world.unsure;
        world
            .seen
            .iter()
            .for_each(|(name, n)| *seen.entry(*name).or_default() += n);
    }
    for verdict in [
        "forward",
        "deliver",
        "echo",
        "neighbour",
        "hold",
        "collect",
        "drop",
    ] {
        assert!(
            seen.get(verdict).copied().unwrap_or(0) > 20,
            "{verdict} is hardly tried: {seen:?}"
        );
    }
    assert!(unsure < 200, "hardly anything is said for sure: {unsure}");
}

#[test]
fn a_tuple_is_explained_as_its_next_packet() {
    let mut world = World::new(1);
    let from = SocketAddr::new(ip("10.1.0.2"), 5000);
    let to = SocketAddr::new(ip(SERVICES[1][0]), 80);
    let tuple = stack::parse::read(&tcp_segment(from, to, tcp::SYN, 0, 0, 0))
        .expect("a SYN")
        .tuple;
    let ask = TupleAsk {
        tuple,
        port: None,
        fib: None,
        turn: None,
    };
    let told = |world: &World| {
        let (control, now) = (&world.sim.gateway.control, world.sim.now);
        control.explain_tuple(&ask, now).expect("explained")
    };
    let (first, assumed) = told(&world);
    assert_eq!(assumed.len(), 2, "{assumed:?}");
    assert!(assumed[1].contains("first packet"), "{assumed:?}");
    world
        .sim
        .put(CLIENTS, 0, &tcp_segment(from, to, tcp::SYN, 0, 0, 0));
    let sent = world.sim.settle();
    let Verdict::Forward(way) = first.verdict else {
        panic!("{first:?}");
    };
    assert!(
        sent.iter()
            .any(|s| s.bytes.starts_with(&way.header.expect("an Ethernet port")))
    );
    let (next, assumed) = told(&world);
    assert!(assumed[1].contains("in the middle"), "{assumed:?}");
    assert_eq!(next.verdict, first.verdict, "pinned");
    assert_eq!(next.found.pin, Some(way.nhop));
}
