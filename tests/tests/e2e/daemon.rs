//! The daemon as an operator meets it: it ends cleanly, refuses a second one, lists what happens, and pings.

use flowgate_tests::lab::gateway::Gateway;
use flowgate_tests::lab::held::Held;
use flowgate_tests::lab::plan::{self, Family};
use flowgate_tests::lab::process::Process;
use flowgate_tests::lab::{
    CLIENT_PORT, FLOWGATE, Lab, LabSpec, PATIENCE, RACK_PORT, enter, eventually,
};
use flowgate_tests::test_name;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::net::IpAddr;

#[test]
fn the_daemon_ends_cleanly_and_leaves_no_socket() {
    if !enter(test_name!(), &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 2,
        ..LabSpec::default()
    });
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
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
    if !enter(test_name!(), &[FLOWGATE, "ip"]) {
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
    if !enter(test_name!(), &[FLOWGATE, "ip"]) {
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
    let name = test_name!();
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

#[test]
fn the_gateway_pings_real_kernels_and_says_what_it_cannot() {
    let name = test_name!();
    if !enter(name, &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 2,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1, 2]);
    for family in lab.families() {
        // On the rack, behind the TUN port, and by the service's route.
        for to in [
            plan::server(family, 2),
            plan::client(family),
            plan::service(family),
        ] {
            assert_answers(&gateway, family, to);
        }
        let nobody = plan::server(family, 99);
        let ran = gateway.cli(&format!("ping -c 2 -i 0.1 -W 0.5 {nobody}"));
        assert_eq!(ran.status.code(), Some(2), "{ran}");
        assert!(
            ran.stdout.contains("Request timeout for icmp_seq=1"),
            "{ran}"
        );
        assert!(ran.stdout.contains("100.0% packet loss"), "{ran}");
    }
    let one_line = |words: &str, line: &str, status: i32| {
        let ran = gateway.cli(words);
        assert_eq!(ran.status.code(), Some(status), "{ran}");
        assert_eq!(ran.stderr, format!("ping: {line}\n"), "{ran}");
    };
    let (server, rack) = (plan::server(Family::V4, 1), lab.spec.rack_mtu);
    let most = rack - 28;
    let too_big = format!(
        "{} data bytes do not fit: the way to {server} carries packets of {rack} bytes, so write {most} at most",
        most + 1
    );
    one_line(&format!("ping -c 1 -s {} {server}", most + 1), &too_big, 1);
    gateway.tell(&format!("ping -c 1 -s {most} {server}"));
    let no_route = "No route to host: no route covers 240.0.0.1";
    one_line("ping -c 1 240.0.0.1", no_route, 1);
}

/// Three replies as people read them, and as programs do.
fn assert_answers(gateway: &Gateway<'_>, family: Family, to: IpAddr) {
    let flag = family.flag();
    let text = gateway.tell(&format!("ping {flag} -n -c 3 -i 0.1 {to}"));
    assert!(
        text.starts_with(&format!("PING {to} ({to}): 56 data bytes\n")),
        "{text}"
    );
    for sequence in 0..3 {
        let reply = format!("\n64 bytes from {to}: icmp_seq={sequence} ttl=64 time=");
        assert!(text.contains(&reply), "{text}");
    }
    let summary = "\n3 packets transmitted, 3 packets received, 0.0% packet loss\nround-trip min/avg/max/stddev = ";
    assert!(text.contains(summary), "{text}");
    let told = gateway.ask(&format!("ping -c 1 -s 100 {to}"));
    assert_eq!(told["outcome"], "reply", "{told}");
    assert_eq!(told["address"], to.to_string(), "{told}");
    assert_eq!((&told["bytes"], &told["ttl"]), (&108.into(), &64.into()));
    assert!(told["rtt"].as_u64().is_some_and(|us| us > 0), "{told}");
}

#[test]
fn ctrl_c_ends_a_ping_with_its_statistics_and_frees_its_place() {
    let name = test_name!();
    if !enter(name, &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 1,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1]);
    let server = plan::server(Family::V4, 1);
    // 16 run at once; twice as many are started, one after the other.
    for round in 0..32 {
        let ping = begin_ping(&gateway, server);
        // A client that is killed leaves no ping behind either.
        if round % 2 == 0 {
            drop(ping);
            continue;
        }
        ping.signal(Signal::SIGINT);
        let ran = ping.finish(PATIENCE);
        assert_eq!(ran.status.code(), Some(0), "{ran}");
        assert!(ran.stderr.is_empty(), "{ran}");
        let summary = format!(
            "\n--- {server} ping statistics ---\n1 packets transmitted, 1 packets received, 0.0% packet loss\n"
        );
        assert!(ran.stdout.contains(&summary), "{ran}");
    }
}

/// A ping that was answered once and goes on. The gateway needs a moment to notice that another has gone.
fn begin_ping(gateway: &Gateway<'_>, to: IpAddr) -> Process {
    let mut begun = None;
    let begins = || {
        let mut ping = gateway.start_cli(&format!("ping -i 60 {to}"));
        let answered = |ping: &Process| ping.stdout().contains("icmp_seq=0 ttl=");
        assert!(eventually(|| answered(&ping) || !ping.is_running()));
        let busy = ping.stderr().contains("16 pings are under way already");
        assert!(
            answered(&ping) || busy,
            "{}{}",
            ping.stdout(),
            ping.stderr()
        );
        begun = answered(&ping).then_some(ping);
        begun.is_some()
    };
    assert!(eventually(begins), "no place for a ping is ever free");
    begun.expect("it began")
}

