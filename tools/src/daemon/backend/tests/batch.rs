//! Batches over a real gateway: slices between other calls, all or nothing, and neighbours that balance.

use super::*;
use crate::server::Batch;
use crate::server::BatchNews;
use crate::wire::batch::BatchDone;
use crate::wire::batch::PathSet;

fn set(gateways: &[&str]) -> PathSet {
    PathSet {
        paths: gateways.iter().map(|gateway| via(gateway, None)).collect(),
        options: Default::default(),
    }
}

/// Host routes of set 0, so many, and what else is given.
fn batch(sets: Vec<PathSet>, hosts: u32, others: &[(&str, u32)]) -> Batch {
    let host = |at: u32| Prefix::host(Ipv4Addr::from_bits(0x0b00_0000 + at).into());
    let mut routes: Vec<(Prefix, u32)> = (0..hosts).map(|at| (host(at), 0)).collect();
    routes.extend(others.iter().map(|(text, set)| (prefix(text), *set)));
    routes.sort_unstable();
    let mut firsts = vec![[None; 2]; sets.len()];
    for (prefix, set) in &routes {
        let family = usize::from(prefix.addr().is_ipv6());
        firsts[*set as usize][family].get_or_insert(*prefix);
    }
    Batch {
        fib: 0,
        sets,
        firsts,
        routes,
        replace: Vec::new(),
    }
}

/// Turns control until the batch has ended.
pub(super) fn loaded(rig: &mut Rig, batch: Batch) -> Answer<BatchDone> {
    let news = rig.live.batch_commit(batch)?;
    until(rig, |_| match news.try_recv() {
        Ok(BatchNews::Ended(answer)) => Some(answer),
        _ => None,
    })
}

fn reserved(rig: &mut Rig) -> Vec<String> {
    let all = heard(rig.live.neighbours(NeighbourFilter::default())).unwrap();
    let reserved = all.into_iter().filter(|n| n.reserved);
    reserved.map(|n| n.address.to_string()).collect()
}

#[test]
fn other_calls_are_answered_between_slices_and_other_changes_are_refused() {
    let mut rig = rig();
    rig.live.route_add(add(SERVICE, &["192.0.2.11"])).unwrap();
    let news = rig
        .live
        .batch_commit(batch(vec![set(&["192.0.2.12"])], 200_000, &[]))
        .unwrap();
    let mut between = 0;
    let ended = until(&mut rig, |rig| {
        if rig.live.control.batch_progress().is_some() {
            between += 1;
            assert_eq!(rig.live.status()().collateral, 0);
            let (reason, line) = refusal(rig.live.route_add(add("10.0.0.0/8", &["192.0.2.11"])));
            assert_eq!(reason, Reason::Busy);
            assert!(
                line.starts_with("a batch of routes is being loaded ("),
                "{line}"
            );
            assert_eq!(
                refusal(rig.live.route_delete(delete(SERVICE, None))).0,
                Reason::Busy
            );
            assert_eq!(
                refusal(rig.live.route_flush(None.into(), 9)).0,
                Reason::Busy
            );
            let second = batch(vec![set(&["192.0.2.12"])], 1, &[]);
            assert_eq!(refusal(rig.live.batch_commit(second)).0, Reason::Busy);
        }
        match news.try_recv() {
            Ok(BatchNews::Ended(answer)) => Some(answer.unwrap()),
            _ => None,
        }
    });
    assert!(between > 3, "{between} turns between its slices");
    assert_eq!((ended.added, ended.changed, ended.deleted), (200_000, 0, 0));
    let mut told = Vec::new();
    rig.live.poll(&mut told);
    rig.live
        .route_add(add("10.0.0.0/8", &["192.0.2.11"]))
        .unwrap();
}

#[test]
fn a_batch_whose_client_has_gone_is_completed() {
    let mut rig = rig();
    let news = rig
        .live
        .batch_commit(batch(vec![set(&["192.0.2.12"])], 50_000, &[]));
    drop(news);
    until(&mut rig, |rig| {
        rig.live.control.batch_progress().is_none().then_some(())
    });
    assert!(
        rig.live
            .control
            .route_exact(prefix("11.0.195.79/32"))
            .is_some()
    );
}

