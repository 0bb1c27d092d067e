//! The number of workers changes while packets are everywhere: in queues, in rings, parked, held, collected. Workers,
//! control and packets take turns at random.

use flowgate_tests::frames::{ether, mac_dst, udp};
use flowgate_tests::net::craft::{icmp_error, is_piece, pieces};
use flowgate_tests::net::watch::FlowId;
use flowgate_tests::rack::{CLIENTS, GATEWAY_MAC, RACK, Rack, server_mac};
use flowgate_tests::sim::{Sent, ip};
use route::{PortId, Prefix};
use stack::Setup;
use stack::fate::DropReason;
use stack::flows::FlowFilter;
use stack::host::{HostCmd, HostLink};
use stack::links::Depths;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

const WORKERS: usize = 8;
const SERVERS: usize = 6;

fn setup(workers: usize) -> Setup {
    Setup {
        workers,
        max_workers: WORKERS,
        flows_v4: 32_768,
        flows_v6: 32_768,
        buffers: 4096,
        ..Setup::default()
    }
}

/// A flow that sends numbered packets by one queue.
struct Talk {
    id: FlowId,
    queue: usize,
    sent: u32,
    got: u32,
    server: Option<usize>,
}

impl Talk {
    fn new(n: usize) -> Self {
        let (src, dst) = if n.is_multiple_of(2) {
            (format!("10.1.{}.{}", n >> 8, n & 255), "203.0.113.10:80")
        } else {
            (format!("fd10::2:{n:x}"), "[2001:db8:113::10]:80")
        };
        Self {
            id: FlowId {
                proto: 17,
                src: SocketAddr::new(ip(&src), 2000 + n as u16),
                dst: dst.parse().expect("an address"),
            },
            queue: n % WORKERS,
            sent: 0,
            got: 0,
            server: None,
        }
    }
}

fn server_of(frame: &[u8]) -> usize {
    let mac = mac_dst(frame).expect("a frame");
    (0..SERVERS)
        .find(|server| server_mac(*server) == mac)
        .expect("a server's")
}

struct World {
    rack: Rack,
    rng: fastrand::Rng,
    talks: Vec<Talk>,
    by_id: HashMap<FlowId, usize>,
    lost: u64,
    /// A worker that seldom gets a turn: more is in its rings than a burst takes.
    slow: usize,
    /// Packets that are in the gateway: less than any ring holds.
    out: usize,
}

impl World {
    fn new(setup: Setup, flows: usize, seed: u64) -> Self {
        let mut rack = Rack::new(SERVERS, setup);
        let all: Vec<(usize, u32)> = (0..SERVERS).map(|server| (server, 1)).collect();
        for prefix in ["203.0.113.10/32", "2001:db8:113::10/128"] {
            rack.add_all(prefix.parse::<Prefix>().expect("a prefix"), &all);
        }
        rack.sim.settle();
        let talks: Vec<Talk> = (0..flows).map(Talk::new).collect();
        let by_id = talks.iter().enumerate().map(|(n, t)| (t.id, n)).collect();
        Self {
            rack,
            rng: fastrand::Rng::with_seed(seed),
            talks,
            by_id,
            lost: 0,
            slow: 0,
            out: 0,
        }
    }

    fn talk(&mut self, n: usize) {
        let talk = &mut self.talks[n];
        talk.sent += 1;
        self.out += 1;
        let packet = udp(talk.id.src, talk.id.dst, &talk.sent.to_be_bytes());
        self.rack.sim.put(CLIENTS, talk.queue, &packet);
    }

    fn talk_all(&mut self) {
        (0..self.talks.len()).for_each(|n| self.talk(n));
    }

