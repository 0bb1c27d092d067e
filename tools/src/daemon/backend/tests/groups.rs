//! Groups that have a number, of a gateway that runs.

use super::*;
use crate::wire::group::*;
use crate::wire::options::Options;

fn group_add(group: u32, gateways: &[&str]) -> GroupAdd {
    GroupAdd {
        group,
        fib: 0,
        paths: gateways.iter().map(|gateway| via(gateway, None)).collect(),
        options: Options::default(),
    }
}

fn of(group: u32) -> Options {
    Options {
        group: Some(group),
        ..Options::default()
    }
}

fn join(destination: &str, group: u32) -> RouteAdd {
    RouteAdd {
        options: of(group),
        ..add(destination, &[])
    }
}

fn change(group: u32, paths: Vec<PathSpec>) -> GroupChange {
    GroupChange {
        group,
        fib: None,
        paths,
        deadline: None,
        options: Options::default(),
    }
}

fn state(rig: &mut Rig, group: u32) -> GroupState {
    let of = GroupsOf {
        group: Some(group),
        ..GroupsOf::default()
    };
    let ids = rig.live.groups(of).unwrap();
    rig.live.group(ids[0]).unwrap()
}

#[test]
fn a_group_is_made_named_changed_shown_and_deleted() {
    let mut rig = rig();
    let done = rig
        .live
        .group_add(group_add(7, &["192.0.2.11", "192.0.2.12"]));
    assert_eq!(done.unwrap().paths.len(), 2);
    for destination in [SERVICE, "198.51.100.0/24"] {
        rig.live.route_add(join(destination, 7)).unwrap();
    }
    rig.live
        .group_change(change(
            7,
            vec![via("192.0.2.11", None), via("192.0.2.13", Some(3))],
        ))
        .unwrap();
    let shown = state(&mut rig, 7);
    assert_eq!((shown.routes, shown.buckets, shown.size), (2, 4096, 4096));
    let due: Vec<_> = shown
        .members
        .iter()
        .map(|m| (m.due, m.path.buckets))
        .collect();
    assert_eq!(due, [(1024, 1024), (3072, 3072)]);
    let route = &rig.live.routes(None.into(), None, 100);
    let named: Vec<_> = route
        .iter()
        .filter(|r| r.options.group == Some(7))
        .collect();
    assert_eq!(named.len(), 2);
    assert!(named.iter().all(|route| route.paths.len() == 2));
    let none = GroupDelete {
        group: 7,
        gateway: None,
        port: None,
    };
    let (reason, line) = refusal(rig.live.group_delete(none.clone()));
    assert_eq!(reason, Reason::Invalid);
    assert!(line.starts_with("group 7 is used by 2 routes"), "{line}");
    for destination in [SERVICE, "198.51.100.0/24"] {
        rig.live.route_delete(delete(destination, None)).unwrap();
    }
    rig.live.group_delete(none).unwrap();
    let mut news = Vec::new();
    rig.live.poll(&mut news);
    let told = |wanted: fn(&News) -> bool| news.iter().any(wanted);
    assert!(told(|n| matches!(n, News::GroupAdded(_))));
    assert!(told(|n| matches!(n, News::GroupChanged(_))));
    assert!(told(|n| matches!(n, News::GroupDeleted(_))));
}

#[test]
fn what_cannot_be_is_told_in_a_line() {
    let mut rig = rig();
    let live = &mut rig.live;
    let (reason, line) = refusal(live.route_add(join(SERVICE, 7)));
    assert_eq!(reason, Reason::NotFound);
    assert_eq!(
        line,
        "group 7 is not there: 'group add' makes it, and so does a route that names its gateways too"
    );
    live.group_add(group_add(7, &["192.0.2.11"])).unwrap();
    let (reason, _) = refusal(live.group_add(group_add(7, &["192.0.2.11"])));
    assert_eq!(reason, Reason::AlreadyExists);
    let other = RouteAdd {
        options: of(7),
        ..add(SERVICE, &["192.0.2.12"])
    };
    let (reason, line) = refusal(live.route_add(other));
    assert_eq!(reason, Reason::Invalid);
    assert!(line.starts_with("group 7 has other members"), "{line}");
    let (_, line) = refusal(live.route_add(join("2001:db8::/32", 7)));
    assert!(line.contains("IPv4 gateway 192.0.2.11"), "{line}");
    let (reason, _) = refusal(live.group_change(change(8, vec![via("192.0.2.11", None)])));
    assert_eq!(reason, Reason::NotFound);
    let (reason, _) = refusal(live.group_add(group_add(9, &["172.16.0.1"])));
    assert_eq!(reason, Reason::Unreachable);
    let inner = GroupAdd {
        options: of(3),
        ..group_add(9, &["192.0.2.11"])
    };
    assert_eq!(refusal(live.group_add(inner)).0, Reason::Invalid);
}

