//! Writing a group: members and buckets, in the order that keeps every reader right.
//!
//! 1. Who joins is published as a member before any bucket names it, so no flow that chose it is sent away.
//! 2. Buckets get their new owners; each remembers whom it left, if that one still keeps its flows.
//! 3. Who left is erased from all histories, and only then ceases to be a member.
//!
//! The caller then bumps stamps and, last, stores next hops' words (design section 4).

use super::LEFT;
use super::affinity::{self, StickyOf};
use super::buddy::Block;
use super::ctl::{GroupCtl, Shared};
use super::group::{Group, Member, Wanted};
use super::layout::{self, Stance, Standing};
use super::line::Owner;
use super::options::{Failback, Options};
use super::selection::Selection;
use crate::error::Full;
use crate::ids::{GroupId, NhopIdx, Pin, Secs};
use crate::nhop::{Admin, NhopCtl};
use crate::prefix::Prefix;
use crate::sync::Ordering;

/// Member pins a line.
const PINS: usize = 8;

/// Of so many that left at their deadline a group tells that they did.
const OVER: usize = 8;

/// Whether a next hop that returns had died.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Died(pub(crate) bool);

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
        let (takers, starters) = (takers(group, wanted), starters(group, wanted));
        let is_over = |m: &&Member| self.over.contains(&m.is.idx);
        let over: Vec<Pin> = leaving.iter().filter(is_over).map(|m| m.pin).collect();
        let (over_before, over_after) =
            (group.over.len(), (group.over.len() + over.len()).min(OVER));
        let stay = (!leaving.is_empty()).then_some(wanted.len() + over_after);
        let all = wanted.len() + leaving.len() + over_before;
        let (room, last) = self.take_room(on, all, stay)?;
        if wanted.len() > 1 {
            self.grow(on, id).inspect_err(|_| {
                self.give_lines(room);
                last.into_iter().for_each(|lines| self.give_lines(lines));
            })?;
        }
        self.unshare(id);
        if let Some(group) = self.get_mut(id) {
            group.over.retain(|pin| !is_wanted(pin.idx()));
        }
        self.join(nhops, id, wanted);
        self.start(id, &starters, false, now);
        self.publish_members(on, id, room, &leaving);
        self.settle(on, nhops, id, &|idx| takers.contains(&idx), now);
        if let Some(last) = last {
            if let Some(group) = self.get_mut(id) {
                group.over.extend(over);
                let old = group.over.len().saturating_sub(OVER);
                group.over.drain(..old);
            }
            self.publish_members(on, id, last, &[]);
        }
        leaving.iter().for_each(|m| nhops.leave(m.is.idx, id));
        Ok(leaving.iter().map(|m| m.is.idx).collect())
    }

    /// Drains of these next hops come to their deadline now, or no more do.
    pub(crate) fn set_over(&mut self, over: &[NhopIdx]) {
        self.over = over.to_vec();
    }

    /// Changes how a group that no route but `route` uses, if it is sticky and has no number, treats its flows. Pinned
    /// flows stay where they are.
    pub(crate) fn set_options(
        &mut self,
        on: Shared<'_>,
        nhops: &NhopCtl,
        id: GroupId,
        options: Options,
        route: Prefix,
        now: Secs,
    ) {
        let owner = options
            .group
            .map_or(StickyOf::Route(route), StickyOf::Group);
        let same = |group: &Group| {
            group.options == options && (options.sticky.is_none() || group.owner == Some(owner))
        };
        if self.get(id).is_none_or(same) {
            return;
        }
        self.unshare(id);
        if let Some(group) = self.get_mut(id) {
            group.options = options;
            group.owner = options.sticky.map(|_| owner);
            on.groups.publish_shape(id, group.shape());
            let affinity = affinity::of(&owner);
            on.groups.publish_sticky(id, options.sticky, affinity);
        }
        self.settle(on, nhops, id, &|_| false, now);
    }

    /// Rewrites a group's buckets after a next hop's state changed. `returned` may take its buckets back, and comes
    /// from the dead or from a drain.
    pub(crate) fn resettle(
        &mut self,
        on: Shared<'_>,
        nhops: &NhopCtl,
        id: GroupId,
        returned: Option<(NhopIdx, Died)>,
        now: Secs,
    ) {
        let back = returned.map(|(idx, _)| idx);
        if let Some((idx, Died(died))) = returned {
            self.start(id, &[idx], died, now);
        }
        self.settle(on, nhops, id, &|idx| back == Some(idx), now);
    }

    fn start(&mut self, id: GroupId, who: &[NhopIdx], died: bool, now: Secs) {
        let Some(group) = self.get_mut(id) else {
            return;
        };
        for idx in who {
            let member = group.member(*idx).filter(|m| m.is.weight > 0);
            if let Some(name) = member.map(|m| m.name) {
                group.start(name, died, now);
            }
        }
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
            .chain(group.over.iter().map(|pin| pin.raw() | LEFT))
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

    pub(super) fn settle(
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
        let over = end_starts(group, nhops, now);
        let mut standing = standing(group, nhops, takes, now);
        for name in over {
            // Its share of what others stand in for is due to it too by now.
            standing[name].takes = true;
        }
        let alive = standing.iter().any(|s| s.eligible && s.weight > 0);
        // A search for a live owner must not be called vain while there may be one.
        if alive && !group.alive {
            publish_alive(on, id, group, true);
        }
        group.note_outage(alive, now);
        let base = group.buckets.base;
        group.layout.set_remembered(|bucket| {
            on.groups
                .line(base + bucket)
                .map_or(0, |line| line.remembered().count() as u8)
        });
        group.layout.settle(&standing);
        take_turns(on, id, group, &standing);
        let written = write_buckets(on, nhops, group, now);
        if !alive && group.alive {
            publish_alive(on, id, group, false);
        }
        self.called_back |= written.called_back;
        self.touch();
        if written.remembers {
            self.forget_from(id, now);
        }
        self.start_from(id, now);
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

/// Who starts slowly, if others have flows: those who join, and those who had no weight.
fn starters(group: &Group, wanted: &[Wanted]) -> Vec<NhopIdx> {
    if group.members.is_empty() {
        return Vec::new();
    }
    let had = |w: &Wanted| group.member(w.idx).is_some_and(|m| m.is.weight > 0);
    let starts = wanted.iter().filter(|w| w.weight > 0 && !had(w));
    starts.map(|w| w.idx).collect()
}

fn end_starts(group: &mut Group, nhops: &NhopCtl, now: Secs) -> Vec<layout::Member> {
    let takes = |m: &&Member| {
        let nhop = nhops.get(m.is.idx);
        m.is.weight > 0 && nhop.is_some_and(|n| n.takes_buckets())
    };
    let taking: Vec<_> = group.members.iter().filter(takes).map(|m| m.name).collect();
    group.end_starts(|name| taking.contains(&name), now)
}

fn standing(
    group: &Group,
    nhops: &NhopCtl,
    takes: &dyn Fn(NhopIdx) -> bool,
    now: Secs,
) -> Vec<Standing> {
    let names = group.members.iter().map(|m| m.name + 1).max().unwrap_or(0);
    let mut standing = vec![Standing::default(); names];
    for member in &group.members {
        let nhop = nhops.get(member.is.idx);
        standing[member.name] = Standing {
            weight: member.is.weight,
            eligible: nhop.is_some_and(|n| n.takes_buckets()),
            stays: nhop.is_some_and(|n| n.admin == Admin::In),
            takes: takes(member.is.idx),
            start: group.part(member.name, now),
        };
    }
    standing
}

/// What came of writing a group's buckets.
#[derive(Default)]
struct Written {
    /// Any bucket remembers anyone.
    remembers: bool,
    /// Buckets went back whose flows are to follow.
    called_back: bool,
}

/// Stores every owner that changed, and forgets whoever does not keep its flows.
fn write_buckets(on: Shared<'_>, nhops: &NhopCtl, group: &mut Group, now: Secs) -> Written {
    let pins = pins_by_name(group);
    let mut keeping: Vec<Pin> = group
        .members
        .iter()
        .map(|m| m.pin)
        .filter(|pin| nhops.pinned(*pin).is_some_and(|n| n.keeps_flows()))
        .collect();
    keeping.sort_unstable();
    let keeps = |pin: Pin| keeping.binary_search(&pin).is_ok();
    let returns = group.options.failback == Failback::Return;
    let reviving = group.is_reviving(now);
    let mut written = Written::default();
    for bucket in 0..group.layout.buckets() {
        let Some(line) = on.groups.line(group.buckets.base + bucket) else {
            continue;
        };
        let (owner, before) = (owner_of(group, &pins, bucket), line.owned());
        if owner != before {
            let goes_back = before.stance == Stance::StandIn && owner.stance == Stance::Back;
            let called_back = returns && goes_back;
            written.called_back |= called_back;
            // Who only takes turns leaves nothing behind: that is what it is compared for. And whose flows are called
            // back keeps none of them.
            let for_a_moment = reviving && before.stance == Stance::StandIn;
            let remember =
                group.turns.is_empty() && keeps(before.pin) && !called_back && !for_a_moment;
            line.give(owner, remember, now);
        }
        if owner.pin != before.pin {
            group.restarted.remove(&(bucket, before.pin));
        }
        line.retain(|lost| keeps(lost.pin()));
        written.remembers |= line.at_place(0).is_some();
    }
    group.restarted.retain(|(_, pin), _| keeps(*pin));
    written
}

fn pins_by_name(group: &Group) -> Vec<Pin> {
    let names = group.members.iter().map(|m| m.name + 1).max().unwrap_or(0);
    let mut pins = vec![Pin::NONE; names];
    for member in &group.members {
        pins[member.name] = member.pin;
    }
    pins
}

fn owner_of(group: &Group, pins: &[Pin], bucket: u32) -> Owner {
    let (owner, stance) = match group.turns.as_slice() {
        [] => (group.layout.owner(bucket), group.layout.stance(bucket)),
        turns => (Some(turns[bucket as usize % turns.len()]), Stance::Own),
    };
    Owner {
        pin: owner
            .and_then(|name| pins.get(name))
            .copied()
            .unwrap_or_default(),
        stance,
    }
}
