//! Pings: looked at by control, sent and timed by the host, told on the client's own thread.
//!
//! The host pushes into a queue of [`QUEUE`] results and waits for nobody; what holds the other end stops the ping when it
//! is dropped, wherever that happens.

use super::Live;
use super::refusal::refused;
use super::routes::carried;
use crate::server::Answer;
use crate::server::Pending;
use crate::server::Pinging;
use crate::server::ready;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::ping as wire;
use route::FibId;
use route::NhopKind;
use route::PathInfo;
use route::RouteInfo;
use stack::ControlError;
use stack::host::HostCmd;
use stack::host::HostReply;
use stack::host::PINGS;
use stack::host::PingEnd;
use stack::host::PingOutcome;
use stack::host::PingRefusal;
use stack::host::PingSpec;
use stack::host::largest_ping;
use stack::io::run::HostThread;
use stack::ports::Port;
use stack::ports::Ports;
use stack::ports::is_link_local;
use std::net::IpAddr;
use std::sync::mpsc;

/// Results that may wait for their client.
const QUEUE: usize = 1024;

/// Ends a ping of the host's when it is dropped.
struct Guard {
    host: HostThread,
    id: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.host.post(HostCmd::PingStop(self.id), Box::new(drop));
    }
}

impl Live {
    pub(super) fn start_ping(&mut self, ask: &wire::Ping) -> Pending<Pinging> {
        let spec = match self.ping_spec(ask) {
            Ok(spec) => spec,
            Err(error) => return ready(Err(error)),
        };
        let (told, outcomes) = mpsc::sync_channel(QUEUE);
        let host = self.host.clone();
        self.ask(HostCmd::Ping(spec, told), move |reply, _| match reply {
            HostReply::PingStarted(id) => Ok(pinging(spec.addr, outcomes, Guard { host, id })),
            HostReply::PingRefused(why) => Err(refusal(why, spec.addr)),
            _ => Err(refused(&ControlError::HostGone)),
        })
    }

    /// What the host is to do, if the address can be pinged and the size fits on the way to it.
    fn ping_spec(&self, ask: &wire::Ping) -> Answer<PingSpec> {
        let addr = ask.address;
        let link = ask.port.as_deref().map(|name| self.link(name, addr));
        let link = link.transpose()?;
        self.check_pingable(addr, link)?;
        let (mtu, source) = self.way_to(addr, link)?;
        let most = largest_ping(&addr, mtu);
        let size = usize::try_from(ask.size).unwrap_or(usize::MAX);
        if size > most {
            let line = format!(
                "{size} data bytes do not fit: the way to {addr} carries packets of {mtu} bytes, so write {most} at most"
            );
            return Err(CallError::refused(Reason::Invalid, line));
        }
        Ok(PingSpec {
            addr,
            port: link.map(|port| port.id),
            source,
            count: ask.count,
            interval_ms: ask.interval,
            wait_ms: ask.wait,
            size,
        })
    }

    /// The port that is named; only a link-local address has one.
    fn link(&self, name: &str, addr: IpAddr) -> Answer<&Port> {
        if addr.is_ipv4() || !is_link_local(&addr) {
            let line = format!("{addr} is not of one link alone: leave the port out");
            return Err(CallError::refused(Reason::Invalid, line));
        }
        self.on_link(name, addr)
    }

    /// What the way to an address carries, and the address to ping it from: on the link that is named, else by the routes.
    fn way_to(&self, addr: IpAddr, link: Option<&Port>) -> Answer<(u32, Option<IpAddr>)> {
        if let Some(port) = link {
            return Ok((port.takes(), port.link_local()));
        }
        let alone = self.control.refuse_which_link(FibId(0), addr);
        alone.map_err(|error| refused(&error))?;
        let got = self.control.route_get(FibId(0), addr, None, self.now());
        let got = got.map_err(|_| no_route(format!("no route covers {addr}")))?;
        Ok((mtu_of(&got.route, self.control.ports())?, got.source))
    }

    fn check_pingable(&self, addr: IpAddr, link: Option<&Port>) -> Answer<()> {
        let ports = self.control.ports();
        let own = link.map_or_else(|| ports.is_own(FibId(0), &addr), |port| port.has(&addr));
        let v4_broadcast = addr == IpAddr::from([255; 4]);
        let line = if own {
            format!("{addr} is the gateway's own address: nothing would be sent")
        } else if addr.is_unspecified() || addr.is_multicast() || v4_broadcast {
            format!("{addr} is not one host's address: write a unicast one")
        } else if ports.0.iter().any(|port| port.is_broadcast(&addr)) {
            format!("{addr} is a network's broadcast address: write one host's")
        } else if is_link_local(&addr)
            && link.is_none()
            && ports.reaching(FibId(0), &addr).is_none()
        {
            format!("{addr} is valid on one link only, and no port has a link-local address")
        } else {
            return Ok(());
        };
        Err(CallError::refused(Reason::Invalid, line))
    }
}

/// The least that a path of the route carries at present; a route that sends nothing has none.
fn mtu_of(route: &RouteInfo, ports: &Ports) -> Answer<u32> {
    let prefix = route.prefix;
    let of = |kind: NhopKind| route.paths.iter().any(|path| path.key.kind == kind);
    if of(NhopKind::Blackhole) {
        return Err(no_route(format!("{prefix} is a blackhole")));
    }
    if of(NhopKind::Reject) {
        return Err(no_route(format!("{prefix} is rejected")));
    }
    let carries = |path: &PathInfo| carried(ports, path.key.kind, path.port(), path.mtu_now());
    let least = route.paths.iter().map(carries).min();
    least.ok_or_else(|| no_route(format!("{prefix} has no path")))
}

fn no_route(why: String) -> CallError {
    CallError::refused(Reason::Unreachable, format!("No route to host: {why}"))
}

fn refusal(why: PingRefusal, addr: IpAddr) -> CallError {
    match why {
        PingRefusal::TooMany => CallError::refused(
            Reason::Busy,
            format!("{PINGS} pings are under way already: try again later"),
        ),
        PingRefusal::NoSource => {
            let family = if addr.is_ipv4() { "IPv4" } else { "IPv6" };
            let line = format!("{addr}: no port has an {family} address to ping from");
            CallError::refused(Reason::Unreachable, line)
        }
    }
}

fn pinging(addr: IpAddr, outcomes: mpsc::Receiver<PingOutcome>, guard: Guard) -> Pinging {
    Box::new(move |limit| {
        let _stops_when_dropped = &guard;
        Ok(result(addr, outcomes.recv_timeout(limit)?))
    })
}

fn result(address: IpAddr, outcome: PingOutcome) -> wire::PingResult {
    let timeout = wire::PingResult {
        address,
        sequence: outcome.sequence,
        outcome: wire::PingOutcome::Timeout,
        bytes: None,
        rtt: None,
        ttl: None,
        reason: None,
    };
    match outcome.end {
        PingEnd::Timeout => timeout,
        PingEnd::Reply { bytes, rtt_us, ttl } => wire::PingResult {
            outcome: wire::PingOutcome::Reply,
            bytes: u64::try_from(bytes).ok(),
            rtt: Some(rtt_us),
            ttl: Some(ttl),
            ..timeout
        },
        PingEnd::Error(error) => wire::PingResult {
            address: error.from,
            outcome: wire::PingOutcome::Unreachable,
            reason: Some(error.to_string()),
            ..timeout
        },
    }
}
