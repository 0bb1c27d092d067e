//! What control asks of the host, and the answers. In a running gateway they cross threads; in a test
//! control calls the host directly.

use super::{Check, CheckId, CheckState, Host, PingOutcome, PingRefusal, PingSpec};
use crate::ports::{Layer, Port};
use arp::{Mac, NeighError, NeighIdx};
use route::PortId;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

/// A command.
#[derive(Clone, Debug)]
pub enum HostCmd {
    /// A port appeared or changed.
    SetPort(Port),
    /// A next hop needs this neighbour, for as long as it exists.
    Reserve(PortId, IpAddr),
    /// It does not any more.
    Release(NeighIdx),
    /// All neighbours.
    Neighbours,
    /// `arp -s`.
    SetStatic {
        /// Where; by default the port on which the address is on-link.
        port: PortId,
        /// The neighbour.
        addr: IpAddr,
        /// Its hardware address.
        mac: Mac,
        /// Answer for it (proxy).
        published: bool,
    },
    /// `arp -s ... temp`: it lapses as a learned one does.
    SetTemporary(PortId, IpAddr, Mac),
    /// `arp -d`: answered with the entries that were deleted.
    Delete(Option<PortId>, IpAddr),
    /// `arp -d -a`: those that nothing reserves or states, of these families, answered likewise.
    Flush {
        /// On one port, or on all.
        port: Option<PortId>,
        /// IPv4.
        v4: bool,
        /// IPv6.
        v6: bool,
    },
    /// Counters of ARP and ND.
    NeighStats,
    /// The health checks there are to be from now on.
    SetChecks(Vec<Check>),
    /// The checks and how they stand.
    Checks,
    /// Starts to ping; how each request ends is told there, until nobody listens or the queue is full.
    Ping(PingSpec, SyncSender<PingOutcome>),
    /// Ends the ping of this number, if it has not ended.
    PingStop(u64),
    /// The gateway ends: hosts that were told of a router are told that there is none any more.
    Farewell,
}

/// An answer.
#[derive(Clone, Debug)]
pub enum HostReply {
    /// Done, nothing to say.
    Done,
    /// A neighbour's slot.
    Neigh(NeighIdx),
    /// All neighbours, or those that were deleted.
    Neighbours(Vec<arp::Neighbour>),
    /// Counters, and the table's (used, limit).
    NeighStats(Box<arp::ArpStats>, (usize, usize)),
    /// Health checks.
    Checks(Vec<(CheckId, CheckState)>),
    /// A ping's number.
    PingStarted(u64),
    /// No ping was started.
    PingRefused(PingRefusal),
    /// So many frames are under way.
    Told(usize),
    /// Refused.
    Refused(NeighError),
    /// The host has ended.
    Gone,
}

/// A way to the host that answers.
pub trait HostLink {
    /// Has the host carry out a command.
    fn call(&mut self, cmd: HostCmd) -> HostReply;
}

impl HostLink for Host {
    fn call(&mut self, cmd: HostCmd) -> HostReply {
        let now = self.now.0;
        match cmd {
            HostCmd::SetPort(port) => {
                self.set_port(&port);
                HostReply::Done
            }
            HostCmd::Farewell => {
                self.table.farewell(&mut self.frames);
                HostReply::Told(self.frames.len())
            }
            HostCmd::Reserve(port, addr) => answer(
                self.table
                    .reserve(arp::PortId(port.0), addr, now)
                    .map(HostReply::Neigh),
            ),
            HostCmd::Release(idx) => {
                self.table.release(idx, now);
                HostReply::Done
            }
            HostCmd::Neighbours => HostReply::Neighbours(self.table.list(now)),
            HostCmd::SetStatic {
                port,
                addr,
                mac,
                published,
            } => {
                let done = self
                    .table
                    .set_static(arp::PortId(port.0), addr, mac, published);
                self.wake_workers();
                answer(done.map(|_| HostReply::Done))
            }
            HostCmd::SetTemporary(port, addr, mac) => {
                let done = self.table.set_temporary(arp::PortId(port.0), addr, mac);
                self.wake_workers();
                answer(done.map(|_| HostReply::Done))
            }
            HostCmd::Delete(port, addr) => self.delete_neighbour(port, addr),
            HostCmd::Flush { port, v4, v6 } => self.flush_neighbours(port, v4, v6),
            HostCmd::NeighStats => {
                HostReply::NeighStats(Box::new(self.table.stats().clone()), self.table.fills())
            }
            HostCmd::SetChecks(checks) => {
                self.sockets.set_checks(checks, now);
                HostReply::Done
            }
            HostCmd::Checks => HostReply::Checks(self.sockets.checks()),
            HostCmd::Ping(spec, told) => {
                let ports = Arc::clone(self.ports.load());
                let started = self.sockets.start_ping(spec, told, now, &ports);
                started.map_or_else(HostReply::PingRefused, HostReply::PingStarted)
            }
            HostCmd::PingStop(id) => {
                self.sockets.stop_ping(id);
                HostReply::Done
            }
        }
    }
}

fn answer(result: Result<HostReply, NeighError>) -> HostReply {
    result.unwrap_or_else(HostReply::Refused)
}

impl Host {
    fn delete_neighbour(&mut self, port: Option<PortId>, addr: IpAddr) -> HostReply {
        let port = port.map(|p| arp::PortId(p.0));
        let mut doomed = self.table.list(self.now.0);
        doomed.retain(|n| n.addr == addr && port.is_none_or(|p| p == n.port));
        let deleted = self.table.delete(port, &addr);
        // Who held packets for it looks again.
        self.wake_workers();
        answer(deleted.map(|_| HostReply::Neighbours(doomed)))
    }

    fn flush_neighbours(&mut self, port: Option<PortId>, v4: bool, v6: bool) -> HostReply {
        let mut doomed = self.table.list(self.now.0);
        doomed.retain(|n| {
            let wanted = if n.addr.is_ipv4() { v4 } else { v6 };
            wanted && !n.reserved && !n.permanent && port.is_none_or(|p| p.0 == n.port.0)
        });
        for n in &doomed {
            // It was there a moment ago, and nobody else deletes.
            let _ = self.table.delete(Some(n.port), &n.addr);
        }
        self.wake_workers();
        HostReply::Neighbours(doomed)
    }

    fn set_port(&mut self, port: &Port) {
        let Layer::L2(mac) = port.layer else { return };
        let addrs = port.addrs.iter().map(|a| (a.addr, a.len)).collect();
        let info = arp::PortInfo {
            port: arp::PortId(port.id.0),
            mac,
            addrs,
            up: port.up,
            advertise: port.rules.adverts.map(|adverts| arp::Advertise {
                lifetime_s: adverts.lifetime_s,
                interval_s: adverts.interval_s,
                mtu: port.takes(),
            }),
        };
        self.table.set_port(info, self.now.0, &mut self.frames);
    }
}
