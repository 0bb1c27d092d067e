//! A value of each type with every field there, so that it writes all that it can write. Each field is named here: who
//! adds one to a type adds it here, and to the description.

use super::keys;
use crate::wire::batch::*;
use crate::wire::capture::*;
use crate::wire::explain::*;
use crate::wire::flow::*;
use crate::wire::group::*;
use crate::wire::moves::*;
use crate::wire::neighbour::*;
use crate::wire::nexthop::*;
use crate::wire::options::*;
use crate::wire::ping::*;
use crate::wire::route::*;
use crate::wire::stats::*;
use crate::wire::template::*;
use crate::wire::timeout::*;
use crate::wire::workers::*;
use arp::Mac;
use route::Prefix;
use route::TimeoutClass;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::net::SocketAddr;

/// Something that is there: no zero, nothing empty, nothing left out.
pub(super) trait Full {
    fn full() -> Self;
}

impl<T: Full> Full for Option<T> {
    fn full() -> Self {
        Some(T::full())
    }
}

impl<T: Full> Full for Vec<T> {
    fn full() -> Self {
        vec![T::full()]
    }
}

impl Full for BTreeMap<String, u64> {
    fn full() -> Self {
        [(Full::full(), 1)].into()
    }
}

macro_rules! values {
    ($($type:ty: $value:expr,)*) => {
        $(impl Full for $type {
            fn full() -> Self {
                $value
            }
        })*
    };
}

values! {
    bool: true,
    u8: 1,
    u16: 1,
    u32: 1,
    u64: 1,
    String: "s".into(),
    IpAddr: [10, 0, 0, 1].into(),
    SocketAddr: ([10, 0, 0, 1], 1).into(),
    Prefix: "10.0.0.0/8".parse().unwrap(),
    Mac: Self([2; 6]),
    TimeoutClass: "web".parse().unwrap(),
    Admin: Self::In,
    Direction: Self::In,
    Failback: Self::Stay,
    Family: Self::Inet,
    Framing: Self::Ip,
    Health: Self::Up,
    NeighbourState: Self::Reachable,
    NexthopOrder: Self::Drain,
    PathKind: Self::Gateway,
    PingOutcome: Self::Reply,
    Select: Self::Tuple,
    Turn: Self::First,
}

macro_rules! structs {
    ($($name:ident { $($field:ident),* $(,)? })*) => {
        $(impl Full for $name {
            fn full() -> Self {
                Self { $($field: Full::full()),* }
            }
        })*
    };
}

macro_rules! described {
    ($($name:ident $fields:tt)*) => {
        structs! { $($name $fields)* }

        /// What each type writes that has a name in the description.
        pub(super) fn types() -> Vec<(&'static str, BTreeSet<String>)> {
            vec![$((stringify!($name), keys::<$name>())),*]
        }
    };
}

