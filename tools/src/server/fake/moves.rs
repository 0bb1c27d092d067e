//! Three flows that every delete of a gateway moves, and nothing else does.

use super::*;
use crate::server::Foreseen;
use crate::wire::moves::*;

struct Told {
    done: Changed,
    moves: bool,
    measured: bool,
}

pub(super) fn foresee(fake: &mut Fake, order: Order) -> Answer<Foreseeing> {
    let (routes, news) = (fake.routes.clone(), fake.news.len());
    let moves = matches!(order, Order::Delete(_) | Order::GroupDelete(_));
    let done = match order {
        Order::Add(ask) => fake.route_add(ask).map(Changed::from),
        Order::Change(ask) => fake.route_change(ask).map(Changed::from),
        Order::Delete(ask) => fake.route_delete(ask).map(Changed::from),
        Order::GroupAdd(ask) => fake.group_add(ask).map(Changed::from),
        Order::GroupChange(ask) => fake.group_change(ask).map(Changed::from),
        Order::GroupDelete(ask) => fake.group_delete(ask).map(Changed::from),
    };
    fake.routes = routes;
    fake.news.truncate(news);
    let told = Told {
        done: done?,
        moves,
        measured: false,
    };
    Ok(Box::new(|_| Ok(Box::new(told))))
}

fn nexthop(address: &str) -> Option<MoveNexthop> {
    Some(MoveNexthop {
        kind: PathKind::Gateway,
        gateway: address.parse().ok(),
        port: Some("rack".into()),
    })
}

impl Foreseen for Told {
    fn prefix(&self) -> Option<Prefix> {
        match &self.done {
            Changed::Route(changed) => Some(changed.done.destination),
            Changed::Group(_) => None,
        }
    }

    fn moves_nothing(&self) -> bool {
        !self.moves
    }

    fn exclude(&mut self, _: &[Prefix]) {}

    fn look(&mut self) {}

    fn due(&self) -> u64 {
        if self.moves { 3 } else { 0 }
    }

    fn due_at_end(&self) -> u64 {
        0
    }

    fn measure(&mut self) {
        self.measured = true;
    }

    fn plan(&self) -> Changed {
        self.done.clone().with_plan(self.moves())
    }

    fn moves(&self) -> MovePlan {
        let moves = Move {
            from: nexthop("192.0.2.11"),
            to: nexthop("192.0.2.12"),
            reason: "policy".into(),
            flows: 3,
            clients: 2,
            bytes_per_second: if self.measured { 4500 } else { 0 },
        };
        MovePlan {
            flows: self.due(),
            clients: self.due().min(2),
            bytes_per_second: moves.bytes_per_second,
            sampled: self.due(),
            staying: 9,
            at_deadline: 0,
            already_due: 0,
            unlisted: 0,
            moves: if self.moves { vec![moves] } else { vec![] },
            deadline_moves: vec![],
        }
    }

    fn follow(self: Box<Self>, obeyed: Obeyed, time: u64) -> RouteMoves {
        assert!(obeyed());
        let destination = self.prefix();
        RouteMoves {
            time,
            destination,
            group: destination.is_none().then_some(7),
            ..followed()
        }
    }
}

/// The change that moved flows.
pub(super) fn followed() -> RouteMoves {
    let state = MoveState {
        from: nexthop("192.0.2.11"),
        to: nexthop("192.0.2.12"),
        reason: "policy".into(),
        due: 3,
        moved: 1,
        expired: 0,
        stayed: 0,
        left: 2,
    };
    RouteMoves {
        change: 1,
        time: 1_795_218_141_000,
        order: "delete".into(),
        destination: Some(prefix("203.0.113.0/24")),
        group: None,
        nexthop: None,
        fib: 0,
        due: 3,
        moved: 1,
        expired: 0,
        stayed: 0,
        left: 2,
        unfollowed: 0,
        moves: vec![state],
    }
}
