//! The short way of plain packets against the long one where `plain.rs` does not look: VLANs and FIBs, gateways on ports
//! without a link layer, ports with rules of their own, neighbours that go and come back while others wait, workers that come
//! and go, routes and MTUs that change, devices that finish packets or do not. Three gateways get the same: one takes the short
//! way, one the long way out (all packets are recorded), one the long way in and out (its ports ask whether sources have a
//! route, and all have).

use arp::Mac;
use fastrand::Rng;
use flowgate_tests::frames::{ether, tcp, tcp_segment, udp};
use flowgate_tests::net::craft::{with_df, with_ttl};
use flowgate_tests::net::zoo;
use flowgate_tests::sim::{Sent, SimGateway, ip, port};
use flowgate_tests::supers::{Unfinished, behind, tcp_super, unfinished};
use route::{FibId, PortId, Prefix};
use stack::Setup;
use stack::control::{GatewaySpec, PathKind, RouteSpec};
use stack::counters::PortTotals;
use stack::host::{HostCmd, HostLink};
use stack::offload::{Caps, Offload};
use stack::ports::{Layer, Port, Ports, Vlan};
use stack::rules::{OptionRule, Rpf, Rules};
use std::net::SocketAddr;

const CLIENTS: usize = 0;
const RACK: usize = 1;
const TRUNK: usize = 2;
const SIDE: usize = 3;
const RED: usize = 4;
const BLUE: usize = 5;
const DEVICES: usize = 4;
const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const WORKERS: usize = 4;

/// Who is reached by an address on a port with a link layer.
const HOSTS: [(usize, &str, u8); 13] = [
    (RACK, "192.0.2.11", 0x11),
    (RACK, "192.0.2.12", 0x12),
    (RACK, "fd00:2::11", 0x11),
    (RACK, "fd00:2::12", 0x12),
    (TRUNK, "198.51.100.2", 0x21),
    (TRUNK, "fd00:3::2", 0x21),
    (RED, "192.0.100.11", 0x31),
    (RED, "fd00:100::11", 0x31),
    (BLUE, "192.0.200.11", 0x41),
    (BLUE, "192.0.200.12", 0x42),
    (SIDE, "192.0.201.11", 0x51),
    (SIDE, "192.0.201.12", 0x52),
    (SIDE, "fd00:201::11", 0x51),
];

/// FIB, destination, gateways. What has one gateway on the clients' port goes to a port without a link layer; the last but
/// one has gateways of the other family, the last ones lead back to the port that asks.
const ROUTES: [(u8, &str, &[&str]); 12] = [
    (
        0,
        "203.0.113.10/32",
        &["192.0.2.11", "192.0.2.12", "192.0.100.11"],
    ),
    (
        0,
        "2001:db8:113::10/128",
        &["fd00:2::11", "fd00:2::12", "fd00:100::11"],
    ),
    (0, "172.16.0.0/12", &["10.0.0.9"]),
    (0, "fd16::/32", &["fd10::9"]),
    (0, "0.0.0.0/0", &["198.51.100.2"]),
    (0, "::/0", &["fd00:3::2"]),
    (0, "203.0.114.0/24", &["fd00:2::11", "fd00:2::12"]),
    (1, "0.0.0.0/0", &["192.0.200.11"]),
    (1, "203.0.113.10/32", &["192.0.200.11", "192.0.200.12"]),
    (0, "100.64.0.0/10", &["192.0.100.11"]),
    (1, "::/0", &["fd00:201::11"]),
    (1, "172.16.0.0/12", &["192.0.201.11", "192.0.201.12"]),
];

fn host_mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 1, last])
}

fn vlan(id: usize, name: &str, vid: u16, addrs: &[(&str, u8)]) -> Port {
    let parent = PortId(TRUNK as u16);
    Port {
        vlan: Some(Vlan { parent, vid }),
        ..port(id as u16, name, Layer::L2(MAC), addrs)
    }
}

