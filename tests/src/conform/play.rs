//! The network that every case happens in, and a gateway that plays one.
//!
//! `clients` carries bare IP, `rack` and `west` Ethernet. What is behind them is known for good, so that nothing is sent
//! but what a case causes. One worker: packets leave in the order they came.

use super::count::{Counts, counts, growth};
use super::packets::WEST_MAC;
use super::vector::{Step, Vector, hex};
use crate::net::Net;
use crate::rack::{GATEWAY_MAC, server_mac};
use crate::sim::{Sent, ip, port};
use route::{PortId, Prefix};
use stack::Setup;
use stack::control::{GatewaySpec, PathKind, RouteSpec};
use stack::host::{HostCmd, HostLink};
use stack::ports::{Layer, Ports};
use stack::rules::{OptionRule, Rpf, SourceRoutes};

/// The ports, in the order of their numbers.
pub const PORTS: [&str; 3] = ["clients", "rack", "west"];

/// Neighbours that never have to be asked: port, address, hardware address.
pub(crate) const NEIGHBOURS: [(u16, &str, u8); 11] = [
    (1, "192.0.2.11", 0),
    (1, "fd00:2::11", 0),
    (1, "fe80::11", 0),
    // An MTU is its next hop's: the same host by other addresses.
    (1, "192.0.2.21", 0),
    (1, "192.0.2.22", 0),
    (1, "192.0.2.23", 0),
    (1, "fd00:2::23", 0),
    (1, "192.0.2.12", 1),
    (1, "fd00:2::12", 1),
    (2, "198.51.100.11", 2),
    (2, "fd00:3::11", 2),
];

/// Routes: destination, way (gateways, or `blackhole` or `reject`), MTU.
pub(crate) const ROUTES: [(&str, &str, Option<u32>); 14] = [
    ("203.0.113.0/24", "192.0.2.11", None),
    ("2001:db8:113::/48", "fd00:2::11", None),
    ("203.0.114.0/24", "192.0.2.11 198.51.100.11", None),
    ("2001:db8:114::/48", "fd00:2::11 fd00:3::11", None),
    ("100.64.1.0/24", "192.0.2.21", Some(68)),
    ("100.64.2.0/24", "192.0.2.22", Some(576)),
    ("100.64.3.0/24", "192.0.2.23", Some(1280)),
    ("2001:db8:1280::/48", "fd00:2::23", Some(1280)),
    ("100.64.8.0/24", "blackhole", None),
    ("2001:db8:8::/48", "blackhole", None),
    ("100.64.9.0/24", "reject", None),
    ("2001:db8:9::/48", "reject", None),
    ("198.18.0.0/24", "198.51.100.11", None),
    ("2001:db8:18::/48", "fd00:3::11", None),
];

/// Plays a case.
///
/// # Panics
/// If anything but what it says leaves, in another order or with other bytes, if a counter differs, or if a book
/// does not balance.
pub fn play(vector: &Vector) {
    let mut net = network(vector);
    let before = counts(&mut net);
    let mut left = Vec::new().into_iter();
    for (no, step) in vector.steps.iter().enumerate() {
        let at = format!("{}, step {} of {}", vector.name, no + 1, vector.steps.len());
        match step {
            Step::Set(_) => {}
            Step::Do(words) => {
                nothing_more(&at, &mut left);
                command(&mut net, words);
            }
            Step::In(port, bytes) => {
                nothing_more(&at, &mut left);
                net.inject(number(port), 0, bytes);
                net.settle();
                left = net.take_caught().into_iter();
            }
            Step::Wait(ms) => {
                nothing_more(&at, &mut left);
                net.run_for(*ms);
                left = net.take_caught().into_iter();
            }
            Step::Out(port, bytes) => expect(&at, port, bytes, left.next()),
            Step::Count(..) => nothing_more(&at, &mut left),
        }
    }
    nothing_more(&vector.name, &mut left);
    let grown = growth(&before, &counts(&mut net));
    assert_eq!(grown, expected(vector), "{}: the counters", vector.name);
    net.assert_sound();
}

fn expect(at: &str, port: &str, bytes: &[u8], got: Option<Sent>) {
    let Some(sent) = got else {
        panic!("{at}: nothing left");
    };
    let (got, wanted) = (hex(&sent.bytes), hex(bytes));
    let by = PORTS[sent.port];
    assert!(
        (by, &got) == (port, &wanted),
        "{at}: by {by} left\n{got}\nand by {port} was to leave\n{wanted}"
    );
}

fn nothing_more(at: &str, left: &mut dyn Iterator<Item = Sent>) {
    let more: Vec<String> = left
        .map(|s| format!("by {} {}", PORTS[s.port], hex(&s.bytes)))
        .collect();
    assert!(more.is_empty(), "{at}: before it there left {more:#?}");
}

fn expected(vector: &Vector) -> Counts {
    let count = |step: &Step| match step {
        Step::Count(n, name) => Some((name.clone(), *n)),
        _ => None,
    };
    vector.steps.iter().filter_map(count).collect()
}

