//! One server of the rack: a smoltcp host with its own addresses, the shared service address and its
//! connections.
//!
//! It has one smoltcp interface a family, because an interface holds two addresses by default: its own
//! and the service's. Frames that belong to no connection (ARP, ND, ICMP, a segment of nobody) meet an
//! empty socket set, which answers them as a host should, stray segments with a reset.
//!
//! Killed, it takes no frame, sends none and lets no timer run; alive again, it goes on with all its
//! connections, as a server does whose cable was out. Owned by the rack; one thread.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, IpCidr, IpListenEndpoint, IpProtocol,
    Ipv4Packet, Ipv6Packet, TcpPacket, TcpSeqNumber,
};

use super::super::addressing::{
    RACK_GATEWAY4, RACK_GATEWAY6, RACK_LEN4, RACK_LEN6, SERVICE4, SERVICE6, ServerNo,
};
use super::conn::Conn;

/// Connections a host holds at most; further SYNs are not answered.
const MAX_CONNS: usize = 16_384;
/// Longest frame of the segment, Ethernet header included.
const FRAME: usize = 1514;

/// A connection's two ends, as the host sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ConnKey {
    remote: SocketAddr,
    local: SocketAddr,
}

/// A server of the rack.
pub(super) struct Host {
    name: String,
    mac: EthernetAddress,
    alive: bool,
    iface4: Interface,
    iface6: Interface,
    conns: HashMap<ConnKey, Conn>,
    /// Where smoltcp builds what it sends; kept so that a frame costs no allocation.
    scratch: Vec<u8>,
}

impl Host {
    /// The server `no`, switched on.
    pub(super) fn new(no: ServerNo, now: Instant) -> Self {
        let mac = EthernetAddress(no.mac());
        let v4 = [(no.v4().into(), RACK_LEN4), (SERVICE4.into(), 32)];
        let v6 = [(no.v6().into(), RACK_LEN6), (SERVICE6.into(), 128)];
        Self {
            name: no.to_string(),
            mac,
            alive: true,
            iface4: interface(mac, v4, RACK_GATEWAY4.into(), now),
            iface6: interface(mac, v6, RACK_GATEWAY6.into(), now),
            conns: HashMap::new(),
            scratch: vec![0; FRAME],
        }
    }

    /// Switches it off (no answers, no frames, no timers) or on again, its connections as they were.
    pub(super) fn set_alive(&mut self, alive: bool) {
        self.alive = alive;
    }

    /// Whether a frame with this destination is for it.
    pub(super) fn takes(&self, dst: EthernetAddress) -> bool {
        self.alive && (dst == self.mac || dst.is_broadcast() || dst.is_multicast())
    }

    /// Connections it holds now.
    #[cfg(test)]
    pub(super) fn connections(&self) -> usize {
        self.conns.len()
    }

    /// Takes one frame from the segment and sends what follows from it.
    pub(super) fn input(&mut self, frame: &[u8], now: Instant, out: &mut dyn FnMut(&[u8])) {
        if !self.alive {
            return;
        }
        let (is_v6, segment) = classify(frame);
        if let Some(segment) = &segment {
            self.admit(segment);
        }
        let iface = if is_v6 {
            &mut self.iface6
        } else {
            &mut self.iface4
        };
        let mut wire = Wire {
            frame: Some(frame),
            scratch: &mut self.scratch,
            out,
        };
        let Some((key, conn)) =
            segment.and_then(|s| self.conns.get_mut(&s.key).map(|conn| (s.key, conn)))
        else {
            // Nobody's: answered as a host without sockets does.
            let mut nobody = SocketSet::new(&mut [][..]);
            iface.poll_ingress_single(now, &mut wire, &mut nobody);
            return;
        };
        conn.input(iface, &mut wire, now, &self.name);
        if conn.is_over() {
            self.conns.remove(&key);
        }
    }

    /// Makes the connection that a SYN opens, if a service is there. smoltcp drops the SYN of a tuple that it
    /// still holds, and the client would hang: such a connection is replaced, unless it is the very same SYN
    /// once more.
    fn admit(&mut self, segment: &Segment) {
        let Some(isn) = segment.opens else { return };
        let local = segment.key.local;
        let iface = if local.is_ipv6() {
            &self.iface6
        } else {
            &self.iface4
        };
        let held = self.conns.get(&segment.key);
        let is_full = held.is_none() && self.conns.len() >= MAX_CONNS;
        if is_full || held.is_some_and(|conn| conn.isn == isn) || !iface.has_ip_addr(local.ip()) {
            return;
        }
        let endpoint = IpListenEndpoint {
            addr: Some(local.ip().into()),
            port: local.port(),
        };
        if let Some(conn) = Conn::listen(endpoint, isn) {
            self.conns.insert(segment.key, conn);
        }
    }

