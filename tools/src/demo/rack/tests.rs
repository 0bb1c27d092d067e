//! The rack against a smoltcp client in the gateway's place, over frames, in virtual time.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{icmp, tcp};
use smoltcp::time::Instant;
use smoltcp::wire::{
    EthernetAddress, Icmpv4Packet, Icmpv4Repr, IpCidr, Ipv4Packet, TcpPacket, TcpSeqNumber,
};

use super::Rack;
use crate::demo::addressing::*;

const SRV1: ServerNo = ServerNo(0);
const SRV2: ServerNo = ServerNo(1);
const MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);

/// The gateway's end of the segment: frames both ways, and a filter that may lose some from the rack.
#[derive(Default)]
struct Link {
    to_rack: VecDeque<Vec<u8>>,
    to_client: VecDeque<Vec<u8>>,
}

impl Device for Link {
    type RxToken<'t> = Taken;
    type TxToken<'t> = Put<'t>;

    fn receive(&mut self, _: Instant) -> Option<(Taken, Put<'_>)> {
        let frame = self.to_client.pop_front()?;
        Some((Taken(frame), Put(&mut self.to_rack)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Put<'_>> {
        Some(Put(&mut self.to_rack))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = 1514;
        caps
    }
}

struct Taken(Vec<u8>);

impl RxToken for Taken {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Put<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Put<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push_back(frame);
        result
    }
}

/// A client host whose default route is one server of the rack, as the gateway chose it.
struct Net {
    rack: Rack,
    link: Link,
    iface: Interface,
    sockets: SocketSet<'static>,
    now: u64,
    lose_from_rack: usize,
}

impl Net {
    fn new(via: IpAddr, seed: u64) -> Self {
        Self::with_rack(Rack::new(2, 0), via, seed, 0)
    }

    fn with_rack(rack: Rack, via: IpAddr, seed: u64, now: u64) -> Self {
        let mut link = Link::default();
        let mut config = Config::new(MAC.into());
        config.random_seed = seed;
        let mut iface = Interface::new(config, &mut link, Instant::from_millis(now as i64));
        let own = match via {
            IpAddr::V4(_) => IpCidr::new(RACK_GATEWAY4.into(), RACK_LEN4),
            IpAddr::V6(_) => IpCidr::new(RACK_GATEWAY6.into(), RACK_LEN6),
        };
        iface.update_ip_addrs(|addrs| addrs.push(own).unwrap());
        let sockets = SocketSet::new(Vec::new());
        let mut net = Self {
            rack,
            link,
            iface,
            sockets,
            now,
            lose_from_rack: 0,
        };
        net.route(via);
        net
    }

    fn route(&mut self, via: IpAddr) {
        let routes = self.iface.routes_mut();
        match via {
            IpAddr::V4(via) => routes.add_default_ipv4_route(via).unwrap(),
            IpAddr::V6(via) => routes.add_default_ipv6_route(via).unwrap(),
        };
    }

    /// Lets `ms` milliseconds pass, in steps of the rack's timers.
    fn run(&mut self, ms: u64) {
        for _ in 0..ms / 10 {
            self.now += 10;
            loop {
                self.iface.poll(
                    Instant::from_millis(self.now as i64),
                    &mut self.link,
                    &mut self.sockets,
                );
                if self.link.to_rack.is_empty() && self.link.to_client.is_empty() {
                    break;
                }
                self.carry();
            }
            let to_client = &mut self.link.to_client;
            self.rack
                .poll(self.now, &mut |frame| to_client.push_back(frame.to_vec()));
        }
    }

    fn carry(&mut self) {
        let Link { to_rack, to_client } = &mut self.link;
        for frame in to_rack.drain(..) {
            let lose = &mut self.lose_from_rack;
            self.rack
                .input(&frame, self.now, &mut |answer| match *lose {
                    0 => to_client.push_back(answer.to_vec()),
                    _ => *lose -= 1,
                });
        }
    }

    fn connect(&mut self, remote: SocketAddr, local_port: u16) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 4096]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        let remote = (remote.ip(), remote.port());
        socket
            .connect(self.iface.context(), remote, local_port)
            .unwrap();
        self.sockets.add(socket)
    }

    fn socket(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    fn send(&mut self, handle: SocketHandle, text: &str) {
        assert_eq!(
            self.socket(handle).send_slice(text.as_bytes()),
            Ok(text.len())
        );
    }

    fn received(&mut self, handle: SocketHandle) -> String {
        let mut bytes = vec![0; 4096];
        let len = self.socket(handle).recv_slice(&mut bytes).unwrap_or(0);
        String::from_utf8(bytes[..len].to_vec()).unwrap()
    }
}

