//! Three ports, two blocks of counters, and a status.

use crate::server::Answer;
use crate::server::Reading;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::route::Admin;
use crate::wire::route::Health;
use crate::wire::stats::*;
use std::collections::BTreeMap;

pub(super) fn ports() -> Reading<Ports> {
    let port = |index: u32, name: &str, kind: &str, address: &str| Port {
        name: name.into(),
        index,
        kind: kind.into(),
        parent: None,
        vlan: None,
        up: true,
        device: None,
        mode: None,
        warning: None,
        mtu: 1500,
        configured_mtu: None,
        mac: (kind == "tap").then(|| "02:00:00:00:00:01".into()),
        offloads: match kind {
            "tap" => vec!["csum".into(), "tso4".into()],
            _ => Vec::new(),
        },
        addresses: vec![address.into()],
        rx_packets: 10,
        rx_bytes: 1000,
        rx_dropped: 1,
        rx_missed: 0,
        tx_packets: 20,
        tx_bytes: 2000,
        tx_refused: 2,
    };
    let uplink = port(1, "uplink", "tun", "10.99.0.1/24");
    let rack = port(2, "rack", "tap", "192.0.2.1/24");
    let vlan = Port {
        parent: Some(rack.name.clone()),
        vlan: Some(100),
        mac: rack.mac.clone(),
        mtu: 1400,
        configured_mtu: Some(1500),
        ..port(3, "rack.100", "vlan", "198.51.100.1/24")
    };
    Box::new(|| Ports {
        ports: vec![uplink, rack, vlan],
    })
}

pub(super) fn counters(of: CountersOf) -> Answer<Reading<Counters>> {
    let counter = |name: &str, value, text: &str| Counter {
        name: name.into(),
        value,
        text: text.into(),
    };
    let ip = vec![
        counter("ips_total", 12, "total packets received"),
        counter("ips_badsum", 0, "bad header checksums"),
    ];
    let arp = vec![counter("txrequests", 1, "ARP request sent")];
    let mut blocks = vec![
        CounterBlock {
            protocol: "ip".into(),
            counters: ip,
        },
        CounterBlock {
            protocol: "arp".into(),
            counters: arp,
        },
    ];
    if let Some(protocol) = of.protocol {
        blocks.retain(|block| block.protocol == protocol);
        if blocks.is_empty() {
            let message = format!("{protocol}: unknown protocol: use ip or arp");
            return Err(CallError::refused(Reason::Invalid, message));
        }
    }
    Ok(Box::new(|| Counters { blocks }))
}

pub(super) fn status() -> Reading<Status> {
    let worker = |worker| Worker {
        worker,
        cpu: Some(worker.into()),
        packets: 1000,
        handed_off: 25,
        sleep_permille: 987,
        flows: 3,
    };
    let table = Table {
        name: "flows-v4".into(),
        used: 3,
        limit: 65536,
        policy: "evicts unconfirmed flows, then forwards without a pin".into(),
        overflows: 0,
    };
    let leaving = Leaving {
        group: None,
        name: "192.0.2.12".into(),
        destination: Some("203.0.113.0/24".into()),
        fib: 0,
        admin: Admin::Draining,
        health: Health::Up,
        flows: 2,
        deadline: Some(90),
    };
    let status = Status {
        version: "0.1.0".into(),
        pid: 42,
        uptime: 3_723_000,
        workers: vec![worker(0), worker(1)],
        steering: "off: not asked for".into(),
        flow_memory: "memfd on transparent huge pages".into(),
        sandbox: "off: a test".into(),
        tables: vec![table],
        moved: BTreeMap::from([("dead".into(), 2), ("policy".into(), 0)]),
        collateral: 0,
        unpinned_packets: 4,
        memory: vec![Memory {
            name: "rib".into(),
            bytes: 96,
            routes: 2,
        }],
        leaving: vec![leaving],
    };
    Box::new(|| status)
}
