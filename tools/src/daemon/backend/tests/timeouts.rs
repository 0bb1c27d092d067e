//! Classes of idle timeouts, of a gateway that runs.

use super::*;
use crate::wire::options::Options;
use crate::wire::timeout::FlowTimeoutDelete;
use crate::wire::timeout::FlowTimeoutSet;

fn set(name: &str, seconds: u32, class: Option<&str>) -> FlowTimeoutSet {
    FlowTimeoutSet {
        name: name.into(),
        seconds,
        class: class.map(|class| class.parse().unwrap()),
    }
}

fn delete(class: &str) -> FlowTimeoutDelete {
    let class = class.parse().unwrap();
    FlowTimeoutDelete { class }
}

fn timed(class: &str) -> Options {
    Options {
        timeouts: class.parse().ok(),
        ..Options::default()
    }
}

#[test]
fn a_class_is_made_named_by_a_route_shown_with_its_flows_and_deleted() {
    let mut rig = rig();
    heard(rig.live.neighbour_set(stated("192.0.2.11", None))).unwrap();
    let of_route = RouteAdd {
        options: timed("dns"),
        ..add(SERVICE, &["192.0.2.11"])
    };
    let (reason, line) = refusal(rig.live.route_add(of_route.clone()));
    assert_eq!(reason, Reason::NotFound);
    assert!(
        line.starts_with("no timeouts are called dns: there are default;"),
        "{line}"
    );
    rig.live
        .timeout_set(set("udp-one-way", 10, Some("dns")))
        .unwrap();
    rig.live.route_add(of_route).unwrap();
    assert!(rig.uplink.tx(&packet()));
    let flow = until(&mut rig, |rig| rig.live.flows(to_server()).unwrap().next());
    assert_eq!(flow.timeouts.as_deref(), Some("dns"));
    assert!(flow.expires <= 10_000, "{flow:?}");

    let all = rig.live.timeouts();
    let [class] = &all.classes[..] else {
        panic!("{all:?}");
    };
    assert_eq!((class.class.to_string(), class.routes), ("dns".into(), 1));
    let of = |name: &str| {
        let found = class.timeouts.iter().find(|timeout| timeout.name == name);
        found.map(|timeout| (timeout.seconds, timeout.default))
    };
    assert_eq!(of("udp-one-way"), Some((10, 300)));
    assert_eq!(of("tcp-syn"), Some((75, 75)));

    let shown = rig.live.routes(None.into(), None, 100);
    let options = shown.iter().find(|r| r.destination == prefix(SERVICE));
    assert_eq!(options.unwrap().options.timeouts, "dns".parse().ok());
    let (reason, line) = refusal(rig.live.timeout_delete(delete("dns")));
    assert!(line.contains("1 route"), "{line}");
    assert_eq!(reason, Reason::Invalid);
    let change = RouteChange {
        fib: 0,
        options: timed("default"),
        destination: prefix(SERVICE),
        paths: vec![via("192.0.2.11", None)],
        deadline: None,
        mtu: None,
    };
    rig.live.route_change(change).unwrap();
    let all = rig.live.timeouts();
    assert_eq!((all.classes[0].routes, all.classes[0].first.len()), (0, 0));
    // Options alone: the gateways stay as they are.
    let alone = |class: &str| RouteChange {
        fib: 0,
        options: timed(class),
        destination: prefix(SERVICE),
        paths: vec![],
        deadline: None,
        mtu: None,
    };
    let done = rig.live.route_change(alone("dns")).unwrap();
    assert_eq!(done.paths.len(), 1);
    assert_eq!(rig.live.timeouts().classes[0].first[0].destination, SERVICE);
    rig.live.route_change(alone("default")).unwrap();
    let nothing = RouteChange {
        options: Options::default(),
        ..alone("default")
    };
    assert_eq!(refusal(rig.live.route_change(nothing)).0, Reason::Invalid);
    let with_deadline = RouteChange {
        deadline: Some(9),
        ..alone("default")
    };
    assert_eq!(
        refusal(rig.live.route_change(with_deadline)).0,
        Reason::Invalid
    );
    let named = FlowTimeoutSet {
        class: "udp-two-way".parse().ok(),
        ..set("udp-one-way", 9, None)
    };
    let taken = rig.live.timeout_set(named);
    assert!(
        matches!(taken, Err(CallError::InvalidParameter { .. })),
        "{taken:?}"
    );
    let left = rig.live.timeout_delete(delete("dns")).unwrap();
    assert_eq!(left.classes, []);
}
