//! Paths: by which port a gateway is reached, and which neighbour is reserved for it.

use super::super::batch::Planned;
use super::super::{Control, ControlError};
use super::{GatewaySpec, MTU_MOST, PathKind, Reserved, RouteSpec, iface_path};
use crate::host::{HostCmd, HostLink};
use crate::link::NO_NEIGH;
use crate::ports::{Layer, Port, is_link_local};
use route::{FibId, NhopKey, NhopKind, Path, Prefix};
use std::net::IpAddr;

/// Largest weight.
const WEIGHT_MAX: u32 = (1 << 24) - 1;

impl Control {
    /// The paths of a spec, with a neighbour reserved for each gateway that is not a next hop yet.
    pub(in crate::control) fn paths(
        &mut self,
        spec: &RouteSpec,
        host: &mut dyn HostLink,
    ) -> Result<(Vec<Path>, Reserved), ControlError> {
        let planned = self.led(spec)?;
        let (mut paths, mut reserved) = (Vec::with_capacity(planned.len()), Vec::new());
        for plan in planned {
            let neigh = match self.known_neigh(&plan.key) {
                Some(neigh) => neigh,
                None => match plan.reserve(host) {
                    Ok(neigh) => {
                        reserved.extend(neigh);
                        neigh.map_or(NO_NEIGH, |idx| idx.0)
                    }
                    Err(refused) => {
                        for idx in reserved {
                            host.call(HostCmd::Release(idx));
                        }
                        return Err(refused);
                    }
                },
            };
            paths.push(plan.path(neigh));
        }
        Ok((paths, reserved))
    }

    /// The neighbour of a next hop that there is.
    pub(in crate::control) fn known_neigh(&self, key: &NhopKey) -> Option<u32> {
        let idx = self.routes.nhop(key)?;
        self.routes.nhop_info(idx).map(|info| info.neigh)
    }

    /// The paths of a spec, before their neighbours are known, and the ways of recursive ones.
    pub(in crate::control) fn planned(
        &self,
        spec: &RouteSpec,
    ) -> Result<Vec<Planned>, ControlError> {
        let single = |kind| {
            let key = NhopKey {
                kind,
                port: route::PortId(0),
                gateway: None,
            };
            vec![Planned::alone(key, self.mtu_of(&key, spec.mtu, MTU_MOST))]
        };
        match &spec.kind {
            PathKind::Blackhole => Ok(single(NhopKind::Blackhole)),
            PathKind::Reject => Ok(single(NhopKind::Reject)),
            PathKind::Iface(name) => {
                let port = self.port_named(name)?;
                let Path { key, mtu, .. } = iface_path(port);
                Ok(vec![Planned::alone(key, self.mtu_of(&key, spec.mtu, mtu))])
            }
            PathKind::Gateways(gateways) => self.planned_gateways(spec, gateways),
        }
    }

    fn planned_gateways(
        &self,
        spec: &RouteSpec,
        gateways: &[GatewaySpec],
    ) -> Result<Vec<Planned>, ControlError> {
        let mut planned = Vec::with_capacity(gateways.len());
        for (i, gateway) in gateways.iter().enumerate() {
            let same = |g: &GatewaySpec| g.addr == gateway.addr && g.port == gateway.port;
            if gateways[..i].iter().any(same) {
                return Err(ControlError::TwiceNamed(gateway.addr));
            }
            let weight = gateway.weight.unwrap_or(1);
            if weight > WEIGHT_MAX {
                return Err(ControlError::Weight(weight));
            }
            let port = match self.port_of(spec.prefix, gateway) {
                Ok(port) => port,
                Err(off_link) => {
                    let plan = self.planned_recursive(spec, gateway, weight, off_link)?;
                    planned.push(plan);
                    continue;
                }
            };
            let key = NhopKey {
                kind: NhopKind::Gateway,
                port: port.id,
                gateway: Some(gateway.addr),
            };
            let mtu = self.mtu_of(&key, gateway.mtu.or(spec.mtu), port.mtu);
            let link = matches!(port.layer, Layer::L2(_));
            planned.push(Planned {
                key,
                weight,
                mtu,
                link,
                through: None,
            });
        }
        Ok(planned)
    }

