//! What a change would do, found by doing it to a copy.
//!
//! [`Control::sketch`] copies what a change of one route concerns: the groups of the route, of the route that covers
//! it and of routes that it could share a group with, and the next hops that these or the new paths name;
//! [`Control::sketch_group`] what a change of a group that has a number concerns. That takes control a moment. [`Sketch::try_out`] then runs on any thread: it makes small route tables of the copy and
//! lets the very code that changes routes change them. So a preview cannot differ from the change: there is one code,
//! whatever layers a layout may get.
//!
//! What is resolved through the route or the group concerns further groups: [`Sketch::include`] takes copies of these
//! ([`Control::group_sketch`]) one by one, and [`Preview::settle`] resolves anew.
//!
//! Not tried: whether there is room for group lines, groups and FIB nodes.

use super::recursive::{Known, MAX_CHAIN};
use super::{Control, new};
use crate::config::Config;
use crate::error::RouteError;
use crate::ids::{FibId, GroupId, GroupNo, NhopIdx, Pin, Secs};
use crate::info::Changed;
use crate::nhgrp::{GroupCopy, GroupRef, Options, OptionsAsked, Orders, Wanted};
use crate::nhop::{Health, Nhop, NhopKey, Path, PinState, Through};
use crate::prefix::Prefix;
use crate::saved::{Kept, SavedGroup};
use crate::view::View;
use hashbrown::HashSet;
use std::net::IpAddr;

/// Room for the FIB nodes of the few routes of a sketch, bytes.
const FIB_BYTES: usize = 1 << 20;

/// Who else names a next hop, besides the groups that were copied.
const OTHERS: GroupId = GroupId(u32::MAX);

/// A copy of what a change of one route, or of one group, concerns.
#[derive(Debug)]
pub struct Sketch {
    cfg: Config,
    now: Secs,
    prefix: Prefix,
    /// The route, and the one that covers it, each with the place of its group; for a group one route that stands for all.
    routes: Vec<(Prefix, usize)>,
    groups: Vec<GroupCopy>,
    /// How many routes use each of the groups: IPv4, IPv6.
    users: Vec<(u32, u32)>,
    nhops: Vec<(NhopIdx, Nhop)>,
    /// The place behind the last next hop's.
    end: u32,
    orders: Orders,
    /// What was saved of the route's group, and how long ago.
    kept: (Vec<SavedGroup>, u32),
    /// Whether further groups were included.
    more: bool,
    /// Whether no further route of the family has room, and how many next hops have.
    full: bool,
    room: u32,
}

/// A copy of one more group that a change concerns, and of its next hops.
#[derive(Debug)]
pub struct GroupSketch {
    copy: GroupCopy,
    nhops: Vec<(NhopIdx, Nhop)>,
    users: (u32, u32),
}

/// What a recursive next hop is resolved by when a change is tried out.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Which.
    pub idx: NhopIdx,
    /// By which group; `None`: by that of the route that is to be changed, or of the one that covers it.
    by: Option<GroupId>,
    /// Whether others may go through it.
    pub passable: bool,
    /// Whether it has no way now.
    lost: bool,
}

/// A change that was tried out.
#[derive(Debug)]
pub struct Preview {
    /// What it would do. Paths by next hops that do not exist yet have places that are nobody's.
    pub change: Changed,
    prefix: Prefix,
    end: u32,
    before: Control,
    after: Control,
    /// Groups as they were copied, with their ids before and after.
    ids: Vec<(GroupId, GroupId, GroupId)>,
    /// Next hops that were copied.
    copied: Vec<NhopIdx>,
    /// Whether further groups were included.
    more: bool,
}

