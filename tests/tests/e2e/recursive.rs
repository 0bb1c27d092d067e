//! Real connections to servers behind gateways that other routes lead to: they go on while those routes come and go.

use flowgate_tests::lab::gateway::Gateway;
use flowgate_tests::lab::held::Held;
use flowgate_tests::lab::plan::{self, Family};
use flowgate_tests::lab::{FLOWGATE, Lab, LabSpec, books, enter, eventually};
use flowgate_tests::test_name;
use std::net::SocketAddr;

const HELD: usize = 100;

/// The gateway behind server `n`, the network that it is in, and a smaller one.
fn far(family: Family, n: usize) -> [String; 3] {
    match family {
        Family::V4 => [
            format!("172.16.{n}.1"),
            format!("172.16.{n}.0/24"),
            format!("172.16.{n}.0/30"),
        ],
        Family::V6 => [
            format!("3fff:{n}::1"),
            format!("3fff:{n}::/32"),
            format!("3fff:{n}::/64"),
        ],
    }
}

fn moved(gateway: &Gateway<'_>) -> Vec<String> {
    let status = gateway.ask("status");
    let moved = status["moved"].as_object().expect("reasons");
    let some = moved.iter().filter(|(_, count)| **count != 0);
    some.map(|(reason, _)| reason.clone()).collect()
}

#[test]
fn connections_by_recursive_next_hops_go_on_while_the_ways_there_change() {
    let name = test_name!();
    if !enter(name, &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = Lab::new(LabSpec {
        servers: 2,
        ..LabSpec::default()
    });
    let gateway = Gateway::start(&lab, &[1]);
    for family in lab.families() {
        let [[one, net, _], [two, other, _]] = [far(family, 1), far(family, 2)];
        gateway.tell(&format!("route add {net} {}", plan::server(family, 1)));
        gateway.tell(&format!("route add {other} {}", plan::server(family, 2)));
        let service = plan::service_net(family);
        let refused = gateway.cli(&format!("route change {service} {one} {two}"));
        assert_eq!(refused.status.code(), Some(1), "{refused}");
        assert!(refused.stderr.contains("say -recursive"), "{refused}");
        gateway.tell(&format!("route change {service} {one} {two} -recursive"));
        let got = gateway.tell(&format!("route get {}", plan::service(family)));
        let way = format!(
            "{one} (weight 1, 2048 of 4096 buckets, up, through {}",
            plan::server(family, 1)
        );
        assert!(got.contains(&way), "{got}");
    }
    let services: Vec<SocketAddr> = lab.families().into_iter().map(plan::echo_service).collect();
    let held = Held::open(&services, HELD);
    assert_eq!(held.census().by_server().len(), 2, "{:?}", held.census());
    // Longer ways, shorter ways: each server is where it was.
    for family in lab.families() {
        for n in [1, 2] {
            let [_, net, smaller] = far(family, n);
            let server = plan::server(family, n);
            gateway.tell(&format!("route add {smaller} {server}"));
            gateway.tell(&format!("route delete {net}"));
            gateway.tell(&format!("route add {net} {server}"));
            gateway.tell(&format!("route delete {smaller}"));
        }
    }
    let stalled = held.stalled_after(3);
    assert!(stalled.is_empty(), "{stalled:#?}");
    assert!(held.census().broken().is_empty(), "{:?}", held.census());
    assert_eq!(moved(&gateway), [""; 0]);
    // The way to one of them goes: who is with the other does not notice.
    for family in lab.families() {
        let gone = gateway.tell(&format!("route delete {}", far(family, 2)[1]));
        assert!(gone.contains("no route leads to gateway"), "{gone}");
        let shown = gateway.tell("nexthop show");
        assert!(shown.contains("dead (unresolved)"), "{shown}");
    }
    let stalled = held.stalled_among(&|view| view.server == 1, 3);
    assert!(stalled.is_empty(), "{stalled:#?}");
    assert!(
        eventually(|| moved(&gateway) == ["dead"]),
        "{:?}",
        moved(&gateway)
    );
    for family in lab.families() {
        gateway.tell(&format!(
            "route add {} {}",
            far(family, 2)[1],
            plan::server(family, 2)
        ));
    }
    let fresh = Held::open(&services, HELD);
    assert_eq!(fresh.census().by_server().len(), 2, "{:?}", fresh.census());
    books::assert_balanced(&gateway);
}
