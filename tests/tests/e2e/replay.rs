//! Captures through a gateway off-line.

use flowgate_tests::frames::udp;
use flowgate_tests::lab::process::{Ran, Scratch};
use flowgate_tests::lab::{PATIENCE, binary};
use serde_json::Value;
use stack::io::pcap::{Capture, Writer};
use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

const CONFIG: &str = r#"
[gateway]
workers = 2
[[port]]
name = "uplink"
type = "tun"
addresses = ["10.99.0.1/24"]
[[port]]
name = "rack"
type = "packet"
addresses = ["192.0.2.1/24"]
[[port]]
type = "vlan"
parent = "rack"
vlan = 5
addresses = ["192.0.5.1/24"]
[[route]]
destination = "203.0.113.0/24"
gateways = ["192.0.2.11", "192.0.2.12", "192.0.2.13"]
"#;

/// When the first packet was captured, ns.
const AT: u64 = 1_700_000_000_123_456_789;
const FLOWS: u64 = 50;
const EACH: u64 = 4;

/// A capture of UDP flows, bare IP, a packet every 0.3 ms.
fn trace() -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, false).expect("a capture");
    for no in 0..FLOWS * EACH {
        let flow = no % FLOWS;
        let src = SocketAddr::from(([10, 0, 0, 1 + flow as u8], 4000));
        let dst = SocketAddr::from(([203, 0, 113, 10], 53));
        let written = writer.write(AT + no * 300_000, &udp(src, dst, b"question"));
        written.expect("a record");
    }
    file
}

fn replay(scratch: &Scratch, file: &Path, out: &Path) -> Ran {
    replay_as(scratch, "uplink", file, out)
}

fn replay_as(scratch: &Scratch, port: &str, file: &Path, out: &Path) -> Ran {
    let config = scratch.write("flowgate.toml", CONFIG);
    let capture = format!("{port}={}", file.display());
    let (config, out) = (config.to_string_lossy(), out.to_string_lossy());
    let args = [
        "--json",
        "replay",
        "--config",
        &*config,
        &*capture,
        "--out-dir",
        &*out,
    ];
    scratch.run(None, binary::flowgate(), &args, PATIENCE)
}

fn records(file: &Path) -> Vec<(u64, Vec<u8>)> {
    let bytes = fs::read(file).expect("a capture");
    let mut capture = Capture::open(&bytes[..]).expect("a capture");
    let (mut found, mut record) = (Vec::new(), Vec::new());
    while let Some(meta) = capture.next(&mut record).expect("a record") {
        found.push((meta.at_ns, record.clone()));
    }
    found
}

#[test]
fn a_trace_goes_through_the_gateway_by_its_own_times() {
    let scratch = Scratch::new();
    let file = scratch.path("trace.pcap");
    fs::write(&file, trace()).expect("the trace");
    let out: [PathBuf; 2] = ["first", "second"].map(|name| scratch.path(name));
    let reports = out.each_ref().map(|out| {
        let text = replay(&scratch, &file, out).success();
        serde_json::from_str::<Value>(&text).expect("a report")
    });
    let report = &reports[0];
    assert_eq!(report["ports"][0]["records"], FLOWS * EACH, "{report}");
    assert_eq!(report["ports"][0]["dropped"], 0, "{report}");
    assert!(report["imbalance"].is_null(), "{report}");
    assert_eq!(report, &reports[1], "one trace, one result");

    let sent = records(&out[0].join("rack.pcap"));
    assert_eq!(sent, records(&out[1].join("rack.pcap")));
    let forwarded: Vec<_> = sent
        .iter()
        .filter(|(_, frame)| frame[12..14] == [8, 0])
        .collect();
    assert_eq!(forwarded.len() as u64, FLOWS * EACH);
    let mut to = HashMap::new();
    for (no, (at, frame)) in (0..).zip(forwarded) {
        assert_eq!(*at, AT + no * 300_000, "at its own time");
        assert_eq!(frame[14 + 8], 63, "TTL");
        let mac = frame[..6].to_vec();
        assert_eq!(mac[..5], [2, 0xfe, 192, 0, 2]);
        let source = frame[14 + 12..14 + 16].to_vec();
        assert_eq!(
            *to.entry(source).or_insert_with(|| mac.clone()),
            mac,
            "a flow stays"
        );
    }
    let servers: std::collections::HashSet<_> = to.values().collect();
    assert_eq!(servers.len(), 3, "flows are spread");
}

