//! A simulated network around a gateway: virtual time, one queue of events, links that misbehave, hosts on smoltcp.
//!
//! Behind a port of Ethernet all hosts share a segment (a hub that knows who has which hardware address); behind a
//! port of bare IP each packet goes to the host that has its destination. A VLAN is a segment of its own: hosts and tests
//! see its frames without the tag that they have on its parent's device. What no host takes is kept for the test
//! ([`Net::take_caught`]). Every frame that leaves the gateway is read and judged at once ([`check`]), and who gets
//! which flow is remembered ([`watch`]).
//!
//! Time is the gateway's milliseconds. [`Net::step`] jumps to the next moment at which anything happens, so hours
//! cost seconds. One seed, one history.

pub mod check;
pub mod craft;
mod expect;
mod link;
mod node;
mod scene;
pub mod watch;
pub mod zoo;

pub use check::Transport;
pub use link::Conditions;
pub use node::{ECHO, Echo, NAME, Node, NodeSpec, Talk};
pub use scene::{BOTH, SERVICE, SERVICE6, Scene, client_addr, service, to_clients, to_rack};

use crate::frames::mac_dst;
use crate::sim::{Sent, SimGateway};
use link::Link;
use route::PortId;
use stack::ports::{Layer, Vlan};
use stack::{Now, Setup};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use watch::{FlowId, Watch};

/// By which queue of a port a frame reaches the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steer {
    /// All packets of a flow by one queue, as a device does.
    ByFlow,
    /// Each frame by any queue.
    Random,
    /// Always this one.
    Queue(usize),
}

/// A frame on its way. Ordered by time, then by when it was sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flying {
    at: u64,
    no: u64,
    to: To,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum To {
    Gateway { port: usize, queue: usize },
    Node(usize),
}

/// The network.
pub struct Net {
    /// The gateway.
    pub sim: SimGateway,
    /// The hosts.
    pub nodes: Vec<Node>,
    /// How frames reach queues.
    pub steer: Steer,
    /// Longest step of time, ms: timers of workers are served at least so often.
    pub step_ms: u64,
    /// Whether packets must leave with good transport checksums.
    pub transport: Transport,
    /// Who got which flow.
    pub watch: Watch,
    layers: Vec<(Layer, u32)>,
    vlans: Vec<Option<Vlan>>,
    to_gateway: Vec<Link>,
    from_gateway: Vec<Link>,
    flight: BinaryHeap<Reverse<Flying>>,
    sent_no: u64,
    caught: Vec<Sent>,
    /// What left since the tap was opened, whoever took it.
    tap: Option<Vec<Sent>>,
    rng: fastrand::Rng,
    idle_at: u64,
    frames_out: u64,
}

/// How often workers do what they do when idle, ms.
const IDLE_MS: u64 = 100;

impl Net {
    /// A gateway with good links and nobody behind them.
    pub fn new(setup: Setup, seed: u64) -> Self {
        Self::starting_at(setup, seed, Now(0))
    }

    /// As [`Self::new`], at a time of the caller's.
    pub fn starting_at(setup: Setup, seed: u64, now: Now) -> Self {
        let ports = setup.ports.0.iter();
        let layers: Vec<_> = ports.map(|port| (port.layer, port.mtu)).collect();
        let vlans = setup.ports.0.iter().map(|port| port.vlan).collect();
        let links = vec![Link::new(Conditions::GOOD); layers.len()];
        Self {
            sim: SimGateway::starting_at(setup, now),
            nodes: Vec::new(),
            steer: Steer::ByFlow,
            step_ms: IDLE_MS,
            transport: Transport::Checked,
            watch: Watch::default(),
            layers,
            vlans,
            to_gateway: links.clone(),
            from_gateway: links,
            flight: BinaryHeap::new(),
            sent_no: 0,
            caught: Vec::new(),
            tap: None,
            rng: fastrand::Rng::with_seed(seed),
            idle_at: 0,
            frames_out: 0,
        }
    }

    /// Plugs a host in. Its number.
    pub fn add(&mut self, spec: NodeSpec) -> usize {
        self.nodes.push(Node::new(spec, self.now()));
        self.nodes.len() - 1
    }

    /// Virtual time, ms.
    pub fn now(&self) -> u64 {
        self.sim.now.0
    }

    /// What a port's link does from now on, in both directions.
    pub fn set_link(&mut self, port: usize, conditions: Conditions) {
        self.to_gateway[port].conditions = conditions;
        self.from_gateway[port].conditions = conditions;
    }

