//! A backend of made-up tables, for the tests of the server and of the command line: small enough to be seen right.

use super::Answer;
use super::Backend;
use super::Batch;
use super::BatchNews;
use super::Capturing;
use super::Foreseeing;
use super::Obeyed;
use super::Order;
use super::Pending;
use super::Pinging;
use super::Reading;
use super::Slice;
use super::Ticket;
use super::ready;
use crate::wire::capture::Capture;
use crate::wire::capture::CaptureChange;
use crate::wire::explain::Explain;
use crate::wire::explain::Explained;
use crate::wire::flow::*;
use crate::wire::group::*;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::moves::RouteMoves;
use crate::wire::neighbour::*;
use crate::wire::nexthop::*;
use crate::wire::ping::Ping;
use crate::wire::route::*;
use crate::wire::stats::*;
use crate::wire::template::*;
use crate::wire::timeout::FlowTimeoutDelete;
use crate::wire::timeout::FlowTimeoutSet;
use crate::wire::timeout::FlowTimeouts;
use crate::wire::timeout::TimedRoute;
use crate::wire::timeout::TimeoutsOf;
use crate::wire::timeout::state;
use crate::wire::workers::Workers;
use crate::wire::workers::WorkersDone;
use crate::wire::workers::WorkersSet;
use arp::Mac;
use route::Prefix;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::mpsc;
use std::time::Duration;

mod batch;
mod capture;
mod explain;
mod groups;
mod moves;
mod ping;
mod templates;
mod workers;

/// Routes in a list, neighbours in a list, any number of flows, and everything that happened.
pub(crate) struct Fake {
    pub(crate) routes: Vec<Route>,
    pub(crate) neighbours: Vec<Neighbour>,
    pub(crate) flows: u32,
    pub(crate) news: Vec<News>,
    /// Held by each ping under way.
    pub(crate) pings: Arc<()>,
    /// Alive while a batch is gathered.
    pub(crate) batch: Weak<()>,
}

impl Fake {
    /// One route of two paths on port `rack`, one neighbour, three flows.
    pub(crate) fn small() -> Self {
        let mut fake = Self {
            routes: vec![],
            neighbours: vec![],
            flows: 3,
            news: vec![],
            pings: Arc::default(),
            batch: Weak::new(),
        };
        let paths = vec![gateway("192.0.2.11", 1), gateway("192.0.2.12", 3)];
        fake.route_add(RouteAdd {
            fib: 0,
            options: Default::default(),
            destination: prefix("203.0.113.0/24"),
            paths,
        })
        .unwrap();
        fake.news.clear();
        fake.neighbours = vec![
            neighbour("192.0.2.11", Some(1_187_000), NeighbourState::Reachable),
            neighbour("192.0.2.99", None, NeighbourState::Incomplete),
            neighbour("fd00::11", Some(86_399_000), NeighbourState::Stale),
        ];
        fake
    }

    /// So many host routes, each with its own gateway.
    pub(crate) fn with_routes(count: u32) -> Self {
        let mut fake = Self::small();
        fake.routes.clear();
        for host in 0..count {
            let destination = prefix(&IpAddr::from((0x0a00_0000 + host).to_be_bytes()).to_string());
            fake.routes
                .push(route(destination, vec![path(&gateway("192.0.2.11", 1), 1)]));
        }
        fake
    }

    /// Two routes by gateways that other routes lead to; to the second one none does.
    pub(crate) fn far() -> Self {
        let mut fake = Self::small();
        let to = |destination, address, lives: bool| {
            let spec = PathSpec {
                recursive: true,
                ..gateway(address, 1)
            };
            let dead = (!lives).then_some(Health::Dead);
            let path = Path {
                health: dead.unwrap_or(Health::Up),
                port: lives.then(|| "rack".into()),
                through: "192.0.2.11".parse().ok().filter(|_| lives),
                causes: dead.map(|_| "unresolved".into()).into_iter().collect(),
                ..path(&spec, 1)
            };
            route(prefix(destination), vec![path])
        };
        fake.routes = vec![
            to("198.18.0.0/16", "172.16.0.9", true),
            to("198.19.0.0/16", "172.16.0.8", false),
        ];
        fake
    }