    /// Whether a port of the FIB reaches a gateway.
    pub(in crate::control) fn reaches(&self, prefix: Prefix, gateway: &GatewaySpec) -> bool {
        self.port_of(prefix, gateway).is_ok()
    }

    /// The port by which a gateway is reached.
    pub(in crate::control) fn port_of(
        &self,
        prefix: Prefix,
        gateway: &GatewaySpec,
    ) -> Result<&Port, ControlError> {
        let addr = gateway.addr;
        // RFC 8950: an IPv6 next hop carries IPv4; the other way round nobody has defined anything.
        if prefix.addr().is_ipv6() && addr.is_ipv4() {
            return Err(ControlError::Family {
                prefix,
                gateway: addr,
            });
        }
        let named = gateway.port.as_deref().map(|name| self.port_named(name));
        let named = named.transpose()?;
        // A port that is named may be of another FIB: the route leaks there.
        let fib = named.map_or_else(|| prefix.fib(), |port| port.fib);
        let own = match named {
            // Another link may well have a host of that address.
            Some(port) if is_link_local(&addr) => Some(port).filter(|port| port.has(&addr)),
            _ => self.ports.owning(fib, &addr),
        };
        if let Some(own) = own {
            return Err(ControlError::OwnGateway {
                gateway: addr,
                port: own.name.clone(),
            });
        }
        self.refuse_no_host(fib, addr)?;
        let Some(port) = named else {
            self.refuse_which_link(fib, addr)?;
            return self
                .ports
                .reaching(fib, &addr)
                .ok_or_else(|| ControlError::NoPort {
                    fib,
                    gateway: addr,
                    ports: self.port_names(),
                });
        };
        if !port.on_link(&addr) && !crate::ports::is_link_local(&addr) {
            return Err(ControlError::OffLink {
                gateway: addr,
                port: port.name.clone(),
                ports: self.port_names(),
            });
        }
        if !port.on_link(&addr) && matches!(port.layer, Layer::L2(_)) {
            return Err(ControlError::NoLinkLocal {
                gateway: addr,
                port: port.name.clone(),
            });
        }
        Ok(port)
    }

    /// A link-local address that may be on several links needs its port.
    ///
    /// # Errors
    /// [`ControlError::WhichLink`], which names the ports.
    pub fn refuse_which_link(&self, fib: FibId, addr: IpAddr) -> Result<(), ControlError> {
        let Some(ports) = self.ports.ambiguous(fib, &addr) else {
            return Ok(());
        };
        let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
        let ports = names.join(" or ");
        Err(ControlError::WhichLink { addr, ports })
    }

    pub(super) fn port_named(&self, name: &str) -> Result<&Port, ControlError> {
        let port = self.ports.named(name);
        port.ok_or_else(|| self.no_such_port(name))
    }

    /// The first and the last address of an IPv4 network are nobody's.
    fn refuse_no_host(&self, fib: FibId, gateway: IpAddr) -> Result<(), ControlError> {
        let IpAddr::V4(v4) = gateway else {
            return Ok(());
        };
        for port in self.ports.of_fib(fib) {
            let near = port.addrs.iter().filter_map(|own| own.network());
            for network in near.filter(|n| n.len() < 31 && n.contains(gateway)) {
                let host = u32::MAX.checked_shr(network.len().into()).unwrap_or(0);
                let what = match v4.to_bits() & host {
                    0 => "network",
                    bits if bits == host => "broadcast",
                    _ => continue,
                };
                let port = port.name.clone();
                return Err(ControlError::NoHost {
                    gateway,
                    what,
                    port,
                    network,
                });
            }
        }
        Ok(())
    }
}
