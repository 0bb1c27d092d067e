//! Link-local addresses where two links have them: alone they name no host (RFC 4007 §6).

use super::*;
use crate::wire::ping::Ping;
use std::net::IpAddr;

const DESTINATION: &str = "2001:db8::/32";

/// Two links with the same own address, as links have it.
fn links() -> Rig {
    with_ta(true)
}

/// The same; ta may be down.
fn with_ta(up: bool) -> Rig {
    let link = |id: u8, name| {
        let layer = Layer::L2(Mac([2, 0, 0, 0, 0, id]));
        port(id.into(), name, layer, &[("fe80::1", 64)])
    };
    let ta = Port {
        up,
        ..link(0, "ta")
    };
    with_ports(1, Ports(vec![ta, link(1, "tb")]))
}

fn on(gateway: &str, port: &str) -> PathSpec {
    PathSpec {
        port: Some(port.into()),
        ..via(gateway, None)
    }
}

#[test]
fn a_gateway_of_one_of_several_links_needs_its_port() {
    let mut rig = links();
    let mut ask = add(DESTINATION, &["fe80::11"]);
    let told = refusal(rig.live.route_add(ask.clone()));
    let line = "fe80::11 may be on the link of ta or tb: say on which port, fe80::11%PORT";
    assert_eq!(told, (Reason::Ambiguous, line.into()));
    ask.paths = vec![on("fe80::11", "tb")];
    let done = rig.live.route_add(ask).unwrap();
    assert_eq!(done.paths[0].port.as_deref(), Some("tb"));
}

#[test]
fn a_stated_neighbour_of_one_of_several_links_needs_its_port() {
    let mut rig = links();
    let (reason, line) = refusal(heard(rig.live.neighbour_set(stated("fe80::11", None))));
    assert_eq!(reason, Reason::Ambiguous, "{line}");
    heard(rig.live.neighbour_set(stated("fe80::11", Some("tb")))).unwrap();
}

#[test]
fn a_gateway_of_the_one_link_that_has_such_addresses_is_on_that() {
    let uplink = port(0, "uplink", Layer::L3, &[("10.99.0.1", 24)]);
    let rack = port(
        1,
        "rack",
        Layer::L2(Mac([2, 0, 0, 0, 0, 1])),
        &[("fe80::1", 64)],
    );
    let mut rig = with_ports(1, Ports(vec![uplink, rack]));
    let done = rig.live.route_add(add(DESTINATION, &["fe80::11"])).unwrap();
    assert_eq!(done.paths[0].port.as_deref(), Some("rack"));
}

#[test]
fn the_gateways_of_which_a_delete_must_name_one_are_told_with_their_ports() {
    let mut rig = links();
    let ask = RouteAdd {
        paths: vec![on("fe80::11", "ta"), on("fe80::11", "tb")],
        ..add(DESTINATION, &[])
    };
    rig.live.route_add(ask).unwrap();
    let told = refusal(rig.live.route_delete(delete(DESTINATION, Some("fe80::11"))));
    let line = "2001:db8::/32 has several such paths: name the gateway; they are \
                gateway fe80::11%ta, gateway fe80::11%tb";
    assert_eq!(told, (Reason::Ambiguous, line.into()));
}

fn ping(address: &str, port: Option<&str>) -> Ping {
    Ping {
        address: address.parse().unwrap(),
        port: port.map(Into::into),
        count: Some(1),
        interval: 10,
        wait: 60_000,
        size: 56,
    }
}

/// Who is asked for an echo by the next packet that is no neighbour discovery.
fn echo_to(peer: &mut MemPeer) -> Option<IpAddr> {
    let mut frame = vec![0; 2000];
    let len = peer.rx(&mut frame)?;
    let meta = stack::parse::read(&frame[14..len]).ok()?;
    (frame[14 + 40] == 128).then(|| meta.addrs.dst())
}

#[test]
fn a_link_local_address_is_pinged_by_its_port() {
    let mut rig = links();
    for port in ["ta", "tb"] {
        heard(rig.live.neighbour_set(stated("fe80::11", Some(port)))).unwrap();
    }
    let started = heard(rig.live.ping(ping("fe80::11", Some("tb"))));
    assert!(started.is_ok());
    let to = until(&mut rig, |rig| echo_to(&mut rig.rack));
    assert_eq!(to.to_string(), "fe80::11");
    assert_eq!(echo_to(&mut rig.uplink), None);
}

#[test]
fn a_ping_to_one_of_several_links_needs_its_port() {
    let mut rig = links();
    let mut told = |address, port| refusal(heard(rig.live.ping(ping(address, port))).map(|_| ()));
    let (reason, line) = told("fe80::11", None);
    assert_eq!(reason, Reason::Ambiguous, "{line}");
    let (reason, line) = told("fe80::1", Some("tb"));
    assert!(line.contains("own address"), "{line}");
    assert_eq!(reason, Reason::Invalid);
    assert_eq!(told("fe80::11", Some("tc")).0, Reason::NotFound);
    assert_eq!(told("2001:db8::11", Some("tb")).0, Reason::Invalid);
}

fn get(address: &str, port: Option<&str>) -> RouteGet {
    RouteGet {
        port: port.map(Into::into),
        ..RouteGet::to(address.parse().unwrap())
    }
}

#[test]
fn the_route_to_a_link_local_address_is_that_of_its_port() {
    let mut rig = with_ta(false);
    let of = |port| get("fe80::11", Some(port));
    for (name, health) in [("ta", Health::Dead), ("tb", Health::Up)] {
        let route = rig.live.route_get(of(name)).unwrap().route;
        assert_eq!(route.destination.to_string(), "fe80::/64");
        let [path] = route.paths.as_slice() else {
            panic!("{route:?}");
        };
        assert_eq!((path.kind, path.health), (PathKind::Interface, health));
        assert_eq!(path.port.as_deref(), Some(name));
    }
    let own = rig
        .live
        .route_get(get("fe80::1", Some("tb")))
        .unwrap()
        .route;
    assert_eq!(
        (own.paths[0].kind, own.paths[0].port.as_deref()),
        (PathKind::Local, Some("tb"))
    );
    let (reason, line) = refusal(rig.live.route_get(get("fe80::11", None)));
    assert_eq!(reason, Reason::Ambiguous, "{line}");
}

#[test]
fn link_local_networks_and_addresses_are_listed_for_each_link() {
    let mut rig = links();
    let of = wire::route::RouteFamily {
        fib: 0,
        family: Some(Family::Inet6),
    };
    let routes = rig.live.list_routes(of, None, 10);
    let mut listed: Vec<(String, Vec<_>)> = Vec::new();
    for route in &routes {
        let port = |path: &wire::route::Path| (path.port.clone().unwrap_or_default(), path.kind);
        listed.push((
            route.destination.to_string(),
            route.paths.iter().map(port).collect(),
        ));
    }
    let on_both = |kind| vec![("ta".to_owned(), kind), ("tb".to_owned(), kind)];
    let told = [
        ("fe80::/64".to_owned(), on_both(PathKind::Interface)),
        ("fe80::1/128".to_owned(), on_both(PathKind::Local)),
    ];
    assert_eq!(listed, told);
}