    fn find(&mut self, destination: Prefix) -> Option<&mut Route> {
        self.routes
            .iter_mut()
            .find(|route| route.destination == destination)
    }
}

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(crate) fn gateway(address: &str, weight: u32) -> PathSpec {
    PathSpec {
        gateway: address.parse().ok(),
        weight: Some(weight),
        ..PathSpec::default()
    }
}

fn neighbour(address: &str, expires: Option<u64>, state: NeighbourState) -> Neighbour {
    let known = state != NeighbourState::Incomplete;
    Neighbour {
        address: address.parse().unwrap(),
        port: "rack".into(),
        mac: known.then_some(Mac([2, 0, 0, 0, 0, 0x11])),
        state,
        expires,
        published: false,
        reserved: known,
    }
}

fn route(destination: Prefix, paths: Vec<Path>) -> Route {
    Route {
        fib: 0,
        destination,
        group: 3,
        buckets: 4096,
        options: Default::default(),
        is_static: true,
        paths,
    }
}

fn path(spec: &PathSpec, nexthop: u32) -> Path {
    let weight = spec.weight.unwrap_or(1);
    Path {
        kind: spec.kind,
        gateway: spec.gateway,
        port: spec.port.clone().or_else(|| Some("rack".into())),
        weight,
        mtu: 1500,
        nexthop,
        generation: 7,
        admin: if weight == 0 {
            Admin::Draining
        } else {
            Admin::In
        },
        health: Health::Up,
        deadline: None,
        buckets: 1024 * weight,
        starting: None,
        recursive: spec.recursive,
        through: None,
        causes: Vec::new(),
    }
}

fn not_found() -> CallError {
    CallError::refused(Reason::NotFound, "not in table")
}

impl Backend for Fake {
    fn route_add(&mut self, ask: RouteAdd) -> Answer<RouteDone> {
        for spec in &ask.paths {
            check_weight(spec.weight.unwrap_or(1), false)
                .map_err(|message| CallError::refused(Reason::Invalid, message))?;
            let far = "Network is unreachable: no port has an address in the network of 172.16.0.1; ports: rack 192.0.2.1/24";
            if spec.gateway == "172.16.0.1".parse().ok() {
                return Err(CallError::refused(Reason::Unreachable, far));
            }
        }
        let paths: Vec<Path> = (1..)
            .zip(&ask.paths)
            .map(|(at, spec)| path(spec, at))
            .collect();
        let destination = ask.destination;
        match self.find(destination) {
            Some(old)
                if old
                    .paths
                    .iter()
                    .any(|p| paths.iter().any(|q| q.gateway == p.gateway)) =>
            {
                return Err(CallError::refused(
                    Reason::AlreadyExists,
                    "route already in table",
                ));
            }
            Some(old) => old.paths.extend(paths.clone()),
            None => self.routes.push(route(destination, paths.clone())),
        }
        let done = RouteDone {
            fib: 0,
            destination,
            paths,
            warning: None,
        };
        self.news.push(News::RouteAdded(done.clone()));
        Ok(done)
    }

    fn route_change(&mut self, ask: RouteChange) -> Answer<RouteDone> {
        let destination = ask.destination;
        let old = self.find(destination).ok_or_else(not_found)?;
        let changed: Vec<Path> = (1..)
            .zip(&ask.paths)
            .map(|(at, spec)| path(spec, at))
            .collect();
        for new in &changed {
            old.paths
                .iter_mut()
                .filter(|p| p.gateway == new.gateway)
                .for_each(|p| *p = new.clone());
        }
        let done = RouteDone {
            fib: 0,
            destination,
            paths: changed,
            warning: None,
        };
        self.news.push(News::RouteChanged(done.clone()));
        Ok(done)
    }

    fn route_delete(&mut self, ask: RouteDelete) -> Answer<RouteDone> {
        let destination = ask.destination;
        let old = self.find(destination).ok_or_else(not_found)?;
        let named = |p: &Path| ask.gateway.is_none() || p.gateway == ask.gateway;
        let paths: Vec<Path> = old.paths.iter().filter(|p| named(p)).cloned().collect();
        match paths.len() {
            0 => return Err(not_found()),
            1 => {}
            _ => {
                let message = "has several gateways: name one of 192.0.2.11, 192.0.2.12";
                return Err(CallError::refused(Reason::Ambiguous, message));
            }
        }
        old.paths.retain(|p| !named(p));
        self.routes.retain(|route| !route.paths.is_empty());
        let done = RouteDone {
            fib: 0,
            destination,
            paths,
            warning: None,
        };
        self.news.push(News::RouteDeleted(done.clone()));
        Ok(done)
    }

