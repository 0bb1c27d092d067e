//! The usual scene: clients on a port of bare IP, a rack of servers on an Ethernet port, one service address on all
//! of them, an ECMP route of each family to it. Server *n* is host *n* of the network.

use super::watch::FlowId;
use super::{ECHO, Echo, NAME, Net, NodeSpec};
use crate::frames::{mac_dst, tcp_segment, udp};
use crate::rack::{CLIENTS, Family, GATEWAY_MAC, RACK, Server, server_addr, server_mac};
use crate::sim::{Sent, client_and_rack, ip};
use arp::Mac;
use route::OptionsAsked;
use route::PortId;
use route::Prefix;
use route::Selection;
use stack::Setup;
use stack::control::{BatchDone, GatewaySpec, PathKind, RouteBatch, RouteSet, RouteSpec};
use stack::host::{HostCmd, HostLink, HostReply};
use std::net::{IpAddr, SocketAddr};

/// The service's IPv4 address.
pub const SERVICE: &str = "203.0.113.10";
/// The service's IPv6 address.
pub const SERVICE6: &str = "2001:db8:113::10";

/// The service in a family.
pub fn service(family: Family, port: u16) -> SocketAddr {
    SocketAddr::new(service_addr(family), port)
}

fn service_addr(family: Family) -> IpAddr {
    match family {
        Family::V4 => ip(SERVICE),
        Family::V6 => ip(SERVICE6),
    }
}

fn prefix(family: Family) -> Prefix {
    let len = if family == Family::V4 { 32 } else { 128 };
    Prefix::new(service_addr(family), len).expect("a host route")
}

/// Both families.
pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

/// The scene.
pub struct Scene {
    /// The network; hosts `0..servers` are the servers.
    pub net: Net,
    servers: usize,
}

impl Scene {
    /// A gateway with `workers` workers and small tables.
    pub fn setup(workers: usize) -> Setup {
        Setup {
            workers,
            flows_v4: 16_384,
            flows_v6: 16_384,
            buffers: 1024,
            ..Setup::default()
        }
    }

    /// Servers that answer, a route to all of them in each family, and the second it takes to find them.
    pub fn new(servers: usize, setup: Setup, seed: u64) -> Self {
        let mut scene = Self::without_routes(servers, setup, seed);
        for family in BOTH {
            let all: Vec<Server> = (0..servers).collect();
            scene.route(family, &all);
        }
        scene.net.run_for(2000);
        scene
    }

    /// Servers, and no route to any.
    pub fn without_routes(servers: usize, setup: Setup, seed: u64) -> Self {
        let ports = client_and_rack(GATEWAY_MAC);
        Self::with_ports(servers, Setup { ports, ..setup }, seed)
    }

    /// As [`Self::without_routes`], with the ports that `setup` has: clients are behind the first, the rack is the second.
    pub fn with_ports(servers: usize, setup: Setup, seed: u64) -> Self {
        let mut net = Net::new(setup, seed);
        for server in 0..servers {
            net.add(NodeSpec {
                name: format!("server{server}"),
                port: RACK,
                mac: Some(server_mac(server)),
                addrs: vec![
                    (server_addr(server, Family::V4), 24),
                    (ip(SERVICE), 32),
                    (server_addr(server, Family::V6), 64),
                    (ip(SERVICE6), 128),
                    (ip(&format!("fe80::{:x}", 0x11 + server)), 64),
                ],
                gateways: vec![ip("192.0.2.1"), ip("fd00:2::1")],
            });
        }
        Self { net, servers }
    }

    /// How many servers there are.
    pub fn servers(&self) -> usize {
        self.servers
    }

    /// A client with both families: 10.1.0.`n` and fd10::1:`n`. Its host number.
    pub fn client(&mut self, n: u8) -> usize {
        let (v4, v6) = (client_addr(n, Family::V4), client_addr(n, Family::V6));
        self.net.add(NodeSpec {
            name: format!("client{n}"),
            port: CLIENTS,
            mac: None,
            addrs: vec![(v4, 8), (v6, 32)],
            gateways: vec![ip("10.0.0.1"), ip("fd10::1")],
        })
    }

