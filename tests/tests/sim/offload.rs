//! Super-packets and unfinished checksums on their way through a gateway: whole where the way out takes them, cut and finished
//! where it does not, and never in the way of the books.

use flowgate_tests::frames::{tcp_segment, udp};
use flowgate_tests::rack::{CLIENTS, GATEWAY_MAC, RACK, server_mac};
use flowgate_tests::sim::{Sent, SimGateway, client_and_rack, ip};
use flowgate_tests::supers::{Unfinished, behind, judged, tcp_super, udp_super, unfinished};
use route::PortId;
use stack::Setup;
use stack::counters::Totals;
use stack::fate::DropReason;
use stack::host::{HostCmd, HostLink};
use stack::offload::{Caps, Gso, GsoKind, Offload, Partial};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const HEADER: usize = 14;

fn socket(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// A client and a server of the rack, in both families.
fn ends() -> [(SocketAddr, SocketAddr); 2] {
    [
        (socket("10.0.0.5:5000"), socket("192.0.2.11:80")),
        (socket("[fd10::5]:5000"), socket("[fd00:2::11]:80")),
    ]
}

fn setup() -> Setup {
    Setup {
        ports: client_and_rack(GATEWAY_MAC),
        large_buffers: 8,
        buffers: 512,
        ..Setup::default()
    }
}

/// A gateway whose rack takes `rack`; its first server answers.
fn gateway(setup: Setup, rack: Caps) -> SimGateway {
    let mut sim = SimGateway::with_offloads(setup, &[Caps::ALL, rack]);
    for (_, server) in ends() {
        sim.gateway.host.call(HostCmd::SetStatic {
            port: PortId(RACK as u16),
            addr: server.ip(),
            mac: server_mac(0),
            published: false,
        });
    }
    sim.settle();
    sim
}

fn totals(sim: &SimGateway) -> Totals {
    sim.assert_books();
    let totals = sim.gateway.control.totals();
    assert_eq!(totals.large_used, 0, "every large buffer is back");
    totals
}

fn supers() -> Vec<Unfinished> {
    let of = |(src, dst)| {
        [
            tcp_super(src, dst, 60_000, 1400),
            udp_super(src, dst, 30_000, 1200),
        ]
    };
    ends().into_iter().flat_map(of).collect()
}

#[test]
fn a_super_packet_passes_whole_with_its_header() {
    let mut sim = gateway(setup(), Caps::ALL);
    for whole in supers() {
        let before = totals(&sim);
        sim.put_unfinished(CLIENTS, 0, &whole);
        let sent = sim.settle();
        let [one] = &sent[..] else {
            panic!("{} frames", sent.len());
        };
        let mut ttl = whole.0.clone();
        stack::checksum::ip_ttl_dec(&mut ttl, whole.0[0] >> 4 == 6);
        let wanted = behind(&one.bytes[..HEADER], (ttl, whole.1));
        assert_eq!((one.port, one.offload), (RACK, wanted.1));
        assert!(one.bytes == wanted.0, "every byte behind the link header");
        assert_eq!(one.bytes[..6], server_mac(0).0);
        let after = totals(&sim);
        let grew = [
            after.rx - before.rx,
            after.forwarded - before.forwarded,
            after.tx - before.tx,
            after.super_received - before.super_received,
            after.super_sent - before.super_sent,
        ];
        assert_eq!(grew, [1; 5], "one frame, one packet, one lookup");
        assert_eq!(after.extra_pieces + after.checksums_finished, 0);
    }
}

#[test]
fn a_way_out_that_does_not_cut_gets_finished_segments() {
    let no_kind = Caps {
        csum: true,
        ..Caps::NONE
    };
    for caps in [Caps::NONE, no_kind] {
        let mut sim = gateway(setup(), caps);
        for whole in supers() {
            let before = totals(&sim);
            sim.put_unfinished(CLIENTS, 0, &whole);
            let sent = sim.settle();
            assert!(sent.iter().all(|one| one.offload.is_none()));
            let joined: Vec<u8> = sent
                .iter()
                .flat_map(|one| judged(&one.bytes[HEADER..]))
                .collect();
            assert!(joined == whole.0[whole.0.len() - joined.len()..]);
            assert_eq!(joined.len() % 10_000, 0, "all of it");
            let (after, count) = (totals(&sim), sent.len() as u64);
            assert_eq!(after.forwarded - before.forwarded, 1);
            assert_eq!(after.extra_pieces - before.extra_pieces, count - 1);
            assert_eq!(after.tx - before.tx, count);
            assert_eq!(after.super_cut - before.super_cut, 1);
        }
    }
}

#[test]
fn an_unfinished_checksum_is_finished_where_the_way_out_does_not() {
    for (src, dst) in ends() {
        let packet = unfinished(udp(src, dst, b"seventeen bytes.."), None);
        let mut sim = gateway(setup(), Caps::NONE);
        sim.put_unfinished(CLIENTS, 0, &packet);
        let sent = sim.settle();
        assert!(sent[0].offload.is_none());
        assert_eq!(judged(&sent[0].bytes[HEADER..]), b"seventeen bytes..");
        assert_eq!(totals(&sim).checksums_finished, 1);

        let mut sim = gateway(setup(), Caps::ALL);
        sim.put_unfinished(CLIENTS, 0, &packet);
        let sent = sim.settle();
        assert!(!sent[0].offload.is_none(), "left to who can");
        assert_eq!(totals(&sim).checksums_finished, 0);
    }
}

#[test]
fn from_ethernet_the_checksum_s_place_moves_with_the_link_header() {
    let mut sim = gateway(setup(), Caps::ALL);
    let (client, server) = ends()[0];
    let header = arp::ether_header(GATEWAY_MAC, server_mac(0), 0x0800);
    let whole = tcp_super(server, client, 20_000, 1000);
    sim.put_unfinished(RACK, 0, &behind(&header, whole.clone()));
    let sent = sim.settle();
    assert_eq!((sent[0].port, sent[0].offload), (CLIENTS, whole.1));
    assert_eq!(sent[0].bytes.len(), whole.0.len());
}

/// Gateways whose rack takes so much: as it is configured, and as its interface has become.
fn narrow(mtu: u32, rack: Caps) -> [SimGateway; 2] {
    let mut configured = setup();
    configured.ports.0[RACK].mtu = mtu;
    let mut sim = gateway(setup(), rack);
    let gw = &mut sim.gateway;
    let port = PortId(RACK as u16);
    gw.control.interface_mtu(port, Some(mtu), &mut gw.host);
    [gateway(configured, rack), sim]
}

/// The only answer, from its IP header on.
fn answer(sent: &[Sent]) -> &[u8] {
    assert_eq!((sent.len(), sent[0].port), (1, CLIENTS));
    &sent[0].bytes
}

#[test]
fn the_mtu_is_asked_of_a_segment_and_not_of_the_whole() {
    let [(src, dst), (src6, dst6)] = ends();
    let both = |caps| narrow(1300, caps);
    for mut sim in [Caps::ALL, Caps::NONE].into_iter().flat_map(both) {
        let mut fits = tcp_super(src, dst, 20_000, 1260);
        dont_fragment(&mut fits.0);
        for whole in [fits, tcp_super(src6, dst6, 20_000, 1240)] {
            sim.put_unfinished(CLIENTS, 0, &whole);
            let sent = sim.settle();
            assert!(
                sent.iter().all(|one| one.port == RACK),
                "it fits to the byte"
            );
        }
        let mut big = tcp_super(src, dst, 20_000, 1261);
        dont_fragment(&mut big.0);
        sim.put_unfinished(CLIENTS, 0, &big);
        let sent = sim.settle();
        let error = answer(&sent);
        assert_eq!(error[20..22], [3, 4], "fragmentation needed");
        assert_eq!(error[26..28], 1300_u16.to_be_bytes());
        quoted_finished(&error[28..], &big);
        let big = tcp_super(src6, dst6, 20_000, 1241);
        sim.put_unfinished(CLIENTS, 0, &big);
        let sent = sim.settle();
        let error = answer(&sent);
        assert_eq!(error[40..42], [2, 0], "packet too big");
        assert_eq!(error[44..48], 1300_u32.to_be_bytes());
        quoted_finished(&error[48..], &big);
        assert_eq!(totals(&sim).dropped_for(DropReason::TooBig), 2);
    }
}

/// A quote is of what came, with its checksum as it was to be.
fn quoted_finished(quote: &[u8], (packet, offload): &Unfinished) {
    let mut whole = packet.clone();
    let csum = offload.csum.expect("an unfinished one");
    stack::offload::finish(&mut whole, csum.start.into(), csum.offset.into());
    judged(&whole);
    assert!(*quote == whole[..quote.len()]);
    assert!(quote.len() > 500);
}

fn dont_fragment(packet: &mut [u8]) {
    packet[6] |= 0x40;
    packet[10..12].fill(0);
    let sum = !stack::checksum::sum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn without_df_segments_too_big_for_the_way_out_are_fragmented() {
    let (src, dst) = ends()[0];
    let both = |caps| narrow(600, caps);
    for mut sim in [Caps::ALL, Caps::NONE].into_iter().flat_map(both) {
        let mut whole = udp_super(src, dst, 10_000, 1200);
        whole.0[6] &= !0x40;
        whole.0[10..12].fill(0);
        let sum = !stack::checksum::sum(&whole.0[..20]);
        whole.0[10..12].copy_from_slice(&sum.to_be_bytes());
        let before = totals(&sim).tx;
        sim.put_unfinished(CLIENTS, 0, &whole);
        let sent = sim.settle();
        assert!(
            sent.iter()
                .all(|one| one.bytes.len() <= 614 && one.offload.is_none())
        );
        let joined: Vec<u8> = datagrams(&sent)
            .iter()
            .flat_map(|one| judged(one))
            .collect();
        assert!(joined == whole.0[28..]);
        let totals = totals(&sim);
        assert_eq!((totals.fragmented, totals.super_cut), (1, 1));
        assert_eq!(totals.tx - before, sent.len() as u64);
    }
}

/// Puts fragments that came in order together again, by IPv4's identification.
fn datagrams(sent: &[Sent]) -> Vec<Vec<u8>> {
    let mut whole: Vec<Vec<u8>> = Vec::new();
    for packet in sent.iter().map(|one| &one.bytes[HEADER..]) {
        match whole.last_mut() {
            Some(of) if of[4..6] == packet[4..6] => of.extend_from_slice(&packet[20..]),
            _ => whole.push(packet.to_vec()),
        }
    }
    for datagram in &mut whole {
        let len = datagram.len() as u16;
        datagram[2..4].copy_from_slice(&len.to_be_bytes());
        datagram[6..8].fill(0);
        datagram[10..12].fill(0);
        let sum = !stack::checksum::sum(&datagram[..20]);
        datagram[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    whole
}

#[test]
fn handed_to_their_owners_super_packets_leave_no_large_buffer_behind() {
    let setup = Setup {
        workers: 3,
        ..setup()
    };
    let mut sim = gateway(setup, Caps::ALL);
    let mut sent = 0;
    for round in 0..200 {
        for (src, dst) in ends() {
            let client = SocketAddr::new(src.ip(), 1000 + round);
            sim.put_unfinished(
                CLIENTS,
                usize::from(round % 3),
                &tcp_super(client, dst, 40_000, 1400),
            );
        }
        sent += sim.settle().len();
    }
    let totals = totals(&sim);
    assert_eq!((sent, totals.super_sent), (400, 400));
    assert!(totals.handed_off > 100, "{}", totals.handed_off);
}

#[test]
fn super_packets_for_a_scan_of_addresses_leave_large_buffers_to_others() {
    let mut sim = gateway(setup(), Caps::ALL);
    let (client, server) = ends()[0];
    for host in 100..150 {
        let nobody = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)), 80);
        sim.put_unfinished(CLIENTS, 0, &tcp_super(client, nobody, 40_000, 1400));
        sim.settle();
    }
    let full = sim.gateway.control.totals();
    assert_eq!(full.large_used, 4, "half of eight");
    assert_eq!(full.dropped_for(DropReason::HoldFull), 46);
    sim.put_unfinished(CLIENTS, 0, &tcp_super(client, server, 40_000, 1400));
    let sent = sim.settle();
    let whole = |sent: &Sent| sent.bytes.len() > 40_000;
    assert_eq!(sent.iter().filter(|sent| whole(sent)).count(), 1);
    sim.assert_books();
}

#[test]
fn a_super_packet_waits_for_its_neighbour_and_goes_whole() {
    let mut sim = SimGateway::with_offloads(setup(), &[Caps::ALL; 2]);
    sim.settle();
    let (src, dst) = ends()[0];
    let whole = tcp_super(src, dst, 40_000, 1400);
    sim.put_unfinished(CLIENTS, 0, &whole);
    let asked = sim.settle();
    assert_eq!(asked.len(), 1, "a question and nothing else");
    assert_eq!(sim.gateway.control.totals().large_used, 1);
    let mut reply = asked[0].bytes.clone();
    reply[21] = 2;
    reply[..6].copy_from_slice(&GATEWAY_MAC.0);
    reply[6..12].copy_from_slice(&server_mac(0).0);
    let (ours, theirs) = (reply[28..32].to_vec(), reply[38..42].to_vec());
    reply[22..28].copy_from_slice(&server_mac(0).0);
    reply[28..32].copy_from_slice(&theirs);
    reply[32..38].copy_from_slice(&GATEWAY_MAC.0);
    reply[38..42].copy_from_slice(&ours);
    sim.put(RACK, 0, &reply);
    let sent = sim.settle();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].offload.gso, whole.1.gso);
    assert_eq!(totals(&sim).super_sent, 1);
}

