//! A flow and its next hop: listed, explained, drained, ordered about, flushed.

use super::*;
use crate::wire::route::Admin;

#[test]
fn a_flow_is_listed_and_explained() {
    let (mut rig, flow) = rig_with_a_flow();
    assert_eq!(flow.protocol, "udp");
    assert_eq!((flow.client.port(), flow.server.port()), (4000, 53));
    assert_eq!((flow.forward.packets, flow.reverse.packets), (1, 0));
    let nexthop = flow.forward.nexthop.unwrap();
    assert_eq!(nexthop.name(), "192.0.2.11");
    assert_eq!(nexthop.state, "live");
    let of = FlowOf {
        protocol: "udp".into(),
        source: flow.client.ip(),
        source_port: 4000,
        destination_port: 53,
    };
    let asked = RouteGet {
        flow: Some(of),
        ..RouteGet::to(flow.server.ip())
    };
    let choice = rig.live.route_get(asked).unwrap().choice.unwrap();
    assert_eq!(choice.why, "the flow is pinned to it, and the pin holds");
    assert_eq!(choice.path.unwrap().name(), "192.0.2.11");
}

#[test]
fn flows_of_a_next_hop_that_drains_are_counted_as_left() {
    let (mut rig, _) = rig_with_a_flow();
    let drain = RouteChange {
        fib: 0,
        options: Default::default(),
        destination: prefix(SERVICE),
        paths: vec![via("192.0.2.11", Some(0))],
        deadline: Some(600),
        mtu: None,
    };
    let done = rig.live.route_change(drain).unwrap();
    assert_eq!(done.paths[0].admin, Admin::Draining);
    // Never more than was asked for.
    let left = |deadline: Option<u32>| deadline.is_some_and(|left| (598..=600).contains(&left));
    assert!(left(done.paths[0].deadline), "{:?}", done.paths[0]);
    let status = rig.live.status()();
    assert_eq!(status.leaving.len(), 1, "{status:?}");
    for row in [
        "icmp-errors",
        "icmp-echo",
        "icmp-redirects",
        "punt-confirm",
        "punt-ask",
        "fragments",
        "datagrams",
        "own-datagrams",
        "held",
    ] {
        let table = status.tables.iter().find(|table| table.name == row);
        assert!(
            table.is_some_and(|table| table.limit > 0),
            "{row}: {status:?}"
        );
    }
    let leaving = &status.leaving[0];
    assert_eq!(leaving.destination.as_deref(), Some(SERVICE));
    assert_eq!(leaving.flows, 1);
    assert!(left(leaving.deadline), "{leaving:?}");
    assert_eq!((status.workers[0].flows, status.collateral), (1, 0));
}

#[test]
fn orders_about_a_next_hop_hold_everywhere_and_unknown_ones_are_refused() {
    let (mut rig, _) = rig_with_a_flow();
    let planned = rig.live.nexthop_set(NexthopSet {
        gateway: "192.0.2.11".parse().unwrap(),
        order: NexthopOrder::Drain,
        deadline: Some(60),
        plan: true,
    });
    let planned = planned.unwrap();
    assert_eq!(planned.nexthops[0].admin, Admin::In);
    let mut order = |gateway: &str, order, deadline| {
        let gateway = gateway.parse().unwrap();
        let ask = NexthopSet {
            gateway,
            order,
            deadline,
            plan: false,
        };
        rig.live.nexthop_set(ask)
    };
    let drained = order("192.0.2.11", NexthopOrder::Drain, Some(60)).unwrap();
    assert_eq!(drained.nexthops[0].admin, Admin::Draining);
    let only = "1 route has no next hop that takes new flows: all are drained or dead";
    let ends = format!("{only}; when the deadline comes, flows that are left go nowhere");
    assert_eq!(
        (drained.warning, planned.warning),
        (Some(ends.clone()), Some(ends))
    );
    let drained = order("192.0.2.11", NexthopOrder::Drain, None).unwrap();
    assert_eq!(drained.warning.as_deref(), Some(only));
    let back = order("192.0.2.11", NexthopOrder::In, None).unwrap();
    assert_eq!((back.nexthops[0].admin, back.warning), (Admin::In, None));
    let dead = order("192.0.2.11", NexthopOrder::Down, None).unwrap();
    assert_eq!(
        (dead.nexthops.len(), dead.nexthops[0].health),
        (1, Health::Dead)
    );
    let up = order("192.0.2.11", NexthopOrder::Up, None).unwrap();
    assert_eq!(up.nexthops[0].health, Health::Up);
    let (_, message) = refusal(order("192.0.2.99", NexthopOrder::Down, None));
    assert!(message.contains("192.0.2.99"), "{message}");
}

#[test]
fn flushed_flows_are_gone_and_counted() {
    let (mut rig, _) = rig_with_a_flow();
    let pending = rig.live.flow_flush(to_server());
    let flushed = until(&mut rig, |_| pending.try_recv().ok()).unwrap();
    assert_eq!(flushed.flushed, 1);
    assert_eq!(rig.live.flows(FlowFilter::default()).unwrap().count(), 0);
    let stats = rig.live.flow_stats()();
    assert_eq!(stats.tables[0].counters["removed"], 1);
    // Its next packet gets the same next hop again: nothing moved.
    assert_eq!(stats.moved["flushed"], 0);
    let nobody = FlowFilter {
        nexthop: "192.0.2.99".parse().ok(),
        ..FlowFilter::default()
    };
    let (reason, _) = refusal(rig.live.flow_flush(nobody).recv().unwrap());
    assert_eq!(reason, Reason::NotFound);
}
