//! VLANs of a TAP and of an interface that is there, between kernels with all their offloads.

use flowgate_tests::lab::access::AccessPort;
use flowgate_tests::lab::capture::Capture;
use flowgate_tests::lab::gateway::{Gateway, list};
use flowgate_tests::lab::plan::{self, Family};
use flowgate_tests::lab::process::Ran;
use flowgate_tests::lab::{
    FLOWGATE, Lab, LabSpec, RACK_PORT, Wires, books, enter, eventually, has_xdp,
};
use flowgate_tests::test_name;
use serde_json::Value;
use stack::io::xdp::Mode;

const TOOLS: [&str; 4] = [FLOWGATE, "ip", "ping", "ethtool"];

/// The VLANs, each with the server that is in it.
const VLANS: [(usize, u16); 2] = [(1, 100), (2, 200)];

/// Of VLAN 100, 192.0.100.0/24 and fd00:100::/64: the gateway is 1, the server 11.
fn addr(family: Family, vid: u16, host: u16) -> String {
    match family {
        Family::V4 => format!("192.0.{vid}.{host}"),
        Family::V6 => format!("fd00:{vid}::{host}"),
    }
}

fn len(family: Family) -> u8 {
    if family == Family::V4 { 24 } else { 64 }
}

fn with_len(family: Family, vid: u16, host: u16) -> String {
    format!("{}/{}", addr(family, vid, host), len(family))
}

/// The ports of the configuration.
fn vlan_ports(lab: &Lab) -> String {
    let port = |(_, vid): (usize, u16)| {
        let addrs = lab.families().into_iter().map(|f| with_len(f, vid, 1));
        let addrs: Vec<_> = addrs.collect();
        let name = if vid == 100 { "name = \"red\"\n" } else { "" };
        format!(
            "[[port]]\n{name}type = \"vlan\"\nparent = \"{RACK_PORT}\"\nvlan = {vid}\naddresses = {addrs:?}\n"
        )
    };
    VLANS.map(port).concat()
}

/// A server moves into a VLAN: other addresses, and a way to the other VLAN and to the clients.
fn settle_in(lab: &Lab, number: usize, vid: u16) {
    let server = lab.segment.server(number);
    let (eth, other) = (format!("eth{number}"), if vid == 100 { 200 } else { 100 });
    let ip = |args: &[&str]| server.run(&lab.scratch, "ip", args).success();
    for family in lab.families() {
        let own = with_len(family, vid, 11);
        let words = ["addr", "add", &own, "dev", &eth, "nodad"];
        // Only IPv6 would wait for duplicate address detection.
        ip(&words[..if family == Family::V6 { 6 } else { 5 }]);
        let (via, to) = (
            addr(family, vid, 1),
            format!("{}/{}", addr(family, other, 0), len(family)),
        );
        // From the address in the VLAN, not from that of the rack.
        let src = addr(family, vid, 11);
        for (verb, to) in [("add", to.as_str()), ("replace", "default")] {
            let flag = family.flag();
            ip(&[
                flag, "route", verb, to, "via", &via, "dev", &eth, "src", &src,
            ]);
        }
        let to = format!("{}/{}", addr(family, vid, 0), len(family));
        let dev = lab.client_end();
        let client_gateway = plan::client_gateway(family).to_string();
        lab.run(
            "ip",
            &["route", "add", &to, "via", &client_gateway, "dev", dev],
        )
        .success();
    }
}

/// A gateway with both VLANs, their servers in them.
fn start(lab: &Lab) -> Option<(Gateway<'_>, Vec<AccessPort>)> {
    let gateway = Gateway::start_with(lab, &[1, 2], &vlan_ports(lab));
    let mut access = Vec::new();
    for (server, vid) in VLANS {
        access.push(AccessPort::new(lab, server, vid)?);
        settle_in(lab, server, vid);
    }
    Some((gateway, access))
}