#[test]
fn monitors_are_told_of_each_of_few_routes_and_of_many_as_one() {
    let mut rig = rig();
    let mut tell = |hosts| {
        let news = rig
            .live
            .batch_commit(batch(vec![set(&["192.0.2.12"])], hosts, &[]))
            .unwrap();
        let mut told = Vec::new();
        while !matches!(news.try_recv(), Ok(BatchNews::Ended(_))) {
            rig.live.poll(&mut told);
        }
        rig.live.poll(&mut told);
        told
    };
    assert_eq!(
        tell(3)
            .iter()
            .filter(|n| matches!(n, News::RouteAdded(_)))
            .count(),
        3
    );
    let many = tell(5000);
    let one = News::RoutesChanged {
        fib: 0,
        added: 4997,
        changed: 0,
        deleted: 0,
    };
    assert!(many.contains(&one), "{many:?}");
    assert!(!many.iter().any(|n| matches!(n, News::RouteAdded(_))));
}

#[test]
fn neighbours_are_reserved_once_a_next_hop_and_given_back_with_its_last_route() {
    let mut rig = rig();
    rig.live.route_add(add(SERVICE, &["192.0.2.11"])).unwrap();
    let sets = vec![
        set(&["192.0.2.12", "192.0.2.13"]),
        set(&["192.0.2.13", "192.0.2.11"]),
        set(&["fd00:2::11"]),
        set(&["192.0.2.99"]),
    ];
    let table = batch(sets, 10, &[("10.0.0.0/8", 1), ("2001:db8::/32", 2)]);
    let done = loaded(&mut rig, table).unwrap();
    assert_eq!((done.added, done.changed), (12, 0));
    let all = ["192.0.2.11", "192.0.2.12", "192.0.2.13", "fd00:2::11"];
    assert_eq!(reserved(&mut rig), all, "none for a set that no route has");
    let flush = Batch {
        replace: vec![Family::Inet, Family::Inet6],
        ..Batch::default()
    };
    assert_eq!(loaded(&mut rig, flush).unwrap().deleted, 13);
    assert_eq!(reserved(&mut rig), [""; 0]);
    assert_eq!(
        rig.live
            .control
            .nhops()
            .iter()
            .filter(|n| n.key.gateway.is_some())
            .count(),
        0
    );
}

#[test]
fn a_refused_batch_says_which_route_and_leaves_nothing_behind() {
    let mut rig = rig();
    rig.live.route_add(add(SERVICE, &["192.0.2.11"])).unwrap();
    let before = rig.live.routes(None.into(), None, 100);
    let none = PathSet::default();
    let mut timed = set(&["192.0.2.12"]);
    timed.options.timeouts = "dns".parse().ok();
    let mut grouped = none.clone();
    grouped.options.group = Some(7);
    for (sets, others, wanted, line) in [
        (
            vec![set(&["192.0.2.12"]), set(&["172.16.0.1"])],
            ("12.0.0.0/8", 1),
            Reason::Unreachable,
            "12.0.0.0/8: Network is unreachable",
        ),
        (
            vec![set(&["192.0.2.12"]), set(&["192.0.2.1"])],
            ("12.0.0.0/8", 1),
            Reason::Invalid,
            "12.0.0.0/8: 192.0.2.1 is our own address",
        ),
        (
            vec![set(&["192.0.2.12"])],
            ("2001:db8::/32", 0),
            Reason::Invalid,
            "2001:db8::/32 is IPv6 and gateway 192.0.2.12 is IPv4: ",
        ),
        (
            vec![set(&["192.0.2.12"])],
            ("192.0.2.0/24", 0),
            Reason::Invalid,
            "192.0.2.0/24 is the network of port rack",
        ),
        (
            vec![set(&["192.0.2.12"]), none],
            ("12.0.0.0/8", 1),
            Reason::Invalid,
            "12.0.0.0/8: a route needs a gateway",
        ),
        (
            vec![set(&["192.0.2.12"]), timed],
            ("12.0.0.0/8", 1),
            Reason::NotFound,
            "12.0.0.0/8: no timeouts are called dns: ",
        ),
        (
            vec![set(&["192.0.2.12"]), grouped],
            ("12.0.0.0/8", 1),
            Reason::NotFound,
            "12.0.0.0/8: group 7 is not there: ",
        ),
    ] {
        let (reason, told) = refusal(loaded(&mut rig, batch(sets, 10, &[others])));
        assert_eq!(reason, wanted, "{told}");
        assert!(told.starts_with(line), "{told}");
        assert_eq!(rig.live.routes(None.into(), None, 100), before);
        assert_eq!(reserved(&mut rig), ["192.0.2.11"], "{told}");
    }
}

