//! Before and after a change of a route: the plan is what happens, flow by flow, and nothing else happens.

use flowgate_tests::net::watch::{FlowId, Watch};
use flowgate_tests::net::{BOTH, Scene, service};
use flowgate_tests::rack::{Family, server_addr};
use flowgate_tests::sim::ip;
use route::{Failback, GroupNo, OptionsAsked, Selection};
use stack::control::{
    ControlError, Forecast, GatewaySpec, GroupOrder, LoggedMoves, MoveLog, MovePlan, MoveWhy,
    PathKind, RouteOrder, RouteSpec, Subject,
};
use stack::fate::{DropReason, MoveReason};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

const SERVERS: usize = 5;

fn spec(prefix: &str, kind: PathKind) -> RouteSpec {
    RouteSpec {
        prefix: prefix.parse().expect("a prefix"),
        kind,
        mtu: None,
        deadline_s: None,
        options: OptionsAsked::default(),
    }
}

/// These servers with these weights, of the prefix's family.
fn via(prefix: &str, members: &[(usize, u32)]) -> RouteSpec {
    let family = if prefix.contains(':') {
        Family::V6
    } else {
        Family::V4
    };
    let gateway = |(server, weight): &(usize, u32)| GatewaySpec {
        addr: server_addr(*server, family),
        weight: Some(*weight),
        port: None,
        recursive: false,
    };
    spec(
        prefix,
        PathKind::Gateways(members.iter().map(gateway).collect()),
    )
}

fn evenly(prefix: &str, servers: &[usize]) -> RouteSpec {
    let members: Vec<_> = servers.iter().map(|s| (*s, 1)).collect();
    via(prefix, &members)
}

fn delete(prefix: &str, server: Option<usize>) -> RouteOrder {
    let family = if prefix.contains(':') {
        Family::V6
    } else {
        Family::V4
    };
    RouteOrder::Delete {
        prefix: prefix.parse().expect("a prefix"),
        gateway: server.map(|s| server_addr(s, family)),
        iface: None,
    }
}

/// A change of a route or of a group.
#[derive(Clone, Copy, Debug)]
enum Order<'a> {
    Route(&'a RouteOrder),
    Group(&'a GroupOrder),
}

impl<'a> From<&'a RouteOrder> for Order<'a> {
    fn from(order: &'a RouteOrder) -> Self {
        Self::Route(order)
    }
}

impl<'a> From<&'a GroupOrder> for Order<'a> {
    fn from(order: &'a GroupOrder) -> Self {
        Self::Group(order)
    }
}

/// The server that has an address.
fn server_of(addr: IpAddr) -> Place {
    (0..SERVERS).find(|server| BOTH.iter().any(|f| server_addr(*server, *f) == addr))
}

/// Where a flow's packets go: to a server, or nowhere.
type Place = Option<usize>;

/// A scene, flows in it, and where each is pinned and goes.
struct Theatre {
    scene: Scene,
    flows: Vec<FlowId>,
    pins: Vec<Place>,
    now_at: Vec<Place>,
    log: MoveLog,
}

impl Theatre {
    fn new(seed: u64, flows: Vec<FlowId>, routes: &[RouteSpec]) -> Self {
        let mut theatre = Self {
            scene: Scene::without_routes(SERVERS, Scene::setup(2), seed),
            pins: vec![None; flows.len()],
            now_at: vec![None; flows.len()],
            flows,
            log: MoveLog::default(),
        };
        for route in routes {
            theatre
                .commit(&RouteOrder::Add(route.clone()))
                .expect("a route");
        }
        theatre.send_all();
        theatre
    }

