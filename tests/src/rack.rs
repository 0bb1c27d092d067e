//! A rack of servers that only exist as hardware addresses, and the oracle of which may get a packet.
//!
//! The oracle knows the rules of design section 4 and nothing of buckets or hashes: a linear route table and an
//! unbounded map of pins. Where the rules leave a choice it allows every live member with weight.

use crate::frames::mac_dst;
use crate::sim::{Sent, SimGateway, client_and_rack, ip};
use arp::Mac;
use route::{PortId, Prefix};
use stack::Setup;
use stack::control::{GatewaySpec, PathKind, RouteSpec};
use stack::fate::MoveReason;
use stack::host::{HostCmd, HostLink};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// The gateway's hardware address on the rack.
pub const GATEWAY_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

/// Port of the clients, and of the rack.
pub const CLIENTS: usize = 0;
/// See [`CLIENTS`].
pub const RACK: usize = 1;

/// The address family of a route or flow in a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A server's number.
pub type Server = usize;

/// Its address in a family.
pub fn server_addr(server: Server, family: Family) -> IpAddr {
    match family {
        Family::V4 => ip(&format!("192.0.2.{}", 11 + server)),
        Family::V6 => ip(&format!("fd00:2::{:x}", 0x11 + server)),
    }
}

/// Its hardware address.
pub fn server_mac(server: Server) -> Mac {
    Mac([2, 0, 0, 0, 1, server as u8])
}

/// A flow as the oracle sees it.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Client.
    pub src: SocketAddr,
    /// Service.
    pub dst: SocketAddr,
    /// The server and the identity that its next hop had.
    pub pin: Option<(Server, u64)>,
}

/// What the rules allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// This server only.
    Exactly(Server),
    /// Any of these; if there was a pin, it moves for this reason.
    AnyOf(Vec<Server>, Option<MoveReason>),
    /// Nothing: there is no route, or nobody is alive.
    Nobody,
}

type Members = BTreeMap<Server, u32>;

/// The rack, its gateway and the oracle.
pub struct Rack {
    /// The gateway.
    pub sim: SimGateway,
    servers: usize,
    routes: BTreeMap<Prefix, Members>,
    dead: Vec<bool>,
    identity: BTreeMap<(Family, Server), u64>,
    identities: u64,
    /// Moves that the oracle saw.
    pub moves: BTreeMap<&'static str, u64>,
}

fn family(addr: IpAddr) -> Family {
    if addr.is_ipv4() {
        Family::V4
    } else {
        Family::V6
    }
}

impl Rack {
    /// A rack of `servers` that all answer, and a gateway without routes to them.
    pub fn new(servers: usize, setup: Setup) -> Self {
        let mut sim = SimGateway::new(Setup {
            ports: client_and_rack(GATEWAY_MAC),
            ..setup
        });
        for server in 0..servers {
            for family in [Family::V4, Family::V6] {
                let addr = server_addr(server, family);
                let (port, mac) = (PortId(RACK as u16), server_mac(server));
                sim.gateway.host.call(HostCmd::SetStatic {
                    port,
                    addr,
                    mac,
                    published: false,
                });
            }
        }
        sim.settle();
        Self {
            sim,
            servers,
            routes: BTreeMap::new(),
            dead: vec![false; servers],
            identity: BTreeMap::new(),
            identities: 0,
            moves: BTreeMap::new(),
        }
    }

    /// Servers in all.
    pub fn servers(&self) -> usize {
        self.servers
    }

    /// A route's members and weights.
    pub fn members(&self, prefix: Prefix) -> Option<&BTreeMap<Server, u32>> {
        self.routes.get(&prefix)
    }

    /// Whether a server is declared dead.
    pub fn is_dead(&self, server: Server) -> bool {
        self.dead[server]
    }

    fn spec(prefix: Prefix, members: &[(Server, u32)]) -> RouteSpec {
        let family = family(prefix.addr());
        let gateways = members
            .iter()
            .map(|(s, w)| GatewaySpec {
                addr: server_addr(*s, family),
                weight: Some(*w),
                port: None,
                recursive: false,
                mtu: None,
            })
            .collect();
        RouteSpec {
            prefix,
            kind: PathKind::Gateways(gateways),
            mtu: None,
            deadline_s: None,
            options: Default::default(),
        }
    }

    /// `route add` of one server.
    pub fn add(&mut self, prefix: Prefix, server: Server, weight: u32) {
        self.add_all(prefix, &[(server, weight)]);
    }

    /// `route add` of several servers at once.
    pub fn add_all(&mut self, prefix: Prefix, members: &[(Server, u32)]) {
        let now = self.sim.now;
        let gw = &mut self.sim.gateway;
        gw.control
            .route_add(&Self::spec(prefix, members), &mut gw.host, now)
            .unwrap_or_else(|e| panic!("add {prefix} {members:?}: {e}"));
        for (server, weight) in members {
            self.routes
                .entry(prefix)
                .or_default()
                .insert(*server, *weight);
            self.named(prefix, *server);
        }
        self.check_members(prefix);
    }

    /// `route change ... -weight`.
    pub fn weight(&mut self, prefix: Prefix, server: Server, weight: u32) {
        let now = self.sim.now;
        let gw = &mut self.sim.gateway;
        gw.control
            .route_change(&Self::spec(prefix, &[(server, weight)]), &mut gw.host, now)
            .unwrap_or_else(|e| panic!("change {prefix} {server} {weight}: {e}"));
        self.routes
            .entry(prefix)
            .or_default()
            .insert(server, weight);
        self.check_members(prefix);
    }

