//! What a gateway must be able to do for the control socket: one method a call, typed.
//!
//! The control thread owns the backend and calls it; a method takes a slice of a millisecond at most. What takes longer
//! leaves the thread: a [`Reading`] is run by the client's own thread (it reads what workers publish, lock-free), a
//! [`Pending`] is answered by another thread (the host, the workers) when it gets to it.

use super::Batch;
use super::BatchNews;
use super::Foreseeing;
use super::Obeyed;
use super::Order;
use super::Slice;
use super::Ticket;
use crate::wire::capture::Capture;
use crate::wire::capture::CaptureChange;
use crate::wire::capture::Captured;
use crate::wire::explain::Explain;
use crate::wire::explain::Explained;
use crate::wire::flow::Flow;
use crate::wire::flow::FlowFilter;
use crate::wire::flow::FlowStats;
use crate::wire::flow::FlowsFlushed;
use crate::wire::group::GroupAdd;
use crate::wire::group::GroupChange;
use crate::wire::group::GroupDelete;
use crate::wire::group::GroupDone;
use crate::wire::group::GroupLayout;
use crate::wire::group::GroupState;
use crate::wire::group::GroupsOf;
use crate::wire::message::CallError;
use crate::wire::moves::RouteMoves;
use crate::wire::neighbour::Deleted;
use crate::wire::neighbour::Neighbour;
use crate::wire::neighbour::NeighbourDelete;
use crate::wire::neighbour::NeighbourFilter;
use crate::wire::neighbour::NeighbourSet;
use crate::wire::nexthop::NexthopSet;
use crate::wire::nexthop::NexthopsSet;
use crate::wire::ping::Ping;
use crate::wire::ping::PingResult;
use crate::wire::route::News;
use crate::wire::route::Route;
use crate::wire::route::RouteAdd;
use crate::wire::route::RouteAnswer;
use crate::wire::route::RouteChange;
use crate::wire::route::RouteDelete;
use crate::wire::route::RouteDone;
use crate::wire::route::RouteFamily;
use crate::wire::route::RouteGet;
use crate::wire::stats::Counters;
use crate::wire::stats::CountersOf;
use crate::wire::stats::Nexthops;
use crate::wire::stats::Ports;
use crate::wire::stats::Status;
use crate::wire::template::Template;
use crate::wire::template::TemplateFilter;
use crate::wire::template::TemplatesFlushed;
use crate::wire::timeout::FlowTimeoutDelete;
use crate::wire::timeout::FlowTimeoutSet;
use crate::wire::timeout::FlowTimeouts;
use crate::wire::workers::Workers;
use crate::wire::workers::WorkersDone;
use crate::wire::workers::WorkersSet;
use route::GroupId;
use route::GroupSketch;
use route::Prefix;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// What a call ends with.
pub type Answer<T> = Result<T, CallError>;

/// An answer that another thread gives; when its sender is dropped, the gateway is stopping.
pub type Pending<T> = mpsc::Receiver<Answer<T>>;

/// The rest of a call, to be run by whoever asked.
pub type Reading<T> = Box<dyn FnOnce() -> T + Send>;

/// A ping under way: waits so long for the next request to end. It is `Disconnected` when nothing follows. Dropping it
/// ends the ping.
pub type Pinging = Box<dyn FnMut(Duration) -> Result<PingResult, RecvTimeoutError> + Send>;

/// A capture under way: what has come since the last call. Dropping it ends the capture.
pub type Capturing = Box<dyn FnMut() -> Captured + Send>;

/// A pending answer that is there already.
pub fn ready<T>(answer: Answer<T>) -> Pending<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    // The receiver is right here and the channel has room for one.
    let _ = sender.try_send(answer);
    receiver
}

/// The gateway, as the control socket sees it. Parameters have been read and are of the right type;
/// whether they make sense is for the backend to say, in one line.
pub trait Backend: Send {
    /// Adds paths to a prefix.
    fn route_add(&mut self, ask: RouteAdd) -> Answer<RouteDone>;

    /// Changes weights, or replaces the set of paths.
    fn route_change(&mut self, ask: RouteChange) -> Answer<RouteDone>;

    /// Deletes a route or one of its paths.
    fn route_delete(&mut self, ask: RouteDelete) -> Answer<RouteDone>;

    /// What a change of a route or a group is foreseen by; it is not made.
    fn foresee(&mut self, order: Order) -> Answer<Foreseeing>;

    /// What a drain of a next hop everywhere is foreseen by; it is not made.
    fn foresee_drain(&mut self, ask: NexthopSet) -> Answer<Foreseeing>;

    /// A copy of a group, for what a change is foreseen by.
    fn group_sketch(&mut self, id: GroupId) -> Option<GroupSketch>;

    /// Up to `max` prefixes that lie in `of`, are longer and follow `after`, in order.
    fn routes_within(&mut self, of: Prefix, after: Option<Prefix>, max: usize) -> Vec<Prefix>;

    /// Says, asked later, whether every worker obeys what was changed up to now.
    fn obeyed(&mut self) -> Obeyed;

    /// The last changes that moved flows, the oldest first.
    fn route_moves(&mut self) -> Reading<Vec<RouteMoves>>;

    /// The longest match; with a 5-tuple the next hop that it takes.
    fn route_get(&mut self, ask: RouteGet) -> Answer<RouteAnswer>;

