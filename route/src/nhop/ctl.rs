//! Control's side of next hops: which identities there are, who names them, when a slot is used again.
//!
//! A slot's life: an identity is interned (attributes, then word), groups join and leave it, and when the
//! last one has left control ends it: the next generation is stored, so every pin of the old one is gone.
//! The slot waits for a grace period, since a worker may read its attributes until its burst ends.

use super::{Admin, Health, NhopAttrs, NhopInfo, NhopKey, Path, Slots, Through};
use crate::ids::{FibId, GroupId, NhopGen, NhopIdx, Pin};
use crate::qsbr::Qsbr;
use crate::retire::Retired;
use hashbrown::{HashMap, HashSet};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// One identity.
#[derive(Clone, Debug)]
pub(crate) struct Nhop {
    pub(crate) key: NhopKey,
    pub(crate) generation: NhopGen,
    pub(crate) admin: Admin,
    pub(crate) health: Health,
    pub(crate) neigh: u32,
    /// Largest packet as it was asked for.
    pub(crate) mtu: u32,
    /// If it is recursive: where its packets go.
    pub(crate) through: Option<Through>,
    /// It is about to end because its drain came to its deadline.
    drain_over: bool,
    /// Who names it.
    pub(crate) groups: HashSet<GroupId>,
}

impl Nhop {
    /// Whether buckets may be given to it.
    pub(crate) fn takes_buckets(&self) -> bool {
        self.health != Health::Dead && self.admin == Admin::In
    }

    /// Whether its flows may stay with it.
    pub(crate) fn keeps_flows(&self) -> bool {
        self.health != Health::Dead && self.admin != Admin::Drained
    }

    /// What workers are told of it. The port of a recursive one that is not resolved is none.
    fn attrs(&self) -> NhopAttrs {
        let (port, most) = self.through.map_or((self.key.port, u32::MAX), |through| {
            (through.port, through.mtu)
        });
        NhopAttrs {
            kind: self.key.kind,
            port,
            neigh: self.neigh,
            mtu: self.mtu.min(most),
        }
    }
}

/// A slot as control sees it.
#[derive(Debug)]
struct Place {
    /// The generation of its present identity, or of the next one.
    generation: NhopGen,
    nhop: Option<Nhop>,
}

/// Every next hop.
#[derive(Debug)]
pub(crate) struct NhopCtl {
    max: u32,
    /// By slot, from slot 1.
    places: Vec<Place>,
    by_key: HashMap<NhopKey, NhopIdx>,
    /// The recursive ones, by what is to be resolved.
    recursive: BTreeMap<(FibId, IpAddr), NhopIdx>,
    free: Vec<NhopIdx>,
    retired: Retired<NhopIdx>,
}

impl NhopCtl {
    /// Room for `max` next hops.
    pub(crate) fn new(max: u32) -> Self {
        let none = Place {
            generation: NhopGen(0),
            nhop: None,
        };
        Self {
            max,
            places: vec![none],
            by_key: HashMap::new(),
            recursive: BTreeMap::new(),
            free: Vec::new(),
            retired: Retired::new(),
        }
    }

    /// The slot of an identity.
    pub(crate) fn idx(&self, key: &NhopKey) -> Option<NhopIdx> {
        self.by_key.get(key).copied()
    }

    /// The identity that a slot has.
    pub(crate) fn get(&self, idx: NhopIdx) -> Option<&Nhop> {
        self.places.get(idx.0 as usize)?.nhop.as_ref()
    }

    fn get_mut(&mut self, idx: NhopIdx) -> Option<&mut Nhop> {
        self.places.get_mut(idx.0 as usize)?.nhop.as_mut()
    }

    /// The pin of a slot's present identity.
    pub(crate) fn pin(&self, idx: NhopIdx) -> Pin {
        self.get(idx)
            .map_or(Pin::NONE, |nhop| Pin::new(idx, nhop.generation))
    }

    /// A slot's identity, if it is still the one that was pinned.
    pub(crate) fn pinned(&self, pin: Pin) -> Option<&Nhop> {
        self.get(pin.idx())
            .filter(|nhop| nhop.generation == pin.generation())
    }

