//! What route tables make of a flow key: its destination in a direction, and its bucket in a group.

use crate::flows::pins_of;
use crate::time::Now;
use flowtable::{Dir, EntryView, GroupSecret, Key, KeyV4, KeyV6, bucket_hash};
use route::{FibId, GroupId, GroupRef, Pin, Selection, View};

/// Idle timeout assumed where the class of the next packet is not known.
pub(crate) const UNKNOWN_IDLE_S: u32 = 300;

/// A key whose destination the route tables know.
pub(crate) trait Routed: Key {
    /// An address of its family.
    type Addr: Copy;
    /// The stamp of a destination in the key's FIB.
    fn stamp(&self, view: &View, dst: Self::Addr) -> u32;
    /// The group for a destination in the key's FIB.
    fn lookup(&self, view: &View, dst: Self::Addr) -> Option<GroupId>;
    /// The groups for many destinations in the key's FIB.
    fn lookup_burst(&self, view: &View, dsts: &[Self::Addr], groups: &mut [Option<GroupId>]);
    /// Where packets of the key's direction `dir` go.
    fn dst(&self, dir: Dir) -> Self::Addr;
}

/// The bucket of a flow's direction, by what its group tells flows apart.
pub(crate) fn bucket_of<K: Key>(
    group: &GroupRef<'_>,
    secret: &GroupSecret,
    key: &K,
    dir: Dir,
) -> u32 {
    if group.buckets() == 1 {
        return 0;
    }
    if let Some((_, sticky)) = group.sticky() {
        // All flows of a client: they agree even without a template.
        return group.bucket(bucket_hash(secret, &key.source_net(dir, sticky.len)));
    }
    match group.selection() {
        Selection::Tuple => group.bucket(bucket_hash(secret, key)),
        Selection::Source => group.bucket(bucket_hash(secret, &key.source_alone(dir))),
        Selection::SourceDestination => group.bucket(bucket_hash(secret, &key.addresses_alone())),
        Selection::ModN => group.turn(key.addresses_xor()),
    }
}

impl Routed for KeyV4 {
    type Addr = u32;
    fn stamp(&self, view: &View, dst: u32) -> u32 {
        view.fib(FibId(self.fib())).stamp4(dst)
    }
    fn lookup(&self, view: &View, dst: u32) -> Option<GroupId> {
        view.fib(FibId(self.fib())).lookup4(dst)
    }
    fn lookup_burst(&self, view: &View, dsts: &[u32], groups: &mut [Option<GroupId>]) {
        view.fib(FibId(self.fib())).lookup4_burst(dsts, groups);
    }
    fn dst(&self, dir: Dir) -> u32 {
        Self::dst(self, dir)
    }
}

impl Routed for KeyV6 {
    type Addr = u128;
    fn stamp(&self, view: &View, dst: u128) -> u32 {
        view.fib(FibId(self.fib())).stamp6(dst)
    }
    fn lookup(&self, view: &View, dst: u128) -> Option<GroupId> {
        view.fib(FibId(self.fib())).lookup6(dst)
    }
    fn lookup_burst(&self, view: &View, dsts: &[u128], groups: &mut [Option<GroupId>]) {
        view.fib(FibId(self.fib())).lookup6_burst(dsts, groups);
    }
    fn dst(&self, dir: Dir) -> u128 {
        Self::dst(self, dir)
    }
}

/// The parts of a path that a flush needs while the writers are borrowed.
pub(crate) struct PathView<'a> {
    pub(crate) view: &'a View,
    pub(crate) secret: &'a GroupSecret,
}

/// Whether a pin that is about to be forgotten differs from what a packet without one would get.
fn differs<K: Routed>(s: &PathView<'_>, key: &K, dir: Dir, pin: Pin, now: Now) -> bool {
    let Some(id) = key.lookup(s.view, key.dst(dir)) else {
        return false;
    };
    let group = s.view.group(id);
    let bucket = bucket_of(&group, s.secret, key, dir);
    group
        .stateless(bucket, now.secs(), UNKNOWN_IDLE_S)
        .is_some_and(|answer| answer.pin != pin)
}

/// How many of an entry's two pins are not what a packet without an entry gets.
pub(crate) fn debts<K: Routed>(entry: &EntryView<K>, at: &PathView<'_>, now: Now) -> u64 {
    let pins = pins_of(entry);
    let owed = |dir: &Dir| {
        let pin = pins[*dir as usize];
        pin != Pin::NONE && differs(at, &entry.key, *dir, pin, now)
    };
    [Dir::Fwd, Dir::Rev].iter().filter(|dir| owed(dir)).count() as u64
}