    /// `flows` TCP connections of client `n` to the service, half of them IPv6; each talks every `gap_ms`.
    /// Local ports count from 5000.
    pub fn talk(&mut self, host: usize, n: u8, flows: u16, gap_ms: u64) {
        for i in 0..flows {
            let family = BOTH[usize::from(i % 2)];
            let local = SocketAddr::new(client_addr(n, family), 5000 + i);
            let now = self.net.now();
            self.net.nodes[host].connect(local, service(family, ECHO), gap_ms, now);
        }
    }

    /// A route of the service to these servers.
    pub fn spec(family: Family, members: &[(Server, u32)], deadline_s: Option<u32>) -> RouteSpec {
        let gateway = |(server, weight): &(Server, u32)| GatewaySpec {
            addr: server_addr(*server, family),
            weight: Some(*weight),
            port: None,
            recursive: false,
            mtu: None,
        };
        RouteSpec {
            prefix: prefix(family),
            kind: PathKind::Gateways(members.iter().map(gateway).collect()),
            mtu: None,
            deadline_s,
            options: Default::default(),
        }
    }

    /// `route add` of these servers with weight 1.
    pub fn route(&mut self, family: Family, servers: &[Server]) {
        let members: Vec<_> = servers.iter().map(|s| (*s, 1)).collect();
        let (now, gw) = (self.net.sim.now, &mut self.net.sim.gateway);
        gw.control
            .route_add(&Self::spec(family, &members, None), &mut gw.host, now)
            .expect("a route is added");
        self.net.settle();
    }

    /// `route add` of a server in both families.
    pub fn add(&mut self, server: Server) {
        for family in BOTH {
            self.route(family, &[server]);
        }
    }

    /// `arp -s` and `ndp -s` of all servers: from now on the gateway asks for none of them.
    pub fn know_servers(&mut self) {
        for (server, family) in (0..self.servers).flat_map(|s| BOTH.map(|f| (s, f))) {
            self.know(server_addr(server, family), server_mac(server));
        }
        // What was asked before is answered.
        self.net.run_for(10);
    }

    /// The same of any neighbour on the rack's port.
    pub fn know(&mut self, addr: IpAddr, mac: Mac) {
        self.net.sim.gateway.host.call(HostCmd::SetStatic {
            port: PortId(RACK as u16),
            addr,
            mac,
            published: false,
        });
    }

    /// `route change -weight` of a server in both families; 0 drains, until `deadline_s` if there is one.
    pub fn weight(&mut self, server: Server, weight: u32, deadline_s: Option<u32>) {
        for family in BOTH {
            let (now, gw) = (self.net.sim.now, &mut self.net.sim.gateway);
            let spec = Self::spec(family, &[(server, weight)], deadline_s);
            gw.control
                .route_change(&spec, &mut gw.host, now)
                .expect("a weight is changed");
        }
        self.net.settle();
    }

    /// `route change -select` of the service's routes in both families, with all servers.
    pub fn select(&mut self, selection: Selection) {
        self.options(selection.into());
    }

    /// `route change` with options, of the service's routes in both families, with all servers.
    pub fn options(&mut self, options: OptionsAsked) {
        let all: Vec<Server> = (0..self.servers).collect();
        self.options_of(&all, options);
    }

    /// As [`Self::options`], with these servers.
    pub fn options_of(&mut self, servers: &[Server], options: OptionsAsked) {
        for family in BOTH {
            self.options_in(family, servers, options);
        }
    }

    /// As [`Self::options_of`], in one family.
    pub fn options_in(&mut self, family: Family, servers: &[Server], options: OptionsAsked) {
        let members: Vec<_> = servers.iter().map(|s| (*s, 1)).collect();
        let spec = RouteSpec {
            options,
            ..Self::spec(family, &members, None)
        };
        let (now, gw) = (self.net.sim.now, &mut self.net.sim.gateway);
        gw.control
            .route_change(&spec, &mut gw.host, now)
            .expect("options are changed");
        self.net.settle();
    }