    fn foresee(&mut self, order: Order) -> Answer<Foreseeing> {
        moves::foresee(self, order)
    }

    fn foresee_drain(&mut self, _: NexthopSet) -> Answer<Foreseeing> {
        let add = self.routes.first().map(|route| route.destination);
        let delete = RouteDelete {
            destination: add.unwrap_or_else(|| prefix("203.0.113.0/24")),
            fib: 0,
            gateway: None,
            port: None,
        };
        moves::foresee(self, Order::Delete(delete))
    }

    fn group_sketch(&mut self, _: route::GroupId) -> Option<route::GroupSketch> {
        None
    }

    fn routes_within(&mut self, of: Prefix, after: Option<Prefix>, max: usize) -> Vec<Prefix> {
        let inside = |route: &Route| {
            let prefix = route.destination;
            prefix.len() > of.len() && of.contains(prefix.addr()) && Some(prefix) > after
        };
        let inside = self.routes.iter().filter(|route| inside(route));
        inside.map(|route| route.destination).take(max).collect()
    }

    fn obeyed(&mut self) -> Obeyed {
        Box::new(|| true)
    }

    fn route_moves(&mut self) -> Reading<Vec<RouteMoves>> {
        Box::new(|| vec![moves::followed()])
    }

    fn route_get(&mut self, ask: RouteGet) -> Answer<RouteAnswer> {
        let covers = |r: &&Route| {
            let is_longer = ask
                .length
                .is_some_and(|length| length < r.destination.len());
            r.destination.contains(ask.destination) && !is_longer
        };
        let found = self.routes.iter().find(covers);
        let route = found.cloned().ok_or_else(not_found)?;
        let choice = ask.flow.map(|_| Choice {
            bucket: 17,
            pin: Some(Pin {
                nexthop: 1,
                generation: 7,
                name: Some("192.0.2.11".into()),
                state: "live".into(),
            }),
            path: route.paths.first().cloned(),
            why: "the flow is pinned to it, and the pin holds".into(),
        });
        Ok(RouteAnswer {
            destination: ask.destination,
            route,
            choice,
        })
    }

    fn routes(&mut self, _: RouteFamily, after: Option<Prefix>, max: usize) -> Vec<Route> {
        let at = self
            .routes
            .iter()
            .position(|route| Some(route.destination) == after);
        self.routes
            .iter()
            .skip(at.map_or(0, |at| at + 1))
            .take(max)
            .cloned()
            .collect()
    }

    fn has_fib(&mut self, _: u8) -> Answer<()> {
        Ok(())
    }

    fn route_flush(&mut self, _: RouteFamily, max: usize) -> Answer<Vec<RouteDone>> {
        let some = self.routes.drain(..max.min(self.routes.len()));
        let done = some.map(|r| RouteDone {
            fib: 0,
            destination: r.destination,
            paths: r.paths,
            warning: None,
        });
        Ok(done.collect())
    }

    fn batch_begin(&mut self) -> Answer<Ticket> {
        if self.batch.strong_count() > 0 {
            return Err(CallError::refused(
                Reason::Busy,
                "another client is loading routes",
            ));
        }
        let held = Arc::new(());
        self.batch = Arc::downgrade(&held);
        Ok(Ticket {
            batch: 7,
            limit: 1000,
            held,
        })
    }

    fn batch_commit(&mut self, batch: Batch) -> Answer<mpsc::Receiver<BatchNews>> {
        batch::commit(self, &batch)
    }

    fn route_export(&mut self, of: RouteFamily, after: Option<Prefix>, max: usize) -> Slice {
        batch::export(self, of.family, after, max)
    }

    fn neighbours(&mut self, filter: NeighbourFilter) -> Pending<Vec<Neighbour>> {
        let wanted = |n: &&Neighbour| {
            filter.address.is_none_or(|address| n.address == address)
                && filter
                    .family
                    .is_none_or(|family| Family::of(n.address) == family)
        };
        ready(Ok(self.neighbours.iter().filter(wanted).cloned().collect()))
    }

