//! A kernel in the gateway's place: a namespace that forwards, a cable to either end.

use super::Forwarder;
use super::place::{Ends, LEN, namespace, said};
use stack::io::netlink::Netlink;
use stack::io::netns::{sysctl_write, thread_in_netns};
use std::os::fd::OwnedFd;

/// The namespace, which lives as long as this.
pub(super) struct Kernel {
    _router: OwnedFd,
}

impl Kernel {
    pub(super) fn start(ends: &Ends) -> Result<Self, String> {
        let router = namespace()?;
        let netlink = Netlink::open().map_err(said)?;
        for (end, near, far) in [
            (&ends.client, "kernel0", "far0"),
            (&ends.server, "kernel1", "far1"),
        ] {
            netlink.veth(near, far).map_err(said)?;
            let index = netlink.link_index(near).map_err(said)?;
            netlink.move_to_netns(index, &router).map_err(said)?;
            thread_in_netns(&router, || {
                sysctl_write("net/ipv4/ip_forward", "1").map_err(said)?;
                let netlink = Netlink::open().map_err(said)?;
                let index = netlink.link_index(near).map_err(said)?;
                netlink.set_up(index, true).map_err(said)?;
                netlink
                    .addr_add(index, end.router.into(), LEN)
                    .map_err(said)
            })
            .map_err(said)??;
            end.take(far, Some(end.router.into()))?;
        }
        Ok(Self { _router: router })
    }
}

impl Forwarder for Kernel {
    fn forwarded(&self) -> u64 {
        0
    }
}