/// The ports, with rules that `seed` says; `asking`: those that ask nothing of sources ask whether they have a route.
fn ports(seed: u64, asking: bool) -> Ports {
    let mut rng = Rng::with_seed(seed);
    let clients = [("10.0.0.1", 8), ("fd10::1", 32)];
    let rack = [("192.0.2.1", 24), ("fd00:2::1", 64), ("fe80::1", 64)];
    let mut ports = vec![
        port(0, "clients", Layer::L3, &clients),
        port(1, "rack", Layer::L2(MAC), &rack),
        port(
            2,
            "trunk",
            Layer::L2(MAC),
            &[("198.51.100.1", 24), ("fd00:3::1", 64)],
        ),
        port(
            3,
            "side",
            Layer::L2(MAC),
            &[("192.0.201.1", 24), ("fd00:201::1", 64)],
        ),
        vlan(RED, "red", 100, &[("192.0.100.1", 24), ("fd00:100::1", 64)]),
        vlan(BLUE, "blue", 200, &[("192.0.200.1", 24)]),
    ];
    (ports[SIDE].fib, ports[BLUE].fib) = (FibId(1), FibId(1));
    for port in &mut ports {
        port.rules = Rules {
            rpf: if rng.u8(..6) == 0 {
                Rpf::Strict
            } else {
                Rpf::Off
            },
            directed_broadcast: rng.bool(),
            class_e: rng.bool(),
            redirects: rng.bool(),
            options: [OptionRule::Process, OptionRule::Ignore, OptionRule::Drop][rng.usize(..3)],
            ..Rules::default()
        };
        if asking && port.rules.rpf == Rpf::Off {
            port.rules.rpf = Rpf::Loose;
        }
        port.mtu = [1500, 1500, 1400, 1280][rng.usize(..4)];
    }
    Ports(ports)
}

fn spec((fib, prefix, gateways): &(u8, &str, &[&str]), mtu: Option<u32>) -> RouteSpec {
    let gateway = |addr: &&str| GatewaySpec {
        addr: ip(addr),
        weight: None,
        port: None,
        recursive: false,
        mtu: None,
    };
    RouteSpec {
        prefix: prefix
            .parse::<Prefix>()
            .expect("a prefix")
            .in_fib(FibId(*fib)),
        kind: PathKind::Gateways(gateways.iter().map(gateway).collect()),
        mtu,
        deadline_s: None,
        options: Default::default(),
    }
}

fn gateway(seed: u64, asking: bool, recorded: bool) -> SimGateway {
    let setup = Setup {
        ports: ports(seed, asking),
        workers: 2,
        max_workers: WORKERS,
        flows_v4: 4096,
        flows_v6: 4096,
        buffers: 512,
        large_buffers: 8,
        route: route::Config {
            fibs: 2,
            ..route::Config::default()
        },
        ..Setup::default()
    };
    let mut rng = Rng::with_seed(seed);
    let caps = [0; DEVICES].map(|_| if rng.bool() { Caps::ALL } else { Caps::NONE });
    let mut sim = match seed.is_multiple_of(2) {
        true => SimGateway::with_offloads(setup, &caps),
        false => SimGateway::new(setup),
    };
    HOSTS.iter().for_each(|host| know(&mut sim, host));
    let (now, gw) = (sim.now, &mut sim.gateway);
    for route in &ROUTES {
        let added = gw.control.route_add(&spec(route, None), &mut gw.host, now);
        added.unwrap_or_else(|e| panic!("{route:?}: {e}"));
    }
    let rings = sim.gateway.control.captures();
    rings.iter().for_each(|rings| rings.want(recorded.into()));
    sim.settle();
    sim
}

fn know(sim: &mut SimGateway, (port, addr, mac): &(usize, &str, u8)) {
    sim.gateway.host.call(HostCmd::SetStatic {
        port: PortId(*port as u16),
        addr: ip(addr),
        mac: host_mac(*mac),
        published: false,
    });
}

fn forget(sim: &mut SimGateway, (port, addr, _): &(usize, &str, u8)) {
    let port = Some(PortId(*port as u16));
    sim.gateway.host.call(HostCmd::Delete(port, ip(addr)));
}

/// What comes at once: device, queue, frame and what is unfinished of it.
type Frame = (usize, usize, Unfinished);