    fn neighbour_set(&mut self, ask: NeighbourSet) -> Pending<()> {
        self.neighbours.push(Neighbour {
            address: ask.address,
            port: ask.port.unwrap_or_else(|| "rack".into()),
            mac: Some(ask.mac),
            state: NeighbourState::Permanent,
            expires: None,
            published: ask.published,
            reserved: false,
        });
        ready(Ok(()))
    }

    fn neighbour_delete(&mut self, ask: NeighbourDelete) -> Pending<Deleted> {
        let (deleted, kept) = self
            .neighbours
            .drain(..)
            .partition(|n| n.address == ask.address);
        self.neighbours = kept;
        let message = format!("no entry for {}", ask.address);
        ready(match deleted {
            deleted if deleted.is_empty() => Err(CallError::refused(Reason::NotFound, message)),
            deleted => Ok(Deleted { deleted }),
        })
    }

    fn neighbour_flush(&mut self, filter: NeighbourFilter) -> Pending<Deleted> {
        let doomed = |n: &Neighbour| filter.family.is_none_or(|f| f == Family::of(n.address));
        let (deleted, kept) = self.neighbours.drain(..).partition(doomed);
        self.neighbours = kept;
        ready(Ok(Deleted { deleted }))
    }

    fn flows(&mut self, filter: FlowFilter) -> Answer<Box<dyn Iterator<Item = Flow> + Send>> {
        let protocol = filter.protocol.unwrap_or_else(|| "tcp".into());
        Ok(Box::new((0..self.flows).map(move |at| flow(&protocol, at))))
    }

    fn flow_flush(&mut self, _: FlowFilter) -> Pending<FlowsFlushed> {
        let flushed = u64::from(std::mem::take(&mut self.flows));
        ready(Ok(FlowsFlushed { flushed }))
    }

    fn flow_stats(&mut self) -> Reading<FlowStats> {
        let table = FlowTable {
            name: "flows-v4".into(),
            limit: 65536,
            used: self.flows.into(),
            high_water: 9,
            bytes: 6_000_000,
            huge_bytes: 4_194_304,
            bucket_fill: vec![2728, 3],
            strays: 0,
            probes: vec![3, 0],
            debt: 2,
            debt_groups: vec![GroupDebt {
                index: 4,
                group: Some(7),
                entries: 2,
            }],
            counters: BTreeMap::from([("hits".into(), 100), ("inserts".into(), 9)]),
        };
        let moved = BTreeMap::from([("dead".into(), 2), ("policy".into(), 0)]);
        let misses = BTreeMap::from([("cold".into(), 9)]);
        Box::new(|| FlowStats {
            tables: vec![table],
            misses,
            moved,
            collateral: 0,
            unpinned_packets: 4,
        })
    }

    fn timeouts(&mut self) -> FlowTimeouts {
        FlowTimeouts::of(|_| 240)
    }

    fn timeout_set(&mut self, ask: FlowTimeoutSet) -> Answer<FlowTimeouts> {
        let state = state(&ask.name).map_err(|message| CallError::InvalidParameter {
            parameter: "name".into(),
            message,
        })?;
        let now = |of| if of == state { ask.seconds } else { 240 };
        let Some(class) = ask.class else {
            return Ok(FlowTimeouts::of(now));
        };
        let all = FlowTimeouts::of(|_| 240);
        let class = TimeoutsOf {
            class,
            routes: 2,
            groups: vec![7],
            first: [("10.0.0.0/8", 0), ("10.1.0.0/16", 1)]
                .map(timed_route)
                .into(),
            timeouts: all.of_class(now),
        };
        Ok(FlowTimeouts {
            classes: vec![class],
            ..all
        })
    }

    fn timeout_delete(&mut self, ask: FlowTimeoutDelete) -> Answer<FlowTimeouts> {
        if ask.class.to_string() == "web" {
            return Ok(FlowTimeouts::of(|_| 240));
        }
        let line = format!("no timeouts are called {}", ask.class);
        Err(CallError::refused(Reason::NotFound, line))
    }

