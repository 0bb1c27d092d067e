//! Random histories against the oracle: every packet's next hop is what design section 4 allows.

use flowgate_tests::frames::{ether, tcp, tcp_segment};
use flowgate_tests::rack::{CLIENTS, Flow, GATEWAY_MAC, RACK, Rack, server_mac};
use flowgate_tests::sim::ip;
use route::Prefix;
use stack::Setup;
use stack::flows::FlowFilter;
use std::net::SocketAddr;

const SERVERS: usize = 6;

fn setup(workers: usize) -> Setup {
    Setup {
        workers,
        flows_v4: 16_384,
        flows_v6: 16_384,
        buffers: 512,
        ..Setup::default()
    }
}

/// Nested prefixes over the service addresses, so that routes uncover one another.
fn prefixes() -> Vec<Prefix> {
    [
        "203.0.113.10/32",
        "203.0.113.0/24",
        "203.0.0.0/13",
        "2001:db8:113::10/128",
        "2001:db8:113::/48",
        "2001:db8::/31",
    ]
    .map(|p| p.parse().expect("a prefix"))
    .to_vec()
}

fn services() -> Vec<SocketAddr> {
    [
        "203.0.113.10:80",
        "203.0.113.20:80",
        "203.0.1.1:443",
        "[2001:db8:113::10]:80",
        "[2001:db8:113::20]:80",
    ]
    .map(|s| s.parse().expect("an address"))
    .to_vec()
}

fn client(rng: &mut fastrand::Rng, service: SocketAddr) -> SocketAddr {
    let addr = if service.is_ipv4() {
        format!("10.{}.{}.{}", rng.u8(1..), rng.u8(..), rng.u8(1..255))
    } else {
        format!("fd10::{:x}:{:x}", rng.u16(1..), rng.u16(1..))
    };
    SocketAddr::new(ip(&addr), rng.u16(1024..))
}

struct History {
    rack: Rack,
    rng: fastrand::Rng,
    flows: Vec<Flow>,
    workers: usize,
    context: String,
}

impl History {
    fn new(seed: u64, workers: usize) -> Self {
        Self {
            rack: Rack::new(SERVERS, setup(workers)),
            rng: fastrand::Rng::with_seed(seed),
            flows: Vec::new(),
            workers,
            context: String::new(),
        }
    }

    fn open(&mut self) {
        let services = services();
        let dst = services[self.rng.usize(..services.len())];
        let mut flow = Flow {
            src: client(&mut self.rng, dst),
            dst,
            pin: None,
        };
        self.packet(&mut flow, tcp::SYN);
        self.flows.push(flow);
    }

    fn packet(&mut self, flow: &mut Flow, flags: u8) {
        let bytes = tcp_segment(flow.src, flow.dst, flags, 1000, 1000, 10);
        let queue = self.rng.usize(..self.workers);
        let got = self.rack.send(queue, &bytes);
        self.rack.judge(flow, got, &self.context);
    }

    /// A packet of a flow that exists; a flow that never found a server tries to open again.
    fn talk(&mut self, at: usize) {
        let mut flow = self.flows[at].clone();
        let flags = if flow.pin.is_some() {
            tcp::ACK
        } else {
            tcp::SYN
        };
        self.packet(&mut flow, flags);
        self.flows[at] = flow;
    }

    /// The server answers; its packet must reach the clients' port, whatever happens to routes.
    fn answer(&mut self, at: usize) {
        let Some((server, _)) = self.flows[at].pin else {
            return;
        };
        let (src, dst) = (self.flows[at].dst, self.flows[at].src);
        let bytes = tcp_segment(src, dst, tcp::ACK, 1000, 1010, 10);
        let queue = self.rng.usize(..self.workers);
        self.rack
            .sim
            .put(RACK, queue, &ether(GATEWAY_MAC, server_mac(server), &bytes));
        let sent = self.rack.sim.settle();
        assert_eq!(sent.len(), 1, "{}: {sent:?}", self.context);
        assert_eq!(sent[0].port, CLIENTS, "{}", self.context);
    }