    fn forecast<'a>(&mut self, order: impl Into<Order<'a>>) -> Result<Forecast, String> {
        let now = self.scene.net.sim.now;
        let control = &mut self.scene.net.sim.gateway.control;
        let foresight = match order.into() {
            Order::Route(order) => control.foresee(order, now),
            Order::Group(order) => control.foresee_group(order, now),
        };
        let mut foresight = foresight.map_err(|e| e.to_string())?;
        while let Some(group) = foresight.wants() {
            control
                .group_sketch(group)
                .into_iter()
                .for_each(|copy| foresight.include(copy));
        }
        let mut forecast = foresight.try_out().map_err(|e| e.to_string())?;
        let mut after = None;
        while let Some(prefix) = forecast.subject().prefix() {
            let longer = control.routes_within(prefix, after, 3);
            forecast.exclude(&longer);
            after = longer.last().copied();
            if after.is_none() {
                break;
            }
        }
        forecast.look(now);
        Ok(forecast)
    }

    fn plan<'a>(&mut self, order: impl Into<Order<'a>>) -> MovePlan {
        self.forecast(order).expect("a plan").plan()
    }

    fn commit<'a>(&mut self, order: impl Into<Order<'a>>) -> Result<(), String> {
        let done = match order.into() {
            Order::Route(order) => self.commit_route(order),
            Order::Group(order) => self.commit_group(order),
        };
        // A new next hop's address has to be found.
        self.scene.net.run_for(50);
        done.map_err(|e| e.to_string())
    }

    fn commit_group(&mut self, order: &GroupOrder) -> Result<(), ControlError> {
        let now = self.scene.net.sim.now;
        let gw = &mut self.scene.net.sim.gateway;
        let (control, host) = (&mut gw.control, &mut gw.host);
        let done = match order {
            GroupOrder::Add(number, spec) => control.group_add(*number, spec, host, now),
            GroupOrder::Change(number, spec) => control.group_change(*number, spec, host, now),
            GroupOrder::Delete(number, which) => {
                control.group_delete(*number, which.as_ref(), host, now)
            }
        };
        done.map(|_| ())
    }

    fn commit_route(&mut self, order: &RouteOrder) -> Result<(), ControlError> {
        let now = self.scene.net.sim.now;
        let gw = &mut self.scene.net.sim.gateway;
        let done = match order {
            RouteOrder::Add(spec) => gw.control.route_add(spec, &mut gw.host, now),
            RouteOrder::Change(spec) => gw.control.route_change(spec, &mut gw.host, now),
            RouteOrder::Delete {
                prefix,
                gateway,
                iface,
            } => gw
                .control
                .route_delete(*prefix, *gateway, iface.as_deref(), &mut gw.host, now),
        };
        done.map(|_| ())
    }

    /// Sends a packet of each flow and sees where it goes.
    fn send_all(&mut self) {
        self.scene.net.watch = Watch::default();
        let flows = self.flows.clone();
        flows.iter().for_each(|flow| self.scene.send_udp(flow));
        self.scene.net.run_until_idle(10_000);
        let watch = &self.scene.net.watch;
        self.now_at = self.flows.iter().map(|flow| watch.host_of(flow)).collect();
        for (pin, at) in self.pins.iter_mut().zip(&self.now_at) {
            *pin = at.or(*pin);
        }
    }

    fn moved(&self) -> u64 {
        self.scene.net.totals().moved.iter().sum()
    }

    /// Foresees a change, makes it, and holds what happens against the plan. Returns the plan.
    fn play<'a>(&mut self, order: impl Into<Order<'a>>, context: &str) -> Result<MovePlan, String> {
        let order = order.into();
        let forecast = self.forecast(order);
        let (pins, were_at, moved) = (self.pins.clone(), self.now_at.clone(), self.moved());
        let made = self.commit(order);
        let forecast = match (forecast, made) {
            (Ok(forecast), Ok(())) => forecast,
            (Err(foreseen), Err(told)) => {
                assert_eq!(foreseen, told, "{context}");
                return Err(told);
            }
            (forecast, made) => panic!("{context}: {:?} is not {made:?}", forecast.map(|_| ())),
        };
        let plan = forecast.plan();
        if forecast.moves_nothing() {
            assert_eq!(plan.flows, 0, "{context}");
        }
        let obeyed = self.scene.net.sim.gateway.control.obeyed();
        let now = self.scene.net.sim.now;
        let subject = forecast.subject();
        self.scene.net.settle();
        let start = self
            .log
            .add("test", subject, 7, forecast.follow(obeyed), now);
        assert_eq!(sums(&start), (plan.flows, 0, 0, plan.flows), "{context}");
        self.send_all();

        let (mut want, mut unseen) = (Moves::new(), Moves::new());
        for i in 0..self.flows.len() {
            let (pin, was, is) = (pins[i], were_at[i], self.now_at[i]);
            if was.is_none() && is.is_some() && is == pin {
                // The same server, perhaps as another next hop: a move that cannot be seen from outside.
                *unseen.entry((None, is)).or_default() += 1;
                continue;
            }
            let moves = is.is_some() && is != pin;
            let ends = is.is_none() && was.is_some();
            if moves || ends {
                *want.entry((pin, is)).or_default() += 1;
            }
        }
        let mut told = Moves::new();
        for row in &plan.rows {
            let server = |key: Option<route::NhopKey>| key?.gateway.and_then(server_of);
            assert_eq!(row.to.is_some(), row.why.moves(), "{context}");
            let (from, to) = (server(row.from), server(row.to));
            // By its address of the other family the same server is another next hop: not seen from outside.
            if from.is_none() || from != to {
                *told.entry((from, to)).or_default() += row.flows;
            }
        }
        if were_at.contains(&None) {
            // Whom a flow that was lost had been with may be no more.
            (told, want) = (without_from(told), without_from(want));
        }
        for (way, most) in unseen {
            let seen = want.entry(way).or_default();
            *seen += told
                .get(&way)
                .map_or(0, |told| told.saturating_sub(*seen).min(most));
        }
        want.retain(|_, flows| *flows > 0);
        assert_eq!(told, want, "{context}: {order:?}");
        let moves = plan.rows.iter().filter(|row| row.why.moves());
        let moves: u64 = moves.map(|row| row.flows).sum();
        assert_eq!(self.moved() - moved, moves, "{context}: counted");
        let end = self
            .log
            .look(self.scene.net.sim.now)
            .pop()
            .expect("a change");
        assert_eq!(
            sums(&end),
            (plan.flows, plan.flows, 0, 0),
            "{context}: followed"
        );
        assert_eq!(self.log.followed(), 0, "{context}");
        Ok(plan)
    }

    fn change(&mut self, spec: RouteSpec) -> MovePlan {
        self.play(&RouteOrder::Change(spec), "change")
            .expect("a change")
    }

    fn add(&mut self, spec: RouteSpec) -> MovePlan {
        self.play(&RouteOrder::Add(spec), "add").expect("an add")
    }

    fn delete(&mut self, prefix: &str, server: Option<usize>) -> MovePlan {
        self.play(&delete(prefix, server), "delete")
            .expect("a delete")
    }
}

/// How many flows go from where to where.
type Moves = BTreeMap<(Place, Place), u64>;

fn without_from(moves: Moves) -> Moves {
    let mut merged = Moves::new();
    for ((_, to), flows) in moves {
        *merged.entry((None, to)).or_default() += flows;
    }
    merged
}

