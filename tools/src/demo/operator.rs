//! The demo as the gateway's operator: `flowgate route` is run as a command, the state is read by the control
//! socket, exactly as for anybody else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::addressing::{ECHO_PORT, SERVICE4, SERVICE6, ServerNo};
use super::judge::{COLLATERAL, Pins};
use super::models::Tuple;
use super::stage::Operator;
use crate::client::{Client, SOCKET_VARIABLE};
use crate::wire::flow::{Flow, FlowFilter, FlowStats, Flows};
use crate::wire::route::{Health, Path as Nexthop, Route, RouteFamily, Routes};

/// An operator with the `flowgate` program and a control socket.
pub(crate) struct SocketOperator {
    program: PathBuf,
    socket: PathBuf,
    client: Client,
}

impl SocketOperator {
    /// Connects to the gateway that serves `socket`; `program` is flowgate itself.
    pub(crate) fn connect(program: &Path, socket: &Path) -> Result<Self, String> {
        let client = Client::connect(socket).map_err(|error| error.to_string())?;
        Ok(Self {
            program: program.into(),
            socket: socket.into(),
            client,
        })
    }

    /// The service's routes, of each family that there is.
    fn service_routes(&mut self) -> Result<Vec<Route>, String> {
        let mut routes = Vec::new();
        self.client
            .call_more("RouteList", &RouteFamily::default(), |page: Routes, _| {
                routes.extend(page.routes);
                true
            })
            .map_err(|error| error.to_string())?;
        let hosts = [format!("{SERVICE4}/32"), format!("{SERVICE6}/128")];
        routes.retain(|route| hosts.contains(&route.destination.to_string()));
        Ok(routes)
    }
}

impl Operator for SocketOperator {
    fn route(&mut self, words: &[String]) -> Result<(), String> {
        let output = Command::new(&self.program)
            .arg("route")
            .args(words)
            .env(SOCKET_VARIABLE, &self.socket)
            .output()
            .map_err(|error| format!("cannot run {}: {error}", self.program.display()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!(
            "'flowgate route {}' failed: {}",
            words.join(" "),
            said.trim()
        ))
    }

    fn pins(&mut self) -> Result<Pins, String> {
        let filter = FlowFilter {
            port: Some(ECHO_PORT),
            protocol: Some("tcp".into()),
            ..FlowFilter::default()
        };
        let mut pins = Pins::new();
        self.client
            .call_more("FlowList", &filter, |page: Flows, _| {
                pins.extend(page.flows.iter().filter_map(pin));
                true
            })
            .map_err(|error| error.to_string())?;
        Ok(pins)
    }

    fn moves(&mut self) -> Result<BTreeMap<String, u64>, String> {
        let stats: FlowStats = self
            .client
            .call("FlowStats", &json!({}))
            .map_err(|error| error.to_string())?;
        let mut moves = stats.moved;
        moves.insert(COLLATERAL.into(), stats.collateral);
        Ok(moves)
    }

    fn health(&mut self, server: ServerNo) -> Result<Option<bool>, String> {
        let routes = self.service_routes()?;
        let of_server =
            |nexthop: &&Nexthop| nexthop.gateway.and_then(ServerNo::from_addr) == Some(server);
        let mut states = routes
            .iter()
            .flat_map(|route| route.paths.iter().filter(of_server))
            .map(is_up);
        let first = states.next().flatten();
        Ok(first.filter(|_| states.all(|state| state == first)))
    }
}

/// `None` while it is between the two.
fn is_up(nexthop: &Nexthop) -> Option<bool> {
    match nexthop.health {
        Health::Up => Some(true),
        Health::Dead => Some(false),
        Health::Returning => None,
    }
}

/// Where a flow to the service goes. A listing may not know which end is the client; the port tells.
fn pin(flow: &Flow) -> Option<(Tuple, ServerNo)> {
    let is_service = |end: &std::net::SocketAddr| {
        end.port() == ECHO_PORT && (end.ip() == SERVICE4 || end.ip() == SERVICE6)
    };
    let (tuple, direction) = if is_service(&flow.server) {
        (
            Tuple {
                client: flow.client,
                service: flow.server,
            },
            &flow.forward,
        )
    } else if is_service(&flow.client) {
        (
            Tuple {
                client: flow.server,
                service: flow.client,
            },
            &flow.reverse,
        )
    } else {
        return None;
    };
    let gateway = direction.nexthop.as_ref()?.gateway?;
    Some((tuple, ServerNo::from_addr(gateway)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::flow::{FlowDirection, FlowNexthop};
    use crate::wire::route::PathKind;

    fn direction(gateway: Option<&str>) -> FlowDirection {
        let nexthop = FlowNexthop {
            kind: PathKind::Gateway,
            gateway: gateway.map(|text| text.parse().unwrap()),
            port: None,
            nexthop: 1,
            generation: 1,
            state: "live".into(),
        };
        FlowDirection {
            nexthop: Some(nexthop),
            packets: 1,
            bytes: 40,
        }
    }

    fn flow(client: &str, server: &str, forward: Option<&str>, reverse: Option<&str>) -> Flow {
        Flow {
            timeouts: None,
            kind: None,
            aux: None,
            protocol: "tcp".into(),
            client: client.parse().unwrap(),
            server: server.parse().unwrap(),
            state: "established".into(),
            class: "two_way".into(),
            idle: 0,
            expires: 1,
            forward: direction(forward),
            reverse: direction(reverse),
            worker: 0,
            slot: 0,
            fib: 0,
        }
    }

    #[test]
    fn a_flow_is_placed_by_its_direction_towards_the_service() {
        let (client, service) = ("10.99.1.1:40000", "203.0.113.10:7");
        let tuple = Tuple {
            client: client.parse().unwrap(),
            service: service.parse().unwrap(),
        };
        let forward = flow(client, service, Some("192.0.2.13"), None);
        assert_eq!(pin(&forward), Some((tuple, ServerNo(2))));
        let swapped = flow(service, client, None, Some("192.0.2.13"));
        assert_eq!(pin(&swapped), Some((tuple, ServerNo(2))));
    }

    #[test]
    fn a_flow_of_another_service_or_without_a_server_has_no_place() {
        assert_eq!(
            pin(&flow(
                "10.99.1.1:7",
                "10.99.1.2:80",
                Some("192.0.2.13"),
                None
            )),
            None
        );
        assert_eq!(
            pin(&flow("10.99.1.1:9", "203.0.113.10:7", None, None)),
            None
        );
        assert_eq!(
            pin(&flow(
                "10.99.1.1:9",
                "203.0.113.10:7",
                Some("192.0.2.1"),
                None
            )),
            None
        );
    }
}