described! {
    PathSpec { kind, gateway, port, weight, mtu, recursive }
    Path {
        kind, gateway, port, weight, mtu, nexthop, generation, admin, health, deadline, buckets,
        starting, recursive, through, causes,
    }
    Starting { percent, left }
    Route { destination, fib, group, buckets, options, is_static, paths }
    RouteDone { destination, fib, paths, warning }
    Options { select, sticky, failback, slow_start, buckets, group, timeouts }
    Sticky { length, timeout }
    MoveNexthop { kind, gateway, port }
    Move { from, to, reason, flows, clients, bytes_per_second }
    MovePlan {
        flows, clients, bytes_per_second, sampled, staying, at_deadline, already_due, unlisted,
        moves, deadline_moves,
    }
    MoveState { from, to, reason, due, moved, expired, stayed, left }
    RouteMoves {
        change, time, order, destination, group, nexthop, fib, due, moved, expired, stayed, left,
        unfollowed, moves,
    }
    PathSet { paths, options }
    FlowOf { protocol, source, source_port, destination_port }
    Pin { nexthop, generation, name, state }
    Choice { bucket, pin, path, why }
    Neighbour { address, port, mac, state, expires, published, reserved }
    FlowNexthop { kind, gateway, port, nexthop, generation, state }
    FlowDirection { nexthop, packets, bytes }
    Flow {
        protocol, client, server, state, class, idle, expires, forward, reverse, worker, slot, fib,
        timeouts, kind, aux,
    }
    Template { client, destination, group, fib, nexthop, idle, expires }
    GroupDebt { index, group, entries }
    FlowTable {
        name, limit, used, high_water, bytes, huge_bytes, bucket_fill, strays, probes, debt,
        debt_groups, counters,
    }
    Timeout { name, seconds, default }
    TimedRoute { destination, fib }
    TimeoutsOf { class, routes, groups, first, timeouts }
    WorkerSlots { worker, cpu, slots, flows, packets, handed_off }
    Port {
        name, index, kind, parent, vlan, up, device, mode, warning, mtu,
        configured_mtu, mac, offloads, addresses,
        rx_packets, rx_bytes, rx_dropped, rx_missed, tx_packets, tx_bytes, tx_refused,
    }
    Counter { name, value, text }
    CounterBlock { protocol, counters }
    Nexthop {
        index, generation, kind, gateway, port, mtu, admin, health, groups, recursive, through,
        causes,
    }
    Group { index, group, buckets, members }
    Worker { worker, cpu, packets, handed_off, sleep_permille, flows }
    Table { name, used, limit, policy, overflows }
    Memory { name, bytes, routes }
    Leaving { name, destination, group, fib, admin, health, flows, deadline }
    GroupDone { group, index, paths, warning }
    GroupMember { path, due, remembered }
    GroupState {
        group, index, buckets, size, ownerless, routes, remembering, depth, options, members,
        warning,
    }
    LayoutName { kind, gateway, port, weight }
    LayoutRun { buckets, holders, owner, remembered }
    LayoutLost { name, ago }
    CapturePort { name, ether }
    CaptureRecord { time, worker, port, direction, verdict, reason, length, bytes, bare }
    CaptureChange { time, text }
    ExplainFlow { protocol, source, source_port, destination, destination_port }
    ExplainOut { port, nexthop, generation, gateway, header, pieces }
    ExplainStep { stage, goes_on, cause }
}

// Parameters.
structs! {
    RouteAdd { destination, fib, paths, options }
    RouteChange { destination, fib, paths, deadline, mtu, options }
    RouteDelete { destination, fib, gateway, port }
    RouteGet { destination, fib, length, port, flow }
    RouteFamily { family, fib }
    OfFib { fib }
    BatchBegin { replace, fib }
    BatchAdd { batch, sets, routes }
    BatchOf { batch }
    NeighbourFilter { family, port, address }
    NeighbourSet { address, mac, port, temporary, published }
    NeighbourDelete { address, port }
    FlowFilter { address, port, protocol, nexthop, worker, state, limit }
    FlowTimeoutSet { name, seconds, class }
    FlowTimeoutDelete { class }
    TemplateFilter { client, nexthop }
    CountersOf { protocol }
    NexthopSet { gateway, order, deadline, plan }
    GroupAdd { group, fib, paths, options }
    GroupChange { group, fib, paths, deadline, options }
    GroupDelete { group, gateway, port }
    GroupsOf { group, index, all }
    GroupOf { group, index }
    Capture { all, sample, filter, last }
    Explain { packet, framing, flow, turn, port, fib }
    Ping { address, port, count, interval, wait, size }
    WorkersSet { workers }
}

// Replies that are no described type.
structs! {
    RouteChanged { done, plan, moves }
    RouteAnswer { destination, route, choice }
    Routes { routes }
    Flushed { deleted }
    BatchBegun { batch }
    BatchAdded { routes }
    BatchDone { done, total, added, changed, deleted, warning }
    Exported { sets, routes }
    RouteMovesList { changes }
    Neighbours { neighbours }
    Deleted { deleted }
    Flows { flows }
    FlowsFlushed { flushed }
    FlowStats { tables, misses, moved, collateral, unpinned_packets }
    FlowTimeouts { timeouts, classes }
    Templates { templates }
    TemplatesFlushed { flushed }
    Ports { ports }
    Counters { blocks }
    Nexthops { nexthops, groups }
    NexthopsSet { nexthops, warning, plan }
    GroupChanged { done, plan, moves }
    Groups { groups }
    GroupLayout { names, runs }
    Captured { ports, records, changes, missed }
    Explained {
        packet, port, assumed, steps, verdict, reason, text, icmp, out, worker, slot, destination,
        group, bucket, buckets, pin, unsure,
    }
    PingResult { address, sequence, outcome, bytes, rtt, ttl, reason }
    Workers { workers, most, moving, moved, parked, parked_in_all, parked_dropped, each }
    WorkersDone { before, workers, moves }
    Status {
        version, pid, uptime, workers, steering, flow_memory, sandbox, tables, memory, moved,
        collateral, unpinned_packets, leaving,
    }
}
