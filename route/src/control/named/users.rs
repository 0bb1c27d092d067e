//! Which groups have a number, and which routes use them.

use crate::ids::{GroupId, GroupNo, Secs};
use crate::prefix::Prefix;
use crate::stamp::Stamps;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Destinations that are known one by one; of a group with more, changes concern everybody.
const FEW: usize = 64;

/// The groups that have a number.
#[derive(Debug, Default)]
pub(in crate::control) struct Named {
    by_number: BTreeMap<GroupNo, GroupId>,
    users: HashMap<GroupId, Users>,
    /// When drained members leave.
    pub(in crate::control) deadlines: BTreeSet<(Secs, GroupNo)>,
}

/// Who uses a group.
#[derive(Debug, Default)]
struct Users {
    v4: u32,
    v6: u32,
    few: BTreeSet<Prefix>,
    /// There were more.
    more: bool,
}

impl Users {
    fn count(&mut self, prefix: &Prefix) -> &mut u32 {
        match prefix.addr() {
            IpAddr::V4(_) => &mut self.v4,
            IpAddr::V6(_) => &mut self.v6,
        }
    }

    fn come(&mut self, prefix: Prefix) {
        *self.count(&prefix) += 1;
        self.more |= self.few.len() >= FEW;
        if !self.more {
            self.few.insert(prefix);
        }
    }

    fn go(&mut self, prefix: &Prefix) {
        let count = self.count(prefix);
        *count = count.saturating_sub(1);
        self.few.remove(prefix);
        self.more &= (self.v4, self.v6) != (0, 0);
    }
}

impl Named {
    /// All numbers, with their groups.
    pub(super) fn all(&self) -> impl Iterator<Item = (GroupNo, GroupId)> + '_ {
        self.by_number.iter().map(|(no, id)| (*no, *id))
    }

    pub(in crate::control) fn get(&self, number: GroupNo) -> Option<GroupId> {
        self.by_number.get(&number).copied()
    }

    /// A route has another group than before, or is new, or is gone.
    pub(super) fn moved(&mut self, prefix: Prefix, from: Option<GroupId>, to: Option<GroupId>) {
        if self.users.is_empty() || from == to {
            return;
        }
        if let Some(users) = from.and_then(|id| self.users.get_mut(&id)) {
            users.go(&prefix);
        }
        if let Some(users) = to.and_then(|id| self.users.get_mut(&id)) {
            users.come(prefix);
        }
    }

    /// Makes the flows of a group's routes look these up again.
    pub(super) fn bump(&self, group: GroupId, stamps: &Stamps) {
        match self.users.get(&group) {
            Some(users) if !users.more => users.few.iter().for_each(|prefix| stamps.bump(prefix)),
            Some(_) => stamps.bump_all(),
            None => {}
        }
    }

    /// A group has a number from now on. No route uses it yet.
    pub(in crate::control) fn insert(&mut self, number: GroupNo, group: GroupId) {
        self.by_number.insert(number, group);
        self.users.insert(group, Users::default());
    }

    /// How many IPv4 and IPv6 routes use a group.
    pub(in crate::control) fn used_by(&self, group: GroupId) -> (u32, u32) {
        let users = self.users.get(&group);
        users.map_or((0, 0), |users| (users.v4, users.v6))
    }

    /// A copy of a group has as many users as the group has, though few of them were copied.
    pub(in crate::control) fn learn_users(&mut self, group: GroupId, (v4, v6): (u32, u32)) {
        if let Some(users) = self.users.get_mut(&group) {
            (users.v4, users.v6) = (v4, v6);
        }
    }

    pub(super) fn remove(&mut self, number: GroupNo) -> Option<GroupId> {
        let group = self.by_number.remove(&number)?;
        self.users.remove(&group);
        Some(group)
    }
}