    /// `route delete` of one server.
    pub fn delete(&mut self, prefix: Prefix, server: Server) {
        let now = self.sim.now;
        let addr = server_addr(server, family(prefix.addr()));
        let gw = &mut self.sim.gateway;
        gw.control
            .route_delete(prefix, Some(addr), None, &mut gw.host, now)
            .unwrap_or_else(|e| panic!("delete {prefix} {server}: {e}"));
        if let Some(members) = self.routes.get_mut(&prefix) {
            members.remove(&server);
            if members.is_empty() {
                self.routes.remove(&prefix);
            }
        }
        self.unnamed(prefix, server);
        self.check_members(prefix);
    }

    /// Declares a server dead in both families, or alive again.
    pub fn kill(&mut self, server: Server, dead: bool) {
        self.dead[server] = dead;
        for family in [Family::V4, Family::V6] {
            self.apply_health(family, server);
        }
    }

    /// A next hop is told dead only while a route names it; a new one starts alive.
    fn apply_health(&mut self, family: Family, server: Server) {
        if self.identity.contains_key(&(family, server)) {
            let (now, addr) = (self.sim.now, server_addr(server, family));
            let told = self
                .sim
                .gateway
                .control
                .set_gateway_down(addr, self.dead[server], now);
            told.unwrap_or_else(|e| panic!("health of {addr}: {e}"));
        }
    }

    fn named(&mut self, prefix: Prefix, server: Server) {
        let key = (family(prefix.addr()), server);
        if !self.identity.contains_key(&key) {
            self.identities += 1;
            self.identity.insert(key, self.identities);
            self.apply_health(key.0, server);
        }
    }

    fn unnamed(&mut self, prefix: Prefix, server: Server) {
        let of = family(prefix.addr());
        let still = self
            .routes
            .iter()
            .any(|(p, m)| family(p.addr()) == of && m.contains_key(&server));
        if !still {
            self.identity.remove(&(of, server));
        }
    }

    /// The gateway's own listing names the same members with the same weights.
    fn check_members(&self, prefix: Prefix) {
        let shown = self.sim.gateway.control.route_exact(prefix);
        let of = family(prefix.addr());
        let want: Vec<(IpAddr, u32)> = self
            .routes
            .get(&prefix)
            .map(|m| m.iter().map(|(s, w)| (server_addr(*s, of), *w)).collect())
            .unwrap_or_default();
        let mut got: Vec<(IpAddr, u32)> = shown
            .iter()
            .flat_map(|r| &r.paths)
            .filter_map(|p| Some((p.key.gateway?, p.weight)))
            .collect();
        got.sort_unstable();
        assert_eq!(got, want, "{prefix}");
    }

    fn route(&self, dst: IpAddr) -> Option<&Members> {
        let covering = self.routes.iter().filter(|(p, _)| p.contains(dst));
        covering
            .max_by_key(|(p, _)| p.len())
            .map(|(_, members)| members)
    }

    /// What design section 4 allows for the next packet of a flow.
    pub fn allowed(&self, flow: &Flow) -> Allowed {
        let Some(members) = self.route(flow.dst.ip()) else {
            return Allowed::Nobody;
        };
        let of = family(flow.dst.ip());
        let why = match flow.pin {
            None => None,
            Some((server, identity)) if self.identity.get(&(of, server)) != Some(&identity) => {
                Some(MoveReason::Policy)
            }
            Some((server, _)) if self.dead[server] => Some(MoveReason::Dead),
            Some((server, _)) if !members.contains_key(&server) => Some(MoveReason::Policy),
            Some((server, _)) => return Allowed::Exactly(server),
        };
        let live: Vec<Server> = members
            .iter()
            .filter(|(s, w)| **w > 0 && !self.dead[**s])
            .map(|(s, _)| *s)
            .collect();
        if live.is_empty() {
            Allowed::Nobody
        } else {
            Allowed::AnyOf(live, why)
        }
    }

    /// Sends a packet from a client by queue `queue` and returns the server that got it.
    pub fn send(&mut self, queue: usize, packet: &[u8]) -> Option<Server> {
        self.sim.put(CLIENTS, queue, packet);
        let sent = self.sim.settle();
        self.receiver(&sent)
    }

    fn receiver(&self, sent: &[Sent]) -> Option<Server> {
        let got: Vec<Server> = sent
            .iter()
            .filter(|s| s.port == RACK)
            .filter_map(|s| mac_dst(&s.bytes))
            .filter_map(|mac| (0..self.servers).find(|s| server_mac(*s) == mac))
            .collect();
        assert!(got.len() <= 1, "one packet reached {got:?}");
        got.first().copied()
    }

    /// Judges where a packet of `flow` went, and remembers it.
    pub fn judge(&mut self, flow: &mut Flow, got: Option<Server>, context: &str) {
        let allowed = self.allowed(flow);
        let of = family(flow.dst.ip());
        match (&allowed, got) {
            (Allowed::Nobody, None) => return,
            (Allowed::Exactly(want), Some(got)) if *want == got => return,
            (Allowed::AnyOf(live, why), Some(got)) if live.contains(&got) => {
                let pin = (got, self.identity[&(of, got)]);
                if let Some(why) = why
                    && flow.pin != Some(pin)
                {
                    *self.moves.entry(why.name()).or_default() += 1;
                }
                flow.pin = Some(pin);
                return;
            }
            _ => {}
        }
        panic!("{context}: {flow:?} went to {got:?}, the rules allow {allowed:?}");
    }

    /// The gateway's counters of moved flows are exactly what the oracle saw.
    pub fn assert_moves(&self, context: &str) {
        let totals = self.sim.gateway.control.totals();
        for reason in MoveReason::ALL {
            let want = self.moves.get(reason.name()).copied().unwrap_or(0);
            assert_eq!(
                totals.moved_for(reason),
                want,
                "{context}: moved for {}",
                reason.name()
            );
        }
    }
}