#[test]
fn a_table_that_is_exported_has_its_groups_and_is_loaded_with_them() {
    let mut rig = rig();
    let options = Options {
        buckets: Some(512),
        ..of(7)
    };
    let first = RouteAdd {
        options,
        ..add(SERVICE, &["192.0.2.11", "192.0.2.12"])
    };
    rig.live.route_add(first).unwrap();
    rig.live.route_add(join("198.51.100.0/24", 7)).unwrap();
    let slice = rig.live.route_export(None.into(), None, 100);
    assert_eq!(slice.sets.len(), 1);
    assert_eq!(slice.sets[0].options, options);
    assert_eq!(slice.sets[0].paths.len(), 2);
    let batch = || Batch {
        sets: slice.sets.clone(),
        firsts: vec![[Some(slice.routes[0].0), None]],
        routes: slice.routes.clone(),
        replace: vec![Family::Inet, Family::Inet6],
        fib: 0,
    };
    let same = super::batch::loaded(&mut rig, batch()).unwrap();
    assert_eq!((same.added, same.changed, same.deleted), (0, 0, 0));
    let mut fresh = super::rig();
    let done = super::batch::loaded(&mut fresh, batch()).unwrap();
    assert_eq!(done.added, 2);
    let shown = state(&mut fresh, 7);
    assert_eq!((shown.routes, shown.buckets), (2, 512));
}

#[test]
fn a_batch_that_is_refused_leaves_no_group_behind() {
    let mut rig = rig();
    let set = |gateway: &str, options| crate::wire::batch::PathSet {
        paths: vec![via(gateway, None)],
        options,
    };
    let sets = vec![set("192.0.2.11", of(7)), set("192.0.2.12", of(7))];
    let routes = vec![(prefix("10.0.0.0/8"), 0), (prefix("11.0.0.0/8"), 1)];
    let batch = Batch {
        firsts: routes.iter().map(|(to, _)| [Some(*to), None]).collect(),
        sets,
        routes,
        replace: vec![],
        fib: 0,
    };
    let (_, line) = refusal(super::batch::loaded(&mut rig, batch));
    assert!(
        line.starts_with("11.0.0.0/8: group 7 has other members"),
        "{line}"
    );
    assert!(rig.live.groups(GroupsOf::default()).unwrap().is_empty());
    rig.live.group_add(group_add(7, &["192.0.2.12"])).unwrap();
}

#[test]
fn a_layout_is_read_out_in_slices() {
    let mut rig = rig();
    rig.live
        .group_add(group_add(7, &["192.0.2.11", "192.0.2.12"]))
        .unwrap();
    let index = state(&mut rig, 7).index;
    let (version, first) = rig.live.group_export(index, 0, 1000);
    assert_eq!(first.names.len(), 2);
    let (again, second) = rig.live.group_export(index, 1000, u32::MAX);
    assert_eq!((again, second.names.len()), (version, 0));
    let buckets = |layout: &GroupLayout| layout.runs.iter().map(|run| run.buckets).sum::<u32>();
    assert_eq!((buckets(&first), buckets(&second)), (1000, 3096));
}

