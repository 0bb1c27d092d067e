//! What an entry is besides a flow with pins, and where the rest of it stands.
//!
//! An entry of a *kind* other than plain leads to a side table (a NAT partner, a tunnel, a service) by its *aux index*.
//! Both are opaque here. What the packet path does for a plain entry it does for nobody else: an entry with a kind takes
//! the longer way.
//!
//! # What was traded
//!
//! An IPv6 entry has a spare word for the index. An IPv4 entry has none, so the index takes the top 16 bits of both
//! counts, which are then [`NarrowCount`]s: they saturate at 16.7 M packets and 16 GiB a direction, and count bytes in
//! units of 1 KiB. Pins, stamps and marks of both directions stay as they are.
//!
//! # Who gets an index back
//!
//! When an entry with a kind goes, for whatever cause, its index is put on its writer's list ([`FreedList`]), from which
//! the owner of the side table takes it ([`Writer::take_freed`](crate::Writer::take_freed)). The list is short and never
//! loses one: while it is full such entries stay, even expired ones, and that is counted.

use crate::count::Count;
use crate::entry::At;
use crate::key::{BOTH, Dir, Key};
use crate::life::Life;
use std::cell::Cell;

/// What an entry is: 0 to 3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kind(u8);

impl Kind {
    /// How many there are.
    pub const COUNT: usize = 4;
    /// A flow with its pins and nothing else; its aux index is 0.
    pub const PLAIN: Self = Self(0);

    /// The kind with this number, by its lowest two bits.
    #[inline]
    pub const fn new(number: u8) -> Self {
        Self(number & (Self::COUNT as u8 - 1))
    }

    /// Its number.
    #[inline]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether it leads nowhere.
    #[inline]
    pub fn is_plain(self) -> bool {
        self == Self::PLAIN
    }
}

/// Why an entry went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Its idle timeout passed.
    Expired,
    /// A new flow took its place.
    Evicted,
    /// Lifetimes shrink under pressure, and it had outlived its own.
    Shrunk,
    /// On request, or it was given another kind or index.
    Removed,
}

/// An aux index that no entry has any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Freed {
    /// Of this kind.
    pub kind: Kind,
    /// Which.
    pub aux: u32,
    /// Why.
    pub cause: Cause,
}

/// Indexes that wait for their owner, oldest first.
pub(crate) struct FreedList {
    places: Box<[Cell<Freed>]>,
    first: Cell<usize>,
    len: Cell<usize>,
}

impl FreedList {
    /// Places: more than a burst can fill, with what the hand sweeps beside it.
    pub(crate) const ROOM: usize = 512;

    pub(crate) fn new() -> Self {
        let nobody = Freed {
            kind: Kind::PLAIN,
            aux: 0,
            cause: Cause::Removed,
        };
        Self {
            places: (0..Self::ROOM).map(|_| Cell::new(nobody)).collect(),
            first: Cell::new(0),
            len: Cell::new(0),
        }
    }

    /// How many more it can take.
    pub(crate) fn room(&self) -> usize {
        Self::ROOM - self.len.get()
    }

    /// Puts one at the end. There must be room.
    pub(crate) fn push(&self, freed: Freed) {
        let at = (self.first.get() + self.len.get()) % Self::ROOM;
        debug_assert!(self.room() > 0, "an entry went though it had to stay");
        if let Some(place) = self.places.get(at) {
            place.set(freed);
            self.len.set((self.len.get() + 1).min(Self::ROOM));
        }
    }

    /// Takes the oldest.
    pub(crate) fn pop(&self) -> Option<Freed> {
        let left = self.len.get().checked_sub(1)?;
        let freed = self.places.get(self.first.get())?.get();
        self.len.set(left);
        self.first.set((self.first.get() + 1) % Self::ROOM);
        Some(freed)
    }
}

/// The word of one direction's packets and bytes beside half an aux index: index 63..48, packets 47..24, bytes in units
/// of 1 KiB 23..0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NarrowCount(u64);

impl NarrowCount {
    const HALF: u32 = 48;
    const PACKETS: u32 = 24;
    const MAX: u64 = (1 << Self::PACKETS) - 1;
    const UNIT_SHIFT: u32 = 10;

    fn new(half: u16, packets: u64, units: u64) -> Self {
        let (packets, units) = (packets.min(Self::MAX), units.min(Self::MAX));
        Self(u64::from(half) << Self::HALF | packets << Self::PACKETS | units)
    }

