//! Why control refuses: one line each, with what would be right.

use route::{FibId, Prefix, RouteError, TimeoutClass};
use std::net::IpAddr;

/// Why control refuses. Each message is one line that says what is wrong and what would be right.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ControlError {
    #[error(transparent)]
    Route(#[from] RouteError),
    #[error(
        "Network is unreachable: no port{of} has an address in the network of {gateway}; {ports}; {remedy}",
        of = of_fib(*.fib),
        remedy = reached_by(gateway)
    )]
    NoPort {
        fib: FibId,
        gateway: IpAddr,
        ports: String,
    },
    #[error(
        "{0} cannot be found through routes: name the address of one router that is no link-local"
    )]
    NotRecursive(IpAddr),
    #[error(
        "{gateway} is our own address on port {port}: name the address of the next router or server"
    )]
    OwnGateway { gateway: IpAddr, port: String },
    #[error("{addr} may be on the link of {ports}: say on which port, {addr}%PORT")]
    WhichLink { addr: IpAddr, ports: String },
    #[error("{gateway} is not on the network of port {port}; {ports}")]
    OffLink {
        gateway: IpAddr,
        port: String,
        ports: String,
    },
    #[error(
        "{gateway} is not on the link of port {port}: give port {port} an fe80:: address with /64"
    )]
    NoLinkLocal { gateway: IpAddr, port: String },
    #[error(
        "{gateway} is the {what} address of port {port}'s network {network}: name the next router's or server's"
    )]
    NoHost {
        gateway: IpAddr,
        what: &'static str,
        port: String,
        network: Prefix,
    },
    #[error("no port is called {name}; {ports}")]
    NoSuchPort { name: String, ports: String },
    #[error(
        "{prefix} is IPv6 and gateway {gateway} is IPv4: an IPv6 route needs an IPv6 gateway (IPv4 routes may have either)"
    )]
    Family { prefix: Prefix, gateway: IpAddr },
    #[error("{prefix} is the network of port {port}: change the port's addresses instead")]
    Connected { prefix: Prefix, port: String },
    #[error("{prefix} has several such paths: name the gateway; they are {paths}")]
    WhichPath { prefix: Prefix, paths: String },
    #[error("a route needs a gateway, -iface PORT, -blackhole or -reject")]
    NoTarget,
    #[error("the gateway {0} is named twice: name it once, with its weight")]
    TwiceNamed(IpAddr),
    #[error("weight {0} is out of range: weights go from 1 to 16777215")]
    Weight(u32),
    #[error(
        "weight 0 is not valid for add: 0 means drain; use 'route change ... -weight 0' on a route that has the gateway"
    )]
    WeightZero,
    #[error("{0}")]
    Neighbour(#[from] arp::NeighError),
    #[error("the host thread has ended: restart the gateway")]
    HostGone,
    #[error(
        "{asked} workers: this gateway can have 1 to {most}; for more, set max-workers in the configuration and start it again"
    )]
    Workers { asked: usize, most: usize },
    #[error(
        "no timeouts are called {name}: there are {names}; 'flow timeout --class {name} STATE SECONDS' makes them, [timeouts.{name}] in \
         the configuration keeps them"
    )]
    NoTimeouts { name: TimeoutClass, names: String },
    #[error("timeouts {name} are those of {by}: change these first, with -timeouts default, say")]
    TimeoutsInUse { name: TimeoutClass, by: String },
    #[error("the default timeouts cannot be deleted: change them")]
    TimeoutsDefault,
    #[error(
        "there are 15 classes of timeouts, and no more can be: delete one with 'flow timeout --delete NAME'"
    )]
    TimeoutsFull,
    #[error(
        "there are {there} classes of timeouts, and the numbers of {deleted} deleted ones are still with flows: try again when every \
         flow was looked at, in a minute or some"
    )]
    TimeoutsEnding { there: usize, deleted: usize },
    #[error("worker {0} is busy with earlier commands: try again")]
    WorkerBusy(usize),
    #[error("port {port} is of FIB {is}, not of FIB {asked}: name one of the two")]
    PortOfFib {
        port: String,
        is: FibId,
        asked: FibId,
    },
    #[error(
        "no route leads back to {0}, so nobody knows by which port its packets come: say -port PORT"
    )]
    WhichPort(IpAddr),
    #[error("no next hop is called {0}: 'route show' lists them")]
    NoSuchNhop(String),
    #[error("Network is unreachable: no route to {0}")]
    NoRoute(IpAddr),
    #[error(
        "a batch of routes is being loaded ({percent} % done) and nothing else may change routes meanwhile: try again when it has ended"
    )]
    InBatch { percent: usize },
    #[error("{prefix}: {error}")]
    InRoute { prefix: Prefix, error: Box<Self> },
}

/// How to name a gateway that is on no port's network. A link-local one is on the link of any.
fn reached_by(gateway: &IpAddr) -> String {
    if matches!(gateway, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
        return format!("name its port too, {gateway}%PORT");
    }
    "name a gateway on one of these, or say -recursive to have other routes lead to it".into()
}

/// " of FIB 1"; nothing for the one that goes without saying.
pub(super) fn of_fib(fib: FibId) -> String {
    match fib {
        FibId(0) => String::new(),
        fib => format!(" of FIB {fib}"),
    }
}
