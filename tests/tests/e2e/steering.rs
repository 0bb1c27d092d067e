//! The kernel steers each packet to its flow's worker where it is allowed, and the workers change under real connections.

use flowgate_tests::lab::gateway::{Gateway, list};
use flowgate_tests::lab::held::{Held, View};
use flowgate_tests::lab::plan;
use flowgate_tests::lab::{FLOWGATE, Lab, LabSpec, books, enter, eventually, skip};
use flowgate_tests::test_name;
use std::net::SocketAddr;

const CONNECTIONS: usize = 200;

fn services(lab: &Lab) -> Vec<SocketAddr> {
    lab.families().into_iter().map(plan::echo_service).collect()
}

fn handed_off(gateway: &Gateway<'_>) -> u64 {
    let each = list(&gateway.ask("workers"), "each");
    each.iter()
        .filter_map(|worker| worker["handed_off"].as_u64())
        .sum()
}

/// Opens connections and lets each talk for some rounds.
fn talk(services: &[SocketAddr]) -> Held {
    let held = Held::open(services, CONNECTIONS);
    assert!(held.stalled_after(5).is_empty(), "connections do not talk");
    held
}

fn set_workers(gateway: &Gateway<'_>, workers: usize) {
    gateway.tell(&format!("workers set {workers}"));
    let arrived = || {
        let now = gateway.ask("workers");
        now["workers"] == workers && now["moving"] == 0
    };
    assert!(eventually(arrived), "{}", gateway.tell("workers"));
}

#[test]
fn steered_devices_hand_nothing_off_and_workers_come_and_go() {
    let test = test_name!();
    if !enter(test, &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec::default());
    let services = services(&lab);
    {
        let more = "max-workers = 4\nsteering = \"off\"";
        let gateway = Gateway::start_with(&lab, &[1, 2, 3, 4], more);
        let held = talk(&services);
        assert!(
            handed_off(&gateway) > 0,
            "flows are where they belong by chance"
        );
        for workers in [4, 1, 3] {
            set_workers(&gateway, workers);
        }
        assert!(held.stalled_after(3).is_empty(), "a connection stalled");
        assert_eq!(held.census().broken(), [] as [&View; 0]);
        let status = gateway.ask("status");
        assert_eq!(status["steering"], "off: by the configuration");
        books::assert_balanced(&gateway);
    }
    let gateway = Gateway::start_with(&lab, &[1, 2, 3, 4], "max-workers = 4");
    let status = gateway.ask("status");
    let said = status["steering"].as_str().unwrap_or_default().to_owned();
    if said.starts_with("off") {
        assert!(said.contains("needs root"), "{said}");
        return skip(test, &format!("the kernel does not steer: {said}"));
    }
    assert!(gateway.log().contains("steering on"), "{}", gateway.log());
    let first = talk(&services);
    assert_eq!(handed_off(&gateway), 0, "{}", gateway.tell("workers"));
    // Slots on their way take what is in flight along; then each flow is where it belongs again.
    set_workers(&gateway, 4);
    let before = handed_off(&gateway);
    let second = talk(&services);
    assert_eq!(handed_off(&gateway), before, "{}", gateway.tell("workers"));
    set_workers(&gateway, 1);
    for held in [&first, &second] {
        assert_eq!(held.census().broken(), [] as [&View; 0]);
    }
    let status = gateway.ask("status");
    assert_eq!(status["collateral"], 0, "{status}");
    books::assert_balanced(&gateway);
}
