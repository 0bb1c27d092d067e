//! `explain` says what the gateway then does: packets of chance in states of chance, explained first and sent then. The
//! verdict, the reason, the answer to the sender, the port and the link header must be the same, and explaining must
//! leave no trace.

use flowgate_tests::frames::{ether, tcp, tcp_segment, udp};
use flowgate_tests::net::craft::{
    echo_request, fix_header, icmp_error, is_v6, pieces, with_df, with_ttl,
};
use flowgate_tests::rack::{Family, GATEWAY_MAC, RACK, server_addr, server_mac};
use flowgate_tests::sim::{Sent, SimGateway, ip, port};
use route::{Failback, OptionsAsked, PortId, Prefix, StickyAsked};
use stack::Setup;
use stack::control::{
    Explanation, Framing, GatewaySpec, PacketAsk, PathKind, RouteSpec, TupleAsk, Verdict,
};
use stack::counters::Totals;
use stack::fate::DropReason;
use stack::flows::FlowFilter;
use stack::host::{HostCmd, HostLink};
use stack::ports::{Layer, Ports};
use stack::rules::{OptionRule, Rpf, SourceRoutes};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

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

fn ports(rng: &mut fastrand::Rng) -> Ports {
    let mut ports = vec![
        port(0, "clients", Layer::L3, &[("10.0.0.1", 8), ("fd10::1", 32)]),
        port(
            1,
            "rack",
            Layer::L2(GATEWAY_MAC),
            &[("192.0.2.1", 24), ("fd00:2::1", 64), ("fe80::1", 64)],
        ),
        port(
            2,
            "guarded",
            Layer::L3,
            &[("172.16.0.1", 16), ("fd16::1", 32)],
        ),
        port(
            3,
            "edge",
            Layer::L2(EDGE_MAC),
            &[("198.51.100.1", 24), ("fd51::1", 64)],
        ),
    ];
    ports[GUARDED].rules.rpf = Rpf::Strict;
    ports[GUARDED].rules.options = [OptionRule::Drop, OptionRule::Ignore][rng.usize(..2)];
    ports[EDGE].rules.rpf = [Rpf::Loose, Rpf::LooseNoDefault][rng.usize(..2)];
    ports[EDGE].rules.source_routes = SourceRoutes::Refuse;
    ports[EDGE].rules.redirects = true;
    ports[EDGE].rules.directed_broadcast = true;
    ports[EDGE].rules.class_e = true;
    ports[EDGE].mtu = 1280;
    Ports(ports)
}

fn spec(prefix: &str, kind: PathKind) -> RouteSpec {
    RouteSpec {
        prefix: prefix.parse().expect("a prefix"),
        kind,
        mtu: None,
        deadline_s: None,
        options: OptionsAsked::default(),
    }
}

fn gateways(family: Family, members: &[(usize, u32)]) -> PathKind {
    let of = |(server, weight): &(usize, u32)| GatewaySpec {
        addr: server_addr(*server, family),
        weight: Some(*weight),
        port: None,
        recursive: false,
    };
    PathKind::Gateways(members.iter().map(of).collect())
}