impl Control {
    /// Copies what a change of `prefix` to `paths` concerns. Deleting names no paths.
    pub fn sketch(
        &mut self,
        prefix: Prefix,
        paths: &[Path],
        asked: OptionsAsked,
        now: Secs,
    ) -> Sketch {
        let own = self.rib.get(&prefix).map(|group| (prefix, group));
        let cover = self.rib.covering(&prefix);
        let is = own.and_then(|(_, id)| self.groups.get(id));
        let is = is.map(|group| group.options);
        let fresh = Some(asked.over(Options::default()));
        let ways = [is, is.map(|is| asked.over(is)), fresh];
        let ways = ways.into_iter().flatten();
        let like = ways.filter_map(|options| self.groups.shared_by(paths, options));
        let named = asked.group.and_then(|number| self.named.get(number));
        let like = like.chain(named).collect();
        let limit = self.cfg.max_routes as usize;
        let full = own.is_none() && self.rib.len(prefix.family()) >= limit;
        let routes = own.into_iter().chain(cover).collect();
        Sketch {
            full,
            ..self.sketch_of(prefix, routes, like, paths, asked.group, now)
        }
    }

    /// Copies what a change of the group that has this number concerns, with `paths` as new members.
    pub fn sketch_group(&mut self, number: GroupNo, paths: &[Path], now: Secs) -> Sketch {
        let all = Prefix::masked(IpAddr::from([0; 4]), 0);
        let routes = self.named.get(number).map(|group| (all, group));
        let routes = routes.into_iter().collect();
        self.sketch_of(all, routes, Vec::new(), paths, Some(number), now)
    }

    fn sketch_of(
        &mut self,
        prefix: Prefix,
        routes: Vec<(Prefix, GroupId)>,
        like: Vec<GroupId>,
        paths: &[Path],
        number: Option<GroupNo>,
        now: Secs,
    ) -> Sketch {
        self.at(now);
        self.nhops.reclaim(&self.view.qsbr);
        let mut ids: Vec<GroupId> = routes.iter().map(|r| r.1).chain(like).collect();
        ids.sort_unstable();
        ids.dedup();
        let place = |(prefix, id): (Prefix, GroupId)| Some((prefix, ids.binary_search(&id).ok()?));
        let routes = routes.into_iter().filter_map(place).collect();
        let copy = |id: &GroupId| self.groups.copy_of(&self.view.groups, *id);
        let groups: Vec<GroupCopy> = ids.iter().filter_map(copy).collect();
        Sketch {
            cfg: self.cfg,
            now: self.now,
            prefix,
            routes,
            nhops: self.copied_nhops(&groups, paths),
            users: ids.iter().map(|id| self.named.used_by(*id)).collect(),
            groups,
            end: self.nhops.end(),
            orders: self.groups.orders(),
            kept: (self.kept.of(&prefix, number), self.kept.age(self.now)),
            more: false,
            full: false,
            room: self.nhops.room(),
        }
    }

    /// The next hops that groups and paths name. Of the groups that name them, others than these become one.
    fn copied_nhops(&self, groups: &[GroupCopy], paths: &[Path]) -> Vec<(NhopIdx, Nhop)> {
        let members = groups.iter().flat_map(|copy| &copy.group.members);
        let named = paths.iter().filter_map(|path| self.nhops.idx(&path.key));
        let mut idxs: Vec<NhopIdx> = members.map(|m| m.is.idx).chain(named).collect();
        idxs.sort_unstable();
        idxs.dedup();
        let copied = |id: &GroupId| groups.iter().any(|copy| copy.id == *id);
        let copy = |idx: NhopIdx| {
            let mut nhop = self.nhops.get(idx)?.clone();
            let others = nhop.groups.iter().any(|id| !copied(id));
            nhop.groups.clear();
            nhop.groups.extend(others.then_some(OTHERS));
            Some((idx, nhop))
        };
        idxs.into_iter().filter_map(copy).collect()
    }

    /// A copy of one more group that a change concerns: some 0.1 ms of control's time for 4,096 buckets.
    pub fn group_sketch(&self, id: GroupId) -> Option<GroupSketch> {
        let copy = self.groups.copy_of(&self.view.groups, id)?;
        let nhops = self.copied_nhops(std::slice::from_ref(&copy), &[]);
        let users = self.named.used_by(id);
        Some(GroupSketch { copy, nhops, users })
    }

    /// Groups that name a next hop.
    pub fn groups_of(&self, idx: NhopIdx) -> Vec<GroupId> {
        let nhop = self.nhops.get(idx);
        nhop.map_or_else(Vec::new, |nhop| nhop.groups.iter().copied().collect())
    }

