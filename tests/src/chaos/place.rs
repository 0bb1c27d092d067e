//! Where it happens: ports, switches, hosts and tables, all drawn.

use crate::net::{Net, NodeSpec, SERVICE, SERVICE6, Scene};
use crate::rack::Family;
use crate::sim::{ip, port};
use arp::Mac;
use route::FibId;
use stack::links::Depths;
use stack::ports::{Layer, Port, Ports, Vlan};
use stack::rules::{OptionRule, Rpf, Rules, SourceRoutes};
use stack::{Now, Setup};
use std::net::IpAddr;

/// A server: a host on an Ethernet port that has the service's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// Its number in the network.
    pub(super) node: usize,
    /// Its port.
    pub(super) port: usize,
    no: u8,
}

impl Server {
    /// Its own address.
    pub(super) fn addr(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => ip(&format!("192.0.{}.{}", 2 + self.port, 11 + self.no)),
            Family::V6 => ip(&format!("fd00:{:x}::{:x}", self.port, 0x11 + self.no)),
        }
    }
}

/// Everything that is drawn once.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) ports: Vec<Port>,
    pub(super) servers: Vec<Server>,
    /// Whether mutilated packets come, too, whose payloads' checksums nobody vouches for.
    pub(super) dirty: bool,
    /// Whether tables, queues and buffers are so small that they overflow.
    pub(super) tight: bool,
    pub(super) workers: usize,
    pub(super) most_workers: usize,
    pub(super) fibs: u8,
    begins: Now,
    clients: usize,
    servers_of: Vec<u8>,
}

/// One of these.
pub(super) fn one_of<T: Copy>(rng: &mut fastrand::Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}

fn mac(port: usize) -> Mac {
    Mac([2, 0, 0, 0, 0, 1 + port as u8])
}

fn server_mac(port: usize, no: u8) -> Mac {
    Mac([2, 0, 0, 0, 16 + port as u8, no])
}

fn rules(rng: &mut fastrand::Rng) -> Rules {
    let rpf = [Rpf::Off, Rpf::Off, Rpf::Off, Rpf::Loose, Rpf::Strict];
    let options = [OptionRule::Process, OptionRule::Ignore, OptionRule::Drop];
    Rules {
        rpf: one_of(rng, &rpf),
        directed_broadcast: rng.bool(),
        class_e: rng.bool(),
        redirects: rng.bool(),
        adverts: None,
        options: one_of(rng, &options),
        source_routes: SourceRoutes::Refuse,
    }
}

/// Port 0 has the clients and bare IP, port 1 servers, any further one either.
fn draw_port(no: usize, fibs: u8, rng: &mut fastrand::Rng) -> Port {
    let ethernet = no == 1 || (no > 1 && rng.bool());
    let mut drawn = if ethernet {
        let (v4, v6) = (format!("192.0.{}.1", 2 + no), format!("fd00:{no:x}::1"));
        let addrs = [(&*v4, 24), (&*v6, 64), ("fe80::1", 64)];
        port(no as u16, &format!("port{no}"), Layer::L2(mac(no)), &addrs)
    } else {
        let (v4, v6) = (format!("10.{no}.0.1"), format!("fd10:{no:x}::1"));
        let addrs = [(&*v4, 16), (&*v6, 32)];
        port(no as u16, &format!("port{no}"), Layer::L3, &addrs)
    };
    drawn.mtu = one_of(rng, &[1500, 1500, 1400, 1280]);
    drawn.rules = rules(rng);
    // The service and its clients are in FIB 0.
    drawn.fib = FibId(if no > 1 { rng.u8(..fibs) } else { 0 });
    drawn
}

/// A VLAN of port 1, all else as drawn.
fn draw_vlan(drawn: Port, parent: &Port) -> Port {
    let no = drawn.id.0;
    let (v4, v6) = (format!("192.0.{}.1", 2 + no), format!("fd00:{no:x}::1"));
    let addrs = [(&*v4, 24), (&*v6, 64), ("fe80::1", 64)];
    Port {
        mtu: drawn.mtu.min(parent.mtu),
        rules: drawn.rules,
        fib: drawn.fib,
        vlan: Some(Vlan {
            parent: parent.id,
            vid: 100 + no,
        }),
        ..port(no, &drawn.name, parent.layer, &addrs)
    }
}

