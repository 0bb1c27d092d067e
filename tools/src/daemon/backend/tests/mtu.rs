//! The MTU of next hops: who sets it, who keeps it, and what is said of it.

use super::*;
use crate::routefile;
use crate::wire::group::GroupAdd;
use crate::wire::group::GroupChange;

const OTHER: &str = "198.51.100.0/24";

fn of_mtu(gateway: &str, mtu: u32) -> PathSpec {
    PathSpec {
        mtu: Some(mtu),
        ..via(gateway, None)
    }
}

/// A rig whose route, and another's by the first of its gateways, have an MTU of 1400.
fn rig_of_1400() -> Rig {
    let mut rig = rig();
    let paths = vec![of_mtu("192.0.2.11", 1400), of_mtu("192.0.2.12", 1400)];
    let service = RouteAdd {
        paths,
        ..add(SERVICE, &[])
    };
    rig.live.route_add(service).unwrap();
    rig.live.route_add(add(OTHER, &["192.0.2.11"])).unwrap();
    rig
}

fn change(paths: Vec<PathSpec>) -> RouteChange {
    RouteChange {
        destination: prefix(SERVICE),
        fib: 0,
        paths,
        deadline: None,
        mtu: None,
        options: Default::default(),
    }
}

/// The MTUs of a route's paths.
fn mtus(rig: &mut Rig, destination: &str) -> Vec<u32> {
    let all = rig.live.routes(Some(Family::Inet).into(), None, 100);
    let route = all.iter().find(|r| r.destination == prefix(destination));
    route.unwrap().paths.iter().map(|path| path.mtu).collect()
}

#[test]
fn a_drain_and_a_weight_leave_the_next_hop_s_mtu_alone() {
    let mut rig = rig_of_1400();
    let drain = RouteChange {
        deadline: Some(600),
        ..change(vec![via("192.0.2.11", Some(0))])
    };
    for order in [drain, change(vec![via("192.0.2.11", Some(2))])] {
        let done = rig.live.route_change(order).unwrap();
        assert_eq!((done.paths[0].mtu, done.warning), (1400, None));
        assert_eq!(mtus(&mut rig, SERVICE), [1400, 1400]);
        assert_eq!(mtus(&mut rig, OTHER), [1400]);
    }
    let paths = vec![via("192.0.2.11", None), via("192.0.2.13", None)];
    let done = rig.live.route_change(change(paths)).unwrap();
    assert_eq!(done.warning, None, "nothing was asked of its MTU");
    assert_eq!(mtus(&mut rig, SERVICE), [1400, 1500]);
}

#[test]
fn a_weight_of_a_group_s_member_leaves_its_mtu_alone() {
    let mut rig = rig_of_1400();
    let group = GroupAdd {
        group: 7,
        fib: 0,
        paths: vec![via("192.0.2.11", None), via("192.0.2.12", None)],
        options: Default::default(),
    };
    rig.live.group_add(group).unwrap();
    let weight = |path| GroupChange {
        group: 7,
        fib: None,
        paths: vec![path],
        deadline: None,
        options: Default::default(),
    };
    let heavier = weight(via("192.0.2.11", Some(2)));
    assert_eq!(rig.live.group_change(heavier).unwrap().paths[0].mtu, 1400);
    assert_eq!(mtus(&mut rig, SERVICE), [1400, 1400]);
    let said = weight(of_mtu("192.0.2.11", 1300));
    assert_eq!(rig.live.group_change(said).unwrap().paths[0].mtu, 1300);
    assert_eq!(mtus(&mut rig, OTHER), [1300]);
}

#[test]
fn a_change_that_says_an_mtu_sets_it_for_all_that_use_the_next_hop() {
    let mut rig = rig_of_1400();
    let said = change(vec![of_mtu("192.0.2.11", 1300)]);
    rig.live.route_change(said).unwrap();
    assert_eq!(mtus(&mut rig, SERVICE), [1300, 1400]);
    assert_eq!(mtus(&mut rig, OTHER), [1300]);
    let usual = change(vec![of_mtu("192.0.2.11", 1500)]);
    rig.live.route_change(usual).unwrap();
    assert_eq!(mtus(&mut rig, OTHER), [1500]);
}

