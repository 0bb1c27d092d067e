//! What the end of a drain moves, foreseen when it begins and when it ends.

use super::*;
use stack::control::Subject;
use stack::fate::DropReason;

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