fn ends(rng: &mut Rng) -> (SocketAddr, SocketAddr) {
    let four = [
        "10.1.0.2",
        "172.16.5.5",
        "9.9.9.9",
        "100.64.1.1",
        "203.0.114.7",
    ];
    let six = [
        "fd10::7",
        "fd16::5",
        "2001:db8:9::9",
        "2001:db8:a::a",
        "fd10::8",
    ];
    let odd = [
        "10.255.255.255",
        "240.1.2.3",
        "127.0.0.1",
        "169.254.3.3",
        "10.0.0.1",
    ];
    let at = rng.usize(..5);
    let (client, service) = match rng.u8(..20) {
        0 => (odd[at], "203.0.113.10"),
        1 => (four[at], odd[rng.usize(..5)]),
        // By the way that it came: there is a better first hop.
        2..4 => ("198.51.100.77", "9.9.9.9"),
        4..10 => (four[at], "203.0.113.10"),
        10..12 => (four[at], four[rng.usize(..5)]),
        12..18 => (six[at], "2001:db8:113::10"),
        18 => (six[at], "ff02::5"),
        _ => (six[at], six[rng.usize(..5)]),
    };
    let client = SocketAddr::new(ip(client), 1000 + rng.u16(..3));
    (client, SocketAddr::new(ip(service), 80))
}

/// A packet of one of few connections, one way or the other; seldom one with something special about it.
fn packet(rng: &mut Rng, offloads: bool) -> Unfinished {
    let (mut from, mut to) = ends(rng);
    if rng.bool() {
        (from, to) = (to, from);
    }
    if offloads && rng.u8(..16) == 0 && from.is_ipv4() == to.is_ipv4() {
        return tcp_super(from, to, rng.usize(2000..9000), 1000);
    }
    let payload = [7; 1500];
    let most = if from.is_ipv4() { 1472 } else { 1452 };
    let packet = match rng.u8(..12) {
        0 => tcp_segment(from, to, tcp::SYN, 1, 0, 0),
        1 => tcp_segment(from, to, tcp::SYN | tcp::ACK, 1, 2, 0),
        2 => tcp_segment(
            from,
            to,
            [tcp::FIN | tcp::ACK, tcp::RST][rng.usize(..2)],
            5,
            1,
            0,
        ),
        3..=7 => tcp_segment(from, to, tcp::ACK, 2, 2, rng.usize(..1000)),
        8 => udp(from, to, &payload[..rng.usize(1200..most)]),
        _ => udp(from, to, &payload[..rng.usize(..most)]),
    };
    let v4 = from.is_ipv4();
    let packet = match rng.u8(..12) {
        0 => with_ttl(packet, rng.u8(..3)),
        1 if v4 => with_df(packet, rng.bool()),
        2 => packet[..rng.usize(..packet.len())].to_vec(),
        3 => [&packet[..], &[0; 9]].concat(),
        _ => packet,
    };
    let l4 = if v4 { 20 } else { 40 };
    match rng.u8(..8) {
        0 if offloads && packet.len() > l4 + 20 => unfinished(packet, None),
        _ => (packet, Offload::NONE),
    }
}

fn frame(rng: &mut Rng, zoo: &[zoo::Kind], offloads: bool) -> Frame {
    let (device, queue) = (rng.usize(..DEVICES), rng.usize(..WORKERS));
    let packet = match rng.u8(..12) {
        0 => (zoo[rng.usize(..zoo.len())].bytes.clone(), Offload::NONE),
        _ => packet(rng, offloads),
    };
    if device == CLIENTS {
        return (device, queue, packet);
    }
    let to = match rng.u8(..16) {
        0 => Mac::BROADCAST,
        1 => Mac([1, 0, 0x5e, 0, 0, 5]),
        2 => Mac([2, 0, 0, 0, 9, 9]),
        _ => MAC,
    };
    let mut header = ether(to, host_mac(0x11), &packet.0)[..14].to_vec();
    if rng.u8(..24) == 0 {
        header[13] ^= 0xdd;
    }
    let tag: &[u8] = match rng.u8(..8) {
        _ if device != TRUNK => &[],
        0 => &[0x81, 0, 0x60, 0],
        1 => &[0x81, 0, 1, 44],
        2..=3 => &[0x81, 0, 0, 100],
        4..=5 => &[0x81, 0, 0, 200],
        _ => &[],
    };
    header.splice(12..12, tag.iter().copied());
    (device, queue, behind(&header, packet))
}

