//! `Explain` over the running gateway: names in, names out, refusals.

use super::*;
use crate::wire::explain::Explain;
use crate::wire::explain::ExplainFlow;
use crate::wire::explain::Explained;

fn flow() -> ExplainFlow {
    ExplainFlow {
        protocol: "tcp".into(),
        source: "10.99.0.2".parse().unwrap(),
        source_port: 1234,
        destination: "203.0.113.10".parse().unwrap(),
        destination_port: 80,
    }
}

fn of_flow() -> Explain {
    Explain {
        flow: Some(flow()),
        ..Explain::default()
    }
}

fn stages(of: &Explained) -> Vec<&str> {
    of.steps.iter().map(|step| step.stage.as_str()).collect()
}

#[test]
fn a_flow_is_explained_from_its_port_to_its_link_header() {
    let mut rig = rig();
    rig.live
        .route_add(add("203.0.113.10/32", &["192.0.2.11"]))
        .unwrap();
    heard(rig.live.neighbour_set(stated("192.0.2.11", None))).unwrap();
    let of = until(&mut rig, |rig| {
        let of = rig.live.explain(of_flow()).unwrap();
        (of.verdict == "forward").then_some(of)
    });
    assert_eq!(of.port, "uplink");
    assert_eq!(
        of.assumed,
        [
            "in by uplink, where the route to 10.99.0.2 leads",
            "its first packet, as the flow has no entry"
        ]
    );
    let all = [
        "port",
        "ip",
        "addresses",
        "owner",
        "transit",
        "flow",
        "route",
        "nexthop",
        "mtu",
        "neighbour",
        "output",
    ];
    assert_eq!(stages(&of), all);
    let out = of.out.unwrap();
    assert_eq!(
        (out.port.as_str(), out.gateway),
        ("rack", "192.0.2.11".parse().ok())
    );
    assert_eq!(out.header.map(|header| header.len()), Some(28));
    assert_eq!(of.destination, Some(prefix("203.0.113.10/32")));
}

#[test]
fn a_packet_that_is_dropped_says_why_and_what_its_sender_is_told() {
    let mut rig = rig();
    let ask = Explain {
        packet: Some("4500001c000100004011000000000000cb00710a04d2003500080000".into()),
        port: Some("uplink".into()),
        ..Explain::default()
    };
    let of = rig.live.explain(ask).unwrap();
    assert_eq!(
        (of.verdict.as_str(), of.reason.as_deref()),
        ("drop", Some("ips_badsum"))
    );
    assert_eq!(stages(&of), ["port", "ip"]);
    let of = rig.live.explain(of_flow()).unwrap();
    assert_eq!(of.reason.as_deref(), Some("ips_noroute"));
    assert_eq!(of.icmp.as_deref(), Some("network unreachable"));
}

#[test]
fn what_cannot_be_explained_is_refused_in_one_line() {
    let mut rig = rig();
    let mut refused = |ask: Explain| refusal(rig.live.explain(ask));
    let named = |port: &str| Explain {
        port: Some(port.into()),
        ..of_flow()
    };
    assert_eq!(
        refused(named("rak")),
        (
            Reason::NotFound,
            "no port is called rak; ports: uplink, rack".into()
        )
    );
    let mut far = of_flow();
    far.flow = Some(ExplainFlow {
        source: "100.64.0.1".parse().unwrap(),
        ..flow()
    });
    let (reason, line) = refused(far);
    assert_eq!(reason, Reason::Invalid);
    assert!(line.contains("say -port PORT"), "{line}");
    let mixed = Explain {
        flow: Some(ExplainFlow {
            source: "fd00::1".parse().unwrap(),
            ..flow()
        }),
        ..Explain::default()
    };
    assert_eq!(
        refused(mixed).1,
        "fd00::1 and 203.0.113.10 are of different families"
    );
    let fib = Explain {
        fib: Some(3),
        ..of_flow()
    };
    assert!(refused(fib).1.contains("FIB"), "no such FIB");
    let half = Explain {
        packet: Some("450".into()),
        ..named("uplink")
    };
    assert_eq!(refused(half).0, Reason::Invalid);
}
