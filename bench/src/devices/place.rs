//! Two namespaces, and what joins each to whoever forwards: a TUN device, or a cable.

use arp::Mac;
use stack::io::netlink::Netlink;
use stack::io::netns::{current_netns, new_child_netns_thread, thread_in_netns};
use stack::io::tun::{Device, DeviceSpec, Kind, open};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::process::Command;

/// One end's network: its host's address, the forwarder's, and what is behind it.
pub(super) struct End {
    pub(super) host: Ipv4Addr,
    pub(super) router: Ipv4Addr,
    other: Ipv4Addr,
    pub(super) netns: OwnedFd,
}

/// The host's end of a cable to it.
pub(super) const FAR: &str = "far";

/// Length of either network.
pub(super) const LEN: u8 = 24;

/// Client and server.
pub(super) struct Ends {
    pub(super) client: End,
    pub(super) server: End,
}

pub(super) fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A namespace of its own, which lives as long as what is returned.
pub(super) fn namespace() -> Result<OwnedFd, String> {
    let made = new_child_netns_thread(current_netns).and_then(|made| made);
    made.map_err(said)
}

impl Ends {
    pub(super) fn new() -> Result<Self, String> {
        let end = |net: u8, other: u8| -> Result<End, String> {
            Ok(End {
                host: Ipv4Addr::new(10, net, 0, 2),
                router: Ipv4Addr::new(10, net, 0, 1),
                other: Ipv4Addr::new(10, other, 0, 0),
                netns: namespace()?,
            })
        };
        Ok(Self {
            client: end(1, 2)?,
            server: end(2, 1)?,
        })
    }
}

impl End {
    /// Runs `f` in its namespace.
    pub(super) fn enter<R: Send>(&self, f: impl FnOnce() -> R + Send) -> Result<R, String> {
        thread_in_netns(&self.netns, f).map_err(said)
    }

    /// The hardware address of its host's interface.
    pub(super) fn mac(&self) -> Result<Mac, String> {
        let mac = self.enter(|| {
            let netlink = Netlink::open()?;
            netlink.link_mac(netlink.link_index(FAR)?)
        })?;
        mac.map_err(said)?
            .map(Mac)
            .ok_or_else(|| "no address".into())
    }

    /// Tells its host the forwarder's hardware address.
    pub(super) fn know(&self, mac: Mac) -> Result<(), String> {
        let (router, mac) = (self.router.to_string(), mac.to_string());
        let mut tell = Command::new("ip");
        tell.args(["neigh", "replace", &router, "lladdr", &mac, "dev", FAR]);
        let told = self.enter(|| tell.status())?.map_err(said)?;
        match told.success() {
            true => Ok(()),
            false => Err("ip neigh replace failed".into()),
        }
    }

    /// Takes an interface of this namespace in, as its way to the other end.
    pub(super) fn take(&self, name: &str, via: Option<IpAddr>) -> Result<(), String> {
        let netlink = Netlink::open().map_err(said)?;
        let index = netlink.link_index(name).map_err(said)?;
        netlink.move_to_netns(index, &self.netns).map_err(said)?;
        self.enter(|| {
            let netlink = Netlink::open().map_err(said)?;
            let index = netlink.link_index(name).map_err(said)?;
            netlink.set_up(index, true).map_err(said)?;
            netlink
                .addr_add(index, self.host.into(), LEN)
                .map_err(said)?;
            netlink
                .route_add(self.other.into(), LEN, via, index, None)
                .map_err(said)
        })?
    }
}

/// A TUN device in either namespace, its queues here.
pub(super) fn devices(ends: &Ends, queues: usize, offload: bool) -> Result<[Device; 2], String> {
    let device = |end: &End, name: &str| -> Result<Device, String> {
        let spec = DeviceSpec {
            queues,
            offload,
            up: false,
            ..DeviceSpec::new(Kind::Tun, name)
        };
        let device = open(&spec).map_err(said)?;
        end.take(name, None)?;
        Ok(device)
    };
    Ok([device(&ends.client, "tun0")?, device(&ends.server, "tun1")?])
}
