//! Tags on the wire: who bears which, whose frame it is and who counts it, what is wrong with one.

use super::*;
use flowgate_tests::frames::tcp_segment;
use stack::control::{Framing, PacketAsk, Verdict};

#[test]
fn packets_go_between_vlans_their_trunk_and_other_ports_with_the_right_tag_and_no_other() {
    for v6 in [false, true] {
        let mut sim = gateway();
        let before = totals(&sim);
        for source in CLIENTS..=BLUE {
            for destination in (CLIENTS..=BLUE).filter(|d| *d != source) {
                let packet = datagram(source, destination, v6);
                sim.put(device(source), 0, &from(source, &packet));
                let sent = one(sim.settle());
                assert_eq!(sent.port, device(destination), "{source} to {destination}");
                assert_eq!(sent.bytes, to(destination, &packet));
            }
        }
        let after = totals(&sim);
        let sent = after.tx - before.tx;
        assert_eq!((after.rx, after.forwarded, sent), (12, 12, 12));
        assert_eq!(drops(&after), []);
    }
}

#[test]
fn each_port_counts_its_own_frames_and_the_trunk_all_of_them() {
    let mut sim = gateway();
    let counted = |sim: &mut SimGateway| {
        [TRUNK, RED, BLUE].map(|port| {
            let p = of_port(sim, port);
            [p.rx, p.rx_bytes, p.tx, p.tx_bytes, p.rx_dropped, p.refused]
        })
    };
    let before = (totals(&sim), counted(&mut sim));
    let packet = datagram(RED, BLUE, false);
    let untagged = packet.len() as u64 + 14;
    let tagged = untagged + 4;
    sim.put(TRUNK, 0, &from(RED, &packet));
    sim.settle();
    let after = (totals(&sim), counted(&mut sim));
    let bytes = |totals: &Totals| (totals.rx_bytes, totals.tx_bytes);
    let (sent, start) = (bytes(&after.0), bytes(&before.0));
    assert_eq!((sent.0 - start.0, sent.1 - start.1), (tagged, tagged));
    let grew: Vec<[u64; 6]> = std::iter::zip(after.1, before.1)
        .map(|(after, before)| std::array::from_fn(|at| after[at] - before[at]))
        .collect();
    let wanted = [
        [1, tagged, 1, tagged, 0, 0],
        [1, untagged, 0, 0, 0, 0],
        [0, 0, 1, untagged, 0, 0],
    ];
    assert_eq!(grew, wanted);
    // A drop is the VLAN's.
    let mut expired = packet.clone();
    expired[8] = 0;
    resum(&mut expired);
    sim.put(TRUNK, 0, &from(RED, &expired));
    let answer = one(sim.settle());
    assert_eq!(answer.bytes[12..16], *tag(RED));
    assert_eq!(of_port(&mut sim, RED).rx_dropped, 1);
    assert_eq!(of_port(&mut sim, TRUNK).rx_dropped, 0);
}

/// What is sent is dropped for one reason, and nothing else happens.
fn refused(frame: &[u8], reason: DropReason) {
    let mut sim = gateway();
    let ask = PacketAsk {
        port: PortId(TRUNK as u16),
        framing: Framing::Ether,
        bytes: frame,
    };
    let before = totals(&sim).tx;
    let explained = sim
        .gateway
        .control
        .explain(&ask, sim.now)
        .expect("a port of ours");
    assert_eq!(
        explained.verdict,
        Verdict::Drop {
            reason,
            answer: None
        }
    );
    sim.put(TRUNK, 0, frame);
    assert_eq!(sim.settle(), []);
    let totals = totals(&sim);
    assert_eq!(drops(&totals), [(reason, 1)], "{frame:02x?}");
    assert_eq!((totals.rx, totals.tx), (1, before));
    assert_eq!(of_port(&mut sim, TRUNK).rx_dropped, 1);
}

