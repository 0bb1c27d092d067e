//! Neighbours: asked of the host, answered on its thread while control goes on.

use super::Live;
use super::refusal::of_neighbour;
use super::refusal::refused;
use crate::server::Answer;
use crate::server::Pending;
use crate::server::ready;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::neighbour as wire;
use crate::wire::neighbour::NeighbourState;
use crate::wire::route::Family;
use arp::NeighState;
use route::FibId;
use route::PortId;
use stack::ControlError;
use stack::host::HostCmd;
use stack::host::HostReply;
use stack::ports::Layer;
use stack::ports::Port;
use stack::ports::Ports;
use std::net::IpAddr;
use std::sync::mpsc;

impl Live {
    pub(super) fn list_neighbours(
        &mut self,
        filter: wire::NeighbourFilter,
    ) -> Pending<Vec<wire::Neighbour>> {
        let port = match self.named(filter.port.as_deref()) {
            Ok(port) => port,
            Err(error) => return ready(Err(error)),
        };
        self.ask(HostCmd::Neighbours, move |reply, ports| {
            let mut all = neighbours(reply, ports)?;
            all.retain(|n| {
                filter.address.is_none_or(|address| address == n.address)
                    && filter
                        .family
                        .is_none_or(|family| family == Family::of(n.address))
                    && port.is_none_or(|id| ports.get(id).is_some_and(|p| p.name == n.port))
            });
            Ok(all)
        })
    }

    pub(super) fn set_neighbour(&mut self, ask: &wire::NeighbourSet) -> Pending<()> {
        let port = match self.port_for(ask) {
            Ok(port) => port,
            Err(error) => return ready(Err(error)),
        };
        let (addr, mac, published) = (ask.address, ask.mac, ask.published);
        let cmd = if ask.temporary {
            HostCmd::SetTemporary(port, addr, mac)
        } else {
            HostCmd::SetStatic {
                port,
                addr,
                mac,
                published,
            }
        };
        self.ask(cmd, |reply, ports| match reply {
            HostReply::Refused(error) => Err(refusal(&error, ports)),
            HostReply::Gone => Err(gone()),
            _ => Ok(()),
        })
    }

    pub(super) fn delete_neighbour(
        &mut self,
        ask: &wire::NeighbourDelete,
    ) -> Pending<wire::Deleted> {
        match self.named(ask.port.as_deref()) {
            Ok(port) => self.ask(HostCmd::Delete(port, ask.address), deleted),
            Err(error) => ready(Err(error)),
        }
    }

    pub(super) fn flush_neighbours(
        &mut self,
        filter: &wire::NeighbourFilter,
    ) -> Pending<wire::Deleted> {
        if let Some(address) = filter.address {
            let port = filter.port.clone();
            return self.delete_neighbour(&wire::NeighbourDelete { address, port });
        }
        let v4 = filter.family != Some(Family::Inet6);
        let v6 = filter.family != Some(Family::Inet);
        match self.named(filter.port.as_deref()) {
            Ok(port) => self.ask(HostCmd::Flush { port, v4, v6 }, deleted),
            Err(error) => ready(Err(error)),
        }
    }

    /// Asks the host; its thread turns the reply into the answer.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        cmd: HostCmd,
        answer: impl FnOnce(HostReply, &Ports) -> Answer<T> + Send + 'static,
    ) -> Pending<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let ports = self.control.ports().clone();
        self.host.post(
            cmd,
            Box::new(move |reply| {
                // There is room for one; a client that went away misses nothing.
                let _ = sender.try_send(answer(reply, &ports));
            }),
        );
        receiver
    }

    fn named(&self, name: Option<&str>) -> Answer<Option<PortId>> {
        let Some(name) = name else { return Ok(None) };
        match self.control.ports().named(name) {
            Some(port) => Ok(Some(port.id)),
            None => Err(CallError::Refused(
                Reason::NotFound,
                no_such_port(name, self.control.ports()),
            )),
        }
    }

    /// The port that an address is next to, in the lowest FIB that has one.
    fn next_to(&self, address: IpAddr) -> Answer<&Port> {
        let ports = self.control.ports();
        let mut fibs = (0..FibId::MOST).map(FibId);
        let near = fibs.find_map(|fib| Some((fib, ports.reaching(fib, &address)?)));
        let Some((fib, port)) = near else {
            let ports = listed(ports);
            let message = format!("no port has an address in the network of {address}; {ports}");
            return Err(CallError::Refused(Reason::Unreachable, message));
        };
        let alone = self.control.refuse_which_link(fib, address);
        alone.map_err(|error| refused(&error)).map(|()| port)
    }

    /// The port of a stated neighbour, which must be one that has neighbours.
    fn port_for(&self, ask: &wire::NeighbourSet) -> Answer<PortId> {
        let ports = self.control.ports();
        if ask.temporary && ask.published {
            // The words of arp, and of ndp.
            let published = if ask.address.is_ipv4() {
                "pub"
            } else {
                "proxy"
            };
            let message =
                format!("a published entry does not expire: leave temp or {published} out");
            return Err(CallError::refused(Reason::Invalid, message));
        }
        let port = match &ask.port {
            Some(name) => ports
                .named(name)
                .ok_or_else(|| CallError::Refused(Reason::NotFound, no_such_port(name, ports)))?,
            None => self.next_to(ask.address)?,
        };
        match port.layer {
            Layer::L2(_) => Ok(port.id),
            Layer::L3 => Err(CallError::Refused(
                Reason::Invalid,
                format!(
                    "port {} carries IP packets without link addresses: it has no neighbours",
                    port.name
                ),
            )),
        }
    }
}

