//! The laboratory itself, with a kernel in the gateway's place: what fails here is not Flowgate's fault.

use flowgate_tests::lab::held::{Held, View};
use flowgate_tests::lab::plan;
use flowgate_tests::lab::probes::{
    assert_big_pings, assert_path_mtu_discovery, assert_pings_and_traces,
};
use flowgate_tests::lab::router::Router;
use flowgate_tests::lab::{Lab, LabSpec, enter, eventually};

#[test]
fn connections_through_a_kernel_reach_every_server_and_break_with_theirs() {
    if !enter(
        "connections_through_a_kernel_reach_every_server_and_break_with_theirs",
        &["ip"],
    ) {
        return;
    }
    let lab = Lab::new(LabSpec::default());
    let _router = Router::start(&lab);
    let services: Vec<_> = lab.families().into_iter().map(plan::echo_service).collect();
    let held = Held::open(&services, 80);
    assert_eq!(held.stalled_after(3), []);

    let census = held.census();
    assert_eq!(
        census.by_server().into_keys().collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    assert!(lab.echoes_served().iter().sum::<u64>() >= 80 * 4);

    // An unplugged server's connections stall, and nobody else's; plugged in again they go on.
    lab.segment.server(1).unplug();
    let before = held.census();
    let new_echoes = |view: &View, then: &View| view.echoes - then.echoes;
    let others_go_on = || {
        let now = held.census();
        let mut others = now
            .0
            .iter()
            .zip(&before.0)
            .filter(|(view, _)| view.server != 1);
        others.all(|(view, then)| new_echoes(view, then) >= 5)
    };
    assert!(eventually(others_go_on), "{:?}", held.census());
    for (view, then) in held
        .census()
        .0
        .iter()
        .zip(&before.0)
        .filter(|(view, _)| view.server == 1)
    {
        // One echo may have been under way.
        assert!(
            new_echoes(view, then) <= 1,
            "{view:?} goes on without its server"
        );
    }
    // Theirs may break: between namespaces the kernel chooses by the sender's own hash, which changes
    // with a retransmission, so a kernel's multipath route gives them to other servers.
    lab.segment.server(1).plug();
    let broken = held
        .census()
        .broken()
        .into_iter()
        .filter(|view| view.server != 1)
        .count();
    assert_eq!(broken, 0);
    let reaches = || {
        Held::open(&services, 8)
            .census()
            .by_server()
            .contains_key(&1)
    };
    assert!(
        eventually(reaches),
        "a server that was plugged in again gets no connections"
    );
}

#[test]
fn a_kernel_in_front_of_a_narrow_rack_passes_every_probe() {
    let tools = ["ip", "ping", "traceroute"];
    if !enter(
        "a_kernel_in_front_of_a_narrow_rack_passes_every_probe",
        &tools,
    ) {
        return;
    }
    let lab = Lab::new(LabSpec {
        rack_mtu: 1400,
        ..LabSpec::default()
    });
    let _router = Router::start(&lab);
    assert_pings_and_traces(&lab);
    assert_big_pings(&lab);
    assert_path_mtu_discovery(&lab);
}

#[test]
fn a_kernel_behind_a_narrow_access_link_passes_large_transfers() {
    if !enter(
        "a_kernel_behind_a_narrow_access_link_passes_large_transfers",
        &["ip"],
    ) {
        return;
    }
    let lab = Lab::new(LabSpec {
        client_mtu: 1400,
        ..LabSpec::default()
    });
    let _router = Router::start(&lab);
    assert_path_mtu_discovery(&lab);
    assert!(lab.bulk_received() >= 1 << 20);
}
