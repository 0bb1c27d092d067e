//! Planning a batch: what differs from what there is, and the groups that it takes.

use super::{Batch, BatchSet, NONE, Op, Phase, TargetKey};
use crate::control::Control;
use crate::control::change::check_paths;
use crate::control::named::{check_buckets, check_members};
use crate::control::regroup::idxs;
use crate::error::{GroupError, RouteError};
use crate::ids::{FibId, GroupId, GroupNo};
use crate::nhgrp::{Options, OptionsAsked};
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
            let key = (
                old,
                set,
                kept,
                prefix.addr().is_ipv6() && self.is_named(set),
            );
            let target = match last {
                Some((last, target)) if last == key => Ok(target),
                _ => self.target(control, prefix, key),
            };
            match target {
                Ok(target) => {
                    last = self.targets.contains_key(&key).then_some((key, target));
                    control.kept.forget(&prefix);
                    let change = target.map(|new| Op { prefix, old, new });
                    self.ops.extend(change);
                }
                Err(error) => {
                    self.refused_at = Some(prefix);
                    return self.refuse(error);
                }
            }
        }
        self.next = end;
        if end == self.spec.routes.len() {
            self.go_on(Phase::Doomed, 0);
        }
    }

    /// Whether a set names a group that has a number.
    fn is_named(&self, set: u32) -> bool {
        let set = self.spec.sets.get(set as usize);
        set.is_some_and(|set| set.options.group.is_some())
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
        let (old, set, ..) = key;
        if let Some(target) = self.targets.get(&key) {
            return Ok(*target);
        }
        let none = BatchSet::default();
        let wish = self.spec.sets.get(set as usize).unwrap_or(&none);
        check_wish(prefix, wish)?;
        let target = if old != NONE && control.has(old, wish) {
            None
        } else {
            let warning = control.mtu_warning(&wish.paths);
            let made = control.group_of_batch(prefix, old, wish, &mut self.numbers)?;
            let warning = warning.or_else(|| control.share_warning(&prefix.to_string(), made));
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

/// Refuses a set that no route can have. It may leave the members out of a group that has a number.
fn check_wish(prefix: Prefix, wish: &BatchSet) -> Result<(), RouteError> {
    check_buckets(&wish.options)?;
    match wish.options.group {
        Some(_) if wish.paths.is_empty() => Ok(()),
        Some(number) => check_members(number, &wish.paths, 0),
        None => check_paths(prefix, &wish.paths, 0),
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
        let Some(is) = self.groups.get(group).map(|group| group.options) else {
            return false;
        };
        let buckets = wish.options.buckets;
        let asked = OptionsAsked {
            buckets: buckets.filter(|buckets| *buckets != self.groups.size_of(group)),
            ..wish.options
        };
        // A group that has a number may be named without its members.
        let named = asked.group.is_some() && wish.paths.is_empty();
        asked.over(is) == is && (named || self.has_paths(group, &wish.paths))
    }

    /// Whether a route of group `old` is sticky after a set.
    fn would_stick(&self, old: GroupId, wish: &BatchSet) -> bool {
        let is = self.groups.get(old).map(|group| group.options);
        let options = wish.options.over(is.unwrap_or_default());
        options.sticky.is_some() && wish.options.group.is_none()
    }

    /// A group as a set asks for it, with one more use: for new routes any such, for routes of `old` a copy of that. One
    /// that is to have a number, and has none yet, is added to `numbers`.
    fn group_of_batch(
        &mut self,
        prefix: Prefix,
        old: GroupId,
        wish: &BatchSet,
        numbers: &mut Vec<GroupNo>,
    ) -> Result<GroupId, RouteError> {
        let number = wish.options.group;
        if let Some(number) = number.filter(|number| self.named.get(*number).is_some()) {
            return self.join_named(prefix, number, &wish.paths, &wish.options);
        }
        if let Some(number) = number.filter(|_| wish.paths.is_empty()) {
            return Err(RouteError::Group(number, GroupError::None));
        }
        let made = self.make_of_batch(prefix, old, wish)?;
        if let Some(number) = number {
            self.hold(number, made);
            numbers.push(number);
        }
        Ok(made)
    }

    fn make_of_batch(
        &mut self,
        prefix: Prefix,
        old: GroupId,
        wish: &BatchSet,
    ) -> Result<GroupId, RouteError> {
        let present = self
            .groups
            .get(old)
            .map(|group| (group.buckets(), group.options));
        let asked = match present {
            Some(_) => self.check_fixed(&prefix.to_string(), old, wish.options)?,
            None => wish.options,
        };
        let options = |is: Options| Options {
            group: asked.group,
            ..asked.over(is)
        };
        let size = match present {
            Some(_) => self.groups.size_of(old),
            None => self.groups.size(options(Options::default())),
        };
        let wanted = self.intern(prefix, &[], &wish.paths, None, size)?;
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
