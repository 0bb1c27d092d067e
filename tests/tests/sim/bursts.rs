//! Bursts in which a new flow comes more than once: one entry at most, one next hop, in order; also into a full table.

use flowgate_tests::frames::udp;

use flowgate_tests::net::watch::FlowId;
use flowgate_tests::net::{Echo, Scene, to_rack};
use flowgate_tests::rack::{CLIENTS, Family};
use stack::Setup;
use stack::flows::FlowFilter;
use std::collections::HashMap;

/// A burst: how many packets of each new flow.
const PACKETS: [usize; 3] = [1, 2, 16];

/// How full the table is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Table {
    Empty,
    /// Of flows whose packets nobody answered: they make room.
    OfNewFlows,
    /// Of flows that were answered: they make none.
    OfEstablished,
}

fn scene(table: Table) -> Scene {
    let setup = Setup {
        flows_v4: 4096,
        flows_v6: 4096,
        ..Scene::setup(1)
    };
    let mut scene = Scene::new(3, setup, 91);
    if table == Table::OfNewFlows {
        scene.serve(Echo::Silent);
    }
    let flows: Vec<FlowId> = (0..8000).map(|i| Scene::udp_flow(Family::V4, i)).collect();
    if table != Table::Empty {
        flows.chunks(40).for_each(|some| drop(scene.ask_all(some)));
        let (_, used, limit) = scene.net.fills()[0];
        assert!(used * 20 > limit * 19, "{used} of {limit}");
    }
    scene.serve(Echo::Silent);
    scene
}

/// Puts new flows' packets on one queue, those of different flows in turns; each says its number.
fn burst(scene: &mut Scene, flows: &[FlowId], packets: usize) {
    for number in 0..packets {
        for flow in flows {
            scene
                .net
                .inject(CLIENTS, 0, &udp(flow.src, flow.dst, &[number as u8; 20]));
        }
    }
    scene.net.run_for(1);
}

#[test]
fn packets_of_one_new_flow_in_a_burst_share_a_next_hop_in_order_and_have_one_entry() {
    for table in [Table::Empty, Table::OfNewFlows, Table::OfEstablished] {
        let mut scene = scene(table);
        let mut next = 20_000;
        let mut entries = 0;
        for packets in PACKETS {
            for _ in 0..60 {
                let flows: Vec<FlowId> = (next..next + 2)
                    .map(|i| Scene::udp_flow(Family::V4, i))
                    .collect();
                next += 2;
                drop(scene.net.take_tap());
                burst(&mut scene, &flows, packets);
                let sent = scene.net.take_tap();
                let mut got: HashMap<FlowId, Vec<(usize, u8)>> = HashMap::new();
                for (server, packet) in to_rack(&sent) {
                    let flow = FlowId::of(packet).expect("a flow's packet");
                    got.entry(flow)
                        .or_default()
                        .push((server, packet[packet.len() - 1]));
                }
                let reader = scene.net.sim.gateway.control.reader();
                let now = scene.net.sim.now;
                let rows: Vec<_> = reader.flows(FlowFilter::default(), now).collect();
                for flow in &flows {
                    let got = &got[flow];
                    let want: Vec<_> = (0..packets).map(|n| (got[0].0, n as u8)).collect();
                    assert_eq!(*got, want, "{table:?}, {flow:?}");
                    let ends =
                        |a, b| (a, b) == (flow.src, flow.dst) || (b, a) == (flow.src, flow.dst);
                    let own = rows
                        .iter()
                        .filter(|row| ends(row.ends.0, row.ends.1))
                        .count();
                    assert!(own <= 1, "{table:?}: {flow:?} has {own} entries");
                    entries += own;
                }
            }
        }
        match table {
            Table::Empty => assert_eq!(entries, 360),
            Table::OfNewFlows => assert!(entries > 5, "{entries}"),
            Table::OfEstablished => assert!(entries < 180, "{entries}"),
        }
        scene.net.assert_moves(&[]);
        scene.finish();
    }
}
