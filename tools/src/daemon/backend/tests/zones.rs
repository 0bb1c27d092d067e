//! Link-local addresses where two links have them: alone they name no host (RFC 4007 §6).

use super::*;

const DESTINATION: &str = "2001:db8::/32";

/// Two links with the same own address, as links have it.
fn links() -> Rig {
    let link = |id: u8, name| {
        let layer = Layer::L2(Mac([2, 0, 0, 0, 0, id]));
        port(id.into(), name, layer, &[("fe80::1", 64)])
    };
    with_ports(1, Ports(vec![link(0, "ta"), link(1, "tb")]))
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