fn echo4() -> SocketAddr {
    (SERVICE4, ECHO_PORT).into()
}

fn echo6() -> SocketAddr {
    (SERVICE6, ECHO_PORT).into()
}

#[test]
fn each_server_echoes_lines_with_its_name_over_both_families() {
    let cases: [(IpAddr, SocketAddr, &str); 4] = [
        (SRV1.v4().into(), echo4(), "srv1"),
        (SRV2.v4().into(), echo4(), "srv2"),
        (SRV1.v6().into(), echo6(), "srv1"),
        (SRV2.v6().into(), echo6(), "srv2"),
    ];
    for (via, service, name) in cases {
        let mut net = Net::new(via, 1);
        let conn = net.connect(service, 5000);
        net.run(3000);
        net.send(conn, "c1 1\nc1 2\nc1");
        net.run(100);
        assert_eq!(
            net.received(conn),
            format!("{name} c1 1\n{name} c1 2\n"),
            "{via}"
        );
        net.send(conn, " 3\n");
        net.run(100);
        assert_eq!(net.received(conn), format!("{name} c1 3\n"), "{via}");
    }
}

#[test]
fn http_says_the_servers_name_and_closes() {
    let mut net = Net::new(SRV2.v4().into(), 1);
    let conn = net.connect((SERVICE4, HTTP_PORT).into(), 5000);
    net.run(3000);
    net.send(conn, "GET / HTTP/1.1\r\nHost: demo\r\n\r\n");
    net.run(100);
    let answer = net.received(conn);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nsrv2\n"), "{answer}");
    assert!(
        !net.socket(conn).may_recv(),
        "the server has closed its side"
    );
}

#[test]
fn a_port_without_a_service_is_refused_by_reset() {
    let mut net = Net::new(SRV1.v4().into(), 1);
    let conn = net.connect((SERVICE4, 22).into(), 5000);
    net.run(3000);
    assert_eq!(net.socket(conn).state(), tcp::State::Closed);
    assert_eq!(net.rack.connections(SRV1), 0);
}

#[test]
fn the_service_address_answers_pings() {
    let mut net = Net::new(SRV1.v4().into(), 1);
    let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 4], vec![0; 512]);
    let mut socket = icmp::Socket::new(buffer(), buffer());
    socket.bind(icmp::Endpoint::Ident(7)).unwrap();
    let echo = Icmpv4Repr::EchoRequest {
        ident: 7,
        seq_no: 1,
        data: b"flowgate",
    };
    let room = socket.send(echo.buffer_len(), SERVICE4.into()).unwrap();
    echo.emit(&mut Icmpv4Packet::new_unchecked(room), &Default::default());
    let handle = net.sockets.add(socket);
    net.run(3000);
    let (reply, from) = net
        .sockets
        .get_mut::<icmp::Socket<'_>>(handle)
        .recv()
        .unwrap();
    let reply = Icmpv4Packet::new_checked(reply).unwrap();
    assert_eq!(
        (from, reply.echo_seq_no(), reply.data()),
        (SERVICE4.into(), 1, &b"flowgate"[..])
    );
}

#[test]
fn a_killed_server_is_silent_and_comes_back_with_its_connections() {
    let mut net = Net::new(SRV1.v4().into(), 1);
    let conn = net.connect(echo4(), 5000);
    net.run(3000);
    net.rack.set_alive(SRV1, false);
    net.send(conn, "c1 1\n");
    net.run(5000);
    assert_eq!(net.received(conn), "");
    net.rack.set_alive(SRV1, true);
    net.run(10_000);
    assert_eq!(net.received(conn), "srv1 c1 1\n");
}

#[test]
fn a_killed_server_answers_no_arp() {
    let mut net = Net::new(SRV1.v4().into(), 1);
    net.rack.set_alive(SRV1, false);
    let conn = net.connect(echo4(), 5000);
    net.run(5000);
    assert_eq!(net.socket(conn).state(), tcp::State::SynSent);
    net.rack.set_alive(SRV1, true);
    net.run(10_000);
    assert_eq!(net.socket(conn).state(), tcp::State::Established);
}

#[test]
fn a_new_connection_replaces_a_forgotten_one_on_the_same_tuple() {
    let mut first = Net::new(SRV1.v4().into(), 1);
    first.connect(echo4(), 5000);
    first.run(3000);
    assert_eq!(first.rack.connections(SRV1), 1);
    // The client reboots: it knows nothing of its connection and uses the port again.
    let mut second = Net::with_rack(first.rack, SRV1.v4().into(), 2, first.now);
    let conn = second.connect(echo4(), 5000);
    second.run(3000);
    second.send(conn, "c2 1\n");
    second.run(100);
    assert_eq!(second.received(conn), "srv1 c2 1\n");
    assert_eq!(second.rack.connections(SRV1), 1);
}

