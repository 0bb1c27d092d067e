//! Frames to verdicts: a whole gateway takes whatever comes by its two ports and a VLAN of one, and its books must balance.
//!
//! The bytes are frames: a byte that says the port, the queue and how much time goes by before it; two of length; the frame.

use flowgate_tests::net::{BOTH, Scene, Transport, check};
use flowgate_tests::rack::{CLIENTS, GATEWAY_MAC, RACK};
use flowgate_tests::sim::{Sent, SimGateway, client_and_rack, port};
use stack::flows::FlowFilter;
use stack::ports::{Layer, Port, Ports, Vlan};
use stack::rules::Adverts;
use stack::{Now, Setup};
use std::cell::RefCell;

thread_local! {
    /// One for all inputs: it costs more than an input does. Flows end and half an hour goes by between two of them.
    static SCENE: RefCell<Option<Scene>> = const { RefCell::new(None) };
}

/// Frames of an input that are looked at.
const MOST: usize = 64;

pub(crate) fn run(data: &[u8]) {
    SCENE.with_borrow_mut(|scene| {
        let scene = scene.get_or_insert_with(fresh);
        let sim = &mut scene.net.sim;
        begin(sim);
        let mut rest = data;
        for _ in 0..MOST {
            let Some((head, frame, more)) = next(rest) else {
                break;
            };
            rest = more;
            take(sim, head, frame);
        }
        sim.assert_books();
    });
}

fn fresh() -> Scene {
    let setup = Setup {
        ports: ports(),
        flows_v4: 1024,
        flows_v6: 1024,
        buffers: 256,
        ..Scene::setup(2)
    };
    let mut scene = Scene::with_ports(2, setup, 1);
    for family in BOTH {
        scene.route(family, &[0, 1]);
    }
    scene.net.transport = Transport::Ignored;
    scene.net.sim.settle();
    scene
}

/// The tag of the VLAN.
const TAG: [u8; 4] = [0x81, 0, 0, 7];

fn ports() -> Ports {
    let mut ports = client_and_rack(GATEWAY_MAC);
    ports.0[RACK].rules.adverts = Some(Adverts {
        lifetime_s: 1800,
        interval_s: 600,
    });
    let (parent, addrs) = (
        route::PortId(RACK as u16),
        [("192.0.7.1", 24), ("fd00:7::1", 64)],
    );
    ports.0.push(Port {
        vlan: Some(Vlan { parent, vid: 7 }),
        ..port(2, "rack.7", Layer::L2(GATEWAY_MAC), &addrs)
    });
    ports
}

/// A frame without its tag, which can be one only.
fn untagged(sent: &Sent) -> Vec<u8> {
    match sent.bytes.get(12..16) {
        Some(tag) if sent.port == RACK && tag == TAG => {
            [&sent.bytes[..12], &sent.bytes[16..]].concat()
        }
        _ => sent.bytes.clone(),
    }
}

fn begin(sim: &mut SimGateway) {
    let flushed = sim.gateway.control.flow_flush(FlowFilter::default());
    assert!(flushed.is_ok(), "no worker is busy at rest");
    sim.now = Now(sim.now.0 + 1_800_000);
    judge(sim);
}

/// A head of three bytes, the frame, and what follows.
fn next(data: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, rest) = data.split_first_chunk::<3>()?;
    let len = usize::from(u16::from_le_bytes([head[1], head[2]])).min(rest.len());
    let (frame, more) = rest.split_at(len.min(4000));
    Some((head[0], frame, more))
}

fn take(sim: &mut SimGateway, head: u8, frame: &[u8]) {
    let (port, queue) = (usize::from(head & 1), usize::from(head >> 1 & 1));
    sim.now = Now(sim.now.0 + u64::from(head >> 2) * 25);
    sim.put(port, queue, frame);
    judge(sim);
}

/// Runs the gateway, and reads all that leaves as another stack would.
fn judge(sim: &mut SimGateway) {
    for worker in &mut sim.gateway.workers {
        worker.idle(sim.now);
    }
    for sent in sim.settle() {
        let layer = match sent.port {
            CLIENTS => Layer::L3,
            RACK => Layer::L2(GATEWAY_MAC),
            other => panic!("port {other} is none"),
        };
        if let Err(fault) = check::frame(&untagged(&sent), layer, 1500, Transport::Ignored) {
            panic!("a bad frame left: {fault}: {sent:02x?}");
        }
    }
}
