//! The backend over a real gateway: one worker, two ports in memory, the host's own thread.

use super::routes::spec_of;
use super::*;
use crate::wire::flow::FlowFilter;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::neighbour::NeighbourDelete;
use crate::wire::neighbour::NeighbourFilter;
use crate::wire::neighbour::NeighbourSet;
use crate::wire::nexthop::NexthopOrder;
use crate::wire::nexthop::NexthopSet;
use crate::wire::route::Admin;
use crate::wire::route::Family;
use crate::wire::route::FlowOf;
use crate::wire::route::Health;
use crate::wire::route::PathKind;
use crate::wire::route::PathSpec;
use crate::wire::route::RouteAdd;
use crate::wire::route::RouteChange;
use crate::wire::route::RouteDelete;
use crate::wire::route::RouteGet;
use crate::wire::stats::CountersOf;
use arp::Mac;
use route::PortId;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::IpProtocol;
use smoltcp::wire::Ipv4Packet;
use smoltcp::wire::Ipv4Repr;
use smoltcp::wire::UdpPacket;
use smoltcp::wire::UdpRepr;
use stack::Setup;
use stack::Wakers;
use stack::fate::DropReason;
use stack::io::Queue;
use stack::io::mem;
use stack::io::mem::MemPeer;
use stack::io::run;
use stack::io::run::RunConfig;
use stack::io::run::Running;
use stack::offload::Caps;
use stack::ports::Layer;
use stack::ports::Port;
use stack::ports::PortAddr;
use stack::ports::Ports;
use std::net::Ipv4Addr;

mod asks;
mod batch;
mod explain;
mod fibs;
mod groups;
mod limits;
mod misses;
mod moves;
mod ping;
mod recursive;
mod rest;
mod templates;
mod timeouts;