#[test]
fn a_change_of_nothing_and_buckets_of_a_blackhole_are_refused() {
    let mut rig = rig();
    rig.live.group_add(group_add(7, &["192.0.2.11"])).unwrap();
    let nothing = refusal(rig.live.group_change(change(7, vec![])));
    assert_eq!(nothing.0, Reason::Invalid);
    let mut late = change(7, vec![]);
    late.deadline = Some(5);
    assert_eq!(refusal(rig.live.group_change(late)).0, Reason::Invalid);
    let mut hole = add("10.0.0.0/8", &["192.0.2.11"]);
    hole.paths[0] = PathSpec {
        kind: PathKind::Blackhole,
        ..PathSpec::default()
    };
    hole.options.buckets = Some(64);
    let (reason, line) = refusal(rig.live.route_add(hole));
    assert_eq!(reason, Reason::Invalid);
    assert!(line.starts_with("-buckets goes with gateways"), "{line}");
    rig.live.route_add(join("10.0.0.0/8", 7)).unwrap();
    let whole = GroupDelete {
        group: 7,
        gateway: None,
        port: None,
    };
    assert_eq!(
        refusal(rig.live.group_delete(whole)).1,
        "group 7 is used by 1 route: delete it, or give it another group, first"
    );
}

#[test]
fn deleting_the_last_member_with_a_weight_is_told() {
    let mut rig = rig();
    let both = ["192.0.2.11", "192.0.2.12"];
    rig.live.group_add(group_add(7, &both)).unwrap();
    rig.live.route_add(add(SERVICE, &both)).unwrap();
    let drain = || vec![via("192.0.2.11", Some(0))];
    rig.live.group_change(change(7, drain())).unwrap();
    let weight = RouteChange {
        destination: prefix(SERVICE),
        fib: 0,
        paths: drain(),
        deadline: None,
        options: Options::default(),
        mtu: None,
    };
    rig.live.route_change(weight).unwrap();
    let member = GroupDelete {
        group: 7,
        gateway: "192.0.2.12".parse().ok(),
        port: None,
    };
    let done = rig.live.group_delete(member).unwrap();
    let line = "group 7 takes no new flows: every member has weight 0";
    assert_eq!(done.warning.as_deref(), Some(line));
    let done = rig
        .live
        .route_delete(delete(SERVICE, Some("192.0.2.12")))
        .unwrap();
    assert!(done.warning.unwrap().contains("takes no new flows"));
}

#[test]
fn flows_in_pin_debt_are_counted_by_group() {
    let mut rig = rig();
    for gateway in ["192.0.2.11", "192.0.2.12"] {
        heard(rig.live.neighbour_set(stated(gateway, None))).unwrap();
    }
    let made = group_add(7, &["192.0.2.11", "192.0.2.12"]);
    let index = rig.live.group_add(made).unwrap().index;
    rig.live.route_add(join(SERVICE, 7)).unwrap();
    // Its buckets remember it: only an opener goes elsewhere, and owes that to its entry.
    let drained = change(7, vec![via("192.0.2.11", Some(0))]);
    rig.live.group_change(drained).unwrap();
    for port in 4000..4064 {
        assert!(rig.uplink.tx(&opener(port)));
    }
    let table = until(&mut rig, |rig| {
        let table = rig.live.flow_stats()().tables.remove(0);
        (table.used == 64).then_some(table)
    });
    let of = crate::wire::flow::GroupDebt {
        index,
        group: Some(7),
        entries: table.debt,
    };
    assert!((1..64).contains(&table.debt), "{table:?}");
    assert_eq!(table.debt_groups, [of]);
    assert_eq!(table.probes.iter().sum::<u64>(), 64);
}

/// A SYN from this port.
fn opener(port: u16) -> Vec<u8> {
    let mut bytes = packet();
    bytes.resize(40, 0);
    bytes[2..4].copy_from_slice(&40_u16.to_be_bytes());
    bytes[9] = 6;
    let mut ip = Ipv4Packet::new_unchecked(&mut bytes);
    ip.fill_checksum();
    bytes[20..].fill(0);
    bytes[20..22].copy_from_slice(&port.to_be_bytes());
    bytes[22..24].copy_from_slice(&80_u16.to_be_bytes());
    bytes[32..34].copy_from_slice(&[0x50, 0x02]);
    bytes
}