fn port(gateway: &Gateway<'_>, name: &str) -> Value {
    let ports = list(&gateway.ask("netstat -i"), "ports");
    let port = ports.into_iter().find(|port| port["name"] == name);
    port.unwrap_or_else(|| panic!("no port {name}"))
}

fn ping(lab: &Lab, from: usize, to: &str, args: &[&str]) -> Ran {
    let args = [&["-n", "-c", "3", "-i", "0.2", "-W", "10"][..], args, &[to]].concat();
    lab.segment.server(from).run(&lab.scratch, "ping", &args)
}

/// Everybody reaches everybody, with packets as long as the MTU too.
fn assert_pings(lab: &Lab) {
    for family in lab.families() {
        let largest = if family == Family::V4 { "1472" } else { "1452" };
        for args in [&[][..], &["-s", largest, "-M", "do"]] {
            for (from, to) in [(1, 200), (2, 100)] {
                ping(lab, from, &addr(family, to, 11), args).success();
            }
            let to = addr(family, 100, 11);
            let args = [&["-n", "-c", "1", "-W", "10"][..], args, &[&to]].concat();
            lab.run("ping", &args).success();
        }
    }
}

/// Both ways between the VLANs, and between one and the clients.
fn assert_transfers(lab: &Lab) {
    let _server = lab.segment.server(2).start(&lab.scratch, "iperf3", &["-s"]);
    for family in lab.families() {
        let to = addr(family, 200, 11);
        for direction in [&[][..], &["-R"]] {
            let args = [&["-c", &to, "-n", "32M", "-J"][..], direction].concat();
            let between = || lab.segment.server(1).run(&lab.scratch, "iperf3", &args);
            assert!(
                eventually(|| between().status.success()),
                "{}",
                between().all()
            );
            let from_clients = || lab.run("iperf3", &args);
            assert!(
                eventually(|| from_clients().status.success()),
                "{}",
                from_clients().all()
            );
        }
    }
}

fn assert_rows(gateway: &Gateway<'_>) {
    let text = gateway.tell("netstat -i");
    for line in ["<Vlan#100>", "<Vlan#200>"] {
        assert!(text.contains(line), "{text}");
    }
    let (trunk, red) = (port(gateway, RACK_PORT), port(gateway, "red"));
    let blue = port(gateway, &format!("{RACK_PORT}.200"));
    assert_eq!(
        (&red["kind"], &red["parent"], &red["vlan"]),
        (&"vlan".into(), &RACK_PORT.into(), &100.into())
    );
    assert_eq!((&red["mac"], &red["mtu"]), (&trunk["mac"], &trunk["mtu"]));
    for key in ["rx_packets", "tx_packets", "rx_bytes", "tx_bytes"] {
        let count = |port: &Value| port[key].as_u64().expect("a number");
        assert!(count(&red) > 0 && count(&blue) > 0, "{key}: {red} {blue}");
        assert!(
            count(&trunk) >= count(&red) + count(&blue),
            "{key}: {trunk}"
        );
    }
}

fn carries_everything(name: &str, wires: Wires) {
    if !enter(name, &[&TOOLS[..], &["iperf3", "ethtool"]].concat()) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 2,
        wires,
        ..LabSpec::default()
    });
    let by_xdp = matches!(wires, Wires::Xdp(_));
    if by_xdp {
        // An XDP socket sees a tag only within the frame.
        lab.run("ethtool", &["-K", lab.rack_end(), "txvlan", "off"])
            .success();
    }
    let Some((gateway, _access)) = start(&lab) else {
        return;
    };
    assert_pings(&lab);
    assert_transfers(&lab);
    for counter in ["fg_superreceived", "fg_supersent"] {
        let supers = books::counter(&gateway, counter);
        assert_eq!(supers > 0, !by_xdp, "{counter}");
    }
    assert_rows(&gateway);
    books::assert_balanced(&gateway);
}

#[test]
fn vlans_of_a_tap_carry_super_packets_and_all_else() {
    carries_everything(test_name!(), Wires::Made);
}