#[test]
fn what_is_for_ourselves_is_finished_before_it_is_read() {
    let mut sim = gateway(setup(), Caps::ALL);
    // An echo request with an unfinished checksum: the field holds 0, as ICMP has no pseudo header.
    let mut echo = vec![8, 0, 0, 0, 0, 7, 0, 1, 1, 2, 3, 4];
    let packet = flowgate_tests::frames::ip_packet(
        ip("10.0.0.5"),
        ip("10.0.0.1"),
        smoltcp::wire::IpProtocol::Icmp,
        64,
        &echo,
    );
    let csum = Some(Partial {
        start: 20,
        offset: 2,
    });
    sim.put_unfinished(CLIENTS, 0, &(packet, Offload { gso: None, csum }));
    let sent = sim.settle();
    let reply = answer(&sent);
    (echo[0], echo[2], echo[3]) = (0, reply[22], reply[23]);
    assert_eq!(reply[20..], echo);
    assert_eq!(stack::checksum::sum(&reply[20..]), 0xffff);
    // A super-packet to no socket of ours is answered by the host, and is no more.
    sim.put_unfinished(
        CLIENTS,
        0,
        &tcp_super(socket("10.0.0.5:9"), socket("10.0.0.1:99"), 9_000, 1000),
    );
    sim.settle();
    let totals = totals(&sim);
    assert_eq!((totals.consumed_local, totals.checksums_finished), (1, 2));
}

