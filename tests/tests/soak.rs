//! A soak: mixed traffic as fast as one thread can make it, while routes, members, servers, workers and ports change.
//! In the end memory is what it was after the warm-up, both books balance, no buffer is lost and nobody logged an error.
//!
//! `FLOWGATE_SOAK=3600 cargo test --release --test soak -- --nocapture` runs for an hour; by default it is
//! some seconds.

use flowgate_tests::frames::{ether, ip_packet, tcp, tcp_segment, udp};
use flowgate_tests::net::craft::{echo_request, icmp_error, pieces, with_ttl};
use flowgate_tests::net::zoo;
use flowgate_tests::rack::{CLIENTS, GATEWAY_MAC, RACK, Rack, server_mac};
use flowgate_tests::sim::ip;
use route::Prefix;
use smoltcp::wire::IpProtocol;
use stack::{Now, Setup};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const SERVERS: usize = 8;
const WORKERS: usize = 4;
const FLOWS: u32 = 30_000;
/// Packets of a round, which is a millisecond of the gateway's time.
const ROUND: usize = 256;

/// Errors and warnings that anybody logs.
static ERRORS: AtomicU64 = AtomicU64::new(0);

/// Counts them; the first ones are shown.
struct Count;

impl tracing::Subscriber for Count {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        if ERRORS.fetch_add(1, Relaxed) < 5 {
            eprintln!("logged: {event:?}");
        }
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

fn seconds() -> u64 {
    let asked = std::env::var("FLOWGATE_SOAK").ok();
    let asked = asked.map(|s| s.parse().expect("FLOWGATE_SOAK is a number of seconds"));
    asked.unwrap_or(4)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a soak lasts so long on the clock"
)]
fn clock() -> Instant {
    Instant::now()
}

/// Resident memory, KiB.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("proc");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|n| n.parse().ok()).expect("VmRSS")
}

fn services() -> [Prefix; 2] {
    ["203.0.113.10/32", "2001:db8:113::10/128"].map(|p| p.parse().expect("a prefix"))
}

struct Soak {
    rack: Rack,
    rng: fastrand::Rng,
    zoo: Vec<zoo::Kind>,
    sent: u64,
    left: u64,
    piece: u32,
}

impl Soak {
    fn new() -> Self {
        let setup = Setup {
            workers: 2,
            max_workers: WORKERS,
            // Less than there are flows: tables are full all the time.
            flows_v4: 16_384,
            flows_v6: 16_384,
            buffers: 1024,
            ..Setup::default()
        };
        let mut rack = Rack::new(SERVERS, setup);
        let all: Vec<(usize, u32)> = (0..SERVERS).map(|server| (server, 1)).collect();
        services()
            .into_iter()
            .for_each(|prefix| rack.add_all(prefix, &all));
        Self {
            rack,
            rng: fastrand::Rng::with_seed(20),
            zoo: zoo::packets(),
            sent: 0,
            left: 0,
            piece: 0,
        }
    }

    fn ends(&mut self) -> (SocketAddr, SocketAddr) {
        let n = self.rng.u32(..FLOWS);
        let port = 1024 + (n % 50_000) as u16;
        let (src, dst) = if n.is_multiple_of(3) {
            (format!("fd10::7:{n:x}"), "[2001:db8:113::10]:80")
        } else {
            (format!("10.7.{}.{}", n >> 8, n & 255), "203.0.113.10:80")
        };
        (
            SocketAddr::new(ip(&src), port),
            dst.parse().expect("an address"),
        )
    }

    fn tcp(&mut self, src: SocketAddr, dst: SocketAddr) -> Vec<u8> {
        let flags = [
            tcp::SYN,
            tcp::ACK,
            tcp::ACK,
            tcp::ACK,
            tcp::ACK | tcp::FIN,
            tcp::RST,
        ];
        let flags = flags[self.rng.usize(..flags.len())];
        let (seq, len) = (self.rng.u32(..1 << 16), self.rng.usize(..1200));
        tcp_segment(src, dst, flags, seq, 1, len)
    }

    fn noise(&mut self) -> Vec<u8> {
        let mut bytes = self.zoo[self.rng.usize(..self.zoo.len())].bytes.clone();
        let at = self.rng.usize(..bytes.len());
        bytes[at] = self.rng.u8(..);
        bytes
    }

