//! The laboratory itself, with a kernel in the gateway's place: what fails here is not Flowgate's fault.

use flowgate_tests::lab::capture::Capture;
use flowgate_tests::lab::held::{Held, View};
use flowgate_tests::lab::plan;
use flowgate_tests::lab::probes::{
    assert_big_pings, assert_path_mtu_discovery, assert_pings_and_traces,
};
use flowgate_tests::lab::router::Router;
use flowgate_tests::lab::{CLIENT_PORT, Lab, LabSpec, enter, eventually};
use flowgate_tests::test_name;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, IpProtocol, Ipv4Address, Ipv4Packet, Ipv4Repr};
use stack::io::tun::{self, DeviceSpec, Kind};
use stack::io::{Queue, Tx};

#[test]
fn connections_through_a_kernel_reach_every_server_and_break_with_theirs() {
    if !enter(test_name!(), &["ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec::default());
    let _router = Router::start(&lab);
    let services: Vec<_> = lab.families().into_iter().map(plan::echo_service).collect();
    let held = Held::open(&services, 80);
    assert_eq!(held.stalled_after(3), []);

    let census = held.census();
    assert_eq!(
        census.by_server().into_keys().collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    assert!(lab.echoes_served().iter().sum::<u64>() >= 80 * 4);

    // An unplugged server's connections stall, and nobody else's; plugged in again they go on.
    lab.segment.server(1).unplug();
    let before = held.census();
    let new_echoes = |view: &View, then: &View| view.echoes - then.echoes;
    let others_go_on = || {
        let now = held.census();
        let mut others = now
            .0
            .iter()
            .zip(&before.0)
            .filter(|(view, _)| view.server != 1);
        others.all(|(view, then)| new_echoes(view, then) >= 5)
    };
    assert!(eventually(others_go_on), "{:?}", held.census());
    for (view, then) in held
        .census()
        .0
        .iter()
        .zip(&before.0)
        .filter(|(view, _)| view.server == 1)
    {
        // One echo may have been under way.
        assert!(
            new_echoes(view, then) <= 1,
            "{view:?} goes on without its server"
        );
    }
    // Theirs may break: between namespaces the kernel chooses by the sender's own hash, which changes
    // with a retransmission, so a kernel's multipath route gives them to other servers.
    lab.segment.server(1).plug();
    let broken = held
        .census()
        .broken()
        .into_iter()
        .filter(|view| view.server != 1)
        .count();
    assert_eq!(broken, 0);
    let reaches = || {
        Held::open(&services, 8)
            .census()
            .by_server()
            .contains_key(&1)
    };
    assert!(
        eventually(reaches),
        "a server that was plugged in again gets no connections"
    );
}

#[test]
fn a_kernel_in_front_of_a_narrow_rack_passes_every_probe() {
    let tools = ["ip", "ping", "traceroute"];
    if !enter(test_name!(), &tools) {
        return;
    }
    let lab = Lab::new(LabSpec {
        rack_mtu: 1400,
        ..LabSpec::default()
    });
    let _router = Router::start(&lab);
    assert_pings_and_traces(&lab);
    assert_big_pings(&lab);
    assert_path_mtu_discovery(&lab);
}

#[test]
fn a_kernel_behind_a_narrow_access_link_passes_large_transfers() {
    if !enter(test_name!(), &["ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        client_mtu: 1400,
        ..LabSpec::default()
    });
    let _router = Router::start(&lab);
    assert_path_mtu_discovery(&lab);
    assert!(lab.bulk_received() >= 1 << 20);
}

#[test]
fn a_recording_tells_wrong_packets_from_right_ones() {
    if !enter(test_name!(), &["ip", "dumpcap", "tshark"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 1,
        ..LabSpec::default()
    });
    let mut device = tun::open(&DeviceSpec::new(Kind::Tun, CLIENT_PORT)).expect("a device");
    let capture = Capture::start(&lab, CLIENT_PORT).expect("the tools are there");
    let good = ping_packet();
    let (mut bad_sum, mut bad_header, mut cut) = (good.clone(), good.clone(), good.clone());
    bad_sum[23] ^= 1;
    bad_header[11] ^= 1;
    cut.truncate(22);
    for packet in [&good, &bad_sum, &bad_header, &cut] {
        assert_eq!(device.queues[0].tx(packet), Tx::Sent);
    }
    let recording = capture.finish();
    assert_eq!(recording.select(&lab, "ip.src == 198.51.100.1").len(), 4);
    assert_eq!(recording.wrong(&lab, "ip.src == 198.51.100.1").len(), 3);
    assert_eq!(recording.wrong(&lab, "ip.src == 198.51.100.9").len(), 0);
}

/// An echo request from 198.51.100.1, all of it right.
fn ping_packet() -> Vec<u8> {
    let icmp = Icmpv4Repr::EchoRequest {
        ident: 1,
        seq_no: 1,
        data: b"flowgate",
    };
    let ip = Ipv4Repr {
        src_addr: Ipv4Address::new(198, 51, 100, 1),
        dst_addr: Ipv4Address::new(198, 51, 100, 2),
        next_header: IpProtocol::Icmp,
        payload_len: icmp.buffer_len(),
        hop_limit: 64,
    };
    let mut packet = vec![0; ip.buffer_len() + icmp.buffer_len()];
    let sums = ChecksumCapabilities::default();
    ip.emit(&mut Ipv4Packet::new_unchecked(&mut packet[..]), &sums);
    icmp.emit(
        &mut Icmpv4Packet::new_unchecked(&mut packet[ip.buffer_len()..]),
        &sums,
    );
    packet
}
