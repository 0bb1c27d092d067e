//! A gateway in memory, as far as resolving output goes: the parts that its workers really use.
//!
//! One routing view with a default route over one next hop or several, one neighbour view that knows them all,
//! one port, and the flow tables. [`Gateway::path`] is what a worker asks for each packet.

use crate::traffic::TABLE_SECRET;
use arc_swap::ArcSwap;
use arp::{Mac, PortInfo};
use flowtable::{GroupSecret, SlotNo, Table};
use route::{Health, NhopKey, NhopKind, PortId, Secs};
use stack::Now;
use stack::marks::Marks;
use stack::path::{FlowTables, Path};
use stack::ports::{Layer, Port, PortAddr, Ports};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// The only port, and our address on it.
pub(crate) const PORT: PortId = PortId(0);
const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254));
const MTU: u32 = 1500;
/// The IPv6 table must be there; nothing is put into it.
const CAPACITY_V6: usize = 4096;

/// The world: routes, neighbours, ports, flow tables.
pub(crate) struct Gateway {
    /// The truth behind the view.
    routes: Mutex<route::Control>,
    /// The first next hop, for routes that come and go.
    first: route::Path,
    pub(crate) view: Arc<route::View>,
    pub(crate) neigh: Arc<arp::View>,
    pub(crate) ports: Arc<ArcSwap<Ports>>,
    pub(crate) tables: FlowTables,
}

impl Gateway {
    /// A gateway for `threads` workers with room for `capacity` IPv4 flows. Its default route goes over
    /// neighbours with these link addresses, all up, at `port_mac`'s port.
    ///
    /// # Panics
    /// If the gateway's own parts refuse so small a configuration: then there is nothing to measure.
    pub(crate) fn new(threads: usize, capacity: usize, port_mac: Mac, hops: &[Mac]) -> Self {
        let (neigh, neighbours) = neighbours(port_mac, hops);
        let paths: Vec<_> = (0..)
            .zip(&neighbours)
            .map(|(n, at)| path_over(n, *at))
            .collect();
        let (routes, view) = routes(threads, &paths);
        let start = Now(0).tick();
        Self {
            routes: Mutex::new(routes),
            first: paths[0],
            view,
            neigh,
            ports: Arc::new(ArcSwap::from_pointee(Ports(vec![port(port_mac)]))),
            tables: FlowTables {
                v4: Table::new(capacity, TABLE_SECRET, start),
                v6: Table::new(CAPACITY_V6, TABLE_SECRET, start),
            },
        }
    }

    /// A worker's path over these slots.
    pub(crate) fn path(&self, slots: &[SlotNo]) -> Path {
        let marks = Arc::new(Marks::default());
        let secret = GroupSecret([0x67; 16]);
        Path::new(Arc::clone(&self.view), &self.tables, slots, secret, marks)
    }

    /// Change of a route number `number`: a prefix that no packet matches is added, or deleted again.
    pub(crate) fn change(&self, number: u64) -> Result<(), String> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let prefix = "240.0.0.0/24".parse().map_err(|_| "a bad prefix")?;
        let changed = if number.is_multiple_of(2) {
            routes.add(prefix, &[self.first], Secs(0)).map(drop)
        } else {
            routes.delete(prefix, None, Secs(0)).map(drop)
        };
        changed.map_err(|error| format!("a route change was refused: {error}"))
    }
}

/// The address of neighbour number `number`, from 0.
fn gateway_addr(number: usize) -> IpAddr {
    Ipv4Addr::from_bits(0xc000_0201 + number as u32).into()
}

/// The neighbours, known for good, and their places in the view.
fn neighbours(port_mac: Mac, hops: &[Mac]) -> (Arc<arp::View>, Vec<u32>) {
    let (mut table, view) = arp::new(arp::Config::default(), 1);
    let port = PortInfo {
        port: arp::PortId(PORT.0),
        mac: port_mac,
        addrs: vec![(OWN, 24)],
        up: true,
        advertise: None,
    };
    table.set_port(port, 0, &mut Vec::new());
    let place = |(number, mac): (usize, &Mac)| {
        let place = table.set_static(arp::PortId(PORT.0), gateway_addr(number), *mac, false);
        place.expect("an empty table has room for a neighbour").0
    };
    let places = hops.iter().enumerate().map(place).collect();
    (view, places)
}

/// The next hop over neighbour number `number`, which has place `neigh`.
fn path_over(number: usize, neigh: u32) -> route::Path {
    route::Path {
        key: NhopKey {
            kind: NhopKind::Gateway,
            port: PORT,
            gateway: Some(gateway_addr(number)),
        },
        weight: 1,
        neigh,
        mtu: MTU,
        through: None,
    }
}

/// `default` over these paths, which are up.
fn routes(threads: usize, paths: &[route::Path]) -> (route::Control, Arc<route::View>) {
    let config = route::Config {
        readers: threads,
        ..route::Config::default()
    };
    let (mut routes, view) = route::new(config);
    let default = "0.0.0.0/0".parse().expect("a prefix");
    let added = routes.add(default, paths, Secs(0));
    added.expect("an empty table has room for a route");
    for path in paths {
        let nhop = routes.nhop(&path.key);
        let nhop = nhop.expect("the route that was added has its next hops");
        routes.set_health(nhop, Health::Up, Secs(0));
    }
    (routes, view)
}

/// An Ethernet port on the gateway's network.
fn port(mac: Mac) -> Port {
    Port {
        fib: route::FibId(0),
        id: PORT,
        name: "wan".into(),
        layer: Layer::L2(mac),
        mtu: MTU,
        narrowed: None,
        up: true,
        rules: Default::default(),
        vlan: None,
        addrs: vec![PortAddr { addr: OWN, len: 24 }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_comes_and_goes() {
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        let gateway = Gateway::new(1, 4096, Mac([2, 0, 0, 0, 0, 9]), &[mac, mac]);
        for number in 0..4 {
            assert_eq!(gateway.change(number), Ok(()), "{number}");
        }
        assert!(gateway.change(1).is_err(), "it is not there");
    }
}