/// Now and then something happens. Whether it is settled before the next packets come is chance too.
fn change(sim: &mut SimGateway, rng: &mut Rng, seed: u64) {
    let what = rng.u8(..40);
    let (host, route) = (
        &HOSTS[rng.usize(..13).min(rng.usize(..13))],
        &ROUTES[rng.usize(..12)],
    );
    let (down, mtu, by) = (rng.bool(), rng.u32(68..1500), rng.u64(300..2000));
    let (gw, now) = (&mut sim.gateway, sim.now);
    match what {
        0..=3 => forget(sim, host),
        4..=8 => know(sim, host),
        9..=10 => {
            let _dead_or_not = gw.control.set_gateway_down(ip(host.1), down, now);
        }
        11..=12 => {
            let mtu = down.then_some(mtu);
            let _same = gw
                .control
                .route_change(&spec(route, mtu), &mut gw.host, now);
        }
        13 if route.1.len() > 9 => {
            let prefix = spec(route, None).prefix;
            let _gone = gw
                .control
                .route_delete(prefix, None, None, &mut gw.host, now);
        }
        14..=16 => {
            let _there = gw.control.route_add(&spec(route, None), &mut gw.host, now);
        }
        17..=18 => {
            let workers = gw.control.set_workers(1 + by as usize % WORKERS);
            workers.expect("some workers");
        }
        19 => {
            let name = ["clients", "rack", "trunk", "side", "red", "blue"][by as usize % 6];
            gw.control
                .set_port(name, down, &mut gw.host, now)
                .expect("a port");
        }
        20..=21 => {
            for name in ["clients", "rack", "trunk", "side", "red", "blue"] {
                gw.control
                    .set_port(name, true, &mut gw.host, now)
                    .expect("a port");
            }
        }
        22..=25 => drop(sim.advance(by, 500)),
        26..=27 => {
            let port = PortId(by as u16 % 4);
            gw.control
                .interface_mtu(port, down.then_some(mtu), &mut gw.host);
        }
        _ => {}
    }
    if seed.is_multiple_of(3) {
        sim.settle();
    }
}

fn port_totals(sim: &mut SimGateway) -> Vec<PortTotals> {
    let reports = sim.gateway.control.reader().port_reports();
    reports.into_iter().map(|report| report.totals).collect()
}

fn sent_of(sim: &mut SimGateway, frames: &[Frame]) -> Vec<Sent> {
    for (device, queue, unfinished) in frames {
        sim.put_unfinished(*device, *queue, unfinished);
    }
    sim.settle()
}

/// Lets the three live through the same; returns what was sent, pinned, and held in the end.
fn live(seed: u64, rounds: usize) -> [u64; 4] {
    let mut rng = Rng::with_seed(seed);
    let zoo = zoo::packets();
    let mut sims = [(false, false), (false, true), (true, false)]
        .map(|(asking, recorded)| gateway(seed, asking, recorded));
    let (mut sent_in_all, mut held) = (0, 0);
    for round in 0..rounds {
        let frames: Vec<Frame> = (0..rng.usize(1..60))
            .map(|_| frame(&mut rng, &zoo, seed.is_multiple_of(2)))
            .collect();
        let [short, out, long] = sims.each_mut().map(|sim| sent_of(sim, &frames));
        sent_in_all += short.len() as u64;
        for (other, which) in [(out, "out"), (long, "in and out")] {
            let differs = short.iter().zip(&other).find(|(one, other)| one != other);
            assert_eq!(differs, None, "seed {seed} round {round}, long way {which}");
            assert_eq!(
                short.len(),
                other.len(),
                "seed {seed} round {round}, long way {which}"
            );
        }
        let [short, out, long] = sims
            .each_mut()
            .map(|sim| (sim.gateway.control.totals(), port_totals(sim)));
        assert_eq!(short, out, "seed {seed} round {round}, long way out");
        assert_eq!(
            short, long,
            "seed {seed} round {round}, long way in and out"
        );
        held += short.0.waiting;
        let happens = rng.u64(..);
        for sim in &mut sims {
            change(sim, &mut Rng::with_seed(happens), happens);
        }
    }
    sims.iter().for_each(SimGateway::assert_books);
    let totals = sims[0].gateway.control.totals();
    [sent_in_all, totals.pinned, totals.forwarded, held]
}

#[test]
fn whatever_ports_routes_neighbours_and_workers_do_the_short_way_is_the_long_one() {
    let mut sums = [0; 4];
    for seed in 0..8 {
        for (sum, one) in sums.iter_mut().zip(live(seed, 200)) {
            *sum += one;
        }
    }
    let [sent, pinned, forwarded, held] = sums;
    assert!(
        sent > 5_000 && pinned > 3_000 && forwarded > 5_000 && held > 100,
        "{sums:?}"
    );
}
