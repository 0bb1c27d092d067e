//! A host of the simulated network: a smoltcp interface with several addresses, a TCP echo service, a UDP service
//! that says the host's name, and TCP connections of its own.
//!
//! ARP, ND, ICMP and TCP are smoltcp's, so that the gateway meets somebody else's code. Killed, a host takes
//! nothing, sends nothing and lets no timer run; revived, it goes on as one whose cable was out.

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// Where every host echoes TCP.
pub const ECHO: u16 = 80;
/// Where every host answers UDP with its name.
pub const NAME: u16 = 53;

/// Sockets that listen while others serve.
const SPARE: usize = 16;
const BUFFER: usize = 2048;
/// A peer that acknowledges nothing for so long has gone.
const PEER_TIMEOUT_MS: u64 = 300_000;
/// So that also who only waits learns that his peer has gone.
const KEEP_ALIVE_MS: u64 = 15_000;

/// What a host is.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// Its name, which its UDP service says.
    pub name: String,
    /// The gateway's port that it is behind.
    pub port: usize,
    /// Its hardware address; `None` behind a port without a link layer.
    pub mac: Option<arp::Mac>,
    /// Its addresses and their on-link prefix lengths, its own before shared ones.
    pub addrs: Vec<(IpAddr, u8)>,
    /// The gateway, one a family.
    pub gateways: Vec<IpAddr>,
}

/// What a host's echo service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// It serves.
    Open,
    /// Nobody listens: connections are refused.
    Refusing,
    /// A filter swallows every IP packet; ARP and ND are answered as ever.
    Silent,
}

/// How one of a host's own TCP connections stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Talk {
    /// Messages answered completely.
    pub rounds: u64,
    /// It ended although nobody meant to end it.
    pub broken: bool,
    /// What came back was not what was sent.
    pub garbled: bool,
}

/// A host's own connection: it sends a message, waits for all of it to come back, waits `gap_ms`, and so on.
struct Conn {
    handle: SocketHandle,
    local: u16,
    talk: Talk,
    gap_ms: u64,
    message: Vec<u8>,
    sent: usize,
    back: Vec<u8>,
    next_at: u64,
}

/// A host.
pub struct Node {
    /// What it is.
    pub spec: NodeSpec,
    /// Whether its cable is in.
    pub alive: bool,
    /// What its echo service does.
    pub echo: Echo,
    wire: Wire,
    iface: Interface,
    sockets: SocketSet<'static>,
    listeners: Vec<SocketHandle>,
    names: SocketHandle,
    conns: Vec<Conn>,
}

fn at(now: u64) -> Instant {
    Instant::from_millis(i64::try_from(now).expect("a time that smoltcp can hold"))
}

impl Node {
    /// A host that is switched on.
    pub fn new(spec: NodeSpec, now: u64) -> Self {
        let mut wire = Wire {
            ethernet: spec.mac.is_some(),
            rx: VecDeque::new(),
            tx: Vec::new(),
        };
        let hardware = spec.mac.map_or(HardwareAddress::Ip, |mac| {
            HardwareAddress::Ethernet(EthernetAddress(mac.0))
        });
        let mut config = Config::new(hardware);
        config.random_seed = spec.name.bytes().fold(1, |s, b| s * 31 + u64::from(b));
        let mut iface = Interface::new(config, &mut wire, at(now));
        iface.update_ip_addrs(|held| {
            for (addr, len) in &spec.addrs {
                held.push(IpCidr::new((*addr).into(), *len))
                    .expect("eight addresses at most");
            }
        });
        for gateway in &spec.gateways {
            let routes = iface.routes_mut();
            match gateway {
                IpAddr::V4(a) => routes.add_default_ipv4_route(*a).map(drop),
                IpAddr::V6(a) => routes.add_default_ipv6_route(*a).map(drop),
            }
            .expect("room for two default routes");
        }
        let mut sockets = SocketSet::new(Vec::new());
        let names = sockets.add(name_socket());
        Self {
            spec,
            alive: true,
            echo: Echo::Open,
            wire,
            iface,
            sockets,
            listeners: Vec::new(),
            names,
            conns: Vec::new(),
        }
    }

    /// Whether a frame to this hardware address is for it.
    pub fn takes_mac(&self, dst: arp::Mac) -> bool {
        dst.0[0] & 1 == 1 || self.spec.mac == Some(dst)
    }

    /// Whether this is one of its addresses.
    pub fn has_addr(&self, addr: IpAddr) -> bool {
        self.spec.addrs.iter().any(|(a, _)| *a == addr)
    }

    /// Its hardware address becomes another, as when a spare machine takes over.
    pub fn set_mac(&mut self, mac: arp::Mac) {
        self.spec.mac = Some(mac);
        self.iface
            .set_hardware_addr(HardwareAddress::Ethernet(EthernetAddress(mac.0)));
    }

    /// A frame (or a bare packet) for it.
    pub fn input(&mut self, frame: Vec<u8>) {
        let neighbour = arp::is_neighbour_frame(&frame).is_some();
        if self.echo != Echo::Silent || neighbour {
            self.wire.rx.push_back(frame);
        }
    }

