//! The number of workers changes under load, with real threads on ports in memory.

use flowgate_tests::frames::{mac_dst, udp};
use flowgate_tests::net::watch::FlowId;
use flowgate_tests::rack::{CLIENTS, GATEWAY_MAC, RACK, server_mac};
use flowgate_tests::sim::{client_and_rack, ip};
use route::{PortId, Prefix};
use stack::control::{Control, GatewaySpec, PathKind, RouteSpec};
use stack::host::{HostCmd, HostLink};
use stack::io::Queue;
use stack::io::mem::{MemPeer, pair};
use stack::io::poll::Clock;
use stack::io::run::{RunConfig, Running, start};
use stack::{Now, Setup, Wakers, build};
use std::collections::HashMap;
use std::net::SocketAddr;

const WORKERS: usize = 4;
const SERVERS: usize = 5;
const FLOWS: usize = 400;
/// Packets in the gateway at most: less than any ring or parking place holds.
const WINDOW: usize = 200;
const ROUNDS: u32 = 400;

struct World {
    control: Control,
    running: Running,
    clock: Clock,
    peers: Vec<Vec<MemPeer>>,
    ids: Vec<FlowId>,
    got: HashMap<FlowId, (u32, usize)>,
    /// The last packet of each flow by each queue.
    by_queue: HashMap<(FlowId, usize), u32>,
    /// Packets that the last look has found before those that come before them: these were on a queue that had been looked
    /// at already.
    early: Vec<Frame>,
    arrived: usize,
}

impl World {
    fn new() -> Self {
        let setup = Setup {
            workers: 1,
            max_workers: WORKERS,
            ports: client_and_rack(GATEWAY_MAC),
            flows_v4: 8192,
            flows_v6: 4096,
            ..Setup::default()
        };
        let (wakers, clock) = (Wakers::new(WORKERS).expect("wakers"), Clock::start());
        let mut gateway = build(setup, &wakers, Now(clock.ms())).expect("a gateway");
        let now = Now(clock.ms());
        for server in 0..SERVERS {
            let (addr, mac) = (ip(&format!("192.0.2.{}", 11 + server)), server_mac(server));
            let (port, published) = (PortId(RACK as u16), false);
            gateway.host.call(HostCmd::SetStatic {
                port,
                addr,
                mac,
                published,
            });
        }
        let gateways = (0..SERVERS).map(|server| GatewaySpec {
            addr: ip(&format!("192.0.2.{}", 11 + server)),
            weight: None,
            port: None,
            recursive: false,
            mtu: None,
        });
        let spec = RouteSpec {
            prefix: "203.0.113.10/32".parse::<Prefix>().expect("a prefix"),
            kind: PathKind::Gateways(gateways.collect()),
            mtu: None,
            deadline_s: None,
            options: Default::default(),
        };
        let added = gateway.control.route_add(&spec, &mut gateway.host, now);
        added.expect("a route");
        let mut queues: Vec<Vec<Box<dyn Queue>>> = (0..WORKERS).map(|_| Vec::new()).collect();
        let peers = (0..2).map(|_| {
            let (ours, theirs) = pair(WORKERS, 1024, 2048);
            for (worker, queue) in ours.into_iter().enumerate() {
                queues[worker].push(Box::new(queue));
            }
            theirs
        });
        let peers = peers.collect();
        let config = RunConfig::default();
        let running = start(gateway.workers, queues, gateway.host, clock, &config);
        let id = |n: usize| FlowId {
            proto: 17,
            src: SocketAddr::new(ip(&format!("10.1.{}.{}", n >> 8, n & 255)), 3000),
            dst: SocketAddr::new(ip("203.0.113.10"), 80),
        };
        Self {
            control: gateway.control,
            running: running.expect("threads"),
            clock,
            peers,
            ids: (0..FLOWS).map(id).collect(),
            got: HashMap::new(),
            by_queue: HashMap::new(),
            early: Vec::new(),
            arrived: 0,
        }
    }

