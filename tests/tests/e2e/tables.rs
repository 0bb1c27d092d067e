//! Whole tables of routes loaded into a running gateway: traffic goes on, and what is loaded is what is exported.

use flowgate_tests::lab::gateway::Gateway;
use flowgate_tests::lab::plan::{self, Family};
use flowgate_tests::lab::{FLOWGATE, Lab, LabSpec, books, enter, eventually};
use flowgate_tests::test_name;
use serde_json::Value;
use std::fmt::Write;

/// Routes of a table.
const ROUTES: u32 = 100_000;

/// So many /24 from 20.0.0.0 on and, where the kernel has IPv6, half as many /48, by servers 1 and 2 in turns of 16.
fn table(lab: &Lab, shift: u32) -> String {
    let mut text = String::new();
    for family in lab.families() {
        for at in 0..ROUTES {
            let gateway = plan::server(family, 1 + (at as usize / 16 + shift as usize) % 2);
            let written = match family {
                Family::V4 => {
                    let [a, b, c, _] = (0x1400_0000 + (at << 8)).to_be_bytes();
                    writeln!(text, "{a}.{b}.{c}.0/24 {gateway}")
                }
                Family::V6 => writeln!(text, "3fff:{:x}:{:x}::/48 {gateway}", at >> 12, at & 0xfff),
            };
            written.expect("a string takes it");
        }
        // The route that traffic takes is in the table too.
        let service = plan::service_net(family);
        writeln!(text, "{service} {}", plan::server(family, 1)).expect("a string takes it");
    }
    text
}

fn load(gateway: &Gateway<'_>, file: &str) -> Value {
    gateway.ask(&format!("route load {file} -replace"))
}

#[test]
fn a_table_is_loaded_exported_flushed_and_comes_back_the_same() {
    let name = test_name!();
    if !enter(name, &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 2,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1]);
    let routes = (u64::from(ROUTES) + 1) * lab.families().len() as u64;
    let file = lab.scratch.write("table", &table(&lab, 0));
    let file = file.to_string_lossy();
    let loaded = load(&gateway, &file);
    assert_eq!(loaded["routes"], routes, "{loaded}");
    assert_eq!(
        loaded["changed"], 0,
        "the service's own route is equal: {loaded}"
    );
    let exported = lab.scratch.path("exported");
    let exported = exported.to_string_lossy();
    gateway.tell(&format!("route export {exported}"));
    let first = std::fs::read_to_string(&*exported).expect("an export");
    assert_eq!(first.lines().count() as u64, routes);
    let flushed = gateway.tell("route flush");
    assert!(
        flushed.starts_with(&format!("flushed {routes} routes in ")),
        "{flushed}"
    );
    assert_eq!(gateway.tell("route export"), "");
    assert_eq!(load(&gateway, &exported)["added"], routes);
    assert_eq!(gateway.tell("route export"), first);
    let wrong = lab
        .scratch
        .write("wrong", "10.0.0.0/8 192.0.2.11\n10.1.0.0/16 172.16.0.1\n");
    let refused = gateway.cli(&format!("route load {} -replace", wrong.display()));
    assert_eq!(refused.status.code(), Some(1), "{refused}");
    assert!(
        refused
            .stderr
            .contains("wrong:2: 10.1.0.0/16: Network is unreachable"),
        "{refused}"
    );
    assert_eq!(gateway.tell("route export"), first, "nothing was changed");
}

#[test]
fn iperf3_loses_no_connection_while_a_table_is_loaded_churned_and_flushed() {
    let name = test_name!();
    if !enter(name, &[FLOWGATE, "ip", "iperf3"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 2,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1]);
    let server = lab.segment.server(1);
    let server = server.start(&lab.scratch, "iperf3", &["-s", "--forceflush"]);
    assert!(eventually(|| server.stdout().contains("Server listening")));
    let tables = [0, 1].map(|shift| {
        let file = lab
            .scratch
            .write(&format!("table{shift}"), &table(&lab, shift));
        file.to_string_lossy().into_owned()
    });
    // By the shared address: its route is compared, kept and churned around with all others.
    let to = plan::service(Family::V4).to_string();
    let args = ["-c", &to, "-P", "4", "-t", "12", "-J"];
    let iperf = "iperf3".as_ref();
    let client = lab.scratch.start(None, iperf, &args, &[]);
    assert!(eventually(|| !gateway
        .flows("--proto tcp --port 5201")
        .is_empty()));
    for round in 0..4 {
        let loaded = load(&gateway, &tables[round % 2]);
        assert_eq!(loaded["deleted"], 0, "{loaded}");
    }
    let connected = tables[0].replace("table0", "service");
    let own = format!("{}/32 {}\n", to, plan::server(Family::V4, 1));
    std::fs::write(&connected, own).expect("a file");
    // All but the service's route goes, and IPv6 altogether.
    load(&gateway, &connected);
    gateway.tell("route flush -6");
    let report = client.finish(flowgate_tests::lab::PATIENCE);
    let report: Value = serde_json::from_str(&report.success()).expect("JSON of iperf3");
    assert!(report["error"].is_null(), "{}", report["error"]);
    let end = &report["end"];
    assert!(end["sum_received"]["bytes"].as_u64() > Some(0), "{end}");
    let streams = end["streams"].as_array().map_or(0, Vec::len);
    assert_eq!(streams, 4, "{end}");
    let status = gateway.ask("status");
    assert_eq!(status["collateral"], 0, "{status}");
    let moved = status["moved"].as_object().expect("reasons");
    assert!(moved.values().all(|count| *count == 0), "{status}");
    books::assert_balanced(&gateway);
}
