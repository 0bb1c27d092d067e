//! `route get` of a prefix, of a link-local address and of a route without a living member; workers that are not there.

use super::*;

fn of(address: &str, length: Option<u8>, port: Option<&str>) -> RouteGet {
    RouteGet {
        length,
        port: port.map(Into::into),
        ..RouteGet::to(address.parse().unwrap())
    }
}

#[test]
fn a_prefix_gets_its_own_route_or_the_longest_that_covers_it() {
    let mut rig = rig();
    let live = &mut rig.live;
    live.route_add(add("10.0.0.0/8", &["192.0.2.11"])).unwrap();
    live.route_add(add("10.1.0.0/16", &["192.0.2.12"])).unwrap();
    let mut found = |address, length| {
        let answer = live.route_get(of(address, Some(length), None));
        answer.map(|answer| answer.route.destination.to_string())
    };
    assert_eq!(found("10.1.0.0", 16).unwrap(), "10.1.0.0/16");
    assert_eq!(found("10.1.2.0", 24).unwrap(), "10.1.0.0/16");
    assert_eq!(found("10.0.0.0", 15).unwrap(), "10.0.0.0/8");
    let (reason, _) = refusal(found("10.0.0.0", 7));
    assert_eq!(reason, Reason::NotFound);
    let (reason, line) = refusal(found("10.0.0.1", 8));
    assert_eq!(reason, Reason::Invalid);
    assert!(line.contains("host bits"), "{line}");
    assert_eq!(refusal(found("0.0.0.0", 33)).0, Reason::Invalid);
}

#[test]
fn a_link_local_address_is_asked_for_on_its_port() {
    let mut rig = rig();
    let (reason, line) = refusal(rig.live.route_get(of("fe80::1", None, Some("rack"))));
    assert_eq!(reason, Reason::NotFound);
    assert_eq!(
        line,
        "fe80::1 is not on the network of port rack: give port rack an fe80:: address with /64"
    );
    let (_, line) = refusal(rig.live.route_get(of("fe80::1", None, Some("rck"))));
    assert!(line.starts_with("no port is called rck; ports: "), "{line}");
}

#[test]
fn a_flow_whose_members_are_all_dead_is_told_so() {
    let mut rig = rig();
    rig.live.route_add(add(SERVICE, &["192.0.2.11"])).unwrap();
    let gateway = [192, 0, 2, 11].into();
    let now = rig.live.now();
    rig.live
        .control
        .set_gateway_down(gateway, true, now)
        .unwrap();
    let flow = FlowOf {
        protocol: "tcp".into(),
        source: [10, 99, 0, 2].into(),
        source_port: 1,
        destination_port: 2,
    };
    let asked = RouteGet {
        flow: Some(flow),
        ..RouteGet::to(prefix(SERVICE).addr())
    };
    let choice = rig.live.route_get(asked).unwrap().choice.unwrap();
    assert!(choice.path.is_none());
    assert_eq!(
        choice.why,
        "no pin, and no member is alive: its packets are dropped"
    );
}

#[test]
fn a_worker_that_is_not_there_is_refused() {
    let mut rig = rig();
    let filter = || FlowFilter {
        worker: Some(7),
        ..FlowFilter::default()
    };
    let line = "no worker 7: the workers are 0 to 0".to_owned();
    let listed = rig.live.flows(filter()).map(|_| ());
    assert_eq!(refusal(listed), (Reason::NotFound, line.clone()));
    let flushed = rig.live.flow_flush(filter());
    assert_eq!(refusal(heard(flushed)), (Reason::NotFound, line));
}

#[test]
fn a_gateway_that_cannot_be_one_is_told_with_its_port() {
    let mut rig = rig();
    let mut line = |destination: &str, gateway: &str| {
        let mut ask = add(destination, &[gateway]);
        ask.paths[0].port = Some("rack".into());
        refusal(rig.live.route_add(ask)).1
    };
    assert_eq!(
        line("2001:db8::/32", "fe80::1"),
        "fe80::1 is not on the link of port rack: give port rack an fe80:: address with /64"
    );
    for (gateway, what) in [("192.0.2.255", "broadcast"), ("192.0.2.0", "network")] {
        assert_eq!(
            line("10.0.0.0/8", gateway),
            format!(
                "{gateway} is the {what} address of port rack's network 192.0.2.0/24: \
                 name the next router's or server's"
            )
        );
    }
}
