//! Routes: what is refused, how they are listed, what a flush deletes.

use super::*;

#[test]
fn a_refused_route_says_why_in_freebsds_words_and_changes_nothing() {
    let mut rig = rig();
    let live = &mut rig.live;
    live.route_add(add(SERVICE, &["192.0.2.11", "192.0.2.12"]))
        .unwrap();
    let before = live.routes(None.into(), None, 100);

    let again = refusal(live.route_add(add(SERVICE, &["192.0.2.11"])));
    assert_eq!(
        again,
        (Reason::AlreadyExists, "route already in table".into())
    );
    let (reason, message) = refusal(live.route_add(add("10.0.0.0/8", &["172.16.0.1"])));
    assert_eq!(reason, Reason::Unreachable);
    assert!(
        message.starts_with("Network is unreachable: no port has an address"),
        "{message}"
    );
    let (reason, _) = refusal(live.route_add(add("2001:db8::/32", &["192.0.2.11"])));
    assert_eq!(reason, Reason::Invalid);
    let weightless = RouteAdd {
        fib: 0,
        options: Default::default(),
        destination: prefix(SERVICE),
        paths: vec![via("192.0.2.13", Some(0))],
    };
    let (_, message) = refusal(live.route_add(weightless));
    assert!(
        message.starts_with("weight 0 is not valid for add"),
        "{message}"
    );
    let gone = refusal(live.route_delete(delete("10.0.0.0/8", None)));
    assert_eq!(gone, (Reason::NotFound, "not in table".into()));
    let (reason, message) = refusal(live.route_delete(delete(SERVICE, Some("192.0.2.99"))));
    assert_eq!(reason, Reason::NotFound);
    assert!(message.contains("192.0.2.11"), "{message}");
    let (reason, _) = refusal(live.route_delete(delete(SERVICE, None)));
    assert_eq!(reason, Reason::Ambiguous);
    let (reason, _) = refusal(live.route_delete(delete("192.0.2.0/24", None)));
    assert_eq!(reason, Reason::Invalid);
    assert_eq!(live.routes(None.into(), None, 100), before);
}

#[test]
fn paths_that_do_not_go_together_are_refused() {
    let of = |kind| PathSpec {
        kind,
        ..PathSpec::default()
    };
    let weighted = PathSpec {
        weight: Some(2),
        ..of(PathKind::Blackhole)
    };
    let wrong = [
        vec![],
        vec![of(PathKind::Blackhole), via("192.0.2.11", None)],
        vec![of(PathKind::Interface)],
        vec![of(PathKind::Gateway)],
        vec![of(PathKind::Local)],
        vec![weighted],
    ];
    let net = prefix("10.0.0.0/8");
    for paths in wrong {
        assert!(spec_of(net, &paths, None).is_err(), "{paths:?}");
    }
    spec_of(net, &[of(PathKind::Blackhole)], None).unwrap();
}

#[test]
fn routes_are_listed_by_family_and_go_on_behind_the_last() {
    let mut rig = rig();
    let live = &mut rig.live;
    live.route_add(add(SERVICE, &["192.0.2.11"])).unwrap();
    live.route_add(add("2001:db8:113::10/128", &["fd00:2::11"]))
        .unwrap();
    let all = live.routes(None.into(), None, 100);
    let mut pages: Vec<wire::route::Route> = Vec::new();
    while pages.len() < all.len() {
        let page = live.routes(None.into(), pages.last().map(|route| route.destination), 2);
        assert!(!page.is_empty() && page.len() <= 2);
        pages.extend(page);
    }
    assert_eq!(pages, all);
    for family in [Family::Inet, Family::Inet6] {
        let mut wanted = all.clone();
        wanted.retain(|route| Family::of(route.destination.addr()) == family);
        assert!(wanted.len() >= 3);
        assert_eq!(live.routes(Some(family).into(), None, 100), wanted);
        let behind = live.routes(Some(family).into(), Some(wanted[0].destination), 100);
        assert_eq!(behind, wanted[1..]);
    }
    assert_eq!(all.iter().filter(|route| route.is_static).count(), 2);
}

#[test]
fn a_flush_deletes_what_an_operator_made_and_monitors_are_told() {
    let mut rig = rig();
    let live = &mut rig.live;
    let connected = live.routes(None.into(), None, 100);
    live.route_add(add(SERVICE, &["192.0.2.11", "192.0.2.12"]))
        .unwrap();
    live.route_add(add("2001:db8::/32", &["fd00:2::11"]))
        .unwrap();
    let mut news = Vec::new();
    live.poll(&mut news);
    assert!(matches!(news[0], News::RouteAdded(_)), "{news:?}");
    assert_eq!(
        live.route_flush(Some(Family::Inet6).into(), 10)
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        live.route_flush(None.into(), 10).unwrap().len(),
        2,
        "one for each gateway"
    );
    assert!(live.route_flush(None.into(), 10).unwrap().is_empty());
    assert_eq!(live.routes(None.into(), None, 100), connected);
    news.clear();
    live.poll(&mut news);
    let gone = |news: &News| matches!(news, News::RouteDeleted(_));
    assert!(news.iter().any(gone), "{news:?}");
}