    /// What left: each packet at its flow's server, and none before an older one of its flow.
    fn judge(&mut self, sent: &[Sent], may_lose: bool) {
        for frame in sent {
            let Some(id) = frame.bytes.get(14..).and_then(FlowId::of) else {
                continue;
            };
            let at = self.by_id[&id];
            let (talk, server) = (&mut self.talks[at], server_of(&frame.bytes));
            let no = frame
                .bytes
                .last_chunk()
                .map_or(0, |b| u32::from_be_bytes(*b));
            assert!(no > talk.got, "{id:?}: {no} after {}", talk.got);
            self.lost += u64::from(no - talk.got - 1);
            assert!(
                may_lose || no == talk.got + 1,
                "{id:?}: {no} after {}",
                talk.got
            );
            talk.got = no;
            self.out -= 1;
            assert_eq!(*talk.server.get_or_insert(server), server, "{id:?} moved");
        }
    }

    /// Some turns of whoever chance picks; each worker may be left behind for long.
    fn turns(&mut self, turns: usize, may_lose: bool) {
        for _ in 0..turns {
            match self.rng.usize(..20) {
                0..=11 => {
                    let worker = self.rng.usize(..WORKERS);
                    if worker != self.slow || self.rng.u8(..100) == 0 {
                        self.rack.sim.poll_worker(worker);
                    }
                }
                12 => self.rack.sim.tick(),
                13 => {
                    self.rack.sim.gateway.host.poll(self.rack.sim.now);
                }
                _ => {
                    for _ in 0..if self.out < 500 { 4 } else { 0 } {
                        let n = self.rng.usize(..self.talks.len());
                        self.talk(n);
                    }
                }
            }
        }
        let sent = self.rack.sim.take_sent();
        self.judge(&sent, may_lose);
        self.rack.sim.assert_books();
    }

    /// From now on a host of the rack is known: it has a server's link address.
    fn resolve(&mut self, addr: IpAddr, server: usize) {
        let (port, mac) = (PortId(RACK as u16), server_mac(server));
        let published = false;
        self.rack.sim.gateway.host.call(HostCmd::SetStatic {
            port,
            addr,
            mac,
            published,
        });
    }

    fn set(&mut self, workers: usize) {
        let set = self.rack.sim.gateway.control.set_workers(workers);
        set.expect("so many workers");
    }

    fn is_moving(&self) -> bool {
        self.rack.sim.gateway.control.workers_report().moving > 0
    }

    /// Changes the number of workers, under way until all slots have moved.
    fn change(&mut self, workers: usize, may_lose: bool) {
        self.set(workers);
        self.slow = self.rng.usize(..WORKERS);
        for _ in 0..100_000 {
            if !self.is_moving() {
                break;
            }
            self.turns(5, may_lose);
        }
        assert!(!self.is_moving(), "slots never arrive");
    }

    /// A turn of everybody.
    fn turn_of_all(&mut self) {
        (0..WORKERS).for_each(|worker| {
            self.rack.sim.poll_worker(worker);
        });
        self.rack.sim.gateway.host.poll(self.rack.sim.now);
        self.rack.sim.tick();
        self.rack.sim.assert_books();
    }

    fn rest(&mut self, may_lose: bool) {
        let sent = self.rack.sim.settle();
        self.judge(&sent, may_lose);
        self.rack.sim.assert_books();
        let totals = self.rack.sim.gateway.control.totals();
        assert_eq!((totals.parked, totals.waiting), (0, 0), "{totals:?}");
    }

    /// Each flow is in the tables once, and none was ever inserted twice.
    fn assert_entries(&mut self) {
        let now = self.rack.sim.now;
        let reader = self.rack.sim.gateway.control.reader();
        let inserts: u64 = reader.flow_stats()[..2].iter().map(|s| s.inserts).sum();
        assert_eq!(inserts, self.talks.len() as u64);
        let rows = reader.flows(FlowFilter::default(), now);
        let mut ends: Vec<_> = rows.map(|row| row.ends).collect();
        assert_eq!(ends.len(), self.talks.len());
        ends.sort_unstable();
        ends.dedup();
        assert_eq!(ends.len(), self.talks.len());
    }