    fn templates(&mut self, filter: TemplateFilter) -> Answer<Reading<Vec<Template>>> {
        Ok(templates::list(filter))
    }

    fn template_flush(&mut self, filter: TemplateFilter) -> Answer<TemplatesFlushed> {
        let flushed = templates::list(filter)().len() as u64;
        Ok(TemplatesFlushed { flushed })
    }

    fn ports(&mut self) -> Reading<Ports> {
        let port = |index: u32, name: &str, kind: &str, address: &str| Port {
            name: name.into(),
            index,
            kind: kind.into(),
            parent: None,
            vlan: None,
            up: true,
            device: None,
            mode: None,
            warning: None,
            mtu: 1500,
            mac: (kind == "tap").then(|| "02:00:00:00:00:01".into()),
            offloads: match kind {
                "tap" => vec!["csum".into(), "tso4".into()],
                _ => Vec::new(),
            },
            addresses: vec![address.into()],
            rx_packets: 10,
            rx_bytes: 1000,
            rx_dropped: 1,
            rx_missed: 0,
            tx_packets: 20,
            tx_bytes: 2000,
            tx_refused: 2,
        };
        let uplink = port(1, "uplink", "tun", "10.99.0.1/24");
        let rack = port(2, "rack", "tap", "192.0.2.1/24");
        let vlan = Port {
            parent: Some(rack.name.clone()),
            vlan: Some(100),
            mac: rack.mac.clone(),
            ..port(3, "rack.100", "vlan", "198.51.100.1/24")
        };
        Box::new(|| Ports {
            ports: vec![uplink, rack, vlan],
        })
    }

    fn counters(&mut self, of: CountersOf) -> Answer<Reading<Counters>> {
        let counter = |name: &str, value, text: &str| Counter {
            name: name.into(),
            value,
            text: text.into(),
        };
        let ip = vec![
            counter("ips_total", 12, "total packets received"),
            counter("ips_badsum", 0, "bad header checksums"),
        ];
        let arp = vec![counter("txrequests", 1, "ARP request sent")];
        let mut blocks = vec![
            CounterBlock {
                protocol: "ip".into(),
                counters: ip,
            },
            CounterBlock {
                protocol: "arp".into(),
                counters: arp,
            },
        ];
        if let Some(protocol) = of.protocol {
            blocks.retain(|block| block.protocol == protocol);
            if blocks.is_empty() {
                let message = format!("{protocol}: unknown protocol: use ip or arp");
                return Err(CallError::refused(Reason::Invalid, message));
            }
        }
        Ok(Box::new(|| Counters { blocks }))
    }

    fn nexthops(&mut self) -> Nexthops {
        let paths = self.routes.iter().flat_map(|route| &route.paths);
        let members: Vec<Path> = paths.cloned().collect();
        let nexthops = members.iter().map(|path| Nexthop {
            index: path.nexthop,
            generation: path.generation,
            kind: path.kind,
            gateway: path.gateway,
            port: path.port.clone(),
            mtu: path.mtu,
            admin: path.admin,
            health: path.health,
            groups: 1,
            recursive: path.recursive,
            through: path.through,
            causes: path.causes.clone(),
        });
        let nexthops = nexthops.collect();
        Nexthops {
            nexthops,
            groups: vec![Group {
                group: None,
                index: 3,
                buckets: 4096,
                members,
            }],
        }
    }

    fn nexthop_set(&mut self, ask: NexthopSet) -> Answer<NexthopsSet> {
        let mut nexthops = self.nexthops().nexthops;
        nexthops.retain(|nexthop| nexthop.gateway == Some(ask.gateway));
        for nexthop in &mut nexthops {
            match ask.order {
                NexthopOrder::Down => nexthop.health = Health::Dead,
                NexthopOrder::Up => nexthop.health = Health::Up,
                NexthopOrder::Drain => nexthop.admin = Admin::Draining,
                NexthopOrder::In => nexthop.admin = Admin::In,
            }
        }
        Ok(NexthopsSet {
            nexthops,
            ..NexthopsSet::default()
        })
    }

    fn group_add(&mut self, ask: GroupAdd) -> Answer<GroupDone> {
        groups::done(ask.group, &ask.paths)
    }

