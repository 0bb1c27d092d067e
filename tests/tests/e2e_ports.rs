//! Devices that go down or are deleted under a running daemon.

use flowgate_tests::lab::gateway::{Gateway, list};
use flowgate_tests::lab::plan::{self, Family};
use flowgate_tests::lab::{CLIENT_PORT, FLOWGATE, Lab, LabSpec, RACK_PORT, enter, eventually};
use serde_json::Value;

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
    let name = "a_device_that_goes_down_returns_or_is_deleted_is_noticed";
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

    ip(&["link", "del", "dev", RACK_PORT]);
    let said = || gateway.log().contains("was deleted: the port stays down");
    assert!(eventually(said), "{}", gateway.log());
    assert_eq!(port(&gateway, RACK_PORT)["up"], false);
    assert!(all_are(&gateway, RACK_PORT, "dead"));
    assert_eq!(port(&gateway, CLIENT_PORT)["up"], true);
}