    /// `nexthop drain` of a server in both families.
    pub fn drain_everywhere(&mut self, server: Server, deadline_s: Option<u32>) {
        for family in BOTH {
            let (now, gw) = (self.net.sim.now, &mut self.net.sim.gateway);
            let deadline = deadline_s.map(|s| now.secs().after(s));
            gw.control
                .drain_gateway(server_addr(server, family), deadline, now)
                .expect("a next hop is drained");
        }
        self.net.settle();
    }

    /// `nexthop in` of a server in both families.
    pub fn undrain(&mut self, server: Server) {
        for family in BOTH {
            let (now, gw) = (self.net.sim.now, &mut self.net.sim.gateway);
            gw.control
                .undrain_gateway(server_addr(server, family), now)
                .expect("a next hop is taken in again");
        }
        self.net.settle();
    }

    /// `nexthop down` or `up` of a server in both families.
    pub fn declare(&mut self, server: Server, down: bool) {
        for family in BOTH {
            let (now, gw) = (self.net.sim.now, &mut self.net.sim.gateway);
            gw.control
                .set_gateway_down(server_addr(server, family), down, now)
                .expect("a next hop is declared dead or alive");
        }
        self.net.settle();
    }

    /// `route delete` of a server in both families.
    pub fn delete(&mut self, server: Server) {
        for family in BOTH {
            let (now, gw) = (self.net.sim.now, &mut self.net.sim.gateway);
            let gateway = Some(server_addr(server, family));
            gw.control
                .route_delete(prefix(family), gateway, None, &mut gw.host, now)
                .expect("a member is deleted");
        }
        self.net.settle();
    }

    /// `route load -replace` of a whole table: the service by these servers, and `others` with theirs. The network goes
    /// on for a millisecond after each slice of so many `units`.
    ///
    /// # Panics
    /// If the gateway refuses it.
    pub fn replace_table(
        &mut self,
        servers: &[Server],
        others: &[(Prefix, Server)],
        units: usize,
    ) -> BatchDone {
        let batch = self.table(servers, others);
        let (now, gw) = (self.net.sim.now, &mut self.net.sim.gateway);
        gw.control.batch_start(batch).expect("a batch begins");
        let mut now = now;
        loop {
            let gw = &mut self.net.sim.gateway;
            let ended = gw.control.batch_step(units, &mut gw.host, now);
            self.net.run_for(1);
            now = self.net.sim.now;
            if let Some(end) = ended {
                return end.expect("a table is loaded").0;
            }
        }
    }

    fn table(&self, servers: &[Server], others: &[(Prefix, Server)]) -> RouteBatch {
        let members: Vec<_> = servers.iter().map(|s| (*s, 1)).collect();
        let mut batch = RouteBatch {
            replace_v4: true,
            replace_v6: true,
            ..RouteBatch::default()
        };
        for (set, family) in (0..).zip(BOTH) {
            let spec = Self::spec(family, &members, None);
            batch.routes.push((spec.prefix, set));
            batch.sets.push(Some(RouteSet { spec, ipv6: None }));
        }
        for (prefix, server) in others {
            let v4 = prefix.addr().is_ipv4();
            let family = if v4 { Family::V4 } else { Family::V6 };
            let spec = RouteSpec {
                prefix: *prefix,
                ..Self::spec(family, &[(*server, 1)], None)
            };
            batch.routes.push((*prefix, batch.sets.len() as u32));
            batch.sets.push(Some(RouteSet { spec, ipv6: None }));
        }
        batch.routes.sort_unstable();
        batch
    }

    /// What all servers' services do from now on.
    pub fn serve(&mut self, echo: Echo) {
        for server in &mut self.net.nodes[..self.servers] {
            server.echo = echo;
        }
    }

    /// Pulls a server's cable.
    pub fn kill(&mut self, server: Server) {
        self.net.nodes[server].alive = false;
    }

    /// Puts it in again.
    pub fn revive(&mut self, server: Server) {
        self.net.nodes[server].alive = true;
    }

