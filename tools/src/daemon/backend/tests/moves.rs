//! A plan over a gateway that runs, and what is told after the change.

use super::*;
use crate::server::Order;
use crate::wire::moves::Changed;
use crate::wire::moves::RouteChanged;
use crate::wire::route::RouteFamily;

/// What a change would do, as a client's thread finds it out.
fn plan(rig: &mut Rig, order: Order) -> Answer<RouteChanged> {
    let mut foreseen = rig.live.foresee(order)?(&mut |_| Ok(None))?;
    let prefix = foreseen.prefix().unwrap();
    let longer = rig.live.routes_within(prefix, None, 100);
    foreseen.exclude(&longer);
    foreseen.look();
    foreseen.measure();
    match foreseen.plan() {
        Changed::Route(changed) => Ok(changed),
        Changed::Group(_) => panic!("of a route"),
    }
}

#[test]
fn a_plan_names_the_flow_that_would_move_and_the_change_that_moved_it_is_remembered() {
    let (mut rig, flow) = rig_with_a_flow();
    let before = rig.live.routes(RouteFamily::default(), None, 100);
    let add = add("203.0.113.0/24", &["192.0.2.12", "192.0.2.13"]);
    let added = plan(&mut rig, Order::Add(add.clone())).unwrap();
    let told = added.plan.unwrap();
    assert_eq!(
        (told.flows, told.staying),
        (0, 0),
        "the service's own route is longer"
    );
    assert_eq!(added.done.paths[1].nexthop, 0, "nobody's place");
    rig.live.route_delete(delete(SERVICE, None)).unwrap();
    rig.live
        .route_add(super::add(SERVICE, &["192.0.2.11"]))
        .unwrap();
    assert_eq!(
        rig.live.routes(RouteFamily::default(), None, 100).len(),
        before.len()
    );

    let nowhere = plan(&mut rig, Order::Delete(delete(SERVICE, None))).unwrap();
    let told = nowhere.plan.unwrap();
    // Deleting ended the next hop that it is pinned to: it leaves that whatever is done.
    assert_eq!(
        (told.flows, told.already_due, told.clients),
        (0, 1, 0),
        "{flow:?}"
    );
    let (reason, _) = refusal(plan(
        &mut rig,
        Order::Add(super::add(SERVICE, &["192.0.2.11"])),
    ));
    assert_eq!(reason, Reason::AlreadyExists);
}

#[test]
fn a_change_is_followed_until_its_flows_have_moved_or_ended() {
    let (mut rig, flow) = rig_with_a_flow();
    rig.live
        .route_add(add("203.0.113.0/24", &["192.0.2.12"]))
        .unwrap();
    let order = Order::Delete(delete(SERVICE, None));
    let told = plan(&mut rig, order.clone()).unwrap().plan.unwrap();
    assert_eq!((told.flows, told.clients, told.sampled), (1, 1, 1));
    let only = &told.moves[0];
    assert_eq!(only.from.as_ref().unwrap().name(), "192.0.2.11");
    assert_eq!(
        (only.to.as_ref().unwrap().name(), &*only.reason),
        ("192.0.2.12".into(), "policy")
    );

    let mut foreseen = rig.live.foresee(order).unwrap()(&mut |_| Ok(None)).unwrap();
    assert!(!foreseen.moves_nothing());
    foreseen.look();
    rig.live.route_delete(delete(SERVICE, None)).unwrap();
    let moves = foreseen.follow(rig.live.obeyed(), 17);
    assert_eq!(
        (moves.change, moves.time, moves.due, moves.left),
        (1, 17, 1, 1)
    );
    let followed = |rig: &mut Rig| {
        let status = rig.live.status()();
        let of = |table: &&wire::stats::Table| table.name == "followed-flows";
        status.tables.iter().find(of).unwrap().used
    };
    assert_eq!(followed(&mut rig), 1);
    let pending = rig.live.flow_flush(FlowFilter::default());
    until(&mut rig, |_| pending.try_recv().ok()).unwrap();
    let seen = rig.live.route_moves()();
    assert_eq!(
        (seen[0].moved, seen[0].expired, seen[0].left),
        (0, 1, 0),
        "{flow:?}"
    );
    assert_eq!(seen[0].destination, Some(prefix(SERVICE)));
    assert_eq!(followed(&mut rig), 0);
}

#[test]
fn a_drain_that_comes_to_its_deadline_is_remembered_as_a_change() {
    let (mut rig, flow) = rig_with_a_flow();
    let change = RouteChange {
        fib: 0,
        destination: prefix(SERVICE),
        paths: vec![via("192.0.2.11", Some(0))],
        deadline: Some(1),
        options: Default::default(),
        mtu: None,
    };
    rig.live.route_add(add(SERVICE, &["192.0.2.12"])).unwrap();
    rig.live.route_change(change).unwrap();
    let seen = until(&mut rig, |rig| rig.live.route_moves()().pop());
    assert_eq!(
        (&*seen.order, seen.destination, seen.due, seen.left),
        ("deadline", Some(prefix(SERVICE)), 1, 1),
        "{flow:?}"
    );
    assert_eq!(seen.moves[0].reason, "deadline");
}