#[test]
fn gateways_of_one_route_have_mtus_of_their_own_which_an_export_keeps() {
    let mut rig = rig();
    for mtus in [[1400, 1500], [1500, 1400], [1400, 1300]] {
        let gateways = ["192.0.2.11", "192.0.2.12"];
        let paths = gateways
            .iter()
            .zip(mtus)
            .map(|(gateway, mtu)| of_mtu(gateway, mtu));
        let ask = RouteAdd {
            paths: paths.collect(),
            ..add(SERVICE, &[])
        };
        rig.live.route_add(ask).unwrap();
        assert_eq!(self::mtus(&mut rig, SERVICE), mtus);
        let slice = rig.live.route_export(None.into(), None, 100);
        let line = format!("{SERVICE} {}", routefile::write::set(&slice.sets[0]));
        for gateway in gateways {
            let gone = delete(SERVICE, Some(gateway));
            rig.live.route_delete(gone).unwrap();
        }
        let options = routefile::Options::default();
        let file = routefile::read(line.as_bytes(), &options, &mut |_| ()).unwrap();
        let again = RouteAdd {
            paths: file.sets[0].paths.clone(),
            ..add(SERVICE, &[])
        };
        rig.live.route_add(again).unwrap();
        assert_eq!(self::mtus(&mut rig, SERVICE), mtus, "{line}");
        for gateway in gateways {
            let gone = delete(SERVICE, Some(gateway));
            rig.live.route_delete(gone).unwrap();
        }
    }
}

#[test]
fn a_change_of_the_mtu_alone_is_of_all_paths_and_of_nothing_else() {
    let mut rig = rig_of_1400();
    let drain = RouteChange {
        deadline: Some(600),
        ..change(vec![via("192.0.2.11", Some(0))])
    };
    rig.live.route_change(drain).unwrap();
    let of_all = |mtu| RouteChange {
        mtu: Some(mtu),
        ..change(Vec::new())
    };
    let done = rig.live.route_change(of_all(1300)).unwrap();
    let told: Vec<_> = done.paths.iter().map(|p| (p.mtu, p.weight)).collect();
    assert_eq!(told, [(1300, 0), (1300, 1)]);
    assert!(done.paths[0].deadline.is_some(), "it drains as before");
    assert_eq!(done.warning, None);
    assert_eq!(mtus(&mut rig, OTHER), [1300]);
    let both = RouteChange {
        options: wire::options::Options {
            failback: Some(wire::options::Failback::Return),
            ..Default::default()
        },
        ..of_all(1200)
    };
    rig.live.route_change(both).unwrap();
    assert_eq!(mtus(&mut rig, SERVICE), [1200, 1200]);

    let with_paths = RouteChange {
        paths: vec![via("192.0.2.11", None)],
        ..of_all(1300)
    };
    for wrong in [with_paths, of_all(67)] {
        assert_eq!(refusal(rig.live.route_change(wrong)).0, Reason::Invalid);
    }
    let by_six = add("198.51.100.7/32", &["fd00:2::11"]);
    let six = RouteChange {
        destination: by_six.destination,
        ..of_all(1000)
    };
    rig.live.route_add(by_six).unwrap();
    let (_, line) = refusal(rig.live.route_change(six));
    assert!(line.contains("the IPv6 gateway fd00:2::11"), "{line}");
    assert_eq!(mtus(&mut rig, SERVICE), [1200, 1200]);
}

#[test]
fn an_mtu_beyond_the_port_s_is_cut_to_that_with_a_warning() {
    let mut rig = rig();
    let line = "gateway 192.0.2.11: port rack takes packets of up to 1500 bytes, so its MTU is that and not 9000";
    let ask = RouteAdd {
        paths: vec![via("192.0.2.12", None), of_mtu("192.0.2.11", 9000)],
        ..add(SERVICE, &[])
    };
    let done = rig.live.route_add(ask).unwrap();
    assert_eq!(done.warning.as_deref(), Some(line));
    assert_eq!(mtus(&mut rig, SERVICE), [1500, 1500]);
    let said = change(vec![of_mtu("192.0.2.11", 9000)]);
    let done = rig.live.route_change(said).unwrap();
    assert_eq!(done.warning.as_deref(), Some(line));
    let group = GroupAdd {
        group: 7,
        fib: 0,
        paths: vec![of_mtu("192.0.2.11", 9000)],
        options: Default::default(),
    };
    let done = rig.live.group_add(group).unwrap();
    assert_eq!(done.warning.as_deref(), Some(line));
    let of_all = RouteChange {
        mtu: Some(9000),
        ..change(Vec::new())
    };
    let done = rig.live.route_change(of_all).unwrap();
    assert!(done.warning.unwrap().ends_with("is that and not 9000"));
    let iface = RouteAdd {
        paths: vec![PathSpec {
            kind: PathKind::Interface,
            port: Some("rack".into()),
            mtu: Some(1400),
            ..PathSpec::default()
        }],
        ..add(OTHER, &[])
    };
    let done = rig.live.route_add(iface).unwrap();
    let line =
        "interface keeps its MTU of 1500: other routes use it; change one of them to set 1400";
    assert_eq!(done.warning.as_deref(), Some(line), "no number of ours");
}