    /// A UDP flow to the service, the `i`th of a family: another client each.
    pub fn udp_flow(family: Family, i: u32) -> FlowId {
        let addr = match family {
            Family::V4 => ip(&format!(
                "10.{}.{}.{}",
                2 + (i >> 16),
                (i >> 8) & 255,
                i & 255
            )),
            Family::V6 => ip(&format!("fd10::{:x}:{:x}", 2 + (i >> 16), i & 0xffff)),
        };
        FlowId {
            proto: 17,
            src: SocketAddr::new(addr, 1024 + (i % 50_000) as u16),
            dst: service(family, NAME),
        }
    }

    /// So many UDP flows of each family, from the `first` on.
    pub fn udp_flows(first: u32, per_family: u32) -> Vec<FlowId> {
        let of = |family| (first..first + per_family).map(move |i| Self::udp_flow(family, i));
        BOTH.into_iter().flat_map(of).collect()
    }

    /// Sends one packet of a UDP flow towards the gateway.
    pub fn send_udp(&mut self, flow: &FlowId) {
        let packet = udp(flow.src, flow.dst, b"who are you?");
        self.net.send(CLIENTS, packet);
    }

    /// Sends one TCP segment without payload.
    pub fn send_tcp(&mut self, src: SocketAddr, dst: SocketAddr, flags: u8) {
        self.net
            .send(CLIENTS, tcp_segment(src, dst, flags, 1, 1, 0));
    }

    /// Sends a packet of each flow and returns the server that got each, once all have arrived.
    ///
    /// # Panics
    /// If one arrived nowhere.
    pub fn ask_all(&mut self, flows: &[FlowId]) -> Vec<usize> {
        for flow in flows {
            self.send_udp(flow);
        }
        self.net.run_until_idle(10_000);
        let host = |flow: &FlowId| {
            let host = self.net.watch.host_of(flow);
            host.unwrap_or_else(|| panic!("{flow:?} arrived nowhere: {:?}", self.net.totals()))
        };
        flows.iter().map(host).collect()
    }

    /// All neighbours as the host lists them.
    pub fn neighbours(&mut self) -> Vec<arp::Neighbour> {
        match self.net.sim.gateway.host.call(HostCmd::Neighbours) {
            HostReply::Neighbours(all) => all,
            other => panic!("the host answers {other:?}"),
        }
    }

    /// Entries in the flow tables.
    pub fn flows(&mut self) -> usize {
        let stats = self.net.sim.gateway.control.reader().flow_stats();
        (stats[0].used + stats[1].used) as usize
    }

    /// Ends the scenario: both books, the tables' limits, and the moves seen from outside.
    pub fn finish(&mut self) {
        self.net.assert_sound();
    }
}

/// The IP packets among `sent` that left towards the rack, each with the server whose hardware address it bears.
///
/// # Panics
/// If it bears none of a server.
pub fn to_rack(sent: &[Sent]) -> Vec<(Server, &[u8])> {
    let ip = |s: &&Sent| s.port == RACK && matches!(s.bytes[12..14], [8, 0] | [0x86, 0xdd]);
    let frames = sent.iter().filter(ip);
    let packets = frames.filter(|s| arp::is_neighbour_frame(&s.bytes).is_none());
    let server = |s: &Sent| {
        let dst = mac_dst(&s.bytes)?;
        (0..64).find(|n| server_mac(*n) == dst)
    };
    packets
        .map(|s| (server(s).expect("a server"), &s.bytes[14..]))
        .collect()
}

/// The packets among `sent` that left towards the clients.
pub fn to_clients(sent: &[Sent]) -> impl Iterator<Item = &[u8]> {
    let packets = sent.iter().filter(|s| s.port == CLIENTS);
    packets.map(|s| &s.bytes[..])
}

/// A client's address.
pub fn client_addr(n: u8, family: Family) -> IpAddr {
    match family {
        Family::V4 => ip(&format!("10.1.0.{n}")),
        Family::V6 => ip(&format!("fd10::1:{n:x}")),
    }
}