/// Due, moved, expired, left.
fn sums(seen: &LoggedMoves) -> (u64, u64, u64, u64) {
    let sum = |of: fn(&stack::control::Followed) -> u64| seen.rows.iter().map(of).sum();
    assert_eq!(seen.unfollowed, 0);
    (
        sum(|r| r.due),
        sum(|r| r.moved),
        sum(|r| r.expired),
        sum(|r| r.left()),
    )
}

fn why(plan: &MovePlan) -> Vec<MoveWhy> {
    let mut all: Vec<_> = plan.rows.iter().map(|row| row.why).collect();
    all.sort_unstable();
    all.dedup();
    all
}

const POLICY: MoveWhy = MoveWhy::Moved(MoveReason::Policy);

/// The service's prefix in a family.
fn host(family: Family) -> String {
    let addr = service(family, 0).ip();
    format!("{addr}/{}", if addr.is_ipv4() { 32 } else { 128 })
}

/// 150 flows of each family to the service.
fn theatre(seed: u64, servers: &[usize]) -> Theatre {
    let routes: Vec<RouteSpec> = BOTH.iter().map(|f| evenly(&host(*f), servers)).collect();
    Theatre::new(seed, Scene::udp_flows(0, 150), &routes)
}

#[test]
fn a_member_that_goes_takes_its_own_flows_and_one_that_comes_none() {
    let mut t = theatre(700, &[0, 1, 2, 3]);
    for family in BOTH {
        let host = host(family);
        let with_3 = (0..t.flows.len())
            .filter(|i| {
                t.pins[*i] == Some(3) && t.flows[*i].dst.is_ipv4() == (family == Family::V4)
            })
            .count() as u64;
        let plan = t.delete(&host, Some(3));
        assert_eq!(
            (plan.flows, plan.clients, plan.sampled),
            (with_3, with_3, with_3)
        );
        assert_eq!((plan.staying, plan.already_due), (150 - with_3, 0));
        assert!(
            with_3 > 15 && plan.rows.len() == 3 && why(&plan) == [POLICY],
            "{plan:?}"
        );
        let plan = t.add(evenly(&host, &[3]));
        assert_eq!((plan.flows, plan.staying), (0, 150));
        let plan = t.change(via(&host, &[(0, 9)]));
        assert_eq!((plan.flows, plan.staying), (0, 150));
        let drain = RouteSpec {
            deadline_s: Some(600),
            ..via(&host, &[(1, 0)])
        };
        assert_eq!(t.change(drain).flows, 0, "a drain moves nobody");
        assert_eq!(t.change(via(&host, &[(1, 0)])).flows, 0);
        let plan = t.change(evenly(&host, &[2, 4]));
        assert!(plan.flows > 30 && plan.staying > 15 && why(&plan) == [POLICY]);
    }
    t.scene.net.assert_drops(&[]);
    t.scene.finish();
}

#[test]
fn routes_above_and_below_take_and_give_back_what_no_longer_one_has() {
    let to = |i: u32| FlowId {
        proto: 17,
        src: SocketAddr::new(ip(&format!("10.3.{}.{}", i / 100, i % 100 + 1)), 3000),
        dst: SocketAddr::new(ip(&format!("198.51.100.{}", i % 200)), 53),
    };
    let routes = [
        evenly("198.51.100.0/24", &[0, 1]),
        // Shares its group.
        evenly("198.51.100.64/26", &[0, 1]),
        evenly("198.51.100.7/32", &[2]),
    ];
    let mut t = Theatre::new(701, (0..200).map(to).collect(), &routes);
    let plan = t.change(evenly("198.51.100.0/24", &[1, 3]));
    let concerned = (200 - 64 - 1) as u64;
    assert_eq!(plan.flows + plan.staying, concerned, "{plan:?}");
    assert!(plan.flows > 30 && plan.staying > 30);
    let plan = t.add(evenly("198.51.100.0/28", &[4]));
    assert_eq!(
        (plan.flows, plan.staying),
        (15, 0),
        "without the host route's"
    );
    assert_eq!(
        t.add(spec("198.51.100.128/25", PathKind::Blackhole)).flows,
        72
    );
    let plan = t.delete("198.51.100.128/25", None);
    // What a blackhole swallows keeps its pin, and goes on by it.
    assert_eq!((plan.flows, plan.already_due), (0, 72));
    let plan = t.delete("198.51.100.0/28", None);
    assert_eq!(plan.flows + plan.staying, 15);
    assert_eq!(t.delete("198.51.100.7/32", None).flows, 1);
    let plan = t.change(spec("198.51.100.64/26", PathKind::Reject));
    assert_eq!(
        (plan.flows, why(&plan)),
        (64, vec![MoveWhy::Lost(DropReason::Reject)])
    );
    t.play(&delete("198.51.100.0/24", Some(1)), "one of two")
        .expect("a delete");
    let plan = t.delete("198.51.100.0/24", None);
    assert_eq!(
        (plan.flows, why(&plan)),
        (136, vec![MoveWhy::Lost(DropReason::NoRoute)])
    );
    let plan = t.add(evenly("198.51.0.0/16", &[2]));
    assert_eq!(
        (plan.flows, why(&plan)),
        (136, vec![POLICY]),
        "found a way again: {plan:?}"
    );
    t.scene.finish();
}

