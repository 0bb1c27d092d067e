//! Why packets found no pin: each cause counted exactly, in virtual time, from the packet to what `FlowStats` answers.

use super::super::flows;
use super::*;
use smoltcp::wire::Ipv4Packet;
use stack::Gateway;
use stack::control::GatewaySpec;
use stack::control::PathKind as Kind;
use stack::control::RouteSpec;
use std::collections::BTreeMap;

/// A gateway between clients and servers that nobody but the test polls.
struct Polled {
    gateway: Gateway,
    queues: Vec<Box<dyn Queue>>,
    clients: MemPeer,
    servers: MemPeer,
    now: Now,
}

const SERVICE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// A service whose next hop no other route has.
const SHORT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);

impl Polled {
    fn new() -> Self {
        let setup = Setup {
            ports: Ports(vec![
                port(0, "clients", Layer::L3, &[("10.0.0.1", 8)]),
                port(1, "servers", Layer::L3, &[("192.0.2.1", 24)]),
            ]),
            flows_v4: 4096,
            flows_v6: 4096,
            buffers: 256,
            ..Setup::default()
        };
        let now = Now(1000);
        let gateway = stack::build(setup, &Wakers::null(1), now).unwrap();
        let (mut clients, mut client_peers) = mem::pair_without_fds(1, 64, 1500);
        let (mut servers, mut server_peers) = mem::pair_without_fds(1, 64, 1500);
        Self {
            gateway,
            queues: vec![Box::new(clients.remove(0)), Box::new(servers.remove(0))],
            clients: client_peers.remove(0),
            servers: server_peers.remove(0),
            now,
        }
    }

    fn route(&mut self, destination: &str, gateway: &str) {
        let gateway = GatewaySpec {
            addr: gateway.parse().unwrap(),
            weight: None,
            port: None,
            recursive: false,
            mtu: None,
        };
        let spec = RouteSpec {
            prefix: prefix(destination),
            kind: Kind::Gateways(vec![gateway]),
            mtu: None,
            deadline_s: None,
            options: Default::default(),
        };
        let Gateway { control, host, .. } = &mut self.gateway;
        control.route_add(&spec, host, self.now).unwrap();
    }

    /// A burst: a packet from each of these clients to `service`. All of them go on.
    fn ask(&mut self, service: Ipv4Addr, clients: impl Iterator<Item = u32>) {
        let mut sent = 0;
        for client in clients {
            assert!(self.clients.tx(&between(address(client), service)));
            sent += 1;
        }
        self.poll();
        assert_eq!(taken(&mut self.servers), sent);
    }

    /// The service's answer to a client.
    fn answer(&mut self, client: u32) {
        assert!(self.servers.tx(&between(SERVICE, address(client))));
        self.poll();
        assert_eq!(taken(&mut self.clients), 1);
    }

    fn poll(&mut self) {
        while self.gateway.workers[0].poll(self.now, &mut self.queues) > 0 {}
    }

    fn misses(&mut self) -> BTreeMap<String, u64> {
        let reader = self.gateway.control.reader();
        flows::stats(&reader, &Default::default()).misses
    }

    /// The causes of what happened since `before`, of those that happened.
    fn since(&mut self, before: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
        let more = |(cause, count): (String, u64)| {
            let more = count - before[&cause];
            (more > 0).then_some((cause, more))
        };
        self.misses().into_iter().filter_map(more).collect()
    }

    fn has_room(&mut self) -> bool {
        let table = self.gateway.control.reader().flow_stats()[0];
        table.used < table.capacity
    }
}

/// Each client is of a network of its own, so that none has more than its share.
fn address(client: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a01_0002 + (client << 8))
}

/// A UDP packet from one to the other, by the same ports in both directions.
fn between(src: Ipv4Addr, dst: Ipv4Addr) -> Vec<u8> {
    let mut bytes = packet();
    let mut ip = Ipv4Packet::new_unchecked(&mut bytes);
    ip.set_src_addr(src);
    ip.set_dst_addr(dst);
    ip.fill_checksum();
    let (from, to) = if src == SERVICE {
        (53, 4000)
    } else {
        (4000, 53)
    };
    let mut udp = UdpPacket::new_unchecked(&mut bytes[20..]);
    udp.set_src_port(from);
    udp.set_dst_port(to);
    udp.fill_checksum(&src.into(), &dst.into());
    bytes
}

fn taken(peer: &mut MemPeer) -> usize {
    let mut buf = [0; 1500];
    std::iter::from_fn(|| peer.rx(&mut buf)).count()
}

fn one(cause: &str, count: u64) -> Vec<(String, u64)> {
    vec![(cause.into(), count)]
}

#[test]
fn every_packet_without_a_pin_is_counted_once_by_its_cause() {
    let mut rig = Polled::new();
    rig.route("203.0.113.0/24", "192.0.2.11");
    let begin = rig.misses();
    assert_eq!(begin.values().sum::<u64>(), 0, "{begin:?}");

    rig.ask(SERVICE, 0..11);
    assert_eq!(rig.since(&begin), one("cold", 11));
    let before = rig.misses();
    rig.ask(SERVICE, 0..11);
    assert_eq!(rig.since(&before), [], "they have pins");

    // Nearby, but not theirs.
    rig.route("203.0.113.128/25", "192.0.2.12");
    rig.ask(SERVICE, 0..5);
    rig.ask(SERVICE, 0..5);
    assert_eq!(rig.since(&before), one("stale_stamp", 5));

    rig.now.0 += 299_000;
    let before = rig.misses();
    rig.ask(SERVICE, 0..4);
    assert_eq!(rig.since(&before), []);
    rig.now.0 += 2_000;
    rig.ask(SERVICE, 5..11);
    assert_eq!(rig.since(&before), one("expired", 6));
}

#[test]
fn a_packet_whose_next_hop_is_no_more_is_counted_as_such() {
    let mut rig = Polled::new();
    rig.route("198.51.0.0/16", "192.0.2.11");
    rig.route("198.51.100.0/24", "192.0.2.12");
    rig.ask(SHORT, 0..3);
    let before = rig.misses();
    let Gateway { control, host, .. } = &mut rig.gateway;
    let gone = prefix("198.51.100.0/24");
    control
        .route_delete(gone, None, None, host, rig.now)
        .unwrap();
    rig.ask(SHORT, 0..3);
    rig.ask(SHORT, 0..3);
    assert_eq!(rig.since(&before), one("stale_generation", 3));
}

#[test]
fn a_flow_that_finds_the_table_full_is_counted_as_such() {
    let mut rig = Polled::new();
    rig.route("203.0.113.0/24", "192.0.2.11");
    let mut next = 0;
    // Both sides are seen, so nobody makes room for another.
    while rig.has_room() {
        rig.ask(SERVICE, next..next + 1);
        rig.answer(next);
        next += 1;
        assert!(next < 60_000, "it never fills up");
    }
    let before = rig.misses();
    rig.ask(SERVICE, next..next + 9);
    assert_eq!(rig.since(&before), one("full", 9));
}