    /// One packet of the mix, or the pieces of one, from a client, or from a server back.
    fn packets(&mut self) -> (usize, Vec<Vec<u8>>) {
        let (client, service) = self.ends();
        let back = self.rng.bool();
        let (src, dst) = if back {
            (service, client)
        } else {
            (client, service)
        };
        let port = if back { RACK } else { CLIENTS };
        let packets = match self.rng.u8(..20) {
            0..=7 => vec![self.tcp(src, dst)],
            8..=13 => vec![udp(src, dst, &[7; 200])],
            14 => vec![echo_request(src.ip(), dst.ip(), src.port(), 1, b"soak")],
            15 => {
                self.piece += 1;
                pieces(&udp(src, dst, &[9; 1800]), self.piece, 512)
            }
            16 => vec![icmp_error(
                dst_router(src),
                &udp(dst, src, &[1; 64]),
                unreachable(src),
                4,
                0,
            )],
            17 => vec![with_ttl(udp(src, dst, b"last"), 1)],
            18 => vec![ip_packet(
                src.ip(),
                dst.ip(),
                IpProtocol::from(47),
                64,
                &[0; 40],
            )],
            _ => vec![self.noise()],
        };
        (port, packets)
    }

    fn round(&mut self) {
        for _ in 0..ROUND {
            let (port, packets) = self.packets();
            for packet in packets {
                let queue = self.rng.usize(..WORKERS);
                let mac = server_mac(self.rng.usize(..SERVERS));
                let frame = match port {
                    RACK => ether(GATEWAY_MAC, mac, &packet),
                    _ => packet,
                };
                self.rack.sim.put(port, queue, &frame);
                self.sent += 1;
            }
        }
        self.left += self.rack.sim.settle().len() as u64;
        self.rack.sim.now = Now(self.rack.sim.now.0 + 1);
    }

    /// What an operator and the world do meanwhile.
    fn churn(&mut self, round: u64) {
        let server = self.rng.usize(..SERVERS);
        let prefix = services()[self.rng.usize(..2)];
        let members = self.rack.members(prefix).cloned().unwrap_or_default();
        match self.rng.u8(..6) {
            0 | 1 if !members.contains_key(&server) => self.rack.add(prefix, server, 1),
            2 if members.len() > 2 && members.contains_key(&server) => {
                self.rack.delete(prefix, server);
            }
            3 if members.contains_key(&server) => {
                let weight = self.rng.u32(1..5);
                self.rack.weight(prefix, server, weight);
            }
            4 => self.rack.kill(server, !self.rack.is_dead(server)),
            _ => {}
        }
        if round.is_multiple_of(40) {
            let workers = self.rng.usize(1..=WORKERS);
            let set = self.rack.sim.gateway.control.set_workers(workers);
            set.expect("so many workers");
        }
        // Whoever monitors reads them; nobody does here.
        drop(self.rack.sim.gateway.control.take_events());
        self.rack.sim.assert_books();
    }

    fn run(&mut self, until: Instant) {
        for round in 1u64.. {
            self.round();
            if round.is_multiple_of(50) {
                self.churn(round / 50);
                if clock() >= until {
                    return;
                }
            }
        }
    }
}

fn dst_router(src: SocketAddr) -> std::net::IpAddr {
    ip(if src.is_ipv6() { "fd10::9" } else { "10.9.9.9" })
}

fn unreachable(src: SocketAddr) -> u8 {
    if src.is_ipv6() { 1 } else { 3 }
}

#[test]
fn an_hour_or_a_minute_of_everything_leaves_memory_and_books_as_they_should_be() {
    tracing::subscriber::set_global_default(Count).expect("the only one");
    let seconds = seconds();
    let (start, mut soak) = (clock(), Soak::new());
    // A tenth of the time to fill every table and every allocator's bins.
    soak.run(start + Duration::from_millis(seconds * 200));
    let warm = resident();
    soak.run(start + Duration::from_secs(seconds));
    let end = resident();
    let (sent, ms) = (soak.sent, soak.rack.sim.now.0);
    println!(
        "{seconds} s: {sent} frames in, {} out, {ms} ms of the gateway's time",
        soak.left
    );
    println!("resident: {warm} KiB after the warm-up, {end} KiB in the end");
    assert!(
        end <= warm + warm / 50 + 4096,
        "memory grows: {warm} KiB, then {end} KiB"
    );
    soak.rack.sim.assert_books();
    // What waits is answered or given up; then every buffer is back.
    soak.rack.sim.advance(40_000, 50);
    soak.rack.sim.assert_books();
    let totals = soak.rack.sim.gateway.control.totals();
    assert_eq!((totals.waiting, totals.parked), (0, 0), "{totals:?}");
    soak.rack.sim.poll_workers();
    for (id, worker) in soak.rack.sim.gateway.workers.iter().enumerate() {
        let (free, all) = worker.buffers();
        assert_eq!(free, all, "buffers of worker {id}");
    }
    assert!(totals.forwarded > sent / 4, "{totals:?}");
    assert_eq!(ERRORS.load(Relaxed), 0, "somebody logged an error");
}
