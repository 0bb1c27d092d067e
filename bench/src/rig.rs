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
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::BorrowedFd;

/// When everything happens.
pub const NOW: Now = Now(10_000);
/// Bytes of Ethernet, IPv4 and UDP headers.
pub const HEADERS: usize = 14 + 20 + 8;

/// The same of TCP.
const HEADERS_TCP: usize = 14 + 20 + 20;

const LAN: Mac = Mac([2, 0, 0, 0, 1, 1]);
const WAN: Mac = Mac([2, 0, 0, 0, 2, 1]);
const CLIENT: Mac = Mac([2, 0, 0, 0, 1, 2]);
const ROUTER: Mac = Mac([2, 0, 0, 0, 2, 2]);

/// What is in an IPv4 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L4 {
    /// A datagram.
    Udp,
    /// A segment that opens a connection.
    Opener,
    /// A segment in the middle of one.
    Segment,
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
        self.push_between([CLIENT, LAN], src, dst);
    }

    /// One more: UDP from the Internet by the second port to a client.
    pub fn push_back(&mut self, src: (Ipv4Addr, u16), dst: (Ipv4Addr, u16)) {
        self.push_between([ROUTER, WAN], src, dst);
    }

    /// One more from a client behind the first port.
    pub fn push_as(&mut self, l4: L4, src: (Ipv4Addr, u16), dst: (Ipv4Addr, u16)) {
        let ip = PacketBuilder::ethernet2(CLIENT.0, LAN.0).ipv4(src.0.octets(), dst.0.octets(), 64);
        let tcp = ip.tcp(src.1, dst.1, 1, 64_000);
        let header = match l4 {
            L4::Udp => return self.push(src, dst),
            L4::Opener => tcp.syn(),
            L4::Segment => tcp.ack(1),
        };
        let payload = vec![0; self.size - HEADERS_TCP];
        let written = header.write(&mut self.bytes, &payload);
        written.expect("a frame that is not too long");
    }

    fn push_between(&mut self, [from, to]: [Mac; 2], src: (Ipv4Addr, u16), dst: (Ipv4Addr, u16)) {
        let builder = PacketBuilder::ethernet2(from.0, to.0)
            .ipv4(src.0.octets(), dst.0.octets(), 64)
            .udp(src.1, dst.1);
        let payload = vec![0; self.size - HEADERS];
        let written = builder.write(&mut self.bytes, &payload);
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
}

impl Endless {
    /// With these frames, again and again.
    pub fn new(frames: Frames) -> Self {
        Self { frames, at: 0 }
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

fn port(id: u16, name: &str, mac: Mac, addr: [u8; 4]) -> Port {
    Port {
        fib: route::FibId(0),
        id: PortId(id),
        name: name.into(),
        layer: Layer::L2(mac),
        mtu: 1500,
        up: true,
        rules: Default::default(),
        vlan: None,
        addrs: vec![PortAddr {
            addr: addr.into(),
            len: 16,
        }],
    }
}

/// A gateway of `setup` with a port to the clients, who are behind a router of theirs at 10.1.0.2, and one to the router that has
/// the default route.
///
/// # Errors
/// What cannot be made, in one line.
pub fn gateway(setup: Setup) -> Result<Gateway, String> {
    let told = |error: stack::ControlError| error.to_string();
    let workers = setup.workers;
    let ports = vec![
        port(0, "lan", LAN, [10, 1, 0, 1]),
        port(1, "wan", WAN, [192, 0, 2, 254]),
    ];
    let setup = Setup {
        ports: Ports(ports),
        ..setup
    };
    let mut gateway = build(setup, &Wakers::null(workers), NOW).map_err(told)?;
    for (port, addr, mac, prefix) in [
        (1, [192, 0, 2, 1], ROUTER, "0.0.0.0/0"),
        (0, [10, 1, 0, 2], CLIENT, "10.0.0.0/16"),
    ] {
        let addr: IpAddr = addr.into();
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