#[test]
fn vlans_of_an_interface_carry_super_packets_and_all_else() {
    carries_everything(test_name!(), Wires::Cables);
}

#[test]
fn vlans_of_xdp_sockets_carry_all_but_super_packets() {
    let name = test_name!();
    if has_xdp(name) {
        carries_everything(name, Wires::Xdp(Mode::Auto));
    }
}

#[test]
fn all_that_leaves_has_the_right_tag_and_nothing_is_wrong_with_it() {
    let name = test_name!();
    if !enter(name, &TOOLS) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 3,
        offload: (false, false),
        ..LabSpec::default()
    });
    let Some((gateway, mut access)) = start(&lab) else {
        return;
    };
    let capture = Capture::start(&lab, lab.rack_end());
    assert_pings(&lab);
    // A router's answer: the time is up.
    ping(&lab, 1, &addr(Family::V4, 200, 11), &["-t", "1"]);
    access.extend(AccessPort::new(&lab, 3, 300));
    let nobody = lab.segment.server(3);
    ping(&lab, 3, "192.0.2.1", &["-c", "1", "-W", "1"]);
    assert!(
        eventually(|| books::counter(&gateway, "fg_unknownvlan") > 0),
        "server 3 in VLAN 300 is heard of: {}",
        nobody.mac()
    );
    if let Some(recording) = capture.map(Capture::finish) {
        let mac = port(&gateway, "red")["mac"]
            .as_str()
            .expect("an address")
            .to_owned();
        let ours = format!("eth.src == {mac}");
        for (vid, net) in [(100, "192.0.100.0/24"), (200, "192.0.200.0/24")] {
            let to = format!("{ours} && vlan.id == {vid} && vlan.priority == 0 && ip.dst == {net}");
            assert!(!recording.select(&lab, &to).is_empty(), "{to}");
            let asks = format!("{ours} && vlan.id == {vid} && arp");
            assert!(!recording.select(&lab, &asks).is_empty(), "{asks}");
            let stray = format!(
                "{ours} && ip.dst == {net} && !(vlan.id == {vid}) && !icmp.type in {{3, 11}}"
            );
            let stray = recording.select(&lab, &stray);
            assert!(stray.is_empty(), "{}", stray.join("\n"));
        }
        let expired = format!("{ours} && vlan.id == 100 && icmp.type == 11");
        assert!(!recording.select(&lab, &expired).is_empty());
        let wrong = recording.wrong(&lab, &ours);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
    books::assert_balanced(&gateway);
}

#[test]
fn vlans_go_with_their_trunk_and_come_back_with_it() {
    let name = test_name!();
    if !enter(name, &TOOLS) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 2,
        ..LabSpec::default()
    });
    let Some((gateway, _access)) = start(&lab) else {
        return;
    };
    let all_up = |up: bool| {
        let names = [RACK_PORT, "red", "rack0.200"];
        names.iter().all(|name| port(&gateway, name)["up"] == up)
    };
    let pings = || {
        ping(&lab, 1, &addr(Family::V4, 200, 11), &[])
            .status
            .success()
    };
    assert!(all_up(true) && pings());
    let ip = |args: &[&str]| lab.run("ip", args).success();
    ip(&["link", "set", RACK_PORT, "down"]);
    assert!(eventually(|| all_up(false)));
    ip(&["link", "set", RACK_PORT, "up"]);
    assert!(eventually(|| all_up(true)));
    assert!(eventually(pings));
    // A TAP that was deleted is made anew.
    ip(&["link", "del", RACK_PORT]);
    let attached = || {
        let args = ["link", "set", RACK_PORT, "master", "bridge0"];
        lab.run("ip", &args).status.success()
    };
    assert!(eventually(attached));
    assert!(eventually(|| all_up(true)));
    assert!(eventually(pings));
    assert_eq!(port(&gateway, "red")["device"], "up");
    books::assert_balanced(&gateway);
}
