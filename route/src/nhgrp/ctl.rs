//! Control's side of groups: which there are, who their members are, and the lines that they occupy.
//!
//! Routes with equal next hops and weights share a group as long as nobody changes one of them; a change to
//! a shared group is made to a copy of it ([`GroupCtl::fork`]), history and all, so no route disturbs another.
//!
//! Whatever may be refused (no line, no group left) is refused before anything is changed.

use super::affinity::{self, StickyOf};
use super::buddy::{Block, Buddy};
use super::group::{Group, Wanted};
use super::layout::{self, Layout};
use super::options::Options;
use super::{Groups, MAX_MEMBERS};
use crate::error::Full;
use crate::ids::{GroupId, NhopIdx, Secs};
use crate::nhop::{NhopCtl, NhopKey};
use crate::qsbr::Qsbr;
use crate::retire::Retired;
use hashbrown::HashMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What control's side works on.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a> {
    pub(crate) groups: &'a Groups,
    pub(crate) qsbr: &'a Qsbr,
}

/// Next hops and weights, in order, and the options: what routes that share a group have in common.
pub(super) type Paths = (Box<[(NhopKey, u32)]>, Options);

/// In which order buckets are dealt, by their number.
pub(super) type OrdersBySize = HashMap<u32, Arc<[u32]>>;

/// Memory that readers may still look at.
#[derive(Debug)]
enum Old {
    Lines(Block),
    Group(GroupId),
}

/// Every group.
#[derive(Debug)]
pub(crate) struct GroupCtl {
    pub(super) groups: Vec<Option<Group>>,
    max: u32,
    free: Vec<GroupId>,
    lines: Buddy,
    default_buckets: u32,
    pub(super) by_paths: HashMap<Paths, GroupId>,
    pub(super) orders: OrdersBySize,
    old: Retired<Old>,
    /// Groups by the time at which they may have history to forget.
    pub(super) forgetting: BTreeSet<(Secs, GroupId)>,
    /// Groups by the time at which members that start slowly get more.
    pub(super) starting: BTreeSet<(Secs, GroupId)>,
    /// Whether buckets went back whose flows are to follow.
    pub(super) called_back: bool,
    /// Whose drains are over: their flows leave with the deadline as the reason.
    pub(super) over: Vec<NhopIdx>,
    /// How many changes there were.
    version: u64,
    /// Seconds for which an owner is remembered.
    pub(super) remember: u32,
}

impl GroupCtl {
    /// Room for `max` groups on `lines` lines; groups of several next hops get `default_buckets` buckets.
    pub(crate) fn new(max: u32, lines: u32, default_buckets: u32, remember: u32) -> Self {
        let mut lines = Buddy::new(lines);
        // Line 0 is nobody's: the bucket of a group that is not there.
        lines.take(1);
        Self {
            groups: vec![None],
            max,
            free: Vec::new(),
            lines,
            default_buckets,
            by_paths: HashMap::new(),
            orders: HashMap::new(),
            old: Retired::new(),
            forgetting: BTreeSet::new(),
            starting: BTreeSet::new(),
            called_back: false,
            over: Vec::new(),
            version: 0,
            remember,
        }
    }

    /// The group with this id.
    pub(crate) fn get(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(id.0 as usize)?.as_ref()
    }

    /// Every group's id, ascending.
    pub(crate) fn ids(&self) -> impl Iterator<Item = GroupId> {
        let used = self
            .groups
            .iter()
            .enumerate()
            .filter(|(_, group)| group.is_some());
        used.map(|(id, _)| GroupId(id as u32))
    }

    pub(super) fn get_mut(&mut self, id: GroupId) -> Option<&mut Group> {
        self.groups.get_mut(id.0 as usize)?.as_mut()
    }

    /// Groups in use or waiting for grace, and the most there can be.
    pub(crate) fn fill(&self) -> (u64, u64) {
        (
            (self.groups.len() - 1 - self.free.len()) as u64,
            u64::from(self.max),
        )
    }

    /// Lines in use or waiting for grace, and the most there can be.
    pub(crate) fn line_fill(&self) -> (u64, u64) {
        (
            u64::from(self.lines.used()) - 1,
            u64::from(self.lines.limit()) - 1,
        )
    }