#[test]
fn who_follows_a_gateway_that_ends_is_told_so() {
    let name = test_name!();
    if !enter(name, &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 1,
        ..LabSpec::default()
    });
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let gateway = Gateway::start(&lab, &[1]);
        let following = ["capture -all", "route monitor"].map(|words| gateway.start_cli(words));
        let begins = || {
            gateway.tell("route add 10.0.0.0/8 192.0.2.11");
            gateway.tell("route delete 10.0.0.0/8");
            gateway.tell("ping -c 1 192.0.2.11");
            following.iter().all(|process| !process.stdout().is_empty())
        };
        assert!(eventually(begins));
        let ping = begin_ping(&gateway, plan::server(Family::V4, 1));
        gateway.signal(signal);
        gateway.finish();
        for process in following.into_iter().chain([ping]) {
            let ran = process.finish(PATIENCE);
            assert_eq!(ran.status.code(), Some(1), "{signal}: {ran}");
            let told = ["has ended", "is stopping"];
            assert!(
                told.iter().any(|t| ran.stderr.contains(t)),
                "{signal}: {ran}"
            );
        }
    }
}

/// The server that each of many flows would get, none of which has a pin.
fn choices(gateway: &Gateway<'_>) -> Vec<String> {
    let service = plan::service(Family::V4);
    let choice = |port: u16| {
        let answer = gateway.ask(&format!("route get tcp 10.99.0.9:{port} {service}:80"));
        let path = &answer["choice"]["path"]["gateway"];
        path.as_str().expect("a gateway").to_owned()
    };
    (20_000..20_060).map(choice).collect()
}

#[test]
fn a_restarted_gateway_chooses_as_before_and_without_its_state_otherwise() {
    let name = test_name!();
    if !enter(name, &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 3,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1, 2, 3]);
    // Who leaves is forgotten, so flows without pins follow it to the few buckets that it has when it returns.
    gateway.route("change", 1, "-weight 30");
    gateway.route("delete", 2, "");
    gateway.route("add", 2, "");
    gateway.route("change", 1, "-weight 1");
    let before = choices(&gateway);
    let state = gateway.config.with_extension("state");
    gateway.signal(Signal::SIGTERM);
    assert_eq!(gateway.finish().status.code(), Some(0));
    assert!(state.exists());
    let gateway = Gateway::start(&lab, &[1, 2, 3]);
    assert_eq!(choices(&gateway), before);
    gateway.signal(Signal::SIGTERM);
    gateway.finish();
    // A file that was cut is put aside, and the gateway starts with other choices.
    let text = std::fs::read_to_string(&state).expect("a state");
    std::fs::write(&state, &text[..text.len() / 2]).expect("a shorter state");
    let gateway = Gateway::start(&lab, &[1, 2, 3]);
    assert_ne!(choices(&gateway), before, "the state makes no difference");
    assert!(
        gateway
            .log()
            .contains("the groups of an earlier gateway are not known")
    );
    assert!(state.with_extension("state.bad").exists());
}

#[test]
fn a_plan_names_the_connections_that_a_change_then_moves() {
    let name = test_name!();
    if !enter(name, &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 3,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1, 2, 3]);
    assert!(eventually(|| gateway.knows(&[1, 2, 3])));
    let held = Held::open(&[plan::echo_service(Family::V4)], 30);
    let doomed = held.census().of(2).len() as u64;
    assert!(doomed > 0);
    let delete = |how: &str| {
        let (service, of) = (plan::service_net(Family::V4), plan::server(Family::V4, 2));
        gateway.ask(&format!("route delete {how} {service} {of}"))
    };
    let planned = delete("--plan");
    let number = |of: &Value, field: &str| {
        of[field]
            .as_u64()
            .unwrap_or_else(|| panic!("no {field} in {of}"))
    };
    assert_eq!(number(&planned["plan"], "flows"), doomed, "{planned}");
    assert_eq!(
        number(&planned["plan"], "staying"),
        30 - doomed,
        "{planned}"
    );
    assert_eq!(number(&planned["plan"], "clients"), 1, "{planned}");
    assert!(
        number(&planned["plan"], "bytes_per_second") > 0,
        "{planned}"
    );
    assert!(gateway.knows(&[1, 2, 3]), "nothing is changed");
    assert_eq!(
        held.census().broken(),
        [] as [&flowgate_tests::lab::held::View; 0]
    );

    let made = delete("");
    assert_eq!(number(&made["moves"], "due"), doomed, "{made}");
    let moves = || gateway.ask("route moves")["changes"][0].clone();
    assert!(eventually(|| number(&moves(), "left") == 0), "{}", moves());
    let seen = moves();
    assert_eq!(number(&seen, "moved"), doomed, "{seen}");
    assert_eq!(
        seen["moves"].as_array().map(Vec::len),
        planned["plan"]["moves"].as_array().map(Vec::len)
    );
    let text = gateway.tell("route moves");
    let line = format!("{doomed} flows due: {doomed} moved so far, 0 expired unmoved, 0 left\n");
    assert!(text.contains(&line), "{text}");
    let stays = held.census().broken().iter().all(|view| view.server == 2);
    assert!(stays, "{:?}", held.census());
}
