//! What moves when the ways to gateways change that other routes lead to.

use super::*;
use flowgate_tests::sim::ip;
use route::Failback;

/// Gateways that other routes lead to.
fn far(prefix: &str, gateways: &[String]) -> RouteSpec {
    let gateway = |addr: &String| GatewaySpec {
        addr: ip(addr),
        weight: None,
        port: None,
        recursive: true,
        mtu: None,
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