    /// A next hop as listings show it.
    pub(crate) fn info(&self, idx: NhopIdx) -> Option<NhopInfo> {
        let nhop = self.get(idx)?;
        Some(NhopInfo {
            idx,
            generation: nhop.generation,
            key: nhop.key,
            neigh: nhop.neigh,
            mtu: nhop.mtu,
            through: nhop.through,
            admin: nhop.admin,
            health: nhop.health,
            groups: nhop.groups.len(),
        })
    }

    /// Every next hop, in the order of slots.
    pub(crate) fn infos(&self) -> impl Iterator<Item = NhopInfo> {
        (1..self.places.len() as u32).filter_map(|idx| self.info(NhopIdx(idx)))
    }

    /// Slots in use or not usable: living, waiting for grace, retired for good.
    pub(crate) fn used(&self) -> u32 {
        (self.places.len() - 1 - self.free.len()) as u32
    }

    /// Most slots.
    pub(crate) const fn max(&self) -> u32 {
        self.max
    }

    /// The slot of a path's identity, made if there is none. `None` if no slot is left.
    pub(crate) fn intern(&mut self, slots: &Slots, path: &Path) -> Option<NhopIdx> {
        if let Some(idx) = self.idx(&path.key) {
            return Some(idx);
        }
        let idx = self.take_slot(slots)?;
        let place = self.places.get_mut(idx.0 as usize)?;
        let generation = place.generation;
        let resolved = path.key.resolved();
        let lost = resolved.is_some() && path.through.is_none();
        let health = if lost { Health::Dead } else { Health::Up };
        place.nhop = Some(Nhop {
            key: path.key,
            generation,
            admin: Admin::In,
            health,
            neigh: path.neigh,
            mtu: path.mtu,
            through: path.through.filter(|_| resolved.is_some()),
            drain_over: false,
            groups: HashSet::new(),
        });
        self.by_key.insert(path.key, idx);
        self.recursive.extend(resolved.map(|of| (of, idx)));
        self.store_attrs(slots, idx);
        slots.store_word(idx, generation, Admin::In, health);
        Some(idx)
    }

    fn take_slot(&mut self, slots: &Slots) -> Option<NhopIdx> {
        if let Some(idx) = self.free.pop() {
            return Some(idx);
        }
        let idx = NhopIdx(self.places.len() as u32);
        if idx.0 > self.max || !slots.grow(idx) {
            return None;
        }
        self.places.push(Place {
            generation: NhopGen::FIRST,
            nhop: None,
        });
        Some(idx)
    }

    fn store_attrs(&self, slots: &Slots, idx: NhopIdx) {
        if let Some(nhop) = self.get(idx) {
            slots.store_attrs(idx, &nhop.attrs());
        }
    }

    /// The recursive next hops, by FIB and address.
    pub(crate) const fn recursive(&self) -> &BTreeMap<(FibId, IpAddr), NhopIdx> {
        &self.recursive
    }

    /// Lets the packets of a recursive next hop go another way from now on, or none: then it must be dead already, and
    /// workers that have not heard so yet go on as before. Returns the neighbour that it had.
    pub(crate) fn set_through(
        &mut self,
        slots: &Slots,
        idx: NhopIdx,
        through: Option<Through>,
        neigh: u32,
    ) -> Option<u32> {
        let nhop = self.get_mut(idx).filter(|n| n.key.resolved().is_some())?;
        nhop.through = through;
        let before = std::mem::replace(&mut nhop.neigh, neigh);
        if through.is_some() {
            self.store_attrs(slots, idx);
        }
        Some(before)
    }

    /// Changes a living next hop's MTU.
    pub(crate) fn set_mtu(&mut self, slots: &Slots, idx: NhopIdx, mtu: u32) {
        let Some(nhop) = self.get_mut(idx) else {
            return;
        };
        nhop.mtu = mtu;
        self.store_attrs(slots, idx);
    }

    /// Notes health; the word is stored by [`Self::publish`]. Returns whether it changed.
    pub(crate) fn set_health(&mut self, idx: NhopIdx, health: Health) -> bool {
        self.get_mut(idx)
            .is_some_and(|n| std::mem::replace(&mut n.health, health) != health)
    }

