//! Whole workers without devices: a gateway between clients and a router, on ports in memory that never run dry.

use arp::Mac;
use etherparse::PacketBuilder;
use route::PortId;
use stack::control::{GatewaySpec, PathKind, RouteSpec};
use stack::host::{HostCmd, HostLink};
use stack::io::{Queue, Tx};
use stack::pkt::{Pkt, Pool};
use stack::ports::{Layer, Port, PortAddr, Ports};
use stack::{Gateway, Now, Setup, Wakers, build};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::BorrowedFd;

/// When everything happens.
pub const NOW: Now = Now(10_000);
/// Bytes of an Ethernet header.
const ETHER: usize = 14;

const LAN: Mac = Mac([2, 0, 0, 0, 1, 1]);
const WAN: Mac = Mac([2, 0, 0, 0, 2, 1]);
const CLIENT: Mac = Mac([2, 0, 0, 0, 1, 2]);
const ROUTER: Mac = Mac([2, 0, 0, 0, 2, 2]);

/// What is in an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L4 {
    /// A datagram.
    Udp,
    /// A segment that opens a connection.
    Opener,
    /// A segment in the middle of one.
    Segment,
}

impl L4 {
    /// Bytes of its header.
    fn header(self) -> usize {
        match self {
            Self::Udp => 8,
            Self::Opener | Self::Segment => 20,
        }
    }
}

/// Frames of one length, one after the other.
#[derive(Clone, Debug)]
pub struct Frames {
    bytes: Vec<u8>,
    size: usize,
}

impl Frames {
    /// None yet, of `size` bytes each.
    pub fn new(size: usize) -> Self {
        Self {
            bytes: Vec::new(),
            size,
        }
    }

    /// One more: UDP from a client behind the first port to the Internet.
    pub fn push(&mut self, src: (Ipv4Addr, u16), dst: (Ipv4Addr, u16)) {
        self.push_as(L4::Udp, src, dst);
    }

    /// One more: UDP from the Internet by the second port to a client.
    pub fn push_back(&mut self, src: (Ipv4Addr, u16), dst: (Ipv4Addr, u16)) {
        self.push_in(L4::Udp, src.into(), dst.into());
    }

    /// One more from a client behind the first port.
    pub fn push_as(&mut self, l4: L4, src: (Ipv4Addr, u16), dst: (Ipv4Addr, u16)) {
        self.push_out(l4, src.into(), dst.into());
    }

    /// The same, of either family.
    pub(crate) fn push_out(&mut self, l4: L4, src: SocketAddr, dst: SocketAddr) {
        self.push_between([CLIENT, LAN], l4, src, dst);
    }

    /// One more from the Internet by the second port to a client, of either family.
    pub(crate) fn push_in(&mut self, l4: L4, src: SocketAddr, dst: SocketAddr) {
        self.push_between([ROUTER, WAN], l4, src, dst);
    }