    /// Recursive next hops whose ways a change of a route, or of a group, concerns, directly or through others.
    pub fn ways(&self, prefix: Option<Prefix>, group: Option<GroupId>) -> Vec<Way> {
        let all = self.nhops.recursive();
        let inside =
            |fib: FibId, addr: IpAddr| prefix.filter(|of| of.fib() == fib && of.contains(addr));
        // Most changes are of routes that hold no such address.
        if group.is_none() && !all.keys().any(|(fib, addr)| inside(*fib, *addr).is_some()) {
            return Vec::new();
        }
        let (mut ways, mut found) = (Vec::new(), 0);
        for ((fib, addr), idx) in all {
            let longer = |of: Prefix| {
                let route = self.rib.lookup(*fib, *addr);
                route.is_some_and(|(route, _)| route.len() > of.len())
            };
            let direct = inside(*fib, *addr).is_some_and(|of| !longer(of));
            let by = self.in_fib_of(*fib, *addr);
            let of_group = group.is_some() && by == group;
            let by = by.filter(|_| !direct);
            ways.push((direct || of_group, self.way_of(*idx, by)));
        }
        // Who goes through one of them is one of them.
        while found != ways.iter().filter(|(is, _)| *is).count() {
            found = ways.iter().filter(|(is, _)| *is).count();
            let through = ways.iter().filter(|w| w.0).map(|w| w.1.idx);
            let through: HashSet<NhopIdx> = through.collect();
            let goes = |id: GroupId| {
                let group = self.groups.get(id);
                group.is_some_and(|g| g.members.iter().any(|m| through.contains(&m.is.idx)))
            };
            ways.iter_mut()
                .for_each(|(is, way)| *is |= way.by.is_some_and(goes));
        }
        ways.retain(|(is, _)| *is);
        ways.into_iter().map(|(_, way)| way).collect()
    }

    fn way_of(&self, idx: NhopIdx, by: Option<GroupId>) -> Way {
        let lost = self.nhops.get(idx).is_some_and(|n| n.through.is_none());
        let passable = true;
        Way {
            idx,
            by,
            passable,
            lost,
        }
    }

    /// Routes longer than `of` and inside it that follow `after`, in order, up to `max`. None left: empty.
    pub fn routes_within(&self, of: Prefix, after: Option<Prefix>, max: usize) -> Vec<Prefix> {
        let inside = |prefix: &Prefix| {
            prefix.fib() == of.fib() && prefix.len() > of.len() && of.contains(prefix.addr())
        };
        let behind = self
            .rib
            .after(after.unwrap_or(of))
            .map(|(prefix, _)| prefix);
        behind.take_while(inside).take(max).collect()
    }
}

impl Sketch {
    /// The route that is to be changed.
    pub const fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// When it was taken.
    pub const fn now(&self) -> Secs {
        self.now
    }

    /// Copies what a change of a next hop's state concerns but for the groups that name it.
    pub fn include(&mut self, more: GroupSketch) {
        let GroupSketch { copy, nhops, users } = more;
        // Also of one that is here already: other routes may have it.
        self.more = true;
        let is_new = nhops.iter().any(|(idx, _)| idx.0 >= self.end);
        // One that was made meanwhile, and the groups that have it, are not concerned.
        if is_new || self.groups.iter().any(|group| group.id == copy.id) {
            return;
        }
        for (idx, nhop) in nhops {
            if let Err(place) = self.nhops.binary_search_by_key(&idx, |n| n.0) {
                self.nhops.insert(place, (idx, nhop));
            }
        }
        self.groups.push(copy);
        self.users.push(users);
    }

