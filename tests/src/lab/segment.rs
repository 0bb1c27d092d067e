//! The rack: a bridge in the test's namespace, and servers in namespaces of their own behind it.
//!
//! A server is a whole kernel: its interface `eth0` has its own address, its `lo` the service address,
//! and its default route leads to the gateway. It keeps the service address out of ARP (all servers
//! have it: who resolved it would find any of them).

use super::plan::{self, Family};
use super::process::{Process, Ran, Scratch};
use super::{PATIENCE, process};
use nix::sys::socket::{Backlog, listen};
use stack::io::netlink::Netlink;
use stack::io::netns::{
    current_netns, has_ipv6, new_child_netns_thread, sysctl_write, thread_in_netns,
};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

const BRIDGE: &str = "bridge0";
/// std asks for 128 connections that wait to be accepted; a burst of clients is more.
const BACKLOG: i32 = 4096;

/// The bridge and its servers.
#[derive(Debug)]
pub struct Segment {
    /// Server 1 first.
    pub servers: Vec<Server>,
}

impl Segment {
    pub(super) fn build(scratch: &process::Scratch, servers: usize, mtu: u32) -> Self {
        let ip = |args: &[&str]| scratch.run(None, Path::new("ip"), args, PATIENCE).success();
        // A switch without memory for groups: ND goes to all.
        ip(&[
            "link",
            "add",
            BRIDGE,
            "type",
            "bridge",
            "mcast_snooping",
            "0",
        ]);
        // Nothing of this namespace is on the segment itself.
        sysctl_write(&format!("net/ipv6/conf/{BRIDGE}/disable_ipv6"), "1")
            .unwrap_or_else(|_| assert!(!has_ipv6(), "cannot keep IPv6 off the bridge"));
        ip(&["link", "set", BRIDGE, "up"]);
        let segment = Self {
            servers: (1..=servers).map(|n| Server::boot(n, mtu)).collect(),
        };
        for server in &segment.servers {
            segment.attach(scratch, &server.port());
        }
        segment
    }

    /// Joins an interface of the test's namespace to the bridge, and brings it up.
    ///
    /// # Panics
    /// The kernel refuses.
    pub fn attach(&self, scratch: &Scratch, port: &str) {
        let args = ["link", "set", port, "master", BRIDGE, "up"];
        scratch
            .run(None, Path::new("ip"), &args, PATIENCE)
            .success();
    }

    /// A server by its number, from 1.
    ///
    /// # Panics
    /// There is none.
    pub fn server(&self, number: usize) -> &Server {
        &self.servers[number - 1]
    }

    /// The number of the server whose own address this is.
    pub fn number_of(&self, addr: IpAddr) -> Option<usize> {
        let is = |server: &&Server| plan::server(Family::of(addr), server.number) == addr;
        self.servers.iter().find(is).map(|server| server.number)
    }
}

/// One server of the rack.
#[derive(Debug)]
pub struct Server {
    /// From 1.
    pub number: usize,
    netns: OwnedFd,
}

impl Server {
    fn boot(number: usize, mtu: u32) -> Self {
        let netns = new_child_netns_thread(current_netns).expect("a namespace for a server");
        let server = Self {
            number,
            netns: netns.expect("the namespace's descriptor"),
        };
        let wire = |netlink: &Netlink| {
            // The far end is made under a name that is free here too.
            let far = format!("eth{number}");
            netlink.veth(&server.port(), &far)?;
            netlink.set_mtu(netlink.link_index(&server.port())?, mtu)?;
            netlink.move_to_netns(netlink.link_index(&far)?, &server.netns)
        };
        Netlink::open()
            .and_then(|netlink| wire(&netlink))
            .expect("a server's cable");
        server
            .enter(|| configure(number, mtu))
            .expect("a server's network");
        server
    }

    /// The bridge's end of its cable.
    pub(super) fn port(&self) -> String {
        format!("port{}", self.number)
    }

    /// Takes its cable out of the bridge: to everyone else it is dead.
    ///
    /// # Panics
    /// The kernel refuses.
    pub fn unplug(&self) {
        self.set_cable(false);
    }

    /// Puts its cable back.
    ///
    /// # Panics
    /// The kernel refuses.
    pub fn plug(&self) {
        self.set_cable(true);
    }

