//! How long a bucket remembers: clocks that are restarted, and history that is forgotten.

use super::ctl::{GroupCtl, Shared};
use crate::ids::{GroupId, Secs};

/// Clocks of owners that are still used restart for this many idle timeouts after the loss.
const RESTARTS: u32 = 4;

impl GroupCtl {
    /// Unpinned packets took a remembered owner at `at`: its clock restarts, up to four `idle` after it lost
    /// the bucket. A note about a place that has changed since is ignored.
    pub(crate) fn remembered_used(
        &mut self,
        on: Shared<'_>,
        id: GroupId,
        bucket: u32,
        place: u8,
        at: Secs,
        idle: u32,
    ) {
        let Some(group) = self.get_mut(id).filter(|g| bucket < g.buckets()) else {
            return;
        };
        let Some(line) = on.groups.line(group.buckets.base + bucket) else {
            return;
        };
        let Some(lost) = line.at_place(place) else {
            return;
        };
        let runs = lost.age(at);
        if runs == 0 {
            return;
        }
        let started = Secs(at.0.saturating_sub(runs));
        let lost_at = *group
            .restarted
            .entry((bucket, lost.pin()))
            .or_insert(started);
        let until = lost_at.after(idle.saturating_mul(RESTARTS));
        if at.min(until) > started {
            line.restart(place, at.min(until));
        }
    }

    /// Notes that a group may have history to forget, `remember` seconds from now.
    pub(super) fn forget_from(&mut self, id: GroupId, now: Secs) {
        let at = now.after(self.remember);
        let Some(group) = self.get_mut(id).filter(|g| g.forget_at.is_none()) else {
            return;
        };
        group.forget_at = Some(at);
        self.forgetting.insert((at, id));
    }

    /// Forgets whatever has been remembered for long enough.
    pub(crate) fn forget(&mut self, on: Shared<'_>, now: Secs) {
        while let Some(&(at, id)) = self.forgetting.first().filter(|(at, _)| *at <= now) {
            self.forgetting.remove(&(at, id));
            let remember = self.remember;
            let Some(group) = self.get_mut(id) else {
                continue;
            };
            group.forget_at = None;
            let mut oldest = None;
            for bucket in 0..group.buckets() {
                let Some(line) = on.groups.line(group.buckets.base + bucket) else {
                    continue;
                };
                line.retain(|lost| lost.age(now) < remember);
                oldest = line
                    .remembered()
                    .map(|lost| lost.age(now))
                    .chain(oldest)
                    .max();
            }
            let base = group.buckets.base;
            group.restarted.retain(|(bucket, pin), _| {
                let line = on.groups.line(base + bucket);
                line.is_some_and(|line| line.remembered().any(|lost| lost.pin() == *pin))
            });
            if let Some(age) = oldest {
                self.forget_from(id, Secs(now.0.saturating_sub(age)));
            }
        }
    }
}
