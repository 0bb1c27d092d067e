//! Gateways on no port's network, to which other routes lead: over a real gateway, as the wire has them.

use super::*;
use crate::server::Batch;
use crate::server::BatchNews;
use crate::wire::batch::PathSet;
use crate::wire::route::Path;

fn far(destination: &str, gateways: &[&str]) -> RouteAdd {
    let mut ask = add(destination, gateways);
    ask.paths.iter_mut().for_each(|path| path.recursive = true);
    ask
}

/// The path of a host's route.
fn path_to(live: &mut Live, host: &str) -> Path {
    let mut answer = live.route_get(RouteGet::to(host.parse().unwrap())).unwrap();
    answer.route.paths.remove(0)
}

#[test]
fn a_far_gateway_is_shown_with_its_way_and_without_one_as_unresolved() {
    let mut rig = rig();
    let live = &mut rig.live;
    let done = live.route_add(far("10.0.0.0/8", &["172.16.0.1"])).unwrap();
    let warning = done.warning.unwrap();
    assert!(
        warning.starts_with("172.16.0.1 is dead as yet"),
        "{warning}"
    );
    let path = path_to(live, "10.1.1.1");
    assert!(path.recursive);
    assert_eq!((path.through, path.port), (None, None));
    assert_eq!(
        (path.health, path.causes),
        (Health::Dead, vec!["unresolved".to_owned()])
    );

    live.route_add(add("172.16.0.0/16", &["192.0.2.11"]))
        .unwrap();
    let path = path_to(live, "10.1.1.1");
    let through = "192.0.2.11".parse().ok();
    assert_eq!(
        (path.through, path.port.as_deref()),
        (through, Some("rack"))
    );
    assert_eq!((path.health, path.mtu), (Health::Up, 1500));
    assert!(path.causes.is_empty());
    let listed = live.nexthops();
    let listed = listed.nexthops.iter().find(|n| n.recursive).unwrap();
    assert_eq!(
        (listed.through, listed.port.as_deref()),
        (through, Some("rack"))
    );
    let again = live.route_add(far("11.0.0.0/8", &["172.16.0.1"])).unwrap();
    assert_eq!(again.warning, None);
    assert_eq!(
        again.paths[0].nexthop, path.nexthop,
        "one next hop for both"
    );
    let down = NexthopSet {
        gateway: [172, 16, 0, 1].into(),
        order: NexthopOrder::Down,
        deadline: None,
        plan: false,
    };
    assert_eq!(
        live.nexthop_set(down).unwrap().nexthops[0].causes,
        ["operator"]
    );
}

#[test]
fn what_cannot_be_resolved_is_refused_with_what_would_be_right() {
    let mut rig = rig();
    let live = &mut rig.live;
    let (reason, line) = refusal(live.route_add(add("10.0.0.0/8", &["172.16.0.1"])));
    assert_eq!(reason, Reason::Unreachable);
    assert!(
        line.ends_with("or say -recursive to have other routes lead to it"),
        "{line}"
    );
    let (reason, line) = refusal(live.route_add(add("2001:db8::/32", &["fe80::1"])));
    assert_eq!(reason, Reason::Unreachable);
    assert!(line.contains("name its port too, fe80::1%PORT"), "{line}");
    assert!(!line.contains("-recursive"), "{line}");
    let (reason, line) = refusal(live.route_add(far("10.0.0.0/8", &["224.0.0.1"])));
    assert_eq!(reason, Reason::Invalid);
    assert!(
        line.starts_with("224.0.0.1 cannot be found through routes"),
        "{line}"
    );
    let mut named = far("10.0.0.0/8", &["172.16.0.1"]);
    named.paths[0].port = Some("rack".into());
    assert_eq!(refusal(live.route_add(named)).0, Reason::Unreachable);
}

#[test]
fn what_is_exported_of_it_is_what_a_batch_takes() {
    let mut rig = rig();
    let set = |gateway: &str, recursive| {
        let mut path = via(gateway, None);
        path.recursive = recursive;
        PathSet {
            paths: vec![path],
            ..PathSet::default()
        }
    };
    let sets = vec![set("172.16.0.1", true), set("192.0.2.11", false)];
    let routes = [("10.0.0.0/8", 0), ("172.16.0.0/16", 1)];
    let routes = routes.map(|(text, set)| (prefix(text), set)).to_vec();
    let batch = || Batch {
        fib: 0,
        firsts: routes
            .iter()
            .map(|(prefix, _)| [Some(*prefix), None])
            .collect(),
        sets: sets.clone(),
        routes: routes.clone(),
        replace: vec![Family::Inet],
    };
    let alone = Batch {
        routes: vec![(prefix("10.0.0.0/8"), 0)],
        firsts: vec![[Some(prefix("10.0.0.0/8")), None], [None, None]],
        ..batch()
    };
    let done = super::batch::loaded(&mut rig, alone).unwrap();
    let line = "172.16.0.1 is dead as yet: ";
    assert!(done.warning.is_some_and(|of| of.starts_with(line)));
    rig.live.route_delete(delete("10.0.0.0/8", None)).unwrap();
    for changed in [2, 0] {
        let news = rig.live.batch_commit(batch()).unwrap();
        let done = until(&mut rig, |_| match news.try_recv() {
            Ok(BatchNews::Ended(answer)) => Some(answer.unwrap()),
            _ => None,
        });
        assert_eq!(done.added + done.changed + done.deleted, changed);
        assert_eq!(path_to(&mut rig.live, "10.1.1.1").health, Health::Up);
    }
    let exported = rig.live.route_export(None.into(), None, 100);
    assert_eq!((exported.sets, exported.routes), (sets, routes));
}
