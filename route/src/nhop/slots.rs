//! What workers read of next hops: one slot each, all atomics, written by control alone.
//!
//! Attributes are stored before the word that makes them valid (Release), and a slot is given another
//! identity only after a grace period. So attributes read after the slot's word was judged live in the same
//! burst belong to that identity. What may change while an identity lives, as a recursive next hop is resolved anew or
//! an MTU is given, is one word: a reader has all of the old or all of the new. It is stored after the neighbour
//! that it names was reserved (Release), and the old neighbour is given back a grace period later.

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
    /// Largest packet, bytes, up to 65,535.
    pub mtu: u32,
}

impl NhopAttrs {
    /// Port, neighbour and MTU in one word.
    pub fn place(&self) -> u64 {
        let mtu = self.mtu.min(u32::from(u16::MAX));
        u64::from(self.neigh) << 32 | u64::from(self.port.0) << 16 | u64::from(mtu)
    }

    /// The attributes that [`place`](Self::place) gave, of a next hop of this kind.
    #[inline]
    pub const fn of(kind: NhopKind, place: u64) -> Self {
        Self {
            kind,
            port: PortId((place >> 16) as u16),
            neigh: (place >> 32) as u32,
            mtu: (place as u16) as u32,
        }
    }
}

/// Two slots a cache line.
#[derive(Debug, Default)]
#[repr(align(32))]
struct Slot {
    word: AtomicU64,
    /// Neighbour in the upper half, then port, then MTU.
    place: AtomicU64,
    /// Does not change while an identity lives.
    kind: AtomicU32,
}

const _: () = assert!(cfg!(loom) || size_of::<Slot>() == 32);

/// Log2 of the slots that are made at a time.
const CHUNK: u32 = if cfg!(loom) { 2 } else { 10 };

/// Every slot. Slot 0 is nobody's.
#[derive(Debug)]
pub(crate) struct Slots {
    slots: Chunks<Slot, CHUNK>,
}

/// A next hop's slot, as a worker asks it. Not to be kept beyond the burst.
#[derive(Clone, Copy, Debug)]
pub struct NhopRef<'a>(Option<&'a Slot>);

impl NhopRef<'_> {
    /// What the slot says of a pin that names it.
    #[inline]
    pub fn judge(self, pin: Pin) -> PinState {
        let word = self.0.map_or(0, |slot| slot.word.load(Ordering::Acquire));
        NhopWord(word).judge(pin)
    }

    /// What it does; a slot that never was is a blackhole's. Valid if its pin was judged live in this burst.
    #[inline]
    pub fn kind(self) -> NhopKind {
        let kind = self
            .0
            .and_then(|slot| KINDS.get(slot.kind.load(Ordering::Relaxed) as usize));
        kind.copied().unwrap_or(NhopKind::Blackhole)
    }

    /// Where it is, see [`NhopAttrs::of`]. Valid as its kind is.
    #[inline]
    pub fn place(self) -> u64 {
        self.0.map_or(0, |slot| slot.place.load(Ordering::Acquire))
    }
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

    /// A slot, to be asked more than one thing.
    #[inline]
    pub(crate) fn at(&self, idx: NhopIdx) -> NhopRef<'_> {
        NhopRef(self.slots.get(idx.0))
    }

    /// The attributes of a slot; of a slot that never was, a blackhole's.
    #[inline]
    pub(crate) fn attrs(&self, idx: NhopIdx) -> NhopAttrs {
        let slot = self.at(idx);
        NhopAttrs::of(slot.kind(), slot.place())
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
        slot.kind.store(kind as u32, Ordering::Relaxed);
        slot.place.store(attrs.place(), Ordering::Release);
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

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn what_may_change_fits_into_one_word_and_comes_out_of_it() {
        for (port, neigh, mtu) in [(0, 0, 0), (1, u32::MAX, 1500), (u16::MAX, 77, 65_535)] {
            let attrs = NhopAttrs {
                kind: NhopKind::Gateway,
                port: PortId(port),
                neigh,
                mtu,
            };
            assert_eq!(NhopAttrs::of(NhopKind::Gateway, attrs.place()), attrs);
        }
        let jumbo = NhopAttrs {
            mtu: 70_000,
            ..NhopAttrs::of(NhopKind::Iface, 0)
        };
        assert_eq!(NhopAttrs::of(NhopKind::Iface, jumbo.place()).mtu, 65_535);
    }
}