    fn owned(&self) -> Vec<usize> {
        self.rack.sim.gateway.control.workers_report().slots
    }
}

#[test]
fn from_one_worker_to_eight_and_back_each_packet_arrives_in_order_at_its_flows_server() {
    for seed in 0..3 {
        let mut world = World::new(setup(1), 3000, seed);
        world.talk_all();
        world.rest(false);
        for workers in [2, 8, 3, 5, 1, 8, 1] {
            world.change(workers, false);
            world.turns(2000, false);
            let slots = world.owned();
            let even = slots[..workers]
                .iter()
                .all(|n| n.abs_diff(256 / workers) <= 1);
            assert!(
                even && slots[workers..].iter().all(|n| *n == 0),
                "{slots:?}"
            );
        }
        world.rest(false);
        world.talk_all();
        world.rest(false);
        let arrived = world.talks.iter().all(|talk| talk.got == talk.sent);
        assert!(arrived && world.lost == 0);
        world.assert_entries();
        let totals = world.rack.sim.gateway.control.totals();
        assert_eq!((totals.dropped(), totals.unpinned), (0, 0), "{totals:?}");
        assert_eq!(totals.moved.iter().sum::<u64>(), 0, "{totals:?}");
        assert!(totals.parked_in_all > 100, "{totals:?}");
    }
}

#[test]
fn a_target_that_changes_on_the_way_is_followed() {
    let mut world = World::new(setup(4), 500, 7);
    world.talk_all();
    world.rest(false);
    for round in 0..60 {
        let workers = world.rng.usize(1..=WORKERS);
        world.set(workers);
        world.turns(round * 3, false);
    }
    world.change(2, false);
    world.rest(false);
    assert_eq!(world.owned(), [128, 128, 0, 0, 0, 0, 0, 0]);
    world.talk_all();
    world.rest(false);
    assert!(world.talks.iter().all(|talk| talk.got == talk.sent));
    world.assert_entries();
}

#[test]
fn what_finds_the_parking_place_full_is_dropped_and_counted_and_nothing_else_is_lost() {
    let depths = Depths {
        handoff: 4,
        ..Depths::default()
    };
    let mut world = World::new(Setup { depths, ..setup(1) }, 2000, 9);
    world.talk_all();
    world.rest(true);
    world.set(8);
    for _ in 0..2000 {
        // Control hardly gets a turn, so that much must wait.
        for _ in 0..40 {
            let n = world.rng.usize(..world.talks.len());
            world.talk(n);
        }
        (0..WORKERS).for_each(|worker| {
            world.rack.sim.poll_worker(worker);
        });
        if world.rng.u8(..8) == 0 {
            world.turn_of_all();
        }
        let sent = world.rack.sim.take_sent();
        world.judge(&sent, true);
        world.rack.sim.assert_books();
    }
    world.rest(true);
    let missing: u32 = world.talks.iter().map(|talk| talk.sent - talk.got).sum();
    let totals = world.rack.sim.gateway.control.totals();
    let full = totals.dropped_for(DropReason::ParkFull);
    assert!(full > 0, "{totals:?}");
    let rings = totals.dropped_for(DropReason::HandoffFull);
    assert_eq!(totals.dropped(), full + rings, "{totals:?}");
    assert_eq!(world.lost + u64::from(missing), full + rings);
    assert!(!world.is_moving());
}