fn number(port: &str) -> usize {
    let found = PORTS.iter().position(|name| *name == port);
    found.unwrap_or_else(|| panic!("no port is called {port}"))
}

fn network(vector: &Vector) -> Net {
    let mut setup = Setup {
        workers: 1,
        flows_v4: 1024,
        flows_v6: 1024,
        buffers: 256,
        ports: ports(),
        ..Setup::default()
    };
    for step in &vector.steps {
        if let Step::Set(words) = step {
            configure(&mut setup, words);
        }
    }
    let mut net = Net::new(setup, 1);
    // Payloads are passed on as they are, whole or not.
    net.transport = crate::net::Transport::Ignored;
    for (port, addr, server) in NEIGHBOURS {
        net.sim.gateway.host.call(HostCmd::SetStatic {
            port: PortId(port),
            addr: ip(addr),
            mac: server_mac(server.into()),
            published: false,
        });
    }
    ROUTES.iter().for_each(|route| add(&mut net, route));
    net.run_for(100);
    net.take_caught();
    net
}

fn ports() -> Ports {
    let rack = [("192.0.2.1", 24), ("fd00:2::1", 64), ("fe80::1", 64)];
    let west = [("198.51.100.1", 24), ("fd00:3::1", 64), ("fe80::1", 64)];
    Ports(vec![
        port(0, PORTS[0], Layer::L3, &[("10.0.0.1", 8), ("fd10::1", 32)]),
        port(1, PORTS[1], Layer::L2(GATEWAY_MAC), &rack),
        port(2, PORTS[2], Layer::L2(WEST_MAC), &west),
    ])
}

fn add(net: &mut Net, (prefix, way, mtu): &(&str, &str, Option<u32>)) {
    let gateway = |addr: &str| {
        let (addr, port) = addr
            .split_once('%')
            .map_or((addr, None), |(addr, port)| (addr, Some(port.to_owned())));
        GatewaySpec {
            addr: ip(addr),
            weight: Some(1),
            port,
            recursive: false,
            mtu: None,
        }
    };
    let kind = match *way {
        "blackhole" => PathKind::Blackhole,
        "reject" => PathKind::Reject,
        gateways => PathKind::Gateways(gateways.split(' ').map(gateway).collect()),
    };
    let spec = RouteSpec {
        prefix: prefix.parse::<Prefix>().expect("a prefix"),
        kind,
        mtu: *mtu,
        deadline_s: None,
        options: Default::default(),
    };
    let (now, gw) = (net.sim.now, &mut net.sim.gateway);
    gw.control
        .route_add(&spec, &mut gw.host, now)
        .unwrap_or_else(|e| panic!("{prefix}: {e}"));
}

/// What a case configures before the gateway starts: a port's switches, or the gateway's.
fn configure(setup: &mut Setup, words: &str) {
    let parts: Vec<&str> = words.split(' ').collect();
    if parts[..] == ["verify-moves"] {
        setup.neigh.verify_moves = true;
        return;
    }
    let port = parts.get(1).map_or(0, |port| number(port));
    let rules = &mut setup.ports.0[port].rules;
    match parts[..] {
        ["rpf", _, "strict"] => rules.rpf = Rpf::Strict,
        ["rpf", _, "loose"] => rules.rpf = Rpf::Loose,
        ["rpf", _, "loose-no-default"] => rules.rpf = Rpf::LooseNoDefault,
        ["directed-broadcast", _] => rules.directed_broadcast = true,
        ["class-e", _] => rules.class_e = true,
        ["redirects", _] => rules.redirects = true,
        ["ip-options", _, "ignore"] => rules.options = OptionRule::Ignore,
        ["source-routes", _, "refuse"] => rules.source_routes = SourceRoutes::Refuse,
        ["ip-options", _, "drop"] => rules.options = OptionRule::Drop,
        _ => panic!("nothing is configured by {words}"),
    }
}

/// What a case tells the running gateway.
fn command(net: &mut Net, words: &str) {
    let parts: Vec<&str> = words.split(' ').collect();
    match parts[..] {
        ["publish", port, addr, mac] => {
            net.sim.gateway.host.call(HostCmd::SetStatic {
                port: PortId(number(port) as u16),
                addr: ip(addr),
                mac: mac.parse().expect("a hardware address"),
                published: true,
            });
        }
        ["route", "add", prefix, gateway] => add(net, &(prefix, gateway, None)),
        ["route", "delete", prefix, gateway] => {
            let (now, gw) = (net.sim.now, &mut net.sim.gateway);
            let prefix = prefix.parse().expect("a prefix");
            gw.control
                .route_delete(prefix, Some(ip(gateway)), None, &mut gw.host, now)
                .unwrap_or_else(|e| panic!("{words}: {e}"));
        }
        _ => panic!("{words}: nobody knows that"),
    }
    net.settle();
}