#[test]
fn an_offload_that_does_not_fit_is_dropped_by_name() {
    let mut sim = gateway(setup(), Caps::ALL);
    let (src, dst) = ends()[0];
    let good = tcp_super(src, dst, 40_000, 1400);
    let with = |kind, start| {
        let gso = Some(Gso {
            kind,
            size: 1400,
            ecn: false,
        });
        let csum = Some(Partial { start, offset: 16 });
        (good.0.clone(), Offload { gso, csum })
    };
    let bad = [
        with(GsoKind::Tcp6, 20),
        with(GsoKind::Udp, 20),
        with(GsoKind::Tcp4, 24),
        with(GsoKind::Tcp4, 0),
        with(GsoKind::Tcp4, 65_000),
    ];
    for packet in &bad {
        sim.put_unfinished(CLIENTS, 0, packet);
        assert!(sim.settle().is_empty());
    }
    // Behind an Ethernet header, a place within it.
    let header = arp::ether_header(GATEWAY_MAC, server_mac(0), 0x0800);
    let mut within = behind(&header, good.clone());
    within.1.csum = Some(Partial {
        start: 4,
        offset: 16,
    });
    sim.put_unfinished(RACK, 0, &within);
    assert!(sim.settle().is_empty());
    let totals = totals(&sim);
    assert_eq!(totals.dropped_for(DropReason::OffloadBad), 6);
    assert_eq!((totals.dropped(), totals.forwarded), (6, 0));
}

#[test]
fn a_super_packet_counts_its_bytes_and_is_one_packet_of_its_flow() {
    let mut sim = gateway(setup(), Caps::ALL);
    let (src, dst) = ends()[0];
    sim.put(CLIENTS, 0, &tcp_segment(src, dst, 2, 999, 0, 0));
    let whole = tcp_super(src, dst, 40_000, 1400);
    sim.put_unfinished(CLIENTS, 0, &whole);
    sim.settle();
    let totals = totals(&sim);
    assert_eq!((totals.rx, totals.forwarded, totals.pinned), (2, 2, 1));
    assert_eq!(totals.rx_bytes, 40 + whole.0.len() as u64);
}