    /// Changes a copy by `change`, which is to change this sketch's route or group and no other.
    ///
    /// # Errors
    /// As the change itself would be refused.
    pub fn try_out(
        &self,
        change: impl FnOnce(&mut Control, Secs) -> Result<Changed, RouteError>,
    ) -> Result<Preview, RouteError> {
        let ((before, was), (mut after, is)) = (self.tables()?, self.tables()?);
        let change = change(&mut after, self.now)?;
        self.refuse_full(&after)?;
        let real = self.groups.iter().map(|group| group.id);
        let ids = real.zip(was).zip(is);
        Ok(Preview {
            ids: ids.map(|((real, was), is)| (real, was, is)).collect(),
            more: self.more,
            copied: self.nhops.iter().map(|(idx, _)| *idx).collect(),
            change,
            prefix: self.prefix,
            end: self.end,
            before,
            after,
        })
    }

    /// Small route tables that are as the copy is.
    fn tables(&self) -> Result<(Control, Vec<GroupId>), RouteError> {
        let cfg = Config {
            readers: 0,
            fibs: self.cfg.fibs.min(self.prefix.fib().0.saturating_add(1)),
            max_fib_bytes: FIB_BYTES,
            // What is new lies behind what there is, so there must be places for it.
            max_nhops: self.cfg.max_nhops.saturating_add(crate::MAX_MEMBERS as u32),
            ..self.cfg
        };
        let (mut control, view) = new(cfg);
        control.now = self.now;
        control
            .nhops
            .adopt(&view.nhops, self.end, self.nhops.clone());
        control.groups.learn_orders(self.orders.clone());
        let (saved, elapsed) = self.kept.clone();
        control.kept = Kept::new(saved, elapsed, self.now);
        let mut ids = Vec::with_capacity(self.groups.len());
        for copy in &self.groups {
            let on = super::shared(&view);
            let id = control.groups.adopt(on, &mut control.nhops, copy)?;
            if let Some(number) = copy.group.options.group {
                control.named.insert(number, id);
            }
            ids.push(id);
        }
        for (prefix, place) in &self.routes {
            if let Some(id) = ids.get(*place) {
                control.point(*prefix, Some(*id));
            }
        }
        for (id, users) in ids.iter().zip(&self.users) {
            control.named.learn_users(*id, *users);
        }
        Ok((control, ids))
    }

    /// The copy has room for what the tables may have none for.
    fn refuse_full(&self, after: &Control) -> Result<(), RouteError> {
        let refused = |what, limit| {
            let limit = u64::from(limit);
            Err(RouteError::Full { what, limit })
        };
        if self.full && after.rib.get(&self.prefix).is_some() {
            return refused("routes", self.cfg.max_routes);
        }
        if after.nhops.end() - self.end > self.room {
            return refused("next hops", self.cfg.max_nhops);
        }
        Ok(())
    }
}

