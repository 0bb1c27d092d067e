//! What workers read: one word for a neighbour, and the index from address to neighbour.
//!
//! **Writer**: the table alone (the `pub(crate)` functions). **Readers**: any number, never
//! waiting and never writing. Memory is fixed when it is made.
//!
//! A slot is one cache line: version, key, word. The key changes only when the slot changes its
//! owner, and then under an odd version (a sequence lock); the word changes at any time, by one
//! store. The index has a line of eight ways for a set, and two candidate sets for a key, at
//! most half full: with a keyed hash a full pair is not to be expected, and refused if it comes.
//!
//! **Orders.** The writer makes the version odd, then a release fence, then the key and the
//! word, then the even version (Release). The reader loads the version (Acquire), key and word
//! (relaxed), an acquire fence, the version again: if any load saw the new owner's store, the
//! fences make the second version load see the change too. An index way is stored (Release)
//! after its slot's key and cleared before; a reader that follows an outdated way finds another
//! key in the slot, so ways need no version.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::key::Key;
use crate::sync::{AtomicU64, Ordering, fence, spin_loop};
use crate::{NeighIdx, NeighState, NeighWord, PortId};

const WAYS: usize = 8;
/// Reads of a slot that keep being overtaken by its owner's change. The writer changes one slot
/// far less often than a reader reads it; who gives up asks the host, which is always right.
const TORN_READS: usize = if cfg!(loom) { 2 } else { 64 };

/// The workers' half of the neighbours: lock-free, shared in an `Arc`.
pub struct View {
    slots: Box<[Slot]>,
    sets: Box<[Set]>,
    hasher: SipHasher13,
}

#[derive(Default)]
#[repr(align(64))]
struct Slot {
    /// Odd while the slot changes its owner.
    version: AtomicU64,
    key: [AtomicU64; 3],
    word: AtomicU64,
}

/// Each way is {tag: 32, slot + 1: 32}; 0 is an empty one.
#[derive(Default)]
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

#[cfg(not(loom))]
const _: () = assert!(size_of::<Slot>() == 64 && size_of::<Set>() == 64);

/// Where a key may be in the index.
struct Place {
    sets: [usize; 2],
    tag: u64,
}

impl View {
    pub(crate) fn new(limit: usize, seed: u64) -> Self {
        let sets = (limit * 2).div_ceil(WAYS).next_power_of_two().max(2);
        Self {
            slots: (0..limit).map(|_| Slot::default()).collect(),
            sets: (0..sets).map(|_| Set::default()).collect(),
            hasher: SipHasher13::new_with_keys(seed, seed.rotate_left(32) ^ 0x6e65_6967_6862_6f72),
        }
    }

    /// A neighbour's word: one Acquire load. An index that no table gave is a free slot.
    #[must_use]
    pub fn word(&self, idx: NeighIdx) -> NeighWord {
        let bits = self
            .slot(idx)
            .map_or(0, |slot| slot.word.load(Ordering::Acquire));
        NeighWord::from_bits(bits)
    }

    /// The on-link neighbour with this address, whatever its state.
    ///
    /// Its slot may change its owner before the caller loads the word: see
    /// [`resolve`](Self::resolve).
    #[must_use]
    pub fn lookup(&self, port: PortId, addr: &IpAddr) -> Option<NeighIdx> {
        self.resolve(port, addr).map(|(idx, _)| idx)
    }

    /// The on-link neighbour with this address and its word, which belong together. The later
    /// loads of [`word`](Self::word) are about the same neighbour as long as their generation
    /// equals this one's.
    #[must_use]
    pub fn resolve(&self, port: PortId, addr: &IpAddr) -> Option<(NeighIdx, NeighWord)> {
        let key = Key::new(port, *addr).words();
        let place = self.place(&key);
        let ways = place
            .sets
            .iter()
            .filter_map(|&set| self.sets.get(set))
            .flat_map(|set| &set.0);
        for way in ways {
            let way = way.load(Ordering::Acquire);
            let Some(idx) = slot_of(way).filter(|_| way >> 32 == place.tag) else {
                continue;
            };
            if let Some(word) = self.slot(idx).and_then(|slot| slot.word_if(&key)) {
                return Some((idx, word));
            }
        }
        None
    }

    /// The address of the neighbour in a slot; `None` if it is free.
    #[must_use]
    pub fn addr(&self, idx: NeighIdx) -> Option<IpAddr> {
        Key::addr_of(&self.slot(idx)?.key_now()?)
    }

