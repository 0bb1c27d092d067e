//! Devices that go down or are deleted under a running daemon.

use flowgate_tests::lab::gateway::{Gateway, list};
use flowgate_tests::lab::plan::{self, Family};
use flowgate_tests::lab::{
    CLIENT_PORT, FLOWGATE, Lab, LabSpec, PATIENCE, RACK_PORT, Wires, echo, enter, eventually,
    has_xdp, lay_cable,
};
use flowgate_tests::test_name;
use serde_json::Value;
use stack::io::netlink::Netlink;
use stack::io::xdp::Mode;

fn port(gateway: &Gateway<'_>, name: &str) -> Value {
    let ports = list(&gateway.ask("netstat -i"), "ports");
    let port = ports.into_iter().find(|port| port["name"] == name);
    port.unwrap_or_else(|| panic!("no port {name}"))
}

/// Every next hop of that port and its health.
fn health(gateway: &Gateway<'_>, name: &str) -> Vec<String> {
    let all = list(&gateway.ask("netstat -o"), "nexthops");
    let there = all.iter().filter(|nexthop| nexthop["port"] == name);
    let there = there.filter(|nexthop| nexthop["kind"] != "local");
    let health = there.map(|nexthop| nexthop["health"].as_str().unwrap_or_default().to_owned());
    health.collect()
}

fn all_are(gateway: &Gateway<'_>, name: &str, state: &str) -> bool {
    let health = health(gateway, name);
    !health.is_empty() && health.iter().all(|is| is == state)
}

#[test]
fn a_device_that_goes_down_returns_or_is_deleted_is_noticed() {
    let name = test_name!();
    if !enter(name, &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 2,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1, 2]);
    assert_eq!(port(&gateway, RACK_PORT)["up"], true);
    let monitor = gateway.start_cli("--json route monitor");
    let hears = || {
        gateway.tell("route add 10.0.0.0/8 192.0.2.11");
        gateway.tell("route delete 10.0.0.0/8");
        !monitor.stdout().is_empty()
    };
    assert!(eventually(hears));
    let told = |port: &str, up: bool| {
        let stdout = monitor.stdout();
        let mut events = stdout
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.any(|told| told["event"] == "port" && told["port"] == port && told["up"] == up)
    };
    let ip = |args: &[&str]| lab.run("ip", args).success();

    for dev in [RACK_PORT, CLIENT_PORT] {
        ip(&["link", "set", dev, "down"]);
        assert!(eventually(|| told(dev, false)), "{}", monitor.stdout());
        assert_eq!(port(&gateway, dev)["up"], false);
        assert!(
            all_are(&gateway, dev, "dead"),
            "{:?}",
            health(&gateway, dev)
        );
        ip(&["link", "set", dev, "up"]);
        assert!(eventually(|| told(dev, true)), "{}", monitor.stdout());
        assert!(eventually(|| all_are(&gateway, dev, "up")));
    }
    assert!(eventually(|| gateway.knows(&[1, 2])));
    gateway.tell(&format!("ping -c 1 {}", plan::server(Family::V4, 1)));

    // Out of the bridge and back: that is not about the device.
    ip(&["link", "set", RACK_PORT, "nomaster"]);
    ip(&["link", "set", RACK_PORT, "master", "bridge0"]);
    gateway.tell("status");
    assert!(!gateway.log().contains("was deleted"), "{}", gateway.log());
}

#[test]
fn a_device_that_is_deleted_is_made_anew_and_its_routes_return() {
    let name = test_name!();
    if !enter(name, &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 2,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1, 2]);
    assert!(flows(Family::V4), "{}", gateway.log());
    let ip = |args: &[&str]| lab.run("ip", args).success();
    let before = gateway.descriptors_at_rest();
    for _ in 0..3 {
        let number = index_of(RACK_PORT);
        ip(&["link", "del", "dev", RACK_PORT]);
        assert!(
            eventually(|| index_of(RACK_PORT) > number),
            "{}",
            gateway.log()
        );
        lab.segment.attach(&lab.scratch, RACK_PORT);
        assert!(eventually(|| gateway.knows(&[1, 2])), "{}", gateway.log());
        assert!(flows(Family::V4), "{}", gateway.log());
        assert_eq!(port(&gateway, CLIENT_PORT)["up"], true);
    }
    assert!(
        eventually(|| gateway.descriptors() == before),
        "{before:?}\n{:?}",
        gateway.descriptors()
    );
    assert_eq!(gateway.log().matches("its device is gone").count(), 3);
    assert_eq!(
        gateway.log().matches("its device is there again").count(),
        3
    );
}

/// The number of an interface; 0 while there is none.
fn index_of(name: &str) -> u32 {
    let netlink = Netlink::open().expect("netlink");
    netlink.link_index(name).unwrap_or(0)
}

/// Whether a server answers through the gateway.
fn flows(family: Family) -> bool {
    eventually(|| echo::ask(plan::echo_service(family), PATIENCE).is_ok())
}

#[test]
fn an_interface_that_vanishes_is_gone_until_there_is_one_again() {
    let name = test_name!();
    if enter(name, &[FLOWGATE, "ip"]) {
        vanishes_and_returns(Wires::Cables);
    }
}

#[test]
fn an_interface_of_xdp_sockets_that_vanishes_is_gone_until_there_is_one_again() {
    let name = test_name!();
    if enter(name, &[FLOWGATE, "ip"]) && has_xdp(name) {
        vanishes_and_returns(Wires::Xdp(Mode::Auto));
    }
}

fn vanishes_and_returns(wires: Wires) {
    let lab = Lab::new(LabSpec {
        servers: 2,
        wires,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1, 2]);
    assert!(flows(Family::V4), "{}", gateway.log());
    let before = gateway.descriptors_at_rest();
    for _ in 0..2 {
        lab.run("ip", &["link", "del", "dev", RACK_PORT]).success();
        let state = || port(&gateway, RACK_PORT)["device"].clone();
        assert!(eventually(|| state() == "gone"), "{}", gateway.log());
        assert!(eventually(|| all_are(&gateway, RACK_PORT, "dead")));
        assert!(gateway.tell("netstat -i").contains("device: gone"));
        assert_eq!(port(&gateway, CLIENT_PORT)["up"], true);
        let refused = "cannot be opened again: there is no interface";
        assert!(
            eventually(|| gateway.log().contains(refused)),
            "{}",
            gateway.log()
        );
        lay_cable(&lab.scratch, wires, RACK_PORT, lab.rack_end());
        lab.segment.attach(&lab.scratch, lab.rack_end());
        assert!(eventually(|| state() == "up"), "{}", gateway.log());
        assert!(eventually(|| gateway.knows(&[1, 2])), "{}", gateway.log());
        assert!(flows(Family::V4), "{}", gateway.log());
    }
    assert!(
        eventually(|| gateway.descriptors() == before),
        "{before:?}\n{:?}",
        gateway.descriptors()
    );
}
