//! States of chance: ports with rules of their own, routes of each kind, and what changes about them.

use super::*;
use flowgate_tests::rack::{GATEWAY_MAC, server_addr, server_mac};
use flowgate_tests::sim::port;
use route::{Failback, OptionsAsked, Prefix, StickyAsked};
use stack::Setup;
use stack::control::{GatewaySpec, PathKind, RouteSpec};
use stack::flows::FlowFilter;
use stack::host::{HostCmd, HostLink};
use stack::ports::{Layer, Ports};
use stack::rules::{OptionRule, Rpf, SourceRoutes};

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
        mtu: None,
    };
    PathKind::Gateways(members.iter().map(of).collect())
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
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
                mtu: None,
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
    pub(super) fn change(&mut self) {
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
        match self.rng.u32(..13) {
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
            11 => {
                let port = PortId([CLIENTS, RACK, EDGE][self.rng.usize(..3)] as u16);
                let mtu = [None, Some(1400), Some(1280)][self.rng.usize(..3)];
                gw.control.interface_mtu(port, mtu, &mut gw.host);
            }
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
}
