//! What workers read of next hops: one slot each, all atomics, written by control alone.
//!
//! Attributes are stored before the word that makes them valid (Release), and a slot is given another
//! identity only after a grace period. So attributes read after the slot's word was judged live in the same
//! burst belong to that identity. MTU and neighbour of a living identity may change; each is one word.

use super::{Admin, Health, NhopKind, NhopWord, PinState};
use crate::chunks::Chunks;
use crate::ids::{NhopGen, NhopIdx, Pin, PortId};
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Where a next hop leads, for who sends the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NhopAttrs {
    /// What it does.
    pub kind: NhopKind,
    /// By which port.
    pub port: PortId,
    /// Its neighbour, opaque here.
    pub neigh: u32,
    /// Largest packet, bytes.
    pub mtu: u32,
}

/// Two slots a cache line.
#[derive(Debug, Default)]
#[repr(align(32))]
struct Slot {
    word: AtomicU64,
    /// Kind in bits 16 and up, port below.
    place: AtomicU32,
    neigh: AtomicU32,
    mtu: AtomicU32,
}

const _: () = assert!(cfg!(loom) || size_of::<Slot>() == 32);

/// Log2 of the slots that are made at a time.
const CHUNK: u32 = if cfg!(loom) { 2 } else { 10 };

/// Every slot. Slot 0 is nobody's.
#[derive(Debug)]
pub(crate) struct Slots {
    slots: Chunks<Slot, CHUNK>,
}

const KINDS: [NhopKind; 5] = [
    NhopKind::Gateway,
    NhopKind::Iface,
    NhopKind::Blackhole,
    NhopKind::Reject,
    NhopKind::Local,
];

impl Slots {
    /// Room for `max` next hops.
    pub(crate) fn new(max: u32) -> Self {
        Self {
            slots: Chunks::new(max as usize + 1),
        }
    }

    /// The word of a slot; of a slot that never was, one that no pin matches.
    #[inline]
    pub(crate) fn word(&self, idx: NhopIdx) -> NhopWord {
        let word = self
            .slots
            .get(idx.0)
            .map_or(0, |slot| slot.word.load(Ordering::Acquire));
        NhopWord(word)
    }

    /// What the pin's slot says of it.
    #[inline]
    pub(crate) fn judge(&self, pin: Pin) -> PinState {
        self.word(pin.idx()).judge(pin)
    }

    /// The attributes of a slot; of a slot that never was, a blackhole's.
    #[inline]
    pub(crate) fn attrs(&self, idx: NhopIdx) -> NhopAttrs {
        let Some(slot) = self.slots.get(idx.0) else {
            return NhopAttrs {
                kind: NhopKind::Blackhole,
                port: PortId(0),
                neigh: 0,
                mtu: 0,
            };
        };
        let place = slot.place.load(Ordering::Relaxed);
        let kind = KINDS
            .get(place as usize >> 16)
            .copied()
            .unwrap_or(NhopKind::Blackhole);
        NhopAttrs {
            kind,
            port: PortId(place as u16),
            neigh: slot.neigh.load(Ordering::Relaxed),
            mtu: slot.mtu.load(Ordering::Relaxed),
        }
    }

    /// Makes slots up to `idx` present. Returns whether the limit allows it.
    pub(super) fn grow(&self, idx: NhopIdx) -> bool {
        self.slots.grow(idx.0 as usize + 1)
    }

    /// Stores attributes: before the word that makes them valid, or to change a living identity's.
    pub(super) fn store_attrs(&self, idx: NhopIdx, attrs: &NhopAttrs) {
        let Some(slot) = self.slots.get(idx.0) else {
            return;
        };
        let kind = KINDS
            .iter()
            .position(|k| *k == attrs.kind)
            .unwrap_or(KINDS.len());
        let place = (kind as u32) << 16 | u32::from(attrs.port.0);
        slot.place.store(place, Ordering::Relaxed);
        slot.neigh.store(attrs.neigh, Ordering::Relaxed);
        slot.mtu.store(attrs.mtu, Ordering::Relaxed);
    }

    /// Publishes a slot's word, and with it everything stored before.
    pub(super) fn store_word(
        &self,
        idx: NhopIdx,
        generation: NhopGen,
        admin: Admin,
        health: Health,
    ) {
        if let Some(slot) = self.slots.get(idx.0) {
            slot.word.store(
                NhopWord::new(generation, admin, health).0,
                Ordering::Release,
            );
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
impl Slots {
    /// Marks a pin's next hop dead in its word alone.
    pub(crate) fn kill_word(&self, pin: Pin) {
        self.store_word(pin.idx(), pin.generation(), Admin::In, Health::Dead);
    }
}
