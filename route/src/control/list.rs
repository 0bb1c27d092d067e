//! What there is: routes, groups, next hops, fills.

use super::{Control, FibWriters};
use crate::ids::{FibId, GroupId, GroupNo, NhopIdx, Pin};
use crate::info::{Fill, GroupInfo, MemberInfo, PathInfo, RouteInfo, RouteMemory};
use crate::nhgrp::{Group, Member, Options, StickyOf, apportion};
use crate::nhop::{Nhop, NhopInfo, NhopKey, NhopKind};
use crate::prefix::{Family, Prefix};
use std::collections::BTreeSet;
use std::net::IpAddr;

impl Control {
    /// The route of exactly this prefix.
    pub fn get(&self, prefix: Prefix) -> Option<RouteInfo> {
        self.rib
            .get(&prefix)
            .map(|group| self.route_info(prefix, group))
    }

    /// The route of FIB 0's longest prefix that contains `addr`.
    pub fn lookup(&self, addr: IpAddr) -> Option<RouteInfo> {
        self.lookup_in(FibId(0), addr)
    }

    /// The route of a FIB's longest prefix that contains `addr`.
    pub fn lookup_in(&self, fib: FibId, addr: IpAddr) -> Option<RouteInfo> {
        self.rib
            .lookup(fib, addr)
            .map(|(prefix, group)| self.route_info(prefix, group))
    }

