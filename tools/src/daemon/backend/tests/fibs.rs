//! Several FIBs over a real gateway: each call has its table.

use super::*;
use crate::server::Batch;
use crate::server::BatchNews;
use crate::wire::batch::PathSet;
use crate::wire::route::RouteFamily;

/// By 192.0.2.11, which is next to a port of FIB 0.
fn leak(destination: &str) -> RouteAdd {
    let mut ask = add(destination, &["192.0.2.11"]);
    ask.fib = 1;
    ask.paths[0].port = Some("rack".into());
    ask
}

const F1: RouteFamily = RouteFamily {
    family: None,
    fib: 1,
};

fn destinations(live: &mut Live, of: RouteFamily) -> Vec<String> {
    let all = live.routes(of, None, 100).into_iter();
    let ours = all.filter(|route| route.is_static);
    ours.map(|route| format!("{} {}", route.fib, route.destination))
        .collect()
}

#[test]
fn each_fib_has_routes_of_its_own() {
    let mut rig = with_fibs(2);
    let live = &mut rig.live;
    live.route_add(add("10.0.0.0/8", &["192.0.2.11"])).unwrap();
    live.route_add(leak("10.0.0.0/8")).unwrap();
    let done = live.route_add(leak("2001:db8::/32"));
    assert_eq!(refusal(done).0, Reason::Invalid);
    live.route_add(leak("12.0.0.0/8")).unwrap();
    assert!(live.has_fib(1).is_ok());
    let (reason, line) = refusal(live.has_fib(2));
    assert_eq!(reason, Reason::Invalid);
    assert!(line.contains("FIB"), "{line}");
    let first = RouteFamily::default();
    assert_eq!(destinations(live, first), ["0 10.0.0.0/8"]);
    assert_eq!(destinations(live, F1), ["1 10.0.0.0/8", "1 12.0.0.0/8"]);
    let page = live.routes(F1, Some(prefix("10.0.0.0/8")), 100);
    assert_eq!(page.len(), 1, "goes on behind the last: {page:?}");
    let get = |fib, to: &str| RouteGet {
        fib,
        ..RouteGet::to(to.parse().unwrap())
    };
    assert_eq!(live.route_get(get(1, "12.0.0.1")).unwrap().route.fib, 1);
    let nowhere = refusal(live.route_get(get(0, "12.0.0.1")));
    assert_eq!(nowhere.0, Reason::NotFound);
    let gone = RouteDelete {
        fib: 1,
        ..delete("10.0.0.0/8", None)
    };
    assert_eq!(live.route_delete(gone).unwrap().fib, 1);
    assert_eq!(destinations(live, first), ["0 10.0.0.0/8"]);
    assert_eq!(live.route_flush(F1, 10).unwrap().len(), 1);
    assert_eq!(destinations(live, first), ["0 10.0.0.0/8"]);
    assert!(destinations(live, F1).is_empty());
}

#[test]
fn gateways_are_looked_for_in_the_fib_of_the_route() {
    let mut rig = with_fibs(2);
    let ask = RouteAdd {
        fib: 1,
        ..add("10.0.0.0/8", &["192.0.2.11"])
    };
    let (reason, line) = refusal(rig.live.route_add(ask));
    assert_eq!(reason, Reason::Unreachable);
    let wanted = "Network is unreachable: no port of FIB 1 has an address in the network of 192.0.2.11; ports: ";
    assert!(line.starts_with(wanted), "{line}");
    let ask = RouteAdd {
        fib: 2,
        ..add("10.0.0.0/8", &["192.0.2.11"])
    };
    let (reason, line) = refusal(rig.live.route_add(ask));
    assert_eq!(reason, Reason::Invalid);
    assert!(
        line.starts_with("FIB 2 is out of range: FIBs go from 0 to 1"),
        "{line}"
    );
    let flush = RouteFamily {
        fib: 9,
        ..RouteFamily::default()
    };
    assert_eq!(refusal(rig.live.route_flush(flush, 10)).0, Reason::Invalid);
}

