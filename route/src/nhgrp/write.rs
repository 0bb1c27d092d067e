//! Writing a group: members and buckets, in the order that keeps every reader right.
//!
//! 1. Who joins is published as a member before any bucket names it, so no flow that chose it is sent away.
//! 2. Buckets get their new owners; each remembers whom it left, if that one still keeps its flows.
//! 3. Who left is erased from all histories, and only then ceases to be a member.
//!
//! The caller then bumps stamps and, last, stores next hops' words (design section 4).

use super::buddy::Block;
use super::ctl::{Group, GroupCtl, Member, Shared, Wanted};
use super::layout::Standing;
use super::options::Options;
use super::selection::Selection;
use crate::error::Full;
use crate::ids::{GroupId, NhopIdx, Pin, Secs};
use crate::nhop::{Admin, NhopCtl};
use crate::sync::Ordering;

/// Member pins a line.
const PINS: usize = 8;

impl GroupCtl {
    /// Makes `wanted` the members of a group that no other route uses. Returns who left.
    pub(crate) fn set_members(
        &mut self,
        on: Shared<'_>,
        nhops: &mut NhopCtl,
        id: GroupId,
        wanted: &[Wanted],
        now: Secs,
    ) -> Result<Vec<NhopIdx>, Full> {
        let Some(group) = self.get(id) else {
            return Ok(Vec::new());
        };
        let is_wanted = |idx| wanted.iter().any(|w: &Wanted| w.idx == idx);
        let leaving: Vec<Member> = group
            .members
            .iter()
            .filter(|m| !is_wanted(m.is.idx))
            .copied()
            .collect();
        let takers = takers(group, wanted);
        let stay = (!leaving.is_empty()).then_some(wanted.len());
        let (room, last) = self.take_room(on, wanted.len() + leaving.len(), stay)?;
        if wanted.len() > 1 {
            self.grow(on, id).inspect_err(|_| {
                self.give_lines(room);
                last.into_iter().for_each(|lines| self.give_lines(lines));
            })?;
        }
        self.unshare(id);
        self.join(nhops, id, wanted);
        self.publish_members(on, id, room, &leaving);
        self.settle(on, nhops, id, &|idx| takers.contains(&idx), now);
        if let Some(last) = last {
            self.publish_members(on, id, last, &[]);
        }
        leaving.iter().for_each(|m| nhops.leave(m.is.idx, id));
        Ok(leaving.iter().map(|m| m.is.idx).collect())
    }

    /// Changes how a group that no other route uses treats its flows. Pinned flows stay where they are.
    pub(crate) fn set_options(
        &mut self,
        on: Shared<'_>,
        nhops: &NhopCtl,
        id: GroupId,
        options: Options,
        now: Secs,
    ) {
        if self.get(id).is_none_or(|group| group.options == options) {
            return;
        }
        self.unshare(id);
        if let Some(group) = self.get_mut(id) {
            group.options = options;
            on.groups.publish_shape(id, group.shape());
        }
        self.settle(on, nhops, id, &|_| false, now);
    }

    /// Rewrites a group's buckets after a next hop's state changed. `returned` may take its buckets back.
    pub(crate) fn resettle(
        &mut self,
        on: Shared<'_>,
        nhops: &NhopCtl,
        id: GroupId,
        returned: Option<NhopIdx>,
        now: Secs,
    ) {
        self.settle(on, nhops, id, &|idx| returned == Some(idx), now);
    }

    /// Lines for so many member pins.
    pub(super) fn take_pins(&mut self, on: Shared<'_>, members: usize) -> Result<Block, Full> {
        self.take_lines(on, members.div_ceil(PINS) as u32)
    }

    /// Lines for the members while some are leaving, and if any are, for those who stay.
    fn take_room(
        &mut self,
        on: Shared<'_>,
        all: usize,
        stay: Option<usize>,
    ) -> Result<(Block, Option<Block>), Full> {
        let room = self.take_pins(on, all)?;
        let last = stay.map(|stay| self.take_pins(on, stay)).transpose();
        Ok((room, last.inspect_err(|_| self.give_lines(room))?))
    }

    /// Changes the list of members, and tells the layout and the next hops.
    fn join(&mut self, nhops: &mut NhopCtl, id: GroupId, wanted: &[Wanted]) {
        let Some(group) = self.get_mut(id) else {
            return;
        };
        let before = std::mem::take(&mut group.members);
        for member in &before {
            if wanted.iter().all(|w| w.idx != member.is.idx) {
                group.layout.leave(member.name);
            }
        }
        for is in wanted {
            let known = before.iter().find(|m| m.is.idx == is.idx);
            let name = match (known, nhops.get(is.idx)) {
                (Some(member), _) => member.name,
                (None, Some(nhop)) => group.layout.join(nhop.key),
                (None, None) => continue,
            };
            group.members.push(Member {
                is: *is,
                pin: nhops.pin(is.idx),
                name,
            });
            nhops.join(is.idx, id);
        }
    }

