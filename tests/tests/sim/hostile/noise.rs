//! The zoo, mutilated: every cut, every byte at its extremes, a hundred thousand packets of noise.

use super::{assert_still_works, framed, neighbour_count, target};
use flowgate_tests::net::Scene;
use flowgate_tests::net::craft::fix_header;
use flowgate_tests::net::zoo::{self, Kind, STRANGER_MAC};
use flowgate_tests::rack::{CLIENTS, GATEWAY_MAC, RACK};

/// Every frame that can be made of the zoo, by port.
fn zoo_frames() -> Vec<(usize, Kind)> {
    let both = |kind: Kind| {
        [CLIENTS, RACK].map(|port| {
            let bytes = framed(port, &kind.bytes);
            let name = kind.name;
            (port, Kind { name, bytes })
        })
    };
    let neighbours = zoo::neighbour_frames(GATEWAY_MAC)
        .into_iter()
        .map(|k| (RACK, k));
    zoo::packets()
        .into_iter()
        .flat_map(both)
        .chain(neighbours)
        .collect()
}

/// Injects a burst and lets the gateway deal with it.
fn burst(scene: &mut Scene, frames: &[(usize, Vec<u8>)]) {
    let queues = scene.net.sim.peers[0].len();
    for (i, (port, frame)) in frames.iter().enumerate() {
        scene.net.inject(*port, i % queues, frame);
    }
    scene.net.run_for(2);
    scene.net.take_caught();
    scene.net.sim.assert_books();
}

fn all(scene: &mut Scene, frames: impl Iterator<Item = (usize, Vec<u8>)>) -> u64 {
    let (mut chunk, mut count) = (Vec::new(), 0);
    for frame in frames {
        chunk.push(frame);
        count += 1;
        if chunk.len() == 128 {
            burst(scene, &chunk);
            chunk.clear();
        }
    }
    burst(scene, &chunk);
    count
}

#[test]
fn a_packet_cut_short_anywhere_is_dropped_and_leaves_no_trace() {
    for workers in [1, 3] {
        let mut scene = target(workers, 90);
        let (before, known) = (scene.net.totals(), neighbour_count(&mut scene));
        let is_packet = |kind: &Kind| arp::is_neighbour_frame(&kind.bytes).is_none();
        let (packets, neighbours): (Vec<_>, Vec<_>) = zoo_frames()
            .into_iter()
            .partition(|(_, kind)| is_packet(kind));
        let count = all(&mut scene, packets.iter().flat_map(cuts));
        let after = scene.net.totals();
        assert!(count > 4000, "{count}");
        assert_eq!(after.dropped() - before.dropped(), count);
        assert_eq!(after.forwarded, before.forwarded);

        all(&mut scene, neighbours.iter().flat_map(cuts));
        assert_eq!(scene.net.totals().forwarded, before.forwarded);
        assert_eq!(scene.flows(), 0);
        assert_eq!(
            neighbour_count(&mut scene),
            known,
            "{:?}",
            scene.neighbours()
        );
        scene.net.run_until_idle(6000);
        scene.finish();
    }
}

/// Everything that cutting a frame short can make of it.
fn cuts((port, kind): &(usize, Kind)) -> Vec<(usize, Vec<u8>)> {
    (0..kind.bytes.len())
        .map(|len| (*port, kind.bytes[..len].to_vec()))
        .collect()
}

/// A frame with each byte at each extreme, and once more with a good IPv4 header checksum.
fn extremes((port, kind): &(usize, Kind)) -> Vec<(usize, Vec<u8>)> {
    let mut all = Vec::new();
    for at in 0..kind.bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = kind.bytes.clone();
            bytes[at] = value;
            all.push((*port, bytes.clone()));
            if let Some(fixed) = with_good_header(*port, bytes) {
                all.push((*port, fixed));
            }
        }
    }
    all
}

/// The frame with its IPv4 header's checksum made right, if it has such a header.
fn with_good_header(port: usize, mut frame: Vec<u8>) -> Option<Vec<u8>> {
    let at = if port == RACK { 14 } else { 0 };
    let packet = frame.get_mut(at..)?;
    let words = usize::from(packet.first()? & 15) * 4;
    if packet[0] >> 4 != 4 || words < 20 || packet.len() < words {
        return None;
    }
    fix_header(packet);
    Some(frame)
}

#[test]
fn every_byte_at_its_extremes_upsets_nobody() {
    for workers in [1, 3] {
        let mut scene = target(workers, 91);
        let frames = zoo_frames();
        let count = all(&mut scene, frames.iter().flat_map(extremes));
        assert!(count > 20_000, "{count}");
        scene.net.run_for(6000);
        scene.net.run_until_idle(6000);
        assert_still_works(&mut scene);
        scene.finish();
    }
}

/// Noise that gets past the first look: a zoo packet with some bytes changed, or random bytes behind a header's start.
fn noise(rng: &mut fastrand::Rng, zoo: &[(usize, Kind)]) -> (usize, Vec<u8>) {
    let (port, kind) = &zoo[rng.usize(..zoo.len())];
    if rng.u8(..4) == 0 {
        return (*port, random_frame(rng, *port));
    }
    let mut bytes = kind.bytes.clone();
    for _ in 0..rng.usize(1..6) {
        let at = rng.usize(..bytes.len());
        bytes[at] = rng.u8(..);
    }
    if rng.u8(..4) == 0 {
        bytes.resize(rng.usize(..bytes.len() + 40), 0xaa);
    }
    if rng.bool()
        && let Some(fixed) = with_good_header(*port, bytes.clone())
    {
        bytes = fixed;
    }
    (*port, bytes)
}

fn random_frame(rng: &mut fastrand::Rng, port: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..rng.usize(..200)).map(|_| rng.u8(..)).collect();
    let starts: [&[u8]; 4] = [&[0x45], &[0x4f], &[0x60], &[]];
    let start = starts[rng.usize(..4)];
    bytes.splice(..0, start.iter().copied());
    if port == RACK && rng.u8(..8) != 0 {
        let types = [0x0800, 0x86dd, 0x0806, 0x8100];
        let header = arp::ether_header(GATEWAY_MAC, STRANGER_MAC, types[rng.usize(..4)]);
        bytes.splice(..0, header);
    }
    bytes
}

#[test]
fn a_hundred_thousand_packets_of_noise_upset_nobody() {
    for (workers, seed) in [(1, 92), (3, 93)] {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut scene = target(workers, seed);
        let zoo = zoo_frames();
        let frames = std::iter::repeat_with(|| noise(&mut rng, &zoo)).take(60_000);
        all(&mut scene, frames);
        scene.net.assert_sound();
        // Neighbours that noise asked for are forgotten, and so are its flows.
        scene.net.step_ms = 1000;
        scene.net.run_for(10_000_000);
        scene.net.run_until_idle(6000);
        assert_eq!(scene.flows(), 0, "seed {seed}");
        assert_eq!(
            neighbour_count(&mut scene),
            4,
            "seed {seed}: {:?}",
            scene.neighbours()
        );
        assert_still_works(&mut scene);
        scene.finish();
    }
}
