//! Before and after a change of a route: the plan is what happens, flow by flow, and nothing else happens.

mod deadlines;
mod far;
mod follow;
mod groups;
mod routes;

use flowgate_tests::net::watch::{FlowId, Watch};
use flowgate_tests::net::{BOTH, Scene, service};
use flowgate_tests::rack::{Family, server_addr};
use route::{GroupNo, OptionsAsked};
use stack::control::{
    ControlError, Forecast, GatewaySpec, GroupOrder, LoggedMoves, MoveLog, MovePlan, MoveWhy,
    PathKind, RouteOrder, RouteSpec,
};
use stack::fate::MoveReason;
use std::collections::BTreeMap;
use std::net::IpAddr;

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
        mtu: None,
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
