//! Next hops die, return and drain; deadlines come; what was remembered is forgotten.

use super::{Control, shared};
use crate::ids::{GroupId, NhopIdx, Secs};
use crate::info::Change;
use crate::nhgrp::Member;
use crate::nhop::{Admin, Health};
use crate::prefix::Prefix;
use std::sync::Arc;

/// Workers' notes of remembered owners carry the low bits of the time only.
const NOTE_BITS: u32 = 22;

impl Control {
    /// Notes whether a next hop can be reached. Dead: its buckets in every group are rewritten, then its word
    /// is stored. Otherwise it is published and gets its own buckets back. Returns whether that is new.
    pub fn set_health(&mut self, idx: NhopIdx, health: Health, now: Secs) -> bool {
        self.at(now);
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
            let returned = Some(idx).filter(|_| after.0);
            for group in groups {
                self.groups
                    .resettle(shared(&view), &self.nhops, group, returned, self.now);
            }
        }
        self.nhops.publish(&view.nhops, idx);
        true
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
        self.reclaim();
        changes
    }

    fn expire(&mut self, prefix: Prefix) -> Option<Change> {
        let group = self.rib.get(&prefix)?;
        let due = |m: &&Member| m.is.deadline.is_some_and(|at| at <= self.now);
        let members = &self.groups.get(group)?.members;
        let due: Vec<NhopIdx> = members.iter().filter(due).map(|m| m.is.idx).collect();
        if due.is_empty() {
            return None;
        }
        for idx in &due {
            self.nhops.drain_over(*idx, group, true);
        }
        match self.delete_paths(prefix, group, &due) {
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
