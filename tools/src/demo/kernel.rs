//! The kernel's side: the private network, the TUN device, the clients' addresses, the routes to the service.
//!
//! Everything here is in the demo's own network namespace and goes with the process.

use std::net::IpAddr;

use stack::io::netlink::{self, Netlink};
use stack::io::tun::{self, Device, DeviceSpec};

use super::addressing::{
    CLIENT_HOST4, CLIENT_HOST6, CLIENT_LEN4, CLIENT_LEN6, ECHO_PORT, SERVICE4, SERVICE6, client4,
    client6,
};
use super::clients::Route;

/// The TUN device's name in the namespace.
const DEVICE: &str = "flowgate0";

/// Makes the device with one queue a worker, gives the kernel its addresses on it, `clients` more of each family to
/// connect from, and its routes to the service.
pub(crate) fn open(workers: usize, has_v6: bool, clients: u32) -> Result<Device, String> {
    let mut spec = DeviceSpec::new(tun::Kind::Tun, DEVICE);
    spec.queues = workers;
    spec.host_addrs.push((CLIENT_HOST4.into(), CLIENT_LEN4));
    if has_v6 {
        spec.host_addrs.push((CLIENT_HOST6.into(), CLIENT_LEN6));
    }
    let device = tun::open(&spec).map_err(|error| error.to_string())?;
    address(&device, has_v6, clients).map_err(|error| error.to_string())?;
    Ok(device)
}

fn address(device: &Device, has_v6: bool, clients: u32) -> netlink::Result<()> {
    let netlink = Netlink::open()?;
    for n in 0..clients {
        netlink.addr_add(device.ifindex, client4(n).into(), 32)?;
        if has_v6 {
            netlink.addr_add(device.ifindex, client6(n).into(), 128)?;
        }
    }
    let (host4, host6) = (Some(CLIENT_HOST4.into()), Some(CLIENT_HOST6.into()));
    netlink.route_add(SERVICE4.into(), 32, None, device.ifindex, host4)?;
    if has_v6 {
        netlink.route_add(SERVICE6.into(), 128, None, device.ifindex, host6)?;
    }
    Ok(())
}

/// The routes of `count` connections, each from a source address of its own (from the `first` on), every
/// other one IPv6 if there is IPv6.
pub(crate) fn routes(first: u32, count: usize, has_v6: bool) -> Vec<Route> {
    let route = |n: u32| {
        let client = first + if has_v6 { n / 2 } else { n };
        let (source, service): (IpAddr, IpAddr) = match has_v6 && n % 2 == 1 {
            true => (client6(client).into(), SERVICE6.into()),
            false => (client4(client).into(), SERVICE4.into()),
        };
        Route {
            source,
            service: (service, ECHO_PORT).into(),
        }
    };
    (0..count as u32).map(route).collect()
}

/// Client addresses of each family that `count` connections take.
pub(crate) fn clients_for(count: usize, has_v6: bool) -> u32 {
    let count = count as u32;
    if has_v6 { count.div_ceil(2) } else { count }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_connection_has_a_source_of_its_own_and_half_of_them_are_ipv6() {
        for (count, has_v6) in [(1000, true), (7, true), (1000, false)] {
            let routes = routes(5, count, has_v6);
            let sources: HashSet<IpAddr> = routes.iter().map(|r| r.source).collect();
            assert_eq!(sources.len(), count);
            let v6 = routes.iter().filter(|r| r.service.is_ipv6()).count();
            assert_eq!(v6, if has_v6 { count / 2 } else { 0 });
            assert!(
                routes
                    .iter()
                    .all(|r| r.source.is_ipv6() == r.service.is_ipv6())
            );
            let last = 5 + clients_for(count, has_v6);
            let known =
                |addr: &IpAddr| (5..last).any(|n| *addr == client4(n) || *addr == client6(n));
            assert!(
                sources.iter().all(known),
                "no source beyond those that are made"
            );
        }
    }
}