struct World {
    sim: SimGateway,
    rng: fastrand::Rng,
    workers: usize,
    seen: BTreeMap<&'static str, u64>,
    unsure: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let workers = rng.usize(1..4);
        let flows = if rng.bool() { 16_384 } else { 1 };
        let mut sim = SimGateway::new(Setup {
            workers,
            ports: ports(&mut rng),
            flows_v4: flows,
            flows_v6: flows,
            buffers: 512,
            seed,
            ..Setup::default()
        });
        for (server, family) in (0..SILENT).flat_map(|s| FAMILIES.map(|f| (s, f))) {
            let (port, mac) = (PortId(RACK as u16), server_mac(server));
            let addr = server_addr(server, family);
            sim.gateway.host.call(HostCmd::SetStatic {
                port,
                addr,
                mac,
                published: false,
            });
        }
        for (addr, last) in [("198.51.100.7", 7), ("fd51::7", 7), ("198.51.100.9", 9)] {
            let mac = arp::Mac([2, 0, 0, 0, 2, last]);
            let (port, addr) = (PortId(EDGE as u16), ip(addr));
            sim.gateway.host.call(HostCmd::SetStatic {
                port,
                addr,
                mac,
                published: false,
            });
        }
        let mut world = Self {
            sim,
            rng,
            workers,
            seen: BTreeMap::new(),
            unsure: 0,
        };
        world.routes();
        world.sim.settle();
        world
    }

    fn routes(&mut self) {
        for (at, family) in [0, 1].into_iter().zip(FAMILIES) {
            let host = |n: usize| match family {
                Family::V4 => format!("{}/32", SERVICES[n][at]),
                Family::V6 => format!("{}/128", SERVICES[n][at]),
            };
            let all: Vec<_> = (0..SERVERS).map(|s| (s, 1)).collect();
            self.add(spec(&host(0), gateways(family, &all)));
            let mut sticky = spec(&host(1), gateways(family, &all[..4]));
            sticky.options.sticky = Some(StickyAsked {
                len: None,
                timeout: Some(600),
            });
            self.add(sticky);
            let mut back = spec(&host(2), gateways(family, &all[..3]));
            back.options.failback = Some(Failback::Return);
            self.add(back);
        }
        let edge = |gateway: &str| {
            PathKind::Gateways(vec![GatewaySpec {
                addr: ip(gateway),
                weight: None,
                port: None,
                recursive: false,
            }])
        };
        self.add(spec("203.0.114.0/24", PathKind::Blackhole));
        self.add(spec("203.0.115.0/24", PathKind::Reject));
        self.add(spec("2001:db8:115::/48", PathKind::Reject));
        self.add(spec("203.0.116.0/24", edge("198.51.100.7")));
        self.add(spec("2001:db8:116::/48", edge("fd51::7")));
        self.add(spec("203.0.117.0/24", PathKind::Iface("rack".into())));
        self.add(spec("250.0.0.0/8", edge("198.51.100.9")));
        if self.rng.bool() {
            self.add(spec("::/0", edge("fd51::7")));
        }
    }

    fn add(&mut self, spec: RouteSpec) {
        let (now, gw) = (self.sim.now, &mut self.sim.gateway);
        gw.control
            .route_add(&spec, &mut gw.host, now)
            .unwrap_or_else(|e| panic!("{spec:?}: {e}"));
    }

    /// Something changes. What is refused (the last member deleted, say) changes nothing.
    fn change(&mut self) {
        let (now, gw) = (self.sim.now, &mut self.sim.gateway);
        let (server, n, at) = (
            self.rng.usize(..SERVERS),
            self.rng.usize(..3),
            self.rng.usize(..2),
        );
        let (family, len) = (FAMILIES[at], [32, 128][at]);
        let addr = server_addr(server, family);
        let prefix = Prefix::new(ip(SERVICES[n][at]), len).expect("a host route");
        let member = |weight| RouteSpec {
            prefix,
            ..spec("0.0.0.0/0", gateways(family, &[(server, weight)]))
        };
        match self.rng.u32(..12) {
            0 | 1 => drop(gw.control.set_gateway_down(addr, true, now)),
            2 | 3 => drop(gw.control.set_gateway_down(addr, false, now)),
            4 => drop(gw.control.route_change(&member(0), &mut gw.host, now)),
            5 => {
                let drain = RouteSpec {
                    deadline_s: Some(20),
                    ..member(0)
                };
                drop(gw.control.route_change(&drain, &mut gw.host, now));
            }
            6 => drop(
                gw.control
                    .route_change(&member(self.rng.u32(1..4)), &mut gw.host, now),
            ),
            7 => drop(
                gw.control
                    .route_delete(prefix, Some(addr), None, &mut gw.host, now),
            ),
            8 => drop(gw.control.route_add(&member(1), &mut gw.host, now)),
            9 => drop(
                gw.control
                    .drain_gateway(addr, Some(now.secs().after(15)), now),
            ),
            10 => drop(gw.control.undrain_gateway(addr, now)),
            _ => {
                let filter = FlowFilter {
                    port: Some(80),
                    ..FlowFilter::default()
                };
                gw.control.flow_flush(filter).expect("a flush begins");
            }
        }
        self.sim.settle();
    }

    fn source(&mut self, v6: bool) -> IpAddr {
        let n = self.rng.u16(..40);
        match (self.rng.u32(..30), v6) {
            (0, false) => ip("127.0.0.1"),
            (1, false) => ip("10.0.0.1"),
            (2, false) => ip("10.255.255.255"),
            (3, false) => ip("169.254.1.1"),
            (4, false) => ip("172.16.3.4"),
            (5, false) => ip("251.1.1.1"),
            (6, false) => ip("198.51.100.200"),
            (7, false) => ip("100.64.1.1"),
            (_, false) => ip(&format!("10.1.0.{}", n + 1)),
            (0, true) => ip("::1"),
            (1, true) => ip("fd10::1"),
            (2, true) => ip("fe80::77"),
            (3, true) => ip("fd16::5"),
            (4, true) => ip("2001:db8:ffff::1"),
            (_, true) => ip(&format!("fd10::1:{:x}", n + 1)),
        }
    }

    fn destination(&mut self, v6: bool) -> IpAddr {
        let n = self.rng.usize(..3);
        match (self.rng.u32(..36), v6) {
            (0, false) => ip("203.0.114.1"),
            (1, false) => ip("203.0.115.1"),
            (2 | 3, false) => ip("203.0.116.1"),
            (4, false) => ip("203.0.117.9"),
            (5, false) => ip("192.0.2.1"),
            (6, false) => ip("10.0.0.1"),
            (7, false) => ip("192.0.2.255"),
            (8, false) => ip("198.51.100.255"),
            (9, false) => ip("198.51.100.0"),
            (10, false) => ip("224.0.0.5"),
            (11, false) => ip("8.8.8.8"),
            (12, false) => ip("250.1.1.1"),
            (13, false) => ip("169.254.9.9"),
            (14, false) => ip("198.51.100.9"),
            (15, false) => ip(&format!("192.0.2.{}", self.rng.u8(200..))),
            (16, false) => ip("10.1.0.3"),
            (17, false) => ip("172.16.9.9"),
            (_, false) => ip(SERVICES[n][0]),
            (0 | 1, true) => ip("2001:db8:115::1"),
            (2 | 3, true) => ip("2001:db8:116::1"),
            (4, true) => ip("fd00:2::1"),
            (5, true) => ip("fe80::1"),
            (6, true) => ip("fe80::99"),
            (7, true) => ip("ff02::5"),
            (8, true) => ip("2001:db8:dead::1"),
            (9, true) => ip(&format!("fd00:2::{:x}", self.rng.u16(0x200..))),
            (10, true) => ip("fd10::1:3"),
            (_, true) => ip(SERVICES[n][1]),
        }
    }

    /// A packet of chance, from its IP header on.
    fn packet(&mut self) -> Vec<u8> {
        let v6 = self.rng.bool();
        let (src, dst) = (self.source(v6), self.destination(v6));
        let ports = [80, 53, 1024 + self.rng.u16(..4)];
        let from = SocketAddr::new(src, 5000 + self.rng.u16(..6));
        let to = SocketAddr::new(dst, ports[self.rng.usize(..3)]);
        let (seq, len) = (self.rng.u32(..4) << 17, self.rng.usize(..60));
        let flags = [
            tcp::SYN,
            tcp::SYN,
            tcp::ACK,
            tcp::ACK,
            tcp::FIN | tcp::ACK,
            tcp::RST,
        ];
        let flags = flags[self.rng.usize(..flags.len())];
        let packet = match self.rng.u32(..14) {
            0..=4 => tcp_segment(from, to, flags, seq, seq, len),
            5..=7 => udp(from, to, &vec![7; len]),
            8 => {
                let large = vec![1; self.rng.usize(1200..1500)];
                let packet = udp(from, to, &large);
                if v6 {
                    packet
                } else {
                    with_df(packet, self.rng.bool())
                }
            }
            9 => echo_request(src, dst, self.rng.u16(..4), 1, &[1, 2, 3]),
            10 | 11 => {
                // About a flow that goes the other way.
                let about = udp(to, SocketAddr::new(src, from.port()), b"quoted");
                let about = if self.rng.bool() {
                    about
                } else {
                    tcp_segment(to, from, tcp::ACK, 0, 0, 8)
                };
                let (kind, code) = if v6 { (1, 4) } else { (3, 3) };
                let mut error = icmp_error(
                    ip(if v6 { "fd10::1:9" } else { "10.1.0.9" }),
                    &about,
                    kind,
                    code,
                    0,
                );
                if self.rng.u32(..4) == 0 {
                    error.truncate(error.len() - 3);
                }
                error
            }
            12 => {
                let all = pieces(&udp(from, to, &[3; 200]), self.rng.u32(..50), 64);
                all[self.rng.usize(..all.len())].clone()
            }
            _ => with_ttl(udp(from, to, b"old"), self.rng.u8(..3)),
        };
        self.spoilt(packet)
    }

    /// One in eight is not as it should be.
    fn spoilt(&mut self, mut packet: Vec<u8>) -> Vec<u8> {
        match self.rng.u32(..64) {
            0 => packet[10] ^= 0x55,
            1 => packet.truncate(self.rng.usize(..packet.len())),
            2 => packet[0] = self.rng.u8(..),
            3 => packet[2] ^= 1,
            4 => {
                let at = self.rng.usize(..packet.len().min(48));
                packet[at] ^= 1 << self.rng.u32(..8);
                fix_header(&mut packet);
            }
            5 | 6 if !is_v6(&packet) => packet = with_options(&packet, self.rng.u32(..4)),
            5 | 6 => packet = with_extension(&packet, self.rng.u8(..), self.rng.u8(..) < 64),
            7 => packet.extend([0; 9]),
            _ => {}
        }
        packet
    }

    fn frame(&mut self, port: usize, packet: &[u8]) -> Vec<u8> {
        let ours = [arp::Mac::ZERO, GATEWAY_MAC, arp::Mac::ZERO, EDGE_MAC][port];
        if [CLIENTS, GUARDED].contains(&port) {
            return packet.to_vec();
        }
        let dst = match self.rng.u32(..20) {
            0 => arp::Mac::BROADCAST,
            1 => arp::Mac([1, 0, 0x5e, 0, 0, 1]),
            2 => arp::Mac([2, 9, 9, 9, 9, 9]),
            _ => ours,
        };
        let mut frame = ether(dst, arp::Mac([2, 0, 0, 0, 8, 8]), packet);
        match self.rng.u32(..40) {
            0 => frame[12] = 8,
            1 => frame.truncate(self.rng.usize(..20)),
            2 => (frame[12], frame[13]) = (0x88, 0xcc),
            3 => (frame[12], frame[13]) = (0x08, 0x06),
            _ => {}
        }
        frame
    }

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

