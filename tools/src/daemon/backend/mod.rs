//! The control socket's [`Backend`] over the running gateway: typed calls in, `stack`'s control and host behind them.
//!
//! | file | what it answers |
//! |---|---|
//! | `routes` | routes, next hops, what a monitor is told of them |
//! | `spec` | a route as it is asked for, as control takes it |
//! | `groups` | groups that have a number |
//! | `batch` | whole tables of routes, loaded in slices and exported |
//! | `moves` | which flows a change of a route or a group moves |
//! | `endings` | which flows a drain moves that comes to its deadline |
//! | `capture` | what workers keep of packets, what has changed |
//! | `explain` | what would become of a packet, and why |
//! | `neighbours` | neighbours, by way of the host's thread |
//! | `ping` | pings, by way of the host's thread |
//! | `flows` | flows: list, flush, statistics |
//! | `templates` | affinity templates: list, flush |
//! | `devices` | what becomes of the ports' devices |
//! | `stats` | ports, counters |
//! | `pressure` | one log line when a table of flows or templates fills up |
//! | `quiet` | log lines that anybody can cause, limited |
//! | `turn` | what control does by itself, again and again, and what is logged of it |
//! | `workers` | the number of workers |
//! | `status` | the overall state |
//! | `refusal` | why control refuses, as a reason on the wire |
//!
//! Concurrency: [`Live`] belongs to the control thread. What is long is a `Reading` over a [`Reader`], run by the client's
//! thread; what the host knows is answered on the host's thread.

mod batch;
mod capture;
mod devices;
mod endings;
mod explain;
mod flows;
mod groups;
mod moves;
mod neighbours;
mod nexthops;
mod options;
mod ping;
mod pressure;
mod quiet;
mod refusal;
mod routes;
mod spec;
mod stats;
mod status;
mod templates;
#[cfg(test)]
mod tests;
mod turn;
mod workers;

pub(crate) use devices::DeviceCell;
pub(in crate::daemon) use groups::spec_to_add as group_spec;
pub(crate) use options::asked;
pub(super) use options::options_of;
pub(super) use routes::kind;
pub(crate) use spec::spec_with;
pub(super) use stats::counters_of;

use super::state::Keeper;
use crate::server::Answer;
use crate::server::Backend;
use crate::server::Batch;
use crate::server::BatchNews;
use crate::server::Capturing;
use crate::server::Foreseeing;
use crate::server::Obeyed;
use crate::server::Order;
use crate::server::Pending;
use crate::server::Pinging;
use crate::server::Reading;
use crate::server::Slice;
use crate::server::Ticket;
use crate::wire;
use crate::wire::route::News;
use flows::Flushing;
use pressure::Pressure;
use quiet::Quiet;
use route::GroupId;
use route::GroupSketch;
use route::Prefix;
use stack::Control;
use stack::Now;
use stack::io::devices::News as DeviceNews;
use stack::io::poll::Clock;
use stack::io::run::HostThread;
use stack::io::steer::Steering;
use stack::offload::Caps;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

/// What only the one who started the gateway knows of it.
#[derive(Debug)]
pub(crate) struct About {
    /// What each port is: `tun`, `tap`, `packet`, `xdp`, `mem`.
    pub(crate) kinds: Vec<&'static str>,
    /// What each port's device takes unfinished; of one that is not here, nothing.
    pub(crate) offloads: Vec<Caps>,
    /// What was last heard of each port's device.
    pub(crate) devices: Vec<DeviceCell>,
    /// CPUs that the workers are pinned to, in turn; empty: they are not.
    pub(crate) cpus: Vec<usize>,
    /// Whether devices are steered, and if not, why.
    pub(crate) steering: String,
    /// On what memory the flow tables are, and why.
    pub(crate) flow_memory: String,
    /// What the daemon has given up, or why it has not.
    pub(crate) sandbox: String,
}

impl About {
    /// What a port's device takes unfinished.
    fn offloads_of(&self, port: usize) -> Vec<String> {
        let caps = self.offloads.get(port).copied().unwrap_or_default();
        caps.words().map(Into::into).collect()
    }

    /// The CPU that a worker is pinned to.
    fn cpu_of(&self, worker: usize) -> Option<u32> {
        let cpu = self.cpus.get(worker % self.cpus.len().max(1))?;
        u32::try_from(*cpu).ok()
    }
}