    /// A port's interface takes packets of `mtu` bytes at most from now on; `None`: what the port does. Longer ones that leave by it,
    /// or by a VLAN of it, are judged bad.
    pub fn interface_mtu(&mut self, port: usize, mtu: Option<u32>) {
        let gw = &mut self.sim.gateway;
        let id = PortId(port as u16);
        gw.control.interface_mtu(id, mtu, &mut gw.host);
        let of = |at: &usize| {
            let vlan = self.vlans[*at];
            *at == port || vlan.is_some_and(|vlan| vlan.parent == id)
        };
        for at in (0..self.layers.len()).filter(of) {
            let configured = gw.control.ports().0[at].mtu;
            self.layers[at].1 = mtu.map_or(configured, |mtu| mtu.min(configured));
        }
        self.settle();
    }

    /// Frames that links lost so far.
    pub fn lost(&self) -> u64 {
        let all = self.to_gateway.iter().chain(&self.from_gateway);
        all.map(|link| link.lost).sum()
    }

    /// Frames that left the gateway so far; each was judged.
    pub fn frames_out(&self) -> u64 {
        self.frames_out
    }

    /// Frames that no host took since the last call, in the order they left.
    pub fn take_caught(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.caught)
    }

    /// Every frame that left the gateway since the last call, in order; the first call opens the tap.
    pub fn take_tap(&mut self) -> Vec<Sent> {
        self.tap.replace(Vec::new()).unwrap_or_default()
    }

    /// Puts a frame on the gateway's queue now, whatever links do.
    pub fn inject(&mut self, port: usize, queue: usize, frame: &[u8]) {
        self.put(port, queue, frame);
    }

    /// As the device has it: of a VLAN by its parent, with its tag.
    fn put(&mut self, port: usize, queue: usize, frame: &[u8]) {
        match self.vlans[port] {
            Some(vlan) => {
                let (front, behind) = frame.split_at(frame.len().min(12));
                let ([t0, t1], [v0, v1]) = ([0x81, 0x00], vlan.vid.to_be_bytes());
                let tagged = [front, &[t0, t1, v0, v1], behind].concat();
                self.sim.put(self.device(port), queue, &tagged);
            }
            None => self.sim.put(port, queue, frame),
        }
    }

    /// The port whose device another port's frames go by.
    fn device(&self, port: usize) -> usize {
        self.vlans[port].map_or(port, |vlan| usize::from(vlan.parent.0))
    }

    /// A frame with a tag is a VLAN's, without it.
    fn untagged(&self, sent: Sent) -> Sent {
        let tag = sent
            .bytes
            .get(12..16)
            .filter(|_| self.layers[sent.port].0 != Layer::L3);
        let Some(&[0x81, 0x00, v0, v1]) = tag else {
            return sent;
        };
        let vid = u16::from_be_bytes([v0, v1]);
        let is = |vlan: &Vlan| (usize::from(vlan.parent.0), vlan.vid) == (sent.port, vid);
        let port = self
            .vlans
            .iter()
            .position(|vlan| vlan.as_ref().is_some_and(is));
        let port = port.unwrap_or_else(|| panic!("a tag that no port has left: {sent:02x?}"));
        Sent {
            port,
            bytes: [&sent.bytes[..12], &sent.bytes[16..]].concat(),
            ..sent
        }
    }

    /// Sends a frame (or bare packet) towards the gateway over the port's link.
    pub fn send(&mut self, port: usize, frame: Vec<u8>) {
        let queue = self.queue(port, &frame);
        let to = To::Gateway { port, queue };
        let now = self.now();
        let arrivals = self.to_gateway[port].arrivals(now, &mut self.rng);
        self.fly(arrivals, to, frame);
    }

    fn queue(&mut self, port: usize, frame: &[u8]) -> usize {
        let queues = self.sim.peers[self.device(port)].len();
        match self.steer {
            Steer::Queue(queue) => queue,
            Steer::Random => self.rng.usize(..queues),
            Steer::ByFlow => {
                let packet = match self.layers[port].0 {
                    Layer::L2(_) => frame.get(14..).unwrap_or_default(),
                    Layer::L3 => frame,
                };
                FlowId::of(packet).map_or(0, |flow| {
                    usize::from(flow.src.port() ^ flow.dst.port()) % queues
                })
            }
        }
    }

    fn fly(&mut self, arrivals: impl Iterator<Item = u64>, to: To, bytes: Vec<u8>) {
        for at in arrivals {
            self.sent_no += 1;
            let no = self.sent_no;
            let bytes = bytes.clone();
            self.flight.push(Reverse(Flying { at, no, to, bytes }));
        }
    }

    /// Runs what happens at the present time, without letting any pass.
    pub fn settle(&mut self) {
        self.deliver();
        self.poll_nodes();
        if self.now() >= self.idle_at {
            self.idle_at = self.now() + IDLE_MS;
            for worker in &mut self.sim.gateway.workers {
                worker.idle(self.sim.now);
            }
        }
        for sent in self.sim.settle() {
            self.leaves(sent);
        }
    }

    /// Jumps to the next moment at which anything happens, `end` at the latest.
    pub fn step(&mut self, end: u64) {
        let now = self.now();
        let frame = self.flight.peek().map(|Reverse(f)| f.at);
        let node = self.nodes.iter_mut().filter_map(|n| n.next_at(now)).min();
        let host = self.sim.gateway.host.deadline_ms();
        let timers = [Some(host), node, Some(now + self.step_ms)];
        // A timer in the past is one that only waits for the others: time still goes on.
        let timer = timers.into_iter().flatten().map(|at| at.max(now + 1)).min();
        let next = [frame, timer].into_iter().flatten().min().unwrap_or(end);
        self.sim.now = Now(next.clamp(now, end.max(now)));
        self.settle();
    }

    /// Runs until `end`, all that happens at that moment included.
    pub fn run_until(&mut self, end: u64) {
        self.settle();
        while self.now() < end || self.due() {
            self.step(end);
        }
    }

    fn due(&self) -> bool {
        let now = self.now();
        self.flight.peek().is_some_and(|Reverse(f)| f.at <= now)
    }

    /// Runs for so many ms.
    pub fn run_for(&mut self, ms: u64) {
        self.run_until(self.now() + ms);
    }

    /// Runs until no frame is in flight and no packet waits in the gateway.
    ///
    /// # Panics
    /// If that does not happen within `limit_ms`.
    pub fn run_until_idle(&mut self, limit_ms: u64) {
        let end = self.now() + limit_ms;
        self.settle();
        loop {
            let totals = self.sim.gateway.control.totals();
            if self.flight.is_empty() && totals.waiting + totals.origin_waiting == 0 {
                return;
            }
            assert!(self.now() < end, "not idle after {limit_ms} ms: {totals:?}");
            self.step(end);
        }
    }

    /// Frames whose time has come reach their end.
    fn deliver(&mut self) {
        while self.due() {
            let Some(Reverse(frame)) = self.flight.pop() else {
                return;
            };
            match frame.to {
                To::Gateway { port, queue } => self.put(port, queue, &frame.bytes),
                To::Node(node) => self.nodes[node].input(frame.bytes),
            }
        }
    }

    fn poll_nodes(&mut self) {
        let now = self.now();
        for node in 0..self.nodes.len() {
            let port = self.nodes[node].spec.port;
            for frame in self.nodes[node].poll(now) {
                self.hear_each_other(node, &frame);
                self.send(port, frame);
            }
        }
    }

    /// Other hosts of the segment hear what a host sends.
    fn hear_each_other(&mut self, from: usize, frame: &[u8]) {
        let port = self.nodes[from].spec.port;
        let Some(dst) = mac_dst(frame).filter(|_| self.nodes[from].spec.mac.is_some()) else {
            return;
        };
        let at = self.now() + 1;
        for other in 0..self.nodes.len() {
            let node = &self.nodes[other];
            if other != from && node.spec.port == port && node.takes_mac(dst) {
                self.fly([at].into_iter(), To::Node(other), frame.to_vec());
            }
        }
    }

    /// A frame leaves the gateway: it is judged, and goes to whom it is for.
    fn leaves(&mut self, sent: Sent) {
        self.frames_out += 1;
        let sent = if sent.offload.is_none() {
            self.untagged(sent)
        } else {
            sent
        };
        let (layer, mtu) = self.layers[sent.port];
        if let Err(fault) = check::frame(&sent.bytes, layer, mtu, self.transport) {
            panic!(
                "at {} ms a bad frame left: {fault}: {sent:02x?}",
                self.now()
            );
        }
        if let Some(tap) = &mut self.tap {
            tap.push(sent.clone());
        }
        let takers = self.takers(&sent, layer);
        if takers.is_empty() {
            return self.caught.push(sent);
        }
        let now = self.now();
        for node in takers {
            if let (Layer::L2(_), Some(packet)) = (layer, sent.bytes.get(14..)) {
                self.watch.saw(now, packet, node);
            }
            let arrivals = self.from_gateway[sent.port].arrivals(now, &mut self.rng);
            self.fly(arrivals, To::Node(node), sent.bytes.clone());
        }
    }

    fn takers(&self, sent: &Sent, layer: Layer) -> Vec<usize> {
        let takes = |node: &Node| match layer {
            Layer::L2(_) => mac_dst(&sent.bytes).is_some_and(|dst| node.takes_mac(dst)),
            Layer::L3 => destination(&sent.bytes).is_some_and(|dst| node.has_addr(dst)),
        };
        let on_port = |n: &usize| self.nodes[*n].spec.port == sent.port;
        let all = (0..self.nodes.len()).filter(on_port);
        all.filter(|n| takes(&self.nodes[*n])).collect()
    }
}

/// An IP packet's destination.
pub fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => Some(Ipv4Addr::from(*packet.get(16..20)?.first_chunk()?).into()),
        6 => Some(Ipv6Addr::from(*packet.get(24..40)?.first_chunk::<16>()?).into()),
        _ => None,
    }
}