impl Live {
    pub(super) fn no_such_port(&self, name: &str) -> CallError {
        CallError::Refused(Reason::NotFound, no_such_port(name, self.control.ports()))
    }
}

fn no_such_port(name: &str, ports: &Ports) -> String {
    format!("no port is called {name}; {}", listed(ports))
}

/// `ports: uplink (10.99.0.1/24), rack (192.0.2.1/24 fd00:2::1/64)`
fn listed(ports: &Ports) -> String {
    let one = |port: &Port| {
        let addresses: Vec<String> = port
            .addrs
            .iter()
            .map(|a| format!("{}/{}", a.addr, a.len))
            .collect();
        format!("{} ({})", port.name, addresses.join(" "))
    };
    format!(
        "ports: {}",
        ports.0.iter().map(one).collect::<Vec<_>>().join(", ")
    )
}

fn deleted(reply: HostReply, ports: &Ports) -> Answer<wire::Deleted> {
    Ok(wire::Deleted {
        deleted: neighbours(reply, ports)?,
    })
}

fn neighbours(reply: HostReply, ports: &Ports) -> Answer<Vec<wire::Neighbour>> {
    match reply {
        HostReply::Neighbours(all) => Ok(all.iter().map(|n| neighbour(n, ports)).collect()),
        HostReply::Refused(error) => Err(refusal(&error, ports)),
        _ => Err(gone()),
    }
}

fn gone() -> CallError {
    super::refusal::refused(&ControlError::HostGone)
}

/// The table knows ports by number only.
fn refusal(error: &arp::NeighError, ports: &Ports) -> CallError {
    let name = |id: arp::PortId| {
        ports
            .get(PortId(id.0))
            .map_or_else(|| format!("port{id}"), |port| port.name.clone())
    };
    let message = match error {
        arp::NeighError::OffLink { port, addr } if is_broadcast(ports, *port, addr) => {
            let line = format!(
                "{addr} is the broadcast or zero address of the network of port {}: write one host's",
                name(*port)
            );
            return CallError::refused(Reason::Invalid, line);
        }
        arp::NeighError::OffLink { port, addr } => {
            format!(
                "{addr} is not on the network of port {}; {}",
                name(*port),
                listed(ports)
            )
        }
        arp::NeighError::PortDown(port) => format!("port {} is down", name(*port)),
        arp::NeighError::NotFound(addr) => format!("no entry for {addr}"),
        other => other.to_string(),
    };
    CallError::Refused(of_neighbour(error), message)
}

/// A network's broadcast and zero addresses are on no link, as the table sees it (RFC 1122 §3.2.1.3).
fn is_broadcast(ports: &Ports, port: arp::PortId, addr: &IpAddr) -> bool {
    let port = ports.get(PortId(port.0));
    port.is_some_and(|port| port.is_broadcast(addr))
}

fn neighbour(n: &arp::Neighbour, ports: &Ports) -> wire::Neighbour {
    let port = ports.get(PortId(n.port.0));
    wire::Neighbour {
        address: n.addr,
        port: port.map_or_else(|| format!("port{}", n.port), |port| port.name.clone()),
        mac: n.mac,
        state: state(n.state),
        expires: n.expires_ms,
        published: n.published,
        reserved: n.reserved,
    }
}

const fn state(state: NeighState) -> NeighbourState {
    match state {
        NeighState::Free | NeighState::Incomplete => NeighbourState::Incomplete,
        NeighState::Reachable => NeighbourState::Reachable,
        NeighState::Stale => NeighbourState::Stale,
        NeighState::Probe => NeighbourState::Probe,
        NeighState::Failed => NeighbourState::Failed,
        NeighState::Permanent => NeighbourState::Permanent,
    }
}