/// The running gateway, as the control thread has it.
pub(crate) struct Live {
    control: Control,
    host: HostThread,
    clock: Clock,
    about: Arc<About>,
    flushing: Vec<Flushing>,
    batches: batch::Batches,
    moves: moves::Moves,
    endings: endings::Endings,
    /// Neighbours that moved, addresses of ours that others use.
    moved: Quiet,
    conflicts: Quiet,
    keeper: Option<Keeper>,
    pressure: Pressure,
    steering: Option<Steering>,
    device_news: Option<mpsc::Receiver<DeviceNews>>,
    /// New queues that found a worker's mailbox full, and what was heard after them.
    device_news_due: VecDeque<DeviceNews>,
    changes: capture::Changes,
    wishes: Arc<capture::Wishes>,
}

impl Live {
    pub(crate) fn new(control: Control, host: HostThread, clock: Clock, about: About) -> Self {
        let about = Arc::new(about);
        Self {
            control,
            host,
            clock,
            about,
            flushing: Vec::new(),
            batches: batch::Batches::default(),
            moves: moves::Moves::default(),
            endings: endings::Endings::default(),
            moved: Quiet::default(),
            conflicts: Quiet::default(),
            keeper: None,
            pressure: Pressure::default(),
            steering: None,
            device_news: None,
            device_news_due: VecDeque::new(),
            changes: capture::Changes::default(),
            wishes: Arc::default(),
        }
    }

    /// Of the ports' devices it hears by this from now on.
    pub(in crate::daemon) fn hear(&mut self, news: mpsc::Receiver<DeviceNews>) {
        self.device_news = Some(news);
    }

    /// The program that steers devices follows slots from now on.
    pub(in crate::daemon) fn steer(&mut self, steering: Steering) {
        self.steering = Some(steering);
        self.follow_slots();
    }

    /// Groups are kept for the next start from now on.
    pub(in crate::daemon) fn keep_state(&mut self, keeper: Keeper) {
        self.keeper = Some(keeper);
    }

    /// The gateway ends: what is to be kept is written.
    pub(crate) fn end(mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.end(&self.control);
        }
    }

    fn now(&self) -> Now {
        Now(self.clock.ms())
    }
}

impl Backend for Live {
    fn route_add(&mut self, ask: wire::route::RouteAdd) -> Answer<wire::route::RouteDone> {
        self.add(&ask)
    }

    fn route_change(&mut self, ask: wire::route::RouteChange) -> Answer<wire::route::RouteDone> {
        self.change(&ask)
    }

    fn route_delete(&mut self, ask: wire::route::RouteDelete) -> Answer<wire::route::RouteDone> {
        self.delete(&ask)
    }

    fn foresee(&mut self, order: Order) -> Answer<Foreseeing> {
        self.foresee_order(&order)
    }

    fn foresee_drain(&mut self, ask: wire::nexthop::NexthopSet) -> Answer<Foreseeing> {
        self.foresee_drain_of(&ask)
    }

    fn group_sketch(&mut self, id: GroupId) -> Option<GroupSketch> {
        self.control.group_sketch(id)
    }

    fn routes_within(&mut self, of: Prefix, after: Option<Prefix>, max: usize) -> Vec<Prefix> {
        self.control.routes_within(of, after, max)
    }

    fn obeyed(&mut self) -> Obeyed {
        self.control.obeyed()
    }

    fn route_moves(&mut self) -> Reading<Vec<wire::moves::RouteMoves>> {
        self.read_moves()
    }

    fn route_get(&mut self, ask: wire::route::RouteGet) -> Answer<wire::route::RouteAnswer> {
        self.get(&ask)
    }

    fn has_fib(&mut self, fib: u8) -> Answer<()> {
        let there = self.control.check_fib(route::FibId(fib));
        there.map_err(|error| refusal::refused(&error))
    }

    fn routes(
        &mut self,
        of: wire::route::RouteFamily,
        after: Option<Prefix>,
        max: usize,
    ) -> Vec<wire::route::Route> {
        self.list_routes(of, after, max)
    }

    fn route_flush(
        &mut self,
        of: wire::route::RouteFamily,
        max: usize,
    ) -> Answer<Vec<wire::route::RouteDone>> {
        self.flush_routes(of, max)
    }

    fn batch_begin(&mut self) -> Answer<Ticket> {
        self.begin_batch()
    }

    fn batch_commit(&mut self, batch: Batch) -> Answer<mpsc::Receiver<BatchNews>> {
        self.commit_batch(batch)
    }

    fn route_export(
        &mut self,
        of: wire::route::RouteFamily,
        after: Option<Prefix>,
        max: usize,
    ) -> Slice {
        self.export_routes(of, after, max)
    }

    fn neighbours(
        &mut self,
        filter: wire::neighbour::NeighbourFilter,
    ) -> Pending<Vec<wire::neighbour::Neighbour>> {
        self.list_neighbours(filter)
    }

    fn neighbour_set(&mut self, ask: wire::neighbour::NeighbourSet) -> Pending<()> {
        self.set_neighbour(&ask)
    }

