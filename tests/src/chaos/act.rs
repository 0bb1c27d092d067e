//! What happens, done: by the gateway's own commands, or to the network around it.

use super::Chaos;
use super::event::{Event, family, service};
use super::place::client_addr;
use super::traffic::Traffic;
use crate::net::{BOTH, Conditions, ECHO, Echo};
use crate::rack::Family;
use route::{OptionsAsked, Prefix};
use stack::control::{ControlError, GatewaySpec, PathKind, RouteBatch, RouteSet, RouteSpec};
use stack::flows::FlowFilter;
use stack::host::{HostCmd, HostLink};
use stack::ports::DeviceState;
use std::net::SocketAddr;

/// Connections of a client to the service, and how often each talks, ms.
const TALKS: u16 = 4;
const TALK_MS: u64 = 900;
/// After so many events clients connect anew, so often at most: what broke stays broken.
const TALK_AGAIN: u64 = 150;
const TALKS_MOST: u64 = 20;

/// What came of a command, in a word.
fn said<T>(result: Result<T, ControlError>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(error) => format!("refused: {error}"),
    }
}

impl Chaos {
    pub(super) fn happens(&mut self, event: Event) {
        let now = self.net.now();
        let line = format!("{now} ms: {event:?}");
        let came = match event {
            Event::Add(..)
            | Event::Weight(..)
            | Event::Change(..)
            | Event::Delete(..)
            | Event::Nowhere(..)
            | Event::Options(..) => self.route(&event),
            Event::Replace(routes, units) => self.replace(&routes, units),
            Event::Drain(..) | Event::Undrain(..) | Event::Declare(..) => self.nexthop(&event),
            Event::Port(port, up) => self.port(port, up),
            Event::Workers(workers) => said(self.net.sim.gateway.control.set_workers(workers)),
            Event::Flush => self.flush(),
            other => self.around(other),
        };
        self.history.tell(format!("{line}: {came}"));
        if self.events.is_multiple_of(TALK_AGAIN) && self.events / TALK_AGAIN < TALKS_MOST {
            self.talk();
        }
        self.net.settle();
        self.look();
    }

    fn gateways(&self, of: Family, members: &[(usize, u32)]) -> PathKind {
        let gateway = |(server, weight): &(usize, u32)| GatewaySpec {
            addr: self.place.servers[*server].addr(of),
            weight: Some(*weight),
            port: None,
            recursive: false,
            mtu: None,
        };
        PathKind::Gateways(members.iter().map(gateway).collect())
    }

    fn spec(&self, prefix: Prefix, members: &[(usize, u32)]) -> RouteSpec {
        RouteSpec {
            prefix,
            kind: self.gateways(family(prefix.addr()), members),
            mtu: None,
            deadline_s: None,
            options: OptionsAsked::default(),
        }
    }

    /// A command about routes. Who is there and stays, however weighed, is no reason for any flow to move.
    fn route(&mut self, event: &Event) -> String {
        match event {
            Event::Add(prefix, members) => self.add(&self.spec(*prefix, members)),
            Event::Weight(prefix, server, weight, deadline_s) => {
                let spec = RouteSpec {
                    deadline_s: *deadline_s,
                    ..self.spec(*prefix, &[(*server, *weight)])
                };
                self.change(&spec, false)
            }
            Event::Change(prefix, members) => self.change(&self.spec(*prefix, members), true),
            Event::Options(prefix, options) => {
                let spec = RouteSpec {
                    options: *options,
                    ..self.spec(*prefix, &[])
                };
                self.change(&spec, false)
            }
            Event::Nowhere(prefix, reject) => {
                let kind = if *reject {
                    PathKind::Reject
                } else {
                    PathKind::Blackhole
                };
                self.add(&RouteSpec {
                    kind,
                    ..self.spec(*prefix, &[])
                })
            }
            Event::Delete(prefix, server) => self.delete(*prefix, *server),
            other => unreachable!("{other:?} is about no route"),
        }
    }

    /// A route that is new may lead flows elsewhere; one more gateway of an old one may not.
    fn add(&mut self, spec: &RouteSpec) -> String {
        let (now, gw) = (self.net.sim.now, &mut self.net.sim.gateway);
        let was = gw.control.route_exact(spec.prefix).is_some();
        let added = gw.control.route_add(spec, &mut gw.host, now);
        if !was {
            self.judge.route(now.0, spec.prefix);
        }
        said(added)
    }