#[test]
fn what_moves_for_another_cause_is_told_apart_and_what_stays_silent_expires() {
    let mut t = theatre(702, &[0, 1, 2]);
    let host = host(Family::V4);
    t.flows.truncate(150);
    let of =
        |t: &Theatre, server| t.pins[..150].iter().filter(|p| **p == Some(server)).count() as u64;
    let (with_0, with_1) = (of(&t, 0), of(&t, 1));
    t.scene.declare(1, true);
    let plan = t.plan(&delete(&host, Some(0)));
    assert_eq!((plan.flows, plan.already_due), (with_0, with_1));
    let plan = t.plan(&delete(&host, Some(1)));
    assert_eq!(
        (plan.flows, plan.already_due),
        (0, with_1),
        "the dead one's would move anyway"
    );

    let forecast = t.forecast(&delete(&host, Some(0))).expect("a plan");
    t.commit(&delete(&host, Some(0))).expect("a delete");
    let obeyed = t.scene.net.sim.gateway.control.obeyed();
    let (now, subject) = (t.scene.net.sim.now, forecast.subject());
    t.log
        .add("delete", subject, 1, forecast.follow(obeyed), now);
    t.scene.net.step_ms = 10_000;
    t.scene.net.run_for(500_000);
    let end = t.log.look(t.scene.net.sim.now).pop().expect("a change");
    assert_eq!(sums(&end), (with_0, 0, with_0, 0), "expired unmoved");
    t.scene.finish();
}

#[test]
fn flows_that_are_called_back_are_not_the_change_s() {
    let mut t = theatre(705, &[0, 1, 2]);
    let host = host(Family::V4);
    let calling = RouteSpec {
        options: OptionsAsked {
            failback: Some(Failback::Return),
            ..OptionsAsked::default()
        },
        ..evenly(&host, &[0, 1, 2])
    };
    t.change(calling);
    t.scene.declare(1, true);
    t.send_all();
    t.scene.declare(1, false);
    let order = delete(&host, Some(0));
    let plan = t.plan(&order);
    t.send_all();
    let failed_back = t.scene.net.totals().moved_for(MoveReason::Failback);
    assert!(
        failed_back > 20 && plan.already_due == failed_back,
        "{plan:?}"
    );
    let plan = t.play(&order, "once they are back").expect("a delete");
    assert_eq!((plan.already_due, plan.flows > 20), (0, true), "{plan:?}");
    t.scene.finish();
}

#[test]
fn flows_whose_next_hop_comes_back_in_time_have_stayed() {
    let mut t = theatre(703, &[0, 1, 2]);
    let host = host(Family::V4);
    // Elsewhere it goes on, so that it is the same next hop when it comes back.
    t.add(evenly("198.51.100.0/24", &[0]));
    let order = delete(&host, Some(0));
    let forecast = t.forecast(&order).expect("a plan");
    let due = forecast.due();
    t.commit(&order).expect("a delete");
    let obeyed = t.scene.net.sim.gateway.control.obeyed();
    t.scene.net.settle();
    let now = t.scene.net.sim.now;
    let subject = forecast.subject();
    t.log
        .add("delete", subject, 1, forecast.follow(obeyed), now);
    t.commit(&RouteOrder::Add(evenly(&host, &[0])))
        .expect("an add");
    t.send_all();
    let end = t.log.look(t.scene.net.sim.now).pop().expect("a change");
    let stayed: u64 = end.rows.iter().map(|row| row.stayed).sum();
    assert!(due > 20 && stayed == due, "{end:?}");
    t.scene.net.assert_moves(&[]);
    t.scene.finish();
}

#[test]
fn rates_are_what_was_sent_between_two_looks() {
    let mut t = theatre(704, &[0, 1]);
    let order = delete(&host(Family::V4), Some(1));
    let mut forecast = t.forecast(&order).expect("a plan");
    assert_eq!(forecast.plan().bytes_per_s, None);
    // 12 bytes of text with UDP's and IPv4's headers; the counter's unit is 16 bytes.
    (0..16).for_each(|_| t.send_all());
    forecast.measure(500, t.scene.net.sim.now);
    let plan = forecast.plan();
    assert_eq!(plan.bytes_per_s, Some(plan.flows * 16 * 40 * 2), "{plan:?}");
    t.scene.finish();
}

#[test]
fn packets_of_a_changed_route_are_judged_by_what_it_tells_flows_apart() {
    for (seed, way) in (710..).zip(Selection::ALL) {
        let mut t = theatre(seed, &[0, 1, 2]);
        for family in BOTH {
            let selecting = RouteSpec {
                options: way.into(),
                ..evenly(&host(family), &[0, 1, 2])
            };
            assert_eq!(t.change(selecting).flows, 0, "{way:?}");
            assert!(t.delete(&host(family), Some(2)).flows > 20, "{way:?}");
        }
        t.scene.finish();
    }
}

/// A change of one of a few routes that lie in each other.
fn any_order(rng: &mut fastrand::Rng) -> RouteOrder {
    let prefixes = [
        "203.0.113.10/32",
        "203.0.113.0/24",
        "203.0.0.0/16",
        "0.0.0.0/0",
        "2001:db8:113::10/128",
        "2001:db8::/32",
        "::/0",
    ];
    let prefix = prefixes[rng.usize(..prefixes.len())];
    let mut servers: Vec<usize> = (0..SERVERS).collect();
    rng.shuffle(&mut servers);
    servers.truncate(rng.usize(1..4));
    let members: Vec<(usize, u32)> = servers.iter().map(|s| (*s, rng.u32(1..4))).collect();
    let failback = rng
        .bool()
        .then(|| [Failback::Stay, Failback::Return][rng.usize(..2)]);
    let options = OptionsAsked {
        failback,
        ..OptionsAsked::default()
    };
    let changed = RouteSpec {
        options,
        ..via(prefix, &members)
    };
    match rng.u8(0..12) {
        0..=3 => RouteOrder::Add(via(prefix, &members)),
        4 | 5 => RouteOrder::Change(changed),
        6 => RouteOrder::Change(via(prefix, &[(servers[0], rng.u32(0..3))])),
        7 => RouteOrder::Change(spec(prefix, PathKind::Blackhole)),
        8 => RouteOrder::Add(spec(prefix, PathKind::Reject)),
        9 => delete(prefix, None),
        _ => delete(prefix, Some(servers[0])),
    }
}