    /// Notes the administrative state; the word is stored by [`Self::publish`]. Returns whether it changed.
    pub(crate) fn set_admin(&mut self, idx: NhopIdx, admin: Admin) -> bool {
        self.get_mut(idx)
            .is_some_and(|n| std::mem::replace(&mut n.admin, admin) != admin)
    }

    /// Stores the word of a living next hop.
    pub(crate) fn publish(&self, slots: &Slots, idx: NhopIdx) {
        if let Some(nhop) = self.get(idx) {
            slots.store_word(idx, nhop.generation, nhop.admin, nhop.health);
        }
    }

    /// A group names the next hop from now on.
    pub(crate) fn join(&mut self, idx: NhopIdx, group: GroupId) {
        if let Some(nhop) = self.get_mut(idx) {
            nhop.groups.insert(group);
        }
    }

    /// A group names the next hop no more.
    pub(crate) fn leave(&mut self, idx: NhopIdx, group: GroupId) {
        if let Some(nhop) = self.get_mut(idx) {
            nhop.groups.remove(&group);
        }
    }

    /// Notes whether the next hop, if `group` alone names it, is about to end because its drain is over.
    pub(crate) fn drain_over(&mut self, idx: NhopIdx, group: GroupId, over: bool) {
        if let Some(nhop) = self.get_mut(idx)
            && nhop.groups.iter().all(|g| *g == group)
        {
            nhop.drain_over = over;
        }
    }

    /// Ends the identity if no group names it: every pin of it is gone from now on. Buckets have been
    /// rewritten and stamps bumped before. Returns who it was, and its neighbour.
    ///
    /// Where its drain is over, the word keeps the old generation, as drained, until the slot is used again:
    /// pins are as invalid by that, and their flows are counted as moved for the deadline.
    pub(crate) fn end_unnamed(
        &mut self,
        slots: &Slots,
        qsbr: &Qsbr,
        idx: NhopIdx,
    ) -> Option<(NhopIdx, NhopKey, u32)> {
        let place = self.places.get_mut(idx.0 as usize)?;
        let nhop = place.nhop.take_if(|nhop| nhop.groups.is_empty())?;
        self.by_key.remove(&nhop.key);
        if let Some(of) = nhop.key.resolved() {
            self.recursive.remove(&of);
        }
        if place.generation == NhopGen::MAX {
            // Retired for good: no pin has generation 0, and the slot is never given out again.
            slots.store_word(idx, NhopGen(0), Admin::In, Health::Up);
        } else {
            place.generation.0 += 1;
            if nhop.drain_over {
                slots.store_word(idx, nhop.generation, Admin::Drained, Health::Up);
            } else {
                slots.store_word(idx, place.generation, Admin::In, Health::Up);
            }
            self.retired.put(qsbr.advance(), idx);
        }
        Some((idx, nhop.key, nhop.neigh))
    }

    /// The place behind the last slot that there has been.
    pub(crate) fn end(&self) -> u32 {
        self.places.len() as u32
    }

    /// Slots that can still be given out.
    pub(crate) fn room(&self) -> u32 {
        self.max.saturating_sub(self.used())
    }

    /// Takes copies of next hops over at their own places, so that pins name the same here and there. Whatever is
    /// made from now on lies at `end` or behind it.
    pub(crate) fn adopt(&mut self, slots: &Slots, end: u32, copies: Vec<(NhopIdx, Nhop)>) {
        let empty = || Place {
            generation: NhopGen::FIRST,
            nhop: None,
        };
        self.places.resize_with(end as usize, empty);
        slots.grow(NhopIdx(end.saturating_sub(1)));
        for (idx, nhop) in copies {
            let Some(place) = self.places.get_mut(idx.0 as usize) else {
                continue;
            };
            self.by_key.insert(nhop.key, idx);
            place.generation = nhop.generation;
            place.nhop = Some(nhop);
            self.store_attrs(slots, idx);
            self.publish(slots, idx);
        }
    }