    /// Buckets that a group with these options gets when it has several members.
    pub(crate) const fn size(&self, options: Options) -> u32 {
        match options.buckets {
            0 => self.default_buckets,
            buckets => buckets,
        }
    }

    /// Buckets that a group has, or gets when it has several members.
    pub(crate) fn size_of(&self, id: GroupId) -> u32 {
        let group = self.get(id);
        let size = group.map_or(0, |group| match group.buckets() {
            1 => self.size(group.options),
            several => several,
        });
        size.max(1)
    }

    /// Most members with weight that a group of so many buckets can have: each needs one.
    pub(crate) fn max_members(size: u32) -> usize {
        MAX_MEMBERS.min(size as usize)
    }

    /// A group that new routes with these next hops share. Clients of a sticky route have templates of their own, so
    /// it shares none; groups that have a number are found by that.
    pub(crate) fn find(
        &self,
        nhops: &NhopCtl,
        wanted: &[Wanted],
        options: Options,
    ) -> Option<GroupId> {
        if !is_shared(options) {
            return None;
        }
        self.by_paths
            .get(&(paths(nhops, wanted)?, options))
            .copied()
    }

    /// Ids under which clients of sticky routes and groups have templates, and whose they are.
    pub(crate) fn affinities(&self) -> impl Iterator<Item = (u64, StickyOf)> {
        let sticky = |group: &&Group| group.options.sticky.is_some();
        let groups = self.groups.iter().flatten().filter(sticky);
        groups.filter_map(|group| Some((affinity::of(&group.owner?), group.owner?)))
    }

    /// A route uses the group from now on.
    pub(crate) fn use_group(&mut self, id: GroupId) {
        self.touch();
        if let Some(group) = self.get_mut(id) {
            group.routes += 1;
        }
    }

    /// Makes a group that no route uses yet.
    pub(crate) fn create(
        &mut self,
        on: Shared<'_>,
        nhops: &mut NhopCtl,
        wanted: &[Wanted],
        options: Options,
        now: Secs,
    ) -> Result<GroupId, Full> {
        let count = if wanted.len() > 1 {
            self.size(options)
        } else {
            1
        };
        let id = self.take_id(on)?;
        let buckets = self
            .take_lines(on, count)
            .inspect_err(|_| self.free.push(id))?;
        let lines = buckets.base..buckets.end();
        lines
            .filter_map(|line| on.groups.line(line))
            .for_each(super::line::Line::clear);
        let layout = Layout::new(self.order(count));
        self.install(on, id, layout, buckets, options);
        if let Err(full) = self.set_members(on, nhops, id, wanted, now) {
            self.discard(id);
            return Err(full);
        }
        self.share(nhops, id, wanted, options);
        Ok(id)
    }

    /// New routes with these next hops share the group, if there is no other.
    pub(super) fn share(
        &mut self,
        nhops: &NhopCtl,
        id: GroupId,
        wanted: &[Wanted],
        options: Options,
    ) {
        let paths = paths(nhops, wanted).filter(|_| is_shared(options));
        let Some(paths) = paths else {
            return;
        };
        let paths = (paths, options);
        self.by_paths.entry(paths.clone()).or_insert(id);
        if let Some(group) = self.get_mut(id) {
            group.shared_as = Some(paths);
        }
    }

    /// Takes back an id that no group got.
    pub(super) fn give_id(&mut self, id: GroupId) {
        self.free.push(id);
    }

    /// Changes with every change of a group.
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// A group has changed, or what uses it.
    pub(super) fn touch(&mut self) {
        self.version += 1;
    }