#[test]
fn whatever_is_changed_the_plan_is_what_happens() {
    let mut moved = 0;
    for seed in 720..728 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let routes = [
            evenly("0.0.0.0/0", &[0, 1]),
            evenly("::/0", &[0, 1]),
            evenly("203.0.113.0/24", &[0, 1, 2]),
            evenly("2001:db8::/32", &[2, 3, 4]),
        ];
        let mut t = Theatre::new(seed, Scene::udp_flows(0, 60), &routes);
        for step in 0..60 {
            if rng.u8(..4) == 0 {
                // Everyone who is sent away by it is gone when the next change is foreseen.
                let server = rng.usize(..SERVERS);
                for family in BOTH {
                    let (now, addr) = (t.scene.net.sim.now, server_addr(server, family));
                    let control = &mut t.scene.net.sim.gateway.control;
                    let _ = control.set_gateway_down(addr, rng.bool(), now);
                }
                t.scene.net.settle();
                t.send_all();
            }
            let order = any_order(&mut rng);
            let played = t.play(&order, &format!("seed {seed} step {step}"));
            moved += played.map_or(0, |plan| plan.flows);
        }
        t.scene.finish();
    }
    assert!(moved > 1000, "{moved} moves were foreseen");
}

/// Members of a group: by their IPv6 addresses, so that routes of both families may name it.
fn of_group(number: GroupNo, members: &[(usize, u32)]) -> RouteSpec {
    let options = OptionsAsked {
        group: Some(number),
        ..OptionsAsked::default()
    };
    RouteSpec {
        prefix: "0.0.0.0/0".parse().expect("a prefix"),
        options,
        ..via("::/0", members)
    }
}

/// A route that leaves its members to a group.
fn naming(prefix: &str, number: GroupNo) -> RouteSpec {
    RouteSpec {
        prefix: prefix.parse().expect("a prefix"),
        ..of_group(number, &[])
    }
}

/// Routes of both families that name groups 7 and 8, some inside others.
fn with_groups(seed: u64) -> Theatre {
    let mut t = Theatre::new(seed, Scene::udp_flows(0, 60), &[]);
    for (number, members) in [(7, [(0, 1), (1, 1), (2, 1)]), (8, [(2, 1), (3, 2), (4, 1)])] {
        let order = GroupOrder::Add(GroupNo(number), of_group(GroupNo(number), &members));
        t.commit(&order).expect("a group");
    }
    for (prefix, number) in [
        ("203.0.113.0/24", 7),
        ("0.0.0.0/0", 8),
        ("2001:db8::/32", 8),
        ("2001:db8:113::/48", 7),
    ] {
        t.commit(&RouteOrder::Add(naming(prefix, GroupNo(number))))
            .expect("a route");
    }
    t.send_all();
    t
}

#[test]
fn what_a_change_of_a_group_moves_is_foreseen_for_all_its_routes_and_for_no_others() {
    let mut t = with_groups(740);
    let number = GroupNo(7);
    let with_1 = t.pins.iter().filter(|pin| **pin == Some(1)).count() as u64;
    let member = route::NhopKeyMatch {
        gateway: Some(server_addr(1, Family::V6)),
        port: None,
    };
    let order = GroupOrder::Delete(number, Some(member));
    let plan = t.play(&order, "delete").expect("a member goes");
    assert!(with_1 > 10, "{with_1}");
    assert_eq!((plan.flows, plan.staying), (with_1, 120 - with_1));
    assert_eq!(why(&plan), [POLICY]);
    let order = GroupOrder::Change(number, of_group(number, &[(0, 5)]));
    let plan = t.play(&order, "a weight").expect("a weight");
    assert_eq!((plan.flows, plan.staying), (0, 120));
    let order = GroupOrder::Add(number, of_group(number, &[(4, 1)]));
    assert_eq!(t.play(&order, "add").expect("a member comes").flows, 0);
    // Group 8 has routes, but no flow goes by them.
    let order = GroupOrder::Change(GroupNo(8), of_group(GroupNo(8), &[(0, 1)]));
    let plan = t.play(&order, "another").expect("a change");
    assert_eq!((plan.flows, plan.staying), (0, 0));
    let refused = t.play(&GroupOrder::Delete(number, None), "in use");
    let refused = refused.expect_err("routes name it");
    assert!(refused.contains('2'), "{refused}");
    let made = GroupOrder::Add(GroupNo(9), of_group(GroupNo(9), &[(0, 1), (1, 1)]));
    assert_eq!(t.play(&made, "a new one").expect("a group").flows, 0);
    t.scene.finish();
}