    /// Runs the timers that are due: retransmissions, delayed answers, ends.
    pub(super) fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) {
        if !self.alive {
            return;
        }
        let Self {
            name,
            iface4,
            iface6,
            conns,
            scratch,
            ..
        } = self;
        conns.retain(|key, conn| {
            if conn.due.is_none_or(|due| due > now) {
                return true;
            }
            let iface = if key.local.is_ipv6() {
                &mut *iface6
            } else {
                &mut *iface4
            };
            let mut wire = Wire {
                frame: None,
                scratch,
                out,
            };
            conn.drive(iface, &mut wire, now, name);
            !conn.is_over()
        });
    }
}

/// An interface with two addresses of one family, the host's own first, and a default route.
fn interface(
    mac: EthernetAddress,
    addrs: [(IpAddr, u8); 2],
    gateway: IpAddr,
    now: Instant,
) -> Interface {
    let mut nothing = Wire {
        frame: None,
        scratch: &mut Vec::new(),
        out: &mut |_| {},
    };
    let mut config = Config::new(mac.into());
    config.random_seed = mac.0.iter().fold(0, |seed, &b| (seed << 8) | u64::from(b));
    let mut iface = Interface::new(config, &mut nothing, now);
    iface.update_ip_addrs(|held| {
        for (addr, len) in addrs {
            // Two fit always: smoltcp's smallest table has room for two.
            let _ = held.push(IpCidr::new(addr.into(), len));
        }
    });
    let routes = iface.routes_mut();
    let _ = match gateway {
        IpAddr::V4(gateway) => routes.add_default_ipv4_route(gateway),
        IpAddr::V6(gateway) => routes.add_default_ipv6_route(gateway),
    };
    iface
}

/// What a host must know of a TCP segment to find its connection.
struct Segment {
    key: ConnKey,
    /// A SYN without ACK: its sequence number.
    opens: Option<TcpSeqNumber>,
}

/// Whether a frame goes to the IPv6 interface, and which connection it concerns if it is a TCP segment.
fn classify(frame: &[u8]) -> (bool, Option<Segment>) {
    let Ok(ether) = EthernetFrame::new_checked(frame) else {
        return (false, None);
    };
    match ether.ethertype() {
        EthernetProtocol::Ipv4 => (false, segment4(ether.payload())),
        EthernetProtocol::Ipv6 => (true, segment6(ether.payload())),
        _ => (false, None),
    }
}

fn segment4(packet: &[u8]) -> Option<Segment> {
    let ip = Ipv4Packet::new_checked(packet).ok()?;
    let whole = !ip.more_frags() && ip.frag_offset() == 0;
    let is_tcp = ip.next_header() == IpProtocol::Tcp && whole;
    is_tcp
        .then(|| segment(ip.src_addr().into(), ip.dst_addr().into(), ip.payload()))
        .flatten()
}

fn segment6(packet: &[u8]) -> Option<Segment> {
    let ip = Ipv6Packet::new_checked(packet).ok()?;
    let is_tcp = ip.next_header() == IpProtocol::Tcp;
    is_tcp
        .then(|| segment(ip.src_addr().into(), ip.dst_addr().into(), ip.payload()))
        .flatten()
}

fn segment(src: IpAddr, dst: IpAddr, payload: &[u8]) -> Option<Segment> {
    let tcp = TcpPacket::new_checked(payload).ok()?;
    let key = ConnKey {
        remote: SocketAddr::new(src, tcp.src_port()),
        local: SocketAddr::new(dst, tcp.dst_port()),
    };
    let opens = tcp.syn() && !tcp.ack() && !tcp.rst();
    Some(Segment {
        key,
        opens: opens.then(|| tcp.seq_number()),
    })
}

/// The device that smoltcp sees for the time of one call: at most one frame to take, and a way out.
pub(super) struct Wire<'a> {
    frame: Option<&'a [u8]>,
    scratch: &'a mut Vec<u8>,
    out: &'a mut dyn FnMut(&[u8]),
}

impl Device for Wire<'_> {
    type RxToken<'t>
        = Received<'t>
    where
        Self: 't;
    type TxToken<'t>
        = Sending<'t>
    where
        Self: 't;

    fn receive(&mut self, _now: Instant) -> Option<(Received<'_>, Sending<'_>)> {
        let frame = self.frame.take()?;
        Some((
            Received(frame),
            Sending {
                scratch: self.scratch,
                out: self.out,
            },
        ))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Sending<'_>> {
        Some(Sending {
            scratch: self.scratch,
            out: self.out,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = FRAME;
        caps
    }
}

/// The frame that is taken.
pub(super) struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for a frame that is sent.
pub(super) struct Sending<'a> {
    scratch: &'a mut Vec<u8>,
    out: &'a mut dyn FnMut(&[u8]),
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.scratch.resize(len, 0);
        let result = f(self.scratch);
        (self.out)(self.scratch);
        result
    }
}
