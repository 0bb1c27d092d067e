//! The pieces of a datagram keep their order while slots move: that of their flow, and that of their collector. (Those of two
//! datagrams meet at two collectors; who splits datagrams has no order between them.)

use flowgate_tests::frames::udp;
use flowgate_tests::net::craft::{is_piece, pieces, source};
use flowgate_tests::rack::{CLIENTS, Rack};
use flowgate_tests::sim::ip;
use route::Prefix;
use stack::Setup;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

const WORKERS: usize = 6;
const FLOWS: usize = 200;
/// Bytes of payload of each of the two pieces.
const PIECE: usize = 64;
/// Second pieces that have not been sent yet, at most.
const LATE: usize = 100;
/// Pieces in the gateway at most: less than any ring or collector holds.
const WINDOW: usize = 600;

struct World {
    rack: Rack,
    rng: fastrand::Rng,
    sent: Vec<u32>,
    /// Of each datagram, the number of its last piece that arrived.
    got: HashMap<(IpAddr, u32), u32>,
    out: usize,
    /// Second pieces that have not been sent yet, with their queues.
    late: Vec<(usize, Vec<u8>)>,
    /// A worker that seldom gets a turn.
    slow: usize,
}

fn client(n: usize) -> SocketAddr {
    let addr = match n % 2 {
        0 => format!("10.1.1.{n}"),
        _ => format!("fd10::2:{n:x}"),
    };
    SocketAddr::new(ip(&addr), 3000)
}

/// A datagram whose pieces end with these numbers.
fn datagram(src: SocketAddr, numbers: [u32; 2]) -> Vec<u8> {
    let dst = match src {
        SocketAddr::V4(_) => "203.0.113.10:80",
        SocketAddr::V6(_) => "[2001:db8:113::10]:80",
    };
    // The first piece has the UDP header.
    let mut payload = [7; 2 * PIECE - 8];
    for (number, end) in numbers.into_iter().zip([PIECE - 8, 2 * PIECE - 8]) {
        payload[end - 4..end].copy_from_slice(&number.to_be_bytes());
    }
    udp(src, dst.parse().expect("an address"), &payload)
}

impl World {
    fn new(seed: u64) -> Self {
        let setup = Setup {
            workers: 2,
            max_workers: WORKERS,
            flows_v4: 4096,
            flows_v6: 4096,
            ..Setup::default()
        };
        let mut rack = Rack::new(3, setup);
        for prefix in ["203.0.113.10/32", "2001:db8:113::10/128"] {
            let prefix = prefix.parse::<Prefix>().expect("a prefix");
            rack.add_all(prefix, &[(0, 1), (1, 1), (2, 1)]);
        }
        rack.sim.settle();
        Self {
            rack,
            rng: fastrand::Rng::with_seed(seed),
            sent: vec![0; FLOWS],
            got: HashMap::new(),
            out: 0,
            late: Vec::new(),
            slow: 0,
        }
    }

    /// A flow's next datagram, by its queue: its first piece, or after a while the second.
    fn send(&mut self) {
        self.out += 1;
        if self.late.len() > self.rng.usize(..LATE) {
            let (queue, piece) = self.late.swap_remove(self.rng.usize(..self.late.len()));
            return self.rack.sim.put(CLIENTS, queue, &piece);
        }
        let n = self.rng.usize(..FLOWS);
        let numbers = [self.sent[n] + 1, self.sent[n] + 2];
        self.sent[n] += 2;
        let pieces = pieces(&datagram(client(n), numbers), numbers[1], PIECE);
        let queue = n % WORKERS;
        self.rack.sim.put(CLIENTS, queue, &pieces[0]);
        self.late.push((queue, pieces[1].clone()));
    }

    fn turn(&mut self) {
        match self.rng.usize(..16) {
            0..=10 => {
                let worker = self.rng.usize(..WORKERS);
                if worker != self.slow || self.rng.u8(..200) == 0 {
                    self.poll(worker);
                }
            }
            11 => self.control(),
            _ if self.out < WINDOW => self.send(),
            _ => {}
        }
    }

    /// A turn of host and control.
    fn control(&mut self) {
        self.rack.sim.gateway.host.poll(self.rack.sim.now);
        self.rack.sim.tick();
    }

    /// A worker's turn, and what it sent: by its own queue, so in its order.
    fn poll(&mut self, worker: usize) {
        self.rack.sim.poll_worker(worker);
        for frame in self.rack.sim.take_sent() {
            let packet = match frame.bytes.split_at_checked(14) {
                Some(([.., 0x08, 0x00] | [.., 0x86, 0xdd], packet)) if is_piece(packet) => packet,
                _ => continue,
            };
            let src = source(packet);
            let no = packet.last_chunk().map_or(0, |b| u32::from_be_bytes(*b));
            let datagram = (no - 1) / 2;
            let last = self.got.insert((src, datagram), no);
            assert_eq!(last.unwrap_or(2 * datagram) + 1, no, "of {src}");
            self.out -= 1;
        }
    }
}

#[test]
fn pieces_keep_their_order_while_slots_move() {
    for seed in 0..8 {
        let mut world = World::new(seed);
        for _ in 0..30 {
            let workers = world.rng.usize(1..=WORKERS);
            let set = world.rack.sim.gateway.control.set_workers(workers);
            set.expect("so many workers");
            world.slow = world.rng.usize(..WORKERS);
            for _ in 0..3000 {
                world.turn();
            }
            world.rack.sim.assert_books();
        }
        for (queue, piece) in std::mem::take(&mut world.late) {
            world.rack.sim.put(CLIENTS, queue, &piece);
            world.out += 1;
        }
        for _ in 0..300 {
            (0..WORKERS).for_each(|worker| world.poll(worker));
            world.control();
        }
        let totals = world.rack.sim.gateway.control.totals();
        let none = (totals.dropped(), totals.fragments_blind, totals.waiting);
        assert_eq!((none, world.out), ((0, 0, 0), 0), "{totals:?}");
    }
}