    /// Takes back the slots that every reader has let go of.
    pub(crate) fn reclaim(&mut self, qsbr: &Qsbr) {
        while let Some(idx) = self.retired.take_passed(qsbr) {
            self.free.push(idx);
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::super::{NhopKind, PinState};
    use super::*;
    use crate::ids::PortId;

    fn path(port: u16) -> Path {
        let key = NhopKey {
            kind: NhopKind::Iface,
            port: PortId(port),
            gateway: None,
        };
        Path {
            key,
            weight: 1,
            neigh: 7,
            mtu: 1500,
            through: None,
        }
    }

    #[test]
    fn equal_keys_share_a_slot_until_the_last_group_leaves() {
        let (slots, qsbr) = (Slots::new(4), Qsbr::new(0));
        let mut nhops = NhopCtl::new(4);
        let idx = nhops.intern(&slots, &path(1)).unwrap();
        assert_eq!(nhops.intern(&slots, &path(1)), Some(idx));
        let pin = nhops.pin(idx);
        nhops.join(idx, GroupId(1));
        nhops.join(idx, GroupId(2));
        nhops.leave(idx, GroupId(1));
        assert_eq!(nhops.end_unnamed(&slots, &qsbr, idx), None);
        assert_eq!(slots.judge(pin), PinState::Live);
        nhops.leave(idx, GroupId(2));
        assert_eq!(
            nhops.end_unnamed(&slots, &qsbr, idx),
            Some((idx, path(1).key, 7))
        );
        assert_eq!(slots.judge(pin), PinState::Gone);
        assert_eq!(nhops.idx(&path(1).key), None);
    }

    #[test]
    fn a_slot_is_used_again_only_after_every_reader_passed_and_with_a_fresh_generation() {
        let (slots, qsbr) = (Slots::new(1), Qsbr::new(1));
        let reader = qsbr.reader(0);
        reader.online();
        let mut nhops = NhopCtl::new(1);
        let idx = nhops.intern(&slots, &path(1)).unwrap();
        let old = nhops.pin(idx);
        nhops.end_unnamed(&slots, &qsbr, idx).unwrap();
        nhops.reclaim(&qsbr);
        assert_eq!(
            nhops.intern(&slots, &path(2)),
            None,
            "a reader may still look at it"
        );
        reader.quiescent();
        nhops.reclaim(&qsbr);
        assert_eq!(nhops.intern(&slots, &path(2)), Some(idx));
        assert_ne!(nhops.pin(idx), old);
        assert_eq!(slots.judge(nhops.pin(idx)), PinState::Live);
        assert_eq!(slots.attrs(idx).port, PortId(2));
    }

    #[test]
    fn pins_of_a_drain_that_is_over_say_so_until_the_slot_is_used_again() {
        let (slots, qsbr) = (Slots::new(2), Qsbr::new(0));
        let mut nhops = NhopCtl::new(2);
        let idx = nhops.intern(&slots, &path(1)).unwrap();
        nhops.join(idx, GroupId(1));
        let old = nhops.pin(idx);
        nhops.drain_over(idx, GroupId(2), true);
        assert_eq!(slots.judge(old), PinState::Live);
        nhops.drain_over(idx, GroupId(1), true);
        nhops.leave(idx, GroupId(1));
        nhops.end_unnamed(&slots, &qsbr, idx).unwrap();
        assert_eq!(slots.judge(old), PinState::Drained);
        nhops.reclaim(&qsbr);
        assert_eq!(nhops.intern(&slots, &path(2)), Some(idx));
        assert_eq!(slots.judge(old), PinState::Gone);
        assert_eq!(slots.judge(nhops.pin(idx)), PinState::Live);
    }

    #[test]
    fn a_slot_at_its_last_generation_is_retired_for_good() {
        let (slots, qsbr) = (Slots::new(1), Qsbr::new(0));
        let mut nhops = NhopCtl::new(1);
        let idx = nhops.intern(&slots, &path(1)).unwrap();
        nhops.end_unnamed(&slots, &qsbr, idx).unwrap();
        nhops.reclaim(&qsbr);
        nhops.places[1].generation = NhopGen::MAX;
        let idx = nhops.intern(&slots, &path(1)).unwrap();
        let last = nhops.pin(idx);
        assert_eq!(slots.judge(last), PinState::Live);
        nhops.end_unnamed(&slots, &qsbr, idx).unwrap();
        nhops.reclaim(&qsbr);
        assert_eq!(slots.judge(last), PinState::Gone);
        assert_eq!(nhops.intern(&slots, &path(1)), None);
        assert_eq!(nhops.used(), 1);
    }
}