/// Options in front of the payload: none at all, Record Route, one that is cut short, a source route.
fn with_options(packet: &[u8], which: u32) -> Vec<u8> {
    let options: [u8; 4] = match which {
        0 => [1, 1, 1, 0],
        1 => [7, 3, 4, 0],
        2 => [7, 9, 4, 0],
        _ => [131, 3, 4, 0],
    };
    let mut with = [&packet[..20], &options, &packet[20..]].concat();
    with[0] = 0x46;
    let len = (with.len() as u16).to_be_bytes();
    with[2..4].copy_from_slice(&len);
    fix_header(&mut with);
    with
}

/// An IPv6 packet with a destination option of this type, or a routing header, in front of its payload.
fn with_extension(packet: &[u8], kind: u8, routing: bool) -> Vec<u8> {
    let (number, ext) = match routing {
        true => (43, [packet[6], 0, 4, kind & 1, 0, 0, 0, 0]),
        false => (60, [packet[6], 0, kind, 4, 0, 0, 0, 0]),
    };
    let mut with = [&packet[..40], &ext, &packet[40..]].concat();
    with[6] = number;
    let len = ((with.len() - 40) as u16).to_be_bytes();
    with[4..6].copy_from_slice(&len);
    with
}

/// What the gateway did with one packet.
struct Done<'a> {
    before: &'a Totals,
    after: &'a Totals,
    sent: &'a [Sent],
}