/// Two ports with devices at least; of the others the last may be VLANs.
fn draw_ports(fibs: u8, rng: &mut fastrand::Rng) -> Vec<Port> {
    let count = rng.usize(2..=4);
    let mut ports: Vec<Port> = (0..count).map(|no| draw_port(no, fibs, rng)).collect();
    let devices = rng.usize(2..=count);
    let parent = ports[1].clone();
    for port in &mut ports[devices..] {
        *port = draw_vlan(port.clone(), &parent);
    }
    ports
}

impl Place {
    pub(super) fn draw(rng: &mut fastrand::Rng) -> Self {
        let fibs = one_of(rng, &[1, 1, 1, 2]);
        let ports = draw_ports(fibs, rng);
        let workers = rng.usize(1..=4);
        // Soon after it, milliseconds need more than 32 bits.
        let wrap = (1 << 32) - 120_000;
        Self {
            servers_of: ports.iter().map(|_| rng.u8(2..=4)).collect(),
            clients: rng.usize(1..=2),
            ports,
            servers: Vec::new(),
            dirty: rng.bool(),
            tight: rng.u8(..3) == 0,
            workers,
            most_workers: workers.max(rng.usize(1..=6)),
            fibs,
            begins: Now(one_of(rng, &[0, 0, 1, wrap])),
        }
        .with_servers()
    }

    fn with_servers(mut self) -> Self {
        let mut node = self.clients;
        for (port, of) in self.ports.iter().zip(&self.servers_of) {
            if port.layer == Layer::L3 {
                continue;
            }
            for no in 0..*of {
                let port = usize::from(port.id.0);
                self.servers.push(Server { node, port, no });
                node += 1;
            }
        }
        self
    }

    fn setup(&self) -> Setup {
        let setup = Setup {
            max_workers: self.most_workers,
            ports: Ports(self.ports.clone()),
            route: route::Config {
                fibs: self.fibs,
                default_buckets: 256,
                ..route::Config::default()
            },
            ..Scene::setup(self.workers)
        };
        if !self.tight {
            return setup;
        }
        Setup {
            flows_v4: 1024,
            flows_v6: 1024,
            templates: 64,
            buffers: 96,
            hold: (2, 8),
            fragments: (8, 12),
            depths: Depths {
                handoff: 16,
                punt: 8,
                ..Depths::default()
            },
            neigh: arp::Config {
                limit: 48,
                incomplete_limit_per_port: 8,
                ..arp::Config::default()
            },
            ..setup
        }
    }

    /// The gateway, and whom the seed put around it.
    pub(super) fn build(&self, seed: u64) -> Net {
        let mut net = Net::starting_at(self.setup(), seed, self.begins);
        for no in 0..self.clients {
            net.add(client(no as u8));
        }
        for server in &self.servers {
            let node = net.add(spec(server));
            assert_eq!(node, server.node);
        }
        net
    }

    /// How many clients open connections.
    pub(super) fn clients(&self) -> usize {
        self.clients
    }
}

fn client(no: u8) -> NodeSpec {
    NodeSpec {
        name: format!("client{no}"),
        port: 0,
        mac: None,
        addrs: vec![
            (client_addr(no, Family::V4), 16),
            (client_addr(no, Family::V6), 32),
        ],
        gateways: vec![ip("10.0.0.1"), ip("fd10::1")],
    }
}

/// A client's address.
pub(super) fn client_addr(no: u8, family: Family) -> IpAddr {
    match family {
        Family::V4 => ip(&format!("10.0.1.{}", 1 + no)),
        Family::V6 => ip(&format!("fd10::1:{}", 1 + no)),
    }
}

fn spec(server: &Server) -> NodeSpec {
    let Server { port, no, .. } = *server;
    NodeSpec {
        name: format!("server{port}.{no}"),
        port,
        mac: Some(server_mac(port, no)),
        addrs: vec![
            (server.addr(Family::V4), 24),
            (ip(SERVICE), 32),
            (server.addr(Family::V6), 64),
            (ip(SERVICE6), 128),
            (ip(&format!("fe80::{:x}", 0x11 + no)), 64),
        ],
        gateways: vec![
            ip(&format!("192.0.{}.1", 2 + port)),
            ip(&format!("fd00:{port:x}::1")),
        ],
    }
}
