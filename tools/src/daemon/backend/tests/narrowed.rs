//! A port whose interface takes less than it is configured for.

use super::*;
use crate::wire::stats::Nexthop;

/// What the rack's port takes, and what it is configured for if that is more.
fn of_port(live: &mut Live) -> (u32, Option<u32>) {
    let all = live.ports()();
    let rack = all.ports.iter().find(|port| port.name == "rack").unwrap();
    (rack.mtu, rack.configured_mtu)
}

/// What the service's next hop carries: as its route has it, and as it is listed itself.
fn of_next_hop(live: &mut Live) -> [u32; 2] {
    let host = RouteGet::to("203.0.113.10".parse().unwrap());
    let route = live.route_get(host).unwrap().route;
    let is_it = |nexthop: &&Nexthop| nexthop.index == route.paths[0].nexthop;
    let all = live.nexthops();
    let listed = all.nexthops.iter().find(is_it).unwrap();
    [route.paths[0].mtu, listed.mtu]
}

#[test]
fn a_port_and_its_next_hops_are_listed_with_what_they_take_and_exported_as_they_were_asked_for() {
    let mut rig = rig();
    let live = &mut rig.live;
    live.route_add(add(SERVICE, &["192.0.2.11"])).unwrap();
    let asked = live.route_export(None.into(), None, 10).sets;
    for (mtu, port, next_hop) in [
        (Some(1400), (1400, Some(1500)), 1400),
        (Some(9000), (1500, None), 1500),
        (Some(1300), (1300, Some(1500)), 1300),
        (None, (1500, None), 1500),
    ] {
        live.device_news_due
            .push_back(DeviceNews::Mtu(PortId(1), mtu));
        live.hear_devices(live.now());
        assert_eq!(of_port(live), port);
        assert_eq!(of_next_hop(live), [next_hop; 2]);
        assert_eq!(live.route_export(None.into(), None, 10).sets, asked);
    }
}
