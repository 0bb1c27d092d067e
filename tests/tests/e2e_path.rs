//! The packet's way with kernels on both sides: ping, traceroute, path-MTU discovery; and everything
//! that Flowgate sent meanwhile is well-formed.

use flowgate_tests::lab::capture::Capture;
use flowgate_tests::lab::gateway::{Gateway, list};
use flowgate_tests::lab::plan::{self, Family};
use flowgate_tests::lab::probes::{
    assert_big_pings, assert_path_mtu_discovery, assert_pings_and_traces,
};
use flowgate_tests::lab::{CLIENT_PORT, Lab, LabSpec, RACK_PORT, books, enter};

const TOOLS: [&str; 3] = ["ip", "ping", "traceroute"];

/// Recordings of both of Flowgate's ports.
struct Recorders {
    clients: Option<Capture>,
    rack: Option<Capture>,
}

impl Recorders {
    fn start(lab: &Lab) -> Self {
        Self {
            clients: Capture::start(lab, CLIENT_PORT),
            rack: Capture::start(lab, RACK_PORT),
        }
    }

    /// Flowgate sent packets on both ports, `telling` ones among them, and not one that is malformed,
    /// has a wrong checksum, or is larger than the rack allows.
    fn assert_well_formed(self, lab: &Lab, gateway: &Gateway<'_>, telling: &[(&str, &str)]) {
        let mac = rack_mac(gateway);
        let sides = [
            (self.clients, to_clients()),
            (self.rack, format!("eth.src == {mac}")),
        ];
        for (capture, from_flowgate) in sides {
            let Some(capture) = capture else { continue };
            let recording = capture.finish();
            assert!(
                !recording.select(lab, &from_flowgate).is_empty(),
                "nothing recorded"
            );
            let wrong = recording.wrong(lab, &from_flowgate);
            assert!(wrong.is_empty(), "Flowgate sent:\n{}", wrong.join("\n"));
            let oversize = format!("{from_flowgate} && ip.len > {}", lab.spec.rack_mtu);
            if from_flowgate.contains("eth.") {
                assert_eq!(recording.select(lab, &oversize), Vec::<String>::new());
            }
            for (_, filter) in telling
                .iter()
                .filter(|(side, _)| from_flowgate.starts_with(side))
            {
                let filter = format!("({from_flowgate}) && {filter}");
                assert!(
                    !recording.select(lab, &filter).is_empty(),
                    "no packet with {filter}"
                );
            }
        }
    }
}

/// What comes to the clients' kernel: a TUN device has no senders' addresses.
fn to_clients() -> String {
    let (v4, v6) = (plan::client(Family::V4), plan::client(Family::V6));
    format!("ip.dst == {v4} || ipv6.dst == {v6}")
}

fn rack_mac(gateway: &Gateway<'_>) -> String {
    let ports = list(&gateway.ask("netstat -i"), "ports");
    let rack = ports
        .iter()
        .find(|port| port["name"] == RACK_PORT)
        .expect("the rack's port");
    rack["mac"]
        .as_str()
        .expect("its hardware address")
        .to_owned()
}

#[test]
fn probes_and_large_transfers_pass_to_a_rack_of_smaller_mtu() {
    if !enter(
        "probes_and_large_transfers_pass_to_a_rack_of_smaller_mtu",
        &TOOLS,
    ) {
        return;
    }
    let lab = Lab::new(LabSpec {
        rack_mtu: 1400,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1, 2, 3, 4]);
    let recorders = Recorders::start(&lab);
    assert_pings_and_traces(&lab);
    assert_big_pings(&lab);
    assert_path_mtu_discovery(&lab);
    let telling = [
        ("ip.dst", "icmp.type == 3 && icmp.code == 4"),
        ("ip.dst", "icmp.type == 11"),
        ("ip.dst", "icmpv6.type == 2"),
        ("ip.dst", "icmpv6.type == 3"),
        ("eth.src", "ip.flags.mf == 1"),
        ("eth.src", "arp.opcode == 1"),
        ("eth.src", "icmpv6.type == 135"),
    ];
    recorders.assert_well_formed(&lab, &gateway, &telling);
    books::assert_balanced(&gateway);
}

#[test]
fn large_transfers_pass_to_clients_of_smaller_mtu() {
    if !enter("large_transfers_pass_to_clients_of_smaller_mtu", &["ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        client_mtu: 1400,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1, 2, 3, 4]);
    let recorders = Recorders::start(&lab);
    assert_path_mtu_discovery(&lab);
    let telling = [
        ("eth.src", "icmp.type == 3 && icmp.code == 4"),
        ("eth.src", "icmpv6.type == 2"),
    ];
    recorders.assert_well_formed(&lab, &gateway, &telling);
    books::assert_balanced(&gateway);
}
