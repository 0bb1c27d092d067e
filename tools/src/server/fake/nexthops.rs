//! The next hops of the routes, and one group of them all.

use super::Fake;
use crate::server::Answer;
use crate::wire::nexthop::*;
use crate::wire::route::*;
use crate::wire::stats::*;

pub(super) fn list(fake: &Fake) -> Nexthops {
    let paths = fake.routes.iter().flat_map(|route| &route.paths);
    let members: Vec<Path> = paths.cloned().collect();
    let nexthops = members.iter().map(|path| Nexthop {
        index: path.nexthop,
        generation: path.generation,
        kind: path.kind,
        gateway: path.gateway,
        port: path.port.clone(),
        mtu: path.mtu,
        admin: path.admin,
        health: path.health,
        groups: 1,
        recursive: path.recursive,
        through: path.through,
        causes: path.causes.clone(),
    });
    let nexthops = nexthops.collect();
    Nexthops {
        nexthops,
        groups: vec![Group {
            group: None,
            index: 3,
            buckets: 4096,
            members,
        }],
    }
}

pub(super) fn set(fake: &Fake, ask: NexthopSet) -> Answer<NexthopsSet> {
    let mut nexthops = list(fake).nexthops;
    nexthops.retain(|nexthop| nexthop.gateway == Some(ask.gateway));
    for nexthop in &mut nexthops {
        match ask.order {
            NexthopOrder::Down => nexthop.health = Health::Dead,
            NexthopOrder::Up => nexthop.health = Health::Up,
            NexthopOrder::Drain => nexthop.admin = Admin::Draining,
            NexthopOrder::In => nexthop.admin = Admin::In,
        }
    }
    Ok(NexthopsSet {
        nexthops,
        ..NexthopsSet::default()
    })
}
