//! Link-local networks and addresses, each link's own, as they are told. Several links have the same ones and the table has
//! room for one of each: workers ask the port instead (RFC 4007 §6), and what is told does so too.

use super::Control;
use super::routes::{iface_path, local_path};
use crate::link::NO_NEIGH;
use crate::ports::{Port, is_link_local};
use route::{Admin, Health, NhopGen, NhopIdx, NhopInfo, Path, PathInfo, PortId, Prefix, RouteInfo};
use std::net::IpAddr;

impl Control {
    /// `route get` of an address of one link: the port's own, or on its network; `None` if it is on none of the port's.
    pub fn link_route(&self, port: PortId, dst: IpAddr) -> Option<RouteInfo> {
        let port = self.ports.get(port)?;
        let near = port.addrs.iter().filter_map(|own| own.network());
        let network = near.filter(|net| net.contains(dst)).max_by_key(Prefix::len);
        let prefix = match port.has(&dst) {
            true => Prefix::host(dst),
            false => network?,
        };
        let route = self.routes.get(prefix.in_fib(port.fib))?;
        let paths = vec![self.link_path(port, prefix)?];
        Some(RouteInfo { paths, ..route })
    }

    /// A route as it is listed: that of a link-local network, and of an own address in one, has a path for each link that has it.
    pub fn with_links(&self, route: RouteInfo) -> RouteInfo {
        let prefix = route.prefix;
        let of_link = prefix.addr().is_ipv6() && is_link_local(&prefix.addr());
        if !of_link || !self.connected.contains(&prefix) {
            return route;
        }
        let ports = self.ports.of_fib(prefix.fib());
        let paths = ports.filter_map(|port| self.link_path(port, prefix));
        RouteInfo {
            paths: paths.collect(),
            ..route
        }
    }

    /// The path of a port's own address or network. The table has it for the first link alone: of others it may have no
    /// next hop, and then the number is none.
    fn link_path(&self, port: &Port, prefix: Prefix) -> Option<PathInfo> {
        let is_network = |own: &Prefix| own.in_fib(port.fib) == prefix.in_fib(port.fib);
        let mut networks = port.addrs.iter().filter_map(|own| own.network());
        let Path { key, mtu, .. } = match prefix.is_host() && port.has(&prefix.addr()) {
            true => local_path(port),
            false => networks
                .any(|net| is_network(&net))
                .then(|| iface_path(port))?,
        };
        let known = self.routes.nhop(&key);
        let known = known.and_then(|idx| self.routes.nhop_info(idx));
        let number = |nhop: NhopInfo| (nhop.idx, nhop.generation);
        let (idx, generation) = known.map_or((NhopIdx::NONE, NhopGen(0)), number);
        Some(PathInfo {
            key,
            weight: 1,
            idx,
            generation,
            admin: Admin::In,
            health: if port.up { Health::Up } else { Health::Dead },
            deadline: None,
            buckets: 1,
            mtu,
            neigh: NO_NEIGH,
            through: None,
            start: None,
        })
    }
}