/// A gateway whose control is the test's own thread.
struct Rig {
    live: Live,
    running: Option<Running>,
    uplink: MemPeer,
    _rack: MemPeer,
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

fn port(id: u16, name: &str, layer: Layer, addrs: &[(&str, u8)]) -> Port {
    let addr = |(addr, len): &(&str, u8)| PortAddr {
        addr: addr.parse().unwrap(),
        len: *len,
    };
    Port {
        id: PortId(id),
        name: name.into(),
        fib: route::FibId(0),
        layer,
        mtu: 1500,
        up: true,
        addrs: addrs.iter().map(addr).collect(),
        rules: Default::default(),
        vlan: None,
    }
}

fn rig() -> Rig {
    with_fibs(1)
}

fn with_fibs(fibs: u8) -> Rig {
    let rack = [("192.0.2.1", 24), ("fd00:2::1", 64)];
    let ports = Ports(vec![
        port(
            0,
            "uplink",
            Layer::L3,
            &[("10.99.0.1", 24), ("fd99::1", 64)],
        ),
        port(1, "rack", Layer::L2(Mac([2, 0, 0, 0, 0, 1])), &rack),
    ]);
    with_ports(fibs, ports)
}

/// Two ports, uplink and rack.
fn with_ports(fibs: u8, ports: Ports) -> Rig {
    let setup = Setup {
        route: route::Config {
            fibs,
            ..route::Config::default()
        },
        ports,
        flows_v4: 4096,
        flows_v6: 4096,
        buffers: 256,
        ..Setup::default()
    };
    let (uplink, mut uplink_peers) = mem::try_pair(1, 64, 1500).unwrap();
    let (rack, mut rack_peers) = mem::try_pair(1, 64, 1500).unwrap();
    let both = |(uplink, rack)| -> Vec<Box<dyn Queue>> { vec![Box::new(uplink), Box::new(rack)] };
    let queues = uplink.into_iter().zip(rack).map(both).collect();
    let wakers = Wakers::new(1).unwrap();
    let clock = Clock::start();
    let gateway = stack::build(setup, &wakers, Now(clock.ms())).unwrap();
    let config = RunConfig::default();
    let running = run::start(gateway.workers, queues, gateway.host, clock, &config).unwrap();
    let about = About {
        kinds: vec!["mem", "mem"],
        offloads: vec![Caps::NONE, Caps::ALL],
        devices: Vec::new(),
        cpus: vec![],
        steering: String::new(),
        flow_memory: "anonymous: asked for".into(),
        sandbox: "off: a test".into(),
    };
    Rig {
        live: Live::new(gateway.control, running.host.clone(), clock, about),
        running: Some(running),
        uplink: uplink_peers.remove(0),
        _rack: rack_peers.remove(0),
    }
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn via(gateway: &str, weight: Option<u32>) -> PathSpec {
    PathSpec {
        gateway: Some(gateway.parse().unwrap()),
        weight,
        ..PathSpec::default()
    }
}

fn add(destination: &str, gateways: &[&str]) -> RouteAdd {
    RouteAdd {
        fib: 0,
        options: Default::default(),
        destination: prefix(destination),
        paths: gateways.iter().map(|gateway| via(gateway, None)).collect(),
    }
}

fn delete(destination: &str, gateway: Option<&str>) -> RouteDelete {
    RouteDelete {
        fib: 0,
        destination: prefix(destination),
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        port: None,
    }
}

fn refusal<T: std::fmt::Debug>(answer: Answer<T>) -> (Reason, String) {
    match answer.unwrap_err() {
        CallError::Refused(reason, message) => (reason, message),
        other => panic!("{other:?}"),
    }
}

/// The answer of the host's thread.
fn heard<T>(pending: Pending<T>) -> Answer<T> {
    pending.recv_timeout(Duration::from_secs(10)).unwrap()
}

/// Turns control until `done` gives something.
fn until<T>(rig: &mut Rig, mut done: impl FnMut(&mut Rig) -> Option<T>) -> T {
    let clock = Clock::start();
    while clock.ms() < 10_000 {
        rig.live.poll(&mut Vec::new());
        if let Some(found) = done(rig) {
            return found;
        }
        std::thread::yield_now();
    }
    panic!("it did not come to pass in ten seconds");
}

const SERVICE: &str = "203.0.113.10/32";

#[test]
fn a_refused_route_says_why_in_freebsds_words_and_changes_nothing() {
    let mut rig = rig();
    let live = &mut rig.live;
    live.route_add(add(SERVICE, &["192.0.2.11", "192.0.2.12"]))
        .unwrap();
    let before = live.routes(None.into(), None, 100);

    let again = refusal(live.route_add(add(SERVICE, &["192.0.2.11"])));
    assert_eq!(
        again,
        (Reason::AlreadyExists, "route already in table".into())
    );
    let (reason, message) = refusal(live.route_add(add("10.0.0.0/8", &["172.16.0.1"])));
    assert_eq!(reason, Reason::Unreachable);
    assert!(
        message.starts_with("Network is unreachable: no port has an address"),
        "{message}"
    );
    let (reason, _) = refusal(live.route_add(add("2001:db8::/32", &["192.0.2.11"])));
    assert_eq!(reason, Reason::Invalid);
    let weightless = RouteAdd {
        fib: 0,
        options: Default::default(),
        destination: prefix(SERVICE),
        paths: vec![via("192.0.2.13", Some(0))],
    };
    let (_, message) = refusal(live.route_add(weightless));
    assert!(
        message.starts_with("weight 0 is not valid for add"),
        "{message}"
    );
    let gone = refusal(live.route_delete(delete("10.0.0.0/8", None)));
    assert_eq!(gone, (Reason::NotFound, "not in table".into()));
    let (reason, message) = refusal(live.route_delete(delete(SERVICE, Some("192.0.2.99"))));
    assert_eq!(reason, Reason::NotFound);
    assert!(message.contains("192.0.2.11"), "{message}");
    let (reason, _) = refusal(live.route_delete(delete(SERVICE, None)));
    assert_eq!(reason, Reason::Ambiguous);
    let (reason, _) = refusal(live.route_delete(delete("192.0.2.0/24", None)));
    assert_eq!(reason, Reason::Invalid);
    assert_eq!(live.routes(None.into(), None, 100), before);
}

#[test]
fn paths_that_do_not_go_together_are_refused() {
    let of = |kind| PathSpec {
        kind,
        ..PathSpec::default()
    };
    let small = PathSpec {
        mtu: Some(1400),
        ..via("192.0.2.11", None)
    };
    let weighted = PathSpec {
        weight: Some(2),
        ..of(PathKind::Blackhole)
    };
    let wrong = [
        vec![],
        vec![of(PathKind::Blackhole), via("192.0.2.11", None)],
        vec![of(PathKind::Interface)],
        vec![of(PathKind::Gateway)],
        vec![of(PathKind::Local)],
        vec![small, via("192.0.2.12", None)],
        vec![weighted],
    ];
    let net = prefix("10.0.0.0/8");
    for paths in wrong {
        assert!(spec_of(net, &paths, None).is_err(), "{paths:?}");
    }
    spec_of(net, &[of(PathKind::Blackhole)], None).unwrap();
}

#[test]
fn routes_are_listed_by_family_and_go_on_behind_the_last() {
    let mut rig = rig();
    let live = &mut rig.live;
    live.route_add(add(SERVICE, &["192.0.2.11"])).unwrap();
    live.route_add(add("2001:db8:113::10/128", &["fd00:2::11"]))
        .unwrap();
    let all = live.routes(None.into(), None, 100);
    let mut pages: Vec<wire::route::Route> = Vec::new();
    while pages.len() < all.len() {
        let page = live.routes(None.into(), pages.last().map(|route| route.destination), 2);
        assert!(!page.is_empty() && page.len() <= 2);
        pages.extend(page);
    }
    assert_eq!(pages, all);
    for family in [Family::Inet, Family::Inet6] {
        let mut wanted = all.clone();
        wanted.retain(|route| Family::of(route.destination.addr()) == family);
        assert!(wanted.len() >= 3);
        assert_eq!(live.routes(Some(family).into(), None, 100), wanted);
        let behind = live.routes(Some(family).into(), Some(wanted[0].destination), 100);
        assert_eq!(behind, wanted[1..]);
    }
    assert_eq!(all.iter().filter(|route| route.is_static).count(), 2);
}

#[test]
fn a_flush_deletes_what_an_operator_made_and_monitors_are_told() {
    let mut rig = rig();
    let live = &mut rig.live;
    let connected = live.routes(None.into(), None, 100);
    live.route_add(add(SERVICE, &["192.0.2.11", "192.0.2.12"]))
        .unwrap();
    live.route_add(add("2001:db8::/32", &["fd00:2::11"]))
        .unwrap();
    let mut news = Vec::new();
    live.poll(&mut news);
    assert!(matches!(news[0], News::RouteAdded(_)), "{news:?}");
    assert_eq!(
        live.route_flush(Some(Family::Inet6).into(), 10)
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        live.route_flush(None.into(), 10).unwrap().len(),
        2,
        "one for each gateway"
    );
    assert!(live.route_flush(None.into(), 10).unwrap().is_empty());
    assert_eq!(live.routes(None.into(), None, 100), connected);
    news.clear();
    live.poll(&mut news);
    let gone = |news: &News| matches!(news, News::RouteDeleted(_));
    assert!(news.iter().any(gone), "{news:?}");
}

fn stated(address: &str, port: Option<&str>) -> NeighbourSet {
    NeighbourSet {
        address: address.parse().unwrap(),
        mac: Mac([2, 0, 0, 0, 0, 0x11]),
        port: port.map(Into::into),
        temporary: false,
        published: false,
    }
}

fn of_family(family: Option<Family>) -> NeighbourFilter {
    NeighbourFilter {
        family,
        ..NeighbourFilter::default()
    }
}

#[test]
fn neighbours_are_stated_listed_and_deleted() {
    let mut rig = rig();
    let live = &mut rig.live;
    heard(live.neighbour_set(stated("192.0.2.50", None))).unwrap();
    heard(live.neighbour_set(stated("fd00:2::50", Some("rack")))).unwrap();
    let v4 = heard(live.neighbours(of_family(Some(Family::Inet)))).unwrap();
    assert_eq!(v4.len(), 1);
    assert_eq!(v4[0].port, "rack");
    assert_eq!(v4[0].mac, Some(Mac([2, 0, 0, 0, 0, 0x11])));
    assert_eq!(heard(live.neighbours(of_family(None))).unwrap().len(), 2);
    let flushed = heard(live.neighbour_flush(of_family(None))).unwrap();
    assert!(flushed.deleted.is_empty(), "stated ones stay");
    let doomed = || NeighbourDelete {
        address: v4[0].address,
        port: None,
    };
    let gone = heard(live.neighbour_delete(doomed())).unwrap();
    assert_eq!(gone.deleted, v4);
    let (reason, _) = refusal(heard(live.neighbour_delete(doomed())));
    assert_eq!(reason, Reason::NotFound);
}

#[test]
fn a_temporary_neighbour_expires_and_is_flushed() {
    let mut rig = rig();
    let live = &mut rig.live;
    let set = NeighbourSet {
        temporary: true,
        ..stated("192.0.2.50", None)
    };
    heard(live.neighbour_set(set.clone())).unwrap();
    let all = heard(live.neighbours(of_family(None))).unwrap();
    assert_eq!(all[0].state, wire::neighbour::NeighbourState::Reachable);
    assert!(all[0].expires.is_some());
    let flushed = heard(live.neighbour_flush(of_family(None))).unwrap();
    assert_eq!(flushed.deleted.len(), 1);
    let both = NeighbourSet {
        published: true,
        ..set
    };
    let (reason, line) = refusal(heard(live.neighbour_set(both.clone())));
    assert_eq!(reason, Reason::Invalid);
    assert!(line.ends_with(": leave temp or pub out"), "{line}");
    // ndp has another word for it.
    let six = NeighbourSet {
        address: "fd00:2::50".parse().unwrap(),
        ..both
    };
    let (_, line) = refusal(heard(live.neighbour_set(six)));
    assert!(line.ends_with(": leave temp or proxy out"), "{line}");
}

#[test]
fn a_neighbour_is_stated_only_where_there_can_be_one() {
    let mut rig = rig();
    let mut refused = |address: &str, port: Option<&str>| {
        refusal(heard(rig.live.neighbour_set(stated(address, port))))
    };
    let (reason, message) = refused("10.99.0.50", None);
    assert_eq!(reason, Reason::Invalid);
    assert!(message.contains("uplink"), "{message}");
    assert_eq!(refused("172.16.0.1", None).0, Reason::Unreachable);
    let (reason, message) = refused("172.16.0.1", Some("rack"));
    assert_eq!(reason, Reason::Unreachable);
    assert!(message.contains("port rack"), "{message}");
    assert_eq!(refused("192.0.2.51", Some("rakc")).0, Reason::NotFound);
}

#[test]
fn every_reason_for_a_drop_has_a_line_and_no_block_has_a_name_twice() {
    let mut rig = rig();
    let all = rig.live.counters(CountersOf::default()).unwrap()();
    let mut names = Vec::new();
    for block in &all.blocks {
        let of_block: Vec<&str> = block.counters.iter().map(|c| c.name.as_str()).collect();
        let different: std::collections::HashSet<_> = of_block.iter().collect();
        assert_eq!(different.len(), of_block.len(), "{}", block.protocol);
        names.extend(of_block);
    }
    for reason in DropReason::ALL {
        assert!(names.contains(&reason.name()), "{}", reason.name());
    }
    let of = |name: &str| CountersOf {
        protocol: Some(name.into()),
    };
    let arp = rig.live.counters(of("arp")).unwrap()();
    assert_eq!(arp.blocks.len(), 1);
    assert!(names.contains(&"moves_refused") && names.contains(&"ignored_move_to_be_verified"));
    assert!(rig.live.counters(of("ipx")).is_err());
}

/// A UDP packet from 10.99.0.2:4000 to the service.
fn packet() -> Vec<u8> {
    let src = Ipv4Addr::new(10, 99, 0, 2);
    let dst = Ipv4Addr::new(203, 0, 113, 10);
    let udp = UdpRepr {
        src_port: 4000,
        dst_port: 53,
    };
    let ip = Ipv4Repr {
        src_addr: src,
        dst_addr: dst,
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + 4,
        hop_limit: 64,
    };
    let mut bytes = vec![0; ip.buffer_len() + ip.payload_len];
    let checks = ChecksumCapabilities::default();
    ip.emit(&mut Ipv4Packet::new_unchecked(&mut bytes), &checks);
    let mut segment = UdpPacket::new_unchecked(&mut bytes[20..]);
    let (from, to) = (src.into(), dst.into());
    udp.emit(&mut segment, &from, &to, 4, |data| data.fill(7), &checks);
    bytes
}

fn to_server() -> FlowFilter {
    FlowFilter {
        nexthop: "192.0.2.11".parse().ok(),
        ..FlowFilter::default()
    }
}

/// A rig with one flow, pinned to the one next hop of the service.
fn rig_with_a_flow() -> (Rig, wire::flow::Flow) {
    let mut rig = rig();
    heard(rig.live.neighbour_set(stated("192.0.2.11", None))).unwrap();
    rig.live.route_add(add(SERVICE, &["192.0.2.11"])).unwrap();
    assert!(rig.uplink.tx(&packet()));
    let flow = until(&mut rig, |rig| rig.live.flows(to_server()).unwrap().next());
    (rig, flow)
}

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