/// A change of a group, or of a route that names one.
fn any_group_order(t: &mut Theatre, rng: &mut fastrand::Rng, at: &str) -> Result<MovePlan, String> {
    let number = GroupNo(rng.u32(7..10));
    let mut servers: Vec<usize> = (0..SERVERS).collect();
    rng.shuffle(&mut servers);
    servers.truncate(rng.usize(1..4));
    let members: Vec<(usize, u32)> = servers.iter().map(|s| (*s, rng.u32(1..4))).collect();
    let weight = (servers[0], rng.u32(0..3));
    let prefix = [
        "203.0.113.0/24",
        "0.0.0.0/0",
        "2001:db8::/32",
        "2001:db8:113::/48",
    ];
    let prefix = prefix[rng.usize(..4)];
    let which = route::NhopKeyMatch {
        gateway: Some(server_addr(servers[0], Family::V6)),
        port: None,
    };
    let failback = [Failback::Stay, Failback::Return][rng.usize(..2)];
    let mut calling = of_group(number, &[]);
    calling.options.failback = Some(failback);
    let order = match rng.u8(0..12) {
        0 | 1 => GroupOrder::Add(number, of_group(number, &members[..1])),
        2..=4 => GroupOrder::Change(number, of_group(number, &members)),
        5 | 6 => GroupOrder::Change(number, of_group(number, &[weight])),
        7 => GroupOrder::Change(number, calling),
        8 => GroupOrder::Delete(number, Some(which)),
        9 => GroupOrder::Delete(number, None),
        10 => return t.play(&RouteOrder::Change(naming(prefix, number)), at),
        _ => return t.play(&RouteOrder::Change(evenly(prefix, &servers)), at),
    };
    t.play(&order, at)
}

#[test]
fn whatever_is_changed_of_groups_the_plan_is_what_happens() {
    let (mut moved, mut made) = (0, 0);
    for seed in 741..747 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut t = with_groups(seed);
        for step in 0..60 {
            if rng.u8(..4) == 0 {
                let server = rng.usize(..SERVERS);
                for family in BOTH {
                    let (now, addr) = (t.scene.net.sim.now, server_addr(server, family));
                    let control = &mut t.scene.net.sim.gateway.control;
                    let _ = control.set_gateway_down(addr, rng.bool(), now);
                }
                t.scene.net.settle();
                t.send_all();
            }
            let played = any_group_order(&mut t, &mut rng, &format!("seed {seed} step {step}"));
            made += u32::from(played.is_ok());
            moved += played.map_or(0, |plan| plan.flows);
        }
        t.scene.finish();
    }
    assert!(moved > 500 && made > 100, "{moved} moves, {made} changes");
}

/// Gateways that other routes lead to.
fn far(prefix: &str, gateways: &[String]) -> RouteSpec {
    let gateway = |addr: &String| GatewaySpec {
        addr: ip(addr),
        weight: None,
        port: None,
        recursive: true,
    };
    spec(
        prefix,
        PathKind::Gateways(gateways.iter().map(gateway).collect()),
    )
}

/// Far gateway `n` of a family, and the network that it is in.
fn far_gateway(n: usize, family: Family) -> (String, String) {
    match family {
        Family::V4 => (format!("172.16.{n}.1"), format!("172.16.{n}.0/24")),
        Family::V6 => (format!("fd16:{n}::1"), format!("fd16:{n}::/32")),
    }
}

/// The service and what lies around it by far gateways 0 to 3, each behind the server of its number; 3 is behind 0.
fn with_far_gateways(seed: u64) -> Theatre {
    let mut routes = Vec::new();
    for family in BOTH {
        let at = |n: usize| far_gateway(n, family);
        for n in 0..3 {
            routes.push(evenly(&at(n).1, &[n]));
        }
        routes.push(far(&at(3).1, &[at(0).0]));
        let all: Vec<String> = (0..4).map(|n| at(n).0).collect();
        routes.push(far(&host(family), &all[..3]));
        let around = if family == Family::V4 {
            "203.0.113.0/24"
        } else {
            "2001:db8:113::/48"
        };
        routes.push(far(around, &all[1..]));
    }
    Theatre::new(seed, Scene::udp_flows(0, 60), &routes)
}

impl Theatre {
    /// Foresees a change, makes it, and holds what moved and what was lost against the plan.
    fn play_counts(&mut self, order: &RouteOrder, context: &str) -> Option<MovePlan> {
        let forecast = self.forecast(order);
        let (were_at, moved) = (self.now_at.clone(), self.moved());
        let made = self.commit(order);
        let Ok(forecast) = forecast else {
            assert!(made.is_err(), "{context}");
            return None;
        };
        made.expect(context);
        let plan = forecast.plan();
        let obeyed = self.scene.net.sim.gateway.control.obeyed();
        let (now, subject) = (self.scene.net.sim.now, forecast.subject());
        self.scene.net.settle();
        self.log
            .add("test", subject, 7, forecast.follow(obeyed), now);
        self.send_all();
        let sum = |moves: bool| -> u64 {
            let rows = plan.rows.iter().filter(|row| row.why.moves() == moves);
            rows.map(|row| row.flows).sum()
        };
        assert_eq!(self.moved() - moved, sum(true), "{context}: {plan:?}");
        let lost = were_at.iter().zip(&self.now_at);
        let lost = lost.filter(|(was, is)| was.is_some() && is.is_none());
        assert_eq!(lost.count() as u64, sum(false), "{context}: {plan:?}");
        let end = self.log.look(self.scene.net.sim.now).pop();
        let end = end.expect("a change");
        assert_eq!(
            sums(&end),
            (plan.flows, plan.flows, 0, 0),
            "{context}: {end:?}"
        );
        Some(plan)
    }
}

