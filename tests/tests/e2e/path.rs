//! The packet's way with kernels on both sides: ping, traceroute, path-MTU discovery; and everything
//! that Flowgate sent meanwhile is well-formed.

use flowgate_tests::lab::capture::Capture;
use flowgate_tests::lab::gateway::{Gateway, list};
use flowgate_tests::lab::plan::{self, Family};
use flowgate_tests::lab::probes::{
    assert_big_pings, assert_path_mtu_discovery, assert_pings_and_traces,
};
use flowgate_tests::lab::{CLIENT_PORT, FLOWGATE, Lab, LabSpec, RACK_PORT, books, enter};
use flowgate_tests::test_name;

const TOOLS: [&str; 4] = [FLOWGATE, "ip", "ping", "traceroute"];
const ETHERNET_HEADER: u32 = 14;

/// Recordings of both of Flowgate's ports.
struct Recorders {
    clients: Option<Capture>,
    rack: Option<Capture>,
}

/// Display filters; at least one packet of each must have been sent, else nothing was shown.
#[derive(Clone, Copy)]
struct Sent<'a> {
    to_clients: &'a [&'a str],
    to_rack: &'a [&'a str],
}

impl Recorders {
    fn start(lab: &Lab) -> Self {
        Self {
            clients: Capture::start(lab, CLIENT_PORT),
            rack: Capture::start(lab, RACK_PORT),
        }
    }

    /// Flowgate sent what is expected on both ports, and not one packet that is malformed, has a wrong
    /// checksum, or is larger than its link allows.
    fn assert_well_formed(self, lab: &Lab, gateway: &Gateway<'_>, sent: Sent<'_>) {
        let by_flowgate = format!("eth.src == {}", rack_mac(gateway));
        let rack_frame = lab.spec.rack_mtu + ETHERNET_HEADER;
        let sides = [
            (
                self.clients,
                to_clients(),
                lab.spec.client_mtu,
                sent.to_clients,
            ),
            (self.rack, by_flowgate, rack_frame, sent.to_rack),
        ];
        for (capture, from, largest, expected) in sides {
            let Some(recording) = capture.map(Capture::finish) else {
                continue;
            };
            let wrong = recording.wrong(lab, &from);
            assert!(wrong.is_empty(), "Flowgate sent:\n{}", wrong.join("\n"));
            let oversize = format!("({from}) && frame.len > {largest}");
            assert_eq!(recording.select(lab, &oversize), Vec::<String>::new());
            for expected in expected {
                let expected = format!("({from}) && {expected}");
                assert!(
                    !recording.select(lab, &expected).is_empty(),
                    "no packet of {expected}"
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
    if !enter(test_name!(), &TOOLS) {
        return;
    }
    let lab = Lab::new(LabSpec {
        offload: (false, false),
        rack_mtu: 1400,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1, 2, 3, 4]);
    let recorders = Recorders::start(&lab);
    assert_pings_and_traces(&lab);
    assert_big_pings(&lab);
    assert_path_mtu_discovery(&lab);
    let sent = Sent {
        to_clients: &[
            "icmp.type == 3 && icmp.code == 4",
            "icmp.type == 11",
            "icmpv6.type == 2",
            "icmpv6.type == 3",
        ],
        to_rack: &[
            "ip.flags.mf == 1",
            "arp.opcode == 1",
            "icmpv6.type == 135",
            "tcp",
            "udp",
        ],
    };
    recorders.assert_well_formed(&lab, &gateway, sent);
    books::assert_balanced(&gateway);
}

#[test]
fn large_transfers_pass_to_clients_of_smaller_mtu() {
    if !enter(test_name!(), &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        offload: (false, false),
        client_mtu: 1400,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1, 2, 3, 4]);
    let recorders = Recorders::start(&lab);
    assert_path_mtu_discovery(&lab);
    let to_rack = &[
        "icmp.type == 3 && icmp.code == 4",
        "icmpv6.type == 2",
        "tcp",
    ];
    let sent = Sent {
        to_clients: &["tcp"],
        to_rack,
    };
    recorders.assert_well_formed(&lab, &gateway, sent);
    books::assert_balanced(&gateway);
}