    fn change(&mut self, spec: &RouteSpec, others: bool) -> String {
        let (now, gw) = (self.net.sim.now, &mut self.net.sim.gateway);
        // One weight of several is a change of it; of one member alone it may be another member.
        let there = gw.control.route_exact(spec.prefix);
        let named = match &spec.kind {
            PathKind::Gateways(all) => all.clone(),
            _ => Vec::new(),
        };
        let known = |g: &GatewaySpec| {
            let paths = there.iter().flat_map(|route| &route.paths);
            paths.map(|p| p.key.gateway).any(|a| a == Some(g.addr))
        };
        if others || !named.iter().all(known) {
            self.judge.route(now.0, spec.prefix);
        }
        said(gw.control.route_change(spec, &mut gw.host, now))
    }

    fn delete(&mut self, prefix: Prefix, server: Option<usize>) -> String {
        let Some(server) = server else {
            return self.delete_all(prefix);
        };
        let server = &self.place.servers[server];
        let gateway = Some(server.addr(family(prefix.addr())));
        let (now, gw) = (self.net.sim.now, &mut self.net.sim.gateway);
        self.judge.member(now.0, prefix, server.node);
        said(
            gw.control
                .route_delete(prefix, gateway, None, &mut gw.host, now),
        )
    }

    /// Each path of the route, one by one.
    fn delete_all(&mut self, prefix: Prefix) -> String {
        let (now, gw) = (self.net.sim.now, &mut self.net.sim.gateway);
        self.judge.route(now.0, prefix);
        let there = gw.control.route_exact(prefix);
        let mut came = "nothing is there".to_owned();
        for path in there.iter().flat_map(|route| &route.paths) {
            let gateway = path.key.gateway;
            let deleted = gw
                .control
                .route_delete(prefix, gateway, None, &mut gw.host, now);
            came = said(deleted);
        }
        came
    }

    /// What the gateway knows, for the message of a run that fails.
    fn state(&mut self) -> String {
        let totals = self.net.totals();
        let gw = &mut self.net.sim.gateway;
        let nhops = gw.control.nhops();
        let neighbours = gw.host.call(HostCmd::Neighbours);
        format!("{totals:?}\n{nhops:?}\n{neighbours:?}")
    }

    fn replace(&mut self, routes: &[(Prefix, usize)], units: usize) -> String {
        let mut batch = RouteBatch {
            replace_v4: true,
            replace_v6: true,
            ..RouteBatch::default()
        };
        for (set, (prefix, server)) in (0..).zip(routes) {
            batch.routes.push((*prefix, set));
            let spec = self.spec(*prefix, &[(*server, 1)]);
            batch.sets.push(Some(RouteSet { spec, ipv6: None }));
        }
        batch.routes.sort_unstable();
        if let Err(refused) = self.net.sim.gateway.control.batch_start(batch) {
            return format!("refused: {refused}");
        }
        loop {
            let now = self.net.sim.now;
            self.judge.all(now.0);
            let gw = &mut self.net.sim.gateway;
            let ended = gw.control.batch_step(units, &mut gw.host, now);
            self.net.run_for(1);
            self.look();
            if let Some(end) = ended {
                self.judge.all(self.net.now());
                return said(end);
            }
        }
    }

    fn nexthop(&mut self, event: &Event) -> String {
        let (now, gw) = (self.net.sim.now, &mut self.net.sim.gateway);
        let addr = |server: &usize, of: &Family| self.place.servers[*server].addr(*of);
        said(match event {
            Event::Drain(server, of, deadline_s) => {
                let deadline = deadline_s.map(|s| now.secs().after(s));
                gw.control.drain_gateway(addr(server, of), deadline, now)
            }
            Event::Undrain(server, of) => gw.control.undrain_gateway(addr(server, of), now),
            Event::Declare(server, of, down) => {
                gw.control.set_gateway_down(addr(server, of), *down, now)
            }
            other => unreachable!("{other:?} is about no next hop"),
        })
    }