#[test]
fn who_loses_the_way_to_its_far_gateway_is_foreseen_and_who_gets_it_back() {
    let mut t = with_far_gateways(760);
    for family in BOTH {
        let (of, network) = far_gateway(0, family);
        let mut calling = far(&host(family), &[0, 1, 2].map(|n| far_gateway(n, family).0));
        calling.options.failback = Some(Failback::Return);
        let plan = t.play_counts(&RouteOrder::Change(calling), "failback");
        assert_eq!(plan.expect("a plan").flows, 0);
        let plan = t.play_counts(&delete(&network, None), "no way");
        let plan = plan.expect("a plan");
        assert!(plan.flows > 10, "{of}: {plan:?}");
        assert_eq!(why(&plan), [MoveWhy::Moved(MoveReason::Dead)]);
        let from = |row: &stack::control::MoveRow| row.from.and_then(|key| key.gateway);
        let names: Vec<_> = plan.rows.iter().filter_map(from).collect();
        assert!(names.contains(&ip(&of)), "{plan:?}");
        let plan = t.play_counts(&RouteOrder::Add(evenly(&network, &[4])), "a way");
        let plan = plan.expect("a plan");
        assert!(plan.flows > 10, "{plan:?}");
        assert_eq!(why(&plan), [MoveWhy::Moved(MoveReason::Failback)]);
        // Another way is no move: the pins stay.
        let plan = t.play_counts(&RouteOrder::Change(evenly(&network, &[3])), "another");
        assert_eq!(plan.expect("a plan").flows, 0);
    }
    t.scene.finish();
}

/// A change of a route on the way to far gateways, or of one by them.
fn any_far_order(rng: &mut fastrand::Rng) -> RouteOrder {
    let family = BOTH[rng.usize(..2)];
    let (addr, network) = far_gateway(rng.usize(..4), family);
    let (cover, host_of) = match family {
        Family::V4 => ("172.16.0.0/16", format!("{addr}/32")),
        Family::V6 => ("fd16::/16", format!("{addr}/128")),
    };
    let server = [rng.usize(..SERVERS)];
    let gateways: Vec<String> = (0..4).map(|n| far_gateway(n, family).0).collect();
    let some = rng.usize(1..4);
    match rng.u8(0..14) {
        0..=2 => delete(&network, None),
        3 | 4 => RouteOrder::Add(evenly(&network, &server)),
        5 => RouteOrder::Change(evenly(&network, &server)),
        6 => RouteOrder::Change(spec(&network, PathKind::Blackhole)),
        7 => RouteOrder::Change(far(&network, &gateways[..1])),
        8 => RouteOrder::Add(evenly(cover, &server)),
        9 => delete(cover, None),
        10 => RouteOrder::Add(spec(&host_of, PathKind::Blackhole)),
        11 => delete(&host_of, None),
        12 => RouteOrder::Change(far(&host(family), &gateways[..some])),
        _ => {
            let mut calling = far(&host(family), &gateways[..some]);
            calling.options.failback = Some([Failback::Stay, Failback::Return][rng.usize(..2)]);
            RouteOrder::Change(calling)
        }
    }
}

#[test]
fn whatever_changes_on_the_way_to_far_gateways_the_plan_is_what_happens() {
    let mut moved = 0;
    for seed in 761..769 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut t = with_far_gateways(seed);
        for step in 0..60 {
            let order = any_far_order(&mut rng);
            let at = format!("seed {seed} step {step} {order:?}");
            moved += t.play_counts(&order, &at).map_or(0, |plan| plan.flows);
        }
        t.scene.finish();
    }
    assert!(moved > 500, "{moved} moves were foreseen");
}

impl Theatre {
    /// Foresees what a drain moves that ends in so many seconds, lets it end, and holds what moved against it.
    fn end(&mut self, subject: Subject, seconds: u32, context: &str) -> MovePlan {
        let now = self.scene.net.sim.now;
        let control = &mut self.scene.net.sim.gateway.control;
        let by = now.secs().after(seconds + 2);
        let mut endings = control.endings(by).into_iter();
        let at = endings.find(|(_, of)| *of == subject).expect(context).0;
        let foresight = control.foresee_ending(subject, at, now);
        let mut foresight = foresight.expect(context);
        while let Some(group) = foresight.wants() {
            let copy = control.group_sketch(group);
            copy.into_iter().for_each(|copy| foresight.include(copy));
        }
        let mut forecast = foresight.try_out().expect(context);
        forecast.look(now);
        let (plan, moved) = (forecast.plan(), self.moved());
        self.scene.net.run_for(u64::from(seconds + 2) * 1000);
        let ended = self.scene.net.sim.gateway.control.take_ended();
        assert_eq!(ended, [subject], "{context}");
        let obeyed = self.scene.net.sim.gateway.control.obeyed();
        let now = self.scene.net.sim.now;
        self.log
            .add("deadline", subject, 7, forecast.follow(obeyed), now);
        self.send_all();
        assert_eq!(self.moved() - moved, plan.flows, "{context}: {plan:?}");
        let end = self.log.look(self.scene.net.sim.now).pop();
        let end = end.expect("a change");
        assert_eq!(sums(&end), (plan.flows, plan.flows, 0, 0), "{context}");
        plan
    }
}