    fn group_change(&mut self, ask: GroupChange) -> Answer<GroupDone> {
        groups::done(ask.group, &ask.paths)
    }

    fn group_delete(&mut self, ask: GroupDelete) -> Answer<GroupDone> {
        let spec = |gateway| PathSpec {
            gateway: Some(gateway),
            ..PathSpec::default()
        };
        let paths: Vec<PathSpec> = ask.gateway.into_iter().map(spec).collect();
        groups::done(ask.group, &paths)
    }

    fn groups(&mut self, of: GroupsOf) -> Answer<Vec<u32>> {
        groups::which(of)
    }

    fn group(&mut self, _: u32) -> Option<GroupState> {
        Some(groups::state())
    }

    fn group_export(&mut self, _: u32, from: u32, most: u32) -> (u64, GroupLayout) {
        groups::layout(from, most)
    }

    fn capture(&mut self, ask: &Capture) -> Capturing {
        capture::start(ask.all)
    }

    fn changes(&mut self, from: u64) -> (u64, u64, Vec<CaptureChange>) {
        capture::changes(from)
    }

    fn explain(&mut self, ask: Explain) -> Answer<Explained> {
        Ok(explain::explained(&ask))
    }

    fn ping(&mut self, ask: Ping) -> Pending<Pinging> {
        ready(ping::start(&ask, Arc::clone(&self.pings)))
    }

    fn workers(&mut self) -> Reading<Workers> {
        workers::shown()
    }

    fn workers_set(&mut self, ask: WorkersSet) -> Answer<WorkersDone> {
        workers::set(&ask)
    }

    fn status(&mut self) -> Reading<Status> {
        let worker = |worker| Worker {
            worker,
            cpu: Some(worker.into()),
            packets: 1000,
            handed_off: 25,
            sleep_permille: 987,
            flows: 3,
        };
        let table = Table {
            name: "flows-v4".into(),
            used: 3,
            limit: 65536,
            policy: "evicts unconfirmed flows, then forwards without a pin".into(),
            overflows: 0,
        };
        let leaving = Leaving {
            group: None,
            name: "192.0.2.12".into(),
            destination: Some("203.0.113.0/24".into()),
            fib: 0,
            admin: Admin::Draining,
            health: Health::Up,
            flows: 2,
            deadline: Some(90),
        };
        let status = Status {
            version: "0.1.0".into(),
            pid: 42,
            uptime: 3_723_000,
            workers: vec![worker(0), worker(1)],
            steering: "off: not asked for".into(),
            flow_memory: "memfd on transparent huge pages".into(),
            sandbox: "off: a test".into(),
            tables: vec![table],
            moved: BTreeMap::from([("dead".into(), 2), ("policy".into(), 0)]),
            collateral: 0,
            unpinned_packets: 4,
            memory: vec![Memory {
                name: "rib".into(),
                bytes: 96,
                routes: 2,
            }],
            leaving: vec![leaving],
        };
        Box::new(|| status)
    }

    fn poll(&mut self, news: &mut Vec<News>) -> Duration {
        news.append(&mut self.news);
        Duration::from_millis(100)
    }
}

fn flow(protocol: &str, at: u32) -> Flow {
    let direction = |packets| FlowDirection {
        nexthop: (packets > 0).then(|| FlowNexthop {
            kind: PathKind::Gateway,
            gateway: "192.0.2.11".parse().ok(),
            port: Some("rack".into()),
            nexthop: 1,
            generation: 7,
            state: "live".into(),
        }),
        packets,
        bytes: packets * 100,
    };
    Flow {
        timeouts: None,
        kind: None,
        aux: None,
        fib: 0,
        protocol: protocol.into(),
        client: ([10, 99, 0, 2], 40_000 + u16::try_from(at % 20_000).unwrap()).into(),
        server: ([203, 0, 113, 10], 80).into(),
        state: "established".into(),
        class: "two_way".into(),
        idle: 1_500,
        expires: 7_198_500,
        forward: direction(12),
        reverse: direction(0),
        worker: u16::try_from(at % 2).unwrap(),
        slot: 200,
    }
}

fn timed_route((destination, fib): (&str, u8)) -> TimedRoute {
    TimedRoute {
        destination: destination.into(),
        fib,
    }
}