/// Big datagrams in four pieces, each by another queue, while slots move all the time.
#[test]
fn pieces_find_their_datagram_wherever_its_collector_went() {
    for seed in 20..22 {
        let mut world = World::new(setup(2), 300, seed);
        world.talk_all();
        world.rest(false);
        let mut waiting: Vec<(usize, Vec<u8>)> = Vec::new();
        let mut servers: HashMap<(SocketAddr, u32), Vec<usize>> = HashMap::new();
        let mut id = 0;
        let mut collect = |world: &mut World| {
            for frame in world.rack.sim.take_sent() {
                let packet = &frame.bytes[14..];
                if !is_piece(packet) {
                    continue;
                }
                let src = flowgate_tests::net::craft::source(packet);
                let id = if packet[0] >> 4 == 6 {
                    u32::from_be_bytes([packet[44], packet[45], packet[46], packet[47]])
                } else {
                    u32::from(u16::from_be_bytes([packet[4], packet[5]]))
                };
                let key = (SocketAddr::new(src, 0), id);
                servers
                    .entry(key)
                    .or_default()
                    .push(server_of(&frame.bytes));
            }
        };
        for round in 0..400 {
            if round % 20 == 0 {
                let workers = world.rng.usize(1..=WORKERS);
                world.set(workers);
            }
            let talk = &world.talks[world.rng.usize(..world.talks.len())];
            id += 1;
            let whole = udp(talk.id.src, talk.id.dst, &[7; 2000]);
            for piece in pieces(&whole, id, 512) {
                waiting.push((world.rng.usize(..WORKERS), piece));
            }
            while waiting.len() > 40 {
                let next = world.rng.usize(..waiting.len());
                let (queue, piece) = waiting.swap_remove(next);
                world.rack.sim.put(CLIENTS, queue, &piece);
                for _ in 0..3 {
                    let worker = world.rng.usize(..WORKERS);
                    world.rack.sim.poll_worker(worker);
                }
                if world.rng.u8(..4) == 0 {
                    world.turn_of_all();
                }
                world.rack.sim.assert_books();
            }
            collect(&mut world);
        }
        for (queue, piece) in waiting {
            world.rack.sim.put(CLIENTS, queue, &piece);
        }
        for _ in 0..1000 {
            world.turn_of_all();
        }
        collect(&mut world);
        let totals = world.rack.sim.gateway.control.totals();
        assert_eq!(
            (totals.dropped(), totals.fragments_blind),
            (0, 0),
            "{totals:?}"
        );
        assert_eq!(
            (totals.datagrams_lost, totals.waiting),
            (0, 0),
            "{totals:?}"
        );
        assert_eq!(servers.len(), 400);
        for ((src, id), got) in servers {
            assert_eq!(got.len(), 4, "datagram {id} of {src}");
            let talk = world.talks.iter().find(|talk| talk.id.src.ip() == src.ip());
            let server = talk.expect("a flow").server;
            assert!(
                got.iter().all(|s| Some(*s) == server),
                "{id}: {got:?}, not {server:?}"
            );
        }
    }
}

/// Packets for hosts that have not answered yet are held; they go along with their slots and keep their order.
#[test]
fn packets_that_wait_for_a_neighbour_go_along() {
    let hold = (64, 512);
    let mut world = World::new(Setup { hold, ..setup(1) }, 60, 31);
    let host = |server: usize| ip(&format!("192.0.2.{}", 200 + server));
    for talk in &mut world.talks {
        talk.id.src = SocketAddr::new(ip("10.1.2.3"), talk.id.src.port());
        let server = usize::from(talk.id.src.port()) % SERVERS;
        talk.id.dst = SocketAddr::new(host(server), 80);
        talk.server = Some(server);
    }
    let ids = world.talks.iter().enumerate();
    world.by_id = ids.map(|(n, talk)| (talk.id, n)).collect();
    world.talk_all();
    world.rack.sim.settle();
    assert_eq!(world.rack.sim.gateway.control.totals().waiting, 60);
    for (workers, waiting) in [(8, 60), (3, 120), (8, 180)] {
        world.set(workers);
        for _ in 0..2000 {
            world.turn_of_all();
        }
        assert!(!world.is_moving());
        let totals = world.rack.sim.gateway.control.totals();
        assert_eq!(
            (totals.waiting, totals.dropped()),
            (waiting, 0),
            "{totals:?}"
        );
        world.talk_all();
        world.rack.sim.settle();
    }
    for server in 0..SERVERS {
        world.resolve(host(server), server);
    }
    world.rest(false);
    assert!(world.talks.iter().all(|talk| talk.got == 4));
}