#[test]
fn a_tag_that_no_port_has_a_second_tag_and_half_a_tag_are_dropped_by_name() {
    let frame = ether(GATEWAY_MAC, host(RED, false).1, &datagram(RED, BLUE, false));
    for vid in [1, 99, 101, 300, 4094, 4095] {
        let tag = [&[0x81, 0], &u16::to_be_bytes(vid)[..]].concat();
        refused(&tagged(&tag, &frame), DropReason::UnknownVlan);
    }
    for second in [[0x81, 0, 0, 200], [0x88, 0xa8, 0, 200], [0x81, 0, 0, 0]] {
        let both = [tag(RED), &second].concat();
        refused(&tagged(&both, &frame), DropReason::SecondTag);
    }
    // Priority in front of a VLAN's tag is a second tag too.
    refused(
        &tagged(&[0x81, 0, 0xe0, 0, 0x81, 0, 0, 100], &frame),
        DropReason::SecondTag,
    );
    refused(
        &tagged(&[0x88, 0xa8, 0, 100], &frame),
        DropReason::EtherType,
    );
    for len in 14..18 {
        refused(&from(RED, &[])[..len], DropReason::EtherShort);
    }
    // Behind a good tag everything is asked that is asked without.
    let mut stranger = from(RED, &datagram(RED, BLUE, false));
    stranger[5] ^= 1;
    refused(&stranger, DropReason::EtherNotOurs);
}

#[test]
fn faults_behind_a_tag_are_the_vlan_s() {
    let mut sim = gateway();
    let mut frame = from(RED, &datagram(RED, BLUE, false));
    frame[16..18].copy_from_slice(&[0x12, 0x34]);
    sim.put(TRUNK, 0, &frame);
    sim.put(TRUNK, 0, &from(RED, &datagram(RED, BLUE, false))[..30]);
    assert_eq!(sim.settle(), []);
    let wanted = [(DropReason::EtherType, 1), (DropReason::IpShort, 1)];
    assert_eq!(drops(&totals(&sim)), wanted);
    assert_eq!(of_port(&mut sim, RED).rx_dropped, 2);
}

#[test]
fn priority_alone_is_the_port_s_own_and_priority_is_not_passed_on() {
    let mut sim = gateway();
    for priority in [0, 0x20, 0xe0, 0xf0] {
        let packet = datagram(TRUNK, RED, false);
        let frame = tagged(&[0x81, 0, priority, 0], &from(TRUNK, &packet));
        sim.put(TRUNK, 0, &frame);
        assert_eq!(one(sim.settle()).bytes, to(RED, &packet));
        let packet = datagram(BLUE, RED, false);
        let mut frame = from(BLUE, &packet);
        frame[14] |= priority;
        sim.put(TRUNK, 0, &frame);
        assert_eq!(one(sim.settle()).bytes, to(RED, &packet));
    }
    assert_eq!(of_port(&mut sim, TRUNK).rx, 8);
    assert_eq!(of_port(&mut sim, BLUE).rx, 4);
    assert_eq!(drops(&totals(&sim)), []);
}

#[test]
fn tagged_flows_reach_their_owners_and_leave_by_the_trunk_s_queue_of_their_worker() {
    let mut sim = SimGateway::new(Setup {
        workers: 3,
        ..setup(ports())
    });
    introduce(&mut sim);
    for port in 0..200 {
        let (src, dst) = (address(RED, false), address(BLUE, false));
        let (src, dst) = (SocketAddr::new(src, 1000 + port), SocketAddr::new(dst, 80));
        let there = tcp_segment(src, dst, 2, 1, 0, 0);
        let back = tcp_segment(dst, src, 18, 1, 2, 0);
        sim.put(TRUNK, usize::from(port) % 3, &from(RED, &there));
        let first = one(sim.settle());
        assert_eq!(first.bytes, to(BLUE, &there));
        sim.put(TRUNK, usize::from(port + 1) % 3, &from(BLUE, &back));
        let second = one(sim.settle());
        assert_eq!(second.bytes, to(RED, &back));
        assert_eq!(first.queue, second.queue, "both directions at one worker");
    }
    let totals = totals(&sim);
    assert!(totals.taken_over > 100, "{}", totals.taken_over);
    assert_eq!(drops(&totals), []);
}