    /// Control's turn, and what has arrived: in order, each flow at its server.
    fn turn(&mut self) {
        let now = Now(self.clock.ms());
        self.control.tick(&mut self.running.host, now);
        let mut early = std::mem::take(&mut self.early);
        early.sort_by_key(|frame| frame.no);
        for queue in 0..WORKERS {
            self.read(queue);
        }
        // What was sent before a frame that the last look has found is there at this one.
        for frame in early {
            assert_eq!(self.take(&frame), Took::InTurn, "{frame:?} overtook others");
        }
        let mut early = std::mem::take(&mut self.early);
        early.sort_by_key(|frame| frame.no);
        early.retain(|frame| self.take(frame) == Took::Early);
        self.early = early;
        std::thread::yield_now();
    }

    /// What came by one queue: the packets of a flow in their order.
    fn read(&mut self, queue: usize) {
        let mut buf = [0; 2048];
        while let Some(len) = self.peers[RACK][queue].rx(&mut buf) {
            let Some(id) = FlowId::of(&buf[14..len]) else {
                continue;
            };
            let no = buf[..len].last_chunk();
            let no = no.map_or(0, |number| u32::from_be_bytes(*number));
            let mac = mac_dst(&buf).expect("a frame");
            let server = (0..SERVERS).find(|server| server_mac(*server) == mac);
            let server = server.expect("a server's");
            let before = self.by_queue.insert((id, queue), no);
            assert!(before.is_none_or(|before| before < no), "{id:?}: {no} late");
            self.arrived += 1;
            let frame = Frame { id, no, server };
            if self.take(&frame) == Took::Early {
                self.early.push(frame);
            }
        }
    }

    /// A packet is its flow's next one, or others must be on another queue that was looked at just before they came.
    fn take(&mut self, frame: &Frame) -> Took {
        let &Frame { id, no, server } = frame;
        let (last, at) = self.got.entry(id).or_insert((0, server));
        assert_eq!(server, *at, "{id:?} moved");
        assert!(no > *last, "{id:?}: {no} after {last}");
        if no > *last + 1 {
            return Took::Early;
        }
        *last = no;
        Took::InTurn
    }
}

/// A packet that has arrived.
#[derive(Clone, Copy, Debug)]
struct Frame {
    id: FlowId,
    no: u32,
    server: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Took {
    InTurn,
    Early,
}

#[test]
fn flows_keep_their_order_and_pins_while_workers_come_and_go_under_load() {
    let mut world = World::new();
    let (mut sent, mut steps) = (0, 0);
    for round in 1..=ROUNDS {
        for n in 0..FLOWS {
            let id = world.ids[n];
            let packet = udp(id.src, id.dst, &round.to_be_bytes());
            while sent - world.arrived >= WINDOW {
                world.turn();
            }
            // Each flow by a queue of its own.
            assert!(world.peers[CLIENTS][n % WORKERS].tx(&packet), "port full");
            sent += 1;
        }
        if world.control.workers_report().moving == 0 {
            let workers = [1, 4, 2, 3, 1, 3][steps % 6];
            steps += 1;
            world.control.set_workers(workers).expect("workers");
        }
    }
    while world.arrived < sent || world.control.workers_report().moving > 0 {
        world.turn();
    }
    let totals = world.control.totals();
    assert!(steps > 3, "{steps} changes, {totals:?}");
    assert_eq!(
        (totals.dropped(), totals.unpinned, totals.parked),
        (0, 0, 0)
    );
    assert_eq!(totals.moved.iter().sum::<u64>(), 0);
    let stats = world.control.reader().flow_stats()[0];
    assert_eq!((stats.inserts, stats.used), (FLOWS as u64, FLOWS as u64));
    assert_eq!(totals.imbalance(), None);
    world.running.stop();
}