    fn half(self) -> u16 {
        (self.0 >> Self::HALF) as u16
    }

    fn packets(self) -> u64 {
        self.0 >> Self::PACKETS & Self::MAX
    }

    fn bytes(self) -> u64 {
        (self.0 & Self::MAX) << Self::UNIT_SHIFT
    }

    /// One packet more. As of [`Count`], the step goes round with the packets: 1,024 of one size are counted exactly.
    fn plus(self, bytes: u32) -> Self {
        let next = (self.packets() as u16).wrapping_add(1);
        let step = u64::from(next.reverse_bits() >> (16 - Self::UNIT_SHIFT));
        let units = (u64::from(bytes) + step) >> Self::UNIT_SHIFT;
        Self::new(
            self.half(),
            self.packets() + 1,
            (self.0 & Self::MAX) + units,
        )
    }
}

const _: () = {
    assert!(2 * NarrowCount::PACKETS == NarrowCount::HALF);
    assert!(NarrowCount::HALF + 16 == u64::BITS);
};

/// What tells this layout of narrow counts from others.
pub(crate) const LAYOUT: u64 = crate::shared::hash(&[
    NarrowCount::HALF as u64,
    NarrowCount::PACKETS as u64,
    NarrowCount::UNIT_SHIFT as u64,
]);

/// What one direction has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl<K: Key> At<'_, K> {
    /// Whether an entry with this life has narrow counts.
    #[inline]
    fn is_narrow(life: Life) -> bool {
        !Self::HAS_SPARE && !life.kind().is_plain()
    }

    fn narrow(&self, dir: Dir) -> NarrowCount {
        NarrowCount(self.count(dir).0)
    }

    fn set_narrow(&self, dir: Dir, count: NarrowCount) {
        self.set_count(dir, Count(count.0));
    }

    /// What a direction has counted, of an entry of any kind.
    pub(crate) fn counted(&self, dir: Dir, life: Life) -> Counted {
        if Self::is_narrow(life) {
            let count = self.narrow(dir);
            let (packets, bytes) = (count.packets(), count.bytes());
            return Counted { packets, bytes };
        }
        let count = self.count(dir);
        let (packets, bytes) = (count.packets(), count.bytes());
        Counted { packets, bytes }
    }

    /// Counts a packet, of an entry of any kind.
    #[inline]
    pub(crate) fn count_packet(&self, dir: Dir, life: Life, bytes: u32) {
        if Self::is_narrow(life) {
            return self.set_narrow(dir, self.narrow(dir).plus(bytes));
        }
        self.set_count(dir, self.count(dir).plus(bytes));
    }

    /// Both directions count from 0.
    pub(crate) fn count_anew(&self, life: Life) {
        self.set_counts([Counted::default(); 2], life.kind(), self.aux(life));
    }

    /// The aux index; 0 of a plain entry.
    pub(crate) fn aux(&self, life: Life) -> u32 {
        if life.kind().is_plain() {
            0
        } else if Self::HAS_SPARE {
            self.spare() as u32
        } else {
            let [low, high] = BOTH.map(|dir| u32::from(self.narrow(dir).half()));
            low | high << 16
        }
    }

    /// Makes the entry one of this kind with this index. Under the bucket's version.
    pub(crate) fn set_kind(&self, kind: Kind, aux: u32, life: Life) {
        let counted = BOTH.map(|dir| self.counted(dir, life));
        self.set_counts(counted, kind, aux);
        if Self::HAS_SPARE {
            self.set_spare(u64::from(aux));
        }
        self.set_life(life.with_kind(kind));
    }

    fn set_counts(&self, counted: [Counted; 2], kind: Kind, aux: u32) {
        let narrow = !Self::HAS_SPARE && !kind.is_plain();
        let halves = [aux as u16, (aux >> 16) as u16];
        for ((dir, counted), half) in BOTH.into_iter().zip(counted).zip(halves) {
            let Counted { packets, bytes } = counted;
            if narrow {
                let units = bytes >> NarrowCount::UNIT_SHIFT;
                self.set_narrow(dir, NarrowCount::new(half, packets, units));
            } else {
                self.set_count(dir, Count::new(packets, bytes));
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
#[path = "kind_tests.rs"]
mod tests;
