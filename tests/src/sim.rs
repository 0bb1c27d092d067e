//! A whole gateway in virtual time: every part polled by hand, ports in memory, nobody sleeps.

use stack::io::Queue;
use stack::io::mem::{MemPeer, pair_without_fds};
use stack::offload::{Caps, Offload};
use stack::ports::{Layer, Port, PortAddr, Ports};
use stack::{Gateway, Now, Setup, Wakers, build};
use std::net::IpAddr;

/// A gateway and the far ends of its ports.
pub struct SimGateway {
    /// The parts.
    pub gateway: Gateway,
    /// Virtual time.
    pub now: Now,
    queues: Vec<Vec<Box<dyn Queue>>>,
    /// `peers[port][queue]`.
    pub peers: Vec<Vec<MemPeer>>,
    /// A worker that the machine gives no time.
    pub held_up: Option<usize>,
}

/// A frame that left the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The port.
    pub port: usize,
    /// The queue.
    pub queue: usize,
    /// The frame.
    pub bytes: Vec<u8>,
    /// What the gateway left undone.
    pub offload: Offload,
}

/// A port description for tests.
pub fn port(id: u16, name: &str, layer: Layer, addrs: &[(&str, u8)]) -> Port {
    let addrs = addrs
        .iter()
        .map(|(addr, len)| PortAddr {
            addr: addr.parse().expect("an address"),
            len: *len,
        })
        .collect();
    Port {
        id: route::PortId(id),
        name: name.to_owned(),
        fib: route::FibId(0),
        layer,
        mtu: 1500,
        narrowed: None,
        up: true,
        addrs,
        rules: Default::default(),
        vlan: None,
    }
}

/// Frames a test port can hold in each direction.
const DEPTH: usize = 8192;

impl SimGateway {
    /// Builds a gateway from a setup.
    pub fn new(setup: Setup) -> Self {
        Self::starting_at(setup, Now(0))
    }

    /// As [`Self::new`], at a time of the caller's.
    pub fn starting_at(setup: Setup, now: Now) -> Self {
        let size = setup.packet_size;
        let devices = setup.ports.0.iter().filter(|port| port.vlan.is_none());
        let plain: Vec<_> = devices.map(|_| (size, Caps::NONE)).collect();
        Self::made(setup, now, DEPTH, &plain)
    }

    /// A gateway whose ports take unfinished packets, each what is said here, and bring super-packets of any size.
    pub fn with_offloads(setup: Setup, caps: &[Caps]) -> Self {
        let ports: Vec<_> = caps.iter().map(|&caps| (65_535, caps)).collect();
        Self::made(setup, Now(0), 256, &ports)
    }

    /// With ports that hold `depth` frames, each of so many bytes.
    fn made(setup: Setup, now: Now, depth: usize, ports: &[(usize, Caps)]) -> Self {
        let workers = setup.all_workers();
        let gateway = build(setup, &Wakers::null(workers), now).expect("a gateway");
        let mut queues: Vec<Vec<Box<dyn Queue>>> = (0..workers).map(|_| Vec::new()).collect();
        let mut peers = Vec::new();
        for &(size, caps) in ports {
            let (ours, theirs) = pair_without_fds(workers, depth, size);
            for (worker, queue) in ours.into_iter().enumerate() {
                queues[worker].push(Box::new(queue.with_offloads(caps)));
            }
            peers.push(theirs);
        }
        Self {
            gateway,
            now,
            queues,
            peers,
            held_up: None,
        }
    }

    /// Puts a frame on a port's queue, as a device would.
    pub fn put(&mut self, port: usize, queue: usize, frame: &[u8]) {
        assert!(self.peers[port][queue].tx(frame), "test port full");
    }

    /// As [`Self::put`], of a frame that is not finished.
    pub fn put_unfinished(
        &mut self,
        port: usize,
        queue: usize,
        (frame, offload): &(Vec<u8>, Offload),
    ) {
        assert!(
            self.peers[port][queue].tx_offload(frame, *offload),
            "test port full"
        );
    }

    /// One burst of every worker, and nothing else. Returns the packets moved.
    pub fn poll_workers(&mut self) -> usize {
        let pairs = self.gateway.workers.iter_mut().zip(&mut self.queues);
        pairs
            .filter(|(worker, _)| self.held_up != Some(worker.id()))
            .map(|(worker, queues)| worker.poll(self.now, queues))
            .sum()
    }

    /// One burst of one worker.
    pub fn poll_worker(&mut self, worker: usize) -> usize {
        self.gateway.workers[worker].poll(self.now, &mut self.queues[worker])
    }

    /// One turn of control.
    pub fn tick(&mut self) {
        self.gateway.control.tick(&mut self.gateway.host, self.now);
    }

    /// Frames that left the ports since the last look.
    pub fn take_sent(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        self.take(&mut sent);
        sent
    }

    /// Runs everything at the present time until nothing moves, and takes what left.
    pub fn settle(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        for _ in 0..10_000 {
            let mut work = self.poll_workers();
            work += self.gateway.host.poll(self.now);
            self.gateway.control.tick(&mut self.gateway.host, self.now);
            work += self.take(&mut sent);
            work += usize::from(self.gateway.control.moves_slots());
            if work == 0 {
                return sent;
            }
        }
        panic!("the gateway never comes to rest at {:?}", self.now);
    }

    /// Frames that left the ports since the last call.
    fn take(&mut self, sent: &mut Vec<Sent>) -> usize {
        let (before, mut buf) = (sent.len(), vec![0; 65_600]);
        for (port, queues) in self.peers.iter_mut().enumerate() {
            for (queue, peer) in queues.iter_mut().enumerate() {
                while let Some((len, offload)) = peer.rx_offload(&mut buf) {
                    sent.push(Sent {
                        port,
                        queue,
                        bytes: buf[..len].to_vec(),
                        offload,
                    });
                }
            }
        }
        sent.len() - before
    }

    /// Lets time pass in steps, running everything at each.
    pub fn advance(&mut self, ms: u64, step_ms: u64) -> Vec<Sent> {
        let mut sent = Vec::new();
        let end = self.now.0 + ms;
        while self.now.0 < end {
            self.now = Now((self.now.0 + step_ms).min(end));
            for worker in &mut self.gateway.workers {
                worker.idle(self.now);
            }
            sent.extend(self.settle());
        }
        sent
    }

    /// Panics if one of the two books does not balance.
    pub fn assert_books(&self) {
        if let Some(imbalance) = self.gateway.control.totals().imbalance() {
            panic!("at {:?}: {imbalance}", self.now);
        }
    }
}

/// Ports for a gateway between clients and a rack: port 0 carries bare IP (TUN), port 1 Ethernet (TAP).
pub fn client_and_rack(mac: arp::Mac) -> Ports {
    Ports(vec![
        port(0, "clients", Layer::L3, &[("10.0.0.1", 8), ("fd10::1", 32)]),
        port(
            1,
            "rack",
            Layer::L2(mac),
            &[("192.0.2.1", 24), ("fd00:2::1", 64), ("fe80::1", 64)],
        ),
    ])
}

/// An address that the test knows to be one.
pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
