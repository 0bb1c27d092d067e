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
use crate::wire::workers::Workers;
use crate::wire::workers::WorkersDone;
use crate::wire::workers::WorkersSet;
use route::Prefix;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::mpsc;
use std::time::Duration;

mod batch;
mod capture;
mod explain;
mod flows;
mod groups;
mod moves;
mod neighbours;
mod nexthops;
mod ping;
mod routes;
mod stats;
mod templates;
mod timeouts;
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
            neighbours::neighbour("192.0.2.11", Some(1_187_000), NeighbourState::Reachable),
            neighbours::neighbour("192.0.2.99", None, NeighbourState::Incomplete),
            neighbours::neighbour("fd00::11", Some(86_399_000), NeighbourState::Stale),
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

    /// Two IPv6 routes, of which one fills more than FreeBSD's columns.
    pub(crate) fn long() -> Self {
        let mut fake = Self::small();
        let to =
            |destination, address| route(prefix(destination), vec![path(&gateway(address, 1), 1)]);
        fake.routes = vec![
            to("2001:db8::/32", "fd00::11"),
            to(
                "2001:db8:1111:2222:3333:4444:5555:6660/124",
                "fd00:1111:2222:3333:4444:5555:6666:7777",
            ),
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
        routes::add(self, ask)
    }

    fn route_change(&mut self, ask: RouteChange) -> Answer<RouteDone> {
        routes::change(self, ask)
    }

    fn route_delete(&mut self, ask: RouteDelete) -> Answer<RouteDone> {
        routes::delete(self, ask)
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
        routes::within(self, of, after, max)
    }

    fn obeyed(&mut self) -> Obeyed {
        Box::new(|| true)
    }

    fn route_moves(&mut self) -> Reading<Vec<RouteMoves>> {
        Box::new(|| vec![moves::followed()])
    }

    fn route_get(&mut self, ask: RouteGet) -> Answer<RouteAnswer> {
        routes::get(self, ask)
    }

    fn routes(&mut self, _: RouteFamily, after: Option<Prefix>, max: usize) -> Vec<Route> {
        routes::list(self, after, max)
    }

    fn has_fib(&mut self, _: u8) -> Answer<()> {
        Ok(())
    }

    fn route_flush(&mut self, _: RouteFamily, max: usize) -> Answer<Vec<RouteDone>> {
        routes::flush(self, max)
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
        ready(Ok(neighbours::list(self, filter)))
    }

    fn neighbour_set(&mut self, ask: NeighbourSet) -> Pending<()> {
        neighbours::set(self, ask);
        ready(Ok(()))
    }

    fn neighbour_delete(&mut self, ask: NeighbourDelete) -> Pending<Deleted> {
        ready(neighbours::delete(self, ask))
    }

    fn neighbour_flush(&mut self, filter: NeighbourFilter) -> Pending<Deleted> {
        ready(Ok(neighbours::flush(self, filter)))
    }

    fn flows(&mut self, filter: FlowFilter) -> Answer<Box<dyn Iterator<Item = Flow> + Send>> {
        let protocol = filter.protocol.unwrap_or_else(|| "tcp".into());
        Ok(Box::new(
            (0..self.flows).map(move |at| flows::flow(&protocol, at)),
        ))
    }

    fn flow_flush(&mut self, _: FlowFilter) -> Pending<FlowsFlushed> {
        let flushed = u64::from(std::mem::take(&mut self.flows));
        ready(Ok(FlowsFlushed { flushed }))
    }

    fn flow_stats(&mut self) -> Reading<FlowStats> {
        flows::stats(self.flows)
    }

    fn timeouts(&mut self) -> FlowTimeouts {
        FlowTimeouts::of(|_| 240)
    }

    fn timeout_set(&mut self, ask: FlowTimeoutSet) -> Answer<FlowTimeouts> {
        timeouts::set(ask)
    }

    fn timeout_delete(&mut self, ask: FlowTimeoutDelete) -> Answer<FlowTimeouts> {
        timeouts::delete(ask)
    }

    fn templates(&mut self, filter: TemplateFilter) -> Answer<Reading<Vec<Template>>> {
        Ok(templates::list(filter))
    }

    fn template_flush(&mut self, filter: TemplateFilter) -> Answer<TemplatesFlushed> {
        let flushed = templates::list(filter)().len() as u64;
        Ok(TemplatesFlushed { flushed })
    }

    fn ports(&mut self) -> Reading<Ports> {
        stats::ports()
    }

    fn counters(&mut self, of: CountersOf) -> Answer<Reading<Counters>> {
        stats::counters(of)
    }

    fn nexthops(&mut self) -> Nexthops {
        nexthops::list(self)
    }

    fn nexthop_set(&mut self, ask: NexthopSet) -> Answer<NexthopsSet> {
        nexthops::set(self, ask)
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
        stats::status()
    }

    fn poll(&mut self, news: &mut Vec<News>) -> Duration {
        news.append(&mut self.news);
        Duration::from_millis(100)
    }
}