    /// Copies a group, history and all, for a route that is about to differ from the others.
    pub(crate) fn fork(
        &mut self,
        on: Shared<'_>,
        nhops: &mut NhopCtl,
        from: GroupId,
        now: Secs,
    ) -> Result<GroupId, Full> {
        let Some(group) = self.get(from) else {
            return self.create(on, nhops, &[], Options::default(), now);
        };
        let (layout, old, alive) = (group.layout.clone(), group.buckets, group.alive);
        let (members, restarted) = (group.members.clone(), group.restarted.clone());
        let (options, turns) = (group.options, group.turns.clone());
        let starts = group.starts.clone();
        let id = self.take_id(on)?;
        let buckets = self
            .take_lines(on, layout.buckets())
            .inspect_err(|_| self.free.push(id))?;
        let pins = self.take_pins(on, members.len()).inspect_err(|_| {
            self.lines.give(buckets);
            self.free.push(id);
        })?;
        for (to, from) in (buckets.base..buckets.end()).zip(old.base..) {
            if let (Some(to), Some(from)) = (on.groups.line(to), on.groups.line(from)) {
                to.copy_from(from);
            }
        }
        members.iter().for_each(|m| nhops.join(m.is.idx, id));
        self.install(on, id, layout, buckets, options);
        if let Some(group) = self.get_mut(id) {
            group.turns = turns;
            on.groups.publish_shape(id, group.shape());
            (group.members, group.restarted, group.alive) = (members, restarted, alive);
            group.starts = starts;
        }
        self.publish_members(on, id, pins, &[]);
        self.forget_from(id, now);
        self.start_from(id, now);
        Ok(id)
    }

    /// Gives a group of one bucket as many as it is to have, each a copy of the one that it had.
    pub(super) fn grow(&mut self, on: Shared<'_>, id: GroupId) -> Result<(), Full> {
        let count = self.size_of(id);
        let Some(group) = self
            .get(id)
            .filter(|g| g.buckets() < count && g.buckets() == 1)
        else {
            return Ok(());
        };
        let (old, holder) = (group.buckets, group.members.first().map(|m| m.name));
        let buckets = self.take_lines(on, count)?;
        let order = self.order(count);
        if let Some(single) = on.groups.line(old.base) {
            let lines = (buckets.base..buckets.end()).filter_map(|line| on.groups.line(line));
            lines.for_each(|line| line.copy_from(single));
        }
        let Some(group) = self.get_mut(id) else {
            return Ok(());
        };
        group.buckets = buckets;
        on.groups.publish_shape(id, group.shape());
        group.layout = match holder {
            Some(holder) => group.layout.grown(holder, order),
            None => Layout::new(order),
        };
        let single: Vec<_> = group.restarted.drain().collect();
        for ((_, pin), lost) in single {
            group
                .restarted
                .extend((0..count).map(|bucket| ((bucket, pin), lost)));
        }
        self.retire_lines(on, old);
        Ok(())
    }

    /// New routes find this group no more: it is about to differ from its paths.
    pub(super) fn unshare(&mut self, id: GroupId) {
        let Some(paths) = self.get_mut(id).and_then(|g| g.shared_as.take()) else {
            return;
        };
        if self.by_paths.get(&paths) == Some(&id) {
            self.by_paths.remove(&paths);
        }
    }

    /// A route uses the group no more, and readers find no way from that route to it. Returns the next hops
    /// that it named, if it ended with this.
    pub(crate) fn release(
        &mut self,
        on: Shared<'_>,
        nhops: &mut NhopCtl,
        id: GroupId,
    ) -> Vec<NhopIdx> {
        self.touch();
        let Some(group) = self.get_mut(id) else {
            return Vec::new();
        };
        group.routes = group.routes.saturating_sub(1);
        if group.routes > 0 {
            return Vec::new();
        }
        self.unshare(id);
        let Some(group) = self.groups.get_mut(id.0 as usize).and_then(Option::take) else {
            return Vec::new();
        };
        self.unschedule(id, &group);
        let epoch = on.qsbr.advance();
        self.old.put(epoch, Old::Lines(group.buckets));
        group
            .pins
            .into_iter()
            .for_each(|(pins, _)| self.old.put(epoch, Old::Lines(pins)));
        self.old.put(epoch, Old::Group(id));
        group.members.iter().for_each(|m| nhops.leave(m.is.idx, id));
        group.members.iter().map(|m| m.is.idx).collect()
    }

    /// Nothing is due to a group any more that has ended.
    fn unschedule(&mut self, id: GroupId, group: &Group) {
        if let Some(at) = group.forget_at {
            self.forgetting.remove(&(at, id));
        }
        if let Some(at) = group.step_at {
            self.starting.remove(&(at, id));
        }
    }

