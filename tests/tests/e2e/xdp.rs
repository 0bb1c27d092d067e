//! A gateway on interfaces that are there by XDP sockets on both sides, in the driver and behind it, kernels with their
//! offloads around it.

use flowgate_tests::lab::capture::Capture;
use flowgate_tests::lab::gateway::{Gateway, list};
use flowgate_tests::lab::plan;
use flowgate_tests::lab::probes::{
    assert_big_pings, assert_path_mtu_discovery, assert_pings_and_traces,
};
use flowgate_tests::lab::{
    CLIENT_PORT, FLOWGATE, Lab, LabSpec, RACK_PORT, Wires, books, enter, eventually, has_xdp,
};
use flowgate_tests::test_name;
use serde_json::Value;
use stack::io::xdp::Mode;

const TOOLS: [&str; 6] = [FLOWGATE, "ip", "ping", "traceroute", "ethtool", "iperf3"];

fn cables(mode: Mode) -> LabSpec {
    LabSpec {
        wires: Wires::Xdp(mode),
        ..LabSpec::default()
    }
}

fn ports(gateway: &Gateway<'_>) -> Vec<Value> {
    list(&gateway.ask("netstat -i"), "ports")
}

fn mac(gateway: &Gateway<'_>, name: &str) -> String {
    let ports = ports(gateway);
    let port = ports.iter().find(|port| port["name"] == name);
    let mac = port.and_then(|port| port["mac"].as_str());
    mac.expect("a port's address").to_owned()
}

/// Pings, traces and large pings, and what the gateway sent meanwhile judged by another's eyes.
fn forwards_what_a_router_forwards(mode: Mode, word: &str) {
    // As much as a program in a veth's driver has room for, and less than a frame of ours.
    let lab = Lab::new(LabSpec {
        client_mtu: 3400,
        ..cables(mode)
    });
    let gateway = Gateway::start(&lab, &[1, 2]);
    let kinds = ports(&gateway);
    assert!(
        kinds
            .iter()
            .all(|port| port["kind"] == "xdp" && port["mode"] == word),
        "{kinds:?}"
    );
    assert!(
        gateway
            .tell("netstat -i")
            .contains(&format!("\txdp: {word}"))
    );
    let said = format!("mode=\"{word}\"");
    assert!(gateway.log().contains(&said), "{}", gateway.log());
    let ends = [lab.client_end(), lab.rack_end()].map(|end| Capture::start(&lab, end));
    assert_pings_and_traces(&lab);
    assert_big_pings(&lab);
    let sent = [CLIENT_PORT, RACK_PORT].map(|port| format!("eth.src == {}", mac(&gateway, port)));
    for (capture, sent) in ends.into_iter().zip(sent) {
        let Some(recording) = capture.map(Capture::finish) else {
            continue;
        };
        assert!(
            !recording.select(&lab, &sent).is_empty(),
            "nothing was sent"
        );
        let wrong = recording.wrong(&lab, &sent);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
    books::assert_balanced(&gateway);
}

#[test]
fn xdp_ports_forward_what_a_router_forwards_and_nothing_that_is_wrong() {
    let name = test_name!();
    if enter(name, &TOOLS) && has_xdp(name) {
        forwards_what_a_router_forwards(Mode::Auto, "copy");
    }
}

#[test]
fn xdp_ports_behind_the_driver_forward_what_a_router_forwards() {
    let name = test_name!();
    if enter(name, &TOOLS) && has_xdp(name) {
        forwards_what_a_router_forwards(Mode::Generic, "generic");
    }
}

#[test]
fn xdp_ports_tell_a_paths_mtu() {
    let name = test_name!();
    if !enter(name, &TOOLS) || !has_xdp(name) {
        return;
    }
    let lab = Lab::new(LabSpec {
        rack_mtu: 1400,
        ..cables(Mode::Auto)
    });
    let gateway = Gateway::start(&lab, &[1, 2]);
    assert_path_mtu_discovery(&lab);
    books::assert_balanced(&gateway);
}

/// Kernels on both sides leave their checksums unfinished, as they do on any cable of this kind.
fn carry_tcp_both_ways(mode: Mode) {
    let lab = Lab::new(cables(mode));
    let gateway = Gateway::start(&lab, &[1, 2]);
    let server = lab.segment.server(1);
    let _server = server.start(&lab.scratch, "iperf3", &["-s"]);
    for family in lab.families() {
        let to = plan::server(family, 1).to_string();
        for direction in [&[][..], &["-R"]] {
            let args = [&["-c", &to, "-n", "64M", "-J"][..], direction].concat();
            assert!(
                eventually(|| lab.run("iperf3", &args).status.success()),
                "{args:?}\n{}",
                gateway.tell("netstat -i")
            );
        }
    }
    assert!(
        books::counter(&gateway, "fg_sumsfinished") > 0,
        "all came finished"
    );
    assert_eq!(books::counter(&gateway, "fg_badoffload"), 0);
    books::assert_balanced(&gateway);
}

#[test]
fn xdp_ports_carry_tcp_both_ways() {
    let name = test_name!();
    if enter(name, &TOOLS) && has_xdp(name) {
        carry_tcp_both_ways(Mode::Auto);
    }
}

#[test]
fn xdp_ports_behind_the_driver_carry_tcp_both_ways() {
    let name = test_name!();
    if enter(name, &TOOLS) && has_xdp(name) {
        carry_tcp_both_ways(Mode::Generic);
    }
}