impl Theatre {
    /// What a drain of a server's IPv4 address everywhere would move.
    fn drain_plan(&mut self, server: usize, seconds: u32) -> MovePlan {
        let now = self.scene.net.sim.now;
        let control = &mut self.scene.net.sim.gateway.control;
        let (addr, at) = (server_addr(server, Family::V4), now.deadline(seconds));
        let foresight = control.foresee_drain(addr, Some(at), now);
        let mut foresight = foresight.expect("a next hop");
        while let Some(group) = foresight.wants() {
            let copy = control.group_sketch(group);
            copy.into_iter().for_each(|copy| foresight.include(copy));
        }
        let mut forecast = foresight.try_out().expect("a drain");
        forecast.look(now);
        forecast.plan()
    }
}

const DEADLINE: MoveWhy = MoveWhy::Moved(MoveReason::Deadline);

#[test]
fn a_drain_that_comes_to_its_deadline_moves_whom_it_was_foreseen_to_move() {
    let mut t = theatre(780, &[0, 1, 2]);
    let host = host(Family::V4);
    let with = |t: &Theatre, range: std::ops::Range<usize>, server| {
        let pins = t.pins[range].iter();
        pins.filter(|pin| **pin == Some(server)).count() as u64
    };
    let with_1 = with(&t, 0..150, 1);
    let drain = RouteSpec {
        deadline_s: Some(5),
        ..via(&host, &[(1, 0)])
    };
    t.change(drain);
    let prefix = host.parse().expect("a prefix");
    let plan = t.end(Subject::Route(prefix), 5, "of a route");
    assert_eq!((plan.flows, why(&plan)), (with_1, vec![DEADLINE]));
    // The next hop is the same in both families' routes: only those of its own family have it.
    let (with_2, now) = (with(&t, 0..150, 2), t.scene.net.sim.now);
    let addr = server_addr(2, Family::V4);
    let control = &mut t.scene.net.sim.gateway.control;
    let at = Some(now.secs().after(5));
    control.drain_gateway(addr, at, now).expect("a drain");
    let drained = control.endings(now.secs().after(6));
    let plan = t.end(drained[0].1, 5, "everywhere");
    assert_eq!((plan.flows, why(&plan)), (with_2, vec![DEADLINE]));
    t.scene.finish();
}

#[test]
fn the_deadline_of_a_drain_in_a_group_moves_the_flows_of_all_its_routes() {
    let mut t = with_groups(781);
    let (number, with_1) = (GroupNo(7), |t: &Theatre| {
        t.pins.iter().filter(|pin| **pin == Some(1)).count() as u64
    });
    let drain = RouteSpec {
        deadline_s: Some(5),
        ..of_group(number, &[(1, 0)])
    };
    let order = GroupOrder::Change(number, drain);
    let plan = t.play(&order, "a drain").expect("a drain");
    let due = with_1(&t);
    assert_eq!((plan.flows, plan.at_deadline), (0, due));
    let plan = t.end(Subject::Group(number), 5, "of a group");
    assert_eq!((plan.flows, why(&plan)), (due, vec![DEADLINE]));
    assert!(due > 10);
    t.scene.finish();
}

#[test]
fn a_plan_says_what_the_deadline_moves_of_a_drain_that_ends_a_route_and_of_one_that_ends_now() {
    let mut t = theatre(783, &[0, 1, 2]);
    let host = host(Family::V4);
    let drain = |members: &[(usize, u32)], seconds| RouteSpec {
        deadline_s: Some(seconds),
        ..via(&host, members)
    };
    let plan = |t: &mut Theatre, members: &[(usize, u32)], seconds| {
        t.plan(&RouteOrder::Change(drain(members, seconds)))
    };
    let v4 = t.pins[..150].iter();
    let with_1 = v4.filter(|pin| **pin == Some(1)).count() as u64;
    let later = |plan: &MovePlan| -> (Vec<MoveWhy>, u64) {
        let mut whys: Vec<_> = plan.at_deadline_rows.iter().map(|row| row.why).collect();
        whys.dedup();
        (
            whys,
            plan.at_deadline_rows.iter().map(|row| row.flows).sum(),
        )
    };
    let one = plan(&mut t, &[(1, 0)], 5);
    assert_eq!((one.flows, one.staying, one.at_deadline), (0, 150, with_1));
    assert_eq!(later(&one), (vec![DEADLINE], with_1));
    let now = plan(&mut t, &[(1, 0)], 0);
    assert_eq!((now.flows, now.clients), (with_1, with_1));
    assert_eq!((now.staying, now.at_deadline), (150 - with_1, 0));
    assert_eq!((why(&now), later(&now)), (vec![DEADLINE], (vec![], 0)));

    let everywhere = t.drain_plan(1, 5);
    assert_eq!((everywhere.flows, everywhere.staying), (0, 150));
    assert_eq!(later(&everywhere), (vec![DEADLINE], with_1));
    let everywhere = t.drain_plan(1, 0);
    assert_eq!(
        (everywhere.flows, why(&everywhere)),
        (with_1, vec![DEADLINE])
    );

    let all = [(0, 0), (1, 0), (2, 0)];
    let nowhere = MoveWhy::Lost(DropReason::NoRoute);
    let now = plan(&mut t, &all, 0);
    assert_eq!((now.flows, now.staying), (150, 0));
    assert_eq!(why(&now), [nowhere]);
    let whole = plan(&mut t, &all, 5);
    assert_eq!((whole.flows, whole.at_deadline), (0, 150));
    assert_eq!(later(&whole), (vec![nowhere], 150));
    // And that is what happens.
    t.change(drain(&all, 5));
    t.scene.net.run_for(7000);
    let prefix = host.parse().expect("a prefix");
    let control = &t.scene.net.sim.gateway.control;
    assert!(control.route_exact(prefix).is_none());
    t.scene.finish();
}