    /// Opens a connection from `local`'s port and address and talks: 32 bytes, again `gap_ms` after the answer.
    pub fn connect(&mut self, local: SocketAddr, remote: SocketAddr, gap_ms: u64, now: u64) {
        let mut socket = tcp_socket();
        let to = (IpAddress::from(remote.ip()), remote.port());
        let from = (IpAddress::from(local.ip()), local.port());
        socket
            .connect(self.iface.context(), to, from)
            .expect("a port that is free");
        let message = (0..32).map(|i| local.port() as u8 ^ i).collect();
        self.conns.push(Conn {
            handle: self.sockets.add(socket),
            local: local.port(),
            talk: Talk::default(),
            gap_ms,
            message,
            sent: 0,
            back: Vec::new(),
            next_at: now,
        });
    }

    /// The connection from this port.
    pub fn talk(&self, local: u16) -> &Talk {
        let found = self.conns.iter().find(|c| c.local == local);
        &found.expect("a connection from that port").talk
    }

    /// All connections, in the order they were opened: local port and state.
    pub fn talks(&self) -> impl Iterator<Item = (u16, &Talk)> {
        self.conns.iter().map(|c| (c.local, &c.talk))
    }

    /// Runs it at `now`. What it sends comes out.
    pub fn poll(&mut self, now: u64) -> Vec<Vec<u8>> {
        if !self.alive {
            self.wire.rx.clear();
            return Vec::new();
        }
        self.listen();
        for _ in 0..4 {
            self.iface.poll(at(now), &mut self.wire, &mut self.sockets);
            self.serve();
            for conn in &mut self.conns {
                conn.drive(&mut self.sockets, now);
            }
        }
        self.iface.poll(at(now), &mut self.wire, &mut self.sockets);
        std::mem::take(&mut self.wire.tx)
    }

    /// When it wants to run next by itself.
    pub fn next_at(&mut self, now: u64) -> Option<u64> {
        if !self.alive {
            return None;
        }
        let stack = self.iface.poll_at(at(now), &self.sockets);
        let stack = stack.map(|t| u64::try_from(t.total_millis()).unwrap_or(0).max(now + 1));
        let talks = self.conns.iter().filter(|c| !c.talk.broken);
        let talk = talks.map(|c| c.next_at).filter(|&at| at > now).min();
        [stack, talk].into_iter().flatten().min()
    }

    /// Enough sockets listen, and those whose peer is done listen again.
    fn listen(&mut self) {
        let mut spare = 0;
        for &handle in &self.listeners {
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
            if self.echo == Echo::Refusing {
                socket.abort();
                spare = SPARE;
                continue;
            }
            if !socket.is_open() {
                socket.listen(ECHO).expect("a closed socket");
            }
            spare += usize::from(socket.is_listening());
        }
        for _ in spare..SPARE {
            let mut socket = tcp_socket();
            socket.listen(ECHO).expect("a fresh socket");
            self.listeners.push(self.sockets.add(socket));
        }
    }

    fn serve(&mut self) {
        for &handle in &self.listeners {
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
            let room = socket.send_capacity() - socket.send_queue();
            let mut buffer = [0; BUFFER];
            if socket.can_recv()
                && room > 0
                && let Ok(n) = socket.recv_slice(&mut buffer[..room])
            {
                socket.send_slice(&buffer[..n]).expect("room for it");
            }
            if socket.state() == tcp::State::CloseWait {
                socket.close();
            }
        }
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.names);
        while let Ok((_, from)) = socket.recv() {
            // What finds no room is lost, as UDP is.
            let _ = socket.send_slice(self.spec.name.as_bytes(), from);
        }
    }
}

impl Conn {
    fn drive(&mut self, sockets: &mut SocketSet<'static>, now: u64) {
        let socket = sockets.get_mut::<tcp::Socket<'_>>(self.handle);
        if !socket.is_open() {
            self.talk.broken = true;
        }
        if socket.can_recv() {
            let more = socket.recv(|bytes| (bytes.len(), bytes.to_vec()));
            self.back.extend(more.unwrap_or_default());
        }
        if self.next_at <= now && self.sent < self.message.len() && socket.can_send() {
            let rest = &self.message[self.sent..];
            self.sent += socket.send_slice(rest).unwrap_or(0);
        }
        if self.back.len() >= self.message.len() {
            self.talk.garbled |= self.back != self.message;
            self.talk.rounds += 1;
            (self.sent, self.next_at) = (0, now + self.gap_ms);
            self.back.clear();
        }
    }
}

fn tcp_socket() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false);
    socket.set_timeout(Some(Duration::from_millis(PEER_TIMEOUT_MS)));
    socket.set_keep_alive(Some(Duration::from_millis(KEEP_ALIVE_MS)));
    socket
}

fn name_socket() -> udp::Socket<'static> {
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; 65_536]);
    let mut socket = udp::Socket::new(buffer(), buffer());
    socket.bind(NAME).expect("a port that is free");
    socket
}

/// smoltcp's device: frames in and out of memory.
struct Wire {
    ethernet: bool,
    rx: VecDeque<Vec<u8>>,
    tx: Vec<Vec<u8>>,
}

struct Received(Vec<u8>);

struct Sending<'a>(&'a mut Vec<Vec<u8>>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut bytes = vec![0; len];
        let result = f(&mut bytes);
        self.0.push(bytes);
        result
    }
}

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sending<'_>)> {
        let frame = self.rx.pop_front()?;
        Some((Received(frame), Sending(&mut self.tx)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        Some(Sending(&mut self.tx))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = if self.ethernet {
            Medium::Ethernet
        } else {
            Medium::Ip
        };
        caps.max_transmission_unit = if self.ethernet { 1514 } else { 1500 };
        caps
    }
}
