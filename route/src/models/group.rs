//! A worker beside a change of a group: whoever it chooses is a member, and it always finds a live one.

use super::explore;
use crate::ids::{GroupId, PortId, Secs};
use crate::nhgrp::{GroupCtl, GroupRef, Groups, Options, Shared, Wanted};
use crate::nhop::{Health, NhopCtl, NhopKey, NhopKind, Path, Slots};
use crate::qsbr::Qsbr;
use loom::thread;
use std::sync::Arc;

const NOW: Secs = Secs(5);

/// What workers share with control.
struct World {
    groups: Groups,
    slots: Slots,
    qsbr: Qsbr,
}

/// Control's side.
struct Desk {
    nhops: NhopCtl,
    groups: GroupCtl,
    id: GroupId,
}

fn wanted(world: &World, nhops: &mut NhopCtl, port: u16) -> Wanted {
    let key = NhopKey {
        kind: NhopKind::Iface,
        port: PortId(port),
        gateway: None,
    };
    let path = Path {
        key,
        weight: 1,
        neigh: 0,
        mtu: 1500,
        through: None,
    };
    Wanted {
        idx: nhops.intern(&world.slots, &path).unwrap(),
        weight: 1,
        deadline: None,
    }
}

impl World {
    fn with_members(count: u16) -> (Arc<Self>, Desk) {
        let world = Self {
            groups: Groups::new(3, 16),
            slots: Slots::new(3),
            qsbr: Qsbr::new(1),
        };
        let (mut nhops, mut groups) = (NhopCtl::new(3), GroupCtl::new(3, 16, 2, 1000));
        let members: Vec<_> = (1..=count).map(|p| wanted(&world, &mut nhops, p)).collect();
        let id = groups
            .create(
                world.shared(),
                &mut nhops,
                &members,
                Options::default(),
                NOW,
            )
            .unwrap();
        groups.use_group(id);
        (Arc::new(world), Desk { nhops, groups, id })
    }

    fn shared(&self) -> Shared<'_> {
        Shared {
            groups: &self.groups,
            qsbr: &self.qsbr,
        }
    }
}

/// Control changes a group that another thread asks.
fn beside(members: u16, ask: fn(&GroupRef<'_>), change: fn(&World, &mut Desk)) {
    explore(2, move || {
        let (world, mut desk) = World::with_members(members);
        let worker = {
            let (world, id) = (Arc::clone(&world), desk.id);
            thread::spawn(move || ask(&world.groups.get(&world.slots, id)))
        };
        change(&world, &mut desk);
        worker.join().unwrap();
    });
}

#[test]
fn loom_who_is_chosen_is_a_member_while_a_member_joins() {
    // Bucket 0 goes to the one that joins.
    let ask = |group: &GroupRef<'_>| {
        let owner = group.owner(0).expect("a member is alive");
        assert!(
            group.has_member(owner),
            "a flow was given to a next hop that is no member"
        );
    };
    beside(1, ask, |world, desk| {
        let mut members = desk.groups.get(desk.id).unwrap().wanted();
        members.push(wanted(world, &mut desk.nhops, 9));
        let set = desk
            .groups
            .set_members(world.shared(), &mut desk.nhops, desk.id, &members, NOW);
        assert!(set.unwrap().is_empty());
        let group = world.groups.get(&world.slots, desk.id);
        assert_eq!(group.owner(0).map(|pin| pin.idx()), Some(members[1].idx));
    });
}

#[test]
fn loom_a_live_owner_is_found_while_a_member_dies() {
    let ask = |group: &GroupRef<'_>| {
        assert!(group.owner(0).is_some() && group.stateless(1, NOW, 300).is_some());
    };
    beside(2, ask, |world, desk| {
        let idx = desk.groups.get(desk.id).unwrap().wanted()[0].idx;
        desk.nhops.set_health(idx, Health::Dead);
        desk.groups
            .resettle(world.shared(), &desk.nhops, desk.id, None, NOW);
        desk.nhops.publish(&world.slots, idx);
    });
}
