//! Planning a batch: what differs from what there is, and the groups that it takes.

use super::{Batch, BatchSet, NONE, Op, Phase, TargetKey};
use crate::control::Control;
use crate::control::change::check_paths;
use crate::control::regroup::idxs;
use crate::error::RouteError;
use crate::ids::{FibId, GroupId};
use crate::nhgrp::Options;
use crate::nhop::NhopKey;
use crate::prefix::{Family, Prefix};
use std::net::IpAddr;

impl Batch {
    /// Compares routes of the batch with those that there are.
    pub(super) fn compare(&mut self, control: &mut Control, units: usize) {
        if let Err(error) = control.check_fib(self.spec.fib) {
            return self.refuse(error);
        }
        let end = self.spec.routes.len().min(self.next + units);
        let mut last = None;
        for at in self.next..end {
            let (prefix, set) = self.spec.routes[at];
            let old = control.rib.get(&prefix).unwrap_or(NONE);
            // A new route gets the group that it had before a restart, and no other's.
            let kept = control.kept.named(&prefix).filter(|_| old == NONE);
            let target = match last {
                Some((key, target)) if key == (old, set, kept) => Ok(target),
                _ => self.target(control, prefix, (old, set, kept)),
            };
            match target {
                Ok(target) => {
                    let key = (old, set, kept);
                    last = self.targets.contains_key(&key).then_some((key, target));
                    control.kept.forget(&prefix);
                    let change = target.map(|new| Op { prefix, old, new });
                    self.ops.extend(change);
                }
                Err(error) => return self.refuse(error),
            }
        }
        self.next = end;
        if end == self.spec.routes.len() {
            self.go_on(Phase::Doomed, 0);
        }
    }

    /// Nothing is published yet: what was made for the batch is let go.
    pub(super) fn refuse(&mut self, error: RouteError) {
        self.refused = Some(error);
        self.ops.clear();
        self.go_on(Phase::Release, 0);
    }

    /// The group that routes of group `old` get with a set; `None`: the one they have.
    fn target(
        &mut self,
        control: &mut Control,
        prefix: Prefix,
        key: TargetKey,
    ) -> Result<Option<GroupId>, RouteError> {
        let (old, set, _) = key;
        if let Some(target) = self.targets.get(&key) {
            return Ok(*target);
        }
        let none = BatchSet::default();
        let wish = self.spec.sets.get(set as usize).unwrap_or(&none);
        check_paths(prefix, &wish.paths, 0)?;
        let target = if old != NONE && control.has(old, wish) {
            None
        } else {
            let warning = control.mtu_warning(&wish.paths);
            let made = control.group_of_batch(prefix, old, wish)?;
            let warning = warning.or_else(|| control.share_warning(prefix, made));
            self.warning = self.warning.take().or(warning);
            Some(made)
        };
        self.held.extend(target);
        // Clients of a sticky route have templates of their own, so it shares its group with nobody.
        if !control.would_stick(old, wish) {
            self.targets.insert(key, target);
        }
        Ok(target)
    }

    /// Looks for routes that the batch does not name and that are to go.
    pub(super) fn find_doomed(&mut self, control: &Control, units: usize) {
        let (v4, v6) = (self.spec.replace_v4, self.spec.replace_v6);
        let slice = control.rib_slice(self.spec.fib, self.behind, (v4, v6), units);
        for &(prefix, old) in &slice {
            self.behind = Some(prefix);
            if self.is_doomed(&prefix) {
                let new = NONE;
                self.ops.push(Op { prefix, old, new });
            }
        }
        if slice.len() < units {
            self.planned(control);
        }
    }

    /// Whether the batch does not name a prefix, as it had to. Asked in ascending order.
    fn is_doomed(&mut self, prefix: &Prefix) -> bool {
        let routes = &self.spec.routes;
        while routes
            .get(self.next)
            .is_some_and(|(named, _)| named < prefix)
        {
            self.next += 1;
        }
        let named = routes
            .get(self.next)
            .is_some_and(|(named, _)| named == prefix);
        !named && self.spec.replaces(prefix) && !self.spec.keep.contains(prefix)
    }

    /// All changes are known: is there room for the routes?
    fn planned(&mut self, control: &Control) {
        let limit = u64::from(control.cfg.max_routes);
        for family in [Family::V4, Family::V6] {
            let of_family = |op: &&Op| op.prefix.family() == family;
            let count = |wanted: fn(&Op) -> bool| {
                let ops = self.ops.iter().filter(of_family);
                ops.filter(|op| wanted(op)).count() as u64
            };
            let (new, gone) = (count(|op| op.old == NONE), count(|op| op.new == NONE));
            let after = control.rib.len(family) as u64 + new - gone;
            if new > gone && after > limit {
                let what = "routes";
                return self.refuse(RouteError::Full { what, limit });
            }
        }
        self.go_on(Phase::Planned, 0);
    }
}

impl Control {
    /// Up to `max` routes of a FIB, of these families (IPv4, IPv6), that follow a prefix, in order.
    fn rib_slice(
        &self,
        fib: FibId,
        after: Option<Prefix>,
        (v4, v6): (bool, bool),
        max: usize,
    ) -> Vec<(Prefix, GroupId)> {
        if !v4 && !v6 {
            return Vec::new();
        }
        // IPv6 follows the last prefix that IPv4 has.
        let last4 = Prefix::host(IpAddr::from([255; 4])).in_fib(fib);
        let of_families = |(prefix, _): &(Prefix, GroupId)| v6 || prefix.addr().is_ipv4();
        let after = after.or_else(|| (!v4).then_some(last4));
        let routes = self.rib.of_fib(fib, after).take_while(of_families);
        routes.take(max).collect()
    }

    /// Whether a group is what a set asks for.
    fn has(&self, group: GroupId, wish: &BatchSet) -> bool {
        let Some(group) = self.groups.get(group) else {
            return false;
        };
        let weight = |key: &NhopKey| {
            let idx = self.nhops.idx(key)?;
            group.member(idx).map(|member| member.is.weight)
        };
        group.members.len() == wish.paths.len()
            && wish.options.over(group.options) == group.options
            && wish
                .paths
                .iter()
                .all(|path| weight(&path.key) == Some(path.weight))
    }

    /// Whether a route of group `old` is sticky after a set.
    fn would_stick(&self, old: GroupId, wish: &BatchSet) -> bool {
        let is = self.groups.get(old).map(|group| group.options);
        wish.options.over(is.unwrap_or_default()).sticky.is_some()
    }

    /// A group as a set asks for it, with one more use: for new routes any such, for routes of `old` a copy of that.
    fn group_of_batch(
        &mut self,
        prefix: Prefix,
        old: GroupId,
        wish: &BatchSet,
    ) -> Result<GroupId, RouteError> {
        let wanted = self.intern(prefix, &[], &wish.paths, None)?;
        let present = self
            .groups
            .get(old)
            .map(|group| (group.buckets(), group.options));
        let options = |is| wish.options.over(is);
        let made = match present {
            Some((buckets, is)) if buckets > 1 || wanted.len() > 1 => {
                self.copy_with(prefix, old, &wanted, options(is))
            }
            Some((_, is)) => self.group_for(prefix, &wanted, options(is)),
            None => self.group_of_new(prefix, &wanted, options(Options::default())),
        };
        made.inspect_err(|_| {
            self.end_unnamed(&idxs(&wanted));
        })
    }
}