#[test]
fn what_is_exported_is_what_a_batch_takes() {
    let mut rig = rig();
    let alone = |kind| PathSet {
        paths: vec![PathSpec {
            kind,
            ..PathSpec::default()
        }],
        options: Default::default(),
    };
    let weighted = PathSet {
        paths: vec![via("192.0.2.12", Some(7)), via("192.0.2.13", Some(0))],
        options: wire::options::Options {
            select: Some(wire::options::Select::Source),
            ..Default::default()
        },
    };
    let small = PathSet {
        paths: vec![PathSpec {
            mtu: Some(1400),
            ..via("192.0.2.14", None)
        }],
        options: Default::default(),
    };
    let sets = vec![
        weighted,
        alone(PathKind::Blackhole),
        alone(PathKind::Reject),
        small,
        set(&["fd00:2::12"]),
    ];
    let others = [
        ("12.0.0.0/8", 1),
        ("2001:db8::/32", 2),
        ("13.0.0.0/8", 3),
        ("14.0.0.0/8", 4),
        ("2001:db8:1::/48", 4),
    ];
    loaded(&mut rig, batch(sets.clone(), 5, &others)).unwrap();
    let (mut after, mut exported) = (None, Vec::new());
    loop {
        let slice = rig.live.route_export(None.into(), after, 2);
        let named = slice
            .routes
            .iter()
            .map(|(prefix, set)| (*prefix, slice.sets[*set as usize].clone()));
        exported.extend(named);
        match slice.last {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    let wanted = batch(sets.clone(), 5, &others).routes;
    let wanted: Vec<_> = wanted
        .into_iter()
        .map(|(prefix, set)| (prefix, sets[set as usize].clone()))
        .collect();
    assert_eq!(exported, wanted);
    let again = Batch {
        replace: vec![Family::Inet, Family::Inet6],
        ..batch(sets, 5, &others)
    };
    let done = loaded(&mut rig, again).unwrap();
    assert_eq!((done.added, done.changed, done.deleted), (0, 0, 0));
}

#[test]
fn a_load_tells_of_mtus_that_it_does_not_give() {
    let mut rig = rig();
    let small = PathSpec {
        mtu: Some(1400),
        ..via("192.0.2.11", None)
    };
    let ask = RouteAdd {
        paths: vec![small],
        ..add(SERVICE, &[])
    };
    rig.live.route_add(ask).unwrap();
    let done = loaded(&mut rig, batch(vec![set(&["192.0.2.11"])], 1, &[])).unwrap();
    let line = "gateway 192.0.2.11 keeps its MTU of 1400: other routes use it; change one of them to set 1500";
    assert_eq!(done.warning.as_deref(), Some(line));
    let jumbo = PathSet {
        paths: vec![PathSpec {
            mtu: Some(9000),
            ..via("192.0.2.12", None)
        }],
        options: Default::default(),
    };
    let done = loaded(&mut rig, batch(vec![jumbo], 1, &[])).unwrap();
    let line = "gateway 192.0.2.12: port rack takes packets of up to 1500 bytes, so its MTU is that and not 9000";
    assert_eq!(done.warning.as_deref(), Some(line));
}