impl Done<'_> {
    fn more(&self, of: impl Fn(&Totals) -> u64) -> u64 {
        of(self.after).wrapping_sub(of(self.before))
    }

    fn dropped(&self) -> Vec<DropReason> {
        let all = DropReason::ALL.iter().copied();
        all.filter(|reason| self.more(|t| t.dropped_for(*reason)) > 0)
            .collect()
    }

    fn drops(&self) -> String {
        format!("dropped {:?}", self.dropped())
    }

    fn agrees(&self, said: &Explanation) -> Result<(), String> {
        let expect = |what: &str, is: u64, should: u64| match is == should {
            true => Ok(()),
            false => Err(format!("{what}: {is}, not {should}")),
        };
        let icmp = self.more(|t| t.icmp_sent + t.icmp_limited - t.echo_limited);
        match said.verdict {
            Verdict::Forward(way) => {
                expect("forwarded", self.more(|t| t.forwarded), 1)?;
                expect(
                    "split",
                    u64::from(self.more(|t| t.extra_pieces) > 0),
                    u64::from(way.pieces > 1),
                )?;
                let by_way = |sent: &&Sent| {
                    let header = way
                        .header
                        .as_ref()
                        .is_none_or(|header| sent.bytes.starts_with(header));
                    sent.port == usize::from(way.port.0) && header
                };
                let out = self.sent.iter().filter(by_way).count() as u64;
                expect("sent that way", u64::from(out > 0), 1)?;
                expect(
                    "frames that way",
                    out.min(way.pieces as u64),
                    way.pieces as u64,
                )
            }
            Verdict::Deliver => expect("delivered", self.more(|t| t.consumed_local), 1),
            Verdict::Echo => expect("echoed", self.more(|t| t.consumed_echo), 1),
            Verdict::Neighbour => expect("ARP and ND", self.more(|t| t.consumed_arp), 1),
            Verdict::Hold => {
                let waits = self.more(|t| t.waiting) == 1;
                let full = [
                    DropReason::HoldFull,
                    DropReason::NeighbourFull,
                    DropReason::NeighbourLimited,
                    DropReason::NeighbourDisplaced,
                ];
                let refused = self.dropped().iter().any(|reason| full.contains(reason));
                expect("held", u64::from(waits || refused), 1)
            }
            // Where its first piece went, if that came.
            Verdict::Collect => Ok(()),
            Verdict::Drop { reason, answer } => {
                if self.dropped() != [reason] {
                    return Err(format!("dropped for {:?}, not {reason:?}", self.dropped()));
                }
                expect("answers", icmp, u64::from(answer.is_some()))
            }
        }
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