    fn neighbour_delete(
        &mut self,
        ask: wire::neighbour::NeighbourDelete,
    ) -> Pending<wire::neighbour::Deleted> {
        self.delete_neighbour(&ask)
    }

    fn neighbour_flush(
        &mut self,
        filter: wire::neighbour::NeighbourFilter,
    ) -> Pending<wire::neighbour::Deleted> {
        self.flush_neighbours(&filter)
    }

    fn flows(
        &mut self,
        filter: wire::flow::FlowFilter,
    ) -> Answer<Box<dyn Iterator<Item = wire::flow::Flow> + Send>> {
        self.list_flows(&filter)
    }

    fn flow_flush(&mut self, filter: wire::flow::FlowFilter) -> Pending<wire::flow::FlowsFlushed> {
        self.flush_flows(&filter)
    }

    fn flow_stats(&mut self) -> Reading<wire::flow::FlowStats> {
        let (reader, numbers) = (self.control.reader(), self.group_numbers());
        Box::new(move || flows::stats(&reader, &numbers))
    }

    fn timeouts(&mut self) -> wire::timeout::FlowTimeouts {
        self.all_timeouts()
    }

    fn timeout_delete(
        &mut self,
        ask: wire::timeout::FlowTimeoutDelete,
    ) -> Answer<wire::timeout::FlowTimeouts> {
        self.delete_timeouts(&ask)
    }

    fn timeout_set(
        &mut self,
        ask: wire::timeout::FlowTimeoutSet,
    ) -> Answer<wire::timeout::FlowTimeouts> {
        self.set_timeout(&ask)
    }

    fn templates(
        &mut self,
        filter: wire::template::TemplateFilter,
    ) -> Answer<Reading<Vec<wire::template::Template>>> {
        self.list_templates(&filter)
    }

    fn template_flush(
        &mut self,
        filter: wire::template::TemplateFilter,
    ) -> Answer<wire::template::TemplatesFlushed> {
        self.flush_templates(&filter)
    }

    fn ports(&mut self) -> Reading<wire::stats::Ports> {
        let (reader, about) = (self.control.reader(), Arc::clone(&self.about));
        Box::new(move || stats::ports(&reader, &about))
    }

    fn counters(&mut self, of: wire::stats::CountersOf) -> Answer<Reading<wire::stats::Counters>> {
        self.read_counters(of)
    }

    fn nexthops(&mut self) -> wire::stats::Nexthops {
        self.list_nexthops()
    }

    fn nexthop_set(
        &mut self,
        ask: wire::nexthop::NexthopSet,
    ) -> Answer<wire::nexthop::NexthopsSet> {
        self.order_nexthop(&ask)
    }

    fn group_add(&mut self, ask: wire::group::GroupAdd) -> Answer<wire::group::GroupDone> {
        self.add_group(&ask)
    }

    fn group_change(&mut self, ask: wire::group::GroupChange) -> Answer<wire::group::GroupDone> {
        self.change_group(&ask)
    }

    fn group_delete(&mut self, ask: wire::group::GroupDelete) -> Answer<wire::group::GroupDone> {
        self.delete_group(&ask)
    }

    fn groups(&mut self, of: wire::group::GroupsOf) -> Answer<Vec<u32>> {
        self.which_groups(of)
    }

    fn group(&mut self, index: u32) -> Option<wire::group::GroupState> {
        self.group_state(index)
    }

    fn group_export(
        &mut self,
        index: u32,
        from: u32,
        most: u32,
    ) -> (u64, wire::group::GroupLayout) {
        let layout = self.group_layout(index, from, most);
        (self.control.layouts(), layout)
    }

    fn capture(&mut self, ask: &wire::capture::Capture) -> Capturing {
        self.start_capture(ask)
    }

    fn changes(&mut self, from: u64) -> (u64, u64, Vec<wire::capture::CaptureChange>) {
        self.changes.since(from)
    }

    fn explain(&mut self, ask: wire::explain::Explain) -> Answer<wire::explain::Explained> {
        self.explain_one(ask)
    }

    fn ping(&mut self, ask: wire::ping::Ping) -> Pending<Pinging> {
        self.start_ping(&ask)
    }

    fn workers(&mut self) -> Reading<wire::workers::Workers> {
        self.read_workers()
    }

    fn workers_set(
        &mut self,
        ask: wire::workers::WorkersSet,
    ) -> Answer<wire::workers::WorkersDone> {
        self.change_workers(&ask)
    }

    fn status(&mut self) -> Reading<wire::stats::Status> {
        self.read_status()
    }

    fn poll(&mut self, news: &mut Vec<News>) -> Duration {
        self.take_turn(news)
    }
}
