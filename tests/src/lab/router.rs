//! A kernel in the gateway's place: plain forwarding with a multipath route.
//!
//! With it the laboratory is tried without Flowgate: what fails here is the laboratory's fault.

use super::plan::{self, Family};
use super::{CLIENT_PORT, Lab, PATIENCE, RACK_PORT};
use stack::io::netlink::Netlink;
use stack::io::netns::{current_netns, new_child_netns_thread, sysctl_write, thread_in_netns};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// The router's own ends of its two cables.
const NEAR: &str = "near0";
const FAR: &str = "far0";

/// A router; its namespace goes when this is dropped.
#[derive(Debug)]
pub struct Router {
    netns: OwnedFd,
}

impl Router {
    /// Puts a router in front of the rack, with a multipath route to the service over all servers.
    ///
    /// # Panics
    /// The kernel refuses a part of it.
    pub fn start(lab: &Lab) -> Self {
        let netns = new_child_netns_thread(current_netns).expect("a namespace for the router");
        let router = Self {
            netns: netns.expect("the namespace's descriptor"),
        };
        let families = lab.families();
        router.cable(lab, &families).expect("the router's cables");
        lab.segment.attach(&lab.scratch, RACK_PORT);
        thread_in_netns(&router.netns, || configure(lab, &families))
            .expect("the router's namespace")
            .expect("the router's network");
        for &family in &families {
            router.multipath(lab, family);
        }
        lab.route_clients();
        router
    }

    fn cable(&self, lab: &Lab, families: &[Family]) -> io::Result<()> {
        let netlink = Netlink::open()?;
        for (port, far, mtu) in [
            (CLIENT_PORT, NEAR, lab.spec.client_mtu),
            (RACK_PORT, FAR, lab.spec.rack_mtu),
        ] {
            netlink.veth(port, far)?;
            netlink.set_mtu(netlink.link_index(port)?, mtu)?;
            netlink.move_to_netns(netlink.link_index(far)?, &self.netns)?;
        }
        let clients = netlink.link_index(CLIENT_PORT)?;
        netlink.set_up(clients, true)?;
        for &family in families {
            netlink.addr_add(clients, plan::client(family), plan::net_len(family))?;
        }
        Ok(())
    }

    fn multipath(&self, lab: &Lab, family: Family) {
        let gateways: Vec<_> = lab
            .segment
            .servers
            .iter()
            .map(|server| plan::server(family, server.number).to_string())
            .collect();
        let service = plan::service_net(family);
        let mut args = vec![family.flag(), "route", "add", &service];
        for gateway in &gateways {
            args.extend(["nexthop", "via", gateway]);
        }
        lab.scratch
            .run(Some(self.netns.as_fd()), Path::new("ip"), &args, PATIENCE)
            .success();
    }
}

/// Sets up the calling thread's namespace as that of a router.
fn configure(lab: &Lab, families: &[Family]) -> io::Result<()> {
    let netlink = Netlink::open()?;
    for family in families {
        let settings: &[(&str, &str)] = match family {
            Family::V4 => &SETTINGS4,
            Family::V6 => &SETTINGS6,
        };
        for setting in settings {
            sysctl_write(setting.0, setting.1)?;
        }
    }
    for (port, address, mtu) in [
        (
            NEAR,
            plan::client_gateway as fn(Family) -> _,
            lab.spec.client_mtu,
        ),
        (FAR, plan::rack_gateway, lab.spec.rack_mtu),
    ] {
        let index = netlink.link_index(port)?;
        netlink.set_mtu(index, mtu)?;
        netlink.set_up(index, true)?;
        for &family in families {
            netlink.addr_add(index, address(family), plan::net_len(family))?;
        }
    }
    Ok(())
}

/// A router that hashes a connection's ports too, and answers every probe.
const SETTINGS4: [(&str, &str); 3] = [
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv4/fib_multipath_hash_policy", "1"),
    ("net/ipv4/icmp_ratelimit", "0"),
];
const SETTINGS6: [(&str, &str); 3] = [
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv6/fib_multipath_hash_policy", "1"),
    ("net/ipv6/icmp/ratelimit", "0"),
];