#[test]
fn a_damaged_trace_is_told_with_its_place() {
    let scratch = Scratch::new();
    let mut bytes = trace();
    bytes.truncate(bytes.len() - 5);
    let file = scratch.path("cut.pcap");
    fs::write(&file, &bytes).expect("the trace");
    let ran = replay(&scratch, &file, &scratch.path("out"));
    assert_eq!(ran.status.code(), Some(65));
    let wanted = format!(
        "cut.pcap: at byte {}: cut short: 31 of 36 bytes",
        bytes.len() - 31
    );
    assert!(ran.stderr.contains(&wanted), "{}", ran.stderr);
    fs::write(&file, "no capture").expect("the trace");
    let ran = replay(&scratch, &file, &scratch.path("out"));
    assert!(
        ran.stderr.contains("this is neither pcap nor pcapng"),
        "{}",
        ran.stderr
    );
}

#[test]
fn output_that_is_lost_is_told() {
    let scratch = Scratch::new();
    let file = scratch.path("trace.pcap");
    fs::write(&file, trace()).expect("the trace");
    let out = scratch.path("out");
    fs::create_dir(&out).expect("a folder");
    // A device that is always full, by the name of a port's capture.
    std::os::unix::fs::symlink("/dev/full", out.join("rack.pcap")).expect("a link");
    let ran = replay(&scratch, &file, &out);
    assert_eq!(ran.status.code(), Some(73), "{}", ran.stderr);
    assert!(ran.stderr.contains("rack.pcap"), "{}", ran.stderr);
}

#[test]
fn a_capture_of_a_vlan_is_played_with_its_tags() {
    let scratch = Scratch::new();
    let file = scratch.path("red.pcap");
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, true).expect("a capture");
    let ends = ["192.0.5.11:4000", "203.0.113.10:53"].map(|end| end.parse().expect("an end"));
    // As 'flowgate capture' and a kernel's VLAN interface have it.
    let frame = flowgate_tests::frames::ether(
        arp::Mac([2, 0, 0, 0, 0, 9]),
        arp::Mac([2, 0, 0, 0, 5, 0x11]),
        &udp(ends[0], ends[1], b"question"),
    );
    writer.write(AT, &frame).expect("a record");
    fs::write(&file, bytes).expect("the trace");
    let text = replay_as(&scratch, "rack.5", &file, &scratch.path("out")).success();
    let report = serde_json::from_str::<Value>(&text).expect("a report");
    for (at, name, dropped) in [(1, "rack", 0), (2, "rack.5", 0)] {
        let port = &report["ports"][at];
        assert_eq!(
            (&port["port"], &port["dropped"]),
            (&name.into(), &dropped.into())
        );
    }
    assert_eq!(report["ports"][1]["records"], 1, "{report}");
    let sent = records(&scratch.path("out").join("rack.pcap"));
    let forwarded = sent
        .iter()
        .find(|(at, frame)| *at == AT && frame[12..14] == [8, 0]);
    assert!(forwarded.is_some(), "{report}");
}

#[test]
fn a_gap_of_years_is_passed_over_and_what_comes_behind_it_finds_its_way() {
    const YEAR: u64 = 31_536_000_000_000_000;
    let scratch = Scratch::new();
    let file = scratch.path("gap.pcap");
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, false).expect("a capture");
    let src = SocketAddr::from(([10, 0, 0, 1], 4000));
    let dst = SocketAddr::from(([203, 0, 113, 10], 53));
    let times = [AT, AT + 20 * YEAR];
    for at in times {
        let written = writer.write(at, &udp(src, dst, b"question"));
        written.expect("a record");
    }
    fs::write(&file, bytes).expect("the trace");
    let text = replay(&scratch, &file, &scratch.path("out")).success();
    let report = serde_json::from_str::<Value>(&text).expect("a report");
    let strided = report["strided_seconds"].as_f64().expect("seconds");
    assert!((6.2e8..6.4e8).contains(&strided), "{report}");
    let sent = records(&scratch.path("out").join("rack.pcap"));
    let forwarded = sent.iter().filter(|(_, frame)| frame[12..14] == [8, 0]);
    assert_eq!(forwarded.map(|(at, _)| *at).collect::<Vec<_>>(), times);
    assert!(report["imbalance"].is_null(), "{report}");
}
