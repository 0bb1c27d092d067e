//! Next hops die, return and drain; deadlines come; what was remembered is forgotten.

use super::{Control, shared};
use crate::ids::{GroupId, NhopIdx, Secs};
use crate::info::Change;
use crate::nhgrp::{Died, Member};
use crate::nhop::{Admin, Health};
use crate::prefix::Prefix;
use std::sync::Arc;

/// Workers' notes of remembered owners carry the low bits of the time only.
const NOTE_BITS: u32 = 22;

impl Control {
    /// Notes whether a next hop can be reached. Dead: its buckets in every group are rewritten, then its word
    /// is stored. Otherwise it is published and gets its own buckets back. Returns whether that is new.
    ///
    /// One that starts slowly in some group is *returning* until it has all its buckets back there.
    pub fn set_health(&mut self, idx: NhopIdx, health: Health, now: Secs) -> bool {
        self.at(now);
        if health == Health::Up && self.returning.contains(&idx) && self.is_starting(idx) {
            return false;
        }
        self.restate(idx, |control| control.nhops.set_health(idx, health))
    }

    /// Notes what the operator wants of a next hop, in every group. Draining or drained: its buckets are
    /// rewritten, then its word is stored. In: it is published and gets its own buckets back. Returns whether
    /// that is new.
    pub fn set_admin(&mut self, idx: NhopIdx, admin: Admin, now: Secs) -> bool {
        self.at(now);
        self.restate(idx, |control| control.nhops.set_admin(idx, admin))
    }

    fn restate(&mut self, idx: NhopIdx, set: impl FnOnce(&mut Self) -> bool) -> bool {
        let takes = |control: &Self| control.nhops.get(idx).is_some_and(|n| n.takes_buckets());
        let keeps = |control: &Self| control.nhops.get(idx).is_some_and(|n| n.keeps_flows());
        let dead = |control: &Self| control.nhops.get(idx).map(|n| n.health) == Some(Health::Dead);
        let died = Died(dead(self));
        let before = (takes(self), keeps(self));
        if !set(self) {
            return false;
        }
        let after = (takes(self), keeps(self));
        let view = Arc::clone(&self.view);
        if after.0 || !before.1 && after.1 {
            // It gains: a bucket given to it must find it alive.
            self.nhops.publish(&view.nhops, idx);
        }
        if before != after {
            let groups: Vec<GroupId> = self
                .nhops
                .get(idx)
                .into_iter()
                .flat_map(|n| n.groups.iter().copied())
                .collect();
            let returned = Some((idx, died)).filter(|_| after.0);
            for group in groups {
                self.groups
                    .resettle(shared(&view), &self.nhops, group, returned, self.now);
            }
            if after.0 && self.is_starting(idx) {
                self.nhops.set_health(idx, Health::Returning);
                self.returning.insert(idx);
            }
        }
        self.nhops.publish(&view.nhops, idx);
        self.call_back();
        self.unsettle();
        true
    }

    /// Whether a next hop has not all of its buckets yet in some group.
    fn is_starting(&self, idx: NhopIdx) -> bool {
        let nhop = self.nhops.get(idx);
        nhop.is_some_and(|n| n.groups.iter().any(|id| self.groups.is_starting(*id, idx)))
    }

    /// Flows whose own next hop is back look their routes up again. Which prefixes use a group is not known here, so
    /// every flow does.
    fn call_back(&mut self) {
        if self.groups.take_called_back() {
            self.view.stamps.bump_all();
        }
    }

    /// Next hops that start slowly get what is due to them. Returns those that came back and have all their buckets
    /// now: they are up.
    pub fn step_starts(&mut self, now: Secs) -> Vec<NhopIdx> {
        self.at(now);
        let view = Arc::clone(&self.view);
        self.groups
            .step_starts(shared(&view), &self.nhops, self.now);
        self.call_back();
        let done = |idx: &NhopIdx| !self.is_starting(*idx);
        let done: Vec<NhopIdx> = self.returning.iter().copied().filter(done).collect();
        let mut up = Vec::new();
        for idx in done {
            self.returning.remove(&idx);
            let health = self.nhops.get(idx).map(|n| n.health);
            if health == Some(Health::Returning) {
                self.nhops.set_health(idx, Health::Up);
                self.nhops.publish(&view.nhops, idx);
                up.push(idx);
            }
        }
        up
    }