#[test]
fn a_repeated_syn_does_not_disturb_its_own_connection() {
    let mut net = Net::new(SRV1.v4().into(), 1);
    net.connect(echo4(), 4000);
    net.run(3000);
    net.lose_from_rack = 1; // the SYN-ACK
    let conn = net.connect(echo4(), 5000);
    net.run(5000);
    assert_eq!(net.lose_from_rack, 0);
    net.send(conn, "c1 1\n");
    net.run(100);
    assert_eq!(net.received(conn), "srv1 c1 1\n");
}

#[test]
fn a_connection_that_is_led_to_another_server_is_reset() {
    let mut net = Net::new(SRV1.v6().into(), 1);
    let conn = net.connect(echo6(), 5000);
    net.run(3000);
    net.route(SRV2.v6().into());
    net.send(conn, "c1 1\n");
    net.run(3000);
    assert_eq!(net.socket(conn).state(), tcp::State::Closed);
    assert_eq!(net.rack.connections(SRV2), 0);
}

#[test]
fn a_connection_that_the_client_closes_leaves_nothing_behind() {
    let mut net = Net::new(SRV1.v4().into(), 1);
    let conn = net.connect(echo4(), 5000);
    net.run(3000);
    net.socket(conn).close();
    net.run(1000);
    assert_eq!(net.rack.connections(SRV1), 0);
}

#[test]
fn a_line_longer_than_echo_takes_ends_the_connection() {
    let mut net = Net::new(SRV1.v4().into(), 1);
    let conn = net.connect(echo4(), 5000);
    net.run(3000);
    net.send(conn, &"x".repeat(3000));
    net.run(1000);
    assert_eq!(net.socket(conn).state(), tcp::State::Closed);
}

#[test]
fn a_flood_of_lines_is_answered_whole_and_in_order() {
    let mut net = Net::new(SRV1.v4().into(), 1);
    let conn = net.connect(echo4(), 5000);
    net.run(3000);
    let (mut sent, mut got) = (String::new(), String::new());
    for n in 0..200 {
        let line = format!("c1 {n}\n");
        net.send(conn, &line);
        sent.push_str(&format!("srv1 {line}"));
        net.run(10);
        got.push_str(&net.received(conn));
    }
    net.run(1000);
    got.push_str(&net.received(conn));
    assert_eq!(got, sent);
}

#[test]
fn a_frame_cut_short_anywhere_or_with_any_byte_changed_harms_nothing() {
    let mut net = Net::new(SRV1.v4().into(), 1);
    net.connect(echo4(), 5000);
    net.iface
        .poll(Instant::from_millis(0), &mut net.link, &mut net.sockets);
    let mut frames: Vec<Vec<u8>> = vec![net.link.to_rack[0].clone(), syn_frame()];
    net.run(3000);
    frames.extend(net.link.to_rack.drain(..));
    for frame in frames {
        for at in 0..frame.len() {
            net.rack.input(&frame[..at], net.now, &mut |_| {});
            let mut changed = frame.clone();
            changed[at] ^= 0xff;
            net.rack.input(&changed, net.now, &mut |_| {});
        }
    }
    net.rack.poll(net.now, &mut |_| {});
    assert!(
        net.rack.connections(SRV1) <= 2,
        "a bad checksum opens nothing"
    );
}

/// A SYN to srv1's echo service, as the gateway would send it.
fn syn_frame() -> Vec<u8> {
    let mut frame = vec![0; 14 + 20 + 20];
    frame[..6].copy_from_slice(&SRV1.mac());
    frame[6..12].copy_from_slice(&MAC.0);
    frame[12..14].copy_from_slice(&[8, 0]);
    let mut ip = Ipv4Packet::new_unchecked(&mut frame[14..]);
    ip.set_version(4);
    ip.set_header_len(20);
    ip.set_total_len(40);
    ip.set_hop_limit(64);
    ip.set_next_header(smoltcp::wire::IpProtocol::Tcp);
    ip.set_src_addr(client4(0));
    ip.set_dst_addr(SERVICE4);
    ip.fill_checksum();
    let mut tcp = TcpPacket::new_unchecked(ip.payload_mut());
    tcp.set_src_port(4000);
    tcp.set_dst_port(ECHO_PORT);
    tcp.set_seq_number(TcpSeqNumber(1));
    tcp.set_header_len(20);
    tcp.set_syn(true);
    tcp.set_window_len(4096);
    tcp.fill_checksum(&client4(0).into(), &SERVICE4.into());
    frame
}