#[test]
fn a_batch_changes_and_an_export_shows_one_fib() {
    let mut rig = with_fibs(2);
    rig.live
        .route_add(add("10.0.0.0/8", &["192.0.2.11"]))
        .unwrap();
    rig.live.route_add(leak("11.0.0.0/8")).unwrap();
    let path = PathSpec {
        port: Some("rack".into()),
        ..via("192.0.2.12", None)
    };
    let set = PathSet {
        paths: vec![path],
        ..PathSet::default()
    };
    let batch = Batch {
        fib: 1,
        sets: vec![set],
        firsts: vec![[Some(prefix("12.0.0.0/8")), None]],
        routes: vec![(prefix("12.0.0.0/8"), 0)],
        replace: vec![Family::Inet],
    };
    let news = rig.live.batch_commit(batch).unwrap();
    let done = until(&mut rig, |_| match news.try_recv() {
        Ok(BatchNews::Ended(answer)) => Some(answer.unwrap()),
        _ => None,
    });
    assert_eq!((done.added, done.deleted), (1, 1));
    assert_eq!(
        destinations(&mut rig.live, RouteFamily::default()),
        ["0 10.0.0.0/8"]
    );
    let exported = rig.live.route_export(F1, None, 100);
    assert_eq!(exported.routes, [(prefix("12.0.0.0/8"), 0)]);
    assert_eq!(
        exported.sets[0].paths[0].port.as_deref(),
        Some("rack"),
        "else it would not load again"
    );
}

#[test]
fn members_of_a_group_are_known_without_their_fib() {
    use crate::wire::group::*;
    let mut rig = with_fibs(2);
    let mut far = via("172.16.0.1", None);
    far.recursive = true;
    let mut near = via("192.0.2.11", None);
    near.port = Some("rack".into());
    let ask = GroupAdd {
        group: 7,
        fib: 1,
        paths: vec![far, near],
        options: Default::default(),
    };
    let done = rig.live.group_add(ask).unwrap();
    let line =
        "172.16.0.1 is dead as yet: no route leads to it but through it or a chain of more than 4";
    assert!(done.warning.unwrap().starts_with(line));
    let change = |gateway: &str, fib| GroupChange {
        group: 7,
        fib,
        paths: vec![via(gateway, Some(5))],
        deadline: None,
        options: Default::default(),
    };
    for (fib, gateway) in [
        (Some(1), "192.0.2.11"),
        (None, "192.0.2.11"),
        (None, "172.16.0.1"),
        (Some(1), "172.16.0.1"),
    ] {
        let done = rig.live.group_change(change(gateway, fib)).unwrap();
        let of_old = [done.paths[0].weight, done.paths.len() as u32];
        assert_eq!(of_old, [5, 1], "{gateway} of FIB {fib:?}");
        let shown = rig.live.groups(GroupsOf::default()).unwrap();
        assert_eq!(rig.live.group(shown[0]).unwrap().members.len(), 2);
    }
    // FIB 0 has no such gateway, and was said.
    for (fib, gateway) in [(None, "172.16.0.2"), (Some(0), "172.16.0.1")] {
        let (reason, _) = refusal(rig.live.group_change(change(gateway, fib)));
        assert_eq!(reason, Reason::Unreachable, "{gateway} of FIB {fib:?}");
    }
}

#[test]
fn fib_0_can_be_said_where_a_member_of_another_has_the_same_address() {
    use crate::wire::group::*;
    let net = [("192.0.2.1", 24)];
    let uplink = Port {
        fib: route::FibId(1),
        ..port(0, "uplink", Layer::L3, &net)
    };
    let rack = port(1, "rack", Layer::L2(Mac([2, 0, 0, 0, 0, 1])), &net);
    let mut rig = with_ports(2, Ports(vec![uplink, rack]));
    let ask = GroupAdd {
        group: 7,
        fib: 1,
        paths: vec![via("192.0.2.11", None)],
        options: Default::default(),
    };
    rig.live.group_add(ask).unwrap();
    let mut change = |fib| {
        let ask = GroupChange {
            group: 7,
            fib,
            paths: vec![via("192.0.2.11", Some(5))],
            deadline: None,
            options: Default::default(),
        };
        let done = rig.live.group_change(ask).unwrap();
        let shown = rig.live.groups(GroupsOf::default()).unwrap();
        let members = rig.live.group(shown[0]).unwrap().members;
        assert_eq!((members.len(), done.paths.len()), (1, 1));
        members[0].path.port.clone().unwrap()
    };
    for (fib, port) in [
        (None, "uplink"),
        (Some(1), "uplink"),
        (Some(0), "rack"),
        (None, "rack"),
    ] {
        assert_eq!(change(fib), port, "{fib:?}");
    }
}
