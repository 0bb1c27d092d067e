//! Super-packets with a tag: passed whole, or cut, with the tag on each segment.

use super::*;
use flowgate_tests::supers::{Unfinished, behind, judged, tcp_super, udp_super};
use stack::offload::Caps;

fn supers(source: usize, destination: usize) -> Vec<Unfinished> {
    let of = |v6| {
        let src = SocketAddr::new(address(source, v6), 5000);
        let dst = SocketAddr::new(address(destination, v6), 80);
        [
            tcp_super(src, dst, 60_000, 1400),
            udp_super(src, dst, 30_000, 1200),
        ]
    };
    [of(false), of(true)].concat()
}

fn with_offloads(trunk: Caps) -> SimGateway {
    let mut sim = SimGateway::with_offloads(setup(ports()), &[Caps::ALL, trunk]);
    introduce(&mut sim);
    sim
}

/// A super-packet behind the header of the host of a port.
fn super_from(port: usize, (packet, offload): Unfinished) -> Unfinished {
    let framed = from(port, &packet);
    let header = framed[..framed.len() - packet.len()].to_vec();
    behind(&header, (packet, offload))
}

fn super_to(port: usize, (mut packet, offload): Unfinished) -> Unfinished {
    let framed = to(port, &packet);
    let header = framed[..framed.len() - packet.len()].to_vec();
    let v6 = packet[0] >> 4 == 6;
    checksum::ip_ttl_dec(&mut packet, v6);
    behind(&header, (packet, offload))
}

#[test]
fn super_packets_pass_whole_with_and_without_a_tag() {
    let mut sim = with_offloads(Caps::ALL);
    for (source, destination) in [(CLIENTS, RED), (RED, CLIENTS), (RED, BLUE), (TRUNK, BLUE)] {
        for whole in supers(source, destination) {
            sim.put_unfinished(device(source), 0, &super_from(source, whole.clone()));
            let sent = one(sim.settle());
            let wanted = super_to(destination, whole);
            assert_eq!((sent.port, sent.offload), (device(destination), wanted.1));
            assert!(
                sent.bytes == wanted.0,
                "every byte, {source} to {destination}"
            );
        }
    }
    let totals = totals(&sim);
    assert_eq!(
        (totals.super_sent, totals.super_cut, totals.large_used),
        (16, 0, 0)
    );
}

#[test]
fn a_device_that_does_not_cut_gets_finished_segments_each_with_the_tag() {
    let csum = Caps {
        csum: true,
        ..Caps::NONE
    };
    for caps in [Caps::NONE, csum] {
        let mut sim = with_offloads(caps);
        for whole in supers(CLIENTS, BLUE) {
            let before = of_port(&mut sim, BLUE);
            sim.put_unfinished(CLIENTS, 0, &whole);
            let sent = sim.settle();
            let header = super_to(BLUE, whole.clone()).0[..18].to_vec();
            let payload = sent.iter().flat_map(|one| {
                assert_eq!((one.port, &one.bytes[..18]), (TRUNK, &header[..]));
                assert!(one.offload.is_none());
                judged(&one.bytes[18..])
            });
            let payload: Vec<u8> = payload.collect();
            assert!(payload.len().is_multiple_of(10_000) && whole.0.ends_with(&payload));
            let after = of_port(&mut sim, BLUE);
            assert_eq!(after.tx - before.tx, sent.len() as u64);
            let bytes: usize = sent.iter().map(|one| one.bytes.len() - 4).sum();
            assert_eq!(after.tx_bytes - before.tx_bytes, bytes as u64);
        }
        totals(&sim);
    }
}

#[test]
fn a_checksum_that_would_begin_within_the_tag_is_a_fault() {
    let mut sim = with_offloads(Caps::ALL);
    let (frame, mut offload) = super_from(RED, supers(RED, CLIENTS).remove(0));
    offload.csum.as_mut().unwrap().start = 3;
    sim.put_unfinished(TRUNK, 0, &(frame, offload));
    assert_eq!(sim.settle(), []);
    assert_eq!(drops(&totals(&sim)), [(DropReason::OffloadBad, 1)]);
}