    /// Slots in all.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.slots.len()
    }

    fn slot(&self, idx: NeighIdx) -> Option<&Slot> {
        self.slots.get(idx.0 as usize)
    }

    fn place(&self, key: &[u64; 3]) -> Place {
        let mut hasher = self.hasher;
        for word in key {
            hasher.write_u64(*word);
        }
        let hash = hasher.finish128();
        let mask = self.sets.len() - 1;
        let first = hash.h1 as usize & mask;
        let second = (hash.h1 >> 32) as usize & mask;
        let second = if second == first { first ^ 1 } else { second };
        Place {
            sets: [first, second],
            tag: hash.h2 >> 32,
        }
    }

    /// Stores a word. Writer only.
    pub(crate) fn publish(&self, idx: NeighIdx, word: NeighWord) {
        if let Some(slot) = self.slot(idx) {
            slot.word.store(word.bits(), Ordering::Release);
        }
    }

    /// Gives a free slot to `key`; says no if both of its sets are full. Writer only.
    pub(crate) fn insert(&self, idx: NeighIdx, key: &Key, word: NeighWord) -> bool {
        let key = key.words();
        let place = self.place(&key);
        let (Some(slot), Some(way)) = (self.slot(idx), self.empty_way(&place)) else {
            return false;
        };
        slot.give_to(key, word);
        way.store(place.tag << 32 | (u64::from(idx.0) + 1), Ordering::Release);
        true
    }

    /// Takes the slot from `key`, leaving `word` (a free one). Writer only.
    pub(crate) fn remove(&self, idx: NeighIdx, key: &Key, word: NeighWord) {
        let place = self.place(&key.words());
        let ways = place
            .sets
            .iter()
            .filter_map(|&set| self.sets.get(set))
            .flat_map(|set| &set.0);
        for way in ways {
            if slot_of(way.load(Ordering::Relaxed)) == Some(idx) {
                way.store(0, Ordering::Release);
            }
        }
        self.publish(idx, word);
    }

    /// An empty way in the emptier of the two sets.
    fn empty_way(&self, place: &Place) -> Option<&AtomicU64> {
        let empty = |set: &&Set| {
            set.0
                .iter()
                .filter(|way| way.load(Ordering::Relaxed) == 0)
                .count()
        };
        let sets = place.sets.iter().filter_map(|&set| self.sets.get(set));
        let set = sets.max_by_key(empty)?;
        set.0.iter().find(|way| way.load(Ordering::Relaxed) == 0)
    }
}

fn slot_of(way: u64) -> Option<NeighIdx> {
    (way as u32).checked_sub(1).map(NeighIdx)
}

impl Slot {
    /// The word, if the slot belongs to `key` at this moment.
    fn word_if(&self, key: &[u64; 3]) -> Option<NeighWord> {
        for _ in 0..TORN_READS {
            let before = self.version.load(Ordering::Acquire);
            if before & 1 == 0 {
                let same = self
                    .key
                    .iter()
                    .zip(key)
                    .all(|(a, b)| a.load(Ordering::Relaxed) == *b);
                let word = self.word.load(Ordering::Acquire);
                fence(Ordering::Acquire);
                if self.version.load(Ordering::Relaxed) == before {
                    return same.then_some(NeighWord::from_bits(word));
                }
            }
            spin_loop();
        }
        None
    }

    /// Whose the slot is at this moment; nobody's while its word says so.
    fn key_now(&self) -> Option<[u64; 3]> {
        for _ in 0..TORN_READS {
            let before = self.version.load(Ordering::Acquire);
            if before & 1 == 0 {
                let key = [0, 1, 2].map(|word: usize| self.key[word].load(Ordering::Relaxed));
                let word = NeighWord::from_bits(self.word.load(Ordering::Acquire));
                fence(Ordering::Acquire);
                if self.version.load(Ordering::Relaxed) == before {
                    return (word.state() != NeighState::Free).then_some(key);
                }
            }
            spin_loop();
        }
        None
    }

    fn give_to(&self, key: [u64; 3], word: NeighWord) {
        let version = self.version.load(Ordering::Relaxed);
        self.version
            .store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        for (stored, word) in self.key.iter().zip(key) {
            stored.store(word, Ordering::Relaxed);
        }
        self.word.store(word.bits(), Ordering::Relaxed);
        self.version
            .store(version.wrapping_add(2), Ordering::Release);
    }
}

#[cfg(all(test, loom))]
mod model {
    use std::net::Ipv4Addr;

    use loom::sync::Arc;
    use loom::thread;

    use super::*;
    use crate::{Mac, NeighState};

    const SLOT: NeighIdx = NeighIdx(0);
    const PORT: PortId = PortId(0);

    fn owner(last: u8) -> (Key, NeighWord) {
        let addr = Ipv4Addr::new(10, 0, 0, last).into();
        let word = NeighWord::new(
            Mac([2, 0, 0, 0, 0, last]),
            NeighState::Reachable,
            last.into(),
        );
        (Key::new(PORT, addr), word)
    }

    /// A slot goes from one owner to another while a reader looks for either.
    fn handed_over_while_read(wanted: u8) {
        loom::model(move || {
            let view = Arc::new(View::new(1, 1));
            let (old, old_word) = owner(1);
            assert!(view.insert(SLOT, &old, old_word));
            let reader = {
                let view = Arc::clone(&view);
                thread::spawn(move || {
                    let (key, _) = owner(wanted);
                    view.resolve(PORT, &key.addr).map(|(_, word)| word)
                })
            };
            view.remove(SLOT, &old, NeighWord::new(Mac::ZERO, NeighState::Free, 1));
            let (new, new_word) = owner(2);
            assert!(view.insert(SLOT, &new, new_word));
            if let Some(word) = reader
                .join()
                .expect("no panic")
                .filter(|word| word.usable())
            {
                assert_eq!(word, owner(wanted).1, "another owner's word");
            }
        });
    }

    #[test]
    fn loom_the_old_owner_is_never_found_with_the_new_ones_word() {
        handed_over_while_read(1);
    }

    #[test]
    fn loom_the_new_owner_is_never_found_with_the_old_ones_word() {
        handed_over_while_read(2);
    }
}
