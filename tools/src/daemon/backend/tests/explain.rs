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
fn the_rules_that_drop_an_ipv6_packet_are_those_of_ipv6() {
    let mut rig = rig();
    let of = |hops: u8, to: &str| {
        let destination: std::net::Ipv6Addr = to.parse().unwrap();
        let source = "fd99::2".parse::<std::net::Ipv6Addr>().unwrap();
        let mut bytes = vec![0x60, 0, 0, 0, 0, 8, 17, hops];
        bytes.extend(source.octets());
        bytes.extend(destination.octets());
        bytes.extend([0x04, 0xd2, 0, 53, 0, 8, 0, 0]);
        Explain {
            packet: Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
            port: Some("uplink".into()),
            ..Explain::default()
        }
    };
    let wrong = [
        (of(1, "2001:db8:113::10"), "(RFC 8200 3, RFC 4443 3.3)"),
        (of(64, "ff0e::1"), "(RFC 4291 2.7)"),
        (of(64, "::1"), "(RFC 4291 2.5, 2.7)"),
    ];
    for (ask, rule) in wrong {
        let told = rig.live.explain(ask).unwrap();
        let stop = told.steps.iter().find(|step| !step.goes_on).unwrap();
        assert!(stop.cause.ends_with(rule), "{}", stop.cause);
    }
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