    fn set_cable(&self, up: bool) {
        let netlink = Netlink::open().expect("netlink");
        let port = netlink.link_index(&self.port()).expect("a server's port");
        netlink.set_up(port, up).expect("a server's cable");
    }

    /// Runs `f` in its namespace, in a thread that ends with it.
    ///
    /// # Panics
    /// The namespace cannot be entered.
    pub fn enter<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        thread_in_netns(&self.netns, f).expect("a server's namespace")
    }

    /// Its hardware address, as listings write it.
    ///
    /// # Panics
    /// Its interface is gone.
    pub fn mac(&self) -> String {
        let far = format!("eth{}", self.number);
        let read = || {
            let netlink = Netlink::open()?;
            netlink.link_mac(netlink.link_index(&far)?)
        };
        let mac = self
            .enter(read)
            .expect("a server's interface")
            .expect("its hardware address");
        mac.map(|byte| format!("{byte:02x}")).join(":")
    }

    /// Its namespace.
    pub fn netns(&self) -> BorrowedFd<'_> {
        self.netns.as_fd()
    }

    /// Sockets that listen on a port, on every address of every family. They work in the namespace
    /// whichever thread uses them.
    ///
    /// # Panics
    /// The port is taken.
    pub fn listen(&self, port: u16) -> Vec<TcpListener> {
        let open = |addr: &str| {
            let addr: SocketAddr = addr.parse().expect("an address");
            let listener = TcpListener::bind(addr)?;
            listen(&listener, Backlog::new(BACKLOG)?)?;
            Ok::<_, io::Error>(listener)
        };
        self.enter(|| {
            // On Linux the IPv6 socket takes IPv4 as well; without IPv6 there is only the other.
            let any = if has_ipv6() {
                format!("[::]:{port}")
            } else {
                format!("0.0.0.0:{port}")
            };
            vec![open(&any).unwrap_or_else(|e| panic!("cannot listen on port {port}: {e}"))]
        })
    }

    /// Runs a program there to its end.
    ///
    /// # Panics
    /// It cannot be started or takes too long.
    pub fn run(&self, scratch: &Scratch, program: &str, args: &[&str]) -> Ran {
        scratch.run(Some(self.netns()), Path::new(program), args, PATIENCE)
    }

    /// Starts a program there.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start(&self, scratch: &Scratch, program: &str, args: &[&str]) -> Process {
        scratch.start(Some(self.netns()), Path::new(program), args, &[])
    }
}

/// Sets up the calling thread's namespace as that of a server.
fn configure(number: usize, mtu: u32) -> io::Result<()> {
    let netlink = Netlink::open()?;
    for setting in SETTINGS {
        sysctl_write(setting.0, setting.1)?;
    }
    let (lo, eth) = (
        netlink.link_index("lo")?,
        netlink.link_index(&format!("eth{number}"))?,
    );
    netlink.set_mtu(eth, mtu)?;
    netlink.set_up(eth, true)?;
    netlink.addr_add(
        eth,
        plan::server(Family::V4, number),
        plan::net_len(Family::V4),
    )?;
    netlink.addr_add(lo, plan::service(Family::V4), 32)?;
    default_route(&netlink, Family::V4, eth)?;
    if has_ipv6() {
        sysctl_write("net/ipv6/icmp/ratelimit", "0")?;
        netlink.addr_add(
            eth,
            plan::server(Family::V6, number),
            plan::net_len(Family::V6),
        )?;
        netlink.addr_add(lo, plan::service(Family::V6), 128)?;
        default_route(&netlink, Family::V6, eth)?;
    }
    Ok(())
}

fn default_route(netlink: &Netlink, family: Family, eth: u32) -> io::Result<()> {
    let any = if family == Family::V4 {
        "0.0.0.0"
    } else {
        "::"
    };
    let any = any.parse().expect("an address");
    Ok(netlink.route_add(any, 0, Some(plan::rack_gateway(family)), eth, None)?)
}

/// No ARP for or from the service address; every probe of a traceroute is answered.
const SETTINGS: [(&str, &str); 4] = [
    ("net/ipv4/conf/all/arp_ignore", "1"),
    ("net/ipv4/conf/all/arp_announce", "2"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/icmp_ratelimit", "0"),
];