    /// Every route: by FIB, IPv4, then IPv6, by address, then length.
    pub fn routes(&self) -> impl Iterator<Item = RouteInfo> + '_ {
        self.rib
            .iter()
            .map(|(prefix, group)| self.route_info(prefix, group))
    }

    /// The routes that follow a prefix in that order; from the first, if there is none.
    pub fn routes_after(&self, after: Option<Prefix>) -> impl Iterator<Item = RouteInfo> + '_ {
        self.prefixes_after(after)
            .map(|(prefix, group)| self.route_info(prefix, group))
    }

    /// Routes of one FIB in that order, behind a prefix of it or from the first.
    pub fn routes_of(
        &self,
        fib: FibId,
        after: Option<Prefix>,
    ) -> impl Iterator<Item = RouteInfo> + '_ {
        self.prefixes_of(fib, after)
            .map(|(prefix, group)| self.route_info(prefix, group))
    }

    /// The same, prefixes and groups alone.
    pub fn prefixes_of(
        &self,
        fib: FibId,
        after: Option<Prefix>,
    ) -> impl Iterator<Item = (Prefix, GroupId)> + '_ {
        self.rib.of_fib(fib, after)
    }

    /// As [`Self::routes_after`], prefixes and groups alone.
    pub fn prefixes_after(
        &self,
        after: Option<Prefix>,
    ) -> impl Iterator<Item = (Prefix, GroupId)> + '_ {
        let behind = after.map(|prefix| self.rib.after(prefix));
        let all = after.is_none().then(|| self.rib.iter());
        all.into_iter()
            .flatten()
            .chain(behind.into_iter().flatten())
    }

    /// Every group that there is.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> + '_ {
        self.groups.ids()
    }

    /// Who has the timeouts with this number: how many routes, and groups with a number, whether routes use them or not.
    pub fn timeouts_used(&self, number: u8) -> (u32, Vec<GroupNo>) {
        let groups = self.groups().filter_map(|id| self.groups.get(id));
        let (mut routes, mut named) = (0, Vec::new());
        for group in groups.filter(|group| group.options.timeouts.number() == number) {
            routes += group.users();
            named.extend(group.options.group);
        }
        named.sort_unstable();
        (routes, named)
    }

    /// Routes in their order, each with the number of its timeouts.
    pub fn timeouts_of_routes(&self) -> impl Iterator<Item = (Prefix, u8)> + '_ {
        self.prefixes_after(None).filter_map(|(prefix, id)| {
            let group = self.groups.get(id)?;
            Some((prefix, group.options.timeouts.number()))
        })
    }

    /// Sticky routes and groups: the id under which clients of each have templates (as
    /// [`GroupRef::sticky`](crate::GroupRef::sticky) gives it), and which it is.
    pub fn affinities(&self) -> impl Iterator<Item = (u64, StickyOf)> + '_ {
        self.groups.affinities()
    }

    /// Members of groups with a number that drain there, weight 0.
    pub fn draining_members(&self) -> Vec<(GroupNo, GroupId, PathInfo)> {
        let draining = self.numbered_groups().filter(|(_, id)| self.drains(*id));
        let paths =
            draining.flat_map(|(no, id)| self.paths(id).into_iter().map(move |p| (no, id, p)));
        paths.filter(|(_, _, path)| path.weight == 0).collect()
    }

    /// The paths of routes that drain there though their next hops take new flows elsewhere (weight 0), but for those of
    /// groups with a number.
    pub fn draining_paths(&self) -> Vec<(Prefix, PathInfo)> {
        let unnamed = |id: &GroupId| {
            let group = self.groups.get(*id);
            group.is_some_and(|group| group.options.group.is_none())
        };
        let ids = self.groups.ids().filter(unnamed);
        // Few groups have any, most gateways none: the routes are looked through only if some has.
        let draining: Vec<GroupId> = ids.filter(|id| self.drains(*id)).collect();
        if draining.is_empty() {
            return Vec::new();
        }
        let routes = self
            .rib
            .iter()
            .filter(|(_, group)| draining.contains(group));
        let paths = routes.flat_map(|(prefix, group)| {
            self.paths(group)
                .into_iter()
                .map(move |path| (prefix, path))
        });
        paths.filter(|(_, path)| path.weight == 0).collect()
    }

    fn drains(&self, id: GroupId) -> bool {
        let group = self.groups.get(id);
        group.is_some_and(|group| group.members.iter().any(|m| m.is.weight == 0))
    }

    /// The slot of a next hop.
    pub fn nhop(&self, key: &NhopKey) -> Option<NhopIdx> {
        self.nhops.idx(key)
    }

    /// The next hop in a slot.
    pub fn nhop_info(&self, idx: NhopIdx) -> Option<NhopInfo> {
        self.nhops.info(idx)
    }

    /// Every next hop, in the order of slots.
    pub fn nhops(&self) -> impl Iterator<Item = NhopInfo> + '_ {
        self.nhops.infos()
    }

    /// A group: members, buckets, and how many buckets remember whom.
    pub fn group_info(&self, id: GroupId) -> Option<GroupInfo> {
        let group = self.groups.get(id)?;
        let paths = self.paths(id);
        let owned: u32 = paths.iter().map(|p| p.buckets).sum();
        let history = group.history(&self.view.groups);
        let count = |pin: Pin| history.by_pin.get(&pin).copied().unwrap_or(0);
        let due = self.due(group, &paths);
        let members = paths.into_iter().zip(due).map(|(path, due)| MemberInfo {
            remembered: count(path.pin()),
            path,
            due,
        });
        let named = group.options.group;
        let what = named.map_or_else(|| format!("group id {}", id.0), |no| format!("group {no}"));
        Some(GroupInfo {
            id,
            options: group.options,
            buckets: group.buckets(),
            size: self.groups.size_of(id),
            remembering: history.remembering,
            depth: history.depth,
            warning: self.share_warning(&what, id),
            ownerless: group.buckets().saturating_sub(owned),
            routes: group.users(),
            members: members.collect(),
        })
    }

    /// Buckets that are each path's by weight, were all slow starts over.
    fn due(&self, group: &Group, paths: &[PathInfo]) -> Vec<u32> {
        let takes = |path: &PathInfo| {
            let nhop = self.nhops.get(path.idx);
            nhop.is_some_and(crate::nhop::Nhop::takes_buckets)
        };
        let weight = |path: &PathInfo| if takes(path) { path.weight } else { 0 };
        let weights: Vec<u32> = paths.iter().map(weight).collect();
        let has: Vec<u32> = paths.iter().map(|path| path.buckets).collect();
        apportion(group.buckets(), &weights, &has)
    }

    /// Those of a group's paths that are these next hops.
    pub(super) fn paths_of(&self, group: GroupId, of: &[NhopIdx]) -> Vec<PathInfo> {
        let mut paths = self.paths(group);
        paths.retain(|path| of.contains(&path.idx));
        paths
    }

    /// The paths of a group's members: as [`Self::group_info`], without looking into every bucket's history.
    pub fn group_paths(&self, id: GroupId) -> Vec<PathInfo> {
        self.paths(id)
    }

    /// Routes by these next hops that have none that takes new flows; `without`: if these do not.
    pub fn idle_routes(&self, idxs: &[NhopIdx], without: bool) -> u64 {
        let all = idxs.iter().filter_map(|idx| self.nhops.get(*idx));
        let groups: BTreeSet<GroupId> = all.flat_map(|nhop| nhop.groups.iter().copied()).collect();
        let takes = |member: &Member| {
            let idx = member.is.idx;
            let nhop = self
                .nhops
                .get(idx)
                .filter(|_| !without || !idxs.contains(&idx));
            member.is.weight > 0 && nhop.is_some_and(Nhop::takes_buckets)
        };
        let groups = groups.iter().filter_map(|id| self.groups.get(*id));
        let idle = groups.filter(|group| !group.members.iter().any(takes));
        idle.map(|group| u64::from(group.users())).sum()
    }

    /// What the routes take of memory, all FIBs together: RIB, what workers look up, and control's books of that. Nodes
    /// and lists are counted where they are kept, the RIB is worked out from its length.
    pub fn memory(&self) -> [RouteMemory; 5] {
        let of = |family| self.rib.len(family) as u64;
        let (v4, v6) = (of(Family::V4), of(Family::V6));
        let sum = |bytes: fn(&FibWriters) -> usize| self.fibs.iter().map(bytes).sum::<usize>();
        let memory = |name, bytes: usize, routes| RouteMemory {
            name,
            bytes: bytes as u64,
            routes,
        };
        [
            memory("rib", self.rib.bytes(), v4 + v6),
            memory("fib-v4", sum(|fib| fib.v4.bytes()), v4),
            memory("fib-v6", sum(|fib| fib.v6.bytes()), v6),
            memory("fib-books-v4", sum(|fib| fib.v4.book_bytes()), v4),
            memory("fib-books-v6", sum(|fib| fib.v6.book_bytes()), v6),
        ]
    }

    /// How full every table is.
    pub fn fills(&self) -> Vec<Fill> {
        let routes = |family| (self.rib.len(family) as u64, u64::from(self.cfg.max_routes));
        let nhops = (u64::from(self.nhops.used()), u64::from(self.nhops.max()));
        let all = [
            ("IPv4 routes", routes(Family::V4), "tables.routes"),
            ("IPv6 routes", routes(Family::V6), "tables.routes"),
            ("next hops", nhops, "tables.next-hops"),
            ("next-hop groups", self.groups.fill(), "tables.groups"),
            ("group lines", self.groups.line_fill(), "tables.group-lines"),
        ];
        let fill = |(name, (used, limit), setting)| Fill {
            name,
            fib: FibId(0),
            used,
            limit,
            setting,
        };
        let fibs = (0..).map(FibId).zip(&self.fibs);
        let of_fibs = fibs.flat_map(|(fib, tables)| tables.fills(fib));
        all.into_iter().map(fill).chain(of_fibs).collect()
    }

    fn route_info(&self, prefix: Prefix, group: GroupId) -> RouteInfo {
        let paths = self.paths(group);
        let kind = paths
            .first()
            .map_or(NhopKind::Blackhole, |path| path.key.kind);
        let is = self.groups.get(group);
        let buckets = is.map_or(0, |g| g.buckets());
        let options = is.map_or_else(Options::default, |g| g.options);
        RouteInfo {
            options,
            prefix,
            group,
            buckets,
            kind,
            paths,
        }
    }

    /// The paths that a group's members are.
    pub(super) fn paths(&self, group: GroupId) -> Vec<PathInfo> {
        let Some(group) = self.groups.get(group) else {
            return Vec::new();
        };
        let path = |(member, buckets): (&Member, u32)| {
            let nhop = self.nhops.get(member.is.idx)?;
            Some(PathInfo {
                key: nhop.key,
                weight: member.is.weight,
                idx: member.is.idx,
                generation: nhop.generation,
                admin: nhop.admin,
                health: nhop.health,
                deadline: member.is.deadline,
                buckets,
                mtu: nhop.mtu,
                neigh: nhop.neigh,
                through: nhop.through,
                start: group.started(member.name, self.now),
            })
        };
        group.owned().filter_map(path).collect()
    }
}

impl FibWriters {
    fn fills(&self, fib: FibId) -> [Fill; 2] {
        let fill = |name, used, limit| Fill {
            name,
            fib,
            used: used as u64,
            limit: limit as u64,
            setting: "tables.fib-bytes",
        };
        [
            fill("IPv4 FIB bytes", self.v4.bytes(), self.v4.limit()),
            fill("IPv6 FIB bytes", self.v6.bytes(), self.v6.limit()),
        ]
    }
}