impl Preview {
    /// The group that chooses for the route's destinations as it is; `None`: they have no route.
    pub fn before(&self) -> Option<GroupRef<'_>> {
        self.before.chooses(&self.prefix)
    }

    /// The group that would choose for them.
    pub fn after(&self) -> Option<GroupRef<'_>> {
        self.after.chooses(&self.prefix)
    }

    /// Whether groups were copied that other routes have.
    pub const fn has_more(&self) -> bool {
        self.more
    }

    /// A group that was copied, as it is and as it would be.
    pub fn sides_of(&self, id: GroupId) -> Option<(GroupRef<'_>, GroupRef<'_>)> {
        let (_, was, is) = self.ids.iter().find(|(real, ..)| *real == id)?;
        Some((self.before.view.group(*was), self.after.view.group(*is)))
    }

    /// The stamps before and after: flows to a destination of which they differ look their route up again.
    pub fn views(&self) -> (&View, &View) {
        (&self.before.view, &self.after.view)
    }

    /// What a worker would find about a pin's next hop after the change; `None`: the same as before.
    pub fn judges(&self, pin: Pin) -> Option<PinState> {
        let copied = self.copied.binary_search(&pin.idx()).is_ok();
        copied.then(|| self.after.view.judge(pin))
    }

    /// Resolves recursive next hops anew, as would be done after the change, and lets those die that have no way any more
    /// and return that have one again. `fails` says whether nobody answers at an address on a port. Returns who died.
    pub fn settle(&mut self, ways: &[Way], fails: impl Fn(&Through) -> bool) -> Vec<NhopKey> {
        let there = |id: GroupId| self.ids.iter().find(|ids| ids.0 == id).map(|ids| ids.2);
        // One whose group was not copied is taken to go on as it does.
        let ways: Vec<&Way> = ways
            .iter()
            .filter(|way| way.by.is_none_or(|by| there(by).is_some()))
            .collect();
        let (after, now) = (&mut self.after, self.before.now);
        let concerned = |idx: &NhopIdx| ways.iter().any(|way| way.idx == *idx);
        let others = self.copied.iter().filter(|idx| !concerned(idx));
        let mut known: Known = others
            .filter_map(|idx| Some((*idx, after.nhops.get(*idx)?.through?)))
            .collect();
        let passable = |idx| ways.iter().all(|way| way.idx != idx || way.passable);
        for _ in 0..MAX_CHAIN {
            let found: Vec<(NhopIdx, Through)> = ways
                .iter()
                .filter(|way| !known.contains_key(&way.idx))
                .filter_map(|way| {
                    let by = match way.by {
                        Some(real) => there(real)?,
                        None => after.chooser(&self.prefix)?,
                    };
                    let addr = after.nhops.get(way.idx)?.key.gateway?;
                    Some((way.idx, after.way_in(by, addr, &known, &passable)?))
                })
                .collect();
            if found.is_empty() {
                break;
            }
            known.extend(found);
        }
        let mut died = Vec::new();
        for way in &ways {
            let through = known.get(&way.idx).copied();
            let Some(key) = after.nhops.get(way.idx).map(|nhop| nhop.key) else {
                continue;
            };
            let neigh = after.nhops.get(way.idx).map_or(0, |nhop| nhop.neigh);
            match through {
                None if !way.lost => {
                    after.set_health(way.idx, Health::Dead, now);
                    after.set_through(way.idx, None, neigh);
                    died.push(key);
                }
                Some(to) => {
                    after.set_through(way.idx, Some(to), neigh);
                    if way.lost && way.passable && !fails(&to) {
                        after.set_health(way.idx, Health::Up, now);
                    }
                }
                None => {}
            }
        }
        died
    }

    /// The next hop that a group of this preview names by a pin, before the change or after it.
    pub fn nhop(&self, pin: Pin) -> Option<NhopKey> {
        let after = self.after.nhops.pinned(pin);
        after
            .or_else(|| self.before.nhops.pinned(pin))
            .map(|nhop| nhop.key)
    }

    /// Whether there is such a next hop before the change.
    pub const fn exists(&self, pin: Pin) -> bool {
        pin.idx().0 < self.end
    }

    /// Whether flows to the route's destinations look it up again because of the change.
    pub fn bumps(&self) -> bool {
        let stamp = |control: &Control| {
            let fib = control.view.fib(self.prefix.fib());
            match self.prefix.addr() {
                IpAddr::V4(addr) => fib.stamp4(addr.to_bits()),
                IpAddr::V6(addr) => fib.stamp6(addr.to_bits()),
            }
        };
        stamp(&self.before) != stamp(&self.after)
    }

    /// Whether no flow can be sent elsewhere by it: the route has all members that it had, and had one alive; nor are
    /// flows called back.
    pub fn moves_nothing(&self) -> bool {
        let (Some(before), Some(after)) = (self.before(), self.after()) else {
            return false;
        };
        if self.more {
            return false;
        }
        let members = self.before.members(&self.prefix);
        let stays = |m: &Wanted| after.has_member(self.before.nhops.pin(m.idx));
        before.owner(0).is_some() && !after.calls_back() && members.iter().all(stays)
    }
}

impl Control {
    /// The group of a route, or of the one that covers it.
    fn chooser(&self, prefix: &Prefix) -> Option<GroupId> {
        let cover = || self.rib.covering(prefix).map(|(_, group)| group);
        self.rib.get(prefix).or_else(cover)
    }

    fn chooses(&self, prefix: &Prefix) -> Option<GroupRef<'_>> {
        self.chooser(prefix).map(|id| self.view.group(id))
    }

    fn members(&self, prefix: &Prefix) -> Vec<Wanted> {
        self.chooser(prefix)
            .map_or_else(Vec::new, |id| self.wanted(id))
    }
}