    /// Whether buckets went back since the last call whose flows are to follow: stamps are to be bumped.
    pub(crate) fn take_called_back(&mut self) -> bool {
        std::mem::take(&mut self.called_back)
    }

    /// Takes back a group that was never published.
    pub(super) fn discard(&mut self, id: GroupId) {
        if let Some(group) = self.groups.get_mut(id.0 as usize).and_then(Option::take) {
            self.unschedule(id, &group);
            self.lines.give(group.buckets);
            group
                .pins
                .into_iter()
                .for_each(|(pins, _)| self.lines.give(pins));
            self.free.push(id);
        }
    }

    pub(super) fn install(
        &mut self,
        on: Shared<'_>,
        id: GroupId,
        layout: Layout,
        buckets: Block,
        options: Options,
    ) {
        let group = Group {
            members: Vec::new(),
            routes: 0,
            options,
            owner: None,
            turns: Vec::new(),
            layout,
            buckets,
            pins: None,
            over: Vec::new(),
            alive: false,
            outage: false,
            revived: None,
            shared_as: None,
            restarted: HashMap::new(),
            forget_at: None,
            starts: Vec::new(),
            step_at: None,
        };
        on.groups.publish_shape(id, group.shape());
        on.groups.publish_sticky(id, None, 0);
        on.groups.publish_members(id, 0, 0, false);
        if let Some(place) = self.groups.get_mut(id.0 as usize) {
            *place = Some(group);
        }
    }

    pub(super) fn take_id(&mut self, on: Shared<'_>) -> Result<GroupId, Full> {
        if self.free.is_empty() {
            self.reclaim(on.qsbr);
        }
        if let Some(id) = self.free.pop() {
            return Ok(id);
        }
        let id = GroupId(self.groups.len() as u32);
        if id.0 > self.max || !on.groups.slots.grow(id.0 as usize + 1) {
            return Err(Full {
                what: "next-hop groups",
                limit: u64::from(self.max),
            });
        }
        self.groups.push(None);
        Ok(id)
    }

    /// Takes lines whose contents are whatever they were.
    pub(super) fn take_lines(&mut self, on: Shared<'_>, count: u32) -> Result<Block, Full> {
        let block = match self.lines.take(count) {
            Some(block) => Some(block),
            None => {
                self.reclaim(on.qsbr);
                self.lines.take(count)
            }
        };
        let grown = block.filter(|b| on.groups.lines.grow(b.end() as usize));
        let limit = u64::from(self.lines.limit());
        grown.ok_or(Full {
            what: "lines of next-hop groups",
            limit,
        })
    }

    pub(super) fn give_lines(&mut self, block: Block) {
        self.lines.give(block);
    }

    pub(super) fn retire_lines(&mut self, on: Shared<'_>, block: Block) {
        self.old.put(on.qsbr.advance(), Old::Lines(block));
    }

    pub(super) fn order(&mut self, buckets: u32) -> Arc<[u32]> {
        Arc::clone(
            self.orders
                .entry(buckets)
                .or_insert_with(|| layout::scattered(buckets)),
        )
    }

    /// Makes usable again what every reader has let go of.
    pub(crate) fn reclaim(&mut self, qsbr: &Qsbr) {
        while let Some(old) = self.old.take_passed(qsbr) {
            match old {
                Old::Lines(block) => self.lines.give(block),
                Old::Group(id) => self.free.push(id),
            }
        }
    }
}

/// Whether routes share groups with such options without having been told to.
fn is_shared(options: Options) -> bool {
    options.sticky.is_none() && options.group.is_none()
}

/// Next hops and weights of a group that routes may share; `None` if the group is one that is not shared.
fn paths(nhops: &NhopCtl, wanted: &[Wanted]) -> Option<Box<[(NhopKey, u32)]>> {
    let path = |w: &Wanted| {
        let plain = w.weight > 0 && w.deadline.is_none();
        nhops
            .get(w.idx)
            .filter(|_| plain)
            .map(|nhop| (nhop.key, w.weight))
    };
    let mut paths = wanted.iter().map(path).collect::<Option<Vec<_>>>()?;
    paths.sort_unstable();
    Some(paths.into())
}
