//! The daemon as an operator meets it: it ends cleanly, refuses a second one, and lists what happens.

use flowgate_tests::lab::gateway::Gateway;
use flowgate_tests::lab::held::Held;
use flowgate_tests::lab::plan::{self, Family};
use flowgate_tests::lab::{CLIENT_PORT, FLOWGATE, Lab, LabSpec, RACK_PORT, enter, eventually};
use nix::sys::signal::Signal;
use serde_json::Value;

#[test]
fn the_daemon_ends_cleanly_and_leaves_no_socket() {
    if !enter(
        "the_daemon_ends_cleanly_and_leaves_no_socket",
        &[FLOWGATE, "ip"],
    ) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 2,
        ..LabSpec::default()
    });
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let gateway = Gateway::start(&lab, &[1, 2]);
        let services: Vec<_> = lab.families().into_iter().map(plan::echo_service).collect();
        // It ends under load too.
        let _held = Held::open(&services, 20);
        let socket = gateway.socket.clone();
        assert!(socket.exists());
        gateway.signal(signal);
        let ran = gateway.finish();
        assert_eq!(ran.status.code(), Some(0), "{signal}: {ran}");
        assert!(!socket.exists(), "{signal}");
        for port in [CLIENT_PORT, RACK_PORT] {
            assert!(
                !lab.run("ip", &["link", "show", port]).status.success(),
                "{port} is left"
            );
        }
    }
}

#[test]
fn a_second_daemon_on_the_same_socket_is_refused_and_harms_nothing() {
    if !enter(
        "a_second_daemon_on_the_same_socket_is_refused_and_harms_nothing",
        &[FLOWGATE, "ip"],
    ) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 1,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1]);
    let second = gateway.cli(&format!("run --config {}", gateway.config.display()));
    assert_eq!(second.status.code(), Some(1), "{second}");
    let socket = gateway.socket.display();
    assert!(
        second
            .stderr
            .contains(&format!("a flowgate already serves {socket}")),
        "{second}"
    );
    assert!(gateway.knows(&[1]));
    assert_eq!(
        Held::open(&[plan::echo_service(Family::V4)], 1).stalled_after(2),
        []
    );
}

#[test]
fn listings_show_neighbours_routes_and_flows_of_live_traffic() {
    if !enter(
        "listings_show_neighbours_routes_and_flows_of_live_traffic",
        &[FLOWGATE, "ip"],
    ) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 2,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1, 2]);
    let services: Vec<_> = lab.families().into_iter().map(plan::echo_service).collect();
    let held = Held::open(&services, 20);
    for (family, neighbours) in lab.families().into_iter().zip(["arp -an", "ndp -an"]) {
        let neighbours = gateway.tell(neighbours);
        let routes = gateway.tell(&format!("netstat -rn {}", family.flag()));
        for server in &lab.segment.servers {
            let address = plan::server(family, server.number).to_string();
            let mac = server.mac().to_string();
            let line = neighbours.lines().find(|line| line.contains(&address));
            assert!(
                line.is_some_and(|line| line.contains(&mac)),
                "{mac}\n{neighbours}"
            );
            let is_route = |line: &&str| {
                let mut words = line.split_whitespace();
                words.next() == Some(&plan::service(family).to_string())
                    && words.next() == Some(&address)
                    && words.next().is_some_and(|flags| flags.contains("UGHS"))
                    && line.contains(RACK_PORT)
            };
            assert_eq!(routes.lines().filter(is_route).count(), 1, "{routes}");
        }
    }
    let flows = gateway.tell("flow list");
    for view in &held.census().0 {
        let ends = [view.client.to_string(), view.service.to_string()];
        let line = flows
            .lines()
            .find(|line| ends.iter().all(|end| line.contains(end)));
        let server = plan::server(Family::of(view.service.ip()), view.server).to_string();
        assert!(
            line.is_some_and(|line| line.contains(&server)),
            "{view:?}\n{flows}"
        );
        let choice = &gateway.ask(&format!("route get tcp {} {}", ends[0], ends[1]))["choice"];
        assert_eq!(choice["path"]["gateway"], server, "{view:?}: {choice}");
        assert_eq!(choice["pin"]["name"], server, "{view:?}: {choice}");
    }
    let ports = gateway.tell("netstat -i");
    assert!(
        ports.contains(CLIENT_PORT) && ports.contains(RACK_PORT),
        "{ports}"
    );
}

#[test]
fn a_monitor_is_told_of_routes_and_of_a_server_that_dies_and_returns() {
    let name = "a_monitor_is_told_of_routes_and_of_a_server_that_dies_and_returns";
    if !enter(name, &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 2,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1, 2]);
    let monitor = gateway.start_cli("--json route monitor");
    let told = |event: &str, word: &str, value: &str| {
        let stdout = monitor.stdout();
        let events = stdout
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut events = events.filter(|told| told["event"] == event);
        events.any(|told| told[word] == value)
    };
    // It listens from some moment on: the first change is made until it is heard of.
    let hears = || {
        gateway.tell("route add 10.0.0.0/8 192.0.2.11");
        gateway.tell("route delete 10.0.0.0/8");
        told("route_deleted", "destination", "10.0.0.0/8")
    };
    assert!(eventually(hears), "{}", monitor.stdout());
    let server = lab.segment.server(2);
    server.unplug();
    assert!(
        eventually(|| told("nexthop", "health", "dead")),
        "{}",
        monitor.stdout()
    );
    server.plug();
    assert!(
        eventually(|| told("nexthop", "health", "up")),
        "{}",
        monitor.stdout()
    );
    assert!(told("nexthop", "name", "192.0.2.12") && !told("nexthop", "name", "192.0.2.11"));
}