    /// Refuses a FIB that is not there.
    fn has_fib(&mut self, fib: u8) -> Answer<()>;

    /// Up to `max` routes of a FIB that follow `after`, in the table's order: IPv4, IPv6; by address, by length.
    fn routes(&mut self, of: RouteFamily, after: Option<Prefix>, max: usize) -> Vec<Route>;

    /// Deletes up to `max` static routes; none left: empty.
    fn route_flush(&mut self, of: RouteFamily, max: usize) -> Answer<Vec<RouteDone>>;

    /// The right to gather a batch of routes; one has it at a time.
    fn batch_begin(&mut self) -> Answer<Ticket>;

    /// Takes a batch, which is completed from here on, and tells how it goes.
    fn batch_commit(&mut self, batch: Batch) -> Answer<mpsc::Receiver<BatchNews>>;

    /// Looks at up to `max` routes that follow `after`, in the table's order, and returns the static ones.
    fn route_export(&mut self, of: RouteFamily, after: Option<Prefix>, max: usize) -> Slice;

    /// The neighbours that match, by port, then address.
    fn neighbours(&mut self, filter: NeighbourFilter) -> Pending<Vec<Neighbour>>;

    /// States a neighbour.
    fn neighbour_set(&mut self, ask: NeighbourSet) -> Pending<()>;

    /// Deletes a neighbour.
    fn neighbour_delete(&mut self, ask: NeighbourDelete) -> Pending<Deleted>;

    /// Deletes all neighbours that match and that nothing reserves or states for good.
    fn neighbour_flush(&mut self, filter: NeighbourFilter) -> Pending<Deleted>;

    /// The flows that match; the filter's limit is the caller's business.
    fn flows(&mut self, filter: FlowFilter) -> Answer<Box<dyn Iterator<Item = Flow> + Send>>;

    /// Forgets the flows that match.
    fn flow_flush(&mut self, filter: FlowFilter) -> Pending<FlowsFlushed>;

    /// The flow tables' counters.
    fn flow_stats(&mut self) -> Reading<FlowStats>;

    /// The idle timeouts.
    fn timeouts(&mut self) -> FlowTimeouts;

    /// Changes one; what they all are then.
    fn timeout_set(&mut self, ask: FlowTimeoutSet) -> Answer<FlowTimeouts>;

    /// Deletes a class of them; what they all are then.
    fn timeout_delete(&mut self, ask: FlowTimeoutDelete) -> Answer<FlowTimeouts>;

    /// The affinity templates that match.
    fn templates(&mut self, filter: TemplateFilter) -> Answer<Reading<Vec<Template>>>;

    /// Forgets the affinity templates that match.
    fn template_flush(&mut self, filter: TemplateFilter) -> Answer<TemplatesFlushed>;

    /// The ports.
    fn ports(&mut self) -> Reading<Ports>;

    /// The counters of one protocol, or of all.
    fn counters(&mut self, of: CountersOf) -> Answer<Reading<Counters>>;

    /// The next hops and groups.
    fn nexthops(&mut self) -> Nexthops;

    /// Carries out an order about a next hop, or, if only its plan is asked for, says what is known of it.
    fn nexthop_set(&mut self, ask: NexthopSet) -> Answer<NexthopsSet>;

    /// Makes a group that has a number, or adds members to it.
    fn group_add(&mut self, ask: GroupAdd) -> Answer<GroupDone>;

    /// Changes a group for all its routes.
    fn group_change(&mut self, ask: GroupChange) -> Answer<GroupDone>;

    /// Deletes a group, or a member of it.
    fn group_delete(&mut self, ask: GroupDelete) -> Answer<GroupDone>;

    /// The ids of the groups that are meant, in the order of a listing.
    fn groups(&mut self, of: GroupsOf) -> Answer<Vec<u32>>;

    /// A group by its id, if it is still there.
    fn group(&mut self, index: u32) -> Option<GroupState>;

    /// Up to `most` of a group's buckets, from bucket `from` on; with the first, the names of its next hops. Before it a
    /// number that changes with every change of any group.
    fn group_export(&mut self, index: u32, from: u32, most: u32) -> (u64, GroupLayout);

    /// Starts to capture; the values are in their ranges.
    fn capture(&mut self, ask: &Capture) -> Capturing;

    /// What has changed, from change number `from` on, as far as it is remembered: the number of the next change to come,
    /// how many are forgotten, and those.
    fn changes(&mut self, from: u64) -> (u64, u64, Vec<CaptureChange>);

    /// Explains a packet; the call asks for one thing.
    fn explain(&mut self, ask: Explain) -> Answer<Explained>;

    /// Starts to ping; the values are in their ranges.
    fn ping(&mut self, ask: Ping) -> Pending<Pinging>;

    /// The workers and what they own.
    fn workers(&mut self) -> Reading<Workers>;

    /// Changes how many own slots; the slots move after it.
    fn workers_set(&mut self, ask: WorkersSet) -> Answer<WorkersDone>;

    /// The overall state.
    fn status(&mut self) -> Reading<Status>;

    /// The backend's own work (deadlines, health, what has become free): called after every call and when the time that
    /// it returned last is over. What happened since is added to `news`.
    fn poll(&mut self, news: &mut Vec<News>) -> Duration;
}
