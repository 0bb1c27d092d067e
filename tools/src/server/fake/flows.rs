//! Made-up flows, each as the one before it, and the table that they are in.

use crate::server::Reading;
use crate::wire::flow::*;
use crate::wire::route::PathKind;
use std::collections::BTreeMap;

pub(super) fn flow(protocol: &str, at: u32) -> Flow {
    let direction = |packets| FlowDirection {
        nexthop: (packets > 0).then(|| FlowNexthop {
            kind: PathKind::Gateway,
            gateway: "192.0.2.11".parse().ok(),
            port: Some("rack".into()),
            nexthop: 1,
            generation: 7,
            state: "live".into(),
        }),
        packets,
        bytes: packets * 100,
    };
    Flow {
        timeouts: None,
        kind: None,
        aux: None,
        fib: 0,
        protocol: protocol.into(),
        client: ([10, 99, 0, 2], 40_000 + u16::try_from(at % 20_000).unwrap()).into(),
        server: ([203, 0, 113, 10], 80).into(),
        state: "established".into(),
        class: "two_way".into(),
        idle: 1_500,
        expires: 7_198_500,
        forward: direction(12),
        reverse: direction(0),
        worker: u16::try_from(at % 2).unwrap(),
        slot: 200,
    }
}

pub(super) fn stats(flows: u32) -> Reading<FlowStats> {
    let table = FlowTable {
        name: "flows-v4".into(),
        limit: 65536,
        used: flows.into(),
        high_water: 9,
        bytes: 6_000_000,
        huge_bytes: 4_194_304,
        bucket_fill: vec![2728, 3],
        strays: 0,
        probes: vec![3, 0],
        debt: 2,
        debt_groups: vec![GroupDebt {
            index: 4,
            group: Some(7),
            entries: 2,
        }],
        counters: BTreeMap::from([("hits".into(), 100), ("inserts".into(), 9)]),
    };
    let moved = BTreeMap::from([("dead".into(), 2), ("policy".into(), 0)]);
    let misses = BTreeMap::from([("cold".into(), 9)]);
    Box::new(|| FlowStats {
        tables: vec![table],
        misses,
        moved,
        collateral: 0,
        unpinned_packets: 4,
    })
}
