//! Copies of groups, for a change that is tried out and not made.

use super::Groups;
use super::affinity;
use super::ctl::{GroupCtl, Paths, Shared};
use super::group::Group;
use super::line::Line;
use super::options::Options;
use crate::error::Full;
use crate::ids::GroupId;
use crate::nhop::{NhopCtl, Path};

/// One group, copied whole: members, layout, buckets and their history.
#[derive(Debug)]
pub(crate) struct GroupCopy {
    /// Which group it was.
    pub(crate) id: GroupId,
    pub(crate) group: Group,
    lines: Box<[Line]>,
}

impl GroupCtl {
    /// A copy of a group. It takes no line and no id.
    pub(crate) fn copy_of(&self, groups: &Groups, id: GroupId) -> Option<GroupCopy> {
        let group = self.get(id)?.clone();
        let copy = |index| {
            let line = Line::default();
            if let Some(from) = groups.line(index) {
                line.copy_from(from);
            }
            line
        };
        let lines = (group.buckets.base..group.buckets.end())
            .map(copy)
            .collect();
        Some(GroupCopy { id, group, lines })
    }

    /// The group that new routes with these paths share.
    pub(crate) fn shared_by(&self, paths: &[Path], options: Options) -> Option<GroupId> {
        let mut keys: Vec<_> = paths.iter().map(|p| (p.key, p.weight)).collect();
        keys.sort_unstable();
        self.by_paths.get(&(keys.into(), options)).copied()
    }

    /// Puts a copy among these groups. It has as many users as the group that it was made of.
    pub(crate) fn adopt(
        &mut self,
        on: Shared<'_>,
        nhops: &mut NhopCtl,
        copy: &GroupCopy,
    ) -> Result<GroupId, Full> {
        let GroupCopy { group, lines, .. } = copy;
        let id = self.take_id(on)?;
        let buckets = self.take_lines(on, group.buckets())?;
        let pins = self.take_pins(on, group.members.len() + group.over.len())?;
        for (to, from) in (buckets.base..).zip(lines) {
            if let Some(to) = on.groups.line(to) {
                to.copy_from(from);
            }
        }
        let adopted = Group {
            buckets,
            pins: None,
            forget_at: None,
            step_at: None,
            ..group.clone()
        };
        on.groups.publish_shape(id, adopted.shape());
        if let Some(owner) = &adopted.owner {
            let sticky = adopted.options.sticky;
            on.groups.publish_sticky(id, sticky, affinity::of(owner));
        }
        if let Some(paths) = &adopted.shared_as {
            let paths: Paths = paths.clone();
            self.by_paths.insert(paths, id);
        }
        adopted
            .members
            .iter()
            .for_each(|m| nhops.join(m.is.idx, id));
        if let Some(place) = self.groups.get_mut(id.0 as usize) {
            *place = Some(adopted);
        }
        self.publish_members(on, id, pins, &[]);
        Ok(id)
    }

    /// Knows the orders of buckets that others have worked out.
    pub(crate) fn learn_orders(&mut self, orders: Orders) {
        self.orders = orders.0;
    }

    /// The orders of buckets worked out so far.
    pub(crate) fn orders(&self) -> Orders {
        Orders(self.orders.clone())
    }
}

/// In which order buckets are dealt, by their number: costly to work out, cheap to share.
#[derive(Clone, Debug)]
pub(crate) struct Orders(super::ctl::OrdersBySize);
