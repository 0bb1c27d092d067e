//! A gateway on interfaces that are there: packet sockets on both sides, kernels with all their offloads around it.

use flowgate_tests::lab::capture::Capture;
use flowgate_tests::lab::gateway::{Gateway, list};
use flowgate_tests::lab::plan;
use flowgate_tests::lab::probes::{
    assert_big_pings, assert_path_mtu_discovery, assert_pings_and_traces,
};
use flowgate_tests::lab::{
    CLIENT_PORT, FLOWGATE, Lab, LabSpec, RACK_PORT, Wires, books, enter, eventually,
};
use flowgate_tests::test_name;

const TOOLS: [&str; 5] = [FLOWGATE, "ip", "ping", "traceroute", "ethtool"];

fn cables() -> LabSpec {
    LabSpec {
        client_mtu: 9000,
        wires: Wires::Cables,
        ..LabSpec::default()
    }
}

fn mac(gateway: &Gateway<'_>, name: &str) -> String {
    let ports = list(&gateway.ask("netstat -i"), "ports");
    let port = ports.iter().find(|port| port["name"] == name);
    let mac = port.and_then(|port| port["mac"].as_str());
    mac.expect("a port's address").to_owned()
}

#[test]
fn packet_ports_forward_what_a_router_forwards_and_nothing_that_is_wrong() {
    let name = test_name!();
    if !enter(name, &TOOLS) {
        return;
    }
    let lab = Lab::new(cables());
    let gateway = Gateway::start(&lab, &[1, 2]);
    // Frames come unfinished; the gateway's own ends leave nothing to who is behind them.
    for port in [CLIENT_PORT, RACK_PORT] {
        lab.run("ethtool", &["-K", port, "tx", "off"]).success();
    }
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
fn packet_ports_tell_a_paths_mtu() {
    if !enter(test_name!(), &TOOLS) {
        return;
    }
    let lab = Lab::new(LabSpec {
        client_mtu: 1500,
        rack_mtu: 1400,
        ..cables()
    });
    let gateway = Gateway::start(&lab, &[1, 2]);
    assert_path_mtu_discovery(&lab);
    books::assert_balanced(&gateway);
}
#[test]
fn packet_ports_carry_super_packets_both_ways() {
    let name = test_name!();
    if !enter(name, &[FLOWGATE, "ip", "iperf3"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 2,
        wires: Wires::Cables,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1, 2]);
    let server = lab.segment.server(1);
    let _server = server.start(&lab.scratch, "iperf3", &["-s"]);
    for family in lab.families() {
        let to = plan::server(family, 1).to_string();
        for direction in [&[][..], &["-R"]] {
            let args = [&["-c", &to, "-n", "64M", "-J"][..], direction].concat();
            assert!(
                eventually(|| lab.run("iperf3", &args).status.success()),
                "{args:?}"
            );
        }
    }
    assert!(
        books::counter(&gateway, "fg_superreceived") > 0,
        "no super-packet came"
    );
    let ports = list(&gateway.ask("netstat -i"), "ports");
    assert!(
        ports.iter().all(|port| port["rx_missed"].is_u64()),
        "{ports:?}"
    );
    books::assert_balanced(&gateway);
}