    fn change(&mut self) {
        let all = prefixes();
        let prefix = all[self.rng.usize(..all.len())];
        let server = self.rng.usize(..SERVERS);
        let weight = self.rng.u32(1..=5);
        let member = self
            .rack
            .members(prefix)
            .is_some_and(|m| m.contains_key(&server));
        match self.rng.u8(..10) {
            0..=3 if !member => self.rack.add(prefix, server, weight),
            0..=2 if member => self.rack.delete(prefix, server),
            4 if member => self.rack.weight(prefix, server, 0),
            5 if member => self.rack.weight(prefix, server, weight),
            6..=7 => {
                let dead = self.rack.is_dead(server);
                self.rack.kill(server, !dead);
            }
            8 => {
                self.rack.sim.advance(1500, 500);
            }
            _ => {}
        }
    }

    fn run(&mut self, seed: u64, steps: usize) {
        for prefix in prefixes() {
            for server in 0..3 {
                self.rack.add(prefix, server, 1);
            }
        }
        for step in 0..steps {
            self.context = format!("seed {seed}, {} workers, step {step}", self.workers);
            match self.rng.u8(..20) {
                0..=3 => self.open(),
                4 => self.change(),
                5..=8 if !self.flows.is_empty() => {
                    let at = self.rng.usize(..self.flows.len());
                    self.answer(at);
                }
                _ if !self.flows.is_empty() => {
                    let at = self.rng.usize(..self.flows.len());
                    self.talk(at);
                }
                _ => {}
            }
            self.rack.sim.assert_books();
        }
        self.rack.assert_moves(&self.context);
    }
}

#[test]
fn every_packet_goes_where_the_rules_allow_on_one_worker() {
    for seed in 0..6 {
        History::new(seed, 1).run(seed, 3000);
    }
}

#[test]
fn every_packet_goes_where_the_rules_allow_on_three_workers() {
    for seed in 100..106 {
        History::new(seed, 3).run(seed, 3000);
    }
}

/// Forgets every pin, as a restart of the flow table would.
fn forget(rack: &mut Rack) {
    let job = rack
        .sim
        .gateway
        .control
        .flow_flush(FlowFilter::default())
        .expect("a flush");
    for _ in 0..100_000 {
        if job.done() {
            return;
        }
        rack.sim.settle();
    }
    panic!("the flush never ends");
}

/// *No pin, no break*: weights change and members join, up to eight times, and every pin is lost before every
/// packet; a flow that was open before stays with its server as long as that is a live member.
#[test]
fn flows_without_a_pin_stay_through_eight_changes() {
    for seed in 200..206 {
        let mut history = History::new(seed, 2);
        let prefix = prefixes()[(seed % 2) as usize * 3];
        // At once: a bucket that changed hands while the route grew would remember that.
        history.rack.add_all(prefix, &[(0, 2), (1, 2), (2, 2)]);
        while history.flows.len() < 150 {
            let services = services();
            let dst = services[(seed % 2) as usize * 3];
            let mut flow = Flow {
                src: client(&mut history.rng, dst),
                dst,
                pin: None,
            };
            history.context = format!("seed {seed}, opening");
            history.packet(&mut flow, tcp::SYN);
            history.packet(&mut flow, tcp::ACK);
            history.flows.push(flow);
        }
        history.rack.sim.advance(2000, 500);
        for change in 0..8 {
            history.context = format!("seed {seed}, change {change}");
            match change {
                0 | 3 | 5 => history.rack.add(prefix, 3 + change / 2, 2),
                1 => history.rack.weight(prefix, 0, 0),
                2 | 6 => history.rack.weight(prefix, 1, 5),
                _ => history.rack.weight(prefix, 3, 1 + change as u32),
            }
            history.rack.sim.advance(2000, 500);
            for at in 0..history.flows.len() {
                forget(&mut history.rack);
                history.talk(at);
            }
        }
        history.rack.sim.assert_books();
    }
}