    fn port(&mut self, port: usize, up: bool) -> String {
        let (now, gw) = (self.net.sim.now, &mut self.net.sim.gateway);
        let name = &self.place.ports[port].name;
        said(gw.control.set_port(name, up, &mut gw.host, now))
    }

    fn flush(&mut self) -> String {
        self.judge.all(self.net.now());
        let job = self
            .net
            .sim
            .gateway
            .control
            .flow_flush(FlowFilter::default());
        self.net.settle();
        self.judge.all(self.net.now());
        said(job)
    }

    /// What happens around the gateway.
    fn around(&mut self, event: Event) -> String {
        let (net, rng) = (&mut self.net, &mut self.rng);
        let servers = &self.place.servers;
        match event {
            Event::Cable(server, alive) => net.nodes[servers[server].node].alive = alive,
            Event::Serve(server, echo) => net.nodes[servers[server].node].echo = echo,
            Event::NewMac(server, mac) => net.nodes[servers[server].node].set_mac(mac),
            Event::ForgetNeighbours => {
                net.sim.gateway.host.call(HostCmd::Flush {
                    port: None,
                    v4: true,
                    v6: true,
                });
            }
            Event::Link(port, conditions) => net.set_link(port, conditions),
            Event::Device(port, state) => {
                let id = self.place.ports[port].id;
                net.sim.gateway.host.device(id, state);
            }
            Event::Steer(steer) => net.steer = steer,
            Event::Flood(count) => self.traffic.flood(net, count, rng),
            Event::Scan(port, count) => {
                self.traffic.scan(net, &self.place.ports[port], count, rng);
            }
            Event::Pieces(count, lost) => self.traffic.pieces(net, count, lost, rng),
            Event::Expiring(count) => self.traffic.expiring(net, count, rng),
            Event::Errors(count) => self.traffic.errors(net, count, rng),
            Event::Noise(count) => self.traffic.noise(net, &self.place.ports, count, rng),
            other => unreachable!("{other:?} is the gateway's"),
        }
        "done".to_owned()
    }

    /// Clients open connections to the service.
    pub(super) fn talk(&mut self) {
        let now = self.net.now();
        let first = 10_000 + (self.events / TALK_AGAIN) as u16 * TALKS;
        for client in 0..self.place.clients() {
            for n in 0..TALKS {
                let of = BOTH[usize::from(n % 2)];
                let local = SocketAddr::new(client_addr(client as u8, of), first + n);
                let remote = SocketAddr::new(service(of).addr(), ECHO);
                self.net.nodes[client].connect(local, remote, TALK_MS, now);
            }
        }
    }

    /// Everything that fails is mended.
    pub(super) fn mend(&mut self) {
        for port in 0..self.place.ports.len() {
            self.net.set_link(port, Conditions::GOOD);
            self.happens(Event::Port(port, true));
            self.happens(Event::Device(port, DeviceState::Up));
        }
        for server in 0..self.place.servers.len() {
            self.happens(Event::Cable(server, true));
            self.happens(Event::Serve(server, Echo::Open));
            for of in BOTH {
                self.happens(Event::Declare(server, of, false));
                self.happens(Event::Undrain(server, of));
            }
        }
    }

    /// The service's routes lead to all servers, with weight 1.
    pub(super) fn serve_by_all(&mut self) {
        for of in BOTH {
            let fib0 = |port: usize| self.place.ports[port].fib.0 == 0;
            let there = self.place.servers.iter().enumerate();
            let all = there.filter(|(_, s)| fib0(s.port)).map(|(n, _)| (n, 1));
            let all = all.collect();
            self.happens(Event::Delete(service(of), None));
            self.happens(Event::Add(service(of), all));
        }
    }

    /// New flows to the service reach a server each.
    ///
    /// # Panics
    /// If one does not.
    pub(super) fn assert_served(&mut self) {
        let flows = Traffic::after();
        for id in &flows {
            self.net.send(0, Traffic::packet(id));
        }
        self.net.run_until_idle(10_000);
        for id in &flows {
            if self.net.watch.host_of(id).is_none() {
                self.net.settle();
                panic!("{id:?} reaches no server after all: {}", self.state());
            }
        }
        self.sound();
    }
}