    /// Workers saw unpinned packets take a remembered owner at `at`, a recent time of which the low 22 bits
    /// count: its clock restarts, up to four idle timeouts after it lost the bucket.
    pub fn remembered_used(&mut self, group: GroupId, bucket: u32, place: u8, at: Secs) {
        let mask = (1 << NOTE_BITS) - 1;
        // A note made after the last time that was handed in is a little ahead of it, not ages behind.
        let ahead = at.0.wrapping_sub(self.now.0) & mask;
        let at = if ahead <= mask / 2 {
            self.now.after(ahead)
        } else {
            Secs(self.now.0.saturating_sub(mask + 1 - ahead))
        };
        let view = Arc::clone(&self.view);
        self.groups
            .remembered_used(shared(&view), group, bucket, place, at, self.cfg.idle);
    }

    /// Time passes: drained paths whose deadline has come leave their routes, what was remembered for long
    /// enough is forgotten, and memory that every reader has let go of is used again.
    pub fn tick(&mut self, now: Secs) -> Vec<Change> {
        self.at(now);
        let mut changes = Vec::new();
        while let Some(&(at, prefix)) = self.deadlines.first().filter(|(at, _)| *at <= self.now) {
            self.deadlines.remove(&(at, prefix));
            changes.extend(self.expire(prefix));
        }
        let view = Arc::clone(&self.view);
        self.groups.forget(shared(&view), self.now);
        self.expire_kept(self.now);
        self.reclaim();
        changes
    }

    /// Whether nothing is to be done within seconds, but what may as well wait one: no slow start, no recursive next
    /// hop to be resolved, no drain that ends by then.
    pub fn rests(&self, by: Secs) -> bool {
        let due = self.deadlines(by).next().is_some() || self.group_deadlines(by).next().is_some();
        !due && !self.unsettled && !self.groups.has_starts()
    }

    /// Drains of paths whose deadline comes by then: their routes.
    pub fn deadlines(&self, by: Secs) -> impl Iterator<Item = (Secs, Prefix)> + '_ {
        let due = self.deadlines.iter().take_while(move |(at, _)| *at <= by);
        due.copied()
    }

    /// As [`Self::tick`], of one route's drains alone.
    pub fn expire_route(&mut self, prefix: Prefix, now: Secs) -> Option<Change> {
        self.at(now);
        self.expire(prefix)
    }

    fn expire(&mut self, prefix: Prefix) -> Option<Change> {
        let group = self.rib.get(&prefix)?;
        let due = |m: &&Member| m.is.deadline.is_some_and(|at| at <= self.now);
        // Members of a group with a number leave it for all its routes at once.
        let group_of = self.groups.get(group).filter(|g| g.options.group.is_none());
        let members = &group_of?.members;
        let due: Vec<NhopIdx> = members.iter().filter(due).map(|m| m.is.idx).collect();
        if due.is_empty() {
            return None;
        }
        for idx in &due {
            self.nhops.drain_over(*idx, group, true);
        }
        self.groups.set_over(&due);
        let deleted = self.delete_paths(prefix, group, &due);
        self.groups.set_over(&[]);
        match deleted {
            Ok(change) if self.rib.get(&prefix).is_none() => {
                let warning = format!("{prefix} is deleted: its last path has drained");
                Some(Change {
                    warning: Some(warning),
                    ..change
                })
            }
            Ok(change) => Some(change),
            Err(_) => {
                // No line is left for the shorter list of members: tried again when some come free.
                for idx in due {
                    self.nhops.drain_over(idx, group, false);
                }
                self.deadlines.insert((self.now.after(1), prefix));
                None
            }
        }
    }
}
