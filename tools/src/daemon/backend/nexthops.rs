//! Next hops and their groups, and what is wanted of them.

use super::Answer;
use super::Live;
use super::refusal::refused;
use super::routes::admin;
use super::routes::carried;
use super::routes::health;
use super::routes::kind;
use crate::wire::nexthop::NexthopOrder;
use crate::wire::nexthop::NexthopSet;
use crate::wire::nexthop::NexthopsSet;
use crate::wire::stats::Group;
use crate::wire::stats::Nexthop;
use crate::wire::stats::Nexthops;
use route::NhopInfo;
use route::PathInfo;
use std::collections::HashMap;

impl Live {
    pub(super) fn list_nexthops(&mut self) -> Nexthops {
        let now = self.now();
        let numbers = self.control.numbered_groups().map(|(no, id)| (id, no.0));
        let numbers: HashMap<route::GroupId, u32> = numbers.collect();
        let group = |(id, buckets, paths): (route::GroupId, u32, Vec<PathInfo>)| Group {
            index: id.0,
            group: numbers.get(&id).copied(),
            buckets,
            members: paths.iter().map(|path| self.path(path, now)).collect(),
        };
        let nhops = self.control.nhops();
        Nexthops {
            nexthops: nhops.into_iter().map(|n| self.nexthop(n)).collect(),
            groups: self.control.groups().map(group).collect(),
        }
    }

    /// Carries out what is wanted of a next hop, in every route that has it.
    pub(super) fn order_nexthop(&mut self, ask: &NexthopSet) -> Answer<NexthopsSet> {
        let (now, gateway) = (self.now(), ask.gateway);
        if ask.plan {
            return Ok(self.nexthops_set(ask));
        }
        let deadline = ask.deadline.map(|s| now.deadline(s));
        let done = match ask.order {
            NexthopOrder::Down => self.control.set_gateway_down(gateway, true, now),
            NexthopOrder::Up => self.control.set_gateway_down(gateway, false, now),
            NexthopOrder::Drain => self.control.drain_gateway(gateway, deadline, now),
            NexthopOrder::In => self.control.undrain_gateway(gateway, now),
        };
        done.map_err(|error| refused(&error))?;
        self.control.settle(&mut self.host, now);
        let set = self.nexthops_set(ask);
        if let Some(warning) = &set.warning {
            tracing::warn!(%gateway, warning);
        }
        Ok(set)
    }

    /// The next hops as they are, and what the caller should know of what was ordered, or is planned.
    fn nexthops_set(&self, ask: &NexthopSet) -> NexthopsSet {
        let gateway = ask.gateway;
        let hit = self.control.nhops().into_iter();
        let hit = hit.filter(|n| n.key.gateway == Some(gateway));
        let takes = matches!(ask.order, NexthopOrder::Up | NexthopOrder::In);
        let ends = ask.deadline.is_some();
        let idle = || self.control.idle_warning(gateway, ends, ask.plan);
        NexthopsSet {
            nexthops: hit.map(|n| self.nexthop(n)).collect(),
            warning: if takes { None } else { idle() },
            plan: None,
        }
    }

    fn nexthop(&self, n: NhopInfo) -> Nexthop {
        Nexthop {
            index: n.idx.0,
            generation: n.generation.0,
            kind: kind(n.key.kind),
            gateway: n.key.gateway,
            port: self.port_of(n.key.kind, n.port()),
            mtu: carried(self.control.ports(), n.key.kind, n.port(), n.mtu_now()),
            admin: admin(n.admin),
            health: health(n.health),
            groups: u32::try_from(n.groups).unwrap_or(u32::MAX),
            recursive: n.key.resolved().is_some(),
            through: n.through.map(|through| through.gateway),
            causes: self.causes(n.idx),
        }
    }
}
