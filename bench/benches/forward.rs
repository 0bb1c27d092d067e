//! `forward/64` to `forward/1500`: one whole worker, from a received frame to a sent one.
//!
//! A gateway with one worker and two Ethernet ports in memory forwards bursts of 32 packets of 1,024 flows
//! to one default route. Everything that a packet meets is there: the copy into a buffer, validation, owner,
//! flow table, pin check, TTL and checksum, neighbour, link header, the hand-over to the port. What is not: a
//! device. The number in a name is the frame's length in bytes, without its checksum; time is per packet.
#![allow(missing_docs)]

use arp::Mac;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use etherparse::PacketBuilder;
use route::PortId;
use stack::Now;
use stack::control::{GatewaySpec, PathKind, RouteSpec};
use stack::gateway::{Gateway, Setup, Wakers, build};
use stack::host::{HostCmd, HostLink, HostReply};
use stack::io::{Queue, Tx};
use stack::pkt::{Pkt, Pool};
use stack::ports::{Layer, Port, PortAddr, Ports};
use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

const SIZES: [usize; 6] = [64, 128, 256, 512, 1024, 1500];
const FLOWS: usize = 1024;
const NOW: Now = Now(10_000);
/// Bytes of Ethernet, IPv4 and UDP headers.
const HEADERS: usize = 14 + 20 + 8;

const LAN: Mac = Mac([2, 0, 0, 0, 1, 1]);
const WAN: Mac = Mac([2, 0, 0, 0, 2, 1]);
const CLIENT: Mac = Mac([2, 0, 0, 0, 1, 2]);
const ROUTER: Mac = Mac([2, 0, 0, 0, 2, 2]);

/// A port without a device: it always has the next of its frames, and takes all that is sent.
struct Endless {
    frames: Vec<Vec<u8>>,
    at: usize,
    sent: u64,
}

impl Queue for Endless {
    fn rx_burst(&mut self, pool: &mut Pool, out: &mut Vec<Pkt>, max: usize) -> io::Result<usize> {
        if self.frames.is_empty() {
            return Ok(0);
        }
        for done in 0..max {
            let Some(mut pkt) = pool.take() else {
                return Ok(done);
            };
            pkt.copy_from(&self.frames[self.at]);
            self.at = (self.at + 1) % self.frames.len();
            out.push(pkt);
        }
        Ok(max)
    }

    fn tx(&mut self, frame: &[u8]) -> Tx {
        self.sent += u64::from(frame.len() >= HEADERS);
        Tx::Sent
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn truncated(&self) -> u64 {
        0
    }
}

/// Frames of `size` bytes from clients behind the first port to the Internet, a flow each.
fn frames(size: usize) -> Vec<Vec<u8>> {
    let mut rng = fastrand::Rng::with_seed(11);
    let frame = |client: usize| {
        let src = [10, 0, (client >> 8) as u8, client as u8];
        let dst = rng.u32(0x1400_0000..0x6400_0000).to_be_bytes();
        let builder = PacketBuilder::ethernet2(CLIENT.0, LAN.0)
            .ipv4(src, dst, 64)
            .udp(5000, 443);
        let mut bytes = Vec::with_capacity(size);
        let written = builder.write(&mut bytes, &vec![0; size - HEADERS]);
        written.expect("a frame that is not too long");
        bytes
    };
    (2..FLOWS + 2).map(frame).collect()
}

fn port(id: u16, name: &str, mac: Mac, addr: &str, len: u8) -> Port {
    let addr = addr.parse().expect("an address");
    Port {
        fib: route::FibId(0),
        id: PortId(id),
        name: name.into(),
        layer: Layer::L2(mac),
        mtu: 1500,
        up: true,
        addrs: vec![PortAddr { addr, len }],
        rules: Default::default(),
    }
}

/// One worker, a port to the clients, a port to the router that has the default route.
fn gateway() -> Gateway {
    let ports = vec![
        port(0, "lan", LAN, "10.0.0.1", 16),
        port(1, "wan", WAN, "192.0.2.254", 24),
    ];
    let setup = Setup {
        workers: 1,
        ports: Ports(ports),
        ..Setup::default()
    };
    let mut gateway = build(setup, &Wakers::null(1), NOW).expect("a small gateway");
    let router: IpAddr = "192.0.2.1".parse().expect("an address");
    let neighbour = HostCmd::SetStatic {
        port: PortId(1),
        addr: router,
        mac: ROUTER,
        published: false,
    };
    assert!(matches!(gateway.host.call(neighbour), HostReply::Done));
    let spec = RouteSpec {
        prefix: "0.0.0.0/0".parse().expect("a prefix"),
        kind: PathKind::Gateways(vec![GatewaySpec {
            addr: router,
            weight: None,
            port: None,
            recursive: false,
        }]),
        mtu: None,
        deadline_s: None,
        options: Default::default(),
    };
    gateway
        .control
        .route_add(&spec, &mut gateway.host, NOW)
        .expect("a default route");
    gateway.host.poll(NOW);
    gateway.control.tick(&mut gateway.host, NOW);
    gateway
}

fn forward(c: &mut Criterion) {
    let mut group = c.benchmark_group("forward");
    group.throughput(Throughput::Elements(1));
    for size in SIZES {
        let mut worker = gateway().workers.remove(0);
        let clients = Endless {
            frames: frames(size),
            at: 0,
            sent: 0,
        };
        let internet = Endless {
            frames: Vec::new(),
            at: 0,
            sent: 0,
        };
        let mut queues: Vec<Box<dyn Queue>> = vec![Box::new(clients), Box::new(internet)];
        // Every flow gets its entry.
        let mut seen = 0;
        while seen < 2 * FLOWS {
            seen += worker.poll(NOW, &mut queues);
        }
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter_custom(|packets| {
                let began =
                    criterion::measurement::Measurement::start(&criterion::measurement::WallTime);
                let mut left = packets;
                while left > 0 {
                    left = left.saturating_sub(worker.poll(NOW, &mut queues) as u64);
                }
                criterion::measurement::Measurement::end(&criterion::measurement::WallTime, began)
            });
        });
        let counters = worker.counters();
        let (received, forwarded) = (counters.rx.get(), counters.forwarded.get());
        assert_eq!(
            received, forwarded,
            "a bench of packets that were dropped says nothing"
        );
    }
    group.finish();
}

criterion_group!(benches, forward);
criterion_main!(benches);
