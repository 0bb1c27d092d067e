//! smoltcp hosts as peers: the very stack that the demo's rack runs.

use std::collections::VecDeque;

use arp::{Event, Frame, NeighIdx, NeighState};
use smoltcp::iface::{Interface, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use crate::rig::{P0, Rig, ip, mac};

/// A cable: frames to the host, frames from it.
#[derive(Default)]
struct Cable {
    to_host: VecDeque<Vec<u8>>,
    from_host: Vec<Vec<u8>>,
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
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push(frame);
        result
    }
}

impl Device for Cable {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sending<'_>)> {
        Some((
            Received(self.to_host.pop_front()?),
            Sending(&mut self.from_host),
        ))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        Some(Sending(&mut self.from_host))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = 1514;
        caps
    }
}

/// A smoltcp host at 10.0.0.9 and fd00::9.
struct Peer {
    cable: Cable,
    iface: Interface,
}

impl Peer {
    fn new() -> Self {
        let mut cable = Cable::default();
        let config = smoltcp::iface::Config::new(HardwareAddress::Ethernet(mac(9).into()));
        let mut iface = Interface::new(config, &mut cable, Instant::ZERO);
        iface.update_ip_addrs(|addrs| {
            addrs
                .push(IpCidr::new(IpAddress::v4(10, 0, 0, 9), 8))
                .expect("room");
            addrs
                .push(IpCidr::new(IpAddress::v6(0xfd00, 0, 0, 0, 0, 0, 0, 9), 64))
                .expect("room");
        });
        Self { cable, iface }
    }

    fn exchange(&mut self, now: u64, frames: Vec<Frame>) -> Vec<Vec<u8>> {
        self.cable
            .to_host
            .extend(frames.into_iter().map(|frame| frame.bytes));
        let now = Instant::from_millis(now as i64);
        self.iface
            .poll(now, &mut self.cable, &mut SocketSet::new(vec![]));
        std::mem::take(&mut self.cable.from_host)
    }
}

/// Lets `ms` pass with the peer on the segment, if it is `alive`.
fn run(rig: &mut Rig, peer: &mut Peer, ms: u64, alive: bool) {
    let end = rig.now + ms;
    while let Some(at) = rig.table.next_deadline().filter(|&at| at <= end) {
        rig.now = rig.now.max(at);
        rig.poll();
        let sent = std::mem::take(&mut rig.sent)
            .into_iter()
            .map(|(_, frame)| frame)
            .collect();
        if alive {
            for answer in peer.exchange(rig.now, sent) {
                rig.input(&answer);
            }
        }
    }
    rig.now = end;
}

fn gateways(rig: &mut Rig) -> [NeighIdx; 2] {
    ["10.0.0.9", "fd00::9"].map(|addr| rig.reserve(addr))
}

#[test]
fn a_smoltcp_host_is_found_kept_lost_and_found_again_in_both_families() {
    let (mut rig, mut peer) = (Rig::new(), Peer::new());
    let [v4, v6] = gateways(&mut rig);
    run(&mut rig, &mut peer, 0, true);
    assert_eq!(
        rig.take_events(),
        [Event::Up { idx: v4 }, Event::Up { idx: v6 }]
    );
    run(&mut rig, &mut peer, 3_600_000, true);
    assert!(rig.take_events().is_empty(), "an hour without a flap");
    assert_eq!(rig.state(v6), NeighState::Reachable);
    run(&mut rig, &mut peer, 3000, false);
    assert_eq!(
        rig.take_events(),
        [Event::Down { idx: v4 }, Event::Down { idx: v6 }]
    );
    run(&mut rig, &mut peer, 2000, true);
    assert_eq!(
        rig.take_events(),
        [Event::Up { idx: v4 }, Event::Up { idx: v6 }]
    );
}

#[test]
fn a_smoltcp_hosts_own_question_is_answered_so_that_it_resolves_us() {
    let (mut rig, mut peer) = (Rig::new(), Peer::new());
    // An echo request makes it reply, for which it must resolve our address: it knows none.
    let echo = {
        use smoltcp::phy::ChecksumCapabilities;
        use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, IpProtocol, Ipv4Packet, Ipv4Repr};
        let icmp = Icmpv4Repr::EchoRequest {
            ident: 1,
            seq_no: 1,
            data: b"hello",
        };
        let header = Ipv4Repr {
            src_addr: "10.0.0.1".parse().unwrap(),
            dst_addr: "10.0.0.9".parse().unwrap(),
            next_header: IpProtocol::Icmp,
            payload_len: icmp.buffer_len(),
            hop_limit: 64,
        };
        let mut bytes = arp::ether_header(mac(9), crate::rig::OUR, 0x0800).to_vec();
        bytes.resize(14 + 20 + icmp.buffer_len(), 0);
        let caps = ChecksumCapabilities::default();
        header.emit(&mut Ipv4Packet::new_unchecked(&mut bytes[14..]), &caps);
        icmp.emit(&mut Icmpv4Packet::new_unchecked(&mut bytes[34..]), &caps);
        Frame { port: P0, bytes }
    };
    let asked = peer.exchange(rig.now, vec![echo.clone()]);
    assert_eq!(asked.len(), 1, "it asks, and forgets the reply");
    assert_eq!(arp::is_neighbour_frame(&asked[0]), Some(arp::Kind::Request));
    rig.accept(&asked[0]);
    assert!(
        rig.view.lookup(P0, &ip("10.0.0.9")).is_some(),
        "and we know it now"
    );
    let (_, answer) = rig.sent.pop().unwrap();
    let replies = peer.exchange(rig.now, vec![answer, echo]);
    assert_eq!(replies.len(), 1);
    assert_eq!(
        replies[0][12..14],
        [8, 0],
        "resolved: the echo is replied to"
    );
}

#[test]
fn our_probes_keep_a_smoltcp_hosts_cache_filled() {
    let (mut rig, mut peer) = (Rig::new(), Peer::new());
    gateways(&mut rig);
    run(&mut rig, &mut peer, 600_000, true);
    // Ten minutes of its 60 s entries: it has never had to ask.
    let stats = rig.table.stats();
    assert_eq!((stats.rxrequests, stats.rx_neighbor_solicit), (0, 0));
    assert_eq!(stats.rxreplies, stats.txrequests);
    assert_eq!(stats.rx_neighbor_advert, stats.tx_neighbor_solicit);
    assert_eq!(stats.rxreplies, 601);
}