/// A neighbour gets its entry just before a flow's second packet comes from another worker: the first still waits for it.
#[test]
fn nothing_overtakes_the_first_packet_to_a_neighbour_that_was_unknown() {
    let hold = (128, 512);
    let mut world = World::new(Setup { hold, ..setup(2) }, 60, 32);
    let addr = ip("192.0.2.200");
    for talk in &mut world.talks {
        talk.id.src = SocketAddr::new(ip("10.1.2.3"), talk.id.src.port());
        talk.id.dst = SocketAddr::new(addr, 80);
        talk.server = Some(0);
    }
    let ids = world.talks.iter().enumerate();
    world.by_id = ids.map(|(n, talk)| (talk.id, n)).collect();
    for queue in [0, 1] {
        world.talks.iter_mut().for_each(|talk| talk.queue = queue);
        world.talk_all();
        for worker in [queue, 1 - queue] {
            world.rack.sim.poll_worker(worker);
            world.rack.sim.poll_worker(worker);
        }
        world.rack.sim.gateway.host.poll(world.rack.sim.now);
    }
    world.resolve(addr, 0);
    world.rest(false);
    assert!(world.talks.iter().all(|talk| talk.got == 2));
}

/// What arrives at a worker that owns nothing any more goes on to those who do; errors too.
#[test]
fn queues_of_workers_without_slots_are_served() {
    let mut world = World::new(setup(8), 64, 41);
    world.talk_all();
    world.rest(false);
    world.change(1, false);
    world.rest(false);
    for n in 0..64 {
        let (id, server) = (world.talks[n].id, world.talks[n].server.expect("a server"));
        let answer = udp(id.dst, id.src, b"a");
        let error = icmp_error(
            id.src.ip(),
            &answer,
            if id.src.is_ipv4() { 3 } else { 1 },
            1,
            0,
        );
        world.rack.sim.put(CLIENTS, n % WORKERS, &error);
        let sent = world.rack.sim.settle();
        assert_eq!(sent.len(), 1);
        assert_eq!(server_of(&sent[0].bytes), server, "an error about {id:?}");
        let frame = ether(GATEWAY_MAC, server_mac(server), &answer);
        world.rack.sim.put(RACK, n % WORKERS, &frame);
        let sent = world.rack.sim.settle();
        assert_eq!((sent.len(), sent[0].port), (1, CLIENTS));
    }
    let totals = world.rack.sim.gateway.control.totals();
    assert!(totals.handed_off > 64, "{totals:?}");
    assert_eq!(totals.dropped(), 0, "{totals:?}");
}

#[test]
fn a_flush_waits_for_slots_on_their_way_and_reaches_every_flow() {
    for seed in 0..20 {
        let mut world = World::new(setup(3), 400, 50 + seed);
        world.talk_all();
        world.rest(false);
        world.set(8);
        let turns = world.rng.usize(..60);
        world.turns(turns, false);
        let control = &mut world.rack.sim.gateway.control;
        let job = control.flow_flush(FlowFilter::default()).expect("a flush");
        for _ in 0..2000 {
            world.turn_of_all();
        }
        assert!(job.done());
        assert_eq!(job.removed(), 400);
        assert!(!world.is_moving());
        world.rest(false);
    }
}

#[test]
fn a_number_that_cannot_be_is_refused() {
    let mut world = World::new(setup(2), 1, 60);
    for wrong in [0, 9] {
        let refused = world.rack.sim.gateway.control.set_workers(wrong);
        let line = refused.expect_err("a refusal").to_string();
        assert!(line.contains("1 to 8"), "{line}");
    }
    let same = world
        .rack
        .sim
        .gateway
        .control
        .set_workers(2)
        .expect("the same");
    assert_eq!((same.before, same.workers, same.moves), (2, 2, 0));
}