    fn push_between(&mut self, [from, to]: [Mac; 2], l4: L4, src: SocketAddr, dst: SocketAddr) {
        let link = PacketBuilder::ethernet2(from.0, to.0);
        let (ip, before) = match (src.ip(), dst.ip()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (link.ipv4(a.octets(), b.octets(), 64), ETHER + 20),
            (IpAddr::V6(a), IpAddr::V6(b)) => (link.ipv6(a.octets(), b.octets(), 64), ETHER + 40),
            (a, b) => panic!("{a} and {b} are of two families"),
        };
        let payload = vec![0; self.size - before - l4.header()];
        let (bytes, src, dst) = (&mut self.bytes, src.port(), dst.port());
        let written = match l4 {
            L4::Udp => ip.udp(src, dst).write(bytes, &payload),
            L4::Opener => ip.tcp(src, dst, 1, 64_000).syn().write(bytes, &payload),
            L4::Segment => ip.tcp(src, dst, 1, 64_000).ack(1).write(bytes, &payload),
        };
        written.expect("a frame that is not too long");
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.size
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// A port without a device: it always has the next of its frames, and takes all that is sent.
#[derive(Debug)]
pub struct Endless {
    frames: Frames,
    at: usize,
    /// So many it has for a burst at most.
    most: usize,
}

impl Endless {
    /// With these frames, again and again.
    pub fn new(frames: Frames) -> Self {
        Self {
            frames,
            at: 0,
            most: usize::MAX,
        }
    }

    /// So many for a burst at most.
    pub(crate) fn at_most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// A worker's two queues: what comes by the first, and by the second.
    pub fn pair(there: Frames, back: Frames) -> Vec<Box<dyn Queue>> {
        vec![Box::new(Self::new(there)), Box::new(Self::new(back))]
    }
}

impl Queue for Endless {
    fn rx_burst(&mut self, pool: &mut Pool, out: &mut Vec<Pkt>, max: usize) -> io::Result<usize> {
        let Frames { bytes, size } = &self.frames;
        if bytes.is_empty() {
            return Ok(0);
        }
        let max = max.min(self.most);
        for done in 0..max {
            let Some(mut pkt) = pool.take_for_rx() else {
                return Ok(done);
            };
            pkt.copy_from(&bytes[self.at..self.at + size]);
            self.at += size;
            if self.at == bytes.len() {
                self.at = 0;
            }
            out.push(pkt);
        }
        Ok(max)
    }

    fn tx(&mut self, _: &[u8]) -> Tx {
        Tx::Sent
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn truncated(&self) -> u64 {
        0
    }
}

fn port(id: u16, name: &str, mac: Mac, addrs: &[(IpAddr, u8)]) -> Port {
    Port {
        fib: route::FibId(0),
        id: PortId(id),
        name: name.into(),
        layer: Layer::L2(mac),
        mtu: 1500,
        narrowed: None,
        up: true,
        rules: Default::default(),
        vlan: None,
        addrs: addrs
            .iter()
            .map(|&(addr, len)| PortAddr { addr, len })
            .collect(),
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6(a: u16, b: u16, d: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, d))
}

/// A family's addresses of our own on both ports, and what each router leads to.
struct Plan {
    own: [(IpAddr, u8); 2],
    routers: [(u16, IpAddr, Mac, &'static str); 2],
}

const V4: Plan = Plan {
    own: [(v4(10, 1, 0, 1), 16), (v4(192, 0, 2, 254), 16)],
    routers: [
        (1, v4(192, 0, 2, 1), ROUTER, "0.0.0.0/0"),
        (0, v4(10, 1, 0, 2), CLIENT, "10.0.0.0/16"),
    ],
};
const V6: Plan = Plan {
    own: [(v6(0xfd00, 1, 1), 64), (v6(0xfd00, 2, 1), 64)],
    routers: [
        (1, v6(0xfd00, 2, 2), ROUTER, "::/0"),
        (0, v6(0xfd00, 1, 2), CLIENT, "fd10::/32"),
    ],
};

/// A gateway of `setup` with a port to the clients, who are behind a router of theirs at 10.1.0.2, and one to the router that has
/// the default route.
///
/// # Errors
/// What cannot be made, in one line.
pub fn gateway(setup: Setup) -> Result<Gateway, String> {
    planned(setup, &[V4])
}

/// The same of both families; IPv6 clients are in fd10::/32.
pub(crate) fn gateway_of_both(setup: Setup) -> Result<Gateway, String> {
    planned(setup, &[V4, V6])
}

fn planned(setup: Setup, plans: &[Plan]) -> Result<Gateway, String> {
    let told = |error: stack::ControlError| error.to_string();
    let workers = setup.workers;
    let own = |at: usize| -> Vec<_> { plans.iter().map(|plan| plan.own[at]).collect() };
    let ports = vec![port(0, "lan", LAN, &own(0)), port(1, "wan", WAN, &own(1))];
    let setup = Setup {
        ports: Ports(ports),
        ..setup
    };
    let mut gateway = build(setup, &Wakers::null(workers), NOW).map_err(told)?;
    for (port, addr, mac, prefix) in plans.iter().flat_map(|plan| plan.routers) {
        gateway.host.call(HostCmd::SetStatic {
            port: PortId(port),
            addr,
            mac,
            published: false,
        });
        let spec = RouteSpec {
            prefix: prefix.parse().map_err(|_| "a bad prefix")?,
            kind: PathKind::Gateways(vec![GatewaySpec {
                addr,
                weight: None,
                port: None,
                recursive: false,
                mtu: None,
            }]),
            mtu: None,
            deadline_s: None,
            options: Default::default(),
        };
        let host = &mut gateway.host;
        gateway.control.route_add(&spec, host, NOW).map_err(told)?;
    }
    gateway.host.poll(NOW);
    gateway.control.tick(&mut gateway.host, NOW);
    Ok(gateway)
}