    /// Publishes the members, and `also` those who have not left yet, on lines that nobody reads.
    pub(super) fn publish_members(
        &mut self,
        on: Shared<'_>,
        id: GroupId,
        block: Block,
        also: &[Member],
    ) {
        let Some(group) = self.get_mut(id) else {
            return;
        };
        let mut pins: Vec<u64> = group
            .members
            .iter()
            .chain(also)
            .map(|m| m.pin.raw())
            .collect();
        pins.sort_unstable();
        for (line, pins) in (block.base..).zip(pins.chunks(PINS)) {
            let Some(line) = on.groups.line(line) else {
                continue;
            };
            line.0
                .iter()
                .zip(pins)
                .for_each(|(word, pin)| word.store(*pin, Ordering::Relaxed));
        }
        let count = pins.len() as u32;
        on.groups
            .publish_members(id, block.base, count, group.alive);
        if let Some((old, _)) = group.pins.replace((block, count)) {
            self.retire_lines(on, old);
        }
    }

    fn settle(
        &mut self,
        on: Shared<'_>,
        nhops: &NhopCtl,
        id: GroupId,
        takes: &dyn Fn(NhopIdx) -> bool,
        now: Secs,
    ) {
        let Some(group) = self.get_mut(id) else {
            return;
        };
        let standing = standing(group, nhops, takes);
        let alive = standing.iter().any(|s| s.eligible && s.weight > 0);
        // A search for a live owner must not be called vain while there may be one.
        if alive && !group.alive {
            publish_alive(on, id, group, true);
        }
        let base = group.buckets.base;
        group.layout.set_remembered(|bucket| {
            on.groups
                .line(base + bucket)
                .map_or(0, |line| line.remembered().count() as u8)
        });
        group.layout.settle(&standing);
        take_turns(on, id, group, &standing);
        let remembers = write_buckets(on, nhops, group, now);
        if !alive && group.alive {
            publish_alive(on, id, group, false);
        }
        if remembers {
            self.forget_from(id, now);
        }
    }
}

/// With [`Selection::ModN`]: who is eligible takes turns, in the order of addition.
fn take_turns(on: Shared<'_>, id: GroupId, group: &mut Group, standing: &[Standing]) {
    let takes = |name: &usize| {
        let standing = standing.get(*name);
        standing.is_some_and(|s| s.eligible && s.weight > 0)
    };
    let turns: Vec<usize> = match group.options.selection {
        Selection::ModN => group.members.iter().map(|m| m.name).filter(takes).collect(),
        _ => Vec::new(),
    };
    if turns != group.turns {
        group.turns = turns;
        on.groups.publish_shape(id, group.shape());
    }
}

fn publish_alive(on: Shared<'_>, id: GroupId, group: &mut Group, alive: bool) {
    group.alive = alive;
    let (base, count) = group
        .pins
        .map_or((0, 0), |(block, count)| (block.base, count));
    on.groups.publish_members(id, base, count, alive);
}

/// Who may take buckets from others: all, if the weight of one who stays changes, else those who join.
fn takers(group: &Group, wanted: &[Wanted]) -> Vec<NhopIdx> {
    let before = |w: &Wanted| group.member(w.idx).map(|m| m.is.weight);
    let reweighted = wanted
        .iter()
        .any(|w| before(w).is_some_and(|weight| weight != w.weight));
    let takes = |w: &&Wanted| reweighted || before(w).is_none();
    wanted.iter().filter(takes).map(|w| w.idx).collect()
}

fn standing(group: &Group, nhops: &NhopCtl, takes: &dyn Fn(NhopIdx) -> bool) -> Vec<Standing> {
    let names = group.members.iter().map(|m| m.name + 1).max().unwrap_or(0);
    let mut standing = vec![Standing::default(); names];
    for member in &group.members {
        let nhop = nhops.get(member.is.idx);
        standing[member.name] = Standing {
            weight: member.is.weight,
            eligible: nhop.is_some_and(|n| n.takes_buckets()),
            stays: nhop.is_some_and(|n| n.admin == Admin::In),
            takes: takes(member.is.idx),
        };
    }
    standing
}

/// Stores every owner that changed, and forgets whoever does not keep its flows. Returns whether any bucket
/// remembers anyone.
fn write_buckets(on: Shared<'_>, nhops: &NhopCtl, group: &mut Group, now: Secs) -> bool {
    let pin_of = |name| {
        group
            .members
            .iter()
            .find(|m| m.name == name)
            .map_or(Pin::NONE, |m| m.pin)
    };
    let names = group.members.iter().map(|m| m.name + 1).max().unwrap_or(0);
    let pins: Vec<Pin> = (0..names).map(pin_of).collect();
    let mut keeping: Vec<Pin> = group
        .members
        .iter()
        .map(|m| m.pin)
        .filter(|pin| nhops.pinned(*pin).is_some_and(|n| n.keeps_flows()))
        .collect();
    keeping.sort_unstable();
    let keeps = |pin: Pin| keeping.binary_search(&pin).is_ok();
    let mut remembers = false;
    for bucket in 0..group.layout.buckets() {
        let Some(line) = on.groups.line(group.buckets.base + bucket) else {
            continue;
        };
        let owner = match group.turns.as_slice() {
            [] => group.layout.owner(bucket),
            turns => Some(turns[bucket as usize % turns.len()]),
        };
        let owner = owner.and_then(|name| pins.get(name));
        let (owner, before) = (owner.copied().unwrap_or(Pin::NONE), line.owner());
        if owner != before {
            // Who only takes turns leaves nothing behind: that is what it is compared for.
            let remember = group.turns.is_empty() && keeps(before);
            line.give(owner, remember, now);
            group.restarted.remove(&(bucket, before));
        }
        line.retain(|lost| keeps(lost.pin()));
        remembers |= line.at_place(0).is_some();
    }
    group.restarted.retain(|(_, pin), _| keeps(*pin));
    remembers
}
